//! Binding caches (RFC 6275 §9.1): where each home address is, until when, and the last sequence
//! number of each.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use machine::Deadlines;
use units::{Sequence, SimTime};

use crate::codec::Lifetime;

/// What a binding cache tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// What goes to a home address goes to this care-of address now.
    Bound {
        /// Whose address.
        home_address: Ipv6Addr,
        /// Where it is.
        care_of: Ipv6Addr,
        /// Where it was, if there was a binding.
        previous: Option<Ipv6Addr>,
        /// For how long.
        lifetime: Lifetime,
    },
    /// What goes to a home address goes there again.
    Removed {
        /// Whose address.
        home_address: Ipv6Addr,
        /// Where it was.
        care_of: Ipv6Addr,
        /// Why.
        reason: Removal,
    },
}

/// Why a binding is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The mobile node has deleted it.
    Requested,
    /// Its lifetime has ended.
    Expired,
    /// Its owner has removed it (RFC 6275 §9.3.4).
    Unreachable,
}

/// A binding that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The care-of address.
    pub care_of: Ipv6Addr,
    /// When it ends.
    pub expires: SimTime,
}

/// A home address that something is known of.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The last number accepted.
    sequence: Sequence,
    binding: Option<Binding>,
    /// Until when the number is kept although there is no binding any more.
    keep_until: SimTime,
}

impl Entry {
    fn deadline(&self) -> SimTime {
        self.binding.map_or(self.keep_until, |b| b.expires)
    }
}

/// Bindings by home address.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    entries: BTreeMap<Ipv6Addr, Entry>,
    deadlines: Deadlines<Ipv6Addr>,
    limit: usize,
    /// How long after an update its number is kept at least.
    keep: Duration,
}

impl Cache {
    /// An empty one, for `limit` home addresses.
    pub(crate) fn new(limit: usize, keep: Duration) -> Cache {
        Cache {
            entries: BTreeMap::new(),
            deadlines: Deadlines::new(),
            limit,
            keep,
        }
    }

    pub(crate) fn binding(&self, home: Ipv6Addr) -> Option<&Binding> {
        self.entries.get(&home)?.binding.as_ref()
    }

    /// Whether a home address is bound to a care-of address.
    pub(crate) fn is_bound_at(&self, home: Ipv6Addr, care_of: Ipv6Addr) -> bool {
        self.binding(home)
            .is_some_and(|binding| binding.care_of == care_of)
    }

    pub(crate) fn bindings(&self) -> impl Iterator<Item = (Ipv6Addr, &Binding)> {
        let entries = self.entries.iter();
        entries.filter_map(|(home, entry)| Some((*home, entry.binding.as_ref()?)))
    }

    /// The last number accepted of a home address.
    pub(crate) fn last(&self, home: Ipv6Addr) -> Option<Sequence> {
        self.entries.get(&home).map(|entry| entry.sequence)
    }

    /// How many home addresses take room.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is room for a home address.
    pub(crate) fn has_room(&self, home: Ipv6Addr) -> bool {
        self.entries.contains_key(&home) || self.entries.len() < self.limit
    }

    /// Makes or changes a binding.
    pub(crate) fn bind(
        &mut self,
        now: SimTime,
        home: Ipv6Addr,
        care_of: Ipv6Addr,
        sequence: Sequence,
        lifetime: Lifetime,
    ) -> Change {
        let binding = Binding {
            care_of,
            expires: now + lifetime.duration(),
        };
        let previous = self.binding(home).map(|binding| binding.care_of);
        self.insert(
            home,
            Entry {
                sequence,
                binding: Some(binding),
                keep_until: now + self.keep,
            },
        );
        Change::Bound {
            home_address: home,
            care_of,
            previous,
            lifetime,
        }
    }

    /// Ends a binding, if there is one. Its number is kept for `keep` from now on, or for as long as
    /// the cache keeps all.
    pub(crate) fn unbind(
        &mut self,
        now: SimTime,
        home: Ipv6Addr,
        sequence: Option<Sequence>,
        keep: Duration,
        reason: Removal,
    ) -> Option<Change> {
        let mut entry = *self.entries.get(&home)?;
        let binding = entry.binding.take()?;
        entry.sequence = sequence.unwrap_or(entry.sequence);
        entry.keep_until = entry.keep_until.max(now + keep);
        self.insert(home, entry);
        Some(Change::Removed {
            home_address: home,
            care_of: binding.care_of,
            reason,
        })
    }

    fn insert(&mut self, home: Ipv6Addr, entry: Entry) {
        self.deadlines.set(home, entry.deadline());
        self.entries.insert(home, entry);
    }

    pub(crate) fn poll_timeout(&self) -> Option<SimTime> {
        self.deadlines.next()
    }

    /// What has ended: "any Binding Cache entry MUST be deleted after the expiration of its lifetime"
    /// (RFC 6275 §9.5.2).
    pub(crate) fn expire(&mut self, now: SimTime) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some(home) = self.deadlines.take_due(now) {
            let Some(mut entry) = self.entries.remove(&home) else {
                continue;
            };
            if let Some(binding) = entry.binding.take() {
                changes.push(Change::Removed {
                    home_address: home,
                    care_of: binding.care_of,
                    reason: Removal::Expired,
                });
                if entry.keep_until > now {
                    self.insert(home, entry);
                }
            }
        }
        changes
    }
}
