//! What is encoded decodes to the same, of random trees in every type and format.

use std::collections::BTreeMap;

use lwm2m::format::{
    FloatSize, Style, cbor_array, decode, decode_cbor_array, decode_paths, encode, encode_paths,
};
use lwm2m::path::Level;
use lwm2m::value::{FloatText, ObjectLink};
use lwm2m::{Format, Path, Record, Type, Value};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::support::{MULTIPLE, OBJECT, registry};

/// The formats for several resources.
const MANY: [Format; 5] = [
    Format::SenmlJson,
    Format::SenmlCbor,
    Format::Tlv,
    Format::Json,
    Format::Lwm2mCbor,
];

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("is finite", |x| x.is_finite()),
        any::<f32>()
            .prop_map(f64::from)
            .prop_filter("is finite", |x| x.is_finite()),
        any::<i32>().prop_map(f64::from),
        any::<i64>().prop_map(|n| n as f64),
    ]
}

fn integer() -> impl Strategy<Value = i64> {
    // Of every length, not only of the longest.
    (any::<i64>(), 0..64u32).prop_map(|(n, shift)| n >> shift)
}

pub fn value(ty: Type) -> BoxedStrategy<Value> {
    let text = prop_oneof![any::<String>(), "[ -~]{0,300}"];
    match ty {
        Type::String => text.prop_map(Value::String).boxed(),
        Type::CoreLink => text.prop_map(Value::CoreLink).boxed(),
        Type::Integer => integer().prop_map(Value::Integer).boxed(),
        Type::Time => integer().prop_map(Value::Time).boxed(),
        Type::Unsigned => (any::<u64>(), 0..64u32)
            .prop_map(|(n, shift)| Value::Unsigned(n >> shift))
            .boxed(),
        Type::Float => float().prop_map(Value::Float).boxed(),
        Type::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Type::Opaque => vec(any::<u8>(), 0..300).prop_map(Value::Opaque).boxed(),
        Type::ObjectLink => any::<(u16, u16)>()
            .prop_map(|(object, instance)| Value::ObjectLink(ObjectLink { object, instance }))
            .boxed(),
    }
}

/// A resource: its ID, and the instances that it has if it is multiple.
fn resource() -> impl Strategy<Value = (u16, Vec<(Option<u16>, Value)>)> {
    (0..Type::ALL.len(), any::<bool>()).prop_flat_map(|(index, multiple)| {
        let (id, ty) = (index as u16, Type::ALL[index]);
        match multiple {
            false => value(ty).prop_map(move |v| (id, vec![(None, v)])).boxed(),
            true => btree_map(any::<u16>(), value(ty), 0..4)
                .prop_map(move |instances| {
                    let instances = instances.into_iter().map(|(riid, v)| (Some(riid), v));
                    (MULTIPLE + id, instances.collect())
                })
                .boxed(),
        }
    })
}

/// The records of some instances in the order of the tree, with what is empty.
fn tree() -> impl Strategy<Value = Vec<Record>> {
    let resources = vec(resource(), 0..5).prop_map(BTreeMap::from_iter);
    btree_map(0..u16::MAX, resources, 1..4).prop_map(|instances| {
        let mut records = Vec::new();
        for (instance, resources) in instances {
            let instance = Path::instance(OBJECT, instance);
            if resources.is_empty() {
                records.push(Record::named(instance));
            }
            for (id, values) in resources {
                let resource = instance.child(id).unwrap();
                if values.is_empty() {
                    records.push(Record::named(resource));
                }
                for (riid, value) in values {
                    let at = riid.map_or(resource, |riid| resource.child(riid).unwrap());
                    records.push(Record::new(at, value));
                }
            }
        }
        records
    })
}

fn style() -> impl Strategy<Value = Style> {
    any::<bool>().prop_map(|double| Style {
        float_text: FloatText::Shortest,
        float_size: match double {
            true => FloatSize::Double,
            false => FloatSize::Shortest,
        },
    })
}

/// Whether a format can say that something is empty.
fn says_empty(format: Format) -> bool {
    matches!(format, Format::Tlv | Format::Lwm2mCbor)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_tree_is_the_same_after_a_journey(
        tree in tree(),
        pick in any::<prop::sample::Index>(),
        style in style(),
    ) {
        let registry = registry();
        let some = tree[pick.index(tree.len())].path;
        for level in [Level::Root, Level::Object, Level::Instance, Level::Resource, Level::ResourceInstance] {
            let base = some.truncated(level);
            let below: Vec<Record> = tree.iter().filter(|r| base.contains(&r.path)).cloned().collect();
            for format in MANY {
                if format == Format::Tlv && base.level() == Level::Root {
                    continue;
                }
                // An instance that a message is of needs no wrapper, and then nothing names it.
                let nameless = |r: &Record| format == Format::Tlv && r.path == base
                    && r.path.level() == Level::Instance;
                let payload = encode(format, &base, &below, style).unwrap();
                let decoded = decode(format, &base, &payload, registry).unwrap();
                let expected: Vec<Record> = (below.iter())
                    .filter(|r| r.value.is_some() || says_empty(format) && !nameless(r))
                    .cloned()
                    .collect();
                prop_assert_eq!(decoded, expected, "{} at {}", format, base);
            }
        }
    }

    #[test]
    fn a_value_is_the_same_after_a_journey(tree in tree(), style in style()) {
        let registry = registry();
        for record in tree.iter().filter(|r| r.value.is_some()) {
            for format in [Format::Text, Format::Cbor, Format::Opaque] {
                let opaque = matches!(record.value, Some(Value::Opaque(_)));
                let base = record.path;
                let encoded = encode(format, &base, std::slice::from_ref(record), style);
                if format == Format::Opaque && !opaque {
                    prop_assert!(encoded.is_err());
                    continue;
                }
                let decoded = decode(format, &base, &encoded.unwrap(), registry).unwrap();
                prop_assert_eq!(&decoded[..], std::slice::from_ref(record));
            }
        }
    }

    #[test]
    fn times_stay_with_their_values(
        times in btree_set(any::<i32>(), 1..6),
        eighths in any::<bool>(),
        x in float(),
    ) {
        let at = Path::resource(3303, 0, 5700);
        let scale = if eighths { 8.0 } else { 1.0 };
        let records: Vec<Record> = times.iter().rev()
            .map(|t| Record { time: Some(f64::from(*t) / scale), ..Record::new(at, Value::Float(x)) })
            .collect();
        for format in [Format::SenmlJson, Format::SenmlCbor, Format::Json] {
            let payload = encode(format, &at, &records, Style::default()).unwrap();
            prop_assert_eq!(&decode(format, &at, &payload, registry()).unwrap(), &records);
        }
        for format in [Format::Tlv, Format::Text, Format::Cbor, Format::Lwm2mCbor] {
            prop_assert!(encode(format, &at, &records[..1], Style::default()).is_err());
        }
    }

    #[test]
    fn a_question_is_the_same_after_a_journey(
        ids in btree_set(vec(0..u16::MAX, 1..=4), 0..6),
    ) {
        let paths: Vec<Path> = ids.iter().filter_map(|ids| Path::new(ids)).collect();
        for format in [Format::SenmlJson, Format::SenmlCbor] {
            let payload = encode_paths(format, &paths).unwrap();
            prop_assert_eq!(&decode_paths(format, &payload).unwrap(), &paths);
        }
        let overlap = paths.windows(2).any(|pair| pair[0].contains(&pair[1]));
        match encode_paths(Format::Lwm2mCbor, &paths) {
            Ok(payload) => prop_assert_eq!(decode_paths(Format::Lwm2mCbor, &payload).unwrap(), paths),
            Err(_) => prop_assert!(overlap),
        }
    }

    #[test]
    fn an_array_is_the_same_after_a_journey(
        resources in vec((resource(), any::<bool>()), 0..8),
        style in style(),
    ) {
        let (mut paths, mut values) = (Vec::new(), Vec::new());
        for ((id, instances), hole) in resources {
            for (riid, value) in instances {
                let resource = Path::resource(OBJECT, 0, id);
                paths.push(riid.map_or(resource, |riid| resource.child(riid).unwrap()));
                values.push(Some(value).filter(|_| !hole));
            }
        }
        let payload = cbor_array(&values, style);
        prop_assert_eq!(decode_cbor_array(&payload, &paths, registry()).unwrap(), values);
    }
}
