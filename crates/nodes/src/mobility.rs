//! The adapter of a mobility protocol: its sockets, and what its events are to the rest of a daemon.
//!
//! A protocol may live in the CoAP endpoint, as CoMP does, or beside it on sockets of its own: its
//! adapter drives both. Whoever adds one writes an [`Adapter`] in a file named after the protocol
//! and adds it to `daemon`.

mod none;
mod plain;

use anyhow::Result;
use handover::{BindingEvent, Mobility, Step};
use nd::NdOption;
use units::{Eui64, SimTime};

pub(crate) use none::WithoutMobility;
pub(crate) use plain::PlainEndpoint;

/// What an adapter has to tell.
#[derive(Debug)]
pub(crate) enum Event {
    /// Something for the services of the node.
    Service(service::Event),
    /// A peer was served a further block of a body (RFC 7959), without the services.
    Block,
    /// The mobility protocol took a step.
    Step(Step),
    /// A binding became known, or is not any more.
    Binding(BindingEvent),
}

/// A node's CoAP endpoint and its mobility protocol, on their sockets.
pub(crate) trait Adapter {
    /// The next event. Cancel-safe.
    ///
    /// # Errors
    /// When a socket fails.
    async fn next_event(&mut self) -> Result<Event>;

    /// Lets the services do something to the node; what it wants to send goes out at once.
    fn with_node<R>(&mut self, command: impl FnOnce(&mut dyn service::Node, SimTime) -> R) -> R;

    /// The router of the link that the node has come to with the link-layer address `own` advertises these
    /// options of other protocols than neighbour discovery. The node has no address there yet.
    fn hear(&mut self, _own: Eui64, _options: &[NdOption]) {}

    /// Gives the protocol a command; what it wants to send goes out at once, after `command` is done.
    fn with_mobility<R>(&mut self, command: impl FnOnce(&mut dyn Mobility, SimTime) -> R) -> R;

    /// Whether what the node asks others now is kept back until it is bound again.
    fn keeps_back(&self) -> bool;
}
