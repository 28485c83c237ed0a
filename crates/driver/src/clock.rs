//! The clocks: one that timers and protocols run on and that is never set, and the one that packets
//! and events are stamped with.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use units::SimTime;

/// Where [`now`] begins: what the wall clock said at an instant.
static START: LazyLock<(SimTime, std::time::Instant)> = LazyLock::new(|| {
    // One after the other, and so again if the process did not run in between.
    let read = || {
        let began = std::time::Instant::now();
        (stamp(), began)
    };
    let at_once = |(_, began): &(_, std::time::Instant)| began.elapsed() < SET / 10;
    (0..10).map(|_| read()).find(at_once).unwrap_or_else(read)
});

/// How far the wall clock may have gone from [`now`] before it was set: more than it takes to read
/// two clocks on a busy host, and less than what NTP's daemons set at once rather than slowly.
const SET: Duration = Duration::from_millis(100);

/// Now, for timers and protocols: from what the wall clock said when the process first asked, at
/// the rate of `CLOCK_MONOTONIC`. A host whose clock is set, by NTP or by hand, ends no lifetime, hold
/// or retransmission early and stops none. While nobody sets the clock it is [`stamp`].
pub fn now() -> SimTime {
    let (stamp, began) = *START;
    stamp + began.elapsed()
}

/// Now, on `CLOCK_REALTIME`: what the kernel stamps packets with, and so what events are stamped with.
pub fn stamp() -> SimTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    SimTime::ZERO + since_epoch.unwrap_or_default()
}

/// How many nanoseconds [`stamp`] is ahead of [`now`], or behind it: by how much the wall clock was set
/// since the process first asked for the time. 0 if it was not.
pub fn was_set_ahead_ns() -> i64 {
    // The wall clock stands between the two, however long the process does not run in between.
    let before = now();
    let wall = stamp();
    let after = now();
    let ahead = wall.saturating_since(after);
    let behind = before.saturating_since(wall);
    let nanos = |by: Duration| i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
    match (ahead > SET, behind > SET) {
        (true, _) => nanos(ahead),
        (_, true) => -nanos(behind),
        _ => 0,
    }
}

/// The instant at which `tokio` reaches `at`; far away where there is no deadline.
pub fn instant(at: Option<SimTime>) -> Instant {
    const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
    Instant::now() + at.map_or(NEVER, |at| at.saturating_since(now()).min(NEVER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_begins_with_the_wall_clock_and_never_goes_back() {
        let mut last = now();
        for _ in 0..10_000 {
            let next = now();
            assert!(next >= last);
            last = next;
        }
        assert_eq!(was_set_ahead_ns(), 0);
        let apart = stamp().saturating_since(last) + last.saturating_since(stamp());
        assert!(apart < Duration::from_secs(5), "{apart:?}");
    }
}
