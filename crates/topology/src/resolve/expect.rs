//! Expectations: `handovers: 1`, `handover_delay: "< 100 ms"`.

use units::quantity::parse_duration;

use super::Resolver;
use crate::decode::At;
use crate::plan::{Comparison, Expectation, Metric};
use crate::scalar::Condition;

/// Longest operator first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Comparison); 5] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl Resolver<'_> {
    pub(super) fn expectations(&mut self) -> Vec<Expectation> {
        let Some(file) = &self.topology.expect else {
            return Vec::new();
        };
        let all = [
            (Metric::Handovers, "handovers", &file.handovers),
            (
                Metric::HandoverDelay,
                "handover_delay",
                &file.handover_delay,
            ),
            (Metric::Lost, "lost", &file.lost),
            (Metric::Answered, "answered", &file.answered),
            (Metric::Retransmitted, "retransmitted", &file.retransmitted),
            (Metric::Failed, "failed", &file.failed),
            (Metric::RttP95, "rtt_p95", &file.rtt_p95),
        ];
        all.into_iter()
            .filter_map(|(metric, key, given)| self.expectation(metric, key, given.as_ref()?))
            .collect()
    }

    fn expectation(
        &mut self,
        metric: Metric,
        key: &str,
        given: &At<Condition>,
    ) -> Option<Expectation> {
        let text = given.value.0.trim();
        let (comparison, operand) = OPERATORS
            .iter()
            .find_map(|(sign, comparison)| Some((*comparison, text.strip_prefix(sign)?)))
            .unwrap_or((Comparison::Equal, text));
        let operand = operand.trim();
        let (value, right) = match metric {
            Metric::HandoverDelay | Metric::RttP95 => (
                parse_duration(operand).ok().map(|d| d.as_secs_f64()),
                "a condition on a duration, such as `\"< 100 ms\"`",
            ),
            Metric::Handovers
            | Metric::Lost
            | Metric::Answered
            | Metric::Retransmitted
            | Metric::Failed => (
                operand.parse::<u32>().ok().map(f64::from),
                "a condition on a count, such as `1` or `\">= 1\"`",
            ),
        };
        let Some(value) = value else {
            let message = format!("`expect.{key}`: `{text}` is not {right}");
            self.problem(given.span, message);
            return None;
        };
        Some(Expectation {
            metric,
            comparison,
            value,
            text: text.to_owned(),
        })
    }
}
