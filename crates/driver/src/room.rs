//! Room in a socket's send buffer: destinations that nobody answers for leave some to others.
//!
//! A datagram for an address on the link that nobody has counts for its socket's buffer until
//! neighbour discovery gives up, 3 s (RFC 4861 §10: MAX_MULTICAST_SOLICIT times RETRANS_TIMER). Whoever
//! asks from such addresses fills the buffer with answers. So, once a quarter of it is full, a
//! destination has a share of it, unless what was sent there is known to have left.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

/// How long an unanswered neighbour solicitation keeps what is to be sent (RFC 4861 §10).
const RESOLUTION: Duration = Duration::from_secs(3);

/// What has left within this time did not leave because a solicitation failed: the first of
/// [`RESOLUTION`]'s three.
const PROMPT: Duration = Duration::from_secs(1);

/// How long a destination is taken for one that is there, as a neighbour is: REACHABLE_TIME
/// (RFC 4861 §10).
const REACHABLE: Duration = Duration::from_secs(30);

/// Datagrams in [`RESOLUTION`] for a destination not known to be there, while room is scarce.
const SHARE: u32 = 8;

/// Destinations of each sort that are remembered. Linux has 1,024 neighbours (`gc_thresh3`).
const MAX_DESTINATIONS: usize = 4096;

#[derive(Debug)]
struct Share {
    since: Instant,
    datagrams: u32,
}

/// Which destinations may be sent to.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Destinations that datagrams left for at once, and when.
    there: HashMap<Ipv6Addr, Instant>,
    /// Others that were sent to.
    unknown: HashMap<Ipv6Addr, Share>,
    scarce: bool,
}

impl Room {
    /// Whether a datagram for `to` may go into the buffer; one that may counts.
    pub(crate) fn admits(&mut self, now: Instant, to: Ipv6Addr) -> bool {
        let is_there = |since: &Instant| now.duration_since(*since) < REACHABLE;
        if self.there.get(&to).is_some_and(is_there) {
            return true;
        }
        if self.unknown.len() >= MAX_DESTINATIONS && !self.unknown.contains_key(&to) {
            self.unknown
                .retain(|_, share| now.duration_since(share.since) < RESOLUTION);
            match (self.unknown.len() >= MAX_DESTINATIONS, self.scarce) {
                (true, true) => return false,
                (true, false) => self.unknown.clear(),
                (false, _) => {}
            }
        }
        let share = self.unknown.entry(to).or_insert(Share {
            since: now,
            datagrams: 0,
        });
        if now.duration_since(share.since) >= RESOLUTION {
            *share = Share {
                since: now,
                datagrams: 0,
            };
        }
        if self.scarce && share.datagrams >= SHARE {
            return false;
        }
        share.datagrams = share.datagrams.saturating_add(1);
        true
    }

    /// Whether [`Room::look`] has something to find out.
    pub(crate) fn is_curious(&self) -> bool {
        self.scarce || !self.unknown.is_empty()
    }

    /// `used` bytes of a buffer of `size` wait.
    pub(crate) fn look(&mut self, now: Instant, used: usize, size: usize) {
        self.scarce = used > size / 4;
        if used > 0 {
            return;
        }
        let prompt = |(to, share): (Ipv6Addr, Share)| {
            (now.duration_since(share.since) < PROMPT).then_some((to, now))
        };
        let found: Vec<_> = self.unknown.drain().filter_map(prompt).collect();
        if self.there.len() + found.len() > MAX_DESTINATIONS {
            self.there.clear();
        }
        self.there.extend(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 400_000;
    const FULL: usize = 300_000;

    fn address(n: u32) -> Ipv6Addr {
        Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(n))
    }

    fn admitted(room: &mut Room, now: Instant, to: Ipv6Addr) -> usize {
        (0..100).filter(|_| room.admits(now, to)).count()
    }

    #[test]
    fn as_long_as_there_is_room_everybody_has_it() {
        let (mut room, now) = (Room::default(), Instant::now());
        assert_eq!(admitted(&mut room, now, address(1)), 100);
        room.look(now, SIZE / 4, SIZE);
        assert_eq!(admitted(&mut room, now, address(1)), 100);
    }

    #[test]
    fn when_it_is_scarce_who_was_there_has_it_and_the_others_a_share() {
        let (mut room, now) = (Room::default(), Instant::now());
        assert!(room.admits(now, address(1)));
        room.look(now, 0, SIZE);
        assert!(!room.is_curious());
        assert_eq!(admitted(&mut room, now, address(2)), 100);
        room.look(now, FULL, SIZE);
        assert_eq!(admitted(&mut room, now, address(1)), 100);
        assert_eq!(admitted(&mut room, now, address(2)), 0, "it had more");
        assert_eq!(admitted(&mut room, now, address(3)), SHARE as usize);
        let later = now + RESOLUTION;
        assert_eq!(admitted(&mut room, later, address(2)), SHARE as usize);
        room.look(later, 0, SIZE);
        assert_eq!(admitted(&mut room, later, address(3)), 100);
    }

    #[test]
    fn what_leaves_when_its_solicitation_fails_proves_nothing() {
        let (mut room, now) = (Room::default(), Instant::now());
        assert!(room.admits(now, address(1)));
        room.look(now, 768, SIZE);
        room.look(now + RESOLUTION, 0, SIZE);
        room.look(now + RESOLUTION, FULL, SIZE);
        let of_one = admitted(&mut room, now + RESOLUTION, address(1));
        assert_eq!(of_one, SHARE as usize);
    }

    #[test]
    fn a_destination_is_not_taken_to_be_there_for_ever() {
        let (mut room, now) = (Room::default(), Instant::now());
        assert!(room.admits(now, address(1)));
        room.look(now, 0, SIZE);
        room.look(now + REACHABLE, FULL, SIZE);
        let of_one = admitted(&mut room, now + REACHABLE, address(1));
        assert_eq!(of_one, SHARE as usize);
    }

    #[test]
    fn what_is_remembered_is_bounded_whoever_asks() {
        let (mut room, now) = (Room::default(), Instant::now());
        for n in 0..3 * MAX_DESTINATIONS as u32 {
            room.admits(now, address(n));
            assert!(room.unknown.len() <= MAX_DESTINATIONS);
        }
        room.look(now, 0, SIZE);
        room.look(now, FULL, SIZE);
        for n in 0..3 * MAX_DESTINATIONS as u32 {
            room.admits(now, address(!n));
            assert!(room.unknown.len() <= MAX_DESTINATIONS);
        }
        assert!(!room.admits(now, address(1 << 20)), "full and scarce");
        room.look(now, 0, SIZE);
        assert!(room.there.len() <= MAX_DESTINATIONS);
    }
}
