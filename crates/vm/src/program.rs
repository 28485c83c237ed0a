//! The program that a guest runs as `/init`, and what a dynamic one needs beside itself.
//!
//! What a program is linked with is decided by whoever builds it: flags in the environment, a
//! configuration of cargo's, the target. A static program is the quickest to start; a dynamic one comes
//! with its loader and libraries, those that it has on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{VmError, elf};

/// Where the guest finds the libraries, whatever directories its loader was built to look in.
pub(crate) const LIBRARIES: &str = "/wpanlab/lib";

/// A program, looked at as the guest's `/init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// What loads it; `None` if it is static.
    pub loader: Option<Loader>,
}

/// The dynamic loader of a program and what it loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loader {
    /// The loader's own path, here and in the guest.
    pub path: PathBuf,
    /// The libraries by the names that they are asked for, with their paths here.
    pub libraries: Vec<(String, PathBuf)>,
}

impl Program {
    /// Looks at a file. The loader of a dynamic one is executed, which finds the libraries; the program
    /// is not.
    ///
    /// # Errors
    /// [`VmError::BadInit`] if the guest cannot execute it, or a library is missing.
    pub fn open(path: &Path) -> Result<Program, VmError> {
        let bad = |reason: String| VmError::BadInit {
            path: path.to_path_buf(),
            reason,
        };
        let loader = match elf::interpreter(path).map_err(bad)? {
            Some(loader) => Some(Loader {
                libraries: libraries(&loader, path).map_err(bad)?,
                path: loader,
            }),
            None => None,
        };
        let path = path.to_path_buf();
        Ok(Program { path, loader })
    }

    /// Every file that it is made of, here.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let loader = self.loader.iter().flat_map(|loader| {
            let libraries = loader.libraries.iter().map(|(_, path)| path.as_path());
            std::iter::once(loader.path.as_path()).chain(libraries)
        });
        std::iter::once(self.path.as_path()).chain(loader)
    }
}

/// What `ldd` shows: the loader is asked, who alone knows its configuration.
fn libraries(loader: &Path, program: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let output = Command::new(loader)
        .arg("--list")
        .arg(program)
        // What it adds on this machine is none of the guest's business.
        .env_remove("LD_PRELOAD")
        .output()
        .map_err(|e| format!("its loader {}: {e}", loader.display()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let loader = loader.display();
        return Err(format!(
            "its loader {loader}: {}: {}",
            output.status,
            words.trim()
        ));
    }
    parse_list(&String::from_utf8_lossy(&output.stdout))
}

/// Lines are `NAME => PATH (ADDRESS)`, `PATH (ADDRESS)`, which is the loader or a library that is asked
/// for by its path, or the kernel's own `linux-vdso.so.1 (ADDRESS)`.
fn parse_list(list: &str) -> Result<Vec<(String, PathBuf)>, String> {
    let mut libraries = Vec::new();
    for line in list.lines().map(str::trim) {
        let Some((name, found)) = line.split_once(" => ") else {
            continue;
        };
        if found == "not found" {
            return Err(format!("its library {name} is not on this machine"));
        }
        let path = found.rsplit_once(" (").map_or(found, |(path, _)| path);
        // A loader that is found under another name than the program's own.
        if !name.contains('/') {
            libraries.push((name.to_owned(), baseline(path)));
        }
    }
    Ok(libraries)
}

/// A library for any x86-64 in place of one for this machine's own processor, which has instructions
/// that an emulated one lacks (glibc's `glibc-hwcaps/x86-64-v3`).
fn baseline(path: &str) -> PathBuf {
    let general = path
        .split_once("/glibc-hwcaps/")
        .and_then(|(directory, rest)| Some(Path::new(directory).join(rest.split_once('/')?.1)));
    general
        .filter(|general| general.is_file())
        .unwrap_or_else(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_program_is_one_file() {
        let path = std::env::current_exe().unwrap();
        let program = Program::open(&path).unwrap();
        assert_eq!(program.loader, None);
        assert_eq!(program.files().collect::<Vec<_>>(), [path]);
    }

    #[test]
    fn a_dynamic_program_comes_with_its_loader_and_every_library() {
        let program = Program::open(Path::new("/bin/ls")).unwrap();
        let loader = program.loader.as_ref().unwrap();
        let names: Vec<&str> = loader.libraries.iter().map(|(name, _)| &**name).collect();
        assert!(
            names.iter().any(|name| name.starts_with("libc.")),
            "{names:?}"
        );
        assert!(program.files().all(Path::is_file));
        assert_eq!(program.files().count(), 2 + names.len());
    }

    #[test]
    fn lists_of_both_c_libraries_are_read() {
        // `ldd /bin/ls` of glibc 2.36, shortened.
        let glibc = "\tlinux-vdso.so.1 (0x00007ffc47bd5000)\n\
            \tlibselinux.so.1 => /lib/x86_64-linux-gnu/libselinux.so.1 (0x00007f7e0a1f6000)\n\
            \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f7e0a015000)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f7e0a25d000)\n";
        let named = |name: &str, path: &str| (name.to_owned(), PathBuf::from(path));
        assert_eq!(
            parse_list(glibc).unwrap(),
            [
                named("libselinux.so.1", "/lib/x86_64-linux-gnu/libselinux.so.1"),
                named("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
            ]
        );
        // `ldd` of musl 1.2.
        let musl = "\t/lib/ld-musl-x86_64.so.1 (0x7f1d0a5c5000)\n\
            \tlibgcc_s.so.1 => /usr/lib/libgcc_s.so.1 (0x7f1d0a59c000)\n\
            \tlibc.musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1 (0x7f1d0a5c5000)\n";
        assert_eq!(
            parse_list(musl).unwrap(),
            [
                named("libgcc_s.so.1", "/usr/lib/libgcc_s.so.1"),
                named("libc.musl-x86_64.so.1", "/lib/ld-musl-x86_64.so.1"),
            ]
        );
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let error = parse_list("\tlibfoo.so.2 => not found\n").unwrap_err();
        assert!(error.contains("libfoo.so.2"), "{error}");
    }

    #[test]
    fn a_library_for_newer_processors_gives_way_to_the_one_for_all() {
        let directory = tempfile::tempdir().unwrap();
        let newer = directory.path().join("glibc-hwcaps/x86-64-v3");
        std::fs::create_dir_all(&newer).unwrap();
        let [newer, general] = [newer, directory.path().into()].map(|d| d.join("libz.so.1"));
        std::fs::write(&newer, "").unwrap();
        assert_eq!(baseline(newer.to_str().unwrap()), newer);
        std::fs::write(&general, "").unwrap();
        assert_eq!(baseline(newer.to_str().unwrap()), general);
    }
}
