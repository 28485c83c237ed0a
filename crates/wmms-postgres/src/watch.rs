//! Who lives, as far as one instance has seen, and what follows for its shards.
//!
//! Every instance counts up a number of its own in the database, its *beat*, several times in a *lease*. No clock
//! is compared with another's: whose beat stood still for one and a half leases of the clock of who looks at it is
//! dead. An instance that could not beat for a lease serves nobody any more, so that it has stopped before
//! another takes its shards over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use units::SimTime;

use crate::shard::Shard;

/// Leases without a beat after which an instance is dead, in halves: one and a half.
const DEAD_AFTER_HALVES: u32 = 3;

/// What one instance knows of another.
#[derive(Clone, Copy, Debug)]
struct Seen {
    beat: i64,
    since: SimTime,
    /// It has beaten while it was looked at.
    lives: bool,
}

/// The beats that one instance has seen.
#[derive(Clone, Debug)]
pub struct Watch {
    me: String,
    dead_after: Duration,
    seen: BTreeMap<String, Seen>,
}

/// What an instance has to do about its shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Duty {
    /// Those that it is to take over.
    pub claim: BTreeSet<Shard>,
    /// Those that it is to leave to another.
    pub let_go: BTreeSet<Shard>,
}

impl Watch {
    /// Nothing seen yet.
    pub fn new(me: &str, lease: Duration) -> Watch {
        Watch {
            me: me.to_owned(),
            dead_after: lease * DEAD_AFTER_HALVES / 2,
            seen: BTreeMap::new(),
        }
    }

    /// These are all instances that are there with their beats, at `now`.
    pub fn look(&mut self, now: SimTime, beats: &BTreeMap<String, i64>) {
        self.seen.retain(|name, _| beats.contains_key(name));
        for (name, beat) in beats {
            let new = Seen {
                beat: *beat,
                since: now,
                lives: false,
            };
            let seen = self.seen.entry(name.clone()).or_insert(new);
            if seen.beat != *beat {
                *seen = Seen { lives: true, ..new };
            }
        }
    }

    /// The database was away: nobody could beat, and nobody is dead for that.
    pub fn look_away(&mut self, now: SimTime) {
        for seen in self.seen.values_mut() {
            seen.since = now;
            seen.lives = false;
        }
    }

    /// Whether `name` has not beaten for too long, or is not there at all.
    pub fn is_dead(&self, now: SimTime, name: &str) -> bool {
        name != self.me
            && (self.seen.get(name))
                .is_none_or(|seen| now.saturating_since(seen.since) >= self.dead_after)
    }

    /// Whether `name` was seen to beat, and is not dead: what is for it may be left to it.
    pub fn lives(&self, now: SimTime, name: &str) -> bool {
        let beaten = self.seen.get(name).is_some_and(|seen| seen.lives);
        name == self.me || beaten && !self.is_dead(now, name)
    }

    /// What to do, if the database says who has which shard and these are `held` here.
    ///
    /// A shard goes to an instance only if that was seen to live, and is taken only from nobody and from the dead.
    pub fn duty(
        &self,
        now: SimTime,
        owners: &BTreeMap<Shard, Option<String>>,
        held: &BTreeSet<Shard>,
    ) -> Duty {
        let all = || self.seen.keys().chain([&self.me]).map(String::as_str);
        let mut duty = Duty::default();
        for (shard, owner) in owners {
            let owner = owner.as_deref();
            let is_for_me = |possible: &dyn Fn(&str) -> bool| {
                shard.owner(all().filter(|name| possible(name))) == Some(&self.me)
            };
            if held.contains(shard) || owner == Some(&self.me) {
                // One that is this instance's and not held is from an earlier life, or was to be let go and could not.
                match is_for_me(&|name| self.lives(now, name)) {
                    true if held.contains(shard) => {}
                    true => drop(duty.claim.insert(*shard)),
                    false => drop(duty.let_go.insert(*shard)),
                }
            } else if owner.is_none_or(|owner| self.is_dead(now, owner))
                && is_for_me(&|name| !self.is_dead(now, name))
            {
                duty.claim.insert(*shard);
            }
        }
        duty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(2);

    fn at(millis: u64) -> SimTime {
        SimTime::ZERO + Duration::from_millis(millis)
    }

    fn beats<const N: usize>(beats: [(&str, i64); N]) -> BTreeMap<String, i64> {
        beats.map(|(name, beat)| (name.to_owned(), beat)).into()
    }

    fn owners(owner: Option<&str>) -> BTreeMap<Shard, Option<String>> {
        Shard::all()
            .map(|s| (s, owner.map(str::to_owned)))
            .collect()
    }

    #[test]
    fn who_does_not_beat_is_dead_after_one_and_a_half_leases_and_not_before() {
        let mut watch = Watch::new("a", LEASE);
        watch.look(at(0), &beats([("a", 1), ("b", 7)]));
        assert!(!watch.lives(at(0), "b"), "it has not beaten yet");
        watch.look(at(500), &beats([("a", 2), ("b", 8)]));
        assert!(watch.lives(at(500), "b"));
        watch.look(at(3499), &beats([("a", 9), ("b", 8)]));
        assert!(!watch.is_dead(at(3499), "b"));
        assert!(watch.is_dead(at(3500), "b") && !watch.lives(at(3500), "b"));
        assert!(watch.lives(at(9000), "a"), "who looks lives");
    }

    #[test]
    fn nobody_is_dead_because_the_database_was_away() {
        let mut watch = Watch::new("a", LEASE);
        watch.look(at(0), &beats([("a", 1), ("b", 7)]));
        watch.look_away(at(60_000));
        watch.look(at(60_000), &beats([("a", 1), ("b", 7)]));
        assert!(!watch.is_dead(at(62_999), "b"));
        assert!(watch.is_dead(at(63_000), "b"));
    }

    #[test]
    fn the_first_instance_takes_all_shards() {
        let mut watch = Watch::new("a", LEASE);
        watch.look(at(0), &beats([("a", 1)]));
        let duty = watch.duty(at(0), &owners(None), &BTreeSet::new());
        assert_eq!(duty.claim, Shard::all().collect());
        assert!(duty.let_go.is_empty());
    }

    #[test]
    fn a_second_one_is_left_its_own_when_it_has_beaten_and_all_when_the_first_is_dead() {
        let (mut a, mut b) = (Watch::new("a", LEASE), Watch::new("b", LEASE));
        let all: BTreeSet<Shard> = Shard::all().collect();
        let of_a = owners(Some("a"));
        for watch in [&mut a, &mut b] {
            watch.look(at(0), &beats([("a", 5), ("b", 1)]));
        }
        assert_eq!(a.duty(at(0), &of_a, &all), Duty::default());
        assert_eq!(b.duty(at(0), &of_a, &BTreeSet::new()), Duty::default());
        for watch in [&mut a, &mut b] {
            watch.look(at(500), &beats([("a", 6), ("b", 2)]));
        }
        let let_go = a.duty(at(500), &of_a, &all).let_go;
        assert!(!let_go.is_empty() && let_go.len() < all.len());
        let mut owners = of_a.clone();
        for shard in &let_go {
            owners.insert(*shard, None);
        }
        let claimed = b.duty(at(500), &owners, &BTreeSet::new()).claim;
        assert_eq!(claimed, let_go, "it takes what it is left");
        b.look(at(4000), &beats([("a", 6), ("b", 9)]));
        let all_claimed = b.duty(at(4000), &of_a, &BTreeSet::new()).claim;
        assert_eq!(all_claimed, all);
    }

    #[test]
    fn an_instance_that_starts_again_takes_what_was_its_own_at_once() {
        let mut watch = Watch::new("a", LEASE);
        watch.look(at(0), &beats([("a", 1), ("b", 1)]));
        let mut owners = owners(Some("b"));
        let own: BTreeSet<Shard> = Shard::all().take(9).collect();
        for shard in &own {
            owners.insert(*shard, Some("a".into()));
        }
        assert_eq!(watch.duty(at(0), &owners, &BTreeSet::new()).claim, own);
    }

    #[test]
    fn what_could_not_be_let_go_is_let_go_again() {
        let mut watch = Watch::new("a", LEASE);
        watch.look(at(0), &beats([("a", 1), ("b", 1)]));
        watch.look(at(500), &beats([("a", 2), ("b", 2)]));
        let duty = watch.duty(at(500), &owners(Some("a")), &BTreeSet::new());
        let of_b: BTreeSet<Shard> = Shard::all()
            .filter(|s| s.owner(["a", "b"]) == Some("b"))
            .collect();
        let of_a = Shard::all().filter(|s| !of_b.contains(s)).collect();
        assert_eq!((duty.claim, duty.let_go), (of_a, of_b));
    }

    #[test]
    fn what_is_held_is_not_left_to_one_of_whom_nothing_was_heard() {
        let mut watch = Watch::new("a", LEASE);
        watch.look(at(0), &beats([("a", 1), ("b", 1)]));
        let held = Shard::all().collect();
        assert_eq!(
            watch.duty(at(0), &owners(Some("a")), &held).let_go,
            BTreeSet::new()
        );
    }
}
