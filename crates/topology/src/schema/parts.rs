//! What the schemas of tables and scalars are put together from.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::decode::{At, Block, Named, Scalar};

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
pub(crate) fn as_schema(value: Value) -> Schema {
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
pub(crate) fn list_of_two(description: &str, item: &Value) -> Schema {
    as_schema(json!({
        "description": description,
        "type": "array", "items": item, "minItems": 2, "maxItems": 2,
    }))
}
