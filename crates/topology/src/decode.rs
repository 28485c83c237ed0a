//! From the tree to typed tables: every unknown key, wrong unit and missing value is
//! reported, not only the first. (Derived `Deserialize` stops at the first, and loses all
//! positions inside a tagged table such as a node.)

use std::ops::Deref;

use crate::diagnostic::{Diagnostic, Span, alternatives, nearest, not_a_word};
use crate::tree::{Key, ScalarKind, ScalarText, Tree, Value};

/// A value and where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A table and where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block<T> {
    /// The table.
    pub table: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Deref for Block<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.table
    }
}

/// A table whose keys the user chooses, in the file's order.
#[derive(Clone, Debug)]
pub struct Named<T>(pub Vec<(At<String>, T)>);

/// A scalar type of the topology file.
pub trait Scalar: Sized {
    /// Reads the value, or says what would be right.
    fn read(scalar: &ScalarText) -> Result<Self, String>;
    /// Its JSON Schema.
    fn schema() -> serde_json::Value;
}

/// Collects problems; knows at which path it is.
#[derive(Debug, Default)]
pub struct Decoder {
    path: Vec<String>,
    problems: Vec<Diagnostic>,
    only_unknown_keys: Option<bool>,
}

impl Decoder {
    /// Reports a problem at `span`, prefixed with the path.
    pub(crate) fn report(&mut self, span: Span, message: impl AsRef<str>) {
        self.only_unknown_keys = Some(false);
        self.push(span, message.as_ref());
    }

    fn push(&mut self, span: Span, message: &str) {
        let message = if self.path.is_empty() {
            message.to_owned()
        } else {
            format!("`{}`: {message}", self.path())
        };
        self.problems.push(Diagnostic { span, message });
    }

    /// `nodes.sensor.resources[0]`
    fn path(&self) -> String {
        let mut path = String::new();
        for part in &self.path {
            if !path.is_empty() && !part.starts_with('[') {
                path.push('.');
            }
            path.push_str(part);
        }
        path
    }

    /// Runs `f` one step further down.
    pub(crate) fn within<T>(&mut self, part: String, f: impl FnOnce(&mut Decoder) -> T) -> T {
        self.path.push(part);
        let result = f(self);
        self.path.pop();
        result
    }

    /// The problems, and whether the values are whole in spite of them: then every problem
    /// was an unknown key.
    pub(crate) fn finish(self) -> (Vec<Diagnostic>, bool) {
        (self.problems, self.only_unknown_keys.unwrap_or(true))
    }

    /// The entries of a table. Keys that are not in `known` are reported.
    pub(crate) fn table<'t>(&mut self, tree: &'t Tree, known: &[&str]) -> Option<Entries<'t>> {
        let Value::Table(entries) = &tree.value else {
            self.wrong_shape(tree, "a table, `{ key: value }`");
            return None;
        };
        for (key, _) in entries {
            if !known.contains(&key.text.as_str()) {
                let right = match nearest(&key.text, known.iter().copied()) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("known here: {}", alternatives(known.iter().copied())),
                };
                self.only_unknown_keys.get_or_insert(true);
                self.push(key.span, &format!("unknown key `{}`; {right}", key.text));
            }
        }
        Some(Entries {
            span: tree.span,
            entries,
        })
    }

    /// The one entry of a table whose key is one of `words`; `expected` is such a table.
    pub(crate) fn only_entry<'t>(
        &mut self,
        tree: &'t Tree,
        words: &[&str],
        expected: &str,
    ) -> Option<(&'t str, &'t Tree)> {
        let Value::Table(entries) = &tree.value else {
            self.wrong_shape(tree, expected);
            return None;
        };
        let unknown = entries
            .iter()
            .filter(|(key, _)| !words.contains(&key.text.as_str()));
        let mut known = true;
        for (key, _) in unknown {
            known = false;
            let right = not_a_word(&key.text, words);
            self.report(key.span, format!("unknown key `{}`: {right}", key.text));
        }
        match entries.as_slice() {
            [(key, value)] => known.then_some((key.text.as_str(), value)),
            several => {
                let message = format!("a table of {} keys is not {expected}", several.len());
                self.report(tree.span, message);
                None
            }
        }
    }

    /// Reads one key of a table before it is known which other keys there may be.
    pub(crate) fn table_key<T: Decode>(&mut self, tree: &Tree, key: &str) -> Option<T> {
        let Value::Table(entries) = &tree.value else {
            self.wrong_shape(tree, "a table, `{ key: value }`");
            return None;
        };
        let span = tree.span;
        Entries { span, entries }.field(key, self)
    }

    /// Says what `tree` is and what was expected.
    pub(crate) fn wrong_shape(&mut self, tree: &Tree, expected: &str) {
        let found = match &tree.value {
            Value::Empty => {
                let message = format!("has no value; give {expected}, or remove the key");
                return self.report(tree.span, message);
            }
            Value::Scalar(scalar) => format!("`{}`", scalar.text),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        };
        self.report(tree.span, format!("{found} is not {expected}"));
    }
}

/// The entries of one table.
pub(crate) struct Entries<'t> {
    span: Span,
    entries: &'t [(Key, Tree)],
}

impl<'t> Entries<'t> {
    /// Reads the value of `key`.
    pub(crate) fn field<T: Decode>(&self, key: &str, d: &mut Decoder) -> Option<T> {
        match self.get(key) {
            Some(tree) => d.within(key.to_owned(), |d| T::decode(tree, d)),
            None => T::absent(key, self.span, d),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'t Tree> {
        self.entries
            .iter()
            .find(|(k, _)| k.text == key)
            .map(|(_, tree)| tree)
    }
}

/// A type that is read from the tree. `None` means that problems were reported.
pub trait Decode: Sized {
    /// Reads `tree`.
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self>;

    /// What an absent key means: a problem, unless the type is optional.
    fn absent(key: &str, table: Span, d: &mut Decoder) -> Option<Self> {
        d.report(table, format!("the key `{key}` is missing"));
        None
    }
}

impl<T: Scalar> Decode for At<T> {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let Value::Scalar(scalar) = &tree.value else {
            d.wrong_shape(tree, "a single value");
            return None;
        };
        match T::read(scalar) {
            Ok(value) => Some(At {
                value,
                span: tree.span,
            }),
            Err(message) => {
                d.report(tree.span, message);
                None
            }
        }
    }
}

impl<T: Decode> Decode for Block<T> {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let span = tree.span;
        T::decode(tree, d).map(|table| Block { table, span })
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        T::decode(tree, d).map(Box::new)
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        T::decode(tree, d).map(Some)
    }

    fn absent(_: &str, _: Span, _: &mut Decoder) -> Option<Self> {
        Some(None)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let Value::List(items) = &tree.value else {
            d.wrong_shape(tree, "a list, `[ … ]`");
            return None;
        };
        // All items are read before one of them ends it, so that all problems are seen.
        let read: Vec<Option<T>> = items
            .iter()
            .enumerate()
            .map(|(i, item)| d.within(format!("[{i}]"), |d| T::decode(item, d)))
            .collect();
        read.into_iter().collect()
    }
}

impl<T: Decode> Decode for Named<T> {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let Value::Table(entries) = &tree.value else {
            d.wrong_shape(tree, "a table, `{ name: value }`");
            return None;
        };
        let read: Vec<_> = entries
            .iter()
            .map(|(key, value)| {
                let name = At {
                    value: key.text.clone(),
                    span: key.span,
                };
                let value = d.within(key.text.clone(), |d| T::decode(value, d));
                Some((name, value?))
            })
            .collect();
        read.into_iter().collect::<Option<_>>().map(Named)
    }
}

/// Refuses a number where text is needed.
fn text(scalar: &ScalarText) -> Result<&str, String> {
    match scalar.kind {
        ScalarKind::Plain | ScalarKind::Quoted => Ok(&scalar.text),
        ScalarKind::Number | ScalarKind::Bool => Err(format!(
            "`{0}` without quotes is not text; write `\"{0}\"`",
            scalar.text
        )),
    }
}

impl Scalar for String {
    fn read(scalar: &ScalarText) -> Result<Self, String> {
        text(scalar).map(str::to_owned)
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}

impl Scalar for bool {
    fn read(scalar: &ScalarText) -> Result<Self, String> {
        match (scalar.kind, scalar.text.as_str()) {
            (ScalarKind::Bool, word) => Ok(word.eq_ignore_ascii_case("true")),
            (_, word) => Err(format!("`{word}` is not `true` or `false`")),
        }
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "boolean" })
    }
}

/// A number without quotes as written, or what is wrong.
pub(crate) fn number(scalar: &ScalarText, expected: &str) -> Result<String, String> {
    match scalar.kind {
        ScalarKind::Number => Ok(scalar.text.replace('_', "")),
        ScalarKind::Quoted if scalar.text.parse::<f64>().is_ok() => Err(format!(
            "`\"{0}\"` in quotes is text, not {expected}; write `{0}`",
            scalar.text
        )),
        _ => Err(format!("`{}` is not {expected}", scalar.text)),
    }
}

/// A count or identifier, decimal or `0x…`.
pub(crate) fn whole(scalar: &ScalarText, expected: &str) -> Result<u64, String> {
    let digits = number(scalar, expected)?;
    let parsed = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    };
    parsed.ok_or_else(|| format!("`{digits}` is not {expected}"))
}

impl Scalar for u64 {
    fn read(scalar: &ScalarText) -> Result<Self, String> {
        whole(scalar, "a whole number, 0 or more")
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "integer", "minimum": 0 })
    }
}

impl Scalar for u32 {
    fn read(scalar: &ScalarText) -> Result<Self, String> {
        let expected = "a whole number from 0 to 4294967295";
        u32::try_from(whole(scalar, expected)?)
            .map_err(|_| format!("`{}` is not {expected}", scalar.text))
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })
    }
}

impl Scalar for f64 {
    fn read(scalar: &ScalarText) -> Result<Self, String> {
        let expected = "a number such as `1.5`";
        let digits = number(scalar, expected)?;
        match digits.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(format!("`{digits}` is not {expected}")),
        }
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "number" })
    }
}
