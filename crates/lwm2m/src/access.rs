//! Who may do what: access control by object 2 (LwM2M 1.1 Core §8.2).
//!
//! A client with one server gives it all rights. With several, an instance's Access Control object
//! instance says what each may do; without one nobody may. The Security object is nobody's (§E.1).

use crate::path::{NO_ID, Path};
use crate::store::Store;
use crate::value::Value;

/// The Security object, which no server may touch.
pub const SECURITY: u16 = 0;
/// The Server object.
pub const SERVER: u16 = 1;
/// The Access Control object.
pub const ACCESS_CONTROL: u16 = 2;
/// The OSCORE object, which no server may touch, either (LwM2M 1.1 Core §E.8).
pub const OSCORE: u16 = 21;

const OBJECT_ID: u16 = 0;
const OBJECT_INSTANCE_ID: u16 = 1;
const ACL: u16 = 2;
const OWNER: u16 = 3;

/// The ACL resource instance for servers that have none of their own (LwM2M 1.1 Core §E.3).
const DEFAULT: u16 = 0;

/// What a server wants to do, by its bit in an ACL (LwM2M 1.1 Core §E.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// Read, Observe, Write-Attributes.
    Read = 1,
    /// Write.
    Write = 2,
    /// Execute.
    Execute = 4,
    /// Delete.
    Delete = 8,
    /// Create.
    Create = 16,
}

/// Whether the server with Short Server ID `server` may do it to what is at `path`: an instance or something of it; of
/// [`Right::Create`] the object.
pub fn allows(store: &Store, server: u16, path: &Path, right: Right) -> bool {
    let Some(object) = path.object_id() else {
        return false;
    };
    if object == SECURITY || object == OSCORE {
        return false;
    }
    // Accounts come and go by bootstrap (LwM2M 1.1 Core §6.3.6, §6.3.7).
    if object == SERVER && matches!(right, Right::Create | Right::Delete) {
        return false;
    }
    if store.instances(Path::object(SERVER)).take(2).count() < 2 {
        // "If the LwM2M Client has only one LwM2M Server Object Instance, the LwM2M Client MUST
        // authorize" (§8.2.1), and nobody has to be told apart.
        return true;
    }
    let instance = match right {
        Right::Create => NO_ID,
        _ => path.instance_id().unwrap_or(NO_ID),
    };
    if object == ACCESS_CONTROL {
        let owner = Path::instance(ACCESS_CONTROL, instance);
        // "Only the Access Control Owner may manage it"; all may see whose what is.
        return right == Right::Read || owner_of(store, owner) == Some(server);
    }
    let Some(control) = control_of(store, object, instance) else {
        return false;
    };
    let acl = |of: u16| {
        let path = Path::resource_instance(ACCESS_CONTROL, control.instance_id()?, ACL, of);
        store.integer(&path)
    };
    let rights = match (acl(server), acl(DEFAULT)) {
        (Some(own), _) => own,
        // "the LwM2M Server which is declared Access Control Owner has full access [...] if it has no ACL
        // of its own" (§8.2.2).
        (None, _) if owner_of(store, control) == Some(server) && right != Right::Create => 0xf,
        (None, Some(default)) => default,
        (None, None) => 0,
    };
    rights & right as i64 != 0
}

/// The Access Control instance of an object instance.
pub fn control_of(store: &Store, object: u16, instance: u16) -> Option<Path> {
    store
        .instances(Path::object(ACCESS_CONTROL))
        .find(|control| {
            let id = |resource| {
                control
                    .child(resource)
                    .and_then(|path| store.integer(&path))
            };
            id(OBJECT_ID) == Some(object.into()) && id(OBJECT_INSTANCE_ID) == Some(instance.into())
        })
}

/// The values of an Access Control instance by which `server` owns an object instance that it created
/// (LwM2M 1.1 Core §8.2.4); none where no access is controlled.
pub fn control_for(store: &Store, server: u16, created: &Path) -> Option<Vec<(Path, Value)>> {
    if store.instances(Path::object(SERVER)).take(2).count() < 2 {
        return None;
    }
    let control = store.free_instance(ACCESS_CONTROL)?;
    let (object, instance) = (created.object_id()?, created.instance_id()?);
    let all = [
        (OBJECT_ID, i64::from(object)),
        (OBJECT_INSTANCE_ID, i64::from(instance)),
        (OWNER, i64::from(server)),
    ];
    all.into_iter()
        .map(|(resource, n)| Some((control.child(resource)?, Value::Integer(n))))
        .collect()
}

/// Access Control instances, with their values, by which all of several servers share what nobody's access is said of.
pub(crate) fn shared(store: &Store) -> Vec<(Path, Vec<(Path, Value)>)> {
    let servers: Vec<Path> = store.instances(Path::object(SERVER)).collect();
    if servers.len() < 2 {
        return Vec::new();
    }
    let id_of = |server: &Path| store.integer(&server.child(0)?);
    let first = servers.first().and_then(id_of).unwrap_or_default();
    let apart = [SECURITY, OSCORE, ACCESS_CONTROL].map(Some);
    let instances = store
        .instances(Path::ROOT)
        .filter(|i| !apart.contains(&i.object_id()));
    let instances = instances.map(|instance| match instance.object_id() {
        Some(SERVER) => (instance, id_of(&instance).unwrap_or(first), 0),
        _ => (instance, first, 0x7),
    });
    let objects = store.objects().filter(|object| object.multiple);
    let objects = objects.map(|object| Path::instance(object.id, NO_ID));
    let objects = objects.filter(|path| !apart.contains(&path.object_id()));
    let created = objects.map(|path| (path, i64::from(NO_ID), Right::Create as i64));
    let unsaid = instances.chain(created).filter(|(path, ..)| {
        let ids = path.object_id().zip(path.instance_id());
        ids.is_some_and(|(object, instance)| control_of(store, object, instance).is_none())
    });
    let free = (0..NO_ID).map(|id| Path::instance(ACCESS_CONTROL, id));
    let free = free.filter(|control| !store.contains(control));
    let controls = free.zip(unsaid).map(|(control, (path, owner, rights))| {
        let at = |resource: u16| control.child(resource).unwrap_or(control);
        let number = |id: Option<u16>| Value::Integer(id.unwrap_or_default().into());
        let mut values = vec![
            (at(OBJECT_ID), number(path.object_id())),
            (at(OBJECT_INSTANCE_ID), number(path.instance_id())),
            (at(OWNER), Value::Integer(owner)),
        ];
        let default = at(ACL).child(DEFAULT).filter(|_| rights != 0);
        values.extend(default.map(|acl| (acl, Value::Integer(rights))));
        (control, values)
    });
    controls.collect()
}

fn owner_of(store: &Store, control: Path) -> Option<u16> {
    u16::try_from(store.integer(&control.child(OWNER)?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Registry;
    use std::sync::Arc;

    /// A client of servers 1 and 2; `/3303/0` is owned by 1, and 2 may read it; `/3303/1` is what the default says;
    /// on 3304 nobody has said anything; 1 may create instances of 3303.
    fn store(servers: u16) -> Store {
        let mut store = Store::new(Arc::new(Registry::built_in()));
        for object in [1, 2, 3303, 3304] {
            store.support(object);
        }
        let mut begun = store.transaction();
        for server in 0..servers {
            begun.create(Path::instance(1, server)).unwrap();
        }
        for (control, object, instance, owner, acl) in [
            (0, 3303, 0, 1, vec![(2, 1)]),
            (1, 3303, 1, 2, vec![(0, 3)]),
            (2, 3303, NO_ID, 65535, vec![(1, 16)]),
        ] {
            let path = Path::instance(2, control);
            begun.create(path).unwrap();
            for (resource, n) in [(0, object), (1, i64::from(instance)), (3, owner)] {
                begun
                    .set(path.child(resource).unwrap(), Value::Integer(n))
                    .unwrap();
            }
            for (server, rights) in acl {
                let path = Path::resource_instance(2, control, 2, server);
                begun.set(path, Value::Integer(rights)).unwrap();
            }
        }
        begun.commit();
        store
    }

    #[test]
    fn one_server_may_do_all_but_see_secrets() {
        let store = store(1);
        assert!(allows(&store, 7, &Path::instance(3304, 0), Right::Delete));
        assert!(!allows(&store, 7, &Path::instance(0, 0), Right::Read));
        assert!(!allows(&store, 7, &Path::object(21), Right::Create));
        assert_eq!(control_for(&store, 7, &Path::instance(3304, 0)), None);
    }

    #[test]
    fn of_several_each_may_do_what_the_list_says() {
        let store = store(2);
        let may = |server, path: &str, right| allows(&store, server, &path.parse().unwrap(), right);
        // The owner without an entry; one with an entry.
        assert!(may(1, "/3303/0/5700", Right::Write) && may(1, "/3303/0", Right::Delete));
        assert!(may(2, "/3303/0/5700", Right::Read) && !may(2, "/3303/0/5700", Right::Write));
        // The default holds for whoever has no entry, and is no owner.
        assert!(may(1, "/3303/1", Right::Write) && !may(1, "/3303/1", Right::Execute));
        assert!(may(2, "/3303/1", Right::Execute));
        // Creating is of the object.
        assert!(may(1, "/3303", Right::Create) && !may(2, "/3303", Right::Create));
        assert!(!may(1, "/3304", Right::Create) && !may(1, "/3304/0", Right::Read));
        // Access control is managed by its owner.
        assert!(may(2, "/2/0/2", Right::Read) && !may(2, "/2/0/2", Right::Write));
        assert!(may(1, "/2/0/2", Right::Write));
    }

    #[test]
    fn what_a_server_creates_is_its_own() {
        let mut store = store(2);
        let control = control_for(&store, 2, &Path::instance(3304, 5)).unwrap();
        let mut begun = store.transaction();
        begun.create(Path::instance(2, 3)).unwrap();
        control
            .into_iter()
            .for_each(|(path, value)| begun.set(path, value).unwrap());
        begun.commit();
        let path = Path::instance(3304, 5);
        assert!(allows(&store, 2, &path, Right::Delete) && !allows(&store, 1, &path, Right::Read));
    }
}
