//! What was on the air, read from `captures/air.pcapng` without the medium's own code, and what
//! tshark says of it. Times and figures are IEEE 802.15.4-2006's, 2.4 GHz: 1 byte is 32 us.

use std::path::Path;
use std::time::Duration;

use capture::{Capture, Packet};
use units::SimTime;

use crate::common::tshark_of;

/// SHR and PHR.
const BEFORE_PSDU: usize = 6;
const FCS: usize = 2;
pub const TURNAROUND: Duration = Duration::from_micros(192);
pub const CCA: Duration = Duration::from_micros(128);
pub const UNIT_BACKOFF: Duration = Duration::from_micros(320);
/// An ACK's 5 bytes.
pub const ACK: Duration = airtime(5);
/// Interframe space after more than 18 bytes.
pub const LIFS: Duration = Duration::from_micros(640);

pub const fn airtime(psdu: usize) -> Duration {
    Duration::from_micros(32 * (BEFORE_PSDU + psdu) as u64)
}

/// One transmission.
#[derive(Clone, Debug)]
pub struct Frame {
    pub start: SimTime,
    pub end: SimTime,
    /// With FCS.
    pub psdu: Vec<u8>,
    pub comment: String,
}

impl Frame {
    /// By the frame type of the frame control field.
    pub fn is_ack(&self) -> bool {
        self.psdu[0] & 0b111 == 2
    }

    pub fn sequence(&self) -> u8 {
        self.psdu[2]
    }

    /// Whether the comment says that `node` received it.
    pub fn reached(&self, node: &str) -> bool {
        self.comment.contains(&format!("; {node}: received"))
    }

    /// The node that the comment (`capture_lost: true`) begins with.
    pub fn transmitter(&self) -> &str {
        self.comment.split(':').next().unwrap()
    }
}

/// The air of a run, in order; without the frames that never came to it, which
/// `capture_lost: true` adds.
pub fn air(run: &Path) -> Vec<Frame> {
    let capture = read(run, "air");
    let comment = |packet: &Packet| packet.comment.clone().unwrap_or_default();
    let packets = capture.packets.iter();
    let sent = packets.filter(|packet| !comment(packet).contains(": never sent: "));
    let frames = sent.map(|packet| {
        let psdu = psdu(packet).to_vec();
        Frame {
            start: packet.time,
            end: packet.time + airtime(psdu.len()),
            psdu,
            comment: comment(packet),
        }
    });
    frames.collect()
}

/// The frame, with FCS, behind the TAP header of a packet.
pub fn psdu(packet: &Packet) -> &[u8] {
    let header = u16::from_le_bytes([packet.data[2], packet.data[3]]);
    &packet.data[usize::from(header)..]
}

pub fn without_fcs(psdu: &[u8]) -> &[u8] {
    &psdu[..psdu.len() - FCS]
}

/// A capture of a run.
pub fn read(run: &Path, name: &str) -> Capture {
    let file = run.join("captures").join(format!("{name}.pcapng"));
    let capture = capture::read(&file).unwrap();
    assert!(capture.damage.is_none(), "{name}: {:?}", capture.damage);
    capture
}

/// The fields of the packets of a capture that pass a display filter, as tshark prints them.
pub fn tshark(run: &Path, name: &str, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let file = run.join("captures").join(format!("{name}.pcapng"));
    tshark_of(&file, filter, "a", fields)
}
