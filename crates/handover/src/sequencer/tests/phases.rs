//! Phases that a mobility protocol has, whatever they are called.

use super::*;
use crate::mobility::{Mobility, NoMobility};

const HOME: Phase = Phase::named("home_registration");
const ROUTABILITY: Phase = Phase::named("return_routability");
const CORRESPONDENTS: Phase = Phase::named("correspondent_registration");

/// At er2 with an address, and nothing prepared: what follows is the protocol's.
fn binding(config: Config) -> Sequencer {
    let mut bench = Bench::new(config);
    bench.decide_for_er2(0);
    let mut node = bench.0;
    node.handle_step(at(200), Step::PhaseEnded(Phase::HOLD));
    node.handle_step(at(200), Step::Prepared);
    node.link_ready(at(210));
    node.router_advertised(at(220));
    node.address_acquired(at(230), T2);
    events(&mut node);
    node
}

fn events(node: &mut Sequencer) -> Vec<Event> {
    std::iter::from_fn(|| node.poll_event()).collect()
}

fn bound() -> Step {
    Step::Bound { address: T2 }
}

#[test]
fn several_phases_may_follow_an_address_and_overlap() {
    let mut node = binding(config());
    for step in [
        Step::PhaseStarted(HOME),
        Step::PhaseStarted(ROUTABILITY),
        Step::PhaseEnded(HOME),
        Step::PhaseEnded(ROUTABILITY),
        Step::PhaseStarted(CORRESPONDENTS),
        Step::PhaseEnded(CORRESPONDENTS),
        bound(),
    ] {
        node.handle_step(at(240), step);
    }
    assert_eq!(
        events(&mut node),
        [
            started(1, HOME),
            started(1, ROUTABILITY),
            ended(1, HOME),
            ended(1, ROUTABILITY),
            started(1, CORRESPONDENTS),
            ended(1, CORRESPONDENTS),
            completed(1, "er2", T2),
            started(1, Phase::RESUME),
        ]
    );
}

#[test]
fn a_protocol_that_tells_nobody_has_no_phase_and_costs_no_event() {
    let mut bench = Bench::without_hold(config());
    let mut protocol = NoMobility::new();
    bench.decide_for_er2(0);
    bench.arrive(300, T2);
    let mut node = bench.0;
    let mut commands = Vec::new();
    while let Some(command) = node.poll_command() {
        if let Command::Bind { address } = command {
            protocol.bind(at(300), address);
        }
        commands.push(command);
    }
    assert_eq!(commands.last(), Some(&Command::Bind { address: T2 }));
    events(&mut node);
    while let Some(step) = protocol.poll_step() {
        node.handle_step(at(300), step);
    }
    assert_eq!(
        events(&mut node),
        [completed(1, "er2", T2), started(1, Phase::RESUME)]
    );
}

#[test]
fn a_phase_that_is_open_when_the_node_is_bound_ends_with_the_next_handover_at_the_latest() {
    for ends_by_itself in [true, false] {
        let mut node = binding(config());
        for step in [
            Step::PhaseStarted(HOME),
            Step::PhaseEnded(HOME),
            Step::PhaseStarted(ROUTABILITY),
            bound(),
        ] {
            node.handle_step(at(240), step);
        }
        node.first_request(at(250));
        events(&mut node);
        if ends_by_itself {
            node.handle_step(at(260), Step::PhaseEnded(ROUTABILITY));
            assert_eq!(events(&mut node), [ended(1, ROUTABILITY)]);
            continue;
        }
        let er2 = config().candidates[1].clone();
        node.handle_signal(at(270), signal_of(&er2, None));
        assert_eq!(
            events(&mut node),
            [
                started(2, Phase::TRIGGER),
                ended(1, ROUTABILITY),
                ended(2, Phase::TRIGGER),
                began(2, "er2", Reason::LinkLost),
                started(2, Phase::LINK),
            ]
        );
    }
}

#[test]
fn a_step_that_fails_ends_the_phases_that_the_protocol_left_open() {
    let mut node = binding(config());
    node.handle_step(at(240), Step::PhaseStarted(HOME));
    node.handle_step(at(240), Step::PhaseStarted(ROUTABILITY));
    events(&mut node);
    let reason = "home agent: status 129".to_owned();
    let failure = Step::Failed { reason };
    node.handle_step(at(250), failure.clone());
    assert_eq!(
        events(&mut node),
        [
            ended(1, HOME),
            ended(1, ROUTABILITY),
            failed(1, "home agent: status 129")
        ]
    );
    node.handle_step(at(251), failure);
    node.handle_step(at(251), Step::PhaseEnded(HOME));
    node.handle_step(at(251), bound());
    assert_eq!(events(&mut node), [], "all late");
}

#[test]
fn what_the_protocol_does_outside_a_handover_is_no_part_of_one() {
    let mut bench = Bench::new(config());
    let reason = "no answer".to_owned();
    bench.steps(
        0,
        [
            Step::PhaseStarted(Phase::BINDING),
            Step::PhaseEnded(Phase::BINDING),
            Step::Bound { address: T1 },
            Step::Failed { reason },
            Step::SleepAnnounced,
        ],
    );
    assert_eq!(bench.events(), []);
    bench.decide_for_er2(0);
    bench.prepared(210);
    bench.events();
    let reason = "an update from before".to_owned();
    bench.steps(
        220,
        [Step::Failed { reason }, Step::PhaseStarted(Phase::BINDING)],
    );
    assert_eq!(bench.events(), [], "the node is on its way");
    bench.arrive(230, T2);
    bench.events();
    bench.steps(240, [Step::Bound { address: T1 }]);
    assert_eq!(bench.events(), [], "that was the old address");
}

#[test]
fn a_phase_that_begins_twice_is_one() {
    let mut node = binding(config());
    for step in [
        Step::PhaseStarted(HOME),
        Step::PhaseStarted(HOME),
        Step::PhaseEnded(HOME),
        Step::PhaseEnded(HOME),
    ] {
        node.handle_step(at(240), step);
    }
    assert_eq!(events(&mut node), [started(1, HOME), ended(1, HOME)]);
}
