//! No mobility: a node whose address is what it is.

use anyhow::Result;
use handover::{Mobility, NoMobility};
use units::SimTime;

use super::{Adapter, Event, PlainEndpoint};
use crate::endpoint::Endpoint;
use crate::host::{Host, now};

/// A node that tells nobody where it is.
#[derive(Debug)]
pub(crate) struct WithoutMobility {
    endpoint: PlainEndpoint,
    mobility: NoMobility,
}

impl WithoutMobility {
    /// Opens its endpoint.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub(crate) fn open(host: &Host, endpoint: &Endpoint) -> Result<WithoutMobility> {
        Ok(WithoutMobility {
            endpoint: PlainEndpoint::open(host, endpoint)?,
            mobility: NoMobility::new(),
        })
    }
}

impl Adapter for WithoutMobility {
    async fn next_event(&mut self) -> Result<Event> {
        match self.mobility.poll_step() {
            Some(step) => Ok(Event::Step(step)),
            None => self.endpoint.next_event().await,
        }
    }

    fn with_node<R>(&mut self, command: impl FnOnce(&mut dyn service::Node, SimTime) -> R) -> R {
        self.endpoint.with_node(command)
    }

    fn with_mobility<R>(&mut self, command: impl FnOnce(&mut dyn Mobility, SimTime) -> R) -> R {
        command(&mut self.mobility, now())
    }

    fn keeps_back(&self) -> bool {
        false
    }
}
