//! Whether a neighbour is still there (RFC 4861 §7.3), asked by a router that has to know it of a host: a
//! mobile access gateway "MUST make sure the mobile node is still attached" (RFC 5213 §6.13, which names
//! neighbour unreachability detection among the ways to find out).
//!
//! A neighbour that was heard of is reachable for [`Config::reachable_time`]. Then it is asked, at most
//! [`MAX_UNICAST_SOLICIT`] times, [`Config::retrans_timer`] apart.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv6Addr;
use std::time::Duration;

use machine::{Machine, Origin};
use units::{Eui64, SimTime};

use crate::error::Invalid;
use crate::message::fixed_part;
use crate::option::{LinkLayerAddress, NdOption};
use crate::{ConfigError, Transmit};

/// ICMPv6 type of a neighbour solicitation (RFC 4861 §4.3).
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
/// ICMPv6 type of a neighbour advertisement (RFC 4861 §4.4).
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// REACHABLE_TIME (RFC 4861 §10).
pub const REACHABLE_TIME: Duration = Duration::from_secs(30);
/// RETRANS_TIMER (RFC 4861 §10).
pub const RETRANS_TIMER: Duration = Duration::from_secs(1);
/// MAX_UNICAST_SOLICIT (RFC 4861 §10).
pub const MAX_UNICAST_SOLICIT: u32 = 3;

/// Octets of either message before its options.
const HEADER: usize = 24;
/// Solicited flag of an advertisement.
const FLAG_S: u8 = 0x40;

/// How neighbours are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The link-layer address that is named in solicitations.
    pub link_layer: Eui64,
    /// For how long who was heard of counts as there; over zero.
    pub reachable_time: Duration,
    /// From one solicitation to the next, and from the last to the end; over zero.
    pub retrans_timer: Duration,
}

impl Config {
    /// The constants of RFC 4861 §10.
    pub const fn new(link_layer: Eui64) -> Config {
        Config {
            link_layer,
            reachable_time: REACHABLE_TIME,
            retrans_timer: RETRANS_TIMER,
        }
    }
}

/// A neighbour that is watched.
#[derive(Clone, Copy, Debug)]
struct Watched {
    /// When it is asked, or gone.
    due: SimTime,
    /// How often it was asked since it was heard of.
    asked: u32,
    /// Whether it counts as gone: an answer that comes late brings it back.
    is_gone: bool,
}

/// What becomes of a neighbour, by its link-local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It did not answer.
    Gone(Ipv6Addr),
    /// It answered after all, within [`Config::reachable_time`].
    Back(Ipv6Addr),
}

/// Who watches neighbours; a [`Machine`].
#[derive(Debug)]
pub struct Watch {
    config: Config,
    neighbours: BTreeMap<Ipv6Addr, Watched>,
    out: VecDeque<Transmit>,
    events: VecDeque<Presence>,
}

impl Watch {
    /// Watches nobody yet.
    ///
    /// # Errors
    /// A time of zero.
    pub fn new(config: Config) -> Result<Watch, ConfigError> {
        let times = [
            ("ReachableTime", config.reachable_time),
            ("RetransTimer", config.retrans_timer),
        ];
        for (variable, value) in times {
            if value.is_zero() {
                return Err(ConfigError {
                    variable,
                    value: format!("{value:?}"),
                    expected: "a time longer than 0",
                });
            }
        }
        Ok(Watch {
            config,
            neighbours: BTreeMap::new(),
            out: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// Watches a neighbour by its link-local address, of which was just heard.
    pub fn heard(&mut self, now: SimTime, neighbour: Ipv6Addr) {
        let due = now + self.config.reachable_time;
        let watched = Watched {
            due,
            asked: 0,
            is_gone: false,
        };
        self.neighbours.insert(neighbour, watched);
    }

    /// Watches a neighbour no more.
    pub fn forget(&mut self, neighbour: Ipv6Addr) {
        self.neighbours.remove(&neighbour);
    }

    /// A neighbour solicitation for the neighbour itself (RFC 4861 §4.3).
    fn solicitation(&self, target: Ipv6Addr) -> Transmit {
        let mut payload = vec![NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        payload.extend(target.octets());
        let own = LinkLayerAddress::Extended(self.config.link_layer);
        NdOption::SourceLinkLayer(own).encode(&mut payload);
        Transmit {
            to: target,
            payload,
        }
    }
}

impl Machine for Watch {
    type From = Origin;
    type To = Ipv6Addr;
    type Event = Presence;
    type Ignored = Invalid;

    /// A neighbour advertisement. A solicited one of a neighbour that is watched says that it is there
    /// (RFC 4861 §7.3.1); one that breaks a rule of §7.1.2, and any other, changes nothing.
    fn handle_datagram(
        &mut self,
        now: SimTime,
        from: Origin,
        icmpv6: &[u8],
    ) -> Result<(), Invalid> {
        let kind = (NEIGHBOUR_ADVERTISEMENT, 0);
        let options = fixed_part(kind, HEADER, from.hop_limit, icmpv6)?;
        NdOption::decode_all(options)?;
        let target = icmpv6
            .get(8..HEADER)
            .and_then(|t| <[u8; 16]>::try_from(t).ok());
        let target = target.map(Ipv6Addr::from);
        let is_solicited = icmpv6.get(4).is_some_and(|flags| flags & FLAG_S != 0);
        match target.filter(|target| is_solicited && self.neighbours.contains_key(target)) {
            Some(target) => {
                if self.neighbours.get(&target).is_some_and(|w| w.is_gone) {
                    self.events.push_back(Presence::Back(target));
                }
                self.heard(now, target);
            }
            None => return Err(Invalid::NotAsked),
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: SimTime) {
        let due = self
            .neighbours
            .iter()
            .filter(|(_, watched)| watched.due <= now);
        let due: Vec<Ipv6Addr> = due.map(|(neighbour, _)| *neighbour).collect();
        for neighbour in due {
            let solicitation = self.solicitation(neighbour);
            let Some(watched) = self.neighbours.get_mut(&neighbour) else {
                continue;
            };
            if watched.is_gone {
                self.neighbours.remove(&neighbour);
            } else if watched.asked < MAX_UNICAST_SOLICIT {
                watched.asked += 1;
                watched.due = now + self.config.retrans_timer;
                self.out.push_back(solicitation);
            } else {
                watched.is_gone = true;
                watched.due = now + self.config.reachable_time;
                self.events.push_back(Presence::Gone(neighbour));
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        self.neighbours.values().map(|watched| watched.due).min()
    }

    fn poll_event(&mut self) -> Option<Presence> {
        self.events.pop_front()
    }
}
