//! The DHCPv6 server: [`dhcpv6::server`] on port 547.

use anyhow::{Context, Result};
use dhcpv6::server::{Config, Event, Pool, Server};
use dhcpv6::{Duid, SERVER_PORT};
use driver::{Driver, Udp};
use rundir::EventKind;
use topology::plan::{Dhcpv6ServerPlan, PoolPlan};
use units::Eui64;

use crate::control::Controls;
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
    let mut server = Driver::new(server, Udp::open(SERVER_PORT, None)?)?;
    host.part_is_ready()?;
    loop {
        tokio::select! {
            event = server.next_event() => match event.context("DHCPv6 socket")? {
                Event::Leased { address, .. } => {
                    host.events.report(EventKind::Leased { address })?
                }
                Event::Exhausted { pool: Pool { link, first, last }, duid } => tracing::warn!(
                    %link, %first, %last, %duid,
                    "NoAddrsAvail: every address of the pool is leased"
                ),
                ended => tracing::info!(?ended, "lease"),
            },
            () = controls.stopped() => return Ok(()),
        }
    }
}
