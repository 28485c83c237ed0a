//! The QEMU command line.
//!
//! The machine is the plain PC without its peripherals. (`microvm` boots a second faster,
//! but has no HPET: with its 8254 timer QEMU 7.2 hangs under `-icount`, with the APIC timer
//! the kernel spends that second on calibration.) Every kernel parameter below shortens the
//! boot or takes a source of chance away; the reason stands beside it.

use std::os::fd::RawFd;
use std::path::Path;

use crate::{Accel, Clock, VmConfig};

/// The I/O port of QEMU's debug console: what the guest writes there costs it one
/// instruction a byte and no interrupt.
pub(crate) const PROGRESS_PORT: u16 = 0xe9;
/// The I/O port that ends QEMU.
pub(crate) const EXIT_PORT: u16 = 0xf4;
/// What the guest writes to [`EXIT_PORT`] once its results are out.
pub(crate) const EXIT_VALUE: u8 = 0x2a;
/// QEMU's exit status for it (`isa-debug-exit` gives twice the value plus one).
pub(crate) const EXIT_STATUS: i32 = (EXIT_VALUE as i32) * 2 + 1;
/// The variable in `/init`'s environment that marks our guest.
pub(crate) const GUEST_MARK: &str = "WPANLAB_GUEST";
/// The 9p mount tag of the host's root.
pub(crate) const HOST_ROOT_TAG: &str = "hostroot";

/// Makes QEMU's main loop and the guest's processor take turns. Without it the main loop, woken
/// by a timer that has just run, may find the processor halted some nanoseconds before the last
/// instructions are counted, and skips idle time from an instant that is too early: seen as an
/// interrupt that comes as many nanoseconds late as instructions were not counted yet (QEMU 7.2,
/// `icount_start_warp_timer` against `icount_process_data`). Recording holds a lock over every
/// stretch of execution; the recording itself is not wanted.
const TAKE_TURNS: &str = "rr=record,rrfile=/dev/null";

/// Descriptors that QEMU inherits. All are memory files: nothing is left on disk, however a
/// run ends, and QEMU never waits for a reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channels {
    pub initrd: RawFd,
    pub console: RawFd,
    pub progress: RawFd,
    pub results: RawFd,
}

/// The arguments for one boot.
pub(crate) fn arguments(config: &VmConfig, channels: Channels) -> Vec<String> {
    let fd = |fd: RawFd| format!("/proc/self/fd/{fd}");
    let mut args: Vec<String> = Vec::new();
    let mut option = |name: &str, value: String| {
        args.push(format!("-{name}"));
        args.push(value);
    };
    option(
        "machine",
        "pc,usb=off,sata=off,smbus=off,smm=off,vmport=off".into(),
    );
    if let Some(firmware) = quick_firmware() {
        option("bios", firmware.into());
    }
    option("accel", accelerator(config.accel).into());
    option("cpu", cpu(config).into());
    option("m", config.memory_mib.to_string());
    option("smp", "1".into());
    match config.clock {
        Clock::Virtual => {
            // Idle time is skipped, unless the guest may be idle because it waits for the
            // host's file system: skipped until the next timer, and the next, such a wait of
            // a millisecond would become minutes.
            let counting = if config.share_host_root {
                "shift=0,sleep=on".to_owned()
            } else {
                format!("shift=0,sleep=off,{TAKE_TURNS}")
            };
            option("icount", counting);
            option("rtc", "base=2020-01-01,clock=vm".into());
        }
        Clock::Realtime => option("rtc", "base=utc,clock=host".into()),
    }
    // QEMU hands its guest random bytes at boot; this names their seed.
    option("seed", config.seed.to_string());
    option(
        "kernel",
        config.kernel.vmlinux.to_string_lossy().into_owned(),
    );
    option("initrd", fd(channels.initrd));
    option("append", kernel_parameters(config));
    option("display", "none".into());
    option("serial", "chardev:console".into());
    for (id, file) in [
        ("console", channels.console),
        ("progress", channels.progress),
        ("results", channels.results),
    ] {
        option("chardev", format!("file,id={id},path={}", fd(file)));
    }
    option(
        "device",
        format!("isa-debugcon,iobase={PROGRESS_PORT:#x},chardev=progress"),
    );
    option(
        "device",
        format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4"),
    );
    // With ioeventfd another thread of QEMU would take the data, whenever it is scheduled.
    option("device", "virtio-serial-pci,ioeventfd=off".into());
    option("device", "virtserialport,chardev=results".into());
    if config.share_host_root {
        option(
            "fsdev",
            "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap".into(),
        );
        option(
            "device",
            format!("virtio-9p-pci,fsdev=root,mount_tag={HOST_ROOT_TAG}"),
        );
    }
    args.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(String::from));
    args
}

/// QEMU's own small firmware, which hands over to the kernel a quarter of a second sooner
/// than SeaBIOS; it belongs to every QEMU since 5.1, but a distribution may leave it out.
fn quick_firmware() -> Option<&'static str> {
    [
        "/usr/share/qemu/qboot.rom",
        "/usr/local/share/qemu/qboot.rom",
    ]
    .into_iter()
    .find(|path| Path::new(path).is_file())
}

fn accelerator(accel: Accel) -> &'static str {
    match accel {
        Accel::Tcg => "tcg",
        Accel::Kvm => "kvm",
    }
}

/// The hardware generators would bring the host's randomness in; without ERMS and FSRM the
/// kernel copies by eight bytes, which TCG executes eight times as fast as by one; without
/// XSAVE a change of process saves half a kilobyte of registers by one instruction that is
/// cheap to emulate (a tenth of the wall time of `handover.yaml`).
fn cpu(config: &VmConfig) -> &'static str {
    match config.accel {
        Accel::Tcg => "max,-rdrand,-rdseed,-erms,-fsrm,-xsave",
        Accel::Kvm => "max",
    }
}

fn kernel_parameters(config: &VmConfig) -> String {
    let mut parameters = vec![
        "console=ttyS0",
        "quiet",
        "loglevel=4",
        // A panic ends QEMU (with -no-reboot) instead of halting.
        "panic=-1",
        "reboot=t",
        "oops=panic",
        "mitigations=off",
        "nokaslr",
        // Self tests of every cipher and a scan of the page tables: most of a boot.
        "cryptomgr.notests",
        "rodata=off",
        "random.trust_cpu=off",
    ];
    if config.accel == Accel::Tcg {
        // Its calibration, and the proof that the timer ticks, spin on the time stamp
        // counter, which TCG is slow at.
        parameters.extend(["noapictimer", "no_timer_check"]);
    }
    if config.clock == Clock::Virtual {
        // One instruction is one nanosecond: nothing to calibrate. `lpj` is per jiffy (4 ms).
        parameters.extend(["tsc=reliable", "tsc_early_khz=1000000", "lpj=4000000"]);
        // A second clock to compare with is read many times over before it is trusted.
        parameters.push("initcall_blacklist=init_acpi_pm_clocksource");
    }
    let mut line = parameters.join(" ");
    // A parameter that the kernel does not know goes to init's environment.
    line += &format!(" {GUEST_MARK}=1");
    line
}
