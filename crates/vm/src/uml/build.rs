//! Building a kernel for User-Mode Linux: the distribution's source, our patches, our configuration.
//!
//! The source comes by `apt-get`, which checks it against the distribution's signed index. Time, user and host
//! of the build are fixed: the same source gives the same kernel whoever builds it, with the same compiler.

use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::kernel::{OF_RECIPE, newest, of_home};
use crate::checksum::UML;
use crate::kernel::{Kernel, at_home, cache_with_room, hex, lock, place, read_image, write};
use crate::package::{Apt, run};
use crate::process::ends_with_us;
use crate::{VmError, cache};

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
/// What source and build take of the cache's disk, MiB.
const ROOM_MIB: u64 = 2048;
/// How a directory's name begins in which a kernel is built.
const WORK: &str = ".build-";
/// Our configuration in the source's directory.
const CONFIG: &str = "wpanlab.config";
/// What of a user's environment would have a say in what is built.
const NOT_PASSED_ON: &[&str] = &[
    "KCFLAGS",
    "KCPPFLAGS",
    "LOCALVERSION",
    "MAKEFLAGS",
    "CC",
    "ARCH",
    "CROSS_COMPILE",
];
/// How often a build tells how far it is, in files.
const EVERY: usize = 100;
/// Of a compiler's words, the last lines.
const LAST_LINES: usize = 10;

/// When a kernel was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Built {
    /// It was in the cache.
    Before,
    /// By this call.
    Now,
}

/// A kernel of `recipe`, the directory with `*.patch`, in the order of their names, and `config`: that of the cache,
/// or one that is built into it; with `again` it is built in any case.
///
/// # Errors
/// A tool is not there, the source cannot be had, a patch does not apply, or the compiler fails: says what
/// to install, or the last lines that were said.
pub fn build(
    recipe: &Path,
    cache: &Path,
    again: bool,
    mut progress: impl FnMut(&str),
) -> Result<(Kernel, Built), VmError> {
    let recipe = Recipe::open(recipe)?;
    let cache = cache_with_room(cache);
    let there = || newest(&cache, &recipe.version()).filter(|_| !again);
    if let Some(kernel) = there() {
        return Ok((kernel, Built::Before));
    }
    can_build(&cache)?;
    let homes = cache.join(UML);
    let _turn = lock(&homes)?;
    // Somebody else may have built it meanwhile.
    if let Some(kernel) = there() {
        return Ok((kernel, Built::Before));
    }
    remove_unfinished(&homes);
    let work = tempfile::Builder::new()
        .prefix(WORK)
        .tempdir_in(&homes)
        .map_err(VmError::io("make a directory in", homes.display()))?;
    let work = work.path();
    let apt = Apt::of_debian(&work.join("apt"), SUITE, &mut progress)?;
    apt.fetch(SOURCE, &work.join("package"), &mut progress)?;
    let tree = unpack(work, &mut progress)?;
    recipe.apply(&tree, &mut progress)?;
    compile(&tree, &recipe, &mut progress)?;
    Ok((keep(&tree, &homes)?, Built::Now))
}

/// Whether this machine has what it takes.
fn can_build(cache: &Path) -> Result<(), VmError> {
    let refuse = |why: String| Err(VmError::NoKernel(why));
    if !cfg!(target_arch = "x86_64") {
        return refuse("User-Mode Linux is built and runs on x86-64 only".into());
    }
    let missing = missing_tools();
    if !missing.is_empty() {
        return refuse(format!(
            "to build User-Mode Linux takes {0}: apt-get install {0}",
            missing.join(" ")
        ));
    }
    let free = cache::free(cache).map_err(VmError::sys("look at", cache.display()))? >> 20;
    match free < ROOM_MIB {
        true => refuse(format!(
            "to build User-Mode Linux takes {ROOM_MIB} MiB for a while, and {} has {free} MiB left: \
             XDG_CACHE_HOME names another place",
            cache.display()
        )),
        false => Ok(()),
    }
}

/// Debian's packages that are not installed.
fn missing_tools() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |tool: &str| std::env::split_paths(&path).any(|at| at.join(tool).is_file());
    let missing = TOOLS.iter().filter(|(tool, _)| !is_there(tool));
    let mut missing: Vec<_> = missing.map(|(_, package)| *package).collect();
    // It is linked statically. A compiler that does not find the file gives its name back.
    let archive = run(Command::new("gcc").arg("-print-file-name=libc.a"));
    if archive.is_ok_and(|path| !path.contains('/')) {
        missing.push("libc6-dev");
    }
    missing
}

/// Removes what a build has left that was killed. Who holds the lock is the only one who builds.
fn remove_unfinished(homes: &Path) {
    for entry in std::fs::read_dir(homes).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(WORK) {
            // What stays takes up room, no more.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
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

    /// What the kernel's release has behind its number.
    fn version(&self) -> String {
        format!("{OF_RECIPE}{}", self.digest())
    }

    /// The same for the same patches and configuration, and for no others.
    fn digest(&self) -> String {
        let mut digest = Sha256::new();
        let parts = self.patches.iter().map(|(_, patch)| patch);
        for part in parts.chain([&self.config]) {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        hex(&digest.finalize()[..4])
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
        let version = format!("CONFIG_LOCALVERSION=\"{}\"\n", self.version());
        let config = [&self.config, version.as_bytes()].concat();
        write(&tree.join(CONFIG), &config)
    }

    /// The lines of the recipe that are not in the configuration which came of it: their options have other names,
    /// or depend on others.
    fn not_taken<'a>(&'a self, came: &str) -> Vec<&'a str> {
        let wanted = std::str::from_utf8(&self.config).unwrap_or_default();
        // A line that says `n` comes out as a remark.
        wanted
            .lines()
            .filter(|line| line.starts_with("CONFIG_") && !line.ends_with("=n"))
            .filter(|line| !came.lines().any(|has| has == *line))
            .collect()
    }
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
    let left_out = LEFT_OUT.iter();
    tar.args(left_out.map(|part| format!("--exclude={SOURCE}/{part}/*.[ch]")));
    run(tar.arg("-xJf").arg(&archive))?;
    std::fs::remove_file(&archive).map_err(VmError::io("remove", archive.display()))?;
    Ok(work.join(SOURCE))
}

/// Configures and builds.
fn compile(tree: &Path, recipe: &Recipe, progress: &mut dyn FnMut(&str)) -> Result<(), VmError> {
    progress("configuring the kernel");
    run(make(tree).arg("allnoconfig"))?;
    let came = tree.join(".config");
    let came = std::fs::read_to_string(&came).map_err(VmError::io("read", came.display()))?;
    let not_taken = recipe.not_taken(&came);
    if !not_taken.is_empty() {
        return Err(VmError::Tool {
            command: "make ARCH=um allnoconfig".into(),
            reason: format!("this Linux does not take {}", not_taken.join(", ")),
        });
    }
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let log = tree.join("wpanlab.log");
    let errors = std::fs::File::create(&log).map_err(VmError::io("write", log.display()))?;
    let mut command = make(tree);
    command.args([&format!("-j{jobs}"), "linux"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(VmError::io("start", "make"))?;
    let said = child.stdout.take().map(BufReader::new);
    let lines = said.into_iter().flat_map(BufRead::lines);
    let compiled = lines
        .map_while(Result::ok)
        .filter(|line| line.starts_with("  CC "));
    for (number, _) in compiled.enumerate().filter(|(n, _)| n % EVERY == 0) {
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
        reason: words[words.len().saturating_sub(LAST_LINES)..].join("; "),
    })
}

/// The command that builds a kernel; it ends when this thread does.
fn make(tree: &Path) -> Command {
    let mut make = Command::new("make");
    ends_with_us(&mut make);
    for name in NOT_PASSED_ON {
        make.env_remove(name);
    }
    make.current_dir(tree).env("LC_ALL", "C").args([
        "ARCH=um",
        &format!("KCONFIG_ALLCONFIG={CONFIG}"),
        // They stand in the kernel's banner, which is stirred into its random numbers.
        "KBUILD_BUILD_TIMESTAMP=2020-01-01",
        "KBUILD_BUILD_USER=wpanlab",
        "KBUILD_BUILD_HOST=wpanlab",
        "KBUILD_BUILD_VERSION=1",
    ]);
    make
}

/// Puts the kernel into the cache, stripped, with the list of what is built in; in place of one that is there.
fn keep(tree: &Path, homes: &Path) -> Result<Kernel, VmError> {
    let built = tree.join("vmlinux");
    run(Command::new("strip").arg(&built))?;
    let image = read_image(&built)?;
    let home = homes.join(&image.release);
    let list = tree.join("modules.builtin");
    let builtin = std::fs::read(&list).map_err(VmError::io("read", list.display()))?;
    match std::fs::remove_dir_all(&home) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(VmError::io("remove", home.display())(error));
        }
        _ => {}
    }
    place(&home, |staging| {
        let program = staging.join("vmlinux");
        write(&program, &image.vmlinux)?;
        executable(&program)?;
        let modules = at_home(staging, image.release.clone()).modules;
        std::fs::create_dir_all(&modules).map_err(VmError::io("make", modules.display()))?;
        write(&modules.join("modules.builtin"), &builtin)
    })?;
    of_home(&home).ok_or_else(|| VmError::BadKernel {
        path: home,
        reason: "it was built, and lacks what the testbed needs".into(),
    })
}

fn executable(path: &Path) -> Result<(), VmError> {
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).map_err(VmError::io("make executable", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(patches: &[&str], config: &str) -> Recipe {
        let patches = patches
            .iter()
            .map(|text| (PathBuf::new(), text.as_bytes().to_vec()));
        Recipe {
            patches: patches.collect(),
            config: config.into(),
        }
    }

    #[test]
    fn a_recipe_has_the_digest_of_its_parts_in_their_order() {
        let digest = |patches: &[&str], config| recipe(patches, config).digest();
        let one = digest(&["ab", "c"], "d");
        assert_eq!(one, digest(&["ab", "c"], "d"));
        for other in [
            digest(&["c", "ab"], "d"),
            digest(&["a", "bc"], "d"),
            digest(&["ab", "c"], "e"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_recipe_without_a_configuration_is_told() {
        let empty = tempfile::tempdir().unwrap();
        let error = Recipe::open(empty.path()).err().unwrap().to_string();
        assert!(error.contains("config"), "{error}");
    }

    #[test]
    fn options_that_a_kernel_does_not_take_are_named() {
        let text = "# why\nCONFIG_NET=y\nCONFIG_MODULES=n\nCONFIG_GONE=y\nCONFIG_FRAME_WARN=4096\n";
        let came = "CONFIG_NET=y\n# CONFIG_MODULES is not set\nCONFIG_FRAME_WARN=4096\n";
        assert_eq!(recipe(&[], text).not_taken(came), ["CONFIG_GONE=y"]);
    }

    #[test]
    fn what_a_killed_build_has_left_is_removed_and_nothing_else() {
        let homes = tempfile::tempdir().unwrap();
        for name in [".build-x/y", "7.3.4-wpanlab-aa"] {
            std::fs::create_dir_all(homes.path().join(name)).unwrap();
        }
        remove_unfinished(homes.path());
        assert!(!homes.path().join(".build-x").exists());
        assert!(homes.path().join("7.3.4-wpanlab-aa").exists());
    }

    #[test]
    fn the_recipe_of_this_repository_is_one() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../uml");
        let recipe = Recipe::open(&here).unwrap();
        assert_eq!(recipe.patches.len(), 3);
        assert!(recipe.version().starts_with("-wpanlab-"));
    }
}
