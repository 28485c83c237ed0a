//! The edge router's daemon: [`nd::Advertiser`] and [`dhcpv6::relay`] on its 6LoWPAN interface.
//!
//! Forwarding itself is the kernel's.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use anyhow::{Context, Result};
use dhcpv6::relay::{self, Relay};
use dhcpv6::{ALL_DHCP_RELAY_AGENTS_AND_SERVERS as ALL_DHCP, SERVER_PORT};
use nd::advertiser::{Advertiser, Config};
use rundir::EventKind;
use rundir::control::Control;
use tokio::net::UdpSocket;
use topology::plan::EdgeRouterPlan;
use units::Eui64;

use crate::Host;
use crate::host::{Ignored, instant, now};
use crate::icmpv6::{self, Icmpv6Socket};

/// All-routers multicast group, link-local scope (RFC 4291 §2.7.1).
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
pub(crate) async fn run(mut host: Host, plan: EdgeRouterPlan) -> Result<()> {
    let lowpan = host.interfaces.lowpan.clone();
    let config = advertiser_config(&plan, Eui64::derive(host.seed, &host.name));
    let mut advertiser = Advertiser::new(config, host.rng("router-advertisements"))?;
    let icmp = Icmpv6Socket::open(&lowpan, &[ALL_ROUTERS], nd::message::ROUTER_SOLICITATION)?;
    let mut relay = match plan.dhcpv6_server {
        Some(server) => Some(RelayAgent::open(&lowpan, plan.address, server)?),
        None => None,
    };
    let mut ignored = Ignored::default();
    advertiser.start(now());
    host.events.report(EventKind::Ready)?;
    loop {
        while let Some(advertisement) = advertiser.poll_transmit() {
            icmp.send(advertisement.to, &advertisement.icmpv6);
        }
        tokio::select! {
            received = icmp.receive() => {
                let received = received?;
                let handled = advertiser.handle_solicitation(
                    now(), received.source, received.hop_limit, &received.message);
                if let Err(error) = handled
                    && let Some(times) = ignored.another()
                {
                    tracing::warn!(source = %received.source, %error, times, "router solicitation ignored");
                }
            }
            () = tokio::time::sleep_until(instant(advertiser.poll_timeout())) => {
                advertiser.handle_timeout(now());
            }
            relayed = relay_next(&mut relay) => relayed?,
            control = host.commands.next() => if control? == Control::Stop {
                // RFC 4861 §6.2.5: hosts should not wait for our lifetime to end.
                advertiser.stop();
                while let Some(advertisement) = advertiser.poll_transmit() {
                    icmp.send(advertisement.to, &advertisement.icmpv6);
                }
                return Ok(());
            },
        }
    }
}

fn advertiser_config(plan: &EdgeRouterPlan, eui64: Eui64) -> Config {
    let settings = &plan.router_advertisements;
    Config {
        min_interval: settings.min_interval,
        max_interval: settings.max_interval,
        max_response_delay: settings.max_response_delay,
        min_delay_between: settings.min_delay_between,
        router_lifetime: settings.router_lifetime,
        managed: settings.managed,
        other: settings.other,
        autonomous: settings.autonomous,
        retrans_timer: settings.retrans_timer,
        reachable_time: settings.reachable_time,
        valid_lifetime: settings.valid_lifetime,
        preferred_lifetime: settings.preferred_lifetime,
        ..Config::new(eui64, plan.prefix)
    }
}

/// The relay agent's socket: clients on the 6LoWPAN side, the server on the other.
struct RelayAgent {
    relay: Relay,
    socket: UdpSocket,
    server: SocketAddrV6,
    lowpan: u32,
    buffer: Vec<u8>,
    ignored: Ignored,
}

/// The next message to relay, or never without a relay agent.
async fn relay_next(relay: &mut Option<RelayAgent>) -> Result<()> {
    match relay {
        Some(relay) => relay.next().await,
        None => std::future::pending().await,
    }
}

impl RelayAgent {
    fn open(lowpan: &str, link_address: Ipv6Addr, server: Ipv6Addr) -> Result<RelayAgent> {
        let index = nix::net::if_::if_nametoindex(lowpan).with_context(|| lowpan.to_owned())?;
        let socket = UdpSocket::from_std(icmpv6::udp(SERVER_PORT, None)?)?;
        socket
            .join_multicast_v6(&ALL_DHCP, index)
            .with_context(|| format!("{lowpan}: join {ALL_DHCP}"))?;
        Ok(RelayAgent {
            relay: Relay {
                link_address,
                interface_id: Some(lowpan.as_bytes().to_vec()),
            },
            socket,
            server: SocketAddrV6::new(server, SERVER_PORT, 0, 0),
            lowpan: index,
            buffer: vec![0; 65536],
            ignored: Ignored::default(),
        })
    }

    /// Relays one message. Cancel-safe up to its arrival; sending does not wait.
    async fn next(&mut self) -> Result<()> {
        let (length, from) = self
            .socket
            .recv_from(&mut self.buffer)
            .await
            .context("DHCPv6 relay socket")?;
        let SocketAddr::V6(from) = from else {
            return Ok(());
        };
        let message = &self.buffer[..length];
        let relayed = if from.scope_id() == self.lowpan {
            self.relay
                .forward(*from.ip(), message)
                .map(|forward| (self.server, forward))
        } else {
            relay::unwrap_reply(message).map(|reply| {
                let mut to = reply.transmit.to;
                to.set_scope_id(self.lowpan);
                (to, reply.transmit.payload)
            })
        };
        match relayed {
            Ok((to, message)) => {
                if let Err(error) = self.socket.try_send_to(&message, to.into()) {
                    tracing::debug!(%to, %error, "relayed DHCPv6 message lost");
                }
            }
            Err(error) => {
                if let Some(times) = self.ignored.another() {
                    tracing::warn!(%from, %error, times, "DHCPv6 message not relayed");
                }
            }
        }
        Ok(())
    }
}
