//! The bootstrap of a client (LwM2M 1.1 Core §6.1; Transport, table 6.4.2-1).
//!
//! It begins when there is no account of a server, when no server takes the client, or when a server executes
//! Bootstrap-Request Trigger; with the former two the client holds off first. What the bootstrap server writes is
//! written to a *draft* of the tree, which becomes the tree with Bootstrap-Finish. So the configuration is always the old
//! one or the new one, whole: also for whoever saves it, and for the servers, whose requests are answered meanwhile.
//!
//! | what ends it | then |
//! | --- | --- |
//! | Finish, and the draft fits together | 2.04; every server is registered with anew |
//! | Finish, and it does not | 4.06; the draft is dropped |
//! | an error or silence after the Bootstrap-Request | the draft is dropped |
//! | no request for EXCHANGE_LIFETIME | the draft is dropped |
//!
//! After a failure the client tries again, ever later. An operation that is refused ends nothing: the bootstrap server
//! decides what follows.

use std::collections::BTreeSet;
use std::net::SocketAddrV6;
use std::time::Duration;

use coap::message::option;
use coap::{Code, Reliability, Request, Response};
use service::{CallId, Incoming, Node, Outcome, Report};
use units::SimTime;

use super::requests::{self, accepts, content, content_format};
use super::{Call, Cause, Client, Event};
use crate::access::SECURITY;
use crate::account::{self, BootstrapServer};
use crate::format::{self, Format};
use crate::model::Version;
use crate::operations::{self, Change, Requester};
use crate::path::{Level, Path};
use crate::refusal::Refusal;
use crate::store::{Changes, Store};

/// Where bootstrap servers are asked, and where they say that they are done.
const PATH: &str = "/bs";

/// EXCHANGE_LIFETIME (RFC 7252 §4.8.2): after so long a silence nothing of the bootstrap server can be under way.
const SILENCE: Duration = Duration::from_secs(247);

/// How long a client waits after a bootstrap that failed, and how often that doubles: as for registrations.
const RETRY: Duration = Duration::from_secs(60);
const DOUBLINGS: u32 = 5;

/// How far a bootstrap is.
#[derive(Debug, Default)]
pub(super) struct Bootstrapping {
    stage: Stage,
    /// How often it has failed in a row.
    failures: u32,
}

#[derive(Debug, Default)]
enum Stage {
    /// None is wanted.
    #[default]
    Idle,
    /// The bootstrap server is asked at the instant.
    Waiting { at: SimTime, cause: Cause },
    /// It was asked, or is at work.
    Active(Box<Session>),
}

/// A bootstrap server at work.
#[derive(Debug)]
struct Session {
    server: SocketAddrV6,
    /// The Bootstrap-Request, while it is under way.
    call: Option<CallId>,
    /// When its silence has lasted too long; none: it has said nothing yet, and the request is under way.
    until: Option<SimTime>,
    /// The format that it was asked to write in.
    preferred: Option<Format>,
    cause: Cause,
    /// What becomes the client's tree.
    draft: Store,
}

impl Bootstrapping {
    pub(super) fn due(&self) -> Option<SimTime> {
        match &self.stage {
            Stage::Idle => None,
            Stage::Waiting { at, .. } => Some(*at),
            Stage::Active(session) => session.until,
        }
    }

    fn draft(&mut self) -> Option<&mut Store> {
        match &mut self.stage {
            Stage::Active(session) => Some(&mut session.draft),
            _ => None,
        }
    }

    /// Whether the sender is the bootstrap server that is at work.
    pub(super) fn is_of(&self, from: SocketAddrV6) -> bool {
        match &self.stage {
            Stage::Active(session) => same(session.server, from),
            _ => false,
        }
    }
}

/// Whether two addresses are of one endpoint: neither flow nor scope tells them apart.
fn same(a: SocketAddrV6, b: SocketAddrV6) -> bool {
    (a.ip(), a.port()) == (b.ip(), b.port())
}

/// What a request of a bootstrap server comes to.
type Done = Result<Response, Refusal>;

impl Client {
    /// Whether a bootstrap server is at work, or was asked to be.
    pub fn is_bootstrapping(&self) -> bool {
        matches!(self.bootstrap.stage, Stage::Active(_))
    }

    /// Has an account of the bootstrap server at `address` before it starts, and holds off so long, in whole seconds,
    /// before it asks that (Client Hold Off Time, LwM2M 1.1 Core §E.1).
    ///
    /// # Errors
    /// When the tree cannot have it.
    pub fn add_bootstrap_server(
        &mut self,
        address: SocketAddrV6,
        hold_off: Duration,
    ) -> Result<(), Refusal> {
        let security = self.store().free_instance(SECURITY);
        let security = security.unwrap_or(Path::instance(SECURITY, 0));
        let values = account::of_bootstrap_server(security, address, hold_off);
        self.add(security, &values)
    }

    /// Wants to be bootstrapped, or no more, as the servers are there and take the client.
    pub(super) fn consider_bootstrap(&mut self, now: SimTime) {
        let server = account::bootstrap_server(&self.store);
        let wanted = server.zip(self.lacks_server());
        match (&self.bootstrap.stage, wanted) {
            (Stage::Idle, Some((server, cause))) => {
                let at = now + server.hold_off;
                self.bootstrap.stage = Stage::Waiting { at, cause };
            }
            (Stage::Waiting { cause, .. }, None) if *cause != Cause::Triggered => {
                self.bootstrap = Bootstrapping::default();
            }
            _ => {}
        }
    }

    /// Why there is no server, if there is none.
    fn lacks_server(&self) -> Option<Cause> {
        if self.registrations.is_empty() {
            return Some(Cause::NoServer);
        }
        let mut limits = self.registrations.iter().map(|(server, registration)| {
            (registration, account::gives_up_after(&self.store, *server))
        });
        let without = limits.all(|(registration, limit)| registration.has_failed(limit));
        without.then_some(Cause::NotRegistered)
    }

    /// A server has executed Bootstrap-Request Trigger.
    pub(super) fn trigger_bootstrap(&mut self, now: SimTime, node: &mut dyn Node) {
        if !self.is_bootstrapping() {
            let cause = Cause::Triggered;
            self.bootstrap.stage = Stage::Waiting { at: now, cause };
            self.bootstrap_due(now, node);
        }
    }

    /// Asks, or gives up, where that is due.
    pub(super) fn bootstrap_due(&mut self, now: SimTime, node: &mut dyn Node) {
        if self.bootstrap.due().is_none_or(|due| due > now) || !self.running {
            return;
        }
        match &self.bootstrap.stage {
            Stage::Waiting { cause, .. } => {
                let cause = *cause;
                match account::bootstrap_server(&self.store) {
                    Some(server) => self.request_bootstrap(now, server, cause, node),
                    None => self.bootstrap = Bootstrapping::default(),
                }
            }
            Stage::Active(_) => {
                let seconds = SILENCE.as_secs();
                self.fail_bootstrap(now, format!("no request for {seconds} s"));
            }
            Stage::Idle => {}
        }
    }

    fn request_bootstrap(
        &mut self,
        now: SimTime,
        server: BootstrapServer,
        cause: Cause,
        node: &mut dyn Node,
    ) {
        let server = server.address;
        self.bootstrap.stage = Stage::Active(Box::new(Session {
            server,
            call: None,
            until: None,
            preferred: self.preferred(),
            cause,
            draft: self.store.clone(),
        }));
        self.note(Event::BootstrapRequested { server, cause });
        self.say_bootstrap(now, node);
    }

    /// Sends the Bootstrap-Request.
    fn say_bootstrap(&mut self, now: SimTime, node: &mut dyn Node) {
        let Stage::Active(session) = &self.bootstrap.stage else {
            return;
        };
        let mut request = Request::new(Code::POST, PATH);
        let ep = format!("ep={}", self.config.endpoint);
        let pct = (session.preferred).map(|format| format!("pct={}", format.number()));
        for query in [ep].into_iter().chain(pct) {
            request.options.push(option::URI_QUERY, query);
        }
        let target = self.target(session.server);
        let how = Reliability::Confirmable;
        let call = self.ask(now, target, how, request, Call::Bootstrap, node);
        if let Stage::Active(session) = &mut self.bootstrap.stage {
            session.call = Some(call);
        }
    }

    /// The format in which it likes to be written to (`pct`, from LwM2M 1.1 on).
    fn preferred(&self) -> Option<Format> {
        let written = [Format::Tlv, Format::SenmlJson, Format::SenmlCbor];
        let liked = self.config.format.filter(|format| written.contains(format));
        (self.newest() > Version::V1_0).then_some(liked.unwrap_or(Format::SenmlCbor))
    }

    /// The newest version that it speaks.
    fn newest(&self) -> Version {
        let newest = self.config.versions.iter().max();
        newest.copied().unwrap_or(Version::V1_0)
    }

    /// What changes meanwhile by itself, or by servers, changes in the draft, too: it would be lost with Finish. What the
    /// bootstrap server has made otherwise stays so.
    pub(super) fn change_draft(&mut self, changes: &Changes) {
        let Some(draft) = self.bootstrap.draft() else {
            return;
        };
        let store = &self.store;
        let mut begun = draft.transaction();
        let mut others: BTreeSet<Path> = BTreeSet::new();
        for instance in &changes.deleted {
            // It has gone there, too.
            let _ = begun.delete(*instance);
        }
        for instance in &changes.created {
            others.extend(begun.create(*instance).is_err().then_some(*instance));
        }
        for path in &changes.values {
            let instance = path.truncated(Level::Instance);
            let of_another =
                account::short_id(store, &instance) != account::short_id(begun.store(), &instance);
            if others.contains(&instance) || of_another && !changes.created.contains(&instance) {
                continue;
            }
            let changed = match store.value(path) {
                Some(value) => begun.set(*path, value.clone()),
                None if store.contains(path) => begun.empty(*path),
                None => begun.remove(*path),
            };
            // The instance is not there any more.
            let _ = changed;
        }
        begun.commit();
    }

    /// What became of the Bootstrap-Request.
    pub(super) fn handle_bootstrap_answer(
        &mut self,
        now: SimTime,
        call: CallId,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        let target = match &mut self.bootstrap.stage {
            Stage::Active(session) if session.call == Some(call) => {
                session.call = None;
                session.server
            }
            _ => return,
        };
        let reason = match outcome {
            Outcome::Answered { response, .. } if response.code == Code::CHANGED => {
                return self.heard_bootstrap(now);
            }
            Outcome::Answered { response, .. } => {
                if response.code == Code::UNSUPPORTED_CONTENT_FORMAT && self.take_any_format() {
                    return self.say_bootstrap(now, node);
                }
                let words = String::from_utf8_lossy(&response.payload);
                format!("the bootstrap server answered {} {words}", response.code)
            }
            Outcome::Failed(reason) => {
                let target = self.target(target);
                let said = reason.to_string();
                self.reports
                    .push_back(Report::RequestFailed { target, reason });
                // Its operations came, and its answer did not.
                if self.bootstrap.due().is_some() {
                    return;
                }
                said
            }
            _ => return,
        };
        self.fail_bootstrap(now, reason.trim_end().to_owned());
    }

    /// The bootstrap server does not write in the preferred format: whether it had one.
    fn take_any_format(&mut self) -> bool {
        match &mut self.bootstrap.stage {
            Stage::Active(session) => session.preferred.take().is_some(),
            _ => false,
        }
    }

    fn heard_bootstrap(&mut self, now: SimTime) {
        if let Stage::Active(session) = &mut self.bootstrap.stage {
            session.until = Some(now + SILENCE);
        }
    }

    /// Drops the draft, and tries again later.
    fn fail_bootstrap(&mut self, now: SimTime, reason: String) {
        let Stage::Active(session) = std::mem::take(&mut self.bootstrap.stage) else {
            return;
        };
        let Session { server, cause, .. } = *session;
        let at = now + RETRY * (1 << self.bootstrap.failures.min(DOUBLINGS));
        self.bootstrap.failures += 1;
        self.bootstrap.stage = Stage::Waiting { at, cause };
        self.note(Event::BootstrapFailed {
            server,
            reason,
            again_at: at,
        });
        self.consider_bootstrap(now);
    }

    /// A request of the bootstrap server that is at work.
    pub(super) fn handle_bootstrap(
        &mut self,
        now: SimTime,
        incoming: Incoming,
        node: &mut dyn Node,
    ) {
        self.heard_bootstrap(now);
        let request = incoming.request;
        if request.method == Code::POST && request.path() == PATH {
            return self.finish_bootstrap(now, incoming.exchange, node);
        }
        let path = request.path().parse::<Path>();
        let done = match path {
            Ok(path) => self.bootstrap_operation(path, &request),
            Err(error) => Err(Refusal::bad_request(error.to_string())),
        };
        let response = done.unwrap_or_else(|refusal| refusal.response());
        node.respond(now, incoming.exchange, response);
    }

    fn bootstrap_operation(&mut self, path: Path, request: &Request) -> Done {
        let (newest, style) = (self.newest(), self.config.style);
        let Some(draft) = self.bootstrap.draft() else {
            return Err(Refusal::unauthorized(&path));
        };
        match request.method {
            Code::DELETE => {
                Change::new(draft, Requester::Bootstrap).bootstrap_delete(path)?;
                Ok(Response::new(Code::DELETED))
            }
            Code::PUT => {
                let format = content_format(request)?.unwrap_or(Format::Text);
                let records = format::decode(format, &path, &request.payload, draft.registry())?;
                Change::new(draft, Requester::Bootstrap).bootstrap_write(path, &records)?;
                Ok(Response::new(Code::CHANGED))
            }
            Code::GET if accepts(request) == Some(Format::Link.number()) => {
                let links = operations::bootstrap_discover(draft, newest, path)?;
                Ok(content(Format::Link.number(), links.into_bytes()))
            }
            Code::GET => {
                let records = operations::bootstrap_read(draft, path, style.float_text)?;
                let by_version = match newest > Version::V1_0 {
                    true => Format::SenmlCbor,
                    false => Format::Tlv,
                };
                let number = accepts(request).unwrap_or(by_version.number());
                let format = Format::of_number(number);
                let format = format.ok_or_else(|| requests::unacceptable(number))?;
                let payload = format::encode(format, &path, &records, style)?;
                Ok(content(number, payload))
            }
            _ => Err(Refusal::not_allowed(
                &path,
                "no operation of a bootstrap server",
            )),
        }
    }

    /// Bootstrap-Finish: the draft is the tree from now on, if it fits together.
    fn finish_bootstrap(&mut self, now: SimTime, exchange: coap::ExchangeId, node: &mut dyn Node) {
        let Stage::Active(session) = &self.bootstrap.stage else {
            return;
        };
        if let Err(refusal) = account::check(&session.draft) {
            node.respond(now, exchange, refusal.response());
            return self.fail_bootstrap(now, format!("Bootstrap-Finish: {refusal}"));
        }
        node.respond(now, exchange, Response::new(Code::CHANGED));
        let Stage::Active(session) = std::mem::take(&mut self.bootstrap).stage else {
            return;
        };
        let server = session.server;
        let changes = self.store.replace(session.draft);
        // What is written is told to every server, as a registration of its own.
        self.register_anew(now);
        self.note(Event::Bootstrapped { server });
        self.changed(now, &changes, node);
        self.take_accounts(now, node);
    }
}
