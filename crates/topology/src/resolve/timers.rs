//! Timers with their standards' defaults and ranges.

use std::time::Duration;

use units::ByteSize;
use units::quantity::format_duration;

use super::{Resolver, or};
use crate::decode::At;
use crate::file::Coap;
use crate::plan::{CoapPlan, CongestionControl};

pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

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
    pub(crate) fn checked<T: Copy>(
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
    pub(crate) fn duration(
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
    pub(crate) fn positive(
        &mut self,
        path: &str,
        given: Option<At<Duration>>,
        default: Duration,
    ) -> Duration {
        let right = "longer than zero, such as `100 ms`";
        self.duration(path, given, default, |value| !value.is_zero(), right)
    }

    /// A count of 1 or more.
    pub(crate) fn at_least_one(&mut self, path: &str, given: Option<At<u32>>, default: u32) -> u32 {
        let print = |value: u32| value.to_string();
        self.checked(path, given, default, print, |value| value > 0, "1 or more")
    }

    /// A lifetime that is 32 bits of seconds on the wire; all ones means for ever.
    pub(crate) fn wire_lifetime(
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
    pub(crate) fn lifetimes(
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
    pub(crate) fn coap(&mut self, path: &str, own: Option<&Coap>) -> CoapPlan {
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
        let (_, block_etags) = source.get("block_etags", |c| c.block_etags);
        let (at, given) = source.get("token_length", |c| c.token_length);
        let right = "from 0 B to 8 B (RFC 7252 §3)";
        let holds = |size: ByteSize| size.0 <= 8;
        let print = |size: ByteSize| size.to_string();
        let token_length =
            given.map(|_| self.checked(&at, given, ByteSize(4), print, holds, right));
        let (at, given) = source.get("confirm_notifications", |c| c.confirm_notifications);
        let confirm_notifications = self.at_least_one(&at, given, 10);
        let (_, verify_sources) = source.get("verify_sources", |c| c.verify_sources);
        CoapPlan {
            ack_timeout,
            ack_random_factor,
            max_retransmit,
            nstart,
            response_timeout,
            congestion_control: or(congestion_control, CongestionControl::Fixed),
            block_size,
            block_etags: or(block_etags, true),
            token_length,
            confirm_notifications,
            verify_sources: verify_sources.map(|given| given.value),
        }
    }

    /// A part of `whole` that the seed draws for what `purpose` names, to the microsecond.
    pub(crate) fn drawn(&self, purpose: &[&str], whole: Duration) -> Duration {
        let mut path = vec!["phase"];
        path.extend(purpose);
        let bytes = self.seed.bytes(&path);
        let word = bytes[..8]
            .iter()
            .fold(0u128, |w, b| w << 8 | u128::from(*b));
        let micros = (whole.as_micros().min(u128::from(u64::MAX)) * word) >> 64;
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// When something periodic happens first: over zero and at most a period; from the seed if it is
    /// not given.
    pub(crate) fn phase_after(
        &mut self,
        path: &str,
        given: Option<At<Duration>>,
        every: Duration,
    ) -> Duration {
        let right = format!("over 0 s and at most a period, {}", format_duration(every));
        match given {
            Some(phase) => self.duration(
                path,
                given,
                phase.value,
                |phase| !phase.is_zero() && phase <= every,
                &right,
            ),
            None => every - self.drawn(&[path], every),
        }
    }
}

/// Whole seconds from `first` to `last`.
pub(crate) fn in_seconds(value: Duration, first: u64, last: u64) -> bool {
    value.subsec_nanos() == 0 && (first..=last).contains(&value.as_secs())
}

/// Whole milliseconds up to `last`.
pub(crate) fn in_milliseconds(value: Duration, last: u64) -> bool {
    value.subsec_nanos().is_multiple_of(1_000_000) && value.as_millis() <= u128::from(last)
}
