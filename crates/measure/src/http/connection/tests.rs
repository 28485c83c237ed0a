use proptest::prelude::*;

use super::*;
use crate::http::RequestCounts;

const SERVER: &str = "[2001:db8:b::3]:8080";
const CLIENT: &str = "[2001:db8:b::4]:40000";

/// Numbers of the first bytes of both ends, near the end of what there is.
const FIRST: [u32; 2] = [u32::MAX - 20, 7];

const GET: &str = "GET /t HTTP/1.1\r\nHost: x\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n21.5";

fn at(ms: u64) -> SimTime {
    SimTime::ZERO + Duration::from_millis(ms)
}

/// What crosses between a client and a server.
struct Talk {
    connections: Connections,
    client: SocketAddr,
    /// How many bytes each end has sent.
    sent: [u32; 2],
}

impl Talk {
    fn new() -> Talk {
        let client: SocketAddr = CLIENT.parse().unwrap();
        let own = BTreeSet::from([client.ip()]);
        Talk {
            connections: Connections::new(own, SERVER.parse().unwrap()),
            client,
            sent: [0; 2],
        }
    }

    /// A connection that was accepted.
    fn open() -> Talk {
        let mut talk = Talk::new();
        talk.syn(0);
        talk.flags(false, 1, |segment| {
            segment.syn = true;
            segment.sequence = segment.sequence.wrapping_sub(1);
        });
        talk
    }

    fn syn(&mut self, ms: u64) {
        self.flags(true, ms, |segment| {
            (segment.syn, segment.ack) = (true, false);
            segment.sequence = segment.sequence.wrapping_sub(1);
        });
    }

    /// The next bytes of an end.
    fn says(&mut self, client: bool, ms: u64, text: &str) {
        self.segment(client, ms, text.as_bytes(), |_| {});
        self.sent[usize::from(!client)] += text.len() as u32;
    }

    fn flags(&mut self, client: bool, ms: u64, change: impl Fn(&mut Segment<'_>)) {
        self.segment(client, ms, &[], change);
    }

    fn segment(
        &mut self,
        client: bool,
        ms: u64,
        payload: &[u8],
        change: impl Fn(&mut Segment<'_>),
    ) {
        let server: SocketAddr = SERVER.parse().unwrap();
        let (src, dst) = match client {
            true => (self.client, server),
            false => (server, self.client),
        };
        let end = usize::from(!client);
        let next = |end: usize| FIRST[end].wrapping_add(self.sent[end]);
        let mut segment = Segment {
            src,
            dst,
            sequence: next(end),
            acknowledgement: next(1 - end),
            syn: false,
            ack: true,
            fin: false,
            rst: false,
            payload,
            truncated: false,
        };
        change(&mut segment);
        self.connections.take(&segment, at(ms));
    }

    fn end(self) -> Read {
        self.connections.end()
    }
}

fn outcomes(read: &Read) -> Vec<(Outcome, Option<u128>)> {
    let all = read.exchanges.iter();
    all.map(|e| (e.outcome(), e.latency().map(|latency| latency.as_millis())))
        .collect()
}

#[test]
fn a_request_takes_from_its_first_byte_to_the_last_one_of_its_response() {
    let mut talk = Talk::open();
    let (one, other) = GET.split_at(10);
    talk.says(true, 10, one);
    talk.says(true, 12, other);
    let (one, other) = OK.split_at(OK.len() - 1);
    talk.says(false, 20, one);
    talk.says(false, 33, other);
    talk.says(true, 40, GET);
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    talk.says(false, 45, busy);
    talk.says(true, 50, GET);
    talk.says(
        false,
        55,
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    );
    let read = talk.end();
    let expected = [
        (Outcome::Answered, Some(23)),
        (Outcome::Deferred, None),
        (Outcome::Refused(404), None),
    ];
    assert_eq!(outcomes(&read), expected);
    assert_eq!(read.exchanges[0].octets, OK.len() as u64);
    assert_eq!(read.exchanges[0].target, "/t");
    assert_eq!((read.opened, read.refused, read.unanswered), (1, 0, 0));
}

#[test]
fn what_comes_after_the_client_has_left_answers_nothing() {
    for rst in [false, true] {
        let mut talk = Talk::open();
        talk.says(true, 10, GET);
        talk.says(false, 15, &OK[..20]);
        talk.flags(true, 20, |segment| (segment.fin, segment.rst) = (!rst, rst));
        talk.says(false, 25, &OK[20..]);
        let read = talk.end();
        assert_eq!(outcomes(&read), [(Outcome::Unanswered, None)]);
        assert_eq!(read.exchanges[0].left, Some(at(20)));
    }
    let mut open = Talk::open();
    open.says(true, 10, GET);
    let read = open.end();
    assert_eq!(outcomes(&read), [(Outcome::Unanswered, None)]);
    assert_eq!(read.exchanges[0].ended(), None);
}

#[test]
fn a_body_without_a_length_ends_with_the_servers_end_and_not_with_a_reset() {
    let whole = |change: fn(&mut Segment<'_>)| {
        let mut talk = Talk::open();
        talk.says(true, 10, GET);
        talk.says(false, 15, "HTTP/1.1 200 OK\r\n\r\n21.5");
        talk.flags(false, 20, change);
        outcomes(&talk.end())
    };
    assert_eq!(
        whole(|segment| segment.fin = true),
        [(Outcome::Answered, Some(10))]
    );
    assert_eq!(
        whole(|segment| segment.rst = true),
        [(Outcome::Unanswered, None)]
    );
}

#[test]
fn who_is_refused_and_who_is_not_answered_has_no_connection() {
    let mut talk = Talk::new();
    talk.syn(0);
    // Sent again, and refused.
    talk.syn(1000);
    talk.flags(false, 1002, |segment| segment.rst = true);
    talk.client.set_port(40001);
    talk.syn(2000);
    // The same port for another connection.
    talk.flags(true, 3000, |segment| {
        (segment.syn, segment.ack, segment.sequence) = (true, false, 99);
    });
    let read = talk.end();
    assert_eq!((read.opened, read.refused, read.unanswered), (0, 1, 2));
    assert!(read.exchanges.is_empty() && read.unread.is_empty());
}

#[test]
fn an_event_stream_is_answered_when_it_begins_and_has_the_times_of_its_events() {
    let mut talk = Talk::open();
    talk.says(
        true,
        10,
        "GET /t HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n",
    );
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    talk.says(false, 20, head);
    talk.says(false, 30, "1b\r\nevent: state\ndata: 1\n\nevent");
    talk.says(false, 40, "\r\na\r\n: x\ndata\n\n\r\n");
    let read = talk.end();
    assert_eq!(outcomes(&read), [(Outcome::Answered, Some(10))]);
    assert!(read.exchanges[0].follows);
    let events = &read.exchanges[0].events;
    let expected = [(at(30), "state".to_owned()), (at(40), "x".to_owned())];
    assert_eq!(events[..], expected);
}

#[test]
fn what_could_not_be_read_is_told_and_takes_its_last_request_along() {
    // A segment that the client acknowledged and the capture has not.
    let mut talk = Talk::open();
    talk.says(true, 10, GET);
    talk.says(false, 15, OK);
    talk.says(true, 20, GET);
    talk.sent[1] += 10;
    talk.says(true, 25, "x");
    let read = talk.end();
    assert_eq!(outcomes(&read), [(Outcome::Answered, Some(5))]);
    let missing = Unread::Bytes(Broken::Missing);
    assert_eq!(read.unread, BTreeMap::from([(missing, 1)]));

    let mut unasked = Talk::open();
    unasked.says(false, 15, OK);
    assert_eq!(unasked.end().unread, BTreeMap::from([(Unread::Unasked, 1)]));

    let mut before = Talk::new();
    before.says(true, 10, GET);
    let read = before.end();
    let unread = Unread::Bytes(Broken::NoBeginning);
    assert_eq!(read.unread, BTreeMap::from([(unread, 1)]));
    assert_eq!((read.opened, read.unanswered), (0, 0));
    let text = unread.to_string();
    assert_eq!(text, "it began before the capture");
}

/// What both ends say in a conversation of three requests.
fn spoken() -> [String; 2] {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n21.5\r\n0\r\n\r\n";
    let requests = [GET, GET, GET].concat();
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    [requests, [OK, chunked, busy].concat()]
}

proptest! {
    /// However the bytes are cut, doubled and reordered, the exchanges are the same.
    #[test]
    fn segments_do_not_matter(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        extra in prop::collection::vec(any::<[prop::sample::Index; 2]>(), 0..6),
        order in any::<u64>(),
    ) {
        let texts = spoken();
        let mut talk = Talk::open();
        for (client, text) in [(true, &texts[0]), (false, &texts[1])] {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let mut ranges: Vec<(usize, usize)> = at.windows(2).map(|ends| (ends[0], ends[1])).collect();
            ranges.extend(extra.iter().map(|[a, b]| {
                let (a, b) = (a.index(text.len() + 1), b.index(text.len() + 1));
                (a.min(b), a.max(b))
            }));
            // Any order will do that a number gives.
            ranges.sort_by_key(|range| (range.0 as u64 + 1).wrapping_mul(order | 1).rotate_left(17));
            for (from, to) in ranges {
                talk.segment(client, 10, &text.as_bytes()[from..to], |segment| {
                    let end = usize::from(!client);
                    segment.sequence = FIRST[end].wrapping_add(from as u32);
                    segment.ack = false;
                });
            }
        }
        let read = talk.end();
        let expected = [
            (Outcome::Answered, Some(0)),
            (Outcome::Answered, Some(0)),
            (Outcome::Deferred, None),
        ];
        prop_assert_eq!(outcomes(&read), expected);
        prop_assert!(read.unread.is_empty());
    }

    /// No segments make it panic.
    #[test]
    fn whatever_is_sent_is_read(
        segments in prop::collection::vec(
            (any::<bool>(), any::<u8>(), any::<(u32, u32)>(), prop::collection::vec(any::<u8>(), 0..40)),
            0..40,
        ),
    ) {
        let mut talk = Talk::open();
        for (client, flags, (sequence, acknowledgement), payload) in segments {
            talk.segment(client, 10, &payload, |segment| {
                (segment.syn, segment.ack, segment.fin, segment.rst) =
                    (flags & 7 == 1, flags & 1 == 0, flags & 24 == 8, flags > 250);
                // Near what is expected, in most cases.
                segment.sequence = segment.sequence.wrapping_add((sequence % 64) >> (flags & 7));
                if flags & 32 == 0 {
                    (segment.sequence, segment.acknowledgement) = (sequence, acknowledgement);
                }
                segment.truncated = flags == 77;
            });
        }
        let read = talk.end();
        // Each has one outcome.
        let counts = RequestCounts::of(&read.exchanges);
        let refused: usize = counts.refused.values().sum();
        let sum = counts.answered + counts.deferred + refused + counts.unanswered;
        prop_assert_eq!(sum, read.exchanges.len());
    }
}

#[test]
fn a_reset_that_does_not_count_for_the_client_ends_nothing() {
    let mut talk = Talk::open();
    talk.says(true, 10, GET);
    talk.flags(false, 11, |segment| {
        segment.rst = true;
        segment.sequence = segment.sequence.wrapping_add(100_000);
    });
    talk.says(false, 20, OK);
    talk.flags(false, 30, |segment| segment.rst = true);
    talk.says(false, 40, OK);
    let read = talk.end();
    assert_eq!(outcomes(&read), [(Outcome::Answered, Some(10))]);
    // One that answers no SYN of this connection refuses nothing.
    let mut talk = Talk::new();
    talk.syn(0);
    talk.flags(false, 1, |segment| {
        segment.rst = true;
        segment.acknowledgement = segment.acknowledgement.wrapping_add(5);
    });
    let read = talk.end();
    assert_eq!((read.refused, read.unanswered), (0, 1));
}

#[test]
fn what_is_asked_of_a_server_that_has_left_is_not_answered() {
    let mut talk = Talk::open();
    talk.says(true, 10, GET);
    talk.says(false, 20, OK);
    talk.flags(false, 25, |segment| segment.fin = true);
    talk.says(true, 26, GET);
    let read = talk.end();
    let expected = [(Outcome::Answered, Some(10)), (Outcome::Unanswered, None)];
    assert_eq!(outcomes(&read), expected);
    assert_eq!(read.exchanges[1].left, Some(at(26)));
}

#[test]
fn the_response_to_a_head_has_no_body_however_it_is_cut() {
    let head = "HEAD /t HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    let told = [OK, answer, OK].concat();
    for cut in 1..told.len() {
        let mut talk = Talk::open();
        talk.says(true, 10, &[GET, head, GET].concat());
        let (one, other) = told.split_at(cut);
        talk.says(false, 20, one);
        talk.says(false, 20, other);
        let read = talk.end();
        assert_eq!(outcomes(&read), [(Outcome::Answered, Some(10)); 3], "{cut}");
    }
}
