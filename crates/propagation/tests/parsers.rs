//! No text makes a parser panic, and what is read is what a track and a trace accept.

use std::time::Duration;

use propagation::import::{self, Format};
use propagation::{Trace, Track};
use proptest::prelude::*;

const FILES: [&str; 4] = [
    include_str!("data/corridor.csv"),
    include_str!("data/random-waypoint.movements"),
    include_str!("data/setdest.tcl"),
    include_str!("data/sumo.tcl"),
];

/// A file with some of its characters exchanged.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0usize..6, "[ -~\n\té☃]{0,6}");
    let edits = prop::collection::vec(edit, 0..6);
    (prop::sample::select(FILES.to_vec()), edits).prop_map(|(file, edits)| {
        let mut text: Vec<char> = file.chars().collect();
        for (index, removed, inserted) in edits {
            let start = index.index(text.len().max(1)).min(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, inserted.chars());
        }
        text.into_iter().collect()
    })
}

/// An ns-2 file of orders in any order, with any speeds.
fn orders() -> impl Strategy<Value = String> {
    let order = (0u32..50, 0u32..2, -300i32..300, -300i32..300, 0u32..400);
    prop::collection::vec(order, 0..30).prop_map(|orders| {
        let mut text = String::new();
        for node in 0..2 {
            text += &format!("$node_({node}) set X_ 1.5\n$node_({node}) set Y_ -2\n");
        }
        for (at, node, x, y, speed) in orders {
            text += &format!("$ns_ at {at}.25 \"$node_({node}) setdest {x} {y} {speed}.5\"\n");
        }
        text
    })
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let lines = text.lines().count().max(1);
    match Trace::parse(text) {
        Ok(trace) => {
            let again = Trace::new(trace.points().to_vec());
            prop_assert_eq!(again, Ok(trace.clone()));
            for second in 0..10 {
                let loss = trace.loss(Duration::from_secs(second)).0;
                prop_assert!((0.0..=1000.0).contains(&loss), "{} dB", loss);
            }
        }
        Err(error) => prop_assert!((1..=lines).contains(&error.line), "{}", error),
    }
    for format in [Format::Bonnmotion, Format::Ns2] {
        match import::parse(format, text) {
            Ok(nodes) => {
                for waypoints in nodes.into_values() {
                    prop_assert!(Track::new(waypoints).is_ok());
                }
            }
            Err(error) => prop_assert!((1..=lines).contains(&error.line), "{}", error),
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_mutated_file_makes_a_parser_panic(text in mutated()) {
        check(&text)?;
    }

    #[test]
    fn no_text_at_all_makes_a_parser_panic(text in any::<String>()) {
        check(&text)?;
    }

    /// The track of a node goes no faster than the fastest order.
    #[test]
    fn a_node_under_orders_goes_its_ways_at_their_speeds(text in orders()) {
        let nodes = import::parse(Format::Ns2, &text).unwrap();
        for waypoints in nodes.into_values() {
            let track = Track::new(waypoints).unwrap();
            let mut before = 0.0;
            for second in 1..60 {
                let moved = track.distance_moved(Duration::from_secs(second));
                // 399.5 m/s and the rounding of instants.
                prop_assert!(moved - before <= 399.5 + 0.01, "{} m", moved - before);
                before = moved;
            }
        }
    }
}
