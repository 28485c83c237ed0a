//! The brackets, keys and commas of a JSON text (RFC 8259), one after the other, with the place of each in
//! bytes. Texts and numbers are serde_json's.

use serde_json::Value as Json;

use super::typed::Scalar;
use super::{DecodeError, Format};
use crate::value::Value;

pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    format: Format,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8], format: Format) -> Scanner<'a> {
        Scanner {
            text,
            at: 0,
            format,
        }
    }

    /// Where the next token begins, in bytes.
    pub(super) fn at(&mut self) -> usize {
        let blank = |b: &&u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.text[self.at..].iter().take_while(blank).count();
        self.at
    }

    pub(super) fn error(&self, at: usize, found: String, expected: &'static str) -> DecodeError {
        DecodeError::Syntax {
            format: self.format,
            at,
            found,
            expected,
        }
    }

    fn peek(&mut self) -> Option<u8> {
        let at = self.at();
        self.text.get(at).copied()
    }

    /// That something else stands where the scanner is.
    fn unexpected(&mut self, expected: &'static str) -> DecodeError {
        let found = match self.peek() {
            Some(byte) => format!("`{}`", byte.escape_ascii()),
            None => "the end".to_owned(),
        };
        self.error(self.at, found, expected)
    }

    /// Takes `byte`.
    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), DecodeError> {
        if self.peek() != Some(byte) {
            return Err(self.unexpected(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// Whether an array or object that `close` ends goes on, past a comma if `first` is not set. Clears it.
    pub(super) fn more(&mut self, first: &mut bool, close: u8) -> Result<bool, DecodeError> {
        let first = std::mem::replace(first, false);
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(_) if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                match self.peek() == Some(close) {
                    true => Err(self.unexpected("what a comma announces")),
                    false => Ok(true),
                }
            }
            _ => Err(self.unexpected("a comma or the end of the list")),
        }
    }

    /// That nothing follows.
    pub(super) fn end(&mut self) -> Result<(), DecodeError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end")),
        }
    }

    /// A key and its colon.
    pub(super) fn key(&mut self) -> Result<String, DecodeError> {
        let at = self.at();
        match self.value()? {
            Json::String(key) => {
                self.expect(b':', "a colon")?;
                Ok(key)
            }
            _ => Err(self.error(at, "no text".to_owned(), "a key in quotes")),
        }
    }

    /// Any value. serde_json bounds how deep it is.
    pub(super) fn value(&mut self) -> Result<Json, DecodeError> {
        let at = self.at();
        let mut values = serde_json::Deserializer::from_slice(&self.text[at..]).into_iter::<Json>();
        match values.next() {
            Some(Ok(value)) => {
                self.at = at + values.byte_offset();
                Ok(value)
            }
            Some(Err(error)) if !error.is_eof() => {
                Err(self.error(at, error.to_string(), "a value"))
            }
            _ => Err(self.error(at, "the end".to_owned(), "a whole value")),
        }
    }

    /// A text.
    pub(super) fn string(&mut self) -> Result<String, DecodeError> {
        let at = self.at();
        match self.value()? {
            Json::String(text) => Ok(text),
            other => Err(self.error(at, describe(&other), "a text")),
        }
    }

    /// A number.
    pub(super) fn number(&mut self) -> Result<Value, DecodeError> {
        let at = self.at();
        let value = self.value()?;
        number(&value).ok_or_else(|| self.error(at, describe(&value), "a number"))
    }

    /// A boolean.
    pub(super) fn boolean(&mut self) -> Result<bool, DecodeError> {
        let at = self.at();
        match self.value()? {
            Json::Bool(set) => Ok(set),
            other => Err(self.error(at, describe(&other), "true or false")),
        }
    }
}

/// A number: an integer where it is written as one and has 64 bits.
fn number(json: &Json) -> Option<Value> {
    let Json::Number(number) = json else {
        return None;
    };
    let signed = number.as_i64().map(Value::Integer);
    let unsigned = || number.as_u64().map(Value::Unsigned);
    let float = || number.as_f64().map(Value::Float);
    signed.or_else(unsigned).or_else(float)
}

fn describe(json: &Json) -> String {
    match json {
        Json::Array(_) => "an array".to_owned(),
        Json::Object(_) => "an object".to_owned(),
        Json::Null => "null".to_owned(),
        Json::Bool(set) => set.to_string(),
        Json::String(text) => Scalar::Text(text.clone()).describe(),
        Json::Number(number) => format!("the number {number}"),
    }
}

/// A text in quotes, as JSON has it.
pub(super) fn quote(text: &str) -> String {
    Json::from(text).to_string()
}
