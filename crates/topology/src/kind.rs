//! What a node is: its place, how it stays reachable when it moves, and what runs on it.
//!
//! ```text
//! node = place (wired | radio | router) + mobility (none | a protocol) + services [ … ]
//! ```
//!
//! This file is the register of kinds: a new protocol or service has a file of its own, which holds
//! its tables, its plan, its resolution and its description, and one line in each list here that it
//! belongs to. The rest of this crate, and other crates, ask a [`NodePlan`] what they need to know
//! and match no names.
//!
//! | module | holds |
//! | --- | --- |
//! | [`wired`], [`router`], [`radio`] | the places |
//! | [`antenna`] | the radio of a host or a router |
//! | [`handover`] | when a radio leaves its router, and how it looks for others |
//! | [`comp`] | CoMP and CoMM as a node's mobility, and their server |
//! | [`mip6`] | Mobile IPv6 and its kin as a node's mobility, and their parties on the backbone |
//! | [`lwm2m`] | LwM2M clients and servers |
//! | [`http`] | where a service answers HTTP |
//! | [`http_gateway`] | from HTTP to CoAP |
//! | [`http_client`] | who asks a gateway by HTTP |
//! | [`sensors`] | CoAP resources |
//! | [`requester`] | CoAP requests |
//! | [`dhcpv6_server`] | DHCPv6 |
//! | [`program`] | programs of the user's |
//! | [`role`] | shorthands for combinations of these |

pub mod antenna;
pub mod comp;
pub mod dhcpv6_server;
mod facts;
pub mod handover;
pub mod http;
pub mod http_client;
pub mod http_gateway;
pub mod lwm2m;
pub mod mip6;
mod node;
pub mod program;
pub mod radio;
pub mod requester;
pub mod role;
pub mod router;
pub mod sensors;
mod served;
mod service;
pub mod wired;

use std::net::Ipv6Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::{At, Block, Decode, Decoder};
use crate::diagnostic::{Source, Span, alternatives, misspelt, not_a_word};
use crate::file::Coap;
use crate::resolve::{Context, Resolver};
use crate::scalar::{ScalarKind, ScalarText};
use crate::tree::{Tree, Value};

use antenna::Antenna;
pub use facts::SecurityAssociation;
pub(crate) use facts::{MobilityFacts, ServiceFacts};
pub use lwm2m::operation::Lwm2mOperation as DeviceOperation;
pub use lwm2m::step::OperatePlan;
pub(crate) use mip6::anchor_point_of;
use mip6::proxy;
pub use mip6::proxy::gateway::GatewayPlan;
pub(crate) use mip6::proxy::gateway::gateway_of;
pub use node::NodePlan;
pub(crate) use served::{OwnPrefix, Served, Serves};
pub use service::{Listed, Service, ServiceKeys};

/// Paths that protocols have for themselves.
const RESERVED_PATHS: &[&str] = &["/.well-known/core", comp::PATH];

/// Whether a node without mobility is looked up by the one that asks it.
pub(crate) use comp::looks_up;
/// The settings of the protocol that shorthands have by default: as keys of the node itself.
pub(crate) use comp::{Given as DefaultGiven, Handed as DefaultHanded, Reached as DefaultReached};

tagged! {
    /// A node by the word for what it is most often: a shorthand for a place, a mobility and
    /// services.
    pub enum Role by "role" {
        /// 6LoWPAN edge router.
        "edge-router" => EdgeRouter(Box<router::EdgeRouter>),
        /// DHCPv6 server.
        "dhcpv6-server" => Dhcpv6Server(Box<role::Dhcpv6ServerNode>),
        /// WoT Mobility Management System.
        "wmms" => Wmms(Box<comp::wmms::WmmsNode>),
        /// Home agent.
        "home-agent" => HomeAgent(Box<mip6::agent::HomeAgentNode>),
        /// Mobility anchor point.
        "map" => Map(Box<mip6::agent::MapNode>),
        /// Local mobility anchor.
        "lma" => Lma(Box<proxy::anchor::LmaNode>),
        /// CoAP client.
        "client" => Client(Box<role::Client>),
        /// Mobile CoAP node.
        "mobile-node" => MobileNode(Box<role::MobileNode>),
        /// CoAP node with a radio that stays where it is.
        "sensor" => Sensor(Box<role::Sensor>),
        /// A program of the user's.
        "program" => Program(Box<role::ProgramNode>),
    }
}

impl Role {
    fn expand(self, d: &mut Decoder) -> Node {
        match self {
            Role::EdgeRouter(table) => table.expand(d),
            Role::Dhcpv6Server(table) => table.expand(d),
            Role::Wmms(table) => table.expand(d),
            Role::HomeAgent(table) => table.expand(d),
            Role::Map(table) => table.expand(d),
            Role::Lma(table) => table.expand(d),
            Role::Client(table) => table.expand(d),
            Role::MobileNode(table) => table.expand(d),
            Role::Sensor(table) => table.expand(d),
            Role::Program(table) => table.expand(d),
        }
    }
}

tagged! {
    /// A node by its place.
    pub enum AtPlace by "place" {
        /// On the backbone.
        "wired" => Wired(Box<wired::WiredNode>),
        /// With a radio.
        "radio" => Radio(Box<radio::RadioNode>),
        /// Between the two.
        "router" => Router(Box<router::RouterNode>),
    }
}

impl AtPlace {
    fn expand(self, d: &mut Decoder) -> Node {
        match self {
            AtPlace::Wired(table) => table.expand(d),
            AtPlace::Radio(table) => table.expand(d),
            AtPlace::Router(table) => table.expand(d),
        }
    }
}

/// A table of a node as what it stands for.
pub(crate) trait Expand {
    /// The node.
    fn expand(self, d: &mut Decoder) -> Node;
}

/// A node, whatever words the file has for it.
#[derive(Clone, Debug)]
pub struct Node {
    /// The word that the file has: its role, or its place.
    pub kind: &'static str,
    /// Where it is.
    pub place: Place,
    /// How it stays reachable.
    pub mobility: Mobility,
    /// What runs on it.
    pub services: Vec<Service>,
    /// CoAP parameters.
    pub coap: Option<Block<Coap>>,
}

/// Where a node is.
#[derive(Clone, Debug)]
pub enum Place {
    /// On the backbone.
    Wired(wired::Wired),
    /// At a router, by radio.
    Radio(Box<radio::Radio>),
    /// Between the two.
    Router(Box<router::Router>),
}

impl Decode for Node {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Node> {
        if let Value::Scalar(scalar) = &tree.value
            && let Some(role) = misspelt(&scalar.text, Role::WORDS)
        {
            let text = &scalar.text;
            d.report(
                tree.span,
                format!("`{text}` is not a table; write `{{ role: {role} }}`"),
            );
            return None;
        }
        let place: Option<At<String>> = d.table_key(tree, "place")?;
        match place {
            Some(_) => AtPlace::decode(tree, d).map(|table| table.expand(d)),
            None => Role::decode(tree, d).map(|table| table.expand(d)),
        }
    }
}

impl JsonSchema for Node {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Node".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        crate::schema::parts::one_of([
            generator.subschema_for::<Role>(),
            generator.subschema_for::<AtPlace>(),
        ])
    }
}

impl Node {
    /// Whether it has a radio.
    pub fn has_radio(&self) -> bool {
        !matches!(self.place, Place::Wired(_))
    }

    /// Whether it is an edge router.
    pub fn is_router(&self) -> bool {
        matches!(self.place, Place::Router(_))
    }

    /// Its router's part, if it is one.
    pub(crate) fn router(&self) -> Option<&router::Router> {
        match &self.place {
            Place::Router(router) => Some(router),
            _ => None,
        }
    }

    /// Its part as a host with a radio, if it is one.
    pub(crate) fn host(&self) -> Option<&radio::Radio> {
        match &self.place {
            Place::Radio(radio) => Some(radio),
            _ => None,
        }
    }

    /// Its interface on the backbone, if it has one.
    pub(crate) fn wired(&self) -> Option<&wired::Wired> {
        match &self.place {
            Place::Wired(wired) => Some(wired),
            Place::Router(router) => Some(&router.wired),
            Place::Radio(_) => None,
        }
    }

    /// Its radio, if it has one.
    pub(crate) fn antenna(&self) -> Option<&Antenna> {
        match &self.place {
            Place::Radio(radio) => Some(&radio.antenna),
            Place::Router(router) => Some(&router.antenna),
            Place::Wired(_) => None,
        }
    }

    /// Its radio, to be changed.
    pub(crate) fn antenna_mut(&mut self) -> Option<&mut Antenna> {
        match &mut self.place {
            Place::Radio(radio) => Some(&mut radio.antenna),
            Place::Router(router) => Some(&mut router.antenna),
            Place::Wired(_) => None,
        }
    }

    /// Whether it can move: its radio looks for other routers.
    pub fn moves(&self) -> bool {
        self.host().is_some_and(|radio| radio.handover.is_some())
    }

    /// What others may ask it for, service by service.
    pub(crate) fn served(&self) -> Vec<Served<'_>> {
        let services = self.services.iter();
        services
            .flat_map(|service| service.table.served())
            .collect()
    }

    /// Whether it asks others by itself.
    pub(crate) fn asks(&self) -> bool {
        let mut services = self.services.iter();
        services.any(|service| service.table.asks())
    }

    /// The nodes, or groups of them, that it asks as far as the file says so.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &str> {
        let services = self.services.iter();
        services.flat_map(|service| service.table.asked())
    }

    /// The prefix that one of its services looks after, and where that stands in the node's table.
    pub(crate) fn own_prefix(&self) -> Option<(&Service, OwnPrefix)> {
        let mut services = self.services.iter();
        services.find_map(|service| Some((service, service.table.prefix()?)))
    }

    /// Whether one of its services is as `which` says.
    pub(crate) fn runs(&self, which: fn(&ServiceTable) -> bool) -> bool {
        self.services.iter().any(|service| which(&service.table))
    }
}

/// The word of `mobility` for a node that nobody helps to stay reachable.
const NO_MOBILITY: &str = "none";

/// Declares the protocols by which a node stays reachable. Several words of one family share a table,
/// a module and a plan; the module is told which word it was.
macro_rules! mobilities {
    ($( $(#[$meta:meta])* $($word:literal)|+, $key:ident => $variant:ident($module:ident); )*) => {
        /// How a node stays reachable when it moves: a protocol, by the word that the file has for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Protocol {
            /// Not at all: its address is what it is.
            None,
            $( $(#[$meta])* $variant(&'static str), )*
        }

        impl Protocol {
            /// That of shorthands that name none.
            pub(crate) const DEFAULT: Protocol = Protocol::Comp("comp");

            const WORDS: &'static [&'static str] = &[NO_MOBILITY, $($($word),+),*];

            /// The word that the file has for it.
            pub(crate) const fn word(self) -> &'static str {
                match self {
                    Protocol::None => NO_MOBILITY,
                    $( Protocol::$variant(word) => word, )*
                }
            }

            /// The words of its family.
            const fn family(self) -> &'static [&'static str] {
                match self {
                    Protocol::None => &[NO_MOBILITY],
                    $( Protocol::$variant(_) => &[$($word),+], )*
                }
            }
        }

        impl crate::decode::Scalar for Protocol {
            fn read(scalar: &ScalarText) -> Result<Self, String> {
                match (scalar.kind, scalar.text.as_str()) {
                    (ScalarKind::Plain | ScalarKind::Quoted, NO_MOBILITY) => Ok(Protocol::None),
                    $($( (ScalarKind::Plain | ScalarKind::Quoted, $word) => {
                        Ok(Protocol::$variant($word))
                    } )+)*
                    (_, other) => Err(not_a_word(other, Protocol::WORDS)),
                }
            }
            fn schema() -> serde_json::Value {
                serde_json::json!({ "type": "string", "enum": Protocol::WORDS })
            }
        }

        tables! {
            /// How a node stays reachable: the protocol, and settings of any of them.
            pub struct MobilityKeys {
                /// The protocol by which the node stays reachable, `none` for none; default of the
                /// roles `client` and `mobile-node` `comp`, of a `place` `none`.
                pub mobility: Option<At<Protocol>>,
                $( $(#[$meta])* pub $key: Option<Block<$module::Settings>>, )*
            }
        }

        impl MobilityKeys {
            /// The mobility that these keys choose. `default` is that of a node that names none, and
            /// `inline` what a shorthand has for the default protocol's own table. Settings of
            /// another protocol than the chosen one are reported.
            pub(crate) fn choose(
                self,
                default: Protocol,
                inline: Option<DefaultGiven>,
                d: &mut Decoder,
            ) -> Mobility {
                let chosen = self.mobility.map_or(default, |given| given.value);
                // One file and another protocol by `--set`: what the file has for its own means nothing.
                let is_set = |span: Span| matches!(span.source, Source::Assignment(_));
                let by_set = self.mobility.is_some_and(|given| is_set(given.span));
                let counts = |span: Span| !by_set || is_set(span);
                $( if let Some(settings) = self.$key.as_ref().filter(|of| counts(of.span)) {
                    chosen.check(&[$($word),+], stringify!($key), settings.span, d);
                } )*
                let inline_keys = inline.iter().flat_map(DefaultGiven::keys);
                for (key, span) in inline_keys.filter(|(_, span)| counts(*span)) {
                    chosen.check(Protocol::DEFAULT.family(), &key, span, d);
                }
                match chosen {
                    Protocol::None => Mobility::None,
                    $( Protocol::$variant(_) => {
                        let given = $module::Given::of(chosen, self.$key, inline, d);
                        Mobility::$variant(Box::new(given))
                    } )*
                }
            }
        }

        /// The protocol of a node with its settings, as the file has them.
        #[derive(Clone, Debug)]
        pub enum Mobility {
            /// None.
            None,
            $( $(#[$meta])* $variant(Box<$module::Given>), )*
        }

        impl Mobility {
            /// The permanent address that the file gives the node.
            pub(crate) fn address(&self) -> Option<At<Ipv6Addr>> {
                match self {
                    Mobility::None => None,
                    $( Mobility::$variant(given) => given.address(), )*
                }
            }

            /// The key of its permanent address.
            pub(crate) fn address_key(&self) -> Option<&'static str> {
                match self {
                    Mobility::None => None,
                    $( Mobility::$variant(_) => $module::Plan::address_key(), )*
                }
            }

            /// The node in whose prefix its permanent address is formed; none: its router.
            pub(crate) fn home<'t>(&self, r: &Resolver<'t>) -> Option<&'t str> {
                match self {
                    Mobility::None => None,
                    $( Mobility::$variant(given) => given.home(r), )*
                }
            }

            /// Whether only those find the node who speak the same protocol.
            pub(crate) fn is_located(&self) -> bool {
                match self {
                    Mobility::None => false,
                    $( Mobility::$variant(_) => $module::LOCATED, )*
                }
            }

            /// Whether it can tell others of a sleep.
            pub(crate) fn announces_sleep(&self) -> bool {
                match self {
                    Mobility::None => false,
                    $( Mobility::$variant(_) => $module::Plan::announces_sleep(), )*
                }
            }

            /// Whether it tells others of the address that the node gets.
            pub(crate) fn tells_address(&self) -> bool {
                match self {
                    Mobility::None => false,
                    $( Mobility::$variant(_) => $module::Plan::tells_address(), )*
                }
            }

            /// The link-local address of the routers that the node hears, and no others.
            pub(crate) fn router_of_its_own(&self) -> Option<Ipv6Addr> {
                match self {
                    Mobility::None => None,
                    $( Mobility::$variant(_) => $module::Plan::router_of_its_own(), )*
                }
            }

            /// Whether `other` is of the same protocol.
            pub(crate) fn is_like(&self, other: &Mobility) -> bool {
                std::mem::discriminant(self) == std::mem::discriminant(other)
            }

            /// The plan of `context`'s node.
            pub(crate) fn plan<'t>(
                &self,
                r: &mut Resolver<'t>,
                context: &Context<'_, 't>,
            ) -> Option<MobilityPlan> {
                match self {
                    Mobility::None => comp::looked_up(r, context).map(MobilityPlan::Comp),
                    $( Mobility::$variant(given) => {
                        Some(MobilityPlan::$variant(given.plan(r, context)))
                    } )*
                }
            }
        }

        /// The protocol by which a node stays reachable, resolved.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum MobilityPlan {
            $( $(#[$meta])* $variant($module::Plan), )*
        }

        impl MobilityPlan {
            /// What the protocol's plan says for other crates.
            fn facts(&self) -> &dyn MobilityFacts {
                match self { $( MobilityPlan::$variant(plan) => plan, )* }
            }
        }
    };
}

impl Protocol {
    /// Reports `key`, a setting of the protocols `of`, if this is none of them.
    fn check(self, of: &[&str], key: &str, span: Span, d: &mut Decoder) {
        if self.family() != of {
            let words = of.iter().map(|word| format!("mobility: {word}"));
            let words: Vec<String> = words.collect();
            let (own, others) = (self.word(), alternatives(words.iter().map(String::as_str)));
            let message = format!(
                "`{key}` is a setting of {others}, and the node has `mobility: {own}`; \
                 write {others}, or remove it"
            );
            d.report(span, message);
        }
    }
}

mobilities! {
    /// CoMP, and CoMM.
    "comp", comp => Comp(comp);
    /// Mobile IPv6, and Hierarchical Mobile IPv6.
    "mipv6" | "mipv6-ro" | "hmipv6", mipv6 => Mip6(mip6);
    /// Proxy Mobile IPv6.
    "pmipv6", pmipv6 => Proxy(proxy);
}

/// Declares the services.
macro_rules! services {
    ($( $(#[$meta:meta])* $word:literal => $variant:ident($table:ty, $plan:ty); )*) => {
        /// A service as the file has it.
        #[derive(Clone, Debug)]
        pub enum ServiceTable {
            $( $(#[$meta])* $variant($table), )*
        }

        impl Decode for ServiceTable {
            fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
                const WORDS: &[&str] = &[$($word),*];
                let expected = "a service, `{ sensors: [ … ] }`";
                let (key, value) = d.only_entry(tree, WORDS, expected)?;
                match key {
                    $( $word => d.within($word.to_owned(), |d| {
                        Decode::decode(value, d).map(ServiceTable::$variant)
                    }), )*
                    _ => None,
                }
            }
        }

        impl JsonSchema for ServiceTable {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                "Service".into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                crate::schema::parts::keyed([
                    $( ($word, generator.subschema_for::<$table>()), )*
                ])
            }
        }

        impl ServiceTable {
            const fn word(&self) -> &'static str {
                match self { $( ServiceTable::$variant(_) => $word, )* }
            }

            /// What others may ask it for.
            fn served(&self) -> Vec<Served<'_>> {
                match self { $( ServiceTable::$variant(table) => table.served(), )* }
            }

            /// Whether it asks others by itself.
            fn asks(&self) -> bool {
                match self { $( ServiceTable::$variant(table) => table.asks(), )* }
            }

            /// The nodes, or groups of them, that it asks as far as the file says so.
            fn asked(&self) -> Vec<&str> {
                match self { $( ServiceTable::$variant(table) => table.asked(), )* }
            }

            /// The prefix of addresses for which it takes what others send, if it does.
            fn prefix(&self) -> Option<OwnPrefix> {
                match self { $( ServiceTable::$variant(table) => table.prefix(), )* }
            }

            fn plan<'t>(
                &self,
                r: &mut Resolver<'t>,
                context: &Context<'_, 't>,
                path: &str,
            ) -> ServicePlan {
                match self {
                    $( ServiceTable::$variant(table) => {
                        ServicePlan::$variant(table.plan(r, context, path))
                    } )*
                }
            }
        }

        /// A service, resolved.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum ServicePlan {
            $( $(#[$meta])* #[serde(rename = $word)] $variant($plan), )*
        }

        impl ServicePlan {
            /// What the service's plan says for other crates.
            fn facts(&self) -> &dyn ServiceFacts {
                match self { $( ServicePlan::$variant(plan) => plan, )* }
            }
        }
    };
}

services! {
    /// CoAP resources.
    "sensors" => Sensors(sensors::Sensors, sensors::SensorsPlan);
    /// CoAP requests.
    "polls" => Polls(requester::Polls, requester::RequesterPlan);
    /// LwM2M client.
    "lwm2m-client" => Lwm2mClient(Box<lwm2m::client::Lwm2mClient>, lwm2m::client::ClientPlan);
    /// LwM2M bootstrap server.
    "lwm2m-bootstrap-server" => Lwm2mBootstrapServer(lwm2m::bootstrap::Lwm2mBootstrapServer, lwm2m::bootstrap::BootstrapServerPlan);
    /// LwM2M server.
    "lwm2m-server" => Lwm2mServer(Box<lwm2m::server::Lwm2mServer>, lwm2m::server::ServerPlan);
    /// Gateway from HTTP to CoAP (RFC 8075).
    "gateway" => HttpGateway(http_gateway::HttpGateway, http_gateway::HttpGatewayPlan);
    /// A client that asks nodes by HTTP, through a gateway.
    "http-client" => HttpClient(http_client::HttpClient, http_client::HttpClientPlan);
    /// DHCPv6 server (RFC 8415).
    "dhcpv6-server" => Dhcpv6Server(Box<dhcpv6_server::Dhcpv6Server>, dhcpv6_server::Dhcpv6ServerPlan);
    /// WoT Mobility Management System (CoMP), LMMS in CoMM.
    "wmms" => Wmms(Box<comp::wmms::Wmms>, comp::wmms::WmmsPlan);
    /// Home agent (RFC 6275).
    "home-agent" => HomeAgent(Box<mip6::agent::HomeAgent>, mip6::agent::HomeAgentPlan);
    /// Mobility anchor point (RFC 5380).
    "map" => Map(Box<mip6::agent::Map>, mip6::agent::MapPlan);
    /// Local mobility anchor (RFC 5213).
    "lma" => Lma(Box<proxy::anchor::Lma>, proxy::anchor::AnchorPlan);
    /// Correspondent (RFC 6275).
    "correspondent" => Correspondent(mip6::correspondent::Correspondent, mip6::correspondent::CorrespondentPlan);
    /// A program of the user's.
    "program" => Program(program::Program, program::ProgramPlan);
}
