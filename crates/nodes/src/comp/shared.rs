//! The mobility server as one of several instances, with its table in PostgreSQL: [`wmms_postgres::instance`].

use std::net::{Ipv6Addr, SocketAddrV6};

use ::comp::wmms::Wmms;
use anyhow::{Context, Result, ensure};
use driver::Udp;
use rundir::EventKind;
use topology::kind::comp::wmms::WmmsPlan;
use topology::plan::CoapPlan;
use wmms_postgres::{Postgres, Rows, Settings, instance};
use wmms_store::{Durable, Event};

use super::wmms::{config, tell_what_was_refused};
use crate::control::Controls;
use crate::host::{Host, Shared};

/// A part of a daemon that runs an instance.
struct Part {
    host: Host,
    controls: Controls,
    plan: WmmsPlan,
    coap: CoapPlan,
    is_ready: bool,
}

pub(super) async fn run(
    host: Host,
    controls: Controls,
    plan: WmmsPlan,
    coap: CoapPlan,
    shared: Shared,
) -> Result<()> {
    let Shared { settings, instance } = shared;
    let place = settings.display().to_string();
    ensure!(
        host.is_alone(),
        "a run keeps its table in its own directory: leave out --store"
    );
    let text = std::fs::read_to_string(&settings).with_context(|| place.clone())?;
    let settings = Settings::from_json(&text, &instance).context(place)?;
    let mut part = Part {
        host,
        controls,
        plan,
        coap,
        is_ready: false,
    };
    instance::run(&mut part, &settings, &instance).await
}

impl instance::Host for Part {
    type Error = anyhow::Error;

    fn wmms(&mut self, at: Ipv6Addr, lives_before: u64) -> Wmms {
        let rng = (self.host).protocol_rng(&format!("coap, life {lives_before}"));
        Wmms::new(config(&self.host, &self.plan, &self.coap), rng)
            .at(at)
            .says_nothing_of(self.plan.untold.clone())
    }

    fn socket(&mut self, at: SocketAddrV6) -> Result<Udp> {
        self.host.socket(Udp::bind(at)?)
    }

    fn joined(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.is_ready, true) {
            true => Ok(()),
            false => self.host.part_is_ready(),
        }
    }

    fn hear(&mut self, event: Event<Rows>) -> Result<()> {
        let kind = match event {
            Event::Wmms(event) => event.into(),
            Event::PassedOver(datagrams) => EventKind::PassedOver { datagrams },
            // Not for the host.
            Event::Write(_) => return Ok(()),
        };
        self.host.events.queue(kind)?;
        self.host.events.flush()
    }

    async fn stopped(&mut self) {
        self.controls.stopped().await;
    }

    fn ended(&mut self, durable: &Durable<Postgres>) {
        tell_what_was_refused(durable);
    }
}
