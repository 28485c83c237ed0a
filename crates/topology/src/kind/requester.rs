//! What a node asks others: CoAP requests, again and again, or once to observe.

mod options;

use std::net::Ipv6Addr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::quantity::{duration, format_duration};

use super::{Node, Served, Serves, ServiceFacts};
use crate::decode::{At, Decode, Decoder};
use crate::diagnostic::{Span, alternatives};
use crate::plan::{Bytes, NodeName};
use crate::resolve::timers::s;
use crate::resolve::{Context, NO_ADDRESS, Resolver, or};
use crate::scalar::{ContentFormat, HexBytes, words};
use crate::tree::{Tree, Value};

/// The polls of a node.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct Polls(pub(super) Vec<Poll>);

impl Decode for Polls {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        Decode::decode(tree, d).map(Polls)
    }
}

impl Serves for Polls {
    fn asks(&self) -> bool {
        !self.0.is_empty()
    }

    fn asked(&self) -> Vec<&str> {
        self.0.iter().map(|poll| poll.node.as_str()).collect()
    }
}

tables! {
    /// A periodic request, or an observation.
    pub struct Poll {
        /// The node asked: one that serves resources. Of a group, each.
        pub node: At<String>,
        /// Path of the resource; default the node's only one.
        pub path: Option<At<String>>,
        /// Method; default GET. With `observe` GET or FETCH. All but these need a resource that is
        /// `writable`.
        pub method: Option<At<Method>>,
        /// What follows `?` in the URI, part by part: `[unit=K]`.
        pub query: Option<Vec<At<String>>>,
        /// Body of the request: text, or `{ hex: 0a0b }`.
        pub payload: Option<Payload>,
        /// Content-Format of the body, by number or name; default none. A FETCH needs one (RFC 8132
        /// §2.3.1).
        pub content_format: Option<At<ContentFormat>>,
        /// Content-Format that is asked for (Accept), by number or name; default none.
        pub accept: Option<At<ContentFormat>>,
        /// Further options. Not those that other keys stand for (3, 7, 35: `node`, 6: `observe`,
        /// 11: `path`, 12: `content_format`, 15: `query`, 17: `accept`), nor blocks (23, 27),
        /// which the node makes.
        pub options: Option<Vec<CoapOption>>,
        /// Period; over 0 s; default 1 s. Not with `observe`.
        pub every: Option<At<Duration>>,
        /// Whether the period is constant, or the mean of exponential ones; default `periodic`.
        /// Not with `observe`.
        pub arrivals: Option<At<Arrivals>>,
        /// Scenario time before which nothing is asked; shorter than the scenario; default 0 s.
        pub start: Option<At<Duration>>,
        /// From `start` to the first request; shorter than `every`; default from the seed, so that
        /// what is asked equally often is out of step. Not with `observe`.
        pub phase: Option<At<Duration>>,
        /// Each request comes later than its instant by a random time up to this, without drift;
        /// default 0 s.
        pub jitter: Option<At<Duration>>,
        /// Whether the resource is observed (RFC 7641) instead of asked for again and again: it
        /// has a `changes_every`, or is `writable`; default false.
        pub observe: Option<At<bool>>,
        /// Whether requests are CON, else NON; default true.
        pub confirmable: Option<At<bool>>,
    }

    /// An option of a request.
    pub struct CoapOption {
        /// Its number.
        pub number: At<u32>,
        /// Its value: text, or `{ hex: 0a0b }`; default empty.
        pub value: Option<Payload>,
    }

    /// Bytes in hexadecimal digits.
    pub struct Hex {
        /// The digits.
        pub hex: At<HexBytes>,
    }
}

/// Bytes: text, or hexadecimal digits.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Text.
    Text(At<String>),
    /// Hexadecimal digits.
    Hex(Hex),
}

impl Decode for Payload {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        match tree.value {
            Value::Table(_) => Decode::decode(tree, d).map(Payload::Hex),
            _ => Decode::decode(tree, d).map(Payload::Text),
        }
    }
}

impl JsonSchema for Payload {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Payload".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        crate::schema::parts::one_of([
            generator.subschema_for::<At<String>>(),
            generator.subschema_for::<Hex>(),
        ])
    }
}

impl Payload {
    fn span(&self) -> Span {
        match self {
            Payload::Text(text) => text.span,
            Payload::Hex(hex) => hex.hex.span,
        }
    }

    fn bytes(&self) -> Bytes {
        Bytes(match self {
            Payload::Text(text) => text.value.clone().into(),
            Payload::Hex(hex) => hex.hex.value.0.clone(),
        })
    }
}

/// What a node asks others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequesterPlan {
    /// Request by request.
    pub polls: Vec<PollPlan>,
}

/// A periodic request, or an observation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollPlan {
    /// The node asked.
    pub node: NodeName,
    /// Its permanent address.
    pub address: Ipv6Addr,
    /// Whether that has to be located by the asking node's mobility; otherwise it is asked as it is.
    pub located: bool,
    /// Method.
    pub method: Method,
    /// Path of the resource, `/temperature`.
    pub path: String,
    /// Query, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<String>,
    /// Body of the request; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Bytes>,
    /// Content-Format of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_format: Option<u16>,
    /// Content-Format that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<u16>,
    /// Further options, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<OptionPlan>,
    /// Period.
    #[serde(with = "duration")]
    pub every: Duration,
    /// How the period is meant.
    pub arrivals: Arrivals,
    /// Scenario time of the first request.
    #[serde(with = "duration")]
    pub first: Duration,
    /// Each request is later than its instant by a random time up to this.
    #[serde(with = "duration")]
    pub jitter: Duration,
    /// CON or NON.
    pub confirmable: bool,
    /// Observed (RFC 7641) instead; then the period is unused.
    pub observe: bool,
}

/// An option of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionPlan {
    /// Its number.
    pub number: u16,
    /// Its value.
    pub value: Bytes,
}

/// A request method (RFC 7252 §5.8, RFC 8132).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the standards'.
pub enum Method {
    #[serde(rename = "GET")]
    Get,
    #[serde(rename = "POST")]
    Post,
    #[serde(rename = "PUT")]
    Put,
    #[serde(rename = "DELETE")]
    Delete,
    #[serde(rename = "FETCH")]
    Fetch,
    #[serde(rename = "PATCH")]
    Patch,
    #[serde(rename = "iPATCH")]
    IPatch,
}

words!(
    Method, "GET" => Get, "POST" => Post, "PUT" => Put, "DELETE" => Delete, "FETCH" => Fetch,
    "PATCH" => Patch, "iPATCH" => IPatch
);

impl Method {
    /// Its name, `GET`.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Fetch => "FETCH",
            Method::Patch => "PATCH",
            Method::IPatch => "iPATCH",
        }
    }

    /// Its code, `0.dd` (RFC 7252 §12.1.1, RFC 8132 §6).
    pub fn code(self) -> u8 {
        match self {
            Method::Get => 1,
            Method::Post => 2,
            Method::Put => 3,
            Method::Delete => 4,
            Method::Fetch => 5,
            Method::Patch => 6,
            Method::IPatch => 7,
        }
    }

    /// Whether it changes what it is sent to.
    fn writes(self) -> bool {
        !matches!(self, Method::Get | Method::Fetch)
    }
}

/// When the requests of a poll come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// At a constant rate.
    #[default]
    Periodic,
    /// As a Poisson process: periods are exponential and independent. What happens at an instant
    /// that requests decide, such as a trigger that hears the router by them, then tells nothing
    /// of the next request.
    Poisson,
}

words!(Arrivals, "periodic" => Periodic, "poisson" => Poisson);

impl PollPlan {
    /// What is asked for: path and query as a URI has them, `/temperature?unit=K`.
    pub fn resource(&self) -> String {
        let mut resource = String::new();
        for segment in self.path.split('/').skip(1) {
            resource.push('/');
            push_uri_part(&mut resource, segment, &[]);
        }
        for (index, query) in self.query.iter().enumerate() {
            resource.push(if index == 0 { '?' } else { '&' });
            push_uri_part(&mut resource, query, &['&']);
        }
        resource
    }
}

/// Adds a part to a URI (RFC 7252 §6.5). What would end the part there, `ends` and what ends any, is
/// percent-encoded (RFC 3986 §2.1); other characters stay as people read them.
pub fn push_uri_part(uri: &mut String, part: &str, ends: &[char]) {
    for c in part.chars() {
        if c == '%' || c == '#' || c.is_control() || ends.contains(&c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                uri.push_str(&format!("%{byte:02X}"));
            }
        } else {
            uri.push(c);
        }
    }
}

impl ServiceFacts for RequesterPlan {
    fn is_coap(&self) -> bool {
        true
    }

    fn polls(&self) -> &[PollPlan] {
        &self.polls
    }

    fn describe(&self) -> Vec<String> {
        let first = self.polls.first().map(|poll| match poll.observe {
            true => format!("{} observed", poll.path),
            false => format!("{} every {}", poll.path, format_duration(poll.every)),
        });
        let more = self.polls.len().saturating_sub(1);
        let more = (more > 0).then(|| match more {
            1 => "and 1 more poll".to_owned(),
            _ => format!("and {more} more polls"),
        });
        let title = Some("client".to_owned());
        [title, first, more].into_iter().flatten().collect()
    }
}

impl Polls {
    /// The plan of the service at `path`.
    pub(super) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> RequesterPlan {
        let polls = self.0.iter().enumerate();
        RequesterPlan {
            polls: polls
                .flat_map(|(i, poll)| poll.plans(r, context, &format!("{path}[{i}]")))
                .collect(),
        }
    }
}

impl Poll {
    /// The poll; of a group, one of each of its nodes but `context`'s.
    pub(super) fn plans<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> Vec<PollPlan> {
        let groups = r.groups;
        if self.node.as_str() == context.name {
            let message = format!(
                "`{path}.node`: `{}` would poll itself; name another node",
                context.name
            );
            r.problem(self.node.span, message);
            return Vec::new();
        }
        let Some(members) = groups.get(self.node.as_str()) else {
            return Vec::from_iter(self.plan(r, context, path, &self.node));
        };
        let member = |name: &String| At {
            value: name.clone(),
            span: self.node.span,
        };
        let others = members.iter().filter(|member| *member != context.name);
        let members = others.map(member);
        members
            .filter_map(|node| self.plan(r, context, path, &node))
            .collect()
    }

    /// The poll of one node.
    fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
        node: &At<String>,
    ) -> Option<PollPlan> {
        let every = r.positive(&format!("{path}.every"), self.every, s(1));
        let unread = r.serves_unread(node);
        let fits = |node: &Node| unread || !node.served().is_empty();
        let wanted =
            "a node that serves resources: a mobile-node, a sensor, or one with `resources`";
        let (node, target) = r.named(&format!("{path}.node"), node, wanted, fits)?;
        let resource = self.resource(r, path, target)?;
        let method = or(self.method, Method::Get);
        let observe = self.observed(r, path, resource, method);
        self.check_method(r, path, resource, method);
        Some(PollPlan {
            node: node.to_owned(),
            address: self.address(r, context, path, (node, target)),
            located: target.mobility.is_located() || super::looks_up(r, context.node, target),
            method,
            path: resource.path.to_owned(),
            query: self.queries(r, path),
            payload: self.payload.as_ref().map(Payload::bytes),
            content_format: self.content_format.map(|format| format.value.0),
            accept: self.accept.map(|format| format.value.0),
            options: self.options(r, path),
            every,
            arrivals: or(self.arrivals, Arrivals::Periodic),
            first: self.first(r, path, (node, observe), every),
            jitter: or(self.jitter, Duration::ZERO),
            confirmable: or(self.confirmable, true),
            observe,
        })
    }

    /// The resource asked for.
    fn resource<'n>(
        &self,
        r: &mut Resolver<'_>,
        path: &str,
        target: &'n Node,
    ) -> Option<Served<'n>> {
        let served = target.served();
        let found = match &self.path {
            Some(given) => served.iter().find(|served| served.path == given.value),
            None => served.first().filter(|_| served.len() == 1),
        };
        if found.is_some() || r.serves_unread(&self.node.value) {
            return found.copied();
        }
        let known = alternatives(served.iter().map(|served| served.path));
        let (span, found) = match &self.path {
            Some(given) => (given.span, format!("`{}`", given.value)),
            None => (self.node.span, "nothing".to_owned()),
        };
        let message = format!(
            "`{path}.path`: {found} is not a resource of `{}`, which serves {known}",
            self.node.value
        );
        r.problem(span, message);
        None
    }

    /// Whether the poll observes `resource`, which has to be possible.
    fn observed(
        &self,
        r: &mut Resolver<'_>,
        path: &str,
        resource: Served<'_>,
        method: Method,
    ) -> bool {
        let Some(observe) = self.observe.filter(|observe| observe.value) else {
            return false;
        };
        if !resource.observable {
            let (node, uri) = (&self.node.value, resource.path);
            let message = format!(
                "`{path}.observe`: {uri} of `{node}` does not change; give it a `changes_every`, a \
                 `replay` or `writable: true`"
            );
            r.problem(observe.span, message);
        }
        if method.writes() {
            let message = format!("`{path}.observe`: only GET and FETCH observe (RFC 8132 §2.4)");
            r.problem(observe.span, message);
        }
        let periodic = [
            ("every", self.every.map(|every| every.span)),
            ("phase", self.phase.map(|phase| phase.span)),
            ("arrivals", self.arrivals.map(|arrivals| arrivals.span)),
        ];
        for (key, span) in periodic {
            if let Some(span) = span {
                let message = format!(
                    "`{path}.{key}`: an observed resource is not asked periodically; leave \
                     `{key}` out and say `changes_every` at the resource"
                );
                r.problem(span, message);
            }
        }
        true
    }

    /// A method that writes needs a resource that can be written, and FETCH a Content-Format.
    fn check_method(&self, r: &mut Resolver<'_>, path: &str, resource: Served<'_>, method: Method) {
        if let Some(given) = self.method.filter(|given| given.value == Method::Fetch)
            && self.content_format.is_none()
        {
            let message = format!(
                "`{path}.content_format` is missing: a FETCH says what its body is (RFC 8132 \
                 §2.3.1)"
            );
            r.problem(given.span, message);
        }
        let Some(given) = self
            .method
            .filter(|_| method.writes() && !resource.writable)
        else {
            return;
        };
        let uri = resource.path;
        let message = format!(
            "`{path}.method`: {uri} of `{}` cannot be written; give it `writable: true`",
            self.node.value
        );
        r.problem(given.span, message);
    }

    /// The address by which the node is asked, which the asking node has to be able to find.
    fn address<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
        (name, target): (&'t str, &Node),
    ) -> Ipv6Addr {
        let located = target.mobility.is_located();
        if located && !target.mobility.is_like(&context.node.mobility) {
            let message = format!(
                "`{path}.node`: `{name}` is found by its mobility only, and `{}` does not speak \
                 that; give both the same `mobility`",
                context.name
            );
            r.problem(self.node.span, message);
            return NO_ADDRESS;
        }
        let address = context.network.permanent(name);
        if address == NO_ADDRESS && !located && target.host().is_some() {
            let message = format!(
                "`{path}.node`: nobody knows the address of `{name}` before it has one; give it \
                 `address: slaac`, or a `mobility`"
            );
            r.problem(self.node.span, message);
        }
        address
    }

    /// Scenario time of the first request to `node`.
    fn first(
        &self,
        r: &mut Resolver<'_>,
        path: &str,
        (node, observe): (&str, bool),
        every: Duration,
    ) -> Duration {
        let end = r.topology.scenario.duration.value;
        let start = r.duration(
            &format!("{path}.start"),
            self.start,
            Duration::ZERO,
            |start| start < end,
            &format!("before the scenario's end, {}", format_duration(end)),
        );
        if observe {
            return start;
        }
        let key = format!("{path}.phase");
        let right = format!("shorter than the period, {}", format_duration(every));
        match self.phase {
            Some(given) => {
                start
                    + r.duration(
                        &key,
                        Some(given),
                        given.value,
                        |phase| phase < every,
                        &right,
                    )
            }
            None => start + r.drawn(&[&key, node], every),
        }
    }
}
