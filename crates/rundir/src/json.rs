//! A value in a JSON file of its own.

use std::io;
use std::path::Path;

use files::Tree;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&Tree::holding(path).read(path)?)?)
}

pub(crate) fn write(value: &impl Serialize, path: &Path) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Tree::holding(path).replace(path, text.as_bytes())
}
