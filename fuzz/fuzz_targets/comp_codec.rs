//! The messages of CoMP: a request or response that is taken is the same after a journey over the
//! wire, says what its options say, and one that is refused has a complete answer.

#![no_main]

use std::net::Ipv6Addr;
use std::time::Duration;

use coap::wire::{Message, Token};
use coap::{Code, Kind, Options, Request, Response};
use comp::Sequence;
use comp::codec::{self, Command, Location, Procedure};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let Ok(message) = Message::decode(datagram) else {
        return;
    };
    request(&message);
    response(&message);
});

fn request(message: &Message) {
    let request = Request {
        method: message.code,
        options: message.options.clone(),
        payload: message.payload.clone(),
    };
    match Command::parse_numbered(&request) {
        Ok((command, sequence)) => {
            says_what_its_options_say(&command, &request);
            let number = request.options.get_uint(2052);
            assert_eq!(sequence.map(|Sequence(n)| n.into()), number);
            let sent = over_the_wire(&command.numbered(sequence));
            assert_eq!(Command::parse_numbered(&sent), Ok((command, sequence)));
        }
        Err(error) => {
            let answer = error.response();
            assert_eq!(answer.code.class(), 4);
            assert!(!answer.payload.is_empty());
            if message.code.0 > Code::DELETE.0 || message.code == Code::EMPTY {
                assert_eq!(answer.code, Code::METHOD_NOT_ALLOWED);
            }
        }
    }
}

/// Table 2 of CoMP §3.3, read from the options themselves.
fn says_what_its_options_say(command: &Command, request: &Request) {
    let options = &request.options;
    assert_eq!(options.get_uint(2048), Some(command.procedure() as u64));
    assert_eq!(command.procedure().method(), request.method);
    assert_eq!(options.get(2049), Some(&command.p_addr().octets()[..]));
    match command {
        Command::Registration {
            t_addr, lifetime, ..
        }
        | Command::BindingUpdate {
            t_addr, lifetime, ..
        } => {
            assert_eq!(options.get(2050), Some(&t_addr.octets()[..]));
            assert_eq!(options.get_uint(2051), Some(lifetime.0.into()));
            let flag = match command.procedure() {
                Procedure::BindingUpdate => Some(0),
                _ => options.get_uint(2053),
            };
            assert_eq!(options.get_uint(2053), flag);
        }
        Command::Hold { sleep, .. } => {
            assert_eq!(options.get_uint(2053), Some(1));
            assert_eq!(options.get_uint(2054).map(Duration::from_millis), *sleep);
        }
        Command::Discovery { .. } | Command::Deregistration { .. } => {}
    }
}

fn over_the_wire(request: &Request) -> Request {
    let sent = received(request.method, &request.options, &request.payload);
    Request {
        method: sent.code,
        options: sent.options,
        payload: sent.payload,
    }
}

fn received(code: Code, options: &Options, payload: &[u8]) -> Message {
    let message = Message {
        kind: Kind::Confirmable,
        code,
        message_id: 1,
        token: Token::EMPTY,
        options: options.clone(),
        payload: payload.to_vec(),
    };
    Message::decode(&message.encode()).expect("what we encode decodes")
}

fn response(message: &Message) {
    let response = Response {
        code: message.code,
        options: message.options.clone(),
        payload: message.payload.clone(),
    };
    let sequence = response.options.get_uint(2052);
    if let Ok(location) = Location::parse(&response) {
        let usable = |a: Ipv6Addr| !a.is_unspecified() && !a.is_multicast();
        assert!(usable(location.p_addr) && usable(location.t_addr));
        assert_eq!(response.code, Code::CONTENT);
        assert_eq!(location.sequence.map(|Sequence(n)| n.into()), sequence);
        assert_eq!(
            Location::parse(&answered(&location.response())),
            Ok(location)
        );
    }
    if let Ok(number) = codec::parse_hold_response(&response) {
        assert_eq!(
            (response.code, sequence),
            (Code::CHANGED, Some(number.into()))
        );
        let again = answered(&codec::hold_response(number));
        assert_eq!(codec::parse_hold_response(&again), Ok(number));
    }
    if let Some(last) = codec::parse_outdated(&response) {
        assert_eq!(
            (response.code, sequence),
            (Code::new(4, 9), Some(last.0.into()))
        );
        let again = answered(&codec::outdated_response(last));
        assert_eq!(codec::parse_outdated(&again), Some(last));
    }
}

fn answered(response: &Response) -> Response {
    let sent = received(response.code, &response.options, &response.payload);
    Response {
        code: sent.code,
        options: sent.options,
        payload: sent.payload,
    }
}
