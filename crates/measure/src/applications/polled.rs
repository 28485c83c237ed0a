//! What was to be asked at its times, and when it reached whom.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use topology::plan::NodeName;
use units::SimTime;

use crate::analysis::Rtt;
use crate::dissect::{Due, Protocol};
use crate::result::seconds;

/// What a node was to ask others at times that its plan has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Polled {
    /// How much that was within the scenario.
    pub due: u64,
    /// How much of it reached the other one, by that one's capture, whatever became of the answer.
    pub reached: u64,
    /// How long after its time it did, in seconds; null if nothing did.
    pub delay_s: Option<Delays>,
}

/// Delays, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delays {
    /// Shortest.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Median; the mean of the middle two of an even number.
    pub median: f64,
    /// 95th percentile (nearest rank).
    pub p95: f64,
    /// Longest.
    pub max: f64,
}

/// Requests that reached a node, each once: who asked, which message, and when they came.
pub(super) type Arrivals = BTreeMap<(NodeName, Protocol, String), Vec<SimTime>>;

/// What became of `due`, which is by time and begins at `start`. `arrivals` are those of each node that was looked at.
/// None if nothing was due, and if one that was to be asked was not looked at.
///
/// Of what waits for its node one is asked after the other, so that the first that arrives is the first that was due. Of what
/// does not wait it is the last that was.
pub(super) fn polled(
    (asking, protocol): (&NodeName, &Protocol),
    due: &[Due],
    start: SimTime,
    arrivals: &BTreeMap<NodeName, Arrivals>,
) -> Option<Polled> {
    let mut by_message: BTreeMap<(&NodeName, &str), Vec<&Due>> = BTreeMap::new();
    for one in due {
        by_message
            .entry((&one.to, one.message))
            .or_default()
            .push(one);
    }
    let mut delays = Vec::new();
    for ((to, message), due) in &by_message {
        let of_node = arrivals.get(*to)?;
        let key = (asking.clone(), protocol.clone(), (*message).to_owned());
        let came = of_node.get(&key).map_or(&[][..], Vec::as_slice);
        delays.extend(matched(due, start, came));
    }
    (!due.is_empty()).then(|| Polled {
        due: due.len() as u64,
        reached: delays.len() as u64,
        delay_s: Rtt::of(delays).map(|times| Delays {
            min: seconds(times.min),
            mean: seconds(times.mean),
            median: seconds(times.median),
            p95: seconds(times.p95),
            max: seconds(times.max),
        }),
    })
}

/// The delays of those that arrived.
fn matched(due: &[&Due], start: SimTime, came: &[SimTime]) -> Vec<Duration> {
    let mut open = due;
    let mut delays = Vec::new();
    for came in came {
        let times = |due: &Due| start + due.at;
        let before = open.partition_point(|due| times(due) <= *came);
        let Some(last) = before.checked_sub(1) else {
            continue; // Of something before, which was asked again.
        };
        let place = if open[last].waits { 0 } else { last };
        delays.push(came.saturating_since(times(open[place])));
        open = &open[place + 1..];
    }
    delays
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(at: &[u64], waits: bool) -> Vec<Due> {
        let one = |at: &u64| Due {
            to: "device".into(),
            message: "read",
            at: Duration::from_secs(*at),
            waits,
        };
        at.iter().map(one).collect()
    }

    fn delays(due: &[Due], came_s: &[u64]) -> Vec<u64> {
        let start = SimTime::ZERO + Duration::from_secs(1000);
        let due: Vec<&Due> = due.iter().collect();
        let came = came_s.iter().map(|s| start + Duration::from_secs(*s));
        let came: Vec<SimTime> = came.collect();
        let delays = matched(&due, start, &came).into_iter();
        delays.map(|delay| delay.as_secs()).collect()
    }

    #[test]
    fn what_waits_arrives_in_the_order_in_which_it_was_due() {
        let due = due(&[10, 20, 30], true);
        assert_eq!(delays(&due, &[25, 26, 31]), [15, 6, 1]);
        assert_eq!(delays(&due, &[25]), [15]);
        // Once more than there was to ask, and before anything was.
        assert_eq!(delays(&due, &[5, 31, 32, 33, 34]), [21, 12, 3]);
    }

    #[test]
    fn what_does_not_wait_arrives_at_its_time_or_never() {
        let due = due(&[10, 20, 30], false);
        assert_eq!(delays(&due, &[21]), [1]);
        assert_eq!(delays(&due, &[10, 34]), [0, 4]);
        assert_eq!(delays(&due, &[]), [0; 0]);
    }

    #[test]
    fn nothing_is_told_of_a_node_that_was_not_looked_at() {
        let due = due(&[10, 20], false);
        let protocol = Protocol::named("register");
        let (server, start) = ("server".to_owned(), SimTime::ZERO);
        let of = |arrivals: &BTreeMap<String, Arrivals>| {
            polled((&server, &protocol), &due, start, arrivals)
        };
        assert_eq!(of(&BTreeMap::new()), None);
        let mut arrivals = BTreeMap::from([("device".to_owned(), Arrivals::new())]);
        let none = of(&arrivals).unwrap();
        assert_eq!((none.due, none.reached, none.delay_s), (2, 0, None));
        let key = (server.clone(), protocol.clone(), "read".to_owned());
        let came = vec![start + Duration::from_secs(22)];
        arrivals
            .entry("device".into())
            .or_default()
            .insert(key, came);
        let one = of(&arrivals).unwrap();
        assert_eq!((one.reached, one.delay_s.unwrap().median), (1, 2.0));
    }
}
