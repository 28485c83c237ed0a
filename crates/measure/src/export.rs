//! `wpanlab analyze --json`: an [`Analysis`] as JSON (`docs/result.md`).
//!
//! Times count from the first frame, whose Unix time is [`Report::start_unix_ns`].

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::analysis::{self, Analysis, Exchange};
use crate::result::{Requests, Response, SCHEMA, Scenario, seconds};

/// What captures show.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`], common with `result.json`.
    pub schema: u32,
    /// Unix time of the first frame, nanoseconds.
    pub start_unix_ns: u64,
    /// What was read of the captures, and what was not.
    pub frames: Frames,
    /// Per client, node and resource.
    pub flows: Vec<Flow>,
    /// CoMP requests.
    pub signalling: Requests,
}

/// What was read of captures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Frames {
    /// Frames in them.
    pub captured: u64,
    /// IP packets in those, counted each time they were seen.
    pub packets: u64,
    /// Copies of CoAP messages: the same packet on another hop, at a mirror, around a tunnel.
    pub copies: u64,
    /// Frames that the MAC sent again.
    pub repeated: u64,
    /// Packets of which a fragment is missing.
    pub incomplete: u64,
    /// How many of those were given up, because too many were begun at once.
    pub dropped: u64,
    /// Frames that were not read.
    pub not_read: Vec<NotRead>,
}

/// Frames of one kind that were not read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NotRead {
    /// What they are: `IEEE 802.15.4 without keys`, `ESP`, `link type 147`.
    pub what: String,
    /// How many.
    pub frames: u64,
}

/// What one client saw of one resource of one node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flow {
    /// The client's address.
    pub client: IpAddr,
    /// The node's permanent address, if CoMP messages in the capture tell it.
    pub node: Option<String>,
    /// Request method, `0.01` for GET.
    pub method: String,
    /// Path and query.
    pub resource: String,
    /// Addresses that answered.
    pub addresses: Vec<SocketAddr>,
    /// Counts.
    pub requests: Requests,
    /// Changes of the address that answers.
    pub handovers: Vec<Gap>,
    /// Long pauses without such a change.
    pub gaps: Vec<Gap>,
    /// The Message-ID table.
    pub message_ids: Vec<Row>,
}

/// A time without responses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// From the last response before to the first one after.
    pub delay_s: f64,
    /// The last response before.
    pub last_before: Response,
    /// The first response after.
    pub first_after: Response,
    /// Message IDs requested over the gap and never answered.
    pub lost_message_ids: Vec<u16>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its Message ID.
    pub message_id: u16,
    /// CON or NON.
    pub confirmable: bool,
    /// When it was first sent.
    pub sent_s: f64,
    /// How often it was sent.
    pub transmissions: usize,
    /// When the first response was complete; null if it was lost.
    pub answered_s: Option<f64>,
    /// From the one to the other.
    pub rtt_s: Option<f64>,
    /// Who answered.
    pub address: Option<SocketAddr>,
    /// Response code, `2.05`.
    pub code: Option<String>,
    /// Whether it was rejected with RST.
    pub reset: bool,
    /// Copies of the response beyond the first.
    pub duplicates: u32,
}

impl Report {
    /// The report of an analysis.
    pub fn of(analysis: &Analysis) -> Report {
        let clock = Scenario {
            start_unix_ns: analysis.start.as_nanos(),
            duration_s: 0.0,
        };
        let signalling = analysis::Requests::of(&analysis.signalling);
        Report {
            schema: SCHEMA,
            start_unix_ns: clock.start_unix_ns,
            frames: frames(&analysis.other),
            flows: analysis.flows.iter().map(|f| flow(f, &clock)).collect(),
            signalling: Requests::from(&signalling),
        }
    }
}

fn frames(other: &analysis::Other) -> Frames {
    let not_read = other.unread.iter().map(|(what, frames)| NotRead {
        what: what.to_string(),
        frames: *frames,
    });
    Frames {
        captured: other.frames,
        packets: other.packets,
        copies: other.copies,
        repeated: other.repeated,
        incomplete: other.incomplete,
        dropped: other.dropped,
        not_read: not_read.collect(),
    }
}

fn flow(flow: &analysis::Flow, clock: &Scenario) -> Flow {
    let gaps = |gaps: Vec<analysis::Gap>| gaps.iter().map(|g| gap(g, clock)).collect();
    Flow {
        client: flow.client,
        node: flow.node.clone(),
        method: flow.method.to_string(),
        resource: flow.resource.clone(),
        addresses: flow.addresses().into_iter().map(|(a, _)| a).collect(),
        requests: Requests::from(&flow.requests()),
        handovers: gaps(flow.handovers()),
        gaps: gaps(flow.gaps()),
        message_ids: flow.exchanges.iter().map(|e| row(e, clock)).collect(),
    }
}

fn gap(gap: &analysis::Gap, clock: &Scenario) -> Gap {
    Gap {
        delay_s: seconds(gap.duration()),
        last_before: clock.response(&gap.before),
        first_after: clock.response(&gap.after),
        lost_message_ids: gap.lost.clone(),
    }
}

fn row(e: &Exchange, clock: &Scenario) -> Row {
    Row {
        message_id: e.message_id,
        confirmable: e.confirmable,
        sent_s: clock.seconds(e.sent_at()),
        transmissions: e.transmissions.len(),
        answered_s: e.answer.map(|a| clock.seconds(a.time)),
        rtt_s: e.rtt().map(seconds),
        address: e.answer.map(|a| a.from),
        code: e.answer.map(|a| a.code.to_string()),
        reset: e.reset.is_some(),
        duplicates: e.duplicates,
    }
}
