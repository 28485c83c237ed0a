//! Reads pcap and pcapng.
//!
//! The framing is read here and not by the `pcap-file` crate that writes it: that crate
//! refuses packets which were longer than the snap length, interfaces with a time zone and
//! comments that are not UTF-8, all of which occur in captures taken on real boards, and it
//! gives no packet number with an error.
//!
//! A capture that gzip has compressed is read as it is; what other programs compressed is named.

mod pcap;
mod pcapng;
mod source;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::packet::{Interface, Packet};
use source::Source;

/// The word for standard input in place of a file's name.
const STANDARD_INPUT: &str = "-";

/// Why a capture, or the rest of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("{file}: cannot open the capture: {source}")]
    Open {
        /// The file.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It is a directory.
    #[error("{file}: it is a directory; name the capture files in it")]
    Directory {
        /// The directory.
        file: String,
    },
    /// There is nothing in it: a file of a rotation that was just begun.
    #[error("{file}: the file is empty")]
    Empty {
        /// The file.
        file: String,
    },
    /// It starts with none of the known magic numbers.
    #[error("{file}: not a pcap or pcapng file ({what})")]
    NotACapture {
        /// The file.
        file: String,
        /// What it is, or what it starts with.
        what: String,
    },
    /// The file ends inside a packet or a block.
    #[error("{file}: packet {packet}: the file ends inside it; the packets before it were kept")]
    Truncated {
        /// The file.
        file: String,
        /// Number of the packet as Wireshark counts, from 1.
        packet: u64,
    },
    /// Some packets were left out, since it is not known when they were captured: Simple Packet Blocks of
    /// pcapng have no time stamp, and others have one that is no time.
    #[error("{file}: {what} and were left out")]
    Untimed {
        /// The file.
        file: String,
        /// How many packets have no time stamp, and how many one out of range.
        what: String,
    },
    /// A field has an impossible value.
    #[error("{file}: packet {packet}: {what}; the packets before it were kept")]
    Malformed {
        /// The file.
        file: String,
        /// Number of the packet at or before which it stands, from 1.
        packet: u64,
        /// What is wrong.
        what: String,
    },
    /// The system failed to read on.
    #[error("{file}: packet {packet}: cannot read it: {source}")]
    Io {
        /// The file.
        file: String,
        /// Number of the packet, from 1.
        packet: u64,
        /// The system's reason.
        source: io::Error,
    },
}

/// What stopped a parser; [`Reader`] adds the file and the packet number.
enum Stop {
    /// The file ends where it may.
    End,
    /// It ends so, and some packets in it had no time, as the words say.
    Untimed(String),
    /// The file ends inside something.
    Truncated,
    Malformed(String),
    Io(io::Error),
}

/// A whole capture file in memory.
#[derive(Debug, Default)]
pub struct Capture {
    /// The file's name, for messages.
    pub name: String,
    /// Its interfaces; those of later sections follow those of earlier ones.
    pub interfaces: Vec<Interface>,
    /// Its packets in the order of the file.
    pub packets: Vec<Packet>,
    /// Why reading stopped before the end of the file, if it did.
    pub damage: Option<ReadError>,
}

impl Capture {
    /// Reads everything that can be read; see [`Capture::damage`] for the rest.
    ///
    /// # Errors
    /// The input is not a capture at all.
    pub fn from_reader(name: impl Into<String>, input: impl Read) -> Result<Capture, ReadError> {
        let mut reader = Reader::new(name, input)?;
        let mut packets = Vec::new();
        let mut damage = None;
        for packet in reader.by_ref() {
            match packet {
                Ok(packet) => packets.push(packet),
                Err(error) => damage = Some(error),
            }
        }
        Ok(Capture {
            name: reader.source.file,
            interfaces: reader.interfaces,
            packets,
            damage,
        })
    }
}

/// Reads a capture file whole; `-` is standard input.
///
/// # Errors
/// The file cannot be opened or is not a capture. Damage further on is in
/// [`Capture::damage`], with what came before it kept.
pub fn read(path: impl AsRef<Path>) -> Result<Capture, ReadError> {
    let path = path.as_ref();
    if path.as_os_str() == STANDARD_INPUT {
        return Capture::from_reader("standard input", io::stdin().lock());
    }
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => Capture::from_reader(name, BufReader::new(file)),
        Err(source) => Err(ReadError::Open { file: name, source }),
    }
}

/// Iterates over the packets of a capture; those without a time stamp are left out, which is told at
/// the end.
///
/// After an error there are no more packets.
pub struct Reader<R: Read> {
    source: Source<R>,
    format: Format,
    interfaces: Vec<Interface>,
    packets: u64,
    done: bool,
}

enum Format {
    Pcap(pcap::Pcap),
    PcapNg(pcapng::PcapNg),
}

impl<R: Read> Reader<R> {
    /// Reads the first header of `input`, which is called `name` in messages.
    ///
    /// # Errors
    /// The input is not a capture.
    pub fn new(name: impl Into<String>, input: R) -> Result<Reader<R>, ReadError> {
        let (mut source, magic) = Source::open(name.into(), input)?;
        let mut interfaces = Vec::new();
        let format = if let Some(mut pcap) = pcap::Pcap::from_magic(magic) {
            let interface = pcap.header(&mut source).map_err(|s| source.error(s, 1))?;
            interfaces.push(interface);
            Format::Pcap(pcap)
        } else if magic == pcapng::SECTION_HEADER {
            let ng = pcapng::PcapNg::start(&mut source).map_err(|s| source.error(s, 1))?;
            Format::PcapNg(ng)
        } else {
            return Err(source.not_a_capture(&magic));
        };
        Ok(Reader {
            source,
            format,
            interfaces,
            packets: 0,
            done: false,
        })
    }

    /// The interfaces seen so far: pcapng may add some between packets.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Packet, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = match &mut self.format {
            Format::Pcap(pcap) => pcap.packet(&mut self.source),
            Format::PcapNg(ng) => ng.packet(&mut self.source, &mut self.interfaces),
        };
        match next {
            Ok(packet) => {
                self.packets += 1;
                Some(Ok(packet))
            }
            Err(stop) => {
                self.done = true;
                let left_out = match &self.format {
                    Format::Pcap(_) => LeftOut::default(),
                    Format::PcapNg(ng) => ng.left_out(),
                };
                match stop {
                    Stop::End => {
                        let what = left_out.words()?;
                        Some(Err(self.source.error(Stop::Untimed(what), 0)))
                    }
                    other => {
                        let packet = self.packets + left_out.packets() + 1;
                        Some(Err(self.source.error(other, packet)))
                    }
                }
            }
        }
    }
}

/// Packets that were left out.
#[derive(Clone, Copy, Default)]
struct LeftOut {
    /// Without a time stamp.
    untimed: u64,
    /// With one that is out of range.
    mistimed: u64,
}

impl LeftOut {
    fn packets(self) -> u64 {
        self.untimed + self.mistimed
    }

    /// How many there are, if there are any.
    fn words(self) -> Option<String> {
        let untimed = (self.untimed, "have no time stamp (simple packet blocks)");
        let mistimed = (self.mistimed, "have a time stamp that is out of range");
        let some = [untimed, mistimed].into_iter().filter(|(n, _)| *n > 0);
        let words: Vec<String> = some
            .map(|(n, what)| format!("{n} packets {what}"))
            .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, b: [u8; 2]) -> u16 {
        match self {
            Order::Little => u16::from_le_bytes(b),
            Order::Big => u16::from_be_bytes(b),
        }
    }

    fn u32(self, b: [u8; 4]) -> u32 {
        match self {
            Order::Little => u32::from_le_bytes(b),
            Order::Big => u32::from_be_bytes(b),
        }
    }

    fn i64(self, b: [u8; 8]) -> i64 {
        match self {
            Order::Little => i64::from_le_bytes(b),
            Order::Big => i64::from_be_bytes(b),
        }
    }
}
