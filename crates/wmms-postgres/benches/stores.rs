//! One load on one WMMS with different stores: `cargo bench -p wmms-postgres --bench stores`.
//!
//! The embedded store, PostgreSQL, and PostgreSQL with a synchronous standby, all in `TMPDIR`, in turns, with the
//! generator of `cargo bench -p nodes --bench wmms`. Prints updates per second.

#[path = "../examples/instance/alone.rs"]
mod alone;
#[allow(dead_code, reason = "the other benchmark and the test use the rest")]
#[path = "../../nodes/tests/wmms/load.rs"]
mod load;

use std::fs;
use std::net::{SocketAddr, SocketAddrV6, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use comp::mmt::Mmt;
use driver::{Driver, Udp};
use load::{Ask, Load, p_addr, t_addr};
use tokio::sync::mpsc::unbounded_channel;
use wmms_postgres::Settings;
use wmms_postgres::instance;
use wmms_store::{Durable, Event, Journal, Store as _, Writer as _};

type Failure = Box<dyn std::error::Error>;

/// Where the server listens. Not CoAP's port, which another may have.
const SERVER: &str = "[::1]:56830";
const PEERS: usize = 16;
/// Requests that a peer has in flight.
const WINDOWS: [usize; 2] = [16, 64];
/// Updates per measurement, and measurements of each store: they take turns.
const UPDATES: u64 = 100_000;
const ROUNDS: usize = 3;
const NODES: u64 = 10_000;
/// What a process is that has this as its first argument.
const EMBEDDED: &str = "be-embedded";
const SHARED: &str = "be-shared";
/// What does so with a database: its connection string is in the environment then.
const MEASURE: &str = "measure";

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [EMBEDDED, directory] => runtime()?.block_on(be_embedded(Path::new(directory))),
        [SHARED, settings] => {
            let settings = Settings::from_json(&fs::read_to_string(settings)?, "a")?;
            runtime()?.block_on(instance::run(&mut alone::Alone, &settings, "a"))
        }
        [MEASURE, name] => {
            let directory = tempfile::tempdir()?;
            let text = format!(
                r#"{{"postgres": "{}", "instances": {{"a": "{SERVER}"}}}}"#,
                std::env::var("WPANLAB_POSTGRES")?
            );
            let settings = directory.path().join("store.json");
            fs::write(&settings, text)?;
            measure(name, &[SHARED, settings.to_str().ok_or("a path in UTF-8")?])
        }
        // `--bench` is cargo's.
        _ => all(),
    }
}

fn all() -> Result<(), Failure> {
    println!("{UPDATES} binding updates of {NODES} nodes a figure, {PEERS} peers; updates/s");
    let own = std::env::current_exe()?;
    for _ in 0..ROUNDS {
        let directory = tempfile::tempdir()?;
        let state = directory.path().to_str().ok_or("a path in UTF-8")?;
        measure("embedded", &[EMBEDDED, state])?;
        for (name, standby) in [("PostgreSQL", None), ("with a standby", Some("--standby"))] {
            let directory = tempfile::tempdir()?;
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/failover");
            let ended = Command::new(script)
                .arg("--database")
                .args(standby)
                .arg(directory.path())
                .arg(&own)
                .args([MEASURE, name])
                .status()?;
            if !ended.success() {
                return Err(format!("{name}: {ended}").into());
            }
        }
    }
    Ok(())
}

/// Loads the server that this program is with `arguments`.
fn measure(name: &str, arguments: &[&str]) -> Result<(), Failure> {
    let server = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()?;
    let _server = Ended(server);
    wait_until_ready()?;
    let any: SocketAddr = "[::1]:0".parse()?;
    print!("{name:16}");
    for window in WINDOWS {
        let mut load = Load::new(any, SERVER.parse()?, PEERS, window);
        load.run(NODES, &mut |n| Ask::Register(p_addr(n), t_addr(n)));
        let took = load.run(UPDATES, &mut |n| {
            Ask::Bind(p_addr(n % NODES), t_addr(NODES + n))
        });
        let rate = UPDATES as f64 / took.as_secs_f64();
        print!("  {} in flight: {rate:7.0}/s", PEERS * window);
    }
    println!();
    Ok(())
}

/// Waits until a node can register.
fn wait_until_ready() -> Result<(), Failure> {
    let socket = UdpSocket::bind("[::1]:0")?;
    socket.connect(SERVER)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        for n in 0..64 {
            // All shards have to be there. Refused as long as nobody listens.
            let _ = socket.send(&Ask::Register(p_addr(n), t_addr(n)).encode(n as u16, n as u32));
        }
        let mut answers = 0;
        while socket.recv(&mut [0; 64]).is_ok() {
            answers += 1;
        }
        if answers >= 64 {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err("the server does not answer".into())
}

/// Dropped, it is killed.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// The daemon's loop around its file, without a plan.
async fn be_embedded(directory: &Path) -> Result<(), Failure> {
    let mut store = Journal::open(&directory.join("wmms.redb"))?;
    let at: SocketAddrV6 = SERVER.parse()?;
    store.load(&mut Mmt::new(comp::Limits::default()))?;
    let mut writer = store.writer();
    let (groups, to_write) = mpsc::channel();
    let (done, mut results) = unbounded_channel();
    thread::spawn(move || {
        for group in to_write {
            let result = writer.commit(group);
            if done.send(result).is_err() {
                return;
            }
        }
    });
    let durable = Durable::new(alone::wmms(*at.ip(), 0), store);
    let mut coap = Driver::new(durable, Udp::bind(at)?)?;
    loop {
        tokio::select! {
            biased;
            Some(written) = results.recv() => {
                written?;
                coap.with(|durable, _| durable.written());
                if coap.machine().has_waiting() {
                    coap.take_in()?;
                }
            }
            event = coap.next_event() => {
                let mut next = Some(event?);
                while let Some(event) = next {
                    if let Event::Write(group) = event {
                        groups.send(group)?;
                    }
                    next = coap.ready_event();
                }
            }
        }
    }
}
