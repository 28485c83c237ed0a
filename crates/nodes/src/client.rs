//! The client's daemon: a [`comp::node::Node`] that stays where it is, the polls of the plan, and
//! the resources that it serves itself.

use std::net::SocketAddrV6;

use anyhow::{Context, Result};
use coap::message::PORT;
use comp::node::{Config, Event, Node};
use driver::{Driver, Udp};
use rundir::EventKind;
use rundir::control::Control;
use service::{Reach, Services};
use topology::plan::ClientPlan;

use crate::host::instant;
use crate::services::{OnNode, hold_queue, report_binding, requester, sensors};
use crate::{Host, coap_params};

pub(crate) async fn run(host: Host, plan: ClientPlan) -> Result<()> {
    let config = Config {
        p_addr: plan.p_addr,
        wmms: SocketAddrV6::new(plan.wmms, PORT, 0, 0),
        lifetime: plan.lifetime,
        hold_queue: hold_queue(&plan.hold_queue),
        coap: coap_params(&plan.coap),
    };
    let node = Node::new(config, host.rng("coap"));
    let mut services = Services::new();
    services.push(requester(&host, &plan.polls)?);
    services.push(sensors(&host, &plan.resources)?);
    let mut client = Client {
        coap: Driver::new(node, Udp::open(PORT, None)?)?,
        services: OnNode::new(services),
        ready: false,
        host,
    };
    // In the testbed a client does not move: it is where its permanent address says.
    client
        .coap
        .with(|node, now| node.register(now, plan.p_addr));
    while client.step().await? {
        client.services.report(&client.host.events)?;
    }
    Ok(())
}

struct Client {
    host: Host,
    coap: Driver<Node>,
    services: OnNode,
    ready: bool,
}

impl Client {
    /// Waits for one input and handles it; `false` when told to leave.
    async fn step(&mut self) -> Result<bool> {
        let due = self.services.poll_timeout(Reach::FULL);
        tokio::select! {
            event = self.coap.next_event() => self.on_coap(event.context("CoAP socket")?)?,
            () = tokio::time::sleep_until(instant(due)) => {
                self.services.handle_timeout(&mut self.coap, Reach::FULL);
            }
            control = self.host.commands.next() => match control? {
                Control::Start => self.services.start(&mut self.coap),
                Control::Drain => self.services.drain(&mut self.coap),
                Control::Signal { .. } | Control::Wake => {}
                Control::Stop => return Ok(false),
            },
        }
        Ok(true)
    }

    fn on_coap(&mut self, event: Event) -> Result<()> {
        let events = &self.host.events;
        let Some(event) = self.services.handle(&mut self.coap, events, event)? else {
            return Ok(());
        };
        match event {
            Event::Client(event) => report_binding(events, event)?,
            Event::Registered { p_addr, t_addr } => {
                events.report(EventKind::Registered { p_addr, t_addr })?;
                if !std::mem::replace(&mut self.ready, true) {
                    events.report(EventKind::Ready)?;
                }
            }
            Event::RegistrationFailed { reason } => {
                tracing::warn!(%reason, "registration at the WMMS failed");
            }
            // It neither moves nor leaves.
            Event::HoldAnswered { .. }
            | Event::HoldFailed { .. }
            | Event::Bound { .. }
            | Event::BindFailed { .. }
            | Event::Deregistered
            | Event::DeregistrationFailed { .. }
            | Event::Request { .. }
            | Event::Block { .. } => {}
        }
        Ok(())
    }
}
