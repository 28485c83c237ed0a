//! Whole boots, seen from the host. This program is its own guest.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use libtest_mimic::{Arguments, Failed, Trial};
use vm::{Clock, Kernel, KernelSource, Output, VmConfig, VmError};

fn main() {
    if vm::guest::is_guest() {
        inside::main();
    }
    if std::env::var_os(ORPHAN).is_some() {
        boot(config("hang"), |line| println!("{line}")).expect("a guest that never ends");
    }
    let trial = |name: &'static str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    let trials = vec![
        trial(
            "a_guest_reads_its_job_and_files_and_its_results_arrive_whole",
            results,
        ),
        trial(
            "two_boots_with_one_seed_agree_to_the_nanosecond",
            determinism,
        ),
        trial("every_run_from_any_snapshot_is_the_same_run", from_snapshot),
        trial(
            "without_a_place_for_snapshots_the_run_is_the_same",
            unkept_snapshot,
        ),
        trial(
            "a_panic_before_the_job_is_an_error_with_its_words",
            panic_in_snapshot,
        ),
        trial("another_seed_gives_other_random_numbers", seeds),
        trial(
            "a_panic_of_init_is_an_error_with_its_words",
            panic_is_reported,
        ),
        trial("a_guest_that_just_exits_is_an_error", exit_is_reported),
        trial(
            "a_guest_out_of_memory_is_an_error",
            out_of_memory_is_reported,
        ),
        trial("a_guest_that_spins_silently_is_stopped", stall_is_reported),
        trial("a_guest_in_real_time_delivers_too", realtime),
        trial(
            "a_trial_guest_answers_and_what_is_no_program_does_not",
            probe,
        ),
        trial(
            "a_dynamic_program_starts_with_its_own_libraries",
            dynamic_init,
        ),
        trial("an_absent_module_stops_before_the_boot", absent_module),
        trial("dropping_the_run_ends_qemu", drop_ends_qemu),
        trial("qemu_dies_with_a_killed_parent", death_ends_qemu),
        trial("a_guest_sees_the_hosts_files_read_only", host_root),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

const ORPHAN: &str = "WPANLAB_TEST_ORPHAN";

fn config(job: &str) -> VmConfig {
    let kernel = Kernel::locate(&KernelSource {
        explicit: std::env::var_os("WPANLAB_KERNEL").map(Into::into),
        cache: vm::default_cache(),
    })
    .unwrap();
    let mut config = VmConfig::new(kernel, std::env::current_exe().unwrap());
    config.job = job.into();
    config
}

fn boot(config: VmConfig, on_progress: impl FnMut(&str)) -> Result<Output, VmError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(vm::run(config, on_progress))
}

fn results() {
    let mut config = config("report");
    config.files.push(vm::GuestFile {
        guest_path: "/etc/wpanlab/extra".into(),
        source: vm::Content::Bytes(b"extra".to_vec()),
        mode: 0o640,
    });
    let mut lines = Vec::new();
    let output = boot(config, |line| lines.push(line.to_string())).unwrap();
    assert_eq!(lines, ["first", "second line"]);
    assert_eq!(output.exit_code, 7);
    assert_eq!(output.files["job"], b"report");
    assert_eq!(output.files["deep/er/extra"], b"extra");
    assert_eq!(output.files["large"], inside::large());
    assert!(output.console.contains("a word on the console"));
    let unpacked = tempfile::tempdir().unwrap();
    output.unpack(unpacked.path()).unwrap();
    assert_eq!(
        std::fs::read(unpacked.path().join("deep/er/extra")).unwrap(),
        b"extra"
    );
}

fn determinism() {
    let [first, second] = [(), ()].map(|()| boot(config("report"), |_| {}).unwrap());
    assert_same(&first, &second);
}

fn from_snapshot() {
    let [first, second] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let run = |seed, snapshots: &Path| {
        let mut config = config("report");
        config.seed = seed;
        config.snapshots = Some(snapshots.join("not/there/yet"));
        boot(config, |_| {}).unwrap()
    };
    let made = run(5, first.path());
    let kept = || std::fs::read_dir(first.path().join("not/there/yet")).unwrap();
    assert_eq!(kept().count(), 1);
    let used = run(5, first.path());
    assert_eq!(kept().count(), 1);
    assert_same(&made, &used);
    assert_same(&made, &run(5, second.path()));
    assert_ne!(run(6, first.path()).files["random"], used.files["random"]);
    // One that is damaged, in what the guest has in memory, is made again.
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path();
    let path = kept().map(name).next().unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0x5a; 4096], 20 << 20).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_same(&made, &run(5, first.path()));
    assert_eq!(kept().count(), 1);
    // Its RAM is a private copy: what one run does to it, no other sees.
    assert_same(&made, &run(5, first.path()));
}

fn unkept_snapshot() {
    let (file, directory) = (
        tempfile::NamedTempFile::new().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let [unkept, kept] = [file.path().join("not a directory"), directory.path().into()].map(|at| {
        let mut config = config("report");
        config.snapshots = Some(at);
        boot(config, |_| {}).unwrap()
    });
    assert_same(&unkept, &kept);
}

/// Some of the files are too large to be shown.
fn assert_same(a: &Output, b: &Output) {
    let clocks = |output: &Output| String::from_utf8(output.files["clocks"].clone()).unwrap();
    assert_eq!(clocks(a), clocks(b));
    assert!(a.files == b.files);
    assert_eq!(a.console, b.console);
}

fn panic_in_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config("report");
    config.snapshots = Some(directory.path().into());
    // The archive's last file of a name is the one that stays.
    config.files.push(vm::GuestFile {
        guest_path: "/wpanlab/modules/start".into(),
        source: vm::Content::Bytes(b"absent.ko\n".to_vec()),
        mode: 0o400,
    });
    match boot(config, |_| {}) {
        Err(VmError::Panic { console }) => assert!(console.contains("absent.ko"), "{console}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

fn seeds() {
    let [first, second] = [1, 2].map(|seed| {
        let mut config = config("report");
        config.seed = seed;
        boot(config, |_| {}).unwrap()
    });
    assert_ne!(first.files["random"], second.files["random"]);
}

fn panic_is_reported() {
    match boot(config("panic"), |_| {}) {
        Err(e @ VmError::Panic { .. }) => {
            let text = e.to_string();
            assert!(text.contains("the guest's own words"), "{text}");
            assert!(text.contains("Kernel panic"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

fn exit_is_reported() {
    let result = boot(config("exit"), |_| {});
    assert!(matches!(result, Err(VmError::Panic { .. })), "{result:?}");
}

fn out_of_memory_is_reported() {
    let result = boot(config("eat"), |_| {});
    match result {
        Err(VmError::Panic { console }) => assert!(console.contains("Out of memory"), "{console}"),
        other => panic!("{other:?}"),
    }
}

fn stall_is_reported() {
    let mut config = config("hang");
    // Longer than the processor time of a boot; on a busy machine that counts.
    config.stall_limit = Duration::from_secs(10);
    match boot(config, |_| {}) {
        Err(VmError::Stalled { console, .. }) => assert!(console.contains("about to hang")),
        other => panic!("{other:?}"),
    }
}

fn realtime() {
    let mut config = config("brief");
    config.clock = Clock::Realtime;
    assert_eq!(boot(config, |_| {}).unwrap().exit_code, 7);
}

fn probe() {
    let kernel = config("").kernel;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let accel = vm::Accel::Tcg;
    let me = std::env::current_exe().unwrap();
    runtime
        .block_on(vm::probe::accel_works(accel, &kernel, &me))
        .unwrap();
    let not_a_guest = tempfile::NamedTempFile::new().unwrap();
    let result = runtime.block_on(vm::probe::accel_works(accel, &kernel, not_a_guest.path()));
    assert!(matches!(result, Err(VmError::BadInit { .. })), "{result:?}");
}

/// A program of the distribution that needs more than the C library comes as far as its own words: the
/// kernel gives it the parameters that it does not know itself, and `ls` has no file of such a name.
fn dynamic_init() {
    let mut config = config("");
    config.init = "/bin/ls".into();
    config.modules.clear();
    match boot(config, |_| {}) {
        Err(VmError::Panic { console }) => {
            assert!(console.contains("/init: cannot access"), "{console}");
        }
        other => panic!("{other:?}"),
    }
}

fn absent_module() {
    let mut config = config("report");
    config.modules.push("no_such_module".into());
    let error = boot(config, |_| {}).unwrap_err().to_string();
    assert!(error.contains("`no_such_module`"), "{error}");
}

/// Process ids of the QEMUs that a process started.
fn qemus_of(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    tasks
        .into_iter()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|children| {
            let pids = children.split_whitespace().map(|pid| pid.parse().unwrap());
            pids.collect::<Vec<u32>>()
        })
        .filter(|&pid| is_qemu(pid))
        .collect()
}

fn is_qemu(pid: u32) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command.starts_with(b"qemu-system")
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..3000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain until {what}");
}

fn drop_ends_qemu() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // Its memory size tells this boot's QEMU from those of tests that run beside it.
    let mut config = config("hang");
    config.memory_mib = 333;
    let ours = || {
        let has_its_memory = |pid: &u32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command
                .split(|&b| b == 0)
                .any(|argument| argument == b"333")
        };
        qemus_of(std::process::id())
            .iter()
            .filter(|pid| has_its_memory(pid))
            .count()
    };
    let (hung, mut is_hung) = tokio::sync::mpsc::unbounded_channel();
    runtime.block_on(async {
        tokio::select! {
            result = vm::run(config, |line| hung.send(line.to_string()).unwrap()) => {
                panic!("{result:?}")
            }
            line = is_hung.recv() => assert_eq!(line.unwrap(), "hanging"),
        }
    });
    // The run was dropped as the loser of the race.
    wait_until("QEMU is gone", || ours() == 0);
}

fn death_ends_qemu() {
    use std::io::BufRead;
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .env(ORPHAN, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut lines = std::io::BufReader::new(parent.stdout.take().unwrap());
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "hanging\n");
    let qemus = qemus_of(parent.id());
    assert_eq!(qemus.len(), 1);
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until("QEMU is gone", || !is_qemu(qemus[0]));
}

fn host_root() {
    let mut config = config("host");
    config.share_host_root = true;
    let output = boot(config, |_| {}).unwrap();
    let expected = std::fs::read("/etc/os-release").unwrap();
    assert_eq!(output.files["os-release"], expected);
    assert_eq!(
        output.files["write"],
        b"Read-only file system (os error 30)"
    );
}

/// What this program does as `/init`.
mod inside {
    use super::*;
    use std::time::SystemTime;

    const RESULTS: &str = "/run/results";

    pub fn main() -> ! {
        let guest = vm::guest::answer_probe(vm::guest::setup().expect("set up"));
        let results = Path::new(RESULTS);
        std::fs::create_dir_all(results.join("deep/er")).unwrap();
        match guest.job() {
            b"report" => report(&guest, results, Duration::from_secs(100)),
            b"brief" => report(&guest, results, Duration::from_millis(10)),
            b"panic" => panic!("the guest's own words"),
            b"exit" => std::process::exit(0),
            b"eat" => eat(),
            b"hang" => hang(&guest),
            b"host" => host(&guest, results),
            job => panic!("job {job:?}"),
        }
        guest.finish(results, 7)
    }

    fn report(guest: &vm::guest::Guest, results: &Path, pause: Duration) {
        guest.progress("first");
        std::thread::sleep(pause);
        guest.progress("second\nline");
        println!("a word on the console");
        let write = |name: &str, bytes: &[u8]| std::fs::write(results.join(name), bytes).unwrap();
        let realtime = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let interrupts = std::fs::read_to_string("/proc/interrupts").unwrap();
        write(
            "clocks",
            format!("{realtime:?}\n{uptime}{interrupts}").as_bytes(),
        );
        let mut random = [0; 64];
        let mut source = std::fs::File::open("/dev/urandom").unwrap();
        std::io::Read::read_exact(&mut source, &mut random).unwrap();
        write("random", &random);
        write("job", guest.job());
        if let Ok(extra) = std::fs::read("/etc/wpanlab/extra") {
            write("deep/er/extra", &extra);
        }
        write("large", &large());
    }

    /// Some MB in which no two places look alike.
    pub fn large() -> Vec<u8> {
        let mut state = 1u64;
        let step = |_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 56) as u8
        };
        (0..5_000_000).map(step).collect()
    }

    fn eat() -> ! {
        let mut eaten = Vec::new();
        loop {
            eaten.push(vec![1u8; 1 << 20]);
        }
    }

    fn hang(guest: &vm::guest::Guest) -> ! {
        println!("about to hang");
        guest.progress("hanging");
        loop {
            std::hint::spin_loop();
        }
    }

    fn host(guest: &vm::guest::Guest, results: &Path) {
        guest.mount_host_root(Path::new("/host")).unwrap();
        let copy = std::fs::read("/host/etc/os-release").unwrap();
        std::fs::write(results.join("os-release"), copy).unwrap();
        let error = std::fs::write("/host/tmp/wpanlab-must-not-write", "").unwrap_err();
        std::fs::write(results.join("write"), error.to_string()).unwrap();
    }
}
