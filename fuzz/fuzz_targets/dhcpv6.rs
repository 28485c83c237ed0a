//! DHCPv6: what is read is the same after encoding, of clients, servers and relay agents; a server
//! gives an address of the right pool to one client at a time, and its answers decode; a client
//! takes no address that no node can have.

#![no_main]

use std::collections::BTreeSet;
use std::net::SocketAddrV6;
use std::time::Duration;

use dhcpv6::relay::RelayMessage;
use dhcpv6::server::Pool;
use dhcpv6::{Client, Duid, Event, Message, Server, client, server};
use libfuzzer_sys::fuzz_target;
use machine::Machine;
use units::{Eui64, Seed, SimTime};

const EUI64: Eui64 = Eui64([2, 0, 0x5e, 0x10, 0, 0, 0, 1]);

// Datagrams, each behind its length in two bytes; the highest bit of the length sends it to the
// client.
fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let (mut server, mut client) = (server(), client());
    let mut now = SimTime::ZERO;
    client.start(now);
    while let Some(([high, low], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high & 0x07, *low])).min(after.len());
        let (datagram, next) = after.split_at(length);
        rest = next;
        now += Duration::from_millis(100);
        reads_the_same(datagram);
        match high & 0x80 {
            0 => ask(&mut server, now, datagram),
            _ => tell(&mut client, now, datagram),
        }
    }
});

fn reads_the_same(datagram: &[u8]) {
    if let Ok(message) = Message::decode(datagram) {
        assert_eq!(Message::decode(&message.encode()).as_ref(), Ok(&message));
    }
    if let Ok(relayed) = RelayMessage::decode(datagram)
        && let Ok(encoded) = relayed.encode()
    {
        assert_eq!(RelayMessage::decode(&encoded).as_ref(), Ok(&relayed));
    }
}

fn server() -> Server {
    let pool = |n: u16| Pool {
        link: format!("fd00:{n}::/64").parse().unwrap(),
        first: [0xfd00, n, 0, 0, 0, 0, 0, 1].into(),
        last: [0xfd00, n, 0, 0, 0, 0, 0, 3].into(),
    };
    let mut config = server::Config::new(Duid::link_layer(EUI64), vec![pool(1), pool(2)]);
    config.direct_link = Some([0xfd00, 1, 0, 0, 0, 0, 0, 1].into());
    config.rapid_commit = true;
    Server::new(config).unwrap()
}

fn client() -> Client {
    let config = client::Config {
        rapid_commit: true,
        solicit_max_delay: Duration::ZERO,
        ..client::Config::new(Duid::link_layer(EUI64), 1)
    };
    Client::new(config, Seed(1).rng(&["fuzz"])).unwrap()
}

fn ask(server: &mut Server, now: SimTime, datagram: &[u8]) {
    let from: SocketAddrV6 = "[fe80::1]:546".parse().unwrap();
    let _ = server.handle_datagram(now, from, datagram);
    while let Some(answer) = server.poll_transmit() {
        let relayed = RelayMessage::decode(&answer.payload).is_ok();
        assert!(relayed || Message::decode(&answer.payload).is_ok());
    }
    while server.poll_event().is_some() {}
    let addresses: Vec<_> = server.leases().map(|(address, ..)| address).collect();
    let different: BTreeSet<_> = addresses.iter().collect();
    assert_eq!(different.len(), addresses.len());
    assert!(addresses.len() <= 6);
    for address in addresses {
        let [0xfd00, 1 | 2, 0, 0, 0, 0, 0, 1..=3] = address.segments() else {
            panic!("{address} is of no pool");
        };
    }
}

fn tell(client: &mut Client, now: SimTime, datagram: &[u8]) {
    // The transaction ID is a secret that the fuzzer need not find.
    let mut sent = Vec::new();
    while let Some(transmit) = client.poll_transmit() {
        sent = transmit.payload;
    }
    let mut datagram = datagram.to_vec();
    if let (Some(own), Some(theirs)) = (sent.get(1..4), datagram.get_mut(1..4)) {
        theirs.copy_from_slice(own);
    }
    let from: SocketAddrV6 = "[fe80::1]:547".parse().unwrap();
    let _ = client.handle_datagram(now, from, &datagram);
    client.handle_timeout(now);
    while let Some(event) = client.poll_event() {
        if let Event::Bound(lease) = event {
            let address = lease.address;
            assert!(!address.is_unspecified() && !address.is_multicast() && !address.is_loopback());
            assert!(lease.preferred <= lease.valid && lease.t1 <= lease.t2);
            assert!(!lease.valid.is_zero());
        }
    }
    let next = client.poll_timeout();
    assert!(next.is_none_or(|due| due > now), "{next:?} stays due");
}
