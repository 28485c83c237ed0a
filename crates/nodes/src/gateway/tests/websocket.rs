//! Who asks over a WebSocket, beside who asks by HTTP.

use coap::message::option;
use coap::websocket::{PEER, Session};
use coap::{Endpoint, Event, Params};
use units::Seed;

use super::*;
use crate::web::Outside;

/// A client at the other end of a WebSocket without a network.
struct Client {
    outside: Outside,
    session: Session,
}

impl World {
    fn open(&mut self, id: u64) -> Client {
        let endpoint = Endpoint::new(Params::default(), &[], Seed(1).rng(&["client"]));
        let mut client = Client {
            outside: self.knocker.open(id),
            session: Session::new(self.now, endpoint),
        };
        self.cross(&mut client);
        client
    }

    /// Has everything arrive that was said.
    fn cross(&mut self, client: &mut Client) {
        loop {
            let said = client.session.poll_transmit(self.now);
            let is_said = said.is_some();
            said.into_iter().for_each(|said| client.outside.say(said));
            self.due();
            let told = client.outside.next();
            match told {
                Some(told) => client.session.handle_message(self.now, &told),
                None if is_said => {}
                None => return,
            }
        }
    }

    fn ask_over(&mut self, client: &mut Client, request: coap::Request) {
        let endpoint = client.session.endpoint();
        endpoint.request(self.now, PEER, Reliability::Confirmable, request);
        self.cross(client);
    }

    fn observe_over(&mut self, client: &mut Client) -> coap::RequestId {
        let endpoint = client.session.endpoint();
        let id = endpoint.observe(
            self.now,
            PEER,
            Reliability::Confirmable,
            of_mover(Code::GET),
        );
        self.cross(client);
        id
    }

    /// What the client has been told since.
    fn told(&mut self, client: &mut Client) -> Vec<(Code, String)> {
        self.cross(client);
        let mut told = Vec::new();
        while let Some(event) = client.session.poll_event() {
            let (Event::Response { response, .. } | Event::Notification { response, .. }) = event
            else {
                panic!("{event:?}");
            };
            let text = String::from_utf8(response.payload).unwrap();
            told.push((response.code, text));
        }
        told
    }
}

fn of_mover(method: Code) -> coap::Request {
    let mut request = coap::Request::new(method, "");
    request
        .options
        .push(option::PROXY_URI, "coap://[2001:db8::5]/light");
    request
}

fn content(text: &str) -> (Code, String) {
    (Code::CONTENT, text.to_owned())
}

#[test]
fn equal_requests_are_one_whether_by_http_or_by_coap() {
    let mut world = World::new();
    let mut get = world.get(MOVER);
    let (mut one, mut other) = (world.open(1), world.open(2));
    world.ask_over(&mut one, of_mover(Code::GET));
    world.ask_over(&mut other, of_mover(Code::GET));
    assert_eq!(world.node.asked.len(), 1);
    assert_eq!(world.node.asked[0].0, Target::Node(HOME));
    world.content(1, "on");
    assert_eq!(whole(&mut get), (200, "on".into()));
    assert_eq!(world.told(&mut one), [content("on")]);
    assert_eq!(world.told(&mut other), [content("on")]);
}

#[test]
fn the_message_id_of_what_a_node_said_is_told_by_both_ways() {
    let mut world = World::new();
    let mut get = world.get(MOVER);
    let mut client = world.open(1);
    world.ask_over(&mut client, of_mover(Code::GET));
    world.content(1, "on");
    let Ok(Answer::Whole(answer)) = get.try_recv() else {
        panic!("no answer");
    };
    let told = answer
        .headers
        .iter()
        .find(|(name, _)| name == behind::HEADER);
    assert_eq!(told.unwrap().1, MESSAGE_ID.to_string());
    world.cross(&mut client);
    let Some(Event::Response { response, .. }) = client.session.poll_event() else {
        panic!("no response");
    };
    assert_eq!(behind::message_id(&response), Some(MESSAGE_ID.into()));
    // Of a state, too; of what the gateway itself says there is none.
    let follows = world.follow(None);
    world.notified(2, "off");
    let told = stream(follows).waiting();
    assert!(told[0].contains("\"message_id\":4711"), "{told:?}");
    let mut refused = world.get("/hc/coap://%5Bff02::1%5D/light");
    let Ok(Answer::Whole(answer)) = refused.try_recv() else {
        panic!("no answer");
    };
    assert!(
        !answer
            .headers
            .iter()
            .any(|(name, _)| name == behind::HEADER)
    );
}

#[test]
fn during_a_hold_a_request_over_a_websocket_waits_as_long_as_one_by_http() {
    let mut world = World::new();
    let mut client = world.open(1);
    world.node.kept_back = Some(world.now);
    world.ask_over(&mut client, of_mover(Code::GET));
    world.ask_over(&mut client, of_mover(Code::PUT));
    world.pass(4);
    assert_eq!(world.told(&mut client), []);
    world.pass(5);
    let told = world.told(&mut client);
    assert_eq!((told.len(), told[0].0), (1, Code::SERVICE_UNAVAILABLE));
    // What may change something is waited for.
    world.content(2, "done");
    assert_eq!(world.told(&mut client), [content("done")]);
}

#[test]
fn what_http_and_coap_follow_is_observed_once_until_both_have_left() {
    let mut world = World::new();
    let (mut one, mut other) = (world.open(1), world.open(2));
    let stream = world.follow(None);
    let observed = world.observe_over(&mut one);
    assert_eq!(world.node.observed.len(), 1);
    world.notified(1, "a");
    let reader = super::stream(stream);
    world.pass(1);
    world.notified(1, "b");
    assert_eq!(values(&reader), ["a", "b"]);
    assert_eq!(world.told(&mut one), [content("a"), content("b")]);
    // Who comes later is told the last state, which is fresh.
    world.observe_over(&mut other);
    assert_eq!(world.told(&mut other), [content("b")]);
    assert_eq!(world.node.observed.len(), 1);
    drop(reader);
    world.due();
    one.session.endpoint().stop_observing(world.now, observed);
    world.cross(&mut one);
    // The GET that ends it is a request like any (RFC 7641 §3.6).
    world.content(2, "c");
    assert_eq!(world.told(&mut one), [content("c")]);
    assert_eq!(world.node.stopped, []);
    world.notified(1, "d");
    assert_eq!(world.told(&mut other), [content("d")]);
    assert_eq!(world.told(&mut one), []);
    other.outside.close();
    world.due();
    assert_eq!(world.node.stopped, [CallId(1)]);
}

#[test]
fn a_state_that_is_not_fresh_any_more_is_not_told_first() {
    let mut world = World::new();
    let (mut one, mut other) = (world.open(1), world.open(2));
    world.observe_over(&mut one);
    world.notified(1, "a");
    world.pass(60);
    world.observe_over(&mut other);
    assert_eq!(world.told(&mut other), []);
    world.notified(1, "b");
    assert_eq!(world.told(&mut other), [content("b")]);
}

/// What notifies more rarely than its states are fresh.
#[test]
fn who_has_no_fresh_state_for_long_enough_is_told_to_ask_again() {
    let mut world = World::new();
    let (mut one, mut other) = (world.open(1), world.open(2));
    let first = world.observe_over(&mut one);
    world.notified(1, "a");
    assert_eq!(world.told(&mut one), [content("a")]);
    world.pass(60);
    world.observe_over(&mut other);
    world.pass(64);
    assert_eq!(world.told(&mut other), []);
    world.pass(65);
    let told = world.told(&mut other);
    assert_eq!((told.len(), told[0].0), (1, Code::SERVICE_UNAVAILABLE));
    // Who is followed by nobody but one who waits in vain is left.
    world.observe_over(&mut other);
    one.session.endpoint().stop_observing(world.now, first);
    world.cross(&mut one);
    assert_eq!(world.node.stopped, []);
    world.pass(70);
    assert_eq!(world.told(&mut other)[0].0, Code::SERVICE_UNAVAILABLE);
    assert_eq!(world.node.stopped, [CallId(1)]);
}

/// RFC 8323 §5.5: a released connection ends when all is answered.
#[test]
fn a_connection_that_is_released_while_it_waits_for_a_fresh_state_ends() {
    let mut world = World::new();
    let (mut one, mut other) = (world.open(1), world.open(2));
    world.observe_over(&mut one);
    world.notified(1, "a");
    world.pass(60);
    world.observe_over(&mut other);
    let release = coap::websocket::Frame::new(coap::websocket::signaling::RELEASE);
    other.outside.say(release.encode());
    world.due();
    assert!(!other.outside.is_over());
    world.pass(65);
    assert!(other.outside.is_over());
}

#[test]
fn an_observation_that_is_taken_back_during_a_hold_is_left_with_its_first_state() {
    let mut world = World::new();
    let client = world.open(1);
    world.node.kept_back = Some(world.now);
    let mut said = |observe: &[u8]| {
        let mut frame = coap::websocket::Frame::new(Code::GET);
        frame.options = of_mover(Code::GET).options;
        frame.options.push(option::OBSERVE, observe);
        client.outside.say(frame.encode());
        world.due();
    };
    said(&[]);
    said(&[1]);
    world.notified(1, "a");
    assert_eq!(world.node.stopped, [CallId(1)]);
}

#[test]
fn when_the_scenario_is_over_all_who_follow_are_told_so() {
    let mut world = World::new();
    let mut client = world.open(1);
    let of_nodes = || coap::Request::new(Code::GET, "/nodes");
    let observe = |world: &mut World, client: &mut Client, request: coap::Request| {
        let endpoint = client.session.endpoint();
        endpoint.observe(world.now, PEER, Reliability::Confirmable, request);
        world.cross(client);
    };
    observe(&mut world, &mut client, of_nodes());
    assert_eq!(world.told(&mut client)[0].0, Code::CONTENT);
    // Its first state comes afterwards.
    observe(&mut world, &mut client, of_mover(Code::GET));
    world.gateway.drain(world.now, &mut world.node);
    let told = world.told(&mut client);
    assert_eq!((told.len(), told[0].0), (1, Code::SERVICE_UNAVAILABLE));
    world.notified(1, "a");
    let told = world.told(&mut client);
    assert_eq!(told[0], content("a"));
    assert_eq!((told.len(), told[1].0), (2, Code::SERVICE_UNAVAILABLE));
    assert_eq!(world.node.stopped, [CallId(1)]);
    observe(&mut world, &mut client, of_nodes());
    assert_eq!(world.told(&mut client)[0].0, Code::SERVICE_UNAVAILABLE);
    let mut by_http = world.ask(Request {
        follows: true,
        ..request(Method::GET, "/nodes")
    });
    assert_eq!(whole(&mut by_http).0, 503);
    assert_eq!(whole(&mut world.get("/nodes")).0, 200);
}

#[test]
fn who_observes_over_a_websocket_is_told_why_it_ends() {
    let mut world = World::new();
    let mut client = world.open(1);
    world.observe_over(&mut client);
    world.notified(1, "a");
    world.outcome(1, Outcome::Failed(CallFailure::Exchange(Failure::Timeout)));
    let told = world.told(&mut client);
    assert_eq!(told[0], content("a"));
    assert_eq!((told.len(), told[1].0), (2, Code::new(5, 4)));
    world.observe_over(&mut client);
    world.notified(2, "b");
    world.gateway.drain(world.now, &mut world.node);
    let told = world.told(&mut client);
    assert_eq!((told.len(), told[1].0), (2, Code::SERVICE_UNAVAILABLE));
    assert!(!client.outside.is_over());
}

#[test]
fn one_connection_has_so_many_requests_open_and_no_more() {
    let mut world = World::new();
    let mut client = world.open(1);
    for _ in 0..70 {
        world.ask_over(&mut client, of_mover(Code::GET));
    }
    let told = world.told(&mut client);
    assert_eq!(told.len(), 6);
    assert!(
        told.iter()
            .all(|(code, _)| *code == Code::SERVICE_UNAVAILABLE)
    );
    world.content(1, "on");
    assert_eq!(world.told(&mut client).len(), 64);
    world.ask_over(&mut client, of_mover(Code::GET));
    world.content(2, "off");
    assert_eq!(world.told(&mut client), [content("off")]);
}

#[test]
fn who_has_left_is_not_waited_for_and_what_he_asked_goes_on() {
    let mut world = World::new();
    let mut client = world.open(1);
    world.ask_over(&mut client, of_mover(Code::GET));
    client.outside.close();
    world.due();
    let mut get = world.get(MOVER);
    assert_eq!(world.gateway.calls[&CallId(1)].waiting.len(), 1);
    world.content(1, "on");
    assert_eq!(whole(&mut get), (200, "on".into()));
}

/// RFC 8323 §5.4: nobody stays for ever who is not there.
#[test]
fn who_is_silent_is_let_go() {
    let mut world = World::new();
    let mut client = world.open(1);
    for seconds in 1..200 {
        world.pass(seconds);
        while client.outside.next().is_some() {}
    }
    assert!(client.outside.is_over());
    assert_eq!(world.gateway.poll_timeout(Reach::FULL), None);
    world.cross(&mut client);
}

#[test]
fn the_gateway_says_what_it_has() {
    let mut world = World::new();
    let mut client = world.open(1);
    world.ask_over(
        &mut client,
        coap::Request::new(Code::GET, link::WELL_KNOWN_CORE),
    );
    assert_eq!(world.told(&mut client), [content("</nodes>;ct=50;obs")]);
    world.ask_over(&mut client, coap::Request::new(Code::GET, "/light"));
    assert_eq!(world.told(&mut client)[0].0, Code::NOT_FOUND);
}
