//! Kernel modules: where they are, what each depends on, and in which order to load them.
//!
//! The dependencies are read from the modules themselves (`depends=` in `.modinfo`): a
//! kernel package carries no `modules.dep`, which `depmod` makes on installation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use object::{Object, ObjectSection};

use crate::VmError;
use crate::checksum::Table;
use crate::unpack::unpack;

/// What the testbed needs of the kernel: simulated radios, 6LoWPAN with its header
/// compressions, and the links of the backbone.
pub const TESTBED: &[&str] = &[
    "mac802154_hwsim",
    "ieee802154_socket",
    "ieee802154_6lowpan",
    "nhc_dest",
    "nhc_fragment",
    "nhc_hop",
    "nhc_ipv6",
    "nhc_mobility",
    "nhc_routing",
    "nhc_udp",
    "veth",
    "bridge",
    "sch_netem",
    "ip6_tunnel",
    "tun",
];

/// Modules that newer kernels have no more: what they do is a part of the kernel there (CRC-32C, since Linux 6.14).
const IN_NEWER_KERNELS: &[&str] = &["crc32c_generic"];

/// Modules that newer kernels have under another name, which comes second (SHA-256, since Linux 6.17).
const RENAMED: &[(&str, &str)] = &[("sha256_generic", "sha256")];

/// The modules that carry results to the host.
pub const RESULTS: &[&str] = &["virtio_pci", "virtio_console"];

/// The modules that show the host's files to the guest.
pub const HOST_ROOT: &[&str] = &["virtio_pci", "9pnet_virtio", "9p"];

/// The modules of a link to the host.
pub const HOST_LINK: &[&str] = &["virtio_pci", "virtio_net"];

/// A module, unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, with `_` for `-`.
    pub name: String,
    /// The ELF object, without compression and without its signature.
    pub bytes: Vec<u8>,
}

/// The modules of one kernel.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    /// If the kernel is in a cache.
    table: Option<Table>,
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

impl Tree {
    /// Lists the modules under a directory such as `/lib/modules/6.1.0-56-amd64`.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn open(root: &Path) -> Result<Tree, VmError> {
        let mut files = BTreeMap::new();
        let mut directories = vec![root.to_path_buf()];
        while let Some(directory) = directories.pop() {
            let listing = std::fs::read_dir(&directory)
                .map_err(VmError::io("list modules in", directory.display()))?;
            for entry in listing {
                let entry = entry.map_err(VmError::io("list modules in", directory.display()))?;
                // `file_type` does not follow `build` and `source`, which are links.
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    directories.push(entry.path());
                } else if let Some(name) = module_name(&entry.file_name().to_string_lossy()) {
                    files.insert(name, entry.path());
                }
            }
        }
        // Absent in a tree that was put together by hand: then nothing counts as built in.
        let list = root.join("modules.builtin");
        let builtin = std::fs::read(&list).unwrap_or_default();
        // `HOME/lib/modules/RELEASE`
        let table = root.ancestors().nth(3).and_then(Table::of);
        if let Some(table) = table.as_ref().filter(|_| !builtin.is_empty()) {
            table.check(&list, &builtin)?;
        }
        let builtin = String::from_utf8_lossy(&builtin)
            .lines()
            .filter_map(|line| module_name(line.rsplit('/').next()?))
            .collect();
        Ok(Tree {
            root: root.to_path_buf(),
            table,
            files,
            builtin,
        })
    }

    /// Whether the kernel has the module, as a file or built in.
    pub fn has(&self, name: &str) -> bool {
        let name = normal(name);
        self.builtin.contains(&name) || self.files.contains_key(&name)
    }

    /// The wanted modules and all that they depend on, each after its dependencies.
    /// Modules that are built into the kernel are left out.
    ///
    /// # Errors
    /// A module that the kernel does not have, or that cannot be read.
    pub fn load_order(&self, wanted: &[&str]) -> Result<Vec<Module>, VmError> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in wanted {
            self.visit(&normal(name), None, &mut seen, &mut order)?;
        }
        Ok(order)
    }

    /// The module's bytes as they are in the file.
    #[cfg(test)]
    pub(crate) fn checked(&self, name: &str) -> Result<Module, VmError> {
        read(name, &self.files[name], self.table.as_ref())
    }

    fn visit(
        &self,
        name: &str,
        needed_by: Option<&str>,
        seen: &mut BTreeSet<String>,
        order: &mut Vec<Module>,
    ) -> Result<(), VmError> {
        let newer = RENAMED.iter().find(|(older, _)| *older == name);
        let name = match newer {
            Some((_, newer)) if !self.has(name) && self.has(newer) => newer,
            _ => name,
        };
        let part_of_kernel = !self.has(name) && IN_NEWER_KERNELS.contains(&name);
        if part_of_kernel || self.builtin.contains(name) || !seen.insert(name.to_string()) {
            return Ok(());
        }
        let path = self.files.get(name).ok_or_else(|| VmError::NoModule {
            module: name.to_string(),
            needed_by: needed_by.map(str::to_string),
            tree: self.root.clone(),
            hint: package_hint(&self.root),
        })?;
        let module = read(name, path, self.table.as_ref())?;
        for dependency in dependencies(path, &module.bytes)? {
            self.visit(&dependency, Some(name), seen, order)?;
        }
        order.push(module);
        Ok(())
    }
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}

fn module_name(file: &str) -> Option<String> {
    [".ko", ".ko.xz", ".ko.zst", ".ko.gz"]
        .iter()
        .find_map(|end| file.strip_suffix(end))
        .map(normal)
}

fn package_hint(root: &Path) -> String {
    let release = root
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    if release.contains("cloud") || release.contains("kvm") {
        "this is a cloud kernel, which lacks it: use Debian's linux-image-amd64 or Ubuntu's \
         linux-image-generic (`wpanlab vm fetch` gets it)"
            .into()
    } else if release.ends_with("-generic") {
        format!("it is in Ubuntu's package linux-modules-extra-{release}")
    } else {
        "Debian's linux-image-amd64 has it (`wpanlab vm fetch` gets it)".into()
    }
}

fn read(name: &str, path: &Path, table: Option<&Table>) -> Result<Module, VmError> {
    let packed = std::fs::read(path).map_err(VmError::io("read module", path.display()))?;
    if let Some(table) = table {
        table.check(path, &packed)?;
    }
    let bad = |reason: String| VmError::BadModule {
        path: path.to_path_buf(),
        reason,
    };
    let mut bytes = unpack(&packed).map_err(bad)?.into_owned();
    cut_signature(&mut bytes);
    Ok(Module {
        name: name.to_string(),
        bytes,
    })
}

/// Takes the signature off: the guest does not insist on it, and checking some twenty RSA
/// signatures under emulation is slow.
///
/// Layout (Linux `include/linux/module_signature.h`): the signature, a 12-byte
/// `struct module_signature` whose last field is the signature's length (big endian), and
/// the marker.
fn cut_signature(bytes: &mut Vec<u8>) {
    const MARKER: &[u8] = b"~Module signature appended~\n";
    const INFO: usize = 12;
    let Some(info_end) = bytes.len().checked_sub(MARKER.len()) else {
        return;
    };
    if &bytes[info_end..] != MARKER || info_end < INFO {
        return;
    }
    let length: [u8; 4] = [0, 1, 2, 3].map(|i| bytes[info_end - 4 + i]);
    let signed = INFO.saturating_add(u32::from_be_bytes(length) as usize);
    if let Some(end) = info_end.checked_sub(signed) {
        bytes.truncate(end);
    }
}

fn dependencies(path: &Path, module: &[u8]) -> Result<Vec<String>, VmError> {
    let bad = |reason: String| VmError::BadModule {
        path: path.to_path_buf(),
        reason,
    };
    let file = object::File::parse(module).map_err(|e| bad(e.to_string()))?;
    let modinfo = file
        .section_by_name(".modinfo")
        .ok_or_else(|| bad("no .modinfo section".into()))?
        .data()
        .map_err(|e| bad(e.to_string()))?;
    Ok(modinfo
        .split(|&b| b == 0)
        .filter_map(|entry| entry.strip_prefix(b"depends="))
        .flat_map(|list| list.split(|&b| b == b','))
        .filter(|name| !name.is_empty())
        .map(|name| normal(&String::from_utf8_lossy(name)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_files_are_known_by_their_endings() {
        assert_eq!(module_name("nhc-udp.ko.xz").as_deref(), Some("nhc_udp"));
        assert_eq!(module_name("veth.ko.zst").as_deref(), Some("veth"));
        assert_eq!(module_name("veth.ko.gz").as_deref(), Some("veth"));
        assert_eq!(module_name("veth.ko").as_deref(), Some("veth"));
        assert_eq!(module_name("modules.dep"), None);
    }

    #[test]
    fn a_signature_is_cut_off_and_nothing_else() {
        let mut signed = b"module".to_vec();
        signed.extend([7; 300]);
        signed.extend([0; 8]);
        signed.extend(300u32.to_be_bytes());
        signed.extend(b"~Module signature appended~\n");
        cut_signature(&mut signed);
        assert_eq!(signed, b"module");
        let mut plain = b"module".to_vec();
        cut_signature(&mut plain);
        assert_eq!(plain, b"module");
    }

    #[test]
    fn an_absent_module_names_the_package_that_has_it() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("6.8.0-31-generic");
        std::fs::create_dir(&tree).unwrap();
        let error = Tree::open(&tree)
            .unwrap()
            .load_order(&["mac802154-hwsim"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("`mac802154_hwsim`"), "{error}");
        assert!(
            error.contains("linux-modules-extra-6.8.0-31-generic"),
            "{error}"
        );
    }

    #[test]
    fn what_became_a_part_of_the_kernel_is_not_missed() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        assert_eq!(tree.load_order(IN_NEWER_KERNELS).unwrap(), []);
    }

    #[test]
    fn what_has_another_name_is_found_by_it_and_else_missed_by_the_one_that_was_wanted() {
        let root = tempfile::tempdir().unwrap();
        let wanted = ["sha256_generic"];
        let missed = Tree::open(root.path()).unwrap().load_order(&wanted);
        assert!(missed.unwrap_err().to_string().contains("`sha256_generic`"));
        let list = root.path().join("modules.builtin");
        std::fs::write(list, "kernel/crypto/sha256.ko\n").unwrap();
        let tree = Tree::open(root.path()).unwrap();
        assert_eq!(tree.load_order(&wanted).unwrap(), []);
    }

    #[test]
    fn a_built_in_module_needs_no_file() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(
            root.path().join("modules.builtin"),
            "kernel/drivers/net/veth.ko\n",
        )
        .unwrap();
        let tree = Tree::open(root.path()).unwrap();
        assert!(tree.has("veth"));
        assert_eq!(tree.load_order(&["veth"]).unwrap(), []);
    }
}
