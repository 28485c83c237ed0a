//! Requests to their responses (RFC 7252 §4, §5.3), and notifications to their observations
//! (RFC 7641).
//!
//! A Message ID is its sender's and its receiver's (RFC 7252 §4.4), and so is a token (§5.3.1):
//! another server may have the same one at the same time. Both are used again when their lifetime is
//! over (§4.8.2).

mod continued;
mod counts;
mod over;
mod recent;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use coap::block::Block;
use coap::wire::Token;
use coap::{Code, Kind};
use units::SimTime;

use super::clients::{Client, Message, Passed};
use super::exchange::{
    AllEnds, Answer, Ends, Exchange, Missed, Notification, Observation, Transmission,
};
use super::identity::Known;
use super::message::{Brief, Identity};
use super::{Options, Other};
use counts::Counts;
use recent::{Of, Recent};

/// Registrations with one token in which that of a notification is looked for, the latest ones.
const MOST_REGISTRATIONS: usize = 64;

/// What a client began, in the order of time.
pub(super) struct Paired {
    /// Without those that only end an observation.
    pub(super) exchanges: Vec<Exchange>,
    pub(super) observations: Vec<Observation>,
}

/// The exchanges and observations of `client`.
pub(super) fn pair(
    client: &Client<'_>,
    options: &Options,
    known: &Known,
    other: &mut Other,
) -> Paired {
    let mut pairing = Pairing::new(client.endpoint, 0, options, known);
    client.messages().for_each(|message| pairing.take(&message));
    pairing.end(other)
}

/// A server's endpoint, by its place in [`Pairing::peers`].
type Peer = u32;

/// A request that a Message ID stands for.
#[derive(Clone, Copy)]
struct Sent {
    exchange: usize,
    identity: Identity,
}

/// What of an exchange's request matters until the end.
#[derive(Clone, Copy)]
struct Asked {
    registers: bool,
    deregisters: bool,
    lacks_token: bool,
    wants_none: bool,
}

/// The pairing of what a client sent and received, message by message.
pub(super) struct Pairing<'a> {
    client: SocketAddr,
    options: &'a Options,
    known: &'a Known,
    exchanges: Vec<Exchange>,
    ends: AllEnds,
    /// The request of each exchange.
    requests: Vec<Asked>,
    /// Where the next block of a request's body begins (Block1), by exchange.
    further: HashMap<usize, usize>,
    peers: HashMap<SocketAddr, Peer>,
    /// The latest exchange with a server and a Message ID.
    by_message_id: HashMap<(Peer, u16), Sent>,
    /// The server of the latest one with a Message ID.
    latest: HashMap<u16, Peer>,
    /// The latest exchange with a server and a token.
    by_token: HashMap<(Peer, Token), usize>,
    /// The latest deregistration with a server and a token, which is its registration's, too.
    deregistrations: HashMap<(Peer, Token), usize>,
    /// All registrations with a token.
    registrations: HashMap<Token, Vec<usize>>,
    recent: Recent,
    /// How many exchanges there are when something is forgotten next.
    next_sweep: usize,
    /// Requests that may be another one, sent again to another address.
    continued: Vec<(usize, usize)>,
    /// When a token was last used for a request to a group.
    to_groups: HashMap<Token, SimTime>,
    observations: Vec<Observation>,
    /// The observation by which a server notifies with a token.
    by_observer: HashMap<(Peer, Token), usize>,
    counts: Counts,
}

impl<'a> Pairing<'a> {
    /// Of the client at `endpoint`, which has sent and received nothing yet. There is room for so many
    /// `requests`, and more as they come: their exchanges take the most memory of all that there is.
    pub(super) fn new(
        endpoint: SocketAddr,
        requests: usize,
        options: &'a Options,
        known: &'a Known,
    ) -> Pairing<'a> {
        Pairing {
            client: endpoint,
            options,
            known,
            exchanges: Vec::with_capacity(requests),
            ends: AllEnds::default(),
            requests: Vec::with_capacity(requests),
            further: HashMap::new(),
            peers: HashMap::new(),
            by_message_id: HashMap::new(),
            latest: HashMap::new(),
            by_token: HashMap::new(),
            deregistrations: HashMap::new(),
            registrations: HashMap::new(),
            recent: Recent::default(),
            next_sweep: over::SWEEP,
            continued: Vec::new(),
            to_groups: HashMap::new(),
            observations: Vec::new(),
            by_observer: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// Takes what it sent or received next.
    pub(super) fn take(&mut self, message: &Passed<'_>) {
        match message {
            Passed::Sent(o) => self.sent(o),
            Passed::Received(o) => self.received(o),
            Passed::Missed(o) => self.missed(o),
        }
    }

    fn peer(&mut self, endpoint: SocketAddr) -> Peer {
        // There are no more of them than messages, of which no memory holds as many.
        let new = Peer::try_from(self.peers.len()).unwrap_or(Peer::MAX);
        *self.peers.entry(endpoint).or_insert(new)
    }

    fn sent(&mut self, o: &Message<'_>) {
        let brief = o.brief;
        if brief.code == Code::EMPTY && brief.kind == Kind::Confirmable {
            self.counts.pings += 1;
        }
        if !brief.code.is_request() {
            return;
        }
        if o.dst.ip().is_multicast() {
            self.counts.multicast += 1;
            self.to_groups.insert(brief.token, o.complete);
            return;
        }
        let transmission = Transmission {
            time: o.first,
            to: o.dst,
        };
        let server = self.peer(o.dst);
        let same = self.by_message_id.get(&(server, brief.message_id)).copied();
        if let Some(sent) = same.filter(|sent| self.repeats(sent, o)) {
            self.exchanges[sent.exchange].send_again(transmission);
            return;
        }
        self.counts.cut_requests += u64::from(brief.lacks_options());
        let late = same.is_some_and(|sent| self.is_alike_and_waits(&sent, brief));
        self.counts.repeated_late += u64::from(late);
        let elsewhere = self.latest.get(&brief.message_id);
        let elsewhere =
            elsewhere.and_then(|last| self.by_message_id.get(&(*last, brief.message_id)));
        let elsewhere = elsewhere.copied().filter(|sent| self.repeats(sent, o));
        let elsewhere = elsewhere.map(|sent| sent.exchange);
        if let Some(index) = elsewhere.filter(|index| self.is_of_one_node(*index, o.dst)) {
            self.exchanges[index].send_again(transmission);
            self.index(server, o, index);
            return;
        }
        let index = self.exchanges.len();
        self.forget(o.first);
        self.continued
            .extend(elsewhere.map(|before| (before, index)));
        self.begin(o, index);
        self.index(server, o, index);
    }

    fn begin(&mut self, o: &Message<'_>, index: usize) {
        let brief = o.brief;
        let ends = self.ends.one(Ends {
            client: self.client,
            to: o.dst,
            confirmable: brief.kind == Kind::Confirmable,
            method: brief.code,
            resource: o.resource.cloned().unwrap_or_default(),
            protocol: o.protocol.cloned(),
            answered: None,
        });
        let mut exchange = Exchange::new(ends, o.first, brief.message_id, brief.token);
        if let Some(blocks) = &brief.blocks {
            let offsets = [blocks.block1, blocks.block2].into_iter().flatten();
            let offset = offsets.map(Block::offset).max().unwrap_or(0);
            exchange.set_block(offset, blocks.request_tag);
            let next = blocks.block1.map(|block| block.offset() + blocks.payload);
            self.further.extend(next.map(|next| (index, next)));
        }
        self.exchanges.push(exchange);
        self.requests.push(Asked {
            registers: brief.registers(),
            deregisters: brief.deregisters(),
            lacks_token: brief.lacks_token(),
            wants_none: brief.wants_none,
        });
    }

    /// Where what comes back for a request that was sent, `exchange`, is looked for.
    fn index(&mut self, server: Peer, o: &Message<'_>, exchange: usize) {
        let brief = o.brief;
        let (id, token) = ((server, brief.message_id), (server, brief.token));
        let sent = Sent {
            exchange,
            identity: brief.identity(),
        };
        self.by_message_id.insert(id, sent);
        self.latest.insert(brief.message_id, server);
        if brief.deregisters() {
            let new = self.deregistrations.insert(token, exchange) != Some(exchange);
            self.counts.deregistrations += u64::from(new);
        } else {
            self.by_token.insert(token, exchange);
        }
        if brief.registers() {
            let all = self.registrations.entry(brief.token).or_default();
            if all.last() != Some(&exchange) {
                all.push(exchange);
            }
        }
        if brief.observe.is_some()
            && let Some(begun_before) = self.by_observer.get(&token)
        {
            let resource = &mut self.observations[*begun_before].resource;
            resource.get_or_insert_with(|| o.resource.cloned().unwrap_or_default());
        }
    }

    /// The exchange that a separate response of `server` with a token answers.
    fn of_token(&self, server: Peer, o: &Message<'_>) -> Option<usize> {
        let asked = self.by_token.get(&(server, o.brief.token)).copied();
        asked.filter(|index| !self.is_over(*index, o.complete) && !self.is_late(*index, o.complete))
    }

    /// Whether `o` is one more transmission of the exchange's request, and not a new request that
    /// uses its Message ID again.
    fn repeats(&self, sent: &Sent, o: &Message<'_>) -> bool {
        let last = self.exchanges[sent.exchange].last().time;
        let span = self.options.max_transmit_span;
        sent.identity.equals(&o.brief.identity()) && o.first.saturating_since(last) <= span
    }

    /// Whether `request` is the exchange's once more, which nobody answered, and its Message ID cannot
    /// have come round.
    fn is_alike_and_waits(&self, sent: &Sent, request: &Brief) -> bool {
        let exchange = &self.exchanges[sent.exchange];
        let heard = exchange.is_answered() || exchange.reset().is_some();
        let since = self.exchanges.len() - sent.exchange;
        request.kind == Kind::Confirmable
            && sent.identity.equals(&request.identity())
            && !heard
            && since < usize::from(u16::MAX) / 2
    }

    /// Whether the exchange's request went to the node that has this address.
    fn is_of_one_node(&self, index: usize, server: SocketAddr) -> bool {
        let transmissions = self.exchanges[index].transmissions();
        let mut servers = transmissions.map(|t| t.to);
        servers.any(|to| to == server || self.known.are_one(to, server) == Some(true))
    }

    fn received(&mut self, o: &Message<'_>) {
        let brief = o.brief;
        if brief.code.is_request() {
            return;
        }
        let server = self.peer(o.src);
        match brief.kind {
            Kind::Acknowledgement | Kind::Reset => self.acknowledged(server, o),
            Kind::Confirmable | Kind::NonConfirmable if brief.code != Code::EMPTY => {
                self.separate(server, o);
            }
            Kind::Confirmable | Kind::NonConfirmable => {}
        }
    }

    /// The request that an ACK or RST names by its Message ID, and a response by its token, too. A client
    /// has as many with the same one as it has addresses.
    fn named_by(&self, server: Peer, o: &Message<'_>) -> Option<usize> {
        let latest = self.by_message_id.get(&(server, o.brief.message_id));
        let latest = latest.map(|sent| sent.exchange);
        let fits = |index: &usize| self.exchanges[*index].token() == o.brief.token;
        if o.brief.code == Code::EMPTY || latest.is_none_or(|index| fits(&index)) {
            return latest;
        }
        let other = self.of_token(server, o);
        let same_id = |index: &usize| self.exchanges[*index].message_id() == o.brief.message_id;
        other.filter(same_id).or(latest)
    }

    /// ACK and RST name the request by its Message ID.
    fn acknowledged(&mut self, server: Peer, o: &Message<'_>) {
        let brief = o.brief;
        let index = self.named_by(server, o);
        let lifetime = self.options.exchange_lifetime();
        let index = index.filter(|index| {
            let last = self.exchanges[*index].last().time;
            o.complete.saturating_since(last) <= lifetime
        });
        let Some(index) = index else {
            // An ACK or RST of something that this endpoint sent as a server.
            if brief.code != Code::EMPTY {
                self.counts.stray += 1;
            }
            return;
        };
        let exchange = &mut self.exchanges[index];
        match (brief.kind, brief.code) {
            (Kind::Reset, _) => {
                exchange.reject(o.complete);
            }
            (_, Code::EMPTY) => {
                exchange.acknowledge(o.complete);
            }
            // "In a piggybacked response, the Message ID of the Confirmable request and the
            // Acknowledgement MUST match, and the tokens of the response and original request
            // MUST match" (RFC 7252 §5.3.2).
            _ if brief.token == exchange.token()
                || brief.lacks_token()
                || self.requests[index].lacks_token =>
            {
                self.answer(index, o);
            }
            _ => self.counts.stray += 1,
        }
    }

    fn answer(&mut self, index: usize, o: &Message<'_>) {
        let exchange = &mut self.exchanges[index];
        match exchange.is_answered() {
            false => {
                let further = self.further.get(&index).copied();
                let deregisters = self.requests[index].deregisters;
                let continues_at = continues_at(o.brief, further).filter(|_| !deregisters);
                exchange.set_answer(&answer(o, continues_at), &mut self.ends);
            }
            true if o.brief.in_q_block => {}
            true => exchange.duplicate(),
        }
    }

    /// "In a separate response, just the tokens of the response and original request MUST
    /// match" (RFC 7252 §5.3.2).
    fn separate(&mut self, server: Peer, o: &Message<'_>) {
        if let Some(of) = self.again(server, o) {
            match of {
                Of::Exchange(index) => self.exchanges[index].duplicate(),
                Of::Observation(index) => self.observations[index].duplicates += 1,
            }
            return;
        }
        let token = (server, o.brief.token);
        // What has no number is no notification, and answers the latest request.
        let ended = self.deregistrations.get(&token).copied();
        let ended = ended
            .filter(|index| o.brief.observe.is_none() && !self.exchanges[*index].is_answered())
            .filter(|index| !self.is_late(*index, o.complete));
        let of = match ended {
            Some(index) => {
                self.answer(index, o);
                Some(Of::Exchange(index))
            }
            None => self.asked_or_observed(server, o),
        };
        match of {
            Some(of) => self.recent.keep(server, o, of),
            None if self.is_of_a_group(o) => self.counts.multicast_responses += 1,
            None => self.counts.stray += 1,
        }
    }

    /// Whether it answers a request to a group: by its token alone, since any member may
    /// (RFC 7252 §8.2).
    fn is_of_a_group(&self, o: &Message<'_>) -> bool {
        let asked = self.to_groups.get(&o.brief.token);
        let lifetime = self.options.non_lifetime();
        asked.is_some_and(|asked| o.complete.saturating_since(*asked) <= lifetime)
    }

    fn asked_or_observed(&mut self, server: Peer, o: &Message<'_>) -> Option<Of> {
        let brief = o.brief;
        let asked = self.of_token(server, o);
        let registration = self.registration(o, asked);
        if let Some(index) = registration {
            self.notify(index, o);
            return Some(Of::Exchange(index));
        }
        let begun_before = || self.by_observer.contains_key(&(server, brief.token));
        let pending = asked.filter(|index| !(self.is_pending(*index) && begun_before()));
        if let Some(index) = pending {
            self.answer(index, o);
            return Some(Of::Exchange(index));
        }
        brief.observe?;
        Some(Of::Observation(self.begun_before(server, o)))
    }

    /// The registration that `o` notifies by, and does not answer. A node that moves goes on
    /// notifying from where nothing was sent to.
    fn registration(&self, o: &Message<'_>, asked: Option<usize>) -> Option<usize> {
        let all = self.registrations.get(&o.brief.token);
        let all = all.into_iter().flatten().rev().copied();
        let all = all.take(MOST_REGISTRATIONS);
        let mut all = all.filter(|index| !self.is_late(*index, o.complete));
        let answered = |index: usize| self.exchanges[index].is_answered();
        let sent_here = |index: usize| {
            let mut transmissions = self.exchanges[index].transmissions();
            transmissions.any(|t| t.to == o.src)
        };
        if let Some(asked) = asked {
            let waits = !answered(asked) && !self.is_pending(asked);
            if waits || !(o.brief.observe.is_some() || self.requests[asked].registers) {
                return None;
            }
            if answered(asked) && self.requests[asked].registers {
                return Some(asked);
            }
            return all.find(|index| answered(*index) && sent_here(*index));
        }
        o.brief.observe?;
        let of_node = |index: &usize| {
            let mut servers = self.servers_of(*index);
            servers.any(|server| self.known.are_one(server, o.src) == Some(true))
        };
        if let Some(index) = all.clone().find(of_node) {
            return Some(index);
        }
        let of_another = |index: &usize| {
            let mut servers = self.servers_of(*index);
            servers.any(|server| self.known.are_one(server, o.src) == Some(false))
        };
        // Its Message IDs go on.
        let step = |index: &usize| {
            let last = self.exchanges[*index].notifications().last();
            let last = last.map_or(0, |last| last.message_id);
            o.brief.message_id.wrapping_sub(last)
        };
        all.filter(|index| !of_another(index)).min_by_key(step)
    }

    /// Whether a registration waits for its ACK, which answers it. Until then the former one with its
    /// token is notified by.
    fn is_pending(&self, index: usize) -> bool {
        let exchange = &self.exchanges[index];
        exchange.confirmable() && !exchange.is_answered() && exchange.acknowledged().is_none()
    }

    fn servers_of(&self, index: usize) -> impl Iterator<Item = SocketAddr> {
        let exchange = &self.exchanges[index];
        let notified = exchange.notifications().last().map(|n| n.from);
        std::iter::once(exchange.first().to).chain(notified)
    }

    fn notify(&mut self, index: usize, o: &Message<'_>) {
        if !self.exchanges[index].is_answered() {
            return self.answer(index, o);
        }
        self.counts.notifications += 1;
        self.exchanges[index].notify(notification(o));
    }

    /// The client did not receive `o`, which notifies by a registration of which it knows.
    fn missed(&mut self, o: &Message<'_>) {
        let Some(number) = o.brief.observe else {
            return;
        };
        let server = self.peer(o.src);
        let missed = Missed {
            time: o.complete,
            number,
        };
        let asked = self.of_token(server, o);
        if let Some(index) = self.registration(o, asked) {
            self.exchanges[index].miss(missed);
        } else if let Some(index) = self.by_observer.get(&(server, o.brief.token)) {
            self.observations[*index].missed.push(missed);
        }
    }

    /// The observation that `o` notifies by, and of which no answer to a registration was captured.
    fn begun_before(&mut self, server: Peer, o: &Message<'_>) -> usize {
        self.counts.notifications += 1;
        // A registration that was not answered in time names it all the same.
        let registration = self.registrations.get(&o.brief.token);
        let registration = registration.into_iter().flatten().last();
        let resource = registration.map(|index| Arc::clone(self.exchanges[*index].resource()));
        let key = (server, o.brief.token);
        let new = self.observations.len();
        let index = *self.by_observer.entry(key).or_insert(new);
        if index == new {
            self.observations.push(Observation {
                client: self.client,
                token: o.brief.token,
                server: o.src,
                resource,
                notifications: Vec::with_capacity(1),
                missed: Vec::new(),
                duplicates: 0,
            });
        }
        self.observations[index].notifications.push(notification(o));
        index
    }

    /// What there was, when everything was taken; what was counted beside it goes to `other`.
    pub(super) fn end(mut self, other: &mut Other) -> Paired {
        let mut wanted: Vec<bool> = self.requests.iter().map(|r| !r.deregisters).collect();
        for index in self.join_continued() {
            wanted[index] = false;
        }
        let requests = self.exchanges.iter().zip(&self.requests);
        for ((exchange, request), wanted) in requests.zip(&mut wanted) {
            let arrived = !exchange.confirmable() || exchange.acknowledged().is_some();
            let silent = request.wants_none && arrived && exchange.reset().is_none();
            if *wanted && silent && !exchange.is_answered() {
                *wanted = false;
                self.counts.wants_none += 1;
            }
            let after_end = self.options.end.is_some_and(|end| exchange.sent_at() > end);
            let lost_after_end = *wanted && after_end && !exchange.is_answered();
            self.counts.after_end += u64::from(lost_after_end);
        }
        let mut wanted = wanted.into_iter();
        self.exchanges.retain(|_| wanted.next().unwrap_or(true));
        self.counts.add_to(other);
        Paired {
            exchanges: self.exchanges,
            observations: self.observations,
        }
    }
}

fn answer(o: &Message<'_>, continues_at: Option<usize>) -> Answer {
    Answer {
        continues_at,
        etag: o.brief.blocks.as_ref().and_then(|blocks| blocks.etag),
        number: o.brief.observe,
        time: o.complete,
        from: o.src,
        code: o.brief.code,
        message_id: o.brief.message_id,
        hop: o.hop,
    }
}

fn notification(o: &Message<'_>) -> Notification {
    let block = o.brief.blocks.as_ref().and_then(|blocks| blocks.block2);
    Notification {
        time: o.complete,
        from: o.src,
        message_id: o.brief.message_id,
        number: o.brief.observe,
        confirmable: o.brief.kind == Kind::Confirmable,
        continues: block.is_some_and(|block| block.more),
        hop: o.hop,
    }
}

/// Where the block after the one in `response` begins; none after the last. `further` is where the one
/// after that of its request begins. Who only ends an observation (RFC 7641 §3.6) does not want
/// that body.
fn continues_at(response: &Brief, further: Option<usize>) -> Option<usize> {
    match response.blocks.as_ref().and_then(|blocks| blocks.block2) {
        Some(block) if block.more => Some(block.offset() + block.size.bytes()),
        None if response.code == Code::CONTINUE => further,
        _ => None,
    }
}
