//! The thread: frames from the shadows into the medium, deliveries out at their instants.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context, Result};
use driver::stamp;
use driver::{Buffers, PacketSocket};
use handover::signal::Router;
use medium::mpdu::{FCS_BYTES, Header};
use medium::{
    AddressFilter, Delivery, Energy, FrameReport, MacParams, Medium, Output, PathLoss, RadioConfig,
    RadioIndex,
};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use propagation::{Field, Trace, Track};
use rundir::air::Facts;
use rundir::{Event, EventKind};
use topology::Plan;
use topology::plan::{LossPlan, NodeName, NodePlan, PhyPlan, RadioInterface};
use units::{Channel, SimTime};

use crate::inbox::Inbox;
use crate::record::Entry;
use crate::registers::Registers;
use crate::tally::Tally;
use crate::{Change, Notice, OnNotice, Shadow};

/// Above everything that runs in the usual class, and above the softirqs' threads.
const PRIORITY: i32 = 50;
/// Longer than any frame (aMaxPHYPacketSize, 127 bytes).
const LONGEST: usize = 256;
/// Frames that one system call reads: seldom more than one waits.
const BATCH: usize = 4;

/// How long a reading waits until it is told. What follows the instant that it is about, such as
/// the news that a node has tuned its radio, is urgent, and a reading is not.
const READING_WAITS: Duration = Duration::from_millis(10);

/// Which radio of the medium a node has.
type Index = BTreeMap<NodeName, RadioIndex>;

/// The nodes of the medium, in the order of their [`RadioIndex`].
pub(crate) fn nodes_with_radio(plan: &Plan) -> impl Iterator<Item = (&NodeName, &RadioInterface)> {
    let nodes = plan.nodes.iter();
    nodes.filter_map(|(name, node)| Some((name, node.radio.as_ref()?)))
}

pub(crate) struct Shell {
    medium: Medium,
    path: Path,
    registers: Registers,
    names: Vec<NodeName>,
    index: Index,
    monitors: PacketSocket,
    buffers: Buffers,
    /// Whose frames arrive at a monitor interface, and on which channel.
    sources: BTreeMap<u32, (RadioIndex, Channel)>,
    /// The monitor interface that leads to a radio on a channel.
    sinks: BTreeMap<(RadioIndex, Channel), u32>,
    inbox: Inbox,
    transmissions: Sender<Entry>,
    on_notice: OnNotice,
    /// Readings that have not been told, and when they are to be.
    readings: Vec<Event>,
    readings_due: Option<SimTime>,
    tally: Tally,
    lateness_limit: Duration,
}

/// The loss between radios, over scenario time.
struct Path {
    field: Field,
    /// When the scenario clock was at zero; before that everything stands where it begins.
    origin: Option<SimTime>,
}

impl PathLoss for Path {
    fn loss(&mut self, at: SimTime, from: RadioIndex, to: RadioIndex) -> Option<units::Db> {
        let at = self
            .origin
            .map_or(Duration::ZERO, |o| at.saturating_since(o));
        self.field.loss(at, from.0, to.0)
    }
}

impl Shell {
    pub(crate) fn new(
        plan: &Plan,
        phy: &PhyPlan,
        shadows: &[Shadow],
        inbox: Inbox,
        transmissions: Sender<Entry>,
        on_notice: OnNotice,
    ) -> Result<Shell> {
        let start = stamp();
        let mut medium = Medium::new(plan.seed, start);
        let mut names = Vec::new();
        let mut index = Index::new();
        let mut addresses = BTreeMap::new();
        for (name, radio) in nodes_with_radio(plan) {
            let promiscuous = plan.nodes[name].handover().is_some();
            let added = medium.add_radio(radio_config(name, radio, phy, promiscuous));
            names.push(name.clone());
            index.insert(name.clone(), added);
            addresses.insert(radio.eui64, added);
        }
        set_losses(&mut medium, phy, &index)?;
        let path = Path {
            field: field(plan, phy, &index)?,
            origin: None,
        };
        let mut sources = BTreeMap::new();
        let mut sinks = BTreeMap::new();
        for shadow in shadows {
            let radio = *index
                .get(&shadow.node)
                .with_context(|| format!("shadow of {}, which has no radio", shadow.node))?;
            sources.insert(shadow.ifindex, (radio, shadow.channel));
            sinks.insert((radio, shadow.channel), shadow.ifindex);
        }
        Ok(Shell {
            medium,
            path,
            registers: registers(plan, &index, start)?,
            names,
            index,
            monitors: PacketSocket::of_monitors().context("packet socket on the shadow radios")?,
            buffers: Buffers::new(BATCH, LONGEST),
            sources,
            sinks,
            inbox,
            transmissions,
            on_notice,
            readings: Vec::new(),
            readings_due: None,
            tally: Tally::new(addresses),
            lateness_limit: phy.lateness_limit,
        })
    }

    /// Serves the radios until told to end.
    pub(crate) fn run(mut self) -> Result<Facts> {
        become_real_time().context("real-time scheduling class")?;
        loop {
            let changes = self.inbox.take().context("the testbed's pipe")?;
            let more = changes.is_some();
            for change in changes.into_iter().flatten() {
                self.apply(change)?;
            }
            self.take_frames().context("frames of the shadow radios")?;
            self.medium.handle_timeout(stamp(), &mut self.path);
            self.hand_over()?;
            for (radio, signal) in self.registers.poll(stamp()) {
                let node = self.names[radio.0].clone();
                (self.on_notice)(Notice::Signal(node, signal));
            }
            if !more || self.readings_due.is_some_and(|due| due <= stamp()) {
                self.tell_readings();
            }
            if !more {
                return Ok(self.tally.finish(self.lateness_limit, &self.names));
            }
            self.sleep()?;
        }
    }

    /// Sleeps until a frame or a change comes or something is due.
    fn sleep(&self) -> Result<()> {
        let due = [
            self.medium.poll_timeout(),
            self.registers.poll_timeout(),
            self.readings_due,
        ];
        let timeout = due.into_iter().flatten().min().map(|at| {
            let left = at.saturating_since(stamp());
            TimeSpec::from_duration(left)
        });
        let mut sources = [
            PollFd::new(self.monitors.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.inbox.as_fd(), PollFlags::POLLIN),
        ];
        match ppoll(&mut sources, timeout, None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno).context("wait for frames"),
        }
    }

    fn apply(&mut self, change: Change) -> Result<()> {
        let now = stamp();
        // The medium's past is decided by how things were.
        self.medium.handle_timeout(now, &mut self.path);
        match change {
            Change::Started(at) => {
                self.path.origin = Some(at);
                self.tally.started();
            }
            Change::Attenuation(a, b, attenuation) => {
                let (a, b) = (self.radio(&a)?, self.radio(&b)?);
                self.path.field.set_attenuation(a.0, b.0, Some(attenuation));
            }
            Change::Link(a, b, up) => {
                let (a, b) = (self.radio(&a)?, self.radio(&b)?);
                self.path.field.set_up(a.0, b.0, up);
            }
            Change::Tuned(node, channel, pan_id) => {
                let radio = self.radio(&node)?;
                self.medium.tune(now, &mut self.path, radio, channel);
                let filter = AddressFilter {
                    pan_id,
                    ..self.medium.config(radio).filter
                };
                self.medium.set_filter(now, &mut self.path, radio, filter);
                self.registers.tuned(now, radio, channel);
            }
            Change::Awake(node, awake) => {
                let radio = self.radio(&node)?;
                self.medium.set_awake(now, &mut self.path, radio, awake);
                self.registers.awake(now, radio, awake);
            }
            Change::Read(node, at) => {
                let energy = self.medium.energy(self.radio(&node)?, at);
                self.readings.push(reading(node, at, &energy));
                self.readings_due.get_or_insert(now + READING_WAITS);
            }
        }
        Ok(())
    }

    fn tell_readings(&mut self) {
        self.readings_due = None;
        for reading in self.readings.drain(..) {
            (self.on_notice)(Notice::Reading(reading));
        }
    }

    fn radio(&self, node: &str) -> Result<RadioIndex> {
        let radio = self.index.get(node).copied();
        radio.with_context(|| format!("node {node} has no radio"))
    }

    fn take_frames(&mut self) -> Result<()> {
        let Shell {
            medium,
            path,
            registers,
            ..
        } = self;
        self.monitors.receive(&mut self.buffers, |arrived, psdu| {
            let Some(&(radio, channel)) = self.sources.get(&arrived.ifindex) else {
                return Ok(()); // somebody else's interface in this namespace
            };
            let Some(length) = psdu.len().checked_sub(FCS_BYTES) else {
                return Ok(());
            };
            let mpdu: Arc<[u8]> = psdu[..length].into();
            let at = arrived.at;
            // A node's own frame tells where its radio is, whatever its daemon said.
            registers.tuned(at, radio, channel);
            medium.handle_frame(at, path, radio, channel, &mpdu);
            Ok::<(), anyhow::Error>(())
        })
    }

    /// Passes the medium's outputs on.
    fn hand_over(&mut self) -> Result<()> {
        while let Some(output) = self.medium.poll_output() {
            match output {
                Output::Deliver(delivery) => self.deliver(&delivery)?,
                Output::Heard(heard) => {
                    if let Ok(header) = Header::parse(&heard.mpdu) {
                        let (at, by) = (heard.at, heard.by);
                        self.registers
                            .heard(at, by, heard.channel, &header, heard.rssi);
                    }
                }
                Output::Transmission(transmission) => {
                    self.tally.transmission(&transmission);
                    self.record(Entry::Sent(transmission));
                }
                Output::Done(report) => self.done(report),
            }
        }
        Ok(())
    }

    fn deliver(&mut self, delivery: &Delivery) -> Result<()> {
        let Some(&ifindex) = self.sinks.get(&(delivery.to, delivery.channel)) else {
            return Ok(()); // a radio on a channel that no plan gives it
        };
        self.tally.late(stamp().saturating_since(delivery.at));
        match self.monitors.send(ifindex, &delivery.mpdu) {
            // Its receiver is down, as while it retunes: the frame is lost there, as in life.
            Ok(()) | Err(Errno::ENETDOWN) => Ok(()),
            Err(errno) => {
                let node = &self.names[delivery.to.0];
                Err(errno).with_context(|| format!("hand a frame to the radio of {node}"))
            }
        }
    }

    fn done(&mut self, report: FrameReport) {
        self.tally.done(&report);
        if report.attempts == 0 {
            self.record(Entry::NeverSent(report));
        }
    }

    /// The recorder is gone only when the run is over.
    fn record(&self, entry: Entry) {
        let _ = self.transmissions.send(entry);
    }
}

fn radio_config(
    name: &str,
    radio: &RadioInterface,
    phy: &PhyPlan,
    promiscuous: bool,
) -> RadioConfig {
    RadioConfig {
        name: name.to_owned(),
        profile: radio.profile.as_ref().unwrap_or(&phy.profile).clone(),
        mac: MacParams {
            min_be: phy.mac.min_be,
            max_be: phy.mac.max_be,
            max_csma_backoffs: phy.mac.max_csma_backoffs,
            max_frame_retries: phy.mac.max_frame_retries,
            queue: phy.mac.queue as usize,
        },
        channel: radio.channel,
        filter: AddressFilter {
            eui64: radio.eui64,
            pan_id: radio.pan_id,
            short: radio.short_address,
        },
        promiscuous,
    }
}

fn reading(node: NodeName, at: SimTime, energy: &Energy) -> Event {
    Event {
        time_ns: at.as_nanos(),
        node,
        kind: EventKind::RadioEnergy {
            tx_s: energy.tx.as_secs_f64(),
            rx_s: energy.rx.as_secs_f64(),
            listen_s: energy.listen.as_secs_f64(),
            sleep_s: energy.sleep.as_secs_f64(),
            millijoules: energy.millijoules,
        },
    }
}

/// The field, its radios in the order of `index`.
fn field(plan: &Plan, phy: &PhyPlan, index: &Index) -> Result<Field> {
    let mut field = Field::new(plan.seed, phy.path_loss.clone());
    for (name, radio) in nodes_with_radio(plan) {
        let track = match radio.track.is_empty() {
            true => None,
            false => {
                Some(Track::new(radio.track.clone()).with_context(|| format!("track of {name}"))?)
            }
        };
        field.add_radio(name, track);
    }
    for trace in &phy.traces {
        let (a, b) = ends(index, &trace.a, &trace.b)?;
        let of_link = Trace::new(trace.points.clone())
            .with_context(|| format!("trace of {} and {}", trace.a, trace.b))?;
        field.set_trace(a.0, b.0, Some(of_link));
    }
    for link in &plan.links {
        let (a, b) = ends(index, &link.a, &link.b)?;
        field.set_attenuation(a.0, b.0, Some(link.attenuation));
    }
    Ok(field)
}

/// The radios of a link's two nodes.
fn ends(index: &Index, a: &str, b: &str) -> Result<(RadioIndex, RadioIndex)> {
    let known = |name: &str| {
        let radio = index.get(name).copied();
        radio.with_context(|| format!("link of {a} and {b}: {name} has no radio"))
    };
    Ok((known(a)?, known(b)?))
}

/// Has the medium lose what the plan's links lose by chance.
fn set_losses(medium: &mut Medium, phy: &PhyPlan, index: &Index) -> Result<()> {
    for LossPlan { a, b, loss } in &phy.losses {
        let (a, b) = ends(index, a, b)?;
        medium.set_loss_ratio(a, b, *loss);
    }
    Ok(())
}

/// How long the router of a node that stays there may be silent: nothing follows from it.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The registers of every node that moves, one per candidate router, and of one whose services tell what it hears, that of
/// its router.
fn registers(plan: &Plan, index: &Index, start: SimTime) -> Result<Registers> {
    let mut registers = Registers::default();
    for (name, node) in &plan.nodes {
        let Some(radio) = node.radio.as_ref().filter(|_| node.hears_signals()) else {
            continue;
        };
        let silence = match node.handover() {
            Some(handover) => (handover.signal_timeout)
                .with_context(|| format!("{name}: no signal timeout in the plan"))?,
            None => PATIENCE,
        };
        let routers = routers(plan, node);
        registers.add(index[name], start, radio.channel, silence, routers);
    }
    Ok(registers)
}

fn routers(plan: &Plan, node: &NodePlan) -> Vec<Router> {
    let candidates = node.candidates().iter().map(|candidate| &candidate.router);
    let stays = node.host.iter().filter(|_| node.handover().is_none());
    let names = candidates.chain(stays.map(|host| &host.attached_to));
    let routers = names.filter_map(|name| {
        let radio = plan.nodes.get(name)?.radio.as_ref()?;
        Some(Router {
            channel: radio.channel,
            pan_id: radio.pan_id,
            eui64: radio.eui64,
            short_address: radio.short_address,
        })
    });
    routers.collect()
}

/// Moves the calling thread to `SCHED_FIFO`, where timers have no slack.
fn become_real_time() -> std::io::Result<()> {
    let parameters = libc::sched_param {
        sched_priority: PRIORITY,
    };
    // SAFETY: `parameters` outlives the call; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameters) };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}
