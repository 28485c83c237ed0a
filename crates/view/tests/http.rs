//! A run by HTTP, as a page and a script ask for it.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use capture::{Interface, LinkType, Packet, TapHeader, Writer};
use common::{EVENTS, RESULT, Server, planned, run};
use serde_json::Value;
use tokio::sync::mpsc;
use units::SimTime;
use view::{Intervention, OpenError, Pace, Pacer, Source, Speed, Steering};

/// After so long a test that fails ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not so yet");
        sleep(Duration::from_millis(5));
    }
}

/// Sends a request as it stands; the answer is read as it comes.
fn send(at: SocketAddr, text: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    BufReader::new(stream)
}

/// Status, head and body of an answer to a GET with more header fields.
fn get_with(at: SocketAddr, target: &str, more: &str) -> (u16, String, String) {
    let text =
        format!("GET {target} HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n{more}\r\n");
    let mut answer = String::new();
    send(at, &text).read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn get(at: SocketAddr, target: &str) -> Value {
    let (status, _, body) = get_with(at, target, "");
    assert_eq!(status, 200, "{target}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// `/run` once everything has been read.
fn whole(at: SocketAddr) -> Value {
    until("everything is read", || {
        let run = get(at, "/run");
        (run["extent"]["read"] == true).then_some(run)
    })
}

/// An event of a stream: ID, name, data.
type Tale = (Option<u64>, String, Value);

/// The events of a stream.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn of(at: SocketAddr, target: &str, more: &str) -> Stream {
        let text = format!(
            "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nConnection: close\r\n{more}\r\n"
        );
        Stream(send(at, &text))
    }
}

impl Iterator for Stream {
    type Item = Tale;

    fn next(&mut self) -> Option<Tale> {
        let (mut id, mut name) = (None, String::new());
        let begun = Instant::now();
        loop {
            // Comments keep it open for ever.
            assert!(begun.elapsed() < PATIENCE, "nothing comes but comments");
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", text)) => id = Some(text.parse().unwrap()),
                Some(("event", text)) => name = text.to_owned(),
                Some(("data", text)) => {
                    return Some((id, name, serde_json::from_str(text).unwrap()));
                }
                _ => {}
            }
        }
    }
}

/// Puts a file into its place when it is whole, as a run does.
fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

/// The instant of the event in a line.
fn time_ns(line: &str) -> u64 {
    let event: Value = serde_json::from_str(line).unwrap();
    event["time_ns"].as_u64().unwrap()
}

fn line_of(what: &str) -> &'static str {
    EVENTS.lines().find(|line| line.contains(what)).unwrap()
}

#[test]
fn a_run_is_told_with_what_is_fixed_and_how_much_there_is() {
    let dir = run();
    let server = Server::of(dir.path());
    let run = whole(server.at);
    assert_eq!(run["plan"]["topology"], "handover");
    assert_eq!(run["plan"]["duration_s"], 5.0);
    let nodes = run["plan"]["nodes"].as_array().unwrap();
    let sensor = nodes.iter().find(|node| node["name"] == "sensor").unwrap();
    assert_eq!(
        (&sensor["place"], &sensor["attached"]),
        (&"radio".into(), &"er1".into())
    );
    assert_eq!(sensor["moves"], true);
    assert_eq!(run["handovers"][0]["to"], "er2");
    assert_eq!(run["result"]["passed"], true);
    assert_eq!(run["result"]["handovers"][0]["lost"], 0);
    let extent = &run["extent"];
    assert_eq!(extent["count"], EVENTS.lines().count());
    assert_eq!(extent["condition"], "finished");
    let first = EVENTS.lines().next().unwrap();
    assert_eq!(extent["first_ns"], time_ns(first).to_string());
    // Every step of the plan was carried out: the page counts them.
    let steps = run["plan"]["steps"].as_array().unwrap().len();
    let state = get(
        server.at,
        &format!("/state?number={}", EVENTS.lines().count()),
    );
    assert_eq!(state["nodes"]["scenario"]["steps"], steps);
    assert_eq!(server.end(), [""; 0]);
}

#[test]
fn any_instant_has_a_state_and_a_range_goes_on_from_it() {
    let dir = run();
    let server = Server::of(dir.path());
    whole(server.at);
    let held = time_ns(line_of("\"held\":true"));
    let before = get(server.at, &format!("/state?at={}", held - 1));
    assert_eq!(before["nodes"]["wmms"]["held"], Value::Null);
    let state = get(server.at, &format!("/state?at={held}"));
    assert_eq!(state["nodes"]["wmms"]["held"].as_object().unwrap().len(), 1);
    let number = state["number"].as_u64().unwrap();
    let range = get(server.at, &format!("/events?from={}&limit=2", held + 1));
    assert_eq!(range["events"][0]["n"], number);
    assert_eq!(range["events"].as_array().unwrap().len(), 2);
    assert_eq!(
        range,
        get(server.at, &format!("/events?number={number}&limit=2"))
    );
    let node = get(server.at, &format!("/node?name=wmms&at={held}"));
    let last = node["last"].as_array().unwrap().last().unwrap();
    assert_eq!(last["event"]["held"], true);
}

#[test]
fn who_asks_for_what_there_is_not_is_told_why() {
    let dir = run();
    let server = Server::of(dir.path());
    for (target, status, why) in [
        ("/nothing", 404, "there are /, /run"),
        ("/report.html", 404, "reason"),
        ("/state?at=x", 400, "at: expected a whole number"),
        ("/state?at=-1", 400, "at: expected a whole number"),
        ("/state?at=1&number=1", 400, "both at and number"),
        ("/events?limit=0", 400, "limit: expected 1 to 4096"),
        ("/events?limit=99999999999999999999", 400, "limit"),
        ("/frames?limit=0", 400, "limit: expected 1 to 4096"),
        ("/node", 400, "name: there is none"),
        ("/../../etc/passwd", 404, "there are /"),
    ] {
        let (told, _, body) = get_with(server.at, target, "");
        assert_eq!(told, status, "{target}: {body}");
        assert!(body.contains(why), "{target}: {body}");
    }
    // An instant or a number after the end is the end.
    let end = get(server.at, "/state?number=18446744073709551615");
    assert_eq!(end["number"], EVENTS.lines().count());
    assert_eq!(
        get(server.at, "/events?number=18446744073709551615")["events"],
        Value::Array(vec![])
    );
    assert_eq!(
        get(server.at, "/node?name=nobody")["last"],
        Value::Array(vec![])
    );
}

#[test]
fn a_page_of_somebody_elses_gets_nothing() {
    let dir = run();
    let server = Server::of(dir.path());
    let ask = |line: &str, more: &str| {
        let mut answer = String::new();
        let text = format!("{line} HTTP/1.1\r\nConnection: close\r\n{more}\r\n");
        send(server.at, &text).read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let own = format!("Host: {}\r\n", server.at);
    assert_eq!(ask("GET /run", &own), 200);
    assert_eq!(
        ask(
            "GET /run",
            &format!("{own}Origin: http://{}\r\n", server.at)
        ),
        200
    );
    assert_eq!(
        ask("GET /run", &format!("{own}Origin: http://example.org\r\n")),
        403
    );
    assert_eq!(ask("GET /run", &format!("{own}Origin: null\r\n")), 403);
    assert_eq!(
        ask("GET /run", &format!("{own}Sec-Fetch-Site: cross-site\r\n")),
        403
    );
    // A link on somebody's page may lead to the page.
    assert_eq!(
        ask("GET /", &format!("{own}Sec-Fetch-Site: cross-site\r\n")),
        200
    );
    assert_eq!(ask("GET /run", "Host: example.org\r\n"), 421);
    assert_eq!(ask("GET /run", ""), 400);
    assert_eq!(ask("GET /run", &format!("{own}{own}")), 400);
    assert_eq!(ask("POST /run", &own), 405);
    assert_eq!(ask("HEAD /run", &own), 200);
}

#[test]
fn the_page_needs_nothing_and_allows_nothing_but_itself() {
    let dir = run();
    fs::write(dir.path().join("report.html"), "<script>alert(1)</script>").unwrap();
    let server = Server::of(dir.path());
    let (status, head, body) = get_with(server.at, "/", "");
    assert_eq!(status, 200);
    assert!(
        head.contains("content-security-policy: default-src 'none'; script-src 'sha256-"),
        "{head}"
    );
    assert!(head.contains("nosniff"), "{head}");
    assert!(body.starts_with("<!DOCTYPE html>") && body.trim_end().ends_with("</html>"));
    let (status, head, _) = get_with(server.at, "/report.html", "");
    assert_eq!(status, 200);
    let policy =
        "content-security-policy: sandbox allow-scripts allow-downloads; default-src 'none'; ";
    assert!(head.contains(policy), "{head}");
    let own = report::page::script::source().to_ascii_lowercase();
    assert!(head.contains(&format!("script-src {own}\r")), "{head}");
}

#[test]
fn a_stream_begins_with_a_state_and_goes_on_after_what_was_had() {
    let dir = run();
    let server = Server::of(dir.path());
    whole(server.at);
    let all: Vec<Tale> = Stream::of(server.at, "/events", "").collect();
    assert_eq!(all[0].1, "snapshot");
    assert_eq!(all[0].2["number"], 0);
    let happened: Vec<&Tale> = all.iter().filter(|tale| tale.1 == "happened").collect();
    assert_eq!(happened.len(), EVENTS.lines().count());
    for (tale, line) in happened.iter().zip(EVENTS.lines()) {
        assert_eq!(tale.0, Some(time_ns(line)));
        assert_eq!(
            tale.2["event"],
            serde_json::from_str::<Value>(line).unwrap()
        );
    }
    assert_eq!(all.last().unwrap().1, "over");
    let middle = time_ns(line_of("\"handover_started\""));
    let more = format!("Last-Event-ID: {middle}\r\n");
    let rest: Vec<Tale> = Stream::of(server.at, "/events", &more).collect();
    let state = get(server.at, &format!("/state?at={middle}"));
    assert_eq!(rest[0].2, state);
    let later = EVENTS.lines().filter(|line| time_ns(line) > middle).count();
    assert_eq!(
        rest.iter().filter(|tale| tale.1 == "happened").count(),
        later
    );
    // Who has everything is not to come again.
    let end = time_ns(EVENTS.lines().last().unwrap());
    let more = format!("Accept: text/event-stream\r\nLast-Event-ID: {end}\r\n");
    assert_eq!(get_with(server.at, "/events", &more).0, 204);
}

#[test]
fn a_run_that_grows_is_followed_line_by_line_to_its_end() {
    let dir = planned();
    let server = Server::of(dir.path());
    let mut stream = Stream::of(server.at, "/events", "");
    assert_eq!(stream.next().unwrap().1, "snapshot");
    let path = dir.path().join("events.jsonl");
    let mut file = fs::File::create(&path).unwrap();
    let mut happened = Vec::new();
    let mut follow = |count: usize, happened: &mut Vec<Value>| {
        while happened.len() < count {
            let (_, name, data) = stream.next().unwrap();
            match name.as_str() {
                "happened" => happened.push(data["event"].clone()),
                "extent" => assert_eq!(data["condition"], "growing"),
                other => panic!("{other}"),
            }
        }
    };
    // A line that is not whole is not told.
    let (half, rest) = EVENTS.split_at(EVENTS.len() / 2);
    file.write_all(half.as_bytes()).unwrap();
    follow(half.matches('\n').count(), &mut happened);
    file.write_all(rest.as_bytes()).unwrap();
    follow(EVENTS.lines().count(), &mut happened);
    put(&dir.path().join("result.json"), RESULT);
    let last = stream.by_ref().last().unwrap();
    assert_eq!(
        (last.1.as_str(), &last.2["condition"]),
        ("over", &"finished".into())
    );
    for (event, line) in happened.iter().zip(EVENTS.lines()) {
        assert_eq!(event, &serde_json::from_str::<Value>(line).unwrap());
    }
}

#[test]
fn a_file_that_is_replaced_is_begun_again() {
    let dir = planned();
    let path = dir.path().join("events.jsonl");
    let first = EVENTS.lines().next().unwrap();
    fs::write(&path, format!("{first}\n")).unwrap();
    let server = Server::of(dir.path());
    let mut stream = Stream::of(server.at, "/events", "");
    assert_eq!(stream.next().unwrap().1, "snapshot");
    assert_eq!(stream.next().unwrap().1, "happened");
    // As the run does at its end, if a line came late.
    put(&path, EVENTS);
    let names = stream.map(|tale| tale.1);
    let mut names = names.skip_while(|name| name != "reset");
    assert_eq!(names.next().as_deref(), Some("reset"));
    assert_eq!(names.next().as_deref(), Some("snapshot"));
    let count = EVENTS.lines().count();
    assert!(names.take(count).all(|name| name == "happened"));
    assert_eq!(whole(server.at)["extent"]["generation"], 1);
}

#[test]
fn a_run_that_died_is_told_as_such() {
    let dir = planned();
    fs::write(dir.path().join("events.jsonl"), EVENTS).unwrap();
    fs::write(dir.path().join("error.txt"), "QEMU died\n").unwrap();
    let server = Server::of(dir.path());
    let extent = &whole(server.at)["extent"];
    assert_eq!(
        (&extent["condition"], &extent["why"]),
        (&"failed".into(), &"QEMU died".into())
    );
    let partial = RESULT.replacen("\"passed\"", "\"partial\": \"SIGINT\", \"passed\"", 1);
    put(&dir.path().join("result.json"), &partial);
    let extent = until("it is partial", || {
        let extent = get(server.at, "/extent");
        (extent["condition"] == "partial").then_some(extent)
    });
    assert_eq!(extent["why"], "SIGINT");
}

#[test]
fn a_result_of_another_version_is_told_and_the_run_is_shown() {
    let dir = run();
    fs::write(dir.path().join("result.json"), "{\"schema\":1}").unwrap();
    let server = Server::of(dir.path());
    let run = whole(server.at);
    assert_eq!(
        (&run["result"], &run["extent"]["condition"]),
        (&Value::Null, &"finished".into())
    );
    let told = run["extent"]["problems"][0].as_str().unwrap();
    assert!(
        told.starts_with("result.json cannot be understood: missing field"),
        "{told}"
    );
    assert_eq!(run["handovers"][0]["to"], "er2");
}

#[test]
fn events_that_a_finished_run_does_not_leave_so_are_named() {
    let problems_of = |events: Option<&str>| {
        let dir = planned();
        if let Some(events) = events {
            fs::write(dir.path().join("events.jsonl"), events).unwrap();
        }
        fs::write(dir.path().join("result.json"), RESULT).unwrap();
        let server = Server::of(dir.path());
        let problems = whole(server.at)["extent"]["problems"].clone();
        let problems: Vec<String> = serde_json::from_value(problems).unwrap();
        problems
    };
    assert_eq!(problems_of(Some(EVENTS)), [""; 0]);
    let mut lines: Vec<&str> = EVENTS.lines().collect();
    // Another instant, whatever is in it.
    let late = (1..lines.len()).find(|i| time_ns(lines[*i]) > time_ns(lines[i - 1]));
    let late = late.unwrap();
    lines.swap(late - 1, late);
    let told = problems_of(Some(&(lines.join("\n") + "\n"))).remove(0);
    let expected = format!(
        "events.jsonl: line {} is earlier than one before it",
        late + 1
    );
    assert!(told.starts_with(&expected), "{told}");
    assert!(problems_of(Some(""))[0].starts_with("events.jsonl is empty"));
    assert!(problems_of(None)[0].starts_with("events.jsonl is not there"));
}

#[test]
fn a_broken_line_is_named_and_what_is_before_it_is_shown() {
    let dir = planned();
    let mut lines: Vec<&str> = EVENTS.lines().collect();
    lines[9] = "{\"time_ns\":1,";
    fs::write(dir.path().join("events.jsonl"), lines.join("\n")).unwrap();
    fs::write(dir.path().join("result.json"), RESULT).unwrap();
    let server = Server::of(dir.path());
    let extent = &whole(server.at)["extent"];
    assert_eq!(extent["count"], 9);
    let told = extent["problems"][0].as_str().unwrap();
    assert!(
        told.starts_with("events.jsonl: line 10 is not an event: EOF"),
        "{told}"
    );
    assert_eq!(server.end(), [told]);
}

#[test]
fn a_directory_that_is_no_run_is_refused_with_what_to_give() {
    let empty = tempfile::tempdir().unwrap();
    let refused = |dir: &Path| Source::open(dir).err().unwrap().to_string();
    assert!(refused(empty.path()).contains("plan.yaml: "));
    assert!(
        refused(&empty.path().join("none")).contains("give the directory that `wpanlab run` wrote")
    );
    fs::write(empty.path().join("plan.yaml"), "version: 1\n").unwrap();
    assert!(refused(empty.path()).contains("plan.yaml: not a resolved plan"));
    fs::write(empty.path().join("sweep.json"), "{}").unwrap();
    let error = Source::open(empty.path()).err().unwrap();
    assert!(matches!(error, OpenError::Sweep { .. }));
    assert!(error.to_string().ends_with("point-1/seed-1"), "{error}");
    for name in ["plan.yaml", "events.jsonl", "result.json", "error.txt"] {
        let dir = run();
        let path = dir.path().join(name);
        let _ = fs::remove_file(&path);
        symlink("/etc/passwd", &path).unwrap();
        let told = refused(dir.path());
        assert!(
            told.contains(name) && told.contains("a symbolic link, which is not followed"),
            "{told}"
        );
    }
}

#[test]
fn a_link_in_the_events_place_is_told_and_not_followed() {
    let dir = planned();
    let server = Server::of(dir.path());
    symlink("/etc/passwd", dir.path().join("events.jsonl")).unwrap();
    let extent = until("the link is told", || {
        let extent = get(server.at, "/extent");
        extent["problems"][0].is_string().then_some(extent)
    });
    let told = extent["problems"][0].as_str().unwrap();
    assert!(
        told.contains("a symbolic link, which is not followed"),
        "{told}"
    );
    assert_eq!(extent["count"], 0);
}

/// A data frame from one node of a plan to another (IEEE 802.15.4-2006 §7.2.1), as the air captures it.
fn frame(plan: &topology::Plan, from: &str, to: &str) -> Vec<u8> {
    let eui64 = |name: &str| {
        let radio = plan.nodes[name].radio.as_ref().unwrap();
        radio.eui64.0.into_iter().rev()
    };
    let mut psdu = vec![0x41, 0xcc, 7, 1, 0];
    psdu.extend(eui64(to).chain(eui64(from)));
    psdu.extend([0x60, 0, 0]);
    let header = TapHeader {
        channel: units::Channel::try_from(15).unwrap(),
        rss: None,
        lqi: None,
    };
    header.packet(&psdu)
}

#[test]
fn frames_of_the_air_are_told_once_the_run_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let text = include_str!("../../../topologies/crowd.yaml");
    let plan = topology::load("crowd.yaml", text, topology::Overrides::default()).unwrap();
    fs::write(dir.path().join("plan.yaml"), plan.to_yaml()).unwrap();
    let started = "{\"time_ns\":1000,\"node\":\"scenario\",\"event\":\"scenario_started\"}\n";
    fs::write(dir.path().join("events.jsonl"), started).unwrap();
    let air = [Interface::new("air", LinkType::IEEE802_15_4_TAP)];
    let mut capture = Writer::new(Vec::new(), &air).unwrap();
    let packet = Packet::new(0, SimTime::from_nanos(1005), frame(&plan, "west1", "er1"));
    capture.write(&packet).unwrap();
    fs::create_dir(dir.path().join("captures")).unwrap();
    capture.write(&packet).unwrap();
    let mut file = capture.finish().unwrap();
    // Its last frame is not whole, as of a run that was killed.
    file.truncate(file.len() - 9);
    fs::write(dir.path().join("captures/air.pcapng"), file).unwrap();
    let server = Server::of(dir.path());
    whole(server.at);
    let growing = get(server.at, "/frames");
    assert_eq!(
        (&growing["read"], &growing["frames"]),
        (&false.into(), &Value::Array(vec![]))
    );
    put(&dir.path().join("error.txt"), "it was interrupted");
    let frames = until("the frames are read", || {
        let frames = get(server.at, "/frames?from=1001");
        (frames["read"] == true).then_some(frames)
    });
    let [t, from, to, received] = [0, 1, 2, 3].map(|i| frames["frames"][0][i].clone());
    assert_eq!((t, received), (5.into(), false.into()));
    let name = |place: Value| frames["names"][place.as_u64().unwrap() as usize].clone();
    assert_eq!((name(from), name(to)), ("west1".into(), "er1".into()));
    assert_eq!(
        get(server.at, "/frames?from=1006")["frames"],
        Value::Array(vec![])
    );
    let told = server.end().join("");
    let expected = "captures/air.pcapng: packet 2: the file ends inside it";
    assert!(told.starts_with(expected), "{told}");
}

/// Status and body of a POST of JSON.
fn post(at: SocketAddr, target: &str, body: &str, more: &str) -> (u16, Value) {
    let length = body.len();
    let text = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n{body}"
    );
    let mut answer = String::new();
    send(at, &text).read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn whoever_looks_holds_the_run_and_lets_it_go() {
    let dir = planned();
    fs::write(dir.path().join("events.jsonl"), EVENTS).unwrap();
    let pacer = Pacer::new(Pace::new(Some(Speed::REAL), Instant::now()));
    let server = Server::steered(
        dir.path(),
        Steering {
            pacer: Some(pacer.clone()),
            interventions: None,
        },
    );
    let at = server.at;
    assert_eq!(whole(at)["extent"]["pace"]["speed"], 1.0);
    let (status, told) = post(at, "/pace", "{\"paused\":true}", JSON);
    assert_eq!((status, &told["paused"]), (200, &Value::Bool(true)));
    pacer.lock().start(Instant::now(), 0);
    pacer.lock().reach(Duration::from_secs(1));
    assert!(!pacer.lock().goes_on(Instant::now()));
    assert_eq!(get(at, "/extent")["pace"]["paused"], true);
    assert_eq!(post(at, "/pace", "{\"step\":true}", JSON).0, 200);
    assert!(pacer.lock().goes_on(Instant::now()));
    let (_, told) = post(at, "/pace", "{\"speed\":null}", JSON);
    assert_eq!(told["speed"], Value::Null);
    for (body, more, expected) in [
        ("{\"speed\":0}", JSON, 400),
        ("{\"speed\":1,\"paused\":true}", JSON, 400),
        ("", JSON, 400),
        ("{\"paused\":true}", "", 415),
        ("{\"paused\":true}", "Content-Type: text/plain\r\n", 415),
        (&" ".repeat(5000), JSON, 413),
    ] {
        let (status, told) = post(at, "/pace", body, more);
        assert_eq!(status, expected, "{body}: {told}");
    }
    let foreign = format!("{JSON}Origin: http://evil.example\r\n");
    assert_eq!(post(at, "/pace", "{\"paused\":true}", &foreign).0, 403);
    assert_eq!(get_with(at, "/pace", "").0, 405);
    // Nobody takes a step, and a run that is over is held by nothing.
    let step = "{\"step\":\"{ at: 1 s, crash: er1 }\",\"at_ns\":1}";
    assert_eq!(post(at, "/steps", step, JSON).0, 409);
    put(&dir.path().join("result.json"), RESULT);
    until("the run is over", || {
        (get(at, "/extent")["condition"] == "finished").then_some(())
    });
    assert_eq!(post(at, "/pace", "{\"paused\":true}", JSON).0, 409);
    server.end();
}

#[test]
fn a_step_goes_to_who_makes_the_run_and_its_refusal_to_who_wants_it() {
    let dir = run();
    let (sender, mut wanted) = mpsc::channel(1);
    let server = Server::steered(
        dir.path(),
        Steering {
            pacer: None,
            interventions: Some(sender),
        },
    );
    let at = server.at;
    let maker = std::thread::spawn(move || {
        let mut steps = Vec::new();
        while let Some(Intervention { step, at, answer }) = wanted.blocking_recv() {
            let refused = step.contains("er9").then(|| "no er9".to_owned());
            answer.send(refused.map_or(Ok(()), Err)).unwrap();
            steps.push((step, at));
        }
        steps
    });
    assert_eq!(whole(at)["extent"]["steps"], true);
    let asked = |node| format!("{{\"step\":\"{{ crash: {node} }}\",\"at_ns\":2000000000}}");
    assert_eq!(post(at, "/steps", &asked("er1"), JSON).0, 200);
    let (status, told) = post(at, "/steps", &asked("er9"), JSON);
    assert_eq!((status, told["reason"].as_str()), (400, Some("no er9")));
    assert_eq!(post(at, "/steps", "{\"step\":\"x\"}", JSON).0, 400);
    server.end();
    let expected = ["{ crash: er1 }", "{ crash: er9 }"];
    let expected = expected.map(|step| (step.to_owned(), Duration::from_secs(2)));
    assert_eq!(maker.join().unwrap(), expected);
}
