//! The daemons that need no radio, apart from any run: each in a namespace of its own, where
//! nothing captures what comes. On this machine no processor is emulated either, so that a million
//! datagrams take a minute.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netlink::{Links, Namespace};

use crate::common::block_on;
use crate::network::{Nodes, Outside, wire_for_radio};
use crate::target::Target;

/// Those of `topology.yaml` that have no radio, or take any interface for one.
const NODES: [&str; 4] = ["dhcp", "wmms", "client", "er1"];
/// Longest wait for a daemon that starts.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a node's daemon can do without a run.
pub fn has(node: &str) -> bool {
    NODES.contains(&node)
}

/// Sends `count` datagrams to each of `targets`, which are ports of these daemons of the command
/// `wpanlab`. Needs root.
pub fn attack_all(wpanlab: &str, targets: &[Target], count: u64) {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.yaml");
    fs::write(&plan, plan_of(&crate::topology(Duration::from_secs(1)))).unwrap();
    let (mut nodes, mut daemons) = (Nodes::default(), Vec::new());
    let neighbour = Namespace::create().unwrap();
    for node in NODES {
        let namespace = Namespace::create().unwrap();
        if node == "er1" {
            block_on(wire_for_radio(&namespace, &neighbour));
        }
        let daemon = Daemon::start(wpanlab, node, &namespace, &plan);
        nodes.add(node, daemon.child.id() as i32);
        daemons.push(daemon);
    }
    nodes.add_neighbour("sensor", neighbour);
    let outside = Outside::open(nodes, targets);
    for target in targets {
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
    /// Starts it in `namespace`, its log beside its plan, and waits for its sockets.
    fn start(wpanlab: &str, node: &'static str, namespace: &Namespace, plan: &Path) -> Daemon {
        block_on(async {
            let links = Links::connect(namespace).await.unwrap();
            links.up(links.index("lo").await.unwrap()).await.unwrap();
        });
        let log = File::create(plan.with_file_name(node)).unwrap();
        let start = || {
            Command::new(wpanlab)
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
        // A client says that it is ready once it is registered, which it is not here.
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
