//! application/senml+json (RFC 8428 §5; LwM2M 1.1 Core §7.4.4).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::scan::{Scanner, quote};
use super::senml::{Fields, Pack, VERSION, Wanted, name_below};
use super::typed::Scalar;
use super::{DecodeError, Format, Record, Style};
use crate::model::Registry;
use crate::path::Path;
use crate::value::Value;

/// Padding is left out (RFC 8428 §4.3), but who writes it is understood.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

pub(super) fn encode(base: &Path, records: &[Record], style: Style) -> Vec<u8> {
    let mut base_name = Some(*base).filter(|base| *base != Path::ROOT);
    let objects = records.iter().map(|record| {
        let mut members = Vec::new();
        if let Some(base) = base_name.take() {
            members.push(format!("\"bn\":\"{base}\""));
        }
        let name = name_below(base, &record.path);
        match (name.as_str(), members.is_empty()) {
            ("", true) if *base == Path::ROOT => members.push("\"n\":\"/\"".to_owned()),
            ("", _) => {}
            (name, _) => members.push(format!("\"n\":\"{name}\"")),
        }
        if let Some(time) = record.time {
            members.push(format!("\"t\":{time}"));
        }
        members.extend(record.value.as_ref().map(|value| member(value, style)));
        format!("{{{}}}", members.join(","))
    });
    let objects: Vec<String> = objects.collect();
    format!("[{}]", objects.join(",")).into_bytes()
}

/// The key and the value.
fn member(value: &Value, style: Style) -> String {
    match value {
        Value::String(text) | Value::CoreLink(text) => format!("\"vs\":{}", quote(text)),
        Value::Boolean(set) => format!("\"vb\":{set}"),
        Value::Opaque(bytes) => format!("\"vd\":\"{}\"", URL_SAFE_NO_PAD.encode(bytes)),
        Value::ObjectLink(link) => format!("\"vlo\":\"{link}\""),
        Value::Integer(_) | Value::Unsigned(_) | Value::Time(_) | Value::Float(_) => {
            format!("\"v\":{}", value.to_text(style.float_text))
        }
    }
}

pub(super) fn decode(
    payload: &[u8],
    wanted: Wanted,
    registry: &Registry,
) -> Result<Vec<Record>, DecodeError> {
    let mut scanner = Scanner::new(payload, Format::SenmlJson);
    let mut pack = Pack::new(Format::SenmlJson, wanted, registry);
    scanner.expect(b'[', "an array of records")?;
    let mut first = true;
    while scanner.more(&mut first, b']')? {
        pack.push(record(&mut scanner)?)?;
    }
    scanner.end()?;
    Ok(pack.finish())
}

fn record(scanner: &mut Scanner<'_>) -> Result<Fields, DecodeError> {
    let mut fields = Fields {
        at: scanner.at(),
        ..Fields::default()
    };
    scanner.expect(b'{', "a record in braces")?;
    let mut first = true;
    while scanner.more(&mut first, b'}')? {
        let at = scanner.at();
        let key = scanner.key()?;
        let value_at = scanner.at();
        let seen = match key.as_str() {
            "bn" => fields.base_name.replace(scanner.string()?).is_some(),
            "bt" => fields.base_time.replace(float(scanner)?).is_some(),
            "n" => fields.name.replace(scanner.string()?).is_some(),
            "t" => fields.time.replace(float(scanner)?).is_some(),
            "v" | "vs" | "vb" | "vd" | "vlo" => {
                let value = scalar(scanner, &key)?;
                fields.value.replace((value, value_at)).is_some()
            }
            "bver" => {
                let version = float(scanner)?;
                if version > VERSION {
                    let found = format!("version {version}");
                    return Err(scanner.error(value_at, found, "version 10"));
                }
                false
            }
            // They would be added to what is read here.
            "bv" | "bs" => {
                return Err(scanner.error(at, format!("`{key}`"), "whole values in `v`"));
            }
            _ if key.ends_with('_') => {
                let expected = "only keys that need not be understood";
                return Err(scanner.error(at, super::typed::quoted(&key), expected));
            }
            _ => {
                scanner.value()?;
                false
            }
        };
        if seen {
            let found = format!("`{key}`, the second of its kind");
            return Err(scanner.error(at, found, "one name, time and value"));
        }
    }
    Ok(fields)
}

pub(super) fn float(scanner: &mut Scanner<'_>) -> Result<f64, DecodeError> {
    Ok(scanner.number()?.number().unwrap_or_default())
}

fn scalar(scanner: &mut Scanner<'_>, key: &str) -> Result<Scalar, DecodeError> {
    Ok(match key {
        "v" => Scalar::Number(scanner.number()?),
        "vs" => Scalar::Text(scanner.string()?),
        "vb" => Scalar::Boolean(scanner.boolean()?),
        "vlo" => Scalar::Link(scanner.string()?),
        _ => {
            let at = scanner.at();
            let text = scanner.string()?;
            let engine = match text.contains(['+', '/']) {
                true => &STANDARD,
                false => &URL_SAFE,
            };
            let bytes = engine.decode(&text).map_err(|error| {
                scanner.error(at, error.to_string(), "Base64 in its form for URLs")
            })?;
            Scalar::Bytes(bytes)
        }
    })
}
