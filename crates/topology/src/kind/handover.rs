//! When a radio leaves its router, and how it looks for others.

use std::time::Duration;

use propagation::Position;
use serde::{Deserialize, Serialize};
use units::quantity::{duration, format_duration};
use units::{Channel, Db, Dbm, Eui64, PanId};

use super::Node;
use super::router::{self, DEFAULT_MAX_INTERVAL};
use crate::decode::{At, Block};
use crate::plan::{EarlyScanPlan, NodeName, ScanPlan};
use crate::resolve::identity::Router;
use crate::resolve::timers::ms;
use crate::resolve::{Context, Resolver, or};
use crate::scalar::words;

tables! {
    /// When a radio leaves its router, and how it looks for others.
    pub struct Leaving {
        /// When.
        pub trigger: Option<Trigger>,
        /// `phy`: how it looks for routers.
        pub scan: Option<Block<Scan>>,
        /// `phy`: a router of which nothing was heard on its channel for this long has no signal;
        /// over 0 s; default three times the longest `max_interval` of the candidates.
        pub signal_timeout: Option<At<Duration>>,
        /// Whether the node asks its router about the others beforehand (RFC 5568 §6.1), so that at the
        /// next one it waits for no router advertisement, and needs none for its address; default false.
        pub proxy_advertisements: Option<At<bool>>,
    }

    /// The signal condition that starts a handover. A lost link triggers at once.
    pub struct Trigger {
        /// The serving router's signal must be under this …; default -75 dBm, under `phy` of a node
        /// that the scenario moves less, if the next router is better by the hysteresis only farther
        /// out.
        pub threshold: Option<At<Dbm>>,
        /// … and a candidate's must be better by this …; at least 0 dB; default 6 dB.
        pub hysteresis: Option<At<Db>>,
        /// … in this many samples in a row; at least 1; default 3. A link that is lost triggers at
        /// once.
        pub samples: Option<At<u32>>,
        /// Sampling period; over 0 s; default 100 ms.
        pub sample_every: Option<At<Duration>>,
    }

    /// Listening for routers, channel by channel.
    pub struct Scan {
        /// Which channels: those of the candidates; default `candidates`.
        pub channels: Option<At<ScanChannels>>,
        /// How long on each; over 0 s; default 1.2 times the longest `max_interval` of the
        /// candidates.
        pub dwell: Option<At<Duration>>,
        /// Looking around while the serving router can still be heard; default not.
        pub early: Option<EarlyScan>,
    }

    /// Scans before the link is lost.
    pub struct EarlyScan {
        /// The serving router's signal must be under this.
        pub threshold: At<Dbm>,
        /// From the start of one scan to the start of the next; at least a dwell.
        pub every: At<Duration>,
    }
}

/// The signal under which a node leaves its router, where nothing says otherwise.
const THRESHOLD: Dbm = Dbm(-75.0);
/// A threshold that follows from where routers stand is at least this over the sensitivity: what is
/// left has to last until the node has gone.
const LEAST_OVER_SENSITIVITY: Db = Db(3.0);
/// Into how many parts the way from one router to the next is cut when a threshold is looked for.
const GAP_STEPS: u32 = 1000;

/// The largest distance in metres from any of `places` to the one next to it; none if there are not
/// two.
pub(crate) fn widest_gap(places: &[Position]) -> Option<f64> {
    let next = |(i, place): (usize, &Position)| {
        let others = places.iter().enumerate().filter(|(j, _)| *j != i);
        let distances = others.map(|(_, other)| place.distance_m(*other));
        distances.min_by(f64::total_cmp)
    };
    places
        .iter()
        .enumerate()
        .filter_map(next)
        .max_by(f64::total_cmp)
}

/// The channels of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanChannels {
    /// Those of the candidates.
    Candidates,
}
words!(ScanChannels, "candidates" => Candidates);

/// A radio that moves.
#[derive(Clone, Debug)]
pub struct Moving {
    /// Edge routers that it may attach to.
    pub candidates: Option<Vec<At<String>>>,
    /// When it leaves its router, and how it looks for others.
    pub leaving: Option<Leaving>,
}

/// When a radio leaves its router, and for which others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandoverPlan {
    /// When.
    pub trigger: TriggerPlan,
    /// How it looks for routers, under `phy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<ScanPlan>,
    /// A router on the node's channel of which nothing was heard for this long has no signal,
    /// under `phy`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::plan::optional_duration"
    )]
    pub signal_timeout: Option<Duration>,
    /// Whether it asks its router about the others beforehand.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy_advertisements: bool,
    /// The PANs that it may attach to.
    pub candidates: Vec<CandidatePlan>,
}

/// The signal condition that starts a handover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerPlan {
    /// The serving router's signal must be under this …
    pub threshold: Dbm,
    /// … and a candidate's must be better by this …
    pub hysteresis: Db,
    /// … in this many samples in a row. A lost link (no signal at all) triggers at once.
    pub samples: u32,
    /// Sampling period.
    #[serde(with = "duration")]
    pub sample_every: Duration,
}

/// A PAN that a node may attach to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidatePlan {
    /// The edge router.
    pub router: NodeName,
    /// Its channel.
    pub channel: Channel,
    /// Its PAN.
    pub pan_id: PanId,
    /// Its link-layer address, by which its router is asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_point: Option<Eui64>,
}

impl Moving {
    /// The plan of `context`'s node, which starts at the router `home`.
    pub(super) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        home: &At<String>,
    ) -> HandoverPlan {
        let path = format!("{}.handover", context.path);
        let leaving = self.leaving.as_ref();
        let (scan, signal_timeout) = self.search(r, &path, context);
        let trigger = leaving.and_then(|leaving| leaving.trigger.as_ref());
        let hysteresis = r.checked(
            &format!("{path}.trigger.hysteresis"),
            trigger.and_then(|t| t.hysteresis),
            Db(6.0),
            |value| value.to_string(),
            |value| value.0 >= 0.0,
            "0 dB or more",
        );
        let threshold = trigger.and_then(|t| t.threshold);
        HandoverPlan {
            trigger: TriggerPlan {
                threshold: or(threshold, self.default_threshold(r, context, hysteresis)),
                hysteresis,
                samples: r.at_least_one(
                    &format!("{path}.trigger.samples"),
                    trigger.and_then(|t| t.samples),
                    3,
                ),
                sample_every: r.positive(
                    &format!("{path}.trigger.sample_every"),
                    trigger.and_then(|t| t.sample_every),
                    ms(100),
                ),
            },
            scan,
            signal_timeout,
            proxy_advertisements: self.asks_about_others(),
            candidates: self.candidates(r, context, home),
        }
    }

    /// Whether the node asks its router about the others.
    pub(crate) fn asks_about_others(&self) -> bool {
        let leaving = self.leaving.as_ref();
        or(
            leaving.and_then(|leaving| leaving.proxy_advertisements),
            false,
        )
    }

    /// Whether `router` is among the candidates.
    pub(crate) fn may_attach(&self, router: &str) -> bool {
        let given = self.candidates.as_ref();
        given.is_none_or(|given| given.iter().any(|candidate| *candidate.value == *router))
    }

    fn candidates<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        home: &At<String>,
    ) -> Vec<CandidatePlan> {
        let network = context.network;
        let asks = self.asks_about_others();
        let candidate = |router: &Router<'_>| CandidatePlan {
            access_point: asks.then(|| network.eui64_of(router.name)).flatten(),
            ..router.candidate()
        };
        let Some(given) = &self.candidates else {
            return network.routers.iter().map(candidate).collect();
        };
        let mut candidates = Vec::new();
        for (i, router) in given.iter().enumerate() {
            let at = format!("{}.candidates[{i}]", context.path);
            let found = r.named(&at, router, "an edge-router", Node::is_router);
            let router = found.and_then(|(name, _)| network.router(name));
            candidates.extend(router.map(candidate));
        }
        if !given.iter().any(|c| c.value == home.value) {
            let message = format!(
                "`{}.attached_to`: `{}` is not among the candidates; add it there",
                context.path, home.value
            );
            r.problem(home.span, message);
        }
        candidates
    }

    /// How a node looks for routers, and when one has no signal; under `phy` only.
    fn search(
        &self,
        r: &mut Resolver<'_>,
        path: &str,
        context: &Context<'_, '_>,
    ) -> (Option<ScanPlan>, Option<Duration>) {
        let leaving = self.leaving.as_ref();
        let scan = leaving.and_then(|leaving| leaving.scan.as_ref());
        let signal_timeout = leaving.and_then(|leaving| leaving.signal_timeout);
        if !context.model.is_phy() {
            let medium = context.model.plan.medium;
            r.phy_only(&format!("{path}.scan"), scan.map(|v| v.span), medium);
            let at = signal_timeout.map(|v| v.span);
            r.phy_only(&format!("{path}.signal_timeout"), at, medium);
            return (None, None);
        }
        let interval = self.longest_interval(r, context);
        let dwell = r.positive(
            &format!("{path}.scan.dwell"),
            scan.and_then(|s| s.dwell),
            interval * 6 / 5,
        );
        let early = scan
            .and_then(|s| s.early.as_ref())
            .map(|early| EarlyScanPlan {
                threshold: early.threshold.value,
                every: r.duration(
                    &format!("{path}.scan.early.every"),
                    Some(early.every),
                    early.every.value,
                    |every| every >= dwell && !every.is_zero(),
                    &format!("at least as long as a dwell, {}", format_duration(dwell)),
                ),
            });
        let signal_timeout = r.positive(
            &format!("{path}.signal_timeout"),
            signal_timeout,
            interval * 3,
        );
        (Some(ScanPlan { dwell, early }), Some(signal_timeout))
    }

    /// The signal under which a node leaves its router if the file does not say it: [`THRESHOLD`], or
    /// what is left of it where the next router is better by the hysteresis, if that is less and the
    /// scenario moves the node. Before that a node that looks around finds nothing to go to.
    fn default_threshold(
        &self,
        r: &Resolver<'_>,
        context: &Context<'_, '_>,
        hysteresis: Db,
    ) -> Dbm {
        let model = context.model;
        let routers = context.network.routers.iter();
        let candidates = routers.filter(|router| self.may_attach(router.name));
        let places: Vec<Position> = candidates
            .filter_map(|router| r.position_of(router.name))
            .collect();
        let goes = model.is_phy() && r.goes(context.name);
        let Some(gap) = widest_gap(&places).filter(|_| goes) else {
            return THRESHOLD;
        };
        let radio = &model.plan;
        let left = |metres: f64| radio.tx_power - model.mean_loss(metres);
        let better = |metres: &f64| left(gap - metres) >= left(*metres) + hysteresis;
        let steps = (0..=GAP_STEPS).map(|step| gap * f64::from(step) / f64::from(GAP_STEPS));
        let least = (radio.sensitivity + LEAST_OVER_SENSITIVITY).0.ceil();
        let there = steps.into_iter().find(better).map(left);
        let there = there.map_or(least, |signal| signal.0.floor().max(least));
        Dbm(THRESHOLD.0.min(there))
    }

    /// The longest time without a router advertisement of any candidate.
    fn longest_interval(&self, r: &Resolver<'_>, context: &Context<'_, '_>) -> Duration {
        let routers = context.network.routers.iter();
        let candidates = routers.filter(|router| self.may_attach(router.name));
        let intervals = candidates.map(|router| {
            let listened_for = router::Router::is_listened_for(r, context, router.name);
            router.file.max_interval(listened_for)
        });
        intervals.max().unwrap_or(DEFAULT_MAX_INTERVAL)
    }
}
