//! RtSolPr and PrRtAdv on the wire.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use units::Eui64;

use crate::error::Invalid;
use crate::message::{fixed_part, link_local};
use crate::option::NdOption;
use crate::reachability::NEIGHBOUR_ADVERTISEMENT;

/// ICMPv6 type of the messages of Fast Handovers (RFC 5568 §6.1).
pub const FAST_HANDOVERS: u8 = 154;

/// Subtypes (RFC 5568 §6.1.1, §6.1.2).
const SOLICITATION: u8 = 2;
const ADVERTISEMENT: u8 = 3;
/// The highest code of an advertisement.
const MOST_CODE: u8 = 5;
/// Octets before the options.
const HEADER: usize = 8;

/// The IP address or prefix option, and the link-layer address option (RFC 5568 §6.4.1, §6.4.3).
const ADDRESS: u8 = 17;
const LINK_LAYER: u8 = 19;

/// Option-Codes of an address option.
mod address {
    pub const ROUTER: u8 = 3;
    pub const PREFIX: u8 = 4;
}

/// Option-Codes of a link-layer address option.
mod link_layer {
    pub const ANY: u8 = 0;
    pub const ACCESS_POINT: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const SOURCE: u8 = 4;
    pub const SAME_LINK: u8 = 5;
    pub const NO_PREFIX: u8 = 6;
    pub const NO_FAST_HANDOVER: u8 = 7;
}

/// The option with the link-layer address of a neighbour advertisement's target (RFC 4861 §4.6.1).
const TARGET_LINK_LAYER: u8 = 2;

/// An unsolicited neighbour advertisement, UNA (RFC 5568 §6.3): a node that has come says which link-layer
/// address it has, so that its router need not ask before the first packet. "The 'O' bit is always set to
/// zero": it overrides nothing.
///
/// Returns the message's octets, checksum zero. It is sent from `target`, "typically" to all nodes.
pub fn unsolicited(target: Ipv6Addr, link_layer: Eui64) -> Vec<u8> {
    let mut out = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, 0, 0, 0, 0];
    out.extend(target.octets());
    push(TARGET_LINK_LAYER, link_layer.0.to_vec(), &mut out);
    out
}

/// Of which access points a node wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Of all that the router knows.
    Any,
    /// Of those with these link-layer addresses.
    These(Vec<Eui64>),
}

/// A router solicitation for proxy advertisement, RtSolPr (RFC 5568 §6.1.1).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type=154    |     Code      |           Checksum            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |    Subtype    |    Reserved   |          Identifier           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Options ...
/// +-+-+-+-+-+-+-+-+-+-+-+-
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySolicitation {
    /// By which the answer is known.
    pub identifier: u16,
    /// The link-layer address of who asks.
    pub source_link_layer: Option<Eui64>,
    /// Of which access points.
    pub wanted: Wanted,
}

impl ProxySolicitation {
    /// Decodes and validates a received message; `source` and `hop_limit` are those of its IPv6 header.
    ///
    /// # Errors
    /// What is wrong with it. Ours: the source has to be a link-local address, so that no answer leaves
    /// the link.
    pub fn decode(source: Ipv6Addr, hop_limit: u8, icmpv6: &[u8]) -> Result<Self, Invalid> {
        let (identifier, options) = decode(source, (SOLICITATION, 0), hop_limit, icmpv6)?;
        let mut named = Vec::new();
        let mut source_link_layer = None;
        let mut any = false;
        for option in options.iter().filter_map(Piece::of) {
            match option {
                Piece::LinkLayer(link_layer::SOURCE, address) => source_link_layer = address,
                Piece::LinkLayer(link_layer::ANY, _) => any = true,
                Piece::LinkLayer(link_layer::ACCESS_POINT, Some(address)) => named.push(address),
                _ => {}
            }
        }
        if !any && named.is_empty() {
            return Err(Invalid::NoAccessPoint);
        }
        Ok(ProxySolicitation {
            identifier,
            source_link_layer,
            wanted: match any {
                true => Wanted::Any,
                false => Wanted::These(named),
            },
        })
    }

    /// The message's octets, checksum zero.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = header(0, SOLICITATION, self.identifier);
        if let Some(source) = self.source_link_layer {
            push_link_layer(link_layer::SOURCE, Some(source), &mut out);
        }
        match &self.wanted {
            Wanted::Any => push_link_layer(link_layer::ANY, None, &mut out),
            Wanted::These(all) => {
                for access_point in all {
                    push_link_layer(link_layer::ACCESS_POINT, Some(*access_point), &mut out);
                }
            }
        }
        out
    }
}

/// An access point and the router behind it: "the [AP-ID, AR-Info] tuple" (RFC 5568 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The access point.
    pub access_point: Eui64,
    /// The router's link-layer address.
    pub link_layer: Eui64,
    /// An address of the router.
    pub router: Ipv6Addr,
    /// The prefix of its link.
    pub prefix: Ipv6Net,
    /// Options of other protocols that the router advertises. Who does not know them "MUST silently ignore"
    /// them (RFC 5568 §6.1.2).
    pub others: Vec<NdOption>,
}

/// What is known of an access point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// The router behind it.
    Neighbour(Neighbour),
    /// It is on the link that the node is on: its address stays what it is.
    SameLink(Eui64),
    /// Nothing.
    Nothing(Eui64),
    /// Its router takes part in no fast handovers.
    NoFastHandover(Eui64),
}

/// A proxy router advertisement, PrRtAdv (RFC 5568 §6.1.2); the form is that of [`ProxySolicitation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAdvertisement {
    /// That of the solicitation; 0 without one.
    pub identifier: u16,
    /// The link-layer address of who says it.
    pub source_link_layer: Option<Eui64>,
    /// What is known, in the order of the message. What is not whole is left out.
    pub known: Vec<Known>,
}

impl ProxyAdvertisement {
    /// Decodes and validates a received message; `source` and `hop_limit` are those of its IPv6 header.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(source: Ipv6Addr, hop_limit: u8, icmpv6: &[u8]) -> Result<Self, Invalid> {
        let (identifier, options) = decode(source, (ADVERTISEMENT, MOST_CODE), hop_limit, icmpv6)?;
        let mut source_link_layer = None;
        let mut known = Vec::new();
        let mut tuple = Tuple::default();
        for option in options {
            let Some(piece) = Piece::of(&option) else {
                if matches!(option, NdOption::Unknown { .. }) {
                    tuple.others.push(option);
                }
                continue;
            };
            if let Piece::LinkLayer(code, Some(address)) = piece {
                let about = match code {
                    link_layer::SOURCE => {
                        source_link_layer = Some(address);
                        continue;
                    }
                    link_layer::ROUTER => {
                        tuple.link_layer = Some(address);
                        continue;
                    }
                    link_layer::ACCESS_POINT => None,
                    link_layer::SAME_LINK => Some(Known::SameLink(address)),
                    link_layer::NO_PREFIX => Some(Known::Nothing(address)),
                    link_layer::NO_FAST_HANDOVER => Some(Known::NoFastHandover(address)),
                    _ => continue,
                };
                // The options of an access point follow it.
                known.extend(std::mem::take(&mut tuple).whole());
                tuple.access_point = about.is_none().then_some(address);
                known.extend(about);
            } else if let Piece::Address(code, address) = piece {
                match code {
                    address::ROUTER => tuple.router = Some(address),
                    address::PREFIX => tuple.prefix = Some(address.trunc()),
                    _ => {}
                }
            }
        }
        known.extend(tuple.whole());
        Ok(ProxyAdvertisement {
            identifier,
            source_link_layer,
            known,
        })
    }

    /// The message's octets, checksum zero.
    pub fn encode(&self) -> Vec<u8> {
        let neighbours = |known: &&Known| matches!(known, Known::Neighbour(_));
        let code = match self.known.iter().filter(neighbours).count() {
            all if all == self.known.len() => 0,
            0 => 2,
            _ => 3,
        };
        let mut out = header(code, ADVERTISEMENT, self.identifier);
        if let Some(source) = self.source_link_layer {
            push_link_layer(link_layer::SOURCE, Some(source), &mut out);
        }
        for known in &self.known {
            match known {
                Known::Neighbour(neighbour) => neighbour.encode(&mut out),
                Known::SameLink(of) => push_link_layer(link_layer::SAME_LINK, Some(*of), &mut out),
                Known::Nothing(of) => push_link_layer(link_layer::NO_PREFIX, Some(*of), &mut out),
                Known::NoFastHandover(of) => {
                    push_link_layer(link_layer::NO_FAST_HANDOVER, Some(*of), &mut out);
                }
            }
        }
        out
    }
}

impl Neighbour {
    /// "When this prefix is the same as what is used in the New Router's IP Address option, the Prefix
    /// Information option need not be present" (RFC 5568 §6.1.2): it is 24 octets of a frame.
    fn encode(&self, out: &mut Vec<u8>) {
        push_link_layer(link_layer::ACCESS_POINT, Some(self.access_point), out);
        push_link_layer(link_layer::ROUTER, Some(self.link_layer), out);
        let length = self.prefix.prefix_len();
        push_address(address::ROUTER, length, self.router, out);
        if !self.prefix.contains(&self.router) {
            push_address(address::PREFIX, length, self.prefix.network(), out);
        }
        for other in &self.others {
            other.encode(out);
        }
    }

    /// How many octets it takes.
    pub(super) fn length(&self) -> usize {
        let mut out = Vec::new();
        self.encode(&mut out);
        out.len()
    }
}

/// What was read of the options about one access point.
#[derive(Default)]
struct Tuple {
    access_point: Option<Eui64>,
    link_layer: Option<Eui64>,
    router: Option<Ipv6Net>,
    prefix: Option<Ipv6Net>,
    others: Vec<NdOption>,
}

impl Tuple {
    /// What it says, if nothing is missing.
    fn whole(self) -> Option<Known> {
        let router = self.router?;
        Some(Known::Neighbour(Neighbour {
            access_point: self.access_point?,
            link_layer: self.link_layer?,
            router: router.addr(),
            prefix: self.prefix.unwrap_or(router.trunc()),
            others: self.others,
        }))
    }
}

/// An option of RFC 5568, with its Option-Code.
#[derive(Clone, Copy)]
enum Piece {
    /// A link-layer address, if it is an EUI-64.
    LinkLayer(u8, Option<Eui64>),
    /// An address, and how much of it is the prefix.
    Address(u8, Ipv6Net),
}

impl Piece {
    fn of(option: &NdOption) -> Option<Piece> {
        let NdOption::Unknown { kind, data } = option else {
            return None;
        };
        match (*kind, &data[..]) {
            (LINK_LAYER, [code, rest @ ..]) => {
                // The option has no length of the address; ours are of 8 octets.
                let address = rest.first_chunk().filter(|_| rest.len() == 13);
                Some(Piece::LinkLayer(*code, address.copied().map(Eui64)))
            }
            (ADDRESS, [code, length, _, _, _, _, address @ ..]) => {
                let address = <[u8; 16]>::try_from(address).ok()?;
                let address = Ipv6Net::new(address.into(), *length).ok()?;
                Some(Piece::Address(*code, address))
            }
            _ => None,
        }
    }
}

/// The identifier and the options of a message of a subtype, with a code up to the one that is given.
fn decode(
    source: Ipv6Addr,
    (subtype, most_code): (u8, u8),
    hop_limit: u8,
    icmpv6: &[u8],
) -> Result<(u16, Vec<NdOption>), Invalid> {
    link_local(source)?;
    let options = fixed_part((FAST_HANDOVERS, most_code), HEADER, hop_limit, icmpv6)?;
    match icmpv6[4..HEADER] {
        [found, _, a, b] if found == subtype => {
            Ok((u16::from_be_bytes([a, b]), NdOption::decode_all(options)?))
        }
        _ => Err(Invalid::Subtype {
            found: icmpv6[4],
            expected: subtype,
        }),
    }
}

fn header(code: u8, subtype: u8, identifier: u16) -> Vec<u8> {
    let [a, b] = identifier.to_be_bytes();
    vec![FAST_HANDOVERS, code, 0, 0, subtype, 0, a, b]
}

fn push_link_layer(code: u8, address: Option<Eui64>, out: &mut Vec<u8>) {
    let mut data = vec![code];
    data.extend(address.iter().flat_map(|address| address.0));
    push(LINK_LAYER, data, out);
}

fn push_address(code: u8, length: u8, address: Ipv6Addr, out: &mut Vec<u8>) {
    let mut data = vec![code, length, 0, 0, 0, 0];
    data.extend(address.octets());
    push(ADDRESS, data, out);
}

fn push(kind: u8, data: Vec<u8>, out: &mut Vec<u8>) {
    NdOption::Unknown { kind, data }.encode(out);
}
