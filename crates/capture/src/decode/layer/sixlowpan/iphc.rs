//! Header compression of IPv6 (RFC 6282 §3).
//!
//! ```text
//!   0   1   2   3   4   5   6   7   8   9  10  11  12  13  14  15
//! +---+---+---+---+---+---+---+---+---+---+---+---+---+---+---+---+-----------+
//! | 0 | 1 | 1 |  TF   |NH | HLIM  |CID|SAC|  SAM  | M |DAC|  DAM  | SCI | DCI |
//! +---+---+---+---+---+---+---+---+---+---+---+---+---+---+---+---+-----------+
//! ```

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::{Below, Contexts, Payload, Unread, address, nhc};

pub(super) const HEADER: &str = "6LoWPAN IPHC header";

/// An IPv6 header without extensions; where its payload length and its next header are.
const IPV6: usize = 40;
const PAYLOAD_LENGTH: usize = 4;
const NEXT_HEADER: usize = 6;

/// IPv6 headers in IPv6 headers, all compressed.
const MOST_HEADERS: u8 = 8;

/// What the encapsulating header, of the link or of a tunnel, says of the interface identifiers.
#[derive(Clone, Copy)]
pub(super) struct Encapsulating {
    pub(super) src: Option<[u8; 8]>,
    pub(super) dst: Option<[u8; 8]>,
}

/// An expanded header, or several.
#[derive(Default)]
pub(super) struct Expanded {
    pub(super) bytes: Vec<u8>,
    /// Where length fields are, and from where on their length counts: nothing knows it before
    /// all headers are expanded.
    pub(super) lengths: Vec<(usize, usize)>,
    /// How many of the headers are of IPv6.
    depth: u8,
}

/// Puts the headers in place as they were before compression. `total` is the length of the packet
/// if this is its first fragment.
pub(super) fn expand(
    data: &mut Payload<'_>,
    below: &Below,
    contexts: &mut Contexts,
    total: Option<usize>,
) -> Result<(), Unread> {
    let link = below.link.ok_or(Unread::Malformed(HEADER))?;
    let encapsulating = Encapsulating {
        src: link.src.map(|address| address.interface_identifier()),
        dst: link.dst.map(|address| address.interface_identifier()),
    };
    let mut expanded = Expanded::default();
    let mut lookup = |context| contexts.get(link.pan, context);
    header(data, &mut expanded, encapsulating, &mut lookup)?;

    let Expanded {
        mut bytes, lengths, ..
    } = expanded;
    let length = bytes.len() + data.length();
    let total = total.unwrap_or(length);
    if total < length {
        return Err(Unread::Malformed(HEADER));
    }
    for (field, from) in lengths {
        // 0 as of a jumbogram: no frame is that long.
        let length = u16::try_from(total - from).unwrap_or(0);
        bytes[field..field + 2].copy_from_slice(&length.to_be_bytes());
    }
    bytes.extend_from_slice(data);
    *data = Payload::made(bytes, length, data.has_holes());
    Ok(())
}

/// Expands an IPv6 header and those that follow it compressed.
pub(super) fn header(
    data: &mut Payload<'_>,
    out: &mut Expanded,
    encapsulating: Encapsulating,
    contexts: &mut dyn FnMut(u8) -> Option<Ipv6Net>,
) -> Result<(), Unread> {
    out.depth += 1;
    if out.depth > MOST_HEADERS {
        return Err(Unread::Malformed(HEADER));
    }
    let [first, second] = data.take(HEADER)?;
    let [sci, dci] = match second & 0x80 {
        0 => [0; 2],
        _ => {
            let [ids] = data.take(HEADER)?;
            [ids >> 4, ids & 0xf]
        }
    };
    let traffic = traffic_class_and_flow_label(first >> 3 & 3, data)?;
    let next_is_compressed = first & 0x04 != 0;
    let next = match next_is_compressed {
        true => 0, // Told by what follows.
        false => data.take::<1>(HEADER)?[0],
    };
    let hop_limit = match first & 3 {
        0 => data.take::<1>(HEADER)?[0],
        1 => 1,
        2 => 64,
        _ => 255,
    };
    let mut context = |id| contexts(id).ok_or(Unread::Value("6LoWPAN without its context", id));
    let (stateful, mode) = (second & 0x40 != 0, second >> 4 & 3);
    let src = match (stateful, mode) {
        (false, _) => address::stateless(mode, data, encapsulating.src)?,
        (true, 0) => Ipv6Addr::UNSPECIFIED,
        (true, _) => address::stateful(mode, data, encapsulating.src, context(sci)?)?,
    };
    let (multicast, stateful, mode) = (second & 0x08 != 0, second & 0x04 != 0, second & 3);
    let dst = match (multicast, stateful, mode) {
        (false, false, _) => address::stateless(mode, data, encapsulating.dst)?,
        (false, true, 1..) => address::stateful(mode, data, encapsulating.dst, context(dci)?)?,
        (true, false, _) => address::multicast(mode, data)?,
        (true, true, 0) => address::prefix_based_multicast(data, context(dci)?)?,
        _ => return Err(Unread::Malformed(HEADER)), // Reserved.
    };

    let start = out.bytes.len();
    out.bytes.extend((0x6000_0000 | traffic).to_be_bytes());
    out.lengths.push((start + PAYLOAD_LENGTH, start + IPV6));
    out.bytes.extend([0, 0, next, hop_limit]);
    out.bytes.extend(src.octets());
    out.bytes.extend(dst.octets());
    if next_is_compressed {
        let inner = Encapsulating {
            src: src.octets().last_chunk().copied(),
            dst: dst.octets().last_chunk().copied(),
        };
        nhc::headers(data, out, start + NEXT_HEADER, inner, contexts)?;
    }
    Ok(())
}

/// Both as they stand in an IPv6 header, from the forms of TF (§3.2.1): ECN before DSCP.
fn traffic_class_and_flow_label(form: u8, data: &mut Payload<'_>) -> Result<u32, Unread> {
    let class = |ecn_dscp: u8| u32::from(ecn_dscp.rotate_left(2)) << 20;
    let label = |high: u8, middle: u8, low: u8| u32::from_be_bytes([0, high & 0xf, middle, low]);
    Ok(match form {
        0 => {
            let [ecn_dscp, high, middle, low] = data.take(HEADER)?;
            class(ecn_dscp) | label(high, middle, low)
        }
        1 => {
            let [high, middle, low] = data.take(HEADER)?;
            class(high & 0xc0) | label(high, middle, low)
        }
        2 => class(data.take::<1>(HEADER)?[0]),
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_class_and_flow_label_stand_as_in_an_ipv6_header() {
        // ECN 2, DSCP 1: a class of 000001'10. Flow label 0xf0102.
        for (form, in_line, expected) in [
            (0, &[0x81, 0x0f, 0x01, 0x02][..], 0x006f_0102),
            (1, &[0x8f, 0x01, 0x02], 0x002f_0102),
            (2, &[0x81], 0x0060_0000),
            (3, &[], 0),
        ] {
            let mut data = Payload::new(in_line, in_line.len());
            assert_eq!(traffic_class_and_flow_label(form, &mut data), Ok(expected));
            assert!(data.is_empty());
        }
    }
}
