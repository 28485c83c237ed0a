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
        assert_eq!(header.packet(&[0x02, 0x00, 7, 0xaa, 0xbb]), expected);
    }

    #[test]
    fn a_frame_that_nobody_received_has_no_strength_and_no_quality() {
        let header = TapHeader {
            channel: Channel::try_from(11).unwrap(),
            rss: None,
            lqi: None,
        };
        assert_eq!(header.packet(&[]).len(), 20);
    }
}
