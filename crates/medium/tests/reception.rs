//! Who receives: noise, sensitivity, capture, half-duplex, sleep, channels, addresses.

mod common;

use common::*;
use medium::{Fate, MacParams, Outcome, Output, Profile, RadioConfig, RadioIndex, Reason, phy};
use units::{Dbm, Lqi};

/// Share of `count` broadcasts with a PSDU of `psdu` bytes that a `profile` radio receives at
/// `rssi`.
fn received(profile: &Profile, rssi: Dbm, psdu: usize, count: u32) -> f64 {
    let config = |address| RadioConfig {
        profile: profile.clone(),
        mac: at_once(),
        ..radio(address)
    };
    let losses = Losses::all(profile.tx_power.0 - rssi.0);
    let mut world = World::new(9, losses, vec![config(1), config(2)]);
    let frame = data(1, BROADCAST, psdu, false, 0);
    let mut hits = 0;
    for i in 0..count {
        world.hand(at_us(6000 * u64::from(i)), 0, &frame);
        world.finish();
        hits += world.delivered().len();
        world.outputs.clear();
    }
    hits as f64 / f64::from(count)
}

#[test]
fn frame_success_over_sinr_is_the_theorys() {
    // SINR at which (1 - BER)^(8 (1 + PSDU)) is the share, by mpmath's findroot.
    let points = [
        (127, 0.9, 0.197_797_320_376),
        (127, 0.5, -0.703_724_725_252),
        (20, 0.9, -0.662_838_061_491),
    ];
    let mut profile = Profile::named("cc2420").unwrap();
    profile.sensitivity = Dbm(-120.0); // Under all three: only noise decides.
    for (psdu, theory, sinr) in points {
        let rssi = profile.noise() + units::Db(sinr);
        let share = received(&profile, rssi, psdu, 100_000);
        println!("{psdu} bytes at {sinr:.3} dB: {share:.4}, theory {theory}");
        assert!((share / theory - 1.0).abs() < 0.01, "{share}");
    }
}

#[test]
fn every_profile_loses_one_percent_at_its_sensitivity_and_everything_below() {
    for name in Profile::NAMES {
        let profile = Profile::named(name).unwrap();
        let lost = 1.0 - received(&profile, profile.sensitivity, 20, 100_000);
        println!("{name}: {lost:.5} lost at {}", profile.sensitivity);
        assert!((lost - 0.01).abs() < 0.001, "{name}: {lost}");
        let below = Dbm(profile.sensitivity.0 - 0.1);
        assert_eq!(received(&profile, below, 20, 100), 0.0);
    }
}

/// Three radios that send without backoff; 0 and 1 do not hear each other, 2 hears 0 at -60 dBm
/// and 1 at `second_dbm`. Radio 1's frame of 50 bytes begins `after` us after radio 0's.
fn overlap(second_dbm: f64, after: u64, promiscuous: bool) -> World {
    let radios = [1, 2, 3].map(|address| RadioConfig {
        mac: MacParams {
            max_frame_retries: 0,
            ..at_once()
        },
        promiscuous,
        ..radio(address)
    });
    let losses = Losses::default()
        .with(0, 2, Some(60.0))
        .with(1, 2, Some(-second_dbm));
    let mut world = World::new(3, losses, radios.to_vec());
    world.hand(at_us(0), 0, &data(1, 3, 50, false, 1));
    world.hand(at_us(after), 1, &data(2, 3, 50, false, 2));
    world.finish();
    world
}

fn outcomes(world: &World) -> Vec<Outcome> {
    let mut reports = world.reports();
    reports.sort_by_key(|report| report.frame);
    let first = reports.iter().map(|report| report.receivers[0].1);
    first.collect()
}

fn is_delivered(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Delivered { .. })
}

#[test]
fn a_strong_frame_survives_a_weak_one() {
    let both = outcomes(&overlap(-75.0, 400, false));
    assert!(is_delivered(both[0]));
    assert_eq!(both[1], Outcome::Dropped(Reason::Busy));
}

#[test]
fn a_receiver_stays_with_the_weak_frame_that_it_is_synchronised_on() {
    let both = outcomes(&overlap(-45.0, 400, false));
    assert_eq!(both[0], Outcome::Dropped(Reason::Collision));
    assert_eq!(both[1], Outcome::Dropped(Reason::Busy));
}

#[test]
fn of_frames_that_begin_together_the_strongest_is_taken() {
    let both = outcomes(&overlap(-45.0, 0, false));
    assert_eq!(both[0], Outcome::Dropped(Reason::Busy));
    assert!(is_delivered(both[1]));
    let both = outcomes(&overlap(-75.0, 0, false));
    assert!(is_delivered(both[0]));
    assert_eq!(both[1], Outcome::Dropped(Reason::Busy));
}

#[test]
fn a_frame_too_weak_to_synchronise_on_only_interferes() {
    // -96 dBm is under the sensitivity: the receiver is free for the second one.
    let radios = [1, 2, 3].map(|address| RadioConfig {
        mac: at_once(),
        ..radio(address)
    });
    let losses = Losses::default()
        .with(0, 2, Some(96.0))
        .with(1, 2, Some(70.0));
    let mut world = World::new(3, losses, radios.to_vec());
    world.hand(at_us(0), 0, &data(1, 3, 100, false, 1));
    world.hand(at_us(400), 1, &data(2, 3, 50, false, 2));
    world.finish();
    let both = outcomes(&world);
    assert_eq!(both[0], Outcome::Dropped(Reason::NoSignal));
    let Outcome::Delivered { sinr, rssi, .. } = both[1] else {
        panic!("{:?}", both[1]);
    };
    assert_eq!(rssi, Dbm(-70.0));
    // -70 dBm over -96 dBm and the noise, -95.4233 dBm: 10 lg (10^-7 / (10^-9.6 + 10^-9.54233)).
    assert!((sinr.0 - 22.691).abs() < 0.01, "{sinr}");
}

#[test]
fn a_receiver_whose_preamble_was_destroyed_is_free_for_the_next_frame() {
    // The second begins 96 us into the first's SHR, 15 dB stronger, and destroys it; a third
    // frame begins while the first is still on the air, after the second's end.
    let radios = [1, 2, 3, 4].map(|address| RadioConfig {
        mac: at_once(),
        ..radio(address)
    });
    let losses = Losses::default()
        .with(0, 3, Some(75.0))
        .with(1, 3, Some(60.0))
        .with(2, 3, Some(60.0));
    let mut world = World::new(3, losses, radios.to_vec());
    world.hand(at_us(0), 0, &data(1, 4, 127, false, 1));
    world.hand(at_us(96), 1, &data(2, 4, 20, false, 2));
    world.hand(at_us(2000), 2, &data(3, 4, 20, false, 3));
    world.finish();
    let all = outcomes(&world);
    assert_eq!(all[0], Outcome::Dropped(Reason::Collision));
    assert_eq!(all[1], Outcome::Dropped(Reason::Busy));
    assert!(is_delivered(all[2]));
}

#[test]
fn parts_of_a_frame_count_with_their_own_interference() {
    // 0 dB SINR over the last 100 us of the PSDU (25 bits), clean before: lost with
    // 1 - (1 - 1.6152669e-4)^25. At -3 dB: 1 - (1 - 0.0164186378)^25 = 0.33895.
    let mut lost = 0;
    let count = 20_000u64;
    let radios = [1, 2, 3].map(|address| RadioConfig {
        mac: at_once(),
        ..radio(address)
    });
    let losses = Losses::default()
        .with(0, 2, Some(40.0))
        .with(1, 2, Some(37.0));
    let mut world = World::new(3, losses, radios.to_vec());
    for i in 0..count {
        let at = 10_000 * i;
        world.hand(at_us(at), 0, &data(1, 3, 50, false, 1));
        world.hand(at_us(at + 56 * 32 - 100), 1, &data(2, 3, 50, false, 2));
        world.finish();
        let collided = Outcome::Dropped(Reason::Collision);
        lost += usize::from(outcomes(&world)[0] == collided);
        world.outputs.clear();
    }
    let share = lost as f64 / count as f64;
    println!("{share:.4} lost, theory 0.3390");
    assert!((share - 0.33895).abs() < 0.01, "{share}");
}

#[test]
fn a_transmitting_radio_hears_nothing() {
    // 0 and 1 hear each other, too weakly for their CCA, and send to each other at once.
    let radios = [1, 2].map(|address| RadioConfig {
        mac: at_once(),
        ..radio(address)
    });
    let mut world = World::new(3, Losses::all(80.0), radios.to_vec());
    world.hand(at_us(0), 0, &data(1, 2, 50, false, 1));
    world.hand(at_us(100), 1, &data(2, 1, 50, false, 2));
    world.finish();
    let dropped = Outcome::Dropped(Reason::Transmitting);
    assert_eq!(outcomes(&world), [dropped, dropped]);
}

#[test]
fn a_radio_hears_again_after_its_turnaround() {
    // Radio 0 is on the air from 320 us to 2112 us; radio 1 does not hear it.
    let second = |begin: u64| {
        let radios = [1, 2].map(|address| RadioConfig {
            mac: at_once(),
            ..radio(address)
        });
        let mut losses = Losses::default();
        losses.pairs.insert((1, 0), Some(60.0));
        let mut world = World::new(3, losses, radios.to_vec());
        world.hand(at_us(0), 0, &data(1, BROADCAST, 50, false, 1));
        world.hand(at_us(begin - 320), 1, &data(2, 1, 50, false, 2));
        world.finish();
        outcomes(&world)[1]
    };
    let deaf = Outcome::Dropped(Reason::Transmitting);
    assert_eq!(second(2112 + 191), deaf);
    assert!(is_delivered(second(2112 + 192)));
}

#[test]
fn a_radio_that_receives_does_not_begin_to_transmit() {
    // -80 dBm is under the CCA threshold, -77 dBm; being past the start-of-frame delimiter
    // makes the channel busy all the same (IEEE 802.15.4-2006 6.9.9).
    let radios = [1, 2].map(|address| RadioConfig {
        mac: at_once(),
        ..radio(address)
    });
    let mut world = World::new(3, Losses::all(80.0), radios.to_vec());
    world.hand(at_us(0), 0, &data(1, 2, 30, false, 1));
    // The first is on the air from 320 us to 1472 us: four CCAs are busy, the fifth is idle.
    world.hand(at_us(1000), 1, &data(2, 1, 50, false, 2));
    world.finish();
    assert!(outcomes(&world).into_iter().all(is_delivered));
    let sent = world.transmissions();
    assert!(sent[1].start > sent[0].end);
}

#[test]
fn a_frame_that_is_synchronised_on_during_a_cca_makes_it_busy() {
    // Under the CCA threshold; the start-of-frame delimiter ends at 480 us, the CCA at 528 us.
    let radios = [1, 2].map(|address| RadioConfig {
        mac: at_once(),
        ..radio(address)
    });
    let mut world = World::new(3, Losses::all(80.0), radios.to_vec());
    world.hand(at_us(0), 0, &data(1, 2, 100, false, 1));
    world.hand(at_us(400), 1, &data(2, 1, 50, false, 2));
    world.finish();
    let both = outcomes(&world);
    assert!(is_delivered(both[0]));
    assert_eq!(both[1], Outcome::Dropped(Reason::ChannelAccessFailure));
}

/// Four radios that send without backoff; 0, 1 and 2 do not hear each other. 3 hears 0 at
/// -60 dBm, 1 at -50 dBm, 2 not at all.
fn three_hidden() -> World {
    let radios = [1, 2, 3, 4].map(|address| RadioConfig {
        mac: at_once(),
        ..radio(address)
    });
    let losses = Losses::default()
        .with(0, 3, Some(60.0))
        .with(1, 3, Some(50.0));
    World::new(3, losses, radios.to_vec())
}

#[test]
fn interference_that_is_over_counts_at_the_end_of_the_frame() {
    let mut world = three_hidden();
    // 0 from 320 us to 4576 us, 1 within it, and 2 begins after 1's end.
    world.hand(at_us(0), 0, &data(1, 4, 127, false, 1));
    world.hand(at_us(1000), 1, &data(2, 4, 20, false, 2));
    world.hand(at_us(3000), 2, &data(3, 4, 20, false, 3));
    world.finish();
    assert_eq!(outcomes(&world)[0], Outcome::Dropped(Reason::Collision));
}

#[test]
fn a_cca_measures_what_ended_within_its_window() {
    let mut world = three_hidden();
    // 1 is on the air from 320 us to 1152 us, 2 from 1162 us on; 3's CCA ends at 1180 us. 3
    // wakes for it, and is not synchronised on anything.
    let losses = &mut world.losses;
    world
        .medium
        .set_awake(at_us(0), losses, RadioIndex(3), false);
    world.hand(at_us(0), 1, &data(2, BROADCAST, 20, false, 1));
    world.hand(at_us(1162 - 320), 2, &data(3, BROADCAST, 20, false, 2));
    world.hand(at_us(1180 - 128), 3, &data(4, BROADCAST, 20, false, 3));
    world.finish();
    let sent = world.transmissions();
    let last = sent.iter().find(|t| t.from.0 == 3).unwrap();
    assert_eq!(last.start, at_us(1180 + 128 + 192), "busy, then idle");
}

#[test]
fn the_cca_measures_the_mean_over_its_eight_symbols() {
    // At -60 dBm, 2 % of the window (2.55 us) are the threshold of -77 dBm. Radio 0's frame
    // begins at 320 us; the CCA of a frame handed to radio 1 at t ends at t + 128 us.
    let begin = |handed_ns: u64| {
        let radios = [1, 2].map(|address| RadioConfig {
            mac: at_once(),
            ..radio(address)
        });
        let mut world = World::new(3, Losses::all(60.0), radios.to_vec());
        world.hand(at_us(0), 0, &data(1, BROADCAST, 30, false, 1));
        let at = units::SimTime::from_nanos(handed_ns);
        world.hand(at, 1, &data(2, BROADCAST, 30, false, 2));
        world.finish();
        let sent = world.transmissions();
        let second = sent.iter().find(|t| t.from.0 == 1)?;
        Some(second.start.as_nanos() - handed_ns)
    };
    assert_eq!(begin(192_000 + 2_500), Some(320_000), "idle");
    // Without backoff the four CCAs that follow are within the frame, too.
    assert_eq!(begin(192_000 + 2_600), None, "busy");
}

#[test]
fn a_sleeping_radio_hears_nothing_and_wakes_for_its_own_frames() {
    let radios = [1, 2].map(|address| RadioConfig {
        mac: at_once(),
        ..radio(address)
    });
    let mut world = World::new(3, Losses::all(60.0), radios.to_vec());
    let (sleeper, losses) = (RadioIndex(1), &mut world.losses);
    world.medium.set_awake(at_us(0), losses, sleeper, false);
    assert!(!world.medium.is_awake(sleeper));
    world.hand(at_us(0), 0, &data(1, 2, 50, false, 1));
    world.finish();
    // Its own frame gets its ACK.
    world.hand(at_us(10_000), 1, &data(2, 1, 50, true, 2));
    world.finish();
    assert_eq!(world.reports()[1].sent, medium::SendOutcome::Acknowledged);
    // In the middle of a frame.
    let losses = &mut world.losses;
    world.medium.set_awake(at_us(20_000), losses, sleeper, true);
    world.hand(at_us(30_000), 0, &data(1, 2, 50, false, 3));
    let losses = &mut world.losses;
    world
        .medium
        .set_awake(at_us(31_000), losses, sleeper, false);
    world.finish();
    let all = outcomes(&world);
    assert_eq!(all[0], Outcome::Dropped(Reason::Asleep));
    assert!(is_delivered(all[1]));
    assert_eq!(all[2], Outcome::Dropped(Reason::Asleep));
}

#[test]
fn energy_is_time_in_each_state_by_its_current() {
    let radios = [1, 2].map(|address| RadioConfig {
        mac: at_once(),
        ..radio(address)
    });
    let mut world = World::new(3, Losses::all(60.0), radios.to_vec());
    world.hand(at_us(0), 0, &data(1, 2, 127, true, 1));
    world.finish();
    let losses = &mut world.losses;
    let receiver = RadioIndex(1);
    world
        .medium
        .set_awake(at_us(10_000), losses, receiver, false);
    let sender = world.medium.energy(RadioIndex(0), at_us(20_000));
    assert_eq!((sender.tx, sender.rx), (us(4256), us(352)));
    assert_eq!((sender.listen, sender.sleep), (us(20_000 - 4608), us(0)));
    let other = world.medium.energy(receiver, at_us(20_000));
    assert_eq!((other.tx, other.rx), (us(352), us(4256)));
    assert_eq!((other.listen, other.sleep), (us(10_000 - 4608), us(10_000)));
    // The CC2420's currents at 3.3 V: 17.4 mA, 18.8 mA, 18.8 mA, 0.02 mA.
    let mj = |tx: f64, on: f64, off: f64| (tx * 17.4 + on * 18.8 + off * 0.02) * 3.3;
    let expected = mj(0.004256, 0.015744, 0.0);
    assert!((sender.millijoules - expected).abs() < 1e-9);
    let expected = mj(0.000352, 0.009648, 0.01);
    assert!((other.millijoules - expected).abs() < 1e-9);
    // An instant in the past: within the frame, which began at 320 us.
    let then = world.medium.energy(RadioIndex(0), at_us(1320));
    assert_eq!((then.tx, then.listen), (us(1000), us(320)));
}

#[test]
fn a_receiver_on_another_channel_gets_nothing() {
    let mut other = radio(2);
    other.channel = channel(15);
    let mut world = World::new(3, Losses::all(60.0), vec![radio(1), other]);
    world.hand(at_us(0), 0, &data(1, 2, 50, false, 1));
    world.finish();
    assert_eq!(outcomes(&world), [Outcome::Dropped(Reason::NotOnChannel)]);
    let reception = world.transmissions()[0].receptions[0];
    assert_eq!(reception.fate, Fate::Lost(Reason::NotOnChannel));
    assert_eq!((reception.rssi, reception.sinr), (None, None));
}

#[test]
fn a_receiver_that_tunes_away_loses_the_frame() {
    let mut sender = radio(1);
    sender.mac = at_once();
    let mut world = World::new(3, Losses::all(60.0), vec![sender, radio(2)]);
    world.hand(at_us(0), 0, &data(1, 2, 50, false, 1));
    let losses = &mut world.losses;
    let receiver = RadioIndex(1);
    world
        .medium
        .tune(at_us(1000), losses, receiver, channel(11));
    // Back at once: what has begun is lost all the same.
    world
        .medium
        .tune(at_us(1001), losses, receiver, channel(26));
    world.finish();
    assert_eq!(outcomes(&world), [Outcome::Dropped(Reason::NotOnChannel)]);
}

#[test]
fn channels_are_independent() {
    let run = |with_other: bool| {
        let mut radios = vec![radio(1), radio(2), radio(3), radio(4)];
        radios[2].channel = channel(25);
        radios[3].channel = channel(25);
        let mut world = World::new(3, Losses::all(50.0), radios);
        for i in 0..50 {
            world.hand(at_us(9000 * i), 0, &data(1, 2, 100, true, i as u8));
            if with_other {
                world.hand(at_us(9000 * i), 2, &data(3, 4, 100, true, i as u8));
            }
        }
        world.finish();
        let own = |output: &Output| match output {
            Output::Transmission(t) if t.channel == channel(26) => Some((t.start, t.end)),
            _ => None,
        };
        world.outputs.iter().filter_map(own).collect::<Vec<_>>()
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn an_ear_hears_every_frame_whoever_it_is_for() {
    let mut promiscuous = radio(3);
    promiscuous.promiscuous = true;
    promiscuous.filter.pan_id = units::PanId(0x1111);
    let mut world = World::new(3, Losses::all(60.0), vec![radio(1), radio(2), promiscuous]);
    let frame = data(1, 2, 50, true, 7);
    world.hand(at_us(0), 0, &frame);
    world.finish();
    let heard = world.outputs.iter().filter_map(|output| match output {
        Output::Heard(heard) => Some(heard),
        _ => None,
    });
    let heard: Vec<_> = heard.collect();
    assert_eq!(heard.len(), 2, "the frame and its ACK");
    assert_eq!(&*heard[0].mpdu, &frame[..]);
    assert_eq!(&*heard[1].mpdu, [0x02, 0x00, 7]);
    // -60 dBm is 35 dB over the sensitivity: 1 + 254 * 35 / 60.
    assert_eq!((heard[0].rssi, heard[0].lqi), (Dbm(-60.0), Lqi(149)));
    assert!(heard.iter().all(|h| h.by == RadioIndex(2)));
    assert_eq!(world.delivered().len(), 1, "but its host does not get it");
}

#[test]
fn the_path_loss_is_asked_once_per_transmission_and_radio() {
    let radios = (1..=5).map(radio).collect();
    let mut world = World::new(3, Losses::all(60.0), radios);
    world.hand(at_us(0), 0, &data(1, BROADCAST, 50, false, 1));
    while let Some(at) = world.medium.poll_timeout() {
        world.medium.handle_timeout(at, &mut world.losses);
    }
    world.drain();
    let start = world.transmissions()[0].start;
    let asked = &world.losses.asked;
    let expected = [1, 2, 3, 4].map(|to| (start, RadioIndex(0), RadioIndex(to)));
    assert_eq!(asked[..], expected);
    assert_eq!(phy::airtime(50), us(1792));
}
