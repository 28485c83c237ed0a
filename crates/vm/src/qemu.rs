//! The QEMU command line.
//!
//! The machine is the plain PC without its peripherals. (`microvm` boots a second faster,
//! but has no HPET: with its 8254 timer QEMU 7.2 hangs under `-icount`, with the APIC timer
//! the kernel spends that second on calibration.) Every kernel parameter below shortens the
//! boot or takes a source of chance away; the reason stands beside it.

use std::net::Ipv4Addr;
use std::os::fd::RawFd;
use std::path::Path;

use crate::process::{Descriptors, Launch};
use crate::program::LIBRARIES;
use crate::{Accel, Clock, Forward, VmConfig, elf};

/// What it is called.
pub(crate) const NAME: &str = "QEMU";
/// The emulator's name on `PATH`.
pub(crate) const QEMU: &str = "qemu-system-x86_64";
/// The I/O port of QEMU's debug console: what the guest writes there costs it one
/// instruction a byte and no interrupt.
pub(crate) const PROGRESS_PORT: u16 = 0xe9;
/// The virtio port that takes the guest's results.
pub(crate) const RESULTS_PORT: u8 = 1;
/// The virtio port that the host closes when the guest shall stop.
pub(crate) const STOP_PORT: u8 = 2;
/// The I/O port that ends QEMU.
pub(crate) const EXIT_PORT: u16 = 0xf4;
/// What the guest writes to [`EXIT_PORT`] once its results are out.
pub(crate) const EXIT_VALUE: u8 = 0x2a;
/// QEMU's exit status for it (`isa-debug-exit` gives twice the value plus one).
pub(crate) const EXIT_STATUS: i32 = (EXIT_VALUE as i32) * 2 + 1;
/// The I/O port at which the guest asks to be stopped for a snapshot (QEMU's `pvpanic`): the
/// one device that stops the processor right behind the instruction that wrote to it.
pub(crate) const PAUSE_PORT: u16 = 0x505;
/// What the guest writes to [`PAUSE_PORT`]: PVPANIC_PANICKED.
pub(crate) const PAUSE_VALUE: u8 = 1;
/// The name under which the firmware configuration device has what the guest shall do.
pub(crate) const INPUT: &str = "opt/wpanlab/input";
/// The variable in `/init`'s environment that marks our guest.
pub(crate) const GUEST_MARK: &str = "WPANLAB_GUEST";
/// The guest's address on its link to the host, which QEMU's own network has for it.
pub(crate) const ON_HOST_LINK: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// The 9p mount tag of the host's root.
pub(crate) const HOST_ROOT_TAG: &str = "hostroot";

/// Makes QEMU's main loop and the guest's processor take turns. Without it the main loop, woken
/// by a timer that has just run, may find the processor halted some nanoseconds before the last
/// instructions are counted, and skips idle time from an instant that is too early: seen as an
/// interrupt that comes as many nanoseconds late as instructions were not counted yet (QEMU 7.2,
/// `icount_start_warp_timer` against `icount_process_data`). Recording holds a lock over every
/// stretch of execution; the recording itself is not wanted.
const TAKE_TURNS: &str = "rr=record,rrfile=/dev/null";

/// Descriptors that an emulator inherits. All are memory files: nothing is left on disk, however a
/// run ends, and it never waits for a reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channels {
    pub console: RawFd,
    pub progress: RawFd,
    pub results: RawFd,
}

/// How a VM comes to life.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    /// From the kernel's first instruction, with its job.
    Boot { initrd: RawFd, input: RawFd },
    /// The same with an empty job, to be stopped where the guest would take it. Its memory is
    /// the file `memory`, `state` is for the rest of it; `monitor` is a socket.
    Template {
        initrd: RawFd,
        input: RawFd,
        memory: RawFd,
        state: RawFd,
        monitor: RawFd,
    },
    /// From there on, with its job: `state` stands at the state that was saved. What the guest
    /// changes in `memory` is its own.
    Restore {
        memory: RawFd,
        state: RawFd,
        input: RawFd,
    },
}

impl Start {
    /// What QEMU inherits for it.
    pub(crate) fn files(self) -> Vec<RawFd> {
        match self {
            Start::Boot { initrd, input } => vec![initrd, input],
            Start::Template {
                initrd,
                input,
                memory,
                state,
                monitor,
            } => vec![initrd, input, memory, state, monitor],
            Start::Restore {
                memory,
                state,
                input,
            } => vec![memory, state, input],
        }
    }
}

/// QEMU for one start.
pub(crate) fn launch(config: &VmConfig, accel: Accel, channels: Channels, start: Start) -> Launch {
    let mut inherit = start.files();
    inherit.extend([channels.console, channels.progress, channels.results]);
    Launch {
        program: QEMU.into(),
        arguments: arguments(config, accel, channels, start),
        environment: None,
        descriptors: Descriptors::Kept(inherit),
        remedy: "install QEMU (Debian, Ubuntu: qemu-system-x86)",
    }
}

fn arguments(config: &VmConfig, accel: Accel, channels: Channels, start: Start) -> Vec<String> {
    let mut args = machine(config, accel);
    let mut option = |name: &str, value: String| {
        args.push(format!("-{name}"));
        args.push(value);
    };
    for (id, file) in [
        ("console", channels.console),
        ("progress", channels.progress),
        ("results", channels.results),
    ] {
        option("chardev", format!("file,id={id},path={}", path(file)));
    }
    let (Start::Boot { input, .. } | Start::Template { input, .. } | Start::Restore { input, .. }) =
        start;
    option("fw_cfg", format!("name={INPUT},file={}", path(input)));
    let boot = |option: &mut dyn FnMut(&str, String), initrd| {
        let vmlinux = config.kernel.vmlinux.to_string_lossy().into_owned();
        option("kernel", vmlinux);
        option("initrd", path(initrd));
        option("append", kernel_parameters(config, accel, start));
    };
    let keep_memory = |option: &mut dyn FnMut(&str, String), memory, share| {
        let (size, file) = (config.memory_mib, path(memory));
        let backend = "memory-backend-file,id=memory";
        option(
            "object",
            format!("{backend},size={size}M,mem-path={file},share={share}"),
        );
        option("machine", "memory-backend=memory".into());
    };
    match start {
        Start::Boot { initrd, .. } => {
            boot(&mut option, initrd);
            option("action", "panic=none".into());
        }
        Start::Template {
            initrd,
            memory,
            monitor,
            ..
        } => {
            boot(&mut option, initrd);
            keep_memory(&mut option, memory, "on");
            option("action", "panic=pause".into());
            option("chardev", format!("socket,id=monitor,fd={monitor}"));
            option("mon", "chardev=monitor,mode=control".into());
            args.push("-S".into());
        }
        Start::Restore { memory, state, .. } => {
            keep_memory(&mut option, memory, "off");
            option("incoming", format!("fd:{state}"));
            // What was saved is the devices alone, without a list of the machine's features.
            option("global", "migration.send-configuration=off".into());
        }
    }
    args
}

/// How QEMU opens a file that it has inherited.
pub(crate) fn path(fd: RawFd) -> String {
    format!("/proc/self/fd/{fd}")
}

/// The hardware, which a snapshot and what is started from it have in common.
fn machine(config: &VmConfig, accel: Accel) -> Vec<String> {
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
    option("accel", accelerator(accel).into());
    option("cpu", cpu(accel).into());
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
    // QEMU hands its guest random bytes at boot; this names their seed. The run's own seed
    // comes with its job.
    option("seed", "1".into());
    option("display", "none".into());
    option("serial", "chardev:console".into());
    option(
        "device",
        format!("isa-debugcon,iobase={PROGRESS_PORT:#x},chardev=progress"),
    );
    option(
        "device",
        format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4"),
    );
    option("device", format!("pvpanic,ioport={PAUSE_PORT:#x}"));
    // With ioeventfd another thread of QEMU would take the data, whenever it is scheduled.
    option("device", "virtio-serial-pci,ioeventfd=off".into());
    let port = |number, chardev| format!("virtserialport,nr={number},chardev={chardev}");
    option("device", port(RESULTS_PORT, "results"));
    // The end of QEMU's standard input is the host's wish that the guest stop. Bytes would not do:
    // while it records, QEMU keeps what comes in for an instant that never comes.
    option("chardev", "stdio,id=stop,signal=off".into());
    option("device", port(STOP_PORT, "stop"));
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
    if !config.forwards.is_empty() {
        let mut network = "user,id=host,restrict=on,ipv6=off".to_owned();
        for Forward { host, guest } in &config.forwards {
            network += &format!(",hostfwd=tcp:127.0.0.1:{host}-{ON_HOST_LINK}:{guest}");
        }
        option("netdev", network);
        option("device", "virtio-net-pci,netdev=host,romfile=".into());
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
/// cheap to emulate (a tenth of the wall time of `handover.yaml`); without SMAP the kernel need not
/// say when it looks at a process's memory, which ends a translated block each time (a twentieth).
fn cpu(accel: Accel) -> &'static str {
    match accel {
        Accel::Tcg => "max,-rdrand,-rdseed,-erms,-fsrm,-xsave,-smap",
        Accel::Kvm => "max",
    }
}

fn kernel_parameters(config: &VmConfig, accel: Accel, start: Start) -> String {
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
        // Every daemon is the same program; at one address QEMU translates it once for all.
        "norandmaps",
        // What guards a machine against its users, and what counts for them.
        "init_on_alloc=0",
        "hardened_usercopy=off",
        "lsm=",
        "audit=0",
        "psi=0",
        "cgroup_disable=memory,cpu,cpuset,io,pids",
        "nowatchdog",
        // Self tests of every cipher and a scan of the page tables: most of a boot.
        "cryptomgr.notests",
        "rodata=off",
        "random.trust_cpu=off",
    ];
    if accel == Accel::Tcg {
        // The proof that the timer ticks spins on the time stamp counter, which TCG is slow at.
        parameters.push("no_timer_check");
        // So does the calibration of the APIC's timer, for two seconds. It is worth them for a
        // snapshot: of all timers that one takes the fewest accesses to a device.
        if !matches!(start, Start::Template { .. }) {
            parameters.push("noapictimer");
        }
    }
    if config.clock == Clock::Virtual {
        // One instruction is one nanosecond: nothing to calibrate. `lpj` is per jiffy (4 ms).
        parameters.extend(["tsc=reliable", "tsc_early_khz=1000000", "lpj=4000000"]);
        // A second clock to compare with is read many times over before it is trusted.
        parameters.push("initcall_blacklist=init_acpi_pm_clocksource");
    }
    let mut line = parameters.join(" ");
    line += &format!(" {GUEST_MARK}=1");
    if let Some(libraries) = libraries(config) {
        line += &format!(" {libraries}");
    }
    line
}

/// Where a program that is no static one finds what it is linked with. A parameter that the kernel does not
/// know goes to init's environment.
pub(crate) fn libraries(config: &VmConfig) -> Option<String> {
    let loader = elf::interpreter(&config.init).ok()?;
    loader.map(|_| format!("LD_LIBRARY_PATH={LIBRARIES}"))
}
