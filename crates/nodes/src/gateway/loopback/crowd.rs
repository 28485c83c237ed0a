//! Very many who follow one resource.

use std::time::Instant;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::*;

/// So many states each is to be told.
const STATES: usize = 6;

/// A number that a longer run of a test says, else `few`.
pub(super) fn from_environment(name: &str, few: usize) -> usize {
    std::env::var(name).map_or(few, |text| text.parse().unwrap())
}

/// The values of the states that a stream tells, and when each came.
async fn follow(at: SocketAddr, target: String) -> Vec<(u64, Instant)> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut told = Vec::new();
    while told.len() < STATES {
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("the stream goes on");
        let Some(data) = line.strip_prefix("data: ") else {
            assert_ne!(line, "event: lost");
            continue;
        };
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let value: f64 = data["value"].as_str().unwrap().parse().unwrap();
        told.push((value as u64, Instant::now()));
    }
    told
}

/// What this process has in memory, with both ends of every connection.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next());
    kib.unwrap().parse().unwrap()
}

#[test]
fn a_thousand_follow_a_counter_and_each_is_told_every_state() {
    let world = World::new(false);
    let before = resident_kib();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let streams = from_environment("WPANLAB_STREAMS", 1_000);
    let (all, resident) = runtime.block_on(async {
        let mut following: JoinSet<_> = (0..streams)
            .map(|_| follow(world.http, world.target("/slow")))
            .collect();
        let mut all = Vec::new();
        let mut resident = 0;
        while let Some(told) = following.join_next().await {
            resident = resident.max(resident_kib());
            all.push(told.unwrap());
        }
        (all, resident)
    });
    assert_eq!(all.len(), streams);
    for told in &all {
        let values: Vec<u64> = told.iter().map(|(value, _)| *value).collect();
        let expected: Vec<u64> = (values[0]..).take(STATES).collect();
        assert_eq!(values, expected);
    }
    // How long it takes from the first to the last who is told a state.
    let mut by_value: BTreeMap<u64, Vec<Instant>> = BTreeMap::new();
    // Who comes late is told the last state as he comes.
    let told = all.iter().flat_map(|told| told.iter().skip(1));
    for (value, when) in told {
        by_value.entry(*value).or_default().push(*when);
    }
    let whole = by_value.values().filter(|told| told.len() == streams);
    let spreads = whole.map(|told| *told.iter().max().unwrap() - *told.iter().min().unwrap());
    let spreads: Vec<Duration> = spreads.collect();
    assert!(!spreads.is_empty(), "a state that all were told");
    println!(
        "{streams} event streams: {} states told to all, the last {} ms after the first at most; {} KiB more in memory, both ends",
        spreads.len(),
        spreads.iter().max().unwrap().as_millis(),
        resident.saturating_sub(before)
    );
}
