//! A name in a directory that is held open, so that nobody exchanges what is above it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Permissions of new files and directories, less the user's mask.
const FILE_MODE: Mode = Mode::from_bits_truncate(0o666);
const FOLDER_MODE: Mode = Mode::from_bits_truncate(0o777);

/// Whether folders that are not there are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folders {
    /// They are an error.
    Expected,
    /// They are made.
    Made,
}

/// Where a file is, or is to be.
pub(crate) struct Place {
    pub(crate) folder: OwnedFd,
    pub(crate) name: OsString,
}

impl Place {
    /// `path` as the user named it: folders may be symbolic links.
    pub(crate) fn named(path: &Path) -> io::Result<Place> {
        let name = path.file_name().ok_or_else(no_name)?.to_owned();
        let folder = open_root(path.parent().unwrap_or(path))?;
        Ok(Place { folder, name })
    }

    /// `path` below `root`: nothing below that is a symbolic link.
    pub(crate) fn below(root: &Path, path: &Path, folders: Folders) -> io::Result<Place> {
        let inside = path.strip_prefix(root).map_err(|_| {
            let text = format!("it is not below {}", root.display());
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        let mut parts = Vec::new();
        for part in inside.components() {
            match part {
                Component::Normal(part) => parts.push(part),
                _ => return Err(no_name()),
            }
        }
        let name = parts.pop().ok_or_else(no_name)?;
        let mut folder = open_root(root)?;
        for part in parts {
            folder = enter(&folder, part, folders)?;
        }
        let name = name.to_owned();
        Ok(Place { folder, name })
    }

    /// Opens the file. A symbolic link, a directory, a FIFO, a socket or a device is an error, and is
    /// not opened.
    pub(crate) fn open(&self, how: OFlag) -> io::Result<File> {
        match fstatat(
            &self.folder,
            self.name.as_os_str(),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        ) {
            Ok(found) => expect_regular(&found)?,
            Err(Errno::ENOENT) if how.contains(OFlag::O_CREAT) => {}
            Err(errno) => return Err(errno.into()),
        }
        // It may have been exchanged since: then it is not waited for at least.
        let how = how | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = openat(&self.folder, self.name.as_os_str(), how, FILE_MODE)?;
        expect_regular(&fstat(&file)?)?;
        Ok(file.into())
    }

    /// Makes a file under `name` beside this place; there is none yet.
    pub(crate) fn create(&self, name: &OsStr) -> nix::Result<File> {
        let how = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let how = how | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&self.folder, name, how, FILE_MODE).map(File::from)
    }

    /// Removes what is here.
    pub(crate) fn unlink(&self, what: UnlinkatFlags) -> io::Result<()> {
        Ok(unlinkat(&self.folder, self.name.as_os_str(), what)?)
    }

    /// Removes the file `name`, of our making, that is not wanted after all.
    pub(crate) fn remove(&self, name: &OsStr) {
        // Nothing is lost if it stays, and why it is not wanted is told already.
        let _ = unlinkat(&self.folder, name, UnlinkatFlags::NoRemoveDir);
    }
}

fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let here = path.as_os_str().is_empty();
    let path = if here { Path::new(".") } else { path };
    let how = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(openat(AT_FDCWD, path, how, Mode::empty())?)
}

fn enter(folder: &OwnedFd, name: &OsStr, folders: Folders) -> io::Result<OwnedFd> {
    let how = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let open = || openat(folder, name, how, Mode::empty());
    let opened = match open() {
        Err(Errno::ENOENT) if folders == Folders::Made => {
            match mkdirat(folder, name, FOLDER_MODE) {
                Ok(()) | Err(Errno::EEXIST) => open(),
                Err(errno) => Err(errno),
            }
        }
        opened => opened,
    };
    opened.map_err(|errno| match errno {
        // O_PATH opens a symbolic link itself, which is no directory.
        Errno::ENOTDIR | Errno::ELOOP => {
            let text = format!("{} is no directory of its own", Path::new(name).display());
            io::Error::new(io::ErrorKind::NotADirectory, text)
        }
        errno => errno.into(),
    })
}

fn no_name() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it has no file's name")
}

/// An error if `found` is anything but a regular file.
fn expect_regular(found: &FileStat) -> io::Result<()> {
    let (kind, what) = match kind_of(found) {
        SFlag::S_IFREG => return Ok(()),
        SFlag::S_IFDIR => (io::ErrorKind::IsADirectory, "a directory"),
        SFlag::S_IFLNK => (
            io::ErrorKind::InvalidInput,
            "a symbolic link, which is not followed",
        ),
        SFlag::S_IFIFO => (io::ErrorKind::InvalidInput, "a FIFO"),
        SFlag::S_IFSOCK => (io::ErrorKind::InvalidInput, "a socket"),
        _ => (io::ErrorKind::InvalidInput, "a device"),
    };
    Err(io::Error::new(
        kind,
        format!("it is {what}, no regular file"),
    ))
}

pub(crate) fn kind_of(found: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT
}
