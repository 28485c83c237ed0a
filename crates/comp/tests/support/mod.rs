//! A virtual network for the machines: datagrams with delay, seeded loss and a log, no sockets.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::message::PORT;
use coap::{Code, Params, Response};
use comp::Sequence;
use comp::client::{self, CallId, HoldQueue, Outcome, Target};
use comp::codec::Command;
use comp::node::{self, Node};
use comp::wmms::{self, Wmms};
use comp::{BindingMode, Removal, client::CallFailure};
use handover::{BindingEvent, Step};
use machine::{Machine, Transmit};
use rand_core::Rng as _;
use units::{Rng, Seed, SimTime};

/// Permanent address of the node.
pub const P: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5);
/// Where the node is at the first and the second router.
pub const T1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 5);
pub const T2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 5);
/// The WMMS.
pub const W: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);

/// Permanent address, and the only one, of client `i`.
pub fn client_address(i: usize) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 1, i as u16)
}

pub fn socket(address: Ipv6Addr) -> SocketAddrV6 {
    SocketAddrV6::new(address, PORT, 0, 0)
}

/// The node's entry left a table or a cache.
pub fn removed(reason: Removal) -> BindingEvent {
    BindingEvent::Removed {
        p_addr: P,
        reason: reason.into(),
    }
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn at(millis: u64) -> SimTime {
    SimTime::ZERO + ms(millis)
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Datagram {
    pub from: SocketAddrV6,
    pub to: SocketAddrV6,
    pub payload: Vec<u8>,
}

impl Datagram {
    pub fn message(&self) -> coap::wire::Message {
        coap::wire::Message::decode(&self.payload).expect("a machine sent it")
    }

    /// Whether it carries this method or response code.
    pub fn is(&self, code: Code) -> bool {
        self.message().code == code
    }
}

/// What the clients' applications serve: `/clock`, and the list of links.
fn clients_answer(request: &coap::Request) -> Response {
    match request.path().as_str() {
        "/clock" => Response {
            payload: b"12:00".to_vec(),
            ..Response::new(Code::CONTENT)
        },
        coap::link::WELL_KNOWN_CORE => coap::link::answer(request, &[comp::comp_link()]),
        _ => Response::new(Code::NOT_FOUND),
    }
}

/// A GET of `path`.
pub fn get(path: &str) -> coap::Request {
    coap::Request::new(Code::GET, path)
}

/// The call that an event ends with a response.
pub fn response_of(event: &client::Event) -> Option<(CallId, &Response)> {
    match event {
        client::Event::Call {
            call,
            outcome: Outcome::Answered { response, .. },
        } => Some((*call, response)),
        _ => None,
    }
}

/// The call that an event ends without a response, and why.
pub fn failure(event: &client::Event) -> Option<(CallId, CallFailure)> {
    match event {
        client::Event::Call {
            call,
            outcome: Outcome::Failed(reason),
        } => Some((*call, reason.clone())),
        _ => None,
    }
}

/// A state of what a call observes, with its number.
pub fn notification(event: &client::Event) -> Option<(u32, &Response)> {
    match event {
        client::Event::Call {
            outcome: Outcome::Notified {
                sequence, response, ..
            },
            ..
        } => Some((*sequence, response)),
        _ => None,
    }
}

/// Which datagrams the network loses, by the time at which they are sent.
pub type Cut = Box<dyn FnMut(SimTime, &Datagram) -> bool>;

/// What a scenario may vary.
pub struct Setup {
    pub seed: u64,
    pub clients: usize,
    pub binding: BindingMode,
    /// Whether a handover begins with a hold.
    pub hold: bool,
    pub delay: Duration,
    /// Each datagram takes up to this much longer than `delay`.
    pub jitter: Duration,
    /// Loss of each datagram, 0 to 1.
    pub loss: f64,
    /// Share of the datagrams that arrive twice, 0 to 1.
    pub duplication: f64,
    pub lifetime: Duration,
    pub hold_timeout: Duration,
    pub hold_queue: HoldQueue,
    /// Whether there are strangers: [`Params::verify_sources`].
    pub strangers: bool,
}

/// The CoAP parameters of a network with strangers, or without.
fn params(strangers: bool) -> Params {
    Params {
        verify_sources: strangers,
        tokens: match strangers {
            true => coap::Tokens::Random,
            false => coap::Tokens::Counted,
        },
        ..Params::default()
    }
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            seed: 1,
            clients: 1,
            binding: BindingMode::Direct,
            hold: true,
            delay: ms(4),
            jitter: Duration::ZERO,
            loss: 0.0,
            duplication: 0.0,
            lifetime: Duration::from_secs(600),
            hold_timeout: ms(500),
            hold_queue: HoldQueue {
                capacity: 64,
                timeout: Duration::from_secs(10),
            },
            strangers: false,
        }
    }
}

/// One WMMS, one node, some nodes that ask it.
pub struct Net {
    pub now: SimTime,
    rng: Rng,
    hold: bool,
    binding: BindingMode,
    delay: Duration,
    jitter: Duration,
    loss: f64,
    duplication: f64,
    flying: BTreeMap<(SimTime, u64), Datagram>,
    count: u64,
    restarts: u64,
    /// Everything handed to the network, lost or not.
    pub sent: Vec<(SimTime, Datagram)>,
    /// Datagrams that this says yes to are lost.
    pub cut: Cut,
    pub wmms: Wmms,
    pub clients: Vec<Node>,
    /// Where they are; nowhere while they hand over.
    pub client_addresses: Vec<Option<Ipv6Addr>>,
    pub node: Node,
    /// Where the node is; nowhere while it hands over.
    pub node_address: Option<Ipv6Addr>,
    pub wmms_events: Vec<(SimTime, BindingEvent)>,
    pub client_events: Vec<(SimTime, usize, client::Event)>,
    pub node_events: Vec<(SimTime, node::Event)>,
    /// What a handover waits for.
    pub node_steps: Vec<(SimTime, Step)>,
    /// Those of the clients that are about themselves.
    pub clients_as_nodes: Vec<(SimTime, usize, node::Event)>,
    pub client_steps: Vec<(SimTime, usize, Step)>,
    /// What the node asked.
    pub node_as_client: Vec<(SimTime, client::Event)>,
    /// Requests that reached the node's application.
    pub served: Vec<(SimTime, u16)>,
    /// What the node's application answers.
    pub state: Vec<u8>,
}

impl Net {
    pub fn new(setup: Setup) -> Net {
        let rng = |who: &str| Seed(setup.seed).rng(&["test", who]);
        let wmms = wmms::Config {
            hold_timeout: setup.hold_timeout,
            binding: setup.binding,
            limits: comp::Limits::default(),
            coap: params(setup.strangers),
        };
        let node = node::Config {
            p_addr: P,
            wmms: socket(W),
            hold: setup.hold,
            binding: setup.binding,
            lifetime: setup.lifetime,
            hold_queue: setup.hold_queue,
            coap: params(setup.strangers),
        };
        let client = |i| node::Config {
            p_addr: client_address(i),
            wmms: socket(W),
            hold: setup.hold,
            binding: setup.binding,
            lifetime: setup.lifetime,
            hold_queue: setup.hold_queue,
            coap: params(setup.strangers),
        };
        Net {
            now: SimTime::ZERO,
            rng: rng("network"),
            hold: setup.hold,
            binding: setup.binding,
            delay: setup.delay,
            jitter: setup.jitter,
            loss: setup.loss,
            duplication: setup.duplication,
            flying: BTreeMap::new(),
            count: 0,
            restarts: 0,
            sent: Vec::new(),
            cut: Box::new(|_, _| false),
            wmms: Wmms::new(wmms, rng("wmms")),
            clients: (0..setup.clients)
                .map(|i| Node::new(client(i), rng(&format!("client {i}"))))
                .collect(),
            client_addresses: (0..setup.clients)
                .map(|i| Some(client_address(i)))
                .collect(),
            node: Node::new(node, rng("node")),
            node_address: Some(T1),
            wmms_events: Vec::new(),
            client_events: Vec::new(),
            node_events: Vec::new(),
            node_steps: Vec::new(),
            clients_as_nodes: Vec::new(),
            client_steps: Vec::new(),
            node_as_client: Vec::new(),
            served: Vec::new(),
            state: b"21.5".to_vec(),
        }
    }

    /// A network in which node and clients are registered, at 1 s.
    pub fn registered(setup: Setup) -> Net {
        let mut net = Net::new(setup);
        net.node.register(net.now, T1);
        for (i, client) in net.clients.iter_mut().enumerate() {
            client.register(net.now, client_address(i));
        }
        net.run_until(1000);
        let wanted = node::Event::Binding(BindingEvent::Registered {
            p_addr: P,
            t_addr: T1,
        });
        assert!(net.node_events.iter().any(|(_, event)| *event == wanted));
        net.node_events.clear();
        net.node_steps.clear();
        net.client_steps.clear();
        net.clients_as_nodes.clear();
        net.client_events.clear();
        net.wmms_events.clear();
        net.sent.clear();
        net
    }

    /// A new WMMS in place of the old one, with this table.
    pub fn restart_wmms(
        &mut self,
        hold_timeout: Duration,
        binding: BindingMode,
        table: comp::mmt::Mmt,
    ) {
        let config = wmms::Config {
            hold_timeout,
            binding,
            limits: comp::Limits::default(),
            coap: Params::default(),
        };
        // Other Message IDs each time, or a peer takes its requests for copies.
        let rng = Seed(77 + self.restarts).rng(&["restarted"]);
        self.restarts += 1;
        self.wmms = Wmms::new(config, rng);
        self.wmms.restore(self.now, table);
    }

    /// The table of the WMMS, to save it.
    pub fn table(&self) -> comp::mmt::Mmt {
        self.wmms.mmt().clone()
    }

    /// Asks for `/temperature` of the node, confirmable.
    pub fn get(&mut self, client: usize) -> CallId {
        let reliability = coap::Reliability::Confirmable;
        self.clients[client].ask(self.now, Target::Node(P), reliability, get("/temperature"))
    }

    /// One [`Net::get`] of every client.
    pub fn get_from_all(&mut self) {
        for client in 0..self.clients.len() {
            self.get(client);
        }
    }

    /// Every datagram and timer up to `millis`, which is then the time.
    pub fn run_until(&mut self, millis: u64) {
        let end = at(millis);
        loop {
            self.drain();
            let due = [
                self.flying.keys().next().map(|(due, _)| *due),
                self.wmms.poll_timeout(),
                self.node.poll_timeout(),
                self.clients.iter().filter_map(|c| c.poll_timeout()).min(),
            ]
            .into_iter()
            .flatten()
            .min();
            let Some(due) = due.filter(|due| *due <= end) else {
                break;
            };
            self.now = self.now.max(due);
            self.deliver();
            self.fire();
        }
        self.now = end;
    }

    fn deliver(&mut self) {
        while let Some(first) = self.flying.first_entry()
            && first.key().0 <= self.now
        {
            let datagram = first.remove();
            self.hand_over(&datagram);
            self.drain();
        }
    }

    /// Gives a datagram to whoever is at its destination now.
    pub fn hand_over(&mut self, datagram: &Datagram) {
        let Datagram { from, to, payload } = datagram;
        let ip = *to.ip();
        if ip == W {
            self.wmms.handle_datagram(self.now, *from, payload);
        } else if Some(ip) == self.node_address {
            self.node.handle_datagram(self.now, *from, payload);
        } else if let Some(i) = (self.client_addresses.iter()).position(|at| *at == Some(ip)) {
            self.clients[i].handle_datagram(self.now, *from, payload);
        }
    }

    fn fire(&mut self) {
        let due = |at: Option<SimTime>| at.is_some_and(|at| at <= self.now);
        if due(self.wmms.poll_timeout()) {
            self.wmms.handle_timeout(self.now);
        }
        if due(self.node.poll_timeout()) {
            self.node.handle_timeout(self.now);
        }
        for client in &mut self.clients {
            if client.poll_timeout().is_some_and(|at| at <= self.now) {
                client.handle_timeout(self.now);
            }
        }
    }

    /// Events into the logs, datagrams onto the wire, requests answered by the application.
    fn drain(&mut self) {
        while let Some(event) = self.wmms.poll_event() {
            self.wmms_events.push((self.now, event));
        }
        while let Some(event) = self.node.poll_event() {
            match event {
                node::Event::Request {
                    message_id,
                    incoming,
                } => {
                    self.served.push((self.now, message_id));
                    let mut response = Response::new(Code::CONTENT);
                    response.payload.clone_from(&self.state);
                    let exchange = incoming.exchange;
                    self.node.respond_observed(self.now, exchange, response);
                }
                node::Event::Client(event) => self.node_as_client.push((self.now, event)),
                node::Event::Step(step) => self.node_steps.push((self.now, step)),
                event => self.node_events.push((self.now, event)),
            }
        }
        for (i, client) in self.clients.iter_mut().enumerate() {
            while let Some(event) = client.poll_event() {
                match event {
                    node::Event::Client(event) => self.client_events.push((self.now, i, event)),
                    node::Event::Step(step) => self.client_steps.push((self.now, i, step)),
                    node::Event::Request { incoming, .. } => {
                        let response = clients_answer(&incoming.request);
                        client.respond_observed(self.now, incoming.exchange, response);
                    }
                    event => self.clients_as_nodes.push((self.now, i, event)),
                }
            }
        }
        while let Some(transmit) = self.wmms.poll_transmit() {
            self.send(W, transmit);
        }
        while let Some(transmit) = self.node.poll_transmit() {
            if let Some(address) = self.node_address {
                self.send(address, transmit);
            }
        }
        for i in 0..self.clients.len() {
            while let Some(transmit) = self.clients[i].poll_transmit() {
                if let Some(address) = self.client_addresses[i] {
                    self.send(address, transmit);
                }
            }
        }
    }

    fn send(&mut self, from: Ipv6Addr, Transmit { to, payload }: Transmit) {
        let datagram = Datagram {
            from: socket(from),
            to,
            payload,
        };
        self.sent.push((self.now, datagram.clone()));
        if self.draw() < self.loss || (self.cut)(self.now, &datagram) {
            return;
        }
        let copies = if self.duplication > 0.0 && self.draw() < self.duplication {
            2
        } else {
            1
        };
        for _ in 0..copies {
            self.count += 1;
            let mut due = self.now + self.delay;
            if !self.jitter.is_zero() {
                due += self.jitter.mul_f64(self.draw());
            }
            self.flying.insert((due, self.count), datagram.clone());
        }
    }

    /// Uniform in 0 to 1.
    fn draw(&mut self) -> f64 {
        units::seed::unit_interval(self.rng.next_u64())
    }

    /// The same datagrams from now on neither lost, doubled nor late.
    pub fn calm(&mut self) {
        (self.loss, self.duplication, self.jitter) = (0.0, 0.0, Duration::ZERO);
    }

    /// A node in place of the old one that remembers nothing.
    pub fn restart_node(&mut self, lifetime: Duration) {
        let config = node::Config {
            p_addr: P,
            wmms: socket(W),
            hold: self.hold,
            binding: self.binding,
            lifetime,
            hold_queue: HoldQueue::default(),
            coap: Params::default(),
        };
        self.restarts += 1;
        let rng = Seed(self.restarts).rng(&["test", "restarted node"]);
        self.node = Node::new(config, rng);
    }

    /// The request of a command, newer than what the peer at `to` has accepted about its node.
    pub fn newer(&self, to: Ipv6Addr, command: &Command) -> coap::Request {
        let p_addr = command.p_addr();
        let last = match self.client_addresses.iter().position(|c| *c == Some(to)) {
            Some(client) => self.clients[client].client().lbc().sequence(p_addr),
            None => self.wmms.mmt().sequence(p_addr),
        };
        command.numbered(last.map(|last| Sequence(last.0.wrapping_add(1))))
    }

    /// Lets an empty-handed peer send a request to `to`, and returns the response, if any.
    pub fn ask(
        &mut self,
        from: SocketAddrV6,
        to: Ipv6Addr,
        request: coap::Request,
    ) -> Option<Response> {
        let mut peer = coap::Endpoint::new(
            Params::default(),
            comp::codec::KNOWN_CRITICAL,
            Seed(self.count).rng(&["ask"]),
        );
        let confirmable = coap::Reliability::Confirmable;
        peer.request(self.now, socket(to), confirmable, request);
        let to = socket(to);
        // A second time if it is to show where it is; it says nothing else.
        while let Some(payload) = peer.poll_transmit().map(|transmit| transmit.payload)
            && coap::wire::Message::decode(&payload).is_ok_and(|message| message.code.is_request())
        {
            self.hand_over(&Datagram { from, to, payload });
            let before = self.sent.len();
            self.drain();
            let answers: Vec<Datagram> = (self.sent[before..].iter())
                .map(|(_, datagram)| datagram.clone())
                .filter(|datagram| datagram.to == from)
                .collect();
            for answer in answers {
                peer.handle_datagram(self.now, answer.from, &answer.payload);
            }
        }
        match peer.poll_event()? {
            coap::Event::Response { response, .. } => Some(response),
            _ => None,
        }
    }

    /// How many calls were answered.
    pub fn answered(&self) -> usize {
        self.client_events
            .iter()
            .filter(|(_, _, event)| response_of(event).is_some())
            .count()
    }

    /// Why calls failed.
    pub fn failures(&self) -> Vec<CallFailure> {
        self.client_events
            .iter()
            .filter_map(|(_, _, event)| failure(event).map(|(_, reason)| reason))
            .collect()
    }

    /// When the node first reported `wanted`.
    pub fn node_reported(&self, wanted: &node::Event) -> Option<SimTime> {
        self.node_events
            .iter()
            .find(|(_, event)| event == wanted)
            .map(|(time, _)| *time)
    }

    /// When the node first took the step `wanted`.
    pub fn node_took(&self, wanted: &Step) -> Option<SimTime> {
        let found = self.node_steps.iter().find(|(_, step)| step == wanted);
        found.map(|(time, _)| *time)
    }

    /// Requests with this method sent to `to`, retransmissions included.
    pub fn count_sent(&self, to: Ipv6Addr, code: Code) -> usize {
        self.sent
            .iter()
            .filter(|(_, datagram)| *datagram.to.ip() == to && datagram.is(code))
            .count()
    }
}

impl Net {
    /// As [`Net::registered`], on a network that loses datagrams: however long it takes.
    pub fn registered_despite_loss(setup: Setup) -> Net {
        let mut net = Net::new(setup);
        net.node.register(net.now, T1);
        net.run_until(200_000);
        assert!(!net.node_events.is_empty(), "registered or failed by now");
        net.node_events.clear();
        net.node_steps.clear();
        net.client_steps.clear();
        net
    }
}
