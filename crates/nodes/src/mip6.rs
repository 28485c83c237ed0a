//! Mobile IPv6 (RFC 6275): the adapter of a mobile node, and the parts that home agents and
//! correspondents are.
//!
//! The machines are [`mip6`]'s, the way of the packets is the kernel's: tunnels, routes by source, and
//! extension headers (`xfrm`). Between the two stands a machine around each of them, which changes the
//! way before a message leaves that tells somebody of it.
//!
//! | module | holds |
//! | --- | --- |
//! | `around` | the headers around a Mobility Header, as the socket and as the machines have them |
//! | `gate` | when a mobile node's messages leave, and come in |
//! | `kept` | a home agent or a correspondent with its kernel state |
//! | [`agent`] | home agents and mobility anchor points: tunnels to care-of addresses |
//! | [`correspondent`] | extension headers to and from care-of addresses |
//! | `numbers` | which tunnel has which number |
//! | `protection` | ESP around updates and acknowledgements |
//! | `mobile` | a mobile node as [`handover::Mobility`] |
//! | `way` | a mobile node's tunnel, routes and extension headers |
//! | [`proxy`] | local mobility anchors, and edge routers as mobile access gateways (RFC 5213) |

pub(crate) mod agent;
mod around;
pub(crate) mod correspondent;
mod gate;
mod kept;
mod mobile;
mod numbers;
mod protection;
pub(crate) mod proxy;
mod way;

use std::net::Ipv6Addr;

use anyhow::{Context, Result};
use driver::{Driver, Raw};
use handover::{BindingEvent, Mobility};
use mip6::MapOption;
use mip6::headers::MOBILITY_HEADER;
use nd::NdOption;
use nd::option::INFINITE_LIFETIME_S;
use topology::kind::mip6 as plan;
use units::{Eui64, SimTime};

use crate::endpoint::Endpoint;
use crate::host::Host;
use crate::mobility::{Adapter, Event, PlainEndpoint};
use mobile::{Mobile, Told};
use way::Way;

/// How an edge router advertises the mobility anchor point that it is below (RFC 5380 §5): one hop away, as "its
/// default value SHOULD be", as preferred as can be, and for ever, as long as the plan says so.
pub(crate) fn advertised(address: Ipv6Addr) -> NdOption {
    let option = MapOption {
        distance: 1,
        preference: 15,
        allocates_addresses: false,
        valid_lifetime_s: INFINITE_LIFETIME_S,
        address,
    };
    NdOption::Unknown {
        kind: MapOption::TYPE,
        data: option.encode().to_vec(),
    }
}

/// A mobile node: its CoAP endpoint is at its home address, wherever it is.
#[derive(Debug)]
pub(crate) struct Mip6 {
    endpoint: PlainEndpoint,
    signalling: Driver<Mobile, Raw>,
}

impl Mip6 {
    /// Opens its sockets, and gives the node its home address.
    ///
    /// # Errors
    /// When a socket cannot be had, or the kernel refuses what is needed.
    pub(crate) fn open(host: &Host, endpoint: &Endpoint, plan: &plan::Plan) -> Result<Mip6> {
        let way = Way::open(plan)?;
        let mobile = Mobile::new(plan, way, host.protocol_rng("mip6"));
        let mut endpoint = endpoint.clone();
        // An answer has to come from where it was asked.
        endpoint.at.set_ip(plan.home_address);
        Ok(Mip6 {
            endpoint: PlainEndpoint::open(host, &endpoint)?,
            signalling: Driver::new(mobile, Raw::open(MOBILITY_HEADER)?)?,
        })
    }
}

impl Adapter for Mip6 {
    async fn next_event(&mut self) -> Result<Event> {
        tokio::select! {
            biased;
            told = self.signalling.next_event() => {
                Ok(match told.context("Mobility Header socket")? {
                    Told::Step(step) => Event::Step(step),
                    Told::Binding(event) => Event::Binding(event),
                    Told::Broken(error) => return Err(error),
                })
            }
            event = self.endpoint.next_event() => event,
        }
    }

    fn with_node<R>(&mut self, command: impl FnOnce(&mut dyn service::Node, SimTime) -> R) -> R {
        self.endpoint.with_node(command)
    }

    fn with_mobility<R>(&mut self, command: impl FnOnce(&mut dyn Mobility, SimTime) -> R) -> R {
        self.signalling.with(|mobile, now| command(mobile, now))
    }

    fn hear(&mut self, own: Eui64, options: &[NdOption]) {
        self.signalling.with(|mobile, _| mobile.hear(own, options));
    }

    fn keeps_back(&self) -> bool {
        false
    }
}

/// What an entry of a binding cache is to the events of a run.
fn binding_event(change: mip6::cache::Change) -> BindingEvent {
    use mip6::cache::{Change, Removal};
    match change {
        Change::Bound {
            home_address: p_addr,
            care_of: t_addr,
            previous: None,
            ..
        } => BindingEvent::Registered { p_addr, t_addr },
        Change::Bound {
            home_address: p_addr,
            care_of: t_addr,
            ..
        } => BindingEvent::Changed {
            p_addr,
            t_addr,
            held: false,
        },
        Change::Removed {
            home_address: p_addr,
            reason,
            ..
        } => BindingEvent::Removed {
            p_addr,
            reason: match reason {
                Removal::Requested => "deregistered",
                Removal::Expired => "lifetime ended",
                Removal::Unreachable => "unreachable",
            }
            .into(),
        },
    }
}
