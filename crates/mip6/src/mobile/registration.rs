//! The registration at one node, as the Binding Update List has it (RFC 6275 §11.1): what was sent,
//! what was accepted, when it ends.

use std::net::Ipv6Addr;
use std::time::Duration;

use machine::earlier;
use rand_core::Rng as _;
use units::{Rng, Sequence, SimTime};

use crate::backoff::{Backoff, MAX_BINDACK_TIMEOUT};
use crate::codec::{BindingAcknowledgement, Lifetime, Status};
use crate::ignored::Ignored;

/// An update that is not answered yet.
#[derive(Clone, Copy, Debug)]
struct Outstanding {
    care_of: Ipv6Addr,
    lifetime: Lifetime,
    sent: SimTime,
}

/// A binding that the other side has, as far as is known here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) care_of: Ipv6Addr,
    pub(super) expires: SimTime,
    /// When it is to be registered again.
    refresh: Option<SimTime>,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The binding is there.
    Accepted {
        care_of: Ipv6Addr,
        lifetime: Lifetime,
    },
    /// It is to be sent again, above the number that the other side knows.
    Again,
    /// It is refused.
    Rejected(Status),
}

/// A registration.
#[derive(Clone, Debug, Default)]
pub(super) struct Registration {
    pub(super) backoff: Backoff,
    /// The last number sent, or that the other side knows.
    sequence: Option<Sequence>,
    /// The care-of address that the owner was last told of, if it is to use it.
    named: Option<Ipv6Addr>,
    outstanding: Option<Outstanding>,
    held: Option<Held>,
    /// Until when the other side may have a binding, acknowledged or not.
    told_until: Option<SimTime>,
}

/// When a binding that began with an update at `sent` is to be registered again: "well before the
/// expiration of this period" (§11.7.3). Ours: a quarter of the lifetime before it, at most the
/// longest timeout.
fn refresh(sent: SimTime, lifetime: Duration) -> SimTime {
    sent + (lifetime - (lifetime / 4).min(MAX_BINDACK_TIMEOUT))
}

impl Registration {
    /// The binding that the other side has.
    pub(super) fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// Whether the other side may have a binding.
    pub(super) fn may_be_held(&self, now: SimTime) -> bool {
        self.told_until.is_some_and(|until| until > now)
    }

    /// Whether an answer is waited for.
    pub(super) fn is_outstanding(&self) -> bool {
        self.outstanding.is_some()
    }

    /// The number of the next update: "if the sending mobile node has no Binding Update List entry, the
    /// Sequence Number SHOULD start at a random value" (§11.7.2), and no two updates have the same.
    pub(super) fn next_sequence(&mut self, rng: &mut Rng) -> Sequence {
        let random = |rng: &mut Rng| Sequence(rng.next_u32() as u16);
        let next = (self.sequence).map_or_else(|| random(rng), Sequence::next);
        *self.sequence.insert(next)
    }

    /// An update was sent.
    pub(super) fn sent(&mut self, now: SimTime, care_of: Ipv6Addr, lifetime: Lifetime) {
        self.backoff.sent(now);
        self.outstanding = Some(Outstanding {
            care_of,
            lifetime,
            sent: now,
        });
        let until = now + lifetime.duration();
        self.told_until = Some(self.told_until.map_or(until, |told| told.max(until)));
    }

    /// The owner is to use a care-of address. Whether it is another one than he does.
    pub(super) fn name(&mut self, care_of: Ipv6Addr) -> bool {
        self.named.replace(care_of) != Some(care_of)
    }

    /// The owner is not to use the care-of address any more. Whether he was.
    pub(super) fn take_named(&mut self) -> bool {
        self.named.take().is_some()
    }

    /// The care-of address that the owner uses.
    pub(super) fn named(&self) -> Option<Ipv6Addr> {
        self.named
    }

    /// Nobody was asked to answer the last update: it is taken for accepted.
    pub(super) fn take_for_granted(&mut self) {
        self.backoff.stop();
        if let Some(outstanding) = self.outstanding.take() {
            self.hold(outstanding, outstanding.lifetime, None);
        }
    }

    /// Whether an acknowledgement belongs to an update: "the Sequence Number field matches the
    /// Sequence Number sent ... in an outstanding Binding Update" (§11.7.3), but for status 135, which
    /// has another one.
    pub(super) fn check(&self, answer: &BindingAcknowledgement) -> Result<(), Ignored> {
        let matches = answer.status == Status::SEQUENCE || Some(answer.sequence) == self.sequence;
        match self.outstanding.is_some() && matches {
            true => Ok(()),
            false => Err(Ignored::NotOutstanding),
        }
    }

    /// Takes an acknowledgement that belongs to the last update.
    pub(super) fn answered(&mut self, answer: &BindingAcknowledgement) -> Verdict {
        self.backoff.stop();
        let Some(outstanding) = self.outstanding.take() else {
            return Verdict::Rejected(answer.status);
        };
        if answer.status == Status::SEQUENCE {
            // "The mobile node MUST update its binding sequence number appropriately to match the
            // sequence number given" (§11.7.3). One that is ahead of it answers what was overtaken.
            let ahead = (self.sequence).is_some_and(|ours| ours.is_newer_than(answer.sequence));
            if !ahead {
                self.sequence = Some(answer.sequence);
            }
            return Verdict::Again;
        }
        if !answer.status.is_accepted() {
            return Verdict::Rejected(answer.status);
        }
        // "max((L_remain - (L_update - L_ack)), 0)": it counts from the update.
        let lifetime = answer.lifetime.min(outstanding.lifetime);
        self.hold(outstanding, lifetime, answer.refresh_advice());
        if answer.status == Status::PREFIX_DISCOVERY {
            self.cease_refreshing();
        }
        Verdict::Accepted {
            care_of: outstanding.care_of,
            lifetime,
        }
    }

    fn hold(&mut self, outstanding: Outstanding, lifetime: Lifetime, advice: Option<Lifetime>) {
        let Outstanding { care_of, sent, .. } = outstanding;
        let expires = sent + lifetime.duration();
        let advice = advice.filter(|advice| *advice < lifetime && *advice != Lifetime::ZERO);
        let refresh = match advice {
            Some(advice) => sent + advice.duration(),
            None => refresh(sent, lifetime.duration()),
        };
        self.told_until = Some(expires);
        self.held = (lifetime != Lifetime::ZERO).then_some(Held {
            care_of,
            expires,
            refresh: Some(refresh),
        });
    }

    /// What is held is not registered again by itself.
    pub(super) fn cease_refreshing(&mut self) {
        if let Some(held) = &mut self.held {
            held.refresh = None;
        }
    }

    /// The other side has nothing any more.
    pub(super) fn forget_held(&mut self) {
        self.held = None;
        self.told_until = None;
    }

    /// No answer is waited for any more, and nothing sent.
    pub(super) fn give_up(&mut self) {
        self.backoff.stop();
        self.outstanding = None;
    }

    /// Whether it is time to register again; tells so once.
    pub(super) fn take_refresh(&mut self, now: SimTime) -> bool {
        let held = self.held.as_mut();
        held.is_some_and(|held| held.refresh.take_if(|at| *at <= now).is_some())
    }

    /// Whether the binding's lifetime has ended; tells so once.
    pub(super) fn take_expired(&mut self, now: SimTime) -> bool {
        self.held.take_if(|held| held.expires <= now).is_some()
    }

    /// When something is due; registering again only for a node that `is_attached`.
    pub(super) fn poll_timeout(&self, is_attached: bool) -> Option<SimTime> {
        let held = self.held.as_ref();
        let refresh = held.and_then(|held| held.refresh).filter(|_| is_attached);
        let expires = held.map(|held| held.expires);
        earlier(self.backoff.due(), earlier(refresh, expires))
    }
}
