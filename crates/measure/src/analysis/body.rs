//! The exchanges that carry one body (RFC 7959).

use std::collections::BTreeMap;

use coap::Code;
use units::SimTime;

use super::pairing::Exchange;

/// The exchanges of one body, in the order asked; without blocks there is one.
///
/// An exchange belongs to the latest body of the same client and resource that said that it goes
/// on at the byte from which it asks. A client that begins a body again, because the
/// representation has changed, begins another body, and the first one is lost.
pub(super) struct Body<'a>(pub(super) Vec<&'a Exchange>);

impl<'a> Body<'a> {
    /// The bodies of `exchanges`, in the order of their first requests.
    pub(super) fn all(exchanges: impl IntoIterator<Item = &'a Exchange>) -> Vec<Body<'a>> {
        let mut bodies: Vec<Body> = Vec::new();
        // The unfinished ones per client, method and resource, by where they go on.
        let mut unfinished: BTreeMap<(_, Code, &str, usize), usize> = BTreeMap::new();
        for exchange in exchanges {
            let at = |offset| {
                let resource = exchange.resource.as_str();
                (exchange.client, exchange.method, resource, offset)
            };
            let begun = match exchange.offset {
                0 => None,
                offset => unfinished.remove(&at(offset)),
            };
            let index = begun.unwrap_or(bodies.len());
            match bodies.get_mut(index) {
                Some(body) => body.0.push(exchange),
                None => bodies.push(Body(vec![exchange])),
            }
            if let Some(next) = exchange.answer.and_then(|answer| answer.continues_at) {
                unfinished.insert(at(next), index);
            }
        }
        bodies
    }

    /// When the last block was there.
    pub(super) fn answered(&self) -> Option<SimTime> {
        let answer = self.0.last()?.answer?;
        answer.continues_at.is_none().then_some(answer.time)
    }

    /// Whether something is true of one of its exchanges.
    pub(super) fn is(&self, what: impl Fn(&Exchange) -> bool) -> bool {
        self.0.iter().any(|e| what(e))
    }
}
