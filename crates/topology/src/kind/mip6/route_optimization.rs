//! How correspondents are told where a node is (RFC 6275 §5.2, §11.7.2).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::{MAX_RR_BINDING_S, Settings, lifetime};
use crate::resolve::{Resolver, or};
use crate::scalar::words;

/// In which order the two tests of return routability run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// "MUST send (in parallel) a Home Test Init message and a Care-of Test Init message" (RFC 6275
    /// §11.6.1).
    Parallel,
    /// One after the other, as the CoMP paper's table 3 has it. Not conforming.
    Serial,
}
words!(Order, "parallel" => Parallel, "serial" => Serial);

/// When return routability begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With the update to the home agent (RFC 6275 §11.7.2).
    WithHomeBu,
    /// When the home agent has acknowledged.
    AfterHomeBa,
}
words!(Start, "with-home-bu" => WithHomeBu, "after-home-ba" => AfterHomeBa);

/// How correspondents are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteOptimizationPlan {
    /// In which order the tests run.
    pub order: Order,
    /// When they begin.
    pub start: Start,
    /// Whether a home keygen token is used again while it is young enough.
    pub reuse_home_token: bool,
    /// A: whether an acknowledgement is asked for.
    pub acknowledge: bool,
    /// Lifetime of a binding, a multiple of 4 s.
    #[serde(with = "duration")]
    pub lifetime: Duration,
}

/// What a node's settings at `path` say of it.
pub(super) fn plan(r: &mut Resolver<'_>, path: &str, given: &Settings) -> RouteOptimizationPlan {
    RouteOptimizationPlan {
        order: or(given.return_routability, Order::Parallel),
        start: or(given.start, Start::WithHomeBu),
        reuse_home_token: or(given.reuse_home_token, false),
        acknowledge: or(given.acknowledge, true),
        lifetime: lifetime(
            r,
            &format!("{path}.correspondent_lifetime"),
            given.correspondent_lifetime,
            MAX_RR_BINDING_S,
            MAX_RR_BINDING_S,
        ),
    }
}
