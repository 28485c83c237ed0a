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

const FCS_TYPE: u16 = 0;
const RSS: u16 = 1;
const CHANNEL_ASSIGNMENT: u16 = 3;
const LQI: u16 = 10;
/// FCS type: the 16-bit CRC of IEEE 802.15.4-2006 §7.2.1.9.
const FCS_16_BIT: u8 = 1;

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
        let &[0, _, low, high] = packet.first_chunk()? else {
            return None;
        };
        let (head, psdu) = packet.split_at_checked(u16::from_le_bytes([low, high]).into())?;
        let (mut channel, mut rss, mut lqi) = (None, None, None);
        let mut tlvs = head.get(4..)?;
        while let Some(([k0, k1, l0, l1], rest)) = tlvs.split_first_chunk() {
            let length = usize::from(u16::from_le_bytes([*l0, *l1]));
            let value = rest.get(..length)?;
            match (u16::from_le_bytes([*k0, *k1]), value) {
                (RSS, bytes) => {
                    rss = Some(Dbm(f32::from_le_bytes(bytes.try_into().ok()?).into()));
                }
                (CHANNEL_ASSIGNMENT, [number, 0, Channel::PAGE]) => {
                    channel = Some(Channel::try_from(*number).ok()?);
                }
                (LQI, [quality]) => lqi = Some(Lqi(*quality)),
                _ => {}
            }
            tlvs = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        let channel = channel?;
        Some((TapHeader { channel, rss, lqi }, psdu))
    }
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
