//! The JSON Schema of the topology file, for editors.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::decode::{At, Block, Named, Scalar};
use crate::file::{Corners, Pair, Place, Position, Profile, ProfileTable, Spread, Topology};
use crate::scalar::Metres;

/// The schema as JSON text with a final newline: the content of `docs/topology.schema.json`.
pub fn schema() -> String {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut value = generator.into_root_schema_for::<Topology>().to_value();
    tidy(&mut value);
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

/// One of several things.
pub(crate) fn one_of<const N: usize>(schemas: [Schema; N]) -> Schema {
    as_schema(json!({ "anyOf": Vec::from(schemas) }))
}

/// A table with one of these keys.
pub(crate) fn keyed<const N: usize>(keys: [(&'static str, Schema); N]) -> Schema {
    let properties: Map<String, Value> = keys
        .into_iter()
        .map(|(key, schema)| (key.to_owned(), schema.to_value()))
        .collect();
    as_schema(json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    }))
}

/// A JSON value that is an object, as a schema.
fn as_schema(value: Value) -> Schema {
    Schema::try_from(value).expect("every scalar's schema is an object")
}

impl<T: Scalar> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }
    fn schema_id() -> Cow<'static, str> {
        std::any::type_name::<T>().into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        as_schema(T::schema())
    }
}

impl<T: JsonSchema> JsonSchema for Block<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("NamedOf{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        as_schema(json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": "^[a-z][a-z0-9-]{0,14}$" },
            "additionalProperties": generator.subschema_for::<T>(),
        }))
    }
}

/// A list of exactly two `item`s.
fn two(description: &str, item: &Value) -> Schema {
    as_schema(json!({
        "description": description,
        "type": "array", "items": item, "minItems": 2, "maxItems": 2,
    }))
}

impl JsonSchema for Pair {
    fn schema_name() -> Cow<'static, str> {
        "Pair".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        two("Two node names, `[sensor, er1]`.", &String::schema())
    }
}

impl JsonSchema for Position {
    fn schema_name() -> Cow<'static, str> {
        "Position".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        two("A place in the plane, `[10 m, 0 m]`.", &Metres::schema())
    }
}

impl JsonSchema for Corners {
    fn schema_name() -> Cow<'static, str> {
        "Corners".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let corner = generator.subschema_for::<Position>().to_value();
        two(
            "Two corners of a rectangle, `[[0 m, 0 m], [50 m, 20 m]]`.",
            &corner,
        )
    }
}

impl JsonSchema for Place {
    fn schema_name() -> Cow<'static, str> {
        "Place".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        as_schema(json!({
            "description": "A place in the plane, or how to find one.",
            "anyOf": [generator.subschema_for::<Position>(), generator.subschema_for::<Spread>()],
        }))
    }
}

impl JsonSchema for Profile {
    fn schema_name() -> Cow<'static, str> {
        "Profile".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        as_schema(json!({
            "description": "A radio part: a name, or a table of its figures.",
            "anyOf": [
                { "type": "string", "enum": medium::Profile::NAMES },
                generator.subschema_for::<ProfileTable>(),
            ],
        }))
    }
}
