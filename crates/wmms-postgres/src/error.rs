//! Why the database cannot be used.

use std::error::Error as _;

use wmms_store::Unwritten;

use crate::settings::SettingsError;
use crate::shard::SHARDS;

/// Version of the tables. Another one is refused.
pub const VERSION: i32 = 1;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The settings are wrong.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// It is away, refuses, or says that it cannot.
    #[error("{place}: {reason}")]
    Database {
        /// Where it is.
        place: String,
        /// What it or the connection says.
        reason: String,
        /// Whether it may be better soon: it is away, starts, stops or is a standby.
        passing: bool,
    },
    /// The tables are those of another version.
    #[error(
        "{place}: the tables have version {version} and {shards} shards, this program uses version \
         {VERSION} and {SHARDS}: use the program that made them, or another database"
    )]
    Version {
        /// Where it is.
        place: String,
        /// Its version.
        version: i32,
        /// Its shards.
        shards: i32,
    },
    /// Another daemon has the name of this instance.
    #[error(
        "{place}: another daemon is instance {instance}: stop it, or give this one another name"
    )]
    InUse {
        /// Where the database is.
        place: String,
        /// The name.
        instance: String,
    },
    /// Other instances have taken over shards of this one, which may write nothing any more.
    #[error("{place}: shards of instance {instance} have another owner by now")]
    Superseded {
        /// Where the database is.
        place: String,
        /// The name.
        instance: String,
    },
    /// A row is not what this program writes.
    #[error(
        "{place}: the entry of {p_addr} is damaged: delete its row, and the node will register again"
    )]
    Damaged {
        /// Where it is.
        place: String,
        /// Whose entry, as far as it can be read.
        p_addr: String,
    },
    /// What writes has ended without a word of the database's.
    #[error("the store's thread has ended: its last words are above")]
    WriterEnded,
    /// There can be no runtime for the connection.
    #[error("a runtime for the database: {0}")]
    Runtime(std::io::Error),
}

impl From<Unwritten<PostgresError>> for PostgresError {
    fn from(unwritten: Unwritten<PostgresError>) -> PostgresError {
        match unwritten {
            Unwritten::Store(error) => error,
            Unwritten::Ended => PostgresError::WriterEnded,
        }
    }
}

impl PostgresError {
    /// Whether it is to be tried again.
    pub fn is_passing(&self) -> bool {
        matches!(self, PostgresError::Database { passing: true, .. })
    }

    pub(crate) fn of(place: &str, error: &tokio_postgres::Error) -> PostgresError {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            reason = format!("{reason}: {error}");
            cause = error.source();
        }
        PostgresError::Database {
            place: place.to_owned(),
            reason,
            passing: is_passing(error),
        }
    }

    pub(crate) fn late(place: &str) -> PostgresError {
        PostgresError::Database {
            place: place.to_owned(),
            reason: "no answer within the lease".to_owned(),
            passing: true,
        }
    }
}

/// Whether an error is of the kind that goes away: no word from the server, or one of the classes (PostgreSQL,
/// appendix A) of connections, transactions that are to be repeated, resources and interventions; 25006 is
/// what a standby says.
fn is_passing(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        None => true,
        Some(state) => {
            let state = state.code();
            ["08", "40", "53", "55", "57", "58"].contains(&&state[..2]) || state == "25006"
        }
    }
}
