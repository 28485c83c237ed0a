//! The signal registers of the mobile nodes: what each hears of each PAN's router.
//!
//! A radio tells the power of the frame that it received last. A register keeps that for the
//! frames of one PAN's router, in whole dBm as receivers give it, and is empty when nothing was
//! heard from there for [`Listener::silence`] while the radio was on that channel. A radio that
//! comes to a channel begins anew there, and knows nothing of the channels that it is not on.

use std::collections::BTreeMap;
use std::time::Duration;

use medium::RadioIndex;
use medium::mpdu::{Address, Header};
use rundir::control::Control;
use units::{Channel, Dbm, Eui64, PanId, ShortAddress, SimTime};

/// A register is told at most this often: a node that reads it on a timer sees no more.
pub(crate) const PERIOD: Duration = Duration::from_millis(20);

/// A node that listens.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    /// The channel that its radio is on.
    channel: Channel,
    /// Since when.
    since: SimTime,
    /// A sleeping radio's silence says nothing of the routers.
    asleep: bool,
    /// How long nothing must be heard for a register to be empty.
    silence: Duration,
    registers: Vec<Register>,
}

/// What is heard of one router.
#[derive(Clone, Debug)]
pub(crate) struct Register {
    channel: Channel,
    pan_id: PanId,
    eui64: Eui64,
    short: Option<ShortAddress>,
    heard: Option<(SimTime, i32)>,
    /// When the node was told last, and what.
    told: Option<(SimTime, Option<i32>)>,
}

impl Register {
    /// The register of the router with these addresses; nothing was heard of it.
    pub(crate) fn new(
        channel: Channel,
        pan_id: PanId,
        eui64: Eui64,
        short: Option<ShortAddress>,
    ) -> Register {
        Register {
            channel,
            pan_id,
            eui64,
            short,
            heard: None,
            told: None,
        }
    }

    fn is_from(&self, header: &Header) -> bool {
        let Some((pan, address)) = header.source else {
            return false;
        };
        let known = match address {
            Address::Extended(eui64) => eui64 == self.eui64,
            Address::Short(short) => self.short == Some(short),
        };
        pan == self.pan_id && known
    }

    /// When it is empty unless something is heard before; `since`: when listening began.
    fn silent_at(&self, since: SimTime, silence: Duration) -> SimTime {
        self.heard.map_or(since, |(at, _)| at.max(since)) + silence
    }

    /// When the node is to be told something, as things are.
    fn due(&self, since: Option<SimTime>, silence: Duration) -> Option<SimTime> {
        let value = self.heard.map(|(_, dbm)| dbm);
        let changed = match self.told {
            None => self.heard.map(|(at, _)| at),
            Some((_, told)) if told == value || value.is_none() => None,
            Some((at, _)) => Some(at + PERIOD),
        };
        let told_empty = matches!(self.told, Some((_, None)));
        let silent = since
            .filter(|_| !told_empty || value.is_some())
            .map(|since| self.silent_at(since, silence));
        changed.into_iter().chain(silent).min()
    }

    /// What the node is to be told at `now`.
    fn poll(
        &mut self,
        now: SimTime,
        since: Option<SimTime>,
        silence: Duration,
    ) -> Option<Option<i32>> {
        if self.due(since, silence)? > now {
            return None;
        }
        if since.is_some_and(|since| self.silent_at(since, silence) <= now) {
            self.heard = None;
        }
        let value = self.heard.map(|(_, dbm)| dbm);
        self.told = Some((now, value));
        Some(value)
    }
}

impl Listener {
    /// A node with these registers, whose radio is on `channel` from `now` on.
    pub(crate) fn new(
        channel: Channel,
        now: SimTime,
        silence: Duration,
        registers: Vec<Register>,
    ) -> Listener {
        Listener {
            channel,
            since: now,
            asleep: false,
            silence,
            registers,
        }
    }

    fn since(&self, register: &Register) -> Option<SimTime> {
        (register.channel == self.channel && !self.asleep).then_some(self.since)
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ear {
    listeners: BTreeMap<RadioIndex, Listener>,
}

impl Ear {
    pub(crate) fn add(&mut self, radio: RadioIndex, listener: Listener) {
        self.listeners.insert(radio, listener);
    }

    /// A radio was tuned; on the channel that it was on already nothing changes.
    pub(crate) fn tuned(&mut self, now: SimTime, radio: RadioIndex, channel: Channel) {
        if let Some(listener) = self.listeners.get_mut(&radio)
            && listener.channel != channel
        {
            listener.channel = channel;
            listener.since = now;
            // What was heard there on an earlier visit says nothing of this one.
            let here = |register: &&mut Register| register.channel == channel;
            for register in listener.registers.iter_mut().filter(here) {
                register.heard = None;
                register.told = None;
            }
        }
    }

    /// A radio went to sleep, or woke up: its silence counts from then on.
    pub(crate) fn awake(&mut self, now: SimTime, radio: RadioIndex, awake: bool) {
        if let Some(listener) = self.listeners.get_mut(&radio) {
            listener.asleep = !awake;
            listener.since = now;
        }
    }

    /// A radio decoded a frame with this header.
    pub(crate) fn heard(
        &mut self,
        at: SimTime,
        radio: RadioIndex,
        channel: Channel,
        header: &Header,
        rssi: Dbm,
    ) {
        let Some(listener) = self.listeners.get_mut(&radio) else {
            return;
        };
        let mut registers = listener.registers.iter_mut();
        if let Some(register) = registers.find(|r| r.channel == channel && r.is_from(header)) {
            register.heard = Some((at, rssi.0.round() as i32));
        }
    }

    /// When [`Ear::poll`] has something to say, as things are.
    pub(crate) fn poll_timeout(&self) -> Option<SimTime> {
        let due = self.listeners.values().flat_map(|listener| {
            let registers = listener.registers.iter();
            registers.filter_map(|r| r.due(listener.since(r), listener.silence))
        });
        due.min()
    }

    /// What nodes are to be told at `now`.
    pub(crate) fn poll(&mut self, now: SimTime) -> Vec<(RadioIndex, Control)> {
        let mut told = Vec::new();
        for (&radio, listener) in &mut self.listeners {
            let (channel, since, silence) = (listener.channel, listener.since, listener.silence);
            let asleep = listener.asleep;
            for register in &mut listener.registers {
                let since = (register.channel == channel && !asleep).then_some(since);
                if let Some(value) = register.poll(now, since, silence) {
                    let signal = Control::Signal {
                        channel: register.channel,
                        pan_id: register.pan_id,
                        rssi: value.map(|dbm| Dbm(f64::from(dbm))),
                    };
                    told.push((radio, signal));
                }
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medium::mpdu::FrameType;

    const NODE: RadioIndex = RadioIndex(3);
    const SILENCE: Duration = Duration::from_secs(3);

    fn channel(number: u8) -> Channel {
        Channel::try_from(number).unwrap()
    }

    fn ms(ms: u64) -> SimTime {
        SimTime::ZERO + Duration::from_millis(ms)
    }

    /// Two routers: PAN 1 on channel 15, PAN 2 on channel 20; the node is on 15.
    fn ear() -> Ear {
        let register = |number: u8, pan: u16| {
            Register::new(channel(number), PanId(pan), Eui64([pan as u8; 8]), None)
        };
        let mut ear = Ear::default();
        let registers = vec![register(15, 1), register(20, 2)];
        ear.add(
            NODE,
            Listener::new(channel(15), SimTime::ZERO, SILENCE, registers),
        );
        ear
    }

    fn beacon_of(pan: u16) -> Header {
        Header {
            frame_type: FrameType::Data,
            ack_request: false,
            sequence: 0,
            destination: None,
            source: Some((PanId(pan), Address::Extended(Eui64([pan as u8; 8])))),
        }
    }

    fn values(ear: &mut Ear, now: SimTime) -> Vec<(u16, Option<f64>)> {
        let told = ear.poll(now).into_iter().map(|(_, control)| match control {
            Control::Signal { pan_id, rssi, .. } => (pan_id.0, rssi.map(|r| r.0)),
            other => panic!("{other:?}"),
        });
        told.collect()
    }

    #[test]
    fn the_first_frame_is_told_at_once_and_a_change_twenty_milliseconds_later() {
        let mut ear = ear();
        ear.heard(ms(5), NODE, channel(15), &beacon_of(1), Dbm(-60.4));
        assert_eq!(ear.poll_timeout(), Some(ms(5)));
        assert_eq!(values(&mut ear, ms(5)), [(1, Some(-60.0))]);
        ear.heard(ms(6), NODE, channel(15), &beacon_of(1), Dbm(-60.2));
        assert_eq!(ear.poll_timeout(), Some(ms(3006)), "the same in whole dBm");
        ear.heard(ms(7), NODE, channel(15), &beacon_of(1), Dbm(-61.0));
        assert_eq!(ear.poll_timeout(), Some(ms(25)));
        assert_eq!(values(&mut ear, ms(24)), []);
        assert_eq!(values(&mut ear, ms(25)), [(1, Some(-61.0))]);
    }

    #[test]
    fn a_router_that_falls_silent_is_lost_once_and_heard_again() {
        let mut ear = ear();
        ear.heard(ms(0), NODE, channel(15), &beacon_of(1), Dbm(-60.0));
        values(&mut ear, ms(0));
        assert_eq!(values(&mut ear, ms(2999)), []);
        assert_eq!(values(&mut ear, ms(3000)), [(1, None)]);
        assert_eq!(ear.poll_timeout(), None);
        ear.heard(ms(4000), NODE, channel(15), &beacon_of(1), Dbm(-60.0));
        assert_eq!(values(&mut ear, ms(4000)), [(1, Some(-60.0))]);
    }

    #[test]
    fn the_silence_of_a_sleeping_radio_is_none_of_the_routers() {
        let mut ear = ear();
        ear.heard(ms(100), NODE, channel(15), &beacon_of(1), Dbm(-60.0));
        values(&mut ear, ms(100));
        ear.awake(ms(200), NODE, false);
        assert_eq!(ear.poll_timeout(), None);
        ear.awake(ms(10_000), NODE, true);
        assert_eq!(ear.poll_timeout(), Some(ms(13_000)), "silence from 10 s on");
    }

    #[test]
    fn nothing_ever_heard_at_home_is_told_after_the_silence() {
        let mut ear = ear();
        assert_eq!(ear.poll_timeout(), Some(ms(3000)));
        assert_eq!(values(&mut ear, ms(3000)), [(1, None)]);
        assert_eq!(ear.poll_timeout(), None, "of channel 20 it knows nothing");
    }

    #[test]
    fn a_radio_that_comes_to_a_channel_begins_anew_there() {
        let mut ear = ear();
        ear.tuned(ms(10), NODE, channel(20));
        ear.heard(ms(20), NODE, channel(20), &beacon_of(2), Dbm(-70.0));
        assert_eq!(values(&mut ear, ms(20)), [(2, Some(-70.0))]);
        ear.tuned(ms(30), NODE, channel(15));
        assert_eq!(
            ear.poll_timeout(),
            Some(ms(3030)),
            "channel 15 from here on"
        );
        assert_eq!(values(&mut ear, ms(3030)), [(1, None)]);
        assert_eq!(ear.poll_timeout(), None);
    }

    #[test]
    fn frames_of_others_do_not_touch_a_routers_register() {
        let mut ear = ear();
        let mut other = beacon_of(1);
        other.source = Some((PanId(1), Address::Extended(Eui64([9; 8]))));
        ear.heard(ms(5), NODE, channel(15), &other, Dbm(-40.0));
        ear.heard(ms(5), NODE, channel(20), &beacon_of(1), Dbm(-40.0));
        assert_eq!(values(&mut ear, ms(5)), []);
    }
}
