//! Our codec beside coap-lite's, in turns: `cargo bench -p coap --bench codec`.
//!
//! A response of a sensor and a request with the options that a mobility protocol adds; each is
//! decoded and encoded again.

use std::hint::black_box;
use std::time::{Duration, Instant};

use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Kind, Options};
use coap_lite::Packet;

const MESSAGES: u32 = 200_000;
const TURNS: usize = 7;

fn message(code: Code, options: &[(u16, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut all = Options::new();
    for (number, value) in options {
        all.push(*number, *value);
    }
    let message = Message {
        kind: Kind::Confirmable,
        code,
        message_id: 0x1234,
        token: Token::new(&[1, 2, 3, 4]).expect("4 bytes are a token"),
        options: all,
        payload: payload.to_vec(),
    };
    message.encode()
}

/// How long each message takes.
fn time(mut work: impl FnMut()) -> Duration {
    let begun = Instant::now();
    for _ in 0..MESSAGES {
        work();
    }
    begun.elapsed() / MESSAGES
}

fn compare(what: &str, datagram: &[u8]) {
    let mut ratios: Vec<f64> = Vec::new();
    let (mut best_ours, mut best_theirs) = (Duration::MAX, Duration::MAX);
    for _ in 0..TURNS {
        let ours = time(|| {
            let message = Message::decode(black_box(datagram)).expect("it was encoded");
            black_box(message.encode());
        });
        let theirs = time(|| {
            let packet = Packet::from_bytes(black_box(datagram)).expect("it was encoded");
            black_box(packet.to_bytes().expect("it was decoded"));
        });
        ratios.push(theirs.as_secs_f64() / ours.as_secs_f64());
        (best_ours, best_theirs) = (best_ours.min(ours), best_theirs.min(theirs));
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "{what}, {} bytes: ours {best_ours:?}, coap-lite {best_theirs:?}; coap-lite takes {:.2} times \
         as long (median of {TURNS} turns)",
        datagram.len(),
        ratios[TURNS / 2]
    );
}

fn main() {
    let format: &[u8] = &[0];
    let response = message(
        Code::CONTENT,
        &[(option::CONTENT_FORMAT, format)],
        b"21.5            ",
    );
    compare("a response", &response);
    let address = [0x20; 16];
    let (path, kind, lifetime): (&[u8], &[u8], &[u8]) = (b"comp", &[1], &[0xe, 0x10]);
    let request = message(
        Code::PUT,
        &[
            (option::URI_PATH, path),
            (2048, kind),
            (2049, &address),
            (2050, &address),
            (2051, lifetime),
        ],
        b"",
    );
    compare("a request with five options", &request);
}
