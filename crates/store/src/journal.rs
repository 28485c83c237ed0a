//! The store of a WMMS on one machine: a journal in one crash-safe file.
//!
//! A commit appends one *segment*, the records of what has changed. A table keyed by P_Addr
//! would copy a page of 4 KiB per record and all pages above it, since the P_Addrs of a group
//! have nothing to do with each other; a segment is a few pages, however many records it has
//! (docs/wmms.md has the figures).
//!
//! *What keeps the file small.* Each segment also repeats as many unchanged entries as it has
//! changes, in the order of P_Addr: a sweep over the table. When a sweep is through, every
//! entry stands in a segment that is younger than its start, and the older segments go, a few
//! per commit. So the file holds at most about four records per entry, a commit costs twice its
//! changes, and nothing ever stops to clean up.
//!
//! *What comes back.* The segments in order; a later record of a P_Addr replaces an earlier one.
//! The oldest segment goes first, so that no removal goes before what it removes.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use comp::mmt::Mmt;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use crate::{Store, record};

/// Version of the file's content. Another one is refused.
pub const VERSION: u64 = 1;

/// Pages that the store keeps in memory, bytes: a table of any size lives beside it.
const CACHE_BYTES: usize = 4 << 20;
/// Obsolete segments that one commit removes at most; a commit makes one.
const REMOVED_PER_COMMIT: u64 = 8;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const SEGMENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("segments");
const VERSION_KEY: &str = "version";
const OPENED_KEY: &str = "opened";

/// Why a [`Journal`] cannot be used.
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

/// The sweep over the table, as it stands after a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sweep {
    /// The first segment of this sweep.
    began: u64,
    /// The entry that was repeated last; `None` at the start.
    last: Option<Ipv6Addr>,
}

/// A table's journal on disk: segments of records, the young ones replace the old.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    database: Database,
    opened_before: u64,
    /// The first segment there is.
    oldest: u64,
    /// The next segment to write.
    next: u64,
    /// Segments before this one hold nothing that counts.
    obsolete_before: u64,
    sweep: Sweep,
}

impl Journal {
    /// Opens the store in the file `path`, or makes it and its directory.
    ///
    /// # Errors
    /// When it cannot be opened, is in use, damaged, or of another version.
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(|error| JournalError::Open {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
        }
        let mut database = redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create(path)
            .map_err(|error| opening(path, error))?;
        let sound = database
            .check_integrity()
            .map_err(|error| opening(path, error))?;
        if !sound {
            return Err(damaged(path, "its checksums do not hold"));
        }
        let mut journal = Journal {
            path: path.to_owned(),
            database,
            opened_before: 0,
            oldest: 0,
            next: 0,
            obsolete_before: 0,
            sweep: Sweep {
                began: 0,
                last: None,
            },
        };
        journal.opened_before = journal.sign_in()?;
        Ok(journal)
    }

    /// How often this store was opened before: 0 for a new one. A WMMS that has lost its
    /// Message IDs with its last life takes others (RFC 7252 §4.4).
    pub fn opened_before(&self) -> u64 {
        self.opened_before
    }

    /// Checks the version, counts the openings.
    fn sign_in(&self) -> Result<u64, JournalError> {
        let transaction = self.database.begin_write().map_err(|e| self.io(e))?;
        let opened = {
            let mut meta = transaction.open_table(META).map_err(|e| self.io(e))?;
            let value = |key| -> Result<Option<u64>, JournalError> {
                let value = meta.get(key).map_err(|e| self.io(e))?;
                Ok(value.map(|value| value.value()))
            };
            let (version, opened) = (value(VERSION_KEY)?, value(OPENED_KEY)?);
            let found = version.unwrap_or(VERSION);
            if found != VERSION {
                let path = self.path.clone();
                return Err(JournalError::Version { path, found });
            }
            let opened = opened.unwrap_or(0);
            for (key, value) in [(VERSION_KEY, VERSION), (OPENED_KEY, opened + 1)] {
                meta.insert(key, value).map_err(|e| self.io(e))?;
            }
            opened
        };
        (transaction.open_table(SEGMENTS)).map_err(|e| self.io(e))?;
        transaction.commit().map_err(|e| self.io(e))?;
        Ok(opened)
    }

    /// How many segments there are, and the bytes in them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn size(&self) -> Result<(u64, u64), JournalError> {
        let transaction = self.database.begin_read().map_err(|e| self.io(e))?;
        let segments = transaction.open_table(SEGMENTS).map_err(|e| self.io(e))?;
        let stats = segments.stats().map_err(|e| self.io(e))?;
        let count = segments.len().map_err(|e| self.io(e))?;
        Ok((count, stats.stored_bytes()))
    }

    /// The next segment, and the sweep after it.
    fn segment(&self, table: &Mmt, changed: &BTreeSet<Ipv6Addr>) -> (Vec<u8>, Sweep) {
        let mut records = Vec::new();
        for p_addr in changed {
            record::write(&mut records, *p_addr, table.get(*p_addr));
        }
        let start = self.sweep.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut sweep = self.sweep;
        let mut left = changed.len();
        for (p_addr, entry) in table.range(start).take(changed.len()) {
            left -= 1;
            sweep.last = Some(p_addr);
            if !changed.contains(&p_addr) {
                record::write(&mut records, p_addr, Some(entry));
            }
        }
        if left > 0 {
            sweep = Sweep {
                began: self.next + 1,
                last: None,
            };
        }
        let mut segment = header(sweep);
        segment.append(&mut records);
        (segment, sweep)
    }

    fn io(&self, error: impl Into<redb::Error>) -> JournalError {
        other(&self.path, error.into())
    }
}

impl Store for Journal {
    type Error = JournalError;

    fn load(&mut self, table: &mut Mmt) -> Result<(), JournalError> {
        let transaction = self.database.begin_read().map_err(|e| self.io(e))?;
        let segments = transaction.open_table(SEGMENTS).map_err(|e| self.io(e))?;
        let mut numbers: Option<(u64, u64)> = None;
        for segment in segments.iter().map_err(|e| self.io(e))? {
            let (number, bytes) = segment.map_err(|e| self.io(e))?;
            let number = number.value();
            let mut bytes = bytes.value();
            let broken = || damaged(&self.path, &format!("segment {number} has a broken record"));
            self.sweep = read_header(&mut bytes).ok_or_else(broken)?;
            while !bytes.is_empty() {
                let (p_addr, entry) = record::read(&mut bytes).ok_or_else(broken)?;
                table.restore(p_addr, entry);
            }
            numbers = Some((numbers.map_or(number, |(oldest, _)| oldest), number + 1));
        }
        let (oldest, next) = numbers.unwrap_or((0, 0));
        (self.oldest, self.next, self.obsolete_before) = (oldest, next, oldest);
        Ok(())
    }

    fn commit(&mut self, table: &Mmt, changed: &BTreeSet<Ipv6Addr>) -> Result<(), JournalError> {
        let (segment, sweep) = self.segment(table, changed);
        if sweep.began != self.sweep.began {
            self.obsolete_before = self.sweep.began;
        }
        let kept_from = (self.oldest + REMOVED_PER_COMMIT).min(self.obsolete_before);
        let transaction = self.database.begin_write().map_err(|e| self.io(e))?;
        {
            let mut segments = transaction.open_table(SEGMENTS).map_err(|e| self.io(e))?;
            for number in self.oldest..kept_from {
                segments.remove(number).map_err(|e| self.io(e))?;
            }
            segments
                .insert(self.next, &segment[..])
                .map_err(|e| self.io(e))?;
        }
        // Returns after fsync: redb's default durability.
        transaction.commit().map_err(|e| self.io(e))?;
        self.oldest = self.oldest.max(kept_from);
        self.next += 1;
        self.sweep = sweep;
        Ok(())
    }
}

/// First segment of the sweep (8), whether it has begun (1), the entry repeated last (16).
fn header(sweep: Sweep) -> Vec<u8> {
    let mut bytes = sweep.began.to_be_bytes().to_vec();
    bytes.push(u8::from(sweep.last.is_some()));
    bytes.extend(sweep.last.unwrap_or(Ipv6Addr::UNSPECIFIED).octets());
    bytes
}

fn read_header(bytes: &mut &[u8]) -> Option<Sweep> {
    let began = u64::from_be_bytes(record::take(bytes)?);
    let [begun] = record::take(bytes)?;
    let last = record::take::<16>(bytes)?;
    Some(Sweep {
        began,
        last: (begun != 0).then(|| last.into()),
    })
}

fn damaged(path: &Path, reason: &str) -> JournalError {
    JournalError::Damaged {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

fn opening(path: &Path, error: redb::DatabaseError) -> JournalError {
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => JournalError::InUse {
            path: path.to_owned(),
        },
        error => other(path, error.into()),
    }
}

fn other(path: &Path, error: redb::Error) -> JournalError {
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
