//! A scalar as a format has it becomes a [`Value`] of the type of its resource.

use super::{DecodeError, MAX_RECORDS, Record};
use crate::model::Registry;
use crate::path::Path;
use crate::value::{Type, Value};

/// A scalar of JSON or CBOR.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    /// A number: [`Value::Integer`] where it is one, [`Value::Unsigned`] above that, else [`Value::Float`].
    Number(Value),
    /// A text.
    Text(String),
    /// true or false.
    Boolean(bool),
    /// Bytes.
    Bytes(Vec<u8>),
    /// An object link, in a key of its own.
    Link(String),
    /// null
    Null,
}

impl Scalar {
    /// An integer.
    pub(super) fn unsigned(n: u64) -> Scalar {
        Scalar::Number(i64::try_from(n).map_or(Value::Unsigned(n), Value::Integer))
    }

    /// What it is, for an error message.
    pub(super) fn describe(&self) -> String {
        match self {
            Scalar::Number(value) => format!("the number {}", value.to_text(Default::default())),
            Scalar::Text(text) => format!("the text {}", quoted(text)),
            Scalar::Boolean(set) => set.to_string(),
            Scalar::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Scalar::Link(text) => format!("the object link {}", quoted(text)),
            Scalar::Null => "null".to_owned(),
        }
    }
}

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

/// The value of `path` that a scalar is; one of the type that it shows where the type is unknown.
pub(super) fn from_scalar(
    scalar: Scalar,
    path: Path,
    at: usize,
    registry: &Registry,
) -> Result<Value, DecodeError> {
    let known = registry.type_of(&path);
    let error = |found: String, shown| DecodeError::Value {
        path,
        at,
        found,
        expected: known.unwrap_or(shown),
    };
    let found = scalar.describe();
    let value = match scalar {
        Scalar::Number(Value::Float(x)) if !x.is_finite() => None,
        Scalar::Number(value) => Some(value),
        // CBOR has no type of its own for links between objects.
        Scalar::Text(text) if known == Some(Type::ObjectLink) => {
            Value::from_text(&text, Type::ObjectLink).ok()
        }
        Scalar::Text(text) => Some(Value::String(text)),
        Scalar::Boolean(set) => Some(Value::Boolean(set)),
        Scalar::Bytes(bytes) => Some(Value::Opaque(bytes)),
        Scalar::Link(text) => Some(
            Value::from_text(&text, Type::ObjectLink)
                .map_err(|_| error(found.clone(), Type::ObjectLink))?,
        ),
        Scalar::Null => None,
    };
    let value = value.and_then(|value| match known {
        Some(ty) => value.cast(ty),
        None => Some(value),
    });
    value.ok_or_else(|| error(found, Type::String))
}

/// That a path may have a value.
pub(super) fn expect_resource(path: Path, at: usize) -> Result<(), DecodeError> {
    match path.resource_id() {
        Some(_) => Ok(()),
        None => Err(DecodeError::Level {
            path,
            at,
            found: "a value",
            expected: "one below a resource's path",
        }),
    }
}

pub(super) fn push(records: &mut Vec<Record>, record: Record) -> Result<(), DecodeError> {
    if records.len() == MAX_RECORDS {
        return Err(DecodeError::TooMany);
    }
    records.push(record);
    Ok(())
}
