//! The plan's words in the cores' words.

use std::net::SocketAddrV6;

use coap::message::PORT;
use comp::node;
use dhcpv6::Duid;
use topology::plan::{BindingMode, CandidatePlan, DadMode, MobileNodePlan, ScanPlan};

use crate::coap_params;
use crate::radio::Radio;
use crate::services::hold_queue;

/// The binding mode in the core's words.
pub(crate) fn binding_mode(mode: BindingMode) -> comp::BindingMode {
    match mode {
        BindingMode::Direct => comp::BindingMode::Direct,
        BindingMode::Relayed => comp::BindingMode::Relayed,
    }
}

/// The CoMP node of the plan.
pub(super) fn node_config(plan: &MobileNodePlan) -> node::Config {
    node::Config {
        p_addr: plan.p_addr,
        wmms: SocketAddrV6::new(plan.wmms, PORT, 0, 0),
        hold: plan.handover.hold,
        binding: binding_mode(plan.handover.binding),
        lifetime: plan.lifetime,
        hold_queue: plan.hold_queue.as_ref().map(hold_queue).unwrap_or_default(),
        coap: coap_params(&plan.coap),
    }
}

/// The handover core, at candidate `serving`.
pub(super) fn handover_config(plan: &MobileNodePlan, serving: usize) -> handover::Config {
    let candidate = |c: &CandidatePlan| handover::Candidate {
        router: c.router.clone(),
        channel: c.channel,
        pan_id: c.pan_id,
    };
    let trigger = &plan.handover.trigger;
    handover::Config {
        candidates: plan.candidates.iter().map(candidate).collect(),
        serving,
        trigger: handover::Trigger {
            threshold: trigger.threshold,
            hysteresis: trigger.hysteresis,
            samples: trigger.samples,
            sample_every: trigger.sample_every,
        },
        scan: plan.handover.scan.as_ref().map(scan),
        dad: plan.handover.dad == DadMode::Normal,
    }
}

fn scan(plan: &ScanPlan) -> handover::Scan {
    handover::Scan {
        dwell: plan.dwell,
        early: plan.early.as_ref().map(|early| handover::EarlyScan {
            threshold: early.threshold,
            every: early.every,
        }),
    }
}

/// Router discovery.
pub(super) fn solicitor_config(plan: &MobileNodePlan, radio: &Radio) -> nd::solicitor::Config {
    let settings = &plan.handover.router_solicitation;
    nd::solicitor::Config {
        max_delay: settings.max_delay,
        interval: settings.interval,
        max_solicitations: settings.max_solicitations,
        source_link_layer: Some(radio.eui64()),
    }
}

/// The DHCPv6 client.
pub(super) fn dhcp_config(plan: &MobileNodePlan, radio: &Radio) -> dhcpv6::client::Config {
    let settings = &plan.handover.dhcpv6;
    dhcpv6::client::Config {
        rapid_commit: settings.rapid_commit,
        solicit_max_delay: settings.solicit_max_delay,
        solicit_timeout: settings.solicit_timeout,
        request_timeout: settings.request_timeout,
        ..dhcpv6::client::Config::new(Duid::link_layer(radio.eui64()), 1)
    }
}
