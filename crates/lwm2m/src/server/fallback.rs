//! Clients that do not know composite operations (LwM2M 1.1 Core §6.3.8: support is optional; OMA issue 596).
//!
//! Which answer means that is not said, so these do: 4.02, 4.05, 4.15, 5.01, and an acknowledgement
//! with nothing after it. 4.05 may as well mean that a resource cannot be written or read. It does so if the
//! client has answered such an operation before, or if the object models say of one of the paths
//! that it cannot be done.

use coap::{Code, Failure as Exchange, Reliability, Response};
use service::{CallFailure, Node};
use units::SimTime;

use super::Server;
use super::event::Event;
use super::operation::{Operation, OperationId};
use super::registration::{Composite, Registration};
use crate::model::Registry;

/// 5.01 Not Implemented (RFC 7252 §5.9.3.2).
const NOT_IMPLEMENTED: Code = Code::new(5, 1);

impl Registration {
    /// What it knows of such an operation.
    fn composite(&mut self, operation: &Operation) -> &mut Composite {
        match operation {
            Operation::WriteComposite { .. } => &mut self.patch,
            _ => &mut self.fetch,
        }
    }

    /// Whether it is known not to know an operation.
    pub(super) fn lacks(&self, operation: &Operation) -> bool {
        let known = match operation {
            Operation::WriteComposite { .. } => self.patch,
            _ => self.fetch,
        };
        operation.is_composite() && known == Composite::Unknown
    }
}

impl Server {
    /// Whether an operation goes on in parts because of an answer, or of none.
    pub(super) fn fell_back(
        &mut self,
        now: SimTime,
        id: OperationId,
        answer: Result<&Response, &CallFailure>,
        node: &mut dyn Node,
    ) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else {
            return false;
        };
        if !job.operation.is_composite() || job.in_parts {
            return false;
        }
        let Some(client) = self.registrations.get_mut(job.registration) else {
            return false;
        };
        let known = client.composite(&job.operation);
        if answer.is_ok_and(|response| response.code.is_success()) {
            *known = Composite::Known;
        }
        let unknown = *known != Composite::Known && says_unknown(answer, self.config.reliability);
        let ambiguous = answer.is_ok_and(|r| r.code == Code::METHOD_NOT_ALLOWED);
        if !unknown || (ambiguous && is_forbidden(&job.operation, &self.config.registry)) {
            return false;
        }
        *known = Composite::Unknown;
        job.in_parts = true;
        let event = Event::FellBack {
            id,
            endpoint: job.endpoint.clone(),
            reason: match answer {
                Ok(response) => format!("{} to {}", response.code, job.operation.name()),
                Err(reason) => format!("{reason} to {}", job.operation.name()),
            },
        };
        self.tell(event);
        self.send(now, id, node);
        true
    }
}

fn says_unknown(answer: Result<&Response, &CallFailure>, reliability: Reliability) -> bool {
    match answer {
        Ok(response) => matches!(
            response.code,
            Code::BAD_OPTION
                | Code::METHOD_NOT_ALLOWED
                | Code::UNSUPPORTED_CONTENT_FORMAT
                | NOT_IMPLEMENTED
        ),
        // It was acknowledged, or nobody would know that it arrived.
        Err(CallFailure::Exchange(Exchange::NoResponse)) => reliability == Reliability::Confirmable,
        Err(_) => false,
    }
}

/// Whether the object models say of one of its paths that the client may not allow it.
fn is_forbidden(operation: &Operation, registry: &Registry) -> bool {
    match operation {
        Operation::WriteComposite { records, .. } => (records.iter())
            .filter_map(|record| registry.resource(&record.path))
            .any(|resource| !resource.operations.write),
        Operation::ReadComposite { paths, .. } | Operation::ObserveComposite { paths, .. } => {
            (paths.iter())
                .filter_map(|path| registry.resource(path))
                .any(|resource| !resource.operations.read)
        }
        _ => false,
    }
}
