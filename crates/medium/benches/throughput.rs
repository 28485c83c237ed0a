//! Frames per second through the medium with 51 radios in range of the sender:
//! `cargo bench -p medium`.

use std::time::Instant;

use medium::{
    AddressFilter, MacParams, Medium, Output, PathLoss, Profile, RadioConfig, RadioIndex,
};
use units::{Channel, Db, Eui64, PanId, Seed, ShortAddress, SimTime};

const RADIOS: u16 = 52;
const FRAMES: usize = 200_000;

/// Every radio hears every other one at the same loss.
struct SameLoss(f64);

impl PathLoss for SameLoss {
    fn loss(&mut self, _: SimTime, _: RadioIndex, _: RadioIndex) -> Option<Db> {
        Some(Db(self.0))
    }
}

fn radio(address: u16) -> RadioConfig {
    let name = format!("radio{address}");
    RadioConfig {
        profile: Profile::named(Profile::NAMES[0]).expect("a part of NAMES"),
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

/// Sends `FRAMES` frames in turn from each of `senders` radios, which are saturated, and prints
/// how many transmissions, ACKs included, there were in a second of wall time.
fn run(what: &str, loss: f64, senders: u16, control: u8, to: impl Fn(u16) -> u16) {
    let mut medium = Medium::new(Seed(1), SimTime::ZERO);
    let mut losses = SameLoss(loss);
    for address in 0..RADIOS {
        medium.add_radio(radio(address));
    }
    let channel = radio(0).channel;
    let (mut frames, mut transmissions) = (0, 0);
    let begun = Instant::now();
    let mut ready: Vec<usize> = (0..usize::from(senders)).collect();
    while frames < FRAMES {
        for from in ready.drain(..) {
            let mut mpdu = [0x55; 100];
            mpdu[..5].copy_from_slice(&[control, 0x88, frames as u8, 0xcd, 0xab]);
            mpdu[5..7].copy_from_slice(&to(from as u16).to_le_bytes());
            mpdu[7..9].copy_from_slice(&(from as u16).to_le_bytes());
            medium.handle_frame(medium.now(), &mut losses, RadioIndex(from), channel, &mpdu);
        }
        let at = medium.poll_timeout().expect("frames are under way");
        medium.handle_timeout(at, &mut losses);
        while let Some(output) = medium.poll_output() {
            match output {
                Output::Done(report) => {
                    frames += 1;
                    ready.push(report.from.0);
                }
                Output::Transmission(_) => transmissions += 1,
                Output::Deliver(_) | Output::Heard(_) => {}
            }
        }
    }
    let wall = begun.elapsed().as_secs_f64();
    println!(
        "{what}: {:.0} frames/s, {:.0} transmissions/s, {:.2} us each",
        frames as f64 / wall,
        f64::from(transmissions) / wall,
        wall * 1e6 / f64::from(transmissions)
    );
}

fn main() {
    println!("{RADIOS} radios on one channel, frames of 102 bytes");
    // The low byte of the frame control field: data, PAN ID compression, with ACK or without.
    let (plain, ack) = (0x41, 0x61);
    let next = |from| (from + 1) % RADIOS;
    run("broadcast, delivered to 51", 60.0, 1, plain, |_| 0xffff);
    run("unicast", 60.0, 1, plain, |_| 1);
    run("unicast with ACK", 60.0, 1, ack, |_| 1);
    run("the same at the sensitivity", 95.0, 1, ack, |_| 1);
    run("50 saturated senders with ACK", 60.0, 50, ack, next);
    run("the same under the CCA threshold", 80.0, 50, ack, next);
}
