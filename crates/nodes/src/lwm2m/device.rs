//! [`Device`]: a client whose tree outlives its daemon, and whose events are in the log of its node.

use coap::Code;
use lwm2m::client::{Client, Event};
use service::{CallId, Connectivity, Incoming, Node, Outcome, Reach, Report, Service};
use units::SimTime;

use super::kept::{Kept, Outliving};

/// A client. What a server writes into its tree, or attaches to it, is kept before the answer leaves: what the node wants
/// to send leaves after the service is done. What changes by itself is kept with the next such request.
#[derive(Debug)]
pub(crate) struct Device {
    client: Client,
    outliving: Outliving,
}

impl Device {
    /// `kept`: where it is kept, if it is.
    pub(super) fn new(client: Client, kept: Option<Kept>) -> Device {
        Device {
            client,
            outliving: Outliving::new(kept),
        }
    }

    fn tell(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match &event {
                Event::BootstrapFailed { server, reason, .. } => {
                    tracing::warn!(%server, %reason, "bootstrap failed");
                }
                other => tracing::info!(?other, "LwM2M"),
            }
        }
    }

    fn keep(&mut self) {
        self.outliving.keep(|| self.client.save());
    }
}

impl Service for Device {
    look_on!(client);

    fn poll_timeout(&self, reach: Reach) -> Option<SimTime> {
        self.client.poll_timeout(reach)
    }

    fn drain(&mut self, now: SimTime, node: &mut dyn Node) {
        self.client.drain(now, node);
        self.tell();
    }

    fn start(&mut self, now: SimTime, node: &mut dyn Node) {
        self.client.start(now, node);
        self.tell();
        self.keep();
    }

    fn connected(&mut self, now: SimTime, connectivity: &Connectivity) {
        self.client.connected(now, connectivity);
    }

    fn handle_timeout(&mut self, now: SimTime, reach: Reach, node: &mut dyn Node) {
        self.client.handle_timeout(now, reach, node);
        self.tell();
    }

    fn handle_request(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        let reads = matches!(incoming.request.method, Code::GET | Code::FETCH);
        self.client.handle_request(now, incoming, node);
        self.tell();
        if !reads {
            self.keep();
        }
    }

    fn handle_outcome(
        &mut self,
        now: SimTime,
        call: CallId,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        self.client.handle_outcome(now, call, outcome, node);
        self.tell();
    }

    fn poll_report(&mut self) -> Option<Report> {
        let broken = self.outliving.poll_report();
        broken.or_else(|| self.client.poll_report())
    }
}
