//! The table of the WMMS made durable: kill -9 at any instant loses no acknowledged binding.
//!
//! Owns the form of an entry on disk and the rule that an answer leaves only after what it
//! acknowledges is written. Must not know sockets, clocks or CoMP's procedures: the
//! [`comp::wmms::Wmms`] says what has changed, [`Durable`] has it written.
//!
//! ```
//! use comp::codec::Lifetime;
//! use comp::mmt::Mmt;
//! use comp::Limits;
//! use store::{Journal, Store};
//! use units::SimTime;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("wmms.redb");
//! let (p_addr, t_addr) = ("2001:db8::5".parse()?, "2001:db8:1::5".parse()?);
//!
//! let mut store = Journal::open(&path)?;
//! let mut mmt = Mmt::new(Limits::default());
//! mmt.bind(SimTime::ZERO, p_addr, t_addr, Lifetime(600), t_addr);
//! let changes = mmt.take_changes();
//! store.commit(&mmt, &changes)?;
//! drop(store);
//!
//! let mut mmt = Mmt::new(Limits::default());
//! Journal::open(&path)?.load(&mut mmt)?;
//! assert_eq!(mmt.get(p_addr).map(|entry| entry.t_addr), Some(t_addr));
//! # Ok(())
//! # }
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`Journal`] | the store of a WMMS on one machine: a journal in one crash-safe file |
//! | [`Durable`] | a [`Wmms`](comp::wmms::Wmms) whose answers wait for its [`Store`] |
//! | `record` | an entry as bytes |

mod durable;
mod journal;
mod record;

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use comp::mmt::Mmt;

pub use durable::{Durable, Event};
pub use journal::{Journal, JournalError, VERSION};

/// Where a WMMS keeps its table. One writer; what was committed survives the writer.
pub trait Store {
    /// Why it cannot.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Puts every entry that was committed into `table`, through [`Mmt::restore`].
    ///
    /// # Errors
    /// When the store cannot be read or holds what it cannot have written.
    fn load(&mut self, table: &mut Mmt) -> Result<(), Self::Error>;

    /// Makes durable what `table` holds now for each P_Addr of `changed`; a P_Addr that is not
    /// in the table is removed. All of it or nothing. The rest of `table` is what was committed
    /// before. Returns when a crash, of the program or of the machine, cannot undo it.
    ///
    /// # Errors
    /// When it cannot be written; the store is not to be used again then.
    fn commit(&mut self, table: &Mmt, changed: &BTreeSet<Ipv6Addr>) -> Result<(), Self::Error>;
}
