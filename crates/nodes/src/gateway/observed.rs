//! [`Observed`]: something that is observed (RFC 7641), for all who follow it, by HTTP or by CoAP.

use std::time::Duration;

use coap::Response as CoapResponse;
use coap::message::option;
use serde_json::{Value as Json, json};
use units::SimTime;

use super::call::{Waiting, Who};
use super::refusal::Refusal;
use super::sockets::{Asker, Sockets};
use super::{answer, proxy};
use crate::web::{Answer, Door, Log, Reader};

/// The last state.
#[derive(Clone, Debug)]
struct Last {
    /// The event before the one that told it.
    before: u64,
    /// "For as long as it is fresh": a state is not given as one of now after that (RFC 7641 §3.3.1).
    fresh_until: SimTime,
    response: CoapResponse,
}

/// Who is told by CoAP.
#[derive(Clone, Copy, Debug)]
struct Told {
    asker: Asker,
    /// The first state was told: it was the answer.
    has_begun: bool,
    /// Who has no first state by then is answered that there is none.
    due: Option<SimTime>,
}

impl Told {
    /// When who waits for a first state has waited for long enough.
    fn waits_until(&self) -> Option<SimTime> {
        self.due.filter(|_| !self.has_begun)
    }
}

/// The numbers of a node's notifications (RFC 7641 §3.4).
///
/// They order states, and a node may count as it likes, by a clock for instance. Most count each notification, as the nodes of the
/// testbed do: of those, a number that is left out is a notification that did not come. A clock that has gone on by one so often
/// that it is taken for a count is not told from one.
#[derive(Debug, Default)]
struct Numbers {
    last: Option<u32>,
    /// How many times in succession it has counted by one.
    by_one: u32,
}

impl Numbers {
    /// After so many times it is known to count each.
    const KNOWN: u32 = 8;
    /// More at once are a node that has begun anew, or counts by a clock.
    const MOST: u32 = 1000;

    /// How many notifications before the one with this number did not come.
    fn left_out_before(&mut self, number: u32) -> u32 {
        // They have 24 bits.
        let step = self
            .last
            .map_or(0, |last| number.wrapping_sub(last) & 0x00ff_ffff);
        self.last = Some(number);
        match step {
            1 => self.by_one += 1,
            2..=Self::MOST if self.by_one >= Self::KNOWN => return step - 1,
            _ => self.by_one = 0,
        }
        0
    }
}

/// What is observed, and who follows it.
#[derive(Debug)]
pub(super) struct Observed {
    numbers: Numbers,
    log: Log,
    told: Vec<Told>,
    /// A state of it has come, or one that was not whole.
    has_begun: bool,
    last: Option<Last>,
}

impl Observed {
    /// Nothing is known of it yet.
    pub(super) fn new(now: SimTime) -> Observed {
        Observed {
            numbers: Numbers::default(),
            log: Log::new(now),
            told: Vec::new(),
            has_begun: false,
            last: None,
        }
    }

    /// Whether a state of it has come, or one that was not whole.
    pub(super) fn is_notified(&self) -> bool {
        self.has_begun
    }

    /// Whether somebody follows it.
    pub(super) fn is_followed(&mut self, sockets: &mut Sockets) -> bool {
        self.log.forget_left();
        self.told.retain(|told| match told.has_begun {
            true => sockets.observes(told.asker),
            false => sockets.awaits(told.asker),
        });
        self.log.is_followed() || !self.told.is_empty()
    }

    /// One who has waited for the first state is told that and all that follow.
    pub(super) fn follow_first(&mut self, waiting: Waiting, door: &Door, sockets: &Sockets) {
        if !waiting.who.is_there(sockets) {
            return;
        }
        match waiting.who {
            Who::Http(reply) => {
                let last = self.log.last();
                reply.send(Answer::Stream(self.log.follow_on(door, last)));
            }
            Who::Coap(asker) => self.told.push(Told {
                asker,
                has_begun: false,
                due: waiting.due,
            }),
        }
    }

    /// A stream that goes on after the event `since`. Where that is not known it begins with the last state, if that is
    /// fresh, else with the next one.
    pub(super) fn follow(&mut self, now: SimTime, since: Option<u64>, door: &Door) -> Reader {
        let since = since.filter(|since| self.log.knows(*since));
        let fresh = self.last.as_ref().filter(|last| now < last.fresh_until);
        let since = since.or(fresh.map(|last| last.before));
        let since = since.unwrap_or_else(|| self.log.last());
        self.log.follow_on(door, since)
    }

    /// One more is told by CoAP: at first the last state, if that is fresh, with what is left of its Max-Age, else the
    /// next one, if it comes until `due`.
    pub(super) fn tell_too(
        &mut self,
        now: SimTime,
        asker: Asker,
        due: Option<SimTime>,
        sockets: &mut Sockets,
    ) {
        let fresh = self.last.as_ref().filter(|last| now < last.fresh_until);
        let first = fresh.map(|last| {
            let mut response = proxy::forwarded(&last.response);
            let left = last.fresh_until.saturating_since(now).as_secs();
            response.options.remove(option::MAX_AGE);
            response.options.push_uint(option::MAX_AGE, left);
            response
        });
        let has_begun = first.is_some();
        if first.is_none_or(|first| sockets.respond_observed(now, asker, first)) {
            self.told.push(Told {
                asker,
                has_begun,
                due,
            });
        }
    }

    /// When [`Observed::give_up`] has something to do.
    pub(super) fn due(&self) -> Option<SimTime> {
        self.told.iter().filter_map(Told::waits_until).min()
    }

    /// Answers who has waited for a first state for long enough. No state is on its way, so that nothing else says when
    /// there is one.
    pub(super) fn give_up(&mut self, now: SimTime, sockets: &mut Sockets) {
        let reason = "the last state is not fresh any more, and no other has come: ask again";
        let refusal = Refusal::busy(reason);
        self.told.retain(|told| {
            let is_due = told.waits_until().is_some_and(|due| due <= now);
            if is_due {
                sockets.respond(now, told.asker, refusal.coap());
            }
            !is_due
        });
    }

    /// Tells a state; gives how many before it did not come.
    pub(super) fn notified(
        &mut self,
        now: SimTime,
        number: u32,
        response: &CoapResponse,
        sockets: &mut Sockets,
    ) -> u32 {
        self.has_begun = true;
        let max_age = Duration::from_secs(answer::max_age_or_default(response));
        self.last = Some(Last {
            before: self.log.last(),
            fresh_until: now + max_age,
            response: response.clone(),
        });
        self.log.tell(now, "state", &answer::state(response));
        let state = proxy::forwarded(response);
        self.told.retain_mut(|told| {
            if std::mem::replace(&mut told.has_begun, true) {
                sockets.notify(now, told.asker, &state);
                return sockets.observes(told.asker);
            }
            sockets.respond_observed(now, told.asker, state.clone())
        });
        self.numbers.left_out_before(number)
    }

    /// Tells that a state could not be had whole. By CoAP the next one is told. Gives how many did not come, this one included.
    pub(super) fn lost(&mut self, now: SimTime, number: u32, reason: &str) -> u32 {
        self.has_begun = true;
        self.log
            .tell(now, "notification-lost", &json!({ "reason": reason }));
        self.numbers.left_out_before(number) + 1
    }

    /// Tells `why` no more states follow, by CoAP with the error `last`, and ends the streams.
    pub(super) fn end(
        mut self,
        now: SimTime,
        why: &Json,
        last: &CoapResponse,
        sockets: &mut Sockets,
    ) {
        self.log.tell(now, "error", why);
        self.leave(now, last, sockets);
    }

    /// Ends the streams, and what is told by CoAP with the error `last`.
    pub(super) fn leave(self, now: SimTime, last: &CoapResponse, sockets: &mut Sockets) {
        for told in self.told {
            match told.has_begun {
                true => sockets.notify(now, told.asker, last),
                false => sockets.respond(now, told.asker, last.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(numbers: &[u32]) -> Vec<u32> {
        let mut known = Numbers::default();
        let each = numbers.iter().map(|number| known.left_out_before(*number));
        each.collect()
    }

    #[test]
    fn a_number_that_a_node_leaves_out_which_counts_each_did_not_come() {
        let known: Vec<u32> = (5..14).collect();
        assert_eq!(left_out(&[&known[..], &[18, 19]].concat())[9..], [4, 0]);
        // Over the end of 24 bits, and as often as it happens.
        let known: Vec<u32> = (0xff_fff9..0x100_0000).chain(0..2).collect();
        assert_eq!(left_out(&[&known[..], &[3, 5]].concat())[9..], [1, 1]);
    }

    #[test]
    fn of_a_node_that_counts_otherwise_or_begins_anew_nothing_is_known() {
        assert_eq!(left_out(&[10, 20, 31, 44]), [0; 4]);
        let few = [5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(
            left_out(&[&few[..], &[15]].concat()),
            [0; 9],
            "not known yet"
        );
        let known = [500, 501, 502, 503, 504, 505, 506, 507, 508];
        assert_eq!(left_out(&[&known[..], &[2, 3, 9]].concat()), [0; 12]);
        assert_eq!(left_out(&[&known[..], &[9000]].concat()), [0; 10]);
        // A clock that tells what changes about as often as it ticks.
        assert_eq!(left_out(&[1, 2, 3, 4, 5, 7, 8, 11, 16]), [0; 9]);
    }
}
