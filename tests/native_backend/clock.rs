//! A host whose clock is set, forwards and backwards.

use std::fs;
use std::net::{Ipv6Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coap::wire::{Message, Token};
use coap::{Code, Kind};
use comp::codec::{self, Lifetime, Location};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

use super::{NATIVE, Run, command, said, wait_until, wpanlab};

const DAY: Duration = Duration::from_secs(86_400);
const P: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5);
/// Of a node that registers for a few seconds.
const SHORT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 6);
const T: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 5);

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

fn set_wall(to: Duration) {
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from_duration(to)).unwrap();
}

/// A WMMS that is no part of a run; dropped, it is killed.
struct Wmms {
    daemon: Child,
    socket: UdpSocket,
    message_id: u16,
}

impl Wmms {
    fn start() -> Wmms {
        let topology = "/tmp/clock.yaml";
        fs::write(topology, NATIVE).unwrap();
        let plan = wpanlab(&["plan", topology]);
        assert!(plan.status.success(), "{}", said(&plan));
        fs::write("/tmp/clock.plan.yaml", &plan.stdout).unwrap();
        let arguments = ["node", "--plan", "/tmp/clock.plan.yaml"];
        let mut daemon: Command = command(&arguments);
        let daemon = daemon.args(["--state", "/tmp/clock.state", "wmms"]);
        let daemon = daemon.stdout(Stdio::null()).spawn().unwrap();
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        socket.connect("[::1]:5683").unwrap();
        let wait = Some(Duration::from_millis(500));
        socket.set_read_timeout(wait).unwrap();
        Wmms {
            daemon,
            socket,
            message_id: 0,
        }
    }

    /// kill -9, and another life.
    fn restart(self) -> Wmms {
        drop(self);
        Wmms::start()
    }

    fn register(&mut self, p_addr: Ipv6Addr, lifetime: Lifetime) {
        let registered = self.ask(&codec::Command::Registration {
            p_addr,
            t_addr: T,
            lifetime,
        });
        assert_eq!(registered.code, Code::CREATED);
    }

    /// Asks until it is answered.
    fn ask(&mut self, command: &codec::Command) -> Message {
        self.message_id += 1;
        let request = command.numbered(None);
        let message = Message {
            kind: Kind::Confirmable,
            code: request.method,
            message_id: self.message_id,
            token: Token::EMPTY,
            options: request.options,
            payload: request.payload,
        };
        let mut answer = None;
        wait_until("the WMMS answers", || {
            // Nobody may listen yet.
            let _ = self.socket.send(&message.encode());
            let mut bytes = [0; 1024];
            let length = self.socket.recv(&mut bytes).ok();
            answer = length.map(|length| Message::decode(&bytes[..length]).unwrap());
            answer.is_some()
        });
        answer.unwrap()
    }

    /// What is left of a node's lifetime.
    fn lifetime(&mut self, p_addr: Ipv6Addr) -> Option<Lifetime> {
        let found = self.ask(&codec::Command::Discovery { p_addr });
        let response = coap::Response {
            options: found.options,
            ..coap::Response::new(found.code)
        };
        let location = Location::parse(&response).ok();
        assert_eq!(location.is_some(), found.code == Code::CONTENT);
        location.map(|location| location.lifetime)
    }
}

impl Drop for Wmms {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

pub fn a_daemon_on_a_host_whose_clock_is_set_ends_no_lifetime_early_or_late() {
    let mut wmms = Wmms::start();
    wmms.register(P, Lifetime(60));
    let (origin, began) = (wall(), Instant::now());
    set_wall(origin + DAY);
    let left = wmms.lifetime(P).expect("it has not ended");
    assert!((50..=60).contains(&left.0), "{left:?}");
    // What is written from now on another life reads by the clock as it is.
    wmms.register(P, Lifetime(60));
    let mut wmms = wmms.restart();
    let left = wmms.lifetime(P).expect("it has not ended");
    assert!((50..=60).contains(&left.0), "{left:?}");
    let lifetime = Duration::from_secs(5);
    wmms.register(SHORT, Lifetime(5));
    let registered = Instant::now();
    set_wall(origin - DAY);
    let left = wmms.lifetime(P).expect("it has not ended");
    assert!((50..=60).contains(&left.0), "{left:?}");
    wait_until("the lifetime ends", || wmms.lifetime(SHORT).is_none());
    // It was registered some milliseconds before that was answered.
    assert!(registered.elapsed() > lifetime - Duration::from_secs(1));
    assert!(wmms.lifetime(P).is_some(), "it has not ended");
    set_wall(origin + began.elapsed());
}

pub fn a_run_during_which_the_hosts_clock_is_set_says_so() {
    let mut run = Run::start("clock", NATIVE);
    run.wait_until_it_plays();
    std::thread::sleep(Duration::from_secs(1));
    let origin = wall();
    set_wall(origin + Duration::from_secs(5));
    let output = run.end();
    set_wall(wall() - Duration::from_secs(5));
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains("the host's clock was set by 5.0 s"),
        "{}",
        said(&output)
    );
}
