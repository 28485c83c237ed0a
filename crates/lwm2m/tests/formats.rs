//! The Content-Formats: sizes of the paper, bytes of other makers, properties, hostile payloads.

#[path = "formats/hostile.rs"]
mod hostile;
#[path = "formats/others.rs"]
mod others;
#[path = "formats/properties.rs"]
mod properties;
#[path = "formats/refusals.rs"]
mod refusals;
#[path = "formats/sizes.rs"]
mod sizes;
#[path = "formats/support.rs"]
mod support;
