//! Sensors: resources with a representation that is generated, and may be written.
//!
//! *Reading.* GET gives the representation, 2.05; so does FETCH, whose body selects nothing, since
//! one value has no parts (RFC 8132 §2). A resource that can be observed (RFC 7641; by GET or
//! FETCH) has a state, which changes by itself, at its instants, or when it is written; any other
//! one is generated anew for every request. With an ETag in the request that fits, the answer is
//! 2.03 (RFC 7252 §5.10.6.2).
//!
//! *Writing*, with the methods that the resource allows:
//!
//! | method | what it does | answer |
//! | --- | --- | --- |
//! | PUT, POST | the payload is the representation from now on (RFC 7252 §5.8.3, §5.8.2) | 2.04, or 2.01 after a DELETE |
//! | PATCH, iPATCH | the same, since a set of changes to one value is that value (RFC 8132 §3) | 2.04, or 4.04 after a DELETE |
//! | DELETE | it is not there any more: 4.04 until it is written by PUT or POST (RFC 7252 §5.8.4) | 2.02, also if it is not there |
//!
//! What was written stays: the source of the resource has no part in it any more. It is given as it
//! came, whatever size the resource has. Whoever observes is told, after a DELETE with a 4.04,
//! which ends the observation (RFC 7641 §4.2).
//!
//! *Conditions.* If-Match and If-None-Match are obeyed by every method that writes: 4.12 (RFC 7252
//! §5.10.8). A resource that can be written has an ETag in its answers; it is that of the bytes.
//!
//! *Errors.* 4.05 for a method that the resource does not allow (RFC 7252 §5.8); 4.15 for a payload
//! in another Content-Format than the resource's (§5.10.3; without the option it is taken for
//! that); 4.00 for a FETCH without Content-Format (RFC 8132 §2.3.1); 4.06 is the endpoint's.
//!
//! *Freshness.* An observer waits for the next state as long as this one is fresh (RFC 7641
//! §3.3.1): Max-Age is the period of a resource and a second where that is more than the default of
//! 60 s, and a day where only writing changes it.

mod config;
mod feed;
mod generator;
mod replay;
mod state;

use std::time::Duration;

use coap::link::Link;
use coap::message::option;
use coap::{Code, Request, Response};
use units::{Rng, SimTime};

pub use config::{
    Changes, Counter, MAX_DECIMALS, Resource, SensorError, Sine, Source, Walk, Writes,
};
pub use feed::Feed;
pub use replay::{EmptySeries, End, Replay};

use crate::node::{Incoming, Node};
use crate::service::{Reach, Service};
use generator::Walker;
use state::Sensor;

/// Changes that a node which is late makes up for at once; those before them are left out.
const MAX_CATCH_UP: u32 = 10_000;

/// The resources of a node; a [`Service`].
#[derive(Debug)]
pub struct Sensors {
    sensors: Vec<Sensor>,
    /// One reading for all resources that are read anew for every request.
    reading: Walker,
    /// Draws readings.
    readings: Rng,
    /// The start of the scenario.
    start: Option<SimTime>,
}

/// What a request comes to.
#[derive(Debug)]
struct Answer {
    response: Response,
    /// Whether what it asks for can be observed.
    observable: bool,
    /// The state that it has made, for those who observe.
    changed: Option<Response>,
}

impl Answer {
    fn plain(response: Response) -> Answer {
        Answer {
            response,
            observable: false,
            changed: None,
        }
    }
}

impl Sensors {
    /// Serves `resources`. `stream` makes the random stream of a name: `readings` for all
    /// [`Source::Reading`]s, `walk /path` for a [`Source::Walk`].
    ///
    /// # Errors
    /// A resource that cannot be had.
    pub fn new(
        resources: Vec<Resource>,
        mut stream: impl FnMut(&str) -> Rng,
    ) -> Result<Sensors, SensorError> {
        let readings = stream("readings");
        let mut sensors: Vec<Sensor> = Vec::new();
        for resource in resources {
            resource.check()?;
            if sensors.iter().any(|sensor| sensor.path() == resource.path) {
                return Err(SensorError::Twice(resource.path));
            }
            sensors.push(Sensor::new(resource, &mut stream));
        }
        Ok(Sensors {
            sensors,
            reading: Walker::new(&Walk::reading()),
            readings,
            start: None,
        })
    }

    fn elapsed(&self, now: SimTime) -> Duration {
        let since = |start| now.saturating_since(start);
        self.start.map_or(Duration::ZERO, since)
    }

    /// The paths and new states of the resources that have changed; one that has changed several
    /// times is there once.
    fn take_due(&mut self, now: SimTime) -> Vec<(String, Response)> {
        let Some(start) = self.start else {
            return Vec::new();
        };
        let mut changed = Vec::new();
        for sensor in &mut self.sensors {
            let mut times = 0;
            while let Some(due) = sensor.due().filter(|due| *due <= now) {
                times += 1;
                if times > MAX_CATCH_UP {
                    sensor.skip(start, now);
                    break;
                }
                sensor.change(start, due, &mut self.readings);
            }
            if times > 0 {
                changed.push((sensor.path().to_owned(), sensor.state()));
            }
        }
        changed
    }

    fn answer(&mut self, now: SimTime, request: &Request) -> Answer {
        let elapsed = self.elapsed(now);
        let path = request.path();
        let Some(sensor) = self.sensors.iter_mut().find(|s| s.path() == path) else {
            let text = format!("no resource {path}");
            return Answer::plain(Response::diagnostic(Code::NOT_FOUND, &text));
        };
        if let Err(refusal) = sensor.check(request) {
            return Answer::plain(refusal);
        }
        if !request.method.is_safe() {
            let response = sensor.write(request);
            return Answer {
                response,
                observable: false,
                changed: Some(sensor.state()),
            };
        }
        if sensor.is_generated_anew() {
            sensor.generate(elapsed, &mut self.reading, &mut self.readings);
        }
        Answer {
            response: validated(request, sensor.state()),
            observable: sensor.is_observable(),
            changed: None,
        }
    }
}

/// "A server can issue a 2.03 Valid response [...] in place of a 2.05 Content response if one of
/// the ETags given is the entity-tag for the current representation" (RFC 7252 §5.10.6.2).
fn validated(request: &Request, mut state: Response) -> Response {
    let tag = coap::block::entity_tag(&state.payload);
    let mut known = request.options.get_all(option::ETAG);
    if state.code != Code::CONTENT || !known.any(|known| known == tag) {
        return state;
    }
    state.code = Code::VALID;
    state.payload.clear();
    state.options.remove(option::CONTENT_FORMAT);
    state.options.remove(option::ETAG);
    state.options.push(option::ETAG, tag);
    state
}

impl Service for Sensors {
    fn start(&mut self, now: SimTime, _: &mut dyn Node) {
        self.start = Some(now);
        for sensor in &mut self.sensors {
            sensor.start(now);
        }
    }

    fn poll_timeout(&self, reach: Reach) -> Option<SimTime> {
        let due = self.sensors.iter().filter_map(Sensor::due).min();
        due.filter(|_| reach.sends)
    }

    fn handle_timeout(&mut self, now: SimTime, reach: Reach, node: &mut dyn Node) {
        if reach.sends {
            for (path, state) in self.take_due(now) {
                node.notify(now, &path, &state);
            }
        }
    }

    fn serves(&self, path: &str) -> bool {
        self.sensors.iter().any(|sensor| sensor.path() == path)
    }

    fn known_critical(&self) -> &'static [u16] {
        crate::KNOWN_CRITICAL
    }

    fn links(&self) -> Vec<Link> {
        self.sensors.iter().map(Sensor::link).collect()
    }

    fn handle_request(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        let answer = self.answer(now, &incoming.request);
        match answer.observable {
            true => node.respond_observed(now, incoming.exchange, answer.response),
            false => node.respond(now, incoming.exchange, answer.response),
        }
        if let Some(state) = answer.changed {
            node.notify(now, &incoming.request.path(), &state);
        }
    }
}

#[cfg(test)]
mod tests;
