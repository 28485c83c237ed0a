//! What is expected of requests by HTTP.

use topology::plan::{Metric, Scope};

use super::Evidence;
use crate::http::{PollFigures, Polled, RequestCounts};
use crate::result::{Rtt, percent};

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
        let unconnected = self.unconnected(of);
        let known = counts.sent - counts.open + unconnected;
        let delivery = percent(counts.answered, known).ok_or("no request was made by HTTP")?;
        let latency = |figure: fn(&Rtt) -> f64| {
            let answered = counts.latency_s.as_ref();
            answered
                .map(figure)
                .ok_or_else(|| "no request was answered by HTTP".to_owned())
        };
        match metric {
            Metric::HttpUnanswered => Ok((counts.unanswered + unconnected) as f64),
            Metric::HttpDeferred => Ok(counts.deferred as f64),
            Metric::HttpRefused => Ok(counts.refused.values().sum::<usize>() as f64),
            Metric::HttpLatencyMedian => latency(|rtt| rtt.median),
            Metric::HttpLatencyP95 => latency(|rtt| rtt.p95),
            Metric::HttpLatencyMax => latency(|rtt| rtt.max),
            _ => Ok(delivery),
        }
    }

    /// Requests that had no connection, of all clients that have a poll in `of`: of which poll they were nobody knows.
    fn unconnected(&self, of: &Scope) -> usize {
        let clients = self.http.clients.iter().filter(|client| {
            let has = |poll: &PollFigures| {
                of.has_flow(&client.client, &poll.node, Some("GET"), &poll.path)
            };
            client.polls.iter().any(has)
        });
        clients.map(|client| client.connections.unconnected()).sum()
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
        longest.ok_or_else(|| "the run ended before there was to be an event stream".into())
    }
}
