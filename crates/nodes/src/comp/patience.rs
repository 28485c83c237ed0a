//! A store that cannot be written: said in the log, and tried again until the daemon ends.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use driver::Ignored;

/// Waits between attempts: from the first on twice as long each time, up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LAST_WAIT: Duration = Duration::from_secs(1);

/// What the thread that waits shares with the daemon.
#[derive(Debug, Default)]
struct Trouble {
    failures: Ignored,
    /// The next wait; `None` when the store is written.
    wait: Option<Duration>,
}

/// The daemon's end. Dropped, the store has no more patience.
#[derive(Debug)]
pub(crate) struct Stop {
    trouble: Arc<Mutex<Trouble>>,
    path: PathBuf,
    _daemon: Sender<Infallible>,
}

impl Stop {
    /// A group is written: what was refused before is over.
    pub(crate) fn written(&self) {
        let mut trouble = lock(&self.trouble);
        if trouble.wait.take().is_some() {
            let failures = std::mem::take(&mut trouble.failures).count();
            tracing::warn!(failures, path = %self.path.display(), "the store is written again");
        }
    }
}

/// The patience of a store in the file `path`.
pub(crate) fn patience(path: PathBuf) -> (wmms_store::Patience, Stop) {
    let trouble = Arc::<Mutex<Trouble>>::default();
    let (daemon, stopped) = channel();
    let stop = Stop {
        trouble: trouble.clone(),
        path: path.clone(),
        _daemon: daemon,
    };
    let stopped: Mutex<Receiver<Infallible>> = Mutex::new(stopped);
    let ask = move |error: &io::Error| {
        let wait = {
            let mut trouble = lock(&trouble);
            if let Some(failures) = trouble.failures.another() {
                tracing::error!(
                    failures,
                    path = %path.display(),
                    "the store cannot be written: {error}; nothing is acknowledged until it can, \
                     and it is tried again"
                );
            }
            let wait = trouble.wait.unwrap_or(FIRST_WAIT);
            trouble.wait = Some((2 * wait).min(LAST_WAIT));
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
        let (patience, stop) = patience("wmms.redb".into());
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
