//! What records must be to each other, in every format.

use super::{DecodeError, EncodeError, Format, MAX_RECORDS, Record};
use crate::path::Path;
use crate::value::{Type, Value};

/// What two records may not be.
enum Clash {
    Twice(Path),
    Below { path: Path, below: Path },
}

pub(super) fn check_encodable(
    format: Format,
    base: &Path,
    records: &[Record],
) -> Result<(), EncodeError> {
    for record in records {
        let path = record.path;
        if !base.contains(&path) {
            return Err(EncodeError::Outside { path, base: *base });
        }
        let timeless = !matches!(
            format,
            Format::SenmlJson | Format::SenmlCbor | Format::Json | Format::Link
        );
        if timeless && record.time.is_some() {
            return Err(EncodeError::Timed { format, path });
        }
        let no_form = |found: String, expected| EncodeError::NoForm {
            format,
            path,
            found,
            expected,
        };
        if let Some(time) = record.time.filter(|t| !t.is_finite()) {
            return Err(no_form(format!("a time of {time}"), "a finite number"));
        }
        match &record.value {
            Some(Value::Float(x)) if !x.is_finite() => {
                return Err(no_form(x.to_string(), "a finite number"));
            }
            Some(_) if path.resource_id().is_none() => {
                return Err(no_form("a value".to_owned(), "a resource's path"));
            }
            None if path.resource_instance_id().is_some() && format != Format::Link => {
                return Err(no_form("no value".to_owned(), "a value"));
            }
            _ => {}
        }
    }
    if format == Format::Link {
        return Ok(());
    }
    match clash(records) {
        None => Ok(()),
        Some(Clash::Twice(path)) => Err(EncodeError::Twice(path)),
        Some(Clash::Below { path, below }) => Err(EncodeError::Below { path, below }),
    }
}

pub(super) fn check_decoded(base: &Path, records: &[Record]) -> Result<(), DecodeError> {
    if records.len() > MAX_RECORDS {
        return Err(DecodeError::TooMany);
    }
    if let Some(outside) = records.iter().find(|r| !base.contains(&r.path)) {
        return Err(DecodeError::Outside {
            path: outside.path,
            base: *base,
        });
    }
    match clash(records) {
        None => Ok(()),
        Some(Clash::Twice(path)) => Err(DecodeError::Twice(path)),
        Some(Clash::Below { path, below }) => Err(DecodeError::Below { path, below }),
    }
}

/// Two records that cannot be in one message.
fn clash(records: &[Record]) -> Option<Clash> {
    // Zero and minus zero are one time.
    let key = |record: &Record| (record.path, record.time.map(|t| (t + 0.0).to_bits()));
    let mut keys: Vec<_> = records.iter().map(key).collect();
    keys.sort_unstable();
    // In the order of a tree, what is below a path comes directly after it.
    keys.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(Clash::Twice(a.0)),
        [(a, _), (b, _)] if a != b && a.contains(b) => Some(Clash::Below {
            path: *a,
            below: *b,
        }),
        _ => None,
    })
}

/// A path that is there twice.
pub(super) fn repeated(records: &[Record]) -> Option<Path> {
    let pair = |pair: &[&Record]| (pair[0].path == pair[1].path).then_some(pair[0].path);
    sorted(records).windows(2).find_map(pair)
}

/// The records in the order of the tree.
pub(super) fn sorted(records: &[Record]) -> Vec<&Record> {
    let mut sorted: Vec<&Record> = records.iter().collect();
    sorted.sort_by_key(|record| record.path);
    sorted
}

/// The one value of a format for one resource, which is what the message is of.
pub(super) fn only<'a>(
    format: Format,
    base: &Path,
    records: &'a [Record],
) -> Result<&'a Value, EncodeError> {
    match records {
        [
            Record {
                path,
                value: Some(value),
                ..
            },
        ] if path == base => Ok(value),
        _ => Err(EncodeError::NotOne {
            format,
            base: *base,
            found: records.iter().filter(|r| r.value.is_some()).count(),
        }),
    }
}

/// That `base` is of a resource or one of its instances.
pub(super) fn expect_resource(base: &Path) -> Result<(), DecodeError> {
    match base.resource_id() {
        Some(_) => Ok(()),
        None => Err(DecodeError::Level {
            path: *base,
            at: 0,
            found: "one value",
            expected: "a format for several resources",
        }),
    }
}

/// A value of a type for error messages.
pub(super) fn named(ty: Type) -> String {
    format!("a value of type {ty}")
}
