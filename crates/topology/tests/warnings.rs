//! What can be run and will hardly do what was meant, and the defaults with which it does.

use std::fs;
use std::path::Path;
use std::time::Duration;

use topology::{Loaded, Overrides};
use units::Dbm;

fn loaded(text: &str) -> Loaded {
    let mut none = |_: &str| Err("no file".to_owned());
    topology::read("warned.yaml", text, Overrides::default(), &mut none)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The warnings of a text: line, and message.
fn warnings(text: &str) -> Vec<(usize, String)> {
    let problems = loaded(text).warnings;
    let problems = problems.iter().flat_map(|warnings| warnings.problems());
    problems.map(|p| (p.span.line, p.message.clone())).collect()
}

/// Three routers in a line `gap` metres apart, and a node that walks past.
fn line(gap: u32, walker: &str) -> String {
    format!(
        "version: 1
name: line
radio: {{ medium: phy }}
nodes:
  er1: {{ role: edge-router, position: [0 m, 0 m] }}
  er2: {{ role: edge-router, position: [{gap} m, 0 m] }}
  er3: {{ role: edge-router, position: [{} m, 0 m] }}
  wmms: {{ role: wmms }}
  walker: {{ role: mobile-node, attached_to: er1, position: [5 m, 0 m]{walker} }}
  client: {{ role: client, polls: [{{ node: walker }}] }}
scenario:
  duration: 120 s
  steps: [{{ at: 2 s, move: walker, to: [{} m, 0 m], speed: 5 m/s }}]
",
        2 * gap,
        2 * gap - 5
    )
}

#[test]
fn every_topology_that_is_shipped_is_without_a_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies");
    for place in [folder.clone(), folder.join("papers")] {
        for entry in fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "yaml") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let mut files = |name: &str| fs::read(place.join(name)).map_err(|e| e.to_string());
            let loaded = topology::read("shipped.yaml", &text, Overrides::default(), &mut files);
            let warnings = loaded.unwrap().warnings;
            assert!(
                warnings.is_none(),
                "{}: {}",
                path.display(),
                warnings.unwrap()
            );
        }
    }
}

#[test]
fn routers_that_are_listened_for_speak_often_and_are_left_where_the_next_one_is_better() {
    for (gap, threshold) in [(20, -75.0), (40, -82.0), (55, -87.0), (100, -92.0)] {
        let text = line(gap, "");
        assert_eq!(warnings(&text), [], "{gap} m");
        let plan = loaded(&text).plan;
        let router = plan.nodes["er1"].router.as_ref().unwrap();
        let ra = &router.router_advertisements;
        assert_eq!(ra.max_interval, Duration::from_millis(500));
        assert_eq!(ra.min_delay_between, Duration::from_millis(30));
        let handover = plan.nodes["walker"].handover().unwrap();
        let scan = handover.scan.as_ref().unwrap();
        assert_eq!(scan.dwell, Duration::from_millis(600));
        assert_eq!(handover.signal_timeout, Some(Duration::from_millis(1500)));
        assert_eq!(handover.trigger.threshold, Dbm(threshold), "{gap} m");
    }
}

#[test]
fn what_the_file_says_and_what_nobody_listens_for_keeps_the_standards_defaults() {
    let written = line(40, ", handover: { trigger: { threshold: -70 dBm } }");
    let plan = loaded(&written).plan;
    let handover = plan.nodes["walker"].handover().unwrap();
    assert_eq!(handover.trigger.threshold, Dbm(-70.0));
    let router = |text: &str| {
        let plan = loaded(text).plan;
        let router = plan.nodes["er1"].router.clone().unwrap();
        router.router_advertisements
    };
    let edges = line(40, "").replace("phy", "edges");
    let slow = line(40, "").replace(
        "[0 m, 0 m] }",
        "[0 m, 0 m], router_advertisements: { max_interval: 600 s } }",
    );
    let still = line(40, "")
        .replace("role: mobile-node", "role: sensor")
        .replace("role: client", "role: client, mobility: none");
    for text in [edges, slow, still] {
        let ra = router(&text);
        assert_eq!(ra.max_interval, Duration::from_secs(600));
        assert_eq!(ra.min_delay_between, Duration::from_secs(3));
    }
}

#[test]
fn cells_that_do_not_overlap_are_told_with_how_far_a_radio_reaches() {
    let said = warnings(&line(150, ""));
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].0, 9);
    assert!(
        said[0]
            .1
            .contains("stand 150 m apart, and a radio reaches 67 m")
    );
}

#[test]
fn a_threshold_that_is_never_reached_is_told_with_the_weakest_signal() {
    let near = line(40, "").replace("to: [75 m, 0 m]", "to: [9 m, 0 m]");
    let said = warnings(&near);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0]
            .1
            .contains("does not fall under -82 dBm, as its weakest is -68.83 dBm")
    );
    let deep = line(40, ", handover: { trigger: { threshold: -97 dBm } }");
    assert!(
        warnings(&deep)[0]
            .1
            .contains("-97 dBm is not over the sensitivity, -95 dBm")
    );
}

#[test]
fn a_router_that_speaks_less_often_than_it_is_listened_for_is_told_with_both_times() {
    let slow = |ra: &str| {
        line(40, ", handover: { scan: { dwell: 600 ms } }").replace(
            "[40 m, 0 m] }",
            &format!("[40 m, 0 m], router_advertisements: {{ {ra} }} }}"),
        )
    };
    let said = warnings(&slow("max_interval: 20 s"));
    assert!(
        said[0]
            .1
            .contains("listens 600 ms on each channel, and `er2` advertises itself every 20 s")
    );
    let said = warnings(&slow("max_interval: 500 ms, min_delay_between: 3 s"));
    assert!(
        said[0]
            .1
            .contains("every 3 s (`router_advertisements.min_delay_between`)")
    );
    let silent = line(40, "").replace(
        "[40 m, 0 m] }",
        "[40 m, 0 m], router_advertisements: { max_interval: 600 s } }",
    );
    let said = warnings(&silent);
    assert!(
        said[0].1.contains("longer than the scenario of 120 s"),
        "{said:?}"
    );
}

#[test]
fn nodes_that_nothing_comes_of_are_told() {
    let text = "version: 1
name: idle
radio: { medium: phy }
nodes:
  er1: { role: edge-router, position: [0 m, 0 m] }
  wmms: { role: wmms }
  lone: { role: sensor, attached_to: er1, position: [5 m, 0 m] }
  lost: { role: sensor, attached_to: er1 }
  a: { role: sensor, attached_to: er1, position: [9 m, 0 m], polls: [{ node: b }] }
  b: { role: sensor, attached_to: er1, position: [9 m, 90 m] }
  mute: { role: client }
  client: { role: client, polls: [{ node: lost }] }
scenario: { duration: 10 s }
";
    let said = warnings(text);
    let wanted = [
        (7, "`nodes.lone`: nobody asks it"),
        (8, "`nodes.lost`: it has no `position`"),
        (9, "`nodes.a`: it asks `b` at the same router, `er1`"),
        (11, "`nodes.mute`: it asks nothing and serves nothing"),
    ];
    assert_eq!(said.len(), wanted.len(), "{said:#?}");
    for ((line, message), (at, begins)) in said.iter().zip(wanted) {
        assert!(
            *line == at && message.starts_with(begins),
            "{line}: {message}"
        );
    }
}

#[test]
fn a_pool_with_too_few_addresses_is_told_with_who_may_ask() {
    let text = "version: 1
name: pool
nodes:
  er1: { role: edge-router }
  dhcp: { role: dhcpv6-server, pools: [{ router: er1, first: \"2001:db8:1::1000\", last: \"2001:db8:1::1000\" }] }
  wmms: { role: wmms }
  sensor: { role: mobile-node, count: 2, attached_to: er1 }
  client: { role: client, polls: [{ node: sensor }] }
scenario: { duration: 10 s }
";
    let said = warnings(text);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0]
            .1
            .contains("the pool of er1 has 1 address for 2 nodes")
    );
    assert_eq!(warnings(&text.replace("1000\" }", "1001\" }")), []);
}

#[test]
fn a_move_and_a_ramp_are_one_step_each_and_a_repeated_step_is_as_many() {
    let text = line(40, "").replace("phy", "edges");
    assert_eq!(loaded(&text).steps, 1);
    let text = text.replace("steps: [", "steps: [{ at: 1 s, every: 10 s, times: 3, crash: walker }, { at: 2 s, every: 10 s, times: 3, restart: walker }, ");
    assert_eq!(loaded(&text).steps, 7);
}
