//! The keys of a topology as tables for readers.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::said::Said;

/// A table's place in the file and what its keys are.
struct Table<'s> {
    name: &'s str,
    keys: Vec<Key<'s>>,
}

/// A key of a table.
struct Key<'s> {
    name: &'s str,
    schema: &'s Value,
    required: bool,
    /// In which of the table's kinds it may stand; none: in each.
    kinds: Vec<&'s str>,
    /// The words for the table's kinds, if it is the key that says which it is.
    words: Vec<&'s str>,
}

/// Every table of `schema` in Markdown, in the schema's order.
pub(super) fn reference(schema: &Value) -> String {
    let mut text = String::new();
    let top = Table {
        name: "Topology",
        keys: keys_of(schema),
    };
    let definitions = schema["$defs"].as_object();
    let tables = definitions
        .into_iter()
        .flatten()
        .filter_map(|(name, schema)| {
            // A table with keys of its own may say by `oneOf` which of them it needs.
            let kinds = schema["oneOf"].as_array();
            let keys = match kinds.filter(|_| !schema["properties"].is_object()) {
                Some(kinds) => keys_of_kinds(kinds),
                None => keys_of(schema),
            };
            (!keys.is_empty()).then_some(Table { name, keys })
        });
    for table in std::iter::once(top).chain(tables) {
        table.write(&mut text, &schema["$defs"]);
    }
    text
}

/// The keys of one table.
fn keys_of(schema: &Value) -> Vec<Key<'_>> {
    let properties = schema["properties"].as_object();
    properties
        .into_iter()
        .flatten()
        .map(|(name, property)| Key {
            name,
            schema: property,
            required: is_required(schema, name),
            kinds: Vec::new(),
            words: Vec::new(),
        })
        .collect()
}

fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema["required"].as_array();
    required.is_some_and(|required| required.iter().any(|key| key == name))
}

/// The keys of a table of which one key, or the only one, says of which kind it is.
fn keys_of_kinds(kinds: &[Value]) -> Vec<Key<'_>> {
    let mut keys: Vec<Key<'_>> = Vec::new();
    let mut index: BTreeMap<&str, usize> = BTreeMap::new();
    for schema in kinds {
        let properties = schema["properties"].as_object();
        let constant = |(_, property): &(&String, &'_ Value)| property["const"].is_string();
        let named = properties.and_then(|all| all.iter().find(constant));
        let kind = named.and_then(|(_, property)| property["const"].as_str());
        for (name, property) in properties.into_iter().flatten() {
            let at = *index.entry(name).or_insert_with(|| {
                keys.push(Key {
                    name,
                    schema: property,
                    required: is_required(schema, name),
                    kinds: Vec::new(),
                    words: Vec::new(),
                });
                keys.len() - 1
            });
            keys[at].kinds.extend(kind);
            keys[at].words.extend(property["const"].as_str());
        }
    }
    for key in &mut keys {
        if key.kinds.len() == kinds.len() {
            key.kinds.clear();
        }
    }
    keys
}

impl Table<'_> {
    fn write(&self, text: &mut String, definitions: &Value) {
        let _ = write!(
            text,
            "### Table {}\n\n| key | type | default | range | medium | meaning |\n\
             | --- | --- | --- | --- | --- | --- |\n",
            self.name
        );
        for key in &self.keys {
            let _ = writeln!(text, "{}", key.row(definitions));
        }
        text.push('\n');
    }
}

impl Key<'_> {
    fn row(&self, definitions: &Value) -> String {
        let property = self.schema;
        let said = Said::of(property["description"].as_str().unwrap_or_default());
        let default = match (&said.default, self.required) {
            (Some(default), _) => quantity_in_code(default),
            (None, true) => "required".to_owned(),
            (None, false) => "none".to_owned(),
        };
        let bounds = || {
            let (least, most) = (property["minimum"].as_f64()?, property["maximum"].as_f64()?);
            (most < f64::from(u32::MAX)).then(|| format!("from {least} to {most}"))
        };
        let range = said.range.or_else(bounds).unwrap_or_default();
        let mut meaning = said.meaning;
        if !self.kinds.is_empty() {
            let kinds: Vec<String> = self.kinds.iter().map(|kind| format!("`{kind}`")).collect();
            let _ = write!(meaning, " (of {})", kinds.join(", "));
        }
        let medium = said.medium.unwrap_or_default();
        let kind = match self.words.as_slice() {
            [] => kind_of(property, definitions),
            words => words
                .iter()
                .map(|word| code(word))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let cells = [
            format!("`{}`", self.name),
            kind,
            default,
            range,
            medium,
            meaning,
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        format!("| {} |", cells.join(" | "))
    }
}

/// `600 s, under …` with its value as code.
fn quantity_in_code(default: &str) -> String {
    let end = default.find([',', '(']).unwrap_or(default.len());
    let (first, rest) = default.split_at(end);
    let is_value = first.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let is_word = ["true", "false", "GET", "cc2420"].contains(&first);
    match is_value && !first.contains('`') || is_word {
        true => {
            let value = first.trim_end();
            format!("`{value}`{}{rest}", &first[value.len()..])
        }
        false => default.to_owned(),
    }
}

/// What a key holds, with examples. A table is named, and linked with where it stands.
fn kind_of(property: &Value, definitions: &Value) -> String {
    if let Some(name) = property["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        let definition = &definitions[name];
        let is_table = definition["properties"].is_object() || definition["oneOf"].is_array();
        return match is_table {
            true => format!("[{name}](#table-{})", name.to_lowercase()),
            false => kind_of(definition, definitions),
        };
    }
    if let Some(words) = property["enum"].as_array() {
        let words: Vec<String> = words.iter().filter_map(Value::as_str).map(code).collect();
        return words.join(", ");
    }
    if let Some(choices) = property["anyOf"].as_array() {
        let choices = choices.iter().map(|choice| kind_of(choice, definitions));
        return choices.collect::<Vec<_>>().join(", or ");
    }
    let title = property["title"].as_str();
    let examples = property["examples"].as_array().into_iter().flatten();
    let example: String = examples
        .map(|value| match value.as_str() {
            Some(text) => format!(", {}", code(text)),
            None => format!(", `{value}`"),
        })
        .collect();
    let kind = match property["type"].as_str() {
        _ if title.is_some() => title.unwrap_or_default(),
        Some("array") => {
            let many = match property["minItems"].as_u64() {
                Some(2) => "two of",
                _ => "list of",
            };
            return format!("{many} {}", kind_of(&property["items"], definitions));
        }
        Some("integer") => "whole number",
        Some("boolean") => "`true`, `false`",
        Some("object") => {
            let each = kind_of(&property["additionalProperties"], definitions);
            return format!("by name: {each}");
        }
        Some("string") => "text",
        Some(other) => other,
        None => "any",
    };
    format!("{kind}{example}")
}

/// `word` as code.
fn code(word: &str) -> String {
    format!("`{word}`")
}

/// Puts what descriptions say of values where editors look for it: `default`, `minimum`, `maximum`.
pub(super) fn annotate(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get_mut("properties") {
                properties.values_mut().for_each(annotate_property);
            }
            object.values_mut().for_each(annotate);
        }
        Value::Array(items) => items.iter_mut().for_each(annotate),
        _ => {}
    }
}

fn annotate_property(property: &mut Value) {
    let said = Said::of(property["description"].as_str().unwrap_or_default());
    let default = said.value(property);
    let is_number = ["integer", "number"]
        .iter()
        .any(|kind| property["type"] == *kind);
    let whole = property["type"] == "integer";
    let Value::Object(object) = property else {
        return;
    };
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    if let Some(default) = default {
        put("default", default);
    }
    let number = |bound: f64| match whole {
        true => Value::from(bound as u64),
        false => Value::from(bound),
    };
    if let (least, most) = said.bounds()
        && is_number
    {
        least
            .into_iter()
            .for_each(|least| put("minimum", number(least)));
        most.into_iter()
            .for_each(|most| put("maximum", number(most)));
    } else if let Some(range) = said.range {
        put("x-range", Value::from(range));
    }
    if let Some(medium) = said.medium {
        put("x-medium", Value::from(medium));
    }
}
