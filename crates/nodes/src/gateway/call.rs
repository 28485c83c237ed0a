//! [`Call`]: what was asked of a node and has not ended, and who waits for it.

use coap::Response as CoapResponse;
use service::Target;
use units::SimTime;

use super::ask::Asking;
use super::observed::Observed;
use super::refusal::Refusal;
use super::sockets::{Asker, Sockets};
use super::{answer, proxy};
use crate::host::earlier;
use crate::web::{Answer, Door, Reply};

/// Who has asked, by HTTP or by CoAP.
#[derive(Debug)]
pub(super) enum Who {
    Http(Reply),
    Coap(Asker),
}

impl Who {
    /// Whether somebody waits still.
    pub(super) fn is_there(&self, sockets: &Sockets) -> bool {
        match self {
            Who::Http(reply) => reply.is_awaited(),
            Who::Coap(asker) => sockets.awaits(*asker),
        }
    }

    /// Gives a node's response to `asking`.
    pub(super) fn answer(
        self,
        now: SimTime,
        sockets: &mut Sockets,
        asking: &Asking,
        response: &CoapResponse,
    ) {
        match self {
            Who::Http(reply) => reply.send(Answer::Whole(answer::whole(asking, response))),
            Who::Coap(asker) => sockets.respond(now, asker, proxy::forwarded(response)),
        }
    }

    /// Says why there is no response of a node's.
    pub(super) fn refuse(self, now: SimTime, sockets: &mut Sockets, refusal: &Refusal) {
        match self {
            Who::Http(reply) => reply.send(Answer::Whole(refusal.http())),
            Who::Coap(asker) => sockets.respond(now, asker, refusal.coap()),
        }
    }
}

/// Somebody who waits for an answer.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) who: Who,
    pub(super) since: SimTime,
    /// When it is seen to whether the node is kept back; none: never.
    pub(super) due: Option<SimTime>,
}

/// What was asked and has not ended.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) asking: Asking,
    pub(super) target: Target,
    /// Who waits for the response, or for the first state of what is observed.
    pub(super) waiting: Vec<Waiting>,
    pub(super) observed: Option<Observed>,
    /// It is to end without a response.
    pub(super) is_given_up: bool,
}

impl Call {
    /// One more wants the same.
    pub(super) fn join(
        &mut self,
        now: SimTime,
        waiting: Waiting,
        last_event: Option<u64>,
        door: &Door,
        sockets: &mut Sockets,
    ) {
        let notified = self.observed.as_mut().filter(|o| o.is_notified());
        match (notified, waiting.who) {
            (Some(observed), Who::Http(reply)) => {
                let reader = observed.follow(now, last_event, door);
                reply.send(Answer::Stream(reader));
            }
            (Some(observed), Who::Coap(asker)) => {
                observed.tell_too(now, asker, waiting.due, sockets);
            }
            (None, who) => {
                // Who leaves at once would else be any number.
                self.forget_left(sockets);
                self.waiting.push(Waiting { who, ..waiting });
            }
        }
    }

    /// Forgets who does not wait any more.
    fn forget_left(&mut self, sockets: &Sockets) {
        self.waiting.retain(|waiting| waiting.who.is_there(sockets));
    }

    /// Whether nobody waits for it and nobody follows it.
    pub(super) fn is_left(&mut self, sockets: &mut Sockets) -> bool {
        self.forget_left(sockets);
        let observed = self.observed.as_mut();
        self.waiting.is_empty() && !observed.is_some_and(|o| o.is_followed(sockets))
    }

    /// Whether somebody follows it. What is not observed, or has no state yet, ends by itself.
    pub(super) fn is_wanted(&mut self, sockets: &mut Sockets) -> bool {
        let observed = self.observed.as_mut();
        observed.is_none_or(|o| !o.is_notified() || o.is_followed(sockets))
    }

    /// When it is seen to who waits.
    pub(super) fn due(&self) -> Option<SimTime> {
        let waiting = self.waiting.iter().filter_map(|waiting| waiting.due).min();
        earlier(waiting, self.observed.as_ref().and_then(Observed::due))
    }
}
