//! An entry of the table as bytes.
//!
//! Big-endian, in this order; a record without the last three parts removes the entry:
//!
//! ```text
//! P_Addr (16)  flags (1)  | T_Addr (16)  source (16)  end of lifetime (8)
//! end of sleep (8, if flag SLEEPS)  number of the last message (2, if flag NUMBERED)
//! sequence number (2)  correspondents (2)
//! | per correspondent: address (16)  port (2)  scope (4)
//! ```
//!
//! Instants are nanoseconds of Unix time.

use std::net::{Ipv6Addr, SocketAddrV6};

use comp::Sequence;
use comp::mmt::{Correspondents, Entry, Talk};
use units::SimTime;

/// Bytes of a record with one correspondent; most have as many or none.
pub(crate) const USUAL_BYTES: usize = 96;

const PRESENT: u8 = 1;
const HELD: u8 = 2;
const SLEEPS: u8 = 4;
const TELLING: u8 = 8;
const NUMBERED: u8 = 16;

/// Appends what a table holds for `p_addr`; `None` removes it. Unix time is `ahead` nanoseconds of the
/// clock of the table.
pub fn write(bytes: &mut Vec<u8>, p_addr: Ipv6Addr, entry: Option<&Entry>, ahead: i64) {
    bytes.extend(p_addr.octets());
    let Some(entry) = entry else {
        bytes.push(0);
        return;
    };
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    bytes.push(
        PRESENT
            | flag(entry.held, HELD)
            | flag(entry.sleep_ends.is_some(), SLEEPS)
            | flag(entry.extra.telling, TELLING)
            | flag(entry.sequence.is_some(), NUMBERED),
    );
    bytes.extend(entry.t_addr.octets());
    bytes.extend(entry.extra.source.octets());
    let unix = |at: SimTime| at.as_nanos().saturating_add_signed(ahead).to_be_bytes();
    bytes.extend(unix(entry.lifetime_ends));
    if let Some(end) = entry.sleep_ends {
        bytes.extend(unix(end));
    }
    if let Some(sequence) = entry.sequence {
        bytes.extend(sequence.0.to_be_bytes());
    }
    bytes.extend(entry.extra.sequence_number.to_be_bytes());
    let correspondents = &entry.extra.correspondents;
    // More than 65,535 are told when they answer a request of theirs, not after a restart.
    let count = u16::try_from(correspondents.len()).unwrap_or(u16::MAX);
    bytes.extend(count.to_be_bytes());
    for correspondent in correspondents.iter().take(count.into()) {
        bytes.extend(correspondent.ip().octets());
        bytes.extend(correspondent.port().to_be_bytes());
        bytes.extend(correspondent.scope_id().to_be_bytes());
    }
}

/// Takes one record off the front of `bytes`; `None` if there is no whole one.
pub fn read(bytes: &mut &[u8]) -> Option<(Ipv6Addr, Option<Entry>)> {
    let p_addr = address(bytes)?;
    let [flags] = take(bytes)?;
    if flags == 0 {
        return Some((p_addr, None));
    }
    if flags & PRESENT == 0 || flags & !(PRESENT | HELD | SLEEPS | TELLING | NUMBERED) != 0 {
        return None;
    }
    let t_addr = address(bytes)?;
    let source = address(bytes)?;
    let lifetime_ends = instant(bytes)?;
    let sleep_ends = match flags & SLEEPS {
        0 => None,
        _ => Some(instant(bytes)?),
    };
    let sequence = match flags & NUMBERED {
        0 => None,
        _ => Some(Sequence(u16::from_be_bytes(take(bytes)?))),
    };
    let sequence_number = u16::from_be_bytes(take(bytes)?);
    let count = u16::from_be_bytes(take(bytes)?);
    let correspondents: Option<Correspondents> = (0..count)
        .map(|_| {
            let ip = address(bytes)?;
            let port = u16::from_be_bytes(take(bytes)?);
            let scope = u32::from_be_bytes(take(bytes)?);
            Some(SocketAddrV6::new(ip, port, 0, scope))
        })
        .collect();
    let entry = Entry {
        t_addr,
        lifetime_ends,
        held: flags & HELD != 0,
        sleep_ends,
        sequence,
        extra: Talk {
            sequence_number,
            correspondents: correspondents?,
            source,
            telling: flags & TELLING != 0,
        },
    };
    Some((p_addr, Some(entry)))
}

/// Takes `N` bytes off the front.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

fn address(bytes: &mut &[u8]) -> Option<Ipv6Addr> {
    take::<16>(bytes).map(Ipv6Addr::from)
}

fn instant(bytes: &mut &[u8]) -> Option<SimTime> {
    take(bytes).map(|nanos| SimTime::from_nanos(u64::from_be_bytes(nanos)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> Entry {
        Entry {
            t_addr: "2001:db8:1::5".parse().unwrap(),
            lifetime_ends: SimTime::from_nanos(0x0102_0304_0506_0708),
            held: true,
            sleep_ends: Some(SimTime::from_nanos(0x1112_1314_1516_1718)),
            sequence: Some(comp::Sequence(0x1a1b)),
            extra: Talk {
                sequence_number: 0x2122,
                correspondents: [SocketAddrV6::new(
                    "fe80::9".parse().unwrap(),
                    5683,
                    0,
                    0x0a0b_0c0d,
                )]
                .into_iter()
                .collect(),
                source: "2001:db8:1::7".parse().unwrap(),
                telling: false,
            },
        }
    }

    /// The table of this module, written by hand.
    const BYTES: &[u8] = b"\
        \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x05\
        \x17\
        \x20\x01\x0d\xb8\0\x01\0\0\0\0\0\0\0\0\0\x05\
        \x20\x01\x0d\xb8\0\x01\0\0\0\0\0\0\0\0\0\x07\
        \x01\x02\x03\x04\x05\x06\x07\x08\
        \x11\x12\x13\x14\x15\x16\x17\x18\
        \x1a\x1b\
        \x21\x22\
        \0\x01\
        \xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\x16\x33\x0a\x0b\x0c\x0d";

    #[test]
    fn an_entry_is_the_bytes_of_the_documentation() {
        let p_addr = "2001:db8::5".parse().unwrap();
        let mut bytes = Vec::new();
        write(&mut bytes, p_addr, Some(&entry()), 0);
        assert_eq!(bytes, BYTES);
        assert_eq!(read(&mut &BYTES[..]), Some((p_addr, Some(entry()))));
    }

    #[test]
    fn a_removal_is_the_address_and_a_zero() {
        let p_addr = "2001:db8::5".parse().unwrap();
        let mut bytes = Vec::new();
        write(&mut bytes, p_addr, None, 0);
        assert_eq!(bytes, [&BYTES[..16], &[0]].concat());
        assert_eq!(read(&mut &bytes[..]), Some((p_addr, None)));
    }

    #[test]
    fn a_record_cut_short_anywhere_is_none() {
        for length in 0..BYTES.len() {
            assert_eq!(read(&mut &BYTES[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn whatever_can_be_read_is_written_back_as_it_was(
            bytes in proptest::collection::vec(any::<u8>(), 0..120), flags in 0u8..16,
        ) {
            let mut bytes = bytes;
            if let Some(place) = bytes.get_mut(16) {
                *place = flags;
            }
            let mut rest = &bytes[..];
            if let Some((p_addr, entry)) = read(&mut rest) {
                let sorted = entry.as_ref().is_none_or(|e| {
                    e.extra.correspondents.len() < 2
                });
                let mut again = Vec::new();
                write(&mut again, p_addr, entry.as_ref(), 0);
                if sorted {
                    prop_assert_eq!(&again[..], &bytes[..bytes.len() - rest.len()]);
                }
                prop_assert_eq!(read(&mut &again[..]), Some((p_addr, entry)));
            }
        }
    }
}
