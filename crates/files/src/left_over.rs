//! Files that a killed program left beside the places that they were to take.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::fstat;

use crate::place::Place;

/// How long ago somebody must have written to it last: whoever has just made a file locks it next.
const AGE: Duration = Duration::from_secs(60);

/// The name of a file that is not whole yet, `.new-PID-N`.
pub(crate) fn name(process: u32, number: u64) -> OsString {
    format!(".new-{process}-{number}").into()
}

/// Whether `name` is that of a file of our making that is not whole yet, or never became so.
pub fn is_left_over(name: impl AsRef<OsStr>) -> bool {
    let numbers = |rest: &[u8]| {
        let mut parts = rest.splitn(2, |byte| *byte == b'-');
        let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        parts.next().is_some_and(is_number) && parts.next().is_some_and(is_number)
    };
    (name.as_ref().as_bytes().strip_prefix(b".new-")).is_some_and(numbers)
}

/// Removes them from the folder of `place`, once in the life of this process: those that nobody has
/// locked. What cannot be removed stays.
pub(crate) fn remove_from(place: &Place) {
    static DONE: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());
    let Ok(folder) = fstat(&place.folder) else {
        return;
    };
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if done.insert((folder.st_dev, folder.st_ino)) {
        remove_older(place, AGE);
    }
}

fn remove_older(place: &Place, age: Duration) {
    // The folder that is held open, wherever its name leads now.
    let path = format!("/proc/self/fd/{}", place.folder.as_raw_fd());
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for name in entries.map(|entry| entry.file_name()) {
        let beside = || {
            let folder = place.folder.try_clone().ok()?;
            let name = name.clone();
            Some(Place { folder, name })
        };
        if is_left_over(&name)
            && let Some(beside) = beside()
            && let Ok(file) = beside.open(OFlag::O_RDONLY)
            && let Ok(found) = file.metadata()
            && (found.modified().ok()).is_some_and(|t| t.elapsed().is_ok_and(|since| since >= age))
            && file.try_lock().is_ok()
        {
            beside.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_that_are_not_whole_are_known_and_others_are_let_alone() {
        assert!(is_left_over(name(12, 345)));
        for other in [
            ".new-",
            ".new-1",
            ".new-1-",
            ".new-1-2-3",
            ".new-a-1",
            "new-1-2",
            ".new-1-x",
        ] {
            assert!(!is_left_over(other), "{other}");
        }
    }

    #[test]
    fn what_a_killed_program_left_is_removed_and_what_somebody_still_writes_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::named(&dir.path().join("result.json")).unwrap();
        let [left, held, own] = [".new-1-0", ".new-2-7", ".new-mine"].map(|n| dir.path().join(n));
        for path in [&left, &held, &own] {
            fs::write(path, "half").unwrap();
        }
        let writer = fs::File::open(&held).unwrap();
        writer.try_lock().unwrap();
        remove_older(&place, AGE);
        assert!(left.exists(), "it is not old enough");
        remove_older(&place, Duration::ZERO);
        assert_eq!(
            [&left, &held, &own].map(|path| path.exists()),
            [false, true, true]
        );
    }
}
