//! A ping of 1000 bytes over `lowpan0`.

use std::sync::LazyLock;
use std::time::Duration;

use units::SimTime;

use crate::frames::{self, ACK, CCA, Frame, LIFS, TURNAROUND, UNIT_BACKOFF, airtime};
use crate::guest;

const TOPOLOGY: &str = include_str!("topologies/ping.yaml");
const COUNT: u16 = 24;
const BYTES: usize = 1000;

/// One run with pings, for every test that it is enough for.
pub static RUN: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    guest::ping(TOPOLOGY, ["er1", "sensor"], COUNT, BYTES, dir.path());
    dir
});

/// A request and its reply at the router's `lowpan0`, and what was on the air between them.
struct Ping {
    sent: SimTime,
    answered: SimTime,
    frames: Vec<Frame>,
}

impl Ping {
    fn round_trip(&self) -> Duration {
        self.answered.saturating_since(self.sent)
    }

    fn fragments(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(|frame| !frame.is_ack())
    }
}

/// The pings, but those that shared the air with something else.
fn pings() -> Vec<Ping> {
    let run = RUN.path();
    let times = |kind: u8| {
        let filter = format!("icmpv6.type == {kind}");
        let rows = frames::tshark(run, "er1.lowpan0", &filter, &["frame.time_epoch"]);
        let times = rows.into_iter().map(|row| nanoseconds(&row[0]));
        times.collect::<Vec<SimTime>>()
    };
    let air = frames::air(run);
    let pings = times(128)
        .into_iter()
        .zip(times(129))
        .map(|(sent, answered)| {
            let between = |frame: &&Frame| sent <= frame.start && frame.start < answered;
            let frames = air.iter().filter(between).cloned().collect();
            Ping {
                sent,
                answered,
                frames,
            }
        });
    let (alone, shared): (Vec<Ping>, Vec<Ping>) = pings.partition(|ping| {
        let others = ping.fragments().filter(|frame| !is_fragment(frame));
        others.count() == 0
    });
    assert_eq!(alone.len() + shared.len(), usize::from(COUNT));
    assert!(shared.len() <= 4, "neighbour discovery and group reports");
    alone
}

/// Whether a frame carries a fragment (RFC 4944 section 5.3: 11000 or 11100), between extended
/// addresses of one PAN: 21 bytes of MAC header.
fn is_fragment(frame: &Frame) -> bool {
    let between_extended = frame.psdu[1] & 0xcc == 0xcc;
    between_extended && matches!(frame.psdu[21] >> 3, 0b11000 | 0b11100)
}

/// `1577836801.355085353`.
fn nanoseconds(text: &str) -> SimTime {
    let (seconds, fraction) = text.split_once('.').unwrap();
    assert_eq!(fraction.len(), 9, "{text}");
    SimTime::from_nanos(format!("{seconds}{fraction}").parse().unwrap())
}

/// When the kernel of `node` handed a frame to its radio, by its capture.
fn handed_over(node: &str, frame: &Frame) -> SimTime {
    let capture = frames::read(RUN.path(), &format!("{node}.wpan0"));
    let content = frames::without_fcs(&frame.psdu);
    let packet = capture.packets.iter().find(|p| p.data == content);
    packet.unwrap().time
}

pub fn takes_the_time_of_its_fragments() {
    for (number, ping) in pings().iter().enumerate() {
        let what = format!("ping {number}");
        let fragments: Vec<&Frame> = ping.fragments().collect();
        // 1048 bytes of IPv6, at most some 100 in a frame; as many there as back.
        assert!(fragments.len() >= 22, "{what}: {}", fragments.len());
        let (there, back) = fragments.split_at(fragments.len() / 2);
        assert!(there.iter().all(|f| f.transmitter() == "er1"), "{what}");
        assert!(back.iter().all(|f| f.transmitter() == "sensor"), "{what}");

        // Within a train everything is known but the backoff, which is whole periods.
        for pair in ping.frames.windows(3) {
            let [fragment, ack, next] = pair else {
                unreachable!()
            };
            if fragment.is_ack() || next.transmitter() != fragment.transmitter() {
                continue;
            }
            assert_eq!(ack.start, fragment.end + TURNAROUND, "{what}");
            assert_eq!(ack.sequence(), fragment.sequence(), "{what}");
            let gap = next.start.saturating_since(ack.end);
            let backoff = gap - LIFS - CCA - TURNAROUND;
            let periods = backoff.as_nanos() / UNIT_BACKOFF.as_nanos();
            assert_eq!(UNIT_BACKOFF * periods as u32, backoff, "{what}: {gap:?}");
            // macMinBE is 3, and nobody else makes the channel busy.
            assert!(periods <= 7, "{what}: {gap:?}");
        }

        // What the kernels and the testbed add: from the request to its first fragment, from
        // the last one's end to the reply's first, and from the end of the reply's last; and
        // what is no whole backoff period before the first. (Before the reply's first, CCA may
        // have found the node's own ACK, several times.)
        let last_there = there.last().unwrap();
        let last_back = back.last().unwrap();
        let first = handed_over("er1", there[0]);
        let csma = there[0].start.saturating_since(first) - CCA - TURNAROUND;
        let broken = (csma.as_nanos() % UNIT_BACKOFF.as_nanos()) as u64;
        let begin = first.saturating_since(ping.sent) + Duration::from_nanos(broken);
        let turn = handed_over("sensor", back[0]).saturating_since(last_there.end);
        let end = ping.answered.saturating_since(last_back.end);
        let beyond = begin + turn + end;
        let share = beyond.as_secs_f64() / ping.round_trip().as_secs_f64();
        assert!(
            share < 0.05,
            "{what}: {beyond:?} of {:?}",
            ping.round_trip()
        );
    }
}

pub fn mean_is_the_closed_form() {
    let (mut measured, mut expected) = (Duration::ZERO, Duration::ZERO);
    for ping in pings() {
        measured += ping.round_trip();
        for fragment in ping.fragments() {
            expected += UNIT_BACKOFF * 7 / 2 + CCA + TURNAROUND;
            expected += airtime(fragment.psdu.len()) + TURNAROUND + ACK + LIFS;
        }
    }
    let ratio = measured.as_secs_f64() / expected.as_secs_f64();
    assert!((0.95..1.05).contains(&ratio), "{measured:?}, {expected:?}");
}

pub fn nothing_was_late() {
    let text = std::fs::read_to_string(RUN.path().join("air.json")).unwrap();
    let facts: rundir::air::Facts = serde_json::from_str(&text).unwrap();
    assert!(facts.delivered > 500, "{text}");
    assert_eq!(facts.lateness.over_limit, 0, "{text}");
    assert!(facts.lateness.max_s < 1e-3, "{text}");
}
