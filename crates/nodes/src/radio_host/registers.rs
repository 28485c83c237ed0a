//! The signal registers of a node whose own radio measures them, frame by frame.
//!
//! A radio hands its kernel the frames of its own PAN only (IEEE 802.15.4-2006 §7.5.6.2), so a
//! register is that of the PAN that it belongs to at the moment, and to listen to another router
//! is to belong to that one's PAN meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use netlink::{FrameSource, HeardFrame, LqiSocket};
use topology::Plan;
use topology::plan::{HandoverPlan, RadioInterface};
use units::{Channel, Db, Dbm, Eui64, PanId, ShortAddress, SimTime};

use crate::radio::Radio;

/// Where the signal registers of a node that moves come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SignalSource {
    /// Control lines ([`rundir::control::Control::Signal`]): the testbed's medium knows.
    Control,
    /// The LQI of the frames that the node's own radio receives ([`netlink::LqiSocket`]): on a
    /// board, in the initial namespace.
    Radio {
        /// Signal over the sensitivity at which the radio's LQI is 255 ([`units::Lqi::to_rssi`]).
        span: Db,
    },
}

/// How a node listens to routers by its own radio, as the plan says.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    sensitivity: Dbm,
    /// Signal over the sensitivity at which the LQI is 255.
    span: Db,
    /// A router that is silent for so long has no signal.
    silence: Duration,
    /// The candidates' routers, in their order.
    routers: Vec<Router>,
}

#[derive(Clone, Debug)]
struct Router {
    name: String,
    channel: Channel,
    pan_id: PanId,
    eui64: Eui64,
    short_address: Option<ShortAddress>,
}

impl Router {
    fn sent(&self, frame: &HeardFrame) -> bool {
        match frame.source {
            Some(FrameSource::Extended(eui64)) => eui64 == self.eui64,
            Some(FrameSource::Short(short)) => Some(short) == self.short_address,
            None => false,
        }
    }
}

impl Listening {
    /// How a node on `radio` listens, whose LQI is 255 at `span` over its sensitivity.
    ///
    /// # Errors
    /// When the plan does not say how the node listens, or has two PANs on one channel.
    pub(crate) fn new(
        plan: &Plan,
        handover: &HandoverPlan,
        radio: &RadioInterface,
        span: Db,
    ) -> Result<Listening> {
        ensure!(
            span.0 > 0.0 && span.0.is_finite(),
            "the LQI's span is {span}; expected more than 0 dB"
        );
        let silence = handover
            .signal_timeout
            .filter(|_| handover.scan.is_some())
            .context(
                "signals from the node's own radio: expected `handover.scan` and \
                 `handover.signal_timeout` in the plan; a topology with `medium: phy` gives them",
            )?;
        let mut channels = BTreeSet::new();
        let routers = handover.candidates.iter().map(|candidate| {
            let (name, channel) = (candidate.router.clone(), candidate.channel);
            ensure!(
                channels.insert(channel),
                "signals from the node's own radio: two candidates on channel {channel}, {name} \
                 is the second; give every edge router a channel of its own"
            );
            let radio = plan.nodes.get(&name).and_then(|node| node.radio.as_ref());
            let radio = radio.with_context(|| format!("edge router {name} has no radio"))?;
            Ok(Router {
                name,
                channel,
                pan_id: candidate.pan_id,
                eui64: radio.eui64,
                short_address: radio.short_address,
            })
        });
        let profile = radio.profile.as_ref();
        Ok(Listening {
            sensitivity: profile.map_or(plan.radio.sensitivity, |profile| profile.sensitivity),
            span,
            silence,
            routers: routers.collect::<Result<_>>()?,
        })
    }
}

/// A register's new value.
pub(super) type Change = (Channel, PanId, Option<Dbm>);

/// The registers themselves.
#[derive(Debug)]
struct Registers {
    listening: Listening,
    /// The candidate whose PAN the radio belongs to.
    tuned: Option<usize>,
    /// When that one counts as silent; none if it is known to be.
    silent_at: Option<SimTime>,
    /// Whether a frame of somebody else was logged since the last one of a router.
    other_logged: bool,
}

impl Registers {
    fn new(listening: Listening) -> Registers {
        Registers {
            listening,
            tuned: None,
            silent_at: None,
            other_logged: false,
        }
    }

    fn tuned(&mut self, now: SimTime, channel: Channel, pan_id: PanId) {
        let mut routers = self.listening.routers.iter();
        self.tuned = routers.position(|r| r.channel == channel && r.pan_id == pan_id);
        self.silent_at = self.tuned.map(|_| now + self.listening.silence);
    }

    /// A frame was received; those of other PANs were on their way before the radio moved.
    fn heard(&mut self, now: SimTime, frame: &HeardFrame) -> Option<Change> {
        let router = &self.listening.routers[self.tuned?];
        if frame.pan_id != router.pan_id {
            return None;
        }
        if !router.sent(frame) {
            if !std::mem::replace(&mut self.other_logged, true) {
                let source = frame.source.map(|source| source.to_string());
                tracing::info!(
                    ?source, pan = %frame.pan_id, router = router.name, eui64 = %router.eui64,
                    "frames of this PAN come from others than its router; if that is the router, \
                     its `eui64` in the topology is wrong"
                );
            }
            return None;
        }
        self.other_logged = false;
        self.silent_at = Some(now + self.listening.silence);
        let rssi = frame
            .lqi
            .to_rssi(self.listening.sensitivity, self.listening.span);
        // Received is heard, however badly.
        let rssi = rssi.unwrap_or(self.listening.sensitivity);
        Some((router.channel, router.pan_id, Some(rssi)))
    }

    fn handle_timeout(&mut self, now: SimTime) -> Option<Change> {
        self.silent_at.filter(|at| *at <= now)?;
        self.silent_at = None;
        let router = &self.listening.routers[self.tuned?];
        Some((router.channel, router.pan_id, None))
    }
}

/// The radio's own registers, and the socket that they come from.
pub(super) struct FrameRegisters {
    socket: LqiSocket,
    registers: Registers,
}

impl FrameRegisters {
    /// The registers of `radio`, which `interface` names.
    ///
    /// # Errors
    /// As [`LqiSocket::open`].
    pub(super) fn open(
        interface: &str,
        radio: &Radio,
        listening: Listening,
    ) -> Result<FrameRegisters> {
        let socket = LqiSocket::open(interface, radio.eui64()).context(
            "signals from the node's own radio; `--signal control` takes them from control lines",
        )?;
        Ok(FrameRegisters {
            socket,
            registers: Registers::new(listening),
        })
    }

    /// The radio belongs to a PAN, on a channel, from `now` on.
    pub(super) fn tuned(&mut self, now: SimTime, channel: Channel, pan_id: PanId) {
        self.registers.tuned(now, channel, pan_id);
    }

    /// When [`FrameRegisters::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<SimTime> {
        self.registers.silent_at
    }

    /// A router that has been silent for too long.
    pub(super) fn handle_timeout(&mut self, now: SimTime) -> Option<Change> {
        self.registers.handle_timeout(now)
    }

    /// A frame that [`next_frame`] gave: the register that it changes.
    pub(super) fn heard(&mut self, now: SimTime, frame: &HeardFrame) -> Option<Change> {
        self.registers.heard(now, frame)
    }
}

/// The next frame that changes a register, or never without any. Cancel-safe.
pub(super) async fn next_frame(registers: &Option<FrameRegisters>) -> Result<HeardFrame> {
    match registers {
        Some(registers) => Ok(registers.socket.next().await?),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Lqi;

    const EUI64: Eui64 = Eui64([2, 0, 0, 0, 0, 0, 0, 1]);

    fn ms(ms: u64) -> SimTime {
        SimTime::ZERO + Duration::from_millis(ms)
    }

    fn channel(number: u8) -> Channel {
        Channel::try_from(number).unwrap()
    }

    /// A node that hears er1 (channel 15, PAN 1) and er2 (channel 20, PAN 2), tuned to er1.
    fn registers() -> Registers {
        let router = |name: &str, number, pan_id| Router {
            name: name.into(),
            channel: channel(number),
            pan_id: PanId(pan_id),
            eui64: EUI64,
            short_address: Some(ShortAddress(7)),
        };
        let mut registers = Registers::new(Listening {
            sensitivity: Dbm(-95.0),
            span: Db(25.4),
            silence: Duration::from_secs(2),
            routers: vec![router("er1", 15, 1), router("er2", 20, 2)],
        });
        registers.tuned(ms(0), channel(15), PanId(1));
        registers
    }

    fn frame(source: FrameSource, pan_id: u16, lqi: u8) -> HeardFrame {
        HeardFrame {
            source: Some(source),
            pan_id: PanId(pan_id),
            lqi: Lqi(lqi),
        }
    }

    #[test]
    fn a_frame_of_the_router_sets_the_register_of_its_pan() {
        let mut registers = registers();
        for source in [
            FrameSource::Extended(EUI64),
            FrameSource::Short(ShortAddress(7)),
        ] {
            // 25.4 dB in 254 steps: a tenth each.
            assert_eq!(
                registers.heard(ms(1), &frame(source, 1, 101)),
                Some((channel(15), PanId(1), Some(Dbm(-85.0))))
            );
            assert_eq!(
                registers.heard(ms(1), &frame(source, 1, 0)),
                Some((channel(15), PanId(1), Some(Dbm(-95.0)))),
                "received is heard"
            );
        }
    }

    #[test]
    fn frames_of_others_and_of_the_pan_that_was_left_say_nothing() {
        let mut registers = registers();
        let other = FrameSource::Extended(Eui64([9; 8]));
        assert_eq!(registers.heard(ms(1), &frame(other, 1, 255)), None);
        let short = FrameSource::Short(ShortAddress(8));
        assert_eq!(registers.heard(ms(1), &frame(short, 1, 255)), None);
        registers.tuned(ms(2), channel(20), PanId(2));
        let late = frame(FrameSource::Extended(EUI64), 1, 255);
        assert_eq!(registers.heard(ms(3), &late), None);
        assert_eq!(registers.silent_at, Some(ms(2002)));
    }

    #[test]
    fn a_router_that_falls_silent_is_reported_once() {
        let mut registers = registers();
        let loud = frame(FrameSource::Extended(EUI64), 1, 255);
        registers.heard(ms(1500), &loud);
        assert_eq!(registers.handle_timeout(ms(3499)), None);
        assert_eq!(
            registers.handle_timeout(ms(3500)),
            Some((channel(15), PanId(1), None))
        );
        assert_eq!(registers.handle_timeout(ms(9000)), None);
        registers.heard(ms(9001), &loud);
        assert_eq!(registers.silent_at, Some(ms(11_001)));
    }
}
