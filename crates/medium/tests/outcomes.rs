//! What becomes of frames: queue, retries, duplicates, retuning; and what must not matter.

mod common;

use common::*;
use medium::{
    Fate, Kind, MacParams, Outcome, Output, Profile, RadioConfig, RadioIndex, Reason, SendOutcome,
};
use units::{Db, Dbm, LossRatio};

#[test]
fn a_full_queue_drops_the_newest_frame() {
    let mut sender = radio(1);
    sender.mac.queue = 5;
    let mut world = World::new(1, Losses::all(60.0), vec![sender, radio(2)]);
    for i in 0..8 {
        world.hand(at_us(0), 0, &data(1, 2, 50, true, i));
    }
    world.finish();
    let ended = |frame: u64| {
        let reports = world.reports();
        let report = reports.iter().find(|r| r.frame.0 == frame);
        (*report.unwrap()).clone()
    };
    // One is being sent, five wait.
    for frame in 0..6 {
        assert_eq!(ended(frame).sent, SendOutcome::Acknowledged);
    }
    for frame in 6..8 {
        let report = ended(frame);
        let dropped = Outcome::Dropped(Reason::QueueFull);
        assert_eq!(report.sent, SendOutcome::QueueFull);
        assert_eq!(report.receivers, [(RadioIndex(1), dropped)]);
        assert_eq!((report.attempts, report.ended), (0, at_us(0)));
    }
    assert_eq!(MacParams::default().queue, 300);
}

#[test]
fn retries_bring_frames_through_ten_percent_loss_and_none_twice() {
    // 127-byte PSDU at 0.1978 dB: 10 % lost (by mpmath); the ACK's 48 bits there are right with
    // 0.9^(48/1024) = 0.99507.
    let mut profile = Profile::named("cc2420").unwrap();
    profile.sensitivity = Dbm(-120.0);
    let loss = Dbm(0.0) - (profile.noise() + Db(0.197_797_320_376));
    let radios = [1, 2].map(|address| RadioConfig {
        profile: profile.clone(),
        ..radio(address)
    });
    let mut world = World::new(1, Losses::all(loss.0), radios.to_vec());
    let count = 20_000u32;
    for i in 0..count {
        world.hand(
            at_us(100_000 * u64::from(i)),
            0,
            &data(1, 2, 127, true, i as u8),
        );
        world.finish();
    }
    let reports = world.reports();
    assert_eq!(reports.len(), count as usize);
    let share = |n: usize| n as f64 / f64::from(count);
    let lost = reports
        .iter()
        .filter(|r| r.sent == SendOutcome::NotAcknowledged);
    let acknowledged: f64 = 0.9 * 0.9f64.powf(48.0 / 1024.0);
    let failed = 1.0 - acknowledged;
    println!("not acknowledged: {}", share(lost.clone().count()));
    assert!(share(lost.count()) < 4.0 * failed.powi(4));
    let attempts: u32 = reports.iter().map(|r| u32::from(r.attempts)).sum();
    let expected = 1.0 + failed + failed.powi(2) + failed.powi(3);
    let mean = f64::from(attempts) / f64::from(count);
    println!("{mean:.4} attempts a frame, theory {expected:.4}");
    assert!((mean / expected - 1.0).abs() < 0.01);
    // Received again because the ACK was lost: acknowledged again, delivered once.
    let mut frames: Vec<_> = world.delivered();
    let delivered = frames.len();
    frames.sort_unstable();
    frames.dedup();
    assert_eq!(frames.len(), delivered);
    let copies = world.transmissions().into_iter().filter(|t| {
        let data = matches!(t.kind, Kind::Data { .. });
        data && t.receptions[0].fate == Fate::Received
    });
    let again = share(copies.count() - delivered);
    let theory = 0.9 - acknowledged;
    println!("{again:.5} copies a frame, theory about {theory:.5}");
    assert!(again > 0.002 && again < 0.008);
    let acks = world.transmissions().into_iter();
    let acks = acks.filter(|t| t.kind == Kind::Ack).count();
    assert_eq!(
        share(acks),
        share(delivered) + again,
        "each copy has its ACK"
    );
}

#[test]
fn tuning_away_ends_the_hosts_frames_and_not_the_one_on_the_air() {
    let mut sender = radio(1);
    sender.mac = at_once();
    let mut world = World::new(1, Losses::all(60.0), vec![sender, radio(2)]);
    for i in 0..3 {
        world.hand(at_us(0), 0, &data(1, 2, 50, true, i));
    }
    // The first is on the air from 320 us to 2112 us.
    let losses = &mut world.losses;
    world
        .medium
        .tune(at_us(1000), losses, RadioIndex(0), channel(20));
    world.drain();
    let waiting: Vec<u64> = world.reports().iter().map(|r| r.frame.0).collect();
    assert_eq!(waiting, [1, 2], "at once");
    for report in world.reports() {
        let dropped = Outcome::Dropped(Reason::NotOnChannel);
        assert_eq!(report.sent, SendOutcome::Retuned);
        assert_eq!(report.receivers, [(RadioIndex(1), dropped)]);
        assert_eq!(report.channel, channel(26));
    }
    world.finish();
    let last = world.reports()[2];
    assert_eq!((last.sent, last.ended), (SendOutcome::Retuned, at_us(2112)));
    assert!(matches!(last.receivers[0].1, Outcome::Delivered { .. }));
    let ack = world.transmissions()[1];
    assert_eq!(ack.receptions[0].fate, Fate::Lost(Reason::NotOnChannel));
}

#[test]
fn a_frame_for_another_channel_takes_its_radio_there() {
    let mut other = radio(2);
    other.channel = channel(15);
    let mut world = World::new(1, Losses::all(60.0), vec![radio(1), other]);
    let frame = data(1, 2, 50, true, 1);
    let losses = &mut world.losses;
    let id = world
        .medium
        .handle_frame(at_us(0), losses, RadioIndex(0), channel(15), &frame);
    world.finish();
    assert_eq!(world.delivered(), [(1, id)]);
    assert_eq!(world.medium.config(RadioIndex(0)).channel, channel(15));
}

#[test]
fn a_filter_that_is_set_counts_from_the_next_frame_on() {
    let mut world = World::new(1, Losses::all(60.0), vec![radio(1), radio(2)]);
    world.hand(at_us(0), 0, &data(1, 9, 50, false, 1));
    world.finish();
    assert_eq!(
        world.reports()[0].receivers,
        [],
        "an address that nobody has"
    );
    let losses = &mut world.losses;
    world
        .medium
        .set_filter(at_us(10_000), losses, RadioIndex(1), filter(9));
    let id = world.hand(at_us(10_000), 0, &data(1, 9, 50, false, 2));
    world.finish();
    assert_eq!(world.delivered(), [(1, id)]);
}

#[test]
fn the_reason_of_several_lost_attempts_is_theirs_if_they_share_one() {
    let mut world = World::new(1, Losses::default(), vec![radio(1), radio(2)]);
    world.hand(at_us(0), 0, &data(1, 2, 50, true, 1));
    world.finish();
    let no_signal = Outcome::Dropped(Reason::NoSignal);
    assert_eq!(world.reports()[0].receivers, [(RadioIndex(1), no_signal)]);
    // Asleep for the first attempts, then awake and out of reach.
    let (receiver, losses) = (RadioIndex(1), &mut world.losses);
    world
        .medium
        .set_awake(at_us(100_000), losses, receiver, false);
    world.hand(at_us(100_000), 0, &data(1, 2, 50, true, 2));
    while world.transmissions().len() < 6 {
        let at = world.medium.poll_timeout().unwrap();
        world.medium.handle_timeout(at, &mut world.losses);
        world.drain();
    }
    let now = world.medium.now();
    world
        .medium
        .set_awake(now, &mut world.losses, receiver, true);
    world.finish();
    let exhausted = Outcome::Dropped(Reason::RetriesExhausted);
    assert_eq!(world.reports()[1].receivers, [(receiver, exhausted)]);
    assert_eq!(world.reports()[1].sent, SendOutcome::NotAcknowledged);
}

#[test]
fn a_frame_that_is_too_long_is_never_sent() {
    let mut world = World::new(1, Losses::all(60.0), vec![radio(1), radio(2)]);
    world.hand(at_us(0), 0, &data(1, 2, 128, true, 1));
    world.hand(at_us(0), 0, &data(1, 2, 127, true, 2));
    world.finish();
    let reports = world.reports();
    assert_eq!(reports[0].sent, SendOutcome::TooLong);
    assert_eq!((reports[0].attempts, reports[0].receivers.len()), (0, 0));
    assert_eq!(reports[1].sent, SendOutcome::Acknowledged);
}

#[test]
fn a_broadcast_is_sent_once_and_every_radio_has_its_outcome() {
    let mut asleep = radio(3);
    asleep.channel = channel(12);
    let losses = Losses::all(60.0).with(0, 3, Some(120.0));
    let mut world = World::new(1, losses, vec![radio(1), radio(2), asleep, radio(4)]);
    // The ACK bit, which a broadcast must not have, asks nobody.
    world.hand(at_us(0), 0, &data(1, BROADCAST, 50, true, 1));
    world.finish();
    let [report] = world.reports()[..] else {
        panic!("one frame");
    };
    assert_eq!((report.sent, report.attempts), (SendOutcome::Sent, 1));
    let outcomes: Vec<_> = report.receivers.iter().map(|(to, o)| (to.0, *o)).collect();
    assert!(matches!(outcomes[0], (1, Outcome::Delivered { .. })));
    assert_eq!(outcomes[1], (2, Outcome::Dropped(Reason::NotOnChannel)));
    assert_eq!(outcomes[2], (3, Outcome::Dropped(Reason::NoSignal)));
    assert_eq!(world.transmissions().len(), 1, "no ACK");
}

/// Traffic of three radios at the edge of what they can receive, with a silent one at `place`
/// if there is one; the outputs with the radios counted as without it.
fn with_silent(place: Option<usize>, its_loss: Option<f64>) -> Vec<Output> {
    let mut radios = vec![radio(1), radio(2), radio(3)];
    let number = |i: usize| place.map_or(i, |place| i + usize::from(i >= place));
    let mut losses = Losses::default();
    for (a, b, loss) in [(0, 1, 94.9), (1, 2, 94.99), (0, 2, 90.0)] {
        losses = losses.with(number(a), number(b), Some(loss));
    }
    if let Some(place) = place {
        radios.insert(place, radio(99));
        for other in (0..4).filter(|other| *other != place) {
            losses = losses.with(place, other, its_loss);
        }
    }
    let mut world = World::new(17, losses, radios);
    for i in 0..900u64 {
        let from = (i % 3) as u16;
        let to = if i % 7 == 0 {
            BROADCAST
        } else {
            (from + 1) % 3 + 1
        };
        let frame = data(from + 1, to, 30 + (i % 90) as usize, true, i as u8);
        world.hand(at_us(4000 * i), number(usize::from(from)), &frame);
    }
    world.finish();
    let back = |radio: &mut RadioIndex| {
        radio.0 -= usize::from(place.is_some_and(|place| radio.0 > place));
    };
    let silent = |radio: RadioIndex| Some(radio.0) == place;
    let mut outputs = world.outputs;
    for output in &mut outputs {
        match output {
            Output::Deliver(delivery) => back(&mut delivery.to),
            Output::Heard(heard) => back(&mut heard.by),
            Output::Transmission(transmission) => {
                back(&mut transmission.from);
                transmission.receptions.retain(|r| !silent(r.to));
                transmission
                    .receptions
                    .iter_mut()
                    .for_each(|r| back(&mut r.to));
            }
            Output::Done(report) => {
                back(&mut report.from);
                report.receivers.retain(|(to, _)| !silent(*to));
                report.receivers.iter_mut().for_each(|(to, _)| back(to));
            }
        }
    }
    outputs
}

#[test]
fn a_links_loss_ratio_takes_its_share_of_data_and_acks_and_leaves_the_others_alone() {
    let run = |ratio: Option<f64>| {
        let radios = vec![radio(1), radio(2), radio(3)];
        let mut world = World::new(7, Losses::all(60.0), radios);
        if let Some(ratio) = ratio {
            let (a, b) = (RadioIndex(0), RadioIndex(1));
            world.medium.set_loss_ratio(a, b, LossRatio::of(ratio));
        }
        for i in 0..4000u32 {
            let to = if i % 2 == 0 { 2 } else { 3 };
            let at = at_us(50_000 * u64::from(i));
            world.hand(at, 0, &data(1, to, 60, true, i as u8));
            world.finish();
        }
        world
    };
    let count = |world: &World, ack: bool, to: usize, fate: Fate| {
        let of_kind = world.transmissions();
        let of_kind = of_kind.iter().filter(|t| (t.kind == Kind::Ack) == ack);
        let fates = of_kind.flat_map(|t| &t.receptions);
        fates.filter(|r| r.to.0 == to && r.fate == fate).count() as f64
    };
    let lossy = run(Some(0.3));
    for (ack, to) in [(false, 1), (true, 0)] {
        let lost = count(&lossy, ack, to, Fate::Lost(Reason::LinkLoss));
        let got = count(&lossy, ack, to, Fate::Received);
        // ACKs of the third radio come to the first one, too, and none of them is lost.
        let got = if ack { got - 2000.0 } else { got };
        let share = lost / (lost + got);
        assert!((share - 0.3).abs() < 0.02, "{share} of {}", lost + got);
    }
    assert_eq!(count(&lossy, false, 2, Fate::Received), 2000.0);
    assert_eq!(run(None).outputs, run(Some(0.0)).outputs);
}

#[test]
fn a_silent_radio_far_away_changes_nothing_for_the_others() {
    let without = with_silent(None, None);
    let lost = without.iter().filter(|output| match output {
        Output::Transmission(t) => t
            .receptions
            .iter()
            .any(|r| r.fate == Fate::Lost(Reason::Noise)),
        _ => false,
    });
    assert!(lost.count() > 10, "chance has a say in this traffic");
    for place in 0..=3 {
        for loss in [None, Some(150.0)] {
            assert!(with_silent(Some(place), loss) == without, "at {place}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_outputs_and_another_one_others() {
    let run = |seed| {
        let mut world = World::new(seed, Losses::all(94.6), vec![radio(1), radio(2)]);
        for i in 0..100 {
            world.hand(at_us(3000 * i), 0, &data(1, 2, 100, true, i as u8));
        }
        world.finish();
        world.outputs
    };
    assert!(run(1) == run(1));
    assert!(run(1) != run(2));
}
