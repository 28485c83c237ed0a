//! An HTTP client: it asks nodes through a gateway, as a page or a program elsewhere does.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::quantity::{duration, format_duration};

use super::requester::{Poll, PollPlan};
use super::{Node, NodePlan, Serves, ServiceFacts, ServiceTable, http_gateway};
use crate::decode::At;
use crate::plan::NodeName;
use crate::resolve::timers::s;
use crate::resolve::{Context, NO_ADDRESS, Resolver};

/// CoAP's ports, which over TCP are its, too (RFC 8323 §8.1, §8.2).
const COAP_PORTS: [u16; 2] = [5683, 5684];

/// Where CoAP over WebSockets begins (RFC 8323 §8.3).
const WEBSOCKETS: &str = "/.well-known/coap";

tables! {
    /// A client that asks nodes by HTTP, through a gateway on another node.
    pub struct HttpClient {
        /// The node with the `gateway`, which has `http: { port: 8080, address: any }`.
        pub gateway: At<String>,
        /// What it asks for, again and again or as an event stream.
        pub polls: Vec<HttpPoll>,
        /// So long a response is waited for; over 0 s; default 10 s. Then its connection is closed, and the next request has a new one.
        pub timeout: Option<At<Duration>>,
    }

    /// A periodic GET, or an event stream.
    pub struct HttpPoll {
        /// The node asked: one that serves resources and that the gateway's node finds. Of a group, each.
        pub node: At<String>,
        /// Path of the resource; default the node's only one.
        pub path: Option<At<String>>,
        /// Period; over 0 s; default 1 s. An instant at which the response before is still waited for is left out. Not with
        /// `observe`.
        pub every: Option<At<Duration>>,
        /// Scenario time before which nothing is asked; shorter than the scenario; default 0 s.
        pub start: Option<At<Duration>>,
        /// From `start` to the first request; shorter than `every`; default from the seed. Not with `observe`.
        pub phase: Option<At<Duration>>,
        /// Whether the resource is followed by an event stream (`Accept: text/event-stream`) instead of asked for again and
        /// again: it has a `changes_every`, or is `writable`; default false.
        pub observe: Option<At<bool>>,
    }
}

/// A client that asks nodes by HTTP, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpClientPlan {
    /// The node with the gateway.
    pub gateway: NodeName,
    /// Its address.
    pub address: Ipv6Addr,
    /// Its TCP port.
    pub port: u16,
    /// So long a response is waited for.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Request by request.
    pub polls: Vec<HttpPollPlan>,
}

/// A periodic GET, or an event stream, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpPollPlan {
    /// The node asked.
    pub node: NodeName,
    /// Its permanent address.
    pub address: Ipv6Addr,
    /// Path of the resource, `/temperature`.
    pub path: String,
    /// Period.
    #[serde(with = "duration")]
    pub every: Duration,
    /// Scenario time of the first request.
    #[serde(with = "duration")]
    pub first: Duration,
    /// An event stream instead; then the period is unused.
    pub observe: bool,
}

impl HttpPollPlan {
    /// The request target (RFC 9112 §3.2.1): the node's URI behind the gateway's (RFC 8075 §5.3),
    /// `/hc/coap://%5B2001:db8:1::5%5D/temperature`.
    pub fn target(&self) -> String {
        let mut target = format!("/hc/coap://%5B{}%5D", self.address);
        for byte in self.path.bytes() {
            // RFC 3986 §3.3: pchar, and what parts segments.
            let is_plain = byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
            match is_plain {
                true => target.push(char::from(byte)),
                false => target.push_str(&format!("%{byte:02X}")),
            }
        }
        target
    }

    /// How often it is to be asked in a scenario that lasts so long; an event stream once.
    pub fn due_within(&self, lasts: Duration) -> u64 {
        let left = lasts.saturating_sub(self.first).as_nanos();
        match (self.observe, self.every.as_nanos()) {
            (true, _) | (_, 0) => u64::from(left > 0),
            (false, every) => u64::try_from(left.div_ceil(every)).unwrap_or(u64::MAX),
        }
    }
}

impl From<PollPlan> for HttpPollPlan {
    fn from(poll: PollPlan) -> HttpPollPlan {
        HttpPollPlan {
            node: poll.node,
            address: poll.address,
            path: poll.path,
            every: poll.every,
            first: poll.first,
            observe: poll.observe,
        }
    }
}

impl HttpClient {
    /// The plan of the service at `path`.
    pub(super) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> HttpClientPlan {
        if context.node.has_radio() {
            let message = format!("`{path}`: it runs on the backbone only; put it on a wired node");
            r.problem(r.span_of(context.name), message);
        }
        if self.polls.is_empty() {
            let message =
                format!("`{path}.polls` asks for nothing; name a node, `[{{ node: sensor }}]`");
            r.problem(self.gateway.span, message);
        }
        let gateway = self.gateway(r, context, path);
        let mut polls = Vec::new();
        // Whom the gateway's node finds, this one may ask.
        if let Some((name, node)) = gateway {
            let context = Context {
                name,
                path: format!("nodes.{name}"),
                node,
                network: context.network,
                model: context.model,
            };
            for (i, poll) in self.polls.iter().enumerate() {
                let path = format!("{path}.polls[{i}]");
                polls.extend(poll.as_coap().plans(r, &context, &path));
            }
        }
        let answers = gateway.and_then(|(_, node)| gateway_of(node));
        let of_coap = answers.map(|gateway| gateway.http.port());
        if let Some(port) = of_coap.filter(|port| COAP_PORTS.contains(port)) {
            let message = format!(
                "`{path}.gateway`: no capture is read as HTTP at port {port}, which is CoAP's; give the gateway another one"
            );
            r.problem(self.gateway.span, message);
        }
        let of_websockets = polls.iter().any(|poll| poll.path == WEBSOCKETS);
        if of_websockets {
            let message = format!(
                "`{path}.polls`: a request for `{WEBSOCKETS}` is read as the beginning of a WebSocket; leave it out"
            );
            r.problem(self.gateway.span, message);
        }
        HttpClientPlan {
            gateway: self.gateway.value.clone(),
            address: gateway.map_or(NO_ADDRESS, |(name, _)| context.network.address_of(name)),
            port: answers.map_or(0, |gateway| gateway.http.port()),
            timeout: r.positive(&format!("{path}.timeout"), self.timeout, s(10)),
            polls: polls.into_iter().map(HttpPollPlan::from).collect(),
        }
    }

    /// The node whose gateway is asked, if there is one that answers others than its own node.
    fn gateway<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> Option<(&'t str, &'t Node)> {
        let path = format!("{path}.gateway");
        let fits = |node: &Node| node.wired().is_some() && gateway_of(node).is_some();
        let wanted = "a node on the backbone with a `gateway`";
        let (name, node) = r.named(&path, &self.gateway, wanted, fits)?;
        let wrong = if name == context.name {
            "is its own node, and no capture has what stays there; put them on two nodes"
        } else if !gateway_of(node)?.http.is_for_others() {
            "answers its own node alone; write `http: { port: 8080, address: any }` there"
        } else {
            return Some((name, node));
        };
        r.problem(self.gateway.span, format!("`{path}`: `{name}` {wrong}"));
        None
    }
}

/// The gateway of `node`: of several the first that answers others.
fn gateway_of(node: &Node) -> Option<&http_gateway::HttpGateway> {
    let services = node.services.iter();
    let mut all = services.filter_map(|service| match &service.table {
        ServiceTable::HttpGateway(gateway) => Some(gateway),
        _ => None,
    });
    let first = all.clone().next();
    all.find(|gateway| gateway.http.is_for_others()).or(first)
}

/// Two polls of a node that ask the same gateway for the same in the same way, by what they ask for: no capture tells them apart.
pub(crate) fn alike(node: &NodePlan) -> Vec<String> {
    let mut known = BTreeSet::new();
    let polls = node.http_clients().flat_map(|client| {
        let of = move |poll: &HttpPollPlan| {
            let how = (client.address, client.port, poll.target(), poll.observe);
            (how, format!("{} of `{}`", poll.path, poll.node))
        };
        client.polls.iter().map(of)
    });
    let again = polls.filter_map(|(how, what)| (!known.insert(how)).then_some(what));
    again.collect()
}

impl HttpPoll {
    /// What the gateway's node will ask for it: the same rules hold.
    fn as_coap(&self) -> Poll {
        Poll {
            node: self.node.clone(),
            path: self.path.clone(),
            every: self.every,
            start: self.start,
            phase: self.phase,
            observe: self.observe,
            method: None,
            query: None,
            payload: None,
            content_format: None,
            accept: None,
            options: None,
            arrivals: None,
            jitter: None,
            confirmable: None,
        }
    }
}

impl Serves for HttpClient {}

impl ServiceFacts for HttpClientPlan {
    fn http_client(&self) -> Option<&HttpClientPlan> {
        Some(self)
    }

    fn describe(&self) -> Vec<String> {
        let first = self.polls.first().map(|poll| match poll.observe {
            true => format!("{} followed", poll.path),
            false => format!("{} every {}", poll.path, format_duration(poll.every)),
        });
        let more = self.polls.len().saturating_sub(1);
        let more = (more > 0).then(|| match more {
            1 => "and 1 more poll".to_owned(),
            _ => format!("and {more} more polls"),
        });
        let title = Some(format!("HTTP client of {}", self.gateway));
        [title, first, more].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(path: &str, every_ms: u64, first_ms: u64) -> HttpPollPlan {
        HttpPollPlan {
            node: "sensor".into(),
            address: "2001:db8:1::5".parse().unwrap(),
            path: path.into(),
            every: Duration::from_millis(every_ms),
            first: Duration::from_millis(first_ms),
            observe: false,
        }
    }

    #[test]
    fn a_target_is_a_uri_behind_a_uri() {
        let target = |path| poll(path, 1000, 0).target();
        assert_eq!(
            target("/temperature"),
            "/hc/coap://%5B2001:db8:1::5%5D/temperature"
        );
        assert_eq!(
            target("/é/50%;a=b"),
            "/hc/coap://%5B2001:db8:1::5%5D/%C3%A9/50%25;a=b"
        );
    }

    #[test]
    fn what_is_due_at_the_end_is_not_due() {
        let due = |every, first| poll("/t", every, first).due_within(Duration::from_secs(5));
        assert_eq!(due(1000, 0), 5);
        assert_eq!(due(1000, 999), 5);
        assert_eq!(due(400, 200), 12);
        assert_eq!(due(10_000, 0), 1);
        assert_eq!(due(10_000, 5000), 0);
        let followed = HttpPollPlan {
            observe: true,
            ..poll("/t", 1000, 4000)
        };
        assert_eq!(followed.due_within(Duration::from_secs(5)), 1);
        assert_eq!(followed.due_within(Duration::from_secs(4)), 0);
    }
}
