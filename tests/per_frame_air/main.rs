//! The per-frame air from end to end: real stacks on both sides, judged by what was captured
//! and by tshark. This program is also the guest that pings.

#[path = "../common/mod.rs"]
mod common;

mod board;
mod energy;
mod frames;
mod guest;
mod loss;
mod ping;
mod reading;
mod scan;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    if vm::guest::is_guest() {
        guest::main();
    }
    let trial = |name: &'static str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    let trials = vec![
        trial(
            "a_ping_of_1000_bytes_takes_the_time_of_its_fragments",
            ping::takes_the_time_of_its_fragments,
        ),
        trial(
            "the_mean_ping_is_the_closed_form_of_csma_ca",
            ping::mean_is_the_closed_form,
        ),
        trial("no_frame_was_handed_over_late", ping::nothing_was_late),
        trial(
            "tshark_understands_every_frame_of_the_air",
            reading::tshark_understands_every_frame,
        ),
        trial(
            "tshark_reassembles_the_pings_from_the_air",
            reading::tshark_reassembles_the_pings,
        ),
        trial(
            "the_air_carries_what_the_kernels_sent",
            reading::contents_are_the_kernels,
        ),
        trial(
            "comments_name_transmitter_receiver_and_fate",
            reading::comments_name_the_fates,
        ),
        trial(
            "the_radios_states_add_up_to_the_scenario",
            energy::states_add_up,
        ),
        trial(
            "transmit_time_is_the_airtime_of_what_was_sent",
            energy::transmit_time_is_airtime,
        ),
        trial(
            "receive_time_is_the_airtime_of_what_was_received",
            energy::receive_time_is_airtime,
        ),
        trial(
            "a_handover_survives_the_loss_of_a_tenth_of_the_frames",
            loss::handover_survives,
        ),
        trial(
            "tshark_sees_a_tenth_of_the_frames_lost_and_sent_again",
            loss::frames_are_sent_again,
        ),
        trial(
            "two_runs_of_a_lossy_air_are_identical_in_every_file",
            loss::runs_are_identical,
        ),
        trial(
            "what_the_mac_gives_up_coap_sends_again",
            loss::coap_sends_again,
        ),
        trial(
            "a_run_whose_air_is_late_fails_and_names_the_limit",
            loss::lateness_fails_the_run,
        ),
        trial(
            "a_late_air_beside_a_program_of_the_hosts_does_not_fail_the_run",
            loss::lateness_that_the_host_decides_does_not_fail_the_run,
        ),
        trial(
            "an_early_scan_makes_the_handover_shorter",
            scan::early_shortens_the_handover,
        ),
        trial(
            "a_node_that_does_not_hear_its_router_attaches_where_it_hears_one",
            scan::attaches_where_it_hears_a_router,
        ),
        trial(
            "a_board_hands_over_because_the_lqi_of_its_own_radio_falls",
            board::hands_over_by_its_own_lqi,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
