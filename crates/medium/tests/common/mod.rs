//! Radios, losses and frames for the tests of the medium.

#![allow(dead_code)] // Every test file uses its own part of it.

use std::collections::BTreeMap;
use std::time::Duration;

use medium::{
    AddressFilter, FrameId, FrameReport, MacParams, Medium, Output, PathLoss, Profile, RadioConfig,
    RadioIndex, Transmission,
};
use units::{Channel, Db, Eui64, PanId, Seed, ShortAddress, SimTime};

/// Length of the header and FCS of [`data`].
pub const OVERHEAD: usize = 11;

pub fn channel(number: u8) -> Channel {
    Channel::try_from(number).unwrap()
}

pub fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

pub fn at_us(micros: u64) -> SimTime {
    SimTime::ZERO + us(micros)
}

/// A radio on channel 26 in PAN 0xabcd whose short address is `address`.
pub fn radio(address: u16) -> RadioConfig {
    RadioConfig {
        name: format!("radio{address}"),
        profile: Profile::named("cc2420").unwrap(),
        mac: MacParams::default(),
        channel: channel(26),
        filter: filter(address),
        promiscuous: false,
    }
}

pub fn filter(address: u16) -> AddressFilter {
    AddressFilter {
        eui64: Eui64([2, 0, 0, 0, 0, 0, (address >> 8) as u8, address as u8]),
        pan_id: PanId(0xabcd),
        short: Some(ShortAddress(address)),
    }
}

/// CSMA-CA without a random backoff: a frame begins 320 us after it was handed over.
pub fn at_once() -> MacParams {
    MacParams {
        min_be: 0,
        max_be: 0,
        ..MacParams::default()
    }
}

/// A data frame between short addresses whose PSDU has `psdu` bytes.
pub fn data(from: u16, to: u16, psdu: usize, ack: bool, sequence: u8) -> Vec<u8> {
    let control = if ack { 0x8861u16 } else { 0x8841 };
    let mut mpdu = control.to_le_bytes().to_vec();
    mpdu.push(sequence);
    mpdu.extend_from_slice(&0xabcdu16.to_le_bytes());
    mpdu.extend_from_slice(&to.to_le_bytes());
    mpdu.extend_from_slice(&from.to_le_bytes());
    mpdu.resize(psdu - 2, 0x55);
    mpdu
}

pub const BROADCAST: u16 = 0xffff;

/// Losses by pair; the rest have `other`.
#[derive(Clone, Default)]
pub struct Losses {
    pub pairs: BTreeMap<(usize, usize), Option<f64>>,
    pub other: Option<f64>,
    /// Every question.
    pub asked: Vec<(SimTime, RadioIndex, RadioIndex)>,
}

impl Losses {
    pub fn all(loss: f64) -> Losses {
        Losses {
            other: Some(loss),
            ..Losses::default()
        }
    }

    /// Sets both directions.
    pub fn with(mut self, a: usize, b: usize, loss: Option<f64>) -> Losses {
        self.pairs.insert((a, b), loss);
        self.pairs.insert((b, a), loss);
        self
    }
}

impl PathLoss for Losses {
    fn loss(&mut self, at: SimTime, from: RadioIndex, to: RadioIndex) -> Option<Db> {
        self.asked.push((at, from, to));
        let pair = self.pairs.get(&(from.0, to.0));
        pair.copied().unwrap_or(self.other).map(Db)
    }
}

/// A medium and its surroundings.
pub struct World {
    pub medium: Medium,
    pub losses: Losses,
    pub outputs: Vec<Output>,
}

impl World {
    pub fn new(seed: u64, losses: Losses, radios: Vec<RadioConfig>) -> World {
        let mut medium = Medium::new(Seed(seed), SimTime::ZERO);
        for config in radios {
            medium.add_radio(config);
        }
        World {
            medium,
            losses,
            outputs: Vec::new(),
        }
    }

    /// Hands `mpdu` to radio `from`, on the channel that it is on.
    pub fn hand(&mut self, at: SimTime, from: usize, mpdu: &[u8]) -> FrameId {
        let from = RadioIndex(from);
        let channel = self.medium.config(from).channel;
        let frame = self
            .medium
            .handle_frame(at, &mut self.losses, from, channel, mpdu);
        self.drain();
        frame
    }

    pub fn drain(&mut self) -> usize {
        let before = self.outputs.len();
        while let Some(output) = self.medium.poll_output() {
            self.outputs.push(output);
        }
        self.outputs.len() - before
    }

    /// Works everything off, to the last timer.
    pub fn finish(&mut self) {
        while let Some(at) = self.medium.poll_timeout() {
            self.medium.handle_timeout(at, &mut self.losses);
            self.drain();
            self.losses.asked.clear();
        }
    }

    /// Runs until `end`, from radios' first frames at their instants, in order, on; `next` gives a radio its next frame when one of its frames has ended.
    pub fn saturate(
        &mut self,
        end: SimTime,
        first: &[(SimTime, usize)],
        mut next: impl FnMut(usize) -> Vec<u8>,
    ) {
        let mut seen = self.outputs.len();
        let mut first = first.iter();
        let mut handed = first.next().copied();
        loop {
            let due = self.medium.poll_timeout().unwrap_or(SimTime::FAR_FUTURE);
            let at = match handed {
                Some((at, from)) if at <= due => {
                    let mpdu = next(from);
                    self.hand(at, from, &mpdu);
                    handed = first.next().copied();
                    at
                }
                _ if due <= end => {
                    self.medium.handle_timeout(due, &mut self.losses);
                    self.drain();
                    due
                }
                _ => return,
            };
            self.losses.asked.clear();
            while seen < self.outputs.len() {
                if let Output::Done(report) = &self.outputs[seen] {
                    let from = report.from.0;
                    let mpdu = next(from);
                    self.hand(at, from, &mpdu);
                }
                seen += 1;
            }
        }
    }

    pub fn transmissions(&self) -> Vec<&Transmission> {
        let outputs = self.outputs.iter();
        let picked = outputs.filter_map(|output| match output {
            Output::Transmission(transmission) => Some(transmission),
            _ => None,
        });
        picked.collect()
    }

    pub fn reports(&self) -> Vec<&FrameReport> {
        let outputs = self.outputs.iter();
        let picked = outputs.filter_map(|output| match output {
            Output::Done(report) => Some(report),
            _ => None,
        });
        picked.collect()
    }

    /// Radios and frames that were delivered, in order.
    pub fn delivered(&self) -> Vec<(usize, FrameId)> {
        let pick = |output: &Output| match output {
            Output::Deliver(delivery) => Some((delivery.to.0, delivery.frame)),
            _ => None,
        };
        self.outputs.iter().filter_map(pick).collect()
    }
}
