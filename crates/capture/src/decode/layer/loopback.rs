//! BSD loopback: the address family in the byte order of the host, or of the network.

use super::{Below, Kind, Payload, Read, State, Step, Unread};

const HEADER: &str = "loopback header";

pub(super) fn read(data: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    let family = match data.take::<4>(HEADER)? {
        [0, 0, 0, n] | [n, 0, 0, 0] => n,
        _ => return Err(Unread::Malformed(HEADER)),
    };
    match family {
        // AF_INET everywhere; AF_INET6 of Linux, NetBSD, FreeBSD and Darwin.
        2 | 10 | 24 | 28 | 30 => Ok(Step::Next(Kind::Ip)),
        other => Err(Unread::Value("loopback address family", other)),
    }
}
