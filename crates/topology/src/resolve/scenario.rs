//! The script: repetitions and ramps become steps at one instant each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use units::quantity::format_duration;

use super::Resolver;
use super::links::{link, unordered};
use super::movement::check_move_shape;
use super::radio::{RadioModel, rounded};
use super::world::{
    GRAIN, MAX_STEPS, Setting, Tracks, World, Wrong, free_to_change, parts, too_many,
};
use crate::decode::At;
use crate::diagnostic::Span;
use crate::file::{Pair, Step};
use crate::kind::{Node, OperatePlan};
use crate::plan::{Action, ScenarioPlan};
use crate::scalar::LinkState;

/// Longest scenario.
const MAX_DURATION: Duration = Duration::from_secs(24 * 3600);

impl<'t> Resolver<'t> {
    /// The steps, and under `phy` where every node goes meanwhile.
    pub(super) fn scenario(&mut self, setting: &Setting<'_, 't>) -> (ScenarioPlan, Tracks<'t>) {
        let topology = self.topology;
        let file = &topology.scenario;
        let duration = self.duration(
            "scenario.duration",
            Some(file.duration),
            Duration::ZERO,
            |value| !value.is_zero() && value <= MAX_DURATION,
            "longer than zero and at most 24 h",
        );
        let end_known = !self.faults.stood_in("scenario.duration");
        let mut occurrences = Vec::new();
        let mut operates = BTreeMap::new();
        for (i, step) in file.steps.iter().flatten().enumerate() {
            let path = format!("scenario.steps[{i}]");
            let fits = self.nodes_fit(&path, step);
            let shape = check_shape(step);
            // Without an end nothing is too late.
            let when = match end_known {
                true => times(step, duration),
                false => Ok(Vec::new()),
            };
            let right = fits && shape.is_ok();
            if let Some(server) = step.operate.as_ref().filter(|_| shape.is_ok()) {
                let operations = step.operations.as_deref().unwrap_or_default();
                let operate = self.operate(&path, server, step.client.as_ref(), operations);
                operates.extend(operate.map(|operate| (i, operate)));
            }
            for (span, message) in [shape.err(), when.as_ref().err().cloned()]
                .into_iter()
                .flatten()
            {
                self.problem(span, format!("`{path}`: {message}"));
            }
            let at = when.unwrap_or_default();
            self.steps += at.len();
            if right {
                occurrences.extend(at.into_iter().map(|at| (at, i, step)));
            }
            if occurrences.len() > MAX_STEPS {
                self.problem(step.at.span, format!("`{path}`: {}", too_many()));
                break;
            }
        }
        // Stable: what the file says first happens first.
        occurrences.sort_by_key(|(at, ..)| *at);
        let mut world = World::new(setting);
        let mut wrong = BTreeSet::new();
        for (at, i, step) in occurrences {
            // A step that failed once would fail the same way at every repetition.
            if !wrong.contains(&i)
                && let Err((span, message)) =
                    self.play(&mut world, setting, at, (i, step), operates.get(&i))
            {
                wrong.insert(i);
                self.problem(span, format!("`scenario.steps[{i}]`: {message}"));
            }
        }
        world.steps.sort_by_key(|step| step.at);
        let plan = ScenarioPlan {
            duration,
            steps: world.steps,
        };
        (plan, world.tracks)
    }

    /// Whether the nodes that a step names exist and fit; reports those that do not.
    fn nodes_fit(&mut self, path: &str, step: &Step) -> bool {
        let links = match &step.link {
            Some(pair) => self.ends(&format!("{path}.link"), pair).is_some(),
            None => true,
        };
        let mut fits = |key: &str, name: &Option<At<String>>, wanted, fits: fn(&Node) -> bool| {
            let path = format!("{path}.{key}");
            name.as_ref().is_none_or(|name| {
                // What it would need for this may be what could not be read.
                let sleep = format!("nodes.{}.sleep", name.value);
                let unread = key == "wake" && self.faults.below(&sleep);
                unread || self.named(&path, name, wanted, fits).is_some()
            })
        };
        let is_host = |node: &Node| node.host().is_some();
        let moves = fits("move", &step.r#move, "a mobile-node or a sensor", is_host);
        let crashes = fits("crash", &step.crash, "a node", |_| true);
        let restarts = fits("restart", &step.restart, "a node", |_| true);
        let sleeps = |node: &Node| node.host().is_some_and(|host| host.sleep.is_some());
        let wakes = fits("wake", &step.wake, "a node with `sleep`", sleeps);
        links && moves && crashes && restarts && wakes
    }

    /// Whether what was before a step is what the file says, so that what is missing there is missing.
    pub(super) fn history_known(&self) -> bool {
        let told = ["scenario.steps", "links", "nodes", "radio"];
        !told.iter().any(|path| self.faults.below(path))
    }

    /// Plays one occurrence of a step.
    fn play(
        &self,
        world: &mut World<'t>,
        setting: &Setting<'_, 't>,
        at: Duration,
        (index, step): (usize, &Step),
        operate: Option<&OperatePlan>,
    ) -> Result<(), Wrong> {
        if let Some(pair) = &step.link {
            self.play_link(world, setting.model, at, (step, pair))
        } else if let Some(name) = &step.r#move {
            self.play_move(world, setting, at, (index, step, name))
        } else if let Some(name) = &step.crash {
            let Some(node) = self.known(name) else {
                return Ok(());
            };
            if !world.crashed.insert(node) && self.history_known() {
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
            if !world.crashed.remove(node) && self.history_known() {
                let message = format!("restart of `{node}` without a crash before it; add one");
                return Err((name.span, message));
            }
            let node = node.to_owned();
            world.push(at, Action::Restart { node });
            Ok(())
        } else if let Some(name) = &step.wake {
            let Some(node) = self.known(name) else {
                return Ok(());
            };
            if world.crashed.contains(node) && self.history_known() {
                let message = format!("wake of `{node}`, which has crashed; restart it before");
                return Err((name.span, message));
            }
            let node = node.to_owned();
            world.push(at, Action::Wake { node });
            Ok(())
        } else if let (Some(name), Some(operate)) = (&step.operate, operate) {
            if world.crashed.contains(&*operate.node) && self.history_known() {
                let message = format!(
                    "`{}` is to do something, and has crashed; restart it before",
                    operate.node
                );
                return Err((name.span, message));
            }
            world.push(at, Action::Operate(operate.clone()));
            Ok(())
        } else {
            Ok(())
        }
    }

    fn play_link(
        &self,
        world: &mut World<'t>,
        model: &RadioModel,
        at: Duration,
        (step, pair): (&Step, &Pair),
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
            if !world.has_path(key, model) {
                return match self.history_known() {
                    true => Err((state.span, missing)),
                    false => Ok(()),
                };
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
            let Some(from) = in_force else {
                return match self.history_known() {
                    true => Err((target.span, missing)),
                    false => Ok(()),
                };
            };
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
}

/// A step says exactly one thing, and nothing that belongs to another.
fn check_shape(step: &Step) -> Result<(), Wrong> {
    let what = [
        ("link", step.link.as_ref().map(|pair| pair.a.span)),
        ("move", step.r#move.as_ref().map(|name| name.span)),
        ("crash", step.crash.as_ref().map(|name| name.span)),
        ("restart", step.restart.as_ref().map(|name| name.span)),
        ("wake", step.wake.as_ref().map(|name| name.span)),
        ("operate", step.operate.as_ref().map(|name| name.span)),
    ];
    let mut given = what.iter().filter(|(_, span)| span.is_some());
    let Some((action, _)) = given.next() else {
        let message =
            "nothing happens here; add `link`, `move`, `crash`, `restart`, `wake` or `operate`";
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
        (
            "back_and_forth",
            "move",
            step.back_and_forth.as_ref().and_then(first),
        ),
        ("circle", "move", step.circle.as_ref().map(|v| v.span)),
        ("import", "move", step.import.as_ref().map(|v| v.span)),
        ("speed", "move", step.speed.map(|v| v.span)),
        ("client", "operate", step.client.as_ref().map(|v| v.span)),
        (
            "operations",
            "operate",
            step.operations
                .as_ref()
                .and_then(|all| all.first())
                .map(|v| v.span),
        ),
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
        "operate" => match step.operations.as_deref().unwrap_or_default() {
            [] => Err((
                step.at.span,
                "what is done? add `operations`, such as `[{ read: /3/0/9 }]`".to_owned(),
            )),
            _ => Ok(()),
        },
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
    if let Some(until) = step.until.filter(|until| until.value > end) {
        return beyond(until.value, until.span);
    }
    let goes_on = step.back_and_forth.is_some() || step.circle.is_some();
    if let Some(until) = step.until.filter(|until| goes_on && until.value <= first) {
        let message = format!("`{}` is not after `at`", format_duration(until.value));
        return Err((until.span, message));
    }
    let Some(every) = step.every else {
        // A movement that goes on by itself ends at `until`.
        let until = step.until.filter(|_| !goes_on);
        let orphan = until.map(|v| v.span).or(step.times.map(|v| v.span));
        return match orphan {
            Some(span) => Err((span, "repeats need a period; add `every: 10 s`".to_owned())),
            None => Ok(vec![first]),
        };
    };
    if goes_on {
        let message = "the movement goes on by itself; remove `every`, or move `to` a place";
        return Err((every.span, message.to_owned()));
    }
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
