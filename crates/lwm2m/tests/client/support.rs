//! A client and a server's CoAP endpoint, with the datagrams between them.

use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

use coap::message::option;
use coap::{Code, Endpoint, Event, Params, Reliability, Request, RequestId, Response, Tokens};
use lwm2m::client::{Account, Client, Config};
use lwm2m::{Format, Path, Record, Registry, Store, Value};
use machine::Machine;
use rand_core::Rng as _;
use service::{Reach, Service};
use units::{Seed, SimTime};

/// The lifetime of the client's registration.
pub const LIFETIME: Duration = Duration::from_secs(86_400);

/// A client of one server or several, at work.
pub struct Bench {
    pub now: SimTime,
    pub client: Client,
    pub node: Endpoint,
    /// The endpoints of servers 1, 2, …
    pub servers: Vec<Endpoint>,
    /// What each server was told, in order.
    pub events: Vec<(usize, Event)>,
    /// Bytes of every datagram: from the client, to it.
    pub sent: Vec<usize>,
    pub received: Vec<usize>,
    /// Datagrams from the client that are lost: the numbers of those to come.
    pub lose: Vec<usize>,
    /// How many percent of all datagrams are lost by chance.
    pub loss: Option<(units::Rng, u32)>,
    /// What servers answer to a registration, the next first; 2.01 when none is left.
    pub answers: Vec<Code>,
    next_registration: usize,
    lives: u64,
}

pub fn address(host: usize) -> SocketAddrV6 {
    format!("[2001:db8::{host}]:5683").parse().unwrap()
}

/// The client's.
pub fn here() -> SocketAddrV6 {
    "[2001:db8::c]:5683".parse().unwrap()
}

pub fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn params() -> Params {
    Params {
        tokens: Tokens::Random,
        ..Params::default()
    }
}

/// The paper's device: temperature, humidity, position, battery, with the texts of 45 characters.
pub fn device(servers: usize) -> Store {
    let accounts = (1..=servers).map(|server| Account {
        server: u16::try_from(server).unwrap(),
        address: address(server),
        lifetime: LIFETIME,
        pmin: None,
        pmax: None,
    });
    let accounts: Vec<Account> = accounts.collect();
    let registry = Arc::new(Registry::built_in());
    let mut store = Client::tree(registry, &accounts, &[2, 2346, 2347, 3303, 3304, 3360]).unwrap();
    let mut begun = store.transaction();
    for instance in ["/3303/0", "/3304/0", "/3360/0"] {
        begun.create(path(instance)).unwrap();
    }
    for (at, value) in [
        ("/3303/0/5700", 21.5),
        ("/3304/0/5700", 48.0),
        ("/3360/0/5702", 3.25),
        ("/3360/0/5703", 7.125),
        ("/3360/0/5704", 1.2),
    ] {
        begun.set(path(at), Value::Float(value)).unwrap();
    }
    begun.set(path("/3/0/9"), Value::Integer(100)).unwrap();
    begun.commit();
    store
}

/// The paper's six resources.
pub const SIX: [&str; 6] = [
    "/3303/0/5700",
    "/3304/0/5700",
    "/3360/0/5702",
    "/3360/0/5703",
    "/3360/0/5704",
    "/3/0/9",
];

impl Bench {
    /// A client with this tree and configuration.
    pub fn with(config: Config, store: Store, servers: usize) -> Bench {
        let rng = Seed(1).rng(&["client"]);
        Bench::of(Client::new(config, store, rng, false), servers)
    }

    /// This client.
    pub fn of(client: Client, servers: usize) -> Bench {
        let stream = |name: &str| Seed(1).rng(&[name]);
        let server = |n: usize| Endpoint::new(params(), &[], stream(&format!("server {n}")));
        Bench {
            now: SimTime::ZERO,
            client,
            node: Endpoint::new(params(), service::KNOWN_CRITICAL, stream("node")),
            servers: (1..=servers).map(server).collect(),
            events: Vec::new(),
            sent: Vec::new(),
            received: Vec::new(),
            lose: Vec::new(),
            loss: None,
            answers: Vec::new(),
            next_registration: 0,
            lives: 0,
        }
    }

    /// The paper's device, registered with its server or servers.
    pub fn registered(servers: usize) -> Bench {
        let mut bench = Bench::with(Config::new("device"), device(servers), servers);
        bench.start();
        for server in 1..=servers {
            assert!(bench.client.is_registered(u16::try_from(server).unwrap()));
        }
        bench.clear();
        bench
    }

    pub fn start(&mut self) {
        self.client.start(self.now, &mut self.node);
        self.exchange();
    }

    fn is_lost(&mut self) -> bool {
        let (rng, percent) = match &mut self.loss {
            Some(loss) => loss,
            None => return false,
        };
        rng.next_u32() % 100 < *percent
    }

    /// The device loses its power and has it again: of its tree it keeps what it saved, of all else nothing.
    pub fn crash(&mut self) {
        let saved = self.client.store().save();
        let registry = self.client.store().registry().clone();
        let store = Store::load(registry, &saved).unwrap();
        self.lives += 1;
        let stream = |name: &str| Seed(1 + self.lives).rng(&[name]);
        self.client = Client::new(Config::new("device"), store, stream("client"), true);
        self.node = Endpoint::new(params(), service::KNOWN_CRITICAL, stream("node"));
        self.start();
    }

    /// Forgets what was said so far.
    pub fn clear(&mut self) {
        self.events.clear();
        self.sent.clear();
        self.received.clear();
    }

    /// Carries datagrams to and fro until nobody has more to say at this instant.
    pub fn exchange(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(sent) = self.node.poll_transmit() {
                quiet = false;
                self.sent.push(sent.payload.len());
                if self.is_lost() || self.lose.contains(&(self.sent.len() - 1)) {
                    continue;
                }
                let server = (1..=self.servers.len()).find(|n| address(*n).ip() == sent.to.ip());
                let server = &mut self.servers[server.unwrap() - 1];
                let _ = server.handle_datagram(self.now, here(), &sent.payload);
            }
            for n in 0..self.servers.len() {
                while let Some(event) = self.servers[n].poll_event() {
                    quiet = false;
                    self.take(n, event);
                }
                while let Some(sent) = self.servers[n].poll_transmit() {
                    quiet = false;
                    self.received.push(sent.payload.len());
                    if self.is_lost() {
                        continue;
                    }
                    let _ = self
                        .node
                        .handle_datagram(self.now, address(n + 1), &sent.payload);
                }
            }
            while let Some(event) = self.node.poll_event() {
                quiet = false;
                match service::Event::try_from(event) {
                    Ok(service::Event::Request(incoming)) => {
                        self.client
                            .handle_request(self.now, incoming, &mut self.node);
                    }
                    Ok(service::Event::Call { call, outcome }) => {
                        self.client
                            .handle_outcome(self.now, call, outcome, &mut self.node);
                    }
                    Err(_) => {}
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// A server's part: it takes registrations and what Notify sends.
    fn take(&mut self, server: usize, event: Event) {
        if let Event::Request {
            exchange, request, ..
        } = &event
        {
            let code = match (request.method, request.path().as_str()) {
                (Code::POST, "/rd") => self.answer(Code::CREATED),
                (Code::DELETE, _) => Code::DELETED,
                _ => self.answer(Code::CHANGED),
            };
            let mut response = Response::new(code);
            if code == Code::CREATED {
                self.next_registration += 1;
                response.options.push(option::LOCATION_PATH, "rd");
                response
                    .options
                    .push(option::LOCATION_PATH, format!("{}", self.next_registration));
            }
            self.servers[server].respond(self.now, *exchange, response);
        }
        self.events.push((server + 1, event));
    }

    fn answer(&mut self, otherwise: Code) -> Code {
        match self.answers.is_empty() {
            true => otherwise,
            false => self.answers.remove(0),
        }
    }

    /// Lets `time` pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = self.client.poll_timeout(Reach::FULL).into_iter();
            let due = due.chain(self.node.poll_timeout());
            let due = due.chain(self.servers.iter().filter_map(Machine::poll_timeout));
            let Some(at) = due.min().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            self.node.handle_timeout(self.now);
            for server in &mut self.servers {
                server.handle_timeout(self.now);
            }
            self.client
                .handle_timeout(self.now, Reach::FULL, &mut self.node);
            self.exchange();
        }
        self.now = end;
    }

    /// A request of server `server`, begun.
    pub fn begin(&mut self, server: usize, request: Request) -> RequestId {
        let observes = request.options.get_uint(option::OBSERVE) == Some(0);
        let (now, to) = (self.now, here());
        let endpoint = &mut self.servers[server - 1];
        let id = match observes {
            true => {
                let mut request = request;
                request.options.remove(option::OBSERVE);
                endpoint.observe(now, to, Reliability::Confirmable, request)
            }
            false => endpoint.request(now, to, Reliability::Confirmable, request),
        };
        self.exchange();
        id
    }

    /// A request of server `server`, and what it is answered.
    pub fn ask(&mut self, server: usize, request: Request) -> Response {
        let id = self.begin(server, request);
        let mut answers = self
            .events
            .iter()
            .rev()
            .filter_map(|(_, event)| match event {
                Event::Response {
                    id: of, response, ..
                } if *of == id => Some(response),
                Event::Notification {
                    id: of, response, ..
                } if *of == id => Some(response),
                _ => None,
            });
        answers
            .next()
            .cloned()
            .unwrap_or_else(|| panic!("no answer: {:?}", self.events))
    }

    pub fn get(&mut self, at: &str, accept: Format) -> Response {
        self.ask(1, get(at, accept))
    }

    /// The device measures something.
    pub fn set(&mut self, at: &str, value: f64) {
        self.client
            .set(self.now, path(at), Value::Float(value), &mut self.node)
            .unwrap();
        self.exchange();
    }

    /// The notifications of an observation.
    pub fn notifications(&self, of: RequestId) -> Vec<String> {
        let told = self.events.iter().filter_map(|(_, event)| match event {
            Event::Notification { id, response, .. } if *id == of => Some(text(response)),
            _ => None,
        });
        told.collect()
    }

    /// The requests that servers got.
    pub fn requests(&self) -> Vec<&Request> {
        let requests = self.events.iter().filter_map(|(_, event)| match event {
            Event::Request { request, .. } => Some(request),
            _ => None,
        });
        requests.collect()
    }
}

pub fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.payload).into_owned()
}

pub fn get(at: &str, accept: Format) -> Request {
    let mut request = Request::new(Code::GET, at);
    request
        .options
        .push_uint(option::ACCEPT, accept.number().into());
    request
}

pub fn observe(at: &str, accept: Format) -> Request {
    let mut request = get(at, accept);
    request.options.push_uint(option::OBSERVE, 0);
    request
}

/// A request with records in `format`.
pub fn with(method: Code, at: &str, format: Format, records: &[Record]) -> Request {
    let mut request = Request::new(method, at);
    request
        .options
        .push_uint(option::CONTENT_FORMAT, format.number().into());
    let style = lwm2m::format::Style {
        float_size: lwm2m::format::FloatSize::Double,
        ..Default::default()
    };
    request.payload = lwm2m::format::encode(format, &path(at), records, style).unwrap();
    request
}

pub fn string(at: &str, value: &str) -> Record {
    Record::new(path(at), Value::String(value.to_owned()))
}

/// A Create of an instance with these resources, as TLV without an instance.
pub fn create(object: u16, records: &[Record]) -> Request {
    let creation = lwm2m::format::Creation {
        object,
        instance: None,
        records: records.to_vec(),
    };
    let mut request = Request::new(Code::POST, &format!("/{object}"));
    let format = Format::Tlv;
    request
        .options
        .push_uint(option::CONTENT_FORMAT, format.number().into());
    request.payload = lwm2m::format::encode_create(format, &creation, Default::default()).unwrap();
    request
}

/// The Create of a batch with these links.
pub fn create_batch(links: &[&str]) -> Request {
    let records = links.iter().enumerate();
    let records = records.map(|(n, link)| string(&format!("/2346/0/5913/{n}"), link));
    create(2346, &records.collect::<Vec<_>>())
}
