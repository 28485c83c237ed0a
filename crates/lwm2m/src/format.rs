//! Content-Formats: [`Record`]s and the bytes that stand for them (LwM2M 1.1 Core §7.4; 1.0 §6.4).
//!
use crate::path::Path;
use crate::value::{FloatText, Value};

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
    /// The fewest that give the same number again.
    #[default]
    Shortest,
    /// Always 8, as servers do that hold a double.
    Double,
}
