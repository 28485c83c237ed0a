//! Every message there and back, whatever its options; and octets that nobody meant.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use ipnet::Ipv6Net;

use super::*;
use crate::rr::Authenticator;

fn address() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from_bits)
}

fn headers() -> impl Strategy<Value = Headers> {
    (address(), address(), of(address()), of(address())).prop_map(
        |(source, destination, home_address, routing)| Headers {
            home_address,
            routing,
            ..Headers::between(source, destination)
        },
    )
}

fn mobility_option() -> impl Strategy<Value = MobilityOption> {
    let known = [2, 3, 4, 5, 8, 22, 23, 24, 25, 26, 27];
    let kind = (2..=255_u8).prop_filter("known", move |kind| !known.contains(kind));
    prop_oneof![
        any::<u16>().prop_map(|units| MobilityOption::RefreshAdvice(Lifetime(units))),
        address().prop_map(MobilityOption::AlternateCareOf),
        any::<(u16, u16)>().prop_map(|(home, care_of)| MobilityOption::NonceIndices {
            home: NonceIndex(home),
            care_of: NonceIndex(care_of),
        }),
        vec(any::<u8>(), 0..20).prop_map(|id| MobilityOption::NodeId(NodeId(id))),
        (address(), 0..=128_u8).prop_map(|(address, bits)| {
            MobilityOption::HomeNetworkPrefix(Ipv6Net::new(address, bits).unwrap().trunc())
        }),
        any::<u8>().prop_map(|value| MobilityOption::Handoff(HandoffIndicator(value))),
        any::<u8>().prop_map(|value| MobilityOption::AccessTechnology(AccessTechnology(value))),
        vec(any::<u8>(), 0..20).prop_map(|id| MobilityOption::LinkLayerId(LinkLayerId(id))),
        address().prop_map(MobilityOption::LinkLocal),
        any::<u64>().prop_map(|value| MobilityOption::Timestamp(Timestamp(value))),
        (kind, vec(any::<u8>(), 0..40))
            .prop_map(|(kind, data)| MobilityOption::Unknown { kind, data }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let eight = any::<[u8; 8]>;
    let options = || vec(mobility_option(), 0..6);
    let authenticator = || of(any::<[u8; 12]>().prop_map(Authenticator));
    let test = (any::<u16>(), eight(), eight());
    prop_oneof![
        Just(Message::BindingRefreshRequest),
        eight().prop_map(|cookie| Message::HomeTestInit {
            cookie: Cookie(cookie)
        }),
        eight().prop_map(|cookie| Message::CareOfTestInit {
            cookie: Cookie(cookie)
        }),
        test.prop_map(|(nonce, cookie, token)| Message::HomeTest {
            nonce: NonceIndex(nonce),
            cookie: Cookie(cookie),
            token: KeygenToken(token),
        }),
        test.prop_map(|(nonce, cookie, token)| Message::CareOfTest {
            nonce: NonceIndex(nonce),
            cookie: Cookie(cookie),
            token: KeygenToken(token),
        }),
        (
            any::<(u16, u16)>(),
            any::<[bool; 6]>(),
            options(),
            authenticator()
        )
            .prop_map(|((sequence, lifetime), flags, options, authenticator)| {
                Message::BindingUpdate(BindingUpdate {
                    sequence: Sequence(sequence),
                    acknowledge: flags[0],
                    home_registration: flags[1],
                    link_local_compatibility: flags[2],
                    key_management: flags[3],
                    map_registration: flags[4],
                    proxy_registration: flags[5],
                    lifetime: Lifetime(lifetime),
                    options,
                    authenticator,
                })
            }),
        (
            any::<(u8, u16, u16)>(),
            any::<[bool; 2]>(),
            options(),
            authenticator()
        )
            .prop_map(
                |((status, sequence, lifetime), flags, options, authenticator)| {
                    Message::BindingAcknowledgement(BindingAcknowledgement {
                        status: Status(status),
                        key_management: flags[0],
                        proxy_registration: flags[1],
                        sequence: Sequence(sequence),
                        lifetime: Lifetime(lifetime),
                        options,
                        authenticator,
                    })
                }
            ),
        (any::<u8>(), address()).prop_map(|(status, home_address)| Message::BindingError {
            status: ErrorStatus(status),
            home_address,
        }),
    ]
}

/// Each option stands where its section wants it: at `multiple` n + `offset`.
fn assert_aligned(header: &[u8]) {
    let mut at = 12;
    while at < header.len() {
        let kind = header[at];
        let (multiple, offset) = match kind {
            0 => {
                at += 1;
                continue;
            }
            2 | 4 => (2, 0),
            3 | 26 => (8, 6),
            5 | 27 => (8, 2),
            22 => (8, 4),
            // Of 8 octets (RFC 5213 §8.6).
            25 if header[at + 1] == 10 => (8, 4),
            _ => (1, 0),
        };
        assert_eq!(at % multiple, offset, "option {kind} at {at}");
        at += 2 + usize::from(header[at + 1]);
    }
    assert_eq!(at, header.len());
}

proptest! {
    #[test]
    fn every_message_is_read_as_it_was_written(headers in headers(), message in message()) {
        let octets = message.encode(&headers).unwrap();
        prop_assert_eq!(octets.len() % 8, 0);
        prop_assert_eq!(Message::decode(&headers, &octets), Ok(message.clone()));
        if let Message::BindingUpdate(_) | Message::BindingAcknowledgement(_) = message {
            assert_aligned(&octets);
        }
        // What stands behind it does not count.
        let longer = [&octets[..], &[1, 2, 3]].concat();
        prop_assert_eq!(Message::decode(&headers, &longer), Ok(message));
    }

    #[test]
    fn a_message_that_was_cut_or_changed_is_none(
        headers in headers(),
        message in message(),
        bit in any::<prop::sample::Index>(),
    ) {
        let octets = message.encode(&headers).unwrap();
        let mut other = octets.clone();
        let bit = bit.index(octets.len() * 8);
        other[bit / 8] ^= 1 << (bit % 8);
        let result = Message::decode(&headers, &other);
        prop_assert!(
            matches!(result, Err(Invalid::Checksum | Invalid::Truncated { .. })),
            "bit {}: {:?}", bit, result
        );
        for length in 0..octets.len() {
            let cut = Message::decode(&headers, &octets[..length]);
            let is_truncated = matches!(cut, Err(Invalid::Truncated { .. }));
            prop_assert!(is_truncated, "{} octets: {:?}", length, cut);
        }
    }

    #[test]
    fn any_octets_are_a_message_or_an_error(mut octets in vec(any::<u8>(), 0..120)) {
        let headers = Headers::between(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        let _ = Message::decode(&headers, &octets);
        // Most fail at length, type and checksum: with these right, the options are reached.
        if octets.len() >= 8 {
            octets.truncate(octets.len() / 8 * 8);
            octets[0] = NO_NEXT_HEADER;
            octets[1] = (octets.len() / 8 - 1) as u8;
            octets[2] %= 8;
            let sum = checksum(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, &octets);
            octets[4..6].copy_from_slice(&sum.to_be_bytes());
            if let Ok(message) = Message::decode(&headers, &octets) {
                let again = message.encode(&headers).unwrap();
                prop_assert_eq!(Message::decode(&headers, &again), Ok(message));
            }
        }
    }
}

/// A header with a right checksum.
fn with_checksum(mut octets: Vec<u8>) -> (Headers, Vec<u8>) {
    let headers = Headers::between(Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
    let sum = checksum(headers.source, headers.destination, &octets);
    octets[4..6].copy_from_slice(&sum.to_be_bytes());
    (headers, octets)
}

fn decoded(octets: &[u8]) -> Result<Message, Invalid> {
    let (headers, octets) = with_checksum(octets.to_vec());
    Message::decode(&headers, &octets)
}

#[test]
fn a_header_that_breaks_a_rule_of_section_9_2_is_told_by_the_rule() {
    let refresh = [59, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(decoded(&refresh), Ok(Message::BindingRefreshRequest));
    let (headers, mut wrong) = with_checksum(refresh.to_vec());
    wrong[5] ^= 1;
    assert_eq!(Message::decode(&headers, &wrong), Err(Invalid::Checksum));
    assert_eq!(decoded(&[59, 0, 8, 0, 0, 0, 0, 0]), Err(Invalid::Type(8)));
    assert_eq!(
        decoded(&[17, 0, 0, 0, 0, 0, 0, 0]),
        Err(Invalid::PayloadProto(17))
    );
    // The type is looked at before Payload Proto and Header Len.
    assert_eq!(decoded(&[17, 0, 99, 0, 0, 0, 0, 0]), Err(Invalid::Type(99)));
    for (kind, least) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 1), (6, 1), (7, 2)] {
        let found = least - 1;
        let octets = [
            &[59, found, kind, 0, 0, 0][..],
            &vec![0; 2 + 8 * found as usize],
        ]
        .concat();
        let expected = Invalid::HeaderLen { kind, found, least };
        assert_eq!(decoded(&octets), Err(expected));
    }
    let expected = Invalid::Truncated {
        present: 8,
        expected: 16,
    };
    assert_eq!(header(&[59, 1, 0, 0, 0, 0, 0, 0]), Err(expected));
}

#[test]
fn reserved_bits_are_ignored() {
    let update = [59, 1, 5, 0xff, 0, 0, 0, 7, 0x05, 0xff, 0, 1, 0, 0, 0, 0];
    let expected = BindingUpdate {
        sequence: Sequence(7),
        lifetime: Lifetime(1),
        ..BindingUpdate::default()
    };
    assert_eq!(decoded(&update), Ok(Message::BindingUpdate(expected)));
    let answer = [59, 1, 6, 0xff, 0, 0, 0, 0x5f, 0, 7, 0, 1, 1, 2, 9, 9];
    let expected = BindingAcknowledgement {
        sequence: Sequence(7),
        lifetime: Lifetime(1),
        ..BindingAcknowledgement::default()
    };
    let expected = Message::BindingAcknowledgement(expected);
    assert_eq!(decoded(&answer), Ok(expected));
}

/// A Binding Update with these octets behind its lifetime.
fn update_with(options: &[u8]) -> Vec<u8> {
    let units = ((12 + options.len()) / 8 - 1) as u8;
    [&[59, units, 5, 0, 0, 0, 0, 7, 0, 0, 0, 1][..], options].concat()
}

#[test]
fn options_that_are_none_make_their_message_none() {
    let cases: [(&[u8], Invalid); 6] = [
        (&[0, 0, 0, 9], Invalid::OptionTruncated { kind: 9 }),
        (&[0, 9, 2, 0], Invalid::OptionTruncated { kind: 9 }),
        (&[4, 2, 0, 0], Invalid::OptionLength { kind: 4, length: 2 }),
        (&[8, 0, 0, 0], Invalid::OptionLength { kind: 8, length: 0 }),
        (
            &[25, 1, 0, 0],
            Invalid::OptionLength {
                kind: 25,
                length: 1,
            },
        ),
        (&[5, 2, 0, 0], Invalid::OptionLength { kind: 5, length: 2 }),
    ];
    for (options, expected) in cases {
        assert_eq!(decoded(&update_with(options)), Err(expected), "{options:?}");
    }
    let prefix = [&[22, 18, 0, 129][..], &[0; 16], &[0; 8]].concat();
    let expected = Err(Invalid::PrefixLength(129));
    assert_eq!(decoded(&update_with(&prefix)), expected);
    // In a message that has no options, too.
    let refresh = [59, 1, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0];
    let expected = Invalid::OptionLength { kind: 4, length: 1 };
    assert_eq!(decoded(&refresh), Err(expected));
}

#[test]
fn nothing_may_follow_the_authenticator() {
    let authorization = [&[1, 4, 0, 0, 0, 0, 5, 12][..], &[7; 12]].concat();
    let Ok(Message::BindingUpdate(update)) = decoded(&update_with(&authorization)) else {
        panic!();
    };
    assert_eq!(update.authenticator, Some(Authenticator([7; 12])));
    let followed = [&[0, 0, 0, 0, 0, 5, 12][..], &[7; 12], &[0]].concat();
    let expected = Err(Invalid::AuthorizationNotLast);
    assert_eq!(decoded(&update_with(&followed)), expected);
}

#[test]
fn unknown_options_are_skipped_and_kept() {
    let options = [200, 1, 77, 0, 4, 4, 0, 1, 0, 2, 0, 0];
    let Ok(Message::BindingUpdate(update)) = decoded(&update_with(&options)) else {
        panic!();
    };
    let unknown = MobilityOption::Unknown {
        kind: 200,
        data: vec![77],
    };
    assert_eq!(update.options[0], unknown);
    assert_eq!(update.nonce_indices(), Some((NonceIndex(1), NonceIndex(2))));
}

#[test]
fn a_message_that_does_not_fit_is_not_written() {
    let option = MobilityOption::Unknown {
        kind: 200,
        data: vec![0; 255],
    };
    let message = |count| {
        Message::BindingUpdate(BindingUpdate {
            options: vec![option.clone(); count],
            ..BindingUpdate::default()
        })
    };
    let headers = Headers::between(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    assert_eq!(message(7).encode(&headers).unwrap().len(), 12 + 7 * 257 + 5);
    assert_eq!(message(8).encode(&headers), Err(TooLong(2072)));
}

#[test]
fn lifetimes_are_whole_units_of_four_seconds() {
    let within = |s| Lifetime::within(std::time::Duration::from_secs(s));
    assert_eq!(
        [within(3), within(4), within(423)],
        [0, 1, 105].map(Lifetime)
    );
    assert_eq!(within(1 << 40), Lifetime(u16::MAX));
    assert_eq!(Lifetime(105).to_string(), "420 s");
    assert_eq!(
        Status::SEQUENCE.to_string(),
        "status 135 (sequence number out of window)"
    );
    assert!(Status(127).is_accepted() && !Status(128).is_accepted());
}
