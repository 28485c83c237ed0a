//! kill -9 of the WMMS under load: no acknowledged binding is lost. And the WMMS beside strangers, on a full
//! disk, and lives of a daemon that nobody counts.
//!
//! 30 kills; `WPANLAB_KILLS=1000 cargo test --profile quick -p nodes --test wmms` for more. As many lives as
//! `WPANLAB_LIVES` says, and a flood as `WPANLAB_FLOOD` says (`scripts/flood`).

mod daemon;
mod expiry;
mod flood;
mod full_disk;
mod known;
mod lives;
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod load;
mod strangers;
mod unread;

use std::path::Path;
use std::time::{Duration, Instant};

use daemon::{Daemon, PATIENCE, SERVER};
use libtest_mimic::{Arguments, Trial};
use load::{Ask, Load, option, p_addr, t_addr};
use rand_core::Rng as _;
use units::{Rng, Seed};

const SEED: Seed = Seed(4);
const PEERS: usize = 8;
const WINDOW: usize = 32;
/// CoAP codes: 2.02, 2.05, 4.04.
const DELETED: u8 = 0x42;
const CONTENT: u8 = 0x45;
const NOT_FOUND: u8 = 0x84;

fn main() {
    daemon::be_daemon();
    // Before libtest starts threads: a namespace is a thread's.
    daemon::isolate();
    let kills = std::env::var("WPANLAB_KILLS").map_or(30, |kills| {
        kills.parse().expect("WPANLAB_KILLS is a number")
    });
    let trial = Trial::test(
        "no_kill_at_any_instant_loses_an_acknowledged_binding",
        move || {
            let directory = tempfile::tempdir()?;
            kill_repeatedly(directory.path(), kills);
            Ok(())
        },
    );
    let in_a_directory = |name, trial: fn(&Path)| {
        Trial::test(name, move || {
            let directory = tempfile::tempdir()?;
            trial(directory.path());
            Ok(())
        })
    };
    let trials = vec![
        trial,
        in_a_directory(
            "answers_to_nobody_keep_nobody_waiting",
            strangers::answers_to_nobody_keep_nobody_waiting,
        ),
        in_a_directory(
            "what_is_sent_to_all_is_answered_by_nobody",
            strangers::what_is_sent_to_all_is_answered_by_nobody,
        ),
        in_a_directory(
            "nobody_is_this_host_but_this_host",
            strangers::nobody_is_this_host_but_this_host,
        ),
        in_a_directory(
            "a_full_disk_is_waited_for_and_nothing_is_acknowledged_meanwhile",
            full_disk::a_full_disk_is_waited_for_and_nothing_is_acknowledged_meanwhile,
        ),
        in_a_directory(
            "no_life_repeats_a_message_id_or_token_of_another",
            strangers::no_life_repeats_a_message_id_or_token_of_another,
        ),
        in_a_directory(
            "no_life_of_a_client_repeats_a_message_id_with_its_token",
            lives::no_life_of_a_client_repeats_a_message_id_with_its_token,
        ),
        in_a_directory(
            "a_flood_from_many_sources_is_no_amplifier_and_leaves_little_behind",
            flood::a_flood_from_many_sources_is_no_amplifier_and_leaves_little_behind,
        ),
        in_a_directory(
            "whom_the_wmms_knows_it_hears_before_a_flood_that_was_there_first",
            known::whom_the_wmms_knows_it_hears_before_a_flood_that_was_there_first,
        ),
        in_a_directory(
            "whoever_asks_while_lifetimes_end_by_the_thousand_is_served",
            expiry::whoever_asks_while_lifetimes_end_by_the_thousand_is_served,
        ),
        in_a_directory(
            "a_daemon_whose_events_nobody_reads_answers_all_the_same",
            unread::a_daemon_whose_events_nobody_reads_answers_all_the_same,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// The test's own choices.
struct Chance(Rng);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit
    }
}

/// What a WMMS may say of one node; a T_Addr is the number of the update that brought it.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// What was acknowledged last; `None`: no entry.
    acknowledged: Option<u64>,
    /// What was asked for and not answered yet.
    asked: Option<Option<u64>>,
    /// Updates so far.
    updates: u64,
}

impl Node {
    /// The next update: mostly bindings, some registrations, some ends.
    fn update(&mut self, slot: usize, chance: &mut Chance) -> Ask {
        self.updates += 1;
        let (p, t) = (p_addr(slot as u64), t_addr(self.updates));
        let (ask, then) = match (self.acknowledged, chance.below(16)) {
            (Some(_), 0) => (Ask::Deregister(p), None),
            (None, _) | (_, 1..4) => (Ask::Register(p, t), Some(self.updates)),
            _ => (Ask::Bind(p, t), Some(self.updates)),
        };
        self.asked = Some(then);
        ask
    }

    fn answered(&mut self, slot: usize, code: u8) {
        let then = self.asked.take().expect("an answer to a question");
        // A request that is repeated after a restart may find its work done.
        let done = code >> 5 == 2 || (then.is_none() && code == NOT_FOUND);
        assert!(done, "node {slot}: {then:?} was refused with {code:#x}");
        assert!(then.is_some() || matches!(code, DELETED | NOT_FOUND));
        self.acknowledged = then;
    }

    /// What the WMMS says after a restart: what it acknowledged, or what it was asked since.
    fn found(&mut self, slot: usize, message: &[u8], kill: u64) {
        let found = match message[1] {
            NOT_FOUND => None,
            CONTENT => {
                let value = option(message, 2050).expect("a T_Addr");
                let bytes = <[u8; 16]>::try_from(value).expect("16 bytes");
                Some(u128::from_be_bytes(bytes) as u64)
            }
            code => panic!("kill {kill}: discovery of node {slot}: {code:#x}"),
        };
        let right = found == self.acknowledged || self.asked == Some(found);
        assert!(
            right,
            "kill {kill}: node {slot} was acknowledged {:?}, asked for {:?}, found {found:?}",
            self.acknowledged, self.asked
        );
        self.acknowledged = found;
        self.asked = None;
    }
}

fn kill_repeatedly(directory: &Path, kills: u64) {
    let mut chance = Chance(SEED.rng(&["kills"]));
    let server = SERVER.parse().expect("an address");
    let mut load = Load::new(
        "[::1]:0".parse().expect("an address"),
        server,
        PEERS,
        WINDOW,
    );
    let mut nodes = vec![Node::default(); load.slots()];
    let mut acknowledged = 0;
    for kill in 1..=kills {
        let mut daemon = Daemon::start(directory);
        if chance.below(8) == 0 {
            // While it starts.
            std::thread::sleep(Duration::from_micros(chance.below(30_000)));
            daemon.kill();
            continue;
        }
        daemon.ready();
        discover_all(&mut load, &mut nodes, kill);
        for (slot, node) in nodes.iter_mut().enumerate() {
            load.send(slot, node.update(slot, &mut chance));
        }
        let end = Instant::now() + Duration::from_micros(chance.below(60_000));
        while Instant::now() < end {
            acknowledged += take_answers(&mut load, &mut nodes, Some(&mut chance));
        }
        daemon.kill();
        // What it sent before it died was sent.
        acknowledged += take_answers(&mut load, &mut nodes, None);
        load.give_up();
    }
    let mut daemon = Daemon::start(directory);
    daemon.ready();
    discover_all(&mut load, &mut nodes, kills + 1);
    assert!(
        acknowledged > kills,
        "{acknowledged} updates in {kills} lives"
    );
    println!("{kills} kills, {acknowledged} acknowledged updates, none lost");
}

/// Takes answers; sends the next updates with `chance`.
fn take_answers(load: &mut Load, nodes: &mut [Node], chance: Option<&mut Chance>) -> u64 {
    let mut free = Vec::new();
    load.receive(Duration::from_millis(1), &mut |slot, message| {
        nodes[slot].answered(slot, message[1]);
        free.push(slot);
    });
    if let Some(chance) = chance {
        for slot in &free {
            load.send(*slot, nodes[*slot].update(*slot, chance));
        }
        load.flush();
    }
    free.len() as u64
}

fn discover_all(load: &mut Load, nodes: &mut [Node], kill: u64) {
    for slot in 0..nodes.len() {
        load.send(slot, Ask::Discover(p_addr(slot as u64)));
    }
    let began = Instant::now();
    let mut found = 0;
    while found < nodes.len() {
        assert!(began.elapsed() < PATIENCE, "kill {kill}: no answer");
        load.receive(Duration::from_millis(100), &mut |slot, message| {
            nodes[slot].found(slot, message, kill);
            found += 1;
        });
        load.send_again();
    }
}
