//! [`Server`]: the LwM2M server as a [`Service`].
//!
//! Its owner gives it [`Config`], and operations by [`Server::operate`]; what becomes of them, and what
//! clients do, comes from [`Server::poll_event`]. Whoever runs the node calls the methods of [`Service`].
//!
//! | interface (LwM2M 1.1 Core §6) | where |
//! | --- | --- |
//! | Register, Update, Deregister: who, and what of itself | `server/register.rs` |
//! | registrations by name, by address, by when they end | `server/registration.rs` |
//! | Register, Update, Deregister, Send, PUT of Notify: what follows | `server/incoming.rs` |
//! | Read to Observe-Composite as CoAP messages, and their answers | `server/request.rs` |
//! | queue mode, the order of operations | `server/jobs.rs` |
//! | composite operations for clients that do not know them | `server/fallback.rs` |
//! | observations and how they go on | `server/observe.rs` |
//! | what outlives the server's process | `server/snapshot.rs` |
//! | Bootstrap | [`bootstrap`], a service of its own |
//!
//! # Limits
//!
//! Who sends is not verified here: that is the endpoint's protection. Times are those of the node.

pub mod bootstrap;
mod config;
mod event;
mod fallback;
mod incoming;
mod jobs;
mod observe;
mod operation;
mod register;
mod registration;
mod request;
mod snapshot;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use coap::link::Link;
use machine::{Deadlines, earlier};
use service::{CallId, Incoming, Node, Outcome as CallOutcome, Reach, Report, Service, Tally};
use units::{Rng, SimTime};

pub use config::{Config, Poll, ReadFormat, ReportPath, Scripted};
pub use event::Event;
pub use operation::{Content, Failure, Operation, OperationId, Outcome};
pub use registration::{Description, Entry, Registration, RegistrationId, RegistrationIdError};
pub use snapshot::SnapshotError;

use jobs::{Call, Job, Observed};
use registration::Registrations;

/// Events that nobody has taken, at most: what comes after them is counted and lost.
pub const MAX_EVENTS: usize = 1 << 16;

/// A poll that goes on.
#[derive(Debug, Default)]
struct Polled {
    /// When it is due.
    due: SimTime,
    /// How often it was.
    times: u64,
}

/// An LwM2M server: see the [module](self).
#[derive(Debug)]
pub struct Server {
    config: Config,
    rng: Rng,
    registrations: Registrations,
    /// Operations that are not over.
    jobs: BTreeMap<OperationId, Job>,
    /// What the node was asked, and has not ended.
    calls: BTreeMap<CallId, Call>,
    observations: BTreeMap<OperationId, Observed>,
    /// When what waits in a queue has waited for too long.
    expiries: Deadlines<OperationId>,
    /// When the polls are due, by their places, and how often they were.
    polls: Deadlines<usize>,
    polled: BTreeMap<usize, Polled>,
    next_operation: u64,
    draining: bool,
    tally: Tally,
    reports: VecDeque<Report>,
    events: VecDeque<Event>,
    lost_events: u64,
}

impl Server {
    /// Nobody is registered. `rng` makes the IDs of registrations.
    pub fn new(config: Config, rng: Rng) -> Server {
        Server {
            config,
            rng,
            registrations: Registrations::default(),
            jobs: BTreeMap::new(),
            calls: BTreeMap::new(),
            observations: BTreeMap::new(),
            expiries: Deadlines::new(),
            polls: Deadlines::new(),
            polled: BTreeMap::new(),
            next_operation: 0,
            draining: false,
            tally: Tally::default(),
            reports: VecDeque::new(),
            events: VecDeque::new(),
            lost_events: 0,
        }
    }

    /// What it was told before it started.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Does something to a client, now or when it is awake. Its outcome comes as one [`Event::Done`]; what is
    /// observed from then on, as [`Event::Notified`] with the same ID.
    pub fn operate(
        &mut self,
        now: SimTime,
        endpoint: &str,
        operation: Operation,
        node: &mut dyn Node,
    ) -> OperationId {
        self.next_operation += 1;
        let id = OperationId(self.next_operation);
        self.begin(now, id, endpoint, Arc::new(operation), node);
        id
    }

    /// The next thing that it has to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Events that were lost since there were [`MAX_EVENTS`] that nobody took.
    pub fn lost_events(&self) -> u64 {
        self.lost_events
    }

    /// Who is registered, in the order of the IDs.
    pub fn registrations(&self) -> impl Iterator<Item = &Registration> {
        self.registrations.iter()
    }

    /// A registration by its endpoint name.
    pub fn registration(&self, endpoint: &str) -> Option<&Registration> {
        self.registrations.of_endpoint(endpoint)
    }

    /// When a registration ends if its client is not heard; none: never, or there is no such registration.
    pub fn ends(&self, registration: RegistrationId) -> Option<SimTime> {
        self.registrations.ends(registration)
    }

    /// The path at which a client may report by instance `instance` of object 2347 (Notify), for its resource
    /// URI Path. It names the registration, so that it says who reports wherever the report comes from.
    pub fn report_path(&self, registration: RegistrationId, instance: u16) -> String {
        format!("/n/{registration}/{instance}")
    }

    /// The operations that are not over, and the observations.
    pub fn open(&self) -> (usize, usize) {
        (self.jobs.len(), self.observations.len())
    }

    /// Whether an operation is not over.
    pub fn is_open(&self, id: OperationId) -> bool {
        self.jobs.contains_key(&id)
    }

    /// Whether that is an observation which goes on: that of an Observe or Observe-Composite whose client notifies.
    pub fn is_observing(&self, id: OperationId) -> bool {
        self.observations.contains_key(&id)
    }

    fn tell(&mut self, event: Event) {
        match self.events.len() < MAX_EVENTS {
            true => self.events.push_back(event),
            false => self.lost_events += 1,
        }
    }

    /// What a poll does, after what its client is to be asked before.
    fn poll(&mut self, now: SimTime, place: usize, node: &mut dyn Node) {
        let Some(poll) = self.config.polls.get(place) else {
            return;
        };
        let polled = self.polled.entry(place).or_default();
        polled.times += 1;
        if poll.times.is_none_or(|most| polled.times < most) && !poll.every.is_zero() {
            // From instant to instant, so that nothing drifts; those that were missed are one.
            while polled.due <= now {
                polled.due += poll.every;
            }
            self.polls.set(place, polled.due);
        }
        self.next_operation += 1;
        let id = OperationId(self.next_operation);
        let operation = Arc::new(poll.operation.clone());
        let endpoint: Arc<str> = poll.endpoint.as_str().into();
        let known = self
            .registrations
            .of_endpoint(&endpoint)
            .map(|known| known.id);
        let Some(client) = known.and_then(|known| self.registrations.get_mut(known)) else {
            return self.done(id, endpoint, Outcome::Failed(Failure::NotRegistered));
        };
        if client.script.len() >= self.config.max_queue {
            return self.done(id, endpoint, Outcome::Failed(Failure::QueueFull));
        }
        client.script.push_back((id, operation));
        let registration = client.id;
        self.go_on_with_script(now, registration, node);
    }
}

impl Service for Server {
    fn start(&mut self, now: SimTime, node: &mut dyn Node) {
        self.draining = false;
        for (place, poll) in self.config.polls.iter().enumerate() {
            if poll.times != Some(0) {
                let due = now + poll.first;
                self.polls.set(place, due);
                self.polled.insert(place, Polled { due, times: 0 });
            }
        }
        // Of a server that was restored.
        let silent: Vec<OperationId> = (self.observations.iter())
            .filter(|(_, observed)| observed.calls.is_empty())
            .map(|(id, _)| *id)
            .collect();
        for id in silent {
            self.observe_again(now, id, Vec::new(), node);
        }
        let of_clients = self.registrations.iter();
        let clients: Vec<_> = of_clients
            .map(|client| (client.id, client.description.queue_mode))
            .collect();
        for (id, queue_mode) in clients {
            match queue_mode {
                true => self.pump(now, id, node),
                false => self.leave_queue_mode(now, id, node),
            }
        }
    }

    fn poll_timeout(&self, reach: Reach) -> Option<SimTime> {
        let own = earlier(self.registrations.next_end(), self.expiries.next());
        earlier(own, self.polls.next().filter(|_| reach.asks))
    }

    fn handle_timeout(&mut self, now: SimTime, reach: Reach, node: &mut dyn Node) {
        while let Some(id) = self.registrations.take_ended(now) {
            if let Some(client) = self.registrations.get(id) {
                let endpoint = Arc::clone(&client.endpoint);
                self.tell(Event::Expired {
                    registration: id,
                    endpoint,
                });
            }
            self.end_registration(now, id, "its lifetime passed", node);
        }
        while let Some(id) = self.expiries.take_due(now) {
            self.expire(now, id, node);
        }
        while reach.asks
            && !self.draining
            && let Some(place) = self.polls.take_due(now)
        {
            self.poll(now, place, node);
        }
    }

    fn serves(&self, path: &str) -> bool {
        self.place(path, None).is_some()
    }

    fn links(&self) -> Vec<Link> {
        let registration = Link {
            types: vec!["core.rd".to_owned()],
            content_format: Some(coap::link::LINK_FORMAT),
            ..Link::new("/rd")
        };
        vec![registration, Link::new("/dp")]
    }

    fn handle_request(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        self.serve(now, incoming, node);
    }

    fn handle_outcome(
        &mut self,
        now: SimTime,
        call_id: CallId,
        outcome: CallOutcome,
        node: &mut dyn Node,
    ) {
        let end = match outcome {
            CallOutcome::Notified {
                sequence, response, ..
            } => {
                return self.notified(now, call_id, sequence, response, node);
            }
            CallOutcome::NotificationLost { reason, .. } => {
                return self.notification_lost(call_id, reason);
            }
            // Only of requests with No-Response, and it makes none.
            CallOutcome::Sent => return,
            CallOutcome::Answered { response, .. } => Ok(response),
            CallOutcome::Failed(reason) => Err(reason),
        };
        let Some(call) = self.calls.remove(&call_id) else {
            return;
        };
        let registration = call.registration;
        if end.is_ok() {
            self.heard(now, registration);
        }
        match end {
            end if call.notified => self.observation_over(now, call_id, call, end, node),
            Ok(response) => {
                self.tally.answered += 1;
                self.answered(now, (call_id, call.operation), &call.base, response, node);
            }
            Err(reason) => {
                self.tally.fail(&reason);
                let of = (call_id, call.operation);
                self.unanswered(now, of, call.target, reason, node);
            }
        }
        self.pump(now, registration, node);
    }

    fn drain(&mut self, now: SimTime, node: &mut dyn Node) {
        self.draining = true;
        while let Some(place) = self.polls.take_due(SimTime::FAR_FUTURE) {
            self.polled.remove(&place);
        }
        let of_clients = self.registrations.iter();
        let ids: Vec<RegistrationId> = of_clients.map(|client| client.id).collect();
        for id in ids {
            self.drain_client(now, id, node);
        }
        let calls: Vec<CallId> = (self.calls.iter())
            .filter(|(_, call)| call.notified && call.ended_by.is_none())
            .map(|(id, _)| *id)
            .collect();
        for call in calls {
            node.stop_observing(now, call);
        }
    }

    fn is_drained(&self) -> bool {
        self.tally.outstanding() == 0
    }

    fn tally(&self) -> Tally {
        self.tally.clone()
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }
}

impl Server {
    /// What a client is not asked yet, it is not asked any more.
    fn drain_client(&mut self, now: SimTime, id: RegistrationId, node: &mut dyn Node) {
        let Some(client) = self.registrations.get_mut(id) else {
            return;
        };
        let endpoint = Arc::clone(&client.endpoint);
        let script: Vec<_> = client.script.drain(..).collect();
        let asked = usize::from(client.asking);
        let waiting: Vec<OperationId> = client.queue.iter().skip(asked).copied().collect();
        for (waiting, _) in script {
            self.done(
                waiting,
                Arc::clone(&endpoint),
                Outcome::Failed(Failure::Ended),
            );
        }
        for waiting in waiting {
            self.finish(now, waiting, Outcome::Failed(Failure::Ended), node);
        }
    }

    /// An operation waits for its client no more.
    fn drop_from_lines(&mut self, registration: Option<RegistrationId>, id: OperationId) {
        self.expiries.clear(id);
        let client = registration.and_then(|known| self.registrations.get_mut(known));
        if let Some(client) = client {
            client.asking &= client.queue.front() != Some(&id);
            client.queue.retain(|waiting| *waiting != id);
            client.under_way.retain(|under_way| *under_way != id);
        }
    }
}
