//! CoMP's adapter, and its server.

mod shared;
pub mod wmms;

use std::net::{Ipv6Addr, SocketAddrV6};

use ::comp::node::{self, Node};
use ::comp::{BindingMode, client};
use anyhow::{Context, Result};
use coap::message::PORT;
use driver::{Driver, Udp};
use handover::{BindingEvent, Mobility};
use topology::kind::comp::{self as plan, HoldQueuePlan};
use units::SimTime;

use crate::endpoint::Endpoint;
use crate::host::Host;
use crate::mobility::{Adapter, Event};

/// A CoMP node: the protocol is part of its CoAP endpoint.
#[derive(Debug)]
pub(crate) struct Comp {
    p_addr: Ipv6Addr,
    coap: Driver<Node>,
}

impl Comp {
    /// Opens its endpoint.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub(crate) fn open(host: &Host, endpoint: &Endpoint, plan: &plan::Plan) -> Result<Comp> {
        let node = Node::new(config(endpoint, plan), host.protocol_rng("coap"));
        Ok(Comp {
            p_addr: plan.p_addr,
            coap: Driver::new(node, host.socket(Udp::bind(endpoint.at)?)?)?,
        })
    }
}

impl Adapter for Comp {
    async fn next_event(&mut self) -> Result<Event> {
        loop {
            let event = self.coap.next_event().await.context("CoAP socket")?;
            let other = match service::Event::try_from(event) {
                Ok(event) => return Ok(Event::Service(event)),
                Err(other) => other,
            };
            match other {
                node::Event::Step(step) => return Ok(Event::Step(step)),
                node::Event::Binding(event)
                | node::Event::Client(client::Event::Binding(event)) => {
                    return Ok(Event::Binding(event));
                }
                node::Event::Block { .. } => return Ok(Event::Block),
                node::Event::Contested { removal } => {
                    tracing::warn!(p_addr = %self.p_addr, "this node's entry was {removal}");
                    let (p_addr, reason) = (self.p_addr, removal.into());
                    return Ok(Event::Binding(BindingEvent::Removed { p_addr, reason }));
                }
                node::Event::RegistrationFailed { reason } => {
                    tracing::warn!(%reason, "registration at the WMMS failed; it is repeated");
                }
                node::Event::DeregistrationFailed { reason } => {
                    tracing::warn!(%reason, "deregistration failed");
                }
                node::Event::Deregistered
                | node::Event::HoldAnswered { .. }
                // The services have them.
                | node::Event::Request { .. }
                | node::Event::Client(client::Event::Call { .. }) => {}
            }
        }
    }

    fn with_node<R>(&mut self, command: impl FnOnce(&mut dyn service::Node, SimTime) -> R) -> R {
        self.coap.with(|node, now| command(node, now))
    }

    fn with_mobility<R>(&mut self, command: impl FnOnce(&mut dyn Mobility, SimTime) -> R) -> R {
        self.coap.with(|node, now| command(node, now))
    }

    fn keeps_back(&self) -> bool {
        self.coap.machine().client().is_paused()
    }
}

/// The node of the plan.
fn config(endpoint: &Endpoint, plan: &plan::Plan) -> node::Config {
    // One that stays has nothing to prepare, and moves nowhere.
    let stays = plan::HandedPlan {
        hold: false,
        binding: plan::BindingMode::Direct,
    };
    let handed = plan.handover.as_ref().unwrap_or(&stays);
    node::Config {
        p_addr: plan.p_addr,
        wmms: SocketAddrV6::new(plan.wmms, PORT, 0, 0),
        hold: handed.hold,
        binding: binding_mode(handed.binding),
        lifetime: plan.lifetime,
        hold_queue: plan.hold_queue.as_ref().map(hold_queue).unwrap_or_default(),
        coap: endpoint.params.clone(),
    }
}

/// The binding mode in the core's words.
fn binding_mode(mode: plan::BindingMode) -> BindingMode {
    match mode {
        plan::BindingMode::Direct => BindingMode::Direct,
        plan::BindingMode::Relayed => BindingMode::Relayed,
        plan::BindingMode::Nobody => BindingMode::Nobody,
    }
}

/// The hold queue in the core's words.
fn hold_queue(plan: &HoldQueuePlan) -> client::HoldQueue {
    client::HoldQueue {
        capacity: plan.capacity as usize,
        timeout: plan.timeout,
    }
}
