//! Observations of the client's tree, and when each is told (LwM2M 1.1 Core §6.4).
//!
//! A batch value is a view: a change of what it links to is one of it, and each observation is told once of all
//! that one request changed.

use coap::{Code, ExchangeId, Request, Response};
use service::Node;
use units::SimTime;

use super::Client;
use super::requests::{accepts, queries};
use crate::attributes::{Attributes, Watch, Written};
use crate::batch::{self, BATCH};
use crate::path::{Level, Path};
use crate::refusal::Refusal;
use crate::store::{Changes, Store};
use crate::value::Value;

/// Observations at most; one more is answered as a plain read.
const MAX_OBSERVATIONS: usize = 256;

/// An observation.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) server: u16,
    what: What,
    accept: Option<u16>,
    /// What the request itself says.
    own: Attributes,
    pub(super) watch: Watch,
}

#[derive(Clone, Debug)]
enum What {
    Path(Path),
    Composite(Vec<Path>),
}

impl What {
    fn paths(&self) -> &[Path] {
        match self {
            What::Path(path) => std::slice::from_ref(path),
            What::Composite(paths) => paths,
        }
    }

    /// Its value, if it is one alone.
    fn value<'a>(&self, store: &'a Store) -> Option<&'a Value> {
        match self {
            What::Path(path) => store.value(path),
            What::Composite(_) => None,
        }
    }
}

impl Client {
    /// Observe and Observe-Composite: the first notification is the response.
    pub(super) fn observe(
        &mut self,
        now: SimTime,
        server: u16,
        exchange: ExchangeId,
        path: Path,
        request: &Request,
        node: &mut dyn Node,
    ) {
        let (what, own) = match self.observed(path, request) {
            Ok(both) => both,
            Err(refusal) => return node.respond(now, exchange, refusal.response()),
        };
        let accept = accepts(request);
        let response = match self.state(server, &what, accept) {
            Ok(response) if self.has_room(node) => response,
            Ok(response) => return node.respond(now, exchange, response),
            Err(refusal) => return node.respond(now, exchange, refusal.response()),
        };
        node.respond_observed(now, exchange, response);
        let attributes = self.attributes_of(server, &what, own);
        let watch = Watch::new(now, attributes, what.value(&self.store));
        self.observations.insert(
            exchange,
            Watched {
                server,
                what,
                accept,
                own,
                watch,
            },
        );
    }

    fn observed(&self, path: Path, request: &Request) -> Result<(What, Attributes), Refusal> {
        let what = match request.method {
            Code::FETCH => What::Composite(self.composite_paths(path, request)?),
            _ => What::Path(path),
        };
        let written = Written::parse(queries(request).iter().map(String::as_str))?;
        Ok((what, Attributes::default().with(&written)?))
    }

    /// Forgets observations that have ended, and says whether one more is kept.
    fn has_room(&mut self, node: &dyn Node) -> bool {
        let there: Vec<ExchangeId> = node.observations().iter().map(|o| o.id).collect();
        self.observations.retain(|id, _| there.contains(id));
        self.observations.len() < MAX_OBSERVATIONS
    }

    fn state(&self, server: u16, what: &What, accept: Option<u16>) -> Result<Response, Refusal> {
        match what {
            What::Path(path) => self.reading(server, *path, accept),
            What::Composite(paths) => self.composite_reading(server, paths, accept),
        }
    }

    /// What holds of an observation: what its request says, then what is attached to its path. Of a composite the
    /// shortest times of all its paths: none of them is told less often than it was asked for.
    fn attributes_of(&self, server: u16, what: &What, own: Attributes) -> Attributes {
        let effective = |path: &Path| self.effective(server, path);
        match what {
            What::Path(path) => {
                let attached = effective(path);
                Attributes {
                    gt: own.gt.or(attached.gt),
                    lt: own.lt.or(attached.lt),
                    st: own.st.or(attached.st),
                    ..own.or(attached)
                }
            }
            What::Composite(paths) => {
                let all: Vec<Attributes> = paths.iter().map(effective).collect();
                let shortest = Attributes {
                    pmin: all.iter().filter_map(|a| a.pmin).min(),
                    pmax: all.iter().filter_map(|a| a.pmax).min(),
                    ..Attributes::default()
                };
                own.or(shortest)
            }
        }
    }

    /// A server attached something to a path: its observations there and below hold to it.
    pub(super) fn attributes_changed(&mut self, server: u16, path: &Path) {
        let held: Vec<(ExchangeId, Attributes)> = (self.observations.iter())
            .filter(|(_, w)| w.server == server && w.what.paths().iter().any(|p| path.contains(p)))
            .map(|(id, w)| (*id, self.attributes_of(server, &w.what, w.own)))
            .collect();
        for (id, attributes) in held {
            if let Some(watched) = self.observations.get_mut(&id) {
                watched.watch.set_attributes(attributes);
            }
        }
    }

    /// Notes which observations a change is one of.
    pub(super) fn mark(&mut self, changes: &Changes) {
        let store = &self.store;
        for watched in self.observations.values_mut() {
            if watched
                .what
                .paths()
                .iter()
                .any(|path| concerns(store, changes, path))
            {
                watched.watch.changed(watched.what.value(store));
            }
        }
    }

    /// Tells what is due.
    pub(super) fn tell(&mut self, now: SimTime, node: &mut dyn Node) {
        let due = self
            .observations
            .iter()
            .filter(|(_, watched)| watched.watch.is_due(now));
        let due: Vec<ExchangeId> = due.map(|(id, _)| *id).collect();
        if due.is_empty() || !self.has_room(node) && self.observations.is_empty() {
            return;
        }
        for id in due {
            let Some(watched) = self.observations.get(&id) else {
                continue;
            };
            let state = self.state(watched.server, &watched.what, watched.accept);
            match state {
                Ok(response) => {
                    node.notify_one(now, id, &response);
                    if let Some(watched) = self.observations.get_mut(&id) {
                        watched.watch.told(now, watched.what.value(&self.store));
                    }
                }
                Err(refusal) => {
                    // An error ends it (RFC 7641 §4.2).
                    node.notify_one(now, id, &refusal.response());
                    self.observations.remove(&id);
                }
            }
        }
    }
}

/// Whether a change is one of what `path` shows.
fn concerns(store: &Store, changes: &Changes, path: &Path) -> bool {
    let batches = Path::object(BATCH);
    let through_batch = || {
        let instances = store.instances(path.truncated(Level::Instance));
        instances
            .filter(|instance| batches.contains(instance))
            .any(|instance| {
                let shown = |id: &u16| {
                    instance
                        .child(batch::VALUE)
                        .and_then(|v| v.child(*id))
                        .is_some_and(|v| v.meets(path))
                };
                let mut links = batch::links(store, &instance)
                    .into_iter()
                    .filter(|(id, _)| shown(id));
                let configured = instance
                    .child(batch::CONFIGURATION)
                    .is_some_and(|c| changes.meet(&c));
                configured || links.any(|(_, link)| changes.meet(&link))
            })
    };
    changes.meet(path) || path.meets(&batches) && through_batch()
}
