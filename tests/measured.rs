//! The measured figures in the documentation still hold for this program.

mod common;

use std::process::Command;

use common::{backend, root, said};

#[test]
fn a_row_of_each_of_the_papers_tables_that_is_cheap_lies_where_its_page_says() {
    let output = Command::new(root().join("scripts/figures"))
        .arg("--rows")
        .args(backend())
        .env("WPANLAB", env!("CARGO_BIN_EXE_wpanlab"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}
