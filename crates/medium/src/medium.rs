//! The state machine: radios, channels and an agenda of instants.

mod receiver;
mod sender;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use units::{Channel, LossRatio, Rng, Seed, SimTime};

use crate::air::Air;
use crate::energy::Energy;
use crate::radio::{Radio, Step};
use crate::{AddressFilter, FrameId, Output, PathLoss, RadioConfig, RadioIndex, Reason, phy};

/// The air between radios.
///
/// *Getters* look at it; *commands* ([`Medium::tune`], [`Medium::set_filter`],
/// [`Medium::set_awake`]) and *inputs* ([`Medium::handle_frame`], [`Medium::handle_timeout`])
/// change it; outputs are polled. After each command or input: drain
/// [`Medium::poll_output`], then arm a timer for [`Medium::poll_timeout`] and call
/// [`Medium::handle_timeout`] when it fires (early is harmless; late, what was due is worked
/// off at its own instants).
///
/// Every call brings the medium up to its `now` first. An earlier `now` than the medium has
/// seen counts as the latest one: it never goes back. A [`RadioIndex`] that
/// [`Medium::add_radio`] did not give is a fault of the caller's, and panics as an index does.
#[derive(Clone, Debug)]
pub struct Medium {
    seed: Seed,
    now: SimTime,
    radios: Vec<Radio>,
    /// By channel number, from [`FIRST_CHANNEL`] on.
    channels: Vec<Air>,
    agenda: BTreeSet<(SimTime, Step, RadioIndex)>,
    outputs: VecDeque<Output>,
    frames: u64,
    transmissions: u64,
    /// Random numbers of receptions, by transmitter and receiver; made when first needed.
    reception_draws: BTreeMap<(RadioIndex, RadioIndex), Rng>,
    /// Loss ratios of links, by transmitter and receiver, each with its random numbers.
    loss_ratios: BTreeMap<(RadioIndex, RadioIndex), (LossRatio, Rng)>,
    curve: phy::Curve,
    /// Room for those of one transmission.
    decisions: Vec<receiver::Decision>,
}

impl Medium {
    /// A medium without radios. `seed` decides backoffs and receptions; `start` is the first
    /// instant there is.
    pub fn new(seed: Seed, start: SimTime) -> Medium {
        Medium {
            seed,
            now: start,
            radios: Vec::new(),
            channels: vec![Air::default(); CHANNELS],
            agenda: BTreeSet::new(),
            outputs: VecDeque::new(),
            frames: 0,
            transmissions: 0,
            reception_draws: BTreeMap::new(),
            loss_ratios: BTreeMap::new(),
            curve: phy::Curve::new(),
            decisions: Vec::new(),
        }
    }

    /// Adds a radio, awake, at the medium's latest instant. It hears transmissions that begin
    /// from then on.
    pub fn add_radio(&mut self, config: RadioConfig) -> RadioIndex {
        let index = RadioIndex(self.radios.len());
        self.air_mut(config.channel).join(index);
        self.radios.push(Radio::new(config, self.seed, self.now));
        index
    }

    /// Has transmissions between two radios lost by chance, in both directions, ACKs too, beyond
    /// what noise and other transmissions destroy. Each transmission that ends from now on is
    /// lost by itself: nothing comes in bursts.
    pub fn set_loss_ratio(&mut self, a: RadioIndex, b: RadioIndex, ratio: LossRatio) {
        for (from, to) in [(a, b), (b, a)] {
            let name = |radio: RadioIndex| self.radios[radio.0].config.name.as_str();
            let rng = self.seed.rng(&["medium", "loss", name(from), name(to)]);
            let of_link = self.loss_ratios.entry((from, to));
            of_link.or_insert((ratio, rng)).0 = ratio;
        }
    }

    /// The latest instant that the medium was brought up to.
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// How many radios there are.
    pub fn radios(&self) -> usize {
        self.radios.len()
    }

    /// A radio's configuration, with the channel and the filter that it has now.
    pub fn config(&self, radio: RadioIndex) -> &RadioConfig {
        &self.radios[radio.0].config
    }

    /// Whether a radio is to listen when it has nothing to send ([`Medium::set_awake`]).
    pub fn is_awake(&self, radio: RadioIndex) -> bool {
        self.radios[radio.0].awake
    }

    /// Time in each state and energy of a radio from its addition to `at`, which may lie up to
    /// a second before the medium's latest instant, or after it, where the radio's present
    /// state is taken to last.
    pub fn energy(&self, radio: RadioIndex, at: SimTime) -> Energy {
        let radio = &self.radios[radio.0];
        radio.meter.read(at, &radio.config.profile)
    }

    /// Tunes a radio. Unless it is on `channel` already, that ends what it is receiving, an
    /// ACK that it has not begun, and all its host's frames, with
    /// [`crate::SendOutcome::Retuned`]; what it has on the air goes on to its end.
    pub fn tune(
        &mut self,
        now: SimTime,
        path: &mut dyn PathLoss,
        radio: RadioIndex,
        channel: Channel,
    ) {
        self.work_off(now, path);
        let from = self.radios[radio.0].config.channel;
        if from == channel {
            return;
        }
        self.unlock(radio, Reason::NotOnChannel);
        self.abandon(radio);
        self.air_mut(from).leave(radio);
        self.air_mut(channel).join(radio);
        self.radios[radio.0].config.channel = channel;
        self.settle(radio);
    }

    /// Sets the addresses that a radio accepts frames for, from the next transmission on.
    pub fn set_filter(
        &mut self,
        now: SimTime,
        path: &mut dyn PathLoss,
        radio: RadioIndex,
        filter: AddressFilter,
    ) {
        self.work_off(now, path);
        self.radios[radio.0].config.filter = filter;
    }

    /// Puts a radio to sleep (`macRxOnWhenIdle` false) or wakes it. A sleeping radio hears
    /// nothing, but wakes by itself for each frame of its host, until that frame's end.
    pub fn set_awake(
        &mut self,
        now: SimTime,
        path: &mut dyn PathLoss,
        radio: RadioIndex,
        awake: bool,
    ) {
        self.work_off(now, path);
        self.radios[radio.0].awake = awake;
        self.settle(radio);
    }

    /// The host of `radio`, which is on `channel`, hands it a frame: `mpdu`, without FCS. If
    /// the medium knows the radio on another channel, it is tuned first. Any bytes are sent;
    /// what is no MAC frame has no receivers.
    pub fn handle_frame(
        &mut self,
        now: SimTime,
        path: &mut dyn PathLoss,
        radio: RadioIndex,
        channel: Channel,
        mpdu: &[u8],
    ) -> FrameId {
        self.tune(now, path, radio, channel);
        let frame = FrameId(self.frames);
        self.frames += 1;
        self.enqueue(radio, frame, mpdu);
        frame
    }

    /// Works off everything that is due up to `now`, in the order of time.
    pub fn handle_timeout(&mut self, now: SimTime, path: &mut dyn PathLoss) {
        self.work_off(now, path);
    }

    /// When something is due next, if anything is.
    pub fn poll_timeout(&self) -> Option<SimTime> {
        self.agenda.first().map(|(at, _, _)| *at)
    }

    /// The oldest output that has not been polled.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn work_off(&mut self, now: SimTime, path: &mut dyn PathLoss) {
        while let Some(&(at, step, radio)) = self.agenda.first()
            && at <= now
        {
            self.agenda.pop_first();
            self.now = self.now.max(at);
            match step {
                Step::TransmissionEnd => self.end_transmission(path, radio),
                Step::ShrEnd => self.end_shr(path, radio),
                Step::AckStart => self.send_ack(path, radio),
                mac => self.mac_timer(path, radio, mac),
            }
        }
        self.now = self.now.max(now);
    }

    /// Makes the radio's lock and energy state agree with what it does now.
    fn settle(&mut self, radio: RadioIndex) {
        if !self.radios[radio.0].is_on() {
            self.unlock(radio, Reason::Asleep);
        }
        let radio = &mut self.radios[radio.0];
        radio.meter.enter(self.now, radio.state());
    }

    /// Ends what the radio is receiving, if anything, before its end.
    fn unlock(&mut self, radio: RadioIndex, reason: Reason) {
        let Some(lock) = self.radios[radio.0].lock.take() else {
            return;
        };
        let channel = self.radios[radio.0].config.channel;
        let air = self.air_mut(channel);
        if let Some(index) = air.position(lock.transmission) {
            air.transmissions[index].lose(radio, reason);
        }
    }

    fn air_mut(&mut self, channel: Channel) -> &mut Air {
        &mut self.channels[place(channel)]
    }
}

/// The first channel of the 2.4 GHz PHY.
const FIRST_CHANNEL: u8 = 11;

/// How many there are.
const CHANNELS: usize = 16;

/// A channel's place in [`Medium::channels`].
fn place(channel: Channel) -> usize {
    usize::from(channel.number() - FIRST_CHANNEL)
}
