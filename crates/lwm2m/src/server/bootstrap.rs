//! [`Bootstrap`]: the LwM2M bootstrap server as a [`Service`] (LwM2M 1.1 Core §6.1).
//!
//! A client asks by POST to `/bs`; it is answered 2.04, then gets the operations that the configuration has for it, each
//! after the answer to the former, then Bootstrap-Finish. The first error or silence ends that.
//!
//! | Bootstrap interface (LwM2M 1.1 Transport, table 6.4.2-1) | here |
//! | --- | --- |
//! | Bootstrap-Request: POST `/bs?ep=&pct=` | `Bootstrap::requested` |
//! | Bootstrap-Delete: DELETE `/[o[/i]]` | [`Operation::Delete`] |
//! | Bootstrap-Write: PUT `/o[/i[/r]]` | [`Operation::Write`] with [`Mode::Replace`](crate::operations::Mode::Replace) |
//! | Bootstrap-Discover: GET with Accept 40 | [`Operation::Discover`] |
//! | Bootstrap-Read (1.1): GET | [`Operation::Read`] |
//! | Bootstrap-Finish: POST `/bs` | `Bootstrap::go_on` |
//!
//! [`accounts()`] are the operations that bring a client its servers.

mod accounts;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddrV6;
use std::sync::Arc;

use coap::link::Link;
use coap::message::option;
use coap::{Code, Request, Response};
use service::{CallId, Incoming, Node, Outcome as CallOutcome, Report, Service, Tally, Target};
use units::SimTime;

use super::registration::Description;
use super::request::{self, Maker};
use super::{Config, MAX_EVENTS, Operation, Outcome};
use crate::format::Format;
use crate::model::Version;
use crate::path::Path;
use crate::refusal::Refusal;
use crate::server::operation::Failure;

pub use accounts::accounts;

/// Where clients ask, and where they are told that it is over.
const PATH: &str = "/bs";

/// Clients that are under way, at most; others are answered 5.03.
pub const MAX_SESSIONS: usize = 4096;

/// What clients get, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plans {
    /// By endpoint name.
    pub of_endpoint: BTreeMap<String, Vec<Operation>>,
    /// What others get; none: they are answered 4.00.
    pub of_others: Option<Vec<Operation>>,
}

/// What a [`Bootstrap`] tells its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum BootstrapEvent {
    /// A client asked, and is under way; if it was before, it begins again.
    Requested {
        /// The client.
        endpoint: Arc<str>,
        /// From where.
        from: SocketAddrV6,
    },
    /// Somebody's request was refused.
    Refused {
        /// Who asked.
        from: SocketAddrV6,
        /// The answer.
        code: Code,
        /// Its words.
        reason: String,
    },
    /// What became of an operation.
    Done {
        /// The client.
        endpoint: Arc<str>,
        /// The operation.
        operation: Operation,
        /// What became of it.
        outcome: Outcome,
    },
    /// The client has all it gets; or the Finish was refused (4.06: what it has does not fit together), or
    /// something before.
    Finished {
        /// The client.
        endpoint: Arc<str>,
        /// Whether it is over as it should be, or why not.
        outcome: Outcome,
    },
}

/// A client that is under way.
#[derive(Debug)]
struct Session {
    address: SocketAddrV6,
    description: Description,
    /// What it gets after the operation that is under way.
    left: VecDeque<Operation>,
    /// The operation that is under way; none: the Finish.
    operation: Option<Operation>,
    call: Option<CallId>,
}

/// An LwM2M bootstrap server: see the [module](self).
#[derive(Debug)]
pub struct Bootstrap {
    config: Config,
    plans: Plans,
    sessions: BTreeMap<Arc<str>, Session>,
    calls: BTreeMap<CallId, (Arc<str>, Target)>,
    draining: bool,
    tally: Tally,
    reports: VecDeque<Report>,
    events: VecDeque<BootstrapEvent>,
}

impl Bootstrap {
    /// Of `config` it takes the object models, the style, the reliability and the format of writes: where that is not
    /// set, writes are in the format that the client prefers (`pct`), or in TLV.
    pub fn new(config: Config, plans: Plans) -> Bootstrap {
        Bootstrap {
            config,
            plans,
            sessions: BTreeMap::new(),
            calls: BTreeMap::new(),
            draining: false,
            tally: Tally::default(),
            reports: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The next thing that it has to tell; of more than [`MAX_EVENTS`] that nobody took the later ones are lost.
    pub fn poll_event(&mut self) -> Option<BootstrapEvent> {
        self.events.pop_front()
    }

    /// Clients that are under way.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn tell(&mut self, event: BootstrapEvent) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }

    /// A Bootstrap-Request.
    fn requested(&mut self, from: SocketAddrV6, request: &Request) -> Result<Arc<str>, Refusal> {
        if request.method != Code::POST {
            return Err(Refusal {
                code: Code::METHOD_NOT_ALLOWED,
                text: "expected POST".to_owned(),
            });
        }
        let (endpoint, preferred) = queries(request)?;
        let of_it = self.plans.of_endpoint.get(&*endpoint);
        let plan = (of_it.or(self.plans.of_others.as_ref()))
            .ok_or_else(|| Refusal::bad_request("there is nothing for an endpoint of this name"))?;
        let known = self.sessions.contains_key(&endpoint);
        if self.draining || (!known && self.sessions.len() >= MAX_SESSIONS) {
            return Err(Refusal {
                code: Code::SERVICE_UNAVAILABLE,
                text: "no room for another client".to_owned(),
            });
        }
        let session = Session {
            address: from,
            description: description(preferred),
            left: plan.iter().cloned().collect(),
            operation: None,
            call: None,
        };
        self.sessions.insert(Arc::clone(&endpoint), session);
        self.tell(BootstrapEvent::Requested {
            endpoint: Arc::clone(&endpoint),
            from,
        });
        Ok(endpoint)
    }

    /// Sends a client the next operation, or the Finish after the last.
    fn go_on(&mut self, now: SimTime, endpoint: &Arc<str>, node: &mut dyn Node) {
        let Some(session) = self.sessions.get_mut(endpoint) else {
            return;
        };
        session.operation = session.left.pop_front();
        let maker = Maker {
            config: &self.config,
            client: &session.description,
        };
        let step = session.operation.as_ref().map(|next| maker.step(next));
        let request = match step.transpose() {
            Ok(None) => Request::new(Code::POST, PATH),
            Ok(Some(Some(step))) => step.request,
            // Only of what ends an observation, of which there are none.
            Ok(Some(None)) => return self.end(endpoint, Outcome::Failed(Failure::NotObserved)),
            Err(error) => {
                let failure = Failure::Unencodable(error.to_string());
                return self.end(endpoint, Outcome::Failed(failure));
            }
        };
        let target = Target::Address(session.address);
        let call = node.ask(now, target, self.config.reliability, request);
        session.call = Some(call);
        self.tally.requested += 1;
        self.calls.insert(call, (Arc::clone(endpoint), target));
    }

    /// An operation of a client is over.
    fn done(
        &mut self,
        now: SimTime,
        endpoint: &Arc<str>,
        outcome: Result<Response, Failure>,
        node: &mut dyn Node,
    ) {
        let Some(session) = self.sessions.get_mut(endpoint) else {
            return;
        };
        let operation = session.operation.take();
        let base = operation.as_ref().map_or(Path::ROOT, base);
        let outcome = match outcome {
            Ok(response) => request::outcome(response, &base, &self.config.registry),
            Err(failure) => Outcome::Failed(failure),
        };
        let failed = matches!(outcome, Outcome::Refused { .. } | Outcome::Failed(_));
        let finishes = operation.is_none();
        if let Some(operation) = operation {
            self.tell(BootstrapEvent::Done {
                endpoint: Arc::clone(endpoint),
                operation,
                outcome: outcome.clone(),
            });
        }
        match failed || finishes {
            true => self.end(endpoint, outcome),
            false => self.go_on(now, endpoint, node),
        }
    }

    fn end(&mut self, endpoint: &Arc<str>, outcome: Outcome) {
        self.sessions.remove(endpoint);
        self.tell(BootstrapEvent::Finished {
            endpoint: Arc::clone(endpoint),
            outcome,
        });
    }
}

/// What a client is, as far as that decides how it is written to.
fn description(preferred: Option<Format>) -> Description {
    Description {
        lifetime: None,
        version: match preferred {
            Some(_) => Version::V1_1,
            None => Version::V1_0,
        },
        queue_mode: false,
        binding: String::new(),
        sms: None,
        objects: Vec::new(),
        root: String::new(),
        formats: preferred.map(Format::number).into_iter().collect(),
    }
}

/// Of what an operation is.
fn base(operation: &Operation) -> Path {
    match operation {
        Operation::Read { path, .. } | Operation::Discover { path } => *path,
        _ => Path::ROOT,
    }
}

/// `ep` and `pct` (LwM2M 1.1 Core §6.1.7.1).
fn queries(request: &Request) -> Result<(Arc<str>, Option<Format>), Refusal> {
    let mut endpoint = None;
    let mut preferred = None;
    for query in request.options.get_all(option::URI_QUERY) {
        let text =
            std::str::from_utf8(query).map_err(|_| Refusal::bad_request("a query is not UTF-8"))?;
        match text.split_once('=') {
            Some(("ep", name)) if !name.is_empty() => endpoint = Some(Arc::from(name)),
            Some(("pct", number)) => {
                let known = number.parse().ok().and_then(Format::of_number);
                let written = [Format::Tlv, Format::SenmlJson, Format::SenmlCbor];
                let known = known.filter(|format| written.contains(format));
                preferred = Some(known.ok_or_else(|| Refusal {
                    code: Code::UNSUPPORTED_CONTENT_FORMAT,
                    text: format!("pct={number}: expected 110, 112 or 11542"),
                })?);
            }
            _ => {}
        }
    }
    let endpoint =
        endpoint.ok_or_else(|| Refusal::bad_request("expected ?ep=, the endpoint name"))?;
    Ok((endpoint, preferred))
}

impl Service for Bootstrap {
    fn start(&mut self, _: SimTime, _: &mut dyn Node) {
        self.draining = false;
    }

    fn serves(&self, path: &str) -> bool {
        path == PATH
    }

    fn links(&self) -> Vec<Link> {
        vec![Link::new(PATH)]
    }

    fn handle_request(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        let from = incoming.from;
        match self.requested(from, &incoming.request) {
            Ok(endpoint) => {
                node.respond(now, incoming.exchange, Response::new(Code::CHANGED));
                self.go_on(now, &endpoint, node);
            }
            Err(Refusal { code, text: reason }) => {
                let response = Response::diagnostic(code, &reason);
                node.respond(now, incoming.exchange, response);
                self.tell(BootstrapEvent::Refused { from, code, reason });
            }
        }
    }

    fn handle_outcome(
        &mut self,
        now: SimTime,
        call: CallId,
        outcome: CallOutcome,
        node: &mut dyn Node,
    ) {
        let outcome = match outcome {
            CallOutcome::Answered { response, .. } => Ok(response),
            CallOutcome::Failed(reason) => Err(reason),
            // Of what it does not ask for: observations, and requests with No-Response.
            CallOutcome::Notified { .. }
            | CallOutcome::NotificationLost { .. }
            | CallOutcome::Sent => return,
        };
        let Some((endpoint, target)) = self.calls.remove(&call) else {
            return;
        };
        match &outcome {
            Ok(_) => self.tally.answered += 1,
            Err(reason) => {
                self.tally.fail(reason);
                let reason = reason.clone();
                self.reports
                    .push_back(Report::RequestFailed { target, reason });
            }
        }
        // Or of a session that began again since.
        if (self.sessions.get(&endpoint)).is_some_and(|session| session.call == Some(call)) {
            self.done(now, &endpoint, outcome.map_err(Failure::Call), node);
        }
    }

    fn drain(&mut self, _: SimTime, _: &mut dyn Node) {
        self.draining = true;
        while let Some((endpoint, _)) = self.sessions.pop_first() {
            self.end(&endpoint, Outcome::Failed(Failure::Ended));
        }
    }

    fn tally(&self) -> Tally {
        self.tally.clone()
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }
}
