//! Measures a capture whose gap, losses and retransmissions are known.
//!
//! The capture is written as pcapng and read back, so that the whole way from a file to a
//! figure is tested, on the machine and with the binary that measures.

use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use capture::{Capture, Interface, LinkType, Packet, ReadError, WriteError, Writer};
use coap::message::PORT;
use coap::wire::{Message, Token};
use coap::{Code, Kind, Request};
use units::SimTime;

use crate::analysis::{Analysis, Options};
use crate::attachment::By;
use crate::dissect::{Binding, Dissector, Meaning, Protocol, Seen, Standing, Subject};

/// How far a measured delay may be from the true one.
pub const TOLERANCE: Duration = Duration::from_millis(1);

const CLIENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const OLD: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 5);
const NEW: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 5);
/// Where a node is whose address stays, before the gap and after it.
const CARE_OF: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 5),
    Ipv6Addr::new(0x2001, 0xdb8, 4, 0, 0, 0, 0, 5),
];
/// The last byte of the link-layer addresses of the client and of two routers.
const CLIENT_MAC: u8 = 1;
const ROUTERS: [u8; 2] = [2, 3];
/// After this a client sends again what it got no answer to: here one that the client, unlike the
/// capture, did not see. A copy that comes at once would be one of the packet, not of the message.
const ACK_TIMEOUT: Duration = Duration::from_secs(2);
const START: SimTime = SimTime::from_nanos(1_600_000_000_000_000_000);

/// What is another one after the gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The address that answers.
    Address,
    /// The care-of address that the node announces, in the middle of the gap.
    Binding,
    /// The router by way of which responses come.
    Router,
}

/// What a synthetic capture contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// What changes over the gap.
    pub moved: Moved,
    /// From the last response before the change to the first one after it.
    pub delay: Duration,
    /// Time between requests.
    pub period: Duration,
    /// Round-trip time of a request that is answered at once.
    pub rtt: Duration,
    /// Requests answered before the gap, and as many after it; at least 1, and with
    /// [`Truth::lost`] at most 65,535 in sum.
    pub answered: u16,
    /// Requests lost in the gap; with [`Moved::Binding`] at least 1, for somebody has to wait.
    pub lost: u16,
    /// Every how many requests one is sent twice; 0: none.
    pub retransmit_every: u16,
    /// Message ID of the first request.
    pub first_message_id: u16,
}

impl Default for Truth {
    /// The CoMM paper's case: 1.54 s, two lost, and Message IDs that wrap around.
    fn default() -> Truth {
        Truth {
            moved: Moved::Address,
            delay: Duration::from_millis(1540),
            period: Duration::from_millis(10),
            rtt: Duration::from_micros(4_321),
            answered: 100,
            lost: 2,
            retransmit_every: 7,
            first_message_id: 65_500,
        }
    }
}

/// Why the measurement cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum SelftestError {
    /// The capture could not be written.
    #[error("self-test: {0}")]
    Write(#[from] WriteError),
    /// The capture could not be read back.
    #[error("self-test: {0}")]
    Read(#[from] ReadError),
    /// A figure is wrong.
    #[error("self-test: {what} measured as {measured}, but it is {truth}")]
    Wrong {
        /// The figure.
        what: &'static str,
        /// What it is.
        truth: String,
        /// What was measured.
        measured: String,
    },
}

/// Measures the default [`Truth`], by each way in which a change of attachment is seen.
///
/// # Errors
/// A figure is wrong: nothing that this build measures can be trusted.
pub fn selftest() -> Result<(), SelftestError> {
    for moved in [Moved::Address, Moved::Binding, Moved::Router] {
        check(&Truth {
            moved,
            ..Truth::default()
        })?;
    }
    Ok(())
}

/// Writes a capture of `truth`, measures it and compares.
///
/// # Errors
/// See [`SelftestError`].
pub fn check(truth: &Truth) -> Result<(), SelftestError> {
    let capture = Capture::from_reader("self-test", &synthesize(truth)?[..])?;
    if let Some(damage) = capture.damage {
        return Err(damage.into());
    }
    let mut options = Options::default();
    options.dissectors.push(|| Box::new(Announcements));
    let analysis = Analysis::of(&[capture], &options);
    let requests = 2 * usize::from(truth.answered) + usize::from(truth.lost);
    equal("number of flows", 1, analysis.flows.len())?;
    let flow = &analysis.flows[0];
    let measured = flow.requests();
    equal("requests", requests, measured.sent)?;
    equal(
        "answered requests",
        2 * usize::from(truth.answered),
        measured.answered,
    )?;
    equal(
        "retransmitted requests",
        truth.retransmitted(),
        measured.retransmitted,
    )?;
    equal(
        "median round-trip time",
        Some(truth.rtt),
        measured.rtt.map(|r| r.median),
    )?;
    let handovers = flow.handovers();
    equal("number of handovers", 1, handovers.len())?;
    let by = match truth.moved {
        Moved::Address => By::Address,
        Moved::Binding => By::Binding,
        Moved::Router => By::Router,
    };
    equal("what shows the handover", by, handovers[0].by())?;
    let handover = match &handovers[0].gap {
        Ok(gap) => gap,
        Err(unseen) => return equal("handover", "shown".to_owned(), unseen.to_string()),
    };
    let delay = handover.duration();
    if delay.abs_diff(truth.delay) > TOLERANCE {
        equal("handover delay", truth.delay, delay)?;
    }
    let first_lost = truth.first_message_id.wrapping_add(truth.answered);
    let lost = (0..truth.lost).map(|n| first_lost.wrapping_add(n));
    equal(
        "lost Message IDs",
        lost.collect::<Vec<_>>(),
        handover.lost.clone(),
    )
}

fn equal<T: PartialEq + std::fmt::Debug>(
    what: &'static str,
    truth: T,
    measured: T,
) -> Result<(), SelftestError> {
    if truth == measured {
        return Ok(());
    }
    Err(SelftestError::Wrong {
        what,
        truth: format!("{truth:?}"),
        measured: format!("{measured:?}"),
    })
}

impl Truth {
    fn is_retransmitted(&self, number: u16) -> bool {
        self.retransmit_every != 0 && number % self.retransmit_every == self.retransmit_every - 1
    }

    fn retransmitted(&self) -> usize {
        let all = 2 * self.answered + self.lost;
        (0..all).filter(|n| self.is_retransmitted(*n)).count()
    }

    /// When request `number` is sent: the first after the gap so that its response comes
    /// [`Truth::delay`] after the last one before it.
    fn sent(&self, number: u16) -> SimTime {
        let before = u32::from(number.min(self.answered + self.lost - 1));
        match number.checked_sub(self.answered + self.lost) {
            None if number < self.answered => START + self.period * before,
            // The lost ones are spread over the gap.
            None => {
                let part = u32::from(number - self.answered + 1);
                let last = START + self.period * u32::from(self.answered - 1);
                last + self.delay * part / (u32::from(self.lost) + 1)
            }
            Some(after) => {
                let last = START + self.period * u32::from(self.answered - 1);
                last + self.delay + self.period * u32::from(after)
            }
        }
    }
}

/// A pcapng file of `truth`.
///
/// # Errors
/// Memory cannot be written to, which does not happen.
pub fn synthesize(truth: &Truth) -> Result<Vec<u8>, WriteError> {
    let mut packets = Vec::new();
    if truth.moved == Moved::Binding {
        let last = truth.sent(truth.answered - 1) + truth.rtt;
        let announced = [START, last + truth.delay / 2];
        let frames = announced.into_iter().zip(CARE_OF);
        packets.extend(frames.map(|(time, care_of)| Packet::new(0, time, announcement(care_of))));
    }
    let mut add = |time, link, from: Ipv6Addr, to: Ipv6Addr, message: &Message| {
        let frame = frame(link, (from, PORT), (to, PORT), &message.encode());
        packets.push(Packet::new(0, time, frame));
    };
    for number in 0..2 * truth.answered + truth.lost {
        let moved = number >= truth.answered + truth.lost;
        let server = match truth.moved {
            Moved::Address if moved => NEW,
            _ => OLD,
        };
        let router = match truth.moved {
            Moved::Router => ROUTERS[usize::from(moved)],
            _ => ROUTERS[0],
        };
        let sent = truth.sent(number);
        let request = request(truth.first_message_id.wrapping_add(number), number);
        let to_node = [CLIENT_MAC, router];
        add(sent, to_node, CLIENT, server, &request);
        if truth.is_retransmitted(number) {
            add(sent + ACK_TIMEOUT, to_node, CLIENT, server, &request);
        }
        if number < truth.answered || moved {
            let response = Message {
                kind: Kind::Acknowledgement,
                code: Code::CONTENT,
                payload: b"21.5".to_vec(),
                options: coap::Options::new(),
                ..request
            };
            let to_client = [router, CLIENT_MAC];
            add(sent + truth.rtt, to_client, server, CLIENT, &response);
        }
    }
    packets.sort_by_key(|p| p.time);
    let interface = Interface::new("client.eth0", LinkType::ETHERNET);
    let mut writer = Writer::new(Vec::new(), &[interface])?;
    for packet in &packets {
        writer.write(packet)?;
    }
    writer.finish()
}

fn request(message_id: u16, number: u16) -> Message {
    let get = Request::new(Code::GET, "/temperature");
    Message {
        kind: Kind::Confirmable,
        code: get.method,
        message_id,
        token: Token::new(&number.to_be_bytes()).unwrap_or_default(),
        options: get.options,
        payload: get.payload,
    }
}

/// The node says where it is: its address and a care-of address, in the self-test's own protocol.
fn announcement(care_of: Ipv6Addr) -> Vec<u8> {
    let payload = [OLD.octets(), care_of.octets()].concat();
    let link = [ROUTERS[0], CLIENT_MAC];
    frame(link, (care_of, DISCARD), (CLIENT, DISCARD), &payload)
}

/// The port of a protocol that nobody answers (RFC 863).
const DISCARD: u16 = 9;

/// Reads what [`announcement`] makes.
#[derive(Debug)]
struct Announcements;

impl Dissector for Announcements {
    fn read(&mut self, packet: &Seen<'_>) -> Option<Meaning> {
        let datagram = packet.ip.udp().filter(|d| d.dst.port() == DISCARD)?;
        let (permanent, care_of) = datagram.payload.split_first_chunk::<16>()?;
        let address = |octets: [u8; 16]| IpAddr::V6(Ipv6Addr::from(octets));
        let permanent = address(*permanent);
        Some(Meaning {
            protocol: Protocol::new("self_test", "self-test"),
            message: "announcement".into(),
            subject: Subject::Node(vec![permanent]),
            binding: Some(Binding {
                permanent,
                care_of: address(care_of.try_into().ok()?),
                standing: Standing::Announced,
            }),
        })
    }
}

/// An Ethernet frame with a UDP datagram; `link` has the last bytes of its sender's and its
/// receiver's link-layer address.
fn frame(link: [u8; 2], from: (Ipv6Addr, u16), to: (Ipv6Addr, u16), payload: &[u8]) -> Vec<u8> {
    let from = SocketAddrV6::new(from.0, from.1, 0, 0);
    let to = SocketAddrV6::new(to.0, to.1, 0, 0);
    let length = (payload.len() + 8) as u16;
    let mut udp = Vec::new();
    udp.extend(from.port().to_be_bytes());
    udp.extend(to.port().to_be_bytes());
    udp.extend(length.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(payload);
    let checksum = checksum(from.ip(), to.ip(), &udp);
    udp[6..8].copy_from_slice(&checksum.to_be_bytes());

    let [src, dst] = link;
    let mut frame = vec![2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 0x86, 0xdd];
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([capture::decode::UDP, 64]);
    frame.extend(from.ip().octets());
    frame.extend(to.ip().octets());
    frame.extend(udp);
    frame
}

/// The UDP checksum over the pseudo-header (RFC 8200 §8.1).
fn checksum(from: &Ipv6Addr, to: &Ipv6Addr, udp: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        let chunks = bytes.chunks(2);
        let word = |c: &[u8]| u32::from(u16::from_be_bytes([c[0], *c.get(1).unwrap_or(&0)]));
        chunks.map(word).sum()
    };
    let pseudo = words(&from.octets()) + words(&to.octets());
    let mut sum = pseudo + udp.len() as u32 + u32::from(capture::decode::UDP) + words(udp);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_papers_gap_is_measured_back() {
        selftest().unwrap();
    }

    #[test]
    fn a_wrong_figure_is_an_error_that_names_it() {
        let error = equal("handover delay", 2, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "self-test: handover delay measured as 1, but it is 2"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_gap_is_measured_back_by_each_method(
            delay_us in 1_000_u64..5_000_000,
            period_us in 1_000_u64..20_000,
            rtt_us in 10_u64..3_000,
            answered in 1_u16..60,
            lost in 0_u16..20,
            retransmit_every in 0_u16..9,
            first_message_id: u16,
            moved in prop::sample::select(vec![Moved::Address, Moved::Binding, Moved::Router]),
        ) {
            // Around an announcement somebody has to have lost something, and of two pauses within two
            // round trips of it the longer one has it.
            let by_binding = moved == Moved::Binding;
            let lost = if by_binding { lost.max(1) } else { lost };
            prop_assume!(!by_binding || delay_us >= period_us);
            let truth = Truth {
                moved,
                delay: Duration::from_micros(delay_us),
                period: Duration::from_micros(period_us),
                rtt: Duration::from_micros(rtt_us),
                answered,
                lost,
                retransmit_every,
                first_message_id,
            };
            prop_assert!(check(&truth).is_ok(), "{:?}", check(&truth));
        }
    }
}
