//! The client's daemon: a [`comp::node::Node`] that stays where it is, the polls of the plan, and
//! the resources that it serves itself.

use std::net::SocketAddrV6;

use anyhow::{Context, Result};
use coap::message::PORT;
use comp::BindingMode;
use comp::node::{Config, Event, Node};
use driver::{Driver, Udp};
use rundir::EventKind;
use rundir::control::Control;
use topology::plan::ClientPlan;

use crate::host::{earlier, instant, now};
use crate::polls::{Polling, hold_queue};
use crate::resource::Resources;
use crate::{Host, coap_params};

pub(crate) async fn run(host: Host, plan: ClientPlan) -> Result<()> {
    let config = Config {
        p_addr: plan.p_addr,
        wmms: SocketAddrV6::new(plan.wmms, PORT, 0, 0),
        // It stays where it is.
        hold: false,
        binding: BindingMode::Direct,
        lifetime: plan.lifetime,
        hold_queue: hold_queue(&plan.hold_queue),
        coap: coap_params(&plan.coap),
    };
    let node = Node::new(config, host.rng("coap"));
    let mut client = Client {
        coap: Driver::new(node, Udp::open(PORT, None)?)?,
        polling: Polling::new(plan.polls, host.rng("polls")),
        resources: Resources::new(plan.resources, host.rng("readings")),
        ready: false,
        host,
    };
    // In the testbed a client does not move: it is where its permanent address says.
    client
        .coap
        .with(|node, now| node.register(now, plan.p_addr));
    while client.step().await? {
        client.polling.report_if_drained(&client.host.events)?;
    }
    Ok(())
}

struct Client {
    host: Host,
    coap: Driver<Node>,
    polling: Polling,
    resources: Resources,
    ready: bool,
}

impl Client {
    /// Waits for one input and handles it; `false` when told to leave.
    async fn step(&mut self) -> Result<bool> {
        let due = earlier(self.polling.next_due(), self.resources.next_due());
        tokio::select! {
            event = self.coap.next_event() => self.on_coap(event.context("CoAP socket")?)?,
            () = tokio::time::sleep_until(instant(due)) => {
                self.polling.ask_due(&mut self.coap);
                self.resources.notify_due(&mut self.coap);
            }
            control = self.host.commands.next() => match control? {
                Control::Start => {
                    self.polling.start(now());
                    self.resources.start(now());
                }
                Control::Drain => self.polling.drain(&mut self.coap),
                Control::Signal(_) | Control::Wake => {}
                Control::Stop => return Ok(false),
            },
        }
        Ok(true)
    }

    fn on_coap(&mut self, event: Event) -> Result<()> {
        let events = &self.host.events;
        match event {
            Event::Client(event) => self.polling.on_event(events, event)?,
            Event::Request {
                exchange, request, ..
            } => self.resources.serve(&mut self.coap, exchange, &request),
            Event::Binding(registered) => {
                events.report(registered.into())?;
                if !std::mem::replace(&mut self.ready, true) {
                    events.report(EventKind::Ready)?;
                }
            }
            Event::RegistrationFailed { reason } => {
                tracing::warn!(%reason, "registration at the WMMS failed");
            }
            // It neither moves nor leaves.
            Event::Step(_)
            | Event::HoldAnswered { .. }
            | Event::Deregistered
            | Event::DeregistrationFailed { .. }
            | Event::Block { .. } => {}
        }
        Ok(())
    }
}
