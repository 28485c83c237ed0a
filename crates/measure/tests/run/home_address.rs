//! A node that keeps its home address: phases, signalling by message, and what its tunnels cost.

use std::net::Ipv6Addr;

use super::signalling::Network;
use super::*;
use measure::attachment::By;
use measure::signalling::{Headers as Extra, Protocol};
use mip6::Headers;
use mip6::codec::{BindingAcknowledgement, BindingUpdate, Lifetime, Message, MobilityOption};
use mip6::headers::{MOBILITY_HEADER, home_address_header, routing_header};
use mip6::rr::Cookie;

const HERE: &str = "2001:db8:1::5";
const THERE: &str = "2001:db8:2::5";

fn home_plan() -> Plan {
    let text = "\
version: 1
name: home
nodes:
  er1: { role: edge-router }
  er2: { role: edge-router }
  ha: { role: home-agent }
  sensor:
    role: mobile-node
    attached_to: er1
    mobility: mipv6-ro
    mipv6: { home_address: \"2001:db8:a000::5\" }
    resources: [{ path: /t, size: 16 B }]
  client:
    role: client
    mobility: none
    polls: [{ node: sensor, path: /t, every: 10 ms }]
    services: [{ correspondent: {} }]
scenario: { duration: 30 s, steps: [] }
expect: { handovers: 1, lost: 0 }
";
    let overrides = topology::Overrides::default();
    topology::load("home.yaml", text, overrides).unwrap_or_else(|e| panic!("{e}"))
}

fn phase(us: u64, name: &'static str, starts: bool) -> Event {
    let (handover, phase) = (1, Phase::named(name));
    let kind = match starts {
        true => HandoverEvent::PhaseStarted { handover, phase },
        false => HandoverEvent::PhaseEnded { handover, phase },
    };
    event(us, "sensor", kind)
}

fn home_events(home: Ipv6Addr) -> Vec<Event> {
    let registered = BindingEvent::Registered {
        p_addr: home,
        t_addr: HERE.parse().unwrap(),
    };
    let started = HandoverEvent::Started {
        handover: 1,
        from: "er1".into(),
        reason: Reason::Signal,
    };
    let completed = HandoverEvent::Completed {
        handover: 1,
        to: "er2".into(),
        t_addr: THERE.parse().unwrap(),
    };
    vec![
        event(0, "sensor", registered),
        event(0, SCENARIO, EventKind::ScenarioStarted),
        event(52_000, "sensor", started),
        phase(52_000, "link", true),
        phase(57_000, "link", false),
        phase(57_000, "home_registration", true),
        phase(57_000, "return_routability", true),
        phase(61_000, "home_registration", false),
        phase(65_000, "return_routability", false),
        phase(65_000, "correspondent_registration", true),
        phase(69_000, "correspondent_registration", false),
        event(69_000, "sensor", completed),
    ]
}

/// Where CoAP is spoken at an address.
fn coap(address: Ipv6Addr) -> String {
    format!("[{address}]:5683")
}

/// An IPv6 packet with `payload` of this kind.
fn ipv6(from: Ipv6Addr, to: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], next, 64];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

/// A Mobility Header with what is around it.
fn mobility(headers: &Headers, message: &Message) -> Vec<u8> {
    let octets = message.encode(headers).unwrap();
    let (from, to) = (headers.source, headers.destination);
    match (headers.home_address, headers.routing) {
        (Some(home), _) => {
            let option = home_address_header(MOBILITY_HEADER, home);
            ipv6(from, to, 60, &[&option[..], &octets].concat())
        }
        (_, Some(home)) => {
            let routing = routing_header(MOBILITY_HEADER, home);
            ipv6(from, to, 43, &[&routing[..], &octets].concat())
        }
        _ => ipv6(from, to, MOBILITY_HEADER, &octets),
    }
}

/// The network with its addresses.
struct Home {
    network: Network,
    home: Ipv6Addr,
    agent: Ipv6Addr,
    client: Ipv6Addr,
}

impl Home {
    fn new() -> Home {
        let plan = home_plan();
        Home {
            home: plan.nodes["sensor"].address,
            agent: plan.nodes["ha"].address,
            client: plan.nodes["client"].address,
            network: Network {
                plan,
                seen: Vec::new(),
            },
        }
    }

    /// A request, as far as the home agent.
    fn ask(&mut self, us: u64, id: u16) -> Vec<u8> {
        let get = get(Kind::NonConfirmable, id, id as u8, "/t").encode();
        let request = crate::common::ip_packet(&coap(self.client), &coap(self.home), &get);
        self.network.wired(us, "client", "ha", &request);
        request
    }

    /// A request and its answer 4 ms later, through the home agent and its tunnel to `care_of`.
    fn poll(&mut self, us: u64, id: u16, care_of: &str, router: &str) {
        let (care_of, agent) = (care_of.parse().unwrap(), self.agent);
        let (client, home) = (coap(self.client), coap(self.home));
        let request = self.ask(us, id);
        let content = content(Kind::NonConfirmable, 900 + id, id as u8).encode();
        let answer = crate::common::ip_packet(&home, &client, &content);
        let network = &mut self.network;
        let inside = ipv6(agent, care_of, 41, &request);
        network.wired(us + 1000, "ha", router, &inside);
        network.air(us + 2000, &inside);
        let back = ipv6(care_of, agent, 41, &answer);
        network.air(us + 2000, &back);
        network.wired(us + 3000, router, "ha", &back);
        network.wired(us + 4000, "ha", "client", &answer);
    }

    /// What the node sends to the home agent, or to the client through the tunnel to it.
    fn up(&mut self, us: u64, peer: &str, packet: &[u8]) {
        self.network.air(us, packet);
        self.network.wired(us + 1000, "er2", peer, packet);
    }

    fn register(&mut self, us: u64) {
        let there: Ipv6Addr = THERE.parse().unwrap();
        let to_agent = Headers::between(there, self.agent).from_home(self.home);
        let update = Message::BindingUpdate(BindingUpdate {
            acknowledge: true,
            home_registration: true,
            lifetime: Lifetime(900),
            options: vec![MobilityOption::AlternateCareOf(there)],
            ..BindingUpdate::default()
        });
        self.up(us, "ha", &mobility(&to_agent, &update));
        let init = Message::HomeTestInit {
            cookie: Cookie([7; 8]),
        };
        let test = mobility(&Headers::between(self.home, self.client), &init);
        self.up(us, "ha", &ipv6(there, self.agent, 41, &test));
        // Behind the tunnel's end.
        self.network.wired(us + 2000, "ha", "client", &test);
        let answer = Message::BindingAcknowledgement(BindingAcknowledgement {
            lifetime: Lifetime(900),
            ..BindingAcknowledgement::default()
        });
        let from_agent = Headers::between(self.agent, there).to_home(self.home);
        let answer = mobility(&from_agent, &answer);
        self.network.wired(us + 2000, "ha", "er2", &answer);
        self.network.air(us + 3000, &answer);
    }

    fn measure(&self) -> RunResult {
        let root = tempfile::tempdir().unwrap();
        let (plan, events) = (&self.network.plan, home_events(self.home));
        let dir = run_directory(root.path(), plan, &events, &Wire::new());
        self.network.write(&dir);
        measure::run_dir(&dir).unwrap()
    }
}

#[test]
fn a_handover_under_a_home_address_has_its_delay_its_phases_and_its_messages() {
    let mut net = Home::new();
    for n in 0..5_u16 {
        let us = u64::from(n) * 10_000;
        net.poll(us, 100 + n, HERE, "er1");
        net.poll(us + 90_000, 110 + n, THERE, "er2");
    }
    for n in 5..9_u16 {
        net.ask(u64::from(n) * 10_000, 100 + n);
    }
    net.register(57_000);
    let result = net.measure();
    let [handover] = &result.handovers[..] else {
        panic!("{:?}", result.handovers);
    };
    assert_eq!(handover.by, By::Events);
    // From the answer at 44 ms to the one at 94 ms.
    assert_eq!(handover.delay_s, Some(0.05));
    assert_eq!(handover.lost_message_ids, [105, 106, 107, 108]);
    let phases = handover.phases.iter();
    let phases: Vec<(&str, f64)> = phases.map(|(phase, s)| (phase.name(), *s)).collect();
    let expected = [
        ("link", 0.005),
        ("home_registration", 0.004),
        ("return_routability", 0.008),
        ("correspondent_registration", 0.004),
    ];
    assert_eq!(phases, expected);
    let signalling = handover.signalling.as_ref().unwrap();
    let by_message = &signalling.by_message[&Protocol::named("mobile_ipv6")];
    let costs = by_message.iter().map(|(name, s)| {
        let [air, wired] = [s.air, s.wired].map(|cost| (cost.messages, cost.bytes));
        (name.as_str(), air, wired)
    });
    let expected = [
        ("home binding acknowledgement", (1, 80), (1, 80)),
        ("home binding update", (1, 96), (1, 96)),
        // In the tunnel, and behind it once more.
        ("home test init", (1, 96), (2, 96 + 56)),
    ];
    assert_eq!(costs.collect::<Vec<_>>(), expected);
    assert!(result.notes.is_empty(), "{:?}", result.notes);
}

#[test]
fn what_tunnels_cost_is_told_by_node_side_and_request() {
    let mut net = Home::new();
    for n in 0..10_u16 {
        net.poll(u64::from(n) * 10_000, 100 + n, HERE, "er1");
    }
    let result = net.measure();
    let [overhead] = &result.overhead[..] else {
        panic!("{:?}", result.overhead);
    };
    assert_eq!(overhead.node, "sensor");
    let each = Extra {
        messages: 20,
        bytes: 20 * 40,
    };
    assert_eq!((overhead.air, overhead.wired), (each, each));
    assert_eq!(overhead.air_bytes_per_request, Some(80.0));
    assert_eq!(overhead.wired_bytes_per_request, Some(80.0));
}

/// As below a mobility anchor point.
#[test]
fn a_packet_that_goes_through_two_tunnels_counts_in_both_and_is_still_of_one_request() {
    let mut net = Home::new();
    for n in 0..10_u16 {
        net.poll(u64::from(n) * 10_000, 100 + n, HERE, "er1");
    }
    let tunnelled = |(link, packet): &(String, Packet)| {
        let is_ipv6_in_ipv6 = packet.data.get(20) == Some(&41);
        (is_ipv6_in_ipv6 && link.ends_with("eth0")).then(|| (link.clone(), packet.clone()))
    };
    let again: Vec<_> = net.network.seen.iter().filter_map(tunnelled).collect();
    net.network.seen.extend(again);
    let result = net.measure();
    let [overhead] = &result.overhead[..] else {
        panic!("{:?}", result.overhead);
    };
    assert_eq!((overhead.air.messages, overhead.wired.messages), (20, 40));
    assert_eq!(overhead.air_bytes_per_request, Some(80.0));
    assert_eq!(overhead.wired_bytes_per_request, Some(160.0));
}

#[test]
fn a_wrong_checksum_is_noted_with_the_interfaces_that_saw_it() {
    let mut net = Home::new();
    net.register(57_000);
    for (_, packet) in &mut net.network.seen {
        let at = packet.data.len() - 1;
        packet.data[at] ^= 1;
    }
    let result = net.measure();
    let wrong = "with a wrong checksum";
    let noted = result.notes.iter().filter(|note| note.contains(wrong));
    let noted: Vec<&str> = noted.map(String::as_str).collect();
    assert_eq!(
        noted,
        [
            "capture of client.eth0: 1 Mobility Header with a wrong checksum",
            "capture of er2.eth0: 3 Mobility Headers with a wrong checksum",
            "capture of ha.eth0: 4 Mobility Headers with a wrong checksum",
            "capture of sensor.lowpan0: 3 Mobility Headers with a wrong checksum",
        ]
    );
}

/// Over a long way back the client still gets what was sent before the node left, for longer than the
/// handover takes, and in the middle of that a pause that is none of its.
#[test]
fn the_pause_of_a_handover_is_the_one_that_its_way_back_lets_the_client_see() {
    // One way is as long as the handover takes, or much longer.
    for (way, lost) in [(20_000, 16..38), (45_000, 4..26)] {
        let mut net = Home::new();
        // What is asked every 2 ms is answered but for what comes to the node from 52 to 96 ms. It is done
        // at 69 ms, until when the client hears of it as if it had never left.
        let [client, home] = [net.client, net.home].map(coap);
        for n in 0..150_u16 {
            let sent = u64::from(n) * 2_000;
            let get = get(Kind::NonConfirmable, n, n as u8, "/t").encode();
            let request = crate::common::ip_packet(&client, &home, &get);
            net.network.wired(sent, "client", "ha", &request);
            let there = sent + way;
            if (52_000..96_000).contains(&there) {
                continue;
            }
            let content = content(Kind::NonConfirmable, 900 + n, n as u8).encode();
            let answer = crate::common::ip_packet(&home, &client, &content);
            let late = if there == 40_000 { 1_500 } else { 0 };
            let back = there + way + late;
            net.network.wired(back, "ha", "client", &answer);
        }
        let result = net.measure();
        let [handover] = &result.handovers[..] else {
            panic!("{:?}", result.handovers);
        };
        assert_eq!(handover.by, By::Events);
        assert_eq!(handover.lost_message_ids, lost.collect::<Vec<u16>>());
        // From the last answer before the node left to the first one after.
        assert_eq!(handover.delay_s, Some(0.046));
    }
}
