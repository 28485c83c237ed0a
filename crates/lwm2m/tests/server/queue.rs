//! Queue mode (LwM2M 1.1 Transport §6.6; Leshan issue 712, OMA issues 115, 554).

use coap::{Code, Failure as Exchange, Request, Response};
use lwm2m::server::{Config, Failure, Operation, Outcome};
use service::CallFailure;

use crate::support::{Reply, World, at, path, secs};

fn execute(id: u16) -> Operation {
    Operation::Execute {
        path: path(&format!("/3/0/{id}")),
        arguments: String::new(),
    }
}

fn queued(config: Config, queries: &[&str]) -> (World, String) {
    let mut world = World::new(config);
    let place = world.register(1, "a", queries);
    (world, place)
}

fn update(place: &str) -> Request {
    Request::new(Code::POST, place)
}

fn sleep(world: &mut World) {
    world.pass(secs(100));
    world.client(1).asleep = true;
}

fn wake(world: &mut World, place: &str) {
    world.client(1).asleep = false;
    assert_eq!(world.ask(1, update(place)).code, Code::CHANGED);
}

#[test]
fn nothing_is_sent_to_a_client_that_sleeps_and_all_in_order_when_it_wakes() {
    for queries in [&["b=UQ"][..], &["lwm2m=1.1", "Q"]] {
        let (mut world, place) = queued(Config::default(), queries);
        sleep(&mut world);
        let ids = [1, 2, 3].map(|id| world.operate("a", execute(id)));
        world.pass(secs(1000));
        let known = world.server.registration("a").unwrap();
        assert_eq!(
            (known.queue_length(), known.is_awake(world.now)),
            (3, false)
        );
        assert!(ids.iter().all(|id| world.done(*id).is_none()));
        assert!(world.asked(1).is_empty());
        wake(&mut world, &place);
        assert_eq!(world.asked_paths(1), ["/3/0/1", "/3/0/2", "/3/0/3"]);
        let success = Some(Outcome::Success(Code::CHANGED));
        assert!(ids.iter().all(|id| world.done(*id) == success));
        let known = world.server.registration("a").unwrap();
        assert_eq!((known.queue_length(), known.is_awake(world.now)), (0, true));
    }
}

#[test]
fn one_operation_is_under_way_and_the_next_goes_when_it_is_answered() {
    let (mut world, _) = queued(Config::default(), &["b=UQ"]);
    world.answers(1, |_| Reply::Nothing);
    for id in [1, 2] {
        world.operate("a", execute(id));
    }
    world.pass(secs(10));
    assert_eq!(world.asked_paths(1), ["/3/0/1"]);
    world.answers(1, |_| Reply::With(Response::new(Code::CHANGED)));
    // Acknowledged, and not answered: that is its outcome, and the next one follows when the client is heard.
    world.pass(secs(93));
    let place = world.server.registration("a").unwrap().id;
    wake(&mut world, &format!("/rd/{place}"));
    assert_eq!(world.asked_paths(1), ["/3/0/2"]);
}

#[test]
fn a_client_is_awake_for_93_s_after_each_message_answers_included() {
    let (mut world, _) = queued(Config::default(), &["b=UQ"]);
    let mut last = world.now;
    for id in 0..4 {
        world.pass(secs(92));
        let known = world.server.registration("a").unwrap();
        assert_eq!(known.awake_until, last + secs(93));
        world.operate("a", execute(id));
        assert_eq!(world.asked_paths(1).len(), 1);
        last = world.now;
    }
    world.pass(secs(93));
    world.operate("a", execute(9));
    assert!(world.asked(1).is_empty());
}

#[test]
fn what_times_out_stays_at_the_head_until_the_client_is_heard() {
    let (mut world, place) = queued(Config::default(), &["b=UQ"]);
    world.client(1).asleep = true;
    let ids = [1, 2].map(|id| world.operate("a", execute(id)));
    world.pass(secs(300));
    assert!(ids.iter().all(|id| world.done(*id).is_none()));
    let known = world.server.registration("a").unwrap();
    assert_eq!(
        (known.queue_length(), known.is_awake(world.now)),
        (2, false)
    );
    wake(&mut world, &place);
    assert_eq!(world.asked_paths(1), ["/3/0/1", "/3/0/2"]);
    assert!(ids.iter().all(|id| world.done(*id).is_some()));
}

#[test]
fn a_client_that_was_heard_while_an_operation_timed_out_gets_it_at_once_again() {
    let (mut world, place) = queued(Config::default(), &["b=UQ"]);
    world.client(1).asleep = true;
    let id = world.operate("a", execute(1));
    // Given up at 62 s, and heard between the last retransmission and that.
    world.pass(secs(50));
    wake(&mut world, &place);
    assert_eq!(world.done(id), None);
    world.pass(secs(13));
    assert_eq!(world.done(id), Some(Outcome::Success(Code::CHANGED)));
}

#[test]
fn a_queue_is_so_long_and_waits_so_long() {
    let config = Config {
        max_queue: 2,
        queue_expiry: secs(1000),
        ..Config::default()
    };
    let (mut world, place) = queued(config, &["b=UQ"]);
    sleep(&mut world);
    let first = world.operate("a", execute(1));
    world.pass(secs(500));
    let second = world.operate("a", execute(2));
    let third = world.operate("a", execute(3));
    assert_eq!(world.done(third), Some(Outcome::Failed(Failure::QueueFull)));
    world.pass(secs(501));
    assert_eq!(world.done(first), Some(Outcome::Failed(Failure::Expired)));
    wake(&mut world, &place);
    assert_eq!(world.asked_paths(1), ["/3/0/2"]);
    assert_eq!(world.done(second), Some(Outcome::Success(Code::CHANGED)));
}

#[test]
fn what_is_under_way_when_its_time_is_over_may_still_be_answered() {
    let config = Config {
        queue_expiry: secs(10),
        ..Config::default()
    };
    let (mut world, _) = queued(config, &["b=UQ"]);
    world.client(1).asleep = true;
    let id = world.operate("a", execute(1));
    world.pass(secs(11));
    assert_eq!(world.done(id), None);
    world.client(1).asleep = false;
    world.pass(secs(20));
    assert_eq!(world.done(id), Some(Outcome::Success(Code::CHANGED)));
    // And if it is not, it is over.
    world.client(1).asleep = true;
    let id = world.operate("a", execute(1));
    world.pass(secs(63));
    assert_eq!(world.done(id), Some(Outcome::Failed(Failure::Expired)));
}

#[test]
fn a_queue_outlives_another_registration_of_its_endpoint() {
    let (mut world, _) = queued(Config::default(), &["b=UQ"]);
    sleep(&mut world);
    let id = world.operate("a", execute(1));
    world.client(1).asleep = false;
    world.client(1).address = at(5);
    world.register(1, "a", &["b=UQ"]);
    assert_eq!(world.done(id), Some(Outcome::Success(Code::CHANGED)));
}

#[test]
fn a_client_that_leaves_queue_mode_gets_what_waits_at_once() {
    for again in [false, true] {
        let (mut world, place) = queued(Config::default(), &["b=UQ"]);
        sleep(&mut world);
        let ids = [1, 2, 3].map(|id| world.operate("a", execute(id)));
        world.client(1).asleep = false;
        if again {
            world.register(1, "a", &["b=U"]);
        } else {
            let mut update = update(&place);
            (update.options).push(coap::message::option::URI_QUERY, "b=U");
            world.ask(1, update);
        }
        assert_eq!(world.asked_paths(1), ["/3/0/1", "/3/0/2", "/3/0/3"]);
        assert!(ids.iter().all(|id| world.done(*id).is_some()));
        assert_eq!(world.server.registration("a").unwrap().queue_length(), 0);
    }
}

#[test]
fn what_waits_fails_when_the_registration_ends() {
    let (mut world, place) = queued(Config::default(), &["b=UQ", "lt=200"]);
    sleep(&mut world);
    let id = world.operate("a", execute(1));
    world.pass(secs(200));
    assert_eq!(
        world.done(id),
        Some(Outcome::Failed(Failure::RegistrationEnded))
    );
    assert_eq!(world.server.open(), (0, 0));
    world.client(1).asleep = false;
    assert_eq!(world.ask(1, update(&place)).code, Code::NOT_FOUND);
}

#[test]
fn without_queue_mode_a_time_out_is_the_outcome() {
    let (mut world, _) = queued(Config::default(), &[]);
    world.client(1).asleep = true;
    let id = world.operate("a", execute(1));
    world.pass(secs(63));
    let timeout = Failure::Call(CallFailure::Exchange(Exchange::Timeout));
    assert_eq!(world.done(id), Some(Outcome::Failed(timeout)));
}

#[test]
fn what_is_not_confirmable_and_finds_no_answer_stays_at_the_head_too() {
    let config = Config {
        reliability: coap::Reliability::NonConfirmable,
        ..Config::default()
    };
    let (mut world, place) = queued(config, &["b=UQ"]);
    world.client(1).asleep = true;
    let id = world.operate("a", execute(1));
    world.pass(secs(200));
    assert_eq!(world.done(id), None);
    wake(&mut world, &place);
    assert_eq!(world.done(id), Some(Outcome::Success(Code::CHANGED)));
}
