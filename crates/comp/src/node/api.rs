//! What goes into and comes out of a [`Node`](super::Node).

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use handover::{BindingEvent, Step};
use service::Incoming;

use crate::binding::{BindingMode, Removal};
use crate::client::{self, HoldQueue};

/// What a [`Node`](super::Node) is told once.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Its permanent identifier.
    pub p_addr: Ipv6Addr,
    /// The WMMS.
    pub wmms: SocketAddrV6,
    /// Whether the correspondents are put on hold before a handover.
    pub hold: bool,
    /// Who tells the correspondents of a new address; the WMMS is to be told the same.
    pub binding: BindingMode,
    /// Lifetime of its bindings; rounded up to whole seconds, at most 65535 s.
    pub lifetime: Duration,
    /// Bounds of what is kept back for each node that it asks.
    pub hold_queue: HoldQueue,
    /// CoAP transmission parameters.
    pub coap: coap::Params,
}

/// What the owner is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The WMMS accepted [`Node::register`](super::Node::register); refreshes are not reported.
    Binding(BindingEvent),
    /// What a handover waits for.
    Step(Step),
    /// The WMMS did not accept a registration or refresh; it is repeated.
    RegistrationFailed {
        /// Why.
        reason: String,
    },
    /// What the WMMS said in its answer to a hold or sleep, after which no request is on its way.
    HoldAnswered {
        /// The last answer that arrived, as a correspondent reported it to the WMMS; 0 if
        /// none did. Compare with [`Node::sequence_number`](super::Node::sequence_number).
        sequence_number: u16,
    },
    /// Somebody else has spoken for the node at the WMMS. It says again where it is.
    Contested {
        /// What became of its entry.
        removal: Removal,
    },
    /// The WMMS has forgotten the node.
    Deregistered,
    /// The WMMS did not accept the deregistration.
    DeregistrationFailed {
        /// Why.
        reason: String,
    },
    /// A peer was served a further block of a body (RFC 7959) without the application.
    Block {
        /// Who asked.
        from: SocketAddrV6,
        /// Message ID of the request.
        message_id: u16,
    },
    /// A request for the application; answer it with [`Node::respond`](super::Node::respond).
    Request {
        /// Message ID of the request.
        message_id: u16,
        /// Who asks, and for what.
        incoming: Incoming,
    },
    /// What became of what the node asked others.
    Client(client::Event),
}
