//! Several runs at a time.

use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::{Context, Result};
use measure::distribution::{Origin, Row};
use testbed::{Interrupted, Signals};
use tokio::task::{JoinSet, LocalSet};

use crate::failure;
use crate::progress::{Pace, Runs, Show};

/// How a run ended, as seen from those beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// While all goes on.
    Amid,
    /// After a signal, which ends runs, too.
    Interrupted,
}

impl When {
    /// The row of a run that ended so: one that failed itself has one, too; one that a signal ended has none.
    pub fn row(self, origin: Origin, made: Result<Row>) -> Option<Row> {
        match made {
            Ok(row) => Some(row),
            Err(_) if self == When::Interrupted => None,
            Err(error) => Some(Row::broken(origin, failure::text(&error))),
        }
    }
}

/// Runs `runs`, `jobs` at a time, and tells `ended` what became of each, until that breaks off: then
/// no other one begins, and those in progress end. A signal, which is given, has the same effect.
///
/// # Errors
/// Those of `ended`.
pub async fn work<T: 'static, R: Future<Output = T> + 'static>(
    jobs: u8,
    mut runs: impl Iterator<Item = R>,
    mut ended: impl FnMut(T, When) -> Result<ControlFlow<()>>,
) -> Result<Option<Interrupted>> {
    let mut signals = Signals::listen().context("signal handlers")?;
    let (mut interrupted, mut enough) = (None, false);
    let tasks = LocalSet::new();
    let mut running = JoinSet::new();
    let all = async {
        loop {
            while interrupted.is_none() && !enough && running.len() < usize::from(jobs) {
                let Some(run) = runs.next() else { break };
                running.spawn_local(run);
            }
            // A signal ends the runs, too: it is seen before what becomes of them.
            let one = tokio::select! {
                biased;
                signal = signals.interrupted(), if interrupted.is_none() => {
                    interrupted = Some(signal);
                    continue;
                }
                one = running.join_next() => one,
            };
            let Some(one) = one else { break };
            let when = match interrupted {
                Some(_) => When::Interrupted,
                None => When::Amid,
            };
            enough |= ended(one.context("a run's task")?, when)?.is_break();
        }
        anyhow::Ok(())
    };
    tasks.run_until(all).await?;
    Ok(interrupted)
}

/// How far a sweep is.
pub struct Tally {
    /// Runs in all.
    pub total: usize,
    /// Runs done, also before this call.
    pub done: usize,
    failed: usize,
    /// Done in this call.
    fresh: u32,
    since: Instant,
}

impl Tally {
    /// So many are to be done, of which some are; of those `failed` failed.
    pub fn of(total: usize, done: usize, failed: usize) -> Tally {
        Tally {
            total,
            done,
            failed,
            fresh: 0,
            since: Instant::now(),
        }
    }

    /// One more is done.
    pub fn count(&mut self, passed: bool, show: &Show) {
        self.done += 1;
        self.fresh += 1;
        self.failed += usize::from(!passed);
        self.tell(show);
    }

    /// Shows it.
    pub fn tell(&self, show: &Show) {
        let elapsed = self.since.elapsed();
        let pace = elapsed.checked_div(self.fresh).map(|each| {
            let missing = u32::try_from(self.total.saturating_sub(self.done)).unwrap_or(u32::MAX);
            Pace {
                per_minute: 60.0 / each.as_secs_f64().max(1e-9),
                left: each.saturating_mul(missing),
            }
        });
        show.runs(&Runs {
            done: self.done,
            total: self.total,
            failed: self.failed,
            pace,
        });
    }
}
