use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::state::State;

const NODES: [&str; 3] = ["client", "er1", "sensor"];

/// A line of some event of some node.
fn line(time_ns: u64, node: usize, kind: u8, of: u8) -> String {
    let node = NODES[node];
    let rest = match kind {
        0 => r#""ready""#.to_owned(),
        1 => format!(
            r#""binding_changed","p_addr":"2001:db8::{of}","t_addr":"2001:db8:1::{of}","held":{}"#,
            of.is_multiple_of(2)
        ),
        2 => format!(r#""binding_removed","p_addr":"2001:db8::{of}","reason":"deregistered""#),
        3 => format!(r#""request_failed","p_addr":"2001:db8::1","reason":"reason {of}""#),
        4 => format!(r#""handover_started","handover":{of},"from":"er1","reason":"link lost""#),
        5 => {
            format!(r#""handover_completed","handover":{of},"to":"er1","t_addr":"2001:db8::{of}""#)
        }
        _ => format!(r#""phase_started","handover":{of},"phase":"link""#),
    };
    format!("{{\"time_ns\":{time_ns},\"node\":\"{node}\",\"event\":{rest}}}\n")
}

/// Events that may come late, and empty lines.
fn files() -> impl Strategy<Value = String> {
    let one = (0..6_u64, 0..NODES.len(), 0..7_u8, 0..9_u8, 0..20_u8);
    prop::collection::vec(one, 0..3000).prop_map(|drawn| {
        let (mut time, mut text) = (1_577_836_800_000_000_000, String::new());
        for (gap, node, kind, of, odd) in drawn {
            time += gap;
            let late = if odd == 0 { 3 } else { 0 };
            text += &line(time - late, node, kind, of);
            if odd == 1 {
                text.push('\n');
            }
        }
        text
    })
}

/// All events, each with its number, the latest instant until then and its offset.
fn plain(file: &str) -> Vec<(Happened, u64)> {
    let (mut found, mut offset, mut latest) = (Vec::new(), 0, 0);
    for text in file.split_inclusive('\n') {
        if let Ok(event) = serde_json::from_str::<Event>(text) {
            latest = event.time_ns.max(latest);
            let happened = Happened {
                number: found.len() as u64,
                time_ns: latest,
                event,
            };
            found.push((happened, offset));
        }
        offset += text.len() as u64;
    }
    found
}

fn fold(all: &[(Happened, u64)], wanted: impl Fn(&Happened) -> bool) -> State {
    let mut state = State::default();
    for (happened, offset) in all.iter().filter(|(happened, _)| wanted(happened)) {
        state.take(&happened.event, *offset);
    }
    state
}

/// The index of a file that came in pieces.
fn indexed(file: &str, piece: usize) -> Index {
    let mut index = Index::new(NODES.map(str::to_owned));
    let (mut taken, mut there) = (0, 0);
    while there < file.len() {
        there = (there + piece).min(file.len());
        taken += index.take(&file.as_bytes()[taken..there]);
    }
    assert_eq!((taken, index.problem()), (file.len(), None));
    index
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_state_at_an_instant_is_the_fold_of_the_events_until_it(
        file in files(), piece in 1..5000_usize, asked in 0..4000_u64
    ) {
        let all = plain(&file);
        let index = indexed(&file, piece);
        let read = || Cursor::new(file.as_bytes());
        let number = asked.min(all.len() as u64);
        let by_number = state_after(&index, read(), number).unwrap();
        prop_assert_eq!(&by_number.state, &fold(&all, |h| h.number < number));
        prop_assert_eq!(by_number.place.number, number);
        let instant = all.get(asked as usize / 2).map_or(asked, |(h, _)| h.time_ns);
        let by_time = state_at(&index, read(), instant).unwrap();
        prop_assert_eq!(by_time.state, fold(&all, |h| h.time_ns <= instant));
    }

    #[test]
    fn a_range_is_the_events_that_there_are(
        file in files(), asked in 0..4000_u64, limit in 1..600_usize
    ) {
        let all = plain(&file);
        let index = indexed(&file, 4096);
        let read = || Cursor::new(file.as_bytes());
        let instant = all.get(asked as usize / 2).map_or(asked, |(h, _)| h.time_ns);
        for since in [Since::Number(asked), Since::Instant(instant)] {
            let wanted = |h: &Happened| match since {
                Since::Number(number) => h.number >= number,
                Since::Instant(time) => h.time_ns >= time,
            };
            let expected = all.iter().map(|(h, _)| h.clone()).filter(wanted);
            let expected: Vec<Happened> = expected.take(limit).collect();
            prop_assert_eq!(events(&index, read(), since, limit).unwrap(), expected);
        }
    }

    #[test]
    fn the_last_events_of_a_node_are_its_last(file in files(), asked in 0..3000_u64) {
        let all = plain(&file);
        let index = indexed(&file, 1 << 20);
        let mark = state_after(&index, Cursor::new(file.as_bytes()), asked).unwrap();
        for node in NODES {
            let own = all.iter().map(|(h, _)| h).filter(|h| h.number < asked && h.event.node == node);
            let mut own: Vec<Event> = own.map(|h| h.event.clone()).collect();
            own.drain(..own.len().saturating_sub(crate::state::LAST));
            let offsets = mark.state.node(node).into_iter().flat_map(|node| node.last());
            let last = events_at(&index, Cursor::new(file.as_bytes()), offsets).unwrap();
            prop_assert_eq!(last, own);
        }
    }
}

#[test]
fn a_file_that_was_exchanged_is_an_error_and_no_other_run() {
    let file = line(1, 0, 0, 0).repeat(600);
    let index = indexed(&file, 4096);
    let other = "x".repeat(file.len());
    let error = state_after(&index, Cursor::new(other.as_bytes()), 300).unwrap_err();
    assert!(
        error.to_string().contains("changed while it was shown"),
        "{error}"
    );
    let shorter = Cursor::new(&file.as_bytes()[..10]);
    assert!(events(&index, shorter, Since::Number(0), 10).is_err());
}
