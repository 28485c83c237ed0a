//! A run that somebody enters and follows while it goes on.

use std::io::BufReader;
use std::process::Stdio;

use super::{Footprint, NATIVE, Run, command, packets, said, wpanlab};

/// The argument with which this program says in which network it is.
pub(super) const INTERFACES: &str = "interfaces";

pub(super) fn interfaces() -> ! {
    print!("{}", std::fs::read_to_string("/proc/net/dev").unwrap());
    std::process::exit(7)
}

pub(super) fn a_node_is_entered_and_a_capture_followed_while_the_run_goes_on() {
    let before = Footprint::now();
    let mut run = Run::start("live", NATIVE);
    run.wait_until_it_plays();
    let dir = run.dir.clone();
    let root = dir.root().to_str().unwrap();
    let mut follower = command(&["capture", root, "client.eth0"]);
    let follower = follower.stdout(Stdio::piped()).spawn().unwrap();

    let own = std::env::current_exe().unwrap();
    let own = own.to_str().unwrap();
    let seen = wpanlab(&["exec", root, "sensor", "--", own, INTERFACES]);
    assert_eq!(
        seen.status.code(),
        Some(7),
        "the command's: {}",
        said(&seen)
    );
    let interfaces = String::from_utf8_lossy(&seen.stdout);
    assert!(interfaces.contains("lowpan0"), "{interfaces}");
    let unknown = wpanlab(&["exec", root, "nobody", "--", own, INTERFACES]);
    assert_eq!(unknown.status.code(), Some(2), "{}", said(&unknown));
    assert!(
        said(&unknown).contains("no node nobody, but "),
        "{}",
        said(&unknown)
    );

    let ended = run.end();
    assert_eq!(ended.status.code(), Some(0), "{}", said(&ended));
    let followed = follower.wait_with_output().unwrap();
    assert_eq!(followed.status.code(), Some(0));
    let whole = packets(&dir.capture("client", "eth0"));
    let reader = capture::Reader::new("followed", BufReader::new(&followed.stdout[..]));
    assert_eq!(reader.unwrap().map(Result::unwrap).count(), whole);
    assert!(whole > 100, "{whole} packets at 20 GET/s");

    let over = wpanlab(&["exec", root, "sensor", "--", own, INTERFACES]);
    assert_eq!(over.status.code(), Some(2), "{}", said(&over));
    assert!(said(&over).contains("no native run"), "{}", said(&over));
    let none = wpanlab(&["capture", root, "client.eth9"]);
    assert_eq!(none.status.code(), Some(2), "{}", said(&none));
    assert!(said(&none).contains("sensor.wpan0"), "{}", said(&none));
    assert_eq!(Footprint::now(), before);
}
