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
//! *What comes back.* Of each P_Addr the record in the youngest segment that has one.
//! The oldest segment goes first, so that no removal goes before what it removes.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comp::mmt::Mmt;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use crate::{Store, Writer, record};

/// Version of the file's content. Another one is refused.
pub const VERSION: u64 = 1;

/// Pages that the store keeps in memory, bytes: a table of any size lives beside it.
const CACHE_BYTES: usize = 4 << 20;
/// Obsolete segments that one commit removes at most; a commit makes one.
const REMOVED_PER_COMMIT: u64 = 8;

/// Bytes of a segment before its records.
const HEADER_BYTES: usize = 8 + 1 + 16;

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

/// A segment to append, and older ones to remove.
#[derive(Debug)]
pub struct Segment {
    number: u64,
    bytes: Vec<u8>,
    obsolete: Range<u64>,
}

/// The file.
#[derive(Debug)]
struct File {
    path: PathBuf,
    database: Database,
}

/// Appends the segments of a [`Journal`] to its file.
#[derive(Debug)]
pub struct JournalWriter(Arc<File>);

/// A table's journal on disk: segments of records, the young ones replace the old.
#[derive(Debug)]
pub struct Journal {
    file: Arc<File>,
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
        let database = redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            // The check and the repair after a crash are one pass then.
            .set_check_integrity_on_open(true)
            .create(path)
            .map_err(|error| opening(path, error))?;
        let file = File {
            path: path.to_owned(),
            database,
        };
        let opened_before = file.sign_in()?;
        Ok(Journal {
            file: Arc::new(file),
            opened_before,
            oldest: 0,
            next: 0,
            obsolete_before: 0,
            sweep: Sweep {
                began: 0,
                last: None,
            },
        })
    }

    /// How often this store was opened before: 0 for a new one. A WMMS that has lost its
    /// Message IDs with its last life takes others (RFC 7252 §4.4).
    pub fn opened_before(&self) -> u64 {
        self.opened_before
    }

    /// How many segments there are, and the bytes in them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn size(&self) -> Result<(u64, u64), JournalError> {
        let file = &*self.file;
        let transaction = file.database.begin_read().map_err(|e| file.io(e))?;
        let segments = transaction.open_table(SEGMENTS).map_err(|e| file.io(e))?;
        let stats = segments.stats().map_err(|e| file.io(e))?;
        let count = segments.len().map_err(|e| file.io(e))?;
        Ok((count, stats.stored_bytes()))
    }

    /// The next segment, and the sweep after it.
    fn segment(&self, table: &Mmt, changed: &BTreeSet<Ipv6Addr>) -> (Vec<u8>, Sweep) {
        let usual = 2 * changed.len() * record::USUAL_BYTES;
        let mut segment = Vec::with_capacity(HEADER_BYTES + usual);
        segment.resize(HEADER_BYTES, 0);
        for p_addr in changed {
            record::write(&mut segment, *p_addr, table.get(*p_addr));
        }
        let start = self.sweep.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut sweep = self.sweep;
        let mut left = changed.len();
        for (p_addr, entry) in table.range(start).take(changed.len()) {
            left -= 1;
            sweep.last = Some(p_addr);
            if !changed.contains(&p_addr) {
                record::write(&mut segment, p_addr, Some(entry));
            }
        }
        if left > 0 {
            sweep = Sweep {
                began: self.next + 1,
                last: None,
            };
        }
        segment[..HEADER_BYTES].copy_from_slice(&header(sweep));
        (segment, sweep)
    }
}

impl File {
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

    fn io(&self, error: impl Into<redb::Error>) -> JournalError {
        other(&self.path, error.into())
    }
}

impl Store for Journal {
    type Error = JournalError;
    type Group = Segment;
    type Writer = JournalWriter;

    /// The youngest segment first: what a P_Addr is given first, it keeps, and older records of
    /// it are passed over.
    fn load(&mut self, table: &mut Mmt) -> Result<(), JournalError> {
        let file = &*self.file;
        let transaction = file.database.begin_read().map_err(|e| file.io(e))?;
        let segments = transaction.open_table(SEGMENTS).map_err(|e| file.io(e))?;
        let mut removed = BTreeSet::new();
        let mut youngest = None;
        for segment in segments.iter().map_err(|e| file.io(e))?.rev() {
            let (number, bytes) = segment.map_err(|e| file.io(e))?;
            let number = number.value();
            let mut bytes = bytes.value();
            let broken = || damaged(&file.path, &format!("segment {number} has a broken record"));
            let sweep = read_header(&mut bytes).ok_or_else(broken)?;
            while !bytes.is_empty() {
                let (p_addr, entry) = record::read(&mut bytes).ok_or_else(broken)?;
                if table.get(p_addr).is_some() || removed.contains(&p_addr) {
                    continue;
                }
                if entry.is_none() {
                    removed.insert(p_addr);
                }
                table.restore(p_addr, entry);
            }
            youngest.get_or_insert((number, sweep));
            (self.oldest, self.obsolete_before) = (number, number);
        }
        if let Some((number, sweep)) = youngest {
            (self.next, self.sweep) = (number + 1, sweep);
        }
        Ok(())
    }

    fn group(&mut self, table: &Mmt, changed: &BTreeSet<Ipv6Addr>) -> Segment {
        let (bytes, sweep) = self.segment(table, changed);
        if sweep.began != self.sweep.began {
            self.obsolete_before = self.sweep.began;
        }
        let kept_from = (self.oldest + REMOVED_PER_COMMIT)
            .min(self.obsolete_before)
            .max(self.oldest);
        let segment = Segment {
            number: self.next,
            bytes,
            obsolete: self.oldest..kept_from,
        };
        self.oldest = kept_from;
        self.next += 1;
        self.sweep = sweep;
        segment
    }

    fn writer(&self) -> JournalWriter {
        JournalWriter(self.file.clone())
    }
}

impl Writer for JournalWriter {
    type Group = Segment;
    type Error = JournalError;

    fn commit(&mut self, segment: Segment) -> Result<(), JournalError> {
        let file = &*self.0;
        let transaction = file.database.begin_write().map_err(|e| file.io(e))?;
        {
            let mut segments = transaction.open_table(SEGMENTS).map_err(|e| file.io(e))?;
            for number in segment.obsolete {
                segments.remove(number).map_err(|e| file.io(e))?;
            }
            segments
                .insert(segment.number, &segment.bytes[..])
                .map_err(|e| file.io(e))?;
        }
        // Returns after fsync: redb's default durability.
        transaction.commit().map_err(|e| file.io(e))
    }
}

/// First segment of the sweep (8), whether it has begun (1), the entry repeated last (16).
fn header(sweep: Sweep) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&sweep.began.to_be_bytes());
    bytes[8] = u8::from(sweep.last.is_some());
    bytes[9..].copy_from_slice(&sweep.last.unwrap_or(Ipv6Addr::UNSPECIFIED).octets());
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
