//! Instants of CSMA-CA, transmission, ACK and retry, to the nanosecond.

mod common;

use std::time::Duration;

use common::*;
use medium::{FrameReport, Kind, Outcome, Profile, SendOutcome, Transmission};
use units::SimTime;

/// The number of backoff periods between `from` and a CCA that ended, 192 us of turnaround
/// before, in a transmission at `start`; panics unless it is a whole one.
fn periods(from: SimTime, start: SimTime) -> u128 {
    let waited = (start - from).as_nanos() - us(128 + 192).as_nanos();
    assert_eq!(waited % us(320).as_nanos(), 0, "a whole number of periods");
    waited / us(320).as_nanos()
}

fn pair(losses: Losses) -> World {
    World::new(1, losses, vec![radio(1), radio(2)])
}

#[test]
fn a_frame_begins_after_backoff_cca_and_turnaround() {
    let mut world = pair(Losses::all(60.0));
    let mut seen = [0; 8];
    for i in 0..200u32 {
        // At odd instants: nothing is aligned to anything.
        let at = SimTime::from_nanos(1_000_000_007 * u64::from(i));
        world.hand(at, 0, &data(1, 2, 50, false, i as u8));
        world.finish();
        let sent = world.transmissions().last().copied().unwrap().clone();
        seen[periods(at, sent.start) as usize] += 1;
        assert_eq!(sent.end - sent.start, us((6 + 50) * 32));
        let report = world.reports().last().copied().unwrap().clone();
        assert_eq!((report.queued, report.ended), (at, sent.end));
        assert_eq!(report.sent, SendOutcome::Sent);
    }
    assert!(seen.iter().all(|n| *n > 0), "0 to 7 periods: {seen:?}");
}

#[test]
fn an_ack_comes_after_the_turnaround() {
    let mut world = pair(Losses::all(60.0));
    let at = SimTime::from_nanos(123_456_789);
    let frame = world.hand(at, 0, &data(1, 2, 127, true, 0x6a));
    world.finish();
    let [sent, ack] = world.transmissions()[..] else {
        panic!("a frame and its ACK");
    };
    assert_eq!(sent.kind, Kind::Data { attempt: 1 });
    assert_eq!((ack.kind, ack.frame), (Kind::Ack, frame));
    assert_eq!(ack.start - sent.end, us(192));
    assert_eq!(ack.end - ack.start, us(352));
    // The standard's example of an FCS (§7.2.1.9).
    assert_eq!(&*ack.psdu, [0x02, 0x00, 0x6a, 0xe4, 0x79]);
    let [report] = world.reports()[..] else {
        panic!("one frame");
    };
    assert_eq!(report.sent, SendOutcome::Acknowledged);
    assert_eq!(report.ended, ack.end);
    let [(to, Outcome::Delivered { at, attempt, .. })] = report.receivers[..] else {
        panic!("delivered: {:?}", report.receivers);
    };
    assert_eq!((to.0, at, attempt), (1, sent.end, 1));
    assert_eq!(world.delivered(), [(1, frame)]);
}

#[test]
fn without_an_ack_the_next_attempt_begins_after_the_wait() {
    let mut world = pair(Losses::default());
    world.hand(SimTime::ZERO, 0, &data(1, 2, 40, true, 1));
    world.finish();
    let sent = world.transmissions();
    let attempts: Vec<Kind> = sent.iter().map(|t| t.kind).collect();
    let expected = [1, 2, 3, 4].map(|attempt| Kind::Data { attempt });
    assert_eq!(attempts, expected, "macMaxFrameRetries is 3");
    for two in sent.windows(2) {
        // macAckWaitDuration, 54 symbols, from the end of the frame.
        assert!(periods(two[0].end + us(864), two[1].start) < 8);
    }
    let [report] = world.reports()[..] else {
        panic!("one frame");
    };
    assert_eq!(report.sent, SendOutcome::NotAcknowledged);
    assert_eq!((report.attempts, report.ended), (4, sent[3].end + us(864)));
}

/// Two frames at once: when the second begins after the first's end, and what ended it.
fn spacing(psdu: usize, ack: bool) -> (FrameReport, Transmission) {
    let mut world = pair(Losses::all(60.0));
    world.hand(SimTime::ZERO, 0, &data(1, 2, psdu, ack, 1));
    world.hand(SimTime::ZERO, 0, &data(1, 2, psdu, ack, 2));
    world.finish();
    let first = world.reports()[0].clone();
    let data = |t: &&&Transmission| t.from.0 == 0;
    let sent = world.transmissions();
    let second = sent.iter().filter(data).nth(1).unwrap();
    (first, (*second).clone())
}

#[test]
fn the_interframe_space_follows_a_frame_or_its_ack() {
    for (psdu, space) in [(18, 192), (19, 640), (127, 640)] {
        for ack in [false, true] {
            let (first, second) = spacing(psdu, ack);
            assert!(periods(first.ended + us(space), second.start) < 8);
        }
    }
}

#[test]
fn a_busy_channel_raises_the_exponent_and_then_fails() {
    // Radio 1 transmits all the time with frames of 4 ms and no backoff; radio 2 hears it.
    let mut jammer = radio(1);
    jammer.mac = at_once();
    let mut world = World::new(7, Losses::all(60.0), vec![jammer, radio(2), radio(3)]);
    let mut failures = 0;
    let first = [(SimTime::ZERO, 0), (at_us(1000), 1)];
    let next = |from: usize| data(from as u16 + 1, 3, 127, false, 0);
    world.saturate(at_us(2_000_000), &first, next);
    for report in world.reports().iter().filter(|r| r.from.0 == 1) {
        if report.sent == SendOutcome::ChannelAccessFailure {
            failures += 1;
            assert_eq!(report.attempts, 0);
            // Five backoffs of at most 7, 15, 31, 31, 31 periods, each with its CCA.
            let most = us((7 + 15 + 3 * 31) * 320 + 5 * 128);
            let least = us(5 * 128);
            let space = us(640);
            let took = report.ended - report.queued;
            assert!(took >= least && took <= most + space, "{took:?}");
            let dropped = Outcome::Dropped(medium::Reason::ChannelAccessFailure);
            assert_eq!(report.receivers, [(medium::RadioIndex(2), dropped)]);
        }
    }
    assert!(failures > 10, "{failures}");
}

#[test]
fn a_faster_turnaround_shortens_the_way_to_the_air_but_not_to_the_ack() {
    let mut fast = radio(1);
    fast.mac = at_once();
    fast.profile = Profile {
        turnaround: us(16),
        ..fast.profile
    };
    let mut peer = radio(2);
    peer.profile = fast.profile.clone();
    let mut world = World::new(1, Losses::all(60.0), vec![fast, peer]);
    world.hand(SimTime::ZERO, 0, &data(1, 2, 20, true, 1));
    world.finish();
    let sent = world.transmissions();
    assert_eq!(sent[0].start, at_us(128 + 16));
    assert_eq!(sent[1].start - sent[0].end, us(192));
}

#[test]
fn a_late_timer_changes_nothing_but_when_it_is_known() {
    let run = |step: Duration| {
        let mut world = pair(Losses::all(60.0));
        for i in 0..20 {
            world.hand(at_us(100 * i), 0, &data(1, 2, 60, true, i as u8));
        }
        let mut now = at_us(2000);
        while world.medium.poll_timeout().is_some() {
            now += step;
            world.medium.handle_timeout(now, &mut world.losses);
            world.drain();
        }
        world.outputs
    };
    assert_eq!(run(us(10)), run(us(70_001)));
}

#[test]
fn time_never_goes_back() {
    let mut world = pair(Losses::all(60.0));
    world
        .medium
        .handle_timeout(at_us(5_000_000), &mut world.losses);
    world.hand(at_us(10), 0, &data(1, 2, 60, false, 0));
    world.finish();
    assert_eq!(world.reports()[0].queued, at_us(5_000_000));
    assert!(world.transmissions()[0].start > at_us(5_000_000));
}
