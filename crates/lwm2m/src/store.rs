//! [`Store`]: the objects of a client, their instances and values; all changes go through a
//! [`Transaction`], which is made whole or not at all.
//!
//! Owns the tree and which changes of it there are. It knows the types of its resources, and refuses a
//! value of another type. Who may do what is [`access`](crate::access)'s.

mod saved;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::format::Record;
use crate::model::{ObjectModel, Registry, ResourceModel};
use crate::path::{Level, NO_ID, Path};
use crate::value::{Type, Value};

pub use saved::SavedError;

/// Instances of all objects at most: what a server creates stays within bounds.
pub const MAX_INSTANCES: usize = 4096;

/// Instances of a multiple resource at most.
pub const MAX_RESOURCE_INSTANCES: usize = 255;

/// A client's tree.
#[derive(Clone, Debug)]
pub struct Store {
    registry: Arc<Registry>,
    /// The objects that the client has, also those without an instance.
    objects: BTreeSet<u16>,
    instances: BTreeMap<Path, Instance>,
}

/// An object instance.
#[derive(Clone, Debug, Default, PartialEq)]
struct Instance(BTreeMap<u16, Held>);

/// A resource of an instance.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    Single(Value),
    Multiple(BTreeMap<u16, Value>),
}

/// Why a change cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// The client has no such object.
    #[error("{0}: no such object")]
    NoObject(Path),
    /// There is no such object instance.
    #[error("{0}: no such object instance")]
    NoInstance(Path),
    /// The object has no such resource, or it is one level too deep or too high.
    #[error("{0}: no such resource")]
    NoResource(Path),
    /// A value of another type than the resource has.
    #[error("{path}: a value of type {got}, expected {expected}")]
    WrongType {
        /// Where.
        path: Path,
        /// The type that the value has.
        got: Type,
        /// The type of the resource.
        expected: Type,
    },
    /// A number outside the range of the resource.
    #[error("{path}: {value} is outside {low} to {high}")]
    OutOfRange {
        /// Where.
        path: Path,
        /// The number.
        value: f64,
        /// The least that it may be.
        low: f64,
        /// The most that it may be.
        high: f64,
    },
    /// The object may have one instance only, 0, or the instance is there already, or it is 65535.
    #[error("{0}: this instance cannot be created")]
    CannotCreate(Path),
    /// As many as are kept are there.
    #[error("{0}: no room for another one")]
    Full(Path),
}

/// What has changed: the paths of values that are others now, that have come, or that have gone, and of the
/// instances that have come or gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Of resources and their instances.
    pub values: BTreeSet<Path>,
    /// Of object instances that are there since.
    pub created: BTreeSet<Path>,
    /// Of object instances that are there no more.
    pub deleted: BTreeSet<Path>,
}

impl Changes {
    /// Notes what an instance has become.
    fn note(&mut self, path: Path, before: Option<&Instance>, after: Option<&Instance>) {
        match (before.is_some(), after.is_some()) {
            (false, true) => drop(self.created.insert(path)),
            (true, false) => drop(self.deleted.insert(path)),
            _ => {}
        }
        let values = [before, after].map(|i| i.map(|i| i.values(path)).unwrap_or_default());
        let [before, after] = &values;
        let paths = before.keys().chain(after.keys());
        (self.values).extend(paths.filter(|p| before.get(p) != after.get(p)));
    }

    /// Whether nothing is other than it was.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.created.is_empty() && self.deleted.is_empty()
    }

    /// Whether something at, below or around `path` is other than it was.
    pub fn meet(&self, path: &Path) -> bool {
        let all = [&self.values, &self.created, &self.deleted];
        all.iter()
            .any(|paths| paths.iter().any(|changed| changed.meets(path)))
    }
}

impl Store {
    /// A tree without objects.
    pub fn new(registry: Arc<Registry>) -> Store {
        Store {
            registry,
            objects: BTreeSet::new(),
            instances: BTreeMap::new(),
        }
    }

    /// What its objects are.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Has an object from now on; `false` if the registry does not know it.
    pub fn support(&mut self, object: u16) -> bool {
        self.registry.object(object).is_some() && {
            self.objects.insert(object);
            true
        }
    }

    /// The model of an object that the client has.
    pub fn object(&self, id: u16) -> Option<&ObjectModel> {
        self.registry
            .object(id)
            .filter(|_| self.objects.contains(&id))
    }

    /// The objects that the client has.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectModel> {
        self.objects
            .iter()
            .filter_map(|id| self.registry.object(*id))
    }

    /// The instances at or below `path`.
    pub fn instances(&self, path: Path) -> impl Iterator<Item = Path> + '_ {
        let path = path.truncated(Level::Instance);
        let from_there = self.instances.range(path..).map(|(instance, _)| *instance);
        from_there.take_while(move |instance| path.contains(instance))
    }

    /// The IDs of the resources that an instance has, in order.
    pub fn resources(&self, instance: Path) -> impl Iterator<Item = Path> + '_ {
        let held = self.instances.get(&instance).into_iter();
        held.flat_map(move |i| i.0.keys().filter_map(move |id| instance.child(*id)))
    }

    /// The model of the resource that `path` names, of an object that the client has.
    pub fn model(&self, path: &Path) -> Option<&ResourceModel> {
        self.object(path.object_id()?)?
            .resources
            .get(&path.resource_id()?)
    }

    /// The value of a single resource or of an instance of a multiple one.
    pub fn value(&self, path: &Path) -> Option<&Value> {
        let held = self.held(path)?;
        match (held, path.resource_instance_id()) {
            (Held::Single(value), None) => Some(value),
            (Held::Multiple(values), Some(id)) => values.get(&id),
            _ => None,
        }
    }

    /// The integer there, signed or unsigned, if it is one.
    pub fn integer(&self, path: &Path) -> Option<i64> {
        match self.value(path)? {
            Value::Integer(n) => Some(*n),
            Value::Unsigned(n) => i64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// Whether there is something: an object, an instance, a resource, a resource instance.
    pub fn contains(&self, path: &Path) -> bool {
        match path.level() {
            Level::Root => true,
            Level::Object => path
                .object_id()
                .is_some_and(|id| self.objects.contains(&id)),
            Level::Instance => self.instances.contains_key(path),
            Level::Resource => self.held(path).is_some(),
            Level::ResourceInstance => self.value(path).is_some(),
        }
    }

    /// The values at and below `path`, as records: those of resources for which `wanted` says so. A multiple resource
    /// without instances is a record without a value.
    pub fn records(
        &self,
        path: Path,
        wanted: impl Fn(&Path, &ResourceModel) -> bool,
    ) -> Vec<Record> {
        let mut records = Vec::new();
        for instance in self.instances(path) {
            for (id, held) in self.instances.get(&instance).into_iter().flat_map(|i| &i.0) {
                let Some(resource) = instance.child(*id).filter(|r| r.meets(&path)) else {
                    continue;
                };
                if self
                    .model(&resource)
                    .is_some_and(|model| wanted(&resource, model))
                {
                    held.record(resource, path, &mut records);
                }
            }
        }
        records
    }

    /// Becomes another tree, at once; what has changed by that.
    pub(crate) fn replace(&mut self, other: Store) -> Changes {
        let before = std::mem::replace(self, other);
        let mut changes = Changes::default();
        let paths = before.instances.keys().chain(self.instances.keys());
        for path in paths.collect::<BTreeSet<_>>() {
            changes.note(*path, before.instances.get(path), self.instances.get(path));
        }
        changes
    }

    /// Begins to change something.
    pub fn transaction(&mut self) -> Transaction<'_> {
        Transaction {
            store: self,
            before: BTreeMap::new(),
            done: false,
        }
    }

    /// The instance that a new one of an object may have: the least that is free.
    pub fn free_instance(&self, object: u16) -> Option<Path> {
        let model = self.object(object)?;
        let free = |id: &u16| !self.instances.contains_key(&Path::instance(object, *id));
        let most = if model.multiple { NO_ID } else { 1 };
        (0..most).find(free).map(|id| Path::instance(object, id))
    }

    fn held(&self, path: &Path) -> Option<&Held> {
        let instance = self.instances.get(&path.truncated(Level::Instance))?;
        instance.0.get(&path.resource_id()?)
    }

    /// What a value has to be at `path`.
    fn checked(&self, path: Path, value: Value) -> Result<Value, StoreError> {
        let model = self.model(&path).ok_or(StoreError::NoResource(path))?;
        let deep = path.level() == Level::ResourceInstance;
        let expected = model.ty.filter(|_| deep == model.multiple);
        let expected = expected.ok_or(StoreError::NoResource(path))?;
        let got = value.ty();
        let value = value.cast(expected).ok_or(StoreError::WrongType {
            path,
            got,
            expected,
        })?;
        match (value.number(), &model.range) {
            (Some(number), Some(range)) if !range.contains(&number) => {
                Err(StoreError::OutOfRange {
                    path,
                    value: number,
                    low: *range.start(),
                    high: *range.end(),
                })
            }
            _ => Ok(value),
        }
    }
}

impl Held {
    /// Its values at or below `within`.
    fn record(&self, resource: Path, within: Path, records: &mut Vec<Record>) {
        let record = |path, value: Option<&Value>| Record {
            path,
            value: value.cloned(),
            time: None,
        };
        match self {
            Held::Single(value) if within.contains(&resource) => {
                records.push(record(resource, Some(value)));
            }
            Held::Single(_) => {}
            Held::Multiple(values) if values.is_empty() && within.contains(&resource) => {
                records.push(record(resource, None));
            }
            Held::Multiple(values) => {
                let paths = values
                    .iter()
                    .filter_map(|(id, v)| Some((resource.child(*id)?, v)));
                let paths = paths.filter(|(path, _)| within.contains(path));
                records.extend(paths.map(|(path, value)| record(path, Some(value))));
            }
        }
    }
}

/// Changes that are made together. Nobody sees one of them before [`Transaction::commit`]; one that is dropped
/// has never been.
#[derive(Debug)]
pub struct Transaction<'a> {
    store: &'a mut Store,
    /// The instances that were touched, as they were.
    before: BTreeMap<Path, Option<Instance>>,
    done: bool,
}

impl Transaction<'_> {
    /// The tree as it would be.
    pub fn store(&self) -> &Store {
        self.store
    }

    /// Writes a value, of a resource that may be there or not yet.
    ///
    /// # Errors
    /// When there is no such instance or resource, or the value is none of its type or range.
    pub fn set(&mut self, path: Path, value: Value) -> Result<(), StoreError> {
        let value = self.store.checked(path, value)?;
        let instance = self.touch(path)?;
        let Some(resource) = path.resource_id() else {
            return Err(StoreError::NoResource(path));
        };
        match path.resource_instance_id() {
            None => drop(instance.0.insert(resource, Held::Single(value))),
            Some(id) => {
                let held = instance
                    .0
                    .entry(resource)
                    .or_insert(Held::Multiple(BTreeMap::new()));
                let Held::Multiple(values) = held else {
                    return Err(StoreError::NoResource(path));
                };
                if values.len() >= MAX_RESOURCE_INSTANCES && !values.contains_key(&id) {
                    return Err(StoreError::Full(path));
                }
                values.insert(id, value);
            }
        }
        Ok(())
    }

    /// Has a multiple resource without instances.
    ///
    /// # Errors
    /// When there is no such instance or multiple resource.
    pub fn empty(&mut self, path: Path) -> Result<(), StoreError> {
        let multiple = self.store.model(&path).is_some_and(|model| model.multiple);
        let resource = path
            .resource_id()
            .filter(|_| multiple && path.level() == Level::Resource);
        let resource = resource.ok_or(StoreError::NoResource(path))?;
        let instance = self.touch(path)?;
        instance.0.insert(resource, Held::Multiple(BTreeMap::new()));
        Ok(())
    }

    /// Takes a resource or one of its instances out, if it is there.
    ///
    /// # Errors
    /// When there is no such object instance.
    pub fn remove(&mut self, path: Path) -> Result<(), StoreError> {
        let instance = self.touch(path)?;
        let resource = path.resource_id().unwrap_or(NO_ID);
        match path.resource_instance_id() {
            None => drop(instance.0.remove(&resource)),
            Some(id) => {
                if let Some(Held::Multiple(values)) = instance.0.get_mut(&resource) {
                    values.remove(&id);
                }
            }
        }
        Ok(())
    }

    /// Creates an instance without resources.
    ///
    /// # Errors
    /// When the client has no such object, or the object no room for it.
    pub fn create(&mut self, path: Path) -> Result<(), StoreError> {
        let (Some(object), Some(id)) = (path.object_id(), path.instance_id()) else {
            return Err(StoreError::CannotCreate(path));
        };
        let Some(model) = self.store.object(object) else {
            return Err(StoreError::NoObject(Path::object(object)));
        };
        let taken = self.store.instances.contains_key(&path);
        if taken || id == NO_ID || !(model.multiple || id == 0) || path.level() != Level::Instance {
            return Err(StoreError::CannotCreate(path));
        }
        if self.store.instances.len() >= MAX_INSTANCES {
            return Err(StoreError::Full(path));
        }
        self.before.entry(path).or_insert(None);
        self.store.instances.insert(path, Instance::default());
        Ok(())
    }

    /// Takes an instance out.
    ///
    /// # Errors
    /// When it is not there.
    pub fn delete(&mut self, path: Path) -> Result<(), StoreError> {
        self.touch(path)?;
        self.store
            .instances
            .remove(&path.truncated(Level::Instance));
        Ok(())
    }

    /// Makes the changes; what has changed by them, as a whole: what was changed back has not.
    pub fn commit(mut self) -> Changes {
        self.done = true;
        let mut changes = Changes::default();
        for (path, before) in &self.before {
            changes.note(*path, before.as_ref(), self.store.instances.get(path));
        }
        changes
    }

    /// The instance of `path`, remembered as it was.
    fn touch(&mut self, path: Path) -> Result<&mut Instance, StoreError> {
        let at = path.truncated(Level::Instance);
        let instance = self.store.instances.get_mut(&at);
        let instance = instance.ok_or(StoreError::NoInstance(at))?;
        self.before
            .entry(at)
            .or_insert_with(|| Some(instance.clone()));
        Ok(instance)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        for (path, before) in std::mem::take(&mut self.before) {
            match before {
                Some(instance) => drop(self.store.instances.insert(path, instance)),
                None => drop(self.store.instances.remove(&path)),
            }
        }
    }
}

impl Instance {
    /// Its values by their paths; a multiple resource without instances by its own, with no value.
    fn values(&self, path: Path) -> BTreeMap<Path, Option<&Value>> {
        let mut values = BTreeMap::new();
        for (id, held) in &self.0 {
            let Some(resource) = path.child(*id) else {
                continue;
            };
            match held {
                Held::Single(value) => drop(values.insert(resource, Some(value))),
                Held::Multiple(held) if held.is_empty() => drop(values.insert(resource, None)),
                Held::Multiple(held) => {
                    let instances = held
                        .iter()
                        .filter_map(|(id, v)| Some((resource.child(*id)?, Some(v))));
                    values.extend(instances);
                }
            }
        }
        values
    }
}

#[cfg(test)]
mod tests;
