//! Which operation a request is.

use std::net::SocketAddr;
use std::sync::Arc;

use coap::Code;
use coap::link::LINK_FORMAT;
use coap::message::option::{ACCEPT, BLOCK1, CONTENT_FORMAT, OBSERVE, URI_PATH, URI_QUERY};
use coap::wire::Message;
use lwm2m::path::Level;
use lwm2m::{Format, Path, Registry, batch};

use super::{Lwm2m, Of, Standing, is_its_own};

/// The operations that end an observation (LwM2M 1.1 Core §6.4.3, §6.4.5).
const CANCEL: &str = "cancel observation";
const CANCEL_COMPOSITE: &str = "cancel observation-composite";

/// Names that are longer are no endpoint's and no location's: Uri-Query and Location-Path have at most 255
/// bytes (RFC 7252 table 4), and a location a few segments.
const LONGEST: usize = 512;

/// A location of a server, under which it has a registration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Location(Arc<[u8]>);

impl Location {
    /// The one with these segments; none for no segment, or too long a location.
    pub(super) fn of<'s>(segments: impl Iterator<Item = &'s [u8]>) -> Option<Location> {
        let mut path = Vec::new();
        for segment in segments {
            // What no segment of text has parts them.
            path.push(0xff);
            path.extend(segment);
            if path.len() > LONGEST {
                return None;
            }
        }
        (!path.is_empty()).then(|| Location(path.into()))
    }
}

/// An operation: its name, what it is to a registration, and whether its client asks.
type Operation = (&'static str, Of, bool);

impl Lwm2m {
    pub(super) fn operation(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        message: &Message,
    ) -> Option<Operation> {
        let segments: Vec<&[u8]> = message.options.get_all(URI_PATH).collect();
        let of_client = self.of_client(from, to, message, &segments);
        let path = path(&segments);
        let of_server = || self.of_server(from, to, message, path?);
        let report = || {
            let reports = message.code == Code::PUT
                && path.is_none()
                && self.is(from, to, Standing::Registered);
            reports.then_some(("notify report", Of::Nothing, true))
        };
        of_client.or_else(of_server).or_else(report)
    }

    /// What a client asks of a server, and the end of its bootstrap, which has a path like that.
    fn of_client(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        message: &Message,
        segments: &[&[u8]],
    ) -> Option<Operation> {
        let endpoint = query(message, "ep=");
        let is_registered = self.is(from, to, Standing::Registered);
        let format = message.options.get_uint(CONTENT_FORMAT);
        match (message.code, segments) {
            (Code::POST, [b"rd"]) => {
                let name = endpoint.filter(|_| format == Some(LINK_FORMAT.into()))?;
                let is_its = is_registered || is_registration(message);
                is_its.then_some(("register", Of::Register(name), true))
            }
            (Code::POST, [b"bs"]) if endpoint.is_some() => {
                Some(("bootstrap-request", Of::BootstrapRequest, true))
            }
            (Code::GET, [b"bspack"]) if endpoint.is_some() => {
                Some(("bootstrap-pack-request", Of::Nothing, true))
            }
            (Code::POST, [b"bs"]) if self.is(to, from, Standing::Bootstraps) => {
                Some(("bootstrap-finish", Of::BootstrapFinish, false))
            }
            (Code::POST, [b"dp"]) => (is_registered || format.is_some_and(is_its_own)).then(|| {
                let values = values(message, format);
                ("send", Of::Send(values), true)
            }),
            (Code::POST | Code::DELETE, _) => {
                let location = Location::of(segments.iter().copied())?;
                let is_one = is_registered && segments.len() > 1 && segments[0] == b"rd";
                // A client that moved has another address, and the same location.
                let is_known = self.registrations.get(&(to, location.clone())).is_some();
                (is_one || is_known).then_some(match message.code {
                    Code::POST => ("update", Of::Update(location), true),
                    _ => ("deregister", Of::Deregister(location), true),
                })
            }
            _ => None,
        }
    }

    /// What a server asks of a client.
    fn of_server(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        message: &Message,
        path: Path,
    ) -> Option<Operation> {
        let standing = self.standing.get(&(to, from));
        if standing == Some(&Standing::Bootstraps) {
            return Some((bootstrap(message)?, Of::Nothing, false));
        }
        if standing.is_none() && !speaks_for_itself(message, path) {
            return None;
        }
        let (name, of) = match path.level() {
            Level::Root => composite(message)?,
            _ => single(message, path)?,
        };
        Some((name, of, false))
    }
}

/// How many values a message has; none if it has not all of a body, or its format is none of a Send.
fn values(message: &Message, format: Option<u64>) -> Option<u64> {
    let format = Format::of_number(format?.try_into().ok()?)?;
    let sends = [Format::SenmlJson, Format::SenmlCbor, Format::Lwm2mCbor].contains(&format);
    if !sends || message.options.get(BLOCK1).is_some() {
        return None;
    }
    // Of objects that nobody knows values are of the type that they show.
    let records = lwm2m::format::decode(format, &Path::ROOT, &message.payload, &Registry::new());
    u64::try_from(records.ok()?.len()).ok()
}

/// The path of segments that are all IDs, which `/`, without a segment, is too.
fn path(segments: &[&[u8]]) -> Option<Path> {
    let mut text = String::from("/");
    for (n, segment) in segments.iter().enumerate() {
        if n > 0 {
            text.push('/');
        }
        // A segment may have a slash in it.
        let digits = !segment.is_empty() && segment.iter().all(u8::is_ascii_digit);
        text.push_str(str::from_utf8(segment).ok().filter(|_| digits)?);
    }
    text.parse().ok()
}

/// The value of the query that begins so.
fn query(message: &Message, name: &str) -> Option<Arc<str>> {
    let mut queries = message.options.get_all(URI_QUERY);
    let value = queries.find_map(|query| query.strip_prefix(name.as_bytes()))?;
    let value = (!value.is_empty() && value.len() <= LONGEST).then_some(value)?;
    Some(str::from_utf8(value).ok()?.into())
}

/// Whether what is posted to `/rd` is a registration of LwM2M, and not one at a resource directory (RFC
/// 9176 §5), which looks the same: it says so, or its links are those of objects.
fn is_registration(message: &Message) -> bool {
    if query(message, "lwm2m=").is_some() {
        return true;
    }
    let Ok(links) = str::from_utf8(&message.payload) else {
        return false;
    };
    let targets = links.split(',').filter_map(|link| {
        let link = link.trim().strip_prefix('<')?;
        link.split_once('>')
    });
    let is_object = |target: &str| target.parse().is_ok_and(|path: Path| path != Path::ROOT);
    targets
        .into_iter()
        .any(|(target, attributes)| is_object(target) || attributes.contains("oma.lwm2m"))
}

/// Whether a request is one of LwM2M whoever asks: for its formats, and for those of composites.
fn speaks_for_itself(message: &Message, path: Path) -> bool {
    let formats = [CONTENT_FORMAT, ACCEPT].map(|option| message.options.get_uint(option));
    let mut formats = formats.into_iter().flatten();
    let composes = matches!(message.code, Code::FETCH | Code::IPATCH) && path == Path::ROOT;
    let senml = [Format::SenmlJson, Format::SenmlCbor].map(|format| u64::from(format.number()));
    formats.any(|format| is_its_own(format) || (composes && senml.contains(&format)))
}

fn bootstrap(message: &Message) -> Option<&'static str> {
    Some(match message.code {
        Code::GET if discovers(message) => "bootstrap-discover",
        Code::GET => "bootstrap-read",
        Code::PUT => "bootstrap-write",
        Code::DELETE => "bootstrap-delete",
        _ => return None,
    })
}

fn discovers(message: &Message) -> bool {
    message.options.get_uint(ACCEPT) == Some(LINK_FORMAT.into())
}

/// Operations on `/`.
fn composite(message: &Message) -> Option<(&'static str, Of)> {
    Some(match (message.code, message.options.get_uint(OBSERVE)) {
        (Code::FETCH, None) => ("read-composite", Of::Nothing),
        (Code::FETCH, Some(0)) => ("observe-composite", Of::Observe(CANCEL_COMPOSITE)),
        (Code::FETCH, Some(_)) => (CANCEL_COMPOSITE, Of::Cancel),
        (Code::IPATCH, _) => ("write-composite", Of::Nothing),
        (Code::GET, _) if discovers(message) => ("discover", Of::Nothing),
        _ => return None,
    })
}

/// Operations on one object, instance or resource.
fn single(message: &Message, path: Path) -> Option<(&'static str, Of)> {
    let format = message.options.get_uint(CONTENT_FORMAT);
    let is_batch = batch::is_value(&path);
    let or_batch = |of_batch, else_| if is_batch { of_batch } else { else_ };
    let write = or_batch("batch write", "write");
    Some(match (message.code, message.options.get_uint(OBSERVE)) {
        (Code::GET, Some(0)) => ("observe", Of::Observe(CANCEL)),
        (Code::GET, Some(_)) => (CANCEL, Of::Cancel),
        (Code::GET, None) if discovers(message) => ("discover", Of::Nothing),
        (Code::GET, None) => (or_batch("batch read", "read"), Of::Nothing),
        (Code::PUT, _) if format.is_none() && message.payload.is_empty() => {
            ("write-attributes", Of::Nothing)
        }
        (Code::PUT, _) => (write, Of::Nothing),
        (Code::POST, _) => match path.level() {
            Level::Root | Level::Object => ("create", Of::Nothing),
            // Arguments are text (LwM2M 1.1 Core §6.3.5).
            Level::Resource if !is_batch && format.unwrap_or(0) == 0 => ("execute", Of::Nothing),
            _ => (write, Of::Nothing),
        },
        (Code::DELETE, _) => ("delete", Of::Nothing),
        _ => return None,
    })
}
