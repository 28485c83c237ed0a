//! A handover for any mobility protocol, as pure state machines.
//!
//! Owns when a node leaves a router, for which other one, and in which order the steps follow
//! ([`Sequencer`]); the seam to the protocol that makes the new address known ([`Mobility`]); the
//! events of both ([`Event`], [`BindingEvent`]); and the registers that say what a node hears of
//! each router ([`signal`]). Must not know a protocol's messages or phases: one that has others hold
//! back what they send, one that registers at a home agent and one that tells nobody are the same to
//! it. Nor does it know sockets, clocks, radios, neighbour discovery, DHCPv6 or the testbed:
//! instants, signals and completions come in, commands, deadlines and events are polled.
//!
//! A node walks from one router to the next, and tells nobody:
//!
//! ```
//! use handover::{
//!     Candidate, Command, Config, Event, Mobility, NoMobility, Sequencer, Signal, Trigger,
//! };
//! use std::net::Ipv6Addr;
//! use std::time::Duration;
//! use units::{Channel, Db, Dbm, PanId, SimTime};
//!
//! let candidate = |router: &str, channel, pan| Candidate {
//!     router: router.into(),
//!     channel: Channel::try_from(channel).unwrap(),
//!     pan_id: PanId(pan),
//! };
//! let (er1, er2) = (candidate("er1", 15, 1), candidate("er2", 20, 2));
//! let hears = |router: &Candidate, dbm| Signal {
//!     channel: router.channel,
//!     pan_id: router.pan_id,
//!     rssi: Some(Dbm(dbm)),
//! };
//! let mut node = Sequencer::new(Config {
//!     candidates: vec![er1.clone(), er2.clone()],
//!     serving: 0,
//!     trigger: Trigger {
//!         threshold: Dbm(-85.0),
//!         hysteresis: Db(3.0),
//!         samples: 1,
//!         sample_every: Duration::from_millis(100),
//!     },
//!     scan: None, // it hears all channels at once
//!     dad: false,
//! });
//! let mut protocol = NoMobility::new();
//! let new_address: Ipv6Addr = "2001:db8:2::5".parse().unwrap();
//! let now = SimTime::ZERO;
//!
//! node.handle_signal(now, hears(&er2, -60.0));
//! node.handle_signal(now, hears(&er1, -90.0));
//! while let Some(command) = node.poll_command() {
//!     match command {
//!         Command::Prepare => protocol.prepare(now),
//!         Command::Retune { .. } => node.link_ready(now), // and the radio is there already
//!         Command::Solicit => node.router_advertised(now),
//!         Command::AcquireAddress => node.address_acquired(now, new_address),
//!         Command::Bind { address } => protocol.bind(now, address),
//!         other => unreachable!("{other:?}"),
//!     }
//!     while let Some(step) = protocol.poll_step() {
//!         node.handle_step(now, step);
//!     }
//! }
//! let completed = Event::Completed {
//!     handover: 1,
//!     to: "er2".into(),
//!     t_addr: new_address,
//! };
//! assert!(std::iter::from_fn(|| node.poll_event()).any(|event| event == completed));
//! assert_eq!(node.serving(), 1);
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`sequencer`] | [`Sequencer`]: when to leave a router, for which other one, and what comes next |
//! | [`mobility`] | [`Mobility`]: the seam to a mobility protocol, and [`NoMobility`] |
//! | [`event`] | [`Event`]: what a node tells of its handovers |
//! | [`phase`] | [`Phase`]: a phase by its name |
//! | [`binding`] | [`BindingEvent`]: what becomes known of where a node is |
//! | [`signal`] | [`signal::Registers`]: what a node hears of each router |

#![forbid(unsafe_code)]

pub mod binding;
pub mod event;
pub mod mobility;
pub mod phase;
pub mod sequencer;
pub mod signal;

pub use binding::BindingEvent;
pub use event::{Event, Reason};
pub use mobility::{Mobility, NoMobility, Step};
pub use phase::Phase;
pub use sequencer::{Candidate, Command, Config, EarlyScan, Scan, Sequencer, Trigger};
pub use signal::Signal;
