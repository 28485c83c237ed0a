//! [`Refusal`]: why a server does not get what it asks for.

use coap::{Code, Response};

use crate::attributes::AttributeError;
use crate::format::{DecodeError, EncodeError};
use crate::path::Path;
use crate::store::StoreError;

/// An error response: its code, and what is wrong in words, as diagnostic payload (RFC 7252 §5.5.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {text}")]
pub struct Refusal {
    /// The code (LwM2M 1.1 Transport §6.4.3 to §6.4.5).
    pub code: Code,
    /// What is wrong.
    pub text: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Refusal {
        Refusal {
            code,
            text: text.into(),
        }
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Refusal {
        Refusal::new(Code::BAD_REQUEST, text)
    }

    pub(crate) fn unauthorized(path: &Path) -> Refusal {
        Refusal::new(Code::UNAUTHORIZED, format!("{path}: not yours"))
    }

    pub(crate) fn not_found(path: &Path) -> Refusal {
        Refusal::new(Code::NOT_FOUND, format!("{path}: not here"))
    }

    pub(crate) fn not_allowed(path: &Path, why: &str) -> Refusal {
        Refusal::new(Code::METHOD_NOT_ALLOWED, format!("{path}: {why}"))
    }

    /// The response that says so.
    pub fn response(&self) -> Response {
        Response::diagnostic(self.code, &self.text)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        let code = match error {
            StoreError::NoObject(_) | StoreError::NoInstance(_) | StoreError::NoResource(_) => {
                Code::NOT_FOUND
            }
            StoreError::WrongType { .. } | StoreError::OutOfRange { .. } => Code::BAD_REQUEST,
            StoreError::CannotCreate(_) => Code::BAD_REQUEST,
            StoreError::Full(_) => Code::INTERNAL_SERVER_ERROR,
        };
        Refusal::new(code, error.to_string())
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Refusal {
        let code = match error {
            DecodeError::Unsupported { .. } => Code::UNSUPPORTED_CONTENT_FORMAT,
            _ => Code::BAD_REQUEST,
        };
        Refusal::new(code, error.to_string())
    }
}

impl From<EncodeError> for Refusal {
    /// "The preferred Content-Format cannot be returned" (LwM2M 1.1 Transport §6.4.3).
    fn from(error: EncodeError) -> Refusal {
        Refusal::new(Code::NOT_ACCEPTABLE, error.to_string())
    }
}

impl From<AttributeError> for Refusal {
    fn from(error: AttributeError) -> Refusal {
        Refusal::bad_request(error.to_string())
    }
}
