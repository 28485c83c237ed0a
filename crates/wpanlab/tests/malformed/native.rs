//! The daemons without a radio on this machine, each in a namespace of its own: no processor is
//! emulated there, so that a million datagrams take a minute.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wpan::{Links, Namespace};

use crate::common::block_on;
use crate::network::{Nodes, Outside};
use crate::target::{Way, targets};

/// Those of `topology.yaml` that have neither a radio nor anything to do with one.
const NODES: [&str; 3] = ["dhcp", "wmms", "client"];
/// Longest wait for a daemon that starts.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends `count` datagrams to each of their ports. Needs root.
pub fn attack_all(count: u64) {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.yaml");
    fs::write(&plan, plan_of(&crate::topology(Duration::from_secs(1)))).unwrap();
    let mut daemons: Vec<Daemon> = NODES.map(|node| Daemon::start(node, &plan)).into();
    let nodes = daemons.iter().map(|d| (d.node, d.child.id() as i32));
    let nodes = Nodes::of(nodes.collect());
    let mut targets = targets();
    targets.retain(|target| target.way == Way::Wire && NODES.contains(&target.node));
    let outside = Outside::open(nodes, &targets);
    for target in &targets {
        crate::attack(target, &outside, count);
    }
    for daemon in &mut daemons {
        assert!(
            daemon.child.try_wait().unwrap().is_none(),
            "{} died",
            daemon.node
        );
        crate::check_log(daemon.node, &plan.with_file_name(daemon.node));
    }
}

fn plan_of(topology: &str) -> String {
    let plan = topology::load("malformed.yaml", topology, topology::Overrides::default());
    plan.unwrap_or_else(|error| panic!("{error}")).to_yaml()
}

/// A daemon; dropped, it is killed.
struct Daemon {
    node: &'static str,
    child: Child,
}

impl Daemon {
    /// Starts it beside its plan, and waits for its sockets.
    fn start(node: &'static str, plan: &Path) -> Daemon {
        let namespace = Namespace::create().unwrap();
        block_on(async {
            let links = Links::connect(&namespace).await.unwrap();
            links.up(links.index("lo").await.unwrap()).await.unwrap();
        });
        let log = File::create(plan.with_file_name(node)).unwrap();
        let start = || {
            Command::new(env!("CARGO_BIN_EXE_wpanlab"))
                .args(["node", "--state"])
                .arg(plan.with_file_name("state"))
                .arg("--plan")
                .args([plan.as_os_str(), node.as_ref()])
                .env("WPANLAB_LOG", "warn")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
        };
        let child = namespace.run(start).unwrap().unwrap();
        let daemon = Daemon { node, child };
        let began = Instant::now();
        let sockets = format!("/proc/{}/net/udp6", daemon.child.id());
        while fs::read_to_string(&sockets).unwrap().lines().count() < 2 {
            assert!(began.elapsed() < PATIENCE, "{node} does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
