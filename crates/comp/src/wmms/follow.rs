//! Correspondents that are registered nodes themselves: they move, and on hold they are away.
//!
//! Correspondents are kept by address, as they asked. Those at the T_Addr of a registered node are
//! that node, and go with it when it binds to another: what is on its way to them, too. To one that
//! is on hold nothing is passed on before it is back, when it is told at once, of bindings in either
//! mode, because the node that it asks cannot reach it; and nobody's hold waits for it, since a
//! node on hold sends no requests.
//!
//! Among strangers ([`coap::Params::verify_sources`]) only its source has shown where it is. A T_Addr that
//! is another address is somebody else's for all that is known: what is said of the node there moves
//! nobody, keeps nothing back, and has nothing sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddrV6};

use units::SimTime;

use super::Wmms;

/// The nodes on hold.
#[derive(Debug, Default)]
pub(super) struct Away {
    /// T_Addr of every node on hold.
    places: BTreeMap<Ipv6Addr, Ipv6Addr>,
    /// Their P_Addrs, by T_Addr, and the correspondents there to whom something was kept back.
    at: BTreeMap<Ipv6Addr, Place>,
}

#[derive(Debug, Default)]
struct Place {
    nodes: BTreeSet<Ipv6Addr>,
    kept_back: BTreeSet<SocketAddrV6>,
}

impl Away {
    /// `p_addr` at `t_addr` is on hold.
    pub(super) fn leaves(&mut self, p_addr: Ipv6Addr, t_addr: Ipv6Addr) {
        self.places.insert(p_addr, t_addr);
        self.at.entry(t_addr).or_default().nodes.insert(p_addr);
    }

    /// Whether `p_addr` is on hold.
    pub(super) fn has_left(&self, p_addr: Ipv6Addr) -> bool {
        self.places.contains_key(&p_addr)
    }

    /// Whether a node at `t_addr` is on hold.
    pub(super) fn is_at(&self, t_addr: Ipv6Addr) -> bool {
        self.at.contains_key(&t_addr)
    }

    /// `p_addr` is not on hold any more; returns to whom something was kept back, if nobody else
    /// there is on hold.
    fn returns(&mut self, p_addr: Ipv6Addr) -> BTreeSet<SocketAddrV6> {
        let Some(t_addr) = self.places.remove(&p_addr) else {
            return BTreeSet::new();
        };
        let Some(place) = self.at.get_mut(&t_addr) else {
            return BTreeSet::new();
        };
        place.nodes.remove(&p_addr);
        if !place.nodes.is_empty() {
            return BTreeSet::new();
        }
        self.at.remove(&t_addr).unwrap_or_default().kept_back
    }
}

impl Wmms {
    /// Whether what `from` says of a node at `t_addr` is said of the correspondents there, too.
    pub(super) fn is_there(&self, from: Ipv6Addr, t_addr: Ipv6Addr) -> bool {
        !self.config.coap.verify_sources || from == t_addr
    }

    /// Where an entry's node is as a correspondent, too: [`Wmms::is_there`] of who said so last.
    pub(super) fn place_of(&self, p_addr: Ipv6Addr) -> Option<Ipv6Addr> {
        let entry = self.mmt.get(p_addr)?;
        (self.is_there(entry.extra.source, entry.t_addr)).then_some(entry.t_addr)
    }

    /// A node is on hold: nothing is passed on to it, and no hold waits for it.
    pub(super) fn correspondent_leaves(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        let Some(t_addr) = self.mmt.get(p_addr).map(|entry| entry.t_addr) else {
            return;
        };
        self.away.leaves(p_addr, t_addr);
        for node in self.mmt.asked_by(t_addr) {
            let ids: Vec<_> = (self.forwards_of.get(&node).into_iter().flatten())
                .filter_map(|id| Some((*id, self.forwards.get(id)?.correspondent)))
                .filter(|(_, correspondent)| *correspondent.ip() == t_addr)
                .collect();
            for (id, correspondent) in ids {
                self.keep_back_if_away(correspondent);
                if let Some(hold) = self.holds.get_mut(&node) {
                    hold.awaiting.remove(&id);
                }
            }
            self.answer_hold_if_told(now, node);
        }
    }

    /// Whether a correspondent is on hold; then nothing is sent to it before it is back.
    pub(super) fn keep_back_if_away(&mut self, correspondent: SocketAddrV6) -> bool {
        let Some(place) = self.away.at.get_mut(correspondent.ip()) else {
            return false;
        };
        if place.kept_back.insert(correspondent) {
            self.endpoint.keep_back(correspondent);
        }
        true
    }

    /// A node is not on hold any more, or gone: what was kept back goes out.
    pub(super) fn correspondent_returns(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        for correspondent in self.away.returns(p_addr) {
            self.endpoint.retry(now, correspondent);
        }
    }

    /// A node is where it was, and has not been on hold: what is on its way to the correspondents
    /// there goes out once more, in case it was away without a word.
    pub(super) fn correspondent_is_back(&mut self, now: SimTime, t_addr: Ipv6Addr) {
        if self.away.is_at(t_addr) {
            return;
        }
        let waiting: BTreeSet<SocketAddrV6> = (self.mmt.asked_by(t_addr).iter())
            .filter_map(|node| self.forwards_of.get(node))
            .flatten()
            .filter_map(|id| Some(self.forwards.get(id)?.correspondent))
            .filter(|correspondent| *correspondent.ip() == t_addr)
            .collect();
        for correspondent in waiting {
            self.endpoint.retry(now, correspondent);
        }
    }

    /// A node has moved: so have the correspondents at its T_Addr, and what is on its way to them.
    /// The nodes that they ask may not know them where they are now. Among strangers it is the one at
    /// the port from which the node speaks: there it has shown that it is.
    pub(super) fn correspondent_moves(
        &mut self,
        now: SimTime,
        former: Ipv6Addr,
        present: SocketAddrV6,
    ) {
        let port = (self.config.coap.verify_sources).then_some(present.port());
        let present = *present.ip();
        for (node, correspondent, enrolled) in self.mmt.move_correspondents(former, present, port) {
            if !enrolled {
                self.stop_telling(node, correspondent);
                continue;
            }
            let mut moved = correspondent;
            moved.set_ip(present);
            let unserved = self.unserved.entry(node).or_default();
            unserved.remove(&correspondent);
            unserved.insert(moved);
            for id in self.forwards_of.get(&node).into_iter().flatten() {
                if let Some(forward) = self.forwards.get_mut(id)
                    && forward.correspondent == correspondent
                {
                    forward.correspondent = moved;
                }
            }
            self.endpoint.retarget(now, correspondent, moved);
        }
    }
}
