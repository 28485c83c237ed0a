//! A run that was prepared, from its live half to its page, and again from its beginning whenever somebody who looks at it wants
//! another step in its scenario.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use rundir::{Made, RunDir, Written};
use testbed::{Interrupted, Signals};
use tokio::sync::oneshot;
use topology::{Assignment, Diagnostics, Loaded, Parameter};
use view::{Intervention, Pacer};

use crate::backend::{How, Outside};
use crate::cli::{ForwardArg, HowArgs, RunArgs};
use crate::failure;
use crate::progress::Show;
use crate::report::Left;
use crate::run::{
    has_begun, keep_plan, load_and_warn, make_run_dir, measure, print_partial, print_result,
    refuse_places, remove_unbegun, single,
};
use crate::source::Source;
use crate::sweep::manifest;
use crate::view::Page;
use crate::{Outcome, Say, made, report, view as viewer};

/// Who wants a step is told so that the run has begun again with it, or why it has not.
type Answer = oneshot::Sender<Result<(), String>>;

/// What happens.
struct Script {
    assignments: Vec<Assignment>,
    /// Of those the last ones, that came from people who look.
    added: usize,
    loaded: Loaded,
}

/// A run before its end.
pub struct Staged {
    source: Source,
    seed: Option<u64>,
    script: Script,
    how: How,
    /// What the command line says of that.
    asked: HowArgs,
    dir: RunDir,
    pacer: Option<Pacer>,
    forwards: Vec<ForwardArg>,
    page: Option<Page>,
    /// Whoever interrupts the run, at any time of it, wants no page either.
    signals: Signals,
    is_interrupted: bool,
}

impl Staged {
    /// Everything that there is before a run: its directory with the plan, and the page if one is wanted.
    ///
    /// # Errors
    /// The topology or a place is wrong, or this machine cannot run it.
    pub async fn prepare(args: &RunArgs, show: &Show, say: Say) -> Result<Staged> {
        let assignments = single(&args.set)?;
        let source = Source::read(&args.topology)?;
        let loaded = load_and_warn(&source, args.seed, &assignments, say)?;
        let made = Made {
            again: Some(again(&source, &args.how, &loaded, &assignments)),
            ..made::now(loaded.warnings.as_ref(), &[])
        };
        refuse_places(args)?;
        viewer::check_forwards(&args.watch.forward, &loaded.plan)?;
        let how = How::choose(&args.how, show).await?;
        let pacer = viewer::pacer(&args.watch, how.is_virtual())?;
        viewer::check_clock(&args.watch.forward, how.is_virtual())?;
        let dir = make_run_dir(&loaded.plan.name, args)?;
        keep_plan(&loaded.plan, &dir)?;
        // A run that is killed has left a directory that is known for one.
        made::write(&made, &dir.made())?;
        let signals = Signals::listen().context("signal handlers")?;
        let page = match Page::beside(&dir, &args.watch, pacer.as_ref(), show, say).await {
            Ok(page) => page,
            Err(error) => {
                remove_unbegun(&dir).with_context(|| format!("remove {}", dir.root().display()))?;
                return Err(error);
            }
        };
        Ok(Staged {
            source,
            seed: args.seed,
            script: Script {
                assignments,
                added: 0,
                loaded,
            },
            how,
            asked: args.how.clone(),
            dir,
            pacer,
            forwards: args.watch.forward.clone(),
            page,
            signals,
            is_interrupted: false,
        })
    }

    /// Runs and measures it; tells by `left` what there is of it if it fails.
    ///
    /// # Errors
    /// It does not come to its end, or cannot be measured.
    pub async fn finish(
        &mut self,
        args: &RunArgs,
        show: &Show,
        say: Say,
        left: &mut Left,
    ) -> Result<Outcome> {
        let lived = self.live(show).await;
        let dir = &self.dir;
        if let Err(error) = lived {
            show.done();
            if !has_begun(dir) && self.script.added > 0 {
                // The run before this one is no more.
                let kept = dir.made();
                return Err(error.context(format!(
                    "with the step that was added the run did not begin; {} has the command",
                    kept.display()
                )));
            }
            if !has_begun(dir) {
                // Nothing was seen: the directory would only be in the way of the next run.
                remove_unbegun(dir).with_context(|| format!("remove {}", dir.root().display()))?;
                *left = Left::Nothing;
                return Err(error);
            }
            *left = Left::Part(dir.root().to_owned());
            // The result says that it is not all of the run, whoever measures it.
            dir.files()
                .replace(&dir.error(), failure::text(&error).as_bytes())
                .with_context(|| format!("write {}", dir.error().display()))?;
            let mut place = format!("what was seen until then is in {}", dir.root().display());
            if error.downcast_ref::<Interrupted>().is_some()
                && let Err(why) = print_partial(dir, say).await
            {
                place.push_str(&format!(", not measured ({})", failure::text(&why)));
            }
            return Err(error.context(place));
        }
        *left = Left::Part(dir.root().to_owned());
        let result = measure(dir, show).await;
        show.done();
        let result =
            result.with_context(|| format!("what was seen is in {}", dir.root().display()))?;
        print_result(dir, &result, say)?;
        report::beside(dir.root(), args, say)?;
        *left = Left::Written;
        Ok(if result.passed {
            Outcome::Passed
        } else {
            Outcome::Failed
        })
    }

    /// The live half.
    async fn live(&mut self, show: &Show) -> Result<()> {
        loop {
            let (next, at, answer) = {
                let plan = &self.script.loaded.plan;
                let outside = Outside {
                    pacer: self.pacer.as_ref(),
                    forwards: &self.forwards,
                };
                let living = self.how.run(plan, &self.dir, show, outside);
                let mut living = pin!(living);
                loop {
                    let wanted = tokio::select! {
                        biased;
                        lived = &mut living => return lived,
                        // Whoever makes the run hears of it, too.
                        _ = self.signals.interrupted(), if !self.is_interrupted => {
                            self.is_interrupted = true;
                            continue;
                        }
                        wanted = wanted(&mut self.page), if !self.is_interrupted => wanted,
                    };
                    if let Some(next) = self.script.with(wanted, &self.source, self.seed) {
                        break next;
                    }
                }
            };
            self.begin_again(next, at, answer, show)?;
        }
    }

    /// Waits until somebody who still looks at what `ended` wants it again with another step; false if nobody does any more.
    ///
    /// # Errors
    /// The page is served no longer, or what there is cannot be replaced.
    pub async fn is_wanted_again(
        &mut self,
        ended: &Result<Outcome>,
        left: &Left,
        show: &Show,
        say: Say,
    ) -> Result<bool> {
        let failed = ended.as_ref().err();
        // Whoever interrupts a run does not want to look at it.
        self.is_interrupted |= failed.is_some_and(|e| e.downcast_ref::<Interrupted>().is_some());
        let Some(page) = &mut self.page else {
            return Ok(false);
        };
        if self.is_interrupted || matches!(left, Left::Nothing) {
            return Ok(false);
        }
        page.say_over(failed, say);
        loop {
            let wanted = tokio::select! {
                biased;
                _ = self.signals.interrupted() => return Ok(false),
                wanted = page.wanted_after_the_end() => wanted?,
            };
            if let Some((next, at, answer)) = self.script.with(wanted, &self.source, self.seed) {
                self.begin_again(next, at, answer, show)?;
                return Ok(true);
            }
        }
    }

    /// Puts the beginning of another run into the place of this one, and tells whoever wants it.
    fn begin_again(
        &mut self,
        next: Script,
        at: Duration,
        answer: Answer,
        show: &Show,
    ) -> Result<()> {
        let replaced = self.replace(&next);
        let told = replaced.as_ref().map(drop).map_err(failure::text);
        // Who does not wait for the answer any more has asked all the same.
        let _ = answer.send(told);
        replaced?;
        if let Some(pacer) = &self.pacer {
            // Nobody waits for what is after the end.
            let lasts = next.loaded.plan.scenario.duration;
            pacer.lock().begin_again(at.min(lasts));
        }
        self.script = next;
        show.stage("begin again, with a step more");
        Ok(())
    }

    fn replace(&self, next: &Script) -> Result<()> {
        let dir = &self.dir;
        let place = || format!("replace what is in {}", dir.root().display());
        if let Some(written) = Written::by_run_or_sweep(dir.root()).with_context(place)? {
            written.remove().with_context(place)?;
        }
        keep_plan(&next.loaded.plan, dir)?;
        let added = &next.assignments[next.assignments.len() - next.added..];
        let made = Made {
            again: Some(again(
                &self.source,
                &self.asked,
                &next.loaded,
                &next.assignments,
            )),
            ..made::now(next.loaded.warnings.as_ref(), added)
        };
        made::write(&made, &dir.made())
    }
}

/// What a shell runs to have a run again.
fn again(source: &Source, how: &HowArgs, loaded: &Loaded, assignments: &[Assignment]) -> String {
    let topology = source.path().display().to_string();
    manifest::command(&topology, how, loaded.plan.seed.0, assignments)
}

/// What somebody who looks at a run wants; never, if nobody does.
async fn wanted(page: &mut Option<Page>) -> Intervention {
    let wanted = match page {
        Some(page) => page.wanted().await,
        None => None,
    };
    match wanted {
        Some(wanted) => wanted,
        None => pending().await,
    }
}

impl Script {
    /// The same with the step that somebody wants, where the run is to be then, and who is told when it has begun; none if it cannot be
    /// one, which that person is told, or nobody waits for it any more.
    fn with(
        &self,
        wanted: Intervention,
        source: &Source,
        seed: Option<u64>,
    ) -> Option<(Script, Duration, Answer)> {
        let Intervention { step, at, answer } = wanted;
        if answer.is_closed() {
            return None;
        }
        match self.with_step(&step, source, seed) {
            Ok(next) => Some((next, at, answer)),
            Err(why) => {
                let _ = answer.send(Err(why));
                None
            }
        }
    }

    fn with_step(&self, step: &str, source: &Source, seed: Option<u64>) -> Result<Script, String> {
        let set = format!("scenario.steps[{}]={step}", self.loaded.listed_steps);
        let parameter = set
            .parse::<Parameter>()
            .map_err(|error| error.to_string())?;
        if parameter.values().len() != 1 {
            return Err(format!(
                "`{step}` is no step: expected one such as {{ at: 3 s, crash: er1 }}"
            ));
        }
        let mut assignments = self.assignments.clone();
        assignments.extend(Parameter::combinations(&[parameter]).into_iter().flatten());
        let loaded = source
            .load_known(seed, &assignments)
            .map_err(|error| reason(&error))?;
        Ok(Script {
            assignments,
            added: self.added + 1,
            loaded,
        })
    }
}

/// Why a step cannot be one, for somebody who does not see the command line.
fn reason(error: &anyhow::Error) -> String {
    let Some(diagnostics) = error.downcast_ref::<Diagnostics>() else {
        return failure::text(error);
    };
    let messages = diagnostics.problems().iter().map(|p| p.message.as_str());
    messages.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What becomes of a wish for `step` in `script`: what comes then, or why not.
    fn asked(script: &Script, source: &Source, step: &str) -> Result<Script, String> {
        let (answer, mut answered) = oneshot::channel();
        let (step, at) = (step.to_owned(), Duration::from_secs(3));
        match script.with(Intervention { step, at, answer }, source, None) {
            Some((next, ..)) => Ok(next),
            None => Err(answered.try_recv().unwrap().unwrap_err()),
        }
    }

    #[test]
    fn steps_that_people_want_come_behind_those_of_the_file_and_wrong_ones_are_refused() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies/handover.yaml");
        let source = Source::read(&file).unwrap();
        let loaded = source.load(None, &[]).unwrap();
        let listed = loaded.listed_steps;
        let script = Script {
            assignments: Vec::new(),
            added: 0,
            loaded,
        };
        let next = asked(&script, &source, "{ at: 3.000000001 s, crash: er1 }").unwrap();
        assert_eq!(
            next.assignments[0].to_string(),
            format!("scenario.steps[{listed}]={{ at: 3.000000001 s, crash: er1 }}")
        );
        let twice = asked(&next, &source, "{ at: 4 s, restart: er1 }").unwrap();
        assert_eq!((twice.added, twice.loaded.listed_steps), (2, listed + 2));
        for (step, why) in [
            ("{ at: 3 s, crash: er9 }", "er9"),
            (
                "{ at: 3 s, crash: er1 }, { at: 4 s, restart: er1 }",
                "is no step",
            ),
            ("{ at: 9999 s, crash: er1 }", "9999 s"),
            ("{ at: 3 s", "YAML"),
            ("", "step"),
            // Whoever looks at a run may not read what its user may.
            (
                "{ at: 1 s, move: sensor, import: { file: /etc/passwd, format: ns2, node: 0 } }",
                "only the files that the topology names",
            ),
        ] {
            let told = asked(&script, &source, step).err().expect(step);
            assert!(told.contains(why), "{step}: {told}");
        }
        let (answer, answered) = oneshot::channel();
        drop(answered);
        let step = "{ at: 4 s, restart: er1 }".to_owned();
        let at = Duration::ZERO;
        let gone = script.with(Intervention { step, at, answer }, &source, None);
        assert!(gone.is_none(), "nobody waits for it");
    }
}
