//! Bytes of other implementations, captured on a UDP socket on the loopback interface:
//! libcoap 4.3.1 (Debian 12, `libcoap3-bin`) and aiocoap 0.4.17 (PyPI), both directions.

use coap::message::option;
use coap::wire::{DecodeError, Message, Token};
use coap::{Code, Kind};

/// Decodes, and checks that encoding gives the same bytes back.
fn decode(datagram: &[u8]) -> Message {
    let message = Message::decode(datagram).unwrap();
    assert_eq!(message.encode(), datagram);
    message
}

fn options(message: &Message) -> Vec<(u16, &[u8])> {
    message.options.iter().collect()
}

/// `coap-client-notls -T tok -O 2049,abc -m put -e hi coap://[::1]:54268/comp` (it adds one
/// to the token of `-T` before the first request).
#[rustfmt::skip]
const LIBCOAP_PUT: &[u8] = &[
    0x43, 0x03, 0x4a, 0x52,             // CON, TKL 3, PUT, Message ID 0x4a52
    b't', b'o', b'l',                   // token
    0x72, 0xd3, 0xfc,                   // +7 Uri-Port, 54268
    0x44, b'c', b'o', b'm', b'p',       // +4 Uri-Path
    0xe3, 0x06, 0xe9, b'a', b'b', b'c', // +2038 (14: 0x06e9 + 269) = 2049, 3 bytes
    0xff, b'h', b'i',                   // payload
];

#[test]
fn libcoap_puts_a_critical_option_of_two_extended_delta_bytes() {
    let message = decode(LIBCOAP_PUT);
    assert_eq!((message.kind, message.code), (Kind::Confirmable, Code::PUT));
    assert_eq!(message.message_id, 0x4a52);
    assert_eq!(message.token, Token::new(b"tol").unwrap());
    assert_eq!(
        options(&message),
        [
            (option::URI_PORT, &[0xd3, 0xfc][..]),
            (option::URI_PATH, b"comp"),
            (2049, b"abc")
        ]
    );
    assert_eq!(message.payload, b"hi");
}

/// `coap-client-notls -N -T 12345678 -m post -e x -O 2048,0x02
/// -O 2049,0xfd000000000000000000000000000001 -O 2054,0x01d4c0 coap://[::1]:34093/comp?a=b`
#[rustfmt::skip]
const LIBCOAP_POST: &[u8] = &[
    0x58, 0x02, 0xd5, 0x0b,                         // NON, TKL 8, POST, Message ID 0xd50b
    b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'9', // token
    0x72, 0x85, 0x2d,                               // +7 Uri-Port, 34093
    0x44, b'c', b'o', b'm', b'p',                   // +4 Uri-Path
    0x43, b'a', b'=', b'b',                         // +4 Uri-Query
    0xe1, 0x06, 0xe4, 0x02,                         // +2033 = 2048: 2
    0x1d, 0x03,                                     // +1 = 2049, 13 + 3 bytes
    0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    0x53, 0x01, 0xd4, 0xc0,                         // +5 = 2054: 120000
    0xff, b'x',                                     // payload
];

#[test]
fn libcoap_posts_the_options_of_a_registration() {
    let message = decode(LIBCOAP_POST);
    assert_eq!(
        (message.kind, message.code),
        (Kind::NonConfirmable, Code::POST)
    );
    assert_eq!(message.token, Token::new(b"12345679").unwrap());
    let address = "fd00::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    assert_eq!(message.options.get(option::URI_QUERY), Some(&b"a=b"[..]));
    assert_eq!(message.options.get(2048), Some(&[2][..]));
    assert_eq!(message.options.get(2049), Some(&address[..]));
    assert_eq!(message.options.get(2054), Some(&[0x01, 0xd4, 0xc0][..]));
    assert_eq!(message.payload, b"x");
}

/// Head of `coap-client-notls -T t -O 65000,<300 times z> -m get
/// coap://[::1]:34821/abcdefghijklmnop`; the 300 bytes follow.
#[rustfmt::skip]
const LIBCOAP_LONG_HEAD: &[u8] = &[
    0x41, 0x01, 0x84, 0x68, 0x75,       // CON, TKL 1, GET, Message ID 0x8468, token
    0x72, 0x88, 0x05,                   // +7 Uri-Port, 34821
    0x4d, 0x03,                         // +4 Uri-Path, 13 + 3 bytes
    b'a', b'b', b'c', b'd', b'e', b'f', b'g', b'h',
    b'i', b'j', b'k', b'l', b'm', b'n', b'o', b'p',
    0xee, 0xfc, 0xd0, 0x00, 0x1f,       // +64989 = 65000, 269 + 31 = 300 bytes
];

#[test]
fn libcoap_sends_an_option_value_of_two_extended_length_bytes() {
    let datagram = [LIBCOAP_LONG_HEAD, &[b'z'; 300]].concat();
    let message = decode(&datagram);
    assert_eq!(
        message.options.get(option::URI_PATH),
        Some(&b"abcdefghijklmnop"[..])
    );
    assert_eq!(message.options.get(65000), Some(&[b'z'; 300][..]));
    assert_eq!(message.payload, b"");
}

/// aiocoap, `Message(code=PUT, uri="coap://[::1]:<port>/comp", payload=b"hi")` with
/// `opt.add_option(OpaqueOption(2049, b"abc"))` and `OpaqueOption(2053, b"\x01")`, sent by a
/// client context of transport `simple6`.
#[rustfmt::skip]
const AIOCOAP_PUT: &[u8] = &[
    0x42, 0x03, 0x59, 0x96, 0xd0, 0xbe, // CON, TKL 2, PUT, Message ID 0x5996, token
    0xb4, b'c', b'o', b'm', b'p',       // +11 Uri-Path
    0xe3, 0x06, 0xe9, b'a', b'b', b'c', // +2038 = 2049
    0x41, 0x01,                         // +4 = 2053: 1
    0xff, b'h', b'i',                   // payload
];

#[test]
fn aiocoap_puts_a_critical_option_of_two_extended_delta_bytes() {
    let message = decode(AIOCOAP_PUT);
    assert_eq!((message.kind, message.code), (Kind::Confirmable, Code::PUT));
    assert_eq!(message.token, Token::new(&[0xd0, 0xbe]).unwrap());
    let expected: [(u16, &[u8]); 3] = [(option::URI_PATH, b"comp"), (2049, b"abc"), (2053, &[1])];
    assert_eq!(options(&message), expected);
    assert_eq!(message.payload, b"hi");
}

/// `coap-server-notls`, asked for `/async?1`: an empty ACK, a second later the response.
#[test]
fn libcoap_answers_separately() {
    let ack = decode(&[0x60, 0x00, 0x12, 0x34]);
    assert_eq!(ack, Message::empty(Kind::Acknowledgement, 0x1234));
    let response = decode(&[0x41, 0x45, 0x57, 0xe1, 0xaa, 0xff, b'd', b'o', b'n', b'e']);
    assert_eq!(
        (response.kind, response.code),
        (Kind::Confirmable, Code::CONTENT)
    );
    assert_eq!(response.token, Token::new(&[0xaa]).unwrap());
    assert_eq!(response.payload, b"done");
}

/// `coap-server-notls`, asked with option 2049: 4.02 that repeats the option.
#[test]
fn libcoap_refuses_an_unknown_critical_option_and_repeats_it() {
    let response = decode(&[
        0x60, 0x82, 0x12, 0x35, // ACK, 4.02
        0xe1, 0x06, 0xf4, b'x', // +2049
        0xff, b'B', b'a', b'd', b' ', b'O', b'p', b't', b'i', b'o', b'n',
    ]);
    assert_eq!(response.code, Code::BAD_OPTION);
    assert_eq!(options(&response), [(2049, &b"x"[..])]);
}

/// What `coap-server-notls` answers with a Reset is refused here too: a marker without
/// payload, a token of 9 bytes.
#[test]
fn libcoap_and_this_codec_refuse_the_same_bytes() {
    assert_eq!(
        Message::decode(&[0x40, 0x01, 0x12, 0x37, 0xff]),
        Err(DecodeError::MarkerWithoutPayload)
    );
    assert_eq!(
        Message::decode(&[0x49, 0x01, 0x12, 0x38, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        Err(DecodeError::TokenLength(9))
    );
}
