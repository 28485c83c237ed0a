//! `lwm2m::format`: what a payload of any Content-Format says can be said again, and then says the same.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lwm2m::format::{
    FloatSize, Style, cbor_array, decode, decode_cbor_array, decode_create, decode_paths, encode,
    encode_create, encode_paths,
};
use lwm2m::value::FloatText;
use lwm2m::{Format, Path, Record, Registry, Value};

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::built_in);

/// Nothing is lost with it.
const EXACT: Style = Style {
    float_text: FloatText::Shortest,
    float_size: FloatSize::Double,
};

/// What a message may be of; object 9 is unknown.
const BASES: [&[u16]; 12] = [
    &[],
    &[3],
    &[3, 0],
    &[3, 0, 9],
    &[3, 0, 13],
    &[3, 0, 6],
    &[3, 0, 6, 0],
    &[3303, 0, 5700],
    &[2346, 0, 5914],
    &[5, 0, 0],
    &[9],
    &[9, 0, 0],
];

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (format, base, payload) = input;
    let format = Format::ALL[usize::from(format) % Format::ALL.len()];
    let base = Path::new(BASES[usize::from(base) % BASES.len()]).expect("four IDs at most");
    if let Ok(records) = decode(format, &base, payload, &REGISTRY) {
        assert!(records.iter().all(|record| base.contains(&record.path)));
        let again = encode(format, &base, &records, EXACT).expect("it was said");
        let second = decode(format, &base, &again, &REGISTRY).expect("we wrote it");
        assert_same(records, second);
    }
    if let Ok(paths) = decode_paths(format, payload) {
        // In LwM2M CBOR a map has either what is below it or nothing, never both.
        let again = encode_paths(format, &paths).expect("it was said");
        let mut second = decode_paths(format, &again).expect("we wrote it");
        let mut first = paths;
        first.sort();
        second.sort();
        assert_eq!(first, second);
    }
    if let Ok(creation) = decode_create(format, 3303, payload, &REGISTRY)
        && let Ok(again) = encode_create(format, &creation, EXACT)
    {
        let second = decode_create(format, 3303, &again, &REGISTRY).expect("we wrote it");
        assert_eq!(creation.instance, second.instance);
        assert_same(creation.records, second.records);
    }
    let paths = [base, Path::resource(3303, 0, 5700), Path::resource(3, 0, 9)];
    if let Ok(values) = decode_cbor_array(payload, &paths, &REGISTRY) {
        let again = cbor_array(&values, EXACT);
        assert_eq!(decode_cbor_array(&again, &paths, &REGISTRY), Ok(values));
    }
});

/// In the order of the tree; a number of a resource that nobody knows may have another type.
fn assert_same(mut first: Vec<Record>, mut second: Vec<Record>) {
    first.sort_by_key(|record| record.path);
    second.sort_by_key(|record| record.path);
    assert_eq!(first.len(), second.len());
    for (a, b) in first.iter().zip(&second) {
        assert_eq!((a.path, a.time), (b.path, b.time));
        let cast = |value: &Value, like: &Value| value.clone().cast(like.ty());
        match (&a.value, &b.value) {
            (Some(a), Some(b)) => assert_eq!(cast(a, b).as_ref(), Some(b)),
            (a, b) => assert_eq!(a, b),
        }
    }
}
