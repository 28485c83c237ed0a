//! The router's side: when advertisements are sent (RFC 4861 §6.2).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use machine::{Machine, Origin};
use units::{Eui64, Rng, SimTime};

use crate::error::Invalid;
use crate::message::{RouterAdvertisement, RouterSolicitation};
use crate::option::{LinkLayerAddress, NdOption, PrefixInformation};
use crate::random::uniform;
use crate::{ALL_NODES, ConfigError, Transmit};

/// MAX_INITIAL_RTR_ADVERT_INTERVAL (RFC 4861 §10): longest interval before each of the first
/// advertisements.
pub const MAX_INITIAL_RTR_ADVERT_INTERVAL: Duration = Duration::from_secs(16);
/// MAX_INITIAL_RTR_ADVERTISEMENTS (RFC 4861 §10): how many those are.
pub const MAX_INITIAL_RTR_ADVERTISEMENTS: u32 = 3;
/// MIN_DELAY_BETWEEN_RAS (RFC 4861 §10); ours is configurable, as RFC 6275 §7.5 allows for
/// mobility, where 30 ms is its lower limit for the advertisement interval.
pub const MIN_DELAY_BETWEEN_RAS: Duration = Duration::from_secs(3);
/// MAX_RA_DELAY_TIME (RFC 4861 §10); ours is configurable.
pub const MAX_RA_DELAY_TIME: Duration = Duration::from_millis(500);

/// Unicast answers that may wait at once; further solicitors are answered by multicast.
const MAX_UNICAST_ANSWERS: usize = 64;

/// Router configuration variables (RFC 4861 §6.2.1) and what the testbed varies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The interface's link-layer address, advertised as source link-layer address.
    pub link_layer: Eui64,
    /// The link's prefix.
    pub prefix: Ipv6Net,
    /// AdvOnLinkFlag: L of the prefix.
    pub on_link: bool,
    /// AdvAutonomousFlag: A of the prefix.
    pub autonomous: bool,
    /// AdvValidLifetime of the prefix, whole seconds.
    pub valid_lifetime: Duration,
    /// AdvPreferredLifetime of the prefix, whole seconds.
    pub preferred_lifetime: Duration,
    /// MinRtrAdvInterval.
    pub min_interval: Duration,
    /// MaxRtrAdvInterval.
    pub max_interval: Duration,
    /// MAX_RA_DELAY_TIME; zero: a solicitation is answered at once.
    pub max_response_delay: Duration,
    /// MIN_DELAY_BETWEEN_RAS between two multicast advertisements; zero: no limit.
    pub min_delay_between: Duration,
    /// AdvDefaultLifetime, whole seconds up to 65 535; zero: not a default router.
    pub router_lifetime: Duration,
    /// AdvManagedFlag.
    pub managed: bool,
    /// AdvOtherConfigFlag.
    pub other: bool,
    /// AdvReachableTime, whole milliseconds up to an hour; zero: unspecified.
    pub reachable_time: Duration,
    /// AdvRetransTimer, whole milliseconds; zero: unspecified.
    pub retrans_timer: Duration,
    /// AdvLinkMTU in octets; absent: no MTU option.
    pub mtu: Option<u32>,
    /// AdvCurHopLimit; zero: unspecified.
    pub cur_hop_limit: u8,
    /// Whether a solicitation from a unicast address is answered to that address alone, which
    /// RFC 4861 §6.2.6 allows. Unset, it is answered to all nodes ("the usual case is to
    /// multicast the response"), under the limit of `min_delay_between`; set, that limit does
    /// not apply (it is one for multicast) and an 802.15.4 frame is acknowledged, but the
    /// kernel may have to resolve the solicitor's link-layer address first.
    pub unicast_answers: bool,
    /// Options of other protocols, which stand behind those of RFC 4861 as they are given.
    pub others: Vec<NdOption>,
    /// Link-local addresses of solicitors that are not answered here, because somebody else of this
    /// router's answers them.
    pub unanswered: BTreeSet<Ipv6Addr>,
}

impl Config {
    /// The defaults of RFC 4861 §6.2.1 for `prefix`, advertised from `link_layer`.
    pub fn new(link_layer: Eui64, prefix: Ipv6Net) -> Config {
        Config {
            link_layer,
            prefix,
            on_link: true,
            autonomous: true,
            valid_lifetime: Duration::from_secs(2_592_000),
            preferred_lifetime: Duration::from_secs(604_800),
            min_interval: Duration::from_secs(198),
            max_interval: Duration::from_secs(600),
            max_response_delay: MAX_RA_DELAY_TIME,
            min_delay_between: MIN_DELAY_BETWEEN_RAS,
            router_lifetime: Duration::from_secs(1800),
            managed: false,
            other: false,
            reachable_time: Duration::ZERO,
            retrans_timer: Duration::ZERO,
            mtu: None,
            cur_hop_limit: 64,
            unicast_answers: false,
            others: Vec::new(),
            unanswered: BTreeSet::new(),
        }
    }

    /// The advertisement that these variables make (RFC 4861 §6.2.3).
    ///
    /// # Errors
    ///
    /// The variable whose value its field cannot carry.
    pub fn advertisement(&self) -> Result<RouterAdvertisement, ConfigError> {
        let seconds = "whole seconds that fit the field";
        let millis = "whole milliseconds that fit the field";
        let prefix = PrefixInformation {
            prefix: self.prefix.trunc(),
            on_link: self.on_link,
            autonomous: self.autonomous,
            valid_lifetime_s: whole(self.valid_lifetime, 1, "AdvValidLifetime", seconds)?,
            preferred_lifetime_s: whole(
                self.preferred_lifetime,
                1,
                "AdvPreferredLifetime",
                seconds,
            )?,
        };
        let mut options = vec![NdOption::SourceLinkLayer(LinkLayerAddress::Extended(
            self.link_layer,
        ))];
        options.extend(self.mtu.map(NdOption::Mtu));
        options.push(NdOption::Prefix(prefix));
        options.extend(self.others.iter().cloned());
        Ok(RouterAdvertisement {
            cur_hop_limit: self.cur_hop_limit,
            managed: self.managed,
            other: self.other,
            router_lifetime_s: whole(self.router_lifetime, 1, "AdvDefaultLifetime", seconds)?,
            reachable_time_ms: whole(self.reachable_time, 1000, "AdvReachableTime", millis)?,
            retrans_timer_ms: whole(self.retrans_timer, 1000, "AdvRetransTimer", millis)?,
            options,
        })
    }

    /// Refuses intervals that cannot be kept. Values under RFC 4861's lower limits are
    /// allowed: RFC 6275 §7.5 and the evaluation need intervals down to 30 ms.
    fn check_intervals(&self) -> Result<(), ConfigError> {
        let wrong = |variable, value: Duration, expected| {
            Err(ConfigError {
                variable,
                value: format!("{value:?}"),
                expected,
            })
        };
        if self.max_interval.is_zero() {
            return wrong(
                "MaxRtrAdvInterval",
                self.max_interval,
                "a time longer than 0",
            );
        }
        if self.min_interval.is_zero() || self.min_interval > self.max_interval {
            let expected = "a time longer than 0 and at most MaxRtrAdvInterval";
            return wrong("MinRtrAdvInterval", self.min_interval, expected);
        }
        if self.preferred_lifetime > self.valid_lifetime {
            let expected = "at most AdvValidLifetime";
            return wrong("AdvPreferredLifetime", self.preferred_lifetime, expected);
        }
        Ok(())
    }
}

/// `value` in units of 1/`per_second` seconds, if that is whole and fits.
fn whole<T: TryFrom<u128>>(
    value: Duration,
    per_second: u128,
    variable: &'static str,
    expected: &'static str,
) -> Result<T, ConfigError> {
    let unit = 1_000_000_000 / per_second;
    let nanos = value.as_nanos();
    let wrong = || ConfigError {
        variable,
        value: format!("{value:?}"),
        expected,
    };
    if !nanos.is_multiple_of(unit) {
        return Err(wrong());
    }
    T::try_from(nanos / unit).map_err(|_| wrong())
}

/// What an advertising interface keeps.
#[derive(Debug)]
struct Advertising {
    /// The next multicast advertisement, unsolicited or an answer.
    next: SimTime,
    /// The last one.
    last_multicast: Option<SimTime>,
    /// Multicast advertisements sent, up to [`MAX_INITIAL_RTR_ADVERTISEMENTS`].
    initial: u32,
    /// Unicast answers that wait for their random delay.
    answers: BTreeMap<Ipv6Addr, SimTime>,
}

/// A router's advertising interface.
///
/// Commands: [`start`](Self::start), [`stop`](Self::stop). Input and output are those of
/// [`Machine`]; there are no events.
#[derive(Debug)]
pub struct Advertiser {
    config: Config,
    advertisement: RouterAdvertisement,
    rng: Rng,
    advertising: Option<Advertising>,
    out: VecDeque<Transmit>,
}

impl Advertiser {
    /// An interface that does not advertise yet.
    ///
    /// # Errors
    ///
    /// A variable that does not fit its field, or intervals that are zero or reversed.
    pub fn new(config: Config, rng: Rng) -> Result<Advertiser, ConfigError> {
        config.check_intervals()?;
        Ok(Advertiser {
            advertisement: config.advertisement()?,
            config,
            rng,
            advertising: None,
            out: VecDeque::new(),
        })
    }

    /// The advertisement that is sent.
    pub fn advertisement(&self) -> &RouterAdvertisement {
        &self.advertisement
    }

    /// Becomes an advertising interface. The first advertisement follows after a uniformly
    /// distributed part of the first interval (RFC 4861 §6.2.4 leaves the phase open), so that
    /// routers started together do not advertise together even with a fixed interval.
    pub fn start(&mut self, now: SimTime) {
        let interval = self.interval(0);
        let phase = uniform(&mut self.rng, Duration::ZERO, interval);
        self.advertising = Some(Advertising {
            next: now + phase,
            last_multicast: None,
            initial: 0,
            answers: BTreeMap::new(),
        });
        self.handle_timeout(now);
    }

    /// Ceases to advertise: one final advertisement with lifetime zero to all nodes, at once.
    /// RFC 4861 §6.2.5 allows up to three; a daemon that stops has time for one.
    pub fn stop(&mut self) {
        if self.advertising.take().is_some() {
            let last = RouterAdvertisement {
                router_lifetime_s: 0,
                ..self.advertisement.clone()
            };
            self.out.push_back(Transmit {
                to: ALL_NODES,
                payload: last.encode(),
            });
        }
    }

    /// A random interval, after `initial` advertisements (RFC 4861 §6.2.4): "if the randomly
    /// chosen interval is greater than MAX_INITIAL_RTR_ADVERT_INTERVAL, the timer SHOULD be
    /// set to MAX_INITIAL_RTR_ADVERT_INTERVAL instead", for the first few.
    fn interval(&mut self, initial: u32) -> Duration {
        let drawn = uniform(
            &mut self.rng,
            self.config.min_interval,
            self.config.max_interval,
        );
        if initial < MAX_INITIAL_RTR_ADVERTISEMENTS {
            drawn.min(MAX_INITIAL_RTR_ADVERT_INTERVAL)
        } else {
            drawn
        }
    }
}

impl Machine for Advertiser {
    type From = Origin;
    type To = Ipv6Addr;
    type Event = Infallible;
    type Ignored = Invalid;

    /// A solicitation; one that breaks a rule of RFC 4861 §6.1.1 is not answered.
    fn handle_datagram(
        &mut self,
        now: SimTime,
        from: Origin,
        icmpv6: &[u8],
    ) -> Result<(), Invalid> {
        let Origin { source, hop_limit } = from;
        RouterSolicitation::decode(source, hop_limit, icmpv6)?;
        if self.config.unanswered.contains(&source) {
            return Ok(());
        }
        let delay = uniform(
            &mut self.rng,
            Duration::ZERO,
            self.config.max_response_delay,
        );
        if let Some(advertising) = &mut self.advertising {
            let unicast = self.config.unicast_answers
                && !source.is_unspecified()
                && !source.is_multicast()
                && advertising.answers.len() < MAX_UNICAST_ANSWERS;
            if unicast {
                // A second solicitation does not put off the answer to the first.
                advertising.answers.entry(source).or_insert(now + delay);
            } else {
                advertising.answer_all(now, delay, self.config.min_delay_between);
            }
            self.handle_timeout(now);
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: SimTime) {
        let Some(mut advertising) = self.advertising.take() else {
            return;
        };
        if advertising.next <= now {
            self.out.push_back(Transmit {
                to: ALL_NODES,
                payload: self.advertisement.encode(),
            });
            advertising.initial = (advertising.initial + 1).min(MAX_INITIAL_RTR_ADVERTISEMENTS);
            let interval = self.interval(advertising.initial);
            advertising.last_multicast = Some(now);
            // An interval shorter than MIN_DELAY_BETWEEN_RAS gives way: "consecutive Router
            // Advertisements sent to the all-nodes multicast address MUST be rate limited".
            advertising.next = now + interval.max(self.config.min_delay_between);
        }
        advertising.answers.retain(|&to, &mut at| {
            if at <= now {
                let payload = self.advertisement.encode();
                self.out.push_back(Transmit { to, payload });
            }
            at > now
        });
        self.advertising = Some(advertising);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        let advertising = self.advertising.as_ref()?;
        let answer = advertising.answers.values().min().copied();
        Some(answer.map_or(advertising.next, |at| at.min(advertising.next)))
    }

    fn poll_event(&mut self) -> Option<Infallible> {
        None
    }
}

impl Advertising {
    /// Schedules a multicast answer (RFC 4861 §6.2.6).
    fn answer_all(&mut self, now: SimTime, delay: Duration, min_delay_between: Duration) {
        // "If the router sent a multicast Router Advertisement (solicited or unsolicited)
        // within the last MIN_DELAY_BETWEEN_RAS seconds, schedule the advertisement to be
        // sent at a time corresponding to MIN_DELAY_BETWEEN_RAS plus the random value after
        // the previous advertisement was sent."
        let recent = self
            .last_multicast
            .filter(|&last| now < last + min_delay_between);
        let at = match recent {
            Some(last) => last + min_delay_between + delay,
            None => now + delay,
        };
        // "If the computed value corresponds to a time later than the time the next
        // multicast Router Advertisement is scheduled to be sent, ignore the random delay
        // and send the advertisement at the already-scheduled time."
        self.next = self.next.min(at);
    }
}
