//! The frames of a stretch, each with its number in the capture that it is in.

use capture::{Capture, ReadError};
use topology::plan::NodeName;
use units::SimTime;

/// A frame of a capture that holds an IP packet, or the last one of its fragments.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedFrame {
    /// When it was captured.
    pub time: SimTime,
    /// Whose interface has it.
    pub node: NodeName,
    /// Which one: `eth0`, `lowpan0`.
    pub interface: String,
    /// Its number in the capture of that interface, from 1, as Wireshark counts.
    pub number: u64,
    /// Who sent the packet; none if the plan has nobody with its source address.
    pub from: Option<NodeName>,
    /// Whom it is for, likewise.
    pub to: Option<NodeName>,
    /// It is for all that hear it.
    pub is_multicast: bool,
    /// What it is, in the dissector's words and CoAP's: `hold: CON PUT /comp MID 0x1234`.
    pub label: String,
}

/// The first frames of a stretch, in the order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameList {
    /// As many as were wanted at most.
    pub frames: Vec<ListedFrame>,
    /// How many frames of the stretch there are besides.
    pub left_out: u64,
}

impl FrameList {
    /// Keeps the first `most`.
    pub(super) fn cut(&mut self, most: usize) {
        // Of one instant in the order in which the captures were read.
        self.frames.sort_by_key(|frame| frame.time);
        self.left_out += self.frames.len().saturating_sub(most) as u64;
        self.frames.truncate(most);
    }
}

/// Whether the place of a packet in `capture` is its number in the file: packets without a time are left out.
pub(super) fn is_numbered(capture: &Capture) -> bool {
    match &capture.damage {
        None => true,
        Some(
            ReadError::Truncated { packet, .. }
            | ReadError::Malformed { packet, .. }
            | ReadError::Io { packet, .. },
        ) => *packet == capture.packets.len() as u64 + 1,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use capture::Packet;

    use super::*;

    fn frame(nanos: u64, number: u64) -> ListedFrame {
        ListedFrame {
            time: SimTime::from_nanos(nanos),
            node: "er1".into(),
            interface: "eth0".into(),
            number,
            from: None,
            to: None,
            is_multicast: false,
            label: String::new(),
        }
    }

    #[test]
    fn the_first_are_kept_and_the_others_are_counted() {
        let mut list = FrameList {
            frames: vec![frame(7, 1), frame(9, 2), frame(3, 1), frame(7, 2)],
            left_out: 5,
        };
        list.cut(3);
        let kept: Vec<_> = (list.frames.iter())
            .map(|frame| (frame.time.as_nanos(), frame.number))
            .collect();
        assert_eq!(kept, [(3, 1), (7, 1), (7, 2)]);
        assert_eq!(list.left_out, 6);
    }

    #[test]
    fn packets_without_a_time_take_the_others_their_numbers() {
        let packet = || Packet::new(0, SimTime::ZERO, vec![]);
        let capture = |damage| Capture {
            packets: vec![packet(), packet()],
            damage,
            ..Capture::default()
        };
        let file = || "a.pcapng".to_owned();
        let truncated = |packet| {
            let file = file();
            Some(ReadError::Truncated { file, packet })
        };
        assert!(is_numbered(&capture(None)));
        assert!(is_numbered(&capture(truncated(3))));
        // One was left out before the file ended.
        assert!(!is_numbered(&capture(truncated(4))));
        let (file, what) = (file(), "1 packets have no time stamp".to_owned());
        assert!(!is_numbered(&capture(Some(ReadError::Untimed {
            file,
            what
        }))));
    }
}
