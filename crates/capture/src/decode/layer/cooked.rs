//! Linux "cooked" captures: of interfaces of any kind, with the direction.

use super::{Below, Kind, Payload, Read, State, Step};

const HEADER: &str = "cooked header";

/// `sll_pkttype` of a packet that the capturing host sent (PACKET_OUTGOING).
const OUTGOING: u8 = 4;

/// LINKTYPE_LINUX_SLL.
pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, _: &mut State) -> Read {
    // Packet type, ARPHRD, address length, address (8), EtherType.
    let header: [u8; 16] = data.take(HEADER)?;
    // Two bytes, of which the first is 0.
    below.outgoing = Some(header[1] == OUTGOING);
    let [.., e0, e1] = header;
    Ok(next([e0, e1]))
}

/// LINKTYPE_LINUX_SLL2.
pub(super) fn read_version_2(data: &mut Payload<'_>, below: &mut Below, _: &mut State) -> Read {
    // EtherType, reserved, interface, ARPHRD, packet type, address length, address (8).
    let header: [u8; 20] = data.take(HEADER)?;
    let [e0, e1, _, _, i0, i1, i2, i3, _, _, kind, ..] = header;
    below.outgoing = Some(kind == OUTGOING);
    below.interface_index = Some(u32::from_be_bytes([i0, i1, i2, i3]));
    Ok(next([e0, e1]))
}

fn next(ethertype: [u8; 2]) -> Step {
    Step::Next(Kind::EtherType(u16::from_be_bytes(ethertype)))
}
