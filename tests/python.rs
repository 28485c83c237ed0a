//! The Python package calls this program, and its README runs as it stands.

mod common;

use std::process::Command;

use common::{root, said};

#[test]
fn the_package_and_its_readme_work_with_this_program() {
    let output = Command::new("python3")
        .args(["-B", "-m", "unittest", "--verbose"])
        .current_dir(root().join("python"))
        .env("WPANLAB", env!("CARGO_BIN_EXE_wpanlab"))
        .output()
        .expect("python3; ./scripts/setup installs it");
    assert!(output.status.success(), "{}", said(&output));
    // Where unittest finds no tests it may be content.
    assert!(said(&output).contains("test_readme_runs_as_it_stands"));
}
