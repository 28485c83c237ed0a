//! The plan's words in the cores' words.

use anyhow::{Context, Result};
use dhcpv6::Duid;
use topology::plan::{CandidatePlan, DadMode, HostPlan, ScanPlan};

use super::Pan;
use crate::radio::Radio;

/// The place of a PAN among the candidates.
pub(super) fn candidate(plan: &HostPlan, (channel, pan_id): Pan) -> Option<usize> {
    let mut candidates = plan.handover.as_ref()?.candidates.iter();
    candidates.position(|c| c.channel == channel && c.pan_id == pan_id)
}

/// The sequencer of a node whose radio belongs to `home`; none if it stays.
///
/// # Errors
/// When `home` is no candidate.
pub(super) fn sequencer_config(plan: &HostPlan, home: Pan) -> Result<Option<handover::Config>> {
    let Some(handover) = &plan.handover else {
        return Ok(None);
    };
    let serving = candidate(plan, home);
    let serving = serving.context("the PAN at the start is not among the candidates")?;
    let in_its_words = |c: &CandidatePlan| handover::Candidate {
        router: c.router.clone(),
        channel: c.channel,
        pan_id: c.pan_id,
    };
    let trigger = &handover.trigger;
    Ok(Some(handover::Config {
        candidates: handover.candidates.iter().map(in_its_words).collect(),
        serving,
        trigger: handover::Trigger {
            threshold: trigger.threshold,
            hysteresis: trigger.hysteresis,
            samples: trigger.samples,
            sample_every: trigger.sample_every,
        },
        scan: handover.scan.as_ref().map(scan),
        dad: plan.dad == DadMode::Normal,
    }))
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
pub(super) fn solicitor_config(plan: &HostPlan, radio: &Radio) -> nd::solicitor::Config {
    let settings = &plan.router_solicitation;
    nd::solicitor::Config {
        max_delay: settings.max_delay,
        interval: settings.interval,
        max_solicitations: settings.max_solicitations,
        source_link_layer: Some(radio.eui64()),
        router: plan.gateway,
    }
}

/// The DHCPv6 client.
pub(super) fn dhcp_config(plan: &HostPlan, radio: &Radio) -> dhcpv6::client::Config {
    let settings = &plan.dhcpv6;
    dhcpv6::client::Config {
        rapid_commit: settings.rapid_commit,
        solicit_max_delay: settings.solicit_max_delay,
        solicit_timeout: settings.solicit_timeout,
        request_timeout: settings.request_timeout,
        ..dhcpv6::client::Config::new(Duid::link_layer(radio.eui64()), 1)
    }
}
