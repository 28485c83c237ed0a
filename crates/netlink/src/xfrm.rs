//! The kernel's IPsec framework (xfrm) as Mobile IPv6 uses it: the Home Address option and the type 2
//! routing header on a node's packets (RFC 6275 §11.3.1, §9.3.2), and ESP around Mobility Headers
//! (RFC 4877 §4).
//!
//! A state says which care-of address the header of a pair of addresses has, an association with which key
//! packets are protected, a policy which packets have what. Every method is done when it returns. Six
//! messages of fixed layout, which are written here by hand: no crate is needed for them, and iproute2's
//! bytes are their judge.
//!
//! The policies with the least priority number come first. Two nodes that are at work together have
//!
//! | at | states | policies |
//! | --- | --- | --- |
//! | home agent, correspondent | [`State::any`] of the option | in: [`Upper::Mobility`] that may have the option |
//! | mobile node | [`State::any`] of the routing header | in: everything with the routing header |
//! | correspondent, per binding | routing header to the node, option from it | out and in, the same |
//! | mobile node, per correspondent | option to the correspondent | out, the same |
//! | home agent, per protected home address | an [`Association`] each way | in: [`Upper::Mobility`] from it with ESP and the option; out: to it with ESP |
//! | that mobile node | the same two, outgoing from anybody | out: [`Upper::Mobility`] to the agent with ESP; in: from the agent with ESP and the routing header |

mod message;

use std::fmt;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use rtnetlink::sys::protocols::NETLINK_XFRM;
use rtnetlink::sys::{Socket, SocketAddr};
use tokio::io::unix::AsyncFd;

use crate::direct::Direct;
use crate::error::{Errno, Error, Failure, Result};
use message::Request;

/// `XFRMNLGRP_REPORT` (`linux/xfrm.h`).
const REPORTS: u32 = 6;

/// An extension header that a state puts on packets, and takes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// The Home Address option: the care-of address is the source on the wire.
    HomeAddress,
    /// The type 2 routing header: the care-of address is the destination on the wire.
    Routing,
}

/// The care-of address of packets between two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Which header it is about.
    pub extension: Extension,
    /// Who sends them; with the option, the home address.
    pub source: Ipv6Addr,
    /// Who gets them; with the routing header, the home address.
    pub destination: Ipv6Addr,
    /// The care-of address.
    pub care_of: Ipv6Addr,
}

impl State {
    /// What takes the header off packets of anybody, whatever the care-of address is: for messages that
    /// come before there is a binding. It puts none on.
    pub const fn any(extension: Extension) -> State {
        State {
            extension,
            source: Ipv6Addr::UNSPECIFIED,
            destination: Ipv6Addr::UNSPECIFIED,
            care_of: Ipv6Addr::UNSPECIFIED,
        }
    }

    fn is_any(&self) -> bool {
        self.source.is_unspecified() && self.destination.is_unspecified()
    }
}

/// A security association (RFC 4301 §4.1): packets one way, with ESP in transport mode (RFC 4303) without
/// encryption (RFC 2410) and with HMAC-SHA-256-128 (RFC 4868 §2.6). Its key is static, so that no replay is
/// told (RFC 4303 §3.3.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Association {
    /// Who sends them; `::` of those that leave: whatever their source is, which is the care-of address of
    /// what leaves with a Home Address option.
    pub source: Ipv6Addr,
    /// Who gets them; with a routing header, the home address.
    pub destination: Ipv6Addr,
    /// Security Parameters Index, from 256 on (RFC 4303 §2.1).
    pub spi: u32,
    /// The key of HMAC-SHA-256.
    pub key: [u8; 32],
}

impl fmt::Debug for Association {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Association {
            source,
            destination,
            spi,
            ..
        } = self;
        write!(f, "ESP {spi:#x} from {source} to {destination}")
    }
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To this node.
    In,
    /// From it.
    Out,
}

/// What is in packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upper {
    /// Anything.
    Any,
    /// A Mobility Header. Of which type cannot be said: of what comes in Linux before 6.7 knows it only behind an
    /// extension header, and later ones do not know it at all.
    Mobility,
}

/// Packets, by what they are between the headers: a home address counts, not the care-of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Who sends them.
    pub source: Ipv6Net,
    /// Who gets them.
    pub destination: Ipv6Net,
    /// What is in them.
    pub upper: Upper,
}

impl Selector {
    /// Packets of anybody to anybody.
    pub fn all(upper: Upper) -> Selector {
        let any = Ipv6Net::default();
        Selector {
            source: any,
            destination: any,
            upper,
        }
    }

    /// Packets between two addresses, whatever is in them.
    pub fn between(source: Ipv6Addr, destination: Ipv6Addr) -> Selector {
        Selector {
            source: source.into(),
            destination: destination.into(),
            upper: Upper::Any,
        }
    }
}

/// Which packets have, or may have, a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which way they go.
    pub direction: Direction,
    /// Which they are.
    pub selector: Selector,
    /// The header, where there is a state for it; `None`: they have none, or bring it along.
    pub extension: Option<Extension>,
    /// The SPI of the association that they are protected by, without which none comes and none leaves; it
    /// is within the header.
    pub protection: Option<u32>,
    /// Of several policies for a packet the one with the least counts.
    pub priority: u32,
}

/// A connection to xfrm in the calling thread's namespace.
#[derive(Debug)]
pub struct Xfrm {
    netlink: Direct,
}

impl Xfrm {
    /// Connects.
    ///
    /// # Errors
    /// When there is no such socket: the module `xfrm_user` is not loaded.
    pub fn open() -> Result<Xfrm> {
        let netlink = Direct::open(NETLINK_XFRM).map_err(not_opened)?;
        Ok(Xfrm { netlink })
    }

    /// Deletes all states and all policies of the namespace. Equals `ip xfrm policy flush` and
    /// `ip xfrm state flush`.
    pub fn flush(&mut self) -> Result<()> {
        for request in [Request::flush_policies(), Request::flush_states()] {
            match self.ask(&request) {
                // There is none.
                Err(failure) if failure.is(Errno::ESRCH) => {}
                done => done.map_err(|failure| failure.at("xfrm", "flush", &[]))?,
            }
        }
        Ok(())
    }

    /// Adds a state, or changes the care-of address of the one with these addresses. Equals
    /// `ip xfrm state add|update src SOURCE dst DESTINATION proto hao|route2 mode ro coa CARE-OF`, with
    /// `flag wildrecv` for [`State::any`].
    pub fn put_state(&mut self, state: &State) -> Result<()> {
        let done = match self.ask(&Request::update_state(state)) {
            Err(failure) if failure.is(Errno::ESRCH) => self.ask(&Request::new_state(state)),
            done => done,
        };
        done.map_err(|failure| failure.at("xfrm", format_args!("put {state:?}"), &[]))
    }

    /// Adds an association, or leaves the one with this destination and SPI as it is. Equals `ip xfrm state add
    /// src SOURCE dst DESTINATION proto esp spi SPI mode transport auth-trunc 'hmac(sha256)' KEY 128 enc
    /// 'ecb(cipher_null)' ''`.
    ///
    /// # Errors
    /// Those of the kernel, with the name of a module that it lacks.
    pub fn put_association(&mut self, association: &Association) -> Result<()> {
        let done = match self.ask(&Request::update_association(association)) {
            Err(failure) if failure.is(Errno::ESRCH) => {
                self.ask(&Request::new_association(association))
            }
            done => done,
        };
        let operation = format_args!("put {association:?}");
        done.map_err(|failure| failure.at("xfrm", operation, &LACKING))
    }

    /// Deletes the state of these addresses, if there is one. Equals `ip xfrm state delete …`.
    pub fn delete_state(&mut self, state: &State) -> Result<()> {
        let done = self.ask(&Request::delete_state(state));
        absent_is_deleted(done, "state", state)
    }

    /// Adds a policy, or replaces the one with this direction and this selector. Equals `ip xfrm policy
    /// update dir … src … dst … priority … tmpl proto esp spi … mode transport tmpl proto hao|route2 mode ro
    /// level use`.
    pub fn put_policy(&mut self, policy: &Policy) -> Result<()> {
        let done = self.ask(&Request::update_policy(policy));
        done.map_err(|failure| failure.at("xfrm", format_args!("put {policy:?}"), &[]))
    }

    /// Deletes the policy of a direction and a selector, if there is one. Equals
    /// `ip xfrm policy delete …`.
    pub fn delete_policy(&mut self, policy: &Policy) -> Result<()> {
        let done = self.ask(&Request::delete_policy(policy));
        absent_is_deleted(done, "policy", policy)
    }

    fn ask(&mut self, request: &Request) -> Result<(), Failure> {
        (self.netlink).request(request.kind, 0, &request.payload)
    }
}

/// Tells of packets that had a Home Address option and no state (RFC 6275 §9.3.1), other than Mobility
/// Headers: the kernel has dropped them.
#[derive(Debug)]
pub struct Reports {
    socket: AsyncFd<Socket>,
}

/// A packet that the kernel dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who sent it: the home address.
    pub source: Ipv6Addr,
    /// Where it came from: its source address on the wire.
    pub care_of: Ipv6Addr,
    /// Who should have got it.
    pub destination: Ipv6Addr,
}

impl Reports {
    /// Listens in the calling thread's namespace. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// When there is no such socket: the module `xfrm_user` is not loaded.
    pub fn open() -> Result<Reports> {
        let open = || -> std::io::Result<_> {
            let mut socket = Socket::new(NETLINK_XFRM)?;
            socket.bind(&SocketAddr::new(0, 0))?;
            socket.add_membership(REPORTS)?;
            socket.set_non_blocking(true)?;
            // SAFETY: the descriptor is the socket's own; it is open and the same until both go.
            Ok(unsafe { AsyncFd::register(socket) }?)
        };
        let socket = open().map_err(not_opened)?;
        Ok(Reports { socket })
    }

    /// Waits for the next report; messages that are none are skipped, and so are those for which the kernel
    /// had no room. Cancel-safe.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn next(&mut self) -> std::io::Result<Report> {
        loop {
            let mut ready = self.socket.readable().await?;
            match ready.try_io(|socket| socket.get_ref().recv_from_full()) {
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {}
                Ok(received) => {
                    if let Some(report) = message::report(&received?.0) {
                        return Ok(report);
                    }
                }
                Err(_would_block) => {}
            }
        }
    }
}

/// What a kernel lacks that has no such association.
const LACKING: [(Errno, &str); 3] = [
    (Errno::EPROTONOSUPPORT, "load the kernel module esp6"),
    (
        Errno::ENOSYS,
        "load the kernel modules hmac, sha256_generic and crypto_null",
    ),
    (Errno::ENOENT, "load the kernel module authenc"),
];

/// What a former daemon has not left need not be deleted. A policy that is not there is `ENOENT`.
fn absent_is_deleted(
    done: Result<(), Failure>,
    kind: &str,
    what: &dyn std::fmt::Debug,
) -> Result<()> {
    match done {
        Err(failure) if !failure.is(Errno::ESRCH) && !failure.is(Errno::ENOENT) => {
            Err(failure.at("xfrm", format_args!("delete {kind} {what:?}"), &[]))
        }
        _ => Ok(()),
    }
}

fn not_opened(error: std::io::Error) -> Error {
    let advice = [(Errno::EPROTONOSUPPORT, "load the kernel module xfrm_user")];
    match error.raw_os_error() {
        Some(code) => Failure::refused(-code, None).at("xfrm", "open a socket", &advice),
        None => Error::io("xfrm", "open a socket", error),
    }
}
