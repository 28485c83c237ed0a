//! The table of the WMMS made durable: kill -9 at any instant loses no acknowledged binding.
//!
//! Owns the form of an entry on disk and the rule that an answer leaves only after what it
//! acknowledges is written. Must not know sockets or CoMP's procedures: the
//! [`comp::wmms::Wmms`] says what has changed, [`Durable`] has it written.
//!
//! ```
//! use comp::codec::Lifetime;
//! use comp::mmt::Mmt;
//! use comp::Limits;
//! use wmms_store::{Journal, Store, Writer};
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
//! let group = store.group(&mmt, &changes);
//! store.writer().commit(group)?;
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
//! | [`Notice`] | what is wrong with a store that can be used all the same |
//! | `mark` | what was acknowledged last, beside the store |
//! | `patient` | a disk that refuses is asked again |
//! | [`record`] | an entry as bytes |
//! | [`WriterThread`] | who writes while the WMMS goes on |
//! | [`patience()`] | that a store cannot be written is said, and it is tried again |

#![forbid(unsafe_code)]

mod durable;
mod error;
mod journal;
mod mark;
mod patient;
pub mod record;
mod thread;
mod waiting;

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use comp::mmt::Mmt;

pub use durable::{Durable, Event, MAX_HELD};
pub use error::{JournalError, Notice};
pub use journal::{Journal, JournalWriter, Segment, VERSION};
pub use patient::Patience;
pub use thread::{Unwritten, WriterThread};
pub use waiting::{Stop, patience};

/// Where a WMMS keeps its table. One writer; what was committed survives the writer.
///
/// What takes processor time ([`Store::group`]) and what waits for a disk ([`Writer::commit`])
/// are apart, so that a WMMS can go on while a group is written.
pub trait Store {
    /// Why it cannot.
    type Error: std::error::Error + Send + Sync + 'static;
    /// What one commit makes durable: a copy, so that the table may go on changing.
    type Group: Send + 'static;
    /// Who writes.
    type Writer: Writer<Group = Self::Group, Error = Self::Error>;

    /// Puts every entry that was committed into `table`, through [`Mmt::restore`].
    ///
    /// # Errors
    /// When the store cannot be read or holds what it cannot have written.
    fn load(&mut self, table: &mut Mmt) -> Result<(), Self::Error>;

    /// Takes what `table` holds now for each P_Addr of `changed`; a P_Addr that is not in the
    /// table is to be removed. The rest of `table` is what earlier groups say.
    fn group(&mut self, table: &Mmt, changed: &BTreeSet<Ipv6Addr>) -> Self::Group;

    /// The one who writes the groups.
    fn writer(&self) -> Self::Writer;
}

/// Makes groups durable, in the order in which [`Store::group`] gave them.
pub trait Writer: Send + 'static {
    /// What it writes.
    type Group;
    /// Why it cannot.
    type Error;

    /// Writes a group, all of it or nothing. Returns when a crash, of the program or of the
    /// machine, cannot undo it.
    ///
    /// # Errors
    /// When it cannot be written; the store is not to be used again then.
    fn commit(&mut self, group: Self::Group) -> Result<(), Self::Error>;
}
