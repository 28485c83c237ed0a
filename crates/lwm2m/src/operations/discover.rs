//! Discover, and the list of objects of a registration (LwM2M 1.1 Core §6.2.1, §6.3.2): links without values.

use super::{Requester, check_open};
use crate::access::{OSCORE, SECURITY};
use crate::attributes::Attributes;
use crate::batch;
use crate::model::Version;
use crate::path::{Level, Path};
use crate::refusal::Refusal;
use crate::store::Store;

/// The attributes that a server attached to a path, if it did.
pub type Attached<'a> = &'a dyn Fn(&Path) -> Option<Attributes>;

/// The links at and one level below `path`, of an instance with all its resources, in the CoRE Link Format (RFC 6690).
///
/// # Errors
/// 4.04 if it is not there; 4.01 of Security.
pub fn discover(
    store: &Store,
    who: Requester,
    path: Path,
    attached: Attached<'_>,
) -> Result<String, Refusal> {
    check_open(who, &path)?;
    let there = store.contains(&path)
        || batch::is_value(&path) && store.contains(&path.truncated(Level::Instance));
    if path.level() == Level::Root || !there {
        return Err(Refusal::not_found(&path));
    }
    let mut links = Vec::new();
    let mut link = |path: Path, more: String| {
        let attributes = attached(&path).map(|attributes| attributes.to_link());
        links.push(format!("<{path}>{more}{}", attributes.unwrap_or_default()));
    };
    match path.level() {
        Level::Object => {
            link(path, version(store, &path));
            for instance in store.instances(path) {
                link(instance, String::new());
                resources(store, &instance).for_each(|(resource, _)| link(resource, String::new()));
            }
        }
        Level::Instance => {
            link(path, String::new());
            for (resource, dimension) in resources(store, &path) {
                link(
                    resource,
                    dimension.map(|n| format!(";dim={n}")).unwrap_or_default(),
                );
            }
        }
        _ => {
            let found =
                resources(store, &path.truncated(Level::Instance)).find(|(p, _)| p.contains(&path));
            let (_, dimension) = found.ok_or_else(|| Refusal::not_found(&path))?;
            link(
                path,
                dimension.map(|n| format!(";dim={n}")).unwrap_or_default(),
            );
        }
    }
    Ok(links.join(","))
}

/// The links of a registration: the objects and their instances, without Security (LwM2M 1.1 Core §6.2.1): with
/// `rt="oma.lwm2m"` and the Content-Formats `ct` at the root from 1.1 on.
pub fn registered(store: &Store, version: Version, content_format: Option<u16>) -> String {
    let mut links = Vec::new();
    if version > Version::V1_0 {
        let ct = content_format
            .map(|ct| format!(";ct={ct}"))
            .unwrap_or_default();
        links.push(format!("</>;rt=\"oma.lwm2m\"{ct}"));
    }
    let told = |object: &Path| ![SECURITY, OSCORE].map(Some).contains(&object.object_id());
    let objects = store.objects().map(|object| Path::object(object.id));
    for object in objects.filter(told) {
        links.extend(object_links(store, &object, &|_| String::new()));
    }
    links.join(",")
}

/// The links of an object and its instances, with what `more` says of these. The object is named where it has no instance,
/// or a version to tell.
pub(super) fn object_links(
    store: &Store,
    object: &Path,
    more: &dyn Fn(&Path) -> String,
) -> Vec<String> {
    let instances = store.instances(*object);
    let instances = instances.map(|instance| format!("<{instance}>{}", more(&instance)));
    let instances: Vec<String> = instances.collect();
    let ver = version(store, object);
    let named = (instances.is_empty() || !ver.is_empty()).then(|| format!("<{object}>{ver}"));
    named.into_iter().chain(instances).collect()
}

/// `;ver=1.1`; nothing of 1.0 (LwM2M 1.1 Core §7.2.2).
fn version(store: &Store, object: &Path) -> String {
    let model = object.object_id().and_then(|id| store.object(id));
    let told = model
        .map(|model| model.version)
        .filter(|version| *version != Version::V1_0);
    told.map(|version| format!(";ver={version}"))
        .unwrap_or_default()
}

/// The resources of an instance: those with a value, those that can be executed, and the computed ones; of the multiple
/// ones how many instances they have.
fn resources<'a>(
    store: &'a Store,
    instance: &Path,
) -> impl Iterator<Item = (Path, Option<usize>)> + 'a {
    let instance = *instance;
    let model = instance.object_id().and_then(|id| store.object(id));
    let models = model.into_iter().flat_map(|model| model.resources.values());
    models.filter_map(move |model| {
        let path = instance.child(model.id)?;
        let computed = batch::is_value(&path);
        let there = store.contains(&path) || model.operations.execute || computed;
        let counted = if computed {
            instance.child(batch::CONFIGURATION)?
        } else {
            path
        };
        let count = || {
            store
                .records(counted, |_, _| true)
                .iter()
                .filter(|r| r.value.is_some())
                .count()
        };
        there.then(|| (path, model.multiple.then(count)))
    })
}
