//! Link-layer headers.

use crate::packet::LinkType;

/// What stands after a link-layer header.
pub(super) struct Link<'a> {
    pub(super) payload: &'a [u8],
    pub(super) outgoing: Option<bool>,
    pub(super) interface_index: Option<u32>,
}

/// DLT_RAW as some BSDs number it.
const BSD_RAW: [LinkType; 2] = [LinkType(12), LinkType(14)];

/// `sll_pkttype` of a packet that the capturing host sent (PACKET_OUTGOING).
const OUTGOING: u8 = 4;

/// Takes the link-layer header off, if IPv4 or IPv6 follows.
pub(super) fn strip(link_type: LinkType, frame: &[u8]) -> Option<Link<'_>> {
    match link_type {
        LinkType::ETHERNET => {
            let (_, rest) = frame.split_at_checked(12)?;
            plain(ethertype(rest)?)
        }
        LinkType::LINUX_SLL => {
            let (header, rest) = frame.split_at_checked(14)?;
            Some(Link {
                payload: ethertype(rest)?,
                // Two bytes, of which the first is 0.
                outgoing: Some(header[1] == OUTGOING),
                interface_index: None,
            })
        }
        LinkType::LINUX_SLL2 => {
            let (header, rest) = frame.split_first_chunk::<20>()?;
            let [p0, p1, _, _, i0, i1, i2, i3, _, _, kind, ..] = *header;
            Some(Link {
                payload: network_layer([p0, p1], rest)?,
                outgoing: Some(kind == OUTGOING),
                interface_index: Some(u32::from_be_bytes([i0, i1, i2, i3])),
            })
        }
        LinkType::NULL | LinkType::LOOP => {
            let (family, rest) = frame.split_first_chunk::<4>()?;
            let family = match *family {
                [0, 0, 0, n] | [n, 0, 0, 0] => n,
                _ => return None,
            };
            // AF_INET everywhere; AF_INET6 of Linux, NetBSD, FreeBSD and Darwin.
            matches!(family, 2 | 10 | 24 | 28 | 30).then_some(())?;
            plain(rest)
        }
        LinkType::RAW | LinkType::IPV4 | LinkType::IPV6 => plain(frame),
        other if BSD_RAW.contains(&other) => plain(frame),
        _ => None,
    }
}

fn plain(payload: &[u8]) -> Option<Link<'_>> {
    Some(Link {
        payload,
        outgoing: None,
        interface_index: None,
    })
}

/// What follows an EtherType, if that is IP.
fn ethertype(bytes: &[u8]) -> Option<&[u8]> {
    let (kind, rest) = bytes.split_first_chunk::<2>()?;
    network_layer(*kind, rest)
}

fn network_layer(kind: [u8; 2], rest: &[u8]) -> Option<&[u8]> {
    match kind {
        [0x08, 0x00] | [0x86, 0xdd] => Some(rest),
        // IEEE 802.1Q and 802.1ad: two bytes of tag, then the next EtherType.
        [0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00] => ethertype(rest.get(2..)?),
        _ => None,
    }
}
