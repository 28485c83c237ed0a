//! The plan's services in the words of their cores.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use coap::{Code, Reliability};
use service::requester::{Arrivals, Ask, Poll, Requester, Timing};
use service::sensors::{
    Changes, Counter, End, MAX_DECIMALS, Replay, Resource, Sensors, Sine, Source, Walk, Writes,
};
use service::{Services, Target};
use topology::plan::{
    self, NodePlan, PollPlan, RequesterPlan, ResourcePlan, SensorsPlan, ServicePlan, SourcePlan,
    StepPlan,
};
use units::{ByteSize, Rng};

use crate::host::Host;
use crate::lwm2m::Standing;
use crate::web::Bell;

/// Digits after the point of a sine whose mean and amplitude have fewer.
const SINE_DECIMALS: u8 = 2;

/// The CoAP services of `node`, in a scenario that lasts so long, if that is known. `steps`: those of the scenario that
/// the node has to know. One that is asked something from outside of the node's network rings `bell`.
///
/// # Errors
/// When the plan has one that cannot be had.
pub(crate) fn of(
    host: &Host,
    node: &NodePlan,
    lasts: Option<Duration>,
    steps: &[StepPlan],
    bell: &Bell,
) -> Result<Services> {
    let mut services = Services::new();
    // Services of one kind are told apart by their place among themselves.
    let (mut sensing, mut polling, mut lwm2m) = (0, 0, 0);
    let track = node.radio.as_ref().map_or(&[][..], |radio| &radio.track);
    let standing = |place| Standing {
        host,
        place,
        steps,
        track,
    };
    for plan in &node.services {
        match plan {
            ServicePlan::Sensors(plan) => {
                services.push(sensors(plan, streams(host, sensing))?);
                sensing += 1;
            }
            ServicePlan::Polls(plan) => {
                let requester = requester(plan, streams(host, polling))?;
                services.push(match lasts {
                    Some(duration) => requester.lasting(duration),
                    None => requester,
                });
                polling += 1;
            }
            ServicePlan::Lwm2mClient(plan) => {
                services.push(crate::lwm2m::client(
                    standing(lwm2m),
                    plan,
                    streams(host, lwm2m),
                )?);
                lwm2m += 1;
            }
            ServicePlan::Lwm2mServer(plan) => {
                // Outside a run no ID of a registration shall be one of an earlier life.
                let rng = host.protocol_rng(&stream_name(lwm2m, "server"));
                services.push(crate::lwm2m::server(standing(lwm2m), plan, rng, bell)?);
                lwm2m += 1;
            }
            ServicePlan::Lwm2mBootstrapServer(plan) => {
                services.push(crate::lwm2m::bootstrap_server(plan)?);
            }
            ServicePlan::HttpGateway(plan) => {
                services.push(crate::gateway::gateway(host, plan, bell)?);
            }
            // Parts of their own.
            ServicePlan::Dhcpv6Server(_)
            | ServicePlan::HttpClient(_)
            | ServicePlan::Wmms(_)
            | ServicePlan::HomeAgent(_)
            | ServicePlan::Map(_)
            | ServicePlan::Lma(_)
            | ServicePlan::Correspondent(_)
            | ServicePlan::Program(_) => {}
        }
    }
    Ok(services)
}

/// The node's name for the random stream that a service calls `name`. `place` is that of the service
/// among those of its kind.
fn stream_name(place: usize, name: &str) -> String {
    match place {
        0 => name.to_owned(),
        _ => format!("{name} of service {}", place + 1),
    }
}

/// The random streams of a service by the names that it has for them.
fn streams(host: &Host, place: usize) -> impl FnMut(&str) -> Rng {
    move |name| host.rng(&stream_name(place, name))
}

fn requester(plan: &RequesterPlan, stream: impl FnMut(&str) -> Rng) -> Result<Requester> {
    let polls = stream_names(&plan.polls).into_iter().zip(&plan.polls);
    let polls = polls.map(|(name, plan)| poll(name, plan)).collect();
    Requester::new(polls, stream).context("polls")
}

/// The service's names for the random streams of `polls`: whom each asks, and which of the polls of
/// that node it is. A further poll of another node, or a further node of a group, leaves the draws
/// of the others as they are. The first one's stream is the one that all polls had in common once.
fn stream_names(polls: &[PollPlan]) -> Vec<String> {
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    let names = polls.iter().enumerate().map(|(place, poll)| {
        let times = times.entry(&poll.node).or_default();
        *times += 1;
        match place {
            0 => "polls".to_owned(),
            _ => format!("polls {} #{times}", poll.node),
        }
    });
    names.collect()
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
            first: plan.first,
            jitter: plan.jitter,
            every: plan.every,
        },
    }
}

fn sensors(plan: &SensorsPlan, stream: impl FnMut(&str) -> Rng) -> Result<Sensors> {
    let resources = plan.resources.iter().map(resource);
    let resources = resources.collect::<Result<_>>()?;
    Sensors::new(resources, stream).context("resources")
}

fn resource(plan: &ResourcePlan) -> Result<Resource> {
    Ok(Resource {
        path: plan.path.clone(),
        source: source(&plan.value).with_context(|| format!("resource {}", plan.path))?,
        content_format: plan.content_format,
        size: Some(size(plan.size)),
        changes: plan.changes.as_ref().map(|changes| Changes {
            every: changes.every,
            phase: changes.phase,
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

pub(crate) fn source(plan: &SourcePlan) -> Result<Source> {
    Ok(match *plan {
        SourcePlan::Reading => Source::Reading,
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
        } => Source::Walk(Walk {
            start,
            step,
            low: min,
            high: max,
            decimals: decimals(&[start, step, min, max]),
        }),
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
    use std::collections::BTreeSet;

    use super::*;

    /// The polls of the node `client` in a network with a `count` of lamps, service by service.
    fn polls(count: u32, services: &str) -> Vec<Vec<PollPlan>> {
        let text = format!(
            "version: 1\nname: polls\nnodes:\n  er1: {{ role: edge-router }}\n  \
             lamp: {{ role: sensor, attached_to: er1, count: {count} }}\n  \
             wall: {{ role: sensor, attached_to: er1 }}\n  \
             client: {{ place: wired, services: [{services}] }}\nscenario: {{ duration: 5 s }}\n"
        );
        let plan = topology::load("polls.yaml", &text, topology::Overrides::default());
        let plan = plan.unwrap_or_else(|error| panic!("{error}"));
        let services = plan.nodes["client"].services.iter();
        let polls = services.filter_map(|service| match service {
            ServicePlan::Polls(plan) => Some(plan.polls.clone()),
            _ => None,
        });
        polls.collect()
    }

    /// The node that each poll asks, and the name of its stream on its node.
    fn streams(services: &[Vec<PollPlan>]) -> Vec<(String, String)> {
        let named = services.iter().enumerate().flat_map(|(place, polls)| {
            let names = stream_names(polls).into_iter().zip(polls);
            names.map(move |(name, poll)| (poll.node.clone(), stream_name(place, &name)))
        });
        named.collect()
    }

    #[test]
    fn the_first_of_all_polls_and_the_first_readings_have_the_streams_that_they_always_had() {
        let services = "{ sensors: [{ path: /x }] }, { polls: [{ node: wall }, { node: lamp }] }";
        assert_eq!(streams(&polls(1, services))[0].1, "polls");
        assert_eq!(stream_name(0, "readings"), "readings");
    }

    #[test]
    fn no_two_polls_and_no_two_services_of_a_node_share_a_stream() {
        let two = "{ polls: [{ node: wall }, { node: wall }, { node: lamp }, { node: lamp }] }, \
                   { polls: [{ node: wall }, { node: lamp }] }";
        let streams = streams(&polls(3, two));
        let names: BTreeSet<&str> = streams.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names.len(), 12);
        assert_eq!(streams.len(), 12);
        assert_ne!(stream_name(0, "readings"), stream_name(1, "readings"));
    }

    #[test]
    fn a_further_node_leaves_the_streams_of_all_other_polls_as_they_are() {
        let two = "{ polls: [{ node: lamp }, { node: wall }, { node: lamp }] }, \
                   { polls: [{ node: lamp }, { node: wall }] }";
        let (few, many) = (streams(&polls(2, two)), streams(&polls(5, two)));
        let known = |(node, _): &&(String, String)| !["lamp3", "lamp4", "lamp5"].contains(&&**node);
        let of_known: Vec<&(String, String)> = many.iter().filter(known).collect();
        assert_eq!(of_known, few.iter().collect::<Vec<_>>());
    }

    #[test]
    fn the_longest_options_that_a_topology_may_have_are_polls() {
        let longest = format!(
            "{{ polls: [{{ node: wall, query: [{}], options: [{{ number: 2053, value: {} }}] }}] }}",
            "q".repeat(255),
            "v".repeat(1024)
        );
        let plan = RequesterPlan {
            polls: polls(1, &longest).remove(0),
        };
        assert!(requester(&plan, |name| units::Seed(1).rng(&[name])).is_ok());
    }

    #[test]
    fn numbers_have_as_many_digits_as_the_file_gives_them() {
        assert_eq!(decimals(&[21.5, 0.1, -40.0]), 1);
        assert_eq!(decimals(&[1.0, 20.0]), 0);
        assert_eq!(decimals(&[0.125, 1e-300]), MAX_DECIMALS);
    }

    #[test]
    fn a_resource_that_names_no_source_is_a_reading_and_a_walk_has_a_stream_of_its_own() {
        let text = "version: 1\nname: walks\nnodes:\n  er1: { role: edge-router }\n  \
                    wall: { role: sensor, attached_to: er1, resources: [{ path: /a }, \
                    { path: /b, value: { random_walk: {} } }] }\nscenario: { duration: 5 s }\n";
        let plan = topology::load("walks.yaml", text, topology::Overrides::default());
        let plan = plan.unwrap_or_else(|error| panic!("{error}"));
        let [ServicePlan::Sensors(sensors)] = plan.nodes["wall"].services.as_slice() else {
            panic!("{plan:?}");
        };
        let sources = sensors.resources.iter().map(|r| source(&r.value).unwrap());
        // The defaults of `random_walk` are what a reading is.
        let expected = [Source::Reading, Source::Walk(Walk::reading())];
        assert_eq!(sources.collect::<Vec<_>>(), expected);
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
