//! Why a store cannot be used, and what is wrong with one that can.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use crate::journal::VERSION;

/// Why a [`Journal`](crate::Journal) cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file or its directory cannot be made or opened.
    #[error("{path}: cannot open the store: {reason}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another process has it open.
    #[error("{path}: another daemon uses this store: stop it, or give this one another --state")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It was written by another version of this program.
    #[error(
        "{path}: the store has version {found}, this program reads version {VERSION}: use the \
         program that wrote it, or move the file away and the nodes will register again"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// It is not what was written.
    #[error(
        "{path}: the store is damaged: {reason}; put a copy in its place, or move the file away \
         and the nodes will register again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be written or read: disk full, input or output error.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the store or the system says.
        reason: String,
    },
}

pub(crate) fn damaged(path: &Path, reason: &str) -> JournalError {
    JournalError::Damaged {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

pub(crate) fn opening(path: &Path, error: redb::DatabaseError) -> JournalError {
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => JournalError::InUse {
            path: path.to_owned(),
        },
        error => other(path, error.into()),
    }
}

pub(crate) fn other(path: &Path, error: redb::Error) -> JournalError {
    match error {
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::RepairAborted => damaged(path, &error.to_string()),
        redb::Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => {
            damaged(path, "it is no database of this program")
        }
        error => JournalError::Io {
            path: path.to_owned(),
            reason: error.to_string(),
        },
    }
}

/// How many nodes a [`Notice`] names.
const SHOWN: usize = 8;

/// What is wrong with a store that can be used: to be told to whoever looks after the WMMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It does not have what was acknowledged last. It is used as it is.
    WentBack {
        /// The file.
        path: PathBuf,
        /// How many groups of changes are missing.
        groups: u64,
        /// Whose entries those changed.
        nodes: BTreeSet<Ipv6Addr>,
        /// Whether `nodes` are all.
        complete: bool,
        /// Whether nothing at all is in the store.
        empty: bool,
    },
    /// Its mark is damaged or gone: nobody knows whether this is what was acknowledged last.
    /// The mark is made again.
    Unmarked {
        /// The file.
        path: PathBuf,
        /// Its mark.
        mark: PathBuf,
        /// Whether the mark is there.
        damaged: bool,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::WentBack {
                path, groups: 0, ..
            } => write!(
                f,
                "{}: the store is in an earlier state: a start of the daemon is missing, and no \
                 change of the table. The file was damaged, or an older copy was put in its place",
                path.display()
            ),
            Notice::WentBack {
                path,
                groups,
                nodes,
                complete,
                empty,
            } => {
                let state = if *empty {
                    "empty"
                } else {
                    "in an earlier state"
                };
                write!(
                    f,
                    "{}: the store is {state}: the last {groups} groups of changes that were \
                     acknowledged are missing",
                    path.display()
                )?;
                for (place, node) in nodes.iter().take(SHOWN).enumerate() {
                    let before = if place == 0 { ", of the nodes " } else { ", " };
                    write!(f, "{before}{node}")?;
                }
                match (nodes.len().saturating_sub(SHOWN), complete) {
                    (0, true) => {}
                    (more, true) => write!(f, " and {more} more")?,
                    (_, false) => f.write_str(" and others that nobody knows any more")?,
                }
                f.write_str(
                    ". The file was damaged, moved away, or an older copy was put in its place. The \
                     daemon goes on with what is there, and each node's next registration or \
                     binding update brings its entry up to date; to begin with none, stop the \
                     daemon and move the file away",
                )
            }
            Notice::Unmarked {
                path,
                mark,
                damaged,
            } => {
                let what = if *damaged { "damaged" } else { "gone" };
                write!(
                    f,
                    "{}: the mark beside the store is {what}, and is made again: whether {} is what \
                     was acknowledged last cannot be known. If it is not, each node's next \
                     registration or binding update brings its entry up to date",
                    mark.display(),
                    path.display()
                )
            }
        }
    }
}
