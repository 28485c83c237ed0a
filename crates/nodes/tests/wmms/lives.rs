//! Lives of a client's daemon, as on a board, where nobody counts them: the test is its WMMS, and sees
//! all that it sends there.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::daemon::{PATIENCE, plan};
use crate::strangers::{Beside, lives};

/// Requests that are seen of a life.
const REQUESTS: usize = 5;

/// Message ID and token of the requests of one life; each is answered that there is no such thing, so
/// that the client asks again.
fn requests(wmms: &UdpSocket) -> BTreeSet<(u16, Vec<u8>)> {
    let began = Instant::now();
    let mut seen = BTreeSet::new();
    let mut bytes = [0; 2048];
    while seen.len() < REQUESTS {
        assert!(began.elapsed() < PATIENCE, "only {seen:?}");
        let Ok((length, from)) = wmms.recv_from(&mut bytes) else {
            continue;
        };
        let [first, code, high, low, ..] = bytes;
        let token = bytes[4..length][..usize::from(first & 15)].to_vec();
        if code == 0 || code >= 32 {
            continue;
        }
        let answer = match code {
            2 => 0x41,
            _ => 0x84,
        };
        let answer = [&[0x60 | (first & 15), answer, high, low], &token[..]].concat();
        wmms.send_to(&answer, from).expect("answer");
        seen.insert((u16::from_be_bytes([high, low]), token));
    }
    seen
}

/// Within EXCHANGE_LIFETIME, which all these lives are, none is taken for a copy of another's
/// (RFC 7252 §4.4).
pub fn no_life_of_a_client_repeats_a_message_id_with_its_token(state: &Path) {
    let plan = plan();
    let [client, wmms] = ["client", "wmms"].map(|node| plan.nodes[node].address);
    let beside = Beside::new();
    beside.join(wmms, client);
    let wmms = beside.socket((wmms, 5683));
    let wait = Some(Duration::from_millis(100));
    wmms.set_read_timeout(wait).expect("timeout");
    let mut seen = BTreeSet::new();
    let began = Instant::now();
    for life in 0..lives() {
        let _daemon = beside.start_node("client", state);
        for pair in requests(&wmms) {
            assert!(!seen.contains(&pair), "life {life} repeats {pair:?}");
            seen.insert(pair);
        }
    }
    let (pairs, took) = (seen.len(), began.elapsed());
    println!("{} lives in {took:.1?}: {pairs} pairs, none twice", lives());
}
