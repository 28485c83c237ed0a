//! An instance on a socket and a clock: what it does besides answering.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::panic::resume_unwind;
use std::time::Duration;

use comp::mmt::Entry;
use comp::wmms::Wmms;
use driver::{Driver, Ignored, Udp, now};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;
use wmms_store::{Durable, Event, Stop, Store as _, WriterThread, patience};

use crate::error::PostgresError;
use crate::membership::{Membership, View};
use crate::rows::Rows;
use crate::settings::Settings;
use crate::shard::Shard;
use crate::sharded::Sharded;
use crate::store::{Postgres, PostgresWriter};

/// Shards that are taken over at once: their entries are read before the next beat.
const CLAIMED_AT_ONCE: usize = 8;

/// The longest wait between two attempts to reach the database.
const LAST_WAIT: Duration = Duration::from_millis(320);

/// What an instance asks of whoever runs it.
pub trait Host {
    /// Why it cannot be run; a database that is away is no reason.
    type Error: From<PostgresError> + From<io::Error>;

    /// A server with an empty table, at this address, in a life after so many before: no life repeats the Message IDs
    /// of another.
    fn wmms(&mut self, at: Ipv6Addr, lives_before: u64) -> Wmms;

    /// Its socket.
    ///
    /// # Errors
    /// When it is not to be had.
    fn socket(&mut self, at: SocketAddrV6) -> Result<Udp, Self::Error>;

    /// It has joined the others.
    ///
    /// # Errors
    /// Whatever ends the instance.
    fn joined(&mut self) -> Result<(), Self::Error>;

    /// Hears what happened: everything but [`Event::Write`].
    ///
    /// # Errors
    /// Whatever ends the instance.
    fn hear(&mut self, event: Event<Rows>) -> Result<(), Self::Error>;

    /// Waits until the instance is to end. Cancel-safe.
    fn stopped(&mut self) -> impl Future<Output = ()>;

    /// It has ended in order: to look at it.
    fn ended(&mut self, durable: &Durable<Postgres>);
}

/// Runs the instance `name` until it is to end. One that was superseded, or whose database is away when it begins, begins
/// anew, with an empty table: nothing leaves that the database does not have.
///
/// # Errors
/// When the database cannot be used, which it does not become by waiting, and those of `host`.
pub async fn run<H: Host>(host: &mut H, settings: &Settings, name: &str) -> Result<(), H::Error> {
    let mut failures = Ignored::default();
    loop {
        let joined = tokio::select! {
            joined = Membership::join(settings, name) => joined,
            () = host.stopped() => return Ok(()),
        };
        let ended = match joined {
            Ok(membership) => {
                Life::begin(host, settings, name, membership)?
                    .run(host)
                    .await?
            }
            Err(error) => Ended::ForNow(error),
        };
        match ended {
            Ended::Stopped => return Ok(()),
            Ended::ForNow(error) if may_begin_anew(&error) => {
                if let Some(failures) = failures.another() {
                    tracing::error!(
                        failures,
                        "{error}; this instance serves nobody and begins anew"
                    );
                }
            }
            Ended::ForNow(error) => return Err(error.into()),
        }
        tokio::select! {
            () = host.stopped() => return Ok(()),
            () = sleep(settings.lease / 8) => {}
        }
    }
}

/// How a life has ended.
enum Ended {
    Stopped,
    ForNow(PostgresError),
}

fn may_begin_anew(error: &PostgresError) -> bool {
    let of_others = matches!(
        error,
        PostgresError::Superseded { .. } | PostgresError::InUse { .. }
    );
    of_others || error.is_passing()
}

/// What the task that keeps up with the others tells the daemon.
enum News {
    View(View),
    Adopt(BTreeSet<Shard>, Vec<(Ipv6Addr, Entry)>),
    LetGo(BTreeSet<Shard>, oneshot::Sender<()>),
}

/// One life: from the first beat until it stops or is superseded.
struct Life {
    coap: Driver<Sharded<Postgres>>,
    writer: WriterThread<PostgresWriter>,
    /// Dropped, the writer gives up.
    patience: Stop,
    news: UnboundedReceiver<News>,
    others: JoinSet<Result<Membership, PostgresError>>,
    end: oneshot::Sender<()>,
    /// Shards that are to be let go, and who waits for that.
    leaving: Option<(BTreeSet<Shard>, oneshot::Sender<()>)>,
}

impl Life {
    fn begin<H: Host>(
        host: &mut H,
        settings: &Settings,
        name: &str,
        membership: Membership,
    ) -> Result<Life, H::Error> {
        let lives = membership.lives_before();
        tracing::info!(lives, instance = name, "joined at {}", settings.place());
        let Some(at) = settings.address(name) else {
            return Err(PostgresError::from(crate::SettingsError::Unnamed(name.to_owned())).into());
        };
        let mut store = Postgres::new(settings, name, membership.epochs())?;
        store.write_unix_time(driver::was_set_ahead_ns);
        let (asked, patience) = patience(settings.place(), LAST_WAIT);
        store.have_patience(asked);
        let writer = WriterThread::start(store.writer())?;
        let durable = Durable::new(host.wmms(*at.ip(), lives), store);
        let socket = host.socket(at)?;
        let coap = Driver::new(Sharded::new(durable, membership.secret()), socket)?;
        let (tell, news) = unbounded_channel();
        let (end, ends) = oneshot::channel();
        let mut others = JoinSet::new();
        others.spawn(keep_up(membership, tell, ends));
        host.joined()?;
        Ok(Life {
            coap,
            writer,
            patience,
            news,
            others,
            end,
            leaving: None,
        })
    }

    async fn run<H: Host>(mut self, host: &mut H) -> Result<Ended, H::Error> {
        loop {
            self.leave();
            tokio::select! {
                biased;
                written = self.writer.written() => {
                    if let Err(error) = written {
                        return Ok(Ended::ForNow(error.into()));
                    }
                    self.patience.written();
                    self.coap.with(|sharded, _| sharded.durable_mut().written());
                    // The next group is worth its commit the more, the larger it is.
                    if self.coap.machine().durable().has_waiting() {
                        self.coap.take_in()?;
                    }
                }
                () = host.stopped() => break,
                Some(news) = self.news.recv() => self.hear(news),
                Some(ended) = self.others.join_next() => match ended {
                    Ok(Err(error)) => return Ok(Ended::ForNow(error)),
                    Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                    Ok(Ok(_)) | Err(_) => {}
                },
                event = self.coap.next_event() => {
                    let mut next = Some(event?);
                    while let Some(event) = next {
                        match event {
                            Event::Write(group) => self.write(group),
                            event => host.hear(event)?,
                        }
                        next = self.coap.ready_event();
                    }
                }
            }
        }
        self.finish(host).await;
        Ok(Ended::Stopped)
    }

    fn hear(&mut self, news: News) {
        let leaving = &mut self.leaving;
        self.coap.with(|sharded, now| match news {
            News::View(view) => {
                sharded.serve_until(view.serves_until);
                sharded.set_places(view.others, view.places);
            }
            News::Adopt(shards, entries) => {
                tracing::info!(shards = shards.len(), entries = entries.len(), "taken over");
                sharded.adopt(now, &shards, entries);
            }
            News::LetGo(shards, done) => {
                sharded.close();
                *leaving = Some((shards, done));
            }
        });
    }

    /// Lets shards go as soon as everything is written; until then nothing is taken in.
    fn leave(&mut self) {
        if self.leaving.is_none() || !self.coap.machine().durable().is_written() {
            return;
        }
        if let Some(rest) = self
            .coap
            .with(|sharded, _| sharded.durable_mut().take_rest())
        {
            return self.write(rest);
        }
        if let Some((shards, done)) = self.leaving.take() {
            tracing::info!(shards = shards.len(), "left to others");
            self.coap.with(|sharded, now| {
                sharded.hand_over(now, &shards);
                sharded.open();
            });
            // Who does not wait any more has ended.
            let _ = done.send(());
        }
    }

    /// Has a group written. If the writer has ended, it says why.
    fn write(&self, group: Rows) {
        let _ = self.writer.write(group);
    }

    /// Writes what is left, and leaves all shards to the others.
    async fn finish<H: Host>(mut self, host: &mut H) {
        self.leaving = None;
        if let Some(rest) = self
            .coap
            .with(|sharded, _| sharded.durable_mut().take_rest())
        {
            self.write(rest);
        }
        drop(self.patience);
        if let Err(error) = self.writer.finish().await {
            return tracing::error!("{error}; what nobody was told is not written");
        }
        self.coap.with(|sharded, _| sharded.durable_mut().written());
        host.ended(self.coap.machine().durable());
        // It may have ended already.
        let _ = self.end.send(());
        if let Some(Ok(Ok(membership))) = self.others.join_next().await
            && let Err(error) = membership.leave().await
        {
            tracing::warn!("{error}; the others wait until this instance counts as dead");
        }
    }
}

/// Beats, and does its duty, until it is told to end.
async fn keep_up(
    mut membership: Membership,
    news: UnboundedSender<News>,
    mut ends: oneshot::Receiver<()>,
) -> Result<Membership, PostgresError> {
    let mut failures = Ignored::default();
    loop {
        let wait = match round(&mut membership, &news).await {
            Ok(is_done) => {
                if std::mem::take(&mut failures).count() > 0 {
                    tracing::warn!("the database answers again");
                }
                if is_done {
                    membership.interval()
                } else {
                    Duration::ZERO
                }
            }
            Err(error) if error.is_passing() => {
                if let Some(failures) = failures.another() {
                    tracing::error!(failures, "{error}; it is tried again");
                }
                LAST_WAIT.min(membership.interval())
            }
            Err(error) => return Err(error),
        };
        tokio::select! {
            _ = &mut ends => return Ok(membership),
            () = sleep(wait) => {}
        }
    }
}

/// One beat and what follows from it; whether that was all.
async fn round(
    membership: &mut Membership,
    news: &UnboundedSender<News>,
) -> Result<bool, PostgresError> {
    let view = membership.beat(now).await?;
    let duty = view.duty.clone();
    // A daemon that has ended needs no news.
    let _ = news.send(News::View(view));
    if !duty.let_go.is_empty() {
        let (done, is_done) = oneshot::channel();
        let _ = news.send(News::LetGo(duty.let_go.clone(), done));
        if is_done.await.is_ok() {
            membership.let_go(&duty.let_go).await?;
        }
    }
    let claimed: BTreeSet<Shard> = (duty.claim.iter().copied()).take(CLAIMED_AT_ONCE).collect();
    if !claimed.is_empty() {
        let (shards, entries) = membership
            .claim(&claimed, driver::was_set_ahead_ns())
            .await?;
        let _ = news.send(News::Adopt(shards, entries));
    }
    Ok(duty.claim.len() <= CLAIMED_AT_ONCE)
}
