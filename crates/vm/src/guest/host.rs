//! How a guest and its host reach each other, by what the guest runs on.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::O_NOCTTY;
use nix::mount::MsFlags;
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use super::{fw_cfg, port, system};
use crate::qemu::{
    EXIT_PORT, EXIT_VALUE, GUEST_MARK, HOST_ROOT_TAG, INPUT, PAUSE_PORT, PAUSE_VALUE,
    PROGRESS_PORT, RESULTS_PORT, STOP_PORT,
};
use crate::{VmError, uml};

/// How long a virtio port may take to appear, in guest time.
const PORT_LIMIT: Duration = Duration::from_secs(10);

/// The host, as a guest sees it.
#[derive(Debug)]
pub(super) struct Host {
    results: File,
    stop: File,
    /// Where a User-Mode Linux's lines of progress go; those of QEMU's guest go to its debug console.
    console: Option<File>,
    whole_lines: Mutex<()>,
}

impl Host {
    /// Opens all ways to the host, when the modules for them are loaded.
    pub(super) fn open() -> Result<Host, VmError> {
        let [mut to, mut from] = [OpenOptions::new(), OpenOptions::new()];
        let (to, from) = (to.write(true), from.read(true));
        if std::env::var(GUEST_MARK).is_ok_and(|mark| mark == uml::MARK) {
            // What a kernel does not take of its parameters it hands to `/init`.
            if let Ok(cost) = std::env::var(uml::COST) {
                return Err(VmError::Config(format!(
                    "this kernel does not have a system call take {cost} ns, as it was told to: `wpanlab vm build-uml \
                     --again` builds one that does"
                )));
            }
            return Ok(Host {
                results: console(uml::RESULTS, to)?,
                stop: console(uml::STOP, from)?,
                console: Some(console(uml::PROGRESS, to)?),
                whole_lines: Mutex::new(()),
            });
        }
        Ok(Host {
            results: virtio_port(RESULTS_PORT, to)?,
            stop: virtio_port(STOP_PORT, from)?,
            console: None,
            whole_lines: Mutex::new(()),
        })
    }

    fn is_qemu(&self) -> bool {
        self.console.is_none()
    }

    /// Where a snapshot is made; how long it took on the guest's clock.
    pub(super) fn pause(&self) -> Result<Duration, VmError> {
        if !self.is_qemu() {
            return Ok(Duration::ZERO);
        }
        let before = Instant::now();
        // Without a snapshot in the making, nothing listens at that port.
        let failed = VmError::io("write to", "the port that pauses the VM");
        port::write_bytes(PAUSE_PORT, &[PAUSE_VALUE]).map_err(failed)?;
        Ok(before.elapsed())
    }

    /// What the host gave: seed and job.
    pub(super) fn input(&self) -> Result<Vec<u8>, VmError> {
        match self.is_qemu() {
            true => fw_cfg::read(INPUT).map_err(VmError::io("read", INPUT)),
            false => std::fs::read(uml::INPUT).map_err(VmError::io("read", uml::INPUT)),
        }
    }

    /// Sends bytes of progress, whole lines.
    pub(super) fn progress(&self, bytes: &[u8]) -> io::Result<()> {
        // A poisoned lock means that another thread panicked between two bytes.
        let _whole_lines = self.whole_lines.lock().unwrap_or_else(|e| e.into_inner());
        match &self.console {
            None => port::write_bytes(PROGRESS_PORT, bytes),
            Some(console) => (&*console).write_all(bytes),
        }
    }

    /// What can be read to its end when the guest shall stop.
    pub(super) fn stop(&self) -> io::Result<File> {
        self.stop.try_clone()
    }

    /// Where results go.
    pub(super) fn results(&self) -> &File {
        &self.results
    }

    /// Mounts the host's root, read-only.
    pub(super) fn mount_root(&self, at: &Path) -> Result<(), VmError> {
        let flags = MsFlags::MS_RDONLY;
        match self.is_qemu() {
            true => system::mount(
                HOST_ROOT_TAG,
                at,
                "9p",
                flags,
                "trans=virtio,version=9p2000.L,msize=262144,cache=loose",
            ),
            false => system::mount("none", at, "hostfs", flags, "/"),
        }
    }

    /// Ends the VM: the host takes it as the end of complete results. Returns only if it cannot.
    pub(super) fn switch_off(&self) -> io::Result<()> {
        if self.is_qemu() {
            return port::write_bytes(EXIT_PORT, &[EXIT_VALUE]);
        }
        reboot(RebootMode::RB_POWER_OFF)?;
        Ok(())
    }
}

/// A console of a User-Mode Linux, as a file that bytes pass unchanged.
fn console(path: &str, how: &OpenOptions) -> Result<File, VmError> {
    let file = how.clone().custom_flags(O_NOCTTY).open(path);
    let file = file.map_err(VmError::io("open", path))?;
    let failed = || VmError::sys("set up", path);
    let mut settings = tcgetattr(&file).map_err(failed())?;
    cfmakeraw(&mut settings);
    tcsetattr(&file, SetArg::TCSANOW, &settings).map_err(failed())?;
    Ok(file)
}

/// A virtio port. The driver learns of it a while after its start, and has its
/// device node made before it can be opened.
fn virtio_port(number: u8, how: &OpenOptions) -> Result<File, VmError> {
    let name = format!("/dev/vport0p{number}");
    let failed = |source| VmError::io("open", &name)(source);
    let deadline = Instant::now() + PORT_LIMIT;
    loop {
        let opened = open_port(&name, how).map_err(failed)?;
        if let Some(port) = opened {
            return Ok(port);
        }
        if Instant::now() > deadline {
            return Err(failed(io::ErrorKind::TimedOut.into()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The virtio port if it is there yet.
fn open_port(name: &str, how: &OpenOptions) -> io::Result<Option<File>> {
    let not_yet = |error: &io::Error| {
        error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ENXIO as i32)
    };
    match how.open(name) {
        Err(error) if not_yet(&error) => Ok(None),
        opened => opened.map(Some),
    }
}
