//! Mobility Headers and what is around them: what is read is the same after encoding, and stands where
//! RFC 6275 has it.

#![no_main]

use std::net::Ipv6Addr;

use libfuzzer_sys::fuzz_target;
use mip6::codec::{self, Invalid, Message};
use mip6::headers::{
    home_address_header, is_unicast_routable, read_home_address, read_routing_header,
    routing_header,
};
use mip6::{Headers, MapOption};

const HEADERS: Headers = Headers::between(
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
);

fuzz_target!(|octets: &[u8]| {
    mobility_header(octets);
    if let Some(octets) = with_checksum(octets) {
        mobility_header(&octets);
    }
    if let Ok(Some(home)) = read_home_address(octets) {
        assert!(is_unicast_routable(home));
        assert_eq!(
            read_home_address(&home_address_header(59, home)),
            Ok(Some(home))
        );
    }
    if let Ok(Some(home)) = read_routing_header(octets) {
        assert!(is_unicast_routable(home));
        assert_eq!(octets[..4], [octets[0], 2, 2, 1]);
        assert_eq!(
            read_routing_header(&routing_header(59, home)),
            Ok(Some(home))
        );
    }
    if let Ok(option) = MapOption::decode(octets) {
        assert_eq!(MapOption::decode(&option.encode()), Ok(option));
        assert_eq!(option.encode()[2..], octets[2..]);
    }
});

/// The same octets with a right checksum: hardly any have one by chance.
fn with_checksum(octets: &[u8]) -> Option<Vec<u8>> {
    let length = codec::header(octets).ok()?.len();
    let mut octets = octets[..length].to_vec();
    octets[0] = 59;
    let sum = codec::checksum(HEADERS.source, HEADERS.destination, &octets);
    octets[4..6].copy_from_slice(&sum.to_be_bytes());
    Some(octets)
}

fn mobility_header(octets: &[u8]) {
    match Message::decode(&HEADERS, octets) {
        Ok(message) => {
            says_what_its_octets_say(&message, octets);
            // Alignment may make it longer than a header can be.
            let Ok(again) = message.encode(&HEADERS) else {
                assert!(octets.len() > 256);
                return;
            };
            assert_eq!(again.len() % 8, 0);
            assert_eq!(Message::decode(&HEADERS, &again), Ok(message));
        }
        Err(Invalid::Truncated { present, expected }) => {
            assert!(present == octets.len() && present < expected);
        }
        Err(_) => {}
    }
}

/// Fixed fields, read from the octets themselves.
fn says_what_its_octets_say(message: &Message, octets: &[u8]) {
    assert_eq!((octets[0], octets[2]), (59, message.kind() as u8));
    let u16_at = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
    match message {
        Message::BindingRefreshRequest => {}
        Message::HomeTestInit { cookie } | Message::CareOfTestInit { cookie } => {
            assert_eq!(octets[8..16], cookie.0);
        }
        Message::HomeTest {
            nonce,
            cookie,
            token,
        }
        | Message::CareOfTest {
            nonce,
            cookie,
            token,
        } => {
            assert_eq!((u16_at(6), &octets[8..16]), (nonce.0, &cookie.0[..]));
            assert_eq!(octets[16..24], token.0);
        }
        Message::BindingUpdate(update) => {
            let flags = [
                update.acknowledge,
                update.home_registration,
                update.link_local_compatibility,
                update.key_management,
                update.map_registration,
            ];
            for (bit, set) in flags.into_iter().enumerate() {
                assert_eq!(octets[8] & (0x80 >> bit) != 0, set);
            }
            assert_eq!(octets[8] & 2 != 0, update.proxy_registration);
            assert_eq!(
                (u16_at(6), u16_at(10)),
                (update.sequence.0, update.lifetime.0)
            );
        }
        Message::BindingAcknowledgement(answer) => {
            assert_eq!(octets[6], answer.status.0);
            assert_eq!(
                (u16_at(8), u16_at(10)),
                (answer.sequence.0, answer.lifetime.0)
            );
        }
        Message::BindingError {
            status,
            home_address,
        } => {
            assert_eq!(
                (octets[6], &octets[8..24]),
                (status.0, &home_address.octets()[..])
            );
        }
    }
}
