//! `events.jsonl`: one JSON object a line, on the clock of the captures.

mod attachment;
mod embedded;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::net::Ipv6Addr;

pub use attachment::{Attachment, WENT_BACK};
pub use handover::{BindingEvent, Event as HandoverEvent, Phase, Reason};
use serde::{Deserialize, Serialize};
use units::{Channel, PanId};

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unix time in nanoseconds, on the clock that stamps the captures.
    pub time_ns: u64,
    /// The node that saw it; the testbed itself writes `scenario`.
    pub node: String,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The node name under which the testbed's own events stand.
pub const SCENARIO: &str = "scenario";

/// What happened. In a line the events that other crates define stand like those defined here: an
/// object whose first key, `event`, is the name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A node's handover went on.
    #[serde(skip)]
    Handover(HandoverEvent),
    /// Where a node is became known, at the node itself or elsewhere.
    #[serde(skip)]
    Binding(BindingEvent),
    /// A daemon can serve; the scenario clock waits for all of them.
    Ready,
    /// The scenario clock is at zero.
    ScenarioStarted,
    /// A scenario step was carried out.
    ScenarioStep {
        /// What it did, in words.
        what: String,
    },
    /// The scenario's duration is over.
    ScenarioEnded,
    /// A request ended without a response; its caller was told.
    RequestFailed {
        /// Permanent address of the node asked.
        p_addr: Ipv6Addr,
        /// Why: `timeout`, `reset`, `hold queue full`, `hold timeout`, `node unknown`, …
        reason: String,
    },
    /// A DHCPv6 lease was given or taken.
    Leased {
        /// The address.
        address: Ipv6Addr,
    },
    /// A node asked for an address by DHCPv6 and was given none; it goes on to ask.
    Unserved {
        /// What the server said: `Solicit refused with NoAddrsAvail: …`.
        reason: String,
    },
    /// The node tuned its radio, or found it tuned so when it came up. What its signal registers
    /// said of PANs on other channels is void from here on.
    Tuned {
        /// The channel.
        channel: Channel,
        /// The PAN whose frames it accepts; it stays while the node listens on other channels.
        pan_id: PanId,
    },
    /// The node's radio goes to sleep.
    SleepStarted {
        /// For how long, unless it wakes early, seconds.
        period_s: f64,
        /// Whether its mobility protocol was told, and with it the correspondents.
        announced: bool,
    },
    /// The node's radio is awake again.
    SleepEnded {
        /// Whether before its time.
        early: bool,
    },
    /// What the node's radio has used since it came up: at the ends of the scenario and at the
    /// ends of each phase of the node's handovers. With `medium: phy` only.
    RadioEnergy {
        /// Time transmitting, seconds.
        tx_s: f64,
        /// Time synchronised on a frame, seconds.
        rx_s: f64,
        /// Time listening, seconds.
        listen_s: f64,
        /// Time asleep, seconds.
        sleep_s: f64,
        /// Energy of all that, millijoules.
        millijoules: f64,
    },
    /// So many events were not told one by one: there were too many that a datagram can cause, or nobody read
    /// what the daemon wrote.
    LeftOut {
        /// How many.
        events: u64,
    },
    /// More datagrams came than the daemon takes in, or than its store could keep up with: so many were not looked
    /// at. Those of nodes that it knows come first.
    PassedOver {
        /// How many since the last such event.
        datagrams: u64,
    },
    /// A program of the user's ended.
    ProgramExited {
        /// Its exit status; 128 and the signal's number if it was killed.
        status: i32,
    },
    /// A client has stopped polling (scenario over) and nothing is outstanding.
    Drained {
        /// Requests handed to the client since its start.
        requested: u64,
        /// Requests answered.
        answered: u64,
        /// Requests that were sent and wanted no response, or none that came (RFC 7967); absent
        /// without any.
        #[serde(default, skip_serializing_if = "is_zero")]
        sent: u64,
        /// Requests that failed.
        failed: u64,
        /// How many of those by reason, in the words of `request_failed`; absent if none failed.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        reasons: BTreeMap<String, u64>,
        /// What had to wait in the client before it was sent; absent if nothing had to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waited: Option<Waited>,
    },
    /// An HTTP client has stopped asking (scenario over) and nothing is outstanding.
    HttpDrained {
        /// Requests that it made, or had no connection for; of event streams those that they began with.
        asked: u64,
        /// Those that were answered without an error.
        answered: u64,
        /// How many of the others by reason: `timeout`, `connection refused`, `503`, …; absent without any.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        reasons: BTreeMap<String, u64>,
    },
}

/// Whether a count is left out.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The requests that were sent, and not at once: the node asked, or the client, was away, or others
/// were to be answered first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waited {
    /// How many.
    pub requests: u64,
    /// How long all of them together, seconds.
    pub total_s: f64,
    /// How long the one that waited longest, seconds.
    pub longest_s: f64,
}

/// Writes one event as a line.
///
/// # Errors
/// The output refused the bytes.
pub fn write_line(output: &mut impl Write, event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    output.write_all(&line)
}

/// Why `events.jsonl` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadEventsError {
    /// The input failed.
    #[error("cannot read the events: {0}")]
    Io(#[from] io::Error),
    /// A line is too long to be an event.
    #[error("line {line} has more than {} KiB and is no event", LONGEST_LINE >> 10)]
    LongLine {
        /// Number of the line, from 1.
        line: usize,
    },
    /// There are too many lines.
    #[error("they have more than {} MiB", limit >> 20)]
    TooLong {
        /// How many bytes all lines may have.
        limit: u64,
    },
    /// A line is not an event.
    #[error("line {line} is not an event: {source}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Most bytes of a line; an event has some hundred.
pub const LONGEST_LINE: u64 = 1 << 20;

/// Most bytes of all lines together: some five million events.
pub const MOST_BYTES: u64 = 512 << 20;

/// Reads all events, one a line of at most [`LONGEST_LINE`], [`MOST_BYTES`] together; empty lines are
/// passed over.
///
/// # Errors
/// The input failed, is too long, or a line is not an event.
pub fn read_all(input: impl BufRead) -> Result<Vec<Event>, ReadEventsError> {
    read_at_most(input, MOST_BYTES)
}

fn read_at_most(mut input: impl BufRead, limit: u64) -> Result<Vec<Event>, ReadEventsError> {
    let (mut events, mut bytes) = (Vec::new(), Vec::new());
    let (mut line, mut total) = (0, 0);
    loop {
        bytes.clear();
        // One more than allowed shows that there are more.
        let read = (&mut input)
            .take(LONGEST_LINE + 1)
            .read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(events);
        }
        line += 1;
        total += read as u64;
        let event = parse_line(&bytes, line)?;
        if total > limit {
            return Err(ReadEventsError::TooLong { limit });
        }
        events.extend(event);
    }
}

/// The event in the bytes of a line, whose number is `line`; none if it is empty.
///
/// # Errors
/// It has more than [`LONGEST_LINE`], or is no event.
pub fn parse_line(bytes: &[u8], line: usize) -> Result<Option<Event>, ReadEventsError> {
    if bytes.len() as u64 > LONGEST_LINE {
        return Err(ReadEventsError::LongLine { line });
    }
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    let event = serde_json::from_slice(bytes);
    event
        .map(Some)
        .map_err(|source| ReadEventsError::Line { line, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_flat_objects_one_a_line() {
        let events = vec![
            Event {
                time_ns: 1,
                node: SCENARIO.into(),
                kind: EventKind::ScenarioStarted,
            },
            Event {
                time_ns: 2,
                node: "sensor".into(),
                kind: EventKind::Handover(HandoverEvent::PhaseEnded {
                    handover: 1,
                    phase: Phase::MOVEMENT_DETECTION,
                }),
            },
        ];
        let mut file = Vec::new();
        for event in &events {
            write_line(&mut file, event).unwrap();
        }
        assert_eq!(
            String::from_utf8(file.clone()).unwrap(),
            "{\"time_ns\":1,\"node\":\"scenario\",\"event\":\"scenario_started\"}\n\
             {\"time_ns\":2,\"node\":\"sensor\",\"event\":\"phase_ended\",\"handover\":1,\
             \"phase\":\"movement_detection\"}\n"
        );
        assert_eq!(read_all(&file[..]).unwrap(), events);
    }

    #[test]
    fn the_radio_is_tuned_to_a_channel_by_number_and_to_a_pan_in_hexadecimal() {
        let line = "{\"time_ns\":3,\"node\":\"sensor\",\"event\":\"tuned\",\"channel\":20,\
                    \"pan_id\":\"0x0002\"}\n";
        let event = Event {
            time_ns: 3,
            node: "sensor".into(),
            kind: EventKind::Tuned {
                channel: Channel::try_from(20).unwrap(),
                pan_id: PanId(2),
            },
        };
        let mut file = Vec::new();
        write_line(&mut file, &event).unwrap();
        assert_eq!(String::from_utf8(file).unwrap(), line);
        assert_eq!(read_all(line.as_bytes()).unwrap(), [event]);
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        let error = read_all(&b"\n{\"time_ns\":1}\n"[..]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("line 2 is not an event: missing field")
        );
    }
    #[test]
    fn a_line_without_an_end_and_lines_without_one_are_refused() {
        let endless = io::BufReader::new(io::repeat(0));
        let error = read_all(endless).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 1 has more than 1024 KiB and is no event"
        );
        let line = "{\"time_ns\":1,\"node\":\"wall\",\"event\":\"ready\"}\n\n".repeat(9);
        let length = line.len() as u64;
        assert_eq!(read_at_most(line.as_bytes(), length).unwrap().len(), 9);
        let error = read_at_most(line.as_bytes(), length - 1).unwrap_err();
        assert!(matches!(error, ReadEventsError::TooLong { .. }), "{error}");
    }
}
