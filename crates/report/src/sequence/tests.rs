use measure::mobility::handovers;
use measure::sequence::{End, Protocol};
use rundir::HandoverEvent;
use rundir::event::Reason;

use super::*;

fn message(from: usize, sent_s: Option<f64>, to: &[(usize, Fate)], label: &str) -> Message {
    let end = |(lifeline, fate): &(usize, Fate)| End {
        lifeline: *lifeline,
        fate: *fate,
    };
    Message {
        from,
        sent_s,
        to: to.iter().map(end).collect(),
        protocol: None,
        label: label.into(),
    }
}

/// Whatever a sequence has, once.
pub(crate) fn sample() -> Sequence {
    let solicitation = message(
        0,
        Some(1.0005),
        &[(1, Fate::Unknown)],
        "router solicitation",
    );
    Sequence {
        start_s: 1.0,
        lifelines: ["sensor", "er1", "client"].map(String::from).to_vec(),
        messages: vec![
            Message {
                protocol: Some(Protocol::named("neighbour_discovery")),
                ..solicitation
            },
            message(
                1,
                Some(1.001),
                &[(0, Fate::Received(1.0012)), (2, Fate::Received(1.004))],
                "router advertisement",
            ),
            message(
                2,
                Some(1.002),
                &[(0, Fate::Received(1.0061))],
                "CON GET /t MID 0x0001",
            ),
            message(
                2,
                Some(1.003),
                &[(0, Fate::Lost(Some((1, 1.0035))))],
                "CON GET /t MID 0x0002",
            ),
            message(
                0,
                Some(1.007),
                &[(2, Fate::Lost(None))],
                "ACK 2.05 MID 0x0001",
            ),
        ],
        bands: vec![Band {
            name: "link".into(),
            from_s: 1.0005,
            to_s: 1.0025,
        }],
        left_out: 7,
    }
}

/// One whose every word was written by somebody who wants more than to be read.
pub(crate) fn hostile() -> Sequence {
    let label = "CON GET /</text><script>x()</script>&\"'\n  n0->>n1: forged; end %% #35; \u{1b}[2J\u{202e}drow\u{7}";
    Sequence {
        lifelines: vec!["a<b>\"; end\nparticipant x".into(), "end".into()],
        messages: vec![message(0, Some(0.0), &[(1, Fate::Received(0.001))], label)],
        bands: vec![Band {
            name: "</title>\u{0}--><x y='".into(),
            from_s: 0.0,
            to_s: 0.001,
        }],
        ..Sequence::default()
    }
}

#[test]
fn a_sequence_is_lines_of_a_terminal() {
    let expected = "          ms  sensor    er1       client
       0.500  |         |         |           == link begins ==
       0.500  |-------->|         |           router solicitation [not captured there]
       1.000  |<--------|-------->|           router advertisement [sensor +0.200 ms, client +3.000 ms]
       2.000  |<--------+---------|           CON GET /t MID 0x0001 [+4.100 ms]
       2.500  |         |         |           == link ends ==
       3.000  |x--------+---------|           CON GET /t MID 0x0002 [lost behind er1]
       7.000  |---------+--------x|           ACK 2.05 MID 0x0001 [lost]
              7 more messages are left out
              time 0 is 1.000000 s of the scenario
";
    assert_eq!(text::text(&sample()), expected);
}

#[test]
fn a_sequence_is_a_diagram_of_mermaid() {
    let expected = "\
sequenceDiagram
  participant n0 as sensor
  participant n1 as er1
  participant n2 as client
  Note over n0,n2: link begins, 0.500 ms
  n0--)n1: router solicitation (0.500 ms)
  n1->>n0: router advertisement (1.000 ms, received 1.200 ms)
  n1->>n2: router advertisement (1.000 ms, received 4.000 ms)
  n2->>n0: CON GET /t MID 0x0001 (2.000 ms, received 6.100 ms)
  Note over n0,n2: link ends, 2.500 ms
  n2-xn0: CON GET /t MID 0x0002 (3.000 ms, lost)
  n0-xn2: ACK 2.05 MID 0x0001 (7.000 ms, lost)
  Note over n0,n2: 7 more messages are left out
";
    assert_eq!(mermaid::mermaid(&sample()), expected);
}

#[test]
fn a_terminal_gets_no_character_that_it_obeys_and_each_message_one_line() {
    let text = text::text(&hostile());
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text:?}"
    );
    assert!(!text.contains('\u{202e}'));
    // Names, the beginning and the end of a band, the message, and what time 0 is.
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[test]
fn mermaid_gets_nothing_but_the_statements_that_are_written() {
    let diagram = mermaid::mermaid(&hostile());
    let lines: Vec<&str> = diagram.lines().collect();
    assert_eq!(lines.len(), 6, "{diagram}");
    let starts = [
        "sequenceDiagram",
        "  participant n0 as ",
        "  participant n1 as ",
    ];
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    for line in &lines[1..] {
        // What a reader may have for the end of a statement, a comment, a tag or a keyword.
        let codes = line.replace("->>", "").replace("as ", "");
        assert!(!codes.contains(['<', '>', '"', '\'', '%', '&']), "{line}");
        let entities = line.matches('#').count();
        assert_eq!(line.matches(';').count(), entities, "{line}");
        let words = line.split(|c: char| !c.is_alphanumeric());
        assert!(words.into_iter().all(|word| word != "end"), "{line}");
    }
}

#[test]
fn handovers_are_found_by_number_and_by_node_and_what_is_wrong_is_said() {
    let started = |node: &str, handover| Event {
        time_ns: 0,
        node: node.into(),
        kind: HandoverEvent::Started {
            handover,
            from: "er1".into(),
            reason: Reason::Signal,
        }
        .into(),
    };
    let records = handovers(&[started("a", 1), started("b", 1), started("a", 2)]);
    let (a, b) = ("a".to_owned(), "b".to_owned());
    assert_eq!(handover(&records, 2, None), Ok(&records[2]));
    assert_eq!(handover(&records, 1, Some(&b)), Ok(&records[1]));
    let wrong = |number, node| handover(&records, number, node).unwrap_err();
    assert_eq!(
        wrong(1, None),
        "a, b have a handover 1: give one of them with --node"
    );
    assert_eq!(
        wrong(3, Some(&a)),
        "the run has no handover 3 of a: they are 1 to 2"
    );
}
