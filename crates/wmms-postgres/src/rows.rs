//! A group of changes as rows, and the statement that writes it.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::{Duration, SystemTime};

use comp::mmt::{Entry, Mmt};
use wmms_store::record;

use crate::shard::Shard;

/// Writes a group: all of it, or nothing if one of its shards has another epoch than this instance was given.
///
/// `$1`, `$2`: the shards of the group and their epochs; `$3`, `$4`: shard and P_Addr of entries that have left;
/// `$5` to `$9`: shard, P_Addr, epoch, end and bytes of those that are new or have changed. The answer says whether it
/// was written.
///
/// *Why nobody gets in between.* Whoever takes a shard over raises its epoch, which the share lock on its row keeps
/// waiting until this transaction ends, and whoever waits here for such a one sees the new epoch afterwards. So what a
/// former owner has in flight is there before the new one reads, or it is not written.
pub(crate) const WRITE: &str = "\
WITH mine AS (
    SELECT m.shard, m.epoch FROM unnest($1::int4[], $2::int8[]) AS m (shard, epoch)
), fence AS MATERIALIZED (
    SELECT s.shard, s.epoch FROM wmms_shard s WHERE s.shard = ANY ($1) ORDER BY s.shard FOR SHARE
), held AS MATERIALIZED (
    SELECT count(*) = cardinality($1::int4[]) AS ok FROM fence JOIN mine USING (shard, epoch)
), removed AS (
    DELETE FROM wmms_binding b USING unnest($3::int4[], $4::bytea[]) AS gone (shard, p_addr)
    WHERE b.shard = gone.shard AND b.p_addr = gone.p_addr AND (SELECT ok FROM held)
), written AS (
    INSERT INTO wmms_binding AS b (shard, p_addr, epoch, expires, entry)
    SELECT n.shard, n.p_addr, n.epoch, n.expires, n.entry
    FROM unnest($5::int4[], $6::bytea[], $7::int8[], $8::timestamptz[], $9::bytea[])
        AS n (shard, p_addr, epoch, expires, entry)
    WHERE (SELECT ok FROM held)
    ON CONFLICT (shard, p_addr) DO UPDATE
    SET epoch = excluded.epoch, expires = excluded.expires, entry = excluded.entry
    WHERE b.epoch <= excluded.epoch
)
SELECT ok FROM held";

/// What has changed of some entries: a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub(crate) gone: Vec<(Shard, [u8; 16])>,
    pub(crate) there: Vec<Row>,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) shard: Shard,
    pub(crate) p_addr: [u8; 16],
    pub(crate) expires: SystemTime,
    pub(crate) entry: Vec<u8>,
}

impl Rows {
    /// What `table` holds for each of `changed`. Unix time is `ahead` nanoseconds of its clock.
    pub(crate) fn of(table: &Mmt, changed: &BTreeSet<Ipv6Addr>, ahead: i64) -> Rows {
        let mut rows = Rows::default();
        for p_addr in changed {
            let shard = Shard::of(*p_addr);
            let Some(entry) = table.get(*p_addr) else {
                rows.gone.push((shard, p_addr.octets()));
                continue;
            };
            let ends = entry.lifetime_ends.as_nanos().saturating_add_signed(ahead);
            let mut bytes = Vec::new();
            record::write(&mut bytes, *p_addr, Some(entry), ahead);
            rows.there.push(Row {
                shard,
                p_addr: p_addr.octets(),
                expires: SystemTime::UNIX_EPOCH + Duration::from_nanos(ends),
                entry: bytes,
            });
        }
        rows
    }

    /// The shards in it.
    pub(crate) fn shards(&self) -> BTreeSet<Shard> {
        let gone = self.gone.iter().map(|(shard, _)| *shard);
        gone.chain(self.there.iter().map(|row| row.shard)).collect()
    }
}

/// Reads an entry's bytes; `None` if they are not one of `p_addr`, wholly.
pub(crate) fn read(p_addr: &[u8], mut entry: &[u8]) -> Option<(Ipv6Addr, Entry)> {
    let (named, entry_read) = record::read(&mut entry)?;
    (entry.is_empty() && named.octets() == p_addr).then_some((named, entry_read?))
}

#[cfg(test)]
mod tests {
    use comp::Limits;
    use comp::codec::Lifetime;
    use proptest::prelude::*;
    use units::SimTime;

    use super::*;

    fn table(nodes: &BTreeSet<u128>) -> Mmt {
        let mut table = Mmt::new(Limits::default());
        for n in nodes {
            let address = Ipv6Addr::from(*n);
            table.bind(SimTime::ZERO, address, address, Lifetime(60), address);
        }
        table
    }

    #[test]
    fn an_end_is_an_instant_of_unix_time_and_as_in_the_bytes() {
        let table = table(&BTreeSet::from([7]));
        let p_addr = Ipv6Addr::from(7);
        let hour_ns = 3_600_000_000_000;
        let rows = Rows::of(&table, &BTreeSet::from([p_addr]), hour_ns);
        let Row { expires, entry, .. } = &rows.there[0];
        assert_eq!(*expires, SystemTime::UNIX_EPOCH + Duration::from_secs(3660));
        let (_, read) = read(&p_addr.octets(), entry).unwrap();
        assert_eq!(read.lifetime_ends.as_nanos(), 3_660_000_000_000);
    }

    proptest! {
        #[test]
        fn every_change_is_one_row_in_its_shard_and_reads_back(
            there in proptest::collection::btree_set(any::<u128>(), 0..50),
            changed in proptest::collection::btree_set(any::<u128>(), 0..50),
        ) {
            let table = table(&there);
            let changed: BTreeSet<Ipv6Addr> =
                there.iter().chain(&changed).map(|n| Ipv6Addr::from(*n)).collect();
            let rows = Rows::of(&table, &changed, 0);
            prop_assert_eq!(rows.there.len() + rows.gone.len(), changed.len());
            for row in &rows.there {
                let (p_addr, entry) = read(&row.p_addr, &row.entry).unwrap();
                prop_assert_eq!(table.get(p_addr), Some(&entry));
                prop_assert_eq!(row.shard, Shard::of(p_addr));
                prop_assert!(rows.shards().contains(&row.shard));
            }
            for (shard, p_addr) in &rows.gone {
                let p_addr = Ipv6Addr::from(*p_addr);
                prop_assert!(table.get(p_addr).is_none() && *shard == Shard::of(p_addr));
            }
        }

        #[test]
        fn bytes_that_are_no_entry_of_the_p_addr_are_none(
            bytes in proptest::collection::vec(any::<u8>(), 0..120),
        ) {
            if let Some((p_addr, _)) = read(&bytes[..bytes.len().min(16)], &bytes) {
                prop_assert_eq!(&p_addr.octets()[..], &bytes[..16]);
            }
        }
    }
}
