//! Batch under losses, crashes and observers, in many random orders: nobody ever sees half of a batch, nothing that was
//! acknowledged is lost, nothing is done twice, and whoever observes knows the last state in the end.
//!
//! Each case is a seed, which a failure names. `LWM2M_INTERLEAVINGS` says how many there are; the figure of
//! 10^5 in docs/lwm2m.md is `LWM2M_INTERLEAVINGS=100000`.

use std::time::Duration;

use coap::{Code, Event, RequestId};
use lwm2m::client::Config;
use lwm2m::{Format, Path, Record, Store, Value};
use rand_core::Rng as _;
use units::{Rng, Seed};

use crate::support::*;

const VALUES: &str = "/2346/0/5914";

/// Cases, unless the environment says otherwise.
const CASES: u64 = 2000;

/// The values of all three links.
fn triple(number: u64) -> Vec<Record> {
    let text = number.to_string();
    (0..3)
        .map(|n| string(&format!("{VALUES}/{n}"), &text))
        .collect()
}

/// The number that a state of the batch or the composite has three times.
fn whole(text: &str) -> u64 {
    let numbers: Vec<u64> = text
        .split(['"', ':', '}', ','])
        .filter_map(|part| part.parse().ok())
        .collect();
    assert!(
        numbers.len() == 3 && numbers.iter().all(|n| *n == numbers[0]),
        "half of a batch: {text}"
    );
    numbers[0]
}

/// What became of the writes and creates of a case.
#[derive(Default)]
struct Asked {
    writes: Vec<(RequestId, u64)>,
    creates: Vec<RequestId>,
    /// The highest write that was acknowledged.
    acknowledged: u64,
    created: usize,
    /// Creates that were under way when the device lost its power: the device may have done one, and does it again for its
    /// repetition, since what it remembers of messages is gone.
    twice: usize,
    /// Requests that ended without an answer: they may have been done.
    unsure: usize,
}

/// A device of two servers: both may read and write the position, and create batches and temperatures.
fn shared() -> Store {
    let mut store = device(2);
    let mut begun = store.transaction();
    for (control, object, instance, rights) in [
        (0, 3360, 0, 3),
        (1, 2346, 65_535, 16),
        (2, 3303, 65_535, 16),
    ] {
        let control = Path::instance(2, control);
        begun.create(control).unwrap();
        for (id, value) in [(0, object), (1, instance), (3, 1)] {
            begun
                .set(control.child(id).unwrap(), Value::Integer(value))
                .unwrap();
        }
        let acl = control.child(2).unwrap().child(0).unwrap();
        begun.set(acl, Value::Integer(rights)).unwrap();
    }
    begun.commit();
    store
}

struct Case {
    bench: Bench,
    rng: Rng,
    asked: Asked,
    observations: Vec<RequestId>,
    next: u64,
    crashed: bool,
}

impl Case {
    fn new(seed: u64) -> Case {
        let mut bench = Bench::with(Config::new("device"), shared(), 2);
        bench.start();
        let open = bench.ask(1, create_batch(&SIX[2..5]));
        assert_eq!(open.code, Code::CREATED);
        // Server 1 lets all others read and write its batch.
        let all = Record::new(path("/2/3/2/0"), Value::Integer(3));
        let open = bench.ask(1, with(Code::POST, "/2/3/2", Format::Tlv, &[all]));
        assert_eq!(open.code, Code::CHANGED);
        let put = with(Code::PUT, VALUES, Format::Tlv, &triple(0));
        assert_eq!(bench.ask(1, put).code, Code::CHANGED);
        bench.clear();
        Case {
            bench,
            rng: Seed(seed).rng(&["case"]),
            asked: Asked::default(),
            observations: Vec::new(),
            next: 1,
            crashed: false,
        }
    }

    fn below(&mut self, n: u32) -> u32 {
        self.rng.next_u32() % n
    }

    fn step(&mut self) {
        match self.below(12) {
            0..=3 => {
                let put = with(Code::PUT, VALUES, Format::Tlv, &triple(self.next));
                let id = self.bench.begin(1, put);
                self.asked.writes.push((id, self.next));
                self.next += 1;
            }
            4 | 5 => {
                let id = self.bench.begin(2, observe(VALUES, Format::Json));
                self.observations.push(id);
            }
            6 => drop(self.bench.begin(2, get(VALUES, Format::Json))),
            7 => {
                let id = self.bench.begin(1, create(3303, &[]));
                self.asked.creates.push(id);
            }
            8 if self.below(4) == 0 => {
                self.crashed = true;
                self.asked.twice += self.asked.creates.len() - self.asked.created;
                self.observations.clear();
                self.bench.crash();
            }
            _ => {
                let time = Duration::from_millis(u64::from(self.below(4000)));
                self.bench.pass(time);
            }
        }
        self.look();
    }

    /// Takes what the servers were told, and holds it to what may be.
    fn look(&mut self) {
        for (server, event) in std::mem::take(&mut self.bench.events) {
            match event {
                Event::Notification { response, .. } if server == 2 => {
                    let _ = whole(&text(&response));
                }
                Event::Response { id, response, .. } if server == 1 => {
                    if let Some((_, number)) = self.asked.writes.iter().find(|(of, _)| *of == id) {
                        assert_eq!(response.code, Code::CHANGED);
                        self.asked.acknowledged = self.asked.acknowledged.max(*number);
                    } else if self.asked.creates.contains(&id) {
                        assert_eq!(response.code, Code::CREATED);
                        self.asked.created += 1;
                    }
                }
                Event::Response { response, .. } if response.code == Code::CONTENT => {
                    let _ = whole(&text(&response));
                }
                Event::Failed { .. } => self.asked.unsure += 1,
                _ => {}
            }
        }
    }

    /// Losses end, and everything comes to rest.
    fn end(mut self) {
        self.bench.loss = None;
        for _ in 0..8 {
            self.bench.pass(Duration::from_secs(60));
            self.look();
        }
        let state = {
            let response = self.bench.ask(2, get(VALUES, Format::Json));
            whole(&text(&response))
        };
        // A write goes after the one before it, so that none is done after a later one.
        assert!(
            state >= self.asked.acknowledged,
            "{state} after {}",
            self.asked.acknowledged
        );
        assert!(state < self.next);
        if !self.crashed && self.asked.unsure == 0 {
            assert_eq!(state, self.next - 1);
        }
        let there = self.bench.client.store().instances(path("/3303")).count() - 1;
        let asked = self.asked.creates.len();
        let most = asked + self.asked.twice;
        assert!(
            (self.asked.created..=most).contains(&there),
            "{there} of {asked}"
        );
        if !self.crashed && self.asked.unsure == 0 {
            assert_eq!(there, asked);
        }
        self.observers_know(state);
    }

    /// Observations that still stand have told of the last state.
    fn observers_know(&mut self, state: u64) {
        let put = with(Code::PUT, VALUES, Format::Tlv, &triple(state + 1));
        assert_eq!(self.bench.ask(1, put).code, Code::CHANGED);
        self.bench.pass(Duration::from_secs(120));
        let mut standing: Vec<RequestId> = Vec::new();
        let told: Vec<(RequestId, u64)> = self
            .bench
            .events
            .iter()
            .filter_map(|(server, event)| match event {
                Event::Notification { id, response, .. } if *server == 2 => {
                    Some((*id, whole(&text(response))))
                }
                _ => None,
            })
            .collect();
        for (id, number) in &told {
            assert_eq!(*number, state + 1);
            assert!(!standing.contains(id), "told twice of one change");
            standing.push(*id);
        }
        // As many as the client has on its list.
        assert_eq!(standing.len(), self.bench.node.observations().count());
    }
}

#[test]
fn no_order_of_events_shows_half_of_a_batch() {
    let cases = std::env::var("LWM2M_INTERLEAVINGS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(CASES);
    for seed in 0..cases {
        let outcome = std::panic::catch_unwind(|| {
            let mut case = Case::new(seed);
            let percent = u32::try_from(seed % 4).unwrap_or(0) * 15;
            case.bench.loss = Some((Seed(seed).rng(&["loss"]), percent));
            for _ in 0..4 + seed % 12 {
                case.step();
            }
            case.end();
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
