//! `captures/air.pcapng` in other people's hands, and beside what the kernels captured.

use std::collections::BTreeSet;
use std::time::Duration;

use capture::LinkType;

use crate::energy;
use crate::frames::{self, without_fcs};
use crate::ping::RUN;

pub fn tshark_understands_every_frame() {
    let run = RUN.path();
    let capture = frames::read(run, "air");
    let types: Vec<LinkType> = capture.interfaces.iter().map(|i| i.link_type).collect();
    assert_eq!(types, [LinkType(283)]);

    let wrong = "_ws.malformed || !wpan || !(wpan.fcs_ok == 1)";
    let wrong = frames::tshark(run, "air", wrong, &["frame.number", "_ws.col.Info"]);
    assert!(wrong.is_empty(), "{wrong:?}");

    let fields = [
        "wpan.fcs_ok",
        "wpan-tap.fcs_type",
        "wpan-tap.ch_num",
        "wpan-tap.rss",
        "wpan-tap.lqi",
        "frame.comment",
    ];
    let rows = frames::tshark(run, "air", "wpan-tap", &fields);
    assert_eq!(rows.len(), capture.packets.len());
    assert!(rows.len() > 1000, "{}", rows.len());
    for row in &rows {
        // FCS type 1: 16 bits.
        assert_eq!(row[..3], ["1", "1", "11"], "{row:?}");
        if row[5].contains("received") {
            // 0 dBm, and 40 dB from a node to its router: 55 dB over the sensitivity.
            assert_eq!(row[3], "-40", "{row:?}");
            let lqi: u8 = row[4].parse().unwrap();
            assert!(lqi > 200, "{row:?}");
        } else {
            assert_eq!(row[3..5], ["", ""], "{row:?}");
        }
    }
}

pub fn tshark_reassembles_the_pings() {
    for kind in ["128", "129"] {
        let filter = format!("icmpv6.type == {kind}");
        let rows = frames::tshark(
            RUN.path(),
            "air",
            &filter,
            &["icmpv6.checksum.status", "data.len"],
        );
        assert_eq!(rows.len(), 24);
        for row in rows {
            assert_eq!(row, ["1", "1000"], "checksum good, length");
        }
    }
}

pub fn contents_are_the_kernels() {
    let run = RUN.path();
    let air = frames::air(run);
    // With those that found no free channel.
    let handed_over = frames::read(run, "air");
    let handed_over = handed_over.packets.iter().map(frames::psdu);
    let handed_over: BTreeSet<&[u8]> = handed_over.map(without_fcs).collect();
    // While the network is made, frames are on the air before anybody captures, and when the run
    // is over some are captured that wait for the air in vain.
    let [start, end] = energy::scenario(run);
    for node in ["er1", "sensor"] {
        let kernel = frames::read(run, &format!("{node}.wpan0"));
        let captured: BTreeSet<&[u8]> = kernel.packets.iter().map(|p| &p.data[..]).collect();
        let data = air.iter().filter(|frame| !frame.is_ack());
        let own = data.filter(|frame| frame.transmitter() == node || frame.reached(node));
        for frame in own.filter(|frame| start < frame.start && frame.end < end) {
            let known = captured.contains(without_fcs(&frame.psdu));
            assert!(known, "{node}: {frame:02x?}");
        }
        for packet in &kernel.packets {
            let known = handed_over.contains(&packet.data[..]);
            let in_time = packet.time + Duration::from_millis(100) < end;
            assert!(known || !in_time, "{node}: {packet:02x?}");
        }
    }
}

pub fn comments_name_the_fates() {
    let mut received = 0;
    for frame in frames::air(RUN.path()) {
        let sender = frame.transmitter();
        let other = if sender == "er1" { "sensor" } else { "er1" };
        let (what, fate) = frame.comment.split_once("; ").unwrap();
        if frame.is_ack() {
            assert_eq!(what, format!("{sender}: ACK"));
        } else {
            let attempt = what.strip_prefix(&format!("{sender}: attempt ")).unwrap();
            assert!((1..=4).contains(&attempt.parse::<u8>().unwrap()), "{what}");
        }
        // -174 dBm/Hz over 2 MHz (63.0 dB) and 15.6 dB are 55.4 dB under -40 dBm.
        let fates = [
            "received, -40.0 dBm, SINR 55.4 dB",
            "lost: receiver was transmitting, -40.0 dBm",
        ];
        let expected = fates.map(|fate| format!("{other}: {fate}"));
        assert!(expected.contains(&fate.to_owned()), "{fate}");
        received += usize::from(frame.reached(other));
    }
    assert!(received > 1000, "{received}");
}
