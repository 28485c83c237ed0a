//! A kernel for User-Mode Linux in the cache, or one of the user's.

use std::path::{Path, PathBuf};

use super::NAME;
use crate::checksum::UML;
use crate::kernel::{Kernel, at_home, cache_with_room, read_image, version_key};
use crate::modules::Tree;
use crate::{VmError, modules};

/// The kernel at `explicit`, the directory of one that was built, or else the newest in the cache.
///
/// # Errors
/// There is none, or it is none for a User-Mode Linux: says how to build one.
pub fn locate(explicit: Option<&Path>, cache: &Path) -> Result<Kernel, VmError> {
    let Some(path) = explicit else {
        // Where it is built if the cache is full or may not be written.
        let elsewhere = || newest(&cache_with_room(cache), "");
        return newest(cache, "").or_else(elsewhere).ok_or_else(|| {
            VmError::NoKernel(format!(
                "{NAME} has a kernel of its own, and {} has none: `wpanlab vm build-uml` builds it",
                cache.join(UML).display()
            ))
        });
    };
    of_home(path).ok_or_else(|| VmError::BadKernel {
        path: path.to_path_buf(),
        reason: format!(
            "not a directory with vmlinux, a {NAME} in which all that the testbed needs is built in, and \
             lib/modules/RELEASE/modules.builtin; `wpanlab vm build-uml` builds one"
        ),
    })
}

/// The newest kernel in the cache whose name ends so.
pub(super) fn newest(cache: &Path, ending: &str) -> Option<Kernel> {
    let homes = std::fs::read_dir(cache.join(UML)).ok()?;
    let homes = homes.filter_map(|entry| Some(entry.ok()?.path()));
    let ends = |home: &PathBuf| home.to_string_lossy().ends_with(ending);
    let newest = homes.filter(ends).filter_map(|home| {
        let made = home.metadata().and_then(|home| home.modified());
        Some((of_home(&home)?, made.ok()))
    });
    newest
        .filter(|(kernel, _)| kernel.is_summed())
        .max_by_key(|(kernel, made)| (version_key(&kernel.release), *made))
        .map(|(kernel, _)| kernel)
}

/// The kernel in a directory that [`build`](super::build()) made.
pub(super) fn of_home(home: &Path) -> Option<Kernel> {
    let image = read_image(&home.join("vmlinux")).ok()?;
    let kernel = at_home(home, image.release);
    let modules = Tree::open(&kernel.modules).ok()?;
    // What is built in is no file to load.
    let loaded = modules.load_order(modules::TESTBED).ok()?;
    loaded.is_empty().then_some(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel as [`build`](super::super::build()) leaves it, but for its code.
    fn fake(home: &Path, release: &str, builtin: &[&str]) {
        let modules = home.join("lib/modules").join(release);
        std::fs::create_dir_all(&modules).unwrap();
        let banner = format!("\x7fELF Linux version {release} (x)");
        std::fs::write(home.join("vmlinux"), banner).unwrap();
        let list: String = builtin
            .iter()
            .map(|name| format!("kernel/{name}.ko\n"))
            .collect();
        std::fs::write(modules.join("modules.builtin"), list).unwrap();
    }

    #[test]
    fn the_newest_kernel_is_taken_or_the_one_of_a_recipe() {
        let cache = tempfile::tempdir().unwrap();
        let cache = cache.path();
        assert!(
            locate(None, cache)
                .unwrap_err()
                .to_string()
                .contains("build-uml")
        );
        for release in ["7.3.4-wpanlab-aa", "7.3.10-wpanlab-bb", "7.3.9-wpanlab-aa"] {
            fake(&cache.join(UML).join(release), release, modules::TESTBED);
        }
        assert_eq!(locate(None, cache).unwrap().release, "7.3.10-wpanlab-bb");
        assert_eq!(newest(cache, "-aa").unwrap().release, "7.3.9-wpanlab-aa");
        assert_eq!(newest(cache, "-cc"), None);
    }

    #[test]
    fn a_kernel_without_what_the_testbed_needs_is_refused() {
        let home = tempfile::tempdir().unwrap();
        fake(home.path(), "7.3.4", &modules::TESTBED[1..]);
        let refused = locate(Some(home.path()), home.path())
            .unwrap_err()
            .to_string();
        assert!(refused.contains("is built in"), "{refused}");
        fake(home.path(), "7.3.4", modules::TESTBED);
        assert_eq!(
            locate(Some(home.path()), home.path()).unwrap().release,
            "7.3.4"
        );
    }
}
