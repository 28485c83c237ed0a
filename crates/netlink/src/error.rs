//! What went wrong: object, operation, errno and the kernel's text.

use std::fmt;
use std::io;

pub use nix::errno::Errno;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A request of the kernel that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused the request.
    #[error("{object}: {operation}: {refusal}")]
    Refused {
        /// What was operated on, for example `wpan2`.
        object: String,
        /// What was asked, for example `set channel 26`.
        operation: String,
        /// Errno, the kernel's words and what may help.
        refusal: Refusal,
    },
    /// A generic netlink family is not registered.
    #[error(
        "generic netlink family {family}: kernel module {module} not loaded (modprobe {module})"
    )]
    ModuleNotLoaded {
        /// The family.
        family: &'static str,
        /// The module that registers it.
        module: &'static str,
    },
    /// The family exists, but answers in the initial network namespace only.
    #[error(
        "generic netlink family {family}: answers in the initial network namespace only; this is another one"
    )]
    NotInitialNamespace {
        /// The family.
        family: &'static str,
    },
    /// A system call or the netlink socket itself failed.
    #[error("{object}: {operation}: {source}")]
    Io {
        /// What was operated on.
        object: String,
        /// What was tried.
        operation: String,
        /// The system's error.
        source: io::Error,
    },
    /// The kernel's answer is not what its protocol says.
    #[error("{object}: {operation}: malformed answer from the kernel: {what}")]
    Malformed {
        /// What was operated on.
        object: String,
        /// What was asked.
        operation: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// What was looked for is not there, or the request makes no sense.
    #[error("{object}: {operation}: {what}")]
    Unusable {
        /// What was operated on.
        object: String,
        /// What was asked.
        operation: String,
        /// What was expected and what to do.
        what: String,
    },
}

impl Error {
    /// The errno with which the kernel refused, if it did.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Refused { refusal, .. } => Some(refusal.errno),
            Error::Io { source, .. } => source.raw_os_error().map(Errno::from_raw),
            _ => None,
        }
    }

    pub(crate) fn io(
        object: impl fmt::Display,
        operation: impl fmt::Display,
        source: impl Into<io::Error>,
    ) -> Error {
        Error::Io {
            object: object.to_string(),
            operation: operation.to_string(),
            source: source.into(),
        }
    }

    pub(crate) fn unusable(
        object: impl fmt::Display,
        operation: impl fmt::Display,
        what: impl fmt::Display,
    ) -> Error {
        Error::Unusable {
            object: object.to_string(),
            operation: operation.to_string(),
            what: what.to_string(),
        }
    }
}

/// The kernel's no: prints as `EBUSY: device is up`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error number.
    pub errno: Errno,
    /// The text of the extended acknowledgement, where the kernel sent one.
    pub text: Option<String>,
    /// What the errno means for this operation, or what to do about it.
    pub advice: Option<&'static str>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: ", self.errno)?;
        match (&self.text, self.advice) {
            (Some(text), Some(advice)) => write!(f, "{text} ({advice})"),
            (Some(text), None) => f.write_str(text),
            (None, Some(advice)) => f.write_str(advice),
            (None, None) => f.write_str(self.errno.desc()),
        }
    }
}

/// Why a netlink exchange failed, before object and operation are known.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused { errno: Errno, text: Option<String> },
    Io(io::Error),
    Malformed(String),
}

impl Failure {
    /// From a netlink error code (a negative errno) and the kernel's text.
    pub(crate) fn refused(code: i32, text: Option<String>) -> Failure {
        Failure::Refused {
            errno: Errno::from_raw(code.wrapping_neg()),
            text,
        }
    }

    pub(crate) fn is(&self, wanted: Errno) -> bool {
        matches!(self, Failure::Refused { errno, .. } if *errno == wanted)
    }

    /// Names the object and the operation; `advice` says what an errno means here.
    pub(crate) fn at(
        self,
        object: impl fmt::Display,
        operation: impl fmt::Display,
        advice: &[(Errno, &'static str)],
    ) -> Error {
        let (object, operation) = (object.to_string(), operation.to_string());
        match self {
            Failure::Refused { errno, text } => Error::Refused {
                object,
                operation,
                refusal: Refusal {
                    errno,
                    text,
                    advice: advice.iter().find(|(e, _)| *e == errno).map(|(_, a)| *a),
                },
            },
            Failure::Io(source) => Error::Io {
                object,
                operation,
                source,
            },
            Failure::Malformed(what) => Error::Malformed {
                object,
                operation,
                what,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_object_operation_errno_and_the_kernels_text() {
        let busy = [(Errno::EBUSY, "device is up")];
        let error =
            Failure::refused(-(Errno::EBUSY as i32), None).at("wpan2", "set channel 26", &busy);
        assert_eq!(
            error.to_string(),
            "wpan2: set channel 26: EBUSY: device is up"
        );
        assert_eq!(error.errno(), Some(Errno::EBUSY));

        let text = Some("Unknown device type".to_string());
        let error = Failure::refused(-(Errno::EOPNOTSUPP as i32), text).at("l0", "add", &[]);
        assert_eq!(
            error.to_string(),
            "l0: add: EOPNOTSUPP: Unknown device type"
        );

        let error = Failure::refused(-(Errno::EPERM as i32), None).at("l0", "add", &busy);
        assert_eq!(error.to_string(), "l0: add: EPERM: Operation not permitted");
    }
}
