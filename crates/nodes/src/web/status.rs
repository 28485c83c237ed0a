//! CoAP's codes as HTTP's (RFC 8075 §7, table 2), and what stands for none.

use axum::http::StatusCode;
use coap::{Code, Failure};
use service::CallFailure;

/// The status of a response with `code`. What the table does not have is taken by its class: of ours are 4.09 and
/// 4.29, 409 and 429, as RFC 8132 and RFC 8516 name them after HTTP's.
pub(crate) fn of(code: Code) -> StatusCode {
    const NOT_IMPLEMENTED: Code = Code::new(5, 1);
    const BAD_GATEWAY: Code = Code::new(5, 2);
    const GATEWAY_TIMEOUT: Code = Code::new(5, 4);
    match code {
        Code::CREATED => StatusCode::CREATED,
        // Note 5: 401 would ask for a WWW-Authenticate that CoAP does not have.
        Code::UNAUTHORIZED | Code::FORBIDDEN => StatusCode::FORBIDDEN,
        Code::NOT_FOUND => StatusCode::NOT_FOUND,
        Code::NOT_ACCEPTABLE => StatusCode::NOT_ACCEPTABLE,
        Code::CONFLICT => StatusCode::CONFLICT,
        Code::PRECONDITION_FAILED => StatusCode::PRECONDITION_FAILED,
        Code::REQUEST_ENTITY_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UNSUPPORTED_CONTENT_FORMAT => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::UNPROCESSABLE_ENTITY => StatusCode::UNPROCESSABLE_ENTITY,
        Code::TOO_MANY_REQUESTS => StatusCode::TOO_MANY_REQUESTS,
        NOT_IMPLEMENTED => StatusCode::NOT_IMPLEMENTED,
        BAD_GATEWAY | Code::PROXYING_NOT_SUPPORTED => StatusCode::BAD_GATEWAY,
        Code::SERVICE_UNAVAILABLE => StatusCode::SERVICE_UNAVAILABLE,
        GATEWAY_TIMEOUT => StatusCode::GATEWAY_TIMEOUT,
        // Note 7: 405 would have to name the methods that there are. 4.02 and the others are bad requests.
        code => match code.class() {
            2 => StatusCode::OK,
            4 => StatusCode::BAD_REQUEST,
            5 => StatusCode::INTERNAL_SERVER_ERROR,
            // No response has it.
            _ => StatusCode::BAD_GATEWAY,
        },
    }
}

/// The status where nothing was answered.
pub(crate) fn of_failure(failure: &CallFailure) -> StatusCode {
    match failure {
        CallFailure::HoldQueueFull | CallFailure::BacklogFull => StatusCode::SERVICE_UNAVAILABLE,
        CallFailure::HoldTimeout | CallFailure::BacklogTimeout => StatusCode::GATEWAY_TIMEOUT,
        CallFailure::Exchange(
            Failure::Timeout | Failure::Reset | Failure::NoResponse | Failure::NotSent,
        ) => StatusCode::GATEWAY_TIMEOUT,
        CallFailure::Exchange(_) | CallFailure::NodeUnknown | CallFailure::Discovery(_) => {
            StatusCode::BAD_GATEWAY
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_status_of_table_2() {
        let table = [
            ((2, 1), 201),
            ((2, 2), 200),
            ((2, 4), 200),
            ((2, 5), 200),
            ((4, 0), 400),
            ((4, 1), 403),
            ((4, 2), 400),
            ((4, 3), 403),
            ((4, 4), 404),
            ((4, 5), 400),
            ((4, 6), 406),
            ((4, 12), 412),
            ((4, 13), 413),
            ((4, 15), 415),
            ((5, 0), 500),
            ((5, 1), 501),
            ((5, 2), 502),
            ((5, 3), 503),
            ((5, 4), 504),
            ((5, 5), 502),
        ];
        for ((class, detail), status) in table {
            let code = Code::new(class, detail);
            assert_eq!(of(code).as_u16(), status, "{code}");
        }
    }

    #[test]
    fn every_byte_has_a_status() {
        for byte in 0..=u8::MAX {
            assert!(of(Code(byte)).as_u16() >= 200);
        }
    }
}
