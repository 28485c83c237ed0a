//! What the tests of the formats share.

use std::sync::LazyLock;

use lwm2m::format::{Style, decode, encode};
use lwm2m::{Format, Path, Record, Registry, Type, Value};

/// An object that has every type in the order of [`Type::ALL`], single from 0 on and multiple from [`MULTIPLE`] on.
pub const OBJECT: u16 = 1000;

/// The first multiple resource of [`OBJECT`].
pub const MULTIPLE: u16 = 300;

/// The built-in registry and [`OBJECT`].
pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(with_every_type);
    &REGISTRY
}

fn with_every_type() -> Registry {
    let item = |id: u16, ty: &Type, multiplicity: &str| {
        format!(
            "<Item ID=\"{id}\"><Name>{id}</Name><Operations>RW</Operations>\
             <MultipleInstances>{multiplicity}</MultipleInstances><Mandatory>Optional</Mandatory>\
             <Type>{ty}</Type><RangeEnumeration/><Units/></Item>"
        )
    };
    let items = Type::ALL
        .iter()
        .zip(0..)
        .flat_map(|(ty, id)| [item(id, ty, "Single"), item(MULTIPLE + id, ty, "Multiple")]);
    let xml = format!(
        "<LWM2M><Object ObjectType=\"MODefinition\"><Name>All</Name><ObjectID>{OBJECT}</ObjectID>\
         <ObjectURN>urn:oma:lwm2m:x:{OBJECT}</ObjectURN><MultipleInstances>Multiple</MultipleInstances>\
         <Mandatory>Optional</Mandatory><Resources>{}</Resources></Object></LWM2M>",
        items.collect::<String>()
    );
    let mut registry = Registry::built_in();
    for object in lwm2m::model::parse(&xml).unwrap() {
        registry.insert(object);
    }
    registry
}

pub fn path(text: &str) -> Path {
    text.parse().unwrap()
}

pub fn record(at: &str, value: Value) -> Record {
    Record::new(path(at), value)
}

pub fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// Encodes with the default style.
pub fn bytes(format: Format, base: &str, records: &[Record]) -> Vec<u8> {
    encode(format, &path(base), records, Style::default()).unwrap()
}

/// Encodes a format that is text.
pub fn json(format: Format, base: &str, records: &[Record]) -> String {
    String::from_utf8(bytes(format, base, records)).unwrap()
}

/// Decodes with the built-in registry.
pub fn records(format: Format, base: &str, payload: &[u8]) -> Vec<Record> {
    decode(format, &path(base), payload, registry()).unwrap()
}

/// The message of the error that a payload gives.
pub fn error(format: Format, base: &str, payload: &[u8]) -> String {
    let result = decode(format, &path(base), payload, registry());
    result.unwrap_err().to_string()
}

/// Bytes in hexadecimal, with blanks where one likes.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .bytes()
        .filter(|b| !b.is_ascii_whitespace())
        .collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}
