//! text/plain and application/octet-stream: the value of one resource (LwM2M 1.1 Core §7.4.1, §7.4.2).

use super::tree::{expect_resource, named, only};
use super::typed::from_text;
use super::{DecodeError, EncodeError, Format, Record, Style};
use crate::model::Registry;
use crate::path::Path;
use crate::value::{Type, Value};

pub(super) fn encode(
    base: &Path,
    records: &[Record],
    style: Style,
) -> Result<Vec<u8>, EncodeError> {
    let value = only(Format::Text, base, records)?;
    Ok(value.to_text(style.float_text).into_bytes())
}

pub(super) fn decode(
    base: &Path,
    payload: &[u8],
    registry: &Registry,
) -> Result<Vec<Record>, DecodeError> {
    expect_resource(base)?;
    let text = std::str::from_utf8(payload).map_err(|error| DecodeError::Syntax {
        format: Format::Text,
        at: error.valid_up_to(),
        found: "no UTF-8".to_owned(),
        expected: "UTF-8",
    })?;
    Ok(vec![Record::new(
        *base,
        from_text(text, *base, 0, registry)?,
    )])
}

pub(super) fn encode_opaque(base: &Path, records: &[Record]) -> Result<Vec<u8>, EncodeError> {
    match only(Format::Opaque, base, records)? {
        Value::Opaque(bytes) => Ok(bytes.clone()),
        value => Err(EncodeError::NoForm {
            format: Format::Opaque,
            path: *base,
            found: named(value.ty()),
            expected: "type Opaque",
        }),
    }
}

pub(super) fn decode_opaque(
    base: &Path,
    payload: &[u8],
    registry: &Registry,
) -> Result<Vec<Record>, DecodeError> {
    expect_resource(base)?;
    match registry.type_of(base) {
        None | Some(Type::Opaque) => Ok(vec![Record::new(*base, Value::Opaque(payload.to_vec()))]),
        Some(expected) => Err(DecodeError::Value {
            path: *base,
            at: 0,
            found: format!("{} bytes without a type", payload.len()),
            expected,
        }),
    }
}
