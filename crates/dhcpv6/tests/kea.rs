//! Client and relay agent against a real kea-dhcp6 on the loopback interface.
//!
//! Needs the Debian package `kea-dhcp6-server` and IPv6 on `lo`; no privileges. The tests fail
//! where it is absent. Sockets are real, the clock of the client is not: it stands still until
//! a timeout is wanted.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dhcpv6::client::{self, Lease};
use dhcpv6::{Client, Duid, Event, Relay, relay};
use machine::Machine;
use tempfile::TempDir;
use units::{Eui64, Seed, SimTime};

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two links; the second allows rapid commit and announces preference 255.
const CONFIG: &str = r#"{"Dhcp6": {
    "interfaces-config": {"interfaces": ["lo/::1"]},
    "lease-database": {"type": "memfile", "persist": false},
    "server-id": {"type": "LL", "htype": 27, "identifier": "02005e10000000ff", "persist": false},
    "preferred-lifetime": 300, "valid-lifetime": 600,
    "renew-timer": 100, "rebind-timer": 200,
    "subnet6": [
        {"subnet": "2001:db8:1::/64", "id": 1,
         "pools": [{"pool": "2001:db8:1::100-2001:db8:1::1ff"}]},
        {"subnet": "2001:db8:2::/64", "id": 2, "rapid-commit": true,
         "pools": [{"pool": "2001:db8:2::100-2001:db8:2::1ff"}],
         "option-data": [{"name": "preference", "data": "255", "always-send": true}]}
    ],
    "loggers": [{"name": "kea-dhcp6", "severity": "INFO",
                 "output_options": [{"output": "stdout", "flush": true}]}]
}}"#;

/// A kea that answers relay agents at `socket`, and dies with this value.
struct Kea {
    child: Child,
    address: SocketAddr,
    socket: UdpSocket,
    _log: BufReader<Box<dyn Read>>,
    _dir: TempDir,
}

impl Kea {
    fn start() -> Kea {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("kea.json");
        std::fs::write(&config, CONFIG).unwrap();
        let bind = || UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("IPv6 on the loopback");
        let socket = bind();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // A port that was free a moment ago: kea cannot be handed a socket.
        let address = bind().local_addr().unwrap();
        // With -P it answers there instead of at port 546 or 547.
        let mut child = Command::new("kea-dhcp6")
            .arg("-c")
            .arg(&config)
            .args(["-p", &address.port().to_string()])
            .args(["-P", &socket.local_addr().unwrap().port().to_string()])
            .env(
                "PATH",
                "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin",
            )
            .env("KEA_PIDFILE_DIR", dir.path())
            .env("KEA_LOCKFILE_DIR", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("kea-dhcp6 starts: install the package kea-dhcp6-server");
        let stdout: Box<dyn Read> = Box::new(child.stdout.take().unwrap());
        let mut log = BufReader::new(stdout);
        let mut said = String::new();
        while !said.contains("DHCP6_STARTED") {
            let octets = log.read_line(&mut said).unwrap();
            assert!(octets > 0, "kea-dhcp6 ended before it was ready:\n{said}");
        }
        Kea {
            child,
            address,
            socket,
            _log: log,
            _dir: dir,
        }
    }

    /// Sends what the client has to send through `agents`, nearest to the client first, and
    /// hands it the answer.
    fn exchange(&self, client: &mut Client, now: SimTime, agents: &[Relay]) {
        let mut payload = client.poll_transmit().expect("something to send").payload;
        for agent in agents {
            payload = agent.forward(NODE_ADDRESS, &payload).unwrap();
        }
        self.socket.send_to(&payload, self.address).unwrap();
        let mut buffer = [0; 1500];
        let length = self.socket.recv(&mut buffer).expect("kea answers");
        let mut answer = buffer[..length].to_vec();
        for agent in agents.iter().rev() {
            let unwrapped = relay::unwrap_reply(&answer).unwrap();
            assert_eq!(*unwrapped.transmit.to.ip(), NODE_ADDRESS);
            assert_eq!(unwrapped.interface_id, agent.interface_id);
            assert_eq!(unwrapped.link_address, agent.link_address);
            answer = unwrapped.transmit.payload;
        }
        let from = SocketAddrV6::new(NODE_ADDRESS, 547, 0, 0);
        client.handle_datagram(now, from, &answer).unwrap();
    }
}

impl Drop for Kea {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const NODE_ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5e10, 0, 1);

fn agent(link: u16) -> Relay {
    Relay {
        link_address: Ipv6Addr::new(0x2001, 0xdb8, link, 0, 0, 0, 0, 1),
        interface_id: Some(b"lowpan0".to_vec()),
    }
}

fn client(n: u8, rapid_commit: bool) -> Client {
    let duid = Duid::link_layer(Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, n]));
    let config = client::Config {
        rapid_commit,
        solicit_max_delay: Duration::ZERO,
        ..client::Config::new(duid, 1)
    };
    Client::new(config, Seed(n.into()).rng(&["client"])).unwrap()
}

fn bound(client: &mut Client, link: u16) -> Lease {
    let Some(Event::Bound(lease)) = client.poll_event() else {
        panic!("not bound: {client:?}");
    };
    assert_eq!(lease.address.segments()[..4], [0x2001, 0xdb8, link, 0]);
    assert_eq!(
        lease.server,
        Duid::link_layer(Eui64([2, 0, 0x5e, 0x10, 0, 0, 0, 0xff]))
    );
    let seconds = |lease: &Lease| {
        [lease.t1, lease.t2, lease.preferred, lease.valid].map(|time| time.as_secs())
    };
    assert_eq!(seconds(&lease), [100, 200, 300, 600]);
    lease
}

#[test]
fn a_lease_is_got_in_four_messages_kept_and_given_back() {
    let kea = Kea::start();
    let mut client = client(1, false);
    let mut now = SimTime::ZERO;
    client.start(now);
    kea.exchange(&mut client, now, &[agent(1)]);
    // No preference was announced: the first timeout ends the wait for other servers.
    now = client.poll_timeout().unwrap();
    client.handle_timeout(now);
    kea.exchange(&mut client, now, &[agent(1)]);
    let first = bound(&mut client, 1);
    for what in ["renewed", "rebound"] {
        now = client.poll_timeout().unwrap();
        client.handle_timeout(now);
        if what == "rebound" {
            // The Renew is lost: T2 comes.
            client.poll_transmit().unwrap();
            now += Duration::from_secs(100);
            client.handle_timeout(now);
        }
        kea.exchange(&mut client, now, &[agent(1)]);
        assert_eq!(bound(&mut client, 1), first, "{what}");
    }
    client.release(now);
    kea.exchange(&mut client, now, &[agent(1)]);
    let address = first.address;
    assert_eq!(client.poll_event(), Some(Event::Released { address }));
}

#[test]
fn two_messages_suffice_with_rapid_commit_and_preference_255_is_taken_at_once() {
    let kea = Kea::start();
    let mut rapid = client(1, true);
    rapid.start(SimTime::ZERO);
    kea.exchange(&mut rapid, SimTime::ZERO, &[agent(2)]);
    let first = bound(&mut rapid, 2);
    let mut usual = client(2, false);
    usual.start(SimTime::ZERO);
    kea.exchange(&mut usual, SimTime::ZERO, &[agent(2)]);
    kea.exchange(&mut usual, SimTime::ZERO, &[agent(2)]);
    let second = bound(&mut usual, 2);
    assert_ne!(first.address, second.address);
}

#[test]
fn an_address_is_got_through_two_relay_agents() {
    let kea = Kea::start();
    let mut client = client(1, true);
    client.start(SimTime::ZERO);
    kea.exchange(&mut client, SimTime::ZERO, &[agent(2), agent(1)]);
    bound(&mut client, 2);
}

#[test]
fn a_declined_address_is_replaced() {
    let kea = Kea::start();
    let mut client = client(1, true);
    let now = SimTime::ZERO;
    client.start(now);
    kea.exchange(&mut client, now, &[agent(2)]);
    let first = bound(&mut client, 2);
    client.decline(now);
    kea.exchange(&mut client, now, &[agent(2)]);
    kea.exchange(&mut client, now, &[agent(2)]);
    assert_ne!(bound(&mut client, 2).address, first.address);
}
