//! What is wrong with a topology file, and where.

use std::fmt;

/// Which text a [`Span`] is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The topology file.
    #[default]
    File,
    /// The assignment with this number, from 0, of [`crate::Overrides`].
    Assignment(usize),
}

/// A stretch of the file's text: where a key or a value stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Which text.
    pub source: Source,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in characters; a value of several lines is marked to the end of the first.
    pub length: usize,
}

/// One problem: what is wrong, the offending text, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub span: Span,
    /// One sentence without the position.
    pub message: String,
}

/// Every problem of one file, in the file's order. Prints each as
/// `FILE:LINE:COLUMN: error: MESSAGE` and the line itself with a mark under the culprit; one of an
/// assignment as `--set PATH=VALUE: error: MESSAGE` and the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    file: String,
    source: String,
    assignments: Vec<String>,
    problems: Vec<Diagnostic>,
}

impl Diagnostics {
    /// The problems of `file`, whose text is `source`, with the texts of `assignments`. Sorts by
    /// position, and escapes control characters: a message can quote a value of several lines.
    pub fn new(
        file: &str,
        source: &str,
        assignments: Vec<String>,
        mut problems: Vec<Diagnostic>,
    ) -> Diagnostics {
        problems.sort_by_key(|problem| {
            let Span {
                source,
                line,
                column,
                ..
            } = problem.span;
            (source, line, column)
        });
        // A table that several nodes share is checked once for each.
        problems.dedup();
        for Diagnostic { message, .. } in &mut problems {
            if message.contains(char::is_control) {
                *message = message.chars().map(shown).collect();
            }
        }
        Diagnostics {
            file: file.to_owned(),
            source: source.to_owned(),
            assignments,
            problems,
        }
    }

    /// The problems in the file's order; never empty.
    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }
}

/// A character as it can stand in one line of a terminal.
fn shown(c: char) -> String {
    match c.is_control() {
        true => c.escape_default().collect(),
        false => c.into(),
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Diagnostic { span, message }) in self.problems.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            let text = match span.source {
                Source::File => {
                    let (line, column) = (span.line, span.column);
                    writeln!(f, "{}:{line}:{column}: error: {message}", self.file)?;
                    &self.source
                }
                Source::Assignment(number) => {
                    let assignment = &self.assignments[number];
                    writeln!(f, "--set {assignment}: error: {message}")?;
                    assignment
                }
            };
            if let Some(line) = text.lines().nth(span.line.saturating_sub(1)) {
                let number = span.line.to_string();
                let margin = " ".repeat(number.len());
                let before = span.column.saturating_sub(1);
                // Tabs are kept so that the mark stays under its text.
                let blank: String = line
                    .chars()
                    .take(before)
                    .map(|c| if c == '\t' { '\t' } else { ' ' })
                    .collect();
                let rest = line.chars().count().saturating_sub(before);
                let mark = "^".repeat(span.length.min(rest).max(1));
                writeln!(f, " {margin} |")?;
                writeln!(f, " {number} | {line}")?;
                writeln!(f, " {margin} | {blank}{mark}")?;
            }
        }
        // What is wrong in the file may be so only with what was set.
        let in_file = |problem: &Diagnostic| problem.span.source == Source::File;
        if !self.assignments.is_empty() && self.problems.iter().any(in_file) {
            writeln!(f, "with --set {}", self.assignments.join(" --set "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// The entry of `known` nearest to `word`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1) + 1;
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance: insertions, deletions and substitutions from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn alternatives<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// `` `optimist` is not `normal`, `optimistic` or `off`; did you mean `optimistic`? ``
pub(crate) fn not_a_word(found: &str, words: &[&str]) -> String {
    let hint = nearest(found, words.iter().copied())
        .map(|word| format!("; did you mean `{word}`?"))
        .unwrap_or_default();
    format!(
        "`{found}` is not {}{hint}",
        alternatives(words.iter().copied())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_prints_its_position_its_line_and_a_mark() {
        let problem = Diagnostic {
            span: Span {
                source: Source::File,
                line: 2,
                column: 3,
                length: 6,
            },
            message: "unknown key `chanel`".to_owned(),
        };
        let all = Diagnostics::new("x.yaml", "a:\n  chanel: 1\n", vec![], vec![problem]);
        assert_eq!(
            all.to_string(),
            "x.yaml:2:3: error: unknown key `chanel`\n   |\n 2 |   chanel: 1\n   |   ^^^^^^\n"
        );
    }

    #[test]
    fn a_message_is_one_line_whatever_it_quotes() {
        let error = crate::load("x.yaml", "\"\\x07\u{e9}\"", crate::Overrides::default());
        assert_eq!(
            error.unwrap_err().problems()[0].message,
            "`\\u{7}\u{e9}` is not a table, `{ key: value }`"
        );
        let error = crate::load("x.yaml", "0\n\n0 2\n", crate::Overrides::default());
        assert_eq!(
            error.unwrap_err().problems()[0].message,
            "`0\\n0 2` is not a table, `{ key: value }`"
        );
    }

    #[test]
    fn a_typing_error_finds_its_word_and_a_stranger_finds_none() {
        let known = ["channel", "pan", "prefix"];
        assert_eq!(nearest("chanel", known), Some("channel"));
        assert_eq!(nearest("pam", known), Some("pan"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
