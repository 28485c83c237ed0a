//! Settings that the tests share.

use std::net::Ipv6Addr;
use std::time::Duration;

use dhcpv6::server::Pool;
use dhcpv6::{Duid, client, server};
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
