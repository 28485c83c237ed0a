//! Relay agent messages and behaviour (RFC 8415 §9, §19).
//!
//! Written by hand: `dhcproto` 0.15 reads a relayed message as if it were options of the relay
//! header, without an error.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddrV6};

use machine::{Machine, Transmit};
use units::SimTime;

use crate::message::{Malformed, split_option};
use crate::{CLIENT_PORT, SERVER_PORT};

/// HOP_COUNT_LIMIT (RFC 8415 §7.6): a message relayed this often is not relayed again.
pub const HOP_COUNT_LIMIT: u8 = 8;

/// Message type of a Relay-forward.
pub const RELAY_FORWARD: u8 = 12;
/// Message type of a Relay-reply.
pub const RELAY_REPLY: u8 = 13;

/// Relay Message option (RFC 8415 §21.10).
const OPTION_RELAY_MESSAGE: u16 = 9;
/// Interface-Id option (RFC 8415 §21.18).
const OPTION_INTERFACE_ID: u16 = 18;

/// Octets before the options.
const HEADER: usize = 34;

/// Why a message is not relayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// Shorter than its fixed part.
    #[error("relay message has {0} octets: expected at least 34")]
    TooShort(usize),
    /// An option that does not fit.
    #[error(transparent)]
    Option(#[from] Malformed),
    /// A message that does not come from this side.
    #[error("message type {0} is not relayed in this direction (RFC 8415 §19)")]
    Type(u8),
    /// A message without what it is there to carry.
    #[error("relay message has no Relay Message option")]
    Empty,
    /// It has been relayed too often.
    #[error("hop count is {0}: expected less than 8 (HOP_COUNT_LIMIT)")]
    HopCount(u8),
    /// The result would not fit an option's 16-bit length.
    #[error("{octets} octets do not fit option {code}")]
    TooLong {
        /// Option code.
        code: u16,
        /// Octets to carry.
        octets: usize,
    },
}

/// The direction of a relay agent's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Relay-forward (12): towards the server.
    Forward,
    /// Relay-reply (13): towards the client.
    Reply,
}

/// A message between relay agents and servers (RFC 8415 §9):
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |    msg-type   |   hop-count   |                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               |
/// |                    link-address (16 octets)                   |
/// |                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                               |                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               |
/// |                    peer-address (16 octets)                   |
/// |                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                               |   options ...                 |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// Other options than those below are ignored when read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayMessage {
    /// Message type.
    pub direction: Direction,
    /// Relay agents that it has passed before this one.
    pub hop_count: u8,
    /// An address of the client's link; `::` if a relay agent nearer to the client has said.
    pub link_address: Ipv6Addr,
    /// Where the relayed message came from or goes to.
    pub peer_address: Ipv6Addr,
    /// Interface-Id: the relay agent's mark of the interface, opaque to the server.
    pub interface_id: Option<Vec<u8>>,
    /// The relayed message.
    pub message: Vec<u8>,
}

impl RelayMessage {
    /// Decodes a UDP payload, or what another relay agent's message carries.
    ///
    /// # Errors
    ///
    /// Another message type, a cut header or option, a missing Relay Message option.
    pub fn decode(bytes: &[u8]) -> Result<RelayMessage, RelayError> {
        let direction = match bytes.first() {
            Some(&RELAY_FORWARD) => Direction::Forward,
            Some(&RELAY_REPLY) => Direction::Reply,
            Some(&other) => return Err(RelayError::Type(other)),
            None => return Err(RelayError::TooShort(0)),
        };
        let Some((header, mut options)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(RelayError::TooShort(bytes.len()));
        };
        let address = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&header[at..at + 16]);
            Ipv6Addr::from(octets)
        };
        let (mut interface_id, mut message) = (None, None);
        while !options.is_empty() {
            let (code, data, rest) = split_option(options)?;
            options = rest;
            match code {
                OPTION_RELAY_MESSAGE if message.is_none() => message = Some(data.to_vec()),
                OPTION_INTERFACE_ID if interface_id.is_none() => interface_id = Some(data.to_vec()),
                _ => {}
            }
        }
        Ok(RelayMessage {
            direction,
            hop_count: header[1],
            link_address: address(2),
            peer_address: address(18),
            interface_id,
            message: message.ok_or(RelayError::Empty)?,
        })
    }

    /// The message's octets.
    ///
    /// # Errors
    ///
    /// [`RelayError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, RelayError> {
        let kind = match self.direction {
            Direction::Forward => RELAY_FORWARD,
            Direction::Reply => RELAY_REPLY,
        };
        let mut out = vec![kind, self.hop_count];
        out.extend(self.link_address.octets());
        out.extend(self.peer_address.octets());
        if let Some(interface_id) = &self.interface_id {
            push_option(&mut out, OPTION_INTERFACE_ID, interface_id)?;
        }
        push_option(&mut out, OPTION_RELAY_MESSAGE, &self.message)?;
        Ok(out)
    }
}

/// Appends an option (RFC 8415 §21.1).
fn push_option(out: &mut Vec<u8>, code: u16, data: &[u8]) -> Result<(), RelayError> {
    let octets = data.len();
    let length = u16::try_from(octets).map_err(|_| RelayError::TooLong { code, octets })?;
    out.extend(code.to_be_bytes());
    out.extend(length.to_be_bytes());
    out.extend(data);
    Ok(())
}

/// A relay agent's interface towards clients.
///
/// [`RelayAgent`] is the whole of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// An address of the interface that names the link to the server: global or unique local.
    pub link_address: Ipv6Addr,
    /// Interface-Id to add; needed where `link_address` alone does not lead an answer back to
    /// the interface.
    pub interface_id: Option<Vec<u8>>,
}

/// An answer on its way to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToClient {
    /// The message and where to: the client's port, or the server port of a relay agent nearer
    /// to it. A link-local destination has no scope: the interface is the owner's to choose.
    pub transmit: Transmit,
    /// The interface, as the server repeats what [`Relay::forward`] said.
    pub interface_id: Option<Vec<u8>>,
    /// The link, likewise.
    pub link_address: Ipv6Addr,
}

impl Relay {
    /// Wraps a message that arrived from `peer`, a client or another relay agent, into a
    /// Relay-forward for the server (RFC 8415 §19.1). A message type that is not known is
    /// relayed like a client's (RFC 7283 §4).
    ///
    /// # Errors
    ///
    /// A server's message, one relayed [`HOP_COUNT_LIMIT`] times, one that is cut or too long.
    pub fn forward(&self, peer: Ipv6Addr, message: &[u8]) -> Result<Vec<u8>, RelayError> {
        let (hop_count, link_address) = match message.first() {
            None => return Err(RelayError::TooShort(0)),
            // Advertise, Reply, Reconfigure and Relay-reply come from servers only.
            Some(&kind @ (2 | 7 | 10 | RELAY_REPLY)) => return Err(RelayError::Type(kind)),
            Some(&RELAY_FORWARD) => {
                let inner = RelayMessage::decode(message)?;
                // "If the message received by the relay agent is a Relay-forward message and
                // the hop-count value in the message is greater than or equal to
                // HOP_COUNT_LIMIT, the relay agent discards the received message."
                if inner.hop_count >= HOP_COUNT_LIMIT {
                    return Err(RelayError::HopCount(inner.hop_count));
                }
                // §19.1.2: the source, if global or unique local, names the link well enough
                // and the link-address is 0; otherwise it is one of the interface.
                let link_address = if peer.is_unicast_link_local() {
                    self.link_address
                } else {
                    Ipv6Addr::UNSPECIFIED
                };
                (inner.hop_count + 1, link_address)
            }
            Some(_) => (0, self.link_address),
        };
        RelayMessage {
            direction: Direction::Forward,
            hop_count,
            link_address,
            peer_address: peer,
            interface_id: self.interface_id.clone(),
            message: message.to_vec(),
        }
        .encode()
    }
}

/// Unwraps a Relay-reply from the server (RFC 8415 §19.2).
///
/// # Errors
///
/// A message that is no Relay-reply, or is cut, or carries nothing.
pub fn unwrap_reply(message: &[u8]) -> Result<ToClient, RelayError> {
    let reply = RelayMessage::decode(message)?;
    let port = match (reply.direction, reply.message.first()) {
        (Direction::Forward, _) => return Err(RelayError::Type(RELAY_FORWARD)),
        (Direction::Reply, Some(&RELAY_REPLY)) => SERVER_PORT,
        (Direction::Reply, Some(_)) => CLIENT_PORT,
        (Direction::Reply, None) => return Err(RelayError::Empty),
    };
    Ok(ToClient {
        transmit: Transmit {
            to: SocketAddrV6::new(reply.peer_address, port, 0, 0),
            payload: reply.message,
        },
        interface_id: reply.interface_id,
        link_address: reply.link_address,
    })
}

/// A relay agent between one link with clients and one server.
///
/// Its owner's socket receives at [`SERVER_PORT`] from clients, by multicast to
/// [`crate::ALL_DHCP_RELAY_AGENTS_AND_SERVERS`], and from the server.
#[derive(Debug)]
pub struct RelayAgent {
    relay: Relay,
    server: SocketAddrV6,
    link: u32,
    out: VecDeque<Transmit>,
}

impl RelayAgent {
    /// An agent for the link whose scope identifier (interface index) is `link`; it has no other
    /// state.
    pub fn new(relay: Relay, link: u32, server: SocketAddrV6) -> RelayAgent {
        RelayAgent {
            relay,
            server,
            link,
            out: VecDeque::new(),
        }
    }
}

impl Machine for RelayAgent {
    type From = SocketAddrV6;
    type To = SocketAddrV6;
    type Event = Infallible;
    type Ignored = RelayError;

    /// What comes over the link goes to the server, anything else is an answer for the link.
    fn handle_datagram(
        &mut self,
        _: SimTime,
        from: SocketAddrV6,
        payload: &[u8],
    ) -> Result<(), RelayError> {
        let transmit = if from.scope_id() == self.link {
            Transmit {
                to: self.server,
                payload: self.relay.forward(*from.ip(), payload)?,
            }
        } else {
            let mut transmit = unwrap_reply(payload)?.transmit;
            transmit.to.set_scope_id(self.link);
            transmit
        };
        self.out.push_back(transmit);
        Ok(())
    }

    fn handle_timeout(&mut self, _: SimTime) {}

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        None
    }

    fn poll_event(&mut self) -> Option<Infallible> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const CLIENT: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xc);

    fn relay() -> Relay {
        Relay {
            link_address: LINK,
            interface_id: Some(b"lowpan0".to_vec()),
        }
    }

    #[test]
    fn a_message_is_relayed_eight_times_and_no_more() {
        let mut message = vec![1, 0, 0, 1];
        for hops in 0..=HOP_COUNT_LIMIT {
            message = relay().forward(CLIENT, &message).unwrap();
            assert_eq!(message[1], hops);
        }
        let refused = relay().forward(CLIENT, &message);
        assert_eq!(refused, Err(RelayError::HopCount(8)));
    }

    #[test]
    fn the_link_of_a_relay_agent_with_a_global_address_is_not_named_again() {
        let first = relay().forward(CLIENT, &[1, 0, 0, 1]).unwrap();
        let link = |from: Ipv6Addr| {
            let second = relay().forward(from, &first).unwrap();
            RelayMessage::decode(&second).unwrap().link_address
        };
        assert_eq!(link(LINK), Ipv6Addr::UNSPECIFIED);
        assert_eq!(link(CLIENT), LINK);
    }

    #[test]
    fn what_servers_say_is_not_relayed_to_servers() {
        for kind in [2, 7, 10, 13] {
            let refused = relay().forward(CLIENT, &[kind, 0, 0, 1]);
            assert_eq!(refused, Err(RelayError::Type(kind)));
        }
        assert!(relay().forward(CLIENT, &[99, 0, 0, 1]).is_ok(), "RFC 7283");
    }

    #[test]
    fn an_answer_goes_to_the_port_of_whoever_it_is_for() {
        let reply = |message: Vec<u8>| RelayMessage {
            direction: Direction::Reply,
            hop_count: 0,
            link_address: LINK,
            peer_address: CLIENT,
            interface_id: Some(vec![7]),
            message,
        };
        let inner = reply(vec![7, 0, 0, 1]).encode().unwrap();
        let to_client = unwrap_reply(&inner).unwrap();
        assert_eq!(to_client.transmit.to, SocketAddrV6::new(CLIENT, 546, 0, 0));
        assert_eq!(to_client.transmit.payload, [7, 0, 0, 1]);
        assert_eq!(to_client.interface_id, Some(vec![7]));
        let outer = reply(inner.clone()).encode().unwrap();
        let to_relay = unwrap_reply(&outer).unwrap();
        assert_eq!(to_relay.transmit.to.port(), 547);
        assert_eq!(to_relay.transmit.payload, inner);
    }

    #[test]
    fn an_agent_tells_clients_and_server_apart_by_the_link() {
        let server = SocketAddrV6::new("2001:db8:f::1".parse().unwrap(), SERVER_PORT, 0, 0);
        let mut agent = RelayAgent::new(relay(), 7, server);
        let client = SocketAddrV6::new(CLIENT, CLIENT_PORT, 0, 7);
        agent
            .handle_datagram(SimTime::ZERO, client, &[1, 0, 0, 1])
            .unwrap();
        let forwarded = agent.poll_transmit().unwrap();
        assert_eq!(forwarded.to, server);
        let answer = RelayMessage {
            direction: Direction::Reply,
            message: vec![7, 0, 0, 1],
            ..RelayMessage::decode(&forwarded.payload).unwrap()
        };
        let answer = answer.encode().unwrap();
        agent
            .handle_datagram(SimTime::ZERO, server, &answer)
            .unwrap();
        assert_eq!(agent.poll_transmit().unwrap().to, client);
        let stray = agent.handle_datagram(SimTime::ZERO, server, &[1, 0, 0, 1]);
        assert_eq!(stray, Err(RelayError::Type(1)));
        assert_eq!(agent.poll_transmit(), None);
    }

    #[test]
    fn an_option_that_does_not_fit_is_an_error() {
        let refused = relay().forward(CLIENT, &vec![1; 65_536]);
        let expected = RelayError::TooLong {
            code: 9,
            octets: 65_536,
        };
        assert_eq!(refused, Err(expected));
    }
}
