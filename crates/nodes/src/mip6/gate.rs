//! When a mobile node's messages may leave, and come in.

use std::time::Duration;

use units::SimTime;

/// How much later than an update to the home agent what comes after it leaves. The kernel of a home agent
/// drops what comes out of a tunnel from another care-of address than the one that it has (RFC 6275 §10.4.5),
/// and takes packets up faster than its daemon: a Home Test Init right behind the update would be lost,
/// and sent again after a second.
const BEHIND_AN_UPDATE: Duration = Duration::from_millis(2);

/// How long what comes after an update to the home agent waits.
#[derive(Clone, Copy, Debug)]
enum Pause {
    /// From the next instant that is told: what was done before the update left took its time.
    Begins,
    Until(SimTime),
}

/// Nothing is sent and nothing counts while the node has no link, and what follows an update waits.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// The time, as far as it was told.
    now: SimTime,
    is_away: bool,
    pause: Option<Pause>,
}

impl Gate {
    /// It is `now`.
    pub(super) fn look(&mut self, now: SimTime) {
        self.now = self.now.max(now);
        self.pause = match self.pause {
            Some(Pause::Begins) => Some(Pause::Until(self.now + BEHIND_AN_UPDATE)),
            Some(Pause::Until(until)) if until <= now => None,
            other => other,
        };
    }

    /// The node leaves its link: what still waits in its socket was for where it was.
    pub(super) fn leave(&mut self) {
        self.is_away = true;
    }

    /// The node is on a link; what was to follow an update from elsewhere does not any more.
    pub(super) fn arrive(&mut self) {
        self.is_away = false;
        self.pause = None;
    }

    /// An update to the home agent leaves.
    pub(super) fn updated(&mut self) {
        self.pause = Some(Pause::Begins);
    }

    /// Whether the node has left its link.
    pub(super) fn is_away(&self) -> bool {
        self.is_away
    }

    /// Whether a message may leave.
    pub(super) fn lets_out(&self) -> bool {
        !self.is_away && self.pause.is_none()
    }

    /// When one may that waits for nothing but time.
    pub(super) fn opens(&self) -> Option<SimTime> {
        self.pause.map(|pause| match pause {
            // When that is has to be told first.
            Pause::Begins => self.now,
            Pause::Until(until) => until,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(us: u64) -> SimTime {
        SimTime::from_nanos(us * 1000)
    }

    #[test]
    fn what_follows_an_update_leaves_two_milliseconds_after_it_however_long_was_worked_before() {
        let mut gate = Gate::default();
        gate.look(us(5_000));
        assert!(gate.lets_out());
        // The update leaves at 9 ms, when the kernel has done what comes before it.
        gate.updated();
        assert_eq!(gate.opens(), Some(us(5_000)), "at once");
        gate.look(us(9_000));
        assert!(!gate.lets_out());
        assert_eq!(gate.opens(), Some(us(11_000)));
        gate.look(us(10_999));
        assert!(!gate.lets_out());
        gate.look(us(11_000));
        assert!(gate.lets_out());
        assert_eq!(gate.opens(), None);
    }

    #[test]
    fn between_two_links_nothing_leaves_and_at_the_next_one_nothing_waits_for_what_was_said_before()
    {
        let mut gate = Gate::default();
        gate.updated();
        gate.leave();
        gate.look(us(50_000));
        assert!(gate.is_away() && !gate.lets_out());
        gate.updated();
        gate.arrive();
        assert!(!gate.is_away() && gate.lets_out());
    }
}
