//! Requests that were sent again to another address.
//!
//! A client that learns a node's new address while it waits sends the same message there. If nobody
//! says that both addresses are one node's, it looks like a client that asks two nodes with the same
//! Message ID and token, which are each node's own (RFC 7252 §4.4, §5.3.1). What follows tells: two
//! nodes are both answering, or are asked in turns.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::Pairing;

/// Nobody sends a request as often while a node moves; who has sent it to as many addresses asks as many
/// nodes.
const MOST_SENT: usize = 64;

impl Pairing<'_> {
    /// Joins them to those that they continue; returns which.
    pub(super) fn join_continued(&mut self) -> Vec<usize> {
        if self.continued.is_empty() {
            return Vec::new();
        }
        let mut asked: HashMap<SocketAddr, Vec<usize>> = HashMap::new();
        for (index, exchange) in self.exchanges.iter().enumerate() {
            let to = exchange.first().to;
            asked.entry(to).or_default().push(index);
        }
        let mut joined = Vec::new();
        // The last first: of one that was sent to a third address both are joined to the first.
        for (from, to) in std::mem::take(&mut self.continued).into_iter().rev() {
            let often = self.exchanges[to].retransmissions() >= MOST_SENT;
            if !often && self.is_continued(from, to, &asked) {
                self.join(from, to);
                joined.push(to);
            }
        }
        joined
    }

    fn is_continued(
        &self,
        from: usize,
        to: usize,
        asked: &HashMap<SocketAddr, Vec<usize>>,
    ) -> bool {
        let (before, after) = (&self.exchanges[from], &self.exchanges[to]);
        let heard =
            before.is_answered() || before.reset().is_some() || before.acknowledged().is_some();
        let servers = [before, after].map(|exchange| exchange.first().to);
        if heard || self.known.are_one(servers[0], servers[1]) == Some(false) {
            return false;
        }
        let of = |server: &SocketAddr| asked.get(server).map_or(&[][..], |all| all);
        let next = servers.map(|server| {
            let all = of(&server);
            all.get(all.partition_point(|index| *index <= to)).copied()
        });
        let last = servers.map(|server| {
            let all = of(&server);
            let before = all.partition_point(|index| *index < from);
            before.checked_sub(1).map(|at| all[at])
        });
        let in_turns = match next {
            [None, None] => last[1] > last[0],
            [Some(_), None] => true,
            [Some(next_of_from), Some(next_of_to)] => next_of_from < next_of_to,
            [None, Some(_)] => false,
        };
        !in_turns
    }

    fn join(&mut self, from: usize, to: usize) {
        // What begins later stands later.
        let (before, after) = self.exchanges.split_at_mut(to);
        before[from].join(&mut after[0], &mut self.ends);
    }
}
