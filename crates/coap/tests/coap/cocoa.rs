//! The retransmission timeout from measured round trips (draft-ietf-core-cocoa-03).

use coap::{CongestionControl, Params};

use crate::support::*;

fn adaptive() -> Params {
    Params {
        congestion_control: CongestionControl::Cocoa,
        ..steady()
    }
}

/// One request to peer `to` that is answered after `rtt` seconds.
fn round_trip(subject: &mut Subject, to: u16, rtt: f64) {
    let asked_at = subject.now;
    subject.request(to, CON, "/t");
    let sent = subject.sent_one();
    subject.now = asked_at + std::time::Duration::from_secs_f64(rtt);
    subject.receive(to, &piggybacked(&sent));
    subject.responses();
}

/// The times of the transmissions of a request that nobody answers, from its first one on.
fn schedule(subject: &mut Subject, to: u16) -> Vec<f64> {
    let start = subject.now;
    let since = |subject: &Subject| subject.now.saturating_since(start).as_secs_f64();
    subject.request(to, CON, "/t");
    let mut times = Vec::new();
    while let Some(due) = subject.timeout() {
        for _ in subject.sent() {
            times.push(since(subject));
        }
        subject.now = due;
        subject.fire();
    }
    times.push(since(subject));
    times
}

fn assert_close(got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-6, "{got} s, not {expected} s");
    }
}

#[test]
fn of_an_unknown_peer_the_schedule_is_that_of_the_standard() {
    let times = schedule(&mut Subject::new(adaptive()), 1);
    assert_close(&times, &[0.0, 2.0, 6.0, 14.0, 30.0, 62.0]);
}

/// By hand: after 0.1 s twice E = 0.3, 0.25 and RTO = 1.15, 0.7; under a second the factor is 3:
/// 0.7, 2.1, 6.3, 18.9, then 32 instead of 56.7.
#[test]
fn a_quick_peer_gets_a_short_timeout_and_a_factor_of_three() {
    let mut subject = Subject::new(adaptive());
    round_trip(&mut subject, 1, 0.1);
    round_trip(&mut subject, 1, 0.1);
    let times = schedule(&mut subject, 1);
    assert_close(&times, &[0.0, 0.7, 2.8, 9.1, 28.0, 60.0]);
    // Another peer is another estimate.
    let times = schedule(&mut subject, 2);
    assert_close(&times[..2], &[0.0, 2.0]);
}

/// By hand: of 1.9 s E = 5.7, RTO = 3.85; over three seconds the factor is 1.5: 3.85, 5.775,
/// 8.6625, 12.99375, 19.490625. The fourth retransmission, at 31.28125 s, is past MAX_TRANSMIT_SPAN,
/// 30 s without random factor, and left out (RFC 7252 §4.2).
#[test]
fn a_slow_peer_gets_a_long_timeout_and_a_factor_of_one_and_a_half() {
    let mut subject = Subject::new(adaptive());
    round_trip(&mut subject, 1, 1.9);
    let times = schedule(&mut subject, 1);
    assert_close(&times, &[0.0, 3.85, 9.625, 18.2875, 50.771875]);
}

/// By hand: retransmitted at 2 s, answered at 3 s: weak, E = 3 + 1.5, RTO = 0.25 * 4.5 + 1.5 = 2.625.
#[test]
fn an_answer_after_a_retransmission_is_a_weak_measurement() {
    let mut subject = Subject::new(adaptive());
    subject.request(1, CON, "/t");
    let sent = subject.sent_one();
    subject.advance(secs(3.0));
    assert_eq!(subject.sent().len(), 1);
    subject.receive(1, &piggybacked(&sent));
    subject.responses();
    let times = schedule(&mut subject, 1);
    assert_close(&times[..2], &[0.0, 2.625]);
}

#[test]
fn a_request_that_moves_measures_nothing_of_the_address_it_left() {
    let mut subject = Subject::new(adaptive());
    subject.request(1, CON, "/t");
    let sent = subject.sent_one();
    subject.now = secs(1.0);
    subject.endpoint.retarget(subject.now, peer(1), peer(2));
    subject.sent();
    subject.now = secs(1.5);
    // From the former address: whose round trip it is cannot be told.
    subject.receive(1, &piggybacked(&sent));
    subject.responses();
    for to in [1, 2] {
        let times = schedule(&mut subject, to);
        assert_close(&times[..2], &[0.0, 2.0]);
    }
}
