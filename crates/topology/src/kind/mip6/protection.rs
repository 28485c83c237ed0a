//! ESP around the updates of a node and their acknowledgements (RFC 6275 §5.1, RFC 4877 §4), with static
//! keys.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Given, registering};
use crate::kind::{Mobility, SecurityAssociation};
use crate::resolve::Resolver;
use crate::scalar::{from_hex, to_hex, words};

/// What the kernel needs for it besides; of the algorithms, Debian's has most built in.
pub(super) const KERNEL_MODULES: &[&str] = &[
    "ip6_tunnel",
    "mip6",
    "xfrm_user",
    "esp6",
    "authenc",
    "hmac",
    "sha256_generic",
    "crypto_null",
];

/// The first SPI: those up to 255 are reserved (RFC 4303 §2.1).
const FIRST_SPI: u32 = 0x100;

/// How a node's registrations at home agent and mobility anchor point are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipsec {
    /// Not: who sends from the node's addresses speaks for it.
    Off,
    /// ESP in transport mode with HMAC-SHA-256-128, without encryption.
    Esp,
}
words!(Ipsec, "off" => Off, "esp" => Esp);

/// The security associations of a node and one with whom it registers, which have the address that is
/// registered between them and not where the node is: they survive its moves (RFC 4877 §4.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtectionPlan {
    /// The address that the node registers: the home address, or the regional care-of address.
    pub address: Ipv6Addr,
    /// The address of the home agent, or of the mobility anchor point.
    pub agent: Ipv6Addr,
    /// Of Binding Updates.
    pub update: AssociationPlan,
    /// Of Binding Acknowledgements.
    pub acknowledgement: AssociationPlan,
}

/// A security association.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssociationPlan {
    /// Security Parameters Index.
    pub spi: u32,
    /// Its static key.
    pub key: Key,
}

/// A key of HMAC-SHA-256: as many bits as the hash has (RFC 4868 §2.1.1). A plan has it as hexadecimal
/// digits behind `0x`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

/// Text that is no [`Key`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not `0x` and 64 hexadecimal digits")]
pub struct NotAKey;

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", to_hex(&self.0))
    }
}

impl fmt::Debug for Key {
    /// Without its digits: logs are not the place for them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Key, NotAKey> {
        let bytes = text.strip_prefix("0x").and_then(from_hex);
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(Key).ok_or(NotAKey)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Key, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// A node by its name and by the address that it registers, or with which it is registered.
pub(super) type Party<'p> = (&'p str, Ipv6Addr);

/// The associations of a node and an agent or mobility anchor point, if the node's settings have them
/// protected. An agent's numbers are in the order of the names of those that register there.
pub(super) fn between(
    r: &Resolver<'_>,
    given: &Given,
    (name, address): Party<'_>,
    (agent, agent_address): Party<'_>,
) -> Option<ProtectionPlan> {
    if !given.is_protected() {
        return None;
    }
    let position = registering(r, agent).iter().position(|node| *node == name);
    let spi = FIRST_SPI + 2 * u32::try_from(position?).ok()?;
    let association = |spi, from: &str, to: &str| AssociationPlan {
        spi,
        key: Key(r.seed.bytes(&["esp", from, to])),
    };
    Some(ProtectionPlan {
        address,
        agent: agent_address,
        update: association(spi, name, agent),
        acknowledgement: association(spi + 1, agent, name),
    })
}

/// Those of an agent or mobility anchor point, by what `registered` says of a node's address there, and
/// whether all nodes that register have some.
pub(super) fn of_agent(
    r: &Resolver<'_>,
    agent: Party<'_>,
    registered: impl Fn(&str) -> Option<Ipv6Addr>,
) -> (Vec<ProtectionPlan>, bool) {
    let nodes = registering(r, agent.0);
    let all = nodes.iter().filter_map(|name| {
        let (_, node) = r.nodes.get(name)?;
        let Mobility::Mip6(given) = &node.mobility else {
            return None;
        };
        between(r, given, (name, registered(name)?), agent)
    });
    let all: Vec<ProtectionPlan> = all.collect();
    let only = !all.is_empty() && all.len() == nodes.len();
    (all, only)
}

impl ProtectionPlan {
    /// Both, as a reader of captures needs them.
    pub(super) fn associations(&self) -> [SecurityAssociation; 2] {
        let ProtectionPlan {
            address,
            agent,
            update,
            acknowledgement,
        } = self;
        let association = |source, destination, plan: &AssociationPlan| SecurityAssociation {
            source,
            destination,
            spi: plan.spi,
            key: plan.key.0,
        };
        [
            association(*address, *agent, update),
            association(*agent, *address, acknowledgement),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_it_is_read_and_nothing_else_is_one() {
        let key = Key(std::array::from_fn(|at| at as u8));
        let text = key.to_string();
        assert!(text.starts_with("0x000102") && text.ends_with("1e1f"));
        assert_eq!(text.parse(), Ok(key));
        assert_eq!(format!("{key:?}"), "Key(..)");
        for wrong in ["", "0x", "0x00", &text[2..], &format!("{text}00")] {
            assert_eq!(wrong.parse::<Key>(), Err(NotAKey), "{wrong}");
        }
    }
}
