//! ICMPv6: an end. Router advertisements on a 6LoWPAN link tell contexts of header compression.

use ipnet::Ipv6Net;

use super::contexts::Contexts;
use super::{Below, Payload, Read, State, Step};
use units::PanId;

/// Protocol number of ICMPv6.
pub(super) const PROTOCOL: u8 = 58;

/// Router Advertisement (RFC 4861 §4.2): type, code, checksum, and 12 bytes before the options.
const ROUTER_ADVERTISEMENT: u8 = 134;
const OPTIONS: usize = 16;
/// 6LoWPAN Context Option (RFC 6775 §4.2).
const CONTEXT: u8 = 34;

pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, state: &mut State) -> Read {
    // "The IP Hop Limit field has a value of 255, i.e., the packet could not possibly have been
    // forwarded by a router" (RFC 4861 §6.1.2).
    let neighbour = below.header.is_some_and(|header| header.hop_limit == 255);
    if let (Some(link), true, [ROUTER_ADVERTISEMENT, 0, ..]) = (below.link, neighbour, &**data)
        && let Some(options) = data.get(OPTIONS..)
        && below.received
    {
        learn(&mut state.contexts, link.pan, options);
    }
    Ok(Step::End(PROTOCOL))
}

/// ```text
/// +----------+--------+----------------+----------+----------+----------+--------
/// | type 34  | length | context length | res|C|CID| reserved | lifetime | prefix
/// +----------+--------+----------------+----------+----------+----------+--------
/// ```
fn learn(contexts: &mut Contexts, pan: PanId, mut options: &[u8]) {
    while let [kind, units, ..] = *options {
        let length = usize::from(units) * 8;
        let Some((option, rest)) = options.split_at_checked(length).filter(|_| units > 0) else {
            return;
        };
        if let (CONTEXT, Some((head, prefix))) = (kind, option.split_first_chunk::<8>()) {
            let [_, _, length, flags, _, _, l0, l1] = *head;
            let mut octets = [0; 16];
            let known = prefix.len().min(16);
            octets[..known].copy_from_slice(&prefix[..known]);
            let prefix = Ipv6Net::new(octets.into(), length).map(|net| net.trunc());
            // "A value of all zero bits (0x0) indicates that this context entry MUST be removed
            // immediately."
            let valid = u16::from_be_bytes([l0, l1]) != 0;
            if let Ok(prefix) = prefix {
                contexts.learn(pan, flags & 0xf, valid.then_some(prefix));
            }
        }
        options = rest;
    }
}
