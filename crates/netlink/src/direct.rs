//! Requests that are done when the call returns.
//!
//! [`Rtnl`](crate::rtnl) waits for an answer while the runtime does something else. A mobility
//! protocol's step is not to be divided: what a message tells others has to be so before it leaves. The
//! kernel carries a netlink request out within the system call that sends it, and its answer waits
//! when that returns, so that nothing blocks here.

use std::io;

use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkSerializable};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{Socket, SocketAddr};

use crate::error::Failure;
use crate::rtnl::extended_ack_text;

/// Bytes of a netlink header (`linux/netlink.h`).
const HEADER: usize = 16;
/// The type of an acknowledgement, and of a refusal.
const NLMSG_ERROR: u16 = 2;

/// A message of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its type.
    pub(crate) kind: u16,
    /// Flags besides REQUEST and ACK.
    pub(crate) flags: u16,
    /// What follows the netlink header.
    pub(crate) payload: Vec<u8>,
    /// Whether the kernel answers it: not the first and the last of a batch of nfnetlink.
    pub(crate) answered: bool,
}

/// A netlink socket in the calling thread's namespace.
#[derive(Debug)]
pub(crate) struct Direct {
    socket: Socket,
    /// The sequence number of the last request.
    sequence: u32,
}

impl Direct {
    /// Opens a socket for a netlink protocol.
    pub(crate) fn open(protocol: isize) -> io::Result<Direct> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        // Errors carry the kernel's text, and of the request only the header.
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        Ok(Direct {
            socket,
            sequence: 0,
        })
    }

    /// Sends a message of rtnetlink with `flags` besides REQUEST and ACK.
    pub(crate) fn route(
        &mut self,
        message: &RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), Failure> {
        let mut payload = vec![0; message.buffer_len()];
        message.serialize(&mut payload);
        self.request(message.message_type(), flags, &payload)
    }

    /// Sends a message of a type with `flags` besides REQUEST and ACK; the kernel has done it then.
    pub(crate) fn request(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<(), Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let request = message(kind, flags, self.sequence, payload);
        let kernel = SocketAddr::new(0, 0);
        (self.socket.send_to(&request, &kernel, 0)).map_err(Failure::Io)?;
        loop {
            let (answer, _) = self.socket.recv_from_full().map_err(Failure::Io)?;
            if let Some(outcome) = outcome(&answer, self.sequence)? {
                return outcome;
            }
        }
    }

    /// Sends messages in one datagram, which the kernel has done as a whole then, or not at all: the first
    /// refusal is that of all.
    pub(crate) fn batch(&mut self, messages: &[Message]) -> Result<(), Failure> {
        let (mut batch, mut waiting) = (Vec::new(), Vec::new());
        let first = self.sequence.wrapping_add(1);
        for one in messages {
            self.sequence = self.sequence.wrapping_add(1);
            let ack = if one.answered { NLM_F_ACK } else { 0 };
            let flags = NLM_F_REQUEST | ack | one.flags;
            batch.extend(message(one.kind, flags, self.sequence, &one.payload));
            batch.resize(batch.len().next_multiple_of(4), 0);
            waiting.extend(one.answered.then_some(self.sequence));
        }
        let kernel = SocketAddr::new(0, 0);
        (self.socket.send_to(&batch, &kernel, 0)).map_err(Failure::Io)?;
        while !waiting.is_empty() {
            let (answer, _) = self.socket.recv_from_full().map_err(Failure::Io)?;
            // A batch that fails in its end is refused under the number of its beginning.
            for number in waiting.clone().into_iter().chain([first]) {
                if let Some(outcome) = outcome(&answer, number)? {
                    outcome?;
                    waiting.retain(|other| *other != number);
                }
            }
        }
        Ok(())
    }
}

/// A netlink message.
pub(crate) fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = (HEADER + payload.len()) as u32;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend(payload);
    message
}

/// What an answer says of the request with this number, if it is about that one.
fn outcome(answer: &[u8], sequence: u32) -> Result<Option<Result<(), Failure>>, Failure> {
    let malformed = || Failure::Malformed("it is shorter than an acknowledgement".into());
    let field = |at: usize| -> Result<[u8; 4], Failure> {
        let bytes = answer.get(at..at + 4).ok_or_else(malformed)?;
        bytes.try_into().map_err(|_| malformed())
    };
    let [low, high, ..] = field(4)?;
    if u32::from_ne_bytes(field(8)?) != sequence || u16::from_ne_bytes([low, high]) != NLMSG_ERROR {
        return Ok(None);
    }
    Ok(Some(match i32::from_ne_bytes(field(HEADER)?) {
        0 => Ok(()),
        code => {
            let text = answer.get(HEADER + 4..).and_then(extended_ack_text);
            Err(Failure::refused(code, text))
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_the_kernel_means_it() {
        let refusal = crate::golden::bytes(include_str!("../tests/golden/unknown_kind.hex"));
        let sequence = u32::from_ne_bytes(refusal[8..12].try_into().unwrap());
        let refused = outcome(&refusal, sequence).unwrap().unwrap().unwrap_err();
        assert_eq!(
            refused.at("x0", "create", &[]).to_string(),
            "x0: create: EOPNOTSUPP: Unknown device type"
        );
        assert!(outcome(&refusal, sequence + 1).unwrap().is_none());
        for end in 0..HEADER + 4 {
            let cut = outcome(&refusal[..end], sequence);
            assert!(!matches!(cut, Ok(Some(Ok(())))), "{end}");
        }
        let done = message(NLMSG_ERROR, 0, 7, &[0; 20]);
        assert!(matches!(outcome(&done, 7), Ok(Some(Ok(())))));
    }
}
