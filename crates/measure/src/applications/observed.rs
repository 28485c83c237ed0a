//! What a node was notified of, by the numbers of the Observe option (RFC 7641).

use std::time::Duration;

use coap::message::option::OBSERVE;
use coap::wire::{Message, Token};
use units::SimTime;

use super::{Observed, Peer, Way};
use crate::recent::Recent;
use crate::result::seconds;

/// Observations that are remembered in each of two generations.
const MOST: usize = 1 << 14;

/// Numbers are those of 24 bits (§3.4): what is less than half of them ahead is newer.
const NUMBERS: u32 = 1 << 24;

/// How long two messages may change their order (§3.4).
const REORDERING: Duration = Duration::from_secs(128);

/// The observations of a node.
#[derive(Debug)]
pub(super) struct Observations {
    running: Recent<(Peer, Token), Observation>,
    /// When a peer that is observed was heard last, for a registration that takes the place of another.
    heard: Recent<Peer, SimTime>,
    any: bool,
    received: u64,
    missing: u64,
    /// Steps from one number to a newer one, and those of them that are longer than one.
    steps: u64,
    long_steps: u64,
    longest_silence: Option<Duration>,
}

/// An observation: the latest number, and when something came of it last.
#[derive(Clone, Copy, Debug, Default)]
struct Observation {
    latest: Option<(u32, SimTime)>,
    /// When the peer was heard last before it.
    before: Option<SimTime>,
}

impl Default for Observations {
    fn default() -> Observations {
        Observations {
            running: Recent::new(MOST),
            heard: Recent::new(MOST),
            any: false,
            received: 0,
            missing: 0,
            steps: 0,
            long_steps: 0,
            longest_silence: None,
        }
    }
}

impl Observations {
    /// A message of the node that was not there before.
    pub(super) fn see(&mut self, way: Way, peer: &Peer, message: &Message, time: SimTime) {
        let Some(number) = message.options.get_uint(OBSERVE) else {
            return;
        };
        let key = (peer.clone(), message.token);
        match way {
            Way::Sent if message.code.is_safe() => {
                self.running.take(&key);
                // 0 registers, 1 ends (§2).
                if number == 0 {
                    self.any = true;
                    let before = self.heard.get(peer).copied();
                    let latest = None;
                    self.running.insert(key, Observation { latest, before });
                } else {
                    self.heard.take(peer);
                }
            }
            Way::Received if message.code.is_success() => {
                let number = (number % u64::from(NUMBERS)) as u32;
                self.received(key, number, time);
            }
            _ => {}
        }
    }

    fn received(&mut self, key: (Peer, Token), number: u32, time: SimTime) {
        self.any = true;
        let before = self.running.take(&key);
        let latest = before.and_then(|observation| observation.latest);
        // The first one after a registration answers it; without one it began before the capture.
        if before.is_none() || latest.is_some() {
            self.received += 1;
        }
        let mut newest = number;
        let last = latest.map(|(_, last)| last);
        let last = last.or(before.and_then(|observation| observation.before));
        let silence = last.map(|last| time.saturating_since(last));
        self.longest_silence = self.longest_silence.max(silence);
        self.heard.insert(key.0.clone(), time);
        if let Some((latest, last)) = latest {
            match number.wrapping_sub(latest) % NUMBERS {
                0 => {}
                ahead if ahead < NUMBERS / 2 => {
                    self.steps += 1;
                    self.long_steps += u64::from(ahead > 1);
                    self.missing += u64::from(ahead - 1);
                }
                // After so long a time it is newer whatever its number (§3.4).
                _ if time.saturating_since(last) > REORDERING => {}
                // One that was missing comes late.
                _ => {
                    self.missing = self.missing.saturating_sub(1);
                    newest = latest;
                }
            }
        }
        let latest = Some((newest, time));
        self.running.insert(
            key,
            Observation {
                latest,
                before: None,
            },
        );
    }

    /// What there was of them, if the node observed anything.
    pub(super) fn end(self) -> Option<Observed> {
        let count_notifications = self.steps > 0 && self.long_steps * 2 <= self.steps;
        self.any.then(|| Observed {
            received: self.received,
            lost: count_notifications.then_some(self.missing),
            longest_silence_s: self.longest_silence.map(seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use coap::{Code, Kind};

    use super::*;

    /// Who observes two nodes.
    #[derive(Default)]
    struct Observer(Observations);

    impl Observer {
        fn see(&mut self, way: Way, code: Code, number: u64, of: &str, seconds: u64) {
            let peer = Peer {
                who: Ok(of.into()),
                ports: [5683; 2],
            };
            let mut message = Message {
                code,
                token: Token::new(b"t").unwrap(),
                ..Message::empty(Kind::Confirmable, 1)
            };
            message.options.push_uint(OBSERVE, number);
            let time = SimTime::ZERO + Duration::from_secs(seconds);
            self.0.see(way, &peer, &message, time);
        }

        fn register(&mut self, of: &str, seconds: u64) {
            self.see(Way::Sent, Code::FETCH, 0, of, seconds);
        }

        fn hear(&mut self, of: &str, number: u64, seconds: u64) {
            self.see(Way::Received, Code::CONTENT, number, of, seconds);
        }
    }

    #[test]
    fn numbers_that_are_missing_were_lost_and_the_answer_is_no_notification() {
        let mut observer = Observer::default();
        observer.register("a", 0);
        observer.register("b", 0);
        observer.hear("a", 0xff_fffe, 1);
        observer.hear("b", 1, 1);
        observer.hear("a", 0xff_ffff, 5);
        observer.hear("a", 2, 20);
        observer.hear("a", 3, 21);
        // Late, and one that came before.
        observer.hear("a", 1, 22);
        observer.hear("a", 3, 23);
        let expected = Observed {
            received: 5,
            lost: Some(1),
            longest_silence_s: Some(15.0),
        };
        assert_eq!(observer.0.end(), Some(expected));
    }

    #[test]
    fn numbers_that_are_a_clock_count_nothing() {
        let mut observer = Observer::default();
        observer.register("a", 0);
        for n in 0..5 {
            observer.hear("a", 100 + 30 * n, 30 * n);
        }
        let observed = observer.0.end().unwrap();
        assert_eq!((observed.received, observed.lost), (4, None));
    }

    #[test]
    fn a_new_registration_begins_to_count_anew_and_an_ended_one_does_not() {
        let mut observer = Observer::default();
        assert_eq!(Observations::default().end(), None);
        observer.register("a", 0);
        observer.hear("a", 1, 0);
        observer.register("a", 100);
        observer.hear("a", 50, 100);
        observer.hear("a", 51, 101);
        observer.see(Way::Sent, Code::GET, 1, "a", 102);
        let observed = observer.0.end().unwrap();
        let found = (observed.received, observed.lost, observed.longest_silence_s);
        // It was observed all the time: nothing came from the first answer to the second.
        assert_eq!(found, (1, Some(0), Some(100.0)));
    }
}
