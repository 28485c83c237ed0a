//! How much memory a VM needs for a run.
//!
//! A guest keeps its captures in memory until it hands them over, beside what its nodes take. A
//! snapshot belongs to one size, so there are few sizes, and small plans all have the smallest.

use std::time::Duration;

use topology::Plan;
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
/// For each pair of nodes: what one says to all when it comes up.
const PER_PAIR: u64 = 600;

/// Memory of the guest in which `plan` is run, MiB.
///
/// # Errors
/// No guest is that large; says what the plan comes to, and what to change.
pub fn of_guest(plan: &Plan) -> Result<u32, String> {
    let nodes = plan.nodes.len() as u64;
    let captures = captures_bytes(plan) >> 20;
    // 512 MiB are enough for a hundred nodes.
    let of_nodes = match nodes {
        0..=100 => 512,
        101..=300 => 1024,
        301..=600 => 2048,
        _ => 4096,
    };
    let fits = |size: &&u64| **size >= of_nodes && **size / SHARE >= captures;
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
        assert_eq!(of_guest(&plan(1000, "10 s", "20 s")), Ok(4096));
    }

    #[test]
    fn what_no_guest_has_room_for_is_refused_with_the_figures() {
        let said = of_guest(&plan(10, "1 ms", "24 h")).unwrap_err();
        for part in ["12 nodes", "16384 MiB", "5461 MiB", "scenario.duration"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
