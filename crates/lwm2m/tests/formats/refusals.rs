//! What is refused, and what the message says about it.

use lwm2m::{Format, Value};

use super::support::{error, hex, record, records};

#[test]
fn rfc_8428_names_sensors_which_are_no_paths() {
    let payload = br#"[{"bn":"urn:dev:ow:10e2073a","n":":t","u":"Cel","v":23.1}]"#;
    assert!(error(Format::SenmlJson, "/", payload).contains("does not begin with `/`"));
    for (payload, expected) in [
        (r#"[{"n":"/3/0/9","v":1,"foo_":2}]"#, "byte 21: `foo_`"),
        (r#"[{"n":"/3/0/9","v":1,"bv":2}]"#, "byte 21: `bv`"),
        (
            r#"[{"n":"/3/0/9","v":1,"vs":"1"}]"#,
            "byte 21: `vs`, the second",
        ),
        (r#"[{"n":"/3/0/9"}]"#, "byte 1: no value"),
        (r#"[{"bver":11,"n":"/3/0/9","v":1}]"#, "version 11"),
        (
            r#"[{"n":"/3/0/9","v":"1"}]"#,
            "byte 19: the text `1`: expected a number",
        ),
        (
            r#"[{"n":"/3/0/9","vs":"1"}]"#,
            "`/3/0/9`, byte 20: the text `1`: expected Integer",
        ),
        (
            r#"[{"n":"/3/0/9","v":1.5}]"#,
            "`/3/0/9`, byte 19: the number 1.5: expected Integer",
        ),
        (
            r#"[{"n":"/3/0","v":1}]"#,
            "`/3/0`, byte 17: a value: expected one below",
        ),
        (
            r#"[{"n":"/3/0/9","v":1},]"#,
            "byte 22: `]`: expected what a comma announces",
        ),
        (r#"[{"n":"/3/0/9","v":1}"#, "the end: expected a comma"),
        (r#"[{"n":"/3/0/9","v":01}]"#, "byte 19"),
    ] {
        let error = error(Format::SenmlJson, "/", payload.as_bytes());
        assert!(error.contains(expected), "{payload}: {error}");
    }
}

#[test]
fn senml_cbor_has_the_rules_of_senml_json() {
    // `/3/0/9` as the name, in one piece and in two.
    let name = "00 66 2f332f302f39";
    let pieces = "00 7f 63 2f332f 63 302f39 ff";
    let battery = [record("/3/0/9", Value::Integer(100))];
    for payload in [
        format!("81 a2 {name} 02 18 64"),
        format!("9f bf {pieces} 02 fa 42c80000 ff ff"),
        // A unit, an unknown label and an unknown key, before and behind.
        format!("81 a5 01 61 25 {name} 18 63 82 00 a0 02 18 64 61 78 f6"),
        format!("81 a3 20 0a {name} 02 18 64"),
    ] {
        assert_eq!(
            records(Format::SenmlCbor, "/", &hex(&payload)),
            battery,
            "{payload}"
        );
    }
    for (payload, expected) in [
        (format!("81 a3 {name} 02 01 62 78 5f 01"), "byte 12: `x_`"),
        (format!("81 a3 {name} 02 01 24 02"), "byte 12: label -5"),
        (
            format!("81 a3 {name} 02 01 03 61 31"),
            "byte 12: a second one",
        ),
        (format!("81 a3 20 0b {name} 02 01"), "byte 3: version 11"),
        (
            format!("81 a2 {name} 02 61 31"),
            "byte 11: the text `1`: expected a number",
        ),
        (
            format!("81 a2 {name} 04 01"),
            "byte 11: the number 1: expected true or false",
        ),
        (
            format!("81 a2 {name} 03 61 31"),
            "`/3/0/9`, byte 11: the text `1`: expected Integer",
        ),
        (
            format!("81 a2 {name} 02 1b 8000000000000000"),
            "the number 9223372036854775808",
        ),
        (
            format!("81 a2 {name} 08 61 31"),
            "byte 11: the text `1`: expected bytes",
        ),
        (format!("81 a1 {name}"), "byte 1: no value"),
        (
            format!("82 a2 {name} 02 01"),
            "the end of the payload: expected a record",
        ),
        ("81 a2 00 61 2f 02 01".to_owned(), "`/`, byte 6: a value"),
        ("81 a2 00 62 c328 02 01".to_owned(), "byte 3"),
        ("81 a2 00 64 2f332f30 03 61 31".to_owned(), "`/3/0`"),
    ] {
        let error = error(Format::SenmlCbor, "/", &hex(&payload));
        assert!(error.contains(expected), "{payload}: {error}");
    }
}

#[test]
fn tlv_says_where_it_breaks() {
    for (base, payload, expected) in [
        (
            "/3/0",
            "c8 00 14 4f",
            "byte 0: a value of 20 bytes where 1 are left",
        ),
        (
            "/3/0",
            "c1 09 64 c8",
            "byte 3: the payload ends after 1 of the header's bytes",
        ),
        (
            "/3/0",
            "86 06 41 00 01 42 01 05",
            "byte 5: a value of 2 bytes where 1 are left",
        ),
        (
            "/3/0",
            "41 00 01",
            "byte 0: a resource instance of ID 0: expected a resource",
        ),
        (
            "/3/0",
            "83 06 c1 00 01",
            "byte 2: a resource of ID 0: expected a resource instance",
        ),
        (
            "/3",
            "c1 09 64",
            "byte 0: a resource of ID 9: expected an object instance",
        ),
        (
            "/3",
            "03 00 41 00 01",
            "byte 2: a resource instance of ID 0: expected a resource",
        ),
        ("/3", "20 ff ff", "expected an ID below 65535"),
        ("/3/0/9", "01 00 c1", "byte 0: an object instance of ID 0"),
        (
            "/3/0/9",
            "c1 0a 64",
            "`/3/0/10` is not at or below `/3/0/9`",
        ),
        (
            "/1/0/6",
            "c1 06 02",
            "`/1/0/6`, byte 2: 1 bytes, 02: expected Boolean",
        ),
        (
            "/3/0/0",
            "c2 00 c3 28",
            "`/3/0/0`, byte 2: 2 bytes, c3 28: expected String",
        ),
        ("/3303/0/5700", "e4 16 44 7f 80 00 00", "expected Float"),
        ("/", "", "byte 0: a message of the whole tree"),
    ] {
        let error = error(Format::Tlv, base, &hex(payload));
        assert!(error.contains(expected), "{payload}: {error}");
    }
}
