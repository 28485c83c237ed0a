//! The signal registers of a node whose own radio measures them, frame by frame.
//!
//! A radio hands its kernel the frames of its own PAN only (IEEE 802.15.4-2006 §7.5.6.2), so a
//! register is that of the PAN that it belongs to at the moment, and to listen to another router
//! is to belong to that one's PAN meanwhile.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use handover::Signal;
use handover::signal::{RegisterConfig, Registers, Router};
use netlink::{HeardFrame, LqiSocket};
use topology::Plan;
use topology::plan::{HandoverPlan, RadioInterface};
use units::{Channel, Db, Dbm, SimTime};

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

/// How a node reads its LQI, and whose frames count, as the plan says.
#[derive(Clone, Debug)]
pub(crate) struct LqiConfig {
    sensitivity: Dbm,
    /// Signal over the sensitivity at which the LQI is 255.
    span: Db,
    registers: RegisterConfig,
    /// The channel at the start.
    channel: Channel,
    /// The candidates' routers, in their order, with their names.
    routers: Vec<(String, Router)>,
}

impl LqiConfig {
    /// That of a mobile node on `radio`, whose LQI is 255 at `span` over its sensitivity.
    ///
    /// # Errors
    /// When the plan does not say how the node listens, or has two PANs on one channel.
    pub(crate) fn new(
        plan: &Plan,
        handover: &HandoverPlan,
        radio: &RadioInterface,
        span: Db,
    ) -> Result<LqiConfig> {
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
            let router = Router {
                channel,
                pan_id: candidate.pan_id,
                eui64: radio.eui64,
                short_address: radio.short_address,
            };
            Ok((name, router))
        });
        let profile = radio.profile.as_ref();
        Ok(LqiConfig {
            sensitivity: profile.map_or(plan.radio.sensitivity, |profile| profile.sensitivity),
            span,
            registers: RegisterConfig {
                silence,
                report_every: None,
            },
            channel: radio.channel,
            routers: routers.collect::<Result<_>>()?,
        })
    }

    /// Signal over the sensitivity at which the LQI is 255.
    pub(super) fn span(&self) -> Db {
        self.span
    }
}

/// The registers, as the LQI of frames sets them.
#[derive(Debug)]
struct LqiRegisters {
    config: LqiConfig,
    registers: Registers,
    /// Whether a foreign frame was reported since the last one of a router.
    foreign: bool,
}

impl LqiRegisters {
    fn new(config: LqiConfig, now: SimTime) -> LqiRegisters {
        let routers = config.routers.iter().map(|(_, router)| *router).collect();
        LqiRegisters {
            registers: Registers::new(config.registers, now, config.channel, routers),
            config,
            foreign: false,
        }
    }

    /// A frame was received; those of other PANs were on their way before the radio moved.
    fn heard(&mut self, now: SimTime, frame: &HeardFrame) -> Option<Signal> {
        let rssi = frame.lqi.to_rssi(self.config.sensitivity, self.config.span);
        // Received is heard, however badly.
        let rssi = rssi.unwrap_or(self.config.sensitivity);
        let channel = self.registers.channel();
        let source = frame.source.map(|source| (frame.pan_id, source));
        if !self.registers.heard(now, channel, source, rssi) {
            self.note_foreign(frame);
            return None;
        }
        self.foreign = false;
        self.registers.poll(now)
    }

    /// Logs the first foreign frame of the PAN that the radio belongs to.
    fn note_foreign(&mut self, frame: &HeardFrame) {
        let (channel, pan_id) = (self.registers.channel(), frame.pan_id);
        let mut routers = self.config.routers.iter();
        let here = routers.find(|(_, router)| (router.channel, router.pan_id) == (channel, pan_id));
        if let Some((name, router)) = here
            && !std::mem::replace(&mut self.foreign, true)
        {
            let source = frame.source.map(|source| source.to_string());
            tracing::info!(
                ?source, pan = %pan_id, router = name, eui64 = %router.eui64,
                "frames of this PAN come from others than its router; if that is the router, \
                 its `eui64` in the topology is wrong"
            );
        }
    }
}

/// The signal registers of a radio, and the socket that tells its LQI.
pub(super) struct LqiSource {
    socket: LqiSocket,
    registers: LqiRegisters,
}

impl LqiSource {
    /// That of `radio`, which `interface` names.
    ///
    /// # Errors
    /// As [`LqiSocket::open`].
    pub(super) fn open(
        interface: &str,
        radio: &Radio,
        config: LqiConfig,
        now: SimTime,
    ) -> Result<LqiSource> {
        let socket = LqiSocket::open(interface, radio.eui64()).context(
            "signals from the node's own radio; `--signal control` takes them from control lines",
        )?;
        Ok(LqiSource {
            socket,
            registers: LqiRegisters::new(config, now),
        })
    }

    /// The radio belongs to the PAN on a channel from `now` on.
    pub(super) fn tuned(&mut self, now: SimTime, channel: Channel) {
        self.registers.registers.tuned(now, channel);
    }

    /// The node went to sleep, or woke up: routers that are not heard meanwhile are not silent.
    pub(super) fn awake(&mut self, now: SimTime, awake: bool) {
        self.registers.registers.awake(now, awake);
    }

    /// When [`LqiSource::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<SimTime> {
        self.registers.registers.poll_timeout()
    }

    /// A router that has been silent for too long.
    pub(super) fn handle_timeout(&mut self, now: SimTime) -> Option<Signal> {
        self.registers.registers.poll(now)
    }

    /// A frame that [`next_frame`] gave: the register that it changes.
    pub(super) fn heard(&mut self, now: SimTime, frame: &HeardFrame) -> Option<Signal> {
        self.registers.heard(now, frame)
    }
}

/// The next frame that the radio receives, or never without a source. Cancel-safe.
pub(super) async fn next_frame(source: &Option<LqiSource>) -> Result<HeardFrame> {
    match source {
        Some(source) => Ok(source.socket.next().await?),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use units::{Eui64, Lqi, MacAddress, PanId, ShortAddress};

    const EUI64: Eui64 = Eui64([2, 0, 0, 0, 0, 0, 0, 1]);

    fn ms(ms: u64) -> SimTime {
        SimTime::ZERO + Duration::from_millis(ms)
    }

    fn channel(number: u8) -> Channel {
        Channel::try_from(number).unwrap()
    }

    /// A node that hears er1 (channel 15, PAN 1) and er2 (channel 20, PAN 2), tuned to er1.
    fn registers() -> LqiRegisters {
        let router = |name: &str, number, pan_id| {
            let router = Router {
                channel: channel(number),
                pan_id: PanId(pan_id),
                eui64: EUI64,
                short_address: Some(ShortAddress(7)),
            };
            (name.to_owned(), router)
        };
        let config = LqiConfig {
            sensitivity: Dbm(-95.0),
            span: Db(25.4),
            registers: RegisterConfig {
                silence: Duration::from_secs(2),
                report_every: None,
            },
            channel: channel(15),
            routers: vec![router("er1", 15, 1), router("er2", 20, 2)],
        };
        LqiRegisters::new(config, ms(0))
    }

    fn frame(source: MacAddress, pan_id: u16, lqi: u8) -> HeardFrame {
        HeardFrame {
            source: Some(source),
            pan_id: PanId(pan_id),
            lqi: Lqi(lqi),
        }
    }

    /// The register of er1.
    fn er1(rssi: Option<f64>) -> Option<Signal> {
        Some(Signal {
            channel: channel(15),
            pan_id: PanId(1),
            rssi: rssi.map(Dbm),
        })
    }

    #[test]
    fn a_frame_of_the_router_sets_the_register_of_its_pan() {
        let mut registers = registers();
        for source in [
            MacAddress::Extended(EUI64),
            MacAddress::Short(ShortAddress(7)),
        ] {
            // 25.4 dB in 254 steps: a tenth each.
            let heard = registers.heard(ms(1), &frame(source, 1, 101));
            assert_eq!(heard, er1(Some(-85.0)));
            let heard = registers.heard(ms(1), &frame(source, 1, 0));
            assert_eq!(heard, er1(Some(-95.0)), "received is heard");
        }
    }

    #[test]
    fn frames_of_others_and_of_the_pan_that_was_left_say_nothing() {
        let mut registers = registers();
        let other = MacAddress::Extended(Eui64([9; 8]));
        assert_eq!(registers.heard(ms(1), &frame(other, 1, 255)), None);
        assert!(registers.foreign, "of the PAN, but not its router's");
        let short = MacAddress::Short(ShortAddress(8));
        assert_eq!(registers.heard(ms(1), &frame(short, 1, 255)), None);
        let router = frame(MacAddress::Extended(EUI64), 1, 255);
        assert!(registers.heard(ms(1), &router).is_some());
        assert!(!registers.foreign);
        registers.registers.tuned(ms(2), channel(20));
        assert_eq!(registers.heard(ms(3), &router), None);
        assert!(!registers.foreign, "it came before the radio moved");
        assert_eq!(registers.registers.poll_timeout(), Some(ms(2002)));
    }

    #[test]
    fn a_router_that_falls_silent_is_reported_once() {
        let mut registers = registers();
        let loud = frame(MacAddress::Extended(EUI64), 1, 255);
        registers.heard(ms(1500), &loud);
        assert_eq!(registers.registers.poll(ms(3499)), None);
        assert_eq!(registers.registers.poll(ms(3500)), er1(None));
        assert_eq!(registers.registers.poll(ms(9000)), None);
        registers.heard(ms(9001), &loud);
        assert_eq!(registers.registers.poll_timeout(), Some(ms(11_001)));
    }
}
