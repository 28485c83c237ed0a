//! What nodes sent and received for their applications: LwM2M between the sensor, over the air, and the client,
//! which is its server.

use super::signalling::Network;
use super::*;
use coap::message::option::{ACCEPT, CONTENT_FORMAT, LOCATION_PATH, OBSERVE, URI_PATH, URI_QUERY};
use coap::wire::{Message, Token};
use measure::applications::{Application, Observed, Radio, Volume};

const TLV: u64 = 11542;
const JSON: u64 = 11543;

/// A run whose packets are between the sensor and its server.
struct Talk {
    network: Network,
    server: String,
    us: u64,
    next: u16,
    /// What crosses the sensor's radio, as IP packets.
    over_air: Vec<Vec<u8>>,
}

impl Talk {
    fn new() -> Talk {
        let plan = plan();
        Talk {
            server: client_address(&plan),
            network: Network {
                plan,
                seen: Vec::new(),
            },
            us: 0,
            next: 0,
            over_air: Vec::new(),
        }
    }

    /// A message that reaches the other end.
    fn pass(&mut self, to_sensor: bool, message: &Message) {
        let server = self.server.clone();
        let (from, to) = match to_sensor {
            true => (server.as_str(), OLD),
            false => (OLD, server.as_str()),
        };
        let packet = crate::common::ip_packet(from, to, &message.encode());
        self.us += 100;
        match to_sensor {
            true => self.network.wired(self.us, "client", "er1", &packet),
            false => self.network.wired(self.us, "er1", "client", &packet),
        }
        self.network.air(self.us + 10, &packet);
        self.over_air.push(packet);
    }

    /// A request with a token of eight bytes.
    fn ask(&mut self, to_sensor: bool, code: Code, path: &str, options: &[(u16, u64)]) -> Message {
        self.ask_with(to_sensor, code, path, options, &[], 0)
    }

    fn ask_with(
        &mut self,
        to_sensor: bool,
        code: Code,
        path: &str,
        options: &[(u16, u64)],
        queries: &[&str],
        payload: usize,
    ) -> Message {
        self.next += 1;
        let mut token = [7; 8];
        token[..2].copy_from_slice(&self.next.to_be_bytes());
        let mut request = Message {
            code,
            token: Token::new(&token).unwrap(),
            payload: vec![b'x'; payload],
            ..Message::empty(Kind::Confirmable, self.next)
        };
        for segment in path.split('/').filter(|s| !s.is_empty()) {
            request.options.push(URI_PATH, segment);
        }
        for query in queries {
            request.options.push(URI_QUERY, query);
        }
        for (number, value) in options {
            request.options.push_uint(*number, *value);
        }
        self.pass(to_sensor, &request);
        request
    }

    /// A response with `payload` bytes after its options.
    fn answer(
        &mut self,
        to_sensor: bool,
        request: &Message,
        code: Code,
        options: &[(u16, u64)],
        payload: usize,
    ) {
        let mut response = Message {
            code,
            token: request.token,
            payload: vec![b'x'; payload],
            ..Message::empty(Kind::Acknowledgement, request.message_id)
        };
        for (number, value) in options {
            response.options.push_uint(*number, *value);
        }
        self.pass(to_sensor, &response);
    }

    fn register(&mut self) {
        let link_format = [(CONTENT_FORMAT, 40)];
        let queries = ["ep=sensor", "lwm2m=1.1"];
        let rd = self.ask_with(false, Code::POST, "/rd", &link_format, &queries, 20);
        let mut created = Message {
            code: Code::CREATED,
            token: rd.token,
            ..Message::empty(Kind::Acknowledgement, rd.message_id)
        };
        created.options.push(LOCATION_PATH, "rd");
        created.options.push(LOCATION_PATH, "1");
        self.pass(true, &created);
    }

    /// The create of an instance, whose answer has `/2346/0`.
    fn create(&mut self, payload: usize) {
        let tlv = [(CONTENT_FORMAT, TLV)];
        let create = self.ask_with(true, Code::POST, "/2346", &tlv, &[], payload);
        let mut created = Message {
            code: Code::CREATED,
            token: create.token,
            ..Message::empty(Kind::Acknowledgement, create.message_id)
        };
        created.options.push(LOCATION_PATH, "2346");
        created.options.push(LOCATION_PATH, "0");
        self.pass(false, &created);
    }

    /// What is measured, with the frames of the sensor's radio.
    fn measure(&self, frames: &[Vec<u8>]) -> RunResult {
        let root = tempfile::tempdir().unwrap();
        let dir = run_directory(root.path(), &self.network.plan, &events(), &Wire::new());
        self.network.write(&dir);
        let packets = (1_u64..).zip(frames);
        let packets =
            packets.map(|(us, frame)| Packet::new(0, crate::common::at(us * 100), frame.clone()));
        let wpan = Capture {
            interfaces: vec![Interface::new("wpan0", LinkType::IEEE802_15_4_NOFCS)],
            packets: packets.collect(),
            ..Capture::default()
        };
        write_capture(&dir.capture("sensor", "wpan0"), &wpan);
        let result = measure::run_dir(&dir).unwrap();
        let text = fs::read_to_string(dir.result()).unwrap();
        assert_eq!(serde_json::from_str::<RunResult>(&text).unwrap(), result);
        result
    }

    /// The frames in which the packets cross, in fragments of 80 bytes where they are longer.
    fn frames(&self) -> Vec<Vec<u8>> {
        let mut sequence = 0_u8;
        let mut frame = |from: u8, to: u8, payload: &[u8]| {
            sequence = sequence.wrapping_add(1);
            [&[0x41, 0x88, sequence, 1, 0, to, 0, from, 0][..], payload].concat()
        };
        let mut frames = Vec::new();
        for (tag, packet) in self.over_air.iter().enumerate() {
            // The source address: whoever the sensor is not.
            let (from, to) =
                match packet[8..24] == [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5] {
                    true => (5, 1),
                    false => (1, 5),
                };
            if packet.len() <= 80 {
                frames.push(frame(from, to, &[&[0x41][..], packet].concat()));
                continue;
            }
            let size = (packet.len() as u16).to_be_bytes();
            for (n, part) in packet.chunks(80).enumerate() {
                let header = match n {
                    0 => vec![0xc0 | size[0], size[1], 0, tag as u8, 0x41],
                    _ => vec![0xe0 | size[0], size[1], 0, tag as u8, (n * 10) as u8],
                };
                frames.push(frame(from, to, &[&header[..], part].concat()));
            }
        }
        frames
    }
}

fn of<'r>(result: &'r RunResult, node: &str) -> &'r Application {
    let mut of_node = result.applications.iter().filter(|a| a.node == node);
    let found = of_node
        .next()
        .unwrap_or_else(|| panic!("{:#?}", result.notes));
    assert!(of_node.next().is_none());
    found
}

fn figures(volume: &Volume) -> (u64, u64, u64) {
    (volume.packets, volume.payload_bytes, volume.bytes_in_ipv4())
}

/// Table V of the third paper, separate reads: six resources, 96 times.
#[test]
fn separate_reads_are_those_of_table_v() {
    let mut talk = Talk::new();
    talk.register();
    let resources = [
        ("/3303/0/5700", 43),
        ("/3304/0/5700", 43),
        ("/3360/0/5702", 42),
        ("/3360/0/5703", 42),
        ("/3360/0/5704", 42),
        ("/3/0/9", 31),
    ];
    for (path, payload) in [resources; 96].into_iter().flatten() {
        let read = talk.ask(true, Code::GET, path, &[(ACCEPT, JSON)]);
        talk.answer(
            false,
            &read,
            Code::CONTENT,
            &[(CONTENT_FORMAT, JSON)],
            payload,
        );
    }
    let result = talk.measure(&[]);
    let server = of(&result, "client");
    assert_eq!(server.protocol.key(), "lwm2m");
    let read = server.by_message["read"];
    assert_eq!(figures(&read.sent), (576, 14_976, 39_168));
    assert_eq!(figures(&read.received), (576, 32_544, 56_736));
    assert_eq!(read.sent.ip_bytes, 14_976 + 576 * 48);
    let sensor = of(&result, "sensor").by_message["read"];
    let without_radio = |volume: Volume| Volume {
        radio: None,
        ..volume
    };
    assert_eq!(without_radio(sensor.received), read.sent);
    assert_eq!(without_radio(sensor.sent), read.received);
    // They are requests like any others', and no signalling.
    let sum: usize = result.flows.iter().map(|flow| flow.requests.sent).sum();
    assert_eq!(sum, 576);
    assert_eq!(result.signalling.sent, 0);
}

/// The same resources as a batch.
#[test]
fn a_batch_is_that_of_table_v() {
    let mut talk = Talk::new();
    talk.register();
    talk.create(87);
    for _ in 0..96 {
        let read = talk.ask(true, Code::GET, "/2346/0/5914", &[(ACCEPT, JSON)]);
        talk.answer(false, &read, Code::CONTENT, &[(CONTENT_FORMAT, JSON)], 186);
    }
    let result = talk.measure(&talk.frames());
    let server = of(&result, "client");
    let both = |figure: fn(&Volume) -> u64| {
        let of = |name: &str| server.by_message[name];
        let sent = figure(&of("create").sent) + figure(&of("batch read").sent);
        (
            sent,
            figure(&of("create").received) + figure(&of("batch read").received),
        )
    };
    assert_eq!(both(|v| v.packets), (97, 97));
    assert_eq!(both(|v| v.payload_bytes), (2_700, 19_411));
    assert_eq!(both(Volume::bytes_in_ipv4), (6_774, 23_485));
    assert_eq!((server.sent.packets, server.received.packets), (98, 98));
    assert_eq!(server.sent.radio, None, "it has no radio");

    // An answer of 250 bytes crosses in four fragments, each with 9 octets of MAC header and FCS of 2, and 4
    // or 5 of the fragment's header; the dispatch is in the first.
    let sensor = of(&result, "sensor").by_message["batch read"];
    let radio = Radio {
        frames: 96 * 4,
        octets: 96 * (250 + 4 * (9 + 2) + 4 * 5),
    };
    assert_eq!(sensor.sent.radio, Some(radio));
    let radio = Radio {
        frames: 96,
        octets: 96 * (48 + 27 + 1 + 9 + 2),
    };
    assert_eq!(sensor.received.radio, Some(radio));
    let summary = text::summary(&result);
    let row = "  batch read             96     2592         6624      7200";
    assert!(summary.contains(row), "{summary}");
    let exchanged = "  exchanged: 196 packets, payload 22186, paper bytes 30418,";
    assert!(summary.contains(exchanged), "{summary}");
}

#[test]
fn frames_that_do_not_make_the_datagrams_are_not_shown() {
    let mut talk = Talk::new();
    talk.register();
    talk.create(87);
    let mut frames = talk.frames();
    let whole = talk.measure(&frames);
    let all = of(&whole, "sensor").received.radio.unwrap();
    assert_eq!(
        whole.notes.iter().filter(|n| n.contains("frames")).count(),
        0
    );

    // A whole datagram again, which the kernel would have given to the node twice.
    let mut again = frames.clone();
    let last = again.last().unwrap().clone();
    again.push(last);
    let repeated = talk.measure(&again);
    let sent = |result: &RunResult| of(result, "sensor").sent.radio.map(|radio| radio.frames);
    assert_eq!(sent(&repeated), None, "lowpan0 has it once");

    let create = frames
        .iter()
        .position(|frame| frame[7] == 1 && frame[9] == 0xc0);
    let create = create.unwrap();
    let copy = frames[create].clone();
    frames.insert(create, copy);
    let repeated = talk.measure(&frames);
    let received = of(&repeated, "sensor").received.radio.unwrap();
    assert_eq!(received.frames, all.frames + 1);

    frames.remove(create + 2);
    let missing = talk.measure(&frames);
    assert_eq!(of(&missing, "sensor").received.radio, None);
    let note = "in which frames sensor sent and received for applications is not known";
    assert!(missing.notes.iter().any(|n| n.starts_with(note)));
    assert_eq!(of(&missing, "sensor").received.packets, 2);
}

#[test]
fn what_is_sent_again_and_what_is_missed_is_told() {
    let mut talk = Talk::new();
    talk.register();
    let observe = talk.ask(true, Code::GET, "/3303/0/5700", &[(OBSERVE, 0)]);
    talk.pass(true, &observe);
    talk.answer(false, &observe, Code::CONTENT, &[(OBSERVE, 1)], 4);
    for number in [2, 3, 6] {
        let mut notification = Message {
            code: Code::CONTENT,
            token: observe.token,
            payload: b"21.5".to_vec(),
            ..Message::empty(Kind::NonConfirmable, 700 + number)
        };
        notification.options.push_uint(OBSERVE, number.into());
        talk.us += 100_000;
        talk.pass(false, &notification);
    }
    let update = talk.ask(false, Code::POST, "/rd/1", &[]);
    talk.answer(true, &update, Code::NOT_FOUND, &[], 0);
    talk.register();
    let result = talk.measure(&[]);
    let server = of(&result, "client");
    let observed = server.by_message["observe"];
    assert_eq!((observed.sent.packets, observed.sent.repeated), (2, 1));
    assert_eq!((server.sent.repeated, server.received.repeated), (1, 0));
    assert_eq!(server.by_message["notify"].received.packets, 3);
    let expected = Observed {
        received: 3,
        lost: Some(2),
        longest_silence_s: Some(0.1001),
    };
    assert_eq!(server.notifications, Some(expected));
    assert_eq!(
        server.happened,
        [("updates_not_found".to_owned(), 1)].into()
    );
    assert_eq!(of(&result, "sensor").notifications, None);
    let summary = text::summary(&result);
    let lines = [
        "  notifications: 3 received, 2 lost, longest silence 100.100 ms\n",
        "  updates not found: 1\n",
    ];
    for line in lines {
        assert!(summary.contains(line), "{summary}");
    }
}

#[test]
fn an_observation_goes_on_where_the_node_is_now() {
    let mut talk = Talk::new();
    talk.register();
    let observe = talk.ask(true, Code::GET, "/3303/0/5700", &[(OBSERVE, 0)]);
    talk.answer(false, &observe, Code::CONTENT, &[(OBSERVE, 1)], 4);
    let server = talk.server.clone();
    let mut notification = Message {
        code: Code::CONTENT,
        token: observe.token,
        ..Message::empty(Kind::Confirmable, 700)
    };
    notification.options.push_uint(OBSERVE, 2);
    // From where it was, which nobody receives, and again from where it is.
    let lost = crate::common::ip_packet(OLD, &server, &notification.encode());
    talk.network.air(50_000, &lost);
    let again = crate::common::ip_packet(NEW, &server, &notification.encode());
    talk.network.air(100_000, &again);
    talk.network.wired(101_000, "er2", "client", &again);
    // A read without a format, too, is LwM2M's there.
    let mut read = get(Kind::Confirmable, 9, 9, "/3/0/9");
    read.token = Token::new(b"other").unwrap();
    let read = crate::common::ip_packet(&server, NEW, &read.encode());
    talk.network.wired(110_000, "client", "er2", &read);
    talk.network.air(111_000, &read);
    let result = talk.measure(&[]);
    let sensor = of(&result, "sensor");
    let notify = sensor.by_message["notify"].sent;
    assert_eq!((notify.packets, notify.repeated), (2, 1));
    assert_eq!(sensor.by_message["read"].received.packets, 1);
    let server = of(&result, "client");
    assert_eq!(server.by_message["notify"].received.packets, 1);
    let observed = server.notifications.unwrap();
    assert_eq!((observed.received, observed.lost), (1, Some(0)));
}

#[test]
fn the_applications_in_the_documentation_are_what_is_written() {
    let mut talk = Talk::new();
    talk.register();
    talk.create(87);
    let read = talk.ask(true, Code::GET, "/2346/0/5914", &[(ACCEPT, JSON)]);
    talk.answer(false, &read, Code::CONTENT, &[(CONTENT_FORMAT, JSON)], 186);
    let result = talk.measure(&talk.frames());
    let sensor = serde_json::json!({ "applications": [of(&result, "sensor")] });
    let page = include_str!("../../../../docs/result.md");
    let blocks = page.split("```json\n").skip(1);
    let texts = blocks.map(|block| block.split("```").next().unwrap());
    let mut values = texts.map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
    let shown = values.find(|value| value.get("applications").is_some());
    let written = serde_json::to_string_pretty(&sensor).unwrap();
    assert_eq!(shown.as_ref(), Some(&sensor), "\n{written}");
}
