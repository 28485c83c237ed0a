//! A block device that fails, fails for a while, and delays: `scripts/bad-disk` has it, in a VM. What the WMMS
//! has acknowledged is on it, and it says what failed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use units::Seed;

use crate::daemon::{Daemon, PATIENCE, SERVER};
use crate::load::Load;
use crate::{Chance, Node, discover_all, take_answers};

/// Names the variable with the script that makes the device, and its first argument.
const SCRIPT: &str = "WPANLAB_BAD_DISK";
const PEERS: usize = 4;
const WINDOW: usize = 16;
/// How long the device is well, and how long it is not.
const WELL: Duration = Duration::from_secs(1);
const ILL: Duration = Duration::from_secs(4);

/// How a device is ill.
struct Illness {
    name: &'static str,
    /// Whether the daemon goes on when the device is well again: a file system that could not write its
    /// journal stays read-only.
    heals: bool,
    /// What the daemon says of it.
    says: Option<&'static str>,
}

const ILLNESSES: [Illness; 4] = [
    Illness {
        name: "dead",
        heals: false,
        says: Some("the store cannot be written"),
    },
    Illness {
        name: "error",
        heals: true,
        says: Some("the store is written again"),
    },
    Illness {
        name: "flakey",
        heals: true,
        says: Some("the store is written again"),
    },
    Illness {
        name: "delay",
        heals: true,
        says: None,
    },
];

/// The device, by the script.
struct Device(Vec<String>);

impl Device {
    fn told(&self, words: &[&str]) {
        let [script, first] = self.0.as_slice() else {
            panic!("{SCRIPT} is a script and its first argument");
        };
        let done = Command::new(script).arg(first).args(words).status();
        assert!(done.expect("the script starts").success(), "{words:?}");
    }
}

/// Nodes that update as fast as they are answered.
struct Updates {
    load: Load,
    nodes: Vec<Node>,
    chance: Chance,
    acknowledged: u64,
}

impl Updates {
    fn new() -> Updates {
        let any = "[::1]:0".parse().expect("an address");
        let server = SERVER.parse().expect("an address");
        let load = Load::new(any, server, PEERS, WINDOW);
        Updates {
            nodes: vec![Node::default(); load.slots()],
            load,
            chance: Chance(Seed(14).rng(&["bad disk"])),
            acknowledged: 0,
        }
    }

    fn begin(&mut self) {
        for (slot, node) in self.nodes.iter_mut().enumerate() {
            self.load.send(slot, node.update(slot, &mut self.chance));
        }
    }

    /// Until `enough`, which is given how many were acknowledged meanwhile; how many, and the
    /// longest time without one.
    fn go_on(&mut self, enough: impl Fn(Duration, u64) -> bool) -> (u64, Duration) {
        let (began, mut last) = (Instant::now(), Instant::now());
        let (mut acknowledged, mut longest) = (0, Duration::ZERO);
        let mut looked = began;
        while !enough(began.elapsed(), acknowledged) {
            assert!(began.elapsed() < PATIENCE, "{acknowledged} acknowledged");
            let more = take_answers(&mut self.load, &mut self.nodes, Some(&mut self.chance));
            longest = longest.max(last.elapsed());
            if more > 0 {
                last = Instant::now();
            }
            acknowledged += more;
            if looked.elapsed() > Duration::from_millis(500) {
                looked = Instant::now();
                self.load.send_again();
            }
        }
        self.acknowledged += acknowledged;
        (acknowledged, longest)
    }
}

pub fn is_wanted() -> bool {
    std::env::var_os(SCRIPT).is_some()
}

pub fn a_disk_that_fails_or_delays_loses_no_acknowledged_binding(directory: &Path) {
    let device = std::env::var(SCRIPT).expect("started by scripts/bad-disk");
    let device = Device(device.lines().map(str::to_owned).collect());
    for illness in ILLNESSES {
        let of = illness.name;
        let mount: PathBuf = directory.join("disk");
        fs::create_dir_all(&mount).expect("a directory");
        let mount = mount.to_str().expect("a name");
        device.told(&["make", mount]);
        let state = Path::new(mount).join("state");
        fs::create_dir(&state).expect("a directory");
        // What it says is on another disk.
        let mut daemon = Daemon::saying_elsewhere(&state, directory);
        daemon.ready();
        nix::unistd::sync();
        let mut updates = Updates::new();
        updates.begin();
        let (well, _) = updates.go_on(|passed, _| passed > WELL);
        device.told(&["table", illness.name]);
        let (ill, longest) = updates.go_on(|passed, _| passed > ILL);
        if illness.heals {
            device.told(&["table", "linear"]);
            updates.go_on(|_, acknowledged| acknowledged > 100);
        }
        let log = fs::read_to_string(directory.join("log")).expect("its log");
        if let Some(says) = illness.says {
            assert!(log.contains(says), "{of}: {log}");
            assert!(log.contains("wmms.redb"), "{of}: {log}");
        }
        // What is in the kernel's memory is lost with the machine's power.
        device.told(&["table", "dead"]);
        updates.go_on(|passed, _| passed > Duration::from_millis(100));
        daemon.kill();
        take_answers(&mut updates.load, &mut updates.nodes, None);
        updates.load.give_up();
        device.told(&["cut", mount]);
        let mut daemon = Daemon::saying_elsewhere(&state, directory);
        daemon.ready();
        discover_all(&mut updates.load, &mut updates.nodes, 0);
        daemon.kill();
        device.told(&["remove", mount]);
        println!(
            "{of}: {well} updates in {WELL:?} before, {ill} in {ILL:?} meanwhile ({longest:.2?} without \
             one), {} in all, none lost",
            updates.acknowledged
        );
        for line in log.lines().filter(|line| line.contains("the store")) {
            println!("    {line}");
        }
    }
}
