//! Several captures in one file, and marks: what happened, beside what was on the wire.
//!
//! In a merged file a mark is a packet of its own on the pseudo-interface
//! [`MARKS_INTERFACE`], at the mark's own instant. Its link type is Wireshark's exported PDU
//! (`LINKTYPE_WIRESHARK_UPPER_PDU`), which names the dissector of what follows: `syslog`, with
//! the mark's text as the message. Wireshark and tshark therefore show the text in the Info
//! column, and again as the packet's comment (`frame.comment`), without an error and without
//! a preference to set. A zero-length packet instead is shown as malformed.
//!
//! In the capture of one interface, where every packet should be one that was on the wire,
//! [`annotate`] puts the mark on the packet that follows it as a comment.

use units::SimTime;

use crate::packet::{Interface, LinkType, Packet};
use crate::reader::Capture;

/// Name of the pseudo-interface that carries the marks of a merged file.
pub const MARKS_INTERFACE: &str = "marks";

/// `EXP_PDU_TAG_DISSECTOR_NAME` of an exported PDU: the name of the dissector of its payload.
const TAG_DISSECTOR: u16 = 12;

/// Something that happened: a scenario step, a phase of a handover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When: Unix time.
    pub time: SimTime,
    /// What, in words.
    pub text: String,
}

impl Mark {
    /// The mark as a packet of `interface`, which has link type
    /// [`LinkType::WIRESHARK_UPPER_PDU`].
    pub fn packet(&self, interface: usize) -> Packet {
        let dissector = b"syslog\0\0";
        let mut data = Vec::new();
        data.extend(TAG_DISSECTOR.to_be_bytes());
        data.extend((dissector.len() as u16).to_be_bytes());
        data.extend(dissector);
        data.extend([0; 4]); // EXP_PDU_TAG_END_OF_OPT
        data.extend(b"<14>"); // user.info (RFC 3164 §4.1.1)
        data.extend(self.text.as_bytes());
        Packet {
            comment: Some(self.text.clone()),
            ..Packet::new(interface, self.time, data)
        }
    }
}

/// Puts `captures` and `marks` together in time order.
///
/// Packets of the same instant stay in the order of `captures`, after marks of that instant.
/// An interface is called like its capture, `NODE.IFACE`; if a capture has several,
/// `NODE.IFACE`'s own interface names are appended after a dot.
pub fn merge(captures: &[Capture], marks: &[Mark]) -> Capture {
    let mut merged = Capture::default();
    let interfaces: usize = captures.iter().map(|c| c.interfaces.len()).sum();
    merged
        .packets
        .extend(marks.iter().map(|mark| mark.packet(interfaces)));
    for capture in captures {
        let base = merged.interfaces.len();
        let several = capture.interfaces.len() > 1;
        merged.interfaces.extend(capture.interfaces.iter().map(|i| {
            let mut interface = i.clone();
            interface.name = if several {
                format!("{}.{}", capture.name, i.name)
            } else {
                capture.name.clone()
            };
            interface
        }));
        merged
            .packets
            .extend(capture.packets.iter().map(|p| Packet {
                interface: base + p.interface,
                ..p.clone()
            }));
    }
    if !marks.is_empty() {
        merged.interfaces.push(Interface {
            description: Some("what happened; not on any wire".into()),
            ..Interface::new(MARKS_INTERFACE, LinkType::WIRESHARK_UPPER_PDU)
        });
    }
    merged.packets.sort_by_key(|p| p.time);
    merged
}

/// Writes every mark as a comment on the first packet at or after it (the last packet, if
/// none follows), with the time between the two.
pub fn annotate(packets: &mut [Packet], marks: &[Mark]) {
    for mark in marks {
        let next = packets.iter().position(|p| p.time >= mark.time);
        let Some(at) = next.or(packets.len().checked_sub(1)) else {
            return;
        };
        let packet = &mut packets[at];
        let before = packet.time.saturating_since(mark.time);
        let after = mark.time.saturating_since(packet.time);
        let text = if !before.is_zero() {
            format!("{} ({before:?} before this packet)", mark.text)
        } else if !after.is_zero() {
            format!("{} ({after:?} after this packet)", mark.text)
        } else {
            mark.text.clone()
        };
        match &mut packet.comment {
            Some(comment) => {
                comment.push('\n');
                comment.push_str(&text);
            }
            None => packet.comment = Some(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> Packet {
        Packet::new(0, SimTime::from_nanos(ns), vec![ns as u8])
    }

    fn mark(ns: u64, text: &str) -> Mark {
        Mark {
            time: SimTime::from_nanos(ns),
            text: text.into(),
        }
    }

    fn capture(name: &str, packets: Vec<Packet>) -> Capture {
        Capture {
            name: name.into(),
            interfaces: vec![Interface::new("eth0", LinkType::ETHERNET)],
            packets,
            damage: None,
        }
    }

    #[test]
    fn merged_packets_are_in_time_order_and_keep_their_order_within_an_instant() {
        let merged = merge(
            &[
                capture("a.eth0", vec![at(1), at(5)]),
                capture("b.eth0", vec![at(1), at(3)]),
            ],
            &[mark(1, "start"), mark(4, "step")],
        );
        let seen: Vec<_> = merged
            .packets
            .iter()
            .map(|p| {
                (
                    p.time.as_nanos(),
                    merged.interfaces[p.interface].name.as_str(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (1, "marks"),
                (1, "a.eth0"),
                (1, "b.eth0"),
                (3, "b.eth0"),
                (4, "marks"),
                (5, "a.eth0"),
            ]
        );
    }

    #[test]
    fn a_merge_without_marks_has_no_pseudo_interface() {
        let merged = merge(&[capture("a.eth0", vec![at(1)])], &[]);
        assert_eq!(merged.interfaces.len(), 1);
    }

    #[test]
    fn a_mark_becomes_a_comment_on_the_packet_that_follows() {
        let mut packets = vec![at(10), at(20)];
        annotate(
            &mut packets,
            &[mark(12, "one"), mark(20, "two"), mark(25, "three")],
        );
        assert_eq!(packets[0].comment, None);
        assert_eq!(
            packets[1].comment.as_deref(),
            Some("one (8ns before this packet)\ntwo\nthree (5ns after this packet)")
        );
    }

    #[test]
    fn marks_without_packets_are_no_error() {
        annotate(&mut [], &[mark(1, "one")]);
    }
}
