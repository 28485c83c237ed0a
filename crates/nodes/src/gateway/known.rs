//! [`Known`]: the nodes that the gateway knows, where they are, and which are on their way: its own resource `/nodes`.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};

use axum::http::StatusCode;
use coap::message::{PORT, option};
use coap::{Code, Response as CoapResponse};
use serde_json::{Value as Json, json};
use service::{Node, Target};
use units::SimTime;

use super::sockets::{Asker, Sockets};
use crate::web::{Answer, Door, Log, Response};

/// Where it is, by HTTP and by CoAP.
pub(super) const PATH: &str = "/nodes";

/// Content-Format `application/json` (RFC 7252 §12.3).
pub(super) const JSON: u16 = 50;

/// What is known of where a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    /// Requests are kept back since then.
    held_since: Option<SimTime>,
    /// Its temporary address.
    at: Option<Ipv6Addr>,
}

#[derive(Debug)]
struct KnownNode {
    name: String,
    at: SocketAddrV6,
    target: Target,
    place: Place,
    /// Notifications of it that did not come.
    missed: u64,
}

impl KnownNode {
    fn json(&self, now: SimTime) -> Json {
        let held = self.place.held_since;
        let uri = match self.at.port() {
            PORT => format!("coap://[{}]", self.at.ip()),
            port => format!("coap://[{}]:{port}", self.at.ip()),
        };
        json!({
            "name": self.name,
            "uri": uri,
            "held_for_s": held.map(|since| now.saturating_since(since).as_secs_f64()),
            "at": self.place.at,
            "missed": self.missed,
        })
    }
}

/// The nodes, and who follows what becomes of them.
#[derive(Debug)]
pub(super) struct Known {
    writes: bool,
    nodes: Vec<KnownNode>,
    log: Log,
    told: Vec<Asker>,
}

impl Known {
    /// `nodes` by name; `target` says how one is asked.
    pub(super) fn new(
        now: SimTime,
        writes: bool,
        nodes: &BTreeMap<String, SocketAddrV6>,
        target: impl Fn(SocketAddrV6) -> Option<Target>,
    ) -> Known {
        let known = |(name, at): (&String, &SocketAddrV6)| {
            Some(KnownNode {
                name: name.clone(),
                at: *at,
                target: target(*at)?,
                place: Place::default(),
                missed: 0,
            })
        };
        Known {
            writes,
            nodes: nodes.iter().filter_map(known).collect(),
            log: Log::new(now),
            told: Vec::new(),
        }
    }

    /// Whether somebody follows.
    pub(super) fn is_followed(&self) -> bool {
        self.log.is_followed() || !self.told.is_empty()
    }

    /// Sees to what is otherwise now, and tells it.
    pub(super) fn refresh(&mut self, now: SimTime, node: &dyn Node, sockets: &mut Sockets) {
        let mut changed = false;
        for known in &mut self.nodes {
            let place = Place {
                held_since: node.kept_back_since(known.target),
                at: node.located_at(known.target),
            };
            let former = std::mem::replace(&mut known.place, place);
            let is_held = place.held_since.is_some();
            if (is_held, place.at) == (former.held_since.is_some(), former.at) {
                continue;
            }
            changed = true;
            let name = if is_held { "hold" } else { "binding" };
            self.log.tell(now, name, &known.json(now));
        }
        if changed {
            self.notify(now, sockets);
        }
    }

    /// So many notifications of a node did not come.
    pub(super) fn missed(
        &mut self,
        now: SimTime,
        target: Target,
        count: u32,
        sockets: &mut Sockets,
    ) {
        let node = self.nodes.iter_mut().find(|known| known.target == target);
        let Some(known) = node.filter(|_| count > 0) else {
            return;
        };
        known.missed += u64::from(count);
        self.log.tell(now, "missed", &known.json(now));
        self.notify(now, sockets);
    }

    /// Tells by CoAP what is known now.
    fn notify(&mut self, now: SimTime, sockets: &mut Sockets) {
        let state = self.response(now);
        self.told.retain(|asker| {
            sockets.notify(now, *asker, &state);
            sockets.observes(*asker)
        });
    }

    /// The answer by HTTP; `last_event` of who follows.
    pub(super) fn answer(
        &mut self,
        now: SimTime,
        follows: Option<Option<u64>>,
        door: &Door,
    ) -> Answer {
        let state = self.json(now);
        match follows {
            Some(last_event) => Answer::Stream(self.log.follow(door, last_event, || state)),
            None => Answer::Whole(Response::json(StatusCode::OK, &state)),
        }
    }

    /// The answer by CoAP.
    pub(super) fn respond(
        &mut self,
        now: SimTime,
        follows: bool,
        asker: Asker,
        sockets: &mut Sockets,
    ) {
        let state = self.response(now);
        match follows {
            true if sockets.respond_observed(now, asker, state.clone()) => self.told.push(asker),
            // It was answered.
            true => {}
            false => sockets.respond(now, asker, state),
        }
    }

    /// Forgets who does not follow any more.
    pub(super) fn forget_left(&mut self, sockets: &mut Sockets) {
        self.log.forget_left();
        self.told.retain(|asker| sockets.observes(*asker));
    }

    /// Nothing more is told, which by CoAP the error `last` says.
    pub(super) fn end(&mut self, now: SimTime, last: &CoapResponse, sockets: &mut Sockets) {
        self.log = Log::new(now);
        for asker in self.told.drain(..) {
            sockets.notify(now, asker, last);
        }
    }

    fn json(&self, now: SimTime) -> Json {
        let nodes = self.nodes.iter().map(|known| known.json(now));
        json!({ "write": self.writes, "nodes": nodes.collect::<Vec<_>>() })
    }

    fn response(&self, now: SimTime) -> CoapResponse {
        let mut response = CoapResponse::new(Code::CONTENT);
        response
            .options
            .push_uint(option::CONTENT_FORMAT, JSON.into());
        response.payload = self.json(now).to_string().into_bytes();
        response
    }
}
