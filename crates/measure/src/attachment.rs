//! Handovers: the times without responses around changes of attachment.
//!
//! A node changes its attachment when it goes to another router, and a client may see of that no
//! more than that nothing comes for a while. What tells of a change is one of four ([`By`]); which
//! of a flow's pauses is its own is the business of `pauses`. A pause belongs to one change: of
//! several in it to the last one, for it ended the pause.
//!
//! Out of captures alone, [`Flow::handovers`] takes, in this order,
//!
//! 1. every pause after which another address answers;
//! 2. the pause around each announcement of a binding to another care-of address, of a node
//!    whose answering address stays, a home address, as long as it does;
//! 3. every pause after which responses come over the link of another router.
//!
//! In a run the node's events tell which handovers there are: `join`.

pub(crate) mod pauses;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use capture::decode::Link;
use serde::{Deserialize, Serialize};
use units::SimTime;

use crate::analysis::{Edge, Flow, Gap, Pause, Rebinding, median};
use pauses::Pauses;

pub(crate) use run::{Joined, join};

/// A pause between two responses counts as a gap when it is longer than the usual (median)
/// one by this factor; a client that asks nothing for so long has stopped asking.
const GAP_FACTOR: u32 = 5;

/// By what a change of attachment is known, and its time without responses found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Another address answers after it.
    #[default]
    Address,
    /// The node's events tell when it happened.
    Events,
    /// The node announced another care-of address.
    Binding,
    /// Responses come by way of another router after it, as the link layer shows.
    Router,
}

impl By {
    /// The name in `result.json`.
    pub fn name(self) -> &'static str {
        match self {
            By::Address => "address",
            By::Events => "events",
            By::Binding => "binding",
            By::Router => "router",
        }
    }
}

/// A change of attachment as a capture shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The address that answers changed.
    Address,
    /// The node announced it.
    Binding(Rebinding),
    /// Responses crossed this link before, and that one after.
    Router {
        /// The link before.
        from: Link,
        /// The link after.
        to: Link,
    },
}

/// A handover as a flow shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The change of attachment.
    pub change: Change,
    /// The time without responses around it, or why there is none.
    pub gap: Result<Gap, Unseen>,
}

/// Why a flow does not show a handover that there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// No response came before it.
    NoneBefore,
    /// No response came after it.
    NoneAfter,
    /// Nobody waited for a response.
    NotAsked,
    /// It lies in the same pause as a later one, of this instant.
    Shared(SimTime),
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unseen::NoneBefore => "no response came before it",
            Unseen::NoneAfter => "no response came after it",
            Unseen::NotAsked => "nothing was asked during it",
            Unseen::Shared(_) => "it lies in the same pause as the next one",
        })
    }
}

impl Handover {
    /// By what it is known.
    pub fn by(&self) -> By {
        match self.change {
            Change::Address => By::Address,
            Change::Binding(_) => By::Binding,
            Change::Router { .. } => By::Router,
        }
    }

    /// How long there were no responses, if the flow shows it.
    pub fn duration(&self) -> Option<Duration> {
        self.gap.as_ref().ok().map(Gap::duration)
    }

    /// When it was announced, else when the first response after it was received.
    fn time(&self) -> SimTime {
        match (&self.change, &self.gap) {
            (Change::Binding(announced), _) => announced.time,
            (_, Ok(gap)) => gap.after.received,
            (_, Err(_)) => SimTime::ZERO,
        }
    }
}

impl Flow {
    /// The handovers that the capture tells of while this flow lasts, in the order of time.
    pub fn handovers(&self) -> Vec<Handover> {
        let mut pauses = Pauses::of(self);
        let mut handovers = Vec::new();
        for pause in pauses.all().iter().filter(|p| p.changes_address()) {
            handovers.push(Handover {
                change: Change::Address,
                gap: Ok(self.gap(pause)),
            });
        }
        for announced in self.rebindings_meanwhile().iter().rev() {
            let found = pauses.near(announced.time);
            let taken = found.and_then(|at| pauses.take(at, announced.time));
            if taken.is_ok_and(|pause| pause.changes_address()) {
                continue; // The same handover.
            }
            handovers.push(Handover {
                change: Change::Binding(announced.clone()),
                gap: taken.map(|pause| self.gap(&pause)),
            });
        }
        for (at, from, to) in router_changes(pauses.all()) {
            if let Ok(pause) = pauses.take(at, pauses.all()[at].after.received) {
                handovers.push(Handover {
                    change: Change::Router { from, to },
                    gap: Ok(self.gap(&pause)),
                });
            }
        }
        handovers.sort_by_key(Handover::time);
        handovers
    }

    /// Pauses that are no handover and far longer (five times) than the usual (median) one:
    /// before the further blocks of a body compared among themselves, and before all other
    /// responses.
    pub fn gaps(&self) -> Vec<Gap> {
        let pauses = self.pauses();
        let limits = [false, true].map(|further| limit(&pauses, further));
        let handovers = self.handovers().into_iter();
        let ends = handovers.filter_map(|handover| Some(handover.gap.ok()?.after));
        let end = |after: &Edge| (after.received, after.message_id, after.from);
        let ends: BTreeSet<_> = ends.map(|after| end(&after)).collect();
        let long = pauses.iter().filter(|pause| {
            pause.duration() > limits[usize::from(pause.after.further)]
                && !ends.contains(&end(&pause.after))
        });
        long.map(|pause| self.gap(pause)).collect()
    }

    /// What the node announced from this flow's first request to its end.
    fn rebindings_meanwhile(&self) -> &[Rebinding] {
        let answered = self.exchanges.iter().filter_map(|e| e.answer);
        let answered = answered.map(|answer| answer.time).max();
        let notified = self.exchanges.iter().flat_map(|e| e.notifications.last());
        let notified = notified.map(|notification| notification.time).max();
        let sent = self.exchanges.iter().flat_map(|e| e.transmissions.last());
        let sent = sent.map(|transmission| transmission.time).max();
        let end = answered.max(notified).max(sent).unwrap_or(self.start());
        let all = &self.rebindings;
        let from = all.partition_point(|change| change.time < self.start());
        let until = all.partition_point(|change| change.time <= end);
        &all[from..until.max(from)]
    }
}

/// How long a pause before a response, or before a further block of a body, is at most usual.
fn limit(pauses: &[Pause], further: bool) -> Duration {
    let alike = pauses.iter().filter(|p| p.after.further == further);
    let mut usual: Vec<Duration> = alike.map(Pause::duration).collect();
    usual.sort_unstable();
    let usual = median(&usual).unwrap_or(Duration::MAX);
    usual.saturating_mul(GAP_FACTOR)
}

/// The pauses over which the router changes and the address does not.
///
/// Routers that are used in turns are two ways that a network has, and no handovers.
fn router_changes(pauses: &[Pause]) -> Vec<(usize, Link, Link)> {
    let changes = pauses.iter().enumerate().filter_map(|(at, pause)| {
        let (from, to) = (pause.before.link?, pause.after.link?);
        let changes = !pause.changes_address() && is_another_routers(&from, &to);
        changes.then_some((at, from, to))
    });
    let changes: Vec<_> = changes.collect();
    let mut by_link: BTreeMap<Link, usize> = BTreeMap::new();
    for link in pauses.iter().filter_map(|pause| pause.after.link) {
        *by_link.entry(link).or_default() += 1;
    }
    let usual = by_link.values().max().copied().unwrap_or_default();
    let others = by_link.values().sum::<usize>() - usual;
    match changes.len() > 2 && changes.len() * 2 > others {
        true => Vec::new(),
        false => changes,
    }
}

/// Whether a packet that crosses `to` in place of `from` goes by way of another router: one end of
/// the link is the same and the other is not, or it is another radio network. If both ends
/// are others it is another hop of the way that was captured.
fn is_another_routers(from: &Link, to: &Link) -> bool {
    let differ = |a: Option<u32>, b: Option<u32>| a.is_some() && b.is_some() && a != b;
    let pan = |link: &Link| link.pan.map(|pan| pan.0.into());
    let channel = |link: &Link| link.channel.map(|channel| channel.number().into());
    if differ(pan(from), pan(to)) || differ(channel(from), channel(to)) {
        return true;
    }
    let ends = [from.src, from.dst, to.src, to.dst];
    ends.iter().all(Option::is_some) && (from.src == to.src) != (from.dst == to.dst)
}

#[cfg(test)]
mod tests;
