//! Accounts of servers: a Security (0) and a Server (1) instance with one Short Server ID; that of a bootstrap server is a
//! Security instance alone (LwM2M 1.1 Core §E.1, §E.2).

use std::collections::BTreeSet;
use std::net::{AddrParseError, SocketAddrV6};
use std::time::Duration;

use coap::Code;
pub use coap::message::PORT;

use crate::access::{SECURITY, SERVER};
use crate::attributes::Attributes;
use crate::path::{Level, Path};
use crate::refusal::Refusal;
use crate::store::Store;
use crate::value::Value;

/// Security: the server's URI, whether it is a bootstrap server, how it is secured, its Short Server ID, how long a client
/// holds off before it asks a bootstrap server.
const URI: u16 = 0;
const IS_BOOTSTRAP: u16 = 1;
const SECURITY_MODE: u16 = 2;
const SECURITY_SERVER: u16 = 10;
const HOLD_OFF: u16 = 11;
/// Server: its Short Server ID, lifetime, periods.
pub(crate) const SERVER_ID: u16 = 0;
pub(crate) const LIFETIME: u16 = 1;
const DEFAULT_PMIN: u16 = 2;
const DEFAULT_PMAX: u16 = 3;
const DISABLE_TIMEOUT: u16 = 5;
const BOOTSTRAP_ON_FAILURE: u16 = 16;
const RETRY_COUNT: u16 = 17;
const RETRY_TIMER: u16 = 18;
const MUTE_SEND: u16 = 23;

/// NoSec (LwM2M 1.1 Core §E.1).
const NO_SECURITY: i64 = 3;

/// A Server object without Disable Timeout: a day (LwM2M 1.1 Core §E.2).
const DISABLED: Duration = Duration::from_secs(86_400);

/// Communication Retry Timer and Count where the Server object has none (LwM2M 1.1 Core §E.2).
const RETRY: Duration = Duration::from_secs(60);
const RETRIES: u32 = 5;

/// Why a text is no URI of a server that can be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Another scheme: there is neither DTLS nor TCP.
    #[error("`{0}`: expected coap://[address]:port; other schemes than coap are not spoken")]
    Scheme(String),
    /// No IPv6 address: names are not resolved.
    #[error("`{uri}`: expected coap://[address]:port with an IPv6 address ({reason})")]
    Address {
        /// The text.
        uri: String,
        /// What is wrong.
        reason: AddrParseError,
    },
}

/// The address in `coap://[2001:db8::1]:5683`; the port may be left out.
///
/// # Errors
/// When the scheme is another one, or an IPv6 address does not follow.
pub fn address(uri: &str) -> Result<SocketAddrV6, UriError> {
    let rest = uri.strip_prefix("coap://");
    let rest = rest.ok_or_else(|| UriError::Scheme(uri.to_owned()))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let plain = rest
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let parsed = match plain {
        Some(plain) => plain.parse().map(|ip| SocketAddrV6::new(ip, PORT, 0, 0)),
        None => rest.parse(),
    };
    parsed.map_err(|reason| UriError::Address {
        uri: uri.to_owned(),
        reason,
    })
}

/// The URI of a server at an address: what [`address()`] reads.
pub(crate) fn uri_of(address: SocketAddrV6) -> String {
    format!("coap://[{}]:{}", address.ip(), address.port())
}

/// The values of the Security instance by which a client knows its bootstrap server (LwM2M 1.1 Core §E.1): without
/// security, and so with empty keys.
pub(crate) fn of_bootstrap_server(
    security: Path,
    address: SocketAddrV6,
    hold_off: Duration,
) -> Vec<(Path, Value)> {
    let hold_off = i64::try_from(hold_off.as_secs()).unwrap_or(i64::MAX);
    let values = [
        (URI, Value::String(uri_of(address))),
        (IS_BOOTSTRAP, Value::Boolean(true)),
        (SECURITY_MODE, Value::Integer(NO_SECURITY)),
        (3, Value::Opaque(Vec::new())),
        (4, Value::Opaque(Vec::new())),
        (5, Value::Opaque(Vec::new())),
        (HOLD_OFF, Value::Integer(hold_off)),
    ];
    let at = |(id, value)| Some((security.child(id)?, value));
    values.into_iter().filter_map(at).collect()
}

/// Whether a value may stand at a path of Security: a URI has to be one that can be asked.
pub(crate) fn check_value(path: &Path, value: &Value) -> Result<(), Refusal> {
    let is_uri = path.object_id() == Some(SECURITY) && path.resource_id() == Some(URI);
    match value {
        Value::String(uri) if is_uri => match address(uri) {
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal::bad_request(format!("{path}: {error}"))),
        },
        _ => Ok(()),
    }
}

/// The account of a bootstrap server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BootstrapServer {
    pub(crate) address: SocketAddrV6,
    /// Client Hold Off Time; nothing where it is not said.
    pub(crate) hold_off: Duration,
}

/// The bootstrap server of a client, if it has an account of one.
pub(crate) fn bootstrap_server(store: &Store) -> Option<BootstrapServer> {
    let mut securities = store.instances(Path::object(SECURITY));
    securities.find_map(|security| {
        let hold_off = seconds(store, Some(security), HOLD_OFF).unwrap_or_default();
        let address = address(uri(store, &security)?).ok()?;
        is_bootstrap(store, &security).then_some(BootstrapServer { address, hold_off })
    })
}

/// Whether a Security instance is the account of a bootstrap server.
pub(crate) fn is_bootstrap(store: &Store, security: &Path) -> bool {
    flag(store, Some(*security), IS_BOOTSTRAP) == Some(true)
}

/// The URI of a Security instance.
pub(crate) fn uri<'a>(store: &'a Store, security: &Path) -> Option<&'a str> {
    match store.value(&security.child(URI)?)? {
        Value::String(uri) => Some(uri),
        _ => None,
    }
}

/// The Short Server ID of a Security or a Server instance; none of a bootstrap server's.
pub(crate) fn short_id(store: &Store, instance: &Path) -> Option<u16> {
    let id = match instance.object_id() {
        Some(SECURITY) if is_bootstrap(store, instance) => return None,
        Some(SECURITY) => SECURITY_SERVER,
        Some(SERVER) => SERVER_ID,
        _ => return None,
    };
    integer(store, Some(*instance), id)?.try_into().ok()
}

/// The Short Server IDs and addresses of the accounts, without bootstrap servers.
pub(crate) fn servers(store: &Store) -> Vec<(u16, SocketAddrV6)> {
    let securities = store.instances(Path::object(SECURITY));
    let accounts = securities.filter_map(|security| {
        let id = short_id(store, &security)?;
        server_instance(store, id)?;
        Some((id, address(uri(store, &security)?).ok()?))
    });
    accounts.collect()
}

/// The Server object instance of a server.
pub(crate) fn server_instance(store: &Store, server: u16) -> Option<Path> {
    let mut instances = store.instances(Path::object(SERVER));
    instances.find(|instance| short_id(store, instance) == Some(server))
}

pub(crate) fn lifetime(store: &Store, server: u16) -> Duration {
    seconds(store, server_instance(store, server), LIFETIME).unwrap_or_default()
}

/// How long a server that executed Disable is left.
pub(crate) fn disabled(store: &Store, server: u16) -> Duration {
    let instance = server_instance(store, server);
    seconds(store, instance, DISABLE_TIMEOUT).unwrap_or(DISABLED)
}

/// How long a client waits after a first registration that failed: Communication Retry Timer.
pub(crate) fn retry(store: &Store, server: u16) -> Duration {
    let retry = seconds(store, server_instance(store, server), RETRY_TIMER);
    retry.filter(|time| !time.is_zero()).unwrap_or(RETRY)
}

/// After how many registrations that failed a client gives a server up, if it wants to be bootstrapped then:
/// Communication Retry Count, Bootstrap on Registration Failure.
pub(crate) fn gives_up_after(store: &Store, server: u16) -> Option<u32> {
    let instance = server_instance(store, server);
    let count = integer(store, instance, RETRY_COUNT).and_then(|n| u32::try_from(n).ok());
    let wants = flag(store, instance, BOOTSTRAP_ON_FAILURE).unwrap_or(true);
    wants.then(|| count.unwrap_or(RETRIES).max(1))
}

/// Whether a server wants no Send: "If true or the Resource is not present, the LwM2M Client Send command capability is
/// de-activated" (LwM2M 1.1 Core §E.2, Mute Send).
pub(crate) fn is_muted(store: &Store, server: u16) -> bool {
    flag(store, server_instance(store, server), MUTE_SEND) != Some(false)
}

/// The default periods of notifications to a server.
pub(crate) fn periods(store: &Store, server: u16) -> Attributes {
    let instance = server_instance(store, server);
    Attributes {
        pmin: seconds(store, instance, DEFAULT_PMIN),
        pmax: seconds(store, instance, DEFAULT_PMAX),
        ..Attributes::default()
    }
}

/// What Bootstrap-Finish asks for (LwM2M 1.1 Core §6.1.7.6): there is a server; each Security instance but a bootstrap
/// server's has a URI, a Short Server ID of its own and a Server instance with it; each Server instance has a lifetime and
/// a Security instance.
///
/// # Errors
/// 4.06, with the first instance that does not fit.
pub fn check(store: &Store) -> Result<(), Refusal> {
    let wrong = |path: &Path, what: &str| {
        Err(Refusal::new(
            Code::NOT_ACCEPTABLE,
            format!("{path}: {what}"),
        ))
    };
    let mut secured = BTreeSet::new();
    for security in store.instances(Path::object(SECURITY)) {
        if uri(store, &security).is_none() {
            return wrong(&security, "no URI of a server, resource 0");
        }
        let mode = integer(store, Some(security), SECURITY_MODE);
        if mode.is_some_and(|mode| mode != NO_SECURITY) {
            return wrong(
                &security,
                "expected Security Mode 3, NoSec: there is no other",
            );
        }
        if is_bootstrap(store, &security) {
            continue;
        }
        match short_id(store, &security) {
            None => return wrong(&security, "no Short Server ID, resource 10"),
            Some(id) if !secured.insert(id) => {
                return wrong(&security, &format!("a second one of server {id}"));
            }
            Some(_) => {}
        }
    }
    let mut served = BTreeSet::new();
    for server in store.instances(Path::object(SERVER)) {
        let Some(id) = short_id(store, &server) else {
            return wrong(&server, "no Short Server ID, resource 0");
        };
        if !served.insert(id) {
            return wrong(&server, &format!("a second one of server {id}"));
        }
        if integer(store, Some(server), LIFETIME).is_none() {
            return wrong(&server, "no Lifetime, resource 1");
        }
        if !secured.contains(&id) {
            return wrong(&server, &format!("no Security instance of server {id}"));
        }
    }
    match secured.difference(&served).next() {
        Some(id) => wrong(
            &Path::object(SERVER),
            &format!("no instance of server {id}, which Security has"),
        ),
        None if served.is_empty() => wrong(&Path::object(SERVER), "no server"),
        None => Ok(()),
    }
}

fn flag(store: &Store, instance: Option<Path>, resource: u16) -> Option<bool> {
    match store.value(&instance?.child(resource)?)? {
        Value::Boolean(flag) => Some(*flag),
        _ => None,
    }
}

fn seconds(store: &Store, instance: Option<Path>, resource: u16) -> Option<Duration> {
    let seconds = integer(store, instance, resource)?;
    Some(Duration::from_secs(u64::try_from(seconds).ok()?))
}

fn integer(store: &Store, instance: Option<Path>, resource: u16) -> Option<i64> {
    store.integer(&instance?.child(resource)?)
}

/// Whether a path is something of an account that a deletion leaves: of the bootstrap server's.
pub(crate) fn stays(store: &Store, instance: &Path) -> bool {
    instance.level() == Level::Instance
        && instance.object_id() == Some(SECURITY)
        && is_bootstrap(store, instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_an_address_and_maybe_a_port() {
        let at = |text: &str| Ok(text.parse().unwrap());
        assert_eq!(
            address("coap://[2001:db8::1]:5685"),
            at("[2001:db8::1]:5685")
        );
        assert_eq!(address("coap://[2001:db8::1]/"), at("[2001:db8::1]:5683"));
        for text in ["coaps://[::1]", "coap+tcp://[::1]", "http://[::1]", "", "x"] {
            assert_eq!(address(text), Err(UriError::Scheme(text.to_owned())));
        }
        for text in [
            "coap://1.2.3.4",
            "coap://example.org",
            "coap://",
            "coap://[::1",
            "coap://[::1]:65536",
            "coap://[::1]/path",
        ] {
            let error = address(text).unwrap_err().to_string();
            assert!(
                error.contains(text) && error.contains("an IPv6 address"),
                "{error}"
            );
        }
    }
}
