//! Batch (2346): resources of several objects, read and written as one (the third paper, §IV).
//!
//! The Batch Configuration (5913) lists links. The Batch Value (5914) is a view of what they link to: it is
//! computed when it is read, and a write of it is a write of them, all or none. Nothing is ever stored
//! under it, so that a change never runs in a circle.
//!
//! What the paper leaves open is closed like this:
//!
//! | question | rule |
//! | --- | --- |
//! | what may be linked | a single resource or an instance of a multiple one, once: else 4.00; nothing of Batch itself: 4.00; nothing of objects 0 and 21: 4.01 |
//! | read-only beside write-only | what all links allow of reading and writing is allowed; if that is nothing: 4.00 with both named |
//! | a link to what is not there | 4.04 when the configuration is written; left out of a read if it goes away later, 4.04 if none is left; 4.04 for a write that covers it |
//! | which value is whose | by the resource instance: 5914/k is that of the link 5913/k |
//! | PUT and POST of the value | PUT covers exactly the links, POST some of them: else 4.00 |
//! | values of other types | in their text form, taken strictly: else 4.00 |
//! | access | at every use by the rights of whoever asks; one refusal is one for all: 4.01 |

use std::collections::BTreeMap;

use coap::Code;

use crate::access::{OSCORE, Right, SECURITY};
use crate::format::Record;
use crate::model::Operations;
use crate::operations::Requester;
use crate::path::{Level, Path};
use crate::refusal::Refusal;
use crate::store::Store;
use crate::value::{FloatText, Value};

/// The object.
pub const BATCH: u16 = 2346;
/// Batch Configuration: the links.
pub const CONFIGURATION: u16 = 5913;
/// Batch Value: what they link to.
pub const VALUE: u16 = 5914;

/// Whether it is the value of a batch, or one of its instances.
pub fn is_value(path: &Path) -> bool {
    path.object_id() == Some(BATCH) && path.resource_id() == Some(VALUE)
}

/// The path that a link names: `/3303/0/5700`, or the same between angle brackets.
pub(crate) fn parse_link(text: &str) -> Result<Path, Refusal> {
    let inner = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'));
    let path = inner.unwrap_or(text).parse();
    path.map_err(|error| Refusal::bad_request(format!("link {error}")))
}

/// The links of a batch instance by their resource instances; what is no link is left out, and there is none in
/// a tree whose every change was checked.
pub fn links(store: &Store, instance: &Path) -> BTreeMap<u16, Path> {
    let Some(configuration) = instance.child(CONFIGURATION) else {
        return BTreeMap::new();
    };
    let records = store.records(configuration, |_, _| true).into_iter();
    let links = records.filter_map(|record| match record.value? {
        Value::String(text) => Some((record.path.resource_instance_id()?, parse_link(&text).ok()?)),
        _ => None,
    });
    links.collect()
}

/// What all links of a batch instance allow.
pub fn allowed(store: &Store, instance: &Path) -> Operations {
    let links = links(store, instance);
    let all = |allows: fn(&Operations) -> bool| {
        let mut models = links.values().filter_map(|link| store.model(link));
        !links.is_empty() && models.all(|model| allows(&model.operations))
    };
    Operations {
        read: all(|operations| operations.read),
        write: all(|operations| operations.write),
        execute: false,
    }
}

/// Whether the configuration of an instance can stand, written by `who`.
///
/// # Errors
/// Why not.
pub(crate) fn check(store: &Store, who: Requester, instance: &Path) -> Result<(), Refusal> {
    let configuration = instance.child(CONFIGURATION).unwrap_or_default();
    if !store.contains(&configuration) {
        return Err(Refusal::bad_request(format!(
            "{configuration}: expected the links of the batch"
        )));
    }
    let mut seen: Vec<Path> = Vec::new();
    for record in store.records(configuration, |_, _| true) {
        let Some(Value::String(text)) = record.value else {
            continue;
        };
        let link = parse_link(&text)?;
        if link.object_id() == Some(BATCH) {
            return Err(Refusal::bad_request(format!(
                "link {link}: a batch links to no batch"
            )));
        }
        check_link(store, &link)?;
        if seen.contains(&link) {
            return Err(Refusal::bad_request(format!("link {link}: linked twice")));
        }
        seen.push(link);
    }
    check_access(store, who, instance, &seen)
}

/// Whether something can be linked to: a value that is there, or that can be written.
pub(crate) fn check_link(store: &Store, link: &Path) -> Result<(), Refusal> {
    let object = link.object_id().unwrap_or_default();
    if [SECURITY, OSCORE].contains(&object) && link.level() > Level::Root {
        return Err(Refusal::unauthorized(link));
    }
    if link.level() < Level::Resource {
        return Err(Refusal::bad_request(format!(
            "link {link}: expected a resource, like /3303/0/5700"
        )));
    }
    let Some(model) = store
        .model(link)
        .filter(|_| store.contains(&link.truncated(Level::Instance)))
    else {
        return Err(Refusal::not_found(link));
    };
    if model.operations.execute {
        return Err(Refusal::bad_request(format!(
            "link {link}: executed, neither read nor written"
        )));
    }
    if model.multiple != (link.level() == Level::ResourceInstance) {
        let expected = match model.multiple {
            true => "one of its instances",
            false => "the resource, which has no instances",
        };
        return Err(Refusal::bad_request(format!(
            "link {link}: expected {expected}"
        )));
    }
    // What can be written may have no value yet.
    if !model.operations.write && !store.contains(link) && !is_value(link) {
        return Err(Refusal::not_found(link));
    }
    Ok(())
}

fn check_access(
    store: &Store,
    who: Requester,
    instance: &Path,
    links: &[Path],
) -> Result<(), Refusal> {
    let allowed = allowed(store, instance);
    if links.is_empty() {
        return Ok(());
    }
    if !allowed.read && !allowed.write {
        let without = |allows: fn(&Operations) -> bool| {
            let mut links = links.iter();
            links.find(|link| {
                store
                    .model(link)
                    .is_some_and(|model| !allows(&model.operations))
            })
        };
        let (unread, unwritten) = (without(|o| o.read), without(|o| o.write));
        let name = |link: Option<&Path>| link.map(Path::to_string).unwrap_or_default();
        return Err(Refusal::bad_request(format!(
            "links {} (not readable) and {} (not writable): nothing can be done to both",
            name(unread),
            name(unwritten)
        )));
    }
    for link in links {
        let may = (!allowed.read || who.may(store, link, Right::Read))
            && (!allowed.write || who.may(store, link, Right::Write));
        if !may {
            return Err(Refusal::unauthorized(link));
        }
    }
    Ok(())
}

/// The value of a batch instance, as instances of 5914, by the rights of `who`.
///
/// # Errors
/// 4.05 if its links cannot be read, 4.01 if one may not, 4.04 if none has a value.
pub fn read(
    store: &Store,
    who: Requester,
    instance: &Path,
    floats: FloatText,
) -> Result<Vec<Record>, Refusal> {
    let value = instance.child(VALUE).unwrap_or_default();
    let links = links(store, instance);
    if !links.is_empty() && !allowed(store, instance).read {
        return Err(Refusal::not_allowed(
            &value,
            "what it links to is not readable",
        ));
    }
    let mut records = Vec::new();
    for (id, link) in links {
        if !who.may(store, &link, Right::Read) {
            return Err(Refusal::unauthorized(&link));
        }
        if let (Some(value), Some(path)) = (store.value(&link), value.child(id)) {
            records.push(Record::new(path, Value::String(value.to_text(floats))));
        }
    }
    match records.is_empty() {
        true => Err(Refusal::not_found(&value)),
        false => Ok(records),
    }
}

/// What values of a batch instance say of what it links to; `whole`: all of them, with PUT.
///
/// # Errors
/// When one cannot be: 4.00, 4.01, 4.04, 4.05.
pub(crate) fn linked(
    store: &Store,
    who: Requester,
    instance: &Path,
    records: &[Record],
    whole: bool,
) -> Result<Vec<Record>, Refusal> {
    let (links, value) = (
        links(store, instance),
        instance.child(VALUE).unwrap_or_default(),
    );
    if !allowed(store, instance).write {
        return Err(Refusal::not_allowed(
            &value,
            "what it links to is not writable",
        ));
    }
    let given = (records.iter()).filter_map(|record| record.path.resource_instance_id());
    let given: Vec<u16> = given.collect();
    if let Some(stray) = given.iter().find(|id| !links.contains_key(id)) {
        return Err(Refusal::bad_request(format!(
            "{value}/{stray}: no link has this number"
        )));
    }
    if let Some(missing) = links.keys().find(|id| whole && !given.contains(id)) {
        return Err(Refusal::bad_request(format!(
            "{value}/{missing}: expected a value for every link"
        )));
    }
    let mut linked = Vec::new();
    for record in records {
        let link = (record.path.resource_instance_id()).and_then(|id| links.get(&id));
        let Some(link) = link else {
            continue;
        };
        if !who.may(store, link, Right::Write) {
            return Err(Refusal::unauthorized(link));
        }
        let ty = store.model(link).and_then(|model| model.ty);
        let (Some(ty), Some(Value::String(text))) = (ty, &record.value) else {
            return Err(Refusal::not_found(link));
        };
        let new = Value::from_text(text, ty);
        let new = new.map_err(|error| Refusal::bad_request(format!("{}: {error}", record.path)))?;
        linked.push(Record::new(*link, new));
    }
    Ok(linked)
}

/// The typed form of a value ([`Format::Cbor`](crate::Format::Cbor)): in the order of the links, with holes.
///
/// # Errors
/// As [`read`].
pub fn read_typed(
    store: &Store,
    who: Requester,
    instance: &Path,
) -> Result<Vec<Option<Value>>, Refusal> {
    read(store, who, instance, FloatText::Shortest)?;
    let links = links(store, instance);
    let Some(last) = links.keys().last().copied() else {
        return Err(Refusal::new(Code::NOT_FOUND, "no links"));
    };
    let value = |id: u16| links.get(&id).and_then(|link| store.value(link)).cloned();
    Ok((0..=last).map(value).collect())
}
