//! What a node answers, in HTTP's words (RFC 8075 §6 and §7, RFC 7252 §10.2): pure.

use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, LOCATION, RETRY_AFTER, VARY,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use coap::message::option;
use coap::{Code, Response as CoapResponse};
use serde_json::{Value as Json, json};
use topology::scalar::to_hex;

use super::ask::Asking;
use super::{behind, media, uri};
use crate::web::{Response, status};

/// How long a response is fresh that does not say it, in seconds (RFC 7252 §5.10.5).
const DEFAULT_MAX_AGE_S: u64 = 60;

/// The answer to `asking` that `response` is.
pub(super) fn whole(asking: &Asking, response: &CoapResponse) -> Response {
    let status = status_of(asking, response);
    let mut answer = Response::new(status);
    add(&mut answer, VARY, "Accept");
    // What a node has given runs in no browser in this gateway's name.
    add(
        &mut answer,
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; sandbox",
    );
    let is_fresh = matches!(status, StatusCode::OK | StatusCode::NOT_MODIFIED);
    if asking.request.method.is_safe() && is_fresh {
        add(
            &mut answer,
            CACHE_CONTROL,
            &format!("max-age={}", max_age_or_default(response)),
        );
    }
    if let Some(tag) = response
        .options
        .get(option::ETAG)
        .filter(|_| response.code.is_success())
    {
        add(&mut answer, ETAG, &format!("\"{}\"", to_hex(tag)));
    }
    if let Some(at) =
        uri::hosting(asking.at, &response.options).filter(|_| status == StatusCode::CREATED)
    {
        add(&mut answer, LOCATION, &at);
    }
    // Note 8; RFC 8516 §3 has 4.29 say it in the same way, and a response without Max-Age has the default.
    let retry = match response.code {
        Code::SERVICE_UNAVAILABLE => max_age(response),
        Code::TOO_MANY_REQUESTS => Some(max_age_or_default(response)),
        _ => None,
    };
    if let Some(retry) = retry {
        add(&mut answer, RETRY_AFTER, &retry.to_string());
    }
    if let Some(id) = behind::message_id(response) {
        add(
            &mut answer,
            HeaderName::from_static(behind::HEADER),
            &id.to_string(),
        );
    }
    match status {
        StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT => {}
        _ => add_body(&mut answer, response),
    }
    answer
}

/// Table 2 (RFC 8075 §7), with what its notes say of a request.
fn status_of(asking: &Asking, response: &CoapResponse) -> StatusCode {
    let options = &asking.request.options;
    let has = |number| options.get(number).is_some();
    match response.code {
        // Note 2: "the case where a CoAP server returns a payload or not".
        Code::DELETED | Code::CHANGED if response.payload.is_empty() => StatusCode::NO_CONTENT,
        // Note 3; who has sent no entity tag has nothing that could be valid.
        Code::VALID if has(option::ETAG) => StatusCode::NOT_MODIFIED,
        Code::VALID | Code::CONTINUE => StatusCode::BAD_GATEWAY,
        // Note 6: "due to the straightforward mapping of a client request header"; else it "MUST return HTTP 500".
        Code::BAD_OPTION => match [option::IF_MATCH, option::IF_NONE_MATCH, option::ACCEPT]
            .into_iter()
            .any(has)
        {
            true => StatusCode::BAD_REQUEST,
            false => StatusCode::INTERNAL_SERVER_ERROR,
        },
        code => status::of(code),
    }
}

/// The payload as the body: a representation, or "the CoAP diagnostic payload SHOULD be copied into the HTTP response
/// body" (RFC 8075 §6.6).
fn add_body(answer: &mut Response, response: &CoapResponse) {
    let format = response.options.get_uint(option::CONTENT_FORMAT);
    let is_success = response.code.is_success();
    answer.body = response.payload.clone();
    match format {
        // "If the Content-Format is not given [...] it is up to the application" (RFC 7252 §5.5.1).
        Some(format) => answer.content_type = Some(media::media_type(format)),
        None if is_success && !response.payload.is_empty() => {
            answer.content_type = Some(HeaderValue::from_static("application/octet-stream"));
        }
        None if is_success => {}
        // Note 7: a text "that starts with the string" this.
        None => {
            let mut text = format!("CoAP server returned {}", response.code);
            if !response.payload.is_empty() {
                text += ": ";
            }
            answer.body = text.into_bytes();
            answer.body.extend(&response.payload);
            answer.content_type = Some(media::diagnostic());
        }
    }
}

/// The answer to a discovery (RFC 8075 §5.5).
pub(super) fn links(response: CoapResponse) -> Response {
    match response.code {
        Code::CONTENT => Response {
            content_type: response
                .options
                .get_uint(option::CONTENT_FORMAT)
                .map(media::media_type),
            body: response.payload,
            ..Response::new(StatusCode::OK)
        },
        _ => {
            let mut answer = Response::problem(StatusCode::METHOD_NOT_ALLOWED, "GET only");
            add(&mut answer, ALLOW, "GET, HEAD");
            answer
        }
    }
}

/// A state of what is observed, as the data of an event: its code, its media type, its Message ID, and its payload as text, or in
/// hexadecimal digits where it is none.
pub(super) fn state(response: &CoapResponse) -> Json {
    let format = response.options.get_uint(option::CONTENT_FORMAT);
    let kind = format.map(media::media_type);
    let mut json = json!({
        "code": response.code.to_string(),
        "content_type": kind.as_ref().and_then(|kind| kind.to_str().ok()),
        "max_age_s": max_age_or_default(response),
    });
    if let Some(id) = behind::message_id(response) {
        json["message_id"] = id.into();
    }
    let (key, value) = match std::str::from_utf8(&response.payload) {
        Ok(text) => ("value", text.to_owned()),
        Err(_) => ("payload_hex", to_hex(&response.payload)),
    };
    json[key] = value.into();
    json
}

/// Why an observation has ended, as the data of an event: the status that a GET would have.
pub(super) fn end(status: StatusCode, reason: &str) -> Json {
    json!({ "status": status.as_u16(), "reason": reason })
}

/// How long a response is fresh, in seconds, if it says so: "an integer number of seconds between 0 and 2**32-1" (RFC 7252
/// §5.10.5).
fn max_age(response: &CoapResponse) -> Option<u64> {
    let given = response.options.get_uint(option::MAX_AGE)?;
    Some(given.min(u32::MAX.into()))
}

/// How long a response is fresh, in seconds.
pub(super) fn max_age_or_default(response: &CoapResponse) -> u64 {
    max_age(response).unwrap_or(DEFAULT_MAX_AGE_S)
}

/// What every value here is made of, a header field may hold.
fn add(answer: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers.push((name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::ask::tests::{asking, request};
    use axum::http::Method;
    use axum::http::header::IF_NONE_MATCH;

    const LIGHT: &str = "/hc/coap://%5B2001:db8::1%5D/light";

    fn asked(method: Method) -> Asking {
        asking(&request(method, LIGHT)).unwrap()
    }

    fn response(code: (u8, u8), options: &[(u16, &[u8])], payload: &str) -> CoapResponse {
        let mut response = CoapResponse::new(Code::new(code.0, code.1));
        for (number, value) in options {
            response.options.push(*number, value);
        }
        response.payload = payload.into();
        response
    }

    fn header(answer: &Response, name: HeaderName) -> Option<&str> {
        let found = answer.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.to_str().unwrap())
    }

    /// §7, table 2: whether there is a payload, and the status.
    #[test]
    fn codes_have_the_status_of_table_2_and_its_notes() {
        let table = [
            ((2, 1), "", 201),
            ((2, 2), "", 204),
            ((2, 2), "gone", 200),
            ((2, 4), "", 204),
            ((2, 4), "on", 200),
            ((2, 5), "", 200),
            ((4, 0), "", 400),
            ((4, 1), "", 403),
            ((4, 2), "", 500),
            ((4, 3), "", 403),
            ((4, 4), "", 404),
            ((4, 5), "", 400),
            ((4, 6), "", 406),
            ((4, 9), "", 409),
            ((4, 12), "", 412),
            ((4, 13), "", 413),
            ((4, 15), "", 415),
            ((4, 29), "", 429),
            ((5, 0), "", 500),
            ((5, 1), "", 501),
            ((5, 2), "", 502),
            ((5, 3), "", 503),
            ((5, 4), "", 504),
            ((5, 5), "", 502),
        ];
        for (code, payload, status) in table {
            let answer = whole(&asked(Method::PUT), &response(code, &[], payload));
            assert_eq!(answer.status.as_u16(), status, "{code:?} {payload}");
        }
    }

    /// §7, notes 3 and 6.
    #[test]
    fn what_a_request_had_decides_what_2_03_and_4_02_are() {
        let valid = response((2, 3), &[(option::ETAG, &[10, 11])], "");
        assert_eq!(
            whole(&asked(Method::GET), &valid).status,
            StatusCode::BAD_GATEWAY
        );
        let bad = response((4, 2), &[], "");
        let mut conditional = request(Method::GET, LIGHT);
        conditional
            .headers
            .insert(IF_NONE_MATCH, HeaderValue::from_static("\"0a0b\""));
        let conditional = asking(&conditional).unwrap();
        let answer = whole(&conditional, &valid);
        assert_eq!(
            (answer.status, header(&answer, ETAG)),
            (StatusCode::NOT_MODIFIED, Some("\"0a0b\""))
        );
        assert_eq!((answer.content_type, answer.body.len()), (None, 0));
        assert_eq!(
            header(&whole(&conditional, &valid), CACHE_CONTROL),
            Some("max-age=60")
        );
        let mut accepting = request(Method::GET, LIGHT);
        let json = HeaderValue::from_static("application/json");
        accepting.headers.insert(axum::http::header::ACCEPT, json);
        assert_eq!(
            whole(&asking(&accepting).unwrap(), &bad).status,
            StatusCode::BAD_REQUEST
        );
    }

    /// §6.2, RFC 7252 §10.2.2.
    #[test]
    fn a_representation_has_its_type_its_tag_and_its_age() {
        let options: &[(u16, &[u8])] = &[
            (option::ETAG, &[1, 255]),
            (option::CONTENT_FORMAT, &[50]),
            (option::MAX_AGE, &[5]),
        ];
        let answer = whole(&asked(Method::GET), &response((2, 5), options, "21"));
        assert_eq!(answer.content_type.as_ref().unwrap(), "application/json");
        assert_eq!(answer.body, b"21");
        assert_eq!(header(&answer, ETAG), Some("\"01ff\""));
        assert_eq!(header(&answer, CACHE_CONTROL), Some("max-age=5"));
        assert_eq!(header(&answer, VARY), Some("Accept"));
        let unknown = response((2, 5), &[(option::CONTENT_FORMAT, &[0x2d, 0x16])], "x");
        let answer = whole(&asked(Method::GET), &unknown);
        assert_eq!(
            answer.content_type.unwrap(),
            "application/coap-payload;cf=11542"
        );
        let untold = whole(&asked(Method::GET), &response((2, 5), &[], "x"));
        assert_eq!(untold.content_type.unwrap(), "application/octet-stream");
    }

    /// §6.6; §7, note 7.
    #[test]
    fn a_diagnostic_is_a_text() {
        let answer = whole(&asked(Method::GET), &response((4, 5), &[], "GET or\r\nPUT"));
        assert_eq!(answer.body, b"CoAP server returned 4.05: GET or\r\nPUT");
        assert_eq!(answer.content_type.unwrap(), "text/plain;charset=utf-8");
        let silent = whole(&asked(Method::GET), &response((4, 4), &[], ""));
        assert_eq!(silent.body, b"CoAP server returned 4.04");
    }

    /// §7, note 8; RFC 8516 §3.
    #[test]
    fn who_is_busy_says_when_to_ask_again() {
        let of = |code, options| {
            let answer = whole(&asked(Method::GET), &response(code, options, ""));
            header(&answer, RETRY_AFTER).map(str::to_owned)
        };
        let age: &[(u16, &[u8])] = &[(option::MAX_AGE, &[7])];
        assert_eq!(of((5, 3), age).as_deref(), Some("7"));
        assert_eq!(of((5, 3), &[]), None);
        assert_eq!(of((4, 29), age).as_deref(), Some("7"));
        assert_eq!(of((4, 29), &[]).as_deref(), Some("60"));
        assert_eq!(of((4, 4), age), None);
    }

    #[test]
    fn what_was_created_is_located() {
        let options: &[(u16, &[u8])] = &[(option::LOCATION_PATH, b"a b")];
        let answer = whole(&asked(Method::POST), &response((2, 1), options, "it"));
        let at = "/hc/coap://%5B2001:db8::1%5D/a%20b";
        assert_eq!(header(&answer, LOCATION), Some(at));
        assert_eq!(answer.body, b"it");
    }

    #[test]
    fn a_state_is_text_or_hexadecimal_digits() {
        let text = state(&response((2, 5), &[(option::CONTENT_FORMAT, &[])], "21.5"));
        let expected = json!({
            "code": "2.05", "content_type": "text/plain;charset=utf-8", "max_age_s": 60, "value": "21.5",
        });
        assert_eq!(text, expected);
        let mut bytes = response((2, 5), &[(option::MAX_AGE, &[3])], "");
        bytes.payload = vec![0xff, 0];
        let expected =
            json!({ "code": "2.05", "content_type": null, "max_age_s": 3, "payload_hex": "ff00" });
        assert_eq!(state(&bytes), expected);
    }

    #[test]
    fn every_code_and_every_option_has_an_answer() {
        for byte in 0..=u8::MAX {
            for options in [
                &[][..],
                &[(option::MAX_AGE, &[255; 9][..]), (option::ETAG, &[7; 40])],
            ] {
                let response = response((byte >> 5, byte & 31), options, "x");
                assert!(whole(&asked(Method::GET), &response).status.as_u16() >= 200);
            }
        }
    }
}
