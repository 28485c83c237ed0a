//! An application on a node with a radio: at a router, which it may leave for another one.
//!
//! [`handover::Sequencer`] decides, the mobility protocol makes the address known,
//! [`nd::Solicitor`] and [`dhcpv6::client::Client`] find the router and the address; this module
//! lets them act on the kernel and reports their phases. A node that stays has no sequencer.
//!
//! | module | holds |
//! | --- | --- |
//! | `attachment` | with a sequencer, or without one |
//! | `link` | the radio's moves between PANs, and to channels that it only listens on |
//! | `address` | from an advertisement to an address that may be used |
//! | `beforehand` | what the node was told of other routers before it goes there |
//! | `connected` | what the services are told of the link |
//! | `sleep` | the radio's duty cycle |
//! | `lqi` | signal registers of a node whose own radio measures them |
//! | `settings` | the plan's words in the cores' words |

mod address;
mod attachment;
mod beforehand;
mod connected;
mod link;
mod lqi;
mod settings;
mod sleep;

use std::net::Ipv6Addr;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result};
use dhcpv6::CLIENT_PORT;
use driver::{Driver, Icmpv6, Ignored, Udp};
use handover::{Command, Mobility, Sequencer, Signal, Step};
use nd::message::ROUTER_ADVERTISEMENT;
use nd::solicitor::{Advertised, Solicitor};
use nd::{ALL_NODES, HOP_LIMIT};
use rundir::control::Control;
use service::Reach;
use topology::plan::{HostPlan, RadioInterface};
use units::{Channel, PanId, SimTime};

use crate::application::{Application, Happened, Input};
use crate::control::Controls;
use crate::host::{Events, Host, earlier, instant, now};
use crate::mobility::Adapter;
use crate::radio::Radio;

use address::check;
use attachment::Attachment;
use beforehand::{Beforehand, next_neighbour};
pub(crate) use connected::LqiScale;
use connected::Told;
pub(crate) use lqi::LqiConfig;
pub use lqi::SignalSource;
use lqi::{LqiSource, next_frame};
use settings::{candidate, dhcp_config, sequencer_config, solicitor_config};
use sleep::Sleep;

/// Runs the application of a host at `at_start`; with `lqi` its own radio sets its signal
/// registers, without it is told them. `scale`: what the link quality of a signal is.
pub(crate) async fn run<A: Adapter>(
    host: Host,
    controls: Controls,
    application: Application<A>,
    plan: HostPlan,
    at_start: RadioInterface,
    lqi: Option<LqiConfig>,
    scale: LqiScale,
) -> Result<()> {
    let told = Told::new(scale);
    let mut node = RadioHost::open(host, controls, application, plan, &at_start, lqi, told).await?;
    node.report_tuned()?;
    node.solicitor.with(|solicitor, now| solicitor.start(now));
    loop {
        node.pump().await?;
        node.tell_connected();
        if !node.step().await? {
            return Ok(());
        }
    }
}

type Checking = Pin<Box<dyn Future<Output = Result<()>>>>;

/// The PAN that a radio belongs to, and its channel.
type Pan = (Channel, PanId);

struct RadioHost<A> {
    host: Host,
    controls: Controls,
    plan: HostPlan,
    application: Application<A>,
    attachment: Attachment,
    solicitor: Driver<Solicitor, Icmpv6>,
    dhcp: Driver<dhcpv6::Client>,
    radio: Radio,
    /// None: control lines bring the signal registers.
    lqi: Option<LqiSource>,
    /// The PAN that the node is attached to, or is to be.
    home: Pan,
    router: Option<Advertised>,
    /// Whether that is what another router said of it, and not yet what it said itself.
    told: bool,
    /// None: the node asks no router about others.
    beforehand: Option<Beforehand>,
    /// Router advertisements that were none.
    ignored: Ignored,
    /// The address, T_Addr or care-of address, that the node has from its router.
    t_addr: Option<Ipv6Addr>,
    /// The address that the node had at the router before, of one that has the same everywhere: nobody
    /// else can have it (RFC 5213 §6.8).
    kept: Option<Ipv6Addr>,
    sleep: Sleep,
    /// What the services know of the node's link.
    told_services: Told,
    /// Duplicate address detection that the next step waits for.
    checking: Option<(Ipv6Addr, Checking)>,
    /// Duplicate address detection of an address that is in use meanwhile (RFC 4429).
    verifying: Option<(Ipv6Addr, Checking)>,
}

impl<A: Adapter> RadioHost<A> {
    async fn open(
        host: Host,
        controls: Controls,
        application: Application<A>,
        plan: HostPlan,
        at_start: &RadioInterface,
        lqi: Option<LqiConfig>,
        told_services: Told,
    ) -> Result<RadioHost<A>> {
        let mut radio = Radio::open(&host.interfaces).await?;
        let open = |config| LqiSource::open(&host.interfaces.wpan, &radio, config, now());
        let lqi = lqi.map(open).transpose()?;
        radio.configure_host(Duration::ZERO, plan.dad)?;
        radio.add_link_local().await?;
        let at_start = (at_start.channel, at_start.pan_id);
        // After a crash the radio is where the last handover left it, or between two PANs.
        let known = |pan: &Pan| *pan == at_start || candidate(&plan, *pan).is_some();
        let home = match radio.tuned().filter(known) {
            Some(home) => home,
            None => {
                radio.retune(at_start, None).await?;
                at_start
            }
        };
        let attachment = match sequencer_config(&plan, home)? {
            Some(config) => Attachment::Moving(Box::new(Sequencer::attaching(config))),
            None => Attachment::Fixed { attached: false },
        };
        let lowpan = &host.interfaces.lowpan;
        let solicitor = Solicitor::new(
            solicitor_config(&plan, &radio),
            host.protocol_rng("router-solicitations"),
        )?;
        let icmpv6 = Icmpv6::open(lowpan, &[ALL_NODES], ROUTER_ADVERTISEMENT, HOP_LIMIT)?;
        let asks = (plan.handover.as_ref()).is_some_and(|handover| handover.proxy_advertisements);
        if asks {
            radio.defer_reports()?;
        }
        let beforehand = asks.then(|| Beforehand::open(&host, radio.eui64()));
        let dhcp = dhcpv6::Client::new(dhcp_config(&plan, &radio), host.protocol_rng("dhcpv6"))?;
        let dhcp_socket = Udp::open(CLIENT_PORT, Some(lowpan))?;
        Ok(RadioHost {
            controls,
            application,
            attachment,
            solicitor: Driver::new(solicitor, icmpv6)?,
            dhcp: Driver::new(dhcp, dhcp_socket)?,
            radio,
            lqi,
            home,
            router: None,
            told: false,
            beforehand: beforehand.transpose()?,
            ignored: Ignored::default(),
            t_addr: None,
            kept: None,
            sleep: Sleep::new(plan.sleep.clone()),
            told_services,
            checking: None,
            verifying: None,
            host,
            plan,
        })
    }

    /// Waits for one input and handles it; `false` when told to leave.
    async fn step(&mut self) -> Result<bool> {
        let here = self.is_here();
        let reach = self.reach();
        let deadline = self.deadline(reach);
        tokio::select! {
            event = self.application.next_event(), if here => self.on_event(event?)?,
            heard = self.solicitor.next_event(), if here => {
                self.on_advertisement(heard.context("ICMPv6 socket")?).await?;
            }
            neighbour = next_neighbour(&mut self.beforehand), if here => self.on_neighbour(neighbour?),
            event = self.dhcp.next_event(), if here => {
                self.on_dhcp(event.context("DHCPv6 socket")?).await?;
            }
            checked = check(&mut self.checking), if here => self.on_checked(checked).await?,
            (address, outcome) = check(&mut self.verifying), if here => {
                if let Err(error) = outcome {
                    self.on_duplicate(address, &error).await?;
                }
            }
            () = tokio::time::sleep_until(instant(deadline)) => self.on_timeout(reach)?,
            frame = next_frame(&self.lqi) => {
                let now = now();
                let frame = frame?;
                let heard = self.lqi.as_mut().and_then(|lqi| lqi.heard(now, &frame));
                self.on_signal(now, heard);
            }
            control = self.controls.next() => return self.on_control(control),
        }
        Ok(true)
    }

    /// What the application can do now.
    fn reach(&self) -> Reach {
        Reach {
            sends: self.is_here(),
            asks: self.may_ask(),
        }
    }

    /// When [`RadioHost::on_timeout`] has something to do.
    fn deadline(&self, reach: Reach) -> Option<SimTime> {
        let awake = !self.sleep.is_asleep();
        let of_handover = self.attachment.poll_timeout().filter(|_| awake);
        let deadline = earlier(of_handover, self.application.poll_timeout(reach));
        let deadline = earlier(deadline, self.sleep.poll_timeout());
        let silence = self.lqi.as_ref().and_then(LqiSource::poll_timeout);
        let deadline = earlier(deadline, silence);
        earlier(deadline, self.announces_at())
    }

    fn on_timeout(&mut self, reach: Reach) -> Result<()> {
        let awake = !self.sleep.is_asleep();
        self.on_sleep_timeout()?;
        let now = now();
        let silent = self.lqi.as_mut().and_then(|lqi| lqi.handle_timeout(now));
        self.on_signal(now, silent);
        self.announce_if_due(now);
        if awake {
            self.attachment.handle_timeout(now);
        }
        self.application.handle_timeout(reach)
    }

    /// A signal register changed, if one did. A node that sleeps hears of it when it is awake.
    fn on_signal(&mut self, now: SimTime, signal: Option<Signal>) {
        let counts = signal.and_then(|signal| self.sleep.measured(signal));
        let Some(signal) = counts else {
            return;
        };
        self.told_services.measured(signal);
        if let Some(sequencer) = self.attachment.sequencer() {
            sequencer.handle_signal(now, signal);
        }
    }

    /// Does what it is told; `false` when that is to leave.
    fn on_control(&mut self, control: Control) -> Result<bool> {
        match control {
            Control::Signal(signal) => self.on_signal(now(), Some(signal)),
            Control::Stop => return Ok(false),
            Control::Start => {
                self.sleep.start(now());
                self.application.start()?;
            }
            Control::Wake => self.wake_early()?,
            Control::Operate { step } => self.application.operate(step)?,
            Control::Drain => self.application.drain(self.reach())?,
        }
        Ok(true)
    }

    /// Sends what the cores want sent and carries out what they decided, until they are quiet.
    async fn pump(&mut self) -> Result<()> {
        loop {
            let Some(sequencer) = self.attachment.sequencer() else {
                return Ok(());
            };
            report(sequencer, &self.host.events)?;
            let Some(command) = sequencer.poll_command() else {
                return Ok(());
            };
            // Listening around does not keep an announced sleep from coming.
            if !matches!(command, Command::Listen { .. }) {
                self.give_up_sleep()?;
            }
            self.carry_out(command).await?;
        }
    }

    async fn carry_out(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Prepare => self.tell(|mobility, now| mobility.prepare(now))?,
            Command::Retune { candidate } => {
                self.retune(candidate).await?;
                if let Some(sequencer) = self.attachment.sequencer() {
                    sequencer.link_ready(now());
                }
            }
            Command::Listen { channel } => self.listen(channel).await?,
            Command::Stay => {
                if let Some(t_addr) = self.t_addr {
                    self.tell(|mobility, now| mobility.stay(now, t_addr))?;
                }
            }
            Command::Solicit => self.find_router().await?,
            Command::AcquireAddress => self.acquire_address().await?,
            Command::CheckAddress { address } => self.start_check(address),
            Command::Bind { address } => self.bind(address)?,
        }
        Ok(())
    }

    /// Makes it known that the node is at `t_addr`.
    fn bind(&mut self, t_addr: Ipv6Addr) -> Result<()> {
        self.tell(|mobility, now| mobility.bind(now, t_addr))
    }

    /// Gives the mobility protocol a command of a handover, which takes the place of what it was
    /// about. A phase that begins with it is reported before its first message leaves.
    fn tell(&mut self, command: impl FnOnce(&mut dyn Mobility, SimTime)) -> Result<()> {
        let (attachment, events) = (&mut self.attachment, &self.host.events);
        self.application.with_mobility(|mobility, now| {
            command(mobility, now);
            while let Some(step) = mobility.poll_step() {
                attachment.handle_step(now, step);
            }
            match attachment.sequencer() {
                Some(sequencer) => report(sequencer, events),
                None => Ok(()),
            }
        })
    }

    fn on_event(&mut self, input: Input) -> Result<()> {
        let now = now();
        match self.application.handle(input)? {
            Happened::Traffic => {
                if let Some(sequencer) = self.attachment.sequencer() {
                    sequencer.first_request(now);
                }
            }
            Happened::Step(step) => {
                self.on_step(step)?;
                // What the protocol took in one instant counts as one.
                let next = |mobility: &mut dyn Mobility, _| mobility.poll_step();
                while let Some(step) = self.application.with_mobility(next) {
                    self.on_step(step)?;
                }
            }
            Happened::Nothing => {}
        }
        Ok(())
    }

    /// The mobility protocol has taken a step.
    fn on_step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Attached { address } => {
                if self.attachment.is_attaching() && self.t_addr == Some(address) {
                    self.attachment.handle_step(now(), step);
                    self.host.part_is_ready()?;
                    self.ask_about_others();
                }
                return Ok(());
            }
            Step::SleepAnnounced => return self.on_sleep_announced(),
            Step::SleepRefused { reason } => {
                tracing::warn!(%reason, "sleep not announced; staying awake");
                return self.on_sleep_refused();
            }
            Step::Failed { ref reason } => {
                tracing::warn!(%reason, "mobility");
                self.forget_told();
            }
            Step::Bound { .. } => self.ask_about_others(),
            _ => {}
        }
        self.attachment.handle_step(now(), step);
        Ok(())
    }
}

/// Reports what the sequencer has to tell.
fn report(sequencer: &mut Sequencer, events: &Events) -> Result<()> {
    while let Some(event) = sequencer.poll_event() {
        events.report(event.into())?;
    }
    Ok(())
}
