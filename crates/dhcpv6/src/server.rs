//! The server: leases of addresses, a pool per link (RFC 8415 §18.3).

use std::collections::VecDeque;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use ipnet::Ipv6Net;
use machine::{Machine, Transmit};
use units::SimTime;

use crate::message::{INFINITY_S, IaAddress, IaNa, Message, MessageType, Status, StatusCode};
use crate::relay::{Direction, HOP_COUNT_LIMIT, RELAY_FORWARD, RelayMessage};
use crate::{CLIENT_PORT, ConfigError, Duid, SERVER_PORT};

mod event;
mod lease;

pub use event::{Event, Ignored};
use lease::{Holder, Leases};

/// Identity associations that one message may have; more would let a datagram empty a pool and
/// its answer outgrow one.
const MAX_ASSOCIATIONS: usize = 8;

/// Addresses that one client may have on one link, for associations of all its messages.
pub const MAX_LEASES: usize = MAX_ASSOCIATIONS;

/// The addresses leased on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The link's prefix; a relay agent's link-address inside it selects this pool.
    pub link: Ipv6Net,
    /// First address leased.
    pub first: Ipv6Addr,
    /// Last address leased.
    pub last: Ipv6Addr,
}

/// What a server is and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The server's identifier.
    pub duid: Duid,
    /// One pool per link.
    pub pools: Vec<Pool>,
    /// An address of the link on which unrelayed messages arrive; absent: those are ignored.
    pub direct_link: Option<Ipv6Addr>,
    /// Preferred lifetime, whole seconds; T1 and T2 are 0.5 and 0.8 of it (RFC 8415 §21.4).
    pub preferred: Duration,
    /// Valid lifetime, whole seconds. An address that a client declined stays out of use for
    /// as long.
    pub valid: Duration,
    /// Whether a Solicit with Rapid Commit is answered by a Reply.
    pub rapid_commit: bool,
    /// Preference of an Advertise. 255, the default, lets a client go on at once; with less it
    /// waits for other servers until SOL_TIMEOUT has passed (§18.2.1). 0 is not sent.
    pub preference: u8,
}

impl Config {
    /// A server for links behind relay agents: an hour preferred, two valid, rapid commit,
    /// preference 255.
    pub fn new(duid: Duid, pools: Vec<Pool>) -> Config {
        Config {
            duid,
            pools,
            direct_link: None,
            preferred: Duration::from_secs(3600),
            valid: Duration::from_secs(7200),
            rapid_commit: true,
            preference: 255,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |variable: String, value: String, expected| {
            Err(ConfigError {
                variable,
                value,
                expected,
            })
        };
        for (i, pool) in self.pools.iter().enumerate() {
            let Pool { link, first, last } = pool;
            if first > last || !link.contains(first) || !link.contains(last) {
                let expected = "addresses of its link, the first not after the last";
                let value = format!("{first} to {last} on {link}");
                return wrong(format!("pool {i}"), value, expected);
            }
            if let Some(j) = self.pools[..i].iter().position(|other| {
                other.link.contains(&link.trunc()) || link.contains(&other.link.trunc())
            }) {
                let expected = "links that do not overlap";
                let value = format!("{link}, and pool {j} is on {}", self.pools[j].link);
                return wrong(format!("link of pool {i}"), value, expected);
            }
        }
        for (variable, lifetime) in [
            ("preferred lifetime", self.preferred),
            ("valid lifetime", self.valid),
        ] {
            let whole = lifetime.subsec_nanos() == 0 && lifetime.as_secs() > 0;
            if !whole || lifetime.as_secs() > u64::from(INFINITY_S) {
                let expected = "whole seconds from 1 to 4294967295 (for ever)";
                return wrong(variable.to_owned(), format!("{lifetime:?}"), expected);
            }
        }
        if self.preferred > self.valid {
            let expected = "at most the valid lifetime";
            let value = format!("{:?}", self.preferred);
            return wrong("preferred lifetime".to_owned(), value, expected);
        }
        Ok(())
    }
}

/// A DHCPv6 server.
///
/// Input and output are those of [`Machine`]. Answers depend on the configuration and the datagrams
/// so far alone; nothing is drawn at random.
#[derive(Debug)]
pub struct Server {
    config: Config,
    leases: Leases,
    out: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

/// A client's message with the pool of its link.
struct Asked<'a> {
    now: SimTime,
    message: &'a Message,
    pool: usize,
}

impl Server {
    /// A server without leases.
    ///
    /// # Errors
    ///
    /// A pool that is not on its link, links that overlap, lifetimes that a message cannot
    /// carry.
    pub fn new(config: Config) -> Result<Server, ConfigError> {
        config.check()?;
        Ok(Server {
            config,
            leases: Leases::default(),
            out: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// The leases in the order of their addresses: address, client, end.
    pub fn leases(&self) -> impl Iterator<Item = (Ipv6Addr, &Duid, SimTime)> {
        let leases = self.leases.iter();
        leases.map(|(address, holder, end)| (address, &holder.duid, end))
    }

    /// The answer to a client's message from a link.
    fn answer(
        &mut self,
        now: SimTime,
        link: Option<Ipv6Addr>,
        message: &Message,
    ) -> Result<Message, Ignored> {
        self.validate(message)?;
        if message.kind == MessageType::InformationRequest {
            return Ok(self.reply(MessageType::Reply, message));
        }
        let link = link.ok_or(Ignored::NotRelayed)?;
        let pools = &self.config.pools;
        let pool = pools.iter().position(|pool| pool.link.contains(&link));
        let asked = Asked {
            now,
            message,
            pool: pool.ok_or(Ignored::UnknownLink(link))?,
        };
        match message.kind {
            MessageType::Solicit => Ok(self.solicit(&asked)),
            MessageType::Request => Ok(self.request(&asked)),
            MessageType::Renew | MessageType::Rebind => Ok(self.extend(&asked)),
            MessageType::Confirm => self.confirm(&asked),
            MessageType::Release | MessageType::Decline => Ok(self.give_up(&asked)),
            kind => Err(Ignored::Kind(kind)),
        }
    }

    /// Discards what §16.2 to §16.9 and §16.12 tell a server to discard.
    fn validate(&self, message: &Message) -> Result<(), Ignored> {
        use MessageType as M;
        let kind = message.kind;
        if message.ia_nas.len() > MAX_ASSOCIATIONS {
            return Err(Ignored::TooManyAssociations(message.ia_nas.len()));
        }
        let for_us = message.server_id.as_ref() == Some(&self.config.duid);
        match kind {
            M::InformationRequest if message.server_id.is_some() && !for_us => {
                Err(Ignored::OtherServer(kind))
            }
            M::InformationRequest if !message.ia_nas.is_empty() => Err(Ignored::Addresses(kind)),
            M::InformationRequest => Ok(()),
            M::Advertise | M::Reply | M::Reconfigure => Err(Ignored::Kind(kind)),
            _ if message.client_id.is_none() => Err(Ignored::NoClientId(kind)),
            M::Solicit | M::Confirm | M::Rebind if message.server_id.is_some() => {
                Err(Ignored::NamesServer(kind))
            }
            M::Request | M::Renew | M::Release | M::Decline if !for_us => {
                Err(Ignored::OtherServer(kind))
            }
            _ => Ok(()),
        }
    }

    /// An Advertise, or a Reply if both sides want Rapid Commit (§18.3.1).
    fn solicit(&mut self, asked: &Asked<'_>) -> Message {
        if self.config.rapid_commit && asked.message.rapid_commit {
            let mut reply = self.request(asked);
            reply.rapid_commit = true;
            return reply;
        }
        let mut advertise = self.reply(MessageType::Advertise, asked.message);
        advertise.preference = Some(self.config.preference).filter(|&p| p != 0);
        for ia in &asked.message.ia_nas {
            let holder = asked.holder(ia.iaid);
            let address = self.propose(asked, &holder);
            advertise.ia_nas.push(self.offer(ia.iaid, address));
        }
        advertise
    }

    /// A Reply that gives an address to each association (§18.3.2).
    fn request(&mut self, asked: &Asked<'_>) -> Message {
        let mut reply = self.reply(MessageType::Reply, asked.message);
        let pool = self.config.pools[asked.pool];
        for ia in &asked.message.ia_nas {
            // §18.3.2: for an address that is not appropriate for the link the server MUST
            // return the association with NotOnLink. In a Solicit it is a hint.
            let elsewhere = |a: &IaAddress| !pool.link.contains(&a.address);
            let is_request = asked.message.kind == MessageType::Request;
            if is_request && ia.addresses.iter().any(elsewhere) {
                let status = (StatusCode::NotOnLink, "address is not on this link");
                reply.ia_nas.push(refusal(ia.iaid, status));
                continue;
            }
            let holder = asked.holder(ia.iaid);
            let address = self.propose(asked, &holder);
            if let Some(address) = address {
                self.lease(asked.now, holder, address);
            }
            reply.ia_nas.push(self.offer(ia.iaid, address));
        }
        reply
    }

    /// An address of the link for `holder`, if the pool has one left.
    fn propose(&mut self, asked: &Asked<'_>, holder: &Holder) -> Option<Ipv6Addr> {
        let pool = self.config.pools[asked.pool];
        let has = self.leases.find(holder);
        if has.is_none() && self.leases.held_by_client(holder) >= MAX_LEASES {
            let duid = holder.duid.clone();
            self.events.push_back(Event::Refused { pool, duid });
            return None;
        }
        let address = self.leases.propose(holder, &pool);
        if address.is_none() {
            let duid = holder.duid.clone();
            self.events.push_back(Event::Exhausted { pool, duid });
        }
        address
    }

    /// A Reply that gives the associations more time (§18.3.4, §18.3.5).
    fn extend(&mut self, asked: &Asked<'_>) -> Message {
        let mut reply = self.reply(MessageType::Reply, asked.message);
        let link = self.config.pools[asked.pool].link;
        for ia in &asked.message.ia_nas {
            let holder = asked.holder(ia.iaid);
            let granted = self.leases.find(&holder);
            // §18.3.4, §18.3.5: an address that is not appropriate for the link goes back with
            // lifetimes of 0, and so does one that is not this client's.
            let others = ia.addresses.iter().filter(|a| Some(a.address) != granted);
            let others: Vec<IaAddress> = others.map(|a| taken_away(a.address)).collect();
            if let Some(address) = granted {
                self.lease(asked.now, holder, address);
                let mut ia = self.offer(ia.iaid, granted);
                ia.addresses.extend(others);
                reply.ia_nas.push(ia);
            } else if !others.is_empty() && others.iter().all(|a| !link.contains(&a.address)) {
                let mut ia = association(ia.iaid);
                ia.addresses = others;
                reply.ia_nas.push(ia);
            } else {
                // §18.3.4: no entry for the association. §18.3.5 would let a Rebind go
                // unanswered where another server may know better; here is none.
                let status = (StatusCode::NoBinding, "no lease for this association");
                reply.ia_nas.push(refusal(ia.iaid, status));
            }
        }
        reply
    }

    /// Whether the addresses are on the link that the client is on now (§18.3.3).
    fn confirm(&mut self, asked: &Asked<'_>) -> Result<Message, Ignored> {
        let link = self.config.pools[asked.pool].link;
        let ias = &asked.message.ia_nas;
        let mut addresses = ias.iter().flat_map(|ia| &ia.addresses).peekable();
        // Without an address there is nothing to confirm, and the server MUST NOT answer.
        if addresses.peek().is_none() {
            return Err(Ignored::Addresses(asked.message.kind));
        }
        let status = if addresses.all(|a| link.contains(&a.address)) {
            (StatusCode::Success, "all addresses are on this link")
        } else {
            (StatusCode::NotOnLink, "an address is not on this link")
        };
        let mut reply = self.reply(MessageType::Reply, asked.message);
        reply.status = Some(status_of(status));
        Ok(reply)
    }

    /// A Reply to a Release (§18.3.7) or a Decline (§18.3.8).
    fn give_up(&mut self, asked: &Asked<'_>) -> Message {
        let mut reply = self.reply(MessageType::Reply, asked.message);
        for ia in &asked.message.ia_nas {
            let holder = asked.holder(ia.iaid);
            let named = |address| ia.addresses.iter().any(|a| a.address == address);
            let duid = holder.duid.clone();
            if self
                .leases
                .find(&holder)
                .is_none_or(|address| !named(address))
            {
                let status = (StatusCode::NoBinding, "no lease for this address");
                reply.ia_nas.push(refusal(ia.iaid, status));
            } else if asked.message.kind == MessageType::Decline {
                let until = self.end(asked.now);
                let address = self.leases.decline(&holder, until);
                let event = address.map(|address| Event::Declined { address, duid });
                self.events.extend(event);
            } else {
                let address = self.leases.release(&holder);
                let event = address.map(|address| Event::Released { address, duid });
                self.events.extend(event);
            }
        }
        reply.status = Some(status_of((StatusCode::Success, "")));
        reply
    }

    /// Gives `address` to `holder` for a valid lifetime from now.
    fn lease(&mut self, now: SimTime, holder: Holder, address: Ipv6Addr) {
        let duid = holder.duid.clone();
        self.events.push_back(match self.leases.find(&holder) {
            None => Event::Leased { address, duid },
            Some(_) => Event::Renewed { address, duid },
        });
        let until = self.end(now);
        self.leases.give(holder, address, until);
    }

    /// When a valid lifetime that starts now ends.
    fn end(&self, now: SimTime) -> SimTime {
        match whole_seconds(self.config.valid) {
            INFINITY_S => SimTime::FAR_FUTURE,
            _ => now + self.config.valid,
        }
    }

    /// An association with `address`, or with NoAddrsAvail if there is none.
    fn offer(&self, iaid: u32, address: Option<Ipv6Addr>) -> IaNa {
        let Some(address) = address else {
            let status = (
                StatusCode::NoAddrsAvail,
                "every address of the pool is leased",
            );
            return refusal(iaid, status);
        };
        let preferred_s = whole_seconds(self.config.preferred);
        let part = |tenths: u64| match preferred_s {
            INFINITY_S => INFINITY_S,
            // Less than `preferred_s`; not 0, which would leave it to the client.
            finite => (u64::from(finite) * tenths / 10).max(1) as u32,
        };
        IaNa {
            iaid,
            t1_s: part(5),
            t2_s: part(8),
            addresses: vec![IaAddress {
                address,
                preferred_s,
                valid_s: whole_seconds(self.config.valid),
                status: None,
            }],
            status: None,
        }
    }

    /// An answer to `message` without its substance (§18.3.10).
    fn reply(&self, kind: MessageType, message: &Message) -> Message {
        let mut reply = Message::new(kind, message.xid);
        reply.server_id = Some(self.config.duid.clone());
        reply.client_id.clone_from(&message.client_id);
        reply
    }
}

impl Machine for Server {
    type From = SocketAddrV6;
    type To = SocketAddrV6;
    type Event = Event;
    type Ignored = Ignored;

    /// A datagram arrived from `from` at [`SERVER_PORT`]. Its one answer goes to the client's port at
    /// the address that it came from, or to the relay agent's.
    fn handle_datagram(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        payload: &[u8],
    ) -> Result<(), Ignored> {
        self.handle_timeout(now);
        let relays = unwrap_relays(payload)?;
        let message = relays.last().map_or(payload, |inner| &inner.message);
        let link = link_address(&relays).or(self.config.direct_link);
        let reply = self.answer(now, link, &Message::decode(message)?)?;
        let mut payload = reply.encode();
        // §19.3: a Relay-reply for each Relay-forward, innermost first, with its hop count,
        // addresses and Interface-Id.
        for relay in relays.iter().rev() {
            payload = RelayMessage {
                direction: Direction::Reply,
                message: payload,
                ..relay.clone()
            }
            .encode()?;
        }
        let port = if relays.is_empty() {
            CLIENT_PORT
        } else {
            SERVER_PORT
        };
        let to = SocketAddrV6::new(*from.ip(), port, 0, from.scope_id());
        self.out.push_back(Transmit { to, payload });
        Ok(())
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        self.leases.next_end()
    }

    fn handle_timeout(&mut self, now: SimTime) {
        while let Some((address, holder)) = self.leases.expire(now) {
            if let Some(Holder { duid, .. }) = holder {
                self.events.push_back(Event::Expired { address, duid });
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }
}

impl Asked<'_> {
    /// What an address for the client's association is given to.
    fn holder(&self, iaid: u32) -> Holder {
        let duid = self.message.client_id.clone();
        Holder {
            duid: duid.expect("validated: every message with associations names its client"),
            iaid,
            pool: self.pool,
        }
    }
}

/// The Relay-forward messages around a client's, outermost first.
fn unwrap_relays(payload: &[u8]) -> Result<Vec<RelayMessage>, Ignored> {
    let mut relays: Vec<RelayMessage> = Vec::new();
    loop {
        let message = relays.last().map_or(payload, |inner| &inner.message);
        if message.first() != Some(&RELAY_FORWARD) {
            return Ok(relays);
        }
        // A hop count goes from 0 to HOP_COUNT_LIMIT.
        if relays.len() > usize::from(HOP_COUNT_LIMIT) {
            return Err(Ignored::TooManyHops);
        }
        let inner = RelayMessage::decode(message)?;
        relays.push(inner);
    }
}

/// The link-address of the relay agent nearest to the client that gives one (§13.1).
fn link_address(relays: &[RelayMessage]) -> Option<Ipv6Addr> {
    let mut addresses = relays.iter().rev().map(|relay| relay.link_address);
    addresses.find(|address| !address.is_unspecified())
}

fn association(iaid: u32) -> IaNa {
    IaNa {
        iaid,
        t1_s: 0,
        t2_s: 0,
        addresses: Vec::new(),
        status: None,
    }
}

fn refusal(iaid: u32, status: (StatusCode, &str)) -> IaNa {
    IaNa {
        status: Some(status_of(status)),
        ..association(iaid)
    }
}

fn status_of((code, message): (StatusCode, &str)) -> Status {
    Status {
        code,
        message: message.to_owned(),
    }
}

fn taken_away(address: Ipv6Addr) -> IaAddress {
    IaAddress {
        address,
        preferred_s: 0,
        valid_s: 0,
        status: None,
    }
}

/// A lifetime that [`Config::check`] let pass.
fn whole_seconds(lifetime: Duration) -> u32 {
    u32::try_from(lifetime.as_secs()).unwrap_or(INFINITY_S)
}
