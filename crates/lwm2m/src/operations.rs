//! What servers do to a client's tree, without CoAP: Read, Discover, Write, Create, Delete, Execute and the
//! composites (LwM2M 1.1 Core §6.2, §6.3), each with its access control and its error.
//!
//! | operation | here | errors |
//! | --- | --- | --- |
//! | Read | [`read`] | 4.01, 4.04, 4.05 |
//! | Read-Composite | [`read_composite`] | none: what cannot be read is left out |
//! | Discover | [`discover`] | 4.01, 4.04 |
//! | Write, Write-Composite | [`Change::write`], [`Change::write_composite`] | 4.00, 4.01, 4.04, 4.05 |
//! | Create | [`Change::create`] | 4.00, 4.01, 4.04 |
//! | Delete | [`Change::delete`] | 4.01, 4.04, 4.05 |
//! | Execute | [`executable`] | 4.01, 4.04, 4.05 |
//! | Bootstrap-Write, -Delete | [`Change::bootstrap_write`], [`Change::bootstrap_delete`] | 4.00, 4.05 |
//! | Bootstrap-Discover, -Read | [`bootstrap_discover`], [`bootstrap_read`] | 4.04, 4.05 |

mod bootstrap;
mod discover;
mod write;

use std::collections::BTreeSet;

use crate::access::{self, OSCORE, Right, SECURITY};
use crate::batch;
use crate::format::Record;
use crate::path::{Level, Path};
use crate::refusal::Refusal;
use crate::store::Store;
use crate::value::FloatText;

pub use bootstrap::{bootstrap_discover, bootstrap_read};
pub use discover::{Attached, discover, registered};
pub use write::{Change, Mode};

/// On whose behalf something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requester {
    /// The server with this Short Server ID.
    Server(u16),
    /// The bootstrap server, while it configures the client.
    Bootstrap,
    /// The device itself.
    Device,
}

impl Requester {
    /// Whether it may do that.
    pub fn may(self, store: &Store, path: &Path, right: Right) -> bool {
        match self {
            Requester::Server(id) => access::allows(store, id, path, right),
            Requester::Bootstrap | Requester::Device => true,
        }
    }

    /// Whether what a model allows servers counts.
    fn is_server(self) -> bool {
        matches!(self, Requester::Server(_))
    }
}

/// The values at and below `path`.
///
/// # Errors
/// 4.04 if it is not there, 4.05 if it cannot be read, 4.01 if `who` may not.
pub fn read(
    store: &Store,
    who: Requester,
    path: Path,
    floats: FloatText,
) -> Result<Vec<Record>, Refusal> {
    check_readable(store, who, &path)?;
    if batch::is_value(&path) {
        let instance = path.truncated(Level::Instance);
        let mut records = batch::read(store, who, &instance, floats)?;
        records.retain(|record| path.contains(&record.path));
        return match records.is_empty() {
            true => Err(Refusal::not_found(&path)),
            false => Ok(records),
        };
    }
    let mut records = Vec::new();
    let mut refused = None;
    for instance in store.instances(path) {
        if !who.may(store, &instance, Right::Read) {
            refused = Some(instance);
            continue;
        }
        let below = if instance.contains(&path) {
            path
        } else {
            instance
        };
        let found = store.records(below, |_, model| !who.is_server() || model.operations.read);
        if found.is_empty() && path.level() <= Level::Instance {
            records.push(Record::named(instance));
        }
        records.extend(found);
        // The computed value stands after the configuration, in the order of the tree.
        if instance.object_id() == Some(batch::BATCH) && path.level() <= Level::Instance {
            records.extend(batch::read(store, who, &instance, floats).unwrap_or_default());
        }
    }
    match refused {
        Some(instance) if records.is_empty() => Err(Refusal::unauthorized(&instance)),
        _ => Ok(records),
    }
}

/// Whether there is something to read at `path`.
fn check_readable(store: &Store, who: Requester, path: &Path) -> Result<(), Refusal> {
    check_open(who, path)?;
    if path.level() == Level::Root {
        return Err(Refusal::not_allowed(path, "read an object of it"));
    }
    if !store.contains(&path.truncated(Level::Instance)) {
        return Err(Refusal::not_found(path));
    }
    if path.level() >= Level::Instance && !who.may(store, path, Right::Read) {
        return Err(Refusal::unauthorized(path));
    }
    if path.level() >= Level::Resource {
        let model = store.model(path).ok_or_else(|| Refusal::not_found(path))?;
        if who.is_server() && !model.operations.read {
            return Err(Refusal::not_allowed(path, "it cannot be read"));
        }
        if !store.contains(path) && !batch::is_value(path) {
            return Err(Refusal::not_found(path));
        }
    }
    Ok(())
}

/// Security is nobody's to see (LwM2M 1.1 Core §E.1).
fn check_open(who: Requester, path: &Path) -> Result<(), Refusal> {
    match path.object_id() {
        Some(SECURITY | OSCORE) if who.is_server() => Err(Refusal::unauthorized(path)),
        _ => Ok(()),
    }
}

/// The values at several paths; what is not there, or cannot be read, is left out (LwM2M 1.1 Core §6.3.8). What
/// two paths name is there once.
pub fn read_composite(
    store: &Store,
    who: Requester,
    paths: &[Path],
    floats: FloatText,
) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let mut there = BTreeSet::new();
    for path in paths {
        let roots: Vec<Path> = match path.level() {
            Level::Root => store
                .objects()
                .map(|object| Path::object(object.id))
                .collect(),
            _ => vec![*path],
        };
        for root in roots {
            let found = read(store, who, root, floats).unwrap_or_default();
            let found = found.into_iter().filter(|record| record.value.is_some());
            for record in found {
                if there.insert(record.path) {
                    records.push(record);
                }
            }
        }
    }
    records
}

/// Whether `path` is a resource that `who` may execute.
///
/// # Errors
/// Why not.
pub fn executable(store: &Store, who: Requester, path: &Path) -> Result<(), Refusal> {
    check_open(who, path)?;
    if path.level() != Level::Resource {
        return Err(Refusal::not_allowed(
            path,
            "a resource is what can be executed",
        ));
    }
    let model = store
        .model(path)
        .filter(|_| store.contains(&path.truncated(Level::Instance)));
    let model = model.ok_or_else(|| Refusal::not_found(path))?;
    if !who.may(store, path, Right::Execute) {
        return Err(Refusal::unauthorized(path));
    }
    match model.operations.execute {
        true => Ok(()),
        false => Err(Refusal::not_allowed(path, "it cannot be executed")),
    }
}
