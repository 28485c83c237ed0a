//! Notify (2347): a value sent to a server now and then, unasked (the third paper, §III).
//!
//! | question | rule |
//! | --- | --- |
//! | Resource URI (5915) | a resource, an instance of one or an object instance that can be read, also a batch value; empty: a bare Ready-to-Receive without payload. Not there: 4.04 |
//! | SSID (5916) | of a Server instance, else 4.00; only whoever owns the instance points it elsewhere: 4.01 |
//! | URI Path (5917) | absolute, no query, segments of 1 to 255 bytes, none of `/bs`, `/rd` and `/dp`: else 4.00 |
//! | Periodicity (5918) | from 1 s on: else 4.00 |
//! | No-Response (5920) | true: no response at all is wanted, value 26 of RFC 7967, or what the client's configuration says |

use std::time::Duration;

use crate::access::{self, SERVER};
use crate::batch;
use crate::format::Record;
use crate::operations::Requester;
use crate::path::{Level, Path};
use crate::refusal::Refusal;
use crate::store::Store;
use crate::value::Value;

/// The object.
pub const NOTIFY: u16 = 2347;
/// Resource URI: what is sent.
pub const RESOURCE_URI: u16 = 5915;
/// SSID: to whom.
pub const SSID: u16 = 5916;
/// URI Path: where to.
pub const URI_PATH: u16 = 5917;
/// Periodicity: how often, in seconds.
pub const PERIODICITY: u16 = 5918;
/// Confirmable: as CON.
pub const CONFIRMABLE: u16 = 5919;
/// No-Response: no response is wanted.
pub const NO_RESPONSE: u16 = 5920;

/// Paths of LwM2M servers that are no place for a Notify.
const TAKEN: [&str; 3] = ["/bs", "/rd", "/dp"];

/// What a Notify instance says.
#[derive(Clone, Debug, PartialEq)]
pub struct Notify {
    /// What is sent; none: nothing, which says that the client can be reached now.
    pub links: Vec<Path>,
    /// The Short Server ID of whoever gets it.
    pub server: u16,
    /// The path there.
    pub path: String,
    /// The time between two.
    pub period: Duration,
    /// Whether it goes as CON.
    pub confirmable: bool,
    /// Whether no response is wanted.
    pub no_response: bool,
}

impl Notify {
    /// What the instance `instance` says, if it is whole.
    pub fn of(store: &Store, instance: &Path) -> Option<Notify> {
        let value = |resource: u16| store.value(&instance.child(resource)?);
        let integer = |resource: u16| store.integer(&instance.child(resource)?);
        let flag = |resource: u16| matches!(value(resource), Some(Value::Boolean(true)));
        let Some(Value::String(path)) = value(URI_PATH) else {
            return None;
        };
        Some(Notify {
            links: links(store, instance).ok()?,
            server: integer(SSID)?.try_into().ok()?,
            path: path.clone(),
            period: Duration::from_secs(integer(PERIODICITY)?.try_into().ok()?),
            confirmable: flag(CONFIRMABLE),
            no_response: flag(NO_RESPONSE),
        })
    }
}

/// What 5915 links to: one link or none; a model of a user's in which it is a multiple resource may have several.
fn links(store: &Store, instance: &Path) -> Result<Vec<Path>, Refusal> {
    let at = instance.child(RESOURCE_URI).unwrap_or_default();
    let records = store.records(at, |_, _| true).into_iter();
    let texts = records.filter_map(|record| match record.value? {
        Value::String(text) => Some(text),
        _ => None,
    });
    texts
        .filter(|text| !text.is_empty())
        .map(|text| batch::parse_link(&text))
        .collect()
}

/// Whether what an instance says can stand.
///
/// # Errors
/// Why not.
pub(crate) fn check(store: &Store, instance: &Path) -> Result<(), Refusal> {
    for link in links(store, instance)? {
        check_link(store, &link)?;
    }
    let integer = |resource: u16| store.integer(&instance.child(resource)?);
    let server = integer(SSID).unwrap_or_default();
    let known = store.instances(Path::object(SERVER)).any(|account| {
        account.child(0).and_then(|path| store.value(&path)) == Some(&Value::Integer(server))
    });
    if !known {
        return Err(Refusal::bad_request(format!(
            "{instance}/{SSID}: no server has the Short Server ID {server}"
        )));
    }
    if integer(PERIODICITY).is_none_or(|seconds| !(1..=i64::from(u32::MAX)).contains(&seconds)) {
        return Err(Refusal::bad_request(format!(
            "{instance}/{PERIODICITY}: expected seconds from 1 on"
        )));
    }
    match instance.child(URI_PATH).and_then(|path| store.value(&path)) {
        Some(Value::String(path)) if is_target(path) => Ok(()),
        _ => Err(Refusal::bad_request(format!(
            "{instance}/{URI_PATH}: expected an absolute path without a query, other than /bs, /rd and /dp"
        ))),
    }
}

fn check_link(store: &Store, link: &Path) -> Result<(), Refusal> {
    let model = store.model(link);
    match link.level() {
        Level::Instance if store.contains(link) && link.object_id() != Some(access::SECURITY) => {
            Ok(())
        }
        // A whole multiple resource, too: a batch value is one.
        Level::Resource if model.is_some_and(|model| model.multiple) => {
            let there = store.contains(link)
                || batch::is_value(link) && store.contains(&link.truncated(Level::Instance));
            there.then_some(()).ok_or_else(|| Refusal::not_found(link))
        }
        _ => batch::check_link(store, link),
    }?;
    match model.is_none_or(|model| model.operations.read) {
        true => Ok(()),
        false => Err(Refusal::bad_request(format!("link {link}: not readable"))),
    }
}

fn is_target(path: &str) -> bool {
    let segments = path.strip_prefix('/').map(|rest| rest.split('/'));
    let fits = |segment: &str| (1..=255).contains(&segment.len()) && !segment.contains(['?', '#']);
    let taken = TAKEN
        .iter()
        .any(|taken| path == *taken || path.starts_with(&format!("{taken}/")));
    segments.is_some_and(|mut segments| segments.all(fits)) && !taken
}

/// Whether `who` may write this record: only the owner of an instance points it to another server, since a
/// device would tell that server what it may not read itself.
pub(crate) fn check_owner(store: &Store, who: Requester, record: &Record) -> Result<(), Refusal> {
    let Requester::Server(server) = who else {
        return Ok(());
    };
    let instance = record.path.truncated(Level::Instance);
    let to_another = record.path.resource_id() == Some(SSID)
        && record.value != Some(Value::Integer(server.into()))
        && record.value.as_ref() != store.value(&record.path);
    let (object, id) = (NOTIFY, instance.instance_id().unwrap_or_default());
    let owner =
        access::control_of(store, object, id).and_then(|control| store.value(&control.child(3)?));
    match to_another && owner.is_some_and(|owner| *owner != Value::Integer(server.into())) {
        true => Err(Refusal::unauthorized(&record.path)),
        false => Ok(()),
    }
}
