//! The services of one node.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv6Addr;

use coap::link::{self, Link, WELL_KNOWN_CORE};
use coap::{Code, ExchangeId, Observation, Reliability, Request, Response, Waits};
use machine::earlier;
use units::SimTime;

use crate::connectivity::Connectivity;
use crate::node::{CallId, Event, Incoming, Node, Outcome, Target};
use crate::service::{Reach, Report, Service, Tally};

/// The services of one node: requests find theirs by path, outcomes by call.
///
/// It answers what no service does: `/.well-known/core` with the links of all, and of the node;
/// other paths with 4.04; a critical option that the service does not know with 4.02 (RFC 7252
/// §5.4.1).
#[derive(Debug, Default)]
pub struct Services {
    services: Vec<Box<dyn Service>>,
    /// Calls that have not ended, and which service made them.
    calls: BTreeMap<CallId, usize>,
    /// Drained, and not reported.
    draining: bool,
    reports: VecDeque<Report>,
}

impl Services {
    /// None.
    pub fn new() -> Services {
        Services::default()
    }

    /// One more, after those before it: in this order they are started, are due at one instant, and
    /// are asked whether they serve a path.
    pub fn push(&mut self, service: impl Service + 'static) {
        self.services.push(Box::new(service));
    }

    /// The scenario starts.
    pub fn start(&mut self, now: SimTime, node: &mut dyn Node) {
        self.each(node, |service, node| service.start(now, node));
    }

    /// When [`Services::handle_timeout`] wants to be called, given what the node can do.
    pub fn poll_timeout(&self, reach: Reach) -> Option<SimTime> {
        let due = self.services.iter().map(|s| s.poll_timeout(reach));
        due.fold(None, earlier)
    }

    /// Does what is due and can be done.
    pub fn handle_timeout(&mut self, now: SimTime, reach: Reach, node: &mut dyn Node) {
        self.each(node, |service, node| {
            if service.poll_timeout(reach).is_some_and(|due| due <= now) {
                service.handle_timeout(now, reach, node);
            }
        });
    }

    /// The scenario has the node do what step `step` of its plan says.
    pub fn operate(&mut self, now: SimTime, step: usize, node: &mut dyn Node) {
        self.each(node, |service, node| service.operate(now, step, node));
    }

    /// The node is connected so from now on.
    pub fn connected(&mut self, now: SimTime, connectivity: &Connectivity) {
        for service in &mut self.services {
            service.connected(now, connectivity);
        }
    }

    /// The node knows something else of where others are, or of who is on his way.
    pub fn located(&mut self, now: SimTime, node: &mut dyn Node) {
        self.each(node, |service, node| service.located(now, node));
    }

    /// Gives a service what is its.
    pub fn handle_event(&mut self, now: SimTime, event: Event, node: &mut dyn Node) {
        match event {
            Event::Request(incoming) => self.handle_request(now, incoming, node),
            Event::Call { call, outcome } => self.handle_outcome(now, call, outcome, node),
        }
    }

    /// The scenario ends; [`Report::Drained`] says when all services are done.
    pub fn drain(&mut self, now: SimTime, node: &mut dyn Node) {
        self.draining = true;
        self.each(node, |service, node| service.drain(now, node));
    }

    /// What they have to say, next.
    pub fn poll_report(&mut self) -> Option<Report> {
        if let Some(report) = self.reports.pop_front() {
            return Some(report);
        }
        if !self.draining || !self.services.iter().all(|service| service.is_drained()) {
            return None;
        }
        self.draining = false;
        Some(Report::Drained(self.tally()))
    }

    /// The calls of all services so far.
    pub fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        for service in &self.services {
            sum.add(service.tally());
        }
        sum
    }

    fn handle_request(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        let path = incoming.request.path();
        let found = self.services.iter().position(|s| s.serves(&path));
        let known = found.map_or(&[][..], |index| self.services[index].known_critical());
        if let Some(number) = incoming.request.options.unrecognized(known) {
            // In a NON they "MUST cause the message to be rejected" (§5.4.1): it has no answer.
            if incoming.confirmable {
                let text = format!("unrecognized critical option {number}");
                let response = Response::diagnostic(Code::BAD_OPTION, &text);
                node.respond(now, incoming.exchange, response);
            }
            return;
        }
        if path == WELL_KNOWN_CORE {
            let of_services = self.services.iter().flat_map(|service| service.links());
            let links: Vec<Link> = of_services.chain(node.links()).collect();
            let response = link::answer(&incoming.request, &links);
            return node.respond(now, incoming.exchange, response);
        }
        match found {
            Some(index) => self.with(index, node, |service, node| {
                service.handle_request(now, incoming, node);
            }),
            None => {
                let text = format!("no resource {path}: see {WELL_KNOWN_CORE}");
                let response = Response::diagnostic(Code::NOT_FOUND, &text);
                node.respond(now, incoming.exchange, response);
            }
        }
    }

    fn handle_outcome(
        &mut self,
        now: SimTime,
        call: CallId,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        let found = match outcome.ends() {
            true => self.calls.remove(&call),
            false => self.calls.get(&call).copied(),
        };
        if let Some(index) = found {
            self.with(index, node, |service, node| {
                service.handle_outcome(now, call, outcome, node);
            });
        }
    }

    /// Has every service do something, in their order.
    fn each(&mut self, node: &mut dyn Node, mut act: impl FnMut(&mut dyn Service, &mut dyn Node)) {
        for index in 0..self.services.len() {
            self.with(index, node, &mut act);
        }
    }

    /// Has a service do something: what it asks the node is its own.
    fn with(
        &mut self,
        index: usize,
        node: &mut dyn Node,
        act: impl FnOnce(&mut dyn Service, &mut dyn Node),
    ) {
        let Some(service) = self.services.get_mut(index) else {
            return;
        };
        let mut caller = Caller {
            node,
            calls: &mut self.calls,
            index,
        };
        act(&mut **service, &mut caller);
        self.reports
            .extend(std::iter::from_fn(|| service.poll_report()));
    }
}

/// The node as one service has it: notes whose calls are whose.
struct Caller<'a> {
    node: &'a mut dyn Node,
    calls: &'a mut BTreeMap<CallId, usize>,
    index: usize,
}

impl Node for Caller<'_> {
    fn ask(
        &mut self,
        now: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
    ) -> CallId {
        let call = self.node.ask(now, target, reliability, request);
        self.calls.insert(call, self.index);
        call
    }

    fn observe(
        &mut self,
        now: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
    ) -> CallId {
        let call = self.node.observe(now, target, reliability, request);
        self.calls.insert(call, self.index);
        call
    }

    fn stop_observing(&mut self, now: SimTime, call: CallId) {
        self.node.stop_observing(now, call);
    }

    fn respond(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        self.node.respond(now, exchange, response);
    }

    fn respond_observed(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        self.node.respond_observed(now, exchange, response);
    }

    fn notify(&mut self, now: SimTime, path: &str, state: &Response) {
        self.node.notify(now, path, state);
    }

    fn notify_one(&mut self, now: SimTime, observation: ExchangeId, state: &Response) {
        self.node.notify_one(now, observation, state);
    }

    fn observations(&self) -> Vec<Observation<'_>> {
        self.node.observations()
    }

    fn links(&self) -> Vec<Link> {
        self.node.links()
    }

    fn waits(&self) -> Waits {
        self.node.waits()
    }

    fn kept_back_since(&self, target: Target) -> Option<SimTime> {
        self.node.kept_back_since(target)
    }

    fn located_at(&self, target: Target) -> Option<Ipv6Addr> {
        self.node.located_at(target)
    }
}
