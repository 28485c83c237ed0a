//! Every request on a real kernel: the harness boots one with the 802.15.4 modules and runs
//! this executable in it as `/init`. Times are the guest's, and only lower bounds are asserted.

mod lab;
mod lqi;
mod mobility;
mod nat;
mod radio;
mod wired;

fn main() {
    let modules = [
        vm::modules::TESTBED,
        &["xfrm_user"],
        netlink::nat::KERNEL_MODULES,
    ]
    .concat();
    let harness = vm::harness::Harness {
        modules: modules.into_iter().map(str::to_owned).collect(),
        ..vm::harness::Harness::default()
    };
    harness.main(&[
        (
            "radios_and_edges_are_made_changed_and_deleted",
            radio::radios_and_edges,
        ),
        (
            "hwsim_refusals_name_the_radio_and_the_reason",
            radio::hwsim_refusals,
        ),
        (
            "hwsim_is_refused_outside_the_initial_namespace",
            radio::hwsim_elsewhere,
        ),
        (
            "each_radio_is_paired_with_the_phy_that_vanishes_with_it",
            radio::pairing,
        ),
        (
            "a_phy_moves_to_a_namespace_and_keeps_its_identity",
            radio::phy_moves,
        ),
        (
            "udp_crosses_lowpan_until_the_edge_is_deleted",
            radio::udp_over_lowpan,
        ),
        (
            "pan_id_of_a_link_that_is_up_is_refused_with_a_reason",
            radio::pan_id_busy,
        ),
        (
            "channel_changes_while_up_and_separates_nodes",
            radio::channel_while_up,
        ),
        (
            "a_monitor_interface_replaces_the_node_interface",
            radio::monitor,
        ),
        (
            "a_frame_of_another_pan_is_not_received",
            radio::pan_id_separates,
        ),
        ("the_lqi_of_a_frame_is_that_of_its_edge", lqi::of_frames),
        (
            "a_socket_for_the_lqi_is_refused_with_the_reason",
            lqi::refusals,
        ),
        ("nothing_is_left_after_teardown", radio::teardown),
        (
            "a_bound_namespace_is_entered_by_its_path_until_unbound",
            wired::bound_namespace,
        ),
        ("sysctls_of_two_namespaces_are_apart", wired::sysctls),
        ("links_are_renamed_marked_and_deleted", wired::links),
        (
            "netem_delays_across_a_bridge_at_least_as_long_as_set",
            wired::netem_delay,
        ),
        (
            "netem_settings_read_back_as_they_were_set",
            wired::netem_settings,
        ),
        (
            "routes_carry_datagrams_over_a_router_until_deleted",
            wired::routes,
        ),
        (
            "an_address_is_usable_when_its_detection_allows",
            wired::dad_modes,
        ),
        (
            "a_duplicate_address_is_reported_as_such",
            wired::dad_failure,
        ),
        (
            "waiting_for_an_address_that_never_comes_times_out",
            wired::dad_timeout,
        ),
        (
            "a_tunnel_moves_in_place_and_a_home_address_speaks_through_nothing_else",
            mobility::tunnel,
        ),
        (
            "nothing_leaves_from_a_regional_address_that_does_not_ask_for_it",
            mobility::source,
        ),
        (
            "a_home_address_travels_in_extension_headers",
            mobility::extension_headers,
        ),
        (
            "an_association_is_refused_with_the_name_of_the_module_that_is_not_loaded",
            mobility::association,
        ),
        (
            "a_nat_forgets_a_mapping_after_its_timeout_and_not_before",
            nat::mappings,
        ),
        ("refusals_carry_the_kernels_own_text", wired::kernel_text),
    ]);
}
