//! The node as its services see it.

use std::net::Ipv6Addr;

use coap::link::Link;
use coap::{ExchangeId, Observation, Reliability, Request, Response, Waits};
use service::{CallId, Target};
use units::SimTime;

use super::{Event, Node};
use crate::client;
use crate::resource::comp_link;

/// A [`Target::Node`] is located through the WMMS, by its P_Addr; requests to it are kept back
/// while it, or this node itself, is on hold.
impl service::Node for Node {
    fn ask(
        &mut self,
        now: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
    ) -> CallId {
        Node::ask(self, now, target, reliability, request)
    }

    fn observe(
        &mut self,
        now: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
    ) -> CallId {
        Node::observe(self, now, target, reliability, request)
    }

    fn stop_observing(&mut self, now: SimTime, call: CallId) {
        Node::stop_observing(self, now, call);
    }

    fn respond(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        Node::respond(self, now, exchange, response);
    }

    fn respond_observed(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        Node::respond_observed(self, now, exchange, response);
    }

    fn notify(&mut self, now: SimTime, path: &str, state: &Response) {
        Node::notify(self, now, path, state);
    }

    fn notify_one(&mut self, now: SimTime, observation: ExchangeId, state: &Response) {
        self.endpoint.notify_one(now, observation, state);
    }

    fn observations(&self) -> Vec<Observation<'_>> {
        self.endpoint.observations().collect()
    }

    fn links(&self) -> Vec<Link> {
        vec![comp_link()]
    }

    fn waits(&self) -> Waits {
        self.endpoint.waits()
    }

    fn kept_back_since(&self, target: Target) -> Option<SimTime> {
        self.client.on_hold_since(target)
    }

    fn located_at(&self, target: Target) -> Option<Ipv6Addr> {
        match target {
            Target::Node(p_addr) => Some(self.client.lbc().get(p_addr)?.t_addr),
            Target::Address(_) => None,
        }
    }
}

/// What of a node's events is for its services; the event itself if nothing is.
impl TryFrom<Event> for service::Event {
    type Error = Event;

    fn try_from(event: Event) -> Result<service::Event, Event> {
        match event {
            Event::Request { incoming, .. } => Ok(service::Event::Request(incoming)),
            Event::Client(client::Event::Call { call, outcome }) => {
                Ok(service::Event::Call { call, outcome })
            }
            other => Err(other),
        }
    }
}
