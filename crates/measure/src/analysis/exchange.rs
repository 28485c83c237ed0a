//! Requests with what came back, and observations with what was notified.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use coap::Code;
use coap::wire::Token;
use units::SimTime;

use super::hop::Hop;
use crate::dissect::Protocol;

/// A request with everything that was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Who asked; of a client with several addresses the first one.
    pub client: SocketAddr,
    /// Message ID of the request.
    pub message_id: u16,
    /// Its token.
    pub token: Token,
    /// Whether it is a CON.
    pub confirmable: bool,
    /// Method.
    pub method: Code,
    /// Path and query, `/temperature?unit=K`. If the capture cut the request, what is left of it,
    /// and `…`.
    pub resource: Arc<str>,
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
    /// Which of several bodies for one resource a block of a request belongs to (Request-Tag,
    /// RFC 9175 §3), of up to eight bytes.
    pub request_tag: Option<Token>,
    /// What a server notified after its answer (RFC 7641), in the order received.
    pub notifications: Vec<Notification>,
}

/// An observation (RFC 7641) of which the capture has notifications and no registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Who is notified.
    pub client: SocketAddr,
    /// The token of the registration.
    pub token: Token,
    /// Who notified first.
    pub server: SocketAddr,
    /// What is observed, if a request with the same token names it later: one that registers again
    /// or ends the observation.
    pub resource: Option<Arc<str>>,
    /// What was notified, in the order received; at least once.
    pub notifications: Vec<Notification>,
    /// Further copies of it.
    pub duplicates: u32,
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
    /// The number in its Observe option; none in an error, which ends the observation, and if the
    /// capture cut it off.
    pub number: Option<u32>,
    /// Whether it is a CON.
    pub confirmable: bool,
    /// Whether further blocks of its body (RFC 7959) are to be asked for.
    pub continues: bool,
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
    /// The representation that a block is of (ETag), of up to eight bytes.
    pub etag: Option<Token>,
    /// The number in its Observe option (RFC 7641), if it has one.
    pub number: Option<u32>,
    /// Where it was captured, if that is known.
    pub hop: Option<Hop>,
}

#[cfg(test)]
impl Exchange {
    /// A NON GET of `/t` that was sent to `to` at these times, the first one at least, and answered
    /// from there.
    pub(crate) fn of_test(
        message_id: u16,
        sent: &[SimTime],
        to: SocketAddr,
        answer: Option<(SimTime, SocketAddr)>,
    ) -> Exchange {
        let transmission = |time: &SimTime| Transmission { time: *time, to };
        Exchange {
            client: "[2001:db8::1]:5683".parse().unwrap(),
            message_id,
            token: Token::new(&message_id.to_be_bytes()).unwrap(),
            confirmable: false,
            method: Code::GET,
            resource: "/t".into(),
            protocol: None,
            transmissions: sent.iter().map(transmission).collect(),
            acknowledged: None,
            reset: None,
            answer: answer.map(|(time, from)| Answer {
                time,
                from,
                code: Code::CONTENT,
                message_id,
                continues_at: None,
                etag: None,
                number: None,
                hop: None,
            }),
            duplicates: 0,
            offset: 0,
            request_tag: None,
            notifications: Vec::new(),
        }
    }
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
}
