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

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// There is no plan.
    Error,
    /// There is a plan, and it will hardly do what was meant.
    Warning,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One problem: what is wrong, the offending text, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub span: Span,
    /// One sentence without the position.
    pub message: String,
}

/// Every problem of one file, or every warning, in the file's order. Prints each as
/// `FILE:LINE:COLUMN: error: MESSAGE` and the line itself with a mark under the culprit; one of an
/// assignment as `--set PATH=VALUE: error: MESSAGE` and the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    severity: Severity,
    file: String,
    source: String,
    assignments: Vec<String>,
    problems: Vec<Diagnostic>,
}

impl Diagnostics {
    /// The problems of `file`, whose text is `source`, with the texts of `assignments`. Sorts by
    /// position, and escapes control characters: a message can quote a value of several lines.
    pub fn new(
        severity: Severity,
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
            severity,
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
        let severity = self.severity.word();
        for (i, Diagnostic { span, message }) in self.problems.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            let text = match span.source {
                Source::File => {
                    let (line, column) = (span.line, span.column);
                    writeln!(f, "{}:{line}:{column}: {severity}: {message}", self.file)?;
                    &self.source
                }
                Source::Assignment(number) => {
                    let assignment = &self.assignments[number];
                    writeln!(f, "--set {assignment}: {severity}: {message}")?;
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

/// What people write, and the words of this format for it.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("advertisement_interval", &["max_interval"]),
    ("bandwidth", &["rate"]),
    ("border_router", &["edge-router"]),
    ("description", &["summary"]),
    ("destination", &["to"]),
    ("end", &["last", "until", "duration"]),
    ("events", &["steps"]),
    ("from", &["first"]),
    ("frequency", &["channel", "every"]),
    ("gateway", &["edge-router"]),
    ("home", &["attached_to"]),
    ("interval", &["every", "sample_every", "max_interval"]),
    ("kind", &["role", "place"]),
    ("latency", &["delay"]),
    ("length", &["duration", "size"]),
    ("location", &["position"]),
    ("loss", &["attenuation", "lost"]),
    ("losses", &["lost"]),
    ("parent", &["attached_to"]),
    ("period", &["every"]),
    ("rate", &["every"]),
    ("requests", &["polls"]),
    ("router", &["edge-router", "attached_to"]),
    ("sensor", &["sensor", "mobile-node", "node"]),
    ("server", &["node"]),
    ("start", &["first", "at"]),
    ("static", &["sensor"]),
    ("target", &["node", "to"]),
    ("time", &["at", "duration"]),
    ("to", &["last"]),
    ("type", &["role", "place", "kind"]),
    ("uri", &["path"]),
    ("url", &["path"]),
    ("velocity", &["speed"]),
    ("when", &["at"]),
];

/// Of more words that are as near as each other one is named.
const MOST_ALIKE: usize = 4;

/// Shorter words are parts of too many others.
const SHORTEST_PART: usize = 3;

/// The entry of `known` that was probably meant by `word`, if there is one: as [`misspelt`], or else
/// one of which `word` is a part, or the other way round.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    let plain = spelt_plainly(word);
    let part = || {
        let parts = known.iter().filter(|known| is_part(&plain, known));
        parts.min_by_key(|known| known.len().abs_diff(word.len()))
    };
    misspelt(word, &known).or_else(|| part().copied())
}

/// The entry of `known` that is all but certainly meant by `word`: `word` itself or another spelling
/// of it, a synonym, or one with a typing error.
pub(crate) fn misspelt<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = spelt_plainly(word);
    let same = known.iter().find(|known| spelt_plainly(known) == plain);
    let synonyms = SYNONYMS.iter().find(|(said, _)| *said == plain);
    let in_known = |meant: &&str| known.iter().find(|known| *known == meant);
    let meant = || synonyms?.1.iter().find_map(in_known);
    let typed = || {
        let distances = known.iter().map(|known| (distance(word, known), known));
        // Of a word of which every letter is another one nothing is left.
        let near = distances.filter(|(distance, known)| {
            *distance <= limit(word) && *distance < word.len().min(known.len())
        });
        near.min().map(|(_, known)| known)
    };
    same.or_else(meant).or_else(typed).copied()
}

/// [`nearest`], and where that is a typing error, every other entry that is as near:
/// of `er1` and `er2` either may be meant by `er3`.
pub(crate) fn nearest_ones<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    let Some(near) = nearest(word, known.iter().copied()) else {
        return Vec::new();
    };
    let far = distance(word, near);
    let alike = |known: &&&str| **known == near || distance(word, known) == far;
    match known.iter().filter(alike).count() {
        2..=MOST_ALIKE if far <= limit(word) => known.iter().filter(alike).copied().collect(),
        _ => vec![near],
    }
}

/// How many letters may be wrong in `word`.
fn limit(word: &str) -> usize {
    word.chars().count() / 4 + 1
}

/// Without capitals, and with one mark between words.
fn spelt_plainly(word: &str) -> String {
    word.to_lowercase().replace(['-', ' ', '.'], "_")
}

/// Whether one of the two begins the other, or is one of its words.
fn is_part(plain: &str, known: &str) -> bool {
    let known = spelt_plainly(known);
    let (short, long) = match plain.len() < known.len() {
        true => (plain, known.as_str()),
        false => (known.as_str(), plain),
    };
    let mut words = long.split('_');
    short.len() >= SHORTEST_PART && (long.starts_with(short) || words.any(|word| word == short))
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
        let all = Diagnostics::new(
            Severity::Error,
            "x.yaml",
            "a:\n  chanel: 1\n",
            vec![],
            vec![problem],
        );
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
        assert_eq!(nearest("Channel", known), Some("channel"));
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_synonym_and_a_part_of_a_word_find_it() {
        let roles = ["edge-router", "sensor", "mobile-node", "client"];
        assert_eq!(nearest("router", roles), Some("edge-router"));
        assert_eq!(nearest("mobile", roles), Some("mobile-node"));
        assert_eq!(nearest("sensor-node", roles), Some("sensor"));
        let poll = ["node", "path", "every", "start"];
        assert_eq!(nearest("interval", poll), Some("every"));
        assert_eq!(nearest("sensor", poll), Some("node"));
        assert_eq!(nearest("sensor", ["wall-sensor"]), Some("wall-sensor"));
        assert_eq!(nearest("er", ["router"]), None);
    }
}
