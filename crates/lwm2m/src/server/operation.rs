//! [`Operation`]: what a server does to a client, and what becomes of it (LwM2M 1.1 Core §6.3, §6.4).

use std::fmt;

use coap::Code;
use service::CallFailure;

use crate::format::{Creation, Format, Record};
use crate::operations::Mode;
use crate::path::Path;

/// Names an operation; ascending in the order of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

/// What a server does to a client. A format is the one of the configuration where none is named.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// GET (§6.3.1).
    Read {
        /// Of what.
        path: Path,
        /// In which format.
        format: Option<Format>,
    },
    /// GET with Accept 40 (§6.3.2).
    Discover {
        /// Of what.
        path: Path,
    },
    /// PUT or POST (§6.3.3).
    Write {
        /// An object instance, a resource or an instance of one.
        path: Path,
        /// Replace or partial update.
        mode: Mode,
        /// The values, at `path` or below.
        records: Vec<Record>,
        /// In which format.
        format: Option<Format>,
    },
    /// PUT without Content-Format (§6.3.4).
    WriteAttributes {
        /// Of what.
        path: Path,
        /// `pmin=10`; `pmin` takes it away.
        attributes: Vec<String>,
    },
    /// POST to a resource (§6.3.5).
    Execute {
        /// The resource.
        path: Path,
        /// `0='x',1`
        arguments: String,
    },
    /// POST to an object (§6.3.6).
    Create {
        /// The new instance.
        creation: Creation,
        /// In which format; TLV where none is named and the client is to choose the instance's ID.
        format: Option<Format>,
    },
    /// DELETE (§6.3.7).
    Delete {
        /// The object instance, or an instance of a resource (1.2).
        path: Path,
    },
    /// GET with Observe 0 (§6.4.1).
    Observe {
        /// Of what.
        path: Path,
        /// In which format.
        format: Option<Format>,
    },
    /// The end of an observation, by Observe 1 (§6.4.3).
    CancelObservation {
        /// What is observed: one path of an Observe, all of an Observe-Composite.
        paths: Vec<Path>,
    },
    /// FETCH (§6.3.8).
    ReadComposite {
        /// Of what.
        paths: Vec<Path>,
        /// In which format.
        format: Option<Format>,
    },
    /// iPATCH (§6.3.9).
    WriteComposite {
        /// The values.
        records: Vec<Record>,
        /// In which format.
        format: Option<Format>,
    },
    /// FETCH with Observe 0 (§6.4.4).
    ObserveComposite {
        /// Of what.
        paths: Vec<Path>,
        /// In which format.
        format: Option<Format>,
    },
}

/// A payload and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Its Content-Format, if there is one.
    pub format: Option<u16>,
    /// The bytes.
    pub payload: Vec<u8>,
    /// What they say, or why they say nothing. Of link-format there are no records: its text is the payload.
    pub records: Result<Vec<Record>, String>,
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// 2.05; of several reads in the place of a composite one, what they say together.
    Content(Content),
    /// 2.01, with the ID of the new instance if the client said it in a Location-Path.
    Created(Option<u16>),
    /// Another success: 2.04 or 2.02.
    Success(Code),
    /// An error of the client's.
    Refused {
        /// 4.04
        code: Code,
        /// Its words.
        diagnostic: String,
    },
    /// There is no answer.
    Failed(Failure),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It was asked, and this came of it.
    #[error(transparent)]
    Call(#[from] CallFailure),
    /// No endpoint of that name is registered.
    #[error("no endpoint of that name is registered")]
    NotRegistered,
    /// The registration ended before the answer: by the client, its lifetime, or another registration of
    /// the endpoint.
    #[error("the registration ended")]
    RegistrationEnded,
    /// So many operations wait for the client that none may join them.
    #[error("the client's queue is full")]
    QueueFull,
    /// It waited for too long.
    #[error("waited too long for the client to be awake")]
    Expired,
    /// It cannot be said in that format.
    #[error("cannot be encoded: {0}")]
    Unencodable(String),
    /// Nothing like that is observed.
    #[error("no observation of these paths")]
    NotObserved,
    /// The server ended its work.
    #[error("the server ended its work")]
    Ended,
}

impl Operation {
    /// A short name, `Read`.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Read { .. } => "Read",
            Operation::Discover { .. } => "Discover",
            Operation::Write { .. } => "Write",
            Operation::WriteAttributes { .. } => "Write-Attributes",
            Operation::Execute { .. } => "Execute",
            Operation::Create { .. } => "Create",
            Operation::Delete { .. } => "Delete",
            Operation::Observe { .. } => "Observe",
            Operation::CancelObservation { .. } => "Cancel Observation",
            Operation::ReadComposite { .. } => "Read-Composite",
            Operation::WriteComposite { .. } => "Write-Composite",
            Operation::ObserveComposite { .. } => "Observe-Composite",
        }
    }

    /// Whether it is one that clients of LwM2M 1.0, and some of later versions, do not know.
    pub fn is_composite(&self) -> bool {
        matches!(
            self,
            Operation::ReadComposite { .. }
                | Operation::WriteComposite { .. }
                | Operation::ObserveComposite { .. }
        )
    }

    /// What it observes, if it does.
    pub fn observes(&self) -> Option<&[Path]> {
        match self {
            Operation::Observe { path, .. } => Some(std::slice::from_ref(path)),
            Operation::ObserveComposite { paths, .. } => Some(paths),
            _ => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Operation::Read { path, .. }
            | Operation::Discover { path }
            | Operation::Write { path, .. }
            | Operation::WriteAttributes { path, .. }
            | Operation::Execute { path, .. }
            | Operation::Delete { path }
            | Operation::Observe { path, .. } => write!(f, " {path}"),
            Operation::Create { creation, .. } => write!(f, " /{}", creation.object),
            Operation::CancelObservation { paths }
            | Operation::ReadComposite { paths, .. }
            | Operation::ObserveComposite { paths, .. } => {
                paths.iter().try_for_each(|path| write!(f, " {path}"))
            }
            Operation::WriteComposite { records, .. } => {
                (records.iter()).try_for_each(|record| write!(f, " {}", record.path))
            }
        }
    }
}
