//! For tests: an endpoint whose node is told where the one that it asks is.

use std::net::{Ipv6Addr, SocketAddrV6};

use coap::link::Link;
use coap::{Endpoint, ExchangeId, Observation, Reliability, Request, Response, Waits};
use service::{CallId, Node, Target};
use units::SimTime;

/// One that moves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moving {
    pub(crate) at: SocketAddrV6,
    pub(crate) held_since: Option<SimTime>,
    pub(crate) t_addr: Ipv6Addr,
}

/// The endpoint, and what its node was told.
pub(super) struct Told<'e> {
    pub(super) endpoint: &'e mut Endpoint,
    pub(super) peer: Option<Moving>,
}

impl Told<'_> {
    fn of(&self, target: Target) -> Option<Moving> {
        self.peer.filter(|peer| target == Target::Address(peer.at))
    }
}

impl Node for Told<'_> {
    fn ask(&mut self, now: SimTime, to: Target, how: Reliability, request: Request) -> CallId {
        Node::ask(self.endpoint, now, to, how, request)
    }

    fn observe(&mut self, now: SimTime, of: Target, how: Reliability, request: Request) -> CallId {
        Node::observe(self.endpoint, now, of, how, request)
    }

    fn stop_observing(&mut self, now: SimTime, call: CallId) {
        Node::stop_observing(self.endpoint, now, call);
    }

    fn respond(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        self.endpoint.respond(now, exchange, response);
    }

    fn respond_observed(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        self.endpoint.respond_observed(now, exchange, response);
    }

    fn notify(&mut self, now: SimTime, path: &str, state: &Response) {
        self.endpoint.notify(now, path, state);
    }

    fn notify_one(&mut self, now: SimTime, observation: ExchangeId, state: &Response) {
        self.endpoint.notify_one(now, observation, state);
    }

    fn observations(&self) -> Vec<Observation<'_>> {
        self.endpoint.observations().collect()
    }

    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    fn waits(&self) -> Waits {
        self.endpoint.waits()
    }

    fn kept_back_since(&self, target: Target) -> Option<SimTime> {
        self.of(target)?.held_since
    }

    fn located_at(&self, target: Target) -> Option<Ipv6Addr> {
        Some(self.of(target)?.t_addr)
    }
}
