//! What was notified of an observed resource (RFC 7641), and what was not received of that.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use coap::wire::Token;
use units::SimTime;

use super::exchange::Notification;
use super::flow::Flow;

/// Numbers in the Observe option have 24 bits (RFC 7641 §2).
const NUMBERS: u32 = 1 << 24;

/// After this time any number is of a newer notification (RFC 7641 §3.4).
const FRESH: Duration = Duration::from_secs(128);

/// Counts of the notifications after the answers to registrations (RFC 7641).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notifications {
    /// Received, each once.
    pub received: usize,
    /// CON among them.
    pub confirmable: usize,
    /// Sent and never received; none if that is not known. It is if the server is known to count by
    /// one ([`Options::count_by_one`](super::Options::count_by_one)), and if no number is missing.
    pub lost: Option<usize>,
    /// Numbers between those received that were not: so many were lost if the server counts by one.
    /// None if it does not, since most steps from one number to the next are longer.
    pub missing: Option<usize>,
    /// Received after one of a higher number.
    pub reordered: usize,
}

impl Notifications {
    /// Those received and those lost, if that is known.
    pub fn sent(&self) -> Option<usize> {
        Some(self.received + self.lost?)
    }
}

/// The newest notification of a server: its number, when it came, and from where if it was not the
/// answer to a registration.
type Newest = (u32, SimTime, Option<SocketAddr>);

impl Flow {
    /// What was notified of an observed resource (RFC 7641); none if it was not observed.
    ///
    /// Numbers need only increase (RFC 7641 §4.4): a server may count by one for each observer, by one
    /// for all of them, or by its clock. What is missing between the numbers by one token was lost if it
    /// counts by one for each observer: it goes on counting then if the observer registers again.
    pub fn notifications(&self) -> Option<Notifications> {
        let mut counts = Counts::default();
        let mut observed = false;
        let mut newest: BTreeMap<Token, Newest> = BTreeMap::new();
        for exchange in &self.exchanges {
            let answer = exchange.answer();
            let first = answer.and_then(|answer| Some((answer.number?, answer.time)));
            if first.is_none() && exchange.notifications().is_empty() {
                continue;
            }
            observed = true;
            let before = newest.get(&exchange.token()).copied();
            let last = counts.add(before, first, exchange.notifications());
            newest.extend(last.map(|last| (exchange.token(), last)));
        }
        for observation in &self.observations {
            observed = true;
            counts.add(None, None, &observation.notifications);
        }
        observed.then(|| counts.end(self.counts_by_one))
    }
}

/// What is counted registration by registration.
#[derive(Default)]
struct Counts {
    sum: Notifications,
    missing: usize,
    /// Whether a registration has more long steps from one number to the next than steps by one.
    skips: bool,
}

impl Counts {
    /// Adds what was notified by one registration, whose answer has the number `first`, after what was
    /// notified by the one `before`. Gives the newest.
    fn add(
        &mut self,
        before: Option<Newest>,
        first: Option<(u32, SimTime)>,
        notified: &[Notification],
    ) -> Option<Newest> {
        self.sum.received += notified.len();
        self.sum.confirmable += notified.iter().filter(|n| n.confirmable).count();
        let mut newest = before;
        // Steps from one number to the next, but for one to another registration, and those of them
        // that are one.
        let (mut steps, mut single) = (0_usize, 0_usize);
        let mut missing = 0_usize;
        let first = first.map(|(number, time)| (number, time, None));
        let notified = notified.iter();
        let numbered = notified.filter_map(|n| Some((n.number?, n.time, Some(n.from))));
        for now in first.into_iter().chain(numbered) {
            let Some((newest_number, time, from)) = newest else {
                newest = Some(now);
                continue;
            };
            let step = now.0.wrapping_sub(newest_number) % NUMBERS;
            let at_once = now.1.saturating_since(time) <= FRESH;
            let of_another = from.is_some_and(|from| Some(from) != now.2);
            if step > 0 && step < NUMBERS / 2 {
                steps += usize::from(now.2.is_some());
                single += usize::from(now.2.is_some() && step == 1);
                missing += step as usize - 1;
            } else if now.2.is_some() && at_once && !of_another {
                // One that was missed comes after all.
                self.sum.reordered += 1;
                missing = missing.saturating_sub(1);
                continue;
            }
            // Else it counts anew: it is another server, or was started again, or registered anew.
            newest = Some(now);
        }
        self.missing += missing;
        self.skips |= single * 2 < steps;
        newest
    }

    fn end(self, counts_by_one: bool) -> Notifications {
        let known = counts_by_one || self.missing == 0;
        Notifications {
            lost: known.then_some(self.missing),
            missing: (counts_by_one || !self.skips).then_some(self.missing),
            ..self.sum
        }
    }
}
