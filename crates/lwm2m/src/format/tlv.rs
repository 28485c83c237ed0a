//! TLV (LwM2M 1.1 Core §7.4.3; 1.0 §6.4.3).
//!
//! ```text
//!   7 6 5 4 3 2 1 0
//!  +---+-+---+-----+---------------+- - - - - - - -+- - - - - - - - -
//!  | K |I| L | len |  ID, 1 or 2 B |  length, L B  |  value
//!  +---+-+---+-----+---------------+- - - - - - - -+- - - - - - - - -
//! ```
//!
//! K: what it is. I: the ID has two bytes. L: bytes of the length; where there are none, `len` is the
//! length.

use super::tree::sorted;
use super::typed::{push, quoted};
use super::{DecodeError, EncodeError, Format, Record, Style};
use crate::model::Registry;
use crate::path::{Level, Path};
use crate::value::{ObjectLink, Type, Value};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Instance = 0,
    ResourceInstance = 1,
    Multiple = 2,
    Resource = 3,
}

/// The longest value, in bytes.
const MAX_LENGTH: usize = (1 << 24) - 1;

/// An entry, and where its value begins in the payload.
#[derive(Clone, Copy)]
struct Entry<'a> {
    kind: Kind,
    id: u16,
    at: usize,
    value_at: usize,
    value: &'a [u8],
}

/// The entries of `bytes`, which begin at byte `at` of the payload.
struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Entries<'a> {
    /// The next one, and none at the end.
    fn next(&mut self) -> Result<Option<Entry<'a>>, DecodeError> {
        let Some((&first, rest)) = self.bytes.split_first() else {
            return Ok(None);
        };
        let at = self.at;
        let short = |found: String, expected| syntax(at, found, expected);
        let (id_size, length_size) = (1 + usize::from(first >> 5 & 1), usize::from(first >> 3 & 3));
        let header = rest.get(..id_size + length_size).ok_or_else(|| {
            short(
                format!(
                    "the payload ends after {} of the header's bytes",
                    rest.len() + 1
                ),
                "an ID and a length",
            )
        })?;
        let (id, length) = header.split_at(id_size);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        let length = match length {
            [] => usize::from(first & 7),
            bytes => number(bytes),
        };
        let value = &rest[header.len()..];
        let value = value.get(..length).ok_or_else(|| {
            short(
                format!("a value of {length} bytes where {} are left", value.len()),
                "a value inside what is around it",
            )
        })?;
        let size = 1 + header.len() + length;
        self.bytes = &self.bytes[size..];
        self.at += size;
        Ok(Some(Entry {
            kind: match first >> 6 {
                0 => Kind::Instance,
                1 => Kind::ResourceInstance,
                2 => Kind::Multiple,
                _ => Kind::Resource,
            },
            id: number(id) as u16,
            at,
            value_at: at + 1 + header.len(),
            value,
        }))
    }
}

impl<'a> Entry<'a> {
    fn inside(&self) -> Entries<'a> {
        Entries {
            bytes: self.value,
            at: self.value_at,
        }
    }
}

fn syntax(at: usize, found: String, expected: &'static str) -> DecodeError {
    DecodeError::Syntax {
        format: Format::Tlv,
        at,
        found,
        expected,
    }
}

fn unexpected(entry: &Entry<'_>, expected: &'static str) -> DecodeError {
    let what = match entry.kind {
        Kind::Instance => "an object instance",
        Kind::ResourceInstance => "a resource instance",
        Kind::Multiple => "a multiple resource",
        Kind::Resource => "a resource",
    };
    syntax(entry.at, format!("{what} of ID {}", entry.id), expected)
}

/// Whether a payload of an object begins with an object instance, as one of a Create need not.
pub(super) fn has_instances(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| first >> 6 == 0)
}

pub(super) fn decode(
    base: &Path,
    payload: &[u8],
    registry: &Registry,
) -> Result<Vec<Record>, DecodeError> {
    let mut entries = Entries {
        bytes: payload,
        at: 0,
    };
    let mut records = Vec::new();
    if base.level() == Level::Root {
        let found = "a message of the whole tree".to_owned();
        return Err(syntax(0, found, "at least an object in the path"));
    }
    while let Some(entry) = entries.next()? {
        match (base.level(), entry.kind) {
            (Level::Object | Level::Instance, Kind::Instance) => {
                instance(
                    &entry,
                    &base.truncated(Level::Object),
                    registry,
                    &mut records,
                )?;
            }
            (Level::Instance, Kind::Resource | Kind::Multiple) => {
                resource(&entry, base, registry, &mut records)?;
            }
            (Level::Resource | Level::ResourceInstance, Kind::Resource | Kind::Multiple) => {
                let instance = base.truncated(Level::Instance);
                resource(&entry, &instance, registry, &mut records)?;
            }
            (Level::Resource | Level::ResourceInstance, Kind::ResourceInstance) => {
                let parent = base.truncated(Level::Resource);
                value(&entry, &parent, registry, &mut records)?;
            }
            (Level::Root | Level::Object, _) => {
                return Err(unexpected(&entry, "an object instance"));
            }
            (Level::Instance, _) => return Err(unexpected(&entry, "a resource")),
            (Level::Resource | Level::ResourceInstance, _) => {
                return Err(unexpected(&entry, "that resource or its instances"));
            }
        }
    }
    Ok(records)
}

/// What an object instance has.
fn instance(
    entry: &Entry<'_>,
    object: &Path,
    registry: &Registry,
    records: &mut Vec<Record>,
) -> Result<(), DecodeError> {
    let path = below(object, entry)?;
    let mut entries = entry.inside();
    if entry.value.is_empty() {
        return push(records, Record::named(path));
    }
    while let Some(entry) = entries.next()? {
        match entry.kind {
            Kind::Resource | Kind::Multiple => resource(&entry, &path, registry, records)?,
            _ => return Err(unexpected(&entry, "a resource")),
        }
    }
    Ok(())
}

/// A resource, single or multiple.
fn resource(
    entry: &Entry<'_>,
    instance: &Path,
    registry: &Registry,
    records: &mut Vec<Record>,
) -> Result<(), DecodeError> {
    if entry.kind == Kind::Resource {
        return value(entry, instance, registry, records);
    }
    let path = below(instance, entry)?;
    let mut entries = entry.inside();
    if entry.value.is_empty() {
        return push(records, Record::named(path));
    }
    while let Some(entry) = entries.next()? {
        match entry.kind {
            Kind::ResourceInstance => value(&entry, &path, registry, records)?,
            _ => return Err(unexpected(&entry, "a resource instance")),
        }
    }
    Ok(())
}

/// A resource or resource instance with its value.
fn value(
    entry: &Entry<'_>,
    parent: &Path,
    registry: &Registry,
    records: &mut Vec<Record>,
) -> Result<(), DecodeError> {
    let path = below(parent, entry)?;
    let ty = registry.type_of(&path).unwrap_or(Type::Opaque);
    let value = of_bytes(entry.value, ty).ok_or_else(|| DecodeError::Value {
        path,
        at: entry.value_at,
        found: match std::str::from_utf8(entry.value) {
            Ok(text) if text.len() > 8 => quoted(text),
            _ => format!("{} bytes, {}", entry.value.len(), hex(entry.value)),
        },
        expected: ty,
    })?;
    push(records, Record::new(path, value))
}

fn below(parent: &Path, entry: &Entry<'_>) -> Result<Path, DecodeError> {
    let path = parent.child(entry.id).filter(|path| !path.is_reserved());
    path.ok_or_else(|| unexpected(entry, "an ID below 65535"))
}

/// The first eight bytes.
fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().take(8).map(|b| format!("{b:02x}"));
    digits.collect::<Vec<_>>().join(" ")
}

/// The value that bytes are; none if they are none of that type.
fn of_bytes(bytes: &[u8], ty: Type) -> Option<Value> {
    let text = || std::str::from_utf8(bytes).ok().map(str::to_owned);
    Some(match ty {
        Type::String => Value::String(text()?),
        Type::CoreLink => Value::CoreLink(text()?),
        Type::Opaque => Value::Opaque(bytes.to_vec()),
        Type::Integer => Value::Integer(signed(bytes)?),
        Type::Time => Value::Time(signed(bytes)?),
        Type::Unsigned => Value::Unsigned(match *bytes {
            [a] => a.into(),
            [a, b] => u16::from_be_bytes([a, b]).into(),
            [a, b, c, d] => u32::from_be_bytes([a, b, c, d]).into(),
            _ => u64::from_be_bytes(bytes.try_into().ok()?),
        }),
        Type::Float => {
            let number = match *bytes {
                [a, b, c, d] => f32::from_be_bytes([a, b, c, d]).into(),
                _ => f64::from_be_bytes(bytes.try_into().ok()?),
            };
            Value::Float(Some(number).filter(|x| x.is_finite())?)
        }
        Type::Boolean => match bytes {
            [0] => Value::Boolean(false),
            [1] => Value::Boolean(true),
            _ => return None,
        },
        Type::ObjectLink => match *bytes {
            [a, b, c, d] => Value::ObjectLink(ObjectLink {
                object: u16::from_be_bytes([a, b]),
                instance: u16::from_be_bytes([c, d]),
            }),
            _ => return None,
        },
    })
}

/// A number of 1, 2, 4 or 8 bytes in two's complement.
fn signed(bytes: &[u8]) -> Option<i64> {
    Some(match *bytes {
        [a] => (a as i8).into(),
        [a, b] => i16::from_be_bytes([a, b]).into(),
        [a, b, c, d] => i32::from_be_bytes([a, b, c, d]).into(),
        _ => i64::from_be_bytes(bytes.try_into().ok()?),
    })
}

pub(super) fn encode(
    base: &Path,
    records: &[Record],
    style: Style,
) -> Result<Vec<u8>, EncodeError> {
    if base.level() == Level::Root {
        return Err(EncodeError::NoForm {
            format: Format::Tlv,
            path: *base,
            found: "several objects".to_owned(),
            expected: "a path of at least an object",
        });
    }
    let mut payload = Vec::new();
    let records = sorted(records);
    if base.level() >= Level::Instance {
        resources(&records, base.level(), style, &mut payload)?;
        return Ok(payload);
    }
    for group in records.chunk_by(|a, b| a.path.instance_id() == b.path.instance_id()) {
        let path = group[0].path.truncated(Level::Instance);
        let Some(id) = path.instance_id() else {
            // The object itself, of which there is nothing to say.
            continue;
        };
        let mut inside = Vec::new();
        resources(group, Level::Instance, style, &mut inside)?;
        entry(Kind::Instance, id, &inside, &path, &mut payload)?;
    }
    Ok(payload)
}

/// Records of one instance, for a message of that level.
fn resources(
    records: &[&Record],
    level: Level,
    style: Style,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    for group in records.chunk_by(|a, b| a.path.resource_id() == b.path.resource_id()) {
        let path = group[0].path.truncated(Level::Resource);
        let Some(id) = path.resource_id() else {
            // The instance itself: what is around this says so.
            continue;
        };
        let mut instances = Vec::new();
        for record in group {
            let Some(value) = &record.value else { continue };
            let (kind, id) = match record.path.resource_instance_id() {
                Some(riid) => (Kind::ResourceInstance, riid),
                None => (Kind::Resource, id),
            };
            entry(
                kind,
                id,
                &bytes_of(value, style),
                &record.path,
                &mut instances,
            )?;
        }
        let single = group[0].path.level() == Level::Resource && group[0].value.is_some();
        match single || level == Level::ResourceInstance {
            true => out.extend(instances),
            false => entry(Kind::Multiple, id, &instances, &path, out)?,
        }
    }
    Ok(())
}

/// Writes an entry with the shortest header.
fn entry(
    kind: Kind,
    id: u16,
    value: &[u8],
    path: &Path,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let length = value.len();
    let length_size = match length {
        0..8 => 0,
        8..0x100 => 1,
        0x100..0x1_0000 => 2,
        _ if length <= MAX_LENGTH => 3,
        _ => {
            return Err(EncodeError::NoForm {
                format: Format::Tlv,
                path: *path,
                found: format!("{length} bytes"),
                expected: "at most 16777215",
            });
        }
    };
    let wide = id > 0xff;
    let inline = if length_size == 0 { length as u8 } else { 0 };
    out.push((kind as u8) << 6 | u8::from(wide) << 5 | (length_size as u8) << 3 | inline);
    out.extend(&id.to_be_bytes()[usize::from(!wide)..]);
    out.extend(&(length as u32).to_be_bytes()[4 - length_size..]);
    out.extend(value);
    Ok(())
}

fn bytes_of(value: &Value, style: Style) -> Vec<u8> {
    match value {
        Value::String(text) | Value::CoreLink(text) => text.clone().into_bytes(),
        Value::Opaque(bytes) => bytes.clone(),
        Value::Boolean(set) => vec![u8::from(*set)],
        Value::Integer(n) | Value::Time(n) => {
            let size = [1, 2, 4].into_iter().find(|size| {
                let bits = 64 - 8 * size;
                n << bits >> bits == *n
            });
            n.to_be_bytes()[8 - size.unwrap_or(8)..].to_vec()
        }
        Value::Unsigned(n) => {
            let size = [1, 2, 4].into_iter().find(|size| n >> (8 * size) == 0);
            n.to_be_bytes()[8 - size.unwrap_or(8)..].to_vec()
        }
        Value::Float(x) => match style.float_size.single(*x) {
            Some(single) => single.to_be_bytes().to_vec(),
            None => x.to_be_bytes().to_vec(),
        },
        Value::ObjectLink(link) => {
            [link.object.to_be_bytes(), link.instance.to_be_bytes()].concat()
        }
    }
}
