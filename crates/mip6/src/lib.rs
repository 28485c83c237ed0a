//! Mobile IPv6 (RFC 6275), Hierarchical Mobile IPv6 (RFC 5380) and Proxy Mobile IPv6 (RFC 5213), as
//! pure state machines.
//!
//! Owns the messages (Mobility Headers and their options, the Home Address option, the type 2 routing
//! header, the MAP option) and return routability. The machines of the parties follow.
//!
//! It must not know of sockets, clocks, kernels, radios, neighbour discovery or the testbed.
//!
//! ```
//! use mip6::Headers;
//! use mip6::codec::Message;
//! use mip6::rr::Cookie;
//!
//! let (care_of, correspondent) = ("2001:db8:1::5".parse()?, "2001:db8:c::1".parse()?);
//! let headers = Headers::between(care_of, correspondent);
//! let message = Message::CareOfTestInit { cookie: Cookie([7; 8]) };
//! let octets = message.encode(&headers)?;
//! assert_eq!(octets.len(), 16);
//! assert_eq!(Message::decode(&headers, &octets)?, message);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`codec`] | [`codec::Message`]: Mobility Headers, their options, checksum |
//! | [`headers`] | [`Headers`] around a Mobility Header: Home Address option, type 2 routing header |
//! | [`map_option`] | [`MapOption`]: what routers say of mobility anchor points |
//! | [`rr`] | return routability: cookies, tokens, nonces, authenticators |

#![forbid(unsafe_code)]

pub mod codec;
pub mod headers;
pub mod map_option;
pub mod rr;

pub use headers::Headers;
pub use map_option::MapOption;
