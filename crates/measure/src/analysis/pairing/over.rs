//! When a Message ID and a token are nobody's any more (RFC 7252 §4.8.2).

use units::SimTime;

use super::Pairing;

/// After so many requests at least what nothing can belong to any more is forgotten.
pub(super) const SWEEP: usize = 1 << 10;

impl Pairing<'_> {
    /// Whether nothing belongs to the exchange any more: it was answered or rejected, and longer ago
    /// than its Message ID and token are in use.
    pub(super) fn is_over(&self, index: usize, now: SimTime) -> bool {
        let exchange = &self.exchanges[index];
        let heard = exchange.answered_at().or(exchange.reset());
        let lifetime = self.options.exchange_lifetime();
        let is_past = |time: SimTime| now.saturating_since(time) > lifetime;
        heard.is_some_and(is_past)
            && is_past(exchange.last().time)
            && !self.requests[index].registers
    }

    /// Forgets where nothing is looked for any more, every now and then: so rarely that it costs a request
    /// no more than a few looks.
    pub(super) fn forget(&mut self, now: SimTime) {
        if self.exchanges.len() < self.next_sweep {
            return;
        }
        let mut by_message_id = std::mem::take(&mut self.by_message_id);
        by_message_id.retain(|_, sent| !self.is_over(sent.exchange, now));
        self.latest
            .retain(|id, last| by_message_id.contains_key(&(*last, *id)));
        let mut by_token = std::mem::take(&mut self.by_token);
        by_token.retain(|_, index| !self.is_over(*index, now));
        (self.by_message_id, self.by_token) = (by_message_id, by_token);
        self.recent.forget(now, self.options.exchange_lifetime());
        self.next_sweep = self.exchanges.len() + (self.by_message_id.len() / 4).max(SWEEP);
    }

    /// Whether a first response comes so late that it belongs to none: nobody waits for it, and its
    /// Message ID and token may be another request's (RFC 7252 §4.8.2).
    pub(super) fn is_late(&self, index: usize, now: SimTime) -> bool {
        let exchange = &self.exchanges[index];
        let lifetime = self.options.exchange_lifetime();
        !exchange.is_answered() && now.saturating_since(exchange.last().time) > lifetime
    }
}
