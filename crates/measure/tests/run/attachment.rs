//! Handovers over which the address that answers stays.

use super::*;
use measure::attachment::By;

/// The events of [`events`] with another router and address arrived at.
pub(crate) fn events_to(to: &str, t_addr: &str) -> Vec<Event> {
    let mut events = events();
    for event in &mut events {
        if let EventKind::Handover(HandoverEvent::Completed {
            to: router,
            t_addr: address,
            ..
        }) = &mut event.kind
        {
            *router = to.into();
            *address = t_addr.parse().unwrap();
        }
    }
    events
}

/// [`polls`] that one address answers.
fn polls_of(client: &str, server: &str) -> Wire {
    let mut wire = Wire::new();
    for n in 0..5_u16 {
        let us = u64::from(n) * 10_000;
        wire.poll(us, 100 + n, n as u8, client, server);
        wire.poll(us + 90_000, 105 + n, 5 + n as u8, client, server);
    }
    // It is on its way while the node moves.
    wire.message(
        50_000,
        client,
        server,
        &get(Kind::NonConfirmable, 300, 99, "/t"),
    );
    wire
}

#[test]
fn a_node_back_at_its_router_has_a_handover_of_the_pause_around_it() {
    let plan = plan();
    let events = events_to("er1", "2001:db8:1::5");
    let wire = polls_of(&client_address(&plan), OLD);
    let (_root, dir, result) = measure(&plan, &events, &wire);
    assert_eq!(result.notes, Vec::<String>::new());
    let [handover] = &result.handovers[..] else {
        panic!("{:#?}", result.handovers);
    };
    assert_eq!((handover.by, handover.delay_s), (By::Events, Some(0.05)));
    assert_eq!(handover.from, handover.to);
    assert_eq!(handover.lost_message_ids, [300]);
    assert_eq!(handover.method.as_deref(), Some("GET"));
    let ends = (handover.last_before.unwrap(), handover.first_after.unwrap());
    assert_eq!((ends.0.time_s, ends.1.time_s), (0.041, 0.091));
    assert_eq!(ends.0.address, ends.1.address);
    // The key still means the same.
    assert_eq!(result.flows[0].largest_gap_s, Some(0.05));
    let summary = text::summary(&result);
    let line =
        "handover of sensor from er1 to er1, seen by client at /t: 50.000 ms, 1 lost, by events\n";
    assert!(summary.contains(line), "{summary}");
    let written = fs::read_to_string(dir.result()).unwrap();
    assert!(written.contains("\"by\": \"events\""), "{written}");
}

#[test]
fn a_node_that_answers_from_its_permanent_address_has_its_handovers_of_the_events() {
    let plan = plan();
    let home = format!("[{P_ADDR}]:5683");
    let wire = polls_of(&client_address(&plan), &home);
    let (_root, _, result) = measure(&plan, &events(), &wire);
    let [handover] = &result.handovers[..] else {
        panic!("{:#?}", result.handovers);
    };
    assert_eq!((handover.by, handover.delay_s), (By::Events, Some(0.05)));
    assert_eq!(handover.to.as_deref(), Some("er2"));
    assert_eq!(result.notes, Vec::<String>::new());
}

#[test]
fn there_and_back_within_one_pause_is_one_delay_and_a_note() {
    let plan = plan();
    let mut events = events_to("er2", "2001:db8:2::5");
    // Over at 70 ms, back at 88.5.
    for event in &mut events {
        if event.time_ns == START + 88_500_000 {
            event.time_ns = START + 70_000_000;
        }
    }
    let back = [
        HandoverEvent::Started {
            handover: 2,
            from: "er2".into(),
            reason: Reason::LinkLost,
        },
        HandoverEvent::Completed {
            handover: 2,
            to: "er1".into(),
            t_addr: "2001:db8:1::5".parse().unwrap(),
        },
    ];
    let back = back.into_iter().zip([72_000, 88_500]);
    events.extend(back.map(|(kind, us)| event(us, "sensor", kind)));
    let (_root, _, result) = measure(&plan, &events, &polls_of(&client_address(&plan), OLD));
    let delays: Vec<_> = result
        .handovers
        .iter()
        .map(|h| (h.to.as_deref(), h.delay_s))
        .collect();
    assert_eq!(delays, [(Some("er2"), None), (Some("er1"), Some(0.05))]);
    assert_eq!(
        result.notes,
        [
            "the handover that sensor completed at 0.07 s lies in one pause with the one completed at 0.0885 s in the capture of client, which has it"
        ]
    );
}

#[test]
fn a_handover_during_which_nothing_was_asked_is_not_measured() {
    let plan = plan();
    let mut wire = polls_of(&client_address(&plan), OLD);
    wire.0
        .retain(|packet| packet.time != crate::common::at(50_000));
    let (_root, _, result) = measure(&plan, &events_to("er1", "2001:db8:1::5"), &wire);
    assert_eq!(result.handovers[0].delay_s, None);
    assert_eq!(
        result.notes,
        [
            "the handover that sensor completed at 0.0885 s is not in the capture of client: nothing was asked during it"
        ]
    );
}

#[test]
fn a_change_of_address_without_a_handover_in_the_events_is_noted() {
    let plan = plan();
    let events: Vec<Event> = events()
        .into_iter()
        .filter(|event| !matches!(event.kind, EventKind::Handover(_)))
        .chain([event(
            0,
            "sensor",
            EventKind::Leased {
                address: "2001:db8:2::5".parse().unwrap(),
            },
        )])
        .collect();
    let (_root, _, result) = measure(&plan, &events, &polls(&client_address(&plan)));
    let handover = &result.handovers[0];
    assert_eq!((handover.by, handover.delay_s), (By::Address, Some(0.05)));
    assert_eq!(handover.from, None);
    assert_eq!(
        result.notes,
        [
            "the address of sensor changed at 0.091 s in the capture of client without a handover in its events"
        ]
    );
}

#[test]
fn two_methods_of_one_resource_are_told_apart() {
    let plan = plan();
    let mut wire = polls(&client_address(&plan));
    for n in 0..3_u16 {
        let mut fetch = get(Kind::Confirmable, 200 + n, 100 + n as u8, "/t");
        fetch.code = coap::Code::FETCH;
        let us = 5_000 + u64::from(n) * 10_000;
        let answer = crate::common::content(Kind::Acknowledgement, 200 + n, 100 + n as u8);
        wire.message(us, &client_address(&plan), OLD, &fetch);
        wire.message(us + 1_000, OLD, &client_address(&plan), &answer);
    }
    let (_root, _, result) = measure(&plan, &events(), &wire);
    let flows: Vec<_> = (result.flows.iter())
        .map(|flow| (flow.method.as_deref().unwrap(), flow.requests.sent))
        .collect();
    assert_eq!(flows, [("GET", 10), ("FETCH", 3)]);
    let seen: Vec<_> = (result.handovers.iter())
        .map(|h| (h.method.as_deref().unwrap(), h.delay_s))
        .collect();
    assert_eq!(seen, [("FETCH", None), ("GET", Some(0.05))]);
    assert!(text::summary(&result).contains("seen by client at FETCH /t: not in the capture"));
}

#[test]
fn a_result_of_schema_1_is_read() {
    let plan = plan();
    let (_root, _, result) = measure(&plan, &events(), &polls(&client_address(&plan)));
    let mut json = serde_json::to_value(&result).unwrap();
    json["schema"] = 1.into();
    for list in ["handovers", "flows"] {
        let entry = json[list][0].as_object_mut().unwrap();
        entry.remove("method");
        entry.remove("by");
    }
    let before: RunResult = serde_json::from_value(json).unwrap();
    assert_eq!(before.handovers[0].by, By::Address);
    assert_eq!(before.handovers[0].method, None);
    assert_eq!(before.handovers[0].delay_s, result.handovers[0].delay_s);
}
