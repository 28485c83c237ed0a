//! What a key's description says of its values, for schemas and tables.
//!
//! A description is `MEANING; RANGE; default DEFAULT. MORE`: every part but the meaning may be
//! missing. It begins with `` `phy`: `` or `` `edges`: `` if the key belongs to that medium.

use serde_json::{Value, json};

/// What the range of a key begins with.
const RANGES: [&str; 10] = [
    "a /",
    "a power",
    "at least ",
    "at most ",
    "from ",
    "over ",
    "shorter ",
    "three ",
    "under ",
    "whole ",
];

/// A description in its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The one medium that the key belongs to.
    pub medium: Option<String>,
    pub meaning: String,
    pub range: Option<String>,
    pub default: Option<String>,
}

impl Said {
    /// Takes a description apart.
    pub(super) fn of(description: &str) -> Said {
        let mut said = Said::default();
        let mut text = description;
        for medium in ["phy", "edges"] {
            if let Some(rest) = text.strip_prefix(&format!("`{medium}`: ")) {
                // `edges` and `phy` beside each other are values, not a mark.
                if !rest.contains("`phy`: ") {
                    said.medium = Some(medium.to_owned());
                    text = rest;
                }
            }
        }
        let mut more = None;
        let mut meaning = Vec::new();
        for part in text.split("; ") {
            let (part, after) = match part.strip_prefix("default ") {
                Some(default) => {
                    let (default, after) = sentence(default);
                    said.default = Some(default.to_owned());
                    (None, after)
                }
                None if RANGES.iter().any(|word| part.starts_with(word)) => {
                    let (range, after) = sentence(part);
                    said.range = Some(range.to_owned());
                    (None, after)
                }
                None => (Some(part), None),
            };
            meaning.extend(part);
            more = after.or(more);
        }
        let meaning = meaning.join("; ");
        said.meaning = meaning.trim_end_matches('.').to_owned();
        if let Some(more) = more {
            said.meaning.push_str(". ");
            said.meaning.push_str(more.trim_end_matches('.'));
        }
        said
    }

    /// The default, if it begins with a value: the value as `property` has it, by its schema.
    pub(super) fn value(&self, property: &Value) -> Option<Value> {
        // One that differs from node to node is none.
        let default = self
            .default
            .as_ref()
            .filter(|default| !default.contains('…'))?;
        let first = default.split([',', '(']).next()?.trim().trim_matches('`');
        let number = first.parse::<f64>().ok();
        match property["type"].as_str()? {
            "boolean" => first.parse().ok().map(Value::Bool),
            "integer" => first.parse::<u64>().ok().map(|number| json!(number)),
            "number" => number.map(|number| json!(number)),
            "string" => {
                let words = property["enum"].as_array();
                let is_word = words.is_some_and(|words| words.iter().any(|word| word == first));
                let begins = |c: char| c.is_ascii_digit() || c == '-';
                let is_quantity = first.starts_with(begins) && first.contains([' ', ':']);
                (is_word || is_quantity).then(|| json!(first))
            }
            _ => None,
        }
    }

    /// Smallest and largest value of a number.
    pub(super) fn bounds(&self) -> (Option<f64>, Option<f64>) {
        let range = self.range.as_deref().unwrap_or_default();
        let number = |after: &str| {
            let (_, rest) = range.split_once(after)?;
            rest.split(' ').next()?.parse().ok()
        };
        let least = number("from ").or_else(|| number("at least "));
        (least, number(" to ").or_else(|| number("at most ")))
    }
}

/// The first sentence of `text` without its full stop, and what follows.
fn sentence(text: &str) -> (&str, Option<&str>) {
    match text.split_once(". ") {
        Some((first, rest)) => (first, Some(rest)),
        None => (text.strip_suffix('.').unwrap_or(text), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_taken_apart() {
        let said = Said::of(
            "`phy`: frames that wait; from 1 to 300 (802.15.4-2006); default 300, as of the kernel. Not more.",
        );
        assert_eq!(said.medium.as_deref(), Some("phy"));
        assert_eq!(said.meaning, "frames that wait. Not more");
        assert_eq!(said.range.as_deref(), Some("from 1 to 300 (802.15.4-2006)"));
        assert_eq!(said.default.as_deref(), Some("300, as of the kernel"));
        assert_eq!(said.value(&json!({ "type": "integer" })), Some(json!(300)));
        assert_eq!(said.bounds(), (Some(1.0), Some(300.0)));
        let both = Said::of("`edges`: a. `phy`: b; default `edges`.");
        assert_eq!(
            (both.medium, both.meaning.as_str()),
            (None, "`edges`: a. `phy`: b")
        );
    }

    #[test]
    fn a_default_that_is_no_value_is_none() {
        let text = json!({ "type": "string" });
        assert_eq!(Said::of("x; default from the seed.").value(&text), None);
        assert_eq!(
            Said::of("x; default 1.5 s.").value(&text),
            Some(json!("1.5 s"))
        );
        assert_eq!(Said::of("x; default `no`.").value(&text), None);
    }
}
