//! The registration at the home agent (RFC 6275 §11.7.1, §11.5.5).

use std::net::Ipv6Addr;

use units::SimTime;

use super::registration::Verdict;
use super::{Event, MobileNode, Peer, Place, Reason, Start};
use crate::backoff::INITIAL_BINDACK_TIMEOUT;
use crate::codec::{
    BindingAcknowledgement, BindingUpdate, Lifetime, Message, MobilityOption, Status,
};
use crate::headers::Headers;
use crate::ignored::Ignored;

impl MobileNode {
    /// Starts to say where the node is.
    pub(super) fn start_home(&mut self, now: SimTime) {
        if self.home_address_is_taken {
            self.reject_home(Status::DUPLICATE_ADDRESS);
            return;
        }
        // "If the mobile node is sending a Binding Update and does not have an existing binding at the
        // home agent, it SHOULD use InitialBindackTimeoutFirstReg" (§11.8).
        let timeout = match self.home.held() {
            Some(_) => INITIAL_BINDACK_TIMEOUT,
            None => self.config.first_registration_timeout,
        };
        self.home.backoff.start(now, timeout);
    }

    /// Whether the home agent does not have the care-of address yet that the node has.
    pub(super) fn home_is_to_be_told(&self) -> bool {
        let Some(at) = self.attachment() else {
            return false;
        };
        match at.map {
            None => true,
            // "The mobile node SHOULD wait for the binding acknowledgement from the MAP before
            // registering the RCoA with other nodes" (RFC 5380 §6.1).
            Some(map) => {
                let anchored = self.bound_at(Peer::MobilityAnchorPoint(map.address));
                let told = self.home.held().map(|held| held.care_of);
                anchored == Some(at.address) && told != Some(map.regional)
            }
        }
    }

    /// Sends to the home agent what is due.
    pub(super) fn run_home(&mut self, now: SimTime) {
        if self.home.take_expired(now) {
            self.home.take_named();
            self.removed(Peer::HomeAgent, Reason::Expired);
        }
        if self.place == Place::Nowhere {
            return;
        }
        if self.home.take_refresh(now) {
            self.home.backoff.start(now, INITIAL_BINDACK_TIMEOUT);
        }
        if !self.home.backoff.is_due(now) {
            return;
        }
        let home = self.config.home_address;
        let (care_of, lifetime, headers) = match self.care_of() {
            Some(care_of) => {
                let headers = Headers::between(care_of, self.config.home_agent).from_home(home);
                (care_of, self.home_lifetime(now), headers)
            }
            // "The mobile node MUST use its home address as the source address in the Binding
            // Update" (§11.5.5).
            None => {
                let headers = Headers::between(home, self.config.home_agent);
                (home, Lifetime::ZERO, headers)
            }
        };
        if self.care_of().is_some() && lifetime == Lifetime::ZERO {
            // The mobility anchor point's binding is about to end, and is being registered again.
            self.home.give_up();
            self.home_waits = true;
            return;
        }
        let update = BindingUpdate {
            sequence: self.home.next_sequence(&mut self.rng),
            home_registration: true,
            // "This option MUST be included in all home registrations."
            ..MobileNode::update(lifetime, vec![MobilityOption::AlternateCareOf(care_of)])
        };
        self.outbox.push(headers, &Message::BindingUpdate(update));
        self.home.sent(now, care_of, lifetime);
        if self.home.name(care_of) {
            self.sent(Peer::HomeAgent, care_of);
            if self.config.route_optimization.start == Start::WithHomeUpdate {
                self.begin_correspondents(now);
            }
        }
    }

    /// What the home agent is asked for: "the binding lifetime MUST NOT be larger than the mobile node's
    /// binding lifetime with the MAP" (RFC 5380 §6.1).
    fn home_lifetime(&self, now: SimTime) -> Lifetime {
        let wanted = self.config.lifetime;
        Lifetime::within(match self.map.as_ref() {
            None => wanted,
            Some(map) => {
                let expires = map.registration().held().map_or(now, |held| held.expires);
                wanted.min(expires.saturating_since(now))
            }
        })
    }

    pub(super) fn home_answered(
        &mut self,
        now: SimTime,
        answer: &BindingAcknowledgement,
    ) -> Result<(), Ignored> {
        self.home.check(answer)?;
        match self.home.answered(answer) {
            Verdict::Again => self.home.backoff.start(now, INITIAL_BINDACK_TIMEOUT),
            Verdict::Accepted { care_of, lifetime } => {
                self.events.push_back(Event::Accepted {
                    peer: Peer::HomeAgent,
                    care_of,
                    lifetime,
                    status: answer.status,
                });
                if care_of == self.config.home_address {
                    self.deregistered();
                } else if lifetime == Lifetime::ZERO {
                    self.removed(Peer::HomeAgent, Reason::Expired);
                }
                self.begin_correspondents(now);
            }
            // The home agent has nothing that it could delete.
            Verdict::Rejected(Status::NOT_HOME_AGENT) if self.place == Place::Home => {
                self.deregistered();
                self.begin_correspondents(now);
            }
            Verdict::Rejected(status) => {
                self.home_address_is_taken |= status == Status::DUPLICATE_ADDRESS;
                self.reject_home(status);
            }
        }
        Ok(())
    }

    fn deregistered(&mut self) {
        self.home.forget_held();
        self.home.take_named();
        self.removed(Peer::HomeAgent, Reason::Deregistered);
    }

    fn reject_home(&mut self, status: Status) {
        let peer = Peer::HomeAgent;
        self.events.push_back(Event::Rejected { peer, status });
    }

    /// Whether the home agent has what the node is to tell correspondents: "after receiving a
    /// successful Binding Acknowledgement from the home agent" (§11.7.2).
    pub(super) fn home_knows(&self, care_of: Option<Ipv6Addr>) -> bool {
        self.home.held().map(|held| held.care_of) == care_of
    }

    pub(super) fn sent(&mut self, peer: Peer, care_of: Ipv6Addr) {
        self.events.push_back(Event::Sent { peer, care_of });
    }

    pub(super) fn removed(&mut self, peer: Peer, reason: Reason) {
        self.events.push_back(Event::Removed { peer, reason });
    }
}
