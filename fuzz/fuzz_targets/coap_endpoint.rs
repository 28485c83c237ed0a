//! `coap::Endpoint`: any sequence of datagrams, commands and time steps.
//!
//! Every request ends exactly once; what is sent decodes, and fits a datagram; no acknowledgement
//! or Reset is sent that nobody asked for; every confirmable request gets one; a request is told
//! once however often it arrives; nothing that was due stays due.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV6;
use std::time::Duration;

use coap::message::option;
use coap::params::CongestionControl;
use coap::wire::{Message, Token};
use coap::{
    BlockSize, Code, Endpoint, Event, ExchangeId, Kind, NoResponse, Params, Reliability, Request,
    RequestId, Response, TokenLength, Tokens,
};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use machine::Machine;
use units::{Seed, SimTime};
use wpanlab_fuzz::rfc7252::Plain;
use wpanlab_fuzz::script::{self, World as _};

/// What a UDP datagram over IPv6 can carry without a jumbogram: 65535 less the UDP header.
const LONGEST: usize = 65_527;

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    // An end of the bytes is the end of the script.
    if let Ok(mut world) = World::new(&mut u) {
        while !u.is_empty() && world.step(&mut u).is_ok() {}
        world.end();
    }
});

/// A message of a peer, as the endpoint knows it again (§4.5).
type Known = (SocketAddrV6, u16);

struct World {
    endpoint: Endpoint,
    params: Params,
    now: SimTime,
    /// Requests of ours that have not ended; whether they are observations.
    live: BTreeMap<RequestId, bool>,
    ended: Vec<RequestId>,
    /// Requests of peers that the owner has not answered.
    asked: Vec<ExchangeId>,
    /// Message IDs and tokens that the endpoint has used.
    heard: Vec<(u16, Token)>,
    /// What was delivered and could be replied to, and how often.
    delivered: BTreeMap<Known, u32>,
    replies: BTreeMap<Known, u32>,
    /// When confirmable requests came that have no reply yet. Another message under the same
    /// Message ID takes the place of the first, whose peer has restarted.
    unreplied: BTreeMap<Known, SimTime>,
    /// A confirmable message under one of these can be taken for a copy of it (§4.5).
    once_non_confirmable: BTreeSet<Known>,
    /// The last request told under a Message ID.
    told: BTreeMap<Known, (Token, SimTime)>,
    delivering: Option<Message>,
    last: Option<(SocketAddrV6, Vec<u8>)>,
}

fn peer(u: &mut Unstructured) -> Result<SocketAddrV6> {
    let number = u.int_in_range(1..=4u16)?;
    let link_local = u.ratio(1, 8)?;
    let prefix = if link_local { 0xfe80 } else { 0xfd00 };
    let ip = [prefix, 0, 0, 0, 0, 0, 0, number].into();
    let scope = if link_local {
        u.int_in_range(0..=1)?
    } else {
        0
    };
    Ok(SocketAddrV6::new(ip, 5683, 0, scope))
}

fn params(u: &mut Unstructured) -> Result<Params> {
    let adaptive = u.arbitrary()?;
    Ok(Params {
        nstart: u.int_in_range(1..=3)?,
        max_retransmit: u.int_in_range(0..=4)?,
        congestion_control: match adaptive {
            true => CongestionControl::Cocoa,
            false => CongestionControl::Fixed,
        },
        block_size: BlockSize::new(16 << u.int_in_range(0..=6usize)?).unwrap_or(BlockSize::MAX),
        confirm_notifications: u.int_in_range(1..=3)?,
        max_body: u.int_in_range(0..=4096)?,
        tokens: match u.arbitrary()? {
            true => Tokens::Counted,
            false => Tokens::Random,
        },
        token_length: TokenLength::new(u.int_in_range(0..=9)?),
        block_etags: u.arbitrary()?,
        ..Params::default()
    })
}

impl World {
    fn new(u: &mut Unstructured) -> Result<World> {
        let params = params(u)?;
        Ok(World {
            endpoint: Endpoint::new(params.clone(), &[2049], Seed(1).rng(&["fuzz"])),
            params,
            now: SimTime::ZERO + Duration::from_secs(1_000_000),
            live: BTreeMap::new(),
            ended: Vec::new(),
            asked: Vec::new(),
            heard: Vec::new(),
            delivered: BTreeMap::new(),
            replies: BTreeMap::new(),
            unreplied: BTreeMap::new(),
            once_non_confirmable: BTreeSet::new(),
            told: BTreeMap::new(),
            delivering: None,
            last: None,
        })
    }

    fn step(&mut self, u: &mut Unstructured) -> Result<()> {
        match u.int_in_range(0..=19u8)? {
            0..=7 => {
                let message = script::message(u, &self.heard)?;
                self.deliver(peer(u)?, message.encode());
            }
            8 => {
                let length = u.int_in_range(0..=40usize)?;
                let bytes = u.bytes(length)?.to_vec();
                self.deliver(peer(u)?, bytes);
            }
            9 => {
                if let Some((from, datagram)) = self.last.clone() {
                    self.deliver(from, datagram);
                }
            }
            10..=12 => self.pass(script::step(u)?),
            13 => self.ask(u)?,
            14 => self.interfere(u)?,
            15..=17 => self.respond(u)?,
            _ => self.observers(u)?,
        }
        self.drain();
        Ok(())
    }

    fn deliver(&mut self, from: SocketAddrV6, datagram: Vec<u8>) {
        let message = Message::decode(&datagram).ok();
        if let Some((kind, message_id)) = coap::wire::header(&datagram) {
            let known = (from, message_id);
            *self.delivered.entry(known).or_default() += 1;
            // A response may be ignored: it may be another's that is on its way here.
            let response = message.as_ref().is_some_and(|m| m.code.is_response());
            if matches!(kind, Kind::Confirmable | Kind::NonConfirmable) {
                self.unreplied.remove(&known);
                self.told.retain(|told, (token, _)| {
                    *told != known || message.as_ref().is_some_and(|m| m.token == *token)
                });
            }
            if kind == Kind::NonConfirmable {
                self.once_non_confirmable.insert(known);
            }
            let copy = self.once_non_confirmable.contains(&known);
            if kind == Kind::Confirmable && !response && !copy {
                self.unreplied.insert(known, self.now);
            }
        }
        self.delivering = message;
        self.endpoint.handle_datagram(self.now, from, &datagram);
        self.drain();
        self.delivering = None;
        self.last = Some((from, datagram));
    }

    fn ask(&mut self, u: &mut Unstructured) -> Result<()> {
        let to = peer(u)?;
        let reliability = match u.arbitrary()? {
            true => Reliability::Confirmable,
            false => Reliability::NonConfirmable,
        };
        let methods = [Code::GET, Code::PUT, Code::FETCH, Code::PATCH];
        let mut request = Request::new(*u.choose(&methods)?, "/a");
        let how = u.int_in_range(0..=4u8)?;
        if request.method != Code::GET {
            request.payload = script::payload(u)?;
        }
        if u.ratio(1, 2)? {
            NoResponse(*u.choose(&[2, 8, 26])?).push(&mut request.options);
        }
        let id = match how {
            0 => self.endpoint.ping(self.now, to),
            1 | 2 => self.endpoint.observe(self.now, to, reliability, request),
            _ => self.endpoint.request(self.now, to, reliability, request),
        };
        let known = self.live.insert(id, matches!(how, 1 | 2));
        assert!(known.is_none() && !self.ended.contains(&id));
        Ok(())
    }

    fn interfere(&mut self, u: &mut Unstructured) -> Result<()> {
        let ids: Vec<RequestId> = self.live.keys().chain(&self.ended).copied().collect();
        match u.int_in_range(0..=6u8)? {
            0 if !ids.is_empty() => self.endpoint.cancel(*u.choose(&ids)?),
            1 if !ids.is_empty() => self.endpoint.stop_observing(self.now, *u.choose(&ids)?),
            2 => {
                let (from, to) = (peer(u)?, peer(u)?);
                self.endpoint.retarget(self.now, from, to);
            }
            3 => self.endpoint.keep_back(peer(u)?),
            4 if !ids.is_empty() => self.endpoint.observe_again(self.now, *u.choose(&ids)?),
            5 => {
                let size = BlockSize::new(16 << u.int_in_range(0..=7usize)?);
                self.endpoint.set_block_size(peer(u)?, size);
            }
            _ => self.endpoint.release(self.now, peer(u)?),
        }
        Ok(())
    }

    fn respond(&mut self, u: &mut Unstructured) -> Result<()> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let exchange = self.asked.swap_remove(u.choose_index(self.asked.len())?);
        let response = state(u)?;
        match u.arbitrary()? {
            true => self.endpoint.respond(self.now, exchange, response),
            false => self.endpoint.respond_observed(self.now, exchange, response),
        }
        Ok(())
    }

    fn observers(&mut self, u: &mut Unstructured) -> Result<()> {
        match u.int_in_range(0..=4u8)? {
            0 | 1 => self
                .endpoint
                .notify(self.now, u.choose(&["/", "/x"])?, &state(u)?),
            2 => self.endpoint.hold_notifications(),
            3 => {
                let ids: Vec<_> = self.endpoint.observations().map(|o| o.id).collect();
                if !ids.is_empty() {
                    let (id, state) = (*u.choose(&ids)?, state(u)?);
                    self.endpoint.notify_one(self.now, id, &state);
                }
            }
            _ => self.endpoint.release_notifications(self.now),
        }
        Ok(())
    }

    fn drain(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            self.event(event);
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.sent(transmit.to, &transmit.payload);
        }
        // A notification in blocks has a request of its own for the others.
        let observed = self.live.values().filter(|observed| **observed).count();
        let outstanding = self.endpoint.outstanding();
        assert!((self.live.len()..=self.live.len() + observed).contains(&outstanding));
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Response { id, .. }
            | Event::Failed { id, .. }
            | Event::Sent { id, .. }
            | Event::Pong { id } => {
                assert!(self.live.remove(&id).is_some(), "{id:?} ended twice");
                self.ended.push(id);
            }
            Event::Notification { id, .. } | Event::NotificationLost { id, .. } => {
                assert_eq!(self.live.get(&id), Some(&true));
            }
            Event::Request {
                exchange,
                from,
                message_id,
                ..
            } => {
                self.asked.push(exchange);
                self.once((from, message_id));
            }
            Event::Block { from, message_id } => self.once((from, message_id)),
        }
    }

    /// A request is told once within the shorter of the two lifetimes.
    fn once(&mut self, known: Known) {
        let Some(message) = &self.delivering else {
            panic!("a request out of the blue");
        };
        let told = self.told.insert(known, (message.token, self.now));
        let forgotten = told.is_none_or(|(_, at)| at + self.params.non_lifetime() <= self.now);
        assert!(forgotten, "{known:?} was told twice");
    }

    fn sent(&mut self, to: SocketAddrV6, datagram: &[u8]) {
        assert!(datagram.len() <= LONGEST, "{} bytes", datagram.len());
        let message = Message::decode(datagram).expect("what is sent decodes");
        assert_eq!(Plain::read(datagram).as_ref(), Some(&Plain::from(&message)));
        if matches!(message.kind, Kind::Acknowledgement | Kind::Reset) {
            let known = (to, message.message_id);
            self.unreplied.remove(&known);
            let replies = self.replies.entry(known).or_default();
            *replies += 1;
            let delivered = self.delivered.get(&known).copied().unwrap_or(0);
            assert!(*replies <= delivered, "a reply to nothing: {message:?}");
        } else if !self.heard.contains(&(message.message_id, message.token)) {
            self.heard.push((message.message_id, message.token));
        }
        let block = [option::BLOCK1, option::BLOCK2]
            .iter()
            .any(|number| message.options.get(*number).is_some());
        if block && message.code.is_success() {
            assert!(message.payload.len() <= self.params.block_size.bytes());
        }
    }

    /// Everybody is silent from now on: everything comes to an end by itself, but observations,
    /// which a Max-Age can keep for centuries.
    fn end(mut self) {
        for number in 1..=4 {
            for scope in 0..=1 {
                for prefix in [0xfd00, 0xfe80] {
                    let ip = [prefix, 0, 0, 0, 0, 0, 0, number].into();
                    let address = SocketAddrV6::new(ip, 5683, 0, scope);
                    self.endpoint.release(self.now, address);
                }
            }
        }
        self.drain();
        let observing = self.live.iter().filter(|(_, observing)| **observing);
        for id in observing.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.endpoint.cancel(id);
            self.drain();
        }
        self.fall_silent(|world| world.endpoint.poll_timeout().is_none());
        assert!(self.live.is_empty(), "{:?} never ended", self.live);
        assert_eq!(self.endpoint.outstanding(), 0);
    }
}

impl script::World for World {
    type Machine = Endpoint;

    fn machine(&mut self) -> (&mut Endpoint, &mut SimTime) {
        (&mut self.endpoint, &mut self.now)
    }

    fn settle(&mut self) {
        self.drain();
        let delay = self.params.acknowledgement_delay();
        for (known, since) in &self.unreplied {
            assert!(*since + delay > self.now, "{known:?} got no reply");
        }
    }
}

fn state(u: &mut Unstructured) -> Result<Response> {
    let code = *u.choose(&[Code::CONTENT, Code::CHANGED, Code::NOT_FOUND])?;
    Ok(Response {
        payload: script::payload(u)?,
        ..Response::new(code)
    })
}
