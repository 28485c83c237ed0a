//! Properties of the codec, and its strictness.

use coap::wire::{self, DecodeError, Message, Token};
use coap::{Code, Kind, Options};
use proptest::collection::vec;
use proptest::prelude::*;

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Confirmable),
        Just(Kind::NonConfirmable),
        Just(Kind::Acknowledgement),
        Just(Kind::Reset),
    ]
}

/// Values around the steps of the length encoding (12/13, 268/269), ends in 0xff included.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![0usize..20, 260usize..280, Just(1100)];
    (length, any::<u8>(), any::<bool>()).prop_map(|(length, fill, marker)| {
        let mut value = vec![fill; length];
        if let Some(last) = value.last_mut().filter(|_| marker) {
            *last = 0xff;
        }
        value
    })
}

pub(crate) fn options() -> impl Strategy<Value = Options> {
    let number = prop_oneof![0u16..40, 250u16..320, 2040u16..2060, any::<u16>()];
    vec((number, value()), 0..8).prop_map(|list| {
        let mut options = Options::new();
        for (number, value) in list {
            options.push(number, value);
        }
        options
    })
}

prop_compose! {
    fn message()(
        kind in kind(),
        code in 0u8..=255,
        message_id in any::<u16>(),
        token in vec(any::<u8>(), 0..=8),
        options in options(),
        payload in vec(any::<u8>(), 0..40),
    ) -> Message {
        if code == 0 {
            return Message::empty(kind, message_id);
        }
        let token = Token::new(&token).unwrap();
        Message { kind, code: Code(code), message_id, token, options, payload }
    }
}

/// A datagram that is nearly a message: random bytes rarely pass the header.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    (
        message(),
        vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        any::<u8>(),
    )
        .prop_map(|(message, edits, cut)| {
            let mut bytes = message.encode();
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let cut = usize::from(cut).min(bytes.len());
            bytes.truncate(bytes.len() - cut.saturating_sub(200));
            bytes
        })
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(message in message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    /// The format has one encoding per message, so what decodes encodes to the same bytes.
    #[test]
    fn what_decodes_encodes_to_the_same_bytes(datagram in nearly()) {
        if let Ok(message) = Message::decode(&datagram) {
            prop_assert_eq!(message.encode(), datagram);
        }
    }

    /// Another decoder, which lets more pass, finds the same in what passes here.
    #[test]
    fn coap_lite_reads_the_same_options_and_payload(datagram in nearly()) {
        if let Ok(message) = Message::decode(&datagram) {
            let theirs = coap_lite::Packet::from_bytes(&datagram).unwrap();
            prop_assert_eq!(theirs.get_token(), message.token.as_bytes());
            prop_assert_eq!(&theirs.payload, &message.payload);
            let options = (theirs.options())
                .flat_map(|(number, values)| values.iter().map(|value| (*number, value.as_slice())));
            prop_assert!(options.eq(message.options.iter()));
        }
    }

    #[test]
    fn random_bytes_decode_or_fail_without_panic(datagram in vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::decode(&datagram) {
            prop_assert_eq!(wire::header(&datagram), Some((message.kind, message.message_id)));
            prop_assert_eq!(message.encode(), datagram);
        }
    }
}

fn error(datagram: &[u8]) -> DecodeError {
    Message::decode(datagram).unwrap_err()
}

#[test]
fn short_datagrams_are_refused() {
    for length in 0..4 {
        assert_eq!(
            error(&[0x40, 1, 0][..length.min(3)]),
            DecodeError::Short(length)
        );
    }
}

#[test]
fn versions_other_than_one_are_refused() {
    for version in [0, 2, 3] {
        assert_eq!(
            error(&[version << 6, 1, 0, 1]),
            DecodeError::Version(version)
        );
    }
}

#[test]
fn reserved_token_lengths_and_cut_tokens_are_refused() {
    for length in 9..16 {
        let mut datagram = vec![0x40 | length, 1, 0, 1];
        datagram.extend([0xaa; 20]);
        assert_eq!(error(&datagram), DecodeError::TokenLength(length));
    }
    assert_eq!(error(&[0x42, 1, 0, 1, 0xaa]), DecodeError::TokenTruncated);
}

#[test]
fn a_payload_marker_needs_a_payload() {
    assert_eq!(
        error(&[0x40, 1, 0, 1, 0xff]),
        DecodeError::MarkerWithoutPayload
    );
    let after_option = [0x40, 1, 0, 1, 0xb1, 0x61, 0xff];
    assert_eq!(error(&after_option), DecodeError::MarkerWithoutPayload);
    let after_token = [0x41, 1, 0, 1, 0xff, 0xff];
    assert_eq!(error(&after_token), DecodeError::MarkerWithoutPayload);
}

#[test]
fn a_last_byte_ff_in_header_token_option_or_payload_is_no_marker() {
    let valid: [&[u8]; 6] = [
        &[0x40, 1, 0, 0xff],
        &[0x41, 1, 0, 1, 0xff],
        &[0x40, 1, 0, 1, 0xb1, 0xff],
        &[0x40, 1, 0, 1, 0xd0, 0xff],
        &[0x40, 1, 0, 1, 0xe0, 0x00, 0xff],
        &[0x40, 1, 0, 1, 0xff, 0xff],
    ];
    for datagram in valid {
        let message = Message::decode(datagram).unwrap();
        assert_eq!(message.encode(), datagram);
    }
}

#[test]
fn empty_messages_are_four_bytes() {
    assert_eq!(error(&[0x41, 0, 0, 1, 0xaa]), DecodeError::NotEmpty(1));
    assert_eq!(error(&[0x40, 0, 0, 1, 0xb0]), DecodeError::NotEmpty(1));
    assert_eq!(
        error(&[0x40, 0, 0, 1, 0xff, 0x61]),
        DecodeError::NotEmpty(2)
    );
    assert_eq!(error(&[0x44, 0, 0, 1]), DecodeError::NotEmpty(0));
    assert_eq!(
        Message::decode(&[0x70, 0, 0x12, 0x36]),
        Ok(Message::empty(Kind::Reset, 0x1236))
    );
}

#[test]
fn malformed_options_are_refused() {
    let malformed: [&[u8]; 7] = [
        &[0x40, 1, 0, 1, 0xf0],                               // delta 15
        &[0x40, 1, 0, 1, 0x0f],                               // length 15
        &[0x40, 1, 0, 1, 0xd0],                               // delta cut off
        &[0x40, 1, 0, 1, 0xe0, 0x00],                         // delta cut off
        &[0x40, 1, 0, 1, 0xb2, 0x61],                         // value cut off
        &[0x40, 1, 0, 1, 0xe0, 0xff, 0xff],                   // number 65804
        &[0x40, 1, 0, 1, 0xe0, 0xf0, 0x00, 0xe0, 0xf0, 0x00], // sum above 65535
    ];
    for datagram in malformed {
        assert!(
            matches!(error(datagram), DecodeError::Option(_)),
            "{datagram:02x?}"
        );
    }
}

#[test]
fn messages_beyond_1280_bytes_encode() {
    let mut message = Message::empty(Kind::NonConfirmable, 1);
    message.code = Code::CONTENT;
    message.payload = vec![7; 60_000];
    assert_eq!(Message::decode(&message.encode()), Ok(message));
}

#[test]
fn tokens_hold_up_to_eight_bytes() {
    assert_eq!(Token::new(&[1; 9]), None);
    assert_eq!(Token::new(&[]), Some(Token::EMPTY));
    assert_eq!(Token::new(&[0, 0xab]).unwrap().to_string(), "00ab");
}
