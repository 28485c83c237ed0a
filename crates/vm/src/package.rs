//! The distribution's kernel package, without root: downloaded by `apt-get`, unpacked by
//! `dpkg-deb`, pruned.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::VmError;

/// Downloads a kernel package and unpacks it below `work`; gives its root: the distribution's, or that of `suite`, a
/// suite of Debian's.
///
/// Debian's `linux-image-amd64` and Ubuntu's `linux-image-generic` are empty packages that
/// depend on the newest image and, on Ubuntu, on packages with its modules. Ubuntu's kernel is built
/// without optimistic duplicate address detection (RFC 4429), which mobile nodes want: on Ubuntu it
/// is taken only where Debian's cannot be had.
///
/// # Errors
/// Not a Debian or Ubuntu, no network, no such package: says which command failed and how.
pub(crate) fn download(
    work: &Path,
    suite: Option<&str>,
    mut progress: impl FnMut(&str),
) -> Result<PathBuf, VmError> {
    // apt wants absolute paths.
    let work = work
        .canonicalize()
        .map_err(VmError::io("resolve", work.display()))?;
    if let Some(suite) = suite {
        return of_debian(&work, suite, &mut progress);
    }
    if !is_ubuntu() {
        return Apt::of_system(&work).kernel(DEBIAN, &mut progress);
    }
    of_debian(&work, "bookworm", &mut progress).or_else(|error| {
        progress(&format!(
            "Debian's kernel cannot be had ({error}); taking Ubuntu's"
        ));
        Apt::of_system(&work).kernel("linux-image-generic", &mut progress)
    })
}

/// The kernel of a suite of Debian's, whatever the system has.
fn of_debian(work: &Path, suite: &str, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, VmError> {
    Apt::of_debian(&work.join("debian"), suite, progress)?.kernel(DEBIAN, progress)
}

/// Debian's empty package that depends on its newest kernel.
const DEBIAN: &str = "linux-image-amd64";

fn is_ubuntu() -> bool {
    std::fs::read_to_string("/etc/os-release")
        .unwrap_or_default()
        .lines()
        .filter(|line| line.starts_with("ID=") || line.starts_with("ID_LIKE="))
        .any(|line| line.contains("ubuntu"))
}

/// `apt-get` and `apt-cache`, with the system's lists or with our own.
pub(crate) struct Apt {
    work: PathBuf,
    /// A list of sources in place of the system's.
    sources: Option<PathBuf>,
}

impl Apt {
    fn of_system(work: &Path) -> Apt {
        Apt {
            work: work.to_path_buf(),
            sources: None,
        }
    }

    /// Packages of a suite of Debian's, whatever the system has; in `work`, which is made. Debian's keys come
    /// from the system's archive, which signs them.
    pub(crate) fn of_debian(
        work: &Path,
        suite: &str,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Apt, VmError> {
        let keys = work.join("keys");
        std::fs::create_dir_all(&keys).map_err(VmError::io("make", keys.display()))?;
        Apt::of_system(work).fetch("debian-archive-keyring", &keys, progress)?;
        let keyring = keys.join("usr/share/keyrings/debian-archive-keyring.gpg");
        let sources = work.join("sources.list");
        let line = format!(
            "deb [arch=amd64 signed-by={}] http://deb.debian.org/debian {suite} main\n",
            keyring.display()
        );
        std::fs::write(&sources, line).map_err(VmError::io("write", sources.display()))?;
        Ok(Apt {
            work: work.to_path_buf(),
            sources: Some(sources),
        })
    }

    /// Unpacks the newest kernel that `name` depends on, without the drivers that no VM needs; gives
    /// its root.
    fn kernel(&self, name: &str, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, VmError> {
        progress(&format!("looking for the package {name}"));
        let packages = match self.closure(name) {
            Ok(packages) => packages,
            Err(_) => {
                self.update_private_lists(progress)?;
                self.closure(name)?
            }
        };
        let root = self.work.join("root");
        for package in packages {
            self.fetch(&package, &root, progress)?;
        }
        prune(&root);
        Ok(root)
    }

    /// Downloads a package and unpacks it into `root`.
    pub(crate) fn fetch(
        &self,
        package: &str,
        root: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), VmError> {
        progress(&format!("downloading {package}"));
        let deb = match self.download(package) {
            Ok(deb) => deb,
            Err(_) => {
                // Lists that are too old name a package that the mirror no longer has.
                self.update_private_lists(progress)?;
                self.download(package)?
            }
        };
        progress(&format!("unpacking {package}"));
        run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(root))?;
        std::fs::remove_file(&deb).map_err(VmError::io("remove", deb.display()))
    }

    fn lists(&self) -> PathBuf {
        self.work.join("lists")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.work).env("LC_ALL", "C");
        // Without it, apt run by root drops to a user who may not write here.
        command.args(["-o", "APT::Sandbox::User=root"]);
        if let Some(sources) = &self.sources {
            let only = format!("Dir::Etc::SourceList={}", sources.display());
            command.args(["-o", &only, "-o", "Dir::Etc::SourceParts=/dev/null"]);
        }
        if self.lists().is_dir() {
            let option = |name: &str, path: PathBuf| format!("Dir::{name}={}", path.display());
            for option in [
                option("State::Lists", self.lists()),
                option("Cache", self.work.join("apt-cache")),
            ] {
                command.args(["-o", &option]);
            }
        }
        command
    }

    /// The lists of the system belong to root and may be absent or stale.
    fn update_private_lists(&self, progress: &mut dyn FnMut(&str)) -> Result<(), VmError> {
        progress("updating a private copy of the package lists");
        for directory in [
            self.lists().join("partial"),
            self.work.join("apt-cache/archives/partial"),
        ] {
            std::fs::create_dir_all(&directory)
                .map_err(VmError::io("make", directory.display()))?;
        }
        run(self.command("apt-get").args(["-q", "update"])).map(drop)
    }

    /// The package and those of its dependencies that hold kernel images or modules.
    fn closure(&self, package: &str) -> Result<BTreeSet<String>, VmError> {
        let mut found = BTreeSet::new();
        let mut pending = vec![package.to_string()];
        while let Some(package) = pending.pop() {
            if found.contains(&package) {
                continue;
            }
            let record =
                run(self
                    .command("apt-cache")
                    .args(["show", "--no-all-versions", &package]))?;
            pending.extend(kernel_dependencies(&record));
            found.insert(package);
        }
        Ok(found)
    }

    fn download(&self, package: &str) -> Result<PathBuf, VmError> {
        run(self.command("apt-get").args(["-q", "download", package]))?;
        let prefix = format!("{package}_");
        std::fs::read_dir(&self.work)
            .map_err(VmError::io("list", self.work.display()))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .find(|name| name.starts_with(&prefix) && name.ends_with(".deb"))
            .map(|name| self.work.join(name))
            .ok_or_else(|| VmError::Tool {
                command: format!("apt-get download {package}"),
                reason: "succeeded but left no .deb file".into(),
            })
    }
}

/// Names in the `Depends:` field that are images, modules or tables of these, first alternatives only. Debian splits
/// an image into all three since Linux 7.0.
fn kernel_dependencies(record: &str) -> Vec<String> {
    record
        .lines()
        .filter_map(|line| line.strip_prefix("Depends: "))
        .flat_map(|list| list.split(','))
        .filter_map(|alternatives| alternatives.split(['|', '(', ':']).next())
        .map(str::trim)
        .filter(|name| PARTS.iter().any(|part| name.starts_with(part)))
        .map(str::to_string)
        .collect()
}

/// How the names of packages with parts of a kernel begin.
const PARTS: [&str; 4] = [
    "linux-image-",
    "linux-binary-",
    "linux-modules-",
    "linux-base-",
];

pub(crate) fn run(command: &mut Command) -> Result<String, VmError> {
    let line = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    let output = command.output().map_err(|e| VmError::Tool {
        command: line.clone(),
        reason: match e.kind() {
            std::io::ErrorKind::NotFound => "not found: this is no Debian or Ubuntu".into(),
            _ => e.to_string(),
        },
    })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let words: Vec<&str> = words.trim().lines().collect();
        return Err(VmError::Tool {
            command: line,
            reason: format!(
                "{}: {}",
                output.status,
                words[words.len().saturating_sub(5)..].join("; ")
            ),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Drops the drivers of hardware that no VM has: nine tenths of the package.
fn prune(root: &Path) {
    const HARDWARE: &[&str] = &[
        "sound",
        "drivers/gpu",
        "drivers/media",
        "drivers/infiniband",
        "drivers/net/ethernet",
        "drivers/net/wireless",
        "drivers/scsi",
        "drivers/staging",
        "drivers/usb",
        "drivers/iio",
        "drivers/hwmon",
        "drivers/input",
        "drivers/hid",
        "drivers/mtd",
        "drivers/video",
        "drivers/ata",
        "drivers/i2c",
    ];
    for releases in ["lib/modules", "usr/lib/modules"] {
        let listing = std::fs::read_dir(root.join(releases)).into_iter().flatten();
        for release in listing.flatten() {
            for part in HARDWARE {
                // Most of them exist in any release; one that does not is no loss.
                let _ = std::fs::remove_dir_all(release.path().join("kernel").join(part));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_empty_package_leads_to_its_image() {
        // `apt-cache show linux-image-amd64` of Debian 12, shortened.
        let record = "Package: linux-image-amd64\nSource: linux-signed-amd64 (6.1.170+3)\n\
                      Depends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)\nSection: kernel\n";
        assert_eq!(kernel_dependencies(record), ["linux-image-6.1.0-56-amd64"]);
    }

    #[test]
    fn a_split_image_leads_to_its_parts() {
        // Of trixie-backports, shortened.
        let record = "Depends: dracut | initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool, \
                      linux-base-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1), \
                      linux-binary-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1), \
                      linux-modules-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1)\n";
        assert_eq!(
            kernel_dependencies(record),
            ["base", "binary", "modules"].map(|part| format!("linux-{part}-7.3.4+deb13-amd64"))
        );
    }

    #[test]
    fn ubuntus_packages_lead_to_the_modules_too() {
        // The field as Ubuntu 24.04 writes it, by packages.ubuntu.com.
        let record = "Depends: linux-image-6.8.0-31-generic, \
                      linux-modules-extra-6.8.0-31-generic, linux-firmware, \
                      intel-microcode, amd64-microcode\n";
        assert_eq!(
            kernel_dependencies(record),
            [
                "linux-image-6.8.0-31-generic",
                "linux-modules-extra-6.8.0-31-generic"
            ]
        );
    }
}
