//! Binding Update and Binding Acknowledgement (RFC 6275 §6.1.7, §6.1.8), with the flags of RFC
//! 5380 §4 and RFC 5213 §8.1, §8.2.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use units::Sequence;

use super::option::MobilityOption;
use super::proxy::{AccessTechnology, HandoffIndicator, LinkLayerId, NodeId, Timestamp};
use crate::rr::{Authenticator, NonceIndex};

/// A lifetime in units of 4 seconds (RFC 6275 §6.1.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(pub u16);

impl Lifetime {
    /// None: the binding is to be deleted.
    pub const ZERO: Lifetime = Lifetime(0);

    /// The longest that does not exceed `duration`, at most 262,140 s.
    pub fn within(duration: Duration) -> Lifetime {
        Lifetime(u16::try_from(duration.as_secs() / 4).unwrap_or(u16::MAX))
    }

    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(4 * u64::from(self.0))
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.duration().as_secs())
    }
}

/// A Binding Update.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///                                 +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///                                 |          Sequence #           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |A|H|L|K|M|R|P|     Reserved    |           Lifetime            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Mobility options ...
/// ```
///
/// R, of RFC 3963, is sent as zero and ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindingUpdate {
    /// Which of two updates is the newer one.
    pub sequence: Sequence,
    /// A: an acknowledgement is wanted.
    pub acknowledge: bool,
    /// H: the receiver is to be the home agent.
    pub home_registration: bool,
    /// L: the home address has the interface identifier of the link-local address.
    pub link_local_compatibility: bool,
    /// K: key management survives movements.
    pub key_management: bool,
    /// M: the receiver is to be the mobility anchor point (RFC 5380 §4).
    pub map_registration: bool,
    /// P: a mobile access gateway sends it (RFC 5213 §8.1).
    pub proxy_registration: bool,
    /// How long the binding is to last.
    pub lifetime: Lifetime,
    /// Options, in the order of the message.
    pub options: Vec<MobilityOption>,
    /// The authenticator of the Binding Authorization Data option.
    pub authenticator: Option<Authenticator>,
}

/// The first option that a pattern fits.
macro_rules! first {
    ($options:expr, $pattern:pat => $value:expr) => {
        $options.iter().find_map(|option| match option {
            $pattern => Some($value),
            _ => None,
        })
    };
}

impl BindingUpdate {
    /// The address in the Alternate Care-of Address option.
    pub fn alternate_care_of(&self) -> Option<Ipv6Addr> {
        first!(self.options, MobilityOption::AlternateCareOf(address) => *address)
    }

    /// Home and care-of nonce index.
    pub fn nonce_indices(&self) -> Option<(NonceIndex, NonceIndex)> {
        first!(self.options, MobilityOption::NonceIndices { home, care_of } => (*home, *care_of))
    }
}

/// What both messages of Proxy Mobile IPv6 carry.
pub(crate) trait ProxyOptions {
    /// All options.
    fn options(&self) -> &[MobilityOption];

    /// Of whom it is.
    fn node_id(&self) -> Option<&NodeId> {
        first!(self.options(), MobilityOption::NodeId(id) => id)
    }

    /// Home network prefixes, in the order of the message.
    fn prefixes(&self) -> impl Iterator<Item = Ipv6Net> {
        self.options().iter().filter_map(|option| match option {
            MobilityOption::HomeNetworkPrefix(prefix) => Some(*prefix),
            _ => None,
        })
    }

    /// How the node came.
    fn handoff(&self) -> Option<HandoffIndicator> {
        first!(self.options(), MobilityOption::Handoff(value) => *value)
    }

    /// What it is attached by.
    fn access_technology(&self) -> Option<AccessTechnology> {
        first!(self.options(), MobilityOption::AccessTechnology(value) => *value)
    }

    /// Which interface it is attached by.
    fn link_layer_id(&self) -> Option<&LinkLayerId> {
        first!(self.options(), MobilityOption::LinkLayerId(id) => id)
    }

    /// The gateway's link-local address.
    fn link_local(&self) -> Option<Ipv6Addr> {
        first!(self.options(), MobilityOption::LinkLocal(address) => *address)
    }

    /// When the update was sent.
    fn time_sent(&self) -> Option<Timestamp> {
        first!(self.options(), MobilityOption::Timestamp(value) => *value)
    }
}

impl ProxyOptions for BindingUpdate {
    fn options(&self) -> &[MobilityOption] {
        &self.options
    }
}

impl ProxyOptions for BindingAcknowledgement {
    fn options(&self) -> &[MobilityOption] {
        &self.options
    }
}

/// A Binding Acknowledgement.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///                                 +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///                                 |    Status     |K|R|P| Reserved|
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |           Sequence #          |           Lifetime            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Mobility options ...
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindingAcknowledgement {
    /// Whether the update was accepted, and why not.
    pub status: Status,
    /// K: key management survives movements.
    pub key_management: bool,
    /// P: of a proxy registration (RFC 5213 §8.2).
    pub proxy_registration: bool,
    /// That of the update; with [`Status::SEQUENCE`] the last one accepted.
    pub sequence: Sequence,
    /// How long the binding lasts; without meaning if the update was rejected.
    pub lifetime: Lifetime,
    /// Options, in the order of the message.
    pub options: Vec<MobilityOption>,
    /// The authenticator of the Binding Authorization Data option.
    pub authenticator: Option<Authenticator>,
}

impl BindingAcknowledgement {
    /// When the home agent wants to hear of the node again.
    pub fn refresh_advice(&self) -> Option<Lifetime> {
        first!(self.options, MobilityOption::RefreshAdvice(interval) => *interval)
    }
}

/// What became of a Binding Update (RFC 6275 §6.1.8, RFC 5213 §8.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(pub u8);

impl Status {
    /// Accepted.
    pub const ACCEPTED: Status = Status(0);
    /// Accepted, but prefix discovery is necessary.
    pub const PREFIX_DISCOVERY: Status = Status(1);
    /// Reason unspecified.
    pub const UNSPECIFIED: Status = Status(128);
    /// Administratively prohibited.
    pub const PROHIBITED: Status = Status(129);
    /// Insufficient resources.
    pub const INSUFFICIENT: Status = Status(130);
    /// Home registration not supported.
    pub const NO_HOME_REGISTRATION: Status = Status(131);
    /// Not home subnet.
    pub const NOT_HOME_SUBNET: Status = Status(132);
    /// Not home agent for this mobile node.
    pub const NOT_HOME_AGENT: Status = Status(133);
    /// Duplicate Address Detection failed.
    pub const DUPLICATE_ADDRESS: Status = Status(134);
    /// Sequence number out of window.
    pub const SEQUENCE: Status = Status(135);
    /// Expired home nonce index.
    pub const HOME_NONCE: Status = Status(136);
    /// Expired care-of nonce index.
    pub const CARE_OF_NONCE: Status = Status(137);
    /// Expired nonces.
    pub const NONCES: Status = Status(138);
    /// Registration type change disallowed.
    pub const TYPE_CHANGE: Status = Status(139);
    /// Proxy registration not enabled for the mobile node.
    pub const PROXY_NOT_ENABLED: Status = Status(152);
    /// Not local mobility anchor for this mobile node.
    pub const NOT_ANCHOR: Status = Status(153);
    /// The mobile access gateway is not authorized to send proxy binding updates.
    pub const GATEWAY_NOT_AUTHORIZED: Status = Status(154);
    /// The mobile node is not authorized for one or more of the home network prefixes.
    pub const PREFIX_NOT_AUTHORIZED: Status = Status(155);
    /// Invalid timestamp value (the clocks are out of sync).
    pub const TIMESTAMP_MISMATCH: Status = Status(156);
    /// The timestamp is lower than the previously accepted one.
    pub const TIMESTAMP_LOWER: Status = Status(157);
    /// Missing home network prefix option.
    pub const NO_PREFIX: Status = Status(158);
    /// The prefixes are not all those of the binding.
    pub const PREFIX_SET: Status = Status(159);
    /// Missing mobile node identifier option.
    pub const NO_NODE_ID: Status = Status(160);
    /// Missing handoff indicator option.
    pub const NO_HANDOFF: Status = Status(161);
    /// Missing access technology type option.
    pub const NO_ACCESS_TECHNOLOGY: Status = Status(162);
    /// Invalid care-of address.
    pub const INVALID_CARE_OF: Status = Status(174);

    /// "Values of the Status field less than 128 indicate that the Binding Update was accepted".
    pub const fn is_accepted(self) -> bool {
        self.0 < 128
    }

    /// The RFCs' words for it.
    const fn name(self) -> &'static str {
        match self {
            Status::ACCEPTED => "accepted",
            Status::PREFIX_DISCOVERY => "accepted, prefix discovery necessary",
            Status::UNSPECIFIED => "reason unspecified",
            Status::PROHIBITED => "administratively prohibited",
            Status::INSUFFICIENT => "insufficient resources",
            Status::NO_HOME_REGISTRATION => "home registration not supported",
            Status::NOT_HOME_SUBNET => "not home subnet",
            Status::NOT_HOME_AGENT => "not home agent for this mobile node",
            Status::DUPLICATE_ADDRESS => "duplicate address detection failed",
            Status::SEQUENCE => "sequence number out of window",
            Status::HOME_NONCE => "expired home nonce index",
            Status::CARE_OF_NONCE => "expired care-of nonce index",
            Status::NONCES => "expired nonces",
            Status::TYPE_CHANGE => "registration type change disallowed",
            Status::PROXY_NOT_ENABLED => "proxy registration not enabled",
            Status::NOT_ANCHOR => "not local mobility anchor for this mobile node",
            Status::GATEWAY_NOT_AUTHORIZED => "mobile access gateway not authorized",
            Status::PREFIX_NOT_AUTHORIZED => "home network prefix not authorized",
            Status::TIMESTAMP_MISMATCH => "invalid timestamp",
            Status::TIMESTAMP_LOWER => "timestamp lower than the one accepted before",
            Status::NO_PREFIX => "missing home network prefix",
            Status::PREFIX_SET => "home network prefixes do not match",
            Status::NO_NODE_ID => "missing mobile node identifier",
            Status::NO_HANDOFF => "missing handoff indicator",
            Status::NO_ACCESS_TECHNOLOGY => "missing access technology type",
            Status::INVALID_CARE_OF => "invalid care-of address",
            _ => "unknown",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {} ({})", self.0, self.name())
    }
}
