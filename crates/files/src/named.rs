//! Files that the user names on the command line: those may be devices and FIFOs.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{FileStat, SFlag, fstat, stat};

use crate::new_file::NewFile;
use crate::place::{Place, kind_of};

/// How long to wait for somebody who writes into a FIFO, milliseconds.
const PATIENCE_MS: u16 = 2000;

/// Writes the file `path`.
///
/// A regular file, and what is not there yet, is written in one step, see
/// [`NewFile`]; a symbolic link to a regular file, or to nothing, is replaced as `sed -i` does. Into
/// a device or a FIFO (`/dev/stdout`, `/dev/null`, `>(…)`), also one that a link leads to, the bytes
/// go as they would from any program: a FIFO is waited for. What is this process's own standard
/// output or error is written to in its turn.
///
/// # Errors
/// It is a directory, or the system refuses: of a regular file nothing has changed then.
pub fn write_named(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let found = match stat(path) {
        Ok(found) => Some(found),
        Err(Errno::ENOENT) => None,
        Err(errno) => return Err(errno.into()),
    };
    if let Some(found) = found {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        for own in [stdout.as_fd(), stderr.as_fd()] {
            if is_same(&found, own) {
                return File::from(own.try_clone_to_owned()?).write_all(bytes);
            }
        }
        if !matches!(kind_of(&found), SFlag::S_IFREG | SFlag::S_IFDIR) {
            let mut stream = OpenOptions::new().write(true).open(path)?;
            if stream.metadata()?.is_file() {
                return Err(io::Error::other("it was exchanged meanwhile"));
            }
            return stream.write_all(bytes);
        }
    }
    let mut file = NewFile::at(Place::named(path)?)?;
    file.write_all(bytes)?;
    file.commit()
}

fn is_same(found: &FileStat, own: BorrowedFd<'_>) -> bool {
    fstat(own).is_ok_and(|own| (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino))
}

/// The bytes of the file `path`, of which there may be at most `limit`. A device or a FIFO
/// (`/dev/stdin`, `<(…)`) is read to its end; of a FIFO into which nobody begins to write that is after
/// some seconds.
///
/// # Errors
/// It is not there, is a directory, has more bytes, nobody writes into it, or the system refuses.
pub fn read_named(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let nonblocking = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking.bits())
        .open(path)?;
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a directory, no file",
        ));
    }
    let mut bytes = Vec::new();
    if found.is_file() && found.len() > limit {
        return Err(too_large(limit));
    }
    // One more than allowed shows that there are more.
    let unbegun = found.file_type().is_fifo();
    let mut rest = Waiting { file, unbegun }.take(limit.saturating_add(1));
    rest.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(limit));
    }
    Ok(bytes)
}

pub(crate) fn too_large(limit: u64) -> io::Error {
    let text = format!("it has more than {} MiB", limit >> 20);
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}

/// Reads what is there, and waits where nothing is there yet.
struct Waiting {
    file: File,
    /// A FIFO from which nothing has come: its end may be that nobody has opened the other one.
    unbegun: bool,
}

impl Read for Waiting {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(PollTimeout::NONE)?;
                }
                Ok(0) if self.unbegun => {
                    self.unbegun = false;
                    if self.wait(PATIENCE_MS.into())? == 0 {
                        match self.file.read(into) {
                            Ok(0) => {
                                let text = "it is a FIFO into which nobody writes";
                                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                            }
                            // Somebody has it open, and takes his time.
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                            read => return read,
                        }
                    }
                }
                read => {
                    self.unbegun &= read.is_err();
                    return read;
                }
            }
        }
    }
}

impl Waiting {
    fn wait(&self, limit: PollTimeout) -> io::Result<i32> {
        loop {
            let mut on = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            match poll(&mut on, limit) {
                Err(Errno::EINTR) => {}
                polled => return Ok(polled?),
            }
        }
    }
}
