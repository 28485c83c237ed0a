//! What clients ask of the server: Register, Update, Deregister, Send, and the PUT of Notify.
//!
//! | rule | where |
//! | --- | --- |
//! | a registration takes the place of another one of its endpoint, and gets what waited for that | `Server::register` |
//! | an Update comes from any address, and the client is there from then on | `Server::moved` |
//! | so does a report to a path that was handed out: after a NAT rebinding the address says nothing, the path does | `Server::report` |
//! | a report prolongs no registration (OMA issue 555), and wakes the client (OMA issue 554) | `Server::report` |
//! | Send keeps all records and their times | `Server::receive` |

use std::collections::VecDeque;
use std::net::SocketAddrV6;
use std::sync::Arc;

use coap::message::option;
use coap::{Code, Request, Response};
use rand_core::Rng as _;
use service::{Incoming, Node};
use units::SimTime;

use super::Server;
use super::event::Event;
use super::jobs::Job;
use super::operation::{Failure, Operation, Outcome};
use super::register;
use super::registration::{Registration, RegistrationId};
use super::request;
use crate::format::{Format, Record};
use crate::notify::{NOTIFY, RESOURCE_URI, URI_PATH};
use crate::path::Path;
use crate::refusal::Refusal;
use crate::value::Value;

/// Longest endpoint name, in bytes: what a Uri-Query holds beside `ep=`.
const MAX_ENDPOINT: usize = 252;

/// What a request is for, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `/rd`
    Registrations,
    /// `/rd/5a3f…`
    Registration(String),
    /// `/dp`
    Data,
    /// `/n/5a3f…/0`
    HandedOut(String, String),
    /// A path of the configuration.
    Configured(usize),
}

impl Server {
    /// What is at a path.
    pub(super) fn place(&self, path: &str, method: Option<Code>) -> Option<Place> {
        let configured = (self.config.report_paths.iter()).position(|known| known.path == path);
        // `/rd` may be both.
        if let Some(index) = configured.filter(|_| path != "/rd" || method == Some(Code::PUT)) {
            return Some(Place::Configured(index));
        }
        let mut segments = path.strip_prefix('/')?.split('/');
        let place = match (segments.next()?, segments.next(), segments.next()) {
            ("rd", None, None) => Place::Registrations,
            ("rd", Some(id), None) => Place::Registration(id.to_owned()),
            ("dp", None, None) => Place::Data,
            ("n", Some(id), Some(instance)) => Place::HandedOut(id.to_owned(), instance.to_owned()),
            _ => return None,
        };
        segments.next().is_none().then_some(place)
    }

    pub(super) fn serve(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        let Incoming {
            exchange,
            from,
            request,
            ..
        } = incoming;
        let place = self.place(&request.path(), Some(request.method));
        let answered = match (place, request.method) {
            (Some(Place::Registrations), Code::POST) => self.register(now, from, &request, node),
            (Some(Place::Registration(id)), Code::POST) => self.update(now, &id, from, &request),
            (Some(Place::Registration(id)), Code::DELETE) => self.deregister(now, &id, node),
            (Some(Place::Data), Code::POST) => self.receive(now, from, request),
            (Some(Place::HandedOut(id, instance)), Code::PUT) => {
                self.report(now, &id, &instance, from, request)
            }
            (Some(Place::Configured(index)), Code::PUT) => {
                self.report_at(now, index, from, request)
            }
            (Some(_), method) => Err(Refusal {
                code: Code::METHOD_NOT_ALLOWED,
                text: format!("method {method} is for something else"),
            }),
            (None, _) => Err(Refusal {
                code: Code::NOT_FOUND,
                text: "expected /rd, /dp or a path that was handed out".to_owned(),
            }),
        };
        match answered {
            Ok((response, heard)) => {
                node.respond(now, exchange, response);
                self.after(now, heard, node);
            }
            Err(Refusal { code, text: reason }) => {
                node.respond(now, exchange, Response::diagnostic(code, &reason));
                self.tell(Event::Refused { from, code, reason });
            }
        }
    }

    /// What follows a message of a client, after its answer.
    fn after(&mut self, now: SimTime, heard: Heard, node: &mut dyn Node) {
        let id = heard.registration;
        self.heard(now, id);
        if heard.moved {
            let observed = self.registrations.get(id).map(|r| r.observed.clone());
            self.move_observations(now, observed.unwrap_or_default(), node);
        }
        let client = self.registrations.get(id);
        if client.is_some_and(|client| !client.description.queue_mode) {
            self.leave_queue_mode(now, id, node);
        }
        self.go_on_with_script(now, id, node);
        self.pump(now, id, node);
    }

    fn register(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        request: &Request,
        node: &mut dyn Node,
    ) -> Result<(Response, Heard), Refusal> {
        let (endpoint, description) = register::register(request, &self.config)?;
        if endpoint.len() > MAX_ENDPOINT {
            return Err(Refusal::bad_request(format!(
                "ep: longer than {MAX_ENDPOINT} bytes"
            )));
        }
        let former = self
            .registrations
            .of_endpoint(&endpoint)
            .map(|known| known.id);
        if former.is_none() && self.registrations.len() >= self.config.max_registrations {
            return Err(Refusal {
                code: Code::SERVICE_UNAVAILABLE,
                text: "no room for another registration".to_owned(),
            });
        }
        let id = self.new_registration_id();
        let former = former.and_then(|former| self.registrations.remove(former));
        let endpoint: Arc<str> = match &former {
            Some(former) => Arc::clone(&former.endpoint),
            None => endpoint.into(),
        };
        (self.registrations).insert(now, id, Arc::clone(&endpoint), from, description);
        self.tell(Event::Registered {
            registration: id,
            endpoint,
            replaced: former.as_ref().map(|former| former.id),
        });
        if let Some(former) = former {
            self.inherit(now, former, id, node);
        }
        self.begin_script(id);
        let mut response = Response::new(Code::CREATED);
        for segment in ["rd", &id.to_string()] {
            (response.options).push(option::LOCATION_PATH, segment.as_bytes());
        }
        Ok((response, Heard::at_the_same_place(id)))
    }

    fn new_registration_id(&mut self) -> RegistrationId {
        loop {
            let id = RegistrationId(self.rng.next_u64() >> (64 - RegistrationId::BITS));
            if self.registrations.get(id).is_none() {
                return id;
            }
        }
    }

    /// A registration gets what waited for the former one of its endpoint. What that one observed is over, since the
    /// client has forgotten it, and so is its script.
    fn inherit(
        &mut self,
        now: SimTime,
        former: Registration,
        id: RegistrationId,
        node: &mut dyn Node,
    ) {
        let scripted: Vec<_> = former.script.iter().map(|(waiting, _)| *waiting).collect();
        for waiting in scripted {
            let endpoint = Arc::clone(&former.endpoint);
            self.done(
                waiting,
                endpoint,
                Outcome::Failed(Failure::RegistrationEnded),
            );
        }
        for observed in former.observed.iter().copied() {
            self.orphan_observation(observed);
            self.end_observation(observed, "the client registered again".to_owned());
        }
        let asked = former.queue.front().filter(|_| former.asking).copied();
        let (mut queue, mut under_way) = (VecDeque::new(), Vec::new());
        for job_id in former
            .queue
            .into_iter()
            .chain(former.under_way.iter().copied())
        {
            let Some(job) = self.jobs.get_mut(&job_id) else {
                continue;
            };
            // Of an observation in parts some may have begun.
            let ends = former.observed.contains(&job_id)
                || (former.scripted == Some(job_id) && asked != Some(job_id));
            if job.is_again() {
                self.jobs.remove(&job_id);
                self.expiries.clear(job_id);
            } else if ends {
                let outcome = Outcome::Failed(Failure::RegistrationEnded);
                self.finish(now, job_id, outcome, node);
            } else {
                job.registration = id;
                match former.under_way.contains(&job_id) {
                    true => under_way.push(job_id),
                    false => queue.push_back(job_id),
                }
            }
        }
        if let Some(client) = self.registrations.get_mut(id) {
            client.asking = asked.is_some() && queue.front().copied() == asked;
            client.asked = former.asked;
            client.queue = queue;
            client.under_way = under_way;
        }
    }

    /// What is done when a client has registered.
    fn begin_script(&mut self, id: RegistrationId) {
        let Some(client) = self.registrations.get_mut(id) else {
            return;
        };
        for scripted in &self.config.upon_registration {
            let for_it = scripted.endpoint.as_deref();
            if for_it.is_none_or(|endpoint| *endpoint == *client.endpoint) {
                self.next_operation += 1;
                let operation = Arc::new(scripted.operation.clone());
                let id = super::OperationId(self.next_operation);
                client.script.push_back((id, operation));
            }
        }
    }

    fn known(&self, id: &str) -> Result<&Registration, Refusal> {
        let known = id.parse().ok().and_then(|id| self.registrations.get(id));
        known.ok_or_else(|| Refusal {
            code: Code::NOT_FOUND,
            text: "no such registration: register again".to_owned(),
        })
    }

    fn update(
        &mut self,
        now: SimTime,
        id: &str,
        from: SocketAddrV6,
        request: &Request,
    ) -> Result<(Response, Heard), Refusal> {
        let known = self.known(id)?;
        let (id, endpoint) = (known.id, Arc::clone(&known.endpoint));
        let description = register::update(request, &self.config, &known.description)?;
        if let Some(client) = self.registrations.get_mut(id) {
            client.description = description;
        }
        self.registrations.prolong(now, id);
        let heard = self.moved(id, from);
        self.tell(Event::Updated {
            registration: id,
            endpoint,
            moved: heard.moved,
        });
        Ok((Response::new(Code::CHANGED), heard))
    }

    /// A client is there. One with a permanent address is asked there, so nothing moves for the server.
    fn moved(&mut self, id: RegistrationId, from: SocketAddrV6) -> Heard {
        let moved = self.registrations.bind(id, from);
        let client = self.registrations.get(id);
        let permanent =
            client.is_some_and(|client| self.config.permanent.contains_key(&*client.endpoint));
        Heard {
            registration: id,
            moved: moved && !permanent,
        }
    }

    fn deregister(
        &mut self,
        now: SimTime,
        id: &str,
        node: &mut dyn Node,
    ) -> Result<(Response, Heard), Refusal> {
        let known = self.known(id)?;
        let (id, endpoint) = (known.id, Arc::clone(&known.endpoint));
        self.tell(Event::Deregistered {
            registration: id,
            endpoint,
        });
        self.end_registration(now, id, "the client left", node);
        Ok((Response::new(Code::DELETED), Heard::at_the_same_place(id)))
    }

    /// A registration is over, and all that belongs to it.
    pub(super) fn end_registration(
        &mut self,
        now: SimTime,
        id: RegistrationId,
        reason: &str,
        node: &mut dyn Node,
    ) {
        let Some(former) = self.registrations.remove(id) else {
            return;
        };
        for observed in former.observed {
            self.orphan_observation(observed);
            self.end_observation(observed, reason.to_owned());
        }
        for job_id in former.queue.into_iter().chain(former.under_way) {
            match self.jobs.get(&job_id).is_some_and(Job::is_again) {
                true => {
                    self.jobs.remove(&job_id);
                    self.expiries.clear(job_id);
                }
                false => {
                    let outcome = Outcome::Failed(Failure::RegistrationEnded);
                    self.finish(now, job_id, outcome, node);
                }
            }
        }
        for (waiting, _) in former.script {
            let endpoint = Arc::clone(&former.endpoint);
            self.done(
                waiting,
                endpoint,
                Outcome::Failed(Failure::RegistrationEnded),
            );
        }
    }

    /// The calls of an observation are nobody's any more: if the client notifies even so, it is told to stop.
    fn orphan_observation(&mut self, id: super::OperationId) {
        let calls = self
            .observations
            .get_mut(&id)
            .map(|o| std::mem::take(&mut o.calls));
        for call in calls.unwrap_or_default() {
            self.calls.remove(&call);
        }
    }

    /// Send (LwM2M 1.1 Core §6.4.6).
    fn receive(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        request: Request,
    ) -> Result<(Response, Heard), Refusal> {
        let id = self.of_sender(from)?;
        let format = request::format_of(&request.options);
        let names = [Format::SenmlJson, Format::SenmlCbor, Format::Lwm2mCbor];
        if !names.iter().any(|known| Some(known.number()) == format) {
            return Err(Refusal {
                code: Code::UNSUPPORTED_CONTENT_FORMAT,
                text: "expected Content-Format 110, 112 or 11544".to_owned(),
            });
        }
        let registry = &self.config.registry;
        let content = request::read(format, request.payload, &Path::ROOT, registry);
        if let Err(error) = &content.records {
            return Err(Refusal::bad_request(error.clone()));
        }
        if let Some(client) = self.registrations.get(id) {
            let endpoint = Arc::clone(&client.endpoint);
            self.tell(Event::Sent { endpoint, content });
        }
        self.heard(now, id);
        Ok((Response::new(Code::CHANGED), Heard::at_the_same_place(id)))
    }

    /// The registration of whoever is at an address.
    fn of_sender(&self, from: SocketAddrV6) -> Result<RegistrationId, Refusal> {
        let known = self.registrations.of_address(from);
        known.ok_or_else(|| Refusal {
            code: Code::NOT_FOUND,
            text: "nobody is registered from this address: register first".to_owned(),
        })
    }

    /// A report to a path that was handed out.
    fn report(
        &mut self,
        now: SimTime,
        id: &str,
        instance: &str,
        from: SocketAddrV6,
        request: Request,
    ) -> Result<(Response, Heard), Refusal> {
        let known = self.known(id)?;
        let instance: u16 = instance.parse().map_err(|_| Refusal {
            code: Code::NOT_FOUND,
            text: "expected an instance of object 2347 in the path".to_owned(),
        })?;
        let (id, base) = (known.id, known.reports.get(&instance).copied());
        let heard = self.moved(id, from);
        Ok((self.record(now, id, base, request), heard))
    }

    /// A report to a path of the configuration.
    fn report_at(
        &mut self,
        now: SimTime,
        index: usize,
        from: SocketAddrV6,
        request: Request,
    ) -> Result<(Response, Heard), Refusal> {
        let id = self.of_sender(from)?;
        let base = self
            .config
            .report_paths
            .get(index)
            .and_then(|known| known.base);
        let response = self.record(now, id, base, request);
        Ok((response, Heard::at_the_same_place(id)))
    }

    fn record(
        &mut self,
        now: SimTime,
        id: RegistrationId,
        base: Option<Path>,
        request: Request,
    ) -> Response {
        self.heard(now, id);
        let path = request.path();
        let format = request::format_of(&request.options);
        let bare = request.payload.is_empty() && format.is_none();
        let content = (!bare).then(|| self.reported(format, request.payload, base));
        if let Some(client) = self.registrations.get(id) {
            let endpoint = Arc::clone(&client.endpoint);
            self.tell(Event::Reported {
                endpoint,
                path,
                base,
                content,
            });
        }
        Response::new(Code::CHANGED)
    }

    /// What a report says. Formats with names say it even if nobody knows what is reported.
    fn reported(
        &self,
        format: Option<u16>,
        payload: Vec<u8>,
        base: Option<Path>,
    ) -> super::Content {
        let root = request::read(format, payload, &Path::ROOT, &self.config.registry);
        match base {
            Some(base) if root.records.is_err() => {
                request::read(format, root.payload, &base, &self.config.registry)
            }
            _ => root,
        }
    }

    /// What a Notify instance reports where, if the server has just written it.
    pub(super) fn learn_reports(&mut self, job: &Job, outcome: &Outcome) {
        let records: &[Record] = match (&*job.operation, outcome) {
            (Operation::Create { creation, .. }, Outcome::Created(_))
                if creation.object == NOTIFY =>
            {
                &creation.records
            }
            (Operation::Write { path, records, .. }, Outcome::Success(_))
                if path.object_id() == Some(NOTIFY) =>
            {
                records
            }
            _ => return,
        };
        let text = |resource| {
            let found = records
                .iter()
                .find(|r| r.path.resource_id() == Some(resource));
            found.and_then(|record| match &record.value {
                Some(Value::String(text)) => Some(text.as_str()),
                _ => None,
            })
        };
        let place = text(URI_PATH).and_then(|path| self.place(path, None));
        let base = text(RESOURCE_URI).and_then(|text| text.parse().ok());
        if let (Some(Place::HandedOut(id, instance)), Some(base)) = (place, base)
            && let (Ok(id), Ok(instance)) = (id.parse(), instance.parse())
            && let Some(client) = self.registrations.get_mut(id)
        {
            client.reports.insert(instance, base);
        }
    }
}

/// A client that was heard.
struct Heard {
    registration: RegistrationId,
    /// It is somewhere else now.
    moved: bool,
}

impl Heard {
    fn at_the_same_place(registration: RegistrationId) -> Heard {
        Heard {
            registration,
            moved: false,
        }
    }
}
