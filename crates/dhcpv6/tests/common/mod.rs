//! Settings that the tests share.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use dhcpv6::server::{Ignored, Pool};
use dhcpv6::{Client, Duid, Server, client, server};
use machine::{Machine, Transmit};
use units::{Eui64, SimTime};

pub fn at(ms: u64) -> SimTime {
    SimTime::ZERO + Duration::from_millis(ms)
}

pub fn eui64(n: u8) -> Eui64 {
    Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, n])
}

/// The pool of link `n`, 2001:db8:n::/64, with `size` addresses.
pub fn pool(n: u16, size: u16) -> Pool {
    Pool {
        link: format!("2001:db8:{n}::/64").parse().unwrap(),
        first: Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 1, 0),
        last: Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 1, size - 1),
    }
}

pub fn server_config(pools: Vec<Pool>) -> server::Config {
    server::Config::new(Duid::link_layer(eui64(0xff)), pools)
}

/// A client without initial delay.
pub fn client_config(n: u8) -> client::Config {
    client::Config {
        solicit_max_delay: Duration::ZERO,
        ..client::Config::new(Duid::link_layer(eui64(n)), 1)
    }
}

/// The server's answer to a datagram.
pub fn answer(
    server: &mut Server,
    now: SimTime,
    from: SocketAddrV6,
    payload: &[u8],
) -> Result<Transmit, Ignored> {
    let handled = server.handle_datagram(now, from, payload);
    let answer = server.poll_transmit();
    assert_eq!(answer.is_some(), handled.is_ok());
    assert_eq!(server.poll_transmit(), None, "one answer at most");
    handled.map(|()| answer.unwrap())
}

/// Gives the client a datagram of whoever relays to it.
pub fn tell(client: &mut Client, now: SimTime, payload: &[u8]) -> Result<(), client::Ignored> {
    let router = SocketAddrV6::new(eui64(0xfe).link_local(), 547, 0, 1);
    client.handle_datagram(now, router, payload)
}
