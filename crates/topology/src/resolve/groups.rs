//! Nodes with a `count`, and places that are not written out.
//!
//! A group is replaced by its members before anything else is resolved, so that nothing after
//! this knows of groups but a poll, which may name one.

use std::collections::{BTreeMap, BTreeSet};

use units::Seed;
use units::seed::unit_interval;

use super::{MAX_NODE_NAME, is_name};
use crate::decode::{At, Block, Named};
use crate::diagnostic::{Diagnostic, Span};
use crate::file::{Corners, Grid, Place, Position, Spread, Topology};
use crate::kind::Node;
use crate::kind::radio::Radio;
use crate::scalar::Metres;

/// Most members of a group.
const MAX_COUNT: u32 = 1000;

/// The members of every group by its name, in the order of their numbers.
pub(super) type Groups = BTreeMap<String, Vec<String>>;

/// A topology without groups.
pub(super) struct Expanded {
    pub topology: Topology,
    pub groups: Groups,
    pub problems: Vec<Diagnostic>,
}

/// Replaces every group by its members, and every place that is to be found by one.
pub(super) fn expand(topology: &Topology, seed: Seed) -> Expanded {
    let names = topology.nodes.0.iter().map(|(name, _)| name.as_str());
    let mut expansion = Expansion {
        seed,
        names: names.collect(),
        groups: Groups::new(),
        problems: Vec::new(),
    };
    let mut nodes = Vec::new();
    for (name, node) in &topology.nodes.0 {
        expansion.node(name, node, &mut nodes);
    }
    let mut topology = topology.clone();
    topology.nodes = Named(nodes);
    Expanded {
        topology,
        groups: expansion.groups,
        problems: expansion.problems,
    }
}

struct Expansion<'t> {
    seed: Seed,
    names: BTreeSet<&'t str>,
    groups: Groups,
    problems: Vec<Diagnostic>,
}

impl Expansion<'_> {
    fn problem(&mut self, span: Span, message: String) {
        self.problems.push(Diagnostic { span, message });
    }

    /// One node, or the members of a group.
    fn node(&mut self, name: &At<String>, node: &Node, nodes: &mut Vec<(At<String>, Node)>) {
        let count = node.host().and_then(|radio| {
            let count = radio.count?;
            self.is_group(name, node, radio, count).then_some(count)
        });
        let members: Vec<String> = match count {
            Some(count) => (1..=count.value)
                .map(|i| format!("{name}{i}", name = name.value))
                .collect(),
            None => vec![name.value.clone()],
        };
        for (index, member) in members.iter().enumerate() {
            let mut node = node.clone();
            let antenna = node.antenna_mut();
            let spread = antenna.and_then(|antenna| match &antenna.position {
                Some(Place::Spread(spread)) => Some(spread.clone()),
                _ => None,
            });
            if let Some(spread) = spread {
                let place = self.place(name, member, index, count, &spread);
                if let Some(antenna) = node.antenna_mut() {
                    antenna.position = place;
                }
            }
            let name = At {
                value: member.clone(),
                span: name.span,
            };
            nodes.push((name, node));
        }
        if count.is_some() {
            self.groups.insert(name.value.clone(), members);
        }
    }

    /// Whether a node with a `count` can be a group; says why not. A name that is none is left to
    /// be reported as that, once.
    fn is_group(&mut self, name: &At<String>, node: &Node, radio: &Radio, count: At<u32>) -> bool {
        let path = format!("nodes.{}", name.value);
        if !(1..=MAX_COUNT).contains(&count.value) {
            let message = format!("`{path}.count`: `{}` is not 1 to {MAX_COUNT}", count.value);
            self.problem(count.span, message);
            return false;
        }
        if !is_name(name) || name.len() > MAX_NODE_NAME {
            return false;
        }
        let last = format!("{}{}", name.value, count.value);
        if last.len() > MAX_NODE_NAME {
            let message = format!(
                "`{path}.count`: its last node, `{last}`, has a name of more than \
                 {MAX_NODE_NAME} characters; give the group a shorter one"
            );
            self.problem(name.span, message);
            return false;
        }
        let taken = (1..=count.value)
            .map(|i| format!("{}{i}", name.value))
            .find(|member| self.names.contains(member.as_str()));
        if let Some(member) = taken {
            let message = format!(
                "`{path}.count`: its node `{member}` has the name of another; rename one of the \
                 two"
            );
            self.problem(count.span, message);
            return false;
        }
        let permanent = node.mobility.address_key().unwrap_or("mobility");
        let own = [
            (permanent, node.mobility.address().map(|v| v.span)),
            ("eui64", radio.antenna.eui64.map(|v| v.span)),
            ("short_address", radio.antenna.short_address.map(|v| v.span)),
        ];
        for (key, span) in own {
            if let Some(span) = span {
                let message = format!(
                    "`{path}.{key}`: {} nodes cannot have the same; remove it, or write the \
                     nodes one by one",
                    count.value
                );
                self.problem(span, message);
                return false;
            }
        }
        true
    }

    /// The place of the member with `index`.
    fn place(
        &mut self,
        name: &At<String>,
        member: &str,
        index: usize,
        count: Option<At<u32>>,
        spread: &Block<Spread>,
    ) -> Option<Place> {
        let path = format!("nodes.{}.position", name.value);
        let position = match (&spread.grid, &spread.area) {
            (Some(grid), None) => self.in_grid(&path, index, count, grid),
            (None, Some(area)) => Some(self.in_area(member, area)),
            (None, None) => {
                let message =
                    format!("`{path}`: where? add `grid` or `area`, or write `[10 m, 0 m]`");
                self.problem(spread.span, message);
                None
            }
            (Some(grid), Some(_)) => {
                let message = format!("`{path}`: `grid` and `area` in one place; choose one");
                self.problem(grid.span, message);
                None
            }
        };
        let (x, y) = position?;
        let at = |metres| At {
            value: Metres(metres),
            span: spread.span,
        };
        Some(Place::At(Position { x: at(x), y: at(y) }))
    }

    fn in_grid(
        &mut self,
        path: &str,
        index: usize,
        count: Option<At<u32>>,
        grid: &Block<Grid>,
    ) -> Option<(f64, f64)> {
        let Some(count) = count else {
            let message = format!(
                "`{path}.grid`: one node is no grid; add a `count`, or write `[10 m, 0 m]`"
            );
            self.problem(grid.span, message);
            return None;
        };
        if grid.spacing.value.0 <= 0.0 {
            let message = format!(
                "`{path}.grid.spacing`: `{} m` is not over 0 m",
                grid.spacing.value.0
            );
            self.problem(grid.spacing.span, message);
            return None;
        }
        let columns = match grid.columns {
            Some(At { value: 0, span }) => {
                self.problem(span, format!("`{path}.grid.columns`: `0` is not 1 or more"));
                return None;
            }
            Some(columns) => columns.value as usize,
            None => (1..).find(|side| side * side >= count.value as usize)?,
        };
        let from = grid.from.as_ref().map_or((0.0, 0.0), coordinates);
        let step = |number: usize| grid.spacing.value.0 * number as f64;
        Some((
            from.0 + step(index % columns),
            from.1 + step(index / columns),
        ))
    }

    /// Somewhere in a rectangle, to the centimetre; each node has a draw of its own.
    fn in_area(&self, member: &str, area: &Corners) -> (f64, f64) {
        let bytes = self.seed.bytes(&["node", member, "position"]);
        let share = |bytes: &[u8]| {
            let word = bytes
                .iter()
                .fold(0u64, |word, byte| word << 8 | u64::from(*byte));
            unit_interval(word)
        };
        let (first, second) = (coordinates(&area.first), coordinates(&area.second));
        let between = |a: f64, b: f64, share: f64| ((a + (b - a) * share) * 100.0).round() / 100.0;
        (
            between(first.0, second.0, share(&bytes[..8])),
            between(first.1, second.1, share(&bytes[8..16])),
        )
    }
}

fn coordinates(position: &Position) -> (f64, f64) {
    (position.x.value.0, position.y.value.0)
}

/// `problems` as the file's author sees them: a problem of a group is said once and of the group,
/// not of each member.
pub(super) fn once(problems: Vec<Diagnostic>, groups: &Groups) -> Vec<Diagnostic> {
    let group_of: BTreeMap<&str, &str> = groups
        .iter()
        .flat_map(|(group, members)| {
            members
                .iter()
                .map(|member| (member.as_str(), group.as_str()))
        })
        .collect();
    let mut seen = BTreeSet::new();
    problems
        .into_iter()
        .map(|problem| Diagnostic {
            message: of_groups(&problem.message, &group_of),
            ..problem
        })
        .filter(|problem| seen.insert((problem.span, problem.message.clone())))
        .collect()
}

/// `message` with the members' paths made the groups': `nodes.sensor3.lifetime` is
/// `nodes.sensor.lifetime`.
fn of_groups(message: &str, group_of: &BTreeMap<&str, &str>) -> String {
    let mut parts = message.split("nodes.");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        text.push_str("nodes.");
        text.push_str(group_of.get(name).unwrap_or(&name));
        text.push_str(rest);
    }
    text
}
