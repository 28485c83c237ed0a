//! What a session owes to its connection: nothing is forgotten, nothing comes unwanted, and nobody waits for a silent end.

use super::*;

/// A connection has no duplicates: what came since, and how long ago, forgets no request.
#[test]
fn a_request_is_answered_whatever_came_after_it() {
    let mut pair = Pair::new();
    pair.ask(Request::new(Code::PUT, "/slow"));
    let (slow, _) = pair.asked();
    for _ in 0..1100 {
        pair.ask(Request::new(Code::GET, "/fast"));
        let (exchange, _) = pair.asked();
        pair.answer(exchange, b"fast");
        assert_eq!(pair.answered().payload, b"fast");
    }
    pair.answer(slow, b"slow");
    assert_eq!(pair.answered().payload, b"slow");
    pair.client
        .endpoint()
        .observe(pair.now, PEER, CON, Request::new(Code::GET, "/rare"));
    pair.cross();
    let (rare, _) = pair.asked();
    for _ in 0..26 {
        pair.pass(Duration::from_secs(10));
    }
    let mut get = Frame::new(Code::GET);
    get.token = Token::new(b"later").unwrap();
    pair.say(&get);
    (pair.server.endpoint()).respond_observed(pair.now, rare, content(b"rare"));
    assert_eq!(pair.server.endpoint().observations().count(), 1);
    pair.cross();
    let told = pair.sent[1].last().unwrap();
    assert_eq!(told.payload, b"rare");
}

/// Over a connection no Reset ends what nobody wants.
#[test]
fn an_observation_that_is_taken_back_before_its_first_state_never_begins() {
    let mut pair = Pair::new();
    let observe = |observe: &[u8], token: &[u8]| {
        let mut get = Frame::new(Code::GET);
        get.token = Token::new(token).unwrap();
        get.options.push(option::OBSERVE, observe);
        get
    };
    pair.say(&observe(&[], b"a"));
    pair.say(&observe(&[], b"b"));
    pair.say(&observe(&[1], b"a"));
    for _ in 0..3 {
        let (exchange, _) = pair.asked();
        (pair.server.endpoint()).respond_observed(pair.now, exchange, content(b"0"));
    }
    pair.cross();
    let answered: Vec<(&[u8], bool)> = (pair.sent[1][1..].iter())
        .map(|frame| {
            let observed = frame.options.get(option::OBSERVE).is_some();
            (frame.token.as_bytes(), observed)
        })
        .collect();
    assert_eq!(answered, [(&b"a"[..], false), (b"b", true), (b"a", false)]);
    assert_eq!(pair.server.endpoint().observations().count(), 1);
}

/// §3.4: Empty messages keep a connection alive from one end. What is not answered does not show that the other is there.
#[test]
fn who_says_only_what_is_not_answered_is_pinged() {
    for (code, is_pinged) in [
        (Code::EMPTY, true),
        (signaling::PONG, true),
        (signaling::PING, false),
        (Code::GET, false),
    ] {
        let mut pair = Pair::new();
        for _ in 0..3 {
            pair.now += KEEP_ALIVE - Duration::from_secs(5);
            pair.server.handle_timeout(pair.now);
            pair.say(&Frame::new(code));
        }
        let mut sent = pair.sent[1].iter();
        let pinged = sent.any(|frame| frame.code == signaling::PING);
        assert_eq!(pinged, is_pinged, "{code}");
    }
}
