//! The medium alone: two radios that cannot hear each other send to a third one.
//!
//! Prints how often their frames collide, by how much the radios offer: hidden nodes.
//!
//!     cargo run -p wpanlab --example medium_alone

use std::time::Duration;

use medium::{
    AddressFilter, MacParams, Medium, Outcome, Output, PathLoss, Profile, RadioConfig, RadioIndex,
};
use units::{Channel, Db, Eui64, PanId, Seed, ShortAddress, SimTime};

/// The router, number 0, hears both nodes at 60 dB; the nodes do not hear each other.
struct Hidden;

impl PathLoss for Hidden {
    fn loss(&mut self, _: SimTime, from: RadioIndex, to: RadioIndex) -> Option<Db> {
        (from.0 == 0 || to.0 == 0).then_some(Db(60.0))
    }
}

fn radio(address: u16) -> RadioConfig {
    let name = format!("radio{address}");
    RadioConfig {
        profile: Profile::named("cc2420").expect("a part that the crate has"),
        // One try: what collides is lost.
        mac: MacParams::default(),
        channel: Channel::try_from(26).expect("from 11 to 26"),
        filter: AddressFilter {
            eui64: Eui64::derive(Seed(1), &name),
            pan_id: PanId(0xabcd),
            short: Some(ShortAddress(address)),
        },
        promiscuous: false,
        name,
    }
}

/// The share of frames that the router does not get when each node sends one every `period`.
fn lost(period: Duration) -> f64 {
    let mut medium = Medium::new(Seed(1), SimTime::ZERO);
    for address in 0..3 {
        medium.add_radio(radio(address));
    }
    let channel = radio(0).channel;
    let (mut sent, mut delivered) = (0_u32, 0_u32);
    // The second node's period is a little longer, so that it meets the first one at every phase.
    let of_node =
        |node: u16, period: Duration| (0..2000).map(move |n| (SimTime::ZERO + period * n, node));
    let mut frames: Vec<_> = of_node(1, period)
        .chain(of_node(2, period.mul_f64(1.0137)))
        .collect();
    frames.sort();
    for (at, node) in frames {
        while let Some(due) = medium.poll_timeout().filter(|due| *due <= at) {
            medium.handle_timeout(due, &mut Hidden);
        }
        // Data without an acknowledgement, PAN ID compressed, short addresses: to 0 in PAN 0xabcd.
        let mut mpdu = vec![0x41, 0x88, sent as u8, 0xcd, 0xab, 0, 0, node as u8, 0];
        mpdu.extend([0; 60]);
        medium.handle_frame(at, &mut Hidden, RadioIndex(node.into()), channel, &mpdu);
        sent += 1;
    }
    while let Some(due) = medium.poll_timeout() {
        medium.handle_timeout(due, &mut Hidden);
    }
    while let Some(output) = medium.poll_output() {
        if let Output::Done(report) = output {
            let arrived = |outcome: &Outcome| matches!(outcome, Outcome::Delivered { .. });
            delivered += u32::from(report.receivers.iter().any(|(_, o)| arrived(o)));
        }
    }
    1.0 - f64::from(delivered) / f64::from(sent)
}

fn main() {
    println!("period of each node   frames lost");
    for ms in [50, 20, 10, 5] {
        let share = lost(Duration::from_millis(ms));
        println!("{ms:>13} ms {:>15.1} %", share * 100.0);
    }
}
