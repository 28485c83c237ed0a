//! Which parts a node has, and control lines for all of them.

use std::cell::Cell;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rundir::control::Control;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use topology::Plan;
use topology::plan::{MobilityPlan, NodePlan, ServicePlan};

use crate::application::Application;
use crate::control::{Controls, Source};
use crate::endpoint::Endpoint;
use crate::host::{Events, Host, Interfaces, Shared, entropy};
use crate::mobility::{Adapter, WithoutMobility};
use crate::radio_host::{self, LqiConfig, LqiScale, SignalSource};
use crate::web::Bell;
use crate::{comp, connectivity, dhcpv6_server, http_client, mip6, router, services, wired};

/// What a daemon needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The resolved plan.
    pub plan: Plan,
    /// Which of its nodes this is.
    pub node: String,
    /// Whether control lines come on standard input.
    pub controlled: bool,
    /// How often the node crashed before.
    pub crashes: u32,
    /// Interface names.
    pub interfaces: Interfaces,
    /// Directory of what outlives the daemon; made when it is needed.
    pub state: PathBuf,
    /// The database in which a service keeps what outlives the daemon, if not in `state`.
    pub shared: Option<Shared>,
    /// Where the signal registers of a node that moves come from.
    pub signal: SignalSource,
}

/// Runs the daemon of `config.node` until it is told to stop. In a box, so that all of it is compiled here once, and not in every
/// program that runs one.
///
/// # Errors
/// When the node is not in the plan or is no daemon, and whatever stops the daemon.
pub fn run(config: Config) -> Pin<Box<dyn Future<Output = Result<()>>>> {
    Box::pin(async move {
        let name = config.node.clone();
        let done = run_parts(config).await;
        done.with_context(|| format!("node {name}"))
    })
}

async fn run_parts(config: Config) -> Result<()> {
    let Config { plan, node, .. } = &config;
    let names = || plan.nodes.keys().cloned().collect::<Vec<_>>().join(", ");
    let own = plan.nodes.get(node);
    let own = own.with_context(|| format!("it is not in the plan, which has {}", names()))?;
    ensure!(
        own.has_daemon(),
        "it is a program of the user's, not a daemon"
    );
    let mut source = Source::new(config.controlled)?;
    let mut parts = Parts::of(&config, own)?;
    let ended = run_told(&mut source, &mut parts).await;
    parts.host.events.finish().await;
    ended
}

/// Runs the parts, which hear what `source` says, until they end.
async fn run_told(source: &mut Source, parts: &mut Parts) -> Result<()> {
    let events = parts.host.events.clone();
    let mut stopping = false;
    loop {
        tokio::select! {
            control = source.next(), if !stopping => {
                let control = control?;
                stopping = control == Control::Stop;
                parts.tell(&control);
            }
            ended = parts.ended() => return ended,
            failed = events.keep_up() => return failed,
        }
    }
}

/// How long the scenario lasts from its start on. Whoever is alone, or was started anew in the middle, does not know.
fn lasts(config: &Config) -> Option<Duration> {
    let from_its_start = config.controlled && config.crashes == 0;
    from_its_start.then_some(config.plan.scenario.duration)
}

/// The parts of a node, side by side.
struct Parts {
    host: Host,
    controls: Vec<UnboundedSender<Control>>,
    running: Vec<Part>,
}

/// Not a task of its own: whatever wakes the daemon wakes its parts, without a detour that an
/// emulated processor would pay for.
type Part = Pin<Box<dyn Future<Output = Result<()>>>>;

impl Parts {
    /// Starts the parts of `node`.
    fn of(config: &Config, node: &NodePlan) -> Result<Parts> {
        let mut parts = Parts {
            host: Host {
                name: config.node.clone(),
                seed: config.plan.seed,
                crashes: config.crashes,
                entropy: (!config.controlled).then(entropy).transpose()?,
                events: Events::new(&config.node)?,
                interfaces: config.interfaces.clone(),
                state: config.state.clone(),
                shared: config.shared.clone(),
                unready: Rc::new(Cell::new(0)),
            },
            controls: Vec::new(),
            running: Vec::new(),
        };
        if let Some(plan) = node.router.clone() {
            let radio = node.radio.as_ref().context("an edge router has a radio")?;
            let eui64 = radio.eui64;
            if let Some(gateway) = plan.gateway.clone() {
                let plan = plan.clone();
                parts.start(|host, controls| {
                    mip6::proxy::gateway::run(host, controls, gateway, plan, eui64)
                });
            }
            let option = mip6::advertised;
            parts.start(|host, controls| router::run(host, controls, plan, eui64, option));
        }
        for service in node.services.clone() {
            match service {
                ServicePlan::Dhcpv6Server(plan) => {
                    parts.start(|host, controls| dhcpv6_server::run(host, controls, plan));
                }
                ServicePlan::HttpClient(plan) => {
                    let lasts = lasts(config);
                    parts.start(|host, controls| http_client::run(host, controls, plan, lasts));
                }
                ServicePlan::Wmms(plan) => {
                    let coap = node.coap.clone().context("a WMMS speaks CoAP")?;
                    let address = node.address;
                    parts.start(|host, controls| {
                        comp::wmms::run(host, controls, plan, coap, address)
                    });
                }
                ServicePlan::HomeAgent(plan) => {
                    let address = node.address;
                    parts.start(|host, controls| {
                        mip6::agent::home_agent(host, controls, plan, address)
                    });
                }
                ServicePlan::Map(plan) => {
                    parts.start(|host, controls| mip6::agent::map(host, controls, plan));
                }
                ServicePlan::Lma(plan) => {
                    let address = node.address;
                    parts.start(|host, controls| {
                        mip6::proxy::anchor::run(host, controls, plan, address)
                    });
                }
                ServicePlan::Correspondent(plan) => {
                    let address = node.address;
                    parts.start(|host, controls| {
                        mip6::correspondent::run(host, controls, plan, address)
                    });
                }
                // The application's.
                ServicePlan::Sensors(_)
                | ServicePlan::Polls(_)
                | ServicePlan::Lwm2mClient(_)
                | ServicePlan::Lwm2mBootstrapServer(_)
                | ServicePlan::Lwm2mServer(_)
                | ServicePlan::HttpGateway(_) => {}
                // Whoever started the daemon starts it, too.
                ServicePlan::Program(_) => {}
            }
        }
        if node.host.is_some() || node.mobility.is_some() || node.speaks_coap() {
            parts.start_application(config, node)?;
        }
        Ok(parts)
    }

    /// Starts the application, with the adapter of the node's mobility protocol.
    fn start_application(&mut self, config: &Config, node: &NodePlan) -> Result<()> {
        let endpoint = Endpoint::of(node, self.host.is_alone());
        match &node.mobility {
            // Who has Proxy Mobile IPv6 does nothing: its router does.
            None | Some(MobilityPlan::Proxy(_)) => {
                let adapter = WithoutMobility::open(&self.host, &endpoint)?;
                self.start_at_its_place(config, node, adapter)
            }
            Some(MobilityPlan::Comp(plan)) => {
                let adapter = comp::Comp::open(&self.host, &endpoint, plan)?;
                self.start_at_its_place(config, node, adapter)
            }
            Some(MobilityPlan::Mip6(plan)) => {
                let adapter = mip6::Mip6::open(&self.host, &endpoint, plan)?;
                self.start_at_its_place(config, node, adapter)
            }
        }
    }

    fn start_at_its_place<A>(&mut self, config: &Config, node: &NodePlan, adapter: A) -> Result<()>
    where
        A: Adapter + 'static,
    {
        let lasts = lasts(config);
        let bell = Bell::default();
        let steps = &config.plan.scenario.steps;
        let services = services::of(&self.host, node, lasts, steps, &bell)?;
        let application = Application::new(&self.host, adapter, services, bell);
        let Some(host_plan) = node.host.clone() else {
            let address = node.address;
            let connected = connectivity::wired(node);
            self.start(|host, controls| {
                wired::run(host, controls, application, address, connected)
            });
            return Ok(());
        };
        let radio = node.radio.clone().context("a radio host has a radio")?;
        let lqi = match (config.signal, &host_plan.handover) {
            (SignalSource::Radio { span }, Some(handover)) => {
                Some(LqiConfig::new(&config.plan, handover, &radio, span)?)
            }
            _ => None,
        };
        let scale = LqiScale::new(&config.plan, &radio, lqi.as_ref());
        self.start(|host, controls| {
            radio_host::run(host, controls, application, host_plan, radio, lqi, scale)
        });
        Ok(())
    }

    fn start<F>(&mut self, part: impl FnOnce(Host, Controls) -> F)
    where
        F: Future<Output = Result<()>> + 'static,
    {
        let (tell, controls) = unbounded_channel();
        self.controls.push(tell);
        let unready = &self.host.unready;
        unready.set(unready.get() + 1);
        let part = part(self.host.clone(), Controls::new(controls));
        self.running.push(Box::pin(part));
    }

    /// Runs all parts until one fails or all have ended. Cancel-safe.
    async fn ended(&mut self) -> Result<()> {
        poll_fn(|cx| self.poll_ended(cx)).await
    }

    fn poll_ended(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<()>> {
        let mut place = 0;
        while let Some(part) = self.running.get_mut(place) {
            match part.as_mut().poll(cx) {
                Poll::Pending => place += 1,
                Poll::Ready(Ok(())) => drop(self.running.remove(place)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        match self.running.is_empty() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn tell(&self, control: &Control) {
        for part in &self.controls {
            // One that has ended needs to know nothing.
            let _ = part.send(control.clone());
        }
    }
}
