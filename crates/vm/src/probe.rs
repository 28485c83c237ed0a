//! Whether KVM really works here, and which QEMU there is.
//!
//! `/dev/kvm` may exist and still not run a guest: nested hypervisors hang it or refuse a
//! register. Only a guest that came up proves it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use files::Tree;
use sha2::{Digest, Sha256};

use crate::kernel::hex;
use crate::qemu::QEMU;
use crate::{
    Accel, Clock, Kernel, Machine, Processor, VmConfig, VmError, cache, checksum, snapshot,
};

/// The emulator's version, `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)`: what it does at which instant is
/// a part of what a run repeats. `None` if it does not say.
///
/// To ask it costs a hundredth of a short run, so the answer is kept in `cache`, under the identity
/// of the program that gave it.
pub fn qemu_version(cache: &Path) -> Option<String> {
    let kept = snapshot::emulator().map(|identity| {
        let digest = hex(&Sha256::digest(identity));
        cache.join(format!("qemu-{}.version", &digest[..16]))
    });
    let recall = |kept: &PathBuf| {
        let mut sealed = Vec::new();
        let file = Tree::holding(kept).open(kept).ok()?;
        file.take(LONGEST).read_to_end(&mut sealed).ok()?;
        version(checksum::unsealed(&sealed)?)
    };
    if let Some(version) = kept.as_ref().and_then(recall) {
        return Some(version);
    }
    let output = Command::new(QEMU).arg("--version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = version(&said)?;
    if let Some(kept) = kept.filter(|_| said.len() < LONGEST as usize / 2) {
        // A cache that cannot be written makes the next run ask again.
        let sealed = checksum::sealed(&said);
        let _ = Tree::holding(&kept).replace(&kept, sealed.as_bytes());
        forget(cache);
    }
    Some(version)
}

/// Removes the versions but those that were asked for last, of programs that are gone.
fn forget(cache: &Path) {
    let is_version = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("qemu-") && name.ends_with(".version")
    };
    // They only take up room.
    let _ = cache::keep_latest(cache, KEEP, is_version);
}

/// Versions that stay.
const KEEP: usize = 4;
/// Bytes of a version that is kept; QEMU says 130.
const LONGEST: u64 = 4096;

/// The version in what QEMU says of itself.
fn version(said: &str) -> Option<String> {
    let version = said.lines().next()?.split(" version ").nth(1)?.trim();
    (!version.is_empty()).then(|| version.to_owned())
}

/// How long the trial guest may take, in wall time. Under KVM it needs about one second; emulated some five,
/// and much more on a machine that has other things to do.
const fn limit(machine: Machine) -> Duration {
    Duration::from_secs(match machine {
        Machine::Qemu(Accel::Kvm) | Machine::Uml(_) => 20,
        Machine::Qemu(Accel::Tcg) => 120,
    })
}

/// The job of the trial guest; see [`crate::guest::answer_probe`].
pub(crate) const JOB: &[u8] = b"wpanlab-probe";

/// Whether a guest comes up under KVM, with `init` as its `/init`. That program must call
/// [`crate::guest::answer_probe`] after [`crate::guest::setup`].
///
/// # Errors
/// Why KVM cannot be used: no device, no permission, or what the trial guest ran into.
pub async fn kvm_works(kernel: &Kernel, init: &Path) -> Result<(), VmError> {
    const DEVICE: &str = "/dev/kvm";
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(DEVICE)
        .map_err(VmError::io("open", DEVICE))?;
    accel_works(Accel::Kvm, kernel, init).await
}

/// [`kvm_works`] for any accelerator, without a look at devices.
///
/// # Errors
/// What the trial guest ran into.
pub async fn accel_works(accel: Accel, kernel: &Kernel, init: &Path) -> Result<(), VmError> {
    comes_up(Machine::Qemu(accel), Clock::Realtime, kernel, init).await
}

/// [`kvm_works`] for User-Mode Linux: it takes memory that may be executed, and the right to trace.
///
/// # Errors
/// What the trial guest ran into.
pub async fn uml_works(kernel: &Kernel, init: &Path) -> Result<(), VmError> {
    let machine = Machine::Uml(Processor::default());
    comes_up(machine, Clock::Virtual, kernel, init).await
}

async fn comes_up(
    machine: Machine,
    clock: Clock,
    kernel: &Kernel,
    init: &Path,
) -> Result<(), VmError> {
    let mut config = VmConfig::new(kernel.clone(), init);
    config.clock = clock;
    config.machine = machine;
    config.modules.clear();
    config.job = JOB.to_vec();
    // A hung guest is silent; one that babbles is cut off by the timeout.
    let limit = limit(machine);
    config.stall_limit = limit;
    let trial = tokio::time::timeout(limit, crate::run(config, |_| {})).await;
    trial
        .unwrap_or(Err(VmError::Stalled {
            limit,
            console: String::new(),
        }))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_what_qemu_says_of_itself() {
        let said = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright (c) 2003-2022\n";
        let version_said = version(said);
        assert_eq!(
            version_said.as_deref(),
            Some("7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)")
        );
        assert_eq!(version("command not found"), None);
        assert_eq!(version(""), None);
    }
}
