//! One resource and its state.

use std::time::Duration;

use coap::block::entity_tag;
use coap::link::Link;
use coap::message::option;
use coap::{Code, Request, Response};
use units::{Rng, SimTime};

use super::config::Resource;
use super::generator::{Generator, Walker};

/// Max-Age of a response without the option, in seconds (RFC 7252 §5.10.5).
const DEFAULT_MAX_AGE_S: u64 = 60;

/// How long a state is fresh that only writing changes: a day, within which a server has to confirm
/// that an observer is there (RFC 7641 §4.5).
const WRITTEN_MAX_AGE_S: u64 = 24 * 3600;

/// A resource at work.
#[derive(Debug)]
pub(super) struct Sensor {
    resource: Resource,
    generator: Generator,
    /// Its representation; none after a DELETE.
    body: Option<Vec<u8>>,
    /// It has been written or deleted: its source has no part in it any more.
    written: bool,
    /// From the start of the scenario until it first changes by itself, if it does so periodically.
    first_change: Duration,
    /// It has changed by itself for the last time.
    ended: bool,
    due: Option<SimTime>,
}

impl Sensor {
    pub(super) fn new(resource: Resource, stream: &mut impl FnMut(&str) -> Rng) -> Sensor {
        let path = resource.path.clone();
        let mut generator = Generator::new(&resource.source, || stream(&format!("walk {path}")));
        // After the start, not at it.
        let first_change = match resource.changes {
            Some(changes) if changes.phase.is_zero() => changes.every,
            Some(changes) => changes.phase,
            None => Duration::ZERO,
        };
        let observable = resource.is_observable();
        let body = observable.then(|| sized(generator.first(), resource.size));
        Sensor {
            resource,
            generator,
            body: Some(body.unwrap_or_default()),
            written: false,
            first_change,
            ended: false,
            due: None,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.resource.path
    }

    pub(super) fn is_observable(&self) -> bool {
        self.resource.is_observable()
    }

    /// Whether every request that reads it has it generated.
    pub(super) fn is_generated_anew(&self) -> bool {
        !self.is_observable()
    }

    /// What `/.well-known/core` says of it (RFC 6690).
    pub(super) fn link(&self) -> Link {
        Link {
            content_format: Some(self.resource.content_format),
            size: self.resource.size.map(|size| size as u64),
            observable: self.is_observable(),
            ..Link::new(self.path())
        }
    }

    pub(super) fn due(&self) -> Option<SimTime> {
        self.due
    }

    pub(super) fn start(&mut self, now: SimTime) {
        if self.written {
            return;
        }
        self.due = match self.resource.changes {
            Some(_) => Some(now + self.first_change),
            None => self
                .generator
                .next_change(Duration::ZERO)
                .map(|at| now + at),
        };
    }

    /// Changes by itself, at the instant `due` of a scenario that began at `start`.
    pub(super) fn change(&mut self, start: SimTime, due: SimTime, readings: &mut Rng) {
        let elapsed = due.saturating_since(start);
        let next = self.generator.next(elapsed, readings);
        self.body = Some(sized(next, self.resource.size));
        self.wait(start, due);
    }

    /// Leaves out what it should have changed by until `now`.
    pub(super) fn skip(&mut self, start: SimTime, now: SimTime) {
        if let (Some(changes), Some(due)) = (self.resource.changes, self.due) {
            let missed = now.saturating_since(due).as_nanos() / changes.every.as_nanos();
            let left_out = changes.every.as_nanos().saturating_mul(missed);
            let left_out = Duration::from_nanos(u64::try_from(left_out).unwrap_or(u64::MAX));
            self.due = Some(due + left_out + changes.every);
        } else {
            self.wait(start, now);
        }
    }

    /// Sets the instant of the next change after `now`.
    fn wait(&mut self, start: SimTime, now: SimTime) {
        self.due = match self.resource.changes {
            Some(changes) => Some(now + changes.every),
            None => {
                let elapsed = now.saturating_since(start);
                self.generator.next_change(elapsed).map(|at| start + at)
            }
        };
        self.ended = self.due.is_none();
    }

    /// Makes the representation anew; `reading` is that of all who share it.
    pub(super) fn generate(&mut self, elapsed: Duration, reading: &mut Walker, rng: &mut Rng) {
        let next = match &mut self.generator {
            Generator::Reading(_) => {
                reading.walk(rng);
                reading.text().into_bytes()
            }
            generator => generator.next(elapsed, rng),
        };
        self.body = Some(sized(next, self.resource.size));
    }

    /// Its state: 2.05 with the representation, or 4.04.
    pub(super) fn state(&self) -> Response {
        let Some(body) = &self.body else {
            let text = format!("{} has been deleted", self.path());
            return Response::diagnostic(Code::NOT_FOUND, &text);
        };
        let mut response = Response {
            payload: body.clone(),
            ..Response::new(Code::CONTENT)
        };
        let options = &mut response.options;
        if self.resource.writes.any() {
            options.push(option::ETAG, entity_tag(body));
        }
        let format = u64::from(self.resource.content_format);
        options.push_uint(option::CONTENT_FORMAT, format);
        // An observer waits for the next state as long as this one is fresh.
        let max_age = self.max_age_s();
        if max_age > DEFAULT_MAX_AGE_S {
            options.push_uint(option::MAX_AGE, max_age);
        }
        response
    }

    fn max_age_s(&self) -> u64 {
        if !self.is_observable() {
            return 0;
        }
        let every = self.resource.changes.map(|changes| changes.every);
        let period = every.or_else(|| self.generator.longest());
        match period.filter(|_| !self.written && !self.ended) {
            Some(period) => period.as_secs().saturating_add(1),
            None => WRITTEN_MAX_AGE_S,
        }
    }

    /// Whether a request may be done.
    pub(super) fn check(&self, request: &Request) -> Result<(), Response> {
        let (method, options) = (request.method, &request.options);
        if !self.resource.writes.allows(method) {
            let text = format!("allowed: {}", self.resource.writes.names());
            return Err(Response::diagnostic(Code::METHOD_NOT_ALLOWED, &text));
        }
        if !self.fulfils(request) {
            return Err(Response::new(Code::PRECONDITION_FAILED));
        }
        let patches = [Code::PATCH, Code::IPATCH].contains(&method);
        if self.body.is_none() && (method.is_safe() || patches) {
            return Err(self.state());
        }
        let format = options.get_uint(option::CONTENT_FORMAT);
        if method == Code::FETCH && format.is_none() {
            let text = "a FETCH has a Content-Format";
            return Err(Response::diagnostic(Code::BAD_REQUEST, text));
        }
        let own = u64::from(self.resource.content_format);
        let carries = ![Code::GET, Code::DELETE].contains(&method);
        if carries && format.is_some_and(|format| format != own) {
            let text = format!("expected Content-Format {own}");
            let code = Code::UNSUPPORTED_CONTENT_FORMAT;
            return Err(Response::diagnostic(code, &text));
        }
        Ok(())
    }

    /// Whether the conditions of a request are fulfilled (RFC 7252 §5.10.8).
    fn fulfils(&self, request: &Request) -> bool {
        let options = &request.options;
        let tag = self.body.as_ref().map(|body| entity_tag(body));
        let mut matches = options.get_all(option::IF_MATCH).peekable();
        // "an empty value matches any existing representation"; "if any of the options match".
        let fits = |value: &[u8]| tag.is_some_and(|tag| value.is_empty() || value == tag);
        let matched = matches.peek().is_none() || matches.any(fits);
        let none = options.get(option::IF_NONE_MATCH).is_none() || tag.is_none();
        matched && none
    }

    /// Does what a request that writes says, and answers it.
    pub(super) fn write(&mut self, request: &Request) -> Response {
        self.written = true;
        self.due = None;
        if request.method == Code::DELETE {
            self.body = None;
            return Response::new(Code::DELETED);
        }
        let code = match self.body {
            Some(_) => Code::CHANGED,
            None => Code::CREATED,
        };
        let mut response = Response::new(code);
        let tag = entity_tag(&request.payload);
        response.options.push(option::ETAG, tag);
        self.body = Some(request.payload.clone());
        response
    }
}

/// A generated representation, filled with spaces or cut.
fn sized(mut body: Vec<u8>, size: Option<usize>) -> Vec<u8> {
    if let Some(size) = size {
        body.resize(size, b' ');
    }
    body
}
