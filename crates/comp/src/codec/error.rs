//! What can be wrong with a message, and how it is answered.

use coap::{Code, Response};

use super::option;

/// Why a request for [`PATH`](super::PATH) is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The method has no procedure.
    #[error("method {0} has no procedure here: use GET, POST, PUT or DELETE")]
    Method(Code),
    /// The type is none, or none of this method.
    #[error("option 2048 (Message type) is {number}, which is no procedure of method {method}")]
    Type {
        /// The request's method.
        method: Code,
        /// The value of option 2048.
        number: u64,
    },
    /// A critical option that is not understood here, or one time too often.
    #[error("option {0} is critical and not understood here, or given twice")]
    Critical(u16),
    /// An option is missing or wrong.
    #[error(transparent)]
    Option(#[from] OptionError),
}

impl RequestError {
    /// The response code: 4.00, 4.02 or 4.05.
    pub const fn code(&self) -> Code {
        match self {
            RequestError::Method(_) => Code::METHOD_NOT_ALLOWED,
            RequestError::Critical(_) => Code::BAD_OPTION,
            RequestError::Type { .. } | RequestError::Option(_) => Code::BAD_REQUEST,
        }
    }

    /// The answer, with a diagnostic payload that names the option (RFC 7252 §5.5.2).
    pub fn response(&self) -> Response {
        Response::diagnostic(self.code(), &self.to_string())
    }
}

/// What is wrong with an option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// It is not there.
    #[error("option {0} ({name}) is missing", name = option::name(*.0))]
    Missing(u16),
    /// Its length is not that of its format.
    #[error("option {number} ({name}) has {found} bytes, expected {expected}", name = option::name(*.number))]
    Length {
        /// Option number.
        number: u16,
        /// What its format allows.
        expected: &'static str,
        /// Length found.
        found: usize,
    },
    /// Its value means nothing here.
    #[error("option {number} ({name}) is {found}, expected {expected}", name = option::name(*.number))]
    Value {
        /// Option number.
        number: u16,
        /// What it can be.
        expected: &'static str,
        /// Value found.
        found: String,
    },
}

/// Why a response does not say what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Another code than the procedure's.
    #[error("answered {code} instead of {expected}{}{diagnostic}", if .diagnostic.is_empty() { "" } else { ": " })]
    Refused {
        /// The code.
        code: Code,
        /// The procedure's code.
        expected: Code,
        /// The peer's words, if it had any.
        diagnostic: String,
    },
    /// An option is missing or wrong.
    #[error("the answer's {0}")]
    Option(#[from] OptionError),
}
