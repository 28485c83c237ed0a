//! The exchanges that carry one body (RFC 7959).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use coap::Code;
use coap::wire::Token;
use units::SimTime;

use super::exchange::Exchange;

/// Bodies of one client and resource that may go on at the same byte; of more, the oldest does not.
const MOST_AT_ONCE: usize = 8;

/// The exchanges of one body, in the order asked; without blocks there is one.
pub(super) struct Body<'a, 'b> {
    pub(super) first: &'a Exchange,
    pub(super) further: &'b [&'a Exchange],
}

/// The bodies of exchanges.
///
/// An exchange belongs to a body of the same client and resource that said that it goes on at the byte
/// from which it asks. Of several it is the one with the same token; else one whose Request-Tag
/// (RFC 9175 §3) or ETag is not another one, of the same server; else the latest. A block that is asked
/// for again by another message, since it did not come, is of the same body. A client that
/// begins a body again, because the representation has changed, begins another body, and the first
/// one is lost.
#[derive(Default)]
pub(super) struct Bodies<'a> {
    /// The first exchanges of those that were asked for, in their order.
    asked: Vec<&'a Exchange>,
    /// The further ones of those that have some.
    further: BTreeMap<usize, Vec<&'a Exchange>>,
    /// Requests for further blocks of what was notified (RFC 7959 §3.4).
    pub(super) notified: Vec<&'a Exchange>,
}

/// Whose body: client, method, resource and where it goes on.
type Place<'a> = (SocketAddr, Code, &'a str, usize);

/// Of whom an exchange is a part.
#[derive(Clone, Copy)]
enum Of {
    Asked(usize),
    Notified,
}

/// A body that goes on.
struct Unfinished<'a> {
    of: Of,
    /// Its latest exchange.
    latest: &'a Exchange,
}

impl<'a> Bodies<'a> {
    pub(super) fn of(exchanges: impl IntoIterator<Item = &'a Exchange>) -> Bodies<'a> {
        let mut bodies = Bodies::default();
        let mut unfinished: BTreeMap<Place<'a>, Vec<Unfinished<'a>>> = BTreeMap::new();
        // When what was notified to each client of a resource had further blocks.
        let mut notified: BTreeMap<Place<'a>, SimTime> = BTreeMap::new();
        for exchange in exchanges {
            let at = |offset| {
                let resource = &**exchange.resource();
                (exchange.client(), exchange.method(), resource, offset)
            };
            let begun = match exchange.offset() {
                0 => None,
                offset => (unfinished.get_mut(&at(offset)))
                    .and_then(|several| take(several, exchange))
                    .or_else(|| {
                        let since = notified.get(&at(0))?;
                        (*since <= exchange.sent_at()).then_some(Of::Notified)
                    }),
            };
            match begun {
                Some(Of::Asked(index)) => bodies.further.entry(index).or_default().push(exchange),
                Some(Of::Notified) => bodies.notified.push(exchange),
                None => bodies.asked.push(exchange),
            }
            let of = begun.unwrap_or(Of::Asked(bodies.asked.len().saturating_sub(1)));
            let next = match exchange.answer() {
                Some(answer) => answer.continues_at,
                // It may be asked for again, by another message.
                None => Some(exchange.offset()).filter(|offset| *offset > 0),
            };
            if let Some(next) = next {
                let several = unfinished.entry(at(next)).or_default();
                if several.len() >= MOST_AT_ONCE {
                    several.remove(0);
                }
                several.push(Unfinished {
                    of,
                    latest: exchange,
                });
            }
            if let Some(first) = exchange.notifications().iter().find(|n| n.continues) {
                notified.entry(at(0)).or_insert(first.time);
            }
        }
        bodies
    }

    /// Those that were asked for, in the order of their first requests.
    pub(super) fn asked(&self) -> impl Iterator<Item = Body<'a, '_>> {
        let all = self.asked.iter().enumerate();
        all.map(|(index, first)| Body {
            first,
            further: self.further.get(&index).map_or(&[], |all| all),
        })
    }
}

/// The one of `several` that goes on with `exchange`.
fn take(several: &mut Vec<Unfinished<'_>>, exchange: &Exchange) -> Option<Of> {
    let etag = |e: &Exchange| e.answer().and_then(|answer| answer.etag);
    let server = |e: &Exchange| e.last().to;
    let alike = |a: Option<Token>, b: Option<Token>| a.is_none() || b.is_none() || a == b;
    let fit = |before: &Unfinished<'_>| {
        let before = before.latest;
        (
            before.token() == exchange.token() && !exchange.token().as_bytes().is_empty(),
            alike(etag(before), etag(exchange)),
            server(before) == server(exchange),
        )
    };
    let all = several.iter().enumerate();
    let may = all.filter(|(_, before)| before.latest.request_tag() == exchange.request_tag());
    let (best, _) = may.max_by_key(|(at, before)| (fit(before), *at))?;
    Some(several.remove(best).of)
}

impl<'a> Body<'a, '_> {
    /// When the last block was there; of a body that was asked for from its middle on, the last one
    /// that was asked for.
    pub(super) fn answered(&self) -> Option<SimTime> {
        let answer = self.further.last().unwrap_or(&self.first).answer()?;
        let in_part = self.first.offset() > 0 && answer.code != Code::CONTINUE;
        (answer.continues_at.is_none() || in_part).then_some(answer.time)
    }

    /// Whether something is true of one of its exchanges.
    pub(super) fn is(&self, what: impl Fn(&Exchange) -> bool) -> bool {
        self.all().any(what)
    }

    /// Its exchanges.
    pub(super) fn all(&self) -> impl Iterator<Item = &'a Exchange> {
        std::iter::once(self.first).chain(self.further.iter().copied())
    }
}
