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
use std::net::IpAddr;
use std::time::Duration;

use capture::decode::Link;
use serde::{Deserialize, Serialize};
use units::SimTime;

use crate::analysis::{AllPauses, Edge, Exchange, Flow, Gap, Hop, Pause, Rebinding, median};
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

/// Handovers that a flow does not show and that are told nevertheless; every flow of a node has all of
/// its announcements.
const MOST_UNSEEN: usize = 64;

impl Flow {
    /// The handovers that the capture tells of while this flow lasts, in the order of time. Of those
    /// that the flow does not show, the first 64.
    pub fn handovers(&self) -> Vec<Handover> {
        self.told_handovers().0
    }

    /// [`Flow::handovers`], and how many more there are that the flow does not show.
    pub fn told_handovers(&self) -> (Vec<Handover>, usize) {
        let mut handovers = self.all_handovers();
        let mut unseen = 0_usize;
        handovers.retain(|handover| {
            unseen += usize::from(handover.gap.is_err());
            handover.gap.is_ok() || unseen <= MOST_UNSEEN
        });
        (handovers, unseen.saturating_sub(MOST_UNSEEN))
    }

    fn all_handovers(&self) -> Vec<Handover> {
        let mut pauses = Pauses::of(self);
        let mut handovers = Vec::new();
        for pause in pauses.all().iter().filter(Pause::changes_address) {
            handovers.push(Handover {
                change: Change::Address,
                gap: Ok(self.gap(&pause)),
            });
        }
        let mut shown = Shown::of(pauses.all());
        for announced in self.rebindings_meanwhile().iter().rev() {
            if shown.takes(announced) {
                continue;
            }
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
            if let Ok(pause) = pauses.take(at, pauses.all().at(at).after.received) {
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
        long.map(|pause| self.gap(&pause)).collect()
    }

    /// What the node announced from this flow's first request to its end.
    fn rebindings_meanwhile(&self) -> &[Rebinding] {
        let answered = self
            .exchanges
            .iter()
            .filter_map(Exchange::answered_at)
            .max();
        let notified = self.notified().map(|notification| notification.time).max();
        let sent = self.exchanges.iter().map(|e| e.last().time).max();
        let end = answered.max(notified).max(sent).unwrap_or(self.start());
        let all = &self.rebindings;
        let from = all.partition_point(|change| change.time < self.start());
        let until = all.partition_point(|change| change.time <= end);
        &all[from..until.max(from)]
    }
}

/// How long a pause before a response, or before a further block of a body, is at most usual.
fn limit(pauses: &AllPauses<'_>, further: bool) -> Duration {
    let alike = pauses.iter().filter(|p| p.after.further == further);
    let mut usual: Vec<Duration> = alike.map(|pause| pause.duration()).collect();
    usual.sort_unstable();
    let usual = median(&usual).unwrap_or(Duration::MAX);
    usual.saturating_mul(GAP_FACTOR)
}

/// The changes of address that a flow shows, each for one announcement of it, whenever that was seen:
/// a notification may come long after the node has told its peers, or before.
struct Shown(Vec<(IpAddr, IpAddr, SimTime)>);

impl Shown {
    fn of(pauses: &AllPauses<'_>) -> Shown {
        let ip = |edge: &Edge| edge.from.ip().to_canonical();
        let changes = pauses.iter().filter(Pause::changes_address);
        let changes = changes.map(|p| (ip(&p.before), ip(&p.after), p.after.received));
        Shown(changes.collect())
    }

    /// Whether one of those that are left is `announced`: the one that is nearest in time.
    fn takes(&mut self, announced: &Rebinding) -> bool {
        let same = |(from, to, _): &(IpAddr, IpAddr, SimTime)| {
            (*from, *to) == (announced.from, announced.to)
        };
        let of = |(_, _, at): (IpAddr, IpAddr, SimTime)| {
            at.saturating_since(announced.time)
                .max(announced.time.saturating_since(at))
        };
        let all = self.0.iter().enumerate().filter(|(_, change)| same(change));
        let nearest = all.min_by_key(|(_, change)| of(**change)).map(|(at, _)| at);
        nearest.map(|at| self.0.swap_remove(at)).is_some()
    }
}

/// The pauses over which the router changes and the address does not. Only what was seen as far on
/// its way is compared: a capture that misses a packet's first hop may have its second.
///
/// Routers that are used in turns are two ways that a network has, and no handovers.
fn router_changes(pauses: &AllPauses<'_>) -> Vec<(usize, Link, Link)> {
    let mut changes = Vec::new();
    let mut latest: BTreeMap<u8, Hop> = BTreeMap::new();
    let keep = |latest: &mut BTreeMap<u8, Hop>, hop: Hop| latest.insert(hop.hop_limit, hop);
    if let Some(hop) = pauses.iter().next().and_then(|pause| pause.before.hop) {
        keep(&mut latest, hop);
    }
    for (at, pause) in pauses.iter().enumerate() {
        if pause.changes_address() || pause.after.hop.is_none() {
            latest.clear();
        }
        let Some(to) = pause.after.hop else {
            continue;
        };
        let from = keep(&mut latest, to);
        let is_another = |from: &Hop| {
            to.is_of_another_router(from) || (to.is_on_another_channel(from) && stays(pauses, at))
        };
        if let Some(from) = from.filter(is_another) {
            changes.push((at, from.link, to.link));
        }
    }
    let mut by_link: BTreeMap<Link, usize> = BTreeMap::new();
    for hop in pauses.iter().filter_map(|pause| pause.after.hop) {
        *by_link.entry(hop.link).or_default() += 1;
    }
    let usual = by_link.values().max().copied().unwrap_or_default();
    let others = by_link.values().sum::<usize>() - usual;
    match changes.len() > 2 && changes.len() * 2 > others {
        true => Vec::new(),
        false => changes,
    }
}

/// Whether the links before and after a pause are used more than once.
fn stays(pauses: &AllPauses<'_>, at: usize) -> bool {
    let link = |hop: Option<Hop>| hop.map(|hop| hop.link);
    if at == 0 || at + 1 >= pauses.len() {
        return false;
    }
    let [before, here, after] = [at - 1, at, at + 1].map(|place| pauses.at(place));
    link(before.before.hop) == link(here.before.hop)
        && link(after.after.hop) == link(here.after.hop)
}

#[cfg(test)]
mod tests;
