//! Which separate responses and notifications are copies of one that was received before.
//!
//! A copy has the same Message ID from the same endpoint within its lifetime (RFC 7252 §4.2, §4.3,
//! §4.5), and the same bytes, the Observe number among them: a server that notifies every
//! millisecond comes round its Message IDs sooner. A CON that was not acknowledged yet may be sent
//! again from where its node has moved to.

use std::collections::HashMap;
use std::time::Duration;

use coap::Kind;
use units::SimTime;

use super::super::clients::Message;
use super::super::message::Identity;
use super::{Pairing, Peer};

/// What a message was taken for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Exchange(usize),
    Observation(usize),
}

/// The latest message of each server with each Message ID.
#[derive(Debug, Default)]
pub(super) struct Recent(HashMap<(Peer, u16), (Identity, SimTime, Of)>);

impl Recent {
    pub(super) fn keep(&mut self, server: Peer, o: &Message<'_>, of: Of) {
        let key = (server, o.brief.message_id);
        self.0.insert(key, (o.brief.identity(), o.complete, of));
    }

    /// Forgets those that were received longer ago than `lifetime`.
    pub(super) fn forget(&mut self, now: SimTime, lifetime: Duration) {
        self.0
            .retain(|_, (_, time, _)| now.saturating_since(*time) <= lifetime);
    }
}

impl Pairing<'_> {
    /// What `o` was taken for when it was received before.
    pub(super) fn again(&self, server: Peer, o: &Message<'_>) -> Option<Of> {
        let lifetime = match o.brief.kind {
            Kind::Confirmable => self.options.exchange_lifetime(),
            _ => self.options.non_lifetime(),
        };
        let identity = o.brief.identity();
        let same = |(known, time, _): &&(Identity, SimTime, Of), within| {
            known.equals(&identity) && o.complete.saturating_since(*time) <= within
        };
        let here = self.recent.0.get(&(server, o.brief.message_id));
        if let Some((_, _, of)) = here.filter(|known| same(known, lifetime)) {
            return Some(*of);
        }
        if o.brief.kind != Kind::Confirmable {
            return None;
        }
        // It was the last thing that the observer received.
        let all = self.registrations.get(&o.brief.token)?.iter().rev();
        let mut last = all.filter_map(|index| self.exchanges[*index].notifications().last());
        let last = last.find(|last| last.message_id == o.brief.message_id && last.confirmable)?;
        let from = self.peers.get(&last.from)?;
        let before = self.recent.0.get(&(*from, last.message_id));
        let before = before.filter(|known| same(known, self.options.max_transmit_span));
        before.map(|(_, _, of)| *of)
    }
}
