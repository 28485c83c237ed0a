//! Octets of a real exchange, in both directions: ISC dhclient 4.4.3-P1 asks, dnsmasq 2.90
//! relays, kea-dhcp6 2.2.0 answers.
//!
//! Captured with dumpcap on kea's side of the relay agent and checked with tshark 4.0:
//! `dhclient -6 -D LL`, `dnsmasq --dhcp-relay=2001:db8:1::1,2001:db8:ffff::2`, kea with
//! preferred-lifetime 300, valid-lifetime 600, renew-timer 150, rebind-timer 240 and a pool from
//! 2001:db8:1::100. Every Relay-forward holds dhclient's message unchanged (compared with a
//! capture of the client's link).

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use dhcpv6::client::{self, Lease};
use dhcpv6::message::{IaAddress, IaNa, MessageType, Status, StatusCode};
use dhcpv6::relay::{self, Direction, RelayMessage};
use dhcpv6::server::{self, Pool};
use dhcpv6::{Client, Duid, Event, Message, Relay, Server};
use machine::{Machine, Transmit};
use units::{Seed, SimTime};

/// hop count 0, link-address 2001:db8:1::1, peer-address fe80::5eff:fe00:c.
const ADDRESSES: &str = "00 20010db8000100000000000000000001 fe8000000000000000005efffe00000c";
/// Client Link-Layer Address (79), dnsmasq's; not read here.
const CLIENT_LINK_LAYER: &str = "004f 0008 0001 02005e00000c";
/// Client Identifier: DUID-LL, Ethernet, 02:00:5e:00:00:0c.
const CLIENT_ID: &str = "0001 000a 0003 0001 02005e00000c";
/// Server Identifier: DUID-LL, Ethernet, 02:00:5e:00:00:0d.
const SERVER_ID: &str = "0002 000a 0003 0001 02005e00000d";
/// Option Request: DNS servers, domain search list. Elapsed Time: 0.
const ASKS: &str = "0006 0004 0017 0018 0008 0002 0000";
/// IA_NA 5e00000c, T1 3600, T2 5400, without an address.
const IA_EMPTY: &str = "0003 000c 5e00000c 00000e10 00001518";
/// IA_NA 5e00000c, T1 3600, T2 5400, with 2001:db8:1::100, 7200 s, 7500 s.
const IA_ASKED: &str = "0003 0028 5e00000c 00000e10 00001518
    0005 0018 20010db8000100000000000000000100 00001c20 00001d4c";
/// IA_NA 5e00000c, T1 150, T2 240, with 2001:db8:1::100, preferred 300 s, valid 600 s.
const IA_GIVEN: &str = "0003 0028 5e00000c 00000096 000000f0
    0005 0018 20010db8000100000000000000000100 0000012c 00000258";
/// IA_NA 5e00000c, T1 0, T2 0, with 2001:db8:1::100, 0 s, 0 s.
const IA_BACK: &str = "0003 0028 5e00000c 00000000 00000000
    0005 0018 20010db8000100000000000000000100 00000000 00000000";
/// IA_NA 5e00000c with status Success "Lease released. Thank you, please come again."
const IA_RELEASED: &str = "0003 003f 5e00000c 00000000 00000000
    000d 002f 0000 4c656173652072656c65617365642e205468616e6b20796f75
    2c20706c6561736520636f6d6520616761696e2e";
/// Status Success "Summary status for all processed IA_NAs".
const SUMMARY: &str = "000d 0029 0000 53756d6d6172792073746174757320666f7220616c6c20
    70726f6365737365642049415f4e4173";

fn hex(parts: &[&str]) -> Vec<u8> {
    let digits: Vec<u8> = parts
        .concat()
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .collect();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

/// A relay message as it was captured: type, `ADDRESSES`, options, Relay Message.
fn relayed(kind: &str, options: &str, message: &[u8]) -> Vec<u8> {
    let length = format!("0009{:04x}", message.len());
    [&hex(&[kind, ADDRESSES, options, &length])[..], message].concat()
}

fn solicit() -> Vec<u8> {
    hex(&["01 afec30", CLIENT_ID, ASKS, IA_EMPTY])
}

fn advertise() -> Vec<u8> {
    hex(&["02 afec30", CLIENT_ID, SERVER_ID, IA_GIVEN])
}

fn request() -> Vec<u8> {
    hex(&["03 4c8a98", CLIENT_ID, SERVER_ID, ASKS, IA_ASKED])
}

fn reply() -> Vec<u8> {
    hex(&["07 4c8a98", CLIENT_ID, SERVER_ID, IA_GIVEN])
}

fn release() -> Vec<u8> {
    hex(&["08 c0d9a5", CLIENT_ID, SERVER_ID, ASKS, IA_BACK])
}

fn released() -> Vec<u8> {
    hex(&["07 c0d9a5", CLIENT_ID, SERVER_ID, IA_RELEASED, SUMMARY])
}

fn client_duid() -> Duid {
    Duid::try_from(hex(&[CLIENT_ID])[4..].to_vec()).unwrap()
}

fn server_duid() -> Duid {
    Duid::try_from(hex(&[SERVER_ID])[4..].to_vec()).unwrap()
}

const IAID: u32 = 0x5e00_000c;
const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x100);
const LINK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const PEER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5eff, 0xfe00, 0xc);

fn association(t1_s: u32, t2_s: u32, lifetimes_s: Option<(u32, u32)>) -> IaNa {
    let addresses = lifetimes_s.map(|(preferred_s, valid_s)| IaAddress {
        address: ADDRESS,
        preferred_s,
        valid_s,
        status: None,
    });
    IaNa {
        iaid: IAID,
        t1_s,
        t2_s,
        addresses: addresses.into_iter().collect(),
        status: None,
    }
}

fn success(message: &str) -> Option<Status> {
    Some(Status {
        code: StatusCode::Success,
        message: message.to_owned(),
    })
}

/// The messages as values.
fn values() -> [(Vec<u8>, Message); 6] {
    let from_server = |kind, xid, ia| Message {
        client_id: Some(client_duid()),
        server_id: Some(server_duid()),
        ia_nas: vec![ia],
        ..Message::new(kind, xid)
    };
    let from_client = |kind, xid, ia| Message {
        requested: vec![23, 24],
        elapsed_cs: Some(0),
        ..from_server(kind, xid, ia)
    };
    use MessageType as M;
    let (first, second, third) = ([0xaf, 0xec, 0x30], [0x4c, 0x8a, 0x98], [0xc0, 0xd9, 0xa5]);
    let empty = association(3600, 5400, None);
    let asked = association(3600, 5400, Some((7200, 7500)));
    let given = association(150, 240, Some((300, 600)));
    let gone = IaNa {
        status: success("Lease released. Thank you, please come again."),
        ..association(0, 0, None)
    };
    let solicited = Message {
        server_id: None,
        ..from_client(M::Solicit, first, empty)
    };
    let finished = Message {
        status: success("Summary status for all processed IA_NAs"),
        ..from_server(M::Reply, third, gone)
    };
    let back = association(0, 0, Some((0, 0)));
    [
        (solicit(), solicited),
        (advertise(), from_server(M::Advertise, first, given.clone())),
        (request(), from_client(M::Request, second, asked)),
        (reply(), from_server(M::Reply, second, given)),
        (release(), from_client(M::Release, third, back)),
        (released(), finished),
    ]
}

#[test]
fn every_message_is_read_as_tshark_reads_it() {
    for (bytes, value) in values() {
        assert_eq!(Message::decode(&bytes).unwrap(), value);
    }
}

#[test]
fn every_message_is_written_with_the_same_options() {
    for (bytes, value) in values() {
        let ours = value.encode();
        // dhclient puts the IA_NA last; the order of options has no meaning (§21.1), kea's is
        // ours.
        if matches!(value.kind, MessageType::Advertise | MessageType::Reply) {
            assert_eq!(ours, bytes);
        }
        assert_eq!((&ours[..4], options(&ours)), (&bytes[..4], options(&bytes)));
    }
}

/// The top-level options of a message, sorted.
fn options(message: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &message[4..];
    let mut options = Vec::new();
    while !rest.is_empty() {
        let (option, after) = rest.split_at(4 + usize::from(rest[2]) * 256 + usize::from(rest[3]));
        options.push(option.to_vec());
        rest = after;
    }
    options.sort_unstable();
    options
}

#[test]
fn dnsmasq_relay_forward_is_read_and_written() {
    let theirs = relayed("0c", CLIENT_LINK_LAYER, &solicit());
    let value = RelayMessage {
        direction: Direction::Forward,
        hop_count: 0,
        link_address: LINK,
        peer_address: PEER,
        interface_id: None,
        message: solicit(),
    };
    assert_eq!(RelayMessage::decode(&theirs), Ok(value));
    // Ours, but for the option that dnsmasq adds.
    let agent = Relay {
        link_address: LINK,
        interface_id: None,
    };
    let ours = agent.forward(PEER, &solicit()).unwrap();
    assert_eq!(ours, relayed("0c", "", &solicit()));
}

#[test]
fn kea_relay_reply_is_read_and_written() {
    let theirs = relayed("0d", "", &advertise());
    let answer = relay::unwrap_reply(&theirs).unwrap();
    assert_eq!(
        (*answer.transmit.to.ip(), answer.transmit.to.port()),
        (PEER, 546)
    );
    assert_eq!(answer.transmit.payload, advertise());
    assert_eq!(
        RelayMessage::decode(&theirs).unwrap().encode().unwrap(),
        theirs
    );
}

#[test]
fn our_server_answers_dhclient_through_dnsmasq_octet_for_octet_as_kea_does() {
    let pool = Pool {
        link: "2001:db8:1::/64".parse().unwrap(),
        first: ADDRESS,
        last: ADDRESS,
    };
    let mut server = Server::new(server::Config {
        preferred: Duration::from_secs(300),
        valid: Duration::from_secs(600),
        rapid_commit: false,
        preference: 0,
        ..server::Config::new(server_duid(), vec![pool])
    })
    .unwrap();
    let dnsmasq: SocketAddrV6 = "[2001:db8:ffff::1]:547".parse().unwrap();
    let ask = |server: &mut Server, message: &[u8]| -> Transmit {
        server
            .handle_datagram(SimTime::ZERO, dnsmasq, message)
            .unwrap();
        server.poll_transmit().unwrap()
    };
    for (asked, answered) in [(solicit(), advertise()), (request(), reply())] {
        let forwarded = relayed("0c", CLIENT_LINK_LAYER, &asked);
        let ours = ask(&mut server, &forwarded);
        assert_eq!(ours.to, dnsmasq);
        assert_eq!(ours.payload, relayed("0d", "", &answered));
    }
    assert_eq!(server.leases().next().unwrap().0, ADDRESS);
    // Which words go with a success is left to the server.
    let forwarded = relayed("0c", CLIENT_LINK_LAYER, &release());
    let ours = ask(&mut server, &forwarded);
    let answer = relay::unwrap_reply(&ours.payload).unwrap().transmit.payload;
    let status = Message::decode(&answer).unwrap().status.unwrap();
    assert_eq!(status.code, StatusCode::Success);
    assert_eq!(server.leases().count(), 0);
}

/// Whose datagram it is does not matter to a client.
const ANY: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 547, 0, 0);

#[test]
fn our_client_takes_what_kea_gave_dhclient() {
    let config = client::Config {
        solicit_max_delay: Duration::ZERO,
        ..client::Config::new(client_duid(), IAID)
    };
    let mut client = Client::new(config, Seed(1).rng(&["client"])).unwrap();
    client.start(SimTime::ZERO);
    // Kea's answer but for the transaction ID, which each exchange draws.
    let answer = |client: &mut Client, kind: MessageType, mut answer: Vec<u8>| {
        let sent = client.poll_transmit().unwrap().payload;
        assert_eq!(sent[0], u8::from(kind));
        answer[1..4].copy_from_slice(&sent[1..4]);
        client.handle_datagram(SimTime::ZERO, ANY, &answer).unwrap();
    };
    answer(&mut client, MessageType::Solicit, advertise());
    // Kea sends no preference: other servers have until the first timeout to answer.
    assert_eq!(client.poll_transmit(), None);
    client.handle_timeout(client.poll_timeout().unwrap());
    answer(&mut client, MessageType::Request, reply());
    let lease = Lease {
        address: ADDRESS,
        preferred: Duration::from_secs(300),
        valid: Duration::from_secs(600),
        t1: Duration::from_secs(150),
        t2: Duration::from_secs(240),
        server: server_duid(),
    };
    assert_eq!(client.poll_event(), Some(Event::Bound(lease)));
    client.release(SimTime::ZERO);
    answer(&mut client, MessageType::Release, released());
    let address = ADDRESS;
    assert_eq!(client.poll_event(), Some(Event::Released { address }));
}
