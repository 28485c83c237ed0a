//! What other crates, and the rest of the file, may ask a protocol or a service. Each says what is
//! special about it.

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;

use super::http_client::HttpClientPlan;
use super::program::ProgramPlan;
use super::requester::PollPlan;
use crate::plan::Plan;

/// A security association of ESP (RFC 4303) that captures have packets of: without encryption (RFC 2410), and
/// with HMAC-SHA-256-128 (RFC 4868 §2.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityAssociation {
    /// Who sends them: the address that counts for upper layers.
    pub source: Ipv6Addr,
    /// Who gets them.
    pub destination: Ipv6Addr,
    /// Security Parameters Index.
    pub spi: u32,
    /// The key.
    pub key: [u8; 32],
}

/// What a node's place, and other crates, may ask the plan of a protocol. By default it has sockets
/// of its own, waits for nobody, and whoever asks the node knows its address beforehand.
pub(crate) trait MobilityFacts {
    /// The word that a file has for it: what the node does, where a file can say that in several ways.
    fn word(&self) -> &'static str;
    /// Whether correspondents keep their requests back while the node is handed over.
    fn holds(&self) -> bool {
        false
    }
    /// Whether it speaks by the node's CoAP endpoint.
    fn speaks_coap(&self) -> bool {
        false
    }
    /// Whether the node is ready only when others are, at which it registers.
    fn needs_others(&self) -> bool {
        false
    }
    /// Modules of the kernel that it needs and that not every run does.
    fn kernel_modules(&self) -> &'static [&'static str] {
        &[]
    }
    /// Whether its messages could be protected, and are not.
    fn is_unprotected(&self) -> bool {
        false
    }
    /// The security associations that its messages have.
    fn associations(&self) -> Vec<SecurityAssociation> {
        Vec::new()
    }
    /// What it is, in words for a person.
    fn describe(&self) -> Vec<String> {
        Vec::new()
    }
    /// What of `plan` does not fit the node `name`, which has this mobility, and can be run
    /// nevertheless: a sentence each, without the path of the node.
    fn warnings(&self, _name: &str, _plan: &Plan) -> Vec<String> {
        Vec::new()
    }
    /// Whether it can tell others of a sleep before it, so that they keep their requests back.
    fn announces_sleep() -> bool
    where
        Self: Sized,
    {
        false
    }
    /// Whether others are told which address the node gets, so that it may be leased: otherwise it
    /// is asked at the one that it forms at its router.
    fn tells_address() -> bool
    where
        Self: Sized,
    {
        false
    }
    /// The link-local address of the routers that the node hears, and no others: of a link that is for
    /// the two alone.
    fn router_of_its_own() -> Option<Ipv6Addr>
    where
        Self: Sized,
    {
        None
    }
    /// The key by which the file may give a node its permanent address, if there is one.
    fn address_key() -> Option<&'static str>
    where
        Self: Sized,
    {
        None
    }
}

/// What other crates may ask the plan of a service. A service says what is special about it: by
/// default it has no part in the node's CoAP endpoint, serves nothing and asks nobody.
pub(crate) trait ServiceFacts {
    /// Whether it runs over the node's CoAP endpoint.
    fn is_coap(&self) -> bool {
        false
    }
    /// The UDP port that it has for itself alone.
    fn port(&self) -> Option<u16> {
        None
    }
    /// The paths of what it serves by the node's CoAP endpoint. The address of a node that serves
    /// something is known to a measurement.
    fn paths(&self) -> Vec<&str> {
        Vec::new()
    }
    /// What it asks others: a measurement looks for each.
    fn polls(&self) -> &[PollPlan] {
        &[]
    }
    /// The addresses at which it asks others and that it has from the file; not those that others tell it.
    fn asks_at(&self) -> Vec<Ipv6Addr> {
        self.polls().iter().map(|poll| poll.address).collect()
    }
    /// Whether it asks others by itself, by polls or otherwise. A node that does is a client of a
    /// measurement, and answers that are outstanding at the end of a scenario are waited for.
    fn asks(&self) -> bool {
        !self.polls().is_empty()
    }
    /// How long what it observes may be silent without having said so; none: as CoAP has it.
    fn patience(&self) -> Option<Duration> {
        None
    }
    /// Whether it tells others what the node hears of its router.
    fn tells_signal(&self) -> bool {
        false
    }
    /// Whether it tells others where the node is.
    fn tells_position(&self) -> bool {
        false
    }
    /// The prefix of addresses for which it takes what others send: routes to it lead to the node, which
    /// forwards.
    fn prefix(&self) -> Option<Ipv6Net> {
        None
    }
    /// Modules of the kernel that it needs and that not every run does.
    fn kernel_modules(&self) -> &'static [&'static str] {
        &[]
    }
    /// The HTTP client that it is: a measurement looks for what it asks, and its last response is waited for.
    fn http_client(&self) -> Option<&HttpClientPlan> {
        None
    }
    /// The program of the user's that it is.
    fn program(&self) -> Option<&ProgramPlan> {
        None
    }
    /// What it is, in words for a person.
    fn describe(&self) -> Vec<String>;
}
