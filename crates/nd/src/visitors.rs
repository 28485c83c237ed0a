//! A router that answers certain hosts each by an advertisement of its own, when somebody has said what that
//! is: as a mobile access gateway does, which "before sending the Router Advertisement message containing the
//! mobile node's home network prefix(es) ... SHOULD complete the binding registration" (RFC 5213 §6.9.2).

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv6Addr;
use std::time::Duration;

use machine::{Machine, Origin};
use units::{Rng, SimTime};

use crate::Transmit;
use crate::error::Invalid;
use crate::message::RouterSolicitation;
use crate::random::uniform;

/// A host that is known.
#[derive(Clone, Debug, Default)]
struct Visitor {
    /// Its last solicitation is answered no earlier.
    not_before: Option<SimTime>,
    /// An advertisement for it, and when it is due.
    answer: Option<(SimTime, Vec<u8>)>,
}

/// A router's side towards hosts that have an advertisement each; a [`Machine`], whose event is the
/// link-local address of one that solicits. It sends to each of them alone.
#[derive(Debug)]
pub struct Visitors {
    max_response_delay: Duration,
    rng: Rng,
    known: BTreeMap<Ipv6Addr, Visitor>,
    out: VecDeque<Transmit>,
    came: VecDeque<Ipv6Addr>,
}

impl Visitors {
    /// For hosts with these link-local addresses. `max_response_delay` is MAX_RA_DELAY_TIME (RFC 4861
    /// §10): the longest random delay of an answer, counted from the solicitation.
    pub fn new(
        hosts: impl IntoIterator<Item = Ipv6Addr>,
        max_response_delay: Duration,
        rng: Rng,
    ) -> Visitors {
        let known = hosts.into_iter().map(|host| (host, Visitor::default()));
        Visitors {
            max_response_delay,
            rng,
            known: known.collect(),
            out: VecDeque::new(),
            came: VecDeque::new(),
        }
    }

    /// Sends a known host its advertisement: at once, or when the delay of its solicitation is over.
    pub fn advertise(&mut self, now: SimTime, host: Ipv6Addr, advertisement: Vec<u8>) {
        if let Some(visitor) = self.known.get_mut(&host) {
            let due = visitor.not_before.take().unwrap_or(now);
            visitor.answer = Some((due, advertisement));
        }
        self.handle_timeout(now);
    }

    /// A host is not to be advertised to any more, as long as nobody says otherwise.
    pub fn forget(&mut self, host: Ipv6Addr) {
        if let Some(visitor) = self.known.get_mut(&host) {
            *visitor = Visitor::default();
        }
    }
}

impl Machine for Visitors {
    type From = Origin;
    type To = Ipv6Addr;
    type Event = Ipv6Addr;
    type Ignored = Invalid;

    /// A solicitation. One that breaks a rule of RFC 4861 §6.1.1 is none; others than the known hosts are
    /// somebody else's.
    fn handle_datagram(
        &mut self,
        now: SimTime,
        from: Origin,
        icmpv6: &[u8],
    ) -> Result<(), Invalid> {
        let Origin { source, hop_limit } = from;
        RouterSolicitation::decode(source, hop_limit, icmpv6)?;
        let Some(visitor) = self.known.get_mut(&source) else {
            return Ok(());
        };
        // "A router MUST delay a response ... by a random time" (RFC 4861 §6.2.6).
        let delay = uniform(&mut self.rng, Duration::ZERO, self.max_response_delay);
        *visitor = Visitor {
            not_before: Some(now + delay),
            answer: None,
        };
        if !self.came.contains(&source) {
            self.came.push_back(source);
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: SimTime) {
        for (host, visitor) in &mut self.known {
            let is_due = |answer: &mut (SimTime, Vec<u8>)| answer.0 <= now;
            if let Some((_, payload)) = visitor.answer.take_if(is_due) {
                self.out.push_back(Transmit { to: *host, payload });
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        let answers = self
            .known
            .values()
            .filter_map(|visitor| visitor.answer.as_ref());
        answers.map(|(due, _)| *due).min()
    }

    fn poll_event(&mut self) -> Option<Ipv6Addr> {
        self.came.pop_front()
    }
}
