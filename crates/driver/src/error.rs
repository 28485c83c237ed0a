//! Why a socket cannot be had.

use std::io;

/// A socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct OpenError {
    /// Which one: `UDP port 547 on lowpan0`.
    what: String,
    /// What the kernel says.
    source: io::Error,
}

impl OpenError {
    /// What kind of error it was.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// For `map_err`: of the socket that is called `what`.
    pub(crate) fn of<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> OpenError {
        let what = what.into();
        |source| OpenError {
            what,
            source: source.into(),
        }
    }
}
