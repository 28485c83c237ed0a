//! A node of a plan, and what other crates ask it.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use units::Channel;

use super::handover::{CandidatePlan, HandoverPlan};
use super::http_client::HttpClientPlan;
use super::program::ProgramPlan;
use super::radio::HostPlan;
use super::requester::PollPlan;
use super::router::RouterPlan;
use super::{
    MobilityFacts, MobilityPlan, NO_MOBILITY, SecurityAssociation, ServiceFacts, ServicePlan,
};
use crate::plan::{BackboneInterface, CoapPlan, Plan, RadioInterface};

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
    /// What its mobility says of itself.
    fn mobility_facts(&self) -> Option<&dyn MobilityFacts> {
        self.mobility.as_ref().map(MobilityPlan::facts)
    }

    /// What its services say of themselves.
    fn service_facts(&self) -> impl Iterator<Item = &dyn ServiceFacts> {
        self.services.iter().map(ServicePlan::facts)
    }

    /// Whether it forwards between its interfaces.
    pub fn is_router(&self) -> bool {
        self.router.is_some()
    }

    /// Whether it forwards what is not for itself: between its interfaces, or for a service.
    pub fn forwards(&self) -> bool {
        self.prefixes().next().is_some()
    }

    /// The prefixes that are reached through it: of the link that it is the router of, and those of
    /// addresses for which its services take what others send.
    pub fn prefixes(&self) -> impl Iterator<Item = Ipv6Net> {
        let link = self.router.as_ref().map(|router| router.prefix);
        let services = self.service_facts().filter_map(ServiceFacts::prefix);
        link.into_iter().chain(services)
    }

    /// Modules of the kernel that its mobility and its services need and that not every run does.
    pub fn kernel_modules(&self) -> BTreeSet<&'static str> {
        let mobility = self.mobility_facts().map(MobilityFacts::kernel_modules);
        let services = self.service_facts().map(ServiceFacts::kernel_modules);
        let router = self.router.as_ref().map(RouterPlan::kernel_modules);
        let all = services.chain(mobility).chain(router);
        all.flatten().copied().collect()
    }

    /// Whether it is an edge router that translates addresses: others see what is behind it at its own.
    pub fn translates(&self) -> bool {
        self.router
            .as_ref()
            .is_some_and(|router| router.nat.is_some())
    }

    /// The prefixes to which others have a way through it: not that of a link behind a NAT.
    pub fn reached_prefixes(&self) -> impl Iterator<Item = Ipv6Net> {
        let hidden = self.router.as_ref().filter(|_| self.translates());
        let hidden = hidden.map(|router| router.prefix);
        self.prefixes()
            .filter(move |prefix| Some(*prefix) != hidden)
    }

    /// Whether something of it asks at this address, which it has from the file.
    pub(crate) fn knows_beforehand(&self, address: Ipv6Addr) -> bool {
        let text = address.to_string();
        let is_named =
            |program: &ProgramPlan| program.command.iter().any(|word| word.contains(&text));
        self.service_facts().any(|service| {
            service.asks_at().contains(&address) || service.program().is_some_and(is_named)
        })
    }

    /// Whether its mobility could be protected, and is not.
    pub(crate) fn is_unprotected(&self) -> bool {
        let mobility = self.mobility_facts();
        mobility.is_some_and(MobilityFacts::is_unprotected)
    }

    /// The security associations that its mobility has with others.
    pub fn associations(&self) -> Vec<SecurityAssociation> {
        let mobility = self.mobility_facts();
        mobility.map_or_else(Vec::new, MobilityFacts::associations)
    }

    /// When it leaves its router, and for which others; none if it stays.
    pub fn handover(&self) -> Option<&HandoverPlan> {
        self.host.as_ref()?.handover.as_ref()
    }

    /// The PANs that it may attach to; none if it stays.
    pub fn candidates(&self) -> &[CandidatePlan] {
        self.handover().map_or(&[], |handover| &handover.candidates)
    }

    /// The channels that its radio may be on. On the per-frame air it has a shadow radio on each.
    pub fn channels(&self) -> BTreeSet<Channel> {
        let own = self.radio.as_ref().map(|radio| radio.channel);
        let others = self.candidates().iter().map(|candidate| candidate.channel);
        own.into_iter().chain(others).collect()
    }

    /// The word of a file's `mobility` for how it stays reachable.
    pub fn mobility_word(&self) -> &'static str {
        self.mobility_facts()
            .map_or(NO_MOBILITY, MobilityFacts::word)
    }

    /// Whether correspondents keep their requests back while it is handed over.
    pub fn holds(&self) -> bool {
        self.mobility_facts().is_some_and(MobilityFacts::holds)
    }

    /// Whether it has a CoAP endpoint for its services and its mobility.
    pub fn speaks_coap(&self) -> bool {
        let mobility = self.mobility_facts();
        mobility.is_some_and(MobilityFacts::speaks_coap)
            || self.service_facts().any(ServiceFacts::is_coap)
    }

    /// Whether a service of its own has CoAP's port.
    pub(crate) fn serves_coap_alone(&self) -> bool {
        let mut ports = self.service_facts().filter_map(ServiceFacts::port);
        ports.any(|port| port == COAP_PORT)
    }

    /// A UDP port that two parts of the node need.
    pub(crate) fn port_taken_twice(&self) -> Option<u16> {
        let endpoint = self.speaks_coap().then_some(COAP_PORT);
        let relay = self.router.as_ref().and_then(RouterPlan::port);
        let services = self.service_facts().filter_map(ServiceFacts::port);
        let mut taken = BTreeSet::new();
        let mut ports = endpoint.into_iter().chain(relay).chain(services);
        ports.find(|port| !taken.insert(*port))
    }

    /// What it asks others, service by service.
    pub fn polls(&self) -> impl Iterator<Item = &PollPlan> {
        self.service_facts().flat_map(ServiceFacts::polls)
    }

    /// Whether it asks others: then a measurement has what it saw, and it is waited for at the end.
    pub fn asks(&self) -> bool {
        self.service_facts().any(ServiceFacts::asks)
    }

    /// What it asks by HTTP, through which gateway, service by service.
    pub fn http_clients(&self) -> impl Iterator<Item = &HttpClientPlan> {
        self.service_facts().filter_map(ServiceFacts::http_client)
    }

    /// How long what it observes may be silent without having said so; none: as CoAP has it.
    pub fn patience(&self) -> Option<Duration> {
        self.service_facts()
            .filter_map(ServiceFacts::patience)
            .max()
    }

    /// The paths of what it serves by CoAP, service by service.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.service_facts().flat_map(ServiceFacts::paths)
    }

    /// Whether its daemon has to know what it hears of routers: it may leave one, or a service tells it.
    pub fn hears_signals(&self) -> bool {
        let told = self.service_facts().any(ServiceFacts::tells_signal);
        self.host.is_some() && (told || self.handover().is_some())
    }

    /// Whether its daemon has to know where it is: a service tells it.
    pub fn tells_position(&self) -> bool {
        self.service_facts().any(ServiceFacts::tells_position)
    }

    /// The programs of the user's that run on it.
    pub fn programs(&self) -> impl Iterator<Item = &ProgramPlan> {
        self.service_facts().filter_map(ServiceFacts::program)
    }

    /// Whether it has a daemon: something of ours runs on it.
    pub fn has_daemon(&self) -> bool {
        let of_ours = |service: &dyn ServiceFacts| service.program().is_none();
        let places = self.router.is_some() || self.host.is_some() || self.mobility.is_some();
        places || self.service_facts().any(of_ours)
    }

    /// Whether it is ready only when others are: it gets an address from them, or registers at them.
    pub fn needs_others(&self) -> bool {
        let mobility = self.mobility_facts();
        self.host.is_some() || mobility.is_some_and(MobilityFacts::needs_others)
    }

    /// What of `plan` does not fit this node, `name`, because of its mobility.
    pub(crate) fn warnings(&self, name: &str, plan: &Plan) -> Vec<String> {
        let mobility = self.mobility_facts();
        mobility.map_or_else(Vec::new, |mobility| mobility.warnings(name, plan))
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
        lines.extend(
            self.mobility_facts()
                .into_iter()
                .flat_map(MobilityFacts::describe),
        );
        lines.extend(self.service_facts().flat_map(ServiceFacts::describe));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that says nothing but what it is.
    struct Quiet;

    impl ServiceFacts for Quiet {
        fn describe(&self) -> Vec<String> {
            vec!["quiet".into()]
        }
    }

    /// A service that asks others, by no polls.
    struct Curious;

    impl ServiceFacts for Curious {
        fn asks(&self) -> bool {
            true
        }
        fn describe(&self) -> Vec<String> {
            vec!["curious".into()]
        }
    }

    /// A protocol that says nothing of itself.
    struct Plain;

    impl MobilityFacts for Plain {
        fn word(&self) -> &'static str {
            "plain"
        }
    }

    fn node(services: &str) -> NodePlan {
        let text = format!(
            "version: 1\nname: node\nnodes:\n  er1: {{ role: edge-router }}\n  \
             wall: {{ role: sensor, attached_to: er1 }}\n  \
             node: {{ place: wired, services: [{services}] }}\nscenario: {{ duration: 5 s }}\n"
        );
        let plan = crate::load("node.yaml", &text, crate::Overrides::default());
        plan.unwrap_or_else(|error| panic!("{error}")).nodes["node"].clone()
    }

    #[test]
    fn a_service_serves_nothing_and_asks_nobody_unless_it_says_so() {
        let (quiet, curious): (&dyn ServiceFacts, &dyn ServiceFacts) = (&Quiet, &Curious);
        assert!(!quiet.is_coap() && !quiet.asks());
        assert!(!quiet.tells_signal() && !quiet.tells_position());
        assert!(quiet.paths().is_empty() && quiet.port().is_none() && quiet.program().is_none());
        assert!(curious.asks() && curious.polls().is_empty());
    }

    #[test]
    fn a_protocol_has_no_part_in_coap_holds_and_leases_unless_it_says_so() {
        let plain: &dyn MobilityFacts = &Plain;
        assert!(!plain.holds() && !plain.speaks_coap() && !plain.needs_others());
        assert!(!Plain::announces_sleep() && !Plain::tells_address());
        assert_eq!(Plain::address_key(), None);
    }

    #[test]
    fn a_node_asks_serves_and_has_a_daemon_as_its_services_say() {
        let asking = node("{ polls: [{ node: wall }] }, { sensors: [{ path: /x }] }");
        assert!(asking.asks() && asking.has_daemon() && asking.speaks_coap());
        assert_eq!(asking.polls().count(), 1);
        assert_eq!(asking.paths().collect::<Vec<_>>(), ["/x"]);
        let serving = node("{ sensors: [{ path: /x }] }");
        assert!(!serving.asks() && serving.has_daemon());
        let program = node("{ program: { command: [\"true\"] } }");
        assert!(!program.asks() && !program.has_daemon() && !program.speaks_coap());
        assert_eq!(program.programs().count(), 1);
    }
}
