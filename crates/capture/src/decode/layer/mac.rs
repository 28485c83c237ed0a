//! MAC frames of IEEE 802.15.4: of 2003, 2006 and 2015, as far as data frames need it.
//!
//! ```text
//! octets: 2         0/1        0/2   0/2/8     0/2   0/2/8    0/n
//! +---------------+----------+-----+---------+-----+--------+-----+---------+
//! | frame control | sequence | destination   | source       | IEs | payload |
//! |               | number   | PAN | address | PAN | address|     |         |
//! +---------------+----------+-----+---------+-----+--------+-----+---------+
//! ```
//!
//! All fields are sent with their least significant byte first.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use units::{Eui64, PanId, ShortAddress, SimTime};

use crate::hash::Folded;

use super::{Below, Ends, Kind, LinkAddress, Payload, Read, Sender, State, Step, Unread};

const HEADER: &str = "IEEE 802.15.4 header";

/// Frame types (IEEE 802.15.4-2015 table 7-1).
const DATA: u16 = 1;
const ACKNOWLEDGEMENT: u16 = 2;
/// Beacon, data, ACK, command: what else there is has formats of its own.
const LAST_COMMON_TYPE: u16 = 3;

/// Bits of the frame control field (figure 7-2).
const SECURITY_ENABLED: u16 = 1 << 3;
const ACK_REQUEST: u16 = 1 << 5;
const PAN_ID_COMPRESSION: u16 = 1 << 6;
const SEQUENCE_SUPPRESSED: u16 = 1 << 8;
const IES_PRESENT: u16 = 1 << 9;

/// Frame version of IEEE 802.15.4-2015; 0 and 1 are those of 2003 and 2006.
const VERSION_2015: u16 = 2;

/// An addressing mode (table 7-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    None,
    Short,
    Extended,
}

pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, state: &mut State) -> Read {
    let frame = fingerprint(data);
    let control = u16::from_le_bytes(data.take(HEADER)?);
    state.acks.tell(below.received);
    match control & 7 {
        DATA => {}
        ACKNOWLEDGEMENT => {
            if let Some(sequence) = sequence(data, control)? {
                state.acks.acknowledge(sequence, below);
            }
            return Ok(Step::Nothing);
        }
        kind if kind > LAST_COMMON_TYPE => {
            return Err(Unread::Value("IEEE 802.15.4 frame type", kind as u8));
        }
        _ => return Ok(Step::Nothing),
    }
    if control & SECURITY_ENABLED != 0 {
        return Err(Unread::Named("IEEE 802.15.4 without keys"));
    }
    let version = control >> 12 & 3;
    if version > VERSION_2015 {
        return Err(Unread::Value("IEEE 802.15.4 frame version", version as u8));
    }
    let sequence = sequence(data, control)?;
    let ends = addresses(data, control, version)?;
    if version == VERSION_2015 && control & IES_PRESENT != 0 {
        skip_ies(data)?;
    }
    below.sender = ends.src.map(|address| Sender {
        pan: ends.pan,
        address,
        sequence,
    });
    below.link = Some(ends);
    if let Some(sender) = below.sender.filter(|_| control & ACK_REQUEST != 0) {
        state.acks.ask(state.frames, frame, sender, ends, below);
    }
    below.received &= !state.lost.contains(&state.frames);
    let repeated = below
        .sender
        .is_some_and(|sender| state.repeats.is_repeat(sender, frame, below));
    if repeated || data.length() == 0 {
        return Ok(Step::Nothing);
    }
    Ok(Step::Next(Kind::Sixlowpan))
}

/// The sequence number; frames of 2015 may have none.
fn sequence(data: &mut Payload<'_>, control: u16) -> Result<Option<u8>, Unread> {
    let new = control >> 12 & 3 == VERSION_2015;
    Ok(match new && control & SEQUENCE_SUPPRESSED != 0 {
        true => None,
        false => Some(data.take::<1>(HEADER)?[0]),
    })
}

/// The addressing fields. The PAN is the destination's, or the source's where the frame has no
/// other.
fn addresses(data: &mut Payload<'_>, control: u16, version: u16) -> Result<Ends, Unread> {
    let (to, from) = (mode(control >> 10)?, mode(control >> 14)?);
    let compressed = control & PAN_ID_COMPRESSION != 0;
    let [dst_pan, src_pan] = pans(to, from, compressed, version);
    let dst_pan = pan(data, dst_pan)?;
    let dst = address(data, to)?;
    let src_pan = pan(data, src_pan)?;
    let src = address(data, from)?;
    Ok(Ends {
        pan: dst_pan.or(src_pan).unwrap_or(BROADCAST_PAN),
        src,
        dst,
    })
}

/// Of a frame that names no PAN.
const BROADCAST_PAN: PanId = PanId(0xffff);

fn mode(bits: u16) -> Result<Mode, Unread> {
    match bits & 3 {
        0 => Ok(Mode::None),
        2 => Ok(Mode::Short),
        3 => Ok(Mode::Extended),
        _ => Err(Unread::Malformed(HEADER)),
    }
}

/// Whether destination PAN ID and source PAN ID are there (IEEE 802.15.4-2015 table 7-2; before
/// 2015, a PAN ID for each address, but one if they are the same).
fn pans(to: Mode, from: Mode, compressed: bool, version: u16) -> [bool; 2] {
    let (dst, src) = (to != Mode::None, from != Mode::None);
    if version < VERSION_2015 {
        return [dst, src && !(compressed && dst)];
    }
    match (dst, src) {
        (false, false) => [compressed, false],
        (true, false) => [!compressed, false],
        (false, true) => [false, !compressed],
        (true, true) if to == Mode::Extended && from == Mode::Extended => [!compressed, false],
        (true, true) => [true, !compressed],
    }
}

fn pan(data: &mut Payload<'_>, present: bool) -> Result<Option<PanId>, Unread> {
    Ok(match present {
        true => Some(PanId(u16::from_le_bytes(data.take(HEADER)?))),
        false => None,
    })
}

fn address(data: &mut Payload<'_>, mode: Mode) -> Result<Option<LinkAddress>, Unread> {
    Ok(match mode {
        Mode::None => None,
        Mode::Short => {
            let short = u16::from_le_bytes(data.take(HEADER)?);
            Some(LinkAddress::Short(ShortAddress(short)))
        }
        Mode::Extended => {
            let mut octets: [u8; 8] = data.take(HEADER)?;
            octets.reverse();
            Some(LinkAddress::Extended(Eui64(octets)))
        }
    })
}

/// Header IEs and payload IEs (IEEE 802.15.4-2015 §7.4.2, §7.4.3).
fn skip_ies(data: &mut Payload<'_>) -> Result<(), Unread> {
    const IES: &str = "IEEE 802.15.4 information element";
    /// Header Termination 1: payload IEs follow; 2: the payload follows.
    const TERMINATION: [u16; 2] = [0x7e, 0x7f];
    const PAYLOAD_TERMINATION: u16 = 0xf;
    while data.length() > 0 {
        let descriptor = u16::from_le_bytes(data.take(IES)?);
        data.skip((descriptor & 0x7f).into(), IES)?;
        match descriptor >> 7 & 0xff {
            id if id == TERMINATION[0] => break,
            id if id == TERMINATION[1] => return Ok(()),
            _ => {}
        }
    }
    while data.length() > 0 {
        let descriptor = u16::from_le_bytes(data.take(IES)?);
        data.skip((descriptor & 0x7ff).into(), IES)?;
        if descriptor >> 11 & 0xf == PAYLOAD_TERMINATION {
            break;
        }
    }
    Ok(())
}

/// What two frames have in common if they are the same.
fn fingerprint(mpdu: &[u8]) -> u64 {
    let mut hasher = Folded::default();
    hasher.write(mpdu);
    hasher.finish()
}

/// Within this time of a frame the same one from the same sender is a repetition of the MAC:
/// of an attempt without an acknowledgement (macMaxFrameRetries, at most 7 of some 40 ms each),
/// or a strobe for a receiver that sleeps (some 100 ms). Its sequence number comes round after
/// 256 frames.
pub(super) const REPEATED_WITHIN: Duration = Duration::from_secs(1);

/// Frames that are remembered for that; far more than fit in that time on a channel.
const MOST_FRAMES: usize = 1 << 15;

/// Which frames were sent lately.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// The frames of about the last second, and of the second before that.
    latest: Sent,
    before: Sent,
    since: SimTime,
    count: u64,
}

type Sent = HashMap<Sender, Last, BuildHasherDefault<Folded>>;

/// The last frame of a sender with a sequence number.
#[derive(Clone, Copy, Debug)]
struct Last {
    frame: u64,
    time: SimTime,
    received: bool,
}

impl Repeats {
    /// Frames that were repetitions.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Whether this frame was there before. One that was received is not taken for the
    /// repetition of one that was not.
    fn is_repeat(&mut self, sender: Sender, frame: u64, below: &Below) -> bool {
        if sender.sequence.is_none() {
            return false;
        }
        let age = below.time.saturating_since(self.since);
        if age > REPEATED_WITHIN || self.latest.len() >= MOST_FRAMES {
            std::mem::swap(&mut self.before, &mut self.latest);
            self.latest.clear();
            self.since = below.time;
        }
        let last = self.latest.get(&sender).or(self.before.get(&sender));
        let again = last.filter(|last| {
            last.frame == frame && below.time.saturating_since(last.time) <= REPEATED_WITHIN
        });
        let (again, received) = (again.is_some(), again.is_some_and(|last| last.received));
        let now = Last {
            frame,
            time: below.time,
            received: received || below.received,
        };
        self.latest.insert(sender, now);
        self.count += u64::from(again);
        again && (received || !below.received)
    }
}
