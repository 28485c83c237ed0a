//! The mobile node's daemon: a CoAP server that hands over (comp.md, "A handover"), and polls
//! others over the same socket if the plan says so.
//!
//! [`handover::Sequencer`] decides, [`comp::node::Node`] makes the address known, [`nd::Solicitor`] and
//! [`dhcpv6::client::Client`] find the router and the address; this module lets them act on
//! the kernel and reports their phases.

mod address;
mod link;
mod lqi;
mod settings;
mod sleep;

use std::net::Ipv6Addr;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result};
use coap::message::PORT;
use comp::client;
use comp::node::{self, Node};
use dhcpv6::CLIENT_PORT;
use driver::{Driver, Icmpv6, Ignored, Udp};
use handover::{Mobility, Sequencer, Step};
use nd::message::ROUTER_ADVERTISEMENT;
use nd::solicitor::{Advertised, Solicitor};
use nd::{ALL_NODES, HOP_LIMIT};
use netlink::HeardFrame;
use rundir::EventKind;
use rundir::control::Control;
use topology::plan::{MobileNodePlan, RadioInterface};
use units::SimTime;

use crate::Host;
use crate::host::{Events, earlier, instant, now};
use crate::polls::Polling;
use crate::radio::Radio;
use crate::resource::Resources;

use address::check;
pub(crate) use lqi::LqiConfig;
use lqi::{LqiSource, next_frame};
pub(crate) use settings::binding_mode;
use settings::{dhcp_config, handover_config, node_config, solicitor_config};
use sleep::Sleep;

/// Runs the daemon; with `lqi` its own radio sets its signal registers, without it is told them.
pub(crate) async fn run(
    host: Host,
    plan: MobileNodePlan,
    radio: RadioInterface,
    lqi: Option<LqiConfig>,
) -> Result<()> {
    let mut node = MobileNode::open(host, plan, &radio, lqi).await?;
    node.report_tuned()?;
    node.solicitor.with(|solicitor, now| solicitor.start(now));
    loop {
        node.pump().await?;
        if !node.step().await? {
            return Ok(());
        }
    }
}

/// Reports what the sequencer has to tell.
fn report(handover: &mut Sequencer, events: &Events) -> Result<()> {
    while let Some(event) = handover.poll_event() {
        events.report(event.into())?;
    }
    Ok(())
}

type Checking = Pin<Box<dyn Future<Output = Result<()>>>>;

struct MobileNode {
    host: Host,
    plan: MobileNodePlan,
    coap: Driver<Node>,
    resources: Resources,
    polling: Polling,
    handover: Sequencer,
    solicitor: Driver<Solicitor, Icmpv6>,
    dhcp: Driver<dhcpv6::Client>,
    radio: Radio,
    /// None: control lines bring the signal registers.
    lqi: Option<LqiSource>,
    /// Index of the candidate whose PAN the radio belongs to.
    tuned: usize,
    router: Option<Advertised>,
    /// Router advertisements that were none.
    ignored: Ignored,
    t_addr: Option<Ipv6Addr>,
    sleep: Sleep,
    /// Duplicate address detection that the next step waits for.
    checking: Option<(Ipv6Addr, Checking)>,
    /// Duplicate address detection of an address that is in use meanwhile (RFC 4429).
    verifying: Option<(Ipv6Addr, Checking)>,
}

impl MobileNode {
    async fn open(
        host: Host,
        plan: MobileNodePlan,
        at_start: &RadioInterface,
        lqi: Option<LqiConfig>,
    ) -> Result<MobileNode> {
        let mut radio = Radio::open(&host.interfaces).await?;
        let open = |config| LqiSource::open(&host.interfaces.wpan, &radio, config, now());
        let lqi = lqi.map(open).transpose()?;
        radio.configure_host(Duration::ZERO, plan.handover.dad)?;
        radio.add_link_local().await?;
        let candidate = |channel, pan_id| {
            let mut candidates = plan.candidates.iter();
            candidates.position(|c| c.channel == channel && c.pan_id == pan_id)
        };
        // After a crash the radio is where the last handover left it, or between two PANs.
        let found = radio.tuned().and_then(|(c, p)| candidate(c, p));
        let tuned = match found {
            Some(tuned) => tuned,
            None => {
                let start = candidate(at_start.channel, at_start.pan_id)
                    .context("the PAN at the start is not among the candidates")?;
                radio.retune(&plan.candidates[start]).await?;
                start
            }
        };
        let lowpan_name = host.interfaces.lowpan.clone();
        let node = Node::new(node_config(&plan), host.rng("coap"));
        let solicitor = Solicitor::new(
            solicitor_config(&plan, &radio),
            host.rng("router-solicitations"),
        )?;
        let icmpv6 = Icmpv6::open(&lowpan_name, &[ALL_NODES], ROUTER_ADVERTISEMENT, HOP_LIMIT)?;
        let dhcp = dhcpv6::Client::new(dhcp_config(&plan, &radio), host.rng("dhcpv6"))?;
        let dhcp_socket = Udp::open(CLIENT_PORT, Some(&lowpan_name))?;
        Ok(MobileNode {
            coap: Driver::new(node, Udp::open(PORT, None)?)?,
            resources: Resources::new(plan.resources.clone(), host.rng("readings")),
            polling: Polling::new(plan.polls.clone(), host.rng("polls")),
            handover: Sequencer::attaching(handover_config(&plan, tuned)),
            solicitor: Driver::new(solicitor, icmpv6)?,
            dhcp: Driver::new(dhcp, dhcp_socket)?,
            radio,
            lqi,
            tuned,
            router: None,
            ignored: Ignored::default(),
            t_addr: None,
            sleep: Sleep::new(plan.sleep.clone()),
            checking: None,
            verifying: None,
            host,
            plan,
        })
    }

    /// Waits for one input and handles it; `false` when told to leave.
    async fn step(&mut self) -> Result<bool> {
        let awake = !self.sleep.is_asleep();
        let here = self.is_here();
        let of_link = self.resources.next_due();
        let of_handover = self.handover.poll_timeout().filter(|_| awake);
        let deadline = earlier(of_handover, of_link.filter(|_| here));
        let deadline = earlier(deadline, self.sleep.poll_timeout());
        let silence = self.lqi.as_ref().and_then(LqiSource::poll_timeout);
        let deadline = earlier(deadline, silence);
        let asks = self.may_ask();
        let deadline = earlier(deadline, self.polling.next_due().filter(|_| asks));
        tokio::select! {
            event = self.coap.next_event(), if here => {
                self.on_coap(event.context("CoAP socket")?)?;
            }
            heard = self.solicitor.next_event(), if here => {
                self.on_advertisement(heard.context("ICMPv6 socket")?).await?;
            }
            event = self.dhcp.next_event(), if here => {
                self.on_dhcp(event.context("DHCPv6 socket")?).await?;
            }
            checked = check(&mut self.checking), if here => self.on_checked(checked).await?,
            (address, outcome) = check(&mut self.verifying), if here => {
                if let Err(error) = outcome {
                    self.on_duplicate(address, &error).await?;
                }
            }
            () = tokio::time::sleep_until(instant(deadline)) => {
                self.on_sleep_timeout()?;
                let now = now();
                let silent = self.lqi.as_mut().and_then(|lqi| lqi.handle_timeout(now));
                if let Some(signal) = silent {
                    self.handover.handle_signal(now, signal);
                }
                if awake {
                    self.handover.handle_timeout(now);
                }
                if here {
                    self.resources.notify_due(&mut self.coap);
                }
                if asks {
                    self.polling.ask_due(&mut self.coap);
                }
            }
            frame = next_frame(&self.lqi) => self.on_frame(&frame?),
            control = self.host.commands.next() => match control? {
                Control::Signal(signal) => self.handover.handle_signal(now(), signal),
                Control::Stop => return Ok(false),
                Control::Start => {
                    self.sleep.start(now());
                    self.resources.start(now());
                    self.polling.start(now());
                }
                Control::Wake => self.wake_early()?,
                Control::Drain => self.polling.drain(&mut self.coap),
            },
        }
        self.polling.report_if_drained(&self.host.events)?;
        Ok(true)
    }

    /// The node's own radio received a frame.
    fn on_frame(&mut self, frame: &HeardFrame) {
        let now = now();
        let heard = self.lqi.as_mut().and_then(|lqi| lqi.heard(now, frame));
        if let Some(signal) = heard {
            self.handover.handle_signal(now, signal);
        }
    }

    /// Sends what the cores want sent and carries out what they decided, until they are quiet.
    async fn pump(&mut self) -> Result<()> {
        loop {
            report(&mut self.handover, &self.host.events)?;
            let Some(command) = self.handover.poll_command() else {
                return Ok(());
            };
            // Listening around does not keep an announced sleep from coming.
            if !matches!(command, handover::Command::Listen { .. }) {
                self.give_up_sleep()?;
            }
            self.carry_out(command).await?;
        }
    }

    async fn carry_out(&mut self, command: handover::Command) -> Result<()> {
        match command {
            handover::Command::Prepare => self.tell(|node, now| node.prepare(now))?,
            handover::Command::Retune { candidate } => {
                self.retune(candidate).await?;
                self.handover.link_ready(now());
            }
            handover::Command::Listen { channel } => self.listen(channel).await?,
            handover::Command::Stay => {
                if let Some(t_addr) = self.t_addr {
                    self.tell(|node, now| node.stay(now, t_addr))?;
                }
            }
            handover::Command::Solicit => {
                self.solicitor.with(|solicitor, now| solicitor.start(now))
            }
            handover::Command::AcquireAddress => self.acquire_address().await?,
            handover::Command::CheckAddress { address } => self.start_check(address),
            handover::Command::Bind { address } => self.bind(address)?,
        }
        Ok(())
    }

    /// Makes it known that the node is at `t_addr`.
    fn bind(&mut self, t_addr: Ipv6Addr) -> Result<()> {
        self.tell(|node, now| node.bind(now, t_addr))
    }

    /// Gives the mobility protocol a command of a handover, which takes the place of what it was
    /// about. A phase that begins with it is reported before its first message leaves.
    fn tell(&mut self, command: impl FnOnce(&mut Node, SimTime)) -> Result<()> {
        let MobileNode {
            coap,
            handover,
            host,
            ..
        } = self;
        coap.with(|node, now| {
            command(node, now);
            while let Some(step) = node.poll_step() {
                handover.handle_step(now, step);
            }
            report(handover, &host.events)
        })
    }

    /// The mobility protocol has taken a step.
    fn on_step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Attached { address } => {
                if self.handover.is_attaching() && self.t_addr == Some(address) {
                    self.handover.handle_step(now(), step);
                    self.host.events.report(EventKind::Ready)?;
                }
                return Ok(());
            }
            Step::SleepAnnounced => return self.on_sleep_announced(),
            Step::SleepRefused { reason } => {
                tracing::warn!(%reason, "sleep not announced; staying awake");
                return self.on_sleep_refused();
            }
            Step::Failed { ref reason } => tracing::warn!(%reason, "mobility"),
            _ => {}
        }
        self.handover.handle_step(now(), step);
        Ok(())
    }

    fn on_coap(&mut self, event: node::Event) -> Result<()> {
        let now = now();
        match event {
            node::Event::Request {
                exchange, request, ..
            } => {
                self.resources.serve(&mut self.coap, exchange, &request);
                self.handover.first_request(now);
            }
            node::Event::Client(event) => {
                // What others answer is traffic that has resumed, too.
                if matches!(event, client::Event::Answered { .. }) {
                    self.handover.first_request(now);
                }
                self.polling.on_event(&self.host.events, event)?;
            }
            node::Event::Block { .. } => self.handover.first_request(now),
            node::Event::Step(step) => {
                self.on_step(step)?;
                // What it took in one instant counts as one.
                while let Some(step) = self.coap.with(|node, _| node.poll_step()) {
                    self.on_step(step)?;
                }
            }
            node::Event::Binding(event) => self.host.events.report(event.into())?,
            node::Event::RegistrationFailed { reason } => {
                tracing::warn!(%reason, "registration at the WMMS failed; it is repeated");
            }
            node::Event::DeregistrationFailed { reason } => {
                tracing::warn!(%reason, "deregistration failed");
            }
            node::Event::Deregistered | node::Event::HoldAnswered { .. } => {}
        }
        Ok(())
    }
}
