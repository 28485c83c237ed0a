//! What the node's services are told of its link: address, router, and what it hears of that.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use handover::Signal;
use topology::Plan;
use topology::plan::RadioInterface;
use units::{Channel, Db, Dbm, Lqi, PanId};

use super::{LqiConfig, RadioHost};
use crate::connectivity;
use crate::mobility::Adapter;

/// What a signal's link quality is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LqiScale {
    sensitivity: Dbm,
    /// Signal over the sensitivity at which the LQI is 255.
    span: Db,
}

impl LqiScale {
    /// That of a node's `radio`, or of what reads its LQI itself.
    pub(crate) fn new(plan: &Plan, radio: &RadioInterface, lqi: Option<&LqiConfig>) -> LqiScale {
        let profile = radio.profile.as_ref();
        LqiScale {
            sensitivity: profile.map_or(plan.radio.sensitivity, |profile| profile.sensitivity),
            span: lqi.map_or(Lqi::SPAN, LqiConfig::span),
        }
    }

    fn heard(self, rssi: Dbm) -> service::Heard {
        let lqi = Lqi::over(rssi, self.sensitivity, self.span);
        service::Heard { rssi, lqi }
    }
}

/// What the services know.
#[derive(Debug)]
pub(super) struct Told {
    scale: LqiScale,
    /// What was heard last of each PAN's router.
    heard: BTreeMap<(Channel, PanId), Dbm>,
    /// Address, router and signal, as they were told last.
    last: Option<(Ipv6Addr, Ipv6Addr, Option<Dbm>)>,
}

impl Told {
    pub(super) fn new(scale: LqiScale) -> Told {
        Told {
            scale,
            heard: BTreeMap::new(),
            last: None,
        }
    }

    /// A register changed. One that is empty says that nothing is heard, and not how strong that was.
    pub(super) fn measured(&mut self, signal: Signal) {
        if let Some(rssi) = signal.rssi {
            self.heard.insert((signal.channel, signal.pan_id), rssi);
        }
    }
}

impl<A: Adapter> RadioHost<A> {
    /// Tells the services how the node is connected, if that is not what they know. Between two routers it is not
    /// connected, and they hear nothing.
    pub(super) fn tell_connected(&mut self) {
        if self.attachment.is_attaching() || self.attachment.in_progress() {
            return;
        }
        let (Some(address), Some(router)) = (self.t_addr, &self.router) else {
            return;
        };
        let rssi = self.told_services.heard.get(&self.home).copied();
        let now = (address, router.router, rssi);
        if self.told_services.last.replace(now) != Some(now) {
            let heard = rssi.map(|rssi| self.told_services.scale.heard(rssi));
            let connectivity = connectivity::radio(heard, address, router.router);
            self.application.connected(&connectivity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_last_stays_when_nothing_is_heard_and_is_on_the_scale_of_the_radio() {
        let scale = LqiScale {
            sensitivity: Dbm(-95.0),
            span: Db(25.4),
        };
        let mut told = Told::new(scale);
        let (channel, pan_id) = (Channel::try_from(15).unwrap(), PanId(1));
        let signal = |rssi: Option<f64>| Signal {
            channel,
            pan_id,
            rssi: rssi.map(Dbm),
        };
        told.measured(signal(Some(-70.0)));
        told.measured(signal(Some(-85.0)));
        told.measured(signal(None));
        assert_eq!(told.heard[&(channel, pan_id)], Dbm(-85.0));
        // A tenth of a decibel is a step of 254.
        let heard = scale.heard(Dbm(-85.0));
        assert_eq!((heard.rssi, heard.lqi), (Dbm(-85.0), Lqi(101)));
        assert_eq!(scale.heard(Dbm(-40.0)).lqi, Lqi(255));
    }
}
