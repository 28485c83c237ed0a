//! The plan's services in the words of their cores.

use std::time::Duration;

use anyhow::{Context, Result};
use coap::{Code, Reliability};
use service::requester::{Arrivals, Ask, Poll, Requester, Timing};
use service::sensors::{
    Changes, Counter, End, MAX_DECIMALS, Replay, Resource, Sensors, Sine, Source, Walk, Writes,
};
use service::{Phase, Services, Target};
use topology::plan::{
    self, NodePlan, PollPlan, RequesterPlan, ResourcePlan, SensorsPlan, ServicePlan, SourcePlan,
};
use units::ByteSize;

use crate::host::Host;

/// Digits after the point of a sine whose mean and amplitude have fewer.
const SINE_DECIMALS: u8 = 2;

/// The CoAP services of `node`.
///
/// # Errors
/// When the plan has one that cannot be had.
pub(crate) fn of(host: &Host, node: &NodePlan) -> Result<Services> {
    let mut services = Services::new();
    for plan in &node.services {
        match plan {
            ServicePlan::Sensors(plan) => services.push(sensors(host, plan)?),
            ServicePlan::Polls(plan) => services.push(requester(host, plan)?),
            // Parts of their own.
            ServicePlan::Dhcpv6Server(_) | ServicePlan::Wmms(_) | ServicePlan::Program(_) => {}
        }
    }
    Ok(services)
}

fn requester(host: &Host, plan: &RequesterPlan) -> Result<Requester> {
    // The stream of the first poll is the one that all polls had in common once.
    let name = |place: usize| match place {
        0 => "polls".to_owned(),
        _ => format!("polls {place}"),
    };
    let polls = plan.polls.iter().enumerate();
    let polls = polls.map(|(place, plan)| poll(name(place), plan)).collect();
    Requester::new(polls, |name| host.rng(name)).context("polls")
}

fn poll(name: String, plan: &PollPlan) -> Poll {
    let payload = plan.payload.as_ref();
    let options = plan.options.iter();
    Poll {
        name,
        target: match plan.located {
            true => Target::Node(plan.address),
            false => Target::at(plan.address),
        },
        ask: Ask {
            method: Code(plan.method.code()),
            path: plan.path.clone(),
            query: plan.query.clone(),
            payload: payload.map(|bytes| bytes.0.clone()).unwrap_or_default(),
            content_format: plan.content_format,
            accept: plan.accept,
            options: options.map(|o| (o.number, o.value.0.clone())).collect(),
        },
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
            phase: Phase::Fixed(plan.first),
            jitter: plan.jitter,
            ..Timing::every(plan.every)
        },
    }
}

fn sensors(host: &Host, plan: &SensorsPlan) -> Result<Sensors> {
    let resources = plan.resources.iter().map(resource);
    let resources = resources.collect::<Result<_>>()?;
    Sensors::new(resources, |name| host.rng(name)).context("resources")
}

fn resource(plan: &ResourcePlan) -> Result<Resource> {
    let fixed = |phase| Phase::Fixed(phase);
    Ok(Resource {
        path: plan.path.clone(),
        source: source(&plan.value).with_context(|| format!("resource {}", plan.path))?,
        content_format: plan.content_format,
        size: Some(size(plan.size)),
        changes: plan.changes.as_ref().map(|changes| Changes {
            every: changes.every,
            phase: fixed(changes.phase),
        }),
        writes: match plan.writable {
            true => Writes::ALL,
            false => Writes::default(),
        },
    })
}

fn size(size: ByteSize) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

fn source(plan: &SourcePlan) -> Result<Source> {
    Ok(match *plan {
        SourcePlan::Constant(ref bytes) => Source::Constant(bytes.0.clone()),
        SourcePlan::Counter { start, step } => Source::Counter(Counter {
            start,
            step,
            decimals: decimals(&[start, step]),
        }),
        SourcePlan::Sine {
            mean,
            amplitude,
            period,
            phase,
        } => Source::Sine(Sine {
            mean,
            amplitude,
            period,
            phase: until_mean(phase, period),
            decimals: decimals(&[mean, amplitude]).max(SINE_DECIMALS),
        }),
        SourcePlan::RandomWalk {
            start,
            step,
            min,
            max,
        } => {
            let walk = Walk {
                start,
                step,
                low: min,
                high: max,
                decimals: decimals(&[start, step, min, max]),
            };
            match walk == Walk::reading() {
                true => Source::Reading,
                false => Source::Walk(walk),
            }
        }
        SourcePlan::Replay { ref points, repeat } => {
            let end = if repeat { End::Repeat } else { End::Hold };
            let points = points
                .iter()
                .map(|point| (point.at, point.value.to_string()));
            Source::Replay(Replay::new(points, end)?)
        }
    })
}

/// How far into its period a sine begins that rises through its mean at `phase`.
fn until_mean(phase: Duration, period: Duration) -> Duration {
    match phase.as_nanos().checked_rem(period.as_nanos()) {
        Some(into) => period - Duration::from_nanos_u128(into),
        None => Duration::ZERO,
    }
}

/// Digits after the point of the number that has most.
fn decimals(numbers: &[f64]) -> u8 {
    let digits = numbers.iter().map(|number| {
        let text = number.to_string();
        text.split_once('.').map_or(0, |(_, digits)| digits.len())
    });
    let most = digits.max().unwrap_or(0);
    u8::try_from(most).map_or(MAX_DECIMALS, |most| most.min(MAX_DECIMALS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_the_file_gives_them() {
        assert_eq!(decimals(&[21.5, 0.1, -40.0]), 1);
        assert_eq!(decimals(&[1.0, 20.0]), 0);
        assert_eq!(decimals(&[0.125, 1e-300]), MAX_DECIMALS);
    }

    #[test]
    fn the_walk_that_the_plan_has_by_default_is_a_reading() {
        let plan = SourcePlan::RandomWalk {
            start: 21.5,
            step: 0.1,
            min: -40.0,
            max: 85.0,
        };
        assert_eq!(source(&plan).unwrap(), Source::Reading);
    }

    #[test]
    fn a_sine_rises_through_its_mean_at_its_phase() {
        let s = Duration::from_secs;
        assert_eq!(until_mean(s(10), s(40)), s(30));
        assert_eq!(until_mean(s(50), s(40)), s(30));
        assert_eq!(until_mean(s(0), s(40)), s(40));
        assert_eq!(until_mean(s(1), s(0)), s(0));
    }
}
