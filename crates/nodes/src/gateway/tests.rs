//! A gateway before a node that notes what it is told.

mod websocket;

use axum::http::Method;
use axum::http::header::RETRY_AFTER;
use coap::{Code, ExchangeId, Observation, Waits};
use service::Node;
use tokio::sync::oneshot::Receiver;
use units::Seed;

use super::ask::tests::request;
use super::*;
use crate::web::{Knocker, Reader};

const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5);
const MOVER: &str = "/hc/coap://%5B2001:db8::5%5D/light";
const OTHER: &str = "/hc/coap://%5B2001:db8::6%5D/light";
/// Of all that the node says.
const MESSAGE_ID: u16 = 4711;
const WAIT: Duration = Duration::from_secs(5);

/// A node that notes what it is told, and of which everything is kept back since an instant, if it is.
#[derive(Debug, Default)]
struct Stub {
    asked: Vec<(Target, coap::Request)>,
    observed: Vec<CallId>,
    stopped: Vec<CallId>,
    kept_back: Option<SimTime>,
}

impl Stub {
    fn call(&mut self, target: Target, request: coap::Request) -> CallId {
        self.asked.push((target, request));
        CallId(self.asked.len() as u64)
    }
}

impl Node for Stub {
    fn ask(
        &mut self,
        _: SimTime,
        target: Target,
        _: Reliability,
        request: coap::Request,
    ) -> CallId {
        self.call(target, request)
    }

    fn observe(
        &mut self,
        _: SimTime,
        target: Target,
        _: Reliability,
        request: coap::Request,
    ) -> CallId {
        let call = self.call(target, request);
        self.observed.push(call);
        call
    }

    fn stop_observing(&mut self, _: SimTime, call: CallId) {
        self.stopped.push(call);
    }

    fn respond(&mut self, _: SimTime, _: ExchangeId, _: coap::Response) {}
    fn respond_observed(&mut self, _: SimTime, _: ExchangeId, _: coap::Response) {}
    fn notify(&mut self, _: SimTime, _: &str, _: &coap::Response) {}
    fn notify_one(&mut self, _: SimTime, _: ExchangeId, _: &coap::Response) {}

    fn observations(&self) -> Vec<Observation<'_>> {
        Vec::new()
    }

    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    fn waits(&self) -> Waits {
        Waits::default()
    }

    fn kept_back_since(&self, _: Target) -> Option<SimTime> {
        self.kept_back
    }
}

/// A gateway and its node.
struct World {
    now: SimTime,
    node: Stub,
    gateway: Gateway,
    knocker: Knocker,
}

impl World {
    fn new() -> World {
        let (door, knocker) = Door::unheard();
        let config = Config {
            writes: true,
            wait: WAIT,
            located: BTreeSet::from([HOME]),
            origin: None,
            nodes: BTreeMap::from([
                ("mover".into(), "[2001:db8::5]:5683".parse().unwrap()),
                ("other".into(), "[2001:db8::6]:61616".parse().unwrap()),
            ]),
        };
        let rng = Seed(1).rng(&["websockets"]);
        World {
            now: SimTime::ZERO,
            node: Stub::default(),
            gateway: Gateway::new(SimTime::ZERO, config, door, rng),
            knocker,
        }
    }

    fn ask(&mut self, request: Request) -> Receiver<Answer> {
        let answer = self.knocker.ask(request);
        self.due();
        answer
    }

    fn get(&mut self, target: &str) -> Receiver<Answer> {
        self.ask(request(Method::GET, target))
    }

    fn follow(&mut self, last_event: Option<u64>) -> Receiver<Answer> {
        let get = request(Method::GET, MOVER);
        self.ask(Request {
            follows: true,
            last_event,
            ..get
        })
    }

    /// Does what is due.
    fn due(&mut self) {
        if self
            .gateway
            .poll_timeout(Reach::FULL)
            .is_some_and(|due| due <= self.now)
        {
            self.gateway
                .handle_timeout(self.now, Reach::FULL, &mut self.node);
        }
    }

    /// Lets time pass until then.
    fn pass(&mut self, seconds: u64) {
        self.now = SimTime::ZERO + Duration::from_secs(seconds);
        self.due();
    }

    fn outcome(&mut self, call: u64, outcome: Outcome) {
        let call = CallId(call);
        self.gateway
            .handle_outcome(self.now, call, outcome, &mut self.node);
    }

    fn answered(&mut self, call: u64, response: coap::Response) {
        let answered = Outcome::Answered {
            message_id: MESSAGE_ID,
            response,
        };
        self.outcome(call, answered);
    }

    fn content(&mut self, call: u64, text: &str) {
        self.answered(call, content(text));
    }

    fn notified(&mut self, call: u64, text: &str) {
        let response = content(text);
        self.outcome(
            call,
            Outcome::Notified {
                message_id: MESSAGE_ID,
                sequence: 1,
                response,
            },
        );
    }
}

fn content(text: &str) -> coap::Response {
    let mut response = coap::Response::new(Code::CONTENT);
    response.payload = text.into();
    response
}

/// The status and the body of an answer that has come.
fn whole(answer: &mut Receiver<Answer>) -> (u16, String) {
    match answer.try_recv().unwrap() {
        Answer::Whole(whole) => {
            let said = whole.headers.iter().any(|(name, _)| *name == RETRY_AFTER);
            let body = String::from_utf8(whole.body).unwrap();
            let is_busy = [429, 503].contains(&whole.status.as_u16());
            assert!(!is_busy || said, "no Retry-After: {body}");
            (whole.status.as_u16(), body)
        }
        Answer::Stream(stream) => panic!("{stream:?}"),
    }
}

fn is_open(answer: &mut Receiver<Answer>) -> bool {
    answer.try_recv().is_err()
}

fn stream(mut answer: Receiver<Answer>) -> Reader {
    match answer.try_recv().unwrap() {
        Answer::Stream(reader) => reader,
        Answer::Whole(whole) => panic!("{whole:?}"),
    }
}

/// The values of the states that wait in a stream, and the names of other events.
fn values(reader: &Reader) -> Vec<String> {
    let value = |text: String| {
        let name = text
            .lines()
            .find_map(|line| line.strip_prefix("event: "))
            .unwrap();
        let data = text
            .lines()
            .find_map(|line| line.strip_prefix("data: "))
            .unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        data["value"].as_str().unwrap_or(name).to_owned()
    };
    reader.waiting().into_iter().map(value).collect()
}

#[test]
fn the_authority_is_a_permanent_address_that_the_nodes_mobility_locates() {
    let mut world = World::new();
    let _waiting = [world.get(MOVER), world.get(OTHER)];
    let at = "[2001:db8::6]:5683".parse().unwrap();
    let targets: Vec<Target> = world.node.asked.iter().map(|(target, _)| *target).collect();
    assert_eq!(targets, [Target::Node(HOME), Target::Address(at)]);
    assert_eq!(world.node.asked[0].1.path(), "/light");
    let mut elsewhere = world.get("/hc/coap://%5B2001:db8::5%5D:61616/light");
    assert_eq!(whole(&mut elsewhere).0, 400);
}

#[test]
fn equal_gets_are_one_request_and_equal_puts_are_two() {
    let mut world = World::new();
    let mut gets = [
        world.get(MOVER),
        world.get(MOVER),
        world.ask(request(Method::HEAD, MOVER)),
    ];
    let mut other = world.get(OTHER);
    assert_eq!(world.node.asked.len(), 2);
    world.content(1, "on");
    for get in &mut gets {
        assert_eq!(whole(get), (200, "on".into()));
    }
    assert!(is_open(&mut other));
    // One that is asked afterwards is not answered by what was.
    let mut later = world.get(MOVER);
    assert!(is_open(&mut later));
    assert_eq!(world.node.asked.len(), 3);
    let _puts = [0; 2].map(|_| world.ask(request(Method::PUT, MOVER)));
    assert_eq!(world.node.asked.len(), 5);
    let tally = world.gateway.tally();
    assert_eq!(
        (tally.requested, tally.answered, tally.outstanding()),
        (5, 1, 4)
    );
}

#[test]
fn during_a_hold_a_get_waits_so_long_and_is_not_given_what_was() {
    let mut world = World::new();
    let mut early = world.get(MOVER);
    let mut put = world.ask(request(Method::PUT, MOVER));
    world.pass(3);
    world.node.kept_back = Some(world.now);
    let mut late = world.get(MOVER);
    world.pass(5);
    assert!(is_open(&mut early), "the hold is 2 s old");
    world.pass(8);
    assert_eq!(whole(&mut early).0, 503);
    assert_eq!(whole(&mut late).0, 503);
    // The request goes on, and who asks meanwhile waits for it.
    let mut later = world.get(MOVER);
    assert!(is_open(&mut later));
    assert_eq!(world.node.asked.len(), 2);
    world.node.kept_back = None;
    world.content(1, "on");
    assert_eq!(whole(&mut later), (200, "on".into()));
    // It may be done yet, and so is waited for.
    assert!(is_open(&mut put));
    world.outcome(2, Outcome::Failed(CallFailure::HoldTimeout));
    assert_eq!(whole(&mut put).0, 503);
    assert_eq!(world.gateway.poll_timeout(Reach::FULL), None);
}

#[test]
fn a_node_that_is_silent_and_not_on_hold_is_waited_for_as_coap_does() {
    let mut world = World::new();
    let mut get = world.get(MOVER);
    for seconds in [5, 10, 15, 90] {
        world.pass(seconds);
        assert!(is_open(&mut get));
    }
    world.outcome(1, Outcome::Failed(CallFailure::Exchange(Failure::Timeout)));
    assert_eq!(whole(&mut get).0, 504);
    assert_eq!(world.gateway.tally().failed, 1);
    let report = world.gateway.poll_report();
    assert!(
        matches!(report, Some(Report::RequestFailed { .. })),
        "{report:?}"
    );
}

#[test]
fn of_more_requests_than_there_may_be_the_last_is_refused_until_one_ends() {
    let mut world = World::new();
    let url = |n: usize| format!("/hc/coap://%5B2001:db8::6%5D/{n}");
    let _waiting: Vec<_> = (0..MAX_CALLS).map(|n| world.get(&url(n))).collect();
    let mut refused = world.get(MOVER);
    assert_eq!(whole(&mut refused).0, 503);
    let mut equal = world.get(&url(0));
    assert!(is_open(&mut equal));
    world.content(1, "on");
    assert!(is_open(&mut world.get(MOVER)));
    assert_eq!(world.node.asked.len(), MAX_CALLS + 1);
}

#[test]
fn whoever_waits_has_the_place_of_one_for_which_nobody_waits_any_more() {
    let mut world = World::new();
    let url = |n: usize| format!("/hc/coap://%5B2001:db8::6%5D/{n}");
    let mut waiting: Vec<_> = (0..MAX_CALLS).map(|n| world.get(&url(n))).collect();
    // The second and the fourth leave.
    drop(waiting.remove(3));
    drop(waiting.remove(1));
    let mut others = [5000, 5001, 5002].map(|n| world.get(&url(n)));
    let [first, second, third] = &mut others;
    assert!(is_open(first) && is_open(second));
    assert_eq!(whole(third).0, 503);
    assert_eq!(world.node.stopped.len(), 2);
    // Who asks the same as one that is given up does not end with it.
    assert_eq!(whole(&mut world.get(&url(1))).0, 503);
    world.content(1, "on");
    assert!(is_open(&mut world.get(&url(1))));
}

#[test]
fn what_is_observed_is_observed_once_for_all_who_follow_it() {
    let mut world = World::new();
    let (first, second) = (world.follow(None), world.follow(None));
    assert_eq!(world.node.observed.len(), 1);
    world.notified(1, "a");
    let (first, second) = (stream(first), stream(second));
    assert_eq!([values(&first), values(&second)], [["a"], ["a"]]);
    world.pass(1);
    world.notified(1, "b");
    assert_eq!(values(&first), ["b"]);
    let late = stream(world.follow(None));
    assert_eq!(values(&late), ["b"]);
    drop((first, late));
    world.due();
    assert_eq!(world.node.stopped, []);
    drop(second);
    world.due();
    assert_eq!(world.node.stopped, [CallId(1)]);
    assert!(is_open(&mut world.follow(None)));
    assert_eq!(world.node.observed.len(), 2);
}

#[test]
fn a_stream_goes_on_after_the_event_that_was_had() {
    let mut world = World::new();
    let first = world.follow(None);
    let ids = ["a", "b", "c"].map(|text| {
        world.pass(1 + world.now.as_nanos() / 1_000_000_000);
        world.notified(1, text);
        world.now.as_nanos()
    });
    let first = stream(first);
    assert_eq!(
        first.waiting()[1].lines().next(),
        Some(format!("id: {}", ids[1]).as_str())
    );
    let went_on = stream(world.follow(Some(ids[0])));
    assert_eq!(values(&went_on), ["b", "c"]);
    // Of another observation.
    let unknown = stream(world.follow(Some(ids[2] + 1)));
    assert_eq!(values(&unknown), ["c"]);
}

#[test]
fn a_state_that_is_not_fresh_any_more_is_not_given_as_one_of_now() {
    let mut world = World::new();
    let _first = world.follow(None);
    world.notified(1, "a");
    world.pass(59);
    let fresh = stream(world.follow(None));
    world.pass(60);
    let stale = stream(world.follow(None));
    assert_eq!([values(&fresh), values(&stale)], [vec!["a"], vec![]]);
    world.notified(1, "b");
    assert_eq!([values(&fresh), values(&stale)], [["b"], ["b"]]);
}

#[test]
fn who_follows_is_told_why_it_ends() {
    let mut world = World::new();
    let follows = world.follow(None);
    world.notified(1, "a");
    let lost = Failure::BodyTooLarge;
    world.outcome(
        1,
        Outcome::NotificationLost {
            sequence: 2,
            reason: lost,
        },
    );
    world.outcome(1, Outcome::Failed(CallFailure::Exchange(Failure::Silent)));
    let reader = stream(follows);
    assert_eq!(values(&reader), ["a", "notification-lost", "error"]);
    assert!(reader.is_over());
    assert_eq!(world.gateway.tally().answered, 1);
    // One that does not begin has a status.
    let mut refused = world.follow(None);
    world.answered(2, coap::Response::new(Code::NOT_FOUND));
    assert_eq!(whole(&mut refused).0, 404);
    let mut not_observable = world.follow(None);
    world.content(3, "on");
    assert_eq!(whole(&mut not_observable), (200, "on".into()));
}

#[test]
fn what_does_not_come_whole_from_the_first_is_told_and_left_when_nobody_follows() {
    let mut world = World::new();
    let follows = world.follow(None);
    let reason = Failure::BodyTooLarge;
    world.outcome(
        1,
        Outcome::NotificationLost {
            sequence: 1,
            reason,
        },
    );
    let reader = stream(follows);
    assert_eq!(values(&reader), ["notification-lost"]);
    drop(reader);
    world.due();
    assert_eq!(world.node.stopped, [CallId(1)]);
}

#[test]
fn who_asks_and_leaves_takes_no_room() {
    let mut world = World::new();
    (0..1000).for_each(|_| drop(world.get(MOVER)));
    assert!(world.gateway.calls[&CallId(1)].waiting.len() <= 2);
}

#[test]
fn who_leaves_before_the_first_state_is_not_followed() {
    let mut world = World::new();
    drop(world.follow(None));
    world.notified(1, "a");
    assert_eq!(world.node.stopped, [CallId(1)]);
}

#[test]
fn when_the_scenario_is_over_nothing_is_asked_and_streams_end() {
    let mut world = World::new();
    let (follows, mut open) = (world.follow(None), world.get(OTHER));
    world.notified(1, "a");
    let reader = stream(follows);
    world.gateway.drain(world.now, &mut world.node);
    assert!(reader.is_over());
    assert_eq!(world.node.stopped, [CallId(1)]);
    assert!(!world.gateway.is_drained());
    assert_eq!(whole(&mut world.get(MOVER)).0, 503);
    world.content(2, "on");
    assert_eq!(whole(&mut open), (200, "on".into()));
    assert!(world.gateway.is_drained());
    assert_eq!(world.node.asked.len(), 2);
}

/// RFC 8075 §5.5.
#[test]
fn the_gateway_is_discovered_on_both_sides() {
    let mut world = World::new();
    let mut found = world.get("/.well-known/core?rt=core.hc");
    assert_eq!(whole(&mut found), (200, "</hc/>;rt=\"core.hc\"".into()));
    assert_eq!(
        whole(&mut world.get("/.well-known/core?rt=core.rd")),
        (200, String::new())
    );
    assert_eq!(
        whole(&mut world.ask(request(Method::DELETE, "/.well-known/core"))).0,
        405
    );
    // Nobody else reaches what listens at loopback.
    assert_eq!(world.gateway.links(), []);
    world.gateway.config.origin = Some("http://[2001:db8::1]:8080".into());
    let asked = coap::Request::new(Code::GET, link::WELL_KNOWN_CORE);
    let told = link::answer(&asked, &world.gateway.links()).payload;
    let expected = "</hc/>;anchor=\"http://[2001:db8::1]:8080\";rt=\"core.hc\"";
    assert_eq!(String::from_utf8(told).unwrap(), expected);
}
