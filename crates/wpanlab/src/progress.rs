//! Progress: a bar on a terminal, plain lines elsewhere.

use std::fmt;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use testbed::Progress;
use units::quantity::format_duration;

/// Plain lines come once per this much scenario time.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Plain lines of the bring-up come once per this many nodes.
const PLAIN_NODES: usize = 20;
const BRING_UP: &str = "bring up the network";

/// How progress is shown.
#[derive(Clone, Debug)]
pub enum Show {
    /// Not at all.
    Nothing,
    /// One line per stage.
    Lines,
    /// A bar where it is known how much there is to do, else a sign of life.
    Bar(ProgressBar),
}

/// How far a sweep is.
pub struct Runs {
    /// Runs done.
    pub done: usize,
    /// Runs in all.
    pub total: usize,
    /// Runs of which an expectation does not hold, or which failed themselves.
    pub failed: usize,
    /// How fast it is; not known before the first run has ended.
    pub pace: Option<Pace>,
}

/// How fast a sweep is.
pub struct Pace {
    /// Runs per minute of this call.
    pub per_minute: f64,
    /// Time left at that rate.
    pub left: Duration,
}

impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Runs {
            done,
            total,
            failed,
            pace,
        } = self;
        write!(f, "{done} of {total} runs, {failed} failed")?;
        match pace {
            Some(Pace { per_minute, left }) => {
                write!(
                    f,
                    ", {per_minute:.1} a minute, {} left",
                    HumanDuration(*left)
                )
            }
            None => Ok(()),
        }
    }
}

impl Show {
    /// A bar where standard error is a terminal, nothing if `quiet`.
    pub fn new(quiet: bool) -> Show {
        if quiet {
            Show::Nothing
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::no_length();
            bar.enable_steady_tick(Duration::from_millis(200));
            Show::Bar(bar)
        } else {
            Show::Lines
        }
    }

    /// A stage begins, of which nobody knows how long it takes.
    pub fn stage(&self, text: &str) {
        match self {
            Show::Nothing => {}
            Show::Lines => errln!("{text}"),
            Show::Bar(bar) => {
                bar.unset_length();
                bar.set_style(style("{spinner} {msg} [{elapsed}]"));
                bar.set_message(text.to_owned());
            }
        }
    }

    /// The testbed is this far.
    pub fn testbed(&self, progress: &Progress) {
        match (progress, self) {
            (Progress::BringUp { made: 0, .. }, _) => self.stage(BRING_UP),
            (Progress::BringUp { made, of }, Show::Bar(bar)) => {
                measured(bar, BRING_UP, *made as u64, *of as u64);
            }
            (Progress::BringUp { made, of }, _) => {
                if made.is_multiple_of(PLAIN_NODES) {
                    self.stage(&format!("{BRING_UP}: {made} of {of} nodes"));
                }
            }
            (Progress::Starting { started, of }, Show::Bar(bar)) => {
                measured(bar, "start the daemons", *started as u64, *of as u64);
            }
            (Progress::Starting { started, of }, _) => {
                if started.is_multiple_of(PLAIN_NODES) {
                    self.stage(&format!("daemons started: {started} of {of}"));
                }
            }
            (Progress::Ready { ready, of }, Show::Bar(bar)) => {
                bar.set_message(format!("daemons ready: {ready} of {of}"));
            }
            (Progress::Ready { ready, of }, _) if ready == of => self.stage("daemons ready"),
            (Progress::Ready { .. }, _) => {}
            (Progress::Scenario { at, of }, Show::Bar(bar)) => {
                measured(bar, "scenario", millis(*at), millis(*of));
            }
            (Progress::Scenario { at, of }, _) => {
                if at.as_secs().is_multiple_of(PLAIN_EVERY.as_secs()) {
                    let (at, of) = (at.as_secs(), format_duration(*of));
                    self.stage(&format!("scenario: {at} s of {of}"));
                }
            }
            (Progress::Event(_), _) => {}
            (Progress::Finishing, _) => self.stage("write captures"),
        }
    }

    /// Something to know, on a line of its own.
    pub fn remark(&self, text: &str) {
        match self {
            Show::Bar(bar) => bar.suspend(|| errln!("wpanlab: {text}")),
            Show::Nothing | Show::Lines => errln!("wpanlab: {text}"),
        }
    }

    /// A sweep is this far.
    pub fn runs(&self, runs: &Runs) {
        match self {
            Show::Nothing => {}
            Show::Lines => errln!("{runs}"),
            Show::Bar(bar) => {
                measured(bar, &runs.to_string(), runs.done as u64, runs.total as u64);
            }
        }
    }

    /// Takes the bar away, so that results stand on a clean line.
    pub fn done(&self) {
        if let Show::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// A bar that is `at` `of` so much. What is left is estimated from where it began.
fn measured(bar: &ProgressBar, text: &str, at: u64, of: u64) {
    if bar.length() != Some(of) {
        bar.set_style(style("{spinner} {msg} [{elapsed}] {wide_bar} {eta}"));
        bar.set_length(of);
        bar.set_position(at);
        bar.reset_eta();
    }
    bar.set_message(text.to_owned());
    bar.set_position(at);
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_has_no_pace_before_its_first_run_has_ended() {
        let mut runs = Runs {
            done: 0,
            total: 8,
            failed: 0,
            pace: None,
        };
        assert_eq!(runs.to_string(), "0 of 8 runs, 0 failed");
        runs.done = 2;
        runs.pace = Some(Pace {
            per_minute: 4.0,
            left: Duration::from_secs(40),
        });
        assert_eq!(
            runs.to_string(),
            "2 of 8 runs, 0 failed, 4.0 a minute, 40 seconds left"
        );
    }

    #[test]
    fn a_bar_is_as_full_as_the_scenario_is_old_and_none_where_nobody_knows() {
        let bar = ProgressBar::hidden();
        let show = Show::Bar(bar.clone());
        show.stage("boot the VM");
        assert_eq!(bar.length(), None);
        show.testbed(&Progress::BringUp { made: 0, of: 400 });
        assert_eq!(bar.length(), None);
        show.testbed(&Progress::BringUp { made: 30, of: 400 });
        assert_eq!((bar.position(), bar.length()), (30, Some(400)));
        let (at, of) = (Duration::from_millis(400), Duration::from_millis(800));
        show.testbed(&Progress::Scenario { at, of });
        assert_eq!((bar.position(), bar.length()), (400, Some(800)));
        show.testbed(&Progress::Finishing);
        assert_eq!(bar.length(), None);
    }
}
