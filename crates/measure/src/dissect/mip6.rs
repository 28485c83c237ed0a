//! Mobile IPv6 and its kin: Mobility Headers (RFC 6275, RFC 5380, RFC 5213).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use capture::decode::IpPacket;
use mip6::Headers;
use mip6::codec::{
    BindingAcknowledgement, BindingUpdate, Invalid, Lifetime, Message, MobilityOption,
};
use mip6::headers::MOBILITY_HEADER;
use units::Eui64;

use super::{Binding, Dissector, Faults, Meaning, Protocol, Seen, Standing, Subject};

pub(super) const PROTOCOL: Protocol = Protocol::new("mobile_ipv6", "Mobile IPv6");

/// Bits of a prefix that addresses are formed of (RFC 4862 §5.5.3).
const SUBNET: u8 = 64;

/// Binding Updates that are remembered for their acknowledgements in each of two generations.
const MOST_UPDATES: usize = 1 << 12;

/// What is wrong with a header, for several and for one.
const CHECKSUM: &str = "{Mobility Headers|Mobility Header} with a wrong checksum";
const UNKNOWN_TYPE: &str = "{Mobility Headers|Mobility Header} of an unknown type";
const MALFORMED: &str = "malformed {Mobility Headers|Mobility Header}";

/// MH Types that are of no RFC's (RFC 6275 §6.1) have this name.
const UNKNOWN: &str = "mobility header of an unknown type";

/// Who is told by a Binding Update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    HomeAgent,
    AnchorPoint,
    Correspondent,
    /// A local mobility anchor, by a gateway.
    ProxyAnchor,
}

impl Told {
    fn of(update: &BindingUpdate) -> Told {
        match update {
            update if update.proxy_registration => Told::ProxyAnchor,
            update if update.map_registration => Told::AnchorPoint,
            update if update.home_registration => Told::HomeAgent,
            _ => Told::Correspondent,
        }
    }

    fn update(self) -> &'static str {
        match self {
            Told::HomeAgent => "home binding update",
            Told::AnchorPoint => "local binding update",
            Told::Correspondent => "correspondent binding update",
            Told::ProxyAnchor => "proxy binding update",
        }
    }

    fn acknowledgement(self) -> &'static str {
        match self {
            Told::HomeAgent => "home binding acknowledgement",
            Told::AnchorPoint => "local binding acknowledgement",
            Told::Correspondent => "correspondent binding acknowledgement",
            Told::ProxyAnchor => "proxy binding acknowledgement",
        }
    }
}

/// Who was told by whom: peer, and home address.
type Peers = (Ipv6Addr, Ipv6Addr);

/// The dissector.
#[derive(Debug, Default)]
pub(super) struct Mip6 {
    /// Acknowledgements do not say whether they are a home agent's.
    latest: BTreeMap<Peers, Told>,
    before: BTreeMap<Peers, Told>,
    faults: Faults,
}

impl Dissector for Mip6 {
    fn read(&mut self, packet: &Seen<'_>) -> Option<Meaning> {
        let ip = packet.ip;
        let (IpAddr::V6(src), IpAddr::V6(dst)) = (ip.src, ip.dst) else {
            return None;
        };
        if ip.protocol != MOBILITY_HEADER {
            return None;
        }
        // Home addresses count for the checksum (RFC 6275 §6.1.1), and are in both already.
        let read = Message::decode(&Headers::between(src, dst), &ip.payload);
        let message = match read {
            Ok(message) => message,
            Err(fault) => return Some(self.faulty(ip, fault)),
        };
        let (name, from_node, binding) = match &message {
            Message::BindingUpdate(update) => {
                let told = Told::of(update);
                self.keep((dst, src), told);
                (told.update(), true, announced(ip, update, told))
            }
            Message::BindingAcknowledgement(answer) => {
                let told = self.told(answer, (src, dst));
                (told.acknowledgement(), false, answered(ip, answer, told))
            }
            Message::HomeTestInit { .. } => ("home test init", true, None),
            Message::CareOfTestInit { .. } => ("care-of test init", true, None),
            Message::HomeTest { .. } => ("home test", false, None),
            Message::CareOfTest { .. } => ("care-of test", false, None),
            Message::BindingError { .. } => ("binding error", false, None),
            Message::BindingRefreshRequest => ("binding refresh request", false, None),
        };
        let mut meaning = about(ip, name, from_node, binding);
        // A gateway speaks for a node, and an anchor of it.
        if let (Some(visitor), Subject::Node(node)) = (visitor(&message), &mut meaning.subject) {
            node.insert(0, IpAddr::V6(visitor));
        }
        // It goes to the address on the wire, which may be nobody's any more.
        if let (Message::BindingError { home_address, .. }, Subject::Node(node)) =
            (&message, &mut meaning.subject)
        {
            node.insert(0, IpAddr::V6(*home_address));
        }
        Some(meaning)
    }

    fn faults(&self) -> Faults {
        self.faults.clone()
    }
}

impl Mip6 {
    /// A header that says nothing that counts, counted.
    fn faulty(&mut self, ip: &IpPacket<'_>, fault: Invalid) -> Meaning {
        let what = match fault {
            // What a capture cut off is nobody's fault.
            Invalid::Truncated { .. } if ip.payload.is_cut() => None,
            Invalid::Checksum if ip.payload.is_cut() => None,
            Invalid::Checksum => Some(CHECKSUM),
            Invalid::Type(_) => Some(UNKNOWN_TYPE),
            _ => Some(MALFORMED),
        };
        if let Some(what) = what {
            *self.faults.entry(what).or_default() += 1;
        }
        let name = match (fault, ip.payload.get(2)) {
            (Invalid::Type(_), _) | (_, None) => UNKNOWN,
            (_, Some(kind)) => by_type(*kind),
        };
        about(ip, name, true, None)
    }

    fn keep(&mut self, of: Peers, told: Told) {
        if self.latest.len() >= MOST_UPDATES {
            self.before = std::mem::take(&mut self.latest);
        }
        self.latest.insert(of, told);
    }

    /// Whom `answer` is from: of an update that was not captured its flags and its authenticator tell
    /// most.
    fn told(&self, answer: &BindingAcknowledgement, of: Peers) -> Told {
        let update = self.latest.get(&of).or(self.before.get(&of)).copied();
        update.unwrap_or(match answer {
            answer if answer.proxy_registration => Told::ProxyAnchor,
            answer if answer.authenticator.is_some() => Told::Correspondent,
            _ => Told::HomeAgent,
        })
    }
}

/// A message of which only the type is known.
fn by_type(kind: u8) -> &'static str {
    match kind {
        0 => "binding refresh request",
        1 => "home test init",
        2 => "care-of test init",
        3 => "home test",
        4 => "care-of test",
        5 => "binding update",
        6 => "binding acknowledgement",
        7 => "binding error",
        _ => UNKNOWN,
    }
}

/// What `name`, sent by the node or to it, is about: its home address, or else its address on the
/// wire.
fn about(
    ip: &IpPacket<'_>,
    name: &'static str,
    from_node: bool,
    binding: Option<Binding>,
) -> Meaning {
    let (own, wire) = (ip.src, ip.header.src);
    let (peer, peer_wire) = (ip.dst, ip.header.dst);
    let node = match from_node {
        true => vec![own, wire, peer, peer_wire],
        false => vec![peer, peer_wire, own, wire],
    };
    Meaning {
        protocol: PROTOCOL,
        message: name.into(),
        subject: Subject::Node(node),
        binding,
    }
}

/// The address of the node that a proxy registration is of: what it forms of its prefix and the EUI-64 that
/// is its link-layer identifier (RFC 5213 §8.3, §8.6).
fn visitor(message: &Message) -> Option<Ipv6Addr> {
    let options = match message {
        Message::BindingUpdate(update) if update.proxy_registration => &update.options,
        Message::BindingAcknowledgement(answer) if answer.proxy_registration => &answer.options,
        _ => return None,
    };
    let prefix = options.iter().find_map(|option| match option {
        MobilityOption::HomeNetworkPrefix(prefix) => Some(*prefix),
        _ => None,
    });
    let eui64 = options.iter().find_map(|option| match option {
        MobilityOption::LinkLayerId(id) => <[u8; 8]>::try_from(&id.0[..]).ok(),
        _ => None,
    });
    let prefix = prefix.filter(|prefix| prefix.prefix_len() == SUBNET)?;
    Some(Eui64(eui64?).address_in(prefix.network()))
}

/// What an update announces: "the home address of the mobile node" is in the Home Address option, the
/// care-of address in "the Source Address field in the IPv6 header or ... the Alternate Care-of Address
/// option" (RFC 6275 §9.5.1).
fn announced(ip: &IpPacket<'_>, update: &BindingUpdate, told: Told) -> Option<Binding> {
    let alternate = update.alternate_care_of().map(IpAddr::V6);
    let care_of = alternate.unwrap_or(ip.header.src);
    // Lifetime 0 from elsewhere than home deletes a binding and makes none. A gateway speaks for a
    // prefix.
    let deletes = update.lifetime == Lifetime::ZERO && care_of != ip.src;
    (!deletes && told != Told::ProxyAnchor).then_some(Binding {
        permanent: ip.src,
        care_of,
        standing: Standing::Announced,
    })
}

/// What an acknowledgement says of the binding.
fn answered(ip: &IpPacket<'_>, answer: &BindingAcknowledgement, told: Told) -> Option<Binding> {
    (told != Told::ProxyAnchor).then_some(Binding {
        permanent: ip.dst,
        care_of: ip.header.dst,
        standing: match answer.status.is_accepted() {
            true => Standing::Accepted,
            false => Standing::Refused,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::super::{Dissectors, all};
    use super::*;

    const HOME: &str = "2001:db8:f::5";
    const AGENT: &str = "2001:db8:f::1";
    const CARE_OF: &str = "2001:db8:1::5";
    const CORRESPONDENT: &str = "2001:db8:c::1";
    const MAP: &str = "2001:db8:a::1";
    const REGIONAL: &str = "2001:db8:a::5";

    // What is behind the IPv6 header, as Scapy 2.8.0 writes it (`crates/mip6/tests/wire.rs`).
    const HOME_UPDATE: &str = "870201020000c91020010db8000f000000000000000000053b0305006e640007c00003840100031020010db8000100000000000000000005";
    const HOME_ANSWER: &str =
        "870202010000000020010db8000f000000000000000000053b0106005e4400000007038401020000";
    const OUT_OF_WINDOW: &str =
        "870202010000000020010db8000f000000000000000000053b010600dac587000009000001020000";
    const AT_HOME: &str = "3b03050071d90008c00000000100031020010db8000f00000000000000000005";
    const HOME_TEST_INIT: &str = "3b01010057c000000102030405060708";
    const CARE_OF_TEST_INIT: &str = "3b010200168e00001112131415161718";
    const HOME_TEST: &str = "3b020300c51f000301020304050607082122232425262728";
    const CARE_OF_TEST: &str = "3b02040043ac000411121314151617183132333435363738";
    const UPDATE: &str = "870201020000c91020010db8000f000000000000000000053b03050036a1000780000069040400030004050cb11a49963559849ea2dc4c14";
    const ANSWER: &str = "870202010000000020010db8000f000000000000000000053b0306007931000000070069010400000000050cd9b09afa89a5b31403b52df6";
    const LOCAL_UPDATE: &str =
        "870201020000c91020010db8000a000000000000000000053b010500d75300018800038401020000";
    const ERROR: &str = "3b020700330c010020010db8000f00000000000000000005";
    const REFRESH: &str = "3b00000068dd0000";

    fn ip(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    fn octets(address: &str) -> [u8; 16] {
        address.parse::<Ipv6Addr>().unwrap().octets()
    }

    /// An IPv6 packet with `payload`, which begins with a header of this kind.
    fn ipv6(from: &str, to: &str, next: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u16).to_be_bytes();
        let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], next, 64];
        packet.extend(octets(from));
        packet.extend(octets(to));
        packet.extend(payload);
        packet
    }

    /// An IPv6 packet with octets of Scapy's: a Mobility Header, or what stands before one.
    fn packet(from: &str, to: &str, digits: &str) -> Vec<u8> {
        let pairs = digits.as_bytes().chunks(2);
        let octet = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let payload: Vec<u8> = pairs.map(octet).collect();
        let next = match digits.get(..4) {
            Some("8702") if digits[4..6] == *"01" => 60,
            Some("8702") => 43,
            _ => MOBILITY_HEADER,
        };
        ipv6(from, to, next, &payload)
    }

    fn tunnelled(from: &str, to: &str, inner: &[u8]) -> Vec<u8> {
        ipv6(from, to, 41, inner)
    }

    /// Message and first address of the subject.
    fn told(packets: &[Vec<u8>]) -> Vec<(String, IpAddr)> {
        let meanings = read(packets).into_iter().map(|meaning| {
            let meaning = meaning.unwrap();
            assert_eq!(meaning.protocol, PROTOCOL);
            let Subject::Node(node) = meaning.subject else {
                panic!("{meaning:?}");
            };
            (meaning.message.into_owned(), node[0])
        });
        meanings.collect()
    }

    #[test]
    fn every_message_has_its_name_and_is_about_the_mobile_node() {
        let messages = told(&[
            packet(CARE_OF, AGENT, HOME_UPDATE),
            packet(AGENT, CARE_OF, HOME_ANSWER),
            tunnelled(CARE_OF, AGENT, &packet(HOME, CORRESPONDENT, HOME_TEST_INIT)),
            packet(CARE_OF, CORRESPONDENT, CARE_OF_TEST_INIT),
            tunnelled(AGENT, CARE_OF, &packet(CORRESPONDENT, HOME, HOME_TEST)),
            packet(CORRESPONDENT, CARE_OF, CARE_OF_TEST),
            packet(CARE_OF, CORRESPONDENT, UPDATE),
            packet(CORRESPONDENT, CARE_OF, ANSWER),
            packet(CARE_OF, MAP, LOCAL_UPDATE),
            packet(CORRESPONDENT, CARE_OF, ERROR),
            packet(CORRESPONDENT, HOME, REFRESH),
        ]);
        let expected = [
            ("home binding update", HOME),
            ("home binding acknowledgement", HOME),
            ("home test init", HOME),
            ("care-of test init", CARE_OF),
            ("home test", HOME),
            ("care-of test", CARE_OF),
            ("correspondent binding update", HOME),
            ("correspondent binding acknowledgement", HOME),
            ("local binding update", REGIONAL),
            ("binding error", HOME),
            ("binding refresh request", HOME),
        ];
        assert_eq!(
            messages,
            expected.map(|(name, node)| (name.into(), ip(node)))
        );
    }

    #[test]
    fn an_acknowledgement_is_called_after_the_update_and_without_it_after_what_it_has() {
        let local = |status: &str| {
            // RFC 5380 §6.1: with the regional address in its routing header.
            let rest = format!("3b010600{status}00000001038401020000");
            format!("870202010000000020010db8000a00000000000000000005{rest}")
        };
        let sum = {
            let header = [0x3b, 1, 6, 0, 0, 0, 0, 0, 0, 1, 3, 0x84, 1, 2, 0, 0];
            let from = MAP.parse().unwrap();
            mip6::codec::checksum(from, REGIONAL.parse().unwrap(), &header)
        };
        let answer = packet(MAP, CARE_OF, &local(&format!("{sum:04x}")));
        let update = packet(CARE_OF, MAP, LOCAL_UPDATE);
        let names = told(&[answer.clone(), update, answer]);
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "home binding acknowledgement",
                "local binding update",
                "local binding acknowledgement"
            ]
        );
        let alone = told(&[packet(CORRESPONDENT, CARE_OF, ANSWER)]);
        assert_eq!(alone[0].0, "correspondent binding acknowledgement");
    }

    /// What tshark read of a run without a complaint: a gateway at 2001:db8::2 registers the node `served` at
    /// 2001:db8::5.
    const PROXY_UPDATE: &str = "3b090500a6fa000182000384080701736572766564010500000000001612004020010db8c00000010000000000000000170200041802000101001b0800005e0be1018b25190a0000867f86c27de92b4c";
    const PROXY_ANSWER: &str = "3b09060027db002000010384080701736572766564010500000000001612004020010db8c00000010000000000000000170200041802000101001b0800005e0be1018b25190a0000867f86c27de92b4c";

    #[test]
    fn what_a_gateway_says_is_about_the_node_that_it_speaks_for_and_its_checksum_counts() {
        let (gateway, anchor) = ("2001:db8::2", "2001:db8::5");
        let messages = [
            packet(gateway, anchor, PROXY_UPDATE),
            packet(anchor, gateway, PROXY_ANSWER),
        ];
        assert_eq!(messages[0].len(), 120);
        let node = ip("2001:db8:c000:1:847f:86c2:7de9:2b4c");
        let expected = ["proxy binding update", "proxy binding acknowledgement"];
        assert_eq!(told(&messages), expected.map(|name| (name.into(), node)));
        // It is where its gateway is, which is no address of its own.
        let bindings = read(&messages).into_iter().map(|m| m.unwrap().binding);
        assert_eq!(bindings.collect::<Vec<_>>(), [None, None]);
        let wrong = packet(gateway, anchor, &PROXY_UPDATE.replace("a6fa", "a6fb"));
        assert_eq!(
            told(&[wrong])[0].0,
            "binding update",
            "of which nothing counts"
        );
    }

    #[test]
    fn an_update_announces_a_binding_and_its_acknowledgement_says_whether_it_stands() {
        let of = |packets: &[Vec<u8>]| {
            let meanings = read(packets).into_iter();
            meanings.map(|m| m.unwrap().binding).collect::<Vec<_>>()
        };
        let binding = |permanent, care_of, standing| {
            Some(Binding {
                permanent: ip(permanent),
                care_of: ip(care_of),
                standing,
            })
        };
        let bindings = of(&[
            packet(CARE_OF, AGENT, HOME_UPDATE),
            packet(AGENT, CARE_OF, HOME_ANSWER),
            packet(AGENT, CARE_OF, OUT_OF_WINDOW),
            packet(CARE_OF, MAP, LOCAL_UPDATE),
            // From home, with lifetime 0 (RFC 6275 §11.5.5).
            packet(HOME, AGENT, AT_HOME),
            packet(CARE_OF, CORRESPONDENT, CARE_OF_TEST_INIT),
        ]);
        let expected = [
            binding(HOME, CARE_OF, Standing::Announced),
            binding(HOME, CARE_OF, Standing::Accepted),
            binding(HOME, CARE_OF, Standing::Refused),
            binding(REGIONAL, CARE_OF, Standing::Announced),
            binding(HOME, HOME, Standing::Announced),
            None,
        ];
        assert_eq!(bindings, expected);
    }

    #[test]
    fn what_receivers_drop_is_counted_by_what_is_wrong_and_binds_nobody() {
        let packets = [
            // The sum of the care-of address in place of the home address.
            packet(CARE_OF, CORRESPONDENT, HOME_TEST_INIT),
            packet(CARE_OF, AGENT, &HOME_UPDATE.replace("6e64", "6e65")),
            packet(CARE_OF, CORRESPONDENT, "3b00630005eb0000"),
            packet(HOME, CORRESPONDENT, &HOME_TEST_INIT[..24]),
        ];
        let (mut decoder, mut dissectors) =
            (capture::decode::Decoder::default(), Dissectors::new(&all()));
        let mut names = Vec::new();
        for bytes in &packets {
            let frame = capture::decode::Frame {
                time: units::SimTime::ZERO,
                link_type: capture::LinkType::RAW,
                bytes,
                length: bytes.len(),
                received: true,
            };
            let packet = decoder.read(frame).unwrap();
            let meaning = dissectors.read(&packet, None).unwrap();
            assert_eq!(meaning.binding, None);
            names.push(meaning.message.into_owned());
        }
        assert_eq!(
            names,
            [
                "home test init",
                "binding update",
                UNKNOWN,
                "home test init"
            ]
        );
        let faults: Vec<(&str, u64)> = dissectors.faults().into_iter().collect();
        assert_eq!(faults, [(MALFORMED, 1), (UNKNOWN_TYPE, 1), (CHECKSUM, 2)]);
    }

    #[test]
    fn of_very_many_updates_the_oldest_are_forgotten() {
        let mut dissector = Mip6::default();
        for n in 0..3 * MOST_UPDATES as u128 {
            dissector.keep((n.into(), n.into()), Told::AnchorPoint);
            assert!(dissector.latest.len() <= MOST_UPDATES);
        }
        let answer = BindingAcknowledgement::default();
        let of = |n: u128| dissector.told(&answer, (n.into(), n.into()));
        assert_eq!(of(0), Told::HomeAgent);
        assert_eq!(of(3 * MOST_UPDATES as u128 - 1), Told::AnchorPoint);
    }
}
