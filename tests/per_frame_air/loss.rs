//! Frames lost to noise: what the MAC sends again, and what is left for CoAP.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::common::{Run, root, said};
use crate::frames;

/// A topology of this test program.
pub fn topology(name: &str) -> PathBuf {
    root().join("tests/per_frame_air/topologies").join(name)
}

/// One run of `loss.yaml`.
static LOSS: LazyLock<Run> = LazyLock::new(|| passed(&topology("loss.yaml")));

/// A run that passed.
pub fn passed(topology: &Path) -> Run {
    let run = Run::of(topology, &[]);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    run
}

pub fn handover_survives() {
    let result = LOSS.result();
    assert_eq!(result["handovers"].as_array().unwrap().len(), 1);
    assert_eq!(result["handovers"][0]["to"], "er2");
    assert_eq!(result["requests"]["lost"], 0, "{result:#}");
    assert!(result["requests"]["answered"].as_u64().unwrap() >= 200);
    let facts = LOSS.read("air.json");
    let facts: rundir::air::Facts = serde_json::from_str(&facts).unwrap();
    assert_eq!(facts.lateness.over_limit, 0, "{facts:?}");
}

pub fn frames_are_sent_again() {
    let unicast = "wpan.ack_request == 1";
    let fields = ["wpan.src64", "wpan.seq_no", "wpan.fcs"];
    let sent = frames::tshark(&LOSS.path(""), "air", unicast, &fields);
    let mut last: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut all, mut again) = (0, 0);
    for frame in sent {
        all += 1;
        // The same number, and by its FCS the same content, with nothing of the sender between.
        if last.insert(frame[0].clone(), frame.clone()) == Some(frame) {
            again += 1;
        }
    }
    // Every retry follows a transmission that got no ACK.
    let share = f64::from(again) / f64::from(all);
    assert!(all > 400, "{all}");
    assert!((0.05..0.15).contains(&share), "{again} of {all}");
}

/// Every file of a run directory.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let content = std::fs::read(&path).unwrap();
                files.insert(path.strip_prefix(root).unwrap().to_owned(), content);
            }
        }
    }
    files
}

pub fn runs_are_identical() {
    let (mut first, second) = (
        tree(&LOSS.path("")),
        tree(&passed(&topology("loss.yaml")).path("")),
    );
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&first), names(&second));
    // When it was run, and into which directory, is no part of the run.
    let told = first.remove(Path::new("made.json"));
    assert!(told.is_some(), "the run says when it was made");
    assert!(first.contains_key(Path::new("captures/air.pcapng")));
    for (name, content) in &first {
        assert!(content == &second[name], "{} differs", name.display());
    }
}

/// CoMP's procedures, by the value of option 2048 (CoMP table 2).
const BINDING_UPDATE: &str = "01";
const HOLD: &str = "04";

pub fn coap_sends_again() {
    let run = passed(&topology("heavy-loss.yaml"));
    let run = run.path("");
    // Requests of the node that carry CoMP's options.
    let filter = "coap.type == 0 && coap.opt.unknown";
    let fields = ["ipv6.dst", "coap.mid", "coap.token", "coap.opt.unknown"];
    let rows = frames::tshark(&run, "sensor.lowpan0", filter, &fields);
    let mut times: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for row in rows {
        *times.entry(row).or_default() += 1;
    }
    let repeated = times.iter().filter(|(row, times)| {
        let procedure = row[3].split(',').next().unwrap();
        **times > 1 && [BINDING_UPDATE, HOLD].contains(&procedure)
    });
    let repeated: Vec<&[String]> = repeated.map(|(row, _)| &row[..2]).collect();
    assert!(repeated.len() >= 2, "{times:#?}");
    let answer = ["ipv6.src", "coap.mid"];
    let answers = frames::tshark(&run, "sensor.lowpan0", "coap.type == 2", &answer);
    let answered = repeated
        .iter()
        .filter(|of| answers.iter().any(|a| a == *of));
    assert!(answered.count() >= 1, "{repeated:?}");
}

/// A second of `loss.yaml` with a limit that no frame can keep, and with `more` nodes.
fn late(more: &str) -> Run {
    let text = std::fs::read_to_string(topology("loss.yaml")).unwrap();
    let (before, _) = text.split_once("links:").unwrap();
    let text = before.replace("medium: phy\n", "medium: phy\n  lateness_limit: 1 ns\n");
    assert_ne!(text, before);
    let links = "links: [{ link: [sensor, er1], attenuation: 50 dB }]";
    let text = format!("{text}{more}{links}\nscenario: {{ duration: 1 s }}\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Run::of(file.path(), &[])
}

pub fn lateness_fails_the_run() {
    let run = late("");
    let text = said(&run.output);
    assert_eq!(run.output.status.code(), Some(3), "{text}");
    assert!(text.contains("over more than 1 ns late"), "{text}");
    assert!(text.contains("radio.lateness_limit"), "{text}");
}

pub fn lateness_that_the_host_decides_does_not_fail_the_run() {
    let run = late("  tool: { role: program, command: [\"true\"] }\n");
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    let facts: rundir::air::Facts = serde_json::from_str(&run.read("air.json")).unwrap();
    assert!(facts.lateness.over_limit > 0, "{facts:?}");
}
