//! Names of the files of a run directory.

use std::path::{Path, PathBuf};

/// A run directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// The run directory at `root`; nothing is created.
    pub fn new(root: impl Into<PathBuf>) -> RunDir {
        RunDir { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
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

    /// Directory of the logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Log of one node, `log/NODE.log`.
    pub fn log(&self, node: &str) -> PathBuf {
        self.logs().join(format!("{node}.log"))
    }
}
