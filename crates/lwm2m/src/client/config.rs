//! What a client is told before it starts.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::Reliability;

use crate::format::{Format, Style};
use crate::model::Version;
use crate::path::Path;

/// A server's account at a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Its Short Server ID, 1 to 65534.
    pub server: u16,
    /// Where it is.
    pub address: SocketAddrV6,
    /// How long a registration holds without an Update.
    pub lifetime: Duration,
    /// Default Minimum Period of notifications.
    pub pmin: Option<Duration>,
    /// Default Maximum Period of notifications.
    pub pmax: Option<Duration>,
}

/// What a client is.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Its Endpoint Client Name.
    pub endpoint: String,
    /// The versions of LwM2M that it speaks, the one it likes best first; no other than 1.0 where it is empty.
    pub versions: Vec<Version>,
    /// Whether servers shall send to it only when it is awake: Queue Mode.
    pub queue: bool,
    /// How it writes numbers.
    pub style: Style,
    /// The format of what it sends by itself; none: TLV before LwM2M 1.1, SenML CBOR from then on.
    pub format: Option<Format>,
    /// Which responses to a Notify are not wanted, if its instance says so (RFC 7967 §2.1).
    pub no_response: u8,
    /// Servers that move, by the addresses at which the node's mobility finds them.
    pub located: Vec<Ipv6Addr>,
    /// What it sends of its own accord (Send).
    pub sends: Vec<SendPlan>,
    /// Seconds from 1970-01-01T00:00:00Z to the zero of its clock: what it sends has absolute times then. None: it has no
    /// such clock, and says how long ago a value was taken (RFC 8428 §4.5.3).
    pub epoch_s: Option<f64>,
}

/// Paths whose values are sent again and again by Send (LwM2M 1.1 Core §6.4.6).
#[derive(Clone, Debug, PartialEq)]
pub struct SendPlan {
    /// The Short Server ID of the server that gets them.
    pub server: u16,
    /// Of what: objects, instances, resources. What the server may not read, or is not there, is left out.
    pub paths: Vec<Path>,
    /// When the first one is sent, after the client's start.
    pub phase: Duration,
    /// The time from one to the next, at least 1 ms.
    pub every: Duration,
    /// How often values are taken and kept between two of them, at least 1 ms; each message has all that were taken since
    /// the one before. None: values are taken when they are sent.
    pub sample: Option<Duration>,
    /// CON or NON. What a server has not answered with success is sent again with the next one, if it was CON.
    pub reliability: Reliability,
    /// SenML JSON or SenML CBOR; none: as [`Config::format`] says, if it is one of these, or else SenML CBOR.
    pub format: Option<Format>,
}

impl Config {
    /// A client of the name that speaks LwM2M 1.1 and 1.0.
    pub fn new(endpoint: &str) -> Config {
        Config {
            endpoint: endpoint.to_owned(),
            versions: vec![Version::V1_1, Version::V1_0],
            queue: false,
            style: Style::default(),
            format: None,
            no_response: 26,
            located: Vec::new(),
            sends: Vec::new(),
            epoch_s: None,
        }
    }
}
