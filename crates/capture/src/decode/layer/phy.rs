//! What stands around a MAC frame of IEEE 802.15.4: preamble, TAP pseudo-header, FCS.

use super::{Below, Kind, Payload, Read, State, Step, Unread};
use crate::tap::{self, Fcs};

const FRAME: &str = "IEEE 802.15.4 frame";

/// LINKTYPE_IEEE802_15_4_NOFCS.
pub(super) fn without_fcs(_: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    Ok(Step::Next(Kind::Mac))
}

/// LINKTYPE_IEEE802_15_4_WITHFCS.
pub(super) fn with_fcs(data: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    mpdu(data, Fcs::Bits16, CRC_OK)
}

/// LINKTYPE_IEEE802_15_4_NONASK_PHY: preamble, start-of-frame delimiter, length, frame with FCS
/// (IEEE 802.15.4-2006 §6.3).
pub(super) fn with_preamble(data: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    let [0, 0, 0, 0, 0xa7, length] = data.take(FRAME)? else {
        return Err(Unread::Malformed(FRAME));
    };
    data.set_length((length & 0x7f).into());
    mpdu(data, Fcs::Bits16, CRC_OK)
}

/// LINKTYPE_IEEE802_15_4_TAP.
pub(super) fn with_tap_header(data: &mut Payload<'_>, below: &mut Below, _: &mut State) -> Read {
    const HEADER: &str = "IEEE 802.15.4 TAP header";
    let (fcs, length) = tap::framing(data).ok_or(Unread::Malformed(HEADER))?;
    below.channel = tap::channel(data);
    data.skip(length, HEADER)?;
    mpdu(data, fcs, 0)
}

/// Many receivers write RSSI and correlation where the FCS was, with this bit of the last byte for
/// an FCS that was right (TI CC2420 datasheet, "FCF, RSSI/correlation").
const CRC_OK: u8 = 0x80;

/// Takes the FCS off, if it was captured. A frame whose FCS is wrong was received by nobody,
/// unless one of the bits `right` of its last byte says that it was right.
fn mpdu(data: &mut Payload<'_>, fcs: Fcs, right: u8) -> Read {
    let Some(length) = data.length().checked_sub(fcs.bytes()) else {
        return Err(Unread::Malformed(FRAME));
    };
    if let (Fcs::Bits16, false) = (fcs, data.is_cut())
        && let Some((mpdu, [low, high])) = data.split_last_chunk()
    {
        let wrong = crc(mpdu) != u16::from_le_bytes([*low, *high]);
        if wrong && high & right == 0 {
            return Err(Unread::Named("IEEE 802.15.4 with a wrong FCS"));
        }
    }
    data.set_length(length);
    Ok(Step::Next(Kind::Mac))
}

/// The 16-bit ITU-T CRC (IEEE 802.15.4-2006 §7.2.1.9): x^16 + x^12 + x^5 + 1, least significant
/// bit first.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0x8408 } else { 0 }
        })
    })
}
