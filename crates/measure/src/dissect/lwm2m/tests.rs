use coap::message::option::{ACCEPT, CONTENT_FORMAT, OBSERVE, URI_QUERY};
use coap::wire::Token;
use coap::{Options, Request, Response};
use proptest::prelude::*;

use super::super::tests::{names, read, udp};
use super::*;

const CLIENT: &str = "[fd00:f::5]:5683";
const SERVER: &str = "[2001:db8::9]:5683";
const PLAIN: &str = "[fd00:f::6]:5683";

const TLV: u64 = 11542;
const JSON: u64 = 11543;
const SENML_CBOR: u64 = 112;
const LINKS: &[u8] = b"</1/0>,</3/0>,</3303/0>";

/// A request for `path?query&query`.
fn request(method: Code, target: &str) -> Request {
    let (path, queries) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request::new(method, path);
    for query in queries.split('&').filter(|query| !query.is_empty()) {
        request.options.push(URI_QUERY, query);
    }
    request
}

/// A capture, message by message.
#[derive(Default)]
struct Talk {
    packets: Vec<Vec<u8>>,
    next: u16,
}

/// A request that was sent.
#[derive(Clone)]
struct Sent {
    from: &'static str,
    to: &'static str,
    message: Message,
}

impl Talk {
    fn send(&mut self, from: &str, to: &str, message: &Message) {
        self.packets.push(udp(from, to, &message.encode()));
    }

    /// A confirmable request with a token of eight bytes.
    fn ask(
        &mut self,
        from: &'static str,
        to: &'static str,
        request: Request,
        options: &[(u16, u64)],
    ) -> Sent {
        self.next += 1;
        let mut token = [7; 8];
        token[..2].copy_from_slice(&self.next.to_be_bytes());
        let mut message = Message {
            kind: Kind::Confirmable,
            code: request.method,
            message_id: self.next,
            token: Token::new(&token).unwrap(),
            options: request.options,
            payload: request.payload,
        };
        for (number, value) in options {
            message.options.push_uint(*number, *value);
        }
        self.send(from, to, &message);
        Sent { from, to, message }
    }

    /// A piggy-backed response.
    fn answer(&mut self, to: &Sent, response: Response) {
        let message = Message {
            kind: Kind::Acknowledgement,
            code: response.code,
            message_id: to.message.message_id,
            token: to.message.token,
            options: response.options,
            payload: response.payload,
        };
        self.send(to.to, to.from, &message);
    }

    fn ok(&mut self, to: &Sent, code: Code) {
        self.answer(to, Response::new(code));
    }

    /// What the server of an observation tells the observer.
    fn notify(&mut self, of: &Sent, message_id: u16, number: u64) {
        let mut message = Message {
            kind: Kind::Confirmable,
            code: Code::CONTENT,
            message_id,
            token: of.message.token,
            options: Options::new(),
            payload: b"x".to_vec(),
        };
        message.options.push_uint(OBSERVE, number);
        self.send(of.to, of.from, &message);
    }

    fn register(&mut self, client: &'static str, location: &str) -> Sent {
        let mut asks = request(Code::POST, "/rd?ep=node-5&lt=60&lwm2m=1.1&b=U");
        asks.payload = LINKS.to_vec();
        let sent = self.ask(client, SERVER, asks, &[(CONTENT_FORMAT, 40)]);
        let mut created = Response::new(Code::CREATED);
        for segment in location.split('/').skip(1) {
            created.options.push(LOCATION_PATH, segment);
        }
        self.answer(&sent, created);
        sent
    }

    /// A request and its success; returns the request.
    fn done(
        &mut self,
        from: &'static str,
        to: &'static str,
        (method, path): (Code, &str),
        options: &[(u16, u64)],
    ) -> Sent {
        let sent = self.ask(from, to, request(method, path), options);
        self.ok(&sent, Code::CONTENT);
        sent
    }

    fn names(&self) -> Vec<String> {
        names(&read(&self.packets))
    }

    /// The names of requests: each packet has another one behind it of the same name.
    fn operations(&self) -> Vec<String> {
        let names = self.names();
        assert_eq!(names.len() % 2, 0);
        let pairs = names.chunks(2);
        let name = |pair: &[String]| {
            assert_eq!(pair[0], pair[1], "{names:?}");
            pair[0].clone()
        };
        pairs.map(name).collect()
    }

    fn happened(&self) -> Vec<(&'static str, u64)> {
        let mut dissector = Lwm2m::default();
        for packet in &self.packets {
            let mut decoder = capture::decode::Decoder::default();
            let frame = capture::decode::Frame {
                time: units::SimTime::ZERO,
                link_type: capture::LinkType::RAW,
                bytes: packet,
                length: packet.len(),
                received: true,
            };
            let ip = decoder.read(frame).unwrap();
            let coap = Message::decode(ip.udp().unwrap().payload).unwrap();
            dissector.read(&Seen {
                ip: &ip,
                coap: Some(&coap),
            });
        }
        let happened = dissector.happened().into_iter();
        happened.map(|((_, what), times)| (what, times)).collect()
    }
}

#[test]
fn a_client_registers_updates_sends_and_leaves() {
    let mut talk = Talk::default();
    talk.register(CLIENT, "/rd/5a3f");
    talk.done(CLIENT, SERVER, (Code::POST, "/rd/5a3f"), &[]);
    talk.done(
        CLIENT,
        SERVER,
        (Code::POST, "/dp"),
        &[(CONTENT_FORMAT, SENML_CBOR)],
    );
    talk.done(
        CLIENT,
        SERVER,
        (Code::PUT, "/n/5a3f/0"),
        &[(CONTENT_FORMAT, TLV)],
    );
    talk.done(CLIENT, SERVER, (Code::DELETE, "/rd/5a3f"), &[]);
    talk.done(CLIENT, SERVER, (Code::PUT, "/n/5a3f/0"), &[]);
    let expected = [
        "register",
        "update",
        "send",
        "notify report",
        "deregister",
        "",
    ];
    assert_eq!(talk.operations(), expected);
}

#[test]
fn values_of_a_send_are_counted_once_when_they_are_taken() {
    let mut talk = Talk::default();
    talk.register(CLIENT, "/rd/1");
    let two = r#"[{"bn":"/3303/0/5700","v":21.5,"t":-5},{"v":22}]"#;
    let sends = |talk: &mut Talk, payload: &str| {
        let mut asks = request(Code::POST, "/dp");
        asks.payload = payload.as_bytes().to_vec();
        talk.ask(CLIENT, SERVER, asks, &[(CONTENT_FORMAT, 110)])
    };
    let taken = sends(&mut talk, two);
    talk.send(CLIENT, SERVER, &taken.message);
    assert_eq!(talk.happened(), []);
    talk.ok(&taken, Code::CHANGED);
    talk.ok(&taken, Code::CHANGED);
    let refused = sends(&mut talk, two);
    talk.ok(&refused, Code::NOT_FOUND);
    assert_eq!(talk.happened(), [("sent_values", 2)]);
    let unread = sends(&mut talk, "[");
    talk.ok(&unread, Code::CHANGED);
    let expected = [("sends_not_read", 1), ("sent_values", 2)];
    assert_eq!(talk.happened(), expected);
}

#[test]
fn what_a_server_asks_has_omas_name() {
    let (get, put, post, delete) = (Code::GET, Code::PUT, Code::POST, Code::DELETE);
    let (fetch, ipatch) = (Code::FETCH, Code::IPATCH);
    let accepts = |format| vec![(ACCEPT, format)];
    let writes = |format| vec![(CONTENT_FORMAT, format)];
    let operations = [
        (get, "/3/0/9", vec![], "read"),
        (get, "/3303", accepts(JSON), "read"),
        (get, "/3303/0", accepts(40), "discover"),
        (put, "/3360/0/5702", writes(TLV), "write"),
        (put, "/3303/0?pmin=10&pmax=60", vec![], "write-attributes"),
        (post, "/1/0", writes(TLV), "write"),
        (post, "/2346/0/5913", writes(TLV), "write"),
        (post, "/3/0/4", vec![], "execute"),
        (post, "/5/0/2", writes(0), "execute"),
        (post, "/2346", writes(TLV), "create"),
        (post, "/3360", vec![], "create"),
        (delete, "/2346/0", vec![], "delete"),
        (get, "/2346/0/5914", accepts(JSON), "batch read"),
        (get, "/2346/0/5914", accepts(60), "batch read"),
        (get, "/2346/0/5914/2", vec![], "batch read"),
        (put, "/2346/0/5914", writes(TLV), "batch write"),
        (post, "/2346/0/5914", writes(TLV), "batch write"),
        (get, "/2346/0/5913", accepts(JSON), "read"),
        (fetch, "/", writes(SENML_CBOR), "read-composite"),
        (ipatch, "/", writes(SENML_CBOR), "write-composite"),
        (get, "/.well-known/core", accepts(40), ""),
        (get, "/t", vec![], ""),
        (get, "/3303/0/5700/1/2", vec![], ""),
        (get, "/03/0", vec![], ""),
        (fetch, "/3303", writes(0), ""),
    ];
    let mut talk = Talk::default();
    talk.register(CLIENT, "/rd/1");
    for (method, path, options, _) in &operations {
        talk.done(SERVER, CLIENT, (*method, path), options);
    }
    let expected: Vec<&str> = operations.iter().map(|(.., name)| *name).collect();
    assert_eq!(talk.operations()[1..], expected);
}

#[test]
fn a_bootstrap_lasts_until_it_is_finished() {
    let mut talk = Talk::default();
    talk.done(CLIENT, SERVER, (Code::GET, "/bspack?ep=node-5"), &[]);
    talk.done(CLIENT, SERVER, (Code::POST, "/bs?ep=node-5"), &[]);
    for (method, path, options) in [
        (Code::DELETE, "/", &[][..]),
        (Code::GET, "/", &[(ACCEPT, 40)]),
        (Code::GET, "/1", &[(ACCEPT, TLV)]),
        (Code::PUT, "/1/0", &[(CONTENT_FORMAT, TLV)]),
        (Code::POST, "/bs", &[]),
        (Code::GET, "/1/0", &[]),
    ] {
        talk.done(SERVER, CLIENT, (method, path), options);
    }
    let expected = [
        "bootstrap-pack-request",
        "bootstrap-request",
        "bootstrap-delete",
        "bootstrap-discover",
        "bootstrap-read",
        "bootstrap-write",
        "bootstrap-finish",
        "",
    ];
    assert_eq!(talk.operations(), expected);
}

#[test]
fn a_composite_observation_is_notified_until_it_ends() {
    let mut talk = Talk::default();
    talk.register(CLIENT, "/rd/1");
    let fetch = || request(Code::FETCH, "/");
    let senml = (CONTENT_FORMAT, SENML_CBOR);
    let of = talk.ask(SERVER, CLIENT, fetch(), &[(OBSERVE, 0), senml]);
    let mut first = Response::new(Code::CONTENT);
    first.options.push_uint(OBSERVE, 1);
    talk.answer(&of, first.clone());
    talk.answer(&of, first); // A copy of it.
    talk.notify(&of, 900, 2);
    talk.send(SERVER, CLIENT, &Message::empty(Kind::Acknowledgement, 900));
    // The end, with a notification on its way.
    let mut end = of.message.clone();
    end.message_id = 5000;
    end.options.remove(OBSERVE);
    end.options.push_uint(OBSERVE, 1);
    talk.send(SERVER, CLIENT, &end);
    talk.notify(&of, 901, 3);
    talk.ok(&Sent { message: end, ..of }, Code::CONTENT);
    let expected = [
        "register",
        "register",
        "observe-composite",
        "observe-composite",
        "observe-composite",
        "notify",
        "notify",
        "cancel observation-composite",
        "notify",
        "cancel observation-composite",
    ];
    assert_eq!(talk.names(), expected);
}

#[test]
fn who_rejects_a_notification_ends_its_observation() {
    let mut talk = Talk::default();
    talk.register(CLIENT, "/rd/1");
    let of = talk.ask(
        SERVER,
        CLIENT,
        request(Code::GET, "/3303/0/5700"),
        &[(OBSERVE, 0)],
    );
    // Acknowledged, answered separately.
    let id = of.message.message_id;
    talk.send(CLIENT, SERVER, &Message::empty(Kind::Acknowledgement, id));
    talk.notify(&of, 900, 1);
    talk.send(SERVER, CLIENT, &Message::empty(Kind::Acknowledgement, 900));
    talk.notify(&of, 901, 2);
    talk.send(SERVER, CLIENT, &Message::empty(Kind::Reset, 901));
    let expected = [
        "observe",
        "observe",
        "observe",
        "observe",
        "notify",
        "cancel observation",
    ];
    assert_eq!(talk.names()[2..], expected);
}

/// Table V of the third paper: a batch is created and read.
#[test]
fn table_v_has_its_names_and_bytes() {
    let mut talk = Talk::default();
    talk.register(CLIENT, "/rd/1");
    let mut create = request(Code::POST, "/2346");
    create.payload = vec![1; 87];
    let create = talk.ask(SERVER, CLIENT, create, &[(CONTENT_FORMAT, TLV)]);
    let mut created = Response::new(Code::CREATED);
    for segment in ["2346", "0"] {
        created.options.push(LOCATION_PATH, segment);
    }
    talk.answer(&create, created);
    let read = request(Code::GET, "/2346/0/5914");
    let read = talk.ask(SERVER, CLIENT, read, &[(ACCEPT, JSON)]);
    let mut content = Response::new(Code::CONTENT);
    content.options.push_uint(CONTENT_FORMAT, JSON);
    content.payload = vec![b'x'; 186];
    talk.answer(&read, content);
    let payload = |packet: &Vec<u8>| packet.len() - 48;
    let bytes: Vec<usize> = talk.packets[2..].iter().map(payload).collect();
    assert_eq!(bytes, [108, 19, 27, 202]);
    assert_eq!(talk.operations(), ["register", "create", "batch read"]);
}

#[test]
fn a_plain_node_with_paths_of_numbers_is_not_taken_for_one() {
    let mut talk = Talk::default();
    talk.register(CLIENT, "/rd/1");
    for (from, to) in [
        (SERVER, PLAIN),
        (PLAIN, SERVER),
        (CLIENT, PLAIN),
        (PLAIN, CLIENT),
    ] {
        talk.done(from, to, (Code::GET, "/3/0"), &[]);
        talk.done(from, to, (Code::PUT, "/3/0/1"), &[(CONTENT_FORMAT, 0)]);
        talk.done(from, to, (Code::FETCH, "/"), &[(CONTENT_FORMAT, 60)]);
        talk.done(from, to, (Code::PUT, "/report"), &[]);
        talk.done(
            from,
            to,
            (Code::POST, "/dp"),
            &[(CONTENT_FORMAT, SENML_CBOR)],
        );
        talk.done(from, to, (Code::POST, "/rd/1x"), &[]);
    }
    let others = &talk.operations()[1..];
    assert!(others.iter().all(String::is_empty), "{others:?}");
}

#[test]
fn a_registration_at_a_resource_directory_is_none() {
    let registers = |query: &str, links: &[u8], code: Code| {
        let mut talk = Talk::default();
        let mut asks = request(Code::POST, &format!("/rd?ep=n{query}"));
        asks.payload = links.to_vec();
        let sent = talk.ask(PLAIN, SERVER, asks, &[(CONTENT_FORMAT, 40)]);
        talk.ok(&sent, code);
        talk.done(SERVER, PLAIN, (Code::GET, "/3/0"), &[]);
        talk.operations()
    };
    let sensors = b"</sensors/temp>;rt=\"temperature\",</a>;ct=0";
    assert_eq!(registers("", sensors, Code::CREATED), ["", ""]);
    let objects = b"</>;rt=\"oma.lwm2m\";ct=11543,</1/0>";
    assert_eq!(registers("", objects, Code::CREATED), ["register", "read"]);
    assert_eq!(
        registers("", b"</3/0>", Code::CREATED),
        ["register", "read"]
    );
    let versioned = registers("&lwm2m=1.0", b"", Code::CREATED);
    assert_eq!(versioned, ["register", "read"]);
    let refused = registers("&lwm2m=1.2", objects, Code::PRECONDITION_FAILED);
    assert_eq!(refused, ["register", ""]);
}

#[test]
fn a_capture_that_begins_later_knows_what_has_a_format_of_its_own() {
    let mut talk = Talk::default();
    talk.done(SERVER, CLIENT, (Code::GET, "/3/0/9"), &[]);
    talk.done(SERVER, CLIENT, (Code::GET, "/3/0/9"), &[(ACCEPT, JSON)]);
    // It was answered: the client is known from here on.
    talk.done(SERVER, CLIENT, (Code::GET, "/3/0/9"), &[]);
    talk.done(SERVER, PLAIN, (Code::FETCH, "/"), &[(ACCEPT, SENML_CBOR)]);
    talk.done(
        CLIENT,
        SERVER,
        (Code::PUT, "/n/0"),
        &[(CONTENT_FORMAT, TLV)],
    );
    talk.done(CLIENT, SERVER, (Code::POST, "/rd/1"), &[]);
    let expected = ["", "read", "read", "read-composite", "", ""];
    assert_eq!(talk.operations(), expected);

    let mut talk = Talk::default();
    let of = Sent {
        from: SERVER,
        to: CLIENT,
        message: Message::empty(Kind::Confirmable, 1),
    };
    talk.notify(&of, 900, 7);
    assert_eq!(talk.names(), [""], "in text it may be anybody's");
    let mut own = Message {
        code: Code::CONTENT,
        ..Message::empty(Kind::NonConfirmable, 901)
    };
    own.options.push_uint(OBSERVE, 8);
    own.options.push_uint(CONTENT_FORMAT, TLV);
    talk.send(CLIENT, SERVER, &own);
    assert_eq!(talk.names(), ["", "notify"]);
}

#[test]
fn who_refuses_a_format_is_not_known_by_it() {
    let mut talk = Talk::default();
    let probe = request(Code::GET, "/3/0");
    let probe = talk.ask(SERVER, PLAIN, probe, &[(ACCEPT, TLV)]);
    talk.ok(&probe, Code::NOT_ACCEPTABLE);
    talk.done(SERVER, PLAIN, (Code::GET, "/3/0"), &[]);
    assert_eq!(talk.operations(), ["read", ""]);
}

#[test]
fn a_client_is_known_at_its_new_address_by_its_location() {
    let mut talk = Talk::default();
    talk.register(CLIENT, "/any/place");
    talk.done(SERVER, PLAIN, (Code::GET, "/3/0"), &[]);
    talk.done(PLAIN, SERVER, (Code::POST, "/any/place"), &[]);
    talk.done(SERVER, PLAIN, (Code::GET, "/3/0"), &[]);
    talk.done(PLAIN, SERVER, (Code::POST, "/any/other"), &[]);
    let expected = ["register", "", "update", "read", ""];
    assert_eq!(talk.operations(), expected);
}

#[test]
fn registrations_that_were_lost_are_counted_once() {
    let mut talk = Talk::default();
    talk.register(CLIENT, "/rd/1");
    let again = talk.register(CLIENT, "/rd/2");
    // Sent again and answered again: the same one.
    talk.send(CLIENT, SERVER, &again.message);
    talk.ok(&again, Code::CREATED);
    assert_eq!(talk.happened(), [("registered_again", 1)]);
    let update = talk.ask(CLIENT, SERVER, request(Code::POST, "/rd/2"), &[]);
    talk.ok(&update, Code::NOT_FOUND);
    talk.register(CLIENT, "/rd/3");
    let leave = talk.ask(CLIENT, SERVER, request(Code::DELETE, "/rd/3"), &[]);
    talk.ok(&leave, Code::DELETED);
    talk.send(CLIENT, SERVER, &leave.message);
    talk.ok(&leave, Code::DELETED);
    talk.register(CLIENT, "/rd/4");
    let expected = [("registered_again", 1), ("updates_not_found", 1)];
    assert_eq!(talk.happened(), expected);
    let names = talk.names();
    assert_eq!(names.iter().filter(|name| *name == "deregister").count(), 4);
}

#[test]
fn what_is_kept_of_clients_is_bounded() {
    let mut dissector = Lwm2m::default();
    let (client, server) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
    for n in 0..3 * MOST_CLIENTS as u32 {
        let mut message = Message {
            code: Code::POST,
            token: Token::new(&n.to_be_bytes()).unwrap(),
            options: request(Code::POST, &format!("/rd?ep={n}&lwm2m=1.1")).options,
            ..Message::empty(Kind::Confirmable, n as u16)
        };
        message.options.push_uint(CONTENT_FORMAT, 40);
        let port = 1024 + (n % 60_000) as u16;
        let client = SocketAddr::new(SocketAddr::ip(&client), port);
        assert!(dissector.request(client, server, &message).is_some());
        let mut created = Message {
            code: Code::CREATED,
            ..message
        };
        created.kind = Kind::Acknowledgement;
        created.options = Options::new();
        created.options.push(LOCATION_PATH, n.to_string());
        assert!(dissector.answer(server, client, &created).is_some());
    }
    let most = 2 * MOST_CLIENTS;
    assert!(dissector.standing.len() <= most && dissector.registrations.len() <= most);
    assert!(dissector.registered.len() <= most);
    let long = [&[b'x'; LONG][..]];
    assert_eq!(Location::of(long.into_iter()), None);
}

/// Longer than a location.
const LONG: usize = 2000;

proptest! {
    #[test]
    fn no_message_makes_it_panic(
        code in prop::sample::select(vec![1_u8, 2, 3, 4, 5, 7, 65, 68, 69, 132, 0]),
        segments in prop::collection::vec(prop::sample::select(vec![
            &b"rd"[..], b"bs", b"dp", b"0", b"2346", b"5914", b"65535", b"65536", b"3/0", b"\xff", b"",
        ]), 0..6),
        options in prop::collection::vec(
            (prop::sample::select(vec![6_u16, 12, 15, 17, 8]), prop::collection::vec(any::<u8>(), 0..10)),
            0..4,
        ),
        payload in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut talk = Talk::default();
        talk.register(CLIENT, "/rd/1");
        let mut message = Message { code: Code(code), ..Message::empty(Kind::Confirmable, 1) };
        if code != 0 {
            segments.iter().for_each(|s| message.options.push(11, s));
            options.iter().for_each(|(number, value)| message.options.push(*number, value));
            message.payload = payload;
        }
        talk.send(SERVER, CLIENT, &message);
        talk.send(CLIENT, SERVER, &message);
        prop_assert_eq!(talk.names().len(), 4);
    }
}
