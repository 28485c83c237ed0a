//! Topology to plan: every default written out, every contradiction reported.
//!
//! | module | decides |
//! | --- | --- |
//! | `groups` | the members of nodes with a `count`, and places in grids and areas |
//! | `files` | traces and movements in other files |
//! | `identity` | prefixes, addresses, channels, PANs, MACs, EUI-64s, routes |
//! | `timers` | values and their legal ranges, CoAP, lifetimes, phases |
//! | `radio` | the radio model: medium, parts, path loss, MAC |
//! | `links` | positions and links at the start |
//! | `scenario` | steps: repetitions and ramps expanded |
//! | `world` | what is true while steps are expanded |
//! | `movement` | moves: steps under `edges`, tracks under `phy` |
//! | `expect` | expectations |
//! | `warnings` | what can be run and will hardly do what was meant |
//!
//! What a node of some kind does is decided in its own file under [`crate::kind`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::Duration;

use units::Seed;
use units::quantity::format_duration;

use crate::decode::At;
use crate::diagnostic::{Diagnostic, Span, alternatives, nearest_ones};
use crate::faults::Faults;
use crate::file::Topology;
use crate::kind::http_client;
use crate::kind::radio::Radio;
use crate::kind::{Node, ServiceTable};
use crate::plan::{
    BackboneKind, BackbonePlan, CoapPlan, NodePlan, PLAN_VERSION, Plan, RadioInterface,
};

mod expect;
mod files;
mod groups;
pub(crate) mod identity;
mod links;
mod movement;
mod radio;
mod scenario;
pub(crate) mod timers;
mod warnings;
mod world;

pub use files::Loader;
use groups::{Groups, expand, once};
use identity::Network;
use radio::RadioModel;
use world::Setting;

/// The seed of a topology that names none.
const DEFAULT_SEED: Seed = Seed(1);
/// Longest name of a node: it is part of a network interface's name, which has 15 characters
/// (Linux `IFNAMSIZ` less its final zero).
const MAX_NODE_NAME: usize = 15;
/// Names that mean something else in the run directory.
const RESERVED: [&str; 3] = ["scenario", "backbone", "all"];

/// A topology resolved.
pub(crate) struct Resolved {
    pub plan: Plan,
    /// Steps as the file has them, each time that they happen.
    pub steps: usize,
    pub warnings: Vec<Diagnostic>,
}

/// Resolves `topology`; `seed` overrides the file's, `files` reads the files that it names, and
/// `faults` says where it is not what the file says.
///
/// # Errors
/// Every contradiction found, in no particular order. A file that cannot be read, or holds
/// something else, is one at the key that names it.
pub(crate) fn resolve(
    topology: &Topology,
    seed: Option<Seed>,
    files: &mut Loader<'_>,
    faults: &Faults,
) -> Result<Resolved, Vec<Diagnostic>> {
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
        faults,
        problems: expanded.problems,
        warnings: Vec::new(),
        going: going(&expanded.topology),
        steps: 0,
    };
    let plan = r.plan();
    if r.problems.is_empty() {
        r.warn_of(&plan);
    }
    let (problems, steps) = (r.problems, r.steps);
    if problems.is_empty() {
        let warnings = once(r.warnings, &expanded.groups);
        return Ok(Resolved {
            plan,
            steps,
            warnings,
        });
    }
    let mut problems = once(problems, &expanded.groups);
    problems.retain(|problem| !faults.explain(&problem.message));
    Err(problems)
}

/// The nodes that the file says to move, or whose links change.
fn going(topology: &Topology) -> BTreeSet<&str> {
    let steps = topology.scenario.steps.iter().flatten();
    let traced = topology.links.iter().flatten();
    let traced = traced.filter(|link| link.trace.is_some());
    let changed = steps.clone().filter_map(|step| step.link.as_ref());
    let pairs = changed.chain(traced.map(|link| &link.link));
    let moved = steps.filter_map(|step| step.r#move.as_deref());
    let ends = pairs.flat_map(|pair| [&*pair.a, &*pair.b]);
    moved.chain(ends).map(String::as_str).collect()
}

/// The state of a resolution.
pub(crate) struct Resolver<'t> {
    pub(crate) topology: &'t Topology,
    pub(crate) groups: &'t Groups,
    pub(crate) seed: Seed,
    /// Every node by name, with the place of its name.
    pub(crate) nodes: BTreeMap<&'t str, (Span, &'t Node)>,
    files: &'t mut Loader<'t>,
    /// Where the topology is not what the file says.
    pub(crate) faults: &'t Faults,
    problems: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// The nodes that the file says to move, or whose links change.
    going: BTreeSet<&'t str>,
    /// Steps that happen, as the file has them.
    steps: usize,
}

/// What a kind knows of the node that it is resolved for.
pub(crate) struct Context<'a, 't> {
    pub(crate) name: &'t str,
    /// `nodes.NAME`
    pub(crate) path: String,
    pub(crate) node: &'t Node,
    pub(crate) network: &'a Network<'t>,
    pub(crate) model: &'a RadioModel,
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
            .map(|(name, (_, node))| {
                let path = format!("nodes.{name}");
                let (network, model) = (&network, &model);
                let context = Context {
                    name,
                    path,
                    node,
                    network,
                    model,
                };
                (name.to_owned(), self.node(&context))
            })
            .collect();
        self.check_nats(&nodes);
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
            phy.losses = links.losses.into_values().collect();
        }
        let is_phy = radio.phy.is_some();
        for (name, track) in tracks {
            let node = nodes.get_mut(name);
            let node = node.filter(|node| is_phy || node.tells_position());
            if let Some(interface) = node.and_then(|node| node.radio.as_mut()) {
                interface.track = track;
            }
        }
        for (name, node) in nodes.iter().filter(|(_, node)| node.tells_position()) {
            let radio = node.radio.as_ref();
            self.check_position(name, radio.is_some_and(|radio| !radio.track.is_empty()));
        }
        for (name, node) in &nodes {
            for what in http_client::alike(node) {
                let message = format!(
                    "`nodes.{name}`: two polls by HTTP ask for {what}, and no capture tells them apart; leave one out"
                );
                self.problem(self.span_of(name), message);
            }
        }
        let expect = self.expectations(&nodes);
        Plan {
            version: PLAN_VERSION,
            name: topology.name.value.clone(),
            summary: or_default(&topology.summary),
            seed: self.seed,
            radio,
            backbone,
            nodes,
            links: links.fixed.into_values().collect(),
            scenario,
            expect,
            expect_sweep: self.sweep_expectations(),
        }
    }

    /// Resolves one node.
    fn node(&mut self, context: &Context<'_, 't>) -> NodePlan {
        let Context { name, node, .. } = *context;
        let profile = self.own_profile(name, node, context.model);
        let network = context.network;
        let radio = network.radios.get(name);
        let plan = NodePlan {
            address: network.permanent(name),
            backbone: network.wired.get(name).cloned(),
            radio: radio.map(|radio| RadioInterface {
                profile,
                ..radio.clone()
            }),
            router: node.router().map(|router| router.plan(self, context)),
            host: node.host().map(|radio| radio.plan(self, context)),
            mobility: node.mobility.plan(self, context),
            services: (node.services.iter())
                .map(|service| service.plan(self, context))
                .collect(),
            coap: None,
        };
        self.check_services(context, &plan);
        NodePlan {
            coap: self.coap_of(context, &plan),
            ..plan
        }
    }

    /// CoAP parameters of a node that speaks CoAP.
    fn coap_of(&mut self, context: &Context<'_, 't>, plan: &NodePlan) -> Option<CoapPlan> {
        let own = context.node.coap.as_ref();
        let path = format!("{}.coap", context.path);
        let coap = self.coap(&path, own.map(|own| &own.table));
        let speaks = plan.speaks_coap() || plan.serves_coap_alone();
        if let Some(own) = own.filter(|_| !speaks) {
            let message = format!(
                "`{path}`: nothing on this node speaks CoAP; give it a service that does, or \
                 remove it"
            );
            self.problem(own.span, message);
        }
        speaks.then_some(coap)
    }

    /// A node does something, and what it does fits onto it.
    fn check_services(&mut self, context: &Context<'_, 't>, plan: &NodePlan) {
        let at = self.span_of(context.name);
        let programs = plan.programs().next().is_some();
        if !plan.has_daemon() && !programs {
            let message = format!(
                "`{}`: nothing runs there; give it `services`, or a `mobility`",
                context.path
            );
            self.problem(at, message);
        }
        if let Some(port) = plan.port_taken_twice() {
            let message = format!(
                "`{}`: two of its services need UDP port {port}; put them on two nodes",
                context.path
            );
            self.problem(at, message);
        }
        let mut paths = BTreeSet::new();
        for path in plan.paths() {
            if !paths.insert(path) {
                let message = format!(
                    "`{}`: two services serve `{path}`; give each resource its own path",
                    context.path
                );
                self.problem(at, message);
            }
        }
    }

    /// Reports a problem.
    pub(crate) fn problem(&mut self, span: Span, message: impl Into<String>) {
        self.problems.push(Diagnostic {
            span,
            message: message.into(),
        });
    }

    /// Says what can be run and will hardly do what was meant.
    pub(crate) fn warning(&mut self, span: Span, message: impl Into<String>) {
        self.warnings.push(Diagnostic {
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
        if !is_topology_name(&topology.name) {
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
        let delay = file
            .and_then(|b| b.delay)
            .map_or(Duration::ZERO, |delay| delay.value);
        let jitter = file.and_then(|b| b.jitter);
        if let Some(jitter) = jitter.filter(|jitter| jitter.value > delay) {
            self.problem(
                jitter.span,
                format!(
                    "`backbone.jitter`: {} is more than `backbone.delay`, {}, and no packet \
                     arrives before it was sent; write at most the delay",
                    format_duration(jitter.value),
                    format_duration(delay)
                ),
            );
        }
        BackbonePlan {
            kind: file
                .and_then(|b| b.kind)
                .map_or(BackboneKind::Bridge, |kind| kind.value),
            delay,
            jitter: jitter.map(|jitter| jitter.value),
            loss: file.and_then(|b| b.loss).map(|loss| loss.value),
            rate: file.and_then(|b| b.rate).map(|rate| rate.value),
        }
    }

    /// The node that `name` names, if it exists and `fits`; otherwise says what would be right.
    pub(crate) fn named(
        &mut self,
        path: &str,
        name: &At<String>,
        wanted: &str,
        fits: impl Fn(&Node) -> bool,
    ) -> Option<(&'t str, &'t Node)> {
        match self.nodes.get_key_value(name.as_str()) {
            Some((&key, &(_, node))) if fits(node) => Some((key, node)),
            Some((_, (_, node))) => {
                let role = node.kind;
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
            None if self.faults.is_unread(name) => None,
            None => {
                let fitting: Vec<&str> = self
                    .nodes
                    .iter()
                    .filter(|(_, (_, node))| fits(node))
                    .map(|(name, _)| *name)
                    .collect();
                // One that could not be read may be meant, too.
                let known = fitting.into_iter().chain(self.faults.unread());
                let right = match nearest_ones(name, known).as_slice() {
                    [] => format!("name {wanted}"),
                    near => format!("did you mean {}?", alternatives(near.iter().copied())),
                };
                self.problem(
                    name.span,
                    format!("`{path}`: unknown node `{}`; {right}", name.value),
                );
                None
            }
        }
    }

    /// Whether it is not known what `name` serves, because that could not be read.
    pub(crate) fn serves_unread(&self, name: &str) -> bool {
        let is_member = |members: &Vec<String>| members.iter().any(|member| member == name);
        let group = self.groups.iter().find(|(_, members)| is_member(members));
        let name = group.map_or(name, |(group, _)| group);
        let serving = ["resources", "services"].map(|key| format!("nodes.{name}.{key}"));
        serving.iter().any(|path| self.faults.below(path))
    }

    /// The node's name with the lifetime of the topology. Unknown names have been reported.
    fn known(&self, name: &str) -> Option<&'t str> {
        self.nodes.get_key_value(name).map(|(key, _)| *key)
    }

    /// Whether the file says of `name` that it moves, or that its links change.
    pub(crate) fn goes(&self, name: &str) -> bool {
        self.going.contains(name)
    }

    /// The nodes that move, or whose links change.
    pub(crate) fn going(&self) -> impl Iterator<Item = &'t Node> {
        let nodes = self.going.iter().filter_map(|name| self.nodes.get(name));
        nodes.map(|(_, node)| *node)
    }

    /// Every host with a radio, by name.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&'t str, &'t Node, &'t Radio)> + use<'t> {
        let nodes = self.nodes.clone().into_iter();
        nodes.filter_map(|(name, (_, node))| Some((name, node, node.host()?)))
    }

    /// Whether the node `name` asks `other`, as far as the file says so.
    pub(crate) fn asks(&self, name: &str, other: &str) -> bool {
        let Some((_, node)) = self.nodes.get(name) else {
            return false;
        };
        let is_other = |asked: &str| {
            let members = self.groups.get(asked);
            asked == other || members.is_some_and(|m| m.iter().any(|member| member == other))
        };
        node.asked().any(is_other)
    }

    /// Every node with a service as `which` says, by name.
    pub(crate) fn running(
        &self,
        which: fn(&ServiceTable) -> bool,
    ) -> impl Iterator<Item = &'t str> + use<'t> {
        let nodes = self.nodes.clone().into_iter();
        nodes
            .filter(move |(_, (_, node))| node.runs(which))
            .map(|(name, _)| name)
    }

    /// The place of a node's name.
    pub(crate) fn span_of(&self, name: &str) -> Span {
        self.nodes
            .get(name)
            .map_or(self.topology.name.span, |(span, _)| *span)
    }
}

/// Whether `name` can be a topology's: lower-case letters, digits and hyphens, a letter first, at
/// most 63.
pub fn is_topology_name(name: &str) -> bool {
    is_name(name) && name.len() <= 63
}

/// `[a-z][a-z0-9-]*`
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// The value given, or the type's own default.
pub(crate) fn or_default<T: Clone + Default>(given: &Option<At<T>>) -> T {
    given
        .as_ref()
        .map(|given| given.value.clone())
        .unwrap_or_default()
}

/// The value given, or `default`.
pub(crate) fn or<T: Copy>(given: Option<At<T>>, default: T) -> T {
    given.map_or(default, |given| given.value)
}

/// Stands for an address that could not be determined; a problem has been reported.
pub(crate) const NO_ADDRESS: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
