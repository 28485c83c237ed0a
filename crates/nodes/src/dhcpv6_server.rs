//! The DHCPv6 server's daemon: [`dhcpv6::server`] on port 547.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use dhcpv6::server::{Config, Event, Pool, Server};
use rundir::EventKind;
use rundir::control::Control;
use topology::plan::Dhcpv6ServerPlan;
use units::Eui64;

use crate::host::{instant, now};
use crate::{Host, icmpv6};

/// Servers and relay agents listen here (RFC 8415 §7.2).
pub(crate) const SERVER_PORT: u16 = 547;

pub(crate) async fn run(mut host: Host, plan: Dhcpv6ServerPlan) -> Result<()> {
    let config = Config::new(
        dhcpv6::Duid::link_layer(Eui64::derive(host.seed, &host.name)),
        plan.pools.iter().map(|p| Pool { link: p.link, first: p.first, last: p.last }).collect(),
        plan.preferred_lifetime,
        plan.valid_lifetime,
        plan.rapid_commit,
    );
    let mut server = Server::new(config);
    let socket = icmpv6::udp(SERVER_PORT, None)?;
    let mut buffer = vec![0; 65536];
    host.events.report(EventKind::Ready)?;
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let (length, from) = received.context("DHCPv6 socket")?;
                answer(&mut server, &socket, &buffer[..length], from).await;
            }
            () = tokio::time::sleep_until(instant(server.poll_timeout())) => server.handle_timeout(now()),
            control = host.commands.next() => if control? == Control::Stop { return Ok(()) },
        }
        while let Some(event) = server.poll_event() {
            match event {
                Event::Leased { address, .. } => host.events.report(EventKind::Leased { address })?,
                Event::Released { address, .. } | Event::Expired { address, .. } => {
                    tracing::info!(%address, "lease ended");
                }
            }
        }
    }
}

async fn answer(server: &mut Server, socket: &tokio::net::UdpSocket, message: &[u8], from: SocketAddr) {
    let SocketAddr::V6(from) = from else { return };
    match server.handle_datagram(now(), from, message) {
        Ok(Some((to, reply))) => {
            if let Err(error) = socket.send_to(&reply, SocketAddr::V6(to)).await {
                tracing::debug!(%to, %error, "DHCPv6 reply lost");
            }
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%from, %error, "DHCPv6 message ignored"),
    }
}
