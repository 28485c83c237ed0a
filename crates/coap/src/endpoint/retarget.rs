//! Requests whose peer moves, or is not to be bothered for a while.

use std::net::SocketAddrV6;

use units::SimTime;

use super::outstanding::Stage;
use super::peer::Peer;
use super::{Endpoint, RequestId};

/// Former addresses remembered per request; the oldest goes first.
const MAX_FORMER: usize = 4;

impl Endpoint {
    /// Points every request to `from` at `to`, where the peer is now.
    ///
    /// * Queued requests move into the line of `to`, in the order of the commands.
    /// * A confirmable request (or ping) still being retransmitted is sent to `to` at once,
    ///   with its Message ID and token; its retransmission schedule starts anew. NSTART does
    ///   not hold it back, since it is an outstanding interaction already.
    /// * An acknowledged or non-confirmable request keeps waiting, now for `to`.
    ///
    /// ACKs and responses that still come from `from` count ([module](super)). Responses
    /// of ours are not affected: they go where their requests came from.
    pub fn retarget(&mut self, now: SimTime, from: SocketAddrV6, to: SocketAddrV6) {
        if Peer::from(from) == Peer::from(to) {
            return;
        }
        self.protection.moved(from, to);
        let affected: Vec<RequestId> = (self.requests.iter())
            .filter(|(_, request)| request.is_to(from))
            .map(|(id, _)| *id)
            .collect();
        for id in affected {
            self.retarget_one(now, id, to);
        }
        let peer = Peer::from(to);
        if let Some(line) = self.lines.get_mut(&peer) {
            line.queue.make_contiguous().sort_unstable();
        }
        self.send_queued(now, peer);
    }

    /// Sends no request to a peer until [`Endpoint::release`]: queued ones, further blocks and
    /// retransmissions wait. The time for which a response is awaited goes on.
    pub fn keep_back(&mut self, to: SocketAddrV6) {
        self.kept_back.insert(to.into());
    }

    /// Ends [`Endpoint::keep_back`]. What should have been sent again meanwhile is sent at once,
    /// as if for the first time.
    pub fn release(&mut self, now: SimTime, to: SocketAddrV6) {
        let peer = Peer::from(to);
        if self.kept_back.remove(&peer) {
            self.retransmit_overdue(now, peer);
            self.send_queued(now, peer);
        }
    }

    /// The peer has said that it is at `to`, where it was before: every confirmable request (or
    /// ping) that it has not acknowledged is sent once more at once, as [`Endpoint::retarget`]
    /// would send it elsewhere, in place of the end of a timeout that may be half a minute away.
    /// Ends [`Endpoint::keep_back`], too.
    pub fn retry(&mut self, now: SimTime, to: SocketAddrV6) {
        let peer = Peer::from(to);
        self.kept_back.remove(&peer);
        self.transmit_again(now, peer, |_| true);
        self.send_queued(now, peer);
    }

    fn retarget_one(&mut self, now: SimTime, id: RequestId, to: SocketAddrV6) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        let former = Peer::from(std::mem::replace(&mut request.to, to));
        let in_flight = request.in_flight();
        let unacknowledged = match &request.stage {
            Stage::Unacknowledged(sent) if !request.recalled => Some(sent.message_id),
            _ => None,
        };
        // What is not sent again was asked of the former, and of nobody else.
        if !request.recalled && !matches!(request.stage, Stage::Unanswered(..)) {
            request.sent_to = to;
        }
        if request.sent().is_some() {
            request.former.retain(|p| *p != former && *p != to.into());
            if request.former.len() == MAX_FORMER {
                request.former.remove(0);
            }
            request.former.push(former);
        }
        let queued = self.leave_line(former, id, in_flight);
        let line = self.lines.entry(to.into()).or_default();
        line.in_flight += u32::from(in_flight);
        if queued {
            line.queue.push_back(id);
        }
        self.drop_idle_line(to.into());
        if let Some(message_id) = unacknowledged {
            self.redirect(now, message_id, to);
        }
    }
}
