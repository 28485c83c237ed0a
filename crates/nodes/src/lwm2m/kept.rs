//! [`Kept`]: a text that outlives the daemon.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use files::Tree;
use service::Report;

use crate::host::Host;

/// A text in the node's directory of what outlives its daemon. It is there whole, as it was written last: whoever kills
/// the daemon at any instant loses nothing that was written. It is not forced to the disk: a power cut may.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    path: PathBuf,
    /// What is there.
    text: Option<String>,
}

impl Kept {
    /// That of the service `what` of a node, the one at `place`.
    ///
    /// # Errors
    /// When the directory cannot be had, or what is there cannot be read.
    pub(super) fn open(host: &Host, what: &str, place: usize) -> Result<Kept> {
        let folder = host.state.clone();
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let name = match place {
            0 => format!("{}.{what}.json", host.name),
            _ => format!("{}.{what}-{}.json", host.name, place + 1),
        };
        let path = folder.join(name);
        let text = match Tree::new(&folder).read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        Ok(Kept { folder, path, text })
    }

    /// What an earlier life of the daemon wrote, before anything is written.
    pub(super) fn earlier(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Writes `text` unless it is there already.
    ///
    /// # Errors
    /// When it cannot be written; then what was there is there still.
    pub(super) fn keep(&mut self, text: String) -> Result<()> {
        if self.text.as_ref() == Some(&text) {
            return Ok(());
        }
        let written = Tree::new(&self.folder).replace(&self.path, text.as_bytes());
        written.with_context(|| format!("write {}", self.path.display()))?;
        self.text = Some(text);
        Ok(())
    }
}

/// What of a service outlives the daemon, if anything does.
#[derive(Debug)]
pub(super) struct Outliving {
    kept: Option<Kept>,
    /// Why the service cannot go on.
    broken: Option<String>,
}

impl Outliving {
    pub(super) fn new(kept: Option<Kept>) -> Outliving {
        let broken = None;
        Outliving { kept, broken }
    }

    /// Keeps what `text` gives, which is not asked where nothing is kept.
    pub(super) fn keep(&mut self, text: impl FnOnce() -> String) {
        if let Some(kept) = &mut self.kept
            && let Err(error) = kept.keep(text())
        {
            self.broken = Some(format!("{error:#}"));
        }
    }

    /// That something could not be kept, once.
    pub(super) fn poll_report(&mut self) -> Option<Report> {
        let reason = self.broken.take()?;
        Some(Report::Broken { reason })
    }
}

/// What to do about a text that is none.
pub(super) fn unreadable(kept: Option<&Kept>) -> String {
    let path = kept.map(|kept| kept.path.display().to_string());
    format!(
        "{}: remove it to begin without what is in it",
        path.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use units::Seed;

    use super::*;
    use crate::host::{Events, Interfaces};

    fn host(state: PathBuf) -> Host {
        Host {
            name: "server".into(),
            seed: Seed(1),
            crashes: 0,
            entropy: None,
            events: Events::new("server").unwrap(),
            interfaces: Interfaces::default(),
            state,
            unready: Rc::new(Cell::new(0)),
            shared: None,
        }
    }

    #[test]
    fn what_was_written_last_is_there_and_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path().join("state"));
        let mut kept = Kept::open(&host, "lwm2m-server", 0).unwrap();
        assert_eq!(kept.earlier(), None);
        kept.keep("one".into()).unwrap();
        kept.keep("two".into()).unwrap();
        let again = Kept::open(&host, "lwm2m-server", 0).unwrap();
        assert_eq!(again.earlier(), Some("two"));
        // Nothing is written over it: it would be there again.
        fs::remove_file(&kept.path).unwrap();
        kept.keep("two".into()).unwrap();
        assert!(!kept.path.exists());
        let other = Kept::open(&host, "lwm2m-server", 1).unwrap();
        assert_ne!(other.path, kept.path);
    }

    #[test]
    fn what_cannot_be_written_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path().to_owned());
        let mut kept = Kept::open(&host, "lwm2m-server", 0).unwrap();
        fs::create_dir(&kept.path).unwrap();
        let error = kept.keep("one".into()).unwrap_err();
        assert!(error.to_string().contains("server.lwm2m-server.json"));
        assert_eq!(kept.earlier(), None);
    }
}
