//! Lifetimes that all have ended when the WMMS starts: what its nodes notice of it while the entries leave.
//!
//! `WPANLAB_EXPIRY=1000000` for so many entries; `scripts/expiry` has that.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use comp::Limits;
use comp::mmt::Mmt;
use wmms_store::{Journal, Store as _};

use crate::daemon::SERVER;
use crate::flood::{NODES, Nodes, Noticed};
use crate::load::{Ask, Load, p_addr, t_addr};
use crate::strangers::Beside;

/// Entries that the WMMS takes in, and lets go, in a second at least, on a busy machine without optimisation.
const A_SECOND: u64 = 20_000;

pub fn whoever_asks_while_lifetimes_end_by_the_thousand_is_served(state: &Path) {
    let many = std::env::var("WPANLAB_EXPIRY").map_or(2000, |many| {
        many.parse().expect("WPANLAB_EXPIRY is a number")
    });
    let seconds = 2 + many / A_SECOND;
    let lifetime = u16::try_from(seconds).expect("fewer entries");
    let beside = Beside::new();
    let daemon = beside.start(state);
    let any = "[::1]:0".parse().expect("an address");
    let server = SERVER.parse().expect("an address");
    let load = || Load::new(any, server, 16, 64);
    let mut load = beside.there.run(load).expect("its namespace");
    let entry = |n: u64| p_addr(1 << 40 | n);
    load.run(many, &mut |n| {
        Ask::RegisterFor(entry(n), t_addr(n), lifetime)
    });
    daemon.kill();
    // The clock goes on while there is no daemon.
    thread::sleep(Duration::from_secs(seconds));

    let began = Instant::now();
    let daemon = beside.start(state);
    let started = began.elapsed();
    let mut nodes = Nodes::new(&beside);
    let registered = began.elapsed() - started;
    let end = Instant::now() + Duration::from_secs(seconds);
    let during = nodes.go_on(|| Instant::now() >= end);
    let end = Instant::now() + Duration::from_secs(seconds.min(10));
    let after = nodes.go_on(|| Instant::now() >= end);
    println!(
        "{many} lifetimes ended; the WMMS answered after {started:.2?}, registered {NODES} nodes in {registered:.2?}"
    );
    println!("{}", Noticed::HEADING);
    for (when, noticed) in [("during", &during), ("after", &after)] {
        println!("{}", noticed.line(when));
    }
    nodes.are_where_they_say();
    daemon.kill();
    let mut left = Mmt::new(Limits::default());
    let mut store = Journal::open(&state.join("wmms.redb")).expect("its store");
    store.load(&mut left).expect("its table");
    assert_eq!(left.len(), NODES, "all others have left");
}
