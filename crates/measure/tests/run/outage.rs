//! The time in which a handover leaves requests without an answer.

use measure::distribution::{Origin, Row};

use super::*;

fn changed(us: u64, t_addr: &str, held: bool) -> Event {
    event(
        us,
        "client",
        BindingEvent::Changed {
            p_addr: P_ADDR.parse().unwrap(),
            t_addr: t_addr.parse().unwrap(),
            held,
        },
    )
}

/// The interruption of a handover that leaves at 52 ms and is at its new router at 57 ms, with
/// round-trip times of 1 ms, if the client learns this.
fn outage_s(events: Vec<Event>, learns: &[Event]) -> Option<f64> {
    let plan = plan();
    let mut events = events;
    events.extend_from_slice(learns);
    events.sort_by_key(|event| event.time_ns);
    let (_root, _, result) = measure(&plan, &events, &polls(&client_address(&plan)));
    let row = row(&plan, &events, &result);
    assert_eq!(row.handovers.len(), 1);
    row.handovers[0].outage_s
}

/// The row of a sweep of one run.
fn row(plan: &Plan, events: &[Event], result: &RunResult) -> Row {
    let origin = Origin {
        point: 1,
        seed: plan.seed,
        set: Default::default(),
        command: String::new(),
        dir: String::new(),
    };
    Row::of(origin, plan, events, result)
}

const OLD_ADDRESS: &str = "2001:db8:1::5";
const NEW_ADDRESS: &str = "2001:db8:2::5";

#[test]
fn it_ends_when_the_client_learns_of_the_new_address_and_not_when_it_is_told_the_old_one_again() {
    let learns = [
        changed(53_000, OLD_ADDRESS, true),
        changed(60_000, OLD_ADDRESS, false),
        changed(80_000, NEW_ADDRESS, false),
        changed(85_000, NEW_ADDRESS, false),
    ];
    assert_eq!(outage_s(events(), &learns), Some(0.029));
    assert_eq!(outage_s(events(), &learns[..2]), None);
}

#[test]
fn it_ends_after_the_handover_if_the_client_learns_of_it_then() {
    let learns = [changed(120_000, NEW_ADDRESS, false)];
    assert_eq!(outage_s(events(), &learns), Some(0.069));
    let again = HandoverEvent::Started {
        handover: 2,
        from: "er2".into(),
        reason: Reason::Signal,
    };
    let learns = [event(100_000, "sensor", again), learns[0].clone()];
    assert_eq!(outage_s(events(), &learns), None, "it has left again");
}

#[test]
fn of_a_node_that_is_back_at_its_address_only_what_is_told_after_its_return_counts() {
    let back = attachment::events_to("er1", OLD_ADDRESS);
    let learns = [
        changed(54_000, OLD_ADDRESS, false),
        changed(80_000, OLD_ADDRESS, false),
    ];
    assert_eq!(outage_s(back, &learns), Some(0.029));
}

#[test]
fn what_is_on_its_way_when_the_node_leaves_is_a_mean_round_trip_time() {
    let plan = plan();
    let client = client_address(&plan);
    let mut wire = polls(&client);
    // One of 11 takes 12 ms: the mean is 2 ms, the median 1 ms.
    wire.message(
        150_000,
        &client,
        NEW,
        &get(Kind::Confirmable, 500, 50, "/t"),
    );
    wire.message(
        162_000,
        NEW,
        &client,
        &content(Kind::Acknowledgement, 500, 50),
    );
    let mut events = events();
    events.push(changed(80_000, NEW_ADDRESS, false));
    events.sort_by_key(|event| event.time_ns);
    let (_root, _, result) = measure(&plan, &events, &wire);
    let rtt = result.flows[0].requests.rtt_s.unwrap();
    assert_eq!((rtt.mean, rtt.median), (Some(0.002), 0.001));
    let row = row(&plan, &events, &result);
    assert_eq!(row.handovers[0].outage_s, Some(0.03));
}
