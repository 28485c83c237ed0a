//! The file's text as a tree in which every node knows where it stands.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};

use crate::diagnostic::{Diagnostic, Span};

/// Tables and lists inside each other; a topology needs six.
const MAX_DEPTH: usize = 24;

/// A node of the tree.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

impl Tree {
    /// Changes the place of every node and key.
    pub(crate) fn for_each_span(&mut self, change: &impl Fn(&mut Span)) {
        change(&mut self.span);
        match &mut self.value {
            Value::Empty | Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.for_each_span(change)),
            Value::Table(entries) => {
                for (key, value) in entries {
                    change(&mut key.span);
                    value.for_each_span(change);
                }
            }
        }
    }
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Value {
    /// A key without a value, `~` or `null`.
    Empty,
    /// Text, number or truth value.
    Scalar(ScalarText),
    /// `- …` or `[…]`
    List(Vec<Tree>),
    /// `key: value` or `{…}`, in the file's order; keys are unique.
    Table(Vec<(Key, Tree)>),
}

/// A key of a table.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it stands.
    pub span: Span,
    /// Its text.
    pub text: String,
}

/// A scalar before it is known what it should be.
#[derive(Clone, Debug)]
pub struct ScalarText {
    /// The text: as written for numbers and truth values, without quotes otherwise.
    pub text: String,
    /// What YAML says it is.
    pub kind: ScalarKind,
}

/// What YAML says a scalar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarKind {
    /// Text without quotes that is neither a number nor a truth value.
    Plain,
    /// Text in quotes or a block scalar: never a number.
    Quoted,
    /// A number without quotes.
    Number,
    /// `true` or `false` without quotes.
    Bool,
}

/// Reads `text` as one YAML document, with a problem for each key that stands twice in its table: the
/// first one counts.
///
/// # Errors
/// The first error of YAML's syntax.
pub(crate) fn parse(text: &str) -> Result<(Tree, Vec<Diagnostic>), Diagnostic> {
    check_line_breaks(text)?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        strict_booleans: true,
        no_schema: true,
        with_snippet: false,
    };
    let root: Spanned<Raw> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| syntax(&error))?;
    let mut twice = Vec::new();
    let tree = tree(root, text, &mut twice)?;
    Ok((tree, twice))
}

/// A carriage return alone is a line break to YAML (YAML 1.2 §5.4) and none to an editor, which
/// would show every later line under another number than a diagnostic.
fn check_line_breaks(text: &str) -> Result<(), Diagnostic> {
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let body = line.strip_suffix("\r\n").unwrap_or(line);
        if let Some(at) = body.find('\r') {
            return Err(Diagnostic {
                span: Span {
                    line: number + 1,
                    column: body[..at].chars().count() + 1,
                    length: 1,
                    ..Span::default()
                },
                message: "a carriage return without a line feed: end lines with a line feed"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

/// A parser error as one of ours.
fn syntax(error: &serde_saphyr::Error) -> Diagnostic {
    let text = error.without_snippet().to_string();
    let message = format!("not valid YAML: {}", text.lines().next().unwrap_or(""));
    let span = error.location().map_or(
        Span {
            line: 1,
            column: 1,
            length: 1,
            ..Span::default()
        },
        |location| span(location, 1),
    );
    Diagnostic { span, message }
}

fn span(location: Location, length: usize) -> Span {
    Span {
        line: usize::try_from(location.line()).unwrap_or(1).max(1),
        column: usize::try_from(location.column()).unwrap_or(1).max(1),
        length,
        ..Span::default()
    }
}

/// What is wrong with a text that is a resolved plan, as `wpanlab plan` prints it and a run keeps
/// it: what would be said of it as a topology would not help. Only plans tell the addresses of
/// their nodes and no roles.
pub(crate) fn is_a_plan(tree: &Tree) -> Option<Diagnostic> {
    let entry = |tree: &Tree, name: &str| match &tree.value {
        Value::Table(entries) => entries.iter().find(|(key, _)| key.text == name).cloned(),
        _ => None,
    };
    let (_, version) = entry(tree, "version")?;
    let (_, nodes) = entry(tree, "nodes")?;
    let Value::Table(nodes) = nodes.value else {
        return None;
    };
    let resolved = |(_, node): &(Key, Tree)| {
        entry(node, "address").is_some()
            && entry(node, "role").is_none()
            && entry(node, "place").is_none()
    };
    let message = "this is a resolved plan and no topology; give the topology that it was made of";
    (!nodes.is_empty() && nodes.iter().all(resolved)).then(|| Diagnostic {
        span: version.span,
        message: message.to_owned(),
    })
}

/// A node as the parser hands it over.
enum Raw {
    Empty,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Table(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table, a list or a scalar")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Empty)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Empty)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Table(entries))
    }
}

/// The text that stands at `location`, if the parser says where in bytes.
fn written(location: Location, source: &str) -> Option<&str> {
    let start = usize::try_from(location.span().byte_offset()?).ok()?;
    let length = usize::try_from(location.span().byte_len()?).ok()?;
    source.get(start..start.checked_add(length)?)
}

/// `raw` with the places of everything in `source`; keys that stand `twice` are told.
fn tree(raw: Spanned<Raw>, source: &str, twice: &mut Vec<Diagnostic>) -> Result<Tree, Diagnostic> {
    let written = written(raw.defined, source).unwrap_or("").trim();
    let length = written.lines().next().unwrap_or("").chars().count();
    let span = span(raw.referenced, length);
    // Numbers keep the text of the file: `0x0001` and `1` are the same number, and a
    // diagnostic shows what was written.
    let scalar = |text: String, kind| Value::Scalar(ScalarText { text, kind });
    let as_written = |fallback: String| {
        if written.is_empty() {
            fallback
        } else {
            written.to_owned()
        }
    };
    let value = match raw.value {
        Raw::Empty => Value::Empty,
        Raw::Bool(value) => scalar(value.to_string(), ScalarKind::Bool),
        Raw::Number(text) => scalar(as_written(text), ScalarKind::Number),
        Raw::Text(text) if written.starts_with(['"', '\'', '|', '>']) => {
            scalar(text, ScalarKind::Quoted)
        }
        Raw::Text(text) => scalar(text, ScalarKind::Plain),
        Raw::List(items) => Value::List(
            items
                .into_iter()
                .map(|item| tree(item, source, twice))
                .collect::<Result<_, _>>()?,
        ),
        Raw::Table(entries) => Value::Table(table(entries, source, twice)?),
    };
    Ok(Tree { span, value })
}

fn table(
    entries: Vec<(Spanned<Raw>, Spanned<Raw>)>,
    source: &str,
    twice: &mut Vec<Diagnostic>,
) -> Result<Vec<(Key, Tree)>, Diagnostic> {
    let mut known = BTreeMap::new();
    let mut table = Vec::new();
    for (key, value) in entries {
        let key = self::key(key, source)?;
        let value = tree(value, source, twice)?;
        let Some(line) = known.get(&key.text) else {
            known.insert(key.text.clone(), key.span.line);
            table.push((key, value));
            continue;
        };
        let message = format!(
            "duplicate key `{}`: it stands on line {line} already; rename or remove one of the two",
            key.text
        );
        let span = key.span;
        twice.push(Diagnostic { span, message });
    }
    Ok(table)
}

fn key(raw: Spanned<Raw>, source: &str) -> Result<Key, Diagnostic> {
    let Tree { span, value } = tree(raw, source, &mut Vec::new())?;
    match value {
        Value::Scalar(scalar) => Ok(Key {
            span,
            text: scalar.text,
        }),
        _ => Err(Diagnostic {
            span,
            message: "this key is not a word: write `key: value`".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(Key, Tree)> {
        match parse(text).unwrap().0.value {
            Value::Table(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    fn scalar(tree: &Tree) -> (&str, ScalarKind) {
        match &tree.value {
            Value::Scalar(scalar) => (&scalar.text, scalar.kind),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_key_and_scalar_knows_its_text_kind_and_place() {
        let text = "a: 10 ms\nb: { c: 0x0001, d: \"7\" }\ne: true\nf: off\ng: 95.50\n";
        let entries = entries(text);
        assert_eq!(scalar(&entries[0].1), ("10 ms", ScalarKind::Plain));
        let Value::Table(inner) = &entries[1].1.value else {
            panic!()
        };
        assert_eq!(scalar(&inner[0].1), ("0x0001", ScalarKind::Number));
        assert_eq!(scalar(&inner[1].1), ("7", ScalarKind::Quoted));
        assert_eq!(
            inner[1].0.span,
            Span {
                line: 2,
                column: 17,
                length: 1,
                ..Span::default()
            }
        );
        assert_eq!(
            inner[1].1.span,
            Span {
                line: 2,
                column: 20,
                length: 3,
                ..Span::default()
            }
        );
        assert_eq!(scalar(&entries[2].1), ("true", ScalarKind::Bool));
        assert_eq!(scalar(&entries[3].1), ("off", ScalarKind::Plain));
        assert_eq!(scalar(&entries[4].1), ("95.50", ScalarKind::Number));
    }

    #[test]
    fn every_duplicate_key_is_an_error_at_its_place_and_the_first_one_counts() {
        let (tree, twice) = parse("a: 1\nb: { c: 2, c: 4 }\na: 3\n").unwrap();
        let Value::Table(entries) = tree.value else {
            panic!()
        };
        assert_eq!(scalar(&entries[0].1), ("1", ScalarKind::Number));
        let told = twice
            .iter()
            .map(|p| (p.span.line, p.span.column, p.message.as_str()));
        let said = |key, line| {
            format!(
                "duplicate key `{key}`: it stands on line {line} already; rename or remove one of \
                 the two"
            )
        };
        let (c, a) = (said("c", 2), said("a", 1));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [(2, 12, c.as_str()), (3, 1, a.as_str())]
        );
    }

    #[test]
    fn a_carriage_return_ends_a_line_only_before_a_line_feed() {
        assert_eq!(entries("a: 1\r\nb: 2\r\n").len(), 2);
        let error = parse("a: 1\n\u{e9}:\r\rb\n").unwrap_err();
        assert_eq!((error.span.line, error.span.column), (2, 3));
        assert!(error.message.starts_with("a carriage return without"));
        assert!(parse("a: 1\r").is_err());
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_full_stack() {
        assert!(parse(&"[".repeat(10_000)).is_err());
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(parse(&deep).is_err());
    }

    #[test]
    fn merge_keys_and_several_documents_are_refused() {
        assert!(parse("a: &x { b: 1 }\nc: { <<: *x }\n").is_err());
        assert!(parse("a: 1\n---\nb: 2\n").is_err());
    }
}
