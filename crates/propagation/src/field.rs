//! All of it together: the loss between any two radios at an instant.

use std::time::Duration;

use units::{Db, Seed};

use crate::model::Model;
use crate::position::Position;
use crate::shadowing::Process;
use crate::trace::Trace;
use crate::track::Track;

/// The loss between any two radios at an instant of the scenario; the same in both directions.
///
/// What decides, in this order:
///
/// 1. a link that is down ([`Field::set_up`]): no path;
/// 2. a fixed attenuation ([`Field::set_attenuation`]);
/// 3. a trace ([`Field::set_trace`]);
/// 4. the model with its shadowing, if both radios have a position;
/// 5. else: no path.
///
/// Radios are called by the index that [`Field::add_radio`] gave; an index that it did not give
/// has no path to anywhere, and settings for it are ignored. A loss is never under 0 dB.
#[derive(Clone, Debug)]
pub struct Field {
    seed: Seed,
    model: Model,
    radios: Vec<Radio>,
    /// Every pair, the greater index's after all pairs of lesser ones: adding a radio appends.
    pairs: Vec<Pair>,
}

#[derive(Clone, Debug)]
struct Radio {
    name: String,
    track: Option<Track>,
    /// Where it was when it was asked for last. Every receiver of a frame asks for one instant.
    last: Option<(Duration, Place)>,
}

/// Position and distance moved, metres.
type Place = (Position, f64);

#[derive(Clone, Debug, Default)]
struct Pair {
    down: bool,
    attenuation: Option<Db>,
    trace: Option<Trace>,
    shadowing: Option<Process>,
    /// The model's loss, and between which places.
    modelled: Option<(Place, Place, Db)>,
}

impl Radio {
    fn place(&mut self, at: Duration) -> Option<Place> {
        let track = self.track.as_ref()?;
        match self.last {
            Some((then, place)) if then == at => Some(place),
            Some((_, place)) if track.is_fixed() => Some(place),
            _ => {
                let place = track.state(at);
                self.last = Some((at, place));
                Some(place)
            }
        }
    }
}

impl Field {
    /// A field without radios. Shadowing is drawn from `seed` and the radios' names.
    pub fn new(seed: Seed, model: Model) -> Field {
        Field {
            seed,
            model,
            radios: Vec::new(),
            pairs: Vec::new(),
        }
    }

    /// Adds a radio and gives its index: 0, 1, 2, ... Names tell shadowing apart and are unique;
    /// `None` for a radio without a position.
    pub fn add_radio(&mut self, name: &str, track: Option<Track>) -> usize {
        let index = self.radios.len();
        self.pairs.extend((0..index).map(|_| Pair::default()));
        self.radios.push(Radio {
            name: name.to_owned(),
            track,
            last: None,
        });
        index
    }

    /// Where a radio is at scenario time `at`, if it has a position.
    pub fn position(&self, at: Duration, radio: usize) -> Option<Position> {
        let track = self.radios.get(radio)?.track.as_ref()?;
        Some(track.at(at))
    }

    /// Fixes the attenuation between `a` and `b`, or with `None` gives it back to the trace or
    /// the model.
    pub fn set_attenuation(&mut self, a: usize, b: usize, attenuation: Option<Db>) {
        if let Some(pair) = self.pair(a, b) {
            pair.attenuation = attenuation;
        }
    }

    /// Takes the link of `a` and `b` away, or gives it back.
    pub fn set_up(&mut self, a: usize, b: usize, up: bool) {
        if let Some(pair) = self.pair(a, b) {
            pair.down = !up;
        }
    }

    /// Gives the link of `a` and `b` a trace, or takes it away.
    pub fn set_trace(&mut self, a: usize, b: usize, trace: Option<Trace>) {
        if let Some(pair) = self.pair(a, b) {
            pair.trace = trace;
        }
    }

    /// Loss between `a` and `b` at scenario time `at`; `None` if there is no path at all. Cheap
    /// for instants that do not go back: a way back costs a walk along the shadowing from its
    /// start, with the same result.
    pub fn loss(&mut self, at: Duration, a: usize, b: usize) -> Option<Db> {
        let index = index(a, b)?;
        let pair = self.pairs.get(index)?;
        if pair.down {
            return None;
        }
        let given = pair
            .attenuation
            .or_else(|| pair.trace.as_ref().map(|trace| trace.loss(at)));
        let loss = match given {
            Some(loss) => loss,
            None => self.modelled(at, (a, b), index)?,
        };
        Some(Db(loss.0.max(0.0)))
    }

    /// The model's loss with shadowing, if both radios have a position.
    fn modelled(&mut self, at: Duration, (a, b): (usize, usize), index: usize) -> Option<Db> {
        // In the order of the indices, so that both directions are one cache and one sum.
        let (a, b) = (a.min(b), a.max(b));
        let here = self.radios.get_mut(a)?.place(at)?;
        let there = self.radios.get_mut(b)?.place(at)?;
        let pair = self.pairs.get_mut(index)?;
        if let Some((from, to, loss)) = pair.modelled
            && (from, to) == (here, there)
        {
            return Some(loss);
        }
        let mut loss = self.model.mean_loss(here.0.distance_m(there.0));
        if let Some(shadowing) = self.model.shadowing() {
            let (a, b) = (&self.radios[a].name, &self.radios[b].name);
            let process = pair
                .shadowing
                .get_or_insert_with(|| Process::new(shadowing, self.seed, a, b));
            loss.0 += process.loss(here.1 + there.1).0;
        }
        pair.modelled = Some((here, there, loss));
        Some(loss)
    }

    fn pair(&mut self, a: usize, b: usize) -> Option<&mut Pair> {
        self.pairs.get_mut(index(a, b)?)
    }
}

/// Index of a pair; a radio has none with itself.
fn index(a: usize, b: usize) -> Option<usize> {
    let (low, high) = (a.min(b), a.max(b));
    if low == high {
        return None;
    }
    high.checked_mul(high - 1)?.checked_div(2)?.checked_add(low)
}

#[cfg(test)]
mod tests;
