//! Passive scans: before the old link is lost, and for the first attachment.

use rundir::EventKind;

use crate::common::Run;
use crate::energy::events;
use crate::frames;
use crate::loss::{passed, topology};

/// Seconds from the last answer that comes from er1's prefix to the first from er2's, as tshark
/// sees them at the client.
fn gap(run: &Run) -> f64 {
    let fields = ["frame.time_epoch", "ipv6.src"];
    let rows = frames::tshark(&run.path(""), "client.eth0", "coap.code == 69", &fields);
    let times = |prefix: &str| -> Vec<f64> {
        let from = rows.iter().filter(|row| row[1].starts_with(prefix));
        from.map(|row| row[0].parse().unwrap()).collect()
    };
    let (old, new) = (times("2001:db8:1:"), times("2001:db8:2:"));
    new.first().unwrap() - old.last().unwrap()
}

fn link_phase(run: &Run) -> f64 {
    let result = run.result();
    result["handovers"][0]["phases"]["link"].as_f64().unwrap()
}

pub fn early_shortens_the_handover() {
    let early = passed(&topology("early.yaml"));
    let text = std::fs::read_to_string(topology("early.yaml")).unwrap();
    let without = text.replace("        early: { threshold: -79 dBm, every: 3 s }\n", "");
    assert_ne!(without, text);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), without).unwrap();
    let late = passed(file.path());

    // It knows er2 already: no listening between the hold and the new link.
    assert!(link_phase(&early) < 0.05, "{}", link_phase(&early));
    // Without, it listens until er2 speaks: half of 400 ms on average.
    assert!(link_phase(&late) > 0.05, "{}", link_phase(&late));
    let listened = link_phase(&late) - link_phase(&early);
    let (early, late) = (gap(&early), gap(&late));
    // A request every 40 ms, and perhaps a solicitation that was lost, blur it.
    assert!(late - early > listened / 2.0, "{early} s, {late} s");
}

pub fn attaches_where_it_hears_a_router() {
    let run = passed(&topology("attach.yaml"));
    let mut tuned = Vec::new();
    for event in events(&run.path("")) {
        match event.kind {
            EventKind::Tuned { channel, pan_id } if event.node == "sensor" => {
                tuned.push((channel.number(), pan_id.0));
            }
            EventKind::Ready if event.node == "sensor" => break,
            _ => {}
        }
    }
    // Where it was configured for, then only listening, then there.
    assert_eq!(tuned, [(15, 1), (20, 1), (20, 2)]);
    let fields = ["ipv6.src"];
    let answers = frames::tshark(&run.path(""), "client.eth0", "coap.code == 69", &fields);
    let from_er2 = answers
        .iter()
        .filter(|row| row[0].starts_with("2001:db8:2:"));
    assert!(from_er2.count() >= 45, "5 s at one request per 100 ms");
    let from_er1 = answers.iter().find(|row| row[0].starts_with("2001:db8:1:"));
    assert_eq!(from_er1, None);
}
