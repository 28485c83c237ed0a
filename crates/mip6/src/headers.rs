//! The IPv6 headers around a Mobility Header: addresses, the Home Address option (RFC 6275 §6.3)
//! and the type 2 routing header (§6.4).

use std::net::Ipv6Addr;

/// Next Header value of a Mobility Header (RFC 6275 §6.1.1).
pub const MOBILITY_HEADER: u8 = 135;

/// Octets of a destination options header with nothing but a Home Address option, and of a type 2
/// routing header.
pub const EXTENSION_HEADER: usize = 24;

/// PadN and its number of octets behind the two of type and length (RFC 8200 §4.2).
const PAD_N: u8 = 1;
/// Option type of the Home Address option: whoever does not know it drops the packet.
const HOME_ADDRESS: u8 = 201;
/// Routing Type of the type 2 routing header.
const ROUTING_TYPE: u8 = 2;

/// Outer addresses of a packet in a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Its entry point.
    pub source: Ipv6Addr,
    /// Its exit point.
    pub destination: Ipv6Addr,
}

/// How a Mobility Header travels.
///
/// Of a message to send it is what its owner puts around it. What has a regional care-of address
/// as its outermost source goes into the tunnel to that address's mobility anchor point besides,
/// which is not said here: it is so for all packets from that address (RFC 5380 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Source Address of the IPv6 header, as it is on the wire.
    pub source: Ipv6Addr,
    /// Destination Address of the IPv6 header, as it is on the wire.
    pub destination: Ipv6Addr,
    /// Address in the Home Address destination option, where there is one.
    pub home_address: Option<Ipv6Addr>,
    /// Address in the type 2 routing header, where there is one.
    pub routing: Option<Ipv6Addr>,
    /// The tunnel between mobile node and home agent, where it is in it.
    pub tunnel: Option<Tunnel>,
}

impl Headers {
    /// Two addresses and nothing else.
    pub const fn between(source: Ipv6Addr, destination: Ipv6Addr) -> Headers {
        Headers {
            source,
            destination,
            home_address: None,
            routing: None,
            tunnel: None,
        }
    }

    /// Of an answer to a Binding Update: to its Source Address, by way of a type 2 routing header if it had
    /// a Home Address option (RFC 6275 §9.5.4).
    pub(crate) const fn answering(update: &Headers, source: Ipv6Addr) -> Headers {
        Headers {
            routing: update.home_address,
            ..Headers::between(source, update.source)
        }
    }

    /// The same with a Home Address option.
    pub const fn from_home(self, home_address: Ipv6Addr) -> Headers {
        Headers {
            home_address: Some(home_address),
            ..self
        }
    }

    /// The same with a type 2 routing header.
    pub const fn to_home(self, home_address: Ipv6Addr) -> Headers {
        Headers {
            routing: Some(home_address),
            ..self
        }
    }

    /// The same in a tunnel.
    pub const fn through(self, source: Ipv6Addr, destination: Ipv6Addr) -> Headers {
        Headers {
            tunnel: Some(Tunnel {
                source,
                destination,
            }),
            ..self
        }
    }

    /// Who sent it, as the layers above IPv6 see it: the home address if it is named (RFC 6275
    /// §9.3.1).
    pub fn sender(&self) -> Ipv6Addr {
        self.home_address.unwrap_or(self.source)
    }

    /// Who is to get it, as the layers above IPv6 see it: the last address on its way (RFC 6275
    /// §6.4).
    pub fn receiver(&self) -> Ipv6Addr {
        self.routing.unwrap_or(self.destination)
    }
}

/// Whether an address is "an identifier for a single interface such that a packet sent to it from
/// another IPv6 subnet is delivered to the interface": global or unique local (RFC 6275 §3.1).
pub fn is_unicast_routable(address: Ipv6Addr) -> bool {
    let nobody = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    !nobody && !address.is_unicast_link_local() && address.to_ipv4_mapped().is_none()
}

/// Why an extension header makes its packet one to drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// It ends behind its packet, or an option behind the header.
    #[error("header or option ends behind what is there")]
    Truncated,
    /// A Home Address option of another length.
    #[error("Home Address option has {0} octets: expected 16")]
    OptionLength(usize),
    /// "The Home Address option MUST NOT appear more than once" (RFC 6275 §6.3).
    #[error("Home Address option appears more than once")]
    Repeated,
    /// "The Hdr Ext Len MUST be 2" (RFC 6275 §6.4.1).
    #[error("type 2 routing header has Hdr Ext Len {0}: expected 2")]
    RoutingLength(u8),
    /// "Segments Left MUST be 1" (RFC 6275 §6.4.1).
    #[error("type 2 routing header has Segments Left {0}: expected 1")]
    SegmentsLeft(u8),
    /// The home address in it is none that a mobile node can have.
    #[error("home address is {0}: expected a unicast routable address")]
    HomeAddress(Ipv6Addr),
}

/// A destination options header with a Home Address option (RFC 6275 §6.3), which is aligned to
/// 8n + 6 by a PadN of four octets. `next` is the Next Header value.
pub fn home_address_header(next: u8, home_address: Ipv6Addr) -> [u8; EXTENSION_HEADER] {
    let mut header = [0; EXTENSION_HEADER];
    header[..8].copy_from_slice(&[next, 2, PAD_N, 2, 0, 0, HOME_ADDRESS, 16]);
    header[8..].copy_from_slice(&home_address.octets());
    header
}

/// The address in the Home Address option of a destination options header, if it has one. `header`
/// begins with its Next Header field.
///
/// # Errors
/// What makes the packet one to drop (RFC 6275 §6.3, §9.3.1).
pub fn read_home_address(header: &[u8]) -> Result<Option<Ipv6Addr>, InvalidHeader> {
    let units = usize::from(*header.get(1).ok_or(InvalidHeader::Truncated)?);
    let mut rest = header
        .get(2..(units + 1) * 8)
        .ok_or(InvalidHeader::Truncated)?;
    let mut found = None;
    while let [kind, after @ ..] = rest {
        let (&length, after) = match kind {
            0 => {
                rest = after;
                continue;
            }
            _ => after.split_first().ok_or(InvalidHeader::Truncated)?,
        };
        let value = after.split_at_checked(length.into());
        let (value, after) = value.ok_or(InvalidHeader::Truncated)?;
        if *kind == HOME_ADDRESS {
            let octets = <[u8; 16]>::try_from(value);
            let address = octets.map_err(|_| InvalidHeader::OptionLength(value.len()))?;
            if found.replace(home(address.into())?).is_some() {
                return Err(InvalidHeader::Repeated);
            }
        }
        rest = after;
    }
    Ok(found)
}

/// A type 2 routing header (RFC 6275 §6.4.1) as it leaves its sender. `next` is the Next Header
/// value.
pub fn routing_header(next: u8, home_address: Ipv6Addr) -> [u8; EXTENSION_HEADER] {
    let mut header = [0; EXTENSION_HEADER];
    header[..4].copy_from_slice(&[next, 2, ROUTING_TYPE, 1]);
    header[8..].copy_from_slice(&home_address.octets());
    header
}

/// The home address in a type 2 routing header, or none if it is a routing header of another type.
/// `header` begins with its Next Header field.
///
/// # Errors
/// What makes the packet one to drop (RFC 6275 §6.4). That the address is the node's own is the
/// caller's to check.
pub fn read_routing_header(header: &[u8]) -> Result<Option<Ipv6Addr>, InvalidHeader> {
    let [_, units, kind, left, ..] = *header else {
        return Err(InvalidHeader::Truncated);
    };
    if kind != ROUTING_TYPE {
        return Ok(None);
    }
    if units != 2 {
        return Err(InvalidHeader::RoutingLength(units));
    }
    if left != 1 {
        return Err(InvalidHeader::SegmentsLeft(left));
    }
    let octets = header.get(8..EXTENSION_HEADER);
    let octets = octets.and_then(|octets| <[u8; 16]>::try_from(octets).ok());
    home(octets.ok_or(InvalidHeader::Truncated)?.into()).map(Some)
}

/// "This address MUST be a unicast routable address" (RFC 6275 §6.3, §6.4).
fn home(address: Ipv6Addr) -> Result<Ipv6Addr, InvalidHeader> {
    match is_unicast_routable(address) {
        true => Ok(address),
        false => Err(InvalidHeader::HomeAddress(address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 5);

    #[test]
    fn both_headers_are_read_as_they_were_written() {
        let option = home_address_header(MOBILITY_HEADER, HOME);
        assert_eq!(read_home_address(&option), Ok(Some(HOME)));
        let routing = routing_header(MOBILITY_HEADER, HOME);
        assert_eq!(read_routing_header(&routing), Ok(Some(HOME)));
        for length in 0..EXTENSION_HEADER {
            let cut = Err(InvalidHeader::Truncated);
            assert_eq!(read_home_address(&option[..length]), cut, "{length}");
            assert_eq!(read_routing_header(&routing[..length]), cut, "{length}");
        }
    }

    #[test]
    fn a_home_address_option_is_found_wherever_it_stands() {
        // Pad1, an option of 4 octets that nobody knows, Home Address, PadN of 4, Pad1.
        let mut header = vec![135, 3, 0, 30, 4, 1, 2, 3, 4, 201, 16];
        header.extend(HOME.octets());
        header.extend([1, 2, 0, 0, 0]);
        assert_eq!(header.len(), 32);
        assert_eq!(read_home_address(&header), Ok(Some(HOME)));
        let none = [59, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(read_home_address(&none), Ok(None));
    }

    #[test]
    fn headers_that_make_their_packet_one_to_drop_are_told_apart() {
        let mut twice = home_address_header(59, HOME).to_vec();
        twice[1] = 5;
        twice.extend(&home_address_header(59, HOME)[6..]);
        twice.resize(48, 0);
        assert_eq!(read_home_address(&twice), Err(InvalidHeader::Repeated));
        let short = [59, 0, 201, 4, 0, 0, 0, 0];
        assert_eq!(
            read_home_address(&short),
            Err(InvalidHeader::OptionLength(4))
        );
        for nobody in ["::", "::1", "ff02::1", "fe80::1", "::ffff:192.0.2.1"] {
            let nobody = nobody.parse().unwrap();
            let expected = Err(InvalidHeader::HomeAddress(nobody));
            assert_eq!(
                read_home_address(&home_address_header(59, nobody)),
                expected
            );
            assert_eq!(read_routing_header(&routing_header(59, nobody)), expected);
        }
        let mut routing = routing_header(59, HOME);
        routing[3] = 0;
        assert_eq!(
            read_routing_header(&routing),
            Err(InvalidHeader::SegmentsLeft(0))
        );
        routing[1] = 4;
        assert_eq!(
            read_routing_header(&routing),
            Err(InvalidHeader::RoutingLength(4))
        );
        routing[2] = 3;
        assert_eq!(read_routing_header(&routing), Ok(None), "RFC 6554's");
    }
}
