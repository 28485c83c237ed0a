//! The fragment header (RFC 8200 §4.5).

use super::super::{Below, Fragment, Kind, Payload, Read, State, Step};

const HEADER: &str = "fragment header";

pub(in super::super) fn read(data: &mut Payload<'_>, below: &mut Below, state: &mut State) -> Read {
    let [next, _, o0, o1, i0, i1, i2, i3] = data.take(HEADER)?;
    let offset = u16::from_be_bytes([o0, o1]);
    let (more, offset) = (offset & 1 != 0, usize::from(offset & 0xfff8));
    if !more && offset == 0 {
        // An atomic fragment (RFC 6946) is a whole packet.
        return Ok(Step::Next(Kind::Protocol(next)));
    }
    let fragment = Fragment {
        identification: u32::from_be_bytes([i0, i1, i2, i3]),
        protocol: next,
        offset,
        more,
    };
    Ok(below.fragment(state, &fragment, data))
}
