//! What the end-to-end tests share: the command, and a run of it in the VM.
#![allow(dead_code)] // each test file uses its part

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The profile that cargo built this test in, by the name of its directory.
pub fn profile() -> String {
    // This test stands in `deps`, and programs beside that.
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().and_then(Path::parent).unwrap();
    match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev".into(),
        profile => profile.into(),
    }
}

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A topology that the project ships.
pub fn topology(name: &str) -> PathBuf {
    root().join("topologies").join(name)
}

/// The command, in the project's root.
pub fn wpanlab(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wpanlab"));
    command.args(arguments).current_dir(root());
    command
}

/// Where the tests run topologies: in QEMU's VM, or as WPANLAB_TEST_RUNS says, `--backend uml --syscall-cost
/// 0s..20us`. `scripts/schedules` sets that.
pub fn backend() -> Vec<String> {
    let said = std::env::var("WPANLAB_TEST_RUNS");
    let said = said.as_deref().unwrap_or("--backend vm");
    said.split_whitespace().map(str::to_owned).collect()
}

/// The lines that tshark prints of `fields` for the packets of `filter`, of a field that is there several
/// times the first.
pub fn tshark(capture: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    tshark_of(capture, filter, "f", fields)
}

/// The same with `which` of a field that is there several times: the first (`f`), the last one (`l`), which is
/// that of the innermost header, or all (`a`).
pub fn tshark_of(capture: &Path, filter: &str, which: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command
        .arg("-r")
        .arg(capture)
        .args(["-Y", filter, "-T", "fields", "-E"])
        .arg(format!("occurrence={which}"));
    fields.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    let output = command
        .output()
        .expect("tshark; ./scripts/setup installs it");
    assert!(
        output.status.success(),
        "{}: {}",
        capture.display(),
        said(&output)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// What a command printed, for a failing test's message.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}

/// Runs a future on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A finished run and its directory, which goes with it.
pub struct Run {
    pub dir: tempfile::TempDir,
    pub output: Output,
}

impl Run {
    /// Runs a topology where [`backend`] says.
    pub fn of(topology: &Path, more: &[&str]) -> Run {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let mut command = wpanlab(&["run"]);
        command.args(backend()).arg("--out").arg(&out);
        let output = command.args(more).arg(topology).output().unwrap();
        Run { dir, output }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("run").join(name)
    }

    /// `result.json`.
    pub fn result(&self) -> Value {
        let text = std::fs::read_to_string(self.path("result.json"))
            .unwrap_or_else(|error| panic!("result.json: {error}\n{}", said(&self.output)));
        serde_json::from_str(&text).unwrap()
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name))
            .unwrap_or_else(|error| panic!("{name}: {error}\n{}", said(&self.output)))
    }
}
