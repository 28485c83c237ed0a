//! One generic netlink family on one socket: requests in order, each with its answer.
//!
//! neli's router is not used, because it drops the kernel's text from errors and takes the
//! positive error code, in which hwsim returns a radio's number, for a failure.

use std::io::Cursor;

use neli::FromBytesWithInput;
use neli::attr::Attribute;
use neli::consts::nl::{GenlId, NlmF, NlmsgerrAttr};
use neli::consts::socket::NlFamily;
use neli::err::SocketError;
use neli::genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, Nlattr, NlattrBuilder};
use neli::nl::{NlPayload, Nlmsghdr, NlmsghdrBuilder};
use neli::socket::asynchronous::NlSocketHandle;
use neli::types::{Buffer, GenlBuffer};
use neli::utils::Groups;
use nix::errno::Errno;
use tokio::sync::Mutex;

use crate::error::{Error, Failure, Result};
use crate::namespace::Namespace;

/// A generic netlink message: command and attributes.
pub(crate) type Message = Genlmsghdr<u8, u16>;
/// One attribute.
pub(crate) type Attr = Nlattr<u16, Buffer>;

/// `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_FAMILY_ID` and `CTRL_ATTR_FAMILY_NAME` of
/// `linux/genetlink.h`.
const CTRL_GETFAMILY: u8 = 3;
const CTRL_FAMILY_ID: u16 = 1;
const CTRL_FAMILY_NAME: u16 = 2;

/// A socket on which one family is spoken.
pub(crate) struct Family {
    socket: NlSocketHandle,
    id: u16,
    /// The sequence number of the last request; held while a request is under way.
    sequence: Mutex<u32>,
}

/// What the kernel said to a request that it did not refuse.
pub(crate) struct Answer {
    /// Messages before the acknowledgement, all parts of a dump.
    pub(crate) messages: Vec<Message>,
    /// The acknowledgement's code: 0, or what the family returns in it.
    pub(crate) code: u32,
}

impl Family {
    /// Opens a socket in `namespace` and looks `name` up; `module` is what registers it.
    pub(crate) async fn connect(
        namespace: &Namespace,
        name: &'static str,
        module: &'static str,
    ) -> Result<Family> {
        let failed = |f: Failure| f.at("generic netlink", format_args!("find family {name}"), &[]);
        let runtime = tokio::runtime::Handle::current();
        let open = || {
            let _context = runtime.enter();
            let socket = NlSocketHandle::connect(NlFamily::Generic, None, Groups::empty())?;
            socket.enable_ext_ack(true)?;
            Ok(socket)
        };
        let mut family = Family {
            socket: namespace
                .run(open)?
                .map_err(|e: SocketError| failed(socket_failure(e)))?,
            id: GenlId::Ctrl.into(),
            sequence: Mutex::new(0),
        };
        let mut wanted = name.as_bytes().to_vec();
        wanted.push(0);
        let answer = family
            .request(CTRL_GETFAMILY, &[attr(CTRL_FAMILY_NAME, wanted)])
            .await
            .map_err(|failure| {
                if failure.is(Errno::ENOENT) {
                    Error::ModuleNotLoaded {
                        family: name,
                        module,
                    }
                } else {
                    failed(failure)
                }
            })?;
        family.id = answer
            .messages
            .first()
            .and_then(|message| u16_of(message.attrs().iter(), CTRL_FAMILY_ID))
            .ok_or_else(|| failed(Failure::Malformed("no family number".into())))?;
        Ok(family)
    }

    /// Sends a command and waits for its acknowledgement.
    pub(crate) async fn request(&self, command: u8, attrs: &[Attr]) -> Result<Answer, Failure> {
        self.exchange(command, NlmF::REQUEST | NlmF::ACK, attrs)
            .await
    }

    /// Sends a command without attributes in a process that outlives this one, and gives `answered`
    /// there what the acknowledgement says ([`apart`](crate::apart)).
    pub(crate) fn request_apart(
        &self,
        command: u8,
        answered: impl Fn(u32),
    ) -> Result<u32, Failure> {
        let code = crate::apart::request(self.id, command, answered).map_err(Failure::Io)?;
        u32::try_from(code).map_err(|_| Failure::refused(code, None))
    }

    /// Sends a dump command and collects all its messages.
    pub(crate) async fn dump(&self, command: u8) -> Result<Vec<Message>, Failure> {
        let answer = self
            .exchange(command, NlmF::REQUEST | NlmF::DUMP, &[])
            .await?;
        Ok(answer.messages)
    }

    async fn exchange(&self, command: u8, flags: NlmF, attrs: &[Attr]) -> Result<Answer, Failure> {
        let mut sequence = self.sequence.lock().await;
        *sequence = sequence.wrapping_add(1);
        let request = request(self.id, flags, *sequence, command, attrs)?;
        self.socket.send(&request).await.map_err(socket_failure)?;
        let mut messages = Vec::new();
        loop {
            let received = self.socket.recv::<u16, Buffer>().await;
            let (parts, _groups) = received.map_err(socket_failure)?;
            for part in parts {
                let part = part.map_err(socket_failure)?;
                // Another's is the answer to a request whose caller stopped waiting.
                if part.nl_seq() != &*sequence {
                    continue;
                }
                match Part::of(&part)? {
                    Part::Message(message) => messages.push(message),
                    Part::End { code } => return Ok(Answer { messages, code }),
                }
            }
        }
    }
}

/// One netlink message of an answer.
#[derive(Debug)]
pub(crate) enum Part {
    /// Content.
    Message(Message),
    /// Acknowledged, or the end of a dump.
    End {
        /// Zero, or what the family returns in the acknowledgement.
        code: u32,
    },
}

impl Part {
    /// Interprets one netlink message; a negative error code is the failure.
    pub(crate) fn of(message: &Nlmsghdr<u16, Buffer>) -> Result<Part, Failure> {
        match message.nl_payload() {
            NlPayload::Payload(bytes) => {
                let bytes = bytes.as_ref();
                Message::from_bytes_with_input(&mut Cursor::new(bytes), bytes.len())
                    .map(Part::Message)
                    .map_err(|e| Failure::Malformed(e.to_string()))
            }
            NlPayload::Ack(_) | NlPayload::Empty => Ok(Part::End { code: 0 }),
            NlPayload::Err(error) => ended(*error.error(), error.ext_ack()),
            NlPayload::DumpExtAck(error) => ended(*error.error(), error.ext_ack()),
        }
    }
}

fn ended(code: i32, ext_ack: &GenlBuffer<NlmsgerrAttr, Buffer>) -> Result<Part, Failure> {
    // hwsim's NEW_RADIO answers with the radio's number as a positive error code.
    match u32::try_from(code) {
        Ok(code) => Ok(Part::End { code }),
        Err(_) => {
            let text = ext_ack
                .get_attr_handle()
                .get_attr_payload_as_with_len::<String>(NlmsgerrAttr::Msg)
                .ok();
            Err(Failure::refused(code, text))
        }
    }
}

/// The request as it goes out.
fn request(
    family: u16,
    flags: NlmF,
    sequence: u32,
    command: u8,
    attrs: &[Attr],
) -> Result<Nlmsghdr<u16, Message>, Failure> {
    let malformed = |e: &dyn std::fmt::Display| Failure::Malformed(format!("request: {e}"));
    let message = GenlmsghdrBuilder::default()
        .cmd(command)
        .version(1)
        .attrs(attrs.iter().cloned().collect::<GenlBuffer<u16, Buffer>>())
        .build()
        .map_err(|e| malformed(&e))?;
    NlmsghdrBuilder::default()
        .nl_type(family)
        .nl_flags(flags)
        .nl_seq(sequence)
        .nl_payload(NlPayload::Payload(message))
        .build()
        .map_err(|e| malformed(&e))
}

fn socket_failure(error: SocketError) -> Failure {
    match error {
        SocketError::Io(error) => Failure::Io(match error.raw_os_error() {
            Some(errno) => std::io::Error::from_raw_os_error(errno),
            None => error.kind().into(),
        }),
        other => Failure::Malformed(other.to_string()),
    }
}

/// An attribute with these bytes; numbers are in host order, as netlink wants.
pub(crate) fn attr(kind: u16, payload: impl Into<Vec<u8>>) -> Attr {
    build(kind, false, payload.into())
}

/// An attribute that holds others.
pub(crate) fn nested(kind: u16, attrs: &[Attr]) -> Attr {
    let mut outer = build(kind, true, Vec::new());
    for inner in attrs {
        outer = outer.nest(inner).expect("attributes fit in memory");
    }
    outer
}

fn build(kind: u16, nested: bool, payload: Vec<u8>) -> Attr {
    let kind = AttrTypeBuilder::default()
        .nla_type(kind)
        .nla_nested(nested)
        .build()
        .expect("the kind is set");
    NlattrBuilder::default()
        .nla_type(kind)
        .nla_payload(Buffer::from(payload))
        .build()
        .expect("kind and payload are set")
}

/// The bytes of the first attribute of `kind`.
pub(crate) fn bytes_of<'a>(
    mut attrs: impl Iterator<Item = &'a Attr>,
    kind: u16,
) -> Option<&'a [u8]> {
    attrs
        .find(|attr| *attr.nla_type().nla_type() == kind)
        .map(|attr| attr.payload().as_ref())
}

pub(crate) fn u8_of<'a>(attrs: impl Iterator<Item = &'a Attr>, kind: u16) -> Option<u8> {
    Some(u8::from_ne_bytes(bytes_of(attrs, kind)?.try_into().ok()?))
}

pub(crate) fn u16_of<'a>(attrs: impl Iterator<Item = &'a Attr>, kind: u16) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes_of(attrs, kind)?.try_into().ok()?))
}

pub(crate) fn u32_of<'a>(attrs: impl Iterator<Item = &'a Attr>, kind: u16) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes_of(attrs, kind)?.try_into().ok()?))
}

/// A string attribute, without the NUL that ends it.
pub(crate) fn string_of<'a>(attrs: impl Iterator<Item = &'a Attr>, kind: u16) -> Option<String> {
    let bytes = bytes_of(attrs, kind)?;
    let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    String::from_utf8(text.to_vec()).ok()
}

/// The attributes inside a nested one.
pub(crate) fn inner(attr: &Attr) -> Result<Vec<Attr>, Failure> {
    attr.get_attr_handle::<u16>()
        .map(|handle| handle.iter().cloned().collect())
        .map_err(|e| Failure::Malformed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::answer;

    #[test]
    fn a_positive_error_code_is_an_answer() {
        let answer = answer(include_str!("../tests/golden/new_radio.hex")).unwrap();
        assert_eq!((answer.code, answer.messages.len()), (2, 0));
    }

    #[test]
    fn an_absent_family_is_refused_with_enoent() {
        let failure = answer(include_str!("../tests/golden/absent_family.hex")).err();
        assert!(failure.is_some_and(|failure| failure.is(Errno::ENOENT)));
    }

    #[test]
    fn a_refusal_carries_the_kernels_text() {
        let failure = answer(include_str!("../tests/golden/bad_attribute.hex")).err();
        let error = failure.unwrap().at("phy0", "set channel 11", &[]);
        assert_eq!(
            error.to_string(),
            "phy0: set channel 11: ERANGE: Attribute failed policy validation"
        );
    }

    #[test]
    fn attributes_are_aligned_and_nested_ones_are_flagged() {
        let nested = nested(2, &[attr(1, 7u32.to_le_bytes()), attr(2, [42])]);
        let mut bytes = Cursor::new(Vec::new());
        neli::ToBytes::to_bytes(&nested, &mut bytes).unwrap();
        #[rustfmt::skip]
        let expected = [
            0x14, 0, 0x02, 0x80, // length 20, kind 2 with NLA_F_NESTED
            0x08, 0, 0x01, 0, 7, 0, 0, 0, // length 8, kind 1
            0x05, 0, 0x02, 0, 42, 0, 0, 0, // length 5, kind 2, padded to 8
        ];
        assert_eq!(bytes.into_inner(), expected);
    }
}
