//! What can be run and will hardly do what was meant. Each warning has the values that do not fit
//! together, and what to change.

use std::collections::BTreeSet;

use propagation::{Position, Waypoint};
use units::quantity::format_duration;
use units::{Db, Dbm};

use super::Resolver;
use super::links::unordered;
use super::radio::rounded;
use crate::kind::NodePlan;
use crate::kind::handover::{HandoverPlan, widest_gap};
use crate::plan::{Action, AddressMode, PhyPlan, Plan};

/// Farther than any radio reaches, metres.
const FARTHEST_M: f64 = 1e6;

impl Resolver<'_> {
    /// Warns of what in `plan`, which can be run, does not fit together.
    pub(super) fn warn_of(&mut self, plan: &Plan) {
        for (name, node) in &plan.nodes {
            if let Some(handover) = node.handover() {
                self.warn_of_silence(plan, name, handover);
                self.warn_of_threshold(plan, name, handover);
                self.warn_of_gaps(plan, name, handover);
            }
            for message in node.warnings(name, plan) {
                self.warning(self.span_of(name), format!("`nodes.{name}`: {message}"));
            }
            self.warn_of_places(plan, name, node);
            self.warn_of_neighbours(plan, name, node);
        }
        self.warn_of_idlers(plan);
    }

    /// A router that advertises less often than a node listens for it.
    fn warn_of_silence(&mut self, plan: &Plan, name: &str, handover: &HandoverPlan) {
        let (Some(scan), Some(timeout)) = (&handover.scan, handover.signal_timeout) else {
            return;
        };
        let home = plan.nodes[name].radio.as_ref().map(|radio| radio.channel);
        for candidate in &handover.candidates {
            let Some(router) = plan.nodes.get(&candidate.router) else {
                continue;
            };
            let Some(router) = &router.router else {
                continue;
            };
            let ra = &router.router_advertisements;
            let (key, interval) = match ra.max_interval >= ra.min_delay_between {
                true => ("max_interval", ra.max_interval),
                false => ("min_delay_between", ra.min_delay_between),
            };
            let elsewhere = home != Some(candidate.channel);
            let (span, other) = (self.span_of(name), &candidate.router);
            let every = format!(
                "`{other}` advertises itself every {} (`router_advertisements.{key}`)",
                format_duration(interval)
            );
            if elsewhere && interval > scan.dwell {
                let message = format!(
                    "`nodes.{name}.handover.scan.dwell`: it listens {} on each channel, and {every}; \
                     let the router advertise more often, or listen longer",
                    format_duration(scan.dwell)
                );
                self.warning(span, message);
            } else if elsewhere && interval > plan.scenario.duration && self.goes(name) {
                let message = format!(
                    "`nodes.{name}.handover.scan.dwell`: it listens {} on each channel, longer than \
                     the scenario of {}, because {every}; let the router advertise more often",
                    format_duration(scan.dwell),
                    format_duration(plan.scenario.duration)
                );
                self.warning(span, message);
            } else if interval > timeout {
                let message = format!(
                    "`nodes.{name}.handover.signal_timeout`: a router has no signal after {} of \
                     silence, and {every}; let the router advertise more often, or wait longer",
                    format_duration(timeout)
                );
                self.warning(span, message);
            }
        }
    }

    /// A threshold under which the signal never falls while there is one.
    fn warn_of_threshold(&mut self, plan: &Plan, name: &str, handover: &HandoverPlan) {
        let node = &plan.nodes[name];
        let threshold = handover.trigger.threshold;
        let path = format!("`nodes.{name}.handover.trigger.threshold`");
        let sensitivity = match (&plan.radio.phy, &node.radio) {
            (Some(phy), Some(radio)) => part(phy, radio).sensitivity,
            _ => plan.radio.sensitivity,
        };
        if threshold <= sensitivity {
            let message = format!(
                "{path}: {threshold} is not over the sensitivity, {sensitivity}: a router is lost \
                 before the node looks for another; write a higher threshold"
            );
            return self.warning(self.span_of(name), message);
        }
        let others = handover.candidates.len() > 1;
        let weakest = weakest_at_home(plan, name, node).filter(|_| others);
        if let Some(weakest) = weakest.filter(|weakest| *weakest >= threshold) {
            let home = node.host.as_ref().map_or("", |host| &host.attached_to);
            let message = format!(
                "{path}: the signal of `{home}` does not fall under {threshold}, as its weakest is \
                 {weakest}: the node never leaves; write a higher threshold, or take it farther away"
            );
            self.warning(self.span_of(name), message);
        }
    }

    /// Routers so far apart that there is nobody between them.
    fn warn_of_gaps(&mut self, plan: &Plan, name: &str, handover: &HandoverPlan) {
        let Some(phy) = &plan.radio.phy else { return };
        let candidates = handover.candidates.iter();
        let places: Vec<Position> = candidates
            .filter_map(|candidate| place_of(plan, &candidate.router))
            .collect();
        let (Some(gap), Some(radio)) = (widest_gap(&places), &plan.nodes[name].radio) else {
            return;
        };
        let reach = reach_m(phy, phy.profile.tx_power - part(phy, radio).sensitivity);
        if gap > 2.0 * reach {
            let message = format!(
                "`nodes.{name}`: edge routers stand {gap:.0} m apart, and a radio reaches {reach:.0} m: \
                 between them there is no signal; put them closer than {:.0} m, or give `radio` more \
                 `tx_power` or less `path_loss`",
                2.0 * reach
            );
            self.warning(self.span_of(name), message);
        }
    }

    /// A radio without a place where the others have one.
    fn warn_of_places(&mut self, plan: &Plan, name: &str, node: &NodePlan) {
        let placed = plan.nodes.values().any(|node| place(node).is_some());
        if plan.radio.phy.is_none() || node.radio.is_none() || place(node).is_some() || !placed {
            return;
        }
        let topology = self.topology;
        let given = topology.links.iter().flatten().map(|link| &link.link);
        let steps = topology.scenario.steps.iter().flatten();
        let mut pairs = given.chain(steps.filter_map(|step| step.link.as_ref()));
        if !pairs.any(|pair| *pair.a.value == *name || *pair.b.value == *name) {
            let message = format!(
                "`nodes.{name}`: it has no `position`, and others have one: they do not hear each \
                 other; add `position: [10 m, 0 m]`, or its `links`"
            );
            self.warning(self.span_of(name), message);
        }
    }

    /// Two hosts at one router, one of which asks the other and does not reach it.
    fn warn_of_neighbours(&mut self, plan: &Plan, name: &str, node: &NodePlan) {
        let Some(host) = &node.host else { return };
        let at_home: BTreeSet<&str> = node.polls().map(|poll| poll.node.as_str()).collect();
        for other in at_home {
            let peer = plan.nodes.get(other).and_then(|peer| peer.host.as_ref());
            let both = |peer: &&crate::kind::radio::HostPlan| {
                peer.attached_to == host.attached_to
                    && [peer.address, host.address] == [AddressMode::Slaac; 2]
            };
            if peer.filter(both).is_some() && !hear_each_other(plan, name, other) {
                let message = format!(
                    "`nodes.{name}`: it asks `{other}` at the same router, `{}`, with whose prefix the \
                     kernel sends directly, and the two do not hear each other; give both a `position` \
                     in reach, or a link, `{{ link: [{name}, {other}], attenuation: 60 dB }}`",
                    host.attached_to
                );
                self.warning(self.span_of(name), message);
            }
        }
    }

    /// Nodes that ask nothing and are asked nothing.
    fn warn_of_idlers(&mut self, plan: &Plan) {
        let polls = plan.nodes.values().flat_map(NodePlan::polls);
        let by_http = plan.nodes.values().flat_map(NodePlan::http_clients);
        let by_http = by_http.flat_map(|client| client.polls.iter().map(|poll| &poll.node));
        let asked = polls.map(|poll| &poll.node).chain(by_http);
        let asked: BTreeSet<&str> = asked.map(String::as_str).collect();
        // A program may ask anybody.
        let programs = plan
            .nodes
            .values()
            .any(|node| node.programs().next().is_some());
        for (name, node) in &plan.nodes {
            let idle = node.backbone.is_some() && !node.is_router() && node.services.is_empty();
            if idle {
                let message = format!(
                    "`nodes.{name}`: it asks nothing and serves nothing; add `polls`, such as \
                     `polls: [{{ node: sensor }}]`"
                );
                self.warning(self.span_of(name), message);
            }
            let unasked = node.host.is_some() && !node.asks() && !asked.contains(name.as_str());
            if unasked && !programs {
                let message = format!(
                    "`nodes.{name}`: nobody asks it, so that nothing of it is measured; add \
                     `{{ node: {name} }}` to the `polls` of a client"
                );
                self.warning(self.span_of(name), message);
            }
        }
    }
}

/// The part of a radio.
fn part<'p>(phy: &'p PhyPlan, radio: &'p crate::plan::RadioInterface) -> &'p medium::Profile {
    radio.profile.as_ref().unwrap_or(&phy.profile)
}

/// Where a node is at the start.
fn place(node: &NodePlan) -> Option<Position> {
    let first = node.radio.as_ref()?.track.first();
    first.map(|waypoint| waypoint.position)
}

fn place_of(plan: &Plan, name: &str) -> Option<Position> {
    place(plan.nodes.get(name)?)
}

/// Over how many metres no more than `loss` is lost, shadowing aside.
fn reach_m(phy: &PhyPlan, loss: Db) -> f64 {
    let (mut near, mut far) = (0.0, FARTHEST_M);
    // To the centimetre: a metre would do.
    while far - near > 0.01 {
        let middle = (near + far) / 2.0;
        match phy.path_loss.mean_loss(middle) <= loss {
            true => near = middle,
            false => far = middle,
        }
    }
    near
}

/// The weakest signal that a node has of its first router while the scenario lasts, shadowing aside;
/// none if nothing happens to it, or it is not known.
fn weakest_at_home(plan: &Plan, name: &str, node: &NodePlan) -> Option<Dbm> {
    let home = node.host.as_ref()?.attached_to.as_str();
    let ends = unordered((name, home));
    let mut losses = Vec::new();
    for step in &plan.scenario.steps {
        match &step.action {
            Action::Attenuate(link) if unordered((&link.a, &link.b)) == ends => {
                losses.push(link.attenuation);
            }
            Action::Link { a, b, .. } if unordered((a, b)) == ends => return None,
            _ => {}
        }
    }
    let placed = plan.radio.phy.as_ref().zip(place_of(plan, home));
    if let (Some((phy, there)), true) = (placed, losses.is_empty()) {
        let way: &[Waypoint] = &node.radio.as_ref()?.track;
        let distances = way
            .iter()
            .map(|waypoint| waypoint.position.distance_m(there));
        let farthest = distances.max_by(f64::total_cmp).filter(|_| way.len() > 1)?;
        losses.push(phy.path_loss.mean_loss(farthest));
    }
    let most = losses.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(plan.radio.tx_power - rounded(most.0))
}

/// Whether two hosts hear each other when the scenario starts, or might later.
fn hear_each_other(plan: &Plan, a: &str, b: &str) -> bool {
    let ends = unordered((a, b));
    let fixed = plan
        .links
        .iter()
        .any(|link| unordered((&link.a, &link.b)) == ends);
    let later = plan.scenario.steps.iter().any(|step| match &step.action {
        Action::Attenuate(link) => unordered((&link.a, &link.b)) == ends,
        _ => false,
    });
    let Some(phy) = &plan.radio.phy else {
        return fixed || later;
    };
    let traced = phy
        .traces
        .iter()
        .any(|trace| unordered((&trace.a, &trace.b)) == ends);
    let in_reach = match (place_of(plan, a), place_of(plan, b)) {
        (Some(here), Some(there)) => {
            let reach = reach_m(phy, plan.radio.tx_power - phy.profile.sensitivity);
            here.distance_m(there) <= reach
        }
        _ => false,
    };
    fixed || later || traced || in_reach
}
