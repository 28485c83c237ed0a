//! Media types and Content-Formats (RFC 8075 §6): pure. A type is mapped exactly: the loose mapping of §6.3 is left
//! out, as it may be.

use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::refusal::Refusal;

/// Media types that have a Content-Format (CoRE Parameters registry).
const FORMATS: &[(&str, u16)] = &[
    ("text/plain;charset=utf-8", TEXT),
    ("application/link-format", 40),
    ("application/xml", 41),
    ("application/octet-stream", 42),
    ("application/exi", 47),
    ("application/json", 50),
    ("application/json-patch+json", 51),
    ("application/merge-patch+json", 52),
    ("application/cbor", 60),
    ("application/cwt", 61),
    ("application/multipart-core", 62),
    ("application/cbor-seq", 63),
    ("application/senml+json", 110),
    ("application/sensml+json", 111),
    ("application/senml+cbor", 112),
    ("application/sensml+cbor", 113),
    ("application/senml-exi", 114),
    ("application/sensml-exi", 115),
    ("application/senml+xml", 310),
    ("application/sensml+xml", 311),
];

/// The Content-Format of text.
const TEXT: u16 = 0;

/// The media type of a payload whose Content-Format is told by its number (RFC 8075 §9.2).
const COAP_PAYLOAD: &str = "application/coap-payload";

/// What a media type says, without regard to case and spaces.
#[derive(Debug)]
struct Media<'h> {
    kind: String,
    parameters: Vec<(String, &'h str)>,
}

impl<'h> Media<'h> {
    fn of(text: &'h str) -> Media<'h> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameter = |part: &'h str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (
                name.trim().to_ascii_lowercase(),
                value.trim().trim_matches('"'),
            )
        };
        let parameters = parts.filter(|part| !part.is_empty()).map(parameter);
        Media {
            kind,
            parameters: parameters.collect(),
        }
    }

    fn parameter(&self, name: &str) -> Option<&'h str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value)
    }

    /// Its Content-Format, if it has one (§6.4). `q` of an Accept is no parameter of the type.
    fn content_format(&self) -> Option<u16> {
        let others: Vec<_> = self
            .parameters
            .iter()
            .filter(|(name, _)| name != "q")
            .collect();
        if self.kind == COAP_PAYLOAD {
            let number = self
                .parameter("cf")
                .filter(|cf| cf.bytes().all(|b| b.is_ascii_digit()))?;
            return number.parse().ok().filter(|_| others.len() == 1);
        }
        let kind_of = |known: &str| known.split(';').next() == Some(self.kind.as_str());
        let (_, number) = FORMATS.iter().find(|(known, _)| kind_of(known))?;
        // What is ASCII is UTF-8. JSON's charset says nothing (RFC 8259 §11), and is said often.
        let says_utf8 = |(name, value): &&(String, &str)| {
            let utf8 = ["utf-8", "us-ascii"]
                .iter()
                .any(|known| value.eq_ignore_ascii_case(known));
            name == "charset" && utf8
        };
        others
            .iter()
            .copied()
            .all(|of| says_utf8(&of))
            .then_some(*number)
    }

    /// How much it is preferred, in thousandths (RFC 9110 §12.4.2); 0: not at all.
    fn quality(&self) -> u32 {
        let Some(text) = self.parameter("q") else {
            return 1000;
        };
        let quality = text.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q));
        // Not negative, and at most 1000.
        quality.map_or(0, |q| (q * 1000.0) as u32)
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers
        .get(name)
        .map(|value| value.to_str().unwrap_or_default())
}

/// The Content-Format of a request's body; none if nothing is said of it.
///
/// # Errors
/// 415: "a Content-Type and Content-Encoding combination that the HC Proxy is unable to map to an equivalent CoAP
/// Content-Format SHALL elicit a 415" (RFC 8075 §6.1).
pub(super) fn content_format(headers: &HeaderMap) -> Result<Option<u16>, Refusal> {
    let refuse = |reason: &str| Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
    match text(headers, CONTENT_ENCODING) {
        None => {}
        Some(encoding) if encoding.eq_ignore_ascii_case("identity") => {}
        Some(encoding) => {
            let reason =
                format!("Content-Encoding `{encoding}` has no Content-Format: leave it out");
            return refuse(&reason);
        }
    }
    let Some(given) = text(headers, CONTENT_TYPE) else {
        return Ok(None);
    };
    match Media::of(given).content_format() {
        Some(format) => Ok(Some(format)),
        None => {
            let reason = format!(
                "Content-Type `{given}` has no Content-Format: write text/plain, or {COAP_PAYLOAD};cf=NUMBER"
            );
            refuse(&reason)
        }
    }
}

/// The Content-Format that is asked for: the one that is preferred among those that have one. None where anything is
/// taken: "an HTTP Accept */* MUST be mapped to a CoAP request without an Accept option"; nor where nothing can be mapped,
/// which "SHOULD be silently ignored" (RFC 8075 §6.1).
pub(super) fn accept(headers: &HeaderMap) -> Option<u16> {
    let values = headers.get_all(ACCEPT).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let wanted: Vec<Media<'_>> = texts
        .flat_map(|text| text.split(','))
        .map(Media::of)
        .collect();
    let wanted = || wanted.iter().filter(|media| media.quality() > 0);
    if wanted().any(|media| media.kind == "*/*") {
        return None;
    }
    let mut best: Option<(u32, u16)> = None;
    for media in wanted() {
        if let Some(format) = media.content_format()
            && best.is_none_or(|(quality, _)| media.quality() > quality)
        {
            best = Some((media.quality(), format));
        }
    }
    best.map(|(_, format)| format)
}

/// The media type of a Content-Format (RFC 8075 §6.2).
pub(super) fn media_type(format: u64) -> HeaderValue {
    let known = FORMATS
        .iter()
        .find(|(_, number)| u64::from(*number) == format);
    match known {
        Some((name, _)) => HeaderValue::from_static(name),
        None => {
            let octets = HeaderValue::from_static("application/octet-stream");
            HeaderValue::try_from(format!("{COAP_PAYLOAD};cf={format}")).unwrap_or(octets)
        }
    }
}

/// "The media type of the response set to text/plain;charset=utf-8" (RFC 8075 §6.6).
pub(super) fn diagnostic() -> HeaderValue {
    media_type(u64::from(TEXT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        HeaderMap::from_iter([(name, value)])
    }

    fn format(value: &str) -> Result<Option<u16>, u16> {
        content_format(&headers(CONTENT_TYPE, value)).map_err(|refusal| refusal.status.as_u16())
    }

    /// §6.4.
    #[test]
    fn a_content_type_has_its_content_format() {
        assert_eq!(content_format(&HeaderMap::new()).unwrap(), None);
        for (kind, number) in [
            ("text/plain", 0),
            ("text/plain; charset=UTF-8", 0),
            ("Text/Plain;Charset=\"us-ascii\"", 0),
            ("application/json", 50),
            ("application/json;charset=utf-8", 50),
            ("application/senml+cbor", 112),
        ] {
            assert_eq!(format(kind), Ok(Some(number)), "{kind}");
        }
        for (name, number) in FORMATS {
            assert_eq!(format(name), Ok(Some(*number)), "{name}");
            assert_eq!(media_type(u64::from(*number)), *name);
        }
    }

    /// §6.1.
    #[test]
    fn what_cannot_be_mapped_is_an_unsupported_media_type() {
        for kind in [
            "image/png",
            "text/html",
            "application/x-www-form-urlencoded",
            "text/plain;charset=iso-8859-1",
            "application/json;profile=x",
            "",
            ";",
            "é",
        ] {
            assert_eq!(format(kind), Err(415), "{kind}");
        }
        let mut coded = headers(CONTENT_TYPE, "application/json");
        coded.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(content_format(&coded).is_err());
        coded.insert(CONTENT_ENCODING, HeaderValue::from_static("Identity"));
        assert_eq!(content_format(&coded).unwrap(), Some(50));
    }

    /// §6.2, §9.2.
    #[test]
    fn a_content_format_without_a_media_type_is_told_by_its_number() {
        assert_eq!(media_type(11542), "application/coap-payload;cf=11542");
        assert_eq!(format("application/coap-payload;cf=11542"), Ok(Some(11542)));
        assert_eq!(
            format("application/coap-payload; CF=65535"),
            Ok(Some(65535))
        );
        for wrong in [
            "",
            ";cf=",
            ";cf=65536",
            ";cf=+1",
            ";cf=-1",
            ";cf=x",
            ";cf=1;v=2",
        ] {
            assert_eq!(
                format(&format!("application/coap-payload{wrong}")),
                Err(415),
                "{wrong}"
            );
        }
    }

    /// §6.1; RFC 7252 §10.2.2: "the most-preferred media type".
    #[test]
    fn an_accept_is_the_preferred_type_that_has_a_content_format() {
        let of = |value| accept(&headers(ACCEPT, value));
        assert_eq!(accept(&HeaderMap::new()), None);
        assert_eq!(of("*/*"), None);
        assert_eq!(of("application/json"), Some(50));
        assert_eq!(of("application/json;q=0.5, application/cbor"), Some(60));
        assert_eq!(of("text/html, application/json;q=0.1"), Some(50));
        assert_eq!(of("application/json;q=0"), None);
        assert_eq!(of("application/coap-payload;cf=11542;q=0.9"), Some(11542));
        assert_eq!(of("text/event-stream"), None);
        assert_eq!(of("text/*, ,;q=x, application/json;q=7"), None);
        // A browser's.
        assert_eq!(
            of("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            None
        );
    }
}
