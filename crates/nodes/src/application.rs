//! Services on a CoAP endpoint, whatever the mobility of their node.

use anyhow::{Result, bail};
use coap::Waits;
use driver::Ignored;
use handover::{Mobility, Step};
use nd::NdOption;
use rundir::EventKind;
use rundir::event::Waited;
use service::{Connectivity, Outcome, Reach, Report, Services};
use units::{Eui64, SimTime};

use crate::host::{Events, Host, now};
use crate::mobility::{Adapter, Event};
use crate::web::Bell;

/// What comes to an application.
#[derive(Debug)]
pub(crate) enum Input {
    /// Something of the endpoint or the mobility protocol.
    Event(Event),
    /// A service has something to do that came from elsewhere: it is due.
    Due,
}

/// What of an event is for the place of the application.
#[derive(Debug)]
pub(crate) enum Happened {
    /// Messages get through: somebody asked, or was answered.
    Traffic,
    /// The mobility protocol took a step.
    Step(Step),
    /// Nothing.
    Nothing,
}

/// The services of a node and the adapter through which they speak.
#[derive(Debug)]
pub(crate) struct Application<A> {
    adapter: A,
    services: Services,
    events: Events,
    bell: Bell,
    lost: Ignored,
}

impl<A: Adapter> Application<A> {
    /// `bell`: rings when a service has something to do that came neither by CoAP nor by its time.
    pub(crate) fn new(host: &Host, adapter: A, services: Services, bell: Bell) -> Application<A> {
        Application {
            adapter,
            services,
            events: host.events.clone(),
            bell,
            lost: Ignored::default(),
        }
    }

    /// The next event of the endpoint or of the mobility protocol, or that a service is due, for
    /// [`Application::handle`]. Cancel-safe.
    ///
    /// # Errors
    /// When a socket fails.
    pub(crate) async fn next_event(&mut self) -> Result<Input> {
        tokio::select! {
            biased;
            event = self.adapter.next_event() => event.map(Input::Event),
            () = self.bell.rung() => Ok(Input::Due),
        }
    }

    /// Handles an event; what is left of it is for the place.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) fn handle(&mut self, input: Input) -> Result<Happened> {
        let event = match input {
            Input::Event(event) => event,
            // Whoever waits for the time asks for it next.
            Input::Due => return Ok(Happened::Nothing),
        };
        match event {
            Event::Step(step) => Ok(Happened::Step(step)),
            Event::Binding(event) => {
                self.events.report(event.into())?;
                let services = &mut self.services;
                self.adapter
                    .with_node(|node, now| services.located(now, node));
                self.report()?;
                Ok(Happened::Nothing)
            }
            Event::Block => Ok(Happened::Traffic),
            Event::Service(event) => {
                let traffic = is_traffic(&event);
                let services = &mut self.services;
                self.adapter
                    .with_node(|node, now| services.handle_event(now, event, node));
                self.report()?;
                Ok(match traffic {
                    true => Happened::Traffic,
                    false => Happened::Nothing,
                })
            }
        }
    }

    /// The scenario starts.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) fn start(&mut self) -> Result<()> {
        let services = &mut self.services;
        self.adapter
            .with_node(|node, now| services.start(now, node));
        self.report()
    }

    /// The node is connected so from now on.
    pub(crate) fn connected(&mut self, connectivity: &Connectivity) {
        self.services.connected(now(), connectivity);
    }

    /// The scenario has the node do something: a step of its plan.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) fn operate(&mut self, step: usize) -> Result<()> {
        let services = &mut self.services;
        self.adapter
            .with_node(|node, now| services.operate(now, step, node));
        self.report()
    }

    /// The scenario is over: what was due is done, if it can be, and nothing new is asked; what is
    /// outstanding ends.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) fn drain(&mut self, reach: Reach) -> Result<()> {
        let services = &mut self.services;
        self.adapter.with_node(|node, now| {
            services.handle_timeout(now, reach, node);
            services.drain(now, node);
        });
        self.report()
    }

    /// When [`Application::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self, reach: Reach) -> Option<SimTime> {
        self.services.poll_timeout(reach)
    }

    /// Does what is due.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) fn handle_timeout(&mut self, reach: Reach) -> Result<()> {
        let services = &mut self.services;
        self.adapter
            .with_node(|node, now| services.handle_timeout(now, reach, node));
        self.report()
    }

    /// Gives the mobility protocol what the router of the node's link advertises, as [`Adapter::hear`] has it.
    pub(crate) fn hear(&mut self, own: Eui64, options: &[NdOption]) {
        self.adapter.hear(own, options);
    }

    /// Gives the mobility protocol a command.
    pub(crate) fn with_mobility<R>(
        &mut self,
        command: impl FnOnce(&mut dyn Mobility, SimTime) -> R,
    ) -> R {
        self.adapter.with_mobility(command)
    }

    /// Whether what is asked now is kept back until the node is bound again.
    pub(crate) fn keeps_back(&self) -> bool {
        self.adapter.keeps_back()
    }

    fn report(&mut self) -> Result<()> {
        while let Some(report) = self.services.poll_report() {
            match report {
                Report::RequestFailed { target, reason } => {
                    self.events.report(EventKind::RequestFailed {
                        p_addr: target.ip(),
                        reason: reason.to_string(),
                    })?;
                }
                Report::NotificationLost { target, reason } => {
                    if let Some(times) = self.lost.another() {
                        tracing::warn!(%target, %reason, times, "notification lost");
                    }
                }
                Report::ObservationEnded { target, reason } => {
                    tracing::info!(%target, %reason, "observation ended");
                }
                Report::Broken { reason } => bail!(reason),
                Report::Drained(tally) => {
                    let waits = self.adapter.with_node(|node, _| node.waits());
                    self.events.report(EventKind::Drained {
                        requested: tally.requested,
                        answered: tally.answered,
                        sent: tally.sent,
                        failed: tally.failed,
                        reasons: tally.reasons,
                        waited: waited(&waits),
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// What had to wait, if anything had to.
fn waited(waits: &Waits) -> Option<Waited> {
    (waits.requests > 0).then_some(Waited {
        requests: waits.requests,
        total_s: waits.total.as_secs_f64(),
        longest_s: waits.longest.as_secs_f64(),
    })
}

/// Whether an event shows that messages get through: what others ask, and what they answer.
fn is_traffic(event: &service::Event) -> bool {
    match event {
        service::Event::Request(_) => true,
        service::Event::Call { outcome, .. } => matches!(outcome, Outcome::Answered { .. }),
    }
}
