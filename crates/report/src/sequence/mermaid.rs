//! A sequence as a `sequenceDiagram` of Mermaid. Its language has no quotes: whatever could be read as more than a
//! character of a label is written as an entity code, `#59;` for `;`.

use measure::sequence::{End, Fate, Message, Sequence};

use super::{Row, left_out, ms, plain, rows};

/// The sequence as text of Mermaid.
pub fn mermaid(sequence: &Sequence) -> String {
    let mut out = String::from("sequenceDiagram\n");
    for (at, name) in sequence.lifelines.iter().enumerate() {
        out.push_str(&format!("  participant n{at} as {}\n", escaped(name)));
    }
    for (time, row) in rows(sequence) {
        out.push_str(&match row {
            Row::Message(message) => arrows(sequence, message),
            Row::Band(name, what) => {
                let text = format!("{name} {what}, {}", ms(time, sequence));
                note(sequence, &text)
            }
        });
    }
    out.extend(left_out(sequence).map(|more| note(sequence, &more)));
    out
}

/// A note over all lifelines; nothing without any.
fn note(sequence: &Sequence, text: &str) -> String {
    match sequence.lifelines.len() {
        0 => String::new(),
        1 => format!("  Note over n0: {}\n", escaped(text)),
        n => format!("  Note over n0,n{}: {}\n", n - 1, escaped(text)),
    }
}

/// One line for each end of a message.
fn arrows(sequence: &Sequence, message: &Message) -> String {
    let line = |end: &End| {
        let (arrow, fate) = match end.fate {
            Fate::Received(at) => ("->>", format!(", received {}", ms(at, sequence))),
            Fate::Lost(_) => ("-x", ", lost".into()),
            Fate::Unknown => ("--)", String::new()),
        };
        let text = format!(
            "{} ({}{fate})",
            message.label,
            ms(message.first_s(), sequence)
        );
        let (from, to) = (message.from, end.lifeline);
        format!("  n{from}{arrow}n{to}: {}\n", escaped(&text))
    };
    message.to.iter().map(line).collect()
}

/// `text` as a label: letters, digits and what nothing begins with stand as they are. The word `end` closes a block
/// wherever it stands.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let text = plain(text);
    for word in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let is_end = word
            .trim_end_matches(|c: char| !c.is_alphanumeric())
            .eq_ignore_ascii_case("end");
        for (at, c) in word.chars().enumerate() {
            let stands = c.is_ascii_alphanumeric() || " ./,-_()".contains(c);
            match stands && !(is_end && at == 0) {
                true => out.push(c),
                false => out.push_str(&format!("#{};", u32::from(c))),
            }
        }
    }
    out
}
