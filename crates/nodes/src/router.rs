//! An edge router: [`nd::Advertiser`], [`nd::proxy::Responder`] and [`dhcpv6::relay`] on its 6LoWPAN
//! interface.
//!
//! Forwarding itself is the kernel's.

use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddrV6};

use anyhow::{Context, Result};
use dhcpv6::relay::{Relay, RelayAgent};
use dhcpv6::{ALL_DHCP_RELAY_AGENTS_AND_SERVERS as ALL_DHCP, SERVER_PORT};
use driver::{Driver, Icmpv6, Udp};
use nd::advertiser::{Advertiser, Config};
use nd::message::ROUTER_SOLICITATION;
use nd::proxy::{FAST_HANDOVERS, Neighbour, Responder};
use nd::{ALL_ROUTERS, HOP_LIMIT, NdOption};
use netlink::{Errno, Links, Namespace, sysctl};
use topology::plan::{NeighbourPlan, RouterPlan};
use units::Eui64;

use crate::control::Controls;
use crate::host::Host;

/// How a mobility anchor point is advertised.
pub(crate) type Advertised = fn(Ipv6Addr) -> NdOption;

/// Runs a router whose radio has `eui64`.
pub(crate) async fn run(
    host: Host,
    mut controls: Controls,
    plan: RouterPlan,
    eui64: Eui64,
    option: Advertised,
) -> Result<()> {
    let lowpan = host.interfaces.lowpan.clone();
    let config = Config {
        others: plan.anchor_point.map(option).into_iter().collect(),
        ..advertiser_config(&plan, eui64)
    };
    let advertiser = Advertiser::new(config, host.protocol_rng("router-advertisements"))?;
    let icmpv6 = icmpv6(&lowpan, &plan, eui64, ROUTER_SOLICITATION)?;
    let mut advertiser = Driver::new(advertiser, icmpv6)?;
    let mut relay = match plan.dhcpv6_server {
        Some(server) => Some(relay_agent(&lowpan, plan.address, server)?),
        None => None,
    };
    let mut responder = match plan.neighbours.is_empty() {
        true => None,
        false => Some(responder(&lowpan, &plan, eui64, option)?),
    };
    expect(&lowpan, &plan).await?;
    advertiser.with(|advertiser, now| advertiser.start(now));
    host.part_is_ready()?;
    tokio::select! {
        none = advertiser.next_event() => match none.with_context(|| lowpan.clone())? {},
        none = relay_on(&mut relay) => match none? {},
        none = respond_on(&mut responder) => match none? {},
        () = controls.stopped() => {
            // RFC 4861 §6.2.5: hosts should not wait for our lifetime to end.
            advertiser.with(|advertiser, _| advertiser.stop());
            Ok(())
        }
    }
}

/// A socket of the router that it is to most hosts. To those for which it is a gateway it is another one,
/// whose link-local address the kernel would as soon send from.
fn icmpv6(lowpan: &str, plan: &RouterPlan, eui64: Eui64, kind: u8) -> Result<Icmpv6> {
    let icmpv6 = Icmpv6::open(lowpan, &[ALL_ROUTERS], kind, HOP_LIMIT)?;
    Ok(match plan.gateway {
        Some(_) => icmpv6.bind(eui64.link_local())?,
        None => icmpv6,
    })
}

/// What a router says of itself.
pub(crate) fn advertiser_config(plan: &RouterPlan, eui64: Eui64) -> Config {
    let visitors = plan.gateway.iter().flat_map(|gateway| &gateway.nodes);
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
        // Those have a prefix of their own.
        unanswered: visitors.map(|visitor| visitor.eui64.link_local()).collect(),
        ..Config::new(eui64, plan.prefix)
    }
}

/// Clients on the 6LoWPAN side, the server on the other.
fn relay_agent(
    lowpan: &str,
    link_address: Ipv6Addr,
    server: Ipv6Addr,
) -> Result<Driver<RelayAgent>> {
    let index = nix::net::if_::if_nametoindex(lowpan).with_context(|| lowpan.to_owned())?;
    let socket = Udp::open(SERVER_PORT, None)?;
    socket
        .get_ref()
        .join_multicast_v6(&ALL_DHCP, index)
        .with_context(|| format!("{lowpan}: join {ALL_DHCP}"))?;
    let relay = Relay {
        link_address,
        interface_id: Some(lowpan.as_bytes().to_vec()),
    };
    let server = SocketAddrV6::new(server, SERVER_PORT, 0, 0);
    Ok(Driver::new(RelayAgent::new(relay, index, server), socket)?)
}

/// What says of the others what the plan has of them (RFC 5568 §6.1.2).
fn responder(
    lowpan: &str,
    plan: &RouterPlan,
    eui64: Eui64,
    option: Advertised,
) -> Result<Driver<Responder, Icmpv6>> {
    let neighbour = |plan: &NeighbourPlan| Neighbour {
        access_point: plan.eui64,
        link_layer: plan.eui64,
        router: plan.address,
        prefix: plan.prefix,
        others: plan.anchor_point.map(option).into_iter().collect(),
    };
    let neighbours = plan.neighbours.iter().map(neighbour).collect();
    // RFC 9131 §6.1.1: who comes and says who it is need not be asked.
    let learns = format!("net.ipv6.conf.{lowpan}.accept_untracked_na");
    match sysctl::write(&learns, 1) {
        // A kernel before 5.19 asks.
        Err(error) if error.errno() == Some(Errno::ENOENT) => {}
        written => written?,
    }
    let icmpv6 = icmpv6(lowpan, plan, eui64, FAST_HANDOVERS)?;
    Ok(Driver::new(Responder::new(eui64, neighbours), icmpv6)?)
}

/// Takes it that the nodes that are expected are there, until that turns out to be wrong: their addresses
/// need not be asked for when they come, or when they ask.
async fn expect(lowpan: &str, plan: &RouterPlan) -> Result<()> {
    if plan.expected.is_empty() {
        return Ok(());
    }
    let links = Links::connect(&Namespace::current()?).await?;
    let index = links.index(lowpan).await?;
    for eui64 in plan.expected.values() {
        for address in [eui64.link_local(), eui64.address_in(plan.prefix.network())] {
            if let Err(error) = links.learn_neighbour(index, address, *eui64).await {
                // There are more than the kernel has room for (`gc_thresh3`): this one is asked when it comes.
                tracing::warn!(%address, %error, "not known before it comes");
            }
        }
    }
    Ok(())
}

/// Answers for ever; with nothing to say, waits for ever.
async fn respond_on(responder: &mut Option<Driver<Responder, Icmpv6>>) -> Result<Infallible> {
    match responder {
        Some(responder) => (responder.next_event().await).context("proxy advertisements' socket"),
        None => std::future::pending().await,
    }
}

/// Relays for ever; without a relay agent, waits for ever.
async fn relay_on(relay: &mut Option<Driver<RelayAgent>>) -> Result<Infallible> {
    match relay {
        Some(relay) => relay.next_event().await.context("DHCPv6 relay socket"),
        None => std::future::pending().await,
    }
}
