//! What is expected of requests by HTTP.

use topology::plan::{Metric, Scope};

use super::Evidence;
use crate::http::{PollFigures, Polled, RequestCounts};
use crate::result::Rtt;

impl Evidence<'_> {
    /// A figure of all polls by HTTP that `of` has.
    pub(super) fn by_http(&self, metric: Metric, of: &Scope) -> Result<f64, String> {
        if let Some(gap) = &self.http.gap {
            return Err(gap.clone());
        }
        match metric {
            Metric::HttpStates | Metric::HttpSilence => self.streams(metric, of),
            _ => self.responses(metric, of),
        }
    }

    fn responses(&self, metric: Metric, of: &Scope) -> Result<f64, String> {
        let polls = self.http.polls.iter();
        let polls = polls.filter(|(client, polled)| {
            let Polled { poll, .. } = polled;
            of.has_flow(client, &poll.node, Some("GET"), &poll.path)
        });
        let exchanges = polls.flat_map(|(_, polled)| &polled.exchanges);
        let counts = RequestCounts::of(exchanges);
        let delivery = counts
            .delivery_percent
            .ok_or("no request was sent by HTTP")?;
        let latency = |figure: fn(&Rtt) -> f64| {
            let answered = counts.latency_s.as_ref();
            answered
                .map(figure)
                .ok_or_else(|| "no request was answered by HTTP".to_owned())
        };
        match metric {
            Metric::HttpUnanswered => Ok(counts.unanswered as f64),
            Metric::HttpDeferred => Ok(counts.deferred as f64),
            Metric::HttpRefused => Ok(counts.refused.values().sum::<usize>() as f64),
            Metric::HttpLatencyMedian => latency(|rtt| rtt.median),
            Metric::HttpLatencyP95 => latency(|rtt| rtt.p95),
            Metric::HttpLatencyMax => latency(|rtt| rtt.max),
            _ => Ok(delivery),
        }
    }

    /// Of event streams: how many states they told, and the longest time without one.
    fn streams(&self, metric: Metric, of: &Scope) -> Result<f64, String> {
        let clients = self.http.clients.iter();
        let polls = clients.flat_map(|client| client.polls.iter().map(move |poll| (client, poll)));
        let is_of = |client: &str, poll: &PollFigures| {
            of.has_flow(client, &poll.node, Some("GET"), &poll.path)
        };
        let streams = polls.filter(|(client, poll)| is_of(&client.client, poll));
        let streams: Vec<_> = streams
            .filter_map(|(_, poll)| poll.events.as_ref())
            .collect();
        if streams.is_empty() {
            return Err("there is no event stream".into());
        }
        if metric == Metric::HttpStates {
            return Ok(streams.iter().map(|events| events.states).sum::<usize>() as f64);
        }
        let silences = streams.iter().filter_map(|events| events.longest_silence_s);
        let longest = silences.reduce(f64::max);
        longest.ok_or_else(|| "no event stream told two states".into())
    }
}
