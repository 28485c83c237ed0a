//! Malformed, mutated and random datagrams at a client and at a server: neither dies, what is refused changes nothing,
//! and neither holds more than it did. `cargo bench -p lwm2m --bench hostile` does the same with a million each.

mod attacked;
mod client;
mod counting;
mod datagrams;
mod server;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Datagrams for each.
const DATAGRAMS: usize = 20_000;

#[test]
fn a_client_stands_what_its_server_and_strangers_send() {
    let attack = client::attack(DATAGRAMS, 1);
    assert!(
        attack.requests > 5_000 && attack.refused > 1_000,
        "{attack:?}"
    );
    attack.assert_flat();
}

#[test]
fn a_client_stands_what_its_bootstrap_server_and_strangers_send() {
    let attack = client::attack_bootstrap(DATAGRAMS, 1);
    assert!(
        attack.requests > 5_000 && attack.refused > 1_000,
        "{attack:?}"
    );
    attack.assert_flat();
}

#[test]
fn attributes_of_what_is_not_there_take_no_room() {
    let held = client::attach_in_vain(2_000);
    assert!(held < 64 << 10, "{held} B");
}

#[test]
fn a_server_stands_what_clients_and_strangers_send() {
    let attack = server::attack(DATAGRAMS, 1);
    assert!(
        attack.requests > 5_000 && attack.refused > 1_000,
        "{attack:?}"
    );
    attack.assert_flat();
}
