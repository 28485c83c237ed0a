//! A topology as it was read: its text, and the files that it names.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use topology::scalar::{from_hex, to_hex};
use topology::{Assignment, Loaded, Overrides};
use units::Seed;

use crate::failure;

/// Most bytes of a trace or a movement file that a topology names.
const LONGEST_TRACE: u64 = 256 << 20;

/// A topology's text, and the files that it names, each read once: what resolves it again, with another
/// seed or on another machine, reads the same.
#[derive(Debug)]
pub struct Source {
    /// As the command line has it.
    path: PathBuf,
    text: String,
    /// By the name that the topology has for it, as far as it was asked for.
    files: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Where a file is that was not asked for before: none of a topology that was kept whole.
    folder: Option<PathBuf>,
}

/// `source.json`.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The topology file.
    topology: String,
    /// What it names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    files: BTreeMap<String, Content>,
}

/// The bytes of a file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    /// What is no UTF-8, in hexadecimal digits.
    Bytes {
        hex: String,
    },
}

impl Source {
    /// Reads the topology file; the files that it names when they are asked for.
    ///
    /// # Errors
    /// [`failure::Refused`]: it cannot be read.
    pub fn read(path: &Path) -> Result<Source> {
        Ok(Source {
            path: path.to_owned(),
            text: failure::read(path)?,
            files: RefCell::default(),
            folder: Some(path.parent().unwrap_or(Path::new("")).to_owned()),
        })
    }

    /// What [`Source::kept`] gave of the topology that the command line called `path`.
    ///
    /// # Errors
    /// It is something else.
    pub fn of_kept(path: &Path, text: &str) -> Result<Source> {
        let Kept { topology, files } = serde_json::from_str(text)?;
        let bytes = |(name, content)| {
            let bytes = match content {
                Content::Text(text) => text.into_bytes(),
                Content::Bytes { hex } => from_hex(&hex).context("hexadecimal digits")?,
            };
            Ok((name, bytes))
        };
        let files = files.into_iter().map(bytes).collect::<Result<_>>()?;
        Ok(Source {
            path: path.to_owned(),
            text: topology,
            files: RefCell::new(files),
            folder: None,
        })
    }

    /// All of it as text, for [`Source::of_kept`].
    ///
    /// # Errors
    /// None that is known: strings and tables of them become JSON.
    pub fn kept(&self) -> Result<String> {
        let files = self.files.borrow();
        let content = |bytes: &Vec<u8>| match String::from_utf8(bytes.clone()) {
            Ok(text) => Content::Text(text),
            Err(_) => Content::Bytes { hex: to_hex(bytes) },
        };
        let kept = Kept {
            topology: self.text.clone(),
            files: files
                .iter()
                .map(|(name, bytes)| (name.clone(), content(bytes)))
                .collect(),
        };
        Ok(serde_json::to_string_pretty(&kept)? + "\n")
    }

    /// What the command line calls it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The plan with these assignments, and what there is to say of the topology.
    ///
    /// # Errors
    /// [`topology::Diagnostics`] if it is wrong.
    pub fn load(&self, seed: Option<u64>, assignments: &[Assignment]) -> Result<Loaded> {
        self.load_with(seed, assignments, &mut |name| self.file(name))
    }

    /// The same with assignments of somebody who may not read what the command line's user may: a file that was not asked for
    /// before is refused.
    ///
    /// # Errors
    /// [`topology::Diagnostics`] if it is wrong.
    pub fn load_known(&self, seed: Option<u64>, assignments: &[Assignment]) -> Result<Loaded> {
        self.load_with(seed, assignments, &mut |name| {
            let known = self.files.borrow();
            let known = known.get(name).cloned();
            known.ok_or_else(|| "only the files that the topology names are read".into())
        })
    }

    fn load_with(
        &self,
        seed: Option<u64>,
        assignments: &[Assignment],
        files: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Loaded> {
        let overrides = Overrides {
            seed: seed.map(Seed),
            assignments: assignments.to_vec(),
        };
        let name = self.path.display().to_string();
        Ok(topology::read(&name, &self.text, overrides, files)?)
    }

    /// Traces, movements and models are named relative to the topology's own file.
    fn file(&self, name: &str) -> Result<Vec<u8>, String> {
        if let Some(bytes) = self.files.borrow().get(name) {
            return Ok(bytes.clone());
        }
        let Some(folder) = &self.folder else {
            return Err("it was not kept with the topology".into());
        };
        let path = folder.join(name);
        let bytes = match name.ends_with('/') {
            true => names_in(&path)?,
            false if path.is_dir() => {
                return Err(format!(
                    "it is a directory; where one may be named it is `{name}/`"
                ));
            }
            false => files::read_named(&path, LONGEST_TRACE).map_err(|error| error.to_string())?,
        };
        self.files
            .borrow_mut()
            .insert(name.to_owned(), bytes.clone());
        Ok(bytes)
    }
}

/// The names of the files in a directory, in order, a line each. One that is not UTF-8 no topology can name.
fn names_in(folder: &Path) -> Result<Vec<u8>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| error.to_string())?;
        let name = entry.file_name().into_string().ok();
        names.extend(name.filter(|_| entry.path().is_file()));
    }
    names.sort();
    Ok(names.join("\n").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_gives_the_same_plan_without_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let topologies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies");
        let file = topologies.join("trace.yaml");
        let copy = folder.path().join("trace.yaml");
        std::fs::copy(&file, &copy).unwrap();
        let source = Source::read(&file).unwrap();
        let plan = source.load(Some(7), &[]).unwrap().plan;
        assert!(
            !source.files.borrow().is_empty(),
            "trace.yaml names a trace"
        );
        // The copy is without its trace.
        Source::read(&copy).unwrap().load(Some(7), &[]).unwrap_err();
        let kept = Source::of_kept(&copy, &source.kept().unwrap()).unwrap();
        let again = kept.load(Some(7), &[]).unwrap().plan;
        assert_eq!(again.to_yaml(), plan.to_yaml());
        assert_eq!(kept.kept().unwrap(), source.kept().unwrap());
    }

    #[test]
    fn a_directory_is_kept_with_the_files_that_were_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("objects");
        std::fs::create_dir_all(models.join("folder.xml")).unwrap();
        for name in ["b", "a"] {
            std::fs::write(models.join(format!("{name}.xml")), name).unwrap();
        }
        let path = folder.path().join("own.yaml");
        std::fs::write(&path, "version: 1").unwrap();
        let source = Source::read(&path).unwrap();
        assert_eq!(source.file("objects/").unwrap(), b"a.xml\nb.xml");
        assert_eq!(source.file("objects/a.xml").unwrap(), b"a");
        let kept = Source::of_kept(&path, &source.kept().unwrap()).unwrap();
        std::fs::remove_dir_all(&models).unwrap();
        assert_eq!(kept.file("objects/").unwrap(), b"a.xml\nb.xml");
        assert_eq!(kept.file("objects/a.xml").unwrap(), b"a");
        // Without the slash it is told what to write.
        std::fs::create_dir(&models).unwrap();
        let error = source.file("objects").unwrap_err();
        assert!(error.contains("it is `objects/`"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_and_damage_is_refused() {
        let source = Source {
            path: "x.yaml".into(),
            text: "version: 1".into(),
            files: RefCell::new([("a.gz".to_owned(), vec![0x1f, 0x8b, 0xff])].into()),
            folder: None,
        };
        let kept = source.kept().unwrap();
        assert!(kept.contains(r#""hex": "1f8bff""#), "{kept}");
        let again = Source::of_kept(Path::new("x.yaml"), &kept).unwrap();
        assert_eq!(again.file("a.gz").unwrap(), [0x1f, 0x8b, 0xff]);
        assert!(again.file("b.gz").unwrap_err().contains("not kept"));
        for damaged in ["1f8bf", "1f8bfg"] {
            let text = kept.replace("1f8bff", damaged);
            Source::of_kept(Path::new("x.yaml"), &text).unwrap_err();
        }
    }
}
