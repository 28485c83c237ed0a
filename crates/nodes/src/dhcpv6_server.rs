//! The DHCPv6 server: [`dhcpv6::server`] on port 547.

use anyhow::{Context, Result};
use dhcpv6::server::{Config, Event, Pool, Server};
use dhcpv6::{Duid, SERVER_PORT};
use driver::{Driver, Ignored, Udp, now};
use rundir::EventKind;
use topology::plan::{Dhcpv6ServerPlan, PoolPlan};
use units::Eui64;

use crate::control::Controls;
use crate::events::{Admitted, Gate};
use crate::host::Host;

pub(crate) async fn run(host: Host, mut controls: Controls, plan: Dhcpv6ServerPlan) -> Result<()> {
    let pool = |p: &PoolPlan| Pool {
        link: p.link,
        first: p.first,
        last: p.last,
    };
    let duid = Duid::link_layer(Eui64::derive(host.seed, &host.name));
    let server = Server::new(Config {
        preferred: plan.preferred_lifetime,
        valid: plan.valid_lifetime,
        rapid_commit: plan.rapid_commit,
        ..Config::new(duid, plan.pools.iter().map(pool).collect())
    })?;
    let mut server = Driver::new(server, host.socket(Udp::open(SERVER_PORT, None)?)?)?;
    host.part_is_ready()?;
    // Anybody can cause each of them by a datagram.
    let (mut exhausted, mut refused) = (Ignored::default(), Ignored::default());
    let mut told = Gate::new(now(), "leases in the log");
    loop {
        tokio::select! {
            event = server.next_event() => match event.context("DHCPv6 socket")? {
                Event::Leased { address, .. } => {
                    host.events.report(EventKind::Leased { address })?
                }
                Event::Exhausted { pool: Pool { link, first, last }, duid } => {
                    if let Some(times) = exhausted.another() {
                        tracing::warn!(
                            %link, %first, %last, %duid, times,
                            "NoAddrsAvail: every address of the pool is leased"
                        );
                    }
                }
                Event::Refused { pool: Pool { link, .. }, duid } => {
                    if let Some(times) = refused.another() {
                        tracing::warn!(%link, %duid, times, "NoAddrsAvail: the client has enough");
                    }
                }
                ended => match told.admit(now()) {
                    Admitted::No => {}
                    Admitted::Yes => tracing::info!(?ended, "lease"),
                    Admitted::After(left_out) => tracing::info!(?ended, left_out, "lease"),
                },
            },
            () = controls.stopped() => return Ok(()),
        }
    }
}
