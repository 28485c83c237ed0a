use serde_json::json;

use super::*;

fn event(line: &str) -> Event {
    serde_json::from_str(line).unwrap()
}

fn after(lines: &[&str]) -> Value {
    let mut state = State::default();
    for (offset, line) in (0..).zip(lines) {
        state.take(&event(line), offset);
    }
    json!(state)
}

const STARTED: &str = r#"{"time_ns":1,"node":"sensor","event":"handover_started","handover":1,"from":"er1","reason":"signal"}"#;
const LINK: &str =
    r#"{"time_ns":2,"node":"sensor","event":"phase_started","handover":1,"phase":"link"}"#;
const COMPLETED: &str = r#"{"time_ns":3,"node":"sensor","event":"handover_completed","handover":1,"to":"er2","t_addr":"2001:db8:2::5"}"#;

#[test]
fn a_node_in_its_link_phase_has_left_its_router_until_it_is_at_the_next() {
    let between = after(&[STARTED, LINK]);
    assert_eq!(between["sensor"]["away"], true);
    assert_eq!(between["sensor"]["from"], "er1");
    assert_eq!(between["sensor"]["phases"], json!({ "link": 1 }));
    let arrived = &after(&[STARTED, LINK, COMPLETED])["sensor"];
    assert_eq!(arrived["attached"], "er2");
    assert_eq!(arrived["away"], Value::Null);
    assert_eq!(arrived["completed"], 1);
}

#[test]
fn who_gives_up_is_without_a_router_unless_it_went_back() {
    let failed = |reason: &str| {
        format!(
            r#"{{"time_ns":3,"node":"sensor","event":"handover_failed","handover":1,"reason":"{reason}"}}"#
        )
    };
    let lost = &after(&[STARTED, LINK, &failed("no router answers")])["sensor"];
    assert_eq!(
        (&lost["away"], &lost["from"]),
        (&true.into(), &"er1".into())
    );
    let back = &after(&[STARTED, LINK, &failed(WENT_BACK)])["sensor"];
    assert_eq!((&back["away"], &back["from"]), (&Value::Null, &Value::Null));
    assert_eq!(back["given_up"], 1);
}

#[test]
fn a_node_is_on_hold_until_its_binding_says_otherwise_or_is_gone() {
    let binding = |held: bool| {
        format!(
            r#"{{"time_ns":1,"node":"client","event":"binding_changed","p_addr":"2001:db8::5","t_addr":"2001:db8:1::5","held":{held}}}"#
        )
    };
    let removed = r#"{"time_ns":2,"node":"client","event":"binding_removed","p_addr":"2001:db8::5","reason":"deregistered"}"#;
    let held = after(&[&binding(true)]);
    assert_eq!(held["client"]["held"], json!({ "2001:db8::5": true }));
    let free = after(&[&binding(true), &binding(false)]);
    assert_eq!(
        free["client"],
        json!({ "bindings": { "2001:db8::5": "2001:db8:1::5" } })
    );
    assert_eq!(after(&[&binding(true), removed])["client"], json!({}));
}

#[test]
fn who_is_ready_again_does_nothing_of_its_former_life() {
    let ready = r#"{"time_ns":9,"node":"sensor","event":"ready"}"#;
    let asleep =
        r#"{"time_ns":4,"node":"sensor","event":"sleep_started","period_s":2,"announced":true}"#;
    let held = r#"{"time_ns":4,"node":"sensor","event":"binding_changed","p_addr":"2001:db8::5","t_addr":"2001:db8:1::5","held":true}"#;
    let again = after(&[ready, STARTED, LINK, asleep, held, ready]);
    let bindings = json!({ "2001:db8::5": "2001:db8:1::5" });
    assert_eq!(
        again["sensor"],
        json!({ "ready": true, "bindings": bindings })
    );
}

#[test]
fn failures_are_counted_by_reason() {
    let failed = r#"{"time_ns":1,"node":"client","event":"request_failed","p_addr":"2001:db8::5","reason":"timeout"}"#;
    assert_eq!(
        after(&[failed, failed])["client"]["failed"],
        json!({ "timeout": 2 })
    );
}

#[test]
fn the_last_events_of_a_node_are_at_hand_and_no_more() {
    let mut state = State::default();
    let ready = event(r#"{"time_ns":1,"node":"er1","event":"ready"}"#);
    for offset in 0..20 {
        state.take(&ready, offset);
    }
    let last: Vec<u64> = state.node("er1").unwrap().last().collect();
    assert_eq!(last, (8..20).collect::<Vec<_>>());
    assert!(state.node("er2").is_none());
}

#[test]
fn a_change_stands_in_json_as_the_page_reads_it() {
    let told = json!(changes(&event(STARTED)));
    assert_eq!(
        told[0],
        json!({ "node": "sensor", "key": "handover", "set": 1 })
    );
    let told = json!(changes(&event(LINK)));
    assert_eq!(
        told[0],
        json!({ "node": "sensor", "key": "phases", "of": "link", "set": 1 })
    );
}
