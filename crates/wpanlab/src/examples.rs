//! `wpanlab examples`: the topologies that the project ships, out of the program itself.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use files::Tree;
use serde_json::json;

use crate::Outcome;
use crate::failure::Refused;

/// A topology that the project ships.
pub struct Example {
    /// Its file's name without the ending.
    pub name: &'static str,
    text: &'static str,
    /// Files that it names, by their path from it.
    files: &'static [(&'static str, &'static str)],
}

/// Embeds topologies by name, with the files that they name.
macro_rules! shipped {
    ($( $name:literal $( with $($file:literal),+ )? ; )*) => {
        &[$( Example {
            name: $name,
            text: include_str!(concat!("../../../topologies/", $name, ".yaml")),
            files: &[$( $( ($file, include_str!(concat!("../../../topologies/", $file))) ),+ )?],
        } ),*]
    };
}

/// Every topology in `topologies/`, in the order of their names.
const EXAMPLES: &[Example] = shipped! {
    "block-transfer";
    "comp-simulation";
    "comp-simulation-50m";
    "crowd";
    "fast";
    "handover";
    "hidden-node";
    "line";
    "lwm2m";
    "lwm2m-rtr";
    "minimal";
    "mobility";
    "mobility-phy";
    "mutual";
    "observe";
    "paper-comm";
    "paper-comm-hold";
    "papers/binding-direct";
    "papers/binding-relayed";
    "papers/comp-figures";
    "papers/loss-hold";
    "papers/loss-nohold";
    "papers/lwm2m-table4-batch";
    "papers/lwm2m-table4-separate";
    "papers/lwm2m-table5-batch";
    "papers/lwm2m-table5-reverse";
    "papers/lwm2m-table5-separate";
    "ping-pong";
    "sleep";
    "sleep-unannounced";
    "trace" with "traces/er1.csv", "traces/er2.csv";
    "walk";
    "web";
};

/// The comment that tells an editor where the schema is: relative to a checkout.
const SCHEMA_COMMENT: &str = "# yaml-language-server:";

impl Example {
    /// The example with this name.
    pub fn named(name: &str) -> Option<&'static Example> {
        let name = name.strip_suffix(".yaml").unwrap_or(name);
        EXAMPLES.iter().find(|example| example.name == name)
    }

    /// What it shows, in a sentence: its summary, or else the first sentence of its comment.
    fn summary(&self) -> String {
        let mut lines = self.text.lines();
        let summary = lines
            .find_map(|line| line.strip_prefix("summary: "))
            .map(str::to_owned);
        let comment = || {
            let text = self.text();
            let lines = text.lines().map_while(|line| line.strip_prefix("# "));
            let text = lines.collect::<Vec<_>>().join(" ");
            let end = text.find(". ").map_or(text.len(), |end| end + 1);
            text[..end].to_owned()
        };
        summary.unwrap_or_else(comment)
    }

    /// Its text, which may stand anywhere.
    pub fn text(&self) -> String {
        let lines = self.text.split_inclusive('\n');
        lines
            .filter(|line| !line.starts_with(SCHEMA_COMMENT))
            .collect()
    }

    /// Every file of it, by its path.
    fn all(&self) -> Vec<(String, String)> {
        let own = (format!("{}.yaml", self.name), self.text());
        let others = self
            .files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        std::iter::once(own).chain(others).collect()
    }
}

/// `wpanlab examples`: lists them, or writes those that are named into `out`.
pub fn examples(names: &[String], all: bool, out: &Path, json: bool) -> Result<Outcome> {
    if names.is_empty() && !all {
        list(json)?;
        return Ok(Outcome::Passed);
    }
    let mut files = Vec::new();
    for name in names {
        let Some(example) = Example::named(name) else {
            let text = format!("there is no example `{name}`; `wpanlab examples` lists them");
            return Err(Refused(text).into());
        };
        files.extend(example.all());
    }
    if all {
        files = EXAMPLES.iter().flat_map(Example::all).collect();
    }
    write(out, &files, json)
}

fn list(json: bool) -> Result<()> {
    if json {
        let entry = |e: &Example| json!({ "name": e.name, "summary": e.summary() });
        let list: Vec<_> = EXAMPLES.iter().map(entry).collect();
        outln!("{}", serde_json::to_string_pretty(&list)?);
        return Ok(());
    }
    let width = EXAMPLES
        .iter()
        .map(|example| example.name.len())
        .max()
        .unwrap_or(0);
    for example in EXAMPLES {
        outln!("{:width$}  {}", example.name, example.summary());
    }
    outln!(
        "\n`wpanlab examples NAME` writes one, `--all` every one, into this directory or `--out DIR`"
    );
    Ok(())
}

/// Writes files that are not there yet, by their paths below `folder`, and says which; if one is there,
/// none is written. `folder` may be a symbolic link; below it none is followed.
pub fn write(folder: &Path, files: &[(String, String)], json: bool) -> Result<Outcome> {
    let files = files.iter().map(|(path, text)| (folder.join(path), text));
    let files: Vec<(PathBuf, &String)> = files.collect();
    for (path, _) in &files {
        if fs::symlink_metadata(path).is_ok() {
            let path = path.display();
            return Err(Refused(format!("{path} is there already; nothing was written")).into());
        }
        let above = path.ancestors().skip(1);
        let below = above.take_while(|above| *above != folder);
        let is_other = |above: &&Path| fs::symlink_metadata(above).is_ok_and(|f| !f.is_dir());
        if let Some(other) = below
            .filter(|above| !above.as_os_str().is_empty())
            .find(is_other)
        {
            let other = other.display();
            let text = format!("{other} is no directory of its own; nothing was written");
            return Err(Refused(text).into());
        }
    }
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    for (path, text) in &files {
        Tree::new(folder)
            .write_new(path, text.as_bytes())
            .with_context(|| format!("write {}", path.display()))?;
    }
    let paths: Vec<String> = files
        .iter()
        .map(|(path, _)| path.display().to_string())
        .collect();
    match json {
        true => outln!(
            "{}",
            serde_json::to_string_pretty(&json!({ "written": paths }))?
        ),
        false => outln!("{}", paths.join("\n")),
    }
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure;

    /// Every YAML file below `folder`, by its path from `root` without the ending.
    fn shipped(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if path.is_dir() && name != "invalid" {
                shipped(root, &path, found);
            } else if let Some(name) = name.strip_suffix(".yaml") {
                found.push(name.to_owned());
            }
        }
    }

    #[test]
    fn every_shipped_topology_is_in_the_program() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies");
        let mut found = Vec::new();
        shipped(&root, &root, &mut found);
        found.sort();
        let own: Vec<&str> = EXAMPLES.iter().map(|example| example.name).collect();
        assert_eq!(own, found);
    }

    #[test]
    fn every_example_says_what_it_shows_and_resolves_where_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        for example in EXAMPLES {
            assert!(!example.summary().is_empty(), "{}", example.name);
            for (path, text) in example.all() {
                let path = dir.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let path = dir.path().join(format!("{}.yaml", example.name));
            let plan = crate::run::load(&path, None, &[]);
            assert!(plan.is_ok(), "{}: {:?}", example.name, plan.err());
            assert!(!example.text().contains(SCHEMA_COMMENT), "{}", example.name);
        }
    }

    #[test]
    fn what_is_there_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let files = [("a", "1"), ("b", "2")].map(|(n, t)| (n.to_owned(), t.to_owned()));
        assert_eq!(
            write(dir.path(), &files[1..], true).unwrap(),
            Outcome::Passed
        );
        let refused = write(dir.path(), &files, true).unwrap_err();
        assert_eq!(failure::code(&refused), failure::BAD_INPUT);
        assert!(!dir.path().join("a").exists());
    }

    #[test]
    fn no_example_is_written_through_a_link() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("traces")).unwrap();
        let refused = examples(&[], true, dir.path(), true).unwrap_err();
        assert_eq!(failure::code(&refused), failure::BAD_INPUT);
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
