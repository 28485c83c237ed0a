//! What holds for any traffic and any bytes.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use medium::{Outcome, Output, RadioConfig, RadioIndex};
use proptest::prelude::*;
use units::SimTime;

#[derive(Clone, Debug)]
enum Act {
    /// From, to (5 is everyone), PSDU length, ACK.
    Frame(usize, u16, usize, bool),
    Bytes(usize, Vec<u8>),
    Tune(usize, u8),
    Awake(usize, bool),
    Filter(usize, u16),
    Wait,
}

fn act() -> impl Strategy<Value = Act> {
    let radio = 0..5usize;
    prop_oneof![
        8 => (radio.clone(), 0..6u16, 12..=127usize, any::<bool>())
            .prop_map(|(from, to, psdu, ack)| Act::Frame(from, to, psdu, ack)),
        1 => (radio.clone(), proptest::collection::vec(any::<u8>(), 0..140))
            .prop_map(|(from, bytes)| Act::Bytes(from, bytes)),
        1 => (radio.clone(), 25..=26u8).prop_map(|(radio, channel)| Act::Tune(radio, channel)),
        1 => (radio.clone(), any::<bool>()).prop_map(|(radio, awake)| Act::Awake(radio, awake)),
        1 => (radio, 1..6u16).prop_map(|(radio, address)| Act::Filter(radio, address)),
        2 => Just(Act::Wait),
    ]
}

fn play(world: &mut World, acts: &[(u64, Act)]) -> u64 {
    let (mut now, mut handed) = (0, 0);
    for (wait, act) in acts {
        now += wait;
        let at = at_us(now);
        match act {
            Act::Frame(from, to, psdu, ack) => {
                let to = if *to == 5 { BROADCAST } else { to + 1 };
                let frame = data(*from as u16 + 1, to, *psdu, *ack, now as u8);
                world.hand(at, *from, &frame);
                handed += 1;
            }
            Act::Bytes(from, bytes) => {
                world.hand(at, *from, bytes);
                handed += 1;
            }
            Act::Tune(radio, to) => {
                let (radio, to) = (RadioIndex(*radio), channel(*to));
                world.medium.tune(at, &mut world.losses, radio, to);
            }
            Act::Awake(radio, awake) => {
                let radio = RadioIndex(*radio);
                world.medium.set_awake(at, &mut world.losses, radio, *awake);
            }
            Act::Filter(radio, address) => {
                let (radio, filter) = (RadioIndex(*radio), filter(*address));
                world
                    .medium
                    .set_filter(at, &mut world.losses, radio, filter);
            }
            Act::Wait => world.medium.handle_timeout(at, &mut world.losses),
        }
        world.drain();
    }
    world.finish();
    handed
}

fn instant(output: &Output) -> SimTime {
    match output {
        Output::Deliver(delivery) => delivery.at,
        Output::Heard(heard) => heard.at,
        Output::Transmission(transmission) => transmission.end,
        Output::Done(report) => report.ended,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_ends_once_and_every_receiver_has_one_outcome(
        seed in any::<u64>(),
        losses in proptest::collection::vec(proptest::option::weighted(0.9, 50.0..100.0f64), 10),
        queue in 0..4usize,
        acts in proptest::collection::vec((0..4000u64, act()), 1..80),
    ) {
        let mut table = Losses::default();
        let pairs = (0..5).flat_map(|a| (0..a).map(move |b| (a, b)));
        for ((a, b), loss) in pairs.zip(losses) {
            table = table.with(a, b, loss);
        }
        let radios = (1..=5).map(|address| {
            let mut config = RadioConfig { promiscuous: address == 1, ..radio(address) };
            config.mac.queue = queue;
            config
        });
        let mut world = World::new(seed, table, radios.collect());
        let handed = play(&mut world, &acts);

        let frames: BTreeSet<u64> = world.reports().iter().map(|r| r.frame.0).collect();
        prop_assert_eq!(world.reports().len() as u64, handed, "each frame ends once");
        prop_assert_eq!(frames, (0..handed).collect::<BTreeSet<_>>());

        let mut delivered = BTreeMap::new();
        for (to, frame) in world.delivered() {
            prop_assert!(delivered.insert((frame, to), ()).is_none(), "delivered twice");
        }
        for report in world.reports() {
            let order: Vec<_> = report.receivers.iter().map(|(to, _)| *to).collect();
            prop_assert!(order.windows(2).all(|two| two[0] < two[1]), "one outcome each");
            prop_assert!(!order.contains(&report.from));
            prop_assert!(report.queued <= report.ended);
            for (to, outcome) in &report.receivers {
                let got = delivered.remove(&(report.frame, to.0)).is_some();
                prop_assert_eq!(got, matches!(outcome, Outcome::Delivered { .. }));
            }
        }
        prop_assert!(delivered.is_empty(), "a delivery without outcome");

        let instants: Vec<_> = world.outputs.iter().map(instant).collect();
        prop_assert!(instants.windows(2).all(|two| two[0] <= two[1]), "time goes back");

        let now = world.medium.now();
        for i in 0..5 {
            let energy = world.medium.energy(RadioIndex(i), now);
            let total = energy.tx + energy.rx + energy.listen + energy.sleep;
            prop_assert_eq!(total, now - SimTime::ZERO);
            let sent = world.transmissions().into_iter().filter(|t| t.from.0 == i);
            let on_air = sent.map(|t| t.end - t.start).sum();
            prop_assert_eq!(energy.tx, on_air);
        }
    }

    #[test]
    fn no_radio_sends_two_frames_at_once(
        seed in any::<u64>(),
        acts in proptest::collection::vec((0..2000u64, act()), 1..80),
    ) {
        let radios = (1..=5).map(radio).collect();
        let mut world = World::new(seed, Losses::all(80.0), radios);
        play(&mut world, &acts);
        for i in 0..5 {
            let own = world.transmissions().into_iter().filter(|t| t.from.0 == i);
            let own: Vec<_> = own.collect();
            prop_assert!(own.windows(2).all(|two| two[0].end <= two[1].start));
        }
    }

    #[test]
    fn any_bytes_are_a_frame(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        loss in prop_oneof![Just(60.0), Just(f64::NAN), Just(f64::INFINITY), Just(-1e300)],
    ) {
        let mut world = World::new(1, Losses::all(loss), vec![radio(1), radio(2)]);
        world.hand(SimTime::ZERO, 0, &bytes);
        world.finish();
        prop_assert_eq!(world.reports().len(), 1);
        let _ = medium::mpdu::Header::parse(&bytes);
    }
}
