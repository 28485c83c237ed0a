//! Which UDP ports were seen, for a capture whose CoAP is on a port that nobody named.

use std::collections::BTreeMap;

use coap::wire::Message;

/// As many are told of.
const MOST: usize = 8;

/// A UDP port that is none of CoAP's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Datagrams from it or to it.
    pub datagrams: u64,
    /// Those of them that would be requests or responses of CoAP.
    pub could_be_coap: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Ports(BTreeMap<u16, Port>);

impl Ports {
    /// Takes a datagram between two ports.
    pub(super) fn see(&mut self, ports: [u16; 2], payload: &[u8]) {
        let message = Message::decode(payload).ok();
        let code = message.map(|message| message.code);
        let could_be_coap = code.is_some_and(|code| code.is_request() || code.is_response());
        let [one, other] = ports;
        for number in [one, other].into_iter().take(1 + usize::from(one != other)) {
            let port = self.0.entry(number).or_default();
            port.number = number;
            port.datagrams += 1;
            port.could_be_coap += u64::from(could_be_coap);
        }
    }

    /// Those that are most likely CoAP's, the busiest first, and how many others there are.
    pub(super) fn busiest(&self) -> (Vec<Port>, usize) {
        let mut ports: Vec<Port> = self.0.values().copied().collect();
        ports.sort_by_key(|port| std::cmp::Reverse((port.could_be_coap, port.datagrams)));
        let others = ports.len().saturating_sub(MOST);
        ports.truncate(MOST);
        (ports, others)
    }
}
