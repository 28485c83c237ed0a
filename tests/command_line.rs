//! The command without a network: diagnostics, exit codes, what it refuses.

mod common;

use std::io::Write;
use std::process::{Output, Stdio};

use common::{root, said, topology, wpanlab};
use serde_json::Value;

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
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
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
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(errors.matches("No such file").count(), 1, "{errors}");
    assert!(errors.contains("--kernel /nonexistent/vmlinuz"), "{errors}");
}

#[test]
fn a_place_for_the_report_that_is_not_there_is_refused_before_the_run() {
    for option in ["--report", "--junit"] {
        let output = wpanlab(&["run", option, "/nonexistent/at/all.xml"])
            .arg(topology("handover.yaml"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains("no directory /nonexistent/at"), "{errors}");
    }
}

/// Before anything is run: the kernel that is to be run does not exist.
#[test]
fn a_run_says_what_check_warns_of_unless_only_the_result_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("idle.yaml");
    let text = "version: 1\nname: idle\nnodes:\n  er1: { role: edge-router }\n  \
        idle: { role: sensor, attached_to: er1 }\nscenario: { duration: 1 s }\n";
    std::fs::write(&file, text).unwrap();
    let errors = |more: &[&str]| {
        let run = wpanlab(&["run", "--kernel", "/nonexistent"])
            .arg(&file)
            .args(more)
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(2), "{}", said(&run));
        String::from_utf8(run.stderr).unwrap()
    };
    let warned = "warning: `nodes.idle`: nobody asks it";
    assert_eq!(errors(&[]).matches(warned).count(), 1);
    assert_eq!(errors(&["--seeds", "1..3"]).matches(warned).count(), 1);
    for more in [&["-q"][..], &["-q", "--json"], &["-q", "--seeds", "1..3"]] {
        assert!(!errors(more).contains("nobody asks it"), "{more:?}");
    }
    let errors = errors(&["--json"]);
    let warning: Value = serde_json::from_str(errors.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&warning["line"], &warning["column"]),
        (&5.into(), &3.into())
    );
    assert!(
        warning["warning"]
            .as_str()
            .unwrap()
            .starts_with("`nodes.idle`")
    );
    assert_eq!(errors.lines().count(), 2, "{errors}");
}

#[test]
fn a_part_of_a_sweep_is_refused_where_nothing_is_planned_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    for (arguments, said_so) in [
        (
            &["run", dir, "--shard", "1/2"][..],
            "`wpanlab sweep plan` makes one",
        ),
        (&["collect", dir], "is no sweep"),
        (&["status", dir], "is no sweep"),
        (&["run", dir], "--index <N>|--shard <K/N>"),
        (&["run", dir, "--shard", "3/2"], "no shard such as 3/16"),
        (&["run", dir, "--index", "0"], "no index from 1"),
        (
            &["run", dir, "--index", "1", "--shard", "1/2"],
            "cannot be used with",
        ),
    ] {
        let output = wpanlab(&["sweep"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(
            said(&output).contains(said_so),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    for (rule, said_so) in [
        ("handover_delay_s p95 ±1 %", "mean|median"),
        ("handover_delay_s mean ±0 %", "over 0"),
    ] {
        let run = [
            "run",
            "topologies/handover.yaml",
            "--seeds",
            "1..9",
            "--until",
            rule,
        ];
        let output = wpanlab(&run).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(said_so), "{}", said(&output));
    }
}

#[test]
fn one_node_and_one_step_are_no_plural() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.yaml");
    let text = "version: 1\nname: one\nnodes:\n  er1: { role: edge-router }\n  \
        wall: { role: sensor, attached_to: er1 }\nscenario:\n  duration: 2 s\n  \
        steps: [{ at: 1 s, crash: wall }]\n";
    std::fs::write(&file, text).unwrap();
    let output = wpanlab(&["check"]).arg(&file).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.ends_with("one.yaml: 2 nodes, 1 step\n"),
        "{printed}"
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
fn what_a_user_mode_linux_cannot_do_is_said_with_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let walk = topology("handover.yaml").to_str().unwrap().to_owned();
    let mobility = topology("mobility.yaml").to_str().unwrap().to_owned();
    let nowhere = empty.path().join("nowhere").to_str().unwrap().to_owned();
    let uml = ["--backend", "uml"];
    for (command, more, code, why) in [
        (
            "run",
            vec![&*walk, "--clock", "realtime"],
            2,
            "virtual time only",
        ),
        ("run", vec![&*walk], 3, "wpanlab vm build-uml"),
        ("run", vec![&*walk, "--kernel", &nowhere], 2, "nowhere"),
        ("verify", vec![&*walk], 3, "wpanlab vm build-uml"),
        (
            "verify",
            vec![&*mobility, "--backend", "native"],
            2,
            "virtual time",
        ),
    ] {
        let given = more.contains(&"native");
        let mut command = wpanlab(&[command]);
        let command = command.args(more).args(uml.iter().filter(|_| !given));
        let output = command.env("XDG_CACHE_HOME", empty.path()).output();
        let output = output.unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn virtual_time_on_the_native_backend_is_refused() {
    let output = wpanlab(&["run", "--backend", "native"])
        .arg(topology("handover.yaml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
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

/// A capture that the tests of `measure` have.
fn capture(name: &str) -> String {
    format!("crates/measure/tests/data/{name}")
}

/// A pcap file of frames of a link type.
fn pcap(link_type: u32, frames: &[&[u8]]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link_type] {
        file.extend(u32::to_le_bytes(word));
    }
    for (second, frame) in (1_u32..).zip(frames) {
        for word in [second, 0, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(*frame);
    }
    file
}

/// `analyze` with a file as its standard input.
fn analyze_piped(arguments: &[&str], file: &[u8]) -> Output {
    let mut command = wpanlab(&["analyze", "-"]);
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(file).unwrap();
    child.wait_with_output().unwrap()
}

fn stdout_json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}\n{}", said(output)))
}

/// Standard error, each line of which is an error in JSON.
fn errors_json(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stderr);
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    text.lines().map(parse).collect()
}

#[test]
fn standard_input_is_a_capture_compressed_or_not() {
    let file = std::fs::read(root().join(capture("two-routers.pcap.gz"))).unwrap();
    let plain = std::fs::read(root().join(capture("dead-node.pcap"))).unwrap();
    for (file, expected) in [(file, "5 sent, 5 answered"), (plain, "2 sent, 0 answered")] {
        let output = analyze_piped(&[], &file);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
}

#[test]
fn captures_of_which_nothing_can_be_measured_say_what_they_hold_and_do_not_pass() {
    // A data frame with the security bit, from 2 to 1 in PAN 1: key and counter, then ciphertext.
    let secured = [
        &[0x49, 0x98, 7, 1, 0, 1, 0, 2, 0, 5, 1, 0, 0, 0][..],
        &[0x5a; 20],
    ]
    .concat();
    // IPv6 with a UDP datagram from and to port 5684: a DTLS 1.2 record of application data.
    let mut dtls = vec![0x60, 0, 0, 0, 0, 24, 17, 64];
    dtls.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].repeat(2));
    dtls.extend([0x16, 0x34, 0x16, 0x34, 0, 24, 0, 0]);
    dtls.extend([23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 0, 3, 1, 2, 3]);
    for (link_type, frame, named) in [
        (230, &secured[..], "IEEE 802.15.4 without keys"),
        (101, &dtls[..], "DTLS"),
        (147, &[0; 8], "link type 147"),
    ] {
        let file = pcap(link_type, &[frame, frame]);
        let output = analyze_piped(&[], &file);
        assert_eq!(output.status.code(), Some(1), "{named}: {}", said(&output));
        assert!(
            said(&output).contains(&format!("frames: {named}")),
            "{}",
            said(&output)
        );
        assert!(
            said(&output).contains("no CoAP requests"),
            "{}",
            said(&output)
        );
        let output = analyze_piped(&["--json"], &file);
        assert_eq!(output.status.code(), Some(1), "{named}");
        assert_eq!(stdout_json(&output)["frames"]["not_read"][0]["what"], named);
        let errors = errors_json(&output);
        assert_eq!(errors[0]["exit_code"], 1);
        assert!(
            errors[0]["error"]
                .as_str()
                .unwrap()
                .contains("no CoAP requests")
        );
    }
}

#[test]
fn an_empty_file_among_good_ones_is_said_and_the_others_are_measured() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("newest.pcap");
    std::fs::write(&empty, "").unwrap();
    let output = wpanlab(&["analyze", &capture("two-routers.pcap.gz")]);
    let output = { output }.arg(&empty).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("newest.pcap: the file is empty"));
    assert!(said(&output).contains("5 sent, 5 answered"));
}

#[test]
fn ports_nodes_and_the_transmit_span_can_be_given() {
    let of = |arguments: &[&str], file: &str| {
        let mut command = wpanlab(&["--json", "analyze", &capture(file)]);
        stdout_json(&command.args(arguments).output().unwrap())
    };
    let ports = ["--port", "5685", "--port", "61616"];
    assert_eq!(
        of(&ports, "other-port.pcap")["flows"][0]["requests"]["answered"],
        5
    );
    // Also with a family that the capture does not have.
    let node = ["--node", "sensor=2001:db8:1::5,2001:db8:2::5,192.0.2.5"];
    let flows = &of(&node, "node-back-and-forth.pcap")["flows"];
    assert_eq!(flows[0]["node"], "sensor");
    assert_eq!(flows[0]["handovers"].as_array().unwrap().len(), 4);
    let flows = &of(&["--max-transmit-span", "225s"], "slow-ack-timeout.pcap")["flows"];
    assert_eq!(flows[0]["requests"]["rtt_s"]["max"], 151.0);
    for wrong in [
        &["--port", "0"][..],
        &["--node", "sensor"],
        &["--node", "=::1"],
        &["--node", "a=::1", "--node", "b=::1"],
        &["--max-transmit-span", "9"],
    ] {
        let output = wpanlab(&["analyze", "x.pcap"])
            .args(wrong)
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{wrong:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn a_file_that_is_not_there_has_exit_code_2_and_is_named_once() {
    for command in ["analyze", "check", "plan", "run", "verify", "report"] {
        let output = wpanlab(&[command, "nowhere/at.all"]).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{command}: {}",
            said(&output)
        );
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(errors.matches("nowhere/at.all").count(), 1, "{errors}");
        assert!(errors.matches("No such file").count() <= 1, "{errors}");

        let output = wpanlab(&["--json", command, "nowhere/at.all"])
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{command}: {}",
            said(&output)
        );
        if command == "check" {
            let checked = stdout_json(&output);
            assert_eq!(checked[0]["valid"], false);
        } else {
            assert_eq!(errors_json(&output)[0]["exit_code"], 2, "{command}");
            assert_eq!(output.stdout, b"", "{command}");
        }
    }
}

#[test]
fn every_kind_of_error_is_json_if_results_are() {
    for (arguments, code) in [
        (&["nothing"][..], 2),
        (&["analyze"], 2),
        (&["plan", "topologies/invalid/duplicate-key.yaml"], 2),
        (
            &["plan", "topologies/handover.yaml", "--set", "seed=1,2"],
            2,
        ),
        (&["model", "--format", "csv"], 2),
        (&["completions", "bash"], 2),
        (
            &["run", "topologies/handover.yaml", "--kernel", "nowhere"],
            2,
        ),
        (
            &["run", "topologies/handover.yaml", "--backend", "native"],
            2,
        ),
        (&["model", "--out", "/proc/none"], 3),
    ] {
        let output = wpanlab(&["--json"]).args(arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            said(&output)
        );
        let errors = errors_json(&output);
        assert_eq!(errors.len(), 1, "{arguments:?}: {}", said(&output));
        assert_eq!(errors[0]["exit_code"], code, "{arguments:?}");
        assert_ne!(errors[0]["error"], "", "{arguments:?}");
    }
}

#[test]
fn a_topology_that_is_checked_is_json_with_its_problems() {
    let invalid = &files("topologies/invalid")[0];
    let output = wpanlab(&["check", "--json", "topologies/handover.yaml"]);
    let output = { output }.arg(invalid).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let checked = stdout_json(&output);
    assert_eq!(
        (&checked[0]["valid"], &checked[1]["valid"]),
        (&true.into(), &false.into())
    );
    assert!(checked[1]["problems"][0]["line"].as_u64().unwrap() > 0);
    assert_eq!(output.stderr, b"", "{}", said(&output));
}

#[test]
fn commands_that_end_at_once_show_no_progress() {
    for arguments in [
        &["check", "topologies/handover.yaml"][..],
        &["plan", "topologies/handover.yaml"],
        &["schema"],
        &["model"],
    ] {
        let output = wpanlab(arguments).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn whoever_reads_no_errors_and_no_progress_ends_no_command() {
    let mut command = wpanlab(&["plan", "nowhere.yaml"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(
        child.wait().unwrap().code(),
        Some(2),
        "no panic, which is 101"
    );
}

#[test]
fn who_stops_reading_ends_no_command() {
    use std::io::{BufRead, BufReader, Read};

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

/// A run directory as somebody may have sent it: links, FIFOs and devices in the places of files.
#[test]
fn a_report_of_a_directory_from_anywhere_overwrites_nothing_outside_and_waits_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (run, victim) = (dir.path().join("run"), dir.path().join("victim"));
    std::fs::create_dir(&run).unwrap();
    std::fs::write(&victim, "precious").unwrap();
    std::fs::write(run.join("run.json"), "{}").unwrap();
    std::os::unix::fs::symlink(&victim, run.join("report.html")).unwrap();
    std::os::unix::fs::symlink(&victim, run.join("plan.yaml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", run.join("result.json")).unwrap();
    nix::unistd::mkfifo(
        &run.join("events.jsonl"),
        nix::sys::stat::Mode::from_bits_truncate(0o600),
    )
    .unwrap();
    let run = run.to_str().unwrap();
    let output = wpanlab(&["report", run]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    for (file, what) in [
        ("plan.yaml", "a symbolic link"),
        ("result.json", "a symbolic link"),
        ("events.jsonl", "a FIFO"),
    ] {
        let line = format!("{file} cannot be understood: it is {what}");
        assert!(errors.contains(&line), "{errors}");
    }
    let page = std::fs::read_to_string(format!("{run}/report.html")).unwrap();
    assert!(page.contains("</html>") && !page.contains("precious"));
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
}

/// Whoever reads the files of CI must not find those of an earlier run that passed.
#[test]
fn a_run_that_does_not_begin_leaves_an_error_in_its_junit_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (xml, page) = (path("ci.xml"), path("ci.html"));
    let walk = topology("handover.yaml").to_str().unwrap().to_owned();
    let wrong = root().join("topologies/invalid/sleep-too-long.yaml");
    let wrong = wrong.to_str().unwrap().to_owned();
    let earlier = path("earlier");
    std::fs::create_dir(&earlier).unwrap();
    std::fs::write(path("earlier/plan.yaml"), "x").unwrap();
    let kernel = path("no-kernel");
    for (arguments, code, why) in [
        (vec![&*wrong], 2, "sleep"),
        (vec![&*wrong, "--seeds", "1..2"], 2, "sleep"),
        (vec![&*walk, "--out", &earlier], 2, "--force replaces it"),
        (vec![&*walk, "--kernel", &kernel], 2, "no-kernel"),
        (
            vec![&*walk, "--kernel", &kernel, "--seeds", "1..2"],
            2,
            "no-kernel",
        ),
        (vec![&*walk, "--backend", "native"], 2, "--clock realtime"),
    ] {
        for file in [&xml, &page] {
            std::fs::write(file, "of an earlier run, which passed").unwrap();
        }
        let mut command = wpanlab(&["run", "--junit", &xml, "--report", &page]);
        let output = command.args(&arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            said(&output)
        );
        let text = std::fs::read_to_string(&xml).unwrap();
        assert!(
            text.contains(r#"errors="1""#) && text.contains("<error message="),
            "{text}"
        );
        assert!(text.contains(why), "{text}");
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(
            text.contains(">partial</span>") && text.contains(why),
            "{text}"
        );
    }
    // What is in a run's own directory stays as it is with the run.
    let own = path("earlier/ci.xml");
    std::fs::write(&own, "its own").unwrap();
    let refused = wpanlab(&["run", &walk, "--out", &earlier, "--junit", &own]).output();
    assert_eq!(refused.unwrap().status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&own).unwrap(), "its own");
}

#[test]
fn results_that_cannot_be_written_to_standard_output_are_a_failure_unless_nobody_reads() {
    let walk = topology("handover.yaml").to_str().unwrap().to_owned();
    let commands: [&[&str]; 12] = [
        &["schema"],
        &["check", &walk],
        &["--json", "check", &walk],
        &["plan", &walk],
        &["--json", "plan", &walk],
        &["examples"],
        &["analyze", "--self-test"],
        &["--json", "analyze", "--self-test"],
        &["completions", "bash"],
        &["--help"],
        &["run", "--help"],
        &["--version"],
    ];
    for command in commands {
        let run = |stdout: Stdio| {
            let mut command = wpanlab(command);
            command.stdout(stdout).stderr(Stdio::piped());
            command.spawn().unwrap().wait_with_output().unwrap()
        };
        let output = run(std::fs::File::create("/dev/full").unwrap().into());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{command:?}: {said}");
        let line = "wpanlab: cannot write to standard output: No space left";
        assert_eq!(said.matches(line).count(), 1, "{command:?}: {said}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run(writer.into());
        assert_eq!(output.status.code(), Some(0), "{command:?}: nobody reads");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command:?}");
    }
}

#[test]
fn a_page_goes_where_the_user_says_also_into_a_device() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("run.json"), "{}").unwrap();
    let run = dir.path().to_str().unwrap();
    let report = |out: &str| {
        let output = wpanlab(&["-q", "report", run, "--out", out]).output();
        output.unwrap()
    };
    let output = report("/dev/stdout");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("</html>"));
    assert_eq!(report("/dev/null").status.code(), Some(0));
    // A full disk, and a directory in which nobody can make a file.
    for (file, reason) in [("/dev/full", "No space left"), ("/proc/page.html", "")] {
        let output = report(file);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            errors.contains(&format!("write {file}: {reason}")),
            "{errors}"
        );
    }
}

/// Whoever starts daemons anew when they end reads their log, or not.
#[test]
fn a_daemon_that_cannot_go_on_ends_though_nobody_reads_why() {
    let (reader, mut log) = std::io::pipe().unwrap();
    // As much as a pipe holds (pipe(7)): one byte more would wait.
    log.write_all(&[b'\n'; 1 << 16]).unwrap();
    let mut command = wpanlab(&["node", "--plan", "nowhere.yaml", "wall"]);
    command.stderr(log);
    let mut child = command.spawn().unwrap();
    let began = std::time::Instant::now();
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        if began.elapsed() > std::time::Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it waits for who reads");
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    assert_eq!(ended.code(), Some(2));
    drop(reader);
}
