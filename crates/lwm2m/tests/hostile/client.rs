//! A client under attack, by its server and by strangers.

use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

use coap::message::option;
use coap::wire::Message;
use coap::{Code, Endpoint, Kind, Options, Params, Request, Tokens};
use lwm2m::client::{Account, Client, Config};
use lwm2m::format::{Creation, Style};
use lwm2m::{Format, Path, Record, Registry, Store, Value};
use machine::Machine as _;
use service::{Reach, Service as _};
use units::{Seed, SimTime};

use crate::attacked::{self, Attack, Noting, answer, changes_nothing, request};
use crate::counting;
use crate::datagrams::{Hostile, Sent};

/// Datagrams between two times at which the server takes back what it made.
const TIDY: usize = 1_000;

fn server() -> SocketAddrV6 {
    "[2001:db8::1]:5683".parse().expect("an address")
}

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

fn tree(registry: &Arc<Registry>) -> Store {
    let account = Account {
        server: 1,
        address: server(),
        lifetime: Duration::from_secs(600),
        pmin: None,
        pmax: None,
    };
    let objects = [2, 2346, 2347, 3303, 3360];
    let mut store = Client::tree(Arc::clone(registry), &[account], &objects).expect("a tree");
    let mut begun = store.transaction();
    for instance in ["/3303/0", "/3360/0"] {
        begun.create(path(instance)).expect("an instance");
    }
    for at in ["/3303/0/5700", "/3360/0/5702", "/3360/0/5703"] {
        begun.set(path(at), Value::Float(21.5)).expect("a value");
    }
    begun.commit();
    store
}

/// Valid requests of every operation, with payloads in every format that it takes.
fn seeds() -> Vec<Request> {
    let encoded = |method: Code, at: &str, format: Format, records: &[Record]| {
        let payload = lwm2m::format::encode(format, &path(at), records, Style::default());
        request(
            method,
            at,
            Some(format.number()),
            &payload.expect("it can be encoded"),
        )
    };
    let create = |object: u16, instance: Option<u16>, records: Vec<Record>| {
        let creation = Creation {
            object,
            instance,
            records,
        };
        let payload = lwm2m::format::encode_create(Format::Tlv, &creation, Style::default());
        let payload = payload.expect("it can be encoded");
        request(
            Code::POST,
            &format!("/{object}"),
            Some(Format::Tlv.number()),
            &payload,
        )
    };
    let float = |at: &str| Record::new(path(at), Value::Float(1.25));
    let text = |at: &str, value: &str| Record::new(path(at), Value::String(value.to_owned()));
    let integer = |at: &str, value: i64| Record::new(path(at), Value::Integer(value));
    let flag = |at: &str, value: bool| Record::new(path(at), Value::Boolean(value));
    let position = [float("/3360/0/5702"), float("/3360/0/5703")];
    let values = [text("/2346/0/5914/0", "1.5"), text("/2346/0/5914/1", "2")];
    let paths = [
        Record::named(path("/3303/0/5700")),
        Record::named(path("/3360/0")),
    ];
    let mut seeds = vec![
        create(3360, None, position.to_vec()),
        create(3360, Some(7), vec![float("/3360/7/5702")]),
        create(
            2346,
            None,
            vec![
                text("/2346/0/5913/0", "/3360/0/5702"),
                text("/2346/0/5913/1", "/3360/0/5703"),
            ],
        ),
        create(
            2347,
            None,
            vec![
                text("/2347/0/5915", "/3303/0/5700"),
                integer("/2347/0/5916", 1),
                text("/2347/0/5917", "/up"),
                integer("/2347/0/5918", 1),
                flag("/2347/0/5919", true),
                flag("/2347/0/5920", false),
            ],
        ),
        request(Code::PUT, "/1/0/1", Some(0), b"600"),
        request(Code::PUT, "/2347/0/5918", Some(0), b"9223372036854775807"),
        request(Code::PUT, "/3360/0/5702?pmin=1&pmax=3&gt=5", None, b""),
        request(Code::PUT, "/2346/0/5914/3?pmin=1", None, b""),
        request(Code::PUT, "/2346/0/5914", Some(60), b"\x82\x07\xf9\x3c\x00"),
        request(Code::POST, "/3/0/4", None, b"0='on',1"),
        request(Code::POST, "/1/0/8", None, b""),
        request(Code::DELETE, "/3360/1", None, b""),
        request(Code::DELETE, "/2346/0", None, b""),
    ];
    for format in [
        Format::Tlv,
        Format::Json,
        Format::SenmlJson,
        Format::SenmlCbor,
        Format::Lwm2mCbor,
    ] {
        seeds.push(encoded(Code::PUT, "/3360/0", format, &position));
        seeds.push(encoded(Code::POST, "/3360/0", format, &position[..1]));
        seeds.push(encoded(Code::PUT, "/2346/0/5914", format, &values));
    }
    for format in [Format::SenmlJson, Format::SenmlCbor, Format::Lwm2mCbor] {
        seeds.push(encoded(Code::IPATCH, "/", format, &position));
        let mut fetch = encoded(Code::FETCH, "/", format, &paths);
        seeds.push(fetch.clone());
        fetch.options.push_uint(option::OBSERVE, 0);
        seeds.push(fetch);
    }
    for at in ["/3303/0/5700", "/3360/0", "/3360", "/2346/0/5914", "/3/0"] {
        for format in [
            None,
            Some(0),
            Some(40),
            Some(60),
            Some(110),
            Some(112),
            Some(11542),
            Some(11543),
            Some(11544),
        ] {
            let mut get = request(Code::GET, at, None, b"");
            format
                .into_iter()
                .for_each(|n: u64| get.options.push_uint(option::ACCEPT, n));
            seeds.push(get.clone());
            get.options.push_uint(option::OBSERVE, 0);
            seeds.push(get);
        }
    }
    seeds
}

/// Valid requests of a bootstrap server. None finishes: what is written must not become the client's.
fn bootstrap_seeds() -> Vec<Request> {
    let mut seeds = vec![
        request(Code::DELETE, "/", None, b""),
        request(Code::DELETE, "/3360", None, b""),
        request(Code::DELETE, "/0/0", None, b""),
        request(Code::PUT, "/0/1/0", Some(0), b"coap://[2001:db8::7]:5683"),
        request(Code::PUT, "/1/0/1", Some(0), b"600"),
        request(Code::PUT, "/3303/9", Some(11542), b""),
        request(
            Code::PUT,
            "/1",
            Some(11542),
            b"\x08\x01\x06\xc1\x00\x07\xc1\x01\x3c",
        ),
    ];
    for format in [
        Format::Tlv,
        Format::SenmlJson,
        Format::SenmlCbor,
        Format::Lwm2mCbor,
    ] {
        let uri = Value::String("coap://[2001:db8::7]".to_owned());
        let security = [
            Record::new(path("/0/1/0"), uri),
            Record::new(path("/0/1/10"), Value::Integer(7)),
        ];
        for at in ["/0", "/0/1"] {
            let payload = lwm2m::format::encode(format, &path(at), &security, Style::default());
            let payload = payload.expect("it can be encoded");
            seeds.push(request(Code::PUT, at, Some(format.number()), &payload));
        }
    }
    for (at, accept) in [
        ("/", 40),
        ("/0", 40),
        ("/1", 112),
        ("/1/0", 11542),
        ("/1/0/1", 0),
    ] {
        let mut get = request(Code::GET, at, None, b"");
        get.options.push_uint(option::ACCEPT, accept);
        seeds.push(get);
    }
    seeds
}

struct Attacked {
    now: SimTime,
    registry: Arc<Registry>,
    client: Client,
    node: Endpoint,
    hostile: Hostile,
    /// The tree as it was after the last request.
    saved: String,
    sent: Vec<Sent>,
    attack: Attack,
}

impl Attacked {
    fn new(seed: u64) -> Attacked {
        let registry = Arc::new(Registry::built_in());
        let params = Params {
            tokens: Tokens::Random,
            ..Params::default()
        };
        let client = Client::new(
            Config::new("device"),
            tree(&registry),
            Seed(seed).rng(&["client"]),
            false,
        );
        let mut attacked = Attacked {
            now: SimTime::ZERO,
            saved: client.store().save(),
            registry,
            client,
            node: Endpoint::new(params, service::KNOWN_CRITICAL, Seed(seed).rng(&["coap"])),
            hostile: Hostile::new(Seed(seed).rng(&["hostile"]), seeds()),
            sent: Vec::new(),
            attack: Attack::default(),
        };
        attacked.client.start(attacked.now, &mut attacked.node);
        attacked.settle();
        attacked
    }

    fn receive(&mut self, from: SocketAddrV6, datagram: &[u8]) {
        self.attack.datagrams += 1;
        let Ok(()) = self.node.handle_datagram(self.now, from, datagram);
    }

    /// Everything that can happen now happens; a server answers what it is asked, now and then with nonsense.
    fn settle(&mut self) {
        loop {
            if let Some(event) = self.node.poll_event() {
                self.take(event);
            } else if let Some(sent) = self.node.poll_transmit() {
                let message = Message::decode(&sent.payload).expect("what it sends is CoAP");
                self.reply(sent.to, &message);
            } else {
                return;
            }
        }
    }

    fn take(&mut self, event: coap::Event) {
        let mut noting = Noting {
            node: &mut self.node,
            answered: None,
        };
        let nothing = match service::Event::try_from(event) {
            Ok(service::Event::Request(incoming)) => {
                let method = incoming.request.method;
                self.client.handle_request(self.now, incoming, &mut noting);
                self.attack.requests += 1;
                assert!(noting.answered.is_some(), "every request is answered");
                self.attack.refused += u64::from(!noting.answered.is_some_and(Code::is_success));
                changes_nothing(method, noting.answered)
            }
            Ok(service::Event::Call { call, outcome }) => {
                self.client
                    .handle_outcome(self.now, call, outcome, &mut noting);
                true
            }
            Err(_) => return,
        };
        let saved = self.client.store().save();
        if nothing {
            assert_eq!(
                saved, self.saved,
                "what was refused, or only read, has changed the tree"
            );
        }
        self.saved = saved;
    }

    fn reply(&mut self, to: SocketAddrV6, sent: &Message) {
        self.sent.push((sent.message_id, sent.token));
        if self.sent.len() > 16 {
            self.sent.remove(0);
        }
        let reply = match sent.code {
            code if code.is_request() => {
                let mut options = Options::new();
                let registers = attacked::path(sent) == "/rd";
                if registers {
                    options.push(option::LOCATION_PATH, "rd");
                    options.push(option::LOCATION_PATH, "5a3f");
                }
                let code = if registers {
                    Code::CREATED
                } else {
                    Code::CHANGED
                };
                answer(sent, code, options, Vec::new())
            }
            _ if sent.kind == Kind::Confirmable => {
                Message::empty(Kind::Acknowledgement, sent.message_id)
            }
            _ => return,
        };
        let mut bytes = reply.encode();
        match self.hostile.below(8) {
            0 => self.hostile.mutate(&mut bytes),
            1 => return,
            _ => {}
        }
        self.receive(to, &bytes);
    }

    fn pass(&mut self) {
        self.now += Duration::from_millis(self.hostile.below(80) as u64);
        if self.node.poll_timeout().is_some_and(|due| due <= self.now) {
            self.node.handle_timeout(self.now);
        }
        if self
            .client
            .poll_timeout(Reach::FULL)
            .is_some_and(|due| due <= self.now)
        {
            self.client
                .handle_timeout(self.now, Reach::FULL, &mut self.node);
        }
        self.settle();
        while self.client.poll_report().is_some() {}
    }

    /// The device measures something.
    fn measure(&mut self, number: usize) {
        let value = Value::Float(number as f64 / 8.0);
        let at = path("/3303/0/5700");
        if self.client.store().contains(&at) {
            self.client
                .set(self.now, at, value, &mut self.node)
                .expect("a temperature");
            self.saved = self.client.store().save();
        }
    }

    /// Instances that the server made go, and what it deleted is there again: by a new start, as the server is what it is no
    /// more when its account is deleted.
    fn tidy(&mut self) {
        let made = |p: &Path| {
            ![0, 1, 2, 3].map(Some).contains(&p.object_id()) && p.instance_id() != Some(0)
        };
        let store = self.client.store();
        let instances: Vec<Path> = store.instances(Path::ROOT).filter(made).collect();
        let made_at_0 = ["/2346/0", "/2347/0"].map(path);
        for instance in instances.iter().chain(&made_at_0) {
            let delete = request(Code::DELETE, &instance.to_string(), None, b"");
            let message = self.hostile.valid(delete);
            self.receive(server(), &message);
            self.settle();
        }
        let whole = ["/1/0/0", "/1/0/1", "/3303/0/5700", "/3360/0"].map(path);
        if !whole.iter().all(|at| self.client.store().contains(at)) {
            let tree = tree(&self.registry);
            let rng = Seed(self.attack.datagrams).rng(&["client"]);
            self.client = Client::new(Config::new("device"), tree, rng, true);
            self.client.start(self.now, &mut self.node);
            self.saved = self.client.store().save();
            self.settle();
        }
    }
}

/// Attacks a client with so many datagrams.
pub fn attack(datagrams: usize, seed: u64) -> Attack {
    let mut attacked = Attacked::new(seed);
    for number in 1..=datagrams {
        let stranger = attacked.hostile.below(64);
        // Three quarters come from where the client's server is.
        let from = match stranger {
            0..16 => format!("[2001:db8::bad:{stranger:x}]:5683")
                .parse()
                .expect("an address"),
            _ => server(),
        };
        let datagram = attacked.hostile.next(&attacked.sent);
        attacked.receive(from, &datagram);
        attacked.settle();
        if number % 16 == 0 {
            attacked.measure(number);
        }
        attacked.pass();
        if number % TIDY == 0 || number == datagrams {
            attacked.tidy();
            attacked.attack.weigh(number, datagrams, counting::live());
        }
    }
    attacked.attack
}

/// Attacks a client that its bootstrap server configures, by so many datagrams of that server and of strangers. Whatever comes,
/// the tree is what it was, as no Finish comes; and silence ends it as ever.
pub fn attack_bootstrap(datagrams: usize, seed: u64) -> Attack {
    let mut attacked = Attacked::new(seed);
    let bootstrap: SocketAddrV6 = "[2001:db8::b]:5683".parse().expect("an address");
    let account = [
        (
            path("/0/9/0"),
            Value::String("coap://[2001:db8::b]".to_owned()),
        ),
        (path("/0/9/1"), Value::Boolean(true)),
    ];
    (attacked.client.add(path("/0/9"), &account)).expect("an account");
    let trigger = attacked
        .hostile
        .valid(request(Code::POST, "/1/0/9", None, b""));
    attacked.receive(server(), &trigger);
    attacked.settle();
    assert!(attacked.client.is_bootstrapping());
    attacked.hostile.set_seeds(bootstrap_seeds());
    let before = attacked.client.store().save();
    attacked.saved.clone_from(&before);
    for number in 1..=datagrams {
        let from = match attacked.hostile.below(64) {
            stranger @ 0..8 => format!("[2001:db8::bad:{stranger:x}]:5683")
                .parse()
                .expect("an address"),
            _ => bootstrap,
        };
        let datagram = attacked.hostile.next(&attacked.sent);
        attacked.receive(from, &datagram);
        attacked.settle();
        assert_eq!(attacked.client.store().save(), before);
        attacked.pass();
        if number % TIDY == 0 || number == datagrams {
            // What valid requests wrote to the draft goes.
            let delete = attacked
                .hostile
                .valid(request(Code::DELETE, "/", None, b""));
            attacked.receive(bootstrap, &delete);
            attacked.settle();
            attacked.attack.weigh(number, datagrams, counting::live());
        }
    }
    assert!(attacked.client.is_bootstrapping());
    attacked.attack
}

/// Attaches attributes to what is not there, and to so many instances that go again; how many bytes the client holds more.
pub fn attach_in_vain(instances: usize) -> usize {
    let mut attacked = Attacked::new(1);
    let create = |id: usize| {
        let link = Record::new(
            path(&format!("/2346/{id}/5913/0")),
            Value::String("/3360/0/5702".to_owned()),
        );
        let creation = Creation {
            object: 2346,
            instance: u16::try_from(id).ok(),
            records: vec![link],
        };
        let payload = lwm2m::format::encode_create(Format::Tlv, &creation, Style::default());
        request(
            Code::POST,
            "/2346",
            Some(11542),
            &payload.expect("it can be encoded"),
        )
    };
    let mut before = 0;
    for id in 0..instances {
        // The tables of the endpoint have their size by then.
        if id == instances / 2 {
            before = counting::live();
        }
        let batch = format!("/2346/{id}");
        for request in [
            request(Code::PUT, &format!("{batch}/5914/{id}?pmin=1"), None, b""),
            create(id),
            request(Code::PUT, &format!("{batch}/5914/0?pmin=1"), None, b""),
            request(Code::PUT, &format!("{batch}/5914/1?pmin=1"), None, b""),
            request(Code::DELETE, &batch, None, b""),
        ] {
            let message = attacked.hostile.valid(request);
            attacked.receive(server(), &message);
            attacked.settle();
            attacked.now += Duration::from_millis(500);
            attacked.node.handle_timeout(attacked.now);
        }
    }
    assert_eq!(attacked.attack.requests, 5 * instances as u64);
    // There are no batches, and of each only the one link that it had could be told of.
    assert_eq!(attacked.attack.refused, 2 * instances as u64);
    counting::live().saturating_sub(before)
}
