//! [`Registration`] and the table of them: by ID, by endpoint name, by address, by when they end.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::ops::Bound;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use machine::Deadlines;
use units::SimTime;

use super::operation::{Operation, OperationId};
use crate::model::Version;
use crate::path::Path;

/// Names a registration: the last segment of its Location-Path, ten hexadecimal digits. It is drawn, since
/// who knows it may move the registration to another address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(pub(super) u64);

impl RegistrationId {
    /// Bits of one: as many as ten hexadecimal digits hold.
    pub(super) const BITS: u32 = 40;
    const DIGITS: usize = 10;
}

impl fmt::Display for RegistrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = RegistrationId::DIGITS)
    }
}

/// What is no ID of a registration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no ID of a registration: expected ten hexadecimal digits")]
pub struct RegistrationIdError(String);

impl FromStr for RegistrationId {
    type Err = RegistrationIdError;

    fn from_str(text: &str) -> Result<RegistrationId, RegistrationIdError> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let plain = text.len() == RegistrationId::DIGITS && text.bytes().all(digit);
        let number = u64::from_str_radix(text, 16).ok().filter(|_| plain);
        number
            .map(RegistrationId)
            .ok_or_else(|| RegistrationIdError(text.chars().take(64).collect()))
    }
}

/// An object or an object instance that a client says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// `/3303` or `/3303/0`.
    pub path: Path,
    /// The version of the object, if it is said.
    pub version: Option<Version>,
}

/// What a client says of itself when it registers (LwM2M 1.1 Core §6.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// After so long without an update the registration ends; none: never.
    pub lifetime: Option<Duration>,
    /// The version of LwM2M.
    pub version: Version,
    /// Whether it sleeps, and is to be asked only when it is awake.
    pub queue_mode: bool,
    /// Its transports, `U`.
    pub binding: String,
    /// Its telephone number.
    pub sms: Option<String>,
    /// Objects and instances, ascending.
    pub objects: Vec<Entry>,
    /// Where its tree begins: empty, or a path like `/lwm2m` (alternate path).
    pub root: String,
    /// Content-Formats that it lists.
    pub formats: Vec<u16>,
}

/// A client that is registered.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Names it.
    pub id: RegistrationId,
    /// The client's endpoint name.
    pub endpoint: Arc<str>,
    /// From where it was heard last.
    pub address: SocketAddrV6,
    /// What it says of itself.
    pub description: Description,
    /// When it registered.
    pub since: SimTime,
    /// It is awake until then, in queue mode.
    pub awake_until: SimTime,
    /// Operations that wait, the one that is under way in queue mode included.
    pub(super) queue: VecDeque<OperationId>,
    /// Operations that are under way and do not wait in `queue`.
    pub(super) under_way: Vec<OperationId>,
    /// In queue mode: whether the first of `queue` is under way.
    pub(super) asking: bool,
    /// And when it was sent.
    pub(super) asked: SimTime,
    /// Its observations, by the operations that began them.
    pub(super) observed: Vec<OperationId>,
    /// Operations of the script that have not begun.
    pub(super) script: VecDeque<(OperationId, Arc<Operation>)>,
    /// The one that has.
    pub(super) scripted: Option<OperationId>,
    /// What is reported at the paths that were handed out to it, as far as it is known.
    pub(super) reports: BTreeMap<u16, Path>,
    /// What it knows of FETCH and of iPATCH.
    pub(super) fetch: Composite,
    pub(super) patch: Composite,
    /// Its place among the registrations of one address.
    bound: u64,
}

/// Whether a client knows a composite operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Composite {
    /// It has not been asked yet.
    #[default]
    Untried,
    /// It has answered one.
    Known,
    /// It does not.
    Unknown,
}

impl Registration {
    /// Operations that wait for it.
    pub fn queue_length(&self) -> usize {
        self.queue.len()
    }

    /// Whether it may be asked now.
    pub fn is_awake(&self, now: SimTime) -> bool {
        !self.description.queue_mode || now < self.awake_until
    }

    /// Whether it has shown that it does not know composite reads, or writes.
    pub fn lacks_composites(&self) -> bool {
        [self.fetch, self.patch].contains(&Composite::Unknown)
    }
}

/// All registrations.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    by_id: BTreeMap<RegistrationId, Registration>,
    by_endpoint: BTreeMap<Arc<str>, RegistrationId>,
    by_address: BTreeMap<(SocketAddrV6, u64), RegistrationId>,
    lifetimes: Deadlines<RegistrationId>,
    next_bound: u64,
}

impl Registrations {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Registration> {
        self.by_id.values()
    }

    pub(super) fn get(&self, id: RegistrationId) -> Option<&Registration> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: RegistrationId) -> Option<&mut Registration> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn of_endpoint(&self, endpoint: &str) -> Option<&Registration> {
        self.get(*self.by_endpoint.get(endpoint)?)
    }

    /// The registration of whoever is at that address; of several there, the one bound last.
    pub(super) fn of_address(&self, address: SocketAddrV6) -> Option<RegistrationId> {
        let address = peer(address);
        let of_it = (
            Bound::Included((address, 0)),
            Bound::Included((address, u64::MAX)),
        );
        self.by_address.range(of_it).next_back().map(|(_, id)| *id)
    }

    /// Adds one, in the place of none.
    pub(super) fn insert(
        &mut self,
        now: SimTime,
        id: RegistrationId,
        endpoint: Arc<str>,
        address: SocketAddrV6,
        description: Description,
    ) {
        self.by_endpoint.insert(Arc::clone(&endpoint), id);
        let registration = Registration {
            id,
            endpoint,
            address,
            description,
            since: now,
            awake_until: now,
            queue: VecDeque::new(),
            under_way: Vec::new(),
            asking: false,
            asked: now,
            observed: Vec::new(),
            script: VecDeque::new(),
            scripted: None,
            reports: BTreeMap::new(),
            fetch: Composite::default(),
            patch: Composite::default(),
            bound: 0,
        };
        self.by_id.insert(id, registration);
        self.bind(id, address);
        self.prolong(now, id);
    }

    /// Its client is at `address`; whether that is another one than before.
    pub(super) fn bind(&mut self, id: RegistrationId, address: SocketAddrV6) -> bool {
        let Some(registration) = self.by_id.get_mut(&id) else {
            return false;
        };
        let moved = peer(registration.address) != peer(address);
        self.by_address
            .remove(&(peer(registration.address), registration.bound));
        self.next_bound += 1;
        registration.bound = self.next_bound;
        registration.address = address;
        self.by_address.insert((peer(address), self.next_bound), id);
        moved
    }

    /// Its lifetime begins again.
    pub(super) fn prolong(&mut self, now: SimTime, id: RegistrationId) {
        let lifetime = self.get(id).map(|known| known.description.lifetime);
        match lifetime.flatten() {
            Some(lifetime) => self.lifetimes.set(id, now + lifetime),
            None => self.lifetimes.clear(id),
        }
    }

    /// It ends then, whatever its lifetime is.
    pub(super) fn end_at(&mut self, id: RegistrationId, at: SimTime) {
        self.lifetimes.set(id, at);
    }

    /// When it ends, if nothing comes.
    pub(super) fn ends(&self, id: RegistrationId) -> Option<SimTime> {
        self.lifetimes.get(id)
    }

    pub(super) fn remove(&mut self, id: RegistrationId) -> Option<Registration> {
        let registration = self.by_id.remove(&id)?;
        self.lifetimes.clear(id);
        self.by_address
            .remove(&(peer(registration.address), registration.bound));
        if self.by_endpoint.get(&registration.endpoint) == Some(&id) {
            self.by_endpoint.remove(&registration.endpoint);
        }
        Some(registration)
    }

    /// When the first lifetime passes.
    pub(super) fn next_end(&self) -> Option<SimTime> {
        self.lifetimes.next()
    }

    /// One whose lifetime has passed.
    pub(super) fn take_ended(&mut self, now: SimTime) -> Option<RegistrationId> {
        self.lifetimes.take_due(now)
    }
}

/// Who is at an address: the flow label says nothing of it, the scope only where the address is link-local.
fn peer(address: SocketAddrV6) -> SocketAddrV6 {
    let scope = match is_link_local(address.ip()) {
        true => address.scope_id(),
        false => 0,
    };
    SocketAddrV6::new(*address.ip(), address.port(), 0, scope)
}

fn is_link_local(address: &Ipv6Addr) -> bool {
    address.is_unicast_link_local()
}
