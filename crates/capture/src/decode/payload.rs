//! The bytes that a layer has before it.

use std::borrow::Cow;
use std::ops::Deref;

use super::Unread;

/// What is left of a frame or packet: what of it was captured, and how long it was on the wire.
///
/// Dereferences to the captured bytes. They are the frame's own until a layer makes others out of
/// them, by decompression or reassembly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload<'f> {
    bytes: Cow<'f, [u8]>,
    length: usize,
    holes: bool,
}

impl<'f> Payload<'f> {
    /// All of `bytes`, captured of `length` on the wire; never of fewer.
    pub(crate) fn new(bytes: &'f [u8], length: usize) -> Payload<'f> {
        Payload {
            length: length.max(bytes.len()),
            bytes: Cow::Borrowed(bytes),
            holes: false,
        }
    }

    /// What a layer made. `length` as for [`Payload::new`]; `holes`: some of `bytes` were not
    /// captured and read as zero.
    pub(crate) fn made(bytes: Vec<u8>, length: usize, holes: bool) -> Payload<'f> {
        Payload {
            length: length.max(bytes.len()),
            bytes: Cow::Owned(bytes),
            holes,
        }
    }

    /// Bytes on the wire; more than were captured if the capture cut them.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Whether the capture cut some of it off.
    pub fn is_cut(&self) -> bool {
        self.length > self.len() || self.holes
    }

    /// Whether some bytes were not captured and read as zero.
    pub(crate) fn has_holes(&self) -> bool {
        self.holes
    }

    /// The next `N` bytes, which are then behind. They belong to a `header`.
    pub(crate) fn take<const N: usize>(&mut self, header: &'static str) -> Result<[u8; N], Unread> {
        match self.first_chunk() {
            Some(bytes) => {
                let bytes = *bytes;
                self.leave(N);
                Ok(bytes)
            }
            None => Err(self.short_of(N, header)),
        }
    }

    /// The next `n` bytes.
    pub(crate) fn peek(&self, n: usize, header: &'static str) -> Result<&[u8], Unread> {
        self.get(..n).ok_or_else(|| self.short_of(n, header))
    }

    /// Leaves the next `n` bytes behind.
    pub(crate) fn skip(&mut self, n: usize, header: &'static str) -> Result<(), Unread> {
        self.peek(n, header)?;
        self.leave(n);
        Ok(())
    }

    /// Sets the length on the wire, as a header tells it: what is longer is padding or a trailer.
    pub(crate) fn set_length(&mut self, length: usize) {
        self.length = length;
        match &mut self.bytes {
            Cow::Borrowed(bytes) => *bytes = &bytes[..bytes.len().min(length)],
            Cow::Owned(bytes) => bytes.truncate(length),
        }
    }

    /// Leaves `n` bytes behind, which are there.
    fn leave(&mut self, n: usize) {
        self.length -= n;
        match &mut self.bytes {
            Cow::Borrowed(bytes) => *bytes = &bytes[n..],
            Cow::Owned(bytes) => drop(bytes.drain(..n)),
        }
    }

    fn short_of(&self, n: usize, header: &'static str) -> Unread {
        if self.length >= n {
            Unread::Cut(header)
        } else {
            Unread::Malformed(header)
        }
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_header_wants_and_nobody_sent_is_malformed_and_what_was_not_captured_is_cut() {
        let mut payload = Payload::new(&[1, 2, 3], 5);
        assert_eq!(payload.take("x"), Ok([1, 2]));
        assert_eq!(payload.take::<3>("x"), Err(Unread::Cut("x")));
        assert_eq!(payload.take::<4>("x"), Err(Unread::Malformed("x")));
        assert_eq!((&*payload, payload.length()), (&[3][..], 3));
        assert!(payload.is_cut());
    }

    #[test]
    fn a_length_told_by_a_header_takes_padding_off() {
        let mut payload = Payload::new(&[1, 2, 3, 0, 0], 5);
        payload.set_length(3);
        assert_eq!((&*payload, payload.is_cut()), (&[1, 2, 3][..], false));
        payload.set_length(9);
        assert_eq!((&*payload, payload.is_cut()), (&[1, 2, 3][..], true));
    }
}
