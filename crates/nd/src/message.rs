//! Router solicitations and advertisements on the wire, and what makes one valid.

use std::net::Ipv6Addr;

use crate::HOP_LIMIT;
use crate::error::Invalid;
use crate::option::{LinkLayerAddress, NdOption, PrefixInformation};

/// ICMPv6 type of a router solicitation (RFC 4861 §4.1).
pub const ROUTER_SOLICITATION: u8 = 133;
/// ICMPv6 type of a router advertisement (RFC 4861 §4.2).
pub const ROUTER_ADVERTISEMENT: u8 = 134;

/// Octets of a solicitation before its options.
const SOLICITATION_HEADER: usize = 8;
/// Octets of an advertisement before its options.
const ADVERTISEMENT_HEADER: usize = 16;

/// Managed address configuration flag.
const FLAG_M: u8 = 0x80;
/// Other configuration flag.
const FLAG_O: u8 = 0x40;

/// A router solicitation (RFC 4861 §4.1).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type=133    |    Code=0     |           Checksum            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                            Reserved                           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Options ...
/// +-+-+-+-+-+-+-+-+-+-+-+-
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterSolicitation {
    /// Options in the order of the message.
    pub options: Vec<NdOption>,
}

impl RouterSolicitation {
    /// Decodes and validates a received message.
    ///
    /// `source` and `hop_limit` are those of its IPv6 header. The checksum is the kernel's.
    ///
    /// # Errors
    ///
    /// The first rule of RFC 4861 §6.1.1 that it breaks.
    pub fn decode(source: Ipv6Addr, hop_limit: u8, icmpv6: &[u8]) -> Result<Self, Invalid> {
        let bytes = fixed_part(
            (ROUTER_SOLICITATION, 0),
            SOLICITATION_HEADER,
            hop_limit,
            icmpv6,
        )?;
        let options = NdOption::decode_all(bytes)?;
        let message = RouterSolicitation { options };
        // "If the IP source address is the unspecified address, there is no source
        // link-layer address option in the message." A form that is not ours counts too.
        let names_link_layer = message.options.iter().any(|option| {
            matches!(
                option,
                NdOption::SourceLinkLayer(_) | NdOption::Unknown { kind: 1, .. }
            )
        });
        if source.is_unspecified() && names_link_layer {
            return Err(Invalid::LinkLayerOfUnspecified);
        }
        Ok(message)
    }

    /// The message's octets, checksum zero.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        encode_options(&self.options, &mut out);
        out
    }

    /// The solicitor's link-layer address, if it names one.
    pub fn source_link_layer(&self) -> Option<LinkLayerAddress> {
        source_link_layer(&self.options)
    }
}

/// A router advertisement (RFC 4861 §4.2).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type=134    |    Code=0     |           Checksum            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Cur Hop Limit |M|O|  Reserved |      Router Lifetime (s)      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                      Reachable Time (ms)                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       Retrans Timer (ms)                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Options ...
/// +-+-+-+-+-+-+-+-+-+-+-+-
/// ```
///
/// The other flags (home agent, preference, proxy) are sent as zero and ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterAdvertisement {
    /// Hop limit for hosts to send with; 0: unspecified.
    pub cur_hop_limit: u8,
    /// M: addresses by DHCPv6.
    pub managed: bool,
    /// O: other configuration by DHCPv6.
    pub other: bool,
    /// Seconds for which the sender is a default router; 0: it is none.
    pub router_lifetime_s: u16,
    /// Milliseconds that a neighbour stays reachable; 0: unspecified.
    pub reachable_time_ms: u32,
    /// Milliseconds between neighbour solicitations; 0: unspecified.
    pub retrans_timer_ms: u32,
    /// Options in the order of the message.
    pub options: Vec<NdOption>,
}

impl RouterAdvertisement {
    /// Decodes and validates a received message.
    ///
    /// `source` and `hop_limit` are those of its IPv6 header. The checksum is the kernel's.
    ///
    /// # Errors
    ///
    /// The first rule of RFC 4861 §6.1.2 that it breaks.
    pub fn decode(source: Ipv6Addr, hop_limit: u8, icmpv6: &[u8]) -> Result<Self, Invalid> {
        // "IP Source Address is a link-local address. Routers must use their link-local
        // address as the source for Router Advertisement [...] so that hosts can uniquely
        // identify routers."
        link_local(source)?;
        let bytes = fixed_part(
            (ROUTER_ADVERTISEMENT, 0),
            ADVERTISEMENT_HEADER,
            hop_limit,
            icmpv6,
        )?;
        let header = &icmpv6[..ADVERTISEMENT_HEADER];
        let u32_at =
            |i: usize| u32::from_be_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
        Ok(RouterAdvertisement {
            cur_hop_limit: header[4],
            managed: header[5] & FLAG_M != 0,
            other: header[5] & FLAG_O != 0,
            router_lifetime_s: u16::from_be_bytes([header[6], header[7]]),
            reachable_time_ms: u32_at(8),
            retrans_timer_ms: u32_at(12),
            options: NdOption::decode_all(bytes)?,
        })
    }

    /// The message's octets, checksum zero.
    pub fn encode(&self) -> Vec<u8> {
        let flags = if self.managed { FLAG_M } else { 0 } | if self.other { FLAG_O } else { 0 };
        let mut out = vec![ROUTER_ADVERTISEMENT, 0, 0, 0, self.cur_hop_limit, flags];
        out.extend(self.router_lifetime_s.to_be_bytes());
        out.extend(self.reachable_time_ms.to_be_bytes());
        out.extend(self.retrans_timer_ms.to_be_bytes());
        encode_options(&self.options, &mut out);
        out
    }

    /// The router's link-layer address, if it names one.
    pub fn source_link_layer(&self) -> Option<LinkLayerAddress> {
        source_link_layer(&self.options)
    }

    /// The prefixes of the link, in the order of the message.
    pub fn prefixes(&self) -> impl Iterator<Item = PrefixInformation> {
        self.options.iter().filter_map(|option| match option {
            NdOption::Prefix(prefix) => Some(*prefix),
            _ => None,
        })
    }

    /// The options that are not those of RFC 4861, as they came: other protocols'.
    pub fn others(&self) -> impl Iterator<Item = &NdOption> {
        let options = self.options.iter();
        options.filter(|option| matches!(option, NdOption::Unknown { .. }))
    }

    /// The link's MTU in octets, if it names one.
    pub fn mtu(&self) -> Option<u32> {
        self.options.iter().find_map(|option| match option {
            NdOption::Mtu(mtu) => Some(*mtu),
            _ => None,
        })
    }
}

/// Checks that a neighbour's own address of the link is the source.
pub(crate) fn link_local(source: Ipv6Addr) -> Result<(), Invalid> {
    match source.is_unicast_link_local() {
        true => Ok(()),
        false => Err(Invalid::Source(source)),
    }
}

/// Checks what all messages share, of a type with codes up to the one that is given, and returns the octets
/// of the options, which begin at the octet `least`.
pub(crate) fn fixed_part(
    (expected, most_code): (u8, u8),
    least: usize,
    hop_limit: u8,
    icmpv6: &[u8],
) -> Result<&[u8], Invalid> {
    // "The IP Hop Limit field has a value of 255, i.e., the packet could not possibly have
    // been forwarded by a router."
    if hop_limit != HOP_LIMIT {
        return Err(Invalid::HopLimit(hop_limit));
    }
    match *icmpv6 {
        [found, ..] if found != expected => Err(Invalid::Type { found, expected }),
        // "ICMP Code is 0."
        [_, code, ..] if code > most_code => Err(Invalid::Code(code)),
        // "ICMP length (derived from the IP length) is 8 [16] or more octets."
        _ => icmpv6.get(least..).ok_or(Invalid::TooShort {
            present: icmpv6.len(),
            least,
        }),
    }
}

fn encode_options(options: &[NdOption], out: &mut Vec<u8>) {
    for option in options {
        option.encode(out);
    }
}

fn source_link_layer(options: &[NdOption]) -> Option<LinkLayerAddress> {
    options.iter().find_map(|option| match option {
        NdOption::SourceLinkLayer(address) => Some(*address),
        _ => None,
    })
}
