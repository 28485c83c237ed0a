//! Queues through one array: whoever stands in one leaves it from any place at once.

/// No place.
const NONE: u32 = u32::MAX;

/// Every place stands in so many queues at most, one of each sort.
const SORTS: usize = 2;

/// The neighbours of one place, by the sort of queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links([Link; SORTS]);

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
}

impl Links {
    /// Of a place that stands nowhere.
    pub(super) const NOWHERE: Links = Links(
        [Link {
            before: NONE,
            after: NONE,
        }; SORTS],
    );
}

/// A queue of places in an array of [`Links`], of the sort `SORT`.
#[derive(Debug)]
pub(super) struct Queue<const SORT: usize> {
    first: u32,
    last: u32,
}

impl<const SORT: usize> Default for Queue<SORT> {
    fn default() -> Queue<SORT> {
        Queue {
            first: NONE,
            last: NONE,
        }
    }
}

impl<const SORT: usize> Queue<SORT> {
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Appends a place that stands in no queue of this sort.
    pub(super) fn push(&mut self, links: &mut [Links], place: u32) {
        links[place as usize].0[SORT] = Link {
            before: self.last,
            after: NONE,
        };
        match self.last {
            NONE => self.first = place,
            last => links[last as usize].0[SORT].after = place,
        }
        self.last = place;
    }

    /// Takes out a place that stands in this queue.
    pub(super) fn remove(&mut self, links: &mut [Links], place: u32) {
        let Link { before, after } = links[place as usize].0[SORT];
        match before {
            NONE => self.first = after,
            before => links[before as usize].0[SORT].after = after,
        }
        match after {
            NONE => self.last = before,
            after => links[after as usize].0[SORT].before = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all<const SORT: usize>(queue: &Queue<SORT>, links: &[Links]) -> Vec<u32> {
        let after = |place: &u32| match links[*place as usize].0[SORT].after {
            NONE => None,
            after => Some(after),
        };
        std::iter::successors(queue.first(), after).collect()
    }

    proptest! {
        #[test]
        fn two_sorts_of_queues_through_one_array_are_two_lists(
            script in proptest::collection::vec((0_u32..8, any::<bool>()), 0..60)
        ) {
            let mut links = [Links::NOWHERE; 8];
            let (mut a, mut b) = (Queue::<0>::default(), Queue::<1>::default());
            let mut lists = [Vec::new(), Vec::new()];
            for (place, second) in script {
                let list = &mut lists[usize::from(second)];
                let stands = list.iter().position(|p| *p == place);
                match (stands, second) {
                    (Some(_), false) => a.remove(&mut links, place),
                    (Some(_), true) => b.remove(&mut links, place),
                    (None, false) => a.push(&mut links, place),
                    (None, true) => b.push(&mut links, place),
                }
                match stands {
                    Some(at) => drop(list.remove(at)),
                    None => list.push(place),
                }
                prop_assert_eq!(&all(&a, &links), &lists[0]);
                prop_assert_eq!(&all(&b, &links), &lists[1]);
            }
        }
    }
}
