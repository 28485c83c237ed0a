//! A million datagrams that mean harm at a client, and as many at a server: `cargo bench -p lwm2m --bench hostile`.
//!
//! `WPANLAB_DATAGRAMS=20000` sets how many, `WPANLAB_SEED=2` which. What is asserted, `tests/hostile` asserts too. Prints
//! how many there were, how long they took, and the most bytes that were held.

#[path = "../tests/hostile/attacked.rs"]
mod attacked;
#[allow(dead_code, reason = "the test uses the rest")]
#[path = "../tests/hostile/client.rs"]
mod client;
#[path = "../tests/hostile/counting.rs"]
mod counting;
#[path = "../tests/hostile/datagrams.rs"]
mod datagrams;
#[path = "../tests/hostile/server.rs"]
mod server;

use std::time::Instant;

use attacked::Attack;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// An attack of so many datagrams, drawn from this seed.
type Attacking = fn(usize, u64) -> Attack;

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn main() {
    let (datagrams, seed) = (
        number("WPANLAB_DATAGRAMS", 1_000_000),
        number("WPANLAB_SEED", 1) as u64,
    );
    let attacks: [(&str, Attacking); 2] = [("client", client::attack), ("server", server::attack)];
    for (name, attack) in attacks {
        let begun = Instant::now();
        // Each in a thread of its own, which counts its own bytes.
        let (attack, peak) =
            std::thread::spawn(move || (attack(datagrams, seed), counting::peak()))
                .join()
                .expect("it stands the attack");
        attack.assert_flat();
        println!(
            "{name}: {} datagrams, with answers, in {:.1} s; {} requests, {} refused; {} B held after half, {} B at \
             the end, {peak} B at most",
            attack.datagrams,
            begun.elapsed().as_secs_f64(),
            attack.requests,
            attack.refused,
            attack.half,
            attack.end,
        );
    }
}
