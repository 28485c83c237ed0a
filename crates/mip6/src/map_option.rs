//! The MAP option of router advertisements (RFC 5380 §5).

use std::net::Ipv6Addr;
use std::time::Duration;

use units::Eui64;

/// Octets behind type and length.
const DATA: usize = 22;
/// R: the mobile node is allocated its address by the mobility anchor point.
const FLAG_R: u8 = 0x80;

/// A MAP option.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |    Type=23    |   Length=3    |  Dist |  Pref |R|  Reserved   |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                        Valid Lifetime                         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// +                   Global IP Address for MAP                   +
/// |                          (128 bits)                           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapOption {
    /// Hops to the mobility anchor point, 1 to 15.
    pub distance: u8,
    /// Operator's preference, 0 (not for new bindings) to 15.
    pub preference: u8,
    /// R.
    pub allocates_addresses: bool,
    /// How long the mobility anchor point's address and the node's there are valid.
    pub valid_lifetime_s: u32,
    /// The mobility anchor point.
    pub address: Ipv6Addr,
}

/// Why an option is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMapOption {
    /// "The length of the option ... MUST be set to 3."
    #[error("MAP option has {0} octets behind its length: expected 22")]
    Length(usize),
    /// "A distance value of zero MUST NOT be used."
    #[error("MAP option has distance 0")]
    Distance,
    /// The address is not one of the mobility anchor point's "global addresses".
    #[error("MAP option has the address {0}: expected a global one")]
    Address(Ipv6Addr),
}

impl MapOption {
    /// Its type among the options of neighbour discovery.
    pub const TYPE: u8 = 23;

    /// Reads what follows the length octet.
    ///
    /// # Errors
    /// What makes it one to ignore.
    pub fn decode(data: &[u8]) -> Result<MapOption, InvalidMapOption> {
        let wrong = InvalidMapOption::Length(data.len());
        let &[hops, flags, a, b, c, d, ref address @ ..] =
            <&[u8; DATA]>::try_from(data).map_err(|_| wrong)?;
        let address = Ipv6Addr::from(*address);
        if hops >> 4 == 0 {
            return Err(InvalidMapOption::Distance);
        }
        if !crate::headers::is_unicast_routable(address) {
            return Err(InvalidMapOption::Address(address));
        }
        Ok(MapOption {
            distance: hops >> 4,
            preference: hops & 15,
            allocates_addresses: flags & FLAG_R != 0,
            valid_lifetime_s: u32::from_be_bytes([a, b, c, d]),
            address,
        })
    }

    /// What follows the length octet. Of distance and preference the lower four bits count.
    pub fn encode(&self) -> [u8; DATA] {
        let mut data = [0; DATA];
        data[0] = self.distance << 4 | self.preference & 15;
        data[1] = if self.allocates_addresses { FLAG_R } else { 0 };
        data[2..6].copy_from_slice(&self.valid_lifetime_s.to_be_bytes());
        data[6..].copy_from_slice(&self.address.octets());
        data
    }

    /// Whether a node may register there anew: "a MAP with a preference value of zero SHOULD NOT be used
    /// for new local BUs", one "containing a valid lifetime value of zero ... MUST NOT be selected" (RFC
    /// 5380 §7.1).
    pub fn is_selectable(&self) -> bool {
        self.preference > 0 && self.valid_lifetime_s > 0
    }

    /// The one of several that a node registers with: "the MAP that is most distant, provided that its
    /// preference value did not reach a value of zero" (RFC 5380 §9.1), and of those the preferred one
    /// (§5).
    pub fn select(options: impl IntoIterator<Item = MapOption>) -> Option<MapOption> {
        let selectable = options.into_iter().filter(MapOption::is_selectable);
        selectable.reduce(|best, other| {
            match (other.distance, other.preference) > (best.distance, best.preference) {
                true => other,
                false => best,
            }
        })
    }

    /// The regional care-of address (RCoA) of a node: "combining the mobile node's interface identifier
    /// and the subnet prefix received in the MAP option" (RFC 5380 §6), of which the option has the
    /// first 64 bits of the address.
    pub fn regional_address(&self, eui64: Eui64) -> Ipv6Addr {
        let prefix = self.address.to_bits() >> 64 << 64;
        eui64.address_in(Ipv6Addr::from_bits(prefix))
    }

    /// How a node registers there.
    pub fn map(&self, eui64: Eui64) -> crate::mobile::Map {
        crate::mobile::Map {
            address: self.address,
            regional: self.regional_address(eui64),
            valid_lifetime: Duration::from_secs(self.valid_lifetime_s.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nd::{HOP_LIMIT, NdOption, RouterAdvertisement};

    /// Drawn by hand from the figure: 2 hops, preference 9, R, 3600 s, 2001:db8:a::1.
    #[rustfmt::skip]
    const OPTION: [u8; 24] = [
        0x17, 0x03, 0x29, 0x80,
        0x00, 0x00, 0x0e, 0x10,
        0x20, 0x01, 0x0d, 0xb8, 0x00, 0x0a, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    ];

    fn option() -> MapOption {
        MapOption {
            distance: 2,
            preference: 9,
            allocates_addresses: true,
            valid_lifetime_s: 3600,
            address: "2001:db8:a::1".parse().unwrap(),
        }
    }

    #[test]
    fn an_option_travels_in_a_router_advertisement() {
        let advertisement = RouterAdvertisement {
            router_lifetime_s: 1800,
            options: vec![NdOption::Unknown {
                kind: MapOption::TYPE,
                data: option().encode().to_vec(),
            }],
            ..RouterAdvertisement::default()
        };
        let octets = advertisement.encode();
        assert_eq!(octets[16..], OPTION);
        let router = "fe80::1".parse().unwrap();
        let read = RouterAdvertisement::decode(router, HOP_LIMIT, &octets).unwrap();
        let [NdOption::Unknown { kind: 23, data }] = &read.options[..] else {
            panic!("{read:?}");
        };
        assert_eq!(MapOption::decode(data), Ok(option()));
    }

    #[test]
    fn what_must_not_be_used_is_no_option() {
        let mut data = option().encode();
        assert_eq!(
            MapOption::decode(&data[1..]),
            Err(InvalidMapOption::Length(21))
        );
        data[0] = 0x0f;
        assert_eq!(MapOption::decode(&data), Err(InvalidMapOption::Distance));
        data[0] = 0x1f;
        data[6..].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
        let expected = InvalidMapOption::Address(Ipv6Addr::LOCALHOST);
        assert_eq!(MapOption::decode(&data), Err(expected));
    }

    #[test]
    fn the_most_distant_one_is_selected_unless_it_is_not_to_be_used() {
        let of = |distance, preference, valid_lifetime_s| MapOption {
            distance,
            preference,
            valid_lifetime_s,
            ..option()
        };
        let selected = |options: &[MapOption]| MapOption::select(options.iter().copied());
        let (near, far, spare) = (of(1, 15, 60), of(3, 1, 60), of(3, 2, 60));
        assert_eq!(selected(&[near, far]), Some(far));
        assert_eq!(selected(&[near, spare, far]), Some(spare));
        assert_eq!(selected(&[near, of(5, 0, 60), of(4, 3, 0)]), Some(near));
        assert_eq!(selected(&[of(5, 0, 60)]), None);
    }

    #[test]
    fn the_regional_address_has_the_prefix_of_the_anchor_and_the_nodes_identifier() {
        let eui64 = Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 5]);
        let map = option().map(eui64);
        assert_eq!(map.regional.to_string(), "2001:db8:a::5e10:0:5");
        assert_eq!(map.valid_lifetime, Duration::from_secs(3600));
    }
}
