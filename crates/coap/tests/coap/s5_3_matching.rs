//! Matching responses to requests.

use coap::wire::Token;
use coap::{Code, Kind, Params, Tokens};

use crate::support::*;

#[test]
fn a_piggybacked_response_must_match_message_id_and_token() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let request = subject.sent_one();
    let mut other_id = piggybacked(&request);
    other_id.message_id ^= 1;
    let mut other_token = piggybacked(&request);
    other_token.token = Token::new(b"other").unwrap();
    subject.receive(1, &other_id);
    subject.receive(1, &other_token);
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
    subject.advance(secs(2.0));
    assert_eq!(subject.sent_one(), request);
    subject.receive(1, &piggybacked(&request));
    assert_eq!(subject.responses().len(), 1);
}

/// "In case a message carrying a response is unexpected (the client is not waiting for a
/// response from the identified endpoint, at the endpoint addressed, and/or with the given
/// token), the response is rejected."
#[test]
fn an_unexpected_confirmable_response_is_reset_and_any_other_ignored() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let request = subject.sent_one();
    let unknown = Token::new(b"unknown").unwrap();
    subject.receive(1, &message(Kind::Confirmable, Code::CONTENT, 9, unknown));
    subject.receive(2, &separate(Kind::Confirmable, 10, &request));
    assert_eq!(subject.sent(), [(peer(1), rst(9)), (peer(2), rst(10))]);
    for kind in [Kind::NonConfirmable, Kind::Acknowledgement] {
        subject.receive(1, &message(kind, Code::CONTENT, 9, unknown));
        subject.receive(2, &separate(kind, 10, &request));
    }
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
}

#[test]
fn responses_out_of_order_find_their_requests_by_token() {
    let mut subject = Subject::new(Params {
        nstart: 3,
        ..steady()
    });
    let ids = ["/a", "/b", "/c"].map(|path| subject.request(1, NON, path));
    let sent = subject.sent();
    for n in [2, 0, 1] {
        let response = separate(Kind::NonConfirmable, n as u16, &sent[n].1);
        subject.receive(1, &response);
        assert_eq!(subject.responses()[0].0, ids[n]);
    }
}

#[test]
fn tokens_of_every_length_are_echoed() {
    for length in 0..=8 {
        let mut subject = Subject::new(steady());
        let token = Token::new(&[0xa5; 8][..length]).unwrap();
        subject.receive(1, &message(Kind::Confirmable, Code::GET, 1, token));
        let exchange = subject.one_exchange();
        subject.respond(exchange, content(""));
        assert_eq!(subject.sent_one().token, token);
    }
}

/// §5.3.1 wants at least 32 random bits against who is not on the path.
#[test]
fn random_tokens_have_eight_bytes_are_matched_and_say_nothing_of_the_next() {
    let mut subject = Subject::new(Params {
        tokens: Tokens::Random,
        ..steady()
    });
    let mut tokens = Vec::new();
    for n in 0..64 {
        subject.request(1, CON, "/a");
        let request = subject.sent_one();
        let bytes: [u8; 8] = request.token.as_bytes().try_into().expect("8 bytes");
        tokens.push(u64::from_be_bytes(bytes));
        subject.receive(1, &piggybacked(&request));
        assert_eq!(subject.responses().len(), 1, "{n}");
    }
    let steps: std::collections::BTreeSet<u64> = tokens
        .windows(2)
        .map(|pair| pair[1].wrapping_sub(pair[0]))
        .collect();
    assert_eq!(steps.len(), 63, "no two steps are alike");
}
