//! The bytes that one end of a TCP connection sent, in their order (RFC 9293 §3.4), whatever the order in which its segments
//! came and however often.
//!
//! ```
//! use capture::decode::Segment;
//! use capture::stream::Stream;
//!
//! let segment = |sequence, syn, payload| Segment {
//!     src: "[2001:db8::1]:80".parse().unwrap(),
//!     dst: "[2001:db8::2]:1024".parse().unwrap(),
//!     sequence,
//!     acknowledgement: 0,
//!     syn,
//!     ack: true,
//!     fin: false,
//!     rst: false,
//!     payload,
//!     truncated: false,
//! };
//! let mut stream = Stream::default();
//! assert_eq!(stream.take(&segment(u32::MAX, true, &[][..]))?, b"");
//! assert_eq!(stream.take(&segment(3, false, &b"lo"[..]))?, b"");
//! assert_eq!(stream.take(&segment(0, false, &b"hel"[..]))?, b"hello");
//! # Ok::<(), capture::stream::Broken>(())
//! ```

use std::collections::BTreeMap;

use crate::decode::Segment;

/// Bytes that wait for those before them, at most: more than a window of Linux's receivers by default.
const MOST_WAITING: usize = 8 << 20;

/// Why the bytes of a stream cannot be told any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Broken {
    /// Nobody knows where it begins.
    #[error("it began before the capture")]
    NoBeginning,
    /// The snap length cut bytes off that nothing else has.
    #[error("the capture cut segments of it")]
    Cut,
    /// Too many bytes wait for those before them, which the capture has not.
    #[error("segments of it are not in the capture")]
    Missing,
}

/// What one end of a connection sent.
#[derive(Debug, Default)]
pub struct Stream {
    /// The sequence number of the first byte, once there was a SYN.
    first: Option<u32>,
    /// How many bytes were given out.
    read: u64,
    /// Those that wait for others, by how many are before them.
    waiting: BTreeMap<u64, Vec<u8>>,
    /// How many wait, those that stand there twice counted twice.
    waits: usize,
    /// How many bytes there are in all, once there was a FIN.
    length: Option<u64>,
}

impl Stream {
    /// Takes a segment of this end; gives the bytes that follow those given out before, as far as they have come.
    ///
    /// # Errors
    /// What follows cannot be told: nothing more is to be taken.
    pub fn take(&mut self, segment: &Segment<'_>) -> Result<Vec<u8>, Broken> {
        let mut sequence = segment.sequence;
        if segment.syn {
            // It has a number of its own (§3.4).
            sequence = sequence.wrapping_add(1);
            self.first.get_or_insert(sequence);
        }
        let Some(first) = self.first else {
            return match segment.payload.is_empty() {
                true => Ok(Vec::new()),
                false => Err(Broken::NoBeginning),
            };
        };
        // Numbers go round: what is less than half of them ahead is ahead.
        let next = first.wrapping_add(self.read as u32);
        let ahead = i64::from(sequence.wrapping_sub(next).cast_signed());
        let behind = usize::try_from(-ahead).unwrap_or_default();
        let new = segment.payload.get(behind..).unwrap_or_default();
        let start = self.read.saturating_add_signed(ahead.max(0));
        if segment.truncated && !segment.syn {
            return Err(Broken::Cut);
        }
        if segment.fin {
            let end = self.read.saturating_add_signed(ahead);
            self.length
                .get_or_insert(end + segment.payload.len() as u64);
        }
        if new.is_empty() {
            return Ok(Vec::new());
        }
        if start > self.read {
            self.keep(start, new)?;
            return Ok(Vec::new());
        }
        let mut bytes = new.to_vec();
        self.read += bytes.len() as u64;
        self.join(&mut bytes);
        Ok(bytes)
    }

    /// The sequence number that comes next, if it has begun.
    pub fn next(&self) -> Option<u32> {
        let after = self.first?.wrapping_add(self.read as u32);
        // A FIN has a number of its own.
        Some(after.wrapping_add(u32::from(self.is_over())))
    }

    /// Whether all of it was given out, to its FIN.
    pub fn is_over(&self) -> bool {
        self.length.is_some_and(|length| self.read >= length)
    }

    /// Whether the other end has acknowledged, by this number, what was not given out: it had bytes that the capture has
    /// not.
    pub fn is_behind(&self, acknowledgement: u32) -> bool {
        self.next()
            .is_some_and(|next| acknowledgement.wrapping_sub(next).cast_signed() > 0)
    }

    /// Has `new` wait for the bytes before `start`.
    fn keep(&mut self, start: u64, new: &[u8]) -> Result<(), Broken> {
        let held = self.waiting.entry(start).or_default();
        if held.len() < new.len() {
            self.waits += new.len() - held.len();
            *held = new.to_vec();
        }
        match self.waits > MOST_WAITING {
            true => Err(Broken::Missing),
            false => Ok(()),
        }
    }

    /// Adds to `bytes` what waited for them.
    fn join(&mut self, bytes: &mut Vec<u8>) {
        while let Some(held) = self.waiting.first_entry()
            && *held.key() <= self.read
        {
            let (start, held) = held.remove_entry();
            self.waits -= held.len();
            let known = usize::try_from(self.read - start).unwrap_or(usize::MAX);
            let more = held.get(known..).unwrap_or_default();
            bytes.extend_from_slice(more);
            self.read += more.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment whose first byte has this number.
    fn segment(sequence: u32, payload: &[u8]) -> Segment<'_> {
        Segment {
            src: "[2001:db8::1]:80".parse().unwrap(),
            dst: "[2001:db8::2]:1024".parse().unwrap(),
            sequence,
            acknowledgement: 0,
            syn: false,
            ack: true,
            fin: false,
            rst: false,
            payload,
            truncated: false,
        }
    }

    /// A stream whose first byte has this number.
    fn stream(first: u32) -> Stream {
        let mut stream = Stream::default();
        let syn = Segment {
            syn: true,
            ..segment(first.wrapping_sub(1), &[])
        };
        assert_eq!(stream.take(&syn), Ok(Vec::new()));
        stream
    }

    #[test]
    fn segments_that_come_late_or_twice_are_put_in_their_place() {
        let mut stream = stream(u32::MAX - 2);
        let take = |stream: &mut Stream, at: u32, bytes: &[u8]| {
            let sequence = (u32::MAX - 2).wrapping_add(at);
            String::from_utf8(stream.take(&segment(sequence, bytes)).unwrap()).unwrap()
        };
        assert_eq!(take(&mut stream, 0, b"ab"), "ab");
        assert_eq!(take(&mut stream, 4, b"ef"), "");
        assert_eq!(take(&mut stream, 6, b"gh"), "");
        assert!(stream.is_behind(5) && !stream.is_behind(u32::MAX));
        // Another cut of it, with what is known and what is not.
        assert_eq!(take(&mut stream, 1, b"bcdefgh"), "cdefgh");
        assert_eq!(take(&mut stream, 0, b"abcdefgh"), "");
        // A probe for whether somebody is still there (RFC 9293 §3.8.4).
        assert_eq!(take(&mut stream, 7, b"x"), "");
        assert!(!stream.is_behind(5) && !stream.is_over());
        assert_eq!(take(&mut stream, 8, b"i"), "i");
    }

    #[test]
    fn it_is_over_when_all_before_its_fin_is_there() {
        let mut stream = stream(100);
        let fin = Segment {
            fin: true,
            ..segment(102, b"cd")
        };
        assert_eq!(stream.take(&fin), Ok(Vec::new()));
        assert!(!stream.is_over());
        assert_eq!(stream.take(&segment(100, b"ab")), Ok(b"abcd".to_vec()));
        assert!(stream.is_over() && !stream.is_behind(105) && stream.is_behind(106));
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        let mut unknown = Stream::default();
        assert_eq!(unknown.take(&segment(1, b"")), Ok(Vec::new()));
        assert_eq!(unknown.take(&segment(1, b"a")), Err(Broken::NoBeginning));
        let cut = Segment {
            truncated: true,
            ..segment(100, b"a")
        };
        assert_eq!(stream(100).take(&cut), Err(Broken::Cut));
        let mut far = stream(0);
        let block = vec![0; 1 << 16];
        let mut blocks = (1..).map(|n| far.take(&segment(n << 16, &block)));
        let broken = blocks.find_map(Result::err);
        assert_eq!(broken, Some(Broken::Missing));
    }
}
