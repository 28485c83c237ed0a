//! What an endpoint is told that has a connection in place of a socket, or an owner that is a proxy.

use super::Endpoint;
use crate::block::BlockSize;

impl Endpoint {
    /// The same endpoint, whose owner is a forward proxy: it gets the requests that have Proxy-Uri or Proxy-Scheme,
    /// and sees to all their options, unknown critical ones included (RFC 7252 §5.7.1). Block options and Accept are
    /// the endpoint's there, too.
    pub fn as_proxy(self) -> Endpoint {
        Endpoint {
            is_proxy: true,
            ..self
        }
    }

    /// Requests of peers that wait for [`Endpoint::respond`].
    pub fn unanswered(&self) -> usize {
        self.exchanges.len()
    }

    /// The same endpoint at the end of a connection. It has any number of interactions with its peer at once: NSTART is
    /// for the UDP transport (RFC 8323 §3.3: "A CoAP client can send multiple requests without waiting for a
    /// response"). It remembers no message, since none comes twice, so that no request is forgotten with one.
    pub(crate) fn connected(mut self) -> Endpoint {
        self.params.nstart = u32::MAX;
        self.is_connected = true;
        self
    }

    /// Sends no larger blocks from now on.
    pub(crate) fn limit_blocks(&mut self, size: BlockSize) {
        self.params.block_size = size;
    }
}
