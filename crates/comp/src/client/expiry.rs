//! What ends by itself: lifetimes, sleeps, and the client's patience.

use super::*;

impl Client {
    /// What has ended by `now`: lifetimes, sleeps, waits.
    pub(crate) fn expire(&mut self, now: SimTime, endpoint: &mut Endpoint) {
        while let Some(expired) = self.lbc.expire(now) {
            match expired {
                Expired::Lifetime(p_addr) => {
                    let reason = Removal::LifetimeEnded.into();
                    let removed = BindingEvent::Removed { p_addr, reason };
                    self.events.push_back(Event::Binding(removed));
                    self.release(now, endpoint, p_addr);
                    self.pump(now, endpoint, Target::Node(p_addr));
                }
                Expired::Sleep(p_addr) => {
                    if let Some(entry) = self.lbc.get(p_addr) {
                        let (t_addr, held) = (entry.t_addr, entry.held);
                        self.events.push_back(Event::Binding(BindingEvent::Changed {
                            p_addr,
                            t_addr,
                            held,
                        }));
                    }
                    self.resume(now, endpoint, p_addr);
                }
            }
        }
        while let Some(target) = self.patience.take_due(now) {
            self.fail_overdue(now, endpoint, target);
        }
        self.ask_again(now, endpoint);
    }

    /// Fails the requests that have waited too long for a target.
    fn fail_overdue(&mut self, now: SimTime, endpoint: &mut Endpoint, target: Target) {
        let timeout = self.hold_queue.timeout;
        while let Some(peer) = self.peers.get_mut(&target)
            && let Some(overdue) = peer.waiting.pop_front_if(|w| w.since + timeout <= now)
        {
            let reason = match self.paused || peer.on_hold_since.is_some() {
                true => CallFailure::HoldTimeout,
                false => CallFailure::BacklogTimeout,
            };
            self.fail(overdue.call, reason);
        }
        self.drop_overdue_hold(now, endpoint, target);
        self.pump(now, endpoint, target);
    }

    /// A hold that outlasts the client's patience is not trusted any more.
    pub(super) fn drop_overdue_hold(
        &mut self,
        now: SimTime,
        endpoint: &mut Endpoint,
        target: Target,
    ) {
        let Target::Node(p_addr) = target else {
            return;
        };
        let asleep = (self.lbc.get(p_addr)).is_some_and(|entry| entry.sleep_ends.is_some());
        let hold_overdue = (self.node(p_addr))
            .and_then(|peer| peer.on_hold_since)
            .is_some_and(|since| since + self.hold_queue.timeout <= now);
        if hold_overdue && !asleep {
            self.remove(now, endpoint, p_addr, Removal::HoldOverdue);
        }
    }
}
