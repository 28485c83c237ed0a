//! [`Told`]: a server whose events are in the log of its node and told by HTTP, and what it knows outlives its daemon.

use std::collections::BTreeMap;

use lwm2m::server::{Event, Operation, Server};
use service::{CallId, Incoming, Node, Outcome, Reach, Report, Service};
use units::SimTime;

use super::kept::{Kept, Outliving};
use super::web::Site;
use crate::host::earlier;

/// A server. What it knows is kept before an answer that acknowledges it leaves: what the node wants to send leaves after
/// the service is done. That somebody was heard by a notification is not kept: a client in queue mode may be taken
/// to sleep a little early in the next life.
#[derive(Debug)]
pub(crate) struct Told {
    server: Server,
    /// What it is to do in steps of the scenario, by their numbers: to whom, and what.
    steps: BTreeMap<usize, (String, Vec<Operation>)>,
    outliving: Outliving,
    /// Where people and scripts ask, if they may.
    site: Option<Site>,
}

impl Told {
    /// `kept`: where it is kept, if it is.
    pub(super) fn new(
        server: Server,
        steps: BTreeMap<usize, (String, Vec<Operation>)>,
        kept: Option<Kept>,
        site: Option<Site>,
    ) -> Told {
        Told {
            server,
            steps,
            outliving: Outliving::new(kept),
            site,
        }
    }

    fn tell(&mut self, now: SimTime) {
        while let Some(event) = self.server.poll_event() {
            if let Some(site) = &mut self.site {
                site.tell(now, &event, &self.server);
            }
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

    fn tell_and_keep(&mut self, now: SimTime) {
        self.tell(now);
        self.outliving.keep(|| self.server.snapshot());
    }
}

impl Service for Told {
    look_on!(server);

    /// What somebody asks by HTTP is done at once, whatever the node can do.
    fn poll_timeout(&self, reach: Reach) -> Option<SimTime> {
        let asked = self.site.as_ref().is_some_and(Site::waits);
        let asked = asked.then_some(SimTime::ZERO);
        earlier(asked, self.server.poll_timeout(reach))
    }

    fn drain(&mut self, now: SimTime, node: &mut dyn Node) {
        self.server.drain(now, node);
        self.tell(now);
    }

    fn start(&mut self, now: SimTime, node: &mut dyn Node) {
        self.server.start(now, node);
        self.tell_and_keep(now);
    }

    fn handle_timeout(&mut self, now: SimTime, reach: Reach, node: &mut dyn Node) {
        self.server.handle_timeout(now, reach, node);
        self.tell_and_keep(now);
        // One by one: what comes of one is told before the next.
        while let Some(site) = &mut self.site
            && site.handle(now, &mut self.server, node)
        {
            self.tell_and_keep(now);
        }
    }

    fn operate(&mut self, now: SimTime, step: usize, node: &mut dyn Node) {
        if let Some((endpoint, operations)) = self.steps.get(&step) {
            for operation in operations {
                self.server.operate(now, endpoint, operation.clone(), node);
            }
            self.tell_and_keep(now);
        }
    }

    fn handle_request(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        self.server.handle_request(now, incoming, node);
        self.tell_and_keep(now);
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
            true => self.tell_and_keep(now),
            false => self.tell(now),
        }
    }

    fn poll_report(&mut self) -> Option<Report> {
        let broken = self.outliving.poll_report();
        broken.or_else(|| self.server.poll_report())
    }
}
