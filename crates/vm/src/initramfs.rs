//! The initial file system: a `newc` cpio archive, the same bytes for the same content.
//!
//! Owners are root, inode numbers count up and every time is [`MTIME`], so nothing of the
//! building machine gets in.

use std::collections::BTreeSet;
use std::io::{self, Write};

use cpio::newc::{self, ModeFileType};

/// Modification time of every entry: 2020-01-01T00:00:00Z, the instant at which the guest's
/// clock starts.
pub const MTIME: u32 = 1_577_836_800;

/// An archive under construction. Parent directories make themselves.
#[derive(Debug, Default)]
pub struct Initramfs {
    bytes: Vec<u8>,
    inode: u32,
    directories: BTreeSet<String>,
}

impl Initramfs {
    /// An empty archive.
    pub fn new() -> Initramfs {
        Initramfs::default()
    }

    /// Adds a directory and those above it.
    ///
    /// # Errors
    /// See [`Initramfs::file`].
    pub fn directory(&mut self, path: &str) -> io::Result<()> {
        let path = relative(path)?;
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let directory = &path[..end];
            if self.directories.insert(directory.to_string()) {
                let entry = self.entry(directory, ModeFileType::Directory, 0o755);
                self.append(entry, &[])?;
            }
        }
        Ok(())
    }

    /// Adds a regular file with its permission bits.
    ///
    /// # Errors
    /// A path that is empty or has `..` in it; content of 4 GiB or more.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let path = relative(path)?.to_string();
        self.parent(&path)?;
        let entry = self.entry(&path, ModeFileType::Regular, mode & 0o7777);
        self.append(entry, content)
    }

    /// Adds a character device node.
    ///
    /// # Errors
    /// See [`Initramfs::file`].
    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) -> io::Result<()> {
        let path = relative(path)?.to_string();
        self.parent(&path)?;
        let entry = self
            .entry(&path, ModeFileType::Char, 0o600)
            .rdev_major(major)
            .rdev_minor(minor);
        self.append(entry, &[])
    }

    /// The finished archive.
    ///
    /// # Errors
    /// None in practice: it is written to memory.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        newc::trailer(self.bytes)
    }

    fn parent(&mut self, path: &str) -> io::Result<()> {
        match path.rsplit_once('/') {
            Some((parent, _)) => self.directory(parent),
            None => Ok(()),
        }
    }

    fn entry(&mut self, path: &str, kind: ModeFileType, mode: u32) -> newc::Builder {
        self.inode += 1;
        newc::Builder::new(path)
            .ino(self.inode)
            .mode(mode)
            .mtime(MTIME)
            .set_mode_file_type(kind)
    }

    fn append(&mut self, entry: newc::Builder, content: &[u8]) -> io::Result<()> {
        let size = u32::try_from(content.len())
            .map_err(|_| io::Error::other("a cpio entry holds less than 4 GiB"))?;
        let mut writer = entry.write(std::mem::take(&mut self.bytes), size);
        writer.write_all(content)?;
        self.bytes = writer.finish()?;
        Ok(())
    }
}

fn relative(path: &str) -> io::Result<&str> {
    let relative = path.trim_matches('/');
    if relative.is_empty()
        || relative
            .split('/')
            .any(|part| matches!(part, "" | "." | ".."))
    {
        return Err(io::Error::other(format!("`{path}` is not a plain path")));
    }
    Ok(relative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn example() -> Vec<u8> {
        let mut archive = Initramfs::new();
        archive.file("/init", 0o755, b"hello\n").unwrap();
        archive.character_device("/dev/console", 5, 1).unwrap();
        archive.file("/etc/a/b", 0o644, b"").unwrap();
        archive.file("/etc/a/c", 0o600, b"xyz").unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        assert_eq!(example(), example());
    }

    #[test]
    fn an_entry_is_laid_out_as_newc_says() {
        // cpio(5), "New ASCII Format": magic, inode, mode, uid, gid, nlink, mtime, size,
        // device and special device numbers, name size, check; name and data padded to 4.
        let mut expected = String::from("070701");
        for field in [
            "00000001", "000081ed", "00000000", "00000000", "00000001", "5e0be100",
        ] {
            expected.push_str(field);
        }
        for field in ["00000006", "00000000", "00000000", "00000000", "00000000"] {
            expected.push_str(field);
        }
        // The name brings the header's 110 bytes to 115, padding to 116.
        expected.push_str("0000000500000000init\0\0hello\n\0\0");
        assert_eq!(&example()[..expected.len()], expected.as_bytes());
    }

    #[test]
    fn the_system_cpio_lists_it() {
        let mut child = match Command::new("cpio")
            .args(["-itv", "--quiet", "--numeric-uid-gid"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        {
            Ok(child) => child,
            Err(e) => panic!("install the package `cpio`, the oracle of this test: {e}"),
        };
        child.stdin.take().unwrap().write_all(&example()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let listing = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<(&str, &str)> = listing
            .lines()
            .map(|l| {
                (
                    l.split_whitespace().next().unwrap(),
                    l.rsplit(' ').next().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                ("-rwxr-xr-x", "init"),
                ("drwxr-xr-x", "dev"),
                ("crw-------", "dev/console"),
                ("drwxr-xr-x", "etc"),
                ("drwxr-xr-x", "etc/a"),
                ("-rw-r--r--", "etc/a/b"),
                ("-rw-------", "etc/a/c"),
            ]
        );
    }

    #[test]
    fn a_path_that_climbs_is_refused() {
        for path in ["", "/", "a/../b", "a//b"] {
            assert!(Initramfs::new().file(path, 0o644, b"").is_err(), "{path}");
        }
    }
}
