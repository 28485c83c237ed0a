//! A connection to the database, and the tables.

use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use crate::error::{PostgresError, VERSION};
use crate::settings::Settings;
use crate::shard::{SHARDS, Shard};

/// A connection; dropped, it ends.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where the database is, and what to tell of it.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    config: tokio_postgres::Config,
    pub(crate) place: String,
}

impl Database {
    pub(crate) fn of(settings: &Settings) -> Result<Database, PostgresError> {
        Ok(Database {
            config: settings.connection()?,
            place: settings.place(),
        })
    }

    pub(crate) fn error(&self) -> impl Fn(tokio_postgres::Error) -> PostgresError + '_ {
        |error| PostgresError::of(&self.place, &error)
    }

    /// Connects to the host that takes writes. Must run inside a tokio runtime, which is to go on.
    pub(crate) async fn connect(&self) -> Result<Connection, PostgresError> {
        let (client, connection) = self.config.connect(NoTls).await.map_err(self.error())?;
        let task = tokio::spawn(async move {
            // Whoever waits for an answer is told.
            let _ = connection.await;
        });
        let connection = Connection { client, task };
        // Two copies of what is acknowledged, where there are two; and an index, not a guess at how many.
        let session = "SET synchronous_commit = on; SET plan_cache_mode = force_generic_plan";
        let set = connection.client.batch_execute(session).await;
        set.map_err(self.error())?;
        Ok(connection)
    }

    /// Makes the tables where there are none, and compares their version.
    pub(crate) async fn prepare(&self, client: &Client) -> Result<[u8; 16], PostgresError> {
        if !self.has_tables(client).await? {
            let made = client.batch_execute(TABLES).await;
            made.map_err(self.error())?;
            let shards: Vec<i32> = Shard::all().map(Shard::number).collect();
            let fill = "WITH made AS (INSERT INTO wmms (version, shards) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1) \
                        INSERT INTO wmms_shard (shard) SELECT unnest($3::int4[]) WHERE EXISTS (SELECT FROM made)";
            let filled = client
                .execute(fill, &[&VERSION, &i32::from(SHARDS), &shards])
                .await;
            filled.map_err(self.error())?;
        }
        let read = "SELECT version, shards, uuid_send(secret) FROM wmms";
        let row = client.query_one(read, &[]).await.map_err(self.error())?;
        let (version, shards): (i32, i32) = (row.get(0), row.get(1));
        let secret: &[u8] = row.get(2);
        match <[u8; 16]>::try_from(secret) {
            Ok(secret) if version == VERSION && shards == i32::from(SHARDS) => Ok(secret),
            _ => Err(PostgresError::Version {
                place: self.place.clone(),
                version,
                shards,
            }),
        }
    }

    /// Who may not make tables need not, if they are there.
    async fn has_tables(&self, client: &Client) -> Result<bool, PostgresError> {
        let wanted = "SELECT to_regclass('wmms') IS NOT NULL";
        let row = client.query_one(wanted, &[]).await.map_err(self.error())?;
        Ok(row.get(0))
    }
}

/// The tables. An instance that makes them at the same time as another waits for it.
///
/// `wmms_binding` leaves room in its pages, so that an entry that is written again stays on its page and the index
/// need not be touched.
const TABLES: &str = "\
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('wmms tables'));
CREATE TABLE IF NOT EXISTS wmms (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version int4 NOT NULL,
    shards int4 NOT NULL,
    secret uuid NOT NULL DEFAULT gen_random_uuid()
);
CREATE TABLE IF NOT EXISTS wmms_instance (
    name text PRIMARY KEY,
    life int8 NOT NULL DEFAULT 1,
    beat int8 NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS wmms_shard (
    shard int4 PRIMARY KEY,
    epoch int8 NOT NULL DEFAULT 0,
    owner text
);
CREATE TABLE IF NOT EXISTS wmms_binding (
    shard int4,
    p_addr bytea,
    epoch int8 NOT NULL,
    expires timestamptz NOT NULL,
    entry bytea NOT NULL,
    PRIMARY KEY (shard, p_addr)
) WITH (fillfactor = 70);
COMMIT;
";
