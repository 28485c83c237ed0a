//! What is true while the steps of the scenario are expanded, and what a step may change of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use propagation::{Position, Waypoint};
use units::Db;
use units::quantity::format_duration;

use super::files::Imports;
use super::links::{Ends, Links, Places};
use super::radio::RadioModel;
use crate::diagnostic::Span;
use crate::plan::{Action, StepPlan};

/// Ramps, and under `edges` moves, change the attenuation this often.
pub(super) const GRAIN: Duration = Duration::from_millis(100);
/// More steps than this are a mistake, and would fill memory.
pub(super) const MAX_STEPS: usize = 100_000;

/// What is true at the scenario time that expansion has reached.
pub(super) struct World<'t> {
    /// Attenuations that are fixed: under `phy` the path loss is not among them.
    pub attenuation: BTreeMap<Ends<'t>, Db>,
    /// Links that a ramp or move is changing: until when, and the line that says so.
    pub changing: BTreeMap<Ends<'t>, (Duration, usize)>,
    /// Links that are heard without a fixed attenuation: those with a trace.
    pub traced: BTreeSet<Ends<'t>>,
    pub positions: Places<'t>,
    /// Nodes on their way: until when, and the line that says so.
    pub moving: BTreeMap<&'t str, (Duration, usize)>,
    /// Where each node with a position is and will be.
    pub tracks: Tracks<'t>,
    pub crashed: BTreeSet<&'t str>,
    pub steps: Vec<StepPlan>,
}

/// The waypoints of every node with a position, in time order.
pub(super) type Tracks<'t> = BTreeMap<&'t str, Vec<Waypoint>>;

/// What the expansion of steps needs to know.
pub(super) struct Setting<'a, 't> {
    pub model: &'a RadioModel,
    pub links: &'a Links<'t>,
    pub places: &'a Places<'t>,
    pub imports: &'a Imports,
}

impl<'t> World<'t> {
    pub(super) fn new(setting: &Setting<'_, 't>) -> World<'t> {
        let fixed = setting.links.fixed.iter();
        let stands = |(name, position): (&&'t str, &Position)| {
            let at = Duration::ZERO;
            let position = *position;
            (*name, vec![Waypoint { at, position }])
        };
        World {
            attenuation: fixed.map(|(ends, l)| (*ends, l.attenuation)).collect(),
            changing: BTreeMap::new(),
            traced: setting.links.traces.keys().copied().collect(),
            positions: setting.places.clone(),
            moving: BTreeMap::new(),
            tracks: setting.places.iter().map(stands).collect(),
            crashed: BTreeSet::new(),
            steps: Vec::new(),
        }
    }

    /// Whether the two hear each other by a fixed attenuation, a trace or the path loss.
    pub(super) fn has_path(&self, (a, b): Ends<'t>, model: &RadioModel) -> bool {
        self.attenuation.contains_key(&(a, b))
            || self.traced.contains(&(a, b))
            || model.is_phy() && self.positions.contains_key(a) && self.positions.contains_key(b)
    }

    pub(super) fn push(&mut self, at: Duration, action: Action) {
        self.steps.push(StepPlan { at, action });
    }
}

/// A step that is wrong: where and why.
pub(super) type Wrong = (Span, String);

/// Whether a ramp or a move is at work on the link at `at`.
pub(super) fn free_to_change(
    world: &World<'_>,
    key: Ends<'_>,
    at: Duration,
    span: Span,
) -> Result<(), Wrong> {
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
pub(super) fn parts(over: Duration, span: Span, so_far: usize) -> Result<u32, Wrong> {
    let parts = over.as_nanos().div_ceil(GRAIN.as_nanos()).max(1);
    match u32::try_from(parts) {
        Ok(parts) if so_far + parts as usize <= MAX_STEPS => Ok(parts),
        _ => Err((span, too_many())),
    }
}

pub(super) fn too_many() -> String {
    format!("the scenario has more than {MAX_STEPS} steps; repeat less often, or end earlier")
}
