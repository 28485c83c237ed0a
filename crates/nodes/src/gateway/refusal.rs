//! [`Refusal`]: what the gateway says by itself, in HTTP's words and in CoAP's: pure.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use coap::message::option;
use coap::{Code, Response as CoapResponse};
use service::CallFailure;

use crate::web::{Response, status};

/// After so many seconds something that is busy, or on its way, may be asked again: a handover takes less.
const AGAIN_AFTER_S: u32 = 1;

/// Why something is not answered by a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) reason: String,
    /// It may be asked again soon.
    again: bool,
}

impl Refusal {
    /// That status, and what is wrong and what to do.
    pub(super) fn new(status: StatusCode, reason: &str) -> Refusal {
        Refusal {
            status,
            reason: reason.to_owned(),
            again: false,
        }
    }

    /// What may be asked again soon.
    pub(super) fn busy(reason: &str) -> Refusal {
        Refusal {
            again: true,
            ..Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason)
        }
    }

    /// A node answered nothing.
    pub(super) fn failed(failure: &CallFailure) -> Refusal {
        let reason = failure.to_string();
        match (failure, status::of_failure(failure)) {
            // It was not asked: it may be later.
            (CallFailure::HoldTimeout, _) | (_, StatusCode::SERVICE_UNAVAILABLE) => {
                Refusal::busy(&reason)
            }
            (_, status) => Refusal::new(status, &reason),
        }
    }

    /// As HTTP has it.
    pub(super) fn http(&self) -> Response {
        let mut answer = Response::problem(self.status, &self.reason);
        if self.again {
            let after = HeaderValue::from(AGAIN_AFTER_S);
            answer.headers.push((RETRY_AFTER, after));
        }
        answer
    }

    /// As CoAP has it. A Max-Age of 5.03 says when to ask again (RFC 7252 §5.9.3.4).
    pub(super) fn coap(&self) -> CoapResponse {
        let code = match self.status {
            StatusCode::FORBIDDEN => Code::FORBIDDEN,
            StatusCode::NOT_FOUND => Code::NOT_FOUND,
            StatusCode::METHOD_NOT_ALLOWED => Code::METHOD_NOT_ALLOWED,
            StatusCode::NOT_IMPLEMENTED => Code::new(5, 1),
            StatusCode::BAD_GATEWAY => Code::new(5, 2),
            StatusCode::SERVICE_UNAVAILABLE => Code::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT => Code::new(5, 4),
            status if status.is_server_error() => Code::INTERNAL_SERVER_ERROR,
            _ => Code::BAD_REQUEST,
        };
        let mut response = CoapResponse::diagnostic(code, &self.reason);
        if self.again {
            response
                .options
                .push_uint(option::MAX_AGE, AGAIN_AFTER_S.into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use coap::Failure;

    use super::*;

    #[test]
    fn what_was_not_answered_is_the_same_in_both_words() {
        for (failure, status, code, again) in [
            (CallFailure::HoldTimeout, 503, (5, 3), true),
            (CallFailure::BacklogFull, 503, (5, 3), true),
            (CallFailure::NodeUnknown, 502, (5, 2), false),
            (CallFailure::Exchange(Failure::Timeout), 504, (5, 4), false),
        ] {
            let refusal = Refusal::failed(&failure);
            let (http, coap) = (refusal.http(), refusal.coap());
            assert_eq!(http.status.as_u16(), status, "{failure}");
            assert_eq!(coap.code, Code::new(code.0, code.1), "{failure}");
            assert_eq!(coap.payload, failure.to_string().into_bytes());
            assert_eq!(http.headers.len(), usize::from(again), "{failure}");
            let after = coap.options.get_uint(option::MAX_AGE);
            assert_eq!(after, again.then_some(1), "{failure}");
        }
    }

    #[test]
    fn who_does_not_answer_is_a_timeout_and_what_was_not_asked_may_be_later() {
        let of = |reason: CallFailure| {
            let answer = Refusal::failed(&reason).http();
            (answer.status.as_u16(), !answer.headers.is_empty())
        };
        for silent in [Failure::Timeout, Failure::NoResponse, Failure::Reset] {
            assert_eq!(of(CallFailure::Exchange(silent)), (504, false));
        }
        assert_eq!(of(CallFailure::BacklogTimeout), (504, false));
        assert_eq!(of(CallFailure::Exchange(Failure::BadBlock)), (502, false));
        assert_eq!(of(CallFailure::NodeUnknown), (502, false));
        for kept_back in [
            CallFailure::HoldTimeout,
            CallFailure::HoldQueueFull,
            CallFailure::BacklogFull,
        ] {
            assert_eq!(of(kept_back), (503, true));
        }
    }
}
