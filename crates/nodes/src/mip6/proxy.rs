//! Proxy Mobile IPv6 (RFC 5213): [`mip6::Anchor`] and [`mip6::Gateway`] with their tunnels and routes.
//!
//! Between an anchor and each of its gateways there is a tunnel from the start, which all nodes share (§5.6.1:
//! "static pre-established tunnels"); what changes are the routes into it.

pub(crate) mod anchor;
pub(crate) mod gateway;
