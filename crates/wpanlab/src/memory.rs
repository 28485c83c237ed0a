//! How much memory a VM needs for a run, and what its one processor can do.
//!
//! A guest keeps its captures in memory until it hands them over, beside what its nodes take. A
//! snapshot belongs to one size, so there are few sizes, and small plans all have the smallest.
//!
//! Packets that nobody had time to write into a capture wait in the kernel, up to 32 MiB for each
//! interface: captures are written in what time the nodes leave. So a guest whose processor never
//! idles runs out of memory, of whatever size it is.

use std::collections::BTreeMap;
use std::time::Duration;

use topology::Plan;
use topology::plan::Medium;
use units::Channel;
use units::quantity::format_duration;

/// What a guest may have, MiB.
const SIZES: [u64; 6] = [512, 1024, 2048, 4096, 8192, 16384];
/// The share of it that captures may take: the file system that they are in has half of the memory, and
/// events and logs want a part of that.
const SHARE: u64 = 3;

// Two hundred nodes of which each was asked twenty times within 20 s had 166 MB of captures; by
// these figures it is 163 MB.

/// Bytes of captures for a request and its response: on the wire, at the router, at the node.
const PER_REQUEST: u64 = 4_000;
/// And at each other node, whose radio hears its router's frames for all.
const PER_REQUEST_AND_NODE: u64 = 150;
/// For a node, each second, of what it and its router say by themselves.
const PER_NODE_SECOND: u64 = 300;
/// Frames that a guest's processor gets through in a second of virtual time, by radios that hear each.
/// 301 radios of which 300 were asked once a second (90,300) had their answers within 1.3 ms; with 401
/// (160,400) the processor had no time left to write captures.
const MOST_HEARD: u64 = 100_000;

/// For each pair of nodes: what one says to all when it comes up.
const PER_PAIR: u64 = 600;

// What a guest takes besides, measured as what QEMU had touched of its memory, itself included, when
// all daemons were ready: 137 MB with 53 nodes, 310 MB with 153, 1,076 MB with 403, each attached by
// SLAAC to one router. A parabola through the three.

/// Bytes of a guest without nodes.
const OF_SYSTEM: u64 = 80_000_000;
/// For each node: daemon, namespace, radio, three captures.
const OF_NODE: u64 = 1_250_000;
/// For each pair of nodes: what waits of what one says to all, and the edge between their radios.
const OF_PAIR: u64 = 3_300;

/// For each shadow radio of the per-frame air: a mobile node has one on each channel that it may use. 1,000 such nodes on
/// sixteen channels took 1,430 MiB more than 1,000 that stay.
const OF_SHADOW: u64 = 120_000;

/// Memory of the guest in which `plan` is run, MiB.
///
/// # Errors
/// No guest is that large; says what the plan comes to, and what to change.
pub fn of_guest(plan: &Plan) -> Result<u32, String> {
    let nodes = plan.nodes.len() as u64;
    let captures = captures_bytes(plan);
    let besides = OF_SYSTEM + nodes * (OF_NODE + nodes * OF_PAIR) + shadows(plan) * OF_SHADOW;
    let (all, captures) = ((captures.saturating_add(besides)) >> 20, captures >> 20);
    let fits = |size: &&u64| **size >= all && **size / SHARE >= captures;
    let size = SIZES.iter().find(fits);
    size.and_then(|size| u32::try_from(*size).ok())
        .ok_or_else(|| {
            let last = SIZES[SIZES.len() - 1];
            format!(
                "the captures of {nodes} nodes over {} come to some {captures} MiB, which a VM keeps in \
                 memory, and its largest, of {last} MiB, has room for {} MiB: shorten \
                 `scenario.duration` or ask less often",
                format_duration(plan.scenario.duration),
                last / SHARE
            )
        })
}

/// The shadow radios of the per-frame air.
fn shadows(plan: &Plan) -> u64 {
    let nodes = plan.nodes.values();
    match plan.radio.medium {
        Medium::Phy => nodes.map(|node| node.channels().len() as u64).sum(),
        Medium::Edges => 0,
    }
}

/// What of `plan` is more than the processor of a guest with virtual time can do, an instruction each
/// nanosecond; none if it may be done.
///
/// Under `edges` every radio on a channel hears what its router sends to any of them, and each takes
/// the frame in and has it captured.
pub fn overload(plan: &Plan) -> Option<String> {
    let mut on_channel: BTreeMap<Channel, u64> = BTreeMap::new();
    for radio in plan.nodes.values().filter_map(|node| node.radio.as_ref()) {
        *on_channel.entry(radio.channel).or_default() += 1;
    }
    let polls = plan.nodes.values().flat_map(|node| node.polls());
    let heard = polls.filter(|poll| !poll.observe).map(|poll| {
        let asked = plan.nodes.get(&poll.node).and_then(|n| n.radio.as_ref());
        let radios = asked.and_then(|radio| on_channel.get(&radio.channel));
        let radios = radios.copied().unwrap_or_default();
        per(Duration::from_secs(1000), poll.every).saturating_mul(radios)
    });
    let heard = heard.fold(0u64, u64::saturating_add) / 1000;
    (plan.radio.medium == Medium::Edges && heard > MOST_HEARD).then(|| {
        format!(
            "its requests come to {heard} frames a second, each counted once for every radio on the \
             channel, which all hear it; the processor of a VM with virtual time has time for \
             {MOST_HEARD}: ask less often, or spread the nodes over routers on several channels"
        )
    })
}

/// What the captures of a run come to, bytes, roughly.
fn captures_bytes(plan: &Plan) -> u64 {
    let duration = plan.scenario.duration;
    let nodes = plan.nodes.len() as u64;
    let polls = plan.nodes.values().flat_map(|node| node.polls());
    let asked = polls.filter(|poll| !poll.observe).map(|poll| {
        let asking = duration.saturating_sub(poll.first);
        per(asking, poll.every)
    });
    let requests = asked.fold(0u64, u64::saturating_add);
    let alone = nodes.saturating_mul(duration.as_secs() + 1);
    requests
        .saturating_mul(PER_REQUEST + PER_REQUEST_AND_NODE.saturating_mul(nodes))
        .saturating_add(alone.saturating_mul(PER_NODE_SECOND))
        .saturating_add(nodes.saturating_mul(nodes).saturating_mul(PER_PAIR))
}

/// How often `every` is in `duration`.
fn per(duration: Duration, every: Duration) -> u64 {
    let times = duration.as_nanos() / every.as_nanos().max(1);
    u64::try_from(times).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use topology::Overrides;

    fn plan(count: u32, every: &str, duration: &str) -> Plan {
        let text = format!(
            "version: 1\nname: x\nnodes:\n  er1: {{ role: edge-router }}\n  \
             sensor: {{ role: sensor, count: {count}, attached_to: er1, address: slaac }}\n  \
             client: {{ role: client, mobility: none, polls: [{{ node: sensor, every: {every} }}] }}\n\
             scenario: {{ duration: {duration} }}\n"
        );
        let mut none = |_: &str| Err("no file".to_owned());
        let loaded = topology::read("x", &text, Overrides::default(), &mut none);
        loaded.unwrap_or_else(|error| panic!("{error}")).plan
    }

    #[test]
    fn small_plans_have_the_memory_that_they_always_had() {
        for (count, every, duration) in [
            (1, "10 ms", "60 s"),
            (50, "1 s", "60 s"),
            (90, "4 s", "5 min"),
        ] {
            assert_eq!(of_guest(&plan(count, every, duration)), Ok(512));
        }
    }

    #[test]
    fn many_nodes_many_requests_and_long_scenarios_want_more() {
        assert_eq!(of_guest(&plan(200, "1 s", "20 s")), Ok(1024));
        assert_eq!(of_guest(&plan(400, "1 s", "20 s")), Ok(2048));
        assert_eq!(of_guest(&plan(1, "10 ms", "30 min")), Ok(4096));
        assert_eq!(of_guest(&plan(1, "1 s", "24 h")), Ok(2048));
        assert_eq!(of_guest(&plan(1000, "10 s", "20 s")), Ok(8192));
    }

    /// The kernel of a guest of 512 MiB had no memory for the radios of this one.
    #[test]
    fn nodes_that_may_use_many_channels_want_more() {
        let router = |channel| {
            format!(
                "  er{channel}: {{ role: edge-router, channel: {channel}, position: [0 m, {channel} m] }}\n"
            )
        };
        let guest = |channels: std::ops::RangeInclusive<u8>| {
            let routers: String = channels.map(router).collect();
            let text = format!(
                "version: 1\nname: x\nradio: {{ medium: phy }}\nnodes:\n  dhcp: {{ role: dhcpv6-server }}\n{routers}  walker:\n    role: mobile-node\n    \
                 mobility: none\n    count: 125\n    attached_to: er11\n    \
                 position: [1 m, 1 m]\nscenario: {{ duration: 20 s }}\n"
            );
            let mut none = |_: &str| Err("no file".to_owned());
            let loaded = topology::read("x", &text, Overrides::default(), &mut none);
            of_guest(&loaded.unwrap_or_else(|error| panic!("{error}")).plan)
        };
        assert_eq!(guest(11..=12), Ok(512));
        assert_eq!(guest(11..=26), Ok(1024));
    }

    #[test]
    fn what_a_guests_processor_has_no_time_for_is_told_with_the_figures() {
        for (count, every) in [(300, "1 s"), (1000, "11 s"), (1, "10 ms"), (50, "100 ms")] {
            assert_eq!(
                overload(&plan(count, every, "20 s")),
                None,
                "{count} {every}"
            );
        }
        // The guest ran out of memory 18 s after all 403 daemons were ready, whatever it had.
        let said = overload(&plan(400, "1 s", "20 s")).unwrap();
        assert!(said.contains("160400 frames a second"), "{said}");
    }

    #[test]
    fn what_no_guest_has_room_for_is_refused_with_the_figures() {
        let said = of_guest(&plan(10, "1 ms", "24 h")).unwrap_err();
        for part in ["12 nodes", "16384 MiB", "5461 MiB", "scenario.duration"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
