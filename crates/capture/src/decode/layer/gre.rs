//! Generic Routing Encapsulation (RFC 2784, RFC 2890).

use super::{Below, Kind, Payload, Read, State, Step, Unread};
use crate::packet::LinkType;

const HEADER: &str = "GRE header";

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const VERSION: u16 = 0x0007;

/// Protocol type of a whole Ethernet frame (RFC 1701 §"Current List of Protocol Types").
const ETHERNET: u16 = 0x6558;

pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, _: &mut State) -> Read {
    let [f0, f1, p0, p1] = data.take(HEADER)?;
    let flags = u16::from_be_bytes([f0, f1]);
    if flags & VERSION != 0 {
        return Err(Unread::Value("GRE version", (flags & VERSION) as u8));
    }
    if flags & ROUTING != 0 {
        return Err(Unread::Named("GRE with a source route"));
    }
    let fields = [CHECKSUM, KEY, SEQUENCE].map(|bit| usize::from(flags & bit != 0) * 4);
    let fields = fields.iter().sum();
    data.skip(fields, HEADER)?;
    below.header_bytes += 4 + fields;
    Ok(match u16::from_be_bytes([p0, p1]) {
        ETHERNET => Step::Next(Kind::Link(LinkType::ETHERNET)),
        number => Step::Next(Kind::EtherType(number)),
    })
}
