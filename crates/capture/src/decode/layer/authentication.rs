//! The authentication header (RFC 4302), which hides nothing.

use super::{Below, Kind, Payload, Read, State, Step};

const HEADER: &str = "authentication header";

pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, _: &mut State) -> Read {
    let start = data.peek(2, HEADER)?;
    // In units of four bytes, minus 2.
    let (next, length) = (start[0], (usize::from(start[1]) + 2) * 4);
    data.skip(length, HEADER)?;
    below.header_bytes += length;
    Ok(Step::Next(Kind::Protocol(next)))
}
