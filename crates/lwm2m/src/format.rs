//! Content-Formats: [`Record`]s and the bytes that stand for them (LwM2M 1.1 Core §7.4; 1.0 §6.4).
//!
//! What is decoded has the types of a [`Registry`]; a resource that it does not know has the type that
//! the bytes themselves show, which is [`Type::Opaque`](crate::Type::Opaque) in TLV. A float is finite in every
//! format: neither text nor SenML has another.
//!
//! ```
//! use lwm2m::format::{decode, encode, Style};
//! use lwm2m::{Format, Path, Record, Registry, Value};
//!
//! let path = Path::resource(3303, 0, 5700);
//! let records = [Record::new(path, Value::Float(21.5))];
//! let bytes = encode(Format::Tlv, &path, &records, Style::default())?;
//! assert_eq!(bytes, [0xe4, 0x16, 0x44, 0x41, 0xac, 0x00, 0x00]);
//! assert_eq!(decode(Format::Tlv, &path, &bytes, &Registry::built_in())?, records);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cbor;
mod error;
mod json;
mod link;
mod lwm2m_cbor;
mod scan;
mod senml;
mod senml_cbor;
mod senml_json;
mod text;
mod tlv;
mod tree;
mod typed;

use std::fmt;

use crate::model::Registry;
use crate::path::{Level, Path};
use crate::value::{FloatText, Value};

use senml::Wanted;

pub use cbor::{cbor_array, decode_cbor_array};
pub use error::{DecodeError, EncodeError};

/// A Content-Format of LwM2M.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// text/plain, 0: one resource.
    Text,
    /// application/link-format, 40: what there is, without values (RFC 6690).
    Link,
    /// application/octet-stream, 42: one resource of bytes.
    Opaque,
    /// application/cbor, 60: one resource (LwM2M 1.1).
    Cbor,
    /// application/senml+json, 110 (LwM2M 1.1).
    SenmlJson,
    /// application/senml+cbor, 112 (LwM2M 1.1).
    SenmlCbor,
    /// application/vnd.oma.lwm2m+tlv, 11542.
    Tlv,
    /// application/vnd.oma.lwm2m+json, 11543 (LwM2M 1.0).
    Json,
    /// application/vnd.oma.lwm2m+cbor, 11544 (LwM2M 1.2).
    Lwm2mCbor,
}

impl Format {
    /// Every format, in the order of the numbers.
    pub const ALL: [Format; 9] = [
        Format::Text,
        Format::Link,
        Format::Opaque,
        Format::Cbor,
        Format::SenmlJson,
        Format::SenmlCbor,
        Format::Tlv,
        Format::Json,
        Format::Lwm2mCbor,
    ];

    /// Its number in Content-Format and Accept.
    pub const fn number(self) -> u16 {
        match self {
            Format::Text => 0,
            Format::Link => 40,
            Format::Opaque => 42,
            Format::Cbor => 60,
            Format::SenmlJson => 110,
            Format::SenmlCbor => 112,
            Format::Tlv => 11542,
            Format::Json => 11543,
            Format::Lwm2mCbor => 11544,
        }
    }

    /// The format of a number; of 1541 to 1544 too, which clients from before LwM2M 1.0 have for text, TLV,
    /// JSON and opaque.
    pub fn of_number(number: u16) -> Option<Format> {
        match number {
            1541 => Some(Format::Text),
            1542 => Some(Format::Tlv),
            1543 => Some(Format::Json),
            1544 => Some(Format::Opaque),
            _ => Format::ALL.into_iter().find(|f| f.number() == number),
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain",
            Format::Link => "application/link-format",
            Format::Opaque => "application/octet-stream",
            Format::Cbor => "application/cbor",
            Format::SenmlJson => "application/senml+json",
            Format::SenmlCbor => "application/senml+cbor",
            Format::Tlv => "application/vnd.oma.lwm2m+tlv",
            Format::Json => "application/vnd.oma.lwm2m+json",
            Format::Lwm2mCbor => "application/vnd.oma.lwm2m+cbor",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.media_type())
    }
}

/// What a message says of one path.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Of a resource, or of an instance of a multiple one. Without a value: of anything.
    pub path: Path,
    /// Its value. None: it is named only: what a Read-Composite asks for, an object instance without
    /// resources, a multiple resource without instances.
    pub value: Option<Value>,
    /// When the value was had, in seconds: of 1970-01-01T00:00:00Z, or from now on backwards where it is less than
    /// 2^28 (RFC 8428 §4.5.3); if it is said.
    pub time: Option<f64>,
}

impl Record {
    /// A value without a time.
    pub fn new(path: Path, value: Value) -> Record {
        Record {
            path,
            value: Some(value),
            time: None,
        }
    }

    /// A path without a value.
    pub fn named(path: Path) -> Record {
        Record {
            path,
            value: None,
            time: None,
        }
    }
}

/// The object instance that a Create asks for (LwM2M 1.1 Core §6.3.5).
#[derive(Clone, Debug, PartialEq)]
pub struct Creation {
    /// The object.
    pub object: u16,
    /// The ID that the instance shall have; none: the client chooses.
    pub instance: Option<u16>,
    /// Its resources, with paths below `/object/instance`; below instance 0 where none is named.
    pub records: Vec<Record>,
}

impl Creation {
    /// The records with the paths that they have below `instance`.
    pub fn at(&self, instance: u16) -> Vec<Record> {
        let moved = |record: &Record| {
            let mut path = Path::instance(self.object, instance);
            for id in record.path.ids().iter().skip(2) {
                path = path.child(*id).unwrap_or(path);
            }
            Record {
                path,
                ..record.clone()
            }
        };
        self.records.iter().map(moved).collect()
    }
}

/// What the encoder may choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// How floats are written in text formats.
    pub float_text: FloatText,
    /// How many bytes floats have in binary formats.
    pub float_size: FloatSize,
}

/// How many bytes a float has in a binary format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FloatSize {
    /// 4 where that gives the same number again, else 8.
    #[default]
    Shortest,
    /// Always 8, as servers do that hold a double.
    Double,
}

impl FloatSize {
    /// The number in 4 bytes, where those shall be written.
    fn single(self, x: f64) -> Option<f32> {
        let single = x as f32;
        (self == FloatSize::Shortest && f64::from(single) == x).then_some(single)
    }
}

/// The most records that a payload may have. A longer one would take memory far beyond its own size.
pub const MAX_RECORDS: usize = 1 << 16;

/// The payload of a message at `base` that says `records`. What the format cannot say is left out only
/// where it says nothing: a record without a value is written in TLV and LwM2M CBOR, named as a link in the link
/// format, and left out elsewhere.
///
/// # Errors
/// When a record is not at or below `base`, has a value that the format has no form for, a time that it cannot
/// say, or stands twice; and when there is not exactly one value in a format for one resource.
pub fn encode(
    format: Format,
    base: &Path,
    records: &[Record],
    style: Style,
) -> Result<Vec<u8>, EncodeError> {
    tree::check_encodable(format, base, records)?;
    match format {
        Format::Text => text::encode(base, records, style),
        Format::Opaque => text::encode_opaque(base, records),
        Format::Cbor => cbor::encode(base, records, style),
        Format::Tlv => tlv::encode(base, records, style),
        Format::Link => Ok(link::encode(records)),
        Format::Json => Ok(json::encode(base, records, style)),
        Format::Lwm2mCbor => Ok(lwm2m_cbor::encode(records, Wanted::Values, style)),
        Format::SenmlJson => Ok(senml_json::encode(base, &with_values(records), style)),
        Format::SenmlCbor => Ok(senml_cbor::encode(base, &with_values(records), style)),
    }
}

/// What SenML can say: a record without a value would be a question.
fn with_values(records: &[Record]) -> Vec<Record> {
    let valued = |record: &&Record| record.value.is_some();
    records.iter().filter(valued).cloned().collect()
}

/// What a Read-Composite, or an Observe-Composite, asks for (LwM2M 1.1 Core §6.3.8).
///
/// # Errors
/// When a path is there twice, and in other formats than SenML and LwM2M CBOR.
pub fn encode_paths(format: Format, paths: &[Path]) -> Result<Vec<u8>, EncodeError> {
    let records: Vec<Record> = paths.iter().copied().map(Record::named).collect();
    if let Some(path) = tree::repeated(&records) {
        return Err(EncodeError::Twice(path));
    }
    let style = Style::default();
    match format {
        Format::SenmlJson => Ok(senml_json::encode(&Path::ROOT, &records, style)),
        Format::SenmlCbor => Ok(senml_cbor::encode(&Path::ROOT, &records, style)),
        Format::Lwm2mCbor => lwm2m_cbor::encode_paths(&records),
        _ => Err(EncodeError::Unsupported { format }),
    }
}

/// The paths that a Read-Composite asks for.
///
/// # Errors
/// As [`decode`]; when a record has a value, and in other formats than SenML and LwM2M CBOR.
pub fn decode_paths(format: Format, payload: &[u8]) -> Result<Vec<Path>, DecodeError> {
    let (wanted, registry) = (Wanted::Paths, Registry::new());
    let records = match format {
        Format::SenmlJson => senml_json::decode(payload, wanted, &registry),
        Format::SenmlCbor => senml_cbor::decode(payload, wanted, &registry),
        Format::Lwm2mCbor => {
            let records = lwm2m_cbor::decode(payload, wanted, &registry)?;
            // A key has one value: null, or what is below it.
            tree::check_decoded(&Path::ROOT, &records)?;
            Ok(records)
        }
        _ => Err(DecodeError::Unsupported { format }),
    }?;
    match tree::repeated(&records) {
        Some(path) => Err(DecodeError::Twice(path)),
        None => Ok(records.iter().map(|record| record.path).collect()),
    }
}

/// The records that a payload of a message at `base` says: every path is at or below it, and none is there
/// twice, unless with different times.
///
/// # Errors
/// When the payload is not of the format, a value not of the type of its resource, a path not at or below
/// `base`; for [`Format::Link`], which has no values.
pub fn decode(
    format: Format,
    base: &Path,
    payload: &[u8],
    registry: &Registry,
) -> Result<Vec<Record>, DecodeError> {
    let records = match format {
        Format::Text => text::decode(base, payload, registry),
        Format::Opaque => text::decode_opaque(base, payload, registry),
        Format::Cbor => cbor::decode(base, payload, registry),
        Format::Tlv => tlv::decode(base, payload, registry),
        Format::Json => json::decode(base, payload, registry),
        Format::SenmlJson => senml_json::decode(payload, Wanted::Values, registry),
        Format::SenmlCbor => senml_cbor::decode(payload, Wanted::Values, registry),
        Format::Lwm2mCbor => lwm2m_cbor::decode(payload, Wanted::Values, registry),
        Format::Link => Err(DecodeError::Unsupported { format }),
    }?;
    tree::check_decoded(base, &records)?;
    Ok(records)
}

/// The payload of a Create.
///
/// # Errors
/// As [`encode`]; when no instance is named in another format than TLV, which alone can leave that to the client; and when one is
/// named without resources in a format whose payloads are values.
pub fn encode_create(
    format: Format,
    creation: &Creation,
    style: Style,
) -> Result<Vec<u8>, EncodeError> {
    let object = Path::object(creation.object);
    let instance = Path::instance(creation.object, creation.instance.unwrap_or(0));
    if let Some(record) = (creation.records.iter()).find(|r| !instance.contains(&r.path)) {
        return Err(EncodeError::Outside {
            path: record.path,
            base: instance,
        });
    }
    match creation.instance {
        None if creation.records.is_empty() => Ok(Vec::new()),
        None if format == Format::Tlv => encode(format, &instance, &creation.records, style),
        None => Err(EncodeError::NoInstance { format }),
        Some(_) if creation.records.is_empty() => match format {
            Format::Tlv | Format::Lwm2mCbor => {
                encode(format, &object, &[Record::named(instance)], style)
            }
            _ => Err(EncodeError::NoResources { format }),
        },
        Some(_) => encode(format, &object, &creation.records, style),
    }
}

/// What a Create with that payload asks for. No payload asks for an instance without resources.
///
/// # Errors
/// As [`decode`]; and when the payload names more than one instance.
pub fn decode_create(
    format: Format,
    object: u16,
    payload: &[u8],
    registry: &Registry,
) -> Result<Creation, DecodeError> {
    let mut creation = Creation {
        object,
        instance: None,
        records: Vec::new(),
    };
    if payload.is_empty() {
        return Ok(creation);
    }
    if format == Format::Tlv && !tlv::has_instances(payload) {
        creation.records = decode(format, &Path::instance(object, 0), payload, registry)?;
        return Ok(creation);
    }
    creation.records = decode(format, &Path::object(object), payload, registry)?;
    for record in &creation.records {
        match (creation.instance, record.path.instance_id()) {
            (None, id) => creation.instance = id,
            (Some(first), Some(id)) if first == id => {}
            (Some(first), _) => {
                return Err(DecodeError::Outside {
                    path: record.path,
                    base: Path::instance(object, first),
                });
            }
        }
    }
    // An instance that is only named has no resources.
    (creation.records).retain(|record| record.path.level() > Level::Instance);
    Ok(creation)
}
