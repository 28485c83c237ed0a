//! Frames of IEEE 802.15.4 and 6LoWPAN of every form, against tshark; and the captures of one
//! walk at the kernel's interfaces and on the air, against each other.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use capture::decode::{Decoder, Frame, IpPacket, Options};
use capture::{Interface, LinkType, Packet, Writer};
use units::SimTime;

/// A generator of frames: splitmix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, n: u64) -> u8 {
        (self.next() % n) as u8
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// Contexts of header compression, as tshark's preferences take them.
const CONTEXTS: [(u8, &str); 3] = [
    (0, "2001:db8:1::/64"),
    (3, "2001:db8:3::/48"),
    (9, "2001:db8:9:9:8000::/72"),
];

/// A data frame with a UDP datagram, compressed.
fn random_frame(dice: &mut Dice, sequence: u8) -> Vec<u8> {
    let mut frame = mac_header(dice, sequence);
    if dice.below(4) == 0 {
        // Mesh addressing, then a broadcast header.
        let short = dice.below(4);
        frame.push(0x80 | short << 4 | (1 + dice.below(13)));
        frame.extend(dice.bytes(if short & 2 != 0 { 2 } else { 8 }));
        frame.extend(dice.bytes(if short & 1 != 0 { 2 } else { 8 }));
        if dice.below(2) == 0 {
            frame.extend([0x50, dice.next() as u8]);
        }
    }
    iphc(dice, &mut frame);
    for _ in 0..dice.below(3) {
        let eid = [0_u8, 3][usize::from(dice.below(2))];
        // Options of a length of their own choosing: PadN.
        let length = dice.below(12);
        frame.extend([0xe1 | eid << 1, length + 2, 0x1e, length]);
        frame.extend(vec![0; length.into()]);
    }
    udp(dice, &mut frame);
    let length = 1 + usize::from(dice.below(20));
    frame.extend(dice.bytes(length));
    frame
}

fn mac_header(dice: &mut Dice, sequence: u8) -> Vec<u8> {
    let (to, from) = (2 + dice.below(2), 2 + dice.below(2));
    let version = dice.below(3);
    let compressed = dice.below(2);
    let control = 1
        | u16::from(compressed) << 6
        | u16::from(to) << 10
        | u16::from(version) << 12
        | u16::from(from) << 14;
    let mut frame = control.to_le_bytes().to_vec();
    frame.push(sequence);
    let both_extended = to == 3 && from == 3;
    let pans = match version {
        2 if both_extended => [compressed == 0, false],
        _ => [true, compressed == 0],
    };
    for (mode, pan) in [to, from].into_iter().zip(pans) {
        if pan {
            frame.extend([dice.below(3), 0]);
        }
        frame.extend(dice.bytes(if mode == 3 { 8 } else { 2 }));
    }
    frame
}

fn iphc(dice: &mut Dice, frame: &mut Vec<u8>) {
    let (tf, hlim) = (dice.below(4), dice.below(4));
    let [sci, dci] = [0; 2].map(|_| CONTEXTS[usize::from(dice.below(3))].0);
    let cid = u8::from(sci != 0 || dci != 0 || dice.below(2) == 0);
    let (sac, sam) = (dice.below(2), dice.below(4));
    // DAC with DAM 00 is reserved; of a multicast destination the rest is.
    let (m, dac, dam) = match dice.below(4) {
        0 => (1, 0, dice.below(4)),
        1 => (0, 0, dice.below(4)),
        2 => (0, 1, 1 + dice.below(3)),
        _ => (1, 1, 0),
    };
    frame.push(0x60 | tf << 3 | 1 << 2 | hlim);
    frame.push(cid << 7 | sac << 6 | sam << 4 | m << 3 | dac << 2 | dam);
    if cid == 1 {
        frame.push(sci << 4 | dci);
    }
    frame.extend(dice.bytes([4, 3, 1, 0][usize::from(tf)]));
    if hlim == 0 {
        frame.push(1 + dice.below(255));
    }
    let unicast = [16, 8, 2, 0];
    let src = match (sac, sam) {
        (1, 0) => 0,
        _ => unicast[usize::from(sam)],
    };
    frame.extend(dice.bytes(src));
    let dst = match (m, dac) {
        (1, 0) => [16, 6, 4, 1][usize::from(dam)],
        (1, _) => 6,
        _ => unicast[usize::from(dam)],
    };
    let start = frame.len();
    frame.extend(dice.bytes(dst));
    if (m, dac, dam) == (1, 0, 0) {
        frame[start] = 0xff;
    }
}

fn udp(dice: &mut Dice, frame: &mut Vec<u8>) {
    let (elided, form) = (dice.below(2), dice.below(4));
    frame.push(0xf0 | elided << 2 | form);
    frame.extend(dice.bytes([4, 3, 3, 1][usize::from(form)]));
    if elided == 0 {
        frame.extend(dice.bytes(2));
    }
}

/// What tshark sees of each frame of a file.
fn tshark(file: &Path, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).arg("-Tfields");
    for (id, prefix) in CONTEXTS {
        command.arg(format!("-o6lowpan.context{id}:{prefix}"));
    }
    command.args(fields.iter().map(|field| format!("-e{field}")));
    let output = command
        .output()
        .expect("tshark is needed for this test: install the package tshark");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(String::from).collect()
}

#[test]
fn frames_of_every_form_read_as_tshark_reads_them() {
    let mut dice = Dice(1);
    let packets: Vec<Packet> = (0..3_000_u64)
        .map(|n| {
            let frame = random_frame(&mut dice, n as u8);
            Packet::new(0, SimTime::from_nanos(n * 10_000_000_000), frame)
        })
        .collect();
    let interface = Interface::new("wpan0", LinkType::IEEE802_15_4_NOFCS);
    let mut writer = Writer::new(Vec::new(), std::slice::from_ref(&interface)).unwrap();
    packets.iter().for_each(|p| writer.write(p).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("frames.pcapng");
    std::fs::write(&file, writer.finish().unwrap()).unwrap();

    let contexts = CONTEXTS.map(|(id, prefix)| (id, prefix.parse().unwrap()));
    let mut decoder = Decoder::new(Options {
        contexts: contexts.into(),
    });
    let fields = [
        "ipv6.src",
        "ipv6.dst",
        "ipv6.hlim",
        "udp.srcport",
        "udp.dstport",
        "udp.length",
    ];
    let theirs = tshark(&file, &fields);
    assert_eq!(theirs.len(), packets.len());
    for (packet, theirs) in packets.iter().zip(theirs) {
        let frame = Frame::of(&interface, packet);
        let read = decoder.read(frame);
        let read = read.unwrap_or_else(|| panic!("{:02x?}: {theirs}", packet.data));
        let datagram = read.udp().unwrap();
        let ours = format!(
            "{}\t{}\t{}\t{}\t{}\t{}",
            read.src,
            read.dst,
            read.header.hop_limit,
            datagram.src.port(),
            datagram.dst.port(),
            datagram.payload.len() + 8
        );
        assert_eq!(ours, theirs, "{:02x?}", packet.data);
    }
}

/// What an IP packet is, and when it was there, in the order of captures.
type Found = Vec<(String, SimTime)>;

fn found(packet: &IpPacket<'_>) -> (String, SimTime) {
    let text = format!(
        "{} to {} after {} hops: {} {:02x?}",
        packet.src,
        packet.dst,
        255 - packet.header.hop_limit,
        packet.protocol,
        &*packet.payload
    );
    (text, packet.time)
}

/// The packets of a capture in `data`, and how many frames the MAC sent again.
fn packets(name: &str) -> (Found, u64) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    let capture = capture::read(path).unwrap();
    let mut decoder = Decoder::default();
    let interface = &capture.interfaces[0];
    let packets = capture.packets.iter();
    let found = packets.filter_map(|p| Some(found(&decoder.read(Frame::of(interface, p))?)));
    let found = found.collect();
    assert_eq!(decoder.unread(), &BTreeMap::new());
    assert_eq!(decoder.incomplete(), 0);
    (found, decoder.repeated())
}

#[test]
fn what_linux_compressed_and_fragmented_is_what_it_had_and_expands() {
    let (mut lowpan, _) = packets("walk.lowpan0.pcap");
    let (mut wpan, repeated) = packets("walk.wpan0.pcap");
    assert_eq!((lowpan.len(), repeated), (44, 0));
    // Linux hands a packet that it sends to the one interface and to the other before it takes
    // what came in meanwhile.
    lowpan.sort();
    wpan.sort();
    for ((expanded, at), (read, seen)) in lowpan.iter().zip(&wpan) {
        assert_eq!(read, expanded);
        let apart = seen.saturating_since(*at).max(at.saturating_since(*seen));
        assert!(apart < Duration::from_micros(10), "{apart:?}");
    }
    assert_eq!(wpan.len(), lowpan.len());
}

#[test]
fn what_is_on_the_air_of_both_routers_has_all_that_the_node_has() {
    let (lowpan, _) = packets("walk.lowpan0.pcap");
    let (air, repeated) = packets("walk.air.pcap");
    assert_eq!(repeated, 3);
    let on_air: Vec<&String> = air.iter().map(|(packet, _)| packet).collect();
    for (packet, _) in &lowpan {
        assert!(on_air.contains(&packet), "{packet}");
    }
}
