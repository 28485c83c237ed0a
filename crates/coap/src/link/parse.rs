//! The CoRE Link Format read (RFC 6690 §2).
//!
//! The grammar is that of the standard, which has no white space outside of quoted strings ("any
//! linear whitespace (LWS) is removed"). A target is whatever stands between `<` and `>`, since
//! percent-encodings are decoded in this format; no attribute has a grammar of its own here.

use std::fmt;

use thiserror::Error;

/// A link as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedLink {
    /// The URI reference between `<` and `>`, as it stands there.
    pub target: String,
    /// Attributes in their order, repeated ones too.
    pub attributes: Vec<Attribute>,
}

/// An attribute of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name, as it stands there.
    pub name: String,
    /// Its value, without quotes and escapes; none of a name alone, such as `obs`.
    pub value: Option<String>,
}

impl ParsedLink {
    /// The value of an attribute. Of a repeated one the first counts: further ones "MUST be ignored
    /// by parsers" (RFC 5988 §5.3, of `rel`; §5.4).
    pub fn value(&self, name: &str) -> Option<&str> {
        self.first(name)?.value.as_deref()
    }

    /// Whether it has an attribute, with a value or without.
    pub fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    fn first(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }
}

impl fmt::Display for ParsedLink {
    /// In the link format: values that are no tokens are quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.target)?;
        for Attribute { name, value } in &self.attributes {
            match value {
                None => write!(f, ";{name}")?,
                Some(value) if !value.is_empty() && value.bytes().all(is_token) => {
                    write!(f, ";{name}={value}")?;
                }
                Some(value) => write!(f, ";{name}={}", quoted(value))?,
            }
        }
        Ok(())
    }
}

/// A quoted string of `text` (RFC 2616 §2.2).
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Where bytes are no list of links, and what should stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("link format: expected {expected} at byte {offset}")]
pub struct ParseError {
    /// Bytes before the place; the length of the whole where it ends too early.
    pub offset: usize,
    /// What belongs there.
    pub expected: Expected,
}

/// What belongs in a place of a list of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// `<`, with which a link begins: at the start and after each comma.
    Link,
    /// A character of a target, or the `>` that ends it.
    Target,
    /// `;` before an attribute, `,` before a link, or the end.
    Separator,
    /// The name of an attribute (RFC 5987 §3.2.1).
    Name,
    /// A token or a quoted string, after `=`.
    Value,
    /// A character of a quoted string, or the quote that ends it.
    Quoted,
    /// An ASCII character, after `\` (RFC 2616 §2.2).
    Escaped,
    /// UTF-8: the target or value that begins here is none.
    Utf8,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Expected::Link => "a link, which begins with `<`",
            Expected::Target => "a target and then `>`",
            Expected::Separator => "`;`, `,` or the end",
            Expected::Name => "the name of an attribute",
            Expected::Value => "a token or a quoted string",
            Expected::Quoted => "the rest of a quoted string",
            Expected::Escaped => "an ASCII character after `\\`",
            Expected::Utf8 => "UTF-8",
        })
    }
}

/// Reads a list of links, which may be empty.
///
/// ```
/// let links = coap::link::parse(br#"</>;rt="oma.lwm2m";ct=110,</1/0>,</3303>;ver=1.1"#).unwrap();
/// assert_eq!(links[0].value("rt"), Some("oma.lwm2m"));
/// assert_eq!(links[1].target, "/1/0");
/// assert_eq!(links[2].value("ver"), Some("1.1"));
///
/// let error = coap::link::parse(b"</1/0>, </3>").unwrap_err();
/// assert_eq!(error.to_string(), "link format: expected a link, which begins with `<` at byte 7");
/// ```
///
/// # Errors
/// The first place at which the bytes are not of the grammar of RFC 6690 §2, or not UTF-8.
pub fn parse(bytes: &[u8]) -> Result<Vec<ParsedLink>, ParseError> {
    let mut reader = Reader { bytes, at: 0 };
    let mut links = Vec::new();
    if bytes.is_empty() {
        return Ok(links);
    }
    loop {
        links.push(reader.link()?);
        if reader.peek().is_none() {
            return Ok(links);
        }
        reader.take(b',', Expected::Separator)?;
    }
}

/// "ptokenchar" (RFC 6690 §2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

/// "parmname", "attr-char" (RFC 5987 §3.2.1); the star that may end a name aside.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte)
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control()
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn wrong<T>(&self, expected: Expected) -> Result<T, ParseError> {
        let offset = self.at;
        Err(ParseError { offset, expected })
    }

    /// Goes past `byte`.
    fn take(&mut self, byte: u8, expected: Expected) -> Result<(), ParseError> {
        if self.peek() != Some(byte) {
            return self.wrong(expected);
        }
        self.at += 1;
        Ok(())
    }

    /// Goes past `byte`, if it is there.
    fn takes(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// Goes past what `fits`, which may be nothing.
    fn take_while(&mut self, fits: impl Fn(u8) -> bool) -> &[u8] {
        let start = self.at;
        while self.peek().is_some_and(&fits) {
            self.at += 1;
        }
        &self.bytes[start..self.at]
    }

    /// `"<" URI-Reference ">" *( ";" link-param )`
    fn link(&mut self) -> Result<ParsedLink, ParseError> {
        self.take(b'<', Expected::Link)?;
        let start = self.at;
        let target = self.take_while(|byte| !matches!(byte, b'<' | b'>') && !is_control(byte));
        let target = text(target.to_vec(), start)?;
        self.take(b'>', Expected::Target)?;
        let mut attributes = Vec::new();
        while self.takes(b';') {
            attributes.push(self.attribute()?);
        }
        match self.peek() {
            None | Some(b',') => Ok(ParsedLink { target, attributes }),
            Some(_) => self.wrong(Expected::Separator),
        }
    }

    /// `parmname [ "*" ] [ "=" ( ptoken / quoted-string ) ]`
    fn attribute(&mut self) -> Result<Attribute, ParseError> {
        let start = self.at;
        if self.take_while(is_name).is_empty() {
            return self.wrong(Expected::Name);
        }
        self.takes(b'*');
        let name = text(self.bytes[start..self.at].to_vec(), start)?;
        let value = match self.takes(b'=') {
            true => Some(self.value()?),
            false => None,
        };
        Ok(Attribute { name, value })
    }

    fn value(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        if self.takes(b'"') {
            return self.quoted(start);
        }
        let token = self.take_while(is_token).to_vec();
        match token.is_empty() {
            true => self.wrong(Expected::Value),
            false => text(token, start),
        }
    }

    /// The rest of a quoted string that began at `start`: `*( qdtext | quoted-pair ) <">`
    fn quoted(&mut self, start: usize) -> Result<String, ParseError> {
        let mut value = Vec::new();
        loop {
            let is_text =
                |byte| !matches!(byte, b'"' | b'\\') && (byte == b'\t' || !is_control(byte));
            value.extend_from_slice(self.take_while(is_text));
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return text(value, start);
                }
                Some(b'\\') => self.at += 1,
                _ => return self.wrong(Expected::Quoted),
            }
            let Some(escaped) = self.peek().filter(u8::is_ascii) else {
                return self.wrong(Expected::Escaped);
            };
            value.push(escaped);
            self.at += 1;
        }
    }
}

/// What began at `offset`, as text.
fn text(bytes: Vec<u8>, offset: usize) -> Result<String, ParseError> {
    let expected = Expected::Utf8;
    String::from_utf8(bytes).map_err(|_| ParseError { offset, expected })
}
