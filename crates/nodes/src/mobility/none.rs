//! No mobility: a CoAP endpoint whose address is what it is.

use anyhow::{Context, Result};
use driver::{Driver, Udp};
use handover::{Mobility, NoMobility};
use units::SimTime;

use super::{Adapter, Event};
use crate::application::Endpoint;
use crate::host::{Host, now};

/// A node that tells nobody where it is.
#[derive(Debug)]
pub(crate) struct Unmoved {
    coap: Driver<coap::Endpoint>,
    mobility: NoMobility,
}

impl Unmoved {
    /// Opens its endpoint.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub(crate) fn open(host: &Host, endpoint: &Endpoint) -> Result<Unmoved> {
        let params = endpoint.params.clone();
        let coap = coap::Endpoint::new(params, service::KNOWN_CRITICAL, host.rng("coap"));
        Ok(Unmoved {
            coap: Driver::new(coap, Udp::open(endpoint.port, None)?)?,
            mobility: NoMobility::new(),
        })
    }
}

impl Adapter for Unmoved {
    async fn next_event(&mut self) -> Result<Event> {
        if let Some(step) = self.mobility.poll_step() {
            return Ok(Event::Step(step));
        }
        loop {
            let event = self.coap.next_event().await.context("CoAP socket")?;
            match service::Event::try_from(event) {
                Ok(event) => return Ok(Event::Service(event)),
                Err(coap::Event::Block { .. }) => return Ok(Event::Block),
                Err(_) => {}
            }
        }
    }

    fn with_node<R>(&mut self, command: impl FnOnce(&mut dyn service::Node, SimTime) -> R) -> R {
        self.coap.with(|endpoint, now| command(endpoint, now))
    }

    fn with_mobility<R>(&mut self, command: impl FnOnce(&mut dyn Mobility, SimTime) -> R) -> R {
        command(&mut self.mobility, now())
    }

    fn keeps_back(&self) -> bool {
        false
    }
}
