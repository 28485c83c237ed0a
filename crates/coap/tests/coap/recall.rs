//! An endpoint that is away for a while: `Endpoint::recall` and `Endpoint::resend`.

use coap::{Event, Failure};

use crate::support::*;

#[test]
fn others_go_before_what_is_recalled_and_it_keeps_its_message_id_and_schedule() {
    let mut subject = Subject::new(steady());
    let first = subject.request(1, CON, "/a");
    let sent = subject.sent_one();
    subject.endpoint.recall(peer(1));
    subject.advance(secs(20.0));
    assert_eq!(subject.sent(), [], "no retransmission");
    subject.request(1, CON, "/urgent");
    let urgent = subject.sent_one();
    subject.endpoint.resend(subject.now, peer(1));
    assert_eq!(
        subject.sent(),
        [],
        "RFC 7252 §4.7: one outstanding interaction"
    );
    subject.receive(1, &piggybacked(&urgent));
    assert_eq!(subject.sent(), [(peer(1), sent.clone())]);
    subject.advance(secs(22.0));
    assert_eq!(
        subject.sent(),
        [(peer(1), sent.clone())],
        "ACK_TIMEOUT later"
    );
    subject.events();
    subject.receive(1, &piggybacked(&sent));
    let events = subject.events();
    assert!(matches!(&events[..], [Event::Response { id, .. }] if *id == first));
}

#[test]
fn a_response_that_still_comes_ends_what_was_recalled() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let sent = subject.sent_one();
    subject.endpoint.recall(peer(1));
    subject.receive(1, &piggybacked(&sent));
    assert_eq!(subject.responses().len(), 1);
    subject.endpoint.resend(subject.now, peer(1));
    assert_eq!(subject.sent(), []);
    assert_eq!(subject.endpoint.outstanding(), 0);
}

#[test]
fn an_empty_ack_of_what_was_recalled_leaves_it_waiting_for_its_response() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let sent = subject.sent_one();
    subject.endpoint.recall(peer(1));
    subject.receive(1, &ack(sent.message_id));
    subject.endpoint.resend(subject.now, peer(1));
    assert_eq!(subject.sent(), []);
    subject.request(1, CON, "/b");
    assert_eq!(subject.sent_one().options.path(), "/b");
}

#[test]
fn what_is_not_confirmable_is_not_repeated() {
    let mut subject = Subject::new(steady());
    let first = subject.request(1, NON, "/a");
    subject.sent_one();
    subject.request(1, NON, "/b");
    subject.endpoint.recall(peer(1));
    subject.endpoint.resend(subject.now, peer(1));
    let reason = Failure::Left;
    let to = peer(1);
    assert_eq!(
        subject.events(),
        [Event::Failed {
            id: first,
            to,
            reason
        }]
    );
    assert_eq!(subject.sent_one().options.path(), "/b");
}

#[test]
fn what_is_recalled_follows_its_peer_and_waits_there() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let sent = subject.sent_one();
    subject.endpoint.recall(peer(1));
    subject.endpoint.retarget(subject.now, peer(1), peer(2));
    assert_eq!(subject.sent(), []);
    subject.endpoint.resend(subject.now, peer(2));
    assert_eq!(subject.sent(), [(peer(2), sent)]);
}
