//! MAC frames as far as a radio's hardware looks into them (IEEE 802.15.4-2006 clause 7.2).
//!
//! ```text
//! octets: 2              1         0/2      0/2/8    0/2     0/2/8    n        2
//! +---------------+----------+--------+--------+--------+--------+---------+-----+
//! | frame control | sequence | destination     | source          | payload | FCS |
//! |               | number   | PAN    | address| PAN    | address|         |     |
//! +---------------+----------+--------+--------+--------+--------+---------+-----+
//! ```
//!
//! All fields are sent with their least significant byte first. An MPDU here has no FCS; a
//! PSDU has.

use units::{Eui64, MacAddress, PanId, ShortAddress};

use crate::AddressFilter;

/// `macPANId` and `macShortAddress` of a broadcast (§7.2.1.3, §7.2.1.4).
const BROADCAST: u16 = 0xffff;

/// Length of the frame check sequence.
pub const FCS_BYTES: usize = 2;

/// Frame type (§7.2.1.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameType {
    /// 0.
    Beacon,
    /// 1.
    Data,
    /// 2.
    Ack,
    /// 3.
    Command,
}

/// The addressing part of a MAC header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Frame type.
    pub frame_type: FrameType,
    /// The sender asks for an ACK.
    pub ack_request: bool,
    /// Data or beacon sequence number.
    pub sequence: u8,
    /// Destination, if the frame names one.
    pub destination: Option<(PanId, MacAddress)>,
    /// Source, if the frame names one; its PAN is the destination's where the frame leaves it
    /// out (PAN ID compression).
    pub source: Option<(PanId, MacAddress)>,
}

/// An MPDU whose header cannot be read: no radio accepts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends within its header.
    #[error("the frame ends within its MAC header")]
    Truncated,
    /// Frame type 4 to 7.
    #[error("reserved frame type {0}")]
    FrameType(u8),
    /// Frame version 2 or 3: not a frame of IEEE 802.15.4-2003 or -2006.
    #[error("reserved frame version {0}")]
    Version(u8),
    /// Addressing mode 1.
    #[error("reserved addressing mode")]
    AddressingMode,
    /// PAN ID compression without both addresses (§7.2.1.1.5).
    #[error("PAN ID compression without both addresses")]
    Compression,
}

/// Takes little-endian fields off the front.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(*field)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(u16::from_le_bytes)
    }

    fn address(&mut self, mode: u16) -> Result<MacAddress, Malformed> {
        if mode == 2 {
            return Ok(MacAddress::Short(ShortAddress(self.u16()?)));
        }
        let mut octets: [u8; 8] = self.take()?;
        octets.reverse();
        Ok(MacAddress::Extended(Eui64(octets)))
    }
}

impl Header {
    /// Reads the header of `mpdu` (without FCS; what follows the header is not looked at).
    pub fn parse(mpdu: &[u8]) -> Result<Header, Malformed> {
        let mut rest = Cursor(mpdu);
        let control = rest.u16()?;
        let frame_type = match control & 7 {
            0 => FrameType::Beacon,
            1 => FrameType::Data,
            2 => FrameType::Ack,
            3 => FrameType::Command,
            other => return Err(Malformed::FrameType(other as u8)),
        };
        let version = control >> 12 & 3;
        if version > 1 {
            return Err(Malformed::Version(version as u8));
        }
        let compressed = control & 1 << 6 != 0;
        let (to, from) = (control >> 10 & 3, control >> 14);
        if to == 1 || from == 1 {
            return Err(Malformed::AddressingMode);
        }
        if compressed && (to == 0 || from == 0) {
            return Err(Malformed::Compression);
        }
        let sequence = u8::from_le_bytes(rest.take()?);
        let destination = match to {
            0 => None,
            mode => Some((PanId(rest.u16()?), rest.address(mode)?)),
        };
        let source = match (from, destination) {
            (0, _) => None,
            (mode, Some((pan, _))) if compressed => Some((pan, rest.address(mode)?)),
            (mode, _) => Some((PanId(rest.u16()?), rest.address(mode)?)),
        };
        Ok(Header {
            frame_type,
            ack_request: control & 1 << 5 != 0,
            sequence,
            destination,
            source,
        })
    }

    /// Whether a radio with `filter` passes the frame to its host (§7.5.6.2, third level of
    /// filtering). Radios are no PAN coordinators here: data and commands without a
    /// destination are for none of them. An ACK has no address: it is for who waits for it.
    pub fn is_for(&self, filter: &AddressFilter) -> bool {
        match (self.frame_type, self.destination, self.source) {
            (FrameType::Ack, _, _) => false,
            (_, Some((pan, address)), _) => {
                let here = pan == filter.pan_id || pan.0 == BROADCAST;
                here && match address {
                    MacAddress::Short(short) => short.0 == BROADCAST || Some(short) == filter.short,
                    MacAddress::Extended(eui64) => eui64 == filter.eui64,
                }
            }
            (FrameType::Beacon, None, Some((pan, _))) => {
                pan == filter.pan_id || filter.pan_id.0 == BROADCAST
            }
            (_, None, _) => false,
        }
    }

    /// Whether the frame's sender waits for an ACK and its receiver sends one: data or a
    /// command that asks for it and is no broadcast (§7.5.6.4).
    pub fn wants_ack(&self) -> bool {
        let to_all = matches!(
            self.destination,
            Some((_, MacAddress::Short(ShortAddress(BROADCAST))))
        );
        let kind = matches!(self.frame_type, FrameType::Data | FrameType::Command);
        self.ack_request && kind && !to_all
    }
}

/// The ACK for a frame with `sequence` (§7.2.2.3), without FCS.
pub fn ack(sequence: u8) -> [u8; 3] {
    [0x02, 0x00, sequence]
}

/// Remainders of the 256 bytes for [`fcs`].
const FCS_TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            // x^16 + x^12 + x^5 + 1, least significant bit first.
            let carry = remainder & 1;
            remainder >>= 1;
            if carry == 1 {
                remainder ^= 0x8408;
            }
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

/// The frame check sequence over `mpdu` (§7.2.1.9: the 16-bit ITU-T CRC from 0); its low
/// byte is sent first.
pub fn fcs(mpdu: &[u8]) -> u16 {
    mpdu.iter().fold(0, |crc: u16, byte| {
        crc >> 8 ^ FCS_TABLE[usize::from(crc as u8 ^ byte)]
    })
}

/// `mpdu` with its FCS.
pub fn psdu(mpdu: &[u8]) -> Vec<u8> {
    let mut psdu = Vec::with_capacity(mpdu.len() + FCS_BYTES);
    psdu.extend_from_slice(mpdu);
    psdu.extend_from_slice(&fcs(mpdu).to_le_bytes());
    psdu
}

#[cfg(test)]
mod tests;
