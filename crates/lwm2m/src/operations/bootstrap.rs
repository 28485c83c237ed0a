//! What a bootstrap server does to a tree (LwM2M 1.1 Core §6.1.7; Transport, table 6.4.2-1): without access control, and
//! also to what servers cannot write.
//!
//! | operation | here | errors |
//! | --- | --- | --- |
//! | Bootstrap-Write | [`Change::bootstrap_write`] | 4.00, 4.05 |
//! | Bootstrap-Delete | [`Change::bootstrap_delete`] | 4.00, 4.05 |
//! | Bootstrap-Read | [`bootstrap_read`] | 4.04, 4.05 |
//! | Bootstrap-Discover | [`bootstrap_discover`] | 4.04, 4.05 |

use std::collections::BTreeSet;

use super::write::Change;
use super::{Requester, discover, read};
use crate::access::{ACCESS_CONTROL, SECURITY, SERVER};
use crate::account;
use crate::batch;
use crate::format::Record;
use crate::model::Version;
use crate::path::{Level, Path};
use crate::refusal::Refusal;
use crate::store::{Changes, Store};
use crate::value::FloatText;

impl Change<'_> {
    /// Bootstrap-Write to an object, an instance or a resource: instances that `records` are of, or that `path` is, are there
    /// afterwards with these values and no others; of an object the other ones stay.
    ///
    /// "The LwM2M Client MUST ignore" resources that it does not know: unless the whole write is of one.
    ///
    /// # Errors
    /// Why nothing of it was written: 4.00, 4.05.
    pub fn bootstrap_write(mut self, path: Path, records: &[Record]) -> Result<Changes, Refusal> {
        let level = path.level();
        if !(Level::Object..=Level::Resource).contains(&level) {
            let why = "write to an object, an instance or a resource";
            return Err(Refusal::not_allowed(&path, why));
        }
        if !self.store().contains(&path.truncated(Level::Object)) {
            let text = format!("{path}: this client has no such object");
            return Err(Refusal::bad_request(text));
        }
        if level == Level::Resource && !self.is_known(&path) {
            return Err(Refusal::bad_request(format!("{path}: no such resource")));
        }
        let own = (level > Level::Object).then(|| path.truncated(Level::Instance));
        let named = records.iter().map(|record| record.path);
        let named = named.map(|path| path.truncated(Level::Instance));
        let instances: BTreeSet<Path> = named.chain(own).collect();
        for instance in instances.iter().filter(|i| i.level() == Level::Instance) {
            self.have(*instance).map_err(unknown)?;
            if level < Level::Resource {
                self.clear(*instance)?;
            }
        }
        if level == Level::Resource {
            self.clear(path)?;
        }
        for record in records {
            if !self.is_known(&record.path) {
                continue;
            }
            if batch::is_value(&record.path) {
                let text = format!("{}: a batch value is computed", record.path);
                return Err(Refusal::bad_request(text));
            }
            self.set(record).map_err(unknown)?;
        }
        self.finish().map_err(unknown)
    }

    /// Bootstrap-Delete of all, of an object, of an instance. "All Instances of all Objects in the LwM2M Client MUST be
    /// removed except" the bootstrap server's account and Device, "which are not affected by any Delete operation".
    ///
    /// # Errors
    /// 4.00 of an instance that stays or is not there, or of an object that is not; 4.05 of anything below an instance.
    pub fn bootstrap_delete(mut self, path: Path) -> Result<Changes, Refusal> {
        if path.level() > Level::Instance {
            let why = "delete an object or an instance";
            return Err(Refusal::not_allowed(&path, why));
        }
        if !self.store().contains(&path) {
            return Err(Refusal::bad_request(format!("{path}: not here")));
        }
        let stays = |instance: &Path| {
            self.every_client_has(instance) || account::stays(self.store(), instance)
        };
        if path.level() == Level::Instance && stays(&path) {
            return Err(Refusal::bad_request(format!("{path}: it stays")));
        }
        let going = self.store().instances(path).filter(|i| !stays(i));
        let going: Vec<Path> = going.collect();
        self.delete_all(&going)?;
        self.finish()
    }

    /// Whether the client has what a record is of; an instance is only named.
    fn is_known(&self, path: &Path) -> bool {
        let model = self.store().model(path);
        path.level() < Level::Resource || model.is_some_and(|model| model.ty.is_some())
    }
}

/// Of a bootstrap server's requests there is no 4.04: what it names wrongly is "bad or unknown" (table 6.4.2-1).
fn unknown(refusal: Refusal) -> Refusal {
    match refusal.code {
        coap::Code::NOT_FOUND => Refusal::bad_request(refusal.text),
        _ => refusal,
    }
}

/// Bootstrap-Read: of the Server and the Access Control object.
///
/// # Errors
/// 4.04 of what is not there, 4.05 of another object.
pub fn bootstrap_read(
    store: &Store,
    path: Path,
    floats: FloatText,
) -> Result<Vec<Record>, Refusal> {
    match path.object_id() {
        Some(SERVER | ACCESS_CONTROL) if path.level() == Level::Object => {
            Ok(store.records(path, |_, _| true))
        }
        Some(SERVER | ACCESS_CONTROL) => read(store, Requester::Bootstrap, path, floats),
        _ => Err(Refusal::not_allowed(
            &path,
            "a bootstrap server reads objects 1 and 2",
        )),
    }
}

/// Bootstrap-Discover of all or of an object: the newest version of LwM2M that the client speaks, the objects and their
/// instances, of accounts the Short Server ID and the URI (LwM2M 1.1 Core §6.1.7.3).
///
/// # Errors
/// 4.04 of an object that is not there, 4.05 of anything below one.
pub fn bootstrap_discover(store: &Store, version: Version, path: Path) -> Result<String, Refusal> {
    if path.level() > Level::Object {
        return Err(Refusal::not_allowed(&path, "discover all, or an object"));
    }
    if !store.contains(&path) {
        return Err(Refusal::not_found(&path));
    }
    let mut links = vec![format!("</>;lwm2m={version}")];
    let objects = store.objects().map(|object| Path::object(object.id));
    for object in objects.filter(|object| path.contains(object)) {
        links.extend(discover::object_links(store, &object, &|instance| {
            account_attributes(store, instance)
        }));
    }
    Ok(links.join(","))
}

/// `;ssid=1;uri="coap://[2001:db8::1]"` of an instance of Security, `;ssid=1` of one of Server.
fn account_attributes(store: &Store, instance: &Path) -> String {
    let Some(id) = account::short_id(store, instance) else {
        return String::new();
    };
    // In the quotes of a link there is neither a quote nor a backslash (RFC 6690 §2).
    let uri = account::uri(store, instance).filter(|_| instance.object_id() == Some(SECURITY));
    let uri = uri.filter(|uri| !uri.contains(['"', '\\']));
    let uri = uri.map(|uri| format!(";uri=\"{uri}\""));
    format!(";ssid={id}{}", uri.unwrap_or_default())
}
