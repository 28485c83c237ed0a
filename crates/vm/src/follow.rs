//! Whoever follows a guest while it runs.

/// Hears what a guest tells, and may have it stand still. A guest with virtual time knows nothing of either: it is the same
/// run, whoever follows it.
pub trait Follow {
    /// A line of its [progress](crate::guest::Guest::progress).
    fn progress(&mut self, line: &str);

    /// Whether it goes on now; asked as often as [`holds`](Follow::holds) says. While it does not, no instruction of it is
    /// executed. A guest whose clock is the host's ([`Clock::Realtime`](crate::Clock::Realtime)) would miss the time, so only one with virtual time
    /// may be stopped.
    fn goes_on(&mut self) -> bool {
        true
    }

    /// Whether the guest may ever have to stand still: then it is asked about a thousand times a second (wall time), else a hundred. In a
    /// millisecond a guest that has nothing to do passes seconds of virtual time.
    fn holds(&self) -> bool {
        false
    }
}

impl<F: FnMut(&str)> Follow for F {
    fn progress(&mut self, line: &str) {
        self(line);
    }
}
