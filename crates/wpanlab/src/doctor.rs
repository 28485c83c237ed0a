//! `wpanlab doctor`: what this machine can do, and what to install for the rest.

use std::env::consts::ARCH;
use std::path::PathBuf;

use anyhow::Result;
use comfy_table::{Table, presets};
use serde::Serialize;
use vm::{Accel, Kernel, Program};

use crate::Outcome;
use crate::backend::{self, native_obstacle};

/// The one processor whose machine the VM is.
const GUEST: &str = "x86_64";
/// The VM's emulator.
const QEMU: &str = "qemu-system-x86_64";

/// One ability of this machine.
#[derive(Debug, Serialize)]
struct Finding {
    /// What it is for.
    ability: &'static str,
    /// Whether the machine has it.
    present: bool,
    /// What was found, or what to do.
    detail: String,
}

impl Finding {
    /// `Ok` is what was found, `Err` what to do.
    fn of(ability: &'static str, found: Result<String, String>) -> Finding {
        let present = found.is_ok();
        Finding {
            ability,
            present,
            detail: found.unwrap_or_else(|detail| detail),
        }
    }
}

/// Prints what this machine can do; fails if it cannot run the VM, which everything needs.
pub async fn doctor(json: bool) -> Result<Outcome> {
    let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let kernel = Kernel::cached(&vm::default_cache());
    let emulator = on_path(QEMU).ok_or_else(|| format!("no {QEMU}: {}", install_qemu(&os_release)));
    let own = own_program();
    let boots = match (&emulator, &own, &kernel) {
        (Err(_), _, _) => Err("not tried without an emulator".into()),
        (_, Err(_), _) => Err("not tried without a program that it can execute".into()),
        (_, _, None) => Err("not tried without a kernel".into()),
        (Ok(_), Ok(_), Some(kernel)) => guest_boots(kernel).await,
    };
    // What is only not there yet, the first run brings.
    let fetches = kernel.is_none() && has_apt();
    let able = boots.is_ok() || (emulator.is_ok() && own.is_ok() && fetches);
    let findings = [
        Finding::of("emulator", emulator.map(|path| path.display().to_string())),
        Finding::of("program in the VM", own),
        Finding::of("kernel for the VM", found_kernel(kernel.as_ref(), fetches)),
        Finding::of("VM", boots),
        Finding::of("User-Mode Linux (faster)", user_mode_linux().await),
        Finding::of(
            "KVM (only for --clock realtime)",
            kvm(kernel.as_ref()).await,
        ),
        Finding::of(
            "native backend (only for --clock realtime)",
            native_obstacle().map_or(Ok("root and the modules".into()), Err),
        ),
        Finding::of(
            "judge of captures (optional)",
            on_path("tshark")
                .map(|path| path.display().to_string())
                .ok_or_else(|| "no tshark: it comes with Wireshark".into()),
        ),
    ];
    if json {
        outln!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        print(&findings);
    }
    Ok(if able {
        Outcome::Passed
    } else {
        Outcome::Failed
    })
}

fn print(findings: &[Finding]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for finding in findings {
        let mark = if finding.present { "yes" } else { "no" };
        table.add_row([finding.ability, mark, &finding.detail]);
    }
    outln!("{table}");
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Whether the package manager is there that fetches a kernel without root.
fn has_apt() -> bool {
    ["apt-get", "apt-cache", "dpkg-deb"]
        .iter()
        .all(|program| on_path(program).is_some())
}

/// How to install the emulator, by the distribution's own name of it.
fn install_qemu(os_release: &str) -> &'static str {
    let names: Vec<&str> = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .collect();
    let is = |name: &str| names.contains(&name);
    if is("debian") || is("ubuntu") {
        "apt-get install qemu-system-x86"
    } else if is("fedora") {
        "dnf install qemu-system-x86-core"
    } else if is("arch") {
        "pacman -S qemu-system-x86"
    } else {
        "install QEMU's emulator for x86-64"
    }
}

/// This program as the guest's `/init`.
fn own_program() -> Result<String, String> {
    if ARCH != GUEST {
        return Err(format!(
            "this program is for {ARCH}, and the VM is an x86-64 on every host: here only the native \
             backend runs topologies"
        ));
    }
    let path = backend::own_binary().map_err(|error| error.to_string())?;
    let program = Program::open(&path).map_err(|error| error.to_string())?;
    Ok(match program.loader {
        None => "static".into(),
        Some(loader) => format!(
            "dynamic: {} and {} libraries go with it; ./scripts/build makes one that starts sooner",
            loader.path.display(),
            loader.libraries.len()
        ),
    })
}

fn found_kernel(kernel: Option<&Kernel>, fetches: bool) -> Result<String, String> {
    match kernel {
        Some(kernel) => Ok(kernel.release.clone()),
        None if fetches => {
            Err("not in the cache yet: the first run fetches it, or wpanlab vm fetch".into())
        }
        None => Err(
            "without apt none is fetched. The newest /boot/vmlinuz-* is taken if it has \
             mac802154_hwsim, which Fedora's has not. Otherwise unpack Debian's: take \
             linux-image-6.1.0-*-amd64_*.deb from \
             https://deb.debian.org/debian/pool/main/l/linux-signed-amd64/, then: mkdir kernel; \
             ar p linux-image-*.deb data.tar.xz | tar -xJ -C kernel; and give --kernel kernel"
                .into(),
        ),
    }
}

/// Whether a guest comes up as the runs need it: by the emulator alone.
async fn guest_boots(kernel: &Kernel) -> Result<String, String> {
    let init = backend::own_binary().map_err(|error| error.to_string())?;
    match vm::probe::accel_works(Accel::Tcg, kernel, &init).await {
        Ok(()) => Ok("a guest booted".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether `--backend auto` takes it, and it comes up.
async fn user_mode_linux() -> Result<String, String> {
    let kernel = vm::uml::locate(None, &vm::default_cache()).map_err(|error| error.to_string())?;
    let init = backend::own_binary().map_err(|error| error.to_string())?;
    match vm::probe::uml_works(&kernel, &init).await {
        Ok(()) => Ok(format!("{}: a guest booted", kernel.release)),
        Err(error) => Err(error.to_string()),
    }
}

async fn kvm(kernel: Option<&Kernel>) -> Result<String, String> {
    let kernel = kernel.ok_or("not tried without a kernel")?;
    let init = backend::own_binary().map_err(|error| error.to_string())?;
    match vm::probe::kvm_works(kernel, &init).await {
        Ok(()) => Ok("a guest booted".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emulator_has_another_name_in_each_distribution() {
        // Of /etc/os-release of Debian 12, Linux Mint 22, Fedora 41 and Arch Linux.
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n";
        let mint = "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n";
        for apt in [debian, mint] {
            assert_eq!(install_qemu(apt), "apt-get install qemu-system-x86");
        }
        assert!(install_qemu("ID=fedora\n").starts_with("dnf"));
        assert!(install_qemu("ID=arch\nID_LIKE=\n").starts_with("pacman"));
        assert!(install_qemu("").contains("QEMU"));
    }

    #[test]
    fn without_apt_what_to_give_to_kernel_is_said() {
        let told = found_kernel(None, false).unwrap_err();
        assert!(told.contains("--kernel kernel"), "{told}");
        assert!(found_kernel(None, true).unwrap_err().contains("vm fetch"));
    }

    #[test]
    fn this_program_can_be_a_guests_init() {
        assert!(own_program().is_ok());
    }
}
