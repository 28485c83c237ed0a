//! Why a frame was not read.

use std::collections::BTreeMap;
use std::fmt;

use crate::packet::LinkType;

/// Why a frame gave no IP packet with an upper-layer protocol; printed as the plain name of what
/// it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unread {
    /// Of a link type that has no layer.
    LinkType(LinkType),
    /// Of an EtherType that has no layer.
    EtherType(u16),
    /// Of a kind that has a name and is not read: `ESP`.
    Named(&'static str),
    /// A field, by its name, has a value that is not read: `6LoWPAN dispatch`, 0x48.
    Value(&'static str, u8),
    /// A header, by its name, ends early or contradicts itself.
    Malformed(&'static str),
    /// The capture ends within a header.
    Cut(&'static str),
}

/// Frames that were not read, by why not.
pub type UnreadFrames = BTreeMap<Unread, u64>;

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::LinkType(link_type) => link_type.fmt(f),
            Unread::EtherType(number) => {
                write!(f, "EtherType {number:#06x}")?;
                match ethertype(*number) {
                    Some(name) => write!(f, " ({name})"),
                    None => Ok(()),
                }
            }
            Unread::Named(name) => f.write_str(name),
            Unread::Value(field, value) => write!(f, "{field} {value:#04x}"),
            Unread::Malformed(header) => write!(f, "malformed {header}"),
            Unread::Cut(header) => write!(f, "{header} cut short by the capture"),
        }
    }
}

/// Names of the EtherTypes that stand beside IP in captures (IEEE registry).
fn ethertype(number: u16) -> Option<&'static str> {
    Some(match number {
        0x00f6 => "IEEE 802.15.4 of a cooked capture",
        0x0806 => "ARP",
        0x8847 => "MPLS",
        0x8863 | 0x8864 => "PPPoE",
        0x888e => "IEEE 802.1X",
        0x88cc => "LLDP",
        0x88e5 => "MACsec",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_has_a_plain_name() {
        let named = |unread: Unread| unread.to_string();
        assert_eq!(
            named(Unread::LinkType(LinkType(105))),
            "link type 105 (IEEE 802.11)"
        );
        assert_eq!(named(Unread::LinkType(LinkType(147))), "link type 147");
        assert_eq!(named(Unread::EtherType(0x0806)), "EtherType 0x0806 (ARP)");
        assert_eq!(named(Unread::EtherType(0x9000)), "EtherType 0x9000");
        assert_eq!(named(Unread::Named("ESP")), "ESP");
        assert_eq!(
            named(Unread::Value("6LoWPAN dispatch", 0x48)),
            "6LoWPAN dispatch 0x48"
        );
        assert_eq!(
            named(Unread::Malformed("IPv6 header")),
            "malformed IPv6 header"
        );
        assert_eq!(
            named(Unread::Cut("IPv6 header")),
            "IPv6 header cut short by the capture"
        );
    }
}
