//! A home agent (RFC 6275 §10), and a mobility anchor point, which is one for regional care-of
//! addresses (RFC 5380 §6.2).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use machine::{Deadlines, Machine, earlier};
use units::{Sequence, SimTime};

use crate::cache::{Binding, Cache, Change, Removal};
use crate::codec::{
    BindingAcknowledgement, BindingUpdate, ErrorStatus, Lifetime, Message, MobilityOption, Status,
};
use crate::headers::{Headers, is_unicast_routable};
use crate::ignored::Ignored;
use crate::outbox::{Outbox, Transmit};

/// MAX_DELETE_BCE_TIMEOUT (RFC 6275 §12): how long an entry that was deregistered is known.
pub const MAX_DELETE_BCE_TIMEOUT: Duration = Duration::from_secs(10);

/// Duplicate Address Detection of a home address: RetransTimer of RFC 4861 §10, once.
pub const DAD: Duration = Duration::from_secs(1);

/// Whose addresses an [`Agent`] looks after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A home agent: home addresses.
    HomeAgent,
    /// A mobility anchor point: regional care-of addresses.
    MobilityAnchorPoint {
        /// "The list of valid on-link prefixes that mobile nodes can use to derive LCoAs" (RFC 5380
        /// §6.2); an empty one has them all.
        access_prefixes: Vec<Ipv6Net>,
    },
}

/// What an [`Agent`] is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Home agent or mobility anchor point.
    pub role: Role,
    /// Its address.
    pub address: Ipv6Addr,
    /// The prefix of the addresses that it looks after. It does not end.
    pub prefix: Ipv6Net,
    /// The address of that prefix that is its own. Who wants it gets 134 without a check (§10.3.1).
    pub own: Option<Ipv6Addr>,
    /// The home addresses that it looks after, if not all of the prefix. Others get 129.
    pub home_addresses: Option<BTreeSet<Ipv6Addr>>,
    /// The longest lifetime that it grants.
    pub max_lifetime: Duration,
    /// For how many home addresses it has room.
    pub max_bindings: usize,
    /// How long Duplicate Address Detection takes before a first registration is acknowledged
    /// (§10.3.1); zero: there is none, because nobody else can be on the home link.
    pub dad: Duration,
    /// When nodes shall register again, if earlier than they would.
    pub refresh_advice: Option<Duration>,
}

impl Config {
    /// All addresses of `prefix`, 256 of them at a time, for an hour each, after a second of Duplicate
    /// Address Detection.
    pub const fn new(role: Role, address: Ipv6Addr, prefix: Ipv6Net) -> Config {
        Config {
            role,
            address,
            prefix,
            own: None,
            home_addresses: None,
            max_lifetime: Duration::from_secs(3600),
            max_bindings: 256,
            dad: DAD,
            refresh_advice: None,
        }
    }
}

/// What an [`Agent`] tells its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Duplicate Address Detection of this address begins; [`Agent::address_in_use`] ends it.
    Check(Ipv6Addr),
    /// A binding came, changed or went.
    Changed(Change),
}

/// A first registration that waits for the end of Duplicate Address Detection.
#[derive(Clone, Debug)]
struct Pending {
    headers: Headers,
    care_of: Ipv6Addr,
    sequence: Sequence,
    lifetime: Lifetime,
}

/// A home agent or a mobility anchor point; a [`Machine`].
#[derive(Debug)]
pub struct Agent {
    config: Config,
    cache: Cache,
    pending: BTreeMap<Ipv6Addr, Pending>,
    checks: Deadlines<Ipv6Addr>,
    outbox: Outbox,
    events: VecDeque<Event>,
}

impl Agent {
    /// An agent that knows nobody.
    pub fn new(config: Config) -> Agent {
        Agent {
            cache: Cache::new(config.max_bindings, Duration::ZERO),
            config,
            pending: BTreeMap::new(),
            checks: Deadlines::new(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
        }
    }

    /// Where a home address is, if there is a binding.
    pub fn binding(&self, home_address: Ipv6Addr) -> Option<&Binding> {
        self.cache.binding(home_address)
    }

    /// All bindings, by home address.
    pub fn bindings(&self) -> impl Iterator<Item = (Ipv6Addr, &Binding)> {
        self.cache.bindings()
    }

    /// How many home addresses take room.
    pub fn entries(&self) -> usize {
        self.cache.len() + self.pending.len()
    }

    /// Somebody on the home link has a home address that is being checked: "the home agent MUST reject
    /// the complete Binding Update" (§10.3.1).
    pub fn address_in_use(&mut self, home_address: Ipv6Addr) {
        self.checks.clear(home_address);
        if let Some(pending) = self.pending.remove(&home_address) {
            let status = Status::DUPLICATE_ADDRESS;
            self.refuse(&pending.headers, status, pending.sequence);
        }
    }

    /// A packet with a Home Address option came for which there is no binding, and was dropped
    /// (§9.3.1).
    pub fn dropped_for_want_of_binding(&mut self, now: SimTime, packet: &Headers) {
        // It may have come while that packet was on its way.
        if self.cache.is_bound_at(packet.sender(), packet.source) {
            return;
        }
        let status = ErrorStatus::UNKNOWN_BINDING;
        self.outbox.error(now, packet, status);
    }

    fn update(
        &mut self,
        now: SimTime,
        headers: &Headers,
        update: &BindingUpdate,
    ) -> Result<(), Ignored> {
        let home = headers.sender();
        for address in [home, headers.source] {
            if !is_unicast_routable(address) {
                return Err(Ignored::Sender(address));
            }
        }
        if let Some(status) = self.kind_of_registration(home, update)? {
            self.refuse(headers, status, update.sequence);
            return Ok(());
        }
        let last = self.pending.get(&home).map(|pending| pending.sequence);
        match last.or_else(|| self.cache.last(home)) {
            Some(last) if !update.sequence.is_newer_than(last) => {
                self.refuse(headers, Status::SEQUENCE, last);
                return Ok(());
            }
            _ => {}
        }
        let care_of = update.alternate_care_of().unwrap_or(headers.source);
        if update.lifetime == Lifetime::ZERO || care_of == home {
            self.deregister(now, headers, update.sequence);
            return Ok(());
        }
        if headers.home_address.is_none() {
            return Err(Ignored::NoHomeAddress);
        }
        match self.objection(home, care_of) {
            Some(status) => self.refuse(headers, status, update.sequence),
            None => self.register(now, headers, care_of, update),
        }
        Ok(())
    }

    /// Whether an update is a registration of the kind that this agent is there for; the status that
    /// says that it is not, if it is to be said.
    fn kind_of_registration(
        &self,
        home: Ipv6Addr,
        update: &BindingUpdate,
    ) -> Result<Option<Status>, Ignored> {
        if update.proxy_registration {
            return Err(Ignored::Flags);
        }
        let ours = match self.config.role {
            Role::HomeAgent if update.home_registration => {
                if update.nonce_indices().is_some() {
                    return Err(Ignored::HomeRegistrationWithNonces);
                }
                true
            }
            Role::HomeAgent => false,
            Role::MobilityAnchorPoint { .. } if update.home_registration => {
                // "... or has not been configured to act as a home agent" (§10.3.1).
                return Ok(Some(Status::NO_HOME_REGISTRATION));
            }
            // "The M and A flags MUST be set" (RFC 5380 §4).
            Role::MobilityAnchorPoint { .. } => update.map_registration && update.acknowledge,
        };
        match (ours, self.cache.binding(home)) {
            (true, _) => Ok(None),
            // "... the home registration flag has a different value" (§9.5.1).
            (false, Some(_)) => Ok(Some(Status::TYPE_CHANGE)),
            (false, None) => Err(Ignored::Flags),
        }
    }

    /// The tests of §10.3.1, and RFC 5380 §6.2.
    fn objection(&self, home: Ipv6Addr, care_of: Ipv6Addr) -> Option<Status> {
        let config = &self.config;
        if !config.prefix.contains(&home) || home == config.address {
            return Some(Status::NOT_HOME_SUBNET);
        }
        if config.own == Some(home) {
            return Some(Status::DUPLICATE_ADDRESS);
        }
        let is_ours = (config.home_addresses.as_ref()).is_none_or(|all| all.contains(&home));
        let may_be_there = match &config.role {
            Role::HomeAgent => true,
            Role::MobilityAnchorPoint { access_prefixes } => {
                access_prefixes.is_empty() || access_prefixes.iter().any(|p| p.contains(&care_of))
            }
        };
        if !is_ours || !may_be_there {
            return Some(Status::PROHIBITED);
        }
        // An address of the home prefix leads back here: packets would go round in the agent.
        let leads_back = config.prefix.contains(&care_of) || care_of == config.address;
        if !is_unicast_routable(care_of) || leads_back {
            return Some(Status::INVALID_CARE_OF);
        }
        let known = self.pending.contains_key(&home) || self.cache.last(home).is_some();
        let full = self.entries() >= config.max_bindings;
        (full && !known).then_some(Status::INSUFFICIENT)
    }

    fn register(
        &mut self,
        now: SimTime,
        headers: &Headers,
        care_of: Ipv6Addr,
        update: &BindingUpdate,
    ) {
        let home = headers.sender();
        let pending = Pending {
            headers: *headers,
            care_of,
            sequence: update.sequence,
            lifetime: (update.lifetime).min(Lifetime::within(self.config.max_lifetime)),
        };
        // "Unless this home agent already has a binding for the given home address, the home agent
        // MUST perform Duplicate Address Detection" (§10.3.1).
        if self.cache.binding(home).is_some() || self.config.dad.is_zero() {
            self.accept(now, pending);
        } else if self.pending.insert(home, pending).is_none() {
            self.checks.set(home, now + self.config.dad);
            self.events.push_back(Event::Check(home));
        }
    }

    /// "Regardless of the setting of the Acknowledge (A) bit in the Binding Update, the home agent MUST
    /// return a Binding Acknowledgement" (§10.3.1).
    fn accept(&mut self, now: SimTime, pending: Pending) {
        let Pending {
            headers,
            care_of,
            sequence,
            lifetime,
        } = pending;
        let home = headers.sender();
        let change = (self.cache).bind(now, home, care_of, sequence, lifetime);
        self.events.push_back(Event::Changed(change));
        let advice = self.config.refresh_advice.map(Lifetime::within);
        // "The Refresh Interval MUST be set to ... a smaller time interval than the Lifetime" (§6.2.4).
        let advice = advice.filter(|advice| *advice < lifetime);
        let answer = BindingAcknowledgement {
            status: Status::ACCEPTED,
            sequence,
            lifetime,
            options: advice
                .map(MobilityOption::RefreshAdvice)
                .into_iter()
                .collect(),
            ..BindingAcknowledgement::default()
        };
        self.answer(&headers, answer);
    }

    /// §10.3.2. The entry is marked invalid and its number known for MAX_DELETE_BCE_TIMEOUT, so that a
    /// registration that was overtaken does not make it anew.
    fn deregister(&mut self, now: SimTime, headers: &Headers, sequence: Sequence) {
        let home = headers.sender();
        self.checks.clear(home);
        self.pending.remove(&home);
        let (keep, reason) = (MAX_DELETE_BCE_TIMEOUT, Removal::Requested);
        match (self.cache).unbind(now, home, Some(sequence), keep, reason) {
            None => self.refuse(headers, Status::NOT_HOME_AGENT, sequence),
            Some(change) => {
                self.events.push_back(Event::Changed(change));
                let answer = BindingAcknowledgement {
                    sequence,
                    ..BindingAcknowledgement::default()
                };
                self.answer(headers, answer);
            }
        }
    }

    fn refuse(&mut self, headers: &Headers, status: Status, sequence: Sequence) {
        let answer = BindingAcknowledgement {
            status,
            sequence,
            ..BindingAcknowledgement::default()
        };
        self.answer(headers, answer);
    }

    fn answer(&mut self, update: &Headers, answer: BindingAcknowledgement) {
        let headers = Headers::answering(update, self.config.address);
        self.outbox
            .push(headers, &Message::BindingAcknowledgement(answer));
    }
}

impl Machine for Agent {
    type From = Headers;
    type To = Headers;
    type Event = Event;
    type Ignored = Ignored;

    fn handle_datagram(
        &mut self,
        now: SimTime,
        headers: Headers,
        payload: &[u8],
    ) -> Result<(), Ignored> {
        if headers.receiver() != self.config.address {
            return Err(Ignored::Receiver(headers.receiver()));
        }
        match self.outbox.read(now, &headers, payload)? {
            Message::BindingUpdate(update) => self.update(now, &headers, &update),
            other => Err(Ignored::Role(other.kind())),
        }
    }

    fn handle_timeout(&mut self, now: SimTime) {
        while let Some(home) = self.checks.take_due(now) {
            if let Some(pending) = self.pending.remove(&home) {
                self.accept(now, pending);
            }
        }
        let ended = self.cache.expire(now).into_iter();
        self.events.extend(ended.map(Event::Changed));
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        earlier(self.checks.next(), self.cache.poll_timeout())
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
