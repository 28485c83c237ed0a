//! What was found of packets: the sightings that were asked for, and by a second reading all others of the same
//! packets, wherever in the captures they are.

use std::collections::{HashMap, VecDeque};

use units::SimTime;

use super::passages::Sighting;

/// Sightings that the second reading keeps of one content at one point: the last ones before the first that was
/// asked for, and as many behind it.
const MOST_ALIKE: usize = 64;
/// Sightings that the second reading keeps in all.
const MOST_OTHERS: usize = 1 << 17;

/// The sightings of what belongs together.
#[derive(Default)]
pub(super) struct Found {
    /// Those that were asked for, in the order in which they were read.
    asked: Vec<Sighting>,
    /// Others of the same contents.
    others: Vec<Sighting>,
    contents: HashMap<u64, Content>,
    /// How many of `asked` the second reading has passed.
    passed: usize,
    /// The contents of which the point that is being read had others before.
    before: Vec<u64>,
    /// The point that is being read.
    point: u32,
    /// How many sightings `before` of the contents has.
    waiting: usize,
}

/// What is looked for.
struct Content {
    /// When the first was seen that was asked for.
    first: SimTime,
    /// The others of the point that is being read, before that.
    before: VecDeque<Sighting>,
    /// The point that `after` is of.
    point: u32,
    /// How many others it has behind that.
    after: usize,
    /// Whether there are more than were kept.
    is_cut: bool,
}

impl Found {
    /// Takes one that was asked for.
    pub(super) fn add(&mut self, asked: Sighting) {
        self.asked.push(asked);
    }

    /// Takes those out again of which `is_one` is not true.
    pub(super) fn retain(&mut self, is_one: impl FnMut(&Sighting) -> bool) {
        self.asked.retain(is_one);
    }

    /// Begins the second reading. Whether there is anything to look for.
    pub(super) fn look(&mut self) -> bool {
        for asked in &self.asked {
            let known = self.contents.entry(asked.content);
            let known = known.or_insert_with(|| Content {
                first: asked.time,
                before: VecDeque::new(),
                point: asked.point,
                after: 0,
                is_cut: false,
            });
            known.first = known.first.min(asked.time);
        }
        !self.asked.is_empty()
    }

    /// Whether a packet with this content is looked for.
    pub(super) fn wants(&self, content: u64) -> bool {
        self.contents.contains_key(&content)
    }

    /// Takes what the second reading sees, in the order of the first one.
    pub(super) fn see(&mut self, seen: &Sighting) {
        if seen.point != self.point {
            self.end_point();
            self.point = seen.point;
        }
        let place = (seen.point, seen.order);
        let passed = |s: &&Sighting| (s.point, s.order) < place;
        self.passed += self.asked[self.passed..].iter().take_while(passed).count();
        let next = self.asked.get(self.passed);
        let is_asked = next.is_some_and(|s| (s.point, s.order) == place);
        let Some(content) = self.contents.get_mut(&seen.content).filter(|_| !is_asked) else {
            return;
        };
        if content.point != seen.point {
            (content.point, content.after) = (seen.point, 0);
        }
        let is_full = self.others.len() + self.waiting >= MOST_OTHERS;
        if seen.time < content.first {
            // Of very many before, the last ones are those that may be on their way still.
            if content.before.len() >= MOST_ALIKE {
                content.before.pop_front();
                self.waiting -= 1;
            } else if is_full {
                content.is_cut = true;
                return;
            }
            if content.before.is_empty() {
                self.before.push(seen.content);
            }
            content.before.push_back(seen.clone());
            self.waiting += 1;
        } else if content.after >= MOST_ALIKE || is_full {
            content.is_cut = true;
        } else {
            content.after += 1;
            self.others.push(seen.clone());
        }
    }

    /// Ends the second reading.
    pub(super) fn end(&mut self) {
        self.end_point();
    }

    fn end_point(&mut self) {
        for content in self.before.drain(..) {
            if let Some(content) = self.contents.get_mut(&content) {
                self.others.extend(content.before.drain(..));
            }
        }
        self.waiting = 0;
    }

    /// All sightings.
    pub(super) fn all(&self) -> Vec<&Sighting> {
        self.asked.iter().chain(&self.others).collect()
    }

    /// Whether all that the captures have of a content was kept. Else nobody knows what became of its messages.
    pub(super) fn is_whole(&self, content: u64) -> bool {
        self.contents
            .get(&content)
            .is_some_and(|known| !known.is_cut)
    }
}
