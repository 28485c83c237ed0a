//! Frames on the air, by the capture of it: when, from whom, to whom, and whether anybody received them.

use std::collections::HashMap;

use capture::{LinkType, Packet, TapHeader};
use medium::mpdu::{FCS_BYTES, Header};
use topology::Plan;
use units::MacAddress;

/// So many frames are kept, 16 bytes each; those after them are counted.
pub const MOST_FRAMES: usize = 1 << 21;

/// One transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When its preamble began, Unix time in nanoseconds.
    pub time_ns: u64,
    /// The sender: its place in [`Frames::names`].
    pub from: u16,
    /// The node that it is for, likewise; none: all that hear it.
    to: u16,
    /// Somebody received it.
    pub received: bool,
}

/// In place of a node's.
const ALL: u16 = u16::MAX;

impl Frame {
    /// The node that it is for: its place in [`Frames::names`]; none: all that hear it.
    pub fn to(&self) -> Option<u16> {
        (self.to != ALL).then_some(self.to)
    }
}

/// The frames of nodes of a plan. Acknowledgements name nobody and are not among them.
#[derive(Debug, Default)]
pub struct Frames {
    names: Vec<String>,
    owners: HashMap<MacAddress, u16>,
    frames: Vec<Frame>,
    left_out: u64,
}

impl Frames {
    /// None yet, of the nodes of `plan`.
    pub fn new(plan: &Plan) -> Frames {
        let mut frames = Frames::default();
        for (name, node) in plan.nodes.iter().take(usize::from(ALL)) {
            let Some(radio) = &node.radio else { continue };
            let place = frames.names.len() as u16;
            frames.names.push(name.clone());
            let extended = MacAddress::Extended(radio.eui64);
            let short = radio.short_address.map(MacAddress::Short);
            for address in [extended].into_iter().chain(short) {
                frames.owners.insert(address, place);
            }
        }
        frames
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.frames = Vec::new();
        self.left_out = 0;
    }

    /// Takes in a packet of a capture of the air, if a node of the plan sent it.
    pub fn take(&mut self, link_type: LinkType, packet: &Packet) {
        let tap = TapHeader::read(&packet.data).filter(|_| link_type == LinkType::IEEE802_15_4_TAP);
        let Some((tap, psdu)) = tap else { return };
        let Ok(header) = Header::parse(&psdu[..psdu.len().saturating_sub(FCS_BYTES)]) else {
            return;
        };
        let owner = |address: Option<(_, MacAddress)>| {
            address.and_then(|(_, address)| self.owners.get(&address).copied())
        };
        let Some(from) = owner(header.source) else {
            return;
        };
        if self.frames.len() >= MOST_FRAMES {
            self.left_out += 1;
            return;
        }
        let before = self.frames.last().map_or(0, |frame| frame.time_ns);
        self.frames.push(Frame {
            // The file is in time order; one that is not is told late.
            time_ns: packet.time.as_nanos().max(before),
            from,
            to: owner(header.destination).unwrap_or(ALL),
            received: tap.rss.is_some(),
        });
    }

    /// At most `limit` frames from an instant on, Unix time in nanoseconds.
    pub fn since(&self, time_ns: u64, limit: usize) -> &[Frame] {
        let first = self.frames.partition_point(|frame| frame.time_ns < time_ns);
        let rest = &self.frames[first..];
        &rest[..rest.len().min(limit)]
    }

    /// Names of the nodes with a radio.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Frames after those that are kept.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use units::{Channel, Dbm, Eui64, Lqi, SimTime};

    use super::*;

    fn crowd() -> Plan {
        let text = include_str!("../../../topologies/crowd.yaml");
        topology::load("crowd.yaml", text, topology::Overrides::default()).unwrap()
    }

    /// A data frame with 64-bit addresses in one PAN (IEEE 802.15.4-2006 §7.2.1), and its FCS.
    fn data(from: MacAddress, to: MacAddress) -> Vec<u8> {
        let eui64 = |address| match address {
            MacAddress::Extended(Eui64(mut bytes)) => {
                bytes.reverse();
                bytes
            }
            MacAddress::Short(_) => unreachable!("the plan has none"),
        };
        let mut frame = vec![0x41, 0xcc, 7, 1, 0];
        frame.extend(eui64(to));
        frame.extend(eui64(from));
        frame.extend([0x60, 0, 0]);
        frame
    }

    #[test]
    fn a_frame_is_from_whom_and_to_whom_its_addresses_say() {
        let plan = crowd();
        let mut frames = Frames::new(&plan);
        let of = |name: &str| MacAddress::Extended(plan.nodes[name].radio.as_ref().unwrap().eui64);
        let stranger = MacAddress::Extended(Eui64([9; 8]));
        let received = TapHeader {
            channel: Channel::try_from(15).unwrap(),
            rss: Some(Dbm(-70.0)),
            lqi: Some(Lqi(200)),
        };
        let lost = TapHeader {
            rss: None,
            lqi: None,
            ..received
        };
        for (time, tap, from, to) in [
            (5, received, of("west1"), of("er1")),
            (6, lost, of("er1"), of("west1")),
            (7, received, stranger, of("er1")),
            (8, received, of("west1"), stranger),
        ] {
            let packet = tap.packet(&data(from, to));
            let packet = Packet::new(0, SimTime::from_nanos(time), packet);
            frames.take(LinkType::IEEE802_15_4_TAP, &packet);
            frames.take(LinkType::ETHERNET, &packet);
        }
        let name = |place: u16| frames.names()[usize::from(place)].clone();
        let told = frames.since(0, 9).iter();
        let told: Vec<_> = told
            .map(|f| (f.time_ns, name(f.from), f.to().map(name), f.received))
            .collect();
        assert_eq!(
            told,
            [
                (5, "west1".into(), Some("er1".into()), true),
                (6, "er1".into(), Some("west1".into()), false),
                (8, "west1".into(), None, true),
            ]
        );
        assert_eq!(frames.since(6, 1).len(), 1);
        assert_eq!(frames.since(9, 1), []);
        // Anything may be in a file.
        for bytes in [&[][..], &[0; 3], &[0xff; 40]] {
            let packet = Packet::new(0, SimTime::from_nanos(9), bytes.to_vec());
            frames.take(LinkType::IEEE802_15_4_TAP, &packet);
        }
        assert_eq!(frames.since(0, 9).len(), 3);
    }
}
