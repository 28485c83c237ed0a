//! What the nodes of a plan do.

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use units::quantity::duration;
use units::{ByteSize, Channel, Db, Dbm, PanId};

use super::{NodeName, ScanPlan};

/// What a node does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "kebab-case")]
pub enum Role {
    /// 6LoWPAN edge router.
    EdgeRouter(EdgeRouterPlan),
    /// DHCPv6 server on the backbone.
    #[serde(rename = "dhcpv6-server")]
    Dhcpv6Server(Dhcpv6ServerPlan),
    /// WoT Mobility Management System (CoMP), LMMS in CoMM.
    Wmms(WmmsPlan),
    /// CoAP client (CWC in CoMM).
    Client(ClientPlan),
    /// Mobile CoAP node (mCSN in CoMM).
    MobileNode(Box<MobileNodePlan>),
    /// A program of the user's, run in its own namespace on the backbone.
    Program(ProgramPlan),
}

/// What a node asks others.
#[derive(Clone, Copy, Debug)]
pub struct Asks<'p> {
    /// Its polls.
    pub polls: &'p [PollPlan],
    /// CoAP parameters of its requests.
    pub coap: &'p CoapPlan,
}

impl Role {
    /// What the node asks others, if it is a client: a mobile node is one if it polls.
    pub fn asks(&self) -> Option<Asks<'_>> {
        let (polls, coap) = match self {
            Role::Client(client) => (&client.polls, &client.coap),
            Role::MobileNode(node) if !node.polls.is_empty() => (&node.polls, &node.coap),
            _ => return None,
        };
        Some(Asks { polls, coap })
    }

    /// P_Addr of a node that serves resources: a client is one if it has any.
    pub fn served_at(&self) -> Option<Ipv6Addr> {
        match self {
            Role::MobileNode(node) => Some(node.p_addr),
            Role::Client(client) if !client.resources.is_empty() => Some(client.p_addr),
            _ => None,
        }
    }
}

/// Edge router: advertises its prefix on `lowpan0`, forwards, relays DHCPv6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeRouterPlan {
    /// The prefix on its 6LoWPAN link.
    pub prefix: Ipv6Net,
    /// Its own address in that prefix.
    pub address: Ipv6Addr,
    /// Router advertisements.
    pub router_advertisements: RouterAdvertisementPlan,
    /// DHCPv6 server to relay to; absent: no relay agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcpv6_server: Option<Ipv6Addr>,
}

/// Router configuration variables (RFC 4861 §6.2.1) and protocol constants (§10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterAdvertisementPlan {
    /// MinRtrAdvInterval.
    #[serde(with = "duration")]
    pub min_interval: Duration,
    /// MaxRtrAdvInterval.
    #[serde(with = "duration")]
    pub max_interval: Duration,
    /// MAX_RA_DELAY_TIME: longest random delay of a solicited advertisement.
    #[serde(with = "duration")]
    pub max_response_delay: Duration,
    /// MIN_DELAY_BETWEEN_RAS.
    #[serde(with = "duration")]
    pub min_delay_between: Duration,
    /// AdvDefaultLifetime, whole seconds.
    #[serde(with = "duration")]
    pub router_lifetime: Duration,
    /// M flag: addresses by DHCPv6.
    pub managed: bool,
    /// O flag: other configuration by DHCPv6.
    pub other: bool,
    /// A flag of the prefix: SLAAC.
    pub autonomous: bool,
    /// AdvRetransTimer, milliseconds on the wire; 0: unspecified.
    #[serde(with = "duration")]
    pub retrans_timer: Duration,
    /// AdvReachableTime, milliseconds on the wire; 0: unspecified.
    #[serde(with = "duration")]
    pub reachable_time: Duration,
    /// AdvValidLifetime of the prefix, whole seconds.
    #[serde(with = "duration")]
    pub valid_lifetime: Duration,
    /// AdvPreferredLifetime of the prefix, whole seconds.
    #[serde(with = "duration")]
    pub preferred_lifetime: Duration,
}

/// DHCPv6 server (RFC 8415).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dhcpv6ServerPlan {
    /// One pool per link, chosen by the relay agent's link-address.
    pub pools: Vec<PoolPlan>,
    /// Valid lifetime of a lease, whole seconds.
    #[serde(with = "duration")]
    pub valid_lifetime: Duration,
    /// Preferred lifetime of a lease, whole seconds.
    #[serde(with = "duration")]
    pub preferred_lifetime: Duration,
    /// Whether a Solicit with Rapid Commit is answered by a Reply.
    pub rapid_commit: bool,
}

/// Addresses that the DHCPv6 server leases on one link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolPlan {
    /// The link's prefix; a relay's link-address inside it selects this pool.
    pub link: Ipv6Net,
    /// First address.
    pub first: Ipv6Addr,
    /// Last address.
    pub last: Ipv6Addr,
}

/// CoAP transmission parameters (RFC 7252 §4.8), resolved per CoAP node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoapPlan {
    /// ACK_TIMEOUT.
    #[serde(with = "duration")]
    pub ack_timeout: Duration,
    /// ACK_RANDOM_FACTOR.
    pub ack_random_factor: f64,
    /// MAX_RETRANSMIT.
    pub max_retransmit: u32,
    /// NSTART.
    pub nstart: u32,
    /// How long a request without a response is waited for: the client's patience for a
    /// non-confirmable request and for a separate response (RFC 7252 §5.2.2 leaves it open).
    #[serde(with = "duration")]
    pub response_timeout: Duration,
    /// Where the retransmission timeout comes from.
    pub congestion_control: CongestionControl,
    /// The largest block of a body that is sent or asked for (RFC 7959 §2.2).
    pub block_size: ByteSize,
    /// Every how many notifications to an observer one is CON (RFC 7641 §4.5).
    pub confirm_notifications: u32,
}

/// Where CoAP's retransmission timeout comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CongestionControl {
    /// ACK_TIMEOUT (RFC 7252 §4.2).
    Fixed,
    /// Measured round trips (draft-ietf-core-cocoa-03).
    Cocoa,
}

/// Mobility server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WmmsPlan {
    /// How long a hold waits for the correspondents before it is answered anyway.
    #[serde(with = "duration")]
    pub hold_timeout: Duration,
    /// How bindings reach the correspondents.
    pub binding: BindingMode,
    /// How much it keeps.
    pub limits: WmmsLimitsPlan,
    /// CoAP parameters.
    pub coap: CoapPlan,
}

/// How much a WMMS keeps. A source is an IPv6 address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WmmsLimitsPlan {
    /// Entries of the table.
    pub entries: u32,
    /// Entries that one source registered or bound last.
    pub entries_per_source: u32,
    /// Correspondents of one node.
    pub correspondents_per_node: u32,
    /// Nodes that one source discovered.
    pub discoveries_per_source: u32,
    /// Holds of one source that are not answered yet.
    pub holds_per_source: u32,
}

/// CoAP client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientPlan {
    /// Its own permanent address, registered at the WMMS.
    pub p_addr: Ipv6Addr,
    /// Address of the WMMS.
    pub wmms: Ipv6Addr,
    /// Lifetime of its registration, whole seconds.
    #[serde(with = "duration")]
    pub lifetime: Duration,
    /// What it polls.
    pub polls: Vec<PollPlan>,
    /// Requests kept back while a node is on hold.
    pub hold_queue: HoldQueuePlan,
    /// CoAP resources that it serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourcePlan>,
    /// CoAP parameters.
    pub coap: CoapPlan,
}

/// A periodic GET.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollPlan {
    /// The node polled.
    pub node: NodeName,
    /// Its permanent address.
    pub p_addr: Ipv6Addr,
    /// Path of the resource, `/temperature`.
    pub path: String,
    /// Period.
    #[serde(with = "duration")]
    pub every: Duration,
    /// How the period is meant.
    #[serde(default, skip_serializing_if = "Arrivals::are_periodic")]
    pub arrivals: Arrivals,
    /// CON or NON.
    pub confirmable: bool,
    /// Observed (RFC 7641) instead; then the period is unused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observe: bool,
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

impl Arrivals {
    fn are_periodic(&self) -> bool {
        *self == Arrivals::Periodic
    }
}

/// Bounds of the hold queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldQueuePlan {
    /// Requests kept per node; one more fails at once.
    pub capacity: u32,
    /// Longest wait of a request; then it fails.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

/// Mobile node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileNodePlan {
    /// P_Addr: its permanent identifier.
    pub p_addr: Ipv6Addr,
    /// Address of the WMMS.
    pub wmms: Ipv6Addr,
    /// The edge router it starts at.
    pub attached_to: NodeName,
    /// CoAP resources it serves.
    pub resources: Vec<ResourcePlan>,
    /// Lifetime of its bindings, whole seconds.
    #[serde(with = "duration")]
    pub lifetime: Duration,
    /// When its radio sleeps; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep: Option<SleepPlan>,
    /// Handover behaviour.
    pub handover: HandoverPlan,
    /// The PANs that it may attach to.
    pub candidates: Vec<CandidatePlan>,
    /// What it polls itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub polls: Vec<PollPlan>,
    /// Requests kept back while a node that it polls is on hold, or it is itself; absent if it
    /// polls nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_queue: Option<HoldQueuePlan>,
    /// CoAP parameters.
    pub coap: CoapPlan,
}

/// A sensor resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourcePlan {
    /// Path, `/temperature`.
    pub path: String,
    /// Payload size of its representation.
    pub size: ByteSize,
    /// How often it changes by itself, if it does; then it can be observed (RFC 7641).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "super::optional_duration"
    )]
    pub changes_every: Option<Duration>,
}

/// When a mobile node's radio sleeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SleepPlan {
    /// From the start of one sleep to the start of the next, the first as long after the start of
    /// the scenario.
    #[serde(with = "duration")]
    pub every: Duration,
    /// How long it sleeps.
    #[serde(with = "duration")]
    pub period: Duration,
    /// Whether the WMMS is told first, and by it the correspondents.
    pub announced: bool,
}

/// A PAN that a mobile node may attach to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidatePlan {
    /// The edge router.
    pub router: NodeName,
    /// Its channel.
    pub channel: Channel,
    /// Its PAN.
    pub pan_id: PanId,
}

/// How a mobile node hands over (comp.md).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandoverPlan {
    /// When.
    pub trigger: TriggerPlan,
    /// How it looks for routers, under `phy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<ScanPlan>,
    /// A router on the node's channel of which nothing was heard for this long has no signal,
    /// under `phy`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "super::optional_duration"
    )]
    pub signal_timeout: Option<Duration>,
    /// Whether the correspondents are put on hold first.
    pub hold: bool,
    /// How T_Addr is obtained.
    pub address: AddressMode,
    /// Duplicate address detection of T_Addr.
    pub dad: DadMode,
    /// Who updates the correspondents.
    pub binding: BindingMode,
    /// Router solicitation.
    pub router_solicitation: RouterSolicitationPlan,
    /// DHCPv6 client.
    pub dhcpv6: Dhcpv6ClientPlan,
}

/// The signal condition that starts a handover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerPlan {
    /// The serving router's signal must be under this …
    pub threshold: Dbm,
    /// … and a candidate's must be better by this …
    pub hysteresis: Db,
    /// … in this many samples in a row. A lost link (no signal at all) triggers at once.
    pub samples: u32,
    /// Sampling period.
    #[serde(with = "duration")]
    pub sample_every: Duration,
}

/// How T_Addr is obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressMode {
    /// RFC 8415 through the edge router's relay agent.
    Dhcpv6,
    /// RFC 4862 from the advertised prefix.
    Slaac,
}

/// Duplicate address detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DadMode {
    /// RFC 4862 §5.4: the address is used after RetransTimer.
    Normal,
    /// RFC 4429: used while it is being checked.
    Optimistic,
    /// Not checked.
    Off,
}

/// Who updates the correspondents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindingMode {
    /// The node, at once with the WMMS (CoMM §4.2).
    Direct,
    /// The WMMS (CoMM §4.1).
    Relayed,
}

/// Host constants of router discovery (RFC 4861 §6.3.7, §10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterSolicitationPlan {
    /// MAX_RTR_SOLICITATION_DELAY: longest random delay of the first solicitation.
    #[serde(with = "duration")]
    pub max_delay: Duration,
    /// RTR_SOLICITATION_INTERVAL.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// MAX_RTR_SOLICITATIONS, then it starts over.
    pub max_solicitations: u32,
}

/// DHCPv6 client constants (RFC 8415 §7.6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dhcpv6ClientPlan {
    /// Asks for a two-message exchange.
    pub rapid_commit: bool,
    /// SOL_MAX_DELAY: longest random delay of the first Solicit.
    #[serde(with = "duration")]
    pub solicit_max_delay: Duration,
    /// SOL_TIMEOUT.
    #[serde(with = "duration")]
    pub solicit_timeout: Duration,
    /// REQ_TIMEOUT.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
}

/// A program of the user's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramPlan {
    /// Program and arguments; the addresses of nodes stand where the file had `{node}`.
    pub command: Vec<String>,
    /// Scenario time at which it starts.
    #[serde(with = "duration")]
    pub start_at: Duration,
}
