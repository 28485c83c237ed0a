//! Whose address it may be: what a stranger can do with one, it can do with its whole network.

use std::net::Ipv6Addr;

/// The network of an address: its /64, of an IPv4-mapped one its /24. Whoever has one address may have
/// all of it.
pub fn network(address: Ipv6Addr) -> Ipv6Addr {
    let host_bits = match address.to_ipv4_mapped() {
        Some(_) => 8,
        None => 64,
    };
    Ipv6Addr::from_bits(address.to_bits() >> host_bits << host_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_share_a_network_as_far_as_one_holder_reaches() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_eq!(of("::ffff:192.0.2.1"), of("::ffff:192.0.2.200"));
        assert_ne!(of("::ffff:192.0.2.1"), of("::ffff:192.0.3.1"));
    }
}
