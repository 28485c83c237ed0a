//! The mobile node's daemon: a CoAP server that hands over (comp.md, "A handover"), and polls
//! others over the same socket if the plan says so.
//!
//! [`comp::handover::Handover`] decides, [`comp::node::Node`] signals, [`nd::Solicitor`] and
//! [`dhcpv6::client::Client`] find the router and the address; this module lets them act on
//! the kernel and reports their phases.

mod address;
mod ear;
mod link;
mod settings;
mod sleep;

use std::net::Ipv6Addr;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result};
use coap::message::PORT;
use comp::client;
use comp::handover::{self, Handover};
use comp::node::{self, Node};
use dhcpv6::CLIENT_PORT;
use driver::{Driver, Icmpv6, Ignored, Udp};
use nd::message::ROUTER_ADVERTISEMENT;
use nd::solicitor::{Advertised, Solicitor};
use nd::{ALL_NODES, HOP_LIMIT};
use netlink::HeardFrame;
use rundir::EventKind;
use rundir::control::Control;
use service::{Outcome, Reach, Services};
use topology::plan::{MobileNodePlan, RadioInterface};

use crate::Host;
use crate::host::{earlier, instant, now};
use crate::radio::Radio;
use crate::services::{OnNode, report_binding, requester, sensors};

use address::check;
pub(crate) use ear::Hearing;
use ear::{Ear, hear};
pub(crate) use settings::binding_mode;
use settings::{dhcp_config, event_kind, handover_config, node_config, solicitor_config};
use sleep::Sleep;

/// Runs the daemon; with a `hearing` its own radio is what it hears with, without one it is told.
pub(crate) async fn run(
    host: Host,
    plan: MobileNodePlan,
    radio: RadioInterface,
    hearing: Option<Hearing>,
) -> Result<()> {
    let mut node = MobileNode::open(host, plan, &radio, hearing).await?;
    node.report_tuned()?;
    node.solicitor.with(|solicitor, now| solicitor.start(now));
    loop {
        node.pump().await?;
        if !node.step().await? {
            return Ok(());
        }
    }
}

type Checking = Pin<Box<dyn Future<Output = Result<()>>>>;

struct MobileNode {
    host: Host,
    plan: MobileNodePlan,
    coap: Driver<Node>,
    services: OnNode,
    handover: Handover,
    solicitor: Driver<Solicitor, Icmpv6>,
    dhcp: Driver<dhcpv6::Client>,
    radio: Radio,
    /// None: control lines bring the signal registers.
    ear: Option<Ear>,
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
        hearing: Option<Hearing>,
    ) -> Result<MobileNode> {
        let mut radio = Radio::open(&host.interfaces).await?;
        let open_ear = |hearing| Ear::open(&host.interfaces.wpan, &radio, hearing);
        let ear = hearing.map(open_ear).transpose()?;
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
        let mut services = Services::new();
        services.push(sensors(&host, &plan.resources)?);
        services.push(requester(&host, &plan.polls)?);
        let solicitor = Solicitor::new(
            solicitor_config(&plan, &radio),
            host.rng("router-solicitations"),
        )?;
        let icmpv6 = Icmpv6::open(&lowpan_name, &[ALL_NODES], ROUTER_ADVERTISEMENT, HOP_LIMIT)?;
        let dhcp = dhcpv6::Client::new(dhcp_config(&plan, &radio), host.rng("dhcpv6"))?;
        let dhcp_socket = Udp::open(CLIENT_PORT, Some(&lowpan_name))?;
        Ok(MobileNode {
            coap: Driver::new(node, Udp::open(PORT, None)?)?,
            services: OnNode::new(services),
            handover: Handover::attaching(handover_config(&plan, tuned)),
            solicitor: Driver::new(solicitor, icmpv6)?,
            dhcp: Driver::new(dhcp, dhcp_socket)?,
            radio,
            ear,
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
        let reach = Reach {
            sends: here,
            asks: self.may_ask(),
        };
        let of_handover = self.handover.poll_timeout().filter(|_| awake);
        let deadline = earlier(of_handover, self.services.poll_timeout(reach));
        let deadline = earlier(deadline, self.sleep.poll_timeout());
        let silence = self.ear.as_ref().and_then(Ear::poll_timeout);
        let deadline = earlier(deadline, silence);
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
                let silent = self.ear.as_mut().and_then(|ear| ear.handle_timeout(now));
                if let Some((channel, pan_id, rssi)) = silent {
                    self.handover.handle_signal(now, channel, pan_id, rssi);
                }
                if awake {
                    self.handover.handle_timeout(now);
                }
                self.services.handle_timeout(&mut self.coap, reach);
            }
            frame = hear(&self.ear) => self.on_frame(&frame?),
            control = self.host.commands.next() => match control? {
                Control::Signal { channel, pan_id, rssi } => {
                    self.handover.handle_signal(now(), channel, pan_id, rssi);
                }
                Control::Stop => return Ok(false),
                Control::Start => {
                    self.sleep.start(now());
                    self.services.start(&mut self.coap);
                }
                Control::Wake => self.wake_early()?,
                Control::Drain => self.services.drain(&mut self.coap),
            },
        }
        self.services.report(&self.host.events)?;
        Ok(true)
    }

    /// The node's own radio received a frame.
    fn on_frame(&mut self, frame: &HeardFrame) {
        let now = now();
        let heard = self.ear.as_mut().and_then(|ear| ear.heard(now, frame));
        if let Some((channel, pan_id, rssi)) = heard {
            self.handover.handle_signal(now, channel, pan_id, rssi);
        }
    }

    /// Sends what the cores want sent and carries out what they decided, until they are quiet.
    async fn pump(&mut self) -> Result<()> {
        loop {
            while let Some(event) = self.handover.poll_event() {
                self.host.events.report(event_kind(event))?;
            }
            let Some(command) = self.handover.poll_command() else {
                return Ok(());
            };
            // Listening around does not keep a hold's answer from coming.
            if !matches!(command, handover::Command::Listen { .. }) {
                self.give_up_sleep()?;
            }
            self.carry_out(command).await?;
        }
    }

    async fn carry_out(&mut self, command: handover::Command) -> Result<()> {
        match command {
            handover::Command::Hold => self.coap.with(|node, now| node.hold(now)),
            handover::Command::Retune { candidate } => {
                self.retune(candidate).await?;
                self.handover.link_ready(now());
            }
            handover::Command::Listen { channel } => self.listen(channel).await?,
            // The WMMS and the correspondents take a binding for the end of a hold.
            handover::Command::Release => {
                if let Some(t_addr) = self.t_addr {
                    self.bind(t_addr);
                }
            }
            handover::Command::Solicit => {
                self.solicitor.with(|solicitor, now| solicitor.start(now))
            }
            handover::Command::AcquireAddress => self.acquire_address().await?,
            handover::Command::CheckAddress { address } => self.start_check(address),
            handover::Command::Bind { t_addr } => self.bind(t_addr),
        }
        Ok(())
    }

    /// Tells the WMMS, and the correspondents as the plan says, that the node is at `t_addr`.
    fn bind(&mut self, t_addr: Ipv6Addr) {
        let mode = binding_mode(self.plan.handover.binding);
        self.coap.with(|node, now| node.bind(now, t_addr, mode));
    }

    fn on_coap(&mut self, event: node::Event) -> Result<()> {
        let now = now();
        let resumed = is_traffic(&event);
        let events = &self.host.events;
        let event = self.services.handle(&mut self.coap, events, event)?;
        if resumed {
            self.handover.first_request(now);
        }
        let Some(event) = event else {
            return Ok(());
        };
        match event {
            node::Event::Client(event) => report_binding(events, event)?,
            node::Event::Request { .. } | node::Event::Block { .. } => {}
            node::Event::HoldAnswered { .. } => {
                self.handover.hold_done(now);
                self.on_hold_answered()?;
            }
            node::Event::HoldFailed { reason } => {
                tracing::warn!(%reason, "hold not answered; going on without it");
                self.handover.hold_done(now);
                self.on_hold_failed();
            }
            node::Event::Bound { .. } => self.handover.bound(now),
            node::Event::BindFailed { reason } => self
                .handover
                .step_failed(now, format!("binding update: {reason}")),
            node::Event::Registered { p_addr, t_addr } => {
                self.host
                    .events
                    .report(EventKind::Registered { p_addr, t_addr })?;
                if self.handover.is_attaching() && self.t_addr == Some(t_addr) {
                    self.handover.attached(now);
                    self.host.events.report(EventKind::Ready)?;
                }
            }
            node::Event::RegistrationFailed { reason } => {
                tracing::warn!(%reason, "registration at the WMMS failed; it is repeated");
            }
            node::Event::DeregistrationFailed { reason } => {
                tracing::warn!(%reason, "deregistration failed");
            }
            node::Event::Deregistered => {}
        }
        Ok(())
    }
}

/// Whether an event is traffic that has resumed: what others ask, and what they answer.
fn is_traffic(event: &node::Event) -> bool {
    match event {
        node::Event::Request { .. } | node::Event::Block { .. } => true,
        node::Event::Client(client::Event::Call { outcome, .. }) => {
            matches!(outcome, Outcome::Answered(_))
        }
        _ => false,
    }
}
