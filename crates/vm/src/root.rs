//! The guest's root: `/init` with what loads it, the modules in their order.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::config::{Content, Machine};
use crate::initramfs::Initramfs;
use crate::kernel::hex;
use crate::modules::Tree;
use crate::program::{LIBRARIES, Program};
use crate::{VmConfig, VmError, elf, modules, snapshot};

/// Where the guest finds what the host prepared for it.
pub(crate) const MODULES: &str = "/wpanlab/modules";
/// Lists of modules under [`MODULES`], one file name a line, in load order.
pub(crate) const AT_START: &str = "/wpanlab/modules/start";
pub(crate) const FOR_RESULTS: &str = "/wpanlab/modules/results";
pub(crate) const FOR_HOST_ROOT: &str = "/wpanlab/modules/host-root";
pub(crate) const FOR_HOST_LINK: &str = "/wpanlab/modules/host-link";

/// Builds the archive.
pub(crate) fn build(config: &VmConfig) -> Result<Vec<u8>, VmError> {
    config.kernel.check()?;
    let failed = |path: &str| VmError::io("put into the initramfs", path.to_string());
    let mut root = Initramfs::new();
    let put = |root: &mut Initramfs, path: &str, mode, bytes: &[u8]| {
        root.file(path, mode, bytes).map_err(failed(path))
    };
    add_program(&mut root, &Program::open(&config.init)?)?;
    // The kernel opens it for init's standard streams before anything is mounted.
    root.character_device("/dev/console", 5, 1)
        .map_err(failed("/dev/console"))?;
    for directory in ["/proc", "/sys", "/tmp", "/run"] {
        root.directory(directory).map_err(failed(directory))?;
    }
    add_modules(&mut root, config)?;
    for file in &config.files {
        let path = &file.guest_path;
        match &file.source {
            Content::Bytes(bytes) => put(&mut root, path, file.mode, bytes)?,
            Content::Host(host) => {
                put(&mut root, path, file.mode, &read(host)?)?;
            }
        }
    }
    root.finish().map_err(failed("its trailer"))
}

/// A name for all that [`build`] is made of. Large files are known by their identity on this machine.
pub(crate) fn identity(config: &VmConfig) -> Result<String, VmError> {
    let mut parts = config.modules.clone();
    let (machine, shared) = (config.machine, config.share_host_root);
    let is_linked = !config.forwards.is_empty();
    parts.push(format!("{machine:?} {shared} {is_linked}"));
    let kernel = &config.kernel;
    let program = Program::open(&config.init)?;
    let mut files: Vec<&Path> = program.files().collect();
    files.extend([kernel.vmlinux.as_path(), &kernel.modules]);
    for file in &config.files {
        parts.push(format!("{} {:o}", file.guest_path, file.mode));
        match &file.source {
            Content::Host(path) => files.push(path),
            Content::Bytes(bytes) => parts.push(hex(&Sha256::digest(bytes))),
        }
    }
    for path in files {
        let metadata = std::fs::metadata(path).map_err(VmError::io("read", path.display()))?;
        parts.push(snapshot::identity(path, &metadata));
    }
    Ok(parts.join("\n"))
}

/// [`build`], once for a sweep: its runs have the same root.
pub(crate) fn kept(config: &VmConfig) -> Result<Arc<Vec<u8>>, VmError> {
    static LAST: Mutex<Option<(String, Arc<Vec<u8>>)>> = Mutex::new(None);
    let identity = identity(config)?;
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    match &*last {
        Some((of, archive)) if *of == identity => Ok(archive.clone()),
        _ => {
            let archive = Arc::new(build(config)?);
            *last = Some((identity, archive.clone()));
            Ok(archive)
        }
    }
}

/// An archive with one file, for behind another archive.
pub(crate) fn single(path: &str, bytes: &[u8]) -> Result<Vec<u8>, VmError> {
    let mut root = Initramfs::new();
    let added = root.file(path, 0o400, bytes);
    added
        .and_then(|()| root.finish())
        .map_err(VmError::io("put into the initramfs", path))
}

fn add_modules(root: &mut Initramfs, config: &VmConfig) -> Result<(), VmError> {
    let tree = Tree::open(&config.kernel.modules)?;
    let start: Vec<&str> = config.modules.iter().map(String::as_str).collect();
    // A User-Mode Linux has its consoles and the host's files without modules.
    let of_qemu = |modules, asked| match config.machine {
        Machine::Qemu(_) if asked => modules,
        _ => &[][..],
    };
    let host_root = of_qemu(modules::HOST_ROOT, config.share_host_root);
    let host_link = of_qemu(modules::HOST_LINK, !config.forwards.is_empty());
    let mut added = std::collections::BTreeSet::new();
    for (list, wanted) in [
        (AT_START, start.as_slice()),
        (FOR_RESULTS, of_qemu(modules::RESULTS, true)),
        (FOR_HOST_ROOT, host_root),
        (FOR_HOST_LINK, host_link),
    ] {
        let mut names = String::new();
        for module in tree.load_order(wanted)? {
            let path = format!("{MODULES}/{}.ko", module.name);
            names += &format!("{}.ko\n", module.name);
            if added.insert(module.name) {
                root.file(&path, 0o400, &module.bytes)
                    .map_err(VmError::io("put into the initramfs", path))?;
            }
        }
        root.file(list, 0o400, names.as_bytes())
            .map_err(VmError::io("put into the initramfs", list))?;
    }
    Ok(())
}

/// The program as `/init`; its loader where it asks for it, and its libraries in [`LIBRARIES`].
fn add_program(root: &mut Initramfs, program: &Program) -> Result<(), VmError> {
    let bytes = read(&program.path)?;
    let loaded = elf::loaded_part(&bytes).and_then(elf::in_large_pages);
    let loaded = loaded.map_err(|reason| VmError::BadInit {
        path: program.path.clone(),
        reason,
    })?;
    let mut put = |path: &str, bytes: &[u8]| {
        root.file(path, 0o755, bytes)
            .map_err(VmError::io("put into the initramfs", path))
    };
    put("/init", &loaded)?;
    let Some(loader) = &program.loader else {
        return Ok(());
    };
    put(&loader.path.to_string_lossy(), &read(&loader.path)?)?;
    for (name, path) in &loader.libraries {
        put(&format!("{LIBRARIES}/{name}"), &read(path)?)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, VmError> {
    std::fs::read(path).map_err(VmError::io("read", path.display()))
}
