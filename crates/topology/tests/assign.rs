//! Values of the command line in place of the file's, and what is said of wrong ones.

use topology::{Overrides, Parameter, Plan, load};
use units::Seed;

const HANDOVER: &str = include_str!("../../../topologies/handover.yaml");

/// `handover.yaml` with these assignments, or what is printed of it.
fn with(assignments: &[&str]) -> Result<Plan, String> {
    let parameters: Vec<Parameter> = assignments.iter().map(|a| a.parse().unwrap()).collect();
    let overrides = Overrides {
        assignments: Parameter::combinations(&parameters).remove(0),
        ..Overrides::default()
    };
    load("h.yaml", HANDOVER, overrides).map_err(|error| error.to_string())
}

/// The first line that is printed of `handover.yaml` with this assignment.
fn refused(assignment: &str) -> String {
    let text = with(&[assignment]).unwrap_err();
    let first = text.lines().next().unwrap();
    let prefix = format!("--set {assignment}: error: ");
    first
        .strip_prefix(&prefix)
        .unwrap_or_else(|| panic!("{text}"))
        .to_owned()
}

/// What is said of the text of a parameter that is none.
fn no_parameter(text: &str) -> String {
    text.parse::<Parameter>().unwrap_err().to_string()
}

#[test]
fn a_plan_is_what_the_file_with_that_line_gives() {
    for (assignment, line, instead) in [
        ("backbone.delay=7 ms", "{ delay: 2 ms,", "{ delay: 7 ms,"),
        (
            "radio.sensitivity=-90 dBm",
            "sensitivity: -85 dBm",
            "sensitivity: -90 dBm",
        ),
        (
            "nodes.sensor.handover.hold=false",
            "hold: true ",
            "hold: false ",
        ),
        (
            "nodes.client.polls[0].every=1 s",
            "every: 10 ms",
            "every: 1 s",
        ),
        ("scenario.steps[1].over=3 s", "over: 2 s", "over: 3 s"),
        ("nodes.er1.pan=0x0009", "pan: 0x0001", "pan: 0x0009"),
        (
            "scenario.steps[2].link=[sensor, er2]",
            "link: [sensor, er1], state",
            "link: [sensor, er2], state",
        ),
    ] {
        assert_eq!(HANDOVER.matches(line).count(), 1, "{line}");
        let changed = HANDOVER.replace(line, instead);
        let expected = load("h.yaml", &changed, Overrides::default()).unwrap();
        assert_eq!(with(&[assignment]).unwrap(), expected, "{assignment}");
    }
}

#[test]
fn keys_that_the_file_leaves_out_are_made() {
    let plan = with(&[
        "nodes.client.coap.nstart=7",
        "radio.path_loss={ model: free-space }",
    ]);
    let plan = plan.unwrap();
    assert_eq!(plan.nodes["client"].coap.as_ref().unwrap().nstart, 7);
}

#[test]
fn a_seed_of_the_command_line_is_over_one_that_is_assigned() {
    assert_eq!(with(&["seed=8"]).unwrap().seed, Seed(8));
    let parameters = ["seed=8".parse().unwrap()];
    let overrides = Overrides {
        seed: Some(Seed(9)),
        assignments: Parameter::combinations(&parameters).remove(0),
    };
    assert_eq!(load("h.yaml", HANDOVER, overrides).unwrap().seed, Seed(9));
}

#[test]
fn an_unknown_key_is_an_error_with_the_nearest() {
    let said = with(&["radio.sensitivty=-85 dBm"]).unwrap_err();
    let expected = "\
--set radio.sensitivty=-85 dBm: error: `radio`: unknown key `sensitivty`; did you mean `sensitivity`?
   |
 1 | radio.sensitivty=-85 dBm
   |       ^^^^^^^^^^
";
    assert_eq!(said, expected);
    assert_eq!(
        refused("radoi.medium=phy"),
        "unknown key `radoi`; did you mean `radio`?"
    );
    assert_eq!(
        refused("nodes.senor.handover.hold=true"),
        "unknown node `senor`; did you mean `sensor`?"
    );
    assert_eq!(
        refused("nodes.x=1"),
        "unknown node `x`; the file has `er1`, `er2`, `dhcp`, `wmms`, `sensor` or `client`"
    );
}

#[test]
fn a_node_that_the_file_has_not_is_added_by_its_whole_table() {
    let plan = with(&["nodes.ha={ role: home-agent }", "nodes.ha.delay=80 ms"]).unwrap();
    assert!(plan.nodes.contains_key("ha"));
    let line = "  client:\n";
    assert_eq!(HANDOVER.matches(line).count(), 1);
    let text = HANDOVER.replace(
        line,
        "  ha: { role: home-agent, delay: 80 ms }\n  client:\n",
    );
    assert_eq!(
        Ok(plan),
        load("h.yaml", &text, Overrides::default()).map_err(|e| e.to_string())
    );
    assert!(refused("nodes.ha=home-agent").starts_with("unknown node `ha`"));
}

#[test]
fn an_item_is_added_behind_the_last_of_a_list_by_the_whole_of_it() {
    let last = "    - { at: 4 s, link: [sensor, er1], state: down }\n";
    assert_eq!(HANDOVER.matches(last).count(), 1);
    let more = [
        "scenario.steps[3]={ at: 2 s, crash: client }",
        "scenario.steps[4]={ at: 3 s, restart: client }",
        "scenario.steps[3].at=2.5 s",
    ];
    let lines = "    - { at: 2.5 s, crash: client }\n    - { at: 3 s, restart: client }\n";
    let text = HANDOVER.replace(last, &format!("{last}{lines}"));
    let expected = load("h.yaml", &text, Overrides::default()).map_err(|e| e.to_string());
    assert_eq!(with(&more), expected);
    let first = "nodes.client.polls[0].options[0]={ number: 2049, value: a }";
    assert_eq!(HANDOVER.matches("options:").count(), 0);
    assert_eq!(
        refused("scenario.steps[4]={ at: 2 s, crash: client }"),
        "`scenario.steps` has 3 items, counted from [0]"
    );
    assert_eq!(
        refused("scenario.steps[3].at=2 s"),
        "`scenario.steps` has 3 items, counted from [0]"
    );
    with(&[first]).unwrap();
}

#[test]
fn what_the_file_has_for_its_own_mobility_means_nothing_with_another_one_that_is_set() {
    let set = [
        "nodes.sensor.mobility=mipv6",
        "nodes.ha={ role: home-agent }",
    ];
    assert!(HANDOVER.contains("hold: true"), "a setting of CoMP's");
    with(&set).unwrap();
    let text = with(&[set[0], set[1], "nodes.sensor.handover.hold=false"]).unwrap_err();
    assert!(
        text.contains("`handover.hold` is a setting of `mobility: comp`"),
        "{text}"
    );
}

#[test]
fn a_place_that_cannot_be_is_refused() {
    assert_eq!(
        refused("nodes.client.polls[1].every=1 s"),
        "`nodes.client.polls` has 1 items, counted from [0]"
    );
    assert_eq!(
        refused("nodes.client.polls.every=1 s"),
        "`nodes.client.polls` is a list of 1: write `nodes.client.polls[0].every` for the first"
    );
    assert_eq!(
        refused("backbone.delay.x=1"),
        "`backbone.delay` is not a table"
    );
    assert_eq!(refused("backbone[0]=1"), "`backbone` is not a list");
    assert_eq!(
        refused("links[0].attenuation=1 dB"),
        "the file gives no `links`"
    );
    let twice = with(&["backbone.delay=1 ms", "backbone.delay=2 ms"]).unwrap_err();
    assert!(twice.starts_with(
        "--set backbone.delay=2 ms: error: `backbone.delay` is set twice; remove one\n"
    ));
}

#[test]
fn a_wrong_value_is_marked_in_its_assignment_and_a_line_of_the_file_in_the_file() {
    let said = with(&["backbone.delay=7"]).unwrap_err();
    let mark = "\n 1 | backbone.delay=7\n   |                ^\n";
    assert!(
        said.starts_with("--set backbone.delay=7: error: `backbone.delay`: `7`"),
        "{said}"
    );
    assert!(said.contains(mark), "{said}");

    let syntax = with(&["backbone.delay=[7"]).unwrap_err();
    assert!(
        syntax.starts_with("--set backbone.delay=[7: error: not valid YAML"),
        "{syntax}"
    );

    // The step at 4 s stands in the file; that it is too late is the assignment's doing.
    let line = HANDOVER
        .lines()
        .position(|l| l.contains("at: 4 s"))
        .unwrap()
        + 1;
    let said = with(&["scenario.duration=3500 ms"]).unwrap_err();
    assert!(said.starts_with(&format!("h.yaml:{line}:")), "{said}");
    assert!(
        said.ends_with("with --set scenario.duration=3500 ms\n"),
        "{said}"
    );
}

#[test]
fn values_are_split_at_commas_outside_of_brackets_and_quotes() {
    let parameter: Parameter = "a.b=[1 m, 2 m], {x: 1, y: 2},\"3,4\",5".parse().unwrap();
    assert_eq!(
        parameter.values(),
        ["[1 m, 2 m]", "{x: 1, y: 2}", "\"3,4\"", "5"]
    );
    assert_eq!(parameter.path(), "a.b");
}

#[test]
fn ranges_are_exact_decimals_up_to_their_last() {
    let values = |text: &str| text.parse::<Parameter>().unwrap().values().join("|");
    assert_eq!(
        values("a=10..80:10 ms"),
        "10 ms|20 ms|30 ms|40 ms|50 ms|60 ms|70 ms|80 ms"
    );
    assert_eq!(values("a=0..0.3:0.1"), "0|0.1|0.2|0.3");
    assert_eq!(values("a=-95..-85:5 dBm"), "-95 dBm|-90 dBm|-85 dBm");
    assert_eq!(values("a=3..8:2"), "3|5|7");
    assert_eq!(values("a=../walk.csv"), "../walk.csv", "a file is no range");
    assert_eq!(values("a=1..3:1,7"), "1|2|3|7");
    assert!(no_parameter("a=80..10:10 ms").contains("is no range"));
    assert!(no_parameter("a=1..2:0").contains("is no range"));
    assert!(no_parameter("a=0..99999:1").contains("is no range"));
}

#[test]
fn a_comma_in_a_value_that_is_in_quotes_or_brackets_is_its_own() {
    for (text, values) in [
        (r#"a="x,y",z"#, &[r#""x,y""#, "z"][..]),
        (r#"a="x\",y",z"#, &[r#""x\",y""#, "z"]),
        ("a='x'',y',z", &["'x'',y'", "z"]),
        ("a=it's,y", &["it's", "y"]),
        ("a=b[,c", &["b[", "c"]),
        (
            "a={ b: 'x}', c: 1 },[1, 2]",
            &["{ b: 'x}', c: 1 }", "[1, 2]"],
        ),
    ] {
        assert_eq!(
            text.parse::<Parameter>().unwrap().values(),
            values,
            "{text}"
        );
    }
}

#[test]
fn what_is_no_path_or_has_no_value_is_no_parameter() {
    for text in [
        "",
        "backbone.delay",
        "=1",
        ".a=1",
        "a..b=1",
        "a[x]=1",
        "a[0=1",
        "[0]=1",
        "a b=1",
    ] {
        let said = no_parameter(text);
        assert!(
            said.contains("PATH=VALUE") || said.contains("no path"),
            "{text}: {said}"
        );
    }
    assert_eq!(
        no_parameter("a=1,2,1"),
        "`a` takes the value `1` twice; remove one"
    );
}

/// Keys of LwM2M's values are paths themselves.
#[test]
fn a_key_may_have_slashes() {
    let text = include_str!("../../../topologies/lwm2m-rtr.yaml");
    let script = "nodes.server.services[0].lwm2m-server.upon_registration[0]";
    let set = |value: &str| {
        let parameter = format!("{script}.create.values./5918={value}");
        let overrides = Overrides {
            assignments: Parameter::combinations(&[parameter.parse().unwrap()]).remove(0),
            ..Overrides::default()
        };
        load("rtr.yaml", text, overrides)
    };
    assert_eq!(
        set("20").unwrap(),
        load("rtr.yaml", text, Overrides::default()).unwrap()
    );
    assert_ne!(set("80").unwrap(), set("20").unwrap());
    let refused = set("often").unwrap_err().to_string();
    assert!(refused.contains("./5918`: `often` is no"), "{refused}");
}
