//! Handovers as exact sequences of commands, events and phases.

use super::*;
use crate::mobility::Step;

use bench::*;

mod attaching;
mod bench;
mod early;
mod phases;
mod scan;
mod world;

#[test]
fn a_whole_handover_with_hold_and_duplicate_address_detection_in_order() {
    let mut bench = Bench::new(Config {
        dad: true,
        ..config()
    });
    bench.signal(0, 1, Some(-70.0));
    bench.signal(0, 2, Some(-80.0));
    assert_eq!(bench.0.poll_timeout(), None, "a good signal costs no timer");

    bench.signal(1000, 2, Some(-60.0));
    bench.signal(1000, 1, Some(-86.0));
    assert_eq!(bench.events(), [started(1, Phase::TRIGGER)]);
    assert_eq!(
        bench.0.poll_timeout(),
        Some(at(1200)),
        "the third of three samples"
    );
    bench.0.handle_timeout(at(1100));
    assert_eq!(bench.events(), [], "early is harmless");
    bench.0.handle_timeout(at(1200));
    assert_eq!(
        bench.events(),
        [
            ended(1, Phase::TRIGGER),
            began(1, "er1", Reason::Signal),
            started(1, Phase::HOLD)
        ]
    );
    assert_eq!(bench.commands(), [Command::Prepare]);
    assert_eq!(bench.0.poll_timeout(), None);

    bench.prepared(1210);
    assert_eq!(
        bench.events(),
        [ended(1, Phase::HOLD), started(1, Phase::LINK)]
    );
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
    bench.0.link_ready(at(1220));
    assert_eq!(
        bench.events(),
        [ended(1, Phase::LINK), started(1, Phase::MOVEMENT_DETECTION)]
    );
    assert_eq!(bench.commands(), [Command::Solicit]);
    bench.0.router_advertised(at(1230));
    assert_eq!(
        bench.events(),
        [
            ended(1, Phase::MOVEMENT_DETECTION),
            started(1, Phase::ADDRESS)
        ]
    );
    assert_eq!(bench.commands(), [Command::AcquireAddress]);
    bench.0.address_acquired(at(1240), T2);
    assert_eq!(
        bench.events(),
        [ended(1, Phase::ADDRESS), started(1, Phase::DAD)]
    );
    assert_eq!(bench.commands(), [Command::CheckAddress { address: T2 }]);
    bench.0.address_usable(at(1250), T1);
    assert_eq!(bench.events(), [], "another address was checked");
    bench.0.address_usable(at(2240), T2);
    assert_eq!(
        bench.events(),
        [ended(1, Phase::DAD), started(1, Phase::BINDING)]
    );
    assert_eq!(bench.commands(), [Command::Bind { address: T2 }]);
    bench.bound(2250);
    assert_eq!(
        bench.events(),
        [
            ended(1, Phase::BINDING),
            completed(1, "er2", T2),
            started(1, Phase::RESUME)
        ]
    );
    bench.0.first_request(at(2260));
    assert_eq!(bench.events(), [ended(1, Phase::RESUME)]);
    bench.0.first_request(at(2270));
    assert_eq!(bench.events(), []);
    assert_eq!(bench.commands(), []);
    assert_eq!(bench.0.serving(), 1);
    assert_eq!(bench.0.poll_timeout(), None);
}

#[test]
fn without_hold_and_dad_their_phases_and_commands_do_not_appear() {
    let mut bench = Bench::without_hold(config());
    bench.decide_for_er2(0);
    bench.arrive(300, T2);
    bench.bound(310);
    assert_eq!(
        bench.events(),
        [
            started(1, Phase::TRIGGER),
            ended(1, Phase::TRIGGER),
            began(1, "er1", Reason::Signal),
            started(1, Phase::LINK),
            ended(1, Phase::LINK),
            started(1, Phase::MOVEMENT_DETECTION),
            ended(1, Phase::MOVEMENT_DETECTION),
            started(1, Phase::ADDRESS),
            ended(1, Phase::ADDRESS),
            started(1, Phase::BINDING),
            ended(1, Phase::BINDING),
            completed(1, "er2", T2),
            started(1, Phase::RESUME),
        ]
    );
    assert_eq!(
        bench.commands(),
        [
            Command::Prepare,
            Command::Retune { candidate: 1 },
            Command::Solicit,
            Command::AcquireAddress,
            Command::Bind { address: T2 },
        ]
    );
}

#[test]
fn a_sleep_calls_the_trigger_off_and_it_is_sampled_anew_after_it() {
    for samples in [1, 2] {
        let mut bench = Bench::new(config());
        bench.signal(0, 2, Some(-60.0));
        bench.signal(0, 1, Some(-90.0));
        bench.0.asleep(at(50));
        assert_eq!(
            bench.events(),
            [started(1, Phase::TRIGGER), ended(1, Phase::TRIGGER)]
        );
        assert_eq!(bench.0.poll_timeout(), None);
        bench.0.config.trigger.samples = samples;

        let mut recovers = bench.clone();
        recovers.0.awake(at(4000));
        recovers.signal(4000, 1, Some(-60.0));
        recovers.0.handle_timeout(at(4500));
        assert_eq!(
            recovers.events(),
            [started(1, Phase::TRIGGER), ended(1, Phase::TRIGGER)]
        );
        assert_eq!(recovers.commands(), []);

        bench.0.awake(at(4000));
        assert_eq!(bench.0.poll_timeout(), Some(at(4100)));
        bench.0.handle_timeout(at(4100));
        assert_eq!(bench.commands(), [Command::Prepare]);
    }
}

#[test]
fn a_signal_that_recovers_before_the_last_sample_calls_the_trigger_off() {
    let mut bench = Bench::new(config());
    bench.signal(0, 2, Some(-60.0));
    bench.signal(0, 1, Some(-90.0));
    bench.signal(150, 1, Some(-80.0));
    assert_eq!(
        bench.events(),
        [started(1, Phase::TRIGGER), ended(1, Phase::TRIGGER)]
    );
    assert_eq!(bench.0.poll_timeout(), None);
    // The next one starts counting from its first sample and has the same number.
    bench.signal(160, 1, Some(-90.0));
    assert_eq!(bench.0.poll_timeout(), Some(at(360)));
    bench.run_until(360);
    assert_eq!(
        bench.events(),
        [
            started(1, Phase::TRIGGER),
            ended(1, Phase::TRIGGER),
            began(1, "er1", Reason::Signal),
            started(1, Phase::HOLD)
        ]
    );
}

#[test]
fn a_weak_signal_alone_does_not_trigger_and_arms_no_timer() {
    let mut bench = Bench::new(config());
    bench.signal(0, 1, Some(-95.0));
    bench.signal(0, 2, Some(-92.5));
    assert_eq!(
        bench.0.poll_timeout(),
        None,
        "2.5 dB better is within the hysteresis of 3 dB"
    );
    assert_eq!(bench.events(), []);
    bench.signal(10, 3, Some(-92.0));
    assert_eq!(bench.0.poll_timeout(), Some(at(210)), "er3 is 3 dB better");
}

#[test]
fn a_signal_at_the_threshold_is_not_under_it() {
    let mut bench = Bench::new(config());
    bench.signal(0, 2, Some(-60.0));
    bench.signal(0, 1, Some(-85.0));
    assert_eq!(bench.0.poll_timeout(), None);
}

#[test]
fn one_sample_decides_at_the_update_itself() {
    let mut config = config();
    config.trigger.samples = 1;
    let mut bench = Bench::new(config);
    bench.signal(0, 2, Some(-60.0));
    bench.signal(5, 1, Some(-90.0));
    assert_eq!(bench.commands(), [Command::Prepare]);
    assert_eq!(bench.0.poll_timeout(), None);
}

#[test]
fn a_lost_link_triggers_at_once_and_skips_the_hold() {
    let mut bench = Bench::new(config());
    bench.signal(0, 2, Some(-80.0));
    bench.signal(0, 3, Some(-75.0));
    bench.signal(10, 1, None);
    assert_eq!(bench.events(), left_without_link(1, "er1"));
    assert_eq!(
        bench.commands(),
        [Command::Retune { candidate: 2 }],
        "er3 is the stronger one"
    );
}

#[test]
fn a_link_lost_while_the_trigger_counts_does_not_wait_for_the_samples() {
    let mut bench = Bench::new(config());
    bench.signal(0, 2, Some(-60.0));
    bench.signal(0, 1, Some(-90.0));
    bench.signal(50, 1, None);
    assert_eq!(bench.events(), left_without_link(1, "er1"));
}

#[test]
fn without_any_signal_the_node_searches_until_one_appears() {
    let mut bench = Bench::new(config());
    bench.signal(0, 1, None);
    assert_eq!(bench.commands(), []);
    assert_eq!(bench.0.poll_timeout(), None, "searching costs no timer");
    bench.0.link_ready(at(10));
    assert_eq!(bench.commands(), [], "there is no link to be ready");
    bench.events();
    bench.signal(5000, 3, Some(-84.0));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 2 }]);
    assert_eq!(bench.events(), [], "the link phase is still on");
    bench.signal(5010, 2, Some(-50.0));
    assert_eq!(bench.commands(), [], "it goes where it started to go");
}

#[test]
fn the_old_router_is_taken_back_when_it_is_what_appears() {
    let mut bench = Bench::new(config());
    bench.signal(0, 1, None);
    bench.signal(100, 1, Some(-80.0));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 0 }]);
    bench.arrive(110, T1);
    bench.bound(120);
    let events = bench.events();
    assert!(events.contains(&completed(1, "er1", T1)), "{events:?}");
}

#[test]
fn losing_the_serving_router_ends_the_hold_unanswered() {
    let mut bench = Bench::new(config());
    bench.decide_for_er2(0);
    bench.events();
    assert_eq!(bench.commands(), [Command::Prepare]);
    bench.signal(210, 1, None);
    assert_eq!(
        bench.events(),
        [ended(1, Phase::HOLD), started(1, Phase::LINK)]
    );
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
    bench.prepared(220);
    assert_eq!(bench.events(), [], "the answer is late");
}

#[test]
fn a_failed_hold_does_not_keep_the_node_from_moving() {
    let mut bench = Bench::new(config());
    bench.decide_for_er2(0);
    bench.events();
    bench.commands();
    let reason = "hold: timeout".into();
    bench.steps(
        210,
        [Step::PhaseEnded(Phase::HOLD), Step::Failed { reason }],
    );
    assert_eq!(
        bench.events(),
        [ended(1, Phase::HOLD), started(1, Phase::LINK)]
    );
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
}

#[test]
fn the_best_candidate_after_the_hold_is_the_target() {
    let mut bench = Bench::new(config());
    bench.decide_for_er2(0);
    bench.commands();
    bench.signal(205, 2, Some(-84.0));
    bench.signal(206, 3, Some(-70.0));
    bench.prepared(210);
    assert_eq!(bench.commands(), [Command::Retune { candidate: 2 }]);
}

#[test]
fn candidates_that_vanish_during_the_hold_send_the_node_back_to_release_it() {
    let mut bench = Bench::new(config());
    bench.decide_for_er2(0);
    bench.commands();
    bench.signal(205, 2, None);
    bench.prepared(210);
    assert_eq!(bench.commands(), [Command::Retune { candidate: 0 }]);
    bench.arrive(220, T1);
    assert_eq!(
        bench.commands().last(),
        Some(&Command::Bind { address: T1 })
    );
}

/// INET's Mobile IPv6 registered care-of addresses that it had not checked. No protocol here is told of one before.
#[test]
fn inet_issues_1140_and_1141_no_address_is_bound_before_it_was_checked() {
    let mut bench = Bench::without_hold(Config {
        dad: true,
        ..config()
    });
    bench.decide_for_er2(0);
    bench.prepared(210);
    bench.0.link_ready(at(220));
    bench.0.router_advertised(at(230));
    bench.0.address_acquired(at(240), T2);
    assert_eq!(
        bench.commands().last(),
        Some(&Command::CheckAddress { address: T2 })
    );
    bench.0.handle_timeout(at(1230));
    assert_eq!(bench.commands(), []);
    bench.0.address_usable(at(1240), T2);
    assert_eq!(bench.commands(), [Command::Bind { address: T2 }]);
}

#[test]
fn losing_the_new_router_aborts_in_every_phase_and_restarts_towards_the_best() {
    for steps in 0..5 {
        let mut bench = Bench::new(Config {
            dad: true,
            ..config()
        });
        bench.signal(0, 3, Some(-88.0));
        bench.decide_for_er2(0);
        bench.prepared(210);
        let complete: [fn(&mut Sequencer); 4] = [
            |h| h.link_ready(at(220)),
            |h| h.router_advertised(at(230)),
            |h| h.address_acquired(at(240), T2),
            |h| h.address_usable(at(250), T2),
        ];
        for step in &complete[..steps] {
            step(&mut bench.0);
        }
        let phase = [
            Phase::LINK,
            Phase::MOVEMENT_DETECTION,
            Phase::ADDRESS,
            Phase::DAD,
            Phase::BINDING,
        ][steps]
            .clone();
        bench.events();
        assert!(!bench.commands().is_empty());
        bench.signal(300, 2, None);
        assert_eq!(
            bench.events(),
            [
                ended(1, phase),
                failed(1, "er2 lost"),
                started(2, Phase::TRIGGER),
                ended(2, Phase::TRIGGER),
                began(2, "er1", Reason::LinkLost),
                started(2, Phase::LINK),
            ]
        );
        assert_eq!(
            bench.commands(),
            [Command::Retune { candidate: 2 }],
            "-88 dBm beats -90 dBm"
        );
    }
}

#[test]
fn a_command_that_was_not_taken_is_withdrawn_by_an_abort() {
    let mut bench = Bench::without_hold(config());
    bench.decide_for_er2(0);
    bench.signal(210, 1, None);
    bench.signal(210, 2, None);
    let commands = bench.commands();
    assert_eq!(
        commands,
        [Command::Prepare],
        "nobody should retune to er2 now"
    );
}

#[test]
fn a_failed_step_gives_the_handover_up_and_tries_again_after_a_rest() {
    let mut bench = Bench::new(config());
    bench.decide_for_er2(0);
    bench.prepared(210);
    bench.0.link_ready(at(220));
    bench.events();
    bench.commands();
    bench.0.step_failed(at(3220), "no router advertisement");
    assert_eq!(
        bench.events(),
        [
            ended(1, Phase::MOVEMENT_DETECTION),
            failed(1, "no router advertisement")
        ]
    );
    assert_eq!(bench.0.poll_timeout(), Some(at(3320)));
    bench.signal(3250, 1, None);
    assert_eq!(bench.events(), [], "it has left er1 anyway");
    bench.run_until(3320);
    assert_eq!(bench.events(), left_without_link(2, "er1"));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
}

#[test]
fn a_request_that_is_faster_than_the_binding_makes_the_resume_phase_empty() {
    let mut bench = Bench::new(config());
    bench.decide_for_er2(0);
    bench.prepared(210);
    bench.0.first_request(at(215));
    bench.arrive(220, T2);
    bench.events();
    bench.0.first_request(at(230));
    bench.bound(240);
    assert_eq!(
        bench.events(),
        [
            ended(1, Phase::BINDING),
            completed(1, "er2", T2),
            started(1, Phase::RESUME),
            ended(1, Phase::RESUME)
        ]
    );
}

#[test]
fn an_open_resume_phase_ends_when_the_next_handover_starts() {
    let mut bench = Bench::new(config());
    bench.decide_for_er2(0);
    bench.prepared(210);
    bench.arrive(220, T2);
    bench.bound(230);
    bench.events();
    bench.signal(240, 2, None);
    assert_eq!(
        bench.events(),
        [
            started(2, Phase::TRIGGER),
            ended(1, Phase::RESUME),
            ended(2, Phase::TRIGGER),
            began(2, "er2", Reason::LinkLost),
            started(2, Phase::LINK),
        ]
    );
}

#[test]
fn a_condition_that_already_holds_at_the_new_router_counts_from_the_arrival() {
    let mut bench = Bench::new(config());
    bench.decide_for_er2(0);
    bench.prepared(210);
    bench.signal(215, 2, Some(-89.0));
    bench.signal(216, 1, Some(-50.0));
    bench.arrive(220, T2);
    bench.bound(230);
    assert_eq!(bench.0.poll_timeout(), Some(at(430)));
}

#[test]
fn completions_out_of_their_phase_are_ignored() {
    let mut bench = Bench::new(config());
    bench.attached(0);
    bench.prepared(0);
    bench.0.link_ready(at(0));
    bench.0.router_advertised(at(0));
    bench.0.address_acquired(at(0), T2);
    bench.0.address_usable(at(0), T2);
    bench.bound(0);
    bench.0.first_request(at(0));
    bench.0.step_failed(at(0), "nothing was asked");
    bench.0.handle_timeout(at(0));
    assert_eq!(bench.events(), []);
    assert_eq!(bench.commands(), []);
}

#[test]
fn signals_of_unknown_pans_are_ignored() {
    let mut bench = Bench::new(config());
    bench.signal(0, 1, Some(-90.0));
    let unknown = candidate("er9", 15, 9);
    for rssi in [Some(Dbm(-40.0)), None] {
        bench.0.handle_signal(at(0), signal_of(&unknown, rssi));
    }
    assert_eq!(bench.0.poll_timeout(), None);
    assert_eq!(bench.events(), []);
}

#[test]
fn ping_pong_works_any_number_of_times() {
    let mut bench = Bench::new(config());
    let (mut here, mut there) = (1, 2);
    for handover in 1..=50 {
        let ms = u64::from(handover) * 1000;
        bench.signal(ms, there, Some(-60.0));
        bench.signal(ms, here, Some(-90.0));
        bench.run_until(ms + 200);
        bench.prepared(ms + 210);
        let t_addr = if there == 2 { T2 } else { T1 };
        bench.arrive(ms + 220, t_addr);
        bench.bound(ms + 230);
        bench.0.first_request(at(ms + 240));
        let router = format!("er{there}");
        assert!(
            bench
                .events()
                .contains(&completed(handover, &router, t_addr)),
            "{handover}"
        );
        assert_eq!(
            bench.commands(),
            [
                Command::Prepare,
                Command::Retune {
                    candidate: there - 1
                },
                Command::Solicit,
                Command::AcquireAddress,
                Command::Bind { address: t_addr },
            ]
        );
        std::mem::swap(&mut here, &mut there);
    }
}
