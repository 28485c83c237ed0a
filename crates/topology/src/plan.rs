//! The resolved plan: every default, address, identifier and seed written out.
//!
//! A plan is what the live half executes and what is saved with a run (`plan.yaml`), so that
//! a result can be explained without the topology file or the version that read it.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use units::quantity::duration;
use units::{
    ByteSize, Channel, DataRate, Db, Dbm, EthernetAddress, Eui64, LossRatio, PanId, Seed,
    ShortAddress,
};

mod bytes;
mod expect;
pub(crate) mod optional_duration;
mod phy;

pub use bytes::Bytes;
pub use expect::{
    Comparison, Condition, Expectation, Metric, Of, Scope, Statistic, SweepExpectation, Unit,
};
pub use phy::*;

pub use crate::kind::dhcpv6_server::{Dhcpv6ServerPlan, PoolPlan};
pub use crate::kind::handover::{CandidatePlan, HandoverPlan, TriggerPlan};
pub use crate::kind::http_client::{HttpClientPlan, HttpPollPlan};
pub use crate::kind::program::ProgramPlan;
pub use crate::kind::radio::{Dhcpv6ClientPlan, HostPlan, RouterSolicitationPlan, SleepPlan};
pub use crate::kind::requester::{Arrivals, Method, OptionPlan, PollPlan, RequesterPlan};
pub use crate::kind::router::{NatPlan, NeighbourPlan, RouterAdvertisementPlan, RouterPlan};
pub use crate::kind::sensors::{ChangesPlan, ReadingPlan, ResourcePlan, SensorsPlan, SourcePlan};
pub use crate::kind::{MobilityPlan, NodePlan, OperatePlan, SecurityAssociation, ServicePlan};

use crate::scalar::words;

/// A node's name: its key in the topology's `nodes` map.
pub type NodeName = String;

/// Version of the format of plans.
pub const PLAN_VERSION: u32 = 2;

/// A whole run, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// The topology's name.
    pub name: String,
    /// One sentence: what the topology shows.
    pub summary: String,
    /// Root seed: every identifier and every random draw of the run derives from it.
    pub seed: Seed,
    /// Radio model.
    pub radio: RadioPlan,
    /// The wired network that joins everything but the mobile nodes.
    pub backbone: BackbonePlan,
    /// Every node by name.
    pub nodes: BTreeMap<NodeName, NodePlan>,
    /// Attenuation between radios when the scenario starts. Under `edges` pairs not listed do
    /// not hear each other; under `phy` they do if a trace or the path loss says so.
    pub links: Vec<LinkPlan>,
    /// What happens, in time order.
    pub scenario: ScenarioPlan,
    /// What must hold for the run to pass.
    pub expect: Vec<Expectation>,
    /// What must hold over the runs of a sweep for it to pass; absent if nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect_sweep: Vec<SweepExpectation>,
}

/// Text that is not a plan.
#[derive(Debug, thiserror::Error)]
#[error("not a resolved plan: {0}")]
pub struct NotAPlan(String);

impl Plan {
    /// The plan as YAML: the content of `plan.yaml`. [`Plan::from_yaml`] gives it back exactly.
    pub fn to_yaml(&self) -> String {
        // By way of JSON, as it is read.
        let tree = serde_json::from_slice::<serde_json::Value>(&self.to_json());
        tree.ok()
            .and_then(|tree| serde_saphyr::to_string(&tree).ok())
            .expect("a plan holds only strings, numbers, lists and tables")
    }

    /// What a reader of the plan should know beside its values, a sentence each.
    pub fn remarks(&self) -> Vec<String> {
        let checks = |node: &NodePlan| {
            let host = node.host.as_ref();
            host.is_some_and(|host| host.dad != DadMode::Off)
        };
        let blind = self.remark(
            checks,
            "dad finds no duplicate on a 6LoWPAN link of Linux, and `normal` costs its second \
             nevertheless",
        );
        let unprotected = self.remark(
            NodePlan::is_unprotected,
            "without `ipsec: esp` nothing that a node registers is protected: who sends from its \
             addresses speaks for it",
        );
        blind.into_iter().chain(unprotected).collect()
    }

    /// What is to be said of these nodes, if there are any.
    fn remark(&self, of: impl Fn(&NodePlan) -> bool, text: &str) -> Option<String> {
        let nodes = self.nodes.iter().filter(|(_, node)| of(node));
        let names: Vec<&str> = nodes.map(|(name, _)| name.as_str()).collect();
        let names = (!names.is_empty()).then(|| names.join(", "))?;
        Some(format!("{text} (docs/limitations.md): {names}"))
    }

    /// The plan without what is no part of the experiment: name, summary and expectations, and what
    /// the figures of radio parts are called and taken from. Whoever executes a plan gets this one:
    /// under a virtual clock even the time that it takes to read a plan is an instant of the run, and
    /// two plans that differ in nothing else are to give the same captures.
    pub fn experiment(&self) -> Plan {
        // All fields by name, so that a new one is thought of here.
        let Plan {
            version,
            name: _,
            summary: _,
            seed,
            radio,
            backbone,
            nodes,
            links,
            scenario,
            expect: _,
            expect_sweep: _,
        } = self;
        let mut plan = Plan {
            version: *version,
            name: "experiment".to_owned(),
            summary: String::new(),
            seed: *seed,
            radio: radio.clone(),
            backbone: backbone.clone(),
            nodes: nodes.clone(),
            links: links.clone(),
            scenario: scenario.clone(),
            expect: Vec::new(),
            expect_sweep: Vec::new(),
        };
        let of_medium = plan.radio.phy.iter_mut().map(|phy| &mut phy.profile);
        let of_nodes =
            (plan.nodes.values_mut()).filter_map(|node| node.radio.as_mut()?.profile.as_mut());
        for profile in of_medium.chain(of_nodes) {
            profile.part.clear();
            profile.source.clear();
        }
        plan
    }

    /// What the daemon of a node needs of the plan: the seed and its own node. Reading all of a
    /// plan in every daemon is most of what starting many of them costs.
    pub fn of_node(&self, name: &str) -> Plan {
        let own = self.nodes.get_key_value(name);
        Plan {
            version: self.version,
            name: self.name.clone(),
            summary: self.summary.clone(),
            seed: self.seed,
            radio: self.radio.clone(),
            backbone: self.backbone.clone(),
            nodes: own
                .map(|(n, node)| (n.clone(), node.clone()))
                .into_iter()
                .collect(),
            links: Vec::new(),
            scenario: ScenarioPlan {
                duration: self.scenario.duration,
                steps: self.steps_of(name).cloned().collect(),
            },
            expect: Vec::new(),
            expect_sweep: Vec::new(),
        }
    }

    /// The steps that the daemon of the node `name` has to know: when it crashes and lives again, and what it is to do. A control line
    /// names the latter by their places among these.
    pub fn steps_of(&self, name: &str) -> impl Iterator<Item = &StepPlan> {
        let is_its = move |step: &&StepPlan| match &step.action {
            Action::Crash { node } | Action::Restart { node } => node == name,
            Action::Operate(operate) => operate.node == name,
            Action::Attenuate(_) | Action::Link { .. } | Action::Wake { .. } => false,
        };
        self.scenario.steps.iter().filter(is_its)
    }

    /// The plan as JSON, for whoever executes it: read in a tenth of the instructions that its YAML
    /// takes. [`Plan::from_json`] gives it back exactly.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a plan holds only strings, numbers, lists and tables")
    }

    /// Reads what [`Plan::to_json`] wrote.
    ///
    /// # Errors
    /// [`NotAPlan`] with line and column if a key is unknown or missing, or a value wrong.
    pub fn from_json(text: &[u8]) -> Result<Plan, NotAPlan> {
        serde_json::from_slice(text).map_err(|error| NotAPlan(error.to_string()))
    }

    /// Reads what [`Plan::to_yaml`] wrote.
    ///
    /// # Errors
    /// [`NotAPlan`] if a key is unknown or missing, or a value wrong: with line and column if it is no YAML, with
    /// what stands there otherwise.
    pub fn from_yaml(text: &str) -> Result<Plan, NotAPlan> {
        // A node on its way has a point every now and then: a plan is as long as it is, and costs no more
        // than its length.
        let length = text.len();
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_events: length.saturating_mul(3),
                max_nodes: length,
                max_total_scalar_bytes: length,
            },
            strict_booleans: true,
            no_schema: true,
        };
        let tree: serde_json::Value = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| NotAPlan(error.to_string()))?;
        // By way of JSON: a reader of YAML for each type of a plan would be a third of this crate's code.
        let json = format!("{tree:#}");
        serde_json::from_slice(json.as_bytes()).map_err(|error: serde_json::Error| {
            let said = error.to_string();
            let why = said.rsplit_once(" at line ").map_or(&*said, |(why, _)| why);
            let there = json.lines().nth(error.line().saturating_sub(1));
            NotAPlan(format!("{why}: {}", there.unwrap_or_default().trim()))
        })
    }
}

/// How frames get from radio to radio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RadioPlan {
    /// The medium.
    pub medium: Medium,
    /// Transmit power of every radio.
    pub tx_power: Dbm,
    /// A frame whose power at the receiver is under this is not received.
    pub sensitivity: Dbm,
    /// The per-frame air; with `medium: phy` and only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phy: Option<PhyPlan>,
}

/// The medium between radios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Medium {
    /// The kernel's own hwsim edges: instant and lossless, an edge exists while the signal
    /// is at or over the sensitivity.
    Edges,
    /// The per-frame air: CSMA-CA, airtime, collisions, acknowledgements and loss.
    Phy,
}
words!(Medium, "edges" => Edges, "phy" => Phy);

/// The wired network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackbonePlan {
    /// How the wired nodes are joined.
    pub kind: BackboneKind,
    /// One-way delay from any wired node to any other.
    #[serde(with = "duration")]
    pub delay: Duration,
    /// By how much a packet's delay differs at most from `delay`; absent: by nothing.
    #[serde(
        default,
        with = "optional_duration",
        skip_serializing_if = "Option::is_none"
    )]
    pub jitter: Option<Duration>,
    /// How many packets are lost on their way from a wired node to another; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossRatio>,
    /// Rate at which each wired node receives; absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<DataRate>,
}

/// How the wired nodes are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackboneKind {
    /// One Ethernet link and one prefix.
    Bridge,
    /// A core router with a point-to-point link and a prefix per node.
    Routed,
}
words!(BackboneKind, "bridge" => Bridge, "routed" => Routed);

/// `eth0` of a node in the testbed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneInterface {
    /// MAC address, `02:…`, derived from the seed.
    pub mac: EthernetAddress,
    /// The node's address and prefix length.
    pub address: Ipv6Net,
    /// With a routed backbone, the core router's address on this link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv6Addr>,
    /// How much farther away it is than others, one way in both directions, beside
    /// [`BackbonePlan::delay`]; absent: not at all.
    #[serde(
        default,
        with = "optional_duration",
        skip_serializing_if = "Option::is_none"
    )]
    pub delay: Option<Duration>,
    /// Static routes over the backbone.
    pub routes: Vec<RoutePlan>,
}

/// A static route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutePlan {
    /// Where to.
    pub to: Ipv6Net,
    /// Next hop.
    pub via: Ipv6Addr,
}

/// `wpan0` and `lowpan0` of a node in the testbed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RadioInterface {
    /// Extended address.
    pub eui64: Eui64,
    /// Channel at the start (page 0).
    pub channel: Channel,
    /// PAN at the start.
    pub pan_id: PanId,
    /// Short address, if one is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_address: Option<ShortAddress>,
    /// Its part, where it is another than that of [`PhyPlan::profile`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<medium::Profile>,
    /// Where it is, in time order, under `phy`, and where its services tell it: one waypoint: it stands there; none: it
    /// has no position, or nobody asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub track: Vec<propagation::Waypoint>,
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
    /// Whether blocks of responses have an entity tag; absent if so.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub block_etags: bool,
    /// How long tokens are at least, 0 B to 8 B (RFC 7252 §5.3.1); none: 4 B where they are counted,
    /// 8 B where they are random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_length: Option<ByteSize>,
    /// Every how many notifications to an observer one is CON (RFC 7641 §4.5).
    pub confirm_notifications: u32,
    /// Whether sources show where they are before they are believed (RFC 9175 §2); none: outside a
    /// run, where there are strangers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_sources: Option<bool>,
}

fn yes() -> bool {
    true
}

fn is_yes(given: &bool) -> bool {
    *given
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
words!(CongestionControl, "fixed" => Fixed, "cocoa" => Cocoa);

/// How a host obtains its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressMode {
    /// RFC 8415 through the edge router's relay agent.
    Dhcpv6,
    /// RFC 4862 from the advertised prefix.
    Slaac,
}
words!(AddressMode, "dhcpv6" => Dhcpv6, "slaac" => Slaac);

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
words!(DadMode, "normal" => Normal, "optimistic" => Optimistic, "off" => Off);

/// Attenuation between two radios.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkPlan {
    /// One end.
    pub a: NodeName,
    /// The other.
    pub b: NodeName,
    /// Attenuation.
    pub attenuation: Db,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioPlan {
    /// Scenario time at which the run ends. The clock starts when every daemon is ready.
    #[serde(with = "duration")]
    pub duration: Duration,
    /// Steps in time order; ramps, moves and repetitions are expanded.
    pub steps: Vec<StepPlan>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
// No `deny_unknown_fields`: serde cannot combine it with `flatten`; the flattened enum refuses.
pub struct StepPlan {
    /// Scenario time.
    #[serde(with = "duration")]
    pub at: Duration,
    /// What happens then.
    #[serde(flatten)]
    pub action: Action,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Sets the attenuation between two radios.
    Attenuate(LinkPlan),
    /// Takes a link away whatever its attenuation, or gives it back.
    Link {
        /// One end.
        a: NodeName,
        /// The other.
        b: NodeName,
        /// Whether frames can pass.
        up: bool,
    },
    /// Kills a node's daemon (SIGKILL).
    Crash {
        /// The node.
        node: NodeName,
    },
    /// Starts a crashed daemon again.
    Restart {
        /// The node.
        node: NodeName,
    },
    /// Wakes a sleeping mobile node before its time.
    Wake {
        /// The node.
        node: NodeName,
    },
    /// Has a server do something to a device that has registered.
    Operate(OperatePlan),
}
