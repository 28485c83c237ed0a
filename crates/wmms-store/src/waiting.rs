//! A store that cannot be written: said in the log, and tried again until the daemon ends.

use std::convert::Infallible;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use driver::Ignored;

use crate::Patience;

/// The wait after the first attempt; each one is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// What the thread that waits shares with the daemon.
#[derive(Debug, Default)]
struct Trouble {
    failures: Ignored,
    /// The next wait; `None` when the store is written.
    wait: Option<Duration>,
}

/// The daemon's end. Dropped, the store has no more patience.
#[derive(Debug)]
pub struct Stop {
    trouble: Arc<Mutex<Trouble>>,
    place: String,
    _daemon: Sender<Infallible>,
}

impl Stop {
    /// A group is written: what was refused before is over.
    pub fn written(&self) {
        let mut trouble = lock(&self.trouble);
        if trouble.wait.take().is_some() {
            let failures = std::mem::take(&mut trouble.failures).count();
            tracing::warn!(failures, place = %self.place, "the store is written again");
        }
    }
}

/// The patience of the store at `place`, which waits no longer than `last_wait` between two attempts.
pub fn patience(place: String, last_wait: Duration) -> (Patience, Stop) {
    let trouble = Arc::<Mutex<Trouble>>::default();
    let (daemon, stopped) = channel();
    let stop = Stop {
        trouble: trouble.clone(),
        place: place.clone(),
        _daemon: daemon,
    };
    let stopped: Mutex<Receiver<Infallible>> = Mutex::new(stopped);
    let ask = move |error: &io::Error| {
        let wait = {
            let mut trouble = lock(&trouble);
            if let Some(failures) = trouble.failures.another() {
                tracing::error!(
                    failures,
                    %place,
                    "the store cannot be written: {error}; nothing is acknowledged until it can, \
                     and it is tried again"
                );
            }
            let wait = trouble.wait.unwrap_or(FIRST_WAIT);
            trouble.wait = Some((2 * wait).min(last_wait));
            wait
        };
        lock(&stopped).recv_timeout(wait) == Err(RecvTimeoutError::Timeout)
    };
    (Box::new(ask), stop)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_tried_again_until_the_daemon_ends() {
        let (patience, stop) = patience("wmms.redb".into(), Duration::from_secs(1));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(patience(&full) && patience(&full));
        assert_eq!(lock(&stop.trouble).wait, Some(4 * FIRST_WAIT));
        stop.written();
        assert_eq!(lock(&stop.trouble).wait, None);
        assert_eq!(lock(&stop.trouble).failures.count(), 0);
        assert!(patience(&full));
        drop(stop);
        assert!(!patience(&full));
    }
}
