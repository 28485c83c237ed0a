//! A disk that is full, broken or slow: the WMMS stays up, and acknowledges nothing that is not
//! stored.

use std::io;
use std::net::SocketAddrV6;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use coap::{Endpoint, Params, Reliability};
use comp::codec::{self, Command, Lifetime};
use comp::wmms::{Config, Wmms};
use comp::{BindingMode, Limits};
use machine::{Machine as _, Transmit};
use units::{Seed, SimTime};
use wmms_store::{
    Durable, Event, Journal, JournalError, JournalWriter, MAX_HELD, Segment, Store as _,
    Writer as _,
};

use crate::disk::{Attempt, DATABASE, Disk, Image, Luck, MARK, Playback};
use crate::load::{self, contents, p};

/// Numbers of errors (errno(3)), as Linux has them.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

/// A WMMS on a disk.
struct Server {
    machine: Durable<Journal>,
    writer: Arc<Mutex<JournalWriter>>,
}

impl Server {
    /// `patience` is how often a disk that refuses is tried again.
    fn new(disk: &Disk, patience: usize) -> Server {
        let (journal, table) = load::open(disk).unwrap();
        let left = AtomicUsize::new(patience);
        journal.have_patience(Box::new(move |_| {
            let one_less = |left: usize| left.checked_sub(1);
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                .is_ok()
        }));
        let config = Config {
            hold_timeout: Duration::from_secs(1),
            binding: BindingMode::Direct,
            limits: Limits::default(),
            coap: Params::default(),
        };
        let mut wmms = Wmms::new(config, Seed(1).rng(&["wmms"]));
        wmms.restore(SimTime::ZERO, table);
        let writer = Arc::new(Mutex::new(journal.writer()));
        let machine = Durable::new(wmms, journal);
        Server { machine, writer }
    }

    fn register(&mut self, node: usize) {
        let (from, payload) = datagram(
            node,
            Command::Registration {
                p_addr: p(node),
                t_addr: p(node),
                lifetime: Lifetime(60),
            },
        );
        self.machine
            .handle_datagram(SimTime::ZERO, from, &payload)
            .unwrap();
    }

    /// The next group to write, past the WMMS's events.
    fn poll_group(&mut self) -> Option<Segment> {
        std::iter::from_fn(|| self.machine.poll_event()).find_map(|event| match event {
            Event::Write(group) => Some(group),
            Event::Wmms(_) | Event::PassedOver(_) => None,
        })
    }

    fn commit(&self, group: Segment) -> Result<(), JournalError> {
        self.writer.lock().unwrap().commit(group)
    }

    /// Datagrams that may leave.
    fn transmits(&mut self) -> usize {
        std::iter::from_fn(|| self.machine.poll_transmit()).count()
    }
}

/// A node's request as a datagram.
fn datagram(node: usize, command: Command) -> (SocketAddrV6, Vec<u8>) {
    let rng = Seed(node as u64).rng(&["node"]);
    let mut endpoint = Endpoint::new(Params::default(), codec::KNOWN_CRITICAL, rng);
    let server = SocketAddrV6::new(p(0xffff), 5683, 0, 0);
    let confirmable = Reliability::Confirmable;
    endpoint.request(SimTime::ZERO, server, confirmable, command.request());
    let Transmit { payload, .. } = endpoint.poll_transmit().unwrap();
    (SocketAddrV6::new(p(node), 5683, 0, 0), payload)
}

/// Refuses the first `times` attempts of one kind on one file.
fn refuse(disk: &Disk, file: usize, attempt: Attempt, errno: i32, times: usize) {
    let mut left = times;
    disk.fail(
        move |on, what| match (on, what) == (file, attempt) && left > 0 {
            true => {
                left -= 1;
                Err(io::Error::from_raw_os_error(errno))
            }
            false => Ok(()),
        },
    );
}

/// What is on the disk if the power goes now; `playback` has what was done with it before.
fn after_power_cut(disk: &Disk, playback: &mut Playback) -> Image {
    disk.take_steps()
        .iter()
        .for_each(|step| playback.play(step));
    playback.cut(Luck::None, &mut Seed(0).rng(&["unused"]))
}

#[test]
fn what_a_full_or_broken_disk_refused_is_stored_before_it_is_acknowledged() {
    for (attempt, errno) in [
        (Attempt::Write, ENOSPC),
        (Attempt::Write, EIO),
        (Attempt::Write, EROFS),
        (Attempt::Sync, EIO),
        (Attempt::Sync, ENOSPC),
    ] {
        for file in [DATABASE, MARK] {
            let disk = Disk::default();
            let mut playback = Playback::default();
            let mut server = Server::new(&disk, usize::MAX);
            refuse(&disk, file, attempt, errno, 5);
            // The mark has a barrier for every 64 groups.
            for node in 1..=70 {
                server.register(node);
                let group = server.poll_group().expect("a change");
                assert_eq!(server.transmits(), 0);
                server.commit(group).unwrap();
                server.machine.written();
                assert_eq!(server.transmits(), 1);
                let image = after_power_cut(&disk, &mut playback);
                // What was refused, in the first group or, of the mark, at its barrier.
                if matches!(node, 1 | 63..) {
                    let wanted = contents(server.machine.wmms().mmt());
                    let (journal, table) = load::open(&Disk::with(image)).unwrap();
                    assert_eq!(contents(&table), wanted, "{attempt:?} {errno} {file}");
                    assert_eq!(journal.notice(), None);
                }
            }
        }
    }
}

#[test]
fn a_daemon_that_ends_beside_a_broken_disk_has_acknowledged_nothing() {
    for (attempt, file) in [
        (Attempt::Write, DATABASE),
        (Attempt::Sync, DATABASE),
        (Attempt::Write, MARK),
    ] {
        let disk = Disk::default();
        let mut playback = Playback::default();
        let mut server = Server::new(&disk, 3);
        server.register(1);
        let group = server.poll_group().expect("a change");
        server.commit(group).unwrap();
        server.machine.written();
        assert_eq!(server.transmits(), 1);
        let acknowledged = contents(server.machine.wmms().mmt());

        refuse(&disk, file, attempt, EIO, usize::MAX);
        server.register(2);
        let group = server.poll_group().expect("a change");
        let error = server.commit(group).unwrap_err();
        assert!(error.to_string().contains("wmms.redb"), "{error}");
        assert_eq!(server.transmits(), 0);
        let asked = contents(server.machine.wmms().mmt());
        drop(server);
        let (journal, table) =
            load::open(&Disk::with(after_power_cut(&disk, &mut playback))).unwrap();
        let found = contents(&table);
        assert!(found == acknowledged || found == asked, "{found:#?}");
        assert_eq!(journal.notice(), None);
    }
}

#[test]
fn a_slow_disk_keeps_nobody_from_asking_and_answers_nobody_early() {
    let disk = Disk::default();
    let mut server = Server::new(&disk, 0);
    let (reached, at_the_barrier) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    disk.fail(move |file, attempt| {
        if (file, attempt) == (DATABASE, Attempt::Sync) {
            // Nobody is there any more when the store is closed.
            let _ = (reached.send(()), may_go.recv());
        }
        Ok(())
    });
    server.register(1);
    let group = server.poll_group().expect("a change");
    let writer = server.writer.clone();
    let writing = thread::spawn(move || writer.lock().unwrap().commit(group));
    at_the_barrier.recv().unwrap();
    for node in 2..=20 {
        server.register(node);
        assert!(server.poll_group().is_none());
        assert_eq!(server.transmits(), 0);
    }
    go.send(()).unwrap();
    writing.join().unwrap().unwrap();
    server.machine.written();
    assert_eq!(server.transmits(), 1);
    drop(go);
    let group = server.poll_group().expect("those who asked meanwhile");
    assert_eq!(server.transmits(), 0);
    server.commit(group).unwrap();
    server.machine.written();
    assert_eq!(server.transmits(), 19);
}

#[test]
fn a_store_that_has_come_to_a_stop_costs_a_bounded_memory() {
    let disk = Disk::default();
    let mut server = Server::new(&disk, 0);
    server.register(1);
    let group = server.poll_group().expect("a change");
    let (_, mut asking) = datagram(2, Command::Discovery { p_addr: p(0xfff) });
    let mut ask = |server: &mut Server, number: usize, node: usize| {
        asking[2..4].copy_from_slice(&(number as u16).to_be_bytes());
        let from = SocketAddrV6::new(p(node), 5683, 0, 0);
        let machine = &mut server.machine;
        machine
            .handle_datagram(SimTime::ZERO, from, &asking)
            .unwrap();
        assert!(machine.poll_transmit().is_none());
    };
    // Strangers leave half of it to the node that is registered.
    for number in 0..MAX_HELD {
        ask(&mut server, number, 2 + number % 1000);
    }
    let of_strangers = server.machine.passed_over();
    assert_eq!(of_strangers, MAX_HELD as u64 / 2 + 1);
    for number in 0..MAX_HELD / 2 + 100 {
        ask(&mut server, number, 1);
    }
    assert!(server.machine.passed_over() >= 100);
    server.commit(group).unwrap();
    server.machine.written();
    assert_eq!(server.transmits(), MAX_HELD);
    server.register(3);
    assert!(server.poll_group().is_some());
}
