//! A server, a device and somebody who asks by HTTP, over loopback.

use std::io::Read;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use lwm2m::client::{self, Account, Client};
use lwm2m::{Path, Registry, Value, server};
use service::sensors::{Changes, Counter, Feed, Source};
use units::Seed;

use super::*;
use crate::control::Controls;
use crate::host::{now, stand_in as host};
use crate::lwm2m::device::Device;
use crate::lwm2m::told::Told;
use crate::web::Bell;
use crate::web::loopback::{self, AtLoopback, Events, Pair, Tale};

/// The device: a counter that goes on every 20 ms, and a clock offset that may be written.
///
/// One that `sleeps` is in queue mode, and is heard every two seconds at least.
fn device(server: SocketAddrV6, sleeps: bool) -> Device {
    let registry = Arc::new(Registry::built_in());
    let account = Account {
        server: 1,
        address: server,
        lifetime: Duration::from_secs(if sleeps { 4 } else { 300 }),
        pmin: None,
        pmax: None,
    };
    let tree = Client::tree(registry, &[account], &[3303]).unwrap();
    let config = client::Config {
        queue: sleeps,
        ..client::Config::new("urn:dev:a/b")
    };
    let rng = |name: &str| Seed(1).rng(&["device", name]);
    let mut client = Client::new(config, tree, rng("client"), false);
    let heat = Path::resource(3303, 0, 5700);
    let values = [(heat, Value::Float(1.0))];
    client.add(Path::instance(3303, 0), &values).unwrap();
    let offset = (Path::resource(3, 0, 14), Value::String("+01:00".into()));
    client.add(Path::instance(3, 0), &[offset]).unwrap();
    let counter = Source::Counter(Counter {
        start: 1.0,
        step: 1.0,
        decimals: 0,
    });
    let changes = Changes {
        every: Duration::from_millis(20),
        phase: Duration::ZERO,
    };
    let feed = Feed::new(&counter, Some(changes), rng);
    Device::new(client.with_feed(heat, feed), None)
}

/// Who sleeps is awake for 20 ms after each message of its.
fn server_config(sleeps: bool) -> server::Config {
    let mut config = server::Config::default();
    if sleeps {
        config.awake_window = Duration::from_millis(20);
    }
    config
}

/// Both nodes.
struct World {
    at: SocketAddr,
    nodes: Pair,
}

impl World {
    fn new(writes: bool) -> World {
        World::of(writes, false)
    }

    fn of(writes: bool, sleeps: bool) -> World {
        let run = move |door: Door,
                        bell,
                        [of_server, of_device]: [Controls; 2],
                        tell: Sender<_>| async move {
            let state = std::path::Path::new("");
            tell.send(door.at[0]).unwrap();
            let site = Site::new(door, writes, now());
            let rng = Seed(1).rng(&["server"]);
            let server = Server::new(server_config(sleeps), rng);
            let server = Told::new(server, BTreeMap::new(), None, Some(site));
            let (near, far) = (AtLoopback::new("server"), AtLoopback::new("device"));
            let device = device(near.at(), sleeps);
            let near = near.run(host("server", state, 0), server, bell, of_server);
            let far = far.run(host("device", state, 0), device, Bell::default(), of_device);
            tokio::join!(near, far);
        };
        let (at, nodes) = Pair::run(None, run);
        World { at, nodes }
    }

    /// The status and the JSON of an answer.
    fn json(&self, line: &str, more: &str, body: &str) -> (u16, Json) {
        let mut answer = String::new();
        let mut stream = loopback::ask(self.at, line, more, body);
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    fn get(&self, target: &str) -> (u16, Json) {
        self.json(&format!("GET {target}"), "", "")
    }

    fn events(&self, target: &str, more: &str) -> Events {
        Events::of(self.at, target, more)
    }

    /// Waits until the device is registered; what was told until then.
    fn registered(&self) -> Vec<Tale> {
        let mut seen = Vec::new();
        for event in self.events("/events", "") {
            let is_there = event.data.to_string().contains("urn:dev:a/b");
            seen.push(event);
            if is_there {
                return seen;
            }
        }
        panic!("the stream ended: {seen:?}");
    }
}

const DEVICE: &str = "/clients/urn:dev:a%2Fb";

#[test]
fn clients_are_listed_and_read_and_not_written() {
    let world = World::new(false);
    world.registered();
    let (status, clients) = world.get("/clients");
    assert_eq!((status, clients.as_array().unwrap().len()), (200, 1));
    let (status, client) = world.get(DEVICE);
    assert_eq!(status, 200);
    assert_eq!(client["endpoint"], "urn:dev:a/b");
    assert_eq!(client["lifetime_s"], 300);
    assert_eq!(
        client["queue"],
        json!({ "mode": false, "awake": true, "waiting": 0 })
    );
    let (status, read) = world.get(&format!("{DEVICE}/3/0/14?format=tlv"));
    assert_eq!((status, &read["format"]), (200, &json!(11542)));
    assert_eq!(
        read["records"],
        json!([{ "path": "/3/0/14", "value": "+01:00" }])
    );
    let (status, several) = world.get(&format!("{DEVICE}?path=/3/0/14&path=/1/0/1"));
    let records =
        json!([{ "path": "/3/0/14", "value": "+01:00" }, { "path": "/1/0/1", "value": 300 }]);
    assert_eq!((status, &several["records"]), (200, &records));
    let (status, links) = world.get(&format!("{DEVICE}/3?discover"));
    assert_eq!(status, 200);
    assert!(
        links["links"].as_str().unwrap().contains("</3/0/14>"),
        "{links}"
    );
    let (status, missing) = world.get(&format!("{DEVICE}/3303/7/5700"));
    assert_eq!((status, &missing["code"]), (404, &json!("4.04")));
    assert_eq!(world.get(&format!("{DEVICE}/3/0/4")).0, 400);
    assert_eq!(world.get("/clients/nobody/3").0, 404);
    let put = format!("PUT {DEVICE}/3/0/14");
    let (status, refused) = world.json(&put, "Content-Type: text/plain\r\n", "+02:00");
    assert_eq!(status, 403);
    assert!(refused["reason"].as_str().unwrap().contains("write: true"));
}

#[test]
fn a_server_that_may_write_writes_executes_creates_and_deletes() {
    let world = World::new(true);
    world.registered();
    let put = format!("PUT {DEVICE}/3/0/14");
    let text = "Content-Type: text/plain\r\n";
    let (status, written) = world.json(&put, text, "+02:00");
    assert_eq!((status, &written["code"]), (200, &json!("2.04")));
    let read = world.get(&format!("{DEVICE}/3/0/14")).1;
    assert_eq!(read["records"][0]["value"], "+02:00");
    // A page of somebody else's.
    let foreign = format!("{text}Origin: http://example.org\r\n");
    assert_eq!(world.json(&put, &foreign, "+03:00").0, 403);
    let execute = format!("POST {DEVICE}/1/0/8");
    assert_eq!(world.json(&execute, "", "").0, 200);
    let json_type = "Content-Type: application/json\r\n";
    let create = format!("POST {DEVICE}/3303?instance=4");
    let (status, created) = world.json(&create, json_type, "{\"5700\": 2}");
    assert_eq!((status, &created["code"]), (201, &json!("2.01")));
    assert_eq!(
        world.json(&format!("DELETE {DEVICE}/3303/4"), "", "").0,
        200
    );
    let attributes = format!("PUT {DEVICE}/3303/0/5700?pmin=1");
    assert_eq!(world.json(&attributes, "", "").0, 200);
    let links = world.get(&format!("{DEVICE}/3303/0/5700?discover")).1;
    assert!(
        links["links"].as_str().unwrap().contains("pmin=1"),
        "{links}"
    );
}

#[test]
fn a_path_is_observed_until_the_stream_is_closed() {
    let world = World::new(false);
    world.registered();
    let mut states = world.events(&format!("{DEVICE}/3303/0/5700"), "");
    let first = states.next().unwrap();
    assert_eq!(
        (first.name.as_str(), &first.data["code"]),
        ("done", &json!("2.05"))
    );
    let value = |event: &Tale| event.data["records"][0]["value"].as_f64().unwrap();
    let followed: Vec<Tale> = states.by_ref().take(5).collect();
    let mut last = value(&first);
    for event in &followed {
        assert_eq!(event.name, "notification");
        assert!(value(event) > last, "{followed:?}");
        last = value(event);
    }
    let operation = first.data["operation"].clone();
    drop(states);
    // Another observation shows that time passes in which the first one has no notifications any more.
    let mut other = world.events(&format!("{DEVICE}/3303/0"), "");
    assert_ne!(other.next().unwrap().data["operation"], operation);
    let mut of_other = 0;
    for event in world.events("/events", "").take(10_000) {
        match event.data["operation"] == operation {
            // Until the shell, the server and the device have heard of it.
            true => of_other = 0,
            false => of_other += u32::from(event.name == "notification"),
        }
        if of_other == 50 {
            break;
        }
    }
    assert_eq!(of_other, 50, "the first observation goes on");
    let missing = world.json(
        &format!("GET {DEVICE}/3303/9"),
        "Accept: text/event-stream\r\n",
        "",
    );
    assert_eq!((missing.0, &missing.1["code"]), (404, &json!("4.04")));
}

#[test]
fn a_stream_of_events_goes_on_where_it_was_left() {
    let world = World::new(false);
    let seen = world.registered();
    assert_eq!(seen[0].name, "snapshot");
    let seen = world.events("/events", "").next().unwrap();
    assert_eq!(
        (seen.name.as_str(), &seen.data[0]["endpoint"]),
        ("snapshot", &json!("urn:dev:a/b"))
    );
    world.get(&format!("{DEVICE}/3/0/14"));
    world.get(&format!("{DEVICE}/3/0/4"));
    let since = format!("Last-Event-ID: {}\r\n", seen.id.unwrap());
    let later: Vec<Tale> = world.events("/events", &since).take(2).collect();
    let told = |event: &Tale| (event.name.clone(), event.data["code"].clone());
    let expected = [
        ("done".to_owned(), json!("2.05")),
        ("done".to_owned(), json!("4.05")),
    ];
    assert_eq!(later.iter().map(told).collect::<Vec<_>>(), expected);
    assert!(later[0].id < later[1].id && seen.id < later[0].id);
    let since = format!("Last-Event-ID: {}\r\n", later[0].id.unwrap());
    let last = world.events("/events", &since).next().unwrap();
    assert_eq!(last.id, later[1].id);
    // Of another life of the server's.
    let names = world.events("/events", "Last-Event-ID: 5\r\n").take(2);
    assert_eq!(
        names.map(|event| event.name).collect::<Vec<_>>(),
        ["lost", "snapshot"]
    );
}

#[test]
fn a_client_that_sleeps_is_asked_when_it_is_awake_and_nobody_waits_for_it() {
    let world = World::of(false, true);
    let since = world.registered().pop().unwrap().id.unwrap();
    let since = format!("Last-Event-ID: {since}\r\n");
    // What is asked of it wakes it; this asks the server alone.
    let fall_asleep = || while world.get(DEVICE).1["queue"]["awake"] == true {};
    // It may wake in between.
    let asked = std::iter::repeat_with(|| {
        fall_asleep();
        world.get(&format!("{DEVICE}/3/0/14"))
    });
    let queued = asked.take(100).find(|(status, _)| *status == 202);
    let (_, queued) = queued.expect("it sleeps");
    let mut told = world.events("/events", &since);
    let done = told.find(|event| event.data["operation"] == queued["operation"]);
    assert_eq!(done.unwrap().data["records"][0]["value"], "+01:00");
    let streams = std::iter::repeat_with(|| {
        fall_asleep();
        world.events(&format!("{DEVICE}/3303/0/5700"), "")
    });
    let queued = streams.take(100).find_map(|mut stream| {
        let first = stream.next().unwrap();
        (first.name == "queued").then_some(stream)
    });
    let names = queued.expect("it sleeps").take(2).map(|event| event.name);
    assert_eq!(names.collect::<Vec<_>>(), ["done", "notification"]);
}

#[test]
fn an_operation_keeps_its_place_until_it_is_over_though_nobody_waits_for_it() {
    let mut world = World::new(false);
    world.registered();
    // The device is gone, and the server does not know.
    world.nodes.end_second();
    let target = format!("GET {DEVICE}/3/0/14");
    // Some may be answered before it has gone.
    for _ in 0..3 * MAX_WAITING {
        drop(loopback::ask(world.at, &target, "", ""));
    }
    let (status, refused) = world.json(&target, "", "");
    assert_eq!(status, 503, "{refused}");
    assert!(refused["reason"].as_str().unwrap().starts_with("as many"));
}
