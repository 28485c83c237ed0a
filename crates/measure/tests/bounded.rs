//! A capture with more messages than are kept has the same figures.

use std::cell::Cell;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::common::Wire;
use capture::{Capture, Interface, Packet};
use measure::analysis::{Analysis, Options, Source};
use measure::export::Report;
use measure::text::{Table, report};

fn keeping(most_kept: usize) -> Options {
    Options {
        most_kept,
        ..Options::default()
    }
}

/// All that is told of it.
fn told(analysis: &Analysis) -> (String, String) {
    let json = serde_json::to_string_pretty(&Report::of(analysis)).unwrap();
    (json, report(analysis, Table::All))
}

fn files_below(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files_below(&path, into),
            false => into.push(path),
        }
    }
}

#[test]
fn captures_of_all_kinds_have_the_figures_that_they_have_when_all_is_kept() {
    let mut files = Vec::new();
    files_below(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"),
        &mut files,
    );
    let mut compared = 0;
    for file in files {
        let of = |most_kept| measure::analyze(std::slice::from_ref(&file), &keeping(most_kept)).0;
        let kept = of(usize::MAX);
        compared += usize::from(!kept.flows.is_empty());
        for most_kept in [0, 7] {
            assert_eq!(told(&of(most_kept)), told(&kept), "{}", file.display());
        }
    }
    assert!(compared > 20, "{compared}");
}

/// A capture, and how often it was read.
struct Counted(Capture, Cell<usize>);

impl Source for Counted {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn frames(&self, each: &mut dyn FnMut(&[Interface], &Packet) -> ControlFlow<()>) {
        self.1.set(self.1.get() + 1);
        self.0.frames(each);
    }
}

fn readings(wire: &Wire, most_kept: usize) -> usize {
    let source = Counted(wire.capture(), Cell::new(0));
    Analysis::of_sources(&[&source], &keeping(most_kept));
    source.1.get()
}

#[test]
fn what_is_not_kept_is_read_once_more_and_what_is_not_in_its_place_is_kept() {
    let (client, server) = ("[2001:db8::c]:5683", "[2001:db8:1::5]:5683");
    let mut wire = Wire::new();
    for n in 0..20 {
        wire.poll(10_000 * u64::from(n), n, n as u8, client, server);
    }
    assert_eq!((readings(&wire, 40), readings(&wire, 10)), (2, 3));
    // The same packet twice, as a mirror port has it: how many there are tells what they are.
    let mirrored: Vec<Packet> = (wire.0.iter())
        .flat_map(|packet| [packet.clone(), packet.clone()])
        .collect();
    let mirrored = Wire(mirrored);
    let of = |most_kept| Analysis::of(&[mirrored.capture()], &keeping(most_kept));
    assert_eq!(told(&of(10)), told(&of(usize::MAX)));
    assert_eq!(of(10).other.copies, 40);
}

#[test]
fn one_message_to_many_addresses_takes_as_much_as_as_many_messages() {
    // What was kept of each once more for every one before it would fill any memory.
    const MANY: u32 = 20_000;
    let request = crate::common::get(coap::Kind::NonConfirmable, 7, 1, "/t");
    let mut wire = Wire::new();
    for n in 0..MANY {
        let server = format!("[2001:db8:1::{:x}:{:x}]:5683", n >> 16, n & 0xffff);
        wire.message(u64::from(n), "[2001:db8::c]:5683", &server, &request);
    }
    let analysis = Analysis::of(&[wire.capture()], &Options::default());
    let exchanges = || analysis.flows.iter().flat_map(|flow| &flow.exchanges);
    let sent: usize = exchanges().map(|e| e.transmissions().count()).sum();
    assert_eq!(sent, MANY as usize);
    assert!(exchanges().all(|e| e.transmissions().count() <= 65));
}
