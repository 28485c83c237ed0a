//! Operations that change something. All of one request is one transaction.

use std::collections::BTreeSet;

use super::{Requester, check_open};
use crate::access::{self, Right};
use crate::account;
use crate::batch;
use crate::format::{Creation, Record};
use crate::notify;
use crate::path::{Level, NO_ID, Path};
use crate::refusal::Refusal;
use crate::store::{Changes, Store, Transaction};

/// What becomes of what a Write does not name (LwM2M 1.1 Core §6.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It goes: PUT.
    Replace,
    /// It stays: POST, and iPATCH.
    Update,
}

/// A change of the tree on behalf of somebody: all of what it says is made, or nothing.
#[derive(Debug)]
pub struct Change<'a> {
    transaction: Transaction<'a>,
    who: Requester,
    /// Instances of Batch and Notify that were written to, and have to be right in the end.
    touched: BTreeSet<Path>,
}

impl<'a> Change<'a> {
    /// Begins one.
    pub fn new(store: &'a mut Store, who: Requester) -> Change<'a> {
        Change {
            transaction: store.transaction(),
            who,
            touched: BTreeSet::new(),
        }
    }

    /// Write: `records` are at or below `path`.
    ///
    /// # Errors
    /// Why nothing of it was written: 4.00, 4.01, 4.04, 4.05.
    pub fn write(mut self, path: Path, mode: Mode, records: &[Record]) -> Result<Changes, Refusal> {
        check_open(self.who, &path)?;
        if path.level() < Level::Instance {
            return Err(Refusal::not_allowed(
                &path,
                "write to an instance or a resource",
            ));
        }
        if !self
            .transaction
            .store()
            .contains(&path.truncated(Level::Instance))
        {
            return Err(Refusal::not_found(&path));
        }
        match path.level() {
            Level::Instance if !self.who.may(self.transaction.store(), &path, Right::Write) => {
                return Err(Refusal::unauthorized(&path));
            }
            Level::Instance => {}
            _ => self.check_writable(&path)?,
        }
        self.check_owners(records)?;
        if mode == Mode::Replace {
            self.clear(path)?;
        }
        // Of one resource instance that is all that is meant.
        let whole = mode == Mode::Replace && path.level() < Level::ResourceInstance;
        self.set_all(records, batch::is_value(&path).then_some(path), whole)?;
        if mode == Mode::Replace && path.level() == Level::Instance {
            self.check_complete(&path)?;
            self.touched.insert(path);
        }
        self.finish()
    }

    /// Write-Composite: records of several objects. Resource instances that are not named stay.
    ///
    /// # Errors
    /// As [`Change::write`].
    pub fn write_composite(mut self, records: &[Record]) -> Result<Changes, Refusal> {
        self.check_owners(records)?;
        self.set_all(records, None, false)?;
        self.finish()
    }

    /// Create; the path of the new instance. A server owns what it creates, where access is controlled.
    ///
    /// # Errors
    /// Why nothing was created: 4.00, 4.01, 4.04.
    pub fn create(mut self, creation: &Creation) -> Result<(Path, Changes), Refusal> {
        let object = Path::object(creation.object);
        check_open(self.who, &object)?;
        let store = self.transaction.store();
        if store.object(creation.object).is_none() {
            return Err(Refusal::not_found(&object));
        }
        if !self.who.may(store, &object, Right::Create) {
            return Err(Refusal::unauthorized(&object));
        }
        let path = match creation.instance {
            Some(id) => Some(Path::instance(creation.object, id)),
            None => store.free_instance(creation.object),
        };
        let path = path.ok_or_else(|| {
            Refusal::bad_request(format!("{object}: no room for another instance"))
        })?;
        self.transaction.create(path)?;
        if let Requester::Server(server) = self.who
            && let Some(control) = access::control_for(self.transaction.store(), server, &path)
            && let Some((first, _)) = control.first()
        {
            self.transaction.create(first.truncated(Level::Instance))?;
            for (path, value) in control {
                self.transaction.set(path, value)?;
            }
        }
        let records = creation.at(path.instance_id().unwrap_or_default());
        for record in &records {
            if batch::is_value(&record.path) {
                return Err(Refusal::bad_request(format!(
                    "{}: a batch value is computed",
                    record.path
                )));
            }
            self.set(record)?;
        }
        self.check_complete(&path)?;
        self.touched.insert(path);
        Ok((path, self.finish()?))
    }

    /// Delete: of an instance.
    ///
    /// # Errors
    /// Why it was not deleted: 4.01, 4.04, 4.05.
    pub fn delete(mut self, path: Path) -> Result<Changes, Refusal> {
        check_open(self.who, &path)?;
        let store = self.transaction.store();
        if path.level() != Level::Instance {
            return Err(Refusal::not_allowed(
                &path,
                "an instance is what can be deleted",
            ));
        }
        if !store.contains(&path) {
            return Err(Refusal::not_found(&path));
        }
        if !self.who.may(store, &path, Right::Delete) {
            return Err(Refusal::unauthorized(&path));
        }
        if self.every_client_has(&path) {
            return Err(Refusal::not_allowed(&path, "every client has it"));
        }
        self.delete_all(&[path])?;
        self.finish()
    }

    /// "The Instance of a Mandatory Object which is a Single Instance [...] cannot be deleted" (LwM2M 1.1 Core §6.3.6).
    pub(super) fn every_client_has(&self, instance: &Path) -> bool {
        let store = self.transaction.store();
        let model = instance.object_id().and_then(|id| store.object(id));
        instance.level() == Level::Instance
            && model.is_some_and(|model| model.mandatory && !model.multiple)
    }

    /// Deletes instances, each with its Access Control.
    pub(super) fn delete_all(&mut self, instances: &[Path]) -> Result<(), Refusal> {
        for instance in instances {
            // The one that controlled another has gone with it.
            if self.transaction.store().contains(instance) {
                self.transaction.delete(*instance)?;
                self.forget_control(instance)?;
            }
        }
        Ok(())
    }

    /// The tree as it would be.
    pub(super) fn store(&self) -> &Store {
        self.transaction.store()
    }

    /// Has an instance, which has to be right in the end.
    pub(super) fn have(&mut self, instance: Path) -> Result<(), Refusal> {
        self.touched.insert(instance);
        match self.transaction.store().contains(&instance) {
            true => Ok(()),
            false => Ok(self.transaction.create(instance)?),
        }
    }

    /// The Access Control instance of what was deleted goes, too (LwM2M 1.1 Core §8.2.4).
    fn forget_control(&mut self, instance: &Path) -> Result<(), Refusal> {
        let (Some(object), Some(id)) = (instance.object_id(), instance.instance_id()) else {
            return Ok(());
        };
        match access::control_of(self.transaction.store(), object, id).filter(|_| id != NO_ID) {
            Some(control) => Ok(self.transaction.delete(control)?),
            None => Ok(()),
        }
    }

    fn check_writable(&self, path: &Path) -> Result<(), Refusal> {
        check_open(self.who, path)?;
        let store = self.transaction.store();
        let model = store.model(path).ok_or_else(|| Refusal::not_found(path))?;
        if !store.contains(&path.truncated(Level::Instance)) {
            return Err(Refusal::not_found(path));
        }
        if !self.who.may(store, path, Right::Write) {
            return Err(Refusal::unauthorized(path));
        }
        match !self.who.is_server() || model.operations.write {
            true => Ok(()),
            false => Err(Refusal::not_allowed(path, "it cannot be written")),
        }
    }

    /// Takes out what a Write in [`Mode::Replace`] replaces: of an instance what may be written, of a multiple
    /// resource all its instances.
    pub(super) fn clear(&mut self, path: Path) -> Result<(), Refusal> {
        let store = self.transaction.store();
        let going: Vec<Path> = match path.level() {
            Level::Instance => {
                let writable = |p: &Path| {
                    store
                        .model(p)
                        .is_some_and(|model| !self.who.is_server() || model.operations.write)
                };
                store.resources(path).filter(writable).collect()
            }
            _ if batch::is_value(&path) => Vec::new(),
            Level::Resource => vec![path],
            _ => Vec::new(),
        };
        let emptied =
            path.level() == Level::Resource && store.model(&path).is_some_and(|m| m.multiple);
        for resource in going {
            self.transaction.remove(resource)?;
            if emptied {
                self.transaction.empty(resource)?;
            }
        }
        Ok(())
    }

    /// Only an owner points a Notify elsewhere: as things are before anything is written.
    fn check_owners(&self, records: &[Record]) -> Result<(), Refusal> {
        let of_notify = |record: &&Record| record.path.object_id() == Some(notify::NOTIFY);
        let mut records = records.iter().filter(of_notify);
        let store = self.transaction.store();
        records.try_for_each(|record| notify::check_owner(store, self.who, record))
    }

    /// Writes records, those of batch values together; `value`: the batch value that the request is of, of which
    /// there may be no record.
    fn set_all(
        &mut self,
        records: &[Record],
        value: Option<Path>,
        whole: bool,
    ) -> Result<(), Refusal> {
        let (values, others): (Vec<&Record>, Vec<&Record>) = records
            .iter()
            .partition(|record| batch::is_value(&record.path));
        for record in others {
            self.check_writable_record(record)?;
            self.set(record)?;
        }
        let paths = values.iter().map(|record| record.path).chain(value);
        let batches: BTreeSet<Path> = paths.map(|path| path.truncated(Level::Instance)).collect();
        for batch in batches {
            self.check_writable(&batch.child(batch::VALUE).unwrap_or_default())?;
            let of_it = values.iter().filter(|record| batch.contains(&record.path));
            let of_it: Vec<Record> = of_it.map(|record| (*record).clone()).collect();
            let store = self.transaction.store();
            // What a batch links to is written by the rules of what it links to.
            let linked = batch::linked(store, self.who, &batch, &of_it, whole)?;
            self.check_owners(&linked)?;
            linked.iter().try_for_each(|record| self.set(record))?;
        }
        Ok(())
    }

    /// A record of a Write: its resource has to be writable; an instance is only named.
    fn check_writable_record(&self, record: &Record) -> Result<(), Refusal> {
        match record.path.level() {
            Level::Resource | Level::ResourceInstance => self.check_writable(&record.path),
            _ => Ok(()),
        }
    }

    pub(super) fn set(&mut self, record: &Record) -> Result<(), Refusal> {
        let path = record.path;
        let special = [batch::BATCH, notify::NOTIFY].map(Some);
        if special.contains(&path.object_id()) {
            self.touched.insert(path.truncated(Level::Instance));
        }
        match (&record.value, path.level()) {
            (Some(value), _) => {
                account::check_value(&path, value)?;
                self.transaction.set(path, value.clone())?;
            }
            (None, Level::Resource) => self.transaction.empty(path)?,
            (None, _) => {}
        }
        Ok(())
    }

    /// A new instance has what every instance has, of what servers may write (LwM2M 1.1 Core §6.3.5).
    fn check_complete(&self, path: &Path) -> Result<(), Refusal> {
        let store = self.transaction.store();
        let model = path.object_id().and_then(|id| store.object(id));
        let mut needed = model.into_iter().flat_map(|model| model.resources.values());
        let missing = needed.find(|resource| {
            let there = path
                .child(resource.id)
                .is_none_or(|p| store.contains(&p) || batch::is_value(&p));
            resource.mandatory && resource.operations.write && !there
        });
        match missing {
            Some(resource) if self.who.is_server() => Err(Refusal::bad_request(format!(
                "{path}/{}: {} is mandatory",
                resource.id, resource.name
            ))),
            _ => Ok(()),
        }
    }

    /// Checks what the written instances of Batch and Notify say, and makes the change.
    pub(super) fn finish(self) -> Result<Changes, Refusal> {
        let store = self.transaction.store();
        for instance in self.touched.iter().filter(|path| store.contains(path)) {
            match instance.object_id() {
                Some(batch::BATCH) => batch::check(store, self.who, instance)?,
                Some(notify::NOTIFY) => notify::check(store, instance)?,
                _ => {}
            }
        }
        Ok(self.transaction.commit())
    }
}
