//! Who observes what (RFC 7641), and what came of it.

use super::{Block, Chart, Figure};
use crate::chart::bars::{Bars, Part, Row};
use crate::load::Run;

/// As many observations are drawn; of more, those that lost most.
const DRAWN: usize = 40;

/// Every observation with what was received and what was lost; nothing of a run without.
pub fn section_part(run: &Run) -> Option<Block> {
    let flows = run.result.flows.iter().flatten();
    let mut observed: Vec<_> = flows
        .filter_map(|flow| Some((flow, flow.notifications?)))
        .collect();
    let all = observed.len();
    if all > DRAWN {
        observed.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.lost));
        observed.truncate(DRAWN);
    }
    let cut = match all > DRAWN {
        true => format!(" Of {all} the {DRAWN} that lost most."),
        false => String::new(),
    };
    let rows = observed.into_iter().map(|(flow, counts)| {
        let received = counts.received as f64;
        let part = |name: &str, from, to, colour, hint| Part {
            name: name.to_owned(),
            from,
            to,
            colour,
            hint,
        };
        let mut parts = vec![part(
            "received",
            0.0,
            received,
            0,
            format!("received: {}", counts.received),
        )];
        // What a server that does not count by one has lost is not known.
        if let Some(lost) = counts.lost {
            let end = received + lost as f64;
            parts.push(part("lost", received, end, 1, format!("lost: {lost}")));
        }
        Row {
            name: format!("{}: {}{}", flow.client, flow.node, flow.resource),
            parts,
            value: match counts.sent {
                Some(sent) => format!("{} of {sent}", counts.received),
                None => format!("{}, lost: not known", counts.received),
            },
        }
    });
    let rows: Vec<Row> = rows.collect();
    (!rows.is_empty()).then(|| {
        Block::Figure(Figure {
            id: "observers".into(),
            title: "Who observes what".into(),
            caption: format!(
                "Notifications of each observation, those received and those lost; behind the bar, received of those sent.{cut}"
            ),
            chart: Chart::Bars(Bars {
                title: "notifications".into(),
                rows,
                keys: vec![(0, "received".into()), (1, "lost".into())],
                shade: None,
                marks: vec![],
                clock: None,
            }),
        })
    })
}
