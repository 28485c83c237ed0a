//! Services: an application on a node, what it serves, what it asks, and when it is due.
//!
//! Owns the shape of an application ([`Service`]), the node as it sees it ([`Node`]), how the
//! services of a node share it ([`Services`]), and the two that every testbed needs: [`Requester`]
//! asks, [`Sensors`] serve. A service may be client and server at once, own several paths or all
//! below one, and knows who asks.
//!
//! It must not know of sockets, clocks, files or the testbed, nor which mobility protocol a node
//! speaks: a [`Target`] is located by the node, if it is to be located at all.
//!
//! ```
//! use coap::{Endpoint, Params, Reliability};
//! use machine::Machine;
//! use service::requester::{Ask, Poll, Requester, Timing};
//! use service::sensors::{Resource, Sensors, Source};
//! use service::{Event, Reach, Services, Target};
//! use std::time::Duration;
//! use units::{Seed, SimTime};
//!
//! let address = |port| format!("[2001:db8::{port}]:5683").parse().unwrap();
//! let (client_at, sensor_at) = (address(1), address(2));
//! let stream = |name: &str| Seed(1).rng(&[name]);
//! let endpoint = |name| Endpoint::new(Params::default(), service::KNOWN_CRITICAL, stream(name));
//!
//! // A sensor that does not move, and a client of it.
//! let mut sensor = endpoint("sensor");
//! let door = Resource { source: Source::Constant(b"shut".to_vec()), ..Resource::new("/door") };
//! let mut of_sensor = Services::new();
//! of_sensor.push(Sensors::new(vec![door], stream).unwrap());
//!
//! let mut client = endpoint("client");
//! let poll = Poll {
//!     name: "the door".into(),
//!     target: Target::Address(sensor_at),
//!     ask: Ask::get("/door"),
//!     reliability: Reliability::Confirmable,
//!     observe: false,
//!     timing: Timing::every(Duration::from_secs(1)),
//! };
//! let mut of_client = Services::new();
//! of_client.push(Requester::new(vec![poll], stream).unwrap());
//!
//! // What whoever runs the two does.
//! of_client.start(SimTime::ZERO, &mut client);
//! let now = of_client.poll_timeout(Reach::FULL).unwrap();
//! of_client.handle_timeout(now, Reach::FULL, &mut client);
//! let asked = client.poll_transmit().unwrap();
//! sensor.handle_datagram(now, client_at, &asked.payload);
//! let event = Event::try_from(sensor.poll_event().unwrap()).unwrap();
//! of_sensor.handle_event(now, event, &mut sensor);
//! client.handle_datagram(now, sensor_at, &sensor.poll_transmit().unwrap().payload);
//! let event = Event::try_from(client.poll_event().unwrap()).unwrap();
//! of_client.handle_event(now, event, &mut client);
//!
//! assert_eq!(of_client.tally().answered, 1);
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`connectivity`] | [`Connectivity`]: how the node is connected |
//! | [`node`] | [`Node`]: the node as its services see it; [`Target`], [`Event`], [`Outcome`] |
//! | [`mod@service`] | [`Service`]: what a service is; [`Reach`], [`Tally`], [`Report`] |
//! | [`services`] | [`Services`]: the services of one node |
//! | [`requester`] | [`Requester`]: polls, by any method, and observations |
//! | [`sensors`] | [`Sensors`]: resources with a representation that is generated, and may be written |

#![forbid(unsafe_code)]

pub mod connectivity;
mod draw;
pub mod node;
pub mod requester;
pub mod sensors;
pub mod service;
pub mod services;

#[cfg(test)]
mod stub;

pub use connectivity::{Bearer, Connectivity, Heard};
pub use node::{CallFailure, CallId, Event, Incoming, Node, Outcome, Target};
pub use requester::Requester;
pub use sensors::Sensors;
pub use service::{Reach, Report, Service, Tally};
pub use services::Services;

/// The critical options that services may handle, for the endpoint of their node
/// ([`coap::Endpoint::new`]): conditions (RFC 7252 §5.10.8). A service that does not handle them
/// ([`Service::known_critical`]) does not get them.
pub const KNOWN_CRITICAL: &[u16] = &[
    coap::message::option::IF_MATCH,
    coap::message::option::IF_NONE_MATCH,
];
