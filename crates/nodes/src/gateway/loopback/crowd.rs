//! Very many who follow one resource.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::*;

/// So many states each is to be told when all follow.
const STATES: u64 = 4;

/// A number that a longer run of a test says, else `few`.
pub(super) fn from_environment(name: &str, few: usize) -> usize {
    std::env::var(name).map_or(few, |text| text.parse().unwrap())
}

/// Where those who follow wait until all do, and the latest state that anybody was told as he came.
struct Start {
    all: Barrier,
    latest: AtomicU64,
}

/// The values of the states that a stream tells until so many have come after all had begun to follow, when each came, and the
/// last one before.
async fn follow(at: SocketAddr, target: String, start: Arc<Start>) -> (Vec<(u64, Instant)>, u64) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut told: Vec<(u64, Instant)> = Vec::new();
    let mut before = None;
    loop {
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
        if before.is_none() {
            start.latest.fetch_max(value as u64, Ordering::SeqCst);
            start.all.wait().await;
        }
        let latest = *before.get_or_insert_with(|| start.latest.load(Ordering::SeqCst));
        if value as u64 >= latest + STATES {
            return (told, latest);
        }
    }
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
        let start = Arc::new(Start {
            all: Barrier::new(streams),
            latest: AtomicU64::new(0),
        });
        let mut following: JoinSet<_> = (0..streams)
            .map(|_| follow(world.http, world.target("/slow"), Arc::clone(&start)))
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
    let latest = all[0].1;
    for (told, _) in &all {
        let values: Vec<u64> = told.iter().map(|(value, _)| *value).collect();
        let expected: Vec<u64> = (values[0]..=latest + STATES).collect();
        assert_eq!(values, expected);
    }
    // How long it takes from the first to the last who is told a state.
    let mut by_value: BTreeMap<u64, Vec<Instant>> = BTreeMap::new();
    // Who comes late is told the last state as he comes.
    let told = all.iter().flat_map(|(told, _)| told);
    for (value, when) in told.filter(|(value, _)| *value > latest) {
        by_value.entry(*value).or_default().push(*when);
    }
    let spreads = by_value
        .values()
        .map(|told| *told.iter().max().unwrap() - *told.iter().min().unwrap());
    let spreads: Vec<Duration> = spreads.collect();
    assert_eq!(spreads.len() as u64, STATES);
    println!(
        "{streams} event streams: {} states told to all, the last {} ms after the first at most; {} KiB more in memory, both ends",
        spreads.len(),
        spreads.iter().max().unwrap().as_millis(),
        resident.saturating_sub(before)
    );
}
