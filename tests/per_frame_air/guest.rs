//! Runs of the testbed with something of the test's own beside them, in a guest of their own. For
//! a ping a `role: program` would do too, but a guest that reads the host's files has no
//! reproducible clock.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::Ipv6Addr;
use std::path::Path;
use std::time::Duration;

use driver::{Driver, Icmpv6};
use machine::{Machine, Origin, Transmit};
use netlink::Namespace;
use rundir::RunDir;
use rundir::facts::RunFacts;
use serde::{Deserialize, Serialize};
use testbed::Progress;
use topology::{Overrides, Plan};
use units::{Seed, SimTime};
use vm::{Content, GuestFile, Kernel, KernelSource, VmConfig};

use crate::board::{self, Board};
use crate::common::block_on;

/// What comes back to the host.
pub const RESULTS: &str = "/run/results";
/// The command, whose daemons the run starts.
pub const WPANLAB: &str = "/bin/wpanlab";
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
/// Hop limit of the requests.
const HOPS: u8 = 64;
/// Between a reply and the next request.
const PAUSE: Duration = Duration::from_millis(20);

/// What the host wants.
#[derive(Serialize, Deserialize)]
pub enum Job {
    Ping(Ping),
    Board(Board),
}

/// Pings during a run.
#[derive(Serialize, Deserialize)]
pub struct Ping {
    /// The resolved plan.
    plan: String,
    /// The edge router to ping from.
    from: String,
    /// The mobile node to ping.
    to: String,
    /// How often.
    count: u16,
    /// Bytes of data in each request.
    bytes: usize,
}

/// Plays the topology `text`, pings `to` from `from` meanwhile, and leaves the run directory in
/// `into`.
pub fn ping(text: &str, [from, to]: [&str; 2], count: u16, bytes: usize, into: &Path) {
    let plan = topology::load("ping", text, Overrides::default()).unwrap_or_else(|d| panic!("{d}"));
    let job = Job::Ping(Ping {
        plan: plan.to_yaml(),
        from: from.into(),
        to: to.into(),
        count,
        bytes,
    });
    run_in_vm(plan.seed, &job, into);
}

/// Has this program do `job` as a guest's `/init`, and leaves its results in `into`.
pub fn run_in_vm(seed: Seed, job: &Job, into: &Path) {
    let kernel = Kernel::locate(&KernelSource {
        explicit: std::env::var_os("WPANLAB_KERNEL").map(Into::into),
        cache: vm::default_cache(),
    })
    .unwrap();
    let mut config = VmConfig::new(kernel, std::env::current_exe().unwrap());
    config.seed = seed.0;
    config.files.push(GuestFile {
        guest_path: WPANLAB.into(),
        source: Content::Host(env!("CARGO_BIN_EXE_wpanlab").into()),
        mode: 0o755,
    });
    config.job = serde_json::to_vec(job).unwrap();
    let output = block_on(vm::run(config, |_| {})).unwrap();
    assert_eq!(output.exit_code, 0, "{}", output.console);
    output.unpack(into).unwrap();
}

/// What this program does as `/init`.
pub fn main() -> ! {
    let guest = vm::guest::setup().unwrap();
    let job: Job = serde_json::from_slice(guest.job()).unwrap();
    std::fs::create_dir_all(RESULTS).unwrap();
    let done = match &job {
        Job::Ping(ping) => run(ping),
        Job::Board(board) => board::run(board),
    };
    let code = match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error:#}");
            1
        }
    };
    guest.finish(Path::new(RESULTS), code)
}

fn run(job: &Ping) -> anyhow::Result<()> {
    let plan = Plan::from_yaml(&job.plan)?;
    let target = plan.nodes[&job.to].address;
    let mut pinging = None;
    play(&plan, &mut || {
        pinging.get_or_insert_with(|| {
            let namespace = namespace_of(&job.from);
            let (count, bytes) = (job.count, job.bytes);
            std::thread::spawn(move || namespace.run(|| block_on(pings(target, count, bytes))))
        });
    })?;
    let pinged = pinging.is_some_and(|thread| thread.is_finished());
    anyhow::ensure!(pinged, "the scenario was over before the pings");
    Ok(())
}

/// Runs `plan`; `on_scenario` is called again and again while the scenario plays.
pub fn play(plan: &Plan, on_scenario: &mut dyn FnMut()) -> anyhow::Result<()> {
    let mut progress = |progress: Progress| {
        if matches!(progress, Progress::Scenario { .. }) {
            on_scenario();
        }
    };
    let options = testbed::Options {
        run_dir: RunDir::new(RESULTS),
        binary: WPANLAB.into(),
        state_root: "/run/wpanlab".into(),
        facts: RunFacts {
            backend: "vm".into(),
            clock: "virtual".into(),
            kernel: "under test".into(),
            qemu: None,
            processor: None,
            wpanlab_version: env!("CARGO_PKG_VERSION").into(),
        },
        program_home: None,
        forwards: Vec::new(),
        kernel_ends: true,
        progress: &mut progress,
    };
    block_on(testbed::run(plan, options))
}

/// Sends echo requests and tells what replies say.
#[derive(Default)]
struct Pinger {
    out: VecDeque<Transmit<Ipv6Addr>>,
    replies: VecDeque<Vec<u8>>,
}

impl Machine for Pinger {
    type From = Origin;
    type To = Ipv6Addr;
    type Event = Vec<u8>;
    type Ignored = Infallible;

    fn handle_datagram(&mut self, _: SimTime, _: Origin, reply: &[u8]) -> Result<(), Infallible> {
        self.replies.push_back(reply.to_vec());
        Ok(())
    }
    fn handle_timeout(&mut self, _: SimTime) {}
    fn poll_transmit(&mut self) -> Option<Transmit<Ipv6Addr>> {
        self.out.pop_front()
    }
    fn poll_timeout(&self) -> Option<SimTime> {
        None
    }
    fn poll_event(&mut self) -> Option<Vec<u8>> {
        self.replies.pop_front()
    }
}

/// Pings `to` through `lowpan0`, the next time when the reply is there.
async fn pings(to: Ipv6Addr, count: u16, bytes: usize) {
    let socket = Icmpv6::open("lowpan0", &[], ECHO_REPLY, HOPS).unwrap();
    let mut pinger = Driver::new(Pinger::default(), socket).unwrap();
    for number in 0..count {
        let mut message = vec![ECHO_REQUEST, 0, 0, 0, 0, 1];
        message.extend(number.to_be_bytes());
        // Different in every place, so that fragments cannot be mistaken for one another.
        message.extend((0..bytes).map(|i| (i * 7 + usize::from(number)) as u8));
        let payload = message.clone();
        pinger.with(|pinger, _| pinger.out.push_back(Transmit { to, payload }));
        let reply = pinger.next_event().await.unwrap();
        assert_eq!(reply[4..], message[4..], "ping {number}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// The network namespace of a node, which its daemon is in.
fn namespace_of(node: &str) -> Namespace {
    let end = format!("\0{node}\0");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let daemon = processes.map(|entry| entry.path()).find(|path| {
        let arguments = std::fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).ends_with(&end)
    });
    let daemon = daemon.unwrap_or_else(|| panic!("no daemon of {node}"));
    Namespace::open(daemon.join("ns/net")).unwrap()
}
