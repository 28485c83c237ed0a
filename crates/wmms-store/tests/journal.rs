//! What was committed comes back, whatever happened in between; what cannot be read says so.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use comp::Limits;
use comp::codec::Lifetime;
use comp::mmt::{Entry, Mmt};
use proptest::prelude::*;
use units::SimTime;
use wmms_store::{Journal, JournalError, Store, VERSION, Writer};

fn p(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)
}

fn t(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, n)
}

fn at(seconds: u64) -> SimTime {
    SimTime::ZERO + Duration::from_secs(seconds)
}

fn empty() -> Mmt {
    Mmt::new(Limits::default())
}

fn entries(table: &Mmt) -> BTreeMap<Ipv6Addr, Entry> {
    table.iter().map(|(p, entry)| (p, entry.clone())).collect()
}

fn commit(journal: &mut Journal, table: &mut Mmt) {
    let changes = table.take_changes();
    let group = journal.group(table, &changes);
    journal.writer().commit(group).unwrap();
}

fn loaded(journal: &mut Journal) -> Mmt {
    let mut table = empty();
    journal.load(&mut table).unwrap();
    table
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The oracle is the table itself, which was never away.
    #[test]
    fn any_sequence_of_changes_commits_and_restarts_keeps_the_table(
        steps in proptest::collection::vec((0u8..8, 0u16..40, 0u16..1000), 1..150),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("table.redb");
        let mut journal = Journal::open(&path).unwrap();
        let mut table = empty();
        for (step, node, value) in steps {
            let from = SocketAddrV6::new(t(value), value, 0, 0);
            match step {
                0..3 => table.bind(at(1), p(node), t(value), Lifetime(value.max(1)), t(value)),
                3 => { table.hold(at(1), p(node), (value % 2 == 0).then_some(Duration::from_secs(9))); }
                4 => { table.add_correspondent(p(node), from).unwrap(); }
                5 => { table.remove(at(1), p(node)); }
                6 => commit(&mut journal, &mut table),
                _ => {
                    commit(&mut journal, &mut table);
                    drop(journal);
                    journal = Journal::open(&path).unwrap();
                    prop_assert_eq!(entries(&loaded(&mut journal)), entries(&table));
                }
            }
        }
        commit(&mut journal, &mut table);
        drop(journal);
        let mut journal = Journal::open(&path).unwrap();
        prop_assert_eq!(entries(&loaded(&mut journal)), entries(&table));
    }
}

#[test]
fn instants_are_written_as_unix_time_also_when_that_is_not_the_tables_clock() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.redb");
    let mut journal = Journal::open(&path).unwrap();
    let mut table = empty();
    let hour = 3600;
    let bind = |table: &mut Mmt, n| table.bind(at(2 * hour), p(n), t(n), Lifetime(600), t(n));
    for (n, ahead) in [
        (1, (|| 0) as fn() -> i64),
        (2, || 3_600_000_000_000),
        (3, || -3_600_000_000_000),
    ] {
        journal.write_unix_time(ahead);
        bind(&mut table, n);
        commit(&mut journal, &mut table);
        drop(journal);
        journal = Journal::open(&path).unwrap();
        let ends = loaded(&mut journal).get(p(n)).unwrap().lifetime_ends;
        let here = at(2 * hour + 600);
        let unix = here.as_nanos().checked_add_signed(ahead()).unwrap();
        assert_eq!(ends.as_nanos(), unix);
    }
}

#[test]
fn updates_without_end_leave_the_file_at_a_few_records_per_entry() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&directory.path().join("table.redb")).unwrap();
    let mut table = empty();
    for node in 0..1000 {
        table.bind(at(1), p(node), t(node), Lifetime(600), t(node));
    }
    commit(&mut journal, &mut table);
    let (_, once) = journal.size().unwrap();
    for update in 0..1000u16 {
        for node in 0..20 {
            let node = (update * 7 + node) % 1000;
            table.bind(at(2), p(node), t(update), Lifetime(600), t(update));
        }
        commit(&mut journal, &mut table);
    }
    // 20,000 updates. Two sweeps, each with as many changes as entries: four times the table.
    let (segments, bytes) = journal.size().unwrap();
    assert!(
        bytes < 4 * once + 100_000,
        "{segments} segments, {bytes} of {once} bytes"
    );
}

#[test]
fn a_store_counts_how_often_it_was_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/down/table.redb");
    assert_eq!(Journal::open(&path).unwrap().opened_before(), 0);
    assert_eq!(Journal::open(&path).unwrap().opened_before(), 1);
}

#[test]
fn a_second_daemon_on_one_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.redb");
    let _first = Journal::open(&path).unwrap();
    let error = Journal::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::InUse { .. }), "{error}");
}

#[test]
fn a_newer_store_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.redb");
    drop(Journal::open(&path).unwrap());
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    let newer = VERSION + 1;
    transaction
        .open_table(meta)
        .unwrap()
        .insert("version", newer)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let error = Journal::open(&path).unwrap_err();
        let JournalError::Version { found, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(found, newer);
    }
}

#[test]
fn a_file_that_is_no_store_and_a_damaged_one_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.redb");
    fs::write(
        &path,
        b"this is a letter to a friend, not a table of bindings",
    )
    .unwrap();
    let error = Journal::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("table.redb"), "{error}");

    fs::remove_file(&path).unwrap();
    let mut journal = Journal::open(&path).unwrap();
    let mut table = empty();
    for node in 0..2000 {
        table.bind(at(1), p(node), t(node), Lifetime(600), t(node));
    }
    let marked = t(999).octets();
    commit(&mut journal, &mut table);
    drop(journal);
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes
        .windows(16)
        .position(|window| window == marked)
        .unwrap();
    bytes[place] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = Journal::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
}

#[test]
fn a_removal_and_an_empty_table_come_back_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.redb");
    let mut journal = Journal::open(&path).unwrap();
    let mut table = empty();
    table.bind(at(1), p(1), t(1), Lifetime(600), t(1));
    commit(&mut journal, &mut table);
    table.remove(at(1), p(1));
    commit(&mut journal, &mut table);
    drop(journal);
    let mut journal = Journal::open(&path).unwrap();
    assert!(loaded(&mut journal).is_empty());
    commit(&mut journal, &mut table);
}
