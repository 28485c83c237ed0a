//! Which messages are one packet that several capture points saw.
//!
//! Within one capture point that is the business of [`capture::sightings`]. Between two, a message
//! with the same bytes within [`FORWARDED_WITHIN`] is the same packet, unless the point has seen that
//! one already: then it was sent again.

use std::collections::HashMap;

use capture::sightings::FORWARDED_WITHIN;
use coap::{Code, Kind};
use units::SimTime;

use super::observe::Traffic;

/// After so many messages those that nobody will see again are forgotten.
const SWEEP: usize = 1 << 16;

/// What all sightings of a packet have, whatever the capture cut off.
type Key = (u32, Kind, Code, u16);

/// A packet that may be seen again.
struct Open {
    packet: u32,
    /// The message that was it first.
    message: usize,
    last: SimTime,
    places: Vec<(u32, Option<bool>)>,
}

/// Numbers the packets of `traffic`, whose messages are in the order of time. Gives how many
/// messages are further sightings.
pub(super) fn number(traffic: &mut Traffic) -> u64 {
    let several = traffic.points.all().len() > 1;
    let cooked = traffic.messages.iter().any(|o| o.outgoing.is_some());
    let mut open: HashMap<Key, Vec<Open>> = HashMap::new();
    let mut packets = 0_u32;
    for at in 0..traffic.messages.len() {
        let o = &traffic.messages[at];
        let now = o.complete;
        let known = (several || cooked).then(|| {
            let key = (o.way, o.brief.kind, o.brief.code, o.brief.message_id);
            open.entry(key).or_default()
        });
        let mut packet = None;
        if let Some(known) = known {
            known.retain(|open| now.saturating_since(open.last) <= FORWARDED_WITHIN);
            let place = (o.point, o.outgoing);
            let same = known.iter_mut().find(|open| {
                !open.places.contains(&place)
                    && traffic.messages[open.message].brief.equals(&o.brief)
            });
            match same {
                Some(same) => {
                    same.last = now;
                    same.places.push(place);
                    packet = Some(same.packet);
                }
                None => known.push(Open {
                    packet: packets,
                    message: at,
                    last: now,
                    places: vec![place],
                }),
            }
        }
        traffic.messages[at].packet = packet.unwrap_or(packets);
        packets += u32::from(packet.is_none());
        if at % SWEEP == SWEEP - 1 {
            open.retain(|_, known| {
                known.retain(|open| now.saturating_since(open.last) <= FORWARDED_WITHIN);
                !known.is_empty()
            });
        }
    }
    traffic.messages.len() as u64 - u64::from(packets)
}
