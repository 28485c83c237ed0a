//! Correspondent registration (RFC 6275 §11.6, §11.7.2): who is told, and what is done with the
//! answers.

use std::net::Ipv6Addr;
use std::time::Duration;

use units::SimTime;

use super::correspondence::{Aim, Correspondence};
use super::registration::Verdict;
use super::{Event, MobileNode, Peer, Place, Reason, RouteOptimization, Start};
use crate::backoff::INITIAL_BINDACK_TIMEOUT;
use crate::codec::{
    BindingAcknowledgement, BindingUpdate, ErrorStatus, Lifetime, Message, MobilityOption, Status,
};
use crate::headers::{Headers, is_unicast_routable};
use crate::ignored::Ignored;
use crate::rr::{Authorization, Cookie, KeygenToken, MAX_RR_BINDING_LIFETIME, NonceIndex};

impl MobileNode {
    /// A correspondent is to know where the node is, from now on and after every move: "the mobile
    /// node MAY initiate a correspondent registration at any time after sending the Binding Update to
    /// its home agent" (§11.7.2), for instance when one of its packets has come through the tunnel.
    /// One that has refused is asked again. Returns whether it is in the Binding Update List now: there
    /// may be no room, and the home agent is no correspondent.
    pub fn correspond(&mut self, now: SimTime, correspondent: Ipv6Addr) -> bool {
        let room = self.correspondents.len() < self.config.max_correspondents;
        let known = self.correspondents.contains_key(&correspondent);
        let is_own = [self.config.home_address, self.config.home_agent].contains(&correspondent);
        if !(room || known) || !is_unicast_routable(correspondent) || is_own {
            return false;
        }
        let entry = self.correspondents.entry(correspondent).or_default();
        entry.refused = false;
        entry.unwanted = false;
        entry.stale = 0;
        self.begin_if_told_home(now, correspondent);
        self.run(now);
        true
    }

    /// A correspondent is not to know any more where the node is: its binding is deleted "with an
    /// explicit Binding Update with a zero lifetime" (§11.7.4).
    pub fn forget(&mut self, now: SimTime, correspondent: Ipv6Addr) {
        let Some(entry) = self.correspondents.get_mut(&correspondent) else {
            return;
        };
        if !entry.registration.may_be_held(now) || entry.refused {
            self.drop_correspondent(correspondent, Reason::Deregistered);
            return;
        }
        entry.unwanted = true;
        self.begin_if_told_home(now, correspondent);
        self.run(now);
    }

    /// A correspondent has answered a test with an ICMPv6 Parameter Problem of code 1: "the mobile
    /// node SHOULD take such messages as an indication that the correspondent node cannot provide route
    /// optimization" (§11.6.2).
    pub fn unsupported(&mut self, correspondent: Ipv6Addr) {
        self.refuse(correspondent, Reason::Unsupported);
    }

    fn options(&self) -> RouteOptimization {
        self.config.route_optimization
    }

    /// What a correspondent is to be told now, if it does not know it.
    fn aim_for(&self, now: SimTime, entry: &Correspondence) -> Option<Aim> {
        let has = entry.registration.held().map(|held| held.care_of);
        let delete = (entry.registration.may_be_held(now)).then_some(Aim::Delete);
        match (self.place, self.care_of()) {
            _ if entry.refused => None,
            (Place::Nowhere, _) => None,
            (Place::Away(_), Some(care_of)) if !entry.unwanted => {
                (has != Some(care_of)).then_some(Aim::Bind(care_of))
            }
            _ => delete,
        }
    }

    /// Begins with everybody who is to be told something else than what he is being told.
    pub(super) fn begin_correspondents(&mut self, now: SimTime) {
        let all: Vec<Ipv6Addr> = self.correspondents.keys().copied().collect();
        for correspondent in all {
            self.begin_if_needed(now, correspondent);
        }
    }

    fn begin_if_needed(&mut self, now: SimTime, correspondent: Ipv6Addr) {
        let aim = (self.correspondents.get(&correspondent)).and_then(|entry| {
            self.aim_for(now, entry)
                .filter(|aim| entry.aim != Some(*aim))
        });
        if let Some(aim) = aim {
            self.begin(now, correspondent, aim);
        }
    }

    /// The same, if the home agent has been told, or has acknowledged, where the node is.
    fn begin_if_told_home(&mut self, now: SimTime, correspondent: Ipv6Addr) {
        let care_of = self.care_of();
        let told = match self.options().start {
            Start::WithHomeUpdate => care_of.is_some() && self.home.named() == care_of,
            Start::AfterHomeAcknowledgement => false,
        };
        if told || self.home_knows(care_of) {
            self.begin_if_needed(now, correspondent);
        }
    }

    fn begin(&mut self, now: SimTime, correspondent: Ipv6Addr, aim: Aim) {
        self.begin_with(now, correspondent, aim, self.options());
    }

    fn begin_with(
        &mut self,
        now: SimTime,
        correspondent: Ipv6Addr,
        aim: Aim,
        options: RouteOptimization,
    ) {
        let home = self.config.home_address;
        if let Some(entry) = self.correspondents.get_mut(&correspondent) {
            entry.begin(now, aim, home, &options);
            self.events.push_back(Event::Testing { correspondent });
        }
    }

    /// The node has moved: nobody is to use the address that it had.
    pub(super) fn drop_moved(&mut self) {
        let care_of = self.care_of();
        let is_old = |address: Ipv6Addr| Some(address) != care_of;
        for (correspondent, entry) in &mut self.correspondents {
            if matches!(entry.aim, Some(Aim::Bind(address)) if is_old(address)) {
                entry.stop();
                entry.stale = 0;
            }
            if entry.registration.named().is_some_and(is_old) {
                entry.registration.take_named();
                let peer = Peer::Correspondent(*correspondent);
                let reason = Reason::Moved;
                self.events.push_back(Event::Removed { peer, reason });
            }
        }
    }

    /// Sends to correspondents what is due.
    pub(super) fn run_correspondents(&mut self, now: SimTime) {
        let all: Vec<Ipv6Addr> = self.correspondents.keys().copied().collect();
        for correspondent in all {
            self.prepare_correspondent(now, correspondent);
            if self.place != Place::Nowhere {
                self.send_tests(now, correspondent);
                self.send_update(now, correspondent);
            }
        }
    }

    /// What ends, and what begins again.
    fn prepare_correspondent(&mut self, now: SimTime, correspondent: Ipv6Addr) {
        let home = self.config.home_address;
        let care_of = self.care_of();
        let Some(entry) = self.correspondents.get_mut(&correspondent) else {
            return;
        };
        if entry.registration.take_expired(now) {
            self.unroute(correspondent, Reason::Expired);
        }
        let Some(entry) = self.correspondents.get_mut(&correspondent) else {
            return;
        };
        if self.place == Place::Nowhere {
            return;
        }
        if entry.is_exhausted(now) {
            entry.stop();
            entry.stale = 0;
            // What came due meanwhile has been tried just now.
            entry.registration.take_refresh(now);
            match entry.unwanted {
                true => self.drop_correspondent(correspondent, Reason::Silent),
                // "The mobile node MUST revert to sending packets ... through its home agent" (§5.2.9).
                false => self.unroute(correspondent, Reason::Silent),
            }
            return;
        }
        let again = match (entry.aim, care_of) {
            (Some(aim), _) if entry.is_stale(now, home) => Some(aim),
            (None, Some(care_of)) if entry.registration.take_refresh(now) => {
                Some(Aim::Bind(care_of))
            }
            (None, None) if entry.registration.take_refresh(now) => Some(Aim::Delete),
            _ => None,
        };
        if let Some(aim) = again {
            self.begin(now, correspondent, aim);
        }
    }

    fn send_tests(&mut self, now: SimTime, correspondent: Ipv6Addr) {
        let (home, agent) = (self.config.home_address, self.config.home_agent);
        let care_of = self.care_of();
        let Some(entry) = self.correspondents.get_mut(&correspondent) else {
            return;
        };
        if entry.home_test.backoff.is_due(now) {
            let cookie = entry.home_test.ask(now, home, &mut self.rng);
            let headers = Headers::between(home, correspondent);
            // "This message is tunneled through the home agent when the mobile node is away" (§6.1.3).
            let headers = care_of.map_or(headers, |care_of| headers.through(care_of, agent));
            self.outbox.push(headers, &Message::HomeTestInit { cookie });
        }
        if let Some(care_of) = care_of
            && entry.care_of_test.backoff.is_due(now)
        {
            let cookie = entry.care_of_test.ask(now, care_of, &mut self.rng);
            let headers = Headers::between(care_of, correspondent);
            self.outbox
                .push(headers, &Message::CareOfTestInit { cookie });
        }
    }

    /// "Upon successfully completing the return routability procedure, and after receiving a
    /// successful Binding Acknowledgement from the home agent, a Binding Update MAY be sent" (§11.7.2).
    fn send_update(&mut self, now: SimTime, correspondent: Ipv6Addr) {
        let home = self.config.home_address;
        let longest = self.correspondent_lifetime(now);
        let home_knows = self.home_knows(self.care_of());
        let Some(entry) = self.correspondents.get_mut(&correspondent) else {
            return;
        };
        let (Some(aim), Some(material)) = (entry.aim, entry.material(now, home)) else {
            return;
        };
        let (care_of, lifetime) = match aim {
            Aim::Bind(care_of) => (care_of, longest),
            // The authenticator has the home address here (§6.2.7).
            Aim::Delete => (home, Lifetime::ZERO),
        };
        let may = home_knows && (aim == Aim::Delete || lifetime != Lifetime::ZERO);
        let registration = &mut entry.registration;
        if may && !registration.backoff.is_running() && !registration.is_outstanding() {
            registration.backoff.start(now, INITIAL_BINDACK_TIMEOUT);
        }
        if !registration.backoff.is_due(now) {
            return;
        }
        if !may {
            // The home agent has forgotten the node meanwhile: it waits for that.
            registration.give_up();
            return;
        }
        let authorization = Authorization {
            key: material.key,
            care_of,
            correspondent,
        };
        let nonces = MobilityOption::NonceIndices {
            home: material.home,
            care_of: material.care_of,
        };
        self.tell(now, &authorization, lifetime, nonces);
    }

    /// Sends a Binding Update to a correspondent (§11.7.2).
    fn tell(
        &mut self,
        now: SimTime,
        authorization: &Authorization,
        lifetime: Lifetime,
        nonces: MobilityOption,
    ) {
        let (home, here, options) = (self.config.home_address, self.care_of(), self.options());
        let Authorization {
            care_of,
            correspondent,
            ..
        } = *authorization;
        let Some(entry) = self.correspondents.get_mut(&correspondent) else {
            return;
        };
        let mut message = Message::BindingUpdate(BindingUpdate {
            sequence: entry.registration.next_sequence(&mut self.rng),
            acknowledge: options.acknowledge,
            ..MobileNode::update(lifetime, vec![nonces])
        });
        if authorization.sign(&mut message).is_err() {
            return;
        }
        entry.authorization = Some(*authorization);
        entry.registration.sent(now, care_of, lifetime);
        let deletes = entry.aim == Some(Aim::Delete);
        let first = !deletes && entry.registration.name(care_of);
        if !options.acknowledge {
            entry.registration.take_for_granted();
            entry.aim = None;
        }
        // "... in a Home Address destination option, unless the Source Address is the home address."
        let headers = Headers {
            home_address: here.map(|_| home),
            ..Headers::between(here.unwrap_or(home), correspondent)
        };
        self.outbox.push(headers, &message);
        if first {
            self.sent(Peer::Correspondent(correspondent), care_of);
        } else if deletes && !options.acknowledge {
            self.deleted(correspondent);
        }
    }

    /// "SHOULD be less than or equal to the remaining lifetime of the home registration" (§11.7.2).
    fn correspondent_lifetime(&self, now: SimTime) -> Lifetime {
        let home = self.home.held();
        let left = home.map_or(Duration::ZERO, |held| held.expires.saturating_since(now));
        let wanted = self.options().lifetime.min(MAX_RR_BINDING_LIFETIME);
        Lifetime::within(wanted.min(left))
    }

    pub(super) fn home_tested(
        &mut self,
        now: SimTime,
        headers: &Headers,
        cookie: Cookie,
        nonce: NonceIndex,
        token: KeygenToken,
    ) -> Result<(), Ignored> {
        let (home, agent) = (self.config.home_address, self.config.home_agent);
        let options = self.options();
        let from = headers.source;
        let entry = self.correspondents.get_mut(&from);
        let entry = entry.ok_or(Ignored::Stranger(from))?;
        if headers.receiver() != home {
            return Err(Ignored::Receiver(headers.receiver()));
        }
        // "The packet has been received in a tunnel from the home agent" (§11.6.2), but at home.
        let through = headers.tunnel.map(|tunnel| tunnel.source);
        if self.place != Place::Home && through != Some(agent) {
            return Err(Ignored::NotTunnelled);
        }
        match entry.home_test.answered(home, cookie, nonce, token) {
            true => entry.home_tested(now, &options),
            false => return Err(Ignored::NotOutstanding),
        }
        Ok(())
    }

    pub(super) fn care_of_tested(
        &mut self,
        headers: &Headers,
        cookie: Cookie,
        nonce: NonceIndex,
        token: KeygenToken,
    ) -> Result<(), Ignored> {
        let care_of = self.care_of();
        let from = headers.source;
        let entry = self.correspondents.get_mut(&from);
        let entry = entry.ok_or(Ignored::Stranger(from))?;
        // "The Destination Address of the packet is the current care-of address" (§11.6.2).
        let to = headers.destination;
        if headers.routing.is_some() || Some(to) != care_of {
            return Err(Ignored::Receiver(to));
        }
        match entry.care_of_test.answered(to, cookie, nonce, token) {
            true => Ok(()),
            false => Err(Ignored::NotOutstanding),
        }
    }

    pub(super) fn correspondent_answered(
        &mut self,
        now: SimTime,
        from: Ipv6Addr,
        answer: &BindingAcknowledgement,
        payload: &[u8],
    ) -> Result<(), Ignored> {
        let entry = self.correspondents.get_mut(&from);
        let entry = entry.ok_or(Ignored::Stranger(from))?;
        entry.registration.check(answer)?;
        let stale = [Status::HOME_NONCE, Status::CARE_OF_NONCE, Status::NONCES];
        if stale.contains(&answer.status) {
            self.nonces_expired(now, from, answer.status);
            return Ok(());
        }
        // "The Binding Authorization Data mobility option MUST be present and have a valid value"
        // (§11.7.3).
        let authorization = entry
            .authorization
            .filter(|_| answer.authenticator.is_some());
        let authorization = authorization.ok_or(Ignored::NotAuthorized)?;
        if !authorization.verifies(payload) {
            return Err(Ignored::Authenticator);
        }
        let deletes = entry.aim == Some(Aim::Delete);
        match entry.registration.answered(answer) {
            Verdict::Again => {
                (entry.registration.backoff).start(now, INITIAL_BINDACK_TIMEOUT);
            }
            Verdict::Accepted { .. } if deletes => self.deleted(from),
            Verdict::Accepted { care_of, lifetime } => {
                entry.aim = None;
                entry.stale = 0;
                self.events.push_back(Event::Accepted {
                    peer: Peer::Correspondent(from),
                    care_of,
                    lifetime,
                    status: answer.status,
                });
                if lifetime == Lifetime::ZERO {
                    self.unroute(from, Reason::Expired);
                }
            }
            Verdict::Rejected(status) => {
                entry.refused = true;
                entry.stop();
                entry.registration.cease_refreshing();
                let peer = Peer::Correspondent(from);
                self.events.push_back(Event::Rejected { peer, status });
                if let Some(entry) = self.correspondents.get_mut(&from) {
                    entry.registration.take_named();
                }
            }
        }
        Ok(())
    }

    /// The correspondent "no longer recognizes" a nonce: "the mobile node can then retry the return
    /// routability procedure" (§5.2.7), for the token that is too old.
    fn nonces_expired(&mut self, now: SimTime, correspondent: Ipv6Addr, status: Status) {
        let Some(entry) = self.correspondents.get_mut(&correspondent) else {
            return;
        };
        let Some(aim) = entry.aim else {
            return;
        };
        entry.stale += 1;
        if status != Status::CARE_OF_NONCE {
            entry.home_test.expire();
        }
        if status != Status::HOME_NONCE {
            entry.care_of_test.expire();
        }
        let options = RouteOptimization {
            reuse_tokens: true,
            ..self.options()
        };
        self.begin_with(now, correspondent, aim, options);
    }

    /// Binding Refresh Request (§11.7.4): "the mobile node should start a return routability
    /// procedure"; "not ... for addresses not in the Binding Update List".
    pub(super) fn refresh_requested(
        &mut self,
        now: SimTime,
        headers: &Headers,
    ) -> Result<(), Ignored> {
        let (from, to) = (headers.source, headers.receiver());
        if to != self.config.home_address {
            return Err(Ignored::Receiver(to));
        }
        let entry = self.correspondents.get(&from);
        let entry = entry.ok_or(Ignored::Stranger(from))?;
        match self.care_of() {
            Some(care_of) if entry.aim.is_none() && !entry.refused && !entry.unwanted => {
                self.begin(now, from, Aim::Bind(care_of));
                Ok(())
            }
            _ => Err(Ignored::NotOutstanding),
        }
    }

    /// Binding Error of a correspondent in the list (§11.3.6).
    pub(super) fn correspondent_erred(
        &mut self,
        now: SimTime,
        from: Ipv6Addr,
        status: ErrorStatus,
    ) -> Result<(), Ignored> {
        let Some(entry) = self.correspondents.get_mut(&from) else {
            return Err(Ignored::Stranger(from));
        };
        match status {
            // "It MUST remove the entry and route further communications through the home agent. It
            // MAY also optionally start a return routability procedure."
            ErrorStatus::UNKNOWN_BINDING => {
                let is_testing = entry.aim.is_some() && !entry.registration.is_outstanding();
                entry.registration.forget_held();
                self.unroute(from, Reason::Unknown);
                if !is_testing {
                    if let Some(entry) = self.correspondents.get_mut(&from) {
                        entry.stop();
                    }
                    self.begin_if_told_home(now, from);
                }
                Ok(())
            }
            // "... the mobile node should cease the attempt to use route optimization."
            ErrorStatus::UNKNOWN_TYPE if entry.aim.is_some() => {
                self.refuse(from, Reason::Unsupported);
                Ok(())
            }
            _ => Err(Ignored::NotOutstanding),
        }
    }

    /// A correspondent is not told any more.
    fn refuse(&mut self, correspondent: Ipv6Addr, reason: Reason) {
        if let Some(entry) = self.correspondents.get_mut(&correspondent) {
            entry.refused = true;
            entry.stop();
            entry.registration.cease_refreshing();
            entry.registration.take_named();
            let peer = Peer::Correspondent(correspondent);
            self.removed(peer, reason);
        }
    }

    /// What goes to a correspondent goes through the home agent again, if it did not.
    fn unroute(&mut self, correspondent: Ipv6Addr, reason: Reason) {
        let entry = self.correspondents.get_mut(&correspondent);
        if entry.is_some_and(|entry| entry.registration.take_named()) {
            self.removed(Peer::Correspondent(correspondent), reason);
        }
    }

    /// A correspondent has deleted its binding.
    fn deleted(&mut self, correspondent: Ipv6Addr) {
        let Some(entry) = self.correspondents.get_mut(&correspondent) else {
            return;
        };
        entry.stop();
        entry.registration.forget_held();
        entry.registration.take_named();
        if entry.unwanted {
            self.correspondents.remove(&correspondent);
        }
        self.removed(Peer::Correspondent(correspondent), Reason::Deregistered);
    }

    fn drop_correspondent(&mut self, correspondent: Ipv6Addr, reason: Reason) {
        self.unroute(correspondent, reason);
        self.correspondents.remove(&correspondent);
    }
}
