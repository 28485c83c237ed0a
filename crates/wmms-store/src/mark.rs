//! The mark: a small file beside the store, which says what was acknowledged last.
//!
//! *Why.* A file that is damaged in its youngest transaction looks like one whose writer lost the
//! power in the middle of it: redb goes back to the transaction before, rightly in the second case. And
//! an older copy put in the file's place is whole. Neither can be seen in the file itself. So
//! whoever opens it compares it with the mark.
//!
//! *When.* A record is written after its transaction is synchronised and before anybody hears of it:
//! a mark never promises what the store does not have, and one that was written in the same life of
//! the machine misses nothing. It costs no `fsync` of its own but for every 64th: after a power cut the
//! mark may be that much older than the store.
//!
//! *Form.* Eight sectors of 512 bytes, big-endian, a record in each, the oldest is overwritten. A sector
//! of zeros has none.
//!
//! ```text
//! "WMMSmrk1" (8)  life (8)  next segment (8)  changed entries (4)
//! P_Addrs of those, as many as there is room for, 16 each  CRC-32 of all before (4)
//! ```

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv6Addr;

use redb::StorageBackend;

use crate::patient::Patient;
use crate::record::take;

/// What a disk writes whole or not at all, bytes.
const SECTOR_BYTES: usize = 512;
/// Records that are kept.
const SECTORS: usize = 8;
const FILE_BYTES: u64 = (SECTORS * SECTOR_BYTES) as u64;
const MAGIC: [u8; 8] = *b"WMMSmrk1";
/// Magic, life, next segment, changed entries.
const HEADER_BYTES: usize = 28;
const CHECKSUM_BYTES: usize = 4;
/// P_Addrs for which a sector has room.
pub(crate) const NAMED: usize = (SECTOR_BYTES - HEADER_BYTES - CHECKSUM_BYTES) / 16;
/// Records between two that are synchronised.
const SYNC_EVERY: u32 = 64;

/// What was acknowledged when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Which opening of the store it was.
    pub(crate) life: u64,
    /// The segment after the one that was acknowledged.
    pub(crate) next: u64,
    /// How many entries that segment changed.
    pub(crate) changed: u32,
    /// Some of them, [`NAMED`] at most.
    pub(crate) p_addrs: Vec<Ipv6Addr>,
}

impl Record {
    /// In which order they were written. After the store has gone back its segments are numbered
    /// again, in another life.
    fn order(&self) -> (u64, u64) {
        (self.life, self.next)
    }

    fn encode(&self) -> [u8; SECTOR_BYTES] {
        let mut bytes = Vec::with_capacity(SECTOR_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(self.life.to_be_bytes());
        bytes.extend(self.next.to_be_bytes());
        bytes.extend(self.changed.to_be_bytes());
        for p_addr in self.p_addrs.iter().take(NAMED) {
            bytes.extend(p_addr.octets());
        }
        let mut sector = [0; SECTOR_BYTES];
        sector[..bytes.len()].copy_from_slice(&bytes);
        let (content, checksum) = sector.split_at_mut(SECTOR_BYTES - CHECKSUM_BYTES);
        checksum.copy_from_slice(&crc32fast::hash(content).to_be_bytes());
        sector
    }

    /// `None` if the sector is damaged.
    fn decode(sector: &[u8]) -> Option<Record> {
        let (mut bytes, checksum) = sector.split_last_chunk::<CHECKSUM_BYTES>()?;
        if crc32fast::hash(bytes) != u32::from_be_bytes(*checksum) || take(&mut bytes)? != MAGIC {
            return None;
        }
        let life = u64::from_be_bytes(take(&mut bytes)?);
        let next = u64::from_be_bytes(take(&mut bytes)?);
        let changed = u32::from_be_bytes(take(&mut bytes)?);
        let named = usize::try_from(changed).unwrap_or(NAMED).min(NAMED);
        let p_addrs: Option<_> = (0..named)
            .map(|_| take::<16>(&mut bytes).map(Ipv6Addr::from))
            .collect();
        Some(Record {
            life,
            next,
            changed,
            p_addrs: p_addrs?,
        })
    }
}

/// What acknowledged segments changed that are not in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) groups: u64,
    pub(crate) named: BTreeSet<Ipv6Addr>,
    /// Whether `named` is all.
    pub(crate) complete: bool,
}

/// The file.
#[derive(Debug)]
pub(crate) struct Mark {
    backend: Patient,
    records: [Option<Record>; SECTORS],
    /// Whether it is not what was written.
    damaged: bool,
    /// Where the next record goes.
    place: usize,
    unsynced: u32,
}

impl Mark {
    /// Reads it; an empty file is a mark without records.
    pub(crate) fn open(backend: Patient) -> io::Result<Mark> {
        let length = backend.len()?;
        let mut damaged = length != 0 && length != FILE_BYTES;
        if length != FILE_BYTES {
            backend.set_len(FILE_BYTES)?;
        }
        let mut records = [const { None }; SECTORS];
        let mut sector = [0; SECTOR_BYTES];
        for (offset, record) in offsets().zip(&mut records) {
            backend.read(offset, &mut sector)?;
            if sector != [0; SECTOR_BYTES] {
                *record = Record::decode(&sector);
                damaged |= record.is_none();
            }
        }
        Ok(Mark {
            backend,
            records,
            damaged,
            place: 0,
            unsynced: 0,
        })
    }

    /// Whether some of it is not what was written.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// What was acknowledged last.
    pub(crate) fn latest(&self) -> Option<&Record> {
        self.records.iter().flatten().max_by_key(|r| r.order())
    }

    /// What was acknowledged after the segment before `next`.
    pub(crate) fn missing_from(&self, next: u64) -> Missing {
        let latest = self.latest().map_or(next, |record| record.next);
        let groups = latest.saturating_sub(next);
        let after: Vec<_> = (self.records.iter().flatten())
            .filter(|record| record.next > next && record.changed > 0)
            .collect();
        let whole = |record: &&Record| record.changed as usize == record.p_addrs.len();
        Missing {
            groups,
            named: after.iter().flat_map(|r| r.p_addrs.clone()).collect(),
            complete: after.len() as u64 == groups && after.iter().all(whole),
        }
    }

    /// Begins a life: `record` is all that the mark says then, and on the disk when this returns. After a
    /// power cut former records may be there again, which it outdates.
    pub(crate) fn begin(&mut self, record: Record) -> io::Result<()> {
        self.place = 0;
        self.write(record)?;
        self.sync()?;
        for (offset, record) in offsets().zip(&mut self.records).skip(1) {
            if record.take().is_some() || self.damaged {
                self.backend.write(offset, &[0; SECTOR_BYTES])?;
            }
        }
        self.damaged = false;
        Ok(())
    }

    /// Something is acknowledged from now on.
    pub(crate) fn write(&mut self, record: Record) -> io::Result<()> {
        let offset = (self.place * SECTOR_BYTES) as u64;
        self.backend.write(offset, &record.encode())?;
        self.records[self.place] = Some(record);
        self.place = (self.place + 1) % SECTORS;
        self.unsynced += 1;
        match self.unsynced < SYNC_EVERY {
            true => Ok(()),
            false => self.sync(),
        }
    }

    /// What it says outlives a power cut.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.unsynced = 0;
        self.backend.sync_data()
    }
}

fn offsets() -> impl Iterator<Item = u64> {
    (0..FILE_BYTES).step_by(SECTOR_BYTES)
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::patient::Asked;

    fn p(n: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)
    }

    fn record(life: u64, next: u64, nodes: u16) -> Record {
        Record {
            life,
            next,
            changed: nodes.into(),
            p_addrs: (1..=nodes).take(NAMED).map(p).collect(),
        }
    }

    fn empty() -> Mark {
        Mark::open(Patient::new(InMemoryBackend::new(), Asked::default())).unwrap()
    }

    #[test]
    fn a_record_is_the_bytes_of_the_documentation() {
        let mut bytes = b"WMMSmrk1\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\x01\x02\0\0\0\x01\
            \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
            .to_vec();
        bytes.resize(508, 0);
        // CRC-32 of IEEE 802.3, as zlib's crc32 gives it.
        bytes.extend(b"\xe0\x72\xbf\x63");
        let record = record(3, 0x102, 1);
        assert_eq!(record.encode()[..], bytes);
        assert_eq!(Record::decode(&bytes), Some(record));
    }

    #[test]
    fn a_sector_that_is_changed_anywhere_is_no_record() {
        let good = record(1, 40, 40).encode();
        assert_eq!(Record::decode(&good), Some(record(1, 40, 40)));
        for place in 0..SECTOR_BYTES {
            let mut bad = good;
            bad[place] ^= 4;
            assert_eq!(Record::decode(&bad), None, "{place}");
        }
    }

    #[test]
    fn what_is_missing_is_named_as_far_as_there_are_records() {
        let mut mark = empty();
        mark.begin(record(1, 10, 0)).unwrap();
        for next in 11..=13 {
            mark.write(record(1, next, next as u16 - 10)).unwrap();
        }
        let missing = |mark: &Mark, next| {
            let Missing {
                groups,
                named,
                complete,
            } = mark.missing_from(next);
            (groups, named.len(), complete)
        };
        assert_eq!(missing(&mark, 13), (0, 0, true));
        assert_eq!(missing(&mark, 12), (1, 3, true));
        assert_eq!(missing(&mark, 10), (3, 3, true));
        assert_eq!(missing(&mark, 9), (4, 3, false), "another life's");
        mark.write(record(1, 14, 31)).unwrap();
        assert_eq!(missing(&mark, 13), (1, 30, false), "no room for one");
        for next in 15..30 {
            mark.write(record(1, next, 1)).unwrap();
        }
        assert_eq!(missing(&mark, 21), (8, 1, true));
        assert_eq!(missing(&mark, 20), (9, 1, false), "eight have a place");
    }

    #[test]
    fn a_life_begins_with_one_record_wherever_its_segments_go_on() {
        let mut mark = empty();
        mark.begin(record(1, 0, 0)).unwrap();
        (1..20).for_each(|next| mark.write(record(1, next, 1)).unwrap());
        mark.begin(record(2, 5, 0)).unwrap();
        assert_eq!(mark.latest(), Some(&record(2, 5, 0)));
        let again = Mark::open(mark.backend).unwrap();
        assert_eq!(again.latest(), Some(&record(2, 5, 0)));
        assert_eq!(again.records.iter().flatten().count(), 1);
        assert!(!again.is_damaged());
    }
}
