//! application/senml+cbor (RFC 8428 §6; LwM2M 1.1 Core §7.4.4).

use minicbor::Encoder;
use minicbor::data::Type as Cbor;

use super::cbor::{Reader, Writer, done, write};
use super::senml::{Fields, Pack, VERSION, Wanted, name_below};
use super::typed::{Scalar, quoted};
use super::{DecodeError, FloatSize, Format, Record, Style};
use crate::model::Registry;
use crate::path::Path;
use crate::value::Value;

/// The numbers that stand for keys (RFC 8428 §6, table 4).
mod label {
    pub(super) const BASE_VERSION: i64 = -1;
    pub(super) const BASE_NAME: i64 = -2;
    pub(super) const BASE_TIME: i64 = -3;
    pub(super) const BASE_VALUE: i64 = -5;
    pub(super) const BASE_SUM: i64 = -6;
    pub(super) const NAME: i64 = 0;
    pub(super) const VALUE: i64 = 2;
    pub(super) const STRING: i64 = 3;
    pub(super) const BOOLEAN: i64 = 4;
    pub(super) const TIME: i64 = 6;
    pub(super) const DATA: i64 = 8;
}

/// LwM2M's own key has no number.
const OBJECT_LINK: &str = "vlo";

pub(super) fn encode(base: &Path, records: &[Record], style: Style) -> Vec<u8> {
    let mut cbor = Encoder::new(Vec::new());
    done(cbor.array(records.len() as u64));
    let mut base_name = Some(*base).filter(|base| *base != Path::ROOT);
    for record in records {
        let name = match name_below(base, &record.path) {
            name if name.is_empty() && *base == Path::ROOT => "/".to_owned(),
            name => name,
        };
        let base_name = base_name.take();
        let members = u64::from(base_name.is_some())
            + u64::from(!name.is_empty())
            + u64::from(record.time.is_some())
            + u64::from(record.value.is_some());
        done(cbor.map(members));
        if let Some(base) = base_name {
            done(
                cbor.i64(label::BASE_NAME)
                    .and_then(|c| c.str(&base.to_string())),
            );
        }
        if !name.is_empty() {
            done(cbor.i64(label::NAME).and_then(|c| c.str(&name)));
        }
        if let Some(time) = record.time {
            done(cbor.i64(label::TIME));
            write_number(&mut cbor, time, style);
        }
        if let Some(value) = &record.value {
            write_member(&mut cbor, value, style);
        }
    }
    cbor.into_writer()
}

/// Writes the key and the value.
fn write_member(cbor: &mut Writer, value: &Value, style: Style) {
    done(match value {
        Value::String(_) | Value::CoreLink(_) => cbor.i64(label::STRING),
        Value::Boolean(_) => cbor.i64(label::BOOLEAN),
        Value::Opaque(_) => cbor.i64(label::DATA),
        Value::ObjectLink(_) => cbor.str(OBJECT_LINK),
        Value::Integer(_) | Value::Unsigned(_) | Value::Time(_) | Value::Float(_) => {
            cbor.i64(label::VALUE)
        }
    });
    match value {
        Value::Float(x) => write_number(cbor, *x, style),
        other => write(cbor, other, style),
    }
}

/// A number is a number in SenML: a whole one is written as an integer, which is shorter, unless floats shall
/// have eight bytes.
fn write_number(cbor: &mut Writer, x: f64, style: Style) {
    let whole = x.fract() == 0.0 && x.abs() <= 2f64.powi(53);
    match whole && style.float_size == FloatSize::Shortest {
        true => done(cbor.i64(x as i64)),
        false => write(cbor, &Value::Float(x), style),
    }
}

/// A key.
enum Key {
    Label(i64),
    Text(String),
}

pub(super) fn decode(
    payload: &[u8],
    wanted: Wanted,
    registry: &Registry,
) -> Result<Vec<Record>, DecodeError> {
    let mut reader = Reader::new(payload, Format::SenmlCbor);
    let mut pack = Pack::new(Format::SenmlCbor, wanted, registry);
    let mut left = reader.read("an array of records", |cbor| cbor.array())?;
    while reader.more(&mut left)? {
        pack.push(record(&mut reader)?)?;
    }
    reader.end()?;
    Ok(pack.finish())
}

fn record(reader: &mut Reader<'_>) -> Result<Fields, DecodeError> {
    let mut fields = Fields {
        at: reader.at(),
        ..Fields::default()
    };
    let mut left = reader.read("a record, a map", |cbor| cbor.map())?;
    while reader.more(&mut left)? {
        let at = reader.at();
        let key = key(reader)?;
        let value_at = reader.at();
        let seen = match key {
            Key::Label(label::BASE_NAME) => fields.base_name.replace(reader.text()?).is_some(),
            Key::Label(label::BASE_TIME) => fields.base_time.replace(number(reader)?).is_some(),
            Key::Label(label::NAME) => fields.name.replace(reader.text()?).is_some(),
            Key::Label(label::TIME) => fields.time.replace(number(reader)?).is_some(),
            Key::Label(label @ (label::VALUE | label::STRING | label::BOOLEAN | label::DATA)) => {
                let value = scalar(reader, label)?;
                fields.value.replace((value, value_at)).is_some()
            }
            Key::Text(key) if key == OBJECT_LINK => {
                let value = Scalar::Link(reader.text()?);
                fields.value.replace((value, value_at)).is_some()
            }
            Key::Label(label::BASE_VERSION) => {
                let version = number(reader)?;
                if version > VERSION {
                    let found = format!("version {version}");
                    return Err(reader.error(value_at, found, "version 10"));
                }
                false
            }
            // They would be added to what is read here.
            Key::Label(label @ (label::BASE_VALUE | label::BASE_SUM)) => {
                return Err(reader.error(at, format!("label {label}"), "whole values in `v`"));
            }
            Key::Text(key) if key.ends_with('_') => {
                let expected = "only keys that need not be understood";
                return Err(reader.error(at, quoted(&key), expected));
            }
            Key::Label(_) | Key::Text(_) => {
                reader.read("a value", |cbor| cbor.skip())?;
                false
            }
        };
        if seen {
            let found = "a second one of its kind".to_owned();
            return Err(reader.error(at, found, "one name, time and value"));
        }
    }
    Ok(fields)
}

fn key(reader: &mut Reader<'_>) -> Result<Key, DecodeError> {
    match reader.peek()? {
        Cbor::String | Cbor::StringIndef => Ok(Key::Text(reader.text()?)),
        _ => Ok(Key::Label(reader.read("a key", |cbor| cbor.i64())?)),
    }
}

fn number(reader: &mut Reader<'_>) -> Result<f64, DecodeError> {
    let at = reader.at();
    match reader.scalar()? {
        Scalar::Number(value) => Ok(value.number().unwrap_or_default()),
        other => Err(reader.error(at, other.describe(), "a number")),
    }
}

/// A value of the kind that its label announces.
fn scalar(reader: &mut Reader<'_>, label: i64) -> Result<Scalar, DecodeError> {
    let at = reader.at();
    let scalar = reader.scalar()?;
    let (fits, expected) = match label {
        label::VALUE => (matches!(scalar, Scalar::Number(_)), "a number"),
        label::STRING => (matches!(scalar, Scalar::Text(_)), "a text"),
        label::BOOLEAN => (matches!(scalar, Scalar::Boolean(_)), "true or false"),
        _ => (matches!(scalar, Scalar::Bytes(_)), "bytes"),
    };
    match fits {
        true => Ok(scalar),
        false => Err(reader.error(at, scalar.describe(), expected)),
    }
}
