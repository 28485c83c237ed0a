//! `handover.yaml` in the VM, judged by tshark.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use common::{Run, said, topology, tshark, wpanlab};
use serde_json::Value;

/// One run for all tests of this file.
static RUN: LazyLock<Run> = LazyLock::new(|| Run::of(&topology("handover.yaml"), &[]));

fn result() -> Value {
    RUN.result()
}

#[test]
fn the_run_passes_and_prints_what_a_user_looks_for() {
    assert_eq!(RUN.output.status.code(), Some(0), "{}", said(&RUN.output));
    let text = said(&RUN.output);
    for word in [
        "handover",
        "lost",
        "binding",
        "captures/all.pcapng",
        "11 of single ones beside it",
    ] {
        assert!(text.contains(word), "no `{word}` in {text}");
    }
}

#[test]
fn the_tuned_handover_is_fast_and_loses_nothing() {
    let result = result();
    let handovers = result["handovers"].as_array().unwrap();
    assert_eq!(handovers.len(), 1, "{result:#}");
    assert_eq!(
        (&handovers[0]["from"], &handovers[0]["to"]),
        (&"er1".into(), &"er2".into())
    );
    let delay = handovers[0]["delay_s"].as_f64().unwrap();
    assert!(delay > 0.0 && delay <= 0.100, "{delay} s");
    assert_eq!(result["requests"]["lost"], 0);
    assert!(
        result["requests"]["answered"].as_u64().unwrap() >= 490,
        "5 s at one request per 10 ms"
    );
}

#[test]
fn every_phase_is_there_and_within_the_handover() {
    let result = result();
    let phases = result["handovers"][0]["phases"]
        .as_object()
        .unwrap()
        .clone();
    for phase in [
        "trigger",
        "hold",
        "link",
        "movement_detection",
        "address",
        "binding",
        "resume",
    ] {
        let seconds = phases
            .get(phase)
            .unwrap_or_else(|| panic!("no phase {phase} in {phases:?}"));
        assert!(seconds.as_f64().unwrap() >= 0.0);
    }
    let inside = ["hold", "link", "movement_detection", "address", "binding"];
    let sum: f64 = inside
        .iter()
        .map(|phase| phases[*phase].as_f64().unwrap())
        .sum();
    let delay = result["handovers"][0]["delay_s"].as_f64().unwrap();
    assert!(
        sum <= delay + 0.030,
        "the phases take {sum} s of a delay of {delay} s"
    );
}

#[test]
fn tsharks_own_message_id_arithmetic_gives_the_same_delay() {
    let result = result();
    let client = "2001:db8::/64";
    let capture = RUN.path("captures/client.eth0.pcapng");
    // Responses with content, that is answers to the polls: time, sender, Message ID.
    let rows = tshark(
        &capture,
        "coap.code == 69",
        &["frame.time_epoch", "ipv6.src", "coap.mid"],
    );
    let answers: Vec<(f64, String, u64)> = rows
        .iter()
        .map(|row| {
            (
                row[0].parse().unwrap(),
                row[1].clone(),
                row[2].parse().unwrap(),
            )
        })
        // Discovery answers come from the backbone; the node's come from its two links.
        .filter(|(_, source, _)| !source.starts_with("2001:db8::"))
        .collect();
    assert!(
        answers.len() >= 490,
        "{} answers outside {client}",
        answers.len()
    );
    let gap = answers
        .windows(2)
        .find(|pair| pair[0].1 != pair[1].1)
        .expect("the answering address changes once");
    let delay = gap[1].0 - gap[0].0;
    let handover = &result["handovers"][0];
    let measured = handover["delay_s"].as_f64().unwrap();
    assert!(
        (delay - measured).abs() < 0.001,
        "tshark {delay}, result.json {measured}"
    );
    assert_eq!(handover["last_before"]["message_id"], gap[0].2);
    assert_eq!(handover["first_after"]["message_id"], gap[1].2);
}

#[test]
fn every_request_that_tshark_sees_is_answered() {
    let capture = RUN.path("captures/client.eth0.pcapng");
    let polls = tshark(
        &capture,
        "coap.code == 1 && coap.opt.uri_path == \"temperature\"",
        &["coap.mid"],
    );
    let answers = tshark(&capture, "coap.code == 69", &["coap.mid"]);
    let ids = |rows: Vec<Vec<String>>| {
        rows.into_iter()
            .map(|row| row[0].clone())
            .collect::<BTreeSet<_>>()
    };
    let (polls, answers) = (ids(polls), ids(answers));
    let lost: Vec<_> = polls.difference(&answers).collect();
    assert!(lost.is_empty(), "never answered: {lost:?}");
    assert_eq!(
        polls.len() as u64,
        result()["requests"]["sent"].as_u64().unwrap()
    );
}

#[test]
fn tshark_opens_every_capture_without_an_error() {
    let mut seen = BTreeMap::new();
    for entry in std::fs::read_dir(RUN.path("captures")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let malformed = tshark(&path, "_ws.malformed", &["frame.number"]);
        assert!(
            malformed.is_empty(),
            "{name}: malformed frames {malformed:?}"
        );
        let all = tshark(&path, "frame", &["frame.number"]);
        seen.insert(name, all.len());
    }
    for (node, interface) in [
        ("client", "eth0"),
        ("wmms", "eth0"),
        ("dhcp", "eth0"),
        ("er1", "eth0"),
        ("er2", "eth0"),
        ("er1", "wpan0"),
        ("er2", "wpan0"),
        ("sensor", "wpan0"),
        ("sensor", "lowpan0"),
    ] {
        let packets = seen.get(&format!("{node}.{interface}.pcapng"));
        assert!(
            packets.is_some_and(|count| *count > 0),
            "{node}.{interface}: {packets:?} in {seen:?}"
        );
    }
    let merged = seen.remove("all.pcapng").unwrap();
    assert!(
        merged >= seen.values().sum(),
        "the merged file holds every packet"
    );
}

#[test]
fn tshark_dissects_coap_on_the_radio_of_the_node() {
    let capture = RUN.path("captures/sensor.wpan0.pcapng");
    let answers = tshark(
        &capture,
        "wpan && 6lowpan && coap.code == 69",
        &["coap.mid"],
    );
    assert!(answers.len() >= 490, "{} answers", answers.len());
}

/// `wpanlab sequence` of the run's handover.
fn sequence(options: &[&str]) -> String {
    let dir = RUN.path("");
    let mut command = wpanlab(&["sequence", "--handover", "1"]);
    let output = command.args(options).arg(&dir).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_message_of_the_sequence_is_at_both_ends_when_tshark_sees_it_there() {
    let sequence: Value = serde_json::from_str(&sequence(&["--json"])).unwrap();
    let lifelines: Vec<&str> = (sequence["lifelines"].as_array().unwrap().iter())
        .map(|name| name.as_str().unwrap())
        .collect();
    let name = |index: &Value| lifelines[index.as_u64().unwrap() as usize];
    let messages = sequence["messages"].as_array().unwrap();
    let update = messages.iter().find(|message| {
        let label = message["label"].as_str().unwrap();
        let ends = (name(&message["from"]), name(&message["to"][0]["lifeline"]));
        label.starts_with("binding update: CON ") && ends == ("sensor", "wmms")
    });
    let update = update.unwrap_or_else(|| panic!("no binding update in {sequence:#}"));
    let id = update["label"]
        .as_str()
        .unwrap()
        .rsplit_once("MID ")
        .unwrap()
        .1;
    let start = result()["scenario"]["start_unix_ns"].as_u64().unwrap();
    let seen = |capture: &str| {
        let filter = format!("coap.mid == {id} && coap.type == 0");
        let rows = tshark(&RUN.path(capture), &filter, &["frame.time_epoch"]);
        // Nanoseconds do not fit into a float's digits.
        let (seconds, nanos) = rows[0][0].split_once('.').unwrap();
        let (seconds, nanos): (u64, u64) = (seconds.parse().unwrap(), nanos.parse().unwrap());
        (seconds * 1_000_000_000 + nanos - start) as f64 / 1e9
    };
    let at = |value: &Value| value.as_f64().unwrap();
    assert_eq!(
        at(&update["sent_s"]),
        seen("captures/sensor.lowpan0.pcapng")
    );
    let received = &update["to"][0]["fate"]["received"];
    assert_eq!(at(received), seen("captures/wmms.eth0.pcapng"));
    let bands: Vec<&str> = (sequence["bands"].as_array().unwrap().iter())
        .map(|band| band["name"].as_str().unwrap())
        .collect();
    assert!(
        bands.contains(&"link") && bands.contains(&"binding"),
        "{bands:?}"
    );
}

#[test]
fn the_sequence_of_the_handover_is_written_in_three_ways_and_is_on_the_page() {
    for (format, begins) in [
        ("text", " "),
        ("svg", "<?xml"),
        ("mermaid", "sequenceDiagram\n"),
    ] {
        let text = sequence(&["--format", format]);
        assert!(text.starts_with(begins), "{text}");
        for told in [
            "hold",
            "router advertisement",
            "binding update",
            "sensor",
            "er2",
        ] {
            assert!(text.contains(told), "no {told} in {text}");
        }
    }
    let page = RUN.dir.path().join("page.html");
    let mut command = wpanlab(&["report", "--out"]);
    let output = command.arg(&page).arg(RUN.path("")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let page = std::fs::read_to_string(page).unwrap();
    for figure in ["fig-sequence-1", "fig-exchange-1"] {
        assert!(page.contains(&format!("id=\"{figure}\"")), "no {figure}");
    }
}

/// The text of the cells of the rows of the page's first table of frames.
fn frames_of(page: &str) -> Vec<Vec<String>> {
    let section = page.split_once("<section id=\"frames\">").unwrap().1;
    let table = section.split_once("<tbody>").unwrap().1;
    let rows = table
        .split_once("</tbody>")
        .unwrap()
        .0
        .split("<tr>")
        .skip(1);
    let cell = |cell: &str| {
        let text = cell
            .split_once('>')
            .unwrap()
            .1
            .split_once("</td>")
            .unwrap()
            .0;
        text.replace("&gt;", ">").replace("&amp;", "&")
    };
    rows.map(|row| row.split("<td").skip(1).map(cell).collect())
        .collect()
}

#[test]
fn the_frames_of_the_page_are_those_that_tshark_numbers_so() {
    let page = RUN.dir.path().join("frames.html");
    let mut command = wpanlab(&["report", "--out"]);
    let output = command.arg(&page).arg(RUN.path("")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let rows = frames_of(&std::fs::read_to_string(page).unwrap());
    assert!(rows.len() >= 10, "{rows:?}");
    let start_ns = result()["scenario"]["start_unix_ns"].as_u64().unwrap();
    let mut captures: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let mut ids = 0;
    for row in &rows {
        let [time, _, _, _, what, number, command] = &row[..] else {
            panic!("{row:?}")
        };
        let file = command.rsplit(' ').next().unwrap();
        assert_eq!(*command, format!("wireshark -g {number} {file}"));
        let packets = captures.entry(file.to_owned()).or_insert_with(|| {
            let fields = ["frame.number", "frame.time_epoch", "coap.mid"];
            tshark(&RUN.path(file), "frame", &fields)
        });
        let packet = packets.iter().find(|packet| packet[0] == *number).unwrap();
        // Digits alone: nanoseconds since 1970 are more than a floating-point number holds.
        let digits = |text: &str| text.replace('.', "").parse::<u64>().unwrap();
        let since_start_ns = digits(&packet[1]) - start_ns;
        let told_us = digits(time);
        assert!(
            (since_start_ns + 500) / 1000 == told_us || since_start_ns / 1000 == told_us,
            "{row:?}, {packet:?}"
        );
        if let Some((_, id)) = what.rsplit_once("MID 0x") {
            let id = u16::from_str_radix(id, 16).unwrap();
            assert_eq!(packet[2], id.to_string(), "{row:?}");
            ids += 1;
        }
    }
    assert!(ids >= 5, "{rows:?}");
    assert!(
        captures.len() >= 3,
        "several interfaces have it: {:?}",
        captures.keys()
    );
}
