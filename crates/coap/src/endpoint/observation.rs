//! The client's side of Observe (RFC 7641): registrations of ours and their notifications.
//!
//! An observation is known by its token and by where the node is: [`Endpoint::retarget`] moves
//! it with the node, so it goes on from the new address without another registration. RFC 7641
//! §4.1 knows the client by its endpoint, which does not change when the *node* moves.

use std::net::SocketAddrV6;
use std::time::Duration;

use units::SimTime;

use super::outstanding::{Fetch, Notifications, Outstanding, Role, Stage};
use super::peer::Peer;
use super::transfer::{Progress, Transfer};
use super::{Endpoint, Event, Failure, Reliability, RequestId, Timer};
use crate::block::Block;
use crate::message::{Request, Response, option};

/// "128 seconds" after which a notification is newer whatever its number (RFC 7641 §3.4).
const REORDERING_WINDOW: Duration = Duration::from_secs(128);

/// After Max-Age a client waits "for a random amount of time between 5 and 15 seconds" more for
/// a late notification before it registers again (RFC 7641 §3.3.1); ours is the longest.
const LATE: Duration = Duration::from_secs(15);

/// Makes a request the registration of an observer, who wants what it is told (RFC 7967 §2.2).
pub(super) fn ask_to_be_told(request: &mut Request) {
    request.options.remove(option::NO_RESPONSE);
    request.options.remove(option::OBSERVE);
    request.options.push_uint(option::OBSERVE, 0);
}

/// A notification as it was received, possibly its first block only.
pub(super) struct Notified {
    pub(super) from: SocketAddrV6,
    pub(super) message_id: u16,
    pub(super) response: Response,
}

impl Endpoint {
    /// Sends a GET or FETCH with Observe 0 (RFC 7641 §3.1, RFC 8132 §2.4):
    /// [`Event::Notification`] for the state of now and for every later one, until
    /// [`Endpoint::stop_observing`], [`Endpoint::cancel`], [`Event::Response`] (the peer does not
    /// notify, or not any more) or [`Event::Failed`]. A No-Response option is left out.
    pub fn observe(
        &mut self,
        now: SimTime,
        to: SocketAddrV6,
        reliability: Reliability,
        mut request: Request,
    ) -> RequestId {
        ask_to_be_told(&mut request);
        let role = Role::Observation(Notifications::default());
        self.enqueue(now, to, reliability, Some(request), role, None)
    }

    /// Ends an observation by its request with Observe 1 and its token (RFC 7641 §3.6), which ends
    /// in [`Event::Response`] or [`Event::Failed`]. One that the peer has not confirmed yet is
    /// cancelled. After [`Endpoint::cancel`], the next notification is answered with a Reset,
    /// which ends it, too.
    pub fn stop_observing(&mut self, now: SimTime, id: RequestId) {
        let observing = (self.requests.get(&id)).and_then(Outstanding::observing);
        let Some(token) = observing else {
            return self.cancel(id);
        };
        self.forget_fetch(id);
        let Some(mut request) = self.finish(id) else {
            return;
        };
        if let Some(transfer) = &mut request.transfer {
            transfer.begin_with(option::OBSERVE, 1);
        }
        request.role = Role::Request;
        request.token = Some(token);
        request.stage = Stage::Queued;
        let peer = Peer::from(request.to);
        self.requests.insert(id, request);
        self.lines.entry(peer).or_default().queue.push_back(id);
        self.send_queued(now, peer);
    }

    /// A response to a registration, or a later notification, with the Observe option.
    pub(super) fn notified(&mut self, now: SimTime, id: RequestId, notified: Notified) {
        let options = &notified.response.options;
        let sequence = options.get_uint(option::OBSERVE).unwrap_or(0) as u32 & 0x00ff_ffff;
        let max_age = options.get_uint(option::MAX_AGE).map(Duration::from_secs);
        let max_age = max_age.unwrap_or(self.params.default_max_age);
        let more = Block::of(options, option::BLOCK2).is_ok_and(|b| b.is_some_and(|b| b.more));
        let newest = Some((sequence, now));
        match self.requests.get_mut(&id).map(|request| &mut request.role) {
            Some(Role::Observation(known)) if is_newer(known.newest, sequence, now) => {
                known.newest = newest;
            }
            _ => return,
        }
        if let Some(fetch) = self.forget_fetch(id) {
            self.notification_lost(fetch, Failure::Superseded);
        }
        let lifetime = max_age.saturating_add(LATE);
        self.keep_observing(now, id, now + lifetime);
        if more {
            return self.fetch(now, id, sequence, notified);
        }
        self.events.push_back(Event::Notification {
            id,
            from: notified.from,
            message_id: notified.message_id,
            sequence,
            response: notified.response,
        });
    }

    /// Leaves a registration that was answered waiting for notifications until `until`.
    fn keep_observing(&mut self, now: SimTime, id: RequestId, until: SimTime) {
        let Some(mut request) = self.finish(id) else {
            return;
        };
        let peer = Peer::from(request.to);
        if let Some(sent) = request.sent()
            && let Some(token) = sent.token
        {
            request.stage = Stage::Observing(sent, until);
            self.tokens.insert(token, id);
            self.timers.insert((until, Timer::GiveUp(id)));
            self.requests.insert(id, request);
        }
        self.send_queued(now, peer);
        self.drop_idle_line(peer);
    }

    /// Asks for the other blocks of a notification, without Observe (RFC 7959 §3.4).
    fn fetch(&mut self, now: SimTime, id: RequestId, sequence: u32, notified: Notified) {
        let (size, max_body) = (self.block_size(notified.from), self.params.max_body);
        let Some(observed) = self.requests.get_mut(&id) else {
            return;
        };
        let Some(transfer) = &observed.transfer else {
            return;
        };
        let mut request = transfer.request().clone();
        request.options.remove(option::OBSERVE);
        let transfer = Transfer::new(request, size, max_body);
        let (transfer, Progress::Continue) = transfer.rest(notified.response) else {
            return;
        };
        let fetch = RequestId(self.next_request);
        self.next_request += 1;
        if let Role::Observation(observation) = &mut observed.role {
            observation.fetch = Some(fetch);
        }
        let peer = Peer::from(observed.to);
        let role = Role::Fetch(Fetch {
            observation: id,
            sequence,
            message_id: notified.message_id,
        });
        let request = Outstanding::new(
            observed.to,
            Reliability::Confirmable,
            Some(transfer),
            role,
            None,
        );
        self.requests.insert(fetch, request);
        self.lines.entry(peer).or_default().queue.push_front(fetch);
        self.send_queued(now, peer);
    }

    /// All blocks of a notification are there.
    pub(super) fn fetched(&mut self, fetch: Fetch, from: SocketAddrV6, response: Response) {
        let id = fetch.observation;
        let observed = self.requests.get_mut(&id).map(|request| &mut request.role);
        if let Some(Role::Observation(observation)) = observed {
            observation.fetch = None;
            self.events.push_back(Event::Notification {
                id,
                from,
                message_id: fetch.message_id,
                sequence: fetch.sequence,
                response,
            });
        }
    }

    /// Stops fetching the blocks of a notification; which one, if there was one.
    pub(super) fn forget_fetch(&mut self, id: RequestId) -> Option<Fetch> {
        let observed = self.requests.get_mut(&id).map(|request| &mut request.role);
        let Some(Role::Observation(observation)) = observed else {
            return None;
        };
        let fetch = observation.fetch.take()?;
        let stopped = self.finish(fetch)?;
        self.send_later(stopped.to.into());
        match stopped.role {
            Role::Fetch(fetch) => Some(fetch),
            Role::Request | Role::Observation(_) => None,
        }
    }

    /// The blocks of a notification cannot be had.
    pub(super) fn notification_lost(&mut self, fetch: Fetch, reason: Failure) {
        self.events.push_back(Event::NotificationLost {
            id: fetch.observation,
            message_id: fetch.message_id,
            sequence: fetch.sequence,
            reason,
        });
    }

    /// Whether a response belongs to an observation of ours and not to where it came from: a
    /// node that has moved and whose binding update is still on its way.
    pub(super) fn is_from_elsewhere(&self, message: &crate::wire::Message) -> bool {
        message.options.get(option::OBSERVE).is_some() && self.tokens.contains(message.token)
    }

    /// Why an observation ends that nothing was heard of.
    pub(super) fn silence(&self, id: RequestId) -> Failure {
        match self.requests.get(&id).and_then(Outstanding::observing) {
            Some(_) => Failure::Silent,
            None => Failure::NoResponse,
        }
    }
}

/// RFC 7641 §3.4: with V1 and T1 of the newest notification so far, one of V2 at T2 is newer if
/// "(V1 < V2 and V2 - V1 < 2^23) or (V1 > V2 and V1 - V2 > 2^23) or (T2 > T1 + 128 seconds)".
fn is_newer(newest: Option<(u32, SimTime)>, v2: u32, t2: SimTime) -> bool {
    const HALF: u32 = 1 << 23;
    let Some((v1, t1)) = newest else {
        return true;
    };
    (v1 < v2 && v2 - v1 < HALF) || (v1 > v2 && v1 - v2 > HALF) || t2 > t1 + REORDERING_WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_is_what_the_standard_calls_so() {
        let at = |s: u64| SimTime::ZERO + Duration::from_secs(s);
        let newest = |v| Some((v, at(100)));
        assert!(is_newer(None, 0, at(0)));
        assert!(is_newer(newest(5), 6, at(100)));
        assert!(!is_newer(newest(5), 5, at(100)));
        assert!(!is_newer(newest(6), 5, at(100)));
        // Around the end of 24 bits.
        assert!(is_newer(newest(0x00ff_ffff), 0, at(100)));
        assert!(!is_newer(newest(0), 0x00ff_ffff, at(100)));
        assert!(is_newer(newest(0), (1 << 23) - 1, at(100)));
        assert!(!is_newer(newest(0), 1 << 23, at(100)));
        // After 128 s anything is newer.
        assert!(!is_newer(newest(6), 5, at(228)));
        assert!(is_newer(newest(6), 5, at(229)));
    }
}
