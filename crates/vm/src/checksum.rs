//! Whether what the cache holds is what was put there.
//!
//! A disk that goes bad, a power cut and a copy that was cut short change neither a file's name nor
//! its times: what is in it is read each time before it is used. CRC-32 finds every change of up to 32
//! neighbouring bits and misses one of 2^32 others; a chunk at a time it takes 10 GB/s, so that a
//! snapshot's 100 MB cost a run some hundredths of a second.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use sha2::{Digest, Sha256};

use crate::VmError;
use crate::kernel::hex;

/// What a file is summed up by.
const CHUNK: usize = 1 << 18;
static ZEROS: [u8; CHUNK] = [0; CHUNK];

/// Calls `each` with every chunk of `file` that has anything but zeros in it, and where it begins.
/// Holes are passed over; gives the file's length.
pub(crate) fn chunks(
    file: &File,
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < length {
        match lseek(file, at.cast_signed(), Whence::SeekData) {
            Ok(data) => at = data.cast_unsigned() / CHUNK as u64 * CHUNK as u64,
            // There are zeros up to the end.
            Err(Errno::ENXIO) => break,
            Err(errno) => return Err(errno.into()),
        }
        let size = (length - at).min(CHUNK as u64) as usize;
        let chunk = &mut buffer[..size];
        file.read_exact_at(chunk, at)?;
        if *chunk != ZEROS[..size] {
            each(at, chunk)?;
        }
        at += size as u64;
    }
    Ok(length)
}

/// A file's checksum on the way, of [`chunks`] in their order. Whether zeros are a hole makes no
/// difference.
#[derive(Default)]
pub(crate) struct Sum(Sha256);

impl Sum {
    pub(crate) fn add(&mut self, at: u64, chunk: &[u8]) {
        self.0.update(at.to_le_bytes());
        self.0.update(crc32fast::hash(chunk).to_le_bytes());
    }

    /// That of a file of this length, in 32 hexadecimal digits.
    pub(crate) fn finish(mut self, length: u64) -> String {
        self.0.update(length.to_le_bytes());
        hex(&self.0.finalize()[..16])
    }
}

/// A file's checksum, see [`Sum`].
pub(crate) fn of(file: &File) -> io::Result<String> {
    let mut sum = Sum::default();
    let length = chunks(file, |at, chunk| {
        sum.add(at, chunk);
        Ok(())
    })?;
    Ok(sum.finish(length))
}

/// Name of the table in the directory of a kernel.
pub(crate) const TABLE: &str = ".wpanlab-checksums";
/// The directories of a cache in which kernels are.
pub(crate) const PACKAGES: &str = "kernels";
pub(crate) const IMAGES: &str = "images";
pub(crate) const UML: &str = "uml";

/// The checksums of a kernel's files in the cache, which were written when it was put there: a line
/// for each, its CRC-32, its size and its path.
#[derive(Debug)]
pub(crate) struct Table {
    home: PathBuf,
    lines: String,
}

impl Table {
    /// The table of the kernel at `home`; none if that is not in a cache.
    pub(crate) fn of(home: &Path) -> Option<Table> {
        let bytes = files::Tree::new(home).read(&home.join(TABLE)).ok()?;
        Some(Table {
            home: home.to_owned(),
            // Of a damaged table a damaged line is left.
            lines: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    /// The text of a table of every file below `home`.
    pub(crate) fn make(home: &Path) -> io::Result<String> {
        let mut text = String::new();
        let mut folders = vec![home.to_owned()];
        let mut paths = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() && entry.file_name() != TABLE {
                    paths.push(entry.path());
                }
            }
        }
        paths.sort();
        for path in paths {
            let bytes = std::fs::read(&path)?;
            let _ = writeln!(text, "{}", line(home, &path, &bytes));
        }
        Ok(text)
    }

    /// Checks that `bytes` are those of the file `path` as it was put into the cache.
    ///
    /// # Errors
    /// They are not, and the kernel has been removed: the next one who looks for it makes it again.
    pub(crate) fn check(&self, path: &Path, bytes: &[u8]) -> Result<(), VmError> {
        let expected = line(&self.home, path, bytes);
        if self.lines.lines().any(|line| line == expected) {
            return Ok(());
        }
        let above = self.home.parent().and_then(Path::file_name);
        // A copy that somebody has made of it is not ours to remove.
        let ours = above.is_some_and(|name| [PACKAGES, IMAGES, UML].iter().any(|of| name == *of));
        let again = match above.is_some_and(|name| name == UML) {
            true => "`wpanlab vm build-uml` builds it again",
            false => "is made again",
        };
        let outcome = match ours.then(|| std::fs::remove_dir_all(&self.home)) {
            Some(Ok(())) => format!("was removed from the cache, and {again}"),
            Some(Err(error)) => format!("cannot be removed from the cache ({error}): remove it"),
            None => "is of no use: remove it".to_owned(),
        };
        Err(VmError::Damaged {
            path: path.to_owned(),
            home: self.home.clone(),
            outcome,
        })
    }
}

fn line(home: &Path, path: &Path, bytes: &[u8]) -> String {
    let name = path.strip_prefix(home).unwrap_or(path);
    let (sum, size) = (crc32fast::hash(bytes), bytes.len());
    format!("{sum:08x} {size} {}", name.display())
}

/// `text` with its checksum before it.
pub(crate) fn sealed(text: &str) -> String {
    format!("{:08x}\n{text}", crc32fast::hash(text.as_bytes()))
}

/// What [`sealed`] was given; `None` if it is not that any more.
pub(crate) fn unsealed(sealed: &[u8]) -> Option<&str> {
    let (sum, text) = std::str::from_utf8(sealed).ok()?.split_once('\n')?;
    let expected = format!("{:08x}", crc32fast::hash(text.as_bytes()));
    (sum == expected).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of `size` bytes, of which those at `places` are 1.
    fn sparse(size: u64, places: &[u64]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        for place in places {
            file.write_all_at(&[1], *place).unwrap();
        }
        file
    }

    #[test]
    fn a_checksum_does_not_tell_holes_from_zeros() {
        let size = 10 * CHUNK as u64 + 3;
        let places = [5, 4 * CHUNK as u64, size - 1];
        let holes = sparse(size, &places);
        let full = tempfile::tempfile().unwrap();
        full.write_all_at(&vec![0; size as usize], 0).unwrap();
        for place in places {
            full.write_all_at(&[1], place).unwrap();
        }
        assert_eq!(of(&holes).unwrap(), of(&full).unwrap());
        let mut read = Vec::new();
        let length = chunks(&holes, |at, _| {
            read.push(at / CHUNK as u64);
            Ok(())
        });
        assert_eq!((length.unwrap(), read), (size, vec![0, 4, 10]));
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_another_checksum() {
        let size = 6 * CHUNK as u64;
        let file = sparse(size, &[5, 3 * CHUNK as u64]);
        let sum = of(&file).unwrap();
        let mut place = 1u64;
        for _ in 0..100 {
            // Places as random as they need be, in holes and in data.
            place = place
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1)
                % size;
            let mut before = [0];
            file.read_exact_at(&mut before, place).unwrap();
            file.write_all_at(&[before[0] ^ 0x10], place).unwrap();
            assert_ne!(of(&file).unwrap(), sum, "{place}");
            file.write_all_at(&before, place).unwrap();
            assert_eq!(of(&file).unwrap(), sum);
        }
        for cut in [0, 1, size / 2, size - 1, size + 1] {
            file.set_len(cut).unwrap();
            assert_ne!(of(&file).unwrap(), sum, "cut at {cut}");
        }
    }

    #[test]
    fn a_sealed_text_that_was_damaged_anywhere_is_none() {
        let good = sealed("QEMU emulator version 7.2.22\n");
        assert_eq!(
            unsealed(good.as_bytes()),
            Some("QEMU emulator version 7.2.22\n")
        );
        for place in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[place] ^= 1;
            assert_eq!(unsealed(&bad), None, "{place}");
            assert_eq!(unsealed(&good.as_bytes()[..place]), None, "{place}");
        }
    }
}
