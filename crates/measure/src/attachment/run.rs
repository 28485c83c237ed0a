//! Handovers that a node's events tell of, and what a flow shows of them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rundir::Phase;
use units::SimTime;

use super::pauses::Pauses;
use super::{By, Unseen};
use crate::analysis::{Flow, Gap};
use crate::mobility::NodeHandover;

/// A handover of a run as a flow shows it.
#[derive(Debug)]
pub(crate) struct Joined<'r> {
    /// What the node tells of it; absent if the capture alone does.
    pub(crate) record: Option<&'r NodeHandover>,
    /// By what its time was found.
    pub(crate) by: By,
    /// The time without responses, or why there is none.
    pub(crate) gap: Result<Gap, Unseen>,
}

/// Joins what a flow shows with what the node's events tell: `records`, in the order of their
/// beginnings.
///
/// The events decide which handovers there are. A change of the address that answers is the end
/// of the last one that led to this address; the others have the pause around them. A change of
/// address that none of them explains is told, too. The capture alone decides only of a node
/// that tells of no handover at all, not even of one that failed.
pub(crate) fn join<'r>(flow: Option<&Flow>, records: &[&'r NodeHandover]) -> Vec<Joined<'r>> {
    let mut told: Vec<&NodeHandover> = records.to_vec();
    told.retain(|record| record.completed.is_some());
    let Some(flow) = flow else {
        let unseen = |record| Joined {
            record: Some(record),
            by: By::Events,
            gap: Err(Unseen::NotAsked),
        };
        return told.into_iter().map(unseen).collect();
    };
    if records.is_empty() {
        return of_the_capture(flow);
    }
    let mut pauses = Pauses::of(flow);
    let mut joined = Vec::new();
    for at in 0..pauses.all().len() {
        let pause = pauses.all().at(at);
        if !pause.changes_address() {
            continue;
        }
        // The handover that led to this address: the last one begun before it answered.
        let led_here = |r: &&NodeHandover| {
            let begun = r.started.or(r.completed);
            r.t_addr.map(IpAddr::V6) == Some(pause.after.from.ip())
                && begun <= Some(pause.after.received)
        };
        let Some(found) = told.iter().rposition(led_here) else {
            continue;
        };
        let record = told.remove(found);
        joined.push(given(flow, &mut pauses, record, Ok(at)));
    }
    let found: Vec<_> = told.iter().map(|record| around(&pauses, record)).collect();
    let asked = found.iter().filter(|found| found.waited);
    let asked: BTreeSet<usize> = asked.filter_map(|found| found.at.ok()).collect();
    let mut by_events = Vec::new();
    // Of several in one pause the last one ended it.
    for (record, found) in told.into_iter().zip(found).rev() {
        let at = found.at.and_then(|at| match asked.contains(&at) {
            true => Ok(at),
            false => Err(Unseen::NotAsked),
        });
        by_events.push(given(flow, &mut pauses, record, at));
    }
    joined.extend(by_events.into_iter().rev());
    let unexplained = |at: &usize| pauses.all().at(*at).changes_address() && !pauses.is_taken(*at);
    let unexplained = (0..pauses.all().len()).filter(unexplained);
    joined.extend(unexplained.map(|at| Joined {
        record: None,
        by: By::Address,
        gap: Ok(flow.gap(&pauses.all().at(at))),
    }));
    joined
}

/// Of a node that tells nothing.
fn of_the_capture<'r>(flow: &Flow) -> Vec<Joined<'r>> {
    let shown = flow.handovers().into_iter().filter(|h| h.gap.is_ok());
    let joined = shown.map(|handover| Joined {
        record: None,
        by: handover.by(),
        gap: handover.gap,
    });
    joined.collect()
}

/// The pause around a handover.
struct Found {
    at: Result<usize, Unseen>,
    /// Whether somebody waited for a response over it, or would have if the clients had not been
    /// told to keep back what is for the node.
    waited: bool,
}

fn around(pauses: &Pauses<'_>, record: &NodeHandover) -> Found {
    let left = record
        .spans
        .get(&Phase::LINK)
        .and_then(|spans| spans.first());
    let left = left.map(|(start, _)| *start).or(record.started);
    let end = record.completed.unwrap_or_default();
    let held = record.spans.get(&Phase::HOLD).is_some();
    let start = left.unwrap_or(end).min(end);
    let at = pauses.around(start, end);
    let of_address = at.is_ok_and(|at| pauses.all().at(at).changes_address());
    // One that was over in a moment may have left nobody who answers for longer.
    let in_vain = || at.is_ok_and(|at| pauses.waits_in_vain(at));
    Found {
        at,
        waited: held || of_address || pauses.waits_between(start, end) || in_vain(),
    }
}

/// The handover with the pause that was found, unless a later one has it.
fn given<'r>(
    flow: &Flow,
    pauses: &mut Pauses<'_>,
    record: &'r NodeHandover,
    found: Result<usize, Unseen>,
) -> Joined<'r> {
    let completed: SimTime = record.completed.unwrap_or_default();
    let taken = found.and_then(|at| pauses.take(at, completed));
    let of_address = taken.is_ok_and(|pause| pause.changes_address());
    Joined {
        record: Some(record),
        by: if of_address { By::Address } else { By::Events },
        gap: taken.map(|pause| flow.gap(&pause)),
    }
}
