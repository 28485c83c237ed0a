//! Observations: their states, their ends, and how they go on (LwM2M 1.1 Core §6.4; RFC 7641).
//!
//! An observation goes on under its operation's ID when the client has another address, when nothing came
//! within Max-Age (RFC 7641 §3.3.1: "a client [...] MAY re-register"), and after the server was started again.
//! It ends with the registration.

use std::sync::Arc;

use coap::{Failure as Exchange, Response};
use service::{CallFailure, CallId, Node, Report};
use units::SimTime;

use super::Server;
use super::event::Event;
use super::jobs::{Call, Job, Observed};
use super::operation::{Failure, OperationId, Outcome};
use super::request;
use crate::path::Path;

impl Server {
    /// A state of something observed.
    pub(super) fn notified(
        &mut self,
        now: SimTime,
        call_id: CallId,
        sequence: u32,
        response: Response,
        node: &mut dyn Node,
    ) {
        let Some(call) = self.calls.get_mut(&call_id) else {
            // Of a registration that is over.
            return node.stop_observing(now, call_id);
        };
        let first = !std::mem::replace(&mut call.notified, true);
        let (id, registration, base) = (call.operation, call.registration, call.base);
        self.tally.answered += u64::from(first);
        self.heard(now, registration);
        if first && !self.is_current(call_id, id) {
            // Sent where the client is no more, or for an operation that is over.
            node.stop_observing(now, call_id);
            return self.pump(now, registration, node);
        }
        if first {
            self.observation_began(call_id, id);
        }
        if first && self.draining {
            node.stop_observing(now, call_id);
        }
        let again = self.jobs.get(&id).is_none_or(|job| job.is_again());
        if again && let Some(observed) = self.observations.get(&id) {
            let format = request::format_of(&response.options);
            let payload = response.payload.clone();
            self.tell(Event::Notified {
                id,
                endpoint: Arc::clone(&observed.endpoint),
                sequence,
                content: request::read(format, payload, &base, &self.config.registry),
            });
        }
        if first {
            self.answered(now, (call_id, id), &base, response, node);
        }
        self.pump(now, registration, node);
    }

    /// A call of an operation is an observation from now on.
    fn observation_began(&mut self, call: CallId, id: OperationId) {
        if let Some(observed) = self.observations.get_mut(&id) {
            return observed.calls.push(call);
        }
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let observed = Observed {
            registration: job.registration,
            endpoint: Arc::clone(&job.endpoint),
            operation: Arc::clone(&job.operation),
            calls: vec![call],
        };
        if let Some(client) = self.registrations.get_mut(job.registration) {
            client.observed.push(id);
        }
        self.observations.insert(id, observed);
    }

    pub(super) fn notification_lost(&mut self, call: CallId, reason: Exchange) {
        let Some(call) = self.calls.get(&call) else {
            return;
        };
        let (id, target) = (call.operation, call.target);
        self.reports
            .push_back(Report::NotificationLost { target, reason });
        if let Some(observed) = self.observations.get(&id) {
            let endpoint = Arc::clone(&observed.endpoint);
            self.tell(Event::NotificationLost {
                id,
                endpoint,
                reason,
            });
        }
    }

    /// An observation that had been notified is over.
    pub(super) fn observation_over(
        &mut self,
        now: SimTime,
        call_id: CallId,
        call: Call,
        end: Result<Response, CallFailure>,
        node: &mut dyn Node,
    ) {
        let id = call.operation;
        if let Some(cancels) = call.ended_by {
            return self.one_cancelled(now, cancels, &call.base, end, node);
        }
        if let Some(observed) = self.observations.get_mut(&id) {
            observed.calls.retain(|known| *known != call_id);
        }
        if end == Err(CallFailure::Exchange(Exchange::Silent)) && !self.draining {
            return self.observe_again(now, id, vec![call.base], node);
        }
        let reason = match end {
            Ok(response) => format!("the client answered {}", response.code),
            Err(reason) => reason.to_string(),
        };
        self.reports.push_back(Report::ObservationEnded {
            target: call.target,
            reason: reason.clone(),
        });
        let others = (self.observations.get(&id)).is_some_and(|o| !o.calls.is_empty());
        if !others {
            self.end_observation(id, reason);
        }
    }

    /// Forgets an observation, and says why.
    pub(super) fn end_observation(&mut self, id: OperationId, reason: String) {
        let Some(observed) = self.forget_observation(id) else {
            return;
        };
        let endpoint = observed.endpoint;
        if !self.draining {
            self.tell(Event::ObservationEnded {
                id,
                endpoint,
                reason,
            });
        }
    }

    pub(super) fn forget_observation(&mut self, id: OperationId) -> Option<Observed> {
        let observed = self.observations.remove(&id)?;
        if let Some(client) = self.registrations.get_mut(observed.registration) {
            client.observed.retain(|known| *known != id);
        }
        Some(observed)
    }

    /// An observation was to be taken up, and this came of it.
    pub(super) fn taken_up(&mut self, id: OperationId, endpoint: Arc<str>, outcome: Outcome) {
        let ended = (self.observations.get(&id)).is_some_and(|observed| observed.calls.is_empty());
        if !ended {
            return;
        }
        let reason = match outcome {
            Outcome::Refused { code, .. } => format!("the client answered {code}"),
            Outcome::Failed(failure) => failure.to_string(),
            Outcome::Content(content) => {
                self.tell(Event::Notified {
                    id,
                    endpoint,
                    sequence: 0,
                    content,
                });
                "the client does not notify".to_owned()
            }
            Outcome::Created(_) | Outcome::Success(_) => "the client answered no state".to_owned(),
        };
        self.end_observation(id, reason);
    }

    /// Every observation of a client goes on where the client is now.
    pub(super) fn move_observations(
        &mut self,
        now: SimTime,
        ids: Vec<OperationId>,
        node: &mut dyn Node,
    ) {
        for id in ids {
            let Some(observed) = self.observations.get_mut(&id) else {
                continue;
            };
            for call in std::mem::take(&mut observed.calls) {
                self.calls.remove(&call);
            }
            let registration = observed.registration;
            if self.jobs.get(&id).is_some_and(Job::is_again) {
                self.jobs.remove(&id);
                self.drop_from_lines(Some(registration), id);
            }
            self.observe_again(now, id, Vec::new(), node);
        }
    }

    /// Ends an Observe or Observe-Composite by its ID, whatever else is observed of the same paths; one that has not
    /// begun is over as cancelled. Nothing more is told of it. A client that is awake is told by Observe 1; one that is
    /// not, or whose first answer has not come, when it notifies next (RFC 7641 §3.6). Of another ID: nothing.
    pub fn stop_observing(&mut self, now: SimTime, id: OperationId, node: &mut dyn Node) {
        if self.jobs.get(&id).is_some_and(Job::is_again) {
            if let Some(job) = self.jobs.remove(&id) {
                self.drop_from_lines(Some(job.registration), id);
            }
        } else if self.jobs.get(&id).is_some_and(Job::observes) {
            let reason = CallFailure::Exchange(Exchange::Cancelled);
            self.finish(now, id, Outcome::Failed(reason.into()), node);
        }
        let Some(observed) = self.forget_observation(id) else {
            return;
        };
        let client = self.registrations.get(observed.registration);
        let awake = client.is_some_and(|client| client.is_awake(now));
        for call in observed.calls {
            self.calls.remove(&call);
            if awake {
                node.stop_observing(now, call);
            }
        }
    }

    /// Does a [`CancelObservation`](super::Operation::CancelObservation).
    pub(super) fn cancel(
        &mut self,
        now: SimTime,
        id: OperationId,
        paths: &[Path],
        node: &mut dyn Node,
    ) {
        let registration = self.jobs.get(&id).map(|job| job.registration);
        let client = registration.and_then(|known| self.registrations.get(known));
        let observes = |of: &&OperationId| {
            let observed = self.observations.get(of);
            observed.is_some_and(|observed| observed.operation.observes() == Some(paths))
        };
        let found = client.and_then(|client| client.observed.iter().find(observes).copied());
        let observed = found.and_then(|found| {
            // If it is about to be taken up, or some of its parts are about to begin, they do not.
            match self.jobs.get(&found).is_some_and(Job::is_again) {
                true => {
                    self.jobs.remove(&found);
                    self.drop_from_lines(registration, found);
                }
                false => {
                    let reason = CallFailure::Exchange(Exchange::Cancelled);
                    self.finish(now, found, Outcome::Failed(reason.into()), node);
                }
            }
            self.forget_observation(found)
        });
        let calls = observed.map(|observed| observed.calls).unwrap_or_default();
        if calls.is_empty() {
            let outcome = Outcome::Failed(Failure::NotObserved);
            return self.finish(now, id, outcome, node);
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.await_ends(calls.len());
        }
        for call in calls {
            if let Some(known) = self.calls.get_mut(&call) {
                known.ended_by = Some(id);
            }
            node.stop_observing(now, call);
        }
    }

    /// One of the observations that an operation ends is over.
    fn one_cancelled(
        &mut self,
        now: SimTime,
        id: OperationId,
        base: &Path,
        end: Result<Response, CallFailure>,
        node: &mut dyn Node,
    ) {
        let outcome = match end {
            Ok(response) => request::outcome(response, base, &self.config.registry),
            Err(reason) => Outcome::Failed(Failure::Call(reason)),
        };
        let over = (self.jobs.get_mut(&id)).and_then(|job| job.one_ended(outcome));
        if let Some(outcome) = over {
            self.finish(now, id, outcome, node);
        }
    }
}
