//! Messages captured from the kernel, for the tests: hexadecimal bytes with `#` comments.

use std::io::Cursor;

use neli::FromBytes;
use neli::nl::Nlmsghdr;
use neli::types::Buffer;

use crate::error::Failure;
use crate::genl::{Answer, Part};

/// The bytes of a file in `tests/golden`.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .map(|byte| u8::from_str_radix(byte, 16).expect("two hexadecimal digits"))
        .collect()
}

/// What the connection makes of a generic netlink answer.
pub(crate) fn answer(text: &str) -> Result<Answer, Failure> {
    let bytes = bytes(text);
    let mut cursor = Cursor::new(bytes.as_slice());
    let mut messages = Vec::new();
    loop {
        let message = Nlmsghdr::<u16, Buffer>::from_bytes(&mut cursor).expect("a netlink message");
        match Part::of(&message)? {
            Part::Message(message) => messages.push(message),
            Part::End { code } => {
                assert_eq!(cursor.position(), bytes.len() as u64, "nothing follows");
                return Ok(Answer { messages, code });
            }
        }
    }
}
