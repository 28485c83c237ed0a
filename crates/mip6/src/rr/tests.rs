//! Tokens, keys and authenticators that Python's `hmac` and `hashlib` have computed, one of them
//! `openssl dgst -sha1 -mac HMAC` as well:
//!
//! ```python
//! import hmac, hashlib, ipaddress
//! A = lambda s: ipaddress.IPv6Address(s).packed
//! kcn, nonce = bytes(range(20)), bytes(range(0xa0, 0xa8))
//! home, care_of, cn = A('2001:db8:f::5'), A('2001:db8:1::5'), A('2001:db8:c::1')
//! home_token = hmac.new(kcn, home + nonce + b'\0', hashlib.sha1).digest()[:8]
//! care_of_token = hmac.new(kcn, care_of + nonce + b'\1', hashlib.sha1).digest()[:8]
//! kbm = hashlib.sha1(home_token + care_of_token).digest()
//! deletion = hashlib.sha1(home_token).digest()
//! data = bytes.fromhex('3b0305000000000780000069040400030004050c')
//! authenticator = hmac.new(kbm, care_of + cn + data, hashlib.sha1).digest()[:12]
//! ```

use units::{Seed, Sequence};

use super::*;
use crate::codec::{BindingAcknowledgement, BindingUpdate, Lifetime, MobilityOption, Status};
use crate::headers::Headers;

const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 5);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 5);
const CORRESPONDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1);

const HOME_TOKEN: KeygenToken = KeygenToken(0x71a3_efac_7efa_754f_u64.to_be_bytes());
const CARE_OF_TOKEN: KeygenToken = KeygenToken(0x6540_0b6f_910f_e703_u64.to_be_bytes());

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let octet = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(octet).collect()
}

fn at(seconds: u64) -> SimTime {
    SimTime::ZERO + Duration::from_secs(seconds)
}

/// Python's Kcn and nonce, the latter first used at second 0.
fn nonces() -> Nonces {
    Nonces {
        node_key: std::array::from_fn(|i| i as u8),
        nonces: [(
            NonceIndex(3),
            std::array::from_fn(|i| 0xa0 + i as u8),
            at(0),
        )]
        .into(),
        rng: Seed(1).rng(&["nonces"]),
    }
}

fn authorization(key: BindingKey, care_of: Ipv6Addr) -> Authorization {
    Authorization {
        key,
        care_of,
        correspondent: CORRESPONDENT,
    }
}

fn update(lifetime: u16, sequence: u16, care_of: u16) -> Message {
    Message::BindingUpdate(BindingUpdate {
        sequence: Sequence(sequence),
        acknowledge: true,
        lifetime: Lifetime(lifetime),
        options: vec![MobilityOption::NonceIndices {
            home: NonceIndex(3),
            care_of: NonceIndex(care_of),
        }],
        ..BindingUpdate::default()
    })
}

#[test]
fn tokens_are_those_that_python_computes() {
    let mut nonces = nonces();
    let home = nonces.token(at(1), Proof::Home, HOME);
    assert_eq!(home, (NonceIndex(3), HOME_TOKEN));
    let care_of = nonces.token(at(29), Proof::CareOf, CARE_OF);
    assert_eq!(care_of, (NonceIndex(3), CARE_OF_TOKEN));
    let again = nonces.token_again(at(239), Proof::Home, HOME, NonceIndex(3));
    assert_eq!(again, Some(HOME_TOKEN));
}

#[test]
fn keys_are_those_that_python_computes() {
    let key = BindingKey::new(HOME_TOKEN, CARE_OF_TOKEN);
    assert_eq!(key.0[..], hex("505168ee78d57bd25d50759909174e33d7b75e8c"));
    let key = BindingKey::of_deletion(HOME_TOKEN);
    assert_eq!(key.0[..], hex("003b101424f809a993e51424ad0cdf1a49cc72c5"));
}

#[test]
fn an_update_has_the_authenticator_and_the_checksum_that_python_computes() {
    let key = BindingKey::new(HOME_TOKEN, CARE_OF_TOKEN);
    let mut message = update(105, 7, 4);
    authorization(key, CARE_OF).sign(&mut message).unwrap();
    let headers = Headers::between(CARE_OF, CORRESPONDENT).from_home(HOME);
    let octets = message.encode(&headers).unwrap();
    let expected = "3b03050036a1000780000069040400030004050cb11a49963559849ea2dc4c14";
    assert_eq!(octets, hex(expected));
    assert!(authorization(key, CARE_OF).verifies(&octets));
}

#[test]
fn a_deletion_is_signed_with_the_home_token_for_the_home_address() {
    let key = BindingKey::of_deletion(HOME_TOKEN);
    let mut message = update(0, 8, 0);
    authorization(key, HOME).sign(&mut message).unwrap();
    let Message::BindingUpdate(signed) = &message else {
        unreachable!();
    };
    let authenticator = signed.authenticator.unwrap();
    assert_eq!(authenticator.0[..], hex("b11ff0d198ea6399c88cd478"));
}

#[test]
fn an_acknowledgement_has_the_authenticator_that_openssl_computes() {
    let key = BindingKey::new(HOME_TOKEN, CARE_OF_TOKEN);
    let mut message = Message::BindingAcknowledgement(BindingAcknowledgement {
        status: Status::ACCEPTED,
        sequence: Sequence(7),
        lifetime: Lifetime(105),
        ..BindingAcknowledgement::default()
    });
    authorization(key, CARE_OF).sign(&mut message).unwrap();
    let headers = Headers::between(CORRESPONDENT, CARE_OF).to_home(HOME);
    let octets = message.encode(&headers).unwrap();
    let expected = "3b0306007931000000070069010400000000050cd9b09afa89a5b31403b52df6";
    assert_eq!(octets, hex(expected));
}

#[test]
fn every_bit_that_is_signed_counts_and_the_checksum_does_not() {
    let key = BindingKey::new(HOME_TOKEN, CARE_OF_TOKEN);
    let ours = authorization(key, CARE_OF);
    let mut message = update(105, 7, 4);
    ours.sign(&mut message).unwrap();
    let headers = Headers::between(CARE_OF, CORRESPONDENT).from_home(HOME);
    let octets = message.encode(&headers).unwrap();
    for bit in 0..octets.len() * 8 {
        let mut other = octets.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        let is_checksum = (4..6).contains(&(bit / 8));
        assert_eq!(ours.verifies(&other), is_checksum, "bit {bit}");
    }
    let elsewhere = authorization(key, HOME);
    let other_key = authorization(BindingKey::of_deletion(HOME_TOKEN), CARE_OF);
    assert!(!elsewhere.verifies(&octets) && !other_key.verifies(&octets));
    for length in 0..octets.len() {
        assert!(!ours.verifies(&octets[..length]), "{length} octets");
    }
}

#[test]
fn a_token_is_accepted_for_210_to_240_seconds_whenever_it_was_made() {
    let mut nonces = Nonces::new(Seed(1).rng(&["nonces"]));
    for made in 0..1000 {
        let (index, token) = nonces.token(at(made), Proof::Home, HOME);
        let again = |now| nonces.token_again(at(now), Proof::Home, HOME, index);
        assert_eq!(again(made + 210), Some(token), "made at {made}");
        assert_eq!(again(made + 240), None, "made at {made}");
        assert!(nonces.len() <= 8, "{} nonces at {made}", nonces.len());
    }
}

#[test]
fn a_nonce_is_made_only_when_somebody_asks_and_the_last_one_is_old() {
    let mut nonces = Nonces::new(Seed(1).rng(&["nonces"]));
    let mut index = |now| nonces.token(at(now), Proof::CareOf, CARE_OF).0.0;
    let first = index(100);
    assert_eq!(index(129), first);
    assert_eq!(index(130), first.wrapping_add(1));
    assert_eq!(index(10_000), first.wrapping_add(2));
}

#[test]
fn an_index_from_before_a_restart_is_unknown() {
    let mut before = Nonces::new(Seed(1).rng(&["nonces"]));
    let (index, _) = before.token(at(0), Proof::Home, HOME);
    let mut after = Nonces::new(Seed(2).rng(&["nonces"]));
    after.token(at(1), Proof::Home, HOME);
    assert_eq!(after.token_again(at(2), Proof::Home, HOME, index), None);
}

#[test]
fn secrets_are_not_printed() {
    let key = BindingKey::new(HOME_TOKEN, CARE_OF_TOKEN);
    let printed = format!("{HOME_TOKEN:?} {key:?} {:?}", nonces());
    assert_eq!(printed, "KeygenToken(..) BindingKey(..) [NonceIndex(3)]");
}
