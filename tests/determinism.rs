//! Two runs with one seed agree to the byte, also on a busy machine.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Run, said, topology, wpanlab};

#[test]
fn runs_are_identical_also_with_the_other_core_busy() {
    static DONE: AtomicBool = AtomicBool::new(false);
    let busy = std::thread::spawn(|| {
        let mut x = 0u64;
        while !DONE.load(Ordering::Relaxed) {
            x = std::hint::black_box(x.wrapping_add(1));
        }
    });
    let output = wpanlab(&["verify", "--backend", "vm", "--runs", "3"])
        .arg(topology("handover.yaml"))
        .output()
        .unwrap();
    DONE.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("3 runs"), "{}", said(&output));
}

/// The captures of a run by their names.
fn captures(run: &Run) -> BTreeMap<String, Vec<u8>> {
    let read = |file: std::io::Result<std::fs::DirEntry>| {
        let file = file.unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        (file.file_name().into_string().unwrap(), bytes)
    };
    let captures = std::fs::read_dir(run.path("captures"));
    let captures = captures.unwrap_or_else(|error| panic!("{error}\n{}", said(&run.output)));
    captures.map(read).collect()
}

/// Paired runs: what is said of an experiment is no part of it.
#[test]
fn name_summary_expectations_and_comments_change_no_byte_of_the_captures() {
    let plain = "version: 1\nname: a\nnodes:\n  er1: { role: edge-router }\n  wmms: { role: wmms }\n  \
        sensor: { role: mobile-node, attached_to: er1 }\n  \
        client: { role: client, polls: [{ node: sensor, every: 100 ms }] }\nscenario: { duration: 2 s }\n";
    let said_more = format!(
        "# The same, with more said of it.\n{}expect: {{ lost: 0, answered: '> 10', handover_delay: '< 7 s' }}\n",
        plain.replace(
            "name: a\n",
            "name: another\nsummary: A sentence about it.\n"
        )
    );
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        captures(&Run::of(Path::new(&path), &[]))
    };
    let (one, two) = (run("plain.yaml", plain), run("more.yaml", &said_more));
    assert!(one.len() > 5, "{:?}", one.keys());
    assert!(one.keys().eq(two.keys()), "{:?}", two.keys());
    let differs: Vec<_> = one.keys().filter(|name| one[*name] != two[*name]).collect();
    assert!(differs.is_empty(), "{differs:?}");
}
