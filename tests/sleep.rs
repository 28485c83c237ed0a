//! A node that sleeps by CoMP, and one that sleeps without a word: what the air carries for it.

#[path = "per_frame_air/frames.rs"]
#[allow(dead_code)] // the frames' contents are the air's tests
mod frames;

mod common;

use std::io::BufReader;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use common::{Run, said, topology};
use rundir::{BindingEvent, Event, EventKind, RunDir};
use units::SimTime;

static ANNOUNCED: LazyLock<Run> = LazyLock::new(|| passed("sleep.yaml"));
static UNANNOUNCED: LazyLock<Run> = LazyLock::new(|| passed("sleep-unannounced.yaml"));

fn passed(name: &str) -> Run {
    let run = Run::of(&topology(name), &[]);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    run
}

fn events(run: &Path) -> Vec<Event> {
    let file = std::fs::File::open(RunDir::new(run).events()).unwrap();
    rundir::event::read_all(BufReader::new(file)).unwrap()
}

/// The sensor's sleeps: from, to, and whether it woke early.
fn sleeps(run: &Path) -> Vec<(SimTime, SimTime, bool)> {
    let mut sleeps = Vec::new();
    let mut since = None;
    for event in events(run) {
        let at = SimTime::from_nanos(event.time_ns);
        match event.kind {
            EventKind::SleepStarted { .. } => since = Some(at),
            EventKind::SleepEnded { early } => {
                sleeps.push((since.take().expect("it slept"), at, early));
            }
            _ => {}
        }
    }
    sleeps
}

/// How long the radio of `node` slept in the scenario, and its energy in millijoules.
fn slept(run: &Path, node: &str) -> (f64, f64) {
    let readings: Vec<(f64, f64)> = (events(run).into_iter())
        .filter(|event| event.node == node)
        .filter_map(|event| match event.kind {
            EventKind::RadioEnergy {
                sleep_s,
                millijoules,
                ..
            } => Some((sleep_s, millijoules)),
            _ => None,
        })
        .collect();
    let (first, last) = (readings.first().unwrap(), readings.last().unwrap());
    (last.0 - first.0, last.1 - first.1)
}

/// Frames that were addressed to the sensor while it slept, as tshark reads the air; without the
/// neighbour discovery of the two kernels, which know nothing of sleeps (docs/limitations.md).
fn in_vain(run: &Path) -> Vec<Vec<String>> {
    let sensor = frames::tshark(
        run,
        "air",
        "frame.comment matches \"^sensor:\" && wpan.src64",
        &["wpan.src64"],
    );
    let sensor = &sensor.first().expect("the sensor sends")[0];
    let sleeps = sleeps(run);
    let discovery = "icmpv6.type == 135 || icmpv6.type == 136";
    let filter = format!("wpan.dst64 == {sensor} && !({discovery})");
    let fields = [
        "frame.time_epoch",
        "frame.len",
        "_ws.col.Info",
        "frame.comment",
    ];
    let mut addressed = frames::tshark(run, "air", &filter, &fields);
    addressed.retain(|frame| {
        let at = SimTime::ZERO + Duration::from_secs_f64(frame[0].parse().unwrap());
        // The frame that brought the answer to the hold is over by the time of the event.
        sleeps.iter().any(|(from, to, _)| *from <= at && at < *to)
    });
    addressed
}

#[test]
fn nothing_is_sent_to_a_node_whose_sleep_was_announced_and_everything_is_answered_after_it() {
    let run = ANNOUNCED.path("");
    let sleeps = sleeps(&run);
    let early: Vec<bool> = sleeps.iter().map(|(_, _, early)| *early).collect();
    assert_eq!(early, [false, false, true]);
    assert_eq!(in_vain(&run), Vec::<Vec<String>>::new());
    let result = ANNOUNCED.result();
    assert_eq!(result["requests"]["lost"], 0, "{result:#}");
    // 15 s of a request each 200, 250 and 300 ms; those of the sleeps too.
    let answered = result["requests"]["answered"].as_u64().unwrap();
    assert!(answered >= 75 + 60 + 50, "{result:#}");
}

#[test]
fn the_radio_is_off_for_as_long_as_the_events_say() {
    for run in [&*ANNOUNCED, &*UNANNOUNCED] {
        let run = run.path("");
        let total: f64 = (sleeps(&run).iter())
            .map(|(from, to, _)| to.saturating_since(*from).as_secs_f64())
            .sum();
        assert!(
            (4.5..5.5).contains(&total),
            "2 s, 2 s and the 1 s before the step: {total}"
        );
        // Less what its kernel sends meanwhile, for which the radio wakes up.
        let (slept, _) = slept(&run, "sensor");
        assert!(
            (total - 0.2..=total + 0.01).contains(&slept),
            "{slept} of {total}"
        );
    }
}

#[test]
fn clients_of_a_node_that_sleeps_early_enough_hear_of_its_early_wake() {
    let run = ANNOUNCED.path("");
    let (from, woken, _) = *sleeps(&run).last().unwrap();
    let planned = from + Duration::from_secs(2);
    let resumed = events(&run).into_iter().filter(|event| {
        let at = SimTime::from_nanos(event.time_ns);
        matches!(event.kind, EventKind::Binding(BindingEvent::Resumed { .. }))
            && woken < at
            && at < planned
    });
    assert_eq!(
        resumed.count(),
        3,
        "every client, before the period was over"
    );
}

#[test]
fn a_sleep_that_nobody_was_told_of_costs_frames_in_vain() {
    let run = UNANNOUNCED.path("");
    let in_vain = in_vain(&run);
    // Each client's request goes out at least once in each of three sleeps, and IEEE 802.15.4
    // sends a frame without an ACK 1 + macMaxFrameRetries = 4 times. (The first time may be over
    // the beginning of a sleep, and one request may have been heard in the milliseconds before it:
    // that client asks again when the sleep is over.)
    let fourth = |frame: &&Vec<String>| frame[3].contains("attempt 4");
    assert!(
        in_vain.iter().filter(fourth).count() >= 3 * 3 - 1,
        "{in_vain:#?}"
    );
    let figures = |run: &Run| {
        let facts: rundir::air::Facts = serde_json::from_str(&run.read("air.json")).unwrap();
        let (_, sensor) = slept(&run.path(""), "sensor");
        let (_, router) = slept(&run.path(""), "er1");
        (
            facts.transmissions,
            facts.frames,
            sensor,
            router,
            run.result()["requests"].clone(),
        )
    };
    println!("announced {:?}", figures(&ANNOUNCED));
    println!(
        "unannounced {:?}, in vain {}",
        figures(&UNANNOUNCED),
        in_vain.len()
    );
}
