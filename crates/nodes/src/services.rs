//! The services of the plan on a CoMP node: what it asks others, and what it serves.

use std::time::Duration;

use anyhow::{Context, Result};
use coap::Reliability;
use comp::client::{self, HoldQueue};
use comp::node::{Event, Node};
use driver::Driver;
use rundir::EventKind;
use service::requester::{Arrivals, Ask, Poll, Requester, Timing};
use service::sensors::{Changes, Resource, Sensors};
use service::{Phase, Reach, Report, Services, Target};
use topology::plan::{self, HoldQueuePlan, PollPlan, ResourcePlan};
use units::SimTime;

use crate::Host;
use crate::host::Events;

/// The hold queue in the core's words.
pub(crate) fn hold_queue(plan: &HoldQueuePlan) -> HoldQueue {
    HoldQueue {
        capacity: plan.capacity as usize,
        timeout: plan.timeout,
    }
}

/// The polls of a node.
///
/// # Errors
/// When the plan has one that cannot be had.
pub(crate) fn requester(host: &Host, plans: &[PollPlan]) -> Result<Requester> {
    // The stream of the first poll is the one that all polls had in common once.
    let name = |place: usize| match place {
        0 => "polls".to_owned(),
        _ => format!("polls {place}"),
    };
    let polls = plans.iter().enumerate();
    let polls = polls.map(|(place, plan)| poll(name(place), plan)).collect();
    Requester::new(polls, |name| host.rng(name)).context("polls")
}

fn poll(name: String, plan: &PollPlan) -> Poll {
    Poll {
        name,
        target: Target::Node(plan.p_addr),
        ask: Ask::get(&plan.path),
        reliability: match plan.confirmable {
            true => Reliability::Confirmable,
            false => Reliability::NonConfirmable,
        },
        observe: plan.observe,
        timing: Timing {
            arrivals: match plan.arrivals {
                plan::Arrivals::Periodic => Arrivals::Periodic,
                plan::Arrivals::Poisson => Arrivals::Poisson,
            },
            phase: Phase::Fixed(Duration::ZERO),
            ..Timing::every(plan.every)
        },
    }
}

/// The resources of a node.
///
/// # Errors
/// When the plan has one that cannot be had.
pub(crate) fn sensors(host: &Host, plans: &[ResourcePlan]) -> Result<Sensors> {
    let resources = plans.iter().map(resource).collect();
    Sensors::new(resources, |name| host.rng(name)).context("resources")
}

fn resource(plan: &ResourcePlan) -> Resource {
    Resource {
        size: Some(usize::try_from(plan.size.0).unwrap_or(usize::MAX)),
        changes: plan.changes_every.map(|every| Changes {
            every,
            phase: Phase::Fixed(Duration::ZERO),
        }),
        ..Resource::new(&plan.path)
    }
}

/// Services on a CoMP node.
#[derive(Debug)]
pub(crate) struct OnNode(Services);

impl OnNode {
    /// These.
    pub(crate) fn new(services: Services) -> OnNode {
        OnNode(services)
    }

    /// The scenario has started.
    pub(crate) fn start(&mut self, coap: &mut Driver<Node>) {
        coap.with(|node, now| self.0.start(now, node));
    }

    /// When [`OnNode::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self, reach: Reach) -> Option<SimTime> {
        self.0.poll_timeout(reach)
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, coap: &mut Driver<Node>, reach: Reach) {
        coap.with(|node, now| self.0.handle_timeout(now, reach, node));
    }

    /// The scenario is over: nothing new is asked; what is outstanding ends.
    pub(crate) fn drain(&mut self, coap: &mut Driver<Node>) {
        coap.with(|node, now| self.0.drain(now, node));
    }

    /// Handles an event that is for the services, and gives back another one.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) fn handle(
        &mut self,
        coap: &mut Driver<Node>,
        events: &Events,
        event: Event,
    ) -> Result<Option<Event>> {
        match service::Event::try_from(event) {
            Ok(event) => coap.with(|node, now| self.0.handle_event(now, event, node)),
            Err(other) => return Ok(Some(other)),
        }
        self.report(events)?;
        Ok(None)
    }

    /// Reports what they have to say.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) fn report(&mut self, events: &Events) -> Result<()> {
        while let Some(report) = self.0.poll_report() {
            match report {
                Report::RequestFailed { target, reason } => {
                    events.report(EventKind::RequestFailed {
                        p_addr: target.ip(),
                        reason: reason.to_string(),
                    })?;
                }
                Report::ObservationEnded { target, reason } => {
                    tracing::info!(%target, %reason, "observation ended");
                }
                Report::Drained(tally) => events.report(EventKind::Drained {
                    requested: tally.requested,
                    answered: tally.answered,
                    failed: tally.failed,
                })?,
            }
        }
        Ok(())
    }
}

/// Reports what a client has learned of a binding.
///
/// # Errors
/// As [`Events::report`].
pub(crate) fn report_binding(events: &Events, event: client::Event) -> Result<()> {
    match event {
        client::Event::BindingChanged {
            p_addr,
            t_addr,
            held,
        } => events.report(EventKind::BindingChanged {
            p_addr,
            t_addr,
            held,
        }),
        client::Event::BindingRemoved { p_addr, reason } => {
            events.report(EventKind::BindingRemoved {
                p_addr,
                reason: reason.to_string(),
            })
        }
        client::Event::Resumed { p_addr, queued } => events.report(EventKind::Resumed {
            p_addr,
            queued: queued as u32,
        }),
        // The services have it.
        client::Event::Call { .. } => Ok(()),
    }
}
