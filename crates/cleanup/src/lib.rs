//! Who owns what: marks of a run's kernel objects, files and processes, and their removal.
//!
//! A run makes a [`Claim`]: a directory with a lock that the kernel releases when the owner
//! dies, however it dies, and a journal of what the run owns. Objects are written to the
//! journal before they are made wherever their name is known beforehand. A claim whose lock
//! can be taken has no owner left: [`abandoned`] lists it and [`Abandoned::remove`] takes
//! everything in it away again, by what the journal says and never by a name pattern.
//!
//! Knows nothing of netlink: radios are removed by a [`Remover`] that the caller brings.
//!
//! ```
//! # let root = tempfile::tempdir().unwrap();
//! use cleanup::{Claim, Object};
//! let mut claim = Claim::new(root.path(), "handover").unwrap();
//! let scratch = claim.dir().join("scratch");
//! claim.own(Object::Path { path: scratch.clone() }).unwrap();
//! std::fs::create_dir(&scratch).unwrap();
//! assert!(cleanup::abandoned(root.path()).unwrap().is_empty()); // its owner lives
//! claim.close().unwrap();
//! assert!(!scratch.exists());
//! ```

#![forbid(unsafe_code)]

mod claim;
mod object;

pub use claim::{Abandoned, Claim, abandoned, living, state_root};
pub use object::{Object, RemoveNoRadios, Remover};

use std::path::PathBuf;

/// What can go wrong with a claim.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// A file operation failed.
    #[error("{operation} {path}: {source}", path = .path.display())]
    Io {
        /// What was done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// An object could not be removed.
    #[error("remove {object}: {reason}")]
    Remove {
        /// The object, in words.
        object: String,
        /// Why not.
        reason: String,
    },
    /// Several removals failed; all were tried.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<CustodyError>),
}

impl CustodyError {
    fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> CustodyError {
        let path = path.into();
        move |source| CustodyError::Io {
            operation,
            path,
            source,
        }
    }
}
