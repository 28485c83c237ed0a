//! What is asked by CoAP over a WebSocket: of a node, as of a forward proxy, or of the gateway (RFC 7252 §5.7.2): pure.

use coap::message::{Options, PORT, option};
use coap::{Code, Request as CoapRequest, Response as CoapResponse, link};

use super::ask::{Asking, Wish, may};
use super::refusal::Refusal;
use super::{known, uri};

/// The unsafe options that are understood here, the endpoint's Block options aside.
const UNDERSTOOD: [u16; 9] = [
    option::URI_HOST,
    option::OBSERVE,
    option::URI_PORT,
    option::URI_PATH,
    option::MAX_AGE,
    option::URI_QUERY,
    option::PROXY_URI,
    option::PROXY_SCHEME,
    option::NO_RESPONSE,
];

/// Those that are for the hop to the gateway, or say which node.
const OWN: [u16; 6] = [
    option::URI_HOST,
    option::OBSERVE,
    option::URI_PORT,
    option::PROXY_URI,
    option::PROXY_SCHEME,
    option::NO_RESPONSE,
];

/// What carries any method within a FETCH (RFC 8613 §4.2).
const OSCORE: u16 = 9;

/// Whether a proxy that does not understand the option must not forward it (RFC 7252 §5.4.6).
const fn is_unsafe(number: u16) -> bool {
    number & 2 != 0
}

/// What `request` wants; where not `writes`, what would change something of a node is refused.
///
/// # Errors
/// The response that says what is wrong.
pub(super) fn wish(request: CoapRequest, writes: bool) -> Result<Wish, CoapResponse> {
    let wants_states = request.options.get_uint(option::OBSERVE) == Some(0);
    let observes = wants_states && request.method.is_safe();
    let Some((at, mut options)) = target(&request.options)? else {
        return own(request, observes);
    };
    if !(Code::GET.0..=Code::IPATCH.0).contains(&request.method.0) {
        let text = format!("there is no method {}", request.method);
        return Err(CoapResponse::diagnostic(Code::METHOD_NOT_ALLOWED, &text));
    }
    may(request.method, writes).map_err(|refusal| refusal.coap())?;
    if !writes && request.options.get(OSCORE).is_some() {
        let reason = "what OSCORE protects may change something, and this gateway only reads";
        return Err(CoapResponse::diagnostic(Code::FORBIDDEN, reason));
    }
    for (number, value) in request.options.iter() {
        // "Unsafe options in a request that are not recognized by the proxy MUST lead to a 4.02 (Bad Option) response
        // being returned by the proxy. A CoAP-to-CoAP proxy MUST forward to the origin server all Safe-to-Forward
        // options that it does not recognize" (§5.7.1).
        if is_unsafe(number) && !UNDERSTOOD.contains(&number) {
            let text = format!("option {number} is unknown to the proxy, and not safe to forward");
            return Err(CoapResponse::diagnostic(Code::BAD_OPTION, &text));
        }
        if !OWN.contains(&number) {
            options.push(number, value);
        }
    }
    let request = CoapRequest { options, ..request };
    Ok(Wish::Ask(Asking {
        at,
        request,
        observes,
    }))
}

/// Whom a request is for, and what its URI has beside the options that are forwarded; none: the gateway.
fn target(options: &Options) -> Result<Option<(std::net::SocketAddrV6, Options)>, CoapResponse> {
    let text = |number| text(options, number);
    // "The use of the Proxy-Uri Option [...] takes precedence over any of the Uri-Host, Uri-Port, Uri-Path or
    // Uri-Query options" (§5.10.2).
    if let Some(uri) = text(option::PROXY_URI)? {
        if [option::URI_PATH, option::URI_QUERY]
            .iter()
            .any(|number| options.get(*number).is_some())
        {
            let reason =
                "Proxy-Uri and Uri-Path or Uri-Query: expected one of them (RFC 7252 §5.10.2)";
            return Err(CoapResponse::diagnostic(Code::BAD_REQUEST, reason));
        }
        let target = uri::absolute(uri).ok_or_else(|| not_spoken(uri))?;
        let target = target.map_err(|refusal| refusal.coap())?;
        return Ok(Some((target.at, target.options)));
    }
    let Some(scheme) = text(option::PROXY_SCHEME)? else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case("coap") {
        return Err(not_spoken(scheme));
    }
    let host = text(option::URI_HOST)?.unwrap_or_default();
    let port = match options.get(option::URI_PORT) {
        None => Ok(PORT),
        Some(_) => u16::try_from(options.get_uint(option::URI_PORT).unwrap_or_default()),
    };
    let node = port.map_err(|_| Refusal::new(axum::http::StatusCode::BAD_REQUEST, "no port"));
    let node = node.and_then(|port| uri::node(host, port));
    let node = node.map_err(|refusal| refusal.coap())?;
    Ok(Some((node, Options::new())))
}

/// The value of an option whose format is string: UTF-8 (RFC 7252 §3.2).
fn text(options: &Options, number: u16) -> Result<Option<&str>, CoapResponse> {
    let value = options.get(number).map(std::str::from_utf8);
    value.transpose().map_err(|_| {
        let text = format!("option {number} is not UTF-8");
        CoapResponse::diagnostic(Code::BAD_REQUEST, &text)
    })
}

fn not_spoken(what: &str) -> CoapResponse {
    let text = format!("`{what}` is not asked for others: expected coap://[ADDRESS]/PATH");
    CoapResponse::diagnostic(Code::PROXYING_NOT_SUPPORTED, &text)
}

/// What is wanted of the gateway itself.
fn own(request: CoapRequest, observes: bool) -> Result<Wish, CoapResponse> {
    match request.path().as_str() {
        link::WELL_KNOWN_CORE => Ok(Wish::Discover(request)),
        known::PATH if request.method == Code::GET => Ok(Wish::Nodes { follows: observes }),
        known::PATH => Err(CoapResponse::diagnostic(
            Code::METHOD_NOT_ALLOWED,
            "GET only",
        )),
        path => {
            let text = format!(
                "the gateway has no {path}: see {}, and name a node by Proxy-Uri, or by Proxy-Scheme and Uri-Host",
                link::WELL_KNOWN_CORE
            );
            Err(CoapResponse::diagnostic(Code::NOT_FOUND, &text))
        }
    }
}

/// A node's response, if it may be forwarded: "unsafe options in a response that are not recognized by the CoAP-to-CoAP
/// proxy server MUST lead to a 5.02 (Bad Gateway) response" (§5.7.1).
pub(super) fn forwarded(response: &CoapResponse) -> CoapResponse {
    let unknown = |number: u16| is_unsafe(number) && !UNDERSTOOD.contains(&number);
    let mut forwarded = response.clone();
    // The endpoint's, of both hops.
    for number in [
        option::OBSERVE,
        option::BLOCK1,
        option::BLOCK2,
        option::SIZE1,
        option::SIZE2,
    ] {
        forwarded.options.remove(number);
    }
    let first = {
        let mut numbers = forwarded.options.iter().map(|(number, _)| number);
        numbers.find(|number| unknown(*number))
    };
    match first {
        None => forwarded,
        Some(number) => {
            let text = format!("option {number} of the response is unknown to the proxy");
            CoapResponse::diagnostic(Code::new(5, 2), &text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Code, options: &[(u16, &[u8])]) -> CoapRequest {
        let mut request = CoapRequest::new(method, "");
        for (number, value) in options {
            request.options.push(*number, value);
        }
        request
    }

    fn asking(request: CoapRequest) -> Result<Asking, Code> {
        match wish(request, true) {
            Ok(Wish::Ask(asking)) => Ok(asking),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal.code),
        }
    }

    fn get(options: &[(u16, &[u8])]) -> Result<Asking, Code> {
        asking(request(Code::GET, options))
    }

    const BY_SCHEME: [(u16, &[u8]); 4] = [
        (option::URI_HOST, b"2001:db8::5"),
        (option::URI_PATH, b"light"),
        (option::URI_QUERY, b"on"),
        (option::PROXY_SCHEME, b"coap"),
    ];

    /// §5.7.2, §5.10.2: both ways to name it are one request.
    #[test]
    fn a_node_is_named_by_a_uri_or_by_its_parts() {
        let by_uri = get(&[(option::PROXY_URI, b"coap://[2001:db8::5]/light?on")]).unwrap();
        assert_eq!(by_uri.at, "[2001:db8::5]:5683".parse().unwrap());
        let mut expected = CoapRequest::new(Code::GET, "/light");
        expected.options.push(option::URI_QUERY, "on");
        assert_eq!(by_uri.request, expected);
        assert_eq!(get(&BY_SCHEME), Ok(by_uri));
        let mut elsewhere = request(Code::GET, &BY_SCHEME);
        elsewhere.options.push_uint(option::URI_PORT, 61616);
        assert_eq!(asking(elsewhere).unwrap().at.port(), 61616);
    }

    #[test]
    fn what_names_no_node_is_refused() {
        let uri = |uri: &str| get(&[(option::PROXY_URI, uri.as_bytes())]).unwrap_err();
        // "MUST cause the return of a 5.05" (§5.10.2).
        for other in [
            "http://[::1]/",
            "coaps://[::1]/a",
            "light",
            "coap+ws://[::1]/",
        ] {
            assert_eq!(uri(other), Code::PROXYING_NOT_SUPPORTED, "{other}");
        }
        assert_eq!(
            get(&[(option::PROXY_SCHEME, b"http")]),
            Err(Code::PROXYING_NOT_SUPPORTED)
        );
        for wrong in ["coap://mover/light", "coap://[fe80::1]/", "coap://[::1]/%"] {
            assert_eq!(uri(wrong), Code::BAD_REQUEST, "{wrong}");
        }
        assert_eq!(uri("coap://[ff02::fd]/light"), Code::FORBIDDEN);
        assert_eq!(
            get(&[(option::PROXY_SCHEME, b"coap")]),
            Err(Code::BAD_REQUEST)
        );
        for number in [option::PROXY_URI, option::PROXY_SCHEME] {
            let refused = get(&[(number, b"coap\xff")]);
            assert_eq!(refused, Err(Code::BAD_REQUEST), "{number}");
        }
        let host = [
            (option::URI_HOST, &b"2001:db8::5%\xff"[..]),
            (option::PROXY_SCHEME, b"coap"),
        ];
        let refused = wish(request(Code::GET, &host), true).unwrap_err();
        assert_eq!(refused.code, Code::BAD_REQUEST);
        assert_eq!(refused.payload, b"option 3 is not UTF-8");
        let both = [
            (option::URI_PATH, &b"a"[..]),
            (option::PROXY_URI, b"coap://[::1]/b"),
        ];
        assert_eq!(get(&both), Err(Code::BAD_REQUEST));
    }

    /// §5.7.1.
    #[test]
    fn safe_options_are_forwarded_and_unsafe_ones_only_if_they_are_known() {
        let proxy = (option::PROXY_URI, &b"coap://[2001:db8::5]/a"[..]);
        let tag = (option::ETAG, &[1][..]);
        // Critical, and safe: 2049; elective, and safe: 2052.
        let unknown = [(2049, &[2][..]), (2052, &[3])];
        let asked = get(&[proxy, tag, unknown[0], unknown[1]]).unwrap();
        let expected = request(
            Code::GET,
            &[tag, (option::URI_PATH, b"a"), unknown[0], unknown[1]],
        );
        assert_eq!(asked.request, expected);
        assert_eq!(get(&[proxy, (2050, &[])]), Err(Code::BAD_OPTION));
        assert_eq!(get(&[proxy, (2051, &[])]), Err(Code::BAD_OPTION));
        // Of the hop to the gateway.
        let own = [proxy, (option::NO_RESPONSE, &[26][..])];
        assert_eq!(get(&own).unwrap().request, get(&[proxy]).unwrap().request);
        let response = |number: u16| {
            let mut response = CoapResponse::new(Code::CONTENT);
            response.options.push(option::MAX_AGE, [1]);
            response.options.push(number, []);
            response
        };
        assert_eq!(forwarded(&response(2052)), response(2052));
        assert_eq!(forwarded(&response(2050)).code, Code::new(5, 2));
    }

    #[test]
    fn a_get_or_fetch_with_observe_0_observes() {
        let proxy = (option::PROXY_URI, &b"coap://[2001:db8::5]/a"[..]);
        for (method, value, observes) in [
            (Code::GET, &[][..], true),
            (Code::FETCH, &[], true),
            (Code::GET, &[1], false),
            (Code::PUT, &[], false),
        ] {
            let asked = asking(request(method, &[proxy, (option::OBSERVE, value)])).unwrap();
            assert_eq!(asked.observes, observes, "{method} {value:?}");
            assert_eq!(asked.request.options.get(option::OBSERVE), None);
        }
    }

    #[test]
    fn nothing_is_written_unless_that_is_allowed() {
        let proxy = (option::PROXY_URI, &b"coap://[2001:db8::5]/a"[..]);
        for method in (Code::GET.0..=Code::IPATCH.0).map(Code) {
            let may = wish(request(method, &[proxy]), false);
            match method.is_safe() {
                true => assert!(may.is_ok(), "{method}"),
                false => assert_eq!(may.unwrap_err().code, Code::FORBIDDEN, "{method}"),
            }
        }
        // What is within it nobody here sees.
        let protected = || request(Code::FETCH, &[(OSCORE, &[][..]), proxy]);
        let refused = wish(protected(), false).unwrap_err();
        assert_eq!(refused.code, Code::FORBIDDEN);
        assert!(wish(protected(), true).is_ok());
        assert_eq!(
            asking(request(Code(9), &[proxy])),
            Err(Code::METHOD_NOT_ALLOWED)
        );
    }

    #[test]
    fn what_names_nobody_is_the_gateways_own() {
        let own = |method, path| wish(CoapRequest::new(method, path), false);
        assert!(matches!(
            own(Code::GET, link::WELL_KNOWN_CORE),
            Ok(Wish::Discover(_))
        ));
        assert_eq!(own(Code::GET, "/nodes"), Ok(Wish::Nodes { follows: false }));
        let refused = |method, path| own(method, path).unwrap_err().code;
        assert_eq!(refused(Code::PUT, "/nodes"), Code::METHOD_NOT_ALLOWED);
        assert_eq!(refused(Code::GET, "/light"), Code::NOT_FOUND);
    }
}
