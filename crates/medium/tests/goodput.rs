//! Saturated senders against the closed forms of docs/medium.md.

mod common;

use common::*;
use medium::{Outcome, Reason};
use units::SimTime;

/// Bytes behind header and FCS per second, of one sender of frames with 127-byte PSDU.
fn goodput(ack: bool) -> f64 {
    let mut world = World::new(11, Losses::all(60.0), vec![radio(1), radio(2)]);
    let mut sequence = 0u8;
    let end = at_us(60_000_000);
    world.saturate(end, &[(at_us(0), 0)], |_| {
        sequence = sequence.wrapping_add(1);
        data(1, 2, 127, ack, sequence)
    });
    (world.delivered().len() * (127 - OVERHEAD)) as f64 / 60.0
}

#[test]
fn goodput_without_ack_is_the_closed_form() {
    // Mean backoff 3.5 periods, CCA, turnaround, frame, LIFS: 6336 us for 116 bytes.
    let cycle_us = 3.5 * 320.0 + 128.0 + 192.0 + 4256.0 + 640.0;
    let expected = 116.0 / (cycle_us * 1e-6);
    let error = goodput(false) / expected - 1.0;
    assert!(error.abs() < 0.02, "{:.2} % off", error * 100.0);
}

#[test]
fn goodput_with_ack_is_the_closed_form() {
    // The same, turnaround and ACK: 6880 us.
    let cycle_us = 3.5 * 320.0 + 128.0 + 192.0 + 4256.0 + 192.0 + 352.0 + 640.0;
    let expected = 116.0 / (cycle_us * 1e-6);
    let error = goodput(true) / expected - 1.0;
    assert!(error.abs() < 0.02, "{:.2} % off", error * 100.0);
}

/// Shares of what two saturated senders transmit, frames of `psdu` bytes without ACK, that
/// their receiver gets, is busy for, and loses to a collision. The first is `stronger` dB
/// stronger.
///
/// All times of a sender are multiples of 32 us, so that two senders stay long in the phase
/// that they are in: the shares are means over many runs, each with its own phase.
fn share(psdu: usize, stronger: f64, hear_each_other: bool) -> [[f64; 3]; 2] {
    let losses = Losses::default()
        .with(0, 2, Some(60.0 - stronger))
        .with(1, 2, Some(60.0))
        .with(0, 1, hear_each_other.then_some(60.0));
    let mut counts = [[0u32; 4]; 2];
    for run in 0..200u64 {
        let radios = vec![radio(1), radio(2), radio(3)];
        let mut world = World::new(run, losses.clone(), radios);
        // To 6.5 ms in steps of 32 us and a half: over a cycle and over the 32 us, too.
        let first = [(at_us(0), 0), (SimTime::from_nanos(32_497 * run), 1)];
        let next = |from: usize| data(from as u16 + 1, 3, psdu, false, 0);
        world.saturate(at_us(5_000_000), &first, next);
        if hear_each_other {
            assert_only_unheard_begins_overlap(&world);
        }
        for report in world.reports().iter().filter(|r| r.attempts > 0) {
            let count = &mut counts[report.from.0];
            count[0] += 1;
            match report.receivers[0].1 {
                Outcome::Delivered { .. } => count[1] += 1,
                Outcome::Dropped(Reason::Busy) => count[2] += 1,
                Outcome::Dropped(Reason::Collision) => count[3] += 1,
                Outcome::Dropped(_) => {}
            }
        }
    }
    counts.map(|[all, rest @ ..]| rest.map(|n| f64::from(n) / f64::from(all)))
}

/// Frames overlap only if the later sender could not have heard the earlier: it began less
/// than a turnaround and 2 % of a CCA after it (at -60 dBm, 2 % of the window are -77 dBm).
fn assert_only_unheard_begins_overlap(world: &World) {
    let mut sent = world.transmissions();
    sent.sort_by_key(|t| t.start);
    for two in sent.windows(2) {
        let apart = two[1].start - two[0].start;
        assert!(
            two[1].start >= two[0].end || apart < us(192 + 3),
            "{apart:?}"
        );
    }
}

fn near(what: &str, measured: f64, theory: f64) {
    println!("{what}: measured {measured:.4}, theory {theory:.4}");
    assert!(
        (measured - theory).abs() < 0.005,
        "{what}: {measured} {theory}"
    );
}

/// The gap between two frames of a saturated sender: LIFS, backoff, CCA and turnaround.
const MEAN_GAP_US: f64 = 640.0 + 3.5 * 320.0 + 128.0 + 192.0;

#[test]
fn hidden_nodes_lose_what_theory_says() {
    // 20-byte PSDU: 832 us, shorter than every gap. The strong sender loses a frame exactly if
    // it begins while the receiver is synchronised on the weak one; the weak one gets a
    // frame through exactly if all of it lies in a gap of the strong one.
    let time = 832.0;
    let cycle = MEAN_GAP_US + time;
    // It also survives the last few bits under the strong one, at -10 dB: a bit is right with
    // 1 - 0.32205 there (tests/phy.rs), so that 4 us / -ln(1 - 0.32205) more of each cycle do.
    let tail = 4.0 / -(1.0 - 0.322_050_677_845_264f64).ln() / cycle;
    let [strong, weak] = share(20, 10.0, false);
    near("strong, received", strong[0], 1.0 - time / cycle);
    near("strong, busy", strong[1], time / cycle);
    near("strong, collision", strong[2], 0.0);
    near("weak, busy", weak[1], time / cycle);
    near(
        "weak, received",
        weak[0],
        (MEAN_GAP_US - time) / cycle + tail,
    );
    near("weak, collision", weak[2], time / cycle - tail);
}

#[test]
fn hidden_nodes_with_the_longest_frames_lose_what_theory_says() {
    // 4256 us, longer than every gap: the weak sender never gets one through, and the strong
    // one loses those before which the weak one began in the gap.
    let cycle = MEAN_GAP_US + 4256.0;
    let [strong, weak] = share(127, 10.0, false);
    near("strong, received", strong[0], 1.0 - MEAN_GAP_US / cycle);
    near("weak, received", weak[0], 0.0);
}

#[test]
fn hidden_nodes_of_equal_power_survive_what_their_sinr_lets_them() {
    // The later one is not synchronised on; the earlier one is right with (1 - BER)^bits of the
    // overlap at 0 dB: 1.6152669e-4 (tests/phy.rs), noise 35 dB below.
    let (time, ber) = (832.0, 0.0001615266879229479f64);
    let cycle = MEAN_GAP_US + time;
    let lost = |overlap_us: f64| 1.0 - (1.0 - ber).powf(overlap_us.min(672.0) / 4.0);
    let steps = 10_000;
    let over = (0..steps).map(|i| lost(time * (f64::from(i) + 0.5) / f64::from(steps)));
    let collision = over.sum::<f64>() / f64::from(steps) * time / cycle;
    for one in share(20, 0.0, false) {
        near("busy", one[1], time / cycle);
        near("collision", one[2], collision);
        near("received", one[0], 1.0 - time / cycle - collision);
    }
}

#[test]
fn with_carrier_sense_restored_they_do_not() {
    for psdu in [20, 127] {
        let hidden = share(psdu, 10.0, false);
        let heard = share(psdu, 10.0, true);
        for (hidden, heard) in hidden.into_iter().zip(heard) {
            println!("{psdu} bytes: received {hidden:?} hidden, {heard:?} heard");
            assert!(1.0 - heard[0] < (1.0 - hidden[0]) / 3.0);
        }
    }
}
