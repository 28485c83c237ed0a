//! Listening on other channels while the serving router can still be heard.

use super::scan::{DWELL, listen, scanning, two_routers};
use super::*;

/// With early listening under -75 dBm every 2 s.
fn early(mut config: Config) -> Config {
    let scan = config.scan.as_mut().unwrap();
    scan.early = Some(EarlyScan {
        threshold: Dbm(-75.0),
        every: Duration::from_secs(2),
    });
    config
}

#[test]
fn early_listening_is_in_no_phase_and_makes_the_link_phase_a_retuning() {
    let mut bench = Bench::new(early(two_routers()));
    bench.signal(0, 1, Some(-74.0));
    assert_eq!(bench.0.poll_timeout(), None);
    bench.signal(1000, 1, Some(-76.0));
    bench.run_until(1000);
    assert_eq!(bench.commands(), [listen(20)]);
    assert!(!bench.0.in_progress());
    bench.tuned(1000, 20);
    bench.signal(1100, 2, Some(-80.0));
    assert_eq!(bench.commands(), [listen(15)]);
    bench.tuned(1110, 15);
    bench.no_events();

    bench.signal(1500, 1, Some(-86.0));
    assert_eq!(bench.events(), [started(1, Phase::TRIGGER)]);
    bench.run_until(1700);
    assert_eq!(bench.commands(), [Command::Prepare]);
    bench.prepared(1710);
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
}

#[test]
fn rounds_of_early_listening_begin_at_their_interval() {
    let mut bench = Bench::new(early(two_routers()));
    bench.signal(0, 1, Some(-80.0));
    for round in 0..4 {
        let ms = round * 2000;
        if round > 0 {
            bench.run_until(ms - 1);
            assert_eq!(bench.commands(), []);
        }
        bench.run_until(ms);
        assert_eq!(bench.commands(), [listen(20)]);
        bench.tuned(ms, 20);
        bench.run_until(ms + DWELL);
        bench.tuned(ms + DWELL, 15);
        assert_eq!(bench.commands(), [listen(15)]);
        bench.signal(ms + DWELL + 1, 1, Some(-80.0));
    }
    bench.no_events();
}

#[test]
fn between_two_channels_of_a_round_the_radio_is_at_home_for_a_dwell() {
    let mut bench = Bench::new(early(scanning()));
    bench.signal(0, 1, Some(-80.0));
    bench.run_until(0);
    bench.tuned(0, 20);
    bench.signal(100, 2, Some(-79.0));
    bench.tuned(110, 15);
    assert_eq!(bench.commands(), [listen(20), listen(15)]);
    bench.signal(120, 1, Some(-80.0));
    assert_eq!(bench.0.poll_timeout(), Some(at(110 + DWELL)));
    bench.run_until(110 + DWELL);
    assert_eq!(bench.commands(), [listen(25)]);
    bench.tuned(620, 25);
    bench.run_until(620 + DWELL);
    bench.tuned(620 + DWELL, 15);
    bench.signal(1200, 1, Some(-80.0));
    assert_eq!(bench.0.poll_timeout(), Some(at(2000)), "the next round");
}

#[test]
fn a_signal_that_recovers_breaks_the_round_off() {
    let mut bench = Bench::new(early(scanning()));
    bench.signal(0, 1, Some(-80.0));
    bench.run_until(0);
    bench.tuned(0, 20);
    bench.run_until(DWELL);
    bench.tuned(DWELL, 15);
    bench.commands();
    bench.signal(600, 1, Some(-75.0));
    assert_eq!(bench.0.poll_timeout(), None);
    bench.signal(700, 1, Some(-80.0));
    assert_eq!(
        bench.0.poll_timeout(),
        Some(at(2000)),
        "not before its turn"
    );
}

#[test]
fn the_radio_does_not_leave_again_before_it_has_heard_its_router() {
    let mut bench = Bench::new(early(two_routers()));
    bench.signal(0, 1, Some(-80.0));
    bench.run_until(0);
    bench.tuned(0, 20);
    bench.run_until(DWELL);
    bench.tuned(DWELL, 15);
    bench.commands();
    assert_eq!(bench.0.poll_timeout(), None);
    bench.run_until(9000);
    assert_eq!(bench.commands(), []);
    bench.signal(9000, 1, None);
    assert_eq!(bench.events(), left_without_link(1, "er1"));
}

#[test]
fn what_was_not_heard_early_is_known_to_be_absent() {
    let mut bench = Bench::new(early(two_routers()));
    bench.signal(0, 1, Some(-80.0));
    bench.run_until(0);
    bench.tuned(0, 20);
    bench.run_until(DWELL);
    bench.tuned(DWELL, 15);
    bench.commands();
    bench.signal(600, 1, Some(-90.0));
    bench.no_events();
    assert_eq!(
        bench.0.poll_timeout(),
        Some(at(2000)),
        "listening again comes before a handover without knowing where to"
    );
}

#[test]
fn a_router_that_an_early_round_does_not_hear_any_more_calls_the_trigger_off() {
    let mut config = early(two_routers());
    config.trigger.samples = 21;
    let mut bench = Bench::new(config);
    bench.signal(0, 1, Some(-80.0));
    bench.run_until(0);
    bench.tuned(0, 20);
    bench.signal(100, 2, Some(-70.0));
    bench.tuned(110, 15);
    bench.signal(120, 1, Some(-80.0));
    bench.run_until(2000);
    bench.tuned(2000, 20);
    bench.signal(2100, 1, Some(-86.0)); // told just before the radio left
    assert_eq!(bench.events(), [started(1, Phase::TRIGGER)]);
    bench.run_until(2500);
    bench.tuned(2510, 15);
    assert_eq!(bench.events(), [ended(1, Phase::TRIGGER)]);
}

#[test]
fn a_trigger_due_while_the_radio_is_away_decides_when_it_is_back() {
    let mut bench = Bench::new(early(scanning()));
    bench.signal(0, 1, Some(-86.0));
    // The trigger counts, for nothing is known of the others: it comes before listening early.
    bench.signal(50, 1, Some(-80.0));
    bench.run_until(50);
    assert_eq!(bench.commands(), [listen(20)]);
    bench.events();
    bench.tuned(60, 20);
    bench.signal(70, 1, Some(-86.0)); // told just before the radio left
    assert_eq!(bench.events(), [started(1, Phase::TRIGGER)]);
    bench.run_until(559);
    assert_eq!(bench.commands(), []);
    bench.run_until(560);
    assert_eq!(bench.commands(), [listen(15)]);
    bench.no_events();
    bench.tuned(570, 15);
    bench.run_until(570);
    assert_eq!(bench.commands(), [Command::Prepare]);
}

#[test]
fn a_link_lost_during_early_listening_turns_it_into_the_search() {
    let mut bench = Bench::new(early(scanning()));
    bench.signal(0, 1, Some(-80.0));
    bench.run_until(0);
    assert_eq!(bench.commands(), [listen(20)]);
    bench.tuned(0, 20);
    bench.signal(10, 1, None);
    assert_eq!(bench.events(), left_without_link(1, "er1"));
    assert_eq!(bench.commands(), [], "it is listening already");
    bench.run_until(DWELL);
    assert_eq!(bench.commands(), [listen(25)]);
    bench.tuned(DWELL, 25);
    bench.signal(600, 3, Some(-80.0));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 2 }]);
}

#[test]
fn a_link_lost_while_the_radio_is_turned_away_early_is_searched_for_from_there() {
    for taken in [false, true] {
        let mut bench = Bench::new(early(scanning()));
        bench.signal(0, 1, Some(-80.0));
        bench.run_until(0);
        if taken {
            assert_eq!(bench.commands(), [listen(20)]);
        }
        bench.signal(10, 1, None);
        assert_eq!(bench.commands(), [listen(20)], "{taken}");
        bench.tuned(10, 20);
        bench.signal(20, 2, Some(-80.0));
        assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
    }
}

#[test]
fn a_lost_link_goes_straight_to_what_early_listening_heard() {
    let mut bench = Bench::new(early(scanning()));
    bench.signal(0, 1, Some(-80.0));
    bench.run_until(0);
    bench.tuned(0, 20);
    bench.signal(100, 2, Some(-83.0));
    bench.tuned(110, 15);
    bench.commands();
    bench.signal(200, 1, None);
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
}
