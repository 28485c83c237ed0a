//! SenML JSON: accepted exactly if serde_json reads it and RFC 8428 §4 accepts what it read, which is
//! read here a second time; the records are then the same.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use lwm2m::format::decode;
use lwm2m::{Format, Path, Registry, Value};
use serde_json::Value as Json;

fuzz_target!(|payload: &[u8]| {
    // Nobody knows the types: every value is of the one that it shows.
    let decoded = decode(Format::SenmlJson, &Path::ROOT, payload, &Registry::new());
    let plain = read(payload);
    match (decoded, plain) {
        (Ok(records), Some(plain)) => {
            let ours: Vec<Plain> = (records.into_iter())
                .map(|record| (record.path.ids().to_vec(), record.value, record.time))
                .collect();
            assert_eq!(ours, plain);
        }
        (Err(_), None) => {}
        // serde_json takes the last of several equal keys, whatever the others have.
        (Err(_), Some(_)) if has_equal_keys(payload) => {}
        (ours, plain) => panic!("{ours:?}, but {plain:?}"),
    }
});

/// Whether serde_json drops a member of this JSON: its colons are then fewer.
fn has_equal_keys(payload: &[u8]) -> bool {
    let json: Json = serde_json::from_slice(payload).expect("it was read before");
    colons(payload) != colons(json.to_string().as_bytes())
}

/// The colons outside of texts.
fn colons(json: &[u8]) -> usize {
    let (mut colons, mut in_text, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            b':' if !in_text => colons += 1,
            _ => {}
        }
    }
    colons
}

/// A record: the IDs of its path, its value and its time.
type Plain = (Vec<u16>, Option<Value>, Option<f64>);

fn read(payload: &[u8]) -> Option<Vec<Plain>> {
    let json: Json = serde_json::from_slice(payload).ok()?;
    let (mut base_name, mut base_time) = (String::new(), None);
    let mut records = Vec::new();
    for record in json.as_array()? {
        let record = record.as_object()?;
        if (record.keys()).any(|key| key.ends_with('_') || key == "bv" || key == "bs") {
            return None;
        }
        let text = |key: &str| match record.get(key) {
            None => Some(None),
            Some(value) => Some(Some(value.as_str()?)),
        };
        let number = |key: &str| match record.get(key) {
            None => Some(None),
            Some(value) => Some(Some(value.as_f64()?)),
        };
        if number("bver")?.is_some_and(|version| version > 10.0) {
            return None;
        }
        if let Some(name) = text("bn")? {
            base_name = name.to_owned();
        }
        base_time = number("bt")?.or(base_time);
        let ids = ids(&base_name, text("n")?.unwrap_or(""))?;
        let time = match (base_time, number("t")?) {
            (Some(base), time) => Some(base + time.unwrap_or(0.0))
                .filter(|t| t.is_finite())
                .map(Some)?,
            (None, time) => time,
        };
        let mut values = Vec::new();
        for key in ["v", "vs", "vb", "vd", "vlo"] {
            if let Some(json) = record.get(key) {
                values.push(value(key, json)?);
            }
        }
        let [value] = &values[..] else { return None };
        (ids.len() >= 3).then_some(())?;
        records.push((ids, Some(value.clone()), time));
    }
    consistent(&records).then_some(records)
}

/// The IDs of a name: at most four, decimal, without leading zeros, slashes as dialects have them.
fn ids(base: &str, name: &str) -> Option<Vec<u16>> {
    // What is longer than any path is refused where it stands.
    (base.len() <= 26 && name.len() <= 26).then_some(())?;
    let name = match base.ends_with('/') {
        true => name.strip_prefix('/').unwrap_or(name),
        false => name,
    };
    let whole = format!("{base}{name}");
    let ids = whole.strip_prefix('/')?;
    let ids = ids.strip_suffix('/').unwrap_or(ids);
    let parse = |id: &str| {
        let number: u16 = id.parse().ok()?;
        (number.to_string() == id).then_some(number)
    };
    let ids: Option<Vec<u16>> = ids.split('/').map(parse).collect();
    ids.filter(|ids| ids.len() <= 4 && ids.get(1) != Some(&u16::MAX))
}

fn value(key: &str, json: &Json) -> Option<Value> {
    match key {
        "v" => {
            let integer = json.as_i64().map(Value::Integer);
            let unsigned = || json.as_u64().map(Value::Unsigned);
            let float = || json.as_f64().map(Value::Float);
            integer.or_else(unsigned).or_else(float)
        }
        "vs" => Some(Value::String(json.as_str()?.to_owned())),
        "vb" => json.as_bool().map(Value::Boolean),
        "vd" => base64(json.as_str()?).map(Value::Opaque),
        _ => Some(Value::ObjectLink(json.as_str()?.parse().ok()?)),
    }
}

/// Base64 of one of the two alphabets, with all its padding, some of it, or none.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let (plus, slash) = match text.contains(['+', '/']) {
        true => ('+', '/'),
        false => ('-', '_'),
    };
    let mut bits = 0_u32;
    let mut bytes = Vec::new();
    for (index, digit) in digits.chars().enumerate() {
        let six = match digit {
            'A'..='Z' => digit as u32 - 'A' as u32,
            'a'..='z' => digit as u32 - 'a' as u32 + 26,
            '0'..='9' => digit as u32 - '0' as u32 + 52,
            other if other == plus => 62,
            other if other == slash => 63,
            _ => return None,
        };
        bits = bits << 6 | six;
        if index % 4 > 0 {
            let left = 6 - 2 * (index % 4) as u32;
            bytes.push((bits >> left) as u8);
            bits &= (1 << left) - 1;
        }
    }
    let rest = digits.len() % 4;
    let padded = match rest {
        0 => padding == 0,
        1 => false,
        rest => padding <= 4 - rest,
    };
    // Bits that belong to no byte are zero.
    (padded && bits & ((1 << [0, 6, 4, 2][rest]) - 1) == 0).then_some(bytes)
}

/// No record twice, none below another one.
fn consistent(records: &[Plain]) -> bool {
    let mut seen = BTreeSet::new();
    let once = (records.iter())
        .all(|(ids, _, time)| seen.insert((ids, time.map(|t| (t + 0.0).to_bits()))));
    let paths: BTreeSet<&Vec<u16>> = records.iter().map(|(ids, ..)| ids).collect();
    once && !paths
        .iter()
        .any(|ids| ids.len() == 4 && paths.contains(&ids[..3].to_vec()))
}
