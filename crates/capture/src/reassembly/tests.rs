use super::*;
use proptest::prelude::*;

fn ms(n: u64) -> SimTime {
    SimTime::from_nanos(n * 1_000_000)
}

/// 108 bytes.
fn bytes() -> Vec<u8> {
    (0..108).collect()
}

/// The bytes `from..to` of a datagram, whose last fragment tells its length as IP's does.
fn part(time: u64, bytes: &[u8], from: usize, to: usize) -> Part<'_> {
    Part {
        time: ms(time),
        offset: from,
        data: &bytes[from..to],
        length: to - from,
        total: (to == bytes.len()).then_some(to),
        protocol: 17,
        received: true,
    }
}

#[test]
fn a_datagram_is_complete_with_its_last_fragment_in_any_order() {
    let bytes = bytes();
    let mut reassembly = Reassembly::default();
    assert_eq!(reassembly.push(7, part(1, &bytes, 48, 96)), None);
    assert_eq!(reassembly.push(7, part(2, &bytes, 96, 108)), None);
    assert_eq!(reassembly.push(8, part(3, &bytes, 0, 48)), None);
    let whole = reassembly.push(7, part(4, &bytes, 0, 48)).unwrap();
    assert_eq!((whole.began, &whole.bytes), (ms(1), &bytes));
    assert_eq!((whole.fragments, whole.holes), (3, false));
    assert_eq!(reassembly.incomplete(), 1);
}

#[test]
fn a_lost_fragment_means_no_datagram() {
    let bytes = bytes();
    let mut reassembly = Reassembly::default();
    assert_eq!(reassembly.push(7, part(1, &bytes, 0, 48)), None);
    assert_eq!(reassembly.push(7, part(2, &bytes, 96, 108)), None);
    assert_eq!(reassembly.incomplete(), 1);
}

#[test]
fn fragments_of_an_earlier_packet_with_the_same_identification_are_abandoned() {
    let bytes = bytes();
    let mut reassembly = Reassembly::default();
    assert_eq!(reassembly.push(7, part(1, &bytes, 0, 48)), None);
    assert_eq!(reassembly.push(7, part(60_002, &bytes, 48, 108)), None);
    assert_eq!(reassembly.incomplete(), 2);
}

#[test]
fn a_fragment_cut_by_the_capture_leaves_zeros() {
    let bytes = bytes();
    let mut reassembly = Reassembly::default();
    let mut first = part(1, &bytes, 0, 48);
    first.data = &first.data[..16];
    assert_eq!(reassembly.push(7, first), None);
    let whole = reassembly.push(7, part(2, &bytes, 48, 108)).unwrap();
    assert_eq!(whole.bytes[..16], bytes[..16]);
    assert_eq!(whole.bytes[16..48], [0; 32]);
    assert_eq!(whole.bytes[48], 48);
    assert!(whole.holes);
}

#[test]
fn copies_of_fragments_give_the_datagram_once_and_nothing_is_missing() {
    let bytes = bytes();
    let mut reassembly = Reassembly::default();
    assert_eq!(reassembly.push(7, part(1, &bytes, 0, 48)), None);
    assert_eq!(reassembly.push(7, part(1, &bytes, 0, 48)), None);
    assert!(reassembly.push(7, part(2, &bytes, 48, 108)).is_some());
    assert_eq!(reassembly.push(7, part(2, &bytes, 48, 108)), None);
    assert_eq!(reassembly.incomplete(), 0);
    // Later the identification comes round.
    assert_eq!(reassembly.push(7, part(2_000, &bytes, 48, 108)), None);
    assert_eq!(reassembly.incomplete(), 1);
}

#[test]
fn a_fragment_that_overlaps_another_begins_anew() {
    let bytes = bytes();
    let mut reassembly = Reassembly::default();
    assert_eq!(reassembly.push(7, part(1, &bytes, 0, 48)), None);
    assert_eq!(reassembly.push(7, part(2, &bytes, 40, 108)), None);
    assert!(reassembly.push(7, part(3, &bytes, 0, 40)).is_some());
    assert_eq!(reassembly.incomplete(), 1);
    // One that ends behind the end that another told.
    assert_eq!(reassembly.push(9, part(4, &bytes, 48, 96)), None);
    assert_eq!(
        reassembly.push(9, part(5, &bytes[..80], 0, 80)),
        Some(Whole {
            began: ms(5),
            bytes: bytes[..80].to_vec(),
            holes: false,
            protocol: 17,
            received: true,
            fragments: 1,
        })
    );
}

#[test]
fn a_datagram_with_a_lost_fragment_is_told_as_lost_and_again_when_it_was_received() {
    let bytes = bytes();
    let mut reassembly = Reassembly::default();
    assert_eq!(reassembly.push(7, part(1, &bytes, 0, 48)), None);
    let lost = Part {
        received: false,
        ..part(2, &bytes, 48, 108)
    };
    assert!(!reassembly.push(7, lost).unwrap().received);
    assert_eq!(
        reassembly.push(
            7,
            Part {
                time: ms(3),
                ..lost
            }
        ),
        None
    );
    let again = Part {
        time: ms(4),
        received: true,
        ..lost
    };
    assert!(reassembly.push(7, again).unwrap().received);
    assert_eq!(reassembly.push(7, again), None);
    assert_eq!(reassembly.incomplete(), 0);
}

#[test]
fn hostile_fragments_fill_no_more_than_the_room_that_there_is() {
    let data = vec![0; 60_000];
    let mut reassembly = Reassembly::default();
    for key in 0..3_000_u32 {
        let part = Part {
            total: None,
            ..part(1, &data, 8, 60_000)
        };
        assert_eq!(reassembly.push(key, part), None);
        assert!(reassembly.bytes <= MAX_BYTES);
    }
    let kept = reassembly.datagrams.len() as u64;
    assert_eq!(kept, (MAX_BYTES / (59_992 + OVERHEAD)) as u64);
    assert_eq!(
        (reassembly.incomplete(), reassembly.dropped()),
        (3_000, 3_000 - kept)
    );

    let mut reassembly = Reassembly::default();
    for n in 0..100_000_u32 {
        // Small ones, and ones that contradict each other.
        let from = if n % 2 == 0 { 8 } else { 9 };
        reassembly.push(n % 5_000, part(1, &data[..100], from, 20));
        assert!(reassembly.datagrams.len() <= MAX_DATAGRAMS);
        assert!(reassembly.order.len() <= 2 * MAX_DATAGRAMS + 1);
    }
}

proptest! {
    #[test]
    fn whatever_comes_the_counts_agree_with_what_is_kept(
        parts in prop::collection::vec(
            (0_u8..3, 0_u64..120_000, 0_usize..6, 0_usize..4, any::<bool>(), any::<bool>()), 0..60,
        ),
    ) {
        let data = [0; 64];
        let mut reassembly = Reassembly::default();
        for (key, time, offset, length, last, received) in parts {
            let (from, to) = (offset * 8, (offset + length) * 8);
            let part = Part {
                total: last.then_some(to),
                received,
                ..part(time, &data, from, to.min(64))
            };
            reassembly.push(key, part);
            let kept = reassembly.datagrams.values().flat_map(|d| d.parts.values());
            let bytes: usize = kept.map(|p| p.data.len() + OVERHEAD).sum();
            prop_assert_eq!(bytes, reassembly.bytes);
            for datagram in reassembly.datagrams.values().filter(|d| !d.parts.is_empty()) {
                let have: usize = datagram.parts.values().map(|p| p.length).sum();
                prop_assert_eq!(have, datagram.have);
            }
        }
    }
}
