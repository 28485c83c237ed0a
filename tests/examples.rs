//! What stands in examples/ does what its first lines say.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use common::{profile, root, said};

/// The directory of the examples, built.
static EXAMPLES: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut cargo = Command::new(env!("CARGO"));
    // Of all crates: with the features of all, as this test was built, and nothing is built twice.
    cargo.args(["build", "--quiet", "--workspace", "--examples"]);
    cargo.args(["--profile", &profile()]);
    let output = cargo.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    Path::new(env!("CARGO_BIN_EXE_wpanlab")).with_file_name("examples")
});

/// What an example prints.
fn printed(name: &str, arguments: &[PathBuf]) -> String {
    let example = EXAMPLES.join(name);
    let output = Command::new(&example).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", example.display()));
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_capture_is_analysed() {
    let capture = root().join("crates/measure/tests/data/forwarded.pcap");
    let said = printed("analyze_capture", &[capture]);
    assert_eq!(
        said,
        "2001:db8::c asks for /t: 3 sent, 3 answered, 0 lost\n"
    );
}

#[test]
fn coap_copes_with_every_third_datagram_lost() {
    let said = printed("coap_over_queues", &[]);
    assert_eq!(
        said.lines().filter(|l| l.contains("you asked for")).count(),
        5
    );
    assert!(said.contains("5 of 5 answered"), "{said}");
}

#[test]
fn hidden_nodes_lose_more_the_more_they_send() {
    let said = printed("medium_alone", &[]);
    let lost = said.lines().skip(1).map(|line| {
        let figure = line.trim_end_matches(" %").rsplit(' ').next().unwrap();
        figure.parse::<f64>().unwrap()
    });
    let lost: Vec<f64> = lost.collect();
    assert_eq!(lost.len(), 4, "{said}");
    assert!(lost.is_sorted_by(|a, b| a < b) && lost[0] > 0.0, "{said}");
}
