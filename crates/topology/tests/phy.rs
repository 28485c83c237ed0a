//! What `medium: phy`, movements, groups and other files come out as.

use std::time::Duration;

use propagation::{Model, Position, Waypoint};
use topology::plan::{Action, Medium, PhyPlan, RadioInterface};
use topology::{Overrides, Plan, load, load_with};
use units::{Db, Dbm, Seed};

/// A small topology with a `radio` table, more `nodes` and `steps`, and top-level `rest`.
fn text(radio: &str, nodes: &str, steps: &str, rest: &str) -> String {
    format!(
        "version: 1
name: test
radio: {radio}
nodes:
  er1: {{ role: edge-router, position: [0 m, 0 m] }}
  er2: {{ role: edge-router, position: [100 m, 0 m] }}
  wmms: {{ role: wmms }}
  sensor: {{ role: mobile-node, attached_to: er1, position: [10 m, 0 m] }}
{nodes}
{rest}
scenario:
  duration: 30 s
  steps:
    - {{ at: 29 s, crash: wmms }}
{steps}
"
    )
}

const PHY: &str = "{ medium: phy }";
const WALK: &str = "0 10 0 5 60 0 100 60 95\n";

fn file(name: &str) -> Result<Vec<u8>, String> {
    match name {
        "walk.movements" => Ok(WALK.into()),
        "loss.csv" => Ok("0,50\n10,90\n".into()),
        _ => Err("no such file".to_owned()),
    }
}

fn plan(radio: &str, nodes: &str, steps: &str, rest: &str) -> Plan {
    let text = text(radio, nodes, steps, rest);
    load_with("test.yaml", &text, Overrides::default(), &mut file)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn refused(radio: &str, nodes: &str, steps: &str, rest: &str) -> String {
    let text = text(radio, nodes, steps, rest);
    let plan = load_with("test.yaml", &text, Overrides::default(), &mut file);
    plan.unwrap_err().to_string()
}

fn phy(plan: &Plan) -> &PhyPlan {
    plan.radio.phy.as_ref().unwrap()
}

fn radio<'p>(plan: &'p Plan, name: &str) -> &'p RadioInterface {
    plan.nodes[name].radio.as_ref().unwrap()
}

/// Seconds and coordinates of a node's waypoints.
fn track(plan: &Plan, name: &str) -> Vec<(f64, f64, f64)> {
    let seconds = |waypoint: &Waypoint| waypoint.at.as_secs_f64();
    let track = radio(plan, name).track.iter();
    track
        .map(|w| (seconds(w), w.position.x_m, w.position.y_m))
        .collect()
}

/// Seconds and attenuations of the steps between `sensor` and `er1`.
fn attenuations(plan: &Plan) -> Vec<(f64, f64)> {
    let steps = plan.scenario.steps.iter();
    steps
        .filter_map(|step| match &step.action {
            Action::Attenuate(link) if link.b == "er1" => {
                Some((step.at.as_secs_f64(), link.attenuation.0))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn the_defaults_are_a_cc2420_the_standards_mac_and_log_distance() {
    let plan = plan(PHY, "", "", "");
    assert_eq!(plan.radio.medium, Medium::Phy);
    let cc2420 = medium::Profile::named("cc2420").unwrap();
    assert_eq!(plan.radio.tx_power, cc2420.tx_power);
    assert_eq!(plan.radio.sensitivity, cc2420.sensitivity);
    let phy = phy(&plan);
    assert_eq!(phy.profile, cc2420);
    assert_eq!(phy.path_loss, Model::default());
    // IEEE 802.15.4-2006 table 86.
    let mac = &phy.mac;
    assert_eq!((mac.min_be, mac.max_be), (3, 5));
    assert_eq!((mac.max_csma_backoffs, mac.max_frame_retries), (4, 3));
    assert_eq!((mac.queue, mac.acks), (300, true));
    assert!(!phy.capture_lost);
    assert_eq!(phy.lateness_limit, Duration::from_millis(1));
}

#[test]
fn what_positions_decide_is_no_link_of_the_plan() {
    let nodes = "  lost: { role: mobile-node, attached_to: er2 }
  traced: { role: mobile-node, attached_to: er2 }
  given: { role: mobile-node, attached_to: er1, position: [5 m, 5 m] }";
    let links = "links: [{ link: [given, er2], attenuation: 70 dB }, \
                 { link: [er2, traced], trace: loss.csv }]";
    let plan = plan(PHY, nodes, "", links);
    let links: Vec<_> = plan
        .links
        .iter()
        .map(|l| (l.a.as_str(), l.b.as_str(), l.attenuation))
        .collect();
    // A node without a position has its 40 dB at home, and no path to anyone else.
    assert_eq!(
        links,
        [("given", "er2", Db(70.0)), ("lost", "er2", Db(40.0))]
    );
    assert_eq!(radio(&plan, "lost").track, []);
    let traces = &phy(&plan).traces;
    assert_eq!(
        (traces[0].a.as_str(), traces[0].b.as_str()),
        ("er2", "traced")
    );
    assert_eq!(traces[0].points[1].loss, Db(90.0));
}

#[test]
fn a_loss_ratio_leaves_the_attenuation_of_its_link_as_it_is() {
    let nodes = "  near: { role: mobile-node, attached_to: er1 }
  given: { role: mobile-node, attached_to: er1 }";
    let attenuations = |plan: &Plan| -> Vec<_> {
        let links = plan.links.iter();
        links.map(|l| (l.a.clone(), l.attenuation)).collect()
    };
    let with = |losses: [&str; 2]| {
        let links = format!(
            "links: [{{ link: [near, er1]{} }}, {{ link: [er1, given], attenuation: 70 dB{} }}]",
            losses[0], losses[1]
        );
        plan(PHY, nodes, "", &links)
    };
    let lossy = with([", loss: 12.5 %", ", loss: 3 %"]);
    let plain = with([", attenuation: 40 dB", ""]);
    assert_eq!(attenuations(&lossy), attenuations(&plain));
    let losses = phy(&lossy).losses.iter();
    let losses: Vec<_> = losses
        .map(|l| (l.a.as_str(), l.b.as_str(), l.loss.probability()))
        .collect();
    assert_eq!(losses, [("er1", "given", 0.03), ("near", "er1", 0.125)]);
    assert_eq!(phy(&plain).losses, []);
}

#[test]
fn a_node_has_a_profile_of_its_own_only_if_it_differs_and_the_topologys_power_is_everyones() {
    let nodes = "  same: { role: mobile-node, attached_to: er1, profile: cc2420 }
  other: { role: mobile-node, attached_to: er1, profile: at86rf233 }";
    let plan = |radio| plan(radio, nodes, "", "");
    let own = plan(PHY);
    assert_eq!(radio(&own, "same").profile, None);
    assert_eq!(radio(&own, "sensor").profile, None);
    let at86rf233 = medium::Profile::named("at86rf233");
    assert_eq!(radio(&own, "other").profile, at86rf233);
    let given = plan("{ medium: phy, tx_power: -3 dBm }");
    assert_eq!(given.radio.tx_power, Dbm(-3.0));
    assert_eq!(phy(&given).profile.tx_power, Dbm(-3.0));
    let other = radio(&given, "other").profile.clone().unwrap();
    assert_eq!(other.tx_power, Dbm(-3.0));
}

#[test]
fn a_custom_profile_implies_its_noise_figure_and_listens_as_it_receives() {
    let radio = "{ medium: phy, profile: { part: mine, tx_power: 0 dBm, sensitivity: -95 dBm, \
                 cca_threshold: -75 dBm, supply: 3 V, tx: 20 mA, rx: 18 mA, sleep: 1 uA, \
                 source: bench } }";
    let plan = plan(radio, "", "", "");
    let profile = &phy(&plan).profile;
    let cc2420 = medium::Profile::named("cc2420").unwrap();
    assert_eq!(profile.noise_figure, cc2420.noise_figure, "also -95 dBm");
    assert_eq!(profile.listen_ma, 18.0);
    assert_eq!(profile.sleep_ma, 0.001);
    assert_eq!(profile.turnaround, Duration::from_micros(192));
    assert_eq!(profile.check(), Ok(()));
}

#[test]
fn moves_are_tracks_and_not_steps() {
    let steps = "    - { at: 1 s, move: sensor, to: [20 m, 0 m], speed: 5 m/s }
    - { at: 10 s, move: sensor, path: [[20 m, 10 m], [10 m, 10 m]], speed: 36 km/h }
    - { at: 5 s, link: [sensor, er1], attenuation: 95 dB }
    - { at: 6 s, link: [sensor, er2], state: down }";
    let plan = plan(PHY, "", steps, "");
    assert_eq!(
        track(&plan, "sensor"),
        [
            (0.0, 10.0, 0.0),
            (1.0, 10.0, 0.0),
            (3.0, 20.0, 0.0),
            (10.0, 20.0, 0.0),
            (11.0, 20.0, 10.0),
            (12.0, 10.0, 10.0),
        ]
    );
    assert_eq!(track(&plan, "er2"), [(0.0, 100.0, 0.0)]);
    assert_eq!(attenuations(&plan), [(5.0, 95.0)]);
    assert_eq!(plan.scenario.steps.len(), 3, "with the crash");
}

#[test]
fn back_and_forth_and_a_circle_go_on_until_their_end_or_the_scenarios() {
    let steps = "    - { at: 0 s, move: sensor, back_and_forth: [[10 m, 0 m], [60 m, 0 m]], \
                 speed: 10 m/s, until: 12 s }
    - { at: 15 s, move: sensor, circle: { centre: [20 m, 0 m], radius: 5 m }, speed: 1 m/s }";
    let plan = plan(PHY, "", steps, "");
    let track = track(&plan, "sensor");
    assert_eq!(
        track[..4],
        [
            (0.0, 10.0, 0.0),
            (5.0, 60.0, 0.0),
            (10.0, 10.0, 0.0),
            (12.0, 30.0, 0.0)
        ]
    );
    // 5 m to the circle, and round it to the end of the scenario.
    assert_eq!(track[4..6], [(15.0, 30.0, 0.0), (20.0, 25.0, 0.0)]);
    assert_eq!(track.last().unwrap().0, 30.0);
}

#[test]
fn an_import_starts_with_its_step_and_ends_with_the_scenario() {
    let import = "import: { file: walk.movements, format: bonnmotion, node: 0 }";
    let nodes = "  walker: { role: mobile-node, attached_to: er1 }";
    let steps = format!("    - {{ at: 1 s, move: walker, {import} }}");
    let plan = plan(PHY, nodes, &steps, "");
    assert_eq!(
        track(&plan, "walker"),
        [
            // It has no position of its own: it stands where the file begins.
            (0.0, 10.0, 0.0),
            (1.0, 10.0, 0.0),
            (6.0, 60.0, 0.0),
            // 95 m in 95 s, of which the scenario has 24.
            (30.0, 60.0, 24.0),
        ]
    );
    let from_here = format!("    - {{ at: 0 s, move: sensor, {import} }}");
    let own = self::plan(PHY, "", &from_here, "");
    assert_eq!(track(&own, "sensor")[1], (5.0, 60.0, 0.0));
    assert!(attenuations(&own).is_empty());
}

#[test]
fn a_node_that_is_moving_starts_no_second_move() {
    let move_at =
        |at: &str| format!("    - {{ at: {at}, move: sensor, to: [0 m, 9 m], speed: 1 m/s }}\n");
    let import = "    - { at: 0 s, move: sensor, import: { file: walk.movements, format: \
                  bonnmotion, node: 0 } }\n";
    for medium in ["edges", "phy"] {
        let radio = format!("{{ medium: {medium} }}");
        let error = refused(&radio, "", &(import.to_owned() + &move_at("20 s")), "");
        assert!(
            error.contains("at 20 s the move of line 15 is still going on; start at 30 s"),
            "{error}"
        );
    }
}

#[test]
fn under_edges_every_movement_is_sampled_into_attenuations() {
    let steps = "    - { at: 1 s, move: sensor, back_and_forth: [[10 m, 0 m], [12 m, 0 m]], \
                 speed: 10 m/s, until: 1.4 s }
    - { at: 2 s, move: sensor, circle: { centre: [0 m, 0 m], radius: 10 m }, speed: 10 m/s, \
                 until: 3 s }";
    let plan = plan("{ medium: edges }", "", steps, "");
    assert!(radio(&plan, "sensor").track.is_empty());
    let er1 = attenuations(&plan);
    // 40.2 dB + 30 log10 of 11, 12, 11 and 10 m.
    assert_eq!(
        er1[..4],
        [(1.1, 71.44), (1.2, 72.58), (1.3, 71.44), (1.4, 70.2)]
    );
    // On the circle the distance stays; 10 m cos(pi / 64) is 9.988 m, 0.016 dB less.
    for (at, attenuation) in &er1[4..] {
        assert!(
            (70.18..=70.2).contains(attenuation),
            "{attenuation} dB at {at} s"
        );
    }
    let far = |step: &topology::plan::StepPlan| matches!(&step.action, Action::Attenuate(l) if l.b == "er2");
    assert!(plan.scenario.steps.iter().filter(|step| far(step)).count() > 10);
}

#[test]
fn under_edges_every_model_decides_the_attenuation() {
    let at_start = |path_loss: &str| {
        let radio = format!("{{ path_loss: {{ {path_loss} }} }}");
        plan(&radio, "", "", "").links[0].attenuation
    };
    assert_eq!(at_start("model: log-distance, exponent: 2"), Db(60.2));
    assert_eq!(at_start("model: free-space"), Db(60.2));
    assert_eq!(
        at_start("model: free-space, frequency: 2405 MHz"),
        Db(60.07)
    );
    // 1 m high at 2.44 GHz the ground counts from 102.3 m on: here it does not.
    assert_eq!(at_start("model: two-ray, height: 1 m"), Db(60.2));
    // 10 cm high it does from 1.02 m on: 40 log10(10 / 0.1).
    assert_eq!(at_start("model: two-ray, height: 0.1 m"), Db(80.0));
}

#[test]
fn a_group_is_its_members_and_a_poll_of_it_polls_each() {
    let nodes = "  crowd: { role: mobile-node, count: 12, attached_to: er2, position: { grid: \
                 { from: [100 m, 10 m], spacing: 2 m } } }
  client: { role: client, polls: [{ node: crowd, every: 2 s }, { node: sensor }] }";
    let plan = plan(
        PHY,
        nodes,
        "",
        "links: [{ link: [crowd7, er1], attenuation: 99 dB }]",
    );
    let members: Vec<&String> = plan
        .nodes
        .keys()
        .filter(|n| n.starts_with("crowd"))
        .collect();
    assert_eq!(members.len(), 12);
    // Rows of four, from the south-west.
    assert_eq!(track(&plan, "crowd1"), [(0.0, 100.0, 10.0)]);
    assert_eq!(track(&plan, "crowd4"), [(0.0, 106.0, 10.0)]);
    assert_eq!(track(&plan, "crowd12"), [(0.0, 106.0, 14.0)]);
    let polls: Vec<_> = plan.nodes["client"].polls().collect();
    let polled: Vec<_> = polls.iter().map(|poll| poll.node.as_str()).collect();
    assert_eq!(polled.len(), 13);
    assert_eq!(
        (polled[0], polled[9], polled[12]),
        ("crowd1", "crowd10", "sensor")
    );
    assert_eq!(polls[11].every, Duration::from_secs(2));
    let eui64s: std::collections::BTreeSet<_> = members
        .iter()
        .map(|name| radio(&plan, name).eui64)
        .collect();
    assert_eq!(eui64s.len(), 12, "each has an address of its own");
}

#[test]
fn places_in_an_area_are_drawn_per_node_and_seed() {
    let draw = |seed: u64, count: u32| -> Vec<Position> {
        let nodes = format!(
            "  crowd: {{ role: mobile-node, count: {count}, attached_to: er1, position: {{ area: \
             [[50 m, -20 m], [0 m, 20 m]] }} }}"
        );
        let text = text(PHY, &nodes, "", "");
        let seed = Some(Seed(seed));
        let plan = load(
            "test.yaml",
            &text,
            Overrides {
                seed,
                ..Overrides::default()
            },
        )
        .unwrap();
        (1..=count)
            .map(|i| radio(&plan, &format!("crowd{i}")).track[0].position)
            .collect()
    };
    let places = draw(1, 200);
    assert!(places.iter().all(|p| (0.0..=50.0).contains(&p.x_m)));
    assert!(places.iter().all(|p| (-20.0..=20.0).contains(&p.y_m)));
    // Mean of 200 uniform draws: standard errors 50 / sqrt(12 * 200) = 1.0 m and 0.8 m.
    let mean = |of: fn(&Position) -> f64| places.iter().map(of).sum::<f64>() / 200.0;
    assert!((mean(|p| p.x_m) - 25.0).abs() < 4.0);
    assert!(mean(|p| p.y_m).abs() < 3.5);
    assert_eq!(
        draw(1, 20),
        places[..20],
        "more nodes move none of the others"
    );
    assert_ne!(draw(2, 20), places[..20]);
}

#[test]
fn a_scan_is_as_long_as_the_candidates_advertisements_are_apart_unless_it_is_given() {
    let handover = |plan: &Plan| plan.nodes["node"].handover().cloned().unwrap();
    let ra = "router_advertisements: { max_interval: 2 s, min_interval: 1 s }";
    let nodes = |keys: &str| {
        format!(
            "  er3: {{ role: edge-router, {ra} }}
  node: {{ role: mobile-node, attached_to: er3, candidates: [er3], {keys} }}"
        )
    };
    let derived = handover(&plan(PHY, &nodes(""), "", ""));
    let scan = derived.scan.unwrap();
    assert_eq!(scan.dwell, Duration::from_millis(2400));
    assert_eq!(scan.early, None);
    assert_eq!(derived.signal_timeout, Some(Duration::from_secs(6)));
    let keys = "handover: { scan: { dwell: 1 s, early: { threshold: -80 dBm, every: 1 s } }, \
                signal_timeout: 500 ms }";
    let given = handover(&plan(PHY, &nodes(keys), "", ""));
    let scan = given.scan.unwrap();
    assert_eq!(scan.dwell, Duration::from_secs(1));
    assert_eq!(scan.early.unwrap().threshold, Dbm(-80.0));
    assert_eq!(given.signal_timeout, Some(Duration::from_millis(500)));
    let edges = handover(&plan("{ medium: edges }", &nodes(""), "", ""));
    assert_eq!((edges.scan, edges.signal_timeout), (None, None));
}

#[test]
fn a_file_is_read_once_however_many_nodes_it_moves() {
    let nodes = "  a: { role: mobile-node, attached_to: er1 }
  b: { role: mobile-node, attached_to: er1 }";
    let import = "import: { file: both, format: bonnmotion";
    let steps = format!(
        "    - {{ at: 0 s, move: a, {import}, node: 0 }} }}
    - {{ at: 0 s, move: b, {import}, node: 1 }} }}"
    );
    let mut read = Vec::new();
    let mut files = |name: &str| {
        read.push(name.to_owned());
        Ok(b"0 1 1\n0 2 2 4 6 5\n".to_vec())
    };
    let text = text(PHY, nodes, &steps, "");
    let plan = load_with("test.yaml", &text, Overrides::default(), &mut files).unwrap();
    assert_eq!(read, ["both"]);
    assert_eq!(track(&plan, "a"), [(0.0, 1.0, 1.0)]);
    assert_eq!(track(&plan, "b"), [(0.0, 2.0, 2.0), (4.0, 6.0, 5.0)]);
}

#[test]
fn without_files_a_topology_that_names_one_is_refused_where_it_does() {
    let links = "links: [{ link: [er2, sensor], trace: loss.csv }]";
    let error = load("x.yaml", &text(PHY, "", "", links), Overrides::default()).unwrap_err();
    assert!(
        error.to_string().starts_with(
            "x.yaml:10:39: error: `links[0].trace`: cannot read `loss.csv`: no other file can be \
             read here\n"
        ),
        "{error}"
    );
}

#[test]
fn a_ramp_starts_from_a_fixed_attenuation_and_not_from_the_path_loss() {
    let ramp = "    - { at: 5 s, link: [sensor, er1], attenuation: 90 dB, over: 200 ms }";
    let error = refused(PHY, "", ramp, "");
    assert!(error.contains("has no attenuation at 5 s"), "{error}");
    let links = "links: [{ link: [sensor, er1], attenuation: 70 dB }]";
    let fixed = plan(PHY, "", ramp, links);
    assert_eq!(attenuations(&fixed), [(5.1, 80.0), (5.2, 90.0)]);
}
