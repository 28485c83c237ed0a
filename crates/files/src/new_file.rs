//! A file that is there whole, or not at all.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::renameat;

use crate::left_over;
use crate::place::Place;

/// How many names to try: others may be taken by a process of the same number elsewhere.
const TRIES: u32 = 1000;

/// A file under another name beside its place until [`NewFile::commit`]; dropped before that, it is
/// removed and what was at its place stays.
pub struct NewFile {
    place: Place,
    file: File,
    /// `None` once it is at its place.
    temporary: Option<OsString>,
}

impl NewFile {
    pub(crate) fn at(place: Place) -> io::Result<NewFile> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        left_over::remove_from(&place);
        for _ in 0..TRIES {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = left_over::name(std::process::id(), number);
            match place.create(&name) {
                Ok(file) => {
                    // Whoever sees it knows by that that it is not left over; where there are no
                    // locks, by its age.
                    let _ = file.try_lock();
                    let temporary = Some(name);
                    return Ok(NewFile {
                        place,
                        file,
                        temporary,
                    });
                }
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(Errno::EEXIST.into())
    }

    /// Puts the file at its place, over what is there.
    ///
    /// # Errors
    /// What is there is a directory, or the system refuses: then it is as it was before.
    pub fn commit(mut self) -> io::Result<()> {
        if let Some(name) = &self.temporary {
            let (folder, to) = (&self.place.folder, self.place.name.as_os_str());
            renameat(folder, name.as_os_str(), folder, to)?;
        }
        self.temporary = None;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(name) = &self.temporary {
            self.place.remove(name);
        }
    }
}
