//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Fragment, IpPacket};

/// The packet that starts with `bytes`, by its version field.
pub(super) fn packet(bytes: &[u8]) -> Option<IpPacket<'_>> {
    match bytes.first()? >> 4 {
        4 => v4(bytes),
        6 => v6(bytes),
        _ => None,
    }
}

fn v4(bytes: &[u8]) -> Option<IpPacket<'_>> {
    let (header, _) = bytes.split_first_chunk::<20>()?;
    let header_length = usize::from(header[0] & 0xf) * 4;
    let total = match usize::from(u16::from_be_bytes([header[2], header[3]])) {
        0 => bytes.len(), // Segmentation offload: the stack had not filled it in yet.
        n => n,
    };
    if header_length < 20 || total < header_length {
        return None;
    }
    let flags = u16::from_be_bytes([header[6], header[7]]);
    let fragment = Fragment {
        id: u32::from(u16::from_be_bytes([header[4], header[5]])),
        offset: u32::from(flags & 0x1fff) * 8,
        more: flags & 0x2000 != 0,
    };
    let payload = bytes.get(header_length..bytes.len().min(total))?;
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    Some(IpPacket {
        src: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        dst: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
        protocol: header[9],
        payload,
        length: total - header_length,
        fragment: (fragment.more || fragment.offset != 0).then_some(fragment),
        outgoing: None,
        interface_index: None,
    })
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;

fn v6(bytes: &[u8]) -> Option<IpPacket<'_>> {
    let (header, rest) = bytes.split_first_chunk::<40>()?;
    let mut length = match usize::from(u16::from_be_bytes([header[4], header[5]])) {
        0 => rest.len(), // A jumbogram (RFC 2675), or segmentation offload.
        n => n,
    };
    let mut rest = &rest[..rest.len().min(length)];
    let mut protocol = header[6];
    let mut fragment = None;
    loop {
        let header_length = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY => 8 + usize::from(*rest.get(1)?) * 8,
            AUTHENTICATION => (usize::from(*rest.get(1)?) + 2) * 4,
            FRAGMENT => {
                let (f, _) = rest.split_first_chunk::<8>()?;
                let offset = u16::from_be_bytes([f[2], f[3]]);
                fragment = Some(Fragment {
                    id: u32::from_be_bytes([f[4], f[5], f[6], f[7]]),
                    offset: u32::from(offset & 0xfff8),
                    more: offset & 1 != 0,
                });
                8
            }
            _ => break,
        };
        protocol = *rest.first()?;
        rest = rest.get(header_length..)?;
        length = length.checked_sub(header_length)?;
        // What follows the header of a later fragment is the middle of something.
        if fragment.is_some_and(|f| f.offset != 0) {
            break;
        }
    }
    let address = |at: usize| {
        let octets: [u8; 16] = header[at..at + 16].try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)))
    };
    Some(IpPacket {
        src: address(8)?,
        dst: address(24)?,
        protocol,
        payload: rest,
        length,
        // An atomic fragment (RFC 6946) is a whole packet.
        fragment: fragment.filter(|f| f.more || f.offset != 0),
        outgoing: None,
        interface_index: None,
    })
}
