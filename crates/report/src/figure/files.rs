//! The files of the run, to be opened from the page, and its plan.

use super::{Block, Section};
use crate::load::Run;

/// The section of the files. A run whose captures were not kept has the others.
pub fn section(run: &Run) -> Section {
    let links = run.files.iter().map(|file| (file.clone(), about(file)));
    let links: Vec<_> = links.collect();
    let block = match links.is_empty() {
        true => Block::Missing("The files of the run: its directory cannot be listed.".into()),
        false => Block::Links(links),
    };
    Section {
        id: "files",
        title: "Captures and other files",
        blocks: vec![block],
    }
}

/// The resolved plan as it stands.
pub fn plan(text: Option<&str>) -> Section {
    let block = match text {
        Some(text) => Block::Folded("plan.yaml".into(), vec![Block::Code(text.to_owned())]),
        None => Block::Missing("The resolved plan: plan.yaml is not there.".into()),
    };
    Section {
        id: "plan",
        title: "Resolved plan",
        blocks: vec![block],
    }
}

/// What is in the file of a run directory.
fn about(file: &str) -> String {
    let capture = file.strip_prefix("captures/");
    let interface = capture.and_then(|name| name.strip_suffix(".pcapng"));
    match (interface, file) {
        (Some("all"), _) => "all interfaces in time order, with the events as marks".into(),
        (Some("air"), _) => "every transmission on the air".into(),
        (Some(interface), _) => match interface.rsplit_once('.') {
            Some((node, "eth0")) => format!("{node} on the backbone"),
            Some((node, "lowpan0")) => format!("IPv6 packets of the radio of {node}"),
            Some((node, "wpan0")) => format!("IEEE 802.15.4 frames of the radio of {node}"),
            _ => String::new(),
        },
        (None, "result.json") => "what was measured".into(),
        (None, "events.jsonl") => "what the nodes told".into(),
        (None, "plan.yaml") => "the resolved plan".into(),
        (None, "error.txt") => "why the run did not come to its end".into(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capture_is_told_by_its_node_and_interface() {
        assert_eq!(
            about("captures/client.eth0.pcapng"),
            "client on the backbone"
        );
        assert!(about("captures/er1.wpan0.pcapng").ends_with("radio of er1"));
        assert!(about("captures/all.pcapng").starts_with("all interfaces"));
    }
}
