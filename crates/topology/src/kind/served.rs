//! What a service has for others.

use ipnet::Ipv6Net;

use crate::decode::At;
use crate::resolve::Resolver;

/// A resource that a service has for others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served<'n> {
    /// Its path, `/temperature`.
    pub path: &'n str,
    /// Whether somebody can be told of its changes (RFC 7641).
    pub observable: bool,
    /// Whether a method that writes may be used.
    pub writable: bool,
}

/// A prefix that a service looks after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnPrefix {
    /// How long it is.
    pub bits: u8,
    /// The one that the file gives.
    pub given: Option<At<Ipv6Net>>,
    /// The third group, behind 2001:db8, of the first one that is taken otherwise.
    pub first: u16,
}

/// What the rest of the file may ask the table of a service. By default it serves nothing and asks
/// nobody.
pub(crate) trait Serves {
    /// What others may ask it for by CoAP.
    fn served(&self) -> Vec<Served<'_>> {
        Vec::new()
    }
    /// Whether it asks others by itself.
    fn asks(&self) -> bool {
        false
    }
    /// The nodes, or groups of them, that it asks as far as the file says so.
    fn asked(&self) -> Vec<&str> {
        Vec::new()
    }
    /// The prefix of addresses for which it takes what others send, if it does.
    fn prefix(&self) -> Option<OwnPrefix> {
        None
    }
}

impl Resolver<'_> {
    /// Reports `uri` of the key at `path` if it cannot be the path of a resource.
    pub(super) fn check_uri_path(&mut self, path: &str, uri: &At<String>) {
        if let Some(right) = wrong_path(uri) {
            self.problem(uri.span, format!("`{path}`: `{}` {right}", uri.value));
        }
    }
}

/// What a resource's path must be, if it is not.
fn wrong_path(path: &str) -> Option<&'static str> {
    let Some(rest) = path.strip_prefix('/') else {
        return Some("is not a path; write `/temperature`");
    };
    if super::RESERVED_PATHS.contains(&path) {
        Some("is a protocol's own resource; choose another")
    } else if rest.split('/').any(|segment| {
        // RFC 7252 §5.10: Uri-Path is 0 to 255 bytes; an empty segment would not be seen.
        segment.is_empty() || segment.len() > 255 || segment.contains(['?', '#', ' '])
    }) {
        Some("has an empty, long or unprintable segment; write `/temperature`")
    } else {
        None
    }
}
