//! A request or ping on its way, and the line that it stands in (RFC 7252 §4.7).

use std::collections::VecDeque;
use std::net::SocketAddrV6;

use units::SimTime;

use super::peer::Peer;
use super::transfer::Transfer;
use super::{Reliability, RequestId};
use crate::protection::Association;
use crate::wire::Token;

/// A request or ping of ours without an answer.
#[derive(Debug)]
pub(super) struct Outstanding {
    /// Where the answer is awaited from.
    pub(super) to: SocketAddrV6,
    /// Where it was sent last, or is queued for: whose silence it is if there is no answer.
    pub(super) sent_to: SocketAddrV6,
    /// Where it was sent before [`Endpoint::retarget`].
    pub(super) former: Vec<Peer>,
    pub(super) reliability: Reliability,
    /// What it carries; a ping carries nothing.
    pub(super) transfer: Option<Transfer>,
    pub(super) role: Role,
    /// What is expected of the message that was sent last.
    pub(super) awaited: Awaited,
    /// What its responses are verified by; none: it was sent as it is.
    pub(super) association: Option<Association>,
    /// The token to use again; none: a new one.
    pub(super) token: Option<Token>,
    pub(super) stage: Stage,
    /// When it fails if its turn has not come for the first time.
    pub(super) queued_until: Option<SimTime>,
    /// Since when somebody waits for it to be sent for the first time, if that is of interest.
    pub(super) since: Option<SimTime>,
    /// Taken back by [`Endpoint::recall`].
    pub(super) recalled: bool,
    /// It had to wait for another transfer of its resource, and so is expected to go in blocks, too.
    pub(super) alone: bool,
}

/// What a client expects after a request (RFC 7967 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// A response.
    Response,
    /// A response if it had no success, which is not told.
    Error,
    /// No response.
    Nothing,
}

/// What becomes of the response.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// The owner gets it.
    Request,
    /// It is the first notification of many (RFC 7641).
    Observation(Notifications),
    /// It is the rest of a notification.
    Fetch(Fetch),
}

/// What has been heard of an observation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notifications {
    /// The number of the newest notification, and when it came.
    pub(super) newest: Option<(u32, SimTime)>,
    /// The request that fetches its further blocks.
    pub(super) fetch: Option<RequestId>,
}

/// A notification whose further blocks are fetched (RFC 7959 §3.4).
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetch {
    pub(super) observation: RequestId,
    pub(super) sequence: u32,
    pub(super) message_id: u16,
}

/// How far a request has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// Behind others in its peer's line.
    Queued,
    /// Confirmable, not acknowledged.
    Unacknowledged(Sent),
    /// Acknowledged or non-confirmable; given up at the instant.
    Unanswered(Sent, SimTime),
    /// Answered, and notifications follow; given up at the instant.
    Observing(Sent, SimTime),
}

/// What identifies a request on the wire; a ping has no token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) message_id: u16,
    pub(super) token: Option<Token>,
}

/// The requests to one peer.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) queue: VecDeque<RequestId>,
    /// Outstanding interactions (§4.7).
    pub(super) in_flight: u32,
}

impl Outstanding {
    /// One that is queued.
    pub(super) fn new(
        to: SocketAddrV6,
        reliability: Reliability,
        transfer: Option<Transfer>,
        role: Role,
        since: Option<SimTime>,
    ) -> Outstanding {
        Outstanding {
            to,
            sent_to: to,
            former: Vec::new(),
            reliability,
            transfer,
            role,
            awaited: Awaited::Response,
            association: None,
            token: None,
            stage: Stage::Queued,
            queued_until: None,
            since,
            recalled: false,
            alone: false,
        }
    }

    /// The token of an observation that the peer has confirmed.
    pub(super) fn observing(&self) -> Option<Token> {
        match self.stage {
            Stage::Observing(sent, _) => sent.token,
            _ => None,
        }
    }

    /// Whether it is an outstanding interaction: "either a CON for which an ACK has not yet
    /// been received but is still expected (message layer) or a request for which neither a
    /// response nor an Acknowledgment message has yet been received but is still expected"
    /// (§4.7).
    pub(super) fn in_flight(&self) -> bool {
        if self.recalled {
            return false;
        }
        match self.stage {
            Stage::Queued | Stage::Observing(..) => false,
            Stage::Unacknowledged(_) => true,
            // Where success is silence, a response is not expected.
            Stage::Unanswered(..) => {
                self.reliability == Reliability::NonConfirmable && self.awaited == Awaited::Response
            }
        }
    }

    /// Makes a confirmed observation a registration that is queued.
    pub(super) fn register_again(&mut self, token: Token) {
        if let Some(transfer) = &mut self.transfer {
            transfer.begin();
        }
        self.role = Role::Observation(Notifications::default());
        self.token = Some(token);
        self.stage = Stage::Queued;
    }

    pub(super) fn sent(&self) -> Option<Sent> {
        match self.stage {
            Stage::Queued => None,
            Stage::Unacknowledged(sent)
            | Stage::Unanswered(sent, _)
            | Stage::Observing(sent, _) => Some(sent),
        }
    }

    /// Whether another request like it has to wait until it has ended.
    pub(super) fn is_in_blocks(&self) -> bool {
        self.alone || self.transfer.as_ref().is_some_and(Transfer::is_in_blocks)
    }

    pub(super) fn is_to(&self, from: SocketAddrV6) -> bool {
        Peer::from(self.to).matches(from.into())
    }

    pub(super) fn was_to(&self, from: SocketAddrV6) -> bool {
        self.is_to(from) || self.former.iter().any(|p| p.matches(from.into()))
    }
}
