//! Wireshark's exported PDUs: the marks of a merged capture ([`crate::Mark`]), on no wire.

use super::{Below, Payload, Read, State, Step};

pub(super) fn read(_: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    Ok(Step::Nothing)
}
