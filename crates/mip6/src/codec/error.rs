//! Why octets are no message.

/// The rule that a received Mobility Header breaks.
///
/// "The node MUST silently discard the message" is the rule but for two of them: an unknown type
/// is answered with a Binding Error by the machine that gets it, and a wrong Payload Proto or
/// Header Len with an ICMPv6 Parameter Problem, which Linux sends before it hands the message on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Less than the Header Len field says, or than that field takes.
    #[error("Mobility Header has {present} octets: expected {expected}")]
    Truncated {
        /// Octets that there are.
        present: usize,
        /// Octets that there should be.
        expected: usize,
    },
    /// RFC 6275 §9.2: "The checksum must be verified".
    #[error("checksum is wrong")]
    Checksum,
    /// RFC 6275 §9.2: "The MH Type field MUST have a known value".
    #[error("MH Type {0} is not known")]
    Type(u8),
    /// RFC 6275 §9.2: "The Payload Proto field MUST be IPPROTO_NONE (59 decimal)".
    #[error("Payload Proto is {0}: expected 59")]
    PayloadProto(u8),
    /// RFC 6275 §9.2: "The Header Len field ... MUST NOT be less than the length specified for this
    /// particular type of message".
    #[error("Header Len is {found} for MH Type {kind}: expected at least {least}")]
    HeaderLen {
        /// MH Type.
        kind: u8,
        /// Header Len found.
        found: u8,
        /// The least that this type has.
        least: u8,
    },
    /// A mobility option that ends behind its message.
    #[error("mobility option {kind} ends behind its message")]
    OptionTruncated {
        /// Option type.
        kind: u8,
    },
    /// A mobility option of a length that its type does not have.
    #[error("mobility option {kind} has length {length}, which its type does not have")]
    OptionLength {
        /// Option type.
        kind: u8,
        /// Option length.
        length: usize,
    },
    /// A prefix of more bits than an address has.
    #[error("home network prefix has {0} bits: expected at most 128")]
    PrefixLength(u8),
    /// RFC 6275 §6.2: "the Binding Authorization Data option ... MUST be the last option and MUST
    /// NOT have trailing padding".
    #[error("something follows the Binding Authorization Data option")]
    AuthorizationNotLast,
}

/// A message of more octets than a Mobility Header can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Mobility Header of {0} octets: at most 2048 are possible")]
pub struct TooLong(pub usize);
