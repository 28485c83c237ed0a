//! How frames get from radio to radio in this run: by the kernel's own edges, or by the
//! per-frame air.

use std::collections::BTreeMap;

use anyhow::Result;
use mediumd::{Air, Change, Notice, Recorder, Shadow};
use netlink::{Hwsim, RadioId};
use rundir::air::Facts;
use rundir::control::Control;
use rundir::{Event, EventKind, HandoverEvent, RunDir};
use tokio::sync::mpsc::UnboundedSender;
use topology::Plan;
use topology::plan::{LinkPlan, Medium, NodeName};
use units::SimTime;

use crate::daemon::Report;
use crate::edges::EdgeMedium;

/// The medium of a run.
pub(crate) enum RunMedium {
    Edges(Box<EdgeMedium>),
    Phy(Air),
}

impl RunMedium {
    /// The medium of `plan` over its `radios` and their `shadows`, and who writes the capture of the air if there is one.
    pub(crate) async fn new(
        plan: &Plan,
        hwsim: Hwsim,
        radios: BTreeMap<NodeName, RadioId>,
        shadows: &[Shadow],
        run_dir: &RunDir,
        reports: UnboundedSender<Report>,
    ) -> Result<(RunMedium, Option<Recorder>)> {
        match plan.radio.medium {
            Medium::Edges => {
                let medium = EdgeMedium::new(plan, hwsim, radios).await?;
                Ok((RunMedium::Edges(Box::new(medium)), None))
            }
            Medium::Phy => {
                let on_notice = Box::new(move |notice: Notice| {
                    let report = match notice {
                        Notice::Signal(node, control) => Report::Signal { node, control },
                        Notice::Reading(event) => Report::Event(event),
                    };
                    // Nobody listens any more only when the run is over.
                    let _ = reports.send(report);
                });
                let file = run_dir.air_capture();
                let (air, recorder) = Air::start(plan, shadows, file, on_notice)?;
                Ok((RunMedium::Phy(air), Some(recorder)))
            }
        }
    }

    /// The scenario clock is at zero.
    pub(crate) fn started(&mut self, at: SimTime) {
        if let RunMedium::Phy(air) = self {
            air.tell(Change::Started(at));
        }
    }

    /// Sets the attenuation between two radios.
    pub(crate) async fn attenuate(&mut self, link: &LinkPlan) -> Result<()> {
        match self {
            RunMedium::Edges(edges) => edges.attenuate(link).await,
            RunMedium::Phy(air) => {
                let (a, b) = (link.a.clone(), link.b.clone());
                air.tell(Change::Attenuation(a, b, link.attenuation));
                Ok(())
            }
        }
    }

    /// Takes a link away or gives it back.
    pub(crate) async fn set_up(&mut self, a: &str, b: &str, up: bool) -> Result<()> {
        match self {
            RunMedium::Edges(edges) => edges.set_up(a, b, up).await,
            RunMedium::Phy(air) => {
                air.tell(Change::Link(a.into(), b.into(), up));
                Ok(())
            }
        }
    }

    /// Puts a node's radio to sleep, or wakes it.
    pub(crate) async fn set_awake(&mut self, node: &str, awake: bool) -> Result<()> {
        match self {
            RunMedium::Edges(edges) => edges.set_awake(node, awake).await,
            RunMedium::Phy(air) => {
                air.tell(Change::Awake(node.into(), awake));
                Ok(())
            }
        }
    }

    /// The registers that the medium knows without a frame, of nodes that are awake: who is told
    /// what.
    pub(crate) fn signals(&self) -> Vec<(NodeName, Control)> {
        match self {
            RunMedium::Edges(edges) => edges.signals(),
            RunMedium::Phy(_) => Vec::new(),
        }
    }

    /// A node's event, where the medium has to know of it: who is told what because of it.
    pub(crate) async fn handle_event(&mut self, event: &Event) -> Result<Vec<(NodeName, Control)>> {
        match event.kind {
            EventKind::SleepStarted { .. } => self.set_awake(&event.node, false).await?,
            EventKind::SleepEnded { .. } => self.set_awake(&event.node, true).await?,
            _ => {}
        }
        let air = match self {
            // Its links may be others than when it fell asleep.
            RunMedium::Edges(edges) if matches!(event.kind, EventKind::SleepEnded { .. }) => {
                return Ok(edges.signals_of(&event.node));
            }
            RunMedium::Edges(_) => return Ok(Vec::new()),
            RunMedium::Phy(air) => air,
        };
        match &event.kind {
            EventKind::Tuned { channel, pan_id } => {
                air.tell(Change::Tuned(event.node.clone(), *channel, *pan_id));
            }
            EventKind::Handover(
                HandoverEvent::PhaseStarted { .. } | HandoverEvent::PhaseEnded { .. },
            ) => {
                let at = SimTime::from_nanos(event.time_ns);
                air.tell(Change::Read(event.node.clone(), at));
            }
            _ => {}
        }
        Ok(Vec::new())
    }

    /// Reads what every radio of `plan` has used by now.
    pub(crate) fn read_all(&mut self, plan: &Plan, at: SimTime) {
        let RunMedium::Phy(air) = self else {
            return;
        };
        for (name, node) in &plan.nodes {
            if node.radio.is_some() {
                air.tell(Change::Read(name.clone(), at));
            }
        }
    }

    /// Ends the medium: what it counted. All that it had to report is in the channel then.
    pub(crate) fn finish(self) -> Result<Option<Facts>> {
        match self {
            RunMedium::Edges(_) => Ok(None),
            RunMedium::Phy(air) => air.finish().map(Some),
        }
    }
}
