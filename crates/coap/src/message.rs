//! CoAP messages (RFC 7252 §3).

use std::fmt;

use smallvec::SmallVec;

/// The UDP port of `coap://` (RFC 7252 §6.1).
pub const PORT: u16 = 5683;

/// Message type (RFC 7252 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// CON.
    Confirmable,
    /// NON.
    NonConfirmable,
    /// ACK.
    Acknowledgement,
    /// RST.
    Reset,
}

/// Request method or response code, `c.dd` (RFC 7252 §3, §12.1; RFC 7959 §2.9; RFC 8132 §6;
/// RFC 8516 §4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

#[allow(missing_docs)] // The names are the standard's.
impl Code {
    pub const EMPTY: Code = Code(0);
    pub const GET: Code = Code(1);
    pub const POST: Code = Code(2);
    pub const PUT: Code = Code(3);
    pub const DELETE: Code = Code(4);
    pub const FETCH: Code = Code(5);
    pub const PATCH: Code = Code(6);
    pub const IPATCH: Code = Code(7);
    pub const CREATED: Code = Code::new(2, 1);
    pub const DELETED: Code = Code::new(2, 2);
    pub const VALID: Code = Code::new(2, 3);
    pub const CHANGED: Code = Code::new(2, 4);
    pub const CONTENT: Code = Code::new(2, 5);
    pub const CONTINUE: Code = Code::new(2, 31);
    pub const BAD_REQUEST: Code = Code::new(4, 0);
    pub const UNAUTHORIZED: Code = Code::new(4, 1);
    pub const BAD_OPTION: Code = Code::new(4, 2);
    pub const FORBIDDEN: Code = Code::new(4, 3);
    pub const NOT_FOUND: Code = Code::new(4, 4);
    pub const METHOD_NOT_ALLOWED: Code = Code::new(4, 5);
    pub const NOT_ACCEPTABLE: Code = Code::new(4, 6);
    pub const REQUEST_ENTITY_INCOMPLETE: Code = Code::new(4, 8);
    pub const CONFLICT: Code = Code::new(4, 9);
    pub const PRECONDITION_FAILED: Code = Code::new(4, 12);
    pub const REQUEST_ENTITY_TOO_LARGE: Code = Code::new(4, 13);
    pub const UNSUPPORTED_CONTENT_FORMAT: Code = Code::new(4, 15);
    pub const UNPROCESSABLE_ENTITY: Code = Code::new(4, 22);
    pub const TOO_MANY_REQUESTS: Code = Code::new(4, 29);
    pub const INTERNAL_SERVER_ERROR: Code = Code::new(5, 0);
    pub const SERVICE_UNAVAILABLE: Code = Code::new(5, 3);
    pub const PROXYING_NOT_SUPPORTED: Code = Code::new(5, 5);
}

impl Code {
    /// `class.detail`.
    pub const fn new(class: u8, detail: u8) -> Code {
        Code(class << 5 | detail)
    }

    /// 0 request, 2 success, 4 client error, 5 server error.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// Whether it is a request method.
    pub const fn is_request(self) -> bool {
        self.class() == 0 && self.0 != 0
    }

    /// Whether it is a method that asks for a state and changes none: GET, FETCH (RFC 8132 §4).
    pub const fn is_safe(self) -> bool {
        matches!(self, Code::GET | Code::FETCH)
    }

    /// Whether it is a response code.
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }

    /// Whether it is a success, class 2.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.0 & 0x1f)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({self})")
    }
}

/// Option numbers of RFC 7252 §5.10 and the extensions used here.
#[allow(missing_docs)] // The names are the standards'.
pub mod option {
    pub const IF_MATCH: u16 = 1;
    pub const URI_HOST: u16 = 3;
    pub const ETAG: u16 = 4;
    pub const IF_NONE_MATCH: u16 = 5;
    pub const OBSERVE: u16 = 6;
    pub const URI_PORT: u16 = 7;
    pub const LOCATION_PATH: u16 = 8;
    pub const URI_PATH: u16 = 11;
    pub const CONTENT_FORMAT: u16 = 12;
    pub const MAX_AGE: u16 = 14;
    pub const URI_QUERY: u16 = 15;
    pub const ACCEPT: u16 = 17;
    pub const LOCATION_QUERY: u16 = 20;
    pub const BLOCK2: u16 = 23;
    pub const BLOCK1: u16 = 27;
    pub const SIZE2: u16 = 28;
    pub const PROXY_URI: u16 = 35;
    pub const PROXY_SCHEME: u16 = 39;
    pub const SIZE1: u16 = 60;
    pub const ECHO: u16 = 252;
    pub const NO_RESPONSE: u16 = 258;

    /// Whether an endpoint that does not know the option must refuse the message
    /// (RFC 7252 §5.4.1).
    pub const fn is_critical(number: u16) -> bool {
        number & 1 == 1
    }
}

/// Options in ascending order of number; repeated ones in their order of appearance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<(u16, Value)>);

/// The value of an option: up to an IPv6 address it is in its place, longer it has its own memory.
type Value = SmallVec<[u8; 16]>;

impl Options {
    /// No options.
    pub const fn new() -> Options {
        Options(Vec::new())
    }

    /// No options, and room for so many without another allocation.
    pub(crate) fn with_room(options: usize) -> Options {
        Options(Vec::with_capacity(options))
    }

    /// Adds an option after those of the same number.
    pub fn push(&mut self, number: u16, value: impl AsRef<[u8]>) {
        let option = (number, Value::from_slice(value.as_ref()));
        if self.0.last().is_none_or(|(last, _)| *last <= number) {
            return self.0.push(option);
        }
        let at = self.0.partition_point(|(n, _)| *n <= number);
        self.0.insert(at, option);
    }

    /// Adds an option in the `uint` format: big-endian without leading zeros (§3.2).
    pub fn push_uint(&mut self, number: u16, value: u64) {
        let bytes = value.to_be_bytes();
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        self.push(number, &bytes[zeros..]);
    }

    /// Takes an option out, however often it is there.
    pub fn remove(&mut self, number: u16) {
        self.0.retain(|(n, _)| *n != number);
    }

    /// The number in an option of the `uint` format; `None` without it, or with more than 8
    /// bytes.
    pub fn get_uint(&self, number: u16) -> Option<u64> {
        let value = self.get(number).filter(|value| value.len() <= 8)?;
        Some(value.iter().fold(0, |sum, b| sum << 8 | u64::from(*b)))
    }

    /// The values of an option.
    pub fn get_all(&self, number: u16) -> impl Iterator<Item = &[u8]> {
        self.0
            .iter()
            .filter(move |(n, _)| *n == number)
            .map(|(_, v)| v.as_slice())
    }

    /// The first value of an option.
    pub fn get(&self, number: u16) -> Option<&[u8]> {
        self.get_all(number).next()
    }

    /// The path as text, `/a/b`; segments that are not UTF-8 show their replacement.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.get_all(option::URI_PATH) {
            path.push('/');
            path.push_str(&String::from_utf8_lossy(segment));
        }
        if path.is_empty() { "/".into() } else { path }
    }

    /// All options in order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.0.iter().map(|(n, v)| (*n, v.as_slice()))
    }
}

/// A request, without what the message layer adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// [`Code::GET`], [`Code::PUT`], …
    pub method: Code,
    /// Options.
    pub options: Options,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Request {
    /// A request for `path` (`/a/b`): one Uri-Path option per segment (RFC 7252 §6.4).
    pub fn new(method: Code, path: &str) -> Request {
        let mut options = Options::new();
        for segment in path.split('/').filter(|s| !s.is_empty()) {
            options.push(option::URI_PATH, segment.as_bytes());
        }
        Request {
            method,
            options,
            payload: Vec::new(),
        }
    }

    /// The path as text, `/a/b`; segments that are not UTF-8 show their replacement.
    pub fn path(&self) -> String {
        self.options.path()
    }
}

/// Longest diagnostic payload, in bytes.
pub const MAX_DIAGNOSTIC: usize = 256;

/// A response, without what the message layer adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// `2.05`, `4.04`, …
    pub code: Code,
    /// Options.
    pub options: Options,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Response {
    /// A response without options or payload.
    pub fn new(code: Code) -> Response {
        Response {
            code,
            options: Options::new(),
            payload: Vec::new(),
        }
    }

    /// An error with a diagnostic payload (RFC 7252 §5.5.2: "a brief human-readable diagnostic
    /// message"): of `text` no more than [`MAX_DIAGNOSTIC`] bytes, since it may quote a request
    /// that is longer than any datagram back could be.
    pub fn diagnostic(code: Code, text: &str) -> Response {
        let mut end = text.len().min(MAX_DIAGNOSTIC);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Response {
            payload: text.as_bytes()[..end].to_vec(),
            ..Response::new(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_is_brief_and_ends_between_characters() {
        let long = format!("x{}", "\u{e9}".repeat(MAX_DIAGNOSTIC));
        let response = Response::diagnostic(Code::NOT_FOUND, &long);
        assert_eq!(response.payload.len(), MAX_DIAGNOSTIC - 1);
        assert!(long.starts_with(std::str::from_utf8(&response.payload).unwrap()));
        let short = Response::diagnostic(Code::NOT_FOUND, "\u{e9}");
        assert_eq!(short.payload, "\u{e9}".as_bytes());
    }
}
