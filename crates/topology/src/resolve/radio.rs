//! The radio model, and who hears whom when the scenario starts.

use std::collections::BTreeMap;

use units::{Db, Dbm};

use super::{Resolver, or};
use crate::file::{Node, Pair, Position};
use crate::plan::{LinkPlan, Medium, RadioPlan};

/// Attenuation between a mobile node and the edge router that it starts at.
const AT_HOME: Db = Db(40.0);

/// Two nodes without an order.
pub(super) type Ends<'t> = (&'t str, &'t str);

/// The radio model with the parameters that only resolution needs.
pub(super) struct RadioModel {
    pub plan: RadioPlan,
    reference_loss: Db,
    path_loss_exponent: f64,
}

impl RadioModel {
    /// Log-distance path loss: `PL(d) = PL(1 m) + 10 n log10(d / 1 m)`, with PL(1 m) for
    /// anything nearer than 1 m. Rounded to 0.01 dB.
    pub(super) fn attenuation(&self, from: (f64, f64), to: (f64, f64)) -> Db {
        let metres = (from.0 - to.0).hypot(from.1 - to.1).max(1.0);
        rounded(self.reference_loss.0 + 10.0 * self.path_loss_exponent * metres.log10())
    }
}

/// To 0.01 dB: a plan is read by people, and no radio is better than that.
pub(super) fn rounded(db: f64) -> Db {
    Db((db * 100.0).round() / 100.0)
}

/// Coordinates in metres.
pub(super) fn coordinates(position: &Position) -> (f64, f64) {
    (position.x.value.0, position.y.value.0)
}

/// The position of a node, if it has one.
pub(super) fn position_of(node: &Node) -> Option<(f64, f64)> {
    match node {
        Node::EdgeRouter(file) => file.position.as_ref().map(coordinates),
        Node::MobileNode(file) => file.position.as_ref().map(coordinates),
        _ => None,
    }
}

impl<'t> Resolver<'t> {
    pub(super) fn radio_model(&mut self) -> RadioModel {
        let file = self.topology.radio.as_ref();
        RadioModel {
            plan: RadioPlan {
                medium: or(file.and_then(|f| f.medium), Medium::Edges),
                tx_power: or(file.and_then(|f| f.tx_power), Dbm(0.0)),
                sensitivity: or(file.and_then(|f| f.sensitivity), Dbm(-85.0)),
                phy: None,
            },
            reference_loss: self.checked(
                "radio.reference_loss",
                file.and_then(|f| f.reference_loss),
                Db(40.2),
                |value| value.to_string(),
                |value| value.0 >= 0.0,
                "0 dB or more",
            ),
            path_loss_exponent: self.checked(
                "radio.path_loss_exponent",
                file.and_then(|f| f.path_loss_exponent),
                3.0,
                |value| value.to_string(),
                |value| (1.0..=10.0).contains(&value),
                "an exponent from 1 to 10; free space has 2",
            ),
        }
    }

    /// The two nodes of a link: both known, both with a radio, and not the same.
    pub(super) fn ends(&mut self, path: &str, pair: &Pair) -> Option<Ends<'t>> {
        let wanted = "a node with a radio: an edge-router or a mobile-node";
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

    /// The links at the start: from positions, 40 dB at home, and as `links` says.
    pub(super) fn links(&mut self, model: &RadioModel) -> BTreeMap<Ends<'t>, LinkPlan> {
        let mut links = BTreeMap::new();
        for (name, mobile) in self.mobile_nodes() {
            let own = mobile.position.as_ref().map(coordinates);
            // An unknown router has been reported; its links should not be reported as missing.
            let home = self.nodes.get(mobile.attached_to.as_str());
            let known_home = matches!(home, Some((_, Node::EdgeRouter(_))));
            for (router, (_, node)) in &self.nodes {
                if !matches!(node, Node::EdgeRouter(_)) {
                    continue;
                }
                let attenuation = match (own, position_of(node)) {
                    (Some(own), Some(router)) => model.attenuation(own, router),
                    _ if !known_home || mobile.attached_to.value == *router => AT_HOME,
                    _ => continue,
                };
                links.insert(unordered((name, router)), link((name, router), attenuation));
            }
        }
        let mut given = BTreeMap::new();
        for (i, file) in self.topology.links.iter().flatten().enumerate() {
            let path = format!("links[{i}]");
            let Some(ends) = self.ends(&format!("{path}.link"), &file.link) else {
                continue;
            };
            self.check_attenuation(&format!("{path}.attenuation"), file.attenuation);
            let plan = link(ends, file.attenuation.value);
            if given.insert(unordered(ends), plan).is_some() {
                let (a, b) = ends;
                let message = format!(
                    "`{path}.link`: the link of `{a}` and `{b}` is given twice; remove one"
                );
                self.problem(file.link.a.span, message);
            }
        }
        links.extend(given);
        links
    }

    /// Refuses a gain.
    pub(super) fn check_attenuation(&mut self, path: &str, given: crate::decode::At<Db>) {
        if given.value.0 < 0.0 {
            let message = format!("`{path}`: `{}` is not 0 dB or more", given.value);
            self.problem(given.span, message);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_loss_follows_the_log_distance_model_and_not_under_one_metre() {
        let model = RadioModel {
            plan: RadioPlan {
                medium: Medium::Edges,
                tx_power: Dbm(0.0),
                sensitivity: Dbm(-85.0),
                phy: None,
            },
            reference_loss: Db(40.2),
            path_loss_exponent: 3.0,
        };
        assert_eq!(model.attenuation((0.0, 0.0), (0.0, 0.0)), Db(40.2));
        assert_eq!(model.attenuation((0.0, 0.0), (6.0, 8.0)), Db(70.2));
        assert_eq!(model.attenuation((0.0, 0.0), (100.0, 0.0)), Db(100.2));
    }
}
