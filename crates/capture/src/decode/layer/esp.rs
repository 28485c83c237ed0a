//! Encapsulating Security Payload (RFC 4303): read where nothing is encrypted (RFC 2410), and told by its
//! name where something is.
//!
//! ```text
//! +-----+----------+---------------+---------------+------------+-------------+------------------+
//! | SPI | sequence | payload       | 1, 2, 3, ...  | pad length | next header | check value: ICV |
//! +-----+----------+---------------+---------------+------------+-------------+------------------+
//! ```
//!
//! No header says which of the two it is (RFC 5879 §3). Where nothing is encrypted, padding and next header stand
//! in front of an ICV of a usual length, and the payload has the length and the checksum that its protocol
//! demands; of encrypted bytes less than one packet in 2^28 looks so.

use std::net::IpAddr;

use super::super::{TCP, UDP};
use super::{Below, Kind, Payload, Read, State, Step, Unread, icmpv6};

const NAME: &str = "ESP";
/// SPI and sequence number; pad length and next header.
const HEADER: usize = 8;
const TRAILER: usize = 2;
/// Bytes of the ICVs of HMAC-SHA-256-128 (RFC 4868 §2.6), HMAC-MD5-96 and HMAC-SHA-1-96 (RFC 2403, RFC 2404),
/// HMAC-SHA-384-192 and HMAC-SHA-512-256.
const ICVS: [usize; 4] = [16, 12, 24, 32];

const IPV4: u8 = 4;
const IPV6: u8 = 41;
const MOBILITY: u8 = 135;

pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, _: &mut State) -> Read {
    if data.is_cut() {
        return Err(Unread::Cut(NAME));
    }
    let plain = |icv: &usize| plain(&data[..data.len().checked_sub(*icv)?], below);
    let Some((next, length)) = ICVS.iter().find_map(plain) else {
        return Err(Unread::Named(NAME));
    };
    below.header_bytes += data.len() - length;
    data.skip(HEADER, NAME)?;
    data.set_length(length);
    Ok(Step::Next(Kind::Protocol(next)))
}

/// The next header and the payload's length of what stands in front of an ICV, if that is not encrypted.
fn plain(packet: &[u8], below: &Below) -> Option<(u8, usize)> {
    let (rest, &[pad, next]) = packet.get(HEADER..)?.split_last_chunk::<TRAILER>()?;
    let (payload, padding) = rest.split_at(rest.len().checked_sub(pad.into())?);
    // "The first padding byte appended to the plaintext is numbered 1, with subsequent padding bytes making
    // up a monotonically increasing sequence" (§2.4), up to a multiple of four bytes.
    let is_padding = padding
        .iter()
        .zip(1..=u8::MAX)
        .all(|(byte, number)| *byte == number);
    let is_aligned = packet.len().is_multiple_of(4);
    (is_padding && is_aligned && holds(next, payload, below)).then_some((next, payload.len()))
}

/// Whether bytes are what this protocol demands.
fn holds(protocol: u8, payload: &[u8], below: &Below) -> bool {
    let length_at = |at: usize| {
        let bytes = payload.get(at..at + 2)?.try_into().ok()?;
        Some(usize::from(u16::from_be_bytes(bytes)))
    };
    let checked = || checksum(protocol, payload, below) == 0xffff;
    match protocol {
        MOBILITY => units(payload) == Some(payload.len()) && checked(),
        UDP => payload.len() >= 8 && length_at(4) == Some(payload.len()) && checked(),
        TCP => payload.len() >= 20 && checked(),
        icmpv6::PROTOCOL => payload.len() >= 8 && checked(),
        IPV6 => {
            payload.len() >= 40 && payload[0] >> 4 == 6 && length_at(4) == Some(payload.len() - 40)
        }
        IPV4 => {
            payload.len() >= 20
                && payload[0] == 0x45
                && length_at(2) == Some(payload.len())
                && folded(words(&payload[..20])) == 0xffff
        }
        _ => false,
    }
}

/// The length that a Mobility Header says it has (RFC 6275 §6.1.1).
fn units(header: &[u8]) -> Option<usize> {
    match header {
        [59, units, ..] => Some(8 + usize::from(*units) * 8),
        _ => None,
    }
}

/// The sum over the pseudo-header (RFC 8200 §8.1) and the payload with its checksum; 0xffff if that is right.
fn checksum(protocol: u8, payload: &[u8], below: &Below) -> u16 {
    let address = |address: IpAddr| match address {
        IpAddr::V4(address) => words(&address.octets()),
        IpAddr::V6(address) => words(&address.octets()),
    };
    let head = address(below.src) + address(below.dst);
    folded(head + payload.len() as u64 + u64::from(protocol) + words(payload))
}

/// The sum of 16-bit words, the last one filled up.
fn words(bytes: &[u8]) -> u64 {
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low));
    bytes.chunks(2).map(word).sum()
}

/// A sum in one's complement (RFC 1071).
fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
