//! The directory that outlives runs: kernels and snapshots.
//!
//! What is in it is executed, in a guest and by QEMU: it is used only if nobody but its owner could
//! have put it there. A cache that cannot be used, for whatever reason, fails no run.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, Uid, access};

/// Permissions that let others than the owner write.
const OTHERS_WRITE: u32 = 0o022;
/// Room that a kernel takes while it is fetched and unpacked, bytes.
const ROOM: u64 = 600 << 20;
/// How many names in the system's directory for temporary files are tried: others may have
/// taken some.
const TRIES: u32 = 100;

/// `$XDG_CACHE_HOME/wpanlab`, else `~/.cache/wpanlab`; made for its owner alone. If another user could
/// have put something there, or it cannot be made, a private directory under the system's one for
/// temporary files takes its place, which is said once.
pub fn default_cache() -> PathBuf {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(choose).clone()
}

fn choose() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let wanted = set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache")))
        .map(|base| base.join("wpanlab"));
    let Some(wanted) = wanted else {
        return private();
    };
    let Err(reason) = own(&wanted) else {
        return wanted;
    };
    let instead = private();
    tracing::warn!(
        "the cache {} is not used: {reason}; using {}",
        wanted.display(),
        instead.display()
    );
    instead
}

/// A cache of this user's under the system's directory for temporary files.
pub(crate) fn private() -> PathBuf {
    let base = std::env::temp_dir();
    let user = Uid::effective();
    let name = |number: u32| base.join(format!("wpanlab-{user}-{number}"));
    let found = (1..TRIES).map(name).find(|path| own(path).is_ok());
    // Then nothing can be made there, which is told when something is to be.
    found.unwrap_or_else(|| name(TRIES))
}

/// Makes the directory, unless it is there.
///
/// # Errors
/// Why it must not be used, or that it cannot be made, in words.
fn own(path: &Path) -> Result<(), String> {
    let make = || {
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        DirBuilder::new().mode(0o700).create(path)
    };
    match make() {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(_) if path.is_dir() => {}
        Err(error) => return Err(format!("it cannot be made: {error}")),
    }
    trust(path, DEPTH)
}

/// How deep the folders of a cache are looked at: `kernels/RELEASE`. What is below belongs to whom
/// these belong to.
const DEPTH: u32 = 2;

/// Whether nobody but this user, or root, could have put something into the directory, down to
/// some depth.
///
/// # Errors
/// Who could, in words.
fn trust(path: &Path, depth: u32) -> Result<(), String> {
    let found = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (owner, us) = (found.uid(), Uid::effective().as_raw());
    if owner != us && owner != 0 {
        return Err(format!(
            "{} belongs to user {owner}, and this is user {us}",
            path.display()
        ));
    }
    if found.mode() & OTHERS_WRITE != 0 {
        return Err(format!(
            "others than its owner may write into {} (mode {:o}): remove it, or `chmod -R go-w` it if \
             nobody has",
            path.display(),
            found.mode() & 0o7777
        ));
    }
    if depth == 0 {
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            trust(&entry.path(), depth - 1)?;
        }
    }
    Ok(())
}

/// Removes all but the `keep` latest of the files in `directory` that are of one sort.
pub(crate) fn keep_latest(
    directory: &Path,
    keep: usize,
    is_of_sort: impl Fn(&Path) -> bool,
) -> io::Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if is_of_sort(&path) {
            found.push((entry.metadata()?.modified()?, path));
        }
    }
    found.sort();
    let surplus = found.len().saturating_sub(keep);
    found[..surplus]
        .iter()
        .try_for_each(|(_, path)| fs::remove_file(path))
}

/// Whether a kernel can be put into the cache.
pub(crate) fn has_room(cache: &Path) -> bool {
    let _ = fs::create_dir_all(cache);
    access(cache, AccessFlags::W_OK).is_ok() && free(cache).is_ok_and(|free| free >= ROOM)
}

/// Bytes that are free where `at` is.
pub(crate) fn free(at: &Path) -> nix::Result<u64> {
    let space = statvfs(at)?;
    #[allow(clippy::useless_conversion, reason = "u32 on 32-bit machines")]
    Ok(u64::from(space.blocks_available()) * u64::from(space.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown};

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_new_cache_is_its_owners_alone() {
        let base = tempfile::tempdir().unwrap();
        let cache = base.path().join("not/there/wpanlab");
        own(&cache).unwrap();
        assert_eq!(fs::metadata(&cache).unwrap().mode() & 0o7777, 0o700);
        own(&cache).unwrap();
    }

    #[test]
    fn a_cache_into_which_others_may_write_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let cache = base.path().join("wpanlab");
        let release = cache.join("kernels/6.1");
        fs::create_dir_all(&release).unwrap();
        for path in [&cache, &cache.join("kernels"), &release] {
            set_mode(path, 0o755);
        }
        own(&cache).unwrap();
        for path in [&cache, &cache.join("kernels"), &release] {
            for mode in [0o775, 0o757, 0o1777] {
                set_mode(path, mode);
                let refused = own(&cache).unwrap_err();
                assert!(refused.contains(&path.display().to_string()), "{refused}");
                assert!(refused.contains("may write"), "{refused}");
            }
            set_mode(path, 0o755);
        }
        own(&cache).unwrap();
        // A file, and a place where nothing can be made.
        fs::write(base.path().join("file"), "").unwrap();
        assert!(own(&base.path().join("file/wpanlab")).is_err());
        assert!(own(Path::new("/proc/wpanlab")).is_err());
    }

    #[test]
    fn a_cache_of_another_user_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let cache = base.path().join("wpanlab");
        own(&cache).unwrap();
        // Only root can give it away.
        if chown(&cache, Some(12345), None).is_ok() {
            let refused = own(&cache).unwrap_err();
            assert!(refused.contains("belongs to user 12345"), "{refused}");
        }
    }
}
