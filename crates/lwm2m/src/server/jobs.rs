//! Operations under way: their queues, their messages, their ends.
//!
//! | rule | where |
//! | --- | --- |
//! | queue mode: first in, first out, one at a time, only while the client is awake | `pump` |
//! | any message of the client's, answers included, wakes it | `Server::heard` |
//! | what times out stays at the head, and is sent again when the client is heard | `Server::retry_later` |
//! | no more than so many, no longer than so long | `Server::enqueue`, `Server::expire` |
//! | without queue mode: sent at once; the endpoint keeps the order | `Server::enqueue` |
//! | a client without composite operations gets their parts | [`fallback`](super::fallback) |

use std::collections::VecDeque;
use std::sync::Arc;

use coap::{Failure as Exchange, Reliability, Response};
use service::{CallFailure, CallId, Node, Report, Target};
use units::SimTime;

use super::Server;
use super::config::Config;
use super::event::Event;
use super::operation::{Content, Failure, Operation, OperationId, Outcome};
use super::registration::{Registration, RegistrationId};
use super::request::{self, Maker, Step};
use crate::path::Path;

/// An operation that is not over.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) registration: RegistrationId,
    pub(super) endpoint: Arc<str>,
    pub(super) operation: Arc<Operation>,
    /// Its messages that have not been sent.
    left: VecDeque<Step>,
    /// The one that is under way: what comes of an earlier one, sent to another address, is not its answer.
    current: Option<CallId>,
    /// What became of those that have.
    results: Vec<Outcome>,
    /// It is a composite one that is done in parts.
    pub(super) in_parts: bool,
    /// It takes up an observation that is there already: of these paths; none: of all.
    again: Option<Vec<Path>>,
    /// Observations that have to end before it is over.
    awaits: usize,
    /// It has waited for too long, but was under way.
    overdue: bool,
}

impl Job {
    pub(super) fn new(
        registration: RegistrationId,
        endpoint: Arc<str>,
        operation: Arc<Operation>,
    ) -> Job {
        Job {
            registration,
            endpoint,
            operation,
            left: VecDeque::new(),
            current: None,
            results: Vec::new(),
            in_parts: false,
            again: None,
            awaits: 0,
            overdue: false,
        }
    }

    /// It is over when so many observations have ended.
    pub(super) fn await_ends(&mut self, observations: usize) {
        self.awaits = observations;
    }

    /// One of them has; what became of all if it was the last.
    pub(super) fn one_ended(&mut self, outcome: Outcome) -> Option<Outcome> {
        self.awaits = self.awaits.saturating_sub(1);
        self.results.push(outcome);
        (self.awaits == 0).then(|| together(std::mem::take(&mut self.results)))
    }

    /// Whether it is to begin an observation.
    pub(super) fn observes(&self) -> bool {
        self.operation.observes().is_some()
    }

    /// Whether it takes up an observation, so that nobody waits for its outcome.
    pub(super) fn is_again(&self) -> bool {
        self.again.is_some()
    }
}

/// What the node was asked.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: OperationId,
    pub(super) registration: RegistrationId,
    pub(super) target: Target,
    /// Of what it is.
    pub(super) base: Path,
    /// An observation that has been notified.
    pub(super) notified: bool,
    /// The operation that ends the observation.
    pub(super) ended_by: Option<OperationId>,
}

/// An observation; one call, or one for each path if the client does not know composite ones.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) registration: RegistrationId,
    pub(super) endpoint: Arc<str>,
    pub(super) operation: Arc<Operation>,
    pub(super) calls: Vec<CallId>,
}

impl Server {
    /// Begins an operation whose ID is known already.
    pub(super) fn begin(
        &mut self,
        now: SimTime,
        id: OperationId,
        endpoint: &str,
        operation: Arc<Operation>,
        node: &mut dyn Node,
    ) {
        let Some(known) = self.registrations.of_endpoint(endpoint) else {
            return self.done(id, endpoint.into(), Outcome::Failed(Failure::NotRegistered));
        };
        // What cannot be said is found out now, and not when the client wakes.
        let maker = Maker {
            config: &self.config,
            client: &known.description,
        };
        if let Err(error) = maker.step(&operation) {
            let failure = Failure::Unencodable(error.to_string());
            return self.done(id, endpoint.into(), Outcome::Failed(failure));
        }
        let job = Job::new(known.id, Arc::clone(&known.endpoint), operation);
        self.enqueue(now, id, job, node);
    }

    pub(super) fn enqueue(&mut self, now: SimTime, id: OperationId, job: Job, node: &mut dyn Node) {
        let registration = job.registration;
        self.jobs.insert(id, job);
        if self.draining {
            return self.finish(now, id, Outcome::Failed(Failure::Ended), node);
        }
        let Some(client) = self.registrations.get_mut(registration) else {
            return self.finish(now, id, Outcome::Failed(Failure::NotRegistered), node);
        };
        if !client.description.queue_mode {
            client.under_way.push(id);
            return self.send(now, id, node);
        }
        if client.queue.len() >= self.config.max_queue {
            return self.finish(now, id, Outcome::Failed(Failure::QueueFull), node);
        }
        client.queue.push_back(id);
        self.expiries.set(id, now + self.config.queue_expiry);
        self.pump(now, registration, node);
    }

    /// The client was heard: in queue mode it is awake from now on for a while.
    pub(super) fn heard(&mut self, now: SimTime, registration: RegistrationId) {
        let until = now + self.config.awake_window;
        if let Some(client) = self.registrations.get_mut(registration) {
            client.awake_until = until;
        }
    }

    /// Sends the first of a queue if that may be.
    pub(super) fn pump(&mut self, now: SimTime, registration: RegistrationId, node: &mut dyn Node) {
        let Some(client) = self.registrations.get_mut(registration) else {
            return;
        };
        if self.draining || client.asking || !client.is_awake(now) {
            return;
        }
        if let Some(&first) = client.queue.front() {
            client.asking = true;
            client.asked = now;
            self.send(now, first, node);
        }
    }

    /// A client that is in queue mode no more gets what waits for it at once.
    pub(super) fn leave_queue_mode(
        &mut self,
        now: SimTime,
        registration: RegistrationId,
        node: &mut dyn Node,
    ) {
        let Some(client) = self.registrations.get_mut(registration) else {
            return;
        };
        let asked = usize::from(std::mem::take(&mut client.asking));
        let waiting: Vec<OperationId> = client.queue.drain(..).collect();
        client.under_way.extend(&waiting);
        for id in &waiting {
            self.expiries.clear(*id);
        }
        for id in waiting.into_iter().skip(asked) {
            self.send(now, id, node);
        }
    }

    /// An operation has waited for too long.
    pub(super) fn expire(&mut self, now: SimTime, id: OperationId, node: &mut dyn Node) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let client = self.registrations.get(job.registration);
        let asked = client.is_some_and(|c| c.asking && c.queue.front() == Some(&id));
        match asked {
            true => job.overdue = true,
            false => self.finish(now, id, Outcome::Failed(Failure::Expired), node),
        }
    }

    /// Sends the first message of an operation.
    pub(super) fn send(&mut self, now: SimTime, id: OperationId, node: &mut dyn Node) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if let Operation::CancelObservation { paths } = &*job.operation {
            let paths = paths.clone();
            return self.cancel(now, id, &paths, node);
        }
        let Some(client) = self.registrations.get(job.registration) else {
            return self.finish(now, id, Outcome::Failed(Failure::NotRegistered), node);
        };
        let maker = Maker {
            config: &self.config,
            client: &client.description,
        };
        job.in_parts |= client.lacks(&job.operation);
        let steps = match job.in_parts {
            true => maker.parts(&job.operation),
            false => maker.step(&job.operation).map(Vec::from_iter),
        };
        match steps {
            Ok(mut steps) => {
                let parts = job.again.as_deref().unwrap_or_default();
                steps.retain(|step| parts.is_empty() || parts.contains(&step.base));
                job.left = steps.into();
                job.results.clear();
                self.send_next(now, id, node);
            }
            Err(error) => {
                let failure = Failure::Unencodable(error.to_string());
                self.finish(now, id, Outcome::Failed(failure), node);
            }
        }
    }

    /// Sends the next message of an operation, or ends it after the last.
    fn send_next(&mut self, now: SimTime, id: OperationId, node: &mut dyn Node) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(step) = job.left.pop_front() else {
            let outcome = together(std::mem::take(&mut job.results));
            return self.finish(now, id, outcome, node);
        };
        let registration = job.registration;
        let Some(client) = self.registrations.get(registration) else {
            return self.finish(now, id, Outcome::Failed(Failure::NotRegistered), node);
        };
        let target = target(&self.config, client);
        let reliability = self.config.reliability;
        let call = match step.observe {
            true => node.observe(now, target, reliability, step.request),
            false => node.ask(now, target, reliability, step.request),
        };
        self.tally.requested += 1;
        job.current = Some(call);
        let call_of = Call {
            operation: id,
            registration,
            target,
            base: step.base,
            notified: false,
            ended_by: None,
        };
        self.calls.insert(call, call_of);
    }

    /// Whether what becomes of a call becomes of that operation.
    pub(super) fn is_current(&self, call: CallId, id: OperationId) -> bool {
        (self.jobs.get(&id)).is_some_and(|job| job.current == Some(call))
    }

    /// A message of an operation was answered.
    pub(super) fn answered(
        &mut self,
        now: SimTime,
        (call, id): (CallId, OperationId),
        base: &Path,
        response: Response,
        node: &mut dyn Node,
    ) {
        if !self.is_current(call, id) || self.fell_back(now, id, Ok(&response), node) {
            return;
        }
        let outcome = request::outcome(response, base, &self.config.registry);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.results.push(outcome);
        }
        self.send_next(now, id, node);
    }

    /// A message of an operation found no answer.
    pub(super) fn unanswered(
        &mut self,
        now: SimTime,
        (call, id): (CallId, OperationId),
        target: Target,
        reason: CallFailure,
        node: &mut dyn Node,
    ) {
        self.reports.push_back(Report::RequestFailed {
            target,
            reason: reason.clone(),
        });
        if !self.is_current(call, id)
            || self.fell_back(now, id, Err(&reason), node)
            || self.retry_later(now, id, &reason, node)
        {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.results.push(Outcome::Failed(Failure::Call(reason)));
        // Who does not answer one part will not answer the others.
        job.left.clear();
        self.send_next(now, id, node);
    }

    /// In queue mode what found nobody awake stays at the head of the queue; `false` if it is over.
    fn retry_later(
        &mut self,
        now: SimTime,
        id: OperationId,
        reason: &CallFailure,
        node: &mut dyn Node,
    ) -> bool {
        let asleep = match reason {
            CallFailure::Exchange(Exchange::Timeout) | CallFailure::BacklogTimeout => true,
            CallFailure::Exchange(Exchange::NoResponse) => {
                self.config.reliability == Reliability::NonConfirmable
            }
            _ => false,
        };
        let Some(job) = self.jobs.get(&id).filter(|_| asleep && !self.draining) else {
            return false;
        };
        let registration = job.registration;
        let Some(client) = self.registrations.get_mut(registration) else {
            return false;
        };
        if !client.asking || client.queue.front() != Some(&id) {
            return false;
        }
        if job.overdue {
            self.finish(now, id, Outcome::Failed(Failure::Expired), node);
            return true;
        }
        client.asking = false;
        // Who was heard since it was sent may be awake even so.
        if client.awake_until <= client.asked + self.config.awake_window {
            client.awake_until = client.awake_until.min(now);
        }
        self.pump(now, registration, node);
        true
    }

    /// An operation is over.
    pub(super) fn finish(
        &mut self,
        now: SimTime,
        id: OperationId,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        let Some(job) = self.jobs.remove(&id) else {
            return;
        };
        self.expiries.clear(id);
        self.learn_reports(&job, &outcome);
        let registration = job.registration;
        if let Some(client) = self.registrations.get_mut(registration) {
            client.asking &= client.queue.front() != Some(&id);
            client.queue.retain(|waiting| *waiting != id);
            client.under_way.retain(|under_way| *under_way != id);
            if client.scripted == Some(id) {
                client.scripted = None;
            }
        }
        match job.is_again() {
            true => self.taken_up(id, job.endpoint, outcome),
            false => self.done(id, job.endpoint, outcome),
        }
        self.go_on_with_script(now, registration, node);
        self.pump(now, registration, node);
    }

    pub(super) fn done(&mut self, id: OperationId, endpoint: Arc<str>, outcome: Outcome) {
        self.tell(Event::Done {
            id,
            endpoint,
            outcome,
        });
    }

    /// Begins the next operation of a client's script if none is under way.
    pub(super) fn go_on_with_script(
        &mut self,
        now: SimTime,
        registration: RegistrationId,
        node: &mut dyn Node,
    ) {
        let Some(client) = self.registrations.get_mut(registration) else {
            return;
        };
        if client.scripted.is_some() {
            return;
        }
        if let Some((id, operation)) = client.script.pop_front() {
            client.scripted = Some(id);
            let job = Job::new(registration, Arc::clone(&client.endpoint), operation);
            self.enqueue(now, id, job, node);
        }
    }

    /// Takes up an observation that is there already: of these paths, or of all if none is named.
    pub(super) fn observe_again(
        &mut self,
        now: SimTime,
        id: OperationId,
        paths: Vec<Path>,
        node: &mut dyn Node,
    ) {
        if let Some(again) = self.jobs.get_mut(&id).and_then(|job| job.again.as_mut()) {
            // It waits already: for these as well.
            if !again.is_empty() {
                again.extend(paths);
            }
            return;
        }
        let Some(observed) = self.observations.get(&id) else {
            return;
        };
        let (endpoint, operation) = (&observed.endpoint, &observed.operation);
        let mut job = Job::new(
            observed.registration,
            Arc::clone(endpoint),
            Arc::clone(operation),
        );
        job.again = Some(paths);
        self.enqueue(now, id, job, node);
    }
}

/// Where a client is asked.
fn target(config: &Config, client: &Registration) -> Target {
    match config.permanent.get(&*client.endpoint) {
        Some(address) => Target::Node(*address),
        None => Target::Address(client.address),
    }
}

/// What became of the messages of one operation together.
fn together(mut results: Vec<Outcome>) -> Outcome {
    if results.len() == 1 {
        return results.remove(0);
    }
    let failed =
        |outcome: &&Outcome| matches!(outcome, Outcome::Refused { .. } | Outcome::Failed(_));
    let mut records = Vec::new();
    let mut contents = 0;
    for result in &results {
        if let Outcome::Content(content) = result {
            contents += 1;
            records.extend(content.records.iter().flatten().cloned());
        }
    }
    match results.iter().find(failed) {
        // As a composite read, which leaves out what is not there.
        _ if contents > 0 => Outcome::Content(Content {
            format: None,
            payload: Vec::new(),
            records: Ok(records),
        }),
        Some(failed) => failed.clone(),
        None => Outcome::Success(coap::Code::CHANGED),
    }
}
