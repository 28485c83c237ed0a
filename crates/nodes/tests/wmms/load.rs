//! Load for a CoAP server on loopback: peers with a window each, on one thread.
//!
//! The datagrams are put together by hand, so that neither our encoder nor its speed is part of
//! what is measured or tested.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// ACK_TIMEOUT of RFC 7252 §4.8: a request without an answer is sent again.
const SEND_AGAIN: Duration = Duration::from_secs(2);

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// POST, P_Addr, T_Addr, Lifetime 65535.
    Register(Ipv6Addr, Ipv6Addr),
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
            Ask::Register(..) => 2,
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
            Ask::Register(p, t) => (&[2], p, Some(t)),
            Ask::Deregister(p) => (&[3], p, None),
        };
        option(11, b"comp");
        option(2048, procedure);
        option(2049, &p_addr.octets());
        if let Some(t_addr) = t_addr {
            option(2050, &t_addr.octets());
            option(2051, &[0xff, 0xff]);
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
}

/// Peers that keep a window of requests in flight. A slot is one place in a window, numbered
/// through all peers.
#[derive(Debug)]
pub struct Load {
    peers: Vec<Peer>,
    window: usize,
    token: u32,
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
            }
        };
        Load {
            peers: (0..peers).map(peer).collect(),
            window,
            token: 0,
            resent: 0,
        }
    }

    /// Slots in all.
    pub fn slots(&self) -> usize {
        self.peers.len() * self.window
    }

    /// Sends `ask` in a slot that is free.
    pub fn send(&mut self, slot: usize, ask: Ask) {
        let peer = &mut self.peers[slot / self.window];
        let place = &mut peer.slots[slot % self.window];
        assert!(place.flying.is_none(), "slot {slot} is in use");
        // The Message ID names the slot, so that an answer finds it without a search.
        let round = peer.message_id.wrapping_add(1);
        peer.message_id = round;
        let per_slot = u16::MAX / self.window as u16;
        let message_id = (slot % self.window) as u16 * per_slot + round % per_slot;
        self.token = self.token.wrapping_add(1);
        let datagram = ask.encode(message_id, self.token);
        // A full buffer is a lost datagram, which is sent again.
        let _ = peer.socket.send(&datagram);
        place.flying = Some((message_id, datagram, Instant::now()));
    }

    /// Forgets what is in flight.
    pub fn give_up(&mut self) {
        for peer in &mut self.peers {
            for slot in &mut peer.slots {
                slot.flying = None;
            }
        }
    }

    /// Takes what has arrived: every answer with its slot. Waits `wait` at most if there is
    /// nothing.
    pub fn receive(&mut self, wait: Duration, answered: &mut dyn FnMut(usize, &[u8])) {
        let mut buffer = [0; 2048];
        let per_slot = u16::MAX / self.window as u16;
        let mut some = false;
        for (number, peer) in self.peers.iter_mut().enumerate() {
            loop {
                let length = match peer.socket.recv(&mut buffer) {
                    Ok(length) => length,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // The server is dead at the moment.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                    Err(error) => panic!("receive: {error}"),
                };
                some = true;
                let message = &buffer[..length];
                let [first, code, high, low] = message[..4] else {
                    panic!("{length} bytes are no message");
                };
                if first & 0x30 == 0 && code < 32 {
                    // A confirmable request: the server passes a binding on. 2.04.
                    let mut answer = vec![0x60 | (first & 15), 0x44, high, low];
                    answer.extend(&message[4..4 + usize::from(first & 15)]);
                    let _ = peer.socket.send(&answer);
                    continue;
                }
                let id = u16::from_be_bytes([high, low]);
                let place = usize::from(id / per_slot);
                let slot = peer.slots.get_mut(place);
                if let Some(slot) = slot
                    && slot.flying.as_ref().is_some_and(|flying| flying.0 == id)
                {
                    slot.flying = None;
                    answered(number * self.window + place, message);
                }
            }
        }
        if !some {
            self.wait(wait);
        }
    }

    fn wait(&mut self, wait: Duration) {
        let mut fds: Vec<_> = (self.peers.iter())
            .map(|peer| PollFd::new(peer.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let millis = u16::try_from(wait.as_millis()).unwrap_or(u16::MAX);
        poll(&mut fds, PollTimeout::from(millis)).expect("poll");
    }

    /// Sends again what has waited too long.
    pub fn send_again(&mut self) {
        let now = Instant::now();
        for peer in &mut self.peers {
            for slot in &mut peer.slots {
                if let Some((_, datagram, sent)) = &mut slot.flying
                    && now.duration_since(*sent) > SEND_AGAIN
                {
                    *sent = now;
                    self.resent += 1;
                    let _ = peer.socket.send(datagram);
                }
            }
        }
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
