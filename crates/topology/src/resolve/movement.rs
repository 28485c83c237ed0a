//! Moves: waypoints, which under `phy` are the node's track, and under `edges` become steps that
//! set its attenuation to every edge router.

use std::time::Duration;

use propagation::movement::{MovementError, back_and_forth, circle, route};
use propagation::{Position, Track, Waypoint};
use units::quantity::format_duration;

use super::Resolver;
use super::links::{link, unordered};
use super::world::{GRAIN, Setting, World, Wrong, free_to_change, parts};
use crate::decode::At;
use crate::file::{self, Step};
use crate::plan::Action;

/// Farther than this from where it is, a node would jump to where its import begins.
const SAME_PLACE_M: f64 = 0.01;

impl<'t> Resolver<'t> {
    /// Plays one occurrence of a move.
    pub(super) fn play_move(
        &self,
        world: &mut World<'t>,
        setting: &Setting<'_, 't>,
        start: Duration,
        (index, step, name): (usize, &Step, &At<String>),
    ) -> Result<(), Wrong> {
        let Some(node) = self.known(name) else {
            return Ok(());
        };
        let Some(from) = world.positions.get(node).copied() else {
            // The import of a node without a position has failed, which has been reported.
            let failed = step.import.is_some() && !setting.imports.contains_key(&index);
            if failed || self.faults.below(&format!("nodes.{node}.position")) {
                return Ok(());
            }
            let message = format!("`{node}` has no `position` to move from; give it one");
            return Err((name.span, message));
        };
        if let Some((until, line)) = world.moving.get(node)
            && start < *until
        {
            let message = format!(
                "at {} the move of line {line} is still going on; start at {} or later",
                format_duration(start),
                format_duration(*until)
            );
            return Err((name.span, message));
        }
        let here = Waypoint {
            at: start,
            position: from,
        };
        let way = match &step.import {
            None => self.way(here, step, name)?,
            Some(import) => match setting.imports.get(&index) {
                Some(way) => imported(here, way, node, import)?,
                None => return Ok(()),
            },
        };
        let last = way[way.len() - 1];
        if !setting.model.is_phy() {
            self.sample(world, setting, &way, (node, step, name))?;
        }
        let track = world.tracks.entry(node).or_default();
        let known = track.last().copied();
        track.extend(way.into_iter().filter(|waypoint| Some(*waypoint) != known));
        world.positions.insert(node, last.position);
        world.moving.insert(node, (last.at, step.at.span.line));
        Ok(())
    }

    /// The way of a move that the step itself describes, from `here`.
    fn way(&self, here: Waypoint, step: &Step, name: &At<String>) -> Result<Vec<Waypoint>, Wrong> {
        let Some(speed) = step.speed else {
            return Ok(vec![here]);
        };
        let end = self.topology.scenario.duration.value;
        let until = step.until.map_or(end, |until| until.value);
        let places = |given: &[file::Position]| -> Vec<Position> {
            given.iter().map(Position::from).collect()
        };
        let metres_per_second = speed.value.0;
        let way = if let Some(given) = &step.back_and_forth {
            back_and_forth(here, &places(given), metres_per_second, until)
        } else if let Some(given) = &step.circle {
            let (centre, radius) = (Position::from(&given.centre), given.radius.value.0);
            circle(here, centre, radius, metres_per_second, until)
        } else {
            let to = step.to.iter().chain(step.path.iter().flatten());
            let to: Vec<Position> = to.map(Position::from).collect();
            route(here, &to, metres_per_second)
        };
        let way = way.map_err(|error| {
            let places = step.back_and_forth.as_ref().and_then(|all| all.first());
            let radius = step.circle.as_ref().map(|circle| circle.radius.span);
            let wrong = radius.or(places.map(|place| place.x.span));
            let span = match error {
                MovementError::Nowhere => wrong.unwrap_or(name.span),
                MovementError::Speed | MovementError::TooLong => speed.span,
            };
            (span, error.to_string())
        })?;
        let last = way[way.len() - 1].at;
        if whole_milliseconds(last.saturating_sub(here.at)) > end.saturating_sub(here.at) {
            let metres: f64 = way
                .windows(2)
                .map(|leg| leg[0].position.distance_m(leg[1].position))
                .sum();
            let message = format!(
                "the move of {metres:.1} m does not end before the scenario, at {}; go \
                 faster, or make the scenario longer",
                format_duration(end)
            );
            return Err((speed.span, message));
        }
        Ok(way)
    }

    /// `edges`: steps that set the attenuation to every edge router on the way.
    fn sample(
        &self,
        world: &mut World<'t>,
        setting: &Setting<'_, 't>,
        way: &[Waypoint],
        (node, step, name): (&'t str, &Step, &At<String>),
    ) -> Result<(), Wrong> {
        let start = way[0].at;
        let last = way[way.len() - 1];
        // To the millisecond above: a plan is read by people.
        let needed = whole_milliseconds(last.at - start);
        let needed = needed.min(self.topology.scenario.duration.value.saturating_sub(start));
        let track = Track::new(way.to_vec()).map_err(|error| (name.span, error.to_string()))?;
        let parts = parts(needed, name.span, world.steps.len())?;
        for (router, (span, other)) in &self.nodes {
            if !other.is_router() {
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
                    last.position
                } else {
                    track.at(start + after)
                };
                let db = setting.model.attenuation(here, there);
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
        Ok(())
    }
}

/// The way of an import, which must begin where the node is: nothing jumps.
fn imported(
    here: Waypoint,
    way: &[Waypoint],
    node: &str,
    file: &file::Import,
) -> Result<Vec<Waypoint>, Wrong> {
    let begins = way.first().map_or(here.position, |first| first.position);
    let metres = here.position.distance_m(begins);
    if metres > SAME_PLACE_M {
        let message = format!(
            "`{}` begins at [{} m, {} m], {metres:.2} m from where `{node}` is; move it there \
             first, or leave out its `position`",
            file.file.value, begins.x_m, begins.y_m
        );
        return Err((file.file.span, message));
    }
    let first = Waypoint {
        at: here.at,
        position: begins,
    };
    let rest = way.iter().copied().filter(|waypoint| *waypoint != first);
    Ok(std::iter::once(first).chain(rest).collect())
}

/// To the millisecond above.
fn whole_milliseconds(duration: Duration) -> Duration {
    let milliseconds = duration.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

/// A move says one way to go, and how fast.
pub(super) fn check_move_shape(step: &Step) -> Result<(), Wrong> {
    let listed = |places: &Option<Vec<file::Position>>| {
        let first = places.as_ref().and_then(|places| places.first());
        first.map(|place| place.x.span)
    };
    let ways = [
        ("to", step.to.map(|to| to.x.span)),
        ("path", listed(&step.path)),
        ("back_and_forth", listed(&step.back_and_forth)),
        ("circle", step.circle.as_ref().map(|circle| circle.span)),
        ("import", step.import.as_ref().map(|import| import.span)),
    ];
    let mut given = ways.iter().filter(|(_, span)| span.is_some());
    let Some((way, Some(_))) = given.next() else {
        return Err((
            step.at.span,
            "where to? add `to: [10 m, 0 m]` or `path: [[10 m, 0 m], …]`".to_owned(),
        ));
    };
    if let Some((other, Some(_))) = given.next() {
        if (*way, *other) == ("to", "path") {
            let message = "`to` and `path` in one step; the path's last point is where it goes";
            return Err((
                step.to.map_or(step.at.span, |to| to.x.span),
                message.to_owned(),
            ));
        }
        let message = format!("`{way}` and `{other}` in one step; make them two");
        return Err((step.at.span, message));
    }
    match (*way, step.speed) {
        ("import", Some(speed)) => Err((
            speed.span,
            "`speed` of an `import`, whose file says it; remove it".to_owned(),
        )),
        ("import", None) | (_, Some(_)) => Ok(()),
        (_, None) => Err((step.at.span, "how fast? add `speed: 1.4 m/s`".to_owned())),
    }
}
