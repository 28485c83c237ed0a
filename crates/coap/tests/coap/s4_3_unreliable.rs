//! Messages transmitted without reliability.

use coap::wire::{Message, Token};
use coap::{Code, Failure, Kind};

use crate::support::*;

#[test]
fn a_non_confirmable_request_is_sent_once_and_waited_for() {
    let mut subject = Subject::new(steady());
    let id = subject.request(1, NON, "/a");
    assert_eq!(subject.sent_one().kind, Kind::NonConfirmable);
    subject.advance(secs(92.9));
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
    subject.advance(secs(93.0));
    assert_eq!(subject.failures(), [(id, Failure::NoResponse)]);
}

#[test]
fn a_non_confirmable_request_is_answered_non_confirmably_and_never_acknowledged() {
    let mut subject = Subject::new(steady());
    subject.receive_get(Kind::NonConfirmable, 7);
    let exchange = subject.one_exchange();
    subject.advance(secs(10.0));
    assert_eq!(subject.sent(), []);
    subject.respond(exchange, content("21"));
    let response = subject.sent_one();
    assert_eq!(response.kind, Kind::NonConfirmable);
    assert_eq!(response.token, Token::new(&[0, 7]).unwrap());
    assert_eq!(response.payload, b"21");
    subject.advance(secs(100.0));
    assert_eq!(subject.sent(), []);
}

#[test]
fn a_reset_ends_a_non_confirmable_request() {
    let mut subject = Subject::new(steady());
    let id = subject.request(1, NON, "/a");
    let request = subject.sent_one();
    subject.receive(1, &rst(request.message_id));
    assert_eq!(subject.failures(), [(id, Failure::Reset)]);
}

/// "A Non-confirmable message [...] MUST NOT be Empty"; rejecting it "MAY involve sending a
/// matching Reset message": ours does not.
#[test]
fn empty_and_reserved_non_confirmable_messages_are_ignored() {
    let mut subject = Subject::new(steady());
    subject.receive(1, &Message::empty(Kind::NonConfirmable, 3));
    for class in [1, 6, 7] {
        let code = Code::new(class, 1);
        subject.receive(1, &message(Kind::NonConfirmable, code, 4, Token::EMPTY));
    }
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
}
