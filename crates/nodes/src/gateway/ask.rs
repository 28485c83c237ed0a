//! What is asked by HTTP, in CoAP's words (RFC 8075 §5 and §6, RFC 7252 §10.2): pure.

use std::net::SocketAddrV6;

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use coap::message::option;
use coap::{Code, Request as CoapRequest, link};
use topology::scalar::from_hex;

use super::refusal::Refusal;
use super::{known, media, page, uri};
use crate::web::Request;

/// Entity tags in one request, at most.
const MAX_TAGS: usize = 16;

/// What is wanted of a gateway, by HTTP or by CoAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// What the gateway is: `/.well-known/core` (RFC 8075 §5.5).
    Discover(CoapRequest),
    /// The nodes that it knows, once or as they change: `/nodes`.
    Nodes {
        /// As they change.
        follows: bool,
    },
    /// The page that asks: `/`.
    Page,
    /// Something of a node.
    Ask(Asking),
}

/// What is asked of a node. What is equal is asked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    /// The node's permanent address, and its port.
    pub(super) at: SocketAddrV6,
    /// The request.
    pub(super) request: CoapRequest,
    /// To be observed (RFC 7641).
    pub(super) observes: bool,
}

impl Wish {
    /// What `request` wants; where not `writes`, what would change something is refused.
    ///
    /// # Errors
    /// The answer that says what is wrong.
    pub(super) fn of(request: &Request, writes: bool) -> Result<Wish, Refusal> {
        let method = method(&request.method)?;
        if request.uri.path() == link::WELL_KNOWN_CORE {
            let mut asked = CoapRequest::new(method, link::WELL_KNOWN_CORE);
            uri::add_query(&mut asked.options, request.uri.query())?;
            return Ok(Wish::Discover(asked));
        }
        let follows = request.follows && request.method == Method::GET;
        let own = match request.uri.path() {
            known::PATH => Some(Wish::Nodes { follows }),
            page::PATH => Some(Wish::Page),
            _ => None,
        };
        if let Some(own) = own {
            return match method {
                Code::GET => Ok(own),
                _ => Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "GET only")),
            };
        }
        let target = uri::target(&request.uri)?;
        may(method, writes)?;
        let mut asked = CoapRequest {
            method,
            options: target.options,
            payload: Vec::new(),
        };
        add_conditions(&mut asked, &request.headers)?;
        if let Some(format) = media::accept(&request.headers) {
            asked.options.push_uint(option::ACCEPT, format.into());
        }
        // A body of GET and DELETE means nothing (RFC 9110 §9.3.1, §9.3.5).
        if matches!(method, Code::PUT | Code::POST) {
            if let Some(format) = media::content_format(&request.headers)? {
                asked
                    .options
                    .push_uint(option::CONTENT_FORMAT, format.into());
            }
            asked.payload = request.body.clone();
        }
        Ok(Wish::Ask(Asking {
            at: target.at,
            request: asked,
            // A HEAD has no body to be streamed.
            observes: follows,
        }))
    }
}

/// Refuses what would change something where that is not allowed.
pub(super) fn may(method: Code, writes: bool) -> Result<(), Refusal> {
    if method.is_safe() || writes {
        return Ok(());
    }
    let reason =
        "this gateway only reads: `http: { port: …, write: true }` in the topology lets it write";
    Err(Refusal::new(StatusCode::FORBIDDEN, reason))
}

/// CoAP's method. "A 501 (Not Implemented) error MUST be returned" for OPTIONS and TRACE, and is for all that it has
/// not (RFC 7252 §10.2); HEAD is a GET whose body the shell keeps (§10.2.3).
fn method(method: &Method) -> Result<Code, Refusal> {
    Ok(match *method {
        Method::GET | Method::HEAD => Code::GET,
        Method::POST => Code::POST,
        Method::PUT => Code::PUT,
        Method::DELETE => Code::DELETE,
        _ => {
            let reason = format!("{method} is none of GET, HEAD, PUT, POST and DELETE");
            return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, &reason));
        }
    })
}

/// Conditions (RFC 7252 §5.10.8, §10.2.2). Those by time are implemented by caches only.
fn add_conditions(asked: &mut CoapRequest, headers: &HeaderMap) -> Result<(), Refusal> {
    if let Some(tags) = Tags::of(headers, IF_MATCH)? {
        match tags {
            Tags::Any => asked.options.push(option::IF_MATCH, []),
            Tags::These(tags) if tags.is_empty() => {
                let reason = "no node has that entity tag: it is none that this gateway has given";
                return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, reason));
            }
            Tags::These(tags) => tags
                .iter()
                .for_each(|tag| asked.options.push(option::IF_MATCH, tag)),
        }
    }
    match Tags::of(headers, IF_NONE_MATCH)? {
        None => {}
        Some(Tags::These(tags)) if asked.method.is_safe() => {
            tags.iter()
                .for_each(|tag| asked.options.push(option::ETAG, tag));
        }
        // It asks whether there is anything, which the response says.
        Some(Tags::Any) if asked.method.is_safe() => {}
        Some(Tags::Any) => asked.options.push(option::IF_NONE_MATCH, []),
        Some(Tags::These(_)) => {
            let reason = "CoAP has `If-None-Match: *` alone for a request that changes something";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
        }
    }
    Ok(())
}

/// Entity tags of a condition.
enum Tags {
    /// `*`
    Any,
    /// Those that this gateway may have given: the hexadecimal digits of CoAP's (RFC 7252 §5.10.6).
    These(Vec<Vec<u8>>),
}

impl Tags {
    fn of(headers: &HeaderMap, name: HeaderName) -> Result<Option<Tags>, Refusal> {
        let mut tags = Vec::new();
        let mut values = headers.get_all(&name).iter().peekable();
        if values.peek().is_none() {
            return Ok(None);
        }
        for value in values {
            let text = value.to_str().unwrap_or_default();
            if text.trim() == "*" {
                return Ok(Some(Tags::Any));
            }
            for tag in text.split(',') {
                let weak = tag.trim().strip_prefix("W/");
                // "MUST use the strong comparison function": a weak one is equal to none (RFC 9110 §13.1.1).
                if weak.is_some() && name == IF_MATCH {
                    continue;
                }
                let opaque = weak.unwrap_or(tag.trim()).trim_matches('"');
                let known = from_hex(opaque).filter(|tag| (1..=8).contains(&tag.len()));
                tags.extend(known);
            }
        }
        match tags.len() <= MAX_TAGS {
            true => Ok(Some(Tags::These(tags))),
            false => {
                let reason = format!("{name} has more than {MAX_TAGS} entity tags");
                Err(Refusal::new(StatusCode::BAD_REQUEST, &reason))
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::{ACCEPT, CONTENT_TYPE};

    use super::*;

    /// A request as the shell has it.
    pub(in crate::gateway) fn request(method: Method, target: &str) -> Request {
        Request {
            method,
            uri: target.parse().unwrap(),
            headers: HeaderMap::new(),
            path: Vec::new(),
            query: Vec::new(),
            content_type: None,
            follows: false,
            last_event: None,
            body: Vec::new(),
        }
    }

    const LIGHT: &str = "/hc/coap://%5B2001:db8::1%5D/light";

    fn with(method: Method, header: HeaderName, value: &str) -> Request {
        let mut request = request(method, LIGHT);
        request
            .headers
            .insert(header, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        request
    }

    pub(in crate::gateway) fn asking(request: &Request) -> Result<Asking, u16> {
        match Wish::of(request, true) {
            Ok(Wish::Ask(asking)) => Ok(asking),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal.status.as_u16()),
        }
    }

    fn options(request: &Request, number: u16) -> Vec<Vec<u8>> {
        let asked = asking(request).unwrap().request;
        asked.options.get_all(number).map(<[u8]>::to_vec).collect()
    }

    /// RFC 7252 §10.2.
    #[test]
    fn methods_are_coaps_and_others_are_not_implemented() {
        for (method, code) in [
            (Method::GET, Code::GET),
            (Method::HEAD, Code::GET),
            (Method::POST, Code::POST),
            (Method::PUT, Code::PUT),
            (Method::DELETE, Code::DELETE),
        ] {
            assert_eq!(
                asking(&request(method, LIGHT)).unwrap().request.method,
                code
            );
        }
        let odd = Method::from_bytes(b"BREW").unwrap();
        for method in [
            Method::OPTIONS,
            Method::TRACE,
            Method::CONNECT,
            Method::PATCH,
            odd,
        ] {
            assert_eq!(asking(&request(method, LIGHT)), Err(501));
        }
    }

    #[test]
    fn nothing_is_written_unless_that_is_allowed() {
        for method in [Method::PUT, Method::POST, Method::DELETE] {
            let refused = Wish::of(&request(method.clone(), LIGHT), false).unwrap_err();
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{method}");
        }
        assert!(Wish::of(&request(Method::GET, LIGHT), false).is_ok());
    }

    #[test]
    fn a_body_goes_with_its_content_format() {
        let mut put = with(Method::PUT, CONTENT_TYPE, "application/json");
        put.body = b"1".to_vec();
        let asked = asking(&put).unwrap().request;
        assert_eq!(asked.options.get_uint(option::CONTENT_FORMAT), Some(50));
        assert_eq!(asked.payload, b"1");
        let unknown = with(Method::POST, CONTENT_TYPE, "image/png");
        assert_eq!(asking(&unknown), Err(415));
        // What means nothing is not looked at.
        let mut get = with(Method::GET, CONTENT_TYPE, "image/png");
        get.body = b"1".to_vec();
        assert_eq!(asking(&get).unwrap().request.payload, b"");
        let accept = with(Method::GET, ACCEPT, "application/cbor");
        assert_eq!(options(&accept, option::ACCEPT), [[60]]);
    }

    /// RFC 7252 §5.10.8, §10.2.2.
    #[test]
    fn entity_tags_are_conditions() {
        let of = |method: &Method, header, value: &str| with(method.clone(), header, value);
        let tags = of(
            &Method::GET,
            IF_NONE_MATCH,
            "\"0a0b\", W/\"ff\", \"nobody's\"",
        );
        assert_eq!(options(&tags, option::ETAG), [vec![10, 11], vec![255]]);
        assert_eq!(
            options(&of(&Method::GET, IF_NONE_MATCH, "*"), option::ETAG).len(),
            0
        );
        let new = of(&Method::PUT, IF_NONE_MATCH, "*");
        assert_eq!(options(&new, option::IF_NONE_MATCH), [vec![0_u8; 0]]);
        assert_eq!(asking(&of(&Method::PUT, IF_NONE_MATCH, "\"0a\"")), Err(400));
        assert_eq!(
            options(&of(&Method::PUT, IF_MATCH, "\"0a\""), option::IF_MATCH),
            [[10]]
        );
        assert_eq!(
            options(&of(&Method::PUT, IF_MATCH, "*"), option::IF_MATCH),
            [vec![0_u8; 0]]
        );
        assert_eq!(
            asking(&of(&Method::PUT, IF_MATCH, "\"nobody's\"")),
            Err(412)
        );
        assert_eq!(asking(&of(&Method::PUT, IF_MATCH, "W/\"0a\"")), Err(412));
        let many = ["\"0a\""; MAX_TAGS + 1].join(",");
        assert_eq!(asking(&of(&Method::GET, IF_NONE_MATCH, &many)), Err(400));
    }

    /// RFC 7641 §3.1: a GET alone.
    #[test]
    fn who_takes_an_event_stream_observes() {
        for (method, observes) in [
            (Method::GET, true),
            (Method::HEAD, false),
            (Method::PUT, false),
        ] {
            let follows = Request {
                follows: true,
                ..request(method, LIGHT)
            };
            assert_eq!(asking(&follows).unwrap().observes, observes);
        }
    }

    /// §5.5.
    #[test]
    fn the_well_known_core_is_the_gateways_own() {
        let asked = Wish::of(&request(Method::GET, "/.well-known/core?rt=core.hc"), false);
        let Ok(Wish::Discover(asked)) = asked else {
            panic!("{asked:?}");
        };
        assert_eq!(
            asked.options.get(option::URI_QUERY),
            Some(&b"rt=core.hc"[..])
        );
    }
}
