//! What a caller can say of captures, and what is said of them in both forms of a report.

use std::path::{Path, PathBuf};
use std::time::Duration;

use capture::ReadError;
use measure::analysis::{Analysis, Options};
use measure::export::Report;
use measure::text::{self, Table};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn analyse(name: &str, options: &Options) -> Analysis {
    let (analysis, unread) = measure::analyze(&[data(name)], options);
    assert!(unread.is_empty(), "{unread:?}");
    analysis
}

/// Options in which these addresses have names.
fn named(nodes: &[(&str, &str)]) -> Options {
    let nodes = nodes.iter();
    Options {
        nodes: nodes
            .map(|(address, name)| (address.parse().unwrap(), (*name).to_owned()))
            .collect(),
        ..Options::default()
    }
}

fn text(analysis: &Analysis) -> String {
    text::report(analysis, Table::None)
}

#[test]
fn another_port_is_read_when_it_is_named() {
    let silent = analyse("other-port.pcap", &Options::default());
    assert!(silent.flows.is_empty());
    assert!(text::nothing(&silent).contains("--port"));
    // Who does not know which it is reads it here.
    let seen = silent.other.udp_ports.iter();
    let seen: Vec<_> = seen
        .map(|p| (p.number, p.datagrams, p.could_be_coap))
        .collect();
    assert!(seen.contains(&(61616, 10, 10)), "{seen:?}");
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(text(&silent).contains("61616  10 datagrams, 10 of them could be CoAP"));
    let json = serde_json::to_value(Report::of(&silent)).unwrap();
    assert_eq!(json["frames"]["udp_ports"][1]["datagrams"], 10);
    let mut options = Options::default();
    options.ports.insert(61616);
    let analysis = analyse("other-port.pcap", &options);
    let requests = analysis.flows[0].requests();
    assert_eq!((requests.sent, requests.answered), (5, 5));
    assert_eq!(requests.rtt.unwrap().max, Duration::from_millis(10));
}

#[test]
fn who_is_one_node_can_be_said_and_a_guess_is_called_one() {
    let file = "nodes-one-after-the-other.pcap";
    let guessed = analyse(file, &Options::default());
    assert_eq!(guessed.flows.len(), 1);
    assert!(guessed.flows[0].is_guessed());
    assert!(text(&guessed).contains("--node"), "{}", text(&guessed));
    let json = serde_json::to_value(Report::of(&guessed)).unwrap();
    assert_eq!(json["flows"][0]["node_guessed"], true);

    let two = named(&[("2001:db8:1::51", "a"), ("2001:db8:1::52", "b")]);
    let told = analyse(file, &two);
    let names: Vec<_> = told.flows.iter().map(|f| f.node.as_deref()).collect();
    assert_eq!(names, [Some("a"), Some("b")]);
    assert!(told.flows.iter().all(|f| f.handovers().is_empty()));
    assert!(!text(&told).contains("--node"));
}

#[test]
fn a_node_that_goes_back_and_forth_is_one_when_its_addresses_are_named() {
    let file = "node-back-and-forth.pcap";
    assert_eq!(analyse(file, &Options::default()).flows.len(), 2);
    let one = named(&[("2001:db8:1::5", "sensor"), ("2001:db8:2::5", "sensor")]);
    let told = analyse(file, &one);
    assert_eq!(told.flows.len(), 1);
    assert_eq!(told.flows[0].handovers().len(), 4);
    assert!(text(&told).contains("asks sensor GET /t"));
}

#[test]
fn a_longer_transmit_span_makes_one_request_of_slow_retransmissions() {
    let options = Options {
        max_transmit_span: Duration::from_secs(225),
        ..Options::default()
    };
    let analysis = analyse("slow-ack-timeout.pcap", &options);
    let requests = analysis.flows[0].requests();
    let counts = (requests.sent, requests.answered, requests.retransmitted);
    assert_eq!(counts, (1, 1, 1));
    assert_eq!(analysis.flows[0].exchanges[0].retransmissions(), 4);
    assert_eq!(requests.rtt.unwrap().max, Duration::from_secs(151));
    assert!(text(&analysis).contains("median 151.0 s"));
}

#[test]
fn who_did_not_answer_is_named_in_both_reports() {
    let analysis = analyse("dead-node.pcap", &Options::default());
    let json = serde_json::to_value(Report::of(&analysis)).unwrap();
    for (flow, address) in [(0, "[2001:db8:1::51]:5683"), (1, "[2001:db8:1::52]:5683")] {
        let flow = &json["flows"][flow];
        assert_eq!(flow["to"][0], address);
        assert_eq!(flow["unanswered"][0]["address"], address);
        assert_eq!(flow["unanswered"][0]["requests"], 2);
        assert_eq!(flow["message_ids"][1]["to"][0], address);
        assert!(text(&analysis).contains(&format!("unanswered 2 by {address}")));
    }
}

#[test]
fn json_has_what_the_text_has_beside_the_flows() {
    let analysis = analyse("tokens-cut.pcap", &Options::default());
    let json = serde_json::to_value(Report::of(&analysis)).unwrap();
    let messages = &json["messages"];
    assert_eq!(json["frames"]["captured"], 43);
    let why = messages["first_undecodable"].as_str();
    if messages["undecodable"] != 0 {
        assert!(why.unwrap().contains("cut by the capture"), "{why:?}");
    }
    for (name, count) in [
        ("coap", analysis.other.coap_messages),
        ("notifications", analysis.other.notifications),
        ("multicast", analysis.other.multicast),
        ("deregistrations", analysis.other.deregistrations),
        ("begun_before", analysis.other.begun_before),
        ("after_end", analysis.other.after_end),
        ("pings", analysis.other.pings),
        ("stray", analysis.other.stray),
        ("undecodable", analysis.other.undecodable),
    ] {
        assert_eq!(messages[name], count, "{name}");
    }
}

#[test]
fn a_compressed_capture_is_measured_like_another() {
    let analysis = analyse("two-routers.pcap.gz", &Options::default());
    let requests = analysis.flows[0].requests();
    assert_eq!((requests.sent, requests.answered), (5, 5));
    assert_eq!(analysis.flows[0].handovers().len(), 1);
}

#[test]
fn files_that_cannot_be_read_keep_nobody_from_reading_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pcap");
    std::fs::write(&empty, "").unwrap();
    let cut = directory.path().join("cut.pcap");
    let whole = std::fs::read(data("dead-node.pcap")).unwrap();
    std::fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    let files = [
        empty,
        data("two-routers.pcap.gz"),
        directory.path().join("absent.pcap"),
        cut,
        directory.path().to_owned(),
    ];
    let (analysis, unread) = measure::analyze(&files, &Options::default());
    assert_eq!(analysis.other.frames, 10 + 3);
    let kinds: Vec<_> = unread
        .iter()
        .map(|error| match error {
            ReadError::Empty { .. } => "empty",
            ReadError::Open { .. } => "absent",
            ReadError::Truncated { packet: 4, .. } => "cut",
            ReadError::Directory { .. } => "directory",
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(kinds, ["empty", "absent", "directory", "cut"]);
}
