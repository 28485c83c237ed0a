//! Which kernel the guest boots, and where it comes from.

use std::fs::File;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::checksum::{IMAGES, PACKAGES, TABLE, Table};
use crate::modules::Tree;
use crate::{VmError, cache, image, package};

/// A bootable kernel with its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The uncompressed ELF image.
    pub vmlinux: PathBuf,
    /// The modules' directory (`.../lib/modules/RELEASE`).
    pub modules: PathBuf,
    /// The release (`uname -r`).
    pub release: String,
}

/// Where to look for a kernel.
#[derive(Clone, Debug)]
pub struct KernelSource {
    /// A `vmlinuz` or `vmlinux` the user named, or the root of an unpacked kernel package.
    pub explicit: Option<PathBuf>,
    /// The cache directory; see [`crate::default_cache`].
    pub cache: PathBuf,
}

impl Kernel {
    /// The newest kernel of the cache; nothing is fetched.
    pub fn cached(cache: &Path) -> Option<Kernel> {
        newest(cache)
    }

    /// Finds a kernel: the explicit one, else the newest in the cache, else the
    /// distribution's package, else the host's own in `/boot` if it has the 802.15.4
    /// modules.
    ///
    /// # Errors
    /// The explicit kernel cannot be used, or none was found: then it says what was tried.
    pub fn locate(source: &KernelSource) -> Result<Kernel, VmError> {
        Kernel::locate_and_tell(source, |step| tracing::info!("{step}"))
    }

    /// [`Kernel::locate`], telling each step of a download.
    ///
    /// # Errors
    /// See [`Kernel::locate`].
    pub fn locate_and_tell(
        source: &KernelSource,
        progress: impl FnMut(&str),
    ) -> Result<Kernel, VmError> {
        if let Some(path) = &source.explicit {
            return Kernel::explicit(path, &source.cache);
        }
        if let Some(kernel) = Kernel::cached(&source.cache) {
            return Ok(kernel);
        }
        let cache = cache_with_room(&source.cache);
        // Tests start many of us at once: one downloads, the others find its work.
        let _turn = lock(&cache)?;
        if let Some(kernel) = Kernel::cached(&cache) {
            return Ok(kernel);
        }
        fetch(&cache, None, progress).or_else(|fetch_error| {
            host_kernel(&cache).map_err(|host_error| {
                VmError::NoKernel(format!(
                    "nothing in the cache {}; the distribution's package: {fetch_error}; the \
                     host's own: {host_error}; name one with --kernel",
                    cache.display()
                ))
            })
        })
    }

    /// The directory of its image, which has a table of checksums if it is in a cache.
    pub(crate) fn home(&self) -> &Path {
        self.vmlinux.parent().unwrap_or(&self.vmlinux)
    }

    /// Whether there is a table of checksums; one is made of a kernel that an earlier version put
    /// into the cache, unless it is none.
    fn is_summed(&self) -> bool {
        let home = self.home();
        let whole = || read_image(&self.vmlinux).is_ok_and(|image| image.release == self.release);
        let make = || {
            let table = Table::make(home)?;
            files::Tree::new(home).replace(&home.join(TABLE), table.as_bytes())
        };
        // In a cache that cannot be written it is used as it is.
        home.join(TABLE).is_file() || (whole() && (make().is_ok() || !cache::has_room(home)))
    }

    /// Checks that the image is what was put into the cache; one that is in none is taken as it is.
    ///
    /// # Errors
    /// [`VmError::Damaged`], and it cannot be read.
    pub(crate) fn check(&self) -> Result<(), VmError> {
        let Some(table) = Table::of(self.home()) else {
            return Ok(());
        };
        let path = &self.vmlinux;
        let bytes = std::fs::read(path).map_err(VmError::io("read kernel", path.display()))?;
        table.check(path, &bytes)
    }

    fn explicit(path: &Path, cache: &Path) -> Result<Kernel, VmError> {
        if path.is_dir() {
            let whole = Some(path.join("vmlinux")).filter(|vmlinux| vmlinux.is_file());
            let image = whole
                .or_else(|| newest_image(path))
                .ok_or_else(|| VmError::BadKernel {
                    path: path.to_path_buf(),
                    reason: "a directory with neither vmlinux nor boot/vmlinuz-* nor lib/modules/*/vmlinuz".into(),
                })?;
            return Kernel::explicit(&image, cache);
        }
        let (vmlinux, release) = unpack_image(path, cache)?;
        let near = |up: &Path| up.join("lib/modules").join(&release);
        // A kernel at ROOT/boot/vmlinuz or ROOT/vmlinux has its modules in ROOT, one of Debian's after 7.0 lies
        // among them, in ROOT/lib/modules/RELEASE/vmlinuz.
        let modules = path
            .ancestors()
            .skip(1)
            .take(4)
            .map(near)
            .find(|modules| modules.is_dir())
            .unwrap_or_else(|| near(Path::new("/")));
        if !modules.is_dir() {
            return Err(VmError::NoKernel(format!(
                "{} is Linux {release}, whose modules are neither beside it nor in {}",
                path.display(),
                modules.display()
            )));
        }
        Ok(Kernel {
            vmlinux,
            modules,
            release,
        })
    }
}

/// The cache, or a private one if nothing can be put into it.
pub(crate) fn cache_with_room(wanted: &Path) -> PathBuf {
    if cache::has_room(wanted) {
        return wanted.to_owned();
    }
    let instead = cache::private();
    if instead != wanted {
        let (wanted, instead) = (wanted.display(), instead.display());
        tracing::warn!("the cache {wanted} is full or read-only: a kernel goes to {instead}");
    }
    instead
}

/// Where the kernels of a suite of Debian's are: apart from the distribution's, of which the newest is taken.
pub fn of_suite(cache: &Path, suite: &str) -> PathBuf {
    cache.join("suites").join(suite)
}

/// Downloads the distribution's kernel package into the cache; with `suite`, a suite of Debian's such as
/// `bookworm-backports`, that one's, for which [`of_suite`] is the cache.
///
/// # Errors
/// Not a Debian or Ubuntu, no network, no such package: says which command failed and how.
pub fn fetch(
    cache: &Path,
    suite: Option<&str>,
    mut progress: impl FnMut(&str),
) -> Result<Kernel, VmError> {
    std::fs::create_dir_all(cache).map_err(VmError::io("make", cache.display()))?;
    // On the cache's file system, so that the modules can be moved instead of copied.
    let work = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(cache)
        .map_err(VmError::io("make a directory in", cache.display()))?;
    let root = package::download(work.path(), suite, &mut progress)?;
    progress("unpacking the kernel image");
    adopt(&root, cache)
}

/// The kernel at `ROOT/boot` and `ROOT/lib/modules` of an unpacked package, moved into the
/// cache.
fn adopt(root: &Path, cache: &Path) -> Result<Kernel, VmError> {
    let packed = newest_image(root).ok_or_else(|| VmError::BadKernel {
        path: root.to_path_buf(),
        reason: "the package has neither boot/vmlinuz-* nor lib/modules/*/vmlinuz".into(),
    })?;
    let image = read_image(&packed)?;
    let modules = ["lib/modules", "usr/lib/modules"]
        .map(|at| root.join(at).join(&image.release))
        .into_iter()
        .find(|at| at.is_dir())
        .ok_or_else(|| VmError::BadKernel {
            path: packed.clone(),
            reason: format!("no modules for its release {} with it", image.release),
        })?;
    // It may lie among the modules, and is kept unpacked.
    std::fs::remove_file(&packed).map_err(VmError::io("remove", packed.display()))?;
    let home = packages(cache).join(&image.release);
    place(&home, |staging| {
        write(&staging.join("vmlinux"), &image.vmlinux)?;
        let to = staging.join("lib/modules").join(&image.release);
        let parent = staging.join("lib/modules");
        std::fs::create_dir_all(&parent).map_err(VmError::io("make", parent.display()))?;
        std::fs::rename(&modules, &to).map_err(VmError::io("move", modules.display()))
    })?;
    Ok(at_home(&home, image.release))
}

/// Held while the file lives; the kernel drops it with the process.
pub(crate) fn lock(cache: &Path) -> Result<File, VmError> {
    std::fs::create_dir_all(cache).map_err(VmError::io("make", cache.display()))?;
    let path = cache.join(".lock");
    let file = File::create(&path).map_err(VmError::io("open", path.display()))?;
    file.lock().map_err(VmError::io("lock", path.display()))?;
    Ok(file)
}

/// The newest kernel that [`adopt`] put into the cache.
fn newest(cache: &Path) -> Option<Kernel> {
    kept_in(&packages(cache)).max_by_key(|kernel| version_key(&kernel.release))
}

/// The kernels in the directories below `homes`, each of which is named after its kernel's release.
pub(crate) fn kept_in(homes: &Path) -> impl Iterator<Item = Kernel> {
    let listing = std::fs::read_dir(homes).into_iter().flatten();
    listing
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .map(|release| at_home(&homes.join(&release), release))
        .filter(|kernel| kernel.vmlinux.is_file() && kernel.modules.is_dir() && kernel.is_summed())
}

pub(crate) fn at_home(home: &Path, release: String) -> Kernel {
    Kernel {
        vmlinux: home.join("vmlinux"),
        modules: home.join("lib/modules").join(&release),
        release,
    }
}

fn host_kernel(cache: &Path) -> Result<Kernel, VmError> {
    let image = newest_image(Path::new("/")).ok_or_else(|| {
        VmError::NoKernel("/boot has no vmlinuz-*, nor /lib/modules/* a vmlinuz".into())
    })?;
    let kernel = Kernel::explicit(&image, cache)?;
    // Checked here, because the cloud flavours lack what the testbed is about.
    Tree::open(&kernel.modules)?.load_order(&["mac802154_hwsim"])?;
    Ok(kernel)
}

fn packages(cache: &Path) -> PathBuf {
    cache.join(PACKAGES)
}

fn newest_image(root: &Path) -> Option<PathBuf> {
    let names = |at: &str| {
        let listing = std::fs::read_dir(root.join(at)).into_iter().flatten();
        listing.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
    };
    let in_boot = names("boot").filter_map(|name| {
        let release = name.strip_prefix("vmlinuz-")?.to_owned();
        Some((release, root.join("boot").join(name)))
    });
    let among_modules = ["lib/modules", "usr/lib/modules"].into_iter();
    let among_modules = among_modules.flat_map(|at| {
        names(at).map(move |release| {
            let image = root.join(at).join(&release).join("vmlinuz");
            (release, image)
        })
    });
    in_boot
        .chain(among_modules.filter(|(_, image)| image.is_file()))
        .max_by_key(|(release, _)| version_key(release))
        .map(|(_, image)| image)
}

/// Orders releases as people do: runs of digits compare as numbers.
pub(crate) fn version_key(release: &str) -> Vec<(u64, String)> {
    let mut key = Vec::new();
    let mut rest = release;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = rest[..digits].parse().unwrap_or(u64::MAX);
        rest = &rest[digits..];
        let text = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        key.push((
            if digits == 0 { 0 } else { number },
            rest[..text].to_string(),
        ));
        rest = &rest[text..];
    }
    key
}

pub(crate) fn read_image(path: &Path) -> Result<image::Image, VmError> {
    let bytes = std::fs::read(path).map_err(VmError::io("read kernel", path.display()))?;
    parse_image(path, &bytes)
}

fn parse_image(path: &Path, bytes: &[u8]) -> Result<image::Image, VmError> {
    image::read(bytes).map_err(|reason| VmError::BadKernel {
        path: path.to_path_buf(),
        reason,
    })
}

/// Bytes as the name of a file.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Unpacks an image of the user's, once: it is known by the hash of its bytes.
fn unpack_image(path: &Path, cache: &Path) -> Result<(PathBuf, String), VmError> {
    let bytes = std::fs::read(path).map_err(VmError::io("read kernel", path.display()))?;
    let digest = hex(&Sha256::digest(&bytes)[..12]);
    let at = |cache: &Path| cache.join(IMAGES).join(&digest);
    if let Some(release) = unpacked_release(&at(cache)) {
        return Ok((at(cache).join("vmlinux"), release));
    }
    let image = parse_image(path, &bytes)?;
    let home = at(&cache_with_room(cache));
    place(&home, |staging| {
        write(&staging.join("vmlinux"), &image.vmlinux)?;
        write(&staging.join("release"), image.release.as_bytes())
    })?;
    Ok((home.join("vmlinux"), image.release))
}

/// The release of an image that was unpacked into `home`. What is there and is not what was put
/// there, or was put there without checksums, is removed, to be unpacked again.
fn unpacked_release(home: &Path) -> Option<String> {
    let path = home.join("release");
    let table = Table::of(home);
    let release = std::fs::read(&path).ok().filter(|release| {
        let checked = table.as_ref().map(|table| table.check(&path, release));
        checked.is_some_and(|checked| checked.is_ok())
    });
    if release.is_none() && home.is_dir() {
        tracing::warn!("{} is damaged: it is made again", home.display());
        // If it cannot be, the image is unpacked elsewhere.
        let _ = std::fs::remove_dir_all(home);
    }
    String::from_utf8(release?).ok()
}

/// Makes a directory of the cache, where other processes may be doing the same: it is filled
/// under another name and renamed as a whole.
pub(crate) fn place(
    home: &Path,
    fill: impl FnOnce(&Path) -> Result<(), VmError>,
) -> Result<(), VmError> {
    let parent = home.parent().unwrap_or(home);
    std::fs::create_dir_all(parent).map_err(VmError::io("make", parent.display()))?;
    let staging = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(parent)
        .map_err(VmError::io("make a directory in", parent.display()))?;
    let inner = staging.path().join("whole");
    std::fs::create_dir(&inner).map_err(VmError::io("make", inner.display()))?;
    fill(&inner)?;
    let table = Table::make(&inner).map_err(VmError::io("read", inner.display()))?;
    write(&inner.join(TABLE), table.as_bytes())?;
    match std::fs::rename(&inner, home) {
        Ok(()) => Ok(()),
        // Somebody else was faster: theirs is as good as ours.
        Err(_) if home.is_dir() => Ok(()),
        Err(e) => Err(VmError::io("move a kernel to", home.display())(e)),
    }
}

pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), VmError> {
    std::fs::write(path, bytes).map_err(VmError::io("write", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_ordered_by_their_numbers() {
        let mut releases = [
            "6.1.0-9-amd64",
            "6.12.1-1-amd64",
            "6.1.0-56-amd64",
            "6.1.0-10-amd64",
        ];
        releases.sort_by_key(|r| version_key(r));
        assert_eq!(
            releases,
            [
                "6.1.0-9-amd64",
                "6.1.0-10-amd64",
                "6.1.0-56-amd64",
                "6.12.1-1-amd64"
            ]
        );
    }

    #[test]
    fn an_unpacked_package_is_adopted_and_then_found_in_the_cache() {
        for (modules, image) in [
            ("lib/modules/6.1.0-56-amd64", "boot/vmlinuz-6.1.0-56-amd64"),
            (
                "usr/lib/modules/7.3.4-amd64",
                "usr/lib/modules/7.3.4-amd64/vmlinuz",
            ),
        ] {
            let cache = tempfile::tempdir().unwrap();
            let root = tempfile::tempdir().unwrap();
            let release = modules.rsplit('/').next().unwrap();
            let (modules, image) = (root.path().join(modules), root.path().join(image));
            std::fs::create_dir_all(&modules).unwrap();
            std::fs::create_dir_all(image.parent().unwrap()).unwrap();
            std::fs::write(modules.join("veth.ko"), "").unwrap();
            std::fs::write(&image, format!("\x7fELF Linux version {release} (x)")).unwrap();
            let found = Kernel::explicit(&image, cache.path()).unwrap();
            assert_eq!(found.modules, modules);
            let kernel = adopt(root.path(), cache.path()).unwrap();
            assert!(kernel.modules.join("veth.ko").is_file());
            assert!(!kernel.modules.join("vmlinuz").exists());
            let source = KernelSource {
                explicit: None,
                cache: cache.path().into(),
            };
            assert_eq!(Kernel::locate(&source).unwrap(), kernel);
        }
    }

    /// A cache with a kernel in it that has one module.
    fn with_kernel(cache: &Path) -> Kernel {
        let root = tempfile::tempdir().unwrap();
        let modules = root.path().join("lib/modules/6.1.0-56-amd64");
        std::fs::create_dir_all(root.path().join("boot")).unwrap();
        std::fs::create_dir_all(&modules).unwrap();
        std::fs::write(modules.join("veth.ko"), [7; 500]).unwrap();
        std::fs::write(modules.join("modules.builtin"), "kernel/net/ipv6.ko\n").unwrap();
        let mut image = b"\x7fELF Linux version 6.1.0-56-amd64 (x)".to_vec();
        image.resize(700, 9);
        std::fs::write(root.path().join("boot/vmlinuz-6.1.0-56-amd64"), image).unwrap();
        adopt(root.path(), cache).unwrap()
    }

    /// Everything of a kernel that a boot reads.
    fn read_all(kernel: &Kernel) -> Result<(), VmError> {
        kernel.check()?;
        Tree::open(&kernel.modules)?.checked("veth").map(drop)
    }

    #[test]
    fn a_kernel_that_is_damaged_anywhere_or_cut_is_named_and_removed() {
        let cache = tempfile::tempdir().unwrap();
        for attempt in 0..100 {
            let kernel = with_kernel(cache.path());
            read_all(&kernel).unwrap();
            let home = kernel.home().to_owned();
            let files = [
                kernel.vmlinux.clone(),
                kernel.modules.join("veth.ko"),
                kernel.modules.join("modules.builtin"),
            ];
            let path = &files[attempt % 3];
            let mut bytes = std::fs::read(path).unwrap();
            let place = attempt * 61 % bytes.len();
            match attempt % 4 {
                0 => bytes.truncate(place.max(1)),
                _ => bytes[place] ^= 0x20,
            }
            std::fs::write(path, bytes).unwrap();
            let damaged = read_all(&kernel).unwrap_err().to_string();
            let named = format!("{} is damaged", path.display());
            assert!(damaged.starts_with(&named), "{damaged}");
            assert!(damaged.contains("was removed from the cache"), "{damaged}");
            assert!(!home.exists());
            assert!(Kernel::cached(cache.path()).is_none());
        }
    }

    #[test]
    fn a_table_that_is_damaged_condemns_the_kernel_and_one_that_is_not_there_is_made() {
        let cache = tempfile::tempdir().unwrap();
        let kernel = with_kernel(cache.path());
        let table = kernel.home().join(TABLE);
        std::fs::remove_file(&table).unwrap();
        let found = Kernel::cached(cache.path()).unwrap();
        assert!(table.is_file());
        read_all(&found).unwrap();
        std::fs::write(&table, "").unwrap();
        assert!(read_all(&found).is_err());
        assert!(Kernel::cached(cache.path()).is_none());
        // What is no kernel gets none.
        let kernel = with_kernel(cache.path());
        std::fs::remove_file(kernel.home().join(TABLE)).unwrap();
        std::fs::write(&kernel.vmlinux, "").unwrap();
        assert!(Kernel::cached(cache.path()).is_none());
    }

    #[test]
    fn a_copy_of_a_cached_kernel_that_is_damaged_is_not_ours_to_remove() {
        let cache = tempfile::tempdir().unwrap();
        let kernel = with_kernel(cache.path());
        let copy = cache.path().join("copy");
        std::fs::rename(kernel.home(), &copy).unwrap();
        std::fs::write(copy.join("vmlinux"), "damage").unwrap();
        let copied = Kernel {
            vmlinux: copy.join("vmlinux"),
            modules: copy.join("lib/modules/6.1.0-56-amd64"),
            release: kernel.release,
        };
        assert!(copied.check().is_err());
        assert!(copy.join("vmlinux").is_file());
    }

    #[test]
    fn an_image_of_the_users_is_unpacked_again_if_what_it_became_is_damaged() {
        let cache = tempfile::tempdir().unwrap();
        let path = cache.path().join("vmlinuz");
        std::fs::write(&path, b"\x7fELF Linux version 1.2.3-mine (x)").unwrap();
        let (vmlinux, release) = unpack_image(&path, cache.path()).unwrap();
        let home = vmlinux.parent().unwrap();
        for name in ["release", TABLE] {
            std::fs::write(home.join(name), "").unwrap();
            let again = unpack_image(&path, cache.path()).unwrap();
            assert_eq!(again, (vmlinux.clone(), release.clone()));
            assert_eq!(std::fs::read(home.join("release")).unwrap(), b"1.2.3-mine");
        }
    }

    #[test]
    fn an_explicit_kernel_without_modules_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vmlinux");
        std::fs::write(&path, b"\x7fELF Linux version 1.2.3-nowhere (x)").unwrap();
        let source = KernelSource {
            explicit: Some(path),
            cache: dir.path().join("cache"),
        };
        let error = Kernel::locate(&source).unwrap_err().to_string();
        assert!(error.contains("/lib/modules/1.2.3-nowhere"), "{error}");
    }
}
