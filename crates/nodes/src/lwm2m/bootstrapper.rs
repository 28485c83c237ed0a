//! [`Bootstrapper`]: a bootstrap server whose events are in the log of its node.

use lwm2m::server::bootstrap::{Bootstrap, BootstrapEvent};
use service::{CallId, Incoming, Node, Outcome, Reach, Report, Service};
use units::SimTime;

/// A bootstrap server. A crash ends what is under way; nothing of it outlives one.
#[derive(Debug)]
pub(crate) struct Bootstrapper {
    server: Bootstrap,
}

impl Bootstrapper {
    pub(super) fn new(server: Bootstrap) -> Bootstrapper {
        Bootstrapper { server }
    }

    fn tell(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match &event {
                BootstrapEvent::Refused { from, code, reason } => {
                    tracing::warn!(%from, %code, %reason, "refused");
                }
                BootstrapEvent::Done {
                    endpoint,
                    operation,
                    outcome,
                } => tracing::info!(%endpoint, %operation, ?outcome, "operation"),
                other => tracing::info!(?other, "LwM2M bootstrap"),
            }
        }
    }
}

impl Service for Bootstrapper {
    look_on!(server);

    fn poll_timeout(&self, reach: Reach) -> Option<SimTime> {
        self.server.poll_timeout(reach)
    }

    fn drain(&mut self, now: SimTime, node: &mut dyn Node) {
        self.server.drain(now, node);
        self.tell();
    }

    fn start(&mut self, now: SimTime, node: &mut dyn Node) {
        self.server.start(now, node);
    }

    fn handle_timeout(&mut self, now: SimTime, reach: Reach, node: &mut dyn Node) {
        self.server.handle_timeout(now, reach, node);
    }

    fn handle_request(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        self.server.handle_request(now, incoming, node);
        self.tell();
    }

    fn handle_outcome(
        &mut self,
        now: SimTime,
        call: CallId,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        self.server.handle_outcome(now, call, outcome, node);
        self.tell();
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.server.poll_report()
    }
}
