//! A client against this crate's own bootstrap server and server, over a link that loses datagrams.

use std::collections::BTreeMap;
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

use coap::{Code, Endpoint, Params, Reliability};
use lwm2m::client::{Client, Config, SendPlan};
use lwm2m::operations::Mode;
use lwm2m::server::bootstrap::{Bootstrap, BootstrapEvent, Plans};
use lwm2m::server::{self, Event, Operation, Outcome, Server};
use lwm2m::{Format, Record, Registry, Store, Value};
use machine::Machine as _;
use rand_core::Rng as _;
use service::{Reach, Service};
use units::{Rng, Seed, SimTime};

use crate::support::{address, here, path};

/// An endpoint with the service on it.
struct Host<S> {
    at: SocketAddrV6,
    endpoint: Endpoint,
    service: S,
}

impl<S: Service> Host<S> {
    fn new(at: SocketAddrV6, service: S, rng: Rng) -> Host<S> {
        let endpoint = Endpoint::new(Params::default(), service::KNOWN_CRITICAL, rng);
        Host {
            at,
            endpoint,
            service,
        }
    }

    fn due(&self) -> Option<SimTime> {
        machine::earlier(
            self.endpoint.poll_timeout(),
            self.service.poll_timeout(Reach::FULL),
        )
    }

    fn wake(&mut self, now: SimTime) {
        self.endpoint.handle_timeout(now);
        self.service
            .handle_timeout(now, Reach::FULL, &mut self.endpoint);
    }

    /// Takes what has come; what it sends.
    fn work(&mut self, now: SimTime) -> Vec<(SocketAddrV6, Vec<u8>)> {
        while let Some(event) = self.endpoint.poll_event() {
            match service::Event::try_from(event) {
                Ok(service::Event::Request(incoming)) => {
                    self.service
                        .handle_request(now, incoming, &mut self.endpoint);
                }
                Ok(service::Event::Call { call, outcome }) => {
                    (self.service).handle_outcome(now, call, outcome, &mut self.endpoint);
                }
                Err(_) => {}
            }
        }
        let sent = std::iter::from_fn(|| self.endpoint.poll_transmit());
        sent.map(|sent| (sent.to, sent.payload.to_vec())).collect()
    }
}

struct World {
    now: SimTime,
    client: Host<Client>,
    bootstrap: Host<Bootstrap>,
    server: Host<Server>,
    rng: Rng,
    loss_percent: u32,
    /// Trees that the client had, as it would have saved them.
    saved: Vec<String>,
}

fn operation(at: &str, records: Vec<Record>) -> Operation {
    Operation::Write {
        path: path(at),
        mode: Mode::Replace,
        records,
        format: None,
    }
}

/// The account of the server, with an instance of its own for Send.
fn plan() -> Vec<Operation> {
    let record = |at: &str, value| Record::new(path(at), value);
    let uri = format!("coap://[{}]", address(1).ip());
    vec![
        Operation::Delete { path: path("/1") },
        operation(
            "/0/1",
            vec![
                record("/0/1/0", Value::String(uri)),
                record("/0/1/1", Value::Boolean(false)),
                record("/0/1/2", Value::Integer(3)),
                record("/0/1/10", Value::Integer(7)),
            ],
        ),
        operation(
            "/1/0",
            vec![
                record("/1/0/0", Value::Integer(7)),
                record("/1/0/1", Value::Integer(86_400)),
                record("/1/0/6", Value::Boolean(false)),
                record("/1/0/7", Value::String("U".to_owned())),
                record("/1/0/23", Value::Boolean(false)),
            ],
        ),
        Operation::Discover { path: path("/") },
        Operation::Read {
            path: path("/1/0"),
            format: None,
        },
    ]
}

fn tree() -> Store {
    let registry = Arc::new(Registry::built_in());
    let mut store = Client::tree(registry, &[], &[3303]).unwrap();
    let mut begun = store.transaction();
    let uri = format!("coap://[{}]", address(2).ip());
    begun.create(path("/0/0")).unwrap();
    begun.set(path("/0/0/0"), Value::String(uri)).unwrap();
    begun.set(path("/0/0/1"), Value::Boolean(true)).unwrap();
    begun.create(path("/3303/0")).unwrap();
    begun.set(path("/3303/0/5700"), Value::Float(21.5)).unwrap();
    begun.commit();
    store
}

impl World {
    fn new(seed: u64, loss_percent: u32, sends: bool, format: Option<Format>) -> World {
        let stream = |name: &str| Seed(seed).rng(&[name]);
        let send = SendPlan {
            server: 7,
            paths: vec![path("/3303/0/5700")],
            phase: Duration::from_secs(10),
            every: Duration::from_secs(10),
            sample: Some(Duration::from_secs(2)),
            reliability: Reliability::Confirmable,
            format: None,
        };
        let config = Config {
            format,
            sends: [send].into_iter().filter(|_| sends).collect(),
            ..Config::new("device")
        };
        let plans = Plans {
            of_endpoint: BTreeMap::from([("device".to_owned(), plan())]),
            of_others: None,
        };
        let client = Client::new(config, tree(), stream("client"), false);
        let bootstrap = Bootstrap::new(server::Config::default(), plans);
        let server = Server::new(server::Config::default(), stream("server"));
        World {
            now: SimTime::ZERO,
            client: Host::new(here(), client, stream("client's")),
            bootstrap: Host::new(address(2), bootstrap, stream("bootstrap's")),
            server: Host::new(address(1), server, stream("server's")),
            rng: stream("loss"),
            loss_percent,
            saved: vec![tree().save()],
        }
    }

    /// Everything that can happen now happens.
    fn settle(&mut self) {
        loop {
            let now = self.now;
            let all = [
                (self.client.at, self.client.work(now)),
                (self.bootstrap.at, self.bootstrap.work(now)),
                (self.server.at, self.server.work(now)),
            ];
            let saved = self.client.service.store().save();
            if self.saved.last() != Some(&saved) {
                self.saved.push(saved);
            }
            if all.iter().all(|(_, sent)| sent.is_empty()) {
                return;
            }
            for (from, sent) in all {
                for (to, datagram) in sent {
                    if self.rng.next_u32() % 100 < self.loss_percent {
                        continue;
                    }
                    let endpoint = match to {
                        to if to == self.client.at => &mut self.client.endpoint,
                        to if to == self.bootstrap.at => &mut self.bootstrap.endpoint,
                        _ => &mut self.server.endpoint,
                    };
                    let Ok(()) = endpoint.handle_datagram(now, from, &datagram);
                }
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        loop {
            let due = [self.client.due(), self.bootstrap.due(), self.server.due()];
            let Some(at) = due.into_iter().flatten().min().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            self.client.wake(self.now);
            self.bootstrap.wake(self.now);
            self.server.wake(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn start(&mut self) {
        let now = self.now;
        self.client.service.start(now, &mut self.client.endpoint);
        self.bootstrap
            .service
            .start(now, &mut self.bootstrap.endpoint);
        self.server.service.start(now, &mut self.server.endpoint);
    }
}

#[test]
fn it_is_bootstrapped_registers_and_sends_in_each_preferred_format() {
    for format in [None, Some(Format::Tlv), Some(Format::SenmlJson)] {
        let mut world = World::new(1, 0, true, format);
        world.start();
        world.pass(Duration::from_secs(25));
        let finished = std::iter::from_fn(|| world.bootstrap.service.poll_event()).last();
        let is_fine = matches!(
            &finished,
            Some(BootstrapEvent::Finished { outcome: Outcome::Success(code), .. }) if *code == Code::CHANGED
        );
        assert!(is_fine, "{finished:?}");
        assert!(world.client.service.is_registered(7));
        let sent: Vec<usize> = std::iter::from_fn(|| world.server.service.poll_event())
            .filter_map(|event| match event {
                Event::Sent { content, .. } => Some(content.records.unwrap().len()),
                _ => None,
            })
            .collect();
        // Of 0, 2, … 10 s; then five more.
        assert_eq!(sent, [6, 5], "{format:?}");
    }
}

#[test]
fn with_losses_it_is_bootstrapped_in_the_end_and_never_half() {
    let mut again = 0;
    for seed in 0..40 {
        let mut world = World::new(seed, 40, false, None);
        world.start();
        // Room for many back-offs of half an hour.
        world.pass(Duration::from_secs(200_000));
        assert!(world.client.service.is_registered(7), "seed {seed}");
        assert_eq!(world.saved.len(), 2, "seed {seed}: {:?}", world.saved);
        let registry = Arc::new(Registry::built_in());
        let new = Store::load(registry, &world.saved[1]).unwrap();
        assert!(lwm2m::account::check(&new).is_ok());
        let events = std::iter::from_fn(|| world.bootstrap.service.poll_event());
        let requested = |event: &BootstrapEvent| matches!(event, BootstrapEvent::Requested { .. });
        again += usize::from(events.filter(requested).count() > 1);
    }
    // Some of them needed more than one bootstrap: the losses were worth the test.
    assert!(again >= 10, "{again} of 40");
}
