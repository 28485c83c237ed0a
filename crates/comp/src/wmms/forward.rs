//! What the WMMS passes on to the correspondents: holds and bindings.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddrV6};

use coap::{Code, RequestId, Response};
use units::SimTime;

use super::Wmms;
use crate::codec::{self, Command, Lifetime};

/// What is being passed on to one correspondent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forward {
    p_addr: Ipv6Addr,
    pub(super) correspondent: SocketAddrV6,
    is_hold: bool,
}

impl Wmms {
    /// Passes a binding on; returns it.
    pub(super) fn forward_binding(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        t_addr: Ipv6Addr,
        lifetime: Lifetime,
        told: BTreeSet<SocketAddrV6>,
    ) -> Command {
        self.mmt.set_telling(p_addr, !told.is_empty());
        let command = Command::BindingUpdate {
            p_addr,
            t_addr,
            lifetime,
        };
        self.forward(now, p_addr, &command, told);
        command
    }

    /// Passes a command on to correspondents, with the number of the message that caused it.
    /// Returns the requests that are answered soon: not those to nodes on hold.
    pub(super) fn forward(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        command: &Command,
        told: BTreeSet<SocketAddrV6>,
    ) -> BTreeSet<RequestId> {
        let mut ids = BTreeSet::new();
        let sequence = self.mmt.sequence(p_addr);
        for correspondent in told {
            let away = self.keep_back_if_away(correspondent);
            let id = command.send(now, &mut self.endpoint, correspondent, sequence);
            let is_hold = matches!(command, Command::Hold { .. });
            self.forwards.insert(
                id,
                Forward {
                    p_addr,
                    correspondent,
                    is_hold,
                },
            );
            self.forwards_of.entry(p_addr).or_default().insert(id);
            if !away {
                ids.insert(id);
            }
        }
        ids
    }

    /// Gives up what is on its way about a node, and its hold without an answer: the node has
    /// left the place from which it asked. Returns the correspondents that it cannot tell, those
    /// included to whom a binding was still on its way.
    pub(super) fn forget_forwards(&mut self, p_addr: Ipv6Addr) -> BTreeSet<SocketAddrV6> {
        let mut unserved = self.unserved.remove(&p_addr).unwrap_or_default();
        for id in self.forwards_of.remove(&p_addr).unwrap_or_default() {
            if let Some(forward) = self.forwards.remove(&id).filter(|f| !f.is_hold) {
                unserved.insert(forward.correspondent);
            }
            self.endpoint.cancel(id);
        }
        self.take_hold(p_addr);
        unserved
    }

    /// A correspondent answered, or did not.
    pub(super) fn forward_ended(
        &mut self,
        now: SimTime,
        id: RequestId,
        response: Option<&Response>,
    ) {
        let Some(forward) = self.forwards.remove(&id) else {
            return;
        };
        let Forward {
            p_addr,
            correspondent,
            is_hold,
        } = forward;
        if let Some(ids) = self.forwards_of.get_mut(&p_addr) {
            ids.remove(&id);
            if ids.is_empty() {
                self.forwards_of.remove(&p_addr);
                self.mmt.set_telling(p_addr, false);
            }
        }
        match response {
            // It has heard something newer from the node itself.
            Some(response) if codec::parse_outdated(response).is_some() => {
                if let Some(unserved) = self.unserved.get_mut(&p_addr) {
                    unserved.remove(&correspondent);
                }
            }
            Some(response) if is_hold => self.hold_acknowledged(p_addr, correspondent, response),
            Some(response) if response.code == Code::CHANGED => {}
            _ => self.forget_correspondent(p_addr, correspondent),
        }
        if let Some(hold) = self.holds.get_mut(&p_addr) {
            hold.awaiting.remove(&id);
            self.answer_hold_if_told(now, p_addr);
        }
    }

    pub(super) fn hold_acknowledged(
        &mut self,
        p_addr: Ipv6Addr,
        correspondent: SocketAddrV6,
        response: &Response,
    ) {
        match codec::parse_hold_response(response) {
            Ok(0) => {}
            Ok(sequence_number) => {
                self.mmt.set_sequence_number(p_addr, sequence_number);
                if let Some(unserved) = self.unserved.get_mut(&p_addr) {
                    unserved.remove(&correspondent);
                }
            }
            Err(_) => self.forget_correspondent(p_addr, correspondent),
        }
    }

    /// Somebody is no correspondent of a node any more: what is on its way to it is given up.
    pub(super) fn stop_telling(&mut self, p_addr: Ipv6Addr, displaced: SocketAddrV6) {
        let is_for = |id: &&RequestId| {
            (self.forwards.get(id)).is_some_and(|forward| forward.correspondent == displaced)
        };
        let ids = self.forwards_of.get(&p_addr).into_iter().flatten();
        for id in ids.filter(is_for).copied().collect::<Vec<_>>() {
            self.endpoint.cancel(id);
        }
        self.forget_correspondent(p_addr, displaced);
    }

    pub(super) fn forget_correspondent(&mut self, p_addr: Ipv6Addr, correspondent: SocketAddrV6) {
        self.mmt.remove_correspondent(p_addr, correspondent);
        if let Some(unserved) = self.unserved.get_mut(&p_addr) {
            unserved.remove(&correspondent);
        }
    }
}
