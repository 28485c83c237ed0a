//! Holds: how they are passed on, answered and ended.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::{ExchangeId, RequestId};
use units::SimTime;

use super::Wmms;
use crate::codec::{self, Command};
use crate::limits::Limit;
use crate::resource;
use crate::sequence::Sequence;

/// The longest hold without a period: EXCHANGE_LIFETIME (RFC 7252 §4.8.2), after which no message of
/// the handover that it was for can arrive any more. H_Flag is 0 then, until the node says more.
pub const MAX_HOLD: Duration = Duration::from_secs(247);

/// A hold that is not answered yet.
#[derive(Debug, Default)]
pub(super) struct PendingHold {
    /// The node's request, and repeated ones, with who sent them.
    pub(super) exchanges: Vec<(ExchangeId, Ipv6Addr)>,
    /// What has to be acknowledged first.
    pub(super) awaiting: BTreeSet<RequestId>,
}

impl Wmms {
    pub(super) fn hold(
        &mut self,
        now: SimTime,
        exchange: ExchangeId,
        from: SocketAddrV6,
        p_addr: Ipv6Addr,
        sleep: Option<Duration>,
        sequence: Option<Sequence>,
    ) {
        if self.holds_of.of(*from.ip()) >= self.config.limits.holds_per_source {
            let response = self.refuse(Limit::HoldsPerSource);
            return self.endpoint.respond(now, exchange, response);
        }
        let entry = self.mmt.get(p_addr);
        let was_held = entry.is_some_and(|entry| entry.held);
        let is_own = entry.is_some_and(|entry| self.is_there(*from.ip(), entry.t_addr));
        let notice = self.overheard(now, from, p_addr, None);
        if !self.mmt.hold(now, p_addr, sleep) {
            let response = resource::unknown_node(p_addr);
            return self.endpoint.respond(now, exchange, response);
        }
        self.mmt.set_sequence(p_addr, sequence);
        if !was_held {
            self.changed(p_addr);
        }
        let exchanges = self.take_hold(p_addr);
        self.forget_forwards(p_addr);
        self.mmt.set_telling(p_addr, false);
        let told = self.correspondents(p_addr);
        self.unserved.insert(p_addr, told.clone());
        let command = Command::Hold { p_addr, sleep };
        let awaiting = self.forward(now, p_addr, &command, told);
        let exchanges: Vec<_> = (exchanges.into_iter())
            .chain([(exchange, *from.ip())])
            .collect();
        for (_, source) in &exchanges {
            self.holds_of.take(*source);
        }
        self.holds.insert(
            p_addr,
            PendingHold {
                exchanges,
                awaiting,
            },
        );
        self.hold_deadlines
            .set(p_addr, now + self.config.hold_timeout);
        match sleep {
            None => self.hold_ends.set(p_addr, now + MAX_HOLD),
            Some(_) => self.hold_ends.clear(p_addr),
        }
        match is_own {
            true => self.correspondent_leaves(now, p_addr),
            false => self.correspondent_returns(now, p_addr),
        }
        self.give_notice(now, p_addr, notice, &command);
        self.answer_hold_if_told(now, p_addr);
    }

    pub(super) fn answer_hold_if_told(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        if (self.holds.get(&p_addr)).is_some_and(|hold| hold.awaiting.is_empty()) {
            self.answer_hold(now, p_addr);
        }
    }

    /// Takes a pending hold away; returns who waits for its answer.
    pub(super) fn take_hold(&mut self, p_addr: Ipv6Addr) -> Vec<(ExchangeId, Ipv6Addr)> {
        self.hold_deadlines.clear(p_addr);
        let exchanges = self.holds.remove(&p_addr).unwrap_or_default().exchanges;
        for (_, source) in &exchanges {
            self.holds_of.give_back(*source);
        }
        exchanges
    }

    pub(super) fn answer_hold(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        let sequence_number = self.mmt.get(p_addr).map_or(0, |e| e.extra.sequence_number);
        for (exchange, _) in self.take_hold(p_addr) {
            let response = codec::hold_response(sequence_number);
            self.endpoint.respond(now, exchange, response);
        }
    }

    /// The entry ended before the hold was answered.
    pub(super) fn refuse_hold(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        for (exchange, _) in self.take_hold(p_addr) {
            let response = resource::unknown_node(p_addr);
            self.endpoint.respond(now, exchange, response);
        }
    }

    /// A hold has ended without a word of its node. The correspondents know the period of a sleep,
    /// and have their own patience with a hold that has none.
    pub(super) fn hold_is_over(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        self.unserved.remove(&p_addr);
        self.correspondent_returns(now, p_addr);
        self.changed(p_addr);
    }
}
