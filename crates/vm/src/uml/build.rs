//! Building a kernel for User-Mode Linux: the distribution's source, our patches, our configuration.
//!
//! The source comes by `apt-get`, which checks it against the distribution's signed index. Time, user and host
//! of the build are fixed: the kernel is the same whoever builds it, with the same compiler.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::kernel::cached;
use crate::VmError;
use crate::checksum::UML;
use crate::kernel::{Kernel, at_home, cache_with_room, hex, lock, place, read_image, write};
use crate::package::{Apt, run};

/// The source: Debian's package of it, and the suite that it is in.
const SOURCE: &str = "linux-source-7.3";
const SUITE: &str = "trixie-backports";
/// Directories whose code no User-Mode Linux is made of. What else is in them is kept: the configuration
/// reads it.
const LEFT_OUT: &[&str] = &[
    "drivers/gpu",
    "drivers/media",
    "drivers/net/ethernet",
    "drivers/net/wireless",
    "drivers/scsi",
    "drivers/staging",
    "sound",
];
/// Programs that the build calls, and Debian's packages of them.
const TOOLS: &[(&str, &str)] = &[
    ("gcc", "gcc"),
    ("make", "make"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("xz", "xz-utils"),
    ("patch", "patch"),
    ("tar", "tar"),
];
/// How often a build tells how far it is, in files.
const EVERY: usize = 100;

/// Builds the kernel into the cache. `recipe` is the directory with `*.patch`, in the order of their names,
/// and `config`.
///
/// # Errors
/// A tool is not there, the source cannot be had, a patch does not apply, or the compiler fails: says what
/// to install, or the last lines that were said.
pub fn build(
    recipe: &Path,
    cache: &Path,
    mut progress: impl FnMut(&str),
) -> Result<Kernel, VmError> {
    let recipe = Recipe::open(recipe)?;
    let missing = missing_tools();
    if !missing.is_empty() {
        return Err(VmError::NoKernel(format!(
            "to build User-Mode Linux takes {0}: apt-get install {0}",
            missing.join(" ")
        )));
    }
    let cache = cache_with_room(cache);
    let _turn = lock(&cache)?;
    let work = tempfile::Builder::new()
        .prefix(".uml-")
        .tempdir_in(&cache)
        .map_err(VmError::io("make a directory in", cache.display()))?;
    let work = work.path();
    let apt = Apt::of_debian(&work.join("apt"), SUITE, &mut progress)?;
    apt.fetch(SOURCE, &work.join("package"), &mut progress)?;
    let tree = unpack(work, &mut progress)?;
    recipe.apply(&tree, &mut progress)?;
    compile(&tree, &mut progress)?;
    keep(&tree, &recipe, &cache)
}

/// Patches and configuration.
struct Recipe {
    patches: Vec<(PathBuf, Vec<u8>)>,
    config: Vec<u8>,
}

impl Recipe {
    fn open(directory: &Path) -> Result<Recipe, VmError> {
        let read = |path: &Path| std::fs::read(path).map_err(VmError::io("read", path.display()));
        let listing = std::fs::read_dir(directory)
            .map_err(VmError::io("list patches in", directory.display()))?;
        let mut paths: Vec<PathBuf> = listing
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "patch"))
            .collect();
        paths.sort();
        let patches = paths
            .into_iter()
            .map(|path| Ok((path.clone(), read(&path)?)));
        Ok(Recipe {
            patches: patches.collect::<Result<_, VmError>>()?,
            config: read(&directory.join("config"))?,
        })
    }

    /// The same for the same patches and configuration, and for no others.
    fn digest(&self) -> String {
        let mut digest = Sha256::new();
        let parts = self.patches.iter().map(|(_, patch)| patch);
        for part in parts.chain([&self.config]) {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        hex(&digest.finalize()[..6])
    }

    fn apply(&self, tree: &Path, progress: &mut dyn FnMut(&str)) -> Result<(), VmError> {
        for (path, _) in &self.patches {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            progress(&format!("applying {name}"));
            let path = path
                .canonicalize()
                .map_err(VmError::io("resolve", path.display()))?;
            // Not by chance on other lines than those that it was made for.
            let patch = ["-p1", "--batch", "--fuzz=0", "-i"];
            run(Command::new("patch")
                .args(patch)
                .arg(path)
                .current_dir(tree))?;
        }
        write(&tree.join("wpanlab.config"), &self.config)
    }
}

fn missing_tools() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |tool: &str| std::env::split_paths(&path).any(|at| at.join(tool).is_file());
    let missing = TOOLS.iter().filter(|(tool, _)| !is_there(tool));
    missing.map(|(_, package)| *package).collect()
}

/// Unpacks the source of the package below `work`.
fn unpack(work: &Path, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, VmError> {
    progress("unpacking the kernel's source");
    let archive = work
        .join("package/usr/src")
        .join(format!("{SOURCE}.tar.xz"));
    let mut tar = Command::new("tar");
    // The owners of the archive's files are nobody here.
    tar.arg("--no-same-owner").arg("-C").arg(work);
    // In tar's patterns `*` goes over slashes.
    tar.args(
        LEFT_OUT
            .iter()
            .map(|part| format!("--exclude={SOURCE}/{part}/*.[ch]")),
    );
    run(tar.arg("-xJf").arg(&archive))?;
    std::fs::remove_file(&archive).map_err(VmError::io("remove", archive.display()))?;
    Ok(work.join(SOURCE))
}

/// Configures and builds.
fn compile(tree: &Path, progress: &mut dyn FnMut(&str)) -> Result<(), VmError> {
    progress("configuring the kernel");
    let make = || {
        let mut make = Command::new("make");
        make.current_dir(tree).env("LC_ALL", "C").args([
            "ARCH=um",
            "KCONFIG_ALLCONFIG=wpanlab.config",
            // They stand in the kernel's banner, which is stirred into its random numbers.
            "KBUILD_BUILD_TIMESTAMP=2020-01-01",
            "KBUILD_BUILD_USER=wpanlab",
            "KBUILD_BUILD_HOST=wpanlab",
            "KBUILD_BUILD_VERSION=1",
        ]);
        make
    };
    run(make().arg("allnoconfig"))?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut command = make();
    command.args([&format!("-j{jobs}"), "linux"]);
    let log = tree.join("wpanlab.log");
    let errors = std::fs::File::create(&log).map_err(VmError::io("write", log.display()))?;
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(VmError::io("start", "make"))?;
    let said = child.stdout.take().map(BufReader::new);
    let lines = said
        .into_iter()
        .flat_map(|said| said.lines().map_while(Result::ok));
    let compiled = lines.filter(|line| line.starts_with("  CC ") || line.starts_with("  AS "));
    for (number, _) in compiled
        .enumerate()
        .filter(|(number, _)| number % EVERY == 0)
    {
        progress(&format!("compiling the kernel: {number} files"));
    }
    let status = child.wait().map_err(VmError::io("wait for", "make"))?;
    if status.success() {
        return Ok(());
    }
    let words = std::fs::read_to_string(&log).unwrap_or_default();
    let words: Vec<&str> = words.lines().collect();
    Err(VmError::Tool {
        command: "make ARCH=um".into(),
        reason: words[words.len().saturating_sub(10)..].join("; "),
    })
}

/// Puts the kernel into the cache, stripped, with the list of what is built in.
fn keep(tree: &Path, recipe: &Recipe, cache: &Path) -> Result<Kernel, VmError> {
    let built = tree.join("vmlinux");
    run(Command::new("strip").arg(&built))?;
    let image = read_image(&built)?;
    let home = cache
        .join(UML)
        .join(format!("{}-{}", image.release, recipe.digest()));
    let list = tree.join("modules.builtin");
    let builtin = std::fs::read(&list).map_err(VmError::io("read", list.display()))?;
    place(&home, |staging| {
        let program = staging.join("vmlinux");
        write(&program, &image.vmlinux)?;
        executable(&program)?;
        let modules = at_home(staging, image.release.clone()).modules;
        std::fs::create_dir_all(&modules).map_err(VmError::io("make", modules.display()))?;
        write(&modules.join("modules.builtin"), &builtin)
    })?;
    cached(cache).ok_or_else(|| VmError::BadKernel {
        path: home,
        reason: "it was built, and is no kernel".into(),
    })
}

fn executable(path: &Path) -> Result<(), VmError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).map_err(VmError::io("make executable", path.display()))
}
