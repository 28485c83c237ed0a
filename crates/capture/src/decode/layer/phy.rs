//! What stands around a MAC frame of IEEE 802.15.4: preamble, TAP pseudo-header, FCS.

use super::{Below, Kind, Payload, Read, State, Step, Unread};
use crate::tap::{self, Fcs};

const FRAME: &str = "IEEE 802.15.4 frame";

/// LINKTYPE_IEEE802_15_4_NOFCS.
pub(super) fn without_fcs(_: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    Ok(Step::Next(Kind::Mac))
}

/// LINKTYPE_IEEE802_15_4_WITHFCS.
pub(super) fn with_fcs(data: &mut Payload<'_>, _: &mut Below, state: &mut State) -> Read {
    mpdu(data, Fcs::Bits16, Some(&mut state.trailers))
}

/// A frame with an FCS that nothing else stands in the place of.
pub(super) fn strictly_with_fcs(data: &mut Payload<'_>) -> Read {
    mpdu(data, Fcs::Bits16, None)
}

/// LINKTYPE_IEEE802_15_4_NONASK_PHY: preamble, start-of-frame delimiter, length, frame with FCS
/// (IEEE 802.15.4-2006 §6.3).
pub(super) fn with_preamble(data: &mut Payload<'_>, _: &mut Below, state: &mut State) -> Read {
    let [0, 0, 0, 0, 0xa7, length] = data.take(FRAME)? else {
        return Err(Unread::Malformed(FRAME));
    };
    data.set_length((length & 0x7f).into());
    mpdu(data, Fcs::Bits16, Some(&mut state.trailers))
}

/// LINKTYPE_IEEE802_15_4_TAP.
pub(super) fn with_tap_header(data: &mut Payload<'_>, below: &mut Below, _: &mut State) -> Read {
    const HEADER: &str = "IEEE 802.15.4 TAP header";
    let (fcs, length) = tap::framing(data).ok_or(Unread::Malformed(HEADER))?;
    below.channel = tap::channel(data);
    data.skip(length, HEADER)?;
    mpdu(data, fcs, None)
}

/// Many receivers write RSSI and correlation where the FCS was, with this bit of the last byte for
/// an FCS that was right (TI CC2420 datasheet, "FCF, RSSI/correlation").
const CRC_OK: u8 = 0x80;

/// Of as many frames that such a receiver says were right, less than one has by chance what would
/// be the right FCS: it is one of 65536.
const BY_CHANCE: u64 = 16;

/// What is behind the frames of a capture point: FCS, or what TI's receivers write there. Every
/// other wrong FCS has [`CRC_OK`], so that one frame does not tell.
#[derive(Debug, Default)]
pub(super) struct Trailers {
    /// Frames with a right FCS.
    right: u64,
    /// Frames without, of which TI's receivers would say that it was right.
    said_right: u64,
    /// Whether they are known to be FCSs.
    are_fcs: bool,
}

impl Trailers {
    /// Those of a capture point at which they are FCSs.
    pub(super) fn of_fcs() -> Trailers {
        Trailers {
            are_fcs: true,
            ..Trailers::default()
        }
    }

    /// Whether they are.
    pub(super) fn are_fcs(&self) -> bool {
        self.are_fcs || self.right * BY_CHANCE > self.said_right
    }

    /// Whether frames were read that would not have been, had that been known.
    pub(super) fn were_mistaken(&self) -> bool {
        !self.are_fcs && self.said_right > 0 && self.are_fcs()
    }

    fn admit(&mut self, right: bool, last: u8) -> bool {
        let said_right = !right && !self.are_fcs && last & CRC_OK != 0;
        self.right += u64::from(right);
        self.said_right += u64::from(said_right);
        right || said_right
    }
}

/// Takes the FCS off, if it was captured. A frame whose FCS is wrong was received by nobody, unless
/// there may be something else in its place and that says that it was right.
fn mpdu(data: &mut Payload<'_>, fcs: Fcs, trailers: Option<&mut Trailers>) -> Read {
    let Some(length) = data.length().checked_sub(fcs.bytes()) else {
        return Err(Unread::Malformed(FRAME));
    };
    if !data.is_cut()
        && let Some((mpdu, trailer)) = data.split_at_checked(length)
    {
        let right = match (fcs, trailer) {
            (Fcs::Bits16, [low, high]) => {
                let right = crc16(mpdu) == u16::from_le_bytes([*low, *high]);
                trailers.map_or(right, |trailers| trailers.admit(right, *high))
            }
            (Fcs::Bits32, trailer) => is_crc32(mpdu, trailer),
            _ => true,
        };
        if !right {
            return Err(Unread::Named("IEEE 802.15.4 with a wrong FCS"));
        }
    }
    data.set_length(length);
    Ok(Step::Next(Kind::Mac))
}

/// The 16-bit ITU-T CRC (IEEE 802.15.4-2006 §7.2.1.9): x^16 + x^12 + x^5 + 1, least significant
/// bit first.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0x8408 } else { 0 }
        })
    })
}

/// Whether this is the 32-bit CRC of a frame (IEEE 802.15.4-2015 §7.2.10), which is that of IEEE
/// 802.3. A frame of fewer than four bytes, an acknowledgement, is filled up with zeros for it;
/// Wireshark does not.
fn is_crc32(mpdu: &[u8], trailer: &[u8]) -> bool {
    let padding = &[0; 4][mpdu.len().min(4)..];
    let over = |padding: &[u8]| crc32(mpdu.iter().chain(padding)).to_le_bytes() == trailer;
    over(&[]) || over(padding)
}

fn crc32<'b>(bytes: impl Iterator<Item = &'b u8>) -> u32 {
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}
