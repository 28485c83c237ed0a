//! `run.json`: what the live half knows about itself and the result repeats.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::json;

/// Where and how a run took place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFacts {
    /// `native`, `vm` or `uml`.
    pub backend: String,
    /// `virtual` or `realtime`.
    pub clock: String,
    /// Release of the kernel that the nodes ran on, `6.1.0-18-amd64`.
    pub kernel: String,
    /// Version of QEMU, `7.2.22 (Debian 1:7.2+dfsg-7)`; absent without a VM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qemu: Option<String>,
    /// What takes time on the processor of a User-Mode Linux, `10 µs a system call`; absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// Version of the program that made the run.
    pub wpanlab_version: String,
}

impl RunFacts {
    /// Reads `run.json`.
    ///
    /// # Errors
    /// The file cannot be read, or is not what [`RunFacts::write`] writes.
    pub fn read(path: &Path) -> io::Result<RunFacts> {
        json::read(path)
    }

    /// Writes `run.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        json::write(self, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_have_the_documented_form() {
        let facts = RunFacts {
            backend: "vm".into(),
            clock: "virtual".into(),
            kernel: "6.1.0-18-amd64".into(),
            qemu: Some("7.2.22".into()),
            processor: None,
            wpanlab_version: "0.1.0".into(),
        };
        let text = serde_json::to_string(&facts).unwrap();
        assert_eq!(
            text,
            r#"{"backend":"vm","clock":"virtual","kernel":"6.1.0-18-amd64","qemu":"7.2.22","wpanlab_version":"0.1.0"}"#
        );
        assert_eq!(serde_json::from_str::<RunFacts>(&text).unwrap(), facts);
    }
}
