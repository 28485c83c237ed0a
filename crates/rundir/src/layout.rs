//! Names of the files of a run directory.

use std::path::{Path, PathBuf};

use files::Tree;

/// A run directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// Name of a shard's line for the table of the runs.
    pub const ROW: &str = "row.json";

    /// The run directory at `root`; nothing is created.
    pub fn new(root: impl Into<PathBuf>) -> RunDir {
        RunDir { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How its files are read and written: whatever lies in it is taken for a regular file, or
    /// refused.
    pub fn files(&self) -> Tree<'_> {
        Tree::new(&self.root)
    }

    /// The resolved plan, `plan.yaml`.
    pub fn plan(&self) -> PathBuf {
        self.root.join("plan.yaml")
    }

    /// What was measured, `result.json`.
    pub fn result(&self) -> PathBuf {
        self.root.join("result.json")
    }

    /// Facts of the live half that the result repeats (backend, clock, kernel), `run.json`.
    pub fn facts(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// When and by which command the run was made, `made.json`.
    pub fn made(&self) -> PathBuf {
        self.root.join("made.json")
    }

    /// What the per-frame medium counted, `air.json`; with `medium: phy` only.
    pub fn air(&self) -> PathBuf {
        self.root.join("air.json")
    }

    /// Every transmission on the air, `captures/air.pcapng`; with `medium: phy` only.
    pub fn air_capture(&self) -> PathBuf {
        self.captures().join("air.pcapng")
    }

    /// Events of all nodes in time order, `events.jsonl`.
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// Why the run did not come to its end, `error.txt`; absent if it did.
    pub fn error(&self) -> PathBuf {
        self.root.join("error.txt")
    }

    /// What a shard of a sweep says of its run until it is collected, [`RunDir::ROW`].
    pub fn row(&self) -> PathBuf {
        self.root.join(RunDir::ROW)
    }

    /// Directory of the captures.
    pub fn captures(&self) -> PathBuf {
        self.root.join("captures")
    }

    /// Capture of one interface, `captures/NODE.IFACE.pcapng`.
    pub fn capture(&self, node: &str, interface: &str) -> PathBuf {
        self.captures().join(format!("{node}.{interface}.pcapng"))
    }

    /// All captures merged, with marks, `captures/all.pcapng`.
    pub fn merged_capture(&self) -> PathBuf {
        self.captures().join("all.pcapng")
    }

    /// A configuration of Wireshark, `wireshark`; with security associations only.
    pub fn wireshark(&self) -> PathBuf {
        self.root.join("wireshark")
    }

    /// The keys of security associations, `wireshark/esp_sa`.
    pub fn wireshark_associations(&self) -> PathBuf {
        self.wireshark().join("esp_sa")
    }

    /// That Wireshark is to use them, `wireshark/preferences`.
    pub fn wireshark_preferences(&self) -> PathBuf {
        self.wireshark().join("preferences")
    }

    /// Directory of the logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Log of one node, `log/NODE.log`.
    pub fn log(&self, node: &str) -> PathBuf {
        self.logs().join(format!("{node}.log"))
    }
}

/// The directory of a sweep: a run directory per point and seed, and what is said of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepDir {
    root: PathBuf,
}

impl SweepDir {
    /// Name of the file that says what a sweep runs, and by what.
    pub const MANIFEST: &str = "sweep.json";
    /// Name of the table of the runs, one JSON object a line.
    pub const RUNS: &str = "runs.jsonl";
    /// Name of the file that holds the topology and the files that it names.
    pub const SOURCE: &str = "source.json";
    /// Name of the folder of runs that shards have not finished.
    pub const UNFINISHED: &str = "unfinished";

    /// The sweep's directory at `root`; nothing is created.
    pub fn new(root: impl Into<PathBuf>) -> SweepDir {
        SweepDir { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How its files are read and written: whatever lies in it is taken for a regular file, or
    /// refused.
    pub fn files(&self) -> Tree<'_> {
        Tree::new(&self.root)
    }

    /// What is run, and by what, [`SweepDir::MANIFEST`].
    pub fn manifest(&self) -> PathBuf {
        self.root.join(SweepDir::MANIFEST)
    }

    /// The topology as it was read, with the files that it names, [`SweepDir::SOURCE`].
    pub fn source(&self) -> PathBuf {
        self.root.join(SweepDir::SOURCE)
    }

    /// Runs that shards have not finished, each in a folder of its own, [`SweepDir::UNFINISHED`].
    pub fn unfinished(&self) -> PathBuf {
        self.root.join(SweepDir::UNFINISHED)
    }

    /// When and by which command the sweep was begun, `made.json`.
    pub fn made(&self) -> PathBuf {
        self.root.join("made.json")
    }

    /// The finished runs, [`SweepDir::RUNS`].
    pub fn runs(&self) -> PathBuf {
        self.root.join(SweepDir::RUNS)
    }

    /// The finished runs as a table, `runs.csv`.
    pub fn runs_table(&self) -> PathBuf {
        self.root.join("runs.csv")
    }

    /// How the runs' figures are distributed, `distribution.json`.
    pub fn distribution(&self) -> PathBuf {
        self.root.join("distribution.json")
    }

    /// Percentiles of each figure as a table, `figures.csv`.
    pub fn figures_table(&self) -> PathBuf {
        self.root.join("figures.csv")
    }

    /// The runs of a point (from 1), `point-N`, with the point's plan as a run directory has it.
    pub fn point(&self, number: usize) -> RunDir {
        RunDir::new(self.root.join(format!("point-{number}")))
    }

    /// The run of a point (from 1) and a seed.
    pub fn run(&self, point: usize, seed: u64) -> RunDir {
        RunDir::new(self.root.join(SweepDir::run_name(point, seed)))
    }

    /// Name of the run of a point and a seed below the root, `point-N/seed-S`.
    pub fn run_name(point: usize, seed: u64) -> String {
        format!("point-{point}/seed-{seed}")
    }
}
