//! From the tree to typed tables: every unknown key, wrong unit and missing value is
//! reported, not only the first. (Derived `Deserialize` stops at the first, and loses all
//! positions inside a tagged table such as a node.)

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;

use crate::diagnostic::{Diagnostic, Span, alternatives, misspelt, nearest, not_a_word};
use crate::faults::Faults;
use crate::tree::{Key, ScalarKind, ScalarText, Tree, Value};

/// A table with more keys than this is not explained by their list.
const FEW_KEYS: usize = 8;

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

    /// What was probably meant by a text that [`Scalar::read`] refuses.
    fn guess(_: &ScalarText) -> Option<Self> {
        None
    }

    /// A value for a place that has none or a wrong one, so that the rest of its table is looked at
    /// all the same. Nothing else than the search for problems sees it.
    fn stand_in() -> Option<Self> {
        None
    }
}

/// Collects problems; knows at which path it is.
#[derive(Debug, Default)]
pub struct Decoder {
    path: Vec<String>,
    problems: Vec<Diagnostic>,
    faults: Faults,
    /// By the path of a table the first problem of a key there that stands for no other: what is
    /// missing there was probably meant by it, and is told with it.
    strange: BTreeMap<String, usize>,
}

impl Decoder {
    /// Reports a problem at `span`, prefixed with the path.
    pub(crate) fn report(&mut self, span: Span, message: impl AsRef<str>) {
        self.faults.note(self.path());
        self.push(span, message.as_ref());
    }

    /// Reports a problem of the key `key` of the table at the path, prefixed with that.
    fn report_key(&mut self, span: Span, key: &str, message: &str) {
        let faults = self.within(key.to_owned(), |d| d.path());
        self.faults.note(faults);
        self.push(span, message);
    }

    /// Reports that the key `key` of `table`, at the path, is missing; `right` is what it may be.
    fn report_missing(&mut self, table: Span, key: &str, right: &str) {
        match self.strange.get(&self.path()) {
            None => self.report_key(table, key, &format!("the key `{key}` is missing{right}")),
            Some(&number) => {
                let fault = self.within(key.to_owned(), |d| d.path());
                self.faults.note(fault);
                let message = &mut self.problems[number].message;
                message.push_str(&format!("; `{key}` is missing"));
            }
        }
    }

    /// What is missing in the table at the path belongs to the problem that was reported last.
    fn last_is_strange(&mut self) {
        let last = self.problems.len() - 1;
        self.strange.entry(self.path()).or_insert(last);
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

    /// A table that stands where a list of them should, which has been reported, as the list's
    /// only item. That it is no table of that kind, or lacks a key, is not said, too.
    fn only_item<T: Decode>(&mut self, tree: &Tree) -> Option<T> {
        let Value::Table(_) = &tree.value else {
            return None;
        };
        let before = self.problems.len();
        let item = self.within("[0]".to_owned(), |d| T::decode(tree, d));
        let added = self.problems.split_off(before);
        let others = added.into_iter().filter(|p| p.span != tree.span);
        self.problems.extend(others);
        item
    }

    /// Runs `f` one step further down.
    pub(crate) fn within<T>(&mut self, part: String, f: impl FnOnce(&mut Decoder) -> T) -> T {
        self.path.push(part);
        let result = f(self);
        self.path.pop();
        result
    }

    /// The problems, and where the values are not what the file says.
    pub(crate) fn finish(self) -> (Vec<Diagnostic>, Faults) {
        (self.problems, self.faults)
    }

    /// The entries of a table. Keys that are not in `known` are reported; what stands under one that
    /// is nearly a known key, which the table does not have, is read as that key's.
    pub(crate) fn table<'t>(&mut self, tree: &'t Tree, known: &[&str]) -> Option<Entries<'t>> {
        let Value::Table(entries) = &tree.value else {
            let keys = match known.len() {
                2..=FEW_KEYS if !matches!(tree.value, Value::Empty) => {
                    format!(" of {}", alternatives(known.iter().copied()))
                }
                _ => String::new(),
            };
            self.wrong_shape(tree, &format!("a table, `{{ key: value }}`{keys}"));
            return None;
        };
        let mut table = Entries {
            span: tree.span,
            entries,
            meant: Vec::new(),
        };
        // A key that the table has was not meant by another one.
        let mut free: Vec<&str> = known.to_vec();
        free.retain(|word| !table.has(word));
        for (key, value) in entries {
            if known.contains(&key.text.as_str()) {
                continue;
            }
            let near = nearest(&key.text, free.iter().copied());
            let is_that = misspelt(&key.text, &free).is_some();
            let right = match near.or_else(|| misspelt(&key.text, known)) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("known here: {}", alternatives(known.iter().copied())),
            };
            let message = format!("unknown key `{}`; {right}", key.text);
            self.report_key(key.span, near.unwrap_or(&key.text), &message);
            match near {
                Some(word) => {
                    free.retain(|other| *other != word);
                    table
                        .meant
                        .push((word.to_owned(), is_that.then_some(value)));
                }
                None => self.last_is_strange(),
            }
        }
        Some(table)
    }

    /// The one entry of a table whose key is one of `words`; `expected` is such a table.
    pub(crate) fn only_entry<'t>(
        &mut self,
        tree: &'t Tree,
        words: &[&'static str],
        expected: &str,
    ) -> Option<(&'static str, &'t Tree)> {
        let Value::Table(entries) = &tree.value else {
            self.wrong_shape(tree, expected);
            return None;
        };
        for (key, _) in entries {
            if !words.contains(&key.text.as_str()) {
                let right = not_a_word(&key.text, words);
                self.report(key.span, format!("unknown key `{}`: {right}", key.text));
            }
        }
        let [(key, value)] = entries.as_slice() else {
            let message = format!("a table of {} keys is not {expected}", entries.len());
            self.report(tree.span, message);
            return None;
        };
        misspelt(&key.text, words).map(|word| (word, value))
    }

    /// Reads one key of a table before it is known which other keys there may be.
    pub(crate) fn table_key<T: Decode>(&mut self, tree: &Tree, key: &str) -> Option<T> {
        let Value::Table(entries) = &tree.value else {
            self.wrong_shape(tree, "a table, `{ key: value }`");
            return None;
        };
        let mut table = Entries {
            span: tree.span,
            entries,
            meant: Vec::new(),
        };
        let near = |(other, _): &&(Key, Tree)| misspelt(&other.text, &[key]).is_some();
        if let (false, Some((other, value))) = (table.has(key), entries.iter().find(near)) {
            let message = format!("unknown key `{}`; did you mean `{key}`?", other.text);
            self.report_key(other.span, key, &message);
            table.meant.push((key.to_owned(), Some(value)));
        }
        table.field(key, self)
    }

    /// The word of `words` that the key `key` of a table has, which says what the table is, and the
    /// table. Where such a word is a key itself, `{ sensor: … }`, and none of `known`, it is that
    /// word's table, without this key and with what stands under it.
    pub(crate) fn tag<'t>(
        &mut self,
        tree: &'t Tree,
        key: &str,
        words: &[&'static str],
        known: &[&str],
    ) -> Option<(At<String>, Cow<'t, Tree>)> {
        let is_tag = |(other, _): &(Key, Tree)| misspelt(&other.text, &[key]).is_some();
        let meant = |(other, _): &(Key, Tree)| match known.contains(&other.text.as_str()) {
            true => None,
            false => misspelt(&other.text, words),
        };
        let entries = match &tree.value {
            Value::Table(entries) if !entries.iter().any(is_tag) => entries,
            _ => {
                let word = self.table_key(tree, key)?;
                return Some((word, Cow::Borrowed(tree)));
            }
        };
        let Some(at) = entries.iter().position(|entry| meant(entry).is_some()) else {
            let right = format!("; write one of {}", alternatives(words.iter().copied()));
            self.report_missing(tree.span, key, &right);
            return None;
        };
        let mut entries = entries.clone();
        let entry = entries.remove(at);
        let value = meant(&entry).unwrap_or_default().to_owned();
        let (found, under) = entry;
        let message = format!("unknown key `{}`; write `{key}: {value}`", found.text);
        self.report_key(found.span, key, &message);
        self.last_is_strange();
        if let Value::Table(inner) = under.value {
            entries.extend(inner);
        }
        let span = found.span;
        let value = At { value, span };
        let table = Tree {
            span: tree.span,
            value: Value::Table(entries),
        };
        Some((value, Cow::Owned(table)))
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
    /// Known keys that were probably meant by keys that are not known, and what stands there if that
    /// is all but certain.
    meant: Vec<(String, Option<&'t Tree>)>,
}

impl<'t> Entries<'t> {
    /// A table without keys.
    pub(crate) fn none(span: Span) -> Entries<'static> {
        Entries {
            span,
            entries: &[],
            meant: Vec::new(),
        }
    }

    /// Reads the value of `key`, or reports what is wrong and gives what stands in for it.
    pub(crate) fn field<T: Decode>(&self, key: &str, d: &mut Decoder) -> Option<T> {
        let own = self.entries.iter().find(|(k, _)| k.text == key);
        let own = own.map(|(_, tree)| Some(tree));
        let meant = || self.meant.iter().find(|(k, _)| k == key);
        let read = match own.or_else(|| meant().map(|(_, tree)| *tree)) {
            Some(Some(tree)) => d.within(key.to_owned(), |d| T::decode(tree, d)),
            // That it is not there has been said.
            Some(None) => None,
            None => T::absent(key, self.span, d),
        };
        read.or_else(|| T::stand_in(self.span))
    }

    fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, _)| k.text == key) || self.meant.iter().any(|(k, _)| k == key)
    }
}

/// A type that is read from the tree. `None` means that problems were reported.
pub trait Decode: Sized {
    /// Reads `tree`.
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self>;

    /// What an absent key means: a problem, unless the type is optional.
    fn absent(key: &str, table: Span, d: &mut Decoder) -> Option<Self> {
        d.report_missing(table, key, "");
        None
    }

    /// What is put in the place of a value of which a problem was reported, at `span`; `None` if
    /// the table around it cannot do without.
    fn stand_in(_span: Span) -> Option<Self> {
        None
    }
}

impl<T: Scalar> Decode for At<T> {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let Value::Scalar(scalar) = &tree.value else {
            d.wrong_shape(tree, "a single value");
            return None;
        };
        let span = tree.span;
        let value = match T::read(scalar) {
            Ok(value) => value,
            Err(message) => {
                d.report(span, message);
                T::guess(scalar)?
            }
        };
        Some(At { value, span })
    }

    fn stand_in(span: Span) -> Option<Self> {
        T::stand_in().map(|value| At { value, span })
    }
}

impl<T: Decode> Decode for Block<T> {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let span = tree.span;
        T::decode(tree, d).map(|table| Block { table, span })
    }

    fn stand_in(span: Span) -> Option<Self> {
        T::stand_in(span).map(|table| Block { table, span })
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        T::decode(tree, d).map(Box::new)
    }

    fn stand_in(span: Span) -> Option<Self> {
        T::stand_in(span).map(Box::new)
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        T::decode(tree, d).map(Some)
    }

    fn absent(_: &str, _: Span, _: &mut Decoder) -> Option<Self> {
        Some(None)
    }

    fn stand_in(_: Span) -> Option<Self> {
        Some(None)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let Value::List(items) = &tree.value else {
            d.wrong_shape(tree, "a list, `[ … ]`");
            return d.only_item(tree).map(|item| vec![item]);
        };
        // What stands in keeps the numbers of the others.
        let read = items.iter().enumerate().filter_map(|(i, item)| {
            d.within(format!("[{i}]"), |d| T::decode(item, d))
                .or_else(|| T::stand_in(item.span))
        });
        Some(read.collect())
    }

    fn stand_in(_: Span) -> Option<Self> {
        Some(Vec::new())
    }
}

impl<T: Decode> Decode for Named<T> {
    fn decode(tree: &Tree, d: &mut Decoder) -> Option<Self> {
        let Value::Table(entries) = &tree.value else {
            d.wrong_shape(tree, "a table, `{ name: value }`");
            return None;
        };
        let mut read = Vec::new();
        for (key, value) in entries {
            match d.within(key.text.clone(), |d| T::decode(value, d)) {
                Some(entry) => {
                    let name = At {
                        value: key.text.clone(),
                        span: key.span,
                    };
                    read.push((name, entry));
                }
                None => d.faults.note_unread(&key.text),
            }
        }
        Some(Named(read))
    }

    fn stand_in(_: Span) -> Option<Self> {
        Some(Named(Vec::new()))
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
    fn stand_in() -> Option<Self> {
        Some(String::new())
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
    fn stand_in() -> Option<Self> {
        Some(1)
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
    fn stand_in() -> Option<Self> {
        Some(1)
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
