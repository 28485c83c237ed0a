//! The node's side: asking the router that it is at about others.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

use machine::{Machine, Origin};
use rand_core::Rng as _;
use units::{Eui64, Rng, SimTime};

use super::{Known, Neighbour, ProxyAdvertisement, ProxySolicitation, Wanted};
use crate::Transmit;
use crate::error::Invalid;

/// RTSOLPR_RETRIES (RFC 5568 §9).
const RTSOLPR_RETRIES: usize = 3;
/// MAX_RTSOLPR_RATE (RFC 5568 §9), in a second.
const MAX_RTSOLPR_RATE: usize = 3;
/// "Twice the typical round trip time over the access link, or 100 milliseconds if RTT is not known"
/// (RFC 5568 §6.1.1).
const FIRST_TIMEOUT: Duration = Duration::from_millis(100);

/// A question under way.
#[derive(Debug)]
struct Asking {
    router: Ipv6Addr,
    identifier: u16,
    /// When it was sent, each time.
    sent: Vec<SimTime>,
    next: SimTime,
    timeout: Duration,
}

/// A node that asks its router about the others.
///
/// Commands: [`ask`](Self::ask), [`stop`](Self::stop). Input and output are those of [`Machine`]; an event
/// is what an answer says of one access point with a router of its own.
#[derive(Debug)]
pub struct Requester {
    own: Eui64,
    rng: Rng,
    asking: Option<Asking>,
    out: VecDeque<Transmit>,
    heard: VecDeque<Neighbour>,
}

impl Requester {
    /// A node with the link-layer address `own` that asks nobody yet. `rng` makes identifiers.
    pub fn new(own: Eui64, rng: Rng) -> Requester {
        Requester {
            own,
            rng,
            asking: None,
            out: VecDeque::new(),
            heard: VecDeque::new(),
        }
    }

    /// Asks `router`, by its link-local address, at the instant `at` about all access points that it knows.
    /// An earlier question is forgotten.
    pub fn ask(&mut self, at: SimTime, router: Ipv6Addr) {
        self.stop();
        self.asking = Some(Asking {
            router,
            identifier: self.rng.next_u32() as u16,
            sent: Vec::new(),
            next: at,
            timeout: FIRST_TIMEOUT,
        });
    }

    /// Asks nobody any more; what was not fetched yet is not sent.
    pub fn stop(&mut self) {
        self.asking = None;
        self.out.clear();
    }
}

impl Machine for Requester {
    type From = Origin;
    type To = Ipv6Addr;
    type Event = Neighbour;
    type Ignored = Invalid;

    /// An advertisement. One that nobody asked for changes nothing: who is not the router that the node is
    /// at has no say in where it goes.
    fn handle_datagram(&mut self, _: SimTime, from: Origin, icmpv6: &[u8]) -> Result<(), Invalid> {
        let advertisement = ProxyAdvertisement::decode(from.source, from.hop_limit, icmpv6)?;
        let asked = |asking: &&Asking| {
            let answers = asking.identifier == advertisement.identifier;
            answers && asking.router == from.source && !asking.sent.is_empty()
        };
        if self.asking.as_ref().filter(asked).is_none() {
            return Err(Invalid::NotAsked);
        }
        self.stop();
        for known in advertisement.known {
            if let Known::Neighbour(neighbour) = known {
                self.heard.push_back(neighbour);
            }
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: SimTime) {
        let Some(asking) = self.asking.as_mut().filter(|asking| asking.next <= now) else {
            return;
        };
        if asking.sent.len() > RTSOLPR_RETRIES {
            self.asking = None;
            return;
        }
        let solicitation = ProxySolicitation {
            identifier: asking.identifier,
            source_link_layer: Some(self.own),
            wanted: Wanted::Any,
        };
        self.out.push_back(Transmit {
            to: asking.router,
            payload: solicitation.encode(),
        });
        asking.sent.push(now);
        let recent = asking.sent.iter().rev().nth(MAX_RTSOLPR_RATE - 1);
        let rate = recent.map_or(now, |oldest| *oldest + Duration::from_secs(1));
        asking.next = rate.max(now + asking.timeout);
        asking.timeout *= 2;
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        self.asking.as_ref().map(|asking| asking.next)
    }

    fn poll_event(&mut self) -> Option<Neighbour> {
        self.heard.pop_front()
    }
}
