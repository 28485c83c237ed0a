//! `#[serde(with)]`: an optional `Duration` as text with its unit.

use std::time::Duration;

use serde::Deserialize;
use units::quantity::duration;

/// Writes `1.5 s`; absent values are skipped by the field.
pub fn serialize<S: serde::Serializer>(value: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => duration::serialize(value, s),
        None => s.serialize_none(),
    }
}

/// Reads `1.5 s`; an absent field is the type's default.
pub fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Text(#[serde(with = "duration")] Duration);
    Ok(Option::<Text>::deserialize(d)?.map(|text| text.0))
}
