//! Every procedure between WMMS, client and node, and every answer to a wrong request.

use std::time::Duration;

use crate::support::*;
use coap::{Code, Request};
use comp::client::{self, CallFailure, HoldQueue};
use comp::codec::{self, Command, Lifetime, Location, PATH};
use comp::{BindingMode, Removal, node};
use handover::{BindingEvent, Mobility, Step};

const STRANGER: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0, 0, 0, 0, 9);

fn registration(lifetime: u16) -> Command {
    Command::Registration {
        p_addr: P,
        t_addr: T1,
        lifetime: Lifetime(lifetime),
    }
}

fn binding(t_addr: std::net::Ipv6Addr, lifetime: u16) -> Command {
    Command::BindingUpdate {
        p_addr: P,
        t_addr,
        lifetime: Lifetime(lifetime),
    }
}

impl Net {
    /// The answer to a command from somebody at `from`.
    fn command(&mut self, from: std::net::Ipv6Addr, to: std::net::Ipv6Addr, c: Command) -> Code {
        let request = self.newer(to, &c);
        self.ask(socket(from), to, request)
            .map_or(Code::EMPTY, |r| r.code)
    }

    fn discover(&mut self) -> Option<Location> {
        let request = Command::Discovery { p_addr: P }.request();
        let response = self.ask(socket(STRANGER), W, request)?;
        Location::parse(&response).ok()
    }
}

#[test]
fn a_node_registers_and_is_discovered_with_its_remaining_lifetime() {
    let mut net = Net::new(Setup::default());
    assert_eq!(net.discover(), None);
    net.node.register(net.now, T1);
    net.run_until(100);
    let registered = BindingEvent::Registered {
        p_addr: P,
        t_addr: T1,
    };
    let reported = node::Event::Binding(registered.clone());
    assert_eq!(net.node_reported(&reported), Some(at(8)));
    assert_eq!(net.wmms_events, [(at(4), registered)]);
    net.run_until(60_500);
    let location = net.discover().expect("registered");
    assert_eq!((location.t_addr, location.held), (T1, false));
    assert_eq!(
        location.lifetime,
        Lifetime(540),
        "rounded up to whole seconds"
    );
}

#[test]
fn the_wmms_answers_each_procedure_with_the_code_of_the_table() {
    let mut net = Net::new(Setup::default());
    assert_eq!(net.command(T1, W, registration(60)), Code::CREATED);
    assert_eq!(
        net.command(STRANGER, W, Command::Discovery { p_addr: P }),
        Code::CONTENT
    );
    assert_eq!(net.command(T2, W, binding(T2, 60)), Code::CHANGED);
    let gone = Command::Deregistration { p_addr: P };
    assert_eq!(net.command(T2, W, gone.clone()), Code::DELETED);
    // And of whom it does not know.
    for command in [
        gone,
        binding(T2, 60),
        Command::Discovery { p_addr: P },
        Command::Hold {
            p_addr: P,
            sleep: None,
        },
    ] {
        assert_eq!(net.command(T2, W, command), Code::NOT_FOUND);
    }
    // Without a correspondent a hold is answered at once.
    assert_eq!(net.command(T1, W, registration(60)), Code::CREATED);
    let hold = Command::Hold {
        p_addr: P,
        sleep: None,
    }
    .request();
    let response = net.ask(socket(T1), W, hold).unwrap();
    assert_eq!(codec::parse_hold_response(&response), Ok(0));
    assert!(net.wmms.mmt().get(P).unwrap().held);
}

#[test]
fn lifetime_zero_deletes() {
    for (command, code) in [
        (registration(0), Code::DELETED),
        (binding(T1, 0), Code::CHANGED),
    ] {
        let mut net = Net::registered(Setup::default());
        assert_eq!(net.command(T1, W, command), code);
        net.run_until(1001);
        let removed = removed(Removal::LifetimeZero);
        assert!(net.wmms_events.iter().any(|(_, event)| *event == removed));
        assert_eq!(net.wmms.mmt().get(P), None);
    }
}

#[test]
fn a_wrong_request_is_answered_with_the_name_of_the_option_and_changes_nothing() {
    let mut net = Net::registered(Setup::default());
    let wrong = |method, options: &[(u16, &[u8])]| {
        let mut request = Request::new(method, PATH);
        for (number, value) in options {
            request.options.push(*number, *value);
        }
        request
    };
    let (p, t) = (P.octets(), T2.octets());
    let before = net.wmms.mmt().get(P).cloned();
    let cases = [
        (
            wrong(
                Code::PUT,
                &[(2048, &[1]), (2049, &p), (2050, &t), (2053, &[])],
            ),
            Code::BAD_REQUEST,
            "Lifetime",
        ),
        (
            wrong(Code::PUT, &[(2048, &[4]), (2049, &p), (2053, &[7])]),
            Code::BAD_REQUEST,
            "Hold flag",
        ),
        (
            wrong(Code::DELETE, &[(2048, &[4]), (2049, &p)]),
            Code::BAD_REQUEST,
            "Message type",
        ),
        (
            wrong(Code::DELETE, &[(2048, &[3]), (2049, &p[..15])]),
            Code::BAD_REQUEST,
            "Permanent address",
        ),
        (
            wrong(Code::DELETE, &[(2048, &[3]), (2049, &p), (2055, &[])]),
            Code::BAD_OPTION,
            "2055",
        ),
        (
            wrong(Code::DELETE, &[(2048, &[3]), (2049, &p), (2049, &t)]),
            Code::BAD_OPTION,
            "2049",
        ),
        (
            wrong(Code::new(0, 6), &[]),
            Code::METHOD_NOT_ALLOWED,
            "method 0.06",
        ),
    ];
    for peer in [W, client_address(0), T1] {
        for (request, code, named) in cases.clone() {
            let response = net.ask(socket(STRANGER), peer, request).expect("an answer");
            let text = String::from_utf8(response.payload).unwrap();
            assert_eq!(response.code, code, "{text}");
            assert!(text.contains(named), "{text} names {named}");
        }
    }
    assert_eq!(net.wmms.mmt().get(P).cloned(), before);
    assert_eq!(net.wmms_events, []);
}

#[test]
fn client_and_node_refuse_what_is_not_theirs() {
    let mut net = Net::registered(Setup::default());
    for peer in [client_address(0), T1] {
        assert_eq!(
            net.command(W, peer, registration(9)),
            Code::METHOD_NOT_ALLOWED
        );
        let discovery = Command::Discovery { p_addr: P };
        assert_eq!(net.command(W, peer, discovery), Code::METHOD_NOT_ALLOWED);
    }
    // The client has not asked for this node yet.
    let hold = Command::Hold {
        p_addr: P,
        sleep: None,
    };
    assert_eq!(
        net.command(W, client_address(0), hold.clone()),
        Code::NOT_FOUND
    );
    assert_eq!(
        net.command(T2, client_address(0), binding(T2, 9)),
        Code::NOT_FOUND
    );
    // And then it has, and a stranger speaks.
    net.get(0);
    net.run_until(1100);
    assert_eq!(
        net.command(STRANGER, client_address(0), hold.clone()),
        Code::new(4, 3)
    );
    assert_eq!(
        net.command(STRANGER, client_address(0), binding(T2, 9)),
        Code::new(4, 3)
    );
    assert!(!net.clients[0].client().lbc().get(P).unwrap().held);
    // The node may speak for itself, and the WMMS for it.
    assert_eq!(net.command(T1, client_address(0), hold), Code::CHANGED);
    assert!(net.clients[0].client().lbc().get(P).unwrap().held);
    assert_eq!(
        net.command(T2, client_address(0), binding(T2, 9)),
        Code::CHANGED
    );
    assert_eq!(net.clients[0].client().lbc().get(P).unwrap().t_addr, T2);
}

#[test]
fn other_paths_are_not_found_and_the_core_links_lead_to_comp() {
    let mut net = Net::registered(Setup::default());
    for peer in [W, client_address(0)] {
        let links = Request::new(Code::GET, "/.well-known/core");
        let response = net.ask(socket(STRANGER), peer, links).unwrap();
        assert_eq!(
            (response.code, response.payload.as_slice()),
            (Code::CONTENT, &b"</comp>"[..])
        );
        assert_eq!(
            response.options.get(coap::message::option::CONTENT_FORMAT),
            Some(&[40][..])
        );
        let other = Request::new(Code::GET, "/temperature");
        assert_eq!(
            net.ask(socket(STRANGER), peer, other).unwrap().code,
            Code::NOT_FOUND
        );
    }
}

#[test]
fn a_hold_is_answered_after_every_correspondent_acknowledged() {
    let mut net = Net::registered(Setup {
        clients: 3,
        ..Setup::default()
    });
    net.get_from_all();
    net.run_until(1100);
    // The third client's first copy of the hold is lost, and the second comes 2 to 3 s later.
    let mut lost = false;
    net.cut = Box::new(move |_, d| {
        !lost && *d.to.ip() == client_address(2) && d.is(Code::PUT) && {
            lost = true;
            lost
        }
    });
    let patient = Duration::from_secs(5);
    net.restart_wmms(patient, BindingMode::Direct, net.table());
    net.node.hold(net.now);
    net.run_until(5900);
    let acknowledged = net
        .sent
        .iter()
        .filter(|(_, d)| d.to == socket(W) && d.is(Code::CHANGED));
    let last = acknowledged.map(|(time, _)| *time).max().unwrap();
    assert!(last > at(3100), "after the first retransmission");
    let (answered, event) = net.node_events.last().unwrap();
    assert_eq!(*answered, last + ms(8), "client to WMMS to node");
    assert!(
        matches!(event, node::Event::HoldAnswered { .. }),
        "{event:?}"
    );
    assert!((0..3).all(|i| net.clients[i].client().lbc().get(P).unwrap().held));
}

#[test]
fn a_hold_is_answered_after_the_timeout_when_a_correspondent_is_silent() {
    let mut net = Net::registered(Setup {
        clients: 2,
        ..Setup::default()
    });
    net.get_from_all();
    net.run_until(1100);
    net.cut = Box::new(|_, d| *d.to.ip() == client_address(1));
    net.node.hold(net.now);
    net.run_until(3000);
    let [(time, node::Event::HoldAnswered { .. })] = net.node_events[..] else {
        panic!("{:?}", net.node_events);
    };
    assert_eq!(time, at(1100 + 500 + 8));
    // The silent one is told on, and in the end forgotten.
    net.run_until(120_000);
    let correspondents = &net.wmms.mmt().get(P).unwrap().extra.correspondents;
    assert_eq!(
        correspondents.iter().collect::<Vec<_>>(),
        [socket(client_address(0))]
    );
}

#[test]
fn a_hold_reports_the_last_request_that_the_node_answered() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1100);
    let (_, message_id) = net.served[0];
    net.node.hold(net.now);
    net.run_until(1200);
    let answered = node::Event::HoldAnswered {
        sequence_number: message_id,
    };
    assert_eq!(
        net.node_reported(&answered),
        Some(at(1116)),
        "two exchanges, one in the other"
    );
    assert_eq!(net.node.sequence_number(), message_id);
    assert_eq!(
        net.wmms.mmt().get(P).unwrap().extra.sequence_number,
        message_id
    );
}

#[test]
fn a_hold_that_nobody_answers_fails() {
    let mut net = Net::registered(Setup::default());
    net.cut = Box::new(|_, d| *d.to.ip() == W);
    net.node.hold(net.now);
    net.run_until(120_000);
    let reason = "hold: no acknowledgement after the last retransmission".to_owned();
    assert!(net.node_took(&Step::Failed { reason }).is_some());
}

#[test]
fn deregistration_drops_the_entry_and_tells_the_correspondents() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1100);
    net.node.deregister(net.now);
    net.run_until(1200);
    assert!(net.node_reported(&node::Event::Deregistered).is_some());
    let removed = client::Event::Binding(removed(Removal::LifetimeZero));
    assert!(
        net.client_events
            .iter()
            .any(|(_, _, event)| *event == removed)
    );
    net.get(0);
    net.run_until(1300);
    assert_eq!(net.failures(), [CallFailure::NodeUnknown]);
    assert_eq!(net.failures()[0].to_string(), "node unknown");
}

#[test]
fn a_lifetime_that_ends_removes_the_entry_at_the_wmms_and_at_the_client() {
    let mut net = Net::registered(Setup {
        lifetime: Duration::from_secs(20),
        ..Setup::default()
    });
    net.get(0);
    net.run_until(1100);
    net.node_address = None;
    net.run_until(40_000);
    let at_wmms = removed(Removal::LifetimeEnded);
    let at_client = client::Event::Binding(at_wmms.clone());
    assert!(net.wmms_events.iter().any(|(_, event)| *event == at_wmms));
    assert!(
        net.client_events
            .iter()
            .any(|(_, _, event)| *event == at_client)
    );
}

#[test]
fn registrations_are_refreshed_before_their_lifetime_ends() {
    let mut net = Net::registered(Setup {
        lifetime: Duration::from_secs(20),
        ..Setup::default()
    });
    net.get(0);
    net.run_until(300_000);
    assert_eq!(
        net.count_sent(W, Code::POST),
        2 * 29,
        "node and client, every 10 s"
    );
    assert!(net.wmms.mmt().get(P).is_some() && net.wmms.mmt().get(client_address(0)).is_some());
    let removed = |event: &BindingEvent| matches!(event, BindingEvent::Removed { .. });
    assert!(!net.wmms_events.iter().any(|(_, event)| removed(event)));
    assert_eq!(net.node_events, [], "a refresh is no news");
}

#[test]
fn a_sleep_keeps_requests_back_until_its_period_ends() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1100);
    net.node.sleep(net.now, Duration::from_secs(3));
    net.run_until(1200);
    let served = net.served.len();
    net.get(0);
    // A second client finds the node asleep.
    assert_eq!(net.discover().unwrap().sleep, Some(ms(2904)));
    net.run_until(4100);
    assert_eq!(net.served.len(), served);
    net.run_until(4200);
    assert_eq!(net.served.len(), served + 1);
    let changed = BindingEvent::Changed {
        p_addr: P,
        t_addr: T1,
        held: false,
    };
    assert_eq!(net.wmms_events.last(), Some(&(at(4104), changed)));
}

#[test]
fn a_node_that_wakes_early_ends_its_sleep() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1100);
    net.node.sleep(net.now, Duration::from_secs(3));
    net.run_until(1200);
    net.get(0);
    net.node.bind(net.now, T1);
    net.run_until(1300);
    assert_eq!(net.answered(), 2);
    assert_eq!(net.node_took(&Step::Bound { address: T1 }), Some(at(1208)));
}

#[test]
fn an_unknown_node_fails_every_request_that_waited_for_its_discovery() {
    let mut net = Net::new(Setup::default());
    net.get(0);
    net.get(0);
    assert_eq!(net.clients[0].client().outstanding(), 2);
    net.run_until(100);
    assert_eq!(
        net.failures(),
        [CallFailure::NodeUnknown, CallFailure::NodeUnknown]
    );
    assert_eq!(net.clients[0].client().outstanding(), 0);
    assert_eq!(net.count_sent(W, Code::GET), 1);
}

#[test]
fn a_full_hold_queue_and_a_long_hold_are_failures_that_the_caller_sees() {
    let mut net = Net::registered(Setup {
        hold_queue: HoldQueue {
            capacity: 2,
            timeout: Duration::from_secs(3),
        },
        ..Setup::default()
    });
    net.get(0);
    net.run_until(1100);
    net.node.hold(net.now);
    net.run_until(1200);
    for _ in 0..3 {
        net.get(0);
    }
    net.run_until(1201);
    assert_eq!(net.failures(), [CallFailure::HoldQueueFull]);
    net.run_until(4300);
    assert_eq!(
        net.failures()[1..],
        [CallFailure::HoldTimeout, CallFailure::HoldTimeout]
    );
    let texts: Vec<_> = net.failures().iter().map(CallFailure::to_string).collect();
    assert_eq!(texts, ["hold queue full", "hold timeout", "hold timeout"]);
    assert_eq!(net.clients[0].client().outstanding(), 0);
    // The client does not trust so old a hold, asks, and learns that it still stands.
    net.get(0);
    net.run_until(4400);
    assert_eq!(net.count_sent(W, Code::GET), 2);
    assert!(net.clients[0].client().lbc().get(P).unwrap().held);
}

#[test]
fn a_client_that_gets_no_answer_discovers_again() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1100);
    // The node vanishes and comes back elsewhere, without a word to the client.
    net.node_address = None;
    net.get(0);
    net.run_until(100_000);
    let timeout = CallFailure::Exchange(coap::Failure::Timeout);
    assert_eq!(net.failures(), [timeout]);
    let removed = client::Event::Binding(removed(Removal::NoAnswer));
    assert!(
        net.client_events
            .iter()
            .any(|(_, _, event)| *event == removed)
    );
    assert_eq!(net.command(T2, W, binding(T2, 600)), Code::CHANGED);
    net.node_address = Some(T2);
    net.get(0);
    net.run_until(100_100);
    assert_eq!(net.answered(), 2);
}

#[test]
fn a_wmms_that_restarts_with_its_table_goes_on_where_it_was() {
    let mut net = Net::registered(Setup {
        binding: BindingMode::Relayed,
        ..Setup::default()
    });
    net.get(0);
    net.run_until(1100);
    net.node.hold(net.now);
    net.run_until(1200);
    net.restart_wmms(ms(500), BindingMode::Relayed, net.table());
    net.get(0);
    net.node.bind(net.now, T1);
    net.run_until(1300);
    assert_eq!(
        net.answered(),
        2,
        "the binding was passed on to the client known before"
    );
}

#[test]
fn a_refresh_that_falls_due_during_a_sleep_waits_for_its_end() {
    let mut net = Net::registered(Setup {
        lifetime: Duration::from_secs(20),
        ..Setup::default()
    });
    net.node.sleep(net.now, Duration::from_secs(15));
    net.run_until(20_000);
    let refreshes: Vec<_> = (net.sent.iter())
        .filter(|(_, d)| *d.from.ip() == T1 && d.is(Code::POST))
        .map(|(time, _)| *time)
        .collect();
    assert_eq!(
        refreshes,
        [at(16_000)],
        "10 s after the registration it was asleep"
    );
    assert!(!net.wmms.mmt().get(P).unwrap().held);
}
