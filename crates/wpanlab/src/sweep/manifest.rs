//! `sweep.json`: what a sweep runs, and by what, so that nobody continues another one.

use std::fs::{File, TryLockError};
use std::ops::RangeInclusive;

use anyhow::{Context, Result, bail};
use rundir::SweepDir;
use rundir::made::command_line;
use serde::{Deserialize, Serialize};
use topology::{Assignment, Parameter};
use vm::Processor;

use super::Points;
use super::by::{By, Difference};
use super::until::{self, Until};
use crate::backend::How;
use crate::cli::{BackendArg, ClockArg, HowArgs, RunArgs};
use crate::failure::Refused;
use crate::source::Source;
use crate::verify;

/// What a sweep runs, and by what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    schema: u32,
    /// Topology file as the command line has it.
    pub topology: String,
    /// First and last seed; with `until` the last one that there may be.
    pub seeds: [u64; 2],
    /// In the order of the command line.
    parameters: Vec<Values>,
    /// What runs it.
    #[serde(flatten)]
    pub by: By,
    /// What of the command line a run has, too, beside what is above.
    options: Options,
    /// Whether captures are kept.
    pub captures: bool,
    /// When there are seeds enough; absent if all of them are run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<until::Told>,
}

/// A part of a manifest: its name, and what it is as text.
type Part<'a> = (&'static str, &'a dyn Fn(&Manifest) -> String);

/// Options of `wpanlab run`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Options {
    backend: BackendArg,
    clock: ClockArg,
    /// Where the kernel is; absent if that was left to the program.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    kernel: Option<std::path::PathBuf>,
    /// What a system call takes of a User-Mode Linux; absent if that was left to the program.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    syscall_cost: Option<Processor>,
}

/// A parameter and its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Values {
    path: String,
    values: Vec<String>,
}

impl Values {
    /// As the command line has it.
    fn text(&self) -> String {
        format!("{}={}", self.path, self.values.join(","))
    }
}

impl Manifest {
    /// What the command line asks for, on this machine.
    pub fn of(
        args: &RunArgs,
        seeds: &RangeInclusive<u64>,
        how: &How,
        source: &Source,
    ) -> Result<Manifest> {
        let parameters = args.set.iter().map(|parameter| Values {
            path: parameter.path().to_owned(),
            values: parameter.values().to_vec(),
        });
        let HowArgs {
            backend,
            clock,
            kernel,
            syscall_cost,
        } = args.how.clone();
        Ok(Manifest {
            schema: 1,
            topology: args.topology.display().to_string(),
            seeds: [*seeds.start(), *seeds.end()],
            parameters: parameters.collect(),
            by: By::of(how, clock, &source.kept()?)?,
            options: Options {
                backend,
                clock,
                kernel,
                syscall_cost,
            },
            captures: args.captures,
            until: args.until.as_ref().map(Until::told),
        })
    }

    /// The one of the sweep in `dir`.
    ///
    /// # Errors
    /// There is none, or it cannot be understood.
    pub fn read(dir: &SweepDir, hint: &str) -> Result<Manifest> {
        let path = dir.manifest();
        let text = dir.files().read_to_string(&path).with_context(|| {
            let root = dir.root().display();
            Refused(format!("{root}: is no sweep{hint}"))
        })?;
        let read = serde_json::from_str(&text);
        read.with_context(|| Refused(format!("{}: is of another version", path.display())))
    }

    /// Writes it into an empty directory.
    pub fn begin_in(&self, dir: &SweepDir) -> Result<()> {
        let (path, text) = (dir.manifest(), self.text()?);
        let written = dir.files().write_new(&path, text.as_bytes());
        written.with_context(|| format!("write {}", path.display()))
    }

    /// Compares it with the one of `dir`, and the plans of the points there with those that
    /// `points` gives for a seed. More seeds around those of before are no difference. What was decided
    /// before is to be decided anew.
    pub fn continue_in(
        &self,
        dir: &SweepDir,
        points: impl FnOnce(u64) -> Result<Points>,
    ) -> Result<()> {
        let before = Manifest::read(dir, " to resume")
            .with_context(|| Refused("--force starts over".into()))?;
        let root = dir.root().display();
        if let Some(difference) = self.difference(&before) {
            let difference = difference.text("there", "now");
            let text = format!("{root} is of another sweep: {difference}; --force starts over");
            return Err(Refused(text).into());
        }
        for point in &points(before.seeds[0])? {
            let path = dir.point(point.number).plan();
            // A sweep that was killed at once had no time to write them all.
            let Ok(stored) = dir.files().read(&path) else {
                continue;
            };
            let now = point.plan.to_yaml();
            if stored != now.as_bytes() {
                let place = verify::place(&path, &stored, now.as_bytes());
                let text = format!(
                    "{root} is of another topology: {} differs {place}\nfirst there, then now; --force \
                     starts over",
                    path.display()
                );
                return Err(Refused(text).into());
            }
        }
        self.replace_in(dir)
    }

    /// Writes it over the one of `dir`.
    pub fn replace_in(&self, dir: &SweepDir) -> Result<()> {
        let path = dir.manifest();
        let written = dir.files().replace(&path, self.text()?.as_bytes());
        written.with_context(|| format!("write {}", path.display()))
    }

    fn text(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// What is not the same but for what the topology's file says, which its plans tell better, and that
    /// there may be more seeds now.
    fn difference(&self, before: &Manifest) -> Option<Difference> {
        let [a, b] = before.seeds;
        let [first, last] = self.seeds;
        let seeds = (a < first || last < b).then(|| {
            let now = format!("{first}..{last}, which leaves some out,");
            Difference::of("seeds", format!("{a}..{b}"), now)
        });
        let by = self.by.difference(&before.by);
        let until = |manifest: &Manifest| match &manifest.until {
            Some(told) => told.rule.clone(),
            None => "all seeds".into(),
        };
        (self.asked_difference(before))
            .or_else(|| by.filter(|by| by.what != By::TOPOLOGY))
            .or_else(|| Difference::between("--until", until(before), until(self)))
            .or(seeds)
    }

    /// What is not the same of what another sweep runs and by what, whichever seeds it has: its runs
    /// would be no runs of this one.
    pub fn shard_difference(&self, shard: &Manifest) -> Option<Difference> {
        let asked = shard.asked_difference(self);
        asked.or_else(|| shard.by.difference(&self.by))
    }

    /// What is not the same of what was asked for, without seeds.
    fn asked_difference(&self, before: &Manifest) -> Option<Difference> {
        let parameters = |manifest: &Manifest| {
            let texts = manifest.parameters.iter().map(Values::text);
            let texts: Vec<String> = texts.map(|text| format!("--set {text}")).collect();
            texts.join(" ")
        };
        let options = |manifest: &Manifest| command_line(manifest.how().words());
        let pairs: [Part; 5] = [
            ("format", &|manifest| manifest.schema.to_string()),
            ("topology", &|manifest| manifest.topology.clone()),
            ("parameters", &parameters),
            ("options", &options),
            ("--captures", &|manifest| manifest.captures.to_string()),
        ];
        (pairs.into_iter()).find_map(|(what, of)| Difference::between(what, of(before), of(self)))
    }

    /// All seeds that there may be.
    pub fn seeds(&self) -> RangeInclusive<u64> {
        let [first, last] = self.seeds;
        first..=last
    }

    /// The options of its runs.
    pub fn how(&self) -> HowArgs {
        let Options {
            backend,
            clock,
            kernel,
            syscall_cost,
        } = self.options.clone();
        HowArgs {
            backend,
            clock,
            kernel,
            syscall_cost,
        }
    }

    /// Every combination of the parameters' values, in the order of the points.
    ///
    /// # Errors
    /// A path or a value is none.
    pub fn combinations(&self) -> Result<Vec<Vec<Assignment>>> {
        let parameters = self.parameters.iter().map(|values| values.text().parse());
        let parameters: Vec<Parameter> = parameters.collect::<Result<_, _>>()?;
        Ok(Parameter::combinations(&parameters))
    }

    /// Paths of the parameters, in the order of the command line.
    pub fn parameters(&self) -> Vec<String> {
        self.parameters.iter().map(|v| v.path.clone()).collect()
    }
}

/// Locks `dir` against a second sweep of this host.
pub fn lock(dir: &SweepDir) -> Result<File> {
    // The directory, since its files are replaced by others.
    let path = dir.root();
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "{}: another wpanlab runs this sweep; wait for it",
                dir.root().display()
            )
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("lock {}", path.display()))
        }
    }
}

/// What a shell runs to have one run of a sweep again, alone.
pub fn command(topology: &str, how: &HowArgs, seed: u64, assignments: &[Assignment]) -> String {
    let mut words = vec!["wpanlab".to_owned(), "run".to_owned(), topology.to_owned()];
    words.extend(["--seed".to_owned(), seed.to_string()]);
    for assignment in assignments {
        words.extend(["--set".to_owned(), assignment.to_string()]);
    }
    words.extend(how.words());
    command_line(words)
}

#[cfg(test)]
mod tests {
    use super::super::by::tests::by;
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            schema: 1,
            topology: "x.yaml".into(),
            seeds: [3, 5],
            parameters: vec![Values {
                path: "a.b".into(),
                values: vec!["1".into(), "[2, 3]".into()],
            }],
            by: by(),
            options: Options {
                backend: BackendArg::Uml,
                clock: ClockArg::Virtual,
                kernel: None,
                syscall_cost: None,
            },
            captures: false,
            until: None,
        }
    }

    fn said(now: &Manifest) -> Option<String> {
        let difference = now.difference(&manifest());
        difference.map(|difference| difference.text("there", "now"))
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        assert_eq!(said(&manifest()), None);
        let mut now = manifest();
        now.parameters[0].values.push("4".into());
        assert_eq!(
            said(&now).unwrap(),
            "parameters `--set a.b=1,[2, 3]` there, `--set a.b=1,[2, 3],4` now"
        );
        let mut now = manifest();
        now.options.kernel = Some("/k".into());
        assert_eq!(
            said(&now).unwrap(),
            "options `--backend uml` there, `--backend uml --kernel /k` now"
        );
        let until: Until = "lost mean ±1 %".parse().unwrap();
        let now = Manifest {
            until: Some(until.told()),
            ..manifest()
        };
        assert_eq!(
            said(&now).unwrap(),
            "--until `all seeds` there, `lost mean ±1 %` now"
        );
    }

    #[test]
    fn more_seeds_continue_a_sweep_and_fewer_do_not() {
        let with = |seeds| Manifest {
            seeds,
            ..manifest()
        };
        assert_eq!(said(&with([1, 9])), None);
        assert_eq!(
            said(&with([4, 5])).unwrap(),
            "seeds `3..5` there, `4..5, which leaves some out,` now"
        );
        assert_eq!(manifest().shard_difference(&with([9, 12])), None);
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_gives_its_combinations() {
        let text = manifest().text().unwrap();
        let read: Manifest = serde_json::from_str(&text).unwrap();
        assert_eq!(read, manifest());
        let points = read.combinations().unwrap();
        let texts: Vec<String> = points.iter().map(|point| point[0].to_string()).collect();
        assert_eq!(texts, ["a.b=1", "a.b=[2, 3]"]);
        let command = command("x.yaml", &read.how(), 7, &points[1]);
        let alone = "wpanlab run x.yaml --seed 7 --set 'a.b=[2, 3]' --backend uml";
        assert_eq!(command, alone);
    }
}
