//! A WMMS that says nothing: how long the node waits for it.
//!
//! The exchange with it goes on for MAX_TRANSMIT_WAIT (RFC 7252 §4.8.2), 93 s: too long for a node
//! that is to leave a router that it hardly hears, and for what it keeps back meanwhile.

use super::*;

/// A hold that the WMMS has not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedHold {
    request: RequestId,
    /// When it was asked for first.
    since: SimTime,
    /// Whether it is for a sleep.
    sleep: bool,
}

impl Node {
    /// A hold is asked for, for the first time or under a higher number.
    pub(super) fn hold_asked(&mut self, now: SimTime, request: RequestId, until: Option<SimTime>) {
        let since = self.asked_hold.map_or(now, |asked| asked.since);
        self.asked_hold = Some(AskedHold {
            request,
            since,
            sleep: until.is_some(),
        });
    }

    /// When the hold that is asked for is given up.
    pub(super) fn hold_ends(&self) -> Option<SimTime> {
        let hold = self.asked_hold?;
        let patience = patience(&self.config.coap);
        // An answer waits for the correspondents, as long as the WMMS's owner wants it to.
        let patience = match self.endpoint.is_acknowledged(hold.request) {
            true => patience.max(self.config.hold_queue.timeout),
            false => patience,
        };
        Some(hold.since + patience)
    }

    /// Goes on without a WMMS that has been silent for too long.
    pub(super) fn give_up_waiting(&mut self, now: SimTime) {
        if let Some(hold) = self.asked_hold
            && self.hold_ends().is_some_and(|end| end <= now)
        {
            let reason = match self.endpoint.is_acknowledged(hold.request) {
                true => Failure::NoResponse,
                false => Failure::Timeout,
            };
            self.asked_hold = None;
            self.requests.remove(&hold.request);
            self.endpoint.cancel(hold.request);
            self.hold_ended(hold.sleep, Err(reason.to_string()));
        }
        if let Some(binding) = &mut self.binding
            && !binding.acknowledged
            && now >= binding.until
            && std::mem::take(&mut binding.keeps_back)
        {
            // Observers know the new T_Addr from the node itself, or not at all.
            if binding.mode == BindingMode::Direct {
                self.endpoint.release_notifications(now);
            }
            self.client.resume_all(now, &mut self.endpoint);
        }
    }
}
