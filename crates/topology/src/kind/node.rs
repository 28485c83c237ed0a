//! A node of a plan, and what other crates ask it.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};
use units::Channel;

use super::handover::{CandidatePlan, HandoverPlan};
use super::program::ProgramPlan;
use super::radio::HostPlan;
use super::requester::PollPlan;
use super::router::RouterPlan;
use super::{MobilityPlan, ServicePlan};
use crate::plan::{BackboneInterface, CoapPlan, RadioInterface};

/// The UDP port of `coap://` (RFC 7252 §6.1).
pub(super) const COAP_PORT: u16 = 5683;

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePlan {
    /// The address by which others know it, whatever router it is at.
    pub address: Ipv6Addr,
    /// Its wired interface `eth0`, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone: Option<BackboneInterface>,
    /// Its radio (`wpan0`, `lowpan0`), if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radio: Option<RadioInterface>,
    /// What it does as an edge router; of a node with both interfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<RouterPlan>,
    /// What it does at an edge router; of a node with a radio alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostPlan>,
    /// How it stays reachable; absent: its address is what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mobility: Option<MobilityPlan>,
    /// What runs on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServicePlan>,
    /// CoAP parameters, if it speaks CoAP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coap: Option<CoapPlan>,
}

impl NodePlan {
    /// Whether it forwards between its interfaces.
    pub fn is_router(&self) -> bool {
        self.router.is_some()
    }

    /// When it leaves its router, and for which others; none if it stays.
    pub fn handover(&self) -> Option<&HandoverPlan> {
        self.host.as_ref()?.handover.as_ref()
    }

    /// The PANs that it may attach to; none if it stays.
    pub fn candidates(&self) -> &[CandidatePlan] {
        self.handover().map_or(&[], |handover| &handover.candidates)
    }

    /// The channels that its radio may be on.
    pub fn channels(&self) -> impl Iterator<Item = Channel> {
        let own = self.radio.as_ref().map(|radio| radio.channel);
        let others = self.candidates().iter().map(|candidate| candidate.channel);
        own.into_iter().chain(others)
    }

    /// Whether correspondents keep their requests back while it is handed over.
    pub fn holds(&self) -> bool {
        let mobility = self.mobility.as_ref();
        mobility.is_some_and(|mobility| mobility.facts().holds())
    }

    /// Whether it has a CoAP endpoint for its services and its mobility.
    pub fn speaks_coap(&self) -> bool {
        self.mobility.is_some()
            || self
                .services
                .iter()
                .any(|service| service.facts().is_coap())
    }

    /// Whether a service of its own has CoAP's port.
    pub(crate) fn serves_coap_alone(&self) -> bool {
        let mut ports = self.services.iter().map(|service| service.facts().port());
        ports.any(|port| port == Some(COAP_PORT))
    }

    /// A UDP port that two parts of the node need.
    pub(crate) fn port_taken_twice(&self) -> Option<u16> {
        let endpoint = self.speaks_coap().then_some(COAP_PORT);
        let relay = self.router.as_ref().and_then(RouterPlan::port);
        let services = self
            .services
            .iter()
            .filter_map(|service| service.facts().port());
        let mut taken = BTreeSet::new();
        let mut ports = endpoint.into_iter().chain(relay).chain(services);
        ports.find(|port| !taken.insert(*port))
    }

    /// What it asks others.
    pub fn polls(&self) -> impl Iterator<Item = &PollPlan> {
        let polls = self.services.iter().filter_map(|service| match service {
            ServicePlan::Polls(plan) => Some(&plan.polls),
            _ => None,
        });
        polls.flatten()
    }

    /// Whether it asks others: then a measurement has what it saw.
    pub fn asks(&self) -> bool {
        let mut services = self.services.iter();
        services.any(|service| matches!(service, ServicePlan::Polls(_)))
    }

    /// The paths of what it serves by CoAP, service by service.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let services = self.services.iter();
        services.flat_map(|service| service.facts().paths())
    }

    /// The programs of the user's that run on it.
    pub fn programs(&self) -> impl Iterator<Item = &ProgramPlan> {
        self.services.iter().filter_map(|service| match service {
            ServicePlan::Program(plan) => Some(plan),
            _ => None,
        })
    }

    /// Whether it has a daemon: something of ours runs on it.
    pub fn has_daemon(&self) -> bool {
        let of_ours = |service: &ServicePlan| !matches!(service, ServicePlan::Program(_));
        let places = self.router.is_some() || self.host.is_some() || self.mobility.is_some();
        places || self.services.iter().any(of_ours)
    }

    /// Whether it is ready only when others are: it gets an address from them, or registers at them.
    pub fn needs_others(&self) -> bool {
        self.host.is_some() || self.mobility.is_some()
    }

    /// What it is, in words for a person: a title, and lines with more.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.router.iter().flat_map(RouterPlan::describe));
        if let Some(handover) = self.handover() {
            let hold = if self.holds() { ", hold" } else { "" };
            lines.push("mobile node".to_owned());
            lines.push(format!("under {}{hold}", handover.trigger.threshold));
        } else if self.host.is_some() {
            lines.push("radio".to_owned());
        }
        let services = self
            .services
            .iter()
            .map(|service| service.facts().describe());
        lines.extend(services.flatten());
        lines
    }
}
