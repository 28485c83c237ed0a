//! What a machine under attack has in common with others.

use coap::link::Link;
use coap::message::option;
use coap::wire::Message;
use coap::{
    Code, Endpoint, ExchangeId, Kind, Observation, Options, Reliability, Request, Response, Waits,
};
use service::{CallId, Node, Target};
use units::SimTime;

/// A node that notes what was answered last.
pub struct Noting<'a> {
    pub node: &'a mut Endpoint,
    pub answered: Option<Code>,
}

impl Node for Noting<'_> {
    fn ask(&mut self, now: SimTime, to: Target, how: Reliability, request: Request) -> CallId {
        Node::ask(self.node, now, to, how, request)
    }

    fn observe(&mut self, now: SimTime, to: Target, how: Reliability, request: Request) -> CallId {
        Node::observe(self.node, now, to, how, request)
    }

    fn stop_observing(&mut self, now: SimTime, call: CallId) {
        Node::stop_observing(self.node, now, call);
    }

    fn respond(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        self.answered = Some(response.code);
        Node::respond(self.node, now, exchange, response);
    }

    fn respond_observed(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        self.answered = Some(response.code);
        Node::respond_observed(self.node, now, exchange, response);
    }

    fn notify(&mut self, now: SimTime, path: &str, state: &Response) {
        Node::notify(self.node, now, path, state);
    }

    fn notify_one(&mut self, now: SimTime, observation: ExchangeId, state: &Response) {
        Node::notify_one(self.node, now, observation, state);
    }

    fn observations(&self) -> Vec<Observation<'_>> {
        Node::observations(self.node)
    }

    fn links(&self) -> Vec<Link> {
        Node::links(self.node)
    }

    fn waits(&self) -> Waits {
        Node::waits(self.node)
    }
}

/// Whether a request that was answered like this must have changed nothing.
pub fn changes_nothing(method: Code, answered: Option<Code>) -> bool {
    [Code::GET, Code::FETCH].contains(&method) || !answered.is_some_and(Code::is_success)
}

/// The answer to a request of the machine's, as a well-behaved peer gives it.
pub fn answer(asked: &Message, code: Code, options: Options, payload: Vec<u8>) -> Message {
    Message {
        kind: match asked.kind {
            Kind::Confirmable => Kind::Acknowledgement,
            _ => Kind::NonConfirmable,
        },
        code,
        message_id: asked.message_id,
        token: asked.token,
        options,
        payload,
    }
}

/// The path of a message.
pub fn path(message: &Message) -> String {
    let segments = message.options.get_all(option::URI_PATH);
    segments
        .map(|s| format!("/{}", String::from_utf8_lossy(s)))
        .collect()
}

/// A request with a payload in a Content-Format.
pub fn request(method: Code, at: &str, format: Option<u16>, payload: &[u8]) -> Request {
    let (path, query) = at.split_once('?').unwrap_or((at, ""));
    let mut request = Request::new(method, path);
    for query in query.split('&').filter(|query| !query.is_empty()) {
        request.options.push(option::URI_QUERY, query);
    }
    if let Some(format) = format {
        request
            .options
            .push_uint(option::CONTENT_FORMAT, format.into());
    }
    request.payload = payload.to_vec();
    request
}

/// How an attack went.
#[derive(Debug, Default)]
pub struct Attack {
    /// Datagrams that the machine got, with those that answered it.
    pub datagrams: u64,
    /// Requests that came through to it, and those of them that it refused.
    pub requests: u64,
    pub refused: u64,
    /// Bytes that it held after half of the attack, and at its end; each after what was valid in it was taken back.
    pub half: usize,
    pub end: usize,
}

impl Attack {
    /// Notes what is held at these points.
    pub fn weigh(&mut self, number: usize, datagrams: usize, live: usize) {
        if number == datagrams / 2 {
            self.half = live;
        } else if number == datagrams {
            self.end = live;
        }
    }

    /// The machine holds no more at the end than after half of the attack, with what tables take that grow by halves.
    pub fn assert_flat(&self) {
        assert!(
            self.end <= self.half + self.half / 4 + (64 << 10),
            "{self:?}"
        );
    }
}
