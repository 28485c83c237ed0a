//! What an [`Endpoint`] has its [`Protection`] do, and when.

use std::net::SocketAddrV6;

use units::SimTime;

use super::outstanding::Outstanding;
use super::transfer::Transfer;
use super::{Endpoint, RequestId};
use crate::message::{Request, Response};
use crate::protection::{Association, Protection, Refusal, Unprotectable};
use crate::wire::Message;

impl Outstanding {
    /// What the next message holds as it goes out; a ping holds nothing.
    pub(super) fn protected(
        &mut self,
        now: SimTime,
        protection: &mut dyn Protection,
    ) -> Result<Option<Request>, Unprotectable> {
        let Some(mut request) = self.transfer.as_ref().map(Transfer::message) else {
            return Ok(None);
        };
        self.association = protection.protect_request(now, self.to, &mut request)?;
        Ok(Some(request))
    }
}

impl Endpoint {
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
