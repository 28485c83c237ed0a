//! Bodies in blocks (RFC 7959) and observations (RFC 7641) in captures.

use std::time::Duration;

use crate::common::{Wire, content, get, handovers};
use coap::Kind;
use coap::block::{Block, BlockSize};
use coap::message::option;
use measure::analysis::{Analysis, Options};

const CLIENT: &str = "[2001:db8::1]:5683";
const OLD: &str = "[2001:db8:1::5]:5683";
const NEW: &str = "[2001:db8:2::5]:5683";

fn analyse(wire: &Wire) -> Analysis {
    Analysis::of(&[wire.capture()], &Options::default())
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Block `number` of a body of `blocks` is asked for at `us`, and answered 1 ms later.
fn block(wire: &mut Wire, us: u64, message_id: u16, number: u32, blocks: u32, server: &str) {
    let block = |more| Block {
        number,
        more,
        size: BlockSize::new(64).unwrap(),
    };
    let mut asked = get(Kind::Confirmable, message_id, message_id as u8, "/t");
    if number > 0 {
        asked
            .options
            .push_uint(option::BLOCK2, block(false).value());
    }
    wire.message(us, CLIENT, server, &asked);
    let mut answer = content(Kind::Acknowledgement, message_id, message_id as u8);
    let more = number + 1 < blocks;
    answer
        .options
        .push_uint(option::BLOCK2, block(more).value());
    wire.message(us + 1000, server, CLIENT, &answer);
}

#[test]
fn the_round_trip_of_a_body_is_from_its_first_request_to_its_last_block() {
    let mut wire = Wire::new();
    for body in 0..4_u16 {
        for number in 0..3_u16 {
            let us = u64::from(body) * 500_000 + u64::from(number) * 2000;
            let id = 100 + 3 * body + number;
            block(&mut wire, us, id, number.into(), 3, OLD);
        }
    }
    let analysis = analyse(&wire);
    let flow = &analysis.flows[0];
    let requests = flow.requests();
    assert_eq!((requests.sent, requests.answered, requests.lost), (4, 4, 0));
    assert_eq!(requests.further_blocks, 8);
    // 0, 2 and 4 ms asked, the last answered 1 ms later.
    let rtt = requests.rtt.unwrap();
    assert_eq!((rtt.min, rtt.max), (ms(5), ms(5)));
    assert!(
        flow.gaps().is_empty(),
        "the pauses between bodies are usual"
    );
}

#[test]
fn a_body_whose_last_block_is_missing_is_one_lost_request() {
    let mut wire = Wire::new();
    block(&mut wire, 0, 100, 0, 3, OLD);
    block(&mut wire, 2000, 101, 1, 3, OLD);
    let mut third = get(Kind::Confirmable, 102, 102, "/t");
    let wanted = Block::at(128, false, BlockSize::new(64).unwrap());
    third.options.push_uint(option::BLOCK2, wanted.value());
    wire.message(4000, CLIENT, OLD, &third);
    block(&mut wire, 500_000, 103, 0, 1, OLD);
    let analysis = analyse(&wire);
    let flow = &analysis.flows[0];
    let requests = flow.requests();
    assert_eq!((requests.sent, requests.answered, requests.lost), (2, 1, 1));
    assert_eq!(flow.lost(), [102]);
}

#[test]
fn a_handover_within_a_body_is_the_gap_between_two_of_its_blocks() {
    let mut wire = Wire::new();
    block(&mut wire, 0, 100, 0, 4, OLD);
    block(&mut wire, 2000, 101, 1, 4, OLD);
    block(&mut wire, 302_000, 102, 2, 4, NEW);
    block(&mut wire, 304_000, 103, 3, 4, NEW);
    let analysis = analyse(&wire);
    let flow = &analysis.flows[0];
    let handovers = handovers(flow);
    assert_eq!(handovers.len(), 1);
    assert_eq!(handovers[0].duration(), ms(300));
    assert_eq!(handovers[0].before.message_id, 101);
    assert_eq!(handovers[0].after.message_id, 102);
    let requests = flow.requests();
    assert_eq!((requests.sent, requests.answered), (1, 1));
    assert_eq!(requests.rtt.unwrap().max, ms(305));
}

/// Registered at 0 with number 1; then each of `numbers`, 10 ms apart, from where it says.
fn observed(numbers: &[(u64, &str)]) -> Analysis {
    analyse(&observed_wire(numbers))
}

fn observed_wire(numbers: &[(u64, &str)]) -> Wire {
    let mut wire = Wire::new();
    let mut register = get(Kind::Confirmable, 100, 7, "/t");
    register.options.push_uint(option::OBSERVE, 0);
    wire.message(0, CLIENT, OLD, &register);
    let mut first = content(Kind::Acknowledgement, 100, 7);
    first.options.push_uint(option::OBSERVE, 1);
    wire.message(1000, OLD, CLIENT, &first);
    for (place, (number, from)) in numbers.iter().enumerate() {
        let mut state = content(Kind::NonConfirmable, 900 + *number as u16, 7);
        state.options.push_uint(option::OBSERVE, *number);
        wire.message(10_000 + place as u64 * 10_000, from, CLIENT, &state);
    }
    wire
}

#[test]
fn missing_and_overtaken_notifications_are_counted() {
    let analysis = observed(&[(2, OLD), (3, OLD), (7, OLD), (5, OLD), (5, OLD), (8, OLD)]);
    let flow = &analysis.flows[0];
    let notifications = flow.notifications().unwrap();
    // 2 to 8 are seven numbers; 4 and 6 are missing, one copy of 5 is a duplicate.
    assert_eq!(
        (notifications.received, notifications.missing),
        (5, Some(2))
    );
    assert_eq!((notifications.reordered, notifications.confirmable), (1, 0));
    let requests = flow.requests();
    assert_eq!((requests.sent, requests.answered), (1, 1));
    assert_eq!(requests.duplicates, 1);
    assert_eq!(analysis.other.stray, 0);
}

#[test]
fn a_notification_whose_message_id_comes_round_is_another_one() {
    let mut wire = observed_wire(&[(2, OLD), (3, OLD)]);
    // 46 s after the one with the same Message ID, and one that repeats it.
    for (us, number) in [(46_100_000, 4), (46_200_000, 4)] {
        let mut state = content(Kind::NonConfirmable, 902, 7);
        state.options.push_uint(option::OBSERVE, number);
        wire.message(us, OLD, CLIENT, &state);
    }
    let analysis = analyse(&wire);
    let flow = &analysis.flows[0];
    let notifications = flow.notifications().unwrap();
    assert_eq!((notifications.received, notifications.lost), (3, Some(0)));
    assert_eq!(flow.requests().duplicates, 1);
}

#[test]
fn notifications_from_another_address_are_a_handover() {
    let analysis = observed(&[(2, OLD), (3, OLD), (4, NEW), (5, NEW)]);
    let flow = &analysis.flows[0];
    let handovers = handovers(flow);
    assert_eq!(handovers.len(), 1);
    assert_eq!(handovers[0].duration(), ms(10));
    assert_eq!(
        (
            handovers[0].before.message_id,
            handovers[0].after.message_id
        ),
        (903, 904)
    );
    assert_eq!(flow.notifications().unwrap().lost, Some(0));
}

#[test]
fn the_end_of_an_observation_is_no_request_that_could_be_lost() {
    // What is still on its way when the client ends it belongs to the registration.
    let ended = |answer: Option<Kind>| {
        let mut wire = observed_wire(&[(2, OLD), (3, OLD)]);
        let mut end = get(Kind::Confirmable, 101, 7, "/t");
        end.options.push_uint(option::OBSERVE, 1);
        wire.message(35_000, CLIENT, OLD, &end);
        let mut late = content(Kind::NonConfirmable, 904, 7);
        late.options.push_uint(option::OBSERVE, 4);
        wire.message(35_100, OLD, CLIENT, &late);
        if let Some(kind) = answer {
            let message_id = if kind == Kind::Acknowledgement {
                101
            } else {
                950
            };
            let mut first = content(kind, message_id, 7);
            let more = Block {
                number: 0,
                more: true,
                size: BlockSize::new(64).unwrap(),
            };
            first.options.push_uint(option::BLOCK2, more.value());
            wire.message(36_000, OLD, CLIENT, &first);
        }
        analyse(&wire)
    };
    for answer in [None, Some(Kind::Acknowledgement), Some(Kind::Confirmable)] {
        let analysis = ended(answer);
        assert_eq!(analysis.flows.len(), 1, "{answer:?}");
        let flow = &analysis.flows[0];
        let requests = flow.requests();
        assert_eq!((requests.sent, requests.lost), (1, 0), "{answer:?}");
        assert_eq!(requests.duplicates, 0, "{answer:?}");
        assert_eq!(flow.notifications().unwrap().received, 3, "{answer:?}");
        assert_eq!(analysis.other.deregistrations, 1);
        assert_eq!(analysis.other.stray, 0);
    }
}
