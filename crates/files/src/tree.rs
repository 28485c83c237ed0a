//! A directory that may have come from anywhere.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::UnlinkatFlags;

use crate::named::too_large;
use crate::new_file::NewFile;
use crate::place::{Folders, Place};

/// Most bytes of a file that is read whole: some hundred thousand runs of a sweep have fewer.
pub const MOST_BYTES: u64 = 512 << 20;

/// The files below a directory. The directory itself may be reached by symbolic links; below it
/// none is followed. Every path that is given begins with the directory's.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    root: &'a Path,
}

impl<'a> Tree<'a> {
    /// The files below `root`.
    pub fn new(root: &'a Path) -> Tree<'a> {
        Tree { root }
    }

    /// The files of the folder that holds `path`, by whatever way it is reached.
    pub fn holding(path: &'a Path) -> Tree<'a> {
        let above = path.parent();
        Tree::new(above.unwrap_or(path))
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// It is not there, is no regular file, or the system refuses.
    pub fn open(self, path: &Path) -> io::Result<File> {
        Place::below(self.root, path, Folders::Expected)?.open(OFlag::O_RDONLY)
    }

    /// The bytes of a regular file, of which there may be [`MOST_BYTES`].
    ///
    /// # Errors
    /// See [`Tree::open`]; and it has more bytes.
    pub fn read(self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        // A sparse file has a length and takes no room.
        if file.metadata()?.len() > MOST_BYTES {
            return Err(too_large(MOST_BYTES));
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > MOST_BYTES {
            true => Err(too_large(MOST_BYTES)),
            false => Ok(bytes),
        }
    }

    /// The text of a regular file.
    ///
    /// # Errors
    /// See [`Tree::read`]; and it is not UTF-8.
    pub fn read_to_string(self, path: &Path) -> io::Result<String> {
        let text = String::from_utf8(self.read(path)?);
        text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
    }

    /// Begins a file that takes its place, over whatever is there, once it is whole. Folders that are
    /// not there are made.
    ///
    /// # Errors
    /// A folder is a symbolic link, or the system refuses.
    pub fn new_file(self, path: &Path) -> io::Result<NewFile> {
        NewFile::at(Place::below(self.root, path, Folders::Made)?)
    }

    /// Writes a file in one step, see [`Tree::new_file`].
    ///
    /// # Errors
    /// See [`Tree::new_file`] and [`NewFile::commit`]; then what was there before is there still.
    pub fn replace(self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.new_file(path)?;
        file.write_all(bytes)?;
        file.commit()
    }

    /// Makes a folder, and those above it, unless they are there.
    ///
    /// # Errors
    /// One of them is a symbolic link or a file, or the system refuses.
    pub fn make_folder(self, path: &Path) -> io::Result<()> {
        Place::below(self.root, &path.join("within"), Folders::Made).map(drop)
    }

    /// Makes a file that grows where it is; there must be none. Folders that are not there are made.
    ///
    /// # Errors
    /// Something is there, a folder is a symbolic link, or the system refuses.
    pub fn create(self, path: &Path) -> io::Result<File> {
        let place = Place::below(self.root, path, Folders::Made)?;
        Ok(place.create(&place.name)?)
    }

    /// Writes a file where there is none.
    ///
    /// # Errors
    /// See [`Tree::create`]; what could not be written whole is removed.
    pub fn write_new(self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let place = Place::below(self.root, path, Folders::Made)?;
        let mut file = place.create(&place.name)?;
        let written = file.write_all(bytes);
        if written.is_err() {
            place.remove(&place.name);
        }
        written
    }

    /// Removes a file. A symbolic link itself is removed, never what it leads to.
    ///
    /// # Errors
    /// It is a directory or not there, a folder is a symbolic link, or the system refuses.
    pub fn remove_file(self, path: &Path) -> io::Result<()> {
        Place::below(self.root, path, Folders::Expected)?.unlink(UnlinkatFlags::NoRemoveDir)
    }

    /// Removes a folder in which nothing is.
    ///
    /// # Errors
    /// There is something in it, it is no directory, or the system refuses.
    pub fn remove_empty_folder(self, path: &Path) -> io::Result<()> {
        Place::below(self.root, path, Folders::Expected)?.unlink(UnlinkatFlags::RemoveDir)
    }

    /// Opens a regular file to write at its end; it is made if it is not there.
    ///
    /// # Errors
    /// It is no regular file, a folder is a symbolic link, or the system refuses.
    pub fn append(self, path: &Path) -> io::Result<File> {
        let place = Place::below(self.root, path, Folders::Made)?;
        place.open(OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT)
    }
}

/// Makes the directory `BASE/NAME-N` with the first N, from 1, that nobody has: also of callers at
/// the same time each gets one of its own.
///
/// # Errors
/// The system refuses.
pub fn make_numbered(base: &Path, name: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(base)?;
    let mut number = 1u64;
    loop {
        let path = base.join(format!("{name}-{number}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}
