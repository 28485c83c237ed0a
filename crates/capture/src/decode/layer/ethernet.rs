//! Ethernet, and IEEE 802.1Q and 802.1ad tags.

use units::EthernetAddress;

use super::{Below, Kind, Payload, Read, State, Step, Unread};

const HEADER: &str = "Ethernet header";

/// Smaller values are lengths (IEEE 802.3 §3.2.6).
const LEAST_ETHERTYPE: u16 = 0x0600;

pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, _: &mut State) -> Read {
    let dst = EthernetAddress(data.take(HEADER)?);
    let src = EthernetAddress(data.take(HEADER)?);
    match below.header {
        None => below.ethernet = Some([src, dst]),
        // A whole frame in a tunnel.
        Some(_) => below.header_bytes += 14,
    }
    ethertype(data)
}

/// Two bytes of tag, then the next EtherType.
pub(super) fn read_vlan_tag(data: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    data.skip(2, HEADER)?;
    ethertype(data)
}

fn ethertype(data: &mut Payload<'_>) -> Read {
    match u16::from_be_bytes(data.take(HEADER)?) {
        0..LEAST_ETHERTYPE => Err(Unread::Named("IEEE 802.2 LLC")),
        number => Ok(Step::Next(Kind::EtherType(number))),
    }
}
