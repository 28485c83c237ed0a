//! Captures of which a stranger asked, and what is right of each.

mod blocks;
mod cut;
mod endpoints;
mod kinds;
mod observe;
mod points;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::common::{Wire, at, content, get, handovers, ip_packet};
use capture::{Capture, Interface, LinkType, Packet};
use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Kind};
use measure::analysis::{Analysis, Flow, Options, Requests};
use measure::text::{Table, report};

const CLIENT: &str = "[2001:db8::c]:5683";
const HERE: &str = "[2001:db8:1::5]:5683";
const THERE: &str = "[2001:db8:2::5]:5683";

fn analyse(names: &[&str]) -> Analysis {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases");
    let files: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).collect();
    let (analysis, damage) = measure::analyze(&files, &Options::default());
    assert!(damage.is_empty(), "{damage:?}");
    analysis
}

fn of(captures: &[Capture]) -> Analysis {
    Analysis::of(captures, &Options::default())
}

fn only(analysis: &Analysis) -> &Flow {
    let [flow] = &analysis.flows[..] else {
        panic!("{:?}", analysis.flows);
    };
    flow
}

/// Sent, answered, lost, sent again, answered twice.
fn counts(flow: &Flow) -> [usize; 5] {
    let Requests {
        sent,
        answered,
        lost,
        retransmitted,
        duplicates,
        ..
    } = flow.requests();
    [sent, answered, lost, retransmitted, duplicates]
}

fn by_address(flow: &Flow) -> Vec<usize> {
    flow.addresses()
        .into_iter()
        .map(|(_, count)| count)
        .collect()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A notification.
fn notification(kind: Kind, message_id: u16, token: u8, number: u32) -> Message {
    let mut message = content(kind, message_id, token);
    message.options.push_uint(option::OBSERVE, number.into());
    message.payload = number.to_string().into_bytes();
    message
}

fn register(message_id: u16, token: u8, observe: u64) -> Message {
    let mut message = get(Kind::Confirmable, message_id, token, "/t");
    message.options.push_uint(option::OBSERVE, observe);
    message
}

fn only_frames(capture: &Capture, wanted: impl Fn(usize) -> bool) -> Capture {
    let frames = capture.packets.iter().enumerate();
    let frames = frames.filter(|(n, _)| wanted(*n));
    Capture {
        packets: frames.map(|(_, packet)| packet.clone()).collect(),
        interfaces: capture.interfaces.clone(),
        name: capture.name.clone(),
        damage: None,
    }
}
