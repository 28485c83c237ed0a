//! What goes wrong with formats.

use super::Format;
use crate::path::{Path, PathError};
use crate::value::Type;

/// Why records have no form in a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Nothing of this kind is written in this format.
    #[error("{format} cannot say this: expected another format")]
    Unsupported {
        /// The format.
        format: Format,
    },
    /// The format is for the value of one resource.
    #[error(
        "`{found} values at or below `{base}`: {format} has exactly one, of that very path; expected another format"
    )]
    NotOne {
        /// The format.
        format: Format,
        /// The path of the message.
        base: Path,
        /// How many values there are.
        found: usize,
    },
    /// A record is somewhere else than the message.
    #[error("`{path}` is not at or below `{base}`, of which the message is")]
    Outside {
        /// Of the record.
        path: Path,
        /// Of the message.
        base: Path,
    },
    /// The format has no form for that value there.
    #[error("`{path}`: {format} has no form for {found}: expected {expected}")]
    NoForm {
        /// The format.
        format: Format,
        /// Where the value is.
        path: Path,
        /// What it is.
        found: String,
        /// What has a form.
        expected: &'static str,
    },
    /// The format cannot say when a value was had.
    #[error("`{path}`: {format} has no times: expected SenML or LwM2M JSON")]
    Timed {
        /// The format.
        format: Format,
        /// Of the record.
        path: Path,
    },
    /// Two records of one path and one time.
    #[error("`{0}` is there twice")]
    Twice(Path),
    /// A record is below another one, which therefore is not what it says.
    #[error("`{path}` is a value or empty, yet there is `{below}`")]
    Below {
        /// Of the one.
        path: Path,
        /// Of the other.
        below: Path,
    },
    /// A Create that leaves the instance's ID to the client.
    #[error("{format} names the instance: expected an instance ID, or TLV")]
    NoInstance {
        /// The format.
        format: Format,
    },
    /// A Create of an instance with an ID and without resources.
    #[error("{format} has no instance without resources: expected a resource, or TLV")]
    NoResources {
        /// The format.
        format: Format,
    },
}

/// Why a payload is none, or not one for its path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing of this kind is read in this format.
    #[error("{format} has no values: expected another format")]
    Unsupported {
        /// The format.
        format: Format,
    },
    /// The bytes are not of the format.
    #[error("{format}, byte {at}: {found}: expected {expected}")]
    Syntax {
        /// The format.
        format: Format,
        /// From the payload's beginning, in bytes.
        at: usize,
        /// What stands there.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// The value is not of its resource's type, or not in its range.
    #[error("`{path}`, byte {at}: {found}: expected {expected}")]
    Value {
        /// Of the resource.
        path: Path,
        /// From the payload's beginning, in bytes.
        at: usize,
        /// What stands there.
        found: String,
        /// The type of the resource.
        expected: Type,
    },
    /// A name that is no path.
    #[error("byte {at}: {reason}")]
    Name {
        /// From the payload's beginning, in bytes.
        at: usize,
        /// Why.
        reason: PathError,
    },
    /// A value, or none, at a path of a level that has none, or must have one.
    #[error("`{path}`, byte {at}: {found}: expected {expected}")]
    Level {
        /// The path.
        path: Path,
        /// From the payload's beginning, in bytes.
        at: usize,
        /// What stands there.
        found: &'static str,
        /// What should.
        expected: &'static str,
    },
    /// A path that is somewhere else than the message.
    #[error("`{path}` is not at or below `{base}`, of which the message is")]
    Outside {
        /// Of the record.
        path: Path,
        /// Of the message.
        base: Path,
    },
    /// Two records of one path and one time.
    #[error("`{0}` is there twice")]
    Twice(Path),
    /// A record is below another one, which therefore is not what it says.
    #[error("`{path}` is a value or empty, yet there is `{below}`")]
    Below {
        /// Of the one.
        path: Path,
        /// Of the other.
        below: Path,
    },
    /// More than [`MAX_RECORDS`](super::MAX_RECORDS).
    #[error(
        "more than {} records: send them in several messages",
        super::MAX_RECORDS
    )]
    TooMany,
}
