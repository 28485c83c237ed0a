//! The table of the WMMS in PostgreSQL, for several instances that share its nodes.
//!
//! Owns which instance serves which P_Addr, what instances send each other, and the tables. Must not know CoMP's
//! procedures.
//!
//! What is acknowledged is committed, with a synchronous standby on two machines; an instance whose shards another one
//! has taken over can write nothing ([`Store`](wmms_store::Store) and fence: [`Postgres`]).
//!
//! ```
//! use wmms_postgres::Shard;
//!
//! // Everybody who knows the same instances asks the same one.
//! let shard = Shard::of("2001:db8::5".parse().unwrap());
//! let owner = shard.owner(["a", "b", "c"]).unwrap();
//! assert_eq!(shard.owner(["c", "a", "b"]), Some(owner));
//! // When another one leaves, the shard stays where it is.
//! let left = ["a", "b", "c"].into_iter().filter(|name| *name == owner || *name == "a");
//! assert_eq!(shard.owner(left), Some(owner));
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`Shard`] | which part of the nodes a P_Addr is in, and whose (pure) |
//! | [`Watch`] | who lives, and what follows for the shards (pure) |
//! | [`Frame`] | a datagram between two instances (pure) |
//! | [`Sharded`] | a [`Durable`](wmms_store::Durable) that serves its shards and forwards the rest (pure) |
//! | `recent` | what was said last (pure) |
//! | `rows` | a group of changes as rows, and the statement that writes it (pure) |
//! | [`Settings`] | the file that names the database and the instances |
//! | `connect` | a connection, and the tables |
//! | [`Postgres`] | the store |
//! | [`instance`] | all of it on a socket and a clock |
//! | [`Membership`] | beats, claims, and shards that are left to others |

#![forbid(unsafe_code)]

mod connect;
mod error;
mod frame;
pub mod instance;
mod membership;
mod recent;
mod rows;
mod settings;
mod shard;
mod sharded;
mod store;
mod watch;

pub use error::{PostgresError, VERSION};
pub use frame::{Frame, Kind, Secret};
pub use membership::{BEATS, Membership, View};
pub use rows::Rows;
pub use settings::{Settings, SettingsError};
pub use shard::{SHARDS, Shard};
pub use sharded::{Place, Sharded};
pub use store::{Epochs, Postgres, PostgresWriter};
pub use watch::{Duty, Watch};
