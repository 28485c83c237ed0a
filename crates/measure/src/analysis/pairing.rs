//! Requests to their responses (RFC 7252 §4, §5.3).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use coap::block::Block;
use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Kind, Request};
use units::SimTime;

use super::Other;
use super::hop::Hop;
use super::observe::{Client, Observed, Passed};
use crate::dissect::Protocol;

/// A request with everything that was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Who asked.
    pub client: SocketAddr,
    /// Message ID of the request.
    pub message_id: u16,
    /// Its token.
    pub token: Token,
    /// Whether it is a CON.
    pub confirmable: bool,
    /// Method.
    pub method: Code,
    /// Path and query, `/temperature?unit=K`.
    pub resource: String,
    /// The protocol that needs it for itself; none if an application asked.
    pub protocol: Option<Protocol>,
    /// When and where to it was sent; at least once. A client that learns a new address while
    /// it retransmits sends the same message there.
    pub transmissions: Vec<Transmission>,
    /// When an empty ACK announced a separate response (RFC 7252 §5.2.2).
    pub acknowledged: Option<SimTime>,
    /// When the server rejected it (RST).
    pub reset: Option<SimTime>,
    /// The first response.
    pub answer: Option<Answer>,
    /// Further copies of the response.
    pub duplicates: u32,
    /// Where in a body the block begins that it asks for or carries (RFC 7959), in bytes; 0 in
    /// the first request of a body, and in every request without blocks.
    pub offset: usize,
    /// What a server notified after its answer (RFC 7641), in the order received.
    pub notifications: Vec<Notification>,
}

/// A notification of an observed resource, once however often it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    /// When it was complete.
    pub time: SimTime,
    /// The address that notified.
    pub from: SocketAddr,
    /// Its own Message ID.
    pub message_id: u16,
    /// The number in its Observe option.
    pub number: u32,
    /// Whether it is a CON.
    pub confirmable: bool,
    /// Where it was captured, if that is known.
    pub hop: Option<Hop>,
}

/// A transmission of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmission {
    /// When its first fragment was seen.
    pub time: SimTime,
    /// Where to.
    pub to: SocketAddr,
}

/// The response to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When it was complete.
    pub time: SimTime,
    /// The address that answered.
    pub from: SocketAddr,
    /// Response code.
    pub code: Code,
    /// Its own Message ID: the request's, unless it is separate.
    pub message_id: u16,
    /// Where the next block begins, in bytes, if it says that there is one (RFC 7959).
    pub continues_at: Option<usize>,
    /// The number in its Observe option (RFC 7641), if it has one.
    pub number: Option<u32>,
    /// Where it was captured, if that is known.
    pub hop: Option<Hop>,
}

impl Exchange {
    /// When the request was first sent.
    pub fn sent_at(&self) -> SimTime {
        self.transmissions[0].time
    }

    /// From the first transmission of the request to its response, if there was one.
    pub fn rtt(&self) -> Option<Duration> {
        let answer = self.answer?;
        Some(answer.time.saturating_since(self.sent_at()))
    }

    /// How often the request was sent after the first time.
    pub fn retransmissions(&self) -> usize {
        self.transmissions.len() - 1
    }

    /// Where to it was sent, each address once.
    pub fn destinations(&self) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for to in self.transmissions.iter().map(|t| t.to) {
            if !addresses.contains(&to) {
                addresses.push(to);
            }
        }
        addresses
    }

    fn was_sent_to(&self, server: SocketAddr) -> bool {
        self.transmissions.iter().any(|t| t.to == server)
    }
}

/// The exchanges that `client` began, in the order of their first transmissions, without those that
/// only end an observation.
pub(super) fn pair(
    client: &Client<'_>,
    max_transmit_span: Duration,
    other: &mut Other,
) -> Vec<Exchange> {
    let mut pairing = Pairing {
        client: client.endpoint,
        max_transmit_span,
        exchanges: Vec::new(),
        requests: Vec::new(),
        by_message_id: BTreeMap::new(),
        by_token: BTreeMap::new(),
        deregistrations: BTreeMap::new(),
        other,
    };
    for message in client.messages() {
        match message {
            Passed::Sent(o) => pairing.sent(o),
            Passed::Received(o) => pairing.received(o),
        }
    }
    let mut wanted = pairing.requests.iter().map(|request| !deregisters(request));
    let mut exchanges = pairing.exchanges;
    exchanges.retain(|_| wanted.next().unwrap_or(true));
    exchanges
}

struct Pairing<'a> {
    client: SocketAddr,
    max_transmit_span: Duration,
    exchanges: Vec<Exchange>,
    /// The request of each exchange.
    requests: Vec<&'a Message>,
    /// The latest exchange with a Message ID.
    by_message_id: BTreeMap<u16, usize>,
    /// The latest exchange with a token.
    by_token: BTreeMap<Token, usize>,
    /// The latest deregistration with a token, which is its registration's, too.
    deregistrations: BTreeMap<Token, usize>,
    other: &'a mut Other,
}

impl<'a> Pairing<'a> {
    fn sent(&mut self, o: &'a Observed) {
        let message = &o.message;
        if message.code == Code::EMPTY && message.kind == Kind::Confirmable {
            self.other.pings += 1;
        }
        if !message.code.is_request() {
            return;
        }
        if o.dst.ip().is_multicast() {
            self.other.multicast += 1;
            return;
        }
        let transmission = Transmission {
            time: o.first,
            to: o.dst,
        };
        if let Some(&index) = self.by_message_id.get(&message.message_id)
            && self.repeats(index, message, o.first)
        {
            self.exchanges[index].transmissions.push(transmission);
            return;
        }
        let index = self.exchanges.len();
        self.by_message_id.insert(message.message_id, index);
        let by_token = match deregisters(message) {
            true => {
                self.other.deregistrations += 1;
                &mut self.deregistrations
            }
            false => &mut self.by_token,
        };
        by_token.insert(message.token, index);
        self.requests.push(message);
        self.exchanges.push(begin(self.client, o, transmission));
    }

    /// Whether `message` at `time` is one more transmission of the exchange's request, and not
    /// a new request that uses its Message ID again.
    fn repeats(&self, index: usize, message: &Message, time: SimTime) -> bool {
        let last = self.exchanges[index].transmissions.last();
        *self.requests[index] == *message
            && last.is_some_and(|t| time.saturating_since(t.time) <= self.max_transmit_span)
    }

    fn received(&mut self, o: &Observed) {
        let message = &o.message;
        if message.code.is_request() {
            return;
        }
        match message.kind {
            Kind::Acknowledgement | Kind::Reset => self.acknowledged(o),
            Kind::Confirmable | Kind::NonConfirmable if message.code != Code::EMPTY => {
                self.separate(o);
            }
            Kind::Confirmable | Kind::NonConfirmable => {}
        }
    }

    /// ACK and RST name the request by its Message ID.
    fn acknowledged(&mut self, o: &Observed) {
        let message = &o.message;
        let index = self.by_message_id.get(&message.message_id);
        let exchange = index.map(|i| (&mut self.exchanges[*i], self.requests[*i]));
        let Some((exchange, request)) = exchange.filter(|(e, _)| e.was_sent_to(o.src)) else {
            // An ACK or RST of something that this endpoint sent as a server.
            if message.code != Code::EMPTY {
                self.other.stray += 1;
            }
            return;
        };
        match (message.kind, message.code) {
            (Kind::Reset, _) => {
                exchange.reset.get_or_insert(o.complete);
            }
            (_, Code::EMPTY) => {
                exchange.acknowledged.get_or_insert(o.complete);
            }
            // "In a piggybacked response, the Message ID of the Confirmable request and the
            // Acknowledgement MUST match, and the tokens of the response and original request
            // MUST match" (RFC 7252 §5.3.2).
            _ if message.token == exchange.token => match exchange.answer {
                None => exchange.answer = Some(answer(o, request)),
                Some(_) => exchange.duplicates += 1,
            },
            _ => self.other.stray += 1,
        }
    }

    /// "In a separate response, just the tokens of the response and original request MUST
    /// match" (RFC 7252 §5.3.2).
    fn separate(&mut self, o: &Observed) {
        let message = &o.message;
        let number = number(message);
        // What has no number is no notification, and answers the latest request.
        let ended = self.deregistrations.get(&message.token);
        let ended = ended.filter(|i| number.is_none() && self.exchanges[**i].answer.is_none());
        let index = ended.or_else(|| self.by_token.get(&message.token));
        let exchange = index.map(|i| (&mut self.exchanges[*i], self.requests[*i]));
        // A node that moves goes on notifying from where nothing was sent to.
        let notifies = |request: &Message| {
            number.is_some() && request.options.get_uint(option::OBSERVE) == Some(0)
        };
        let exchange = exchange.filter(|(e, request)| e.was_sent_to(o.src) || notifies(request));
        let Some((exchange, request)) = exchange else {
            self.other.stray += 1;
            return;
        };
        let Some(first) = exchange.answer else {
            exchange.answer = Some(answer(o, request));
            return;
        };
        // Later its Message ID is in use for another one.
        let span = self.max_transmit_span;
        let lately = |time: SimTime| o.complete.saturating_since(time) <= span;
        let known = &mut exchange.notifications;
        let known_lately = known.iter().rev().take_while(|n| lately(n.time));
        let mut ids = known_lately.map(|n| n.message_id);
        let again = ids.any(|id| id == message.message_id)
            || (lately(first.time) && first.message_id == message.message_id);
        match number {
            Some(number) if !again => {
                self.other.notifications += 1;
                known.push(Notification {
                    time: o.complete,
                    from: o.src,
                    message_id: message.message_id,
                    number,
                    confirmable: message.kind == Kind::Confirmable,
                    hop: o.hop,
                });
            }
            _ => exchange.duplicates += 1,
        }
    }
}

fn answer(o: &Observed, request: &Message) -> Answer {
    Answer {
        continues_at: continues_at(request, &o.message),
        number: number(&o.message),
        time: o.complete,
        from: o.src,
        code: o.message.code,
        message_id: o.message.message_id,
        hop: o.hop,
    }
}

/// Where the block after the one in `response` to `request` begins; none after the last, nor if
/// the request only ends an observation (RFC 7641 §3.6): nobody wants that body.
fn continues_at(request: &Message, response: &Message) -> Option<usize> {
    if deregisters(request) {
        return None;
    }
    match block(response, option::BLOCK2) {
        Some(block) if block.more => Some(block.offset() + block.size.bytes()),
        None if response.code == Code::CONTINUE => {
            let sent = block(request, option::BLOCK1)?;
            Some(sent.offset() + request.payload.len())
        }
        _ => None,
    }
}

/// Whether a request only ends an observation (RFC 7641 §3.6).
fn deregisters(request: &Message) -> bool {
    request.options.get_uint(option::OBSERVE) == Some(1)
}

/// The number in the Observe option (RFC 7641 §2).
fn number(message: &Message) -> Option<u32> {
    let number = message.options.get_uint(option::OBSERVE)?;
    u32::try_from(number).ok()
}

fn block(message: &Message, number: u16) -> Option<Block> {
    Block::of(&message.options, number).ok().flatten()
}

fn begin(client: SocketAddr, o: &Observed, transmission: Transmission) -> Exchange {
    let message = &o.message;
    let request = Request {
        method: message.code,
        options: message.options.clone(),
        payload: Vec::new(),
    };
    let path = request.path();
    let mut resource = path;
    let queries = message.options.get_all(option::URI_QUERY);
    for (index, query) in queries.enumerate() {
        resource.push(if index == 0 { '?' } else { '&' });
        resource.push_str(&String::from_utf8_lossy(query));
    }
    Exchange {
        client,
        message_id: message.message_id,
        token: message.token,
        confirmable: message.kind == Kind::Confirmable,
        method: message.code,
        resource,
        protocol: o.protocol.clone(),
        transmissions: vec![transmission],
        acknowledged: None,
        reset: None,
        answer: None,
        duplicates: 0,
        offset: [option::BLOCK1, option::BLOCK2]
            .iter()
            .filter_map(|number| Some(block(message, *number)?.offset()))
            .max()
            .unwrap_or(0),
        notifications: Vec::new(),
    }
}
