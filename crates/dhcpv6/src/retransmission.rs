//! Reliability of client-initiated exchanges (RFC 8415 §15) and its constants (§7.6).

use std::time::Duration;

use rand_core::Rng as _;
use units::{Rng, SimTime};

/// SOL_MAX_DELAY: longest delay of the first Solicit.
pub const SOL_MAX_DELAY: Duration = Duration::from_secs(1);
/// SOL_TIMEOUT: initial Solicit timeout.
pub const SOL_TIMEOUT: Duration = Duration::from_secs(1);
/// SOL_MAX_RT: longest Solicit timeout; a server may change it (§21.24).
pub const SOL_MAX_RT: Duration = Duration::from_secs(3600);
/// REQ_TIMEOUT: initial Request timeout.
pub const REQ_TIMEOUT: Duration = Duration::from_secs(1);
/// REQ_MAX_RT: longest Request timeout.
pub const REQ_MAX_RT: Duration = Duration::from_secs(30);
/// REQ_MAX_RC: most transmissions of a Request.
pub const REQ_MAX_RC: u32 = 10;
/// REN_TIMEOUT: initial Renew timeout.
pub const REN_TIMEOUT: Duration = Duration::from_secs(10);
/// REN_MAX_RT: longest Renew timeout.
pub const REN_MAX_RT: Duration = Duration::from_secs(600);
/// REB_TIMEOUT: initial Rebind timeout.
pub const REB_TIMEOUT: Duration = Duration::from_secs(10);
/// REB_MAX_RT: longest Rebind timeout.
pub const REB_MAX_RT: Duration = Duration::from_secs(600);
/// REL_TIMEOUT: initial Release timeout.
pub const REL_TIMEOUT: Duration = Duration::from_secs(1);
/// REL_MAX_RC: most transmissions of a Release.
pub const REL_MAX_RC: u32 = 4;
/// DEC_TIMEOUT: initial Decline timeout.
pub const DEC_TIMEOUT: Duration = Duration::from_secs(1);
/// DEC_MAX_RC: most transmissions of a Decline.
pub const DEC_MAX_RC: u32 = 4;

/// The parameters of one exchange (RFC 8415 §15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// IRT: initial retransmission time.
    pub initial: Duration,
    /// MRT: maximum retransmission time; zero: no upper limit.
    pub maximum: Duration,
    /// MRC: maximum transmissions, the first included; zero: no limit.
    pub count: u32,
    /// MRD, as the instant at which the exchange fails; absent: no limit.
    pub deadline: Option<SimTime>,
    /// "The first RT MUST be selected to be strictly greater than IRT by choosing RAND to be
    /// strictly greater than 0" (§18.2.1, Solicit only).
    pub first_above_initial: bool,
}

/// Where an exchange stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retransmission {
    parameters: Parameters,
    /// RT, the timeout that runs now.
    timeout: Duration,
    /// Messages sent.
    sent: u32,
    /// When the first of them was sent.
    started: SimTime,
    /// When RT ends.
    next: SimTime,
}

impl Retransmission {
    /// The first message is sent `now`.
    pub(crate) fn start(parameters: Parameters, now: SimTime, rng: &mut Rng) -> Retransmission {
        // "RT for the first message transmission is based on IRT: RT = IRT + RAND*IRT."
        let rand = Rand::draw(rng);
        let rand = if parameters.first_above_initial {
            rand.positive()
        } else {
            rand
        };
        let timeout = rand.apply(parameters.initial, parameters.initial);
        Retransmission {
            parameters,
            timeout,
            sent: 1,
            started: now,
            next: now + timeout,
        }
    }

    /// RT has ended: arms the next one and says true, or says false if the exchange has failed.
    pub(crate) fn retransmit(&mut self, now: SimTime, rng: &mut Rng) -> bool {
        let Parameters {
            maximum,
            count,
            deadline,
            ..
        } = self.parameters;
        // "Unless MRC is zero, the message exchange fails once the client has transmitted the
        // message MRC times. Unless MRD is zero, the message exchange fails once MRD seconds
        // have elapsed since the client first transmitted the message."
        if (count != 0 && self.sent >= count) || deadline.is_some_and(|at| at <= now) {
            return false;
        }
        // "RT for each subsequent message transmission is based on the previous value of RT:
        // RT = 2*RTprev + RAND*RTprev. [...] If MRT is not zero and RT > MRT:
        // RT = MRT + RAND*MRT."
        let rand = Rand::draw(rng);
        let doubled = rand.apply(self.timeout.saturating_mul(2), self.timeout);
        self.timeout = if !maximum.is_zero() && doubled > maximum {
            rand.apply(maximum, maximum)
        } else {
            doubled
        };
        self.sent += 1;
        self.next = now + self.timeout;
        true
    }

    /// When RT ends or the exchange fails, whichever is earlier.
    pub(crate) fn next(&self) -> SimTime {
        let deadline = self.parameters.deadline;
        deadline.map_or(self.next, |at| at.min(self.next))
    }

    /// Changes MRT for the timeouts to come.
    pub(crate) fn set_maximum(&mut self, maximum: Duration) {
        self.parameters.maximum = maximum;
    }

    /// Whether the first RT is still running.
    pub(crate) fn is_first(&self) -> bool {
        self.sent == 1
    }

    /// Messages sent.
    pub(crate) fn sent(&self) -> u32 {
        self.sent
    }

    /// Elapsed Time option: hundredths of a second since the first message, at most 0xffff
    /// (RFC 8415 §21.9).
    pub(crate) fn elapsed_cs(&self, now: SimTime) -> u16 {
        let hundredths = now.saturating_since(self.started).as_millis() / 10;
        u16::try_from(hundredths).unwrap_or(u16::MAX)
    }
}

/// RAND: uniform between -0.1 and +0.1 (RFC 8415 §15), here in units of 10^-10.
#[derive(Clone, Copy)]
struct Rand(i64);

impl Rand {
    const ONE_TENTH: i64 = 1_000_000_000;

    fn draw(rng: &mut Rng) -> Rand {
        let span = 2 * Self::ONE_TENTH + 1;
        // At most `span - 1`, so it fits.
        let part = ((u128::from(rng.next_u64()) * span as u128) >> 64) as i64;
        Rand(part - Self::ONE_TENTH)
    }

    /// The same distribution's positive half, never 0.
    fn positive(self) -> Rand {
        Rand(self.0.abs().max(1))
    }

    /// `base + RAND * of`, strictly more than `base` for a RAND that is positive.
    fn apply(self, base: Duration, of: Duration) -> Duration {
        let part = of.as_nanos() * u128::from(self.0.unsigned_abs());
        let part = part.div_ceil(10 * Self::ONE_TENTH as u128);
        let part = Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX));
        if self.0 < 0 {
            base.saturating_sub(part)
        } else {
            base.saturating_add(part)
        }
    }
}

/// A delay between zero and `max`, both included (SOL_MAX_DELAY). Draws exactly one number.
pub(crate) fn random_delay(rng: &mut Rng, max: Duration) -> Duration {
    let span = max.as_nanos().min(u128::from(u64::MAX));
    // At most `span`, which was cut to 64 bits.
    Duration::from_nanos(((u128::from(rng.next_u64()) * (span + 1)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use units::Seed;

    fn parameters(initial_s: u64, maximum_s: u64, count: u32) -> Parameters {
        Parameters {
            initial: Duration::from_secs(initial_s),
            maximum: Duration::from_secs(maximum_s),
            count,
            deadline: None,
            first_above_initial: false,
        }
    }

    proptest! {
        #[test]
        fn timeouts_double_within_a_tenth_up_to_mrt_within_a_tenth(seed: u64, first: bool) {
            let mut rng = Seed(seed).rng(&["retransmission"]);
            let parameters = Parameters { first_above_initial: first, ..parameters(1, 30, 0) };
            let mut exchange = Retransmission::start(parameters, SimTime::ZERO, &mut rng);
            let mut previous = exchange.timeout.as_secs_f64();
            let least = if first { 1.0 } else { 0.9 };
            prop_assert!((least..=1.1).contains(&previous) && (!first || previous > 1.0));
            for _ in 0..12 {
                let now = exchange.next();
                prop_assert!(exchange.retransmit(now, &mut rng));
                let timeout = exchange.timeout.as_secs_f64();
                let doubled = (1.899_999_999 * previous..=2.100_000_001 * previous).contains(&timeout);
                let capped = (27.0..=33.0).contains(&timeout) && 2.1 * previous > 30.0;
                prop_assert!(doubled || capped, "{previous} {timeout}");
                previous = timeout;
            }
        }
    }

    #[test]
    fn an_exchange_fails_after_mrc_transmissions() {
        let mut rng = Seed(1).rng(&["retransmission"]);
        let mut exchange = Retransmission::start(parameters(1, 0, 4), SimTime::ZERO, &mut rng);
        let mut sent = 1;
        while exchange.retransmit(exchange.next(), &mut rng) {
            sent += 1;
        }
        assert_eq!((sent, exchange.sent()), (4, 4));
    }

    #[test]
    fn an_exchange_fails_when_mrd_has_elapsed() {
        let mut rng = Seed(1).rng(&["retransmission"]);
        let deadline = SimTime::ZERO + Duration::from_secs(20);
        let parameters = Parameters {
            deadline: Some(deadline),
            ..parameters(10, 600, 0)
        };
        let mut exchange = Retransmission::start(parameters, SimTime::ZERO, &mut rng);
        let first = exchange.next();
        assert!(exchange.retransmit(first, &mut rng));
        assert_eq!(exchange.next(), deadline);
        assert!(!exchange.retransmit(deadline, &mut rng));
    }

    #[test]
    fn elapsed_time_saturates() {
        let mut rng = Seed(1).rng(&["retransmission"]);
        let exchange = Retransmission::start(parameters(1, 0, 0), SimTime::ZERO, &mut rng);
        let after = |ms| exchange.elapsed_cs(SimTime::ZERO + Duration::from_millis(ms));
        assert_eq!((after(0), after(1019), after(700_000)), (0, 101, 0xffff));
    }
}
