//! Expectations: `handovers: 1`, `handover_delay: "< 100 ms"`.

use std::collections::BTreeMap;

use units::quantity::parse_duration;

use super::Resolver;
use crate::decode::At;
use crate::file::{Conditions, ExpectFigure, ExpectOf};
use crate::kind::Node;
use crate::plan::{
    Comparison, Condition, Expectation, Metric, NodeName, NodePlan, Of, Scope, Statistic,
    SweepExpectation, Unit,
};
use crate::scalar;

/// Longest operator first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Comparison); 5] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl Resolver<'_> {
    /// `nodes` are those of the plan.
    pub(super) fn expectations(
        &mut self,
        nodes: &BTreeMap<NodeName, NodePlan>,
    ) -> Vec<Expectation> {
        let topology = self.topology;
        let Some(file) = &topology.expect else {
            return Vec::new();
        };
        let mut all = self.conditions("expect", &Scope::default(), &file.conditions, nodes);
        for (index, part) in file.of.iter().flatten().enumerate() {
            let path = format!("expect.of[{index}]");
            let scope = self.scope(&path, part, nodes);
            all.extend(self.conditions(&path, &scope, &part.conditions, nodes));
        }
        all
    }

    /// What a part of a run is, with the names that there are.
    fn scope(
        &mut self,
        path: &str,
        part: &ExpectOf,
        nodes: &BTreeMap<NodeName, NodePlan>,
    ) -> Scope {
        let by_http_too = |client: &str| {
            let plan = nodes.get(client);
            plan.is_some_and(|plan| plan.http_clients().next().is_some())
        };
        let client = part.client.as_ref().map(|client| {
            let asks = |node: &Node| node.asks() || by_http_too(client.as_str());
            self.named(&format!("{path}.client"), client, "a node that asks", asks)
        });
        let node = (part.node.as_ref())
            .map(|node| self.named(&format!("{path}.node"), node, "a node", |_| true));
        let known = client.is_none_or(|c| c.is_some()) && node.is_none_or(|n| n.is_some());
        let text = |given: &Option<At<String>>| given.as_ref().map(|given| given.value.clone());
        let scope = Scope {
            client: text(&part.client),
            node: text(&part.node),
            method: part.method.map(|given| given.value.name().to_owned()),
            path: text(&part.path),
        };
        let asked = by_coap(nodes, &scope) || by_http(nodes, &scope);
        if known && scope.is_of_requests() && !asked {
            let spans = [&part.path, &part.client].map(|name| name.as_ref().map(|n| n.span));
            let span = spans.into_iter().flatten().next();
            let span = span.or(part.method.map(|method| method.span));
            let message = format!("`{path}`: no poll is of {scope}; name what `polls` has");
            self.problem(span.unwrap_or(self.topology.name.span), message);
        }
        if scope.is_all() {
            let message = format!(
                "`{path}`: it is about nobody; name a `client`, a `node`, a `method` or a `path`, or \
                 put its conditions into `expect`"
            );
            let first = given(&part.conditions)
                .next()
                .map(|(_, _, given)| given.span);
            self.problem(first.unwrap_or(self.topology.name.span), message);
        }
        scope
    }

    fn conditions(
        &mut self,
        path: &str,
        scope: &Scope,
        file: &Conditions,
        nodes: &BTreeMap<NodeName, NodePlan>,
    ) -> Vec<Expectation> {
        given(file)
            .filter_map(|(metric, key, given)| {
                let path = format!("{path}.{key}");
                let (metric, condition) = self.metric(&path, metric, given)?;
                self.check_scope(&path, metric, scope, given)?;
                // What nobody asks at all has been reported.
                let is_known = !scope.is_of_requests() || by_coap(nodes, scope);
                if metric.of() == Of::Http && is_known && !by_http(nodes, scope) {
                    let whose = match scope.is_all() {
                        true => "of any node".to_owned(),
                        false => format!("of {scope}"),
                    };
                    let message = format!("`{path}`: no poll of an `http-client` is {whose}");
                    self.problem(given.span, message);
                }
                Some(Expectation {
                    metric,
                    of: scope.clone(),
                    comparison: condition.comparison,
                    value: condition.value,
                    text: condition.text,
                })
            })
            .collect()
    }

    /// A condition on a metric, which is another one if the condition is in percent.
    fn metric(
        &mut self,
        path: &str,
        metric: Metric,
        given: &At<scalar::Condition>,
    ) -> Option<(Metric, Condition)> {
        let percent = given.value.0.trim_end().ends_with('%');
        let metric = match metric.in_percent() {
            Some(in_percent) if percent => in_percent,
            _ => metric,
        };
        let right = match metric.unit() {
            Unit::Count if metric.in_percent().is_some() => {
                "a condition on a count or a percentage, such as `1` or `\"< 1 %\"`"
            }
            unit => example(unit),
        };
        let read = |text: &str| operand(metric.unit(), text);
        let condition = self.condition(path, given, read, right)?;
        Some((metric, condition))
    }

    /// Whether the metric can be had of a part of the run.
    fn check_scope(
        &mut self,
        path: &str,
        metric: Metric,
        scope: &Scope,
        given: &At<scalar::Condition>,
    ) -> Option<()> {
        let (wrong, right) = match metric.of() {
            Of::Node if scope.client.is_some() || scope.is_of_resource() => {
                ("a client or a resource", "name a `node` only")
            }
            Of::Asked if scope.is_of_resource() => (
                "a resource",
                "what was never sent is known by client and node; name those only",
            ),
            _ => return Some(()),
        };
        self.problem(
            given.span,
            format!("`{path}`: it is not known of {wrong}; {right}"),
        );
        None
    }

    fn condition(
        &mut self,
        path: &str,
        given: &At<scalar::Condition>,
        read: impl Fn(&str) -> Option<f64>,
        right: &str,
    ) -> Option<Condition> {
        let text = given.value.0.trim();
        let (comparison, operand) = OPERATORS
            .iter()
            .find_map(|(sign, comparison)| Some((*comparison, text.strip_prefix(sign)?)))
            .unwrap_or((Comparison::Equal, text));
        let Some(value) = read(operand.trim()) else {
            let message = format!("`{path}`: `{text}` is not {right}");
            self.problem(given.span, message);
            return None;
        };
        Some(Condition {
            comparison,
            value,
            text: text.to_owned(),
        })
    }

    pub(super) fn sweep_expectations(&mut self) -> Vec<SweepExpectation> {
        let topology = self.topology;
        let Some(file) = &topology.expect_sweep else {
            return Vec::new();
        };
        let mut all = Vec::new();
        if let Some(passed) = &file.passed {
            let condition = self.share("expect_sweep.passed", passed);
            all.extend(condition.map(|condition| SweepExpectation {
                figure: None,
                statistic: Statistic::Passed,
                holds: None,
                condition,
            }));
        }
        for (index, figure) in file.figures.iter().flatten().enumerate() {
            self.figure(&format!("expect_sweep.figures[{index}]"), figure, &mut all);
        }
        all
    }

    fn share(&mut self, path: &str, given: &At<scalar::Condition>) -> Option<Condition> {
        let read = |text: &str| operand(Unit::Percent, text);
        self.condition(path, given, read, example(Unit::Percent))
    }

    fn figure(&mut self, path: &str, file: &ExpectFigure, all: &mut Vec<SweepExpectation>) {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if file.figure.is_empty() || !file.figure.chars().all(is_name) {
            let message = format!(
                "`{path}.figure`: `{}` is not the name of a figure, such as `handover_delay_s`",
                file.figure.value
            );
            self.problem(file.figure.span, message);
        }
        let unit = unit_of(&file.figure);
        let right = match unit {
            Unit::Count => "a condition on a number, such as `1` or `\"< 2.5\"`",
            unit => example(unit),
        };
        let read = |text: &str| match unit {
            // Means and percentiles of counts are no counts.
            Unit::Count => number(text),
            unit => operand(unit, text),
        };
        let holds = file.holds.as_ref();
        let holds =
            holds.and_then(|given| self.condition(&format!("{path}.holds"), given, read, right));
        let expectation = |statistic, holds, condition| SweepExpectation {
            figure: Some(file.figure.value.clone()),
            statistic,
            holds,
            condition,
        };
        for (statistic, given) in [
            (Statistic::Min, &file.min),
            (Statistic::Mean, &file.mean),
            (Statistic::Median, &file.median),
            (Statistic::P95, &file.p95),
            (Statistic::Max, &file.max),
        ] {
            let Some(given) = given else { continue };
            let path = format!("{path}.{}", statistic.key());
            let condition = self.condition(&path, given, read, right);
            all.extend(condition.map(|condition| expectation(statistic, None, condition)));
        }
        match (&file.share, holds) {
            (Some(share), Some(holds)) => {
                let condition = self.share(&format!("{path}.share"), share);
                all.extend(condition.map(|c| expectation(Statistic::Share, Some(holds), c)));
            }
            (Some(share), None) if file.holds.is_none() => {
                let message =
                    format!("`{path}.share`: of what? `holds` says what a value is to hold");
                self.problem(share.span, message);
            }
            (None, Some(_)) => {
                let message =
                    format!("`{path}.holds`: for how many? `share` says it, such as `\">= 95 %\"`");
                self.problem(file.figure.span, message);
            }
            _ => {}
        }
    }
}

/// Whether somebody asks what is in `scope` by CoAP.
fn by_coap(nodes: &BTreeMap<NodeName, NodePlan>, scope: &Scope) -> bool {
    nodes.iter().any(|(client, plan)| {
        plan.polls().any(|poll| {
            let method = Some(poll.method.name());
            scope.has_flow(client, &poll.node, method, &poll.resource())
        })
    })
}

/// Whether somebody asks what is in `scope` by HTTP.
fn by_http(nodes: &BTreeMap<NodeName, NodePlan>, scope: &Scope) -> bool {
    nodes.iter().any(|(client, plan)| {
        let mut polls = plan.http_clients().flat_map(|client| &client.polls);
        polls.any(|poll| scope.has_flow(client, &poll.node, Some("GET"), &poll.path))
    })
}

/// The conditions that are given, with their keys.
fn given(
    file: &Conditions,
) -> impl Iterator<Item = (Metric, &'static str, &At<scalar::Condition>)> + '_ {
    let all = [
        (Metric::Handovers, &file.handovers),
        (Metric::HandoversGivenUp, &file.handovers_given_up),
        (Metric::HandoverDelay, &file.handover_delay),
        (Metric::HandoverDelayMedian, &file.handover_delay_median),
        (Metric::HandoverDelayP95, &file.handover_delay_p95),
        (Metric::Lost, &file.lost),
        (Metric::Answered, &file.answered),
        (Metric::Retransmitted, &file.retransmitted),
        (Metric::Failed, &file.failed),
        (Metric::Asked, &file.asked),
        (Metric::Delivery, &file.delivery),
        (Metric::NeverSent, &file.never_sent),
        (Metric::ErrorResponses, &file.error_responses),
        (Metric::RttMedian, &file.rtt_median),
        (Metric::RttP95, &file.rtt_p95),
        (Metric::RttP99, &file.rtt_p99),
        (Metric::RttMax, &file.rtt_max),
        (Metric::Notifications, &file.notifications),
        (Metric::NotificationsSent, &file.notifications_sent),
        (Metric::NotificationsLost, &file.notifications_lost),
        (Metric::Registrations, &file.registrations),
        (Metric::Sends, &file.sends),
        (Metric::Observed, &file.observed),
        (Metric::ObservedLost, &file.observed_lost),
        (Metric::ObservedSilence, &file.observed_silence),
        (Metric::HttpDelivery, &file.http_delivery),
        (Metric::HttpUnanswered, &file.http_unanswered),
        (Metric::HttpDeferred, &file.http_deferred),
        (Metric::HttpRefused, &file.http_refused),
        (Metric::HttpLatencyMedian, &file.http_latency_median),
        (Metric::HttpLatencyP95, &file.http_latency_p95),
        (Metric::HttpLatencyMax, &file.http_latency_max),
        (Metric::HttpStates, &file.http_states),
        (Metric::HttpSilence, &file.http_silence),
        (Metric::Energy, &file.energy),
    ];
    all.into_iter()
        .filter_map(|(metric, given)| Some((metric, metric.key(), given.as_ref()?)))
}

/// What a condition in this unit looks like.
fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "a condition on a count, such as `1` or `\">= 1\"`",
        Unit::Seconds => "a condition on a duration, such as `\"< 100 ms\"`",
        Unit::Percent => "a condition on a percentage, such as `\">= 99 %\"`",
        Unit::Millijoules => "a condition on an energy, such as `\"< 250 mJ\"` or `\"< 2 J\"`",
    }
}

/// What a condition compares with, in its unit.
fn operand(unit: Unit, text: &str) -> Option<f64> {
    match unit {
        Unit::Count => text.parse::<u32>().ok().map(f64::from),
        Unit::Seconds => parse_duration(text).ok().map(|d| d.as_secs_f64()),
        Unit::Percent => number(text.strip_suffix('%')?).filter(|percent| *percent <= 100.0),
        Unit::Millijoules => match text.strip_suffix("mJ") {
            Some(text) => number(text),
            None => number(text.strip_suffix('J')?).map(|joules| joules * 1e3),
        },
    }
}

/// A number of 0 or more.
fn number(text: &str) -> Option<f64> {
    let number = text.trim().parse::<f64>().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// The unit of a figure of a sweep, which its name ends with.
fn unit_of(figure: &str) -> Unit {
    match figure {
        _ if figure.ends_with("_percent") => Unit::Percent,
        _ if figure.ends_with("_mj") => Unit::Millijoules,
        _ if figure.ends_with("_s") => Unit::Seconds,
        _ => Unit::Count,
    }
}
