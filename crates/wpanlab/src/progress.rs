//! Progress: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use testbed::Progress;
use units::quantity::format_duration;

/// Plain lines come once per this much scenario time.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// How progress is shown.
#[derive(Clone, Debug)]
pub enum Show {
    /// Not at all.
    Nothing,
    /// One line per stage.
    Lines,
    /// A bar.
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
    /// Runs per minute of this call.
    pub per_minute: f64,
    /// Time left at that rate.
    pub left: Duration,
}

impl Show {
    /// A bar where standard error is a terminal, nothing if `quiet`.
    pub fn new(quiet: bool) -> Show {
        if quiet {
            Show::Nothing
        } else if std::io::stderr().is_terminal() {
            let style =
                ProgressStyle::with_template("{spinner} {msg} [{elapsed}] {wide_bar} {eta}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(0).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            Show::Bar(bar)
        } else {
            Show::Lines
        }
    }

    /// A stage begins.
    pub fn stage(&self, text: &str) {
        match self {
            Show::Nothing => {}
            Show::Lines => eprintln!("{text}"),
            Show::Bar(bar) => {
                bar.set_message(text.to_owned());
                bar.set_length(0);
            }
        }
    }

    /// The testbed is this far.
    pub fn testbed(&self, progress: &Progress) {
        match (progress, self) {
            (Progress::BringUp, _) => self.stage("bring up the network"),
            (Progress::Ready { ready, of }, Show::Bar(bar)) => {
                bar.set_message(format!("daemons ready: {ready} of {of}"));
            }
            (Progress::Ready { ready, of }, _) if ready == of => self.stage("daemons ready"),
            (Progress::Ready { .. }, _) => {}
            (Progress::Scenario { at, of }, Show::Bar(bar)) => {
                bar.set_message("scenario");
                bar.set_length(of.as_secs());
                bar.set_position(at.as_secs());
            }
            (Progress::Scenario { at, of }, _) => {
                if at.as_secs().is_multiple_of(PLAIN_EVERY.as_secs()) {
                    let (at, of) = (format_duration(*at), format_duration(*of));
                    self.stage(&format!("scenario: {at} of {of}"));
                }
            }
            (Progress::Event(_), _) => {}
            (Progress::Finishing, _) => self.stage("write captures"),
        }
    }

    /// A sweep is this far.
    pub fn runs(&self, runs: &Runs) {
        let Runs {
            done,
            total,
            failed,
            per_minute,
            left,
        } = *runs;
        let text = format!(
            "{done} of {total} runs, {failed} failed, {per_minute:.1} a minute, {} left",
            HumanDuration(left)
        );
        match self {
            Show::Nothing => {}
            Show::Lines => eprintln!("{text}"),
            Show::Bar(bar) => {
                bar.set_message(text);
                bar.set_length(total as u64);
                bar.set_position(done as u64);
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
