//! What a server is told before it starts.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use coap::Reliability;

use super::operation::Operation;
use crate::format::{Format, Style};
use crate::model::{Registry, Version};
use crate::path::Path;

/// What a [`Server`](super::Server) is told before it starts; [`Config::default`] is one of LwM2M 1.0 to 1.2.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The object models by which values are read.
    pub registry: Registry,
    /// The versions of LwM2M that it speaks; a registration with another one is answered 4.12.
    pub versions: RangeInclusive<Version>,
    /// The shortest lifetime that it takes; a shorter one is answered 4.00. 1 s.
    pub min_lifetime: Duration,
    /// The longest lifetime that it takes; none: any, and 0, which is without end (LwM2M 1.1 Core appendix
    /// E.2).
    pub max_lifetime: Option<Duration>,
    /// In which format it asks for values.
    pub read_format: ReadFormat,
    /// In which format it writes; none: by the client's version.
    pub write_format: Option<Format>,
    /// What its encoders choose.
    pub style: Style,
    /// How it asks.
    pub reliability: Reliability,
    /// How long a client in queue mode is awake after each message of its; 93 s, MAX_TRANSMIT_WAIT
    /// (LwM2M 1.1 Transport §6.6).
    pub awake_window: Duration,
    /// Operations that wait for one client, at most; further ones fail.
    pub max_queue: usize,
    /// After so long an operation that waits fails.
    pub queue_expiry: Duration,
    /// Registrations at most; further ones are answered 5.03.
    pub max_registrations: usize,
    /// Links in one registration at most; more are answered 4.00.
    pub max_links: usize,
    /// Paths to which clients may PUT what they report, beside those of
    /// [`Server::report_path`](super::Server::report_path): whose report it is, the sender's address says.
    pub report_paths: Vec<ReportPath>,
    /// Endpoints that have a permanent address: they are asked there, by the mobility protocol of the server's node, and
    /// not where their messages come from.
    pub permanent: BTreeMap<String, Ipv6Addr>,
    /// What is done when a client has registered, in order, each after the answer to the former.
    pub upon_registration: Vec<Scripted>,
    /// What is done at its time.
    pub polls: Vec<Poll>,
}

/// In which format a server asks for values (LwM2M 1.1 Core §7.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFormat {
    /// TLV of a client of 1.0, SenML CBOR of a later one, unless its registration lists formats (`ct`) and
    /// this is none of them.
    #[default]
    ByVersion,
    /// This one.
    Always(Format),
    /// Without Accept: the client chooses.
    Unsaid,
}

/// A path to which clients PUT what they report (object 2347, Notify).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPath {
    /// `/rd`
    pub path: String,
    /// What is reported there: formats that do not name everything they hold, like TLV, cannot be read without it.
    pub base: Option<Path>,
}

/// Something that is done when a client has registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Scripted {
    /// The client; none: each.
    pub endpoint: Option<String>,
    /// What is done.
    pub operation: Operation,
}

/// Something that is done again and again. Of polls that are due at one instant, those of one client go in the order of
/// the list, each after the answer to the former.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    /// The client.
    pub endpoint: String,
    /// What is done.
    pub operation: Operation,
    /// When, after the start.
    pub first: Duration,
    /// And so long after that, again; zero: once.
    pub every: Duration,
    /// So many times; none: until the end.
    pub times: Option<u64>,
}

impl Default for Config {
    fn default() -> Config {
        Config::new(Registry::built_in())
    }
}

impl Config {
    /// The defaults, and these object models.
    pub fn new(registry: Registry) -> Config {
        Config {
            registry,
            versions: Version::V1_0..=Version::V1_2,
            min_lifetime: Duration::from_secs(1),
            max_lifetime: None,
            read_format: ReadFormat::default(),
            write_format: None,
            style: Style::default(),
            reliability: Reliability::Confirmable,
            awake_window: Duration::from_secs(93),
            max_queue: 64,
            queue_expiry: Duration::from_secs(86_400),
            max_registrations: 65_536,
            max_links: 1024,
            report_paths: Vec::new(),
            permanent: BTreeMap::new(),
            upon_registration: Vec::new(),
            polls: Vec::new(),
        }
    }
}
