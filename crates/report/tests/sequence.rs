//! Message sequences on the page, out of captures that anybody may have written.

mod common;

use std::fs::{self, File};
use std::net::Ipv6Addr;
use std::path::Path;

use capture::{Capture, Interface, LinkType, Packet, Writer};
use common::{parse, plan_with, read, text};
use topology::Plan;
use units::SimTime;

/// An IPv6 packet with a CoAP message (RFC 7252 §3) of Message ID and token `id`; a GET of `path` if there is one,
/// else a 2.05.
fn packet(from: Ipv6Addr, to: Ipv6Addr, id: u16, path: Option<&str>) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let (kind, code) = if path.is_some() {
        (0x42, 0x01)
    } else {
        (0x62, 0x45)
    };
    let mut coap = vec![kind, code, high, low, high, low];
    for segment in path.into_iter().flat_map(|path| path.split('/')) {
        // Uri-Path is option 11; 13 says that a byte has the length over 13.
        let delta = if coap.len() == 6 { 0xb0 } else { 0 };
        let length = u8::try_from(segment.len()).unwrap();
        match length {
            0..13 => coap.push(delta | length),
            _ => coap.extend([delta | 13, length - 13]),
        }
        coap.extend(segment.bytes());
    }
    let length = u16::try_from(8 + coap.len()).unwrap().to_be_bytes();
    let port = 5683_u16.to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], 17, 64];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend([port, port, length, [0, 0]].concat());
    packet.extend(coap);
    packet
}

fn write(path: &Path, link: LinkType, packets: &[(u64, Vec<u8>)]) {
    let interface = Interface::new("x", link);
    let packets = packets.iter();
    let packets = packets.map(|(ms, data)| {
        let time = SimTime::from_nanos(1_600_000_000_000_000_000 + ms * 1_000_000);
        Packet::new(0, time, data.clone())
    });
    let capture = Capture {
        interfaces: vec![interface],
        packets: packets.collect(),
        ..Capture::default()
    };
    let mut writer = Writer::new(File::create(path).unwrap(), &capture.interfaces).unwrap();
    for packet in &capture.packets {
        writer.write(packet).unwrap();
    }
    writer.finish().unwrap();
}

/// A run directory in which the client asks for each of `paths`, and the node answers all but the last.
fn run(paths: &[String]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let yaml = plan_with(&[]);
    let plan = Plan::from_yaml(&yaml).unwrap();
    fs::write(dir.path().join("plan.yaml"), yaml).unwrap();
    let eth = plan.nodes["client"].backbone.as_ref().unwrap();
    let (client, node) = (eth.address.addr(), plan.nodes["sensor"].address);
    let (mut wired, mut air) = (Vec::new(), Vec::new());
    let frame = |is_sent: bool, packet: &[u8]| {
        let (own, other) = (eth.mac.0, [2; 6]);
        let (to, from) = if is_sent { (other, own) } else { (own, other) };
        [&to[..], &from, &[0x86, 0xdd], packet].concat()
    };
    for (id, path) in (0..).zip(paths) {
        let at = u64::from(id) * 10;
        let request = packet(client, node, id, Some(path));
        wired.push((at, frame(true, &request)));
        if usize::from(id) + 1 < paths.len() {
            let answer = packet(node, client, id, None);
            air.extend([(at + 1, request), (at + 2, answer.clone())]);
            wired.push((at + 3, frame(false, &answer)));
        }
    }
    // The captures go on for long, so that what did not come is lost.
    let last = 1_000_000;
    wired.push((last, frame(false, &packet(node, client, u16::MAX, None))));
    let captures = dir.path().join("captures");
    fs::create_dir(&captures).unwrap();
    write(
        &captures.join("client.eth0.pcapng"),
        LinkType::ETHERNET,
        &wired,
    );
    write(&captures.join("sensor.lowpan0.pcapng"), LinkType::RAW, &air);
    dir
}

#[test]
fn of_very_many_kinds_of_exchanges_some_are_drawn_and_the_page_says_so() {
    let paths: Vec<String> = (0..300).map(|n| format!("r{n}")).collect();
    let dir = run(&paths);
    let report = read(dir.path());
    let page = report.html();
    let document = parse(&page);
    let text = text(&document);
    // What one capture point keeps, and of that what is drawn.
    assert!(
        text.contains("Of at least 256 kinds 16 are drawn"),
        "{text}"
    );
    let drawn = report
        .svgs()
        .into_iter()
        .filter(|(name, _)| name.starts_with("exchange-"));
    assert_eq!(drawn.count(), 16);
    assert!(text.contains("CON GET /r0 MID 0x0000"));
    assert!(!text.contains("GET /r299"));
}

#[test]
fn a_path_from_a_capture_is_text_and_a_request_that_nobody_received_is_a_cross() {
    let hostile = "</title></svg><script>alert(1)</script>&\"'\u{202e}";
    let dir = run(&[hostile.to_owned(), "t".into()]);
    let report = read(dir.path());
    let page = report.html();
    let document = parse(&page);
    let scripts = |n: &roxmltree::Node| n.tag_name().name() == "script";
    assert_eq!(document.descendants().filter(scripts).count(), 1, "its own");
    assert!(text(&document).contains("<script>alert(1)"));
    let svgs = report.svgs();
    let figure = |name: &str| &svgs.iter().find(|(of, _)| of == name).unwrap().1;
    let crosses = |name| figure(name).matches("class=\"bad\"").count();
    assert_eq!((crosses("exchange-1"), crosses("exchange-2")), (0, 1));
    roxmltree::Document::parse(figure("exchange-1")).unwrap();
}

#[test]
fn without_a_capture_the_page_says_that_there_are_no_sequences() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("plan.yaml"), plan_with(&[])).unwrap();
    let page = read(dir.path()).html();
    assert!(text(&parse(&page)).contains("Message sequences: there is no capture"));
}
