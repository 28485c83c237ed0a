//! What we write, read by ourselves and by tshark.

use std::path::Path;
use std::process::Command;

use capture::{Capture, Interface, LinkType, Mark, Packet, Writer, annotate, merge};
use etherparse::PacketBuilder;
use proptest::prelude::*;
use units::SimTime;

const START: u64 = 1_700_000_000_000_000_000;

fn at(nanos: u64) -> SimTime {
    SimTime::from_nanos(START + nanos)
}

/// A CoAP GET of `/t` or its response, `message_id` in both.
fn coap(request: bool, message_id: u8) -> Vec<u8> {
    let (client, server) = ([0xfd; 16], [0xfe; 16]);
    let payload: &[u8] = if request {
        &[0x41, 0x01, 0x00, message_id, 0x07, 0xb1, b't']
    } else {
        &[0x61, 0x45, 0x00, message_id, 0x07, 0xff, b'2', b'1']
    };
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let mut frame = Vec::new();
    if request {
        let builder = builder.ipv6(client, server, 64).udp(40000, 5683);
        builder.write(&mut frame, payload).unwrap();
    } else {
        let builder = builder.ipv6(server, client, 64).udp(5683, 40000);
        builder.write(&mut frame, payload).unwrap();
    }
    frame
}

fn capture(name: &str) -> Capture {
    Capture {
        name: name.into(),
        interfaces: vec![Interface::new("eth0", LinkType::ETHERNET)],
        packets: vec![
            Packet::new(0, at(1_000_000), coap(true, 1)),
            Packet::new(0, at(3_000_001), coap(false, 1)),
        ],
        damage: None,
    }
}

fn marks() -> Vec<Mark> {
    vec![
        Mark {
            time: at(0),
            text: "scenario started".into(),
        },
        Mark {
            time: at(2_000_000),
            text: "sensor: handover 1 started, from er1 (signal)".into(),
        },
    ]
}

fn write(path: &Path, capture: &Capture) {
    let file = std::fs::File::create(path).unwrap();
    let mut writer = Writer::new(file, &capture.interfaces).unwrap();
    for packet in &capture.packets {
        writer.write(packet).unwrap();
    }
    writer.finish().unwrap();
}

/// Lines of `tshark -r`, which must succeed without a word of error.
fn tshark(path: &Path, arguments: &[&str]) -> Vec<String> {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(path)
        .args(arguments)
        .output()
        .expect("tshark is needed for this test: install the package tshark");
    let errors = String::from_utf8(output.stderr).unwrap();
    let mut errors = errors.lines().filter(|l| !l.starts_with("Running as user"));
    assert_eq!(errors.next(), None);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(String::from).collect()
}

#[test]
fn tshark_shows_marks_of_a_merged_file_and_dissects_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("all.pcapng");
    write(
        &path,
        &merge(&[capture("client.eth0"), capture("er1.eth0")], &marks()),
    );

    let fields = "-Tfields -eframe.time_epoch -eframe.interface_name -ecoap.mid -eframe.comment";
    let arguments: Vec<&str> = fields.split(' ').collect();
    assert_eq!(
        tshark(&path, &arguments),
        [
            "1700000000.000000000\tmarks\t\tscenario started",
            "1700000000.001000000\tclient.eth0\t1\t",
            "1700000000.001000000\ter1.eth0\t1\t",
            "1700000000.002000000\tmarks\t\tsensor: handover 1 started, from er1 (signal)",
            "1700000000.003000001\tclient.eth0\t1\t",
            "1700000000.003000001\ter1.eth0\t1\t",
        ]
    );
    let info = tshark(&path, &["-Tfields", "-e_ws.col.Info"]);
    assert!(info[0].contains("scenario started"), "{}", info[0]);
    assert!(info[1].contains("MID:1, GET"), "{}", info[1]);
    let complaints = "_ws.expert.severity >= 0x600000 || _ws.malformed";
    assert_eq!(tshark(&path, &["-Y", complaints]), Vec::<String>::new());
}

#[test]
fn tshark_shows_marks_of_an_annotated_file_as_comments() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("client.eth0.pcapng");
    let mut capture = capture("client.eth0");
    annotate(&mut capture.packets, &marks());
    write(&path, &capture);
    assert_eq!(
        tshark(&path, &["-Tfields", "-ecoap.mid", "-eframe.comment"]),
        [
            "1\tscenario started (1ms before this packet)",
            "1\tsensor: handover 1 started, from er1 (signal) (1.000001ms before this packet)",
        ]
    );
}

#[test]
fn tshark_dissects_802_15_4_of_every_link_type() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wpan0.pcapng");
    // An acknowledgement (IEEE 802.15.4-2006 §7.2.2.3) with sequence number 42: frame
    // control 0x0002; FCS over both by the standard's polynomial.
    let frame = [0x02, 0x00, 42];
    let with_fcs = [&frame[..], &fcs(&frame).to_le_bytes()].concat();
    // TAP header of 12 bytes with one TLV: FCS type (0), 1 byte, none (0), padding.
    let tap = [&[0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0][..], &frame].concat();
    let capture = Capture {
        interfaces: vec![
            Interface::new("a", LinkType::IEEE802_15_4),
            Interface::new("b", LinkType::IEEE802_15_4_NOFCS),
            Interface::new("c", LinkType::IEEE802_15_4_TAP),
        ],
        packets: vec![
            Packet::new(0, at(0), with_fcs),
            Packet::new(1, at(1), frame.to_vec()),
            Packet::new(2, at(2), tap),
        ],
        ..Capture::default()
    };
    write(&path, &capture);
    assert_eq!(
        tshark(&path, &["-Tfields", "-ewpan.frame_type", "-ewpan.seq_no"]),
        ["0x0002\t42", "0x0002\t42", "0x0002\t42"]
    );
}

/// ITU-T CRC-16 as IEEE 802.15.4 uses it.
fn fcs(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 != 0 {
                crc >> 1 ^ 0x8408
            } else {
                crc >> 1
            }
        })
    })
}

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let packet = (
        0_usize..2,
        any::<u64>(),
        prop::collection::vec(any::<u8>(), 0..100),
        0_u32..2000,
        prop::option::of("\\PC{0,40}"),
    );
    let packet = packet.prop_map(|(interface, time, data, more, comment)| Packet {
        interface,
        time: SimTime::from_nanos(time),
        original_len: data.len() as u32 + more,
        data,
        comment,
    });
    prop::collection::vec(packet, 0..20)
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(packets in packets()) {
        let interfaces = vec![
            Interface::new("client.eth0", LinkType::ETHERNET),
            Interface { description: Some("radio".into()), ..Interface::new("w", LinkType::IEEE802_15_4_TAP) },
        ];
        let mut writer = Writer::new(Vec::new(), &interfaces).unwrap();
        for packet in &packets {
            writer.write(packet).unwrap();
        }
        let file = writer.finish().unwrap();
        let capture = Capture::from_reader("f", &file[..]).unwrap();
        prop_assert!(capture.damage.is_none());
        prop_assert_eq!(capture.interfaces, interfaces);
        prop_assert_eq!(capture.packets, packets);
    }

    #[test]
    fn no_damage_makes_the_reader_panic_or_keep_more_than_there_was(
        packets in packets(), at in any::<prop::sample::Index>(), value: u8, end in any::<prop::sample::Index>(),
    ) {
        let interfaces = [Interface::new("a", LinkType::ETHERNET), Interface::new("b", LinkType::RAW)];
        let mut writer = Writer::new(Vec::new(), &interfaces).unwrap();
        for packet in &packets {
            writer.write(packet).unwrap();
        }
        let mut file = writer.finish().unwrap();
        let at = at.index(file.len());
        file[at] = value;
        file.truncate(end.index(file.len()));
        if let Ok(capture) = Capture::from_reader("f", &file[..]) {
            prop_assert!(capture.packets.len() <= packets.len());
        }
    }
}
