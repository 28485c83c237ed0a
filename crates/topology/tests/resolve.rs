//! What defaults and derivations come out as.

use std::time::Duration;

use topology::kind::comp;
use topology::plan::{
    Action, AddressMode, Comparison, Metric, MobilityPlan, NodePlan, ServicePlan, Statistic,
};
use topology::{Overrides, Plan, load};
use units::{Db, Eui64, PanId, Seed};

/// A small topology with more `nodes`, `steps` and top-level `rest`.
fn text(nodes: &str, steps: &str, rest: &str) -> String {
    format!(
        "version: 1
name: test
{rest}
nodes:
  er1: {{ role: edge-router, position: [0 m, 0 m] }}
  er2: {{ role: edge-router, position: [100 m, 0 m] }}
  wmms: {{ role: wmms }}
  sensor: {{ role: mobile-node, attached_to: er1, position: [10 m, 0 m] }}
  client: {{ role: client, polls: [{{ node: sensor }}] }}
{nodes}
scenario:
  duration: 30 s
  steps:
    - {{ at: 0 s, link: [sensor, er1], attenuation: 40 dB }}
{steps}
"
    )
}

fn plan(nodes: &str, steps: &str, rest: &str) -> Plan {
    load("test.yaml", &text(nodes, steps, rest), Overrides::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn refused(nodes: &str, steps: &str, rest: &str) -> String {
    load("test.yaml", &text(nodes, steps, rest), Overrides::default())
        .unwrap_err()
        .to_string()
}

/// Times and attenuations of the steps between `a` and `b`.
fn attenuations(plan: &Plan, a: &str, b: &str) -> Vec<(u64, f64)> {
    plan.scenario
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Attenuate(link) if link.a == a && link.b == b => {
                Some((step.at.as_millis() as u64, link.attenuation.0))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn identities_are_derived_in_name_order_and_skip_what_is_taken() {
    let plan = plan(
        "  er0: { role: edge-router, channel: 11, pan: 0x0001, prefix: \"2001:db8:1::/64\" }
  app: { role: program, command: [\"true\"], backbone_address: \"2001:db8::1\" }",
        "",
        "",
    );
    let router = |name: &str| plan.nodes[name].router.clone().unwrap();
    let radio = |name: &str| plan.nodes[name].radio.clone().unwrap();
    assert_eq!(radio("er1").channel.number(), 12);
    assert_eq!(radio("er2").channel.number(), 13);
    assert_eq!(radio("er1").pan_id, PanId(2));
    assert_eq!(router("er1").prefix.to_string(), "2001:db8:2::/64");
    assert_eq!(router("er2").address.to_string(), "2001:db8:3::1");
    assert_eq!(radio("sensor").channel, radio("er1").channel);
    let wired = |name: &str| plan.nodes[name].backbone.clone().unwrap();
    assert_eq!(wired("app").address.to_string(), "2001:db8::1/64");
    assert_eq!(wired("client").address.to_string(), "2001:db8::2/64");
    assert!(wired("wmms").mac.to_string().starts_with("02:"));
    assert!(plan.nodes["sensor"].backbone.is_none());
    // From the client to each router's prefix over that router.
    let routes = wired("client").routes;
    assert_eq!(routes.len(), 3);
    assert_eq!(routes[0].via, wired("er0").address.addr());
    assert_eq!(wired("er0").routes.len(), 2);
}

/// The CoMP part of a node.
fn of_comp(node: &NodePlan) -> &comp::Plan {
    match &node.mobility {
        Some(MobilityPlan::Comp(plan)) => plan,
        _ => panic!("{node:?}"),
    }
}

#[test]
fn the_permanent_address_is_the_slaac_address_at_home() {
    let plan = plan("", "", "seed: 7");
    let (sensor, client) = (&plan.nodes["sensor"], &plan.nodes["client"]);
    let eui64 = Eui64::derive(Seed(7), "sensor");
    assert_eq!(
        sensor.address,
        eui64.address_in("2001:db8:1::".parse().unwrap())
    );
    assert_eq!(of_comp(sensor).p_addr, sensor.address);
    let poll = client.polls().next().unwrap();
    assert_eq!((poll.address, poll.located), (sensor.address, true));
    assert_eq!(poll.path, "/temperature");
    assert_eq!(
        of_comp(client).wmms,
        plan.nodes["wmms"].backbone.as_ref().unwrap().address.addr()
    );
    assert_eq!(sensor.candidates().len(), 2);
}

#[test]
fn the_address_mode_and_the_router_flags_follow_from_a_dhcpv6_server() {
    let flags = |plan: &Plan| {
        let router = plan.nodes["er1"].router.as_ref().unwrap();
        (
            router.router_advertisements.managed,
            router.router_advertisements.autonomous,
            router.dhcpv6_server.is_some(),
        )
    };
    let mode = |plan: &Plan| plan.nodes["sensor"].host.as_ref().unwrap().address;
    let without = plan("", "", "");
    assert_eq!(
        (mode(&without), flags(&without)),
        (AddressMode::Slaac, (false, true, false))
    );
    let with = plan("  dhcp: { role: dhcpv6-server }", "", "");
    assert_eq!(
        (mode(&with), flags(&with)),
        (AddressMode::Dhcpv6, (true, false, true))
    );
    let [ServicePlan::Dhcpv6Server(server)] = with.nodes["dhcp"].services.as_slice() else {
        panic!()
    };
    assert_eq!(server.pools[0].first.to_string(), "2001:db8:1::1000");
    assert_eq!(server.pools[1].last.to_string(), "2001:db8:2::1fff");
}

#[test]
fn several_servers_must_be_told_apart() {
    let two = "  d1: { role: dhcpv6-server }\n  d2: { role: dhcpv6-server }";
    let error = refused(two, "", "");
    assert!(
        error
            .contains("`nodes.er1.dhcpv6_server` is missing: there are several; name `d1` or `d2`")
    );
    let error = refused("  wmms2: { role: wmms }", "", "");
    assert!(error.contains("`nodes.sensor.wmms` is missing: there are several"));
}

#[test]
fn a_backbone_has_jitter_up_to_its_delay_and_loss() {
    let backbone = plan(
        "",
        "",
        "backbone: { delay: 20 ms, jitter: 5 ms, loss: 0.5 % }",
    )
    .backbone;
    assert_eq!(backbone.jitter, Some(std::time::Duration::from_millis(5)));
    assert_eq!(backbone.loss.unwrap().probability(), 0.005);
}

#[test]
fn a_routed_backbone_gives_each_node_a_subnet_and_a_gateway() {
    let plan = plan("", "", "backbone: { kind: routed }");
    let client = plan.nodes["client"].backbone.clone().unwrap();
    let er1 = plan.nodes["er1"].backbone.clone().unwrap();
    assert_eq!(client.address.to_string(), "2001:db8:f000:1::2/64");
    assert_eq!(client.gateway.unwrap().to_string(), "2001:db8:f000:1::1");
    assert_eq!(er1.address.to_string(), "2001:db8:f000:2::2/64");
    assert!(
        client
            .routes
            .iter()
            .all(|route| Some(route.via) == client.gateway)
    );
    assert_eq!(client.routes[0].to.to_string(), "2001:db8:f000::/48");
    assert_eq!(client.routes.len(), 3);
}

#[test]
fn links_at_the_start_follow_from_positions_unless_given() {
    let plan = plan(
        "",
        "",
        "links: [{ link: [er2, sensor], attenuation: 99 dB }]",
    );
    let link = |router: &str| {
        let ends = |a: &str, b: &str| [a, b].contains(&router) && [a, b].contains(&"sensor");
        plan.links
            .iter()
            .find(|l| ends(&l.a, &l.b))
            .map(|l| l.attenuation)
    };
    // 40.2 dB + 30 log10(10).
    assert_eq!(link("er1"), Some(Db(70.2)));
    assert_eq!(link("er2"), Some(Db(99.0)));
}

#[test]
fn a_ramp_goes_in_tenths_of_a_second_from_the_attenuation_in_force_to_the_target() {
    let plan = plan(
        "",
        "    - { at: 5 s, link: [sensor, er1], attenuation: 50 dB, over: 250 ms }
    - { at: 6 s, link: [sensor, er1], attenuation: 40 dB, over: 200 ms }",
        "",
    );
    assert_eq!(
        attenuations(&plan, "sensor", "er1"),
        [
            (0, 40.0),
            (5100, 44.0),
            (5200, 48.0),
            (5250, 50.0),
            (6100, 45.0),
            (6200, 40.0)
        ]
    );
}

#[test]
fn a_repeated_step_happens_as_often_as_it_says() {
    let at = |step: &str| -> Vec<u64> {
        let step =
            format!("    - {{ at: 4 s, every: 10 s, {step}link: [sensor, er2], state: down }}");
        let plan = plan("", &step, "");
        let is_link = |action: &Action| matches!(action, Action::Link { up: false, .. });
        let steps = plan.scenario.steps.iter();
        steps
            .filter(|s| is_link(&s.action))
            .map(|s| s.at.as_secs())
            .collect()
    };
    assert_eq!(at(""), [4, 14, 24]);
    assert_eq!(at("times: 2, "), [4, 14]);
    assert_eq!(at("until: 14 s, "), [4, 14]);
    assert_eq!(at("until: 13 s, "), [4]);
}

#[test]
fn a_move_changes_the_attenuation_to_every_router_until_it_arrives() {
    let plan = plan(
        "",
        "    - { at: 1 s, move: sensor, to: [90 m, 0 m], speed: 10 m/s }",
        "",
    );
    let er1 = attenuations(&plan, "sensor", "er1");
    let er2 = attenuations(&plan, "sensor", "er2");
    assert_eq!(er1.len(), 81, "the first step and one each 100 ms for 8 s");
    assert_eq!(er2.last(), Some(&(9000, 70.2)));
    assert!(er2.windows(2).all(|pair| pair[1].1 < pair[0].1));
    let steps = &plan.scenario.steps;
    assert!(steps.is_sorted_by_key(|step| step.at));
}

#[test]
fn a_second_move_starts_where_the_first_ended() {
    let plan = plan(
        "",
        "    - { at: 1 s, move: sensor, to: [20 m, 0 m], speed: 10 m/s }
    - { at: 3 s, move: sensor, path: [[20 m, 10 m], [10 m, 0 m]], speed: 36 km/h }",
        "",
    );
    let er1 = attenuations(&plan, "sensor", "er1");
    assert_eq!(er1.last().unwrap().1, 70.2);
    // 10 m and 14.142 m at 10 m/s, to the millisecond above.
    assert_eq!(er1.last().unwrap().0, 3000 + 2415);
}

#[test]
fn changes_of_one_link_at_the_same_time_are_refused() {
    let error = refused(
        "",
        "    - { at: 1 s, move: sensor, to: [20 m, 0 m], speed: 1 m/s }
    - { at: 2 s, link: [er1, sensor], attenuation: 40 dB }",
        "",
    );
    assert!(error.contains("is still going on"), "{error}");
    let error = refused(
        "",
        "    - { at: 1 s, every: 1 s, link: [er1, sensor], attenuation: 60 dB, over: 2 s }",
        "",
    );
    assert!(error.contains("is still going on"), "{error}");
}

#[test]
fn a_scenario_that_would_fill_memory_is_refused() {
    for step in [
        "every: 1 ns, link: [sensor, er1], state: down",
        "every: 1 ms, move: sensor, to: [20 m, 0 m], speed: 0.0000001 m/s",
        "move: sensor, to: [1000000 m, 0 m], speed: 1 m/s",
    ] {
        let error = refused("", &format!("    - {{ at: 0 s, {step} }}"), "");
        assert!(error.contains("scenario"), "{step}: {error}");
    }
}

#[test]
fn a_crash_and_its_restart_are_in_time_order_whatever_the_file_says() {
    let steps = "    - { at: 6 s, restart: wmms }\n    - { at: 5 s, crash: wmms }";
    let plan = plan("", steps, "");
    let last = plan.scenario.steps.last().unwrap();
    assert_eq!(last.at, Duration::from_secs(6));
    assert!(matches!(&last.action, Action::Restart { node } if node == "wmms"));
    let twice = "    - { at: 5 s, crash: wmms }\n    - { at: 6 s, crash: wmms }";
    assert!(refused("", twice, "").contains("crashed already"));
}

#[test]
fn expectations_are_conditions_on_counts_or_seconds() {
    let plan = plan(
        "",
        "",
        "expect: { handovers: \">= 1\", handover_delay: \"<100 ms\", lost: 0 }",
    );
    let all: Vec<_> = plan
        .expect
        .iter()
        .map(|e| (e.metric, e.comparison, e.value, e.text.as_str()))
        .collect();
    assert_eq!(
        all,
        [
            (Metric::Handovers, Comparison::AtLeast, 1.0, ">= 1"),
            (Metric::HandoverDelay, Comparison::Less, 0.1, "<100 ms"),
            (Metric::Lost, Comparison::Equal, 0.0, "0"),
        ]
    );
    for wrong in ["-1", "1.5", "\"~ 1\"", "\">=\"", "\"< 1 s\"", "true"] {
        let error = refused("", "", &format!("expect: {{ lost: {wrong} }}"));
        assert!(error.contains("expect.lost"), "{wrong}: {error}");
    }
}

#[test]
fn a_percentage_of_a_count_is_a_metric_of_its_own() {
    let plan = plan(
        "",
        "",
        "expect: { lost: \"< 1.5 %\", delivery: \">= 99 %\", energy: \"< 2 J\" }",
    );
    let all: Vec<_> = plan.expect.iter().map(|e| (e.metric, e.value)).collect();
    assert_eq!(
        all,
        [
            (Metric::LostPercent, 1.5),
            (Metric::Delivery, 99.0),
            (Metric::Energy, 2000.0),
        ]
    );
    for wrong in ["\"< 101 %\"", "99", "\"< -1 %\""] {
        let error = refused("", "", &format!("expect: {{ delivery: {wrong} }}"));
        assert!(error.contains("expect.delivery"), "{wrong}: {error}");
    }
}

#[test]
fn a_part_of_a_run_is_of_nodes_that_there_are_and_of_what_is_known_of_it() {
    for (part, said) in [
        ("{ client: wmms, lost: 0 }", "a node that asks"),
        ("{ node: sensr, handovers: 1 }", "did you mean `sensor`?"),
        ("{ lost: 0 }", "it is about nobody"),
        ("{ client: client, handovers: 1 }", "name a `node` only"),
        ("{ path: /temperature, failed: 0 }", "by client and node"),
        ("{ path: /t, lost: 0 }", "no poll is of /t"),
        (
            "{ client: client, method: PUT, lost: 0 }",
            "no poll is of client client, PUT",
        ),
    ] {
        let error = refused("", "", &format!("expect: {{ of: [{part}] }}"));
        assert!(error.contains(said), "{part}: {error}");
    }
}

#[test]
fn over_a_sweep_conditions_are_on_statistics_in_the_unit_of_the_figure() {
    let plan = plan(
        "",
        "",
        "expect_sweep: { passed: \">= 95 %\", figures: [{ figure: handover_delay_s, p95: \"< 2 s\" }, \
         { figure: lost, mean: \"< 0.5\", holds: 0, share: \"> 90 %\" }] }",
    );
    let all: Vec<_> = plan
        .expect_sweep
        .iter()
        .map(|e| (e.figure.as_deref(), e.statistic, e.condition.value))
        .collect();
    assert_eq!(
        all,
        [
            (None, Statistic::Passed, 95.0),
            (Some("handover_delay_s"), Statistic::P95, 2.0),
            (Some("lost"), Statistic::Mean, 0.5),
            (Some("lost"), Statistic::Share, 90.0),
        ]
    );
    assert_eq!(plan.expect_sweep[3].holds.as_ref().unwrap().value, 0.0);
    for (wrong, said) in [
        ("{ figure: lost, share: \"> 90 %\" }", "of what?"),
        ("{ figure: lost, holds: 0 }", "for how many?"),
        ("{ figure: outage_s, median: \"< 2\" }", "a duration"),
    ] {
        let error = refused("", "", &format!("expect_sweep: {{ figures: [{wrong}] }}"));
        assert!(error.contains(said), "{wrong}: {error}");
    }
}

#[test]
fn coap_parameters_come_from_the_node_then_the_topology_then_the_standard() {
    let plan = plan(
        "  other: { role: client, coap: { nstart: 7 } }",
        "",
        "coap: { nstart: 3, ack_timeout: 1 s }",
    );
    let coap = |name: &str| {
        let coap = plan.nodes[name].coap.as_ref().unwrap();
        (coap.nstart, coap.ack_timeout.as_secs())
    };
    assert_eq!(coap("client"), (3, 1));
    assert_eq!(coap("other"), (7, 1));
}

#[test]
fn the_command_line_seed_wins_over_the_file() {
    let text = text("", "", "seed: 5");
    let seed = |seed| {
        load(
            "x",
            &text,
            Overrides {
                seed,
                ..Overrides::default()
            },
        )
        .unwrap()
        .seed
    };
    assert_eq!(seed(None), Seed(5));
    assert_eq!(seed(Some(Seed(6))), Seed(6));
}

#[test]
fn a_node_in_braces_is_its_address_and_other_braces_stay() {
    let plan = plan(
        "  app: { role: program, command: [x, \"coap://[{sensor}]/t?{wmms}{er1}\", \"{}{N}{\"] }",
        "",
        "",
    );
    let wired = |name: &str| plan.nodes[name].backbone.clone().unwrap().address.addr();
    let app = plan.nodes["app"].programs().next().unwrap();
    let (wmms, er1) = (wired("wmms"), wired("er1"));
    let uri = format!("coap://[{}]/t?{wmms}{er1}", plan.nodes["sensor"].address);
    assert_eq!(app.command, ["x", uri.as_str(), "{}{N}{"]);
}

#[test]
fn what_nodes_alike_do_periodically_begins_anywhere_in_the_period() {
    let lamps = "  lamp: { role: sensor, attached_to: er1, count: 200, position: [5 m, 0 m], \
                 resources: [{ path: /t, changes_every: 10 s }] }\n  \
                 other: { role: client, polls: [{ node: lamp, every: 10 s }] }";
    let plan = plan(lamps, "", "");
    let polls = plan.nodes["other"].polls().map(|poll| poll.first);
    let lamps = plan.nodes.values().flat_map(|node| &node.services);
    let sensors = lamps.filter_map(|service| match service {
        ServicePlan::Sensors(sensors) => sensors.resources[0].changes.as_ref(),
        _ => None,
    });
    let changes = sensors.map(|changes| changes.phase);
    for mut phases in [polls.collect::<Vec<_>>(), changes.collect()] {
        phases.sort();
        assert_eq!(phases.len(), 200);
        assert!(phases[0] < Duration::from_millis(500));
        assert!((9500..=10_000).contains(&phases[199].as_millis()));
        // Five standard deviations of a mean of 200: 1.02.
        let mean = phases.iter().sum::<Duration>().as_secs_f64() / 200.0;
        assert!((mean - 5.0).abs() < 1.02, "{mean}");
    }
}

#[test]
fn what_is_asked_for_is_named_as_captures_name_it() {
    let nodes = r#"
  rock: { place: radio, attached_to: er1, services: [{ sensors: [{ path: "/50%/a&b" }] }] }
  asker: { role: client, mobility: none, polls: [{ node: rock, query: ["u=%", "x&y", "z/?"] }] }"#;
    let plan = plan(nodes, "", "");
    let poll = plan.nodes["asker"].polls().next().unwrap();
    assert_eq!(poll.resource(), "/50%25/a&b?u=%25&x%26y&z/?");
}
