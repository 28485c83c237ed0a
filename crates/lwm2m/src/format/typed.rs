//! A scalar as a format has it becomes a [`Value`] of the type of its resource.

use super::DecodeError;
use crate::model::Registry;
use crate::path::Path;
use crate::value::{Type, Value};

/// The beginning of a text, in quotes.
pub(super) fn quoted(text: &str) -> String {
    let beginning: String = text.chars().take(32).collect();
    match beginning.len() < text.len() {
        true => format!("`{beginning}…`"),
        false => format!("`{beginning}`"),
    }
}

/// The value of `path` that a text is, as text/plain has it; a String where the type is unknown.
pub(super) fn from_text(
    text: &str,
    path: Path,
    at: usize,
    registry: &Registry,
) -> Result<Value, DecodeError> {
    let ty = registry.type_of(&path).unwrap_or(Type::String);
    Value::from_text(text, ty).map_err(|error| DecodeError::Value {
        path,
        at,
        found: quoted(&error.text),
        expected: ty,
    })
}
