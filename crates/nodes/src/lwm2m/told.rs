//! [`Told`]: a server whose events are in the log of its node, and what it knows outlives its daemon.

use std::collections::BTreeMap;

use lwm2m::server::{Event, Operation, Server};
use service::{CallId, Incoming, Node, Outcome, Reach, Report, Service};
use units::SimTime;

use super::kept::{Kept, Outliving};

/// A server. What it knows is kept before an answer that acknowledges it leaves: what the node wants to send leaves after
/// the service is done. That somebody was heard by a notification is not kept: a client in queue mode may be taken
/// to sleep a little early in the next life.
#[derive(Debug)]
pub(crate) struct Told {
    server: Server,
    /// What it is to do in steps of the scenario, by their numbers: to whom, and what.
    steps: BTreeMap<usize, (String, Vec<Operation>)>,
    outliving: Outliving,
}

impl Told {
    /// `kept`: where it is kept, if it is.
    pub(super) fn new(
        server: Server,
        steps: BTreeMap<usize, (String, Vec<Operation>)>,
        kept: Option<Kept>,
    ) -> Told {
        Told {
            server,
            steps,
            outliving: Outliving::new(kept),
        }
    }

    fn tell(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match &event {
                Event::Refused { from, code, reason } => {
                    tracing::warn!(%from, %code, %reason, "refused");
                }
                Event::Done {
                    endpoint, outcome, ..
                } => {
                    tracing::info!(%endpoint, ?outcome, "operation");
                }
                other => tracing::info!(?other, "LwM2M"),
            }
        }
    }

    fn tell_and_keep(&mut self) {
        self.tell();
        self.outliving.keep(|| self.server.snapshot());
    }
}

impl Service for Told {
    look_on!(server);

    fn start(&mut self, now: SimTime, node: &mut dyn Node) {
        self.server.start(now, node);
        self.tell_and_keep();
    }

    fn handle_timeout(&mut self, now: SimTime, reach: Reach, node: &mut dyn Node) {
        self.server.handle_timeout(now, reach, node);
        self.tell_and_keep();
    }

    fn operate(&mut self, now: SimTime, step: usize, node: &mut dyn Node) {
        if let Some((endpoint, operations)) = self.steps.get(&step) {
            for operation in operations {
                self.server.operate(now, endpoint, operation.clone(), node);
            }
            self.tell_and_keep();
        }
    }

    fn handle_request(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        self.server.handle_request(now, incoming, node);
        self.tell_and_keep();
    }

    fn handle_outcome(
        &mut self,
        now: SimTime,
        call: CallId,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        let open = self.server.open();
        let ends = outcome.ends();
        self.server.handle_outcome(now, call, outcome, node);
        // A notification that begins an observation ends the operation that asked for it.
        match ends || self.server.open() != open {
            true => self.tell_and_keep(),
            false => self.tell(),
        }
    }

    fn poll_report(&mut self) -> Option<Report> {
        let broken = self.outliving.poll_report();
        broken.or_else(|| self.server.poll_report())
    }
}
