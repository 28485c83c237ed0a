//! The table in PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use comp::mmt::Mmt;
use tokio::runtime::Runtime;
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;
use wmms_store::{Patience, Store, Writer};

use crate::connect::{Connection, Database};
use crate::error::PostgresError;
use crate::rows::{Rows, WRITE};
use crate::settings::Settings;
use crate::shard::Shard;

/// The shards that an instance holds in one of its lives, with the epochs that it was given: whoever has another
/// one now has taken the shard over.
#[derive(Clone, Debug)]
pub struct Epochs {
    life: i64,
    of: Arc<Mutex<BTreeMap<Shard, i64>>>,
}

impl Epochs {
    pub(crate) fn of_life(life: i64) -> Epochs {
        Epochs {
            life,
            of: Arc::default(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<Shard, i64>> {
        // It is whole between two statements.
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shards.
    pub fn held(&self) -> BTreeSet<Shard> {
        self.lock().keys().copied().collect()
    }

    /// Those of `shards`; `None` if one is not held.
    fn those_of(&self, shards: &BTreeSet<Shard>) -> Option<(Vec<i32>, Vec<i64>)> {
        let epochs = self.lock();
        let both = |shard: &Shard| Some((shard.number(), *epochs.get(shard)?));
        shards.iter().map(both).collect()
    }
}

/// A [`Store`] of the shards that [`Epochs`] says.
#[derive(Debug)]
pub struct Postgres {
    database: Database,
    instance: String,
    epochs: Epochs,
    patience: Patient,
    ahead: fn() -> i64,
}

/// Who is asked when the database is away, until a writer takes it along.
#[derive(Default)]
struct Patient(Mutex<Option<Patience>>);

impl Patient {
    fn lock(&self) -> MutexGuard<'_, Option<Patience>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Patient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Patient")
            .field(&self.lock().is_some())
            .finish()
    }
}

impl Postgres {
    /// The store of the instance `name`, which holds nothing yet. Connects when it is written.
    ///
    /// # Errors
    /// When the settings are wrong.
    pub fn new(settings: &Settings, name: &str, epochs: Epochs) -> Result<Postgres, PostgresError> {
        Ok(Postgres {
            database: Database::of(settings)?,
            instance: name.to_owned(),
            epochs,
            patience: Patient::default(),
            ahead: || 0,
        })
    }

    /// As [`wmms_store::Journal::write_unix_time`].
    pub fn write_unix_time(&mut self, ahead: fn() -> i64) {
        self.ahead = ahead;
    }

    /// From now on `patience` is asked whenever the database is away, and what was not written is tried again as
    /// long as the answer is yes. To be called before [`Store::writer`].
    pub fn have_patience(&mut self, patience: Patience) {
        *self.patience.lock() = Some(patience);
    }
}

impl Store for Postgres {
    type Error = PostgresError;
    type Group = Rows;
    type Writer = PostgresWriter;

    /// Nothing: entries come with their shards ([`Membership::claim`](crate::Membership::claim)).
    fn load(&mut self, _: &mut Mmt) -> Result<(), PostgresError> {
        Ok(())
    }

    fn group(&mut self, table: &Mmt, changed: &BTreeSet<Ipv6Addr>) -> Rows {
        Rows::of(table, changed, (self.ahead)())
    }

    fn writer(&self) -> PostgresWriter {
        PostgresWriter {
            database: self.database.clone(),
            instance: self.instance.clone(),
            epochs: self.epochs.clone(),
            patience: self.patience.lock().take(),
            session: None,
        }
    }
}

/// Writes groups over a connection of its own, on the thread that calls it.
pub struct PostgresWriter {
    database: Database,
    instance: String,
    epochs: Epochs,
    patience: Option<Patience>,
    session: Option<Session>,
}

/// The connection before the runtime: it is dropped first.
#[derive(Debug)]
struct Session {
    connection: Connection,
    write: Statement,
    runtime: Runtime,
}

impl PostgresWriter {
    fn superseded(&self) -> PostgresError {
        PostgresError::Superseded {
            place: self.database.place.clone(),
            instance: self.instance.clone(),
        }
    }

    /// Connects, and raises the epochs of all shards that are held: what an earlier connection has sent and the server
    /// has not done yet comes too late.
    fn connect(&self) -> Result<Session, PostgresError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(PostgresError::Runtime)?;
        let held: Vec<i32> = self
            .epochs
            .lock()
            .keys()
            .map(|shard| shard.number())
            .collect();
        let (connection, write, raised) = runtime.block_on(async {
            let connection = self.database.connect().await?;
            // Raised before and not heard of: then it is raised once more.
            let raise = "UPDATE wmms_shard s SET epoch = s.epoch + 1 FROM wmms_instance i \
                         WHERE s.shard = ANY ($1) AND s.owner = $2 AND i.name = $2 AND i.life = $3 \
                         RETURNING s.shard, s.epoch";
            let parameters: [&(dyn ToSql + Sync); 3] = [&held, &self.instance, &self.epochs.life];
            let raised = connection.client.query(raise, &parameters).await;
            let raised = raised.map_err(self.database.error())?;
            let write = connection.client.prepare(WRITE).await;
            let write = write.map_err(self.database.error())?;
            Ok::<_, PostgresError>((connection, write, raised))
        })?;
        if raised.len() != held.len() {
            return Err(self.superseded());
        }
        let mut epochs = self.epochs.lock();
        for row in &raised {
            if let Some(shard) = Shard::from_number(row.get(0))
                && let Some(epoch) = epochs.get_mut(&shard)
            {
                *epoch = row.get(1);
            }
        }
        drop(epochs);
        Ok(Session {
            connection,
            write,
            runtime,
        })
    }

    fn attempt(&mut self, rows: &Rows) -> Result<(), PostgresError> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.connect()?,
        };
        let shards = rows.shards();
        let (numbers, epochs) = self
            .epochs
            .those_of(&shards)
            .ok_or_else(|| self.superseded())?;
        let epoch_of: BTreeMap<Shard, i64> =
            shards.into_iter().zip(epochs.iter().copied()).collect();
        let gone_shards: Vec<i32> = rows.gone.iter().map(|(shard, _)| shard.number()).collect();
        let gone: Vec<&[u8]> = rows.gone.iter().map(|(_, p_addr)| &p_addr[..]).collect();
        let there = || rows.there.iter();
        let new_shards: Vec<i32> = there().map(|row| row.shard.number()).collect();
        let p_addrs: Vec<&[u8]> = there().map(|row| &row.p_addr[..]).collect();
        let new_epochs: Vec<i64> = there().map(|row| epoch_of[&row.shard]).collect();
        let expires: Vec<SystemTime> = there().map(|row| row.expires).collect();
        let entries: Vec<&[u8]> = there().map(|row| &row.entry[..]).collect();
        let client = &session.connection.client;
        let parameters: [&(dyn ToSql + Sync); 9] = [
            &numbers,
            &epochs,
            &gone_shards,
            &gone,
            &new_shards,
            &p_addrs,
            &new_epochs,
            &expires,
            &entries,
        ];
        let written = client.query_one(&session.write, &parameters);
        let row = (session.runtime.block_on(written)).map_err(self.database.error())?;
        self.session = Some(session);
        match row.get(0) {
            true => Ok(()),
            false => Err(self.superseded()),
        }
    }
}

impl Writer for PostgresWriter {
    type Group = Rows;
    type Error = PostgresError;

    fn commit(&mut self, rows: Rows) -> Result<(), PostgresError> {
        loop {
            let error = match self.attempt(&rows) {
                Err(error) if error.is_passing() => error,
                done => return done,
            };
            let patient = self.patience.as_ref();
            let told = io::Error::other(error.to_string());
            if !patient.is_some_and(|patience| patience(&told)) {
                return Err(error);
            }
        }
    }
}

impl std::fmt::Debug for PostgresWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresWriter")
            .field("instance", &self.instance)
            .field("epochs", &self.epochs)
            .finish_non_exhaustive()
    }
}
