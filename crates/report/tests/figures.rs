//! The values of figures, the frames of handovers, and the script of the page.

mod common;

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::{START_NS, parse, read, run};
use roxmltree::{Document, Node};
use sha2::{Digest, Sha256};

/// Elements of a name in any namespace.
fn named<'a, 'd>(node: Node<'a, 'd>, name: &'static str) -> impl Iterator<Item = Node<'a, 'd>> {
    node.descendants()
        .filter(move |n| n.tag_name().name() == name)
}

fn text_of(node: Node) -> String {
    node.descendants()
        .filter(Node::is_text)
        .filter_map(|n| n.text())
        .collect()
}

/// Of each figure of a page its name, what the script is told of it, and the values that stand below it.
fn figures_of(document: &Document) -> BTreeMap<String, (serde_json::Value, String)> {
    let figure = |figure: Node| {
        let id = figure
            .attribute("id")
            .unwrap()
            .strip_prefix("fig-")
            .unwrap();
        let told = serde_json::from_str(figure.attribute("data-chart").unwrap()).unwrap();
        (
            id.to_owned(),
            (told, text_of(named(figure, "pre").next().unwrap())),
        )
    };
    named(document.root(), "figure").map(figure).collect()
}

/// Cells of a table, of which none has a line break.
fn cells(csv: &str) -> Vec<Vec<String>> {
    let line = |line: &str| {
        let (mut cells, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(String::new()),
                c => cells.last_mut().unwrap().push(c),
            }
        }
        cells
    };
    csv.lines().map(line).collect()
}

#[test]
fn every_figure_has_its_values_below_it_and_as_a_file() {
    let dir = run();
    let report = read(dir.path());
    let page = report.html();
    let document = parse(&page);
    let figures = figures_of(&document);
    let files: BTreeMap<String, String> = report.tables().into_iter().collect();
    let drawings: Vec<String> = report.svgs().into_iter().map(|(name, _)| name).collect();
    assert!(drawings.iter().all(|name| files.contains_key(name)));
    assert_eq!(files.len(), figures.len());
    for (name, file) in &files {
        let (_, below) = &figures[name];
        let (file, below) = (cells(file), cells(below));
        assert_eq!(file[0], below[0], "{name}");
        assert_eq!(file.len(), below.len(), "{name}: nothing is left out");
        assert!(file.iter().all(|row| row.len() == file[0].len()), "{name}");
        for (file, below) in file.iter().flatten().zip(below.iter().flatten()) {
            match (file.parse::<f64>(), below.parse::<f64>()) {
                (Ok(exact), Ok(shown)) if exact.is_finite() => {
                    assert!((exact - shown).abs() <= 5e-7, "{name}: {exact} {shown}");
                }
                _ => assert_eq!(file, below, "{name}"),
            }
        }
    }
}

#[test]
fn the_values_are_those_of_the_capture_and_of_the_events() {
    let dir = run();
    let tables: BTreeMap<String, String> = read(dir.path()).tables().into_iter().collect();
    // Times in milliseconds since the last response before the gap, 41 ms after the start.
    assert_eq!(
        tables["handover-1"],
        "row,part,from: time (ms),to: time (ms)\nlink (tL2),link,11,16\nbinding (tBU),binding,16,47.5\n"
    );
    // The capture of `measure::selftest`: 100 requests, 2 lost, 100 more; each answered after 4.321 ms.
    let ids = cells(&tables["message-ids-flow-1"]);
    assert_eq!(
        ids[0],
        [
            "time in the scenario (s)",
            "request",
            "response",
            "sent again",
            "lost"
        ]
    );
    let column = |i: usize| ids[1..].iter().filter(|row| !row[i].is_empty()).count();
    assert_eq!([column(1), column(2), column(4)], [202, 200, 2]);
    let rtt = cells(&tables["rtt-flow-1"]);
    let once: Vec<&str> = rtt[1..]
        .iter()
        .map(|row| row[1].as_str())
        .filter(|rtt| !rtt.is_empty())
        .collect();
    assert!(
        !once.is_empty() && once.iter().all(|rtt| *rtt == "4.321"),
        "{once:?}"
    );
}

/// The file's packets as Wireshark counts them, by its blocks alone: time in nanoseconds, and bytes.
fn packets(file: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let (mut at, mut packets) = (0, Vec::new());
    while at < file.len() {
        let (kind, length) = (u32_at(at), u32_at(at + 4) as usize);
        // An Enhanced Packet Block: interface, time (high, low), captured length, original length, data.
        if kind == 6 {
            let time = u64::from(u32_at(at + 12)) << 32 | u64::from(u32_at(at + 16));
            let captured = u32_at(at + 20) as usize;
            packets.push((time, file[at + 28..at + 28 + captured].to_vec()));
        }
        at += length;
    }
    packets
}

#[test]
fn the_number_of_a_frame_is_that_of_the_packet_in_the_capture() {
    let dir = run();
    let page = read(dir.path()).html();
    let document = parse(&page);
    let section = document
        .descendants()
        .find(|n| n.attribute("id") == Some("frames"))
        .unwrap();
    let file = fs::read(dir.path().join("captures/client.eth0.pcapng")).unwrap();
    let packets = packets(&file);
    let table = named(section, "tbody").next().unwrap();
    let rows: Vec<Vec<String>> = named(table, "tr")
        .map(|row| named(row, "td").map(text_of).collect())
        .collect();
    assert!(rows.len() > 5, "{rows:?}");
    for row in &rows {
        let [time, interface, from, to, what, number, command] = &row[..] else {
            panic!("{row:?}")
        };
        let (nanos, bytes) = &packets[number.parse::<usize>().unwrap() - 1];
        assert_eq!(*time, format!("{:.6}", (nanos - START_NS) as f64 / 1e9));
        assert_eq!(interface, "client eth0");
        assert_eq!(
            *command,
            format!("wireshark -g {number} captures/client.eth0.pcapng")
        );
        // The Message ID of CoAP stands behind two bytes of its header; before it Ethernet, IPv6 and UDP.
        let id = u16::from_be_bytes(bytes[14 + 40 + 8 + 2..][..2].try_into().unwrap());
        assert!(
            what.ends_with(&format!("MID {id:#06x}")),
            "{what} {id:#06x}"
        );
        assert!([from.as_str(), to.as_str()].contains(&"client"), "{row:?}");
    }
    // The stretch is from the last response before to the first one after: nothing outside is told.
    let seconds = |row: &Vec<String>| row[0].parse::<f64>().unwrap();
    assert!(
        rows.iter()
            .map(seconds)
            .all(|at| (0.041..=0.091).contains(&at))
    );
    let played = named(section, "code").next().map(text_of).unwrap();
    assert_eq!(played, "http://127.0.0.1:8080/#t=0.052000000&node=sensor");
}

#[test]
fn the_policy_lets_the_pages_own_script_run_and_no_other() {
    let dir = run();
    let page = read(dir.path()).html();
    let script = page
        .split_once("<script>")
        .unwrap()
        .1
        .split_once("</script>")
        .unwrap()
        .0;
    let hash = BASE64_STANDARD.encode(Sha256::digest(script));
    let document = parse(&page);
    let policy = named(document.root(), "meta").find(|n| n.attribute("http-equiv").is_some());
    let policy = policy.unwrap().attribute("content").unwrap();
    assert!(
        policy.contains(&format!("script-src 'sha256-{hash}';")),
        "{policy}"
    );
    assert!(policy.starts_with("default-src 'none';"));
    assert_eq!(policy.matches("'sha256-").count(), 1);
    assert_eq!(page.matches("<script").count(), 1);
}

#[test]
fn the_script_is_told_who_was_where_when() {
    let dir = run();
    let page = read(dir.path()).html();
    let document = parse(&page);
    let main = named(document.root(), "main").next().unwrap();
    let told: serde_json::Value =
        serde_json::from_str(main.attribute("data-run").unwrap()).unwrap();
    assert_eq!(told["duration"], 30.0);
    assert_eq!(told["start"], START_NS.to_string());
    assert_eq!(told["nodes"][0][0], "sensor");
    assert_eq!(
        told["nodes"][0][1],
        serde_json::json!([[0.0, "er1"], [0.052, null], [0.0885, "er2"]])
    );
    assert_eq!(told["handovers"][0][0], 0.052);
}
