//! What a server does upon a registration, and at its times.

use coap::Code;
use lwm2m::server::{Config, Event, Failure, Operation, Outcome, Poll, Scripted};
use service::Service as _;
use units::SimTime;

use crate::support::{Reply, World, path, secs};

fn discover(text: &str) -> Operation {
    Operation::Discover { path: path(text) }
}

fn poll(endpoint: &str, text: &str, first: u64, every: u64, times: Option<u64>) -> Poll {
    Poll {
        endpoint: endpoint.to_owned(),
        operation: discover(text),
        first: secs(first),
        every: secs(every),
        times,
    }
}

#[test]
fn upon_a_registration_operations_go_in_order_each_after_the_answer() {
    let scripted = |endpoint: Option<&str>, text| Scripted {
        endpoint: endpoint.map(str::to_owned),
        operation: discover(text),
    };
    let mut world = World::new(Config {
        upon_registration: vec![
            scripted(None, "/1"),
            scripted(Some("b"), "/2"),
            scripted(None, "/3"),
        ],
        ..Config::default()
    });
    world.answers(1, |_| Reply::Nothing);
    world.register(1, "a", &[]);
    world.register(2, "b", &[]);
    assert_eq!(world.asked_paths(2), ["/1", "/2", "/3"]);
    // The first one of the other client has not been answered.
    world.pass(secs(10));
    assert_eq!(world.asked_paths(1), ["/1"]);
    // An operation by hand does not wait for the script.
    world.operate("a", discover("/9"));
    assert_eq!(world.asked_paths(1), ["/9"]);
    world.pass(secs(90));
    assert_eq!(world.asked_paths(1), ["/3"]);
}

#[test]
fn polls_of_one_instant_go_in_their_order_each_after_the_answer() {
    let mut world = World::new(Config {
        polls: vec![
            poll("a", "/3", 10, 20, Some(3)),
            poll("a", "/1", 10, 20, Some(2)),
            poll("a", "/2", 30, 0, None),
        ],
        ..Config::default()
    });
    world.register(1, "a", &[]);
    world.pass(secs(10));
    assert_eq!(world.asked_paths(1), ["/3", "/1"]);
    world.pass(secs(19));
    assert!(world.asked(1).is_empty());
    world.pass(secs(1));
    assert_eq!(world.asked_paths(1), ["/3", "/1", "/2"]);
    world.pass(secs(1000));
    assert_eq!(world.asked_paths(1), ["/3"]);
    assert_eq!(world.server.tally().answered, 6);
}

#[test]
fn polls_do_not_drift_and_those_that_were_missed_are_one() {
    let mut world = World::new(Config {
        polls: vec![poll("a", "/3", 10, 10, None)],
        ..Config::default()
    });
    world.register(1, "a", &["b=UQ"]);
    world.pass(secs(9));
    // The node could ask nobody for a while.
    world.now = SimTime::ZERO + secs(35);
    world.pass(secs(0));
    assert_eq!(world.asked_paths(1).len(), 1);
    world.pass(secs(5));
    assert_eq!(world.asked_paths(1).len(), 1);
}

#[test]
fn a_poll_of_nobody_fails() {
    let mut world = World::new(Config {
        polls: vec![poll("a", "/3", 10, 0, None)],
        ..Config::default()
    });
    world.pass(secs(10));
    let events = world.take_events();
    let failed = Outcome::Failed(Failure::NotRegistered);
    assert!(matches!(&events[..], [Event::Done { outcome, .. }] if *outcome == failed));
}

#[test]
fn a_client_that_does_not_keep_up_has_so_many_polls_waiting() {
    let mut world = World::new(Config {
        polls: vec![poll("a", "/3", 0, 1, None)],
        max_queue: 4,
        ..Config::default()
    });
    world.answers(1, |_| Reply::Nothing);
    world.register(1, "a", &[]);
    world.pass(secs(50));
    let full = Outcome::Failed(Failure::QueueFull);
    let refused = world
        .events
        .iter()
        .filter(|event| matches!(event, Event::Done { outcome, .. } if *outcome == full));
    // One is under way and four wait, since the second 0 to 4.
    assert_eq!(refused.count(), 51 - 5);
}

#[test]
fn a_drained_server_does_no_more() {
    let mut world = World::new(Config {
        polls: vec![poll("a", "/3", 10, 10, None)],
        ..Config::default()
    });
    world.register(1, "a", &["b=UQ"]);
    world.pass(secs(15));
    world.asked(1);
    world.client(1).asleep = true;
    let under_way = world.operate("a", discover("/4"));
    let waits = world.operate("a", discover("/5"));
    let now = world.now;
    world.server.drain(now, &mut world.endpoint);
    world.settle();
    let ended = Some(Outcome::Failed(Failure::Ended));
    assert_eq!(
        (world.done(under_way), world.done(waits)),
        (None, ended.clone())
    );
    assert!(!world.server.is_drained());
    world.pass(secs(100));
    assert!(world.server.is_drained());
    assert!(world.done(under_way).is_some());
    assert_eq!(world.server.open(), (0, 0));
    assert_eq!(world.server.tally().failed, 1);
    world.client(1).asleep = false;
    // It is still a server.
    assert_eq!(
        world.ask(1, coap::Request::new(Code::GET, "/rd")).code,
        Code::METHOD_NOT_ALLOWED
    );
    let by_hand = world.operate("a", discover("/6"));
    assert_eq!(world.done(by_hand), ended);
    assert!(world.asked(1).is_empty());
}
