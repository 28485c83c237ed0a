//! The sensor resources of a node.

use coap::link::{self, Link, WELL_KNOWN_CORE};
use coap::message::option;
use coap::{Code, ExchangeId, Request, Response};
use comp::node::Node;
use driver::Driver;
use rand_core::Rng as _;
use topology::plan::ResourcePlan;
use units::{Rng, SimTime};

use crate::host::now;

/// Content-Format `text/plain; charset=utf-8` (RFC 7252 §12.3).
const TEXT_PLAIN: u16 = 0;

/// Max-Age of a response without the option, in seconds (RFC 7252 §5.10.5).
const DEFAULT_MAX_AGE_S: u64 = 60;

/// The resources of one node: readings that wander with the seed, padded to their size.
#[derive(Debug)]
pub struct Resources {
    sensors: Vec<Sensor>,
    /// Tenths of a unit; one reading for all resources that are read anew for every request.
    reading: i32,
    rng: Rng,
}

/// One resource.
#[derive(Debug)]
struct Sensor {
    plan: ResourcePlan,
    /// Tenths of a unit, of one that changes by itself.
    reading: i32,
    /// When it changes next.
    due: Option<SimTime>,
}

impl Resources {
    /// Serves `resources`.
    pub fn new(resources: Vec<ResourcePlan>, rng: Rng) -> Resources {
        let sensor = |plan| Sensor {
            plan,
            reading: 215,
            due: None,
        };
        Resources {
            sensors: resources.into_iter().map(sensor).collect(),
            reading: 215,
            rng,
        }
    }

    /// From `now` on, resources with a period change by themselves.
    pub fn start(&mut self, now: SimTime) {
        for sensor in &mut self.sensors {
            sensor.due = sensor.plan.changes_every.map(|every| now + every);
        }
    }

    /// When a resource changes next.
    pub fn next_due(&self) -> Option<SimTime> {
        self.sensors.iter().filter_map(|sensor| sensor.due).min()
    }

    /// The paths and new states of the resources that have changed; one that has changed several
    /// times is there once.
    pub fn take_due(&mut self, now: SimTime) -> Vec<(String, Response)> {
        let mut changed = Vec::new();
        for sensor in &mut self.sensors {
            let Some(every) = sensor.plan.changes_every else {
                continue;
            };
            let mut new = false;
            while let Some(due) = sensor.due.filter(|due| *due <= now) {
                sensor.due = Some(due + every);
                sensor.reading = wander(sensor.reading, &mut self.rng);
                new = true;
            }
            if new {
                changed.push((sensor.plan.path.clone(), sensor.state(sensor.reading)));
            }
        }
        changed
    }

    /// Answers a request that is not CoMP's.
    pub fn serve(&mut self, coap: &mut Driver<Node>, exchange: ExchangeId, request: &Request) {
        let (response, observable) = self.answer(request);
        coap.with(|node, now| match observable {
            true => node.respond_observed(now, exchange, response),
            false => node.respond(now, exchange, response),
        });
    }

    /// Tells the observers of what has changed.
    pub fn notify_due(&mut self, coap: &mut Driver<Node>) {
        for (path, state) in self.take_due(now()) {
            coap.with(|node, now| node.notify(now, &path, &state));
        }
    }

    /// The answer to a request that is not CoMP's, and whether what it asks for can be observed.
    pub fn answer(&mut self, request: &Request) -> (Response, bool) {
        let path = request.path();
        if path == WELL_KNOWN_CORE {
            return (link::answer(request, &self.links()), false);
        }
        let Some(sensor) = self.sensors.iter().find(|s| s.plan.path == path) else {
            let text = format!("no resource {path}: see {WELL_KNOWN_CORE}");
            return (Response::diagnostic(Code::NOT_FOUND, &text), false);
        };
        if request.method != Code::GET {
            let text = "a sensor is read with GET";
            let response = Response::diagnostic(Code::METHOD_NOT_ALLOWED, text);
            return (response, false);
        }
        if sensor.plan.changes_every.is_some() {
            return (sensor.state(sensor.reading), true);
        }
        self.reading = wander(self.reading, &mut self.rng);
        (sensor.state(self.reading), false)
    }

    /// What `/.well-known/core` lists (RFC 6690).
    fn links(&self) -> Vec<Link> {
        let sensors = self.sensors.iter().map(|sensor| Link {
            content_format: Some(TEXT_PLAIN),
            size: Some(sensor.plan.size.0),
            observable: sensor.plan.changes_every.is_some(),
            ..Link::new(&sensor.plan.path)
        });
        sensors.chain([comp::comp_link()]).collect()
    }
}

impl Sensor {
    /// The representation of `reading`.
    fn state(&self, reading: i32) -> Response {
        let size = usize::try_from(self.plan.size.0).unwrap_or(usize::MAX);
        let mut payload = format!("{:.1}", f64::from(reading) / 10.0).into_bytes();
        payload.resize(size, b' ');
        let mut response = Response {
            payload,
            ..Response::new(Code::CONTENT)
        };
        let options = &mut response.options;
        options.push_uint(option::CONTENT_FORMAT, u64::from(TEXT_PLAIN));
        // An observer waits for the next state as long as this one is fresh.
        let every = self
            .plan
            .changes_every
            .map_or(0, |every| every.as_secs() + 1);
        if every > DEFAULT_MAX_AGE_S {
            options.push_uint(option::MAX_AGE, every);
        }
        response
    }
}

/// The reading after `reading`.
fn wander(reading: i32, rng: &mut Rng) -> i32 {
    (reading + (rng.next_u32() % 3) as i32 - 1).clamp(-400, 850)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use units::{ByteSize, Seed};

    fn resources() -> Resources {
        let plan = |path: &str, size, changes_every| ResourcePlan {
            path: path.into(),
            size: ByteSize(size),
            changes_every,
        };
        let second = Duration::from_secs(1);
        let plans = vec![
            plan("/temperature", 16, None),
            plan("/image", 2048, Some(second)),
            plan("/slow", 8, Some(second * 100)),
        ];
        Resources::new(plans, Seed(1).rng(&["resource"]))
    }

    fn get(path: &str) -> (Response, bool) {
        resources().answer(&Request::new(Code::GET, path))
    }

    #[test]
    fn a_reading_has_the_size_of_its_resource() {
        let (answer, observable) = get("/temperature");
        assert_eq!((answer.code, observable), (Code::CONTENT, false));
        assert_eq!(answer.payload.len(), 16);
        let text = String::from_utf8(answer.payload).unwrap();
        assert!((text.trim().parse::<f64>().unwrap() - 21.5).abs() < 0.15);
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        assert_eq!(get("/x").0.code, Code::NOT_FOUND);
        let put = Request::new(Code::PUT, "/temperature");
        assert_eq!(resources().answer(&put).0.code, Code::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn the_links_name_every_resource_and_which_can_be_observed() {
        let (answer, _) = get("/.well-known/core");
        let links =
            "</temperature>;ct=0;sz=16,</image>;ct=0;sz=2048;obs,</slow>;ct=0;sz=8;obs,</comp>";
        assert_eq!(String::from_utf8(answer.payload).unwrap(), links);
        assert_eq!(answer.options.get(option::CONTENT_FORMAT), Some(&[40][..]));
    }

    #[test]
    fn a_resource_with_a_period_changes_only_then_and_tells_the_latest_state_once() {
        let at = |s: f64| SimTime::ZERO + Duration::from_secs_f64(s);
        let mut resources = resources();
        assert_eq!(resources.next_due(), None);
        resources.start(at(10.0));
        assert_eq!(resources.next_due(), Some(at(11.0)));
        assert!(resources.take_due(at(10.9)).is_empty());
        let image = Request::new(Code::GET, "/image");
        let before = resources.answer(&image);
        assert_eq!(resources.answer(&image), before);
        assert!(before.1);
        let changed = resources.take_due(at(13.5));
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0].0, "/image");
        assert_eq!(changed[0].1.payload.len(), 2048);
        assert_eq!(resources.answer(&image).0, changed[0].1);
        assert_eq!(resources.next_due(), Some(at(14.0)));
    }

    #[test]
    fn a_slow_resource_says_how_long_its_state_is_fresh() {
        assert_eq!(get("/image").0.options.get_uint(option::MAX_AGE), None);
        assert_eq!(get("/slow").0.options.get_uint(option::MAX_AGE), Some(101));
    }
}
