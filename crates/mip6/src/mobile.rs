//! A mobile node (RFC 6275 §11): registers at its home agent, at mobility anchor points (RFC 5380)
//! and at correspondents where it is.

mod anchor;
mod correspondence;
mod correspondents;
mod home;
mod registration;
mod test;

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv6Addr;
use std::time::Duration;

use machine::{Machine, earlier};
use units::{Rng, SimTime};

use crate::codec::{
    BindingAcknowledgement, BindingUpdate, ErrorStatus, Lifetime, Message, MobilityOption, Status,
};
use crate::headers::Headers;
use crate::ignored::Ignored;
use crate::outbox::{Outbox, Transmit};
use crate::rr::MAX_RR_BINDING_LIFETIME;
use anchor::Anchored;
use correspondence::Correspondence;
pub use correspondence::MAX_RO_FAILURE;
use registration::Registration;

/// InitialBindackTimeoutFirstReg (RFC 6275 §13): 1.5 times the home agent's Duplicate Address
/// Detection.
pub const INITIAL_BINDACK_TIMEOUT_FIRST_REG: Duration = Duration::from_millis(1500);

/// When the return routability procedure begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the update to the home agent: "after the mobile node has sent a Binding Update to its home
    /// agent" (§11.7.2). The Home Test Init follows it in the same tunnel.
    WithHomeUpdate,
    /// When the home agent has acknowledged.
    AfterHomeAcknowledgement,
}

/// In which order the two tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// "MUST send (in parallel) a Home Test Init message and a Care-of Test Init message" (§11.6.1).
    Parallel,
    /// One after the other, as the CoMP paper's table 3 has it. Not conforming.
    Serial,
}

/// How correspondents are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteOptimization {
    /// When the tests begin.
    pub start: Start,
    /// In which order they run.
    pub order: Order,
    /// Whether tokens are used again while they are young enough and prove the same address: "a fast
    /// moving mobile node MAY reuse a recent home keygen token ... and just acquire a new care-of
    /// keygen token" (§5.2.7).
    pub reuse_tokens: bool,
    /// A: whether correspondents are asked for an acknowledgement. Without, an update that is lost is
    /// not sent again.
    pub acknowledge: bool,
    /// The lifetime that is asked for, at most MAX_RR_BINDING_LIFETIME.
    pub lifetime: Duration,
}

impl Default for RouteOptimization {
    /// As early as the RFC has it, every token anew, acknowledged, 420 s.
    fn default() -> RouteOptimization {
        RouteOptimization {
            start: Start::WithHomeUpdate,
            order: Order::Parallel,
            reuse_tokens: false,
            acknowledge: true,
            lifetime: MAX_RR_BINDING_LIFETIME,
        }
    }
}

/// What a [`MobileNode`] is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its home address.
    pub home_address: Ipv6Addr,
    /// Its home agent.
    pub home_agent: Ipv6Addr,
    /// The lifetime that it asks home agent and mobility anchor points for.
    pub lifetime: Duration,
    /// InitialBindackTimeoutFirstReg.
    pub first_registration_timeout: Duration,
    /// How correspondents are told.
    pub route_optimization: RouteOptimization,
    /// For how many correspondents there is room in the Binding Update List.
    pub max_correspondents: usize,
}

impl Config {
    /// An hour at the home agent, 64 correspondents, the RFC's variables.
    pub fn new(home_address: Ipv6Addr, home_agent: Ipv6Addr) -> Config {
        Config {
            home_address,
            home_agent,
            lifetime: Duration::from_secs(3600),
            first_registration_timeout: INITIAL_BINDACK_TIMEOUT_FIRST_REG,
            route_optimization: RouteOptimization::default(),
            max_correspondents: 64,
        }
    }
}

/// Where a node is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The address on the link: care-of address, on-link care-of address (LCoA) below a mobility
    /// anchor point.
    pub address: Ipv6Addr,
    /// The mobility anchor point that is used, if one is.
    pub map: Option<Map>,
}

/// A mobility anchor point, and the node's address there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    /// Its address.
    pub address: Ipv6Addr,
    /// The regional care-of address (RCoA): [`crate::MapOption::regional_address`].
    pub regional: Ipv6Addr,
    /// How long both are valid: Valid Lifetime of the option.
    pub valid_lifetime: Duration,
}

/// With whom a node registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The home agent.
    HomeAgent,
    /// A mobility anchor point.
    MobilityAnchorPoint(Ipv6Addr),
    /// A correspondent.
    Correspondent(Ipv6Addr),
}

/// What a [`MobileNode`] tells its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The tests with a correspondent begin.
    Testing {
        /// Who it is.
        correspondent: Ipv6Addr,
    },
    /// The first update that names a care-of address is on its way: from now on what goes to or through
    /// this peer has it as its source (§11.6.3), without waiting for the acknowledgement.
    Sent {
        /// To whom.
        peer: Peer,
        /// The care-of address.
        care_of: Ipv6Addr,
    },
    /// The peer has the binding.
    Accepted {
        /// Who.
        peer: Peer,
        /// The care-of address.
        care_of: Ipv6Addr,
        /// For how long.
        lifetime: Lifetime,
        /// 0 or 1.
        status: Status,
    },
    /// The peer refuses it, and is not asked again before the next move or command.
    Rejected {
        /// Who.
        peer: Peer,
        /// Why.
        status: Status,
    },
    /// There is no binding any more that can be relied on: what goes to a correspondent goes through
    /// the home agent again.
    Removed {
        /// Where it was.
        peer: Peer,
        /// Why.
        reason: Reason,
    },
}

/// Why a binding cannot be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The care-of address that it has is not the node's any more.
    Moved,
    /// Its lifetime has ended.
    Expired,
    /// It was deleted, as it should be.
    Deregistered,
    /// The peer does not know of it (Binding Error with status 1).
    Unknown,
    /// The peer knows nothing of route optimization (Binding Error with status 2, ICMPv6 Parameter
    /// Problem).
    Unsupported,
    /// The peer has not answered MAX_RO_FAILURE retransmissions.
    Silent,
}

/// Where the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It has no address in use.
    Nowhere,
    Away(Attachment),
    Home,
}

/// A mobile node; a [`Machine`].
///
/// Commands are [`move_to`](MobileNode::move_to), [`return_home`](MobileNode::return_home),
/// [`detach`](MobileNode::detach), and for correspondents [`correspond`](MobileNode::correspond),
/// [`forget`](MobileNode::forget) and [`unsupported`](MobileNode::unsupported).
#[derive(Debug)]
pub struct MobileNode {
    config: Config,
    rng: Rng,
    place: Place,
    home: Registration,
    /// Whether the home agent is told when the mobility anchor point has answered.
    home_waits: bool,
    /// 134: "the mobile node MUST NOT attempt to re-use the same home address" (§11.7.1).
    home_address_is_taken: bool,
    map: Option<Anchored>,
    /// The one before it, as long as something may be under way by way of it.
    previous_map: Option<Anchored>,
    /// Those before, the last one at the end.
    left_maps: Vec<Anchored>,
    correspondents: BTreeMap<Ipv6Addr, Correspondence>,
    outbox: Outbox,
    events: VecDeque<Event>,
}

impl MobileNode {
    /// A node that is nowhere. `rng` makes cookies and the first sequence numbers.
    pub fn new(config: Config, rng: Rng) -> MobileNode {
        MobileNode {
            config,
            rng,
            place: Place::Nowhere,
            home: Registration::default(),
            home_waits: false,
            home_address_is_taken: false,
            map: None,
            previous_map: None,
            left_maps: Vec::new(),
            correspondents: BTreeMap::new(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
        }
    }

    /// The care-of address that home agent and correspondents are told: the regional one if there is
    /// one.
    pub fn care_of(&self) -> Option<Ipv6Addr> {
        match self.place {
            Place::Away(at) => Some(at.map.map_or(at.address, |map| map.regional)),
            Place::Nowhere | Place::Home => None,
        }
    }

    /// The care-of address that a peer has acknowledged, or was told without being asked to.
    pub fn bound_at(&self, peer: Peer) -> Option<Ipv6Addr> {
        let registration = match peer {
            Peer::HomeAgent => &self.home,
            Peer::MobilityAnchorPoint(map) => self.anchored(map)?.registration(),
            Peer::Correspondent(node) => &self.correspondents.get(&node)?.registration,
        };
        registration.held().map(|held| held.care_of)
    }

    /// The node has a new address that may be used: what has to be said of it is said, also where it is
    /// the one that it had.
    pub fn move_to(&mut self, now: SimTime, at: Attachment) {
        self.place = Place::Away(at);
        self.home_waits = false;
        self.move_anchors(now, at);
        // Below the mobility anchor point that it was below, its regional address is what it was: "it
        // should only register its new LCoA with its MAP" (RFC 5380 §6.1).
        if self.home_is_to_be_told() {
            self.start_home(now);
        } else if !self.home_knows(self.care_of()) {
            self.home.give_up();
        }
        self.drop_moved();
        self.run(now);
    }

    /// The node is on its home link: its bindings are deleted (§11.5.5).
    pub fn return_home(&mut self, now: SimTime) {
        self.place = Place::Home;
        self.map = None;
        self.previous_map = None;
        self.left_maps.clear();
        match self.home.may_be_held(now) {
            true => self.start_home(now),
            false => self.home.give_up(),
        }
        self.drop_moved();
        self.run(now);
    }

    /// The node has no address that may be used: nothing is sent until it has one.
    pub fn detach(&mut self) {
        self.place = Place::Nowhere;
        self.home.give_up();
        let anchors = [&mut self.map, &mut self.previous_map];
        anchors.into_iter().flatten().for_each(Anchored::pause);
        for correspondence in self.correspondents.values_mut() {
            correspondence.stop();
        }
    }

    /// Where the last attachment is, if the node is away.
    fn attachment(&self) -> Option<Attachment> {
        match self.place {
            Place::Away(at) => Some(at),
            Place::Nowhere | Place::Home => None,
        }
    }

    /// Whether an address is one of the node's.
    fn is_ours(&self, address: Ipv6Addr) -> bool {
        let on_link = self.attachment().map(|at| at.address);
        let anchors = [&self.map, &self.previous_map].into_iter().flatten();
        address == self.config.home_address
            || on_link == Some(address)
            || anchors
                .map(Anchored::regional)
                .any(|regional| regional == address)
    }

    /// Sends what is due: first to whom the next ones depend on.
    fn run(&mut self, now: SimTime) {
        self.run_anchors(now);
        self.run_home(now);
        self.run_correspondents(now);
    }

    /// A Binding Update, of the kind that all of them are.
    fn update(lifetime: Lifetime, options: Vec<MobilityOption>) -> BindingUpdate {
        BindingUpdate {
            acknowledge: true,
            lifetime,
            options,
            ..BindingUpdate::default()
        }
    }

    fn acknowledged(
        &mut self,
        now: SimTime,
        headers: &Headers,
        answer: &BindingAcknowledgement,
        payload: &[u8],
    ) -> Result<(), Ignored> {
        if answer.proxy_registration {
            return Err(Ignored::Flags);
        }
        let (from, to) = (headers.source, headers.receiver());
        if to != self.config.home_address {
            return self.anchor_answered(now, headers, answer);
        }
        match from == self.config.home_agent {
            true => self.home_answered(now, answer),
            false => self.correspondent_answered(now, from, answer, payload),
        }
    }

    /// Binding Error (§11.3.6): "if the mobile node does not have such an entry, it MUST ignore the
    /// message".
    fn error(
        &mut self,
        now: SimTime,
        from: Ipv6Addr,
        status: ErrorStatus,
        home_address: Ipv6Addr,
    ) -> Result<(), Ignored> {
        let stranger = Err(Ignored::Stranger(from));
        // The one with status 2 is about a message that had no Home Address option, maybe.
        let is_ours = home_address == self.config.home_address
            || (status == ErrorStatus::UNKNOWN_TYPE && home_address.is_unspecified());
        if !is_ours {
            return Err(Ignored::Receiver(home_address));
        }
        if from == self.config.home_agent {
            return match status {
                // "The mobile node SHOULD send a Binding Update to the home agent."
                ErrorStatus::UNKNOWN_BINDING if self.place != Place::Nowhere => {
                    self.home.forget_held();
                    self.removed(Peer::HomeAgent, Reason::Unknown);
                    self.start_home(now);
                    Ok(())
                }
                _ => Err(Ignored::NotOutstanding),
            };
        }
        match self.correspondents.contains_key(&from) {
            true => self.correspondent_erred(now, from, status),
            false => stranger,
        }
    }
}

impl Machine for MobileNode {
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
        let to = headers.receiver();
        if !self.is_ours(to) {
            return Err(Ignored::Receiver(to));
        }
        let from = headers.source;
        let read = self.outbox.read(now, &headers, payload);
        let result = read.and_then(|message| match message {
            Message::BindingAcknowledgement(answer) => {
                self.acknowledged(now, &headers, &answer, payload)
            }
            Message::HomeTest {
                nonce,
                cookie,
                token,
            } => self.home_tested(now, &headers, cookie, nonce, token),
            Message::CareOfTest {
                nonce,
                cookie,
                token,
            } => self.care_of_tested(&headers, cookie, nonce, token),
            Message::BindingError {
                status,
                home_address,
            } => self.error(now, from, status, home_address),
            Message::BindingRefreshRequest => self.refresh_requested(now, &headers),
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
        let anchors = [&self.map, &self.previous_map].into_iter().flatten();
        // Nothing is sent to them by a node that is not below one.
        let away = self.attachment().is_some();
        let anchors = anchors.filter(|_| away);
        let anchors = anchors.filter_map(|anchor| anchor.registration().poll_timeout(true));
        let attached = self.place != Place::Nowhere;
        let correspondents = self.correspondents.values();
        let correspondents = correspondents.filter_map(|one| one.poll_timeout(attached));
        let others = anchors.chain(correspondents).min();
        earlier(self.home.poll_timeout(attached), others)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
