//! IPv4 (RFC 791), and its fragments.

use std::net::Ipv4Addr;

use super::{Below, Fragment, Header, Kind, Payload, Read, State, Step, Unread};

const HEADER: &str = "IPv4 header";

pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, state: &mut State) -> Read {
    let header: [u8; 20] = data.take(HEADER)?;
    let header_length = usize::from(header[0] & 0xf) * 4;
    let total = match usize::from(u16::from_be_bytes([header[2], header[3]])) {
        0 => 20 + data.length(), // Segmentation offload: the stack had not filled it in yet.
        n => n,
    };
    if header[0] >> 4 != 4 || header_length < 20 || total < header_length {
        return Err(Unread::Malformed(HEADER));
    }
    data.skip(header_length - 20, HEADER)?;
    data.set_length(total - header_length);

    let identification = u16::from_be_bytes([header[4], header[5]]);
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = header;
    below.enter(
        Header {
            src: Ipv4Addr::new(s0, s1, s2, s3).into(),
            dst: Ipv4Addr::new(d0, d1, d2, d3).into(),
            hop_limit: header[8],
            identification: Some(identification),
        },
        header_length,
    );
    let protocol = header[9];
    let flags = u16::from_be_bytes([header[6], header[7]]);
    let (more, offset) = (flags & 0x2000 != 0, usize::from(flags & 0x1fff) * 8);
    if !more && offset == 0 {
        return Ok(Step::Next(Kind::Protocol(protocol)));
    }
    let fragment = Fragment {
        identification: identification.into(),
        protocol,
        offset,
        more,
    };
    Ok(below.fragment(state, &fragment, data))
}
