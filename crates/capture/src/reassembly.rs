//! Datagrams out of IP fragments (RFC 791 §3.2, RFC 8200 §4.5).
//!
//! A 2 KB response crosses Ethernet in two fragments, and a client has it only when the last
//! one arrived: its time is what a round trip ends with.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use units::SimTime;

use crate::decode::IpPacket;

/// "If insufficient fragments are received to complete reassembly of a packet within 60
/// seconds of the reception of the first-arriving fragment of that packet, reassembly of that
/// packet must be abandoned" (RFC 8200 §4.5).
pub const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest IP payload (RFC 791; RFC 8200 without jumbograms).
const MAX_LENGTH: usize = 65_535;

/// A UDP datagram with the times of its fragments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// When its first-captured fragment was captured.
    pub first: SimTime,
    /// When it was complete.
    pub complete: SimTime,
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port.
    pub dst: SocketAddr,
    /// Payload.
    pub payload: Vec<u8>,
    /// Whether the capture cut some of it; bytes missing in the middle read as zero.
    pub truncated: bool,
}

type Key = (IpAddr, IpAddr, u8, u32);

/// Puts the fragments seen at one interface together.
#[derive(Debug, Default)]
pub struct Reassembler {
    pending: BTreeMap<Key, Pending>,
}

#[derive(Debug)]
struct Pending {
    first: SimTime,
    /// Data by offset, and its length on the wire.
    parts: BTreeMap<u32, (Vec<u8>, usize)>,
    /// Length of the whole, once the last fragment was seen.
    total: Option<usize>,
}

impl Reassembler {
    /// Takes a packet that was captured at `time`; returns the datagram that it completes.
    pub fn push(&mut self, time: SimTime, packet: &IpPacket<'_>) -> Option<Assembled> {
        let Some(fragment) = packet.fragment else {
            return datagram(packet, packet.payload, packet.length, time, time);
        };
        let key = (packet.src, packet.dst, packet.protocol, fragment.id);
        if let Some(old) = self.pending.get(&key)
            && time.saturating_since(old.first) > REASSEMBLY_TIMEOUT
        {
            self.pending.remove(&key);
        }
        let pending = self.pending.entry(key).or_insert_with(|| Pending {
            first: time,
            parts: BTreeMap::new(),
            total: None,
        });
        pending
            .parts
            .entry(fragment.offset)
            .or_insert_with(|| (packet.payload.to_vec(), packet.length));
        if !fragment.more {
            pending.total = Some(fragment.offset as usize + packet.length);
        }
        let (bytes, length) = pending.whole()?;
        let first = pending.first;
        self.pending.remove(&key);
        datagram(packet, &bytes, length, first, time)
    }

    /// Datagrams of which fragments are missing.
    pub fn incomplete(&self) -> usize {
        self.pending.len()
    }
}

impl Pending {
    /// The bytes captured up to the first cut, and the length on the wire, if complete.
    fn whole(&self) -> Option<(Vec<u8>, usize)> {
        let total = self.total.filter(|t| *t <= MAX_LENGTH)?;
        let mut bytes = Vec::with_capacity(total);
        for (offset, (data, length)) in &self.parts {
            // Overlapping fragments: RFC 5722 has the whole packet dropped.
            if *offset as usize != bytes.len() {
                return None;
            }
            bytes.extend(data);
            bytes.resize(*offset as usize + length, 0);
        }
        (bytes.len() == total).then_some((bytes, total))
    }
}

fn datagram(
    packet: &IpPacket<'_>,
    bytes: &[u8],
    length: usize,
    first: SimTime,
    complete: SimTime,
) -> Option<Assembled> {
    let whole = IpPacket {
        payload: bytes,
        length,
        fragment: None,
        ..*packet
    };
    let datagram = whole.udp()?;
    Some(Assembled {
        first,
        complete,
        src: datagram.src,
        dst: datagram.dst,
        payload: datagram.payload.to_vec(),
        truncated: datagram.truncated,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Fragment, UDP};

    /// A UDP datagram of 100 payload bytes, port 1 to port 2.
    fn datagram_bytes() -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 2, 0, 108, 0, 0];
        bytes.extend(0..100_u8);
        bytes
    }

    fn fragment(bytes: &[u8], from: usize, to: usize, id: u32) -> IpPacket<'_> {
        IpPacket {
            src: "2001:db8::1".parse().unwrap(),
            dst: "2001:db8::2".parse().unwrap(),
            protocol: UDP,
            payload: &bytes[from..to],
            length: to - from,
            fragment: Some(Fragment {
                id,
                offset: from as u32,
                more: to != bytes.len(),
            }),
            outgoing: None,
            interface_index: None,
        }
    }

    fn ms(n: u64) -> SimTime {
        SimTime::from_nanos(n * 1_000_000)
    }

    #[test]
    fn a_datagram_is_complete_with_its_last_fragment_in_any_order() {
        let bytes = datagram_bytes();
        let mut reassembler = Reassembler::default();
        assert_eq!(reassembler.push(ms(1), &fragment(&bytes, 48, 96, 7)), None);
        assert_eq!(reassembler.push(ms(2), &fragment(&bytes, 96, 108, 7)), None);
        assert_eq!(reassembler.push(ms(3), &fragment(&bytes, 0, 48, 8)), None);
        let whole = reassembler
            .push(ms(4), &fragment(&bytes, 0, 48, 7))
            .unwrap();
        assert_eq!((whole.first, whole.complete), (ms(1), ms(4)));
        assert_eq!(whole.payload, (0..100).collect::<Vec<u8>>());
        assert_eq!(reassembler.incomplete(), 1);
    }

    #[test]
    fn a_lost_fragment_means_no_datagram() {
        let bytes = datagram_bytes();
        let mut reassembler = Reassembler::default();
        assert_eq!(reassembler.push(ms(1), &fragment(&bytes, 0, 48, 7)), None);
        assert_eq!(reassembler.push(ms(2), &fragment(&bytes, 96, 108, 7)), None);
    }

    #[test]
    fn fragments_of_an_earlier_packet_with_the_same_identification_are_abandoned() {
        let bytes = datagram_bytes();
        let mut reassembler = Reassembler::default();
        assert_eq!(reassembler.push(ms(1), &fragment(&bytes, 0, 48, 7)), None);
        let later = ms(60_002);
        assert_eq!(reassembler.push(later, &fragment(&bytes, 48, 108, 7)), None);
    }

    #[test]
    fn a_fragment_cut_by_the_capture_leaves_zeros() {
        let bytes = datagram_bytes();
        let mut reassembler = Reassembler::default();
        let mut first = fragment(&bytes, 0, 48, 7);
        first.payload = &first.payload[..16];
        assert_eq!(reassembler.push(ms(1), &first), None);
        let whole = reassembler
            .push(ms(2), &fragment(&bytes, 48, 108, 7))
            .unwrap();
        assert_eq!(whole.payload[..8], [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(whole.payload[8..40], [0; 32]);
        assert_eq!(whole.payload[40], 40);
    }
}
