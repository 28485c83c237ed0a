//! Payloads that nobody should send.

use lwm2m::format::{
    DecodeError, EncodeError, FloatSize, MAX_RECORDS, Style, decode, decode_create, decode_paths,
    encode,
};
use lwm2m::value::FloatText;
use lwm2m::{Format, Record, Value};
use proptest::collection::vec;
use proptest::prelude::*;

use super::support::{bytes, path, record, registry};

/// Nothing is lost with it.
const EXACT: Style = Style {
    float_text: FloatText::Shortest,
    float_size: FloatSize::Double,
};

/// Whether two records say the same; a number of a resource that nobody knows may have another type.
fn same(a: &Record, b: &Record) -> bool {
    let value = match (&a.value, &b.value) {
        (Some(a), Some(b)) => a.clone().cast(b.ty()).as_ref() == Some(b),
        (a, b) => a == b,
    };
    (a.path, a.time) == (b.path, b.time) && value
}

/// That what a payload says can be said again.
fn check(format: Format, base: &str, payload: &[u8]) -> Result<(), TestCaseError> {
    let (base, registry) = (path(base), registry());
    // Whatever they give, they give it.
    let _ = (
        decode_paths(format, payload),
        decode_create(format, 3303, payload, registry),
    );
    let Ok(mut first) = decode(format, &base, payload, registry) else {
        return Ok(());
    };
    let again = encode(format, &base, &first, EXACT).unwrap();
    let mut second = decode(format, &base, &again, registry).unwrap();
    first.sort_by_key(|record| record.path);
    second.sort_by_key(|record| record.path);
    prop_assert_eq!(first.len(), second.len());
    for (a, b) in first.iter().zip(&second) {
        prop_assert!(same(a, b), "{:?} and {:?}", a, b);
    }
    Ok(())
}

const BASES: [&str; 9] = [
    "/",
    "/3",
    "/3/0",
    "/3/0/9",
    "/3/0/6/0",
    "/3303/0/5700",
    "/9/0/0",
    "/1000",
    "/1000/0/5",
];

/// JSON that is nearly right.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\"bn\":",
        "\"n\":",
        "\"v\":",
        "\"vs\":",
        "\"sv\":",
        "\"e\":[",
        "\"t\":",
        "\"bt\":",
        "\"/3/0\"",
        "\"/9\"",
        "\"3\"",
        "1",
        "-2.5",
        "1e400",
        "true",
        "null",
        "\"\\u0000\"",
        "},{",
        "\"x\":",
        "\"x_\":",
        "{\"bn\":\"/3/0/9\",",
        "[{\"n\":\"/3/0/",
        "9\",\"v\":7}]",
        " ",
        "\"bver\":10,",
    ]);
    vec(word, 0..12).prop_map(|words| words.concat().into_bytes())
}

/// CBOR or TLV that is nearly right.
fn nearly_binary() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &[0x81u8][..],
        &[0x9f],
        &[0xff],
        &[0xa2],
        &[0xa1],
        &[0xbf],
        &[0x00],
        &[0x02, 0x07],
        &[0x03],
        &[0x09],
        &[0x83, 3, 0, 9],
        &[0x82, 3, 0],
        &[0xc1, 9, 100],
        &[0xc1, 9],
        &[0x08, 0, 3],
        &[0x86, 6, 0x41, 0, 1, 0x41, 1, 5],
        &[0x21, 0x64, 0x2f, 0x33, 0x2f, 0x30],
        &[0x00, 0x62, 0x2f, 0x39],
        &[0x00, 0x66, 0x2f, 0x33, 0x2f, 0x30, 0x2f, 0x39],
        &[0xf9, 0x7c, 0x00],
        &[0xf6],
        &[0xf7],
        &[0xfb],
        &[0x7f, 0x61, 0x41, 0xff],
        &[0x5f, 0xff],
        &[0xc0],
        &[0x80],
        &[0xa0],
        &[0x06],
    ]);
    vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn random_payloads_are_refused_or_can_be_said_again(
        payload in prop_oneof![vec(any::<u8>(), 0..40), nearly_json(), nearly_binary()],
        base in prop::sample::select(&BASES[..]),
    ) {
        for format in Format::ALL {
            check(format, base, &payload)?;
        }
    }

    #[test]
    fn a_changed_payload_is_refused_or_can_be_said_again(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let device = [
            record("/3/0/0", Value::String("wpanlab \"1\"".to_owned())),
            record("/3/0/6/0", Value::Integer(1)),
            record("/3/0/6/1", Value::Integer(700)),
            record("/3/0/9", Value::Integer(100)),
            record("/3/0/13", Value::Time(1_732_800_000)),
        ];
        for format in [Format::SenmlJson, Format::SenmlCbor, Format::Tlv, Format::Json, Format::Lwm2mCbor] {
            let mut payload = bytes(format, "/3/0", &device);
            let at = at.index(payload.len());
            payload[at] = byte;
            check(format, "/3/0", &payload)?;
            payload.truncate(cut.index(payload.len()));
            check(format, "/3/0", &payload)?;
        }
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = 100_000;
    let json = format!("[{{\"n\":\"/3/0/9\",\"v\":1,\"x\":{}", "[".repeat(deep));
    let registry = registry();
    let of = |format, payload: &[u8]| decode(format, &path("/"), payload, registry);
    assert!(matches!(
        of(Format::SenmlJson, json.as_bytes()),
        Err(DecodeError::Syntax { .. })
    ));
    // An unknown key with arrays in arrays: whole, and cut off.
    let nested = [
        &[0x81, 0xa3, 0x00, 0x66][..],
        b"/3/0/9",
        &[0x02, 0x01, 0x61, b'x'],
        &vec![0x81; deep],
    ]
    .concat();
    assert!(of(Format::SenmlCbor, &nested).is_err());
    let whole = [&nested[..], &[0x00]].concat();
    assert_eq!(
        of(Format::SenmlCbor, &whole),
        Ok(vec![record("/3/0/9", Value::Integer(1))])
    );
    let maps = [0xa1, 0x00].repeat(deep);
    assert!(of(Format::Lwm2mCbor, &maps).is_err());
    // A length that is only announced takes no memory.
    for payload in [
        &[0x9b, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
        &[0xbb, 0xff, 0, 0, 0, 0, 0, 0, 0],
    ] {
        for format in [Format::SenmlCbor, Format::Lwm2mCbor, Format::Cbor] {
            assert!(of(format, payload).is_err());
        }
    }
    let long = format!("[{{\"bn\":\"/{}\",\"v\":1}}]", "0".repeat(1 << 20));
    assert!(matches!(
        of(Format::SenmlJson, long.as_bytes()),
        Err(DecodeError::Name { at: 1, .. })
    ));
}

#[test]
fn more_records_than_a_message_may_have_are_refused() {
    let registry = registry();
    let tlv = [0x41, 0, 1].repeat(MAX_RECORDS + 1);
    let json = format!(
        "{{\"e\":[{}{{\"v\":1}}]}}",
        "{\"v\":1},".repeat(MAX_RECORDS)
    );
    for (format, payload) in [(Format::Tlv, tlv), (Format::Json, json.into_bytes())] {
        let result = decode(format, &path("/3/0/6"), &payload, registry);
        assert_eq!(result, Err(DecodeError::TooMany));
    }
}

#[test]
fn what_has_no_form_is_refused() {
    let float = |x| [record("/3303/0/5700", Value::Float(x))];
    let of = |format, base: &str, records: &[Record]| {
        encode(format, &path(base), records, Style::default())
    };
    for format in Format::ALL.into_iter().filter(|f| *f != Format::Link) {
        for x in [f64::NAN, f64::INFINITY] {
            let result = of(format, "/3303/0/5700", &float(x));
            assert!(
                matches!(result, Err(EncodeError::NoForm { .. })),
                "{format}"
            );
        }
        let result = of(format, "/3304", &float(1.0));
        assert!(matches!(result, Err(EncodeError::Outside { .. })));
    }
    for format in [Format::Text, Format::Opaque, Format::Cbor] {
        let result = of(format, "/3303/0", &float(1.0));
        assert!(matches!(result, Err(EncodeError::NotOne { found: 1, .. })));
        assert!(matches!(
            of(format, "/3/0/9", &[]),
            Err(EncodeError::NotOne { found: 0, .. })
        ));
    }
    let twice = [float(1.0), float(2.0)].concat();
    assert_eq!(
        of(Format::Tlv, "/", &twice),
        Err(EncodeError::Twice(path("/3303/0/5700")))
    );
    let below = [
        record("/3/0/6", Value::Integer(1)),
        record("/3/0/6/0", Value::Integer(1)),
    ];
    assert!(matches!(
        of(Format::SenmlJson, "/", &below),
        Err(EncodeError::Below { .. })
    ));
    assert!(of(Format::Tlv, "/", &float(1.0)).is_err());
    let huge = [record("/5/0/0", Value::Opaque(vec![0; 1 << 24]))];
    assert!(
        of(Format::Tlv, "/5/0/0", &huge)
            .unwrap_err()
            .to_string()
            .contains("16777216 bytes")
    );
    let fits = [record("/5/0/0", Value::Opaque(vec![0; (1 << 24) - 1]))];
    let payload = of(Format::Tlv, "/5/0/0", &fits).unwrap();
    assert_eq!(payload[..5], [0xd8, 0, 0xff, 0xff, 0xff]);
    assert_eq!(
        decode(Format::Tlv, &path("/5/0/0"), &payload, registry()),
        Ok(fits.to_vec())
    );
}

#[test]
fn numbers_of_formats() {
    for format in Format::ALL {
        assert_eq!(Format::of_number(format.number()), Some(format));
    }
    let old = [1541, 1542, 1543, 1544].map(Format::of_number);
    assert_eq!(
        old,
        [Format::Text, Format::Tlv, Format::Json, Format::Opaque].map(Some)
    );
    assert_eq!(Format::of_number(1545), None);
}
