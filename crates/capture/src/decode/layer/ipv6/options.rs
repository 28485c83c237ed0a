//! Hop-by-hop and destination options (RFC 8200 §4.3, §4.6).

use std::net::Ipv6Addr;

use super::super::{Below, Kind, Payload, Read, State, Step};

/// Home Address (RFC 6275 §6.3).
const HOME_ADDRESS: u8 = 201;
const PAD1: u8 = 0;

pub(in super::super) fn hop_by_hop(
    data: &mut Payload<'_>,
    below: &mut Below,
    _: &mut State,
) -> Read {
    const HEADER: &str = "hop-by-hop options";
    let (next, length) = super::extension(data, HEADER)?;
    data.skip(length, HEADER)?;
    below.header_bytes += length;
    Ok(Step::Next(Kind::Protocol(next)))
}

/// "It is used in a packet sent by a mobile node while away from home, to inform the recipient of
/// the mobile node's home address" (RFC 6275 §6.3), which upper layers then see.
pub(in super::super) fn destination(
    data: &mut Payload<'_>,
    below: &mut Below,
    _: &mut State,
) -> Read {
    const HEADER: &str = "destination options";
    let (next, length) = super::extension(data, HEADER)?;
    if let Some(home) = home_address(&data.peek(length, HEADER)?[2..]) {
        below.src = home.into();
    }
    data.skip(length, HEADER)?;
    below.header_bytes += length;
    Ok(Step::Next(Kind::Protocol(next)))
}

fn home_address(mut options: &[u8]) -> Option<Ipv6Addr> {
    loop {
        options = match *options {
            [PAD1, ref rest @ ..] => rest,
            [kind, length, ref rest @ ..] => {
                let (value, rest) = rest.split_at_checked(length.into())?;
                if kind == HOME_ADDRESS {
                    let octets: [u8; 16] = value.try_into().ok()?;
                    return Some(octets.into());
                }
                rest
            }
            _ => return None,
        }
    }
}
