//! Tokens of every length, and when one is used again (RFC 7252 §5.3.1; RFC 7967 §3.1).

use std::collections::BTreeSet;

use coap::{Failure, Kind, NoResponse, Params, Reliability, RequestId, TokenLength, Tokens};

use crate::support::*;

fn subject(length: usize, tokens: Tokens, nstart: u32) -> Subject {
    Subject::new(Params {
        tokens,
        token_length: Some(TokenLength::new(length).unwrap()),
        nstart,
        ..steady()
    })
}

fn counted(length: usize) -> Subject {
    subject(length, Tokens::Counted, 1)
}

/// How long the token of the one message is that was sent.
fn length(subject: &mut Subject) -> usize {
    subject.sent_one().token.as_bytes().len()
}

fn put(subject: &mut Subject, reliability: Reliability, unwanted: u8) -> RequestId {
    let mut put = coap::Request::new(coap::Code::PUT, "/a");
    NoResponse(unwanted).push(&mut put.options);
    (subject.endpoint).request(subject.now, peer(1), reliability, put)
}

#[test]
fn a_length_is_at_most_eight() {
    let bytes = [0, 4, 8].map(|n| TokenLength::new(n).map(TokenLength::bytes));
    assert_eq!(bytes, [Some(0), Some(4), Some(8)]);
    assert_eq!(TokenLength::new(9), None);
    assert_eq!(TokenLength::new(256), None);
}

#[test]
fn tokens_are_as_long_as_they_are_asked_for_and_are_matched() {
    for tokens in [Tokens::Counted, Tokens::Random] {
        for wanted in 0..=8 {
            let mut subject = subject(wanted, tokens, 1);
            for _ in 0..3 {
                let id = subject.request(1, CON, "/a");
                let request = subject.sent_one();
                assert_eq!(request.token.as_bytes().len(), wanted, "{tokens:?}");
                subject.receive(1, &piggybacked(&request));
                assert_eq!(subject.responses()[0].0, id);
            }
        }
    }
}

/// The default: four bytes that are counted, the same as if they were asked for.
#[test]
fn four_bytes_are_the_default_of_what_is_counted() {
    let mut plain = Subject::new(steady());
    let mut four = counted(4);
    let mut eight = counted(8);
    for _ in 0..3 {
        let sent = [&mut plain, &mut four, &mut eight].map(|subject| {
            subject.request(1, NON, "/a");
            let request = subject.sent_one();
            subject.receive(
                1,
                &separate(Kind::NonConfirmable, request.message_id, &request),
            );
            request.token
        });
        assert_eq!(sent[0], sent[1]);
        assert_eq!(sent[2].as_bytes()[..4], [0; 4]);
        assert_eq!(sent[2].as_bytes()[4..], *sent[0].as_bytes());
    }
}

/// "tokens currently in use for a given source/destination endpoint pair are unique".
#[test]
fn of_requests_to_one_peer_no_two_have_the_same_token_and_every_one_gets_its_own_response() {
    for tokens in [Tokens::Counted, Tokens::Random] {
        let mut subject = subject(0, tokens, 300);
        let ids: Vec<RequestId> = (0..300).map(|_| subject.request(1, NON, "/a")).collect();
        let sent = subject.sent();
        let different: BTreeSet<_> = sent.iter().map(|(_, m)| m.token).collect();
        assert_eq!(different.len(), 300);
        let of_length = |n| different.iter().filter(|t| t.as_bytes().len() == n).count();
        assert_eq!([0, 1, 2].map(of_length), [1, 256, 43]);
        for (n, (_, request)) in sent.iter().enumerate().rev() {
            subject.receive(1, &separate(Kind::NonConfirmable, n as u16, request));
            assert_eq!(subject.responses()[0].0, ids[n]);
        }
    }
}

#[test]
fn requests_to_two_peers_may_have_the_same_short_token() {
    let mut subject = counted(0);
    let ids = [1, 2].map(|to| subject.request(to, NON, "/a"));
    let sent = subject.sent();
    assert!(sent.iter().all(|(_, m)| m.token.as_bytes().is_empty()));
    for (n, from) in [(1, 2), (0, 1)] {
        subject.receive(from, &separate(Kind::NonConfirmable, 5, &sent[n].1));
        assert_eq!(subject.responses()[0].0, ids[n]);
    }
}

/// An observation has its token as long as it lasts, also while its end waits to be sent.
#[test]
fn beside_an_observation_other_requests_have_other_tokens() {
    let mut subject = counted(0);
    let id = (subject.endpoint).observe(subject.now, peer(1), CON, get("/state"));
    let registration = subject.sent_one();
    assert_eq!(registration.token.as_bytes(), b"");
    let mut state = piggybacked(&registration);
    state.options.push_uint(coap::message::option::OBSERVE, 1);
    subject.receive(1, &state);
    subject.request(1, CON, "/a");
    let other = subject.sent_one();
    assert_eq!(other.token.as_bytes().len(), 1);
    subject.endpoint.stop_observing(subject.now, id);
    subject.request(1, CON, "/b");
    subject.receive(1, &piggybacked(&other));
    assert_eq!(length(&mut subject), 0, "the end of the observation");
}

/// §3.1: "a delayed response to the first one can be interpreted as a response to the second
/// request", so "a minimum reuse time for Tokens [...] SHOULD be used", 323 s here (130, 93 and 100); "the client is
/// never going to care about any response [...] it MAY reuse the Token value at liberty".
#[test]
fn after_a_request_that_wants_nothing_a_token_is_not_one_that_it_may_have_had() {
    for unwanted in [26, 2] {
        let mut subject = counted(0);
        put(&mut subject, NON, unwanted);
        assert_eq!(length(&mut subject), 0);
        let ends = if unwanted == 26 { 0.0 } else { 93.0 };
        subject.advance(secs(ends));
        put(&mut subject, NON, 26);
        assert_eq!(length(&mut subject), 0, "at liberty");
        let wants = |subject: &mut Subject| {
            subject.request(1, CON, "/a");
            let request = subject.sent_one();
            subject.receive(1, &piggybacked(&request));
            subject.request(2, CON, "/a");
            let elsewhere = subject.sent_one();
            subject.receive(2, &piggybacked(&elsewhere));
            [request, elsewhere].map(|m| m.token.as_bytes().len())
        };
        assert_eq!(wants(&mut subject), [1, 0]);
        subject.advance(secs(ends + 322.9));
        assert_eq!(wants(&mut subject), [1, 0]);
        subject.advance(secs(ends + 323.0));
        assert_eq!(wants(&mut subject), [0, 0]);
    }
}

/// A late response to what has failed or was cancelled is nobody else's either.
#[test]
fn after_a_request_without_its_response_a_token_is_another_one() {
    let mut subject = counted(0);
    let failed = subject.request(1, NON, "/a");
    let late = subject.sent_one();
    subject.advance(secs(93.0));
    assert_eq!(subject.failures(), [(failed, Failure::NoResponse)]);
    let cancelled = subject.request(1, NON, "/b");
    assert_eq!(length(&mut subject), 1);
    subject.receive(1, &separate(Kind::NonConfirmable, 9, &late));
    assert_eq!(subject.events(), [], "not the second one's");
    subject.endpoint.cancel(cancelled);
    assert_eq!(subject.failures(), [(cancelled, Failure::Cancelled)]);
    subject.request(1, NON, "/c");
    subject.fire();
    assert_eq!(length(&mut subject), 2);
}

/// Short tokens are guessed, and so prove no source (RFC 9175 §2.3).
#[test]
fn only_what_cannot_be_guessed_proves_that_a_peer_is_there() {
    for (bytes, proves) in [(3, false), (4, true), (8, true)] {
        let mut subject = Subject::new(Params {
            tokens: Tokens::Random,
            token_length: TokenLength::new(bytes),
            verify_sources: true,
            ..steady()
        });
        subject.request(1, CON, "/a");
        let request = subject.sent_one();
        subject.receive(1, &piggybacked(&request));
        assert_eq!(subject.endpoint.has_proved(subject.now, peer(1)), proves);
    }
}
