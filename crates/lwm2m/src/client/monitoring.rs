//! Connectivity Monitoring (4), as the client's node says it (LwM2M 1.1 Core §E.5).
//!
//! | resource | what it has |
//! | --- | --- |
//! | 0, 1 | 23 for IEEE 802.15.4, 41 for Ethernet |
//! | 2 | power of the router's frames that was heard last, whole dBm; none on a wire |
//! | 3 | their LQI, 0 to 255 (IEEE 802.15.4-2006 §6.9.8); none on a wire |
//! | 4 | the addresses of where the node is |
//! | 5 | the next hop |

use service::{Bearer, Connectivity};
use units::SimTime;

use crate::path::Path;
use crate::store::Transaction;
use crate::value::Value;

/// The object.
pub const CONNECTIVITY: u16 = 4;
const BEARER: u16 = 0;
const AVAILABLE: u16 = 1;
const SIGNAL_STRENGTH: u16 = 2;
const LINK_QUALITY: u16 = 3;
const ADDRESSES: u16 = 4;
const ROUTERS: u16 = 5;

/// What the node has said and the tree does not have yet.
#[derive(Debug, Default)]
pub(super) struct Monitoring(Option<(SimTime, Connectivity)>);

impl Monitoring {
    pub(super) fn connected(&mut self, now: SimTime, connectivity: &Connectivity) {
        self.0 = Some((now, connectivity.clone()));
    }

    /// When there is something to take.
    pub(super) fn due(&self) -> Option<SimTime> {
        self.0.as_ref().map(|(since, _)| *since)
    }

    /// Writes what was said. What the tree cannot have is left out: a server may have deleted the instance, and a
    /// model of the user's own may have other resources.
    pub(super) fn take(&mut self, begun: &mut Transaction<'_>) {
        let Some((_, said)) = self.0.take() else {
            return;
        };
        let number = |bearer: &Bearer| Value::Integer(number(*bearer));
        let text = |address: &std::net::Ipv6Addr| Value::String(address.to_string());
        let at = |id| Path::resource(CONNECTIVITY, 0, id);
        let _ = begun.set(at(BEARER), number(&said.bearer));
        if let Some(heard) = said.heard {
            let rssi = Value::Integer(heard.rssi.0.round() as i64);
            let _ = begun.set(at(SIGNAL_STRENGTH), rssi);
            let _ = begun.set(at(LINK_QUALITY), Value::Integer(heard.lqi.0.into()));
        }
        write_all(begun, AVAILABLE, said.available.iter().map(number));
        write_all(begun, ADDRESSES, said.addresses.iter().map(text));
        write_all(begun, ROUTERS, said.routers.iter().map(text));
    }
}

/// The values of a multiple resource, in the place of those that it had.
fn write_all(begun: &mut Transaction<'_>, id: u16, values: impl Iterator<Item = Value>) {
    let _ = begun.remove(Path::resource(CONNECTIVITY, 0, id));
    for (instance, value) in (0..).zip(values) {
        let _ = begun.set(
            Path::resource_instance(CONNECTIVITY, 0, id, instance),
            value,
        );
    }
}

/// OMA's number of a bearer (Network Bearer, /4/0/0).
fn number(bearer: Bearer) -> i64 {
    match bearer {
        Bearer::Ieee802154 => 23,
        Bearer::Ethernet => 41,
    }
}
