//! CoAP over WebSockets (RFC 8323 §4): an [`Endpoint`](crate::Endpoint) whose one peer is at the other end of a WebSocket.
//!
//! What the two transports have in common is the endpoint's: tokens, bodies in blocks (RFC 7959), Observe (RFC 7641),
//! Accept. Between it and the WebSocket a [`Session`] takes out what RFC 8323 does without: types, Message IDs,
//! acknowledgements. A request comes to the endpoint as a confirmable one with the next Message ID; what the endpoint
//! sends confirmable is acknowledged on the spot, since the connection delivers it. Signaling (§5) is the session's alone.
//!
//! What RFC 8323 leaves open, and what is chosen:
//!
//! * *Max-Message-Size* (§5.3.1) stays at its base value, 1152 bytes, and blocks are announced: so there is no BERT
//!   (§6), and a body over 1024 bytes goes in blocks. To a peer that takes less they are smaller. A first block with the SZX of BERT,
//!   which a peer may send before it has read our CSM, counts as one of 1024 bytes if it is no longer. A longer message
//!   of a peer's is taken.
//! * *Ping* (§5.4): a peer that has asked nothing and sent no Ping for [`KEEP_ALIVE`] is asked, and one that does
//!   not answer for MAX_TRANSMIT_WAIT (RFC 7252 §4.8.2, 93 s) is gone. Empty messages put that off no more than other
//!   things that are not answered do. Custody (§5.4.1) is not offered.
//! * *Release* (§5.5): what was asked before is answered, observations end, and then the connection. Alternative-Address
//!   and Hold-Off are for whoever connects again, and not told.
//! * *No-Response* (RFC 7967) saves nothing here: every request is answered.
//!
//! ```
//! use coap::websocket::Session;
//! use coap::{Code, Endpoint, Event, Params, Reliability, Request, Response};
//! use units::{Seed, SimTime};
//!
//! let now = SimTime::ZERO;
//! let session = |name| Session::new(now, Endpoint::new(Params::default(), &[], Seed(1).rng(&[name])));
//! let (mut client, mut server) = (session("client"), session("server"));
//! let get = Request::new(Code::GET, "/temperature");
//! let peer = coap::websocket::PEER;
//! let id = client.endpoint().request(now, peer, Reliability::Confirmable, get);
//! while let Some(message) = client.poll_transmit(now) {
//!     server.handle_message(now, &message);
//! }
//! let Some(Event::Request { exchange, .. }) = server.poll_event() else { panic!() };
//! server.endpoint().respond(now, exchange, Response::new(Code::CONTENT));
//! while let Some(message) = server.poll_transmit(now) {
//!     client.handle_message(now, &message);
//! }
//! let Some(Event::Response { id: answered, response, .. }) = client.poll_event() else { panic!() };
//! assert_eq!((answered, response.code), (id, Code::CONTENT));
//! ```

mod frame;
mod session;

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use crate::message::{Code, PORT};

pub use frame::{Frame, FrameError};
pub use session::Session;

/// Where a server's WebSocket is (RFC 8323 §8.3, RFC 8307).
pub const PATH: &str = "/.well-known/coap";

/// The subprotocol of the WebSocket (RFC 8323 §4.1).
pub const SUBPROTOCOL: &str = "coap";

/// The peer of a session's endpoint. It has no address: this stands for it.
pub const PEER: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, PORT, 0, 0);

/// A peer that has asked nothing for so long is asked whether it is there. A browser's user may be away, and a
/// connection without traffic is forgotten on its way after some minutes.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The longest message that every peer takes, in bytes: Max-Message-Size without a CSM that says otherwise (RFC 8323
/// §5.3.1).
pub const BASE_MESSAGE_SIZE: usize = 1152;

/// Codes of signaling messages (RFC 8323 §5.1, §11.1).
#[allow(missing_docs)] // The names are the standard's.
pub mod signaling {
    use super::Code;

    pub const CSM: Code = Code::new(7, 1);
    pub const PING: Code = Code::new(7, 2);
    pub const PONG: Code = Code::new(7, 3);
    pub const RELEASE: Code = Code::new(7, 4);
    pub const ABORT: Code = Code::new(7, 5);

    /// Of a CSM (§5.3.1): the longest message that its sender takes, in bytes.
    pub const MAX_MESSAGE_SIZE: u16 = 2;
    /// Of a CSM (§5.3.2).
    pub const BLOCK_WISE_TRANSFER: u16 = 4;
    /// Of an Abort (§5.6): the option of the CSM that is not understood.
    pub const BAD_CSM_OPTION: u16 = 2;
}
