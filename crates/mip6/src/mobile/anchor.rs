//! Registrations at mobility anchor points (RFC 5380 §6.1): local binding updates.

use std::net::Ipv6Addr;
use std::time::Duration;

use units::{Sequence, SimTime};

use super::correspondence::MAX_RO_FAILURE;
use super::registration::{Registration, Verdict};
use super::{Attachment, Event, Map, MobileNode, Peer, Reason};
use crate::backoff::INITIAL_BINDACK_TIMEOUT;
use crate::codec::{BindingAcknowledgement, BindingUpdate, Lifetime, Message};
use crate::headers::Headers;
use crate::ignored::Ignored;

/// Of how many anchor points that are told nothing any more the numbers are kept, as long as they may have a
/// binding: without, the first update of a node that comes back may be refused with status 135.
const MAX_LEFT_MAPS: usize = 8;

/// A mobility anchor point that knows the node, or is to.
#[derive(Clone, Debug)]
pub(super) struct Anchored {
    map: Ipv6Addr,
    /// The node's address there.
    regional: Ipv6Addr,
    /// Until when both are valid.
    valid_until: SimTime,
    registration: Registration,
}

impl Anchored {
    fn is(&self, map: &Map) -> bool {
        (self.map, self.regional) == (map.address, map.regional)
    }

    pub(super) fn regional(&self) -> Ipv6Addr {
        self.regional
    }

    pub(super) fn registration(&self) -> &Registration {
        &self.registration
    }

    fn start(&mut self, now: SimTime, first: Duration) {
        let timeout = match self.registration.held() {
            Some(_) => INITIAL_BINDACK_TIMEOUT,
            None => first,
        };
        self.registration.backoff.start(now, timeout);
    }

    pub(super) fn pause(&mut self) {
        self.registration.give_up();
    }

    /// A local binding update: A and M set, the regional
    /// address in the Home Address option, the on-link address as source, "no alternate-CoA option is
    /// needed in this message".
    fn update(lifetime: Lifetime, sequence: Sequence) -> Message {
        Message::BindingUpdate(BindingUpdate {
            sequence,
            map_registration: true,
            ..MobileNode::update(lifetime, Vec::new())
        })
    }
}

impl MobileNode {
    /// The anchor point of that address.
    pub(super) fn anchored(&self, map: Ipv6Addr) -> Option<&Anchored> {
        let all = [&self.map, &self.previous_map].into_iter().flatten();
        let mut known = all.filter(|anchored| anchored.map == map);
        known.next()
    }

    /// The anchor point before the present one, by its address and the node's there, as long as it may
    /// forward what comes to that.
    pub fn previous_map(&self) -> Option<(Ipv6Addr, Ipv6Addr)> {
        let previous = self.previous_map.as_ref();
        previous.map(|known| (known.map, known.regional))
    }

    /// The node has moved: its anchor point is told, and the one before it, where that is another one:
    /// "a mobile node SHOULD send a local BU to its previous MAP, specifying its new LCoA".
    pub(super) fn move_anchors(&mut self, now: SimTime, at: Attachment) {
        let first = self.config.first_registration_timeout;
        let stays = |known: &Anchored| at.map.is_some_and(|map| known.is(&map));
        // What was sent by way of the one before is not under way any more.
        let previous = self.previous_map.as_ref().map(Anchored::regional);
        if previous.is_some_and(|regional| !self.is_known_at(regional)) {
            let previous = self.previous_map.take();
            self.left_maps.extend(previous);
        }
        if !self.map.as_ref().is_some_and(stays) {
            let left = self.map.take();
            self.map = self.previous_map.take_if(|known| stays(known));
            if self.map.is_none() {
                let place = self.left_maps.iter().position(stays);
                self.map = place.map(|place| self.left_maps.remove(place));
            }
            // One that never answered has nothing that it could forward.
            if let Some(left) = left.filter(|left| left.registration.held().is_some()) {
                // Nor has one by way of which nobody sends, while somebody does by the one before it.
                let is_used = self.is_known_at(left.regional());
                match &self.previous_map {
                    Some(_) if !is_used => self.left_maps.push(left),
                    _ => self.left_maps.extend(self.previous_map.replace(left)),
                }
            }
        }
        let is_bound = |left: &Anchored| {
            let held = left.registration.held();
            held.is_some_and(|held| held.expires > now)
        };
        self.left_maps.retain(is_bound);
        let surplus = self.left_maps.len().saturating_sub(MAX_LEFT_MAPS);
        self.left_maps.drain(..surplus);
        if let Some(map) = at.map {
            let anchored = self.map.get_or_insert_with(|| Anchored {
                map: map.address,
                regional: map.regional,
                valid_until: now,
                registration: Registration::default(),
            });
            anchored.valid_until = now + map.valid_lifetime;
            anchored.start(now, first);
        }
        if let Some(previous) = &mut self.previous_map {
            previous.start(now, first);
        }
    }

    /// Whether the home agent or a correspondent sends to a care-of address, as far as the node knows.
    fn is_known_at(&self, care_of: Ipv6Addr) -> bool {
        let correspondents = self.correspondents.values();
        let registrations = correspondents.map(|correspondence| &correspondence.registration);
        let mut held = std::iter::once(&self.home)
            .chain(registrations)
            .filter_map(Registration::held);
        held.any(|held| held.care_of == care_of)
    }

    /// Sends to the anchor points what is due.
    pub(super) fn run_anchors(&mut self, now: SimTime) {
        let Some(Attachment { address, .. }) = self.attachment() else {
            return;
        };
        self.run_anchor(now, address);
        self.run_previous_anchor(now, address);
    }

    fn run_anchor(&mut self, now: SimTime, address: Ipv6Addr) {
        let Some(anchored) = &mut self.map else {
            return;
        };
        let peer = Peer::MobilityAnchorPoint(anchored.map);
        let registration = &mut anchored.registration;
        if registration.take_expired(now) {
            registration.take_named();
            let reason = Reason::Expired;
            self.events.push_back(Event::Removed { peer, reason });
        }
        if registration.take_refresh(now) {
            registration.backoff.start(now, INITIAL_BINDACK_TIMEOUT);
        }
        if !registration.backoff.is_due(now) {
            return;
        }
        let valid = anchored.valid_until.saturating_since(now);
        let lifetime = Lifetime::within(self.config.lifetime.min(valid));
        if lifetime == Lifetime::ZERO {
            // "A MAP option containing a valid lifetime value of zero means that this MAP MUST NOT be
            // selected" (§7.1).
            registration.give_up();
            return;
        }
        let message = Anchored::update(lifetime, registration.next_sequence(&mut self.rng));
        registration.sent(now, address, lifetime);
        if registration.name(address) {
            let care_of = address;
            self.events.push_back(Event::Sent { peer, care_of });
        }
        let headers = Headers::between(address, anchored.map).from_home(anchored.regional);
        self.outbox.push(headers, &message);
    }

    /// The anchor point before this one forwards what comes until its binding ends; it is not asked for
    /// more than that.
    fn run_previous_anchor(&mut self, now: SimTime, address: Ipv6Addr) {
        let Some(previous) = &mut self.previous_map else {
            return;
        };
        let registration = &mut previous.registration;
        registration.cease_refreshing();
        let is_due = registration.backoff.is_due(now);
        let is_silent = is_due && registration.backoff.transmissions() > MAX_RO_FAILURE;
        let Some(held) = registration.held().filter(|held| held.expires > now) else {
            self.previous_map = None;
            return;
        };
        let lifetime = Lifetime::within(held.expires.saturating_since(now));
        if is_silent || lifetime == Lifetime::ZERO {
            registration.give_up();
        } else if is_due {
            let sequence = registration.next_sequence(&mut self.rng);
            registration.sent(now, address, lifetime);
            if registration.name(address) {
                let (peer, care_of) = (Peer::MobilityAnchorPoint(previous.map), address);
                self.events.push_back(Event::Sent { peer, care_of });
            }
            let message = Anchored::update(lifetime, sequence);
            let headers = Headers::between(address, previous.map);
            self.outbox
                .push(headers.from_home(previous.regional), &message);
        }
    }

    pub(super) fn anchor_answered(
        &mut self,
        now: SimTime,
        headers: &Headers,
        answer: &BindingAcknowledgement,
    ) -> Result<(), Ignored> {
        let from = headers.source;
        let (anchored, is_current) = match (&mut self.map, &mut self.previous_map) {
            (Some(map), _) if (map.map, Some(map.regional)) == (from, headers.routing) => {
                (map, true)
            }
            (_, Some(map)) if (map.map, Some(map.regional)) == (from, headers.routing) => {
                (map, false)
            }
            _ if headers.routing.is_none() => return Err(Ignored::NoRoutingHeader),
            _ => return Err(Ignored::Stranger(from)),
        };
        anchored.registration.check(answer)?;
        let verdict = anchored.registration.answered(answer);
        let peer = Peer::MobilityAnchorPoint(anchored.map);
        match verdict {
            Verdict::Again => anchored.start(now, INITIAL_BINDACK_TIMEOUT),
            Verdict::Accepted { care_of, lifetime } if is_current => {
                self.events.push_back(Event::Accepted {
                    peer,
                    care_of,
                    lifetime,
                    status: answer.status,
                });
                let waited = std::mem::take(&mut self.home_waits);
                if self.home_is_to_be_told() || waited {
                    self.start_home(now);
                }
            }
            Verdict::Rejected(status) if is_current => {
                self.events.push_back(Event::Rejected { peer, status });
            }
            Verdict::Accepted { .. } => {}
            Verdict::Rejected(_) => {
                let refuses = self.previous_map.take();
                self.left_maps.extend(refuses);
            }
        }
        Ok(())
    }
}
