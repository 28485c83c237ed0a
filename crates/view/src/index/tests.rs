use super::*;

fn ready(time_ns: u64, node: &str) -> String {
    format!("{{\"time_ns\":{time_ns},\"node\":\"{node}\",\"event\":\"ready\"}}\n")
}

fn names() -> [String; 2] {
    ["er1".into(), "er2".into()]
}

#[test]
fn whole_lines_are_taken_and_the_rest_waits() {
    let mut index = Index::new(names());
    let file = ready(5, "er1") + &ready(6, "er2") + "\n" + &ready(7, "er1");
    let whole = file.len() - 3;
    let taken = index.take(&file.as_bytes()[..whole]);
    assert_eq!(index.end().place.number, 2);
    assert_eq!(index.end().place.line, 3);
    assert_eq!(taken, file.len() - ready(7, "er1").len());
    assert_eq!(index.take(&file.as_bytes()[taken..]), file.len() - taken);
    assert_eq!(index.end().place.number, 3);
    assert_eq!(index.first_ns(), Some(5));
}

#[test]
fn the_last_line_of_a_run_that_is_over_needs_no_end() {
    let mut index = Index::new(names());
    let line = ready(5, "er1");
    assert_eq!(index.take(line.trim_end().as_bytes()), 0);
    index.take_last(line.trim_end().as_bytes());
    assert_eq!(index.end().place.number, 1);
}

#[test]
fn reading_stops_at_a_line_that_is_wrong_and_names_it() {
    let long = format!("{}\n", "x".repeat(LONGEST_LINE as usize + 1));
    for (broken, what) in [
        ("{\"time_ns\":1}\n", "line 3 is not an event: missing field"),
        (
            "{\"time_ns\":1,\"node\":\"er1\",\"event\":\"danced\"}\n",
            "line 3 is not an event",
        ),
        ("\u{0}\n", "line 3 is not an event"),
        (&ready(8, "er9"), "line 3: the plan has no node `er9`"),
        (&long, "line 3 has more than 1024 KiB"),
        // Without an end it is as wrong.
        (long.trim_end(), "line 3 has more than 1024 KiB"),
    ] {
        let mut index = Index::new(names());
        let good = ready(5, "er1") + &ready(6, "er2");
        let file = good.clone() + broken + &ready(9, "er1");
        assert_eq!(index.take(file.as_bytes()), good.len());
        let told = index.problem().unwrap();
        assert!(told.starts_with(what), "{told}");
        assert_eq!(index.take(&file.as_bytes()[good.len()..]), 0);
        assert_eq!(index.end().place.number, 2);
    }
}

#[test]
fn time_does_not_run_back_where_a_line_came_late() {
    let mut index = Index::new(names());
    let file = ready(5, "er1") + &ready(9, "er1") + &ready(7, "er2");
    index.take(file.as_bytes());
    assert_eq!(index.end().place.time_ns, 9);
    assert_eq!(index.state_by_time(8).place.number, 0);
}

#[test]
fn states_are_kept_evenly_and_never_too_many() {
    let mut index = Index::new(names());
    let line = ready(5, "er1");
    let lines = line.repeat(4 * STEP as usize);
    for round in 1..=3 * MOST_STATES {
        index.take(lines.as_bytes());
        assert!(index.states.len() <= MOST_STATES, "{round}");
    }
    assert!(index.states.len() > MOST_STATES / 2);
    let gaps = index.states.windows(2);
    for pair in gaps {
        assert_eq!(pair[1].place.number - pair[0].place.number, index.stride);
    }
    assert_eq!(index.states[0], Mark::default());
}

#[test]
fn handovers_are_listed_with_how_they_ended() {
    let line = |time: u64, rest: &str| {
        format!("{{\"time_ns\":{time},\"node\":\"er1\",\"event\":{rest}}}\n")
    };
    let start = |n: u32| {
        format!("\"handover_started\",\"handover\":{n},\"from\":\"er1\",\"reason\":\"signal\"")
    };
    let mut index = Index::new(names());
    for line in [
        line(10, &start(1)),
        line(
            12,
            "\"handover_completed\",\"handover\":1,\"to\":\"er2\",\"t_addr\":\"::1\"",
        ),
        line(20, &start(2)),
        line(21, "\"handover_failed\",\"handover\":2,\"reason\":\"lost\""),
        line(30, &start(3)),
    ] {
        index.take(line.as_bytes());
    }
    let (told, more) = index.handovers();
    let ends: Vec<_> = told
        .iter()
        .map(|t| (t.number, t.started_ns, t.ended_ns))
        .collect();
    assert_eq!(ends, [(1, 0, Some(2)), (2, 10, Some(11)), (3, 20, None)]);
    assert_eq!(told[0].to.as_deref(), Some("er2"));
    assert_eq!(told[1].failure.as_deref(), Some("lost"));
    assert_eq!((more, index.ended_handovers()), (0, 2));
}

#[test]
fn a_handover_whose_node_began_again_goes_on_no_more() {
    let start = |time: u64, n: u32| {
        format!(
            "{{\"time_ns\":{time},\"node\":\"er1\",\"event\":\"handover_started\",\"handover\":{n},\"from\":\"er1\",\"reason\":\"signal\"}}\n"
        )
    };
    let mut index = Index::new(names());
    for line in [
        ready(10, "er1"),
        start(20, 1),
        ready(25, "er2"),
        ready(30, "er1"),
        start(40, 1),
        start(50, 2),
    ] {
        index.take(line.as_bytes());
    }
    let (told, _) = index.handovers();
    let ends: Vec<_> = told
        .iter()
        .map(|t| (t.ended_ns, t.failure.as_deref()))
        .collect();
    let expected = [
        (Some(20), Some("the node began again")),
        (Some(40), Some("its end was not told")),
        (None, None),
    ];
    assert_eq!(ends, expected);
    assert_eq!(index.ended_handovers(), 2);
}
