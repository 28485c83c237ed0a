//! application/vnd.oma.lwm2m+json (LwM2M 1.0 §6.4.4), written as clients of 2018 wrote it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::scan::{Scanner, quote};
use super::senml::{join, name_below};
use super::senml_json::float;
use super::typed::{Scalar, expect_resource, from_scalar, push};
use super::{DecodeError, Format, Record, Style};
use crate::model::Registry;
use crate::path::Path;
use crate::value::{Type, Value};

pub(super) fn encode(base: &Path, records: &[Record], style: Style) -> Vec<u8> {
    let entries = records.iter().filter_map(|record| {
        let value = record.value.as_ref()?;
        let mut members = Vec::new();
        let name = name_below(base, &record.path);
        if !name.is_empty() {
            members.push(format!("\"n\":\"{name}\""));
        }
        if let Some(time) = record.time {
            members.push(format!("\"t\":{time}"));
        }
        members.push(member(value, style));
        Some(format!("{{{}}}", members.join(",")))
    });
    let entries: Vec<String> = entries.collect();
    format!("{{\"bn\":\"{base}\",\"e\":[{}]}}", entries.join(",")).into_bytes()
}

/// The key and the value.
fn member(value: &Value, style: Style) -> String {
    match value {
        Value::String(text) | Value::CoreLink(text) => format!("\"sv\":{}", quote(text)),
        Value::Opaque(bytes) => format!("\"sv\":\"{}\"", STANDARD.encode(bytes)),
        Value::Boolean(set) => format!("\"bv\":{set}"),
        Value::ObjectLink(link) => format!("\"ov\":\"{link}\""),
        Value::Integer(_) | Value::Unsigned(_) | Value::Time(_) | Value::Float(_) => {
            format!("\"v\":{}", value.to_text(style.float_text))
        }
    }
}

/// An entry as it is written.
#[derive(Default)]
struct Entry {
    at: usize,
    name: Option<String>,
    time: Option<f64>,
    value: Option<(Scalar, usize)>,
}

pub(super) fn decode(
    base: &Path,
    payload: &[u8],
    registry: &Registry,
) -> Result<Vec<Record>, DecodeError> {
    let mut scanner = Scanner::new(payload, Format::Json);
    let (mut base_name, mut base_time, mut entries) = (None, None, None);
    scanner.expect(b'{', "an object")?;
    let mut first = true;
    while scanner.more(&mut first, b'}')? {
        let at = scanner.at();
        let seen = match scanner.key()?.as_str() {
            "bn" => base_name.replace(scanner.string()?).is_some(),
            "bt" => base_time.replace(float(&mut scanner)?).is_some(),
            "e" => entries.replace(read_entries(&mut scanner)?).is_some(),
            _ => {
                scanner.value()?;
                false
            }
        };
        expect_once(&scanner, at, seen)?;
    }
    scanner.end()?;
    let missing = || scanner.error(0, "no `e`".to_owned(), "the entries in `e`");
    let base_name = base_name.unwrap_or_else(|| base.to_string());
    let mut records = Vec::new();
    for entry in entries.ok_or_else(missing)? {
        let at = entry.at;
        let path = join(&base_name, entry.name.as_deref().unwrap_or(""), at)?;
        let Some((scalar, value_at)) = entry.value else {
            return Err(scanner.error(at, "no value".to_owned(), "one value in every entry"));
        };
        expect_resource(path, value_at)?;
        let time = match (base_time, entry.time) {
            (None, time) => time,
            (Some(base), time) => Some(base + time.unwrap_or(0.0)),
        };
        if time.is_some_and(|time: f64| !time.is_finite()) {
            let found = "a time without end".to_owned();
            return Err(scanner.error(at, found, "a finite number"));
        }
        let value = Some(from_scalar(
            with_bytes(scalar, path, value_at, registry)?,
            path,
            value_at,
            registry,
        )?);
        push(&mut records, Record { path, value, time })?;
    }
    Ok(records)
}

/// Bytes are a text in Base64, which only the resource's type tells.
fn with_bytes(
    scalar: Scalar,
    path: Path,
    at: usize,
    registry: &Registry,
) -> Result<Scalar, DecodeError> {
    match scalar {
        Scalar::Text(text) if registry.type_of(&path) == Some(Type::Opaque) => {
            let bytes = STANDARD.decode(&text).map_err(|_| DecodeError::Value {
                path,
                at,
                found: Scalar::Text(text).describe(),
                expected: Type::Opaque,
            })?;
            Ok(Scalar::Bytes(bytes))
        }
        other => Ok(other),
    }
}

fn read_entries(scanner: &mut Scanner<'_>) -> Result<Vec<Entry>, DecodeError> {
    scanner.expect(b'[', "an array of entries")?;
    let mut entries = Vec::new();
    let mut first = true;
    while scanner.more(&mut first, b']')? {
        if entries.len() == super::MAX_RECORDS {
            return Err(DecodeError::TooMany);
        }
        entries.push(entry(scanner)?);
    }
    Ok(entries)
}

fn entry(scanner: &mut Scanner<'_>) -> Result<Entry, DecodeError> {
    let mut entry = Entry {
        at: scanner.at(),
        ..Entry::default()
    };
    scanner.expect(b'{', "an entry in braces")?;
    let mut first = true;
    while scanner.more(&mut first, b'}')? {
        let at = scanner.at();
        let key = scanner.key()?;
        let value_at = scanner.at();
        let value = match key.as_str() {
            "v" => Scalar::Number(scanner.number()?),
            "sv" => Scalar::Text(scanner.string()?),
            "bv" => Scalar::Boolean(scanner.boolean()?),
            "ov" => Scalar::Link(scanner.string()?),
            other => {
                let seen = match other {
                    "n" => entry.name.replace(scanner.string()?).is_some(),
                    "t" => entry.time.replace(float(scanner)?).is_some(),
                    _ => {
                        scanner.value()?;
                        false
                    }
                };
                expect_once(scanner, at, seen)?;
                continue;
            }
        };
        let seen = entry.value.replace((value, value_at)).is_some();
        expect_once(scanner, at, seen)?;
    }
    Ok(entry)
}

fn expect_once(scanner: &Scanner<'_>, at: usize, seen: bool) -> Result<(), DecodeError> {
    match seen {
        false => Ok(()),
        true => Err(scanner.error(
            at,
            "a second one of its kind".to_owned(),
            "one name, time and value",
        )),
    }
}
