//! What a client holds, and how it reads that from a message.

use std::net::Ipv6Addr;
use std::time::Duration;

use units::SimTime;

use crate::Duid;
use crate::message::{INFINITY_S, IaNa, Message};

/// An address and for how long.
///
/// A time of [`INFINITY_S`] seconds means for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv6Addr,
    /// Preferred lifetime.
    pub preferred: Duration,
    /// Valid lifetime.
    pub valid: Duration,
    /// Time until the server that gave it is asked to renew it; chosen by the client if the
    /// server left it open.
    pub t1: Duration,
    /// Time until any server is asked, likewise.
    pub t2: Duration,
    /// The server that gave it.
    pub server: Duid,
}

impl Lease {
    /// The lease that `message` grants to the association `iaid`, if it is valid and has an
    /// address to use.
    pub(super) fn granted(message: &Message, server: &Duid, iaid: u32) -> Option<Lease> {
        let ia = message.ia_nas.iter().find(|ia| ia.iaid == iaid)?;
        // RFC 8415 §21.4: an association with T1 greater than T2, both greater than 0, is
        // discarded.
        if ia.t2_s > 0 && ia.t1_s > ia.t2_s {
            return None;
        }
        // §21.6: so MUST be an address with a preferred lifetime greater than its valid one;
        // a valid lifetime of 0 takes an address away. What no node can have is no address
        // (RFC 4291 §2.5, §2.7).
        let address = ia.addresses.iter().find(|given| {
            let is_of_a_node = !given.address.is_unspecified()
                && !given.address.is_loopback()
                && !given.address.is_multicast();
            is_of_a_node && given.valid_s > 0 && given.preferred_s <= given.valid_s
        })?;
        let (t1_s, t2_s) = times(ia, address.preferred_s);
        Some(Lease {
            address: address.address,
            preferred: seconds(address.preferred_s),
            valid: seconds(address.valid_s),
            t1: seconds(t1_s),
            t2: seconds(t2_s),
            server: server.clone(),
        })
    }
}

/// T1 and T2 in seconds. A server that sends 0 leaves them to the client; 0.5 and 0.8 of the
/// preferred lifetime are what servers are advised to choose (§21.4).
fn times(ia: &IaNa, preferred_s: u32) -> (u32, u32) {
    let part = |tenths: u64| match preferred_s {
        INFINITY_S => INFINITY_S,
        // Less than `preferred_s`, but at least a second, or client and server would do
        // nothing but renew an address that is not preferred any more.
        finite => (u64::from(finite) * tenths / 10).max(1) as u32,
    };
    let t2 = if ia.t2_s == 0 { part(8) } else { ia.t2_s };
    let t1 = if ia.t1_s == 0 { part(5) } else { ia.t1_s };
    (t1.min(t2), t2)
}

fn seconds(s: u32) -> Duration {
    Duration::from_secs(u64::from(s))
}

/// A lease with the instants at which something is due.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub lease: Lease,
    /// When to renew.
    pub t1: SimTime,
    /// When to rebind.
    pub t2: SimTime,
    /// When the address is no longer valid.
    pub end: SimTime,
}

impl Held {
    pub fn since(now: SimTime, lease: Lease) -> Held {
        let at = |after: Duration| {
            if after == seconds(INFINITY_S) {
                SimTime::FAR_FUTURE
            } else {
                now + after
            }
        };
        let end = at(lease.valid);
        Held {
            t1: at(lease.t1).min(end),
            t2: at(lease.t2).min(end),
            end,
            lease,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{IaAddress, MessageType};

    fn lease(t1_s: u32, t2_s: u32, preferred_s: u32, valid_s: u32) -> Option<Lease> {
        let mut message = Message::new(MessageType::Reply, [0; 3]);
        message.ia_nas.push(IaNa {
            iaid: 1,
            t1_s,
            t2_s,
            addresses: vec![IaAddress {
                address: "2001:db8::1".parse().unwrap(),
                preferred_s,
                valid_s,
                status: None,
            }],
            status: None,
        });
        let server = Duid::try_from(vec![0, 3, 1]).unwrap();
        Lease::granted(&message, &server, 1)
    }

    #[test]
    fn times_left_open_are_half_and_four_fifths_of_the_preferred_lifetime() {
        let lease = lease(0, 0, 100, 200).unwrap();
        assert_eq!((lease.t1, lease.t2), (seconds(50), seconds(80)));
    }

    #[test]
    fn a_lease_for_ever_is_never_renewed() {
        let lease = lease(0, 0, INFINITY_S, INFINITY_S).unwrap();
        let held = Held::since(SimTime::ZERO, lease);
        assert_eq!([held.t1, held.t2, held.end], [SimTime::FAR_FUTURE; 3]);
    }

    #[test]
    fn what_section_21_tells_a_client_to_discard_is_no_lease() {
        assert_eq!(lease(3, 2, 100, 200), None, "T1 greater than T2");
        assert_eq!(lease(0, 0, 201, 200), None, "preferred longer than valid");
        assert_eq!(lease(0, 0, 0, 0), None, "valid for no time");
        assert!(lease(3, 0, 100, 200).is_some());
    }
}
