//! ESP without encryption, which is read, and with, which is not.

use super::super::*;
use super::{V4, ip, udp, unread, v4_packet, v6_address, v6_packet};

const HIDDEN: Option<Unread> = Some(Unread::Named("ESP"));

/// Home registration and its acknowledgement on `lowpan0` as Linux 6.1 sends them with NULL encryption and
/// HMAC-SHA-256-128; Wireshark 4.0 finds both ICVs right.
const UPDATE: &str = "600085e100543c4020010db800010000084a09e1f889fbbc20010db80000000000000000000000043202010200\
     00c91020010db8a0000000084a09e1f889fbbc00000100000000013b03050077644a47c00003840100031020010db8\
     00010000084a09e1f889fbbc01020287e0bea22a89cf27351ae49b13c9028cf9";
const ANSWER: &str = "600a1c1200442b3f20010db800000000000000000000000420010db800010000084a09e1f889fbbc3202020100\
     00000020010db8a0000000084a09e1f889fbbc00000101000000013b0106006db100004a4703840102000001020287\
     ec64d400ad7df59f7bb9b20fcd8c5f04";

fn octets(digits: &str) -> Vec<u8> {
    let digits: Vec<char> = digits.chars().collect();
    let pair = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// ESP of an ICV of so many bytes around a payload.
fn esp(next: u8, payload: &[u8], icv: usize) -> Vec<u8> {
    let pad = (payload.len() + 2).next_multiple_of(4) - payload.len() - 2;
    let padding = (1..=pad as u8).chain([pad as u8, next]);
    let mut packet = vec![0, 0, 1, 0, 0, 0, 0, 1];
    packet.extend(payload);
    packet.extend(padding);
    packet.extend((0..icv).map(|byte| byte as u8 ^ 0xa5));
    packet
}

/// In IPv6, between the addresses of [`v6_packet`].
fn in_v6(payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([50, 64]);
    packet.extend(v6_address(1));
    packet.extend(v6_address(2));
    packet.extend(payload);
    packet
}

#[test]
fn registrations_of_linux_are_read_and_all_their_octets_count() {
    for (text, kind, message, octets_of_it) in [(UPDATE, 5, 32, 124), (ANSWER, 6, 16, 108)] {
        let bytes = octets(text);
        let packet = ip(LinkType::RAW, &bytes).unwrap();
        assert_eq!((packet.protocol, packet.payload[2]), (135, kind));
        assert_eq!(packet.payload.length(), message);
        assert!(!packet.payload.is_cut());
        let all = packet.header_bytes + packet.payload.length();
        assert_eq!((all, bytes.len()), (octets_of_it, octets_of_it));
    }
    let update = octets(UPDATE);
    let home = "2001:db8:a000:0:84a:9e1:f889:fbbc".parse().unwrap();
    assert_eq!(
        ip(LinkType::RAW, &update).map(|packet| packet.src),
        Some(home)
    );
    let answer = octets(ANSWER);
    assert_eq!(
        ip(LinkType::RAW, &answer).map(|packet| packet.dst),
        Some(home)
    );
}

#[test]
fn what_has_no_right_checksum_or_padding_is_taken_for_encrypted() {
    let bytes = octets(UPDATE);
    // From the message's first octet to the next header; the ICV says nothing without the key.
    for bit in 72 * 8..108 * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(unread(LinkType::RAW, &changed), HIDDEN, "bit {bit}");
    }
}

#[test]
fn datagrams_and_tunnels_are_read_with_an_icv_of_any_usual_length() {
    for icv in [12, 16, 24, 32] {
        for data in [&b"hello"[..], b"hello!", b"hello, world", b""] {
            let inner = v6_packet(data);
            let over_v4 = v4_packet(data);
            let in_tunnel = |next, packet: &[u8]| in_v6(&esp(next, packet, icv));
            for packet in [
                in_v6(&esp(17, &inner[40..], icv)),
                in_tunnel(41, &inner),
                in_tunnel(4, &over_v4),
            ] {
                let read = udp(LinkType::RAW, &packet).map(|datagram| datagram.payload);
                assert_eq!(read.as_deref(), Some(data), "{icv}");
                let bytes = packet.len();
                let packet = ip(LinkType::RAW, &packet).unwrap();
                assert_eq!(packet.header_bytes + packet.payload.length(), bytes);
            }
        }
    }
    // IPv4's pseudo-header has IPv4's addresses.
    let inner = v4_packet(b"hello");
    let payload = esp(17, &inner[20..], 16);
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, 50, 0, 0]);
    packet.extend(V4.0);
    packet.extend(V4.1);
    packet.extend(payload);
    assert_eq!(udp(LinkType::RAW, &packet).unwrap().payload, b"hello");
}

/// A message between the addresses of [`v6_packet`] with its checksum, RFC 8200 §8.1, at an offset.
fn summed(protocol: u8, mut message: Vec<u8>, at: usize) -> Vec<u8> {
    let mut covered = [v6_address(1), v6_address(2)].concat();
    covered.extend([0, 0, 0, message.len() as u8, 0, 0, 0, protocol]);
    covered.extend(&message);
    let sum = covered
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])));
    let sum = sum.sum::<u32>();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    message[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    message
}

#[test]
fn segments_and_icmpv6_are_read_if_their_checksums_are_right() {
    let mut segment = vec![0, 80, 0xc0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18];
    segment.extend([0x10, 0, 0, 0, 0, 0, b'h', b'i']);
    let echo = vec![128, 0, 0, 0, 0, 7, 0, 1, b'h', b'i'];
    for (protocol, message, at) in [(6, segment, 16), (58, echo, 2)] {
        let message = summed(protocol, message, at);
        let packet = in_v6(&esp(protocol, &message, 16));
        let read = ip(LinkType::RAW, &packet).unwrap();
        assert_eq!((read.protocol, &read.payload[..]), (protocol, &message[..]));
        for bit in 0..8 * message.len() {
            let mut wrong = message.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            let packet = in_v6(&esp(protocol, &wrong, 16));
            assert_eq!(
                unread(LinkType::RAW, &packet),
                HIDDEN,
                "{protocol}, bit {bit}"
            );
        }
    }
}

#[test]
fn as_much_padding_as_there_can_be_is_padding() {
    let datagram = &v6_packet(b"hi!")[40..];
    let mut payload = vec![0, 0, 1, 0, 0, 0, 0, 1];
    payload.extend(datagram);
    payload.extend(1..=u8::MAX);
    payload.extend([u8::MAX, 17]);
    payload.extend([0xa5; 16]);
    let read = udp(LinkType::RAW, &in_v6(&payload));
    assert_eq!(read.unwrap().payload, b"hi!");
}

#[test]
fn encrypted_bytes_stay_encrypted() {
    // A generator of Numerical Recipes'.
    let mut word = 1_u32;
    let mut random = || {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (word >> 24) as u8
    };
    for packet in 0..20_000 {
        let bytes: Vec<u8> = (0..8 + packet % 120).map(|_| random()).collect();
        assert_eq!(unread(LinkType::RAW, &in_v6(&bytes)), HIDDEN, "{bytes:?}");
    }
    // Next headers of which nothing can be checked, and data of other lengths than they say.
    let datagram = &v6_packet(b"hello")[40..];
    for (next, payload) in [
        (59, datagram),
        (132, datagram),
        (135, datagram),
        (41, datagram),
        (4, datagram),
        (17, &datagram[..7]),
        (6, &[]),
        (58, &[]),
    ] {
        let packet = in_v6(&esp(next, payload, 16));
        assert_eq!(unread(LinkType::RAW, &packet), HIDDEN, "{next}");
    }
    for end in 40..48 {
        let mut short = in_v6(&[0; 8]);
        short.truncate(end);
        short[5] = end as u8 - 40;
        assert_eq!(unread(LinkType::RAW, &short), HIDDEN, "{end}");
    }
}

#[test]
fn of_what_the_capture_cut_nobody_knows_whether_it_is_encrypted() {
    let packet = octets(UPDATE);
    let mut decoder = Decoder::default();
    let cut = Frame {
        length: packet.len(),
        ..super::frame(LinkType::RAW, &packet[..120])
    };
    assert_eq!(decoder.read(cut), None);
    assert_eq!(decoder.unread(), &[(Unread::Cut("ESP"), 1)].into());
}
