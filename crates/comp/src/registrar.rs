//! Keeps one's own registration at the WMMS alive.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::message::option;
use coap::{Code, Endpoint, RequestId, Response};
use units::SimTime;

use crate::codec::{self, Command, Lifetime, expect_code};
use crate::sequence::Counter;

/// How long a failed registration rests. The exchange before it took up to MAX_TRANSMIT_WAIT
/// if the WMMS was silent, so this is for a WMMS that answers with an error.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often in one procedure a message is repeated at once under a higher number. One repetition is
/// the rule; more are for messages from before a restart that arrive in between.
const MAX_REPEATS: u32 = 4;

/// When a WMMS that is full wants to be asked again: "the Max-Age Option [...] the number of seconds
/// after which to retry" (RFC 7252 §5.9.3.4 of 5.03, RFC 8516 §3 of 4.29).
fn retry_after(response: &Response) -> Option<Duration> {
    let full = [Code::SERVICE_UNAVAILABLE, Code::TOO_MANY_REQUESTS].contains(&response.code);
    let max_age = response.options.get_uint(option::MAX_AGE).filter(|_| full);
    max_age.map(Duration::from_secs)
}

/// Registers, and registers again at half the lifetime (ours: the papers name no instant), so
/// that a lost exchange can be repeated before the entry ends.
#[derive(Debug)]
pub(crate) struct Registrar {
    pub(crate) p_addr: Ipv6Addr,
    pub(crate) wmms: SocketAddrV6,
    pub(crate) lifetime: Lifetime,
    t_addr: Option<Ipv6Addr>,
    request: Option<RequestId>,
    due: Option<SimTime>,
    /// Counts what the owner says about itself.
    pub(crate) counter: Counter,
    /// Repetitions under a higher number in this procedure.
    pub(crate) repeats: u32,
    /// Whether the owner is to hear of a success: not for a mere refresh.
    announce: bool,
    /// Whether the WMMS has accepted anything.
    accepted: bool,
}

impl Registrar {
    pub(crate) fn new(p_addr: Ipv6Addr, wmms: SocketAddrV6, lifetime: Duration) -> Registrar {
        Registrar {
            p_addr,
            wmms,
            lifetime: Lifetime::covering(lifetime).max(Lifetime(1)),
            t_addr: None,
            request: None,
            due: None,
            counter: Counter::new(),
            repeats: 0,
            announce: false,
            accepted: false,
        }
    }

    /// Registers `t_addr`; an exchange under way is given up.
    pub(crate) fn register(&mut self, now: SimTime, endpoint: &mut Endpoint, t_addr: Ipv6Addr) {
        self.t_addr = Some(t_addr);
        self.announce = true;
        self.send(now, endpoint);
    }

    /// When [`Registrar::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<SimTime> {
        self.due
    }

    pub(crate) fn handle_timeout(&mut self, now: SimTime, endpoint: &mut Endpoint) {
        if self.due.is_some_and(|due| due <= now) {
            self.send(now, endpoint);
        }
    }

    /// Gives up the exchange under way and every later refresh.
    pub(crate) fn suspend(&mut self, endpoint: &mut Endpoint) {
        self.due = None;
        if let Some(id) = self.request.take() {
            endpoint.cancel(id);
        }
    }

    /// The owner is at `t_addr` now and says so itself: what is registered from here on is that.
    /// Whether it was elsewhere before.
    pub(crate) fn moved(&mut self, endpoint: &mut Endpoint, t_addr: Ipv6Addr) -> bool {
        self.suspend(endpoint);
        self.t_addr.replace(t_addr) != Some(t_addr)
    }

    /// The WMMS has just acknowledged `t_addr`: the lifetime starts anew.
    pub(crate) fn renewed(&mut self, now: SimTime, t_addr: Ipv6Addr) {
        self.t_addr = Some(t_addr);
        self.due = Some(now + self.lifetime.duration() / 2);
    }

    /// The WMMS did not acknowledge `t_addr`: the next refresh tries again.
    pub(crate) fn fall_back(&mut self, now: SimTime, t_addr: Ipv6Addr) {
        self.announce = true;
        self.renewed(now, t_addr);
    }

    /// Gives up the exchange under way, and refreshes no earlier than `until`.
    pub(crate) fn postpone(&mut self, endpoint: &mut Endpoint, until: SimTime) {
        let due = self.due;
        self.suspend(endpoint);
        self.due = self.t_addr.map(|_| due.map_or(until, |due| due.max(until)));
    }

    /// Where the owner has said, or is saying, that it is.
    pub(crate) fn t_addr(&self) -> Option<Ipv6Addr> {
        self.t_addr
    }

    /// Whether an answer says that somebody else has counted on for this node: it knows the number of
    /// the message already, or a later one, of a node that was heard before in this life. A copy of the
    /// message that a WMMS took before it crashed looks the same.
    pub(crate) fn is_contested(&self, outcome: &Result<&Response, String>) -> bool {
        let last = outcome.as_ref().ok().and_then(|r| codec::parse_outdated(r));
        self.accepted && last.is_some_and(|last| self.counter.is_behind(last))
    }

    /// Whether `id` is the exchange under way.
    pub(crate) fn owns(&self, id: RequestId) -> bool {
        self.request == Some(id)
    }

    /// Whether an answer says that this node's count is behind, in which case it is not any
    /// more and the refused message is to be repeated under a new number; at most
    /// [`MAX_REPEATS`] times in one procedure.
    pub(crate) fn is_to_repeat(&mut self, outcome: &Result<&Response, String>) -> bool {
        let last = outcome.as_ref().ok().and_then(|r| codec::parse_outdated(r));
        let repeat =
            last.is_some_and(|last| self.counter.overtake(last)) && self.repeats < MAX_REPEATS;
        self.repeats += u32::from(repeat);
        repeat
    }

    /// The exchange under way ended. `Ok(Some)` with the T_Addr if the owner is to hear of
    /// it.
    pub(crate) fn finished(
        &mut self,
        now: SimTime,
        endpoint: &mut Endpoint,
        outcome: Result<&Response, String>,
    ) -> Result<Option<Ipv6Addr>, String> {
        self.request = None;
        if self.is_to_repeat(&outcome) {
            self.send(now, endpoint);
            return Ok(None);
        }
        self.repeats = 0;
        let rest = outcome.as_ref().ok().and_then(|r| retry_after(r));
        let accepted = outcome.and_then(|response| {
            expect_code(response, Code::CREATED).map_err(|error| error.to_string())
        });
        if let Err(reason) = accepted {
            self.announce = true;
            self.due = Some(now + rest.unwrap_or_default().max(RETRY_AFTER));
            return Err(reason);
        }
        self.accepted = true;
        self.due = Some(now + self.lifetime.duration() / 2);
        let announce = std::mem::replace(&mut self.announce, false);
        Ok(self.t_addr.filter(|_| announce))
    }

    /// The registration of `t_addr`.
    pub(crate) fn command(&self, t_addr: Ipv6Addr) -> Command {
        Command::Registration {
            p_addr: self.p_addr,
            t_addr,
            lifetime: self.lifetime,
        }
    }

    fn send(&mut self, now: SimTime, endpoint: &mut Endpoint) {
        self.suspend(endpoint);
        if let Some(t_addr) = self.t_addr {
            let sequence = Some(self.counter.next(now));
            let command = self.command(t_addr);
            self.request = Some(command.send(now, endpoint, self.wmms, sequence));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coap::Params;
    use machine::Machine;
    use units::Seed;

    #[test]
    fn a_full_wmms_is_asked_again_when_it_says_and_another_error_after_a_second() {
        let address = Ipv6Addr::LOCALHOST;
        let wmms = SocketAddrV6::new(address, 5683, 0, 0);
        let due = |code, max_age: Option<u64>| {
            let mut endpoint = Endpoint::new(Params::default(), &[], Seed(1).rng(&["registrar"]));
            let mut registrar = Registrar::new(address, wmms, Duration::from_secs(600));
            registrar.register(SimTime::ZERO, &mut endpoint, address);
            assert!(endpoint.poll_transmit().is_some());
            let mut response = Response::new(code);
            if let Some(seconds) = max_age {
                response.options.push_uint(option::MAX_AGE, seconds);
            }
            let refused = registrar.finished(SimTime::ZERO, &mut endpoint, Ok(&response));
            assert!(refused.is_err());
            registrar.poll_timeout().unwrap().as_nanos() / 1_000_000_000
        };
        assert_eq!(due(Code::SERVICE_UNAVAILABLE, Some(60)), 60);
        assert_eq!(due(Code::TOO_MANY_REQUESTS, Some(7)), 7);
        assert_eq!(due(Code::TOO_MANY_REQUESTS, Some(0)), 1);
        assert_eq!(due(Code::SERVICE_UNAVAILABLE, None), 1);
        assert_eq!(due(Code::BAD_REQUEST, Some(60)), 1);
    }
}
