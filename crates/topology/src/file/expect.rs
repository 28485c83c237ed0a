//! What must hold at the end of a run, and over the runs of a sweep.

use crate::decode::At;
use crate::plan::Method;
use crate::scalar::Condition;

tables! {
    /// Conditions on what was measured: on a count (`1`, `">= 1"`), a duration (`"< 100 ms"`), a
    /// percentage (`">= 99 %"`) or an energy (`"< 2 J"`).
    pub struct Conditions {
        /// Completed handovers.
        pub handovers: Option<At<Condition>>,
        /// Handovers that were begun and not completed.
        pub handovers_given_up: Option<At<Condition>>,
        /// Delay of every handover, from the client's capture.
        pub handover_delay: Option<At<Condition>>,
        /// Median of the delays of handovers.
        pub handover_delay_median: Option<At<Condition>>,
        /// 95th percentile of the delays of handovers.
        pub handover_delay_p95: Option<At<Condition>>,
        /// Requests that clients were to ask.
        pub asked: Option<At<Condition>>,
        /// Answered of those that were to be asked, in percent.
        pub delivery: Option<At<Condition>>,
        /// Requests that the client reported as failed to its caller, or their percentage of those
        /// that were to be asked.
        pub failed: Option<At<Condition>>,
        /// Requests that were given up before they left the client.
        pub never_sent: Option<At<Condition>>,
        /// Message IDs requested and never answered, or their percentage of those requested.
        pub lost: Option<At<Condition>>,
        /// Message IDs answered.
        pub answered: Option<At<Condition>>,
        /// Message IDs sent more than once.
        pub retransmitted: Option<At<Condition>>,
        /// Responses with an error, 4.xx or 5.xx.
        pub error_responses: Option<At<Condition>>,
        /// Median of the round-trip times.
        pub rtt_median: Option<At<Condition>>,
        /// 95th percentile of the round-trip times.
        pub rtt_p95: Option<At<Condition>>,
        /// 99th percentile of the round-trip times.
        pub rtt_p99: Option<At<Condition>>,
        /// Longest round-trip time.
        pub rtt_max: Option<At<Condition>>,
        /// Notifications received (RFC 7641).
        pub notifications: Option<At<Condition>>,
        /// Notifications sent: those received and those lost.
        pub notifications_sent: Option<At<Condition>>,
        /// Notifications that were never received, or their percentage of those sent.
        pub notifications_lost: Option<At<Condition>>,
        /// Registrations that reached nodes with an `lwm2m-server`.
        pub registrations: Option<At<Condition>>,
        /// Messages of Send that reached nodes with an `lwm2m-server`, each once.
        pub sends: Option<At<Condition>>,
        /// Notifications that reached nodes with an `lwm2m-server`, of what they observe.
        pub observed: Option<At<Condition>>,
        /// Numbers that are missing between those.
        pub observed_lost: Option<At<Condition>>,
        /// Longest time between two messages of such an observation.
        pub observed_silence: Option<At<Condition>>,
        /// Answered of the requests by HTTP of nodes with an `http-client`, those that had no connection included, in percent.
        pub http_delivery: Option<At<Condition>>,
        /// Requests by HTTP without a whole response, or without a connection.
        pub http_unanswered: Option<At<Condition>>,
        /// Requests by HTTP that were answered 503, with when to ask again (`Retry-After`).
        pub http_deferred: Option<At<Condition>>,
        /// Requests by HTTP that were answered with another error, 4xx or 5xx.
        pub http_refused: Option<At<Condition>>,
        /// Median of the times from a request by HTTP to the end of its response, of those that were answered.
        pub http_latency_median: Option<At<Condition>>,
        /// 95th percentile of those times.
        pub http_latency_p95: Option<At<Condition>>,
        /// Longest of those times.
        pub http_latency_max: Option<At<Condition>>,
        /// States that event streams told.
        pub http_states: Option<At<Condition>>,
        /// Longest time without a state of an event stream: to the first, between two, and from the last to the end of the scenario.
        pub http_silence: Option<At<Condition>>,
        /// Energy that the radios used over the scenario, with `medium: phy`.
        pub energy: Option<At<Condition>>,
    }

    /// What must hold at the end: conditions on the whole run, and on parts of it.
    pub struct Expect {
        with conditions: Conditions,
        /// Conditions on what one client, one node or one resource has to do with.
        pub of: Option<Vec<ExpectOf>>,
    }

    /// Conditions on a part of a run: whatever all of the given names fit.
    pub struct ExpectOf {
        with conditions: Conditions,
        /// Who asks.
        pub client: Option<At<String>>,
        /// Who is asked, or moves, or whose radio it is.
        pub node: Option<At<String>>,
        /// How it is asked, `GET`.
        pub method: Option<At<Method>>,
        /// What it is asked for, with its query.
        pub path: Option<At<String>>,
    }

    /// What must hold over the runs of a sweep, at each of its points.
    pub struct ExpectSweep {
        /// Share of the runs that passed, `">= 95 %"`; default all.
        pub passed: Option<At<Condition>>,
        /// Conditions on distributions.
        pub figures: Option<Vec<ExpectFigure>>,
    }

    /// Conditions on the distribution of a figure.
    pub struct ExpectFigure {
        /// Its name in `distribution.json`, `handover_delay_s`.
        pub figure: At<String>,
        /// Least value.
        pub min: Option<At<Condition>>,
        /// Mean.
        pub mean: Option<At<Condition>>,
        /// Median.
        pub median: Option<At<Condition>>,
        /// 95th percentile.
        pub p95: Option<At<Condition>>,
        /// Greatest value.
        pub max: Option<At<Condition>>,
        /// What `share` counts: the values that hold this.
        pub holds: Option<At<Condition>>,
        /// Share of the values that hold `holds`, `">= 95 %"`.
        pub share: Option<At<Condition>>,
    }
}
