//! `wpanlab new`: a first topology, with comments, that runs as it is.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::Outcome;
use crate::examples::{Example, write};
use crate::failure::Refused;

/// The example that a new topology begins as.
const TEMPLATE: &str = "line";
/// What a file without a name that a topology can have is called.
const FALLBACK: &str = "first";

/// `wpanlab new FILE`. Without an ending FILE gets one, unless it is the name of something that is there
/// and no directory.
pub fn new(file: &Path, json: bool) -> Result<Outcome> {
    let is_there = fs::symlink_metadata(file).is_ok_and(|found| !found.is_dir());
    let file = match file.extension() {
        None if !is_there => file.with_extension("yaml"),
        _ => file.to_owned(),
    };
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else {
        return Err(Refused(format!(
            "{}: it has no file's name in UTF-8",
            file.display()
        ))
        .into());
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    let folder = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    write(folder, &[(name.to_owned(), text(&file))], json)
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
    #[test]
    fn a_name_that_is_taken_is_refused_whatever_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("dangling");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling.yaml")).unwrap();
        for file in [&link, &link.with_extension("yaml"), Path::new("/dev/null")] {
            let refused = new(file, true).unwrap_err();
            assert_eq!(failure::code(&refused), failure::BAD_INPUT, "{refused:#}");
        }
        assert!(!Path::new("/dev/null.yaml").exists());
    }
}
