//! A correspondent node (RFC 6275 §9): tests who wants a binding, and caches it.
//!
//! Nothing is kept of a node before its Binding Update has shown that it gets what is sent to both of
//! its addresses: the answers to its tests are made from the node key, the nonces and the addresses.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

use machine::Machine;
use units::{Rng, Sequence, SimTime};

use crate::cache::{Binding, Cache, Change, Removal};
use crate::codec::{BindingAcknowledgement, BindingUpdate, ErrorStatus, Lifetime, Message, Status};
use crate::headers::{Headers, is_unicast_routable};
use crate::ignored::Ignored;
use crate::outbox::{Outbox, Transmit};
use crate::rr::{
    Authorization, BindingKey, Cookie, MAX_NONCE_LIFETIME, MAX_RR_BINDING_LIFETIME, NonceIndex,
    Nonces, Proof,
};

/// What a [`Correspondent`] is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its address.
    pub address: Ipv6Addr,
    /// For how many home addresses it has room. Of a binding that is gone the sequence number takes
    /// room until the nonces that it was authorized with are too old (RFC 6275 §5.2.8).
    pub max_bindings: usize,
    /// How long it keeps a binding at most; MAX_RR_BINDING_LIFETIME if that is shorter.
    pub max_lifetime: Duration,
}

impl Config {
    /// Room for 256 home addresses, for as long as the RFC allows.
    pub const fn new(address: Ipv6Addr) -> Config {
        Config {
            address,
            max_bindings: 256,
            max_lifetime: MAX_RR_BINDING_LIFETIME,
        }
    }
}

/// A correspondent node; a [`Machine`].
#[derive(Debug)]
pub struct Correspondent {
    config: Config,
    nonces: Nonces,
    cache: Cache,
    outbox: Outbox,
    events: VecDeque<Change>,
}

/// A Binding Update that has shown who sends it.
struct Authorized {
    update: BindingUpdate,
    home: Ipv6Addr,
    care_of: Ipv6Addr,
    deletes: bool,
    authorization: Authorization,
}

impl Correspondent {
    /// A correspondent that knows nobody. `rng` makes the node key and the nonces.
    pub fn new(config: Config, rng: Rng) -> Correspondent {
        Correspondent {
            nonces: Nonces::new(rng),
            // "Correspondent nodes must retain bindings and the associated sequence number information
            // at least as long as the nonces used in the authorization of the binding are still
            // valid" (§5.2.8). They were made before the update.
            cache: Cache::new(config.max_bindings, MAX_NONCE_LIFETIME),
            config,
            outbox: Outbox::default(),
            events: VecDeque::new(),
        }
    }

    /// Where a home address is, if there is a binding.
    pub fn binding(&self, home_address: Ipv6Addr) -> Option<&Binding> {
        self.cache.binding(home_address)
    }

    /// All bindings, by home address.
    pub fn bindings(&self) -> impl Iterator<Item = (Ipv6Addr, &Binding)> {
        self.cache.bindings()
    }

    /// How many home addresses take room.
    pub fn entries(&self) -> usize {
        self.cache.len()
    }

    /// Asks a mobile node to keep its binding alive: "if the sender knows that the Binding Cache
    /// entry is still in active use, it MAY send a Binding Refresh Request ... always sent to the
    /// home address of the mobile node" (§9.5.5), where the home agent takes it up: a type 2 routing
    /// header is for acknowledgements only. Once for each call, and not without a binding.
    pub fn request_refresh(&mut self, home_address: Ipv6Addr) {
        if self.cache.binding(home_address).is_some() {
            let headers = Headers::between(self.config.address, home_address);
            self.outbox.push(headers, &Message::BindingRefreshRequest);
        }
    }

    /// Removes a binding: "if the correspondent node receives persistent ICMP Destination Unreachable
    /// messages ... the correspondent node SHOULD delete this Binding Cache entry" (§9.3.4).
    pub fn unreachable(&mut self, now: SimTime, home_address: Ipv6Addr) {
        let reason = Removal::Unreachable;
        let change = (self.cache).unbind(now, home_address, None, Duration::ZERO, reason);
        self.events.extend(change);
    }

    /// A packet with a Home Address option came for which there is no binding, and was dropped:
    /// "the correspondent node MUST send the Binding Error message" (§9.3.1).
    pub fn dropped_for_want_of_binding(&mut self, now: SimTime, packet: &Headers) {
        // It may have come while that packet was on its way.
        if self.cache.is_bound_at(packet.sender(), packet.source) {
            return;
        }
        let status = ErrorStatus::UNKNOWN_BINDING;
        self.outbox.error(now, packet, status);
    }

    /// Home Test Init and Care-of Test Init (§9.4): an answer to where it came from.
    fn test(
        &mut self,
        now: SimTime,
        headers: &Headers,
        proof: Proof,
        cookie: Cookie,
    ) -> Result<(), Ignored> {
        if headers.home_address.is_some() {
            return Err(Ignored::TestFromHome);
        }
        let address = headers.source;
        if !is_unicast_routable(address) {
            return Err(Ignored::Sender(address));
        }
        let (nonce, token) = self.nonces.token(now, proof, address);
        let answer = match proof {
            Proof::Home => Message::HomeTest {
                nonce,
                cookie,
                token,
            },
            Proof::CareOf => Message::CareOfTest {
                nonce,
                cookie,
                token,
            },
        };
        self.outbox
            .push(Headers::between(self.config.address, address), &answer);
        Ok(())
    }

    /// The tests of §9.5.1 that come before the sequence number: only who has authorized an update
    /// is told what the last number was.
    fn update(
        &mut self,
        now: SimTime,
        headers: &Headers,
        update: BindingUpdate,
        payload: &[u8],
    ) -> Result<(), Ignored> {
        let home = headers.sender();
        // "The packet MUST contain a unicast routable home address"; and "if the Source Address
        // field ... does not contain a unicast address, ... the Binding Update packet MUST be
        // silently discarded" (§9.5.4).
        for address in [home, headers.source] {
            if !is_unicast_routable(address) {
                return Err(Ignored::Sender(address));
            }
        }
        if update.map_registration || update.proxy_registration {
            return Err(Ignored::Flags);
        }
        if update.home_registration {
            // "... the home registration flag has a different value" (§9.5.1); "if the node
            // implements only correspondent node functionality" (§10.3.1).
            let status = match self.cache.binding(home) {
                Some(_) => Status::TYPE_CHANGE,
                None => Status::NO_HOME_REGISTRATION,
            };
            self.answer(headers, status, update.sequence, Lifetime::ZERO, None);
            return Ok(());
        }
        let care_of = update.alternate_care_of().unwrap_or(headers.source);
        let deletes = update.lifetime == Lifetime::ZERO || care_of == home;
        let indices = update.nonce_indices().ok_or(Ignored::NotAuthorized)?;
        if update.authenticator.is_none() {
            return Err(Ignored::NotAuthorized);
        }
        let key = match self.key(now, home, care_of, indices, deletes) {
            Ok(key) => key,
            Err(status) => {
                self.answer(headers, status, update.sequence, Lifetime::ZERO, None);
                return Ok(());
            }
        };
        let authorization = Authorization {
            key,
            care_of: if deletes { home } else { care_of },
            correspondent: self.config.address,
        };
        if !authorization.verifies(payload) {
            return Err(Ignored::Authenticator);
        }
        let authorized = Authorized {
            update,
            home,
            care_of,
            deletes,
            authorization,
        };
        self.authorized(now, headers, &authorized);
        Ok(())
    }

    /// The key that an update must be signed with, from the tokens that its sender was given: "the
    /// correspondent node MUST re-generate the home keygen token and the care-of keygen token"; or the
    /// status that says which nonce is too old.
    fn key(
        &self,
        now: SimTime,
        home: Ipv6Addr,
        care_of: Ipv6Addr,
        (home_nonce, care_of_nonce): (NonceIndex, NonceIndex),
        deletes: bool,
    ) -> Result<BindingKey, Status> {
        let home_token = (self.nonces).token_again(now, Proof::Home, home, home_nonce);
        if deletes {
            // "The care-of nonce index MUST be ignored."
            let home_token = home_token.ok_or(Status::HOME_NONCE)?;
            return Ok(BindingKey::of_deletion(home_token));
        }
        let care_of_token = (self.nonces).token_again(now, Proof::CareOf, care_of, care_of_nonce);
        match (home_token, care_of_token) {
            (Some(home_token), Some(care_of_token)) => {
                Ok(BindingKey::new(home_token, care_of_token))
            }
            (Some(_), None) => Err(Status::CARE_OF_NONCE),
            (None, Some(_)) => Err(Status::HOME_NONCE),
            (None, None) => Err(Status::NONCES),
        }
    }

    /// Does what an update asks for (§9.5.2, §9.5.3), and answers it where that is due (§9.5.4): "if
    /// the Acknowledge (A) bit is set ... MUST be sent"; of the rest only what is rejected.
    fn authorized(&mut self, now: SimTime, headers: &Headers, authorized: &Authorized) {
        let (status, sequence, lifetime) = self.decide(now, authorized);
        if authorized.update.acknowledge || !status.is_accepted() {
            let authorization = Some(&authorized.authorization);
            self.answer(headers, status, sequence, lifetime, authorization);
        }
    }

    fn decide(&mut self, now: SimTime, authorized: &Authorized) -> (Status, Sequence, Lifetime) {
        let Authorized {
            update,
            home,
            care_of,
            deletes,
            ..
        } = authorized;
        let (home, care_of, sequence) = (*home, *care_of, update.sequence);
        match self.cache.last(home) {
            // "... and the last accepted sequence number in the Sequence Number field".
            Some(last) if !sequence.is_newer_than(last) => {
                return (Status::SEQUENCE, last, Lifetime::ZERO);
            }
            _ => {}
        }
        if *deletes {
            // "A Binding Cache entry for the home address MUST NOT be created."
            let (keep, reason) = (MAX_NONCE_LIFETIME, Removal::Requested);
            let change = (self.cache).unbind(now, home, Some(sequence), keep, reason);
            self.events.extend(change);
            return (Status::ACCEPTED, sequence, Lifetime::ZERO);
        }
        if !is_unicast_routable(care_of) || care_of == self.config.address {
            return (Status::INVALID_CARE_OF, sequence, Lifetime::ZERO);
        }
        if !self.cache.has_room(home) {
            return (Status::INSUFFICIENT, sequence, Lifetime::ZERO);
        }
        // "Bindings established ... using keys created by way of the return routability procedure
        // MUST NOT exceed MAX_RR_BINDING_LIFETIME seconds" (§5.2.6).
        let longest = self.config.max_lifetime.min(MAX_RR_BINDING_LIFETIME);
        let lifetime = update.lifetime.min(Lifetime::within(longest));
        let change = (self.cache).bind(now, home, care_of, sequence, lifetime);
        self.events.push_back(change);
        (Status::ACCEPTED, sequence, lifetime)
    }

    /// A Binding Acknowledgement, to the Source Address of its update, by way of a type 2 routing
    /// header if that had a Home Address option (§9.5.4).
    fn answer(
        &mut self,
        update: &Headers,
        status: Status,
        sequence: Sequence,
        lifetime: Lifetime,
        authorization: Option<&Authorization>,
    ) {
        let mut message = Message::BindingAcknowledgement(BindingAcknowledgement {
            status,
            sequence,
            lifetime,
            ..BindingAcknowledgement::default()
        });
        // With 136, 137 and 138 "the message MUST NOT include the Binding Authorization Data mobility
        // option", and to a home registration there is no key.
        if authorization.is_some_and(|authorization| authorization.sign(&mut message).is_err()) {
            return;
        }
        let headers = Headers::answering(update, self.config.address);
        self.outbox.push(headers, &message);
    }
}

impl Machine for Correspondent {
    type From = Headers;
    type To = Headers;
    type Event = Change;
    type Ignored = Ignored;

    fn handle_datagram(
        &mut self,
        now: SimTime,
        headers: Headers,
        payload: &[u8],
    ) -> Result<(), Ignored> {
        if headers.receiver() != self.config.address {
            return Err(Ignored::Receiver(headers.receiver()));
        }
        match self.outbox.read(now, &headers, payload)? {
            Message::HomeTestInit { cookie } => self.test(now, &headers, Proof::Home, cookie),
            Message::CareOfTestInit { cookie } => self.test(now, &headers, Proof::CareOf, cookie),
            Message::BindingUpdate(update) => self.update(now, &headers, update, payload),
            other => Err(Ignored::Role(other.kind())),
        }
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.events.extend(self.cache.expire(now));
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        self.cache.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<Change> {
        self.events.pop_front()
    }
}
