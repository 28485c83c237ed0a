//! What stands in examples/ does what its first lines say.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{root, said};

/// What an example prints.
fn printed(name: &str, arguments: &[PathBuf]) -> String {
    // Beside the tests' own directory, where cargo puts it.
    let binary = Path::new(env!("CARGO_BIN_EXE_wpanlab"));
    let example = binary.with_file_name("examples").join(name);
    let output = Command::new(&example).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", example.display()));
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_example_runs() {
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let arguments: &[PathBuf] = match name.as_str() {
            "analyze_capture" => &[root().join("crates/measure/tests/data/forwarded.pcap")],
            _ => &[],
        };
        assert!(!printed(&name, arguments).is_empty(), "{name}");
    }
}
