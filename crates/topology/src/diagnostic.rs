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
    more: usize,
}

/// Problems that are told; of more the first ones, and how many others there are.
const MOST_PROBLEMS: usize = 100;

/// Characters of a message that are told. A message can quote a value, and that a file.
const LONGEST_MESSAGE: usize = 1000;

/// Characters of a line that are shown, and of those at most before the culprit.
const LONGEST_LINE: usize = 200;
const MOST_BEFORE: usize = 80;

/// In the place of what is left out of a line.
const LEFT_OUT: char = '\u{2026}';

impl Diagnostics {
    /// The problems of `file`, whose text is `source`, with the texts of `assignments`. Sorts by
    /// position, keeps a hundred, and escapes control characters: a message can quote a value of
    /// several lines.
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
        let more = problems.len().saturating_sub(MOST_PROBLEMS);
        problems.truncate(MOST_PROBLEMS);
        for Diagnostic { message, .. } in &mut problems {
            if let Some((end, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
                message.truncate(end);
                message.push(LEFT_OUT);
            }
            *message = printable(message);
        }
        Diagnostics {
            severity,
            file: printable(file),
            source: source.to_owned(),
            assignments,
            problems,
            more,
        }
    }

    /// The problems in the file's order, the first hundred; never empty.
    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }

    /// How many others there are.
    pub fn more(&self) -> usize {
        self.more
    }
}

/// `text` as it can stand in one line of a terminal: control characters are escaped.
pub fn printable(text: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => c.escape_default().collect(),
        false => c.to_string(),
    };
    match text.contains(char::is_control) {
        true => text.chars().map(shown).collect(),
        false => text.to_owned(),
    }
}

/// The stretch of `line` around the culprit at `column`, of `length` characters, as a terminal can
/// show it, with what stands under it: blanks and a mark.
fn quoted(line: &str, column: usize, length: usize) -> (String, String) {
    let before = column.saturating_sub(1);
    let from = match line.chars().nth(LONGEST_LINE) {
        Some(_) => before.saturating_sub(MOST_BEFORE),
        None => 0,
    };
    let mut rest = line.chars().skip(from);
    let (mut text, mut mark) = (String::new(), String::new());
    if from > 0 {
        text.push(LEFT_OUT);
        mark.push(' ');
    }
    for (at, c) in rest
        .by_ref()
        .take(LONGEST_LINE)
        .enumerate()
        .map(|(i, c)| (from + i, c))
    {
        let is_marked = (before..before + length.max(1)).contains(&at);
        // Tabs are kept so that the mark stays under its text.
        let shown = if c == '\t' {
            c.to_string()
        } else {
            printable(c.encode_utf8(&mut [0; 4]))
        };
        match (is_marked, c) {
            (true, _) => mark.extend(shown.chars().map(|_| '^')),
            (false, '\t') if at < before => mark.push('\t'),
            (false, _) if at < before => mark.extend(shown.chars().map(|_| ' ')),
            (false, _) => {}
        }
        text.push_str(&shown);
    }
    if rest.next().is_some() {
        text.push(LEFT_OUT);
    }
    if !mark.contains('^') {
        mark.push('^');
    }
    (text, mark)
}

/// The lines of the file that are to be shown, each found once.
struct Lines<'a> {
    rest: std::str::Lines<'a>,
    number: usize,
    line: Option<&'a str>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Lines<'a> {
        Lines {
            rest: text.lines(),
            number: 0,
            line: None,
        }
    }

    /// The line `number`, from 1; none before one that was asked for.
    fn line(&mut self, number: usize) -> Option<&'a str> {
        let number = number.max(1);
        if number > self.number {
            self.line = self.rest.nth(number - self.number - 1);
            self.number = number;
        }
        self.line
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = self.severity.word();
        let mut lines = Lines::of(&self.source);
        for (i, Diagnostic { span, message }) in self.problems.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            let line = match span.source {
                Source::File => {
                    let (line, column) = (span.line, span.column);
                    writeln!(f, "{}:{line}:{column}: {severity}: {message}", self.file)?;
                    // They are in the file's order.
                    lines.line(line)
                }
                Source::Assignment(number) => {
                    let assignment = &self.assignments[number];
                    writeln!(f, "--set {}: {severity}: {message}", printable(assignment))?;
                    assignment.lines().nth(span.line.saturating_sub(1))
                }
            };
            if let Some(line) = line {
                let number = span.line.to_string();
                let margin = " ".repeat(number.len());
                let (line, mark) = quoted(line, span.column, span.length);
                writeln!(f, " {margin} |")?;
                writeln!(f, " {number} | {line}")?;
                writeln!(f, " {margin} | {mark}")?;
            }
        }
        if self.more > 0 {
            let plural = if self.more == 1 { "" } else { "s" };
            writeln!(
                f,
                "\n{}: and {} more {severity}{plural}",
                self.file, self.more
            )?;
        }
        // What is wrong in the file may be so only with what was set.
        let in_file = |problem: &Diagnostic| problem.span.source == Source::File;
        if !self.assignments.is_empty() && self.problems.iter().any(in_file) {
            writeln!(
                f,
                "with --set {}",
                printable(&self.assignments.join(" --set "))
            )?;
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

/// Longer ones are no word that anybody meant.
const LONGEST_WORD: usize = 256;

/// Shorter words are parts of too many others.
const SHORTEST_PART: usize = 3;

/// The entry of `known` that was probably meant by `word`, if there is one: as [`misspelt`], or else
/// one of which `word` is a part, or the other way round.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    if word.len() > LONGEST_WORD {
        return None;
    }
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
    if word.len() > LONGEST_WORD {
        return None;
    }
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
    #[test]
    fn of_many_problems_a_hundred_are_told_and_how_many_there_are() {
        let twice = "version: 1\n".repeat(5_000);
        let unknown: String = (0..5_000).map(|n| format!("k{n}: 1\n")).collect();
        for text in [twice, unknown] {
            let error = crate::load("x.yaml", &text, crate::Overrides::default()).unwrap_err();
            let said = error.to_string();
            assert_eq!(error.problems().len(), MOST_PROBLEMS);
            assert!(
                error.more() > 4_800 && said.len() < 40_000,
                "{}",
                said.len()
            );
            assert!(said.contains(&format!("x.yaml: and {} more errors", error.more())));
        }
    }

    #[test]
    fn of_a_long_line_and_a_long_value_a_part_is_shown() {
        let long = "x".repeat(1 << 20);
        for text in [
            format!("version: 1 #{long}"),
            format!("version: {long}"),
            format!("{long}: 1"),
            format!("#\n{{ version: '{long}', oops: 1 }}"),
        ] {
            let error = crate::load("x.yaml", &text, crate::Overrides::default()).unwrap_err();
            let said = error.to_string();
            let each = 2 * LONGEST_MESSAGE;
            assert!(said.len() < each * error.problems().len(), "{}", said.len());
            assert!(said.contains(LEFT_OUT));
        }
        let line = format!("{}oops{}", "a".repeat(500), "b".repeat(500));
        let (text, mark) = quoted(&line, 501, 4);
        let at = mark.chars().position(|c| c == '^').unwrap();
        assert_eq!(text.chars().skip(at).take(5).collect::<String>(), "oopsb");
        assert_eq!(mark.trim_start(), "^^^^");
    }

    #[test]
    fn nothing_of_a_file_reaches_the_terminal_but_text() {
        let text = "version: 1\nname: \u{9b}31m\u{7f}X\n\u{1b}]0;a\u{7}: 1\n";
        let error = crate::load("e\u{1b}[31m.yaml", text, crate::Overrides::default());
        let said = error.unwrap_err().to_string();
        let raw = |c: char| c.is_control() && c != '\n';
        assert!(!said.contains(raw), "{said:?}");
        assert!(said.contains("e\\u{1b}[31m.yaml:"), "{said}");
        let (line, mark) = quoted("\t\u{1b}a: b", 3, 1);
        assert_eq!(
            (line.as_str(), mark.as_str()),
            ("\t\\u{1b}a: b", "\t      ^")
        );
    }
}
