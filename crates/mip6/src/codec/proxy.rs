//! What stands in the options of Proxy Mobile IPv6 (RFC 5213 §8).

use std::fmt;
use std::time::Duration;

use units::{Eui64, SimTime};

/// Whom a session is of: a network access identifier (RFC 4283 §3.1), at most 254 octets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub Vec<u8>);

impl NodeId {
    /// The subtype of an option that carries one.
    pub(super) const NETWORK_ACCESS_IDENTIFIER: u8 = 1;
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

/// Link-layer identifier of the interface by which a node is attached (RFC 5213 §8.6), at most 253
/// octets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkLayerId(pub Vec<u8>);

impl From<Eui64> for LinkLayerId {
    fn from(eui64: Eui64) -> LinkLayerId {
        LinkLayerId(eui64.0.to_vec())
    }
}

/// What a mobile access gateway knows of how a node came (RFC 5213 §8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandoffIndicator(pub u8);

impl HandoffIndicator {
    /// Attachment over a new interface.
    pub const NEW_INTERFACE: HandoffIndicator = HandoffIndicator(1);
    /// Handoff between two different interfaces of the mobile node.
    pub const BETWEEN_INTERFACES: HandoffIndicator = HandoffIndicator(2);
    /// Handoff between mobile access gateways for the same interface.
    pub const BETWEEN_GATEWAYS: HandoffIndicator = HandoffIndicator(3);
    /// Handoff state unknown.
    pub const UNKNOWN: HandoffIndicator = HandoffIndicator(4);
    /// Handoff state not changed: a re-registration.
    pub const UNCHANGED: HandoffIndicator = HandoffIndicator(5);
}

/// Access technology (RFC 5213 §8.5). IEEE 802.15.4 has no value among those of the RFC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessTechnology(pub u8);

impl AccessTechnology {
    /// Virtual: a logical network interface.
    pub const VIRTUAL: AccessTechnology = AccessTechnology(1);
    /// IEEE 802.3.
    pub const ETHERNET: AccessTechnology = AccessTechnology(3);
}

/// Time of day (RFC 5213 §8.8): 65536ths of a second since 1970, 48 bits of whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The timestamp of an instant, whose epoch has to be 1970, as that of the shells' is.
    pub fn of(now: SimTime) -> Timestamp {
        let nanos = u128::from(now.as_nanos());
        // 64 bits of nanoseconds are 34 bits of seconds.
        Timestamp((nanos * 65_536 / 1_000_000_000) as u64)
    }

    /// How far apart two timestamps are.
    pub fn distance(self, other: Timestamp) -> Duration {
        let parts = self.0.abs_diff(other.0);
        let nanos = (parts % 65_536) * 1_000_000_000 / 65_536;
        Duration::new(parts / 65_536, nanos as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_has_whole_seconds_in_its_upper_48_bits() {
        let now = SimTime::ZERO + Duration::from_millis(1_700_000_000_500);
        assert_eq!(
            Timestamp::of(now),
            Timestamp((1_700_000_000 << 16) + 0x8000)
        );
        let later = Timestamp::of(now + Duration::from_millis(300));
        let apart = later.distance(Timestamp::of(now));
        assert_eq!(apart, Timestamp::of(now).distance(later));
        assert!(Duration::from_millis(300) - apart < Duration::from_micros(16));
        assert_eq!(
            Timestamp(u64::MAX).distance(Timestamp(0)).as_secs(),
            (1 << 48) - 1
        );
    }
}
