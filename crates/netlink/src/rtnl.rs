//! The connection to rtnetlink: one request, its answer, the kernel's text.

use std::io;

use futures_util::StreamExt;
use nix::errno::Errno;
use rtnetlink::packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::proto::sys::TokioSocket;
use rtnetlink::sys::{AsyncSocket, SocketAddr};
use rtnetlink::{Handle, MulticastGroup};

use crate::error::{Error, Failure, Result};
use crate::namespace::Namespace;

/// Unsolicited messages: those of the multicast groups that were joined.
pub(crate) type Events = Box<
    dyn futures_util::Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>
        + Send
        + Unpin,
>;

/// A connection to rtnetlink in one namespace.
#[derive(Clone)]
pub(crate) struct Rtnl {
    handle: Handle,
}

impl Rtnl {
    /// Opens a socket in `namespace` that joins `groups`, served by a task of the current
    /// runtime that ends when the last clone of the `Rtnl` is dropped.
    pub(crate) fn connect(
        namespace: &Namespace,
        groups: &[MulticastGroup],
    ) -> Result<(Rtnl, Events)> {
        let runtime = tokio::runtime::Handle::current();
        let open = || -> io::Result<_> {
            let _context = runtime.enter();
            let (mut connection, handle, events) =
                rtnetlink::new_multicast_connection_with_socket::<TokioSocket>(groups)?;
            let socket = connection.socket_mut().socket_mut();
            // Errors carry the kernel's text, and of the request only the header.
            socket.set_ext_ack(true)?;
            socket.set_cap_ack(true)?;
            Ok((connection, handle, events))
        };
        let (connection, handle, events) = namespace
            .run(open)?
            .map_err(|e| Error::io("rtnetlink", "open a socket", e))?;
        runtime.spawn(connection);
        Ok((Rtnl { handle }, Box::new(events)))
    }

    /// Sends a request with `flags` besides REQUEST and ACK and returns what came before the
    /// acknowledgement.
    pub(crate) async fn request(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        self.exchange(message, NLM_F_REQUEST | NLM_F_ACK | flags)
            .await
    }

    /// Sends a dump request and collects all parts.
    pub(crate) async fn dump(
        &self,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        self.exchange(message, NLM_F_REQUEST | NLM_F_DUMP).await
    }

    async fn exchange(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = flags;
        let closed = || Failure::Io(io::ErrorKind::NotConnected.into());
        let mut answer = self.handle.clone().request(request).map_err(|_| closed())?;
        let mut messages = Vec::new();
        while let Some(part) = answer.next().await {
            match part.payload {
                NetlinkPayload::InnerMessage(message) => messages.push(message),
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return Err(refused(&error));
                }
                NetlinkPayload::Overrun(_) => {
                    return Err(Failure::Malformed("the socket's buffer overflowed".into()));
                }
                _ => {}
            }
        }
        Ok(messages)
    }
}

fn refused(error: &ErrorMessage) -> Failure {
    Failure::refused(error.raw_code(), extended_ack_text(&error.header))
}

/// The text of an extended acknowledgement, which follows the header of the refused request
/// (capped: without that request's payload) as attributes (`linux/netlink.h`, `nlmsgerr`).
pub(crate) fn extended_ack_text(after_code: &[u8]) -> Option<String> {
    const REQUEST_HEADER: usize = 16;
    const NLMSGERR_ATTR_MSG: u16 = 1;
    attributes(after_code.get(REQUEST_HEADER..)?)
        .find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG)
        .and_then(|(_, value)| {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            String::from_utf8(text.to_vec()).ok()
        })
}

/// The attributes in `bytes`, as kind (without flag bits) and value; ends at the first that
/// does not fit.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const HEADER: usize = 4;
    const FLAGS: u16 = 0xc000;
    std::iter::from_fn(move || {
        let length = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(bytes.get(2..HEADER)?.try_into().ok()?);
        let value = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind & !FLAGS, value))
    })
}

/// Writes an attribute, with what aligns the next one.
pub(crate) fn put_attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(((4 + value.len()) as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// What the errnos mean with which the kernel refuses a kind of link or queueing discipline
/// that it does not know.
pub(crate) const fn module_advice(advice: &'static str) -> [(Errno, &'static str); 2] {
    [(Errno::EOPNOTSUPP, advice), (Errno::ENOENT, advice)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_text_is_read_from_a_capped_extended_acknowledgement() {
        let bytes = crate::golden::bytes(include_str!("../tests/golden/unknown_kind.hex"));
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).unwrap();
        let NetlinkPayload::Error(error) = message.payload else {
            panic!("an error")
        };
        assert_eq!(
            refused(&error).at("x0", "create", &[]).to_string(),
            "x0: create: EOPNOTSUPP: Unknown device type"
        );
        // Cut short, it has no text and does no harm.
        for end in 0..error.header.len() {
            let text = extended_ack_text(&error.header[..end]);
            assert!(text.is_none() || end >= 16 + 24, "{end}: {text:?}");
        }
    }
}
