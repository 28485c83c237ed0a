//! The real daemon of a WMMS in a network namespace that nobody else uses.

use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use netlink::{Links, Namespace};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::process::{Pid, Signal, kill_process};

/// The daemon's address.
pub const SERVER: &str = "[::1]:5683";
/// Longest wait for a daemon that starts, or for an answer.
pub const PATIENCE: Duration = Duration::from_secs(60);

const TOPOLOGY: &str = "\
version: 1
name: store
nodes:
  er1: { role: edge-router }
  wmms:
    role: wmms
    limits:
      entries_per_source: 4000000
      discoveries_per_source: 4000000
  sensor: { role: mobile-node, attached_to: er1 }
  client: { role: client, polls: [{ node: sensor, every: 20 ms }] }
scenario: { duration: 1 s }
";

/// First argument of a process that is to be the daemon; then come its directory and its node.
const ROLE: &str = "be-the-wmms";

/// Runs the daemon, as `wpanlab node` does, if this process was started for that.
pub fn be_daemon() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ROLE) {
        return;
    }
    let state = PathBuf::from(arguments.next().expect("a directory"));
    let node = arguments.next().expect("a node");
    let ended = runtime().block_on(nodes::run(nodes::Config {
        plan: plan(),
        node,
        controlled: false,
        crashes: 0,
        interfaces: nodes::Interfaces::default(),
        signal: nodes::SignalSource::Control,
        state,
        shared: None,
    }));
    eprintln!("{ended:?}");
    std::process::exit(1);
}

/// The plan of all daemons.
pub fn plan() -> topology::Plan {
    topology::load("store.yaml", TOPOLOGY, topology::Overrides::default()).expect("a plan")
}

/// Moves this process, which has one thread, into namespaces of its own: port 5683 is free there,
/// nobody else's load disturbs it, and what it mounts nobody else sees.
pub fn isolate() {
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let other = match user.is_root() {
        true => CloneFlags::empty(),
        false => CloneFlags::CLONE_NEWUSER,
    };
    unshare(other | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .expect("namespaces: run as root, or allow unprivileged user namespaces");
    if !user.is_root() {
        // Files need an owner.
        let maps = [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("0 {user} 1")),
            ("gid_map", format!("0 {group} 1")),
        ];
        for (file, map) in maps {
            fs::write(format!("/proc/self/{file}"), map).expect("a user namespace");
        }
    }
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let none: Option<&str> = None;
    mount(none, "/", none, private, none).expect("mounts of its own");
    let loopback_up = async {
        let links = Links::connect(&Namespace::current()?).await?;
        links.up(links.index("lo").await?).await
    };
    let up: netlink::Result<()> = runtime().block_on(loopback_up);
    up.expect("take the loopback link up");
}

/// For what waits.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Waits until the server `child` at `address` answers a CoAP ping (RFC 7252 §1.2).
///
/// # Errors
/// The server has ended.
pub fn wait_until_ready(address: &str, child: &mut Child) -> Result<(), ExitStatus> {
    let began = Instant::now();
    let server: SocketAddr = address.parse().expect("an address");
    let socket = UdpSocket::bind("[::1]:0").expect("bind");
    socket.connect(server).expect("connect");
    let wait = Some(Duration::from_millis(1));
    socket.set_read_timeout(wait).expect("timeout");
    while began.elapsed() < PATIENCE {
        // Refused as long as nobody listens.
        let _ = socket.send(&[0x40, 0, 0, 1]);
        if socket.recv(&mut [0; 16]).is_ok() {
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(status);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the server at {address} does not answer after {PATIENCE:?}");
}

/// Processor time of a process so far, its own and the kernel's for it (proc(5), `stat`).
#[allow(dead_code, reason = "the benchmark's")]
pub fn cpu(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("its stat");
    let (_, after_name) = stat.rsplit_once(')').expect("a name");
    let ticks: Vec<u64> = (after_name.split_whitespace().skip(11).take(2))
        .map(|ticks| ticks.parse().expect("ticks"))
        .collect();
    // USER_HZ is 100 on every architecture of today.
    Duration::from_millis(10 * (ticks[0] + ticks[1]))
}

/// A daemon; dropped, it is killed.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
    events: PathBuf,
}

impl Daemon {
    /// Starts the WMMS with its store in `directory`.
    pub fn start(directory: &Path) -> Daemon {
        Daemon::of("wmms", directory)
    }

    /// Starts the daemon of `node`, its events in a file.
    pub fn of(node: &str, directory: &Path) -> Daemon {
        Daemon::in_file(node, directory, directory)
    }

    /// Starts the WMMS with its store in `directory`, and its log and events in `said`.
    #[allow(dead_code, reason = "the test's")]
    pub fn saying_elsewhere(directory: &Path, said: &Path) -> Daemon {
        Daemon::in_file("wmms", directory, said)
    }

    fn in_file(node: &str, directory: &Path, said: &Path) -> Daemon {
        let events = File::create(said.join("events")).expect("create a file for events");
        Daemon::spawn(node, directory, said, events.into())
    }

    /// Starts the WMMS with its events in a pipe.
    #[allow(dead_code, reason = "the test's")]
    pub fn start_unread(directory: &Path) -> (Daemon, ChildStdout) {
        let mut daemon = Daemon::spawn("wmms", directory, directory, Stdio::piped());
        let events = daemon.child.stdout.take().expect("it is piped");
        (daemon, events)
    }

    /// This program again, see [`be_daemon`], or the `wpanlab` that `WPANLAB_PROGRAM` names.
    fn spawn(node: &str, directory: &Path, said: &Path, events: Stdio) -> Daemon {
        let log = said.join("log");
        let mut command = match std::env::var_os("WPANLAB_PROGRAM") {
            None => {
                let mut own = Command::new(std::env::current_exe().expect("this program"));
                own.arg(ROLE).arg(directory);
                own
            }
            Some(program) => {
                let plan_file = directory.join("plan.json");
                fs::write(&plan_file, plan().to_json()).expect("write the plan");
                let mut other = Command::new(program);
                other.arg("node").arg("--plan").arg(plan_file);
                other.arg("--state").arg(directory);
                other
            }
        };
        let child = command
            .arg(node)
            .stdin(Stdio::null())
            .stdout(events)
            .stderr(File::create(&log).expect("create the log"))
            .spawn()
            .expect("start the daemon");
        let events = said.join("events");
        Daemon { child, log, events }
    }

    /// Bytes of its log and of its events.
    #[allow(dead_code, reason = "the test's")]
    pub fn said(&self) -> [u64; 2] {
        [&self.log, &self.events].map(|path| fs::metadata(path).expect("its output").len())
    }

    /// Waits until it answers.
    pub fn ready(&mut self) {
        if let Err(status) = wait_until_ready(SERVER, &mut self.child) {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            panic!("the daemon ended with {status}: {log}");
        }
    }

    /// Has it stand still until [`Daemon::go_on`].
    #[allow(dead_code, reason = "the test's")]
    pub fn stand_still(&self) {
        self.signal(Signal::STOP);
    }

    /// Has it go on.
    #[allow(dead_code, reason = "the test's")]
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.child.kill().expect("kill the daemon");
        self.child.wait().expect("wait for the daemon");
    }

    /// Processor time so far.
    #[allow(dead_code, reason = "the benchmark's")]
    pub fn cpu(&self) -> Duration {
        cpu(self.child.id())
    }

    /// Resident memory, bytes (`VmRSS`).
    pub fn resident(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.and_then(|kib| kib.parse::<u64>().ok()).expect("VmRSS") * 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
