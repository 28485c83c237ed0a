//! Bytes of other makers and of the standards.

use lwm2m::format::{
    Creation, Style, cbor_array, decode_cbor_array, decode_create, decode_paths, encode_create,
};
use lwm2m::value::ObjectLink;
use lwm2m::{Format, Record, Registry, Value};

use super::support::{bytes, error, hex, json, path, record, records, text};

/// The device of OMA's examples (LwM2M 1.0 §6.4.3.1, §6.4.4, 1.1 Core §7.4.3.2, §7.4.4).
fn device() -> Vec<Record> {
    let int = |at, n| record(at, Value::Integer(n));
    vec![
        record("/3/0/0", text("Open Mobile Alliance")),
        record("/3/0/1", text("Lightweight M2M Client")),
        record("/3/0/2", text("345000123")),
        record("/3/0/3", text("1.0")),
        int("/3/0/6/0", 1),
        int("/3/0/6/1", 5),
        int("/3/0/7/0", 3800),
        int("/3/0/7/1", 5000),
        int("/3/0/8/0", 125),
        int("/3/0/8/1", 900),
        int("/3/0/9", 100),
        int("/3/0/10", 15),
        int("/3/0/11/0", 0),
        record("/3/0/13", Value::Time(1_367_491_215)),
        record("/3/0/14", text("+02:00")),
        record("/3/0/16", text("U")),
    ]
}

const DEVICE_TLV: &str = "
    C8 00 14 4F 70 65 6E 20 4D 6F 62 69 6C 65 20 41 6C 6C 69 61 6E 63 65
    C8 01 16 4C 69 67 68 74 77 65 69 67 68 74 20 4D 32 4D 20 43 6C 69 65 6E 74
    C8 02 09 33 34 35 30 30 30 31 32 33
    C3 03 31 2E 30
    86 06 41 00 01 41 01 05
    88 07 08 42 00 0E D8 42 01 13 88
    87 08 41 00 7D 42 01 03 84
    C1 09 64
    C1 0A 0F
    83 0B 41 00 00
    C4 0D 51 82 42 8F
    C6 0E 2B 30 32 3A 30 30
    C1 10 55";

#[test]
fn omas_device_in_tlv() {
    let payload = hex(DEVICE_TLV);
    assert_eq!(payload.len(), 121);
    assert_eq!(records(Format::Tlv, "/3/0", &payload), device());
    assert_eq!(bytes(Format::Tlv, "/3/0", &device()), payload);
    // Of the object, and as some servers have it also of the instance.
    let wrapped = [hex("08 00 79"), payload].concat();
    assert_eq!(bytes(Format::Tlv, "/3", &device()), wrapped);
    for base in ["/3", "/3/0"] {
        assert_eq!(records(Format::Tlv, base, &wrapped), device());
    }
    assert!(error(Format::Tlv, "/3/1", &wrapped).contains("`/3/0/0` is not at or below `/3/1`"));
}

#[test]
fn omas_device_in_json() {
    let payload = r#"{"bn":"/3/0/","e":[{"n":"0","sv":"Open Mobile Alliance"},
        {"n":"1","sv":"Lightweight M2M Client"},{"n":"2","sv":"345000123"},{"n":"3","sv":"1.0"},
        {"n":"6/0","v":1},{"n":"6/1","v":5},{"n":"7/0","v":3800},{"n":"7/1","v":5000},
        {"n":"8/0","v":125},{"n":"8/1","v":900},{"n":"9","v":100},{"n":"10","v":15},
        {"n":"11/0","v":0},{"n":"13","v":1367491215},{"n":"14","sv":"+02:00"},{"n":"16","sv":"U"}]}"#;
    assert_eq!(records(Format::Json, "/3/0", payload.as_bytes()), device());
}

#[test]
fn omas_device_in_senml_json() {
    let payload = r#"[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},
        {"n":"1","vs":"Lightweight M2M Client"},{"n":"2","vs":"345000123"},{"n":"3","vs":"1.0"},
        {"n":"6/0","v":1},{"n":"6/1","v":5},{"n":"7/0","v":3800},{"n":"7/1","v":5000},
        {"n":"8/0","v":125},{"n":"8/1","v":900},{"n":"9","v":100},{"n":"10","v":15},
        {"n":"11/0","v":0},{"n":"13","v":1367491215},{"n":"14","vs":"+02:00"},{"n":"16","vs":"U"}]"#;
    assert_eq!(
        records(Format::SenmlJson, "/3/0", payload.as_bytes()),
        device()
    );
}

#[test]
fn object_links_in_tlv_as_omas_examples_have_them() {
    // Nobody here knows object 65: what it holds is bytes.
    assert!(Registry::built_in().object(65).is_none());
    let payload = hex("88 00 0C 44 00 00 42 00 00 44 01 00 42 00 01
            C8 01 0D 38 36 31 33 38 30 30 37 35 35 35 30 30 C4 02 12 34 56 78");
    let opaque = |at, bytes| record(at, Value::Opaque(bytes));
    let expected = [
        opaque("/65/0/0/0", hex("00420000")),
        opaque("/65/0/0/1", hex("00420001")),
        opaque("/65/0/1", b"8613800755500".to_vec()),
        opaque("/65/0/2", hex("12345678")),
    ];
    assert_eq!(records(Format::Tlv, "/65/0", &payload), expected);
    assert_eq!(bytes(Format::Tlv, "/65/0", &expected), payload);
}

#[test]
fn integers_in_tlv_are_as_short_as_they_can_be() {
    use super::support::OBJECT;
    let at = format!("/{OBJECT}/0/2");
    for (n, payload) in [
        (0, "c1 02 00"),
        (255, "c1 02 ff"),
        (256, "c2 02 01 00"),
        (65_535, "c2 02 ff ff"),
        (65_536, "c4 02 00 01 00 00"),
        (u64::from(u32::MAX), "c4 02 ff ff ff ff"),
        (1 << 32, "c8 02 08 00 00 00 01 00 00 00 00"),
    ] {
        assert_eq!(
            bytes(Format::Tlv, &at, &[record(&at, Value::Unsigned(n))]),
            hex(payload)
        );
    }
    // One instance of a multiple resource, when the message is of that alone.
    let one = [record("/3/0/6/0", Value::Integer(1))];
    assert_eq!(bytes(Format::Tlv, "/3/0/6/0", &one), hex("41 00 01"));
    for payload in ["41 00 01", "83 06 41 00 01"] {
        assert_eq!(records(Format::Tlv, "/3/0/6/0", &hex(payload)), one);
    }
}

#[test]
fn lwm2m_codecs_temperature() {
    let payload = hex("08 00 0b e4 16 44 41 f8 00 00 e1 16 45 63");
    let expected = [
        record("/3303/0/5700", Value::Float(31.0)),
        record("/3303/0/5701", text("c")),
    ];
    assert_eq!(records(Format::Tlv, "/3303", &payload), expected);
    assert_eq!(bytes(Format::Tlv, "/3303", &expected), payload);
    let payload = br#"{"bn":"/3303/0","e":[{"n":"5700","v":31},{"n":"5701","sv":"c"}]}"#;
    assert_eq!(records(Format::Json, "/3303/0", payload), expected);
}

#[test]
fn three_dialects_of_lwm2m_json() {
    let battery = [record("/3/0/9", Value::Integer(100))];
    for payload in [
        r#"{"bn":"/3/0","e":[{"n":"/9","v":100}]}"#,
        r#"{"bn":"/3/0/","e":[{"n":"9","v":100}]}"#,
        r#"{"bn":"/3/0/9","e":[{"n":"","v":100}]}"#,
        r#"{"bn":"/3/0/9","e":[{"v":100}]}"#,
        r#"{"e":[{"n":"9","v":100}],"bn":"/3/0/"}"#,
        r#"{"bn":"/","e":[{"n":"3/0/9","v":100.0}]}"#,
        r#"{"e":[{"n":"9","v":1e2}]}"#,
    ] {
        assert_eq!(
            records(Format::Json, "/3/0", payload.as_bytes()),
            battery,
            "{payload}"
        );
    }
    assert_eq!(
        json(
            Format::Json,
            "/3/0",
            &[record("/3/0/6/0", Value::Integer(1))]
        ),
        r#"{"bn":"/3/0","e":[{"n":"/6/0","v":1}]}"#
    );
}

#[test]
fn dialects_of_names_in_senml() {
    let two = [
        record("/1/1/0", Value::Integer(1)),
        record("/1/1/1", Value::Integer(86400)),
    ];
    for payload in [
        r#"[{"bn":"/1/1","n":"/0","v":1},{"n":"/1","v":86400}]"#,
        r#"[{"bn":"/1/1/","n":"0","v":1},{"n":"1","v":86400}]"#,
        r#"[{"bn":"/1/1/","n":"/0/","v":1},{"n":"/1","v":86400}]"#,
        r#"[{"n":"/1/1/0","v":1},{"bn":"/1/1/1/","v":86400}]"#,
        r#"[{"bver":10,"n":"/1/1/0","v":1},{"bn":"/1/1/1/","v":86400}]"#,
        r#"[{"bn":"","n":"/1/1/0","v":1},{"bn":"/1","n":"/1/1","v":86400,"u":"s","x":[{}]}]"#,
    ] {
        assert_eq!(
            records(Format::SenmlJson, "/1", payload.as_bytes()),
            two,
            "{payload}"
        );
    }
    assert_eq!(
        json(Format::SenmlJson, "/1/1", &two),
        r#"[{"bn":"/1/1","n":"/0","v":1},{"n":"/1","v":86400}]"#
    );
    // SenML joins, and puts nothing between.
    let joined = br#"[{"bn":"/3/0/1","n":"0","v":15}]"#;
    assert_eq!(
        records(Format::SenmlJson, "/3/0", joined),
        [record("/3/0/10", Value::Integer(15))]
    );
}

#[test]
fn base_values_carry_over_and_times_stay_in_order() {
    let timed = |time, x| Record {
        time: Some(time),
        ..record("/3303/0/5700", Value::Float(x))
    };
    let payload = br#"[{"bn":"/3303/0/5700","bt":1.320067464e+09,"v":20.1},{"t":-5,"v":20},{"t":2,"v":19.5}]"#;
    let expected = [
        timed(1_320_067_464.0, 20.1),
        timed(1_320_067_459.0, 20.0),
        timed(1_320_067_466.0, 19.5),
    ];
    assert_eq!(records(Format::SenmlJson, "/", payload), expected);
    // RFC 8428 §6 has the labels: the same in CBOR, bt and t as integers.
    let payload = hex(
        "83 a3 21 6c 2f333330332f302f35373030 22 1a 4eaea188 02 fb 403419999999999a
            a2 06 24 02 14
            a2 06 02 02 f9 4ce0",
    );
    assert_eq!(records(Format::SenmlCbor, "/", &payload), expected);
    let payload = br#"{"bn":"/3303/0/5700","bt":1320067464,"e":[{"v":20.1},{"t":-5,"v":20},{"t":2,"v":19.5}]}"#;
    assert_eq!(records(Format::Json, "/3303/0/5700", payload), expected);
    for times in [["0", "-0.0"], ["-5", "-5"]]
        .map(|[a, b]| format!(r#"[{{"n":"/3/0/9","t":{a},"v":1}},{{"n":"/3/0/9","t":{b},"v":1}}]"#))
    {
        let error = error(Format::SenmlJson, "/", times.as_bytes());
        assert_eq!(error, "`/3/0/9` is there twice");
    }
    let twice = br#"[{"n":"/3303/0/5700","v":20.1},{"n":"/3303/0/5700","v":20.1}]"#;
    assert_eq!(
        error(Format::SenmlJson, "/", twice),
        "`/3303/0/5700` is there twice"
    );
}

#[test]
fn integers_stay_integers() {
    for (n, digits) in [
        (i64::MAX, "9223372036854775807"),
        (i64::MIN, "-9223372036854775808"),
        ((1 << 53) + 1, "9007199254740993"),
    ] {
        let integer = [record("/3/0/9", Value::Integer(n))];
        let payload = format!(r#"[{{"bn":"/3/0/9","v":{digits}}}]"#);
        assert_eq!(json(Format::SenmlJson, "/3/0/9", &integer), payload);
        for format in [
            Format::SenmlJson,
            Format::SenmlCbor,
            Format::Json,
            Format::Tlv,
        ] {
            let payload = bytes(format, "/3/0/9", &integer);
            assert_eq!(records(format, "/3/0/9", &payload), integer);
        }
    }
    let above = br#"[{"n":"/3/0/9","v":9223372036854775808}]"#;
    assert!(error(Format::SenmlJson, "/", above).contains("the number 9223372036854775808"));
}

#[test]
fn anjays_battery_in_lwm2m_cbor() {
    let payload = hex("bf 83 03 00 09 00 ff");
    let battery = [record("/3/0/9", Value::Integer(0))];
    assert_eq!(records(Format::Lwm2mCbor, "/3/0/9", &payload), battery);
    assert_eq!(bytes(Format::Lwm2mCbor, "/3/0/9", &battery), payload);
    for nested in [
        "a1 03 a1 00 a1 09 00",
        "a1 82 03 00 a1 09 00",
        "bf 03 bf 9f 00 09 ff 00 ff ff",
    ] {
        assert_eq!(records(Format::Lwm2mCbor, "/", &hex(nested)), battery);
    }
    for (payload, expected) in [
        ("a1 80 00", "no ID"),
        ("a1 85 03 00 09 00 01 00", "at most four"),
        ("a1 03 00", "`/3`, byte 2: a value"),
        ("a1 83 03 00 09 f6", "null: expected Integer"),
        ("a1 83 03 00 09 00 00", "1 bytes: expected the end"),
        ("a1 84 03 00 06 00 a0", "an empty map"),
        ("a1 03 a1 19 ffff a0", "ID 65535 below `/3`"),
        (
            "a2 83 03 00 09 00 83 03 00 09 00",
            "`/3/0/9` is there twice",
        ),
        (
            "a2 83 03 00 06 00 84 03 00 06 00 00",
            "`/3/0/6` is a value or empty",
        ),
    ] {
        let error = error(Format::Lwm2mCbor, "/", &hex(payload));
        assert!(error.contains(expected), "{payload}: {error}");
    }
}

#[test]
fn what_is_empty_is_said_in_tlv_and_lwm2m_cbor() {
    let empty = [
        Record::named(path("/3360/0")),
        Record::named(path("/3360/1")),
    ];
    let none = [
        Record::named(path("/3/0/6")),
        record("/3/0/9", Value::Integer(7)),
    ];
    for (format, two, six) in [
        (Format::Tlv, "00 00 00 01", "80 06 c1 09 07"),
        (
            Format::Lwm2mCbor,
            "bf 19 0d20 bf 00 bf ff 01 bf ff ff ff",
            "bf 82 03 00 bf 06 bf ff 09 07 ff ff",
        ),
    ] {
        assert_eq!(bytes(format, "/3360", &empty), hex(two));
        assert_eq!(records(format, "/3360", &hex(two)), empty);
        assert_eq!(bytes(format, "/3/0", &none), hex(six));
        assert_eq!(records(format, "/3/0", &hex(six)), none);
    }
    // SenML would ask with it.
    assert_eq!(json(Format::SenmlJson, "/3360", &empty), "[]");
}

#[test]
fn a_create_names_its_instance_or_does_not() {
    let registry = Registry::built_in();
    let mut creation = Creation {
        object: 3360,
        instance: Some(19),
        records: vec![record("/3360/19/5702", Value::Float(3.25))],
    };
    let named = encode_create(Format::Tlv, &creation, Style::default()).unwrap();
    assert_eq!(named, hex("07 13 e4 16 46 40 50 00 00"));
    for format in [
        Format::Tlv,
        Format::SenmlJson,
        Format::SenmlCbor,
        Format::Lwm2mCbor,
        Format::Json,
    ] {
        let payload = encode_create(format, &creation, Style::default()).unwrap();
        assert_eq!(
            decode_create(format, 3360, &payload, &registry),
            Ok(creation.clone())
        );
    }
    let bare = Creation {
        records: Vec::new(),
        ..creation.clone()
    };
    for format in [Format::Tlv, Format::Lwm2mCbor] {
        let payload = encode_create(format, &bare, Style::default()).unwrap();
        let decoded = decode_create(format, 3360, &payload, &registry);
        assert_eq!(decoded, Ok(bare.clone()));
    }
    let refused = encode_create(Format::SenmlJson, &bare, Style::default());
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("no instance without resources")
    );
    creation.records = creation.at(0);
    creation.instance = None;
    let payload = encode_create(Format::Tlv, &creation, Style::default()).unwrap();
    assert_eq!(payload, named[2..]);
    assert_eq!(
        decode_create(Format::Tlv, 3360, &payload, &registry),
        Ok(creation.clone())
    );
    assert!(encode_create(Format::SenmlJson, &creation, Style::default()).is_err());

    let two = decode_create(Format::Tlv, 3360, &hex("00 00 00 01"), &registry);
    assert!(
        two.unwrap_err()
            .to_string()
            .contains("`/3360/1` is not at or below `/3360/0`")
    );
    let empty = decode_create(Format::Tlv, 3360, &hex("00 13"), &registry).unwrap();
    assert_eq!((empty.instance, empty.records.len()), (Some(19), 0));
}

#[test]
fn a_question_has_no_values_and_an_answer_has_them() {
    let paths = [path("/3/0/9"), path("/3303"), path("/3303/0")];
    let payload = br#"[{"n":"/3/0/9"},{"n":"/3303"},{"n":"/3303/0"}]"#;
    assert_eq!(decode_paths(Format::SenmlJson, payload), Ok(paths.to_vec()));
    assert_eq!(
        lwm2m::format::encode_paths(Format::SenmlJson, &paths).unwrap(),
        payload
    );
    let root = lwm2m::format::encode_paths(Format::SenmlCbor, &[path("/")]).unwrap();
    assert_eq!(decode_paths(Format::SenmlCbor, &root), Ok(vec![path("/")]));
    assert!(decode_paths(Format::SenmlJson, br#"[{"n":"/3/0/9","v":1}]"#).is_err());
    assert!(lwm2m::format::encode_paths(Format::Lwm2mCbor, &paths).is_err());
    let asked = lwm2m::format::encode_paths(Format::Lwm2mCbor, &paths[..2]).unwrap();
    assert_eq!(asked, hex("bf 83 03 00 09 f6 19 0ce7 f6 ff"));
    assert_eq!(
        decode_paths(Format::Lwm2mCbor, &asked),
        Ok(paths[..2].to_vec())
    );
}

#[test]
fn an_array_has_holes() {
    let paths = [path("/3/0/9"), path("/3303/0/5700"), path("/2/0/1")];
    let values = [Some(Value::Integer(100)), None, Some(Value::Integer(1))];
    let payload = cbor_array(&values, Style::default());
    assert_eq!(payload, hex("83 18 64 f7 01"));
    let registry = Registry::built_in();
    assert_eq!(
        decode_cbor_array(&payload, &paths, &registry),
        Ok(values.to_vec())
    );
    for n in [0, 2] {
        assert!(decode_cbor_array(&payload, &paths[..n], &registry).is_err());
    }
    assert!(decode_cbor_array(&hex("9f 18 64 f7 ff"), &paths, &registry).is_err());
}

#[test]
fn one_resource_in_text_cbor_and_bytes() {
    for (at, format, payload, value) in [
        (
            "/3303/0/5700",
            Format::Text,
            b"21.5".to_vec(),
            Value::Float(21.5),
        ),
        (
            "/3303/0/5700",
            Format::Cbor,
            hex("fa 41ac0000"),
            Value::Float(21.5),
        ),
        (
            "/3/0/13",
            Format::Cbor,
            hex("1a 5182428f"),
            Value::Time(1_367_491_215),
        ),
        (
            "/5/0/0",
            Format::Opaque,
            vec![0, 255],
            Value::Opaque(vec![0, 255]),
        ),
        (
            "/9/0/1",
            Format::Text,
            b"3:0".to_vec(),
            Value::String("3:0".to_owned()),
        ),
    ] {
        let expected = [record(at, value)];
        assert_eq!(bytes(format, at, &expected), payload);
        assert_eq!(records(format, at, &payload), expected);
    }
    // Half a float, an integer for a float, a tag for a time.
    for (at, payload, value) in [
        ("/3303/0/5700", "f9 4d60", Value::Float(21.5)),
        ("/3303/0/5700", "14", Value::Float(20.0)),
        // RFC 8949 §3.4.4 has this decimal fraction.
        ("/3303/0/5700", "c4 82 21 19 6ab3", Value::Float(273.15)),
        ("/3303/0/5700", "c4 9f 21 19 6ab3 ff", Value::Float(273.15)),
        ("/3/0/13", "c1 1a 5182428f", Value::Time(1_367_491_215)),
    ] {
        assert_eq!(
            records(Format::Cbor, at, &hex(payload)),
            [record(at, value)]
        );
    }
    assert!(
        error(Format::Text, "/3303/0/5700", b"warm")
            .contains("`/3303/0/5700`, byte 0: `warm`: expected Float")
    );
    assert!(error(Format::Opaque, "/3/0/9", b"1").contains("expected Integer"));
    for (payload, expected) in [
        ("f97e00", "NaN"),
        ("c4 82 1a 7fffffff 01", "the number inf"),
        ("c4 83 21 19 6ab3 00", "byte 0: another array"),
        ("c4 81 21", "the end of the payload"),
        ("c4 01", "expected an exponent and a mantissa"),
    ] {
        let error = error(Format::Cbor, "/3303/0/5700", &hex(payload));
        assert!(error.contains(expected), "{payload}: {error}");
    }
    assert!(
        error(Format::Tlv, "/3/0/9", &hex("c3 09 00 00 00"))
            .contains("`/3/0/9`, byte 2: 3 bytes, 00 00 00: expected Integer")
    );
}

#[test]
fn links_have_no_values() {
    let all = [
        Record::named(path("/3/0")),
        record("/3/0/9", Value::Integer(1)),
    ];
    assert_eq!(json(Format::Link, "/3", &all), "</3/0>,</3/0/9>");
    assert!(error(Format::Link, "/3", b"</3/0>").contains("has no values"));
}

#[test]
fn an_object_link_has_a_form_in_every_format() {
    use super::support::{OBJECT, registry};
    let at = format!("/{OBJECT}/0/7");
    let link = [record(
        &at,
        Value::ObjectLink(ObjectLink {
            object: 66,
            instance: 1,
        }),
    )];
    for (format, payload) in [
        (Format::Text, b"66:1".to_vec()),
        (Format::Cbor, hex("64 36363a31")),
        (
            Format::SenmlJson,
            br#"[{"bn":"/1000/0/7","vlo":"66:1"}]"#.to_vec(),
        ),
        (
            Format::Json,
            br#"{"bn":"/1000/0/7","e":[{"ov":"66:1"}]}"#.to_vec(),
        ),
        (Format::Tlv, hex("c4 07 00420001")),
        (Format::Lwm2mCbor, hex("bf 83 1903e8 00 07 64 36363a31 ff")),
    ] {
        assert_eq!(bytes(format, &at, &link), payload);
        let decoded = lwm2m::format::decode(format, &path(&at), &payload, registry());
        assert_eq!(decoded, Ok(link.to_vec()));
    }
}
