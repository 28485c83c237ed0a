//! The bytes of a capture, from a file as it is or out of gzip's compression.

use std::io::{self, BufReader, Cursor, ErrorKind, Read};

use flate2::read::MultiGzDecoder;

use super::{ReadError, Stop};

/// Largest block or packet that is believed. A longer one means that the file is damaged.
pub(super) const MAX_BLOCK: usize = 16 << 20;

/// How a file of gzip begins (RFC 1952 §2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How what other programs compressed begins, and what gzip compressed twice. It is not unpacked here,
/// but it can be named.
const COMPRESSED: [(&[u8], &str); 8] = [
    (&GZIP, "gzip, twice,"),
    (&[0x1f, 0x9d], "compress"),
    (&[0x5d, 0, 0, 0x80], "lzma"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (&[0xfd, b'7', b'z', b'X'], "xz"),
    (&[0x04, 0x22, 0x4d, 0x18], "lz4"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "zip"),
];

/// How captures of other formats begin.
const OTHERS: [(&[u8], &str); 6] = [
    (b"snoo", "snoop"),
    (b"btsn", "btsnoop"),
    (b"GMBU", "Network Monitor 2"),
    (b"TRSN", "Sniffer"),
    (&[0x34, 0xcd, 0xb2, 0xa1], "a variant of pcap"),
    (&[0xa1, 0xb2, 0xcd, 0x34], "a variant of pcap"),
];

/// The input, with exact reads.
pub(super) struct Source<R> {
    pub(super) file: String,
    input: Input<R>,
}

enum Input<R> {
    Plain(R),
    Gzip(Box<BufReader<MultiGzDecoder<Whole<R>>>>),
}

/// An input whose first bytes were read to see what it is, and stand before the rest again.
type Whole<R> = io::Chain<Cursor<[u8; 4]>, R>;

impl<R: Read> Read for Input<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Input::Plain(input) => input.read(bytes),
            Input::Gzip(input) => input.read(bytes),
        }
    }
}

impl<R: Read> Source<R> {
    /// The input and the magic number of its format; of what gzip compressed, that of the
    /// capture in it.
    ///
    /// # Errors
    /// It cannot be read, or is too short to be a capture.
    pub(super) fn open(file: String, input: R) -> Result<(Source<R>, [u8; 4]), ReadError> {
        let mut source = Source {
            file,
            input: Input::Plain(input),
        };
        let magic = source.magic()?;
        match source.input {
            Input::Plain(input) if magic.starts_with(&GZIP) => {
                let unpacked = MultiGzDecoder::new(Cursor::new(magic).chain(input));
                source.input = Input::Gzip(Box::new(BufReader::new(unpacked)));
                let magic = source.magic()?;
                Ok((source, magic))
            }
            input => {
                source.input = input;
                Ok((source, magic))
            }
        }
    }

    fn magic(&mut self) -> Result<[u8; 4], ReadError> {
        let mut magic = [0; 4];
        let mut have = 0;
        while have < magic.len() {
            match self.input.read(&mut magic[have..]) {
                Ok(0) if have == 0 => {
                    return Err(ReadError::Empty {
                        file: self.file.clone(),
                    });
                }
                Ok(0) => return Err(self.not_a_capture(&magic[..have])),
                Ok(n) => have += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::IsADirectory => {
                    return Err(ReadError::Directory {
                        file: self.file.clone(),
                    });
                }
                Err(e) => return Err(self.error(stop(e), 1)),
            }
        }
        Ok(magic)
    }

    /// That a file which starts with `start` is no capture.
    pub(super) fn not_a_capture(&self, start: &[u8]) -> ReadError {
        let known = |names: &[(&[u8], &'static str)]| {
            let mut names = names.iter();
            names
                .find(|(magic, _)| start.starts_with(magic))
                .map(|(_, name)| *name)
        };
        let what = match (known(&COMPRESSED), known(&OTHERS)) {
            (Some(program), _) => format!("{program} compressed it; unpack it first"),
            (None, Some(format)) => {
                format!("it is {format}; `editcap -F pcapng` writes it as pcapng")
            }
            (None, None) => {
                let hex: String = start.iter().map(|b| format!("{b:02x}")).collect();
                format!("it starts with {hex}")
            }
        };
        ReadError::NotACapture {
            file: self.file.clone(),
            what,
        }
    }

    /// `N` bytes; [`Stop::End`] if there is none left.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        let mut have = 0;
        while have < N {
            match self.input.read(&mut bytes[have..]) {
                Ok(0) if have == 0 => return Err(Stop::End),
                Ok(0) => return Err(Stop::Truncated),
                Ok(n) => have += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(stop(e)),
            }
        }
        Ok(bytes)
    }

    /// `N` bytes in the middle of something: none left is a truncation.
    pub(super) fn more<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        self.take().map_err(|stop| match stop {
            Stop::End => Stop::Truncated,
            other => other,
        })
    }

    /// `len` bytes in the middle of something.
    pub(super) fn bytes(&mut self, len: usize) -> Result<Vec<u8>, Stop> {
        if len > MAX_BLOCK {
            return Err(Stop::Malformed(format!(
                "a length of {len} bytes, over the limit of {MAX_BLOCK}"
            )));
        }
        let mut bytes = Vec::new();
        // `take` grows with what is there, so that a lying length costs nothing.
        match self.input.by_ref().take(len as u64).read_to_end(&mut bytes) {
            Ok(n) if n == len => Ok(bytes),
            Ok(_) => Err(Stop::Truncated),
            Err(e) => Err(stop(e)),
        }
    }

    pub(super) fn error(&self, stop: Stop, packet: u64) -> ReadError {
        let file = self.file.clone();
        match stop {
            Stop::End | Stop::Truncated => ReadError::Truncated { file, packet },
            Stop::Untimed(what) => ReadError::Untimed { file, what },
            Stop::Malformed(what) => ReadError::Malformed { file, packet, what },
            Stop::Io(source) => ReadError::Io {
                file,
                packet,
                source,
            },
        }
    }
}

/// What an error of reading means: those of gzip are the file's, not the system's.
fn stop(error: io::Error) -> Stop {
    match error.kind() {
        ErrorKind::UnexpectedEof => Stop::Truncated,
        ErrorKind::InvalidData | ErrorKind::InvalidInput => {
            Stop::Malformed(format!("damage to the compressed data ({error})"))
        }
        _ => Stop::Io(error),
    }
}
