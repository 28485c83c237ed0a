//! A sequence for a terminal: a column for each lifeline, a row for each message.

use measure::sequence::{Fate, Message, Sequence};

use super::{Row, left_out, plain, rows};
use crate::chart::shortened;

/// From one lifeline to the next, in characters.
const NARROWEST: usize = 10;
const WIDEST: usize = 18;
/// Room for a time in milliseconds.
const TIME: usize = 12;

/// The sequence as lines of text.
pub fn text(sequence: &Sequence) -> String {
    let names: Vec<String> = sequence.lifelines.iter().map(|name| plain(name)).collect();
    let longest = names.iter().map(|name| name.chars().count()).max();
    let each = (longest.unwrap_or_default() + 2).clamp(NARROWEST, WIDEST);
    let heads: Vec<String> = names.iter().map(|name| shortened(name, each - 1)).collect();
    let heads = heads.iter().map(|name| format!("{name:<each$}"));
    let heads = heads.collect::<String>();
    let mut out = format!("{:>TIME$}  {}\n", "ms", heads.trim_end());
    for (time, row) in rows(sequence) {
        let columns = match &row {
            Row::Message(message) => arrows(sequence, message, each),
            Row::Band(..) => arrows_of(names.len(), each, &[]),
        };
        let words = match row {
            Row::Message(message) => told(sequence, message),
            Row::Band(name, what) => format!("== {} {what} ==", plain(name)),
        };
        let ms = (time - sequence.start_s) * 1e3;
        out.push_str(&format!("{ms:>TIME$.3}  {columns}  {words}\n"));
    }
    if let Some(more) = left_out(sequence) {
        out.push_str(&format!("{:>TIME$}  {more}\n", ""));
    }
    out.push_str(&format!(
        "{:>TIME$}  time 0 is {:.6} s of the scenario\n",
        "", sequence.start_s
    ));
    out
}

/// What a message is, and what became of it.
fn told(sequence: &Sequence, message: &Message) -> String {
    let lifeline = |at: usize| sequence.lifelines.get(at).map_or("?", |name| name);
    let several = message.to.len() > 1;
    let fates = message.to.iter().map(|end| {
        let fate = match (end.fate, message.sent_s) {
            (Fate::Received(at), Some(sent)) => format!("+{:.3} ms", (at - sent) * 1e3),
            (Fate::Received(_), None) => "sent unseen".into(),
            (Fate::Lost(None), _) => "lost".into(),
            (Fate::Lost(Some((by, _))), _) => format!("lost behind {}", lifeline(by)),
            (Fate::Unknown, _) => "not captured there".into(),
        };
        match several {
            true => format!("{} {fate}", lifeline(end.lifeline)),
            false => fate,
        }
    });
    let fates = fates.collect::<Vec<_>>().join(", ");
    plain(&format!("{} [{fates}]", message.label))
}

/// The lifelines with the arrows of a message.
fn arrows(sequence: &Sequence, message: &Message, each: usize) -> String {
    let ends = message.to.iter().map(|end| {
        let mark = match end.fate {
            Fate::Received(_) | Fate::Unknown if end.lifeline > message.from => '>',
            Fate::Received(_) | Fate::Unknown => '<',
            Fate::Lost(_) => 'x',
        };
        (message.from, end.lifeline, mark)
    });
    arrows_of(sequence.lifelines.len(), each, &ends.collect::<Vec<_>>())
}

fn arrows_of(lifelines: usize, each: usize, arrows: &[(usize, usize, char)]) -> String {
    let mut row: Vec<char> = vec![' '; lifelines * each];
    for (from, to, _) in arrows {
        let (left, right) = (from.min(to) * each, from.max(to) * each);
        row.iter_mut().take(right).skip(left).for_each(|c| *c = '-');
    }
    for column in row.iter_mut().step_by(each) {
        *column = if *column == '-' { '+' } else { '|' };
    }
    for (from, to, mark) in arrows {
        for end in [from, to] {
            if let Some(c) = row.get_mut(end * each) {
                *c = '|';
            }
        }
        let head = if to > from {
            to * each - 1
        } else {
            to * each + 1
        };
        if let Some(c) = row.get_mut(head) {
            *c = *mark;
        }
    }
    row.into_iter().collect()
}
