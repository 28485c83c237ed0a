//! Nothing is accepted and ignored, and no text makes the loader panic.

use proptest::prelude::*;
use serde_json::Value;
use topology::Overrides;

mod common;

use common::{load_in, tests_folder};

const FULL: &str = include_str!("full.yaml");
const PHY: &str = include_str!("full-phy.yaml");
const SERVICES: &str = include_str!("full-services.yaml");
const TWO_RAY: &str = include_str!("full-two-ray.yaml");
const HANDOVER: &str = include_str!("../../../topologies/handover.yaml");

/// `full*.yaml` as JSON, which is YAML too.
fn full() -> [Value; 4] {
    // `off` is a word here, as in YAML 1.2, and not false.
    let options = serde_saphyr::options! { strict_booleans: true };
    [FULL, PHY, SERVICES, TWO_RAY]
        .map(|text| serde_saphyr::from_str_with_options(text, options.clone()).unwrap())
}

/// The JSON pointers of every table in `value`.
fn tables(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                tables(inner, format!("{at}/{key}"), found);
            }
            found.push(at);
        }
        Value::Array(items) => {
            for (i, inner) in items.iter().enumerate() {
                tables(inner, format!("{at}/{i}"), found);
            }
        }
        _ => {}
    }
}

fn refusal(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap();
    match load_in(tests_folder(), "full.json", &text, Overrides::default()) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_full_file_loads_as_json_too() {
    for full in full() {
        assert_eq!(refusal(&full), "");
    }
}

#[test]
fn an_unknown_key_is_refused_in_every_table() {
    let mut found = Vec::new();
    for full in full() {
        let mut pointers = Vec::new();
        tables(&full, String::new(), &mut pointers);
        found.extend(pointers.into_iter().map(|pointer| (full.clone(), pointer)));
    }
    assert!(found.len() > 60, "{found:?}");
    for (full, pointer) in found {
        let mut changed = full;
        let table = changed
            .pointer_mut(&pointer)
            .unwrap()
            .as_object_mut()
            .unwrap();
        table.insert("zzz".to_owned(), Value::from(1));
        let error = refusal(&changed);
        // In `nodes` a key is a name, and `1` is no node.
        let wanted = match pointer.as_str() {
            "/nodes" => "`nodes.zzz`: `1` is not a table",
            // In a table of values a key is a path.
            values if of_values(values) => "zzz",
            _ => "unknown key `zzz`",
        };
        assert!(error.contains(wanted), "{pointer}: {error}");
    }
}

#[test]
fn every_key_of_the_schema_is_in_the_full_file() {
    let schema: Value = serde_json::from_str(&topology::schema()).unwrap();
    let mut keys = Vec::new();
    properties(&schema, &mut keys);
    assert!(keys.len() > 100);
    for key in keys {
        assert!(
            [FULL, PHY, SERVICES, TWO_RAY]
                .iter()
                .any(|full| full.contains(&format!("{key}:"))),
            "no full file uses `{key}`"
        );
    }
}

/// The names of all properties anywhere in a schema.
fn properties(schema: &Value, keys: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(known)) = object.get("properties") {
                keys.extend(known.keys().cloned());
            }
            object.values().for_each(|inner| properties(inner, keys));
        }
        Value::Array(items) => items.iter().for_each(|inner| properties(inner, keys)),
        _ => {}
    }
}

#[test]
fn every_value_of_the_wrong_kind_is_refused() {
    for full in full() {
        every_wrong_value_is_refused(&full);
    }
}

fn every_wrong_value_is_refused(full: &Value) {
    let mut found = Vec::new();
    tables(full, String::new(), &mut found);
    for pointer in found {
        let table = full.pointer(&pointer).unwrap().as_object().unwrap();
        for key in table.keys() {
            for wrong in [
                Value::Null,
                Value::from("?"),
                Value::from(-1.5),
                Value::from(vec![true]),
            ] {
                let mut changed = full.clone();
                let table = changed
                    .pointer_mut(&pointer)
                    .unwrap()
                    .as_object_mut()
                    .unwrap();
                table.insert(key.clone(), wrong.clone());
                if !is_right(&pointer, key, &wrong) {
                    assert_ne!(refusal(&changed), "", "{pointer}/{key}: {wrong}");
                }
            }
        }
    }
}

/// Whether a table's keys are paths and its values those of resources.
fn of_values(pointer: &str) -> bool {
    pointer.ends_with("/values") || pointer.ends_with("/write-composite")
}

/// Any text is a summary, a source or a payload, and any number a reading, and a small one an angle.
fn is_right(pointer: &str, key: &str, value: &Value) -> bool {
    let texts = [
        "summary",
        "source",
        "payload",
        "constant",
        "endpoint",
        "arguments",
    ];
    let readings = ["start", "step", "mean", "amplitude", "min", "max"];
    match value {
        // What a resource's value may be, its type says: a text is one, of some.
        Value::String(_) | Value::Number(_) if of_values(pointer) => true,
        Value::String(_) => texts.contains(&key) || pointer.contains("/options/") && key == "value",
        Value::Number(_) => {
            let degrees = ["latitude", "longitude"].contains(&key);
            degrees || pointer.contains("/value/") && readings.contains(&key)
        }
        _ => false,
    }
}

/// Text that is not a topology, near one.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0usize..12, "[ -~\n\té☃]{0,8}");
    let file = prop::sample::select(vec![FULL, PHY, SERVICES, TWO_RAY, HANDOVER]);
    (file, prop::collection::vec(edit, 1..6)).prop_map(|(file, edits)| {
        let mut text: Vec<char> = file.chars().collect();
        for (index, removed, inserted) in edits {
            let start = index.index(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, inserted.chars());
        }
        text.into_iter().collect()
    })
}

/// A topology in which quantities are replaced by other quantities.
fn requantified() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just("0".to_owned()),
        any::<u64>().prop_map(|n| n.to_string()),
        (0u32..5000).prop_map(|n| n.to_string()),
        Just("99999999999999999999999".to_owned()),
    ];
    let units = [
        "ns", "ms", "s", "h", "dB", "dBm", "m", "m/s", "B", "mA", "V", "GHz", "",
    ];
    let unit = prop::sample::select(units.to_vec());
    let edit = (any::<prop::sample::Index>(), number, unit);
    let file = prop::sample::select(vec![FULL, PHY, SERVICES, TWO_RAY]);
    (file, prop::collection::vec(edit, 1..4)).prop_map(|(file, edits)| {
        let mut words: Vec<String> = file.split(' ').map(str::to_owned).collect();
        let numbers: Vec<usize> = (0..words.len() - 1)
            .filter(|i| words[*i].parse::<f64>().is_ok())
            .collect();
        for (index, number, unit) in edits {
            let at = numbers[index.index(numbers.len())];
            words[at] = number;
            if !unit.is_empty() {
                let tail =
                    words[at + 1].trim_start_matches(|c: char| c.is_alphabetic() || c == '/');
                words[at + 1] = format!("{unit}{tail}");
            }
        }
        words.join(" ")
    })
}

/// A loaded plan reads back; a refused text has its position inside the text.
fn check(text: &str) -> Result<(), TestCaseError> {
    match load_in(tests_folder(), "mutated.yaml", text, Overrides::default()) {
        Ok(plan) => {
            let read = [
                topology::Plan::from_yaml(&plan.to_yaml()),
                topology::Plan::from_json(&plan.to_json()),
            ];
            for again in read {
                prop_assert_eq!(again.map_err(|e| e.to_string()), Ok(plan.clone()));
            }
        }
        Err(error) => {
            let lines = text.lines().count().max(1);
            prop_assert!(!error.problems().is_empty());
            for problem in error.problems() {
                prop_assert!((1..=lines + 1).contains(&problem.span.line), "{error}");
                prop_assert!(problem.span.column >= 1, "{error}");
            }
            prop_assert!(error.to_string().starts_with("mutated.yaml:"));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_mutated_file_makes_the_loader_panic(text in mutated()) {
        check(&text)?;
    }

    #[test]
    fn no_quantity_makes_the_loader_panic(text in requantified()) {
        check(&text)?;
    }

    #[test]
    fn no_text_at_all_makes_the_loader_panic(text in any::<String>()) {
        check(&text)?;
    }
}
