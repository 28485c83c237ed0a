//! What a message is called.

use capture::decode::IpPacket;
use coap::message::option;
use coap::wire::Message;
use coap::{Code, Kind};

use crate::analysis::{method_name, resource};
use crate::dissect::{Meaning, Protocol};

/// As many characters of a resource are told.
const LONGEST: usize = 80;

/// Whose message something is, and what it is called.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Words {
    pub(super) protocol: Option<Protocol>,
    pub(super) label: String,
}

impl Words {
    /// Whether somebody asked what it is called.
    pub(super) fn are_known(&self) -> bool {
        !self.label.is_empty()
    }

    /// Those of a packet: the dissector's, and CoAP's.
    pub(super) fn of(
        ip: &IpPacket<'_>,
        message: Option<&Message>,
        meaning: Option<&Meaning>,
    ) -> Words {
        let coap = message.map(|message| coap_words(ip, message));
        let label = match (meaning, coap) {
            (Some(meaning), Some(coap)) => format!("{}: {coap}", meaning.message),
            (Some(meaning), None) => meaning.message.clone().into_owned(),
            (None, Some(coap)) => coap,
            (None, None) => other(ip),
        };
        Words {
            protocol: meaning.map(|meaning| meaning.protocol.clone()),
            label,
        }
    }
}

/// Type, code and Message ID, as RFC 7252 writes them: `CON GET /t MID 0x1234`, `ACK 2.05 MID 0x1234`.
fn coap_words(ip: &IpPacket<'_>, message: &Message) -> String {
    let kind = match message.kind {
        Kind::Confirmable => "CON",
        Kind::NonConfirmable => "NON",
        Kind::Acknowledgement => "ACK",
        Kind::Reset => "RST",
    };
    let code = match message.code {
        Code::EMPTY => String::new(),
        code if code.is_request() => format!(" {} {}", method_name(code), of(ip, message)),
        code => format!(" {code}"),
    };
    let observe = message.options.get_uint(option::OBSERVE);
    let observe = observe.map_or_else(String::new, |n| format!(" observe {n}"));
    format!("{kind}{code}{observe} MID {:#06x}", message.message_id)
}

/// The resource that a request is for, of which not more is told than is worth a look.
pub(super) fn of(ip: &IpPacket<'_>, request: &Message) -> String {
    let to = ip.udp().map(|datagram| datagram.dst);
    let all = to.map_or_else(|| request.options.path(), |to| resource(request, to));
    if all.chars().count() <= LONGEST {
        return all;
    }
    let kept: String = all.chars().take(LONGEST - 1).collect();
    kept + "\u{2026}"
}

/// What no dissector knows and is no CoAP, by its numbers.
fn other(ip: &IpPacket<'_>) -> String {
    const ICMPV6: u8 = 58;
    if let Some(datagram) = ip.udp() {
        let (from, to) = (datagram.src.port(), datagram.dst.port());
        return format!("UDP {from} to {to}, {} B", datagram.payload.len());
    }
    if let Some(segment) = ip.tcp() {
        let (from, to) = (segment.src.port(), segment.dst.port());
        return format!("TCP {from} to {to}, {} B", segment.payload.len());
    }
    match (ip.protocol, ip.payload.first()) {
        (ICMPV6, Some(kind)) => icmpv6(*kind),
        (protocol, _) => format!("IP protocol {protocol}, {} B", ip.payload.length()),
    }
}

/// What a message of ICMPv6 is that no dissector knows.
fn icmpv6(kind: u8) -> String {
    let name = match kind {
        // RFC 4443 §3 and §4.
        1 => "destination unreachable",
        2 => "packet too big",
        3 => "time exceeded",
        4 => "parameter problem",
        128 => "echo request",
        129 => "echo reply",
        // Multicast Listener Discovery: RFC 2710 §3.1, RFC 3810 §5.
        130 => "multicast listener query",
        131 => "multicast listener report",
        132 => "multicast listener done",
        143 => "multicast listener report v2",
        // RFC 6550 §6.
        155 => "RPL control message",
        kind => return format!("ICMPv6 type {kind}"),
    };
    name.into()
}
