//! The pseudo-header of link type 283, IEEE 802.15.4 TAP
//! (<https://github.com/jkcko/ieee802.15.4-tap>, version 0):
//!
//! ```text
//!  0      1          2       4
//! +------+----------+-------+------------------------------+-----------
//! | 0    | reserved | bytes | TLVs, each padded to 4 bytes | the frame
//! +------+----------+-------+------------------------------+-----------
//! TLV: type u16, bytes of the value u16, value. All little endian.
//! ```

use units::{Channel, Dbm, Lqi};

use crate::packet::{Interface, LinkType, Packet};

const FCS_TYPE: u16 = 0;
const RSS: u16 = 1;
const CHANNEL_ASSIGNMENT: u16 = 3;
const LQI: u16 = 10;
/// FCS type: the 16-bit CRC of IEEE 802.15.4-2006 §7.2.1.9.
const FCS_16_BIT: u8 = 1;
/// FCS type: the 32-bit CRC of IEEE 802.15.4-2015 §7.2.10.
const FCS_32_BIT: u8 = 2;

/// The frame check sequence behind a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fcs {
    None,
    Bits16,
    Bits32,
}

impl Fcs {
    /// Its length.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Fcs::None => 0,
            Fcs::Bits16 => 2,
            Fcs::Bits32 => 4,
        }
    }
}

/// What the radio that captured a frame knows of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TapHeader {
    /// The channel, page 0.
    pub channel: Channel,
    /// Received signal strength, if it was received.
    pub rss: Option<Dbm>,
    /// Link quality, if it was received.
    pub lqi: Option<Lqi>,
}

impl TapHeader {
    /// A captured packet: this header and `psdu`, a frame with its 16-bit FCS.
    pub fn packet(&self, psdu: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 4];
        tlv(&mut packet, FCS_TYPE, &[FCS_16_BIT]);
        if let Some(rss) = self.rss {
            tlv(&mut packet, RSS, &(rss.0 as f32).to_le_bytes());
        }
        let channel = [self.channel.number(), 0, Channel::PAGE];
        tlv(&mut packet, CHANNEL_ASSIGNMENT, &channel);
        if let Some(lqi) = self.lqi {
            tlv(&mut packet, LQI, &[lqi.0]);
        }
        // Four TLVs of at most 8 bytes.
        let length = packet.len() as u16;
        packet[2..4].copy_from_slice(&length.to_le_bytes());
        packet.extend_from_slice(psdu);
        packet
    }

    /// Reads a packet of this link type: its header and the frame, with whatever FCS it has. TLVs
    /// of other types are passed over. `None` if it is cut short, of another version, or does
    /// not say its channel on page 0.
    pub fn read(packet: &[u8]) -> Option<(TapHeader, &[u8])> {
        let (head, psdu) = split(packet)?;
        let (mut channel, mut rss, mut lqi) = (None, None, None);
        for field in tlvs(head) {
            match field? {
                (RSS, bytes) => {
                    rss = Some(Dbm(f32::from_le_bytes(bytes.try_into().ok()?).into()));
                }
                (CHANNEL_ASSIGNMENT, [number, 0, Channel::PAGE]) => {
                    channel = Some(Channel::try_from(*number).ok()?);
                }
                (LQI, [quality]) => lqi = Some(Lqi(*quality)),
                _ => {}
            }
        }
        let channel = channel?;
        Some((TapHeader { channel, rss, lqi }, psdu))
    }
}

/// Which FCS the frame in a packet of this link type has, and where in the packet it begins.
/// `None` if the header is cut short, of another version, or its FCS is of an unknown type.
///
/// No FCS type is no FCS.
pub(crate) fn framing(packet: &[u8]) -> Option<(Fcs, usize)> {
    let (head, _) = split(packet)?;
    let mut fcs = Fcs::None;
    for field in tlvs(head) {
        fcs = match field? {
            (FCS_TYPE, [FCS_16_BIT]) => Fcs::Bits16,
            (FCS_TYPE, [FCS_32_BIT]) => Fcs::Bits32,
            (FCS_TYPE, [0]) => Fcs::None,
            (FCS_TYPE, _) => return None,
            _ => fcs,
        };
    }
    Some((fcs, head.len()))
}

/// The channel in a packet of this link type, if it says one of page 0.
pub(crate) fn channel(packet: &[u8]) -> Option<Channel> {
    let (head, _) = split(packet)?;
    tlvs(head).flatten().find_map(|field| match field {
        (CHANNEL_ASSIGNMENT, [number, 0, Channel::PAGE]) => Channel::try_from(*number).ok(),
        _ => None,
    })
}

/// The description of the interface in a capture of the air by this project's medium, which writes
/// the strength of every frame that was received and of no other.
pub const AIR: &str = "every transmission on every channel";

/// Whether a packet of this interface was received: as its comment says, or in a capture of the
/// air by its strength. `None` if neither tells.
pub(crate) fn received_of(interface: &Interface, packet: &Packet) -> Option<bool> {
    if interface.link_type != LinkType::IEEE802_15_4_TAP {
        return None;
    }
    if let Some(told) = packet.comment.as_deref().and_then(received) {
        return Some(told);
    }
    let ours = interface.description.as_deref() == Some(AIR);
    let (head, _) = split(&packet.data).filter(|_| ours)?;
    Some(tlvs(head).flatten().any(|(field, _)| field == RSS))
}

/// Whether a frame in a capture of the air was received, as its comment says: the medium's
/// `NODE: attempt N; NODE: received, ...; NODE: lost: noise, ...`, `NODE: ACK; ...` or
/// `NODE: never sent: ...`. `None` for any other comment.
///
/// One that nobody was there to receive was not received; of one for several nodes it is enough
/// that one received it.
pub fn received(comment: &str) -> Option<bool> {
    let mut parts = comment.split("; ").map(|part| part.split_once(": "));
    let (_, sent) = parts.next()??;
    let by_medium =
        sent == "ACK" || sent.starts_with("attempt ") || sent.starts_with("never sent: ");
    let received = |fate: &str| fate == "received" || fate.starts_with("received, ");
    by_medium.then(|| parts.flatten().any(|(_, fate)| received(fate)))
}

/// The header and what follows it.
fn split(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let &[0, _, low, high] = packet.first_chunk()? else {
        return None;
    };
    let length = usize::from(u16::from_le_bytes([low, high]));
    packet.split_at_checked(length).filter(|_| length >= 4)
}

/// Types and values in a header; `None` where one ends early.
fn tlvs(head: &[u8]) -> impl Iterator<Item = Option<(u16, &[u8])>> {
    let mut rest = head.get(4..);
    std::iter::from_fn(move || {
        let Some(([k0, k1, l0, l1], values)) = rest?.split_first_chunk() else {
            rest = None;
            return None;
        };
        let length = usize::from(u16::from_le_bytes([*l0, *l1]));
        let value = values.get(..length);
        rest = value.map(|_| values.get(length.next_multiple_of(4)..).unwrap_or_default());
        Some(value.map(|value| (u16::from_le_bytes([*k0, *k1]), value)))
    })
}

fn tlv(packet: &mut Vec<u8>, kind: u16, value: &[u8]) {
    packet.extend(kind.to_le_bytes());
    packet.extend((value.len() as u16).to_le_bytes());
    packet.extend(value);
    packet.resize(packet.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_the_documented_bytes() {
        let header = TapHeader {
            channel: Channel::try_from(26).unwrap(),
            rss: Some(Dbm(-61.5)),
            lqi: Some(Lqi(200)),
        };
        // Laid out by hand from the specification; -61.5 is 0xc2760000 as a float.
        let expected = [
            &[0, 0, 36, 0][..],               // version, reserved, length
            &[0, 0, 1, 0, 1, 0, 0, 0],        // FCS type: 16 bit
            &[1, 0, 4, 0, 0, 0, 0x76, 0xc2],  // RSS
            &[3, 0, 3, 0, 26, 0, 0, 0],       // channel 26, page 0
            &[10, 0, 1, 0, 200, 0, 0, 0],     // LQI
            &[0x02, 0x00, 7, 0xaa, 0xbb][..], // an ACK
        ]
        .concat();
        let psdu = &[0x02, 0x00, 7, 0xaa, 0xbb];
        assert_eq!(header.packet(psdu), expected);
        assert_eq!(TapHeader::read(&expected), Some((header, &psdu[..])));
    }

    #[test]
    fn a_frame_that_nobody_received_has_no_strength_and_no_quality() {
        let header = TapHeader {
            channel: Channel::try_from(11).unwrap(),
            rss: None,
            lqi: None,
        };
        assert_eq!(header.packet(&[]).len(), 20);
        assert_eq!(
            TapHeader::read(&header.packet(&[])),
            Some((header, &[][..]))
        );
    }

    #[test]
    fn the_frame_has_the_fcs_that_the_header_says() {
        let header = |tlvs: &[u8]| [&[0, 0, 4 + tlvs.len() as u8, 0], tlvs, &[1, 2]].concat();
        let fcs = |kind| [0, 0, 1, 0, kind, 0, 0, 0];
        assert_eq!(framing(&header(&[])), Some((Fcs::None, 4)));
        assert_eq!(framing(&header(&fcs(0))), Some((Fcs::None, 12)));
        assert_eq!(framing(&header(&fcs(1))), Some((Fcs::Bits16, 12)));
        assert_eq!(framing(&header(&fcs(2))), Some((Fcs::Bits32, 12)));
        assert_eq!(framing(&header(&fcs(3))), None);
        assert_eq!(
            channel(&header(&[3, 0, 3, 0, 26, 0, 0, 0])).map(Channel::number),
            Some(26)
        );
        assert_eq!(
            channel(&header(&[3, 0, 3, 0, 26, 0, 9, 0])),
            None,
            "another page"
        );
        // No channel: other sniffers leave it out.
        assert_eq!(channel(&header(&fcs(1))), None);
        assert_eq!(TapHeader::read(&header(&fcs(1))), None);
        assert_eq!(framing(&[0, 0, 3, 0]), None);
        assert_eq!(
            framing(&header(&[0, 0, 9, 0, 1])),
            None,
            "a value that ends early"
        );
    }

    #[test]
    fn a_comment_of_the_medium_says_whether_anybody_received_the_frame() {
        for (comment, expected) in [
            (
                "a: attempt 1; b: received, -70.0 dBm, SINR 9.0 dB",
                Some(true),
            ),
            (
                "a: attempt 2; b: lost: noise, -90.2 dBm, SINR 1.5 dB",
                Some(false),
            ),
            ("a: attempt 1; b: lost: collision; c: received", Some(true)),
            ("a: attempt 1", Some(false)),
            ("a: ACK; b: received, -70.0 dBm", Some(true)),
            ("a: never sent: channel access failure", Some(false)),
            ("handover 1 started (5ns before this packet)", None),
            ("sensor: lost: noise", None),
        ] {
            assert_eq!(received(comment), expected, "{comment}");
        }
    }

    #[test]
    fn a_header_that_is_cut_short_anywhere_is_none() {
        let header = TapHeader {
            channel: Channel::try_from(11).unwrap(),
            rss: Some(Dbm(-90.0)),
            lqi: None,
        };
        let packet = header.packet(&[]);
        for length in 0..packet.len() {
            assert_eq!(TapHeader::read(&packet[..length]), None, "{length} bytes");
        }
        let mut other = packet;
        other[0] = 1;
        assert_eq!(TapHeader::read(&other), None, "another version");
    }
}
