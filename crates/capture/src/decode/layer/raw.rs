//! IPv4 or IPv6 without a header before it.

use super::{Below, Kind, Payload, Read, State, Step, Unread};

pub(super) fn read(data: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    let version = data.peek(1, "IP header")?[0] >> 4;
    match version {
        4 => Ok(Step::Next(Kind::EtherType(0x0800))),
        6 => Ok(Step::Next(Kind::EtherType(0x86dd))),
        other => Err(Unread::Value("IP version", other)),
    }
}
