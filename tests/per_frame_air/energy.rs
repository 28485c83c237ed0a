//! What the radios say of their time, against the clock and against the capture.

use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use rundir::{EventKind, RunDir};
use units::SimTime;

use crate::frames::{self, Frame};
use crate::ping::RUN;

/// A reading of a radio: transmitting, receiving, listening, asleep.
type Reading = [Duration; 4];

/// The scenario's begin and end.
pub fn scenario(run: &Path) -> [SimTime; 2] {
    let instant = |wanted: EventKind| {
        let event = events(run).into_iter().find(|event| event.kind == wanted);
        SimTime::from_nanos(event.unwrap().time_ns)
    };
    [EventKind::ScenarioStarted, EventKind::ScenarioEnded].map(instant)
}

/// What happened in a run, in order.
pub fn events(run: &Path) -> Vec<rundir::Event> {
    let file = std::fs::File::open(RunDir::new(run).events()).unwrap();
    rundir::event::read_all(BufReader::new(file)).unwrap()
}

/// What a node's radio had used at an instant.
fn reading(run: &Path, node: &str, at: SimTime) -> Reading {
    let mut readings = events(run)
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::RadioEnergy {
                tx_s,
                rx_s,
                listen_s,
                sleep_s,
                ..
            } if event.node == node && event.time_ns == at.as_nanos() => {
                Some([tx_s, rx_s, listen_s, sleep_s].map(Duration::from_secs_f64))
            }
            _ => None,
        });
    let reading = readings.next();
    reading.unwrap_or_else(|| panic!("no reading of {node} at {at:?}"))
}

/// What it used over the scenario.
fn used(run: &Path, node: &str) -> Reading {
    let [start, end] = scenario(run).map(|at| reading(run, node, at));
    std::array::from_fn(|state| end[state] - start[state])
}

fn assert_within_a_microsecond(measured: Duration, expected: Duration, what: &str) {
    let apart = measured.abs_diff(expected);
    assert!(
        apart <= Duration::from_micros(1),
        "{what}: {measured:?}, expected {expected:?}"
    );
}

pub fn states_add_up() {
    let run = RUN.path();
    let [start, end] = scenario(run);
    for node in ["er1", "sensor"] {
        let used = used(run, node);
        let sum = used.iter().sum();
        assert_within_a_microsecond(sum, end.saturating_since(start), node);
        assert!(used[..3].iter().all(|time| !time.is_zero()), "{used:?}");
        assert_eq!(used[3], Duration::ZERO, "nothing lets it sleep");
    }
}

/// The airtime, in the scenario, of the frames that `counts`.
fn airtime(run: &Path, counts: impl Fn(&Frame) -> bool) -> Duration {
    let [start, end] = scenario(run);
    let air = frames::air(run);
    let frames = air.iter().filter(|frame| counts(frame));
    frames
        .map(|frame| frame.end.min(end).saturating_since(frame.start.max(start)))
        .sum()
}

pub fn transmit_time_is_airtime() {
    let run = RUN.path();
    for node in ["er1", "sensor"] {
        let airtime = airtime(run, |frame| frame.transmitter() == node);
        assert!(airtime > Duration::from_secs(1), "{airtime:?}");
        assert_within_a_microsecond(used(run, node)[0], airtime, node);
    }
}

pub fn receive_time_is_airtime() {
    let run = RUN.path();
    let margin = Duration::from_micros(1);
    for node in ["er1", "sensor"] {
        let received = airtime(run, |frame| frame.reached(node));
        // A frame that it lost may have kept it for a while, if it did not transmit itself.
        let lost = airtime(run, |f| f.transmitter() != node && !f.reached(node));
        assert!(lost * 100 < received, "{lost:?} of {received:?}");
        let measured = used(run, node)[1];
        let possible = received - margin..=received + lost + margin;
        assert!(
            possible.contains(&measured),
            "{node}: {measured:?}, {possible:?}"
        );
    }
}
