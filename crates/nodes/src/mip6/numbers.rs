//! Numbers in the names of tunnels.

use std::collections::BTreeSet;

/// Numbers from 0 on, of which the lowest free one is the next.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Below `next`, and free again.
    returned: BTreeSet<u32>,
    /// From here on nobody has had one.
    next: u32,
}

impl Numbers {
    /// The lowest free number, which is taken now.
    pub(super) fn take(&mut self) -> u32 {
        self.returned.pop_first().unwrap_or_else(|| {
            let number = self.next;
            self.next += 1;
            number
        })
    }

    /// A number is free again.
    pub(super) fn give_back(&mut self, number: u32) {
        self.returned.insert(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_number_is_the_next_however_many_are_taken() {
        let mut numbers = Numbers::default();
        let many = 0..200_000;
        assert!(many.clone().all(|number| numbers.take() == number));
        [7, 3].into_iter().for_each(|free| numbers.give_back(free));
        assert_eq!(
            [numbers.take(), numbers.take(), numbers.take()],
            [3, 7, many.end]
        );
    }
}
