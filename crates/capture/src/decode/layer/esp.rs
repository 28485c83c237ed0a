//! Encapsulating Security Payload (RFC 4303): what it carries is encrypted.

use super::{Below, Payload, Read, State, Unread};

pub(super) fn read(_: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    Err(Unread::Named("ESP"))
}
