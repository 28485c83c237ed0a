//! A server and a device as their daemons have them, with nothing between them, and crashes of either.

use std::collections::BTreeSet;
use std::net::SocketAddrV6;
use std::path::Path as FilePath;
use std::time::Duration;

use coap::{Code, Endpoint};
use machine::{Machine as _, earlier};
use service::{Reach, Service};
use topology::Plan;
use topology::plan::ServicePlan;
use units::SimTime;

use super::*;
use crate::host::stand_in as host;

/// A node: its CoAP endpoint, its service, and what it was asked.
struct Party {
    at: SocketAddrV6,
    endpoint: Endpoint,
    service: Box<dyn Service>,
    asked: Vec<(Code, String)>,
}

impl Party {
    /// The daemon of the node `name`, after so many crashes.
    fn new(plan: &Plan, name: &str, state: &FilePath, crashes: u32) -> Party {
        let (host, own) = (host(name, state, crashes), plan.of_node(name));
        let standing = Standing {
            host: &host,
            place: 0,
            steps: &own.scenario.steps,
            track: &[],
        };
        let node = &own.nodes[name];
        let service: Box<dyn Service> = match node.services.first() {
            Some(ServicePlan::Lwm2mServer(plan)) => {
                Box::new(server(standing, plan, host.rng("server"), &Bell::default()).unwrap())
            }
            Some(ServicePlan::Lwm2mClient(plan)) => {
                Box::new(client(standing, plan, |name| host.rng(name)).unwrap())
            }
            other => panic!("{other:?}"),
        };
        let params = coap::Params::default();
        Party {
            at: SocketAddrV6::new(node.address, PORT, 0, 0),
            endpoint: Endpoint::new(params, service::KNOWN_CRITICAL, host.rng("coap")),
            service,
            asked: Vec::new(),
        }
    }

    /// Handles what the endpoint has to tell.
    fn handle(&mut self, now: SimTime) {
        while let Some(event) = self.endpoint.poll_event() {
            match service::Event::try_from(event) {
                Ok(service::Event::Request(incoming)) => {
                    let request = &incoming.request;
                    self.asked.push((request.method, request.path()));
                    self.service
                        .handle_request(now, incoming, &mut self.endpoint);
                }
                Ok(service::Event::Call { call, outcome }) => {
                    self.service
                        .handle_outcome(now, call, outcome, &mut self.endpoint);
                }
                Err(_) => {}
            }
        }
    }

    fn times(&self, method: Code, path: &str) -> usize {
        let same = |(m, p): &&(Code, String)| *m == method && p.starts_with(path);
        self.asked.iter().filter(same).count()
    }

    /// How often it was registered with; Updates are below the path.
    fn registrations(&self) -> usize {
        self.asked.iter().filter(|(_, path)| path == "/rd").count()
    }

    fn due(&self) -> Option<SimTime> {
        earlier(
            self.endpoint.poll_timeout(),
            self.service.poll_timeout(Reach::FULL),
        )
    }

    fn handle_timeout(&mut self, now: SimTime) {
        if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            self.endpoint.handle_timeout(now);
        }
        let due = self.service.poll_timeout(Reach::FULL);
        if due.is_some_and(|due| due <= now) {
            self.service
                .handle_timeout(now, Reach::FULL, &mut self.endpoint);
        }
    }
}

struct World {
    now: SimTime,
    plan: Plan,
    state: tempfile::TempDir,
    server: Party,
    device: Party,
}

impl World {
    /// `server` and `device` are the keys of their services, `steps` those of the scenario.
    fn new(server: &str, device: &str, steps: &str) -> World {
        let text = format!(
            "version: 1\nname: crashes\nnodes:\n  er1: {{ role: edge-router }}\n  \
             server: {{ place: wired, services: [{{ lwm2m-server: {{ {server} }} }}] }}\n  \
             device: {{ place: radio, attached_to: er1, services: [{{ lwm2m-client: {{ {device} }} }}] }}\n\
             scenario: {{ duration: 1 h, steps: [{steps}] }}\n"
        );
        let plan = topology::load("crashes.yaml", &text, topology::Overrides::default());
        let plan = plan.unwrap_or_else(|error| panic!("{error}"));
        let state = tempfile::tempdir().unwrap();
        let party = |name| Party::new(&plan, name, state.path(), 0);
        let mut world = World {
            now: SimTime::ZERO,
            server: party("server"),
            device: party("device"),
            plan,
            state,
        };
        world.start(|world| &mut world.server);
        world.start(|world| &mut world.device);
        world
    }

    fn start(&mut self, party: impl Fn(&mut World) -> &mut Party) {
        let now = self.now;
        let party = party(self);
        party.service.start(now, &mut party.endpoint);
        self.settle();
    }

    /// Brings datagrams from one to the other until there are none.
    fn settle(&mut self) {
        loop {
            let now = self.now;
            self.server.handle(now);
            self.device.handle(now);
            let (from, to, sent) = match self.server.endpoint.poll_transmit() {
                Some(sent) => (self.server.at, &mut self.device, sent),
                None => match self.device.endpoint.poll_transmit() {
                    Some(sent) => (self.device.at, &mut self.server, sent),
                    None => return,
                },
            };
            if sent.to == to.at {
                let Ok(()) = to.endpoint.handle_datagram(now, from, &sent.payload);
            }
        }
    }

    fn until(&mut self, secs: u64) {
        let end = SimTime::from_nanos(secs * 1_000_000_000);
        loop {
            let due = earlier(self.server.due(), self.device.due());
            self.now = due.filter(|due| *due < end).unwrap_or(end).max(self.now);
            self.server.handle_timeout(self.now);
            self.device.handle_timeout(self.now);
            self.settle();
            if self.now == end {
                return;
            }
        }
    }

    /// The server does what step `step` of its own says.
    fn operate(&mut self, step: usize) {
        let now = self.now;
        self.server
            .service
            .operate(now, step, &mut self.server.endpoint);
        self.settle();
    }

    /// The daemon is killed, and another one started.
    fn restart_server(&mut self) {
        self.server = Party::new(&self.plan, "server", self.state.path(), 1);
        self.start(|world| &mut world.server);
    }

    fn restart_device(&mut self) {
        self.device = Party::new(&self.plan, "device", self.state.path(), 1);
        self.start(|world| &mut world.device);
    }

    fn files(&self) -> BTreeSet<String> {
        let all = std::fs::read_dir(self.state.path()).unwrap();
        let names = all.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.collect()
    }
}

const SLEEPER: &str = "queue: true, lifetime: 400 s, values: { /3/0/9: 100 }";
const READ_AND_CRASH: &str = "{ at: 120 s, operate: server, operations: [{ read: /3/0/9 }, { discover: /3 }] }, \
                              { at: 130 s, crash: server }, { at: 140 s, restart: server }";

/// The device is heard at half its lifetime: what waited for it before the crash follows.
#[test]
fn a_queue_and_a_registration_outlive_the_server() {
    let mut world = World::new("", SLEEPER, READ_AND_CRASH);
    world.until(120);
    world.operate(0);
    world.until(140);
    assert_eq!(world.device.asked, []);
    world.restart_server();
    world.until(220);
    assert_eq!(world.server.times(Code::POST, "/rd/"), 1);
    assert_eq!(world.server.registrations(), 0);
    let asked = [(Code::GET, "/3/0/9".into()), (Code::GET, "/3".into())];
    assert_eq!(world.device.asked, asked);
}

#[test]
fn a_server_that_keeps_nothing_has_forgotten_them() {
    let mut world = World::new("persistent: false", SLEEPER, READ_AND_CRASH);
    world.until(120);
    world.operate(0);
    world.restart_server();
    world.until(220);
    // The Update meets a 4.04, and a new registration follows.
    assert_eq!(world.server.times(Code::POST, "/rd/"), 1);
    assert_eq!(world.server.registrations(), 1);
    assert_eq!(world.device.asked, []);
    assert_eq!(world.files(), BTreeSet::new());
}

#[test]
fn what_is_acknowledged_is_on_disk_before_the_answer_leaves() {
    let mut world = World::new("", SLEEPER, READ_AND_CRASH);
    let file = world.state.path().join("server.lwm2m-server.json");
    let now = world.now;
    world.device = Party::new(&world.plan, "device", world.state.path(), 1);
    let device = &mut world.device;
    device.service.start(now, &mut device.endpoint);
    let sent = device.endpoint.poll_transmit().unwrap();
    let (from, server) = (device.at, &mut world.server);
    let Ok(()) = server.endpoint.handle_datagram(now, from, &sent.payload);
    server.handle(now);
    assert_eq!(server.registrations(), 2);
    let answer = server.endpoint.poll_transmit().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let answer = coap::wire::Message::decode(&answer.payload).unwrap();
    let location = answer.options.get_all(coap::message::option::LOCATION_PATH);
    let id = std::str::from_utf8(location.last().unwrap()).unwrap();
    assert!(text.contains(id), "{id}: {text}");
}

#[test]
fn nothing_is_written_of_nodes_that_the_scenario_does_not_crash() {
    let steps = "{ at: 1 s, operate: server, operations: [{ delete: /3303/0 }] }";
    let mut world = World::new("", "values: { /3303/0/5700: 1 }", steps);
    world.operate(0);
    world.until(10);
    assert_eq!(world.device.asked, [(Code::DELETE, "/3303/0".into())]);
    assert_eq!(world.files(), BTreeSet::new());
}

const REPORTS: &str = "reports: [{ path: /up, of: /2346/0/5914 }]";
const CREATE_AND_CRASH: &str = "{ at: 1 s, operate: server, operations: [ \
    { create: { object: 2346, values: { /5913/0: /3303/0/5700, /5913/1: /3/0/9 } } }, \
    { create: { object: 2347, values: { /5915: /2346/0/5914, /5916: 1, /5917: /up, /5918: 10, /5919: false, /5920: false } } }, \
    { write: { path: /3/0/14, values: { '': '+02:00' } } }] }, \
    { at: 35 s, crash: device }, { at: 36 s, restart: device }";

/// Its Notify begins after the registration, at a share of its period, and reports the Batch; nobody creates them
/// again.
#[test]
fn a_device_that_lives_again_has_what_servers_made_of_it() {
    let device = "values: { /3303/0/5700: 21.5, /3/0/9: 100, /3/0/14: '+01:00' }";
    let mut world = World::new(REPORTS, device, CREATE_AND_CRASH);
    world.operate(0);
    world.until(35);
    let before = world.server.times(Code::PUT, "/up");
    assert_eq!(before, 4);
    world.restart_device();
    assert_eq!(world.server.registrations(), 2);
    assert_eq!(world.server.times(Code::PUT, "/up"), before);
    world.until(45);
    assert_eq!(world.server.times(Code::PUT, "/up"), before + 1);
    world.until(65);
    assert_eq!(world.server.times(Code::PUT, "/up"), before + 3);
    assert_eq!(world.device.asked, []);
    let file = world.state.path().join("device.lwm2m-client.json");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("+02:00") && !text.contains("+01:00"));
}

#[test]
fn a_device_that_keeps_nothing_is_as_the_topology_has_it() {
    let device = "persistent: false, values: { /3303/0/5700: 21.5, /3/0/9: 100 }";
    let mut world = World::new(REPORTS, device, CREATE_AND_CRASH);
    world.operate(0);
    world.until(35);
    world.restart_device();
    let before = world.server.times(Code::PUT, "/up");
    world.until(100);
    assert_eq!(world.server.times(Code::PUT, "/up"), before);
}

#[test]
fn what_is_no_server_is_named_with_its_file() {
    let world = World::new("", SLEEPER, READ_AND_CRASH);
    std::fs::write(world.state.path().join("server.lwm2m-server.json"), "[]").unwrap();
    let (host, own) = (
        host("server", world.state.path(), 1),
        world.plan.of_node("server"),
    );
    let standing = Standing {
        host: &host,
        place: 0,
        steps: &own.scenario.steps,
        track: &[],
    };
    let Some(ServicePlan::Lwm2mServer(plan)) = own.nodes["server"].services.first() else {
        panic!("{own:?}");
    };
    let error = server(standing, plan, host.rng("server"), &Bell::default()).unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("server.lwm2m-server.json: remove it"),
        "{error}"
    );
    assert!(error.contains("expected a JSON object"), "{error}");
}

/// It goes 4 m to the east in 2 s, and is started again twice.
#[test]
fn a_client_is_where_its_plan_has_it_also_in_a_later_life() {
    let text = "version: 1\nname: walk\nnodes:\n  er1: { role: edge-router, position: [2 m, 2 m] }\n  \
                server: { place: wired, services: [{ lwm2m-server: {} }] }\n  \
                device:\n    place: radio\n    attached_to: er1\n    position: [0 m, 0 m]\n    \
                services: [{ lwm2m-client: { location: { latitude: 60, longitude: 8.5 } } }]\n\
                scenario:\n  duration: 20 s\n  steps:\n    \
                - { at: 1 s, move: device, to: [4 m, 0 m], speed: 2 m/s }\n    \
                - { at: 4 s, crash: device }\n    - { at: 5 s, restart: device }\n    \
                - { at: 8 s, crash: device }\n    - { at: 9 s, restart: device }\n";
    let plan = topology::load("walk.yaml", text, topology::Overrides::default());
    let plan = plan
        .unwrap_or_else(|error| panic!("{error}"))
        .of_node("device");
    let state = tempfile::tempdir().unwrap();
    let node = &plan.nodes["device"];
    let Some(ServicePlan::Lwm2mClient(client)) = node.services.first() else {
        panic!("{node:?}");
    };
    let locating = |crashes| {
        let standing = Standing {
            host: &host("device", state.path(), crashes),
            place: 0,
            steps: &plan.scenario.steps,
            track: &node.radio.as_ref().unwrap().track,
        };
        super::position::locating(standing, client.location.as_ref().unwrap()).unwrap()
    };
    let began: Vec<u64> = (0..3).map(|n| locating(n).began.as_secs()).collect();
    assert_eq!(began, [0, 5, 9]);
    let at = |seconds| locating(0).whereabouts.at(Duration::from_secs(seconds));
    assert_eq!(
        (at(0).latitude_deg, at(0).longitude_deg, at(0).speed_m_s),
        (60.0, 8.5, 0.0)
    );
    // 2 m at 60°: 2 / (111195.08 / 2) of a degree.
    assert_eq!((at(2).longitude_deg, at(2).speed_m_s), (8.500036, 2.0));
    assert_eq!((at(3).longitude_deg, at(3).speed_m_s), (8.5000719, 0.0));
}
