//! Critical and elective options.

use coap::message::option;
use coap::wire::Message;
use coap::{Code, Event, Failure, Kind, Options};

use crate::support::*;

fn with_option(mut message: Message, number: u16) -> Message {
    message.options.push(number, b"x".as_slice());
    message
}

#[test]
fn an_unknown_critical_option_in_a_confirmable_request_gets_4_02_naming_it() {
    let mut subject = Subject::new(steady());
    let request = with_option(get_message(Kind::Confirmable, 7), 2051);
    subject.receive(1, &request);
    let reply = subject.sent_one();
    assert_eq!(
        (reply.kind, reply.code),
        (Kind::Acknowledgement, Code::BAD_OPTION)
    );
    assert_eq!((reply.message_id, reply.token), (7, request.token));
    assert_eq!(reply.payload, b"unrecognized critical option 2051");
    // Its duplicate gets the same.
    subject.receive(1, &request);
    assert_eq!(subject.sent_one(), reply);
    assert_eq!(subject.events(), []);
    assert_eq!(subject.timeout(), None);
}

#[test]
fn an_unknown_critical_option_in_a_non_confirmable_request_is_ignored_with_it() {
    let mut subject = Subject::new(steady());
    let request = with_option(get_message(Kind::NonConfirmable, 7), 2051);
    subject.receive(1, &request);
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
}

#[test]
fn known_critical_and_unknown_elective_options_reach_the_owner() {
    let mut subject = Subject::new(steady());
    let mut options = Options::new();
    options.push(11, b"a".as_slice());
    options.push_uint(2048, 3);
    options.push(2049, [0; 16]);
    let mut request = get_message(Kind::Confirmable, 7);
    request.options = options.clone();
    subject.receive(1, &request);
    let events = subject.events();
    let [Event::Request { request, .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(request.options, options);
}

#[test]
fn a_response_with_an_unknown_critical_option_is_rejected_and_fails_its_request() {
    let cases = [
        (Kind::Confirmable, Some(rst(9))),
        (Kind::NonConfirmable, None),
        (Kind::Acknowledgement, None),
    ];
    for (kind, rejection) in cases {
        let mut subject = Subject::new(steady());
        let id = subject.request(1, CON, "/a");
        let request = subject.sent_one();
        let mut response = with_option(separate(kind, 9, &request), 2051);
        if kind == Kind::Acknowledgement {
            response.message_id = request.message_id;
        }
        subject.receive(1, &response);
        let rejection: Vec<_> = rejection.into_iter().map(|rst| (peer(1), rst)).collect();
        assert_eq!(subject.sent(), rejection);
        assert_eq!(subject.failures(), [(id, Failure::CriticalOption(2051))]);
        // A retransmission of it is rejected alike.
        subject.receive(1, &response);
        assert_eq!(subject.sent(), rejection);
    }
}

/// RFC 7252 §5.10.4: "If the preferred Content-Format cannot be returned, then a 4.06 "Not
/// Acceptable" MUST be sent as a response, unless another error code takes precedence".
#[test]
fn accept_gets_its_content_format_or_4_06() {
    const TEXT: u64 = 0;
    const JSON: u64 = 50;
    let answer_to = |accept: u64, response: coap::Response| {
        let mut subject = Subject::new(steady());
        let mut request = get_message(Kind::Confirmable, 1);
        request.options.push_uint(option::ACCEPT, accept);
        subject.receive(1, &request);
        let exchange = subject.one_exchange();
        subject.endpoint.respond(subject.now, exchange, response);
        subject.sent_one().code
    };
    let mut text = content("21.5");
    assert_eq!(
        answer_to(TEXT, text.clone()),
        Code::NOT_ACCEPTABLE,
        "it has none"
    );
    text.options.push_uint(option::CONTENT_FORMAT, TEXT);
    assert_eq!(answer_to(TEXT, text.clone()), Code::CONTENT);
    assert_eq!(answer_to(JSON, text), Code::NOT_ACCEPTABLE);
    let missing = coap::Response::new(Code::NOT_FOUND);
    assert_eq!(answer_to(JSON, missing), Code::NOT_FOUND);
}

/// §5.10.2; what is unknown, or has a length that it cannot have, comes first.
#[test]
fn a_request_for_a_proxy_gets_5_05_whether_it_is_confirmable_or_not() {
    for kind in [Kind::Confirmable, Kind::NonConfirmable] {
        for number in [option::PROXY_URI, option::PROXY_SCHEME] {
            let mut subject = Subject::new(steady());
            subject.receive(1, &with_option(get_message(kind, 7), number));
            assert_eq!(subject.sent_one().code.to_string(), "5.05");
            assert_eq!(subject.events(), []);
        }
    }
    let mut subject = Subject::new(steady());
    let request = with_option(get_message(Kind::Confirmable, 7), option::PROXY_URI);
    subject.receive(1, &with_option(request.clone(), 2051));
    assert_eq!(subject.sent_one().code, Code::BAD_OPTION);
    let mut long = get_message(Kind::Confirmable, 8);
    long.options.push(option::PROXY_SCHEME, [b'x'; 256]);
    subject.receive(1, &long);
    assert_eq!(subject.sent_one().code, Code::BAD_OPTION);
}
