//! The signal registers of a node: what it hears of each router.
//!
//! A radio tells the power of the frame that it received last. A register keeps that for the
//! frames of one router, and is empty when nothing was heard from there for
//! [`RegisterConfig::silence`] while the radio was awake and on that channel. A radio that comes to
//! a channel begins anew there, and knows nothing of the channels that it is not on.
//!
//! ```
//! use handover::signal::{RegisterConfig, Registers, Router, Signal};
//! use std::time::Duration;
//! use units::{Channel, Dbm, Eui64, MacAddress, PanId, SimTime};
//!
//! let channel = Channel::try_from(15).unwrap();
//! let router = Router {
//!     channel,
//!     pan_id: PanId(1),
//!     eui64: Eui64([2, 0, 0, 0, 0, 0, 0, 1]),
//!     short_address: None,
//! };
//! let config = RegisterConfig { silence: Duration::from_secs(3), report_every: None };
//! let mut registers = Registers::new(config, SimTime::ZERO, channel, vec![router]);
//!
//! let source = (PanId(1), MacAddress::Extended(router.eui64));
//! assert!(registers.heard(SimTime::ZERO, channel, Some(source), Dbm(-60.0)));
//! let heard = Signal { channel, pan_id: PanId(1), rssi: Some(Dbm(-60.0)) };
//! assert_eq!(registers.poll(SimTime::ZERO), Some(heard));
//!
//! let silent_at = registers.poll_timeout().unwrap();
//! assert_eq!(registers.poll(silent_at), Some(Signal { rssi: None, ..heard }));
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::{Channel, Dbm, Eui64, MacAddress, PanId, ShortAddress, SimTime};

/// What a register says of a PAN.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Channel of the PAN.
    pub channel: Channel,
    /// The PAN.
    pub pan_id: PanId,
    /// Power of its edge router's frames here; absent: nothing is heard.
    pub rssi: Option<Dbm>,
}

/// A router that a node listens for, and how its frames are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Router {
    /// Its channel.
    pub channel: Channel,
    /// Its PAN.
    pub pan_id: PanId,
    /// Its extended address.
    pub eui64: Eui64,
    /// Its short address, if it has one.
    pub short_address: Option<ShortAddress>,
}

impl Router {
    fn sent(&self, (pan_id, address): (PanId, MacAddress)) -> bool {
        let known = match address {
            MacAddress::Extended(eui64) => eui64 == self.eui64,
            MacAddress::Short(short) => self.short_address == Some(short),
        };
        pan_id == self.pan_id && known
    }
}

/// What [`Registers`] are told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterConfig {
    /// How long nothing must be heard for a register to be empty.
    pub silence: Duration,
    /// A register is told when its value is another one than that told last, and at most so often;
    /// a node that reads it on a timer sees no more. None: with every frame.
    pub report_every: Option<Duration>,
}

/// One register.
#[derive(Clone, Debug)]
struct Register {
    router: Router,
    heard: Option<(SimTime, Dbm)>,
    /// Whether a frame was heard since the register was told last.
    untold: bool,
    /// When the register was told last, and what.
    told: Option<(SimTime, Option<Dbm>)>,
}

impl Register {
    /// When it is empty unless something is heard before; `since`: when listening began.
    fn silent_at(&self, since: SimTime, silence: Duration) -> SimTime {
        self.heard.map_or(since, |(at, _)| at.max(since)) + silence
    }

    /// When it is to be told, as things are; `since`: when listening began, if its router can be
    /// heard.
    fn due(&self, config: RegisterConfig, since: Option<SimTime>) -> Option<SimTime> {
        let frame = self.heard.filter(|_| self.untold);
        let changed = frame.and_then(|(at, rssi)| match (self.told, config.report_every) {
            (Some((_, told)), Some(_)) if told == Some(rssi) => None,
            (Some((told_at, _)), Some(every)) => Some(told_at + every),
            _ => Some(at),
        });
        let told_empty = matches!(self.told, Some((_, None)));
        let silent = since
            .filter(|_| !told_empty || self.heard.is_some())
            .map(|since| self.silent_at(since, config.silence));
        changed.into_iter().chain(silent).min()
    }

    fn poll(
        &mut self,
        now: SimTime,
        config: RegisterConfig,
        since: Option<SimTime>,
    ) -> Option<Signal> {
        if self.due(config, since)? > now {
            return None;
        }
        if since.is_some_and(|since| self.silent_at(since, config.silence) <= now) {
            self.heard = None;
        }
        let rssi = self.heard.map(|(_, rssi)| rssi);
        self.untold = false;
        self.told = Some((now, rssi));
        Some(Signal {
            channel: self.router.channel,
            pan_id: self.router.pan_id,
            rssi,
        })
    }

    fn begin_anew(&mut self) {
        self.heard = None;
        self.untold = false;
        self.told = None;
    }
}

/// The registers of one node.
///
/// Give them what the radio does and hears; then drain [`Registers::poll`], then arm a timer for
/// [`Registers::poll_timeout`].
#[derive(Clone, Debug)]
pub struct Registers {
    config: RegisterConfig,
    /// The channel that the radio is on.
    channel: Channel,
    /// Since when, or since when it is awake.
    since: SimTime,
    /// A sleeping radio's silence says nothing of the routers.
    asleep: bool,
    registers: Vec<Register>,
}

impl Registers {
    /// The registers of a node that listens for `routers`, and whose radio is on `channel` from
    /// `now` on.
    pub fn new(
        config: RegisterConfig,
        now: SimTime,
        channel: Channel,
        routers: Vec<Router>,
    ) -> Registers {
        let register = |router| Register {
            router,
            heard: None,
            untold: false,
            told: None,
        };
        Registers {
            config,
            channel,
            since: now,
            asleep: false,
            registers: routers.into_iter().map(register).collect(),
        }
    }

    /// The channel that the radio is on.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// The radio was tuned to `channel`, be it the one that it was on.
    pub fn tuned(&mut self, now: SimTime, channel: Channel) {
        self.channel = channel;
        self.since = now;
        // What was heard there on an earlier visit says nothing of this one.
        let here = |register: &&mut Register| register.router.channel == channel;
        for register in self.registers.iter_mut().filter(here) {
            register.begin_anew();
        }
    }

    /// The radio went to sleep, or woke up: silence counts from then on.
    pub fn awake(&mut self, now: SimTime, awake: bool) {
        self.asleep = !awake;
        self.since = now;
    }

    /// A frame was received on `channel`, from `source` if it names one. Whether that is a router
    /// of the node's; frames of others change nothing.
    pub fn heard(
        &mut self,
        at: SimTime,
        channel: Channel,
        source: Option<(PanId, MacAddress)>,
        rssi: Dbm,
    ) -> bool {
        let of_router = |register: &&mut Register| {
            let router = register.router;
            router.channel == channel && source.is_some_and(|source| router.sent(source))
        };
        let Some(register) = self.registers.iter_mut().find(of_router) else {
            return false;
        };
        register.heard = Some((at, rssi));
        register.untold = true;
        true
    }

    /// When [`Registers::poll`] has something to tell, as things are.
    pub fn poll_timeout(&self) -> Option<SimTime> {
        let due = |register: &Register| register.due(self.config, self.since(register));
        self.registers.iter().filter_map(due).min()
    }

    /// The next register that is to be told at `now`, in the order of the routers.
    pub fn poll(&mut self, now: SimTime) -> Option<Signal> {
        let (config, channel) = (self.config, self.channel);
        let (since, asleep) = (self.since, self.asleep);
        self.registers.iter_mut().find_map(|register| {
            let since = (register.router.channel == channel && !asleep).then_some(since);
            register.poll(now, config, since)
        })
    }

    /// Since when the router of `register` could be heard, if it can.
    fn since(&self, register: &Register) -> Option<SimTime> {
        let here = register.router.channel == self.channel && !self.asleep;
        here.then_some(self.since)
    }
}

#[cfg(test)]
mod tests;
