//! `wpanlab analyze --json`: an [`Analysis`] as JSON (`docs/result.md`).
//!
//! Times count from the first frame, whose Unix time is [`Report::start_unix_ns`].

use std::net::{IpAddr, SocketAddr};

use serde::{Serialize, Serializer};

use crate::analysis::{self, Analysis, Exchange, method_name};
use crate::attachment::{self, By, Change};
use crate::dissect::Protocol;
use crate::result::{Notifications, Requests, Response, SCHEMA, Scenario, seconds};
use crate::text::counted;

/// What captures show.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report<'a> {
    /// [`SCHEMA`], common with `result.json`.
    pub schema: u32,
    /// Unix time of the first frame, nanoseconds.
    pub start_unix_ns: u64,
    /// What was read of the captures, and what was not.
    pub frames: Frames,
    /// The CoAP messages in them, and what of those belongs to no flow.
    pub messages: Messages,
    /// Per client, node, method and resource.
    pub flows: Vec<Flow<'a>>,
    /// Requests that protocols need for themselves.
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
    /// Sightings of CoAP messages beyond the first, at other interfaces.
    #[serde(skip_serializing_if = "is_none")]
    pub seen_elsewhere: u64,
    /// CoAP messages of which the capture cut off the end.
    #[serde(skip_serializing_if = "is_none")]
    pub cut: u64,
    /// Requests whose resources are not known for that.
    #[serde(skip_serializing_if = "is_none")]
    pub cut_requests: u64,
    /// Captures whose clocks are not the others'.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clocks: Vec<Clock>,
    /// Captures whose clock stepped back in between.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clock_steps: Vec<ClockSteps>,
    /// Bindings that were left out, because there were too many; absent if there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bindings_left_out: Option<u64>,
    /// Messages of protocols that their receivers have to drop; absent if there were none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// The busiest UDP ports; absent unless there is no CoAP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub udp_ports: Vec<UdpPort>,
    /// Frames that were not read.
    pub not_read: Vec<NotRead>,
}

/// Messages of a protocol that their receivers have to drop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// What is wrong: `Mobility Headers with a wrong checksum`.
    pub what: String,
    /// How many, at every interface that saw them.
    pub messages: u64,
}

/// A UDP port that is none of CoAP's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UdpPort {
    /// Its number.
    pub port: u16,
    /// Datagrams from it or to it.
    pub datagrams: u64,
    /// Those of them that would be requests or responses of CoAP.
    pub could_be_coap: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// A capture whose clock is not the others'.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Clock {
    /// The capture.
    pub capture: String,
    /// How far it is ahead; its times were set by that.
    pub ahead_s: f64,
}

/// A capture whose clock stepped back in between.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClockSteps {
    /// The capture.
    pub capture: String,
    /// How often.
    pub times: u32,
    /// By how much, the first time.
    pub back_s: f64,
    /// The frame before which it was first.
    pub frame: u64,
    /// Whether times go on from the frame before; else they are as they were stamped.
    pub set: bool,
}

/// Frames of one kind that were not read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NotRead {
    /// What they are: `IEEE 802.15.4 without keys`, `ESP`, `link type 147`.
    pub what: String,
    /// How many.
    pub frames: u64,
}

/// CoAP messages, and what of them belongs to no flow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Messages {
    /// All, each once at every interface that saw it.
    pub coap: u64,
    /// Observe notifications.
    pub notifications: u64,
    /// Those among them whose registration was not captured.
    pub begun_before: u64,
    /// Requests to multicast groups, which are not paired.
    pub multicast: u64,
    /// Responses to those.
    #[serde(skip_serializing_if = "is_none")]
    pub multicast_responses: u64,
    /// Requests that want no response and had none; they are not among the lost.
    #[serde(skip_serializing_if = "is_none")]
    pub wants_none: u64,
    /// Requests that repeat an unanswered one after MAX_TRANSMIT_SPAN, and count as new.
    #[serde(skip_serializing_if = "is_none")]
    pub repeated_late: u64,
    /// Messages that OSCORE protects: their methods and resources are not known.
    #[serde(skip_serializing_if = "is_none")]
    pub protected: u64,
    /// Messages with Q-Block options, whose bodies are not put together.
    #[serde(skip_serializing_if = "is_none")]
    pub q_blocks: u64,
    /// Requests that only end an observation.
    pub deregistrations: u64,
    /// Of the lost requests those that were first sent after the end of what is measured.
    pub after_end: u64,
    /// CoAP pings.
    pub pings: u64,
    /// Responses to no request that was captured.
    pub stray: u64,
    /// Messages with a code that is reserved, or that their type must not have.
    #[serde(skip_serializing_if = "is_none")]
    pub reserved: u64,
    /// Datagrams of a CoAP port that are not CoAP.
    pub undecodable: u64,
    /// Why the first of those is not; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_undecodable: Option<String>,
}

/// An address that was asked in vain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unanswered {
    /// The address.
    pub address: SocketAddr,
    /// Requests that were sent to it and never answered.
    pub requests: usize,
}

/// What one client saw of one resource of one node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flow<'a> {
    /// The client's address; of several the one that it was seen at first.
    pub client: IpAddr,
    /// Its name, as `node` is the node's; absent if nothing tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// The name that the caller gave the node, else its permanent address, if bindings in the
    /// capture tell it.
    pub node: Option<String>,
    /// Whether its addresses are one node by the pattern of requests alone; absent if not.
    #[serde(skip_serializing_if = "is_false")]
    pub node_guessed: bool,
    /// Request method, `GET`.
    pub method: String,
    /// Path and query.
    pub resource: String,
    /// Of an observation whose registration was not captured, its token; the resource is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Addresses that were asked.
    pub to: Vec<SocketAddr>,
    /// Addresses that answered.
    pub addresses: Vec<SocketAddr>,
    /// Addresses that did not.
    pub unanswered: Vec<Unanswered>,
    /// Counts.
    pub requests: Requests,
    /// What was notified after the answers; absent if it was not observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notifications: Option<Notifications>,
    /// Message IDs requested and never answered, in the order of requests.
    pub lost_message_ids: Vec<u16>,
    /// The longest pause between two responses of one address.
    pub largest_gap_s: Option<f64>,
    /// Requests after the last response.
    pub unanswered_at_end: usize,
    /// Times without responses around changes of attachment.
    pub handovers: Vec<Handover>,
    /// Further ones that the flow does not show; absent if there are none.
    #[serde(skip_serializing_if = "crate::result::is_zero")]
    pub handovers_left_out: usize,
    /// Long pauses that are none.
    pub gaps: Vec<Gap>,
    /// The Message-ID table.
    pub message_ids: Rows<'a>,
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

/// A change of attachment, and the time without responses around it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Handover {
    /// By what it is known.
    pub by: By,
    /// From the last response before to the first one after; null if the flow does not show it.
    pub delay_s: Option<f64>,
    /// The last response before.
    pub last_before: Option<Response>,
    /// The first response after.
    pub first_after: Option<Response>,
    /// Message IDs requested over the gap and never answered.
    pub lost_message_ids: Vec<u16>,
    /// What the node announced; absent unless `by` is `binding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announced: Option<Announced>,
    /// The links that responses crossed before and after; absent unless `by` is `router`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<[String; 2]>,
    /// Why there is no delay; absent if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An announcement of a binding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Announced {
    /// When it was seen first.
    pub time_s: f64,
    /// Whose message it was.
    pub protocol: Protocol,
    /// Which one: `binding update`.
    pub message: String,
    /// The address by which the node is known.
    pub permanent: IpAddr,
    /// Where it was.
    pub from: IpAddr,
    /// Where it is.
    pub to: IpAddr,
}

/// The requests of a flow: a list of [`Row`]s, each made when it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows<'a> {
    exchanges: &'a [Exchange],
    clock: Scenario,
}

impl Rows<'_> {
    /// All.
    pub fn iter(&self) -> impl Iterator<Item = Row> {
        self.exchanges.iter().map(|e| row(e, &self.clock))
    }
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its Message ID.
    pub message_id: u16,
    /// CON or NON.
    pub confirmable: bool,
    /// Where to it was sent; several if the client learnt of another address meanwhile.
    pub to: Vec<SocketAddr>,
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

impl Report<'_> {
    /// The report of an analysis.
    pub fn of(analysis: &Analysis) -> Report<'_> {
        let clock = Scenario {
            start_unix_ns: analysis.start.as_nanos(),
            duration_s: 0.0,
        };
        let signalling = analysis::Requests::of(&analysis.signalling);
        Report {
            schema: SCHEMA,
            start_unix_ns: clock.start_unix_ns,
            frames: frames(&analysis.other),
            messages: messages(&analysis.other),
            flows: analysis.flows.iter().map(|f| flow(f, &clock)).collect(),
            signalling: Requests::from(&signalling),
        }
    }
}

fn frames(other: &analysis::Other) -> Frames {
    let clocks = other.clocks.iter().map(|clock| Clock {
        capture: clock.capture.clone(),
        ahead_s: clock.ahead_ns as f64 / 1e9,
    });
    let stepped = other.stepped.iter().map(|stepped| ClockSteps {
        capture: stepped.capture.clone(),
        times: stepped.times,
        back_s: seconds(stepped.back),
        frame: stepped.frame,
        set: stepped.set,
    });
    let faults = other.faults.iter().map(|(what, messages)| Fault {
        what: counted(*messages, what),
        messages: *messages,
    });
    let udp_ports = other.udp_ports.iter().map(|port| UdpPort {
        port: port.number,
        datagrams: port.datagrams,
        could_be_coap: port.could_be_coap,
    });
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
        seen_elsewhere: other.seen_elsewhere,
        cut: other.cut,
        cut_requests: other.cut_requests,
        clocks: clocks.collect(),
        clock_steps: stepped.collect(),
        bindings_left_out: Some(other.bindings_left_out).filter(|count| *count > 0),
        faults: faults.collect(),
        udp_ports: udp_ports.collect(),
        not_read: not_read.collect(),
    }
}

fn messages(other: &analysis::Other) -> Messages {
    Messages {
        coap: other.coap_messages,
        notifications: other.notifications,
        begun_before: other.begun_before,
        multicast: other.multicast,
        multicast_responses: other.multicast_responses,
        wants_none: other.wants_none,
        repeated_late: other.repeated_late,
        protected: other.protected,
        q_blocks: other.q_blocks,
        deregistrations: other.deregistrations,
        after_end: other.after_end,
        pings: other.pings,
        stray: other.stray,
        reserved: other.reserved,
        undecodable: other.undecodable,
        first_undecodable: other.first_undecodable.clone(),
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn flow<'a>(flow: &'a analysis::Flow, clock: &Scenario) -> Flow<'a> {
    let (handovers, left_out) = flow.told_handovers();
    let gaps = flow.gaps();
    let unanswered = flow.unanswered().into_iter();
    Flow {
        client: flow.client,
        client_name: flow.client_name.clone(),
        node: flow.node.clone(),
        node_guessed: flow.is_guessed(),
        method: method_name(flow.method),
        resource: flow.resource.clone(),
        token: flow.token.map(|token| token.to_string()),
        to: flow.destinations(),
        addresses: flow.addresses().into_iter().map(|(a, _)| a).collect(),
        unanswered: unanswered
            .map(|(address, requests)| Unanswered { address, requests })
            .collect(),
        requests: Requests::from(&flow.requests()),
        notifications: flow.notifications().map(Notifications::from),
        lost_message_ids: flow.lost(),
        largest_gap_s: flow.largest_gap().map(|gap| seconds(gap.duration())),
        unanswered_at_end: flow.unanswered_at_end(),
        handovers: handovers.iter().map(|h| handover(h, clock)).collect(),
        handovers_left_out: left_out,
        gaps: gaps.iter().map(|g| gap(g, clock)).collect(),
        message_ids: Rows {
            exchanges: &flow.exchanges,
            clock: *clock,
        },
    }
}

fn handover(handover: &attachment::Handover, clock: &Scenario) -> Handover {
    let gap = handover.gap.as_ref().ok();
    let announced = match &handover.change {
        Change::Binding(b) => Some(Announced {
            time_s: clock.seconds(b.time),
            protocol: b.protocol.clone(),
            message: b.message.to_string(),
            permanent: b.permanent,
            from: b.from,
            to: b.to,
        }),
        Change::Address | Change::Router { .. } => None,
    };
    let links = match &handover.change {
        Change::Router { from, to } => Some([from, to].map(ToString::to_string)),
        Change::Address | Change::Binding(_) => None,
    };
    Handover {
        by: handover.by(),
        delay_s: gap.map(|g| seconds(g.duration())),
        last_before: gap.map(|g| clock.response(&g.before)),
        first_after: gap.map(|g| clock.response(&g.after)),
        lost_message_ids: gap.map(|g| g.lost.clone()).unwrap_or_default(),
        announced,
        links,
        reason: handover.gap.as_ref().err().map(ToString::to_string),
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
        message_id: e.message_id(),
        confirmable: e.confirmable(),
        to: e.destinations(),
        sent_s: clock.seconds(e.sent_at()),
        transmissions: 1 + e.retransmissions(),
        answered_s: e.answered_at().map(|time| clock.seconds(time)),
        rtt_s: e.rtt().map(seconds),
        address: e.answer().map(|a| a.from),
        code: e.answer().map(|a| a.code.to_string()),
        reset: e.reset().is_some(),
        duplicates: e.duplicates(),
    }
}
