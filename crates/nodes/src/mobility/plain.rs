//! A CoAP endpoint that knows nothing of mobility.

use anyhow::{Context, Result};
use driver::{Driver, Udp};
use units::SimTime;

use super::Event;
use crate::endpoint::Endpoint;
use crate::host::Host;

/// The endpoint of a node whose mobility protocol, if it has one, is not part of it.
#[derive(Debug)]
pub(crate) struct PlainEndpoint {
    coap: Driver<coap::Endpoint>,
}

impl PlainEndpoint {
    /// Opens it.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub(crate) fn open(host: &Host, endpoint: &Endpoint) -> Result<PlainEndpoint> {
        let params = coap::Params {
            // Whoever is not answered in that time is not asked later either.
            queue_timeout: Some(endpoint.params.response_timeout),
            ..endpoint.params.clone()
        };
        let coap = coap::Endpoint::new(params, service::KNOWN_CRITICAL, host.protocol_rng("coap"));
        Ok(PlainEndpoint {
            coap: Driver::new(coap, host.socket(Udp::bind(endpoint.at)?)?)?,
        })
    }

    /// The next event of the endpoint. Cancel-safe.
    ///
    /// # Errors
    /// When the socket fails.
    pub(crate) async fn next_event(&mut self) -> Result<Event> {
        loop {
            let event = self.coap.next_event().await.context("CoAP socket")?;
            match service::Event::try_from(event) {
                Ok(event) => return Ok(Event::Service(event)),
                Err(coap::Event::Block { .. }) => return Ok(Event::Block),
                Err(_) => {}
            }
        }
    }

    /// Lets the services do something to the node; what it wants to send goes out at once.
    pub(crate) fn with_node<R>(
        &mut self,
        command: impl FnOnce(&mut dyn service::Node, SimTime) -> R,
    ) -> R {
        self.coap.with(|endpoint, now| command(endpoint, now))
    }
}
