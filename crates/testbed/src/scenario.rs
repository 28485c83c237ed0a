//! The scenario clock, the steps, and the watch over the processes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cleanup::Claim;
use driver::stamp;
use netlink::Namespace;
use rundir::air::Facts;
use rundir::control::Control;
use rundir::{Event, EventKind, event::SCENARIO};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};
use topology::Plan;
use topology::plan::{Action, NodeName, ProgramPlan, StepPlan};
use units::SimTime;
use units::quantity::format_duration;

use crate::daemon::{Daemon, Launcher, Program, Report};
use crate::feed::Feed;
use crate::medium::RunMedium;
use crate::{Progress, TELL_EVERY};

/// How long daemons may take to get ready: more than a DHCPv6 exchange, duplicate address
/// detection and a registration that each lose their first message.
const READY: Duration = Duration::from_secs(60);
/// How long clients may take to end what is outstanding: EXCHANGE_LIFETIME of RFC 7252 §4.8.2.
const DRAIN: Duration = Duration::from_secs(247);
/// Scenario time between two progress reports.
const TICK: Duration = Duration::from_secs(1);

/// A run from the first daemon to the last event.
pub(crate) struct Scenario<'a> {
    plan: &'a Plan,
    medium: RunMedium,
    namespaces: BTreeMap<NodeName, Namespace>,
    launcher: Launcher,
    inbox: UnboundedReceiver<Report>,
    claim: &'a mut Claim,
    daemons: BTreeMap<NodeName, Daemon>,
    programs: Vec<Program>,
    /// How often each node crashed.
    crashes: BTreeMap<NodeName, u32>,
    feed: Feed<'a>,
}

/// What the scenario waits for: a daemon got so far.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Milestone {
    Ready(NodeName),
    Drained(NodeName),
    /// One of its HTTP clients.
    HttpDrained(NodeName),
}

impl Milestone {
    fn of(event: &Event) -> Option<Milestone> {
        let node = || event.node.clone();
        match event.kind {
            EventKind::Ready => Some(Milestone::Ready(node())),
            EventKind::Drained { .. } => Some(Milestone::Drained(node())),
            EventKind::HttpDrained { .. } => Some(Milestone::HttpDrained(node())),
            _ => None,
        }
    }

    fn node(&self) -> &str {
        match self {
            Milestone::Ready(node) | Milestone::Drained(node) | Milestone::HttpDrained(node) => {
                node
            }
        }
    }
}

/// How the parts of a run ended.
pub(crate) struct Stopped {
    /// The first process that left badly.
    pub(crate) processes: Result<()>,
    /// What the air counted, if there was one.
    pub(crate) aired: Result<Option<Facts>>,
    /// Whether all events are in the file.
    pub(crate) fed: Result<()>,
}

/// Something that happens at a scenario time.
enum Due<'a> {
    Step(&'a StepPlan),
    Program(&'a str, &'a ProgramPlan),
    Tick,
}

impl<'a> Scenario<'a> {
    pub(crate) fn new(
        plan: &'a Plan,
        medium: RunMedium,
        namespaces: BTreeMap<NodeName, Namespace>,
        launcher: Launcher,
        inbox: UnboundedReceiver<Report>,
        claim: &'a mut Claim,
        feed: Feed<'a>,
    ) -> Scenario<'a> {
        Scenario {
            plan,
            medium,
            namespaces,
            launcher,
            inbox,
            claim,
            daemons: BTreeMap::new(),
            programs: Vec::new(),
            crashes: BTreeMap::new(),
            feed,
        }
    }

    /// Starts the daemons, servers first, plays the steps and lets the clients drain.
    pub(crate) async fn play(&mut self) -> Result<()> {
        let (servers, others): (Vec<_>, Vec<_>) = self
            .plan
            .nodes
            .iter()
            .filter(|(_, node)| node.has_daemon())
            .partition(|(_, node)| !node.needs_others());
        let total = servers.len() + others.len();
        for group in [servers, others] {
            let names: Vec<&NodeName> = group.into_iter().map(|(name, _)| name).collect();
            self.start_group(&names, total).await?;
        }
        self.play_steps().await?;
        self.feed.progress(Progress::Finishing);
        self.drain().await
    }

    async fn start_group(&mut self, names: &[&NodeName], of: usize) -> Result<()> {
        for name in names {
            self.start_daemon(name)?;
            let started = self.daemons.len();
            if started.is_multiple_of(TELL_EVERY) {
                self.feed.progress(Progress::Starting { started, of });
            }
        }
        self.tell_signals().await?;
        let deadline = Instant::now() + READY;
        let mut waiting: BTreeSet<&str> = names.iter().map(|n| n.as_str()).collect();
        while !waiting.is_empty() {
            self.feed.progress(Progress::Ready {
                ready: self.daemons.len() - waiting.len(),
                of,
            });
            let Some(reached) = self.next_milestone(deadline).await? else {
                let names: Vec<&str> = waiting.into_iter().collect();
                let logs: Vec<String> = names
                    .iter()
                    .map(|n| {
                        format!(
                            "{n}: {}",
                            crate::daemon::tail(&self.launcher.run_dir.log(n))
                        )
                    })
                    .collect();
                bail!(
                    "not ready after {}: {}\n{}",
                    format_duration(READY),
                    names.join(", "),
                    logs.join("\n")
                );
            };
            if let Milestone::Ready(node) = reached {
                waiting.remove(node.as_str());
            }
        }
        self.feed.progress(Progress::Ready {
            ready: self.daemons.len(),
            of,
        });
        Ok(())
    }

    fn start_daemon(&mut self, name: &str) -> Result<()> {
        let crashes = self.crashes.get(name).copied().unwrap_or(0);
        let namespace = &self.namespaces[name];
        let daemon = self
            .launcher
            .daemon(self.plan, name, crashes, namespace, self.claim)?;
        self.daemons.insert(name.to_owned(), daemon);
        Ok(())
    }

    /// What a report means for the run: an event to keep, which may be a milestone, or the end.
    async fn handle(&mut self, report: Option<Report>) -> Result<Option<Milestone>> {
        match report.context("all daemons are gone")? {
            Report::Event(event) => {
                let signals = self.medium.handle_event(&event).await?;
                self.tell(signals).await?;
                let milestone = Milestone::of(&event);
                self.feed.push(event);
                return Ok(milestone);
            }
            Report::Signal { node, control } => {
                if let Some(daemon) = self.daemons.get_mut(&node) {
                    daemon.tell(&control).await?;
                }
            }
            Report::Garbage { node, line } => {
                bail!("node {node} printed something that is no event: {line}")
            }
            Report::ProgramExited { event, failure } => {
                self.feed.push(event);
                if let Some(why) = failure {
                    bail!(why)
                }
            }
            // A process that was crashed on purpose is not the one that should run.
            Report::Closed { node, pid } => match self.daemons.get_mut(&node) {
                Some(daemon) if daemon.is(pid) => bail!(daemon.exit_report().await),
                _ => {}
            },
        }
        Ok(None)
    }

    async fn play_steps(&mut self) -> Result<()> {
        let duration = self.plan.scenario.duration;
        let agenda = self.agenda();
        let start = Instant::now();
        let origin = self.record(EventKind::ScenarioStarted);
        self.medium.started(origin);
        self.medium.read_all(self.plan, origin);
        for daemon in self.daemons.values_mut() {
            daemon.tell(&Control::Start).await?;
        }
        for (at, due) in agenda {
            self.wait_until(start + at).await?;
            match due {
                Due::Step(step) => self
                    .carry_out(step)
                    .await
                    .with_context(|| format!("scenario step at {}", format_duration(at)))?,
                Due::Program(node, plan) => self.start_program(node, plan)?,
                Due::Tick => self.feed.progress(Progress::Scenario { at, of: duration }),
            }
        }
        self.wait_until(start + duration).await?;
        let end = self.record(EventKind::ScenarioEnded);
        self.medium.read_all(self.plan, end);
        Ok(())
    }

    /// Everything with a scenario time, in order.
    fn agenda(&self) -> Vec<(Duration, Due<'a>)> {
        let plan: &'a Plan = self.plan;
        let mut agenda: Vec<(Duration, Due<'a>)> = plan
            .scenario
            .steps
            .iter()
            .map(|step| (step.at, Due::Step(step)))
            .collect();
        for (name, node) in &plan.nodes {
            for program in node.programs() {
                agenda.push((program.start_at, Due::Program(name, program)));
            }
        }
        let ticks = plan.scenario.duration.as_secs();
        agenda.extend((0..ticks).map(|n| (TICK * n as u32, Due::Tick)));
        agenda.sort_by_key(|(at, _)| *at);
        agenda
    }

    /// Collects reports until `instant`.
    async fn wait_until(&mut self, instant: Instant) -> Result<()> {
        while self.next_milestone(instant).await?.is_some() {}
        Ok(())
    }

    /// The next daemon that is ready or drained; none when it is `deadline`. Every event of a
    /// daemon goes into the feed meanwhile, after the medium has heard of it: that is urgent.
    async fn next_milestone(&mut self, deadline: Instant) -> Result<Option<Milestone>> {
        loop {
            self.feed.handle_timeout(stamp())?;
            let due = driver::instant(self.feed.poll_timeout());
            tokio::select! {
                biased;
                () = sleep_until(deadline) => return Ok(None),
                report = self.inbox.recv() => {
                    if let Some(milestone) = self.handle(report).await? {
                        return Ok(Some(milestone));
                    }
                }
                () = sleep_until(due) => {}
            }
        }
    }

    async fn carry_out(&mut self, step: &StepPlan) -> Result<()> {
        let what = match &step.action {
            Action::Attenuate(link) => {
                self.medium.attenuate(link).await?;
                self.tell_signals().await?;
                format!("attenuation {} - {}: {}", link.a, link.b, link.attenuation)
            }
            Action::Link { a, b, up } => {
                self.medium.set_up(a, b, *up).await?;
                self.tell_signals().await?;
                format!("link {a} - {b} {}", if *up { "up" } else { "down" })
            }
            Action::Crash { node } => {
                *self.crashes.entry(node.clone()).or_default() += 1;
                let daemon = self.daemons.remove(node);
                let mut daemon = daemon.with_context(|| format!("node {node} is not running"))?;
                daemon.crash().await?;
                format!("crash {node}")
            }
            Action::Restart { node } => {
                // It may have crashed in its sleep.
                if self.plan.nodes.get(node).is_some_and(|n| n.radio.is_some()) {
                    self.medium.set_awake(node, true).await?;
                }
                self.start_daemon(node)?;
                self.tell_signals().await?;
                let daemon = self.daemons.get_mut(node).context("just started")?;
                daemon.tell(&Control::Start).await?;
                format!("restart {node}")
            }
            Action::Wake { node } => {
                let daemon = self.daemons.get_mut(node);
                let daemon = daemon.with_context(|| format!("node {node} is not running"))?;
                daemon.tell(&Control::Wake).await?;
                format!("wake {node}")
            }
            Action::Operate(operate) => {
                let node = &operate.node;
                let mut own = self.plan.steps_of(node);
                let number = own.position(|own| std::ptr::eq(own, step));
                let number = number.context("a step that is not its node's")?;
                let daemon = self.daemons.get_mut(node);
                let daemon = daemon.with_context(|| format!("node {node} is not running"))?;
                daemon.tell(&Control::Operate { step: number }).await?;
                format!("operate {operate}")
            }
        };
        self.record(EventKind::ScenarioStep { what });
        Ok(())
    }

    /// Brings the signal registers of all mobile nodes that are awake up to date.
    async fn tell_signals(&mut self) -> Result<()> {
        self.tell(self.medium.signals()).await
    }

    async fn tell(&mut self, signals: Vec<(NodeName, Control)>) -> Result<()> {
        for (node, register) in signals {
            if let Some(daemon) = self.daemons.get_mut(&node) {
                daemon.tell(&register).await?;
            }
        }
        Ok(())
    }

    fn start_program(&mut self, node: &str, plan: &ProgramPlan) -> Result<()> {
        let program =
            self.launcher
                .program(node, &plan.command, &self.namespaces[node], self.claim)?;
        self.programs.push(program);
        Ok(())
    }

    /// Lets whoever asks end what is outstanding: first who asks by HTTP, whom others have to answer until then.
    async fn drain(&mut self) -> Result<()> {
        let nodes = self.plan.nodes.iter();
        let alive = nodes.filter(|(name, _)| self.daemons.contains_key(*name));
        let (mut by_http, mut by_coap) = (Vec::new(), Vec::new());
        for (name, node) in alive {
            let clients = node.http_clients().count();
            if clients > 0 {
                by_http.push((Milestone::HttpDrained(name.clone()), clients));
            }
            if node.asks() {
                by_coap.push((Milestone::Drained(name.clone()), 1));
            }
        }
        let deadline = Instant::now() + DRAIN;
        let mut told = BTreeSet::new();
        let mut reached: BTreeMap<Milestone, usize> = BTreeMap::new();
        for wanted in [by_http, by_coap] {
            for (milestone, _) in &wanted {
                let node = milestone.node();
                let daemon = self.daemons.get_mut(node);
                if let Some(daemon) = daemon.filter(|_| told.insert(node.to_owned())) {
                    daemon.tell(&Control::Drain).await?;
                }
            }
            loop {
                let times = |milestone| reached.get(milestone).copied().unwrap_or_default();
                let waiting = wanted.iter().filter(|(m, count)| times(m) < *count);
                let waiting: BTreeSet<&str> = waiting.map(|(m, _)| m.node()).collect();
                if waiting.is_empty() {
                    break;
                }
                let Some(milestone) = self.next_milestone(deadline).await? else {
                    bail!(
                        "requests outstanding {} after the scenario's end at: {waiting:?}",
                        format_duration(DRAIN)
                    );
                };
                *reached.entry(milestone).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Ends every process, the medium and the feed, which keeps the events that were still under
    /// way.
    pub(crate) async fn stop(mut self) -> Stopped {
        let mut processes = Ok(());
        for program in self.programs {
            processes = processes.and(program.stop().await);
        }
        for (_, daemon) in self.daemons {
            processes = processes.and(daemon.stop().await);
        }
        let aired = self.medium.finish();
        while let Ok(report) = self.inbox.try_recv() {
            match report {
                Report::Event(event) => self.feed.push(event),
                Report::ProgramExited { event, failure } => {
                    self.feed.push(event);
                    processes = processes.and(failure.map_or(Ok(()), |why| bail!(why)));
                }
                Report::Signal { .. } | Report::Garbage { .. } | Report::Closed { .. } => {}
            }
        }
        let fed = self.feed.finish();
        Stopped {
            processes,
            aired,
            fed,
        }
    }

    /// Keeps an event of the testbed's own; says when it was.
    fn record(&mut self, kind: EventKind) -> SimTime {
        let at = stamp();
        self.feed.push(Event {
            time_ns: at.as_nanos(),
            node: SCENARIO.into(),
            kind,
        });
        at
    }
}
