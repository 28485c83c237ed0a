//! Message IDs.

use std::collections::BTreeSet;
use std::time::Duration;

use coap::endpoint::MAX_IN_FLIGHT;
use coap::{Endpoint, Event, Kind, Params};
use machine::Machine;
use units::Seed;

use crate::support::*;

#[test]
fn message_ids_ascend_by_one_over_all_peers_and_kinds() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    subject.request(2, NON, "/a");
    subject.endpoint.ping(subject.now, peer(3));
    subject.receive_get(Kind::NonConfirmable, 9);
    let exchange = subject.one_exchange();
    subject.respond(exchange, content(""));
    let ids: Vec<u16> = (subject.sent().iter()).map(|(_, m)| m.message_id).collect();
    let expected: Vec<u16> = (0..4).map(|n| ids[0].wrapping_add(n)).collect();
    assert_eq!(ids, expected);
}

#[test]
fn message_ids_and_tokens_start_at_random() {
    let starts: BTreeSet<_> = (0..50)
        .map(|seed| {
            let mut subject = Subject::new(steady());
            subject.endpoint = Endpoint::new(steady(), &[], Seed(seed).rng(&["start"]));
            subject.request(1, CON, "/a");
            let sent = subject.sent_one();
            (sent.message_id, sent.token)
        })
        .collect();
    assert_eq!(starts.len(), 50);
    assert!(starts.iter().any(|(id, _)| *id > 0x8000));
    assert!(starts.iter().any(|(id, _)| *id < 0x8000));
}

#[test]
fn the_counter_skips_message_ids_that_are_in_use() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/held");
    let held = subject.sent_one();
    subject.receive(1, &ack(held.message_id));
    for n in 0..65_535u32 {
        let id = subject.request(2, NON, "/a");
        let sent = subject.sent_one();
        assert_ne!(sent.message_id, held.message_id, "request {n}");
        assert_ne!(sent.token, held.token, "request {n}");
        subject.endpoint.cancel(id);
    }
    // All 65,535 others are used up: the next is the second of all.
    subject.request(3, NON, "/a");
    let next = subject.sent_one().message_id;
    assert_eq!(next, held.message_id.wrapping_add(1));
}

/// "the Message ID and source endpoint of the Acknowledgement or Reset message MUST match the
/// Message ID and destination endpoint of the Confirmable or Non-confirmable message."
#[test]
fn an_ack_or_reset_from_another_peer_is_ignored() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let request = subject.sent_one();
    subject.receive(2, &ack(request.message_id));
    subject.receive(2, &rst(request.message_id));
    subject.receive(2, &piggybacked(&request));
    assert_eq!(subject.events(), []);
    subject.advance(secs(2.0));
    assert_eq!(subject.sent_one(), request);
}

#[test]
fn flow_label_and_scope_of_the_source_do_not_keep_an_ack_from_matching() {
    let mut subject = Subject::new(Params::default());
    subject.request(1, CON, "/a");
    let request = subject.sent_one();
    let mut from = peer(1);
    from.set_flowinfo(0xbeef);
    from.set_scope_id(4);
    let bytes = piggybacked(&request).encode();
    subject.endpoint.handle_datagram(subject.now, from, &bytes);
    assert_eq!(subject.responses().len(), 1);
}

#[test]
fn ipv4_mapped_peers_work_like_any_other() {
    let mut subject = Subject::new(Params::default());
    let to = "[::ffff:192.0.2.1]:5683".parse().unwrap();
    let id = subject.endpoint.request(subject.now, to, CON, get("/a"));
    let request = subject.sent_one();
    let bytes = piggybacked(&request).encode();
    subject.endpoint.handle_datagram(subject.now, to, &bytes);
    assert_eq!(subject.responses()[0].0, id);
}

#[test]
fn requests_for_which_message_ids_run_short_wait_and_all_end() {
    let mut subject = Subject::new(Params {
        max_retransmit: 0,
        ..steady()
    });
    let all = MAX_IN_FLIGHT + 10;
    for host in 0..all {
        subject.request(host as u16, CON, "/a");
    }
    let ids: BTreeSet<u16> = subject.sent().iter().map(|(_, m)| m.message_id).collect();
    assert_eq!(ids.len(), MAX_IN_FLIGHT);
    subject.advance(secs(100.0));
    assert_eq!(subject.sent().len(), 10);
    assert_eq!(subject.failures().len(), all);
    assert_eq!(
        (subject.endpoint.outstanding(), subject.timeout()),
        (0, None)
    );
}

/// §5.2.2: a separate response can be non-confirmable.
#[test]
fn a_separate_response_for_which_message_ids_run_short_is_non_confirmable() {
    let mut subject = Subject::new(steady());
    let exchanges = |subject: &mut Subject, hosts: std::ops::Range<usize>| {
        for host in hosts {
            subject.receive(host as u16, &get_message(Kind::Confirmable, 1));
        }
        subject.advance(subject.now + Duration::from_secs(1));
        subject.sent();
        let told = subject.events().into_iter().map(|event| match event {
            Event::Request { exchange, .. } => exchange,
            other => panic!("{other:?}"),
        });
        told.collect::<Vec<_>>()
    };
    for exchange in exchanges(&mut subject, 0..MAX_IN_FLIGHT) {
        subject.respond(exchange, content("x"));
    }
    let kinds = |subject: &mut Subject| subject.sent().into_iter().map(|(_, m)| m.kind);
    assert!(kinds(&mut subject).all(|kind| kind == Kind::Confirmable));
    let over = exchanges(&mut subject, MAX_IN_FLIGHT..MAX_IN_FLIGHT + 1);
    subject.respond(over[0], content("x"));
    assert!(kinds(&mut subject).eq([Kind::NonConfirmable]));
}
