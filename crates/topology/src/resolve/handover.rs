//! When and how a mobile node hands over.

use std::time::Duration;

use units::quantity::format_duration;
use units::{Db, Dbm};

use super::identity::Network;
use super::radio::RadioModel;
use super::timers::DEFAULT_MAX_INTERVAL;
use super::{Resolver, or, or_default};
use crate::file;
use crate::plan::{
    AddressMode, BindingMode, DadMode, Dhcpv6ClientPlan, EarlyScanPlan, HandoverPlan,
    RouterSolicitationPlan, ScanPlan, TriggerPlan,
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl<'t> Resolver<'t> {
    pub(super) fn handover(
        &mut self,
        name: &str,
        node: &file::MobileNode,
        network: &Network<'t>,
        model: &RadioModel,
    ) -> HandoverPlan {
        let path = format!("nodes.{name}.handover");
        let file = node.handover.as_ref();
        let address = self.address_mode(node);
        if address == AddressMode::Dhcpv6 && self.dhcpv6_servers().next().is_none() {
            let at = file.and_then(|f| f.address).map(|a| a.span);
            self.problem(
                at.unwrap_or(self.span_of(name)),
                format!(
                    "`{path}.address`: `dhcpv6` needs a dhcpv6-server, and there is none; add \
                     one, `dhcp: {{ role: dhcpv6-server }}`, or write `slaac`"
                ),
            );
        }
        let (scan, signal_timeout) = self.search(&path, node, network, model);
        let trigger = file.and_then(|f| f.trigger.as_ref());
        let solicitation = file.and_then(|f| f.router_solicitation.as_ref());
        let dhcpv6 = file.and_then(|f| f.dhcpv6.as_ref());
        let hysteresis = trigger.and_then(|t| t.hysteresis);
        HandoverPlan {
            trigger: TriggerPlan {
                threshold: or(trigger.and_then(|t| t.threshold), Dbm(-75.0)),
                hysteresis: self.checked(
                    &format!("{path}.trigger.hysteresis"),
                    hysteresis,
                    Db(6.0),
                    |value| value.to_string(),
                    |value| value.0 >= 0.0,
                    "0 dB or more",
                ),
                samples: self.at_least_one(
                    &format!("{path}.trigger.samples"),
                    trigger.and_then(|t| t.samples),
                    3,
                ),
                sample_every: self.positive(
                    &format!("{path}.trigger.sample_every"),
                    trigger.and_then(|t| t.sample_every),
                    Duration::from_millis(100),
                ),
            },
            scan,
            signal_timeout,
            hold: or(file.and_then(|f| f.hold), true),
            address,
            dad: or(file.and_then(|f| f.dad), DadMode::Normal),
            binding: or(file.and_then(|f| f.binding), BindingMode::Direct),
            router_solicitation: RouterSolicitationPlan {
                max_delay: or(solicitation.and_then(|s| s.max_delay), s(1)),
                interval: self.positive(
                    &format!("{path}.router_solicitation.interval"),
                    solicitation.and_then(|s| s.interval),
                    s(4),
                ),
                max_solicitations: self.at_least_one(
                    &format!("{path}.router_solicitation.max_solicitations"),
                    solicitation.and_then(|s| s.max_solicitations),
                    3,
                ),
            },
            dhcpv6: Dhcpv6ClientPlan {
                rapid_commit: or_default(&dhcpv6.and_then(|d| d.rapid_commit)),
                solicit_max_delay: or(dhcpv6.and_then(|d| d.solicit_max_delay), s(1)),
                solicit_timeout: self.positive(
                    &format!("{path}.dhcpv6.solicit_timeout"),
                    dhcpv6.and_then(|d| d.solicit_timeout),
                    s(1),
                ),
                request_timeout: self.positive(
                    &format!("{path}.dhcpv6.request_timeout"),
                    dhcpv6.and_then(|d| d.request_timeout),
                    s(1),
                ),
            },
        }
    }

    /// How a node looks for routers, and when one has no signal; under `phy` only.
    fn search(
        &mut self,
        path: &str,
        node: &file::MobileNode,
        network: &Network<'t>,
        model: &RadioModel,
    ) -> (Option<ScanPlan>, Option<Duration>) {
        let file = node.handover.as_ref();
        let scan = file.and_then(|f| f.scan.as_ref());
        let signal_timeout = file.and_then(|f| f.signal_timeout);
        if !model.is_phy() {
            let medium = model.plan.medium;
            self.phy_only(&format!("{path}.scan"), scan.map(|v| v.span), medium);
            let at = signal_timeout.map(|v| v.span);
            self.phy_only(&format!("{path}.signal_timeout"), at, medium);
            return (None, None);
        }
        let interval = longest_interval(node, network);
        let dwell = self.positive(
            &format!("{path}.scan.dwell"),
            scan.and_then(|s| s.dwell),
            interval * 6 / 5,
        );
        let early = scan
            .and_then(|s| s.early.as_ref())
            .map(|early| EarlyScanPlan {
                threshold: early.threshold.value,
                every: self.duration(
                    &format!("{path}.scan.early.every"),
                    Some(early.every),
                    early.every.value,
                    |every| every >= dwell && !every.is_zero(),
                    &format!("at least as long as a dwell, {}", format_duration(dwell)),
                ),
            });
        let signal_timeout = self.positive(
            &format!("{path}.signal_timeout"),
            signal_timeout,
            interval * 3,
        );
        (Some(ScanPlan { dwell, early }), Some(signal_timeout))
    }
}

/// The longest time without a router advertisement of any candidate.
fn longest_interval(node: &file::MobileNode, network: &Network<'_>) -> Duration {
    let is_candidate = |name: &str| {
        let given = node.candidates.as_ref();
        given.is_none_or(|given| given.iter().any(|candidate| *candidate.value == *name))
    };
    network
        .routers
        .iter()
        .filter(|router| is_candidate(router.name))
        .map(|router| {
            let ra = router.file.router_advertisements.as_ref();
            or(ra.and_then(|ra| ra.max_interval), DEFAULT_MAX_INTERVAL)
        })
        .max()
        .unwrap_or(DEFAULT_MAX_INTERVAL)
}
