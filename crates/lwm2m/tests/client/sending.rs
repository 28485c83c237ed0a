//! Send, as a server sees it (LwM2M 1.1 Core §6.4.6).

use std::time::Duration;

use coap::message::option;
use coap::{Code, Reliability, Request};
use lwm2m::client::{Config, Event, MAX_HELD, SendError, SendOutcome, SendPlan};
use lwm2m::format::decode;
use lwm2m::model::Version;
use lwm2m::{Format, Path, Record, Registry, Store, Value};

use crate::support::*;

const TEMPERATURE: &str = "/3303/0/5700";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The device of servers that want Send.
fn willing(servers: u16) -> Store {
    let mut store = device(servers.into());
    let mut begun = store.transaction();
    for server in 0..servers {
        let mute = Path::resource(1, server, 23);
        begun.set(mute, Value::Boolean(false)).unwrap();
    }
    begun.commit();
    store
}

fn started(config: Config) -> Bench {
    let mut bench = Bench::with(config, willing(1), 1);
    bench.start();
    assert!(bench.client.is_registered(1));
    bench.clear();
    bench
}

/// A schedule of the temperature.
fn plan(phase: u64, every: u64, sample: Option<u64>) -> SendPlan {
    SendPlan {
        server: 1,
        paths: vec![path(TEMPERATURE)],
        phase: secs(phase),
        every: secs(every),
        sample: sample.map(secs),
        reliability: Reliability::Confirmable,
        format: None,
    }
}

fn scheduled(plan: SendPlan) -> Bench {
    started(Config {
        sends: vec![plan],
        ..Config::new("device")
    })
}

fn send(bench: &mut Bench, paths: &[&str], format: Option<Format>) -> Result<(), SendError> {
    let paths: Vec<Path> = paths.iter().map(|at| path(at)).collect();
    let (now, how) = (bench.now, Reliability::Confirmable);
    let sent = (bench.client).send(now, 1, &paths, format, how, &mut bench.node);
    bench.exchange();
    sent.map(drop)
}

/// What servers were sent.
fn sent(bench: &Bench) -> Vec<&Request> {
    let requests = bench.requests().into_iter();
    requests.filter(|request| request.path() == "/dp").collect()
}

/// The records of a message.
fn records(request: &Request) -> Vec<Record> {
    assert_eq!(request.method, Code::POST);
    let number = request.options.get_uint(option::CONTENT_FORMAT).unwrap();
    let format = Format::of_number(u16::try_from(number).unwrap()).unwrap();
    decode(format, &Path::ROOT, &request.payload, &Registry::built_in()).unwrap()
}

/// Values of the messages, each with its time.
fn told(bench: &Bench) -> Vec<Vec<(f64, Option<f64>)>> {
    let told = sent(bench).into_iter().map(|request| {
        let records = records(request).into_iter();
        let values = records.map(|record| (record.value.unwrap().number().unwrap(), record.time));
        values.collect()
    });
    told.collect()
}

fn outcomes(bench: &mut Bench) -> Vec<SendOutcome> {
    let events = std::iter::from_fn(|| bench.client.poll_event());
    let outcomes = events.filter_map(|event| match event {
        Event::Sent { outcome, .. } => Some(outcome),
        _ => None,
    });
    outcomes.collect()
}

#[test]
fn values_are_sent_by_their_paths_in_both_formats() {
    let mut bench = started(Config::new("device"));
    send(
        &mut bench,
        &[TEMPERATURE, "/3360/0"],
        Some(Format::SenmlJson),
    )
    .unwrap();
    send(&mut bench, &[TEMPERATURE], None).unwrap();
    let sent = sent(&bench);
    assert_eq!(
        String::from_utf8_lossy(&sent[0].payload),
        r#"[{"n":"/3303/0/5700","v":21.5},{"n":"/3360/0/5702","v":3.25},{"n":"/3360/0/5703","v":7.125},{"n":"/3360/0/5704","v":1.2}]"#
    );
    assert_eq!(sent[1].options.get_uint(option::CONTENT_FORMAT), Some(112));
    assert_eq!(
        sent[1].payload,
        b"\x81\xa2\x00\x6c/3303/0/5700\x02\xfa\x41\xac\x00\x00"
    );
    assert_eq!(
        outcomes(&mut bench),
        [SendOutcome::Taken, SendOutcome::Taken]
    );
}

#[test]
fn nothing_is_sent_to_whom_it_must_not_be() {
    let mut bench = started(Config::new("device"));
    for (paths, format, expected) in [
        (&["/0/0"][..], None, SendError::Nothing(1)),
        (&["/3303/9"], None, SendError::Nothing(1)),
        (&[], None, SendError::Nothing(1)),
        (
            &[TEMPERATURE],
            Some(Format::Tlv),
            SendError::Format(Format::Tlv),
        ),
    ] {
        assert_eq!(send(&mut bench, paths, format), Err(expected));
    }
    // Security is left out of what else there is.
    send(&mut bench, &["/0", TEMPERATURE], None).unwrap();
    assert_eq!(records(sent(&bench)[0]).len(), 1);
    bench.clear();
    // Mute Send: true, or not there.
    let mute = |bench: &mut Bench, value: bool| {
        let record = [Record::new(path("/1/0/23"), Value::Boolean(value))];
        let done = bench.ask(1, with(Code::PUT, "/1/0/23", Format::Tlv, &record));
        assert_eq!(done.code, Code::CHANGED);
    };
    mute(&mut bench, true);
    assert_eq!(
        send(&mut bench, &[TEMPERATURE], None),
        Err(SendError::Muted(1))
    );
    mute(&mut bench, false);
    assert_eq!(send(&mut bench, &[TEMPERATURE], None), Ok(()));
    bench.ask(1, Request::new(Code::POST, "/1/0/4"));
    assert_eq!(
        send(&mut bench, &[TEMPERATURE], None),
        Err(SendError::NotRegistered(1))
    );
    let mut silent = Bench::registered(1);
    assert_eq!(
        send(&mut silent, &[TEMPERATURE], None),
        Err(SendError::Muted(1))
    );
    let mut old = started(Config {
        versions: vec![Version::V1_0],
        ..Config::new("device")
    });
    assert_eq!(
        send(&mut old, &[TEMPERATURE], None),
        Err(SendError::Version(1))
    );
    assert!(sent(&silent).is_empty() && sent(&old).is_empty());
}

#[test]
fn what_becomes_of_it_is_told_and_a_server_that_does_not_know_the_client_is_registered_with() {
    let mut bench = started(Config::new("device"));
    bench.answers = vec![Code::BAD_REQUEST];
    send(&mut bench, &[TEMPERATURE], None).unwrap();
    assert_eq!(
        outcomes(&mut bench),
        [SendOutcome::Refused(Code::BAD_REQUEST)]
    );
    bench.answers = vec![Code::NOT_FOUND, Code::NOT_FOUND];
    send(&mut bench, &[TEMPERATURE], None).unwrap();
    bench.pass(Duration::ZERO);
    let paths: Vec<_> = bench.requests().iter().map(|r| r.path()).collect();
    assert_eq!(paths, ["/dp", "/dp", "/rd/1", "/rd"]);
    assert_eq!(
        outcomes(&mut bench),
        [SendOutcome::Refused(Code::NOT_FOUND)]
    );
    bench.clear();
    bench.lose = (0..5).collect();
    send(&mut bench, &[TEMPERATURE], None).unwrap();
    bench.pass(secs(100));
    assert!(matches!(outcomes(&mut bench)[..], [SendOutcome::Failed(_)]));
}

#[test]
fn a_schedule_sends_what_is_there_at_its_times() {
    let mut bench = scheduled(plan(7, 10, None));
    bench.pass(secs(6));
    assert_eq!(told(&bench), Vec::<Vec<_>>::new());
    bench.pass(secs(2));
    bench.set(TEMPERATURE, 22.0);
    bench.pass(secs(30));
    assert_eq!(
        told(&bench),
        [
            [(21.5, None)],
            [(22.0, None)],
            [(22.0, None)],
            [(22.0, None)]
        ]
    );
}

#[test]
fn what_is_taken_between_goes_out_in_one_message_with_its_times() {
    let mut bench = scheduled(plan(10, 10, Some(4)));
    for value in 0..20 {
        bench.set(TEMPERATURE, f64::from(value));
        bench.pass(secs(1));
    }
    // At 2, 6 and 10 s; then at 14, 18, and by the message at 20 s.
    let expected = [
        vec![(2.0, Some(-8.0)), (6.0, Some(-4.0)), (9.0, None)],
        vec![(14.0, Some(-6.0)), (18.0, Some(-2.0)), (19.0, None)],
    ];
    let told = told(&bench);
    assert_eq!(told.len(), 2);
    for (told, expected) in told.iter().zip(&expected) {
        let times = |all: &[(f64, Option<f64>)]| all.iter().map(|(_, t)| *t).collect::<Vec<_>>();
        assert_eq!(times(told), times(expected));
    }
    // Each value is one of its time, or of the instant before.
    let all: Vec<f64> = told.iter().flatten().map(|(value, _)| *value).collect();
    assert!(all.is_sorted() && all.first() < Some(&3.0) && all.last() > Some(&17.0));
}

#[test]
fn a_client_with_a_calendar_says_absolute_times() {
    let mut bench = started(Config {
        sends: vec![plan(2, 2, Some(1))],
        epoch_s: Some(1_700_000_000.0),
        ..Config::new("device")
    });
    bench.pass(secs(2));
    let at = |seconds: f64| Some(1_700_000_000.0 + seconds);
    assert_eq!(
        told(&bench),
        [[(21.5, at(0.0)), (21.5, at(1.0)), (21.5, at(2.0))]]
    );
}

#[test]
fn what_a_server_has_not_taken_is_sent_again_and_what_it_refuses_is_not() {
    let mut bench = scheduled(plan(10, 10, Some(10)));
    bench.answers = vec![Code::SERVICE_UNAVAILABLE, Code::BAD_REQUEST];
    bench.pass(secs(30));
    // Of 0 and 10 s; again, with that of 20 s; refused, and so that of 30 s alone.
    let sizes: Vec<usize> = told(&bench).iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 3, 1]);
    // While one is on its way none joins it, and what was taken meanwhile goes out with the next.
    let lost = bench.sent.len();
    bench.lose = (lost..lost + 3).collect();
    bench.pass(secs(60));
    let sizes: Vec<usize> = told(&bench).iter().skip(3).map(Vec::len).collect();
    assert_eq!((sizes[0], sizes.iter().sum::<usize>()), (1, 6), "{sizes:?}");
    assert!(sizes[1] >= 2, "{sizes:?}");
}

#[test]
fn a_muted_schedule_keeps_a_bounded_history_and_one_without_samples_none() {
    for (sample, expected) in [(Some(1), MAX_HELD), (None, 1)] {
        let mut bench = scheduled(plan(10, 10, sample));
        let mute = |bench: &mut Bench, value: bool| {
            let now = bench.now;
            let value = Value::Boolean(value);
            let client = &mut bench.client;
            client
                .set(now, path("/1/0/23"), value, &mut bench.node)
                .unwrap();
        };
        mute(&mut bench, true);
        bench.pass(secs(5_005));
        assert_eq!(told(&bench), Vec::<Vec<_>>::new());
        mute(&mut bench, false);
        bench.pass(secs(60));
        let sizes: Vec<usize> = told(&bench).iter().map(Vec::len).collect();
        assert_eq!(sizes[0], expected);
        assert!(sizes.len() >= 2 && sizes[1] <= 11, "{sizes:?}");
    }
}

#[test]
fn one_that_is_not_confirmable_is_not_sent_again() {
    let mut bench = scheduled(SendPlan {
        reliability: Reliability::NonConfirmable,
        ..plan(1, 1, Some(1))
    });
    bench.answers = vec![Code::SERVICE_UNAVAILABLE; 2];
    bench.pass(secs(3));
    let sizes: Vec<usize> = told(&bench).iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 1, 1]);
    let refused = SendOutcome::Refused(Code::SERVICE_UNAVAILABLE);
    assert_eq!(
        outcomes(&mut bench),
        [refused.clone(), refused, SendOutcome::Taken]
    );
}
