//! What packets mean to the measurement: which protocol's they are, which message, whose, and which
//! binding they tell of.
//!
//! A dissector knows one protocol, and nothing else here does. To add one: a file with it, and its
//! place in the register, [`all`], which is also the order in which protocols are told.

pub(crate) mod answers;
mod comp;
mod dhcpv6;
mod lwm2m;
mod mip6;
mod neighbour_discovery;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use capture::decode::IpPacket;
use coap::wire::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use topology::Plan;
use topology::plan::{NodeName, NodePlan};

/// Makes a dissector that has seen no packet.
pub type New = fn() -> Box<dyn Dissector>;

/// The register: a line for each protocol.
static REGISTER: &[(Protocol, New)] = &[
    (comp::PROTOCOL, || Box::new(comp::Comp::default())),
    (mip6::PROTOCOL, || Box::new(mip6::Mip6::default())),
    (dhcpv6::PROTOCOL, || Box::new(dhcpv6::Dhcpv6)),
    (neighbour_discovery::PROTOCOL, || {
        Box::new(neighbour_discovery::NeighbourDiscovery)
    }),
    (lwm2m::PROTOCOL, || Box::new(lwm2m::Lwm2m::default())),
];

/// What an application is to ask at times that the plan has, a line for each that has such: within the scenario,
/// by time.
static TIMED: &[(Protocol, DueOf)] = &[(lwm2m::PROTOCOL, lwm2m::due::due)];

type DueOf = fn(&Plan, &NodePlan) -> Vec<Due>;

/// A request that a node is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Of whom.
    pub(crate) to: NodeName,
    /// Which, by the name that its dissector has for it.
    pub(crate) message: &'static str,
    /// The time of the scenario.
    pub(crate) at: Duration,
    /// Whether it is kept, behind those before it, until the other one can be reached.
    pub(crate) waits: bool,
}

/// What a node of `plan` is to ask at its times, by protocol.
pub(crate) fn due(plan: &Plan, node: &NodePlan) -> BTreeMap<Protocol, Vec<Due>> {
    let all = TIMED
        .iter()
        .map(|(protocol, of)| (protocol.clone(), of(plan, node)));
    all.filter(|(_, due)| !due.is_empty()).collect()
}

/// The dissectors of the register.
pub fn all() -> Vec<New> {
    REGISTER.iter().map(|(_, new)| *new).collect()
}

/// Tells what packets mean, of one protocol.
pub trait Dissector {
    /// What `packet` is, if it is this protocol's. Packets come in the order in which one capture
    /// point saw them, so that an answer may be known by what it answers.
    ///
    /// Whatever a dissector keeps for that has to be bounded: a capture may have been made to fill
    /// the memory of who reads it.
    fn read(&mut self, packet: &Seen<'_>) -> Option<Meaning>;

    /// What was wrong with the protocol's packets so far.
    fn faults(&self) -> Faults {
        Faults::new()
    }

    /// What happened so far that no single message is, of an application's protocol.
    fn happened(&self) -> Happened {
        Happened::new()
    }
}

/// What happened how often, by protocol and by the key that files have for it: `registered_again`.
pub type Happened = BTreeMap<(Protocol, &'static str), u64>;

/// Packets that their receivers have to drop, by what is wrong with them: `{Mobility Headers|Mobility
/// Header} with a wrong checksum`, for several and for one.
pub type Faults = BTreeMap<&'static str, u64>;

/// A packet as a dissector gets it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'p> {
    /// The packet. Its source is the home address where a Home Address option names one, while
    /// [`IpPacket::header`] has what was on the wire.
    pub ip: &'p IpPacket<'p>,
    /// The CoAP message in it, if it is from or to one of CoAP's ports.
    pub coap: Option<&'p Message>,
}

/// What a packet means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Whose message it is.
    pub protocol: Protocol,
    /// Which, in the words of its specification: `binding update`. An answer that has no name of its own
    /// has the name of what it answers.
    pub message: Cow<'static, str>,
    /// The node that it is about.
    pub subject: Subject,
    /// A binding that it tells of.
    pub binding: Option<Binding>,
}

/// The node that a message is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Who has one of these addresses: the first of them that a node has.
    Node(Vec<IpAddr>),
    /// Whoever's link it crosses: nothing in it names a node.
    Link,
}

/// A permanent address, by which a node is known (a home address of RFC 6275, CoMP's P_Addr), and
/// a temporary one, where it is (a care-of address, a T_Addr).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    /// The permanent address.
    pub permanent: IpAddr,
    /// The temporary one; the permanent one of a node that is at home.
    pub care_of: IpAddr,
    /// What the message says of it.
    pub standing: Standing,
}

/// What a message says of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It makes the binding known.
    Announced,
    /// It answers an announcement: the binding stands.
    Accepted,
    /// It answers an announcement: there is no such binding.
    Refused,
    /// It tells of it otherwise, as an answer to somebody who looks the node up does.
    Told,
}

/// A protocol, by the key that files have for it. Those of the register come first, in its order.
#[derive(Clone)]
pub struct Protocol {
    key: Cow<'static, str>,
    label: Cow<'static, str>,
    is_application: bool,
}

impl Protocol {
    /// The protocol with this key in files, `neighbour_discovery`, and this name for people.
    pub const fn new(key: &'static str, label: &'static str) -> Protocol {
        Protocol {
            key: Cow::Borrowed(key),
            label: Cow::Borrowed(label),
            is_application: false,
        }
    }

    /// The same of a protocol that is itself what the network is there for. Its messages are no
    /// signalling: they count as the requests that they are, and by name in
    /// [`applications`](crate::applications).
    pub const fn of_application(key: &'static str, label: &'static str) -> Protocol {
        Protocol {
            key: Cow::Borrowed(key),
            label: Cow::Borrowed(label),
            is_application: true,
        }
    }

    /// The protocol that a file calls so. One that the register does not have is called so by
    /// people, too.
    pub fn named(key: &str) -> Protocol {
        let known = REGISTER.iter().map(|(protocol, _)| protocol);
        let known = known.into_iter().find(|protocol| protocol.key == key);
        known.cloned().unwrap_or_else(|| Protocol {
            key: Cow::Owned(key.to_owned()),
            label: Cow::Owned(key.replace('_', " ")),
            is_application: false,
        })
    }

    /// Whether it is an application's.
    pub fn is_application(&self) -> bool {
        self.is_application
    }

    /// The key in files.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The name for people.
    pub fn label(&self) -> &str {
        &self.label
    }

    fn place(&self) -> usize {
        let same = |(protocol, _): &(Protocol, New)| protocol.key == self.key;
        REGISTER.iter().position(same).unwrap_or(REGISTER.len())
    }
}

impl PartialEq for Protocol {
    fn eq(&self, other: &Protocol) -> bool {
        self.key == other.key
    }
}

impl Eq for Protocol {}

impl Hash for Protocol {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl PartialOrd for Protocol {
    fn partial_cmp(&self, other: &Protocol) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Protocol {
    fn cmp(&self, other: &Protocol) -> Ordering {
        let places = self.place().cmp(&other.place());
        places.then_with(|| self.key.cmp(&other.key))
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.key)
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Protocol, D::Error> {
        let key = Cow::<str>::deserialize(deserializer)?;
        Ok(Protocol::named(&key))
    }
}

/// The dissectors of one capture point.
pub(crate) struct Dissectors(Vec<Box<dyn Dissector>>);

impl Dissectors {
    pub(crate) fn new(of: &[New]) -> Dissectors {
        Dissectors(of.iter().map(|new| new()).collect())
    }

    /// What the first dissector says that knows the packet.
    pub(crate) fn read(&mut self, ip: &IpPacket<'_>, coap: Option<&Message>) -> Option<Meaning> {
        let packet = Seen { ip, coap };
        let mut all = self.0.iter_mut();
        all.find_map(|dissector| dissector.read(&packet))
    }

    /// What was wrong with packets so far.
    pub(crate) fn faults(&self) -> Faults {
        let all = self.0.iter().map(|dissector| dissector.faults());
        all.flatten().collect()
    }

    /// What happened so far that no single message is.
    pub(crate) fn happened(&self) -> Happened {
        let all = self.0.iter().map(|dissector| dissector.happened());
        all.flatten().collect()
    }
}

#[cfg(test)]
mod tests;
