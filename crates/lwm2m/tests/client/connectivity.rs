//! Connectivity Monitoring (LwM2M 1.1 Core §E.5) of a client whose node says how it is connected.

use std::net::Ipv6Addr;
use std::time::Duration;

use coap::{Code, Request};
use lwm2m::client::{Client, Config};
use lwm2m::{Format, Store};
use service::{Bearer, Connectivity, Heard, Reach, Service};
use units::{Dbm, Lqi, Seed};

use crate::support::*;

/// A tree with the object and its instance.
fn tree() -> Store {
    let mut store = device(1);
    store.support(4);
    let mut begun = store.transaction();
    begun.create(path("/4/0")).unwrap();
    begun.commit();
    store
}

fn radio(rssi: f64, lqi: u8, router: u16) -> Connectivity {
    let address = |host: u16| Ipv6Addr::new(0x2001, 0xdb8, router, 0, 0, 0, 0, host);
    Connectivity {
        bearer: Bearer::Ieee802154,
        available: vec![Bearer::Ieee802154],
        heard: Some(Heard {
            rssi: Dbm(rssi),
            lqi: Lqi(lqi),
        }),
        addresses: vec![address(5)],
        routers: vec![Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, router)],
    }
}

/// A registered client that was told `first` before it started.
fn bench(first: &Connectivity) -> Bench {
    let client = Client::new(
        Config::new("device"),
        tree(),
        Seed(1).rng(&["client"]),
        false,
    );
    let mut bench = Bench::of(client.with_connectivity(), 1);
    bench.client.connected(bench.now, first);
    bench.start();
    bench
}

impl Bench {
    fn connected(&mut self, connectivity: &Connectivity) {
        self.client.connected(self.now, connectivity);
        self.pass(Duration::ZERO);
    }
}

#[test]
fn what_was_said_before_the_start_is_there_and_is_read_as_oma_has_it() {
    let mut bench = bench(&radio(-61.4, 146, 1));
    let all = text(&bench.get("/4/0", Format::Json));
    let expected = concat!(
        r#"{"bn":"/4/0","e":[{"n":"/0","v":23},{"n":"/1/0","v":23},{"n":"/2","v":-61},{"n":"/3","v":146},"#,
        r#"{"n":"/4/0","sv":"2001:db8:1::5"},{"n":"/5/0","sv":"fe80::1"}]}"#
    );
    assert_eq!(all, expected);
}

#[test]
fn a_handover_is_one_change_of_router_address_and_signal() {
    let mut bench = bench(&radio(-60.0, 150, 1));
    let signal = bench.begin(1, observe("/4/0/2", Format::Text));
    let router = bench.begin(1, observe("/4/0/5", Format::Json));
    let all = bench.begin(1, observe("/4/0", Format::SenmlJson));
    bench.connected(&radio(-72.0, 101, 2));
    assert_eq!(bench.notifications(signal), ["-60", "-72"]);
    let routers = bench.notifications(router);
    assert_eq!(routers.len(), 2, "{routers:?}");
    assert!(routers[1].contains("fe80::2") && !routers[1].contains("fe80::1"));
    // Nothing of the old router's address is left, and all of it is one notification.
    let seen = bench.notifications(all);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[1].contains("2001:db8:2::5") && !seen[1].contains("2001:db8:1::5"));
}

#[test]
fn less_than_a_decibel_is_no_change_of_the_signal() {
    let mut bench = bench(&radio(-60.0, 150, 1));
    let signal = bench.begin(1, observe("/4/0/2", Format::Text));
    let quality = bench.begin(1, observe("/4/0/3", Format::Text));
    bench.connected(&radio(-60.3, 149, 1));
    assert_eq!(bench.notifications(signal), ["-60"]);
    assert_eq!(bench.notifications(quality), ["150", "149"]);
}

#[test]
fn attributes_hold_of_the_signal_as_of_any_number() {
    let mut bench = bench(&radio(-60.0, 150, 1));
    let mut attach = Request::new(Code::PUT, "/4/0/2");
    for query in ["lt=-80", "pmin=5"] {
        attach.options.push(coap::message::option::URI_QUERY, query);
    }
    assert_eq!(bench.ask(1, attach).code, Code::CHANGED);
    let signal = bench.begin(1, observe("/4/0/2", Format::Text));
    bench.connected(&radio(-70.0, 101, 1));
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.notifications(signal), ["-60"]);
    bench.connected(&radio(-81.0, 50, 1));
    assert_eq!(bench.notifications(signal), ["-60", "-81"]);
}

#[test]
fn nothing_is_told_while_the_node_is_off_its_link() {
    let mut bench = bench(&radio(-60.0, 150, 1));
    bench.client.connected(bench.now, &radio(-72.0, 101, 2));
    let off = Reach {
        sends: false,
        asks: false,
    };
    assert!(bench.client.poll_timeout(Reach::FULL) == Some(bench.now));
    assert!(bench.client.poll_timeout(off).is_none());
    assert_eq!(text(&bench.get("/4/0/2", Format::Text)), "-60");
    bench.pass(Duration::ZERO);
    assert_eq!(text(&bench.get("/4/0/2", Format::Text)), "-72");
}

#[test]
fn a_wire_has_no_signal_and_what_a_server_deleted_stays_away() {
    let wire = Connectivity {
        bearer: Bearer::Ethernet,
        available: vec![Bearer::Ethernet, Bearer::Ieee802154],
        heard: None,
        addresses: vec!["2001:db8::4".parse().unwrap()],
        routers: Vec::new(),
    };
    let mut bench = bench(&wire);
    let all = text(&bench.get("/4/0", Format::Json));
    let expected = concat!(
        r#"{"bn":"/4/0","e":[{"n":"/0","v":41},{"n":"/1/0","v":41},{"n":"/1/1","v":23},"#,
        r#"{"n":"/4/0","sv":"2001:db8::4"}]}"#
    );
    assert_eq!(all, expected);
    assert_eq!(bench.get("/4/0/2", Format::Text).code, Code::NOT_FOUND);
    let delete = Request::new(Code::DELETE, "/4/0");
    assert_eq!(bench.ask(1, delete).code, Code::DELETED);
    bench.connected(&radio(-60.0, 150, 1));
    assert_eq!(bench.get("/4/0", Format::Json).code, Code::NOT_FOUND);
}

/// Who does not ask for it has the values that were written, whatever the node says.
#[test]
fn without_being_asked_for_it_the_tree_is_left_alone() {
    let store = tree();
    let before = store.save();
    let mut bench = Bench::with(Config::new("device"), store, 1);
    bench.start();
    bench.connected(&radio(-60.0, 150, 1));
    assert_eq!(bench.client.store().save(), before);
}
