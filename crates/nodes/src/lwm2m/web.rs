//! [`Site`]: what a server has for people and scripts, by HTTP.
//!
//! | module | holds |
//! | --- | --- |
//! | `ask` | what is asked, as an operation |
//! | `json` | what is known and told, as JSON; what became of an operation, as a status |

mod ask;
mod json;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use lwm2m::server::{Event, Operation, OperationId, Outcome, Registration, Server};
use serde_json::{Value as Json, json};
use service::Node;
use units::SimTime;

use crate::web::{Answer, Asked, Door, Log, Reply, Request, Response, Writer};
use ask::Wish;

/// Operations whose outcome somebody waits for, at most; further ones are answered 503.
const MAX_WAITING: usize = 256;

/// What somebody is to be told of an operation.
#[derive(Debug)]
enum Waiting {
    /// The outcome is the answer.
    Answer(Reply),
    /// The outcome is the first event of a stream.
    Stream(Writer),
}

/// The HTTP side of a server.
#[derive(Debug)]
pub(super) struct Site {
    door: Door,
    /// Whether it may change something.
    writes: bool,
    log: Log,
    /// By the operations that are not over.
    waiting: BTreeMap<OperationId, Waiting>,
    /// By the observations that go on.
    observing: BTreeMap<OperationId, Writer>,
}

impl Site {
    /// What is asked through `door`; nothing was told before `now`.
    pub(super) fn new(door: Door, writes: bool, now: SimTime) -> Site {
        Site {
            door,
            writes,
            log: Log::new(now),
            waiting: BTreeMap::new(),
            observing: BTreeMap::new(),
        }
    }

    /// Whether [`Site::handle`] has something to do.
    pub(super) fn waits(&self) -> bool {
        self.door.waits()
    }

    /// Does one thing that is asked; `false` if there is none.
    pub(super) fn handle(
        &mut self,
        now: SimTime,
        server: &mut Server,
        node: &mut dyn Node,
    ) -> bool {
        match self.door.take() {
            None => return false,
            Some(Asked::Left) => self.forget_left(now, server, node),
            Some(Asked::Request(request, reply)) => self.answer(now, &request, reply, server, node),
            // Its door takes none.
            Some(Asked::Socket(_)) => {}
        }
        true
    }

    fn answer(
        &mut self,
        now: SimTime,
        request: &Request,
        reply: Reply,
        server: &mut Server,
        node: &mut dyn Node,
    ) {
        let whole = |json: Json| Answer::Whole(Response::json(StatusCode::OK, &json));
        let answer = match Wish::of(request, &server.config().registry, self.writes) {
            Err(refusal) => Answer::Whole(refusal),
            Ok(Wish::Clients) => whole(clients(server, now)),
            Ok(Wish::Client(endpoint)) => match server.registration(&endpoint) {
                Some(known) => whole(client(server, known, now)),
                None => not_registered(&endpoint),
            },
            Ok(Wish::Events(since)) => {
                Answer::Stream(self.log.follow(&self.door, since, || clients(server, now)))
            }
            Ok(Wish::Operate(endpoint, operation)) => {
                return self.operate(now, (&endpoint, operation), reply, server, node);
            }
        };
        reply.send(answer);
    }

    fn operate(
        &mut self,
        now: SimTime,
        (endpoint, operation): (&str, Operation),
        reply: Reply,
        server: &mut Server,
        node: &mut dyn Node,
    ) {
        if self.waiting.len() >= MAX_WAITING {
            self.forget_left(now, server, node);
        }
        let Some(known) = server.registration(endpoint) else {
            return reply.send(not_registered(endpoint));
        };
        if self.waiting.len() >= MAX_WAITING {
            let reason = "as many operations as there may be have no outcome yet: wait for some";
            let busy = Response::problem(StatusCode::SERVICE_UNAVAILABLE, reason);
            return reply.send(Answer::Whole(busy));
        }
        let asleep = !known.is_awake(now);
        let observes = operation.observes().is_some();
        let id = server.operate(now, endpoint, operation, node);
        // It may be over already: then it is told at once, and this is undone.
        match (asleep, observes) {
            (true, true) => {
                let (writer, reader) = self.door.stream();
                writer.tell("queued", &json!({ "operation": id.0 }));
                reply.send(Answer::Stream(reader));
                self.waiting.insert(id, Waiting::Stream(writer));
            }
            (true, false) if server.is_open(id) => {
                let reason =
                    "the client sleeps: the outcome is told as an event `done` when it was awake";
                let json = json!({ "operation": id.0, "reason": reason });
                reply.send(Answer::Whole(Response::json(StatusCode::ACCEPTED, &json)));
            }
            _ => drop(self.waiting.insert(id, Waiting::Answer(reply))),
        }
    }

    /// Tells an event of the server's.
    pub(super) fn tell(&mut self, now: SimTime, event: &Event, server: &Server) {
        let known = match event {
            Event::Registered { endpoint, .. } | Event::Updated { endpoint, .. } => {
                let known = server.registration(endpoint);
                known.map(|known| client(server, known, now))
            }
            _ => None,
        };
        let (name, json) = json::event(event, known);
        self.log.tell(now, name, &json);
        match event {
            Event::Done { id, outcome, .. } => self.done(*id, outcome, server),
            Event::Notified { id, .. } | Event::NotificationLost { id, .. } => {
                if let Some(writer) = self.observing.get(id) {
                    writer.tell(name, &json);
                }
            }
            Event::ObservationEnded { id, .. } => {
                if let Some(writer) = self.observing.remove(id) {
                    writer.tell(name, &json);
                }
            }
            _ => {}
        }
    }

    /// An operation is over.
    fn done(&mut self, id: OperationId, outcome: &Outcome, server: &Server) {
        let Some(waiting) = self.waiting.remove(&id) else {
            return;
        };
        let observes = server.is_observing(id);
        let (status, json) = json::outcome(id, outcome);
        let writer = match waiting {
            Waiting::Answer(reply) if !observes => {
                return reply.send(Answer::Whole(Response::json(status, &json)));
            }
            Waiting::Answer(reply) => {
                let (writer, reader) = self.door.stream();
                reply.send(Answer::Stream(reader));
                writer
            }
            Waiting::Stream(writer) => writer,
        };
        writer.tell("done", &json);
        if observes {
            self.observing.insert(id, writer);
        }
    }

    /// Ends what nobody reads any more.
    fn forget_left(&mut self, now: SimTime, server: &mut Server, node: &mut dyn Node) {
        self.log.forget_left();
        let of_waiting = self.waiting.iter().filter(|(_, waiting)| match waiting {
            Waiting::Stream(writer) => !writer.is_read(),
            Waiting::Answer(reply) => !reply.is_awaited(),
        });
        let of_observing = self
            .observing
            .iter()
            .filter(|(_, writer)| !writer.is_read());
        let left: Vec<OperationId> = (of_waiting.map(|(id, _)| *id))
            .chain(of_observing.map(|(id, _)| *id))
            .collect();
        for id in left {
            self.observing.remove(&id);
            server.stop_observing(now, id, node);
            // What is no observation goes on, and keeps its place until then: who leaves at once would have any number.
            if !server.is_open(id) {
                self.waiting.remove(&id);
            }
        }
    }
}

fn clients(server: &Server, now: SimTime) -> Json {
    let all = server
        .registrations()
        .map(|known| client(server, known, now));
    Json::Array(all.collect())
}

fn client(server: &Server, known: &Registration, now: SimTime) -> Json {
    json::client(known, server.ends(known.id), now)
}

fn not_registered(endpoint: &str) -> Answer {
    let reason = format!("no endpoint `{endpoint}` is registered: see /clients");
    Answer::Whole(Response::problem(StatusCode::NOT_FOUND, &reason))
}

#[cfg(test)]
mod tests;
