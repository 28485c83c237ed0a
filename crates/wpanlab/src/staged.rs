//! A run that was prepared, from its live half to its page, and again from its beginning whenever somebody who looks at it wants
//! another step in its scenario.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use rundir::{RunDir, Written};
use testbed::Interrupted;
use topology::{Assignment, Loaded, Parameter};
use view::{Intervention, Pacer};

use crate::backend::{How, Outside};
use crate::cli::{ForwardArg, RunArgs};
use crate::failure;
use crate::progress::Show;
use crate::report::Left;
use crate::run::{
    has_begun, keep_plan, load_and_warn, make_run_dir, measure, print_partial, print_result,
    refuse_places, remove_unbegun, single,
};
use crate::source::Source;
use crate::view::Page;
use crate::{Outcome, Say, made, report, view as viewer};

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
    dir: RunDir,
    pacer: Option<Pacer>,
    forwards: Vec<ForwardArg>,
    page: Option<Page>,
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
        let made = made::now(loaded.warnings.as_ref(), &[]);
        refuse_places(args)?;
        let how = How::choose(&args.how, show).await?;
        let pacer = viewer::pacer(&args.watch, how.is_virtual())?;
        viewer::check_forwards(&args.watch.forward, &loaded.plan, how.is_virtual())?;
        let dir = make_run_dir(&loaded.plan.name, args)?;
        keep_plan(&loaded.plan, &dir)?;
        // A run that is killed has left a directory that is known for one.
        made::write(&made, &dir.made())?;
        let page = Page::beside(&dir, &args.watch, pacer.as_ref(), show, say).await?;
        Ok(Staged {
            source,
            seed: args.seed,
            script: Script {
                assignments,
                added: 0,
                loaded,
            },
            how,
            dir,
            pacer,
            forwards: args.watch.forward.clone(),
            page,
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
            let (next, at) = {
                let plan = &self.script.loaded.plan;
                let outside = Outside {
                    pacer: self.pacer.as_ref(),
                    forwards: &self.forwards,
                };
                let living = self.how.run(plan, &self.dir, show, outside);
                let mut living = pin!(living);
                loop {
                    let wanted = tokio::select! {
                        lived = &mut living => return lived,
                        wanted = wanted(&mut self.page) => wanted,
                    };
                    if let Some(next) = self.script.with(wanted, &self.source, self.seed) {
                        break next;
                    }
                }
            };
            self.begin_again(next, at, show)?;
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
        let is_interrupted = failed.is_some_and(|e| e.downcast_ref::<Interrupted>().is_some());
        let Some(page) = &mut self.page else {
            return Ok(false);
        };
        if is_interrupted || matches!(left, Left::Nothing) {
            return Ok(false);
        }
        page.say_over(failed, say);
        while let Some(wanted) = page.wanted_after_the_end().await? {
            if let Some((next, at)) = self.script.with(wanted, &self.source, self.seed) {
                self.begin_again(next, at, show)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts the beginning of another run into the place of this one.
    fn begin_again(&mut self, next: Script, at: Duration, show: &Show) -> Result<()> {
        let dir = &self.dir;
        let place = || format!("replace what is in {}", dir.root().display());
        if let Some(written) = Written::by_run_or_sweep(dir.root()).with_context(place)? {
            written.remove().with_context(place)?;
        }
        keep_plan(&next.loaded.plan, dir)?;
        let added = &next.assignments[next.assignments.len() - next.added..];
        let made = made::now(next.loaded.warnings.as_ref(), added);
        made::write(&made, &dir.made())?;
        if let Some(pacer) = &self.pacer {
            pacer.lock().begin_again(at);
        }
        self.script = next;
        show.stage("begin again, with a step more");
        Ok(())
    }
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
    /// The same with the step that somebody wants, and where the run is to be then; none if it cannot be one, which
    /// that person is told.
    fn with(
        &self,
        wanted: Intervention,
        source: &Source,
        seed: Option<u64>,
    ) -> Option<(Script, Duration)> {
        let next = self.with_step(&wanted.step, source, seed);
        let (next, answer) = match next {
            Ok(next) => (Some((next, wanted.at)), Ok(())),
            Err(why) => (None, Err(why)),
        };
        // Who does not wait for the answer any more has asked all the same.
        let _ = wanted.answer.send(answer);
        next
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
            .load(seed, &assignments)
            .map_err(|error| failure::text(&error))?;
        Ok(Script {
            assignments,
            added: self.added + 1,
            loaded,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::sync::oneshot;

    use super::*;

    /// What becomes of a wish for `step` in `script`.
    fn asked(script: &Script, source: &Source, step: &str) -> (Option<Script>, Result<(), String>) {
        let (answer, mut answered) = oneshot::channel();
        let (step, at) = (step.to_owned(), Duration::from_secs(3));
        let next = script.with(Intervention { step, at, answer }, source, None);
        (next.map(|(next, _)| next), answered.try_recv().unwrap())
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
        let (next, answer) = asked(&script, &source, "{ at: 3.000000001 s, crash: er1 }");
        assert_eq!(answer, Ok(()));
        let next = next.unwrap();
        assert_eq!(
            next.assignments[0].to_string(),
            format!("scenario.steps[{listed}]={{ at: 3.000000001 s, crash: er1 }}")
        );
        let (twice, _) = asked(&next, &source, "{ at: 4 s, restart: er1 }");
        let twice = twice.unwrap();
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
        ] {
            let (next, answer) = asked(&script, &source, step);
            assert!(next.is_none(), "{step}");
            let told = answer.unwrap_err();
            assert!(told.contains(why), "{step}: {told}");
        }
    }
}
