//! A CoAP URI within an HTTP one, and back (RFC 8075 §5): pure.

use std::fmt::Write as _;
use std::net::{Ipv6Addr, SocketAddrV6};

use axum::http::{StatusCode, Uri};
use coap::message::{Options, PORT, option};

use super::refusal::Refusal;
use crate::web::decoded;

/// The HC Proxy URI: a target URI follows as it is, template `{+tu}` (RFC 8075 §5.3).
pub(super) const BASE: &str = "/hc/";

/// Bytes of a Uri-Path or a Uri-Query, at most (RFC 7252 §5.10, table 4).
const MAX_PART: usize = 255;

/// What a CoAP URI begins with.
const SCHEME: &str = "coap://";

/// What a target URI is like.
const FORM: &str = "expected /hc/coap://%5B2001:db8::5%5D/temperature: the scheme, the permanent address of the node in \
                    brackets, which are percent-encoded, and a path (RFC 8075 §5.3)";

/// A CoAP URI, taken apart (RFC 7252 §6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CoapUri {
    /// The node's permanent address, and its port.
    pub(super) at: SocketAddrV6,
    /// Uri-Path and Uri-Query.
    pub(super) options: Options,
}

/// The CoAP URI that stands in `uri`.
///
/// # Errors
/// The answer that says what is wrong: 404 where this is not a URI of the gateway's, 403 for a group, else 400.
pub(super) fn target(uri: &Uri) -> Result<CoapUri, Refusal> {
    let Some(text) = uri.path().strip_prefix(BASE) else {
        let reason = format!("there is no such thing: {FORM}");
        return Err(Refusal::new(StatusCode::NOT_FOUND, &reason));
    };
    // "A Target CoAP URI without the scheme component [...] MUST elicit a suitable client error status" (§5.3.1).
    let scheme = text.get(..SCHEME.len()).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        let reason = match text.get(.."coaps:".len()) {
            Some(secure) if secure.eq_ignore_ascii_case("coaps:") => {
                "coaps is not spoken here: expected coap".to_owned()
            }
            _ => format!("there is no `coap://`: {FORM}"),
        };
        return Err(bad(&reason));
    }
    resolved(&text[SCHEME.len()..], uri.query())
}

/// A CoAP URI as it is, `coap://[2001:db8::5]/temperature`; none if it has another scheme.
///
/// # Errors
/// As [`target`].
pub(super) fn absolute(uri: &str) -> Option<Result<CoapUri, Refusal>> {
    let (scheme, rest) = uri.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    // "A fragment [...] fail this algorithm" (RFC 7252 §6.4).
    if rest.contains('#') {
        return Some(Err(bad("a CoAP URI has no fragment")));
    }
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    Some(resolved(rest, query))
}

/// What follows a scheme.
fn resolved(rest: &str, query: Option<&str>) -> Result<CoapUri, Refusal> {
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let at = authority_of(authority)?;
    let mut options = Options::new();
    // "If the value of the <path> component [...] is empty or consists of a single slash" there is no option (RFC 7252
    // §6.4).
    if let Some(segments) = path.strip_prefix('/').filter(|path| !path.is_empty()) {
        for segment in segments.split('/') {
            let segment = part(segment)?;
            if segment == "." || segment == ".." {
                return Err(bad(
                    "a segment `.` or `..` is none of CoAP's (RFC 7252 §5.10.1)",
                ));
            }
            options.push(option::URI_PATH, segment);
        }
    }
    add_query(&mut options, query)?;
    Ok(CoapUri { at, options })
}

/// The node at `host`, an IPv6 address in brackets or without, and `port`.
///
/// # Errors
/// The answer that says that it is none.
pub(super) fn node(host: &str, port: u16) -> Result<SocketAddrV6, Refusal> {
    match host.starts_with('[') {
        true => authority_of(&format!("{host}:{port}")),
        false => authority_of(&format!("[{host}]:{port}")),
    }
}

/// Adds what follows `?`, part by part (RFC 7252 §6.4).
///
/// # Errors
/// The answer to a part that is not percent-encoded UTF-8, or too long.
pub(super) fn add_query(options: &mut Options, query: Option<&str>) -> Result<(), Refusal> {
    for query in query.into_iter().flat_map(|query| query.split('&')) {
        options.push(option::URI_QUERY, part(query)?);
    }
    Ok(())
}

fn part(encoded: &str) -> Result<String, Refusal> {
    let part = decoded(encoded)
        .ok_or_else(|| bad("the target is not percent-encoded UTF-8 (RFC 3986 §2.1)"))?;
    match part.len() <= MAX_PART {
        true => Ok(part),
        false => {
            let reason = format!("a part of more than {MAX_PART} bytes is none of a CoAP URI's");
            Err(Refusal::new(StatusCode::URI_TOO_LONG, &reason))
        }
    }
}

/// The address in an authority. Brackets are taken percent-encoded, and as they are (§5.3.2).
fn authority_of(encoded: &str) -> Result<SocketAddrV6, Refusal> {
    let form = || {
        bad(&format!(
            "`{encoded}` is no IPv6 address in brackets: {FORM}"
        ))
    };
    let text = decoded(encoded).ok_or_else(form)?;
    let (address, port) = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .ok_or_else(form)?;
    let address: Ipv6Addr = address.parse().map_err(|_| form())?;
    let port = match port {
        // "If the port subcomponent is empty or not given" (RFC 7252 §6.1).
        "" | ":" => PORT,
        port => {
            let digits = port
                .strip_prefix(':')
                .filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
            digits
                .and_then(|port| port.parse().ok())
                .filter(|port| *port != 0)
                .ok_or_else(form)?
        }
    };
    // Of a link-local address nobody has said on which link it is, and IPv4 is not spoken here.
    if address.is_unspecified()
        || address.is_unicast_link_local()
        || address.to_ipv4_mapped().is_some()
    {
        return Err(bad(&format!("{address} is no node's permanent address")));
    }
    // "It SHOULD respond 403 (Forbidden) to any valid HTTP request that maps to a CoAP multicast request" (§8.4).
    if address.is_multicast() {
        let reason = format!("{address} is a group: one node is asked at a time");
        return Err(Refusal::new(StatusCode::FORBIDDEN, &reason));
    }
    Ok(SocketAddrV6::new(address, port, 0, 0))
}

/// What a gateway's URI is of what a response locates at `at` (RFC 7252 §6.5, RFC 8075 §5.3).
pub(super) fn hosting(at: SocketAddrV6, options: &Options) -> Option<String> {
    let path = options.get_all(option::LOCATION_PATH);
    let mut query = options.get_all(option::LOCATION_QUERY).peekable();
    let mut path = path.peekable();
    if path.peek().is_none() && query.peek().is_none() {
        return None;
    }
    let mut uri = format!("{BASE}coap://%5B{}%5D", at.ip());
    if at.port() != PORT {
        let _ = write!(uri, ":{}", at.port());
    }
    for segment in path {
        uri.push('/');
        push_encoded(&mut uri, segment, b"-._~!$&'()*+,;=:@");
    }
    for (index, part) in query.enumerate() {
        uri.push(if index == 0 { '?' } else { '&' });
        push_encoded(&mut uri, part, b"-._~!$'()*+,;=:@/?");
    }
    Some(uri)
}

/// Adds bytes, percent-encoded but for letters, digits and what is `plain`.
fn push_encoded(uri: &mut String, bytes: &[u8], plain: &[u8]) {
    for byte in bytes {
        match byte.is_ascii_alphanumeric() || plain.contains(byte) {
            true => uri.push(char::from(*byte)),
            false => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
}

fn bad(reason: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &str) -> Result<CoapUri, u16> {
        let uri = target.parse().unwrap();
        super::target(&uri).map_err(|refusal| refusal.status.as_u16())
    }

    fn all(options: &Options, number: u16) -> Vec<String> {
        let values = options.get_all(number);
        values
            .map(|value| String::from_utf8(value.to_vec()).unwrap())
            .collect()
    }

    /// §5.3.2, §5.4.1.
    #[test]
    fn a_target_uri_is_appended_as_it_is() {
        let light = of("/hc/coap://%5B2001:db8::1%5D/light?on").unwrap();
        assert_eq!(light.at, "[2001:db8::1]:5683".parse().unwrap());
        let plain = of("/hc/coap://[2001:db8::1]/light?on").unwrap();
        assert_eq!((plain.at, &plain.options), (light.at, &light.options));
        assert_eq!(all(&light.options, option::URI_PATH), ["light"]);
        assert_eq!(all(&light.options, option::URI_QUERY), ["on"]);
        let more = of("/hc/COAP://%5b2001:db8::1%5d:61616/a%2Fb//%C3%A9/?x=1&y=a%26b&+").unwrap();
        assert_eq!(more.at.port(), 61616);
        assert_eq!(all(&more.options, option::URI_PATH), ["a/b", "", "é", ""]);
        assert_eq!(all(&more.options, option::URI_QUERY), ["x=1", "y=a&b", "+"]);
        for root in ["", "/", ":", ":5683/"] {
            let root = of(&format!("/hc/coap://%5B2001:db8::1%5D{root}")).unwrap();
            assert_eq!((root.at.port(), root.options.iter().count()), (PORT, 0));
        }
    }

    /// §5.3.1.
    #[test]
    fn a_target_uri_without_its_scheme_or_with_another_is_a_bad_request() {
        for wrong in [
            "/hc/",
            "/hc/%5B2001:db8::1%5D/light",
            "/hc/coap:/%5B2001:db8::1%5D/light",
            "/hc/coap%3A//%5B2001:db8::1%5D/light",
            "/hc/coaps://%5B2001:db8::1%5D/light",
            "/hc/http://%5B2001:db8::1%5D/light",
            "/hc/coap+ws://%5B2001:db8::1%5D/light",
        ] {
            assert_eq!(of(wrong), Err(400), "{wrong}");
        }
        for elsewhere in ["/", "/hc", "/hcoap://%5B::1%5D/", "/clients"] {
            assert_eq!(of(elsewhere), Err(404), "{elsewhere}");
        }
    }

    #[test]
    fn an_authority_is_a_nodes_address_in_brackets() {
        for wrong in [
            "",
            "mover",
            "192.0.2.1",
            "2001:db8::1",
            "%5B2001:db8::1",
            "%5B%5D",
            "u@%5B2001:db8::1%5D",
            "%5B2001:db8::1%5D5683",
            "%5B2001:db8::1%5D:0",
            "%5B2001:db8::1%5D:65536",
            "%5B2001:db8::1%5D:+1",
            "%5B2001:db8::1%25eth0%5D",
            "%5B::%5D",
            "%5Bfe80::1%5D",
            "%5B::ffff:192.0.2.1%5D",
            "%zz",
        ] {
            assert_eq!(
                of(&format!("/hc/coap://{wrong}/light")),
                Err(400),
                "{wrong}"
            );
        }
    }

    /// §8.4.
    #[test]
    fn a_group_is_forbidden() {
        assert_eq!(of("/hc/coap://%5Bff02::fd%5D/light"), Err(403));
    }

    #[test]
    fn a_part_that_no_option_holds_is_refused() {
        let node = "/hc/coap://%5B2001:db8::1%5D";
        for wrong in ["/.", "/a/%2e%2E/b", "/%ff", "/%", "/a?%zz"] {
            assert_eq!(of(&format!("{node}{wrong}")), Err(400), "{wrong}");
        }
        assert!(of(&format!("{node}/{}", "a".repeat(255))).is_ok());
        assert_eq!(of(&format!("{node}/{}", "a".repeat(256))), Err(414));
        assert_eq!(of(&format!("{node}/?{}", "a".repeat(256))), Err(414));
    }

    /// RFC 7252 §6.4.
    #[test]
    fn a_uri_as_it_is_has_the_same_parts() {
        let of = |uri: &str| {
            absolute(uri)
                .unwrap()
                .map_err(|refusal| refusal.status.as_u16())
        };
        let target = "2001:db8::1%5D:61616/a%2Fb//x?y=a%26b&z".replace("%5D", "]");
        let appended = super::target(&format!("/hc/coap://[{target}").parse().unwrap());
        assert_eq!(of(&format!("CoAP://[{target}")), Ok(appended.unwrap()));
        assert_eq!(of("coap://[2001:db8::1]/a#b"), Err(400));
        assert_eq!(of("coap://[ff02::fd]/a"), Err(403));
        for other in [
            "",
            "coap:/",
            "coaps://[::1]/",
            "http://[::1]/",
            "coap+ws://[::1]/",
        ] {
            assert!(absolute(other).is_none(), "{other}");
        }
        let node = |host| super::node(host, 61616).map_err(|refusal| refusal.status.as_u16());
        let at = Ok("[2001:db8::1]:61616".parse().unwrap());
        assert_eq!([node("2001:db8::1"), node("[2001:db8::1]")], [at, at]);
        for wrong in ["", "mover", "[2001:db8::1]:5", "192.0.2.1"] {
            assert_eq!(node(wrong), Err(400), "{wrong}");
        }
    }

    #[test]
    fn a_location_is_a_uri_of_the_gateways() {
        let at = "[2001:db8::1]:5683".parse().unwrap();
        let mut options = Options::new();
        assert_eq!(hosting(at, &options), None);
        options.push(option::LOCATION_PATH, "a/b");
        options.push(option::LOCATION_PATH, "é");
        options.push(option::LOCATION_QUERY, "x=1&2");
        let uri = hosting(at, &options).unwrap();
        assert_eq!(uri, "/hc/coap://%5B2001:db8::1%5D/a%2Fb/%C3%A9?x=1%262");
        let back = of(&uri).unwrap();
        assert_eq!(all(&back.options, option::URI_PATH), ["a/b", "é"]);
        assert_eq!(all(&back.options, option::URI_QUERY), ["x=1&2"]);
        let elsewhere = hosting("[2001:db8::1]:61616".parse().unwrap(), &options).unwrap();
        assert!(elsewhere.contains("%5D:61616/"), "{elsewhere}");
    }
}
