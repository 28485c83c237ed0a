//! What the tests share.

use std::fs;
use std::path::Path;

use topology::{Diagnostics, Overrides, Plan, load_with};

/// Loads a topology whose files are in `folder`.
pub fn load_in(
    folder: &Path,
    name: &str,
    text: &str,
    overrides: Overrides,
) -> Result<Plan, Diagnostics> {
    let mut files = |file: &str| fs::read(folder.join(file)).map_err(|error| error.to_string());
    load_with(name, text, overrides, &mut files)
}

/// The folder of this crate's tests.
pub fn tests_folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))
}
