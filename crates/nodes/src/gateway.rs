//! [`Gateway`]: who asks it by HTTP (RFC 8075), or by CoAP over a WebSocket (RFC 8323), asks a node by CoAP.
//!
//! The node is named by its permanent address, and located, waited for and followed by whatever mobility the gateway's
//! own node has, as it is for polls. What is asked goes out by the node's CoAP endpoint, which keeps NSTART.
//!
//! | module | holds |
//! | --- | --- |
//! | `uri` | a CoAP URI within an HTTP one, and as it is |
//! | `media` | media types and Content-Formats |
//! | `ask` | what is asked by HTTP, in CoAP's words |
//! | `proxy` | what is asked by CoAP, of whom |
//! | `answer` | what is answered, in HTTP's words |
//! | `refusal` | what the gateway says by itself, in both |
//! | `call` | what was asked, and who waits for it |
//! | `observed` | something that is observed, for all who follow it |
//! | `sockets` | connections of CoAP over WebSockets |
//! | `behind` | the Message ID of what the node said |
//! | `known` | the nodes that it knows, and which are on their way |
//! | `page` | a client in a browser |

mod answer;
mod ask;
mod behind;
mod call;
mod known;
#[cfg(test)]
mod loopback;
mod media;
mod observed;
mod page;
mod proxy;
mod refusal;
mod sockets;
#[cfg(test)]
mod tests;
mod uri;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use anyhow::Result;
use axum::http::StatusCode;
use coap::link::{self, Link};
use coap::message::PORT;
use coap::{Failure, Reliability};
use service::{CallFailure, CallId, Node, Outcome, Reach, Report, Service, Tally, Target};
use topology::kind::http::HttpAddress;
use topology::kind::http_gateway::HttpGatewayPlan;
use units::Rng;
use units::SimTime;

use crate::host::{Host, earlier, now};
use crate::web::{Answer, Asked, Bell, Door, Heard, Reply, Request, Settings};
use ask::{Asking, Wish};
use call::{Call, Waiting, Who};
use known::Known;
use observed::Observed;
use refusal::Refusal;
use sockets::{Asker, Sockets};

/// What was asked and has not ended, at most, which is more than connections of HTTP can have: of more, one for which nobody waits any more is
/// given up, and without such a one more is answered 503 (RFC 8075 §8.1).
const MAX_CALLS: usize = 1536;

/// What a [`Gateway`] is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Config {
    /// Whether it may change something.
    writes: bool,
    /// So long a GET waits for a node that is kept back.
    wait: Duration,
    /// The permanent addresses that the node's mobility locates.
    located: BTreeSet<Ipv6Addr>,
    /// Its origin, `http://[2001:db8::1]:8080`, if others than the node's own programs reach it.
    origin: Option<String>,
    /// The nodes that its page offers.
    nodes: BTreeMap<String, SocketAddrV6>,
}

/// A gateway from HTTP to CoAP; a [`Service`].
#[derive(Debug)]
pub(crate) struct Gateway {
    config: Config,
    door: Door,
    sockets: Sockets,
    known: Known,
    calls: BTreeMap<CallId, Call>,
    /// The scenario is over.
    is_over: bool,
    tally: Tally,
    reports: VecDeque<Report>,
}

/// The gateway of the plan, which rings `bell` when somebody asks it something.
///
/// # Errors
/// When HTTP's port is not to be had.
pub(crate) fn gateway(host: &Host, plan: &HttpGatewayPlan, bell: &Bell) -> Result<Gateway> {
    let everywhere = plan.http.address == HttpAddress::Any;
    let settings = Settings {
        port: plan.http.port,
        everywhere,
        sockets: Some(sockets::AT),
    };
    let door = Door::open(settings, bell.clone(), &[&host.name])?;
    tracing::info!(at = ?door.at, write = plan.http.write, "gateway from HTTP");
    let origin = format!("http://[{}]:{}", plan.address, plan.http.port);
    let config = Config {
        writes: plan.http.write,
        wait: plan.wait,
        located: plan.located.iter().copied().collect(),
        origin: everywhere.then_some(origin),
        nodes: (plan.nodes.iter())
            .map(|(name, address)| (name.clone(), SocketAddrV6::new(*address, PORT, 0, 0)))
            .collect(),
    };
    let rng = host.protocol_rng("websockets");
    Ok(Gateway::new(now(), config, door, rng))
}

impl Gateway {
    /// `rng`: for the connections over WebSockets.
    fn new(now: SimTime, config: Config, door: Door, rng: Rng) -> Gateway {
        let target = |at| target(&config.located, at).ok();
        Gateway {
            known: Known::new(now, config.writes, &config.nodes, target),
            sockets: Sockets::new(rng),
            config,
            door,
            calls: BTreeMap::new(),
            is_over: false,
            tally: Tally::default(),
            reports: VecDeque::new(),
        }
    }

    /// Does one thing that is asked; `false` if there is none.
    fn take(&mut self, now: SimTime, node: &mut dyn Node) -> bool {
        match self.door.take() {
            None => return false,
            Some(Asked::Left) => self.forget_left(now, node),
            Some(Asked::Request(request, reply)) => self.answer(now, &request, reply, node),
            Some(Asked::Socket(heard)) => self.hear(now, heard, node),
        }
        true
    }

    /// Something was asked by HTTP.
    fn answer(&mut self, now: SimTime, request: &Request, reply: Reply, node: &mut dyn Node) {
        let answer = match Wish::of(request, self.config.writes) {
            Err(refusal) => Answer::Whole(refusal.http()),
            // "The context URI of the link may be equal to the HTTP origin of the discovery request: in that case, the
            // anchor parameter is not needed" (RFC 8075 §5.5).
            Ok(Wish::Discover(asked)) => {
                let links = [own_link(None), known_link()];
                Answer::Whole(answer::links(link::answer(&asked, &links)))
            }
            Ok(Wish::Nodes { follows: true }) if self.is_over => Answer::Whole(over().http()),
            Ok(Wish::Nodes { follows }) => {
                self.known.refresh(now, node, &mut self.sockets);
                let follows = follows.then_some(request.last_event);
                self.known.answer(now, follows, &self.door)
            }
            Ok(Wish::Page) => Answer::Whole(page::answer()),
            Ok(Wish::Ask(asking)) => {
                return self.ask(now, asking, request.last_event, Who::Http(reply), node);
            }
        };
        reply.send(answer);
    }

    /// Something was said by CoAP over a WebSocket.
    fn hear(&mut self, now: SimTime, heard: Heard, node: &mut dyn Node) {
        match heard {
            Heard::Opened(socket) => return self.sockets.open(now, socket),
            Heard::Closed(id) => self.sockets.close(id),
            Heard::Said(id, message, _taken) => {
                for (asker, request) in self.sockets.hear(now, id, &message) {
                    self.answer_coap(now, asker, request, node);
                }
            }
        }
        // An observation may have ended with it.
        self.forget_left(now, node);
    }

    fn answer_coap(
        &mut self,
        now: SimTime,
        asker: Asker,
        request: coap::Request,
        node: &mut dyn Node,
    ) {
        let response = match proxy::wish(request, self.config.writes) {
            Err(refusal) => refusal,
            Ok(Wish::Discover(asked)) => {
                let links: Vec<Link> = self.links().into_iter().chain([known_link()]).collect();
                link::answer(&asked, &links)
            }
            Ok(Wish::Nodes { follows: true }) if self.is_over => over().coap(),
            Ok(Wish::Nodes { follows }) => {
                self.known.refresh(now, node, &mut self.sockets);
                let sockets = &mut self.sockets;
                return self.known.respond(now, follows, asker, sockets);
            }
            Ok(Wish::Ask(asking)) => {
                return self.ask(now, asking, None, Who::Coap(asker), node);
            }
            // It is a page of HTTP's alone.
            Ok(Wish::Page) => Refusal::new(StatusCode::NOT_FOUND, "by HTTP").coap(),
        };
        self.sockets.respond(now, asker, response);
    }

    fn ask(
        &mut self,
        now: SimTime,
        asking: Asking,
        last_event: Option<u64>,
        who: Who,
        node: &mut dyn Node,
    ) {
        let sockets = &mut self.sockets;
        let target = match target(&self.config.located, asking.at) {
            Ok(target) => target,
            Err(refusal) => return who.refuse(now, sockets, &refusal),
        };
        if self.is_over {
            return who.refuse(now, sockets, &over());
        }
        let is_safe = asking.request.method.is_safe();
        let waiting = Waiting {
            who,
            since: now,
            due: is_safe.then_some(now + self.config.wait),
        };
        // "If a response has still to come, the HTTP requests will wait on the open CoAP request" (RFC 8075 §8.1).
        let open = self
            .calls
            .values_mut()
            .find(|call| is_safe && !call.is_given_up && call.asking == asking);
        if let Some(call) = open {
            return call.join(now, waiting, last_event, &self.door, sockets);
        }
        if !self.has_room(now, node) {
            let reason = "as many requests as there may be have no response yet: wait for some";
            return (waiting.who).refuse(now, &mut self.sockets, &Refusal::busy(reason));
        }
        self.tally.requested += 1;
        let request = asking.request.clone();
        let call = match asking.observes {
            true => node.observe(now, target, Reliability::Confirmable, request),
            false => node.ask(now, target, Reliability::Confirmable, request),
        };
        let observed = asking.observes.then(|| Observed::new(now));
        let call_of = Call {
            asking,
            target,
            waiting: vec![waiting],
            observed,
            is_given_up: false,
        };
        self.calls.insert(call, call_of);
    }

    /// Whether one more may be asked; the oldest for which nobody waits any more makes room for it.
    fn has_room(&mut self, now: SimTime, node: &mut dyn Node) -> bool {
        let open = self.calls.values().filter(|call| !call.is_given_up).count();
        if open < MAX_CALLS {
            return true;
        }
        let sockets = &mut self.sockets;
        let mut all = self.calls.iter_mut();
        let left = all.find_map(|(id, call)| {
            let is_left = !call.is_given_up && call.is_left(sockets);
            is_left.then_some((id, call))
        });
        if let Some((id, call)) = left {
            // It ends as a request does that has no response.
            call.is_given_up = true;
            node.stop_observing(now, *id);
            return true;
        }
        false
    }

    /// Ends what nobody follows any more.
    fn forget_left(&mut self, now: SimTime, node: &mut dyn Node) {
        self.calls.retain(|id, call| {
            let goes_on = call.is_wanted(&mut self.sockets);
            if !goes_on {
                node.stop_observing(now, *id);
            }
            goes_on
        });
        self.known.forget_left(&mut self.sockets);
    }

    /// A state of what is observed has come, whole or not: `tell` tells it. Gives whose it is.
    fn told(
        &mut self,
        now: SimTime,
        id: CallId,
        node: &mut dyn Node,
        tell: impl FnOnce(&mut Observed, &mut Sockets),
    ) -> Option<Target> {
        let call = self.calls.get_mut(&id)?;
        let observed = call.observed.as_mut()?;
        self.tally.answered += u64::from(!observed.is_notified());
        for waiting in call.waiting.drain(..) {
            observed.follow_first(waiting, &self.door, &self.sockets);
        }
        tell(observed, &mut self.sockets);
        let target = call.target;
        if self.is_over || !call.is_wanted(&mut self.sockets) {
            let removed = self.calls.remove(&id);
            node.stop_observing(now, id);
            if let Some(observed) = removed.and_then(|call| call.observed) {
                observed.leave(now, &over().coap(), &mut self.sockets);
            }
        }
        Some(target)
    }

    /// A call has ended, with a response or without one.
    fn ended(&mut self, now: SimTime, call: Call, ended: Result<coap::Response, CallFailure>) {
        let target = call.target;
        let last = ended.as_ref().map_err(Refusal::failed);
        let notified = call.observed.filter(Observed::is_notified);
        if let Some(observed) = notified {
            let (status, reason) = match &last {
                Ok(response) => (
                    answer::whole(&call.asking, response).status,
                    format!("the node answered {}", response.code),
                ),
                Err(refusal) => (refusal.status, refusal.reason.clone()),
            };
            // A success would not end an observation (RFC 7641 §4.2).
            let last = match last {
                Ok(response) if response.code.is_success() => Refusal::busy(&reason).coap(),
                Ok(response) => proxy::forwarded(response),
                Err(refusal) => refusal.coap(),
            };
            observed.end(now, &answer::end(status, &reason), &last, &mut self.sockets);
            self.reports
                .push_back(Report::ObservationEnded { target, reason });
            return;
        }
        for waiting in call.waiting {
            match &last {
                Ok(response) => {
                    (waiting.who).answer(now, &mut self.sockets, &call.asking, response);
                }
                Err(refusal) => waiting.who.refuse(now, &mut self.sockets, refusal),
            }
        }
        match ended {
            Ok(_) => self.tally.answered += 1,
            Err(reason) => {
                self.tally.fail(&reason);
                self.reports
                    .push_back(Report::RequestFailed { target, reason });
            }
        }
    }

    /// Answers who has waited so long for a node that is kept back, or for a state that is fresh.
    fn give_up(&mut self, now: SimTime, node: &mut dyn Node) {
        let is_due = |call: &Call| call.due().is_some_and(|due| due <= now);
        if !self.calls.values().any(is_due) {
            return;
        }
        let wait = self.config.wait;
        for call in self.calls.values_mut().filter(|call| is_due(call)) {
            if let Some(observed) = &mut call.observed {
                observed.give_up(now, &mut self.sockets);
            }
            let kept_back = node.kept_back_since(call.target);
            for mut waiting in std::mem::take(&mut call.waiting) {
                if waiting.due.is_some_and(|due| due <= now) {
                    // Who is not kept back may be from now on.
                    let since = kept_back.map_or(now, |since| since.max(waiting.since));
                    waiting.due = Some(since + wait);
                }
                match waiting.due {
                    Some(due) if due <= now => {
                        let reason =
                            "the node is on its way to another place, or asleep: ask again";
                        let refusal = Refusal::busy(reason);
                        waiting.who.refuse(now, &mut self.sockets, &refusal);
                    }
                    _ => call.waiting.push(waiting),
                }
            }
        }
        // Whoever was answered may have been the last.
        self.forget_left(now, node);
    }
}

/// What is answered when the scenario is over.
fn over() -> Refusal {
    Refusal::busy("the scenario is over")
}

/// Whom a request is for, where `located` are found by the node's mobility.
fn target(located: &BTreeSet<Ipv6Addr>, at: SocketAddrV6) -> Result<Target, Refusal> {
    match located.contains(at.ip()) {
        false => Ok(Target::Address(at)),
        true if at.port() == PORT => Ok(Target::Node(*at.ip())),
        true => {
            let reason = format!(
                "{} is found by its mobility, and asked at port {PORT}",
                at.ip()
            );
            Err(Refusal::new(StatusCode::BAD_REQUEST, &reason))
        }
    }
}

/// The link to the nodes that the gateway knows.
fn known_link() -> Link {
    Link {
        content_format: Some(known::JSON),
        observable: true,
        ..Link::new(known::PATH)
    }
}

/// The link to the gateway: "on the CoAP side, the link associated with the core.hc resource always needs an explicit
/// anchor parameter referring to the HTTP origin" (RFC 8075 §5.5).
fn own_link(anchor: Option<String>) -> Link {
    Link {
        anchor,
        types: vec!["core.hc".to_owned()],
        ..Link::new(uri::BASE)
    }
}

impl Service for Gateway {
    fn links(&self) -> Vec<Link> {
        let origin = self.config.origin.clone();
        origin
            .map(|origin| own_link(Some(origin)))
            .into_iter()
            .collect()
    }

    /// What somebody asks by HTTP is asked at once, whatever the node can do: the node keeps back what has to wait.
    fn poll_timeout(&self, _: Reach) -> Option<SimTime> {
        let asked = self.door.waits().then_some(SimTime::ZERO);
        let due = earlier(asked, self.sockets.poll_timeout());
        self.calls.values().map(Call::due).fold(due, earlier)
    }

    fn handle_timeout(&mut self, now: SimTime, _: Reach, node: &mut dyn Node) {
        while self.take(now, node) {}
        self.give_up(now, node);
        self.sockets.handle_timeout(now);
    }

    fn located(&mut self, now: SimTime, node: &mut dyn Node) {
        if self.known.is_followed() {
            self.known.refresh(now, node, &mut self.sockets);
        }
    }

    fn handle_outcome(&mut self, now: SimTime, id: CallId, outcome: Outcome, node: &mut dyn Node) {
        let outcome = behind::told(outcome);
        let ended = match outcome {
            Outcome::Notified {
                sequence, response, ..
            } => {
                let mut missed = 0;
                let tell = |observed: &mut Observed, sockets: &mut Sockets| {
                    missed = observed.notified(now, sequence, &response, sockets);
                };
                if let Some(target) = self.told(now, id, node, tell) {
                    (self.known).missed(now, target, missed, &mut self.sockets);
                }
                return;
            }
            Outcome::NotificationLost { sequence, reason } => {
                let mut missed = 0;
                let tell = |observed: &mut Observed, _: &mut Sockets| {
                    missed = observed.lost(now, sequence, &reason.to_string());
                };
                if let Some(target) = self.told(now, id, node, tell) {
                    (self.known).missed(now, target, missed, &mut self.sockets);
                    self.reports
                        .push_back(Report::NotificationLost { target, reason });
                }
                return;
            }
            Outcome::Answered { response, .. } => Ok(response),
            // Of what wants a response.
            Outcome::Sent => Err(CallFailure::Exchange(Failure::NoResponse)),
            Outcome::Failed(reason) => Err(reason),
        };
        if let Some(call) = self.calls.remove(&id) {
            self.ended(now, call, ended);
        }
    }

    fn drain(&mut self, now: SimTime, node: &mut dyn Node) {
        self.is_over = true;
        let over = over().coap();
        self.known.end(now, &over, &mut self.sockets);
        self.calls.retain(|id, call| {
            let Some(observed) = call.observed.take_if(|observed| observed.is_notified()) else {
                return true;
            };
            observed.leave(now, &over, &mut self.sockets);
            node.stop_observing(now, *id);
            false
        });
    }

    fn tally(&self) -> Tally {
        self.tally.clone()
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }
}
