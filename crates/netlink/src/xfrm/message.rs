//! The messages (`linux/xfrm.h`).
//!
//! Addresses, ports and SPIs are in network order, everything else in the host's; structures end at
//! multiples of 8 bytes.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::{Association, Direction, Extension, Policy, Report, Selector, State, Upper};
use crate::rtnl::{attributes, put_attribute};

const NEWSA: u16 = 0x10;
const DELSA: u16 = 0x11;
const DELPOLICY: u16 = 0x14;
const UPDPOLICY: u16 = 0x19;
const UPDSA: u16 = 0x1a;
const FLUSHSA: u16 = 0x1c;
const FLUSHPOLICY: u16 = 0x1d;
const REPORT: u16 = 0x20;

const XFRMA_ALG_CRYPT: u16 = 2;
const XFRMA_TMPL: u16 = 5;
const XFRMA_SRCADDR: u16 = 13;
const XFRMA_COADDR: u16 = 14;
const XFRMA_ALG_AUTH_TRUNC: u16 = 20;

const AF_INET6: u16 = 10;
const IPPROTO_ROUTING: u8 = 43;
const IPPROTO_ESP: u8 = 50;
const IPPROTO_DSTOPTS: u8 = 60;
const IPPROTO_MH: u8 = 135;

/// `XFRM_MODE_TRANSPORT`.
const TRANSPORT: u8 = 0;
/// `XFRM_MODE_ROUTEOPTIMIZATION`.
const ROUTE_OPTIMIZATION: u8 = 2;
/// `XFRM_STATE_WILDRECV`.
const WILDRECV: u8 = 8;
/// Of a template: "level required", the header must be there; "level use", it need not.
const REQUIRED: u8 = 0;
const OPTIONAL: u8 = 1;

/// What the kernel calls HMAC-SHA-256, of which 128 bits are sent (RFC 4868 §2.6), and no encryption
/// (RFC 2410).
const HMAC_SHA_256: &[u8] = b"hmac(sha256)";
const SENT_BITS: u32 = 128;
const NULL: &[u8] = b"ecb(cipher_null)";
/// Bytes of an algorithm's name.
const NAME: usize = 64;

/// Extension headers are of no association.
const NO_SPI: u32 = 0;

/// Bytes of `struct nlmsghdr`, and of `struct xfrm_selector`.
const HEADER: usize = 16;
const SELECTOR: usize = 56;

/// A request: its type, and what follows the netlink header.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) kind: u16,
    pub(super) payload: Vec<u8>,
}

impl Request {
    pub(super) fn new_state(state: &State) -> Request {
        Request::with_state(NEWSA, state)
    }

    pub(super) fn update_state(state: &State) -> Request {
        Request::with_state(UPDSA, state)
    }

    fn with_state(kind: u16, state: &State) -> Request {
        let mut bytes = Bytes::default();
        let flags = if state.is_any() { WILDRECV } else { 0 };
        let id = (state.destination, NO_SPI, protocol(state.extension));
        bytes.state(id, state.source, ROUTE_OPTIMIZATION, flags);
        bytes.attribute(XFRMA_COADDR, &state.care_of.octets());
        bytes.request(kind)
    }

    pub(super) fn new_association(association: &Association) -> Request {
        Request::with_association(NEWSA, association)
    }

    pub(super) fn update_association(association: &Association) -> Request {
        Request::with_association(UPDSA, association)
    }

    fn with_association(kind: u16, association: &Association) -> Request {
        let Association {
            source,
            destination,
            spi,
            key,
        } = association;
        let mut bytes = Bytes::default();
        bytes.state((*destination, *spi, IPPROTO_ESP), *source, TRANSPORT, 0);
        // `struct xfrm_algo_auth`, then `struct xfrm_algo`.
        let mut authentication = Bytes::default();
        authentication.name(HMAC_SHA_256);
        authentication.host32(8 * key.len() as u32);
        authentication.host32(SENT_BITS);
        authentication.extend(key);
        bytes.attribute(XFRMA_ALG_AUTH_TRUNC, &authentication.0);
        let mut encryption = Bytes::default();
        encryption.name(NULL);
        encryption.host32(0);
        bytes.attribute(XFRMA_ALG_CRYPT, &encryption.0);
        bytes.request(kind)
    }

    /// `struct xfrm_usersa_id`.
    pub(super) fn delete_state(state: &State) -> Request {
        let mut bytes = Bytes::default();
        bytes.address(state.destination);
        bytes.zeros(4);
        bytes.host16(AF_INET6);
        bytes.extend(&[protocol(state.extension)]);
        bytes.pad();
        bytes.attribute(XFRMA_SRCADDR, &state.source.octets());
        bytes.request(DELSA)
    }

    /// `struct xfrm_usersa_flush`, of all protocols.
    pub(super) fn flush_states() -> Request {
        Request {
            kind: FLUSHSA,
            payload: vec![0; 4],
        }
    }

    pub(super) fn flush_policies() -> Request {
        Request {
            kind: FLUSHPOLICY,
            payload: Vec::new(),
        }
    }

    /// `struct xfrm_userpolicy_info` and a `struct xfrm_user_tmpl` for each header, the innermost first.
    pub(super) fn update_policy(policy: &Policy) -> Request {
        let mut bytes = Bytes::default();
        bytes.selector(&policy.selector);
        bytes.for_ever();
        bytes.zeros(32);
        bytes.host32(policy.priority);
        bytes.zeros(4); // index
        bytes.extend(&[direction(policy.direction), 0, 0, 0]);
        bytes.pad();
        let mut templates = Bytes::default();
        if let Some(spi) = policy.protection {
            let any = Ipv6Addr::UNSPECIFIED;
            templates.template((spi, IPPROTO_ESP), any, [TRANSPORT, 0, REQUIRED, 0]);
        }
        if let Some(extension) = policy.extension {
            let id = (NO_SPI, protocol(extension));
            let flags = [ROUTE_OPTIMIZATION, 0, OPTIONAL, 0];
            templates.template(id, whose(policy), flags);
        }
        if !templates.0.is_empty() {
            bytes.attribute(XFRMA_TMPL, &templates.0);
        }
        bytes.request(UPDPOLICY)
    }

    /// `struct xfrm_userpolicy_id`.
    pub(super) fn delete_policy(policy: &Policy) -> Request {
        let mut bytes = Bytes::default();
        bytes.selector(&policy.selector);
        bytes.zeros(4);
        bytes.extend(&[direction(policy.direction)]);
        bytes.pad();
        bytes.request(DELPOLICY)
    }
}

/// The source that a state must have for packets of one source: otherwise [`State::any`] would do for
/// them, whatever their care-of address. It is to do for what proves itself otherwise.
fn whose(policy: &Policy) -> Ipv6Addr {
    match policy.selector.source.prefix_len() {
        128 if policy.protection.is_none() => policy.selector.source.addr(),
        _ => Ipv6Addr::UNSPECIFIED,
    }
}

fn protocol(extension: Extension) -> u8 {
    match extension {
        Extension::HomeAddress => IPPROTO_DSTOPTS,
        Extension::Routing => IPPROTO_ROUTING,
    }
}

fn direction(direction: Direction) -> u8 {
    match direction {
        Direction::In => 0,
        Direction::Out => 1,
    }
}

/// Reads `struct xfrm_user_report`: the protocol, padding, a selector with the packet's addresses; the
/// care-of address is an attribute.
pub(super) fn report(message: &[u8]) -> Option<Report> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let body = message.get(HEADER..)?;
    let (protocol, selector) = (*body.first()?, body.get(4..4 + SELECTOR)?);
    if kind != REPORT || protocol != IPPROTO_DSTOPTS {
        return None;
    }
    let address = |at: usize| -> Option<Ipv6Addr> {
        let octets: [u8; 16] = selector.get(at..at + 16)?.try_into().ok()?;
        Some(octets.into())
    };
    let mut attributes = attributes(body.get(4 + SELECTOR..)?);
    let (_, care_of) = attributes.find(|(kind, _)| *kind == XFRMA_COADDR)?;
    let care_of: [u8; 16] = care_of.try_into().ok()?;
    Some(Report {
        destination: address(0)?,
        source: address(16)?,
        care_of: care_of.into(),
    })
}

/// A structure that is being written.
#[derive(Debug, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn extend(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    fn zeros(&mut self, count: usize) {
        self.0.resize(self.0.len() + count, 0);
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
    }

    fn host16(&mut self, number: u16) {
        self.extend(&number.to_ne_bytes());
    }

    fn host32(&mut self, number: u32) {
        self.extend(&number.to_ne_bytes());
    }

    fn address(&mut self, address: Ipv6Addr) {
        self.extend(&address.octets());
    }

    /// `struct xfrm_id`.
    fn id(&mut self, (destination, spi, protocol): (Ipv6Addr, u32, u8)) {
        self.address(destination);
        self.extend(&spi.to_be_bytes());
        self.extend(&[protocol, 0, 0, 0]);
    }

    /// `struct xfrm_usersa_info` without selector, replay window and limits.
    fn state(&mut self, id: (Ipv6Addr, u32, u8), source: Ipv6Addr, mode: u8, flags: u8) {
        self.zeros(SELECTOR);
        self.id(id);
        self.address(source);
        self.for_ever();
        self.zeros(32 + 12); // used so far, statistics
        self.zeros(4 + 4); // sequence number, request
        self.host16(AF_INET6);
        self.extend(&[mode, 0, flags]);
        self.pad();
    }

    /// `struct xfrm_user_tmpl`: a header that packets have, of a state with this source.
    fn template(&mut self, (spi, protocol): (u32, u8), source: Ipv6Addr, flags: [u8; 4]) {
        self.id((Ipv6Addr::UNSPECIFIED, spi, protocol));
        self.host16(AF_INET6);
        self.zeros(2);
        self.address(source);
        self.zeros(4); // request
        self.extend(&flags);
        self.extend(&[0xff; 12]); // algorithms
    }

    /// The name of an algorithm.
    fn name(&mut self, name: &[u8]) {
        self.extend(name);
        self.zeros(NAME.saturating_sub(name.len()));
    }

    /// `struct xfrm_lifetime_cfg` without limits: of bytes and packets the greatest, of seconds none.
    fn for_ever(&mut self) {
        self.extend(&[0xff; 4 * 8]);
        self.zeros(4 * 8);
    }

    /// `struct xfrm_selector`.
    fn selector(&mut self, selector: &Selector) {
        let Selector {
            source,
            destination,
            upper,
        } = selector;
        self.address(destination.network());
        self.address(source.network());
        self.zeros(4); // destination port and its mask
        self.zeros(4); // source port and its mask
        let protocol = match upper {
            Upper::Any => 0,
            Upper::Mobility => IPPROTO_MH,
        };
        self.host16(AF_INET6);
        let bits = |net: &Ipv6Net| net.prefix_len();
        self.extend(&[bits(destination), bits(source), protocol]);
        self.zeros(3 + 4 + 4); // padding, interface, user
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        put_attribute(&mut self.0, kind, value);
    }

    fn request(self, kind: u16) -> Request {
        Request {
            kind,
            payload: self.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_REQUEST};

    use super::*;

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn moved() -> State {
        State {
            extension: Extension::HomeAddress,
            source: address("2001:db8:f::5"),
            destination: address("2001:db8::7"),
            care_of: address("2001:db8:1::5"),
        }
    }

    fn policy(direction: Direction, selector: Selector, priority: u32) -> Policy {
        Policy {
            direction,
            selector,
            extension: Some(Extension::HomeAddress),
            protection: None,
            priority,
        }
    }

    #[test]
    fn requests_are_those_of_iproute2() {
        let State {
            source,
            destination,
            ..
        } = moved();
        let signalling = Selector::all(Upper::Mobility);
        let to_correspondent = Selector::between(source, destination);
        let out = policy(Direction::Out, to_correspondent, 5);
        let plain = Policy {
            extension: None,
            ..policy(Direction::Out, Selector::all(Upper::Mobility), 1)
        };
        let association = Association {
            source: Ipv6Addr::UNSPECIFIED,
            destination: address("2001:db8:f::1"),
            spi: 0x100,
            key: std::array::from_fn(|at| at as u8),
        };
        let agent = association.destination;
        let protected = |direction, source: &str, extension| Policy {
            direction,
            selector: Selector {
                source: source.parse().unwrap(),
                destination: agent.into(),
                upper: Upper::Mobility,
            },
            extension,
            protection: Some(association.spi),
            priority: 0,
        };
        let ours = [
            Request::new_state(&State::any(Extension::HomeAddress)),
            Request::update_state(&moved()),
            Request::delete_state(&moved()),
            Request::update_policy(&policy(Direction::In, signalling, 1)),
            Request::update_policy(&out),
            Request::update_policy(&plain),
            Request::delete_policy(&out),
            Request::new_association(&association),
            Request::update_policy(&protected(Direction::Out, "::/0", None)),
            Request::update_policy(&protected(
                Direction::In,
                "2001:db8:f::5/128",
                Some(Extension::HomeAddress),
            )),
        ];
        let golden = include_str!("../../tests/golden/xfrm.hex");
        let theirs: Vec<&str> = golden.split("# ip ").skip(1).collect();
        assert_eq!(theirs.len(), ours.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            let (command, hex) = theirs.split_once('\n').unwrap();
            let theirs = crate::golden::bytes(hex);
            let number = u32::from_ne_bytes(theirs[8..12].try_into().unwrap());
            let flags = NLM_F_REQUEST | NLM_F_ACK;
            let ours = crate::direct::message(ours.kind, flags, number, &ours.payload);
            assert_eq!(ours, theirs, "{command}");
        }
    }

    #[test]
    fn a_report_names_the_addresses_of_the_packet() {
        let mut body = Bytes::default();
        body.extend(&[IPPROTO_DSTOPTS, 0, 0, 0]);
        let (source, destination) = (address("2001:db8:f::5"), address("2001:db8::7"));
        body.selector(&Selector::between(source, destination));
        let care_of = address("2001:db8:1::5");
        body.attribute(XFRMA_COADDR, &care_of.octets());
        let message = crate::direct::message(REPORT, 0, 0, &body.0);
        let expected = Report {
            source,
            care_of,
            destination,
        };
        assert_eq!(report(&message), Some(expected));
        for end in 0..message.len() {
            assert_eq!(report(&message[..end]), None, "{end}");
        }
        let other = crate::direct::message(NEWSA, 0, 0, &body.0);
        assert_eq!(report(&other), None);
    }
}
