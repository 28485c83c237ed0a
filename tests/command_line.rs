//! The command without a network: diagnostics, exit codes, what it refuses.

mod common;

use common::{root, said, topology, wpanlab};

fn files(dir: &str) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(root().join(dir))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_invalid_topology_gives_its_message_and_exit_code_2() {
    let invalid = files("topologies/invalid");
    assert!(invalid.len() >= 15, "one file per kind of mistake");
    for file in invalid {
        let relative = file.strip_prefix(root()).unwrap().display().to_string();
        let text = std::fs::read_to_string(&file).unwrap();
        let expected = text.lines().next().unwrap();
        let expected = expected
            .strip_prefix("# expect: ")
            .unwrap_or_else(|| panic!("{relative}: no `# expect:`"));
        for command in ["check", "run", "plan"] {
            let output = wpanlab(&[command, &relative]).output().unwrap();
            assert_eq!(
                output.status.code(),
                Some(2),
                "{command} {relative}: {}",
                said(&output)
            );
            let errors = String::from_utf8(output.stderr).unwrap();
            let (place, message) = split(expected);
            let line = format!("{relative}:{place}: ");
            assert!(
                errors
                    .lines()
                    .any(|l| l.starts_with(&line) && l.contains(message)),
                "{relative}: expected {line}… {message}\n{errors}"
            );
        }
    }
}

/// `LINE:COLUMN` and the message.
fn split(expected: &str) -> (&str, &str) {
    expected.split_once(": ").unwrap()
}

#[test]
fn every_shipped_topology_is_valid() {
    for file in files("topologies") {
        let output = wpanlab(&["check"]).arg(&file).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {}",
            file.display(),
            said(&output)
        );
    }
}

#[test]
fn a_plan_says_the_same_for_the_same_seed_and_other_identifiers_for_another() {
    let plan = |seed: &str| {
        let output = wpanlab(&["plan", "--seed", seed])
            .arg(topology("handover.yaml"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(plan("7"), plan("7"));
    let eui64 = |plan: &str| {
        plan.lines()
            .find(|l| l.contains("eui64"))
            .unwrap()
            .to_owned()
    };
    assert_ne!(eui64(&plan("7")), eui64(&plan("8")));
}

#[test]
fn the_schema_is_the_one_in_docs() {
    let output = wpanlab(&["schema"]).output().unwrap();
    let shipped = std::fs::read_to_string(root().join("docs/topology.schema.json")).unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim_end(),
        shipped.trim_end(),
        "wpanlab schema > docs/topology.schema.json"
    );
}

#[test]
fn an_existing_run_directory_is_never_overwritten_without_force() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plan.yaml"), "precious").unwrap();
    let run = |more: &[&str]| {
        wpanlab(&["run", "--kernel", "/nonexistent/vmlinuz", "--out"])
            .arg(dir.path())
            .args(more)
            .arg(topology("handover.yaml"))
            .output()
            .unwrap()
    };
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains("--force replaces it"),
        "{}",
        said(&output)
    );
    assert_eq!(
        std::fs::read_to_string(dir.path().join("plan.yaml")).unwrap(),
        "precious"
    );
}

#[test]
fn a_kernel_that_is_not_there_is_named() {
    let output = wpanlab(&["run", "--kernel", "/nonexistent/vmlinuz"])
        .arg(topology("handover.yaml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains("/nonexistent/vmlinuz"),
        "{}",
        said(&output)
    );
}

#[test]
fn the_self_test_measures_its_known_gap() {
    let output = wpanlab(&["analyze", "--self-test"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_context_that_is_none_is_refused() {
    for context in ["16=2001:db8::/64", "1=2001:db8::", "2001:db8::/64"] {
        let output = wpanlab(&["analyze", "--context", context, "x.pcap"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(
            said(&output).contains("1=2001:db8::/64"),
            "{}",
            said(&output)
        );
    }
}

#[test]
fn virtual_time_on_the_native_backend_is_refused() {
    let output = wpanlab(&["run", "--backend", "native"])
        .arg(topology("handover.yaml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(
        said(&output).contains("--clock realtime"),
        "{}",
        said(&output)
    );
}

#[test]
fn completions_are_printed_for_a_shell() {
    let output = wpanlab(&["completions", "bash"]).output().unwrap();
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("wpanlab")
    );
}

#[test]
fn who_stops_reading_ends_no_command() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    let mut command = wpanlab(&["schema"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    // The schema is longer than a pipe holds, so that the rest is not written yet.
    BufReader::with_capacity(1, child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(child.wait().unwrap().success());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((first.trim(), said.as_str()), ("{", ""));
}
