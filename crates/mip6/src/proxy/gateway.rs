//! A mobile access gateway (RFC 5213 §6): says of its nodes that they are at its links.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use machine::{Machine, earlier};
use units::{Sequence, SimTime};

use crate::backoff::{Backoff, INITIAL_BINDACK_TIMEOUT, MAX_BINDACK_TIMEOUT};
use crate::codec::{
    AccessTechnology, BindingAcknowledgement, BindingUpdate, HandoffIndicator, Lifetime,
    LinkLayerId, Message, MobilityOption, NodeId, ProxyOptions, Status, Timestamp,
};
use crate::headers::Headers;
use crate::ignored::Ignored;
use crate::outbox::{Outbox, Transmit};

/// ALL_ZERO.
const ANY_PREFIX: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0);

/// What a [`Gateway`] is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its global address on the side of the anchor (Proxy-CoA).
    pub address: Ipv6Addr,
    /// The local mobility anchor of its nodes.
    pub anchor: Ipv6Addr,
    /// The lifetime that it asks for, where nothing is said of a node's.
    pub lifetime: Duration,
    /// What its links are.
    pub access_technology: AccessTechnology,
    /// FixedMAGLinkLocalAddressOnAllAccessLinks (§9.3): the link-local address that all gateways
    /// have on their links. Without, the anchor is asked for one for each node.
    pub fixed_link_local: Option<Ipv6Addr>,
    /// TimestampBasedApproachInUse (§9.3): messages are ordered by timestamps; or else by the numbers of
    /// [`Attached::sequence`].
    pub timestamps: bool,
    /// For how many nodes there is room.
    pub max_nodes: usize,
}

impl Config {
    /// An hour, Ethernet, fe80::1 at every gateway, timestamps, 256 nodes.
    pub const fn new(address: Ipv6Addr, anchor: Ipv6Addr) -> Config {
        Config {
            address,
            anchor,
            lifetime: Duration::from_secs(3600),
            access_technology: AccessTechnology::ETHERNET,
            fixed_link_local: Some(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
            timestamps: true,
            max_nodes: 256,
        }
    }
}

/// A node that has come to a link of the gateway (§6.9.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Who it is.
    pub node: NodeId,
    /// The link-layer identifier of its interface, if that is known.
    pub link_layer: Option<LinkLayerId>,
    /// What is known of how it came.
    pub handoff: HandoffIndicator,
    /// The prefix that it had, if that is known.
    pub prefix: Option<Ipv6Net>,
    /// The lifetime that is asked for; none: [`Config::lifetime`].
    pub lifetime: Option<Duration>,
    /// The last number of its session, where messages are ordered by numbers. How the gateway gets it
    /// "is outside the scope" of RFC 5213 (§5.5).
    pub sequence: Option<Sequence>,
}

/// What a [`Gateway`] tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The node is to be served: its prefix is advertised to it, and what it sends goes through the
    /// tunnel to the anchor (§6.9.1.2).
    Served {
        /// Who.
        node: NodeId,
        /// Its home network prefixes.
        prefixes: Vec<Ipv6Net>,
        /// The gateway's link-local address on its link, if the anchor has given one.
        link_local: Option<Ipv6Addr>,
        /// For how long.
        lifetime: Lifetime,
    },
    /// The node is not to be served: "MUST NOT advertise ... and MUST deny the mobility service"
    /// (§6.9.1.2). Nothing more is said for it before it comes again.
    Refused {
        /// Who.
        node: NodeId,
        /// Why.
        status: Status,
    },
    /// The node is not served any more: routes and link are taken down (§6.9.1.4).
    Released {
        /// Who.
        node: NodeId,
    },
}

/// What a gateway is doing for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It registers, for the first time or again, or is registered.
    Serving,
    /// It deregisters; at that instant it is done, with or without an answer.
    Leaving(SimTime),
    /// It was refused.
    Refused,
}

/// A node in the Binding Update List (§6.1).
#[derive(Clone, Debug)]
struct Entry {
    attached: Attached,
    stage: Stage,
    backoff: Backoff,
    /// The number of the update that is not answered yet.
    outstanding: Option<(Sequence, SimTime, Lifetime)>,
    /// What it asks with: the handoff indicator of the last update.
    asked: HandoffIndicator,
    prefixes: Vec<Ipv6Net>,
    link_local: Option<Ipv6Addr>,
    /// Whether it was bound since it came: then it has not come anew, even if its binding has ended.
    was_held: bool,
    /// When the binding ends, and when it is registered again.
    held: Option<(SimTime, Option<SimTime>)>,
}

/// A mobile access gateway; a [`Machine`].
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    entries: BTreeMap<NodeId, Entry>,
    /// "A monotonically increasing counter (maintained at each mobile access gateway ...)" (§6.9.1.1).
    counter: Sequence,
    outbox: Outbox,
    events: VecDeque<Event>,
}

impl Gateway {
    /// A gateway without nodes.
    pub fn new(config: Config) -> Gateway {
        Gateway {
            config,
            entries: BTreeMap::new(),
            counter: Sequence(0),
            outbox: Outbox::default(),
            events: VecDeque::new(),
        }
    }

    /// A node has come to a link, or sends as if it had. One that is served already may have been at
    /// another gateway meanwhile: it is registered as one that has come, and served when the anchor has
    /// answered. Returns whether there is room for it, and its identifiers fit.
    pub fn attach(&mut self, now: SimTime, attached: Attached) -> bool {
        let fits = (1..=254).contains(&attached.node.0.len())
            && attached
                .link_layer
                .as_ref()
                .is_none_or(|id| id.0.len() <= 253);
        let room = self.entries.len() < self.config.max_nodes;
        if !fits || !(room || self.entries.contains_key(&attached.node)) {
            return false;
        }
        let fixed = self.config.fixed_link_local;
        let node = attached.node.clone();
        let entry = self.entries.entry(node).or_insert_with(|| Entry {
            stage: Stage::Serving,
            backoff: Backoff::default(),
            outstanding: None,
            asked: attached.handoff,
            prefixes: Vec::new(),
            link_local: fixed,
            was_held: false,
            held: None,
            attached: attached.clone(),
        });
        entry.stage = Stage::Serving;
        entry.was_held = false;
        entry.held = None;
        entry.prefixes = attached.prefix.into_iter().collect();
        entry.attached = attached;
        // "The mobile access gateway is not required to use a longer retransmission interval" (§6.9.4).
        entry.backoff.start(now, INITIAL_BINDACK_TIMEOUT);
        self.run(now);
        true
    }

    /// A node has left its link (§6.9.1.4).
    pub fn detach(&mut self, now: SimTime, node: &NodeId) {
        let Some(entry) = self.entries.get_mut(node) else {
            return;
        };
        if entry.stage == Stage::Refused {
            self.release(node.clone());
            return;
        }
        if !matches!(entry.stage, Stage::Leaving(_)) {
            entry.stage = Stage::Leaving(now + INITIAL_BINDACK_TIMEOUT);
            entry.held = None;
            entry.backoff.start(now, INITIAL_BINDACK_TIMEOUT);
            self.run(now);
        }
    }

    /// The prefixes of a node that is served.
    pub fn served(&self, node: &NodeId) -> Option<&[Ipv6Net]> {
        let entry = self.entries.get(node)?;
        let is_served = entry.held.is_some() && entry.stage == Stage::Serving;
        is_served.then_some(&entry.prefixes[..])
    }

    fn release(&mut self, node: NodeId) {
        self.entries.remove(&node);
        self.events.push_back(Event::Released { node });
    }

    fn run(&mut self, now: SimTime) {
        let nodes: Vec<NodeId> = self.entries.keys().cloned().collect();
        for node in nodes {
            self.run_node(now, node);
        }
    }

    fn run_node(&mut self, now: SimTime, node: NodeId) {
        let Some(entry) = self.entries.get_mut(&node) else {
            return;
        };
        if let Stage::Leaving(until) = entry.stage
            && until <= now
        {
            self.release(node);
            return;
        }
        if let Some((_, refresh)) = &mut entry.held
            && refresh.take_if(|at| *at <= now).is_some()
            && entry.stage == Stage::Serving
        {
            entry.backoff.start(now, INITIAL_BINDACK_TIMEOUT);
        }
        if entry.held.is_some_and(|(ends, _)| ends <= now) {
            // It goes on asking for the node, which is there as far as it knows.
            entry.held = None;
            self.events
                .push_back(Event::Released { node: node.clone() });
        }
        let Some(entry) = self.entries.get_mut(&node) else {
            return;
        };
        if entry.backoff.is_due(now) {
            self.counter = self.counter.next();
            let update = entry.update(now, &self.config, self.counter);
            entry.outstanding = Some((update.sequence, now, update.lifetime));
            entry.backoff.sent(now);
            if let Stage::Leaving(_) = entry.stage {
                // Once: after INITIAL_BINDACK_TIMEOUT it is done without an answer, too.
                entry.backoff.stop();
            }
            let headers = Headers::between(self.config.address, self.config.anchor);
            self.outbox.push(headers, &Message::BindingUpdate(update));
        }
    }

    /// Receiving Proxy Binding Acknowledgements (§6.9.1.2).
    fn answered(
        &mut self,
        now: SimTime,
        headers: &Headers,
        answer: &BindingAcknowledgement,
    ) -> Result<(), Ignored> {
        if headers.source != self.config.anchor {
            return Err(Ignored::Stranger(headers.source));
        }
        if !answer.proxy_registration {
            return Err(Ignored::Flags);
        }
        let node = answer.node_id().ok_or(Ignored::NotOutstanding)?.clone();
        let entry = self.entries.get_mut(&node);
        let entry = entry.ok_or(Ignored::NotOutstanding)?;
        let numbers = !self.config.timestamps && answer.status == Status::SEQUENCE;
        let outstanding = entry
            .outstanding
            .filter(|(sequence, ..)| numbers || *sequence == answer.sequence);
        let (_, sent, asked) = outstanding.ok_or(Ignored::NotOutstanding)?;
        entry.outstanding = None;
        entry.backoff.stop();
        let names_one = answer
            .prefixes()
            .any(|prefix| !prefix.network().is_unspecified());
        let serves = answer.status.is_accepted() && matches!(entry.stage, Stage::Serving);
        let is_complete = names_one || !serves;
        if !is_complete || !entry.is_echoed(answer, self.config.access_technology) {
            // "The mobile access gateway MUST NOT retransmit ... until an administrative action." Nor is
            // there anything to do with an acceptance without a prefix (§5.3.6).
            return Err(Ignored::NotEchoed);
        }
        if let Stage::Leaving(_) = entry.stage {
            self.release(node);
            return Ok(());
        }
        match answer.status {
            status if status.is_accepted() => self.accepted(node, answer, sent, asked),
            Status::SEQUENCE if numbers => {
                entry.attached.sequence = Some(answer.sequence);
                entry.backoff.start(now, INITIAL_BINDACK_TIMEOUT);
            }
            // "SHOULD try to register again to reassert the mobile node's presence."
            Status::TIMESTAMP_LOWER => entry.backoff.start(now, INITIAL_BINDACK_TIMEOUT),
            // "SHOULD NOT request the same prefix(es) again, but MAY request the local mobility anchor to
            // do the assignment."
            Status::PREFIX_NOT_AUTHORIZED if !entry.prefixes.is_empty() => {
                entry.prefixes.clear();
                entry.backoff.start(now, INITIAL_BINDACK_TIMEOUT);
            }
            status => {
                entry.stage = Stage::Refused;
                entry.held = None;
                self.events.push_back(Event::Refused { node, status });
            }
        }
        Ok(())
    }

    fn accepted(
        &mut self,
        node: NodeId,
        answer: &BindingAcknowledgement,
        sent: SimTime,
        asked: Lifetime,
    ) {
        let Some(entry) = self.entries.get_mut(&node) else {
            return;
        };
        let lifetime = answer.lifetime.min(asked);
        let whole = lifetime.duration();
        // As the mobile node of Mobile IPv6 does here.
        let refresh = sent + (whole - (whole / 4).min(MAX_BINDACK_TIMEOUT));
        entry.held = Some((sent + whole, Some(refresh)));
        entry.was_held = true;
        entry.prefixes = answer.prefixes().collect();
        let given = answer.link_local().filter(|given| !given.is_unspecified());
        entry.link_local = given.or(entry.link_local);
        self.events.push_back(Event::Served {
            node,
            prefixes: entry.prefixes.clone(),
            link_local: given,
            lifetime,
        });
    }
}

impl Entry {
    /// Constructing the Proxy Binding Update (§6.9.1.5).
    fn update(&mut self, now: SimTime, config: &Config, counter: Sequence) -> BindingUpdate {
        let whole = Lifetime::within(self.attached.lifetime.unwrap_or(config.lifetime));
        let (lifetime, handoff) = match self.stage {
            Stage::Leaving(_) => (Lifetime::ZERO, HandoffIndicator::UNKNOWN),
            _ if self.was_held => (whole, HandoffIndicator::UNCHANGED),
            _ => (whole, self.attached.handoff),
        };
        self.asked = handoff;
        let sequence = match config.timestamps {
            true => counter,
            false => {
                let next = self.attached.sequence.unwrap_or_default().next();
                *self.attached.sequence.insert(next)
            }
        };
        let mut options = vec![MobilityOption::NodeId(self.attached.node.clone())];
        match self.prefixes.is_empty() {
            true => options.push(MobilityOption::HomeNetworkPrefix(ANY_PREFIX)),
            false => {
                let all = self.prefixes.iter();
                options.extend(all.map(|prefix| MobilityOption::HomeNetworkPrefix(*prefix)));
            }
        }
        options.push(MobilityOption::Handoff(handoff));
        options.push(MobilityOption::AccessTechnology(config.access_technology));
        if config.timestamps {
            options.push(MobilityOption::Timestamp(Timestamp::of(now)));
        }
        let link_layer = self.attached.link_layer.clone();
        options.extend(link_layer.map(MobilityOption::LinkLayerId));
        if config.fixed_link_local.is_none() {
            let known = self.link_local.unwrap_or(Ipv6Addr::UNSPECIFIED);
            options.push(MobilityOption::LinkLocal(known));
        }
        BindingUpdate {
            sequence,
            acknowledge: true,
            proxy_registration: true,
            lifetime,
            options,
            ..BindingUpdate::default()
        }
    }

    /// Whether the options are those of the update, where there are any.
    fn is_echoed(&self, answer: &BindingAcknowledgement, technology: AccessTechnology) -> bool {
        let link_layer = self.attached.link_layer.as_ref();
        answer.handoff().is_none_or(|value| value == self.asked)
            && answer
                .access_technology()
                .is_none_or(|value| value == technology)
            && answer
                .link_layer_id()
                .is_none_or(|id| Some(id) == link_layer)
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        let leaving = match self.stage {
            Stage::Leaving(until) => Some(until),
            Stage::Serving | Stage::Refused => None,
        };
        let ends = self.held.map(|(ends, _)| ends);
        let refresh = self.held.and_then(|(_, refresh)| refresh);
        earlier(earlier(leaving, self.backoff.due()), earlier(ends, refresh))
    }
}

impl Machine for Gateway {
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
        let read = self.outbox.read(now, &headers, payload);
        let result = read.and_then(|message| match message {
            Message::BindingAcknowledgement(answer) => self.answered(now, &headers, &answer),
            other => Err(Ignored::Role(other.kind())),
        });
        self.run(now);
        result
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.run(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        let all = self.entries.values();
        all.filter_map(Entry::poll_timeout).min()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
