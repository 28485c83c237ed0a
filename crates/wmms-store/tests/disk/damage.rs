//! Files that somebody or something has changed: the store is what it was, or says what it is.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand_core::Rng as _;
use units::{Rng, Seed};
use wmms_store::{JournalError, Notice};

use crate::disk::{DATABASE, Disk, Image, MARK, SECTOR, below};
use crate::load::{self, Contents, contents};
use crate::power_cut::difference;

const SEED: Seed = Seed(17);
const UPDATES: usize = 200;
/// Places unless `WPANLAB_PLACES` says how many, per file.
const PLACES: usize = 100;

/// What became of a damaged store.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// It was refused by name.
    refused: usize,
    /// It went back, and said so.
    went_back: usize,
    /// It is what it was, and its mark is made again.
    unmarked: usize,
    /// It is what it was.
    unharmed: usize,
}

/// A store as it is after a load: the daemon was stopped, or killed.
struct Store {
    image: Image,
    states: Vec<Contents>,
}

impl Store {
    fn new(killed: bool) -> Store {
        let disk = Disk::default();
        let (journal, states) = load::run_on(&disk, UPDATES, &mut SEED.rng(&["load"]));
        let as_killed = disk.image();
        drop(journal);
        let image = if killed { as_killed } else { disk.image() };
        Store { image, states }
    }

    /// Opens `image`, which was this store: what it has is the last state, or the notice says how
    /// far it is from it.
    fn judge(&self, image: Image, what: &str, tally: &mut Tally) {
        let disk = Disk::with(image);
        let opened = catch_unwind(AssertUnwindSafe(|| load::open(&disk)));
        let (journal, table) = match opened.unwrap_or_else(|_| panic!("{what}: it panics")) {
            Ok(opened) => opened,
            Err(error) => {
                assert!(error.to_string().contains("wmms.redb"), "{what}: {error}");
                assert!(
                    !matches!(error, JournalError::InUse { .. }),
                    "{what}: {error}"
                );
                tally.refused += 1;
                return;
            }
        };
        let last = self.states.len() - 1;
        let missing = match journal.notice() {
            Some(Notice::WentBack { groups, .. }) => {
                tally.went_back += 1;
                *groups as usize
            }
            Some(Notice::Unmarked { .. }) => {
                tally.unmarked += 1;
                0
            }
            None => {
                tally.unharmed += 1;
                0
            }
        };
        let (wanted, found) = (&self.states[last - missing], contents(&table));
        assert!(
            *wanted == found,
            "{what}, {:?}: {}",
            journal.notice(),
            difference(wanted, &found)
        );
        drop(journal);
        // What was said once is not said again.
        let (journal, _) = load::open(&disk).expect("it was opened before");
        assert_eq!(journal.notice(), None, "{what}");
    }
}

/// Damages a file at a random place, mostly where there is something; says how.
fn damage(bytes: &mut Vec<u8>, rng: &mut Rng) -> String {
    let used = |bytes: &[u8], at: usize| {
        let sector = at / SECTOR * SECTOR;
        bytes[sector..bytes.len().min(sector + SECTOR)]
            .iter()
            .any(|byte| *byte != 0)
    };
    let mut at = below(rng, bytes.len());
    for _ in 0..50 {
        if used(bytes, at) {
            break;
        }
        at = below(rng, bytes.len());
    }
    // The head of the file is little of it, and says where everything is.
    if below(rng, 4) == 0 {
        at %= SECTOR;
    }
    let to = bytes.len().min(at + SECTOR);
    match below(rng, 8) {
        0 => {
            bytes[at..to].fill(0);
            format!("zeros from {at} on")
        }
        1 => {
            rng.fill_bytes(&mut bytes[at..to]);
            format!("noise from {at} on")
        }
        2 => {
            bytes.truncate(at);
            format!("cut off at {at}")
        }
        3 => {
            let page = (at / 4096 * 4096)..bytes.len().min(at / 4096 * 4096 + 4096);
            bytes[page].fill(0);
            format!("a page of zeros at {at}")
        }
        _ => {
            let bit = 1 << below(rng, 8);
            bytes[at] ^= bit;
            format!("bits {bit:#x} at {at}")
        }
    }
}

fn damaged_at_random_places(file: usize, killed: bool) -> Tally {
    let places = std::env::var("WPANLAB_PLACES").map_or(PLACES, |places| {
        places.parse().expect("WPANLAB_PLACES is a number")
    });
    let store = Store::new(killed);
    let mut rng = SEED.rng(&["places"]);
    let mut tally = Tally::default();
    for place in 0..places {
        let mut image = store.image.clone();
        let what = damage(&mut image[file], &mut rng);
        store.judge(image, &format!("place {place}, {what}"), &mut tally);
    }
    println!("{places} places: {tally:?}");
    tally
}

#[test]
fn a_stopped_store_damaged_at_a_hundred_places_is_refused_or_what_it_was() {
    let tally = damaged_at_random_places(DATABASE, false);
    assert!(tally.refused > 0, "{tally:?}");
}

#[test]
fn a_killed_store_damaged_at_a_hundred_places_never_goes_back_without_a_word() {
    let tally = damaged_at_random_places(DATABASE, true);
    assert!(tally.refused > 0 && tally.went_back > 0, "{tally:?}");
}

#[test]
fn a_damaged_mark_costs_a_word_and_no_binding() {
    let tally = damaged_at_random_places(MARK, true);
    assert!(tally.refused == 0 && tally.went_back == 0, "{tally:?}");
    assert!(tally.unmarked > 0, "{tally:?}");
}

#[test]
fn an_older_copy_an_empty_file_and_a_mark_that_is_gone_are_told() {
    let store = Store::new(false);
    let disk = Disk::with(store.image.clone());
    let (mut journal, mut table) = load::open(&disk).unwrap();
    let mut rng = SEED.rng(&["more"]);
    for number in 0..3 {
        while !table.has_changes() {
            load::update(&mut table, number, &mut rng);
        }
        load::commit(&mut journal, &mut table).unwrap();
    }
    drop(journal);
    let [_, mark] = disk.image();
    let notice = |image: Image| {
        let opened = load::open(&Disk::with(image)).unwrap();
        opened.0.notice().cloned()
    };
    let [older, _] = store.image.clone();
    let Some(
        told @ Notice::WentBack {
            groups,
            complete,
            empty,
            ..
        },
    ) = &notice([older, mark.clone()])
    else {
        panic!("an older copy is not told");
    };
    assert_eq!((*groups, *complete, *empty), (3, true, false));
    assert!(told.to_string().contains("2001:db8::"), "{told}");
    assert!(matches!(
        notice([Vec::new(), mark]),
        Some(Notice::WentBack { empty: true, .. })
    ));
    let [database, _] = store.image.clone();
    assert!(matches!(
        notice([database, Vec::new()]),
        Some(Notice::Unmarked { damaged: false, .. })
    ));
    assert_eq!(notice(store.image.clone()), None);
}
