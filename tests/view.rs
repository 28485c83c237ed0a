//! `wpanlab view` as a command: what it prints, what it refuses, how it ends.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};

use common::{said, topology, wpanlab};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A run directory in which nothing has happened yet.
fn planned() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let plan = wpanlab(&["plan"]).arg(topology("handover.yaml")).output();
    std::fs::write(dir.path().join("plan.yaml"), plan.unwrap().stdout).unwrap();
    dir
}

fn view(options: &[&str], dir: &Path) -> (Child, String) {
    let mut child = wpanlab(&["view"])
        .args(options)
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    printed.read_line(&mut line).unwrap();
    (child, line.trim().to_owned())
}

#[test]
fn it_prints_where_the_page_is_and_ends_with_a_signal() {
    let dir = planned();
    for (options, before, signal) in [
        (&[][..], "http://127.0.0.1:", Signal::SIGINT),
        (
            &["--json"],
            "{\"address\":\"http://127.0.0.1:",
            Signal::SIGTERM,
        ),
    ] {
        let (mut child, line) = view(options, dir.path());
        let port: String = line
            .strip_prefix(before)
            .unwrap_or_else(|| panic!("{line}"))
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let id = i32::try_from(child.id()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn what_it_cannot_show_and_a_port_that_is_taken_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let output = wpanlab(&["view"]).arg(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("plan.yaml"), "{}", said(&output));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = planned();
    let output = wpanlab(&["view", "--port", &port]).arg(dir.path()).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains(&port), "{}", said(&output));
}
