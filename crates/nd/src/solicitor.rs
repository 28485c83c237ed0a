//! The host's side: soliciting routers and hearing them (RFC 4861 §6.3).

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

use machine::{Machine, Origin};
use units::{Eui64, Rng, SimTime};

use crate::error::Invalid;
use crate::message::{RouterAdvertisement, RouterSolicitation};
use crate::option::{LinkLayerAddress, NdOption, PrefixInformation};
use crate::random::uniform;
use crate::{ALL_ROUTERS, ConfigError, Transmit};

/// MAX_RTR_SOLICITATION_DELAY (RFC 4861 §10); ours is configurable.
pub const MAX_RTR_SOLICITATION_DELAY: Duration = Duration::from_secs(1);
/// RTR_SOLICITATION_INTERVAL (RFC 4861 §10); ours is configurable.
pub const RTR_SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
/// MAX_RTR_SOLICITATIONS (RFC 4861 §10); ours is configurable.
pub const MAX_RTR_SOLICITATIONS: u32 = 3;

/// Host constants (RFC 4861 §10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// MAX_RTR_SOLICITATION_DELAY: longest random delay of the first solicitation; zero: it
    /// is sent at once.
    pub max_delay: Duration,
    /// RTR_SOLICITATION_INTERVAL between two solicitations.
    pub interval: Duration,
    /// MAX_RTR_SOLICITATIONS in one round; then a new round starts.
    pub max_solicitations: u32,
    /// Link-layer address to name in the solicitation. Must be absent if it is sent from the
    /// unspecified address (RFC 4861 §4.1), and while the source is tentative or optimistic.
    pub source_link_layer: Option<Eui64>,
    /// The only router that the host hears: of a shared link that stands for a link between the two alone
    /// (RFC 5213 §6.3). Absent, it hears all.
    pub router: Option<Ipv6Addr>,
}

impl Config {
    /// The constants of RFC 4861 §10.
    pub fn new(source_link_layer: Option<Eui64>) -> Config {
        Config {
            max_delay: MAX_RTR_SOLICITATION_DELAY,
            interval: RTR_SOLICITATION_INTERVAL,
            max_solicitations: MAX_RTR_SOLICITATIONS,
            source_link_layer,
            router: None,
        }
    }
}

/// What a router said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The router's link-local address.
    pub router: Ipv6Addr,
    /// Its link-layer address.
    pub source_link_layer: Option<LinkLayerAddress>,
    /// The link's prefixes, in the order of the message.
    pub prefixes: Vec<PrefixInformation>,
    /// The link's MTU in octets.
    pub mtu: Option<u32>,
    /// Options of other protocols, in the order of the message.
    pub others: Vec<NdOption>,
    /// M: addresses by DHCPv6.
    pub managed: bool,
    /// O: other configuration by DHCPv6.
    pub other: bool,
    /// For how long it is a default router; zero: it is none (any more).
    pub router_lifetime: Duration,
    /// How long a neighbour stays reachable, unless unspecified.
    pub reachable_time: Option<Duration>,
    /// Time between neighbour solicitations, duplicate address detection's too, unless
    /// unspecified.
    pub retrans_timer: Option<Duration>,
    /// Hop limit to send with, unless unspecified.
    pub cur_hop_limit: Option<u8>,
}

impl Advertised {
    fn new(router: Ipv6Addr, advertisement: &RouterAdvertisement) -> Advertised {
        let specified = |ms: u32| (ms != 0).then(|| Duration::from_millis(u64::from(ms)));
        Advertised {
            router,
            source_link_layer: advertisement.source_link_layer(),
            prefixes: advertisement.prefixes().collect(),
            mtu: advertisement.mtu(),
            others: advertisement.others().cloned().collect(),
            managed: advertisement.managed,
            other: advertisement.other,
            router_lifetime: Duration::from_secs(u64::from(advertisement.router_lifetime_s)),
            reachable_time: specified(advertisement.reachable_time_ms),
            retrans_timer: specified(advertisement.retrans_timer_ms),
            cur_hop_limit: Some(advertisement.cur_hop_limit).filter(|&limit| limit != 0),
        }
    }
}

/// A round of solicitations.
#[derive(Clone, Copy, Debug)]
struct Soliciting {
    /// When the next one is sent.
    next: SimTime,
    /// How many of the round have been sent.
    sent: u32,
}

/// A host that looks for a router.
///
/// Commands: [`start`](Self::start), [`stop`](Self::stop). Input and output are those of
/// [`Machine`]; an event is a valid advertisement.
///
/// RFC 4861 §6.3.7 lets a host that has sent MAX_RTR_SOLICITATIONS conclude that there is no
/// router. A mobile node has nothing better to do than to ask again: one interval after the
/// last solicitation it starts over, random delay included.
#[derive(Debug)]
pub struct Solicitor {
    config: Config,
    rng: Rng,
    soliciting: Option<Soliciting>,
    out: VecDeque<Transmit>,
    heard: VecDeque<Advertised>,
}

impl Solicitor {
    /// A host that does not solicit yet.
    ///
    /// # Errors
    ///
    /// An interval or a number of solicitations of zero.
    pub fn new(config: Config, rng: Rng) -> Result<Solicitor, ConfigError> {
        if config.interval.is_zero() {
            return Err(ConfigError {
                variable: "RTR_SOLICITATION_INTERVAL",
                value: format!("{:?}", config.interval),
                expected: "a time longer than 0",
            });
        }
        if config.max_solicitations == 0 {
            return Err(ConfigError {
                variable: "MAX_RTR_SOLICITATIONS",
                value: "0".to_owned(),
                expected: "at least 1",
            });
        }
        Ok(Solicitor {
            config,
            rng,
            soliciting: None,
            out: VecDeque::new(),
            heard: VecDeque::new(),
        })
    }

    /// Starts to solicit, afresh if it already did: the link is new.
    pub fn start(&mut self, now: SimTime) {
        self.out.clear();
        let next = now + self.first_delay();
        self.soliciting = Some(Soliciting { next, sent: 0 });
        self.handle_timeout(now);
    }

    /// Ceases to solicit; what was not fetched yet is not sent.
    pub fn stop(&mut self) {
        self.soliciting = None;
        self.out.clear();
    }

    /// Whether a router is being looked for.
    pub fn is_soliciting(&self) -> bool {
        self.soliciting.is_some()
    }

    /// "A host SHOULD delay the transmission for a random amount of time between 0 and
    /// MAX_RTR_SOLICITATION_DELAY" (RFC 4861 §6.3.7).
    fn first_delay(&mut self) -> Duration {
        uniform(&mut self.rng, Duration::ZERO, self.config.max_delay)
    }
}

impl Machine for Solicitor {
    type From = Origin;
    type To = Ipv6Addr;
    type Event = Advertised;
    type Ignored = Invalid;

    /// An advertisement. One with a lifetime ends the search: "Once the host sends a Router
    /// Solicitation, and receives a valid Router Advertisement with a non-zero Router Lifetime, the
    /// host MUST desist from sending additional solicitations" (RFC 4861 §6.3.7). One that breaks a
    /// rule of §6.1.2, or comes from a router that is not to be heard, changes nothing.
    fn handle_datagram(&mut self, _: SimTime, from: Origin, icmpv6: &[u8]) -> Result<(), Invalid> {
        let Origin { source, hop_limit } = from;
        if self.config.router.is_some_and(|router| router != source) {
            return Err(Invalid::Router(source));
        }
        let advertisement = RouterAdvertisement::decode(source, hop_limit, icmpv6)?;
        if advertisement.router_lifetime_s > 0 {
            self.stop();
        }
        self.heard
            .push_back(Advertised::new(source, &advertisement));
        Ok(())
    }

    fn handle_timeout(&mut self, now: SimTime) {
        let Some(soliciting) = self.soliciting.filter(|s| s.next <= now) else {
            return;
        };
        let source_link_layer = self.config.source_link_layer.into_iter();
        let options = source_link_layer
            .map(|address| NdOption::SourceLinkLayer(LinkLayerAddress::Extended(address)))
            .collect();
        self.out.push_back(Transmit {
            to: ALL_ROUTERS,
            payload: RouterSolicitation { options }.encode(),
        });
        let sent = soliciting.sent + 1;
        let next = now + self.config.interval;
        self.soliciting = Some(if sent < self.config.max_solicitations {
            Soliciting { next, sent }
        } else {
            let next = next + self.first_delay();
            Soliciting { next, sent: 0 }
        });
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        self.soliciting.map(|soliciting| soliciting.next)
    }

    fn poll_event(&mut self) -> Option<Advertised> {
        self.heard.pop_front()
    }
}
