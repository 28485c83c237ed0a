//! The harness itself: this program runs itself as a test program whose tests fail.

use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use vm::harness::{Harness, Test};

const AS_SUBJECT: &str = "WPANLAB_TEST_SUBJECT";

fn passes() {
    println!("the output of a test that passes");
}

fn panics() {
    println!("some output before");
    panic!("the reason of the failure");
}

fn aborts() {
    std::process::abort();
}

fn sleeps_for_ever() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

const SUBJECTS: &[Test] = &[
    ("passes", passes),
    ("panics", panics),
    ("aborts", aborts),
    ("sleeps_for_ever", sleeps_for_ever),
    ("passes_after_all", passes),
];

fn main() {
    if vm::guest::is_guest() || std::env::var_os(AS_SUBJECT).is_some() {
        Harness::default().main(SUBJECTS);
    }
    let trial = |name: &'static str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    let trials = vec![
        trial("each_outcome_is_told_with_its_reason", outcomes),
        trial("a_filter_runs_only_what_it_selects", filter),
        trial("a_listing_boots_nothing_and_looks_like_libtests", listing),
        trial("a_vm_that_does_not_start_fails_every_test", no_vm),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn subject(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .env(AS_SUBJECT, "1")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

fn outcomes() {
    let (status, text) = subject(&[], &[]);
    assert_eq!(status, 101, "{text}");
    for expected in [
        "test passes ... ok\n",
        "test panics ... FAILED\n",
        "test aborts ... FAILED\n",
        "test sleeps_for_ever ... FAILED\n",
        "test passes_after_all ... ok\n",
        "some output before\n",
        "the reason of the failure\n",
        "killed by SIGABRT\n",
        "no end within 600 s of guest time\n",
        "test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
    assert!(!text.contains("the output of a test that passes"), "{text}");
}

fn filter() {
    let (status, text) = subject(&["passes", "--nocapture"], &[]);
    assert_eq!(status, 0, "{text}");
    assert!(
        text.contains("test result: ok. 2 passed; 0 failed;"),
        "{text}"
    );
    assert!(text.contains("3 filtered out"), "{text}");
    assert!(text.contains("the output of a test that passes"), "{text}");
}

fn listing() {
    let nowhere = [("WPANLAB_KERNEL", "/nonexistent")];
    let (status, text) = subject(&["--list", "--format", "terse", "passes"], &nowhere);
    assert_eq!(
        (status, text.as_str()),
        (0, "passes: test\npasses_after_all: test\n")
    );
    let ignored = subject(&["--list", "--format", "terse", "--ignored"], &nowhere);
    assert_eq!(ignored, (0, String::new()));
}

fn no_vm() {
    let (status, text) = subject(&[], &[("WPANLAB_KERNEL", "/nonexistent")]);
    assert_eq!(status, 101);
    assert!(text.contains("VM: read kernel /nonexistent"), "{text}");
    assert!(text.contains("0 passed; 5 failed"), "{text}");
}
