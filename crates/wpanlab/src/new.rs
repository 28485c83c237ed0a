//! `wpanlab new`: a first topology, with comments, that runs as it is.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::Outcome;
use crate::examples::{Example, write};

/// The example that a new topology begins as.
const TEMPLATE: &str = "line";
/// What a file without a name that a topology can have is called.
const FALLBACK: &str = "first";

/// `wpanlab new FILE`.
pub fn new(file: &Path, json: bool) -> Result<Outcome> {
    let file = match file.extension() {
        Some(_) => file.to_owned(),
        None => file.with_extension("yaml"),
    };
    let files: [(PathBuf, String); 1] = [(file.clone(), text(&file))];
    write(&files, json)
}

/// A topology named after `file`.
fn text(file: &Path) -> String {
    let stem = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("");
    let name: String = stem.to_lowercase().replace(['_', ' ', '.'], "-");
    let name = match topology::is_topology_name(&name) {
        true => name.as_str(),
        false => FALLBACK,
    };
    let template = Example::named(TEMPLATE)
        .map(Example::text)
        .unwrap_or_default();
    let own = format!("\nname: {name}\n");
    template.replacen(&format!("\nname: {TEMPLATE}\n"), &own, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure;

    #[test]
    fn a_new_topology_is_named_after_its_file_and_resolves_without_a_warning() {
        for (file, name) in [
            ("my_lab.yaml", "my-lab"),
            ("dir/Two Floors", "two-floors"),
            ("7.yaml", "first"),
            ("\u{e9}t\u{e9}.yaml", "first"),
        ] {
            let text = text(Path::new(file));
            let mut none = |_: &str| Err("no file".to_owned());
            let loaded = topology::read(file, &text, topology::Overrides::default(), &mut none);
            let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(loaded.plan.name, name);
            assert!(loaded.warnings.is_none());
        }
    }

    #[test]
    fn a_new_topology_has_an_ending_and_a_second_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lab");
        assert_eq!(new(&file, true).unwrap(), Outcome::Passed);
        assert!(dir.path().join("lab.yaml").exists());
        let refused = new(&file, true).unwrap_err();
        assert_eq!(failure::code(&refused), failure::BAD_INPUT);
    }
}
