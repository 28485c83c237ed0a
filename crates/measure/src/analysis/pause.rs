//! The responses of a flow, and the times between them.
//!
//! A flow may have millions: they are told one by one of where the capture's exchanges have them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use units::SimTime;

use super::exchange::{Exchange, Notification};
use super::flow::Flow;
use super::hop::Hop;

/// One end of a gap: a response or a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Message ID of the request that it answers; of a notification, its own.
    pub message_id: u16,
    /// When the request was first sent; of a notification, when it was received.
    pub sent: SimTime,
    /// When the response was received.
    pub received: SimTime,
    /// Who answered.
    pub from: SocketAddr,
    /// Whether it is a further block of a body, that was asked for as soon as the block before
    /// was there.
    pub further: bool,
    /// Where it was captured, if that is known.
    pub hop: Option<Hop>,
}

/// The time between two responses that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The response before it.
    pub before: Edge,
    /// The response after it.
    pub after: Edge,
}

impl Pause {
    /// How long it is.
    pub fn duration(&self) -> Duration {
        self.after.received.saturating_since(self.before.received)
    }

    /// Whether another address answers after it.
    pub fn changes_address(&self) -> bool {
        self.before.from != self.after.from
    }
}

/// A response or a notification where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Response<'f> {
    To(&'f Exchange),
    Notified(&'f Notification),
}

impl Response<'_> {
    pub(super) fn received(&self) -> SimTime {
        match self {
            // There are only answered ones.
            Response::To(exchange) => exchange.answered_at().unwrap_or(exchange.sent_at()),
            Response::Notified(notification) => notification.time,
        }
    }

    fn sent(&self) -> SimTime {
        match self {
            Response::To(exchange) => exchange.sent_at(),
            Response::Notified(notification) => notification.time,
        }
    }

    pub(super) fn from(&self) -> SocketAddr {
        match self {
            Response::To(exchange) => exchange.answered_by().unwrap_or(exchange.first().to),
            Response::Notified(notification) => notification.from,
        }
    }

    fn edge(&self) -> Edge {
        let (message_id, further, hop) = match self {
            Response::To(e) => {
                let hop = e.answer().and_then(|answer| answer.hop);
                (e.message_id(), e.offset() > 0, hop)
            }
            Response::Notified(n) => (n.message_id, false, n.hop),
        };
        Edge {
            message_id,
            sent: self.sent(),
            received: self.received(),
            from: self.from(),
            further,
            hop,
        }
    }
}

/// The times between responses that follow each other, in the order of time.
///
/// A response from an address before that comes in after the change, to a request sent before
/// it, is late, ends no pause and begins none.
#[derive(Clone, Debug)]
pub struct AllPauses<'f> {
    /// What they are between.
    ends: Vec<Response<'f>>,
    /// When the first and the last response was received, also a late one.
    span: Option<(SimTime, SimTime)>,
}

impl AllPauses<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len().saturating_sub(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at a place below [`len`](Self::len).
    pub fn at(&self, place: usize) -> Pause {
        Pause {
            before: self.ends[place].edge(),
            after: self.ends[place + 1].edge(),
        }
    }

    /// All.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Pause> + ExactSizeIterator {
        (0..self.len()).map(|place| self.at(place))
    }

    /// How many end before something is no longer true of the time at which they end.
    pub(crate) fn ended_while(&self, holds: impl Fn(SimTime) -> bool) -> usize {
        let ends = self.ends.get(1..).unwrap_or_default();
        ends.partition_point(|response| holds(response.received()))
    }

    /// How many begin before something is no longer true of the time at which they begin.
    pub(crate) fn begun_while(&self, holds: impl Fn(SimTime) -> bool) -> usize {
        let beginnings = &self.ends[..self.len()];
        beginnings.partition_point(|response| holds(response.received()))
    }

    /// When the first and the last response of the flow was received.
    pub(crate) fn span(&self) -> Option<(SimTime, SimTime)> {
        self.span
    }
}

impl Flow {
    /// The first response to every answered request and every notification, in the order
    /// received.
    pub(super) fn responses(&self) -> Vec<Response<'_>> {
        let answered = self.exchanges.iter().filter(|e| e.is_answered());
        let answered = answered.map(Response::To);
        let mut responses: Vec<Response<'_>> = answered
            .chain(self.notified().map(Response::Notified))
            .collect();
        responses.sort_by_key(Response::received);
        responses
    }

    /// The times between responses that follow each other.
    pub fn pauses(&self) -> AllPauses<'_> {
        let mut ends = self.responses();
        let span = ends.first().zip(ends.last());
        let span = span.map(|(first, last)| (first.received(), last.received()));
        let mut seen = BTreeSet::new();
        // Which address answers, and since when.
        let mut now: Option<(SocketAddr, SimTime)> = None;
        ends.retain(|after| {
            let from = after.from();
            let changed = now.filter(|(before, _)| *before != from);
            if changed.is_some_and(|(_, since)| seen.contains(&from) && after.sent() < since) {
                return false;
            }
            if changed.is_some() || now.is_none() {
                now = Some((from, after.received()));
                seen.insert(from);
            }
            true
        });
        AllPauses { ends, span }
    }
}
