//! Which frames of IEEE 802.15.4 a datagram crossed in: one, or a fragment of 6LoWPAN in each (RFC 4944 §5.3).

use std::hash::{DefaultHasher, Hash, Hasher};

use capture::decode::{Frame, IpPacket};

use super::Key;
use crate::recent::Recent;

/// Datagrams of which fragments are missing, in each of two generations.
const MOST_PENDING: usize = 1 << 10;
/// Frames that may be sent again, in each of two generations.
const MOST_FRAMES: usize = 1 << 10;

/// The FCS (IEEE 802.15.4-2015 §7.2.10), which the kernel's captures leave out.
const FCS: u64 = 2;

/// Frames and their octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Octets {
    pub(super) frames: u64,
    pub(super) octets: u64,
}

/// The frames of one radio, on their way to be datagrams.
#[derive(Debug)]
pub(super) struct Fragments {
    /// By MAC addresses, size and tag of the datagram.
    pending: Recent<Vec<u8>, Octets>,
    /// What the latest frames were that completed a datagram: its message, the octets of the frame, and
    /// whether the frame was all of it.
    latest: Recent<u64, (Key, Octets, bool)>,
}

impl Default for Fragments {
    fn default() -> Fragments {
        Fragments {
            pending: Recent::new(MOST_PENDING),
            latest: Recent::new(MOST_FRAMES),
        }
    }
}

impl Fragments {
    /// Takes a frame, `again` if the MAC sent it before. If it completes the packet that was read of it: all
    /// frames of that one; none if they are not all known.
    pub(super) fn take(
        &mut self,
        frame: Frame<'_>,
        again: bool,
        packet: Option<&IpPacket<'_>>,
    ) -> Option<Octets> {
        let own = octets(frame);
        let Some((datagram, is_first)) = fragment(frame.bytes) else {
            return packet.filter(|packet| packet.fragments == 0).map(|_| own);
        };
        let before = self.pending.take(&datagram).filter(|_| again || !is_first);
        let before = before.unwrap_or_default();
        let all = Octets {
            frames: before.frames + own.frames,
            octets: before.octets + own.octets,
        };
        let Some(packet) = packet else {
            self.pending.insert(datagram, all);
            return None;
        };
        (all.frames >= u64::from(packet.fragments)).then_some(all)
    }

    /// The frame completed a datagram with this message; `is_whole` if it was all of it.
    pub(super) fn told(&mut self, frame: Frame<'_>, key: Key, is_whole: bool) {
        let of = (key, octets(frame), is_whole);
        self.latest.insert(hash(frame.bytes), of);
    }

    /// What these bytes completed as a frame before.
    pub(super) fn completed(&self, frame: &[u8]) -> Option<(Key, Octets, bool)> {
        self.latest.get(&hash(frame)).cloned()
    }
}

fn octets(frame: Frame<'_>) -> Octets {
    Octets {
        frames: 1,
        octets: frame.length as u64 + FCS,
    }
}

fn hash(frame: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    frame.hash(&mut hasher);
    hasher.finish()
}

/// Which datagram a frame has a fragment of, and whether it is the first one. Of frames of 2003 and 2006
/// without security; what else there is has no fragment here.
fn fragment(frame: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (control, rest) = frame.split_first_chunk::<2>()?;
    let control = u16::from_le_bytes(*control);
    // Data (IEEE 802.15.4-2006 table 79), no security, version 0 or 1.
    if control & 0b1111 != 1 || control >> 12 & 0b10 != 0 {
        return None;
    }
    let length = |mode: u16| match mode & 0b11 {
        2 => Some(2),
        3 => Some(8),
        0 => Some(0),
        _ => None,
    };
    let (to, from) = (length(control >> 10)?, length(control >> 14)?);
    let compressed = control & 1 << 6 != 0;
    let pan = |address: usize, left_out: bool| if address == 0 || left_out { 0 } else { 2 };
    let addresses = pan(to, false) + to + pan(from, compressed && to > 0) + from;
    let (addresses, payload) = rest.get(1..)?.split_at_checked(addresses)?;
    let (header, _) = payload.split_first_chunk::<4>()?;
    let is_first = match header[0] >> 3 {
        0b11000 => true,
        0b11100 => false,
        _ => return None,
    };
    // Size, in the low bits of the dispatch and the next octet, and tag (RFC 4944 §5.3).
    let mut datagram = addresses.to_vec();
    datagram.extend([header[0] & 0b111, header[1], header[2], header[3]]);
    Some((datagram, is_first))
}

#[cfg(test)]
mod tests {
    use capture::decode::Decoder;
    use proptest::prelude::*;

    use super::*;

    /// From 2 to 1 in PAN 1, and what the frame carries.
    fn short(payload: &[u8]) -> Vec<u8> {
        [&[0x41, 0x88, 7, 1, 0, 1, 0, 2, 0][..], payload].concat()
    }

    #[test]
    fn fragments_of_a_datagram_have_its_addresses_size_and_tag() {
        let first = fragment(&short(&[0xc1, 0x20, 0, 9, 0x41])).unwrap();
        let next = fragment(&short(&[0xe1, 0x20, 0, 9, 12, 0])).unwrap();
        assert_eq!((first.1, next.1), (true, false));
        assert_eq!(first.0, next.0);
        let other = fragment(&short(&[0xe1, 0x20, 0, 10, 12, 0])).unwrap();
        assert_ne!(first.0, other.0);
        // Addresses of 64 bits, the PAN of the source not left out.
        let mut long = vec![0x01, 0xcc, 7, 1, 0];
        long.extend([5; 8]);
        long.extend([1, 0]);
        long.extend([6; 8]);
        long.extend([0xc1, 0x20, 0, 9]);
        assert_eq!(fragment(&long).unwrap().0.len(), 20 + 4);
    }

    #[test]
    fn what_is_no_fragment_is_none() {
        assert_eq!(fragment(&short(&[0x41, 0x60, 0, 0])), None, "IPv6 as it is");
        assert_eq!(fragment(&[2, 0, 42]), None, "an acknowledgement");
        let mut secured = short(&[0xc1, 0x20, 0, 9]);
        secured[0] |= 8;
        assert_eq!(fragment(&secured), None);
        let mut of_2015 = short(&[0xc1, 0x20, 0, 9]);
        of_2015[1] |= 0x20;
        assert_eq!(fragment(&of_2015), None);
    }

    #[test]
    fn the_frames_of_a_kernel_are_those_of_its_packets() {
        let capture = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../capture/tests/data/walk.wpan0.pcap"
        );
        let capture = capture::read(capture).unwrap();
        let (mut decoder, mut fragments) = (Decoder::default(), Fragments::default());
        let (mut packets, mut frames) = (0, 0);
        for packet in &capture.packets {
            let frame = Frame::of(&capture.interfaces[packet.interface], packet);
            let ip = decoder.read(frame);
            let taken = fragments.take(frame, false, ip.as_ref());
            assert_eq!(taken.is_some(), ip.is_some());
            if let (Some(taken), Some(ip)) = (taken, ip) {
                assert_eq!(taken.frames, u64::from(ip.fragments).max(1));
                packets += 1;
                frames += taken.frames;
            }
        }
        // One of the packets crossed in two fragments.
        assert_eq!((packets, frames), (44, 45));
        assert_eq!(capture.packets.len(), 45);
    }

    proptest! {
        #[test]
        fn no_frame_makes_it_panic(frame in prop::collection::vec(any::<u8>(), 0..40)) {
            let found = fragment(&frame);
            prop_assert!(found.is_none_or(|(datagram, _)| datagram.len() <= frame.len()));
        }
    }
}
