//! What a handover costs in messages.

use super::*;
use coap::wire::{Message, Token};
use coap::{Code, Options, Request};
use etherparse::{EtherType, Ethernet2Header, PacketBuilder};
use measure::signalling::{Cost, Protocol};

const P_ADDR_OPTION: u16 = 2049;
const LINK_LOCAL_ROUTER: &str = "fe80::1";

/// IP packets as the interfaces see them, by file name.
pub(super) struct Network {
    pub(super) plan: Plan,
    pub(super) seen: Vec<(String, Packet)>,
}

impl Network {
    /// The node's own packets, over the air.
    pub(super) fn air(&mut self, us: u64, packet: &[u8]) {
        let packet = Packet::new(0, crate::common::at(us), packet.to_vec());
        self.seen.push(("sensor.lowpan0".into(), packet));
    }

    /// A packet between two nodes on the backbone, seen by both.
    pub(super) fn wired(&mut self, us: u64, from: &str, to: &str, packet: &[u8]) {
        let mac = |node: &str| self.plan.nodes[node].backbone.as_ref().unwrap().mac.0;
        let header = Ethernet2Header {
            source: mac(from),
            destination: mac(to),
            ether_type: EtherType::IPV6,
        };
        let frame = [&header.to_bytes()[..], packet].concat();
        for node in [from, to] {
            let packet = Packet::new(0, crate::common::at(us), frame.clone());
            self.seen.push((format!("{node}.eth0"), packet));
        }
    }

    /// Both, by way of the new router.
    fn through(&mut self, us: u64, to: &str, packet: &[u8]) {
        self.air(us, packet);
        self.wired(us + 1000, "er2", to, packet);
    }

    fn back(&mut self, us: u64, from: &str, packet: &[u8]) {
        self.wired(us, from, "er2", packet);
        self.air(us + 1000, packet);
    }

    /// The capture of every interface.
    pub(super) fn write(&self, dir: &RunDir) {
        let wired = |name: &str| (format!("{name}.eth0"), LinkType::ETHERNET);
        let radio = |name: &str| (format!("{name}.lowpan0"), LinkType::RAW);
        let files = self.plan.nodes.iter().flat_map(|(name, node)| {
            let wired = node.backbone.as_ref().map(|_| wired(name));
            wired
                .into_iter()
                .chain(node.host.as_ref().map(|_| radio(name)))
        });
        for (file, link) in files {
            let of_file = self.seen.iter().filter(|(name, _)| *name == file);
            let mut packets: Vec<Packet> = of_file.map(|(_, packet)| packet.clone()).collect();
            packets.sort_by_key(|packet| packet.time);
            let capture = Capture {
                interfaces: vec![Interface::new(&file, link)],
                packets,
                ..Capture::default()
            };
            write_capture(&dir.captures().join(format!("{file}.pcapng")), &capture);
        }
    }
}

/// ICMPv6 between the node and its router.
fn icmpv6(from: &str, to: &str, kind: u8) -> Vec<u8> {
    let (from, to): (std::net::Ipv6Addr, std::net::Ipv6Addr) =
        (from.parse().unwrap(), to.parse().unwrap());
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv6(from.octets(), to.octets(), 255);
    let builder = builder.icmpv6_raw(kind, 0, [0; 4]);
    builder.write(&mut packet, &[0; 8]).unwrap();
    packet
}

/// A confirmable CoMP request that names the node.
fn update(message_id: u16) -> Message {
    let mut request = Request::new(Code::PUT, "/comp");
    let p_addr: std::net::Ipv6Addr = P_ADDR.parse().unwrap();
    request.options.push(P_ADDR_OPTION, p_addr.octets());
    Message {
        kind: Kind::Confirmable,
        code: request.method,
        message_id,
        token: Token::new(&[message_id as u8]).unwrap(),
        options: request.options,
        payload: Vec::new(),
    }
}

/// Its answer.
fn changed(kind: Kind, message_id: u16, token: u16) -> Message {
    Message {
        kind,
        code: Code::CHANGED,
        message_id,
        token: Token::new(&[token as u8]).unwrap(),
        options: Options::new(),
        payload: Vec::new(),
    }
}

fn udp(from: &str, to: &str, message: &Message) -> Vec<u8> {
    crate::common::ip_packet(from, to, &message.encode())
}

/// A relayed DHCPv6 message: type, hop count, link-address, peer-address (RFC 8415 §9).
fn relayed(kind: u8, peer: std::net::Ipv6Addr) -> Vec<u8> {
    [&[kind, 0][..], &[0; 16], &peer.octets(), &[0; 20]].concat()
}

#[test]
fn the_messages_of_a_handover_count_once_over_the_air_and_once_on_the_wire() {
    let plan = plan();
    let (client, wmms) = (client_address(&plan), "[2001:db8::77]:5683");
    let own = plan.nodes["sensor"]
        .radio
        .as_ref()
        .unwrap()
        .eui64
        .link_local();
    let mut network = Network {
        plan,
        seen: Vec::new(),
    };
    let node = own.to_string();
    let (from, to) = (format!("[{own}]:546"), format!("[{LINK_LOCAL_ROUTER}]:547"));

    // Before the trigger: none of this handover's.
    network.air(20_000, &icmpv6(LINK_LOCAL_ROUTER, &node, 134));
    // Router solicitation and advertisement; an echo request is neither.
    let solicitation = icmpv6(&node, LINK_LOCAL_ROUTER, 133);
    network.air(58_000, &solicitation);
    network.air(59_000, &icmpv6(LINK_LOCAL_ROUTER, &node, 134));
    network.air(59_500, &icmpv6(LINK_LOCAL_ROUTER, &node, 128));
    // DHCPv6, relayed.
    let solicit = crate::common::ip_packet(&from, &to, &[1; 30]);
    network.air(60_000, &solicit);
    let (er2, dhcp) = ("[2001:db8::4]:547", "[2001:db8::2]:547");
    let forward = crate::common::ip_packet(er2, dhcp, &relayed(12, own));
    network.wired(61_000, "er2", "dhcp", &forward);
    network.wired(
        62_000,
        "dhcp",
        "er2",
        &crate::common::ip_packet(dhcp, er2, &relayed(13, own)),
    );
    // Another node's exchange at the same time.
    let other = crate::common::ip_packet(er2, dhcp, &relayed(12, "fe80::99".parse().unwrap()));
    network.wired(62_500, "er2", "dhcp", &other);
    network.air(63_000, &crate::common::ip_packet(&to, &from, &[7; 40]));
    // A binding update, acknowledged at once; what the WMMS passes on has a separate response.
    let binding = udp(NEW, wmms, &update(1));
    network.through(64_000, "wmms", &binding);
    let notice = udp(wmms, &client, &update(2));
    network.wired(66_000, "wmms", "client", &notice);
    let empty = |id| Message::empty(Kind::Acknowledgement, id);
    network.wired(67_000, "client", "wmms", &udp(&client, wmms, &empty(2)));
    let separate = changed(Kind::Confirmable, 900, 2);
    network.wired(68_000, "client", "wmms", &udp(&client, wmms, &separate));
    network.wired(69_000, "wmms", "client", &udp(wmms, &client, &empty(900)));
    network.back(
        70_000,
        "wmms",
        &udp(wmms, NEW, &changed(Kind::Acknowledgement, 1, 1)),
    );
    // A poll is no signalling.
    network.back(
        75_000,
        "client",
        &udp(&client, NEW, &get(Kind::Confirmable, 9, 9, "/t")),
    );

    let root = tempfile::tempdir().unwrap();
    let dir = run_directory(root.path(), &network.plan, &events(), &Wire::new());
    network.write(&dir);
    let result = measure::run_dir(&dir).unwrap();
    let signalling = result.handovers[0].signalling.as_ref().unwrap();
    let cost = |messages: u64, bytes: usize| Cost {
        messages,
        bytes: bytes as u64,
    };
    let protocol = Protocol::named;
    let acknowledgement = 40 + 8 + 4 + 1;
    let air = [
        (protocol("comp"), cost(2, binding.len() + acknowledgement)),
        (protocol("dhcpv6"), cost(2, solicit.len() + 40 + 8 + 40)),
        (
            protocol("neighbour_discovery"),
            cost(2, 2 * solicitation.len()),
        ),
    ];
    assert_eq!(signalling.air, air.into());
    let empties = 2 * (40 + 8 + 4);
    let comp = binding.len() + notice.len() + empties + 2 * acknowledgement;
    let wired = [
        (protocol("comp"), cost(6, comp)),
        (protocol("dhcpv6"), cost(2, 2 * forward.len())),
    ];
    assert_eq!(signalling.wired, wired.into());
    let messages = |name: &str| {
        let of_protocol = &signalling.by_message[&protocol(name)];
        let sides = of_protocol.iter();
        let sides = sides.map(|(name, s)| (name.as_str(), s.air.messages, s.wired.messages));
        sides.collect::<Vec<_>>()
    };
    assert_eq!(messages("comp"), [("request", 2, 6)]);
    assert_eq!(
        messages("dhcpv6"),
        [
            ("relay-forward", 0, 1),
            ("relay-reply", 0, 1),
            ("reply", 1, 0),
            ("solicit", 1, 0)
        ]
    );
    assert_eq!(result.overhead, []);
    assert!(text::summary(&result).contains("signalling: air 6 messages, "));
}

#[test]
fn without_the_capture_of_a_radio_the_cost_is_not_known() {
    let plan = plan();
    let (_root, dir, result) = measure(&plan, &events(), &polls(&client_address(&plan)));
    assert!(!dir.capture("sensor", "lowpan0").exists());
    assert_eq!(result.handovers[0].signalling, None);
}
