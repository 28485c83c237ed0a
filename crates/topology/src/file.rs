//! The topology file, key by key. Nothing is resolved here: an absent key is `None`.
//!
//! The doc comments of the fields are the descriptions in the JSON Schema.

//!
//! | module | holds |
//! | --- | --- |
//! | `radio` | the radio model and the links at the start |
//! | `place` | pairs of nodes, and places in the plane |
//! | `scenario` | the script and the expectations |

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use schemars::JsonSchema;
use units::{ByteSize, Channel, DataRate, Db, Dbm, Eui64, PanId, ShortAddress};

use crate::decode::{At, Block, Decode, Decoder, Named};
use crate::plan::{AddressMode, Arrivals, BackboneKind, BindingMode, CongestionControl, DadMode};
use crate::scalar::{Mac, ScanChannels, not_a_word};
use crate::tree::Tree;

#[macro_use]
mod tables;
mod place;
mod radio;
mod scenario;

pub use place::*;
pub use radio::*;
pub use scenario::*;

tables! {
    /// A wpanlab topology: a network, what happens in it, and what must hold at the end.
    pub struct Topology {
        /// Version of this format: 1.
        pub version: At<u64>,
        /// The topology's name: lower-case letters, digits and hyphens.
        pub name: At<String>,
        /// One sentence: what the topology shows.
        pub summary: Option<At<String>>,
        /// Root seed of every identifier and every random draw; default 1. `--seed` overrides it.
        pub seed: Option<At<u64>>,
        /// The wired network that joins everything but the mobile nodes.
        pub backbone: Option<Backbone>,
        /// Radio model.
        pub radio: Option<Radio>,
        /// CoAP parameters of every node that does not give its own.
        pub coap: Option<Coap>,
        /// Every node by name. A name is at most 15 lower-case letters, digits and hyphens.
        pub nodes: Named<Node>,
        /// Attenuation between radios at the start. A mobile node and the edge router it is
        /// attached to have 40 dB unless it is given here, or both have a position.
        pub links: Option<Vec<Link>>,
        /// What happens.
        pub scenario: Scenario,
        /// What must hold at the end for the run to pass.
        pub expect: Option<Expect>,
    }

    /// The wired network.
    pub struct Backbone {
        /// `bridge`: one Ethernet link and one prefix (default). `routed`: a core router with
        /// a link and a prefix per node.
        pub kind: Option<At<BackboneKind>>,
        /// Prefix: a /64 for a bridge (default 2001:db8::/64), a /48 for routed (default
        /// 2001:db8:f000::/48).
        pub prefix: Option<At<Ipv6Net>>,
        /// One-way delay from any wired node to any other; default 0 s.
        pub delay: Option<At<Duration>>,
        /// Rate at which each wired node receives; default unlimited.
        pub rate: Option<At<DataRate>>,
    }

    /// CoAP transmission parameters (RFC 7252 §4.8).
    pub struct Coap {
        /// ACK_TIMEOUT; default 2 s.
        pub ack_timeout: Option<At<Duration>>,
        /// ACK_RANDOM_FACTOR, 1.0 or more; default 1.5.
        pub ack_random_factor: Option<At<f64>>,
        /// MAX_RETRANSMIT, at most 20; default 4.
        pub max_retransmit: Option<At<u32>>,
        /// NSTART: outstanding requests to one peer; default 1.
        pub nstart: Option<At<u32>>,
        /// How long a request without a response is waited for; default 10 s.
        pub response_timeout: Option<At<Duration>>,
        /// The retransmission timeout: `fixed`, ACK_TIMEOUT (default), or `cocoa`, from measured
        /// round trips (draft-ietf-core-cocoa-03).
        pub congestion_control: Option<At<CongestionControl>>,
        /// The largest block of a body that is sent or asked for (RFC 7959): 16, 32, 64, 128,
        /// 256, 512 or 1024 B; default 1024 B. A longer body crosses block by block.
        pub block_size: Option<At<ByteSize>>,
        /// Every how many notifications to an observer one is CON (RFC 7641 §4.5); default 10.
        pub confirm_notifications: Option<At<u32>>,
    }

    /// 6LoWPAN edge router: advertises its prefix on the radio side, forwards, relays DHCPv6.
    pub struct EdgeRouter also ["role"] {
        /// Channel, 11 to 26; default 11, 12, … in name order.
        pub channel: Option<At<Channel>>,
        /// PAN ID; default 0x0001, 0x0002, … in name order.
        pub pan: Option<At<PanId>>,
        /// Prefix of its 6LoWPAN link, a /64; default 2001:db8:1::/64, 2001:db8:2::/64, … in
        /// name order.
        pub prefix: Option<At<Ipv6Net>>,
        /// Its address in that prefix; default PREFIX::1.
        pub address: Option<At<Ipv6Addr>>,
        /// Its address on the backbone; derived.
        pub backbone_address: Option<At<Ipv6Addr>>,
        /// MAC address on the backbone; derived from the seed.
        pub mac: Option<At<Mac>>,
        /// Extended address of its radio; derived from the seed.
        pub eui64: Option<At<Eui64>>,
        /// Short address of its radio; default none.
        pub short_address: Option<At<ShortAddress>>,
        /// Where it stands, `[x, y]` in metres.
        pub position: Option<Position>,
        /// `phy`: its radio's part; default as under `radio`.
        pub profile: Option<Profile>,
        /// Router advertisements.
        pub router_advertisements: Option<RouterAdvertisements>,
        /// The DHCPv6 server that it relays to; default the only one there is.
        pub dhcpv6_server: Option<At<String>>,
    }

    /// Router configuration variables (RFC 4861 §6.2.1) and constants (§10).
    pub struct RouterAdvertisements {
        /// MinRtrAdvInterval; default a third of max_interval (all of it under 9 s).
        pub min_interval: Option<At<Duration>>,
        /// MaxRtrAdvInterval, 70 ms (RFC 6275 §7.5) to 1800 s; default 600 s.
        pub max_interval: Option<At<Duration>>,
        /// MAX_RA_DELAY_TIME: longest random delay of a solicited advertisement; default 0.5 s.
        pub max_response_delay: Option<At<Duration>>,
        /// MIN_DELAY_BETWEEN_RAS; default 3 s.
        pub min_delay_between: Option<At<Duration>>,
        /// AdvDefaultLifetime, whole seconds, 0 or max_interval to 9000 s; default three times
        /// max_interval.
        pub router_lifetime: Option<At<Duration>>,
        /// M flag: addresses by DHCPv6; default whether a mobile node uses it.
        pub managed: Option<At<bool>>,
        /// O flag: other configuration by DHCPv6; default false.
        pub other: Option<At<bool>>,
        /// A flag of the prefix; default whether a mobile node uses SLAAC.
        pub autonomous: Option<At<bool>>,
        /// AdvRetransTimer, whole milliseconds; default 0 ms, unspecified.
        pub retrans_timer: Option<At<Duration>>,
        /// AdvReachableTime, whole milliseconds, at most 1 h; default 0 ms, unspecified.
        pub reachable_time: Option<At<Duration>>,
        /// AdvValidLifetime, whole seconds; default 30 days.
        pub valid_lifetime: Option<At<Duration>>,
        /// AdvPreferredLifetime, whole seconds; default 7 days.
        pub preferred_lifetime: Option<At<Duration>>,
    }

    /// DHCPv6 server on the backbone (RFC 8415).
    pub struct Dhcpv6Server also ["role"] {
        /// Its address on the backbone; derived.
        pub backbone_address: Option<At<Ipv6Addr>>,
        /// MAC address on the backbone; derived from the seed.
        pub mac: Option<At<Mac>>,
        /// Addresses leased per edge router; default PREFIX::1000 to PREFIX::1fff for each.
        pub pools: Option<Vec<Pool>>,
        /// Valid lifetime of a lease, whole seconds; default 7200 s.
        pub valid_lifetime: Option<At<Duration>>,
        /// Preferred lifetime of a lease, whole seconds; default 3600 s.
        pub preferred_lifetime: Option<At<Duration>>,
        /// Whether a Solicit with Rapid Commit is answered by a Reply; default false.
        pub rapid_commit: Option<At<bool>>,
    }

    /// Addresses leased on the link of one edge router.
    pub struct Pool {
        /// The edge router.
        pub router: At<String>,
        /// First address, in the router's prefix.
        pub first: At<Ipv6Addr>,
        /// Last address, in the router's prefix.
        pub last: At<Ipv6Addr>,
    }

    /// WoT Mobility Management System (CoMP), called LMMS in CoMM.
    pub struct Wmms also ["role"] {
        /// Its address on the backbone; derived.
        pub backbone_address: Option<At<Ipv6Addr>>,
        /// MAC address on the backbone; derived from the seed.
        pub mac: Option<At<Mac>>,
        /// How long a hold waits for the correspondents before it is answered anyway;
        /// default 1 s.
        pub hold_timeout: Option<At<Duration>>,
        /// How much it keeps, in all and for one peer.
        pub limits: Option<WmmsLimits>,
        /// CoAP parameters.
        pub coap: Option<Coap>,
    }

    /// How much a WMMS keeps, so that no peer can fill its memory. Over a limit of one source (an
    /// IPv6 address) the answer is 4.29, over another one 5.03.
    pub struct WmmsLimits {
        /// Entries of the table; default 1048576.
        pub entries: Option<At<u32>>,
        /// Entries that one source registered or bound last; default 256.
        pub entries_per_source: Option<At<u32>>,
        /// Correspondents of one node, at most 65535; default 256.
        pub correspondents_per_node: Option<At<u32>>,
        /// Nodes that one source discovered; default 1024.
        pub discoveries_per_source: Option<At<u32>>,
        /// Holds of one source that are not answered yet; default 64.
        pub holds_per_source: Option<At<u32>>,
    }

    /// CoAP client, called CWC in CoMM. It stays where it is.
    pub struct Client also ["role"] {
        /// Its address on the backbone; derived.
        pub backbone_address: Option<At<Ipv6Addr>>,
        /// MAC address on the backbone; derived from the seed.
        pub mac: Option<At<Mac>>,
        /// Permanent address that it registers; default its address on the backbone.
        pub p_addr: Option<At<Ipv6Addr>>,
        /// The WMMS that it registers at; default the only one there is.
        pub wmms: Option<At<String>>,
        /// Lifetime of its registration, whole seconds, 1 to 65535 s; default 600 s.
        pub lifetime: Option<At<Duration>>,
        /// What it polls.
        pub polls: Option<Vec<Poll>>,
        /// Requests kept back while a node is on hold.
        pub hold_queue: Option<HoldQueue>,
        /// CoAP resources that it serves itself; default none.
        pub resources: Option<Vec<Resource>>,
        /// CoAP parameters.
        pub coap: Option<Coap>,
    }

    /// A periodic GET.
    pub struct Poll {
        /// The node polled: a mobile node, or a client with `resources`. Of a group, each.
        pub node: At<String>,
        /// Path of the resource; default the node's only one.
        pub path: Option<At<String>>,
        /// Period; default 1 s. Not with `observe`.
        pub every: Option<At<Duration>>,
        /// Whether the period is constant (default), or the mean of exponential ones.
        pub arrivals: Option<At<Arrivals>>,
        /// Observe the resource (RFC 7641) instead of asking for it again and again; it needs a
        /// `changes_every`.
        pub observe: Option<At<bool>>,
        /// CON (default) or NON requests.
        pub confirmable: Option<At<bool>>,
    }

    /// Bounds of the hold queue.
    pub struct HoldQueue {
        /// Requests kept per node; one more fails at once. Default 1000.
        pub capacity: Option<At<u32>>,
        /// Longest wait of a request; then it fails. Default 10 s.
        pub timeout: Option<At<Duration>>,
    }

    /// Mobile CoAP node, called mCSN in CoMM.
    pub struct MobileNode also ["role"] {
        /// Makes this many nodes alike, 1 to 1000, named NAME1, NAME2, …; a poll of NAME polls
        /// each.
        pub count: Option<At<u32>>,
        /// The edge router that it starts at.
        pub attached_to: At<String>,
        /// Edge routers that it may attach to; default all.
        pub candidates: Option<Vec<At<String>>>,
        /// P_Addr, its permanent identifier; default its SLAAC address at the router that it
        /// starts at.
        pub p_addr: Option<At<Ipv6Addr>>,
        /// Extended address of its radio; derived from the seed.
        pub eui64: Option<At<Eui64>>,
        /// Short address of its radio; default none.
        pub short_address: Option<At<ShortAddress>>,
        /// Where it starts: `[x, y]` in metres, a place in an `area`, or for a `count` a `grid`.
        /// A node that starts with an `import` needs none.
        pub position: Option<Place>,
        /// `phy`: its radio's part; default as under `radio`.
        pub profile: Option<Profile>,
        /// The WMMS that it registers at; default the only one there is.
        pub wmms: Option<At<String>>,
        /// CoAP resources that it serves; default `/temperature` of 16 B.
        pub resources: Option<Vec<Resource>>,
        /// Lifetime of its bindings, whole seconds, 1 to 65535 s; default 600 s.
        pub lifetime: Option<At<Duration>>,
        /// Its duty cycle; default always awake.
        pub sleep: Option<Sleep>,
        /// Handover behaviour.
        pub handover: Option<Handover>,
        /// What it polls itself; default nothing.
        pub polls: Option<Vec<Poll>>,
        /// Requests kept back while a node that it polls is on hold, or it is itself.
        pub hold_queue: Option<HoldQueue>,
        /// CoAP parameters.
        pub coap: Option<Coap>,
    }

    /// When a mobile node's radio sleeps. A sleep that falls due during a handover is left out.
    pub struct Sleep {
        /// From the start of one sleep to the start of the next; the first starts this long after
        /// the scenario does.
        pub every: At<Duration>,
        /// How long it sleeps; shorter than `every`, at most 4294967.295 s.
        pub period: At<Duration>,
        /// Whether it first has the WMMS put its correspondents on hold (default); else its radio
        /// goes off and nobody is told.
        pub announced: Option<At<bool>>,
    }

    /// A sensor resource.
    pub struct Resource {
        /// Path, `/temperature`.
        pub path: At<String>,
        /// Payload size of its representation, at most 65000 B; default 16 B. One longer than
        /// `block_size` crosses block by block (RFC 7959).
        pub size: Option<At<ByteSize>>,
        /// It changes by itself, this often, and can be observed (RFC 7641); default: it is read
        /// anew for every request and cannot.
        pub changes_every: Option<At<Duration>>,
    }

    /// How a mobile node hands over.
    pub struct Handover {
        /// When.
        pub trigger: Option<Trigger>,
        /// `phy`: how it looks for routers.
        pub scan: Option<Block<Scan>>,
        /// `phy`: a router of which nothing was heard on its channel for this long has no
        /// signal; default three times the longest max_interval of the candidates' router
        /// advertisements.
        pub signal_timeout: Option<At<Duration>>,
        /// Whether the correspondents are put on hold first; default true.
        pub hold: Option<At<bool>>,
        /// How the temporary address is obtained; default `dhcpv6` if there is a server, else
        /// `slaac`.
        pub address: Option<At<AddressMode>>,
        /// Duplicate address detection: `normal` (RFC 4862, default), `optimistic` (RFC 4429),
        /// `off`.
        pub dad: Option<At<DadMode>>,
        /// Who updates the correspondents: `direct` the node (default), `relayed` the WMMS.
        pub binding: Option<At<BindingMode>>,
        /// Router solicitation.
        pub router_solicitation: Option<RouterSolicitation>,
        /// DHCPv6 client.
        pub dhcpv6: Option<Dhcpv6Client>,
    }

    /// The signal condition that starts a handover. A lost link triggers at once.
    pub struct Trigger {
        /// The serving router's signal must be under this …; default -75 dBm.
        pub threshold: Option<At<Dbm>>,
        /// … and a candidate's must be better by this …; default 6 dB.
        pub hysteresis: Option<At<Db>>,
        /// … in this many samples in a row; default 3.
        pub samples: Option<At<u32>>,
        /// Sampling period; default 100 ms.
        pub sample_every: Option<At<Duration>>,
    }

    /// Listening for routers, channel by channel.
    pub struct Scan {
        /// Which channels: `candidates`, those of the candidates (default).
        pub channels: Option<At<ScanChannels>>,
        /// How long on each; default 1.2 times the longest max_interval of the candidates'
        /// router advertisements.
        pub dwell: Option<At<Duration>>,
        /// Looking around while the serving router can still be heard; default not.
        pub early: Option<EarlyScan>,
    }

    /// Scans before the link is lost.
    pub struct EarlyScan {
        /// The serving router's signal must be under this.
        pub threshold: At<Dbm>,
        /// From the start of one scan to the start of the next, at least a dwell.
        pub every: At<Duration>,
    }

    /// Host constants of router discovery (RFC 4861 §6.3.7, §10).
    pub struct RouterSolicitation {
        /// MAX_RTR_SOLICITATION_DELAY; default 1 s.
        pub max_delay: Option<At<Duration>>,
        /// RTR_SOLICITATION_INTERVAL; default 4 s.
        pub interval: Option<At<Duration>>,
        /// MAX_RTR_SOLICITATIONS; default 3.
        pub max_solicitations: Option<At<u32>>,
    }

    /// DHCPv6 client constants (RFC 8415 §7.6).
    pub struct Dhcpv6Client {
        /// Asks for a two-message exchange; default false.
        pub rapid_commit: Option<At<bool>>,
        /// SOL_MAX_DELAY; default 1 s.
        pub solicit_max_delay: Option<At<Duration>>,
        /// SOL_TIMEOUT; default 1 s.
        pub solicit_timeout: Option<At<Duration>>,
        /// REQ_TIMEOUT; default 1 s.
        pub request_timeout: Option<At<Duration>>,
    }

    /// A program of the user's, in its own namespace on the backbone.
    pub struct Program also ["role"] {
        /// Its address on the backbone; derived.
        pub backbone_address: Option<At<Ipv6Addr>>,
        /// MAC address on the backbone; derived from the seed.
        pub mac: Option<At<Mac>>,
        /// Program and arguments, without a shell. `{sensor}` stands for the address of the
        /// node `sensor`: P_Addr of a mobile node, the backbone address of any other. Braces
        /// around anything else stay as they are.
        pub command: Vec<At<String>>,
        /// Scenario time at which it starts; default 0 s.
        pub start_at: Option<At<Duration>>,
    }
}

/// A node; `role` says which keys it has.
#[derive(Clone, Debug, JsonSchema)]
#[serde(tag = "role", rename_all = "kebab-case")]
pub enum Node {
    /// 6LoWPAN edge router.
    EdgeRouter(Box<EdgeRouter>),
    /// DHCPv6 server.
    #[serde(rename = "dhcpv6-server")]
    Dhcpv6Server(Dhcpv6Server),
    /// WoT Mobility Management System.
    Wmms(Box<Wmms>),
    /// CoAP client.
    Client(Box<Client>),
    /// Mobile CoAP node.
    MobileNode(Box<MobileNode>),
    /// A program of the user's.
    Program(Program),
}

impl Decode for Node {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let role: At<String> = d.table_key(tree, "role")?;
        match role.as_str() {
            "edge-router" => Decode::decode(tree, d).map(Node::EdgeRouter),
            "dhcpv6-server" => Decode::decode(tree, d).map(Node::Dhcpv6Server),
            "wmms" => Decode::decode(tree, d).map(Node::Wmms),
            "client" => Decode::decode(tree, d).map(Node::Client),
            "mobile-node" => Decode::decode(tree, d).map(Node::MobileNode),
            "program" => Decode::decode(tree, d).map(Node::Program),
            other => {
                d.report(role.span, format!("role {}", not_a_word(other, &ROLES)));
                None
            }
        }
    }
}

/// Every role's word.
const ROLES: [&str; 6] = [
    "edge-router",
    "dhcpv6-server",
    "wmms",
    "client",
    "mobile-node",
    "program",
];

impl Node {
    /// The role's word in the file.
    pub fn role(&self) -> &'static str {
        match self {
            Node::EdgeRouter(_) => ROLES[0],
            Node::Dhcpv6Server(_) => ROLES[1],
            Node::Wmms(_) => ROLES[2],
            Node::Client(_) => ROLES[3],
            Node::MobileNode(_) => ROLES[4],
            Node::Program(_) => ROLES[5],
        }
    }

    /// Whether it has a radio.
    pub fn has_radio(&self) -> bool {
        matches!(self, Node::EdgeRouter(_) | Node::MobileNode(_))
    }
}
