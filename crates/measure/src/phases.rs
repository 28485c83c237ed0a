//! Values by phase, in the order of time.

use std::fmt;
use std::marker::PhantomData;

use rundir::Phase;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value for each phase of a handover, in the order in which the phases began; phases that began
/// at one instant are in the order in which they ended. A mobility protocol may have phases that
/// nobody here knows, so that no other order is known of them.
///
/// In JSON an object, its keys in that order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByPhase<T>(Vec<(Phase, T)>);

impl<T> ByPhase<T> {
    /// The value of a phase.
    pub fn get(&self, phase: &Phase) -> Option<&T> {
        let found = self.0.iter().find(|(known, _)| known == phase);
        found.map(|(_, value)| value)
    }

    /// Phases and values.
    pub fn iter(&self) -> impl Iterator<Item = (&Phase, &T)> {
        self.0.iter().map(|(phase, value)| (phase, value))
    }

    /// The phases.
    pub fn phases(&self) -> impl Iterator<Item = &Phase> {
        self.0.iter().map(|(phase, _)| phase)
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Whether there is no phase.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a phase, which is the last one if it is new.
    pub(crate) fn entry(&mut self, phase: &Phase) -> &mut T
    where
        T: Default,
    {
        let found = self.0.iter().position(|(known, _)| known == phase);
        let at = found.unwrap_or_else(|| {
            self.0.push((phase.clone(), T::default()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    /// Takes a phase out.
    pub(crate) fn remove(&mut self, phase: &Phase) -> Option<T> {
        let at = self.0.iter().position(|(known, _)| known == phase)?;
        Some(self.0.remove(at).1)
    }

    /// Orders the phases by what `key` says of their values; equals stay as they are.
    pub(crate) fn sort_by_key<K: Ord>(&mut self, key: impl Fn(&T) -> K) {
        self.0.sort_by_key(|(_, value)| key(value));
    }
}

/// Every phase of several handovers once, each behind the one that it follows in the first handover
/// that has it.
pub fn all_phases<'a, T: 'a>(handovers: impl IntoIterator<Item = &'a ByPhase<T>>) -> Vec<Phase> {
    let mut all: Vec<Phase> = Vec::new();
    for handover in handovers {
        let mut place = 0;
        for phase in handover.phases() {
            let known = all.iter().position(|known| known == phase);
            if known.is_none() {
                all.insert(place, phase.clone());
            }
            place = known.unwrap_or(place) + 1;
        }
    }
    all
}

impl<T> Default for ByPhase<T> {
    fn default() -> ByPhase<T> {
        ByPhase(Vec::new())
    }
}

impl<T> FromIterator<(Phase, T)> for ByPhase<T> {
    /// The phases in the order of `values`. Of several values for a phase the last one counts.
    fn from_iter<I: IntoIterator<Item = (Phase, T)>>(values: I) -> ByPhase<T> {
        let mut by_phase: Vec<(Phase, T)> = Vec::new();
        for (phase, value) in values {
            match by_phase.iter_mut().find(|(known, _)| *known == phase) {
                Some((_, of_phase)) => *of_phase = value,
                None => by_phase.push((phase, value)),
            }
        }
        ByPhase(by_phase)
    }
}

impl<T: Serialize> Serialize for ByPhase<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByPhase<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByPhase<T>, D::Error> {
        struct InOrder<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = ByPhase<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("values by phase")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByPhase<T>, A::Error> {
                let entries = std::iter::from_fn(|| map.next_entry().transpose());
                entries.collect()
            }
        }

        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_phase(names: &[&'static str]) -> ByPhase<f64> {
        let place = |(i, name): (usize, &&'static str)| (Phase::named(name), i as f64);
        names.iter().enumerate().map(place).collect()
    }

    #[test]
    fn the_order_of_time_survives_json_with_phases_that_nobody_knows() {
        let known = by_phase(&[
            "trigger",
            "link",
            "home_registration",
            "link_again",
            "resume",
        ]);
        let text = serde_json::to_string(&known).unwrap();
        assert_eq!(
            text,
            r#"{"trigger":0.0,"link":1.0,"home_registration":2.0,"link_again":3.0,"resume":4.0}"#
        );
        assert_eq!(serde_json::from_str::<ByPhase<f64>>(&text).unwrap(), known);
    }

    #[test]
    fn the_phases_of_several_handovers_are_in_one_order() {
        let all = all_phases(&[
            by_phase(&["trigger", "link", "binding"]),
            by_phase(&["trigger", "hold", "link", "address", "binding", "resume"]),
            by_phase(&["link", "dad", "binding"]),
        ]);
        let names: Vec<&str> = all.iter().map(Phase::name).collect();
        assert_eq!(
            names,
            [
                "trigger", "hold", "link", "dad", "address", "binding", "resume"
            ]
        );
    }
}
