//! A local mobility anchor (RFC 5213 §5): gives nodes their prefixes, and knows at which gateway each is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use machine::{Deadlines, Machine, earlier};
use units::{Sequence, SimTime};

use super::session::{About, Request, Session, Sessions, gateway_of};
use crate::codec::{
    AccessTechnology, BindingAcknowledgement, BindingUpdate, HandoffIndicator, Lifetime, Message,
    MobilityOption, NodeId, ProxyOptions, Status, Timestamp,
};
use crate::headers::{Headers, is_unicast_routable};
use crate::ignored::Ignored;
use crate::outbox::{Outbox, Transmit};

/// MinDelayBeforeBCEDelete (RFC 5213 §9.1).
pub const MIN_DELAY_BEFORE_DELETE: Duration = Duration::from_secs(10);
/// MaxDelayBeforeNewBCEAssign (RFC 5213 §9.1).
pub const MAX_DELAY_BEFORE_NEW: Duration = Duration::from_millis(1500);
/// TimestampValidityWindow (RFC 5213 §9.1).
pub const TIMESTAMP_VALIDITY: Duration = Duration::from_millis(300);

/// ALL_ZERO.
const ANY_PREFIX: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0);
/// Bits of a home network prefix that is given out.
const PREFIX_BITS: u8 = 64;

/// What an anchor knows of a node beforehand (RFC 5213 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether it is served at all; otherwise 152.
    pub enabled: bool,
    /// Its prefix, if it has one of its own; otherwise it gets one of the pool.
    pub prefix: Option<Ipv6Net>,
}

/// What an [`Anchor`] is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its address (LMAA).
    pub address: Ipv6Addr,
    /// The prefix out of which it gives prefixes of 64 bits; at most 64 bits itself.
    pub pool: Ipv6Net,
    /// The nodes that it serves; none: all, out of the pool. Others get 153.
    pub nodes: Option<BTreeMap<NodeId, Policy>>,
    /// The gateways that it serves; none: all. Others get 154.
    pub gateways: Option<BTreeSet<Ipv6Addr>>,
    /// The longest lifetime that it grants.
    pub max_lifetime: Duration,
    /// How many sessions there may be.
    pub max_sessions: usize,
    /// The link-local address that it gives to gateways that ask for one.
    pub gateway_link_local: Ipv6Addr,
    /// How far a timestamp may be from its own time.
    pub timestamp_validity: Duration,
    /// How long a session that was deregistered waits for its node.
    pub min_delay_before_delete: Duration,
    /// How long an update waits for the deregistration of the session that it may be about; zero: not
    /// at all.
    pub max_delay_before_new: Duration,
}

impl Config {
    /// All nodes of all gateways, 256 sessions of an hour, the RFC's variables, fe80::1 at every gateway.
    pub const fn new(address: Ipv6Addr, pool: Ipv6Net) -> Config {
        Config {
            address,
            pool,
            nodes: None,
            gateways: None,
            max_lifetime: Duration::from_secs(3600),
            max_sessions: 256,
            gateway_link_local: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
            timestamp_validity: TIMESTAMP_VALIDITY,
            min_delay_before_delete: MIN_DELAY_BEFORE_DELETE,
            max_delay_before_new: MAX_DELAY_BEFORE_NEW,
        }
    }
}

/// What an [`Anchor`] tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What goes to a prefix goes to this gateway now (§5.6).
    Bound {
        /// Whose it is.
        node: NodeId,
        /// The home network prefix.
        prefix: Ipv6Net,
        /// The gateway.
        gateway: Ipv6Addr,
        /// The gateway before, if there was a session.
        previous: Option<Ipv6Addr>,
        /// For how long.
        lifetime: Lifetime,
    },
    /// The node has left: "during this wait period, the local mobility anchor SHOULD drop the mobile
    /// node's data traffic" (§5.3.5).
    Left {
        /// Whose prefix it is.
        node: NodeId,
        /// The home network prefix.
        prefix: Ipv6Net,
    },
    /// The session is over.
    Removed {
        /// Whose prefix it was.
        node: NodeId,
        /// The home network prefix.
        prefix: Ipv6Net,
        /// The gateway.
        gateway: Ipv6Addr,
    },
}

/// A local mobility anchor; a [`Machine`].
#[derive(Debug)]
pub struct Anchor {
    config: Config,
    sessions: Sessions,
    ends: Deadlines<Ipv6Net>,
    /// Updates that wait for the session of that prefix to be deregistered, one for each.
    waiting: BTreeMap<Ipv6Net, (Headers, BindingUpdate)>,
    waits: Deadlines<Ipv6Net>,
    outbox: Outbox,
    events: VecDeque<Event>,
}

impl Anchor {
    /// An anchor without sessions.
    pub fn new(config: Config) -> Anchor {
        Anchor {
            config,
            sessions: Sessions::new(),
            ends: Deadlines::new(),
            waiting: BTreeMap::new(),
            waits: Deadlines::new(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
        }
    }

    /// All sessions, by home network prefix.
    pub fn sessions(&self) -> impl Iterator<Item = (Ipv6Net, &Session)> {
        let all = self.sessions.iter();
        all.map(|(prefix, session)| (*prefix, session))
    }

    /// Processing Proxy Binding Updates (§5.3.1), in the order of its rules.
    fn update(
        &mut self,
        now: SimTime,
        headers: &Headers,
        update: &BindingUpdate,
    ) -> Result<(), Ignored> {
        if !is_unicast_routable(headers.source) {
            return Err(Ignored::Sender(headers.source));
        }
        if !update.proxy_registration {
            return Err(Ignored::Flags);
        }
        match self.checked(now, headers, update) {
            Err(status) => {
                self.refuse(now, headers, update, status);
                Ok(())
            }
            Ok(request) => {
                let about = request.about(&self.sessions);
                self.apply(now, headers, &request, about)
            }
        }
    }

    /// Rules 4 to 12.
    fn checked<'a>(
        &self,
        now: SimTime,
        headers: &Headers,
        update: &'a BindingUpdate,
    ) -> Result<Request<'a>, Status> {
        let node = update.node_id().filter(|id| !id.0.is_empty());
        let node = node.ok_or(Status::NO_NODE_ID)?;
        // Who speaks has to be one, and where the tunnel is to lead, too.
        let gateway = gateway_of(headers, update);
        let gateways = self.config.gateways.as_ref();
        let is_one = |address| gateways.is_none_or(|all| all.contains(address));
        if !is_one(&headers.source) || !is_one(&gateway) {
            return Err(Status::GATEWAY_NOT_AUTHORIZED);
        }
        if !self.policy(node).ok_or(Status::NOT_ANCHOR)?.enabled {
            return Err(Status::PROXY_NOT_ENABLED);
        }
        if let Some(timestamp) = update.time_sent() {
            self.check_time(now, node, timestamp)?;
        }
        Request::of(headers, update)
    }

    fn policy(&self, node: &NodeId) -> Option<Policy> {
        let anybody = Policy {
            enabled: true,
            prefix: None,
        };
        match &self.config.nodes {
            None => Some(anybody),
            Some(nodes) => nodes.get(node).copied(),
        }
    }

    /// "The timestamp MUST be greater than all previously accepted timestamps in the Proxy Binding
    /// Update messages sent for that mobile node", and "close enough (within TimestampValidityWindow)"
    /// (§5.5). What is older than the last is no matter of clocks.
    fn check_time(&self, now: SimTime, node: &NodeId, timestamp: Timestamp) -> Result<(), Status> {
        let of_node = self.sessions.values().filter(|s| s.node == *node);
        let last = of_node.filter_map(|session| session.timestamp).max();
        if last.is_some_and(|last| timestamp <= last) {
            return Err(Status::TIMESTAMP_LOWER);
        }
        let apart = Timestamp::of(now).distance(timestamp);
        match apart <= self.config.timestamp_validity {
            true => Ok(()),
            false => Err(Status::TIMESTAMP_MISMATCH),
        }
    }

    /// Rule 13.
    fn apply(
        &mut self,
        now: SimTime,
        headers: &Headers,
        request: &Request<'_>,
        about: About,
    ) -> Result<(), Ignored> {
        let update = request.update;
        if update.lifetime == Lifetime::ZERO {
            return match about {
                About::Session(prefix) => self.deregister(now, headers, request, prefix),
                // Whose deregistration another update waits for.
                About::Wait(_) | About::New => Err(Ignored::NoSession),
                About::Refused(status) => {
                    self.refuse(now, headers, update, status);
                    Ok(())
                }
            };
        }
        match about {
            About::Session(prefix) => return self.extend(now, headers, request, prefix),
            About::Wait(prefix) if !self.config.max_delay_before_new.is_zero() => {
                let before = self.waiting.insert(prefix, (*headers, update.clone()));
                if before.is_none() {
                    self.waits
                        .set(prefix, now + self.config.max_delay_before_new);
                }
            }
            About::New | About::Wait(_) => self.create(now, headers, request),
            About::Refused(status) => self.refuse(now, headers, update, status),
        }
        Ok(())
    }

    /// Initial Binding Registration (§5.3.2).
    fn create(&mut self, now: SimTime, headers: &Headers, request: &Request<'_>) {
        match self.prefix_for(request) {
            Ok(prefix) => self.bind(now, headers, request, prefix),
            Err(status) => self.refuse(now, headers, request.update, status),
        }
    }

    /// The prefix of a new session: "MUST ensure each one of those prefixes is owned by the local
    /// mobility anchor, and further that the mobile node is authorized to use these prefixes". Ours: one
    /// for a session.
    fn prefix_for(&self, request: &Request<'_>) -> Result<Ipv6Net, Status> {
        if self.sessions.len() >= self.config.max_sessions {
            return Err(Status::INSUFFICIENT);
        }
        let own = self.policy(request.node).and_then(|policy| policy.prefix);
        let is_free = |prefix: &Ipv6Net| !self.sessions.contains_key(prefix);
        match request.prefixes()[..] {
            [] => match own {
                Some(own) => Some(own).filter(is_free).ok_or(Status::INSUFFICIENT),
                None => self.free_prefix().ok_or(Status::INSUFFICIENT),
            },
            [wanted] => {
                let is_of_pool = wanted.prefix_len() == PREFIX_BITS
                    && self.config.pool.contains(&wanted)
                    && !self.is_reserved(wanted);
                let may = own.map_or(is_of_pool, |own| own == wanted);
                let granted = (may && is_free(&wanted)).then_some(wanted);
                granted.ok_or(Status::PREFIX_NOT_AUTHORIZED)
            }
            _ => Err(Status::PREFIX_NOT_AUTHORIZED),
        }
    }

    /// The first prefix of the pool that nobody has. At most as many are taken as there are sessions and
    /// policies.
    fn free_prefix(&self) -> Option<Ipv6Net> {
        let pool = self.config.pool;
        let bits = PREFIX_BITS.checked_sub(pool.prefix_len())?;
        let first = pool.network().to_bits() >> 64;
        let count = 1_u128.checked_shl(bits.into())?;
        let mut all = (0..count).filter_map(|number| {
            let network = Ipv6Addr::from_bits((first + number) << 64);
            Ipv6Net::new(network, PREFIX_BITS).ok()
        });
        all.find(|prefix| !self.sessions.contains_key(prefix) && !self.is_reserved(*prefix))
    }

    /// Whether a prefix is a certain node's.
    fn is_reserved(&self, prefix: Ipv6Net) -> bool {
        let nodes = self.config.nodes.iter().flat_map(BTreeMap::values);
        nodes
            .filter_map(|policy| policy.prefix)
            .any(|own| own == prefix)
    }

    /// Binding Lifetime Extension (§5.3.3, §5.3.4). Ours: "handoff state not changed" is what the gateway
    /// says that has the node. One that has not noticed that it lost the node does not get it back.
    fn extend(
        &mut self,
        now: SimTime,
        headers: &Headers,
        request: &Request<'_>,
        prefix: Ipv6Net,
    ) -> Result<(), Ignored> {
        let has_it = |session: &Session| session.gateway == request.gateway;
        let stays = request.handoff == HandoffIndicator::UNCHANGED;
        if stays && !self.sessions.get(&prefix).is_some_and(has_it) {
            return Err(Ignored::NoSession);
        }
        match self.outdated(request, prefix) {
            Some(last) => self.refuse_sequence(now, headers, request.update, last),
            None => self.bind(now, headers, request, prefix),
        }
        Ok(())
    }

    /// The last number of a session, if an update without a timestamp is not newer: "it MUST process the
    /// sequence number field as specified in" RFC 3775 (§5.5).
    fn outdated(&self, request: &Request<'_>, prefix: Ipv6Net) -> Option<Sequence> {
        let session = self.sessions.get(&prefix)?;
        let counts = request.update.time_sent().is_none();
        let is_newer = request.update.sequence.is_newer_than(session.sequence);
        (counts && !is_newer).then_some(session.sequence)
    }

    fn bind(&mut self, now: SimTime, headers: &Headers, request: &Request<'_>, prefix: Ipv6Net) {
        let update = request.update;
        let lifetime = (update.lifetime).min(Lifetime::within(self.config.max_lifetime));
        let before = self.sessions.get(&prefix);
        let link_local = match update.link_local() {
            Some(address) if !address.is_unspecified() => Some(address),
            // "The link-local address from the Binding Cache entry MUST be copied", or generated
            // (§5.3.6).
            Some(_) => (before.and_then(|session| session.link_local))
                .or(Some(self.config.gateway_link_local)),
            None => before.and_then(|session| session.link_local),
        };
        let session = Session {
            node: request.node.clone(),
            gateway: request.gateway,
            access_technology: request.access_technology,
            link_layer: update.link_layer_id().cloned(),
            link_local,
            ends: now + lifetime.duration(),
            is_leaving: false,
            sequence: update.sequence,
            timestamp: (update.time_sent()).max(before.and_then(|session| session.timestamp)),
        };
        self.events.push_back(Event::Bound {
            node: session.node.clone(),
            prefix,
            gateway: session.gateway,
            previous: before.map(|session| session.gateway),
            lifetime,
        });
        self.ends.set(prefix, session.ends);
        self.sessions.insert(prefix, session);
        let answer = BindingAcknowledgement {
            lifetime,
            ..self.answer_to(
                update,
                Status::ACCEPTED,
                vec![prefix],
                link_local,
                update.time_sent(),
            )
        };
        self.send(headers, answer);
    }

    /// Binding De-Registration (§5.3.5).
    fn deregister(
        &mut self,
        now: SimTime,
        headers: &Headers,
        request: &Request<'_>,
        prefix: Ipv6Net,
    ) -> Result<(), Ignored> {
        if let Some(last) = self.outdated(request, prefix) {
            self.refuse_sequence(now, headers, request.update, last);
            return Ok(());
        }
        let update = request.update;
        let session = self.sessions.get_mut(&prefix);
        // "... different from what is present in the Proxy-CoA field in the Binding Cache entry, the
        // local mobility anchor MUST ignore the request."
        let session = session.filter(|session| session.gateway == request.gateway);
        let session = session.ok_or(Ignored::NoSession)?;
        session.sequence = update.sequence;
        session.timestamp = update.time_sent();
        if !session.is_leaving {
            session.is_leaving = true;
            session.ends = now + self.config.min_delay_before_delete;
            self.ends.set(prefix, session.ends);
            let node = session.node.clone();
            self.events.push_back(Event::Left { node, prefix });
        }
        let link_local = session.link_local;
        let answer = self.answer_to(
            update,
            Status::ACCEPTED,
            vec![prefix],
            link_local,
            update.time_sent(),
        );
        self.send(headers, answer);
        if let Some((headers, update)) = self.waiting.remove(&prefix) {
            self.waits.clear(prefix);
            self.resume(now, &headers, &update, About::Session(prefix));
        }
        Ok(())
    }

    /// Goes on with an update that has waited.
    fn resume(&mut self, now: SimTime, headers: &Headers, update: &BindingUpdate, about: About) {
        let Ok(request) = Request::of(headers, update) else {
            return;
        };
        match about {
            // It is older than the deregistration that it has waited for, and its time was checked.
            About::Session(prefix) => self.bind(now, headers, &request, prefix),
            _ => self.create(now, headers, &request),
        }
    }

    fn refuse(&mut self, now: SimTime, headers: &Headers, update: &BindingUpdate, status: Status) {
        let answer = self.refusal(now, update, status);
        self.send(headers, answer);
    }

    fn refuse_sequence(
        &mut self,
        now: SimTime,
        headers: &Headers,
        update: &BindingUpdate,
        last: Sequence,
    ) {
        let answer = BindingAcknowledgement {
            sequence: last,
            ..self.refusal(now, update, Status::SEQUENCE)
        };
        self.send(headers, answer);
    }

    /// "All the Home Network Prefix options that were present in the request ... MUST be present in the
    /// reply"; the timestamp is that of the anchor where the one of the request is the reason.
    fn refusal(
        &self,
        now: SimTime,
        update: &BindingUpdate,
        status: Status,
    ) -> BindingAcknowledgement {
        let mut prefixes: Vec<Ipv6Net> = update.prefixes().collect();
        if prefixes.is_empty() {
            prefixes.push(ANY_PREFIX);
        }
        let by_time = [Status::TIMESTAMP_LOWER, Status::TIMESTAMP_MISMATCH].contains(&status);
        let timestamp = match by_time {
            true => Some(Timestamp::of(now)),
            false => update.time_sent(),
        };
        self.answer_to(update, status, prefixes, update.link_local(), timestamp)
    }

    /// Constructing the Proxy Binding Acknowledgement (§5.3.6).
    fn answer_to(
        &self,
        update: &BindingUpdate,
        status: Status,
        prefixes: Vec<Ipv6Net>,
        link_local: Option<Ipv6Addr>,
        timestamp: Option<Timestamp>,
    ) -> BindingAcknowledgement {
        // "If the option was not present in the request, the identifier ... MUST be set to a zero length
        // identifier", handoff indicator and access technology type to zero.
        let node = update.node_id().cloned().unwrap_or(NodeId(Vec::new()));
        let handoff = update.handoff().unwrap_or(HandoffIndicator(0));
        let technology = update.access_technology().unwrap_or(AccessTechnology(0));
        let mut options = vec![MobilityOption::NodeId(node)];
        options.extend(prefixes.into_iter().map(MobilityOption::HomeNetworkPrefix));
        options.push(MobilityOption::Handoff(handoff));
        options.push(MobilityOption::AccessTechnology(technology));
        options.extend(timestamp.map(MobilityOption::Timestamp));
        let link_layer = update.link_layer_id().cloned();
        options.extend(link_layer.map(MobilityOption::LinkLayerId));
        // "MUST be present only if the same option was present in the received" update.
        let link_local = link_local.filter(|_| update.link_local().is_some());
        options.extend(link_local.map(MobilityOption::LinkLocal));
        BindingAcknowledgement {
            status,
            proxy_registration: true,
            sequence: update.sequence,
            options,
            ..BindingAcknowledgement::default()
        }
    }

    /// "Unlike in Mobile IPv6, the Type 2 Routing header MUST NOT be present."
    fn send(&mut self, update: &Headers, answer: BindingAcknowledgement) {
        let headers = Headers::between(self.config.address, update.source);
        self.outbox
            .push(headers, &Message::BindingAcknowledgement(answer));
    }
}

impl Machine for Anchor {
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
        while let Some(prefix) = self.ends.take_due(now) {
            if let Some(session) = self.sessions.remove(&prefix) {
                self.events.push_back(Event::Removed {
                    node: session.node,
                    prefix,
                    gateway: session.gateway,
                });
            }
        }
        // "If there is no de-registration message that is received within MaxDelayBeforeNewBCEAssign ...
        // [it] MUST consider the request as a request for creating a new mobility session."
        while let Some(prefix) = self.waits.take_due(now) {
            if let Some((headers, update)) = self.waiting.remove(&prefix) {
                self.resume(now, &headers, &update, About::New);
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        earlier(self.ends.next(), self.waits.next())
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
