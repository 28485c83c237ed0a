//! [`Gateway`]: who asks it by HTTP asks a node by CoAP (RFC 8075).
//!
//! The node is named by its permanent address, and located, waited for and followed by whatever mobility the gateway's
//! own node has, as it is for polls. What is asked goes out by the node's CoAP endpoint, which keeps NSTART.
//!
//! | module | holds |
//! | --- | --- |
//! | `uri` | a CoAP URI within an HTTP one |
//! | `media` | media types and Content-Formats |
//! | `ask` | what is asked, in CoAP's words |
//! | `answer` | what is answered, in HTTP's words |
//! | `observed` | something that is observed, for all who follow it |

mod answer;
mod ask;
#[cfg(test)]
mod loopback;
mod media;
mod observed;
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
use units::SimTime;

use crate::host::{Host, earlier};
use crate::web::{Answer, Asked, Bell, Door, Reply, Request, Response, Settings};
use ask::{Asking, Wish};
use observed::Observed;

/// What was asked and has not ended, at most: more is answered 503 (RFC 8075 §8.1).
const MAX_CALLS: usize = 256;

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
}

/// Somebody who waits for an answer.
#[derive(Debug)]
struct Waiting {
    reply: Reply,
    since: SimTime,
    /// When it is seen to whether the node is kept back; none: never.
    due: Option<SimTime>,
}

/// What was asked and has not ended.
#[derive(Debug)]
struct Call {
    asking: Asking,
    target: Target,
    /// Who waits for the response, or for the first state of what is observed.
    waiting: Vec<Waiting>,
    observed: Option<Observed>,
}

/// A gateway from HTTP to CoAP; a [`Service`].
#[derive(Debug)]
pub(crate) struct Gateway {
    config: Config,
    door: Door,
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
    };
    let door = Door::open(settings, bell.clone(), &[&host.name])?;
    tracing::info!(at = ?door.at, write = plan.http.write, "gateway from HTTP");
    let origin = format!("http://[{}]:{}", plan.address, plan.http.port);
    let config = Config {
        writes: plan.http.write,
        wait: plan.wait,
        located: plan.located.iter().copied().collect(),
        origin: everywhere.then_some(origin),
    };
    Ok(Gateway::new(config, door))
}

impl Gateway {
    fn new(config: Config, door: Door) -> Gateway {
        Gateway {
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
        }
        true
    }

    fn answer(&mut self, now: SimTime, request: &Request, reply: Reply, node: &mut dyn Node) {
        let answer = match Wish::of(request, self.config.writes) {
            Err(refusal) => refusal,
            // "The context URI of the link may be equal to the HTTP origin of the discovery request: in that case, the
            // anchor parameter is not needed" (RFC 8075 §5.5).
            Ok(Wish::Discover(asked)) => answer::links(link::answer(&asked, &[own_link(None)])),
            Ok(Wish::Ask(asking)) => match self.target(asking.at) {
                Err(refusal) => refusal,
                Ok(target) => {
                    return self.ask(now, (asking, target), request.last_event, reply, node);
                }
            },
        };
        reply.send(Answer::Whole(answer));
    }

    /// Whom a request is for.
    fn target(&self, at: SocketAddrV6) -> Result<Target, Response> {
        match self.config.located.contains(at.ip()) {
            false => Ok(Target::Address(at)),
            true if at.port() == PORT => Ok(Target::Node(*at.ip())),
            true => {
                let reason = format!(
                    "{} is found by its mobility, and asked at port {PORT}",
                    at.ip()
                );
                Err(Response::problem(StatusCode::BAD_REQUEST, &reason))
            }
        }
    }

    fn ask(
        &mut self,
        now: SimTime,
        (asking, target): (Asking, Target),
        last_event: Option<u64>,
        reply: Reply,
        node: &mut dyn Node,
    ) {
        let busy = |reply: Reply, reason| reply.send(Answer::Whole(answer::busy(reason)));
        if self.is_over {
            return busy(reply, "the scenario is over");
        }
        let is_safe = asking.request.method.is_safe();
        let waiting = Waiting {
            reply,
            since: now,
            due: is_safe.then_some(now + self.config.wait),
        };
        // "If a response has still to come, the HTTP requests will wait on the open CoAP request" (RFC 8075 §8.1).
        let open = self
            .calls
            .values_mut()
            .find(|call| is_safe && call.asking == asking);
        if let Some(call) = open {
            return call.join(now, waiting, last_event, &self.door);
        }
        if self.calls.len() >= MAX_CALLS {
            let reason = "as many requests as there may be have no response yet: wait for some";
            return busy(waiting.reply, reason);
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
        };
        self.calls.insert(call, call_of);
    }

    /// Ends what nobody follows any more.
    fn forget_left(&mut self, now: SimTime, node: &mut dyn Node) {
        self.calls.retain(|id, call| {
            let goes_on = call.is_wanted();
            if !goes_on {
                node.stop_observing(now, *id);
            }
            goes_on
        });
    }

    /// A state of what is observed has come, whole or not: `tell` tells it. Gives whose it is.
    fn told(
        &mut self,
        now: SimTime,
        id: CallId,
        node: &mut dyn Node,
        tell: impl FnOnce(&mut Observed),
    ) -> Option<Target> {
        let call = self.calls.get_mut(&id)?;
        let observed = call.observed.as_mut()?;
        self.tally.answered += u64::from(!observed.is_notified());
        for waiting in call
            .waiting
            .drain(..)
            .filter(|waiting| waiting.reply.is_awaited())
        {
            waiting
                .reply
                .send(Answer::Stream(observed.follow_first(&self.door)));
        }
        tell(observed);
        let target = call.target;
        if self.is_over || !call.is_wanted() {
            self.calls.remove(&id);
            node.stop_observing(now, id);
        }
        Some(target)
    }

    /// A call has ended, with a response or without one.
    fn ended(&mut self, now: SimTime, call: Call, ended: Result<coap::Response, CallFailure>) {
        let target = call.target;
        let whole = match &ended {
            Ok(response) => answer::whole(&call.asking, response),
            Err(reason) => answer::failed(reason),
        };
        let notified = call.observed.filter(Observed::is_notified);
        if let Some(observed) = notified {
            let reason = match ended {
                Ok(response) => format!("the node answered {}", response.code),
                Err(reason) => reason.to_string(),
            };
            observed.end(now, &answer::end(&whole, &reason));
            self.reports
                .push_back(Report::ObservationEnded { target, reason });
            return;
        }
        match ended {
            Ok(_) => self.tally.answered += 1,
            Err(reason) => {
                self.tally.fail(&reason);
                self.reports
                    .push_back(Report::RequestFailed { target, reason });
            }
        }
        for waiting in call.waiting {
            waiting.reply.send(Answer::Whole(whole.clone()));
        }
    }

    /// Answers who has waited so long for a node that is kept back.
    fn give_up(&mut self, now: SimTime, node: &dyn Node) {
        let wait = self.config.wait;
        for call in self.calls.values_mut() {
            if call.due().is_none_or(|due| due > now) {
                continue;
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
                        waiting.reply.send(Answer::Whole(answer::busy(reason)));
                    }
                    _ => call.waiting.push(waiting),
                }
            }
        }
    }
}

impl Call {
    /// One more wants the same.
    fn join(&mut self, now: SimTime, waiting: Waiting, last_event: Option<u64>, door: &Door) {
        match self
            .observed
            .as_mut()
            .filter(|observed| observed.is_notified())
        {
            Some(observed) => {
                let reader = observed.follow(now, last_event, door);
                waiting.reply.send(Answer::Stream(reader));
            }
            None => {
                // Who leaves at once would else be any number.
                self.waiting.retain(|waiting| waiting.reply.is_awaited());
                self.waiting.push(waiting);
            }
        }
    }

    /// Whether somebody follows it. What is not observed, or has no state yet, ends by itself.
    fn is_wanted(&mut self) -> bool {
        let observed = self.observed.as_mut();
        observed.is_none_or(|observed| !observed.is_notified() || observed.is_followed())
    }

    /// When it is seen to who waits.
    fn due(&self) -> Option<SimTime> {
        self.waiting.iter().filter_map(|waiting| waiting.due).min()
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
        self.calls.values().map(Call::due).fold(asked, earlier)
    }

    fn handle_timeout(&mut self, now: SimTime, _: Reach, node: &mut dyn Node) {
        while self.take(now, node) {}
        self.give_up(now, node);
    }

    fn handle_outcome(&mut self, now: SimTime, id: CallId, outcome: Outcome, node: &mut dyn Node) {
        let ended = match outcome {
            Outcome::Notified { response, .. } => {
                let tell = |observed: &mut Observed| observed.notified(now, &response);
                self.told(now, id, node, tell);
                return;
            }
            Outcome::NotificationLost { reason, .. } => {
                let tell = |observed: &mut Observed| observed.lost(now, &reason.to_string());
                if let Some(target) = self.told(now, id, node, tell) {
                    self.reports
                        .push_back(Report::NotificationLost { target, reason });
                }
                return;
            }
            Outcome::Answered(response) => Ok(response),
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
        self.calls.retain(|id, call| {
            let is_notified = call.observed.as_ref().is_some_and(Observed::is_notified);
            if is_notified {
                node.stop_observing(now, *id);
            }
            !is_notified
        });
    }

    fn tally(&self) -> Tally {
        self.tally.clone()
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }
}
