//! The octets of every message against those of another implementation, and against what tshark
//! reads in them.
//!
//! The octets are Scapy 2.8.0's (`scapy.layers.inet6`), checksums included, from the first extension
//! header on; of two options it sets the lengths wrongly (`olen=4` and `olen=12` were given). The
//! authenticators are Python's (`src/rr/tests.rs`). Scapy has nothing of Proxy Mobile IPv6: those
//! messages have tshark as their only judge.

use std::net::Ipv6Addr;
use std::path::Path;
use std::process::Command;

use capture::{Interface, LinkType, Packet, Writer};
use mip6::codec::{
    AccessTechnology, BindingAcknowledgement, BindingUpdate, ErrorStatus, HandoffIndicator,
    Lifetime, LinkLayerId, Message, MobilityOption, NodeId, Status, Timestamp,
};
use mip6::headers::{
    EXTENSION_HEADER, MOBILITY_HEADER, home_address_header, read_home_address, read_routing_header,
    routing_header,
};
use mip6::rr::{Authenticator, Cookie, KeygenToken, NonceIndex};
use mip6::{Headers, MapOption};
use nd::{NdOption, RouterAdvertisement};
use units::{Sequence, SimTime};

const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 5);
const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 5);
const CORRESPONDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1);
const MAP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 1);
const REGIONAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 5);

const COOKIE: Cookie = Cookie([1, 2, 3, 4, 5, 6, 7, 8]);
const CARE_OF_COOKIE: Cookie = Cookie([0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let octet = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(octet).collect()
}

fn update(sequence: u16, units: u16, options: Vec<MobilityOption>) -> BindingUpdate {
    BindingUpdate {
        sequence: Sequence(sequence),
        acknowledge: true,
        lifetime: Lifetime(units),
        options,
        ..BindingUpdate::default()
    }
}

fn home_update(sequence: u16, units: u16, care_of: Ipv6Addr) -> Message {
    Message::BindingUpdate(BindingUpdate {
        home_registration: true,
        ..update(
            sequence,
            units,
            vec![MobilityOption::AlternateCareOf(care_of)],
        )
    })
}

fn acknowledgement(status: Status, sequence: u16, units: u16) -> BindingAcknowledgement {
    BindingAcknowledgement {
        status,
        sequence: Sequence(sequence),
        lifetime: Lifetime(units),
        ..BindingAcknowledgement::default()
    }
}

fn authenticator(digits: &str) -> Option<Authenticator> {
    Some(Authenticator(hex(digits).try_into().unwrap()))
}

/// A message, the headers around it, what it is on the wire behind the IPv6 header, and the octets of
/// the whole packet.
struct Case {
    headers: Headers,
    message: Message,
    octets: &'static str,
    size: usize,
}

fn case(headers: Headers, message: Message, size: usize, octets: &'static str) -> Case {
    Case {
        headers,
        message,
        octets,
        size,
    }
}

fn tests() -> Vec<Case> {
    vec![
        case(
            Headers::between(CORRESPONDENT, HOME),
            Message::BindingRefreshRequest,
            48,
            "3b00000068dd0000",
        ),
        case(
            Headers::between(HOME, CORRESPONDENT),
            Message::HomeTestInit { cookie: COOKIE },
            56,
            "3b01010057c000000102030405060708",
        ),
        case(
            Headers::between(CARE_OF, CORRESPONDENT),
            Message::CareOfTestInit {
                cookie: CARE_OF_COOKIE,
            },
            56,
            "3b010200168e00001112131415161718",
        ),
        case(
            Headers::between(CORRESPONDENT, HOME),
            Message::HomeTest {
                nonce: NonceIndex(3),
                cookie: COOKIE,
                token: KeygenToken([0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28]),
            },
            64,
            "3b020300c51f000301020304050607082122232425262728",
        ),
        case(
            Headers::between(CORRESPONDENT, CARE_OF),
            Message::CareOfTest {
                nonce: NonceIndex(4),
                cookie: CARE_OF_COOKIE,
                token: KeygenToken([0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38]),
            },
            64,
            "3b02040043ac000411121314151617183132333435363738",
        ),
        case(
            Headers::between(CORRESPONDENT, CARE_OF),
            Message::BindingError {
                status: ErrorStatus::UNKNOWN_BINDING,
                home_address: HOME,
            },
            64,
            "3b020700330c010020010db8000f00000000000000000005",
        ),
    ]
}

fn registrations() -> Vec<Case> {
    let to_agent = Headers::between(CARE_OF, AGENT).from_home(HOME);
    let from_agent = Headers::between(AGENT, CARE_OF).to_home(HOME);
    let advice = BindingAcknowledgement {
        options: vec![MobilityOption::RefreshAdvice(Lifetime(450))],
        ..acknowledgement(Status::ACCEPTED, 7, 900)
    };
    let nonces = MobilityOption::NonceIndices {
        home: NonceIndex(3),
        care_of: NonceIndex(4),
    };
    vec![
        case(
            to_agent,
            home_update(7, 900, CARE_OF),
            96,
            "870201020000c91020010db8000f000000000000000000053b0305006e640007c00003840100031020010db8000100000000000000000005",
        ),
        case(
            from_agent,
            Message::BindingAcknowledgement(acknowledgement(Status::ACCEPTED, 7, 900)),
            80,
            "870202010000000020010db8000f000000000000000000053b0106005e4400000007038401020000",
        ),
        case(
            from_agent,
            Message::BindingAcknowledgement(advice),
            80,
            "870202010000000020010db8000f000000000000000000053b0106005b82000000070384020201c2",
        ),
        case(
            from_agent,
            Message::BindingAcknowledgement(acknowledgement(Status::SEQUENCE, 9, 0)),
            80,
            "870202010000000020010db8000f000000000000000000053b010600dac587000009000001020000",
        ),
        case(
            Headers::between(HOME, AGENT),
            home_update(8, 0, HOME),
            72,
            "3b03050071d90008c00000000100031020010db8000f00000000000000000005",
        ),
        case(
            Headers::between(CARE_OF, CORRESPONDENT).from_home(HOME),
            Message::BindingUpdate(BindingUpdate {
                authenticator: authenticator("b11a49963559849ea2dc4c14"),
                ..update(7, 105, vec![nonces])
            }),
            96,
            "870201020000c91020010db8000f000000000000000000053b03050036a1000780000069040400030004050cb11a49963559849ea2dc4c14",
        ),
        case(
            Headers::between(CORRESPONDENT, CARE_OF).to_home(HOME),
            Message::BindingAcknowledgement(BindingAcknowledgement {
                authenticator: authenticator("d9b09afa89a5b31403b52df6"),
                ..acknowledgement(Status::ACCEPTED, 7, 105)
            }),
            96,
            "870202010000000020010db8000f000000000000000000053b0306007931000000070069010400000000050cd9b09afa89a5b31403b52df6",
        ),
        case(
            Headers::between(CARE_OF, MAP).from_home(REGIONAL),
            Message::BindingUpdate(BindingUpdate {
                map_registration: true,
                ..update(1, 900, Vec::new())
            }),
            80,
            "870201020000c91020010db8000a000000000000000000053b010500d75300018800038401020000",
        ),
    ]
}

/// What is behind the IPv6 header: the extension header that the headers name, and the message.
fn behind_ipv6(headers: &Headers, message: &Message) -> (u8, Vec<u8>) {
    let octets = message.encode(headers).unwrap();
    match (headers.home_address, headers.routing) {
        (Some(home), None) => {
            let header = home_address_header(MOBILITY_HEADER, home);
            (60, [&header[..], &octets].concat())
        }
        (None, Some(home)) => {
            let header = routing_header(MOBILITY_HEADER, home);
            (43, [&header[..], &octets].concat())
        }
        _ => (MOBILITY_HEADER, octets),
    }
}

/// The packet, hop limit 64.
fn packet(next: u8, headers: &Headers, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], next, 64];
    packet.extend(headers.source.octets());
    packet.extend(headers.destination.octets());
    packet.extend(payload);
    packet
}

#[test]
fn every_message_is_written_as_scapy_writes_it() {
    for case in tests().iter().chain(&registrations()) {
        let (_, written) = behind_ipv6(&case.headers, &case.message);
        assert_eq!(written, hex(case.octets), "{:?}", case.message);
        assert_eq!(40 + written.len(), case.size, "{:?}", case.message);
    }
}

#[test]
fn every_message_is_read_as_scapy_means_it() {
    for case in tests().into_iter().chain(registrations()) {
        let octets = hex(case.octets);
        let Headers {
            home_address,
            routing,
            ..
        } = case.headers;
        let header = match (home_address, routing) {
            (None, None) => &octets[..],
            _ => &octets[EXTENSION_HEADER..],
        };
        if home_address.is_some() {
            assert_eq!(read_home_address(&octets), Ok(home_address));
        }
        if routing.is_some() {
            assert_eq!(read_routing_header(&octets), Ok(routing));
        }
        assert_eq!(Message::decode(&case.headers, header), Ok(case.message));
    }
}

/// What a mobile access gateway and a local mobility anchor say (RFC 5213 §8).
fn proxy_messages() -> Vec<(Headers, Message)> {
    let gateway = CARE_OF;
    let options = || {
        vec![
            MobilityOption::NodeId(NodeId(b"sensor@example".to_vec())),
            MobilityOption::HomeNetworkPrefix("2001:db8:f:5::/64".parse().unwrap()),
            MobilityOption::Handoff(HandoffIndicator::BETWEEN_GATEWAYS),
            MobilityOption::AccessTechnology(AccessTechnology::ETHERNET),
            MobilityOption::Timestamp(Timestamp(1_700_000_000 << 16)),
            MobilityOption::LinkLayerId(LinkLayerId(vec![2, 0, 0x5e, 0x10, 0, 0, 0, 5])),
            MobilityOption::LinkLocal("fe80::1".parse().unwrap()),
        ]
    };
    let update = BindingUpdate {
        proxy_registration: true,
        ..update(3, 900, options())
    };
    let answer = BindingAcknowledgement {
        proxy_registration: true,
        options: options(),
        ..acknowledgement(Status::ACCEPTED, 3, 900)
    };
    vec![
        (
            Headers::between(gateway, AGENT),
            Message::BindingUpdate(update),
        ),
        (
            Headers::between(AGENT, gateway),
            Message::BindingAcknowledgement(answer),
        ),
    ]
}

/// A router advertisement with a MAP option, with its checksum.
fn advertisement() -> (Headers, Vec<u8>) {
    let option = MapOption {
        distance: 2,
        preference: 9,
        allocates_addresses: false,
        valid_lifetime_s: 3600,
        address: MAP,
    };
    let mut octets = RouterAdvertisement {
        router_lifetime_s: 1800,
        options: vec![NdOption::Unknown {
            kind: MapOption::TYPE,
            data: option.encode().to_vec(),
        }],
        ..RouterAdvertisement::default()
    }
    .encode();
    let headers = Headers::between("fe80::1".parse().unwrap(), nd::ALL_NODES);
    let addresses = [headers.source, headers.destination];
    let pseudo = addresses.iter().flat_map(Ipv6Addr::segments).map(u32::from);
    let words = octets
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = pseudo.chain(words).sum::<u32>() + octets.len() as u32 + 58;
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded + (folded >> 16)) as u16);
    octets[2..4].copy_from_slice(&checksum.to_be_bytes());
    (headers, octets)
}

/// Lines of `tshark -r`.
fn tshark(path: &Path, arguments: &[&str]) -> Vec<String> {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(path)
        .args(arguments)
        .output()
        .expect("tshark is needed for this test: install the package tshark");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(String::from).collect()
}

#[test]
fn tshark_reads_every_message_without_a_complaint() {
    let mut packets = Vec::new();
    let cases = tests().into_iter().chain(registrations());
    let cases = cases.map(|case| (case.headers, case.message));
    for (headers, message) in cases.chain(proxy_messages()) {
        let (next, payload) = behind_ipv6(&headers, &message);
        packets.push(packet(next, &headers, &payload));
    }
    let (headers, advertised) = advertisement();
    let mut router = packet(58, &headers, &advertised);
    router[7] = nd::HOP_LIMIT;
    packets.push(router);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mip6.pcapng");
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = Writer::new(file, &[Interface::new("mip6", LinkType::RAW)]).unwrap();
    for data in packets {
        writer.write(&Packet::new(0, SimTime::ZERO, data)).unwrap();
    }
    writer.finish().unwrap();

    let complaints = "_ws.expert.severity >= 0x400000 || _ws.malformed";
    assert_eq!(tshark(&path, &["-Y", complaints]), Vec::<String>::new());
    let fields = [
        "mip6.mhtype",
        "mip6.bu.seqnr",
        "mip6.bu.lifetime",
        "mip6.acoa.acoa",
        "mip6.ni.hni",
        "mip6.ni.cni",
        "mip6.bad.auth",
        "mip6.ba.status",
        "mip6.ba.lifetime",
        "mip6.bra.interval",
        "mip6.be.haddr",
        "ipv6.opt.mipv6.home_address",
        "ipv6.routing.mipv6.home_address",
    ];
    let mut arguments = vec!["-Tfields", "-Eseparator=/t"];
    arguments.extend(fields.iter().flat_map(|field| ["-e", *field]));
    let read = tshark(&path, &arguments);
    let joined: Vec<String> = read
        .iter()
        .map(|line| {
            line.split('\t')
                .filter(|f| !f.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let (home, care_of, regional) = ("2001:db8:f::5", "2001:db8:1::5", "2001:db8:a::5");
    let update = "b11a49963559849ea2dc4c14";
    let answer = "d9b09afa89a5b31403b52df6";
    let expected = [
        "0".to_owned(),
        "1".to_owned(),
        "2".to_owned(),
        "3".to_owned(),
        "4".to_owned(),
        format!("7 {home}"),
        format!("5 7 900 {care_of} {home}"),
        format!("6 0 900 {home}"),
        format!("6 0 900 450 {home}"),
        format!("6 135 0 {home}"),
        format!("5 8 0 {home}"),
        format!("5 7 105 3 4 {update} {home}"),
        format!("6 {answer} 0 105 {home}"),
        format!("5 1 900 {regional}"),
        "5 3 900".to_owned(),
        "6 0 900".to_owned(),
        String::new(),
    ];
    assert_eq!(joined, expected);

    let proxy = [
        "mip6.bu.p_flag",
        "mip6.ba.p_flag",
        "mip6.mnid.identifier",
        "mip6.nemo.mnp.mnp",
        "mip6.hi",
        "mip6.att",
        "mip6.mnlli.lli",
        "mip6.lila_lla",
        "icmpv6.opt.map.distance",
        "icmpv6.opt.map.preference",
        "icmpv6.opt.map.valid_lifetime",
        "icmpv6.opt.map.global_address",
    ];
    let mut arguments = vec!["-Tfields", "-Eseparator= ", "-Y", "frame.number >= 15"];
    arguments.extend(proxy.iter().flat_map(|field| ["-e", *field]));
    let read = tshark(&path, &arguments);
    assert_eq!(read.len(), 3, "{read:?}");
    let options = "sensor@example 2001:db8:f:5:: 3 3 02005e1000000005 fe80::1";
    assert_eq!(read[0].trim(), format!("1  {options}"));
    assert_eq!(read[1].trim(), format!("1 {options}"));
    assert_eq!(read[2].trim(), "2 9 3600 2001:db8:a::1");
}
