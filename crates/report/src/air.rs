//! What captures say of the way over the air: how strong routers were heard, how long it took.

use std::collections::BTreeMap;

use capture::decode::{Decoder, Frame};
use capture::{Capture, LinkType, TapHeader};
use measure::read_capture;
use medium::mpdu::{self, Header};
use rundir::RunDir;
use topology::Plan;
use topology::plan::{NodeName, NodePlan};
use units::{MacAddress, SimTime};

/// How strong one node heard one router.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Who heard.
    pub node: NodeName,
    /// Whom.
    pub router: NodeName,
    /// Seconds of the scenario and dBm, in time order.
    pub points: Vec<(f64, f64)>,
}

/// The strengths in the capture of the air. That has the strength at the receiver that got a frame
/// best: it is known whose it is where the frame was for one node, or where only one was on the
/// channel. `seconds` turns a time stamp into scenario time.
pub fn heard(plan: &Plan, air: &Capture, seconds: impl Fn(SimTime) -> f64) -> Vec<Heard> {
    let mut found: BTreeMap<(&NodeName, &NodeName), Vec<(f64, f64)>> = BTreeMap::new();
    for packet in &air.packets {
        let link_type = air.interfaces.get(packet.interface).map(|i| i.link_type);
        if link_type != Some(LinkType::IEEE802_15_4_TAP) {
            continue;
        }
        let Some((tap, psdu)) = TapHeader::read(&packet.data) else {
            continue;
        };
        let mpdu = &psdu[..psdu.len().saturating_sub(mpdu::FCS_BYTES)];
        let (Some(rss), Ok(header)) = (tap.rss, Header::parse(mpdu)) else {
            continue;
        };
        let from = header.source.and_then(|(_, address)| owner(plan, address));
        let Some((router, _)) = from.filter(|(_, n)| n.is_router()) else {
            continue;
        };
        let to = header
            .destination
            .and_then(|(_, address)| owner(plan, address));
        let receiver = to.or_else(|| {
            let mut others = plan.nodes.iter().filter(|(name, node)| {
                let radio = node.radio.as_ref().filter(|_| *name != router);
                radio.is_some_and(|r| !node.is_router() || r.channel == tap.channel)
            });
            others.next().filter(|_| others.next().is_none())
        });
        if let Some((node, _)) = receiver.filter(|(_, n)| !n.is_router()) {
            let points = found.entry((node, router)).or_default();
            points.push((seconds(packet.time), rss.0));
        }
    }
    let heard = found.into_iter().map(|((node, router), points)| Heard {
        node: node.clone(),
        router: router.clone(),
        points,
    });
    heard.collect()
}

fn owner(plan: &Plan, address: MacAddress) -> Option<(&NodeName, &NodePlan)> {
    plan.nodes.iter().find(|(_, node)| {
        node.radio.as_ref().is_some_and(|radio| match address {
            MacAddress::Extended(eui64) => radio.eui64 == eui64,
            MacAddress::Short(short) => radio.short_address == Some(short),
        })
    })
}

/// Seconds from the wired interface of a router to the 6LoWPAN interface of the mobile node, for
/// every CoAP datagram that the captures show exactly once at both. Captures that are not there
/// or cannot be read add nothing.
pub fn wireless_delays(plan: &Plan, dir: &RunDir) -> Vec<f64> {
    let (mut routers, mut nodes) = (BTreeMap::new(), BTreeMap::new());
    for (name, node) in &plan.nodes {
        let (interface, seen) = match (&node.router, &node.host) {
            (Some(_), _) => ("eth0", &mut routers),
            (_, Some(_)) => ("lowpan0", &mut nodes),
            _ => continue,
        };
        if let Ok(capture) = read_capture(dir, &dir.capture(name, interface)) {
            note_datagrams(&capture, seen);
        }
    }
    let delay = |(datagram, at_node): (&Datagram, &Vec<SimTime>)| {
        let (Some([left]), [arrived]) = (routers.get(datagram).map(Vec::as_slice), &at_node[..])
        else {
            return None;
        };
        let on_its_way = arrived >= left;
        on_its_way.then(|| arrived.saturating_since(*left).as_nanos() as f64 / 1e9)
    };
    nodes.iter().filter_map(delay).collect()
}

/// Source, destination and payload.
type Datagram = (std::net::SocketAddr, std::net::SocketAddr, Vec<u8>);

fn note_datagrams(capture: &Capture, seen: &mut BTreeMap<Datagram, Vec<SimTime>>) {
    let mut decoder = Decoder::default();
    for packet in &capture.packets {
        let Some(interface) = capture.interfaces.get(packet.interface) else {
            continue;
        };
        let Some(ip) = decoder.read(Frame::of(interface, packet)) else {
            continue;
        };
        let Some(datagram) = ip.udp().filter(|_| ip.fragments == 0) else {
            continue;
        };
        if datagram.dst.port() == COAP_PORT {
            let key = (datagram.src, datagram.dst, datagram.payload.to_vec());
            seen.entry(key).or_default().push(packet.time);
        }
    }
}

/// RFC 7252 section 6.1.
const COAP_PORT: u16 = 5683;
