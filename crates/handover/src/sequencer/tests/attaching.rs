//! The first attachment.

use super::scan::{listen, scanning};
use super::*;

#[test]
fn a_node_that_attaches_scans_if_it_hears_nothing_of_its_router() {
    let mut bench = Bench::of(Sequencer::attaching(scanning()));
    assert!(bench.0.is_attaching() && !bench.0.in_progress());
    bench.signal(1500, 1, None);
    assert_eq!(bench.commands(), [listen(20)]);
    bench.tuned(1500, 20);
    bench.run_until(2000);
    assert_eq!(bench.commands(), [listen(25)]);
    bench.tuned(2000, 25);
    bench.signal(2100, 3, Some(-80.0));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 2 }]);
    bench.attached(2105);
    assert!(bench.0.is_attaching(), "that was the router it has left");
    bench.0.link_ready(at(2110));
    assert_eq!(bench.commands(), [Command::Solicit]);
    assert_eq!(bench.0.serving(), 2);
    bench.no_events();
    bench.attached(2500);
    assert!(!bench.0.is_attaching());
    bench.signal(3000, 3, Some(-90.0));
    assert_eq!(
        bench.events(),
        [started(1, Phase::TRIGGER)],
        "now it hands over"
    );
}

#[test]
fn a_router_that_vanishes_on_the_way_to_it_is_not_attached_to() {
    let mut bench = Bench::of(Sequencer::attaching(scanning()));
    bench.signal(1500, 1, None);
    bench.tuned(1500, 20);
    bench.signal(1600, 2, Some(-80.0));
    bench.commands();
    bench.signal(1610, 2, None);
    assert_eq!(bench.commands(), [listen(25)]);
    bench.0.link_ready(at(1620));
    assert!(bench.0.is_attaching());
    assert_eq!(bench.0.serving(), 0, "the link is late");
}

#[test]
fn a_node_that_hears_all_channels_attaches_to_the_strongest_when_its_own_is_not_heard() {
    let mut bench = Bench::of(Sequencer::attaching(config()));
    bench.signal(0, 2, Some(-80.0));
    bench.signal(0, 3, Some(-70.0));
    assert_eq!(bench.commands(), [], "its own may be there");
    bench.signal(0, 1, None);
    assert_eq!(bench.commands(), [Command::Retune { candidate: 2 }]);
    bench.0.link_ready(at(10));
    assert_eq!(bench.commands(), [Command::Solicit]);

    let mut bench = Bench::of(Sequencer::attaching(config()));
    bench.signal(0, 1, None);
    bench.signal(0, 1, Some(-80.0));
    assert_eq!(bench.commands(), [], "it was heard after all");
    bench.signal(0, 1, None);
    bench.signal(0, 2, Some(-80.0));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
}

#[test]
fn a_node_registered_without_a_link_hands_over_at_once() {
    let mut bench = Bench::of(Sequencer::attaching(config()));
    bench.signal(0, 1, None);
    bench.attached(10);
    assert_eq!(bench.events(), left_without_link(1, "er1"));
    bench.signal(20, 2, Some(-80.0));
    assert_eq!(bench.commands(), [Command::Retune { candidate: 1 }]);
}
