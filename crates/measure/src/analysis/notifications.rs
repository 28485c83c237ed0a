//! What was notified of an observed resource (RFC 7641), and what was not received of that.

use std::time::Duration;

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
    /// Numbers that were never received. 0 of a server that does not number its notifications one by
    /// one.
    pub lost: usize,
    /// Received after one of a higher number.
    pub reordered: usize,
}

impl Notifications {
    /// Those received and those lost.
    pub fn sent(&self) -> usize {
        self.received + self.lost
    }
}

impl Flow {
    /// What was notified of an observed resource (RFC 7641); none if it was not observed.
    ///
    /// Lost are the numbers missing between those of a registration that were received: of a server
    /// that numbers its notifications one by one, as most do, and not by its clock (RFC 7641 §4.4).
    pub fn notifications(&self) -> Option<Notifications> {
        let mut sum = Notifications::default();
        let mut observed = false;
        for exchange in &self.exchanges {
            let answer = exchange.answer;
            let first = answer.and_then(|answer| Some((answer.number?, answer.time)));
            if first.is_none() && exchange.notifications.is_empty() {
                continue;
            }
            observed = true;
            count(first, &exchange.notifications, &mut sum);
        }
        for observation in &self.observations {
            observed = true;
            count(None, &observation.notifications, &mut sum);
        }
        observed.then_some(sum)
    }
}

/// Adds what was notified by one registration, whose answer has the number `first`.
fn count(first: Option<(u32, SimTime)>, notified: &[Notification], sum: &mut Notifications) {
    sum.received += notified.len();
    sum.confirmable += notified.iter().filter(|n| n.confirmable).count();
    let mut newest = first.map(|(number, time)| (number, time, None));
    // Steps from one number to the next, and those of them that are one.
    let (mut steps, mut single) = (0_usize, 0_usize);
    let (mut lost, mut reordered) = (0_usize, 0_usize);
    for notification in notified {
        let (Some(number), from) = (notification.number, Some(notification.from)) else {
            continue;
        };
        let now = (number, notification.time, from);
        let Some((newest_number, time, newest_from)) = newest else {
            newest = Some(now);
            continue;
        };
        let step = number.wrapping_sub(newest_number) % NUMBERS;
        if step > 0 && step < NUMBERS / 2 {
            steps += 1;
            single += usize::from(step == 1);
            lost += step as usize - 1;
        } else if notification.time.saturating_since(time) <= FRESH
            && newest_from.is_none_or(|newest| Some(newest) == from)
        {
            // One that was missed comes after all.
            reordered += 1;
            lost = lost.saturating_sub(1);
            continue;
        }
        // Else it counts anew: it is another server, or was started again.
        newest = Some(now);
    }
    sum.reordered += reordered;
    if single * 2 >= steps {
        sum.lost += lost;
    }
}
