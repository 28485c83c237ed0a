//! UDP (RFC 768): an end, unless it carries something that has a layer.

use super::super::UDP;
use super::{Below, OVER_UDP, Payload, Read, State, Step, Unread, tunnels};

const HEADER: &str = "UDP header";

pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, state: &mut State) -> Read {
    data.peek(8, HEADER)?;
    let Some(([s0, s1, d0, d1, l0, l1, _, _], carried)) = data.split_first_chunk() else {
        return Err(Unread::Malformed(HEADER));
    };
    // 0 is a jumbogram's (RFC 2675 §4).
    if let 1..8 = u16::from_be_bytes([*l0, *l1]) {
        return Err(Unread::Malformed(HEADER));
    }
    let ports = [[*s0, *s1], [*d0, *d1]].map(u16::from_be_bytes);
    if let Some(name) = tunnels::name(ports, carried) {
        return Err(Unread::Named(name));
    }
    if let Some((_, layer)) = OVER_UDP.iter().find(|(is, _)| is(ports, carried)) {
        data.skip(8, HEADER)?;
        return layer(data, below, state);
    }
    Ok(Step::End(UDP))
}
