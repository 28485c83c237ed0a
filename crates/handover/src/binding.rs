//! What becomes known of where a node is, whatever the mobility protocol; `events.jsonl` has it
//! in this form.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

/// Something happened to a binding of a permanent address, by which a node is known, to a temporary
/// one, where it is (RFC 6275: home address and care-of address).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum BindingEvent {
    /// A node made itself known, for the first time or again.
    #[serde(rename = "registered")]
    Registered {
        /// Permanent address.
        p_addr: Ipv6Addr,
        /// Temporary address.
        t_addr: Ipv6Addr,
    },
    /// An entry of a table or a cache changed.
    #[serde(rename = "binding_changed")]
    Changed {
        /// Permanent address.
        p_addr: Ipv6Addr,
        /// Temporary address.
        t_addr: Ipv6Addr,
        /// Whether what is for the node is to be kept back.
        held: bool,
    },
    /// An entry left a table or a cache.
    #[serde(rename = "binding_removed")]
    Removed {
        /// Permanent address.
        p_addr: Ipv6Addr,
        /// Why: `deregistered`, `lifetime ended`, …
        reason: Cow<'static, str>,
    },
    /// Whoever kept something back for the node sends it.
    #[serde(rename = "resumed")]
    Resumed {
        /// Permanent address.
        p_addr: Ipv6Addr,
        /// Requests that were kept back.
        queued: u32,
    },
}
