//! What a router says of the routers around it: the neighbourhood discovery of Fast Handovers
//! (RFC 5568 §6.1).
//!
//! A node asks the router that it is at, before it leaves ([`Requester`]); the router answers with what it
//! knows ([`Responder`]): of each access point the router behind it, and that one's prefix. An access point
//! is named by its link-layer address, which on an IEEE 802.15.4 link is the edge router's own EUI-64.
//!
//! When it has come, the node says who it is without being asked (UNA, §6.3).
//!
//! Not there: Fast Binding Updates and what routers tell each other (§6.2), and network-initiated handovers
//! (code 1): a node learns where it may go, and makes its new address known itself.

mod message;
mod requester;
mod responder;

pub use message::{
    FAST_HANDOVERS, Known, Neighbour, ProxyAdvertisement, ProxySolicitation, Wanted, unsolicited,
};
pub use requester::Requester;
pub use responder::Responder;
