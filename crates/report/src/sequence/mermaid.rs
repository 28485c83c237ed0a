//! A sequence as a `sequenceDiagram` of Mermaid. Its language has no quotes: whatever could be read as more than a
//! character of a label is written as an entity code, `#59;` for `;`.

use measure::sequence::{End, Fate, Message, Sequence};

use super::{left_out, plain};

/// The sequence as text of Mermaid.
pub fn mermaid(sequence: &Sequence) -> String {
    let mut out = String::from("sequenceDiagram\n");
    for (at, name) in sequence.lifelines.iter().enumerate() {
        out.push_str(&format!("  participant n{at} as {}\n", escaped(name)));
    }
    let bands = sequence.bands.iter().flat_map(|band| {
        let note = |what: &str, at: f64| {
            let text = format!("{} {what}, {}", band.name, ms(at, sequence));
            (at, note(sequence, &text))
        };
        [note("begins", band.from_s), note("ends", band.to_s)]
    });
    let messages = sequence.messages.iter();
    let messages = messages.map(|message| (message.first_s(), arrows(sequence, message)));
    let mut rows: Vec<(f64, String)> = bands.chain(messages).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    out.extend(rows.into_iter().map(|(_, row)| row));
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

fn ms(seconds: f64, sequence: &Sequence) -> String {
    format!("{:.3} ms", (seconds - sequence.start_s) * 1e3)
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
