use std::cell::Cell;
use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};

use super::*;

#[test]
fn a_million_ignored_messages_are_seven_lines_of_log() {
    let mut ignored = Ignored::default();
    let logged: Vec<u64> = (0..1_000_000).filter_map(|_| ignored.another()).collect();
    assert_eq!(logged, [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]);
}

/// Answers whatever comes with three datagrams to a port where nobody may listen.
#[derive(Debug, Default)]
struct Talker(VecDeque<Transmit>);

impl Machine for Talker {
    type From = SocketAddrV6;
    type To = SocketAddrV6;
    type Event = Infallible;
    type Ignored = Infallible;

    fn handle_datagram(
        &mut self,
        _: SimTime,
        to: SocketAddrV6,
        payload: &[u8],
    ) -> Result<(), Infallible> {
        let payload = payload.to_vec();
        self.0
            .extend(std::iter::repeat_n(Transmit { to, payload }, 3));
        Ok(())
    }
    fn handle_timeout(&mut self, _: SimTime) {}
    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.0.pop_front()
    }
    fn poll_timeout(&self) -> Option<SimTime> {
        None
    }
    fn poll_event(&mut self) -> Option<Infallible> {
        None
    }
}

/// A socket that the kernel allows nothing but what is scripted; `Ok` sends one message.
#[derive(Debug)]
struct Scripted {
    socket: UdpSocket,
    script: VecDeque<Result<usize, Errno>>,
    admitted: bool,
}

impl AsRawFd for Scripted {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

impl Socket for Scripted {
    type From = SocketAddrV6;
    type To = SocketAddrV6;

    fn source(from: &SocketAddrV6) -> Ipv6Addr {
        *from.ip()
    }

    fn receive(&mut self, _: impl FnMut(SocketAddrV6, &[u8])) -> io::Result<Received> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn admits(&mut self, _: &SocketAddrV6) -> bool {
        self.admitted
    }

    fn send(&mut self, _: &VecDeque<Transmit>) -> io::Result<usize> {
        let next = self.script.pop_front().expect("a send that was foreseen");
        next.map_err(io::Error::from)
    }
}

/// Runs a driver until it has said what three datagrams it wants to send; returns how many were
/// lost and what of the script is left.
fn lost(script: &[Result<usize, Errno>], admitted: bool) -> (u64, usize) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    let script = script.iter().copied().collect();
    let socket = Scripted {
        socket,
        script,
        admitted,
    };
    let mut driver = Driver::new(Talker::default(), socket).unwrap();
    let from = "[::1]:9".parse().unwrap();
    let heard = driver.with(|talker, now| talker.handle_datagram(now, from, b"?"));
    heard.unwrap();
    assert!(driver.unsent.is_empty(), "nothing waits");
    (driver.lost.0, driver.socket().script.len())
}

#[test]
fn whatever_the_kernel_says_about_a_datagram_it_is_lost_and_the_next_one_is_sent() {
    use Errno::{
        EACCES, EADDRNOTAVAIL, EAGAIN, EMSGSIZE, ENETDOWN, ENETUNREACH, ENOBUFS, ENOMEM, EPERM,
    };
    let refusals = [
        EACCES,
        EADDRNOTAVAIL,
        EAGAIN,
        EMSGSIZE,
        ENETDOWN,
        ENETUNREACH,
        ENOBUFS,
        ENOMEM,
        EPERM,
    ];
    for refusal in refusals {
        assert_eq!(lost(&[Err(refusal), Ok(2)], true), (1, 0), "{refusal}");
        let all = [Err(refusal); 3];
        assert_eq!(lost(&all, true), (3, 0), "{refusal}");
    }
    assert_eq!(lost(&[Err(Errno::EINTR), Ok(3)], true), (0, 0));
}

#[test]
fn what_the_socket_does_not_admit_is_lost_without_a_system_call() {
    assert_eq!(lost(&[], false), (3, 0));
}

#[test]
fn an_error_about_a_former_datagram_ends_nothing() {
    let about = |errno: Errno| is_about_a_former_send(&errno.into());
    assert!(about(Errno::EPERM) && about(Errno::EMSGSIZE) && about(Errno::EHOSTUNREACH));
    assert!(!about(Errno::EBADF) && !about(Errno::ENOTSOCK));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Hears everybody, and knows who sends from [`KNOWN`].
#[derive(Debug, Default)]
struct Listener {
    /// Ports that messages came from.
    heard: Vec<u16>,
    /// How often it was asked whether it knows somebody.
    asked: Cell<usize>,
    passed_over: u64,
}

const KNOWN: u16 = 5683;
const STRANGER: u16 = 7;

impl Machine for Listener {
    type From = SocketAddrV6;
    type To = SocketAddrV6;
    type Event = Infallible;
    type Ignored = Infallible;

    fn handle_datagram(
        &mut self,
        _: SimTime,
        from: SocketAddrV6,
        _: &[u8],
    ) -> Result<(), Infallible> {
        self.heard.push(from.port());
        Ok(())
    }
    fn handle_timeout(&mut self, _: SimTime) {}
    fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }
    fn poll_timeout(&self) -> Option<SimTime> {
        None
    }
    fn poll_event(&mut self) -> Option<Infallible> {
        None
    }
    fn knows(&self, _: SimTime, from: &SocketAddrV6) -> bool {
        self.asked.set(self.asked.get() + 1);
        from.port() == KNOWN
    }
    fn passed_over(&mut self, _: SimTime, messages: u64) {
        self.passed_over += messages;
    }
}

/// A socket in which messages from these ports wait, each of another address.
#[derive(Debug)]
struct Full {
    /// One that the runtime takes for readable.
    socket: UdpSocket,
    ports: VecDeque<u16>,
    /// Whether as many come as are taken.
    endless: bool,
    /// System calls that there would have been.
    calls: usize,
}

impl Full {
    fn of(ports: impl IntoIterator<Item = u16>, endless: bool) -> Full {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        let own = socket.local_addr().unwrap();
        socket.send_to(b"readable", own).unwrap();
        Full {
            socket,
            ports: ports.into_iter().collect(),
            endless,
            calls: 0,
        }
    }
}

impl AsRawFd for Full {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

impl Socket for Full {
    type From = SocketAddrV6;
    type To = SocketAddrV6;

    fn source(from: &SocketAddrV6) -> Ipv6Addr {
        *from.ip()
    }

    fn receive(&mut self, mut take: impl FnMut(SocketAddrV6, &[u8])) -> io::Result<Received> {
        self.calls += 1;
        let count = self.ports.len().min(BATCH);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for n in 0..count {
            let port = self.ports.pop_front().unwrap();
            let host = (self.calls * BATCH + n) as u128;
            let address = Ipv6Addr::from(0x2001_0db8 << 96 | host << 64 | 1);
            take(SocketAddrV6::new(address, port, 0, 0), b"message");
            self.ports.extend(self.endless.then_some(port));
        }
        Ok(Received {
            count,
            more: count == BATCH,
        })
    }

    fn send(&mut self, _: &VecDeque<Transmit>) -> io::Result<usize> {
        Ok(1)
    }
}

/// A driver that has taken in what waited at `socket` until it waits itself, or something else had its
/// turn.
fn taken_in(socket: Full) -> Driver<Listener, Full> {
    let endless = socket.endless;
    runtime().block_on(async {
        let mut driver = Driver::new(Listener::default(), socket).unwrap();
        while endless || !driver.socket().ports.is_empty() || !driver.intake.is_empty() {
            tokio::select! {
                biased;
                event = driver.next_event() => match event {
                    Ok(never) => match never {},
                    Err(error) => panic!("{error}"),
                },
                () = std::future::ready(()), if endless && !driver.machine().heard.is_empty() => break,
                () = tokio::task::yield_now() => {}
            }
        }
        driver
    })
}

#[test]
fn what_is_taken_in_at_once_is_neither_sorted_nor_costs_a_system_call_more() {
    let ports = (0..GROUP as u16).map(|n| if n % 3 == 0 { KNOWN } else { n });
    let ports: Vec<u16> = ports.collect();
    let driver = taken_in(Full::of(ports[1..].iter().copied(), false));
    assert_eq!(driver.machine().heard, ports[1..]);
    assert_eq!(driver.machine().asked.get(), 0);
    // The last one brings less than it could: nothing waits.
    assert_eq!(driver.socket().calls, GROUP / BATCH);
}

#[test]
fn in_a_flood_who_is_known_is_heard_before_strangers_and_who_is_not_heard_is_counted() {
    let strangers = 9 * GROUP;
    let ports = std::iter::repeat_n(STRANGER, strangers);
    let driver = taken_in(Full::of(ports.chain([KNOWN; 5]), false));
    let heard = &driver.machine().heard;
    let known = heard.iter().rposition(|port| *port == KNOWN).unwrap();
    // The first are taken in before anybody can know that it is a flood.
    assert_eq!(heard[known - 4..=known], [KNOWN; 5]);
    assert!(known < GROUP + STRANGERS + 5, "{known} before the last one");
    let passed_over = driver.machine().passed_over;
    assert!(passed_over > 0);
    assert_eq!(heard.len() as u64 + passed_over, strangers as u64 + 5);
}

#[test]
fn a_flood_that_does_not_end_keeps_nothing_else_waiting() {
    let ports = std::iter::repeat_n(STRANGER, GROUP);
    let driver = taken_in(Full::of(ports, true));
    let heard = driver.machine().heard.len();
    // Something else has its turn after each round.
    assert!(
        heard <= GROUP + 2 * STRANGERS,
        "{heard} before anything else"
    );
}
