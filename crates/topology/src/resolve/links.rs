//! Who hears whom when the scenario starts.

use std::collections::{BTreeMap, BTreeSet};

use propagation::Position;
use units::Db;

use super::Resolver;
use super::files::Imports;
use super::radio::RadioModel;
use crate::decode::At;
use crate::file::{Link, Pair, Place};
use crate::kind::Node;
use crate::plan::{LinkPlan, LossPlan, TracePlan};

/// Attenuation between a mobile node and the edge router that it starts at.
const AT_HOME: Db = Db(40.0);

/// Two nodes without an order.
pub(super) type Ends<'t> = (&'t str, &'t str);

/// Where the nodes are that have a position.
pub(super) type Places<'t> = BTreeMap<&'t str, Position>;

/// The links when the scenario starts.
#[derive(Default)]
pub(super) struct Links<'t> {
    /// Fixed attenuations.
    pub fixed: BTreeMap<Ends<'t>, LinkPlan>,
    /// Losses from files.
    pub traces: BTreeMap<Ends<'t>, TracePlan>,
    /// Losses by chance.
    pub losses: BTreeMap<Ends<'t>, LossPlan>,
}

impl<'t> Resolver<'t> {
    /// Where every node is when the scenario starts: at its `position`, or where its first
    /// import begins.
    pub(super) fn places(&self, imports: &Imports) -> Places<'t> {
        let own = self
            .nodes
            .iter()
            .filter_map(|(name, (_, node))| Some((*name, position_of(node)?)));
        let mut places: Places<'t> = own.collect();
        let steps = self.topology.scenario.steps.iter().flatten().enumerate();
        let mut moves: Vec<_> = steps
            .filter_map(|(i, step)| Some((step.at.value, i, step.r#move.as_ref()?)))
            .collect();
        moves.sort_by_key(|(at, i, _)| (*at, *i));
        let mut seen = std::collections::BTreeSet::new();
        for (_, i, name) in moves {
            let first = seen.insert(name.as_str());
            let begins = imports.get(&i).and_then(|waypoints| waypoints.first());
            if let (true, Some(name), Some(begins)) = (first, self.known(name), begins) {
                places.entry(name).or_insert(begins.position);
            }
        }
        places
    }

    /// Where the file says that a node is when the scenario starts.
    pub(crate) fn position_of(&self, name: &str) -> Option<Position> {
        position_of(self.nodes.get(name)?.1)
    }

    /// The two nodes of a link: both known, both with a radio, and not the same.
    pub(super) fn ends(&mut self, path: &str, pair: &Pair) -> Option<Ends<'t>> {
        let wanted = "a node with a radio: an edge-router, a mobile-node or a sensor";
        let a = self.named(path, &pair.a, wanted, Node::has_radio);
        let b = self.named(path, &pair.b, wanted, Node::has_radio);
        let ((a, _), (b, _)) = (a?, b?);
        if a == b {
            let message = format!("`{path}`: `{a}` is linked with itself; name two nodes");
            self.problem(pair.b.span, message);
            return None;
        }
        Some((a, b))
    }

    /// The links at the start: from positions, 40 dB at home, and as `links` says. Under `phy`
    /// those between positions are left to the path loss.
    pub(super) fn links(&mut self, model: &RadioModel, places: &Places<'t>) -> Links<'t> {
        let mut given = self.given_links(model);
        let mut fixed = BTreeMap::new();
        for (name, _, host) in self.hosts() {
            // An unknown router has been reported; its links should not be reported as missing.
            let home = self.nodes.get(host.attached_to.as_str());
            let known_home = home.is_some_and(|(_, node)| node.is_router());
            for (router, (_, node)) in &self.nodes {
                let ends = (name, *router);
                if !node.is_router() || given.traces.contains_key(&unordered(ends)) {
                    continue;
                }
                let attenuation = match (places.get(name), places.get(router)) {
                    (Some(_), Some(_)) if model.is_phy() => continue,
                    (Some(own), Some(router)) => model.attenuation(*own, *router),
                    _ if !known_home || host.attached_to.value == *router => AT_HOME,
                    _ => continue,
                };
                fixed.insert(unordered(ends), link(ends, attenuation));
            }
        }
        fixed.extend(std::mem::take(&mut given.fixed));
        Links { fixed, ..given }
    }

    /// The links that the file gives.
    fn given_links(&mut self, model: &RadioModel) -> Links<'t> {
        let topology = self.topology;
        let mut links = Links::default();
        let mut seen = BTreeSet::new();
        for (i, file) in topology.links.iter().flatten().enumerate() {
            let path = format!("links[{i}]");
            let Some(ends) = self.ends(&format!("{path}.link"), &file.link) else {
                continue;
            };
            let key = unordered(ends);
            if !seen.insert(key) {
                let (a, b) = ends;
                let message = format!(
                    "`{path}.link`: the link of `{a}` and `{b}` is given twice; remove one"
                );
                self.problem(file.link.a.span, message);
            }
            if let Some(loss) = file.loss {
                self.phy_only(&format!("{path}.loss"), Some(loss.span), model.plan.medium);
                let (a, b, loss) = (ends.0.to_owned(), ends.1.to_owned(), loss.value);
                links.losses.insert(key, LossPlan { a, b, loss });
            }
            match (file.attenuation, &file.trace) {
                // Attenuation is as without this entry.
                (None, None) if file.loss.is_some() => {}
                (Some(attenuation), None) => {
                    self.check_attenuation(&format!("{path}.attenuation"), attenuation);
                    links.fixed.insert(key, link(ends, attenuation.value));
                }
                (None, Some(trace)) => {
                    let path = format!("{path}.trace");
                    // One that cannot be read, or not be used, is given all the same.
                    let points = if model.is_phy() {
                        let trace = self.trace(&path, trace);
                        trace.map_or_else(Vec::new, |trace| trace.points().to_vec())
                    } else {
                        self.phy_only(&path, Some(trace.span), model.plan.medium);
                        Vec::new()
                    };
                    let (a, b) = (ends.0.to_owned(), ends.1.to_owned());
                    links.traces.insert(key, TracePlan { a, b, points });
                }
                (attenuation, _) => self.neither_or_both(&path, file, attenuation),
            }
        }
        links
    }

    fn neither_or_both(&mut self, path: &str, file: &Link, attenuation: Option<At<Db>>) {
        match attenuation {
            Some(attenuation) => self.problem(
                attenuation.span,
                format!("`{path}`: `attenuation` and `trace` for one link; choose one"),
            ),
            None => self.problem(
                file.link.a.span,
                format!(
                    "`{path}`: what is lost on the way? add `attenuation: 50 dB`, \
                     `trace: loss.csv` or `loss: 10 %`"
                ),
            ),
        }
    }

    /// Refuses a gain.
    fn check_attenuation(&mut self, path: &str, given: At<Db>) {
        if given.value.0 < 0.0 {
            let message = format!("`{path}`: `{}` is not 0 dB or more", given.value);
            self.problem(given.span, message);
        }
    }
}

/// The position of a node, if it has one.
fn position_of(node: &Node) -> Option<Position> {
    match &node.antenna()?.position {
        Some(Place::At(position)) => Some(Position::from(position)),
        // Members of groups have places; a problem has been reported for one that has none.
        Some(Place::Spread(_)) | None => None,
    }
}

/// A link of the plan.
pub(super) fn link((a, b): Ends<'_>, attenuation: Db) -> LinkPlan {
    LinkPlan {
        a: a.to_owned(),
        b: b.to_owned(),
        attenuation,
    }
}

/// The ends in alphabetical order: a link has no direction.
pub(super) fn unordered((a, b): Ends<'_>) -> Ends<'_> {
    if a <= b { (a, b) } else { (b, a) }
}
