//! What was notified of an observed resource (RFC 7641), and what was not received of that.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use coap::wire::Token;
use units::SimTime;

use super::exchange::{Missed, Notification};
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
    /// one ([`Options::count_by_one`](super::Options::count_by_one)), and if no number is missing
    /// between those received.
    pub lost: Option<usize>,
    /// Numbers between those received that were not, and those that were sent after the last one: so
    /// many were lost if the server counts by one.
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
    ///
    /// Nothing is missing after the last one that was received, unless others saw what the server sent
    /// then ([`Exchange::missed`](super::Exchange::missed)).
    pub fn notifications(&self) -> Option<Notifications> {
        let mut counts = Counts {
            by_one: self.counts_by_one,
            ..Counts::default()
        };
        let mut observed = false;
        let mut series: BTreeMap<Token, Series> = BTreeMap::new();
        for exchange in &self.exchanges {
            let answer = exchange.answer();
            let first = answer.and_then(|answer| Some((answer.number?, answer.time)));
            if first.is_none() && exchange.notifications().is_empty() {
                continue;
            }
            observed = true;
            let of_token = series.entry(exchange.token()).or_default();
            let told = told(first, exchange.notifications(), exchange.missed());
            counts.add(of_token, exchange.notifications(), told);
        }
        for observation in &self.observations {
            observed = true;
            let mut of_token = Series::default();
            let told = told(None, &observation.notifications, &observation.missed);
            counts.add(&mut of_token, &observation.notifications, told);
            counts.end_of(&mut of_token);
        }
        for of_token in series.values_mut() {
            counts.end_of(of_token);
        }
        observed.then(|| counts.end())
    }
}

/// What a server's numbers were, by one token.
#[derive(Default)]
struct Series {
    newest: Option<Newest>,
    /// Numbers that were sent after the newest one and not received so far, each once.
    ahead: BTreeSet<u32>,
}

/// What is told of a number.
enum Told {
    Received(Newest),
    Missed(u32),
}

/// What is told of the numbers by one registration, whose answer has the number `first`, in the order
/// of time.
fn told(
    first: Option<(u32, SimTime)>,
    notified: &[Notification],
    missed: &[Missed],
) -> Vec<(SimTime, Told)> {
    let first = first.map(|(number, time)| (number, time, None));
    let numbered = notified.iter();
    let numbered = numbered.filter_map(|n| Some((n.number?, n.time, Some(n.from))));
    let received = first.into_iter().chain(numbered);
    let mut told: Vec<(SimTime, Told)> = received.map(|n| (n.1, Told::Received(n))).collect();
    if !missed.is_empty() {
        told.extend(missed.iter().map(|m| (m.time, Told::Missed(m.number))));
        told.sort_by_key(|(time, _)| *time);
    }
    told
}

/// Whether a number is of something newer than another one (RFC 7641 §3.4), and by how much.
fn step(from: u32, to: u32) -> Option<u32> {
    let step = to.wrapping_sub(from) % NUMBERS;
    (step > 0 && step < NUMBERS / 2).then_some(step)
}

/// What is counted registration by registration.
#[derive(Default)]
struct Counts {
    /// Whether the server is known to count by one for each observer.
    by_one: bool,
    sum: Notifications,
    /// Between the numbers that were received.
    missing: usize,
    /// After the last one.
    tail: usize,
    /// Whether a registration has more long steps from one number to the next than steps by one.
    skips: bool,
}

impl Counts {
    /// Adds what was notified by one registration, after what was notified by the ones before with its
    /// token.
    fn add(&mut self, series: &mut Series, notified: &[Notification], told: Vec<(SimTime, Told)>) {
        self.sum.received += notified.len();
        self.sum.confirmable += notified.iter().filter(|n| n.confirmable).count();
        // Steps from one number to the next, but for one to another registration, and those of them
        // that are one.
        let (mut steps, mut single) = (0_usize, 0_usize);
        let mut missing = 0_usize;
        for (_, told) in told {
            let now = match told {
                Told::Received(now) => now,
                Told::Missed(number) => {
                    series.ahead.insert(number);
                    continue;
                }
            };
            let Some((newest, time, from)) = series.newest else {
                series.newest = Some(now);
                continue;
            };
            let at_once = now.1.saturating_since(time) <= FRESH;
            let of_another = from.is_some_and(|from| Some(from) != now.2);
            if let Some(step) = step(newest, now.0) {
                steps += usize::from(now.2.is_some());
                single += usize::from(now.2.is_some() && step == 1);
                missing += step as usize - 1;
            } else if now.2.is_some() && at_once && !of_another {
                // One that was missed comes after all.
                self.sum.reordered += 1;
                missing = missing.saturating_sub(1);
                continue;
            } else {
                // It counts anew: it is another server, or was started again, or registered anew.
                self.end_of(series);
            }
            series.newest = Some(now);
        }
        self.missing += missing;
        self.skips |= single * 2 < steps;
    }

    /// The series is over: what was sent after its newest number did not come.
    fn end_of(&mut self, series: &mut Series) {
        let ahead = std::mem::take(&mut series.ahead);
        let Some((newest, ..)) = series.newest else {
            return;
        };
        let steps = ahead.into_iter().filter_map(|number| step(newest, number));
        let steps: Vec<u32> = steps.collect();
        self.tail += match self.by_one {
            true => steps.iter().max().map_or(0, |step| *step as usize),
            false => steps.len(),
        };
    }

    fn end(self) -> Notifications {
        let known = self.by_one || self.missing == 0;
        let missing = self.missing + self.tail;
        Notifications {
            lost: known.then_some(missing),
            missing: (self.by_one || !self.skips).then_some(missing),
            ..self.sum
        }
    }
}
