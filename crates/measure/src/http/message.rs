//! Messages of HTTP/1.1 out of the bytes of one end of a connection (RFC 9112).
//!
//! Whatever the pieces in which the bytes come, the parts are the same but for the cuts in bodies.

use httparse::{EMPTY_HEADER, Header, Request, Status, parse_chunk_size};

/// Bytes of a head, or of the trailers of a body, at most.
const MAX_HEAD: usize = 64 << 10;

/// Bytes of the line before a chunk, at most (RFC 9112 §7.1).
const MAX_CHUNK_LINE: usize = 4 << 10;

/// Fields of a head, at most.
const MAX_FIELDS: usize = 128;

/// Why no message of a connection can be read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Unreadable {
    /// A head that is no HTTP/1.1.
    #[error("it is not HTTP/1.1")]
    NotHttp,
    /// It does not end.
    #[error("a head has more than {} KiB", MAX_HEAD >> 10)]
    LongHead,
    /// Nobody knows where a body ends (RFC 9112 §6.3).
    #[error("the length of a body is not known")]
    BodyLength,
    /// A body that is not in the chunks that it is said to be in (RFC 9112 §7.1).
    #[error("a body has a malformed chunk")]
    Chunk,
    /// Another protocol follows (RFC 9110 §7.8).
    #[error("it went on in another protocol")]
    Upgraded,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The first byte of a head.
    Begins,
    /// The whole head.
    Head(Head),
    /// Some of the body, without the framing of chunks.
    Body(Vec<u8>),
    /// The message is whole. It had so many bytes, head and framing among them.
    Ends {
        /// Head, body and the framing of chunks.
        octets: u64,
    },
}

/// What matters of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// A request's.
    Request {
        /// Method.
        method: String,
        /// Request target.
        target: String,
        /// It takes an event stream, `Accept: text/event-stream`.
        follows: bool,
    },
    /// A response's.
    Response {
        /// Status.
        status: u16,
        /// It says when to ask again, `Retry-After`.
        retry_after: bool,
        /// Its body is an event stream.
        is_stream: bool,
    },
}

/// Whose messages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A client's.
    Requests,
    /// A server's.
    Responses,
}

/// Reads the messages of one side of a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    side: Side,
    at: At,
    /// What was not read yet: of a head, of the line before a chunk, of trailers.
    held: Vec<u8>,
    /// Bytes of the message so far.
    octets: u64,
    failed: Option<Unreadable>,
}

/// Where in a message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before its first byte.
    Outside,
    Head,
    /// So many bytes of the body are left.
    Sized(u64),
    /// The body ends with the connection.
    Unsized,
    /// In the line before a chunk.
    ChunkLine,
    /// So many bytes of the chunk are left.
    Chunk(u64),
    /// In the line end behind a chunk.
    ChunkEnd,
    Trailers,
}

/// How the length of a body is told (RFC 9112 §6.3).
enum Length {
    Known(u64),
    Chunked,
    ToTheEnd,
}

impl Reader {
    /// One that has read nothing.
    pub(crate) fn new(side: Side) -> Reader {
        Reader {
            side,
            at: At::Outside,
            held: Vec::new(),
            octets: 0,
            failed: None,
        }
    }

    /// Takes what comes next; tells the parts that it has or completes. `for_head`: whether the next response is that to
    /// a HEAD, which has no body.
    ///
    /// # Errors
    /// What follows cannot be read, now or ever. Parts told before it stand.
    pub(crate) fn read(
        &mut self,
        mut bytes: &[u8],
        mut for_head: impl FnMut() -> bool,
        mut tell: impl FnMut(Part),
    ) -> Result<(), Unreadable> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        while !bytes.is_empty() {
            match self.step(bytes, &mut for_head, &mut tell) {
                Ok(rest) => bytes = rest,
                Err(failed) => {
                    self.failed = Some(failed);
                    self.held = Vec::new();
                    return Err(failed);
                }
            }
        }
        Ok(())
    }

    /// No more bytes come: a body without a length ends.
    pub(crate) fn end(&mut self, mut tell: impl FnMut(Part)) {
        if self.failed.is_none() && self.at == At::Unsized {
            self.finish(&mut tell);
        }
    }

    /// Reads some of `bytes`, of which there are; gives the rest.
    fn step<'b>(
        &mut self,
        bytes: &'b [u8],
        for_head: &mut impl FnMut() -> bool,
        tell: &mut impl FnMut(Part),
    ) -> Result<&'b [u8], Unreadable> {
        match self.at {
            At::Outside => {
                // "a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty line"
                // (RFC 9112 §2.2).
                let first = bytes.iter().position(|byte| !b"\r\n".contains(byte));
                let Some(first) = first else { return Ok(&[]) };
                self.at = At::Head;
                self.octets = 0;
                tell(Part::Begins);
                Ok(&bytes[first..])
            }
            At::Head => {
                let rest = match self.hold_to(bytes, MAX_HEAD, is_empty_line) {
                    Held::Whole(rest) => rest,
                    Held::More => return Ok(&[]),
                    Held::TooLong => return Err(Unreadable::LongHead),
                };
                let head = std::mem::take(&mut self.held);
                self.head(&head, for_head, tell)?;
                Ok(rest)
            }
            At::Sized(left) | At::Chunk(left) => {
                let (body, rest) = split(bytes, left);
                self.octets += body.len() as u64;
                tell(Part::Body(body.to_vec()));
                let left = left - body.len() as u64;
                match self.at {
                    At::Chunk(_) if left == 0 => self.at = At::ChunkEnd,
                    At::Chunk(_) => self.at = At::Chunk(left),
                    _ if left == 0 => self.finish(tell),
                    _ => self.at = At::Sized(left),
                }
                Ok(rest)
            }
            At::Unsized => {
                self.octets += bytes.len() as u64;
                tell(Part::Body(bytes.to_vec()));
                Ok(&[])
            }
            At::ChunkLine => self.chunk_line(bytes),
            At::ChunkEnd => {
                let (line_end, rest) = split(bytes, 2 - self.held.len() as u64);
                self.held.extend_from_slice(line_end);
                self.octets += line_end.len() as u64;
                if !b"\r\n".starts_with(&self.held) {
                    return Err(Unreadable::Chunk);
                }
                if self.held.len() == 2 {
                    self.held.clear();
                    self.at = At::ChunkLine;
                }
                Ok(rest)
            }
            At::Trailers => match self.hold_to(bytes, MAX_HEAD, ends_trailers) {
                Held::Whole(rest) => {
                    self.held.clear();
                    self.finish(tell);
                    Ok(rest)
                }
                Held::More => Ok(&[]),
                Held::TooLong => Err(Unreadable::LongHead),
            },
        }
    }

    /// The line before a chunk: its size, and extensions that nobody needs (RFC 9112 §7.1.1).
    fn chunk_line<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Unreadable> {
        let rest = match self.hold_to(bytes, MAX_CHUNK_LINE, |held| held.ends_with(b"\n")) {
            Held::Whole(rest) => rest,
            Held::More => return Ok(&[]),
            Held::TooLong => return Err(Unreadable::Chunk),
        };
        let line = std::mem::take(&mut self.held);
        let Ok(Status::Complete((_, size))) = parse_chunk_size(&line) else {
            return Err(Unreadable::Chunk);
        };
        self.at = match size {
            0 => At::Trailers,
            size => At::Chunk(size),
        };
        Ok(rest)
    }

    /// Holds bytes up to where `is_whole` says that they are, at most so many. Every byte is looked at on its own, so that
    /// it does not matter in which pieces they come.
    fn hold_to<'b>(
        &mut self,
        bytes: &'b [u8],
        most: usize,
        is_whole: impl Fn(&[u8]) -> bool,
    ) -> Held<'b> {
        for (n, byte) in bytes.iter().enumerate() {
            if self.held.len() == most {
                return Held::TooLong;
            }
            self.held.push(*byte);
            self.octets += 1;
            if *byte == b'\n' && is_whole(&self.held) {
                return Held::Whole(&bytes[n + 1..]);
            }
        }
        Held::More
    }

    /// Reads a whole head, and what follows it.
    fn head(
        &mut self,
        bytes: &[u8],
        for_head: &mut impl FnMut() -> bool,
        tell: &mut impl FnMut(Part),
    ) -> Result<(), Unreadable> {
        let mut fields = [EMPTY_HEADER; MAX_FIELDS];
        let (head, length) = match self.side {
            Side::Requests => {
                let mut request = Request::new(&mut fields);
                let Ok(Status::Complete(_)) = request.parse(bytes) else {
                    return Err(Unreadable::NotHttp);
                };
                let head = Head::Request {
                    method: request.method.unwrap_or_default().to_owned(),
                    target: request.path.unwrap_or_default().to_owned(),
                    follows: (values(request.headers, "accept"))
                        .any(|value| has_token(value, "text/event-stream")),
                };
                let length = match length(request.headers)? {
                    // "If this is a request message and none of the above are true, then the message body length is zero"
                    // (RFC 9112 §6.3).
                    None => Length::Known(0),
                    Some(Length::ToTheEnd) => return Err(Unreadable::BodyLength),
                    Some(length) => length,
                };
                (head, length)
            }
            Side::Responses => {
                let mut response = httparse::Response::new(&mut fields);
                let Ok(Status::Complete(_)) = response.parse(bytes) else {
                    return Err(Unreadable::NotHttp);
                };
                let status = response.code.unwrap_or_default();
                if status == 101 {
                    return Err(Unreadable::Upgraded);
                }
                if status < 200 {
                    // Interim: the final one follows (RFC 9110 §15.2).
                    self.at = At::Outside;
                    return Ok(());
                }
                let length = match length(response.headers)? {
                    _ if for_head() || matches!(status, 204 | 304) => Length::Known(0),
                    length => length.unwrap_or(Length::ToTheEnd),
                };
                let head = Head::Response {
                    status,
                    retry_after: values(response.headers, "retry-after").next().is_some(),
                    is_stream: (values(response.headers, "content-type"))
                        .any(|value| has_token(value, "text/event-stream")),
                };
                (head, length)
            }
        };
        tell(Part::Head(head));
        match length {
            Length::Known(0) => self.finish(tell),
            Length::Known(length) => self.at = At::Sized(length),
            Length::Chunked => self.at = At::ChunkLine,
            Length::ToTheEnd => self.at = At::Unsized,
        }
        Ok(())
    }

    fn finish(&mut self, tell: &mut impl FnMut(Part)) {
        self.at = At::Outside;
        let octets = self.octets;
        tell(Part::Ends { octets });
    }
}

/// What came of holding bytes.
enum Held<'b> {
    /// All are there; these follow.
    Whole(&'b [u8]),
    /// More have to come.
    More,
    /// There are too many.
    TooLong,
}

/// Whether a head ends here: with an empty line (RFC 9112 §2.1). A line may end with LF alone (§2.2).
fn is_empty_line(held: &[u8]) -> bool {
    held.ends_with(b"\n\r\n") || held.ends_with(b"\n\n")
}

/// The same of trailers, which may be none.
fn ends_trailers(held: &[u8]) -> bool {
    is_empty_line(held) || matches!(held, b"\r\n" | b"\n")
}

/// At most the first so many bytes, and the rest.
fn split(bytes: &[u8], most: u64) -> (&[u8], &[u8]) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    bytes.split_at(bytes.len().min(most))
}

/// The values of the fields of this name.
fn values<'h>(fields: &'h [Header<'h>], name: &'h str) -> impl Iterator<Item = &'h str> {
    let named = fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name));
    named.filter_map(|field| std::str::from_utf8(field.value).ok())
}

/// Whether a list of values with parameters has this one (RFC 9110 §5.6.1).
fn has_token(value: &str, token: &str) -> bool {
    value.split(',').any(|item| {
        let item = item.split(';').next().unwrap_or_default();
        item.trim().eq_ignore_ascii_case(token)
    })
}

/// What the fields of a head say of its body, if they do (RFC 9112 §6.3).
fn length(fields: &[Header<'_>]) -> Result<Option<Length>, Unreadable> {
    // "If a message is received with both a Transfer-Encoding and a Content-Length header field, the Transfer-Encoding
    // overrides".
    if let Some(codings) = values(fields, "transfer-encoding").last() {
        let last = codings.rsplit(',').next().unwrap_or_default();
        return Ok(Some(match last.trim().eq_ignore_ascii_case("chunked") {
            true => Length::Chunked,
            false => Length::ToTheEnd,
        }));
    }
    let mut known = None;
    let listed = values(fields, "content-length").flat_map(|value| value.split(','));
    for value in listed {
        let digits = Some(value.trim()).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let length: Option<u64> = digits.and_then(|text| text.parse().ok());
        let length = length.ok_or(Unreadable::BodyLength)?;
        if known.replace(length).is_some_and(|other| other != length) {
            return Err(Unreadable::BodyLength);
        }
    }
    Ok(known.map(Length::Known))
}

#[cfg(test)]
mod tests;
