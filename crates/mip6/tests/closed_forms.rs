//! How long a handover takes with one way delays H to the home agent, C to the correspondent, M to the
//! mobility anchor point and X between the wired ones: from the address that may be used until a packet
//! that is sent to the node arrives there. The formulas are those of RFC 6275's and RFC 5380's message
//! sequences.

use std::time::Duration;

use crate::support::{AGENT, HOME, Net, Party, away, below_map, below_other, ms, secs};
use mip6::agent;
use mip6::cache::Change;
use mip6::mobile::{self, Order, RouteOptimization, Start};

/// From the last move until the home agent, the correspondent and the anchor point have the binding,
/// with one way to the node on top.
struct Delays {
    home: Option<Duration>,
    correspondent: Option<Duration>,
    map: Option<Duration>,
    other_map: Option<Duration>,
}

fn handover(net: &mut Net, first: mobile::Attachment, second: mobile::Attachment) -> Delays {
    net.move_to(first);
    net.run(secs(10));
    net.correspond();
    net.run(secs(10));
    net.agent_events.clear();
    net.map_events.clear();
    net.other_map_events.clear();
    net.correspondent_events.clear();
    let start = net.elapsed();
    net.move_to(second);
    net.run(secs(10));
    let bound = |(at, change): (Duration, Change), party| match change {
        Change::Bound { .. } => Some(at - start + (net.delay)(party, Party::Node)),
        Change::Removed { .. } => None,
    };
    let changed = |events: &[(Duration, agent::Event)], party| {
        let mut changes = events.iter().filter_map(|(at, event)| match event {
            agent::Event::Changed(change) => bound((*at, *change), party),
            agent::Event::Check(_) => None,
        });
        changes.next()
    };
    let mut correspondent = net.correspondent_events.iter();
    Delays {
        home: changed(&net.agent_events, Party::Agent),
        map: changed(&net.map_events, Party::Map),
        other_map: changed(&net.other_map_events, Party::OtherMap),
        correspondent: correspondent.find_map(|event| bound(*event, Party::Correspondent)),
    }
}

fn net(start: Start, order: Order, reuse_tokens: bool) -> Net {
    Net::new(mobile::Config {
        route_optimization: RouteOptimization {
            start,
            order,
            reuse_tokens,
            ..RouteOptimization::default()
        },
        ..mobile::Config::new(HOME, AGENT)
    })
}

/// Every way takes as long as the others: d.
const EQUAL: [fn(Party, Party) -> Duration; 4] =
    [|_, _| ms(5), |_, _| ms(10), |_, _| ms(20), |_, _| ms(40)];

#[test]
fn the_delay_over_equal_distances_is_2_6_8_and_10_times_the_distance() {
    let variants = [
        (Start::WithHomeUpdate, Order::Parallel, 6),
        (Start::AfterHomeAcknowledgement, Order::Parallel, 8),
        (Start::AfterHomeAcknowledgement, Order::Serial, 10),
    ];
    for delay in EQUAL {
        let d = delay(Party::Node, Party::Agent);
        for (start, order, ways) in variants {
            let mut net = net(start, order, false);
            net.delay = delay;
            let delays = handover(&mut net, away(1), away(2));
            assert_eq!(delays.home, Some(2 * d), "{start:?} {order:?}");
            assert_eq!(delays.correspondent, Some(ways * d), "{start:?} {order:?}");
        }
    }
}

#[test]
fn a_move_below_an_anchor_point_takes_two_ways_to_it_and_nobody_else_is_told() {
    for delay in EQUAL {
        let d = delay(Party::Node, Party::Map);
        let mut net = net(Start::WithHomeUpdate, Order::Parallel, false);
        net.delay = delay;
        let delays = handover(&mut net, below_map(1), below_map(2));
        assert_eq!(delays.map, Some(2 * d));
        assert_eq!((delays.home, delays.correspondent), (None, None));
    }
}

/// Below another anchor point it is its acknowledgement that the home agent is told after, from the address there and
/// so by way of it: with M to the anchor point and Y from there to the home agent 2 M + 2 (M + Y). By then what was
/// under way has been forwarded for long by the one before, 2 M' after the move.
#[test]
fn a_move_into_another_domain_takes_four_ways_to_its_anchor_point_and_two_on_to_the_home_agent() {
    for delay in EQUAL {
        let d = delay(Party::Node, Party::Map);
        let mut net = net(Start::WithHomeUpdate, Order::Parallel, false);
        net.delay = delay;
        let delays = handover(&mut net, below_map(1), below_other(3));
        assert_eq!((delays.other_map, delays.map), (Some(2 * d), Some(2 * d)));
        // The binding is made at the home agent, and what it sends passes the anchor point.
        assert_eq!(delays.home.map(|home| home + d), Some(6 * d));
    }
    let mut net = net(Start::WithHomeUpdate, Order::Parallel, false);
    net.delay = far;
    let (m, before, y) = (ms(7), ms(2), ms(50));
    let delays = handover(&mut net, below_map(1), below_other(3));
    assert_eq!(delays.map, Some(2 * before));
    assert_eq!(delays.other_map, Some(2 * m));
    // What `handover` adds is the way from the home agent to the node without an anchor point.
    let arrives = delays.home.map(|home| home - ms(80) + y + m);
    assert_eq!(arrives, Some(4 * m + 2 * y));
}

/// The home agent is 80 ms away, the correspondent 30, the anchor point 2, the other one 7; 50 between any of them.
fn far(from: Party, to: Party) -> Duration {
    let mut ends = [from, to];
    ends.sort();
    match ends {
        [Party::Node, Party::Agent] => ms(80),
        [Party::Node, Party::Map] => ms(2),
        [Party::Node, Party::OtherMap] => ms(7),
        [Party::Node, Party::Correspondent] => ms(30),
        _ => ms(50),
    }
}

#[test]
fn the_delay_over_different_distances_is_that_of_the_formulas() {
    let (h, c, m, x) = (ms(80), ms(30), ms(2), ms(50));
    let of = |start, order, reuse, first, second| {
        let mut net = net(start, order, reuse);
        net.delay = far;
        handover(&mut net, first, second)
    };
    let (with, after) = (Start::WithHomeUpdate, Start::AfterHomeAcknowledgement);
    let tests = (2 * (h + x)).max(2 * c);

    let delays = of(with, Order::Parallel, false, away(1), away(2));
    assert_eq!(delays.home, Some(2 * h));
    assert_eq!(delays.correspondent, Some((2 * h).max(tests) + 2 * c));
    let delays = of(after, Order::Parallel, false, away(1), away(2));
    assert_eq!(delays.correspondent, Some(2 * h + tests + 2 * c));
    let delays = of(after, Order::Serial, false, away(1), away(2));
    assert_eq!(
        delays.correspondent,
        Some(2 * h + 2 * (h + x) + 2 * c + 2 * c),
        "4 (H + C) + 2 X: the CoMP paper's table 3"
    );
    let delays = of(with, Order::Parallel, true, away(1), away(2));
    assert_eq!(
        delays.correspondent,
        Some((2 * h).max(2 * c) + 2 * c),
        "only the care-of token is new"
    );
    let delays = of(with, Order::Parallel, false, below_map(1), below_map(2));
    assert_eq!(delays.map, Some(2 * m));
}
