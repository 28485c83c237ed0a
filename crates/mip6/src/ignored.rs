//! Why a message changed nothing.

use std::net::Ipv6Addr;

use crate::codec::{Invalid, Kind};

/// The rule by which a message was discarded, for a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// It is none.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A message that the receiver has no part for.
    #[error("a {0:?} is not for this node")]
    Role(Kind),
    /// A message to another address.
    #[error("it is addressed to {0}, which is not ours")]
    Receiver(Ipv6Addr),
    /// A sender that cannot be one.
    #[error("its sender is {0}: expected a unicast routable address")]
    Sender(Ipv6Addr),
    /// RFC 6275 §9.4.1, §9.4.2: a test "MUST NOT include a Home Address destination option".
    #[error("a test has a Home Address option")]
    TestFromHome,
    /// RFC 6275 §10.3.1: "a Home Address destination option MUST be present".
    #[error("a registration without Home Address option")]
    NoHomeAddress,
    /// RFC 6275 §9.5.1: "if the Home Registration (H) bit is set, the Nonce Indices mobility option
    /// MUST NOT be present".
    #[error("a home registration has Nonce Indices")]
    HomeRegistrationWithNonces,
    /// RFC 6275 §9.5.1: Nonce Indices and Binding Authorization Data "MUST be present".
    #[error("Nonce Indices or Binding Authorization Data are missing")]
    NotAuthorized,
    /// RFC 6275 §5.2.6: the authenticator is another one.
    #[error("the authenticator is wrong")]
    Authenticator,
    /// A registration of a kind that the receiver does not take: RFC 5380 §4 has M and A set, RFC
    /// 5213 §8.1 P.
    #[error("its flags are those of a registration that this node does not take")]
    Flags,
    /// RFC 6275 §11.7.3, RFC 5213 §6.9.1.2: an answer to what was not asked, or is asked no more.
    #[error("nothing is outstanding that it answers")]
    NotOutstanding,
    /// RFC 6275 §11.6.2: "the packet has been received in a tunnel from the home agent".
    #[error("a Home Test outside the tunnel from the home agent")]
    NotTunnelled,
    /// RFC 5380 §6.1: "the mobile node MUST silently ignore binding acknowledgements that do not
    /// contain a routing header type 2, which includes the mobile node's RCoA".
    #[error("an acknowledgement without the type 2 routing header that it must have")]
    NoRoutingHeader,
    /// RFC 6275 §11.3.6, §11.7.4: who is not in the Binding Update List is not listened to.
    #[error("{0} is not in the binding update list")]
    Stranger(Ipv6Addr),
    /// RFC 5213 §5.3.3, §5.3.5, §5.4.1: what only the gateway may say that has the session.
    #[error("an update of no session of this gateway")]
    NoSession,
    /// RFC 5213 §6.9.1.2: an acknowledgement has other option values than its update.
    #[error("an acknowledgement has other values than its update")]
    NotEchoed,
}
