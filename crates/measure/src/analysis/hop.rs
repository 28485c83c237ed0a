//! Where on its way a packet was seen.

use capture::decode::Link;

/// A link that a packet crossed, and how far on its way that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// The link.
    pub link: Link,
    /// The hop limit of the packet there: what has come as far has the same one.
    pub hop_limit: u8,
}

impl Hop {
    /// Whether a packet that crosses `self` in place of `before`, as far on its way, goes by way of another router: one end of the link is the same, the sender's or the
    /// receiver's, and the other is not; or it is another PAN. If both ends are others it is another
    /// hop of the way that was captured.
    pub(crate) fn is_of_another_router(&self, before: &Hop) -> bool {
        let (from, to) = (&before.link, &self.link);
        let both = |a: bool, b: bool, differ: bool| a && b && differ;
        if both(from.pan.is_some(), to.pan.is_some(), from.pan != to.pan) {
            return true;
        }
        let ends = [from.src, from.dst, to.src, to.dst];
        if ends.iter().any(Option::is_none) {
            let known = (from.channel.is_some(), to.channel.is_some());
            return both(known.0, known.1, from.channel != to.channel);
        }
        (from.src == to.src) != (from.dst == to.dst)
    }

    /// Whether the same two are on another channel: at another router that has the same address, or
    /// they hop from channel to channel (IEEE 802.15.4 TSCH).
    pub(crate) fn is_on_another_channel(&self, before: &Hop) -> bool {
        let (from, to) = (&before.link, &self.link);
        let known = from.channel.is_some() && to.channel.is_some();
        known && from.channel != to.channel && (from.src, from.dst) == (to.src, to.dst)
    }
}
