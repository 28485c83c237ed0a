//! Nodes with home addresses move: through tunnels, by extension headers, below a mobility anchor point, and
//! by what their routers say for them. One run for all four; tshark judges, and who receives a message, whose checksum the kernel does not look at.

mod common;

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::sync::LazyLock;

use common::{Run, root, said, tshark, tshark_of};
use serde_json::Value;

/// One run for all tests of this file.
static RUN: LazyLock<Run> =
    LazyLock::new(|| Run::of(&root().join("tests/data/home-addresses.yaml"), &[]));

/// One way on the backbone.
const D: f64 = 0.010;

/// The handovers of a node: there, and back.
fn handovers(node: &str) -> [Value; 2] {
    let result = RUN.result();
    let handovers = result["handovers"].as_array().unwrap();
    let of_node = |handover: &&Value| handover["node"] == node;
    let found: Vec<&Value> = handovers.iter().filter(of_node).collect();
    let [there, back] = found[..] else {
        panic!("two handovers of {node}: {result:#}");
    };
    [there.clone(), back.clone()]
}

fn phase(handover: &Value, name: &str) -> f64 {
    let seconds = handover["phases"][name].as_f64();
    seconds.unwrap_or_else(|| panic!("no phase {name} in {handover:#}"))
}

#[test]
fn each_protocol_takes_as_many_ways_as_its_closed_form_says() {
    assert_eq!(RUN.output.status.code(), Some(0), "{}", said(&RUN.output));
    for (node, ways, phases) in [
        ("tunnel", 2.0, ["home_registration", "binding"].as_slice()),
        (
            "optimized",
            6.0,
            &[
                "home_registration",
                "return_routability",
                "correspondent_registration",
                "binding",
            ],
        ),
        ("regional", 2.0, &["map_registration", "binding"]),
        // Its router registers before it advertises itself.
        ("served", 2.0, &["movement_detection"]),
    ] {
        for handover in handovers(node) {
            for name in phases {
                assert!(phase(&handover, name) > 0.0);
            }
            let binding = phase(&handover, phases[phases.len() - 1]);
            let rest = binding - ways * D;
            // What the emulated processors do beside the ways.
            assert!((0.0..0.010).contains(&rest), "{node}: {binding} s");
        }
    }
    for optimized in handovers("optimized") {
        let tests = phase(&optimized, "return_routability");
        assert!((4.0 * D..4.0 * D + 0.008).contains(&tests), "{tests} s");
    }
}

fn captures() -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(RUN.path("captures")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn tshark_reads_every_mobility_header_without_an_error() {
    let mut kinds = BTreeSet::new();
    for capture in captures() {
        let bad = "_ws.malformed || (mipv6 && _ws.expert.severity >= 6291456)";
        let malformed = tshark(&capture, bad, &["frame.number"]);
        assert!(malformed.is_empty(), "{}: {malformed:?}", capture.display());
        for row in tshark_of(&capture, "mipv6", "l", &["mip6.mhtype"]) {
            kinds.insert(row[0].clone());
        }
    }
    let all = ["1", "2", "3", "4", "5", "6"].map(str::to_owned);
    assert_eq!(kinds, all.into(), "tests, updates, acknowledgements");
}

#[test]
fn nothing_leaves_from_a_home_address_but_in_a_tunnel_or_with_its_option() {
    for node in ["tunnel", "optimized", "regional"] {
        let capture = RUN.path(&format!("captures/{node}.lowpan0.pcapng"));
        let home: Ipv6Addr = home_address(&RUN.read("plan.yaml"), node).parse().unwrap();
        let rows = tshark(&capture, "ipv6", &["ipv6.src"]);
        assert!(rows.len() > 200, "{node}: {} packets", rows.len());
        let outermost = rows.iter().map(|row| row[0].parse::<Ipv6Addr>().unwrap());
        assert_eq!(
            outermost.filter(|source| *source == home).count(),
            0,
            "{node}"
        );
    }
}

/// A router tells a node on a link of a shorter way to another one on it (RFC 4861 §8.2). What comes out of a tunnel is on
/// no link that the agent shares with who sent it.
#[test]
fn inet_issue_1197_a_home_agent_redirects_nobody_whose_packets_come_out_of_a_tunnel() {
    for capture in captures() {
        let redirects = tshark(&capture, "icmpv6.type == 137", &["frame.number"]);
        assert!(redirects.is_empty(), "{}: {redirects:?}", capture.display());
    }
    let agent = RUN.path("captures/ha.eth0.pcapng");
    let out_of_a_tunnel = tshark(&agent, "ipv6.nxt == 41 && coap", &["frame.number"]);
    assert!(out_of_a_tunnel.len() > 100, "it forwards them");
}

/// A peer that writes its packets itself provokes what a home agent, a mobility anchor point and a correspondent refuse.
#[test]
fn what_is_refused_is_refused_with_the_status_of_rfc_6275() {
    let run = Run::of(&root().join("tests/mobile_ipv6/refused.yaml"), &[]);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    let log = run.read("log/peer.log");
    let expected = [
        "taken 134",
        "accepted 0",
        "other-address 130",
        "old-sequence 135",
        "other-type 139",
        "multicast-care-of 174",
        "not-home-subnet 132",
        "unknown-deregistered 133",
        "at-an-anchor-point 131",
        "of-another-domain 129",
        "home-nonce 136",
        "care-of-nonce 137",
        "both-nonces 138",
        "forged -",
        "data-without-binding BE 1",
        "unknown-message BE 2",
        "still-bound-deregistered 0",
    ];
    assert_eq!(log.lines().collect::<Vec<_>>(), expected);
}

/// The Mobility Headers of a capture by tshark, which is given the run's keys: the last source, SPI, whether the ICV is right, and type.
/// Those of return routability have no ESP, and none is here.
fn protected(run: &Run, capture: &str) -> Vec<[String; 4]> {
    let fields = ["ipv6.src", "esp.spi", "esp.icv_good", "mip6.mhtype"];
    let mut command = std::process::Command::new("tshark");
    command
        .env("WIRESHARK_CONFIG_DIR", run.path("wireshark"))
        .arg("-r")
        .arg(run.path(&format!("captures/{capture}.pcapng")))
        .args(["-Y", "esp || mipv6", "-T", "fields", "-E", "occurrence=l"]);
    fields.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().map(|line| {
        let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
        <[String; 4]>::try_from(cells).unwrap()
    });
    rows.collect()
}

/// Somebody who has the keys of one node, and knows everything else, registers the addresses of others.
#[test]
fn a_protected_node_moves_as_others_do_and_nobody_else_registers_its_addresses() {
    let run = Run::of(&root().join("tests/mobile_ipv6/protected.yaml"), &[]);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    let result = run.result();
    let handovers = result["handovers"].as_array().unwrap();
    assert_eq!(handovers.len(), 2);
    for (node, registration, messages) in [
        (
            "sealed",
            "home_registration",
            [
                ("home binding update", 124),
                ("home binding acknowledgement", 108),
            ],
        ),
        (
            "regional",
            "map_registration",
            [
                ("local binding update", 108),
                ("local binding acknowledgement", 108),
            ],
        ),
    ] {
        let of_node = |handover: &&Value| handover["node"] == node;
        let handover = handovers.iter().find(of_node).unwrap();
        // Two ways, and not four: a guest with a user's program is not as even as others.
        let rest = phase(handover, registration) - 2.0 * D;
        assert!((0.0..2.0 * D).contains(&rest), "{handover:#}");
        let counted = &handover["signalling"]["by_message"]["mobile_ipv6"];
        for (name, bytes) in messages {
            let once = serde_json::json!({ "messages": 1, "bytes": bytes });
            assert_eq!(counted[name]["air"], once, "{counted:#}");
            assert_eq!(counted[name]["wired"], once, "{counted:#}");
        }
    }

    let log = run.read("log/forger.log");
    let expected = [
        "of-an-address-that-is-not-protected 0",
        "without-esp -",
        "deregistration -",
        "from-the-home-address -",
        "wrong-key -",
        "own-key -",
        "own-association -",
        "at-the-anchor-point -",
        "another-at-the-anchor-point -",
        "from-the-regional-address -",
        "of-its-own-address 135",
        "of-its-own-address 0",
    ];
    assert_eq!(log.lines().collect::<Vec<_>>(), expected);
    // First registration and handover, of which each was answered once.
    let exchanged = |rows: &[[String; 4]], update: &str, acknowledgement: &str| {
        let of_these = rows
            .iter()
            .filter(|row| [update, acknowledgement].contains(&&*row[1]));
        let shown: Vec<&[String]> = of_these.map(|row| &row[1..]).collect();
        let once = [[update, "1", "5"], [acknowledgement, "1", "6"]];
        assert_eq!(shown, [once, once].concat(), "{rows:#?}");
    };
    let sealed = protected(&run, "sealed.lowpan0");
    exchanged(&sealed, "0x00000106", "0x00000107");
    assert_eq!(sealed.len(), 4, "{sealed:#?}");
    let regional = protected(&run, "regional.lowpan0");
    exchanged(&regional, "0x00000100", "0x00000101");
    assert_eq!(regional.len(), 6, "and with the home agent: {regional:#?}");
    // What the agents say that they have registered: what the nodes have.
    let events = run.read("events.jsonl");
    let events: Vec<Value> = (events.lines().map(serde_json::from_str))
        .collect::<Result<_, _>>()
        .unwrap();
    let registered = |agent: &str, address: &str| {
        let own = events.iter().filter(|event| event["node"] == agent);
        own.filter(|event| event["p_addr"] == address).count()
    };
    let plan = run.read("plan.yaml");
    assert_eq!(registered("ha", &home_address(&plan, "sealed")), 2);
    assert_eq!(registered("ha", &home_address(&plan, "regional")), 1);
    let at_the_anchor_point = events.iter().filter(|event| event["node"] == "map");
    let bindings = at_the_anchor_point.filter(|event| !event["t_addr"].is_null());
    assert_eq!(bindings.count(), 2);
}

/// Within a domain its mobility anchor point alone is told; in another one that one, then the home agent by way of it, and at
/// once the one before, which forwards what is under way.
#[test]
fn a_node_moves_within_domains_and_between_them() {
    let run = Run::of(&root().join("tests/mobile_ipv6/domains.yaml"), &[]);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    let result = run.result();
    let handovers = result["handovers"].as_array().unwrap();
    let [north, into_south, south, into_north] = &handovers[..] else {
        panic!("four handovers: {result:#}");
    };
    let takes = |handover: &Value, name: &str, ways: f64| {
        let rest = phase(handover, name) - ways * D;
        assert!((0.0..0.010).contains(&rest), "{name} in {handover:#}");
    };
    let messages = |handover: &Value, name: &str| {
        handover["signalling"]["by_message"]["mobile_ipv6"][name]["air"]["messages"].clone()
    };
    for within in [north, south] {
        takes(within, "map_registration", 2.0);
        takes(within, "binding", 2.0);
        assert!(within["phases"]["home_registration"].is_null());
        assert_eq!(messages(within, "local binding update"), 1);
        assert!(messages(within, "home binding update").is_null());
    }
    for between in [into_south, into_north] {
        takes(between, "map_registration", 2.0);
        takes(between, "home_registration", 4.0);
        takes(between, "binding", 6.0);
        assert_eq!(messages(between, "local binding update"), 2);
        assert_eq!(messages(between, "home binding update"), 1);
    }
    // What comes by way of the one before is there as soon as it would be within its domain.
    for handover in handovers {
        let delay = handover["delay_s"].as_f64().unwrap();
        assert!(delay < 8.0 * D, "{handover:#}");
    }
    // Each router advertises the one that it is below (RFC 5380 §5), and no 24 octets more than that.
    for (router, map) in [
        ("er1", "b000"),
        ("er2", "b000"),
        ("er3", "b001"),
        ("er4", "b001"),
    ] {
        let capture = run.path(&format!("captures/{router}.lowpan0.pcapng"));
        let fields = [
            "icmpv6.opt.type",
            "icmpv6.opt.map.global_address",
            "ipv6.plen",
        ];
        // The last of its options.
        let said = tshark_of(&capture, "icmpv6.type == 134", "l", &fields);
        let said: BTreeSet<Vec<String>> = said.into_iter().collect();
        let length = (16 + 16 + 32 + 24).to_string();
        let expected = vec!["23".to_owned(), format!("2001:db8:{map}::1"), length];
        assert_eq!(said, [expected].into(), "{router}");
    }
}

/// The home address of a node in a run's plan.
fn home_address(plan: &str, node: &str) -> String {
    let of_node = plan.split(&format!("  {node}:\n")).nth(1).unwrap();
    let line = of_node.lines().find(|line| line.contains("home_address:"));
    let value = line.unwrap().split_once("home_address:").unwrap().1;
    value.trim().trim_matches('"').to_owned()
}

#[test]
fn a_node_that_is_served_does_nothing_and_is_always_at_one_address_and_one_router() {
    let capture = RUN.path("captures/served.lowpan0.pcapng");
    let signalling = tshark(&capture, "mipv6 || udp.port == 546", &["frame.number"]);
    assert!(signalling.is_empty(), "{signalling:?}");
    let own = tshark(&capture, "coap.code >= 64", &["ipv6.src"]);
    let addresses: BTreeSet<&str> = own.iter().map(|row| &*row[0]).collect();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    assert!(own.len() > 200, "{} answers", own.len());
    let checks = "icmpv6.type == 135 && ipv6.src == ::";
    assert!(tshark(&capture, checks, &["frame.number"]).is_empty());
    // Those for the other nodes on the link are no answer to it.
    let link_local = tshark(&capture, "icmpv6.type == 133", &["ipv6.src"]);
    let answers = format!("icmpv6.type == 134 && ipv6.dst == {}", link_local[0][0]);
    let fields = ["ipv6.src", "icmpv6.opt.prefix"];
    let answers: BTreeSet<Vec<String>> = tshark(&capture, &answers, &fields).into_iter().collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let answer = answers.first().unwrap();
    assert_eq!((&*answer[0], &*answer[1]), ("fe80::1", "2001:db8:c000:1::"));
    for handover in handovers("served") {
        let messages = &handover["signalling"]["by_message"]["mobile_ipv6"];
        for name in ["proxy binding update", "proxy binding acknowledgement"] {
            let wired = serde_json::json!({ "messages": 1, "bytes": 120 });
            assert_eq!(messages[name]["wired"], wired, "{messages:#}");
            assert_eq!(messages[name]["air"]["messages"], 0);
        }
    }
}

#[test]
fn a_gateway_misses_its_node_and_what_it_says_then_moves_nothing() {
    let capture = RUN.path("captures/er1.eth0.pcapng");
    let fields = ["mip6.mhtype", "mip6.bu.lifetime", "mip6.ba.status"];
    let said = tshark(
        &capture,
        "mip6.bu.p_flag == 1 || mip6.ba.p_flag == 1",
        &fields,
    );
    let said: Vec<String> = said
        .iter()
        .map(|row| row.join(" ").trim().to_owned())
        .collect();
    // It has the node, misses it when it is at the other one already, and has it again.
    assert_eq!(said, ["5 900", "6  0", "5 0", "5 900", "6  0"]);
}

#[test]
fn without_a_protocol_the_node_is_found_again_by_the_next_request_after_one_that_was_not_answered()
{
    let run = Run::of(
        &root().join("topologies/mobility.yaml"),
        &["--set", "nodes.sensor.mobility=none"],
    );
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    let result = run.result();
    let handovers = result["handovers"].as_array().unwrap();
    assert_eq!(handovers.len(), 2);
    // `response_timeout`, then to the WMMS and back; the way to the node and back is in both.
    const LEAST: f64 = 1.0 + 2.0 * 0.005;
    for handover in handovers {
        let delay = handover["delay_s"].as_f64().unwrap();
        assert!((LEAST..LEAST + 0.05).contains(&delay), "{handover:#}");
    }
    let events = run.read("events.jsonl");
    let doubted = events.matches("\"reason\":\"no answer\"").count();
    assert_eq!(doubted, 2, "{events}");
}
