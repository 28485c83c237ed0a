//! Capture files that are read frame by frame, as often as is needed.

use std::cell::RefCell;
use std::fs::File;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use capture::{Capture, Interface, Packet, ReadError, Reader};

use super::source::Source;

/// A capture file. What can be read only once, standard input or a pipe, is kept in memory.
pub struct CaptureFile {
    name: String,
    kept: Kept,
    damage: RefCell<Option<ReadError>>,
}

enum Kept {
    OnDisk(PathBuf),
    InMemory(Capture),
}

impl CaptureFile {
    /// Opens `path`, as [`capture::read`] does.
    ///
    /// # Errors
    /// It cannot be opened or is not a capture.
    pub fn open(path: &Path) -> Result<CaptureFile, ReadError> {
        if !path.is_file() {
            let mut capture = capture::read(path)?;
            return Ok(CaptureFile {
                name: capture.name.clone(),
                damage: RefCell::new(capture.damage.take()),
                kept: Kept::InMemory(capture),
            });
        }
        let name = path.display().to_string();
        reader(path, &name)?;
        Ok(CaptureFile {
            name,
            kept: Kept::OnDisk(path.to_owned()),
            damage: RefCell::new(None),
        })
    }

    /// Why reading stopped before the end of the file, if it did when it was read last.
    pub fn into_damage(self) -> Option<ReadError> {
        self.damage.into_inner()
    }

    fn read(
        &self,
        path: &Path,
        each: &mut dyn FnMut(&[Interface], &Packet) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut reader = reader(path, &self.name)?;
        while let Some(packet) = reader.next() {
            if each(reader.interfaces(), &packet?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Source for CaptureFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn frames(&self, each: &mut dyn FnMut(&[Interface], &Packet) -> ControlFlow<()>) {
        match &self.kept {
            Kept::InMemory(capture) => capture.frames(each),
            Kept::OnDisk(path) => {
                let damage = self.read(path, each).err();
                self.damage.replace(damage);
            }
        }
    }
}

fn reader(path: &Path, name: &str) -> Result<Reader<BufReader<File>>, ReadError> {
    let file = File::open(path).map_err(|source| ReadError::Open {
        file: name.to_owned(),
        source,
    })?;
    Reader::new(name, BufReader::new(file))
}
