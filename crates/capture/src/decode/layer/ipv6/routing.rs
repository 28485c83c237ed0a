//! Routing headers: a packet with segments left is for the last one.

use std::net::{IpAddr, Ipv6Addr};

use super::super::{Below, Kind, Payload, Read, State, Step};

const HEADER: &str = "routing header";

/// Source route (RFC 2460 §4.4, deprecated by RFC 5095).
const SOURCE_ROUTE: u8 = 0;
/// The home address of a mobile node (RFC 6275 §6.4).
const HOME_ADDRESS: u8 = 2;
/// RPL source route, with compressed addresses (RFC 6554 §3).
const RPL: u8 = 3;
/// Segment routing (RFC 8754 §2), whose list is in reverse.
const SEGMENTS: u8 = 4;

pub(in super::super) fn read(data: &mut Payload<'_>, below: &mut Below, _: &mut State) -> Read {
    let (next, length) = super::extension(data, HEADER)?;
    let header = data.peek(length, HEADER)?;
    let (kind, left) = (header[2], header[3]);
    if left > 0
        && let IpAddr::V6(dst) = below.dst
        && let Some(last) = last(kind, &header[4..], dst)
    {
        below.dst = last.into();
    }
    data.skip(length, HEADER)?;
    below.header_bytes += length;
    Ok(Step::Next(Kind::Protocol(next)))
}

/// The last address of the route in a header's bytes after Segments Left.
fn last(kind: u8, body: &[u8], dst: Ipv6Addr) -> Option<Ipv6Addr> {
    let (flags, addresses) = body.split_first_chunk::<4>()?;
    let last = match kind {
        SOURCE_ROUTE | HOME_ADDRESS => *addresses.last_chunk::<16>()?,
        SEGMENTS => *addresses.first_chunk::<16>()?,
        RPL => {
            // CmprI, CmprE, Pad, 20 bits reserved. Of the last address the first CmprE bytes
            // are those of the destination.
            let [compression, pad, ..] = *flags;
            let (same, pad) = (usize::from(compression & 0xf), usize::from(pad >> 4));
            let addresses = &addresses[..addresses.len().checked_sub(pad)?];
            let rest = addresses.get(addresses.len().checked_sub(16 - same)?..)?;
            let mut octets = dst.octets();
            octets[same..].copy_from_slice(rest);
            octets
        }
        _ => return None,
    };
    Some(last.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// Figure in RFC 6554 §3, with CmprI 8, CmprE 12, Pad 4: two addresses, of 8 and 4 bytes.
    #[test]
    fn the_last_address_of_an_rpl_route_is_completed_from_the_destination() {
        let body = [
            &[0x8c, 0x40, 0, 0][..],
            &[0, 0, 0, 0, 0, 0, 0, 0x22],
            &[0, 0, 0, 0x33],
            &[0; 4],
        ]
        .concat();
        let dst = address("2001:db8::a:b:c:11");
        assert_eq!(last(RPL, &body, dst), Some(address("2001:db8::a:b:0:33")));
        // More padding than there is, fewer bytes than an address.
        assert_eq!(last(RPL, &[0, 0xf0, 0, 0, 1, 2], dst), None);
        assert_eq!(last(RPL, &[0, 0, 0, 0, 1, 2], dst), None);
    }

    #[test]
    fn each_kind_of_route_has_its_last_address_where_its_rfc_says() {
        let (first, second) = (address("2001:db8::1"), address("2001:db8::2"));
        let body = [&[0; 4][..], &first.octets(), &second.octets()].concat();
        let dst = address("2001:db8::9");
        assert_eq!(last(SOURCE_ROUTE, &body, dst), Some(second));
        assert_eq!(last(SEGMENTS, &body, dst), Some(first));
        assert_eq!(last(HOME_ADDRESS, &body[..20], dst), Some(first));
        assert_eq!(last(253, &body, dst), None);
    }
}
