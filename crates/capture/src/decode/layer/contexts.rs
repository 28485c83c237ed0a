//! The contexts of 6LoWPAN header compression (RFC 6282 §3.1.1): prefixes that both ends know.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv6Net;
use units::PanId;

/// Prefixes by context: those that the user gave, and those that routers advertised in a PAN.
#[derive(Clone, Debug, Default)]
pub(super) struct Contexts {
    given: BTreeMap<u8, Ipv6Net>,
    learnt: BTreeMap<(PanId, u8), Ipv6Net>,
    /// What was learnt of each first.
    first: BTreeMap<(PanId, u8), Ipv6Net>,
    /// Wanted when they were not known.
    missed: BTreeSet<(PanId, u8)>,
}

impl Contexts {
    pub(super) fn new(given: BTreeMap<u8, Ipv6Net>) -> Contexts {
        Contexts {
            given,
            ..Contexts::default()
        }
    }

    /// Contexts of which nothing is learnt yet.
    pub(super) fn anew(&self) -> Contexts {
        Contexts::new(self.given.clone())
    }

    /// The prefix of a context in a PAN.
    pub(super) fn get(&mut self, pan: PanId, context: u8) -> Option<Ipv6Net> {
        let learnt = || self.learnt.get(&(pan, context));
        let known = self.given.get(&context).or_else(learnt).copied();
        if known.is_none() {
            self.missed.insert((pan, context));
        }
        known
    }

    /// A router of the PAN says so; none: the context is no longer valid.
    pub(super) fn learn(&mut self, pan: PanId, context: u8, prefix: Option<Ipv6Net>) {
        match prefix {
            Some(prefix) => {
                self.first.entry((pan, context)).or_insert(prefix);
                self.learnt.insert((pan, context), prefix)
            }
            None => self.learnt.remove(&(pan, context)),
        };
    }

    pub(super) fn learnt(&self) -> &BTreeMap<(PanId, u8), Ipv6Net> {
        &self.learnt
    }

    /// Contexts that begin with what these learnt first; none if nothing was wanted before it was
    /// learnt.
    pub(super) fn with_hindsight(&self) -> Option<Contexts> {
        let late = self.missed.iter().any(|key| self.first.contains_key(key));
        late.then(|| Contexts {
            given: self.given.clone(),
            learnt: self.first.clone(),
            ..Contexts::default()
        })
    }
}
