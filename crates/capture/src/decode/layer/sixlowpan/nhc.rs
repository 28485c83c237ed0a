//! Header compression of what follows IPv6 (RFC 6282 §4).
//!
//! ```text
//! |1 1 1 0| EID |NH|   an extension header, or an IPv6 header
//! |1 1 1 1 0|C| P |    a UDP header
//! ```

use ipnet::Ipv6Net;

use super::super::super::UDP;
use super::iphc::{self, Encapsulating, Expanded};
use super::{Payload, Unread};

const HEADER: &str = "6LoWPAN NHC header";

/// Protocol numbers.
const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
const IPV6: u8 = 41;

/// Those of what an EID stands for (§4.2); 5 and 6 are reserved.
const EXTENSIONS: [Option<u8>; 8] = [
    Some(HOP_BY_HOP),
    Some(43),
    Some(FRAGMENT),
    Some(DESTINATION),
    Some(135),
    None,
    None,
    Some(IPV6),
];

/// Expands the headers from a NHC byte on. The byte at `next` in `out` is the Next Header of the
/// header before; `inner` is for an IPv6 header among them.
pub(super) fn headers(
    data: &mut Payload<'_>,
    out: &mut Expanded,
    mut next: usize,
    inner: Encapsulating,
    contexts: &mut dyn FnMut(u8) -> Option<Ipv6Net>,
) -> Result<(), Unread> {
    loop {
        let [nhc] = data.take(HEADER)?;
        let unknown = Unread::Value("6LoWPAN NHC", nhc);
        match nhc {
            0xe0..=0xef => {
                let extension = EXTENSIONS[usize::from(nhc >> 1 & 7)].ok_or(unknown)?;
                out.bytes[next] = extension;
                if extension == IPV6 {
                    return iphc::header(data, out, inner, contexts);
                }
                next = out.bytes.len();
                let next_is_compressed = nhc & 1 != 0;
                expand_extension(extension, next_is_compressed, data, &mut out.bytes)?;
                if !next_is_compressed {
                    return Ok(());
                }
            }
            0xf0..=0xf7 => {
                out.bytes[next] = UDP;
                return expand_udp(nhc, data, out);
            }
            _ => return Err(unknown),
        }
    }
}

/// "The Length field contained in a compressed IPv6 Extension Header indicates the number of
/// octets that pertain to the (compressed) extension header following the Length field." A
/// trailing Pad1 or PadN is elided.
fn expand_extension(
    extension: u8,
    next_is_compressed: bool,
    data: &mut Payload<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Unread> {
    let next = match next_is_compressed {
        true => 0, // Told by what follows.
        false => data.take::<1>(HEADER)?[0],
    };
    let [length] = data.take(HEADER)?;
    if extension == FRAGMENT {
        // A reserved byte stands there instead of a length.
        out.extend([next, 0]);
        out.extend(data.take::<6>(HEADER)?);
        return Ok(());
    }
    let length = usize::from(length);
    let whole = (2 + length).next_multiple_of(8);
    out.extend([next, (whole / 8 - 1) as u8]);
    out.extend(data.peek(length, HEADER)?);
    data.skip(length, HEADER)?;
    match (whole - 2 - length, extension) {
        (0, _) => {}
        (1, HOP_BY_HOP | DESTINATION) => out.push(0),
        (n, HOP_BY_HOP | DESTINATION) => {
            out.extend([1, (n - 2) as u8]);
            out.extend(std::iter::repeat_n(0, n - 2));
        }
        _ => return Err(Unread::Malformed(HEADER)),
    }
    Ok(())
}

/// UDP (§4.3.3). The length is told by the frame; an elided checksum is left zero.
fn expand_udp(nhc: u8, data: &mut Payload<'_>, out: &mut Expanded) -> Result<(), Unread> {
    let [src, dst] = match nhc & 3 {
        0 => {
            let [s0, s1, d0, d1] = data.take(HEADER)?;
            [[s0, s1], [d0, d1]]
        }
        1 => {
            let [s0, s1, d1] = data.take(HEADER)?;
            [[s0, s1], [0xf0, d1]]
        }
        2 => {
            let [s1, d0, d1] = data.take(HEADER)?;
            [[0xf0, s1], [d0, d1]]
        }
        _ => {
            let [both] = data.take(HEADER)?;
            [[0xf0, 0xb0 | both >> 4], [0xf0, 0xb0 | both & 0xf]]
        }
    };
    let checksum = match nhc & 4 {
        0 => data.take(HEADER)?,
        _ => [0; 2],
    };
    let start = out.bytes.len();
    out.lengths.push((start + 4, start));
    out.bytes
        .extend([src, dst, [0; 2], checksum].as_flattened());
    Ok(())
}
