//! What an [`Endpoint`] has its [`Protection`](crate::Protection) do, and when.

use std::net::SocketAddrV6;

use units::SimTime;

use super::outstanding::Role;
use super::transfer::Transfer;
use super::{Endpoint, Failure, RequestId};
use crate::message::{Request, Response};
use crate::protection::{Association, Refusal, Unprotectable};
use crate::wire::Message;

/// What the next message to a peer holds besides its header.
pub(super) enum Content {
    /// Nothing.
    Ping,
    /// A request as it goes out.
    Request(Request),
}

impl Endpoint {
    /// The next message of a request of ours; none if it has ended now, because it cannot be
    /// protected.
    pub(super) fn protect_request(&mut self, now: SimTime, id: RequestId) -> Option<Content> {
        let outstanding = self.requests.get_mut(&id)?;
        let Some(mut request) = outstanding.transfer.as_ref().map(Transfer::message) else {
            return Some(Content::Ping);
        };
        let to = outstanding.to;
        match self.protection.protect_request(now, to, &mut request) {
            Ok(association) => {
                outstanding.association = association;
                Some(Content::Request(request))
            }
            Err(_) => {
                // As in `fail`, but the line goes on by itself.
                self.forget_fetch(id);
                let ended = self.finish(id)?;
                if !matches!(ended.role, Role::Fetch(_)) {
                    self.fail_event(id, to, Failure::Unprotectable);
                }
                None
            }
        }
    }

    /// Turns a peer's request into what the owner is to see.
    pub(super) fn verify_request(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        message: &mut Message,
    ) -> Result<Option<Association>, Refusal> {
        let mut request = Request {
            method: message.code,
            options: std::mem::take(&mut message.options),
            payload: std::mem::take(&mut message.payload),
        };
        let verified = self.protection.verify_request(now, from, &mut request);
        message.code = request.method;
        message.options = request.options;
        message.payload = request.payload;
        verified
    }

    /// Turns a response into what goes out to a request with or without an association.
    pub(super) fn protect_response(
        &mut self,
        now: SimTime,
        to: SocketAddrV6,
        association: &mut Option<Association>,
        response: &mut Response,
    ) -> Result<(), Unprotectable> {
        match association {
            None => Ok(()),
            Some(association) => (self.protection).protect_response(now, to, association, response),
        }
    }

    /// Turns a response to a request of ours into what it says; `false` if it is not to be
    /// believed.
    pub(super) fn verify_response(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        id: RequestId,
        message: &mut Message,
    ) -> bool {
        let outstanding = self.requests.get_mut(&id);
        let Some(association) = outstanding.and_then(|request| request.association.as_mut()) else {
            return true;
        };
        let mut response = Response {
            code: message.code,
            options: std::mem::take(&mut message.options),
            payload: std::mem::take(&mut message.payload),
        };
        let verified = (self.protection).verify_response(now, from, association, &mut response);
        message.code = response.code;
        message.options = response.options;
        message.payload = response.payload;
        verified.is_ok()
    }
}
