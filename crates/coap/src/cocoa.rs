//! CoCoA: the retransmission timeout from measured round trips (draft-ietf-core-cocoa-03, "Simple
//! CoAP Congestion Control/Advanced").

use std::time::Duration;

use units::SimTime;

/// "The initial value for each of the two RTO estimators is 2 s."
const INITIAL_S: f64 = 2.0;

/// "The binary exponential backoff is truncated at 32 seconds."
pub(crate) const LONGEST: Duration = Duration::from_secs(32);

/// "Responses obtained after the third retransmission are not used to update an estimator."
const MAX_RETRANSMISSIONS: u32 = 2;

/// One estimator of RFC 6298 §2, in seconds.
#[derive(Clone, Copy, Debug)]
struct Estimator {
    /// The factor of RTTVAR.
    k: f64,
    /// SRTT and RTTVAR; none before the first measurement.
    measured: Option<(f64, f64)>,
}

impl Estimator {
    /// Takes a measurement and returns the estimate, by (2.2) and (2.3) of RFC 6298 with its
    /// alpha of 1/8 and beta of 1/4. Its lower bound of 1 s is not applied: the variable
    /// back-off factor is for estimates under it.
    fn sample(&mut self, rtt: f64) -> f64 {
        let (srtt, rttvar) = match self.measured {
            None => (rtt, rtt / 2.0),
            Some((srtt, rttvar)) => {
                let rttvar = 0.75 * rttvar + 0.25 * (srtt - rtt).abs();
                (0.875 * srtt + 0.125 * rtt, rttvar)
            }
        };
        self.measured = Some((srtt, rttvar));
        srtt + self.k * rttvar
    }
}

/// The overall RTO estimate for a peer.
#[derive(Clone, Copy, Debug)]
pub struct Rto {
    strong: Estimator,
    weak: Estimator,
    rto_s: f64,
    /// When it was last updated, by a measurement or by its age.
    updated: SimTime,
}

impl Rto {
    /// Of a peer of which nothing has been measured at `now`: 2 s.
    pub fn new(now: SimTime) -> Rto {
        let estimator = |k| Estimator { k, measured: None };
        Rto {
            strong: estimator(4.0),
            weak: estimator(1.0),
            rto_s: INITIAL_S,
            updated: now,
        }
    }

    /// Takes the time from the first transmission of a CON to its ACK, at `now`, after so many
    /// retransmissions: none is a strong measurement, one or two are a weak one, more are none.
    pub fn measure(&mut self, now: SimTime, rtt: Duration, retransmissions: u32) {
        if retransmissions > MAX_RETRANSMISSIONS {
            return;
        }
        self.age(now);
        let rtt = rtt.as_secs_f64();
        self.rto_s = match retransmissions {
            0 => 0.5 * self.strong.sample(rtt) + 0.5 * self.rto_s,
            _ => 0.25 * self.weak.sample(rtt) + 0.75 * self.rto_s,
        };
        self.updated = now;
    }

    /// The estimate at `now`.
    pub fn get(&mut self, now: SimTime) -> Duration {
        self.age(now);
        seconds(self.rto_s).min(LONGEST)
    }

    /// "If an estimator has a value that is lower than 1 s, and it is left without further
    /// update for 16 times its current value, the RTO estimate is doubled. If an estimator has a
    /// value that is higher than 3 s, and it is left without further update for 4 times its
    /// current value, the RTO estimate is set to be RTO := 1 s + (0.5 * RTO)"; cumulatively.
    fn age(&mut self, now: SimTime) {
        loop {
            let (periods, aged) = match self.rto_s {
                rto if rto < 1.0 => (16.0, 2.0 * rto),
                rto if rto > 3.0 => (4.0, 1.0 + 0.5 * rto),
                _ => return,
            };
            // Not under a microsecond: an estimate of zero would age for ever.
            let due = self.updated + seconds((periods * self.rto_s).max(1e-6));
            if due > now {
                return;
            }
            self.updated = due;
            self.rto_s = aged.max(1e-6);
        }
    }
}

/// The variable back-off factor: what each timeout is multiplied with after one that began with
/// `rto`: "below 1 s [...] by 3, while for estimations above 3 s [...] only by 1.5".
pub fn backoff_factor(rto: Duration) -> f64 {
    match rto.as_secs_f64() {
        rto if rto < 1.0 => 3.0,
        rto if rto > 3.0 => 1.5,
        _ => 2.0,
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: f64) -> SimTime {
        SimTime::ZERO + seconds(s)
    }

    fn close(rto: &mut Rto, now: f64, expected: f64) {
        let got = rto.get(at(now)).as_secs_f64();
        assert!(
            (got - expected).abs() < 1e-6,
            "{got} s, expected {expected} s"
        );
    }

    /// By hand: E = 1 + 4 * 0.5 = 3, RTO = 0.5 * 3 + 0.5 * 2 = 2.5; then RTTVAR = 0.75 * 0.5 +
    /// 0.25 * |1 - 2| = 0.625, SRTT = 0.875 + 0.25 = 1.125, E = 1.125 + 2.5 = 3.625, RTO =
    /// 1.8125 + 1.25 = 3.0625.
    #[test]
    fn strong_measurements_weigh_half() {
        let mut rto = Rto::new(at(0.0));
        close(&mut rto, 0.0, 2.0);
        rto.measure(at(0.0), seconds(1.0), 0);
        close(&mut rto, 0.0, 2.5);
        rto.measure(at(1.0), seconds(2.0), 0);
        close(&mut rto, 1.0, 3.0625);
    }

    /// By hand: E = 2 + 1 * 1 = 3, RTO = 0.25 * 3 + 0.75 * 2 = 2.25, after one or two
    /// retransmissions; after three nothing is learnt.
    #[test]
    fn weak_measurements_weigh_a_quarter() {
        for retransmissions in [1, 2] {
            let mut rto = Rto::new(at(0.0));
            rto.measure(at(0.0), seconds(2.0), retransmissions);
            close(&mut rto, 0.0, 2.25);
        }
        let mut rto = Rto::new(at(0.0));
        rto.measure(at(0.0), seconds(2.0), 3);
        close(&mut rto, 0.0, 2.0);
    }

    /// By hand: of 0.1 s five times RTTVAR is 0.05 * 0.75^n, so E = 0.3, 0.25, 0.2125, 0.184375,
    /// 0.16328125 and RTO = 1.15, 0.7, 0.45625, 0.3203125, 0.241796875. Then it doubles after 16 times
    /// itself, 3.86875 s, and again after 7.7375 s.
    #[test]
    fn a_short_estimate_doubles_with_age() {
        let mut rto = Rto::new(at(0.0));
        for _ in 0..5 {
            rto.measure(at(0.0), seconds(0.1), 0);
        }
        close(&mut rto, 0.0, 0.241796875);
        close(&mut rto, 3.868, 0.241796875);
        close(&mut rto, 3.869, 0.48359375);
        close(&mut rto, 11.606, 0.48359375);
        close(&mut rto, 11.607, 0.9671875);
        close(&mut rto, 1000.0, 1.934375);
    }

    /// By hand: E = 6 + 4 * 3 = 18, RTO = 9 + 1 = 10; after 40 s 1 + 5 = 6, after 24 s more 4, after
    /// 16 s more 3, which stays.
    #[test]
    fn a_long_estimate_shrinks_with_age() {
        let mut rto = Rto::new(at(0.0));
        rto.measure(at(0.0), seconds(6.0), 0);
        close(&mut rto, 39.9, 10.0);
        close(&mut rto, 40.1, 6.0);
        close(&mut rto, 63.9, 6.0);
        close(&mut rto, 64.1, 4.0);
        close(&mut rto, 80.1, 3.0);
        close(&mut rto, 9999.0, 3.0);
    }

    #[test]
    fn the_backoff_factor_depends_on_the_estimate_and_the_estimate_is_bounded() {
        let factor = |s| backoff_factor(seconds(s));
        assert_eq!(
            [factor(0.99), factor(1.0), factor(3.0), factor(3.01)],
            [3.0, 2.0, 2.0, 1.5]
        );
        let mut rto = Rto::new(at(0.0));
        rto.measure(at(0.0), seconds(1000.0), 0);
        assert_eq!(rto.get(at(0.0)), LONGEST);
    }

    #[test]
    fn round_trips_of_no_time_age_without_end_in_sight_of_a_second() {
        let mut rto = Rto::new(at(0.0));
        for _ in 0..100 {
            rto.measure(at(0.0), Duration::ZERO, 0);
        }
        assert!(rto.get(at(1e6)) >= seconds(1.0));
    }
}
