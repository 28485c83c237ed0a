//! [`Client`]: an LwM2M client as a [`Service`]: it registers, serves its tree, tells those who observe, and sends
//! what Notify instances say.
//!
//! | interface | where | rule |
//! | --- | --- | --- |
//! | Bootstrap | `client/bootstrap.rs` | §6.1: asked for without a server, after registrations that failed, or when a server says so; the tree is the old one until Bootstrap-Finish |
//! | Registration | `client/registration.rs` | LwM2M 1.1 Core §6.2: Register with falling versions after 4.12, Update at half the lifetime or 93 s before its end, a new registration after 4.04 |
//! | Device management | `client/requests.rs` | §6.3; the rules of the tree are in [`operations`](crate::operations) |
//! | Information reporting | `client/observing.rs` | §6.4: Observe by GET and by FETCH; at most one notification of each observation for a request that changes something |
//! | Send | `client/sending.rs` | §6.4.6: by [`Client::send`], or again and again with what was taken between |
//! | Notify | `client/notifying.rs` | the third paper, §III |
//!
//! A requester is known by its address: that of a Security object instance. Others get 4.01, and a bootstrap server
//! outside of a bootstrap.

mod bootstrap;
mod config;
mod event;
mod locating;
mod monitoring;
mod notifying;
mod observing;
mod registration;
mod requests;
mod saved;
mod sending;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

use coap::link::Link;
use coap::{ExchangeId, Reliability};
use service::sensors::Feed;
use service::service::Tally;
use service::{CallId, Connectivity, Incoming, Node, Outcome, Reach, Report, Service, Target};
use units::{Rng, SimTime};

use crate::access::{self, SECURITY, SERVER};
use crate::account;
use crate::attributes::Attributes;
use crate::model::{Registry, Version};
use crate::operations::{Change, Mode, Requester};
use crate::path::{Level, Path};
use crate::refusal::Refusal;
use crate::store::{Changes, Store, StoreError};
use crate::value::Value;

use bootstrap::Bootstrapping;
use locating::Fixes;
use monitoring::Monitoring;
use notifying::Schedule;
use observing::Watched;
use registration::Registration;
use sending::Sending;

pub use config::{Account, Config, SendPlan};
pub use event::{Cause, Event, MAX_EVENTS, SendId, SendOutcome};
pub use locating::{Fix, LOCATION, Locating, Whereabouts};
pub use monitoring::CONNECTIVITY;
pub use saved::SavedClientError;
pub use sending::{MAX_HELD, SendError};

/// An LwM2M client: see the [module](self).
#[derive(Debug)]
pub struct Client {
    config: Config,
    store: Store,
    /// By Short Server ID.
    registrations: BTreeMap<u16, Registration>,
    bootstrap: Bootstrapping,
    /// What each server attached to each path.
    attributes: BTreeMap<(u16, Path), Attributes>,
    observations: BTreeMap<ExchangeId, Watched>,
    /// By the instances of Notify.
    schedules: BTreeMap<Path, Schedule>,
    /// Whose calls are whose.
    calls: BTreeMap<CallId, Call>,
    tally: Tally,
    reports: VecDeque<Report>,
    events: VecDeque<Event>,
    /// What is sent again and again, in the order of the configuration.
    sendings: Vec<Sending>,
    next_send: u64,
    rng: Rng,
    /// What changes by itself.
    feeds: Vec<(Path, Feed)>,
    /// None: Connectivity Monitoring is what was written there.
    monitoring: Option<Monitoring>,
    /// None: Location is what was written there.
    fixes: Option<Fixes>,
    /// It has started, and the scenario has not ended.
    running: bool,
    /// The tree is that of an earlier life: its schedules do not begin all at once.
    restored: bool,
    /// Servers whose Notify instances have begun in this life.
    begun: BTreeSet<u16>,
}

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Bootstrap,
    Registration(u16),
    Notify(Path),
    Send(SendId, u16),
}

impl Client {
    /// A client with the tree `store`; `rng` spreads what would happen at one instant in many clients.
    /// `restored`: the tree is that of an earlier life.
    pub fn new(config: Config, store: Store, rng: Rng, restored: bool) -> Client {
        Client {
            sendings: Sending::all(&config),
            config,
            store,
            registrations: BTreeMap::new(),
            bootstrap: Bootstrapping::default(),
            attributes: BTreeMap::new(),
            observations: BTreeMap::new(),
            schedules: BTreeMap::new(),
            calls: BTreeMap::new(),
            tally: Tally::default(),
            reports: VecDeque::new(),
            events: VecDeque::new(),
            next_send: 0,
            rng,
            feeds: Vec::new(),
            monitoring: None,
            fixes: None,
            running: false,
            restored,
            begun: BTreeSet::new(),
        }
    }

    /// A tree with these accounts and objects, and the Device object of a testbed's node.
    ///
    /// # Errors
    /// When the registry has no Security, Server or Device object like OMA's.
    pub fn tree(
        registry: Arc<Registry>,
        accounts: &[Account],
        objects: &[u16],
    ) -> Result<Store, StoreError> {
        let mut store = Store::new(registry);
        for object in [SECURITY, SERVER, 3].iter().chain(objects) {
            store.support(*object);
        }
        let mut begun = store.transaction();
        let seconds =
            |time: Duration| Value::Integer(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        for (place, account) in (0..).zip(accounts) {
            let (security, server) = (
                Path::instance(SECURITY, place),
                Path::instance(SERVER, place),
            );
            let id = Value::Integer(account.server.into());
            let uri = account::uri_of(account.address);
            begun.create(security)?;
            // Without security, mode 3, and so with empty keys (LwM2M 1.1 Core §E.1).
            let values = [
                (0, Value::String(uri)),
                (1, Value::Boolean(false)),
                (2, Value::Integer(3)),
                (3, Value::Opaque(Vec::new())),
                (4, Value::Opaque(Vec::new())),
                (5, Value::Opaque(Vec::new())),
                (10, id.clone()),
            ];
            begun.create(server)?;
            let periods = [(2, account.pmin), (3, account.pmax)];
            let periods = periods
                .into_iter()
                .filter_map(|(id, time)| Some((id, seconds(time?))));
            let of_server = [
                (0, id),
                (1, seconds(account.lifetime)),
                (6, Value::Boolean(false)),
                (7, Value::String("U".to_owned())),
            ];
            let at = |instance: Path, id: u16| instance.child(id).unwrap_or(instance);
            for (id, value) in values {
                begun.set(at(security, id), value)?;
            }
            for (id, value) in of_server.into_iter().chain(periods) {
                begun.set(at(server, id), value)?;
            }
        }
        let device = Path::instance(3, 0);
        begun.create(device)?;
        begun.set(Path::resource_instance(3, 0, 11, 0), Value::Integer(0))?;
        begun.set(Path::resource(3, 0, 16), Value::String("U".to_owned()))?;
        begun.commit();
        Ok(store)
    }

    /// The same client whose resource at `path` has the values of `feed`, in their text form; what is no value of its
    /// type is left out.
    pub fn with_feed(mut self, path: Path, feed: Feed) -> Client {
        self.feeds.push((path, feed));
        self
    }

    /// The same client whose Connectivity Monitoring, `/4/0`, is what its node says ([`Service::connected`]), as soon as
    /// the node is on a link. It says nothing where that instance is not.
    pub fn with_connectivity(mut self) -> Client {
        self.monitoring = Some(Monitoring::default());
        self
    }

    /// The same client whose Location, `/6/0`, says where the device is. It says nothing where that instance is not.
    pub fn with_location(mut self, locating: Locating) -> Client {
        self.fixes = Some(Fixes::new(locating));
        self
    }

    /// Its tree.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether it is registered with a server.
    pub fn is_registered(&self, server: u16) -> bool {
        self.registrations
            .get(&server)
            .is_some_and(Registration::is_registered)
    }

    /// The next thing that it has to tell; of more than [`MAX_EVENTS`] that nobody took the later ones are lost.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn note(&mut self, event: Event) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }

    /// The device has a new value; whoever observes it is told as its attributes say.
    ///
    /// # Errors
    /// When there is no such resource, or it has another type.
    pub fn set(
        &mut self,
        now: SimTime,
        path: Path,
        value: Value,
        node: &mut dyn Node,
    ) -> Result<(), StoreError> {
        let mut begun = self.store.transaction();
        begun.set(path, value)?;
        let changes = begun.commit();
        self.changed(now, &changes, node);
        Ok(())
    }

    /// The device, or its configuration, has an instance with these values before it starts.
    ///
    /// # Errors
    /// When the tree cannot have it.
    pub fn add(&mut self, instance: Path, values: &[(Path, Value)]) -> Result<(), Refusal> {
        if !self.store.contains(&instance) {
            let mut begun = self.store.transaction();
            begun.create(instance)?;
            begun.commit();
        }
        let records = values
            .iter()
            .map(|(path, value)| crate::Record::new(*path, value.clone()));
        let records: Vec<_> = records.collect();
        Change::new(&mut self.store, Requester::Device).write(instance, Mode::Update, &records)?;
        Ok(())
    }

    /// Lets all servers read, write and execute what nobody's access is said of yet, and create instances, before it
    /// starts; each owns its account, and the first server the rest. With one server there is nothing to say.
    ///
    /// # Errors
    /// When the tree has no Access Control object.
    pub fn share(&mut self) -> Result<(), Refusal> {
        let shared = access::shared(&self.store);
        let mut begun = self.store.transaction();
        for (control, values) in shared {
            begun.create(control)?;
            for (path, value) in values {
                begun.set(path, value)?;
            }
        }
        begun.commit();
        Ok(())
    }

    /// Takes what has changed by itself; what changes at one instant is one change.
    fn feed(&mut self, now: SimTime, node: &mut dyn Node) {
        let mut begun = self.store.transaction();
        for (path, feed) in &mut self.feeds {
            while let Some(value) = feed.take(now) {
                let ty = begun.store().model(path).and_then(|model| model.ty);
                let text = String::from_utf8_lossy(&value).into_owned();
                let value = ty.and_then(|ty| Value::from_text(text.trim(), ty).ok());
                // Of another type, or outside its range: as a broken sensor, it says nothing.
                let _ = value.map(|value| begun.set(*path, value));
            }
        }
        if let Some(monitoring) = &mut self.monitoring {
            monitoring.take(&mut begun);
        }
        if let Some(fixes) = &mut self.fixes {
            fixes.take(now, self.config.epoch_s, &mut begun);
        }
        let changes = begun.commit();
        self.changed(now, &changes, node);
    }

    /// What follows from a change of the tree.
    fn changed(&mut self, now: SimTime, changes: &Changes, node: &mut dyn Node) {
        if changes.is_empty() {
            return;
        }
        self.change_draft(changes);
        self.mark(changes);
        // What comes there later is something else.
        let store = &self.store;
        let gone: BTreeSet<&Path> = (changes.values.iter())
            .filter(|path| !store.contains(path))
            .collect();
        self.attributes.retain(|(_, path), _| {
            !gone.contains(path)
                && !changes
                    .deleted
                    .iter()
                    .any(|instance| instance.contains(path))
        });
        if !self.running {
            return;
        }
        if changes.meet(&Path::object(SECURITY)) || changes.meet(&Path::object(SERVER)) {
            self.take_accounts(now, node);
        }
        if !changes.created.is_empty() || !changes.deleted.is_empty() {
            self.update_all(now, node);
        }
        if changes.meet(&Path::object(crate::notify::NOTIFY)) {
            self.schedule(now, None);
            self.send_due(now, node);
        }
        self.tell(now, node);
    }

    fn has_bootstrap_server(&self) -> bool {
        account::bootstrap_server(&self.store).is_some()
    }

    /// The server at that address. A bootstrap server is none, also where it shares the host of one.
    fn requester(&self, from: SocketAddrV6) -> Option<u16> {
        let accounts = account::servers(&self.store);
        let is = |a: SocketAddrV6| (a.ip(), a.port()) == (from.ip(), from.port());
        let bootstrap = account::bootstrap_server(&self.store);
        if bootstrap.is_some_and(|server| is(server.address))
            && !accounts.iter().any(|(_, address)| is(*address))
        {
            return None;
        }
        let at = |registration: &Registration| registration.target.ip() == *from.ip();
        self.registrations
            .iter()
            .find(|(_, r)| at(r))
            .map(|(id, _)| *id)
    }

    /// The version that is spoken with a server.
    fn version(&self, server: u16) -> Version {
        let registration = self.registrations.get(&server);
        let place = registration.map_or(0, |registration| registration.version);
        self.config
            .versions
            .get(place)
            .copied()
            .unwrap_or(Version::V1_0)
    }

    /// What is attached to a path for a server: by itself, by the paths above, by its account.
    fn effective(&self, server: u16, path: &Path) -> Attributes {
        let mut effective = Attributes::default();
        let mut at = Some(*path);
        while let Some(here) = at {
            let attached = self.attributes.get(&(server, here));
            effective = effective.or(attached.copied().unwrap_or_default());
            at = here.parent();
        }
        let own = self
            .attributes
            .get(&(server, *path))
            .copied()
            .unwrap_or_default();
        let defaults = account::periods(&self.store, server);
        Attributes {
            gt: own.gt,
            lt: own.lt,
            st: own.st,
            ..effective.or(defaults)
        }
    }

    /// Where a server is asked.
    fn target(&self, address: SocketAddrV6) -> Target {
        match self.config.located.contains(address.ip()) {
            true => Target::Node(*address.ip()),
            false => Target::Address(address),
        }
    }

    fn ask(
        &mut self,
        now: SimTime,
        target: Target,
        reliability: Reliability,
        request: coap::Request,
        what: Call,
        node: &mut dyn Node,
    ) -> CallId {
        let call = node.ask(now, target, reliability, request);
        self.tally.requested += 1;
        self.calls.insert(call, what);
        call
    }
}

impl Service for Client {
    fn start(&mut self, now: SimTime, node: &mut dyn Node) {
        self.running = true;
        self.feeds.iter_mut().for_each(|(_, feed)| feed.start(now));
        if let Some(fixes) = &mut self.fixes {
            fixes.start(now);
        }
        self.feed(now, node);
        self.take_accounts(now, node);
        self.start_sending(now);
        self.bootstrap_due(now, node);
    }

    fn poll_timeout(&self, reach: Reach) -> Option<SimTime> {
        if !self.running {
            return None;
        }
        let registrations = self.registrations.values().filter_map(Registration::due);
        let schedules = self.schedules.values().filter_map(Schedule::due);
        let own = self.bootstrap.due().into_iter();
        let own = own.chain(self.sendings.iter().filter_map(Sending::due));
        let asked = registrations.chain(schedules).chain(own);
        let asked = asked.filter(|_| reach.asks);
        // What changes off the link is taken when the node is back on one, as one change.
        let fed = self.feeds.iter().filter_map(|(_, feed)| feed.due());
        let said = self.monitoring.iter().filter_map(Monitoring::due);
        let fixed = self.fixes.iter().filter_map(Fixes::due);
        let fed = fed.chain(said).chain(fixed).filter(|_| reach.sends);
        let told = self
            .observations
            .values()
            .filter_map(|watched| watched.watch.due());
        asked.chain(fed).chain(told.filter(|_| reach.sends)).min()
    }

    fn handle_timeout(&mut self, now: SimTime, reach: Reach, node: &mut dyn Node) {
        if !self.running {
            return;
        }
        if reach.sends {
            self.feed(now, node);
        }
        if reach.asks {
            self.register_due(now, node);
            self.bootstrap_due(now, node);
            self.send_due(now, node);
            self.send_planned(now, node);
        }
        if reach.sends {
            self.tell(now, node);
        }
    }

    fn connected(&mut self, now: SimTime, connectivity: &Connectivity) {
        if let Some(monitoring) = &mut self.monitoring {
            monitoring.connected(now, connectivity);
        }
    }

    fn serves(&self, path: &str) -> bool {
        let first = path
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default();
        first.is_empty()
            || first.parse::<u16>().is_ok()
            || first == "bs" && self.has_bootstrap_server()
    }

    fn links(&self) -> Vec<Link> {
        self.store
            .instances(Path::ROOT)
            .filter(|path| path.object_id() != Some(SECURITY))
            .map(|path| Link::new(&path.to_string()))
            .collect()
    }

    fn handle_request(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        self.handle_incoming(now, incoming, node);
    }

    fn handle_outcome(
        &mut self,
        now: SimTime,
        call: CallId,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        let Some(what) = self.calls.get(&call).copied() else {
            return;
        };
        if outcome.ends() {
            self.calls.remove(&call);
            match &outcome {
                Outcome::Failed(reason) => self.tally.fail(reason),
                _ => self.tally.answered += 1,
            }
        }
        match what {
            Call::Registration(server) => {
                self.handle_registration(now, server, call, outcome, node)
            }
            Call::Bootstrap => self.handle_bootstrap_answer(now, call, outcome, node),
            Call::Send(id, server) => self.handle_send(now, id, server, outcome, node),
            Call::Notify(instance) => self.handle_sent(now, instance, outcome, node),
        }
    }

    /// Nothing is begun any more; it stays registered, as a device does whose power goes.
    fn drain(&mut self, _: SimTime, _: &mut dyn Node) {
        self.running = false;
    }

    fn tally(&self) -> Tally {
        self.tally.clone()
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }
}

/// Whether a path names an object instance.
fn is_instance(path: &Path) -> bool {
    path.level() == Level::Instance
}
