//! Topology to plan: every default written out, every contradiction reported.
//!
//! | module | decides |
//! | --- | --- |
//! | `groups` | the members of nodes with a `count`, and places in grids and areas |
//! | `files` | traces and movements in other files |
//! | `identity` | prefixes, addresses, channels, PANs, MACs, EUI-64s, routes |
//! | `roles` | what each node does, and whom it needs for that |
//! | `polls` | what nodes serve, and what they poll |
//! | `dhcpv6` | DHCPv6 servers, their pools, and who relays to them |
//! | `handover` | when and how a mobile node hands over |
//! | `program` | what a program of the user's is called with |
//! | `timers` | router advertisements, CoAP, lifetimes and their legal ranges |
//! | `radio` | the radio model: medium, parts, path loss, MAC |
//! | `links` | positions and links at the start |
//! | `scenario` | steps: repetitions and ramps expanded |
//! | `movement` | moves: steps under `edges`, tracks under `phy` |
//! | `expect` | expectations |

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use units::Seed;

use crate::decode::At;
use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::file::{MobileNode, Node, Topology};
use crate::plan::{BackboneKind, BackbonePlan, NodePlan, Plan};

mod dhcpv6;
mod expect;
mod files;
mod groups;
mod handover;
mod identity;
mod links;
mod movement;
mod polls;
mod program;
mod radio;
mod roles;
mod scenario;
mod timers;

pub use files::Loader;
use groups::{Groups, expand, once};
use scenario::Setting;

/// The seed of a topology that names none.
const DEFAULT_SEED: Seed = Seed(1);
/// Longest name of a node: it is part of a network interface's name, which has 15 characters
/// (Linux `IFNAMSIZ` less its final zero).
const MAX_NODE_NAME: usize = 15;
/// Names that mean something else in the run directory.
const RESERVED: [&str; 3] = ["scenario", "backbone", "all"];

/// Resolves `topology`; `seed` overrides the file's, and `files` reads the files that it names.
///
/// # Errors
/// Every contradiction found, in no particular order. A file that cannot be read, or holds
/// something else, is one at the key that names it.
pub fn resolve(
    topology: &Topology,
    seed: Option<Seed>,
    files: &mut Loader<'_>,
) -> Result<Plan, Vec<Diagnostic>> {
    let file_seed = topology.seed.map(|seed| Seed(seed.value));
    let seed = seed.or(file_seed).unwrap_or(DEFAULT_SEED);
    let expanded = expand(topology, seed);
    let mut r = Resolver {
        topology: &expanded.topology,
        groups: &expanded.groups,
        seed,
        nodes: expanded
            .topology
            .nodes
            .0
            .iter()
            .map(|(name, node)| (name.as_str(), (name.span, node)))
            .collect(),
        files,
        problems: expanded.problems,
    };
    let plan = r.plan();
    if r.problems.is_empty() {
        Ok(plan)
    } else {
        Err(once(r.problems, &expanded.groups))
    }
}

/// The state of a resolution.
struct Resolver<'t> {
    topology: &'t Topology,
    groups: &'t Groups,
    seed: Seed,
    /// Every node by name, with the place of its name.
    nodes: BTreeMap<&'t str, (Span, &'t Node)>,
    files: &'t mut Loader<'t>,
    problems: Vec<Diagnostic>,
}

impl<'t> Resolver<'t> {
    fn plan(&mut self) -> Plan {
        let topology = self.topology;
        self.check_names();
        let backbone = self.backbone();
        let network = self.network(&backbone);
        let model = self.radio_model();
        let mut nodes: BTreeMap<String, NodePlan> = self
            .nodes
            .clone()
            .into_iter()
            .map(|(name, (_, node))| (name.to_owned(), self.node(name, node, &network, &model)))
            .collect();
        let imports = self.imports();
        let places = self.places(&imports);
        let links = self.links(&model, &places);
        let (scenario, tracks) = self.scenario(&Setting {
            model: &model,
            links: &links,
            places: &places,
            imports: &imports,
        });
        let mut radio = model.plan;
        if let Some(phy) = &mut radio.phy {
            phy.traces = links.traces.into_values().collect();
            for (name, track) in tracks {
                if let Some(interface) = nodes.get_mut(name).and_then(|node| node.radio.as_mut()) {
                    interface.track = track;
                }
            }
        }
        Plan {
            version: 1,
            name: topology.name.value.clone(),
            summary: or_default(&topology.summary),
            seed: self.seed,
            radio,
            backbone,
            nodes,
            links: links.fixed.into_values().collect(),
            scenario,
            expect: self.expectations(),
        }
    }

    fn problem(&mut self, span: Span, message: impl Into<String>) {
        self.problems.push(Diagnostic {
            span,
            message: message.into(),
        });
    }

    fn check_names(&mut self) {
        let topology = self.topology;
        if topology.version.value != 1 {
            self.problem(
                topology.version.span,
                format!(
                    "`version`: `{}` is not a version of this format; write `1`",
                    topology.version.value
                ),
            );
        }
        if !is_name(&topology.name) || topology.name.len() > 63 {
            self.problem(
                topology.name.span,
                format!(
                    "`name`: `{}` is not a name: lower-case letters, digits and hyphens, first a \
                     letter, at most 63",
                    topology.name.value
                ),
            );
        }
        for (name, _) in &topology.nodes.0 {
            if !is_name(name) || name.len() > MAX_NODE_NAME {
                self.problem(
                    name.span,
                    format!(
                        "`nodes`: `{}` is not a node's name: lower-case letters, digits and \
                         hyphens, first a letter, at most {MAX_NODE_NAME}",
                        name.value
                    ),
                );
            } else if RESERVED.contains(&name.as_str()) {
                self.problem(
                    name.span,
                    format!(
                        "`nodes`: the name `{}` is reserved for a file of the run directory; \
                         choose another",
                        name.value
                    ),
                );
            }
        }
    }

    fn backbone(&mut self) -> BackbonePlan {
        let file = self.topology.backbone.as_ref();
        BackbonePlan {
            kind: file
                .and_then(|b| b.kind)
                .map_or(BackboneKind::Bridge, |kind| kind.value),
            delay: file
                .and_then(|b| b.delay)
                .map_or(Duration::ZERO, |delay| delay.value),
            rate: file.and_then(|b| b.rate).map(|rate| rate.value),
        }
    }

    /// The node that `name` names, if it exists and `fits`; otherwise says what would be right.
    fn named(
        &mut self,
        path: &str,
        name: &At<String>,
        wanted: &str,
        fits: impl Fn(&Node) -> bool,
    ) -> Option<(&'t str, &'t Node)> {
        match self.nodes.get_key_value(name.as_str()) {
            Some((&key, &(_, node))) if fits(node) => Some((key, node)),
            Some((_, (_, node))) => {
                let role = node.role();
                self.problem(
                    name.span,
                    format!(
                        "`{path}`: `{}` is of role {role}, and this needs {wanted}",
                        name.value
                    ),
                );
                None
            }
            None if self.groups.contains_key(name.as_str()) => {
                let members = &self.groups[name.as_str()];
                let message = format!(
                    "`{path}`: `{}` is a group of {}; name one of them, such as `{}`",
                    name.value,
                    members.len(),
                    members[0]
                );
                self.problem(name.span, message);
                None
            }
            None => {
                let fitting: Vec<&str> = self
                    .nodes
                    .iter()
                    .filter(|(_, (_, node))| fits(node))
                    .map(|(name, _)| *name)
                    .collect();
                let right = match nearest(name, fitting.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("name {wanted}"),
                };
                self.problem(
                    name.span,
                    format!("`{path}`: unknown node `{}`; {right}", name.value),
                );
                None
            }
        }
    }

    /// Every mobile node, by name.
    fn mobile_nodes(&self) -> impl Iterator<Item = (&'t str, &'t MobileNode)> + use<'t> {
        self.nodes
            .clone()
            .into_iter()
            .filter_map(|(name, (_, node))| match node {
                Node::MobileNode(mobile) => Some((name, &**mobile)),
                _ => None,
            })
    }

    /// The place of a node's name.
    fn span_of(&self, name: &str) -> Span {
        self.nodes
            .get(name)
            .map_or(self.topology.name.span, |(span, _)| *span)
    }
}

/// `[a-z][a-z0-9-]*`
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// The value given, or the type's own default.
fn or_default<T: Clone + Default>(given: &Option<At<T>>) -> T {
    given
        .as_ref()
        .map(|given| given.value.clone())
        .unwrap_or_default()
}

/// The value given, or `default`.
fn or<T: Copy>(given: Option<At<T>>, default: T) -> T {
    given.map_or(default, |given| given.value)
}

/// Stands for an address that could not be determined; a problem has been reported.
const NO_ADDRESS: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
