//! The clock of events and captures, and the timers that run on it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use units::SimTime;

/// Now, on `CLOCK_REALTIME`: the clock that stamps packets and events.
pub fn now() -> SimTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    SimTime::ZERO + since_epoch.unwrap_or_default()
}

/// The instant at which `tokio` reaches `at`; far away where there is no deadline.
pub fn instant(at: Option<SimTime>) -> Instant {
    const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
    Instant::now() + at.map_or(NEVER, |at| at.saturating_since(now()).min(NEVER))
}
