//! TLV and LwM2M JSON against lwm2m-codec 0.1.1, an implementation that nobody here wrote, alive in a
//! process of node. Where it is wrong by the standard, a test by the fault's name holds it to that, and
//! the random cases keep out of its way.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use lwm2m::format::{FloatSize, Style, decode, encode};
use lwm2m::{Format, Path, Record, Registry, Type, Value};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value as Json, json};

/// node with lwm2m-codec, which ends with the value.
struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    fn start() -> Peer {
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let modules = here.join("../../target/peers/node/node_modules");
        let mut child = Command::new("node")
            .arg(here.join("tests/peers/lwm2m_codec.js"))
            .arg(modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node; ./scripts/setup installs it");
        let to = child.stdin.take().expect("its input is a pipe");
        let from = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Peer { child, to, from }
    }

    fn ask(&mut self, case: &Json) -> Json {
        let hint = "lwm2m-codec in target/peers/node; ./scripts/setup installs it";
        writeln!(self.to, "{case}").expect(hint);
        let mut answer = String::new();
        self.from.read_line(&mut answer).expect(hint);
        serde_json::from_str(&answer).expect(hint)
    }

    /// What it writes for `value`, or its error.
    fn encode(&mut self, format: Format, base: &Path, value: &Json) -> Result<Vec<u8>, String> {
        let case =
            json!({"op": "encode", "type": name(format), "path": base.to_string(), "value": value});
        let answer = self.ask(&case);
        match answer["hex"].as_str() {
            Some(hex) => Ok(unhex(hex)),
            None => Err(answer["error"].to_string()),
        }
    }

    /// What it reads, or its error.
    fn decode(&mut self, format: Format, base: &Path, payload: &[u8]) -> Result<Json, String> {
        let hex: String = payload.iter().map(|b| format!("{b:02x}")).collect();
        let case =
            json!({"op": "decode", "type": name(format), "path": base.to_string(), "hex": hex});
        let mut answer = self.ask(&case);
        match answer.get_mut("value") {
            Some(value) => Ok(value.take()),
            None => Err(answer["error"].to_string()),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Gone already, or ended now: nothing else can be done about it here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn name(format: Format) -> &'static str {
    match format {
        Format::Tlv => "tlv",
        _ => "json",
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.as_bytes().chunks(2).map(byte).collect()
}

/// Resources that both know under the same type.
const RESOURCES: [(u16, u16, Type); 14] = [
    (1, 1, Type::Integer),
    (1, 2, Type::Integer),
    (1, 6, Type::Boolean),
    (1, 7, Type::String),
    (3, 0, Type::String),
    (3, 1, Type::String),
    (3, 9, Type::Integer),
    (3, 10, Type::Integer),
    (3, 13, Type::Time),
    (3, 14, Type::String),
    (3303, 5601, Type::Float),
    (3303, 5602, Type::Float),
    (3303, 5700, Type::Float),
    (3303, 5701, Type::String),
];

/// Multiple resources of object 3 that have integers.
const MULTIPLE: [u16; 3] = [6, 7, 8];

/// IDs of resource instances for which it finds the right type, see [`it_takes_the_id_of_an_instance_for_its_resource`].
const INSTANCES: [u16; 2] = [9, 10];

/// Which integers.
#[derive(Clone, Copy)]
enum Integers {
    /// It writes them: their magnitude fills no sign bit.
    Written,
    /// It reads them: not negative in 8 bytes, and exact in a double.
    Read,
}

fn integer(which: Integers) -> BoxedStrategy<i64> {
    match which {
        Integers::Written => prop_oneof![
            -128..=127_i64,
            256..=32_767_i64,
            -32_768..=-256_i64,
            65_536..=i64::from(i32::MAX),
            i64::from(i32::MIN)..=-65_536_i64,
        ]
        .boxed(),
        Integers::Read => prop_oneof![
            -300..=300_i64,
            any::<i32>().prop_map(i64::from),
            0..=(1_i64 << 53),
        ]
        .boxed(),
    }
}

fn value(ty: Type, which: Integers) -> BoxedStrategy<Value> {
    match ty {
        Type::Integer => integer(which).prop_map(Value::Integer).boxed(),
        Type::Time => integer(which).prop_map(Value::Time).boxed(),
        Type::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Type::Float => (any::<f32>().prop_map(f64::from))
            .prop_filter("is finite", |x| x.is_finite())
            .prop_map(Value::Float)
            .boxed(),
        _ => prop_oneof![any::<String>(), "[ -~]{0,300}"]
            .prop_map(Value::String)
            .boxed(),
    }
}

/// Some resources of one object instance, in the order of the tree.
fn instance(which: Integers) -> impl Strategy<Value = (Path, Vec<Record>)> {
    let object = prop::sample::select(vec![1_u16, 3, 3303]);
    (object, 0..1000_u16).prop_flat_map(move |(object, instance)| {
        let base = Path::instance(object, instance);
        let of_object = RESOURCES.iter().filter(|(o, ..)| *o == object);
        let singles: Vec<_> = of_object
            .map(|(_, id, ty)| {
                let at = base.child(*id).unwrap();
                prop::option::of(value(*ty, which).prop_map(move |v| Record::new(at, v)))
            })
            .collect();
        let multiples = btree_map(
            (
                prop::sample::select(&MULTIPLE[..]),
                prop::sample::select(&INSTANCES[..]),
            ),
            integer(which),
            0..4,
        );
        (singles, multiples).prop_map(move |(singles, multiples)| {
            let mut records: Vec<Record> = singles.into_iter().flatten().collect();
            if object == 3 {
                records.extend(multiples.into_iter().map(|((id, riid), n)| {
                    let at = Path::resource_instance(object, instance, id, riid);
                    Record::new(at, Value::Integer(n))
                }));
            }
            records.sort_by_key(|record| record.path);
            (base, records)
        })
    })
}

fn scalar(value: &Value) -> Json {
    match value {
        Value::String(text) => json!(text),
        Value::Integer(n) | Value::Time(n) => json!(n),
        Value::Float(x) => json!(x),
        Value::Boolean(set) => json!(set),
        other => panic!("{other:?}: no case has it"),
    }
}

/// The records below `base` as lwm2m-codec takes them: objects in objects.
fn nested(base: &Path, records: &[Record]) -> Json {
    let mut top = json!({});
    for record in records {
        let ids = &record.path.ids()[base.ids().len()..];
        let place = ids
            .iter()
            .fold(&mut top, |place, id| &mut place[id.to_string()]);
        *place = scalar(record.value.as_ref().unwrap());
    }
    top
}

/// Numbers as doubles, which is what node has, and keys in one order.
fn comparable(json: &Json) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    let mut open = vec![(String::new(), json)];
    while let Some((path, json)) = open.pop() {
        match json {
            Json::Object(members) => {
                let members = members.iter();
                open.extend(members.map(|(key, below)| (format!("{path}/{key}"), below)));
            }
            Json::Number(number) => {
                // Zero has no sign in an integer.
                leaves.insert(path, format!("{:?}", number.as_f64().map(|x| x + 0.0)));
            }
            other => {
                leaves.insert(path, other.to_string());
            }
        }
    }
    leaves
}

#[test]
fn it_reads_what_we_write() {
    let peer = std::cell::RefCell::new(Peer::start());
    let result = TestRunner::default().run(&instance(Integers::Read), |(base, mut records)| {
        for format in [Format::Tlv, Format::Json] {
            if format == Format::Json {
                // It keeps the first instance of a resource only, which has a test of its own.
                records.dedup_by_key(|r| r.path.truncated(lwm2m::path::Level::Resource));
            }
            let payload = encode(format, &base, &records, Style::default()).unwrap();
            let read = peer.borrow_mut().decode(format, &base, &payload).unwrap();
            let expected = comparable(&nested(&base, &records));
            prop_assert_eq!(comparable(&read), expected, "{} of {}", format, base);
        }
        Ok(())
    });
    result.unwrap();
}

#[test]
fn we_read_what_it_writes_and_write_the_same_tlv() {
    let peer = std::cell::RefCell::new(Peer::start());
    let registry = Registry::built_in();
    let result = TestRunner::default().run(&instance(Integers::Written), |(base, records)| {
        let object = base.parent().unwrap();
        for (format, base) in [
            (Format::Tlv, base),
            (Format::Tlv, object),
            (Format::Json, base),
            (Format::Json, object),
        ] {
            if records.is_empty() {
                continue;
            }
            let value = nested(&base, &records);
            let payload = peer.borrow_mut().encode(format, &base, &value).unwrap();
            let read = decode(format, &base, &payload, &registry).unwrap();
            prop_assert_eq!(&read, &records, "{} of {}", format, base);
            if format == Format::Tlv {
                // It puts its instance around the resources wherever the message goes.
                let ours = encode(format, &object, &records, Style::default()).unwrap();
                prop_assert_eq!(ours, payload, "of {}", base);
            }
        }
        Ok(())
    });
    result.unwrap();
}

#[test]
fn texts_of_a_batch_are_the_same_bytes() {
    // It has no object 2346: a text is a text, and reads back as hexadecimal digits.
    let peer = std::cell::RefCell::new(Peer::start());
    let texts = (btree_set(0..1000_u16, 1..20), vec("[ -~]{0,20}", 20));
    let base = Path::resource(2346, 0, 5914);
    let result = TestRunner::default().run(&texts, |(riids, texts)| {
        let records: Vec<Record> = (riids.iter().zip(texts))
            .map(|(riid, text)| Record::new(base.child(*riid).unwrap(), Value::String(text)))
            .collect();
        let value = nested(&base, &records);
        let payload = peer
            .borrow_mut()
            .encode(Format::Tlv, &base, &value)
            .unwrap();
        let ours = encode(Format::Tlv, &base, &records, Style::default()).unwrap();
        prop_assert_eq!(ours, payload);
        let payload = encode(Format::Json, &base, &records, Style::default()).unwrap();
        let read = peer
            .borrow_mut()
            .decode(Format::Json, &base, &payload)
            .unwrap();
        prop_assert_eq!(comparable(&read), comparable(&value));
        Ok(())
    });
    result.unwrap();
}

/// LwM2M 1.0 appendix C: integers are in two's complement. It counts the bits of the magnitude alone, and fails
/// where they fill the sign bit.
#[test]
fn it_forgets_the_sign_bit_of_an_integer() {
    let mut peer = Peer::start();
    let base = Path::resource(3, 0, 9);
    for n in [128, 255, -129, -254, 32_768, 65_535, -32_769, 1_i64 << 31] {
        let error = peer.encode(Format::Tlv, &base, &json!(n)).unwrap_err();
        assert!(error.contains("out of range"), "{n}: {error}");
        let ours = [Record::new(base, Value::Integer(n))];
        let payload = encode(Format::Tlv, &base, &ours, Style::default()).unwrap();
        assert_eq!(peer.decode(Format::Tlv, &base, &payload), Ok(json!(n)));
    }
}

/// The same, of 8 bytes: a negative number reads 2^33 too low.
#[test]
fn it_reads_long_negative_integers_wrong() {
    let mut peer = Peer::start();
    let base = Path::resource(3, 0, 9);
    let n = -(1_i64 << 40);
    let ours = [Record::new(base, Value::Integer(n))];
    let payload = encode(Format::Tlv, &base, &ours, Style::default()).unwrap();
    assert_eq!(payload[3..], n.to_be_bytes());
    let read = peer.decode(Format::Tlv, &base, &payload).unwrap();
    assert_eq!(read.as_f64(), Some((n - (1 << 33)) as f64));
}

/// LwM2M 1.0 appendix C: a float has 32 or 64 bits. It reads 32 of the 64.
#[test]
fn it_reads_half_a_double() {
    let mut peer = Peer::start();
    let base = Path::resource(3303, 0, 5700);
    let ours = [Record::new(base, Value::Float(21.5))];
    let style = Style {
        float_size: FloatSize::Double,
        ..Style::default()
    };
    let payload = encode(Format::Tlv, &base, &ours, style).unwrap();
    let half = f32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]);
    let read = peer.decode(Format::Tlv, &base, &payload).unwrap();
    assert_eq!(read.as_f64(), Some(f64::from(half)));
}

/// The type is that of the resource. It looks up the resource that has the ID of the resource *instance*: /3/0/6/0
/// becomes a text because /3/0/0 is one.
#[test]
fn it_takes_the_id_of_an_instance_for_its_resource() {
    let mut peer = Peer::start();
    let base = Path::resource(3, 0, 6);
    let payload = peer.encode(Format::Tlv, &base, &json!({"0": 1})).unwrap();
    assert_eq!(payload, [0x83, 6, 0x41, 0, b'1']);
    let ours = [Record::new(base.child(0).unwrap(), Value::Integer(1))];
    let right = encode(Format::Tlv, &base, &ours, Style::default()).unwrap();
    assert_eq!(right, [0x83, 6, 0x41, 0, 1]);
}

/// LwM2M 1.0 §6.4.4: every entry is a value. It keeps the first instance of a multiple resource.
#[test]
fn it_keeps_one_instance_of_a_resource_in_json() {
    let mut peer = Peer::start();
    let base = Path::instance(3, 0);
    let ours: Vec<Record> = [(0, 1), (1, 5)]
        .map(|(riid, n)| Record::new(Path::resource_instance(3, 0, 6, riid), Value::Integer(n)))
        .to_vec();
    let payload = encode(Format::Json, &base, &ours, Style::default()).unwrap();
    assert_eq!(
        peer.decode(Format::Json, &base, &payload),
        Ok(json!({"6": {"0": 1}}))
    );
}

/// LwM2M 1.0 §6.4.3: 24 bits of length. It writes the lowest 8 of the lower 16.
#[test]
fn it_writes_long_lengths_wrong() {
    let mut peer = Peer::start();
    let base = Path::resource(3, 0, 0);
    let text = "x".repeat(70_000);
    let payload = peer.encode(Format::Tlv, &base, &json!(text)).unwrap();
    assert_eq!(payload[..5], [0xd8, 0, 0x01, 0x00, 0x70]);
    let ours = [Record::new(base, Value::String(text.clone()))];
    let right = encode(Format::Tlv, &base, &ours, Style::default()).unwrap();
    assert_eq!(right[..5], [0xd8, 0, 0x01, 0x11, 0x70]);
    assert_eq!(peer.decode(Format::Tlv, &base, &right), Ok(json!(text)));
}
