//! What acknowledgements tell of the frames before them.

use super::super::*;
use super::radio::mpdu;
use super::{frame, v6_packet};
use crate::tap::AIR;

const NOFCS: LinkType = LinkType::IEEE802_15_4_NOFCS;

/// A frame of node 5 to node 9 that asks for an acknowledgement.
fn asks(sequence: u8) -> Vec<u8> {
    mpdu(&[0x61, 0x88, sequence, 1, 0, 9, 0, 5, 0])
}

fn ack(sequence: u8) -> Vec<u8> {
    vec![2, 0, sequence]
}

/// At which milliseconds packets are given that were received, when all has been seen.
fn arrived(frames: &[(u64, Vec<u8>)]) -> Vec<u64> {
    let all = |decoder: &mut Decoder| {
        let read = frames.iter().filter_map(|(ms, bytes)| {
            let frame = Frame {
                time: SimTime::from_nanos(ms * 1_000_000),
                ..frame(NOFCS, bytes)
            };
            decoder.read(frame).filter(|p| p.received).map(|_| *ms)
        });
        read.collect::<Vec<u64>>()
    };
    let mut decoder = Decoder::default();
    let first = all(&mut decoder);
    decoder.again().map_or(first, |mut again| all(&mut again))
}

/// Attempts at sequence number 7, 5 ms apart from 100 ms on, of which this one is acknowledged;
/// after a frame that was.
fn attempts(count: u64, acknowledged: Option<u64>) -> Vec<(u64, Vec<u8>)> {
    let mut frames = vec![(0, asks(6)), (2, ack(6))];
    for attempt in 1..=count {
        frames.push((95 + 5 * attempt, asks(7)));
        if acknowledged == Some(attempt) {
            frames.push((97 + 5 * attempt, ack(7)));
        }
    }
    frames
}

#[test]
fn the_attempt_that_was_acknowledged_is_the_arrival() {
    assert_eq!(arrived(&attempts(1, Some(1))), [0, 100]);
    assert_eq!(arrived(&attempts(3, Some(3))), [0, 110]);
    // Its sender did not hear the acknowledgement.
    assert_eq!(arrived(&attempts(3, Some(2))), [0, 105]);
}

#[test]
fn a_frame_that_was_given_up_without_an_acknowledgement_did_not_arrive() {
    assert_eq!(arrived(&attempts(4, None)), [0]);
    assert_eq!(arrived(&attempts(8, None)), [0]);
}

#[test]
fn a_sniffer_may_miss_an_acknowledgement() {
    // No MAC gives up so soon: the last attempt was acknowledged.
    assert_eq!(arrived(&attempts(1, None)), [0, 100]);
    assert_eq!(arrived(&attempts(3, None)), [0, 110]);
    // A strobe of more attempts than any MAC makes.
    assert_eq!(arrived(&attempts(20, None)), [0, 195]);
}

#[test]
fn silence_of_a_receiver_that_was_never_heard_says_nothing() {
    let mut frames = attempts(4, None);
    frames.retain(|(_, bytes)| bytes.len() > 3);
    assert_eq!(arrived(&frames), [0, 100]);
    // It acknowledges another frame, too late for this one.
    frames.push((500, ack(7)));
    assert_eq!(arrived(&frames), [0, 100]);
}

#[test]
fn a_frame_that_asks_for_no_acknowledgement_arrives_without_one() {
    let mut frames = attempts(4, None);
    for (_, bytes) in frames.iter_mut().filter(|(ms, _)| *ms >= 100) {
        bytes[0] &= !0x20;
    }
    assert_eq!(arrived(&frames), [0, 100]);
}

#[test]
fn what_a_capture_says_itself_counts_before_acknowledgements() {
    let mut decoder = Decoder::default();
    for (ms, bytes) in attempts(4, None) {
        decoder.read(Frame {
            time: SimTime::from_nanos(ms * 1_000_000),
            // Its acknowledgements were lost.
            received: bytes.len() > 3,
            ..frame(NOFCS, &bytes)
        });
    }
    assert!(decoder.again().is_none());
}

#[test]
fn a_frame_without_a_strength_was_lost_only_in_a_capture_by_the_medium() {
    let header = |rss: &[u8]| [&[0, 0, 4 + rss.len() as u8, 0], rss].concat();
    let strength = [1, 0, 4, 0, 0, 0, 0x76, 0xc2];
    let packet = |rss: &[u8]| {
        let bytes = [header(rss), asks(7), v6_packet(b"")].concat();
        Packet::new(0, SimTime::ZERO, bytes)
    };
    let mut interface = Interface::new("air", LinkType::IEEE802_15_4_TAP);
    assert!(Frame::of(&interface, &packet(&[])).received);
    interface.description = Some(AIR.into());
    assert!(!Frame::of(&interface, &packet(&[])).received);
    assert!(Frame::of(&interface, &packet(&strength)).received);
    // A comment says it better.
    let told = Packet {
        comment: Some("a: attempt 1; b: received".into()),
        ..packet(&[])
    };
    assert!(Frame::of(&interface, &told).received);
}
