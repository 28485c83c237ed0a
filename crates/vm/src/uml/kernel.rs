//! A kernel for User-Mode Linux in the cache, or one of the user's.

use std::path::Path;

use super::NAME;
use crate::checksum::UML;
use crate::kernel::{Kernel, at_home, cache_with_room, kept_in, read_image, version_key};
use crate::modules::Tree;
use crate::{VmError, modules};

/// What stands in a kernel's release between Linux's own and the digest of its recipe.
pub(super) const OF_RECIPE: &str = "-wpanlab-";

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

/// The newest kernel in the cache whose release ends so: of the newest Linux, the one that was built last.
pub(super) fn newest(cache: &Path, ending: &str) -> Option<Kernel> {
    let of_recipe = |kernel: &Kernel| kernel.release.ends_with(ending);
    let homes = cache.join(UML);
    let kernels = kept_in(&homes).filter(of_recipe);
    kernels.filter(has_all_built_in).max_by_key(|kernel| {
        let linux = kernel.release.split(OF_RECIPE).next();
        let made = kernel.home().metadata().and_then(|home| home.modified());
        (version_key(linux.unwrap_or_default()), made.ok())
    })
}

/// The kernel in a directory that [`build`](super::build()) made.
pub(super) fn of_home(home: &Path) -> Option<Kernel> {
    let image = read_image(&home.join("vmlinux")).ok()?;
    Some(at_home(home, image.release)).filter(has_all_built_in)
}

/// Whether the testbed needs no file of a module: a User-Mode Linux of ours loads none.
fn has_all_built_in(kernel: &Kernel) -> bool {
    let modules = Tree::open(&kernel.modules);
    let loaded = modules.and_then(|modules| modules.load_order(modules::TESTBED));
    loaded.is_ok_and(|loaded| loaded.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

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
    fn of_two_recipes_of_one_linux_the_one_that_was_built_last_is_taken() {
        let cache = tempfile::tempdir().unwrap();
        let homes = cache.path().join(UML);
        for (release, made_s) in [("7.3.4-wpanlab-ff", 1), ("7.3.4-wpanlab-aa", 2)] {
            let home = homes.join(release);
            fake(&home, release, modules::TESTBED);
            // Once it has its checksums.
            assert!(locate(None, cache.path()).is_ok());
            let made = UNIX_EPOCH + Duration::from_secs(made_s);
            std::fs::File::open(home)
                .unwrap()
                .set_modified(made)
                .unwrap();
        }
        assert_eq!(
            locate(None, cache.path()).unwrap().release,
            "7.3.4-wpanlab-aa"
        );
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
