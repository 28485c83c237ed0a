//! ZEP, the ZigBee Encapsulation Protocol, versions 1 and 2: frames of IEEE 802.15.4 in UDP, as
//! sniffers and simulators export them. Wireshark's dissector is its description.
//!
//! ```text
//! version 1  "EX" 1      channel device(2) mode LQI reserved(7)                            length
//! version 2  "EX" 2 type channel device(2) mode LQI time stamp(8) sequence(4) reserved(10) length
//!                    1: data; 2: acknowledgement, of ZEP itself
//! ```

use units::Channel;

use super::{Below, Payload, Read, State, Step, Unread, phy};

const PORT: u16 = 17754;
const HEADER: &str = "ZEP header";
const DATA: u8 = 1;
/// The frame ends with its FCS; in the other mode the receiver wrote something else there.
const CRC_MODE: u8 = 1;

pub(super) fn is(ports: [u16; 2], datagram: &[u8]) -> bool {
    ports.contains(&PORT) && datagram.starts_with(b"EX")
}

/// The IP packet around it is no tunnel of what the frame carries: it comes from a sniffer.
pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, state: &mut State) -> Read {
    *below = Below::new(below.time, below.received);
    let [_, _, version] = data.take(HEADER)?;
    let (channel, mode, length) = match version {
        1 => {
            let [channel, _, _, mode, rest @ ..]: [u8; 13] = data.take(HEADER)?;
            (channel, mode, rest[8])
        }
        2 => {
            if data.take::<1>(HEADER)? != [DATA] {
                return Ok(Step::Nothing);
            }
            let [channel, _, _, mode, rest @ ..]: [u8; 28] = data.take(HEADER)?;
            (channel, mode, rest[23])
        }
        other => return Err(Unread::Value("ZEP version", other)),
    };
    below.channel = Channel::try_from(channel).ok();
    data.set_length(length.into());
    match mode {
        CRC_MODE => phy::strictly_with_fcs(data),
        _ => phy::with_fcs(data, below, state),
    }
}
