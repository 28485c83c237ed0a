//! UDP (RFC 768): an end, unless it carries something that has a layer.

use super::super::UDP;
use super::{Below, OVER_UDP, Payload, Read, State, Step};

pub(super) fn read(data: &mut Payload<'_>, below: &mut Below, state: &mut State) -> Read {
    if let Some(carried) = data.get(8..)
        && let Some((_, layer)) = OVER_UDP.iter().find(|(is, _)| is(carried))
    {
        data.skip(8, "UDP header")?;
        return layer(data, below, state);
    }
    Ok(Step::End(UDP))
}
