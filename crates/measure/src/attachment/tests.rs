use std::net::{IpAddr, SocketAddr};

use coap::Code;
use proptest::prelude::*;
use rundir::Phase;
use units::EthernetAddress;

use super::*;
use crate::analysis::{Exchange, Notification};
use crate::dissect::Protocol;
use crate::mobility::NodeHandover;
use crate::phases::ByPhase;
use capture::decode::LinkAddress;

const HOME: &str = "[2001:db8:f::5]:5683";
const THERE: &str = "[2001:db8:2::5]:5683";

fn at(ms: u64) -> SimTime {
    SimTime::from_nanos(1_000_000_000 + ms * 1_000_000)
}

/// A NON request that was sent at these milliseconds and answered from `from` at that one.
fn asked(sent: &[u64], answered: Option<u64>, from: &str) -> Exchange {
    let times: Vec<SimTime> = sent.iter().copied().map(at).collect();
    let answer = answered.map(|ms| (at(ms), from.parse().unwrap()));
    Exchange::of_test(sent[0] as u16, &times, HOME.parse().unwrap(), answer)
}

/// Asked at `ms` and answered 2 ms later from the home address.
fn poll(ms: u64) -> Exchange {
    asked(&[ms], Some(ms + 2), HOME)
}

fn lost(ms: u64) -> Exchange {
    asked(&[ms], None, HOME)
}

fn flow(exchanges: Vec<Exchange>, announced: &[u64]) -> Flow {
    let address = |net: u64| IpAddr::V6([0x2001, 0xdb8, net as u16, 0, 0, 0, 0, 5].into());
    let rebinding = |(n, ms): (usize, &u64)| Rebinding {
        time: at(*ms),
        permanent: HOME.parse::<SocketAddr>().unwrap().ip(),
        from: address(n as u64),
        to: address(n as u64 + 1),
        protocol: Protocol::named("made_up"),
        message: "binding update".into(),
    };
    Flow {
        client: "2001:db8::1".parse().unwrap(),
        client_name: None,
        counts_by_one: false,
        node: Some("2001:db8:f::5".into()),
        method: Code::GET,
        resource: "/t".into(),
        token: None,
        exchanges,
        observations: Vec::new(),
        rebindings: announced.iter().enumerate().map(rebinding).collect(),
    }
}

/// Polls every 10 ms for 100 ms, lost ones while the node is away from 100 to 400 ms, then polls.
fn away() -> Vec<Exchange> {
    let polls = (0..10).map(|n| poll(10 * n));
    let away = (10..40).map(|n| lost(10 * n));
    polls
        .chain(away)
        .chain((40..50).map(|n| poll(10 * n)))
        .collect()
}

/// What is shown of each handover: its delay in milliseconds, or why there is none.
fn shown(flow: &Flow) -> Vec<(By, Result<u128, Unseen>)> {
    let handovers = flow.handovers().into_iter();
    let shown = handovers.map(|h| (h.by(), h.gap.map(|gap| gap.duration().as_millis())));
    shown.collect()
}

#[test]
fn an_announced_binding_has_the_pause_that_it_lies_in() {
    // Anywhere in it, just before it and just after it: a round trip takes 2 ms.
    for instant in [89, 93, 250, 401, 405] {
        let flow = flow(away(), &[instant]);
        let [handover] = &flow.handovers()[..] else {
            panic!("{instant}: {:?}", flow.handovers());
        };
        let gap = handover.gap.as_ref().unwrap();
        assert_eq!(
            (handover.by(), gap.duration().as_millis()),
            (By::Binding, 310),
            "{instant}"
        );
        assert_eq!((gap.before.received, gap.after.received), (at(92), at(402)));
        assert_eq!(gap.lost.len(), 30);
        assert!(flow.gaps().is_empty(), "the pause is told once");
    }
    // Further off it is another pause's, of somebody who is answered at once.
    assert_eq!(shown(&flow(away(), &[60])), [(By::Binding, Ok(10))]);
}

#[test]
fn a_change_of_address_is_announced_whenever_it_likes_and_is_one_handover() {
    let (here, there) = ("[2001:db8::5]:5683", "[2001:db8:1::5]:5683");
    let before = (0..10).map(|n| asked(&[10 * n], Some(10 * n + 2), here));
    let after = (40..300).map(|n| asked(&[10 * n], Some(10 * n + 2), there));
    let exchanges: Vec<_> = before.chain(after).collect();
    for announced in [20, 250, 2_400] {
        let flow = flow(exchanges.clone(), &[announced]);
        assert_eq!(shown(&flow), [(By::Address, Ok(310))], "{announced}");
    }
}

#[test]
fn of_very_many_announcements_a_flow_tells_those_that_it_shows() {
    let announced: Vec<u64> = (0..5_000).map(|n| 100 + n % 300).collect();
    let flow = flow(away(), &announced);
    let (told, left_out) = flow.told_handovers();
    assert_eq!(told.len(), MOST_UNSEEN + 1);
    assert_eq!(left_out, 5_000 - MOST_UNSEEN - 1);
}

#[test]
fn of_two_changes_in_one_pause_the_later_one_has_it() {
    let there_and_back = flow(away(), &[150, 300]);
    let shared = Err(Unseen::Shared(at(300)));
    assert_eq!(
        shown(&there_and_back),
        [(By::Binding, shared), (By::Binding, Ok(310))]
    );
}

#[test]
fn a_change_of_address_and_its_announcement_are_one_handover() {
    let mut exchanges = away();
    for exchange in &mut exchanges[40..] {
        exchange.change_answer(|answer| answer.from = THERE.parse().unwrap());
    }
    assert_eq!(
        shown(&flow(exchanges.clone(), &[])),
        [(By::Address, Ok(310))]
    );
    assert_eq!(
        shown(&flow(exchanges.clone(), &[350])),
        [(By::Address, Ok(310))]
    );
    let twice = shown(&flow(exchanges, &[150, 350]));
    let shared = Err(Unseen::Shared(at(350)));
    assert_eq!(twice, [(By::Binding, shared), (By::Address, Ok(310))]);
}

#[test]
fn a_pause_in_which_nobody_asks_is_no_handover() {
    // The client stops at 100 ms and asks again at 900.
    let exchanges: Vec<Exchange> = (0..10).chain(90..100).map(|n| poll(10 * n)).collect();
    for instant in [500, 899, 901] {
        let shown = shown(&flow(exchanges.clone(), &[instant]));
        assert_eq!(shown, [(By::Binding, Err(Unseen::NotAsked))], "{instant}");
    }
    // The pause before the one that is asked in is not taken for it.
    let mut exchanges = exchanges;
    exchanges.extend((100..103).map(|n| lost(10 * n)));
    exchanges.extend((103..110).map(|n| poll(10 * n)));
    assert_eq!(shown(&flow(exchanges, &[1_010])), [(By::Binding, Ok(40))]);
}

#[test]
fn a_node_that_does_not_come_back_shows_no_handover() {
    let mut exchanges = away();
    exchanges.truncate(40);
    assert_eq!(
        shown(&flow(exchanges, &[200])),
        [(By::Binding, Err(Unseen::NoneAfter))]
    );
    let late = away().split_off(20);
    assert_eq!(
        shown(&flow(late, &[250])),
        [(By::Binding, Err(Unseen::NoneBefore))]
    );
    let before_the_flow = away().split_off(40);
    assert_eq!(shown(&flow(before_the_flow, &[250])), []);
}

#[test]
fn a_confirmable_request_that_was_sent_again_waits() {
    let mut exchanges: Vec<Exchange> = (0..10).map(|n| poll(10 * n)).collect();
    exchanges.push(asked(&[100, 2_100], Some(2_103), HOME));
    exchanges.push(poll(2_110));
    assert_eq!(
        shown(&flow(exchanges, &[1_500])),
        [(By::Binding, Ok(2_011))]
    );
}

#[test]
fn notifications_end_and_begin_pauses_like_responses() {
    let mut registration = poll(0);
    registration.change_answer(|answer| answer.number = Some(1));
    let times = (1..10).chain(50..60).map(|n| 10 * n);
    let notified = times.map(|ms| Notification {
        time: at(ms),
        from: HOME.parse().unwrap(),
        message_id: ms as u16,
        number: Some(ms as u32),
        confirmable: false,
        continues: false,
        hop: None,
    });
    registration.notifications_mut().extend(notified);
    let mut observed = flow(vec![registration], &[300]);
    assert_eq!(shown(&observed), [(By::Binding, Ok(410))]);
    observed.exchanges[0].notifications_mut().truncate(9);
    // It goes on to be observed: a poll of the same resource shows that.
    observed.exchanges.push(lost(400));
    assert_eq!(shown(&observed), [(By::Binding, Err(Unseen::NoneAfter))]);
}

fn mac(octet: u8) -> Option<LinkAddress> {
    Some(LinkAddress::Ethernet(EthernetAddress([
        2, 0, 0, 0, 0, octet,
    ])))
}

fn link(src: u8, dst: u8) -> Option<Link> {
    Some(Link {
        channel: None,
        pan: None,
        src: mac(src),
        dst: mac(dst),
    })
}

/// The flow of [`away`] whose responses cross these links, one by one, then the last one.
fn by_way_of(links: &[Option<Link>]) -> Flow {
    let mut exchanges = away();
    let answered = exchanges.iter_mut().filter(|e| e.is_answered());
    let last = links.last().copied().flatten();
    let links = links.iter().copied().chain(std::iter::repeat(last));
    answered.zip(links).for_each(|(exchange, link)| {
        let hop = link.map(|link| Hop {
            link,
            hop_limit: 64,
        });
        exchange.change_answer(|answer| answer.hop = hop);
    });
    flow(exchanges, &[])
}

#[test]
fn responses_by_way_of_another_router_are_a_handover() {
    let (router_1, router_2) = (link(1, 9), link(2, 9));
    let moved = by_way_of(&[[router_1; 10], [router_2; 10]].concat());
    assert_eq!(shown(&moved), [(By::Router, Ok(310))]);
    // Seen at the node: it sends to another router.
    let moved = by_way_of(&[[link(5, 1); 10], [link(5, 2); 10]].concat());
    assert_eq!(shown(&moved), [(By::Router, Ok(310))]);
    // With an announcement it is known by that.
    let mut moved = by_way_of(&[[router_1; 10], [router_2; 10]].concat());
    moved.rebindings = flow(vec![poll(0)], &[300]).rebindings;
    assert_eq!(shown(&moved), [(By::Binding, Ok(310))]);
}

#[test]
fn another_radio_network_is_another_router() {
    let between = |src, pan: u16, channel: Option<u8>| {
        Some(Link {
            channel: channel.map(|number| units::Channel::try_from(number).unwrap()),
            pan: Some(units::PanId(pan)),
            src,
            dst: mac(1),
        })
    };
    let radio = |pan, channel| between(mac(5), pan, channel);
    let somebodys = |channel| between(None, 1, Some(channel));
    for (before, after, changes) in [
        (radio(1, None), radio(2, None), 1),
        (somebodys(15), somebodys(20), 1),
        (radio(1, Some(15)), radio(1, Some(20)), 1),
        (radio(1, Some(15)), radio(1, None), 0),
        (radio(1, Some(15)), radio(1, Some(15)), 0),
    ] {
        let flow = by_way_of(&[[before; 10], [after; 10]].concat());
        assert_eq!(flow.handovers().len(), changes, "{before:?} {after:?}");
    }
    // The same two hop from channel to channel.
    let hops = [15, 20, 25].map(|channel| radio(1, Some(channel)));
    assert!(by_way_of(&hops).handovers().is_empty());
}

#[test]
fn other_hops_of_one_way_and_routers_in_turns_are_no_handover() {
    // A sniffer that missed the first hop of a packet saw the second one.
    let hops = [[link(5, 1); 10], [link(1, 9); 10]].concat();
    assert!(by_way_of(&hops).handovers().is_empty());
    let in_turns: Vec<_> = (0..20).map(|n| link(1 + n % 2, 9)).collect();
    assert!(by_way_of(&in_turns).handovers().is_empty());
    assert!(
        by_way_of(&[link(1, 9), None, link(2, 9)])
            .handovers()
            .is_empty()
    );
}

/// The same, each as far on its way as its hop limit says.
fn seen_at(hops: &[(Option<Link>, u8)]) -> Flow {
    let links: Vec<_> = hops.iter().map(|(link, _)| *link).collect();
    let mut flow = by_way_of(&links);
    let answered = flow.exchanges.iter_mut().filter(|e| e.is_answered());
    for (exchange, (_, hop_limit)) in answered.zip(hops) {
        exchange.change_answer(|answer| {
            if let Some(hop) = &mut answer.hop {
                hop.hop_limit = *hop_limit;
            }
        });
    }
    flow
}

#[test]
fn a_first_hop_that_was_not_heard_is_no_router_and_hides_none() {
    let (first, second) = ((link(5, 1), 64), (link(1, 9), 63));
    let missed = [[first; 10].as_slice(), &[second], &[first; 9]].concat();
    assert!(seen_at(&missed).handovers().is_empty());
    let other = (link(5, 2), 64);
    let moved = [[first; 9].as_slice(), &[second], &[other; 10]].concat();
    assert_eq!(shown(&seen_at(&moved)), [(By::Router, Ok(310))]);
}

/// A handover of the node's own account, with the beginning of its link phase.
fn record(left: u64, completed: u64, t_addr: &str) -> NodeHandover {
    let t_addr: SocketAddr = t_addr.parse().unwrap();
    let IpAddr::V6(t_addr) = t_addr.ip() else {
        panic!("{t_addr}");
    };
    NodeHandover {
        node: "sensor".into(),
        started: Some(at(left)),
        completed: Some(at(completed)),
        from: Some("er1".into()),
        to: Some("er1".into()),
        t_addr: Some(t_addr),
        spans: ByPhase::from_iter([(Phase::LINK, vec![(at(left), at(left + 5))])]),
        ..NodeHandover::default()
    }
}

/// What is shown of each handover: whether it has a record.
fn joined(flow: &Flow, records: &[NodeHandover]) -> Vec<(bool, By, Result<u128, Unseen>)> {
    let records: Vec<&NodeHandover> = records.iter().collect();
    let joined = join(Some(flow), &records).into_iter();
    let shown = joined.map(|j| {
        let gap = j.gap.map(|gap| gap.duration().as_millis());
        (j.record.is_some(), j.by, gap)
    });
    shown.collect()
}

#[test]
fn a_handover_of_the_events_has_the_pause_that_most_of_it_lies_in() {
    let flow = flow(away(), &[]);
    for (left, completed) in [(95, 399), (91, 404), (100, 150), (300, 470), (92, 402)] {
        let joined = joined(&flow, &[record(left, completed, HOME)]);
        assert_eq!(
            joined,
            [(true, By::Events, Ok(310))],
            "{left} to {completed}"
        );
    }
}

#[test]
fn a_rest_that_begins_as_the_handover_ends_is_not_its_pause() {
    // Back at 400 ms, and nothing to ask until 9 s. The node has its last acknowledgement later.
    let mut exchanges = away();
    exchanges.truncate(41);
    exchanges.push(poll(9_000));
    let joined = joined(&flow(exchanges, &[]), &[record(95, 420, HOME)]);
    assert_eq!(joined, [(true, By::Events, Ok(310))]);
}

#[test]
fn of_two_handovers_in_one_pause_the_events_of_the_later_one_have_it() {
    let records = [record(95, 200, THERE), record(210, 399, HOME)];
    let there_and_back = joined(&flow(away(), &[]), &records);
    let shared = Err(Unseen::Shared(at(399)));
    let expected = [(true, By::Events, shared), (true, By::Events, Ok(310))];
    assert_eq!(there_and_back, expected);

    // And over to a third router, whose address answers.
    let mut exchanges = away();
    for exchange in &mut exchanges[40..] {
        exchange.change_answer(|answer| answer.from = THERE.parse().unwrap());
    }
    let records = [record(95, 200, HOME), record(210, 399, THERE)];
    let onwards = joined(&flow(exchanges, &[]), &records);
    let expected = [(true, By::Address, Ok(310)), (true, By::Events, shared)];
    assert_eq!(onwards, expected);
}

#[test]
fn a_change_of_address_that_no_record_led_to_belongs_to_the_one_it_lies_in() {
    let mut exchanges = away();
    for exchange in &mut exchanges[40..] {
        exchange.change_answer(|answer| answer.from = THERE.parse().unwrap());
    }
    let flow = flow(exchanges, &[]);
    let within = joined(&flow, &[record(95, 399, HOME)]);
    assert_eq!(within, [(true, By::Address, Ok(310))]);
    let elsewhere = joined(&flow, &[record(430, 440, HOME)]);
    let expected = [(true, By::Events, Ok(10)), (false, By::Address, Ok(310))];
    assert_eq!(elsewhere, expected);
}

#[test]
fn a_handover_in_which_nobody_waits_has_no_delay() {
    let exchanges: Vec<Exchange> = (0..10).map(|n| poll(1_000 * n)).collect();
    let slow = flow(exchanges, &[]);
    let between = joined(&slow, &[record(2_300, 2_700, HOME)]);
    assert_eq!(between, [(true, By::Events, Err(Unseen::NotAsked))]);
    // Unless the clients were told to keep back what they ask.
    let mut held = record(2_300, 2_700, HOME);
    held.spans.entry(&Phase::HOLD).push((at(2_300), at(2_310)));
    assert_eq!(joined(&slow, &[held]), [(true, By::Events, Ok(1_000))]);

    let after = joined(&slow, &[record(9_500, 9_600, HOME)]);
    assert_eq!(after, [(true, By::Events, Err(Unseen::NoneAfter))]);
    let mut begins_late = away().split_off(30);
    begins_late.truncate(20);
    let before = joined(&flow(begins_late, &[]), &[record(310, 399, HOME)]);
    assert_eq!(before, [(true, By::Events, Err(Unseen::NoneBefore))]);
    let unseen = record(95, 399, HOME);
    assert_eq!(join(None, &[&unseen])[0].gap, Err(Unseen::NotAsked));
}

#[test]
fn a_handover_of_a_moment_has_the_pause_in_which_the_requests_were_lost() {
    // Between two requests; from the next one on they are lost.
    let flow = flow(away(), &[]);
    assert_eq!(
        joined(&flow, &[record(94, 95, HOME)]),
        [(true, By::Events, Ok(310))]
    );
}

#[test]
fn a_node_that_tells_nothing_is_seen_in_the_capture_and_one_that_tells_is_believed() {
    let announced = flow(away(), &[250]);
    assert_eq!(joined(&announced, &[]), [(false, By::Binding, Ok(310))]);
    let failed = NodeHandover {
        completed: None,
        ..record(95, 399, HOME)
    };
    assert_eq!(joined(&announced, &[failed]), []);
}

fn exchanges() -> impl Strategy<Value = Vec<Exchange>> {
    let exchange = (
        0_u64..60,
        prop::option::weighted(0.8, 1_u64..80),
        any::<bool>(),
    );
    prop::collection::vec(exchange, 1..60).prop_map(|all| {
        let mut sent = 0;
        let exchanges = all.into_iter().map(|(pause, rtt, here)| {
            sent += pause;
            let from = if here { HOME } else { THERE };
            asked(&[sent], rtt.map(|rtt| sent + rtt), from)
        });
        exchanges.collect()
    })
}

/// That no two of these overlap, and each is a pause of the flow.
fn apart(flow: &Flow, gaps: Vec<&Gap>) -> Result<(), TestCaseError> {
    let pauses = flow.pauses();
    let mut ends: Vec<(SimTime, SimTime)> = Vec::new();
    for gap in gaps {
        let pause = |p: Pause| p.before == gap.before && p.after == gap.after;
        prop_assert!(pauses.iter().any(pause));
        ends.push((gap.before.received, gap.after.received));
    }
    ends.sort_unstable();
    prop_assert!(
        ends.windows(2)
            .all(|two| two[0].1 <= two[1].0 && two[0] != two[1] || two[0].0 == two[0].1)
    );
    Ok(())
}

proptest! {
    #[test]
    fn no_time_is_in_two_handovers(
        exchanges in exchanges(),
        announced in prop::collection::btree_set(0_u64..3_000, 0..12),
        records in prop::collection::vec((0_u64..3_000, 1_u64..300, any::<bool>()), 0..12),
    ) {
        let announced: Vec<u64> = announced.into_iter().collect();
        let flow = flow(exchanges, &announced);
        let handovers = flow.handovers();
        apart(&flow, handovers.iter().filter_map(|h| h.gap.as_ref().ok()).collect())?;
        let addresses = flow.pauses().iter().filter(Pause::changes_address).count();
        prop_assert_eq!(handovers.iter().filter(|h| h.by() == By::Address).count(), addresses);
        let gaps = flow.gaps();
        let shown = handovers.iter().filter_map(|h| h.gap.as_ref().ok());
        apart(&flow, shown.chain(&gaps).collect())?;

        let mut records: Vec<NodeHandover> = records
            .into_iter()
            .map(|(left, length, here)| record(left, left + length, if here { HOME } else { THERE }))
            .collect();
        records.sort_by_key(|record| record.started);
        let records: Vec<&NodeHandover> = records.iter().collect();
        let joined = join(Some(&flow), &records);
        apart(&flow, joined.iter().filter_map(|j| j.gap.as_ref().ok()).collect())?;
        let told = joined.iter().filter(|j| j.record.is_some()).count();
        prop_assert_eq!(told, records.len());
    }
}
