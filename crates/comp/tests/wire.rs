//! Whole datagrams, against bytes that other implementations made.
//!
//! * libcoap 4.3.1: `coap-client-notls -B 1 -m METHOD -O NUMBER,0xHEX … coap://[::1]/comp`,
//!   taken off a UDP socket.
//! * aiocoap 0.4.17: `Message.encode()` of a message with `UintOption` and `OpaqueOption`.
//!
//! All speak of P_Addr 2001:db8::5, T_Addr 2001:db8:2::5, Lifetime 600 s, sleep 1500 ms.

use std::net::Ipv6Addr;
use std::time::Duration;

use coap::wire::Message;
use coap::{Code, Kind, Options, Request, Response};
use comp::codec::{self, Command, Lifetime, Location};

const P: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5);
const T: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 5);
const LIFETIME: Lifetime = Lifetime(600);

const DISCOVERY: Command = Command::Discovery { p_addr: P };
const BINDING_UPDATE: Command = Command::BindingUpdate {
    p_addr: P,
    t_addr: T,
    lifetime: LIFETIME,
};
const REGISTRATION: Command = Command::Registration {
    p_addr: P,
    t_addr: T,
    lifetime: LIFETIME,
};
const DEREGISTRATION: Command = Command::Deregistration { p_addr: P };
const HOLD: Command = Command::Hold {
    p_addr: P,
    sleep: Some(Duration::from_millis(1500)),
};

/// P_Addr and T_Addr as they stand in the datagrams.
const P_HEX: &str = "20010db8000000000000000000000005";
const T_HEX: &str = "20010db8000200000000000000000005";

/// Bytes of hexadecimal text with blanks; `P` and `T` are the two addresses.
fn bytes(text: &str) -> Vec<u8> {
    let hex = text
        .replace('P', P_HEX)
        .replace('T', T_HEX)
        .replace(' ', "");
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hexadecimal"))
        .collect()
}

fn decode(text: &str) -> Message {
    Message::decode(&bytes(text)).expect("another implementation's message")
}

fn command(text: &str) -> Command {
    let message = decode(text);
    let request = Request {
        method: message.code,
        options: message.options,
        payload: message.payload,
    };
    assert_eq!(request.path(), codec::PATH);
    Command::parse(&request).expect("a good request")
}

/// Our own options and code in the frame of `theirs`.
fn encode(theirs: &Message, code: Code, options: Options) -> Vec<u8> {
    Message {
        code,
        options,
        ..theirs.clone()
    }
    .encode()
}

/// Both ways: their bytes are our command, and our command is their bytes.
fn agree(text: &str, expected: &Command) {
    assert_eq!(command(text), *expected);
    let request = expected.request();
    let ours = encode(&decode(text), request.method, request.options);
    assert_eq!(ours, bytes(text), "{expected:?}");
}

#[test]
fn aiocoap_and_we_write_the_same_requests() {
    // 42 CON, token of 2 | method | Message ID 1234 | token 0102 | b4 Uri-Path "comp" |
    // e0 06e8: delta 2037 = 14 + 269 .. + 0x06e8, option 2048 | 1d 03: 2049, 16 bytes
    agree("42 01 1234 0102 b4 636f6d70 e0 06e8 1d 03 P", &DISCOVERY);
    // e1: one byte, 01 | 1d 03: 2050 | 12: 2051, 0258 | 20: 2053, empty is 0
    agree(
        "42 03 1234 0102 b4 636f6d70 e1 06e8 01 1d 03 P 1d 03 T 12 0258 20",
        &BINDING_UPDATE,
    );
    agree(
        "42 02 1234 0102 b4 636f6d70 e1 06e8 02 1d 03 P 1d 03 T 12 0258",
        &REGISTRATION,
    );
    agree(
        "42 04 1234 0102 b4 636f6d70 e1 06e8 03 1d 03 P",
        &DEREGISTRATION,
    );
    // 41 01: 2053 | 12 05dc: 2054
    agree(
        "42 03 1234 0102 b4 636f6d70 e1 06e8 04 1d 03 P 41 01 12 05dc",
        &HOLD,
    );
}

#[test]
fn libcoap_requests_are_understood() {
    // 41 CON, token of 1 | 72 ea88: Uri-Port, since the listener's was not 5683 | 44: Uri-Path
    assert_eq!(
        command("41 01 7ad0 01 72 ea88 44 636f6d70 e0 06e8 1d 03 P"),
        DISCOVERY
    );
    // A zero of one byte, twice (§3.2: leading zeros are to be accepted).
    assert_eq!(
        command("41 01 e38a 01 72 ea88 44 636f6d70 e1 06e8 00 1d 03 P"),
        DISCOVERY
    );
    assert_eq!(
        command("41 03 af14 01 72 ea88 44 636f6d70 e1 06e8 01 1d 03 P 1d 03 T 12 0258 21 00"),
        BINDING_UPDATE
    );
    assert_eq!(
        command("41 02 9fb8 01 72 ea88 44 636f6d70 e1 06e8 02 1d 03 P 1d 03 T 12 0258"),
        REGISTRATION
    );
    assert_eq!(
        command("41 04 9a39 01 72 ea88 44 636f6d70 e1 06e8 03 1d 03 P"),
        DEREGISTRATION
    );
    assert_eq!(
        command("41 03 259a 01 72 ea88 44 636f6d70 e1 06e8 04 1d 03 P 41 01 12 05dc"),
        HOLD
    );
}

#[test]
fn aiocoap_and_we_write_the_same_responses() {
    // 62 ACK, token of 2 | 45 2.05 | ed 06f4 03: option 2049, 16 bytes | … | 21 01: 2053
    let text = "62 45 1234 0102 ed 06f4 03 P 1d 03 T 12 0258 21 01";
    let location = Location {
        p_addr: P,
        t_addr: T,
        lifetime: LIFETIME,
        held: true,
        sleep: None,
        sequence: None,
    };
    let message = decode(text);
    assert_eq!(message.kind, Kind::Acknowledgement);
    let response = |message: &Message| Response {
        code: message.code,
        options: message.options.clone(),
        payload: message.payload.clone(),
    };
    assert_eq!(Location::parse(&response(&message)), Ok(location.clone()));
    let ours = location.response();
    assert_eq!(encode(&message, ours.code, ours.options), bytes(text));

    // 44 2.04 | e2 06f7: option 2052, 1234
    let text = "62 44 1234 0102 e2 06f7 1234";
    let message = decode(text);
    assert_eq!(codec::parse_hold_response(&response(&message)), Ok(0x1234));
    let ours = codec::hold_response(0x1234);
    assert_eq!(encode(&message, ours.code, ours.options), bytes(text));
}
