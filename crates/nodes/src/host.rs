//! What every part of a daemon is given: events out, names, randomness, the clock.

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result};
use driver::Udp;
use rundir::EventKind;
use units::Seed;

pub(crate) use crate::events::Events;
pub(crate) use driver::{instant, now};
pub(crate) use machine::earlier;

/// Names of a node's interfaces; the testbed uses the defaults.
#[derive(Clone, Debug)]
pub struct Interfaces {
    /// The radio.
    pub wpan: String,
    /// Its 6LoWPAN interface.
    pub lowpan: String,
}

impl Default for Interfaces {
    fn default() -> Interfaces {
        Interfaces {
            wpan: "wpan0".into(),
            lowpan: "lowpan0".into(),
        }
    }
}

/// A database that several daemons share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The file that names it.
    pub settings: PathBuf,
    /// Which of the daemons this is.
    pub instance: String,
}

/// What a part of a daemon is given.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) seed: Seed,
    /// How often the node crashed before.
    pub(crate) crashes: u32,
    /// Outside a run: what nobody knows, drawn for this life of the daemon.
    pub(crate) entropy: Option<Seed>,
    pub(crate) events: Events,
    pub(crate) interfaces: Interfaces,
    /// Directory of what outlives the daemon.
    pub(crate) state: PathBuf,
    /// The database, if what outlives the daemon is to be there.
    pub(crate) shared: Option<Shared>,
    /// Parts that are not ready yet.
    pub(crate) unready: Rc<Cell<usize>>,
}

impl Host {
    /// The generator of this node for `purpose`, which the seed decides, also outside a run: for what
    /// a service does. After a crash it is another one.
    pub(crate) fn rng(&self, purpose: &str) -> units::Rng {
        let life = format!("after crash {}", self.crashes);
        match self.crashes {
            0 => self.seed.rng(&["node", &self.name, purpose]),
            _ => self.seed.rng(&["node", &self.name, purpose, &life]),
        }
    }

    /// The generator of a protocol. In a run the seed decides, for each life of the node. Outside a
    /// run nobody counts lives, and strangers may know the plan: it is the operating system's. A
    /// Message ID MUST NOT be used again within EXCHANGE_LIFETIME (RFC 7252 §4.4), and a node that
    /// has lost its state cannot know which ones it used.
    pub(crate) fn protocol_rng(&self, purpose: &str) -> units::Rng {
        match self.entropy {
            None => self.rng(purpose),
            Some(entropy) => entropy.rng(&["node", &self.name, purpose]),
        }
    }

    /// Whether the daemon is not part of a run: there are strangers.
    pub(crate) fn is_alone(&self) -> bool {
        self.entropy.is_some()
    }

    /// A socket of the daemon's, among strangers if there are any: in a run there are none.
    ///
    /// # Errors
    /// As [`Udp::among_strangers`].
    pub(crate) fn socket(&self, socket: Udp) -> Result<Udp> {
        match self.is_alone() {
            true => socket.among_strangers().context("filter of a socket"),
            false => Ok(socket),
        }
    }

    /// A part is ready: to be said once by each. The node is when the last one is.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) fn part_is_ready(&self) -> Result<()> {
        let left = self.unready.get().saturating_sub(1);
        self.unready.set(left);
        match left {
            0 => self.events.report(EventKind::Ready),
            _ => Ok(()),
        }
    }
}

/// What the operating system's generator gives (random(4)).
///
/// # Errors
/// When it is not to be had.
pub(crate) fn entropy() -> Result<Seed> {
    let mut bytes = [0; 8];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.context("/dev/urandom")?;
    Ok(Seed(u64::from_be_bytes(bytes)))
}

/// For tests: the host of a node that keeps what outlives it in `state`.
#[cfg(test)]
pub(crate) fn stand_in(name: &str, state: &std::path::Path, crashes: u32) -> Host {
    Host {
        name: name.into(),
        seed: Seed(1),
        crashes,
        entropy: None,
        events: Events::new(name).unwrap(),
        interfaces: Interfaces::default(),
        state: state.to_owned(),
        unready: Rc::new(Cell::new(0)),
        shared: None,
    }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng as _;

    use super::*;

    fn host(crashes: u32, entropy: Option<Seed>) -> Host {
        Host {
            name: "wall".into(),
            seed: Seed(7),
            crashes,
            entropy,
            events: Events::new("wall").unwrap(),
            interfaces: Interfaces::default(),
            state: PathBuf::new(),
            shared: None,
            unready: Rc::new(Cell::new(0)),
        }
    }

    #[test]
    fn in_a_run_the_seed_decides_and_every_life_has_a_stream_of_its_own() {
        let first = |crashes| host(crashes, None).protocol_rng("coap").next_u64();
        assert_eq!(first(0), Seed(7).rng(&["node", "wall", "coap"]).next_u64());
        assert_eq!(first(1), first(1));
        assert!(first(0) != first(1) && first(1) != first(2));
    }

    #[test]
    fn outside_a_run_no_life_is_like_another_and_services_follow_the_seed() {
        let lives: Vec<Host> = (0..2).map(|_| host(0, Some(entropy().unwrap()))).collect();
        let [one, other] = lives.as_slice() else {
            panic!("two")
        };
        let first = |host: &Host| host.protocol_rng("coap").next_u64();
        assert_ne!(first(one), first(other));
        assert_ne!(first(one), host(0, None).protocol_rng("coap").next_u64());
        assert_eq!(one.rng("polls").next_u64(), other.rng("polls").next_u64());
    }
}
