//! Whom a node asks and by what: nodes wherever they move, addresses as they are, any method.

use crate::support::*;
use coap::message::option;
use coap::{Code, Failure, NoResponse, Reliability, Request, Response};
use comp::client::{self, CallFailure, CallId, Outcome, Target};
use comp::node;
use handover::Mobility;
use service::requester::{Ask, Poll, Requester, Timing};
use service::{Reach, Report, Services};
use units::{Seed, SimTime};

const CON: Reliability = Reliability::Confirmable;

/// Another client, which answers `/clock` and stays where it is.
fn fixed() -> Target {
    Target::Address(socket(client_address(1)))
}

fn setup() -> Setup {
    Setup {
        clients: 2,
        ..Setup::default()
    }
}

/// Client 0 asks the fixed one for the time.
fn ask_fixed(net: &mut Net) -> CallId {
    let now = net.now;
    net.clients[0].ask(now, fixed(), CON, get("/clock"))
}

/// What became of the calls of client 0.
fn outcomes(net: &Net) -> Vec<(CallId, Outcome)> {
    let outcome = |event: &client::Event| match event {
        client::Event::Call { call, outcome } => Some((*call, outcome.clone())),
        _ => None,
    };
    let events = net.client_events.iter().filter(|(_, i, _)| *i == 0);
    events.filter_map(|(_, _, event)| outcome(event)).collect()
}

/// The calls of client 0 that were answered, and with what.
fn answers(net: &Net) -> Vec<(CallId, Vec<u8>)> {
    let answer = |(call, outcome)| match outcome {
        Outcome::Answered { response, .. } => Some((call, response.payload)),
        _ => None,
    };
    outcomes(net).into_iter().filter_map(answer).collect()
}

fn request(method: Code, payload: &[u8]) -> Request {
    let mut request = Request {
        payload: payload.to_vec(),
        ..Request::new(method, "/temperature")
    };
    request.options.push_uint(option::CONTENT_FORMAT, 42);
    request
}

#[test]
fn an_address_is_asked_without_the_wmms() {
    let mut net = Net::new(setup());
    net.cut = Box::new(|_, d| *d.to.ip() == W || *d.from.ip() == W);
    let call = ask_fixed(&mut net);
    net.run_until(100);
    assert_eq!(answers(&net), [(call, b"12:00".to_vec())]);
    assert!(net.sent.iter().all(|(_, d)| *d.to.ip() != W));
    assert_eq!(net.clients[0].client().lbc().iter().count(), 0);
    assert_eq!(net.clients[0].client().outstanding(), 0);
}

#[test]
fn what_is_given_up_ends_wherever_it_waits_and_an_address_is_forgotten() {
    let mut net = Net::new(setup());
    let now = net.now;
    net.cut = Box::new(|_, _| true);
    // One is on its way, one waits for its turn, one for its node to be found.
    let calls = [fixed(), fixed(), Target::Node(P)].map(|target| {
        let client = &mut net.clients[0];
        client.ask(now, target, CON, get("/clock"))
    });
    for call in calls {
        net.clients[0].stop_observing(now, call);
    }
    net.run_until(100);
    let cancelled = Outcome::Failed(CallFailure::Exchange(Failure::Cancelled));
    assert_eq!(outcomes(&net), calls.map(|call| (call, cancelled.clone())));
    assert_eq!(net.clients[0].client().outstanding(), 0);
    let known = format!("{:?}", net.clients[0].client());
    assert!(!known.contains("Address("), "{known}");
    // The place is free.
    net.cut = Box::new(|_, _| false);
    let call = ask_fixed(&mut net);
    net.run_until(200);
    assert_eq!(answers(&net), [(call, b"12:00".to_vec())]);
    let known = format!("{:?}", net.clients[0].client());
    assert!(!known.contains("Address("), "{known}");
}

/// RFC 7967: no NSTART place is held for what nobody answers, and a node that is not found, or asked
/// for nothing, is not doubted.
#[test]
fn what_wants_no_response_ends_as_it_is_sent_to_an_address_and_to_a_node() {
    let mut net = Net::registered(setup());
    net.get(0);
    net.run_until(1100);
    let before = outcomes(&net).len();
    let now = net.now;
    let mut calls = Vec::new();
    for target in [fixed(), Target::Node(P), fixed(), Target::Node(P)] {
        let mut put = request(Code::PUT, b"21");
        NoResponse::ALL.push(&mut put.options);
        calls.push(net.clients[0].ask(now, target, Reliability::NonConfirmable, put));
    }
    let puts = net.count_sent(net.node_address.unwrap(), Code::PUT);
    net.run_until(1101);
    let sent: Vec<_> = calls
        .into_iter()
        .map(|call| (call, Outcome::Sent))
        .collect();
    assert_eq!(outcomes(&net)[before..], sent);
    assert_eq!(net.clients[0].client().outstanding(), 0);
    assert_eq!(
        net.count_sent(net.node_address.unwrap(), Code::PUT),
        puts + 2
    );
    assert_eq!(net.clients[0].client().lbc().iter().count(), 1);
}

#[test]
fn the_hold_of_a_node_keeps_nothing_back_from_an_address() {
    let mut net = Net::registered(setup());
    net.get(0);
    net.run_until(1100);
    net.node.hold(net.now);
    net.run_until(1200);
    let of_node = net.get(0);
    let of_address = ask_fixed(&mut net);
    net.run_until(1300);
    let answered: Vec<CallId> = answers(&net).into_iter().map(|(call, _)| call).collect();
    assert!(answered.contains(&of_address) && !answered.contains(&of_node));
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1400);
    assert_eq!(answers(&net).last().unwrap().0, of_node);
}

#[test]
fn an_address_that_is_silent_is_never_doubted() {
    let mut net = Net::registered(setup());
    net.client_addresses[1] = None;
    let call = ask_fixed(&mut net);
    net.run_until(100_000);
    let timeout = CallFailure::Exchange(Failure::Timeout);
    assert_eq!(outcomes(&net), [(call, Outcome::Failed(timeout))]);
    net.client_addresses[1] = Some(client_address(1));
    let to_wmms = net.count_sent(W, Code::GET);
    let call = ask_fixed(&mut net);
    net.run_until(100_100);
    assert_eq!(answers(&net), [(call, b"12:00".to_vec())]);
    assert_eq!(net.count_sent(W, Code::GET), to_wmms, "no discovery");
}

#[test]
fn a_client_that_moves_asks_an_address_again_from_where_it_is_then() {
    let there = std::net::Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 9);
    let mut net = Net::registered(setup());
    net.cut = Box::new(|time, d| time < at(1200) && *d.from.ip() == client_address(1));
    let lost = ask_fixed(&mut net);
    net.run_until(1100);
    net.clients[0].leave(net.now);
    net.client_addresses[0] = None;
    let kept = ask_fixed(&mut net);
    net.run_until(1300);
    net.client_addresses[0] = Some(there);
    net.clients[0].bind(net.now, there);
    net.run_until(1400);
    let answered: Vec<CallId> = answers(&net).into_iter().map(|(call, _)| call).collect();
    assert_eq!(answered, [lost, kept]);
    let asked: Vec<u16> = (net.sent.iter())
        .filter(|(_, d)| *d.to.ip() == client_address(1) && d.is(Code::GET))
        .map(|(_, d)| d.message().message_id)
        .collect();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0], asked[1], "its Message ID");
    assert_eq!(net.clients[0].client().outstanding(), 0);
}

#[test]
fn every_method_and_its_payload_reach_a_node_that_moves() {
    let methods = [
        Code::POST,
        Code::PUT,
        Code::DELETE,
        Code::FETCH,
        Code::PATCH,
        Code::IPATCH,
    ];
    for method in methods {
        let mut net = Net::registered(setup());
        let payload = [7; 20_000];
        let now = net.now;
        let asked = request(method, &payload);
        let call = net.clients[0].ask(now, Target::Node(P), CON, asked);
        // In the midst of its 20 blocks, 8 ms each.
        net.run_until(1050);
        net.node.hold(net.now);
        net.run_until(1100);
        net.node_address = Some(T2);
        net.node.bind(net.now, T2);
        net.run_until(2000);
        assert_eq!(answers(&net), [(call, b"21.5".to_vec())], "{method}");
        assert_eq!(net.served.len(), 1, "{method}");
        let blocks = |to| {
            let of_body = |d: &Datagram| d.is(method) && !d.message().payload.is_empty();
            let sent = net.sent.iter().filter(|(_, d)| *d.to.ip() == to);
            sent.filter(|(_, d)| of_body(d)).count()
        };
        assert!(blocks(T1) > 3 && blocks(T2) > 10, "{method}");
    }
}

/// "The recipient SHOULD process any request or response in the message only once": RFC 7252 §4.5.
#[test]
fn what_was_done_at_the_former_address_is_not_done_again_at_the_new_one() {
    let mut net = Net::registered(setup());
    net.get(0);
    net.run_until(1100);
    net.served.clear();
    // The node does it, and its answer is lost.
    net.cut = Box::new(|time, d| time < at(1250) && *d.from.ip() == T1 && d.is(Code::CONTENT));
    let now = net.now;
    let asked = request(Code::POST, b"one more");
    let call = net.clients[0].ask(now, Target::Node(P), CON, asked);
    net.run_until(1200);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1300);
    assert_eq!(answers(&net).last().unwrap().0, call);
    assert_eq!(net.served.len(), 1);
    let copies: Vec<u16> = (net.sent.iter())
        .filter(|(_, d)| d.is(Code::POST) && d.message().payload == b"one more")
        .map(|(_, d)| d.message().message_id)
        .collect();
    assert_eq!(copies.len(), 2);
    assert_eq!(copies[0], copies[1]);
}

#[test]
fn two_fetches_of_one_path_are_observed_through_a_handover() {
    let mut net = Net::registered(setup());
    let now = net.now;
    let calls = [b"x", b"y"].map(|what| {
        let fetch = request(Code::FETCH, what);
        net.clients[0].observe(now, Target::Node(P), CON, fetch)
    });
    net.run_until(1100);
    net.node.hold(net.now);
    net.run_until(1150);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1300);
    let states: Vec<_> = (service::Node::observations(&net.node).iter())
        .map(|observation| (observation.id, observation.request.payload.repeat(2)))
        .collect();
    for (id, state) in states {
        let state = Response {
            payload: state,
            ..Response::new(Code::CONTENT)
        };
        service::Node::notify_one(&mut net.node, net.now, id, &state);
    }
    net.run_until(1400);
    let last = |call| {
        let mut of_call = outcomes(&net).into_iter().rev();
        match of_call.find(|(c, _)| *c == call) {
            Some((_, Outcome::Notified { response, .. })) => response.payload,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(calls.map(last), [b"xx".to_vec(), b"yy".to_vec()]);
}

#[test]
fn conditions_reach_the_application_and_mean_nothing_to_comp() {
    let mut net = Net::registered(setup());
    let mut conditional = request(Code::PUT, b"1");
    conditional.options.push(option::IF_MATCH, []);
    let stranger = socket(client_address(77));
    let answered = net.ask(stranger, T1, conditional.clone()).unwrap();
    assert_eq!(answered.code, Code::CONTENT);
    let mut of_comp = Request::new(Code::PUT, comp::codec::PATH);
    of_comp.options.push(option::IF_MATCH, []);
    let answered = net.ask(stranger, T1, of_comp).unwrap();
    assert_eq!(answered.code, Code::BAD_OPTION);
}

/// A PUT to the node, and a GET of the fixed client's clock, every 100 ms.
fn polls() -> Vec<Poll> {
    let poll = |name: &str, target, ask| Poll {
        name: name.into(),
        target,
        ask,
        reliability: CON,
        observe: false,
        timing: Timing::every(ms(100)),
    };
    let put = Ask {
        method: Code::PUT,
        payload: b"1".to_vec(),
        content_format: Some(0),
        ..Ask::get("/temperature")
    };
    vec![
        poll("put", Target::Node(P), put),
        poll("clock", fixed(), Ask::get("/clock")),
    ]
}

#[test]
fn a_requester_on_a_comp_node_asks_mobile_and_fixed_ones_by_any_method() {
    let mut net = Net::registered(setup());
    let mut services = Services::new();
    let stream = |name: &str| Seed(1).rng(&[name]);
    services.push(Requester::new(polls(), stream).unwrap());
    services.start(net.now, &mut net.clients[0]);
    let mut seen = 0;
    let mut give = |net: &mut Net, services: &mut Services| {
        let events: Vec<client::Event> = (net.client_events[seen..].iter())
            .map(|(_, _, event)| event.clone())
            .collect();
        seen += events.len();
        for event in events {
            // What is about bindings is not for services.
            if let Ok(event) = service::Event::try_from(node::Event::Client(event)) {
                services.handle_event(net.now, event, &mut net.clients[0]);
            }
        }
    };
    for time in (1000..3000).step_by(10) {
        net.run_until(time);
        give(&mut net, &mut services);
        services.handle_timeout(net.now, Reach::FULL, &mut net.clients[0]);
        match time {
            1500 => net.node.hold(net.now),
            1600 => net.node_address = None,
            1800 => {
                net.node_address = Some(T2);
                net.node.bind(net.now, T2);
            }
            _ => {}
        }
    }
    services.drain(net.now, &mut net.clients[0]);
    net.run_until(4000);
    give(&mut net, &mut services);
    let Some(Report::Drained(tally)) = services.poll_report() else {
        panic!("not drained: {:?}", services.tally())
    };
    assert_eq!((tally.requested, tally.answered, tally.failed), (40, 40, 0));
    assert_eq!(net.count_sent(W, Code::GET), 1, "one discovery");
    let puts = |to| net.count_sent(to, Code::PUT);
    assert!(puts(T1) > 3 && puts(T2) > 10);
    let clocks: Vec<SimTime> = (net.sent.iter())
        .filter(|(_, d)| *d.to.ip() == client_address(1) && d.is(Code::GET))
        .map(|(time, _)| *time)
        .collect();
    let expected: Vec<SimTime> = (0..20).map(|n| at(1000 + 100 * n)).collect();
    assert_eq!(clocks, expected, "the hold concerns nobody else");
}
