//! Captures that others wrote, against what tshark saw in them (`data/README.md`).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use capture::decode::{Decoder, Frame};
use capture::{LinkType, ReadError};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// One line of tshark's.
#[derive(Debug, PartialEq)]
struct Line {
    nanos: u64,
    src: SocketAddr,
    dst: SocketAddr,
    udp_length: usize,
    captured: usize,
}

fn golden(name: &str) -> Vec<Line> {
    let text = std::fs::read_to_string(data(name)).unwrap();
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines
        .map(|line| {
            let f: Vec<&str> = line.split('\t').collect();
            let (seconds, fraction) = f[0].split_once('.').unwrap();
            let address = |v4: &str, v6: &str, port: &str| {
                let ip: IpAddr = if v4.is_empty() { v6 } else { v4 }.parse().unwrap();
                SocketAddr::new(ip, port.parse().unwrap())
            };
            Line {
                nanos: format!("{seconds}{fraction}").parse().unwrap(),
                src: address(f[1], f[3], f[5]),
                dst: address(f[2], f[4], f[6]),
                udp_length: f[7].parse().unwrap(),
                captured: f[8].parse().unwrap(),
            }
        })
        .collect()
}

fn ours(name: &str, link_type: LinkType) -> Vec<Line> {
    let capture = capture::read(data(name)).unwrap();
    assert!(capture.damage.is_none(), "{:?}", capture.damage);
    assert_eq!(capture.interfaces[0].link_type, link_type);
    let mut decoder = Decoder::default();
    let packets = capture.packets.iter();
    packets
        .map(|p| {
            let packet = decoder.read(Frame::of(&capture.interfaces[0], p)).unwrap();
            let datagram = packet.udp().unwrap();
            Line {
                nanos: p.time.as_nanos(),
                src: datagram.src,
                dst: datagram.dst,
                udp_length: packet.payload.length(),
                captured: p.data.len(),
            }
        })
        .collect()
}

#[test]
fn ethernet_in_pcapng_reads_as_tshark_reads_it() {
    let lines = ours("libcoap-lo.pcapng", LinkType::ETHERNET);
    assert_eq!(lines.len(), 15);
    assert_eq!(lines, golden("libcoap-lo.tshark.txt"));
}

#[test]
fn cooked_version_1_in_microseconds_reads_as_tshark_reads_it() {
    assert_eq!(
        ours("libcoap-any-sll.pcap", LinkType::LINUX_SLL),
        golden("libcoap-any-sll.tshark.txt")
    );
}

#[test]
fn cooked_version_2_in_nanoseconds_reads_as_tshark_reads_it() {
    assert_eq!(
        ours("libcoap-any-sll2.pcap", LinkType::LINUX_SLL2),
        golden("libcoap-any-sll2.tshark.txt")
    );
}

#[test]
fn raw_ip_reads_as_tshark_reads_it() {
    assert_eq!(
        ours("libcoap-raw.pcap", LinkType::RAW),
        golden("libcoap-raw.tshark.txt")
    );
}

#[test]
fn packets_longer_than_the_snap_length_are_read() {
    assert_eq!(
        ours("libcoap-cut.pcap", LinkType::ETHERNET),
        golden("libcoap-cut.tshark.txt")
    );
}

#[test]
fn ipv4_reads_as_tshark_reads_it() {
    assert_eq!(
        ours("libcoap-handover-v4.pcap", LinkType::ETHERNET),
        golden("libcoap-handover-v4.tshark.txt")
    );
}

#[test]
fn a_file_that_ends_inside_a_packet_keeps_the_packets_before_it() {
    for name in ["libcoap-lo.pcapng", "libcoap-raw.pcap"] {
        let bytes = std::fs::read(data(name)).unwrap();
        let capture = capture::Capture::from_reader("cut", &bytes[..bytes.len() - 5]).unwrap();
        assert_eq!(capture.packets.len(), 14);
        let damage = capture.damage.unwrap();
        assert!(matches!(damage, ReadError::Truncated { packet: 15, .. }));
        assert_eq!(
            damage.to_string(),
            "cut: packet 15: the file ends inside it; the packets before it were kept"
        );
    }
}

#[test]
fn a_big_endian_file_reads_like_its_little_endian_twin() {
    // The twin is made by turning every header field of a peer's file round.
    let little = std::fs::read(data("libcoap-any-sll.pcap")).unwrap();
    let mut big = Vec::new();
    let turn = |big: &mut Vec<u8>, field: &[u8]| big.extend(field.iter().rev());
    for (from, to) in [
        (0, 4),
        (4, 6),
        (6, 8),
        (8, 12),
        (12, 16),
        (16, 20),
        (20, 24),
    ] {
        turn(&mut big, &little[from..to]);
    }
    let mut rest = &little[24..];
    while let Some((header, after)) = rest.split_at_checked(16) {
        header.chunks(4).for_each(|field| turn(&mut big, field));
        let captured = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
        big.extend(&after[..captured]);
        rest = &after[captured..];
    }
    let little = capture::Capture::from_reader("little", &little[..]).unwrap();
    let big = capture::Capture::from_reader("big", &big[..]).unwrap();
    assert!(big.damage.is_none());
    assert_eq!(big.interfaces, little.interfaces);
    assert_eq!(big.packets, little.packets);
}

#[test]
fn what_is_no_capture_is_refused_by_name() {
    let error = capture::read(data("README.md")).unwrap_err();
    assert!(matches!(error, ReadError::NotACapture { .. }));
    assert!(
        error
            .to_string()
            .contains("README.md: not a pcap or pcapng file")
    );
    let error = capture::read(data("absent.pcap")).unwrap_err();
    assert!(matches!(error, ReadError::Open { .. }));
}
