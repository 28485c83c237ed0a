//! Two instances and a node between them, without sockets: who answers, and through whom.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::wire::Message;
use coap::{Code, Endpoint, Params, Reliability};
use comp::codec::{self, Command, Lifetime};
use comp::mmt::{Entry, Mmt};
use comp::wmms::{Config, Wmms};
use comp::{BindingMode, Limits};
use machine::{Machine, Transmit};
use units::{Seed, SimTime};
use wmms_postgres::{Frame, Kind, Place, SHARDS, Shard, Sharded};
use wmms_store::{Durable, Event, Store, Writer};

/// Makes groups; who writes them is played by the tests.
#[derive(Debug)]
struct Shelf;

#[derive(Debug)]
struct Porter;

impl Store for Shelf {
    type Error = Infallible;
    type Group = Vec<(Ipv6Addr, Option<Entry>)>;
    type Writer = Porter;

    fn load(&mut self, _: &mut Mmt) -> Result<(), Infallible> {
        Ok(())
    }

    fn group(&mut self, table: &Mmt, changed: &BTreeSet<Ipv6Addr>) -> Self::Group {
        changed
            .iter()
            .map(|p| (*p, table.get(*p).cloned()))
            .collect()
    }

    fn writer(&self) -> Porter {
        Porter
    }
}

impl Writer for Porter {
    type Group = Vec<(Ipv6Addr, Option<Entry>)>;
    type Error = Infallible;

    fn commit(&mut self, _: Self::Group) -> Result<(), Infallible> {
        Ok(())
    }
}

const SECRET: [u8; 16] = [7; 16];
const NOW: SimTime = SimTime::from_nanos(1_000_000_000);
const LATER: SimTime = SimTime::from_nanos(3_000_000_000);

fn address(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)
}

fn at(n: u16) -> SocketAddrV6 {
    SocketAddrV6::new(address(n), 5683, 0, 0)
}

/// The instances: the first has the shard of node 9, the other one nothing else.
const FIRST: u16 = 1;
const SECOND: u16 = 2;
const NODE: u16 = 9;

fn instance(n: u16) -> Sharded<Shelf> {
    let config = Config {
        hold_timeout: Duration::from_secs(1),
        binding: BindingMode::Direct,
        limits: Limits::default(),
        coap: Params::default(),
    };
    let wmms = Wmms::new(config, Seed(n.into()).rng(&["wmms"]));
    let mut sharded = Sharded::new(Durable::new(wmms, Shelf), SECRET);
    let mut places = vec![Place::Nowhere; SHARDS.into()];
    places[Shard::of(address(NODE)).index()] = match n {
        FIRST => Place::Here,
        _ => Place::At(at(FIRST)),
    };
    sharded.set_places([at(FIRST + SECOND - n)].into(), places);
    sharded.serve_until(LATER);
    sharded
}

fn request(command: &Command) -> Vec<u8> {
    let mut endpoint = Endpoint::new(
        Params::default(),
        codec::KNOWN_CRITICAL,
        Seed(5).rng(&["node"]),
    );
    endpoint.request(NOW, at(FIRST), Reliability::Confirmable, command.request());
    endpoint.poll_transmit().unwrap().payload
}

fn registration() -> Vec<u8> {
    request(&Command::Registration {
        p_addr: address(NODE),
        t_addr: address(NODE),
        lifetime: Lifetime(60),
    })
}

/// Writes what there is to write.
fn write_all(sharded: &mut Sharded<Shelf>) -> usize {
    let mut groups = 0;
    while let Some(event) = sharded.poll_event() {
        if matches!(event, Event::Write(_)) {
            groups += 1;
            sharded.durable_mut().written();
        }
    }
    groups
}

fn give(sharded: &mut Sharded<Shelf>, now: SimTime, from: u16, datagram: &[u8]) {
    let Ok(()) = sharded.handle_datagram(now, at(from), datagram);
}

#[test]
fn who_has_the_shard_answers_when_it_is_written_and_not_before() {
    let mut first = instance(FIRST);
    give(&mut first, NOW, NODE, &registration());
    assert_eq!(first.poll_transmit(), None);
    assert_eq!(write_all(&mut first), 1);
    let answer = first.poll_transmit().unwrap();
    assert_eq!(answer.to, at(NODE));
    assert_eq!(
        Message::decode(&answer.payload).unwrap().code,
        Code::CREATED
    );
}

#[test]
fn who_has_not_forwards_and_the_answer_leaves_where_the_request_came() {
    let (mut first, mut second) = (instance(FIRST), instance(SECOND));
    give(&mut second, NOW, NODE, &registration());
    assert_eq!(write_all(&mut second), 0);
    let forwarded = second.poll_transmit().unwrap();
    assert_eq!(forwarded.to, at(FIRST));
    give(&mut first, NOW, SECOND, &forwarded.payload);
    write_all(&mut first);
    let back = first.poll_transmit().unwrap();
    assert_eq!(back.to, at(SECOND), "the node has asked there");
    give(&mut second, NOW, FIRST, &back.payload);
    let answer = second.poll_transmit().unwrap();
    assert_eq!(answer.to, at(NODE));
    assert_eq!(
        Message::decode(&answer.payload).unwrap().code,
        Code::CREATED
    );
    assert_eq!(first.durable().wmms().mmt().len(), 1);
    assert_eq!(second.durable().wmms().mmt().len(), 0);
}

#[test]
fn a_forwarded_request_is_not_forwarded_again() {
    let mut second = instance(SECOND);
    let frame = Frame {
        kind: Kind::From,
        peer: at(NODE),
        datagram: &registration(),
    };
    give(&mut second, NOW, FIRST, &frame.write(&SECRET));
    assert_eq!(second.poll_transmit(), None);
}

#[test]
fn what_is_no_frame_of_an_instance_changes_nothing() {
    let datagram = registration();
    let frame = Frame {
        kind: Kind::From,
        peer: at(NODE),
        datagram: &datagram,
    };
    for (from, secret) in [(SECOND, [8; 16]), (3, SECRET)] {
        let mut first = instance(FIRST);
        give(&mut first, NOW, from, &frame.write(&secret));
        assert_eq!(write_all(&mut first), 0);
        assert_eq!(first.poll_transmit(), None);
    }
}

#[test]
fn after_its_lease_or_closed_an_instance_answers_nobody() {
    let mut first = instance(FIRST);
    give(&mut first, LATER, NODE, &registration());
    first.close();
    give(&mut first, NOW, NODE, &registration());
    assert_eq!(write_all(&mut first), 0);
    assert_eq!(first.poll_transmit(), None);
    first.open();
    give(&mut first, NOW, NODE, &registration());
    assert_eq!(write_all(&mut first), 1);
}

#[test]
fn who_acknowledges_what_another_sent_through_an_instance_is_heard_by_that_one() {
    let mut second = instance(SECOND);
    // A confirmable request with Message ID 0x1234, and its acknowledgement.
    let frame = Frame {
        kind: Kind::To,
        peer: at(NODE),
        datagram: &[0x40, 3, 0x12, 0x34],
    };
    give(&mut second, NOW, FIRST, &frame.write(&SECRET));
    let sent = second.poll_transmit().unwrap();
    assert_eq!((sent.to, &sent.payload[..]), (at(NODE), frame.datagram));
    give(&mut second, NOW, NODE, &[0x60, 0, 0x12, 0x34]);
    let Transmit { to, payload } = second.poll_transmit().unwrap();
    assert_eq!(to, at(FIRST));
    let told = Frame::read(&payload, &SECRET).unwrap();
    assert_eq!((told.kind, told.peer), (Kind::From, at(NODE)));
    // Another acknowledgement is its own.
    give(&mut second, NOW, NODE, &[0x60, 0, 0x12, 0x35]);
    assert_eq!(second.poll_transmit(), None);
}

#[test]
fn a_shard_that_is_handed_over_takes_its_entries_along_and_is_no_change() {
    let (mut first, mut second) = (instance(FIRST), instance(SECOND));
    give(&mut first, NOW, NODE, &registration());
    write_all(&mut first);
    assert!(first.durable().is_settled());
    let entries: Vec<(Ipv6Addr, Entry)> = (first.durable().wmms().mmt().iter())
        .map(|(p_addr, entry)| (p_addr, entry.clone()))
        .collect();
    let shards = BTreeSet::from([Shard::of(address(NODE))]);
    first.hand_over(NOW, &shards);
    second.adopt(NOW, &shards, entries);
    assert!(first.durable().wmms().mmt().is_empty());
    assert!(first.durable().is_settled() && second.durable().is_settled());
    let who = request(&Command::Discovery {
        p_addr: address(NODE),
    });
    give(&mut second, NOW, 20, &who);
    write_all(&mut second);
    let answer = Message::decode(&second.poll_transmit().unwrap().payload);
    assert_eq!(answer.unwrap().code, Code::CONTENT);
    give(&mut first, NOW, 20, &who);
    let mut left = std::iter::from_fn(|| first.poll_transmit());
    assert!(
        left.all(|transmit| transmit.to == at(NODE)),
        "only its own answer"
    );
}
