//! A node that hears the channel only that its radio is on.
//!
//! er1 (PAN 1) is on channel 15, er2 on 20, er3 on 25; a dwell lasts 500 ms.

use super::*;

pub(super) const DWELL: u64 = 500;

/// As [`config`], on one channel at a time.
pub(super) fn scanning() -> Config {
    Config {
        scan: Some(Scan {
            dwell: Duration::from_millis(DWELL),
            early: None,
        }),
        ..config()
    }
}

/// er1 and er2 only.
pub(super) fn two_routers() -> Config {
    let mut config = scanning();
    config.candidates.truncate(2);
    config
}

fn channel(number: u8) -> Channel {
    number.try_into().unwrap()
}

pub(super) fn listen(number: u8) -> Command {
    Command::Listen {
        channel: channel(number),
    }
}

impl Bench {
    /// The radio is tuned to listen on a channel.
    pub(super) fn tuned(&mut self, ms: u64, number: u8) {
        self.0.listening(at(ms), channel(number));
    }

    /// er1 at `dbm`, and the trigger's samples and the hold over at `ms + 200`.
    pub(super) fn hold_at(&mut self, ms: u64, dbm: f64) {
        self.signal(ms, 1, Some(dbm));
        self.run_until(ms + 200);
        assert_eq!(self.commands(), [Command::Prepare]);
        self.prepared(ms + 200);
    }

    pub(super) fn no_events(&mut self) {
        assert_eq!(self.events(), []);
    }
}

#[test]
fn a_scan_finds_the_new_router_in_the_link_phase() {
    let mut bench = Bench::new(two_routers());
    bench.signal(0, 1, Some(-70.0));
    assert_eq!(bench.0.poll_timeout(), None, "a good signal costs no timer");
    bench.signal(1000, 1, Some(-86.0));
    assert_eq!(
        bench.0.poll_timeout(),
        Some(at(1200)),
        "of channel 20 nothing is known"
    );
    bench.run_until(1200);
    assert_eq!(bench.commands(), [Command::Prepare]);
    bench.events();
    bench.prepared(1210);
    assert_eq!(
        bench.events(),
        [ended(1, Phase::HOLD), started(1, Phase::LINK)]
    );
    assert_eq!(bench.commands(), [listen(20)]);
    assert_eq!(bench.0.poll_timeout(), None, "the radio is being tuned");
    bench.tuned(1220, 20);
    assert_eq!(bench.0.poll_timeout(), Some(at(1220 + DWELL)));
    bench.signal(1300, 2, Some(-60.0));
    assert_eq!(
        bench.commands(),
        [Command::Retune { candidate: 1 }],
        "everybody on the channel is heard before the dwell is over"
    );
    bench.no_events();
    bench.arrive(1310, T2);
    bench.bound(1320);
    let events = bench.events();
    assert!(events.contains(&completed(1, "er2", T2)), "{events:?}");
    assert_eq!(bench.0.serving(), 1);
    assert_eq!(bench.0.poll_timeout(), None);
}

#[test]
fn a_scan_finds_the_new_router_on_the_second_channel() {
    let mut bench = Bench::new(scanning());
    bench.hold_at(0, -90.0);
    assert_eq!(bench.commands(), [listen(20)]);
    bench.tuned(200, 20);
    bench.run_until(699);
    assert_eq!(bench.commands(), []);
    bench.run_until(700);
    assert_eq!(bench.commands(), [listen(25)]);
    bench.tuned(701, 25);
    bench.signal(800, 3, Some(-70.0));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 2 }]);
}

#[test]
fn a_scan_takes_all_channels_and_then_the_strongest_router() {
    let mut bench = Bench::new(scanning());
    bench.hold_at(0, -90.0);
    bench.commands();
    bench.tuned(200, 20);
    bench.signal(300, 2, Some(-60.0));
    assert_eq!(bench.commands(), [listen(25)]);
    bench.tuned(301, 25);
    bench.signal(400, 3, Some(-70.0));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
}

#[test]
fn two_routers_on_a_channel_are_both_waited_for_until_the_dwell_is_over() {
    let mut config = two_routers();
    let er2b = candidate("er2b", 20, 3);
    config.candidates.push(er2b.clone());
    let mut bench = Bench::new(config);
    bench.hold_at(0, -90.0);
    assert_eq!(bench.commands(), [listen(20)]);
    bench.tuned(200, 20);
    let heard = signal_of(&er2b, Some(Dbm(-80.0)));
    bench.0.handle_signal(at(250), heard);
    assert_eq!(bench.commands(), []);
    bench.run_until(200 + DWELL);
    assert_eq!(bench.commands(), [Command::Retune { candidate: 2 }]);
}

#[test]
fn a_scan_that_finds_nothing_better_calls_the_handover_off_and_releases_the_correspondents() {
    for found in [None, Some(-92.0), Some(-90.0)] {
        let mut bench = Bench::new(two_routers());
        bench.hold_at(0, -90.0);
        bench.commands();
        bench.events();
        bench.tuned(200, 20);
        if found.is_some() {
            bench.signal(650, 2, found);
        } else {
            bench.run_until(700);
        }
        assert_eq!(bench.commands(), [listen(15)], "{found:?}");
        bench.no_events();
        bench.tuned(710, 15);
        assert_eq!(
            bench.events(),
            [ended(1, Phase::LINK), failed(1, "no better router heard")]
        );
        assert_eq!(bench.commands(), [Command::Stay]);
        assert!(!bench.0.in_progress(), "it is where it was");
        assert_eq!(bench.0.serving(), 0);
    }
}

#[test]
fn a_router_that_is_a_little_better_is_worth_going_to_after_a_scan() {
    let mut bench = Bench::new(two_routers());
    bench.hold_at(0, -90.0);
    bench.commands();
    bench.tuned(200, 20);
    bench.signal(250, 2, Some(-89.0));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
}

#[test]
fn what_needs_no_preparation_is_called_off_all_the_same() {
    let mut bench = Bench::without_hold(two_routers());
    bench.signal(0, 1, Some(-90.0));
    bench.run_until(200);
    assert_eq!(bench.commands(), [Command::Prepare, listen(20)]);
    bench.tuned(200, 20);
    bench.run_until(700);
    assert_eq!(bench.commands(), [listen(15)]);
    bench.tuned(700, 15);
    assert_eq!(bench.commands(), [Command::Stay]);
    assert!(!bench.0.in_progress());
}

/// Scans in vain, called off at `ms`; what follows: when the next trigger begins to count.
fn called_off_at(bench: &mut Bench, ms: u64) -> SimTime {
    assert_eq!(bench.commands(), [Command::Prepare]);
    bench.prepared(ms - DWELL);
    bench.tuned(ms - DWELL, 20);
    bench.run_until(ms);
    bench.tuned(ms, 15);
    bench.commands();
    bench.0.poll_timeout().unwrap()
}

#[test]
fn scans_in_vain_come_at_doubled_intervals_up_to_eight_dwells() {
    let mut bench = Bench::new(two_routers());
    bench.signal(0, 1, Some(-90.0));
    let mut ms = 200;
    for dwells in [2, 4, 8, 8] {
        bench.run_until(ms);
        let next = called_off_at(&mut bench, ms + DWELL);
        ms += DWELL + dwells * DWELL;
        assert_eq!(next, at(ms), "{dwells}");
        bench.events();
        bench.run_until(ms);
        assert_eq!(bench.events().len(), 1, "the trigger counts its samples");
        ms += 200;
    }
    // A signal that was good in between makes up for it.
    bench.run_until(ms);
    bench.signal(ms, 1, Some(-80.0));
    bench.signal(ms, 1, Some(-90.0));
    let next = called_off_at(&mut bench, ms + DWELL);
    assert_eq!(next, at(ms + DWELL + 2 * DWELL));
}

#[test]
fn a_signal_that_recovers_during_the_scan_is_what_the_others_are_compared_with() {
    let mut bench = Bench::new(two_routers());
    bench.hold_at(0, -90.0);
    bench.tuned(200, 20);
    bench.signal(210, 1, Some(-60.0));
    bench.signal(220, 2, Some(-70.0));
    assert_eq!(bench.commands(), [listen(20), listen(15)]);
}

#[test]
fn the_same_channel_needs_no_scan() {
    let mut config = two_routers();
    config.candidates[1].channel = channel(15);
    let mut bench = Bench::new(config);
    bench.signal(0, 1, Some(-90.0));
    assert_eq!(
        bench.0.poll_timeout(),
        None,
        "there is no channel to listen on"
    );
    bench.signal(10, 2, Some(-60.0));
    bench.run_until(210);
    assert_eq!(bench.commands(), [Command::Prepare]);
    bench.prepared(220);
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
}

#[test]
fn a_better_router_on_the_same_channel_spares_the_scan_of_the_others() {
    let mut config = scanning();
    config.candidates[1].channel = channel(15);
    let mut bench = Bench::new(config);
    bench.signal(0, 2, Some(-60.0));
    bench.hold_at(0, -90.0);
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
}

#[test]
fn a_router_on_the_same_channel_that_is_no_better_does_not_keep_the_node_from_scanning() {
    let mut config = scanning();
    config.candidates[1].channel = channel(15);
    let mut bench = Bench::new(config);
    bench.signal(0, 2, Some(-89.0));
    bench.hold_at(0, -90.0);
    assert_eq!(bench.commands(), [listen(25)]);
    bench.tuned(200, 25);
    bench.run_until(700);
    assert_eq!(
        bench.commands(),
        [Command::Retune { candidate: 1 }],
        "nothing on 25: er2 on 15 is the better one, if only by 1 dB"
    );
}

#[test]
fn a_lost_link_is_searched_for_on_all_channels_until_something_is_heard() {
    let mut bench = Bench::new(scanning());
    bench.signal(0, 1, None);
    assert_eq!(bench.events(), left_without_link(1, "er1"));
    let mut ms = 0;
    for number in [20, 25, 15, 20, 25, 15, 20] {
        assert_eq!(bench.commands(), [listen(number)]);
        bench.tuned(ms, number);
        ms += DWELL;
        if ms < 7 * DWELL {
            bench.run_until(ms);
        }
    }
    bench.signal(ms - 100, 2, Some(-99.0));
    assert_eq!(
        bench.commands(),
        [Command::Retune { candidate: 1 }],
        "any will do"
    );
    bench.no_events();
}

#[test]
fn the_old_router_is_taken_back_when_the_search_comes_to_it() {
    let mut bench = Bench::new(two_routers());
    bench.signal(0, 1, None);
    bench.tuned(0, 20);
    bench.run_until(500);
    assert_eq!(bench.commands(), [listen(20), listen(15)]);
    bench.tuned(500, 15);
    bench.signal(600, 1, Some(-84.0));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 0 }]);
    bench.arrive(610, T1);
    assert_eq!(
        bench.commands().last(),
        Some(&Command::Bind { address: T1 })
    );
}

#[test]
fn with_one_channel_the_search_stays_on_it() {
    let mut config = scanning();
    config.candidates.truncate(1);
    let mut bench = Bench::new(config);
    bench.signal(0, 1, None);
    bench.run_until(3 * DWELL);
    assert_eq!(bench.commands(), []);
    bench.signal(3 * DWELL + 1, 1, Some(-84.0));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 0 }]);
}

#[test]
fn losing_the_serving_router_ends_the_hold_and_starts_the_search() {
    let mut bench = Bench::new(two_routers());
    bench.signal(0, 1, Some(-90.0));
    bench.run_until(200);
    assert_eq!(bench.commands(), [Command::Prepare]);
    bench.signal(210, 1, None);
    assert_eq!(bench.commands(), [listen(20)]);
    bench.prepared(220);
    assert_eq!(bench.commands(), [], "the answer is late");
    bench.tuned(230, 20);
    bench.signal(240, 2, Some(-99.0));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
}

#[test]
fn an_old_router_lost_during_the_scan_is_nothing_to_go_back_to() {
    let mut bench = Bench::new(two_routers());
    bench.hold_at(0, -90.0);
    bench.commands();
    bench.tuned(200, 20);
    bench.signal(300, 1, None);
    bench.run_until(700);
    assert_eq!(bench.commands(), [listen(15)]);
    bench.events();
    bench.tuned(700, 15);
    bench.no_events();
    bench.run_until(1200);
    assert_eq!(bench.commands(), [listen(20)], "the search goes on");
}

#[test]
fn a_router_heard_a_short_while_ago_is_gone_to_without_a_scan_when_the_link_is_lost() {
    let lost_at = |ms| {
        let mut bench = Bench::new(two_routers());
        bench.hold_at(0, -90.0);
        bench.tuned(200, 20);
        bench.signal(250, 2, Some(-95.0));
        bench.tuned(260, 15);
        bench.commands();
        bench.signal(ms, 1, None);
        bench.commands()
    };
    assert_eq!(lost_at(1259), [Command::Retune { candidate: 1 }]);
    assert_eq!(lost_at(1260), [listen(20)], "two dwells after it was left");
}

#[test]
fn late_and_unasked_reports_of_listening_are_ignored() {
    let mut bench = Bench::new(scanning());
    bench.tuned(0, 20);
    assert_eq!(bench.0.poll_timeout(), None, "nothing was asked");
    bench.hold_at(0, -90.0);
    assert_eq!(bench.commands(), [listen(20)]);
    bench.tuned(210, 25);
    assert_eq!(bench.0.poll_timeout(), None, "another channel");
    bench.tuned(220, 20);
    bench.tuned(230, 20);
    assert_eq!(bench.0.poll_timeout(), Some(at(220 + DWELL)), "once only");
    bench.run_until(220 + DWELL);
    bench.tuned(720, 25);
    bench.signal(730, 3, Some(-60.0));
    bench.commands();
    bench.tuned(740, 25);
    bench.0.handle_timeout(at(99_000));
    assert_eq!(bench.commands(), [], "it is on its way");
    assert!(bench.0.in_progress());

    let mut bench = Bench::new(config());
    bench.tuned(0, 20);
    assert_eq!(bench.0.poll_timeout(), None, "all channels are heard");
}

#[test]
fn a_listening_that_fails_gives_the_handover_up_and_another_one_follows() {
    let mut bench = Bench::new(scanning());
    bench.hold_at(0, -90.0);
    bench.events();
    assert_eq!(bench.commands(), [listen(20)]);
    bench.0.step_failed(at(210), "cannot tune");
    assert_eq!(
        bench.events(),
        [ended(1, Phase::LINK), failed(1, "cannot tune")]
    );
    bench.tuned(220, 20);
    assert_eq!(bench.0.poll_timeout(), Some(at(310)));
    bench.run_until(310);
    assert_eq!(bench.events(), left_without_link(2, "er1"));
    assert_eq!(
        bench.commands(),
        [Command::Retune { candidate: 0 }],
        "the old router is known, and the correspondents are on hold"
    );
}

#[test]
fn a_new_router_that_is_not_there_any_more_is_given_up_for_a_search() {
    let mut bench = Bench::new(two_routers());
    bench.hold_at(0, -90.0);
    bench.tuned(200, 20);
    bench.signal(250, 2, Some(-60.0));
    bench.0.link_ready(at(260));
    bench.commands();
    bench.events();
    bench.signal(3260, 2, None);
    let events = bench.events();
    assert_eq!(events[1], failed(1, "er2 lost"));
    assert_eq!(
        bench.commands(),
        [listen(15)],
        "what was heard of er1 is three seconds old"
    );
}
