//! The node daemons: thin shells around the protocol cores, one process per node.
//!
//! Owns the sockets, timers and netlink calls of a node that runs inside its own network
//! namespace, or on a board with a real radio. Knows nothing of how the namespace came to
//! be, of other nodes' internals, of captures or of the scenario.
//!
//! A daemon reads its part of the resolved plan, reports [`rundir::Event`]s as JSON lines on
//! standard output and logs on standard error. With [`Config::controlled`] it is told
//! [`rundir::control::Control`] lines on standard input and leaves at end of file.
//!
//! | module | role |
//! | --- | --- |
//! | [`edge_router`] | router advertisements, forwarding, DHCPv6 relay agent |
//! | [`dhcpv6_server`] | DHCPv6 server |
//! | [`wmms`] | mobility server |
//! | [`client`] | CoAP client with LBC and hold queue; it may serve resources |
//! | [`mobile_node`] | CoAP server that hands over; it may be a client, too |
//! | [`host`] | events, control, clock |
//! | `writer` | the thread that writes to the mobility server's store |

pub mod client;
pub mod dhcpv6_server;
pub mod edge_router;
pub mod host;
pub mod mobile_node;
mod polls;
mod radio;
mod resource;
pub mod wmms;
mod writer;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use topology::Plan;
use topology::plan::{CoapPlan, CongestionControl, Role};
use units::{Db, Seed};

use host::{Commands, Events};

/// What a daemon needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The resolved plan.
    pub plan: Plan,
    /// Which of its nodes this is.
    pub node: String,
    /// Whether control lines come on standard input.
    pub controlled: bool,
    /// How often the node crashed before.
    pub crashes: u32,
    /// Interface names.
    pub interfaces: Interfaces,
    /// Directory of what outlives the daemon; made when it is needed.
    pub state: PathBuf,
    /// Where a mobile node's signal registers come from.
    pub signal: SignalSource,
}

/// Where a mobile node's signal registers come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SignalSource {
    /// Control lines ([`rundir::control::Control::Signal`]): the testbed's medium knows.
    Control,
    /// The LQI of the frames that the node's own radio receives ([`netlink::LqiSocket`]): on a
    /// board, in the initial namespace.
    Radio {
        /// Signal over the sensitivity at which the radio's LQI is 255 ([`units::Lqi::to_rssi`]).
        span: Db,
    },
}

/// Names of a node's interfaces; the testbed uses the defaults.
#[derive(Clone, Debug)]
pub struct Interfaces {
    /// The radio.
    pub wpan: String,
    /// Its 6LoWPAN interface.
    pub lowpan: String,
}

impl Default for Interfaces {
    fn default() -> Interfaces {
        Interfaces {
            wpan: "wpan0".into(),
            lowpan: "lowpan0".into(),
        }
    }
}

/// What every daemon is given.
struct Host {
    name: String,
    seed: Seed,
    crashes: u32,
    events: Events,
    commands: Commands,
    interfaces: Interfaces,
    state: PathBuf,
}

impl Host {
    /// The generator of this node for `purpose`. After a crash it is another one: a Message ID
    /// MUST NOT be used again within EXCHANGE_LIFETIME (RFC 7252 §4.4), and a node that has
    /// lost its state cannot know which ones it used.
    fn rng(&self, purpose: &str) -> units::Rng {
        let life = format!("after crash {}", self.crashes);
        match self.crashes {
            0 => self.seed.rng(&["node", &self.name, purpose]),
            _ => self.seed.rng(&["node", &self.name, purpose, &life]),
        }
    }
}

/// Runs the daemon of `config.node` until it is told to stop.
///
/// # Errors
/// When the node is not in the plan or is no daemon, and whatever stops the daemon.
pub async fn run(config: Config) -> Result<()> {
    let Config {
        mut plan,
        node: name,
        controlled,
        crashes,
        interfaces,
        state,
        signal,
    } = config;
    let names = plan.nodes.keys().cloned().collect::<Vec<_>>().join(", ");
    let node = plan
        .nodes
        .remove(&name)
        .with_context(|| format!("no node `{name}` in the plan, which has {names}"))?;
    let host = Host {
        seed: plan.seed,
        crashes,
        events: Events::new(&name),
        commands: Commands::new(controlled)?,
        interfaces,
        state,
        name: name.clone(),
    };
    let done = match node.role {
        Role::EdgeRouter(role) => {
            let radio = node.radio.context("an edge router has a radio")?;
            edge_router::run(host, role, &radio).await
        }
        Role::Dhcpv6Server(role) => dhcpv6_server::run(host, role).await,
        Role::Wmms(role) => wmms::run(host, role).await,
        Role::Client(role) => client::run(host, role).await,
        Role::MobileNode(role) => {
            let radio = node.radio.context("a mobile node has a radio")?;
            let lqi = match signal {
                SignalSource::Control => None,
                SignalSource::Radio { span } => {
                    let config = mobile_node::LqiConfig::new(&plan, &role, &radio, span);
                    Some(config.with_context(|| format!("node {name}"))?)
                }
            };
            mobile_node::run(host, *role, radio, lqi).await
        }
        Role::Program(_) => bail!("`{name}` is a program of the user's, not a daemon"),
    };
    done.with_context(|| format!("node {name}"))
}

/// The transmission parameters of a plan for the endpoint.
fn coap_params(plan: &CoapPlan) -> coap::Params {
    coap::Params {
        ack_timeout: plan.ack_timeout,
        ack_random_factor: plan.ack_random_factor,
        max_retransmit: plan.max_retransmit,
        nstart: plan.nstart,
        response_timeout: plan.response_timeout,
        block_size: usize::try_from(plan.block_size.0)
            .ok()
            .and_then(coap::BlockSize::new)
            .unwrap_or(coap::BlockSize::MAX),
        congestion_control: match plan.congestion_control {
            CongestionControl::Fixed => coap::CongestionControl::Fixed,
            CongestionControl::Cocoa => coap::CongestionControl::Cocoa,
        },
        confirm_notifications: plan.confirm_notifications,
        ..coap::Params::default()
    }
}
