//! The resources of the three parties: [`crate::codec::PATH`], and what the WMMS and the client
//! answer elsewhere.

use coap::message::option;
use coap::{Code, Request, Response};

use crate::codec::{self, Command, PATH, Procedure, RequestError};
use crate::sequence::Sequence;

/// CoRE Link Format (RFC 6690 §7.4).
const LINK_FORMAT: u64 = 40;

/// Whether a request is for the resource of CoMP.
pub(crate) fn is_comp(request: &Request) -> bool {
    request.path() == PATH
}

/// The command in a request to a peer that has no other resource, with its number, or the answer
/// to it.
pub(crate) fn command(request: &Request) -> Result<(Command, Option<Sequence>), Response> {
    if !is_comp(request) {
        return Err(elsewhere(request));
    }
    let command = Command::parse(request).map_err(|error| error.response())?;
    let sequence =
        codec::sequence(request).map_err(|error| RequestError::from(error).response())?;
    Ok((command, sequence))
}

/// RFC 6690 §4: "a default entry point for requesting the list of links about resources
/// hosted by that server"; everything else is not found.
fn elsewhere(request: &Request) -> Response {
    if request.path() != "/.well-known/core" {
        let text = format!("{} is not here: see /.well-known/core", request.path());
        return Response::diagnostic(Code::NOT_FOUND, &text);
    }
    if request.method != Code::GET {
        return Response::diagnostic(Code::METHOD_NOT_ALLOWED, "GET only");
    }
    let mut response = Response::new(Code::CONTENT);
    response
        .options
        .push_uint(option::CONTENT_FORMAT, LINK_FORMAT);
    response.payload = format!("<{PATH}>").into_bytes();
    response
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
