//! Observe, Observe-Composite, Cancel (LwM2M 1.1 Core §6.4).

use coap::message::option;
use coap::{Code, Failure as Exchange, Request, Response};
use lwm2m::server::{Config, Event, Failure, Operation, OperationId, Outcome, ReadFormat};
use lwm2m::{Format, Record};
use service::{CallFailure, Service as _};

use crate::support::{Reply, World, at, content, float, path, secs};

fn observe(text: &str) -> Operation {
    Operation::Observe {
        path: path(text),
        format: None,
    }
}

fn cancel(text: &str) -> Operation {
    let paths = vec![path(text)];
    Operation::CancelObservation { paths }
}

/// A temperature as text, which does not get stale within a day.
fn temperature(text: &str) -> Response {
    let mut response = content(Format::Text, text.as_bytes());
    response.options.push_uint(option::MAX_AGE, 86_400);
    response
}

fn registered(queries: &[&str]) -> World {
    let mut world = World::new(Config {
        read_format: ReadFormat::Unsaid,
        ..Config::default()
    });
    world.answers(1, |_| Reply::Observed(temperature("21.5")));
    world.register(1, "a", queries);
    world
}

/// The client has another temperature, and says so.
fn notify(world: &mut World, text: &str) {
    let now = world.now;
    let endpoint = &mut world.client(1).endpoint;
    endpoint.notify(now, "/3303/0/5700", &temperature(text));
    world.settle();
}

fn notified(world: &mut World) -> Vec<Vec<Record>> {
    let events = world.take_events().into_iter();
    let states = events.filter_map(|event| match event {
        Event::Notified { content, .. } => Some(content.records.unwrap()),
        _ => None,
    });
    states.collect()
}

fn observe_options(world: &mut World) -> Vec<Option<u64>> {
    let asked = world.asked(1);
    let options = asked
        .iter()
        .map(|(request, _)| request.options.get_uint(option::OBSERVE));
    options.collect()
}

#[test]
fn an_observation_is_a_get_with_observe_0_and_its_first_state_is_the_outcome() {
    let mut world = registered(&[]);
    let outcome = world.outcome("a", observe("/3303/0/5700"));
    let Outcome::Content(content) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(content.records.unwrap(), [float("/3303/0/5700", 21.5)]);
    assert_eq!(observe_options(&mut world), [Some(0)]);
    for value in [22.0, 23.0] {
        notify(&mut world, &value.to_string());
        assert_eq!(notified(&mut world), [[float("/3303/0/5700", value)]]);
    }
    assert_eq!(world.server.open(), (0, 1));
}

#[test]
fn a_cancelled_observation_ends_by_observe_1_and_nothing_is_told_after_it() {
    let mut world = registered(&[]);
    world.operate("a", observe("/3303/0/5700"));
    let outcome = world.outcome("a", cancel("/3303/0/5700"));
    assert!(matches!(outcome, Outcome::Content(_)), "{outcome:?}");
    assert_eq!(observe_options(&mut world), [Some(0), Some(1)]);
    assert_eq!(world.server.open(), (0, 0));
    notify(&mut world, "22");
    assert_eq!(notified(&mut world).len(), 0);
    let again = world.outcome("a", cancel("/3303/0/5700"));
    assert_eq!(again, Outcome::Failed(Failure::NotObserved));
}

fn stop(world: &mut World, id: OperationId) {
    let now = world.now;
    world.server.stop_observing(now, id, &mut world.endpoint);
    world.settle();
}

#[test]
fn of_two_observations_of_a_path_the_one_that_is_named_ends() {
    let mut world = registered(&[]);
    let first = world.operate("a", observe("/3303/0/5700"));
    let second = world.operate("a", observe("/3303/0/5700"));
    stop(&mut world, second);
    assert_eq!(observe_options(&mut world), [Some(0), Some(0), Some(1)]);
    assert!(world.server.is_observing(first) && !world.server.is_observing(second));
    world.take_events();
    notify(&mut world, "22");
    let told = world.take_events();
    assert!(
        matches!(told.as_slice(), [Event::Notified { id, .. }] if *id == first),
        "{told:?}"
    );
    // Of what is no observation, or is none any more: nothing.
    stop(&mut world, second);
    stop(&mut world, OperationId(1_000));
    assert_eq!(observe_options(&mut world), []);
    assert_eq!(world.server.open(), (0, 1));
}

#[test]
fn an_observation_of_a_sleeper_ends_before_it_has_begun_or_with_its_next_notification() {
    let mut world = registered(&["b=UQ"]);
    let id = world.operate("a", observe("/3303/0/5700"));
    world.pass(secs(94));
    world.asked(1);
    stop(&mut world, id);
    assert_eq!(world.server.open(), (0, 0));
    assert_eq!(observe_options(&mut world), []);
    notify(&mut world, "22");
    assert_eq!(observe_options(&mut world), [Some(1)]);
    assert_eq!(notified(&mut world).len(), 0);
    world.pass(secs(94));
    let waits = world.operate("a", observe("/3303/0/5700"));
    assert!(world.server.is_open(waits));
    stop(&mut world, waits);
    assert!(!world.server.is_open(waits));
    let cancelled = Outcome::Failed(Failure::Call(CallFailure::Exchange(Exchange::Cancelled)));
    assert_eq!(world.done(waits), Some(cancelled));
    assert_eq!(observe_options(&mut world), []);
}

#[test]
fn a_client_that_does_not_notify_answers_as_to_a_read() {
    let mut world = registered(&[]);
    world.answers(1, |_| Reply::With(temperature("21.5")));
    let outcome = world.outcome("a", observe("/3303/0/5700"));
    assert!(matches!(outcome, Outcome::Content(_)));
    assert_eq!(world.server.open(), (0, 0));
}

#[test]
fn an_observation_that_the_client_ends_is_told() {
    let mut world = registered(&[]);
    world.operate("a", observe("/3303/0/5700"));
    let now = world.now;
    let gone = Response::new(Code::NOT_FOUND);
    world.client(1).endpoint.notify(now, "/3303/0/5700", &gone);
    world.settle();
    let ended = |event: Event| matches!(event, Event::ObservationEnded { reason, .. } if reason.contains("4.04"));
    assert_eq!(
        world
            .take_events()
            .into_iter()
            .filter(|e| ended(e.clone()))
            .count(),
        1
    );
    assert_eq!(world.server.open(), (0, 0));
}

#[test]
fn an_observation_goes_on_where_the_client_is_after_an_update() {
    let mut world = registered(&[]);
    let place = world.server.registration("a").unwrap().id;
    let id = world.operate("a", observe("/3303/0/5700"));
    world.asked(1);
    world.client(1).address = at(77);
    let update = Request::new(Code::POST, &format!("/rd/{place}"));
    world.ask(1, update);
    assert_eq!(observe_options(&mut world), [Some(0)]);
    let of_it = |event: &Event| matches!(event, Event::Notified { id: told, .. } if *told == id);
    assert_eq!(world.take_events().iter().filter(|e| of_it(e)).count(), 1);
    notify(&mut world, "22");
    assert_eq!(notified(&mut world).len(), 1);
    assert_eq!(world.server.open(), (0, 1));
}

#[test]
fn what_is_not_told_within_max_age_is_observed_again() {
    let mut world = registered(&[]);
    world.answers(1, |_| Reply::Observed(content(Format::Text, b"21.5")));
    world.operate("a", observe("/3303/0/5700"));
    world.asked(1);
    world.pass(secs(76));
    assert_eq!(observe_options(&mut world), [Some(0)]);
    assert_eq!(world.server.open(), (0, 1));
}

#[test]
fn observations_end_with_the_registration() {
    for deregisters in [true, false] {
        let mut world = registered(&[]);
        let place = world.server.registration("a").unwrap().id;
        world.operate("a", observe("/3303/0/5700"));
        world.take_events();
        match deregisters {
            true => {
                world.ask(1, Request::new(Code::DELETE, &format!("/rd/{place}")));
            }
            false => {
                world.register(1, "a", &[]);
            }
        }
        let ended = |event: &Event| matches!(event, Event::ObservationEnded { .. });
        assert_eq!(world.take_events().iter().filter(|e| ended(e)).count(), 1);
        assert_eq!(world.server.open(), (0, 0));
        // The client notifies even so, and is told to stop.
        world.asked(1);
        notify(&mut world, "22");
        assert_eq!(observe_options(&mut world), [Some(1)]);
        assert_eq!(notified(&mut world).len(), 0);
    }
}

#[test]
fn a_drained_server_ends_its_observations() {
    let mut world = registered(&[]);
    world.operate("a", observe("/3303/0/5700"));
    world.asked(1);
    let now = world.now;
    world.server.drain(now, &mut world.endpoint);
    world.settle();
    assert_eq!(observe_options(&mut world), [Some(1)]);
    assert!(world.server.is_drained());
    assert_eq!(world.server.open(), (0, 0));
    assert_eq!(world.endpoint.outstanding(), 0);
    assert_eq!(world.server.tally().answered, 1);
}

/// The first of these was found by `scale::whatever_comes_every_operation_ends_once`.
#[test]
fn what_is_under_way_when_the_client_registers_again_is_not_sent_twice() {
    let mut world = registered(&[]);
    world.answers(1, |_| Reply::Nothing);
    let id = world.operate("a", observe("/3303/0/5700"));
    world.register(1, "a", &[]);
    world.register(1, "a", &[]);
    assert_eq!(world.asked(1).len(), 1);
    world.pass(secs(100));
    assert!(matches!(world.done(id), Some(Outcome::Failed(_))));
    assert_eq!(world.server.open(), (0, 0));
}
