//! The JSON Schema of the topology file, for editors.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::file::Topology;

pub(crate) mod parts;
mod reference;
mod said;

fn value() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut value = generator.into_root_schema_for::<Topology>().to_value();
    tidy(&mut value);
    reference::annotate(&mut value);
    value
}

/// Every key with its type, default, range, medium and meaning, as Markdown: a table of
/// `docs/topology.md` for each table of the file.
pub fn reference() -> String {
    reference::reference(&value())
}

/// The schema as JSON text with a final newline: the content of `docs/topology.schema.json`.
pub fn schema() -> String {
    let value = value();
    let mut text = serde_json::to_string_pretty(&value).expect("a JSON value prints");
    text.push('\n');
    text
}

/// Takes `null` out of every choice (an absent key is absent, never `null`), and the doc
/// comments' line breaks out of descriptions.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|one| one != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(words)) = object.get_mut("enum") {
                words.retain(|word| !word.is_null());
            }
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|one| one.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only: Map<String, Value> = only.clone();
                    object.remove("anyOf");
                    object.extend(only);
                }
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
