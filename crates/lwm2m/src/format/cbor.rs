//! application/cbor: the value of one resource, and arrays of values (LwM2M 1.1 Core §7.4; RFC 8949).
//!
//! Floats are floats here also where they are whole: CBOR has both, and a peer may tell them apart.

use minicbor::data::{Tag, Type as Cbor};
use minicbor::{Decoder, Encoder};

use super::tree::{expect_resource, only};
use super::typed::{Scalar, from_scalar};
use super::{DecodeError, EncodeError, Format, MAX_RECORDS, Record, Style};
use crate::model::Registry;
use crate::path::Path;
use crate::value::Value;

/// The tag of a decimal fraction.
const DECIMAL: Tag = Tag::new(4);

/// What is written: nothing fails in memory.
pub(super) type Writer = Encoder<Vec<u8>>;

/// Unwraps what cannot fail.
pub(super) fn done<T>(result: Result<T, minicbor::encode::Error<core::convert::Infallible>>) {
    match result {
        Ok(_) => {}
        Err(error) => unreachable!("a vector takes everything: {error}"),
    }
}

/// A pull parser that says where it is.
pub(super) struct Reader<'a> {
    pub(super) cbor: Decoder<'a>,
    format: Format,
}

impl<'a> Reader<'a> {
    pub(super) fn new(payload: &'a [u8], format: Format) -> Reader<'a> {
        Reader {
            cbor: Decoder::new(payload),
            format,
        }
    }

    /// Bytes from the payload's beginning.
    pub(super) fn at(&self) -> usize {
        self.cbor.position()
    }

    /// The error that something else was expected at `at`.
    pub(super) fn error(&self, at: usize, found: String, expected: &'static str) -> DecodeError {
        DecodeError::Syntax {
            format: self.format,
            at,
            found,
            expected,
        }
    }

    /// Something that the parser reads, named `expected`.
    pub(super) fn read<T>(
        &mut self,
        expected: &'static str,
        what: impl FnOnce(&mut Decoder<'a>) -> Result<T, minicbor::decode::Error>,
    ) -> Result<T, DecodeError> {
        let at = self.at();
        what(&mut self.cbor).map_err(|error| match error.is_end_of_input() {
            true => self.error(at, "the end of the payload".to_owned(), expected),
            false => self.error(at, error.to_string(), expected),
        })
    }

    /// What comes next, behind any tags: they say nothing that the type of a resource does not. Only
    /// that of a decimal fraction changes what is behind it, and counts.
    pub(super) fn peek(&mut self) -> Result<Cbor, DecodeError> {
        loop {
            let at = self.at();
            match self.read("a value", |cbor| cbor.datatype())? {
                Cbor::Tag if self.read("a tag", |cbor| cbor.tag())? == DECIMAL => {
                    self.cbor.set_position(at);
                    return Ok(Cbor::Tag);
                }
                Cbor::Tag => {}
                other => return Ok(other),
            }
        }
    }

    /// A decimal fraction, which SenML may have for a number (RFC 8428 §6; RFC 8949 §3.4.4).
    fn decimal(&mut self) -> Result<Scalar, DecodeError> {
        let at = self.at();
        let expected = "an exponent and a mantissa of 64 bits";
        let (length, exponent, mantissa) = self.read(expected, |cbor| {
            cbor.tag()?;
            Ok((cbor.array()?, cbor.i64()?, cbor.i64()?))
        })?;
        let mut left = length.map(|length| length.saturating_sub(2));
        if length.is_some_and(|length| length < 2) || self.more(&mut left)? {
            return Err(self.error(at, "another array".to_owned(), expected));
        }
        let text = format!("{mantissa}e{exponent}");
        let number = text.parse().unwrap_or(f64::NAN);
        Ok(Scalar::Number(Value::Float(number)))
    }

    /// Whether an array or map goes on, of which so many are left, or nobody knows how many.
    pub(super) fn more(&mut self, left: &mut Option<u64>) -> Result<bool, DecodeError> {
        if let Some(left) = left {
            let more = *left > 0;
            *left = left.saturating_sub(1);
            return Ok(more);
        }
        let ends = self.read("a value or a break", |cbor| cbor.datatype())? == Cbor::Break;
        if ends {
            self.cbor.set_position(self.at() + 1);
        }
        Ok(!ends)
    }

    /// That nothing follows.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        match self.cbor.input().len() - self.at() {
            0 => Ok(()),
            left => Err(self.error(self.at(), format!("{left} bytes"), "the end")),
        }
    }

    /// A text, of one piece or several.
    pub(super) fn text(&mut self) -> Result<String, DecodeError> {
        self.read("a text", |cbor| cbor.str_iter()?.collect())
    }

    /// A number, text, boolean, bytes or null.
    pub(super) fn scalar(&mut self) -> Result<Scalar, DecodeError> {
        let kind = self.peek()?;
        if kind == Cbor::Tag {
            return self.decimal();
        }
        let at = self.at();
        let float = |x: f64| Scalar::Number(Value::Float(x));
        self.read("a number, text, boolean or bytes", |cbor| {
            Ok(match kind {
                Cbor::U8 | Cbor::U16 | Cbor::U32 | Cbor::U64 => Scalar::unsigned(cbor.u64()?),
                Cbor::I8 | Cbor::I16 | Cbor::I32 | Cbor::I64 => {
                    Scalar::Number(Value::Integer(cbor.i64()?))
                }
                Cbor::F16 => float(cbor.f16()?.into()),
                Cbor::F32 => float(cbor.f32()?.into()),
                Cbor::F64 => float(cbor.f64()?),
                Cbor::Bool => Scalar::Boolean(cbor.bool()?),
                Cbor::Null => {
                    cbor.null()?;
                    Scalar::Null
                }
                Cbor::String | Cbor::StringIndef => {
                    Scalar::Text(cbor.str_iter()?.collect::<Result<_, _>>()?)
                }
                Cbor::Bytes | Cbor::BytesIndef => {
                    let pieces: Result<Vec<&[u8]>, _> = cbor.bytes_iter()?.collect();
                    Scalar::Bytes(pieces?.concat())
                }
                other => return Err(minicbor::decode::Error::type_mismatch(other).at(at)),
            })
        })
    }
}

/// Writes a value in the type that CBOR has for it: an object link is a text.
pub(super) fn write(cbor: &mut Writer, value: &Value, style: Style) {
    done(match value {
        Value::String(text) | Value::CoreLink(text) => cbor.str(text),
        Value::Integer(n) | Value::Time(n) => cbor.i64(*n),
        Value::Unsigned(n) => cbor.u64(*n),
        Value::Float(x) => match style.float_size.single(*x) {
            Some(single) => cbor.f32(single),
            None => cbor.f64(*x),
        },
        Value::Boolean(set) => cbor.bool(*set),
        Value::Opaque(bytes) => cbor.bytes(bytes),
        Value::ObjectLink(link) => cbor.str(&link.to_string()),
    });
}

pub(super) fn encode(
    base: &Path,
    records: &[Record],
    style: Style,
) -> Result<Vec<u8>, EncodeError> {
    let value = only(Format::Cbor, base, records)?;
    let mut cbor = Encoder::new(Vec::new());
    write(&mut cbor, value, style);
    Ok(cbor.into_writer())
}

pub(super) fn decode(
    base: &Path,
    payload: &[u8],
    registry: &Registry,
) -> Result<Vec<Record>, DecodeError> {
    expect_resource(base)?;
    let mut reader = Reader::new(payload, Format::Cbor);
    let scalar = reader.scalar()?;
    reader.end()?;
    let value = from_scalar(scalar, *base, 0, registry)?;
    Ok(vec![Record::new(*base, value)])
}

/// Values in their order without their paths, `undefined` where there is none: what object 511
/// (Compact Composite) reads as, and Batch Value in its typed form.
pub fn cbor_array(values: &[Option<Value>], style: Style) -> Vec<u8> {
    let mut cbor = Encoder::new(Vec::new());
    done(cbor.array(values.len() as u64));
    for value in values {
        match value {
            Some(value) => write(&mut cbor, value, style),
            None => done(cbor.undefined()),
        }
    }
    cbor.into_writer()
}

/// The values of the resources at `paths` that [`cbor_array`] wrote, with the types that they have in
/// `registry`.
///
/// # Errors
/// When the payload is no array of exactly so many values, or one is not of its resource's type.
pub fn decode_cbor_array(
    payload: &[u8],
    paths: &[Path],
    registry: &Registry,
) -> Result<Vec<Option<Value>>, DecodeError> {
    let mut reader = Reader::new(payload, Format::Cbor);
    let mut left = reader.read("an array", |cbor| cbor.array())?;
    let mut values = Vec::new();
    while reader.more(&mut left)? {
        let at = reader.at();
        let Some(path) = paths
            .get(values.len())
            .filter(|_| values.len() < MAX_RECORDS)
        else {
            let found = format!("more than {} values", values.len());
            return Err(reader.error(at, found, "a value for each path"));
        };
        if reader.peek()? == Cbor::Undefined {
            reader.read("undefined", |cbor| cbor.undefined())?;
            values.push(None);
            continue;
        }
        let scalar = reader.scalar()?;
        values.push(Some(from_scalar(scalar, *path, at, registry)?));
    }
    reader.end()?;
    match values.len() == paths.len() {
        true => Ok(values),
        false => Err(reader.error(
            reader.at(),
            format!("{} values for {} paths", values.len(), paths.len()),
            "a value for each path",
        )),
    }
}
