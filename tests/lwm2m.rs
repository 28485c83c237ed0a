//! LwM2M over the kernel's 6LoWPAN: the third paper's tables to the byte, and a device that moves.

mod common;

use common::{Run, root, said, tshark, tshark_of};
use serde_json::Value;

fn ran(topology: &str, options: &[&str]) -> Run {
    let run = Run::of(&root().join("topologies").join(topology), options);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    run
}

/// What a node sent and received of LwM2M.
fn of_node(result: &Value, node: &str) -> Value {
    let all = result["applications"].as_array().unwrap();
    let found = all.iter().find(|entry| entry["node"] == node);
    found
        .unwrap_or_else(|| panic!("nothing of {node}: {result:#}"))
        .clone()
}

/// Of the messages that the paper counts, all but those of the registration: payload sent and received by the server, and
/// packets.
fn counted(result: &Value) -> (u64, u64, u64) {
    let server = of_node(result, "server");
    let mut sum = (0, 0, 0);
    for (name, ways) in server["by_message"].as_object().unwrap() {
        if ["register", "update", "deregister"].contains(&name.as_str()) {
            continue;
        }
        let of = |way: &str, key: &str| ways[way][key].as_u64().unwrap();
        sum.0 += of("sent", "payload_bytes");
        sum.1 += of("received", "payload_bytes");
        sum.2 += of("sent", "packets") + of("received", "packets");
    }
    sum
}

/// Two hours of the paper's 24, which `./scripts/figures lwm2m-tables` runs whole: of 96 rounds 8.
const TWO_HOURS: [&str; 2] = ["--set", "scenario.duration=2 h"];
const ROUNDS: u64 = 8;

#[test]
fn a_round_of_table_v_is_the_papers_to_the_byte() {
    let run = ran("papers/lwm2m-table5-separate.yaml", &TWO_HOURS);
    let (asked, answered) = (5 * 27 + 21, 59 + 59 + 58 + 58 + 58 + 47);
    assert_eq!(
        counted(&run.result()),
        (ROUNDS * asked, ROUNDS * answered, ROUNDS * 12)
    );
    let run = ran("papers/lwm2m-table5-batch.yaml", &TWO_HOURS);
    let (created, told) = (108, 19);
    assert_eq!(
        counted(&run.result()),
        (created + ROUNDS * 27, told + ROUNDS * 202, 2 + ROUNDS * 2)
    );
}

/// The paper's own figures do not go together: these are those of what its text describes.
#[test]
fn a_device_reports_by_itself_as_the_papers_text_describes() {
    let hours = ["--set", "scenario.duration=7195 s"];
    let run = ran("papers/lwm2m-table5-reverse.yaml", &hours);
    let (created, told) = (108 + 60, 19 + 19);
    assert_eq!(
        counted(&run.result()),
        (created, told + ROUNDS * 208, 4 + ROUNDS)
    );
}

#[test]
fn table_iv_is_the_papers_to_the_byte() {
    let run = ran("papers/lwm2m-table4-separate.yaml", &[]);
    assert_eq!(counted(&run.result()), (1_220, 379, 62));
    let run = ran("papers/lwm2m-table4-batch.yaml", &[]);
    assert_eq!(counted(&run.result()), (899, 158, 24));
    // Another reader of TLV: tshark finds nothing wrong with what was sent.
    let capture = run.path("captures/server.eth0.pcapng");
    let wrong = tshark(&capture, "coap && _ws.malformed", &["frame.number"]);
    assert_eq!(wrong, [[""; 0]; 0]);
    let writes = tshark(
        &capture,
        "coap.opt.ctype == \"application/vnd.oma.lwm2m+tlv\" && coap.code == 3",
        &["frame.number"],
    );
    assert_eq!(writes.len(), 10);
}

/// A device behind a NAT of 40 s: half the period of its Ready-to-Receive later nobody finds it, with Queue Mode later.
#[test]
fn what_is_written_behind_a_nat_arrives_while_the_device_keeps_its_mapping() {
    let period = |seconds: u32| {
        let script = "nodes.server.services[0].lwm2m-server.upon_registration[0]";
        format!("{script}.create.values./5918={seconds}")
    };
    let polled = |options: &[&str]| {
        let run = ran("lwm2m-rtr.yaml", options);
        let server = of_node(&run.result(), "server");
        let [due, reached] = ["due", "reached"].map(|key| server["polled"][key].as_u64().unwrap());
        let longest = server["polled"]["delay_s"]["max"].as_f64().unwrap();
        assert_eq!(due, 20);
        (reached, longest, run)
    };
    let (kept, delay_s, run) = polled(&["--set", &period(20)]);
    assert!(kept == 20 && delay_s < 1.0, "{kept}, {delay_s} s");
    // The server sees the router, at one port, and never the device.
    let seen = tshark(
        &run.path("captures/server.eth0.pcapng"),
        "coap && ipv6.dst == 2001:db8::2",
        &["ipv6.src"],
    );
    assert!(
        !seen.is_empty() && seen.iter().all(|line| line == &["2001:db8::1"]),
        "{seen:?}"
    );

    let (some, delay_s, _) = polled(&["--set", &period(80)]);
    assert!(
        (8..=12).contains(&some) && delay_s < 1.0,
        "{some}, {delay_s} s"
    );
    let queue = "nodes.device.services[0].lwm2m-client.queue=true";
    let (all, delay_s, _) = polled(&["--set", &period(80), "--set", queue]);
    assert!(
        all == 20 && (20.0..=80.0).contains(&delay_s),
        "{all}, {delay_s} s"
    );
}

/// The registration and the observation outlive handovers by CoMP, and every notification reaches the server.
#[test]
fn a_device_that_moves_stays_registered_and_observed() {
    let run = ran("lwm2m.yaml", &[]);
    let result = run.result();
    let server = of_node(&result, "server");
    assert!(server.get("happened").is_none(), "{server:#}");
    let notified = &server["notifications"];
    // A change every 200 ms over 10 s.
    assert!(notified["received"].as_u64().unwrap() >= 45, "{notified:#}");
    let registers = &server["by_message"]["register"]["received"];
    assert_eq!(registers["packets"], 1, "{server:#}");
}

/// A topology of a test's own.
fn ran_text(text: &str) -> (Run, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crashes.yaml");
    std::fs::write(&path, text).unwrap();
    let run = Run::of(&path, &[]);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    let result = run.result();
    (run, result)
}

/// How many packets of a message a node sent and received.
fn packets(result: &Value, node: &str, message: &str) -> (u64, u64) {
    let of_node = of_node(result, node);
    let ways = &of_node["by_message"][message];
    let of = |way: &str| ways[way]["packets"].as_u64().unwrap_or_default();
    (of("sent"), of("received"))
}

const QUEUED: &str = "\
version: 1
name: queued
nodes:
  er1: { role: edge-router }
  server: { place: wired, services: [{ lwm2m-server: { persistent: KEPT } }] }
  device:
    place: radio
    attached_to: er1
    services: [{ lwm2m-client: { queue: true, lifetime: 400 s, values: { /3/0/9: 100, /3303/0/5700: 21.5 } } }]
scenario:
  duration: 220 s
  steps:
    - { at: 120 s, operate: server, operations: [{ read: /3/0/9 }, { read: /3303/0/5700 }] }
    - { at: 130 s, crash: server }
    - { at: 140 s, restart: server }
expect: { registrations: REGISTRATIONS }
";

/// The device was heard last 120 s before, so that what the server is to do waits. The Update at half the lifetime finds the
/// registration, and is followed by the queue.
#[test]
fn a_queue_and_a_registration_outlive_a_crash_of_the_server() {
    let text = QUEUED.replace("KEPT", "true").replace("REGISTRATIONS", "1");
    let (_run, result) = ran_text(&text);
    assert_eq!(packets(&result, "server", "register"), (1, 1));
    assert_eq!(packets(&result, "server", "update"), (1, 1));
    assert_eq!(packets(&result, "server", "read"), (2, 2));
    assert!(of_node(&result, "server").get("happened").is_none());
    // Without it the device has to register again, and nobody reads.
    let text = QUEUED
        .replace("KEPT", "false")
        .replace("REGISTRATIONS", "2");
    let (_run, result) = ran_text(&text);
    assert_eq!(packets(&result, "server", "read"), (0, 0));
}

const REBORN: &str = "\
version: 1
name: reborn
nodes:
  er1: { role: edge-router }
  server: { place: wired, services: [{ lwm2m-server: { reports: [{ path: /up, of: /2346/0/5914 }] } }] }
  device:
    place: radio
    attached_to: er1
    services: [{ lwm2m-client: { persistent: KEPT, values: { /3/0/9: 100, /3303/0/5700: 21.5 } } }]
scenario:
  duration: 60 s
  steps:
    - at: 1 s
      operate: server
      operations:
        - create: { object: 2346, values: { /5913/0: /3303/0/5700, /5913/1: /3/0/9 } }
        - create: { object: 2347, values: { /5915: /2346/0/5914, /5916: 1, /5917: /up, /5918: 5, /5919: false, /5920: false } }
        - attributes: { path: /3303/0/5700, set: [pmin=7] }
    - { at: 20 s, crash: device }
    - { at: 22 s, restart: device }
    - { at: 40 s, operate: server, operations: [{ read: /2346/0/5914 }, { discover: /3303/0 }] }
expect: { registrations: 2 }
";

/// Its Notify goes on, and its Batch and what is attached are there: nobody creates or writes them again.
#[test]
fn a_device_that_lives_again_has_its_batch_its_notify_and_its_attributes() {
    let (run, result) = ran_text(&REBORN.replace("KEPT", "true"));
    let (_, before_and_after) = packets(&result, "server", "notify report");
    // Every 5 s from 1 s to 20 s, and again from 22 s and a share of 5 s to 60 s.
    assert!((10..=12).contains(&before_and_after), "{before_and_after}");
    assert_eq!(packets(&result, "server", "create"), (2, 2));
    // What Discover answers; the request that attached it has it in an option of its own.
    let capture = run.path("captures/server.eth0.pcapng");
    let told = tshark(&capture, r#"frame contains ";pmin=7""#, &["frame.number"]);
    assert_eq!(told.len(), 1);
    let (_run, result) = ran_text(&REBORN.replace("KEPT", "false"));
    let (_, before) = packets(&result, "server", "notify report");
    assert!(before <= 5, "{before}");
}

const BOOTSTRAPPED: &str = "\
version: 1
name: bootstrapped
backbone: { loss: LOSS }
nodes:
  er1: { role: edge-router }
  bs:
    place: wired
    services:
      - lwm2m-bootstrap-server:
          gives: [{ servers: [one, two], lifetime: 80 s, operations: [{ read: /1 }, { discover: / }] }]
  one: { place: wired, services: [{ lwm2m-server: {} }] }
  two: { place: wired, services: [{ lwm2m-server: { upon_registration: [{ read: /3303/0/5700 }, { read: /1/0 }] } }] }
  device:
    place: radio
    attached_to: er1
    services: [{ lwm2m-client: { bootstrap: bs, hold_off: 2 s, values: { /3303/0/5700: 21.5 } } }]
scenario:
  duration: 300 s
  steps:
    - { at: 200 s, operate: one, operations: [{ execute: { path: /1/0/9 } }] }
expect: { registrations: 4 }
";

/// How many messages of a name a node received, each once.
fn received(result: &Value, node: &str, message: &str) -> u64 {
    let volume = &of_node(result, node)["by_message"][message]["received"];
    let of = |key: &str| volume[key].as_u64().unwrap_or_default();
    of("packets") - of("repeated")
}

/// It knows its bootstrap server alone, and asks it by itself; the second time since a server says so. It has each time two
/// servers, and the second may read what the device has, but not the first one's account.
#[test]
fn a_client_has_its_servers_and_their_rights_from_its_bootstrap_server() {
    for loss in ["0 %", "10 %"] {
        let (run, result) = ran_text(&BOOTSTRAPPED.replace("LOSS", loss));
        assert_eq!(received(&result, "bs", "bootstrap-request"), 2, "{loss}");
        for (message, times) in [
            ("bootstrap-delete", 3),
            ("bootstrap-write", 3),
            ("bootstrap-read", 1),
            ("bootstrap-discover", 1),
            ("bootstrap-finish", 1),
        ] {
            let count = received(&result, "device", message);
            assert_eq!(count, 2 * times, "{loss}: {message}");
        }
        for server in ["one", "two"] {
            assert_eq!(received(&result, server, "register"), 2, "{loss}: {server}");
        }
        let capture = run.path("captures/two.eth0.pcapng");
        let codes = |code: u8| {
            let filter = format!("coap.code == {code} && ipv6.dst == 2001:db8::4");
            tshark(&capture, &filter, &["frame.number"]).len()
        };
        let (content, unauthorized) = (codes(69), codes(129));
        assert!(
            content >= 2 && unauthorized >= 2,
            "{loss}: {content}, {unauthorized}"
        );
    }
}

/// It registers with the servers that it was given, and asks nobody for others.
#[test]
fn what_a_bootstrap_server_gave_outlives_a_crash() {
    let step = "at: 200 s, operate: one, operations: [{ execute: { path: /1/0/9 } }]";
    let crash = "at: 100 s, crash: device }\n    - { at: 105 s, restart: device";
    let text = BOOTSTRAPPED.replace("LOSS", "0 %").replace(step, crash);
    let (_run, result) = ran_text(&text);
    assert_eq!(received(&result, "bs", "bootstrap-request"), 1);
    for server in ["one", "two"] {
        assert_eq!(received(&result, server, "register"), 2, "{server}");
    }
}

const SENT: &str = "\
version: 1
name: sent
backbone: { loss: LOSS }
nodes:
  er1: { role: edge-router }
  server: { place: wired, services: [{ lwm2m-server: {} }] }
  device:
    place: radio
    attached_to: er1
    services:
      - lwm2m-client:
          values: { /3303/0/5700: 0, /3/0/9: 100 }
          changes: [{ path: /3303/0/5700, value: { counter: { start: 0 } }, every: 1 s }]
          sends: [{ paths: [/3303/0/5700, /3/0/9], first: 10 s, every: 10 s, sample: 2 s }]
scenario: { duration: 295 s }
expect: { sends: \">= 5\" }
";

/// Every 2 s two values, every 10 s a message with all since the one before: over loss, too, the server has them all, since
/// what it has not taken comes with the next.
#[test]
fn what_a_client_sends_of_its_own_accord_arrives_with_its_history() {
    for loss in ["0 %", "10 %"] {
        let (run, result) = ran_text(&SENT.replace("LOSS", loss));
        let happened = |node: &str| of_node(&result, node)["happened"]["sent_values"].as_u64();
        let (server, device) = (happened("server").unwrap(), happened("device").unwrap());
        // The first samples are of 0 s or 2 s, the last message that has an answer of 290 s, or over loss of twice MAX_TRANSMIT_WAIT
        // before that (93 s, RFC 7252 §4.8.2) where two in a row are without luck.
        assert!((2 * 40..=2 * 147).contains(&device), "{loss}: {device}");
        assert!(server >= device, "{loss}: {server}, {device}");
        if loss == "0 %" {
            let capture = run.path("captures/server.eth0.pcapng");
            let sent = tshark(&capture, "coap.opt.uri_path == \"dp\"", &["coap.opt.ctype"]);
            assert!(
                sent.len() == 29 && sent.iter().all(|format| format[0].contains("senml")),
                "{sent:?}"
            );
            assert_eq!((server, device), (2 * 146, 2 * 146));
        }
    }
}

const CONNECTED: &str = "\
version: 1
name: connected
backbone: { delay: 5 ms }
radio: { medium: edges }
nodes:
  er1: { role: edge-router, router_advertisements: { max_response_delay: 0 ms, min_delay_between: 0 ms } }
  er2: { role: edge-router, router_advertisements: { max_response_delay: 0 ms, min_delay_between: 0 ms } }
  wmms: { role: wmms }
  device:
    role: mobile-node
    attached_to: er1
    handover: { address: slaac, dad: off, router_solicitation: { max_delay: 0 ms } }
    services: [{ lwm2m-client: { connectivity: true } }]
  server:
    role: client
    services:
      - lwm2m-server:
          read_format: json
          upon_registration:
            - attributes: { path: /4/0/2, set: [st=5] }
            - observe: /4/0/2
            - observe: /4/0/4
            - observe: /4/0/5
scenario:
  duration: 10 s
  steps:
    - { at: 2 s, link: [device, er2], attenuation: 50 dB }
    - { at: 2 s, link: [device, er1], attenuation: 95 dB, over: 2 s }
expect: { handovers: 1, registrations: 1, observed_lost: 0 }
";

/// What the server was told of a path of the device, in JSON: the numbers or the strings, those of each notification in a line.
fn told(run: &Run, path: &str, field: &str) -> Vec<String> {
    let capture = run.path("captures/server.eth0.pcapng");
    let filter = format!(r#"coap.code == 69 && frame contains "\"{path}\"""#);
    let lines = tshark_of(&capture, &filter, "a", &[field]);
    lines.into_iter().map(|line| line.concat()).collect()
}

/// The server knows of the handover what the device's radio measured, and its new router and address, all at once.
#[test]
fn a_device_tells_its_signal_its_router_and_its_address_through_a_handover() {
    let (run, result) = ran_text(CONNECTED);
    let signal = told(&run, "/4/0/2", "json.value.number");
    let signal: Vec<i32> = signal.iter().map(|dbm| dbm.parse().unwrap()).collect();
    // 0 dBm over 40 dB at home; then down to where the node leaves, and what it hears of the next one.
    assert_eq!(
        (signal[0], *signal.last().unwrap()),
        (-40, -50),
        "{signal:?}"
    );
    let fading = &signal[..signal.len() - 1];
    assert!(fading.len() >= 5, "{signal:?}");
    assert!(
        fading.windows(2).all(|two| two[1] <= two[0] - 5),
        "{signal:?}"
    );

    let last = |line: &String| line.rsplit(',').next().unwrap_or_default().to_owned();
    let strings = |path: &str| {
        let told = told(&run, path, "json.value.string");
        told.iter().map(last).collect::<Vec<String>>()
    };
    let advertises = |router: &str| {
        let capture = run.path(&format!("captures/{router}.lowpan0.pcapng"));
        let sources = tshark(&capture, "icmpv6.type == 134", &["ipv6.src"]);
        sources[0].concat()
    };
    assert_eq!(strings("/4/0/5"), [advertises("er1"), advertises("er2")]);
    let events = run.read("events.jsonl");
    let mut lines = events.lines();
    let completed = lines.find(|line| line.contains("\"handover_completed\""));
    let completed: Value = serde_json::from_str(completed.unwrap()).unwrap();
    let addresses = strings("/4/0/4");
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    assert_ne!(addresses[0], addresses[1]);
    assert_eq!(completed["t_addr"], *addresses[1]);
    assert_eq!(of_node(&result, "server")["notifications"]["lost"], 0);
}

const LOCATED: &str = "\
version: 1
name: located
radio: { medium: edges }
nodes:
  er1: { role: edge-router, position: [0 m, 0 m] }
  server:
    place: wired
    services: [{ lwm2m-server: { read_format: json, upon_registration: [{ observe: /6/0 }] } }]
  device:
    place: radio
    attached_to: er1
    position: [10 m, 0 m]
    services: [{ lwm2m-client: { connectivity: true, location: { latitude: 60, longitude: 8.5, every: 2 s } } }]
scenario:
  duration: 9 s
  steps:
    - { at: 1 s, move: device, to: [20 m, 0 m], speed: 2 m/s }
    - { at: 8 s, operate: server, operations: [{ read: /4/0 }] }
expect: { registrations: 1, observed_lost: 0 }
";

/// It walks 10 m to the east, at 60° of latitude: a degree is 55,597.54 m there. What it hears of its router it tells though
/// it never leaves that.
#[test]
fn a_device_tells_where_it_is_and_one_that_stays_what_it_hears() {
    let (run, _) = ran_text(LOCATED);
    let fixes = told(&run, "/6/0", "json.value.number");
    // Latitude, longitude, seconds of the scenario, m/s.
    let expected = [
        "60,8.5001799,0,0",
        "60,8.5002158,2,2",
        "60,8.5002878,4,2",
        "60,8.5003597,6,0",
        "60,8.5003597,8,0",
    ];
    assert_eq!(fixes[..5], expected);
    // The server ends its observation at the end of the scenario: the answer may be in the captures still.
    assert!(fixes[5..].iter().all(|fix| fix == expected[4]), "{fixes:?}");
    let connected = told(&run, "/4/0", "json.value.number");
    assert_eq!(connected.len(), 1, "{connected:?}");
    let numbers: Vec<i32> = connected[0]
        .split(',')
        .map(|n| n.parse().unwrap())
        .collect();
    let [bearer, available, signal, quality] = numbers.as_slice() else {
        panic!("{numbers:?}");
    };
    assert_eq!((*bearer, *available), (23, 23));
    assert!((-95..=-40).contains(signal) && (1..=255).contains(quality));
}
