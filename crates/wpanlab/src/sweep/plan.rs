//! `wpanlab sweep plan`: the directory of a sweep before its first run.

use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use rundir::made::command_line;
use rundir::{Made, SweepDir};
use serde_json::json;

use super::manifest::Manifest;
use super::one::{Indexes, Maker};
use super::{Point, Points, tables};
use crate::backend::How;
use crate::cli::RunArgs;
use crate::failure::Refused;
use crate::progress::Show;
use crate::run::{is_occupied, make_run_dir, refuse_places};
use crate::source::Source;
use crate::{Outcome, Say, made};

/// A sweep that the command line asks for.
pub struct Asked {
    /// What is run.
    pub source: Rc<Source>,
    /// Every combination of values.
    pub points: Points,
    /// Where and how.
    pub how: How,
    /// All of it, for `sweep.json`.
    pub manifest: Manifest,
    /// When this was asked.
    made: Made,
}

impl Asked {
    /// What `args` ask for, on this machine.
    ///
    /// # Errors
    /// The topology is wrong, or cannot be run so or there.
    pub async fn of(args: &RunArgs, show: &Show, say: Say) -> Result<Asked> {
        let Some(seeds) = args.seeds.clone() else {
            bail!("a sweep needs --seeds A..B");
        };
        let source = Rc::new(Source::read(&args.topology)?);
        let points = super::points(&source, args, *seeds.start(), Some(say))?;
        let made = made::now(None, &[]);
        refuse_places(args)?;
        let how = How::choose(&args.how, show).await?;
        let manifest = Manifest::of(args, &seeds, &how, &source)?;
        Ok(Asked {
            source,
            points,
            how,
            manifest,
            made,
        })
    }

    /// The name of the topology.
    pub fn name(&self) -> &str {
        (self.points.first()).map_or("", |point| point.plan.name.as_str())
    }

    /// The directory that `args` name or one of its own, empty; or the one of the same sweep, to go on in
    /// it. The second says which.
    pub fn make_dir(&self, args: &RunArgs) -> Result<(SweepDir, bool)> {
        Ok(match args.out.as_ref().filter(|_| args.resume) {
            Some(out) if is_occupied(out) => (SweepDir::new(out), true),
            _ => (
                SweepDir::new(make_run_dir(self.name(), args)?.root()),
                false,
            ),
        })
    }

    /// Writes into `dir` what is there before the first run.
    ///
    /// # Errors
    /// [`Refused`]: something is `resumed`, and there is another sweep.
    pub fn write(&self, args: &RunArgs, dir: &SweepDir, resumed: bool) -> Result<()> {
        if resumed {
            let points = |first| super::points(&self.source, args, first, None);
            self.manifest.continue_in(dir, points)?;
        } else {
            self.manifest.begin_in(dir)?;
            made::write(&self.made, &dir.made())?;
        }
        tables::write(dir, &dir.source(), &self.source.kept()?)?;
        for Point { number, plan, .. } in &self.points {
            tables::write(dir, &dir.point(*number).plan(), &plan.to_yaml())?;
        }
        Ok(())
    }
}

/// `wpanlab sweep plan`. Where the same sweep is planned already, nothing but more seeds changes.
pub async fn plan(args: RunArgs, show: &Show, say: Say) -> Result<Outcome> {
    let asked = Asked::of(&args, show, say).await?;
    show.done();
    let (dir, resumed) = asked.make_dir(&args)?;
    if resumed {
        let before = Manifest::read(&dir, " to plan again")?;
        if let Some(difference) = before.shard_difference(&asked.manifest) {
            let (root, difference) = (dir.root().display(), difference.text("there", "now"));
            let text = format!("{root} is of another sweep: {difference}; --force starts over");
            return Err(Refused(text).into());
        }
    }
    asked.write(&args, &dir, resumed)?;
    let root = std::path::absolute(dir.root()).context("this directory's name")?;
    let indexes = Indexes::of(asked.manifest.seeds(), asked.points.len());
    let maker = Maker {
        source: asked.source,
        how: asked.how,
        asked: asked.manifest.how(),
        captures: asked.manifest.captures,
    };
    for (index, number, seed) in indexes.all() {
        let Some(point) = asked.points.get(number - 1) else {
            continue;
        };
        let run = maker.origin(number, &point.assignments, seed);
        let words = [
            "wpanlab",
            "sweep",
            "run",
            &root.to_string_lossy(),
            "--index",
        ];
        let words = words.map(str::to_owned).into_iter();
        let line = json!({
            "index": index,
            "point": number,
            "seed": seed,
            "set": run.set,
            "command": command_line(words.chain([index.to_string()])),
            "alone": run.command,
        });
        outln!("{line}");
    }
    Ok(Outcome::Passed)
}

/// A sweep that was planned.
pub struct Planned {
    /// Where.
    pub dir: SweepDir,
    /// What, and by what.
    pub manifest: Manifest,
    /// The topology.
    pub source: Rc<Source>,
    /// Its runs.
    pub indexes: Indexes,
}

impl Planned {
    /// Reads the plan in `root`.
    ///
    /// # Errors
    /// [`Refused`]: there is none, or not as it was written.
    pub fn read(root: &Path) -> Result<Planned> {
        let dir = SweepDir::new(root);
        let hint = ": `wpanlab sweep plan` makes one";
        let manifest = Manifest::read(&dir, hint)?;
        if let Some(until) = &manifest.until {
            let text = format!(
                "{}: with --until {} seeds follow from results: `wpanlab run` alone adds them",
                root.display(),
                until.rule
            );
            return Err(Refused(text).into());
        }
        let path = dir.source();
        let refused = |why: &str| Refused(format!("{}: {why}", path.display()));
        let text =
            (dir.files().read_to_string(&path)).with_context(|| refused("cannot be read"))?;
        if !manifest.by.is_of_topology(&text) {
            let why = "is not the topology of sweep.json, by its SHA-256; plan the sweep again";
            return Err(refused(why).into());
        }
        let source = Source::of_kept(Path::new(&manifest.topology), &text)
            .with_context(|| refused("is no topology"))?;
        let points = manifest.combinations()?.len();
        Ok(Planned {
            dir,
            indexes: Indexes::of(manifest.seeds(), points),
            source: Rc::new(source),
            manifest,
        })
    }
}
