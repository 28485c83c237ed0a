//! CoAP endpoint: the message layer of RFC 7252 as a pure state machine.
//!
//! Owns everything between a UDP datagram and a request or response: the strict codec,
//! retransmission (§4.2), deduplication (§4.5), NSTART and queueing (§4.7), matching by token
//! (§5.3), piggy-backed and separate responses (§5.2), critical options (§5.4.1), ping and Reset,
//! block-wise transfer (RFC 7959), Observe (RFC 7641), also of FETCH (RFC 8132), and requests that
//! want no response (RFC 7967).
//! Client and server share one [`Endpoint`], hence one socket and one Message ID space.
//! It must not know what a resource, a mobility protocol or a topology is, nor sockets and clocks.
//!
//! ```
//! use coap::{Code, Endpoint, Event, Params, Reliability, Request, Response};
//! use machine::Machine;
//! use units::{Seed, SimTime};
//!
//! let address = |port| format!("[::1]:{port}").parse().unwrap();
//! let mut client = Endpoint::new(Params::default(), &[], Seed(1).rng(&["client"]));
//! let mut server = Endpoint::new(Params::default(), &[], Seed(1).rng(&["server"]));
//! let now = SimTime::ZERO;
//!
//! let get = Request::new(Code::GET, "/temperature");
//! let id = client.request(now, address(2), Reliability::Confirmable, get);
//! let sent = client.poll_transmit().unwrap();
//!
//! server.handle_datagram(now, address(1), &sent.payload);
//! let Some(Event::Request { exchange, request, .. }) = server.poll_event() else { panic!() };
//! assert_eq!(request.path(), "/temperature");
//! server.respond(now, exchange, Response::new(Code::CONTENT));
//!
//! client.handle_datagram(now, address(2), &server.poll_transmit().unwrap().payload);
//! let Some(Event::Response { id: answered, response, .. }) = client.poll_event() else { panic!() };
//! assert_eq!((answered, response.code), (id, Code::CONTENT));
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`message`] | [`Request`], [`Response`], [`Options`], [`Code`], [`Kind`], option numbers |
//! | [`block`] | [`block::Block`], [`BlockSize`]: the options of RFC 7959 |
//! | [`wire`] | [`wire::Message`]: the strict codec, also for captured packets |
//! | [`no_response`] | [`NoResponse`]: responses that nobody wants (RFC 7967) |
//! | [`params`] | [`Params`] (§4.8) and the times derived from them |
//! | [`cocoa`] | [`cocoa::Rto`]: the retransmission timeout from measured round trips |
//! | [`endpoint`] | [`Endpoint`], its [`Event`]s and [`Failure`]s |
//! | [`protection`] | [`Protection`]: the place for message security (RFC 8613) |
//! | [`websocket`] | [`websocket::Session`]: the same over a WebSocket (RFC 8323); [`websocket::Frame`]: its codec |
//! | [`link`] | [`link::Link`]: `/.well-known/core` (RFC 6690); [`link::parse`]: lists of links |
//!
//! # Limits
//!
//! No multicast (§8), no caching (§5.6), no DTLS (§9); proxying (§5.7) is the owner's ([`Endpoint::as_proxy`]). Responses count
//! neither for NSTART nor as outstanding.
//!
//! One counter makes the Message IDs of all peers, so the rule of §4.4 (no reuse within
//! EXCHANGE_LIFETIME, 247 s) holds up to 265 messages per second in sum. Beyond that our own
//! receiver still tells a reused ID from a duplicate, by its token ([`endpoint`]).

#![forbid(unsafe_code)]

pub mod block;
pub mod cocoa;
pub mod endpoint;
pub mod link;
pub mod message;
pub mod no_response;
pub mod params;
pub mod protection;
pub mod websocket;
pub mod wire;

pub use block::BlockSize;
pub use endpoint::{
    Endpoint, Event, ExchangeId, Failure, Observation, Reliability, RequestId, Waits,
};
pub use message::{Code, Kind, Options, Request, Response};
pub use no_response::NoResponse;
pub use params::{CongestionControl, Params, TokenLength, Tokens};
pub use protection::{ContextId, Protection};
