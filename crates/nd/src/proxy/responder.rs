//! The router's side: saying what it knows of the routers around it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::Ipv6Addr;

use machine::{Machine, Origin};
use units::{Eui64, SimTime};

use super::{Known, Neighbour, ProxyAdvertisement, ProxySolicitation, Wanted};
use crate::Transmit;
use crate::error::Invalid;

/// What is left for tuples of the minimum MTU of IPv6 by the headers before them: "without exceeding the link
/// MTU" (RFC 5568 §4).
const ROOM: usize = 1280 - 40 - 8 - 16;
/// Octets of an access point of which no router is known.
const NAMED: usize = 16;

/// A router that answers who asks about others. How it came to know them "is outside the scope" of
/// RFC 5568 (§4): it is told.
#[derive(Debug)]
pub struct Responder {
    own: Eui64,
    neighbours: Vec<Neighbour>,
    out: VecDeque<Transmit>,
}

impl Responder {
    /// A router with the link-layer address `own`, which is its access point's, too.
    pub fn new(own: Eui64, neighbours: Vec<Neighbour>) -> Responder {
        Responder {
            own,
            neighbours,
            out: VecDeque::new(),
        }
    }

    fn known(&self, access_point: Eui64) -> Known {
        let mut all = self.neighbours.iter();
        match all.find(|neighbour| neighbour.access_point == access_point) {
            Some(neighbour) => Known::Neighbour(neighbour.clone()),
            None if access_point == self.own => Known::SameLink(access_point),
            None => Known::Nothing(access_point),
        }
    }

    /// As much of what there is to say as there is room for, from the first on.
    fn fitting(all: impl Iterator<Item = Known>) -> Vec<Known> {
        let mut room = ROOM;
        let fits = |known: &Known| {
            let length = match known {
                Known::Neighbour(neighbour) => neighbour.length(),
                Known::SameLink(_) | Known::Nothing(_) | Known::NoFastHandover(_) => NAMED,
            };
            let left = room.checked_sub(length);
            room = left.unwrap_or(room);
            left.is_some()
        };
        all.take_while(fits).collect()
    }
}

impl Machine for Responder {
    type From = Origin;
    type To = Ipv6Addr;
    type Event = Infallible;
    type Ignored = Invalid;

    fn handle_datagram(&mut self, _: SimTime, from: Origin, icmpv6: &[u8]) -> Result<(), Invalid> {
        let solicitation = ProxySolicitation::decode(from.source, from.hop_limit, icmpv6)?;
        let known: Vec<Known> = match solicitation.wanted {
            Wanted::Any => {
                let all = self.neighbours.iter().cloned();
                Responder::fitting(all.map(Known::Neighbour))
            }
            Wanted::These(named) => {
                let named = named.into_iter();
                Responder::fitting(named.map(|access_point| self.known(access_point)))
            }
        };
        let advertisement = ProxyAdvertisement {
            identifier: solicitation.identifier,
            source_link_layer: Some(self.own),
            known,
        };
        self.out.push_back(Transmit {
            to: from.source,
            payload: advertisement.encode(),
        });
        Ok(())
    }

    fn handle_timeout(&mut self, _: SimTime) {}

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        None
    }

    fn poll_event(&mut self) -> Option<Infallible> {
        None
    }
}
