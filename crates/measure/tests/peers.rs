//! libcoap's traffic as dumpcap captured it, against what tshark saw
//! (`crates/capture/tests/data/README.md`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::common::handovers;
use measure::analysis::{Analysis, Options};
use measure::export::Report;
use measure::text::{Table, report};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../capture/tests/data")
        .join(name)
}

fn analyse(name: &str) -> Analysis {
    let capture = capture::read(data(name)).unwrap();
    Analysis::of(&[capture], &Options::default())
}

/// Per request Message ID: first transmission, number of transmissions, first response; from
/// tshark's lines by the Message-ID arithmetic that one does by hand in Wireshark.
fn golden(name: &str) -> BTreeMap<u16, (u64, usize, Option<u64>)> {
    let text = std::fs::read_to_string(data(name)).unwrap();
    let mut requests: BTreeMap<u16, (u64, usize, Option<u64>)> = BTreeMap::new();
    let mut latest = None;
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let f: Vec<&str> = line.split('\t').collect();
        let nanos: u64 = f[0].replace('.', "").parse().unwrap();
        let (code, message_id): (u8, u16) = (f[10].parse().unwrap(), f[11].parse().unwrap());
        match code {
            0 => {}
            1..=4 => {
                let request = requests.entry(message_id).or_insert((nanos, 0, None));
                request.1 += 1;
                latest = Some(message_id);
            }
            // A response with a Message ID of its own answers the latest request: libcoap's
            // client has one outstanding.
            _ => {
                let message_id = match requests.contains_key(&message_id) {
                    true => message_id,
                    false => latest.unwrap(),
                };
                requests.get_mut(&message_id).unwrap().2 = Some(nanos);
            }
        }
    }
    requests
}

fn ours(analysis: &Analysis) -> BTreeMap<u16, (u64, usize, Option<u64>)> {
    let exchanges = analysis.flows.iter().flat_map(|f| &f.exchanges);
    let rows = exchanges.map(|e| {
        let answered = e.answered_at().map(|time| time.as_nanos());
        (
            e.message_id(),
            (e.sent_at().as_nanos(), 1 + e.retransmissions(), answered),
        )
    });
    rows.collect()
}

#[test]
fn every_link_type_gives_the_table_that_tshark_gives() {
    for name in [
        "libcoap-lo.pcapng",
        "libcoap-any-sll.pcap",
        "libcoap-any-sll2.pcap",
        "libcoap-raw.pcap",
        "libcoap-handover-v4.pcap",
    ] {
        let stem = name.split('.').next().unwrap();
        let table = ours(&analyse(name));
        assert!(table.len() >= 6);
        assert_eq!(table, golden(&format!("{stem}.tshark.txt")), "{name}");
    }
}

#[test]
fn a_handover_over_ipv4_is_measured_as_tshark_shows_it() {
    // tshark -r libcoap-handover-v4.pcap: the last response of 127.0.0.2 is frame 10 at
    // 1795219484.377809000 s (Message ID 46320), the first of 127.0.0.3 frame 14 at
    // 1795219487.197527000 s (Message ID 45288).
    let analysis = analyse("libcoap-handover-v4.pcap");
    assert_eq!(analysis.flows.len(), 1);
    let handovers = handovers(&analysis.flows[0]);
    assert_eq!(handovers.len(), 1);
    assert_eq!(handovers[0].duration().as_nanos(), 2_819_718_000);
    assert_eq!(handovers[0].before.message_id, 46320);
    assert_eq!(handovers[0].after.message_id, 45288);
    assert_eq!(handovers[0].lost, [29988, 44517]);
}

#[test]
fn a_cut_capture_says_so_and_what_it_has_of_messages_counts() {
    let analysis = analyse("libcoap-cut.pcap");
    let other = &analysis.other;
    assert!(other.cut > 0);
    assert_eq!((other.undecodable, other.stray), (0, 0));
    let requests = analysis.flows[0].requests();
    assert!(requests.answered > 0, "{requests:?}");
    let report = report(&analysis, Table::None);
    assert!(report.contains("cut by the capture"), "{report}");
}

#[test]
fn the_report_of_a_handover_reads_well() {
    let expected = include_str!("data/handover-v4.txt");
    let report = report(&analyse("libcoap-handover-v4.pcap"), Table::Notable);
    assert_eq!(report, expected, "\n{report}");
}

#[test]
fn the_report_of_every_kind_of_exchange_reads_well() {
    let expected = include_str!("data/lo.txt");
    let report = report(&analyse("libcoap-lo.pcapng"), Table::All);
    assert_eq!(report, expected, "\n{report}");
}

#[test]
fn the_json_of_a_handover_has_the_documented_keys() {
    let analysis = analyse("libcoap-handover-v4.pcap");
    let json = serde_json::to_value(Report::of(&analysis)).unwrap();
    let flow = &json["flows"][0];
    assert_eq!(json["start_unix_ns"], 1_795_219_484_371_053_000_u64);
    assert_eq!(
        (&flow["client"], &flow["method"]),
        (&"127.0.0.1".into(), &"GET".into())
    );
    let handover = &flow["handovers"][0];
    assert_eq!(
        (&handover["by"], &handover["delay_s"]),
        (&"address".into(), &2.819718.into())
    );
    assert_eq!(handover["last_before"]["message_id"], 46320);
    assert_eq!(
        handover["lost_message_ids"],
        serde_json::json!([29988, 44517])
    );
    let lost = &flow["message_ids"][5];
    assert_eq!(
        (&lost["message_id"], &lost["rtt_s"]),
        (&29988.into(), &serde_json::Value::Null)
    );
}
