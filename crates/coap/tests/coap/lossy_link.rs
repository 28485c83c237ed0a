//! Two endpoints over a link that loses, delays, reorders and duplicates.

use std::collections::BTreeMap;
use std::time::Duration;

use coap::{Code, Request, Response};
use coap::{Endpoint, Event, ExchangeId, Params, Reliability, RequestId};
use machine::{Machine, Transmit};
use rand_core::Rng as _;
use units::{Rng, Seed, SimTime};

use crate::support::*;

/// What the link does to a datagram, each in 1/256.
#[derive(Clone, Copy, Debug)]
struct Link {
    loss: u8,
    duplication: u8,
    /// A datagram takes up to this long.
    latency: Duration,
}

#[derive(Default)]
struct Outcome {
    answered: BTreeMap<RequestId, String>,
    failed: BTreeMap<RequestId, coap::Failure>,
    /// How often the server ran the handler of a payload.
    executed: BTreeMap<String, u32>,
}

/// A client (peer 1) and a server (peer 2) and what is on the way between them.
struct World {
    now: SimTime,
    link: Link,
    rng: Rng,
    client: Endpoint,
    server: Endpoint,
    /// Deliveries by time; the number keeps equal times apart.
    in_transit: BTreeMap<(SimTime, u64), (bool, Vec<u8>)>,
    /// Responses that the server still works on.
    thinking: BTreeMap<(SimTime, ExchangeId), Response>,
    sent: u64,
    outcome: Outcome,
}

impl World {
    fn new(seed: u64, link: Link, params: &Params) -> World {
        let endpoint = |name| Endpoint::new(params.clone(), &[], Seed(seed).rng(&[name]));
        World {
            now: SimTime::ZERO,
            link,
            rng: Seed(seed).rng(&["link"]),
            client: endpoint("client"),
            server: endpoint("server"),
            in_transit: BTreeMap::new(),
            thinking: BTreeMap::new(),
            sent: 0,
            outcome: Outcome::default(),
        }
    }

    fn chance(&mut self, of_256: u8) -> bool {
        (self.rng.next_u32() as u8) < of_256
    }

    fn within(&mut self, most: Duration) -> Duration {
        most.mul_f64(f64::from(self.rng.next_u32()) / f64::from(u32::MAX))
    }

    fn carry(&mut self, to_server: bool, transmit: Transmit) {
        assert_eq!(transmit.to, peer(if to_server { 2 } else { 1 }));
        let copies = 1 + u8::from(self.chance(self.link.duplication));
        for _ in 0..copies {
            if self.chance(self.link.loss) {
                continue;
            }
            let at = self.now + self.within(self.link.latency);
            self.sent += 1;
            let datagram = (to_server, transmit.payload.clone());
            self.in_transit.insert((at, self.sent), datagram);
        }
    }

    /// Takes what both have to say.
    fn drain(&mut self) {
        while let Some(event) = self.server.poll_event() {
            let Event::Request {
                exchange, request, ..
            } = event
            else {
                panic!("server: {event:?}")
            };
            let payload = String::from_utf8(request.payload).unwrap();
            *self.outcome.executed.entry(payload.clone()).or_default() += 1;
            // Half of the responses are piggy-backed, the others come up to 5 s later.
            let late = self.chance(128);
            let delay = self.within(Duration::from_secs(5));
            let at = if late { self.now + delay } else { self.now };
            self.thinking.insert((at, exchange), content(&payload));
        }
        while let Some(event) = self.client.poll_event() {
            let before = match event {
                Event::Response { id, response, .. } => {
                    let payload = String::from_utf8(response.payload).unwrap();
                    assert!(
                        !self.outcome.failed.contains_key(&id),
                        "{id:?} failed before"
                    );
                    self.outcome.answered.insert(id, payload).map(|_| id)
                }
                Event::Failed { id, reason, .. } => {
                    assert!(
                        !self.outcome.answered.contains_key(&id),
                        "{id:?} answered before"
                    );
                    self.outcome.failed.insert(id, reason).map(|_| id)
                }
                other => panic!("client: {other:?}"),
            };
            assert_eq!(before, None, "ended twice");
        }
        while let Some(transmit) = self.client.poll_transmit() {
            self.carry(true, transmit);
        }
        while let Some(transmit) = self.server.poll_transmit() {
            self.carry(false, transmit);
        }
    }

    fn next_instant(&self) -> Option<SimTime> {
        let instants = [
            self.in_transit.keys().next().map(|(at, _)| *at),
            self.thinking.keys().next().map(|(at, _)| *at),
            self.client.poll_timeout(),
            self.server.poll_timeout(),
        ];
        instants.into_iter().flatten().min()
    }

    /// Runs until nothing is left to happen.
    fn run(mut self) -> Outcome {
        self.drain();
        while let Some(at) = self.next_instant() {
            self.now = self.now.max(at);
            if let Some(first) = self.in_transit.first_entry()
                && first.key().0 <= self.now
            {
                let (to_server, bytes) = first.remove();
                if to_server {
                    self.server.handle_datagram(self.now, peer(1), &bytes);
                } else {
                    self.client.handle_datagram(self.now, peer(2), &bytes);
                }
            }
            if let Some(first) = self.thinking.first_entry()
                && first.key().0 <= self.now
            {
                let exchange = first.key().1;
                self.server.respond(self.now, exchange, first.remove());
            }
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.drain();
        }
        assert_eq!(self.client.outstanding(), 0);
        self.outcome
    }
}

/// Sends 40 POSTs over `link` and checks what must hold on every link.
fn run(seed: u64, link: Link, reliability: Reliability) -> Outcome {
    let params = Params {
        nstart: 1 + seed as u32 % 4,
        ..Params::default()
    };
    let mut world = World::new(seed, link, &params);
    let mut requests = BTreeMap::new();
    for n in 0..40 {
        let mut post = Request::new(Code::POST, "/counter");
        post.payload = format!("{n}").into_bytes();
        let id = world.client.request(world.now, peer(2), reliability, post);
        requests.insert(id, format!("{n}"));
    }
    let outcome = world.run();
    for (payload, times) in &outcome.executed {
        assert_eq!(
            *times, 1,
            "seed {seed}: POST {payload} executed {times} times"
        );
    }
    for (id, payload) in &requests {
        match outcome.answered.get(id) {
            Some(answer) => {
                assert_eq!(answer, payload, "seed {seed}");
                assert!(outcome.executed.contains_key(payload), "seed {seed}");
            }
            None => assert!(outcome.failed.contains_key(id), "seed {seed}: {id:?} lost"),
        }
    }
    assert_eq!(
        outcome.answered.len() + outcome.failed.len(),
        requests.len()
    );
    outcome
}

#[test]
fn every_confirmable_request_ends_once_and_runs_at_most_once_on_a_bad_link() {
    let link = Link {
        loss: 77,
        duplication: 64,
        latency: Duration::from_secs(4),
    };
    let (mut answered, mut failed) = (0, 0);
    for seed in 0..60 {
        let outcome = run(seed, link, CON);
        answered += outcome.answered.len();
        failed += outcome.failed.len();
    }
    // Both outcomes occur, or the test would prove little.
    assert!(
        answered > 2000 && failed > 0,
        "{answered} answered, {failed} failed"
    );
}

#[test]
fn non_confirmable_requests_run_at_most_once_on_a_bad_link() {
    let link = Link {
        loss: 50,
        duplication: 128,
        latency: Duration::from_secs(4),
    };
    for seed in 0..20 {
        let outcome = run(seed, link, NON);
        assert!(outcome.answered.len() > 10, "seed {seed}");
        assert!(!outcome.failed.is_empty(), "seed {seed}");
    }
}

#[test]
fn a_link_without_loss_answers_every_request_whatever_the_order() {
    let link = Link {
        loss: 0,
        duplication: 128,
        latency: Duration::from_secs(10),
    };
    for seed in 0..30 {
        assert_eq!(run(seed, link, CON).answered.len(), 40, "seed {seed}");
    }
}

#[test]
fn two_runs_with_one_seed_agree() {
    let link = Link {
        loss: 77,
        duplication: 64,
        latency: Duration::from_secs(4),
    };
    let (first, second) = (run(5, link, CON), run(5, link, CON));
    assert_eq!(first.answered, second.answered);
    assert_eq!(first.failed, second.failed);
}
