//! The DHCPv6 server's daemon: [`dhcpv6::server`] on port 547.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use dhcpv6::server::{Config, Event, Pool, Server};
use dhcpv6::{Duid, SERVER_PORT};
use rundir::EventKind;
use rundir::control::Control;
use tokio::net::UdpSocket;
use topology::plan::{Dhcpv6ServerPlan, PoolPlan};
use units::Eui64;

use crate::host::{Ignored, instant, now};
use crate::{Host, icmpv6};

pub(crate) async fn run(mut host: Host, plan: Dhcpv6ServerPlan) -> Result<()> {
    let pool = |p: &PoolPlan| Pool {
        link: p.link,
        first: p.first,
        last: p.last,
    };
    let duid = Duid::link_layer(Eui64::derive(host.seed, &host.name));
    let mut server = Server::new(Config {
        preferred: plan.preferred_lifetime,
        valid: plan.valid_lifetime,
        rapid_commit: plan.rapid_commit,
        ..Config::new(duid, plan.pools.iter().map(pool).collect())
    })?;
    let socket = UdpSocket::from_std(icmpv6::udp(SERVER_PORT, None)?)?;
    let mut buffer = vec![0; 65536];
    let mut ignored = Ignored::default();
    host.events.report(EventKind::Ready)?;
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let (length, from) = received.context("DHCPv6 socket")?;
                let answered = answer(&mut server, &socket, &buffer[..length], from).await;
                if let Err(error) = answered
                    && let Some(times) = ignored.another()
                {
                    tracing::warn!(%from, %error, times, "DHCPv6 message ignored");
                }
            }
            () = tokio::time::sleep_until(instant(server.poll_timeout())) => server.handle_timeout(now()),
            control = host.commands.next() => if control? == Control::Stop { return Ok(()) },
        }
        while let Some(event) = server.poll_event() {
            match event {
                Event::Leased { address, .. } => {
                    host.events.report(EventKind::Leased { address })?
                }
                ended => tracing::info!(?ended, "lease"),
            }
        }
    }
}

async fn answer(
    server: &mut Server,
    socket: &UdpSocket,
    message: &[u8],
    from: SocketAddr,
) -> Result<(), dhcpv6::server::Ignored> {
    let SocketAddr::V6(from) = from else {
        return Ok(());
    };
    let reply = server.handle_datagram(now(), from, message)?;
    if let Err(error) = socket
        .send_to(&reply.payload, SocketAddr::V6(reply.to))
        .await
    {
        tracing::debug!(to = %reply.to, %error, "DHCPv6 reply lost");
    }
    Ok(())
}
