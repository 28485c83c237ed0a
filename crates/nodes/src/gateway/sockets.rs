//! [`Sockets`]: connections of CoAP over WebSockets (RFC 8323), and who asks by them: pure.

use std::collections::{BTreeMap, BTreeSet};

use coap::websocket::{self, Session};
use coap::{Endpoint, Event, ExchangeId, Params, Request as CoapRequest, Response as CoapResponse};
use rand_core::Rng as _;
use units::{Rng, Seed, SimTime};

use super::refusal::Refusal;
use crate::host::earlier;
use crate::web::{Socket, SocketAt};

/// Where they are.
pub(super) const AT: SocketAt = SocketAt {
    path: websocket::PATH,
    protocol: websocket::SUBPROTOCOL,
};

/// What one has asked and was not answered, at most: more is answered 5.03.
const MAX_OPEN: usize = 64;

/// Who asks, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asker {
    socket: u64,
    exchange: ExchangeId,
}

#[derive(Debug)]
struct Open {
    socket: Socket,
    session: Session,
    /// What is not answered.
    asked: BTreeSet<ExchangeId>,
}

impl Open {
    /// Sends what there is to be sent; `false` if it has ended.
    fn flush(&mut self, now: SimTime) -> bool {
        while let Some(message) = self.session.poll_transmit(now) {
            self.socket.say(message);
        }
        !self.session.is_over()
    }
}

/// All that are open.
#[derive(Debug)]
pub(super) struct Sockets {
    open: BTreeMap<u64, Open>,
    rng: Rng,
}

impl Sockets {
    pub(super) fn new(rng: Rng) -> Sockets {
        Sockets {
            open: BTreeMap::new(),
            rng,
        }
    }

    /// One was opened.
    pub(super) fn open(&mut self, now: SimTime, socket: Socket) {
        let rng = Seed(self.rng.next_u64()).rng(&["websocket"]);
        let endpoint = Endpoint::new(Params::default(), &[], rng).as_proxy();
        let mut open = Open {
            session: Session::new(now, endpoint),
            socket,
            asked: BTreeSet::new(),
        };
        open.flush(now);
        self.open.insert(open.socket.id, open);
    }

    /// That one is gone.
    pub(super) fn close(&mut self, id: u64) {
        self.open.remove(&id);
    }

    /// A message came by that one: what it asks.
    pub(super) fn hear(
        &mut self,
        now: SimTime,
        id: u64,
        message: &[u8],
    ) -> Vec<(Asker, CoapRequest)> {
        let mut asked = Vec::new();
        if let Some(open) = self.open.get_mut(&id) {
            open.session.handle_message(now, message);
            while let Some(event) = open.session.poll_event() {
                let Event::Request {
                    exchange, request, ..
                } = event
                else {
                    continue;
                };
                if open.asked.len() >= MAX_OPEN {
                    let busy =
                        Refusal::busy("too many requests of this connection are not answered");
                    open.session.endpoint().respond(now, exchange, busy.coap());
                    continue;
                }
                open.asked.insert(exchange);
                let asker = Asker {
                    socket: id,
                    exchange,
                };
                asked.push((asker, request));
            }
        }
        self.flush(now, id);
        asked
    }

    /// Answers.
    pub(super) fn respond(&mut self, now: SimTime, asker: Asker, response: CoapResponse) {
        self.with(now, asker, |open| {
            open.asked.remove(&asker.exchange);
            let endpoint = open.session.endpoint();
            endpoint.respond(now, asker.exchange, response);
        });
    }

    /// Answers with the first state of what is observed; `false` if no more are wanted.
    pub(super) fn respond_observed(
        &mut self,
        now: SimTime,
        asker: Asker,
        response: CoapResponse,
    ) -> bool {
        self.with(now, asker, |open| {
            open.asked.remove(&asker.exchange);
            let endpoint = open.session.endpoint();
            endpoint.respond_observed(now, asker.exchange, response);
        });
        self.observes(asker)
    }

    /// Tells a state of what is observed; an error ends the observation.
    pub(super) fn notify(&mut self, now: SimTime, asker: Asker, state: &CoapResponse) {
        self.with(now, asker, |open| {
            let endpoint = open.session.endpoint();
            endpoint.notify_one(now, asker.exchange, state);
        });
    }

    /// Whether who was told a first state wants more.
    pub(super) fn observes(&mut self, asker: Asker) -> bool {
        let Some(open) = self.open.get_mut(&asker.socket) else {
            return false;
        };
        let mut observations = open.session.endpoint().observations();
        observations.any(|observation| observation.id == asker.exchange)
    }

    /// Whether somebody waits for an answer still.
    pub(super) fn awaits(&self, asker: Asker) -> bool {
        let open = self.open.get(&asker.socket);
        open.is_some_and(|open| open.asked.contains(&asker.exchange))
    }

    /// When [`Sockets::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<SimTime> {
        let due = self.open.values().map(|open| open.session.poll_timeout());
        due.fold(None, earlier)
    }

    /// Asks who is silent whether he is there, and forgets who is not.
    pub(super) fn handle_timeout(&mut self, now: SimTime) {
        let ids: Vec<u64> = self.open.keys().copied().collect();
        for id in ids {
            if let Some(open) = self.open.get_mut(&id) {
                open.session.handle_timeout(now);
                // A request comes with a message alone.
                while open.session.poll_event().is_some() {}
            }
            self.flush(now, id);
        }
    }

    fn with(&mut self, now: SimTime, asker: Asker, act: impl FnOnce(&mut Open)) {
        if let Some(open) = self.open.get_mut(&asker.socket) {
            act(open);
            self.flush(now, asker.socket);
        }
    }

    fn flush(&mut self, now: SimTime, id: u64) {
        if self.open.get_mut(&id).is_some_and(|open| !open.flush(now)) {
            self.open.remove(&id);
        }
    }
}
