//! A daemon whose events go into a pipe that nobody reads.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use crate::daemon::SERVER;
use crate::load::{Ask, Load, p_addr, t_addr};
use crate::strangers::Beside;

/// Each is an event; their lines are several times what a pipe takes.
const NODES: u64 = 3000;

/// And whoever reads at last has missed nothing.
pub fn a_daemon_whose_events_nobody_reads_answers_all_the_same(state: &Path) {
    let beside = Beside::new();
    let (daemon, events) = beside.start_unread(state);
    let any = "[::1]:0".parse().expect("an address");
    let server = SERVER.parse().expect("an address");
    let load = beside.there.run(|| Load::new(any, server, 8, 8));
    let mut load = load.expect("its namespace");
    let took = load.run(NODES, &mut |n| Ask::Register(p_addr(n), t_addr(n)));
    assert!(took < Duration::from_secs(60), "{took:?}");
    let lines = BufReader::new(events).lines();
    let registered = lines
        .map_while(Result::ok)
        .filter(|line| line.contains("registered"));
    assert_eq!(registered.take(NODES as usize).count() as u64, NODES);
    daemon.kill();
}
