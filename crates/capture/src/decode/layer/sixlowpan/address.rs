//! Addresses in IPHC (RFC 6282 §3.2.2 to §3.2.4).

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::{Payload, Unread};

const HEADER: &str = "6LoWPAN IPHC header";

/// A source or a unicast destination without context, by SAM or DAM. `iid` is what the
/// encapsulating header says of the interface identifier.
pub(super) fn stateless(
    mode: u8,
    data: &mut Payload<'_>,
    iid: Option<[u8; 8]>,
) -> Result<Ipv6Addr, Unread> {
    Ok(match mode {
        0 => Ipv6Addr::from(data.take::<16>(HEADER)?),
        _ => join(LINK_LOCAL, interface_identifier(mode, data, iid)?),
    })
}

/// A source or a unicast destination with context, by SAM or DAM 1 to 3. "Bits covered by context
/// information are always used. Any IID bits not covered by context information are taken
/// directly from" the mode's; "Any remaining bits are zero."
pub(super) fn stateful(
    mode: u8,
    data: &mut Payload<'_>,
    iid: Option<[u8; 8]>,
    prefix: Ipv6Net,
) -> Result<Ipv6Addr, Unread> {
    let address = join([0; 8], interface_identifier(mode, data, iid)?);
    let covered = u128::from(prefix.netmask());
    Ok((u128::from(address) & !covered | u128::from(prefix.network())).into())
}

/// A multicast destination without context, by DAM.
pub(super) fn multicast(mode: u8, data: &mut Payload<'_>) -> Result<Ipv6Addr, Unread> {
    let mut octets = [0; 16];
    octets[0] = 0xff;
    match mode {
        0 => octets = data.take(HEADER)?,
        // ffXX::00XX:XXXX:XXXX
        1 => {
            let [flags, group @ ..] = data.take::<6>(HEADER)?;
            octets[1] = flags;
            octets[11..].copy_from_slice(&group);
        }
        // ffXX::00XX:XXXX
        2 => {
            let [flags, group @ ..] = data.take::<4>(HEADER)?;
            octets[1] = flags;
            octets[13..].copy_from_slice(&group);
        }
        // ff02::00XX
        _ => (octets[1], octets[15]) = (0x02, data.take::<1>(HEADER)?[0]),
    }
    Ok(octets.into())
}

/// A multicast address that is based on a unicast prefix (RFC 3306, RFC 3956), of a context:
/// `ffXX:XXLL:PPPP:PPPP:PPPP:PPPP:XXXX:XXXX`, L the prefix length, P the prefix.
pub(super) fn prefix_based_multicast(
    data: &mut Payload<'_>,
    prefix: Ipv6Net,
) -> Result<Ipv6Addr, Unread> {
    let [flags, interface, group @ ..] = data.take::<6>(HEADER)?;
    let mut octets = [0; 16];
    octets[..3].copy_from_slice(&[0xff, flags, interface]);
    octets[3] = prefix.prefix_len().min(64);
    octets[4..12].copy_from_slice(&prefix.network().octets()[..8]);
    octets[12..].copy_from_slice(&group);
    Ok(octets.into())
}

const LINK_LOCAL: [u8; 8] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0];

fn join(prefix: [u8; 8], iid: [u8; 8]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&prefix);
    octets[8..].copy_from_slice(&iid);
    octets.into()
}

fn interface_identifier(
    mode: u8,
    data: &mut Payload<'_>,
    iid: Option<[u8; 8]>,
) -> Result<[u8; 8], Unread> {
    match mode {
        1 => data.take(HEADER),
        2 => {
            let [high, low] = data.take(HEADER)?;
            Ok([0, 0, 0, 0xff, 0xfe, 0, high, low])
        }
        _ => iid.ok_or(Unread::Malformed(HEADER)),
    }
}
