//! The resources of the three parties: [`crate::codec::PATH`], and what the WMMS and the client
//! answer elsewhere.

use coap::link::{self, Link, WELL_KNOWN_CORE};
use coap::{Code, Request, Response};

use crate::codec::{Command, PATH, Procedure};
use crate::sequence::Sequence;

/// Whether a request is for the resource of CoMP.
pub(crate) fn is_comp(request: &Request) -> bool {
    let segments = request.options.get_all(coap::message::option::URI_PATH);
    segments.eq(PATH.split('/').skip(1).map(str::as_bytes))
}

/// The command in a request to a peer that has no other resource, with its number, or the answer
/// to it.
pub(crate) fn command(request: &Request) -> Result<(Command, Option<Sequence>), Response> {
    if !is_comp(request) {
        return Err(elsewhere(request));
    }
    Command::parse_numbered(request).map_err(|error| error.response())
}

/// [`PATH`] in `/.well-known/core` (RFC 6690).
pub fn comp_link() -> Link {
    Link::new(PATH)
}

/// RFC 6690 §4: "a default entry point for requesting the list of links about resources
/// hosted by that server"; everything else is not found.
fn elsewhere(request: &Request) -> Response {
    if request.path() == WELL_KNOWN_CORE {
        return link::answer(request, &[comp_link()]);
    }
    let text = format!("{} is not here: see {WELL_KNOWN_CORE}", request.path());
    Response::diagnostic(Code::NOT_FOUND, &text)
}

/// A procedure that this kind of peer does not serve.
pub(crate) fn not_served(command: &Command, role: &str, served: &[Procedure]) -> Response {
    let served: Vec<String> = served.iter().map(Procedure::to_string).collect();
    let served = if served.is_empty() {
        "nothing".to_owned()
    } else {
        served.join(" and ")
    };
    let text = format!("{role} serves {served} here, no {}", command.procedure());
    Response::diagnostic(Code::METHOD_NOT_ALLOWED, &text)
}

/// Nobody of that permanent address.
pub(crate) fn unknown_node(p_addr: std::net::Ipv6Addr) -> Response {
    Response::diagnostic(Code::NOT_FOUND, &format!("{p_addr} is not known here"))
}
