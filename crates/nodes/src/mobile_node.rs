//! The mobile node's daemon: a CoAP server that hands over (comp.md, "A handover").
//!
//! [`comp::handover::Handover`] decides, [`comp::node::Node`] signals, [`nd::Solicitor`] and
//! [`dhcpv6::client::Client`] find the router and the address; this module lets them act on
//! the kernel and reports their phases.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use coap::io::Driver;
use coap::message::PORT;
use comp::handover::{self, Handover};
use comp::node::{self, Node};
use dhcpv6::{CLIENT_PORT, Duid};
use nd::message::ROUTER_ADVERTISEMENT;
use nd::solicitor::{Advertised, Solicitor};
use rundir::EventKind;
use rundir::control::Control;
use tokio::net::UdpSocket;
use topology::plan::{AddressMode, BindingMode, DadMode, MobileNodePlan, RadioInterface};
use units::{Channel, Dbm, PanId};

use crate::host::{earlier, instant, now};
use crate::icmpv6::{self, Icmpv6Socket};
use crate::radio::Radio;
use crate::resource::Resources;
use crate::{Host, coap_params};

/// How long duplicate address detection may take before the address is given up: ten times
/// the default RetransTimer.
const DAD_DEADLINE: Duration = Duration::from_secs(10);

pub(crate) async fn run(host: Host, plan: MobileNodePlan, radio: RadioInterface) -> Result<()> {
    let mut node = MobileNode::open(host, plan, &radio).await?;
    node.solicitor.start(now());
    loop {
        node.pump().await?;
        if !node.step().await? {
            return Ok(());
        }
    }
}

/// The binding mode in the core's words.
pub(crate) fn binding_mode(mode: BindingMode) -> comp::BindingMode {
    match mode {
        BindingMode::Direct => comp::BindingMode::Direct,
        BindingMode::Relayed => comp::BindingMode::Relayed,
    }
}

/// Where the node stands with its temporary address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Bringing itself up for the first time.
    Attaching,
    /// Registered; handovers are the handover core's business.
    Attached,
}

type Checking = Pin<Box<dyn Future<Output = Result<()>>>>;

struct MobileNode {
    host: Host,
    plan: MobileNodePlan,
    stage: Stage,
    coap: Driver<Node>,
    resources: Resources,
    handover: Handover,
    solicitor: Solicitor,
    icmp: Icmpv6Socket,
    dhcp: dhcpv6::client::Client,
    dhcp_socket: UdpSocket,
    buffer: Vec<u8>,
    radio: Radio,
    /// Index of the candidate that the radio is tuned to.
    tuned: usize,
    lowpan: u32,
    router: Option<Advertised>,
    t_addr: Option<Ipv6Addr>,
    /// Duplicate address detection that the next step waits for.
    checking: Option<(Ipv6Addr, Checking)>,
    /// Duplicate address detection of an address that is in use meanwhile (RFC 4429).
    verifying: Option<(Ipv6Addr, Checking)>,
    /// What is heard of each candidate, as far as it is known.
    signals: BTreeMap<usize, Option<Dbm>>,
}

impl MobileNode {
    async fn open(
        host: Host,
        plan: MobileNodePlan,
        at_start: &RadioInterface,
    ) -> Result<MobileNode> {
        let mut radio = Radio::open(&host.interfaces).await?;
        radio.configure_host(Duration::ZERO, plan.handover.dad)?;
        radio.add_link_local().await?;
        let candidate = |channel, pan_id| {
            let mut candidates = plan.candidates.iter();
            candidates.position(|c| c.channel == channel && c.pan_id == pan_id)
        };
        // After a crash the radio is where the last handover left it, or between two PANs.
        let found = radio.found_at().and_then(|(c, p)| candidate(c, p));
        let tuned = match found {
            Some(tuned) => tuned,
            None => {
                let start = candidate(at_start.channel, at_start.pan_id)
                    .context("the PAN at the start is not among the candidates")?;
                radio.retune(&plan.candidates[start], false).await?;
                start
            }
        };
        let lowpan_name = host.interfaces.lowpan.clone();
        let node = Node::new(node_config(&plan), host.rng("coap"));
        let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        Ok(MobileNode {
            stage: Stage::Attaching,
            coap: Driver::from_socket(node, icmpv6::udp(PORT, None)?)?,
            resources: Resources::new(plan.resources.clone(), host.rng("readings")),
            handover: Handover::new(handover_config(&plan, tuned)),
            solicitor: Solicitor::new(
                solicitor_config(&plan, &radio),
                host.rng("router-solicitations"),
            )?,
            icmp: Icmpv6Socket::open(&lowpan_name, &[all_nodes], ROUTER_ADVERTISEMENT)?,
            dhcp: dhcpv6::client::Client::new(dhcp_config(&plan, &radio), host.rng("dhcpv6"))?,
            dhcp_socket: UdpSocket::from_std(icmpv6::udp(CLIENT_PORT, Some(&lowpan_name))?)?,
            buffer: vec![0; 65536],
            lowpan: nix::net::if_::if_nametoindex(lowpan_name.as_str())?,
            radio,
            tuned,
            router: None,
            t_addr: None,
            checking: None,
            verifying: None,
            signals: BTreeMap::new(),
            host,
            plan,
        })
    }

    /// Waits for one input and handles it; `false` when told to leave.
    async fn step(&mut self) -> Result<bool> {
        let deadline = earlier(
            self.handover.poll_timeout(),
            earlier(self.solicitor.poll_timeout(), self.dhcp.poll_timeout()),
        );
        tokio::select! {
            event = self.coap.next_event() => self.on_coap(event.context("CoAP socket")?)?,
            received = self.icmp.receive() => self.on_advertisement(received?).await?,
            received = self.dhcp_socket.recv_from(&mut self.buffer) => {
                let (length, _) = received.context("DHCPv6 socket")?;
                if let Err(ignored) = self.dhcp.handle_datagram(now(), &self.buffer[..length]) {
                    tracing::debug!(%ignored, "DHCPv6 message ignored");
                }
            }
            checked = check(&mut self.checking) => self.on_checked(checked).await?,
            (address, outcome) = check(&mut self.verifying) => if let Err(error) = outcome {
                self.on_duplicate(address, &error).await?;
            },
            () = tokio::time::sleep_until(instant(deadline)) => {
                let now = now();
                self.handover.handle_timeout(now);
                self.solicitor.handle_timeout(now);
                self.dhcp.handle_timeout(now);
            }
            control = self.host.commands.next() => match control? {
                Control::Signal { channel, pan_id, rssi } => {
                    self.on_signal(channel, pan_id, rssi).await?;
                }
                Control::Stop => return Ok(false),
                Control::Start | Control::Drain => {}
            },
        }
        Ok(true)
    }

    /// Sends what the cores want sent and carries out what they decided, until they are quiet.
    async fn pump(&mut self) -> Result<()> {
        loop {
            while let Some(event) = self.handover.poll_event() {
                self.host.events.report(event_kind(event))?;
            }
            while let Some(solicitation) = self.solicitor.poll_transmit() {
                self.icmp.send(solicitation.to, &solicitation.icmpv6);
            }
            while let Some(message) = self.dhcp.poll_transmit() {
                let mut to = message.to;
                to.set_scope_id(self.lowpan);
                if let Err(error) = self.dhcp_socket.send_to(&message.payload, to).await {
                    tracing::debug!(%error, "DHCPv6 message lost");
                }
            }
            if let Some(event) = self.dhcp.poll_event() {
                self.on_dhcp(event).await?;
            } else if let Some(command) = self.handover.poll_command() {
                self.carry_out(command).await?;
            } else {
                return Ok(());
            }
        }
    }

    async fn carry_out(&mut self, command: handover::Command) -> Result<()> {
        match command {
            handover::Command::Hold => self.coap.with(|node, now| node.hold(now)),
            handover::Command::Retune { candidate } => {
                self.retune(candidate).await?;
                self.handover.link_ready(now());
            }
            handover::Command::Solicit => self.solicitor.start(now()),
            handover::Command::AcquireAddress => self.acquire_address().await?,
            handover::Command::CheckAddress { address } => self.start_check(address),
            handover::Command::Bind { t_addr } => {
                let mode = binding_mode(self.plan.handover.binding);
                self.coap.with(|node, now| node.bind(now, t_addr, mode));
            }
        }
        Ok(())
    }

    /// Moves the radio to a candidate.
    async fn retune(&mut self, candidate: usize) -> Result<()> {
        self.leave_link().await?;
        let target = self.plan.candidates[candidate].clone();
        let same_pan = self.plan.candidates[self.tuned].pan_id == target.pan_id;
        self.radio.retune(&target, same_pan).await?;
        self.tuned = candidate;
        self.icmp.discard();
        Ok(())
    }

    /// A signal register changed. The first attachment is no handover: while it lasts, a router
    /// that is not heard is left for the strongest one that is.
    async fn on_signal(&mut self, channel: Channel, pan: PanId, rssi: Option<Dbm>) -> Result<()> {
        let mut candidates = self.plan.candidates.iter();
        let Some(changed) = candidates.position(|c| c.channel == channel && c.pan_id == pan) else {
            return Ok(());
        };
        self.signals.insert(changed, rssi);
        if self.stage == Stage::Attached {
            self.handover.handle_signal(now(), channel, pan, rssi);
        } else if self.signals.get(&self.tuned) == Some(&None) {
            let heard = self
                .signals
                .iter()
                .filter_map(|(i, rssi)| Some((*i, (*rssi)?)));
            if let Some((best, _)) = heard.max_by(|a, b| a.1.0.total_cmp(&b.1.0)) {
                self.retune(best).await?;
                self.solicitor.start(now());
            }
        }
        Ok(())
    }

    /// From here on the handover core decides.
    fn attached(&mut self) {
        self.stage = Stage::Attached;
        self.handover = Handover::new(handover_config(&self.plan, self.tuned));
        for (&index, &rssi) in &self.signals {
            let (channel, pan_id) = {
                let candidate = &self.plan.candidates[index];
                (candidate.channel, candidate.pan_id)
            };
            self.handover.handle_signal(now(), channel, pan_id, rssi);
        }
    }

    /// Forgets what belongs to the link that is left.
    async fn leave_link(&mut self) -> Result<()> {
        self.checking = None;
        self.verifying = None;
        self.router = None;
        self.solicitor.stop();
        self.dhcp.stop();
        match self.t_addr.take() {
            Some(address) => self.radio.remove_address(address).await,
            None => Ok(()),
        }
    }

    fn on_coap(&mut self, event: node::Event) -> Result<()> {
        let now = now();
        match event {
            node::Event::Request {
                exchange, request, ..
            } => {
                let response = self.resources.answer(&request);
                self.coap
                    .with(|node, now| node.respond(now, exchange, response));
                self.handover.first_request(now);
            }
            node::Event::HoldAnswered { .. } => self.handover.hold_done(now),
            node::Event::HoldFailed { reason } => {
                tracing::warn!(%reason, "hold not answered; handing over without it");
                self.handover.hold_done(now);
            }
            node::Event::Bound { .. } => self.handover.bound(now),
            node::Event::BindFailed { reason } => self
                .handover
                .step_failed(now, format!("binding update: {reason}")),
            node::Event::Registered { p_addr, t_addr } => {
                self.host
                    .events
                    .report(EventKind::Registered { p_addr, t_addr })?;
                if self.stage == Stage::Attaching && self.t_addr == Some(t_addr) {
                    self.attached();
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

    async fn on_advertisement(&mut self, received: icmpv6::Received) -> Result<()> {
        let now = now();
        let advertised = match self.solicitor.handle_advertisement(
            received.source,
            received.hop_limit,
            &received.message,
        ) {
            Ok(advertised) => advertised,
            Err(error) => {
                tracing::warn!(source = %received.source, %error, "router advertisement ignored");
                return Ok(());
            }
        };
        if self.router.is_some() || advertised.router_lifetime.is_zero() {
            return Ok(());
        }
        self.radio.configure_host(
            advertised.retrans_timer.unwrap_or_default(),
            self.plan.handover.dad,
        )?;
        self.radio.set_default_router(advertised.router).await?;
        self.router = Some(advertised);
        match self.stage {
            Stage::Attaching => self.acquire_address().await,
            Stage::Attached => {
                self.handover.router_advertised(now);
                Ok(())
            }
        }
    }

    /// Starts DHCPv6, or forms the address from the advertised prefix.
    async fn acquire_address(&mut self) -> Result<()> {
        match self.plan.handover.address {
            AddressMode::Dhcpv6 => {
                self.dhcp.start(now());
                Ok(())
            }
            AddressMode::Slaac => {
                let router = self.router.as_ref().context("an address before a router")?;
                let eui64 = self.radio.eui64();
                let formed = router
                    .prefixes
                    .iter()
                    .find_map(|p| p.autonomous_address(eui64));
                let Some(address) = formed else {
                    bail!(
                        "{} advertises no prefix with the A flag for SLAAC",
                        router.router
                    );
                };
                self.have_address(address).await
            }
        }
    }

    async fn on_dhcp(&mut self, event: dhcpv6::client::Event) -> Result<()> {
        match event {
            dhcpv6::client::Event::Bound(lease) => {
                let address = lease.address;
                self.host.events.report(EventKind::Leased { address })?;
                if self.t_addr == Some(address) {
                    Ok(())
                } else {
                    self.have_address(address).await
                }
            }
            dhcpv6::client::Event::Failed(reason) => {
                tracing::warn!(%reason, "DHCPv6 failed");
                self.handover
                    .step_failed(now(), format!("DHCPv6: {reason}"));
                Ok(())
            }
            dhcpv6::client::Event::Expired { address } => {
                tracing::warn!(%address, "lease expired");
                self.drop_address(address).await
            }
            dhcpv6::client::Event::Released { .. } => Ok(()),
        }
    }

    /// An address was leased or formed: onto the interface with it.
    async fn have_address(&mut self, address: Ipv6Addr) -> Result<()> {
        let settings = &self.plan.handover;
        self.radio
            .add_address(address, settings.address, settings.dad)
            .await?;
        self.t_addr = Some(address);
        if settings.dad == DadMode::Optimistic {
            let verified = self.radio.checked(address, DAD_DEADLINE);
            self.verifying = Some((address, Box::pin(verified)));
        }
        if self.stage == Stage::Attached && self.handover.in_progress() {
            self.handover.address_acquired(now(), address);
        } else {
            self.start_check(address);
        }
        Ok(())
    }

    /// Takes an address away that must not be used any more.
    async fn drop_address(&mut self, address: Ipv6Addr) -> Result<()> {
        if self.t_addr == Some(address) {
            self.t_addr = None;
        }
        self.radio.remove_address(address).await
    }

    /// Somebody else has the address, or the check did not end.
    async fn on_duplicate(&mut self, address: Ipv6Addr, error: &anyhow::Error) -> Result<()> {
        tracing::warn!(%address, %error, "duplicate address detection failed");
        self.checking = None;
        self.drop_address(address).await?;
        // RFC 8415 §18.2.8; the client then asks for another one.
        self.dhcp.decline(now());
        self.handover
            .step_failed(now(), format!("{address}: {error}"));
        Ok(())
    }

    fn start_check(&mut self, address: Ipv6Addr) {
        self.checking = Some((address, Box::pin(self.radio.usable(address, DAD_DEADLINE))));
    }

    async fn on_checked(&mut self, (address, outcome): (Ipv6Addr, Result<()>)) -> Result<()> {
        match outcome {
            Ok(()) if self.stage == Stage::Attaching => {
                self.coap.with(|node, now| node.register(now, address));
                Ok(())
            }
            Ok(()) if self.handover.in_progress() => {
                self.handover.address_usable(now(), address);
                Ok(())
            }
            // Another lease at the same router: no handover, but a new binding.
            Ok(()) => {
                let mode = binding_mode(self.plan.handover.binding);
                self.coap.with(|node, now| node.bind(now, address, mode));
                Ok(())
            }
            Err(error) => self.on_duplicate(address, &error).await,
        }
    }
}

/// The end of the check in progress, or never without one. Cancel-safe.
async fn check(checking: &mut Option<(Ipv6Addr, Checking)>) -> (Ipv6Addr, Result<()>) {
    let Some((address, future)) = checking else {
        return std::future::pending().await;
    };
    let (address, outcome) = (*address, future.await);
    *checking = None;
    (address, outcome)
}

fn node_config(plan: &MobileNodePlan) -> node::Config {
    node::Config {
        p_addr: plan.p_addr,
        wmms: SocketAddrV6::new(plan.wmms, PORT, 0, 0),
        lifetime: plan.lifetime,
        coap: coap_params(&plan.coap),
    }
}

fn handover_config(plan: &MobileNodePlan, serving: usize) -> handover::Config {
    let candidate = |c: &topology::plan::CandidatePlan| handover::Candidate {
        router: c.router.clone(),
        channel: c.channel,
        pan_id: c.pan_id,
    };
    let trigger = &plan.handover.trigger;
    handover::Config {
        candidates: plan.candidates.iter().map(candidate).collect(),
        serving,
        trigger: handover::Trigger {
            threshold: trigger.threshold,
            hysteresis: trigger.hysteresis,
            samples: trigger.samples,
            sample_every: trigger.sample_every,
        },
        hold: plan.handover.hold,
        dad: plan.handover.dad == DadMode::Normal,
    }
}

fn solicitor_config(plan: &MobileNodePlan, radio: &Radio) -> nd::solicitor::Config {
    let settings = &plan.handover.router_solicitation;
    nd::solicitor::Config {
        max_delay: settings.max_delay,
        interval: settings.interval,
        max_solicitations: settings.max_solicitations,
        source_link_layer: Some(radio.eui64()),
    }
}

fn dhcp_config(plan: &MobileNodePlan, radio: &Radio) -> dhcpv6::client::Config {
    let settings = &plan.handover.dhcpv6;
    dhcpv6::client::Config {
        rapid_commit: settings.rapid_commit,
        solicit_max_delay: settings.solicit_max_delay,
        solicit_timeout: settings.solicit_timeout,
        request_timeout: settings.request_timeout,
        ..dhcpv6::client::Config::new(Duid::link_layer(radio.eui64()), 1)
    }
}

fn event_kind(event: handover::Event) -> EventKind {
    match event {
        handover::Event::HandoverStarted {
            handover,
            from,
            reason,
        } => EventKind::HandoverStarted {
            handover,
            from,
            reason: reason.to_string(),
        },
        handover::Event::PhaseStarted { handover, phase } => EventKind::PhaseStarted {
            handover,
            phase: run_phase(phase),
        },
        handover::Event::PhaseEnded { handover, phase } => EventKind::PhaseEnded {
            handover,
            phase: run_phase(phase),
        },
        handover::Event::HandoverCompleted {
            handover,
            to,
            t_addr,
        } => EventKind::HandoverCompleted {
            handover,
            to,
            t_addr,
        },
        handover::Event::HandoverFailed { handover, reason } => {
            EventKind::HandoverFailed { handover, reason }
        }
    }
}

fn run_phase(phase: handover::Phase) -> rundir::Phase {
    match phase {
        handover::Phase::Trigger => rundir::Phase::Trigger,
        handover::Phase::Hold => rundir::Phase::Hold,
        handover::Phase::Link => rundir::Phase::Link,
        handover::Phase::MovementDetection => rundir::Phase::MovementDetection,
        handover::Phase::Address => rundir::Phase::Address,
        handover::Phase::Dad => rundir::Phase::Dad,
        handover::Phase::Binding => rundir::Phase::Binding,
        handover::Phase::Resume => rundir::Phase::Resume,
    }
}
