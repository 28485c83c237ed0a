//! IPv6 (RFC 8200) and its extension headers.

mod fragment;
mod options;
mod routing;

use std::net::Ipv6Addr;

use super::{Below, Header, Kind, Payload, Read, State, Step, Unread};

pub(super) use fragment::read as fragment;
pub(super) use options::{destination as destination_options, hop_by_hop as hop_by_hop_options};
pub(super) use routing::read as routing;

const HEADER: &str = "IPv6 header";

pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, _: &mut State) -> Read {
    let header: [u8; 40] = data.take(HEADER)?;
    if header[0] >> 4 != 6 {
        return Err(Unread::Malformed(HEADER));
    }
    // 0: a jumbogram (RFC 2675), or segmentation offload.
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if length > 0 {
        data.set_length(length);
    }
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[at..at + 16]);
        Ipv6Addr::from(octets)
    };
    below.enter(
        Header {
            src: address(8).into(),
            dst: address(24).into(),
            hop_limit: header[7],
            identification: None,
        },
        header.len(),
    );
    Ok(Step::Next(Kind::Protocol(header[6])))
}

/// The Next Header of an extension header, and its whole length in bytes (RFC 8200 §4.2).
fn extension(data: &Payload<'_>, header: &'static str) -> Result<(u8, usize), Unread> {
    let start = data.peek(2, header)?;
    Ok((start[0], 8 + usize::from(start[1]) * 8))
}
