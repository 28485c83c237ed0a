//! An instance among the others: its beat, what it takes over and what it leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use comp::mmt::Entry;
use tokio::time::timeout;
use tokio_postgres::{Client, Row};
use units::SimTime;

use crate::connect::{Connection, Database};
use crate::error::PostgresError;
use crate::frame::Secret;
use crate::rows;
use crate::settings::Settings;
use crate::shard::Shard;
use crate::sharded::Place;
use crate::store::Epochs;
use crate::watch::{Duty, Watch};

/// Beats in a lease.
pub const BEATS: u32 = 4;

/// The beat of who has left.
const LEFT: i64 = -1;

/// What an instance finds in the database.
#[derive(Clone, Debug)]
pub struct View {
    /// Until when it may answer for its shards.
    pub serves_until: SimTime,
    /// The other instances that are not dead.
    pub others: BTreeSet<SocketAddrV6>,
    /// Where each shard is, in their order.
    pub places: Vec<Place>,
    /// What it has to do now.
    pub duty: Duty,
}

/// An instance, as the database knows it.
#[derive(Debug)]
pub struct Membership {
    database: Database,
    settings: Settings,
    me: String,
    life: i64,
    secret: Secret,
    connection: Option<Connection>,
    watch: Watch,
    epochs: Epochs,
    /// Epochs of shards as they were seen last.
    seen: BTreeMap<Shard, i64>,
}

impl Membership {
    /// Begins a life of the instance `name`. Makes the tables if there are none.
    ///
    /// # Errors
    /// When the database cannot be used or somebody else is `name`.
    pub async fn join(settings: &Settings, name: &str) -> Result<Membership, PostgresError> {
        let database = Database::of(settings)?;
        let connection = database.connect().await?;
        let client = &connection.client;
        let secret = database.prepare(client).await?;
        if !lock_name(&database, client, name).await? {
            return Err(PostgresError::InUse {
                place: database.place.clone(),
                instance: name.to_owned(),
            });
        }
        let begin = "INSERT INTO wmms_instance AS i (name) VALUES ($1) \
                     ON CONFLICT (name) DO UPDATE SET life = i.life + 1, beat = greatest(i.beat, 0) + 1 \
                     RETURNING life";
        let row = client.query_one(begin, &[&name]).await;
        let life = row.map_err(database.error())?.get(0);
        Ok(Membership {
            watch: Watch::new(name, settings.lease),
            settings: settings.clone(),
            me: name.to_owned(),
            life,
            secret,
            epochs: Epochs::of_life(life),
            seen: BTreeMap::new(),
            connection: Some(connection),
            database,
        })
    }

    /// How often this instance began a life before.
    pub fn lives_before(&self) -> u64 {
        u64::try_from(self.life).unwrap_or(1).saturating_sub(1)
    }

    /// What the instances know of each other ([`Frame`](crate::Frame)).
    pub fn secret(&self) -> Secret {
        self.secret
    }

    /// The shards that it holds.
    pub fn epochs(&self) -> Epochs {
        self.epochs.clone()
    }

    /// The time from one [`Membership::beat`] to the next.
    pub fn interval(&self) -> Duration {
        self.settings.lease / BEATS
    }

    /// Says that this instance lives, and looks at the others. To be called again after a failure that is passing,
    /// when it connects anew.
    ///
    /// # Errors
    /// When the database cannot be used, or another has a shard of this one or its name.
    pub async fn beat(&mut self, clock: impl Fn() -> SimTime) -> Result<View, PostgresError> {
        let began = clock();
        let lease = self.settings.lease;
        let done = timeout(lease, self.exchange_beats(&clock)).await;
        let (beats, shards) = match done {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => {
                self.connection = None;
                return Err(error);
            }
            Err(_) => {
                self.connection = None;
                return Err(PostgresError::late(&self.database.place));
            }
        };
        let now = clock();
        self.watch.look(now, &beats);
        self.view(now, began + lease, &shards)
    }

    async fn exchange_beats(
        &mut self,
        clock: &impl Fn() -> SimTime,
    ) -> Result<(BTreeMap<String, i64>, Vec<Row>), PostgresError> {
        if self.connection.is_none() {
            let connection = self.database.connect().await?;
            // What a server that is only slow to notice still holds for this very life is no other daemon's.
            lock_name(&self.database, &connection.client, &self.me).await?;
            self.watch.look_away(clock());
            self.connection = Some(connection);
        }
        let client = self.client()?;
        let beat = "UPDATE wmms_instance SET beat = beat + 1 WHERE name = $1 AND life = $2";
        let beaten = client.execute(beat, &[&self.me, &self.life]).await;
        if beaten.map_err(self.database.error())? != 1 {
            return Err(self.superseded());
        }
        let beats = "SELECT name, beat FROM wmms_instance WHERE beat > $1";
        let shards = "SELECT shard, epoch, owner FROM wmms_shard";
        let (beats, shards) =
            tokio::try_join!(client.query(beats, &[&LEFT]), client.query(shards, &[]))
                .map_err(self.database.error())?;
        let of = |row: &Row| (row.get(0), row.get(1));
        let known = |(name, _): &(String, i64)| self.settings.instances.contains_key(name);
        Ok((beats.iter().map(of).filter(known).collect(), shards))
    }

    fn view(
        &mut self,
        now: SimTime,
        serves_until: SimTime,
        rows: &[Row],
    ) -> Result<View, PostgresError> {
        let mut owners = BTreeMap::new();
        for row in rows {
            if let Some(shard) = Shard::from_number(row.get(0)) {
                self.seen.insert(shard, row.get(1));
                owners.insert(shard, row.get::<_, Option<String>>(2));
            }
        }
        let held = self.epochs.held();
        let is_mine = |shard| owners.get(shard).and_then(Option::as_ref) == Some(&self.me);
        if !held.iter().all(is_mine) {
            return Err(self.superseded());
        }
        let living = |name: &&String| **name != self.me && !self.watch.is_dead(now, name);
        let address = |name: &String| self.settings.address(name);
        let place = |shard| match owners.get(&shard).and_then(Option::as_ref) {
            _ if held.contains(&shard) => Place::Here,
            Some(owner) if living(&owner) => address(owner).map_or(Place::Nowhere, Place::At),
            _ => Place::Nowhere,
        };
        Ok(View {
            serves_until,
            others: (self.settings.instances.keys())
                .filter(living)
                .filter_map(address)
                .collect(),
            places: Shard::all().map(place).collect(),
            duty: self.watch.duty(now, &owners, &held),
        })
    }

    /// Takes shards over, unless somebody else has done so since the last [`Membership::beat`]: those that it has got
    /// then, and their entries, in which Unix time is `ahead` nanoseconds of the clock that they are for.
    ///
    /// # Errors
    /// When the database cannot be used, or an entry is damaged.
    pub async fn claim(
        &mut self,
        shards: &BTreeSet<Shard>,
        ahead: i64,
    ) -> Result<(BTreeSet<Shard>, Vec<(Ipv6Addr, Entry)>), PostgresError> {
        let claimed = self.claim_in_database(shards, ahead).await;
        if claimed.is_err() {
            self.connection = None;
        }
        claimed
    }

    async fn claim_in_database(
        &self,
        shards: &BTreeSet<Shard>,
        ahead: i64,
    ) -> Result<(BTreeSet<Shard>, Vec<(Ipv6Addr, Entry)>), PostgresError> {
        let client = self.client()?;
        let numbers: Vec<i32> = shards.iter().map(|shard| shard.number()).collect();
        let epochs: Vec<i64> = (shards.iter())
            .map(|shard| self.seen.get(shard).copied().unwrap_or(0))
            .collect();
        let claim = "UPDATE wmms_shard s SET epoch = s.epoch + 1, owner = $3 \
                     FROM unnest($1::int4[], $2::int8[]) AS seen (shard, epoch) \
                     WHERE s.shard = seen.shard AND s.epoch = seen.epoch \
                     RETURNING s.shard, s.epoch";
        let claimed = client.query(claim, &[&numbers, &epochs, &self.me]).await;
        let claimed: BTreeMap<Shard, i64> = (claimed.map_err(self.database.error())?.iter())
            .filter_map(|row| Some((Shard::from_number(row.get(0))?, row.get(1))))
            .collect();
        let numbers: Vec<i32> = claimed.keys().map(|shard| shard.number()).collect();
        let load = "SELECT p_addr, entry FROM wmms_binding WHERE shard = ANY ($1)";
        let loaded = client.query(load, &[&numbers]).await;
        let loaded = loaded.map_err(self.database.error())?;
        let entries: Result<Vec<_>, _> = loaded.iter().map(|row| self.entry(row, ahead)).collect();
        let entries = entries?;
        // From now on they may be written.
        self.epochs.lock().extend(&claimed);
        Ok((claimed.into_keys().collect(), entries))
    }

    fn entry(&self, row: &Row, ahead: i64) -> Result<(Ipv6Addr, Entry), PostgresError> {
        let p_addr: &[u8] = row.get(0);
        let (address, mut entry) =
            rows::read(p_addr, row.get(1)).ok_or_else(|| PostgresError::Damaged {
                place: self.database.place.clone(),
                p_addr: match <[u8; 16]>::try_from(p_addr) {
                    Ok(octets) => Ipv6Addr::from(octets).to_string(),
                    Err(_) => format!("{p_addr:02x?}"),
                },
            })?;
        let of_table = |at: &mut SimTime| *at = unix_to_table(*at, ahead);
        of_table(&mut entry.lifetime_ends);
        entry.sleep_ends.iter_mut().for_each(of_table);
        Ok((address, entry))
    }

    /// Leaves shards to whoever wants them. To be called when all that was acknowledged about them is written, and
    /// nothing more will be.
    ///
    /// # Errors
    /// When the database cannot be used: then they are this instance's as before, and it may claim them.
    pub async fn let_go(&mut self, shards: &BTreeSet<Shard>) -> Result<(), PostgresError> {
        self.epochs
            .lock()
            .retain(|shard, _| !shards.contains(shard));
        let numbers: Vec<i32> = shards.iter().map(|shard| shard.number()).collect();
        let leave = "UPDATE wmms_shard SET owner = NULL WHERE shard = ANY ($1) AND owner = $2";
        let left = self.client()?.execute(leave, &[&numbers, &self.me]).await;
        left.map(drop).map_err(|error| {
            let error = PostgresError::of(&self.database.place, &error);
            self.connection = None;
            error
        })
    }

    /// Ends this life: all shards are others', who need not wait until it is dead.
    ///
    /// # Errors
    /// When the database cannot be used: then they wait.
    pub async fn leave(mut self) -> Result<(), PostgresError> {
        let (place, lease) = (self.settings.place(), self.settings.lease);
        let left = timeout(lease, self.leave_all()).await;
        left.unwrap_or_else(|_| Err(PostgresError::late(&place)))
    }

    async fn leave_all(&mut self) -> Result<(), PostgresError> {
        self.let_go(&self.epochs.held()).await?;
        let end = "UPDATE wmms_instance SET beat = $3 WHERE name = $1 AND life = $2";
        let ended = (self.client()?)
            .execute(end, &[&self.me, &self.life, &LEFT])
            .await;
        ended.map(drop).map_err(self.database.error())
    }

    fn client(&self) -> Result<&Client, PostgresError> {
        let connection = self.connection.as_ref();
        (connection.map(|connection| &connection.client))
            .ok_or_else(|| PostgresError::late(&self.database.place))
    }

    fn superseded(&self) -> PostgresError {
        PostgresError::Superseded {
            place: self.database.place.clone(),
            instance: self.me.clone(),
        }
    }
}

/// An instant of Unix time on the clock that this is `ahead` nanoseconds of.
fn unix_to_table(at: SimTime, ahead: i64) -> SimTime {
    SimTime::from_nanos(at.as_nanos().saturating_add_signed(ahead.saturating_neg()))
}

/// Has the server keep the name of an instance as long as this connection is; whether nobody else has it.
async fn lock_name(
    database: &Database,
    client: &Client,
    name: &str,
) -> Result<bool, PostgresError> {
    let lock = "SELECT pg_try_advisory_lock(hashtext('wmms instance'), hashtext($1))";
    let row = client.query_one(lock, &[&name]).await;
    Ok(row.map_err(database.error())?.get(0))
}
