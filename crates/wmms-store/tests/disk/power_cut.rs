//! The power goes at any instant: nothing that was acknowledged is missing, and nothing is there that
//! nobody said.

use std::collections::BTreeMap;

use units::{Rng, Seed};

use crate::disk::{Disk, Image, Luck, Playback, Step};
use crate::load::{self, Contents, contents};

const SEED: Seed = Seed(13);
/// Updates unless `WPANLAB_UPDATES` says how many.
const UPDATES: usize = 300;
/// Images with some of what was not certain, per barrier.
const TORN: usize = 2;
/// One image of so many is recovered with the power going again.
const CUT_AGAIN: usize = 40;

/// What was tried.
#[derive(Debug, Default)]
struct Tally {
    barriers: usize,
    images: usize,
    /// Images of recoveries that were cut off.
    again: usize,
    /// Of the images, how many had the group that was being written.
    ahead: usize,
}

/// Whoever replays a load.
struct Replay<'a> {
    states: &'a [Contents],
    rng: Rng,
    tally: Tally,
}

impl Replay<'_> {
    /// Plays `steps`, which begin with `image` and `acknowledged` groups, and cuts the power around
    /// every barrier.
    fn all(&mut self, image: Image, steps: &[Step]) {
        let mut playback = Playback::of(image);
        let mut acknowledged = 0;
        for step in steps {
            if let Step::Acknowledged(groups) = step {
                acknowledged = *groups;
            }
            if matches!(step, Step::Sync { .. }) {
                self.tally.barriers += 1;
                self.cut(&playback, Luck::None, acknowledged);
                self.cut(&playback, Luck::All, acknowledged);
                for _ in 0..TORN {
                    self.cut(&playback, Luck::Some, acknowledged);
                }
            }
            playback.play(step);
        }
        self.cut(&playback, Luck::None, acknowledged);
    }

    fn cut(&mut self, playback: &Playback, luck: Luck, acknowledged: usize) {
        let image = playback.cut(luck, &mut self.rng);
        self.tally.images += 1;
        let disk = self.open(&image, acknowledged);
        if self.tally.images.is_multiple_of(CUT_AGAIN) {
            self.cut_again(image, &disk.take_steps(), acknowledged);
        }
    }

    /// Cuts off the recovery of `image`, which was `steps`.
    fn cut_again(&mut self, image: Image, steps: &[Step], acknowledged: usize) {
        let mut playback = Playback::of(image);
        for step in steps {
            if matches!(step, Step::Sync { .. }) {
                let image = playback.cut(Luck::Some, &mut self.rng);
                self.tally.again += 1;
                self.open(&image, acknowledged);
            }
            playback.play(step);
        }
    }

    /// Opens the store of `image`: it has what was acknowledged, with the next group or without.
    fn open(&mut self, image: &Image, acknowledged: usize) -> Disk {
        let disk = Disk::with(image.clone());
        let at = (self.tally.barriers, self.tally.images);
        let (journal, table) =
            load::open(&disk).unwrap_or_else(|error| panic!("barrier and image {at:?}: {error}"));
        if let Some(notice) = journal.notice() {
            panic!("barrier and image {at:?}: {notice}");
        }
        let found = contents(&table);
        let next = self.states.get(acknowledged + 1);
        let ahead = next == Some(&found);
        assert!(
            ahead || found == self.states[acknowledged],
            "barrier and image {at:?}, {acknowledged} groups acknowledged: {}",
            difference(&self.states[acknowledged], &found)
        );
        self.tally.ahead += usize::from(ahead);
        disk
    }
}

/// What distinguishes two tables, to be read.
pub fn difference(wanted: &Contents, found: &Contents) -> String {
    let differ: BTreeMap<_, _> = (wanted.iter().chain(found))
        .filter(|(p_addr, _)| wanted.get(p_addr) != found.get(p_addr))
        .map(|(p_addr, _)| (p_addr, (wanted.get(p_addr), found.get(p_addr))))
        .collect();
    format!("wanted and found: {differ:#?}")
}

#[test]
fn no_power_cut_at_or_between_barriers_loses_or_invents_a_binding() {
    let updates = std::env::var("WPANLAB_UPDATES").map_or(UPDATES, |updates| {
        updates.parse().expect("WPANLAB_UPDATES is a number")
    });
    let disk = Disk::default();
    let (journal, states) = load::run_on(&disk, updates, &mut SEED.rng(&["load"]));
    drop(journal);
    let mut replay = Replay {
        states: &states,
        rng: SEED.rng(&["cuts"]),
        tally: Tally::default(),
    };
    replay.all(Image::default(), &disk.take_steps());
    let Tally {
        barriers,
        images,
        again,
        ahead,
    } = replay.tally;
    println!(
        "{updates} updates in {} groups; the power cut around {barriers} barriers: {images} images, {again} of \
         recoveries that were cut off; {ahead} with a group that nobody had been told of; none lost, none \
         invented",
        states.len() - 1
    );
    assert!(barriers > states.len() && again > 0 && ahead > 0);
}
