//! Requests with what came back, and observations with what was notified.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use coap::Code;
use coap::wire::Token;
use units::SimTime;

use super::hop::Hop;
use crate::dissect::Protocol;

/// A request with everything that was seen of it.
///
/// A capture has millions of them: what many have alike is in memory once, and what few have apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    sent: SimTime,
    /// When it was answered, if `ends` has who did.
    received: SimTime,
    ends: Arc<Ends>,
    rare: Option<Box<Rare>>,
    token: Token,
    message_id: u16,
    /// The answer's own Message ID.
    answer_id: u16,
}

/// What the exchanges of one client with one server have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) client: SocketAddr,
    /// Where to the request was sent first.
    pub(super) to: SocketAddr,
    pub(super) confirmable: bool,
    pub(super) method: Code,
    pub(super) resource: Arc<str>,
    pub(super) protocol: Option<Protocol>,
    pub(super) answered: Option<Answered>,
}

/// Who answered, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Answered {
    from: SocketAddr,
    code: Code,
    hop: Option<Hop>,
}

/// What most exchanges do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rare {
    /// Transmissions after the first one.
    again: Vec<Transmission>,
    acknowledged: Option<SimTime>,
    reset: Option<SimTime>,
    duplicates: u32,
    offset: usize,
    request_tag: Option<Token>,
    /// Of the answer.
    continues_at: Option<usize>,
    etag: Option<Token>,
    number: Option<u32>,
    notifications: Vec<Notification>,
    missed: Vec<Missed>,
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
    /// What was notified and not received, as far as others saw it.
    pub missed: Vec<Missed>,
    /// Further copies of it.
    pub duplicates: u32,
}

/// A notification that its server sent, and the client did not receive there and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// When it was sent.
    pub time: SimTime,
    /// The number in its Observe option (RFC 7641 §2).
    pub number: u32,
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

impl Exchange {
    /// A request that was sent once, and of which nothing came back yet.
    pub(super) fn new(ends: Arc<Ends>, sent: SimTime, message_id: u16, token: Token) -> Exchange {
        Exchange {
            sent,
            received: sent,
            ends,
            rare: None,
            token,
            message_id,
            answer_id: message_id,
        }
    }

    /// Who asked; of a client with several addresses the first one.
    pub fn client(&self) -> SocketAddr {
        self.ends.client
    }

    /// Message ID of the request.
    pub fn message_id(&self) -> u16 {
        self.message_id
    }

    /// Its token.
    pub fn token(&self) -> Token {
        self.token
    }

    /// Whether it is a CON.
    pub fn confirmable(&self) -> bool {
        self.ends.confirmable
    }

    /// Method.
    pub fn method(&self) -> Code {
        self.ends.method
    }

    /// Path and query, `/temperature?unit=K`. If the capture cut the request, what is left of it,
    /// and `…`.
    pub fn resource(&self) -> &Arc<str> {
        &self.ends.resource
    }

    /// The protocol that needs it for itself; none if an application asked.
    pub fn protocol(&self) -> Option<&Protocol> {
        self.ends.protocol.as_ref()
    }

    /// When and where to it was sent, in the order of time; at least once. A client that learns a
    /// new address while it retransmits sends the same message there.
    pub fn transmissions(&self) -> impl DoubleEndedIterator<Item = Transmission> + Clone + use<'_> {
        std::iter::once(self.first()).chain(self.again().iter().copied())
    }

    /// Its first transmission.
    pub fn first(&self) -> Transmission {
        Transmission {
            time: self.sent,
            to: self.ends.to,
        }
    }

    /// Its transmissions after the first one.
    pub fn again(&self) -> &[Transmission] {
        self.rare.as_ref().map_or(&[], |rare| &rare.again)
    }

    /// Its last transmission.
    pub fn last(&self) -> Transmission {
        self.again().last().copied().unwrap_or(self.first())
    }

    /// When an empty ACK announced a separate response (RFC 7252 §5.2.2).
    pub fn acknowledged(&self) -> Option<SimTime> {
        self.rare.as_ref()?.acknowledged
    }

    /// When the server rejected it (RST).
    pub fn reset(&self) -> Option<SimTime> {
        self.rare.as_ref()?.reset
    }

    /// The first response.
    pub fn answer(&self) -> Option<Answer> {
        let Answered { from, code, hop } = self.ends.answered?;
        let rare = self.rare.as_deref();
        Some(Answer {
            time: self.received,
            from,
            code,
            message_id: self.answer_id,
            continues_at: rare.and_then(|rare| rare.continues_at),
            etag: rare.and_then(|rare| rare.etag),
            number: rare.and_then(|rare| rare.number),
            hop,
        })
    }

    /// Who answered.
    pub fn answered_by(&self) -> Option<SocketAddr> {
        Some(self.ends.answered?.from)
    }

    /// When the first response was complete.
    pub fn answered_at(&self) -> Option<SimTime> {
        self.is_answered().then_some(self.received)
    }

    /// Whether there was a response.
    pub fn is_answered(&self) -> bool {
        self.ends.answered.is_some()
    }

    /// Further copies of the response.
    pub fn duplicates(&self) -> u32 {
        self.rare.as_ref().map_or(0, |rare| rare.duplicates)
    }

    /// Where in a body the block begins that it asks for or carries (RFC 7959), in bytes; 0 in
    /// the first request of a body, and in every request without blocks.
    pub fn offset(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.offset)
    }

    /// Which of several bodies for one resource a block of a request belongs to (Request-Tag,
    /// RFC 9175 §3), of up to eight bytes.
    pub fn request_tag(&self) -> Option<Token> {
        self.rare.as_ref()?.request_tag
    }

    /// What a server notified after its answer (RFC 7641), in the order received.
    pub fn notifications(&self) -> &[Notification] {
        self.rare.as_ref().map_or(&[], |rare| &rare.notifications)
    }

    /// What was notified after its answer and not received, as far as others saw it, in the order
    /// sent.
    pub fn missed(&self) -> &[Missed] {
        self.rare.as_ref().map_or(&[], |rare| &rare.missed)
    }

    /// When the request was first sent.
    pub fn sent_at(&self) -> SimTime {
        self.sent
    }

    /// From the first transmission of the request to its response, if there was one.
    pub fn rtt(&self) -> Option<Duration> {
        Some(self.answered_at()?.saturating_since(self.sent))
    }

    /// How often the request was sent after the first time.
    pub fn retransmissions(&self) -> usize {
        self.again().len()
    }

    /// Where to it was sent, each address once.
    pub fn destinations(&self) -> Vec<SocketAddr> {
        let mut addresses = vec![self.ends.to];
        for to in self.again().iter().map(|t| t.to) {
            if !addresses.contains(&to) {
                addresses.push(to);
            }
        }
        addresses
    }
}

/// How pairing tells what it finds.
impl Exchange {
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// It was sent again.
    pub(super) fn send_again(&mut self, transmission: Transmission) {
        self.rare().again.push(transmission);
    }

    /// An empty ACK came, the first one counts.
    pub(super) fn acknowledge(&mut self, time: SimTime) {
        self.rare().acknowledged.get_or_insert(time);
    }

    /// An RST came, the first one counts.
    pub(super) fn reject(&mut self, time: SimTime) {
        self.rare().reset.get_or_insert(time);
    }

    /// Its response came; `ends` are kept of `all`.
    pub(super) fn set_answer(&mut self, answer: &Answer, all: &mut AllEnds) {
        let ends = Ends {
            answered: Some(Answered {
                from: answer.from,
                code: answer.code,
                hop: answer.hop,
            }),
            ..(*self.ends).clone()
        };
        self.ends = all.one(ends);
        self.received = answer.time;
        self.answer_id = answer.message_id;
        if answer.continues_at.is_some() || answer.etag.is_some() || answer.number.is_some() {
            let rare = self.rare();
            rare.continues_at = answer.continues_at;
            rare.etag = answer.etag;
            rare.number = answer.number;
        }
    }

    /// A copy of its response, or of something that was notified, came.
    pub(super) fn duplicate(&mut self) {
        self.rare().duplicates += 1;
    }

    /// Something was notified.
    pub(super) fn notify(&mut self, notification: Notification) {
        self.rare().notifications.push(notification);
    }

    /// Something was notified, and not received.
    pub(super) fn miss(&mut self, missed: Missed) {
        self.rare().missed.push(missed);
    }

    /// It asks for a block.
    pub(super) fn set_block(&mut self, offset: usize, request_tag: Option<Token>) {
        if offset > 0 || request_tag.is_some() {
            let rare = self.rare();
            (rare.offset, rare.request_tag) = (offset, request_tag);
        }
    }

    /// `later` is the same request, sent again to another address.
    pub(super) fn join(&mut self, later: &Exchange, all: &mut AllEnds) {
        let mut sent: Vec<Transmission> = self.transmissions().collect();
        sent.extend(later.transmissions());
        sent.sort_by_key(|t| t.time);
        let ends = Ends {
            to: sent[0].to,
            answered: later.ends.answered,
            ..(*self.ends).clone()
        };
        self.ends = all.one(ends);
        self.sent = sent[0].time;
        (self.received, self.answer_id) = (later.received, later.answer_id);
        let of_later = later.rare.as_deref().cloned().unwrap_or_default();
        let rare = self.rare();
        rare.again = sent.split_off(1);
        rare.acknowledged = of_later.acknowledged;
        rare.reset = of_later.reset;
        rare.duplicates += of_later.duplicates;
        rare.continues_at = of_later.continues_at;
        rare.etag = of_later.etag;
        rare.number = of_later.number;
        rare.notifications.extend(of_later.notifications);
        rare.missed.extend(of_later.missed);
    }
}

/// The ends of many exchanges, each once in memory.
#[derive(Debug, Default)]
pub(super) struct AllEnds(HashSet<Arc<Ends>>);

impl AllEnds {
    /// The one of them that is equal to `ends`.
    pub(super) fn one(&mut self, ends: Ends) -> Arc<Ends> {
        if let Some(known) = self.0.get(&ends) {
            return Arc::clone(known);
        }
        let new = Arc::new(ends);
        self.0.insert(Arc::clone(&new));
        new
    }
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
        let mut all = AllEnds::default();
        let ends = all.one(Ends {
            client: "[2001:db8::1]:5683".parse().unwrap(),
            to,
            confirmable: false,
            method: Code::GET,
            resource: "/t".into(),
            protocol: None,
            answered: None,
        });
        let token = Token::new(&message_id.to_be_bytes()).unwrap();
        let mut exchange = Exchange::new(ends, sent[0], message_id, token);
        for time in &sent[1..] {
            exchange.send_again(Transmission { time: *time, to });
        }
        if let Some((time, from)) = answer {
            let answer = Answer {
                time,
                from,
                code: Code::CONTENT,
                message_id,
                continues_at: None,
                etag: None,
                number: None,
                hop: None,
            };
            exchange.set_answer(&answer, &mut all);
        }
        exchange
    }

    /// It, with its answer changed by `change`, if it has one.
    pub(crate) fn change_answer(&mut self, change: impl FnOnce(&mut Answer)) {
        if let Some(mut answer) = self.answer() {
            change(&mut answer);
            self.set_answer(&answer, &mut AllEnds::default());
        }
    }

    /// What was notified.
    pub(crate) fn notifications_mut(&mut self) -> &mut Vec<Notification> {
        &mut self.rare().notifications
    }

    /// It, as a CON.
    pub(crate) fn made_confirmable(mut self) -> Exchange {
        let ends = Ends {
            confirmable: true,
            ..(*self.ends).clone()
        };
        self.ends = Arc::new(ends);
        self
    }
}
