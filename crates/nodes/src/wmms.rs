//! The mobility server's daemon: [`comp::wmms`] on a socket.

use anyhow::{Context, Result};
use coap::io::Driver;
use coap::message::PORT;
use comp::wmms::{Config, Event, Wmms};
use rundir::EventKind;
use rundir::control::Control;
use topology::plan::WmmsPlan;

use crate::mobile_node::binding_mode;
use crate::{Host, coap_params, icmpv6};

pub(crate) async fn run(mut host: Host, plan: WmmsPlan) -> Result<()> {
    let config = Config {
        hold_timeout: plan.hold_timeout,
        binding: binding_mode(plan.binding),
        coap: coap_params(&plan.coap),
    };
    let wmms = Wmms::new(config, host.rng("coap"));
    let mut coap = Driver::from_socket(wmms, icmpv6::udp(PORT, None)?)?;
    host.events.report(EventKind::Ready)?;
    loop {
        tokio::select! {
            event = coap.next_event() => report(&host, event.context("CoAP socket")?)?,
            control = host.commands.next() => if control? == Control::Stop { return Ok(()) },
        }
    }
}

fn report(host: &Host, event: Event) -> Result<()> {
    match event {
        Event::Registered { p_addr, t_addr } => {
            host.events.report(EventKind::Registered { p_addr, t_addr })
        }
        Event::BindingChanged {
            p_addr,
            t_addr,
            held,
        } => host.events.binding(p_addr, t_addr, held),
        Event::BindingRemoved { p_addr, reason } => host.events.report(EventKind::BindingRemoved {
            p_addr,
            reason: reason.to_string(),
        }),
    }
}
