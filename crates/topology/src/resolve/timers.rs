//! Timers with their standards' defaults and ranges.

use std::time::Duration;

use units::ByteSize;
use units::quantity::format_duration;

use super::{Resolver, or};
use crate::decode::At;
use crate::file::{Coap, RouterAdvertisements};
use crate::plan::{CoapPlan, CongestionControl, RouterAdvertisementPlan};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// RFC 4861 §6.2.1: MaxRtrAdvInterval "MUST be no less than 4 seconds and no greater than
/// 1800 seconds"; RFC 6275 §7.5 lets mobility go down to 70 ms …
const MAX_INTERVAL: (Duration, Duration) = (ms(70), s(1800));
/// … and MinRtrAdvInterval from 3 s down to 30 ms.
const MIN_INTERVAL: Duration = ms(30);
/// From here on RFC 4861's default of MinRtrAdvInterval is 0.33 MaxRtrAdvInterval, and 0.75 of
/// it is the largest value allowed; under it the default is MaxRtrAdvInterval itself.
const FRACTION_FROM: Duration = s(9);
/// RFC 4861 §6.2.1: AdvDefaultLifetime is 0 or between MaxRtrAdvInterval and this.
const MAX_ROUTER_LIFETIME: Duration = s(9000);
/// RFC 4861 §6.2.1: AdvReachableTime "MUST be no greater than 3,600,000 milliseconds".
const MAX_REACHABLE_TIME: Duration = s(3600);

/// RFC 4861 §6.2.1: MaxRtrAdvInterval's default.
pub(super) const DEFAULT_MAX_INTERVAL: Duration = s(600);

/// Largest value of MAX_RETRANSMIT: 2^20 times ACK_TIMEOUT is 24 days.
const MAX_RETRANSMIT: u32 = 20;

/// Where CoAP parameters come from: the node's own table at `path`, else the topology's.
struct Source<'a> {
    path: &'a str,
    own: Option<&'a Coap>,
    common: Option<&'a Coap>,
}

impl Source<'_> {
    /// A parameter and its path.
    fn get<T>(&self, key: &str, get: impl Fn(&Coap) -> Option<At<T>>) -> (String, Option<At<T>>) {
        match self.own.and_then(&get) {
            Some(own) => (format!("{}.{key}", self.path), Some(own)),
            None => (format!("coap.{key}"), self.common.and_then(&get)),
        }
    }
}

impl Resolver<'_> {
    /// The value given if `holds`, with a problem that says what is `right` if not.
    pub(super) fn checked<T: Copy>(
        &mut self,
        path: &str,
        given: Option<At<T>>,
        default: T,
        print: impl Fn(T) -> String,
        holds: impl Fn(T) -> bool,
        right: &str,
    ) -> T {
        if let Some(given) = given
            && !holds(given.value)
        {
            let message = format!("`{path}`: `{}` is not {right}", print(given.value));
            self.problem(given.span, message);
        }
        or(given, default)
    }

    /// A duration that must be `right`.
    pub(super) fn duration(
        &mut self,
        path: &str,
        given: Option<At<Duration>>,
        default: Duration,
        holds: impl Fn(Duration) -> bool,
        right: &str,
    ) -> Duration {
        self.checked(path, given, default, format_duration, holds, right)
    }

    /// A duration over zero.
    pub(super) fn positive(
        &mut self,
        path: &str,
        given: Option<At<Duration>>,
        default: Duration,
    ) -> Duration {
        let right = "longer than zero, such as `100 ms`";
        self.duration(path, given, default, |value| !value.is_zero(), right)
    }

    /// A count of 1 or more.
    pub(super) fn at_least_one(&mut self, path: &str, given: Option<At<u32>>, default: u32) -> u32 {
        let print = |value: u32| value.to_string();
        self.checked(path, given, default, print, |value| value > 0, "1 or more")
    }

    /// The lifetime of a binding or registration.
    pub(super) fn binding_lifetime(&mut self, path: &str, given: Option<At<Duration>>) -> Duration {
        // Option 2051 is a 16-bit count of seconds, and 0 deletes (comp.md).
        let right = "whole seconds from 1 s to 65535 s, as CoMP's Lifetime option holds";
        let holds = |value| in_seconds(value, 1, u64::from(u16::MAX));
        self.duration(path, given, s(600), holds, right)
    }

    /// A lifetime that is 32 bits of seconds on the wire; all ones means for ever.
    pub(super) fn wire_lifetime(
        &mut self,
        path: &str,
        given: Option<At<Duration>>,
        default: Duration,
    ) -> Duration {
        let right = "whole seconds up to 4294967295 s";
        let holds = |value| in_seconds(value, 0, u64::from(u32::MAX));
        self.duration(path, given, default, holds, right)
    }

    /// Valid and preferred lifetime of `path`'s addresses.
    pub(super) fn lifetimes(
        &mut self,
        path: &str,
        valid: (Option<At<Duration>>, Duration),
        preferred: (Option<At<Duration>>, Duration),
    ) -> (Duration, Duration) {
        let at = preferred.0.or(valid.0);
        let valid = self.wire_lifetime(&format!("{path}.valid_lifetime"), valid.0, valid.1);
        let path = format!("{path}.preferred_lifetime");
        let default = preferred.1.min(valid);
        let preferred = self.wire_lifetime(&path, preferred.0, default);
        if let Some(at) = at
            && preferred > valid
        {
            let message = format!(
                "`{path}`: `{}` is longer than the valid lifetime, {}",
                format_duration(preferred),
                format_duration(valid)
            );
            self.problem(at.span, message);
        }
        (valid, preferred)
    }

    /// CoAP parameters: the node's own, else the topology's, else RFC 7252's.
    pub(super) fn coap(&mut self, path: &str, own: Option<&Coap>) -> CoapPlan {
        let common = self.topology.coap.as_ref();
        let source = Source { path, own, common };
        let print = |value: u32| value.to_string();
        let (at, given) = source.get("ack_timeout", |c| c.ack_timeout);
        let ack_timeout = self.positive(&at, given, s(2));
        let (at, given) = source.get("ack_random_factor", |c| c.ack_random_factor);
        // RFC 7252 §4.8.1: "ACK_RANDOM_FACTOR MUST NOT be decreased below 1.0".
        let holds = |value| (1.0..=1000.0).contains(&value);
        let right = "from 1.0 to 1000 (RFC 7252 §4.8.1)";
        let ack_random_factor = self.checked(&at, given, 1.5, |v| v.to_string(), holds, right);
        let (at, given) = source.get("max_retransmit", |c| c.max_retransmit);
        let holds = |value| value <= MAX_RETRANSMIT;
        let max_retransmit = self.checked(&at, given, 4, print, holds, "a count up to 20");
        let (at, given) = source.get("nstart", |c| c.nstart);
        let nstart = self.at_least_one(&at, given, 1);
        let (at, given) = source.get("response_timeout", |c| c.response_timeout);
        let response_timeout = self.positive(&at, given, s(10));
        let (_, congestion_control) = source.get("congestion_control", |c| c.congestion_control);
        let (at, given) = source.get("block_size", |c| c.block_size);
        let holds = |size: ByteSize| size.0.is_power_of_two() && (16..=1024).contains(&size.0);
        let right = "a power of two from 16 B to 1024 B (RFC 7959 §2.2)";
        let largest = ByteSize(1024);
        let block_size = self.checked(&at, given, largest, |v| v.to_string(), holds, right);
        let (at, given) = source.get("confirm_notifications", |c| c.confirm_notifications);
        let confirm_notifications = self.at_least_one(&at, given, 10);
        CoapPlan {
            ack_timeout,
            ack_random_factor,
            max_retransmit,
            nstart,
            response_timeout,
            congestion_control: or(congestion_control, CongestionControl::Fixed),
            block_size,
            confirm_notifications,
        }
    }

    /// Router advertisements; `managed` and `autonomous` are what the mobile nodes need.
    pub(super) fn router_advertisements(
        &mut self,
        path: &str,
        file: Option<&RouterAdvertisements>,
        managed: bool,
        autonomous: bool,
    ) -> RouterAdvertisementPlan {
        let (min_interval, max_interval) = self.intervals(path, file);
        let zero = Duration::ZERO;
        let lifetime_right = format!(
            "0 s, or whole seconds from max_interval, {}, to 9000 s (RFC 4861 §6.2.1)",
            format_duration(max_interval)
        );
        let (valid_lifetime, preferred_lifetime) = self.lifetimes(
            path,
            (file.and_then(|f| f.valid_lifetime), s(2_592_000)),
            (file.and_then(|f| f.preferred_lifetime), s(604_800)),
        );
        RouterAdvertisementPlan {
            min_interval,
            max_interval,
            max_response_delay: or(file.and_then(|f| f.max_response_delay), ms(500)),
            min_delay_between: or(file.and_then(|f| f.min_delay_between), s(3)),
            router_lifetime: self.duration(
                &format!("{path}.router_lifetime"),
                file.and_then(|f| f.router_lifetime),
                s((3 * max_interval).as_millis().div_ceil(1000) as u64).min(MAX_ROUTER_LIFETIME),
                |value| {
                    value.is_zero()
                        || (value.subsec_nanos() == 0
                            && (max_interval..=MAX_ROUTER_LIFETIME).contains(&value))
                },
                &lifetime_right,
            ),
            managed: or(file.and_then(|f| f.managed), managed),
            other: or(file.and_then(|f| f.other), false),
            autonomous: or(file.and_then(|f| f.autonomous), autonomous),
            retrans_timer: self.duration(
                &format!("{path}.retrans_timer"),
                file.and_then(|f| f.retrans_timer),
                zero,
                |value| in_milliseconds(value, u64::from(u32::MAX)),
                "whole milliseconds up to 4294967295 ms",
            ),
            reachable_time: self.duration(
                &format!("{path}.reachable_time"),
                file.and_then(|f| f.reachable_time),
                zero,
                |value| in_milliseconds(value, MAX_REACHABLE_TIME.as_secs() * 1000),
                "whole milliseconds up to 1 h (RFC 4861 §6.2.1)",
            ),
            valid_lifetime,
            preferred_lifetime,
        }
    }

    /// MinRtrAdvInterval and MaxRtrAdvInterval.
    fn intervals(
        &mut self,
        path: &str,
        file: Option<&RouterAdvertisements>,
    ) -> (Duration, Duration) {
        let max = self.duration(
            &format!("{path}.max_interval"),
            file.and_then(|f| f.max_interval),
            DEFAULT_MAX_INTERVAL,
            |value| (MAX_INTERVAL.0..=MAX_INTERVAL.1).contains(&value),
            "from 70 ms (RFC 6275 §7.5) to 1800 s (RFC 4861 §6.2.1)",
        );
        let max = max.clamp(MAX_INTERVAL.0, MAX_INTERVAL.1);
        let (default, limit) = if max >= FRACTION_FROM {
            (max * 33 / 100, max * 3 / 4)
        } else {
            (max, max)
        };
        let right = format!(
            "from 30 ms (RFC 6275 §7.5) to {}, which max_interval = {} allows (RFC 4861 §6.2.1)",
            format_duration(limit),
            format_duration(max)
        );
        let min = self.duration(
            &format!("{path}.min_interval"),
            file.and_then(|f| f.min_interval),
            default,
            |value| (MIN_INTERVAL..=limit).contains(&value),
            &right,
        );
        (min, max)
    }
}

/// Whole seconds from `first` to `last`.
fn in_seconds(value: Duration, first: u64, last: u64) -> bool {
    value.subsec_nanos() == 0 && (first..=last).contains(&value.as_secs())
}

/// Whole milliseconds up to `last`.
fn in_milliseconds(value: Duration, last: u64) -> bool {
    value.subsec_nanos().is_multiple_of(1_000_000) && value.as_millis() <= u128::from(last)
}
