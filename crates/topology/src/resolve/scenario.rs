//! The script: repetitions, ramps and moves become steps at one instant each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use units::Db;
use units::quantity::format_duration;

use super::Resolver;
use super::radio::{Ends, RadioModel, coordinates, link, position_of, rounded, unordered};
use crate::decode::At;
use crate::diagnostic::Span;
use crate::file::{Node, Pair, Step};
use crate::plan::{Action, LinkPlan, ScenarioPlan, StepPlan};
use crate::scalar::LinkState;

/// Ramps and moves change the attenuation this often.
const GRAIN: Duration = Duration::from_millis(100);
/// More steps than this are a mistake, and would fill memory.
const MAX_STEPS: usize = 100_000;
/// Longest scenario.
const MAX_DURATION: Duration = Duration::from_secs(24 * 3600);

/// What is true at the scenario time that expansion has reached.
struct World<'t> {
    attenuation: BTreeMap<Ends<'t>, Db>,
    /// Links that a ramp or move is changing: until when, and the line that says so.
    changing: BTreeMap<Ends<'t>, (Duration, usize)>,
    positions: BTreeMap<&'t str, (f64, f64)>,
    crashed: BTreeSet<&'t str>,
    steps: Vec<StepPlan>,
}

impl World<'_> {
    fn push(&mut self, at: Duration, action: Action) {
        self.steps.push(StepPlan { at, action });
    }
}

/// A step that is wrong: where and why.
type Wrong = (Span, String);

impl<'t> Resolver<'t> {
    pub(super) fn scenario(
        &mut self,
        model: &RadioModel,
        links: &BTreeMap<Ends<'t>, LinkPlan>,
    ) -> ScenarioPlan {
        let topology = self.topology;
        let file = &topology.scenario;
        let duration = self.duration(
            "scenario.duration",
            Some(file.duration),
            Duration::ZERO,
            |value| !value.is_zero() && value <= MAX_DURATION,
            "longer than zero and at most 24 h",
        );
        let mut occurrences = Vec::new();
        for (i, step) in file.steps.iter().flatten().enumerate() {
            let path = format!("scenario.steps[{i}]");
            let checked = check_shape(step).and_then(|()| times(step, duration));
            match checked {
                Ok(at) if self.nodes_fit(&path, step) => {
                    occurrences.extend(at.into_iter().map(|at| (at, i, step)));
                    if occurrences.len() > MAX_STEPS {
                        self.problem(step.at.span, format!("`{path}`: {}", too_many()));
                        break;
                    }
                }
                Ok(_) => {}
                Err((span, message)) => {
                    self.problem(span, format!("`{path}`: {message}"));
                    self.nodes_fit(&path, step);
                }
            }
        }
        // Stable: what the file says first happens first.
        occurrences.sort_by_key(|(at, ..)| *at);
        let mut world = World {
            attenuation: links
                .iter()
                .map(|(ends, l)| (*ends, l.attenuation))
                .collect(),
            changing: BTreeMap::new(),
            positions: self
                .nodes
                .iter()
                .filter_map(|(name, (_, node))| Some((*name, position_of(node)?)))
                .collect(),
            crashed: BTreeSet::new(),
            steps: Vec::new(),
        };
        let mut wrong = BTreeSet::new();
        for (at, i, step) in occurrences {
            // A step that failed once would fail the same way at every repetition.
            if !wrong.contains(&i)
                && let Err((span, message)) = self.play(&mut world, model, at, step)
            {
                wrong.insert(i);
                self.problem(span, format!("`scenario.steps[{i}]`: {message}"));
            }
        }
        world.steps.sort_by_key(|step| step.at);
        ScenarioPlan {
            duration,
            steps: world.steps,
        }
    }

    /// Whether the nodes that a step names exist and fit; reports those that do not.
    fn nodes_fit(&mut self, path: &str, step: &Step) -> bool {
        let links = match &step.link {
            Some(pair) => self.ends(&format!("{path}.link"), pair).is_some(),
            None => true,
        };
        let mut fits = |key: &str, name: &Option<At<String>>, wanted, fits: fn(&Node) -> bool| {
            let path = format!("{path}.{key}");
            name.as_ref()
                .is_none_or(|name| self.named(&path, name, wanted, fits).is_some())
        };
        let is_mobile = |node: &Node| matches!(node, Node::MobileNode(_));
        let moves = fits("move", &step.r#move, "a mobile-node", is_mobile);
        let crashes = fits("crash", &step.crash, "a node", |_| true);
        let restarts = fits("restart", &step.restart, "a node", |_| true);
        links && moves && crashes && restarts
    }

    /// The node's name with the lifetime of the topology. Unknown names have been reported.
    fn known(&self, name: &str) -> Option<&'t str> {
        self.nodes.get_key_value(name).map(|(key, _)| *key)
    }

    /// Plays one occurrence of a step.
    fn play(
        &self,
        world: &mut World<'t>,
        model: &RadioModel,
        at: Duration,
        step: &Step,
    ) -> Result<(), Wrong> {
        if let Some(pair) = &step.link {
            self.play_link(world, at, step, pair)
        } else if let Some(name) = &step.r#move {
            self.play_move(world, model, at, step, name)
        } else if let Some(name) = &step.crash {
            let Some(node) = self.known(name) else {
                return Ok(());
            };
            if !world.crashed.insert(node) {
                let message = format!("crash of `{node}`, which has crashed already; restart it");
                return Err((name.span, message));
            }
            let node = node.to_owned();
            world.push(at, Action::Crash { node });
            Ok(())
        } else if let Some(name) = &step.restart {
            let Some(node) = self.known(name) else {
                return Ok(());
            };
            if !world.crashed.remove(node) {
                let message = format!("restart of `{node}` without a crash before it; add one");
                return Err((name.span, message));
            }
            let node = node.to_owned();
            world.push(at, Action::Restart { node });
            Ok(())
        } else {
            Ok(())
        }
    }

    fn play_link(
        &self,
        world: &mut World<'t>,
        at: Duration,
        step: &Step,
        pair: &Pair,
    ) -> Result<(), Wrong> {
        let (Some(a), Some(b)) = (self.known(&pair.a), self.known(&pair.b)) else {
            return Ok(());
        };
        let key = unordered((a, b));
        let in_force = world.attenuation.get(&key).copied();
        let missing = format!(
            "the link of `{a}` and `{b}` has no attenuation at {}; give it one in `links`, or in \
             a step before",
            format_duration(at)
        );
        if let Some(state) = step.state {
            if in_force.is_none() {
                return Err((state.span, missing));
            }
            let up = state.value == LinkState::Up;
            let (a, b) = (a.to_owned(), b.to_owned());
            world.push(at, Action::Link { a, b, up });
            return Ok(());
        }
        let Some(target) = step.attenuation else {
            return Ok(());
        };
        if target.value.0 < 0.0 {
            let message = format!("attenuation `{}` is not 0 dB or more", target.value);
            return Err((target.span, message));
        }
        free_to_change(world, key, at, pair.a.span)?;
        let over = step.over.map_or(Duration::ZERO, |over| over.value);
        if !over.is_zero() {
            let from = in_force.ok_or((target.span, missing))?;
            let slope = target.value.0 - from.0;
            let parts = parts(over, target.span, world.steps.len())?;
            // The last part is the target itself, exactly.
            for k in 1..parts {
                let after = GRAIN * k;
                let share = after.as_secs_f64() / over.as_secs_f64();
                let db = rounded(from.0 + slope * share);
                world.push(at + after, Action::Attenuate(link((a, b), db)));
            }
            world.changing.insert(key, (at + over, step.at.span.line));
        }
        world.attenuation.insert(key, target.value);
        world.push(at + over, Action::Attenuate(link((a, b), target.value)));
        Ok(())
    }

    fn play_move(
        &self,
        world: &mut World<'t>,
        model: &RadioModel,
        start: Duration,
        step: &Step,
        name: &At<String>,
    ) -> Result<(), Wrong> {
        let (Some(node), Some(speed)) = (self.known(name), step.speed) else {
            return Ok(());
        };
        let Some(from) = world.positions.get(node).copied() else {
            let message = format!("`{node}` has no `position` to move from; give it one");
            return Err((name.span, message));
        };
        let mut route = vec![from];
        route.extend(
            step.to
                .iter()
                .chain(step.path.iter().flatten())
                .map(coordinates),
        );
        let metres: f64 = route.windows(2).map(|leg| distance(leg[0], leg[1])).sum();
        let end = self.topology.scenario.duration.value;
        // To the millisecond above: a plan is read by people.
        let needed = Duration::try_from_secs_f64((metres / speed.value.0 * 1e3).ceil() / 1e3);
        let needed = match needed {
            Ok(needed) if needed <= end.saturating_sub(start) => needed,
            _ => {
                let message = format!(
                    "the move of {metres:.1} m does not end before the scenario, at {}; go \
                     faster, or make the scenario longer",
                    format_duration(end)
                );
                return Err((speed.span, message));
            }
        };
        let last = *route.last().unwrap_or(&from);
        let parts = parts(needed, name.span, world.steps.len())?;
        for (router, (span, other)) in &self.nodes {
            if !matches!(other, Node::EdgeRouter(_)) {
                continue;
            }
            let Some(there) = world.positions.get(router).copied() else {
                let message = format!(
                    "the edge router `{router}` (line {}) has no `position`, which the move of \
                     `{node}` needs; give it one",
                    span.line
                );
                return Err((name.span, message));
            };
            let ends = (node, *router);
            free_to_change(world, unordered(ends), start, name.span)?;
            let mut before = world.attenuation.get(&unordered(ends)).copied();
            for k in 1..=parts {
                let after = (GRAIN * k).min(needed);
                let here = if k == parts {
                    last
                } else {
                    along(&route, speed.value.0 * after.as_secs_f64())
                };
                let db = model.attenuation(here, there);
                if before.replace(db) != Some(db) {
                    world.push(start + after, Action::Attenuate(link(ends, db)));
                }
            }
            if let Some(db) = before {
                world.attenuation.insert(unordered(ends), db);
            }
            world
                .changing
                .insert(unordered(ends), (start + needed, step.at.span.line));
        }
        world.positions.insert(node, last);
        Ok(())
    }
}

/// Whether a ramp or a move is at work on the link at `at`.
fn free_to_change(world: &World<'_>, key: Ends<'_>, at: Duration, span: Span) -> Result<(), Wrong> {
    match world.changing.get(&key) {
        Some((until, line)) if at < *until => {
            let message = format!(
                "at {} the change of line {line} is still going on for `{}` and `{}`; start at \
                 {} or later",
                format_duration(at),
                key.0,
                key.1,
                format_duration(*until)
            );
            Err((span, message))
        }
        _ => Ok(()),
    }
}

/// Into how many parts of [`GRAIN`] a change that takes `over` is cut; at least one.
fn parts(over: Duration, span: Span, so_far: usize) -> Result<u32, Wrong> {
    let parts = over.as_nanos().div_ceil(GRAIN.as_nanos()).max(1);
    match u32::try_from(parts) {
        Ok(parts) if so_far + parts as usize <= MAX_STEPS => Ok(parts),
        _ => Err((span, too_many())),
    }
}

fn too_many() -> String {
    format!("the scenario has more than {MAX_STEPS} steps; repeat less often, or end earlier")
}

fn distance(a: (f64, f64), b: (f64, f64)) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

/// The point `metres` along `route`.
fn along(route: &[(f64, f64)], mut metres: f64) -> (f64, f64) {
    for leg in route.windows(2) {
        let (from, to) = (leg[0], leg[1]);
        let length = distance(from, to);
        if metres < length {
            let share = metres / length;
            return (
                from.0 + (to.0 - from.0) * share,
                from.1 + (to.1 - from.1) * share,
            );
        }
        metres -= length;
    }
    route.last().copied().unwrap_or_default()
}

/// A step says exactly one thing, and nothing that belongs to another.
fn check_shape(step: &Step) -> Result<(), Wrong> {
    let what = [
        ("link", step.link.as_ref().map(|pair| pair.a.span)),
        ("move", step.r#move.as_ref().map(|name| name.span)),
        ("crash", step.crash.as_ref().map(|name| name.span)),
        ("restart", step.restart.as_ref().map(|name| name.span)),
    ];
    let mut given = what.iter().filter(|(_, span)| span.is_some());
    let Some((action, _)) = given.next() else {
        let message = "nothing happens here; add `link`, `move`, `crash` or `restart`";
        return Err((step.at.span, message.to_owned()));
    };
    if let Some((other, Some(span))) = given.next() {
        let message = format!("`{action}` and `{other}` in one step; make them two");
        return Err((*span, message));
    }
    let first = |path: &Vec<crate::file::Position>| path.first().map(|p| p.x.span);
    let extras = [
        ("state", "link", step.state.map(|v| v.span)),
        ("attenuation", "link", step.attenuation.map(|v| v.span)),
        ("over", "link", step.over.map(|v| v.span)),
        ("to", "move", step.to.map(|p| p.x.span)),
        ("path", "move", step.path.as_ref().and_then(first)),
        ("speed", "move", step.speed.map(|v| v.span)),
    ];
    for (key, owner, span) in extras {
        if let (Some(span), true) = (span, owner != *action) {
            let message =
                format!("`{key}` belongs to `{owner}`, and this is `{action}`; remove it");
            return Err((span, message));
        }
    }
    match *action {
        "link" => check_link_shape(step),
        "move" => check_move_shape(step),
        _ => Ok(()),
    }
}

fn check_link_shape(step: &Step) -> Result<(), Wrong> {
    match (step.state, step.attenuation, step.over) {
        (None, None, _) => Err((
            step.at.span,
            "what happens to the link? add `state: down` or `attenuation: 90 dB`".to_owned(),
        )),
        (Some(state), Some(_), _) => Err((
            state.span,
            "`state` and `attenuation` in one step; make them two".to_owned(),
        )),
        (Some(_), None, Some(over)) => Err((
            over.span,
            "`over` belongs to `attenuation`: a link goes up or down at once".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn check_move_shape(step: &Step) -> Result<(), Wrong> {
    let path = step.path.as_ref().filter(|path| !path.is_empty());
    match (&step.to, path, step.speed) {
        (Some(to), Some(_), _) => {
            let message = "`to` and `path` in one step; the path's last point is where it goes";
            Err((to.x.span, message.to_owned()))
        }
        (None, None, _) => Err((
            step.at.span,
            "where to? add `to: [10 m, 0 m]` or `path: [[10 m, 0 m], …]`".to_owned(),
        )),
        (_, _, None) => Err((step.at.span, "how fast? add `speed: 1.4 m/s`".to_owned())),
        _ => Ok(()),
    }
}

/// When a step happens.
fn times(step: &Step, end: Duration) -> Result<Vec<Duration>, Wrong> {
    let first = step.at.value;
    let over = step.over.map_or(Duration::ZERO, |over| over.value);
    let beyond = |at: Duration, span: Span| {
        let message = format!(
            "`{}` is after the end of the scenario, {}; come earlier, or make the scenario longer",
            format_duration(at),
            format_duration(end)
        );
        Err((span, message))
    };
    if first > end {
        return beyond(first, step.at.span);
    }
    if let Some(over) = step.over
        && first.checked_add(over.value).is_none_or(|last| last > end)
    {
        return beyond(first.saturating_add(over.value), over.span);
    }
    let Some(every) = step.every else {
        let orphan = step.until.map(|v| v.span).or(step.times.map(|v| v.span));
        return match orphan {
            Some(span) => Err((span, "repeats need a period; add `every: 10 s`".to_owned())),
            None => Ok(vec![first]),
        };
    };
    if every.is_zero() {
        let message = "`every` is not longer than zero, such as `10 s`".to_owned();
        return Err((every.span, message));
    }
    let last = match (step.until, step.times) {
        (Some(until), Some(_)) => {
            let message = "`until` and `times` in one step; one of them is enough".to_owned();
            return Err((until.span, message));
        }
        (Some(until), None) if until.value < first => {
            let message = format!("`{}` is before `at`", format_duration(until.value));
            return Err((until.span, message));
        }
        (Some(until), None) if until.value > end => return beyond(until.value, until.span),
        (Some(until), None) => until.value,
        (None, Some(At { value: 0, span })) => {
            return Err((span, "`0` times is never; remove the step".to_owned()));
        }
        (None, Some(times)) => {
            let all = every.value.checked_mul(times.value - 1);
            let last = all.and_then(|all| first.checked_add(all));
            match last.filter(|last| *last <= end.saturating_sub(over)) {
                Some(last) => last,
                None => return beyond(last.unwrap_or(Duration::MAX), times.span),
            }
        }
        // A ramp that would not end before the scenario is not begun.
        (None, None) => end.saturating_sub(over),
    };
    let count = (last - first).as_nanos() / every.as_nanos() + 1;
    match u32::try_from(count) {
        Ok(count) if count as usize <= MAX_STEPS => {
            Ok((0..count).map(|k| first + every.value * k).collect())
        }
        _ => Err((every.span, too_many())),
    }
}
