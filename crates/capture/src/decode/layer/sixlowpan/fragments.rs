//! Fragments (RFC 4944 §5.3).
//!
//! ```text
//! +-+-+-+-+-+-------------+---------------+
//! |1 1 0 0 0|datagram_size| datagram_tag  |                       the first
//! +-+-+-+-+-+-------------+---------------+
//! |1 1 1 0 0|datagram_size| datagram_tag  |datagram_offset|       the others
//! +-+-+-+-+-+-------------+---------------+---------------+
//! ```
//!
//! `datagram_size` is that of the IPv6 packet before compression, and so is the offset, in units
//! of 8 bytes.

use units::PanId;

use super::{Below, Ends, Kind, LinkAddress, Payload, Read, State, Step};
use crate::reassembly::Part;

const HEADER: &str = "6LoWPAN fragment header";

/// "(1) the sender's 802.15.4 source address (or the Originator Address if a Mesh Addressing field
/// is present), (2) the destination's 802.15.4 address (or the Final Destination address if a Mesh
/// Addressing field is present), (3) datagram_size, and (4) datagram_tag"; and of each hop of a
/// mesh for itself, whose sender the frame names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct FragmentKey {
    ends: Option<Ends>,
    size: u16,
    tag: u16,
    sender: Option<(PanId, LinkAddress)>,
}

pub(super) fn first(data: &mut Payload<'_>, below: &mut Below, state: &mut State) -> Read {
    let [s0, s1, t0, t1] = data.take(HEADER)?;
    let key = key(below, [s0, s1], [t0, t1]);
    super::expand(data, below, &mut state.contexts, Some(key.size.into()))?;
    Ok(push(key, 0, data, below, state))
}

pub(super) fn later(data: &mut Payload<'_>, below: &mut Below, state: &mut State) -> Read {
    let [s0, s1, t0, t1, offset] = data.take(HEADER)?;
    let key = key(below, [s0, s1], [t0, t1]);
    Ok(push(key, usize::from(offset) * 8, data, below, state))
}

fn key(below: &Below, size: [u8; 2], tag: [u8; 2]) -> FragmentKey {
    FragmentKey {
        ends: below.link,
        size: u16::from_be_bytes(size) & 0x7ff,
        tag: u16::from_be_bytes(tag),
        sender: below.sender.map(|s| (s.pan, s.address)),
    }
}

fn push(
    key: FragmentKey,
    offset: usize,
    data: &mut Payload<'_>,
    below: &mut Below,
    state: &mut State,
) -> Step {
    let part = Part {
        time: below.time,
        offset,
        data,
        length: data.length(),
        total: Some(key.size.into()),
        protocol: 0,
        received: below.received,
    };
    match state.lowpan_fragments.push(key, part) {
        None => Step::Nothing,
        Some(whole) => {
            *data = below.reassembled(whole);
            Step::Next(Kind::Ip)
        }
    }
}
