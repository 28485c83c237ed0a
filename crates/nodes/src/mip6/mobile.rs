//! A mobile node: [`mip6::MobileNode`] as what a handover asks a protocol.
//!
//! A command waits for those who have to know the address: the home agent, or below a mobility anchor
//! point that one alone; with route optimization also the correspondents, without whose answer packets go
//! through the home agent.
//!
//! | phase | from | to |
//! | --- | --- | --- |
//! | `map_registration` | the local binding update | its acknowledgement |
//! | `home_registration` | the update to the home agent | its acknowledgement |
//! | `return_routability` | the first test | the last update to a correspondent |
//! | `correspondent_registration` | the first of these updates | the last acknowledgement |
//! | `binding` | the first message | the last that the command waits for |

use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::{Error, Result};
use driver::raw::{Arrival, Departure};
use handover::{BindingEvent, Mobility, Phase, Step};
use machine::{Machine, Transmit, earlier};
use mip6::mobile::{self, Attachment, Event, Map, Peer};
use mip6::{MapOption, MobileNode};
use nd::NdOption;
use topology::kind::mip6::{Order, Plan, RouteOptimizationPlan, Start};
use units::{Eui64, Rng, SimTime};

use super::around::{arrived, departing};
use super::gate::Gate;
use super::way::Way;

/// At the mobility anchor point.
const MAP_REGISTRATION: Phase = Phase::named("map_registration");
/// At the home agent.
const HOME_REGISTRATION: Phase = Phase::named("home_registration");
/// The tests with correspondents.
const RETURN_ROUTABILITY: Phase = Phase::named("return_routability");
/// At correspondents.
const CORRESPONDENT_REGISTRATION: Phase = Phase::named("correspondent_registration");

/// How long a handover waits: for an update, and three repetitions after 1, 2 and 4 s (RFC 6275 §11.8),
/// of which the last one is given 8 s. The machine goes on longer.
const WITHIN: Duration = Duration::from_secs(15);

/// How long after a refusal the first registration is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(4);

/// What a mobile node tells the rest of its daemon.
#[derive(Debug)]
pub(super) enum Told {
    /// It took a step.
    Step(Step),
    /// Its home agent has its binding.
    Binding(BindingEvent),
    /// The kernel has refused a change of the way of packets.
    Broken(Error),
}

/// What a command is to end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    Attached,
    Bound,
}

/// A command that waits for others.
#[derive(Debug)]
struct Command {
    aim: Aim,
    address: Ipv6Addr,
    /// Who has not answered yet.
    waiting: BTreeSet<Peer>,
    /// When it is not waited for any more.
    until: SimTime,
}

/// A mobile node and its kernel state; a [`Machine`] on a raw socket.
#[derive(Debug)]
pub(super) struct Mobile {
    node: MobileNode,
    way: Way,
    home: Ipv6Addr,
    home_agent: Ipv6Addr,
    /// The mobility anchor points that it may register with.
    maps: BTreeSet<Ipv6Addr>,
    /// The one that its router advertises.
    advertised: Option<Map>,
    /// The one of the domain that it was in last.
    map: Option<Map>,
    correspondents: Vec<Ipv6Addr>,
    /// Whether correspondents acknowledge updates.
    acknowledged: bool,
    /// Correspondents that are being tested, and have not been sent an update.
    testing: BTreeSet<Ipv6Addr>,
    command: Option<Command>,
    /// When a first registration that was refused is tried again.
    again: Option<SimTime>,
    /// Where the node is, or was before it left its link.
    address: Option<Ipv6Addr>,
    gate: Gate,
    /// Whether the home agent has had a binding before.
    is_known: bool,
    steps: VecDeque<Step>,
    told: VecDeque<Told>,
}

impl Mobile {
    /// A node that is nowhere.
    pub(super) fn new(plan: &Plan, way: Way, rng: Rng) -> Mobile {
        let optimization = plan.route_optimization.as_ref();
        let config = mobile::Config {
            lifetime: plan.lifetime,
            route_optimization: optimization.map(route_optimization).unwrap_or_default(),
            max_correspondents: plan.correspondents.len(),
            ..mobile::Config::new(plan.home_address, plan.home_agent)
        };
        let mut node = MobileNode::new(config, rng);
        for correspondent in &plan.correspondents {
            node.correspond(SimTime::ZERO, *correspondent);
        }
        Mobile {
            node,
            way,
            home: plan.home_address,
            home_agent: plan.home_agent,
            maps: plan.maps.iter().map(|map| map.address).collect(),
            advertised: None,
            map: None,
            correspondents: plan.correspondents.clone(),
            acknowledged: optimization.is_none_or(|options| options.acknowledge),
            testing: BTreeSet::new(),
            command: None,
            again: None,
            address: None,
            gate: Gate::default(),
            is_known: false,
            steps: VecDeque::new(),
            told: VecDeque::new(),
        }
    }

    /// The router of a node with the link-layer address `own` advertises these options: of the mobility anchor
    /// points among them one is that of the link (RFC 5380 §7.1). Others than those of the plan have nothing to
    /// do with the node.
    pub(super) fn hear(&mut self, own: Eui64, options: &[NdOption]) {
        let maps = options.iter().filter_map(|option| match option {
            NdOption::Unknown { kind, data } if *kind == MapOption::TYPE => {
                MapOption::decode(data).ok()
            }
            _ => None,
        });
        let known = maps.filter(|option| self.maps.contains(&option.address));
        self.advertised = MapOption::select(known).map(|option| option.map(own));
    }

    /// Makes `address` known, for a command.
    fn register(&mut self, now: SimTime, aim: Aim, address: Ipv6Addr) {
        self.gate.look(now);
        self.arrive(address);
        self.testing.clear();
        self.again = None;
        let map = self.advertised;
        self.map = map;
        // What was to be said from elsewhere.
        while self.node.poll_transmit().is_some() {}
        self.node.move_to(now, Attachment { address, map });
        let care_of = self.node.care_of();
        let knows = |peer: &Peer| self.node.bound_at(*peer) == care_of;
        let mut waiting: BTreeSet<Peer> = self
            .correspondents
            .iter()
            .copied()
            .map(Peer::Correspondent)
            .chain(map.map(|_| Peer::HomeAgent))
            .filter(|peer| !knows(peer))
            .collect();
        let (first, phase) = match map {
            Some(map) => (Peer::MobilityAnchorPoint(map.address), MAP_REGISTRATION),
            None => (Peer::HomeAgent, HOME_REGISTRATION),
        };
        waiting.insert(first);
        self.command = Some(Command {
            aim,
            address,
            waiting,
            until: now + WITHIN,
        });
        self.begin(Phase::BINDING);
        self.begin(phase);
        self.take_in(now);
    }

    /// The node is on a link, where it has `address`.
    fn arrive(&mut self, address: Ipv6Addr) {
        self.gate.arrive();
        self.address = Some(address);
        let resumed = self.way.resume(address);
        self.note(resumed);
    }

    fn begin(&mut self, phase: Phase) {
        self.steps.push_back(Step::PhaseStarted(phase));
    }

    fn end(&mut self, phase: Phase) {
        self.steps.push_back(Step::PhaseEnded(phase));
    }

    fn note(&mut self, done: Result<()>) {
        if let Err(error) = done {
            self.told.push_back(Told::Broken(error));
        }
    }

    /// Does what the machine tells.
    fn take_in(&mut self, now: SimTime) {
        let here = self.map.map(|map| (map.address, map.regional));
        let settled = self.way.settle(here, self.node.previous_map());
        self.note(settled);
        while let Some(event) = self.node.poll_event() {
            let done = self.take(now, event);
            self.note(done);
        }
        self.end_command();
    }

    fn take(&mut self, now: SimTime, event: Event) -> Result<()> {
        match event {
            Event::Testing { correspondent } => {
                if self.testing.is_empty() {
                    self.begin(RETURN_ROUTABILITY);
                }
                self.testing.insert(correspondent);
            }
            Event::Sent { peer, care_of } => self.sent(peer, care_of)?,
            Event::Accepted { peer, care_of, .. } => self.accepted(peer, care_of),
            Event::Rejected { peer, status } => {
                self.refused(
                    now,
                    peer,
                    format!("{peer:?} refuses with status {}", status.0),
                );
            }
            Event::Removed { peer, reason } => {
                if let Peer::Correspondent(correspondent) = peer {
                    self.way.through_home(correspondent)?;
                    if reason != mobile::Reason::Moved {
                        self.tested(correspondent);
                        self.answered(peer);
                    }
                }
            }
        }
        Ok(())
    }

    /// The first update to a peer is about to leave.
    fn sent(&mut self, peer: Peer, care_of: Ipv6Addr) -> Result<()> {
        match peer {
            Peer::HomeAgent => {
                if self.map.is_some() {
                    self.begin(HOME_REGISTRATION);
                }
                self.way.from(care_of)
            }
            // Also to the one before: what was under way comes after the node.
            Peer::MobilityAnchorPoint(map) => self.way.below(map, care_of),
            Peer::Correspondent(correspondent) => {
                self.tested(correspondent);
                self.begin(CORRESPONDENT_REGISTRATION);
                if !self.acknowledged {
                    self.answered(peer);
                }
                self.way.straight_to(correspondent, care_of)
            }
        }
    }

    fn tested(&mut self, correspondent: Ipv6Addr) {
        if self.testing.remove(&correspondent) && self.testing.is_empty() {
            self.end(RETURN_ROUTABILITY);
        }
    }

    fn accepted(&mut self, peer: Peer, care_of: Ipv6Addr) {
        if peer == Peer::HomeAgent && care_of != self.home {
            let (p_addr, t_addr) = (self.home, care_of);
            let event = match std::mem::replace(&mut self.is_known, true) {
                false => BindingEvent::Registered { p_addr, t_addr },
                true => BindingEvent::Changed {
                    p_addr,
                    t_addr,
                    held: false,
                },
            };
            self.told.push_back(Told::Binding(event));
        }
        self.answered(peer);
    }

    /// A peer is not waited for any more.
    fn answered(&mut self, peer: Peer) {
        let Some(command) = &mut self.command else {
            return;
        };
        if !command.waiting.remove(&peer) {
            return;
        }
        let of_correspondent = |peer: &Peer| matches!(peer, Peer::Correspondent(_));
        let phase = match peer {
            Peer::HomeAgent => HOME_REGISTRATION,
            Peer::MobilityAnchorPoint(_) => MAP_REGISTRATION,
            Peer::Correspondent(_) if command.waiting.iter().any(of_correspondent) => return,
            Peer::Correspondent(_) => CORRESPONDENT_REGISTRATION,
        };
        self.end(phase);
    }

    /// A peer will not have the binding.
    fn refused(&mut self, now: SimTime, peer: Peer, reason: String) {
        tracing::warn!(%reason, "registration");
        match (peer, self.command.as_ref().map(|command| command.aim)) {
            (Peer::Correspondent(correspondent), _) => {
                self.tested(correspondent);
                self.answered(peer);
            }
            (_, Some(Aim::Bound)) => {
                self.command = None;
                self.steps.push_back(Step::Failed { reason });
            }
            (_, Some(Aim::Attached)) => self.again = Some(now + AGAIN_AFTER),
            (_, None) => {}
        }
    }

    /// Ends the command if nobody is waited for.
    fn end_command(&mut self) {
        if let Some(Command { aim, address, .. }) =
            self.command.take_if(|command| command.waiting.is_empty())
        {
            self.end(Phase::BINDING);
            self.steps.push_back(match aim {
                Aim::Attached => Step::Attached { address },
                Aim::Bound => Step::Bound { address },
            });
        }
    }

    /// The time of the command is over.
    fn give_up(&mut self, now: SimTime) {
        let Some(command) = self.command.as_mut().filter(|command| command.until <= now) else {
            return;
        };
        let is_correspondent = |peer: &Peer| matches!(peer, Peer::Correspondent(_));
        let silent: Vec<Peer> = command.waiting.iter().copied().collect();
        if silent.iter().all(is_correspondent) {
            // Packets to them go through the home agent.
            tracing::warn!(?silent, "correspondents do not answer");
            for peer in silent {
                self.answered(peer);
            }
        } else if command.aim == Aim::Bound {
            self.command = None;
            let reason = format!("no answer of {silent:?}");
            self.steps.push_back(Step::Failed { reason });
        } else {
            command.until = now + WITHIN;
        }
    }

    /// Begins a first registration that was refused anew.
    fn try_again(&mut self, now: SimTime) {
        let due = self.again.take_if(|again| *again <= now);
        if let (Some(_), Some(address)) = (due, self.address) {
            self.register(now, Aim::Attached, address);
        }
    }
}

/// Without route optimization the machine has no correspondents, and its options mean nothing.
fn route_optimization(plan: &RouteOptimizationPlan) -> mobile::RouteOptimization {
    mobile::RouteOptimization {
        start: match plan.start {
            Start::WithHomeBu => mobile::Start::WithHomeUpdate,
            Start::AfterHomeBa => mobile::Start::AfterHomeAcknowledgement,
        },
        order: match plan.order {
            Order::Parallel => mobile::Order::Parallel,
            Order::Serial => mobile::Order::Serial,
        },
        reuse_tokens: plan.reuse_home_token,
        acknowledge: plan.acknowledge,
        lifetime: plan.lifetime,
    }
}

impl Mobility for Mobile {
    fn attach(&mut self, now: SimTime, address: Ipv6Addr) {
        self.register(now, Aim::Attached, address);
    }

    /// Nobody can be told anything of use before the node has its new address.
    fn prepare(&mut self, _: SimTime) {
        self.command = None;
        self.steps.push_back(Step::Prepared);
    }

    fn leave(&mut self, _: SimTime) {
        self.command = None;
        self.gate.leave();
        let left = self.way.leave();
        self.note(left);
    }

    fn bind(&mut self, now: SimTime, address: Ipv6Addr) {
        self.register(now, Aim::Bound, address);
    }

    fn stay(&mut self, _: SimTime, _: Ipv6Addr) {}

    /// Nobody keeps anything back.
    fn announce_sleep(&mut self, _: SimTime, _: Duration) {
        self.steps.push_back(Step::SleepAnnounced);
    }

    fn awake(&mut self, _: SimTime) {
        if let Some(address) = self.address {
            self.arrive(address);
        }
    }

    fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }
}

impl Machine for Mobile {
    type From = Arrival;
    type To = Departure;
    type Event = Told;
    type Ignored = Error;

    fn handle_datagram(
        &mut self,
        now: SimTime,
        from: Arrival,
        payload: &[u8],
    ) -> Result<(), Error> {
        self.gate.look(now);
        anyhow::ensure!(!self.gate.is_away(), "it came to the link that was left");
        let headers = arrived(&from, self.way.home_tunnel(from.ifindex))?;
        let taken = self.node.handle_datagram(now, headers, payload);
        self.take_in(now);
        Ok(taken?)
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.gate.look(now);
        self.node.handle_timeout(now);
        self.try_again(now);
        self.give_up(now);
        self.take_in(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit<Departure>> {
        if !self.gate.lets_out() {
            return None;
        }
        let Transmit { to, payload } = self.node.poll_transmit()?;
        if to.destination == self.home_agent {
            self.gate.updated();
        }
        let to = departing(&to);
        Some(Transmit { to, payload })
    }

    /// Nothing falls due while nothing can be sent.
    fn poll_timeout(&self) -> Option<SimTime> {
        let own = self.command.as_ref().map(|command| command.until);
        let due = earlier(earlier(own, self.again), self.node.poll_timeout());
        earlier(due, self.gate.opens()).filter(|_| !self.gate.is_away())
    }

    fn poll_event(&mut self) -> Option<Told> {
        let told = self.told.pop_front();
        told.or_else(|| self.steps.pop_front().map(Told::Step))
    }
}
