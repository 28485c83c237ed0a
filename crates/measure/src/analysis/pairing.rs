//! Requests to their responses (RFC 7252 §4, §5.3), and notifications to their observations
//! (RFC 7641).
//!
//! A Message ID is its sender's and its receiver's (RFC 7252 §4.4), and so is a token (§5.3.1):
//! another server may have the same one at the same time. Both are used again when their lifetime is
//! over (§4.8.2).

mod continued;
mod recent;

use std::collections::HashMap;
use std::net::SocketAddr;

use coap::block::Block;
use coap::wire::Token;
use coap::{Code, Kind};
use units::SimTime;

use super::clients::{Client, Message, Passed};
use super::exchange::{Answer, Exchange, Notification, Observation, Transmission};
use super::identity::Known;
use super::message::Brief;
use super::{Options, Other};
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
    let mut pairing = Pairing {
        client: client.endpoint,
        options,
        known,
        exchanges: Vec::new(),
        requests: Vec::new(),
        by_message_id: HashMap::new(),
        latest: HashMap::new(),
        by_token: HashMap::new(),
        deregistrations: HashMap::new(),
        registrations: HashMap::new(),
        recent: Recent::default(),
        continued: Vec::new(),
        to_groups: HashMap::new(),
        observations: Vec::new(),
        by_observer: HashMap::new(),
        other,
    };
    for message in client.messages() {
        match message {
            Passed::Sent(o) => pairing.sent(&o),
            Passed::Received(o) => pairing.received(&o),
        }
    }
    pairing.end()
}

struct Pairing<'a> {
    client: SocketAddr,
    options: &'a Options,
    known: &'a Known,
    exchanges: Vec<Exchange>,
    /// The request of each exchange.
    requests: Vec<&'a Brief>,
    /// The latest exchange with a server and a Message ID.
    by_message_id: HashMap<(SocketAddr, u16), usize>,
    /// The latest one with a Message ID, of any server.
    latest: HashMap<u16, usize>,
    /// The latest exchange with a server and a token.
    by_token: HashMap<(SocketAddr, Token), usize>,
    /// The latest deregistration with a server and a token, which is its registration's, too.
    deregistrations: HashMap<(SocketAddr, Token), usize>,
    /// All registrations with a token.
    registrations: HashMap<Token, Vec<usize>>,
    recent: Recent,
    /// Requests that may be another one, sent again to another address.
    continued: Vec<(usize, usize)>,
    /// When a token was last used for a request to a group.
    to_groups: HashMap<Token, SimTime>,
    observations: Vec<Observation>,
    /// The observation by which a server notifies with a token.
    by_observer: HashMap<(SocketAddr, Token), usize>,
    other: &'a mut Other,
}

impl<'a> Pairing<'a> {
    fn sent(&mut self, o: &Message<'a>) {
        let brief = o.brief;
        if brief.code == Code::EMPTY && brief.kind == Kind::Confirmable {
            self.other.pings += 1;
        }
        if !brief.code.is_request() {
            return;
        }
        if o.dst.ip().is_multicast() {
            self.other.multicast += 1;
            self.to_groups.insert(brief.token, o.complete);
            return;
        }
        let transmission = Transmission {
            time: o.first,
            to: o.dst,
        };
        let same = self.by_message_id.get(&(o.dst, brief.message_id)).copied();
        if let Some(index) = same.filter(|index| self.repeats(*index, o)) {
            self.exchanges[index].transmissions.push(transmission);
            return;
        }
        self.other.cut_requests += u64::from(brief.lacks_options());
        let late = same.is_some_and(|index| self.is_alike_and_waits(index, brief));
        self.other.repeated_late += u64::from(late);
        let elsewhere = self.latest.get(&brief.message_id).copied();
        let elsewhere = elsewhere.filter(|index| self.repeats(*index, o));
        if let Some(index) = elsewhere.filter(|index| self.is_of_one_node(*index, o.dst)) {
            self.exchanges[index].transmissions.push(transmission);
            self.index(o, index);
            return;
        }
        let index = self.exchanges.len();
        self.continued
            .extend(elsewhere.map(|before| (before, index)));
        self.requests.push(brief);
        self.exchanges.push(begin(self.client, o, transmission));
        self.index(o, index);
    }

    /// Where what comes back for a request that was sent, `exchange`, is looked for.
    fn index(&mut self, o: &Message<'a>, exchange: usize) {
        let brief = o.brief;
        let (id, token) = ((o.dst, brief.message_id), (o.dst, brief.token));
        self.by_message_id.insert(id, exchange);
        self.latest.insert(brief.message_id, exchange);
        if brief.deregisters() {
            let new = self.deregistrations.insert(token, exchange) != Some(exchange);
            self.other.deregistrations += u64::from(new);
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
            resource.get_or_insert_with(|| brief.resource.clone().unwrap_or_default());
        }
    }

    /// Whether `o` is one more transmission of the exchange's request, and not a new request that
    /// uses its Message ID again.
    fn repeats(&self, index: usize, o: &Message<'_>) -> bool {
        let last = self.exchanges[index].transmissions.last();
        let span = self.options.max_transmit_span;
        self.requests[index].equals(o.brief)
            && last.is_some_and(|t| o.first.saturating_since(t.time) <= span)
    }

    /// Whether `request` is the exchange's once more, which nobody answered, and its Message ID cannot
    /// have come round.
    fn is_alike_and_waits(&self, index: usize, request: &Brief) -> bool {
        let exchange = &self.exchanges[index];
        let heard = exchange.answer.is_some() || exchange.reset.is_some();
        let since = self.exchanges.len() - index;
        request.kind == Kind::Confirmable
            && self.requests[index].equals(request)
            && !heard
            && since < usize::from(u16::MAX) / 2
    }

    /// Whether the exchange's request went to the node that has this address.
    fn is_of_one_node(&self, index: usize, server: SocketAddr) -> bool {
        let transmissions = self.exchanges[index].transmissions.iter();
        let mut servers = transmissions.map(|t| t.to);
        servers.any(|to| to == server || self.known.are_one(to, server) == Some(true))
    }

    fn received(&mut self, o: &Message<'_>) {
        let brief = o.brief;
        if brief.code.is_request() {
            return;
        }
        match brief.kind {
            Kind::Acknowledgement | Kind::Reset => self.acknowledged(o),
            Kind::Confirmable | Kind::NonConfirmable if brief.code != Code::EMPTY => {
                self.separate(o);
            }
            Kind::Confirmable | Kind::NonConfirmable => {}
        }
    }

    /// The request that an ACK or RST names by its Message ID, and a response by its token, too. A client
    /// has as many with the same one as it has addresses.
    fn named_by(&self, o: &Message<'_>) -> Option<usize> {
        let latest = self.by_message_id.get(&(o.src, o.brief.message_id));
        let latest = latest.copied();
        let fits = |index: &usize| self.exchanges[*index].token == o.brief.token;
        if o.brief.code == Code::EMPTY || latest.is_none_or(|index| fits(&index)) {
            return latest;
        }
        let other = self.by_token.get(&(o.src, o.brief.token)).copied();
        let same_id = |index: &usize| self.exchanges[*index].message_id == o.brief.message_id;
        other.filter(same_id).or(latest)
    }

    /// ACK and RST name the request by its Message ID.
    fn acknowledged(&mut self, o: &Message<'_>) {
        let brief = o.brief;
        let index = self.named_by(o);
        let lifetime = self.options.exchange_lifetime();
        let index = index.filter(|index| {
            let last = self.exchanges[*index].transmissions.last();
            last.is_some_and(|t| o.complete.saturating_since(t.time) <= lifetime)
        });
        let Some(index) = index else {
            // An ACK or RST of something that this endpoint sent as a server.
            if brief.code != Code::EMPTY {
                self.other.stray += 1;
            }
            return;
        };
        let exchange = &mut self.exchanges[index];
        match (brief.kind, brief.code) {
            (Kind::Reset, _) => {
                exchange.reset.get_or_insert(o.complete);
            }
            (_, Code::EMPTY) => {
                exchange.acknowledged.get_or_insert(o.complete);
            }
            // "In a piggybacked response, the Message ID of the Confirmable request and the
            // Acknowledgement MUST match, and the tokens of the response and original request
            // MUST match" (RFC 7252 §5.3.2).
            _ if brief.token == exchange.token
                || brief.lacks_token()
                || self.requests[index].lacks_token() =>
            {
                self.answer(index, o);
            }
            _ => self.other.stray += 1,
        }
    }

    fn answer(&mut self, index: usize, o: &Message<'_>) {
        let exchange = &mut self.exchanges[index];
        match exchange.answer {
            None => exchange.answer = Some(answer(o, self.requests[index])),
            Some(_) if o.brief.in_q_block => {}
            Some(_) => exchange.duplicates += 1,
        }
    }

    /// "In a separate response, just the tokens of the response and original request MUST
    /// match" (RFC 7252 §5.3.2).
    fn separate(&mut self, o: &Message<'_>) {
        if let Some(of) = self.again(o) {
            match of {
                Of::Exchange(index) => self.exchanges[index].duplicates += 1,
                Of::Observation(index) => self.observations[index].duplicates += 1,
            }
            return;
        }
        let token = (o.src, o.brief.token);
        // What has no number is no notification, and answers the latest request.
        let ended = self.deregistrations.get(&token).copied();
        let ended = ended
            .filter(|index| o.brief.observe.is_none() && self.exchanges[*index].answer.is_none());
        let of = match ended {
            Some(index) => {
                self.answer(index, o);
                Some(Of::Exchange(index))
            }
            None => self.asked_or_observed(o),
        };
        match of {
            Some(of) => self.recent.keep(o, of),
            None if self.is_of_a_group(o) => self.other.multicast_responses += 1,
            None => self.other.stray += 1,
        }
    }

    /// Whether it answers a request to a group: by its token alone, since any member may
    /// (RFC 7252 §8.2).
    fn is_of_a_group(&self, o: &Message<'_>) -> bool {
        let asked = self.to_groups.get(&o.brief.token);
        let lifetime = self.options.non_lifetime();
        asked.is_some_and(|asked| o.complete.saturating_since(*asked) <= lifetime)
    }

    fn asked_or_observed(&mut self, o: &Message<'_>) -> Option<Of> {
        let brief = o.brief;
        let asked = self.by_token.get(&(o.src, brief.token)).copied();
        let registration = self.registration(o, asked);
        if let Some(index) = registration {
            self.notify(index, o);
            return Some(Of::Exchange(index));
        }
        let begun_before = || self.by_observer.contains_key(&(o.src, brief.token));
        let pending = asked.filter(|index| !(self.is_pending(*index) && begun_before()));
        if let Some(index) = pending {
            self.answer(index, o);
            return Some(Of::Exchange(index));
        }
        brief.observe?;
        Some(Of::Observation(self.begun_before(o)))
    }

    /// The registration that `o` notifies by, and does not answer. A node that moves goes on
    /// notifying from where nothing was sent to.
    fn registration(&self, o: &Message<'_>, asked: Option<usize>) -> Option<usize> {
        let all = self.registrations.get(&o.brief.token);
        let all = all.into_iter().flatten().rev().copied();
        let mut all = all.take(MOST_REGISTRATIONS);
        let answered = |index: usize| self.exchanges[index].answer.is_some();
        let sent_here = |index: usize| {
            let mut transmissions = self.exchanges[index].transmissions.iter();
            transmissions.any(|t| t.to == o.src)
        };
        if let Some(asked) = asked {
            let waits = !answered(asked) && !self.is_pending(asked);
            if waits || !(o.brief.observe.is_some() || self.requests[asked].registers()) {
                return None;
            }
            if answered(asked) && self.requests[asked].registers() {
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
            let last = self.exchanges[*index].notifications.last();
            let last = last.map_or(0, |last| last.message_id);
            o.brief.message_id.wrapping_sub(last)
        };
        all.filter(|index| !of_another(index)).min_by_key(step)
    }

    /// Whether a registration waits for its ACK, which answers it. Until then the former one with its
    /// token is notified by.
    fn is_pending(&self, index: usize) -> bool {
        let Exchange {
            answer,
            acknowledged,
            confirmable,
            ..
        } = &self.exchanges[index];
        *confirmable && answer.is_none() && acknowledged.is_none()
    }

    fn servers_of(&self, index: usize) -> impl Iterator<Item = SocketAddr> {
        let exchange = &self.exchanges[index];
        let asked = exchange.transmissions.first().map(|t| t.to);
        asked
            .into_iter()
            .chain(exchange.notifications.last().map(|n| n.from))
    }

    fn notify(&mut self, index: usize, o: &Message<'_>) {
        if self.exchanges[index].answer.is_none() {
            return self.answer(index, o);
        }
        self.other.notifications += 1;
        self.exchanges[index].notifications.push(notification(o));
    }

    /// The observation begun before the capture that `o` notifies by.
    fn begun_before(&mut self, o: &Message<'_>) -> usize {
        self.other.notifications += 1;
        let key = (o.src, o.brief.token);
        let new = self.observations.len();
        let index = *self.by_observer.entry(key).or_insert(new);
        if index == new {
            self.observations.push(Observation {
                client: self.client,
                token: o.brief.token,
                server: o.src,
                resource: None,
                notifications: Vec::with_capacity(1),
                duplicates: 0,
            });
        }
        self.observations[index].notifications.push(notification(o));
        index
    }

    fn end(mut self) -> Paired {
        let mut wanted: Vec<bool> = self.requests.iter().map(|r| !r.deregisters()).collect();
        for index in self.join_continued() {
            wanted[index] = false;
        }
        let requests = self.exchanges.iter().zip(&self.requests);
        for ((exchange, request), wanted) in requests.zip(&mut wanted) {
            let arrived = !exchange.confirmable || exchange.acknowledged.is_some();
            let silent = request.wants_none && arrived && exchange.reset.is_none();
            if *wanted && silent && exchange.answer.is_none() {
                *wanted = false;
                self.other.wants_none += 1;
            }
            let after_end = self.options.end.is_some_and(|end| exchange.sent_at() > end);
            if *wanted && after_end && exchange.answer.is_none() {
                *wanted = false;
                self.other.after_end += 1;
            }
        }
        let mut wanted = wanted.into_iter();
        self.exchanges.retain(|_| wanted.next().unwrap_or(true));
        Paired {
            exchanges: self.exchanges,
            observations: self.observations,
        }
    }
}

fn answer(o: &Message<'_>, request: &Brief) -> Answer {
    Answer {
        continues_at: continues_at(request, o.brief),
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

/// Where the block after the one in `response` to `request` begins; none after the last, nor if
/// the request only ends an observation (RFC 7641 §3.6): nobody wants that body.
fn continues_at(request: &Brief, response: &Brief) -> Option<usize> {
    if request.deregisters() {
        return None;
    }
    match response.blocks.as_ref().and_then(|blocks| blocks.block2) {
        Some(block) if block.more => Some(block.offset() + block.size.bytes()),
        None if response.code == Code::CONTINUE => {
            let blocks = request.blocks.as_ref()?;
            Some(blocks.block1?.offset() + blocks.payload)
        }
        _ => None,
    }
}

fn begin(client: SocketAddr, o: &Message<'_>, transmission: Transmission) -> Exchange {
    let brief = o.brief;
    let blocks = brief.blocks.as_ref();
    let offsets = blocks
        .into_iter()
        .flat_map(|blocks| [blocks.block1, blocks.block2]);
    Exchange {
        client,
        message_id: brief.message_id,
        token: brief.token,
        confirmable: brief.kind == Kind::Confirmable,
        method: brief.code,
        resource: brief.resource.clone().unwrap_or_default(),
        protocol: o.protocol.cloned(),
        transmissions: vec![transmission],
        acknowledged: None,
        reset: None,
        answer: None,
        duplicates: 0,
        offset: offsets.flatten().map(Block::offset).max().unwrap_or(0),
        request_tag: blocks.and_then(|blocks| blocks.request_tag),
        notifications: Vec::new(),
    }
}
