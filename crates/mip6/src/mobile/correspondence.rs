//! What a mobile node has with one correspondent: two tests and a registration.

use std::net::Ipv6Addr;

use machine::earlier;
use units::SimTime;

use super::registration::Registration;
use super::test::Test;
use super::{Order, RouteOptimization};
use crate::rr::{Authorization, BindingKey, NonceIndex};

/// MAX_RO_FAILURE (RFC 6275 §12): retransmissions of a message that a correspondent does not answer.
pub const MAX_RO_FAILURE: u32 = 3;

/// What is to be said to a correspondent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// Where the node is.
    Bind(Ipv6Addr),
    /// That it is to forget that.
    Delete,
}

/// Where the return routability procedure with a correspondent stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Correspondence {
    pub(super) home_test: Test,
    pub(super) care_of_test: Test,
    pub(super) registration: Registration,
    /// What is under way, if anything is.
    pub(super) aim: Option<Aim>,
    /// What the last update was signed with.
    pub(super) authorization: Option<Authorization>,
    /// Whether no update is to be sent any more: "the mobile node SHOULD record in its Binding Update
    /// List that future Binding Updates SHOULD NOT be sent to this destination" (§11.7.3).
    pub(super) refused: bool,
    /// Whether it is forgotten when its binding is deleted.
    pub(super) unwanted: bool,
    /// How often in a row it did not know its nonces any more.
    pub(super) stale: u32,
}

/// Key and nonce indices of the next update.
pub(super) struct Material {
    pub(super) key: BindingKey,
    pub(super) home: NonceIndex,
    pub(super) care_of: NonceIndex,
}

impl Correspondence {
    /// Begins the procedure: "MUST send (in parallel) a Home Test Init message and a Care-of Test Init
    /// message" (§11.6.1); to delete, "sending a Home Test Init message is sufficient".
    pub(super) fn begin(
        &mut self,
        now: SimTime,
        aim: Aim,
        home: Ipv6Addr,
        options: &RouteOptimization,
    ) {
        self.stop();
        self.aim = Some(aim);
        self.home_test.begin(now, home, options.reuse_tokens);
        let waits = options.order == Order::Serial && self.home_test.backoff.is_running();
        match aim {
            Aim::Bind(care_of) if !waits => {
                (self.care_of_test).begin(now, care_of, options.reuse_tokens);
            }
            Aim::Bind(_) if !options.reuse_tokens => self.care_of_test.expire(),
            _ => {}
        }
    }

    /// The home token has come: in the serial order it is the care-of token's turn.
    pub(super) fn home_tested(&mut self, now: SimTime, options: &RouteOptimization) {
        if let (Some(Aim::Bind(care_of)), Order::Serial) = (self.aim, options.order) {
            (self.care_of_test).begin(now, care_of, options.reuse_tokens);
        }
    }

    /// What an update can be signed with now, if both tests are done: "the return routability
    /// procedure is complete" (§11.6.2).
    pub(super) fn material(&self, now: SimTime, home: Ipv6Addr) -> Option<Material> {
        let home_token = self.home_test.token(now, home)?;
        match self.aim? {
            Aim::Bind(care_of) => {
                let care_of_token = self.care_of_test.token(now, care_of)?;
                Some(Material {
                    key: BindingKey::new(home_token.token, care_of_token.token),
                    home: home_token.nonce,
                    care_of: care_of_token.nonce,
                })
            }
            // "The care-of nonce index SHOULD be set to zero in this case" (§11.7.2).
            Aim::Delete => Some(Material {
                key: BindingKey::of_deletion(home_token.token),
                home: home_token.nonce,
                care_of: NonceIndex(0),
            }),
        }
    }

    /// Whether tests are over for which there is no token any more: they took too long.
    pub(super) fn is_stale(&self, now: SimTime, home: Ipv6Addr) -> bool {
        self.aim.is_some()
            && !self.home_test.backoff.is_running()
            && !self.care_of_test.backoff.is_running()
            && self.material(now, home).is_none()
    }

    /// Whether one of its messages has stayed without an answer for too often: "if Return Routability
    /// signaling timed out after MAX_RO_FAILURE attempts" (§5.2.9).
    pub(super) fn is_exhausted(&self, now: SimTime) -> bool {
        let test = [&self.home_test.backoff, &self.care_of_test.backoff];
        let all = test.into_iter().chain([&self.registration.backoff]);
        let mut due = all.filter(|backoff| backoff.is_due(now));
        due.any(|backoff| backoff.transmissions() > MAX_RO_FAILURE) || self.stale > MAX_RO_FAILURE
    }

    /// Nothing is under way any more.
    pub(super) fn stop(&mut self) {
        self.aim = None;
        self.home_test.backoff.stop();
        self.care_of_test.backoff.stop();
        self.registration.give_up();
    }

    /// When something is due; telling it again only for a node that `is_attached`.
    pub(super) fn poll_timeout(&self, is_attached: bool) -> Option<SimTime> {
        let tests = earlier(
            self.home_test.backoff.due(),
            self.care_of_test.backoff.due(),
        );
        // While it is being told again, nothing is due for being told again.
        let may_refresh = is_attached && self.aim.is_none();
        earlier(tests, self.registration.poll_timeout(may_refresh))
    }
}
