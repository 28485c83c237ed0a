//! Load for a CoAP server on loopback: peers with a window each, on one thread.
//!
//! The datagrams are put together by hand, so that neither our encoder nor its speed is part of
//! what is measured or tested.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn6, recvmmsg, sendmmsg};

/// ACK_TIMEOUT of RFC 7252 §4.8: a request without an answer is sent again.
const SEND_AGAIN: Duration = Duration::from_secs(2);
/// Datagrams that are received in one system call, and the longest.
const BATCH: usize = 64;
const LONGEST: usize = 2048;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// POST, P_Addr, T_Addr, Lifetime 65535.
    Register(Ipv6Addr, Ipv6Addr),
    /// The same with another Lifetime, seconds.
    RegisterFor(Ipv6Addr, Ipv6Addr, u16),
    /// PUT, P_Addr, T_Addr, Lifetime 65535, H_Flag 0.
    Bind(Ipv6Addr, Ipv6Addr),
    /// DELETE, P_Addr.
    Deregister(Ipv6Addr),
    /// GET, P_Addr.
    Discover(Ipv6Addr),
    /// PUT of as many bytes to `/example_data`, a resource of libcoap's server.
    PutExample(usize),
}

/// The P_Addr of node `n`.
pub fn p_addr(n: u64) -> Ipv6Addr {
    Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(n))
}

/// A T_Addr, told from others by `n`.
pub fn t_addr(n: u64) -> Ipv6Addr {
    Ipv6Addr::from(0x2001_0db8_0001_u128 << 80 | u128::from(n))
}

/// Options as they stand on the wire (RFC 7252 §3.1) for option numbers in ascending order.
fn push_option(bytes: &mut Vec<u8>, former: &mut u16, number: u16, value: &[u8]) {
    let nibble = |n: usize| match n {
        0..=12 => (n as u8, Vec::new()),
        13..=268 => (13, vec![(n - 13) as u8]),
        _ => (14, ((n - 269) as u16).to_be_bytes().to_vec()),
    };
    let (delta, more_delta) = nibble(usize::from(number - *former));
    let (length, more_length) = nibble(value.len());
    *former = number;
    bytes.push(delta << 4 | length);
    bytes.extend(more_delta);
    bytes.extend(more_length);
    bytes.extend(value);
}

impl Ask {
    /// The confirmable request. Message IDs come back soon at this rate, tokens do not: they tell
    /// a new request from a copy.
    pub fn encode(self, message_id: u16, token: u32) -> Vec<u8> {
        let [high, low] = message_id.to_be_bytes();
        let code = match self {
            Ask::Discover(_) => 1,
            Ask::Register(..) | Ask::RegisterFor(..) => 2,
            Ask::Bind(..) | Ask::PutExample(_) => 3,
            Ask::Deregister(_) => 4,
        };
        let mut bytes = vec![0x44, code, high, low];
        bytes.extend(token.to_be_bytes());
        let mut former = 0;
        let mut option = |number, value: &[u8]| push_option(&mut bytes, &mut former, number, value);
        let (procedure, p_addr, t_addr): (&[u8], _, _) = match self {
            Ask::PutExample(size) => {
                option(11, b"example_data");
                bytes.push(0xff);
                bytes.resize(bytes.len() + size, b'x');
                return bytes;
            }
            Ask::Discover(p) => (&[], p, None),
            Ask::Bind(p, t) => (&[1], p, Some(t)),
            Ask::Register(p, t) | Ask::RegisterFor(p, t, _) => (&[2], p, Some(t)),
            Ask::Deregister(p) => (&[3], p, None),
        };
        option(11, b"comp");
        option(2048, procedure);
        option(2049, &p_addr.octets());
        if let Some(t_addr) = t_addr {
            option(2050, &t_addr.octets());
            let lifetime = match self {
                Ask::RegisterFor(_, _, lifetime) => lifetime,
                _ => u16::MAX,
            };
            let lifetime = lifetime.to_be_bytes();
            let leading = lifetime.iter().take_while(|byte| **byte == 0).count();
            option(2051, &lifetime[leading..]);
        }
        if matches!(self, Ask::Bind(..)) {
            option(2053, &[]);
        }
        bytes
    }
}

/// The value of an option in a message, if it is there.
pub fn option(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = message.get(4 + usize::from(message.first()? & 15)..)?;
    let mut number = 0;
    loop {
        let (&first, mut after) = rest.split_first()?;
        if first == 0xff {
            return None;
        }
        let mut extended = |nibble: u8| -> Option<usize> {
            let bytes = match nibble {
                13 => 1,
                14 => 2,
                n => return Some(n.into()),
            };
            let (value, left) = after.split_at_checked(bytes)?;
            after = left;
            let value = value.iter().fold(0, |v, b| v << 8 | usize::from(*b));
            Some(value + if bytes == 1 { 13 } else { 269 })
        };
        let (delta, length) = (extended(first >> 4)?, extended(first & 15)?);
        number += delta;
        let (value, left) = after.split_at_checked(length)?;
        if number == usize::from(wanted) {
            return Some(value);
        }
        rest = left;
    }
}

/// One request at a time.
#[derive(Debug, Default)]
struct Slot {
    /// Message ID, datagram and when it was sent last.
    flying: Option<(u16, Vec<u8>, Instant)>,
}

#[derive(Debug)]
struct Peer {
    socket: UdpSocket,
    message_id: u16,
    slots: Vec<Slot>,
    /// Places in `slots` whose datagrams are to be sent.
    staged: Vec<usize>,
}

impl Peer {
    /// Sends what is staged, in one system call. What finds a full buffer, or a server that is
    /// dead at the moment, is lost, and is sent again later.
    fn flush(&mut self) {
        if self.staged.is_empty() {
            return;
        }
        let flying = |place: usize| self.slots[place].flying.as_ref();
        let datagrams: Vec<_> = (self.staged.drain(..).filter_map(flying))
            .map(|(_, datagram, _)| [IoSlice::new(datagram)])
            .collect();
        // The socket is connected.
        let addresses: Vec<Option<SockaddrIn6>> = vec![None; datagrams.len()];
        let mut headers = MultiHeaders::preallocate(datagrams.len(), None);
        let fd = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let _ = sendmmsg(fd, &mut headers, &datagrams, addresses, [], flags);
    }
}

/// Peers that keep a window of requests in flight. A slot is one place in a window, numbered
/// through all peers.
#[derive(Debug)]
pub struct Load {
    peers: Vec<Peer>,
    window: usize,
    token: u32,
    buffer: Vec<u8>,
    /// Datagrams that were sent again.
    pub resent: u64,
}

impl Load {
    /// `peers` sockets bound to `from` (port 0: any), connected to `server`.
    pub fn new(from: SocketAddr, server: SocketAddr, peers: usize, window: usize) -> Load {
        let peer = |_| {
            let socket = UdpSocket::bind(from).expect("bind");
            socket.connect(server).expect("connect");
            socket.set_nonblocking(true).expect("nonblocking");
            Peer {
                socket,
                message_id: 0,
                slots: (0..window).map(|_| Slot::default()).collect(),
                staged: Vec::new(),
            }
        };
        Load {
            peers: (0..peers).map(peer).collect(),
            window,
            token: 0,
            buffer: vec![0; BATCH * LONGEST],
            resent: 0,
        }
    }

    /// Slots in all.
    pub fn slots(&self) -> usize {
        self.peers.len() * self.window
    }

    /// Sends `ask` in a slot that is free, with the next [`Load::flush`].
    pub fn send(&mut self, slot: usize, ask: Ask) {
        let peer = &mut self.peers[slot / self.window];
        let place = slot % self.window;
        let flying = &mut peer.slots[place].flying;
        assert!(flying.is_none(), "slot {slot} is in use");
        // The Message ID names the slot, so that an answer finds it without a search.
        let round = peer.message_id.wrapping_add(1);
        peer.message_id = round;
        let per_slot = u16::MAX / self.window as u16;
        let message_id = place as u16 * per_slot + round % per_slot;
        self.token = self.token.wrapping_add(1);
        let datagram = ask.encode(message_id, self.token);
        *flying = Some((message_id, datagram, Instant::now()));
        peer.staged.push(place);
    }

    /// Sends what [`Load::send`] was given.
    pub fn flush(&mut self) {
        self.peers.iter_mut().for_each(Peer::flush);
    }

    /// Forgets what is in flight.
    pub fn give_up(&mut self) {
        for peer in &mut self.peers {
            peer.staged.clear();
            for slot in &mut peer.slots {
                slot.flying = None;
            }
        }
    }

    /// Takes what has arrived: every answer with its slot. Waits `wait` at most if there is
    /// nothing.
    pub fn receive(&mut self, wait: Duration, answered: &mut dyn FnMut(usize, &[u8])) {
        self.flush();
        for number in self.wait(wait) {
            self.receive_from(number, answered);
        }
    }

    /// Takes what has arrived at one peer, [`BATCH`] datagrams at most.
    fn receive_from(&mut self, number: usize, answered: &mut dyn FnMut(usize, &[u8])) {
        let Peer { socket, slots, .. } = &mut self.peers[number];
        let mut headers = MultiHeaders::<SockaddrIn6>::preallocate(BATCH, None);
        let mut buffers: Vec<_> = (self.buffer.chunks_exact_mut(LONGEST))
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let fd = socket.as_raw_fd();
        let received = match recvmmsg(fd, &mut headers, &mut buffers, flags, None) {
            Ok(received) => received,
            // The server is dead at the moment.
            Err(Errno::ECONNREFUSED | Errno::EAGAIN) => return,
            Err(error) => panic!("receive: {error}"),
        };
        let per_slot = u16::MAX / self.window as u16;
        for datagram in received {
            let message = datagram.iovs().next().expect("a message");
            let [first, code, high, low] = message[..4] else {
                panic!("{} bytes are no message", message.len());
            };
            if first & 0x30 == 0 && code < 32 {
                // A confirmable request: the server passes a binding on. 2.04.
                let mut answer = vec![0x60 | (first & 15), 0x44, high, low];
                answer.extend(&message[4..4 + usize::from(first & 15)]);
                let _ = socket.send(&answer);
                continue;
            }
            let id = u16::from_be_bytes([high, low]);
            let place = usize::from(id / per_slot);
            if let Some(slot) = slots.get_mut(place)
                && slot.flying.as_ref().is_some_and(|flying| flying.0 == id)
            {
                slot.flying = None;
                answered(number * self.window + place, message);
            }
        }
    }

    /// Waits until something has arrived; at which peers.
    fn wait(&self, wait: Duration) -> Vec<usize> {
        let mut fds: Vec<_> = (self.peers.iter())
            .map(|peer| PollFd::new(peer.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let millis = u16::try_from(wait.as_millis()).unwrap_or(u16::MAX);
        poll(&mut fds, PollTimeout::from(millis)).expect("poll");
        let some = |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
        (0..fds.len()).filter(|n| some(&fds[*n])).collect()
    }

    /// Sends again what has waited too long.
    pub fn send_again(&mut self) {
        let now = Instant::now();
        for peer in &mut self.peers {
            for (place, slot) in peer.slots.iter_mut().enumerate() {
                if let Some((_, _, sent)) = &mut slot.flying
                    && now.duration_since(*sent) > SEND_AGAIN
                {
                    *sent = now;
                    self.resent += 1;
                    peer.staged.push(place);
                }
            }
        }
        self.flush();
    }

    /// Makes `count` requests, `ask(n)` the n-th, each answered with a success; returns how long
    /// that took.
    pub fn run(&mut self, count: u64, ask: &mut dyn FnMut(u64) -> Ask) -> Duration {
        let began = Instant::now();
        let mut looked = began;
        let (mut sent, mut done) = (0, 0);
        for slot in 0..self.slots().min(count as usize) {
            self.send(slot, ask(sent));
            sent += 1;
        }
        let mut free = Vec::new();
        while done < count {
            self.receive(Duration::from_millis(100), &mut |slot, message| {
                assert_eq!(message[1] >> 5, 2, "refused: {message:02x?}");
                free.push(slot);
            });
            for slot in free.drain(..) {
                done += 1;
                if sent < count {
                    self.send(slot, ask(sent));
                    sent += 1;
                }
            }
            if looked.elapsed() > SEND_AGAIN / 4 {
                looked = Instant::now();
                self.send_again();
            }
        }
        began.elapsed()
    }
}
