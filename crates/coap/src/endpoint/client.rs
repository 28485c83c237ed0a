//! The client's side: our requests and pings, and their responses (RFC 7252 §4.7, §5.3).

use std::net::SocketAddrV6;

use units::SimTime;

use super::observation::Notified;
use super::outstanding::{Awaited, Line, Outstanding, Role, Sent, Stage};
use super::peer::Peer;
use super::transfer::{Progress, Transfer};
use super::{Endpoint, Event, Failure, MAX_IN_FLIGHT, Reliability, RequestId, Timer};
use crate::message::{Kind, Request, Response, option};
use crate::wire::Message;

impl Endpoint {
    /// Sends a request, or queues it behind NSTART others to the same peer (RFC 7252 §4.7).
    /// Queued requests get their Message IDs when they are sent, so these ascend on the wire.
    pub fn request(
        &mut self,
        now: SimTime,
        to: SocketAddrV6,
        reliability: Reliability,
        request: Request,
    ) -> RequestId {
        self.enqueue(now, to, reliability, Some(request), Role::Request, None)
    }

    /// Asks whether a peer lives, by an Empty confirmable message that it must reject
    /// (RFC 7252 §1.2, "CoAP ping"): [`Event::Pong`] or [`Event::Failed`]. Queued and
    /// retransmitted like a request.
    pub fn ping(&mut self, now: SimTime, to: SocketAddrV6) -> RequestId {
        self.enqueue(now, to, Reliability::Confirmable, None, Role::Request, None)
    }

    /// Stops a request or ping; it ends in [`Failure::Cancelled`]. Ignored if it has ended.
    /// What it held up is sent by the next `handle_timeout`, which is due at once.
    pub fn cancel(&mut self, id: RequestId) {
        self.forget_fetch(id);
        let Some(cancelled) = self.finish(id) else {
            return;
        };
        self.retire_token(cancelled.to, cancelled.sent(), None);
        self.send_later(cancelled.to.into());
        self.fail_event(id, cancelled.sent_to, Failure::Cancelled);
    }

    /// Has the next `handle_timeout` send what is queued for a peer.
    pub(super) fn send_later(&mut self, peer: Peer) {
        if self.lines.contains_key(&peer) {
            self.timers.insert((SimTime::ZERO, Timer::Send(peer)));
        }
    }

    pub(super) fn enqueue(
        &mut self,
        now: SimTime,
        to: SocketAddrV6,
        reliability: Reliability,
        request: Option<Request>,
        role: Role,
        since: Option<SimTime>,
    ) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        let (size, max_body) = (self.block_size(to), self.params.max_body);
        let transfer = request.map(|request| Transfer::new(request, size, max_body));
        let outstanding = Outstanding::new(to, reliability, transfer, role, since);
        self.requests.insert(id, outstanding);
        let peer = Peer::from(to);
        self.lines.entry(peer).or_default().queue.push_back(id);
        self.send_queued(now, peer);
        if let Some(timeout) = self.params.queue_timeout
            && let Some(queued) = self.requests.get_mut(&id)
            && queued.sent().is_none()
        {
            queued.queued_until = Some(now + timeout);
            self.timers.insert((now + timeout, Timer::Unqueue(id)));
        }
        id
    }

    /// Sends what NSTART admits of a peer's line, or tries again later if Message IDs run short.
    pub(super) fn send_queued(&mut self, now: SimTime, peer: Peer) {
        let waits = |line: &Line| !line.queue.is_empty();
        if self.by_message_id.len() >= MAX_IN_FLIGHT && self.lines.get(&peer).is_some_and(waits) {
            let later = now + self.params.ack_timeout;
            self.timers.insert((later, Timer::Send(peer)));
            return;
        }
        while !self.kept_back.contains(&peer)
            && let Some(id) = self.take_next(peer)
        {
            if !self.send(now, id)
                && let Some(line) = self.lines.get_mut(&peer)
            {
                line.in_flight -= 1;
                self.drop_idle_line(peer);
            }
        }
    }

    /// Takes the request that goes next out of a peer's line, if NSTART admits one; it counts as
    /// in flight then. One that would disturb a transfer in blocks waits, and others pass it.
    fn take_next(&mut self, peer: Peer) -> Option<RequestId> {
        let nstart = self.params.nstart.max(1);
        let line = self.lines.get(&peer).filter(|l| l.in_flight < nstart)?;
        let mut place = 0;
        if !self.in_blocks.is_empty() {
            let waiting = line.queue.iter().take_while(|id| self.has_to_wait(**id));
            let waiting: Vec<RequestId> = waiting.copied().collect();
            place = waiting.len();
            for id in waiting {
                if let Some(request) = self.requests.get_mut(&id) {
                    request.alone = true;
                }
            }
        }
        let line = self.lines.get_mut(&peer)?;
        let id = line.queue.remove(place)?;
        line.in_flight += 1;
        Some(id)
    }

    /// Whether another transfer in blocks is under way whose body a server would take for this one's
    /// (RFC 7959 §2.4, §2.5).
    fn has_to_wait(&self, id: RequestId) -> bool {
        let transfer_of = |id: &RequestId| {
            let request = self.requests.get(id)?;
            Some((Peer::from(request.to), request.transfer.as_ref()?))
        };
        let Some((peer, transfer)) = transfer_of(&id) else {
            return false;
        };
        let mut others = self.in_blocks.iter().filter(|other| **other != id);
        others
            .any(|other| transfer_of(other).is_some_and(|(p, t)| p == peer && t.is_like(transfer)))
    }

    /// Sends a request; `false` if it keeps no place in its peer's line: it has ended, because it
    /// cannot be protected or nothing is expected after it, or only an error is.
    fn send(&mut self, now: SimTime, id: RequestId) -> bool {
        let Some(outstanding) = self.requests.get_mut(&id) else {
            return false;
        };
        let to = outstanding.to;
        outstanding.sent_to = to;
        if let Stage::Unacknowledged(sent) = outstanding.stage {
            outstanding.recalled = false;
            self.redirect(now, sent.message_id, to);
            return true;
        }
        let Ok(request) = outstanding.protected(now, &mut *self.protection) else {
            self.end_unprotectable(id);
            return false;
        };
        if let Some(until) = outstanding.queued_until.take() {
            self.timers.remove(&(until, Timer::Unqueue(id)));
        }
        if outstanding.is_in_blocks() {
            self.in_blocks.insert(id);
        }
        outstanding.awaited =
            (outstanding.transfer.as_ref()).map_or(Awaited::Response, Transfer::awaited);
        let (reliability, again) = (outstanding.reliability, outstanding.token);
        let awaited = outstanding.awaited;
        if let Some(since) = outstanding.since.take() {
            self.waited(now, since);
        }
        let kind = match reliability {
            Reliability::Confirmable => Kind::Confirmable,
            Reliability::NonConfirmable => Kind::NonConfirmable,
        };
        let message_id = self.message_id();
        let (message, token) = match request {
            None => (Message::empty(kind, message_id), None),
            Some(request) => {
                let token = again.unwrap_or_else(|| self.unused_token(now, to, awaited));
                self.tokens.advance();
                self.tokens.insert(token, id);
                let message = Message {
                    kind,
                    code: request.method,
                    message_id,
                    token,
                    options: request.options,
                    payload: request.payload,
                };
                (message, Some(token))
            }
        };
        let sent = Sent { message_id, token };
        self.by_message_id.insert(message_id, id);
        match reliability {
            Reliability::Confirmable => {
                if let Some(outstanding) = self.requests.get_mut(&id) {
                    outstanding.stage = Stage::Unacknowledged(sent);
                }
                self.transmit_confirmable(now, to, message_id, message.encode());
            }
            Reliability::NonConfirmable => {
                self.transmit(to, message.encode());
                self.await_response(now, id, sent);
                if awaited == Awaited::Nothing {
                    self.end_sent(now, id);
                }
                return awaited == Awaited::Response;
            }
        }
        true
    }

    /// Ends a request after which nothing is expected, or not any more. Its line goes on by itself.
    fn end_sent(&mut self, now: SimTime, id: RequestId) {
        let Some(ended) = self.finish(id) else {
            return;
        };
        let sent = ended.sent();
        self.retire_token(ended.to, sent, Some(now));
        if let Some(Sent { message_id, .. }) = sent {
            let to = ended.sent_to;
            self.events.push_back(Event::Sent { id, to, message_id });
        }
    }

    /// A request was not answered for as long as it is waited for. Where success is silence, that
    /// is no failure: "the client cannot distinguish between response suppression and message
    /// loss" (RFC 7967 §2.1).
    pub(super) fn give_up(&mut self, now: SimTime, id: RequestId) {
        match self.requests.get(&id).map(|request| request.awaited) {
            Some(Awaited::Error | Awaited::Nothing) => self.end_sent(now, id),
            _ => self.fail(now, id, self.silence(id)),
        }
    }

    /// Ends a request that cannot be protected; its line goes on by itself.
    fn end_unprotectable(&mut self, id: RequestId) {
        self.forget_fetch(id);
        let Some(ended) = self.finish(id) else {
            return;
        };
        if !matches!(ended.role, Role::Fetch(_)) {
            self.fail_event(id, ended.sent_to, Failure::Unprotectable);
        }
    }

    fn await_response(&mut self, now: SimTime, id: RequestId, sent: Sent) {
        let until = now + self.params.response_timeout;
        if let Some(request) = self.requests.get_mut(&id) {
            request.stage = Stage::Unanswered(sent, until);
            request.recalled = false;
            self.timers.insert((until, Timer::GiveUp(id)));
        }
    }

    /// An empty ACK.
    pub(super) fn handle_ack(&mut self, now: SimTime, from: SocketAddrV6, message_id: u16) {
        let Some(&id) = self.by_message_id.get(&message_id) else {
            self.acknowledge_response(now, from, message_id);
            return;
        };
        let Some(request) = self.requests.get(&id).filter(|r| r.was_to(from)) else {
            return;
        };
        // A ping wants a Reset: an ACK to it (token none) proves nothing that §4.2 allows.
        if let Stage::Unacknowledged(sent @ Sent { token: Some(_), .. }) = request.stage {
            let peer = Peer::from(request.to);
            let in_flight = request.in_flight();
            let awaits_nothing = request.awaited == Awaited::Nothing;
            self.measure(now, from, message_id);
            self.stop_retransmission(message_id);
            if awaits_nothing {
                self.end_sent(now, id);
            } else {
                self.await_response(now, id, sent);
                self.leave_line(peer, id, in_flight);
            }
            self.send_queued(now, peer);
            self.drop_idle_line(peer);
        }
    }

    /// A Reset: of a ping, a request, or a confirmable response of ours.
    pub(super) fn handle_reset(&mut self, now: SimTime, from: SocketAddrV6, message_id: u16) {
        let Some(&id) = self.by_message_id.get(&message_id) else {
            self.notification_failed(Some(from), message_id);
            self.acknowledge_response(now, from, message_id);
            return;
        };
        let Some(request) = self.requests.get(&id).filter(|r| r.is_to(from)) else {
            return;
        };
        if request.sent().is_some_and(|sent| sent.token.is_none()) {
            self.finish_and_send(now, id);
            self.events.push_back(Event::Pong { id });
        } else {
            self.fail(now, id, Failure::Reset);
        }
    }

    /// "The server MUST stop retransmitting its response on any matching Acknowledgement
    /// (silently ignoring any Response Code or payload) or Reset message" (§5.2.2). A request
    /// of ours is not concerned.
    fn acknowledge_response(&mut self, now: SimTime, from: SocketAddrV6, message_id: u16) {
        if self.by_message_id.contains_key(&message_id) {
            return;
        }
        let to = self.confirmables.get(&message_id).map(|c| Peer::from(c.to));
        if to.is_some_and(|to| to.matches(from.into())) {
            self.measure(now, from, message_id);
            self.stop_retransmission(message_id);
            self.notification_acknowledged(now, from, message_id);
        }
    }

    /// A response that is no duplicate, in CON, NON or ACK.
    pub(super) fn handle_response(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        mut message: Message,
    ) {
        let Some((id, sent)) = self.request_of(from, &message) else {
            match message.kind {
                // It is repeated, and by then its node's new address may be known here.
                _ if self.is_from_elsewhere(&message) => {}
                // "rejecting [a notification] with a Reset message" ends an observation that is
                // forgotten here (RFC 7641 §3.6), CON or NON.
                Kind::NonConfirmable if message.options.get(option::OBSERVE).is_some() => {
                    self.transmit_empty(from, Kind::Reset, message.message_id);
                }
                // "In case a message carrying a response is unexpected [...], the response is
                // rejected" (§5.3.2).
                Kind::Confirmable => {
                    self.transmit_empty(from, Kind::Reset, message.message_id);
                }
                Kind::Acknowledgement => {
                    self.acknowledge_response(now, from, message.message_id);
                }
                Kind::NonConfirmable | Kind::Reset => {}
            }
            return;
        };
        let verified = self.verify_response(now, from, id, &mut message);
        if message.kind == Kind::Acknowledgement {
            if !verified {
                return self.handle_ack(now, from, message.message_id);
            }
            self.measure(now, from, message.message_id);
        }
        let unknown = message.options.unrecognized(self.known_critical);
        let unknown = unknown.filter(|_| verified);
        if message.kind == Kind::Confirmable {
            self.remember(now, from, &message, None);
            // "Unrecognized options of class "critical" that occur in a Confirmable response,
            // or piggybacked in an Acknowledgement, MUST cause the response to be rejected"
            // (§5.4.1).
            let kind = match unknown {
                Some(_) => Kind::Reset,
                None => Kind::Acknowledgement,
            };
            let reply = self.transmit_empty(from, kind, message.message_id);
            let key = (Peer::from(from), message.message_id);
            self.history.set_reply(key, message.token, &reply);
        }
        if !verified {
            return;
        }
        if let Some(number) = unknown {
            self.fail(now, id, Failure::CriticalOption(number));
            return;
        }
        let response = Response {
            code: message.code,
            options: message.options,
            payload: message.payload,
        };
        self.heard_from(now, from);
        let transfer = self.requests.get_mut(&id).and_then(|r| r.transfer.as_mut());
        if transfer.is_some_and(|transfer| transfer.proves(&response)) {
            return self.send_next_block(now, id);
        }
        let observes = |request: &Outstanding| {
            let uploads = request.transfer.as_ref().is_some_and(Transfer::uploads);
            matches!(request.role, Role::Observation(_)) && !uploads
        };
        if self.requests.get(&id).is_some_and(observes) {
            if response.code.is_success() && response.options.get(option::OBSERVE).is_some() {
                let message_id = message.message_id;
                let notified = Notified {
                    from,
                    message_id,
                    response,
                };
                return self.notified(now, id, notified);
            }
            // Nothing more follows.
            self.forget_fetch(id);
            if let Some(request) = self.requests.get_mut(&id) {
                request.role = Role::Request;
            }
        }
        self.proceed(now, id, from, sent.message_id, response);
    }

    /// A response to a request: asks for the next block, or ends the request.
    fn proceed(
        &mut self,
        now: SimTime,
        id: RequestId,
        from: SocketAddrV6,
        message_id: u16,
        response: Response,
    ) {
        let transfer = self.requests.get_mut(&id).and_then(|r| r.transfer.as_mut());
        let progress = match transfer {
            Some(transfer) => transfer.handle(response),
            None => Progress::Done(response),
        };
        match progress {
            Progress::Continue => self.send_next_block(now, id),
            Progress::Failed(reason) => self.fail(now, id, reason),
            Progress::Done(response) => {
                let finished = self.finish_and_send(now, id);
                if let Some(Role::Fetch(fetch)) = finished.map(|request| request.role) {
                    return self.fetched(fetch, from, response);
                }
                self.events.push_back(Event::Response {
                    id,
                    from,
                    message_id,
                    response,
                });
            }
        }
    }

    /// Sends the next message of a request, before what is queued behind it. Where another transfer
    /// of the resource has turned out to go in blocks meanwhile, it begins again after that.
    fn send_next_block(&mut self, now: SimTime, id: RequestId) {
        let has_to_wait = self.has_to_wait(id);
        let Some(mut request) = self.finish(id) else {
            return;
        };
        request.stage = Stage::Queued;
        match &mut request.transfer {
            Some(transfer) if has_to_wait => transfer.begin(),
            _ => drop(self.in_blocks.insert(id)),
        }
        let peer = Peer::from(request.to);
        self.requests.insert(id, request);
        self.lines.entry(peer).or_default().queue.push_front(id);
        self.send_queued(now, peer);
    }

    /// Ends a request without a response, and sends what it held up.
    pub(super) fn fail(&mut self, now: SimTime, id: RequestId, reason: Failure) {
        self.forget_fetch(id);
        if let Some(request) = self.requests.get(&id) {
            self.retire_token(request.to, request.sent(), Some(now));
        }
        if let Some(failed) = self.finish_and_send(now, id) {
            match failed.role {
                Role::Fetch(fetch) => self.notification_lost(fetch, reason),
                Role::Request | Role::Observation(_) => self.fail_event(id, failed.sent_to, reason),
            }
        }
    }

    fn fail_event(&mut self, id: RequestId, to: SocketAddrV6, reason: Failure) {
        self.events.push_back(Event::Failed { id, to, reason });
    }

    fn finish_and_send(&mut self, now: SimTime, id: RequestId) -> Option<Outstanding> {
        let finished = self.finish(id)?;
        self.send_queued(now, finished.to.into());
        Some(finished)
    }

    /// Forgets a request and everything that refers to it.
    pub(super) fn finish(&mut self, id: RequestId) -> Option<Outstanding> {
        let finished = self.requests.remove(&id)?;
        self.in_blocks.remove(&id);
        if let Some(sent) = finished.sent() {
            // The Message ID of an observation may be another message's by now.
            if self.by_message_id.get(&sent.message_id) == Some(&id) {
                self.by_message_id.remove(&sent.message_id);
                self.stop_retransmission(sent.message_id);
            }
            if let Some(token) = sent.token {
                self.tokens.remove(token, id);
            }
        }
        if let Some(until) = finished.queued_until {
            self.timers.remove(&(until, Timer::Unqueue(id)));
        }
        if let Stage::Unanswered(_, until) | Stage::Observing(_, until) = finished.stage {
            self.timers.remove(&(until, Timer::GiveUp(id)));
        }
        self.leave_line(finished.to.into(), id, finished.in_flight());
        Some(finished)
    }

    /// Takes a request out of its peer's line; `true` if it was queued there.
    pub(super) fn leave_line(&mut self, peer: Peer, id: RequestId, in_flight: bool) -> bool {
        let Some(line) = self.lines.get_mut(&peer) else {
            return false;
        };
        line.in_flight -= u32::from(in_flight);
        let position = line.queue.iter().position(|queued| *queued == id);
        if let Some(position) = position {
            line.queue.remove(position);
        }
        self.drop_idle_line(peer);
        position.is_some()
    }

    pub(super) fn drop_idle_line(&mut self, peer: Peer) {
        let idle = |line: &Line| line.in_flight == 0 && line.queue.is_empty();
        if self.lines.get(&peer).is_some_and(idle) {
            self.lines.remove(&peer);
        }
    }
}
