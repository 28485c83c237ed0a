//! 6LoWPAN (RFC 4944, RFC 6282): what stands before IPv6 in a frame of IEEE 802.15.4.
//!
//! ```text
//! 00xxxxxx  not 6LoWPAN            10xxxxxx  mesh addressing
//! 01000001  IPv6                   11000xxx  first fragment
//! 01000010  HC1, obsolete          11100xxx  later fragment
//! 01010000  broadcast              1110100x  recoverable fragment (RFC 8931), not read
//! 011xxxxx  IPHC                   1111xxxx  page of dispatch values (RFC 8025)
//! ```

mod address;
mod fragments;
mod iphc;
mod mesh;
mod nhc;

use super::contexts::Contexts;
use super::{Below, Ends, Kind, LinkAddress, Payload, Read, State, Step, Unread};

pub(super) use fragments::FragmentKey;

const DISPATCH: &str = "6LoWPAN dispatch";

/// Dispatch values (RFC 4944 §5.1, RFC 6282 §3.1, RFC 8025 §3).
const IPV6: u8 = 0x41;
const HC1: u8 = 0x42;
const BROADCAST: u8 = 0x50;
const IPHC: std::ops::RangeInclusive<u8> = 0x60..=0x7f;
const NOT_LOWPAN: std::ops::RangeInclusive<u8> = 0x00..=0x3f;
const MESH: std::ops::RangeInclusive<u8> = 0x80..=0xbf;
const FIRST_FRAGMENT: std::ops::RangeInclusive<u8> = 0xc0..=0xc7;
const LATER_FRAGMENT: std::ops::RangeInclusive<u8> = 0xe0..=0xe7;
const PAGE_0: u8 = 0xf0;
const OTHER_PAGES: std::ops::RangeInclusive<u8> = 0xf1..=0xff;

pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, state: &mut State) -> Read {
    loop {
        match data.peek(1, DISPATCH)?[0] {
            dispatch if MESH.contains(&dispatch) => mesh::take(data, below)?,
            BROADCAST => data.skip(2, "6LoWPAN broadcast header")?,
            PAGE_0 => data.skip(1, DISPATCH)?,
            dispatch if FIRST_FRAGMENT.contains(&dispatch) => {
                return fragments::first(data, below, state);
            }
            dispatch if LATER_FRAGMENT.contains(&dispatch) => {
                return fragments::later(data, below, state);
            }
            _ => break,
        }
    }
    expand(data, below, &mut state.contexts, None)?;
    Ok(Step::Next(Kind::Ip))
}

/// Puts the IPv6 packet in place of what is behind the dispatch, or its first fragment, if it has
/// `total` bytes.
fn expand(
    data: &mut Payload<'_>,
    below: &Below,
    contexts: &mut Contexts,
    total: Option<usize>,
) -> Result<(), Unread> {
    match data.peek(1, DISPATCH)?[0] {
        IPV6 => data.skip(1, DISPATCH),
        dispatch if IPHC.contains(&dispatch) => iphc::expand(data, below, contexts, total),
        HC1 => Err(Unread::Named("6LoWPAN HC1")),
        dispatch if NOT_LOWPAN.contains(&dispatch) => {
            Err(Unread::Named("IEEE 802.15.4 without 6LoWPAN"))
        }
        page if OTHER_PAGES.contains(&page) => Err(Unread::Value("6LoWPAN page", page & 0xf)),
        dispatch => Err(Unread::Value(DISPATCH, dispatch)),
    }
}
