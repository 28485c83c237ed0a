//! What somebody says of a node who is neither the WMMS nor where the node is known to be: the node
//! itself, at its new T_Addr, or somebody else. The WMMS knows, and is asked.

use super::*;

/// When the WMMS is asked again, which may not have heard of the binding yet: after the latest first
/// retransmission (RFC 7252 §4.2: 1.5 ACK_TIMEOUT).
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// How often it is asked again.
const MAX_ASKS: u32 = 3;

/// Where somebody says that a node is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(super) p_addr: Ipv6Addr,
    pub(super) t_addr: Ipv6Addr,
    pub(super) sequence: Option<Sequence>,
    asks: u32,
}

impl Claim {
    pub(super) fn new(location: &Location) -> Claim {
        Claim {
            p_addr: location.p_addr,
            t_addr: location.t_addr,
            sequence: location.sequence,
            asks: MAX_ASKS,
        }
    }

    /// Whether an answer of the WMMS says all that there is to say about it: the same, or something
    /// that is no older.
    fn is_settled_by(&self, answer: &Location) -> bool {
        let no_older = match (self.sequence, answer.sequence) {
            (Some(claimed), Some(known)) => !claimed.is_newer_than(known),
            _ => false,
        };
        answer.t_addr == self.t_addr || no_older || self.asks == 0
    }
}

impl Client {
    /// Asks the WMMS about a claim. Whoever makes many has it asked once, and then as often as
    /// [`MAX_ASKS`] after the last one.
    pub(super) fn doubt_claim(&mut self, now: SimTime, endpoint: &mut Endpoint, claim: Claim) {
        let p_addr = claim.p_addr;
        self.node_mut(p_addr).claim = Some(claim);
        match (self.doubts.get(p_addr), self.paused) {
            (Some(_), _) => {}
            (None, true) => self.doubts.set(p_addr, now + ASK_AGAIN),
            (None, false) => self.discover(now, endpoint, p_addr),
        }
    }

    /// Asks about the claims of which it is time; not while this node itself is away.
    pub(super) fn ask_again(&mut self, now: SimTime, endpoint: &mut Endpoint) {
        while let Some(p_addr) = self.doubts.take_due(now) {
            match self.paused {
                true => self.doubts.set(p_addr, now + ASK_AGAIN),
                false => self.discover(now, endpoint, p_addr),
            }
        }
    }

    /// The WMMS has answered: a claim about the node is settled, or asked about once more.
    pub(super) fn settle(&mut self, now: SimTime, answer: &Location) {
        let peer = self.node_mut(answer.p_addr);
        let open = peer
            .claim
            .take()
            .filter(|claim| !claim.is_settled_by(answer));
        peer.claim = open.map(|claim| Claim {
            asks: claim.asks - 1,
            ..claim
        });
        match peer.claim {
            Some(claim) => self.doubts.set(claim.p_addr, now + ASK_AGAIN),
            None => self.doubts.clear(answer.p_addr),
        }
    }

    /// The WMMS knows no such node, does not answer, or has spoken unasked.
    pub(super) fn drop_claim(&mut self, p_addr: Ipv6Addr) {
        self.node_mut(p_addr).claim = None;
        self.doubts.clear(p_addr);
    }
}
