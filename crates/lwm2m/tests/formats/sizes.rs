//! Sizes of payloads as the paper's tables IV and V and its figure 4 have them, and those of the ways
//! that OMA has standardised since.

use lwm2m::format::{Creation, FloatSize, Style, cbor_array, encode, encode_create, encode_paths};
use lwm2m::value::FloatText;
use lwm2m::{Format, Path, Record, Value};

use super::support::{bytes, json, path, record, text};

/// The six resources of the paper's table V, and their values.
const SIX: [(&str, f64); 5] = [
    ("/3303/0/5700", 21.5),
    ("/3304/0/5700", 48.0),
    ("/3360/0/5702", 3.25),
    ("/3360/0/5703", 7.125),
    ("/3360/0/5704", 1.2),
];
const BATTERY: &str = "/3/0/9";

/// What clients of 2018 printed.
const PAPER: Style = Style {
    float_text: FloatText::SixDecimals,
    float_size: FloatSize::Double,
};

fn six() -> Vec<Record> {
    let floats = SIX.iter().map(|(at, x)| record(at, Value::Float(*x)));
    floats
        .chain([record(BATTERY, Value::Integer(100))])
        .collect()
}

fn links() -> Vec<Value> {
    let paths = SIX.iter().map(|(at, _)| *at).chain([BATTERY]);
    paths.map(text).collect()
}

/// Values as instances of a multiple resource.
fn multiple(at: &str, values: impl IntoIterator<Item = Value>) -> Vec<Record> {
    let instances = values.into_iter().zip(0..);
    let instance = |(value, riid)| Record::new(path(at).child(riid).unwrap(), value);
    instances.map(instance).collect()
}

fn create(object: u16, records: Vec<Record>) -> Vec<u8> {
    let creation = Creation {
        object,
        instance: None,
        records,
    };
    encode_create(Format::Tlv, &creation, Style::default()).unwrap()
}

fn six_texts() -> Vec<Record> {
    let values = six().into_iter().filter_map(|record| record.value);
    let texts = values.map(|value| Value::String(value.to_text(FloatText::SixDecimals)));
    multiple("/2346/0/5914", texts)
}

#[test]
fn a_create_of_six_links_has_87_bytes_and_of_three_49() {
    assert_eq!(create(2346, multiple("/2346/0/5913", links())).len(), 87);
    let positions = links().into_iter().skip(2).take(3);
    assert_eq!(create(2346, multiple("/2346/0/5913", positions)).len(), 49);
    assert_eq!(create(3360, Vec::new()).len(), 0);
}

#[test]
fn a_create_of_notify_has_39_bytes_and_with_six_links_110() {
    let rest = || {
        vec![
            record("/2347/0/5916", Value::Integer(101)),
            record("/2347/0/5917", text("/rd")),
            record("/2347/0/5918", Value::Integer(900)),
            record("/2347/0/5919", Value::Boolean(false)),
            record("/2347/0/5920", Value::Boolean(true)),
        ]
    };
    let mut one = rest();
    one.push(record("/2347/0/5915", text("/2346/0/5914")));
    assert_eq!(create(2347, one).len(), 39);
    let mut all = rest();
    all.extend(multiple("/2347/0/5915", links()));
    assert_eq!(create(2347, all).len(), 110);
}

#[test]
fn an_answer_in_json_has_34_bytes_and_the_value() {
    for record in six() {
        let at = record.path;
        let value = record.value.clone().unwrap();
        let characters = value.to_text(FloatText::SixDecimals).len();
        let fixed = if at == path(BATTERY) { 28 } else { 34 };
        let payload = encode(Format::Json, &at, &[record], PAPER).unwrap();
        assert_eq!(payload.len(), fixed + characters, "{at}");
    }
    let payload = encode(Format::Json, &path(SIX[0].0), &six()[..1], PAPER).unwrap();
    assert_eq!(payload, br#"{"bn":"/3303/0/5700","e":[{"v":21.500000}]}"#);
}

#[test]
fn a_batch_of_six_has_141_bytes_and_the_values_in_json_and_66_in_tlv() {
    let payload = json(Format::Json, "/2346/0/5914", &six_texts());
    assert_eq!(payload.len(), 141 + 45);
    let begins =
        r#"{"bn":"/2346/0/5914","e":[{"n":"/0","sv":"21.500000"},{"n":"/1","sv":"48.000000"},"#;
    assert!(payload.starts_with(begins), "{payload}");
    assert_eq!(bytes(Format::Tlv, "/2346/0/5914", &six_texts()).len(), 66);
}

#[test]
fn a_double_in_tlv_has_12_bytes() {
    for (at, x) in &SIX[2..] {
        let payload = encode(
            Format::Tlv,
            &path(at),
            &[record(at, Value::Float(*x))],
            PAPER,
        );
        assert_eq!(payload.unwrap().len(), 12);
    }
}

#[test]
fn three_texts_written_to_a_batch_have_49_and_48_bytes() {
    // Table IV: W is 32 and the texts' entries; 28 of it are header and options.
    for (characters, w) in [([14, 13, 13], 81), ([14, 13, 12], 80)] {
        let texts = characters.map(|n| text(&"1".repeat(n)));
        let payload = bytes(
            Format::Tlv,
            "/2346/0/5914",
            &multiple("/2346/0/5914", texts),
        );
        assert_eq!(28 + payload.len(), w);
    }
}

#[test]
fn figure_4_has_its_closed_forms() {
    let (get, header) = (27, 16);
    for n in 1..=20 {
        let value = || text("1234");
        let one = |format| {
            let payload = bytes(format, "/3303/0/5701", &[record("/3303/0/5701", value())]);
            get + header + payload.len()
        };
        assert_eq!(n * one(Format::Tlv), 50 * n);
        // As a string; a number needs no quotes and no `s`.
        assert_eq!(n * one(Format::Json), 84 * n);
        let number = [record("/3303/0/5700", Value::Float(21.25))];
        let payload = encode(Format::Json, &number[0].path, &number, Style::default()).unwrap();
        let short = payload.len() - "21.25".len() + 4;
        assert_eq!(n * (get + header + short), 81 * n);
        let payload = encode(Format::Json, &number[0].path, &number, PAPER).unwrap();
        assert_eq!(n * (get + header + payload.len()), 86 * n);

        let values = multiple("/2346/0/5914", (0..n).map(|_| value()));
        let batch = |format| get + header + bytes(format, "/2346/0/5914", &values).len();
        // Six bytes of entry still have their length in the first byte.
        assert_eq!(batch(Format::Tlv), if n == 1 { 52 } else { 47 + 6 * n });
        let two_digits = n.saturating_sub(10);
        assert_eq!(batch(Format::Json), 70 + 23 * n + two_digits);
    }
    for (n, size) in [(42, 47 + 6 * 42), (43, 48 + 6 * 43)] {
        let values = multiple("/2346/0/5914", (0..n).map(|_| text("1234")));
        let payload = bytes(Format::Tlv, "/2346/0/5914", &values);
        assert_eq!(get + header + payload.len(), size);
    }
}

#[test]
fn the_standard_ways_have_their_sizes() {
    let paths: Vec<Path> = six().iter().map(|record| record.path).collect();
    for (format, request, answer) in [
        // 138 and 187, 102 and 134 bytes of CoAP.
        (Format::SenmlJson, 121, 172),
        (Format::SenmlCbor, 85, 119),
    ] {
        assert_eq!(encode_paths(format, &paths).unwrap().len(), request);
        assert_eq!(bytes(format, "/", &six()).len(), answer);
    }
    // Six reads in TLV with floats of 4 bytes: 5 * 23 + 19 bytes of CoAP.
    for mut record in six() {
        if let Some(Value::Float(x)) = &mut record.value {
            *x = f64::from(*x as f32);
        }
        let at = record.path;
        let size = if at == path(BATTERY) { 3 } else { 7 };
        let payload = encode(Format::Tlv, &at, &[record], Style::default()).unwrap();
        assert_eq!(payload.len(), size);
    }
}

#[test]
fn an_array_of_object_511_makes_an_answer_of_43_bytes() {
    let single = |value| match value {
        Value::Float(x) => Value::Float(f64::from(x as f32)),
        other => other,
    };
    let values: Vec<_> = six().into_iter().map(|r| r.value.map(single)).collect();
    let payload = cbor_array(&values, Style::default());
    // Header 4, token 8, Content-Format 2, marker 1.
    assert_eq!((payload.len(), 4 + 8 + 2 + 1 + payload.len()), (28, 43));
}
