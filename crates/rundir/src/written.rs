//! What a run or a sweep has written into a directory, so that nothing else is removed with it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use files::Tree;

use crate::{Made, RunDir, RunFacts, SweepDir};

/// Name of the page that `wpanlab report` writes beside a run or a sweep.
pub const PAGE: &str = "report.html";

/// A folder, by what is written into it.
#[derive(Clone, Copy)]
enum Folder {
    Run,
    Sweep,
    Point,
    Unfinished,
    Captures,
    Logs,
    Wireshark,
}

/// What has a name that is written.
enum Known {
    File,
    Folder(Folder),
}

impl Folder {
    fn known(self, name: &OsStr) -> Option<Known> {
        let name = name.to_str()?;
        if files::is_left_over(name) {
            return Some(Known::File);
        }
        let ends = |prefix, numbered: Folder| {
            let number = name.strip_prefix(prefix)?;
            number.parse::<u64>().ok()?;
            Some(Known::Folder(numbered))
        };
        match (self, name) {
            (Folder::Run, "captures") => Some(Known::Folder(Folder::Captures)),
            (Folder::Run, "log") => Some(Known::Folder(Folder::Logs)),
            (Folder::Run, "wireshark") => Some(Known::Folder(Folder::Wireshark)),
            (
                Folder::Run,
                "plan.yaml"
                | "result.json"
                | "run.json"
                | "made.json"
                | "air.json"
                | "events.jsonl"
                | "error.txt"
                | RunDir::ROW
                | PAGE,
            )
            | (
                Folder::Sweep,
                SweepDir::MANIFEST
                | SweepDir::RUNS
                | SweepDir::SOURCE
                | "made.json"
                | "runs.csv"
                | "distribution.json"
                | "figures.csv"
                | PAGE,
            )
            | (Folder::Point, "plan.yaml")
            | (Folder::Captures, "all.pcapng" | "air.pcapng")
            | (Folder::Wireshark, "esp_sa" | "preferences") => Some(Known::File),
            (Folder::Sweep, SweepDir::UNFINISHED) => Some(Known::Folder(Folder::Unfinished)),
            (Folder::Unfinished, _) => Some(Known::Folder(Folder::Run)),
            (Folder::Sweep, _) => ends("point-", Folder::Point),
            (Folder::Point, _) => ends("seed-", Folder::Run),
            (Folder::Captures, _) => {
                let parts = name.strip_suffix(".pcapng")?.split_once('.')?;
                let is_one = |part: &str| !part.is_empty() && !part.contains('.');
                (is_one(parts.0) && is_one(parts.1)).then_some(Known::File)
            }
            (Folder::Logs, _) => name.strip_suffix(".log").map(|_| Known::File),
            (Folder::Run | Folder::Wireshark, _) => None,
        }
    }
}

/// Whether a run or a sweep in a directory writes the file `inside`, a path from there. The page of a
/// report is written over by every other one, and is none of its figures.
pub fn is_figure(inside: &Path) -> bool {
    let is_one = |folder: Folder| {
        let mut known = Some(Known::Folder(folder));
        for name in inside {
            known = match known {
                Some(Known::Folder(folder)) => folder.known(name),
                _ => None,
            };
        }
        known.is_some()
    };
    let is_page = inside.file_name() == Some(OsStr::new(PAGE));
    !is_page
        && [Folder::Run, Folder::Sweep, Folder::Point]
            .into_iter()
            .any(is_one)
}

/// What a run or a sweep has written below a directory, and what else is there.
#[derive(Debug, Default)]
pub struct Written {
    root: PathBuf,
    files: Vec<PathBuf>,
    /// Those within before those around them.
    folders: Vec<PathBuf>,
    /// In the order of the names.
    others: Vec<PathBuf>,
    in_the_way: Option<PathBuf>,
}

impl Written {
    /// What is in `root`, if that is the directory of a run or a sweep: beside the plan or the manifest
    /// there is a file that nobody makes by hand.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn by_run_or_sweep(root: &Path) -> io::Result<Option<Written>> {
        let (run, sweep) = (RunDir::new(root), SweepDir::new(root));
        let made = || Made::read(&run.made()).is_ok();
        let is_file = |path: PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
        let folder = if is_file(sweep.manifest()) && made() {
            Folder::Sweep
        } else if is_file(run.plan()) && (made() || RunFacts::read(&run.facts()).is_ok()) {
            Folder::Run
        } else {
            return Ok(None);
        };
        Written::of(root, root, folder).map(Some)
    }

    /// What a run has written into `dir`, which is a run's by the place where it is.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn by_run(dir: &RunDir) -> io::Result<Written> {
        Written::of(dir.root(), dir.root(), Folder::Run)
    }

    /// What shards of a sweep have not finished, with the folder that it is in.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn unfinished(dir: &SweepDir) -> io::Result<Written> {
        let mut unfinished = Written::of(dir.root(), &dir.unfinished(), Folder::Unfinished)?;
        unfinished.folders.push(dir.unfinished());
        Ok(unfinished)
    }

    /// The captures of a run.
    ///
    /// # Errors
    /// Their directory cannot be read.
    pub fn captures(dir: &RunDir) -> io::Result<Written> {
        let mut captures = Written::of(dir.root(), &dir.captures(), Folder::Captures)?;
        captures.folders.push(dir.captures());
        Ok(captures)
    }

    fn of(root: &Path, folder: &Path, kind: Folder) -> io::Result<Written> {
        let mut written = Written {
            root: root.to_owned(),
            ..Written::default()
        };
        written.look_into(folder, kind)?;
        Ok(written)
    }

    fn look_into(&mut self, folder: &Path, kind: Folder) -> io::Result<()> {
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, is) = (entry.path(), entry.file_type()?);
            match kind.known(&entry.file_name()) {
                Some(Known::File) if is.is_file() => self.files.push(path),
                Some(Known::Folder(within)) if is.is_dir() => {
                    self.look_into(&path, within)?;
                    self.folders.push(path);
                }
                Some(_) => {
                    self.in_the_way.get_or_insert(path);
                }
                None => self.others.push(path),
            }
        }
        Ok(())
    }

    /// Its files.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What has the name of something that is written and is something else, a symbolic link for
    /// one: nothing can be written there.
    pub fn in_the_way(&self) -> Option<&Path> {
        self.in_the_way.as_deref()
    }

    /// Removes it, and no symbolic link is followed on the way; gives what stays. The directory itself
    /// stays, and so does every folder that holds something else.
    ///
    /// # Errors
    /// The system refuses.
    pub fn remove(self) -> io::Result<Vec<PathBuf>> {
        let tree = Tree::new(&self.root);
        for file in &self.files {
            tree.remove_file(file)?;
        }
        for folder in &self.folders {
            match tree.remove_empty_folder(folder) {
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
                removed => removed?,
            }
        }
        let mut stays = self.others;
        stays.extend(self.in_the_way);
        Ok(stays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, files: &[&str]) {
        for name in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
    }

    fn make(root: &Path) {
        let made = Made {
            started: "2026-11-29T04:05:06Z".into(),
            command: "wpanlab run x.yaml".into(),
            again: None,
            warnings: vec![],
        };
        made.write(&root.join("made.json")).unwrap();
    }

    fn below(root: &Path) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = fs::read_dir(root)
            .unwrap()
            .flat_map(|entry| {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => below(&path),
                    false => vec![path],
                }
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn a_plan_or_a_manifest_alone_makes_no_directory_a_runs() {
        for names in [
            &["plan.yaml", "thesis/text.tex"][..],
            &["plan.yaml", "run.json", "made.json"],
            &["sweep.json", "runs.jsonl"],
            &["result.json"],
        ] {
            let dir = tempfile::tempdir().unwrap();
            put(dir.path(), names);
            let written = Written::by_run_or_sweep(dir.path()).unwrap();
            assert!(written.is_none(), "{names:?}");
        }
    }

    #[test]
    fn the_figures_of_a_run_and_of_a_sweep_are_known_by_their_names() {
        for name in [
            "plan.yaml",
            "captures/er1.eth0.pcapng",
            "sweep.json",
            "point-1/seed-7/result.json",
            "log",
            "",
        ] {
            assert!(is_figure(Path::new(name)), "{name}");
        }
        for name in [
            "report.html",
            "junit.xml",
            "seed-1/report.html",
            "plan.yaml/x",
        ] {
            assert!(!is_figure(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn what_a_run_did_not_write_stays_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        put(
            root,
            &[
                "plan.yaml",
                "result.json",
                "report.html",
                "events.jsonl",
                "captures/all.pcapng",
                "captures/er1.eth0.pcapng",
                "log/er1.log",
                "wireshark/esp_sa",
                "wireshark/preferences",
            ],
        );
        let own = [
            "captures/filtered.pcapng",
            "captures/notes.txt",
            "log/old/er1.log",
            "thesis/plan.yaml",
        ];
        put(root, &own);
        make(root);
        let written = Written::by_run_or_sweep(root).unwrap().unwrap();
        let stays = written.remove().unwrap();
        let named = ["captures/filtered.pcapng", "captures/notes.txt", "log/old"];
        let named = named.iter().chain(&["thesis"]).map(|name| root.join(name));
        assert_eq!(stays, named.collect::<Vec<_>>());
        assert_eq!(below(root), own.map(|name| root.join(name)));
    }

    #[test]
    fn a_sweep_goes_with_its_runs_and_without_what_lies_among_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        put(
            root,
            &[
                "sweep.json",
                "runs.jsonl",
                "point-1/plan.yaml",
                "point-1/seed-1/plan.yaml",
                "point-2/seed-1/log/a.log",
            ],
        );
        let own = ["point-2/seed-1/mine", "point-two/plan.yaml"].map(|name| root.join(name));
        put(root, &["point-2/seed-1/mine", "point-two/plan.yaml"]);
        make(root);
        let written = Written::by_run_or_sweep(root).unwrap().unwrap();
        assert!(written.in_the_way().is_none());
        assert_eq!(
            written.remove().unwrap(),
            [own[0].clone(), root.join("point-two")]
        );
        assert_eq!(below(root), own);
        assert!(!root.join("point-1").exists());
    }

    #[test]
    fn a_link_where_a_folder_is_written_is_in_the_way_and_not_followed() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(dir.path(), &["plan.yaml"]);
        put(elsewhere.path(), &["all.pcapng"]);
        make(dir.path());
        let link = dir.path().join("captures");
        std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
        let written = Written::by_run_or_sweep(dir.path()).unwrap().unwrap();
        assert_eq!(written.in_the_way(), Some(link.as_path()));
        assert_eq!(written.remove().unwrap(), [link]);
        assert!(elsewhere.path().join("all.pcapng").exists());
    }
}
