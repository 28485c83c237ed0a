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
//!
//! *What does not come back without a word.* A [`mark`] beside the file says what was acknowledged last.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::net::Ipv6Addr;
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use comp::mmt::Mmt;
use redb::backends::FileBackend;
use redb::{
    BackendError, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend,
    TableDefinition,
};

use crate::error::{JournalError, Notice, damaged, opening, other};
use crate::mark::{self, Mark};
use crate::patient::{Asked, Patience, Patient};
use crate::{Store, Writer, record};

/// Version of the file's content. Another one is refused.
pub const VERSION: u64 = 1;

/// Pages that the store keeps in memory, bytes: a table of any size lives beside it.
const CACHE_BYTES: usize = 4 << 20;
/// Obsolete segments that one commit removes at most; a commit makes one.
const REMOVED_PER_COMMIT: u64 = 8;

/// Bytes of redb's magic number, with which a file begins.
const MAGIC_BYTES: u64 = 9;
/// Bytes of a segment before its records.
const HEADER_BYTES: usize = 8 + 1 + 16;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const SEGMENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("segments");
const VERSION_KEY: &str = "version";
const OPENED_KEY: &str = "opened";
/// There is, once it has a mark.
const MARKED_KEY: &str = "marked";

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
    /// How many entries it changes, and some of them: for the mark.
    changed: usize,
    named: Vec<Ipv6Addr>,
}

/// The file, and its mark.
#[derive(Debug)]
struct File {
    path: PathBuf,
    database: Database,
    mark: Mutex<Mark>,
    asked: Asked,
}

/// Who has opened the file, and what he has found.
#[derive(Debug)]
struct SignedIn {
    opened_before: u64,
    notice: Option<Notice>,
}

/// Appends the segments of a [`Journal`] to its file.
#[derive(Debug)]
pub struct JournalWriter {
    file: Arc<File>,
    life: u64,
}

/// A table's journal on disk: segments of records, the young ones replace the old.
#[derive(Debug)]
pub struct Journal {
    file: Arc<File>,
    opened_before: u64,
    notice: Option<Notice>,
    /// The first segment there is.
    oldest: u64,
    /// The next segment to write.
    next: u64,
    /// Segments before this one hold nothing that counts.
    obsolete_before: u64,
    sweep: Sweep,
    /// Nanoseconds that Unix time is ahead of the clock of the table.
    ahead: fn() -> i64,
}

impl Journal {
    /// Opens the store in the file `path`, or makes it and its directory; its mark is the file
    /// `path` with `.mark` behind it.
    ///
    /// # Errors
    /// When it cannot be opened, is in use, damaged, or of another version.
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        let cannot = |path: &Path, error: &dyn ToString| JournalError::Open {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let directory = match path.parent() {
            Some(named) if named != Path::new("") => named,
            _ => Path::new("."),
        };
        fs::create_dir_all(directory).map_err(|error| cannot(path, &error))?;
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let file = options.open(path).map_err(|error| cannot(path, &error))?;
            FileBackend::new(file).map_err(|error| cannot(path, &error))
        };
        let (database, mark) = (open(path)?, open(&mark_path(path))?);
        // A file whose name a power cut takes away is lost, whatever is written in it.
        (fs::File::open(directory).and_then(|directory| directory.sync_all()))
            .map_err(|error| cannot(directory, &error))?;
        Journal::open_on(path, database, mark)
    }

    /// Opens the store that `database` and `mark` hold; both may be empty. For whoever keeps them
    /// elsewhere than in two files of a directory; what is said of the store calls it `path`.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(
        path: &Path,
        database: impl StorageBackend,
        mark: impl StorageBackend,
    ) -> Result<Journal, JournalError> {
        let asked = Asked::default();
        let database = Patient::new(database, asked.clone());
        let mark = Patient::new(mark, asked.clone());
        // For as long as it is open, and before anything is looked at.
        match mark.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
            Ok(true) | Err(BackendError::Unsupported) => {}
            Ok(false) => {
                return Err(JournalError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(error) => return Err(of_mark(path, &error.into())),
        }
        let mark = Mark::open(mark).map_err(|error| of_mark(path, &error))?;
        begin_anew_if_unfinished(&database).map_err(|error| other(path, error.into()))?;
        let database = redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            // The check and the repair after a crash are one pass then.
            .set_check_integrity_on_open(true)
            .create_with_backend(database)
            .map_err(|error| opening(path, error))?;
        let file = File {
            path: path.to_owned(),
            database,
            mark: Mutex::new(mark),
            asked,
        };
        let SignedIn {
            opened_before,
            notice,
        } = file.sign_in()?;
        Ok(Journal {
            file: Arc::new(file),
            opened_before,
            notice,
            oldest: 0,
            next: 0,
            obsolete_before: 0,
            sweep: Sweep {
                began: 0,
                last: None,
            },
            ahead: || 0,
        })
    }

    /// Has instants written as Unix time, which is as many nanoseconds ahead of the clock of the table as
    /// `ahead` says whenever a group is made: somebody may have set it, and the next life begins with it.
    pub fn write_unix_time(&mut self, ahead: fn() -> i64) {
        self.ahead = ahead;
    }

    /// From now on `patience` is asked whenever the disk refuses something, and what it refused is
    /// tried again as long as the answer is yes. Who is named first stays.
    pub fn have_patience(&self, patience: Patience) {
        self.file.asked.ask(patience);
    }

    /// What was wrong with the store when it was opened.
    pub fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref()
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
        let ahead = (self.ahead)();
        for p_addr in changed {
            record::write(&mut segment, *p_addr, table.get(*p_addr), ahead);
        }
        let start = self.sweep.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut sweep = self.sweep;
        let mut left = changed.len();
        for (p_addr, entry) in table.range(start).take(changed.len()) {
            left -= 1;
            sweep.last = Some(p_addr);
            if !changed.contains(&p_addr) {
                record::write(&mut segment, p_addr, Some(entry), ahead);
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
    /// Checks the version and the mark, counts the openings.
    fn sign_in(&self) -> Result<SignedIn, JournalError> {
        let transaction = self.database.begin_write().map_err(|e| self.io(e))?;
        let next = {
            let segments = transaction.open_table(SEGMENTS).map_err(|e| self.io(e))?;
            let last = segments.last().map_err(|e| self.io(e))?;
            last.map_or(0, |(number, _)| number.value().saturating_add(1))
        };
        let mut mark = self.mark();
        let (opened_before, notice, is_marked) = {
            let mut meta = transaction.open_table(META).map_err(|e| self.io(e))?;
            let value = |key| -> Result<Option<u64>, JournalError> {
                let value = meta.get(key).map_err(|e| self.io(e))?;
                Ok(value.map(|value| value.value()))
            };
            let found = value(VERSION_KEY)?.unwrap_or(VERSION);
            if found != VERSION {
                let path = self.path.clone();
                return Err(JournalError::Version { path, found });
            }
            let opened = value(OPENED_KEY)?.unwrap_or(0);
            let is_marked = value(MARKED_KEY)?.is_some();
            let notice = self.compare(&mark, opened, next, is_marked);
            // A life that the store has forgotten was one.
            let opened_before = mark
                .latest()
                .map_or(opened, |latest| opened.max(latest.life));
            let opened = opened_before.saturating_add(1);
            for (key, value) in [(VERSION_KEY, VERSION), (OPENED_KEY, opened)] {
                meta.insert(key, value).map_err(|e| self.io(e))?;
            }
            (opened_before, notice, is_marked)
        };
        transaction.commit().map_err(|e| self.io(e))?;
        mark.begin(mark::Record {
            life: opened_before.saturating_add(1),
            next,
            changed: 0,
            p_addrs: Vec::new(),
        })
        .map_err(|error| of_mark(&self.path, &error))?;
        if !is_marked {
            self.note_marked()?;
        }
        Ok(SignedIn {
            opened_before,
            notice,
        })
    }

    /// The store has a mark from now on. Not before: a crash between the two is no loss.
    fn note_marked(&self) -> Result<(), JournalError> {
        let transaction = self.database.begin_write().map_err(|e| self.io(e))?;
        {
            let mut meta = transaction.open_table(META).map_err(|e| self.io(e))?;
            meta.insert(MARKED_KEY, 1).map_err(|e| self.io(e))?;
        }
        transaction.commit().map_err(|e| self.io(e))
    }

    /// What is wrong with a store that was opened so often and whose next segment is `next`.
    fn compare(&self, mark: &Mark, opened: u64, next: u64, is_marked: bool) -> Option<Notice> {
        let path = self.path.clone();
        let went_back = |latest: &mark::Record| latest.next > next || latest.life > opened;
        if mark.latest().is_some_and(went_back) {
            let missing = mark.missing_from(next);
            return Some(Notice::WentBack {
                path,
                groups: missing.groups,
                nodes: missing.named,
                complete: missing.complete,
                empty: opened == 0,
            });
        }
        let is_gone = is_marked && mark.latest().is_none();
        (is_gone || mark.is_damaged()).then(|| Notice::Unmarked {
            mark: mark_path(&path),
            path,
            damaged: mark.is_damaged(),
        })
    }

    fn mark(&self) -> MutexGuard<'_, Mark> {
        // It is whole between two statements.
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn io(&self, error: impl Into<redb::Error>) -> JournalError {
        other(&self.path, error.into())
    }
}

/// A store that is closed has a mark that outlives a power cut.
impl Drop for File {
    fn drop(&mut self) {
        // What is lost with it is at most what a power cut would have taken.
        let _ = self.mark().sync();
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
            changed: changed.len(),
            named: changed.iter().take(mark::NAMED).copied().collect(),
        };
        self.oldest = kept_from;
        self.next += 1;
        self.sweep = sweep;
        segment
    }

    fn writer(&self) -> JournalWriter {
        JournalWriter {
            file: self.file.clone(),
            life: self.opened_before.saturating_add(1),
        }
    }
}

impl Writer for JournalWriter {
    type Group = Segment;
    type Error = JournalError;

    fn commit(&mut self, segment: Segment) -> Result<(), JournalError> {
        let file = &*self.file;
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
        transaction.commit().map_err(|e| file.io(e))?;
        let record = mark::Record {
            life: self.life,
            next: segment.number + 1,
            changed: u32::try_from(segment.changed).unwrap_or(u32::MAX),
            p_addrs: segment.named,
        };
        let mut mark = file.mark();
        mark.write(record).map_err(|e| of_mark(&file.path, &e))
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

/// Empties a file whose making was cut off: redb gives it its length, then all but the magic number
/// in the first page, then that. Without it the file is refused, although nothing was in it ever.
fn begin_anew_if_unfinished(file: &Patient) -> io::Result<()> {
    const FIRST_PAGE: u64 = 4096;
    const CHUNK: u64 = 1 << 16;
    let length = file.len()?;
    let is_zero = |from: u64, to: u64| {
        let mut bytes = vec![0; (to - from) as usize];
        file.read(from, &mut bytes)?;
        Ok::<_, io::Error>(bytes.iter().all(|byte| *byte == 0))
    };
    if length < FIRST_PAGE || !is_zero(0, MAGIC_BYTES)? {
        return Ok(());
    }
    for from in (FIRST_PAGE..length).step_by(CHUNK as usize) {
        if !is_zero(from, length.min(from + CHUNK))? {
            return Ok(());
        }
    }
    file.set_len(0)
}

/// The mark of the store in `path`.
fn mark_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".mark");
    PathBuf::from(name)
}

fn of_mark(path: &Path, error: &io::Error) -> JournalError {
    JournalError::Io {
        path: mark_path(path),
        reason: error.to_string(),
    }
}
