//! What a node hears of that others say of it.
//!
//! Among strangers ([`coap::Params::verify_sources`]) whatever is said of a node from elsewhere than its
//! T_Addr is told there, so that a node that is there still says so. Of one that has moved it costs what
//! is sent to an address that nobody has. A T_Addr may be anybody's: where nobody has shown that it is
//! there, one message goes out that is not repeated, and nothing is kept of it.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddrV6};

use coap::Reliability;
use coap::message::PORT;
use units::SimTime;

use super::Wmms;
use crate::codec::Command;

/// Who is to hear that somebody else has spoken for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notice {
    to: SocketAddrV6,
    /// Somebody has shown that it is there.
    proven: bool,
}

impl Wmms {
    /// Whether a node is to hear what `from` says of it, at its T_Addr as it is before. Not if `from` is
    /// there, unless it says that the node is elsewhere, at `present`: a node says so from its new
    /// address. Nor if it has said, by a hold from there, that it leaves, and `from` is where it is
    /// now; a sleep is no such hold.
    pub(super) fn overheard(
        &self,
        now: SimTime,
        from: SocketAddrV6,
        p_addr: Ipv6Addr,
        present: Option<Ipv6Addr>,
    ) -> Option<Notice> {
        let entry = self.mmt.get(p_addr)?;
        let source = *from.ip();
        let left = self.away.has_left(p_addr) && entry.sleep_ends.is_none();
        let is_own = source == entry.t_addr && present.is_none_or(|present| present == source);
        let is_expected = is_own || left && present == Some(source);
        if !self.config.coap.verify_sources || is_expected {
            return None;
        }
        let to = SocketAddrV6::new(entry.t_addr, PORT, 0, 0);
        let proven = entry.extra.source == entry.t_addr || self.endpoint.has_proved(now, to);
        Some(Notice { to, proven })
    }

    /// Tells it.
    pub(super) fn give_notice(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        notice: Option<Notice>,
        command: &Command,
    ) {
        match notice {
            None => {}
            Some(Notice { to, proven: true }) => {
                self.forward(now, p_addr, command, BTreeSet::from([to]));
            }
            Some(Notice { to, proven: false }) => {
                let request = command.numbered(self.mmt.sequence(p_addr));
                let once = Reliability::NonConfirmable;
                let id = self.endpoint.request(now, to, once, request);
                self.endpoint.cancel(id);
            }
        }
    }
}
