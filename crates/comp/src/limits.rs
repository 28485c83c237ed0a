//! What one misbehaving peer may cost the WMMS.
//!
//! A source is an IPv6 address, whatever port it sends from; whoever has one may have all of its
//! network, so that a network has a share, too. What belongs to a source is counted
//! when it is taken and when it is given back, so that a check looks at one number.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv6Addr;

use coap::message::option;
use coap::{Code, Response};

/// When a refused peer may ask again, as Max-Age in the answer (RFC 7252 §5.9.3.4, RFC 8516
/// §3). What it asked for is free again when lifetimes end, which takes minutes; this is
/// RFC 7252's default for Max-Age, §5.10.5.
pub const RETRY_AFTER_S: u64 = 60;

/// How much a [`Wmms`](crate::wmms::Wmms) keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries of the table.
    pub entries: u32,
    /// Entries that one source registered or bound last.
    pub entries_per_source: u32,
    /// Correspondents of one node. One more takes the place of a stranger's, the one who asked
    /// longest ago; where all are nodes of the table, of one of the network that has most.
    pub correspondents_per_node: u32,
    /// Nodes of which one source is a correspondent, counted once for each of its ports, of which a
    /// node has [`MAX_PORTS`](crate::mmt::MAX_PORTS). It also bounds what can wait to be passed on to that source: one request per node.
    pub discoveries_per_source: u32,
    /// Holds of one source that are not answered yet.
    pub holds_per_source: u32,
}

impl Limits {
    /// Entries that the sources of one network registered or bound last: a quarter of all, but no
    /// less than one source may have.
    pub(crate) fn entries_per_network(&self) -> u32 {
        (self.entries / 4).max(self.entries_per_source)
    }
}

impl Default for Limits {
    /// 2^20 entries, 256 of one source; 256 correspondents of a node; 1024 discoveries and 64
    /// holds of a source.
    fn default() -> Limits {
        Limits {
            entries: 1 << 20,
            entries_per_source: 256,
            correspondents_per_node: 256,
            discoveries_per_source: 1024,
            holds_per_source: 64,
        }
    }
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// [`Limits::entries`].
    Entries,
    /// [`Limits::entries_per_source`].
    EntriesPerSource,
    /// A quarter of [`Limits::entries`], by one network.
    EntriesPerNetwork,
    /// [`Limits::correspondents_per_node`].
    CorrespondentsPerNode,
    /// [`Limits::discoveries_per_source`].
    DiscoveriesPerSource,
    /// [`Limits::holds_per_source`].
    HoldsPerSource,
}

impl Limit {
    /// 4.29 to a source that asks for too much (RFC 8516), 5.03 to one that finds the server
    /// full through others (RFC 7252 §5.9.3.4); both with Max-Age.
    pub(crate) fn response(self) -> Response {
        let code = match self {
            Limit::Entries | Limit::CorrespondentsPerNode => Code::SERVICE_UNAVAILABLE,
            Limit::EntriesPerSource
            | Limit::EntriesPerNetwork
            | Limit::DiscoveriesPerSource
            | Limit::HoldsPerSource => Code::TOO_MANY_REQUESTS,
        };
        let mut response = Response::diagnostic(code, &self.to_string());
        response.options.push_uint(option::MAX_AGE, RETRY_AFTER_S);
        response
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Entries => "the table is full",
            Limit::EntriesPerSource => "too many entries from this address",
            Limit::EntriesPerNetwork => "too many entries from this network",
            Limit::CorrespondentsPerNode => "the node has as many correspondents as can be told",
            Limit::DiscoveriesPerSource => "too many nodes discovered from this address",
            Limit::HoldsPerSource => "too many unanswered holds from this address",
        })
    }
}

/// How many things each source has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares(BTreeMap<Ipv6Addr, u32>);

impl Shares {
    pub(crate) const fn new() -> Shares {
        Shares(BTreeMap::new())
    }

    /// How many `source` has.
    pub(crate) fn of(&self, source: Ipv6Addr) -> u32 {
        self.0.get(&source).copied().unwrap_or(0)
    }

    /// One more.
    pub(crate) fn take(&mut self, source: Ipv6Addr) {
        *self.0.entry(source).or_default() += 1;
    }

    /// One less. A source with none takes no memory.
    pub(crate) fn give_back(&mut self, source: Ipv6Addr) {
        if let Some(count) = self.0.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_gave_everything_back_is_forgotten() {
        let (a, b) = (Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
        let mut shares = Shares::new();
        shares.take(a);
        shares.take(a);
        shares.take(b);
        shares.give_back(a);
        assert_eq!((shares.of(a), shares.of(b)), (1, 1));
        shares.give_back(a);
        shares.give_back(a);
        assert_eq!((shares.of(a), shares.0.len()), (0, 1));
    }

    #[test]
    fn the_culprit_hears_4_29_and_the_others_5_03() {
        let own = Limit::EntriesPerSource.response();
        assert_eq!(own.code, Code::TOO_MANY_REQUESTS);
        // "The server can use the Max-Age Option [...] to indicate the number of seconds after
        // which to retry" (RFC 8516 §3).
        assert_eq!(own.options.get(option::MAX_AGE), Some(&[60][..]));
        let full = Limit::Entries.response();
        assert_eq!(full.code, Code::SERVICE_UNAVAILABLE);
        assert_eq!(full.options.get(option::MAX_AGE), Some(&[60][..]));
    }
}
