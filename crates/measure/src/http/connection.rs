//! Requests and their responses out of the segments of TCP connections, as the client's capture has them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use capture::decode::Segment;
use capture::stream::{Broken, Stream};
use units::SimTime;

use super::event_stream::Events;
use super::message::{Head, Part, Reader, Side, Unreadable};

/// A request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When its first byte was sent.
    pub sent: SimTime,
    /// Its method.
    pub method: String,
    /// Its target.
    pub target: String,
    /// It takes an event stream.
    pub follows: bool,
    /// The head of its response, if that came.
    pub response: Option<Response>,
    /// When the last byte of its response came, with all before it.
    pub whole: Option<SimTime>,
    /// When its connection ended without that.
    pub left: Option<SimTime>,
    /// Bytes of its response so far: head, body and the framing of chunks; of one that is not whole its body's alone.
    pub octets: u64,
    /// Of an event stream: when an event came, and of which type.
    pub events: Vec<(SimTime, String)>,
    /// It was open when the run was ended before its end.
    pub is_cut: bool,
}

/// The head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// When it was whole.
    pub time: SimTime,
    /// Its status.
    pub status: u16,
    /// It says when to ask again.
    pub retry_after: bool,
    /// Its body is an event stream.
    pub is_stream: bool,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A whole response without an error, or an event stream that has begun.
    Answered,
    /// 503 with `Retry-After`.
    Deferred,
    /// Another response with this status, 4xx or 5xx.
    Refused(u16),
    /// No whole response before its connection, or the capture, ended.
    Unanswered,
    /// Nobody knows: the run was ended before.
    Open,
}

impl Exchange {
    fn new(sent: SimTime) -> Exchange {
        Exchange {
            sent,
            method: String::new(),
            target: String::new(),
            follows: false,
            response: None,
            whole: None,
            left: None,
            octets: 0,
            events: Vec::new(),
            is_cut: false,
        }
    }

    /// The event stream that has begun, if its response is one.
    fn stream(&self) -> Option<Response> {
        self.response.filter(|r| r.is_stream && r.status == 200)
    }

    /// What became of it.
    pub fn outcome(&self) -> Outcome {
        match self.response {
            Some(_) if self.stream().is_some() => Outcome::Answered,
            Some(r) if self.whole.is_some() => match r.status {
                503 if r.retry_after => Outcome::Deferred,
                status if status >= 400 => Outcome::Refused(status),
                _ => Outcome::Answered,
            },
            _ if self.is_cut => Outcome::Open,
            _ => Outcome::Unanswered,
        }
    }

    /// When it was over: with the last byte of its response, with the head of an event stream, or with its connection. None: it was
    /// open when the capture ended.
    pub fn ended(&self) -> Option<SimTime> {
        let began = self.stream().map(|stream| stream.time);
        began.or(self.whole).or(self.left)
    }

    /// How long it took until it was answered, if it was.
    pub fn latency(&self) -> Option<Duration> {
        let ended = self
            .ended()
            .filter(|_| self.outcome() == Outcome::Answered)?;
        Some(ended.saturating_since(self.sent))
    }
}

/// Why a connection cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Unread {
    /// Its bytes are not known.
    #[error(transparent)]
    Bytes(#[from] Broken),
    /// They are no messages.
    #[error(transparent)]
    Message(#[from] Unreadable),
    /// A response that answers no request.
    #[error("a response answers no request")]
    Unasked,
}

/// A TCP connection.
#[derive(Debug)]
struct Connection {
    /// The sequence number of its first SYN.
    initial: u32,
    /// It was accepted.
    is_open: bool,
    is_refused: bool,
    requested: Stream,
    responded: Stream,
    requests: Reader,
    responses: Reader,
    exchanges: Vec<Exchange>,
    /// How many of those have a whole response.
    answered: usize,
    /// Of the event stream that is open, if one is.
    events: Events,
    /// When an end left it.
    left: Option<SimTime>,
    unread: Option<Unread>,
}

impl Connection {
    fn new(initial: u32) -> Connection {
        Connection {
            initial,
            is_open: false,
            is_refused: false,
            requested: Stream::default(),
            responded: Stream::default(),
            requests: Reader::new(Side::Requests),
            responses: Reader::new(Side::Responses),
            exchanges: Vec::new(),
            answered: 0,
            events: Events::default(),
            left: None,
            unread: None,
        }
    }

    fn take(&mut self, by_client: bool, segment: &Segment<'_>, time: SimTime) {
        // What a client asks of a server that has left is asked all the same.
        let asks = by_client && !segment.rst && self.responded.is_over();
        let is_late = self.left.is_some() && !asks;
        if self.unread.is_some() || is_late || !self.is_heard(by_client, segment) {
            return;
        }
        let read = match by_client {
            _ if segment.rst => {
                self.is_refused = !by_client && !self.is_open;
                self.leave(time);
                Ok(())
            }
            true => self.request(segment, time),
            false => self.respond(segment, time),
        };
        if let Err(unread) = read {
            self.unread = Some(unread);
            // What became of these is not known.
            self.exchanges.truncate(self.answered);
        }
    }

    /// Whether the client takes this segment of the server's for one of the connection. A RST counts with the number that comes
    /// next (RFC 9293 §3.10.7.4), and before the connection is open with an acknowledgement of the SYN, as a SYN-ACK does (§3.10.7.3).
    fn is_heard(&self, by_client: bool, segment: &Segment<'_>) -> bool {
        if by_client {
            return true;
        }
        let acknowledges = segment.ack && segment.acknowledgement == self.initial.wrapping_add(1);
        match (segment.rst, segment.syn) {
            (true, _) if self.is_open => self.responded.next() == Some(segment.sequence),
            (true, _) => acknowledges,
            (false, true) => self.is_open || acknowledges,
            (false, false) => true,
        }
    }

    fn request(&mut self, segment: &Segment<'_>, time: SimTime) -> Result<(), Unread> {
        if segment.ack && self.responded.is_behind(segment.acknowledgement) {
            return Err(Broken::Missing.into());
        }
        let bytes = self.requested.take(segment)?;
        let exchanges = &mut self.exchanges;
        let read = self.requests.read(
            &bytes,
            || false,
            |part| match part {
                Part::Begins => exchanges.push(Exchange::new(time)),
                Part::Head(Head::Request {
                    method,
                    target,
                    follows,
                }) => {
                    if let Some(last) = exchanges.last_mut() {
                        (last.method, last.target, last.follows) = (method, target, follows);
                    }
                }
                Part::Head(Head::Response { .. }) | Part::Body(_) | Part::Ends { .. } => {}
            },
        );
        read?;
        // Who has closed its end reads no response any more: a client of HTTP has no reason to (RFC 9112 §9.6). What is asked of one
        // that has left is not answered.
        if self.requested.is_over() || self.left.is_some() {
            self.leave(time);
        }
        Ok(())
    }

    fn respond(&mut self, segment: &Segment<'_>, time: SimTime) -> Result<(), Unread> {
        self.is_open |= segment.syn && segment.ack;
        let bytes = self.responded.take(segment)?;
        let asked = self.exchanges.get(self.answered);
        let is_begun = asked.is_some_and(|asked| asked.response.is_some());
        let mut next = self.answered + usize::from(is_begun);
        let exchanges = &self.exchanges;
        let mut parts = Vec::new();
        let read = self.responses.read(
            &bytes,
            || {
                next += 1;
                let asked = exchanges.get(next - 1);
                asked.is_some_and(|asked| asked.method == "HEAD")
            },
            |part| parts.push(part),
        );
        let is_over = self.responded.is_over();
        if is_over {
            self.responses.end(|part| parts.push(part));
        }
        for part in parts {
            self.part(part, time)?;
        }
        read?;
        if is_over {
            self.leave(time);
        }
        Ok(())
    }

    /// A part of a response to the first request that has none.
    fn part(&mut self, part: Part, time: SimTime) -> Result<(), Unread> {
        let asked = self.exchanges.get_mut(self.answered);
        let asked = asked.filter(|asked| !asked.target.is_empty());
        let exchange = asked.ok_or(Unread::Unasked)?;
        match part {
            Part::Head(Head::Response {
                status,
                retry_after,
                is_stream,
            }) => {
                self.events = Events::default();
                exchange.response = Some(Response {
                    time,
                    status,
                    retry_after,
                    is_stream,
                });
            }
            Part::Body(bytes) => {
                exchange.octets += bytes.len() as u64;
                if exchange.stream().is_some() {
                    let events = &mut exchange.events;
                    self.events
                        .read(&bytes, |kind| events.push((time, kind.to_owned())));
                }
            }
            Part::Ends { octets } => {
                exchange.octets = octets;
                exchange.whole = Some(time);
                self.answered += 1;
            }
            Part::Begins | Part::Head(Head::Request { .. }) => {}
        }
        Ok(())
    }

    fn leave(&mut self, time: SimTime) {
        self.left.get_or_insert(time);
        for exchange in self.exchanges.iter_mut().skip(self.answered) {
            exchange.left.get_or_insert(time);
        }
    }
}

/// The connections of a client with one server.
#[derive(Debug)]
pub(super) struct Connections {
    client: BTreeSet<IpAddr>,
    server: SocketAddr,
    /// By the client's address and port, the latest of each.
    open: BTreeMap<SocketAddr, Connection>,
    before: Vec<Connection>,
}

/// What connections came to.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// By the time when they were sent.
    pub(super) exchanges: Vec<Exchange>,
    /// Connections that were accepted, refused, and neither.
    pub(super) opened: usize,
    pub(super) refused: usize,
    pub(super) unanswered: usize,
    /// Those that could not be read to their end, by why not.
    pub(super) unread: BTreeMap<Unread, usize>,
}

impl Connections {
    pub(super) fn new(client: BTreeSet<IpAddr>, server: SocketAddr) -> Connections {
        Connections {
            client,
            server,
            open: BTreeMap::new(),
            before: Vec::new(),
        }
    }

    /// Takes a segment that the client sent or received.
    pub(super) fn take(&mut self, segment: &Segment<'_>, time: SimTime) {
        let is_client = |at: SocketAddr| self.client.contains(&at.ip());
        let (by_client, at) = if segment.dst == self.server && is_client(segment.src) {
            (true, segment.src)
        } else if segment.src == self.server && is_client(segment.dst) {
            (false, segment.dst)
        } else {
            return;
        };
        let begins = by_client && segment.syn && !segment.ack;
        let known = self.open.get(&at);
        // A SYN is sent again with its number; another number is another connection at the same port.
        let is_new = match known {
            Some(known) => begins && known.initial != segment.sequence,
            None => begins || !segment.payload.is_empty(),
        };
        if is_new {
            let connection = Connection::new(segment.sequence);
            self.before.extend(self.open.insert(at, connection));
        }
        if let Some(connection) = self.open.get_mut(&at) {
            connection.take(by_client, segment, time);
        }
    }

    /// What there was when the capture ended.
    pub(super) fn end(self) -> Read {
        let mut read = Read::default();
        for connection in self.before.into_iter().chain(self.open.into_values()) {
            match (connection.is_open, connection.is_refused) {
                (true, _) => read.opened += 1,
                (false, true) => read.refused += 1,
                // One from before the capture is neither.
                (false, false) if connection.unread.is_some() => {}
                (false, false) => read.unanswered += 1,
            }
            if let Some(why) = connection.unread {
                *read.unread.entry(why).or_default() += 1;
            }
            let exchanges = connection.exchanges.into_iter();
            // A head that did not come whole asks for nothing.
            read.exchanges
                .extend(exchanges.filter(|e| !e.target.is_empty()));
        }
        read.exchanges.sort_by_key(|exchange| exchange.sent);
        read
    }
}

#[cfg(test)]
mod tests;
