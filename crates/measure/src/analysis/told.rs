//! What servers notified, as the captures of their own interfaces have it.
//!
//! The last notification that an observer received says nothing of those after it. The interface of
//! the server does.

use std::borrow::Borrow;
use std::net::{IpAddr, SocketAddr};

use capture::Capture;
use coap::wire::Token;

use super::exchange::Missed;
use super::flow::Flow;
use super::observe::observe;
use super::source::Source;
use super::{Options, Other};

/// A notification that a server sent (RFC 7641 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notified {
    /// Where to.
    pub to: SocketAddr,
    /// The token of the registration.
    pub token: Token,
    /// When it was sent, and its number.
    pub sent: Missed,
}

/// What was notified from the addresses that are `own`, in the order sent, by the captures of all
/// interfaces that have them.
pub fn notified<C: Borrow<Capture>>(
    captures: &[C],
    options: &Options,
    own: impl Fn(IpAddr) -> bool,
) -> Vec<Notified> {
    let sources = captures.iter().map(|c| c.borrow() as &dyn Source);
    let sources: Vec<&dyn Source> = sources.collect();
    let options = Options {
        most_kept: usize::MAX,
        ..options.clone()
    };
    let traffic = observe(&sources, &options, &mut Other::default()).traffic;
    let sent = traffic.messages.iter();
    let sent = sent.filter(|o| o.brief.notifies() && own(traffic.src(o).ip()));
    let sent = sent.filter_map(|o| {
        Some(Notified {
            to: traffic.dst(o),
            token: o.brief.token,
            sent: Missed {
                time: o.first,
                number: o.brief.observe?,
            },
        })
    });
    sent.collect()
}

impl Flow {
    /// Takes what its node `sent` to its client, in the order sent: what was sent and not received is
    /// known by that, also after the last notification that was received.
    pub fn learn_of<'n>(&mut self, sent: impl Iterator<Item = &'n Notified>) {
        for notified in sent {
            let begun = self
                .exchanges
                .partition_point(|e| e.sent_at() <= notified.sent.time);
            let mut before = self.exchanges[..begun].iter_mut().rev();
            let registration = before.find(|e| {
                e.token() == notified.token && e.answer().is_some_and(|a| a.number.is_some())
            });
            if let Some(registration) = registration {
                registration.miss(notified.sent);
            }
        }
    }
}
