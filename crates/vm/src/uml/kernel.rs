//! A kernel for User-Mode Linux in the cache, or one of the user's.

use std::path::Path;

use crate::checksum::UML;
use crate::kernel::{Kernel, at_home, read_image, version_key};
use crate::modules::Tree;
use crate::{VmError, modules};

/// The newest kernel that [`build`](super::build()) put into the cache; nothing is built.
pub fn cached(cache: &Path) -> Option<Kernel> {
    let listing = std::fs::read_dir(cache.join(UML)).ok()?;
    listing
        .filter_map(|entry| of_home(&entry.ok()?.path()))
        .filter(Kernel::is_summed)
        .max_by_key(|kernel| version_key(&kernel.release))
}

/// The kernel at `explicit`, the directory of one that was built, or else the newest in the cache.
///
/// # Errors
/// There is none, or it is none for a User-Mode Linux: says how to build one.
pub fn locate(explicit: Option<&Path>, cache: &Path) -> Result<Kernel, VmError> {
    let Some(path) = explicit else {
        return cached(cache).ok_or_else(|| {
            VmError::NoKernel(format!(
                "User-Mode Linux has a kernel of its own, and {} has none: `wpanlab vm build-uml` builds it",
                cache.join(UML).display()
            ))
        });
    };
    let bad = |reason: &str| VmError::BadKernel {
        path: path.to_path_buf(),
        reason: format!("{reason}; `wpanlab vm build-uml` builds a directory with one"),
    };
    let kernel = of_home(path).ok_or_else(|| {
        bad("not a directory with vmlinux, a User-Mode Linux, and lib/modules beside it")
    })?;
    let builtin = Tree::open(&kernel.modules)?.load_order(modules::TESTBED)?;
    match builtin.is_empty() {
        true => Ok(kernel),
        false => Err(bad(
            "it has modules that are not built in: no User-Mode Linux of ours",
        )),
    }
}

/// The kernel in a directory that [`build`](super::build()) made.
fn of_home(home: &Path) -> Option<Kernel> {
    let image = read_image(&home.join("vmlinux")).ok()?;
    let kernel = at_home(home, image.release);
    kernel.modules.is_dir().then_some(kernel)
}
