//! A server and a bootstrap server under attack, by registered clients and by strangers.

use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

use coap::message::option;
use coap::wire::Message;
use coap::{Code, Endpoint, Kind, Options, Params, Request, Tokens};
use lwm2m::format::Creation;
use lwm2m::operations::Mode;
use lwm2m::server::bootstrap::{Bootstrap, MAX_SESSIONS, Plans};
use lwm2m::server::{Config, Description, Operation, RegistrationId, ReportPath, Server};
use lwm2m::{Path, Record, Value};
use machine::Machine as _;
use service::{Reach, Service as _};
use units::{Seed, SimTime};

use crate::attacked::{Attack, Noting, answer, changes_nothing, request};
use crate::counting;
use crate::datagrams::{Hostile, Sent};

/// Registrations that the server takes at most.
const MAX_REGISTRATIONS: usize = 32;

/// Datagrams between two times at which registrations go that the attack made.
const TIDY: usize = 1_000;

/// Clients that behave.
const CLIENTS: [&str; 4] = ["a", "b", "sleepy", "old"];

fn client(number: usize) -> SocketAddrV6 {
    let address = format!("[2001:db8::{:x}]:5683", number + 1);
    address.parse().expect("an address")
}

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

fn registration(number: usize) -> Request {
    let more = [
        "lwm2m=1.1&b=U",
        "lwm2m=1.2&b=U",
        "lwm2m=1.1&b=U&Q",
        "lwm2m=1.0&b=UQ",
    ][number];
    let links = [
        "</1/0>,</3/0>,</3303/0>",
        "</lwm2m>;rt=\"oma.lwm2m\";ct=112,</lwm2m/1/0>,</lwm2m/3303>;ver=1.1",
    ];
    let at = format!("/rd?ep={}&lt=3600&{more}", CLIENTS[number]);
    request(Code::POST, &at, Some(40), links[number % 2].as_bytes())
}

/// Valid requests of every operation of a client, of these registrations.
fn seeds(ids: &[String]) -> Vec<Request> {
    let series = br#"[{"bn":"/3303/0/5700","v":1,"t":1700000000},{"v":2,"t":1700000060}]"#;
    let cbor = b"\x81\xa2\x00\x6c/3303/0/5700\x02\xf9\x4d\x60";
    let mut seeds = vec![
        request(Code::POST, "/dp", Some(110), series),
        request(Code::POST, "/dp", Some(112), cbor),
        request(
            Code::POST,
            "/dp",
            Some(11544),
            b"\xa1\x19\x0c\xe7\xa1\x00\xa1\x19\x16\x44\xf9\x4d\x60",
        ),
        request(
            Code::PUT,
            "/up",
            Some(11542),
            b"\xe4\x16\x44\x41\xac\x00\x00",
        ),
        request(Code::PUT, "/up", Some(110), series),
        request(Code::PUT, "/up", None, b""),
        request(Code::POST, "/bs?ep=a&pct=112", None, b""),
        request(Code::POST, "/bs?ep=nobody", None, b""),
        request(
            Code::POST,
            "/rd?ep=more&lt=60&lwm2m=1.1",
            Some(40),
            b"</3/0>",
        ),
    ];
    seeds.extend((0..CLIENTS.len()).map(registration));
    for id in ids {
        let at = format!("/rd/{id}");
        seeds.push(request(Code::POST, &at, None, b""));
        seeds.push(request(
            Code::POST,
            &format!("{at}?lt=7200"),
            Some(40),
            b"</3/0>,</3303/1>",
        ));
        seeds.push(request(Code::PUT, &format!("/n/{id}/0"), Some(112), cbor));
    }
    seeds.extend(
        ids.first()
            .map(|id| request(Code::DELETE, &format!("/rd/{id}"), None, b"")),
    );
    seeds
}

/// One operation after the other.
fn operation(number: usize) -> Operation {
    let at = path("/3303/0/5700");
    let records = vec![Record::new(at, Value::Float(1.5))];
    let paths = vec![at, path("/3/0")];
    match number % 12 {
        0 => Operation::Read {
            path: at,
            format: None,
        },
        1 => Operation::Discover {
            path: path("/3303"),
        },
        2 => Operation::Write {
            path: at,
            mode: Mode::Replace,
            records,
            format: None,
        },
        3 => Operation::WriteAttributes {
            path: at,
            attributes: vec!["pmin=1".to_owned()],
        },
        4 => Operation::Execute {
            path: path("/3/0/4"),
            arguments: String::new(),
        },
        5 => {
            let creation = Creation {
                object: 3303,
                instance: None,
                records,
            };
            Operation::Create {
                creation,
                format: None,
            }
        }
        6 => Operation::Delete {
            path: path("/3303/1"),
        },
        7 => Operation::Observe {
            path: at,
            format: None,
        },
        8 => Operation::CancelObservation { paths: vec![at] },
        9 => Operation::ReadComposite {
            paths,
            format: None,
        },
        10 => Operation::WriteComposite {
            records,
            format: None,
        },
        _ => Operation::ObserveComposite {
            paths,
            format: None,
        },
    }
}

type Known = Vec<(RegistrationId, Arc<str>, SocketAddrV6, Description)>;

struct Attacked {
    now: SimTime,
    server: Server,
    bootstrap: Bootstrap,
    node: Endpoint,
    hostile: Hostile,
    /// The registrations as they were after the last request.
    known: Known,
    sent: Vec<Sent>,
    /// Observations that peers notify: the server's tokens.
    observed: Vec<Message>,
    attack: Attack,
}

impl Attacked {
    fn new(seed: u64) -> Attacked {
        let config = Config {
            max_registrations: MAX_REGISTRATIONS,
            queue_expiry: Duration::from_secs(600),
            report_paths: vec![ReportPath {
                path: "/up".to_owned(),
                base: Some(path("/3303/0/5700")),
            }],
            ..Config::default()
        };
        let plan = vec![
            Operation::Delete { path: Path::ROOT },
            operation(2),
            operation(0),
        ];
        let plans = Plans {
            of_endpoint: [("a".to_owned(), plan)].into(),
            of_others: None,
        };
        let params = Params {
            tokens: Tokens::Random,
            ..Params::default()
        };
        let mut attacked = Attacked {
            now: SimTime::ZERO,
            server: Server::new(config, Seed(seed).rng(&["server"])),
            bootstrap: Bootstrap::new(Config::default(), plans),
            node: Endpoint::new(params, service::KNOWN_CRITICAL, Seed(seed).rng(&["coap"])),
            hostile: Hostile::new(Seed(seed).rng(&["hostile"]), seeds(&[])),
            known: Vec::new(),
            sent: Vec::new(),
            observed: Vec::new(),
            attack: Attack::default(),
        };
        attacked.server.start(attacked.now, &mut attacked.node);
        attacked.tidy();
        attacked
    }

    fn known(&self) -> Known {
        let known = self.server.registrations();
        let known = known.map(|r| {
            (
                r.id,
                Arc::clone(&r.endpoint),
                r.address,
                r.description.clone(),
            )
        });
        known.collect()
    }

    fn receive(&mut self, from: SocketAddrV6, datagram: &[u8]) {
        self.attack.datagrams += 1;
        let Ok(()) = self.node.handle_datagram(self.now, from, datagram);
    }

    fn settle(&mut self) {
        loop {
            if let Some(event) = self.node.poll_event() {
                self.take(event);
            } else if let Some(sent) = self.node.poll_transmit() {
                let message = Message::decode(&sent.payload).expect("what it sends is CoAP");
                self.reply(sent.to, &message);
            } else {
                break;
            }
        }
        while self.server.poll_event().is_some() || self.server.poll_report().is_some() {}
        while self.bootstrap.poll_event().is_some() || self.bootstrap.poll_report().is_some() {}
    }

    fn take(&mut self, event: coap::Event) {
        let mut noting = Noting {
            node: &mut self.node,
            answered: None,
        };
        match service::Event::try_from(event) {
            Ok(service::Event::Request(incoming)) => {
                let (method, at) = (incoming.request.method, incoming.request.path());
                self.attack.requests += 1;
                if self.server.serves(&at) {
                    self.server.handle_request(self.now, incoming, &mut noting);
                } else if self.bootstrap.serves(&at) {
                    self.bootstrap
                        .handle_request(self.now, incoming, &mut noting);
                } else {
                    noting.answered = Some(Code::NOT_FOUND);
                    let response = coap::Response::new(Code::NOT_FOUND);
                    noting.node.respond(self.now, incoming.exchange, response);
                }
                assert!(noting.answered.is_some(), "every request is answered");
                self.attack.refused += u64::from(!noting.answered.is_some_and(Code::is_success));
                let nothing = changes_nothing(method, noting.answered);
                let known = self.known();
                if nothing {
                    assert_eq!(
                        known, self.known,
                        "what was refused has changed the registrations"
                    );
                }
                assert!(known.len() <= MAX_REGISTRATIONS);
                self.known = known;
            }
            Ok(service::Event::Call { call, outcome }) => {
                // Whose call it is each of them knows.
                self.server
                    .handle_outcome(self.now, call, outcome.clone(), &mut noting);
                self.bootstrap
                    .handle_outcome(self.now, call, outcome, &mut noting);
                self.known = self.known();
            }
            Err(_) => {}
        }
    }

    /// What a client says to what the server sent: often what it should, often not.
    fn reply(&mut self, to: SocketAddrV6, sent: &Message) {
        self.sent.push((sent.message_id, sent.token));
        if self.sent.len() > 16 {
            self.sent.remove(0);
        }
        if !sent.code.is_request() {
            return;
        }
        let mut options = Options::new();
        let (code, payload): (Code, &[u8]) = match sent.code {
            Code::GET | Code::FETCH => {
                if sent.options.get_uint(option::OBSERVE) == Some(0) {
                    options.push_uint(option::OBSERVE, 1);
                    self.observed.push(sent.clone());
                }
                match sent.options.get_uint(option::ACCEPT) {
                    Some(40) => {
                        options.push_uint(option::CONTENT_FORMAT, 40);
                        (Code::CONTENT, b"</3303/0/5700>;pmin=1")
                    }
                    _ => {
                        options.push_uint(option::CONTENT_FORMAT, 110);
                        (Code::CONTENT, br#"[{"n":"/3303/0/5700","v":21.5}]"#)
                    }
                }
            }
            Code::DELETE => (Code::DELETED, b""),
            Code::POST if sent.options.get(option::CONTENT_FORMAT).is_some() => {
                (Code::CREATED, b"")
            }
            _ => (Code::CHANGED, b""),
        };
        let mut bytes = answer(sent, code, options, payload.to_vec()).encode();
        match self.hostile.below(8) {
            0..3 => self.hostile.mutate(&mut bytes),
            3 => return,
            _ => {}
        }
        self.receive(to, &bytes);
    }

    /// A notification of something that the server observes or observed, whole or not.
    fn notify(&mut self) {
        if self.observed.len() > 16 {
            self.observed.drain(..8);
        }
        let place = self.hostile.below(self.observed.len());
        let Some(observed) = self.observed.get(place).cloned() else {
            return;
        };
        let mut options = Options::new();
        options.push_uint(option::OBSERVE, self.attack.datagrams & 0xff_ffff);
        options.push_uint(option::CONTENT_FORMAT, 110);
        let payload = br#"[{"n":"/3303/0/5700","v":22}]"#.to_vec();
        let mut notification = answer(&observed, Code::CONTENT, options, payload);
        notification.kind = [Kind::Confirmable, Kind::NonConfirmable][self.hostile.below(2)];
        notification.message_id = self.attack.datagrams as u16;
        let mut bytes = notification.encode();
        if self.hostile.below(2) == 0 {
            self.hostile.mutate(&mut bytes);
        }
        let from = client(self.hostile.below(CLIENTS.len()));
        self.receive(from, &bytes);
    }

    fn pass(&mut self) {
        self.now += Duration::from_millis(self.hostile.below(80) as u64);
        if self.node.poll_timeout().is_some_and(|due| due <= self.now) {
            self.node.handle_timeout(self.now);
        }
        if self
            .server
            .poll_timeout(Reach::FULL)
            .is_some_and(|due| due <= self.now)
        {
            self.server
                .handle_timeout(self.now, Reach::FULL, &mut self.node);
            self.known = self.known();
        }
        self.settle();
    }

    /// Whoever is registered goes, those who behave register again, and their requests are what is mutated.
    fn tidy(&mut self) {
        let ids: Vec<String> = self
            .known()
            .iter()
            .map(|known| known.0.to_string())
            .collect();
        for id in ids {
            let message =
                self.hostile
                    .valid(request(Code::DELETE, &format!("/rd/{id}"), None, b""));
            self.receive(client(0), &message);
            self.settle();
        }
        assert_eq!(self.server.registrations().count(), 0);
        for number in 0..CLIENTS.len() {
            let message = self.hostile.valid(registration(number));
            self.receive(client(number), &message);
            self.settle();
        }
        let ids: Vec<String> = self
            .known()
            .iter()
            .map(|known| known.0.to_string())
            .collect();
        assert_eq!(ids.len(), CLIENTS.len());
        self.hostile.set_seeds(seeds(&ids));
    }
}

/// Attacks a server with so many datagrams.
pub fn attack(datagrams: usize, seed: u64) -> Attack {
    let mut attacked = Attacked::new(seed);
    for number in 1..=datagrams {
        let from = client(attacked.hostile.below(64));
        let datagram = attacked.hostile.next(&attacked.sent);
        attacked.receive(from, &datagram);
        attacked.settle();
        if number % 16 == 0 {
            let endpoint = CLIENTS[attacked.hostile.below(CLIENTS.len())];
            let (now, node) = (attacked.now, &mut attacked.node);
            attacked
                .server
                .operate(now, endpoint, operation(number / 16), node);
            attacked.settle();
            attacked.notify();
            attacked.settle();
        }
        attacked.pass();
        if number % TIDY == 0 || number == datagrams {
            attacked.tidy();
            attacked.attack.weigh(number, datagrams, counting::live());
        }
    }
    assert!(attacked.bootstrap.sessions() <= MAX_SESSIONS);
    attacked.attack
}
